"""Jira's defence against forged requests, as far as it meets scripts."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from werkzeug import Response

from .call import JiraRequest
from .refusals import HTML

_BROWSER = re.compile(r"Mozilla/|Opera/", re.IGNORECASE)
_CHANGING = frozenset({"POST", "PUT", "DELETE"})


def refusal(request: JiraRequest, base: str) -> Response | None:
    """Refuse what may have been sent by a page of somebody else; None: it may pass.

    That is a multipart form without ``X-Atlassian-Token: no-check``, and what comes from a browser by its
    ``User-Agent`` with another site's ``Origin`` or ``Referer``, whatever that header says.

    Args:
        request: under ``/rest``.
        base: the address of Jira.
    """
    if request.method not in _CHANGING:
        return None
    token = request.headers.get("X-Atlassian-Token", "").strip().casefold()
    unchecked = request.mimetype == "multipart/form-data" and token not in ("no-check", "nocheck")
    return Response("XSRF check failed", 403, content_type=HTML) if unchecked or _is_foreign(request, base) else None


def _is_foreign(request: JiraRequest, base: str) -> bool:
    if not _BROWSER.search(request.headers.get("User-Agent", "")):
        return False
    source = request.headers.get("Origin") or request.headers.get("Referer")
    return source is not None and _site(source) != _site(base)


def _site(address: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return parts.scheme, parts.netloc.casefold()
