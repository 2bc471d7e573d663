"""Open a database: which kind it is, its tables made or judged, and what a fork must leave alone."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import unquote

import sqlalchemy as sa

from patmiddleware.errors import ConfigurationError

from . import schema
from .kinds import Database
from .outages import outages, refusals

TIMEOUT = 5.0
"""Seconds for each thing that a database is waited for."""
POOL = 10
"""Connections for look-ups in one process: as many as it has threads is enough."""


def database(address: str, timeout: float = TIMEOUT, pool: int = POOL) -> Database:
    """Give the database at an address; nothing is opened.

    Args:
        address: as :class:`~patmiddleware.backends.sql.SQLStore` takes it.
        timeout: seconds, above zero.
        pool: connections, one at least.

    Raises:
        ConfigurationError: when the address, the time or the number can't be one.
    """
    if not _is_above(timeout, 0):
        raise ConfigurationError(f"{timeout!r} is no time to wait", setting="store.timeout", hint="seconds, such as 5")
    if not _is_above(pool, 0) or pool != int(pool):
        raise ConfigurationError(f"{pool!r} is no number of connections", setting="store.pool", hint="1 or more")
    scheme, colon, rest = address.partition(":")
    try:
        if "\0" in unquote(address):
            raise ValueError("no system call takes it")
        url = sa.make_url(f"{scheme.lower()}{colon}{rest}")
    except (sa.exc.ArgumentError, ValueError):  # the latter for a port that is no number, too
        # Without its cause, which shows the address, and so a password.
        hint = "write sqlite:///tokens.db, or postgresql://USER:PASSWORD@HOST/DATABASE"
        raise ConfigurationError("the address of the store can't be read", setting="store", hint=hint) from None
    return _kind(url.get_backend_name())(url, timeout, pool)


def _is_above(value: object, bound: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bound < value < float("inf")


def _kind(name: str) -> Callable[[sa.URL, float, int], Database]:
    # Here, since each imports its driver.
    match name:
        case "postgresql":
            from .postgresql import PostgreSQL

            return PostgreSQL
        case "mysql":
            from .mysql import MySQL

            return MySQL
    from .sqlite import SQLite

    return SQLite


def make_ready(database: Database, reader: sa.Engine) -> None:
    """Make the tables if none is there; leave no connection open, for the process may fork.

    Raises:
        ConfigurationError: when the tables are not ours, or not of this version, or the server refuses us.
        BackendUnavailable: when the database can't be asked.
    """
    try:
        with _words(database):
            found = _version(reader)
            if found is None or found in schema.REVISIONS[:-1]:
                found = _make_tables(database, reader)
            schema.check(found)
            database.settle(reader)
    finally:
        reader.dispose()


def is_new(address: str) -> bool:
    """Say whether the database at an address has none of our tables yet; nothing is made.

    Raises:
        ConfigurationError: when the address is wrong, or the server refuses us.
        BackendUnavailable: when the database can't be asked.
    """
    found = database(address)
    reader = found.reader()
    try:
        with _words(found), reader.connect() as connection:
            return schema.version(connection) is None
    finally:
        reader.dispose()


def migrate(address: str) -> bool:
    """Bring the database at an address to the newest version of the schema; False where there was nothing to do.

    Raises:
        ConfigurationError: when the address is wrong, the server refuses us, or the schema is not ours or newer.
        BackendUnavailable: when the database can't be asked.
    """
    found = database(address)
    reader = found.reader()
    writer = found.writer(reader, patient=True)
    try:
        with _words(found), writer.begin() as connection:
            found.lock(connection)
            before = schema.version(connection)
            schema.check(before, older=True)
            schema.upgrade(connection)
    finally:
        reader.dispose()
        writer.dispose()
    return before != schema.REVISIONS[-1]


def _version(reader: sa.Engine) -> str | None:
    """Give the version of the schema, or None where the tables are not as any version has them."""
    try:
        with reader.connect() as connection:
            return schema.version(connection)
    except ConfigurationError:
        return None


def _make_tables(database: Database, reader: sa.Engine) -> str | None:
    """Give the version of the tables that are there in the end.

    Another process may have been faster; and where a DDL statement commits, as on MySQL, what it makes is seen one by
    one, and as an older version in between.
    """
    writer = database.writer(reader, patient=True)
    try:
        with writer.begin() as connection:
            database.lock(connection)
            if schema.version(connection) is None:
                schema.upgrade(connection)
            return schema.version(connection)
    finally:
        writer.dispose()


@contextmanager
def _words(database: Database) -> Iterator[None]:
    with outages(database.explain), refusals(database.refused):
        yield


def leave_to_parent(engine: sa.Engine) -> None:
    """Let a forked child open connections of its own; closing those of the parent would take its locks away."""
    _engines.add(engine)
    _watch_the_process()


_engines: weakref.WeakSet[sa.Engine] = weakref.WeakSet()
_inherited: list[object] = []


@cache
def _watch_the_process() -> None:
    # Once, not for each engine: what is registered there is never forgotten.
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=_forget_in_child)


def _forget_in_child() -> None:
    for engine in list(_engines):
        _inherited.append(engine.pool)
        engine.dispose(close=False)
