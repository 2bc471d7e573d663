"""The gate inside Flask: an extension, a decorator, and who it is that asks.

The gate lets pages without tokens go on working, and views say what they need::

    app = Flask(__name__)
    app.config["PATMIDDLEWARE_STORE"] = "sqlite:///tokens.db"
    PersonalAccessTokens(app)

    @app.post("/notes")
    @require_scope("write")
    def add():
        return f"Thank you, {current_grant.owner}"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, TypeVar, cast

try:
    from flask import Flask, Request, current_app, request, request_started
except ModuleNotFoundError as error:
    if error.name != "flask":
        raise
    raise ModuleNotFoundError("this needs Flask: run pip install 'flask>=3'", name="flask") from error

from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, Unauthorized
from werkzeug.local import LocalProxy
from werkzeug.wrappers import Response

from ..annotate import Environ, grant_from
from ..errors import ConfigurationError, Problem
from ..interfaces import AccessPolicy, TokenReader
from ..issuer import Issuer
from ..model import Denied, Grant
from ..reject import ROWS, explanation
from ..routes import KEY, Route
from .embedding import Embedding, check_prefix
from .flask_commands import Tokens
from .flask_views import Demand, View, demanded, demanded_by, enforced, examples, guarding, joined, judged_later

__all__ = ["Gate", "PersonalAccessTokens", "Refused", "current_grant", "require_scope"]

PREFIX = "PATMIDDLEWARE_"

V = TypeVar("V", bound=Callable[..., Any])  # Any: a view takes and gives what it likes

# Typed as what it stands for, as Flask does.
current_grant: Grant | None = LocalProxy(lambda: grant_from(request.environ))  # type: ignore[assignment]
"""The grant of the request at hand; where there is none it is false, but never ``is None``, for it is a proxy.

Outside of a request it raises Flask's own RuntimeError.
"""


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
        for rule in self._app.url_map.iter_rules():
            view = self._app.view_functions.get(rule.endpoint)
            before = joined(map(enforced, self._before(rule.endpoint)))
            parts: dict[Demand, list[str]] = {}
            for method in _ANY if rule.methods is None else sorted(rule.methods):
                if not (method == "OPTIONS" and getattr(rule, _AUTOMATIC, False)):
                    own = None if view is None else demanded(view, method)
                    parts.setdefault(joined((before, own)), []).append(method)
            path, *others = examples(rule)
            known = {"name": rule.endpoint, "path": rule.rule, "example": path, "others": tuple(others)}
            for scopes, methods in parts.items():
                yield Route(**known, methods=tuple(methods), scopes=scopes)

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
            known = view, demanded(view, method)
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
        views = (*self._before(endpoint), view)
        scopes = demanded_by(views, getattr(view, "methods", None) or ())
        self.embedding.check(scopes or frozenset(), f"view {endpoint!r}")

    def _registered(self, endpoint: str, view: View) -> None:
        self.judge(endpoint, view)
        judged_later(self, endpoint, view)

    def _before(self, endpoint: str) -> Iterator[View]:
        """Give what runs before a view, for the application and for each blueprint that the view is in."""
        name = endpoint
        while name:
            name = name.rpartition(".")[0]
            yield from self._app.before_request_funcs.get(name or None, ())


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


class PersonalAccessTokens:
    """Put the gate before Flask applications.

    Settings are read from ``app.config``: ``PATMIDDLEWARE_STORE``, ``PATMIDDLEWARE_POLICY`` and every other option of
    :class:`~patmiddleware.PATMiddleware`, as text or as the object itself; ``PATMIDDLEWARE_ISSUER`` and every other
    table of a settings file as a dictionary; or ``PATMIDDLEWARE_CONFIG``, the path of one. Relative paths start
    where ``app.config.from_file`` looks: in the application's folder, or in that of the instance with
    ``instance_relative_config``.

    Args:
        app: to begin with; others may follow by :meth:`init_app`, each with a gate of its own.
        options: the same settings in lower case; they stand over those of the application.
    """

    def __init__(self, app: Flask | None = None, **options: object) -> None:
        self._options = options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Put the gate before an application, which shows it as ``app.extensions["patmiddleware"]``.

        Raises:
            ConfigurationError: with all that is wrong, for what is no application, or when there is a gate before it
                already.
        """
        given: object = app  # where no type checker looks, it is the address of a store
        if not isinstance(given, Flask):
            hint = "write PersonalAccessTokens(app), and PATMIDDLEWARE_STORE in app.config or store=…"
            raise ConfigurationError(f"a {type(given).__name__} is no Flask application", hint=hint)
        if KEY in app.extensions:
            raise ConfigurationError(f"there is a gate before {app.name!r} already", hint="call init_app once")
        check_prefix(app.config, PREFIX)
        settings = {**app.config.get_namespace(PREFIX), **self._options}
        folder = Path(app.config.root_path)
        embedding = Embedding(app.wsgi_app, settings, prefix=PREFIX, folder=folder)
        app.extensions[KEY] = Gate(app, embedding)
        app.wsgi_app = embedding.middleware  # type: ignore[method-assign]  # as Flask documents it
        if Tokens.NAME not in app.cli.commands:
            app.cli.add_command(Tokens(embedding))


def require_scope(*scopes: str) -> Callable[[V], V]:
    """Demand scopes of whoever asks for a view; none: any valid token.

    For functions, coroutines, methods of a class-based view, and whole classes; above or below a route and any
    decorator that uses :func:`functools.wraps`. Several add up. What is demanded holds before anything else that the
    application does with the request, but for converters; the answers to ``OPTIONS`` that Flask makes itself demand
    nothing. A function that was guarded once is guarded wherever it is registered.

    Args:
        scopes: all of them are demanded.

    Raises:
        ConfigurationError: for what is no scope, or what the policy of an application does not know.
    """
    given: tuple[object, ...] = scopes  # where no type checker looks, require_scope is used without its brackets
    if not all(isinstance(scope, str) and scope for scope in given):
        hint = 'write @require_scope("read", "write"), or @require_scope() for any valid token'
        raise ConfigurationError("require_scope takes names of scopes", hint=hint)
    needed = frozenset(scopes)
    # A decorator above a route is not what the application runs: where no gate looks after it, Flask's signal does.
    request_started.connect(_without_gate)

    def decorate(view: V) -> V:
        return cast(V, _class(view, needed) if isinstance(view, type) else _guarded(view, needed))

    return decorate


def _guarded(view: View, scopes: frozenset[str]) -> View:
    if iscoroutinefunction(view):

        @wraps(view)
        async def guard(*args: Any, **kwargs: Any) -> Any:
            _demand(scopes)
            return await view(*args, **kwargs)
    else:

        @wraps(view)
        def guard(*args: Any, **kwargs: Any) -> Any:
            _demand(scopes)
            return view(*args, **kwargs)

    guarding(guard, view, scopes)
    return guard


def _class(cls: type, scopes: frozenset[str]) -> type:
    """Guard every view that is made of a class, or of one that inherits from it."""
    made = getattr(getattr(cls, "as_view", None), "__func__", None)
    if made is None:
        raise ConfigurationError(f"{cls.__name__} is no class of views", hint="inherit from flask.views.MethodView")

    @wraps(made)
    def as_view(cls: type, *args: Any, **kwargs: Any) -> View:
        return _guarded(made(cls, *args, **kwargs), scopes)

    cls.as_view = classmethod(as_view)  # type: ignore[attr-defined]  # it is there, as was seen above
    return cls


def _demand(scopes: frozenset[str]) -> None:
    gate = current_app.extensions.get(KEY)
    if not isinstance(gate, Gate):
        raise _no_gate(current_app.name)
    gate.demand(scopes, request.environ)


def _without_gate(app: Flask, **more: object) -> None:
    """Keep an application without a gate from running a view that demands a token."""
    if isinstance(app.extensions.get(KEY), Gate) or request.endpoint is None:
        return
    view = app.view_functions.get(request.endpoint)
    if view is not None and demanded(view, request.method) is not None:
        raise _no_gate(app.name)


def _no_gate(name: str) -> ConfigurationError:
    message = f"a view of {name!r} demands a token, but there is no gate before the application"
    return ConfigurationError(message, hint="call PersonalAccessTokens(app)")
