"""Backends that break one promise each, as a stranger's first attempt may: the contract's test of it fails."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from threading import Lock
from time import monotonic, sleep
from typing import Any

import pytest

from patmiddleware.backends.memory import MemoryStore, StaticDirectory
from patmiddleware.errors import BackendUnavailable, ConflictError
from patmiddleware.firstuse import id_of, parts
from patmiddleware.model import Digest, Owner, Secret, Token, UpstreamCredential, Use
from patmiddleware.testing import (
    DirectoryContract,
    DirectoryOutageContract,
    FlakyPasswordDirectory,
    FlakyStore,
    FlakyVault,
    PasswordDirectoryContract,
    StoreOutageContract,
    TokenReaderContract,
    TokenStoreContract,
    VaultContract,
    VaultOutageContract,
    sample_token,
)
from patmiddleware.testing.redigesting import JIRA_DIGEST
from patmiddleware.tokens import digest_to_store

# A broken class, the promise that it breaks, and what that test takes.
Mutant = tuple[Callable[..., Any], str, tuple[Any, ...]]

RUNS = 10  # for a race may be won on a busy machine, though not for ever


def assert_fails(contract: object, promise: str, arguments: tuple[Any, ...]) -> None:
    """The test of a promise fails in one of a few runs, by an assertion or by what the backend raised."""
    for _ in range(RUNS):
        try:
            getattr(contract, promise)(*arguments)
        except (AttributeError, NotImplementedError) as error:
            pytest.fail(f"the mutant itself is wrong: {error!r}")
        except (Exception, pytest.fail.Exception):
            return
    pytest.fail("the contract did not find it")


# -- readers


class Reader:
    """Finds tokens in a dictionary, as it should; each class below does one thing otherwise."""

    def __init__(self, tokens: Mapping[str, Token]) -> None:
        self.tokens = dict(tokens)

    def find(self, secret: Secret) -> Token | None:
        return self.tokens.get(secret.reveal())


class RaisesKeyError(Reader):
    def find(self, secret: Secret) -> Token | None:
        return self.tokens[secret.reveal()]


class GivesFalse(Reader):
    def find(self, secret: Secret) -> Any:
        return self.tokens.get(secret.reveal(), False)


class GivesNothings(Reader):
    def find(self, secret: Secret) -> Any:
        return self.tokens.get(secret.reveal()) or []


class GivesDicts(Reader):
    def find(self, secret: Secret) -> Any:
        token = self.tokens.get(secret.reveal())
        return token and {"id": token.id, "owner": token.owner, "scopes": token.scopes}


class GivesPairs(Reader):
    def find(self, secret: Secret) -> Any:
        token = self.tokens.get(secret.reveal())
        return token, token is not None


class MatchesPrefixes(Reader):
    def find(self, secret: Secret) -> Token | None:
        return next((token for text, token in self.tokens.items() if text.startswith(secret.reveal())), None)


class MatchesLonger(Reader):
    def find(self, secret: Secret) -> Token | None:
        return next((token for text, token in self.tokens.items() if secret.reveal().startswith(text)), None)


class MatchesGlobs(Reader):
    def find(self, secret: Secret) -> Token | None:
        return next((token for text, token in self.tokens.items() if fnmatchcase(text, secret.reveal())), None)


class FoldsCase(Reader):
    def find(self, secret: Secret) -> Token | None:
        return next((one for text, one in self.tokens.items() if text.lower() == secret.reveal().lower()), None)


class EncodesStrictly(Reader):
    def find(self, secret: Secret) -> Token | None:
        return {text.encode(): token for text, token in self.tokens.items()}.get(secret.reveal().encode())


class SharesItsQuestion(Reader):
    """Two threads at once get each other's answers."""

    def find(self, secret: Secret) -> Token | None:
        self.asked = secret.reveal()
        sleep(0.001)
        return self.tokens.get(self.asked)


class FailsWhenEmpty(Reader):
    def find(self, secret: Secret) -> Token | None:
        if not self.tokens:
            raise BackendUnavailable("there is no table")
        return super().find(secret)


class ForgetsLimits(Reader):
    def find(self, secret: Secret) -> Token | None:
        token = super().find(secret)
        return token and dataclasses.replace(token, limits={})


class LosesLetters(Reader):
    def find(self, secret: Secret) -> Token | None:
        return self.tokens.get(secret.reveal().encode("ascii", "ignore").decode())


class TakesIds(Reader):
    def find(self, secret: Secret) -> Token | None:
        return super().find(secret) or next((one for one in self.tokens.values() if one.id == secret.reveal()), None)


class StandsStill(Reader):
    """Has a revision that never rises."""

    def revision(self) -> int:
        return 0


class ShowsSecrets(Reader):
    def __repr__(self) -> str:
        return f"Reader({self.tokens!r})"


READERS: list[Mutant] = [
    (RaisesKeyError, "test_unknown_secret_is_none", ()),
    (GivesFalse, "test_unknown_secret_is_none", ()),
    (GivesNothings, "test_unknown_secret_is_none", ()),
    (GivesPairs, "test_unknown_secret_is_none", ()),
    (GivesDicts, "test_finds_each_token_by_its_secret", ()),
    (ForgetsLimits, "test_finds_each_token_by_its_secret", ()),
    (MatchesPrefixes, "test_near_misses_are_none", ()),
    (MatchesPrefixes, "test_empty_secret_is_none", ()),
    (MatchesLonger, "test_near_misses_are_none", ()),
    (FoldsCase, "test_near_misses_are_none", ()),
    (MatchesGlobs, "test_odd_secrets_are_none", ("*",)),
    (EncodesStrictly, "test_odd_secrets_are_none", ("\udcff",)),
    (LosesLetters, "test_near_misses_are_none", ()),
    (TakesIds, "test_what_is_no_secret_leads_nowhere", ()),
    (StandsStill, "test_a_change_is_found_and_counted", ()),
    (SharesItsQuestion, "test_threads_may_read_at_once", ()),
    (FailsWhenEmpty, "test_empty_reader_finds_nothing", ()),
    (ShowsSecrets, "test_no_secret_shows", ()),
]


@pytest.mark.parametrize(("broken", "promise", "arguments"), READERS)
def test_reader_contract_finds(broken: Callable[..., Reader], promise: str, arguments: tuple[Any, ...]) -> None:
    """What is wrong with a reader."""
    contract = TokenReaderContract()
    contract.make_reader = broken  # type: ignore[method-assign]  # as a subclass would
    contract.change_reader = lambda reader, tokens: setattr(reader, "tokens", tokens)  # type: ignore[method-assign]

    assert_fails(contract, promise, arguments)


class TestReader(TokenReaderContract):
    """What the others are made from breaks no promise."""

    def make_reader(self, tokens: Mapping[str, Token]) -> Reader:
        return Reader(tokens)


# -- stores


class ChecksThenAdds(MemoryStore):
    """Lets another thread in between a look and a write."""

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        row = self._new(token, secret_or_digest)
        sleep(0.05)
        with self._lock:
            self._put(token.id, row)
            self._revision += 1


class ChecksThenReplaces(MemoryStore):
    """The same, so that a revocation is lost."""

    def replace(self, token: Token, expected: Token) -> None:
        row = self._replaced(token, expected)
        sleep(0.1 if token.revoked else 0.2)  # so that whoever renames is the last, on a busy machine as well
        with self._lock:
            self._put(token.id, row)
            self._revision += 1


class CountsBefore(MemoryStore):
    """Raises the revision before the change is there: a cache keeps the old token under the new number, for good."""

    def replace(self, token: Token, expected: Token) -> None:
        self._revision += 1
        sleep(0.002)
        row = self._replaced(token, expected)
        with self._lock:
            self._put(token.id, row)


class CountsAfter(MemoryStore):
    """Raises the revision in a transaction of its own."""

    def replace(self, token: Token, expected: Token) -> None:
        row = self._replaced(token, expected)
        with self._lock:
            self._put(token.id, row)
        sleep(0.002)
        self._revision += 1


class CountsByHand(MemoryStore):
    """Two threads raise the revision to the same number."""

    count = 0

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        count = self.count
        super().add(token, secret_or_digest)
        sleep(0.02)
        self.count = count + 1

    def revision(self) -> int:
        return self.count


class Lags(MemoryStore):
    """Answers from a copy that is some milliseconds old, as a replica does."""

    taken_at, copy = 0.0, (0, None)

    def _look(self, secret: Secret) -> tuple[int, Token | None]:
        if monotonic() - self.taken_at > 0.005:
            self.taken_at, self.copy = monotonic(), (super().revision(), super().find(secret))  # type: ignore[assignment]
        return self.copy

    def find(self, secret: Secret) -> Token | None:
        return self._look(secret)[1]


class FoldsIds(MemoryStore):
    """Sorts by a collation that does not tell capitals apart, and pages by it."""

    def list(self, *, after: str | None = None, limit: int | None = None, **filters: Any) -> Sequence[Token]:
        found = sorted(super().list(**filters), key=lambda token: token.id.lower())
        return [token for token in found if after is None or token.id.lower() > after.lower()][:limit]


class PagesBeforeItFilters(MemoryStore):
    """Takes a page of all tokens, and then looks which of them were meant."""

    def list(self, *, after: str | None = None, limit: int | None = None, **filters: Any) -> Sequence[Token]:
        page = {token.id for token in super().list(after=after, limit=limit)}
        return [token for token in super().list(**filters) if token.id in page]


class OverwritesDigests(MemoryStore):
    """Writes the fast digest, whatever the token is kept under by now."""

    def redigest(self, id: str, secret: Secret, expected: Digest) -> None:
        row = self.record(id)
        super().redigest(id, secret, row[1] if row else expected)


class ChecksThenRedigests(MemoryStore):
    """Lets another thread in between the look and the write."""

    def redigest(self, id: str, secret: Secret, expected: Digest) -> None:
        row = self.record(id)
        sleep(0.02)
        if row is None or row[1] != expected:
            raise ConflictError("changed")
        with self._lock:
            self._put(id, type(self._rows[id])(row[0], digest_to_store(secret)))


class AddsAnew(MemoryStore):
    """Puts the token there again with what it knew, and so brings back what was removed."""

    def redigest(self, id: str, secret: Secret, expected: Digest) -> None:
        self.remove(id)
        self.add(sample_token(id), secret)


class KeepsBoth(MemoryStore):
    """Takes a secret that stands for another token already."""

    def redigest(self, id: str, secret: Secret, expected: Digest) -> None:
        with self._lock:
            self._put(id, type(self._rows[id])(self._rows[id].token, digest_to_store(secret)))


class TrustsTheNumber(MemoryStore):
    """Takes whoever shows the number in a token of Jira's for its holder."""

    def find(self, secret: Secret) -> Token | None:
        return super().find(secret) or ((found := parts(secret)) and self.get(id_of(found[0]))) or None


class VerifiesEachTime(MemoryStore):
    """Never gets rid of the slow hash."""

    def redigest(self, id: str, secret: Secret, expected: Digest) -> None:
        pass


class ForgetsUses(MemoryStore):
    """Gives the record as it was added."""

    def record(self, id: str) -> tuple[Token, Digest] | None:
        row = super().record(id)
        return row and (dataclasses.replace(row[0], last_used=None), row[1])


class FoldsLookups(MemoryStore):
    """Compares ids as a database does that does not care for case."""

    def get(self, id: str) -> Token | None:
        return super().get(id.lower())


class RemovesByPrefix(MemoryStore):
    """Takes an id for the beginning of one."""

    def remove(self, id: str) -> None:
        for token in self.list():
            if token.id.startswith(id):
                super().remove(token.id)


class CutsSecrets(MemoryStore):
    """Looks at the beginning of a long secret only."""

    def find(self, secret: Secret) -> Token | None:
        return super().find(Secret(secret.reveal()[:4096]))


class LosesTheFarFuture(MemoryStore):
    """Keeps times as floating seconds."""

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        expires = token.expires and datetime.fromtimestamp(token.expires.timestamp(), UTC)
        super().add(dataclasses.replace(token, expires=expires), secret_or_digest)


class RemembersMisses(MemoryStore):
    """Keeps a cache of its own, which nothing empties."""

    def find(self, secret: Secret) -> Token | None:
        known = self.__dict__.setdefault("known", {})
        found: Token | None = known.setdefault(secret.digest, super().find(secret))
        return found


class TakesNothingForAny(MemoryStore):
    """Looks whether a filter is true, not whether it is there."""

    def list(self, *, owner: str | None = None, **filters: Any) -> Sequence[Token]:
        return super().list(owner=owner or None, **filters)


class ListsByTheFirstOwner(MemoryStore):
    """Has an index that only ``add`` writes."""

    def list(self, *, owner: str | None = None, **filters: Any) -> Sequence[Token]:
        first = {token.id: token.owner for token in super().list()}
        owners: dict[str, str] = self.__dict__.setdefault("owners", {})
        owners |= {id: name for id, name in first.items() if id not in owners}
        return [token for token in super().list(**filters) if owner in (None, owners[token.id])]


class ListsAHundred(MemoryStore):
    """Gives a page to whoever asked for all."""

    def list(self, *, limit: int | None = None, **filters: Any) -> Sequence[Token]:
        return super().list(limit=100 if limit is None else limit, **filters)


class UsesTheLast(MemoryStore):
    """Writes one use of many."""

    def record_use(self, uses: Mapping[str, Use]) -> None:
        super().record_use(dict(list(uses.items())[-1:]))


class CountsNoRevocation(MemoryStore):
    """Counts renaming a token, but not revoking it."""

    def replace(self, token: Token, expected: Token) -> None:
        super().replace(token, expected)
        self._revision -= token.revoked is not None


class CountsLooks(MemoryStore):
    """Counts what is no change."""

    def find(self, secret: Secret) -> Token | None:
        self._revision += 1
        return super().find(secret)


class WritesTheWholeForAUse(MemoryStore):
    """Reads a record, and writes all of it back with its use."""

    def record_use(self, uses: Mapping[str, Use]) -> None:
        rows = {id: self._rows[id] for id in uses}
        sleep(0.005)
        with self._lock:
            for id, use in uses.items():
                self._put(id, rows[id]._replace(token=dataclasses.replace(rows[id].token, last_used=use)))


class ReadsWithoutALock(MemoryStore):
    """Goes through what others change meanwhile."""

    def records(self) -> Iterator[tuple[Token, Digest]]:
        for row in self._rows.values():
            sleep(0)
            yield row.token, row.digest


class CommitsPiecemeal(MemoryStore):
    """Lets others see one change before the next."""

    def commit(self, changes: Iterable[Any]) -> None:
        for change in changes:
            super().commit([change])
            self._revision -= 1
            sleep(0.002)
        self._revision += 1


class DropsEmptyTexts(MemoryStore):
    """Writes what is empty as null, as some databases do by themselves."""

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        super().add(dataclasses.replace(token, created_by=token.created_by or None), secret_or_digest)


class TakesNoAuthorForNone(MemoryStore):
    """The same within a revocation."""

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        revoked = token.revoked and dataclasses.replace(token.revoked, by=token.revoked.by or None)
        super().add(dataclasses.replace(token, revoked=revoked), secret_or_digest)


class ClearsItsPage(MemoryStore):
    """Fills the same list at each call."""

    def list(self, **filters: Any) -> Sequence[Token]:
        page: list[Token] = self.__dict__.setdefault("page", [])
        page[:] = super().list(**filters)
        return page


class RemembersPages(MemoryStore):
    """Gives to several callers one list, until something changes."""

    def list(self, **filters: Any) -> Sequence[Token]:
        pages = self.__dict__.setdefault("pages", {})
        found: Sequence[Token] = pages.setdefault((self.revision(), *sorted(filters.items())), super().list(**filters))
        return found


class ListsLazily(MemoryStore):
    """Gives what has no length, and is empty once it was gone through."""

    def list(self, **filters: Any) -> Any:
        return iter(super().list(**filters))


class ChainsTheRow(MemoryStore):
    """Says in the cause of a conflict what it could not write."""

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        try:
            super().add(token, secret_or_digest)
        except ConflictError:
            raise ConflictError("taken") from KeyError(digest_to_store(secret_or_digest).value)


class ConflictsWhileItHandlesTheRow(MemoryStore):
    """The same without a word: what was handled when the conflict was raised is shown with it."""

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        assert isinstance(secret_or_digest, str)
        try:
            raise KeyError(secret_or_digest)
        except KeyError:
            super().add(token, secret_or_digest)


STORES: list[Mutant] = [
    (DropsEmptyTexts, "test_nothing_is_not_the_empty_text", ()),
    (TakesNoAuthorForNone, "test_nothing_is_not_the_empty_text", ()),
    (ClearsItsPage, "test_a_page_in_hand_stays", ()),
    (RemembersPages, "test_a_page_in_hand_stays", ()),
    (ListsLazily, "test_a_page_in_hand_stays", ()),
    (ChainsTheRow, "test_a_conflict_says_nothing_of_the_secret", ("t2",)),
    (ConflictsWhileItHandlesTheRow, "test_a_conflict_says_nothing_of_the_secret", ("t1",)),
    (FoldsLookups, "test_no_other_id_leads_to_a_record", ("T1",)),
    (RemovesByPrefix, "test_no_other_id_leads_to_a_record", ("t",)),
    (CutsSecrets, "test_near_misses_of_a_foreign_secret_are_none", ()),
    (LosesTheFarFuture, "test_times_are_kept_to_the_microsecond", (datetime.max.replace(tzinfo=UTC),)),
    (RemembersMisses, "test_what_was_asked_for_before_does_not_count", ()),
    (TakesNothingForAny, "test_list_gives_what_matches_every_filter", ({"owner": ""}, [])),
    (ListsByTheFirstOwner, "test_lists_follow_a_change", ()),
    (ListsAHundred, "test_many_tokens_are_all_given", ()),
    (UsesTheLast, "test_each_use_is_judged_by_itself", ()),
    (CountsNoRevocation, "test_a_change_of_any_field_raises_the_revision", ("revoked",)),
    (CountsLooks, "test_looking_does_not_raise_the_revision", ()),
    (WritesTheWholeForAUse, "test_a_use_never_undoes_a_change", ()),
    (ReadsWithoutALock, "test_every_method_may_be_called_at_once", ()),
    (CommitsPiecemeal, "test_nobody_sees_half_of_a_commit", ()),
    (ChecksThenAdds, "test_of_racing_adds_of_one_secret_one_wins", ()),
    (ChecksThenAdds, "test_of_racing_adds_of_one_id_one_wins", ()),
    (ChecksThenReplaces, "test_of_racing_replacements_one_wins", ()),
    (ChecksThenReplaces, "test_a_racing_revocation_is_never_lost", ()),
    (CountsBefore, "test_the_revision_rises_with_the_change", ()),
    (CountsAfter, "test_the_revision_rises_with_the_change", ()),
    (CountsByHand, "test_the_revision_never_falls", ()),
    (Lags, "test_after_a_change_everyone_sees_it", ()),
    (FoldsIds, "test_pages_of_odd_ids_fit_together", ()),
    (PagesBeforeItFilters, "test_after_and_the_filters_go_together", ()),
    (OverwritesDigests, "test_redigesting_compares_the_digest", (Digest("pkcs5s2", "", JIRA_DIGEST.value),)),
    (ChecksThenRedigests, "test_of_racing_redigests_one_wins", ()),
    (AddsAnew, "test_redigesting_what_is_gone_is_a_conflict", ()),
    (AddsAnew, "test_after_redigesting_the_secret_leads_to_the_same_record", ()),
    (KeepsBoth, "test_redigesting_to_a_taken_secret_is_a_conflict", ()),
    (TrustsTheNumber, "test_another_secret_with_the_number_of_jira_s_token_is_none", ()),
    (VerifiesEachTime, "test_a_token_of_jira_is_found_by_its_secret", ()),
    (ForgetsUses, "test_record_gives_the_digest_too", ()),
]


@pytest.mark.parametrize(("broken", "promise", "arguments"), STORES)
def test_store_contract_finds(broken: Callable[[], MemoryStore], promise: str, arguments: tuple[Any, ...]) -> None:
    """What is wrong with a store."""
    contract = TokenStoreContract()
    contract.make_store = broken  # type: ignore[method-assign]  # as a subclass would

    assert_fails(contract, promise, arguments)


class ListsInTuples(MemoryStore):
    """Gives another sequence than a list, and breaks no promise by it."""

    def list(self, **filters: Any) -> Sequence[Token]:
        return tuple(super().list(**filters))


@pytest.mark.parametrize(
    ("promise", "arguments"),
    [
        ("test_no_other_id_leads_to_a_record", ("T1",)),
        ("test_use_of_an_unknown_id_is_passed_over", ()),
        ("test_removed_token_is_listed_nowhere", ()),
        ("test_lists_follow_a_change", ()),
        ("test_many_tokens_are_all_given", ()),
        ("test_a_page_in_hand_stays", ()),
        ("test_a_conflict_undoes_the_changes_before_it", ("taken id",)),
        ("test_changes_of_a_commit_are_as_those_alone", ()),
    ],
)
def test_a_page_may_be_any_sequence(promise: str, arguments: tuple[Any, ...]) -> None:
    """A contract asks for what the Protocol says, and for no list."""
    contract = TokenStoreContract()
    contract.make_store = ListsInTuples  # type: ignore[method-assign]  # as a subclass would

    getattr(contract, promise)(*arguments)


class Down(FlakyStore):
    """A store that is down, as it should be; each class below passes over it somewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.down = True


class LosesUses(Down):
    def record_use(self, uses: Mapping[str, Use]) -> None:
        pass


class ListsNothing(Down):
    def list(self, **filters: Any) -> Sequence[Token]:
        return []


class KnowsNothing(Down):
    def get(self, id: str) -> Token | None:
        return None


class CommitsLater(Down):
    def commit(self, changes: Iterable[Any]) -> None:
        pass


class RaisesItsOwn(Down):
    def find(self, secret: Secret) -> Token | None:
        raise OSError("connection refused")


class DownOnce(Down):
    def find(self, secret: Secret) -> Token | None:
        if not self.calls["find"]:
            return super().find(secret)
        return None


class ChainsTheAddress(Down):
    def find(self, secret: Secret) -> Token | None:
        raise BackendUnavailable("no answer") from OSError(f"https://keys.example/{secret.reveal()}")


class EncodesSecrets(Down):
    def find(self, secret: Secret) -> Token | None:
        secret.reveal().encode()
        return super().find(secret)


class TellsTheSecret(Down):
    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        raise BackendUnavailable(f"can't keep {secret_or_digest}")


STORE_OUTAGES: list[Mutant] = [
    (LosesUses, "test_no_call_passes_over_an_outage", (lambda store: store.record_use({}),)),
    (ListsNothing, "test_no_call_passes_over_an_outage", (lambda store: store.list(),)),
    (KnowsNothing, "test_no_call_passes_over_an_outage", (lambda store: store.get("t1"),)),
    (CommitsLater, "test_no_commit_passes_over_an_outage", ()),
    (DownOnce, "test_an_outage_stays_one_however_often_it_is_asked", ()),
    (ChainsTheAddress, "test_an_outage_says_nothing_of_the_secret", ()),
    (EncodesSecrets, "test_nothing_else_is_raised_by_an_odd_secret", ("\udcff",)),
    (RaisesItsOwn, "test_an_outage_is_not_an_unknown_token", ()),
    (TellsTheSecret, "test_a_failed_add_says_nothing_of_the_secret", ()),
]


@pytest.mark.parametrize(("broken", "promise", "arguments"), STORE_OUTAGES)
def test_store_outage_contract_finds(broken: Callable[[], Down], promise: str, arguments: tuple[Any, ...]) -> None:
    """What is wrong with a store that is down."""
    contract = StoreOutageContract()
    contract.make_unreachable = broken  # type: ignore[method-assign]  # as a subclass would

    assert_fails(contract, promise, arguments)


# -- directories


class KnowsEverybody(StaticDirectory):
    def find(self, name: str) -> Owner | None:
        return super().find(name) or Owner(name=name)


class RaisesForStrangers(StaticDirectory):
    def find(self, name: str) -> Owner | None:
        return self._owners[name]


class GivesNames(StaticDirectory):
    def find(self, name: str) -> Any:
        return super().find(name) and {"name": name}


class Searches(StaticDirectory):
    def find(self, name: str) -> Owner | None:
        return next((owner for known, owner in self._owners.items() if fnmatchcase(known, name)), None)


class Asciis(StaticDirectory):
    def find(self, name: str) -> Owner | None:
        return super().find(name.encode("ascii", "ignore").decode())


class AllActive(StaticDirectory):
    def find(self, name: str) -> Owner | None:
        owner = super().find(name)
        return owner and dataclasses.replace(owner, active=True)


class FindsNothingInNothing(StaticDirectory):
    def find(self, name: str) -> Owner | None:
        if not self._owners:
            raise BackendUnavailable("the search base is empty")
        return super().find(name)


DIRECTORIES: list[Mutant] = [
    (KnowsEverybody, "test_unknown_name_is_none", ()),
    (RaisesForStrangers, "test_unknown_name_is_none", ()),
    (GivesNames, "test_finds_each_owner", ()),
    (AllActive, "test_finds_each_owner", ()),
    (Searches, "test_odd_names_are_none", ("*",)),
    (Asciis, "test_names_of_every_script_are_found", ()),
    (FindsNothingInNothing, "test_empty_directory_knows_nobody", ()),
]


@pytest.mark.parametrize(("broken", "promise", "arguments"), DIRECTORIES)
def test_directory_contract_finds(
    broken: Callable[..., StaticDirectory], promise: str, arguments: tuple[Any, ...]
) -> None:
    """What is wrong with a directory."""
    contract = DirectoryContract()
    contract.make_directory = broken  # type: ignore[method-assign]  # as a subclass would

    assert_fails(contract, promise, arguments)


# -- passwords


class Checks(FlakyPasswordDirectory):
    """Checks passwords as it should; each class below does one thing otherwise."""

    def __init__(self, owners: Sequence[Owner]) -> None:
        super().__init__(owners, {owner.name: PasswordDirectoryContract().password_for(owner.name) for owner in owners})

    def owner_if(self, right: bool, name: str) -> Owner | None:
        owner = self.find(name)
        return owner if right and owner is not None and owner.active else None


class BindsWithNothing(Checks):
    """As an LDAP server that takes an empty password for an anonymous bind."""

    def authenticate(self, name: str, password: str) -> Owner | None:
        return self.owner_if(password == "", name) or super().authenticate(name, password)


class EndsAtNul(Checks):
    def authenticate(self, name: str, password: str) -> Owner | None:
        return super().authenticate(name, password.partition("\0")[0])


class LooksAtEight(Checks):
    def authenticate(self, name: str, password: str) -> Owner | None:
        return self.owner_if(self._passwords.get(name, "?" * 8)[:8] == password[:8], name)


class Trims(Checks):
    def authenticate(self, name: str, password: str) -> Owner | None:
        return super().authenticate(name, password.strip())


class IgnoresCase(Checks):
    def authenticate(self, name: str, password: str) -> Owner | None:
        return self.owner_if(self._passwords.get(name, "").lower() == password.lower(), name)


class TakesAnyOnes(Checks):
    def authenticate(self, name: str, password: str) -> Owner | None:
        return self.owner_if(password in self._passwords.values(), name)


class Remembers(Checks):
    def authenticate(self, name: str, password: str) -> Owner | None:
        self.remembered: set[str] = getattr(self, "remembered", set())
        if super().authenticate(name, password):
            self.remembered.add(name)
        return self.owner_if(name in self.remembered, name)


class RaisesForUnknown(Checks):
    def authenticate(self, name: str, password: str) -> Owner | None:
        return self.owner_if(self._passwords[name] == password, name)


class TakesNames(Checks):
    def authenticate(self, name: str, password: str) -> Owner | None:
        return self.owner_if(password == name, name) or super().authenticate(name, password)


class WakesTheLocked(Checks):
    def authenticate(self, name: str, password: str) -> Owner | None:
        owner = self.find(name) if self._passwords.get(name) == password else None
        return owner and dataclasses.replace(owner, active=True)


class FindsByPattern(Checks):
    def authenticate(self, name: str, password: str) -> Owner | None:
        found = [known for known in self._passwords if fnmatchcase(known, name)]
        return super().authenticate(found[0], password) if found else None


class GivesTrue(Checks):
    def authenticate(self, name: str, password: str) -> Any:
        return super().authenticate(name, password) is not None


class SharesThePassword(Checks):
    def authenticate(self, name: str, password: str) -> Owner | None:
        self.presented = password
        sleep(0.001)
        return super().authenticate(name, self.presented)


class ShowsPasswords(Checks):
    def __repr__(self) -> str:
        return f"Checks({self._passwords})"


PASSWORDS: list[Mutant] = [
    (BindsWithNothing, "test_wrong_password_is_none", (lambda right: "",)),
    (BindsWithNothing, "test_a_password_is_checked_each_time", ()),
    (EndsAtNul, "test_wrong_password_is_none", (lambda right: right + "\0",)),
    (LooksAtEight, "test_wrong_password_is_none", (lambda right: right + "x",)),
    (Trims, "test_wrong_password_is_none", (lambda right: right + " ",)),
    (IgnoresCase, "test_wrong_password_is_none", (str.swapcase,)),
    (TakesAnyOnes, "test_password_of_another_is_none", ()),
    (Remembers, "test_a_password_is_checked_each_time", ()),
    (RaisesForUnknown, "test_unknown_names_have_no_password", ("carol",)),
    (TakesNames, "test_wrong_password_is_none", (lambda right: "alice",)),
    (WakesTheLocked, "test_inactive_owner_does_not_become_active", ()),
    (FindsByPattern, "test_odd_names_have_no_password", ("*",)),
    (GivesTrue, "test_right_password_gives_the_owner", ()),
    (SharesThePassword, "test_threads_may_authenticate_at_once", ()),
    (ShowsPasswords, "test_no_password_shows", ()),
    (StaticDirectory, "test_is_a_password_directory", ()),
]


@pytest.mark.parametrize(("broken", "promise", "arguments"), PASSWORDS)
def test_password_contract_finds(broken: Callable[..., Any], promise: str, arguments: tuple[Any, ...]) -> None:
    """What is wrong with a directory that checks passwords."""
    contract = PasswordDirectoryContract()
    contract.make_directory = broken  # type: ignore[method-assign]  # as a subclass would

    assert_fails(contract, promise, arguments)


class TestChecks(PasswordDirectoryContract):
    """What the others are made from breaks no promise, and so does not the fake."""

    def make_directory(self, owners: Sequence[Owner]) -> Checks:
        return Checks(owners)


class Gone(Checks):
    """Out of reach, as it should be; each class below passes over it somewhere."""

    def __init__(self) -> None:
        super().__init__([Owner(name="alice")])
        self.down = True


class KnowsNobody(Gone):
    def find(self, name: str) -> Owner | None:
        return None


class SaysWrong(Gone):
    def authenticate(self, name: str, password: str) -> Owner | None:
        return None


class LetsIn(Gone):
    def authenticate(self, name: str, password: str) -> Owner | None:
        return Owner(name=name)


class TellsThePassword(Gone):
    def authenticate(self, name: str, password: str) -> Owner | None:
        raise BackendUnavailable(f"can't bind as {name} with {password}")


class ChainsThePassword(Gone):
    def authenticate(self, name: str, password: str) -> Owner | None:
        raise BackendUnavailable("can't bind") from ValueError(password)


class Encodes(Gone):
    def find(self, name: str) -> Owner | None:
        return super().find(name.encode("utf-8").decode())


DIRECTORY_OUTAGES: list[Mutant] = [
    (KnowsNobody, "test_an_outage_is_not_an_unknown_owner", ()),
    (SaysWrong, "test_an_outage_is_not_a_wrong_password", ()),
    (LetsIn, "test_an_outage_lets_no_empty_password_in", ()),
    (TellsThePassword, "test_an_outage_says_nothing_of_the_password", ()),
    (ChainsThePassword, "test_an_outage_says_nothing_of_the_password", ()),
    (Encodes, "test_nothing_else_is_raised_by_an_odd_name", ()),
]


@pytest.mark.parametrize(("broken", "promise", "arguments"), DIRECTORY_OUTAGES)
def test_directory_outage_contract_finds(broken: Callable[[], Gone], promise: str, arguments: tuple[Any, ...]) -> None:
    """What is wrong with a directory that is out of reach."""
    contract = DirectoryOutageContract()
    contract.make_unreachable = broken  # type: ignore[method-assign]  # as a subclass would

    assert_fails(contract, promise, arguments)


class TestGone(DirectoryOutageContract):
    """What the others are made from breaks no promise."""

    def make_unreachable(self) -> Gone:
        return Gone()


class TestDown(StoreOutageContract):
    """The fake fails as a store has to while it is down."""

    def make_unreachable(self) -> Down:
        return Down()


# -- vaults


class NotQuite(FlakyVault):
    """Keeps credentials as it should; each class below does one thing otherwise."""

    def name(self, owner: str, upstream: str) -> tuple[str, str]:
        return owner, upstream

    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        return super().get(*self.name(owner, upstream))

    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        super().put(*self.name(owner, upstream), credential)

    def remove(self, owner: str, upstream: str) -> None:
        super().remove(*self.name(owner, upstream))


class FoldsOwners(NotQuite):
    def name(self, owner: str, upstream: str) -> tuple[str, str]:
        return owner.casefold(), upstream


class TrimsOwners(NotQuite):
    def name(self, owner: str, upstream: str) -> tuple[str, str]:
        return owner.rstrip(" "), upstream


class ComposesOwners(NotQuite):
    def name(self, owner: str, upstream: str) -> tuple[str, str]:
        return unicodedata.normalize("NFKC", owner), upstream


class CutsOwners(NotQuite):
    def name(self, owner: str, upstream: str) -> tuple[str, str]:
        return owner.partition("\0")[0], upstream


class OneUpstream(NotQuite):
    def name(self, owner: str, upstream: str) -> tuple[str, str]:
        return owner, ""


class FoldsUpstreams(NotQuite):
    def name(self, owner: str, upstream: str) -> tuple[str, str]:
        return owner, upstream.lower()


class RunsTogether(NotQuite):
    def name(self, owner: str, upstream: str) -> tuple[str, str]:
        return f"{owner}:{upstream}", ""


class SearchesOwners(NotQuite):
    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        return next((one for (name, _), one in self._kept.items() if fnmatchcase(name, owner)), None)


class RaisesForNone(NotQuite):
    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        return self._kept[owner, upstream]


class FailsWithoutAny(NotQuite):
    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        if not self._kept:
            raise BackendUnavailable("there is no table")
        return super().get(owner, upstream)


class GivesValues(NotQuite):
    def get(self, owner: str, upstream: str) -> Any:
        found = super().get(owner, upstream)
        return found and found.values


class ForgetsTheKind(NotQuite):
    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        found = super().get(owner, upstream)
        return found and UpstreamCredential("bearer", found.values)


class Merges(NotQuite):
    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        before = self.get(owner, upstream)
        values = {**(before.values if before else {}), **credential.values}
        super().put(owner, upstream, UpstreamCredential(credential.kind, values))


class KeepsTheFirst(NotQuite):
    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        if self.get(owner, upstream) is None:
            super().put(owner, upstream, credential)


class Strips(NotQuite):
    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        values = {name: text.strip() for name, text in credential.values.items()}
        super().put(owner, upstream, UpstreamCredential(credential.kind, values))


class KeepsWhatWasGiven(NotQuite):
    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        self._kept[owner, upstream] = credential


class GivesItsOwn(NotQuite):
    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        self._kept[owner, upstream] = UpstreamCredential(credential.kind, dict(credential.values))


class RemovesAll(NotQuite):
    def remove(self, owner: str, upstream: str) -> None:
        self._kept = {name: one for name, one in self._kept.items() if name[0] != owner}


class RemovesNothing(NotQuite):
    def remove(self, owner: str, upstream: str) -> None:
        pass


class RemovesStrictly(NotQuite):
    def remove(self, owner: str, upstream: str) -> None:
        del self._kept[owner, upstream]


class Buries(NotQuite):
    def __init__(self) -> None:
        super().__init__()
        self.buried: set[tuple[str, str]] = set()

    def remove(self, owner: str, upstream: str) -> None:
        self.buried.add((owner, upstream))

    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        return None if (owner, upstream) in self.buried else super().get(owner, upstream)


class ShowsAll(NotQuite):
    def __repr__(self) -> str:
        return repr([dict(one.values) for one in self._kept.values()])


class SharesItsName(NotQuite):
    """Two threads at once get each other's answers."""

    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        self.asked = owner
        sleep(0.001)
        return super().get(self.asked, upstream)


class WritesTheWhole(NotQuite):
    """Two threads at once write over each other's."""

    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        before = dict(self._kept)
        sleep(0.001)
        self._kept = {**before, (owner, upstream): credential}


class WritesByHalves(NotQuite):
    """Kind and values each by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: dict[tuple[str, str], str] = {}

    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        self.kinds[owner, upstream] = credential.kind
        sleep(0.001)
        super().put(owner, upstream, credential)

    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        found = super().get(owner, upstream)
        return found and UpstreamCredential(self.kinds[owner, upstream], found.values)


class Collides(NotQuite):
    def __init__(self) -> None:
        super().__init__()
        self.busy = Lock()

    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        if not self.busy.acquire(blocking=False):
            raise BackendUnavailable("somebody else writes")
        try:
            sleep(0.001)
            super().put(owner, upstream, credential)
        finally:
            self.busy.release()


class NoPut:
    def get(self, owner: str, upstream: str) -> None:
        return None


BASIC = UpstreamCredential("basic", {"username": "alice", "password": "Tr0ub4dor&3-\u00fc"})
VAULTS: list[Mutant] = [
    (NoPut, "test_is_a_vault", ()),
    (GivesValues, "test_get_gives_what_was_put", (BASIC,)),
    (ForgetsTheKind, "test_get_gives_what_was_put", (BASIC,)),
    (FailsWithoutAny, "test_an_empty_vault_has_none", ()),
    (RaisesForNone, "test_an_empty_vault_has_none", ()),
    (SearchesOwners, "test_odd_owners_have_none", ("*",)),
    (OneUpstream, "test_odd_upstreams_have_none", ("*",)),
    (TrimsOwners, "test_near_misses_have_none", ("alice ",)),
    (CutsOwners, "test_near_misses_have_none", ("alice\0",)),
    (FoldsOwners, "test_near_misses_have_none", ("Alice",)),
    (ComposesOwners, "test_near_misses_have_none", ("\uff41lice",)),
    (FoldsOwners, "test_names_that_look_alike_are_two", ()),
    (TrimsOwners, "test_names_that_look_alike_are_two", ()),
    (ComposesOwners, "test_names_that_look_alike_are_two", ()),
    (OneUpstream, "test_each_upstream_has_its_own", ()),
    (FoldsUpstreams, "test_each_upstream_has_its_own", ()),
    (RunsTogether, "test_owner_and_upstream_are_not_run_together", ()),
    (Merges, "test_put_takes_the_place_of_the_one_before", ()),
    (KeepsTheFirst, "test_put_takes_the_place_of_the_one_before", ()),
    (Strips, "test_values_are_kept_as_they_are", ()),
    (KeepsWhatWasGiven, "test_what_was_put_is_the_vaults_own", ()),
    (GivesItsOwn, "test_what_was_put_is_the_vaults_own", ()),
    (CutsOwners, "test_an_odd_owner_is_kept_or_refused", ("alice\0",)),
    (RemovesAll, "test_remove_forgets_one", ()),
    (RemovesNothing, "test_remove_forgets_one", ()),
    (RemovesStrictly, "test_remove_of_what_is_not_there_is_no_error", ("*",)),
    (Buries, "test_what_was_removed_can_be_put_again", ()),
    (ShowsAll, "test_no_repr_shows_a_secret", ()),
    (SharesItsName, "test_threads_may_ask_at_once", ()),
    (WritesTheWhole, "test_threads_may_put_at_once", ()),
    (WritesByHalves, "test_two_may_put_for_one_owner_at_once", ()),
    (Collides, "test_two_may_put_for_one_owner_at_once", ()),
]


@pytest.mark.parametrize(("broken", "promise", "arguments"), VAULTS)
def test_vault_contract_finds(broken: Callable[[], FlakyVault], promise: str, arguments: tuple[Any, ...]) -> None:
    """What is wrong with a vault."""
    contract = VaultContract()
    contract.make_vault = broken  # type: ignore[method-assign]  # as a subclass would

    assert_fails(contract, promise, arguments)


class TestNotQuite(VaultContract):
    """What the others are made from breaks no promise."""

    def make_vault(self) -> NotQuite:
        return NotQuite()


class Lost(FlakyVault):
    """A vault that is down as it should be; each class below does one thing otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.down = True


class HasNone(Lost):
    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        return None


class Swallows(Lost):
    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        pass

    def remove(self, owner: str, upstream: str) -> None:
        pass


class TellsTheCredential(Lost):
    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        raise BackendUnavailable(f"can't keep {dict(credential.values)}")


class ChainsTheCredential(Lost):
    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        raise BackendUnavailable("can't be written") from OSError(f"INSERT {dict(credential.values)}")


class RaisesItsDrivers(Lost):
    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        raise OSError("no route to host")


VAULT_OUTAGES: list[Mutant] = [
    (HasNone, "test_an_outage_is_not_a_missing_credential", ()),
    (RaisesItsDrivers, "test_an_outage_is_not_a_missing_credential", ()),
    (Swallows, "test_an_outage_keeps_nothing", ()),
    (TellsTheCredential, "test_an_outage_keeps_nothing", ()),
    (ChainsTheCredential, "test_an_outage_keeps_nothing", ()),
    (Swallows, "test_an_outage_removes_nothing", ()),
]


@pytest.mark.parametrize(("broken", "promise", "arguments"), VAULT_OUTAGES)
def test_vault_outage_contract_finds(broken: Callable[[], Lost], promise: str, arguments: tuple[Any, ...]) -> None:
    """What is wrong with a vault that is out of reach."""
    contract = VaultOutageContract()
    contract.make_unreachable = broken  # type: ignore[method-assign]  # as a subclass would

    assert_fails(contract, promise, arguments)
