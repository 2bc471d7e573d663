"""Look-ups in SQL databases: ours, the same library bare, and the driver alone."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, TypeAlias

import sqlalchemy as sa

from patmiddleware.backends.sql import SQLStore

from .many import GROWTH, LOADING, OURS, SLICE, WITHIN, Figures, as_kept, as_row, digest, load, look_ups, secret
from .measure import Run, measure_wall
from .servers import services
from .table import Row

Find: TypeAlias = Callable[[bytes], Sequence[object] | None]

CORE = "SQLAlchemy Core, bare"

_NAMES = (
    "id", "owner", "name", "scopes", "created", "expires", "networks", "limits", "created_by", "parent", "family",
    "replaces", "revoked_at", "revoked_by", "revoked_why", "attributes",
)  # fmt: skip
# Without types: what they make of values is ours, not the library's. Without the last use, too, which ours gives.
_TOKENS = sa.table("patmw_token", *map(sa.column, (*_NAMES, "digest")))
_BARE = sa.select(*(_TOKENS.c[name] for name in _NAMES)).where(_TOKENS.c.digest == sa.bindparam("key"))
_RAW = f"SELECT {', '.join(_NAMES)} FROM patmw_token WHERE digest = "


@dataclass(frozen=True, slots=True)
class Served:
    """A database server that runs, or a folder for files.

    Args:
        new: makes an empty database, and gives its address as a store.
        settle: sees to a database that was filled.
        raw: gives a look-up by the driver alone.
    """

    new: Callable[[], str]
    settle: Callable[[str], object]
    raw: Callable[[str], AbstractContextManager[Find]]


@dataclass(frozen=True, slots=True)
class Database:
    """Look-ups in a database of one kind.

    Args:
        title: of it.
        driver: that reaches it.
        serve: starts it.
    """

    title: str
    driver: str
    serve: Callable[[], AbstractContextManager[Served]]

    def rows(self, counts: Sequence[int]) -> list[Row]:
        """Say what is measured with so many tokens, and what must be reached."""
        rows = []
        for tokens in counts:
            core = self._name(CORE, tokens)
            rows += [
                Row(name=self._name(LOADING, tokens), unit="s", to=""),
                Row(name=core, to=core),
                Row(name=self._name(OURS, tokens), to=core, gate=WITHIN),
                Row(name=self._name(self.driver, tokens), to=core),
            ]
        least, most = (self._name(OURS, tokens) for tokens in (counts[0], counts[-1]))
        return [*rows, Row(name=most, to=least, gate=GROWTH)] if least != most else rows

    def measure(self, counts: Sequence[int], rounds: int) -> Figures:
        """Fill a database with each number of tokens, and time all cases in turns.

        Raises:
            MissingError: when the server can't be started for lack of something.
            WrongAnswerError: when a case does not answer as it must.
        """
        figures: Figures = {}
        runs: dict[str, Run] = {}
        with self.serve() as served, ExitStack() as stack:
            for tokens in counts:
                address = served.new()
                with closing(SQLStore(address)) as store:
                    figures[self._name(LOADING, tokens)] = [load(store, tokens)]
                served.settle(address)
                runs |= self._runs(served, address, tokens, stack)
            return figures | measure_wall(runs, rounds, SLICE)

    def _runs(self, served: Served, address: str, tokens: int, stack: ExitStack) -> Iterable[tuple[str, Run]]:
        core, ours, raw = (self._name(what, tokens) for what in (CORE, OURS, self.driver))
        store = stack.enter_context(closing(SQLStore(address)))
        yield core, look_ups(core, stack.enter_context(_bare(address)), digest, as_row, tokens)
        yield ours, look_ups(ours, store.find, secret, as_kept, tokens)
        yield raw, look_ups(raw, stack.enter_context(served.raw(address)), digest, as_row, tokens)

    def _name(self, what: str, tokens: int) -> str:
        return f"{self.title}, {tokens:,} tokens: {what}"


@contextmanager
def _bare(address: str) -> Iterator[Find]:
    """What one writes with the library: a connection of the pool, in autocommit, and a statement that it keeps."""
    url = sa.make_url(address)
    drivers = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
    url = url.set(drivername=drivers.get(url.drivername, url.drivername))
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")

    def find(key: bytes) -> Sequence[object] | None:
        with engine.connect() as connection:
            return connection.execute(_BARE, {"key": key}).first()

    yield find
    engine.dispose()


@contextmanager
def _files() -> Iterator[Served]:
    """Files in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = count()
        yield Served(lambda: f"sqlite:///{folder}/{next(numbers)}.db", lambda address: None, _sqlite)


@contextmanager
def _sqlite(address: str) -> Iterator[Find]:
    with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as connection:
        yield lambda key: connection.execute(f"{_RAW}?", (key,)).fetchone()


@contextmanager
def _postgresql_server() -> Iterator[Served]:
    """A PostgreSQL server that can hold all of it in memory."""
    with services("databases") as databases, databases.postgresql(options=("shared_buffers=1GB",)) as server:
        # Now, rather than by autovacuum in the middle of it.
        yield Served(server.new_database, partial(_in_it, server, "VACUUM ANALYZE"), _psycopg)


@contextmanager
def _psycopg(address: str) -> Iterator[Find]:
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        yield lambda key: connection.execute(f"{_RAW}%s", (key,), prepare=True).fetchone()


@contextmanager
def _mariadb_server() -> Iterator[Served]:
    """A MariaDB server that can hold all of it in memory."""
    with services("databases") as databases, databases.mariadb() as server:
        server.run(f"SET GLOBAL innodb_buffer_pool_size = {1 << 30}")
        yield Served(server.new_database, partial(_in_it, server, "ANALYZE TABLE patmw_token"), _pymysql)


@contextmanager
def _pymysql(address: str) -> Iterator[Find]:
    import pymysql

    url = sa.make_url(address)
    assert url.port is not None
    connection = pymysql.connect(
        host=url.host, port=url.port, user=url.username, database=url.database, autocommit=True
    )

    def find(key: bytes) -> Sequence[object] | None:
        with connection.cursor() as cursor:
            cursor.execute(f"{_RAW}%s", (key,))
            return cursor.fetchone()

    with connection:
        yield find


def _in_it(server: Any, statement: str, address: str) -> None:  # Any: the tests' own
    server.run(statement, address.rpartition("/")[2])


SQLITE = Database("SQLite", "sqlite3, raw", _files)
POSTGRESQL = Database("PostgreSQL", "psycopg, raw", _postgresql_server)
MARIADB = Database("MariaDB", "PyMySQL, raw", _mariadb_server)
