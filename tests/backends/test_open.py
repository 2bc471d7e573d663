"""Stores and directories by address."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from patmiddleware.backends import DIRECTORIES, STORES, open_directory, open_store
from patmiddleware.backends.memory import MemoryStore, StaticDirectory
from patmiddleware.backends.schemes import table
from patmiddleware.errors import ConfigurationError
from patmiddleware.model import Owner


def test_memory_store_gets_the_settings() -> None:
    """Prefix, peppers and foreign reach the store."""
    store = open_store("memory:", prefix="acme", peppers=["sixteen bytes at least"], foreign=False)

    assert isinstance(store, MemoryStore)
    assert (store.prefix, store.peppers, store.foreign) == ("acme", (b"sixteen bytes at least",), False)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("file:{folder}/tokens.jsonl", "FileStore"),
        ("file://{folder}/tokens.jsonl", "FileStore"),
        ("sqlite:///{folder}/tokens.db", "SQLStore"),
        ("SQLITE:///{folder}/tokens.db", "SQLStore"),
        ("sqlite+pysqlite:///{folder}/tokens.db", "SQLStore"),
    ],
)
def test_address_opens_its_store(tmp_path: Path, address: str, expected: str) -> None:
    """Each scheme leads to its class."""
    assert type(open_store(address.format(folder=tmp_path))).__name__ == expected


def test_instances_are_given_back() -> None:
    """What is a store or a directory already stays the same object."""
    store, directory = MemoryStore(), StaticDirectory()

    assert open_store(store) is store
    assert open_directory(directory) is directory


@pytest.mark.parametrize("given", [None, 7, b"memory:", MemoryStore, {}], ids=repr)
def test_what_is_neither_is_refused(given: object) -> None:
    """An object that only looks like a store is refused by its type."""
    with pytest.raises(ConfigurationError, match="nor the address of one"):
        open_store(given)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("sqlit:///tokens.db", "try sqlite:"),
        ("postgres://db", "try postgresql:"),
        ("mariadb+pymysql://db/tokens", "try mysql:"),
        ("memroy:", "try memory:"),
        ("static:owners.toml", "try "),
        ("tokens.db", "one of memory:, file:, sqlite:"),
        ("", "one of memory:, file:, sqlite:"),
        (":memory:", "one of memory:, file:, sqlite:"),
        ("memory:tokens", "nothing after the colon"),
        ("file:", "write file:"),
        ("file://", "write file:"),
        ("file://host/tokens", "names a host"),
    ],
)
def test_wrong_address_is_refused_with_a_hint(address: str, hint: str) -> None:
    """An error says what to write instead."""
    with pytest.raises(ConfigurationError, match=hint):
        open_store(address)


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("jwt:keys.json", "issuer"),
        ("introspection:https://login.example", "client_id"),
        ("ldap:", "write ldap"),
        ("htpasswd:", "write htpasswd:"),
    ],
)
def test_a_missing_setting_is_named(address: str, hint: str) -> None:
    """What a kind can't do without is told, rather than raised by Python."""
    for package in {"jwt": ["cryptography", "urllib3"], "ldap": ["ldap"]}.get(address.partition(":")[0], []):
        pytest.importorskip(package)
    opener = open_directory if address.startswith(("ldap", "htpasswd")) else open_store
    with pytest.raises(ConfigurationError, match=hint):
        opener(address)


def test_a_chain_opens_several_stores(tmp_path: Path) -> None:
    """Addresses with blanks between are asked in order; settings go by kind."""
    chain = open_store(f"chain:file:{tmp_path}/a.jsonl sqlite:///{tmp_path}/b.db", settings={"sqlite": {"timeout": 1}})

    assert [type(reader).__name__ for reader in chain.readers] == ["FileStore", "SQLStore"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("address", ["chain:", "chain:memory: nothing:x", "chain:memory: tokens.db"])
def test_a_chain_of_nothing_is_refused(address: str) -> None:
    """Every link must be an address."""
    with pytest.raises(ConfigurationError):
        open_store(address)


def test_settings_for_no_link_of_a_chain_are_refused() -> None:
    """A slip in a kind's name would leave its settings unread."""
    with pytest.raises(ConfigurationError, match=r"store\.jwt: no store of this kind is in the chain"):
        open_store("chain:memory:", settings={"jwt": {}})


def test_settings_that_are_no_table_are_refused() -> None:
    """As they may be in a chain, where each kind has its own."""
    with pytest.raises(ConfigurationError, match="settings by their names"):
        open_store("chain:memory: memory:", settings={"memory": 5})


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://alice:hunter2@db:port/pat",
        "postgresql+psycopg2://alice:hunter2@db/pat",
        "postgrsql://alice:hunter2@db/pat",
        "alice hunter2@db:5432/pat",
        "//alice:hunter2@db/pat",
        "memory://alice:hunter2@db/pat",
        "file://alice:hunter2@db/pat",
        "sqlite://alice:hunter2@db/pat",
        "hunter2",
    ],
)
def test_no_password_shows(address: str) -> None:
    """What is wrong with an address is said without what may be its password."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(address)

    assert "hunter2" not in str(caught.value)


def test_a_scheme_may_not_stand_twice() -> None:
    """A second row never wins unseen."""
    with pytest.raises(ValueError, match="twice"):
        table(("memory", 1), ("file", 2), ("memory", 3))


def test_schemes_are_in_lower_case() -> None:
    """An address is looked up in lower case, so that is how the tables are written."""
    assert [scheme for scheme in (*STORES, *DIRECTORIES) if scheme != scheme.lower()] == []


def test_static_directory_reads_owners(tmp_path: Path) -> None:
    """A TOML file lists owners with all that is known of them."""
    file = tmp_path / "owners.toml"
    file.write_text(
        """
        [owners.alice]
        groups = ["developers", "admins"]
        display_name = "Alice Ångström"
        mail = "alice@example.org"
        [owners.bob]
        active = false
        [owners."carol jones"]
        """,
        encoding="utf-8",
    )

    directory = open_directory(f"static:{file}")

    alice = Owner(
        name="alice",
        groups=frozenset({"developers", "admins"}),
        display_name="Alice Ångström",
        mail="alice@example.org",
    )
    names = ["alice", "bob", "carol jones", "dave"]
    expected = [alice, Owner(name="bob", active=False), Owner(name="carol jones"), None]
    assert [directory.find(name) for name in names] == expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="platform: there are no named pipes of this kind")
def test_owners_are_not_waited_for_at_a_pipe(tmp_path: Path) -> None:
    """A pipe that nobody writes to is refused, rather than waited for without end."""
    os.mkfifo(tmp_path / "owners.toml")

    with pytest.raises(ConfigurationError, match=r"owners\.toml: can't be read: it is no plain file"):
        open_directory(f"static:{tmp_path / 'owners.toml'}")


def test_all_that_is_wrong_with_owners_is_said_at_once(tmp_path: Path) -> None:
    """Every problem is named with the owner and the setting that it is about."""
    file = tmp_path / "owners.toml"
    file.write_text(
        """
        users = 1
        [owners]
        erin = "developers"
        [owners.alice]
        active = "yes"
        groups = "developers"
        [owners.bob]
        gruops = ["developers"]
        mail = 7
        """
    )

    with pytest.raises(ConfigurationError) as caught:
        open_directory(f"static:{file}")

    assert [problem.setting.removeprefix(f"{file}: ") for problem in caught.value.problems] == [
        "users",
        "owners.erin",
        "owners.alice.active",
        "owners.alice.groups",
        "owners.bob.gruops",
        "owners.bob.mail",
    ]
    assert "did you mean groups" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[owners", "is not TOML"),
        (b"x = '\xff'", "is not TOML"),
        (b"owners = 1", "owners: is not a table"),
        (None, "No such file"),
    ],
)
def test_unreadable_owners_are_refused(tmp_path: Path, content: bytes | None, expected: str) -> None:
    """A file that is not there, or is no TOML, is named with the reason."""
    file = tmp_path / "owners.toml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigurationError, match=expected) as caught:
        open_directory(f"static:{file}")

    assert str(file) in str(caught.value)
