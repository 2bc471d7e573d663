"""The stand-in as a WSGI application: from a path to its handler, and from an error to its answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import cache
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import quote

from werkzeug import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

from . import administration, discussion, issues, oauth, pats, reference, sessions, transfers, who, xsrf
from .accounts import Accounts
from .call import Call, JiraRequest, answer
from .links import ApplicationLink, Links, OAuthProblem
from .log import Counted, Log, Seen, headers_of, target_of
from .manners import Manners
from .model import JiraError
from .pats import Pats
from .rates import Rates
from .refusals import challenge, page, to_login
from .refusals import problem as oauth_problem
from .seed import seeded
from .sessions import Sessions
from .shapes import JiraJson, problem
from .site import Site
from .state import JiraState, now

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_SPELLINGS = (
    (re.compile(r"/rest/api/(?:latest|2\.0\.alpha1)(?=/)"), "/rest/api/2"),
    (re.compile(r"/rest/auth/(?:latest|1\.0)(?=/)"), "/rest/auth/1"),
    (re.compile(r"/rest/pat/1\.0(?=/)"), "/rest/pat/latest"),
)
_MODULES = (administration, discussion, issues, oauth, pats, reference, sessions, transfers)
SWALLOWED = 2 * 2**20
"""Bytes of a body that are still read, and logged, where no handler wanted them."""


class JiraStandIn:
    """A small Jira Server 9.12.

    Args:
        base_url: address that links lead to, such as ``https://jira.example.org/jira``; empty: the address asked.
        context: path that stands before all of Jira's own, such as ``/jira``; empty: none.
        state: what it knows; left out: users, a project and issues to play with.
        gate: whether ``REMOTE_USER`` is believed, and nothing else is: for what has a gate before it in one process.
            Otherwise the stand-in decides itself who the caller is: by session, Basic, Bearer or OAuth.
        passwords: name of a user to the password; who is not in it can't log in with one.
        administrators: names of those who may administer.
        links: applications that may sign requests with OAuth 1.0a.
        manners: how answers are sent.
        upload_limit: bytes of a body that is not streamed.
        rate_limit: requests of a user in a minute, told with each answer; None: any number.
        log: keeps what reached it.
        serve_log: whether ``/plugins/servlet/standin/`` has ``log``, and ``reset/NAME`` to take back a CAPTCHA.
        clock: gives the time, in UTC.

    Attributes:
        accounts: passwords and failed logins.
        sessions: who has logged in.
        pats: personal access tokens.
        links: application links and their tokens.
        log: what reached it.
        state: projects and issues.
    """

    def __init__(
        self,
        base_url: str = "",
        context: str = "",
        *,
        state: JiraState | None = None,
        gate: bool = False,
        passwords: Mapping[str, str] | None = None,
        administrators: Collection[str] = ("admin",),
        links: Iterable[ApplicationLink] = (),
        manners: Manners | None = None,
        upload_limit: int = 10 * 2**20,
        rate_limit: int | None = None,
        log: Log | None = None,
        serve_log: bool = False,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._base, self._context = base_url.rstrip("/"), context.rstrip("/")
        self._gate, self._manners, self._upload_limit = gate, manners or Manners(), upload_limit
        self.state = state if state is not None else seeded(clock)
        self.accounts = Accounts(self.state, passwords or {}, administrators, clock)
        self.sessions = Sessions(self._context, secure=base_url.startswith("https:"))
        self.pats, self.links = Pats(clock), Links(links)
        self.log = log if log is not None else Log()
        self._site = Site(self.state, self.accounts, self.sessions, self.pats, self.links, self.log, clock)
        self._rates, self._requests = Rates(rate_limit, clock), count(1)
        self._map = _routes(serve_log)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        body = Counted(environ["wsgi.input"])
        environ["wsgi.input"] = body
        caller, status = who.Caller(), 0
        request = JiraRequest(environ)
        request.max_content_length = self._upload_limit
        try:
            with request:
                base = self._base or request.root_url.rstrip("/") + self._context
                caller, response = self._respond(request, base)
            _swallow(environ, body)
            status = response.status_code
        finally:
            self._note(environ, caller, status, body)
        return response(environ, start_response)

    def _respond(self, request: JiraRequest, base: str) -> tuple[who.Caller, Response]:
        caller, limits = who.Caller(), dict[str, str]()
        try:
            path = self._path(request.path)
            caller = who.believed(request, self._site) if self._gate else who.found(request, self._site, path, base)
            limits, refusal = self._rates.take(caller.user)
            response = caller.refusal or refusal or self._answer(request, path, caller, base)
        except (JiraError, OAuthProblem, HTTPException) as error:
            response = self._refused(error, request, caller, base)
        for name, value in limits.items():
            response.headers.setdefault(name, value)
        self._finish(request, response, caller, base)
        return caller, response

    def _answer(self, request: JiraRequest, path: str, caller: who.Caller, base: str) -> Response:
        if path.startswith("/rest/") and (refusal := xsrf.refusal(request, base)) is not None:
            return refusal
        handler, captured = self._map.bind("").match(path, request.method)
        response: Response = handler(Call(request, self._site, caller.user, JiraJson(base)), **captured)
        return response

    def _path(self, path: str) -> str:
        """Give the one spelling of a path that routes are written in."""
        if self._context:
            if not path.startswith(self._context + "/"):
                raise NotFound
            path = path.removeprefix(self._context)
        for spelling, usual in _SPELLINGS:
            if found := spelling.match(path):
                path = usual + path[found.end() :]
        return path.removesuffix(".json") if path.startswith("/rest/") else path

    def _refused(self, error: Exception, request: JiraRequest, caller: who.Caller, base: str) -> Response:
        match error:
            case JiraError():
                return answer(problem(error), error.status)
            case OAuthProblem():
                return oauth_problem(error.fields)
            case NotFound():
                return self._not_found(request, caller, base)
            case MethodNotAllowed():
                return Response(status=405, headers={"Allow": ", ".join(sorted(error.valid_methods or ()))})
            case HTTPException():
                code, words = error.code or 400, error.description or error.name
                return answer(problem(JiraError(code, words)), code)
        raise error

    def _not_found(self, request: JiraRequest, caller: who.Caller, base: str) -> Response:
        if "/rest/api/" in request.path:
            return answer({"message": f"null for uri: {request.path}", "status-code": 404}, 404)
        # Nobody is shown which pages there are.
        is_page = request.method in ("GET", "HEAD") and not request.path.startswith(f"{self._context}/rest/")
        is_here = request.path.startswith(f"{self._context}/")
        return to_login(request, base) if is_page and is_here and caller.user is None else page(404, "Not found")

    def _finish(self, request: JiraRequest, response: Response, caller: who.Caller, base: str) -> None:
        self._manners.apply(response, request)
        at, headers = self._site.clock(), response.headers
        headers["X-AREQUESTID"] = f"{at.hour * 60 + at.minute}x{next(self._requests)}x1"
        headers["X-ANODEID"] = "node1"
        headers.setdefault("X-AUSERNAME", quote(caller.user.name, safe="@") if caller.user else "anonymous")
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-XSS-Protection"] = "1; mode=block"
        headers["Content-Security-Policy"] = "sandbox"
        headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
        headers["Cache-Control"] = "no-cache, no-store, no-transform"
        if response.status_code == 401 and not self._gate:
            headers["WWW-Authenticate"] = challenge(base)
        own = {name.casefold() for name in dict(headers)}
        headers.extend([(name, value) for name, value in caller.headers if name.casefold() not in own])

    def _note(self, environ: WSGIEnvironment, caller: who.Caller, status: int, body: Counted) -> None:
        path = str(environ.get("PATH_INFO", "")).removeprefix(self._context)
        if path.startswith(transfers.UNSEEN):
            return
        method, user = str(environ["REQUEST_METHOD"]), caller.user.name if caller.user else None
        came = (method, target_of(environ), headers_of(environ))
        self.log.add(Seen(*came, user, caller.how, status, body.length, body.begin))


@cache  # making it takes longer than all else that a stand-in is made of
def _routes(watched: bool) -> Map:
    routes = [route for module in _MODULES for route in module.ROUTES] + (transfers.WATCHING if watched else [])
    rules = [Rule(path, methods=[method], endpoint=handler) for method, path, handler in routes]
    return Map(rules, strict_slashes=False, merge_slashes=False)


def _swallow(environ: WSGIEnvironment, body: Counted) -> None:
    """Read what no handler has read, where the server says how long it is: the log is to have it."""
    waits = "100-continue" in str(environ.get("HTTP_EXPECT", "")).casefold() and not body.length
    if environ.get("wsgi.input_terminated") and not waits and not environ.get("standin.early"):
        while body.length < SWALLOWED and body.read(65_536):
            pass
