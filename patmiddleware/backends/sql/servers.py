"""What PostgreSQL and MySQL have in common: a server, reached over a network, that may go and come back."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa

from patmiddleware.errors import ConfigurationError

from .kinds import QUIET

WRITERS = 2
"""Connections for writing that are kept; more are made for a while when they are needed."""
RECYCLE = 1800
"""Seconds after which a connection is made anew, before something in between forgets it."""
LOOK = "see whether it runs, and look at host and port in store.url"
"""What to do about a server that can't be reached."""


def reader(url: sa.URL, timeout: float, pool: int, **options: Any) -> sa.Engine:  # Any: each driver has its own
    """Give an engine whose statements each stand by themselves: no BEGIN, no ROLLBACK, one round trip."""
    return sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        paramstyle="format",
        pool_size=pool,
        max_overflow=0,
        pool_timeout=timeout,
        pool_recycle=RECYCLE,
        pool_use_lifo=True,
        # In autocommit there is nothing to roll back.
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
        **QUIET,
        **options,
    )


def writer(url: sa.URL, timeout: float, **options: Any) -> sa.Engine:  # Any: as above
    """Give an engine for transactions. Each of its connections is tried before it is used."""
    return sa.create_engine(
        url,
        # Each statement sees what was committed before it: a change judges a record that it has locked.
        isolation_level="READ COMMITTED",
        pool_size=WRITERS,
        pool_timeout=timeout,
        pool_recycle=RECYCLE,
        pool_pre_ping=True,
        **QUIET,
        **options,
    )


def with_driver(url: sa.URL, name: str, driver: str, example: str) -> sa.URL:
    """Give the address with our driver in it.

    Raises:
        ConfigurationError: when it names another driver, or no database.
    """
    if url.drivername not in (name, f"{name}+{driver}"):
        raise ConfigurationError(f"{name} is reached through {driver} only", setting="store", hint=example)
    if "@" in (url.host or "") or (url.host and "@" in (url.database or "")):
        # A part of a password, which every message would show.
        raise ConfigurationError("the address has more than one @", setting="store", hint="write %40 in a password")
    if not url.database:
        raise ConfigurationError("the address names no database", setting="store", hint=example)
    # The folder of a socket is written as a host with %2F in it.
    return url.set(drivername=f"{name}+{driver}", host=url.host and unquote(url.host))


def place(url: sa.URL) -> str:
    """Give host, port and database for a message: neither the user nor the password."""
    host = url.host or "its socket"
    return f"{host}:{url.port}/{url.database}" if url.port else f"{host}/{url.database}"
