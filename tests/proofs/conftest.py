"""Real servers, started when a proof first asks for one and shared by the proofs of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from services.databases import MariaDBServer, PostgreSQLServer, mariadb, postgresql
from services.redis import RedisServer, redis


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL server."""
    with postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDBServer]:
    """A MariaDB server."""
    with mariadb() as server:
        yield server


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis server that may be killed."""
    with redis() as server:
        yield server
