"""What a Pyramid application routes, as ``patmiddleware policy show --app`` reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, TypeAlias

from pyramid.config import not_
from pyramid.interfaces import IDefaultPermission, IRoutesMapper, ISecurityPolicy
from pyramid.security import NO_PERMISSION_REQUIRED

from ..errors import ConfigurationError
from ..routes import Route

# Pyramid has no types: its registries and introspectables are of any.
Untyped: TypeAlias = Any

_KNOWN = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
"""Of what takes all methods but some these are told."""
UNLIKELY = "any-word"
"""Stands for what may be any."""
_TRIED = (UNLIKELY, "7", "a", "A", "7.7", "ab", "AB-7", "2026-01-31", "00000000-0000-4000-8000-000000000007")
_DEEP = (f"{UNLIKELY}/{UNLIKELY}", f"{UNLIKELY}/{UNLIKELY}/{UNLIKELY}")
_TREE = re.compile(r"\*traverse$")
_REST = re.compile(r"\*\w*$")
_OLD = re.compile(r":([A-Za-z_]\w*)")
_CHOICE = re.compile(r"[\w-]+(?:\|[\w-]+)+")
_PLACE = re.compile(r"\{[A-Za-z_]\w*(?::((?:[^{}]|\{[^{}]*\})+))?\}")


def routes_of(registry: Untyped, paths: Iterable[str] = ()) -> Iterator[Route]:
    """Give each view of each route, in the order that routes match, then the views that traversal finds by name.

    Args:
        registry: the application's.
        paths: that rules are about, to be told of the routes that serve them.

    Raises:
        ConfigurationError: when the application does not keep what it was told.
    """
    everything = [item["introspectable"] for item in registry.introspector.get_category("views") or ()]
    current = {id(view) for view in everything}
    mapper = registry.queryUtility(IRoutesMapper)
    routes = mapper.get_routes() if mapper is not None else ()
    told = {route.name: registry.introspector.get("routes", route.name) for route in routes}
    if not registry.introspector.categories() or None in told.values():
        hint = "make its Configurator without introspection=False"
        raise ConfigurationError("the application does not keep which views it has", hint=hint)
    anywhere = [view for view in everything if not view["route_name"] and not _answers_exceptions(view)]
    served = _served(routes, paths)
    for route in routes:
        known = told[route.name]
        # Views that others have replaced after a commit are related still.
        own = [view for view in registry.introspector.related(known) if id(view) in current]
        for view in (*own, *(anywhere if known["use_global_views"] else ())):
            methods = _methods(known["request_methods"], view["request_methods"])
            if methods is not None:
                yield _route(registry, route.name, route.pattern, view, methods, served.get(route.name, ()))
    for view in anywhere:
        methods = _methods(None, view["request_methods"])
        yield _route(registry, view["name"] or view.title, "*traverse", view, methods or ())


def examples(pattern: str, name: str = "") -> tuple[str, ...]:
    """Give paths that a pattern matches: the first is literal but for places, where an unlikely word stands if it may.

    The others differ where the rules of a policy could tell them apart.

    Args:
        pattern: as ``add_route`` takes it.
        name: of the view, where the pattern ends in a tree.
    """
    if "{" not in pattern:
        pattern = _OLD.sub(r"{\1}", pattern)
    ends: tuple[str, ...] = _in_tree(name) if _TREE.search(pattern) else (_DEEP[0], "", UNLIKELY, _DEEP[1])
    bare = _REST.sub("", pattern)
    if bare == pattern:
        ends = ("",)
    first, *more = _filled(bare)
    paths = [*(_below(first, end) for end in ends), *(_below(start, ends[0]) for start in more)]
    return tuple(dict.fromkeys(f"/{path.lstrip('/')}" for path in paths))


def _in_tree(name: str) -> tuple[str, ...]:
    """Give what finds a view by its name: at the root, below it, marked as one, and with more behind it."""
    if not name:
        return "", UNLIKELY, _DEEP[0]
    return name, f"{UNLIKELY}/{name}", f"@@{name}", f"{name}/{UNLIKELY}"


def _below(path: str, end: str) -> str:
    return f"{path.rstrip('/')}/{end}" if end else path


def _filled(pattern: str) -> list[str]:
    """Fill the places of a pattern: the first has the first word for each, the others differ in one place."""
    places = [_words(place[1]) for place in _PLACE.finditer(pattern)]
    first = [words[0] for words in places]
    taken = [[*first[:at], word, *first[at + 1 :]] for at, words in enumerate(places) for word in words[1:]]
    between = _PLACE.split(pattern)[:: _PLACE.groups + 1]
    return ["".join(chain.from_iterable(zip(between, (*words, ""), strict=True))) for words in (first, *taken)]


def _words(expression: str | None) -> list[str]:
    """Give what fits into a place, the least likely in a rule first."""
    if expression is None:
        return [UNLIKELY]
    if _CHOICE.fullmatch(expression):
        return expression.split("|")
    found = [word for word in _TRIED if re.fullmatch(expression, word)] or [UNLIKELY]
    return found[: 1 if found[0] == UNLIKELY else 2] + [word for word in _DEEP if re.fullmatch(expression, word)]


def _served(routes: Iterable[Untyped], paths: Iterable[str]) -> dict[str, list[str]]:
    """Give the paths that each route serves: of those without predicates only the first that matches one."""
    found: dict[str, list[str]] = {}
    for path in paths:
        for route in routes:
            if route.match(path) is not None:
                found.setdefault(route.name, []).append(path)
                if not route.predicates:
                    break
    return found


def _route(
    registry: Untyped, name: str, pattern: str, view: Untyped, methods: tuple[str, ...], served: Iterable[str] = ()
) -> Route:
    demand = view.get("require_scope")
    scopes = None if demand is None else frozenset(() if demand is True else _texts(demand))
    in_tree = _TREE.search(pattern) is not None and (view["name"] or not view["route_name"])
    shown = pattern if pattern.startswith(("/", "*")) else f"/{pattern}"
    first, *others = dict.fromkeys((*examples(pattern, view["name"]), *served))
    return Route(
        name=name,
        path=f"{shown}/{view['name']}" if in_tree else shown,
        example=first,
        others=tuple(others),
        methods=methods,
        scopes=scopes,
        permission=_permission(registry, view),
    )


def _texts(value: str | Iterable[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _methods(route: Untyped, view: Untyped) -> tuple[str, ...] | None:
    """Give the methods that both take; empty: any. None: there is none that both do."""
    taken = [_taken(some) for some in (route, view) if some]
    return tuple(sorted(set.intersection(*taken))) or None if taken else ()


def _taken(methods: Untyped) -> set[str]:
    """Give the methods that a predicate takes: whoever takes GET takes HEAD."""
    if isinstance(methods, not_):
        return _KNOWN - _taken(methods.value)
    return set(_texts(methods)) | ({"HEAD"} if "GET" in _texts(methods) else set())


def _permission(registry: Untyped, view: Untyped) -> str | None:
    if registry.queryUtility(ISecurityPolicy) is None:
        return None  # nobody is asked then
    related = registry.introspector.related(view)
    own = [item["value"] for item in related if item.category_name == "permissions"]
    permission = own[0] if own else registry.queryUtility(IDefaultPermission)
    return None if permission in (None, NO_PERMISSION_REQUIRED) else str(permission)


def _answers_exceptions(view: Untyped) -> bool:
    context = view["context"]
    return bool(view["exception_only"]) or (isinstance(context, type) and issubclass(context, BaseException))
