"""What differs between databases, in one place for each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from .outages import one_line
from .rows import Row
from .schema import tokens, uses

if TYPE_CHECKING:
    from patmiddleware.interfaces import Events


PATIENCE = 3600.0
"""Seconds for a statement that makes or changes tables: an index over millions of tokens takes its time."""

QUIET: dict[str, Any] = {"hide_parameters": True, "logging_name": "patmiddleware"}
"""What every engine is told. Any: as SQLAlchemy takes it."""
# Parameters are hidden, but at DEBUG every row that comes is shown, and so digests and what is sealed.
_ROWS = logging.getLogger(f"sqlalchemy.engine.Engine.{QUIET['logging_name']}")
_ROWS.addFilter(lambda line: line.levelno > logging.DEBUG)


class Database(Protocol):
    """A database of one kind. What is the same for most kinds stands here."""

    def reader(self) -> sa.Engine:
        """Give an engine that reads, each statement by itself (autocommit); nothing is opened for good.

        Raises:
            ConfigurationError: when it can't be a store.
            BackendUnavailable: when it can't be reached.
        """

    def writer(self, reader: sa.Engine, *, patient: bool = False) -> sa.Engine:
        """Give an engine for transactions, whose first statement reaches a database that is there.

        Args:
            reader: as :meth:`reader` gave it.
            patient: whether statements may take as long as a migration does.
        """

    def newest_use(self) -> sa.Insert:
        """Give the statement that keeps a use of a token that is there, unless a newer one is kept."""

    def put(self, table: sa.Table) -> sa.Insert:
        """Give the statement that writes a row, in the place of the one that has its primary key."""

    def lock(self, connection: sa.Connection) -> None:
        """Keep other processes from making the tables, to the end of the transaction."""

    def settle(self, reader: sa.Engine) -> None:
        """See to what the database itself remembers, once the tables are there."""

    def damage(self, connection: sa.Connection) -> str:
        """Give the first thing that the database finds wrong with itself; empty where there is nothing."""
        return ""

    def row(self, row: Row) -> Row:
        """Give a row of the driver with texts as texts."""
        return row

    def explain(self, error: Exception) -> str:
        """Give the words for an error of the driver, without any value."""
        return one_line(error)

    def refused(self, error: Exception) -> tuple[str, str] | None:
        """Give what is wrong and what to do, where an error says that only the settings can mend it."""
        return None

    def collided(self, error: Exception) -> bool:
        """Whether a transaction gave way to another one and may be tried again: nothing of it was written."""
        return False

    def events(self) -> Events | None:
        """Give what carries events between processes, if the database does."""
        return None

    def notice(self) -> sa.Executable | None:
        """Give the statement that tells other processes, once its transaction is committed."""
        return None


def apart_from_key(new: sa.ColumnCollection[str, Any]) -> dict[str, Any]:
    """Give what is written over a row that is there: every column of the new one but those of the primary key."""
    return {name: column for name, column in new.items() if not column.primary_key}


USE_COLUMNS = ("token_id", "at", "address", "agent")
USED_AT = sa.bindparam("used_at", type_=sa.BigInteger)
USED_ADDRESS = sa.bindparam("used_address", type_=sa.Text)
USED_AGENT = sa.bindparam("used_agent", type_=sa.Text)

USE_OF_A_TOKEN = sa.select(tokens.c.id, USED_AT, USED_ADDRESS, USED_AGENT).where(tokens.c.id == sa.bindparam("used_id"))
"""Of a token that is there; nothing where it is not."""

NEWER: dict[str, sa.BindParameter[Any]] = {"at": USED_AT, "address": USED_ADDRESS, "agent": USED_AGENT}
IS_NEWER = uses.c.at < USED_AT
