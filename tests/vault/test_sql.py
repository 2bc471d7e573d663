"""What is particular to a vault in SQL: its schema, the store beside it, damage and outages."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra sql")

from services.databases import DatabaseServer, mariadb, postgresql

from patmiddleware.backends.sql import SQLStore
from patmiddleware.errors import BackendUnavailable, ConfigurationError
from patmiddleware.model import UpstreamCredential
from patmiddleware.testing import sample_token
from patmiddleware.tokens import mint_secret
from patmiddleware.vault import SealedVault, open_vault

KEY = bytes(range(32))
JIRA = "https://jira.example.org"


def bearer(token: str) -> UpstreamCredential:
    return UpstreamCredential("bearer", {"token": token})


def token_of(credential: UpstreamCredential | None) -> str | None:
    return credential and credential.values["token"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "tokens.db"


@pytest.fixture
def vault(file: Path) -> Iterator[SealedVault]:
    """A vault with alice in it."""
    with closing(open_vault(f"sqlite:///{file}", keys=[KEY])) as opened:
        opened.put("alice", JIRA, bearer("alice's"))
        yield opened


def run(file: Path, *statements: str) -> None:
    """Run statements on the database from outside."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize("first", ["store", "vault"])
def test_tokens_and_credentials_share_a_database(file: Path, first: str) -> None:
    """Whichever of them is opened first makes the tables of both."""
    address = f"sqlite:///{file}"
    if first == "store":
        SQLStore(address).close()

    with closing(open_vault(address, keys=[KEY])) as vault, closing(SQLStore(address)) as store:
        vault.put("alice", JIRA, bearer("x"))
        store.add(sample_token(), mint_secret())
        before = store.revision()
        vault.put("alice", JIRA, bearer("y"))

        assert (token_of(vault.get("alice", JIRA)), store.get("t1")) == ("y", sample_token())
        assert store.revision() == before


def test_a_database_of_before_there_were_vaults(file: Path) -> None:
    """It is refused, with the command that mends it; after that all its tokens are there, and a vault."""
    address = f"sqlite:///{file}"
    with closing(SQLStore(address)) as store:
        store.add(sample_token(), mint_secret())
    run(file, "DROP TABLE patmw_vault", "UPDATE patmw_alembic_version SET version_num = '0002'")

    for opener in (SQLStore, lambda url: open_vault(url, keys=[KEY])):
        with pytest.raises(ConfigurationError, match="run patmiddleware store migrate"):
            opener(address)

    assert SQLStore.migrate(address) is True
    with closing(SQLStore(address)) as store, closing(open_vault(address, keys=[KEY])) as vault:
        assert (store.get("t1"), vault.list()) == (sample_token(), [])


DAMAGED = {
    "a kind that is no text": "kind = x'00'",
    "a key that is no text": "key_id = x'00'",
    "sealed that are no bytes": "sealed = 'text'",
    "a time that is none": "changed = 'now'",
    "a time beyond all": f"changed = {2**63 - 1}",
    "nothing": "sealed = x''",
    "another kind": "kind = 'basic'",
    "another owner": "owner = 'mallory'",
    "the case of the owner": "owner = 'Alice'",
    "another upstream": "upstream = 'https://wiki.example.org'",
    "half of it": "sealed = substr(sealed, 1, 20)",
}


@pytest.mark.parametrize("change", DAMAGED.values(), ids=DAMAGED)
def test_a_row_that_was_changed_is_an_outage(vault: SealedVault, file: Path, change: str) -> None:
    """Whatever somebody wrote there by hand."""
    run(file, f"UPDATE patmw_vault SET {change}")
    [(owner, upstream)] = _names(file)

    with pytest.raises(BackendUnavailable):
        vault.get(owner, upstream)


def _names(file: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT owner, upstream FROM patmw_vault").fetchall()


def test_a_row_that_was_changed_can_be_removed_and_put_anew(vault: SealedVault, file: Path) -> None:
    """So whoever it belonged to connects again."""
    run(file, "UPDATE patmw_vault SET changed = 'now'")

    vault.remove("alice", JIRA)
    vault.put("alice", JIRA, bearer("again"))

    assert token_of(vault.get("alice", JIRA)) == "again"


def test_a_table_that_is_gone_is_an_outage(vault: SealedVault, file: Path) -> None:
    """It is said of the vault, not of a store."""
    run(file, "DROP TABLE patmw_vault")

    for act in (lambda: vault.get("alice", JIRA), lambda: vault.put("bob", JIRA, bearer("x"))):
        with pytest.raises(BackendUnavailable, match="the vault can't be asked: no such table: patmw_vault"):
            act()


def test_a_locked_database_is_an_outage_for_a_put(file: Path) -> None:
    """It was not kept, and whoever asks gets what there was."""
    with closing(open_vault(f"sqlite:///{file}", keys=[KEY])) as vault:
        vault.put("alice", JIRA, bearer("first"))
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(BackendUnavailable, match="database is locked"):
                vault.put("alice", JIRA, bearer("second"))

            assert token_of(vault.get("alice", JIRA)) == "first"


WRITER = """
import sys
from patmiddleware.model import UpstreamCredential
from patmiddleware.vault import open_vault
vault = open_vault(sys.argv[1], keys=[bytes(range(32))])
for number in range(30):
    for owner in (sys.argv[2], "both"):
        vault.put(owner, "https://jira.example.org", UpstreamCredential("bearer", {"token": f"{sys.argv[2]} {number}"}))
"""


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def address(request: pytest.FixtureRequest, file: Path) -> str:
    """The address of a new database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{file}"
    server: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    return server.new_database()


def test_processes_that_write_at_once_lose_nothing(address: str) -> None:
    """On an empty database, each for an owner of its own and both for a third: none fails."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, address, name]) for name in ("w0", "w1")]

    assert [writer.wait(60) for writer in writers] == [0, 0]
    with closing(open_vault(address, keys=[KEY])) as vault:
        found = [token_of(vault.get(name, JIRA)) for name in ("w0", "w1", "both")]
        assert found in (["w0 29", "w1 29", "w0 29"], ["w0 29", "w1 29", "w1 29"])


@pytest.mark.parametrize("kind", [postgresql, mariadb])
def test_a_server_that_is_gone_is_an_outage(kind: type) -> None:
    """And there again when it is back, without opening anything anew."""
    with kind() as server, closing(open_vault(server.new_database(), keys=[KEY])) as vault:
        vault.put("alice", JIRA, bearer("kept"))
        server.kill()
        for act in (lambda: vault.get("alice", JIRA), lambda: vault.put("alice", JIRA, bearer("lost"))):
            with pytest.raises(BackendUnavailable, match="the vault can't be asked"):
                act()
        server.start()

        assert token_of(vault.get("alice", JIRA)) == "kept"


def test_a_wrong_password_is_told_of_the_vault(postgresql_server: DatabaseServer) -> None:
    """The message names the vault's setting, for a vault is opened as a store is."""
    address = postgresql_server.new_database().replace("/pat", "/nopat")

    with pytest.raises(ConfigurationError, match=r"vault\.url: .*no such database.*name in vault\.url"):
        open_vault(address, keys=[KEY])
