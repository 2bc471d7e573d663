"""Sessions: ``/rest/auth/1/session``, and the two cookies that go with one."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from secrets import token_hex
from threading import Lock
from urllib.parse import quote

from werkzeug import Response

from .accounts import Refusal
from .call import Call, JiraRequest, Route, answer, done
from .model import JiraError, User
from .refusals import denied, page

COOKIE = "JSESSIONID"
XSRF_COOKIE = "atlassian.xsrf.token"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has logged in.

    Args:
        id: the value of the cookie.
        user: who it is.
        label: what ``X-ASESSIONID`` shows of it.
    """

    id: str = field(repr=False)
    user: User
    label: str


class Sessions:
    """Sessions of a stand-in; safe to share between threads.

    Args:
        path: that cookies are for: the context path, or ``/``.
        secure: whether cookies are for HTTPS alone.
        most: how many are kept; the oldest ones end.
    """

    def __init__(self, path: str = "/", *, secure: bool = False, most: int = 10_000) -> None:
        self._suffix = f"; Path={path or '/'}"
        self._secure, self._most = "; Secure" if secure else "", most
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, user: User) -> Session:
        """Begin a session for somebody."""
        session = Session(token_hex(16).upper(), user, token_hex(4))
        with self._lock:
            self._sessions[session.id] = session
            if len(self._sessions) > self._most:
                self._sessions.popitem(last=False)
        return session

    def of(self, request: JiraRequest) -> Session | None:
        """Give the session that a request's cookie names; None where there is none, or no more."""
        return self._sessions.get(request.cookies.get(COOKIE, ""))

    def end(self, session: Session | None) -> None:
        """End a session."""
        with self._lock:
            if session is not None:
                self._sessions.pop(session.id, None)

    def end_all(self) -> None:
        """End all sessions, as a restart does."""
        with self._lock:
            self._sessions.clear()

    def cookies(self, session: Session | None) -> list[tuple[str, str]]:
        """Give the headers that hand a session over: two; None: one that nobody has logged in to."""
        number = session.id if session else token_hex(16).upper()
        four = "-".join(token_hex(2).upper() for _ in range(4))
        token = f"{four}_{token_hex(20)}_{'lin' if session else 'lout'}"
        return [
            ("Set-Cookie", f"{COOKIE}={number}{self._suffix}; HttpOnly{self._secure}"),
            ("Set-Cookie", f"{XSRF_COOKIE}={token}{self._suffix}{self._secure}"),
        ]


def login(call: Call) -> Response:
    body, site = call.body(), call.site
    entered = site.accounts.login(str(body.get("username") or ""), str(body.get("password") or ""))
    if entered is Refusal.DENIED:
        return denied(call.write.base)
    if isinstance(entered, Refusal):
        refused = answer({"errorMessages": ["Login failed"], "errors": {}}, 401)
        refused.headers["X-Seraph-LoginReason"] = entered.value
        return refused
    site.sessions.end(site.sessions.of(call.request))
    session = site.sessions.begin(entered)
    shown = {"name": COOKIE, "value": session.id}
    response = answer({"session": shown, "loginInfo": site.accounts.info(entered)})
    response.headers["X-AUSERNAME"] = quote(entered.name, safe="@")
    response.headers["X-ASESSIONID"] = session.label
    response.headers["X-Seraph-LoginReason"] = "OK"
    response.headers.extend(site.sessions.cookies(session))
    return response


def current(call: Call) -> Response:
    me = call.me()
    address = f"{call.write.base}/rest/api/latest/user?username={quote(me.name)}"
    return answer({"self": address, "name": me.name, "loginInfo": call.site.accounts.info(me)})


def logout(call: Call) -> Response:
    session = call.site.sessions.of(call.request)
    if session is None:
        raise JiraError(401, "You are not authenticated. Authentication required to perform this operation.")
    call.site.sessions.end(session)
    response = done()
    response.headers["X-Seraph-LoginReason"] = "OUT"
    return response


def login_page(call: Call) -> Response:
    return page(200, "Log in")


_SESSION = "/rest/auth/1/session"

ROUTES: list[Route] = [
    ("POST", _SESSION, login),
    ("GET", _SESSION, current),
    ("DELETE", _SESSION, logout),
    ("GET", "/login.jsp", login_page),
    ("POST", "/login.jsp", login_page),
]
