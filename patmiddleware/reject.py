"""From a refusal to a WSGI answer: one table for status, challenge and words, three shapes of body.

A 401 tells nothing finer than "no credential" or "invalid token": unknown, expired and revoked tokens give the same
bytes, but for the request id. A 403 tells an authenticated caller what was needed and held, and the rule.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from .errors import ConfigurationError
from .model import Denied, Reason

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ErrorBody: TypeAlias = Callable[[Denied, int, str], tuple[str, bytes]]
"""A body of your own: from the refusal, the status and the request id to a content type and the bytes."""

Challenge: TypeAlias = Literal["none", "plain", "invalid_token", "invalid_request", "insufficient_scope"]

logger = logging.getLogger("patmiddleware")

RETRY_AFTER = 5  # seconds, in a 503 and a 429
JSON = "application/json;charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Row:
    """How one reason is answered.

    Args:
        status: of HTTP.
        kind: the word that the client hears; ``type`` of the problem is ``urn:patmiddleware:problem:<kind>``.
        challenge: what ``WWW-Authenticate`` says (RFC 6750, section 3.1).
        text: what is wrong and what to do, for the client.
    """

    status: int
    kind: str
    challenge: Challenge
    text: str


_INVALID = Row(401, "invalid_token", "invalid_token", "The token is not valid. Use another one, or make a new one.")
_MISSING = "This needs a personal access token. Send it as 'Authorization: Bearer TOKEN', or in place of the password."

ROWS: Mapping[Reason, Row] = {
    Reason.MISSING: Row(401, "missing", "plain", _MISSING),
    Reason.UNSUPPORTED: Row(
        401, "unsupported", "plain", "This way of authenticating is not accepted. Use one of those offered."
    ),
    Reason.MALFORMED: Row(
        400, "malformed", "invalid_request", "The credential is malformed, or is not the only one. Send exactly one."
    ),
    Reason.UNKNOWN: _INVALID,
    Reason.EXPIRED: _INVALID,
    Reason.REVOKED: _INVALID,
    Reason.OWNER_INACTIVE: _INVALID,
    Reason.OWNER_MISMATCH: _INVALID,
    Reason.AMBIGUOUS_PATH: Row(
        400,
        "ambiguous_path",
        "none",
        "The path can be read in more than one way, or is very long. Send it without encoded separators, and shorter.",
    ),
    Reason.METHOD: Row(400, "method", "none", "The method must be an upper-case token, such as GET."),
    Reason.INSUFFICIENT_SCOPE: Row(
        403, "insufficient_scope", "insufficient_scope", "The token's scopes do not suffice for this."
    ),
    Reason.NO_RULE: Row(403, "no_rule", "insufficient_scope", "No rule allows this for any token."),
    Reason.LIMIT: Row(403, "limit", "insufficient_scope", "The token is limited, and this is beyond its limits."),
    Reason.DENIED: Row(403, "denied", "insufficient_scope", "A rule denies this."),
    Reason.NETWORK: Row(403, "network", "none", "This is not allowed from your address."),
    Reason.GROUP: Row(403, "group", "none", "This is only for members of certain groups."),
    Reason.RATE_LIMITED: Row(429, "rate_limited", "none", "There were too many requests. Wait, then try again."),
    Reason.UNAVAILABLE: Row(
        503, "unavailable", "none", "Tokens can't be checked at the moment. Yours may be fine: try again soon."
    ),
}

# By these Jira's clients tell a failed login from a page that needs one.
_JIRA_401 = [("X-AUSERNAME", "anonymous"), ("X-Seraph-LoginReason", "AUTHENTICATED_FAILED")]
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    429: "Too Many Requests",
    503: "Service Unavailable",
}
_QUOTED = re.compile(r"[\x20-\x7e]*")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, section 3.3


def quoted(text: str) -> str:
    """Write a quoted-string (RFC 9110, section 5.6.4).

    Raises:
        ConfigurationError: for what is not printable ASCII: it would break, or split, the header.
    """
    if not _QUOTED.fullmatch(text):
        raise ConfigurationError(f"{text!r} can't stand in a header: printable ASCII only", setting="realm")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Refusals:
    """Answers refusals, with all that does not depend on the request prepared.

    Args:
        schemes: of the ``Authorization`` header that are accepted, in lower case.
        realm: shown in challenges.
        errors: ``problem`` (RFC 9457), ``jira``, or a callable of your own.

    Attributes:
        body: makes the body of a refusal.

    Raises:
        ConfigurationError: for a realm that can't stand in a header, or an unknown shape.
    """

    def __init__(self, schemes: frozenset[str], realm: str = "api", errors: str | ErrorBody = "problem") -> None:
        self._challenges = _Challenges(schemes, quoted(realm))
        if callable(errors):
            self.body: ErrorBody = errors
        elif errors in SHAPES:
            self.body = _BODIES[errors]
        else:
            hint = f"{', '.join(_BODIES)}, or a callable"
            raise ConfigurationError(f"{errors!r} is no shape of an error", setting="errors", hint=hint)
        self._seraph = errors == "jira"

    def __call__(
        self, denied: Denied, environ: WSGIEnvironment, start_response: StartResponse, request_id: str
    ) -> Iterable[bytes]:
        """Answer one refusal; ``HEAD`` gets the length and no body."""
        row = ROWS[denied.reason]
        content_type, body = self._said(denied, row.status, request_id)
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *self._challenges.headers(row.challenge, denied),
        ]
        if self._seraph and row.status == 401:
            headers += _JIRA_401 if row.challenge == "invalid_token" else _JIRA_401[:1]
        if row.status in (429, 503):
            headers.append(("Retry-After", str(RETRY_AFTER)))
        start_response(f"{row.status} {_TITLES[row.status]}", headers)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]

    def _said(self, denied: Denied, status: int, request_id: str) -> tuple[str, bytes]:
        try:
            said: tuple[object, object] = self.body(denied, status, request_id)
            content_type, body = said
            if not isinstance(content_type, str) or not _QUOTED.fullmatch(content_type) or not isinstance(body, bytes):
                raise TypeError("it must give a content type of printable ASCII, and bytes")
        except Exception:  # it may be anybody's: whatever becomes of the words, the refusal stands
            logger.exception("errors gave no body, so the refusal has the usual one")
            return _problem(denied, status, request_id)
        return content_type, body

    def saying(self, body: ErrorBody) -> Refusals:
        """Give one that answers alike, but for the body."""
        other = copy(self)
        other.body = body
        return other


class _Challenges:
    """The ``WWW-Authenticate`` headers, one for each scheme (RFC 9110, section 11.6.1)."""

    def __init__(self, schemes: frozenset[str], realm: str) -> None:
        self._bearer = f"Bearer realm={realm}" if "bearer" in schemes else None
        self._others = [
            *([f'Basic realm={realm}, charset="UTF-8"'] if "basic" in schemes else []),
            *([f"Token realm={realm}"] if "token" in schemes else []),
            # There is no registered scheme for a key in a header of its own, yet a 401 must have a challenge.
            *([] if schemes else [f"ApiKey realm={realm}"]),
        ]

    def headers(self, challenge: Challenge, denied: Denied) -> list[tuple[str, str]]:
        if challenge == "none":
            return []
        if challenge == "plain":
            values = [*([self._bearer] if self._bearer else []), *self._others]
        else:
            scope = _scope(denied) if challenge == "insufficient_scope" else ""
            bearer = [f'{self._bearer}, error="{challenge}"{scope}'] if self._bearer else []
            values = [*bearer, *(self._others if challenge == "invalid_token" else [])]
        return [("WWW-Authenticate", value) for value in values]


def _scope(denied: Denied) -> str:
    # A policy of the user's own may name anything: what is no scope could split the header.
    needed = sorted(filter(_SCOPE.fullmatch, denied.needed))
    return f', scope="{" ".join(needed)}"' if needed else ""


def explanation(denied: Denied) -> str:
    """Say to the client what is wrong and what to do, in a sentence or two."""
    row = ROWS[denied.reason]
    if row.status != 403:
        return row.text
    needed = f" Needed: {_listed(denied.needed)}; held: {_listed(denied.held) or 'none'}." if denied.needed else ""
    rule = f" Rule: {denied.rule}." if denied.rule else ""
    return f"{denied.detail or row.text}{needed}{rule}"


def _problem(denied: Denied, status: int, request_id: str) -> tuple[str, bytes]:
    row = ROWS[denied.reason]
    problem: dict[str, object] = {
        "type": f"urn:patmiddleware:problem:{row.kind}",
        "title": _TITLES[status],
        "status": status,
        "detail": explanation(denied),
        "request_id": request_id,
    }
    if status == 403:
        problem |= {
            "reason": denied.reason.value,
            "rule": denied.rule,
            "needed": sorted(denied.needed),
            "held": sorted(denied.held),
        }
    return "application/problem+json", json.dumps(problem).encode()


def _jira(denied: Denied, status: int, request_id: str) -> tuple[str, bytes]:
    return in_jiras_shape(f"{explanation(denied)} (request {request_id})")


def in_jiras_shape(text: str) -> tuple[str, bytes]:
    """Give an error as Jira words it: a content type and a body."""
    return JSON, json.dumps({"errorMessages": [text], "errors": {}}).encode()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


_BODIES: Mapping[str, ErrorBody] = {"problem": _problem, "jira": _jira}
SHAPES: Sequence[str] = tuple(_BODIES)
"""The names that ``errors`` takes."""
