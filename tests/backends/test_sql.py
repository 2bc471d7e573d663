"""Tokens in an SQL database."""

from __future__ import annotations

import gc
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC
from ipaddress import ip_network
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from patmiddleware.backends.sql import PAGE, SQLStore, schema
from patmiddleware.changes import here
from patmiddleware.errors import BackendUnavailable, ConfigurationError, ConflictError
from patmiddleware.interfaces import Add, TokenStore
from patmiddleware.model import Digest, Revocation, Secret, Token, Use
from patmiddleware.testing import NOON, StoreOutageContract, TokenStoreContract, sample_token
from patmiddleware.testing.samples import hidden
from patmiddleware.tokens import mint_secret

OLD, NEW = b"an old pepper, 16+", b"a new pepper, 16+"


class TestSQLite(TokenStoreContract):
    """The contract, without a pepper."""

    peppers: tuple[bytes, ...] = ()

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder, self.made = tmp_path, 0

    def make_store(self) -> SQLStore:
        self.made += 1
        return SQLStore(f"sqlite:///{self.folder}/tokens{self.made}.db", peppers=self.peppers)

    def make_second(self, store: TokenStore) -> SQLStore:
        return SQLStore(f"sqlite:///{self.folder}/tokens{self.made}.db", peppers=self.peppers)


class TestSQLiteWithPeppers(TestSQLite):
    """The contract, with two peppers."""

    peppers = (NEW, OLD)


class TestSQLiteWithoutItsFile(StoreOutageContract):
    """The file was removed behind our back."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_unreachable(self) -> SQLStore:
        store = SQLStore(f"sqlite:///{self.folder}/tokens.db")
        store.revision()
        for file in self.folder.iterdir():
            file.unlink()
        return store


class TestSQLiteWithBrokenFile(TestSQLiteWithoutItsFile):
    """The file was overwritten behind our back."""

    def make_unreachable(self) -> SQLStore:
        file = self.folder / "tokens.db"
        store = SQLStore(f"sqlite:///{file}")
        file.write_bytes(b"\0" * file.stat().st_size)
        return store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the database of a test is."""
    return tmp_path / "tokens.db"


@pytest.fixture
def open_file(file: Path) -> Callable[[], SQLStore]:
    """Open the store in the file."""
    return lambda: SQLStore(f"sqlite:///{file}")


def run(file: Path, *statements: str) -> list[tuple[object, ...]]:
    """Run statements on the database from outside, and give what the last one gave."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


# -- opening


def test_a_missing_database_is_made(file: Path, open_file: Callable[[], SQLStore]) -> None:
    """It has the newest schema, lets readers and a writer work at once, and only its owner may read it."""
    with closing(open_file()) as store:
        store.add(sample_token(), mint_secret())

        assert run(file, "SELECT version_num FROM patmw_alembic_version") == [(schema.REVISIONS[-1],)]
        assert run(file, "PRAGMA journal_mode") == [("wal",)]
        assert {stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()} == {0o600}


def test_opening_waits_for_who_works_in_the_file(file: Path, open_file: Callable[[], SQLStore]) -> None:
    """That readers and a writer may work at once is settled when nobody is in the file, and SQLite does not wait."""
    open_file().close()
    assert run(file, "PRAGMA journal_mode=DELETE") == [("delete",)]
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)

    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendUnavailable, match="locked"):
            SQLStore(f"sqlite:///{file}", timeout=0.1)
        end = threading.Timer(0.3, other.execute, ["COMMIT"])
        end.start()
        open_file().close()
        end.join()

    assert run(file, "PRAGMA journal_mode") == [("wal",)]


def test_an_empty_file_is_made_a_database(file: Path, open_file: Callable[[], SQLStore]) -> None:
    """A file of no bytes, as from mktemp, is a new database."""
    file.touch()

    assert open_file().list() == []


def test_all_is_there_after_opening_again(file: Path, open_file: Callable[[], SQLStore]) -> None:
    """Tokens, secrets, last uses and the revision are kept."""
    secret, used = mint_secret(), sample_token(last_used=Use(NOON, "2001:db8::1", "curl"))
    first = open_file()
    first.add(used, secret)

    second = open_file()

    assert (second.find(Secret(secret)), second.revision()) == (used, first.revision())


@pytest.mark.parametrize("before", [(), (OLD,)], ids=["no pepper", "older pepper"])
def test_a_new_pepper_finds_what_is_kept_already(file: Path, before: tuple[bytes, ...]) -> None:
    """Secrets that are kept without a pepper, or under an older one, are found, and are taken."""
    secret = mint_secret()
    SQLStore(f"sqlite:///{file}", peppers=before).add(sample_token(), secret)

    store = SQLStore(f"sqlite:///{file}", peppers=(NEW, *before))

    assert store.find(Secret(secret)) == sample_token()
    with pytest.raises(ConflictError):
        store.add(sample_token("t2"), secret)


def test_migrations_make_the_tables_as_they_are_declared(open_file: Callable[[], SQLStore]) -> None:
    """Nothing is declared that no migration makes, nor the other way round."""
    store = open_file()

    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})

        assert compare_metadata(context, schema.metadata) == []


def test_versions_are_listed_in_order() -> None:
    """The list that a store is judged by is that of the migrations."""
    config = Config()
    config.set_main_option("script_location", "patmiddleware.backends.sql:migrations")

    scripts = ScriptDirectory.from_config(config).walk_revisions()

    assert [script.revision for script in scripts] == list(reversed(schema.REVISIONS))


def test_an_older_schema_is_refused() -> None:
    """The error says which command mends it, and that command accepts it."""
    with pytest.raises(ConfigurationError, match="run patmiddleware store migrate"):
        schema.check("0001", known=("0001", "0002"))

    schema.check("0001", known=("0001", "0002"), older=True)


REFUSED = {
    "newer": (["UPDATE patmw_alembic_version SET version_num = '9999'"], "too old"),
    "a table is gone": (["DROP TABLE patmw_use"], "not as this program makes them"),
    "no version": (["DELETE FROM patmw_alembic_version"], "not as this program makes them"),
    "no version table": (["DROP TABLE patmw_alembic_version"], "not as this program makes them"),
    "somebody else's": (
        [
            "DROP TABLE patmw_token",
            "DROP TABLE patmw_use",
            "DROP TABLE patmw_revision",
            "DROP TABLE patmw_alembic_version",
            "CREATE TABLE patmw_other (x)",
        ],
        "not as this program makes them",
    ),
}


@pytest.mark.parametrize(("damage", "expected"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("opener", [SQLStore, SQLStore.migrate], ids=["open", "migrate"])
def test_another_schema_is_refused(
    file: Path, open_file: Callable[[], SQLStore], opener: Callable[[str], object], damage: list[str], expected: str
) -> None:
    """Neither opening nor migrating touches a schema that is not understood."""
    open_file().close()
    run(file, *damage)
    before = file.read_bytes()

    with pytest.raises(ConfigurationError, match=expected):
        opener(f"sqlite:///{file}")

    assert file.read_bytes() == before


def test_migrating_makes_a_missing_database(file: Path) -> None:
    """It says that there was something to do, and the next time that there is nothing."""
    assert [SQLStore.migrate(f"sqlite:///{file}") for _ in range(2)] == [True, False]


def test_tables_of_an_application_are_left_alone(file: Path, open_file: Callable[[], SQLStore]) -> None:
    """Our tables stand beside those of the application, and its Alembic is not ours."""
    run(file, "CREATE TABLE alembic_version (version_num)", "INSERT INTO alembic_version VALUES ('theirs')")

    open_file().add(sample_token(), mint_secret())

    assert run(file, "SELECT * FROM alembic_version") == [("theirs",)]


@pytest.mark.parametrize("opener", [SQLStore, SQLStore.migrate], ids=["open", "migrate"])
@pytest.mark.parametrize(
    "content", [b"x", b'{"id": "t1"}\n', b"SQLite format 2\0" + b"\0" * 984, os.urandom(4096)], ids=range(4)
)
def test_what_is_no_database_is_refused(file: Path, opener: Callable[[str], object], content: bytes) -> None:
    """Any other file is refused in one sentence, and not touched."""
    file.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"tokens\.db is not an SQLite database$"):
        opener(f"sqlite:///{file}")

    assert file.read_bytes() == content


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """No folder is made: it is more likely a mistake."""
    with pytest.raises(ConfigurationError, match=r"tokens\.db: its folder does not exist \(run: mkdir -p .*missing\)"):
        SQLStore(f"sqlite:///{tmp_path}/missing/tokens.db")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A path that is no file is named."""
    with pytest.raises(ConfigurationError, match="is not a file"):
        SQLStore(f"sqlite:///{tmp_path}")


def test_what_may_not_be_written_beside_is_told(file: Path, open_file: Callable[[], SQLStore]) -> None:
    """SQLite needs files beside its own; waiting does not mend it."""
    open_file().close()
    file.with_name("tokens.db-wal").mkdir()

    with pytest.raises(ConfigurationError, match="let this user write to the file and to its folder"):
        open_file()


@pytest.mark.parametrize("mode", [0o606, 0o660, 0o666])
def test_a_file_that_others_may_write_is_refused(file: Path, open_file: Callable[[], SQLStore], mode: int) -> None:
    """They could have put a token into it."""
    open_file()
    file.chmod(mode)

    with pytest.raises(ConfigurationError, match=r"others may write to .*tokens\.db \(run chmod go-w"):
        open_file()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("sqlite://", "write memory:"),
        ("sqlite:///:memory:", "write memory:"),
        ("sqlite://host/tokens.db", "a path only"),
        ("sqlite:///tokens.db?mode=ro", "a path only"),
        ("sqlite+aiosqlite:///tokens.db", "own driver only"),
        ("sqlite:tokens.db", "can't be read"),
    ],
)
def test_other_addresses_are_refused(address: str, expected: str) -> None:
    """What SQLAlchemy would take, but no store should be, is refused with what to write."""
    with pytest.raises(ConfigurationError, match=expected):
        SQLStore(address)


def test_no_digest_is_logged(open_file: Callable[[], SQLStore], caplog: pytest.LogCaptureFixture) -> None:
    """SQLAlchemy, when told to log all that it can, shows the rows that come."""
    caplog.set_level("DEBUG", "sqlalchemy")
    store, secret = open_file(), mint_secret()
    store.add(sample_token(), secret)

    assert list(store.records())
    assert "SELECT patmw_token.id" in caplog.text
    assert not [text for text in hidden(store, secret) if text in caplog.text]


def test_a_name_may_have_any_bytes(tmp_path: Path) -> None:
    """The system's names are bytes, and not always those of a text."""
    with closing(SQLStore(f"sqlite:///{tmp_path}/\udcff.db")) as store:
        assert store.list() == []


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that changes its folder after opening still finds its store, whatever characters its name has."""
    monkeypatch.chdir(tmp_path)
    store = SQLStore("sqlite:///to%25kens #1?.db".replace("?", "%3F"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    store.add(sample_token(), mint_secret())

    assert store.list() == [sample_token()]
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("module", ["sqlalchemy", "alembic"])
def test_a_missing_driver_says_what_to_install(file: Path, module: str) -> None:
    """Without the extra, opening says which pip install mends it."""
    script = f"""
        import sys
        sys.modules[{module!r}] = None
        from patmiddleware.backends import open_store
        from patmiddleware.errors import ConfigurationError
        try:
            open_store("sqlite:///{file}")
        except ConfigurationError as error:
            print(error)
    """

    assert "pip install 'patmiddleware[sql]'" in python(script)


def test_opening_leaves_no_connection(open_file: Callable[[], SQLStore]) -> None:
    """A server may fork after it has opened its store."""
    store = open_file()

    assert store._engine.pool.checkedin() == 0  # type: ignore[attr-defined]  # the pool is a QueuePool


# -- while it runs


def test_a_change_is_on_the_disk_when_it_is_acknowledged(open_file: Callable[[], SQLStore]) -> None:
    """A revocation outlives a power cut: every connection waits for the disk (2 is FULL)."""
    store = open_file()

    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_change_is_announced(open_file: Callable[[], SQLStore]) -> None:
    """Caches in this process hear of every change."""
    store, before = open_file(), here.count

    store.add(sample_token(), mint_secret())

    assert here.count > before


def test_readers_go_on_while_another_process_writes(file: Path, open_file: Callable[[], SQLStore]) -> None:
    """A lock stops writers only, and those for a while: then they hear that the store is unavailable."""
    store, secret = open_file(), mint_secret()
    store.add(sample_token(), secret)

    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found, count = store.find(Secret(secret)), store.revision()
        with pytest.raises(BackendUnavailable, match="locked"):
            store.remove("t1")

    assert (found, store.revision()) == (sample_token(), count)


def test_a_restored_backup_is_followed(file: Path, open_file: Callable[[], SQLStore], tmp_path: Path) -> None:
    """When another file is put in the place of the database, the old one is neither read nor written any more."""
    store = open_file()
    store.add(sample_token("newer"), mint_secret())
    with closing(SQLStore(f"sqlite:///{tmp_path}/backup.db")) as backup:
        backup.add(sample_token("older"), mint_secret())
    for path in tmp_path.glob("tokens.db-*"):
        path.unlink()
    (tmp_path / "backup.db").rename(file)

    store.add(sample_token("newest"), mint_secret())

    assert [token.id for token in open_file().list()] == ["newest", "older"]
    assert [token.id for token in store.list()] == ["newest", "older"]


DAMAGE = {
    "scopes are no JSON": "scopes = 'read'",
    "scopes are one text": "scopes = '\"read\"'",
    "scopes are numbers": "scopes = '[1]'",
    "networks are none": "networks = '[\"anywhere\"]'",
    "network has host bits": "networks = '[\"10.0.0.1/8\"]'",
    "limits are a list": "limits = '[]'",
    "limits are one text": 'limits = \'{"project": "OPS"}\'',
    "attributes are numbers": "attributes = '{\"a\": 1}'",
    "created is a text": "created = 'yesterday'",
    "created is out of range": "created = 9223372036854775807",
    "expires is a text": "expires = 'never'",
    "revoked is a text": "revoked_at = 'yes'",
    "revoked without a time": "revoked = 1",
    "owner is bytes": "owner = x'616c696365'",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_row_is_an_outage(file: Path, open_file: Callable[[], SQLStore], damage: str) -> None:
    """A row that can't be read is neither an unknown token nor a guess; the error names its id."""
    store, secret = open_file(), mint_secret()
    store.add(sample_token(), secret)
    run(file, f"UPDATE patmw_token SET {damage}")

    for ask in (lambda: store.find(Secret(secret)), lambda: store.get("t1"), store.list):
        with pytest.raises(BackendUnavailable, match="the row of the token 't1' is damaged"):
            ask()


def test_a_damaged_row_can_be_removed(file: Path, open_file: Callable[[], SQLStore]) -> None:
    """What can't be read can still be got rid of."""
    store = open_file()
    store.add(sample_token(), mint_secret())
    run(file, "UPDATE patmw_token SET scopes = ''")

    store.remove("t1")

    assert store.list() == []


def test_a_lost_revision_is_an_outage(file: Path, open_file: Callable[[], SQLStore]) -> None:
    """Without its row no change could be seen any more."""
    store = open_file()
    run(file, "DELETE FROM patmw_revision")

    with pytest.raises(BackendUnavailable, match="revision"):
        store.revision()


def test_no_digest_shows_in_a_traceback(file: Path, open_file: Callable[[], SQLStore]) -> None:
    """The causes of an error are as silent as the error."""
    store, secret = open_file(), mint_secret()
    store.add(sample_token(), secret)

    with pytest.raises(ConflictError) as caught:
        store.add(sample_token("t2"), secret)

    shown = "".join(traceback.format_exception(caught.value))
    assert [text for text in (repr(Secret(secret).digest), secret) if text in shown] == []


def test_every_record_is_given_over_several_pages(open_file: Callable[[], SQLStore]) -> None:
    """Moving a large store leaves no token out."""
    store = open_file()
    count = 2 * PAGE + 1
    store.commit(Add(Token(id=f"{n:05}", owner="alice"), Digest("sha256", "", n.to_bytes(32))) for n in range(count))

    records = [(token.id, digest.value) for token, digest in store.records()]

    assert records == [(f"{n:05}", n.to_bytes(32)) for n in range(count)]


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"owner": "alice"}, "patmw_token_owner"),
        ({"family": "f1"}, "patmw_token_family"),
        ({"parent": "p1"}, "patmw_token_parent"),
        ({"revoked": True}, "patmw_token_revoked"),
        ({"revoked": False}, "patmw_token_revoked"),
        ({"owner": "alice", "revoked": False, "created_before": NOON}, "patmw_token_owner"),
        ({"created_before": NOON}, "sqlite_autoindex_patmw_token_1"),
        ({}, "sqlite_autoindex_patmw_token_1"),
    ],
    ids=str,
)
@pytest.mark.parametrize("page", [{}, {"after": "t1"}], ids=["first", "next"])
def test_every_list_walks_an_index(
    file: Path, open_file: Callable[[], SQLStore], filters: dict[str, object], page: dict[str, str], index: str
) -> None:
    """A page of a list is read in order: no list sorts, or looks at rows that can't be meant."""
    store = open_file()
    with asked(store) as statements:
        store.list(**filters, **page, limit=10)  # type: ignore[arg-type]  # a table of filters

    [(statement, values)] = statements
    with closing(sqlite3.connect(file)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]

    assert f"USING INDEX {index}" in plan[0]
    assert [step for step in plan if "TEMP B-TREE" in step] == []


@pytest.mark.parametrize("peppers", [(), (NEW, OLD)], ids=["plain", "peppers"])
def test_find_is_one_search_of_an_index(file: Path, peppers: tuple[bytes, ...]) -> None:
    """A look-up costs the same, however many tokens there are."""
    store = SQLStore(f"sqlite:///{file}", peppers=peppers)

    with closing(sqlite3.connect(file)) as connection:
        values = [b""] * (len(peppers) + 1)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {store._find}", values)]

    assert plan == [
        "SEARCH patmw_token USING INDEX patmw_token_digest (digest=?)",
        "SEARCH patmw_use USING INDEX sqlite_autoindex_patmw_use_1 (token_id=?) LEFT-JOIN",
    ]


@contextmanager
def asked(store: SQLStore) -> Iterator[list[tuple[str, tuple[object, ...]]]]:
    """Gather the statements that a store runs, with their values."""
    statements: list[tuple[str, tuple[object, ...]]] = []

    def note(connection: object, cursor: object, statement: str, values: tuple[object, ...], *rest: object) -> None:
        statements.append((statement, values))

    event.listen(store._engine, "before_cursor_execute", note)
    yield statements
    event.remove(store._engine, "before_cursor_execute", note)


texts = st.text(st.characters(exclude_categories=["Cs"]))
moments = st.datetimes(timezones=st.just(UTC))
names = st.frozensets(texts, max_size=3)
tokens = st.builds(
    Token,
    id=texts,
    owner=texts,
    name=texts,
    scopes=names,
    created=moments,
    expires=st.none() | moments,
    networks=st.lists(st.ip_addresses().map(ip_network), max_size=2).map(tuple),
    limits=st.dictionaries(texts, names, max_size=2),
    created_by=st.none() | texts,
    parent=st.none() | texts,
    family=texts,
    replaces=st.none() | texts,
    revoked=st.none() | st.builds(Revocation, moments, st.none() | texts, texts),
    last_used=st.none() | st.builds(Use, moments, st.none() | texts, st.none() | texts),
    attributes=st.dictionaries(texts, texts, max_size=2),
)


@pytest.fixture(scope="module")
def shared_store() -> Iterator[SQLStore]:
    """One store for all the examples of a property."""
    with tempfile.TemporaryDirectory() as folder, closing(SQLStore(f"sqlite:///{folder}/tokens.db")) as store:
        yield store


@given(token=tokens)
def test_every_token_comes_back_as_it_was(shared_store: SQLStore, token: Token) -> None:
    """No text, time or set is too odd to be kept exactly."""
    shared_store.add(token, "a secret")

    try:
        assert shared_store.find(Secret("a secret")) == token
    finally:
        shared_store.remove(token.id)


# -- several processes


def python(script: str, *arguments: object) -> str:
    """Run a script in a process of its own, and give what it prints."""
    lines = script.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    command = [sys.executable, "-c", "\n".join(line[indent:] for line in lines), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_processes_that_write_at_once_lose_nothing(file: Path) -> None:
    """Several processes make one database and write to it; every change is there."""
    script = """
        import sys
        from patmiddleware.backends.sql import SQLStore
        from patmiddleware.errors import ConflictError
        from patmiddleware.model import Token
        store = SQLStore(f"sqlite:///{sys.argv[1]}")
        won = 0
        for number in range(50):
            store.add(Token(id=f"{sys.argv[2]}-{number:02}", owner="alice"), f"{sys.argv[2]} {number}")
            try:
                store.add(Token(id=f"shared-{number:02}", owner=sys.argv[2]), f"shared {number}")
                won += 1
            except ConflictError:
                pass
        print(won)
    """

    with ThreadPoolExecutor(3) as pool:
        won = sum(map(int, pool.map(lambda name: python(script, file, name), "abc")))

    store = SQLStore(f"sqlite:///{file}")
    expected = sorted(f"{name}-{number:02}" for name in ("a", "b", "c", "shared") for number in range(50))
    assert [token.id for token in store.list()] == expected
    assert won == 50


def test_a_change_by_another_process_is_seen(file: Path, open_file: Callable[[], SQLStore]) -> None:
    """The revision says so, and the next look-up gives the new record."""
    store, secret = open_file(), mint_secret()
    store.add(sample_token(), secret)
    before = store.revision()
    script = """
        import dataclasses, sys
        from patmiddleware.backends.sql import SQLStore
        store = SQLStore(f"sqlite:///{sys.argv[1]}")
        store.replace(dataclasses.replace(store.get("t1"), name="changed"), store.get("t1"))
    """

    python(script, file)

    assert store.revision() > before
    assert store.find(Secret(secret)) == sample_token(name="changed")


def test_a_forked_process_has_connections_of_its_own(file: Path) -> None:
    """Parent and child go on with the store that was opened, and used, before the fork."""
    script = """
        import os, sys
        from patmiddleware.backends.sql import SQLStore
        from patmiddleware.model import Token
        store = SQLStore(f"sqlite:///{sys.argv[1]}")
        store.add(Token(id="before", owner="alice"), "before")
        child = os.fork()
        for number in range(50):
            store.add(Token(id=f"{child > 0}-{number:02}", owner="alice"), f"{child > 0} {number}")
        if child:
            assert os.waitpid(child, 0)[1] == 0
            print(len(store.list()))
    """

    assert python(script, file) == "101\n"


def test_a_store_that_is_gone_leaves_nothing_behind(tmp_path: Path) -> None:
    """A process may open and close as many as it likes: what watches for a fork is there once."""

    def open_and_close(times: int) -> int:
        for _ in range(times):
            SQLStore(f"sqlite:///{tmp_path}/t.db").close()
        gc.collect()
        return len(gc.get_objects())

    before = open_and_close(10)

    assert open_and_close(50) - before < 50
