"""Jira's tokens in real databases, as Jira makes its tables there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from jira_tokens import TABLES, USERS, row, statements
from services.databases import DatabaseServer, PostgreSQLServer, mariadb, postgresql

from patmiddleware.errors import BackendUnavailable, ConfigurationError, RefusedError
from patmiddleware.model import Token
from patmiddleware.moving.jira import Fate, Judged, Terms, judge
from patmiddleware.moving.jiradatabase import opened
from patmiddleware.moving.jirarows import Row, Users, row_of, users_of
from patmiddleware.moving.jirascopes import ScopeRule

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ROWS = [
    row(1, NAME="it's \u00fc\u4e2d\U0001f600; %s :x"),
    row(2, USER_KEY="JIRAUSER10001", LAST_ACCESSED_AT=None, EXPIRING_AT="2100-01-01 00:00:00.5+00"),
    row(3, TOKEN_ID=None),
]


class Kind(NamedTuple):
    """A kind of database.

    Args:
        make: makes a new database, runs statements in it, and gives its address.
    """

    name: str
    make: Callable[[Sequence[str]], str]


@pytest.fixture(scope="module", params=["postgresql", "mariadb", "sqlite"])
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kind]:
    """Give each kind of database in turn."""
    match request.param:
        case "postgresql":
            with postgresql() as server:
                yield Kind("postgresql", lambda statements: on_server(server, statements))
        case "mariadb":
            with mariadb() as server:
                yield Kind("mariadb", lambda statements: on_server(server, statements))
        case "sqlite":
            yield Kind("sqlite", lambda statements: in_file(tmp_path_factory.mktemp("jira"), statements))


def on_server(server: DatabaseServer, statements: Sequence[str]) -> str:
    address = server.new_database()
    for statement in statements:
        server.run(statement, address.rpartition("/")[2])
    return address


def in_file(folder: Path, statements: Sequence[str]) -> str:
    path = folder / "a #1% jira.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(";\n".join(statements))
    path.chmod(0o400)
    return f"sqlite:///{path}"


def made(rows: Sequence[Row], users: Users) -> list[tuple[Fate, Token | None]]:
    terms = Terms(users, (ScopeRule(frozenset({"READ"})),), lambda _: frozenset(), NOW)
    found: list[Judged] = list(judge(rows, terms, lambda _: None))
    return [(one.fate, one.token) for one in found]


def test_rows_and_users_are_read(kind: Kind) -> None:
    """The same tokens come of it as of a CSV export of the table."""
    with opened(kind.make(statements(kind.name, ROWS))) as database:
        rows, users = database.rows(), database.users()

    assert users == users_of(USERS)
    assert made(rows, users) == made([row_of("", dict(facts)) for facts in ROWS], users)
    assert [fate for fate, _ in made(rows, users)] == [Fate.NEW, Fate.NEW, Fate.REFUSED]
    assert sorted(one.place for one in rows) == ["row 1", "row 2", "row 3"]


def test_it_is_only_read(kind: Kind) -> None:
    """The database refuses whatever would write."""
    import sqlalchemy as sa

    with (
        pytest.raises(BackendUnavailable, match=r"(?i)read.?only"),
        opened(kind.make(statements(kind.name, ROWS))) as database,
    ):
        database._connection.execute(sa.text("DELETE FROM app_user"))


def test_without_its_tables_it_is_refused(kind: Kind) -> None:
    """Each table is named, and what to do."""
    with opened(kind.make([TABLES[kind.name][0]])) as database:
        assert database.rows() == []
        with pytest.raises(RefusedError, match="no table app_user: name the users with --users"):
            database.users()
    with (
        opened(kind.make(["CREATE TABLE something (id int)"])) as database,
        pytest.raises(RefusedError, match="--schema"),
    ):
        database.rows()


def test_a_missing_column_is_named(kind: Kind) -> None:
    """One that is not needed may be missing."""
    quote = "`" if kind.name == "mariadb" else '"'
    drop = f"ALTER TABLE {quote}AO_81F455_PERSONAL_TOKEN{quote} DROP COLUMN {quote}%s{quote}"

    with opened(kind.make([*statements(kind.name, ROWS[:1]), drop % "LAST_ACCESSED_AT"])) as database:
        [found] = database.rows()
        assert found.last_used is None
    with (
        opened(kind.make([*statements(kind.name, ROWS), drop % "USER_KEY"])) as database,
        pytest.raises(RefusedError, match="AO_81F455_PERSONAL_TOKEN has no column USER_KEY"),
    ):
        database.rows()


@pytest.fixture(scope="module")
def postgresql_server() -> Iterator[PostgreSQLServer]:
    """Give a PostgreSQL server that is far east of Greenwich."""
    with postgresql(options=("timezone=Pacific/Kiritimati",)) as server:
        yield server


def test_never_is_never_in_the_far_east(postgresql_server: PostgreSQLServer) -> None:
    """There it is in the year 10000 already, which Python has no time for."""
    address = on_server(postgresql_server, statements("postgresql", ROWS[:1]))

    with opened(address) as database:
        [(fate, token)] = made(database.rows(), database.users())

    assert fate is Fate.NEW
    assert token is not None
    assert (token.expires, token.created) == (None, datetime(2026, 4, 15, 10, 30, 0, 123_000, tzinfo=UTC))


def test_tables_may_be_in_a_schema(postgresql_server: PostgreSQLServer) -> None:
    """Jira is often set up so."""
    made_there = ['CREATE SCHEMA "Jira 9"', 'SET search_path TO "Jira 9"']
    script = "; ".join([*made_there, *statements("postgresql", ROWS)])
    address = on_server(postgresql_server, [script])

    with opened(address, "Jira 9") as database:
        assert len(database.rows()) == len(ROWS)
        assert database.users() == users_of(USERS)
    with opened(address) as database, pytest.raises(RefusedError, match="Name its schema"):
        database.rows()


# -- addresses


@pytest.mark.parametrize(
    "address",
    [
        "nonsense",
        "nonsense://x/y",
        "postgresql://u:hidden@h:port/d",
        "sqlite://",
        "sqlite:///:memory:",
        "oracle+nope://u:hidden@h/d",
    ],
)
def test_an_address_that_can_t_be_one(address: str) -> None:
    """It is told as a matter of settings, and is not shown: there may be a password in it."""
    with pytest.raises(ConfigurationError) as caught, opened(address):
        pass

    assert "hidden" not in str(caught.value)


def test_a_server_that_is_not_there() -> None:
    """One sentence, without the password."""
    with (
        pytest.raises(BackendUnavailable, match="Jira's database can't be read: ") as caught,
        opened("postgresql://jira:hidden@127.0.0.1:1/jira"),
    ):
        pass

    assert "hidden" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is not made."""
    with pytest.raises(BackendUnavailable), opened(f"sqlite:///{tmp_path}/gone.db"):
        pass

    assert list(tmp_path.iterdir()) == []
