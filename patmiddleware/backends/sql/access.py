"""A database that is open: how it is read, and written."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import sqlalchemy as sa

from . import opening
from .asking import Asker
from .outages import outages

ATTEMPTS = 3
"""How often a transaction is tried that gave way to another one."""


class Access:
    """Reads and writes a database, whose tables are made where there is none.

    Args:
        url: as :class:`~patmiddleware.backends.sql.SQLStore` takes it.
        timeout: seconds for each thing that is waited for.
        pool: how many connections a process keeps for look-ups.

    Attributes:
        database: of its kind.
        engine: whose statements each stand by themselves.
        writer: for transactions.
        asker: reads.

    Raises:
        ConfigurationError: when the address is wrong, the server refuses it, or the schema is not ours or not of this
            version.
        BackendUnavailable: when the database can't be asked.
    """

    def __init__(self, url: str, timeout: float = opening.TIMEOUT, pool: int = opening.POOL) -> None:
        self.database = opening.database(url, timeout, pool)
        self.engine = self.database.reader()
        self.writer = self.database.writer(self.engine)
        self.asker = Asker(self.engine, self.database.explain, timeout)
        opening.make_ready(self.database, self.engine)
        for engine in (self.engine, self.writer):
            opening.leave_to_parent(engine)
            weakref.finalize(self, engine.dispose)

    def write(self, act: Callable[[sa.Connection], None]) -> None:
        """Act in a transaction; again where it gave way to another one.

        Raises:
            ConflictError: for what is there already.
            BackendError: for a value that this database can't keep.
            BackendUnavailable: when it can't be written.
        """
        with outages(self.database.explain):
            for left in reversed(range(ATTEMPTS)):
                try:
                    with self.writer.begin() as connection:
                        act(connection)
                    return
                except sa.exc.DBAPIError as error:
                    if not left or not isinstance(error.orig, Exception) or not self.database.collided(error.orig):
                        raise

    def close(self) -> None:
        """Close the connections that are idle; it may still be used after it."""
        self.engine.dispose()
        self.writer.dispose()
