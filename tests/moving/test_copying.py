"""Copying tokens from store to store."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_store import PlainStore

from patmiddleware import moving
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.errors import BackendError, BackendUnavailable, RefusedError
from patmiddleware.interfaces import Add, Change, TokenStore
from patmiddleware.issuer import Issuer
from patmiddleware.model import Digest, Revocation, Secret, Token, Use
from patmiddleware.moving import Moved, copy
from patmiddleware.moving.judging import Record
from patmiddleware.testing import NOON, FakeClock, FlakyStore, sample_token
from patmiddleware.tokens import digests

OLD, NEW = b"an old pepper, 16+", b"a new pepper, 16+"
REVOKED = Revocation(NOON, "root", "lost")


def token(id: str, **changes: Any) -> Token:
    """Give a token that was made with no other."""
    return sample_token(id, **({"parent": None, "replaces": None} | changes))


def filled(*tokens: Token, peppers: Sequence[bytes] = (), store: Any = None) -> Any:
    """Give a store with some tokens; the secret of each is its id."""
    store = MemoryStore(peppers=peppers) if store is None else store
    for each in tokens:
        store.add(each, each.id)
    return store


def kept(store: TokenStore) -> list[Record]:
    return list(store.records())


def counts(moved: Moved) -> tuple[int, int, int, int]:
    assert moved.verified
    return moved.copied, moved.skipped, moved.revoked, moved.differing


# -- what comes over


def test_every_field_comes_over() -> None:
    """Records, digests, attributes and last uses are as they were, and the secrets work."""
    used = token("used", last_used=Use(NOON, "192.0.2.1", "curl"), revoked=REVOKED)
    source, target = filled(sample_token("full", parent=None), used, Token("bare", "bob")), MemoryStore()

    moved = copy(source, target)

    assert counts(moved) == (3, 0, 0, 0)
    assert kept(target) == kept(source)
    assert target.find(Secret("used")) == used


def test_digests_of_every_kind_come_over() -> None:
    """Jira's slow hashes as they are, a keyed digest where its pepper is known, a plain one under the newest pepper."""
    source, target = filled(token("plain")), MemoryStore(peppers=[NEW, OLD])
    source.add(token("slow"), slow := Digest("pkcs5s2", "", b"{PKCS5S2}abc"))
    source.add(token("keyed"), keyed := digests(Secret("keyed"), [OLD])[0])

    assert counts(copy(source, target)) == (3, 0, 0, 0)

    newest = digests(Secret("plain"), [NEW])[0]
    assert [digest for _, digest in kept(target)] == [keyed, newest, slow]
    assert [target.find(Secret(secret)) for secret in ("plain", "keyed")] == [token("plain"), token("keyed")]


def test_a_store_without_transactions_takes_them_too() -> None:
    """It is one token at a time."""
    source = filled(token("a"), token("b", revoked=REVOKED))
    target = PlainStore()
    filled(token("b"), store=target)

    assert counts(copy(source, target)) == (1, 1, 1, 0)
    assert kept(target) == kept(source)


def test_what_else_the_target_holds_is_left_alone() -> None:
    """Neither is it counted."""
    source, target = filled(token("b"), token("d")), filled(*map(token, "ace"))

    moved = copy(source, target)

    assert counts(moved) == (2, 0, 0, 0)
    assert [each.id for each in target.list()] == list("abcde")
    assert moved.target.tokens == 2


def test_nothing_to_copy() -> None:
    """An empty source is no error."""
    assert counts(copy(MemoryStore(), filled(token("a")))) == (0, 0, 0, 0)


# -- again


def test_a_second_time_everything_is_there() -> None:
    """Nothing is written, and both sides come to the same as the first time."""
    source, target = filled(*map(token, "abc")), MemoryStore(peppers=[NEW])
    first = copy(source, target)
    before = target.revision()

    second = copy(source, target)

    assert counts(second) == (0, 3, 0, 0)
    assert (target.revision(), second.target) == (before, first.target)


def test_back_from_under_a_pepper() -> None:
    """A keyed digest is known as the same as the plain one that it was made of."""
    source, target = filled(token("a")), MemoryStore(peppers=[NEW])
    copy(source, target)

    assert counts(copy(target, source)) == (0, 1, 0, 0)


def test_a_revocation_is_carried_over() -> None:
    """What was revoked in the source since is revoked in the target, and nothing else of it is written."""
    source, target = filled(token("a", revoked=REVOKED, name="renamed")), filled(token("a"))

    assert counts(copy(source, target)) == (0, 1, 1, 1)
    assert target.get("a") == token("a", revoked=REVOKED)


def test_nothing_comes_back_to_life() -> None:
    """What was revoked in the target stays so."""
    source, target = filled(token("a")), filled(token("a", revoked=REVOKED))

    assert counts(copy(source, target)) == (0, 1, 0, 1)
    assert target.get("a") == token("a", revoked=REVOKED)


def test_a_record_that_differs_is_left() -> None:
    """It is counted, so that it can be told."""
    source, target = filled(token("a", scopes={"admin"}), token("b")), filled(token("a"), token("b"))

    assert counts(copy(source, target)) == (0, 2, 0, 1)
    assert target.get("a") == token("a")


def test_a_newer_use_is_carried_over() -> None:
    """An older one is not; and neither is a difference between the records."""
    late = Use(NOON + timedelta(1))
    source = filled(token("a", last_used=late), token("b", last_used=Use(NOON)), token("c", last_used=late))
    target = filled(token("a", last_used=Use(NOON)), token("b", last_used=late), token("c"))

    assert counts(copy(source, target)) == (0, 3, 0, 0)
    assert [each.last_used for each in target.list()] == [late, late, late]


def test_a_slow_hash_that_gave_way_is_the_same_token() -> None:
    """The target replaced it by a fast digest meanwhile; that the owner is another one would be a contradiction."""
    source, target, other = MemoryStore(), filled(token("a")), filled(token("a", owner="mallory"))
    source.add(token("a"), Digest("pkcs5s2", "", b"{PKCS5S2}abc"))

    assert counts(copy(source, target)) == (0, 1, 0, 0)
    with pytest.raises(RefusedError, match="another token with the id a"):
        copy(source, other)


# -- families


@pytest.mark.parametrize("overlap", [timedelta(0), timedelta(hours=1)])
def test_what_was_rotated_since_ends_in_the_target_as_well(overlap: timedelta) -> None:
    """The old secret is good no longer than in the source, and its children hang on its successor."""
    source, target, clock = MemoryStore(), MemoryStore(), FakeClock()
    issuer = Issuer(source, clock=clock)
    old = issuer.mint(owner="alice", name="ci", lifetime=timedelta(days=90)).token
    source.add(child := token("child", parent=old.id, expires=old.expires), "child")
    copy(source, target, clock=clock)
    clock.advance(3600)
    new = issuer.rotate(issuer.rotate(old.id, overlap).token.id, overlap).token

    moved = copy(source, target, clock=clock)

    assert (moved.copied, moved.revoked, moved.rotated, moved.differing, moved.verified) == (2, 0, 2, 0, True)
    assert kept(target) == kept(source)
    assert (target.get("child"), target.get(old.id)) == (replace(child, parent=new.id), source.get(old.id))


def test_what_was_rotated_in_the_target_stays_so() -> None:
    """A copy that knows nothing of it gives no token more time, nor its children back."""
    source, target, clock = MemoryStore(), MemoryStore(), FakeClock()
    old = Issuer(source, clock=clock).mint(owner="alice", name="ci", lifetime=timedelta(days=90)).token
    source.add(token("child", parent=old.id, expires=old.expires), "child")
    copy(source, target, clock=clock)
    Issuer(target, clock=clock).rotate(old.id, timedelta(0))
    before = kept(target)

    assert counts(copy(source, target, clock=clock)) == (0, 2, 0, 2)
    assert kept(target) == before


@pytest.mark.parametrize("order", ["parent first", "child first"])
def test_a_new_child_of_a_dead_token_comes_over_dead(order: str) -> None:
    """It dies with what it was made with, though only the target knows of that; so do its own children."""
    parent, child, grandchild = ("a", "b", "c") if order == "parent first" else ("c", "b", "a")
    source = filled(token(parent), token(child, parent=parent), token(grandchild, parent=child), token("free"))
    target = filled(token(parent, revoked=REVOKED))

    moved = copy(source, target, clock=FakeClock())

    assert (moved.copied, moved.revoked, moved.verified) == (3, 2, True)
    assert [each.id for each in target.list(revoked=False)] == ["free"]


def test_a_revocation_that_comes_over_takes_the_children_with_it() -> None:
    """Those too that only the target has."""
    source, target = filled(token("p", revoked=REVOKED)), filled(token("p"), token("child", parent="p"))

    assert copy(source, target, clock=FakeClock()).verified
    assert target.list(revoked=False) == []


# -- refusals: nothing is written


REFUSED = {
    "same id, other secret": (Token("b", "alice"), "other", "the target has another token with the id b"),
    "same secret, later id": (Token("x", "alice"), "b", "the secret of b stands for another token in the target"),
    "same secret, earlier id": (Token("aa", "alice"), "b", "the secret of b stands for another token in the target"),
}


@pytest.mark.parametrize("peppers", [(), (NEW, OLD)], ids=["plain", "peppers"])
@pytest.mark.parametrize(("there", "secret", "message"), REFUSED.values(), ids=REFUSED)
def test_a_contradiction_is_refused(there: Token, secret: str, message: str, peppers: Sequence[bytes]) -> None:
    """Neither an id nor a secret comes to stand for two tokens."""
    source, target = filled(*map(token, "abc")), MemoryStore(peppers=peppers)
    target.add(there, secret)
    before = kept(target)

    with pytest.raises(RefusedError, match=f"{message}; nothing was written"):
        copy(source, target)

    assert kept(target) == before


def test_a_secret_under_an_older_pepper_is_found() -> None:
    """It stands for another token in whatever form."""
    source, target = filled(token("a")), MemoryStore(peppers=[NEW, OLD])
    target.add(token("x"), digests(Secret("a"), [OLD])[0])

    with pytest.raises(RefusedError, match="the secret of a stands for another"):
        copy(source, target)


class Rows:
    """A source that holds what no store of ours would."""

    def __init__(self, *rows: Record) -> None:
        self.rows = rows

    def records(self) -> Iterator[Record]:
        return iter(self.rows)


def test_a_secret_twice_in_the_source_is_refused() -> None:
    """The one token plain, the other under a pepper: a store can't tell."""
    target = MemoryStore(peppers=[NEW])
    plain, keyed = digests(Secret("s"))[0], digests(Secret("s"), [NEW])[0]

    with pytest.raises(RefusedError, match="the secret of b stands for another"):
        copy(Rows((token("a"), plain), (token("b"), keyed)), target)

    assert kept(target) == []


@pytest.mark.parametrize("ids", ["ba", "aa"])
def test_records_out_of_order_are_refused(ids: str) -> None:
    """Side by side, they would be taken for missing."""
    rows = [(token(id), Digest("sha256", "", bytes([number]))) for number, id in enumerate(ids)]

    with pytest.raises(RefusedError, match="ids of the source don't come in the order"):
        copy(Rows(*rows), MemoryStore())


@pytest.mark.parametrize("peppers", [(), (NEW,)], ids=["none", "another"])
def test_a_missing_pepper_is_refused(peppers: Sequence[bytes]) -> None:
    """Nobody could use the tokens there: the message says what is needed, and shows no pepper."""
    source, target = filled(token("a"), peppers=[OLD]), MemoryStore(peppers=peppers)
    [(_, digest)] = kept(source)

    with pytest.raises(RefusedError, match=rf"key {digest.key_id}\).*'peppers'.*nothing was written") as caught:
        copy(source, target)

    assert "pepper, 16+" not in str(caught.value)
    assert kept(target) == []


# -- while others are at work, and when a side goes away


class Meddled(MemoryStore):
    """A store that somebody else writes to once it is read for the n-th time."""

    def meddle(self, time: int, act: Any) -> None:
        self.acts = {time: act}

    def records(self) -> Iterator[Record]:
        self.times = getattr(self, "times", 0) + 1
        if act := self.acts.get(self.times):
            act()
        return super().records()


@pytest.mark.parametrize("what", ["removed", "changed"])
def test_a_target_that_was_changed_at_the_end_is_noticed(what: str) -> None:
    """Count and digest are of what is found there."""
    source, target = filled(*map(token, "abc")), Meddled()
    changes = {
        "removed": lambda: target.remove("b"),
        "changed": lambda: target.replace(token("b", owner="mallory"), token("b")),
    }
    target.meddle(3, changes[what])

    moved = copy(source, target)

    assert not moved.verified
    assert (moved.source.tokens, moved.target.tokens) == (3, 2 if what == "removed" else 3)
    assert moved.source.digest != moved.target.digest


@pytest.mark.parametrize("what", ["new token", "revocation"])
def test_a_source_that_went_on_is_noticed(what: str) -> None:
    """The next time it comes over."""
    source, target = Meddled(), MemoryStore()
    filled(*map(token, "abc"), store=source)
    changes = {
        "new token": lambda: source.add(token("d"), "d"),
        "revocation": lambda: source.replace(token("b", revoked=REVOKED), token("b")),
    }
    source.meddle(3, changes[what])

    first, second = copy(source, target), copy(source, target)

    assert (first.verified, first.behind) == (False, 1)
    assert second.verified
    assert kept(target) == kept(source)


def revoking(source: MemoryStore) -> moving.Progress:
    """Revoke a token once all were looked at for the last time."""
    left = iter("a")

    @contextmanager
    def progress(label: str, total: int | None) -> Iterator[moving.Step]:
        yield lambda done=1: None
        if label == "Verifying" and (id := next(left, None)) is not None:
            source.replace(token(id, revoked=REVOKED), token(id))

    return progress


def test_what_is_revoked_after_it_was_looked_at_is_noticed() -> None:
    """A copy that ended well has no token alive whose revocation was acknowledged before that."""
    source, target = filled(*map(token, "abc")), MemoryStore()

    moved = copy(source, target, progress=revoking(source))

    assert (moved.verified, moved.behind) == (False, 1)
    assert copy(source, target).verified
    assert kept(target) == kept(source)


def test_a_change_between_judging_and_writing_is_judged_again() -> None:
    """What contradicts then is refused, and the message says what came over."""
    source, target = filled(*map(token, "abc")), Meddled()
    target.meddle(2, lambda: target.add(token("b"), "another"))

    with pytest.raises(RefusedError, match="another token with the id b; 0 tokens came over"):
        copy(source, target)


def many(count: int) -> MemoryStore:
    return filled(*(token(f"t{number:06}") for number in range(count)))


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_side_that_goes_away_is_told_with_what_came_over(side: str) -> None:
    """And run again, the rest comes over."""
    source, target = FlakyStore(many(1_234)), FlakyStore()

    def fail(method: str) -> None:
        if side == "target" and target.calls["commit"] == 2:
            raise BackendUnavailable("the network is down")

    target.before = fail
    if side == "source":
        source.records = lambda: breaking(source.store.records(), target)  # type: ignore[method-assign]

    with pytest.raises(BackendUnavailable, match=r"is down; 500 tokens came over.*run the same again"):
        copy(source, target)
    target.before = lambda method: None

    moved = copy(FlakyStore(source.store), target)
    assert counts(moved) == (734, 500, 0, 0)
    assert kept(target) == kept(source.store)


def breaking(records: Iterator[Record], target: FlakyStore) -> Iterator[Record]:
    for record in records:
        if target.calls["commit"]:
            raise BackendUnavailable("the network is down")
        yield record


# -- size and progress


def test_memory_does_not_grow_with_the_tokens() -> None:
    """Some bytes a token for finding secrets that stand twice; no record is held."""

    class Endless:
        """A source that makes its records as they are read."""

        def records(self) -> Iterator[Record]:
            for number in range(2_000):
                yield Token(f"{number:06}", "alice"), Digest("sha256", "", number.to_bytes(32, "big"))

    class Sink(Rows):
        """A target that has them all already."""

        records = Endless.records
        get = find = list = add = replace = remove = record_use = revision = lambda self, *_: None

    tracemalloc.start()
    try:
        moved = copy(Endless(), Sink())  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert moved.skipped == 2_000
    assert peak < 2_000 * 100


def test_progress_is_told() -> None:
    """Each pass has its words, and its total once that is known."""
    told: list[tuple[str, int | None, int]] = []

    @contextmanager
    def progress(label: str, total: int | None) -> Iterator[moving.Step]:
        steps: list[int] = []
        yield lambda done=1: steps.append(done)
        told.append((label, total, sum(steps)))

    copy(many(250), MemoryStore(), progress=progress)

    assert told == [("Comparing", 250, 250), ("Copying", 250, 250), ("Verifying", 250, 250)]


states = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.tuples(st.booleans(), st.sampled_from(["ci", "other"]), st.none() | st.sampled_from("abcdefgh")),
)


@given(states, states)
def test_whatever_both_hold(here: dict[str, Any], there: dict[str, Any]) -> None:
    """Nothing of the target is lost or comes to life, all of the source is there, and the second time finds it so."""
    source, target = (
        filled(
            *(
                token(id, name=name, revoked=REVOKED if dead else None, parent=None if parent == id else parent)
                for id, (dead, name, parent) in state.items()
            )
        )
        for state in (here, there)
    )
    before = {each.id: each for each in target.list()}

    first = copy(source, target, clock=FakeClock())
    after = {each.id: each for each in target.list()}
    second = copy(source, target, clock=FakeClock())

    assert first.verified
    assert after.keys() == here.keys() | there.keys()
    dead = {id for id, each in after.items() if each.revoked}
    assert dead >= {id for id, (revoked, *_) in (*here.items(), *there.items()) if revoked}
    assert all(after[id] == replace(each, revoked=after[id].revoked) for id, each in before.items())
    assert counts(second)[:3] == (0, len(here), 0)
    assert not [each for each in after.values() if not each.revoked and each.parent in dead]


def test_a_progress_that_is_left_out_is_no_hindrance() -> None:
    """The bar is for people."""
    assert counts(copy(many(101), MemoryStore())) == (101, 0, 0, 0)


class Picky(MemoryStore):
    """Can't keep one of the tokens, as a database can't a text that has not its characters."""

    def commit(self, changes: Iterable[Change]) -> None:
        changes = tuple(changes)
        if any(isinstance(change, Add) and change.token.id == "t0002" for change in changes):
            raise BackendError("a text of the token can't be kept")
        super().commit(changes)


class PickyAndPlain(PlainStore):
    """The same, a change at a time."""

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        if token.id == "t0002":
            raise BackendError("a text of the token can't be kept")
        super().add(token, secret_or_digest)


@pytest.mark.parametrize("kind", [Picky, PickyAndPlain])
def test_a_token_that_can_not_be_kept_is_named(kind: Callable[[], Any]) -> None:
    """Whoever copies hears which token it is, and how many came over; the rest of a batch is no riddle."""
    source = filled(*(token(f"t000{number}") for number in range(5)))
    target = kind()

    with pytest.raises(BackendError) as caught:
        copy(source, target)

    assert str(caught.value) == (
        "the token 't0002' can't be written: a text of the token can't be kept; 2 tokens came over before that"
    )
    assert [each.id for each in target.list()] == ["t0000", "t0001"]
