"""The gate inside a Pyramid application: ``config.include("patmiddleware.integrations.pyramid")``.

Settings are those of :class:`~patmiddleware.integrations.embedding.Embedding`, each with ``patmiddleware.`` before it:
``patmiddleware.store = sqlite:///%(here)s/tokens.db``. Relative paths start at the working directory. With
``patmiddleware.security_policy = false`` the application's security is left alone.

It gives ``request.grant``; the view option ``require_scope``; a security policy, unless the application has one; and
``registry["patmiddleware"]``, a :class:`Gate`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from ..errors import ConfigurationError
from ..routes import KEY

try:
    from pyramid.events import ApplicationCreated, NewRequest
    from pyramid.httpexceptions import default_exceptionresponse_view
    from pyramid.interfaces import (
        PHASE2_CONFIG,
        IExceptionResponse,
        IExceptionViewClassifier,
        IRequest,
        ISecurityPolicy,
        IView,
    )
    from pyramid.settings import falsey, truthy

    from .flat import check_prefix
    from .pyramid_gate import PREFIX, Gate, Granted, Refused
    from .pyramid_security import TokenSecurityPolicy, forbidden
except ImportError as error:
    raise ConfigurationError("this needs Pyramid 2 or newer", hint="pip install 'pyramid>=2'") from error

__all__ = ["Gate", "Refused", "TokenSecurityPolicy", "forbidden", "includeme", "require_scope"]

# Pyramid has no types: its requests, configurators, routers and views are of any.
Untyped: TypeAlias = Any

_POLICY = "security_policy"


def require_scope(view: Untyped, info: Untyped) -> Untyped:
    """Derive a view that is called only for a token with every scope of its option ``require_scope``.

    A predicate that fails makes a 404; this answers 401 or 403. It stands below the permission, since what stands above
    is left out where a view is rendered with ``secure=False``, and above the check for forged forms.
    """
    demand = info.options.get("require_scope")
    if demand is None:
        return view
    gate: Gate = info.registry[KEY]
    needed = _needed(demand, where := _named(info))
    gate.embedding.check(needed, where)

    def guarded(context: object, request: Untyped) -> Untyped:
        denied = gate.lacking(request, needed)
        if denied is None:
            return view(context, request)
        refused = gate.refused(denied, request)
        if isinstance(context, BaseException):  # a view of exceptions: nobody answers what it raises
            return refused
        raise refused

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
    check_prefix(config.get_settings(), PREFIX)
    found = {name: value for name, value in config.get_settings().items() if name.startswith(PREFIX)}
    settings = {name.removeprefix(PREFIX): value for name, value in found.items()}
    secures = _is_true(settings.pop(_POLICY, True), PREFIX + _POLICY)
    gate = registry[KEY] = Gate(registry, settings)
    config.add_subscriber(lambda event: gate.guard(event.app), ApplicationCreated)
    config.add_subscriber(_judge_subrequest, NewRequest)
    config.add_request_method(Granted(gate), "grant")
    config.add_view_deriver(require_scope, under="secured_view", over=("csrf_view", "owrapped_view"))
    if secures:
        # After the policy that the application may set, however it does it, and before any view asks for one.
        config.action(None, _secure, (registry,), order=PHASE2_CONFIG + 1)
    if _answers_by_default(registry):
        config.add_exception_view(forbidden, context=IExceptionResponse)


def _is_true(value: object, setting: str) -> bool:
    """Read a switch as Pyramid does; but a misspelt one is told, and does not pass for false."""
    word = str(value).strip().lower()
    if word not in truthy | falsey:
        raise ConfigurationError("must be true or false", setting=setting)
    return word in truthy


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


def _gate(request: Untyped) -> Gate:
    gate: Gate = request.registry[KEY]
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
