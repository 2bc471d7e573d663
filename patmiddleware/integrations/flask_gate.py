"""The gate before a Flask application, and what refuses a request behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import product

from flask import Flask, Request, request
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, Unauthorized
from werkzeug.wrappers import Response

from ..annotate import Environ
from ..errors import ConfigurationError, Problem
from ..interfaces import AccessPolicy, TokenReader
from ..issuer import Issuer
from ..model import Denied
from ..reject import ROWS, explanation
from ..routes import Route
from .embedding import Embedding
from .flask_views import Demand, View, before, demanded_at, demanded_by, examples, judged_later


class Refused(HTTPException):
    """A view demands what the request does not have.

    Without a handler of the application's it is answered as the gate answers its own refusals. A handler may be for
    this class, or for 400, 401 or 403; the audit has heard of it by then.

    Attributes:
        denied: why.
    """

    def __init__(self, denied: Denied, response: Response) -> None:
        super().__init__(explanation(denied))
        self.denied, self.response = denied, response


# Flask finds a handler by a class's own status.
class _Malformed(Refused, BadRequest):
    pass


class _Unauthorized(Refused, Unauthorized):
    pass


class _Forbidden(Refused, Forbidden):
    pass


_KINDS: dict[int, type[Refused]] = {kind.code: kind for kind in (_Malformed, _Unauthorized, _Forbidden)}


class Gate:
    """The gate of one application: ``app.extensions["patmiddleware"]``.

    Args:
        app: the application.
        embedding: the gate before it.

    Raises:
        ConfigurationError: with every view that demands a scope that the policy does not know.
    """

    def __init__(self, app: Flask, embedding: Embedding) -> None:
        self._app, self.embedding = app, embedding
        self.policy: AccessPolicy | None = embedding.policy
        self._demands: dict[tuple[str, str], tuple[View, Demand]] = {}
        problems: list[Problem] = []
        for endpoint, view in app.view_functions.items():
            try:
                self.judge(endpoint, view)
            except ConfigurationError as error:
                problems += error.problems
        if problems:
            raise ConfigurationError(problems)
        app.view_functions = _Views(app.view_functions, self._registered)
        for endpoint, view in app.view_functions.items():
            self._registered(endpoint, view)
        # The first of what Flask calls for a request, whatever order the application was told in.
        app.url_value_preprocessors.setdefault(None, []).insert(0, self._ask_first)

    @property
    def store(self) -> TokenReader:
        """Where tokens are found."""
        return self.embedding.store

    def issuer(self) -> Issuer:
        """Give what makes tokens within the limits of the settings.

        Raises:
            ConfigurationError: when the store can only be read.
        """
        return self.embedding.issuer()

    def routes(self) -> Iterator[Route]:
        """Give every route; one whose methods demand differently is given in parts.

        The answers to ``OPTIONS`` that Flask makes itself are left out: no view has a part in them.
        """
        told = self._told()
        for rule in self._app.url_map.iter_rules():
            parts: dict[Demand, list[str]] = {}
            for method in _ANY if rule.methods is None else sorted(rule.methods):
                if not (method == "OPTIONS" and getattr(rule, _AUTOMATIC, False)):
                    parts.setdefault(demanded_at(self._app, rule.endpoint, method), []).append(method)
            path, *others = dict.fromkeys((*examples(rule), *told.get(id(rule), ())))
            known = {"name": rule.endpoint, "path": rule.rule, "example": path, "others": tuple(others)}
            for scopes, methods in parts.items():
                yield Route(**known, methods=tuple(methods), scopes=scopes)

    def _told(self) -> dict[int, list[str]]:
        """Give the paths that the policy's allows are about, by the identity of the rule that serves them."""
        adapter, found = self._app.url_map.bind("localhost"), dict[int, list[str]]()
        for path, method in product(self.embedding.allowed_paths, _ANY):
            with suppress(Exception):  # it is served by none; or a converter of the application's fails in its own way
                rule, _ = adapter.match(path, method, return_rule=True)
                found.setdefault(id(rule), []).append(path)
        return found

    def demand(self, scopes: frozenset[str], environ: Environ) -> None:
        """Refuse a request if it lacks what is demanded.

        Raises:
            Refused: if so; the audit is told.
            ConfigurationError: when the request did not come through the gate.
        """
        denied = self.embedding.lacking(environ, scopes)
        if denied is not None:
            answer = Response.from_app(partial(self.embedding.refuse, denied), environ)
            raise _KINDS[ROWS[denied.reason].status](denied, answer)

    def _ask_first(self, endpoint: str | None, values: object) -> None:
        if endpoint is None or (view := self._app.view_functions.get(endpoint)) is None:
            return  # no view will run: Flask answers, the same to everybody
        asked: Request = request._get_current_object()  # type: ignore[attr-defined]  # once: each look at it is dear
        method = asked.method
        if method == "OPTIONS" and getattr(asked.url_rule, _AUTOMATIC, False):
            return
        known = self._demands.get((endpoint, method))
        if known is None or known[0] is not view:
            known = view, demanded_at(self._app, endpoint, method)
            if method in _ANY:  # a rule of werkzeug's own may take any word, and words have no end
                self._demands[endpoint, method] = known
        if known[1] is not None:
            self.demand(known[1], asked.environ)

    def judge(self, endpoint: str, view: View) -> None:
        """See to it that the policy knows what a view demands.

        Raises:
            ConfigurationError: when it does not; with the view and the nearest scope.
        """
        self._demands.clear()
        views = (*before(self._app, endpoint), view)
        scopes = demanded_by(views, getattr(view, "methods", None) or ())
        self.embedding.check(scopes or frozenset(), f"view {endpoint!r}")

    def _registered(self, endpoint: str, view: View) -> None:
        self.judge(endpoint, view)
        judged_later(self, endpoint, view)


_ANY = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""What is told of a rule that takes any method."""
_AUTOMATIC = "provide_automatic_options"  # Flask's own mark on a rule


class _Views(dict[str, View]):
    """Views by their endpoints; whichever way one is registered, it is judged then."""

    def __init__(self, views: dict[str, View], registered: Callable[[str, View], None]) -> None:
        super().__init__(views)
        self._registered = registered

    def __setitem__(self, endpoint: str, view: View) -> None:
        self._registered(endpoint, view)
        super().__setitem__(endpoint, view)
