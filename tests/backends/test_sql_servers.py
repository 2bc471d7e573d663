"""Tokens on real database servers."""

from __future__ import annotations

import pytest
from services.databases import MariaDBServer, PostgreSQLServer

from patmiddleware.backends.sql import SQLStore
from patmiddleware.testing import TokenStoreContract

OLD, NEW = b"an old pepper, 16+", b"a new pepper, 16+"


class TestPostgreSQL(TokenStoreContract):
    """The contract on PostgreSQL."""

    peppers: tuple[bytes, ...] = ()

    @pytest.fixture(autouse=True)
    def _server(self, postgresql_server: PostgreSQLServer) -> None:
        self.server = postgresql_server

    def make_store(self) -> SQLStore:
        return SQLStore(self.server.new_database(), peppers=self.peppers)


class TestPostgreSQLWithPeppers(TestPostgreSQL):
    """The contract on PostgreSQL, with two peppers."""

    peppers = (NEW, OLD)


class TestMariaDB(TokenStoreContract):
    """The contract on MariaDB."""

    peppers: tuple[bytes, ...] = ()

    @pytest.fixture(autouse=True)
    def _server(self, mariadb_server: MariaDBServer) -> None:
        self.server = mariadb_server

    def make_store(self) -> SQLStore:
        return SQLStore(self.server.new_database(), peppers=self.peppers)


class TestMariaDBWithPeppers(TestMariaDB):
    """The contract on MariaDB, with two peppers."""

    peppers = (NEW, OLD)
