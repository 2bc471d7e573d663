"""Helper: a Pyramid application behind the gate, and requests to it in this process."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from gate import Answer, bearer, call, request

from patmiddleware import Issuer
from patmiddleware.backends.memory import MemoryStore

pytest.importorskip("pyramid", exc_type=ImportError)

from pyramid.config import Configurator
from pyramid.response import Response

INCLUDED = "patmiddleware.integrations.pyramid"


class Site:
    """An application that is configured until it is asked for the first time.

    Args:
        ours: settings of patmiddleware, without their prefix; a new store in memory is one of them.
        options: of the Configurator.
    """

    def __init__(self, ours: dict[str, object] | None = None, **options: Any) -> None:
        self.store = MemoryStore()
        given = {"store": self.store} | (ours or {})
        settings = {f"patmiddleware.{name}": value for name, value in given.items()} | options.pop("settings", {})
        self.config = Configurator(settings=settings, **options)
        self.config.include(INCLUDED)

    @cached_property
    def app(self) -> Any:
        """The application, which can't be configured any further."""
        return self.config.make_wsgi_app()

    @property
    def gate(self) -> Any:
        """What the application has of ours."""
        return self.config.registry["patmiddleware"]

    def view(self, path: str, view: Any = None, **options: Any) -> None:
        """Add a view at a path, by default one that says whose grant it sees."""
        self.config.add_route(path, path)
        self.config.add_view(view or say_grant, route_name=path, **options)

    def token(self, *scopes: str, owner: str = "alice", **options: Any) -> str:
        """Make a token, and give the header that carries it."""
        return bearer(Issuer(self.store).mint(owner=owner, name="test", scopes=set(scopes), **options).secret)

    def ask(self, path: str, authorization: str | None = None, **keys: Any) -> Answer:
        """Send a request."""
        return call(self.app, request(path, authorization, **keys))

    def audited(self, path: Path) -> list[dict[str, Any]]:
        """Give the lines of an audit that goes to a file."""
        self.gate.embedding.middleware.close()
        return [json.loads(line) for line in path.read_text().splitlines()]


def say_grant(request: Any) -> Any:
    """Say who asks, in a response."""
    return Response("nobody" if request.grant is None else f"{request.grant.owner}", content_type="text/plain")
