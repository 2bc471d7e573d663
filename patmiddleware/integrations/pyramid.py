"""The gate inside a Pyramid application: ``config.include("patmiddleware.integrations.pyramid")``.

Settings are those of :class:`~patmiddleware.integrations.embedding.Embedding`, each with ``patmiddleware.`` before it:
``patmiddleware.store = sqlite:///%(here)s/tokens.db``. Relative paths start at the working directory. With
``patmiddleware.security_policy = false`` the application's security is left alone.

It gives ``request.grant``; the view option ``require_scope``; a security policy, unless the application has one; and
``registry["patmiddleware"]``, a :class:`PersonalAccessTokens`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..annotate import Environ, grant_from
from ..errors import ConfigurationError
from ..interfaces import AccessPolicy, TokenReader
from ..issuer import Issuer
from ..model import Denied, Grant
from ..reject import explanation
from ..routes import KEY, Route
from .embedding import Embedding

try:
    from pyramid.events import ApplicationCreated, NewRequest
    from pyramid.httpexceptions import HTTPForbidden, default_exceptionresponse_view
    from pyramid.interfaces import (
        PHASE2_CONFIG,
        IExceptionResponse,
        IExceptionViewClassifier,
        IRequest,
        ISecurityPolicy,
        IView,
    )
    from pyramid.settings import asbool

    from .pyramid_routes import routes_of
    from .pyramid_security import TokenSecurityPolicy, forbidden
except ImportError as error:
    raise ConfigurationError("this needs Pyramid 2 or newer", hint="pip install 'pyramid>=2'") from error

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

__all__ = ["PersonalAccessTokens", "Refused", "TokenSecurityPolicy", "forbidden", "includeme", "require_scope"]

# Pyramid has no types: its requests, configurators, routers and views are of any.
Untyped: TypeAlias = Any

PREFIX = f"{KEY}."
_POLICY = "security_policy"

_GATE = f"{PREFIX}pyramid"
"""Where an environ says whose gate let it through: one application may hand its requests to another one."""
_answered: ContextVar[tuple[PersonalAccessTokens, Environ] | None] = ContextVar("patmiddleware_answered", default=None)
"""The request that is being answered in this thread, and whose gate let it through."""


class Refused(HTTPForbidden):  # type: ignore[misc]  # untyped
    """A refusal of a view's demand, worded as the gate words its own: 401, 403.

    A view of the application for it, or for ``HTTPForbidden``, may answer in its place.

    Attributes:
        denied: why.
    """

    empty_body = True  # HEAD has none: nothing is to be put in its place

    def __init__(self, denied: Denied, status: str, headers: list[tuple[str, str]], body: Iterable[bytes]) -> None:
        super().__init__(explanation(denied))
        self.denied = denied
        self.status, self.app_iter = status, body
        self.code, self.title = self.status_int, status.partition(" ")[2]
        self.headerlist = headers


class PersonalAccessTokens:
    """What ``registry["patmiddleware"]`` is: the gate before a Pyramid application.

    Args:
        registry: the application's.
        settings: without their prefix.

    Attributes:
        embedding: what it stands on, with the gate itself as ``embedding.middleware``.

    Raises:
        ConfigurationError: with all that is wrong with the settings.
    """

    def __init__(self, registry: Untyped, settings: dict[str, object]) -> None:
        self._registry = registry
        self.embedding = Embedding(self._behind, settings, prefix=PREFIX, folder=Path.cwd())
        self._router: Untyped = None
        self._execution_policy: Untyped = None

    @property
    def policy(self) -> AccessPolicy | None:
        """What tokens may do; None: any valid one is enough."""
        return self.embedding.policy

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

    def routes(self) -> Iterable[Route]:
        """Give every route with a view, in the order that they match, then the views that traversal finds."""
        return routes_of(self._registry)

    def guard(self, router: Untyped) -> None:
        """Stand before a router.

        The execution policy is the first that a router asks, with nothing but the environ: no request is made yet, no
        tween has run, no transaction begun, and pyramid_retry has read no body. What it gives is called as a WSGI
        application: so the gate itself can stand here, as before any other application, and needs no place among the
        tweens, which an explicit ``pyramid.tweens`` might leave out. It is put here when the router is there, since
        settings may name another execution policy at any time before: that one answers what the gate lets through.
        """
        self._router, self._execution_policy = router, router.execution_policy
        router.execution_policy = lambda environ, router: self.embedding.middleware

    def _behind(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ[_GATE] = self
        outside = _answered.set((self, environ))
        try:
            response: WSGIApplication = self._execution_policy(environ, self._router)
        finally:
            _answered.reset(outside)
        return response(environ, start_response)

    def within(self, environ: Environ) -> Denied | None:
        """Judge a request by the one that it is made for; None: it is the one, or there is none, or it may go on."""
        gate, outer = _answered.get() or (None, environ)
        if gate is not self or outer is environ:
            return None
        denied = self.embedding.middleware.within(outer, environ)
        environ[_GATE] = self
        return denied

    def grant(self, request: Untyped) -> Grant | None:
        """Give the grant of a request; that of a subrequest is the grant of the request that it is made for."""
        self.within(request.environ)  # a tween may ask before the router has judged it
        return grant_from(self._own(request.environ))

    def identity(self, request: Untyped) -> Grant | None:
        """Give the grant that a request's permissions come from: None where nothing keeps its token's limits."""
        grant: Grant | None = request.grant
        return None if grant is None or self.lacking(request, frozenset()) is not None else grant

    def lacking(self, request: Untyped, scopes: frozenset[str]) -> Denied | None:
        """Judge a request by the scopes that a view demands; None: it may go on."""
        return self.embedding.lacking(self._own(request.environ), scopes)

    def _own(self, environ: Environ) -> Environ:
        """Give an environ that came through this gate; of any other, nothing."""
        return environ if environ.get(_GATE) is self else {}

    def check(self, scopes: frozenset[str], where: str) -> None:
        """Refuse the demand of a view that the policy does not know, by a ConfigurationError."""
        self.embedding.check(scopes, where)

    def refused(self, denied: Denied, request: Untyped) -> Refused:
        """Tell the audit of a refusal, and give it as what can be raised, or returned."""
        status, headers, body = request.call_application(
            lambda environ, start_response: self.embedding.refuse(denied, environ, start_response)
        )
        return Refused(denied, status, headers, body)


def require_scope(view: Untyped, info: Untyped) -> Untyped:
    """Derive a view that is called only for a token with every scope of its option ``require_scope``.

    A predicate that fails makes a 404; this answers 401 or 403. It stands below the permission, since what stands above
    is left out where a view is rendered with ``secure=False``, and above the check for forged forms.
    """
    demand = info.options.get("require_scope")
    if demand is None:
        return view
    gate: PersonalAccessTokens = info.registry[KEY]
    needed = _needed(demand, where := _named(info))
    gate.check(needed, where)

    def guarded(context: object, request: Untyped) -> Untyped:
        denied = gate.lacking(request, needed)
        if denied is not None:
            raise gate.refused(denied, request)
        return view(context, request)

    return guarded


require_scope.options = ("require_scope",)  # type: ignore[attr-defined]  # so Pyramid knows what it takes


def includeme(config: Untyped) -> None:
    """Put the gate before the application that is being configured.

    Raises:
        ConfigurationError: when a setting is wrong, there is no store, or the gate is there already.
    """
    registry = config.registry
    if KEY in registry:
        raise ConfigurationError("the gate stands before this application already", hint="include it once")
    found = {name: value for name, value in config.get_settings().items() if name.startswith(PREFIX)}
    settings = {name.removeprefix(PREFIX): value for name, value in found.items()}
    secures = asbool(settings.pop(_POLICY, True))
    gate = registry[KEY] = PersonalAccessTokens(registry, settings)
    config.add_subscriber(lambda event: gate.guard(event.app), ApplicationCreated)
    config.add_subscriber(_judge_subrequest, NewRequest)
    config.add_request_method(gate.grant, "grant", reify=True)
    config.add_view_deriver(require_scope, under="secured_view", over=("csrf_view", "owrapped_view"))
    if secures:
        # After the policy that the application may set, however it does it, and before any view asks for one.
        config.action(None, _secure, (registry,), order=PHASE2_CONFIG + 1)
    if _answers_by_default(registry):
        config.add_exception_view(forbidden, context=IExceptionResponse)


def _secure(registry: Untyped) -> None:
    if registry.queryUtility(ISecurityPolicy) is None:
        registry.registerUtility(TokenSecurityPolicy(), ISecurityPolicy)


def _answers_by_default(registry: Untyped) -> bool:
    """Say whether exceptions without a view are answered by Pyramid's own: the only one that is ours to replace."""
    view = registry.adapters.registered((IExceptionViewClassifier, IRequest, IExceptionResponse), IView)
    return getattr(view, "__original_view__", None) is default_exceptionresponse_view


def _judge_subrequest(event: Untyped) -> None:
    gate = _gate(event.request)
    denied = gate.within(event.request.environ)
    if denied is not None:
        raise gate.refused(denied, event.request)


def _gate(request: Untyped) -> PersonalAccessTokens:
    gate: PersonalAccessTokens = request.registry[KEY]
    return gate


def _needed(demand: object, where: str) -> frozenset[str]:
    if demand is True:
        return frozenset()
    names = [demand] if isinstance(demand, str) else demand
    if not isinstance(names, list | tuple | set | frozenset) or not all(isinstance(name, str) for name in names):
        hint = "give a scope, a list of scopes, or True for any valid token"
        raise ConfigurationError(f"{demand!r} is no demand", setting=where, hint=hint)
    return frozenset(names)


def _named(info: Untyped) -> str:
    """Name a view for messages."""
    view, attr, route = info.original_view, info.options.get("attr"), info.options.get("route_name")
    name = ".".join(filter(None, (view.__module__, getattr(view, "__qualname__", type(view).__name__), attr)))
    return f"require_scope of {name}" + (f" (route {route!r})" if route else "")
