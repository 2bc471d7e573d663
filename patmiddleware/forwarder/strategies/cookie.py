"""Be one account for everybody, by a session: log in with a password, and send the session's cookie.

A login is one for all threads of a process, is renewed once where the upstream does not know the session any more, and
is never tried where it could lock the account (:mod:`patmiddleware.forwarder.breaker`).
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ...backends.caching import Flights
from ...errors import BackendUnavailable, UpstreamError, UpstreamTimeout
from ...interfaces import Caller, Transport, UpstreamRequest
from ...model import Secret
from ..asking import Whole, ask
from ..breaker import Breaker, Trouble
from ..given import text
from .carrying import carrying

LOGIN = "/rest/auth/1/session"
"""Below the context path; nothing else ever hears the password."""
SESSION = "JSESSIONID"
FRESH = 10.0
"""Seconds in which a session that was just made is not given up: the next would be refused as well."""

_COOKIE = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([\x21-\x3a\x3c-\x7e]+)\s*(;.*)?")  # RFC 6265, section 5.2
_OVER = re.compile(r";\s*max-age\s*=\s*(0|-)", re.IGNORECASE)
_REMEMBERED = "seraph.rememberme.cookie"
_JSON = (("Content-Type", "application/json"), ("Accept", "application/json"))


@dataclass(frozen=True, slots=True, eq=False)
class _Session:
    """A session at the upstream: its cookies, and when it was made, in seconds since the epoch."""

    cookies: Secret
    since: float


class CookieLogin:
    """Signs with the cookies of a session.

    :meth:`refused` is to be called by the thread that called :meth:`sign` for the same request: that is how one that
    was refused with an old session is told from one that was refused with the present one.

    Args:
        transport: to the upstream.
        upstream: its address, with the context path.
        username: of the account.
        password: sent to :data:`LOGIN` alone.
        state: folder for notes of failed logins; left out: a private one among the temporary files.
        clock: seconds since the epoch.

    Raises:
        ConfigurationError: when the user name or the password can't be one, or the folder is none.
    """

    is_callers = False

    def __init__(
        self,
        transport: Transport,
        upstream: str,
        username: str,
        password: Secret | str,
        *,
        state: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        name, secret = text("username", username), Secret(text("password", password))
        self._transport, self._clock = transport, clock
        self._login_path = urlsplit(upstream).path.rstrip("/") + LOGIN
        self._account = Secret(json.dumps({"username": name, "password": secret.reveal()}))
        self._breaker = Breaker(upstream, name, secret, folder=state, clock=clock)
        self._flights: Flights[str, _Session] = Flights()
        self._lock, self._used = threading.Lock(), threading.local()
        self._session: _Session | None = None

    def __repr__(self) -> str:
        return "<CookieLogin>"

    def sign(self, request: UpstreamRequest, caller: Caller) -> UpstreamRequest:
        """Give the request as one of the session, logging in where there is none.

        Jira's check against forged requests is for browsers, which send cookies unasked; that these are meant was
        judged before.

        Raises:
            LinkError: when the upstream does not let the account in, or must not be asked again yet.
            UpstreamError: when it can't be asked.
        """
        session = self._session or self._log_in()
        self._used.session = session
        return carrying(carrying(request, "Cookie", session.cookies.reveal()), "X-Atlassian-Token", "no-check")

    def refused(self, caller: Caller) -> bool:
        """Give the session up that this thread signed with last; say whether there is or may be another one."""
        used: _Session | None = getattr(self._used, "session", None)
        with self._lock:
            if used is None or self._session is not used:
                return used is not None
            # Not for ever: a clock may have been set back since.
            if abs(self._clock() - used.since) < FRESH:
                return False
            self._session = None
            return True

    def forget_failures(self) -> None:
        """Let the next request try to log in, whatever was noted: an administrator has seen to it."""
        self._breaker.reset()

    def _log_in(self) -> _Session:
        try:
            with self._flights.of(LOGIN):
                # Only the one within makes a session, so that nobody puts another one in its place meanwhile.
                session = self._session
                if session is None:
                    session = self._session = self._logged_in()
                return session
        except UpstreamError:
            raise
        except BackendUnavailable as error:  # the login failed that this one waited for
            kind = UpstreamTimeout if isinstance(error.__cause__, UpstreamTimeout) else UpstreamError
            raise kind(str(error)) from error

    def _logged_in(self) -> _Session:
        with self._breaker.login():
            answer = ask(self._transport, "POST", self._login_path, _JSON, self._account.reveal().encode())
            trouble = _trouble(answer)
            cookies = dict(_cookies(answer.all("Set-Cookie")))
            if trouble is None and SESSION not in cookies:
                trouble = Trouble.ODD
            if trouble is not None:
                raise self._breaker.trip(trouble)
            self._breaker.reset()
        return _Session(Secret("; ".join(f"{name}={value}" for name, value in cookies.items())), self._clock())


def _trouble(answer: Whole) -> Trouble | None:
    """Say what is wrong with the answer to a login.

    Raises:
        UpstreamError: when the account has nothing to do with it.
    """
    status = answer.status
    if status == 403 or any("CAPTCHA" in reason for reason in answer.all("X-Authentication-Denied-Reason")):
        return Trouble.CHALLENGE
    if status == 401:
        return Trouble.REFUSED
    if status == 429 or status >= 500:
        raise UpstreamError(f"the upstream answers a login with {status}: try again later")
    return None if status == 200 else Trouble.ODD


def _cookies(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Give the cookies that make a session: Jira's, and those by which a balancer finds its node again."""
    for line in lines:
        found = _COOKIE.fullmatch(line)
        # One that is to be remembered would make a new session, unseen, in the place of one that was ended.
        if found and found[1] != _REMEMBERED and not _OVER.search(found[3] or ""):
            yield found[1], found[2]
