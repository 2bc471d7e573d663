"""What every token store promises to those who share it: threads that call any method, and other processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from threading import Event

import pytest

from patmiddleware.errors import ConflictError
from patmiddleware.interfaces import Add, Remove, Replace, TokenStore, Transactional
from patmiddleware.model import Revocation, Token, Use

from .races import StoreRaces
from .samples import NOON, sample_token, together


class StoreSharing(StoreRaces):
    """What a store promises to those who share it."""

    def make_second(self, store: TokenStore) -> TokenStore:
        """Give another object over the same tokens, as a second process has. Override it where there can be one."""
        pytest.skip("fill in make_second(self, store) if several processes can share the tokens")

    # -- other processes

    def test_a_second_object_sees_every_change(self) -> None:
        """What one changed the other finds, and its revision is another one than before; or it would never be told."""
        first = self.store_of(sample_token("t0"))
        second = self.make_second(first)
        revisions = [second.revision()]
        revoked = sample_token(revoked=Revocation(NOON, "bob", "lost"))
        found = [self.find(second, "t1")]

        changes: list[Callable[[], None]] = [
            lambda: first.add(sample_token(), self.secret_for(sample_token())),
            lambda: first.replace(revoked, sample_token()),
            lambda: first.remove("t1"),
        ]
        for change in changes:
            change()
            revisions.append(second.revision())
            found.append(self.find(second, "t1"))

        assert found == [None, sample_token(), revoked, None]
        assert revisions == sorted(set(revisions))
        assert first.revision() == second.revision()

    def test_two_objects_lose_nothing_to_each_other(self) -> None:
        """An old record is refused by either, a use through one does not undo a revocation through the other."""
        first = self.store_of(sample_token())
        second = self.make_second(first)
        seen = second.get("t1")
        revoked = sample_token(revoked=Revocation(NOON, "bob", "lost"))

        first.replace(revoked, sample_token())
        second.record_use({"t1": Use(NOON)})
        with pytest.raises(ConflictError):
            second.replace(sample_token(name="new"), seen or sample_token())
        with pytest.raises(ConflictError):
            second.add(sample_token(), self.secret_for(sample_token("other")))

        assert first.get("t1") == dataclasses.replace(revoked, last_used=Use(NOON))

    # -- threads

    def test_every_method_may_be_called_at_once(self) -> None:
        """While some threads add, use and remove, others look; none raises, and what stays is given each time."""
        store = self.store_of(*(sample_token(f"s{number}") for number in range(5)))
        stay = {f"s{number}" for number in range(5)}

        def act(number: int) -> bool:
            for turn in range(10):
                id = f"t{number}.{turn}"
                store.add(sample_token(id), self.secret_for(sample_token(id)))
                store.record_use({id: Use(NOON + timedelta(turn)), "s0": Use(NOON)})
                listed = {token.id for token in store.list(owner="alice")}
                moved = [token.id for token, _ in store.records()]
                found = store.get(id), self.find(store, id)
                store.remove(id)
                if not (stay <= listed and stay <= set(moved) and len(moved) == len(set(moved)) and all(found)):
                    return False
            return True

        assert all(together(4, act))
        assert {token.id for token in store.list()} == stay

    def test_a_use_never_undoes_a_change(self) -> None:
        """However a use and a revocation meet, the revocation stays: last use is written, and nothing else."""
        store = self.store_of(*(sample_token(f"t{number}") for number in range(10)))
        written, done = Event(), Event()

        def act(number: int) -> bool:
            if number:
                turn = 0
                while not done.is_set():
                    turn += 1
                    store.record_use({f"t{one}": Use(NOON + timedelta(seconds=turn)) for one in range(10)})
                    written.set()
                return True
            try:
                for one in range(10):
                    written.wait(10)  # so that each revocation meets another use
                    written.clear()
                    _revoke(store, f"t{one}")
            finally:
                done.set()
            return True

        together(3, act)

        assert {token.id for token in store.list() if token.revoked is None} == set()

    def test_of_racing_uses_the_newest_wins(self) -> None:
        """Several threads that write uses of one token leave the newest of them."""
        store = self.store_of(sample_token())
        order = [Use(NOON + timedelta(seconds=number)) for number in range(40)]

        def act(number: int) -> bool:
            for use in order[39 - number :: -4]:  # each begins with its newest
                store.record_use({"t1": use})
            return True

        together(4, act)

        assert store.get("t1") == sample_token(last_used=order[-1])

    # -- several changes as one

    def test_nobody_sees_half_of_a_commit(self) -> None:
        """Between two equal revisions either all changes of a commit are seen or none."""
        store = self.store_of(sample_token("a", name="0"), sample_token("b", name="0"))
        if not isinstance(store, Transactional):
            return
        halves: list[list[Token]] = []
        done = Event()

        def act(number: int) -> bool:
            while number and not done.is_set():
                before, seen, after = store.revision(), store.list(), store.revision()
                if before == after and len({token.name for token in seen}) != 1:
                    halves.append([*seen])
            try:
                for turn in range(0 if number else 20):
                    store.commit(
                        Replace(sample_token(id, name=str(turn + 1)), sample_token(id, name=str(turn)))
                        for id in ("a", "b")
                    )
            finally:
                done.set()
            return True

        together(3, act)

        assert halves == []

    def test_changes_of_a_commit_are_as_those_alone(self) -> None:
        """Last use stays as it is, what is not there may be removed, and what is not there is not replaced."""
        used = sample_token(last_used=Use(NOON))
        store = self.store_of(used)
        if not isinstance(store, Transactional):
            return

        store.commit(change for change in (Remove("gone"), Replace(sample_token(name="new"), sample_token())))
        before = store.revision()
        with pytest.raises(ConflictError):
            store.commit([Add(sample_token("t2"), "x"), Replace(sample_token("gone"), sample_token("gone"))])

        assert (list(store.list()), store.revision()) == ([dataclasses.replace(used, name="new")], before)


def _revoke(store: TokenStore, id: str) -> None:
    while True:
        token = store.get(id)
        assert token is not None, "a token that is used was not found meanwhile"
        try:
            return store.replace(dataclasses.replace(token, revoked=Revocation(NOON)), token)
        except ConflictError:
            continue
