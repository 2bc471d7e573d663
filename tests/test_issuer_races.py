"""Acts on the same tokens at once: at every step of one another one comes in; threads; long histories."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Barrier
from time import sleep

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule
from plain_store import PlainStore

from patmiddleware.backends.memory import MemoryStore
from patmiddleware.errors import BackendUnavailable, ConflictError, RefusedError
from patmiddleware.interfaces import Add, TokenStore
from patmiddleware.issuer import Issuer, IssuerLimits
from patmiddleware.model import Grant, Minted, Secret, Token
from patmiddleware.testing import FakeClock, FlakyStore

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
LIMITS = IssuerLimits(tokens_may_mint=True)

Gated = FlakyStore | PlainStore
both = pytest.mark.parametrize("make", [FlakyStore, PlainStore], ids=["transactions", "steps"])


def parents_of(tokens: Sequence[Token], now: datetime) -> Iterator[tuple[Token, Token | None]]:
    """Every live token that has a parent, and that parent."""
    known = {token.id: token for token in tokens}
    for token in tokens:
        if token.parent is not None and token.revoked is None and (token.expires is None or now < token.expires):
            yield token, known.get(token.parent)


def is_live(token: Token, now: datetime) -> bool:
    return token.revoked is None and (token.expires is None or now < token.expires)


def check(tokens: Sequence[Token], now: datetime) -> None:
    """Fail if a child has more than its parent, or outlives it, or a token has two successors."""
    for token, parent in parents_of(tokens, now):
        assert parent is not None, f"{token} hangs on nothing"
        assert is_live(parent, now), f"{token} outlives {parent}"
        assert token.scopes <= parent.scopes
        assert parent.expires is None or (token.expires is not None and token.expires <= parent.expires)
        assert not parent.networks or token.networks
        assert not parent.networks or all(any(map(one.subnet_of, parent.networks)) for one in token.networks)
        assert all(token.limits[name] <= values for name, values in parent.limits.items())
    replaced = [token.replaces for token in tokens if token.replaces is not None]
    assert len(replaced) == len(set(replaced)), "a token has two successors"


# --- One act comes in at every step of another one


class World:
    """P1, which replaced P0 an hour's overlap ago; its child C0 with a child G0; and a bystander."""

    def __init__(self, make: type[Gated]) -> None:
        self.clock = FakeClock()
        self.memory = MemoryStore()
        self.gate = make(self.memory)
        self.issuer = Issuer(self.gate, limits=LIMITS, clock=self.clock)
        # The other one, which is not held up, is of the same kind.
        self.other = Issuer(make(self.memory), limits=LIMITS, clock=self.clock)
        self.first = self.other.mint(owner="alice", name="P", lifetime=9 * DAY)
        self.parent = self.other.rotate(self.first.token.id)
        self.child = self.make_child(self.other, self.parent.token, "C")
        self.grandchild = self.make_child(self.other, self.child.token, "G")
        self.other.mint(owner="bob", name="X")
        self.new_names = itertools.count()

    def make_child(self, issuer: Issuer, parent: Token, name: str) -> Minted:
        return issuer.mint(owner="alice", name=name, actor=Grant(token_id=parent.id, owner="alice"))

    def outcome(self) -> Outcome:
        """The live tokens and what they hang on, named by name and generation."""
        known = {token.id: token for token in self.memory.list()}

        def called(id: str | None) -> str | None:
            if id is None:
                return None
            generation, token = 0, known[id]
            while token.replaces is not None:
                generation, token = generation + 1, known[token.replaces]
            return f"{token.name}{generation}"

        return frozenset(
            (called(token.id) or "", called(token.parent)) for token in known.values() if is_live(token, self.clock.now)
        )


Act = Callable[[World, Issuer], object]
Outcome = frozenset[tuple[str, str | None]]

ACTS: dict[str, Act] = {
    "mint under the parent": lambda world, issuer: world.make_child(issuer, world.parent.token, "N"),
    "mint under the child": lambda world, issuer: world.make_child(issuer, world.child.token, "M"),
    "rotate the parent": lambda world, issuer: issuer.rotate(Secret(world.parent.secret)),
    "rotate the parent at once": lambda world, issuer: issuer.rotate(world.parent.token.id, timedelta(0)),
    "rotate the parent for long": lambda world, issuer: issuer.rotate(world.parent.token.id, 30 * DAY),
    "shorten the parent": lambda world, issuer: issuer.rotate(world.parent.token.id, lifetime=2 * HOUR),
    "rotate the child": lambda world, issuer: issuer.rotate(Secret(world.child.secret)),
    "revoke the parent": lambda world, issuer: issuer.revoke(world.parent.token.id),
    "revoke its predecessor": lambda world, issuer: issuer.revoke_secret(world.first.secret),
    "revoke the child": lambda world, issuer: issuer.revoke(world.child.token.id),
    "revoke the owner": lambda world, issuer: issuer.revoke_owner("alice"),
}


def succeeds(act: Act, world: World, issuer: Issuer) -> bool:
    try:
        act(world, issuer)
    except RefusedError:
        return False
    return True


def one_after_the_other(make: type[Gated], *acts: Act) -> tuple[tuple[bool, ...], Outcome]:
    world = World(make)
    done = tuple(succeeds(act, world, world.other) for act in acts)
    return done, world.outcome()


def each_step(make: type[Gated], act: Act, between: Act) -> Iterator[tuple[World, bool, bool]]:
    """Run an act again and again, another one coming in before its first, its second … and its last call."""
    for step in itertools.count():
        world, calls, came = World(make), itertools.count(), []

        def come_in(method: str) -> None:
            if next(calls) == step:  # noqa: B023 - called within this round only
                came.append(succeeds(between, world, world.other))  # noqa: B023

        world.gate.before = come_in
        done = succeeds(act, world, world.issuer)
        world.gate.before = lambda method: None
        if not came:
            return
        yield world, done, came[0]


def agrees(outcome: Outcome, lawful: Outcome, make: type[Gated]) -> bool:
    """Say whether an end is a lawful one. Without transactions children may have died beside it, but nothing else."""
    if make is FlakyStore:
        return outcome == lawful
    return outcome <= lawful and all(parent is not None for _, parent in lawful - outcome)


@both
@pytest.mark.parametrize("between", ACTS)
@pytest.mark.parametrize("act", ACTS)
def test_acts_are_as_if_one_after_the_other(act: str, between: str, make: type[Gated]) -> None:
    """Wherever an act comes in, the end is as if one had come first, or as if one was refused and did nothing.

    Only that nobody is given the secret of a token that was revoked already.
    """
    first, second = ACTS[act], ACTS[between]
    forth, back = one_after_the_other(make, first, second), one_after_the_other(make, second, first)
    only_first, only_second = one_after_the_other(make, first), one_after_the_other(make, second)
    lawful = [
        forth,
        ((False, forth[0][1]), forth[1]),
        (back[0][::-1], back[1]),
        ((*only_first[0], False), only_first[1]),
        ((False, *only_second[0]), only_second[1]),
    ]

    for world, done, came in each_step(make, first, second):
        assert any((done, came) == flags and agrees(world.outcome(), end, make) for flags, end in lawful)
        check(world.memory.list(), world.clock.now)


@both
@pytest.mark.parametrize("act", ACTS)
def test_an_act_that_breaks_off_leaves_no_child_behind(act: str, make: type[Gated]) -> None:
    """Where the store fails at any step, nobody has a secret, and nothing outlives its parent once that is revoked."""
    for step in itertools.count():
        world, calls = World(make), itertools.count()

        def fail(method: str) -> None:
            if next(calls) >= step:  # noqa: B023 - called within this round only
                raise BackendUnavailable("down")

        world.gate.before = fail
        with suppress(BackendUnavailable):
            ACTS[act](world, world.issuer)
            break
        world.other.revoke_owner("alice")

        check(world.memory.list(), world.clock.now)
        assert world.outcome() == {("X0", None)}


@both
def test_number_is_kept_against_other_processes(make: type[Gated]) -> None:
    """Before whichever step another process adds a token, there is not one too many at the end."""
    for step in itertools.count():
        memory, calls = MemoryStore(), itertools.count()
        memory.add(Token(id="one", owner="alice"), "one")

        def add(method: str) -> None:
            if next(calls) == step:  # noqa: B023 - called within this round only
                memory.add(Token(id="two", owner="alice"), "two")  # noqa: B023

        gate = make(memory)
        gate.before = add
        with suppress(RefusedError):
            Issuer(gate, limits=IssuerLimits(maximum_per_owner=2)).mint(owner="alice", name="three")

        assert len(memory.list()) == 2
        if memory.get("two") is None:
            break


# --- Threads


def together(*acts: Callable[[], object]) -> list[object]:
    """Run acts at the same time; give what each gave, or its refusal."""
    barrier = Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        barrier.wait(60)
        try:
            return act()
        except RefusedError as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


stores = pytest.mark.parametrize("store_of", [MemoryStore, PlainStore], ids=["transactions", "steps"])
ROUNDS = range(30)


@stores
def test_of_many_rotations_one_wins(store_of: Callable[[], TokenStore]) -> None:
    """Of eight rotations at once, by secret and by id, one gives a secret; the others are refused."""
    for _ in ROUNDS:
        issuer = Issuer(store_of())
        old = issuer.mint(owner="alice", name="ci")
        acts = [lambda: issuer.rotate(Secret(old.secret)), lambda: issuer.rotate(old.token.id)]  # noqa: B023

        results = together(*acts * 4)

        won = [result for result in results if isinstance(result, Minted)]
        assert len(won) == 1
        assert {token.id for token in issuer.list(revoked=False)} == {old.token.id, won[0].token.id}


@stores
def test_no_child_outlives_a_parent_that_is_revoked(store_of: Callable[[], TokenStore]) -> None:
    """A parent is revoked while others mint with it: whoever got a secret got one that died with the parent."""
    for _ in ROUNDS:
        issuer = Issuer(store_of(), limits=LIMITS)
        parent = issuer.mint(owner="alice", name="parent").token
        actor = Grant(token_id=parent.id, owner="alice")

        together(
            *[lambda: issuer.mint(owner="alice", name="child", actor=actor)] * 6,  # noqa: B023
            lambda: issuer.revoke(parent.id),  # noqa: B023
        )

        assert list(issuer.list(revoked=False)) == []


@stores
def test_no_revocation_is_lost(store_of: Callable[[], TokenStore]) -> None:
    """A token is rotated and revoked at once: it is revoked at the end; a successor lives only if it came first."""
    for _ in ROUNDS:
        issuer = Issuer(store_of())
        token = issuer.mint(owner="alice", name="ci").token

        rotated, revoked = together(lambda: issuer.rotate(token.id), lambda: issuer.revoke(token.id))  # noqa: B023

        assert revoked == (token.id,)
        expected = {rotated.token.id} if isinstance(rotated, Minted) else set()
        assert {one.id for one in issuer.list(revoked=False)} == expected


@stores
def test_all_of_an_owner_die_while_tokens_rotate(store_of: Callable[[], TokenStore]) -> None:
    """An owner's tokens are revoked while each of them is rotated: what is left was made after."""
    for _ in ROUNDS:
        issuer = Issuer(store_of())
        tokens = [issuer.mint(owner="alice", name="ci").token for _ in range(5)]

        *rotated, revoked = together(
            *(lambda id=token.id: issuer.rotate(id) for token in tokens),  # noqa: B023
            lambda: issuer.revoke_owner("alice"),  # noqa: B023
        )

        assert isinstance(revoked, tuple)
        assert {token.id for token in tokens} <= {token.id for token in issuer.list(revoked=True)} | {
            result.token.replaces for result in rotated if isinstance(result, Minted)
        }


@both
def test_number_is_exact_in_one_process(make: type[Gated]) -> None:
    """Sixteen ask at once through two issuers where five may be: exactly five get one, though writing takes time."""
    store, limits = make(), IssuerLimits(maximum_per_owner=5)
    store.before = lambda method: sleep(0.001)
    issuers = [Issuer(store, limits=limits), Issuer(store, limits=limits)]

    results = together(*(lambda issuer=issuer: issuer.mint(owner="alice", name="ci") for issuer in issuers * 8))

    assert (sum(isinstance(result, Minted) for result in results), len(store.list())) == (5, 5)


@stores
def test_everything_at_once(store_of: Callable[[], TokenStore]) -> None:
    """Children are made, rotated and revoked while their parent is: at the end nothing is above what it hangs on."""
    for _ in ROUNDS:
        store, clock = store_of(), FakeClock()
        issuer = Issuer(store, limits=LIMITS, clock=clock)
        parent = issuer.mint(owner="alice", name="parent")
        actor = Grant(token_id=parent.token.id, owner="alice")
        children = [issuer.mint(owner="alice", name="child", actor=actor).token.id for _ in range(3)]

        together(
            lambda: issuer.rotate(Secret(parent.secret), lifetime=DAY),  # noqa: B023
            lambda: issuer.rotate(children[0]),  # noqa: B023
            lambda: issuer.revoke(children[1]),  # noqa: B023
            lambda: issuer.rotate(children[2], lifetime=HOUR),  # noqa: B023
            lambda: issuer.mint(owner="alice", name="child", actor=actor),  # noqa: B023
            lambda: issuer.mint(owner="alice", name="child", actor=actor),  # noqa: B023
        )

        check(store.list(), clock.now)


@pytest.mark.parametrize("make", [FlakyStore, PlainStore])
@pytest.mark.parametrize("act", ["rotate", "revoke"])
def test_endless_conflicts_end(act: str, make: type[Gated]) -> None:
    """Where the records never stand still, an act gives up with an outage rather than turn for ever."""
    store = make()
    issuer = Issuer(store)
    token = issuer.mint(owner="alice", name="ci").token

    def conflict(method: str) -> None:
        if method in ("replace", "commit"):
            raise ConflictError("changed")

    store.before = conflict

    with pytest.raises(BackendUnavailable, match="kept changing"):
        getattr(issuer, act)(token.id)
    assert list(issuer.list()) == [token]


# --- Long histories, against a model


@dataclass
class Known:
    """What the model knows of a token."""

    owner: str
    secret: str
    family: str
    expires: datetime | None
    span: timedelta | None
    parent: str | None = None
    replaces: str | None = None
    replaced: bool = False
    revoked: bool = False


MOST = 4
SPANS = st.sampled_from([10 * MINUTE, HOUR, DAY, None])
OVERLAPS = st.sampled_from([timedelta(0), MINUTE, HOUR])
NETWORKS = st.sampled_from([(), ("10.0.0.0/8",), ("10.1.0.0/16",), ("11.0.0.0/8",)])
SCOPES = st.sets(st.sampled_from(["read", "write"]))
LIMITED = st.sampled_from([{}, {"p": ["A"]}, {"p": ["A", "B"]}, {"q": ["X"]}])
OWNERS = st.sampled_from(["alice", "bob"])


class Histories(RuleBasedStateMachine):
    """Makes, rotates, revokes, and lets time pass; the model says what must be live."""

    tokens = Bundle("tokens")
    store_of: Callable[[], TokenStore] = MemoryStore

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = type(self).store_of()
        limits = IssuerLimits(tokens_may_mint=True, maximum_per_owner=MOST, default_lifetime=None)
        self.issuer = Issuer(self.store, limits=limits, clock=self.clock)
        self.known: dict[str, Known] = {}

    # The model

    def lives(self, id: str) -> bool:
        known = self.known[id]
        return not known.revoked and (known.expires is None or self.clock.now < known.expires)

    def is_full(self, owner: str) -> bool:
        heads = [id for id, one in self.known.items() if one.owner == owner and self.lives(id) and not one.replaced]
        return len(heads) >= MOST

    def dying(self, ids: set[str]) -> set[str]:
        """These, and every live one that dies with them."""
        found, waiting = set(), list(ids)
        while waiting:
            id = waiting.pop()
            if id in found:
                continue
            found.add(id)
            waiting += [other for other, one in self.known.items() if one.parent == id and self.lives(other)]
            older = self.known[id].replaces
            while older is not None:
                waiting += [older] if self.lives(older) else []
                older = self.known[older].replaces
        return {id for id in found if not self.known[id].revoked}

    def died(self, ids: set[str]) -> set[str]:
        dying = self.dying(ids)
        for id in dying:
            self.known[id].revoked = True
        return dying

    def shorten(self, id: str, above: str) -> None:
        """Let everything below a token end with it."""
        until = self.known[above].expires
        for other, one in self.known.items():
            if one.parent == id and self.lives(other):
                one.parent = above
                one.expires = min(filter(None, (one.expires, until)), default=None)
                self.shorten(other, other)

    def learn(self, minted: Minted) -> str:
        token = minted.token
        span = None if token.expires is None else token.expires - token.created
        self.known[token.id] = Known(
            token.owner, minted.secret, token.family, token.expires, span, token.parent, token.replaces
        )
        return token.id

    # The acts

    @rule(target=tokens, owner=OWNERS, scopes=SCOPES, networks=NETWORKS, limits=LIMITED, lifetime=SPANS)
    def mint(self, owner, scopes, networks, limits, lifetime):
        full = self.is_full(owner)
        try:
            minted = self.issuer.mint(
                owner=owner, name="n", scopes=scopes, networks=networks, limits=limits, lifetime=lifetime
            )
        except RefusedError:
            assert full
            return multiple()
        assert not full
        return self.learn(minted)

    @rule(target=tokens, parent=tokens, scopes=SCOPES, networks=NETWORKS, limits=LIMITED, lifetime=SPANS)
    def mint_child(self, parent, scopes, networks, limits, lifetime):
        owner = self.known[parent].owner
        may = self.lives(parent) and not self.is_full(owner)
        try:
            minted = self.issuer.mint(
                owner=owner,
                name="c",
                scopes=scopes,
                networks=networks,
                limits=limits,
                lifetime=lifetime,
                actor=Grant(token_id=parent, owner=owner),
            )
        except RefusedError:
            return multiple()
        assert may
        return self.learn(minted)

    @rule(target=tokens, old=tokens, overlap=OVERLAPS, by_secret=st.booleans(), lifetime=SPANS)
    def rotate(self, old, overlap, by_secret, lifetime):
        known = self.known[old]
        may = self.lives(old) and not known.replaced
        given = Secret(known.secret) if by_secret else old
        try:
            minted = self.issuer.rotate(given, overlap, lifetime=lifetime)
        except RefusedError:
            assert not may
            if known.replaced and by_secret and not self.lives(old):
                self.died({id for id, one in self.known.items() if one.family == known.family and self.lives(id)})
            return multiple()
        assert may
        new = self.learn(minted)
        span, above = lifetime or known.span, self.known[known.parent].expires if known.parent else None
        ends = (None if span is None else self.clock.now + span, above)
        assert minted.token.expires == min(filter(None, ends), default=None)
        assert (minted.token.family, minted.token.replaces, minted.token.parent) == (known.family, old, known.parent)
        self.shorten(old, new)
        known.replaced, known.expires = True, min(filter(None, (known.expires, self.clock.now + overlap)))
        return new

    @rule(id=tokens)
    def revoke(self, id):
        assert set(self.issuer.revoke(id)) == self.died({id})

    @rule(id=tokens)
    def revoke_secret(self, id):
        assert set(self.issuer.revoke_secret(self.known[id].secret)) == self.died({id})

    @rule(owner=OWNERS)
    def revoke_owner(self, owner):
        ids = {id for id, one in self.known.items() if one.owner == owner and self.lives(id)}

        assert set(self.issuer.revoke_owner(owner)) == self.died(ids)

    @precondition(lambda self: self.known)
    @rule(seconds=st.sampled_from([30, 600, 3_600, 86_400]))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @precondition(lambda self: self.known)
    @rule()
    def purge(self):
        gone = set(self.issuer.purge(self.clock.now - HOUR))
        families = {self.known[id].family for id in gone}

        assert not any(self.lives(id) for id, one in self.known.items() if one.family in families)
        # The store forgets them; what is asked about them later must be refused all the same.
        for token, secret in [(self.last[id], self.known[id].secret) for id in gone]:
            assert self.store.get(token.id) is None
            self.store.add(token, secret)

    # What always holds

    @invariant()
    def records_are_as_the_model_says(self):
        self.last = {token.id: token for token in self.store.list()}

        assert {
            id: (one.parent, one.replaces, one.expires, one.revoked) for id, one in self.known.items() if self.lives(id)
        } == {
            id: (token.parent, token.replaces, token.expires, token.revoked is not None)
            for id, token in self.last.items()
            if is_live(token, self.clock.now)
        }

    @invariant()
    def children_are_within_their_parents(self):
        check(self.store.list(), self.clock.now)

    @invariant()
    def no_owner_has_too_many(self):
        for owner in ("alice", "bob"):
            heads = [id for id, one in self.known.items() if one.owner == owner and self.lives(id) and not one.replaced]
            assert len(heads) <= MOST

    @invariant()
    def every_secret_leads_to_its_record(self):
        for id, one in self.known.items():
            found = self.store.find(Secret(one.secret))
            assert found is not None
            assert replace(found, last_used=None).id == id


class PlainHistories(Histories):
    """The same over a store without transactions."""

    store_of = PlainStore


TestHistories = Histories.TestCase
TestPlainHistories = PlainHistories.TestCase
TestHistories.settings = TestPlainHistories.settings = settings(stateful_step_count=40)


def test_many_are_revoked_page_by_page() -> None:
    """A rule that names thousands is no single transaction; none is left out, also of those made meanwhile."""
    store = FlakyStore()
    store.store.commit([Add(Token(id=f"t{n:05}", owner="alice"), f"secret {n}") for n in range(2_500)])
    late = [Token(id="a-late-one", owner="alice"), Token(id="z-late-one", owner="alice")]

    def add_one_late(method: str) -> None:
        if method == "commit" and late:
            token = late.pop()
            store.store.add(token, f"secret of {token.id}")

    store.before = add_one_late
    revoked = Issuer(store).revoke_owner("alice")

    assert len(revoked) == len(set(revoked)) == 2_502
    assert store.list(owner="alice", revoked=False) == []
    assert store.calls["commit"] == 4
