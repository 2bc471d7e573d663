"""Answers of Jira, as large and as full of links as they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import cycle, islice
from typing import Any

from patmiddleware.demo.standin import JiraStandIn

from .material import OWNER, environ

BASE = "https://jira.internal/jira"
ISSUES = 50

_UNSET = {f"customfield_{number}": None for number in range(10_100, 10_160)}  # most fields of most issues are
_WORDS = 'The berth stays free "for now" until the deposit is there; see https://example.com/rules. '

Json = Any  # values of every kind


def search() -> bytes:
    """Give 50 issues as a search with all fields does: about 300 KB, with 45 links in each."""
    issues = islice(cycle(_asked("/rest/api/2/search", "fields=*all")["issues"]), ISSUES)
    return _written([each | {"fields": each["fields"] | _UNSET} for each in issues])


def texts() -> bytes:
    """Give 50 issues as a search for their texts alone does: about 300 KB, with one link in each."""
    pages = _asked("/rest/api/2/search", "fields=summary,description")["issues"]
    about = {"description": _WORDS * 62}
    return _written([each | {"fields": each["fields"] | about} for each in islice(cycle(pages), ISSUES)])


def issue() -> bytes:
    """Give what a script asks of one issue: about 1 KB, with 8 links."""
    return _body(_asked("/rest/api/2/issue/DEMO-1", "fields=summary,status,assignee"))


def _written(issues: Iterable[Json]) -> bytes:
    return _body({"expand": "schema,names", "startAt": 0, "maxResults": ISSUES, "total": 4_321, "issues": list(issues)})


def _body(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _asked(path: str, query: str) -> Json:
    def start_response(status: str, headers: object, exc_info: object = None, /) -> Callable[[bytes], object]:
        assert status == "200 OK", status
        return len

    told = {"PATH_INFO": path, "RAW_URI": path, "QUERY_STRING": query, "HTTP_ACCEPT_ENCODING": "identity"}
    asked = environ(**told, REMOTE_USER=OWNER)
    return json.loads(b"".join(JiraStandIn(BASE, gate=True)(asked, start_response)))
