"""Jira's session endpoint, in front of Jira: log in with a token, see whose a session is, log out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..addresses import Addresses
from ..annotate import Environ, grant_from
from ..audit import AuditLog
from ..backends.caching import told, unavailable
from ..credentials import MAXIMUM_LENGTH
from ..errors import RefusedError, UnknownTokenError
from ..issuer import Issuer
from ..model import Denied, Minted, Reason, Token
from ..policy.rules import within
from ..reject import JSON, Refusals, in_jiras_shape
from ..resolver import Identity, Resolver
from .cookie import Cookie
from .settings import SessionSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

MOST_BYTES = 65_536
"""Of the body of a login."""

_FAILED = "Login failed"
_ANONYMOUS = "You are not authenticated. Authentication required to perform this operation."
_DIGITS = 9  # of a length


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is said; no content, no body."""

    status: str
    content: Mapping[str, object] | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Endpoint:
    """Opens, shows and ends sessions; asked once the gate has said who asks, if anybody.

    Args:
        settings: how sessions are kept.
        issuer: makes sessions, and ends them.
        resolver: finds out who a token is.
        addresses: finds the client's.
        refuse: answers what is refused, but for Jira's own words where somebody is not known.
        note: notes that a token was used.
        clock: seconds since the epoch.
        audit: hears of logins that fail.
    """

    def __init__(
        self,
        settings: SessionSettings,
        *,
        issuer: Issuer,
        resolver: Resolver,
        addresses: Addresses,
        refuse: Refusals,
        note: Callable[[Identity, Environ, float], None],
        clock: Callable[[], float],
        audit: AuditLog | None,
    ) -> None:
        self._settings, self._cookie, self._issuer = settings, Cookie(settings), issuer
        self._resolver, self._addresses, self._note = resolver, addresses, note
        self._clock, self._audit = clock, audit
        self._refuse = refuse.saying(_words(refuse))
        self._methods = {"POST": self._open, "GET": self._show, "HEAD": self._show, "DELETE": self._end}

    def __call__(self, environ: Environ, start_response: StartResponse, request_id: str) -> Iterable[bytes]:
        """Answer a request to the endpoint."""
        answer = self._answer(environ, request_id)
        if isinstance(answer, Denied):
            return self._refuse(answer, environ, start_response, request_id)
        body = b"" if answer.content is None else json.dumps(answer.content).encode()
        about = [("Content-Type", JSON), ("Content-Length", str(len(body)))] if body else []
        start_response(answer.status, [*about, ("Cache-Control", "no-store"), *answer.headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: Environ, request_id: str) -> _Answer | Denied:
        method = self._methods.get(environ["REQUEST_METHOD"])
        if method is None:
            allow = ("Allow", ", ".join(sorted(self._methods)))
            return _wrong("405 Method Not Allowed", "A session is opened by POST, and ended by DELETE.", allow)
        wall = self._clock()
        try:
            return method(environ, wall, request_id)
        except Exception as error:  # a store may be anybody's: whatever it raises is an outage
            outage = unavailable("the token store", error)
            told(outage, wall)
            return Denied(Reason.UNAVAILABLE, detail=str(outage))

    def _open(self, environ: Environ, wall: float, request_id: str) -> _Answer | Denied:
        asked = _asked(environ)
        if isinstance(asked, _Answer):
            return asked
        opened = self._log_in(asked, environ, wall, request_id)
        if isinstance(opened, Denied):
            self._tell(opened, environ, wall, request_id)
            return opened
        token, name = opened.token, self._settings.cookie
        seconds = 0 if token.expires is None else int(token.expires.timestamp() - wall)
        content = {"session": {"name": name, "value": opened.secret}, "loginInfo": _login_info(token)}
        return _Answer("200 OK", content, (self._cookie.header(opened.secret, seconds),))

    def _log_in(self, asked: tuple[str, str], environ: Environ, wall: float, request_id: str) -> Minted | Denied:
        found = self._resolver.resolve(("Basic", *asked), wall)
        if isinstance(found, Denied):
            return found
        grant = found.grant
        if grant.networks and not within(self._addresses.client(environ), grant.networks):
            return Denied(Reason.NETWORK, held=grant.scopes)
        self._note(found, environ, wall)
        try:
            return self._issuer.open_session(grant, self._settings.lifetime, request_id=request_id)
        except RefusedError:  # it was good a moment ago
            return Denied(Reason.UNKNOWN)

    def _show(self, environ: Environ, wall: float, request_id: str) -> _Answer | Denied:
        grant = grant_from(environ)
        if grant is None:
            return Denied(Reason.MISSING)
        token = None if grant.token_id is None else self._issuer.get(grant.token_id)
        site = f"{self._settings.site(environ)}{self._settings.mount}"
        link = f"{site}/rest/api/latest/user?username={quote(grant.owner, safe='')}"
        return _Answer("200 OK", {"self": link, "name": grant.owner, "loginInfo": _login_info(token)})

    def _end(self, environ: Environ, wall: float, request_id: str) -> _Answer | Denied:
        grant = grant_from(environ)
        if grant is None:
            return Denied(Reason.MISSING)
        # With any other credential there is no session to be ended; the token itself is not what is meant.
        if grant.scheme != "Session" or grant.token_id is None:
            return _Answer("204 No Content")
        with suppress(UnknownTokenError):  # another request was faster
            self._issuer.revoke(grant.token_id, by=grant.owner, why="logged out")
        return _Answer("204 No Content", None, (self._cookie.header("", 0),))

    def _tell(self, denied: Denied, environ: Environ, wall: float, request_id: str) -> None:
        if self._audit is not None:
            token = denied.token
            self._audit.event(
                wall,
                "session.refused",
                why=denied.reason.value,
                token=None if token is None else token.id,
                owner=None if token is None else token.owner,
                address=self._addresses.text(environ),
                request_id=request_id,
            )


def _words(refuse: Refusals) -> Callable[[Denied, int, str], tuple[str, bytes]]:
    def words(denied: Denied, status: int, request_id: str) -> tuple[str, bytes]:
        if status != 401:
            return refuse.body(denied, status, request_id)
        return in_jiras_shape(_ANONYMOUS if denied.reason is Reason.MISSING else _FAILED)

    return words


def _wrong(status: str, text: str, *headers: tuple[str, str]) -> _Answer:
    return _Answer(status, {"errorMessages": [text], "errors": {}}, headers)


def _asked(environ: Environ) -> tuple[str, str] | _Answer:
    """Give the user name and the token of a login, or what is wrong with it."""
    # A form of a foreign page can send any body, but not as this type.
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip(" \t").lower() != "application/json":
        return _wrong("415 Unsupported Media Type", "Send the login as Content-Type: application/json.")
    try:
        body = _body(environ)
        asked = None if body is None else json.loads(body)
    except (ValueError, RecursionError, OSError):  # the last where the client went away
        return _wrong("400 Bad Request", "The body of the request is not valid JSON.")
    if body is None:
        return _wrong("413 Content Too Large", f"A login has {MOST_BYTES} bytes at the most.")
    match asked:
        case {"username": str(username), "password": str(password)} if len(password) <= MAXIMUM_LENGTH:
            return username, password
    return _wrong("400 Bad Request", 'Send {"username": …, "password": …}, with a token for the password.')


def _body(environ: Environ) -> bytes | None:
    """Read a body that is not too large; None: it is.

    Raises:
        ValueError: for a length that is none.
    """
    length = environ.get("CONTENT_LENGTH") or ""
    if length and not (length.isascii() and length.isdigit()):
        raise ValueError("no length")
    if length:
        most = int(length) if len(length) <= _DIGITS else MOST_BYTES + 1
    else:
        most = MOST_BYTES + 1 if environ.get("wsgi.input_terminated") else 0
    if length and most > MOST_BYTES:
        return None
    body = b""
    while len(body) < most and (piece := environ["wsgi.input"].read(most - len(body))):
        body += piece
    return body if len(body) <= MOST_BYTES else None


def _login_info(token: Token | None) -> Mapping[str, object]:
    """Say what Jira says of logins, as far as it is known here."""
    info: dict[str, object] = {"failedLoginCount": 0, "loginCount": 1}
    return info if token is None else info | {"previousLoginTime": _time(token.created)}


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}{moment:%z}"
