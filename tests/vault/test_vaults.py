"""The contract on every vault that ships, and what all of them have beyond it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from services.databases import DatabaseServer, MariaDBServer, PostgreSQLServer

from patmiddleware.errors import BackendError, BackendUnavailable, ConfigurationError
from patmiddleware.model import UpstreamCredential
from patmiddleware.testing import NOON, FakeClock, FlakyVault, VaultContract, VaultOutageContract
from patmiddleware.vault import VAULTS, Keyring, SealedVault, open_vault, rotate

pytest.importorskip("sqlalchemy", reason="needs the extra sql")

OLD, NEW = bytes(range(32)), bytes(range(100, 132))
JIRA, WIKI = "https://jira.example.org", "https://example.org/wiki"


def bearer(token: str) -> UpstreamCredential:
    return UpstreamCredential("bearer", {"token": token})


def token_of(credential: UpstreamCredential | None) -> str | None:
    return credential and credential.values["token"]


class TestFake(VaultContract):
    """The contract on the fake."""

    def make_vault(self) -> FlakyVault:
        return FlakyVault()


class TestFakeDown(VaultOutageContract):
    """The fake fails as a vault has to while it is down."""

    def make_unreachable(self) -> FlakyVault:
        vault = FlakyVault()
        vault.down = True
        return vault


class Shipped(VaultContract):
    """The contract on a vault that is opened by its address."""

    @pytest.fixture(autouse=True)
    def _close(self) -> Iterator[None]:
        self.opened: list[SealedVault] = []
        yield
        for vault in self.opened:
            vault.close()

    def make_vault(self) -> SealedVault:
        self.opened.append(open_vault(self.address(), keys=[NEW, OLD]))
        return self.opened[-1]

    def address(self) -> str:
        raise NotImplementedError


class TestFile(Shipped):
    """The contract on a file."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder, self.numbers = tmp_path, count()

    def address(self) -> str:
        return f"file:{self.folder}/vault{next(self.numbers)}.jsonl"


class TestSQLite(TestFile):
    """The contract on SQLite."""

    def address(self) -> str:
        return f"sqlite:///{self.folder}/vault{next(self.numbers)}.db"


class TestPostgreSQL(Shipped):
    """The contract on PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _server(self, postgresql_server: PostgreSQLServer) -> None:
        self.server = postgresql_server

    def address(self) -> str:
        return self.server.new_database()


class TestMariaDB(Shipped):
    """The contract on MariaDB."""

    @pytest.fixture(autouse=True)
    def _server(self, mariadb_server: MariaDBServer) -> None:
        self.server = mariadb_server

    def address(self) -> str:
        return self.server.new_database()


# -- what every shipped vault has


@pytest.fixture(params=VAULTS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new vault of each kind."""
    match request.param:
        case "file":
            return f"file:{tmp_path}/vault.jsonl"
        case "sqlite":
            return f"sqlite:///{tmp_path}/vault.db"
    kind = "mariadb" if request.param == "mysql" else request.param
    server: DatabaseServer = request.getfixturevalue(f"{kind}_server")
    return server.new_database()


Open = Callable[..., SealedVault]


@pytest.fixture
def opened(address: str) -> Iterator[Open]:
    """Open the vault at the address, each time anew, with these keys; without any with one."""
    vaults: list[SealedVault] = []

    def open_it(*keys: bytes) -> SealedVault:
        vaults.append(open_vault(address, keys=keys or [NEW]))
        return vaults[-1]

    yield open_it
    for vault in vaults:
        vault.close()


def test_another_process_sees_it_at_once(opened: Open) -> None:
    """Put, put anew, and removed: whoever has the same vault open sees it with the next question."""
    one, other = opened(), opened()
    seen = [other.get("alice", JIRA)]

    for act in (
        lambda: one.put("alice", JIRA, bearer("first")),
        lambda: one.put("alice", JIRA, bearer("other")),
        lambda: one.remove("alice", JIRA),
    ):
        act()
        seen.append(other.get("alice", JIRA))

    assert [token_of(each) for each in seen] == [None, "first", "other", None]


def test_it_is_there_after_opening_again(opened: Open) -> None:
    """What was put outlives the process."""
    opened().put("alice", JIRA, bearer("kept"))

    assert token_of(opened().get("alice", JIRA)) == "kept"


def test_the_list_tells_all_but_the_secrets(address: str, opened: Open) -> None:
    """Whose, for which upstream, of which kind, under which key, and since when to the microsecond; in order."""
    clock = FakeClock(NOON.timestamp())
    vault = SealedVault(opened().rows, Keyring([NEW]), clock=clock)
    for owner, upstream in (("bob", JIRA), ("alice", WIKI), ("Bob", JIRA), ("alice", JIRA)):
        vault.put(owner, upstream, bearer("t0k3n"))
    vault.put("bob", JIRA, UpstreamCredential("basic", {}))

    listed = vault.list()

    assert [(each.owner, each.upstream, each.kind) for each in listed] == [
        ("Bob", JIRA, "bearer"),
        ("alice", WIKI, "bearer"),
        ("alice", JIRA, "bearer"),
        ("bob", JIRA, "basic"),
    ]
    assert {(each.key_id, each.changed) for each in listed} == {(Keyring([NEW]).newest, clock.now)}
    assert "t0k3n" not in repr(listed)


def test_a_wrong_key_is_an_outage(opened: Open) -> None:
    """Never "no credential": with the right key it is there again."""
    opened(OLD).put("alice", JIRA, bearer("kept"))

    with pytest.raises(BackendUnavailable, match=r"which is not in vault\.keys"):
        opened(NEW).get("alice", JIRA)

    assert token_of(opened(OLD).get("alice", JIRA)) == "kept"


MOVES = {
    "owner": {"owner": "mallory"},
    "upstream": {"upstream": WIKI},
    "kind": {"kind": "basic"},
    "key": {"key_id": "x"},
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_row_that_was_moved_does_not_open(opened: Open, move: dict[str, str]) -> None:
    """Whoever can write to the vault makes nobody somebody else by it."""
    vault = opened()
    vault.put("alice", JIRA, bearer("alice's"))
    [row] = vault.list()
    moved = replace(row, **move)

    vault.rows.put(moved)

    with pytest.raises(BackendUnavailable):
        vault.get(moved.owner, moved.upstream)


def test_rows_that_were_swapped_do_not_open(opened: Open) -> None:
    """Two owners with each other's row have none at all."""
    vault = opened()
    vault.put("alice", JIRA, bearer("alice's"))
    vault.put("bob", JIRA, bearer("bob's"))
    alice, bob = vault.list()

    vault.rows.put(replace(alice, data=bob.data))
    vault.rows.put(replace(bob, data=alice.data))

    for owner in ("alice", "bob"):
        with pytest.raises(BackendUnavailable, match="damaged or exchanged"):
            vault.get(owner, JIRA)


# -- rotation


def test_rotation_seals_all_under_the_newest_key(opened: Open) -> None:
    """Then the old key can be dropped; what was sealed with the new one before is left, and so is every time."""
    opened(OLD).put("alice", JIRA, bearer("first"))
    opened(OLD).put("alice", WIKI, bearer("second"))
    vault = opened(NEW, OLD)
    vault.put("bob", JIRA, bearer("third"))
    before = vault.list()

    rotated = rotate(vault)

    assert (rotated.resealed, rotated.failed) == (2, ())
    assert [each.changed for each in vault.list()] == [each.changed for each in before]
    alone = opened(NEW)
    kept = [alone.get(*each) for each in (("alice", JIRA), ("alice", WIKI), ("bob", JIRA))]
    assert [token_of(each) for each in kept] == ["first", "second", "third"]


def test_rotation_again_does_nothing(opened: Open) -> None:
    """What is under the newest key is not touched."""
    opened(OLD).put("alice", JIRA, bearer("kept"))
    vault = opened(NEW, OLD)
    rotate(vault)
    before = vault.list()

    assert rotate(vault).resealed == 0
    assert vault.list() == before


def test_a_rotation_that_was_interrupted_goes_on(opened: Open) -> None:
    """What was written stays, and the next one does the rest."""
    vault = opened(NEW, OLD)
    for number in range(250):
        row = Keyring([OLD]).seal(f"owner{number}", JIRA, bearer(str(number)), NOON)
        vault.rows.put(row)

    with pytest.raises(KeyboardInterrupt):
        rotate(vault, Interrupting(after=2))
    left = sum(each.key_id == Keyring([OLD]).newest for each in vault.list())

    assert (left, rotate(vault).resealed) == (50, 50)
    assert [token_of(opened(NEW).get(f"owner{number}", JIRA)) for number in (0, 249)] == ["0", "249"]


class Interrupting:
    """Shows the progress of a rotation, and interrupts it after some batches."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, label: str, total: int | None) -> Interrupting:
        return self

    def __enter__(self) -> Callable[..., None]:
        return self.step

    def __exit__(self, *error: object) -> None:
        pass

    def step(self, done: int = 1) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_rotation_leaves_and_names_what_it_cannot_open(opened: Open) -> None:
    """One that was damaged or whose key is gone keeps nobody else from being sealed anew."""
    vault, lost = opened(NEW, OLD), bytes(range(200, 232))
    vault.rows.put(Keyring([lost]).seal("alice", JIRA, bearer("lost"), NOON))
    vault.rows.put(Keyring([OLD]).seal("bob", JIRA, bearer("kept"), NOON))
    vault.rows.put(replace(Keyring([OLD]).seal("carol", JIRA, bearer("moved"), NOON), owner="dave"))

    rotated = rotate(vault)

    assert (rotated.resealed, [each.owner for each in rotated.failed]) == (1, ["alice", "dave"])
    assert token_of(opened(NEW).get("bob", JIRA)) == "kept"


@pytest.mark.parametrize("removed", [False, True], ids=["put", "removed"])
def test_what_is_changed_during_a_rotation_stays_changed(opened: Open, removed: bool) -> None:
    """Neither is an older credential put back, nor one that was removed."""
    vault, other = opened(NEW, OLD), opened(OLD)
    other.put("alice", JIRA, bearer("old"))
    other.put("bob", JIRA, bearer("bob's"))
    rows = vault.list()
    pairs = [(vault.keyring.seal(row.owner, row.upstream, other.keyring.open(row), row.changed), row) for row in rows]

    if removed:
        other.remove("alice", JIRA)
    else:
        other.put("alice", JIRA, bearer("new"))

    assert vault.rows.replace(pairs) == 1
    assert token_of(vault.get("alice", JIRA)) == (None if removed else "new")
    assert token_of(opened(NEW).get("bob", JIRA)) == "bob's"


def test_what_an_old_process_puts_in_meanwhile_is_sealed_anew(opened: Open) -> None:
    """A rotation ends when nothing is under an old key any more."""
    vault, other = opened(NEW, OLD), opened(OLD)
    other.put("alice", JIRA, bearer("old"))

    class Meanwhile(Interrupting):
        def step(self, done: int = 1) -> None:
            if self.left:
                other.put("bob", JIRA, bearer("late"))
            self.left = 0

    rotated = rotate(vault, Meanwhile(after=1))

    assert rotated.resealed == 2
    assert token_of(opened(NEW).get("bob", JIRA)) == "late"


# -- opening

WRONG = {
    "no scheme": ("vault.jsonl", "the address of a vault begins with its kind"),
    "unknown": ("ldap://h", "there is no kind of vault named 'ldap'"),
    "memory": ("memory:", "there is no kind of vault named 'memory'"),
    "no path": ("file:", "the address has no path"),
    "a host": ("file://host/x", "names a host where a path should be"),
    "in memory": ("sqlite://", "SQLite in memory is no"),
    "no folder": ("file:/nowhere/at/all", "its folder does not exist"),
    "no folder of a database": ("sqlite:////nowhere/at/all", "its folder does not exist .run: mkdir -p /nowhere/at"),
}


@pytest.mark.parametrize(("wrong", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_no_vault_is_refused(wrong: str, expected: str) -> None:
    """In a sentence; the setting is the vault's, also where a store is opened in the same way."""
    with pytest.raises(ConfigurationError, match=expected) as caught:
        open_vault(wrong, keys=[NEW])

    assert {problem.setting.partition(".")[0] for problem in caught.value.problems} == {"vault"}


def test_keys_are_judged_first(tmp_path: Path) -> None:
    """With a wrong key nothing is made."""
    with pytest.raises(ConfigurationError, match="not random"):
        open_vault(f"sqlite:///{tmp_path}/vault.db", keys=[bytes(32)])

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", ["owner", "upstream", "kind", "key_id", "data"])
def test_a_row_of_other_types_is_none(field: str) -> None:
    """What somebody wrote there by hand is found before it is opened."""
    sealed = Keyring([NEW]).seal("alice", JIRA, bearer("x"), NOON)
    other: dict[str, object] = {field: 3}

    with pytest.raises(TypeError, match="texts and bytes"):
        replace(sealed, **other)  # type: ignore[arg-type]


def test_a_name_that_is_too_long_for_sql_is_refused(tmp_path: Path) -> None:
    """Said before one database refuses it and another cuts it."""
    with closing(open_vault(f"sqlite:///{tmp_path}/vault.db", keys=[NEW])) as vault:
        for owner, upstream in (("x" * 256, JIRA), ("alice", f"{JIRA}/{'x' * 256}")):
            with pytest.raises(BackendError, match="more than 255 characters"):
                vault.put(owner, upstream, bearer("x"))

        assert vault.list() == []
