"""Real servers, started when a test first asks for one and shared by the tests of a process; and keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from services.databases import MariaDBServer, PostgreSQLServer, mariadb, postgresql


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
