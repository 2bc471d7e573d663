"""The routes of an application that the gate is embedded in, and what their views demand.

The one thing that ``patmiddleware policy show --app`` knows of Flask, Pyramid or anything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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


@runtime_checkable
class Routed(Protocol):
    """A gate that knows the routes of the application behind it."""

    policy: AccessPolicy | None

    def routes(self) -> Iterable[Route]:
        """Give every route, in the application's order."""
        ...


def routed(app: object) -> Routed | None:
    """Give the gate of an application, found behind whatever wraps it; None where it is not embedded.

    Args:
        app: a Flask or Pyramid application, or one that shows what it wraps as ``app``.
    """
    seen: set[int] = set()
    while app is not None and id(app) not in seen:
        seen.add(id(app))
        for holder in (getattr(app, "extensions", None), getattr(app, "registry", None)):
            gate = holder.get(KEY) if isinstance(holder, dict) else None
            if isinstance(gate, Routed):
                return gate
        app = getattr(app, "app", None)
    return None
