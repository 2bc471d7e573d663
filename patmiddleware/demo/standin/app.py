"""The stand-in as a WSGI application: from a path to its handler, and from an error to its answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import quote

from werkzeug import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

from . import discussion, issues, reference
from .call import Call, JiraRequest, answer
from .model import JiraError, User
from .seed import seeded
from .shapes import JiraJson, problem
from .state import JiraState

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_VERSION = re.compile(r"/rest/api/(?:latest|2\.0\.alpha1)(?=/)")
_ROUTES = [*reference.ROUTES, *issues.ROUTES, *discussion.ROUTES]


class JiraStandIn:
    """A small Jira Server 9.12 that believes ``REMOTE_USER``.

    Args:
        base_url: address that links lead to, such as ``https://jira.example.org/jira``; empty: the address asked.
        context: path that stands before all of Jira's own, such as ``/jira``; empty: none.
        state: what it knows; left out: users, a project and issues to play with.
    """

    def __init__(self, base_url: str = "", context: str = "", *, state: JiraState | None = None) -> None:
        self.state = state if state is not None else seeded()
        self._base = base_url.rstrip("/")
        self._context = context.rstrip("/")
        self._requests = count(1)
        rules = [Rule(path, methods=[method], endpoint=handler) for method, path, handler in _ROUTES]
        self._map = Map(rules, strict_slashes=False, merge_slashes=False)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        user = self._user(environ)
        request = JiraRequest(environ)
        with request:
            response = self._answer(request, user)
        response.headers.extend(self._headers(user))
        return response(environ, start_response)

    def _user(self, environ: WSGIEnvironment) -> User | None:
        # A native string of PEP 3333: UTF-8 bytes in the guise of Latin-1.
        name = str(environ.get("REMOTE_USER") or "").encode("latin-1", "replace").decode("utf-8", "replace")
        return self.state.welcome(name) if name else None

    def _headers(self, user: User | None) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "X-AREQUESTID": f"{now.hour * 60 + now.minute}x{next(self._requests)}x1",
            "X-AUSERNAME": quote(user.name, safe="@") if user else "anonymous",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox",
            "Cache-Control": "no-cache, no-store, no-transform",
        }

    def _answer(self, request: JiraRequest, user: User | None) -> Response:
        try:
            path = self._path(request.path)
            handler, captured = self._map.bind("").match(path, request.method)
            base = self._base or request.root_url.rstrip("/") + self._context
            response: Response = handler(Call(request, self.state, user, JiraJson(base)), **captured)
            return response
        except JiraError as error:
            return answer(problem(error), error.status)
        except NotFound:
            return _not_found(request.path)
        except MethodNotAllowed as error:
            return Response(status=405, headers={"Allow": ", ".join(sorted(error.valid_methods or ()))})
        except HTTPException as error:
            return answer(problem(JiraError(error.code or 400, error.description or error.name)), error.code or 400)

    def _path(self, path: str) -> str:
        """Give the one spelling of a path that routes are written in."""
        if self._context:
            if not path.startswith(self._context + "/"):
                raise NotFound
            path = path.removeprefix(self._context)
        path = _VERSION.sub("/rest/api/2", path, count=1) if path.startswith("/rest/api/") else path
        return path.removesuffix(".json") if path.startswith("/rest/") else path


def _not_found(path: str) -> Response:
    if "/rest/api/" in path:
        return answer({"message": f"null for uri: {path}", "status-code": 404}, 404)
    return Response("<html><head><title>Not found</title></head></html>", 404, content_type="text/html;charset=UTF-8")
