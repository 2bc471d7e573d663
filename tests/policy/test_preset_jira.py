"""The ``jira`` preset, judged against facts on Jira's own operations."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from judging import MISSING_SCOPE, SCOPES, enough, from_scope, judged

from patmiddleware.model import Allowed, Denied, Reason
from patmiddleware.policy import Policy

WORDS = {
    "issueIdOrKey": "ABC-1",
    "epicIdOrKey": "ABC-1",
    "projectIdOrKey": "ABC",
    "projectKeyOrId": "ABC",
    "projIdOrKey": "ABC",
    "fileName": "report.pdf",
    "idOrName": "In Progress",
    "key": "jira-software",
    "nodeId": "node1",
    "pluginKey": "com.example.app",
    "propertyKey": "sd.initial.field.set",
    "username": "alice",
}


class Row(NamedTuple):
    """An operation, and the least scope that it needs."""

    method: str
    path: str
    scope: str
    confidence: str


def read_rows() -> Iterator[Row]:
    with (Path(__file__).parent / "jira_operations.csv").open(encoding="utf-8", newline="") as lines:
        yield from (Row(*values) for values in list(csv.reader(lines))[1:])


ROWS = tuple(read_rows())
REFUSED = ("/rest/auth/", "/rest/pat/")
CERTAIN = tuple(row for row in ROWS if row.confidence != "low" and not row.path.startswith(REFUSED))


@cache
def preset(mount: str = "") -> Policy:
    return Policy.preset("jira", mount=mount)


def decide(method: str, path: str, scope: str, **limits: str) -> Allowed | Denied:
    return judged(preset(), method, path, scope, **limits)


def admitted(method: str, path: str, policy: Policy | None = None) -> list[str]:
    """Give the scopes that are enough."""
    return enough(policy or preset(), method, path)


def fill(template: str, values: dict[str, str]) -> str:
    return re.sub(r"\{([^}]+)\}", lambda name: values.get(name[1], "10000"), template)


def row_id(row: Row) -> str:
    return f"{row.method} {row.path}"


@pytest.mark.parametrize("values", [WORDS, {}], ids=["keys", "numbers"])
@pytest.mark.parametrize("row", CERTAIN, ids=row_id)
def test_operation_needs_its_scope(row: Row, values: dict[str, str]) -> None:
    """Each operation is open to its least scope and to those that include it, whether keys or ids stand in the path."""
    assert admitted(row.method, fill(row.path, values)) == from_scope(row.scope)


def test_no_certain_row_is_judged_otherwise() -> None:
    """The list of operations that are judged other than their row says is empty, and tells all where it isn't."""
    judged_as = {row_id(row): admitted(row.method, fill(row.path, WORDS)) for row in CERTAIN}

    assert {
        row_id(row): judged_as[row_id(row)] for row in CERTAIN if judged_as[row_id(row)] != from_scope(row.scope)
    } == {}


@pytest.mark.parametrize("row", CERTAIN, ids=row_id)
def test_refusal_names_the_scope(row: Row) -> None:
    """One scope less is refused, and the refusal says which scope would have been enough."""
    smaller = dict(pairwise(reversed((MISSING_SCOPE, *SCOPES))))[row.scope]

    decision = decide(row.method, fill(row.path, WORDS), smaller)

    assert isinstance(decision, Denied)
    assert decision.reason == Reason.INSUFFICIENT_SCOPE
    assert decision.needed == {row.scope}


@pytest.mark.parametrize("row", [row for row in CERTAIN if row.method == "GET"], ids=row_id)
def test_head_is_judged_as_get(row: Row) -> None:
    """HEAD needs what GET needs."""
    assert admitted("HEAD", fill(row.path, WORDS)) == from_scope(row.scope)


def spellings(path: str) -> Iterator[str]:
    yield path.removesuffix("/") + ".json"
    yield path.removesuffix("/") + ".xml"
    yield path.removesuffix("/") + "/"
    yield path.replace("ABC", "abc")
    yield path.replace("ABC", "Abc")
    for version in ("latest", "2.0.alpha1"):
        yield path.replace("/rest/api/2/", f"/rest/api/{version}/")
        yield path.replace("/rest/api/2/", f"/rest/api/{version}/").replace("ABC", "aBc") + ".json"
    yield re.sub(r"^(/rest/[\w-]+)/[0-9.]+/", r"\1/latest/", path)


@pytest.mark.parametrize("row", [row for row in CERTAIN if row.path.startswith("/rest/")], ids=row_id)
def test_spelling_changes_nothing(row: Row) -> None:
    """Other spellings of a version, a key or a format are judged as the plain one."""
    path = fill(row.path, WORDS)

    judged = {spelling: admitted(row.method, spelling) for spelling in spellings(path)}

    assert judged == dict.fromkeys(judged, from_scope(row.scope))


@pytest.mark.parametrize(
    "path",
    [
        "/rest/auth/1/session",
        "/rest/auth/latest/session",
        "/rest/auth/1/session.json",
        "/rest/auth/1/websudo",
        "/rest/auth",
        "/rest/gadget/1.0/login",
        "/rest/gadget/latest/login.json",
        "/rest/oauth2/latest/token",
        "/rest/pat/latest/tokens",
        "/rest/pat/1.0/tokens/17",
        "/rest/pat",
        "/rest/tsv/1.0/authenticate",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_hands_out_credentials_is_refused(method: str, path: str) -> None:
    """No token reaches what logs in, or mints a token that knows no scopes."""
    decision = decide(method, path, "SYSTEM_ADMIN")

    assert isinstance(decision, Denied)
    assert decision.reason == Reason.DENIED


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/rest/api/2/issue/ABC-1/brand-new", "READ"),
        ("HEAD", "/rest/api/2/issue/ABC-1/brand-new", "READ"),
        ("POST", "/rest/api/2/issue/ABC-1/brand-new", "WRITE"),
        ("PUT", "/rest/api/2/issue/ABC-1/comment/1/brand-new", "WRITE"),
        ("POST", "/rest/api/2/search/brand-new", "READ"),
        ("GET", "/rest/api/2/project/ABC/brand-new", "ADMIN"),
        ("GET", "/rest/api/2/user/brand-new/thing", "SYSTEM_ADMIN"),
        ("POST", "/rest/api/2/cluster/brand-new", "SYSTEM_ADMIN"),
        ("GET", "/rest/agile/1.0/board/1/brand-new", "READ"),
        ("PATCH", "/rest/api/2/issue/ABC-1", "ADMIN"),
        ("GET", "/rest/api/2/brand-new", "ADMIN"),
        ("GET", "/rest/api/3/issue/ABC-1", "ADMIN"),
        ("GET", "/rest/brand-new/1.0/thing", "ADMIN"),
        ("POST", "/rest/scriptrunner/latest/custom/anything", "ADMIN"),
    ],
)
def test_unknown_operation_needs_its_familys_strictest_scope(method: str, path: str, scope: str) -> None:
    """What the table does not name needs what the strictest of its family needs, else ADMIN."""
    assert admitted(method, path) == from_scope(scope)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/browse/ABC-1"),
        ("GET", "/login.jsp"),
        ("POST", "/login.jsp"),
        ("GET", "/plugins/servlet/oauth/request-token"),
        ("POST", "/plugins/servlet/oauth/access-token"),
        ("GET", "/plugins/servlet/oauth/authorize"),
        ("GET", "/rest/servicedeskapi/request/DeleteIssue.jspa"),
        ("GET", "/rest/tempo-timesheets/4/worklogs/ViewProfile!default.jspa"),
        ("POST", "/rest/x/y/z/DeleteIssue.jspa"),
        ("GET", "/browse/EditIssue.jspa"),
        ("POST", "/secure/admin/WebSudoAuthenticate.jspa"),
        ("GET", "/secure/Dashboard.jspa"),
        ("GET", "/secure/admin/user/UserBrowser.jspa"),
        ("GET", "/secure/attachment"),
        ("GET", "/secure/attachment/10000"),
        ("POST", "/secure/attachment/10000/report.pdf"),
        ("GET", "/secure/attachment/10000/a/b"),
        ("POST", "/secure/useravatar"),
        ("GET", "/secure/useravatar/x"),
        ("GET", "/REST/api/2/issue/ABC-1"),
        ("GET", "/jira/rest/api/2/issue/ABC-1"),
    ],
)
def test_nothing_else_is_open(method: str, path: str) -> None:
    """Of what is not REST, only attachments, thumbnails, avatars and exports of issues are open, and only to read."""
    decision = decide(method, path, "SYSTEM_ADMIN")

    assert isinstance(decision, Denied)
    assert decision.reason == Reason.NO_RULE


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/rest/api/2/issue/ABC-1"),
        ("GET", "/rest/api/latest/issue/abc-1.json"),
        ("PUT", "/rest/api/2/issue/ABC-1/assignee"),
        ("POST", "/rest/api/2/issue/ABC-1/comment"),
        ("GET", "/rest/api/2/project/ABC"),
        ("GET", "/rest/api/2/project/abc/versions"),
        ("GET", "/rest/agile/1.0/epic/ABC-7/issue"),
        ("GET", "/rest/servicedeskapi/request/ABC-1/sla"),
        ("GET", "/rest/api/2/serverInfo"),
        ("GET", "/rest/api/2/myself"),
        ("HEAD", "/rest/api/2/myself"),
        ("GET", "/rest/api/2/field"),
        ("GET", "/rest/api/2/status/3"),
    ],
)
def test_limited_token_reaches_its_project(method: str, path: str) -> None:
    """A token limited to a project reaches that project, and what clients need before they can start."""
    assert isinstance(decide(method, path, "WRITE", project="ABC"), Allowed)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/rest/api/2/issue/XYZ-1"),
        ("GET", "/rest/api/2/issue/ABCD-1"),
        ("GET", "/rest/api/2/issue/10000"),
        ("GET", "/rest/api/2/issue/picker"),
        ("GET", "/rest/api/2/issue/XYZ-1/brand-new"),
        ("GET", "/rest/api/2/project/XYZ"),
        ("GET", "/rest/api/2/project/10000"),
        ("GET", "/rest/api/2/project"),
        ("GET", "/rest/api/2/search"),
        ("POST", "/rest/api/2/issue"),
        ("PUT", "/rest/api/2/myself"),
        ("GET", "/rest/agile/1.0/board"),
        ("GET", "/secure/attachment/10000/report.pdf"),
    ],
)
def test_limited_token_is_kept_to_its_project(method: str, path: str) -> None:
    """A token limited to a project reaches no other project, and nothing whose project the path does not tell."""
    decision = decide(method, path, "WRITE", project="ABC")

    assert isinstance(decision, Denied)
    assert decision.reason == Reason.LIMIT


@pytest.mark.parametrize("row", CERTAIN[::10], ids=row_id)
def test_mount_moves_every_operation(row: Row) -> None:
    """Under a mount the same operations need the same scopes."""
    assert admitted(row.method, "/jira" + fill(row.path, WORDS), preset("/jira")) == from_scope(row.scope)


@pytest.mark.parametrize(
    "path", ["/rest/api/2/myself", "/jira/rest/pat/latest/tokens", "/jira/login.jsp", "/jirarest/api/2/myself"]
)
def test_mount_opens_nothing_beside_it(path: str) -> None:
    """Under a mount nothing is open without it, and what is refused stays refused."""
    assert admitted("GET", path, preset("/jira")) == []
