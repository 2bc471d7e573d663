"""Tokens on real database servers."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from services.databases import DatabaseServer, MariaDBServer, PostgreSQLServer, mariadb, postgresql

from patmiddleware.backends.sql import PAGE, SQLStore, opening, schema
from patmiddleware.errors import BackendError, BackendUnavailable, ConfigurationError, ConflictError
from patmiddleware.interfaces import Add, TokenStore
from patmiddleware.model import Secret, Use
from patmiddleware.testing import NOON, TokenStoreContract, sample_token
from patmiddleware.testing.samples import hidden
from patmiddleware.tokens import mint_secret

OLD, NEW = b"an old pepper, 16+", b"a new pepper, 16+"


class TestPostgreSQL(TokenStoreContract):
    """The contract on PostgreSQL."""

    peppers: tuple[bytes, ...] = ()

    @pytest.fixture(autouse=True)
    def _server(self, postgresql_server: PostgreSQLServer) -> Iterator[None]:
        with postgresql_server.lending() as self.lend:
            yield

    def make_store(self) -> SQLStore:
        self.address = self.lend()
        return SQLStore(self.address, peppers=self.peppers)

    def make_second(self, store: TokenStore) -> SQLStore:
        return SQLStore(self.address, peppers=self.peppers)


class TestPostgreSQLWithPeppers(TestPostgreSQL):
    """The contract on PostgreSQL, with two peppers."""

    peppers = (NEW, OLD)


class TestMariaDB(TokenStoreContract):
    """The contract on MariaDB."""

    peppers: tuple[bytes, ...] = ()

    @pytest.fixture(autouse=True)
    def _server(self, mariadb_server: MariaDBServer) -> Iterator[None]:
        with mariadb_server.lending() as self.lend:
            yield

    def make_store(self) -> SQLStore:
        self.address = self.lend()
        return SQLStore(self.address, peppers=self.peppers)

    def make_second(self, store: TokenStore) -> SQLStore:
        return SQLStore(self.address, peppers=self.peppers)


class TestMariaDBWithPeppers(TestMariaDB):
    """The contract on MariaDB, with two peppers."""

    peppers = (NEW, OLD)


# -- both kinds of servers


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    """Each kind of server in turn."""
    found: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture(params=["postgresql", "mariadb"])
def restless(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    """A server of each kind that may be stopped, killed and frozen."""
    with postgresql() if request.param == "postgresql" else mariadb() as found:
        yield found


@pytest.fixture
def store(server: DatabaseServer) -> Iterator[SQLStore]:
    """A store in a new database."""
    with closing(SQLStore(server.new_database())) as opened:
        yield opened


def test_opening_leaves_no_connection(store: SQLStore) -> None:
    """A server may fork after it has opened its store."""
    assert [engine.pool.checkedin() for engine in (store._engine, store._access.writer)] == [0, 0]  # type: ignore[attr-defined]


def test_migrations_make_the_tables_as_they_are_declared(store: SQLStore) -> None:
    """Nothing is declared that no migration makes, nor the other way round."""
    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})

        assert compare_metadata(context, schema.metadata) == []


def test_processes_that_open_a_new_store_at_once_make_it_once(server: DatabaseServer) -> None:
    """Several workers start at the same time on an empty database."""
    address = server.new_database()

    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: SQLStore(address), range(6)))

    assert [store.list() for store in stores] == [[]] * 6
    for store in stores:
        store.close()


def test_tables_in_the_making_are_waited_for(mariadb_server: MariaDBServer) -> None:
    """There each table is to be seen as soon as it is made; what is half there is no damage yet."""
    address = mariadb_server.new_database()
    database = opening.database(address)
    engine = database.writer(database.reader())

    with ThreadPoolExecutor(1) as pool, engine.begin() as connection:
        database.lock(connection)
        connection.exec_driver_sql("CREATE TABLE patmw_token (id INT)")
        store = pool.submit(SQLStore, address)
        with pytest.raises(TimeoutError):
            store.result(0.5)
        connection.exec_driver_sql("DROP TABLE patmw_token")
        connection.close()  # and the lock with it
        engine.dispose()

        with closing(store.result(10)) as opened:
            assert opened.list() == []


@pytest.mark.parametrize("version", schema.REVISIONS[:-1])
def test_an_older_schema_is_migrated_when_told(server: DatabaseServer, version: str) -> None:
    """Opening refuses it and changes nothing; the command brings it up to date; then it opens, with all its tokens."""
    address = server.new_database()
    database = address.rpartition("/")[2]
    with closing(SQLStore(address)) as store:
        store.add(sample_token(), mint_secret())
    table = " ON patmw_token" if address.startswith("mysql") else ""
    if version < "0002":
        server.run(f"DROP INDEX patmw_token_created{table}", database)
    server.run("DROP TABLE patmw_vault", database)
    server.run(f"UPDATE patmw_alembic_version SET version_num = '{version}'", database)

    with pytest.raises(ConfigurationError, match="run patmiddleware store migrate"):
        SQLStore(address)

    assert [SQLStore.migrate(address), SQLStore.migrate(address)] == [True, False]
    with closing(SQLStore(address)) as store, store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})
        assert (store.get("t1"), compare_metadata(context, schema.metadata)) == (sample_token(), [])


def test_a_newer_schema_is_refused(server: DatabaseServer) -> None:
    """A program that is too old for a store neither opens nor migrates it."""
    address = server.new_database()
    SQLStore(address).close()
    server.run("UPDATE patmw_alembic_version SET version_num = '9999'", address.rpartition("/")[2])

    for opener in (SQLStore, SQLStore.migrate):
        with pytest.raises(ConfigurationError, match="update patmiddleware"):
            opener(address)


@pytest.mark.parametrize("opener", [SQLStore, SQLStore.migrate], ids=["open", "migrate"])
@pytest.mark.parametrize("made", [1, 2, 7, 9])
def test_making_the_tables_is_taken_up_where_it_was_stopped(
    mariadb_server: MariaDBServer, made: int, opener: Callable[[str], object]
) -> None:
    """There each step is kept as soon as it is done: a process that was killed amid them must not need a hand."""
    address = mariadb_server.new_database()
    database = opening.database(address)
    engine = database.writer(database.reader())
    with suppress(InterruptedError), closing(engine.connect()) as connection:
        stop_after(connection, made)
        schema.upgrade(connection)
    engine.dispose()

    opener(address)

    with closing(SQLStore(address)) as store:
        store.add(sample_token(), "a secret")
        assert store.list() == [sample_token()]


def stop_after(connection: sa.Connection, made: int) -> None:
    """Let a connection break after so many things were made."""
    left = made

    @sa.event.listens_for(connection, "after_cursor_execute")
    def stop(*given: Any) -> None:
        nonlocal left
        left -= given[2].lstrip().startswith("CREATE")
        if not left:
            connection.invalidate()
            raise InterruptedError


def test_a_migration_is_taken_up_where_it_was_stopped(mariadb_server: MariaDBServer) -> None:
    """What it made is there, but not the version that says so."""
    address = mariadb_server.new_database()
    with closing(SQLStore(address)) as store:
        store.add(sample_token(), "a secret")
    mariadb_server.run("UPDATE patmw_alembic_version SET version_num = '0001'", address.rpartition("/")[2])

    assert SQLStore.migrate(address)

    with closing(SQLStore(address)) as store:
        assert store.list() == [sample_token()]


def test_a_missing_table_is_refused(server: DatabaseServer) -> None:
    """It is not made anew: the tokens in it would be lost unseen."""
    address = server.new_database()
    SQLStore(address).close()
    server.run("DROP TABLE patmw_use", address.rpartition("/")[2])

    with pytest.raises(ConfigurationError, match="restore it from a backup"):
        SQLStore(address)


def test_names_that_differ_in_case_or_blanks_are_others(store: SQLStore) -> None:
    """However the database compares by itself."""
    ids = ["alice", "Alice", "alice ", "ALICE", "\u00e4lice"]
    for number, id in enumerate(ids):
        store.add(sample_token(id, owner=id), f"secret {number}")

    assert [[token.id for token in store.list(owner=id)] for id in ids] == [[id] for id in ids]


@pytest.mark.parametrize("name", ["id", "owner", "parent", "family", "replaces"])
def test_a_name_that_is_too_long_is_refused(store: SQLStore, name: str) -> None:
    """Rather than cut, which would make it another one; nothing is written."""
    with pytest.raises(BackendError, match=f"the {name} of a token has more than 255 characters"):
        store.add(sample_token(**{"id": "t1", name: "x" * 256}), mint_secret())

    assert store.list() == []


def test_what_becomes_what_it_was_is_no_conflict(store: SQLStore) -> None:
    """A row is found, though nothing in it is another: MySQL by itself counts only those that become others."""
    secret = mint_secret()
    store.add(sample_token(), secret)
    record = store.record("t1")
    assert record is not None

    store.redigest("t1", Secret(secret), record[1])

    assert store.record("t1") == record


def test_a_text_that_is_too_long_is_refused(mariadb_server: MariaDBServer) -> None:
    """It says so, and nothing is cut."""
    with closing(SQLStore(mariadb_server.new_database())) as store:
        with pytest.raises(BackendError, match="it is too long"):
            store.add(sample_token(name="x" * 65_536), mint_secret())

        assert store.list() == []


def test_a_text_that_is_none_is_told_with_its_token(mariadb_server: MariaDBServer) -> None:
    """Bytes that somebody else wrote are neither an unknown token nor an error of Python's."""
    address, secret = mariadb_server.new_database(), mint_secret()
    with closing(SQLStore(address)) as store:
        store.add(sample_token(), secret)
        mariadb_server.run("UPDATE patmw_token SET owner = 0xff", address.rpartition("/")[2])

        for ask in (lambda: store.find(Secret(secret)), lambda: store.get("t1"), store.list):
            with pytest.raises(BackendUnavailable, match="'t1' is damaged"):
                ask()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding_keeps_texts(postgresql_server: PostgreSQLServer, encoding: str) -> None:
    """One without an encoding, too, as initdb makes them where there is no locale."""
    address = postgresql_server.new_database()
    name = address.rpartition("/")[2]
    postgresql_server.run(f"DROP DATABASE {name}")
    postgresql_server.run(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")
    token, secret = sample_token("ä", owner="Bjørn", name="für"), mint_secret()
    with closing(SQLStore(address)) as store:
        store.add(token, secret)

        assert (store.find(Secret(secret)), store.get("ä"), store.get("\U0001f600")) == (token, token, None)


def test_a_long_name_stands_for_no_shorter_one(store: SQLStore) -> None:
    """What is asked for is not cut to what may be kept."""
    store.add(sample_token("x" * 255, owner="y" * 255), mint_secret())

    assert (store.get("x" * 256), store.list(owner="y" * 256)) == (None, [])


def test_a_look_up_is_one_statement(server: DatabaseServer) -> None:
    """Neither a BEGIN nor a ROLLBACK goes to the server with it: the server's own count says so."""
    with closing(SQLStore(server.new_database(), pool=1)) as store:
        secret = mint_secret()
        store.add(sample_token(), secret)
        counted = asked_of_mariadb if isinstance(server, MariaDBServer) else asked_of_postgresql
        for _ in range(10):  # until the driver has prepared what it prepares
            store.find(Secret(secret))
        before = counted(store)
        for _ in range(20):
            store.find(Secret(secret))

        assert counted(store) - before == 20


def asked_of_mariadb(store: SQLStore) -> int:
    """Count what was asked on the one connection of a store, without this question."""
    with store._engine.connect() as connection:
        [(_, value)] = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Questions'").all()
    asked_of_mariadb.times += 1  # type: ignore[attr-defined]
    return int(value) - asked_of_mariadb.times  # type: ignore[attr-defined]


asked_of_mariadb.times = 0  # type: ignore[attr-defined]


def asked_of_postgresql(store: SQLStore) -> int:
    """Count what the driver sent on the one connection of a store."""
    raw = store._engine.raw_connection()
    try:
        driver: Any = raw.driver_connection
        sent = getattr(driver, "times_waited", 0)
        if not hasattr(driver, "times_waited"):
            original = driver.wait

            def wait(*args: Any, **kwargs: Any) -> Any:
                driver.times_waited += 1
                return original(*args, **kwargs)

            driver.times_waited, driver.wait = 0, wait
        return int(sent)
    finally:
        raw.close()


def test_a_new_revision_is_one_that_never_was(store: SQLStore) -> None:
    """Though an old backup be put back, no number stands for another state than it did."""
    store.add(sample_token("t1"), mint_secret())
    old, newer = store.revision(), []
    with store._access.writer.begin() as connection:
        saved = connection.exec_driver_sql("SELECT value FROM patmw_revision").scalar_one()
    for number in range(3):
        store.add(sample_token(f"n{number}"), mint_secret())
        newer.append(store.revision())
    with store._access.writer.begin() as connection:
        connection.execute(schema.revision.update().values(value=saved))

    store.remove("t1")

    assert store.revision() > max(newer) > old


def test_transactions_that_cross_give_way_and_are_made(store: SQLStore) -> None:
    """Many writers of the same records in different orders: each change is made, or told as a conflict."""
    tokens = [sample_token(f"t{number}") for number in range(6)]
    store.commit([Add(token, f"secret {token.id}") for token in tokens])

    def touch(number: int) -> int:
        order = tokens if number % 2 else list(reversed(tokens))
        for turn in range(8):
            for token in order:
                store.record_use({one.id: Use(NOON + timedelta(seconds=8 * number + turn)) for one in order})
                current = store.get(token.id)
                assert current is not None
                with suppress(ConflictError):
                    store.replace(dataclasses.replace(current, name=f"{number} {turn}"), current)
        return number

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(touch, range(4))) == [0, 1, 2, 3]


def test_uses_that_are_recorded_at_once_are_kept(store: SQLStore) -> None:
    """Several processes note the first use of the same tokens; the newest wins."""
    ids = [f"t{number}" for number in range(50)]
    store.commit([Add(sample_token(id), f"secret {id}") for id in ids])

    def note(number: int) -> None:
        order = ids if number % 2 else list(reversed(ids))
        store.record_use({id: Use(NOON + timedelta(seconds=number)) for id in order})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(note, range(8)))

    assert {token.last_used for token in store.list()} == {Use(NOON + timedelta(seconds=7))}


def test_a_transaction_that_is_left_open_is_ended(server: DatabaseServer) -> None:
    """A process that was stopped in one, or cut off, does not keep all others from writing for hours."""
    address = server.new_database()
    with closing(SQLStore(address, timeout=1.0)) as store, closing(SQLStore(address, timeout=1.0)) as stopped:
        with suppress(sa.exc.DBAPIError), stopped._access.writer.begin() as connection:
            connection.execute(schema.revision.update().values(value=1))
            until = time.monotonic() + 30
            while time.monotonic() < until:
                with suppress(BackendUnavailable):
                    store.remove("t1")
                    break
            connection.execute(schema.revision.update().values(value=2))

        assert store.revision() > 2


def test_many_are_written_in_parts(server: DatabaseServer) -> None:
    """However many there are, no statement takes so long, or so many values, that the server or the driver ends it."""
    count = 2 * PAGE + 1
    with closing(SQLStore(server.new_database(), peppers=[NEW, OLD])) as store:
        sent = list[int]()
        sa.event.listen(
            store._access.writer, "before_cursor_execute", lambda *given: sent.append(len(given[3]) if given[5] else 1)
        )
        store.commit([Add(sample_token(f"t{number:05}"), f"secret {number}") for number in range(count)])
        store.record_use({f"t{number:05}": Use(NOON) for number in range(count)})

        assert (max(sent), {token.last_used for token in store.list()}, store.count()) == (PAGE, {Use(NOON)}, count)


# -- servers that go and come


def test_a_restart_is_not_noticed(restless: DatabaseServer) -> None:
    """Connections of the pool that broke are replaced: neither a look-up nor a change fails after it."""
    with closing(SQLStore(restless.new_database())) as store:
        secrets = [mint_secret() for _ in range(3)]
        for number, secret in enumerate(secrets):
            store.add(sample_token(f"t{number}"), secret)
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda secret: store.find(Secret(secret)), secrets * 5))
        restless.stop()
        restless.start()

        found = store.find(Secret(secrets[0]))
        store.remove("t1")

        assert (found, [token.id for token in store.list()]) == (sample_token("t0"), ["t0", "t2"])


def test_a_server_that_is_gone_is_unavailable(restless: DatabaseServer) -> None:
    """Nothing is known then, and nothing is told of a secret; when it is back, what was acknowledged is there."""
    with closing(SQLStore(restless.new_database())) as store:
        secret = mint_secret()
        store.add(sample_token(), secret)
        restless.kill()

        for ask in (lambda: store.find(Secret(secret)), store.revision, store.list, lambda: store.get("t1")):
            with pytest.raises(BackendUnavailable) as caught:
                ask()
            assert not [text for text in hidden(store, secret) if text in str(caught.value)]
        with pytest.raises(BackendUnavailable):
            store.remove("t1")
        restless.start()

        assert store.find(Secret(secret)) == sample_token()


def test_a_server_that_hangs_is_unavailable_in_time(restless: DatabaseServer) -> None:
    """One that is frozen or cut off says nothing: a look-up waits for it no longer than the timeout allows."""
    with closing(SQLStore(restless.new_database(), timeout=1.0)) as store:
        secret = mint_secret()
        store.add(sample_token(), secret)
        store.find(Secret(secret))
        restless.freeze()
        began = time.monotonic()

        with pytest.raises(BackendUnavailable):
            store.find(Secret(secret))
        with pytest.raises(BackendUnavailable):
            store.revision()

        assert time.monotonic() - began < 20
        restless.thaw()
        assert store.find(Secret(secret)) == sample_token()


def test_a_busy_pool_is_unavailable(server: DatabaseServer) -> None:
    """Whoever waits too long for a connection hears so, rather than wait for ever."""
    small = SQLStore(server.new_database(), timeout=0.5, pool=1)
    held = small._engine.raw_connection()

    with pytest.raises(BackendUnavailable, match="busy"):
        small.revision()

    held.close()
    small.close()


# -- what only the settings can mend


def test_a_server_that_is_not_there_is_named() -> None:
    """With its address, without its password, on one line."""
    for address in ("postgresql://u:a-password@127.0.0.1:1/tokens", "mysql://u:a-password@127.0.0.1:1/tokens"):
        with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1") as caught:
            SQLStore(address)

        assert "a-password" not in str(caught.value)
        assert "\n" not in str(caught.value)


REFUSED_ADDRESSES = {
    "no database": ("postgresql://localhost", "names no database"),
    "another driver": ("postgresql+psycopg2://localhost/tokens", "through psycopg only"),
    "another driver of MySQL": ("mysql+mysqldb://localhost/tokens", "through pymysql only"),
    "no port": ("postgresql://u:a-password@localhost:port/tokens", "can't be read"),
    "no option of MySQL": ("mysql://u:a-password@localhost/tokens?a-password=yes", "option that can't be one"),
    "no number for MySQL": ("mysql://u:x@localhost/tokens?connect_timeout=a-password", "option that can't be one"),
    "no option": ("postgresql://u:a-password@localhost/tokens?ssl=yes", "an option that there is not"),
    "the driver's own option": (
        "postgresql://u:a-password@localhost/tokens?autocommit=1",
        "an option that there is not",
    ),
    "no port of libpq": ("postgresql://u:a-password@localhost:99999/tokens", "a value that can't be one"),
    "no mode": ("postgresql://u:a-password@localhost/tokens?sslmode=a-password", "a value that can't be one"),
    "no time": ("postgresql://u:a-password@localhost/tokens?connect_timeout=a-password", "a value that can't be one"),
    "no settings for TLS": ("mysql://u:a-password@localhost/tokens?ssl=true", "option that can't be one"),
    "no CA": ("mysql://u:a-password@localhost/tokens?ssl_ca=/nowhere/ca.pem", "a file that the address names"),
    "an @ in a password": ("postgresql://u:x@a-password@localhost/tokens", "more than one @.*%40"),
    "a @ and a / in a password": ("mysql://u:x@a/a-password@localhost/tokens", "more than one @.*%40"),
    "a NUL": ("postgresql://u:a-password%00@localhost/tokens", "can't be read"),
}


@pytest.mark.parametrize(("address", "expected"), REFUSED_ADDRESSES.values(), ids=REFUSED_ADDRESSES)
def test_other_addresses_are_refused(address: str, expected: str) -> None:
    """In one sentence that shows no password."""
    with pytest.raises(ConfigurationError, match=expected) as caught:
        SQLStore(address)

    assert "a-password" not in str(caught.value)


def test_a_missing_database_is_a_matter_of_settings(server: DatabaseServer) -> None:
    """The error says to make it."""
    with pytest.raises(ConfigurationError, match=r"there is no such database \(make it"):
        SQLStore(server.address.format("nowhere"))


def test_a_wrong_password_is_a_matter_of_settings() -> None:
    """The error names the setting, and shows neither the password nor the user's."""
    with postgresql(options=("password_encryption=scram-sha-256",)) as server:
        address = server.new_database()
        server.run("CREATE USER gate PASSWORD 'right'")
        hba = str(server.run("SHOW hba_file")[0][0])
        Path(hba).write_text("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        server.run("SELECT pg_reload_conf()")
        wrong = address.replace("postgres@", "gate:a-password@")

        with pytest.raises(ConfigurationError, match="refuses the user or the password") as caught:
            SQLStore(wrong)
        shown = "".join(traceback.format_exception(caught.value))

    assert "a-password" not in shown


def test_a_password_of_any_characters_is_taken(mariadb_server: MariaDBServer) -> None:
    """Its bytes are those of UTF-8, as for every other client."""
    mariadb_server.run("CREATE OR REPLACE USER 'any'@localhost IDENTIFIED BY 'é€@:/?#%+ x'")
    mariadb_server.run("GRANT ALL ON *.* TO 'any'@localhost")
    address = mariadb_server.new_database().replace("root@", f"any:{quote('é€@:/?#%+ x', safe='')}@")

    with closing(SQLStore(address)) as store:
        assert store.list() == []


@pytest.mark.parametrize("form", ["/{name}?host={folder}&port={port}", "{host}:{port}/{name}"])
def test_a_socket_is_written_in_every_way(postgresql_server: PostgreSQLServer, form: str) -> None:
    """As SQLAlchemy and as libpq write it."""
    folder = str(postgresql_server.run("SHOW unix_socket_directories")[0][0])
    name = postgresql_server.new_database().rpartition("/")[2]
    place = form.format(name=name, folder=folder, port=postgresql_server.port, host=quote(folder, safe=""))

    with closing(SQLStore(f"postgresql://postgres@{place}")) as store:
        assert store.list() == []


def test_a_read_only_server_without_a_store_is_told(postgresql_server: PostgreSQLServer) -> None:
    """A replica gets its store from the server that it follows."""
    address = postgresql_server.new_database()
    postgresql_server.run(f"ALTER DATABASE {address.rpartition('/')[2]} SET default_transaction_read_only = on")

    with pytest.raises(ConfigurationError, match="the server is read-only"):
        SQLStore(address)


def test_a_wrong_password_of_mariadb_is_a_matter_of_settings(mariadb_server: MariaDBServer) -> None:
    """The error names the setting, and does not show the password."""
    address = mariadb_server.new_database().replace("root@", "gate:a-password@")
    mariadb_server.run("CREATE OR REPLACE USER gate@localhost IDENTIFIED BY 'right'")

    with pytest.raises(ConfigurationError, match="refuses the user or the password") as caught:
        SQLStore(address)

    assert "a-password" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("module", "address", "extra"),
    [("psycopg", "postgresql://localhost/tokens", "postgresql"), ("pymysql", "mysql://localhost/tokens", "mysql")],
)
def test_a_missing_driver_says_what_to_install(module: str, address: str, extra: str) -> None:
    """Without the extra, opening says which pip install mends it."""
    script = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from patmiddleware import ConfigurationError, open_store\n"
        f"try: open_store({address!r})\n"
        "except ConfigurationError as error: print(error)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert f"pip install 'patmiddleware[{extra}]'" in done.stdout


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_is_not_there_is_told_with_what_to_do(scheme: str) -> None:
    """One sentence names the server and the setting, and asks nothing."""
    with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1.*refused.*; .*store\.url$") as caught:
        SQLStore(f"{scheme}://gate:hunter2@127.0.0.1:1/tokens")

    assert "?" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_mariadb_without_tls_is_told(mariadb_server: MariaDBServer) -> None:
    """Waiting does not mend it."""
    with pytest.raises(ConfigurationError, match="the server has no TLS"):
        SQLStore(f"{mariadb_server.new_database()}?ssl_verify_cert=true")
