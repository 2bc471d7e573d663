"""Rows of Jira's own database: its personal access tokens, and its users. Nothing is written there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import BackendUnavailable, ConfigurationError, RefusedError
from .jirarows import NEEDED, TABLE, WELCOME, Row, Users, missing, row_of, users_of

try:
    import sqlalchemy as sa
except ImportError as _error:
    raise ConfigurationError(
        "reading a database needs SQLAlchemy", setting="SOURCE", hint="pip install 'patmiddleware[sql]'"
    ) from _error

USER_TABLE, USER_KEY, USER_NAME = "app_user", "USER_KEY", "LOWER_USER_NAME"

_TIMES = ("CREATED_AT", "EXPIRING_AT", "LAST_ACCESSED_AT")
_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_SECONDS = 10
_MESSAGE_LENGTH = 300


class JiraDatabase:
    """A database of Jira, or another product with the same table.

    Args:
        connection: to it.
        schema: that the tables are in; None: where the server looks by itself.
    """

    def __init__(self, connection: sa.Connection, schema: str | None) -> None:
        self._connection, self._schema = connection, schema

    def rows(self) -> list[Row]:
        """Read the tokens.

        Raises:
            RefusedError: when the table is not there, or lacks a column.
        """
        table, names = self._table(TABLE, "is it Jira's? Name its schema with --schema")
        if (refusal := missing(NEEDED, list(names), TABLE)) is not None:
            raise refusal
        wanted = [name for name in (*NEEDED, *WELCOME) if name in names]
        columns = [self._readable(name, table.c[names[name]]).label(name) for name in wanted]
        rows = self._connection.execute(sa.select(*columns)).mappings()
        return [row_of(f"row {row.get('ID', number)}", dict(row)) for number, row in enumerate(rows, 1)]

    def users(self) -> Users:
        """Read who has which user key.

        Raises:
            RefusedError: when the table is not there, or lacks a column.
        """
        table, names = self._table(USER_TABLE, "name the users with --users")
        if (refusal := missing((USER_KEY, USER_NAME), list(names), USER_TABLE)) is not None:
            raise refusal
        pairs = self._connection.execute(sa.select(table.c[names[USER_KEY]], table.c[names[USER_NAME]]))
        return users_of((str(key), str(name)) for key, name in pairs if key is not None and name is not None)

    def _table(self, name: str, hint: str) -> tuple[sa.TableClause, dict[str, str]]:
        """Give a table, and its columns by their names in capitals: not every database keeps them so."""
        try:
            found = [column["name"] for column in sa.inspect(self._connection).get_columns(name, self._schema)]
        except sa.exc.NoSuchTableError:
            raise RefusedError(f"the database has no table {name}: {hint}") from None
        table = sa.table(name, *map(sa.column, found), schema=self._schema)
        return table, {column.upper(): column for column in found}

    def _readable(self, name: str, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Have PostgreSQL spell its times out: "never" is a time that Python has none for, east of Greenwich."""
        is_odd = name in _TIMES and self._connection.dialect.name == "postgresql"
        return sa.cast(column, sa.Text) if is_odd else column


@contextmanager
def opened(address: str, schema: str | None = None) -> Iterator[JiraDatabase]:
    """Open a database for reading, as it is at one moment.

    Args:
        address: as SQLAlchemy has it; for PostgreSQL and MySQL the driver may be left out.
        schema: that the tables are in; None: where the server looks by itself.

    Raises:
        ConfigurationError: when the address can't be one, or its driver is missing.
        BackendUnavailable: when the database can't be read.
    """
    engine = _engine(address)
    try:
        with engine.connect() as connection:
            _read_only(connection)
            yield JiraDatabase(connection, schema)
    except sa.exc.SQLAlchemyError as error:
        original = getattr(error, "orig", None) or type(error).__name__
        words = " ".join(str(original).split())[:_MESSAGE_LENGTH]
        raise BackendUnavailable(f"Jira's database can't be read: {words}") from error
    finally:
        engine.dispose()


def _engine(address: str) -> sa.Engine:
    try:
        url = sa.make_url(address)
        name = url.get_backend_name()
        if name == "sqlite":
            url = _file(url)
        elif url.drivername == name and name in _DRIVERS:
            url = url.set(drivername=f"{name}+{_DRIVERS[name]}")
        waiting = {"connect_timeout": _SECONDS} if name in _DRIVERS else {}
        return sa.create_engine(url, hide_parameters=True, connect_args=waiting)
    except (sa.exc.ArgumentError, ValueError):  # without its cause, which shows the address, and so a password
        hint = "write postgresql://USER:PASSWORD@HOST/DATABASE"
        raise ConfigurationError("the address of Jira's database can't be read", setting="SOURCE", hint=hint) from None
    except ImportError as error:
        hint = f"pip install 'patmiddleware[{name}]', or the driver that the address names"
        raise ConfigurationError("the driver of the database is missing", setting="SOURCE", hint=hint) from error


def _file(url: sa.URL) -> sa.URL:
    if not url.database or url.database == ":memory:":
        raise ConfigurationError("the address names no file", setting="SOURCE", hint="write sqlite:///PATH")
    name = f"file:{quote(str(Path(url.database).absolute()))}"
    return url.set(database=name, query={"mode": "ro", "uri": "true"})


def _read_only(connection: sa.Connection) -> None:
    """Have the server refuse whatever would write, and show both tables as they are at one moment."""
    match connection.dialect.name:
        case "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        case "mysql" | "mariadb":
            connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
            connection.commit()
