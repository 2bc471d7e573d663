"""A Redis server of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from services.running import HOST, Service, folder, free_port, listens, program


class RedisServer(Service):
    """Redis, which keeps nothing.

    Attributes:
        url: of it.
    """

    url: str


@contextmanager
def redis() -> Iterator[RedisServer]:
    """Run Redis."""
    pytest.importorskip("redis")
    with folder() as home:
        port = free_port()
        command = [program("redis-server"), "--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]
        server = RedisServer([*command, "--dir", str(home)], home / "log", lambda: listens(port))
        server.url = f"redis://{HOST}:{port}/0"
        try:
            server.start()
            yield server
        finally:
            server.stop()
