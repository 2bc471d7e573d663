"""What is particular to PostgreSQL: the driver, its timeouts, and notices of changes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from time import monotonic
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from patmiddleware.changes import here
from patmiddleware.errors import ConfigurationError
from patmiddleware.interfaces import Events
from patmiddleware.listening import Heard, Listener

from .kinds import IS_NEWER, NEWER, PATIENCE, USE_COLUMNS, USE_OF_A_TOKEN, Database, apart_from_key
from .outages import one_line
from .schema import uses
from .servers import LOOK, place, reader, with_driver, writer

try:
    import psycopg
    from psycopg.conninfo import make_conninfo
except ImportError as error:
    raise ConfigurationError(
        "postgresql: needs psycopg", setting="store", hint="pip install 'patmiddleware[postgresql]'"
    ) from error

CHANNEL = "patmw_changes"
"""Of all the stores in a database: a notice says only "ask again"."""

_T = TypeVar("_T")
_EXAMPLE = "write postgresql://USER:PASSWORD@HOST/DATABASE"
_LISTENING = 1.0  # seconds after which a listener looks whether it is still wanted
_MIGRATION = 0x7061746D77  # the number of an advisory lock: "patmw"
# Of a transaction that gave way: serialization_failure, deadlock_detected.
_COLLIDED = {"40001", "40P01"}
# A peer that is gone without a word is noticed after some seconds, whatever the system's default is.
_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}


class PostgreSQL(Database):
    """A PostgreSQL server, through psycopg 3.

    Args:
        url: its address; what stands behind the ``?`` is libpq's.
        timeout: seconds for connecting, for a statement, and for waiting on a connection of the pool.
        pool: how many connections there may be at once.

    Raises:
        ConfigurationError: when the address names another driver, or no database.
    """

    def __init__(self, url: sa.URL, timeout: float, pool: int) -> None:
        self._url, self._timeout, self._pool = with_driver(url, "postgresql", "psycopg", _EXAMPLE), timeout, pool
        self._conninfo = _conninfo(self._url, timeout)

    def reader(self) -> sa.Engine:
        """Give an engine over the server."""
        return reader(self._url, self._timeout, self._pool, creator=self._connector(self._timeout))

    def writer(self, reader: sa.Engine, *, patient: bool = False) -> sa.Engine:
        """Give an engine for transactions, with a small pool of its own."""
        return writer(self._url, self._timeout, creator=self._connector(PATIENCE if patient else self._timeout))

    def _connector(self, timeout: float) -> Callable[[], psycopg.Connection[Any]]:
        return lambda: _connect(self._conninfo, timeout)

    def newest_use(self) -> sa.Insert:
        """Give the statement that keeps a use of a token that is there, unless a newer one is kept."""
        statement = insert(uses).from_select(USE_COLUMNS, USE_OF_A_TOKEN)
        return statement.on_conflict_do_update(index_elements=[uses.c.token_id], set_=NEWER, where=IS_NEWER)

    def put(self, table: sa.Table) -> sa.Insert:
        """Give the statement that writes a row, in the place of the one that has its primary key."""
        statement = insert(table)
        changed = apart_from_key(statement.excluded)
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)

    def lock(self, connection: sa.Connection) -> None:
        """Keep other processes from making the tables, to the end of the transaction."""
        connection.exec_driver_sql("SET LOCAL lock_timeout = '60s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION})")

    def explain(self, error: Exception) -> str:
        """Give the words for an error of the driver, with what to do in place of its question."""
        words, asked, _ = one_line(error).partition(_QUESTION)
        if asked:
            return f"{words}; {LOOK}"
        return f"{place(self._url)}: {words}; {LOOK}" if any(sign in words for sign in _SILENCE) else words

    def refused(self, error: Exception) -> tuple[str, str] | None:
        """Give what is wrong and what to do, where an error says that only the settings can mend it."""
        words = str(error)
        for sign, (message, hint) in _REFUSALS.items():
            if sign in words:
                return f"{place(self._url)}: {message}", hint
        return None

    def collided(self, error: Exception) -> bool:
        """Whether a transaction gave way to another one: it was a deadlock, and the server chose this one."""
        return isinstance(error, psycopg.Error) and error.sqlstate in _COLLIDED

    def events(self) -> Events:
        """Give the notices that the server carries."""
        return Notices(self._conninfo, self._timeout)

    def notice(self) -> sa.Executable:
        """Give the statement that notifies the others, when its transaction is committed and not before."""
        return sa.text(f"NOTIFY {CHANNEL}")


_QUESTION = " Is the server running"
# Where the words name no server.
_SILENCE = ("does not answer", "timeout expired", "failed to resolve host")

_REFUSALS = {
    "password authentication failed": ("the server refuses the user or the password", "look at store.url"),
    "no password supplied": ("the server wants a password", "write it into store.url, or set PGPASSWORD"),
    "no pg_hba.conf entry": ("the server admits nobody from here so", "see pg_hba.conf on the server"),
    'role "': ("there is no such user", "look at the user in store.url"),
    'database "': ("there is no such database", "make it, or look at the name in store.url"),
    "certificate verify failed": ("the server's certificate is not trusted", "name its CA: ?sslrootcert=PATH"),
    "root certificate file": ("the CA's certificate can't be read", "look at sslrootcert in store.url"),
    "does not support SSL": ("the server has no TLS", "switch it on there, or look at sslmode in store.url"),
    "permission denied": (
        "the user may not do that",
        "grant it SELECT, INSERT, UPDATE, DELETE on patmw_… tables, CREATE on their schema",
    ),
    "no schema has been selected": ("the search path names no schema", "make it, or look at options in store.url"),
    "in a read-only transaction": (
        "the server is read-only",
        "make the store, or migrate it, on the server that it follows",
    ),
    **dict.fromkeys(
        ("connection is bad: invalid", "bad value for", "invalid integer value"),
        ("the address has a value that can't be one", "look at the port, and behind the ?, in store.url"),
    ),
}


def _conninfo(url: sa.URL, timeout: float) -> str:
    """Give what libpq connects by for an address. What the address itself says goes first.

    Raises:
        ConfigurationError: for an option that libpq does not know.
    """
    options: dict[str, Any] = {**_KEEPALIVE, "application_name": "patmiddleware"}  # Any: as libpq takes them
    options["connect_timeout"] = max(2, round(timeout))  # libpq takes 1 for 2
    try:
        options |= url.get_dialect()().create_connect_args(url)[1]
        # Whatever the database keeps its texts in: one without an encoding would give bytes.
        return make_conninfo(**options | {"client_encoding": "utf8"})
    except (sa.exc.ArgumentError, psycopg.ProgrammingError):  # without its cause, which may show values
        message, hint = "the address has an option that there is not", "look behind the ? in store.url"
        raise ConfigurationError(f"{place(url)}: {message}", setting="store.url", hint=hint) from None


def _connect(conninfo: str, timeout: float) -> _Bounded:
    connection = _Bounded.connect(conninfo, autocommit=True)
    # A process that is stopped or cut off in a transaction keeps all others from writing.
    milliseconds, idle = round(timeout * 1000), round(timeout * 2000)
    connection.execute(f"SET statement_timeout = {milliseconds}; SET idle_in_transaction_session_timeout = {idle}")
    connection.patience = timeout + 1.0  # the server's own limit comes first, and says more
    connection.autocommit = False  # SQLAlchemy sets what it wants from here on
    return connection


class _Bounded(psycopg.Connection[Any]):
    """A connection that waits for no answer for ever: a server that is stopped or cut off says nothing at all."""

    patience = 10.0

    def wait(self, gen: Generator[Any, Any, _T], *args: Any, **kwargs: Any) -> _T:
        """Wait for the answer to what was asked."""
        return super().wait(self._until(gen, monotonic() + self.patience), *args, **kwargs)

    def _until(self, gen: Generator[Any, Any, _T], deadline: float) -> Generator[Any, Any, _T]:
        """Drive a generator of the driver's; it is woken now and then while there is no answer."""
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send((yield wanted))
                if monotonic() > deadline:
                    self.close()  # whoever asked next would get no answer either: this one is still to come
                    raise psycopg.OperationalError("the server does not answer")
        except StopIteration as end:
            result: _T = end.value
            return result


class Notices:
    """Changes that other processes tell of through ``LISTEN`` and ``NOTIFY``.

    Nothing is to be published: the store notifies within its transactions.

    Args:
        conninfo: what libpq connects by.
        timeout: seconds for an answer.
    """

    def __init__(self, conninfo: str, timeout: float) -> None:
        self._conninfo, self._timeout = conninfo, timeout
        self._listener = Listener("patmiddleware notices", self._listen, here.announce)

    def watch(self) -> None:
        """Begin to listen, if that has not begun in this process."""
        self._listener.begin()

    def publish(self) -> None:
        """Do nothing: that is done."""

    def close(self) -> None:
        """Stop listening."""
        self._listener.end()

    def _listen(self, heard: Heard, ended: Callable[[], bool]) -> None:
        with _connect(self._conninfo, self._timeout) as connection:
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
            heard()  # what came before was missed
            while not ended():
                # All that came together counts as one: a storm must not keep us busy long after it.
                if list(connection.notifies(timeout=_LISTENING, stop_after=1)):
                    heard()
                connection.execute("")  # so that a connection that broke is noticed
