"""What is particular to MySQL and MariaDB: the driver, how texts compare, and what a transaction may wait for."""

from __future__ import annotations

import struct
from collections.abc import Callable
from time import monotonic
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import insert

from patmiddleware.errors import BackendUnavailable, ConfigurationError

from .kinds import IS_NEWER, NEWER, PATIENCE, USE_COLUMNS, USE_OF_A_TOKEN, Database, apart_from_key
from .outages import one_line
from .rows import Row
from .schema import as_text, uses
from .servers import LOOK, place, reader, with_driver, writer

try:
    import pymysql
except ImportError as error:
    raise ConfigurationError(
        "mysql: needs PyMySQL", setting="store", hint="pip install 'patmiddleware[mysql]'"
    ) from error

_EXAMPLE = "write mysql://USER:PASSWORD@HOST/DATABASE"
_MIGRATION_SECONDS = 60
# Cut nothing to fit, take no date that is none, and let a wrong value be an error.
# A process that is stopped or cut off in a transaction keeps all others from writing: MariaDB ends it.
_STRICT = (
    "SET SESSION sql_mode = 'TRADITIONAL', innodb_lock_wait_timeout = {seconds}"
    " /*M!100300 , idle_transaction_timeout = {idle} */"
)
# Of a transaction that gave way to another one.
_DEADLOCK = 1213


class MySQL(Database):
    """A MySQL or MariaDB server, through PyMySQL.

    Args:
        url: its address; what stands behind the ``?`` is PyMySQL's.
        timeout: seconds for connecting, for a statement, and for waiting on a connection of the pool.
        pool: how many connections there may be at once.

    Raises:
        ConfigurationError: when the address names another driver, no database, or an option that there is not.
    """

    def __init__(self, url: sa.URL, timeout: float, pool: int) -> None:
        self._url, self._timeout, self._pool = with_driver(url, "mysql", "pymysql", _EXAMPLE), timeout, pool
        self._options = _options(self._url)

    def reader(self) -> sa.Engine:
        """Give an engine over the server."""
        return reader(self._url, self._timeout, self._pool, creator=self._connector(self._timeout))

    def writer(self, reader: sa.Engine, *, patient: bool = False) -> sa.Engine:
        """Give an engine for transactions, with a small pool of its own."""
        return writer(self._url, self._timeout, creator=self._connector(PATIENCE if patient else self._timeout))

    def _connector(self, answering: float) -> Callable[[], _Bounded]:
        options = self._options | _arguments(self._timeout, answering)
        return lambda: _Bounded(**options)

    def newest_use(self) -> sa.Insert:
        """Give the statement that keeps a use of a token that is there, unless a newer one is kept."""

        # In this order: each is set by what the ones before it have become.
        changed = [(name, sa.case((IS_NEWER, NEWER[name]), else_=uses.c[name])) for name in ("address", "agent", "at")]
        return insert(uses).from_select(USE_COLUMNS, USE_OF_A_TOKEN).on_duplicate_key_update(changed)

    def put(self, table: sa.Table) -> sa.Insert:
        """Give the statement that writes a row, in the place of the one that has its primary key."""
        statement = insert(table)
        return statement.on_duplicate_key_update(apart_from_key(statement.inserted))

    def lock(self, connection: sa.Connection) -> None:
        """Keep other processes from making the tables, as long as the connection lasts: a DDL statement commits.

        Raises:
            BackendUnavailable: when another process holds the lock all the time.
        """
        statement = f"SELECT GET_LOCK(CONCAT(DATABASE(), '.patmw'), {_MIGRATION_SECONDS})"
        if connection.exec_driver_sql(statement).scalar() != 1:
            raise BackendUnavailable("another process has been making the tables of the store for a minute")

    def row(self, row: Row) -> Row:
        """Give a row of the driver with texts as texts: those that compare exactly come as bytes."""
        return [as_text(value) for value in row]

    def refused(self, error: Exception) -> tuple[str, str] | None:
        """Give what is wrong and what to do, where an error says that only the settings can mend it."""
        number = error.args[0] if error.args else 0
        found = _REFUSALS.get(number) or (_UNTRUSTED if "CERTIFICATE_VERIFY_FAILED" in str(error) else None)
        return found and (f"{place(self._url)}: {found[0]}", found[1])

    def collided(self, error: Exception) -> bool:
        """Whether a transaction gave way to another one: it was a deadlock, and the server chose this one."""
        return isinstance(error, pymysql.err.Error) and error.args[:1] == (_DEADLOCK,)

    def explain(self, error: Exception) -> str:
        """Give the words for an error of the driver, without its number."""
        if not error.args:
            return type(error).__name__
        words = one_line(Exception(error.args[-1]))
        return f"{place(self._url)}: {words}; {LOOK}" if error.args[0] in (_UNREACHED, _LOST) else words


def _options(url: sa.URL) -> dict[str, Any]:  # Any: as the driver takes them
    """Give what the driver is called with for an address.

    Raises:
        ConfigurationError: for an option that it does not know, or a value that can't be one: what the driver would
            only stumble over once it connects.
    """
    try:
        # With the driver in hand SQLAlchemy asks for rows that are found, not only for those that become others.
        options = dict(url.get_dialect()(dbapi=pymysql).create_connect_args(url)[1])  # type: ignore[call-arg]
        if url.password:
            options["password"] = url.password.encode()  # the driver makes Latin-1 of a text
        _Bounded(**options | {"defer_connect": True})  # which judges them all, and opens nothing
        return options
    except OSError:  # this one, and those below, without a cause, which shows values
        message = "a file that the address names can't be read"
    except (AttributeError, TypeError, ValueError, pymysql.Error):
        message = "the address has an option that can't be one"
    raise ConfigurationError(f"{place(url)}: {message}", setting="store.url", hint="look behind the ? in store.url")


class _Bounded(pymysql.Connection):
    """A connection that waits for no answer for ever, and breaks where one makes no sense.

    The driver's own timeout is for each piece of an answer, however small; and what is no answer it stumbles over, in
    ways of its own, with the rest still to come: the next one to ask would be given that.
    """

    # The driver's, of which its types don't tell.
    _read_timeout: float
    _sock: Any
    _rfile: Any
    _force_close: Callable[[], None]
    _until = 0.0
    _unverified: Any = None

    def _create_ssl_ctx(self, sslp: Any) -> Any:
        """Give what TLS is spoken by. Without options nobody is verified, so authorities are read once and for all."""
        if sslp:
            return super()._create_ssl_ctx(sslp)  # type: ignore[misc]  # nor of this
        if _Bounded._unverified is None:
            _Bounded._unverified = super()._create_ssl_ctx(sslp)  # type: ignore[misc]  # nor of this
        return _Bounded._unverified

    def connect(self, sock: Any = None) -> None:
        """Connect, which is waited for as the connection itself is, and not as an answer."""
        answering, self._read_timeout = self._read_timeout, float(self.connect_timeout or PATIENCE)
        self._begin()
        try:
            super().connect(sock)
        except _STUMBLES as error:
            self._break(error)
        finally:
            self._read_timeout = answering

    def query(self, sql: Any, unbuffered: bool = False) -> int:
        """Ask, and take the answer."""
        self._begin()
        try:
            return super().query(sql, unbuffered)
        except UnicodeEncodeError:  # so it was not sent
            raise
        except _STUMBLES as error:
            self._break(error)

    def _read_ok_packet(self) -> Any:  # of what has no other answer, such as a commit
        self._begin()
        try:
            return super()._read_ok_packet()  # type: ignore[misc]  # nor of this
        except _STUMBLES as error:
            self._break(error)

    def _read_bytes(self, size: int) -> bytes:
        if self._sock.gettimeout() is None:  # an older driver leaves that to each piece that is read
            self._sock.settimeout(self._read_timeout)
        read = b""
        while len(read) < size:
            if monotonic() > self._until:
                self._break(TimeoutError("timed out"))
            try:
                self._rfile.peek(1)  # takes in all that has come, where read1 alone asks the system for each piece
                more = self._rfile.read1(size - len(read))
            except OSError as error:
                self._break(error)
            if not more:
                self._break(EOFError("it ended"))
            read += more
        return read

    def _begin(self) -> None:
        self._until = monotonic() + self._read_timeout

    def _break(self, error: Exception) -> NoReturn:
        self._force_close()
        raise pymysql.OperationalError(_LOST, f"the server gave no answer that makes sense: {error}") from error


_STUMBLES = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, struct.error,
)  # fmt: skip


def _arguments(connecting: float, answering: float) -> dict[str, Any]:  # Any: as the driver takes them
    seconds = max(1, round(answering))
    return {
        "connect_timeout": max(1, round(connecting)),
        "read_timeout": seconds,
        "write_timeout": seconds,
        "charset": "utf8mb4",
        "use_unicode": True,
        "cursorclass": pymysql.cursors.Cursor,
        "defer_connect": False,
        "init_command": _STRICT.format(seconds=max(1, round(connecting)), idle=2 * seconds),
    }


# What says that there is no server, or none any more, or that it gave no answer.
_UNREACHED, _LOST = 2003, 2013

_REFUSALS = {
    1044: ("the user may not use the database", "grant it, or look at store.url"),
    1045: ("the server refuses the user or the password", "look at store.url"),
    1049: ("there is no such database", "make it, or look at the name in store.url"),
    1142: ("the user may not do that", "grant it SELECT, INSERT, UPDATE, DELETE, and CREATE, INDEX for the tables"),
    1290: ("the server is read-only", "make the store, or migrate it, on the server that it follows"),
    2026: ("the server has no TLS", "switch it on there, or look at ssl_ca in store.url"),
    1698: ("the server refuses the user", "look at the user in store.url"),
}
_UNTRUSTED = ("the server's certificate is not trusted", "name its CA: ?ssl_ca=PATH")
