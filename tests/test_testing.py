"""The contracts find what is wrong; the fakes do as they are told."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from patmiddleware.backends.memory import MemoryStore, StaticDirectory
from patmiddleware.errors import BackendUnavailable, ConfigurationError, ConflictError
from patmiddleware.interfaces import Add, Change, Replace, TokenReader, TokenStore
from patmiddleware.model import Digest, Owner, Secret, Token, Use
from patmiddleware.testing import (
    DirectoryContract,
    FakeClock,
    FlakyDirectory,
    FlakyStore,
    OutageContract,
    TokenReaderContract,
    TokenStoreContract,
    pat_clock,
    pat_flaky_store,
    pat_store,
    sample_token,
)
from patmiddleware.tokens import mint_secret

__all__ = ["pat_clock", "pat_flaky_store", "pat_store"]  # fixtures are used by their names

# -- stores that break one promise each


class Rounds(MemoryStore):
    """Keeps whole seconds only."""

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        super().add(dataclasses.replace(token, created=token.created.replace(microsecond=0)), secret_or_digest)


class HidesTheDead(MemoryStore):
    """Judges what its caller should judge."""

    def find(self, secret: Secret) -> Token | None:
        token = super().find(secret)
        return (
            None if token is None or token.revoked or (token.expires and token.expires < datetime.now(UTC)) else token
        )


class Matches(MemoryStore):
    """Takes a secret for a pattern."""

    def find(self, secret: Secret) -> Token | None:
        return next((token for token, _ in self.records()), None) if "%" in secret.reveal() else super().find(secret)


class Trims(MemoryStore):
    """Takes a blank for nothing."""

    def find(self, secret: Secret) -> Token | None:
        return super().find(Secret(secret.reveal().strip()))


class Overwrites(MemoryStore):
    """Writes without comparing, and adds what is not there."""

    def replace(self, token: Token, expected: Token) -> None:
        current = self.get(token.id)
        if current is None:
            self.add(token, mint_secret())
        else:
            super().replace(token, current)


class WritesLastUse(MemoryStore):
    """Lets a change of a record set its last use back."""

    def replace(self, token: Token, expected: Token) -> None:
        super().replace(token, expected)
        self._rows[token.id] = self._rows[token.id]._replace(token=token)


class LatestUse(MemoryStore):
    """Keeps the use that comes last, not the newest, and counts it as a change."""

    def record_use(self, uses: Mapping[str, Use]) -> None:
        for id, use in uses.items():
            self._rows[id] = self._rows[id]._replace(token=dataclasses.replace(self._rows[id].token, last_used=use))
            self._revision += 1


class NeverRises(MemoryStore):
    """Does not count its changes."""

    def revision(self) -> int:
        return 0


class Unordered(MemoryStore):
    """Gives records as they come, and the end of a page again with the next."""

    def list(self, *, after: str | None = None, **filters: Any) -> Sequence[Token]:
        found = super().list(after=None if after is None else after[:-1], **filters)
        return list(reversed(found))


class HalfCommits(MemoryStore):
    """Leaves the changes before a conflict in place."""

    def commit(self, changes: Iterable[Change]) -> None:
        for change in changes:
            super().commit([change])


class Leftovers(MemoryStore):
    """Remembers the secret of a token that was removed."""

    def remove(self, id: str) -> None:
        digest = self._rows[id].digest if id in self._rows else None
        super().remove(id)
        if digest:
            self._secrets[digest.value] = next(iter(self._rows.values()), None)


class Sha256Only(MemoryStore):
    """Forgets how a digest was made."""

    def records(self) -> Iterator[tuple[Token, Digest]]:
        return ((token, Digest("sha256", "", digest.value)) for token, digest in super().records())


class Talks(MemoryStore):
    """Says which secret it did not like."""

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        try:
            super().add(token, secret_or_digest)
        except ConflictError as error:
            raise ConflictError(f"taken: {secret_or_digest}") from error


@pytest.mark.parametrize(
    ("broken", "promise", "arguments"),
    [
        (Rounds, "test_finds_each_token_by_its_secret", ()),
        (HidesTheDead, "test_revoked_token_is_given_as_it_is", ()),
        (HidesTheDead, "test_expired_token_is_given_as_it_is", ()),
        (Matches, "test_odd_secrets_are_none", ("%",)),
        (Trims, "test_near_misses_are_none", ()),
        (Overwrites, "test_replace_of_a_changed_record_is_a_conflict", ()),
        (Overwrites, "test_replace_of_a_missing_record_is_a_conflict", ()),
        (Overwrites, "test_replace_compares_every_field", ({"scopes": frozenset()},)),
        (Overwrites, "test_of_racing_replacements_one_wins", ()),
        (WritesLastUse, "test_replace_neither_compares_nor_writes_last_use", ()),
        (LatestUse, "test_newest_use_wins", ()),
        (LatestUse, "test_a_use_does_not_raise_the_revision", ()),
        (NeverRises, "test_every_change_raises_the_revision", ()),
        (Unordered, "test_ids_are_ordered_by_code_point", ()),
        (Unordered, "test_list_gives_what_matches_every_filter", ({"after": "t1"}, ["t2", "t3", "t4"])),
        (HalfCommits, "test_a_conflict_undoes_the_changes_before_it", ("taken id",)),
        (Leftovers, "test_removed_token_leaves_nothing_behind", ()),
        (Sha256Only, "test_records_can_be_moved_to_another_store", ()),
        (Talks, "test_a_conflict_says_nothing_of_the_secret", ("t2",)),
    ],
)
def test_store_contract_finds_a_broken_promise(
    broken: Callable[[], MemoryStore], promise: str, arguments: tuple[Any, ...]
) -> None:
    """A store that breaks a promise fails the test of that promise."""
    contract = TokenStoreContract()
    contract.make_store = broken  # type: ignore[method-assign]  # as a subclass would

    with pytest.raises((AssertionError, pytest.fail.Exception, ConflictError, KeyError)):
        getattr(contract, promise)(*arguments)


class SwallowsOutages:
    """Says that a token is unknown when it can't know."""

    def find(self, secret: Secret) -> Token | None:
        return None


def test_outage_contract_finds_a_swallowed_outage() -> None:
    """A reader that gives None for an outage fails."""
    contract = OutageContract()
    contract.make_unreachable = SwallowsOutages  # type: ignore[method-assign]  # as a subclass would

    with pytest.raises(pytest.fail.Exception):
        contract.test_an_outage_is_not_an_unknown_token()


class FoldsCase(StaticDirectory):
    """Finds a name in any case, and gives it as it is kept."""

    def find(self, name: str) -> Owner | None:
        return super().find(name.lower())


class Strips(StaticDirectory):
    """Finds a name with blanks around it."""

    def find(self, name: str) -> Owner | None:
        return super().find(name.strip())


@pytest.mark.parametrize(
    ("broken", "promise", "arguments"),
    [
        (FoldsCase, "test_name_is_spelled_as_asked", ()),
        (Strips, "test_near_misses_are_none", ("alice ",)),
    ],
)
def test_directory_contract_finds_a_broken_promise(
    broken: Callable[..., StaticDirectory], promise: str, arguments: tuple[Any, ...]
) -> None:
    """A directory that breaks a promise fails the test of that promise."""
    contract = DirectoryContract()
    contract.make_directory = broken  # type: ignore[method-assign]  # as a subclass would

    with pytest.raises(AssertionError):
        getattr(contract, promise)(*arguments)


# -- contracts for readers that choose their own secrets


class Signed:
    """A reader whose secrets say which token they are, as JWTs do."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self.tokens = {token.id: token for token in tokens}

    def find(self, secret: Secret) -> Token | None:
        kind, _, id = secret.reveal().partition(":")
        return self.tokens.get(id) if kind == "signed" else None


class TestSigned(TokenReaderContract):
    """The contract holds where secrets can't be chosen."""

    def secret_for(self, token: Token) -> str:
        return f"signed:{token.id}"

    def make_reader(self, tokens: Mapping[str, Token]) -> TokenReader:
        return Signed(tokens.values())


class TestFlakyStore(TokenStoreContract):
    """The fake keeps every promise of a store while it is up."""

    def make_store(self) -> FlakyStore:
        return FlakyStore()

    def make_second(self, store: TokenStore) -> TokenStore:
        return store


class TestFlakyStoreDown(OutageContract):
    """The fake fails as a store has to while it is down."""

    def make_unreachable(self) -> FlakyStore:
        store = FlakyStore()
        store.down = True
        return store


class TestFlakyDirectory(DirectoryContract):
    """The fake keeps every promise of a directory while it is up."""

    def make_directory(self, owners: Sequence[Owner]) -> FlakyDirectory:
        return FlakyDirectory(owners)


# -- fakes


def test_clock_goes_on_when_told() -> None:
    """It gives seconds, and the same moment as a datetime."""
    clock = FakeClock(0.0)

    clock.advance(90.5)

    assert (clock(), clock.now) == (90.5, datetime(1970, 1, 1, 0, 1, 30, 500_000, tzinfo=UTC))


def test_clock_can_be_set_and_goes_on_by_spans() -> None:
    """To a moment, in whatever zone it is told."""
    clock = FakeClock()

    clock.set(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))))
    clock.advance(timedelta(days=1, microseconds=500_000))

    assert clock.now == datetime(2026, 1, 2, 0, 0, 0, 500_000, tzinfo=UTC)


def test_clock_takes_no_time_without_a_zone() -> None:
    """It would be another one on another machine."""
    with pytest.raises(ConfigurationError, match="time zone"):
        FakeClock().set(datetime(2026, 1, 1))


def test_flaky_store_counts_its_calls() -> None:
    """Also those that fail."""
    store = FlakyStore()
    store.find(Secret("x"))
    store.down = True
    with pytest.raises(BackendUnavailable):
        store.find(Secret("x"))
    with pytest.raises(BackendUnavailable):
        store.commit([Replace(sample_token(), sample_token())])

    assert store.calls == {"find": 2, "commit": 1}


def test_flaky_store_keeps_to_a_store_that_is_false() -> None:
    """One that counts its tokens has none at first."""

    class Counted(MemoryStore):
        def __len__(self) -> int:
            return self.count()

    store = Counted()

    FlakyStore(store).add(sample_token(), "x")

    assert store.get("t1") == sample_token()


def test_flaky_store_lets_a_test_look_in_before_each_call() -> None:
    """The hook hears the method's name."""
    store, heard = FlakyStore(), list[str]()
    store.before = heard.append

    store.commit([Add(sample_token(), "x")])
    store.find(Secret("x"))

    assert heard == ["commit", "find"]


def test_flaky_directory_counts_its_calls() -> None:
    """It knows whom it was given, until it is down."""
    directory = FlakyDirectory([Owner(name="alice")])
    found = directory.find("alice")
    directory.down = True
    with pytest.raises(BackendUnavailable):
        directory.find("alice")

    assert (found, directory.calls) == (Owner(name="alice"), {"find": 2})


def test_sample_token_sets_every_field() -> None:
    """A field that a store forgets shows in every comparison."""
    bare = Token(id="t1", owner="alice")

    same = [
        field.name
        for field in dataclasses.fields(Token)
        if getattr(sample_token(), field.name) == getattr(bare, field.name)
    ]

    assert same == ["id", "owner", "revoked", "last_used"]


def test_fixtures_give_fakes(pat_clock: FakeClock, pat_store: MemoryStore, pat_flaky_store: FlakyStore) -> None:
    """They are used by importing their names, too."""
    pat_store.add(sample_token(expires=pat_clock.now + timedelta(hours=1)), "x")

    assert (len(pat_store.list()), pat_flaky_store.list()) == (1, [])


def test_contracts_run_by_subclassing_alone(tmp_path: Path) -> None:
    """A file with nothing but a subclass runs the whole contract, and the contract itself is not collected."""
    file = tmp_path / "test_mine.py"
    file.write_text(
        "from patmiddleware.backends.memory import MemoryStore\n"
        "from patmiddleware.testing import *\n"
        "class TestMine(TokenStoreContract):\n"
        "    def make_store(self):\n"
        "        return MemoryStore()\n"
    )

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout
