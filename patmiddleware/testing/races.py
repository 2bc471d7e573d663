"""What every token store promises while several threads write to it and read from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from threading import Event
from typing import NamedTuple

from patmiddleware.errors import ConflictError
from patmiddleware.interfaces import TokenReader, TokenStore
from patmiddleware.model import Revocation, Secret, Token

from .readers import TokenReaderContract
from .samples import NOON, sample_token, together


class Sight(NamedTuple):
    """What one look showed: the number of the last change known before, the revision around it, and the record."""

    known: int
    before: int
    found: Token | None
    after: int


class StoreRaces(TokenReaderContract):
    """How a store is made, and what it promises to threads."""

    def make_store(self) -> TokenStore:
        """Give a new, empty store; another one at each call."""
        raise NotImplementedError("fill in make_store(self)")

    def make_reader(self, tokens: Mapping[str, Token]) -> TokenReader:
        """Give a new store with these tokens."""
        store = self.make_store()
        for secret, token in tokens.items():
            store.add(token, secret)
        return store

    def change_reader(self, reader: TokenReader, tokens: Mapping[str, Token]) -> None:
        """Remove all tokens, and add these."""
        assert isinstance(reader, TokenStore)
        for token in reader.list():
            reader.remove(token.id)
        for secret, token in tokens.items():
            reader.add(token, secret)

    def store_of(self, *tokens: Token) -> TokenStore:
        """Give a new store with these tokens, by the secrets of :meth:`secret_for`."""
        store = self.make_store()
        for token in tokens:
            store.add(token, self.secret_for(token))
        return store

    def find(self, store: TokenStore, id: str) -> Token | None:
        """Look a token up by the secret that :meth:`secret_for` gives for its id."""
        return store.find(Secret(self.secret_for(sample_token(id))))

    def test_of_racing_replacements_one_wins(self) -> None:
        """Of several threads that replace the same record, one is told that it did."""
        store = self.store_of(sample_token())

        won = together(8, lambda number: _replaced(store, sample_token(name=f"by {number}"), sample_token()))

        assert won.count(True) == 1
        assert store.get("t1") == sample_token(name=f"by {won.index(True)}")

    def test_of_racing_adds_of_one_secret_one_wins(self) -> None:
        """Of several threads that add a token with the same secret, one is told that it did, and no more are kept."""
        store, secret = self.make_store(), self.secret_for(sample_token("t0"))

        won = together(8, lambda number: _added(store, sample_token(f"t{number}"), secret))

        assert won.count(True) == 1
        winner = sample_token(f"t{won.index(True)}")
        assert (list(store.list()), store.find(Secret(secret))) == ([winner], winner)

    def test_of_racing_adds_of_one_id_one_wins(self) -> None:
        """Of several threads that add a token with the same id, one is told so, and its secret alone counts."""
        store = self.make_store()
        secrets = [self.secret_for(sample_token(f"t{number}")) for number in range(8)]

        won = together(8, lambda number: _added(store, sample_token(name=f"by {number}"), secrets[number]))

        assert won.count(True) == 1
        assert [store.find(Secret(secret)) is not None for secret in secrets] == won

    def test_a_racing_revocation_is_never_lost(self) -> None:
        """Whoever renames a token meanwhile, as often as they like, does not bring it back to life."""
        store = self.store_of(sample_token())
        done = Event()

        def act(number: int) -> bool:
            if number == 0:
                made = any(_change(store, revoked=Revocation(NOON, "bob", "lost")) for _ in range(1000))
                done.set()
                return made
            for turn in range(50):
                _change(store, name=f"{number}.{turn}")
                if done.is_set():
                    break
            return True

        assert together(4, act) == [True] * 4
        token = store.get("t1")
        assert token is not None
        assert token.revoked == Revocation(NOON, "bob", "lost")

    def test_the_revision_never_falls(self) -> None:
        """Each of many threads sees it rise by its own change, nobody sees it fall, and no two share a number."""
        store = self.make_store()
        before = store.revision()

        def add(number: int) -> bool:
            seen = [store.revision()]
            store.add(sample_token(f"t{number}"), self.secret_for(sample_token(f"t{number}")))
            seen += [store.revision(), store.revision()]
            return seen == sorted(seen) and seen[0] < seen[1]

        assert all(together(20, add))
        assert store.revision() >= before + 20

    def test_after_a_change_everyone_sees_it(self) -> None:
        """Once ``replace`` came back, no thread finds the old record, nor reads the old revision."""
        sights, revisions = self._watch_changes()

        late = [one for one in sights if _number(one.found) < one.known or one.before < revisions[one.known]]

        assert late == []

    def test_the_revision_rises_with_the_change(self) -> None:
        """A look between two equal revisions shows what that revision counts in, or caches would keep old tokens."""
        sights, revisions = self._watch_changes()
        counted = {revision: number for number, revision in enumerate(revisions)}

        apart = [one for one in sights if one.before == one.after and _number(one.found) != counted.get(one.before)]

        assert apart == []

    def _watch_changes(self, changes: int = 30) -> tuple[list[Sight], list[int]]:
        """Let one thread change a token and others look at it; give what they saw, and the revision of each change."""
        store = self.store_of(sample_token(name="0"))
        revisions, sights = [store.revision()], list[Sight]()

        done = Event()

        def act(number: int) -> bool:
            try:
                return look() if number else all(map(change, range(1, changes + 1)))
            finally:
                done.set()

        def look() -> bool:
            while not done.is_set():
                known = len(revisions) - 1
                sights.append(Sight(known, store.revision(), self.find(store, "t1"), store.revision()))
            return True

        def change(number: int) -> bool:
            store.replace(sample_token(name=str(number)), sample_token(name=str(number - 1)))
            revisions.append(store.revision())
            # Three looks may have begun before it; of the next ones each began after it.
            enough = len(sights) + 6
            while len(sights) < enough and not done.wait(0.0001):
                pass
            return True

        assert all(together(4, act))
        return sights, revisions


def _number(token: Token | None) -> int:
    assert token is not None, "a token that is changed was not found meanwhile"
    return int(token.name)


def _added(store: TokenStore, token: Token, secret: str) -> bool:
    try:
        store.add(token, secret)
    except ConflictError:
        return False
    return True


def _replaced(store: TokenStore, token: Token, expected: Token) -> bool:
    try:
        store.replace(token, expected)
    except ConflictError:
        return False
    return True


def _change(store: TokenStore, **changes: object) -> bool:
    """Change a token as it is now; False where somebody was faster."""
    current = store.get("t1")
    assert current is not None
    return _replaced(store, dataclasses.replace(current, **changes), current)  # type: ignore[arg-type]  # of any field
