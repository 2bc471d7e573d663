"""The routes of an application that the gate is embedded in, and what their views demand.

The one thing that ``patmiddleware policy show --app`` knows of Flask, Pyramid or anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from .interfaces import AccessPolicy

KEY = "patmiddleware"
"""Where an application has its gate: in ``extensions`` (Flask) or ``registry`` (Pyramid)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way into an application.

    Args:
        name: what the application calls it.
        path: as the application writes it.
        example: a path that it serves, to ask the rules about: an unlikely word stands for what may be any.
        others: more of them, where rules could tell paths of one route apart: other choices, more or fewer segments.
        methods: in upper case; empty: any.
        scopes: that its view demands; empty: any valid token. None: the view demands nothing.
        permission: that the application demands besides, in its own words; None: none.
    """

    name: str
    path: str
    example: str
    methods: tuple[str, ...] = ()
    scopes: frozenset[str] | None = None
    permission: str | None = None
    others: tuple[str, ...] = field(default=(), compare=False)


@runtime_checkable
class Routed(Protocol):
    """A gate that knows the routes of the application behind it.

    One that refuses what brings no token says so by ``annotates = False``, here or on its ``embedding``.
    """

    policy: AccessPolicy | None

    def routes(self) -> Iterable[Route]:
        """Give every route, in the application's order."""
        ...


def routed(app: object) -> Routed | None:
    """Give the gate of an application, found behind whatever wraps it; None where it is not embedded.

    Args:
        app: a Flask or Pyramid application, or one that shows what it wraps as ``app``.
    """
    return next((gate for layer in _layers(app) if (gate := _gate(layer)) is not None), None)


def mounted(app: object) -> list[str]:
    """Give where other applications stand beside one that has a gate, as werkzeug's DispatcherMiddleware tells it.

    Args:
        app: as :func:`routed` takes it.
    """
    layers, found = list(_layers(app)), list[str]()
    holder = next((layer for layer in layers if _gate(layer) is not None), None)
    for layer in (*layers, *_layers(getattr(holder, "wsgi_app", None))):  # Flask has more in front of its own
        mounts = getattr(layer, "mounts", None)
        found += map(str, mounts) if isinstance(mounts, dict) else ()
    return list(dict.fromkeys(found))


def _layers(app: object) -> Iterator[object]:
    """Give an application, and what it wraps, down to the one that wraps nothing."""
    for _ in range(_LAYERS):  # some things show another one without end
        if app is None:
            return
        yield app
        inner = getattr(app, "app", None)
        # What Flask hands to others is a method of the application: app.wsgi_app.
        app = getattr(app, "__self__", None) if inner is None else inner


def _gate(layer: object) -> Routed | None:
    for holder in (getattr(layer, "extensions", None), getattr(layer, "registry", None)):
        gate = holder.get(KEY) if isinstance(holder, dict) else None
        if isinstance(gate, Routed):
            return gate
    return None


_LAYERS = 100
"""How many wrappers are looked behind."""


def annotating(gate: Routed) -> bool:
    """Say whether what brings no token comes through, for views to decide; so it is where a gate doesn't say."""
    words = (getattr(one, "annotates", None) for one in (gate, getattr(gate, "embedding", None)))
    return next((bool(word) for word in words if word is not None), True)
