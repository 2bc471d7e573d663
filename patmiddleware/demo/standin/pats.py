"""Jira's own personal access tokens: ``/rest/pat/latest/tokens``.

They have no scopes: a token may do whatever its user may. Jira takes them as Bearer alone.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import count
from secrets import randbelow, token_bytes
from threading import Lock

from werkzeug import Response

from .call import Call, Route, answer, done
from .model import JiraError, User
from .shapes import Json, moment
from .state import now


@dataclass(frozen=True, slots=True)
class Pat:
    """A personal access token, without the token itself.

    Args:
        id: in its address.
        user: whose it is.
        name: that the user has given it.
        created: in UTC.
        expires: in UTC; None: never.
        used: last, in UTC; None: never.
    """

    id: int
    user: User
    name: str
    created: datetime
    expires: datetime | None = None
    used: datetime | None = None


class Pats:
    """Personal access tokens of a stand-in; safe to share between threads.

    Args:
        clock: gives the time, in UTC.
    """

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        self._clock = clock
        self._ids = count(1)
        self._tokens: dict[bytes, Pat] = {}
        self._lock = Lock()

    def create(self, user: User, name: str, days: int | None = None) -> tuple[Pat, str]:
        """Make a token for somebody, and give it with its record.

        Args:
            user: whose it will be.
            name: of the token.
            days: that it lives; None: for ever.
        """
        # As Jira's: base64 of twelve digits, a colon, and twenty random bytes: 44 characters without padding.
        raw = b64encode(b"%012d:%b" % (randbelow(10**12), token_bytes(20))).decode()
        made = self._clock()
        expires = None if days is None else made + timedelta(days=days)
        with self._lock:
            pat = self._tokens[_digest(raw)] = Pat(next(self._ids), user, name, made, expires)
        return pat, raw

    def owner(self, raw: str) -> User | None:
        """Give whose token it is; None for one that is unknown, revoked or expired."""
        with self._lock:
            pat, at = self._tokens.get(_digest(raw)), self._clock()
            if pat is None or (pat.expires is not None and pat.expires <= at):
                return None
            self._tokens[_digest(raw)] = replace(pat, used=at)
            return pat.user

    def of(self, user: User) -> list[Pat]:
        """Give somebody's tokens."""
        with self._lock:
            return [pat for pat in self._tokens.values() if pat.user.name == user.name]

    def revoke(self, user: User, number: int) -> None:
        """End a token.

        Raises:
            JiraError: 404, when the user has none of that id.
        """
        with self._lock:
            for digest, pat in self._tokens.items():
                if pat.id == number and pat.user.name == user.name:
                    del self._tokens[digest]
                    return
        raise JiraError(404, f"Token with id {number} does not exist.")


def _digest(raw: str) -> bytes:
    return sha256(raw.encode()).digest()


def _written(pat: Pat) -> Json:
    times = {"createdAt": pat.created, "lastAccessedAt": pat.used, "expiringAt": pat.expires}
    known = {name: moment(at) for name, at in times.items() if at is not None}
    return {"id": pat.id, "name": pat.name} | known


def create(call: Call) -> Response:
    me, body = call.me(), call.body()
    name, days = body.get("name"), body.get("expirationDuration")
    if not isinstance(name, str) or not name.strip():
        raise JiraError(400, errors={"name": "Token name is required."})
    if days is not None and (type(days) is not int or not 0 < days < 10_000):
        raise JiraError(400, errors={"expirationDuration": "Expiry must be a number of days."})
    pat, raw = call.site.pats.create(me, name, days)
    return answer(_written(pat) | {"rawToken": raw}, 201)


def mine(call: Call) -> Response:
    return answer(list(map(_written, call.site.pats.of(call.me()))))


def revoke(call: Call, number: int) -> Response:
    call.site.pats.revoke(call.me(), number)
    return done()


_TOKENS = "/rest/pat/latest/tokens"

ROUTES: list[Route] = [
    ("POST", _TOKENS, create),
    ("GET", _TOKENS, mine),
    ("DELETE", f"{_TOKENS}/<int:number>", revoke),
]
