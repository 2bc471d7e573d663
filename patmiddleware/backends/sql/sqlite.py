"""What is particular to SQLite: the file, its settings, and how a transaction begins."""

from __future__ import annotations

import os
import shlex
import sqlite3
import stat
import sys
import time
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from patmiddleware.errors import BackendUnavailable, ConfigurationError

from .kinds import IS_NEWER, NEWER, QUIET, USE_COLUMNS, USE_OF_A_TOKEN, Database, apart_from_key
from .schema import uses

# One page, in bytes; SQLite itself takes a file of one byte for empty, and would write over it.
_SMALLEST = 512
# Seconds until the file is tried again that others read or write.
_PAUSE = 0.01
# What SQLite says where it may not write beside the file, or open it.
_NOT_ALLOWED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}
_EXAMPLE = "write sqlite:///tokens.db, or sqlite:////var/lib/patmiddleware/tokens.db"


class SQLite(Database):
    """A file on this machine.

    Args:
        url: its address.
        timeout: seconds to wait for another process's lock, or for a connection of the pool.
        pool: how many connections there may be at once.

    Raises:
        ConfigurationError: when the address has no path.
    """

    def __init__(self, url: sa.URL, timeout: float, pool: int) -> None:
        self._path, self._timeout, self._pool = _path(url), timeout, pool

    def reader(self) -> sa.Engine:
        """Give an engine over the file, which is made when it is missing.

        Raises:
            ConfigurationError: when the file may not be a store.
            BackendUnavailable: when the file can't be read.
        """
        _claim(self._path)
        _probe(self._path, self._timeout)
        # With a connect function of our own, a file that is gone stays gone, rather than come back empty.
        connect = partial(_connect, self._path, self._timeout)
        made = sa.create_engine(
            "sqlite://",
            creator=connect,
            poolclass=QueuePool,
            pool_timeout=self._timeout,
            pool_size=self._pool,
            max_overflow=0,
            **QUIET,
        )
        _follow(self._path, made)
        return made

    def writer(self, reader: sa.Engine, *, patient: bool = False) -> sa.Engine:
        """Give a view on the engine whose transactions take the write lock at once.

        A transaction that reads first and takes it later is refused when another one wrote meanwhile.
        """
        writer = reader.execution_options()
        event.listen(writer, "begin", _begin_immediate)
        return writer

    def newest_use(self) -> sa.Insert:
        """Give the statement that keeps a use of a token that is there, unless a newer one is kept."""
        statement = insert(uses).from_select(USE_COLUMNS, USE_OF_A_TOKEN)
        return statement.on_conflict_do_update(index_elements=[uses.c.token_id], set_=NEWER, where=IS_NEWER)

    def put(self, table: sa.Table) -> sa.Insert:
        """Give the statement that writes a row, in the place of the one that has its primary key."""
        statement = insert(table)
        changed = apart_from_key(statement.excluded)
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)

    def settle(self, reader: sa.Engine) -> None:
        """Let readers and a writer work at once (WAL). The file remembers it.

        The change needs the file to itself for a moment; SQLite says so at once, rather than wait its timeout.
        """
        end = time.monotonic() + self._timeout
        with reader.connect() as connection:
            while connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() != "wal":
                try:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                    return
                except sa.exc.OperationalError as error:
                    if not _is_busy(error) or time.monotonic() > end:
                        raise
                time.sleep(_PAUSE)

    def damage(self, connection: sa.Connection) -> str:
        """Give the first thing that SQLite finds wrong with the whole file; empty where there is nothing."""
        first = connection.exec_driver_sql("pragma integrity_check(1)").scalar_one()
        return "" if first == "ok" else " ".join(str(first).split())


def _path(url: sa.URL) -> Path:
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ConfigurationError("SQLite is reached through Python's own driver only", setting="store", hint=_EXAMPLE)
    if url.host or url.username or url.query:
        raise ConfigurationError("the address of an SQLite store has a path only", setting="store", hint=_EXAMPLE)
    if not url.database or url.database == ":memory:":
        raise ConfigurationError("SQLite in memory is no store", setting="store", hint="write memory:")
    # Now, for a server may change its folder before it opens another connection.
    return Path(url.database).absolute()


def _claim(path: Path) -> None:
    """Make the file if it is missing, for our eyes only; the files that SQLite puts beside it get the same mode.

    One that is there is never opened here: closing it would drop the locks that this process holds on it elsewhere
    (SQLite, How To Corrupt, section 2.2).
    """
    try:
        if not path.parent.is_dir():
            hint = f"run: mkdir -p {shlex.quote(str(path.parent))}"
            raise ConfigurationError(f"{path}: its folder does not exist", setting="store", hint=hint)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        found = path.stat()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be opened: {error.strerror}", setting="store") from error
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"{path} is not a file", setting="store")
    if 0 < found.st_size < _SMALLEST:
        raise ConfigurationError(f"{path} is not an SQLite database", setting="store")
    if sys.platform != "win32" and found.st_mode & 0o022:
        hint = f"run chmod go-w {shlex.quote(str(path))}, and look whether its tokens are yours"
        raise ConfigurationError(f"others may write to {path}", setting="store", hint=hint)


def _probe(path: Path, timeout: float) -> None:
    try:
        with closing(_connect(path, timeout)) as connection:
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise ConfigurationError(f"{path} is not an SQLite database", setting="store") from error
        if error.sqlite_errorcode & 0xFF in _NOT_ALLOWED:
            hint = "let this user write to the file and to its folder"
            raise ConfigurationError(f"{path} can't be opened: {error}", setting="store", hint=hint) from error
        # SQLite makes a file beside it to read at all, and says no more where there is no room for that.
        full = "; is the disk full?" if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_IOERR else ""
        raise BackendUnavailable(f"{path} can't be read: {error}{full}") from error


def _connect(path: Path, timeout: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(bytes(path))}?mode=rw",
        uri=True,
        timeout=timeout,
        isolation_level=None,  # The driver's own way of beginning a transaction loses updates.
        check_same_thread=False,  # The pool gives a connection to one thread at a time.
    )
    try:
        # Beside a log, NORMAL may lose the last changes in a power cut: a revocation, for one.
        connection.execute("PRAGMA synchronous=FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _follow(path: Path, engine: sa.Engine) -> None:
    """Drop connections to a file that another one was put in the place of, as when a backup is restored.

    They would go on to read it, and to write revocations into it, although nobody else sees it any more.
    """

    def identify() -> tuple[int, int] | None:
        try:
            found = os.stat(path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @event.listens_for(engine, "connect")
    def note(connection: object, record: ConnectionPoolEntry) -> None:
        record.info["file"] = identify()

    @event.listens_for(engine, "checkout")
    def compare(connection: object, record: ConnectionPoolEntry, proxy: object) -> None:
        if record.info["file"] != identify():
            raise sa.exc.DisconnectionError("another file has taken its place")


def _is_busy(error: sa.exc.OperationalError) -> bool:
    return isinstance(error.orig, sqlite3.Error) and error.orig.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
