"""What a Pyramid application routes, as ``patmiddleware policy show --app`` reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from pyramid.interfaces import IDefaultPermission, IRoutesMapper
from pyramid.security import NO_PERMISSION_REQUIRED

from ..routes import Route

# Pyramid has no types: its registries and introspectables are of any.
Untyped: TypeAlias = Any

UNLIKELY = "any-word"
"""Stands for what may be any."""
_TRIED = (UNLIKELY, "7", "a", "A", "7.7", "ab", "AB-7", "2026-01-31", "00000000-0000-4000-8000-000000000007")
_TREE = re.compile(r"\*traverse$")
_REST = re.compile(r"\*\w*$")
_OLD = re.compile(r":([A-Za-z_]\w*)")
_PLACE = re.compile(r"\{[A-Za-z_]\w*(?::((?:[^{}]|\{[^{}]*\})+))?\}")


def routes_of(registry: Untyped) -> Iterator[Route]:
    """Give each view of each route, in the order that routes match, then the views that traversal finds by name."""
    mapper = registry.queryUtility(IRoutesMapper)
    for route in mapper.get_routes() if mapper is not None else ():
        known = registry.introspector.get("routes", route.name)
        for view in registry.introspector.related(known) if known is not None else ():
            if view.category_name == "views":
                yield _route(registry, route.name, route.pattern, view, known["request_methods"])
    for item in registry.introspector.get_category("views") or ():
        view = item["introspectable"]
        if not view["route_name"] and not _answers_exceptions(view):
            name = view["name"]
            yield _route(registry, name or view.title, f"*traverse/{name}", view, None)


def example(pattern: str) -> str:
    """Give a path that a pattern matches: one that is literal but for places, where an unlikely word stands if it may.

    Args:
        pattern: as ``add_route`` takes it.
    """
    if "{" not in pattern:
        pattern = _OLD.sub(r"{\1}", pattern)
    pattern = _REST.sub(f"{UNLIKELY}/{UNLIKELY}", _TREE.sub("", pattern))  # of a tree there is the root at least
    path = _PLACE.sub(lambda place: _word(place[1]), pattern)
    return f"/{path.lstrip('/')}"


def _word(expression: str | None) -> str:
    return next((word for word in _TRIED if expression is None or re.fullmatch(expression, word)), UNLIKELY)


def _route(registry: Untyped, name: str, pattern: str, view: Untyped, methods: Iterable[str] | None) -> Route:
    demand = view.get("require_scope")
    scopes = None if demand is None else frozenset(() if demand is True else _texts(demand))
    return Route(
        name=name,
        path=pattern if pattern.startswith(("/", "*")) else f"/{pattern}",
        example=example(pattern.removeprefix("*traverse")),
        methods=_methods(methods, view["request_methods"]),
        scopes=scopes,
        permission=_permission(registry, view),
    )


def _texts(value: str | Iterable[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _methods(route: Iterable[str] | None, view: str | Iterable[str] | None) -> tuple[str, ...]:
    """Give the methods that both take, as their predicates do: whoever takes GET takes HEAD."""
    taken = [set(_texts(some)) | ({"HEAD"} if "GET" in _texts(some) else set()) for some in (route, view) if some]
    return tuple(sorted(set.intersection(*taken))) if taken else ()


def _permission(registry: Untyped, view: Untyped) -> str | None:
    related = registry.introspector.related(view)
    own = [item["value"] for item in related if item.category_name == "permissions"]
    permission = own[0] if own else registry.queryUtility(IDefaultPermission)
    return None if permission in (None, NO_PERMISSION_REQUIRED) else str(permission)


def _answers_exceptions(view: Untyped) -> bool:
    context = view["context"]
    return bool(view["exception_only"]) or (isinstance(context, type) and issubclass(context, BaseException))
