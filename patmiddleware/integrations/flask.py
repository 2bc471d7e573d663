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

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, TypeVar, cast

try:
    from flask import Flask, current_app, request, request_started
except ModuleNotFoundError as error:
    if error.name != "flask":
        raise
    raise ModuleNotFoundError("this needs Flask: run pip install 'flask>=3'", name="flask") from error

from werkzeug.local import LocalProxy

from ..annotate import grant_from
from ..errors import ConfigurationError
from ..model import Grant
from ..routes import KEY
from .embedding import Embedding
from .flask_commands import Tokens
from .flask_gate import Gate, Refused
from .flask_views import View, asking, demanded_at, guarding
from .flat import check_prefix

__all__ = ["Gate", "PersonalAccessTokens", "Refused", "current_grant", "require_scope"]

PREFIX = "PATMIDDLEWARE_"

V = TypeVar("V", bound=Callable[..., Any])  # Any: a view takes and gives what it likes

# Typed as what it stands for, as Flask does.
current_grant: Grant | None = LocalProxy(lambda: grant_from(request.environ))  # type: ignore[assignment]
"""The grant of the request at hand; where there is none it is false, but never ``is None``, for it is a proxy.

Outside of a request it raises Flask's own RuntimeError.
"""


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

    For functions, coroutines, methods of a class-based view, whole classes, and what runs before views; above or below
    a route and any decorator that uses :func:`functools.wraps`. Several add up. What is demanded holds before anything
    else that the application does with the request, but for converters; the answers to ``OPTIONS`` that Flask makes
    itself demand nothing. A function that was guarded once is guarded wherever it is registered.

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

    asking(cls, scopes)  # what a route below has made already has no guard around it
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
    if request.endpoint in app.view_functions and demanded_at(app, request.endpoint, request.method) is not None:
        raise _no_gate(app.name)


def _no_gate(name: str) -> ConfigurationError:
    message = f"a view of {name!r} demands a token, but there is no gate before the application"
    return ConfigurationError(message, hint="call PersonalAccessTokens(app)")
