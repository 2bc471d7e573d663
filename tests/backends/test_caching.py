"""The caches: bounded, fresh, and looked up once however many ask. Calls are counted, clocks are moved by hand."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_store import PlainStore, SilentStore

from patmiddleware.backends.caching import (
    BOUND,
    Entry,
    Flights,
    Freshness,
    OwnerCache,
    SecondChanceCache,
    TokenCache,
    Window,
)
from patmiddleware.changes import here
from patmiddleware.errors import BackendUnavailable
from patmiddleware.model import CacheSettings, Owner, Revocation, Secret, Token
from patmiddleware.testing import NOON, FakeClock, FlakyDirectory
from patmiddleware.tokens import mint_secret

DAY = timedelta(days=1)
THREADS = 50


class Clocks:
    """Both clocks, which go on together unless one is stepped."""

    def __init__(self) -> None:
        self.monotonic, self.wall = FakeClock(1_000.0), FakeClock()

    def advance(self, seconds: float) -> None:
        self.monotonic.advance(seconds)
        self.wall.advance(seconds)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def together(act: Callable[[], object], threads: int = THREADS) -> list[object]:
    """Let so many threads do the same at the same moment; give what each returned or raised."""
    barrier = threading.Barrier(threads)

    def run(_: int) -> object:
        barrier.wait(60)
        try:
            return act()
        except BackendUnavailable as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


def one_after_the_other(began: float, seconds: float) -> float:
    """Give how many calls of so many seconds there can have been, where a thread that came late asks itself.

    Args:
        began: by the monotonic clock.
        seconds: that a call takes.
    """
    return 1 + (time.monotonic() - began) / seconds


# --- The cache


def entry(value: str = "", seconds: float = 60.0) -> Entry[str]:
    return Entry(value, 0, seconds, 0.0, 0.0)


@given(st.integers(1, 8), st.lists(st.tuples(st.integers(0, 20), st.booleans())))
def test_cache_never_exceeds_its_size(size: int, acts: list[tuple[int, bool]]) -> None:
    """Whatever is stored and touched, in whatever order; what was stored last is always there."""
    cache: SecondChanceCache[int, Entry[str]] = SecondChanceCache(size)

    for key, touches in acts:
        found = cache.peek(key)
        if found is not None and touches:
            found.touched = True
        else:
            cache[key] = entry()
            assert cache.peek(key) is not None
        assert len(cache) <= size


def test_what_is_used_survives_what_is_not() -> None:
    """An entry that is touched between the others is still there after any number of them."""
    cache: SecondChanceCache[str, Entry[str]] = SecondChanceCache(3)
    cache["used"] = entry("used")

    for number in range(1_000):
        cache["used"].touched = True
        cache[str(number)] = entry()

    assert cache["used"].value == "used"


def test_what_is_used_no_more_goes() -> None:
    """A second chance is one: an entry that was touched once does not stay for ever."""
    cache: SecondChanceCache[str, Entry[str]] = SecondChanceCache(3)
    cache["used"] = entry()
    cache["used"].touched = True

    for number in range(10):
        cache[str(number)] = entry()

    assert cache.peek("used") is None


def test_peek_while_others_store() -> None:
    """A reader without a lock never fails, and finds its entry or nothing."""
    cache: SecondChanceCache[int, Entry[str]] = SecondChanceCache(4)
    done = threading.Event()

    def store() -> None:
        for number in range(20_000):
            cache[number % 16] = entry(str(number % 16))
        done.set()

    writer = threading.Thread(target=store)
    writer.start()
    wrong = []
    while not done.is_set():
        wrong += [key for key in range(16) if (found := cache.peek(key)) is not None and found.value != str(key)]
    writer.join()

    assert wrong == []


@pytest.mark.parametrize(
    ("mono", "wall", "holds"),
    [(9.9, 19.9, True), (10.0, 19.9, False), (9.9, 20.0, False), (-5.0, 19.9, True), (9.9, -5.0, True)],
)
def test_window_ends_by_the_clock_that_is_first(mono: float, wall: float, holds: bool) -> None:
    """Neither clock can lengthen what the other one ends."""
    assert Window(10.0, 20.0).holds(mono, wall) is holds


# --- The revision


class Counter:
    """A reader with a revision that is told what to do."""

    def __init__(self) -> None:
        self.value = 1
        self.calls = 0
        self.before: Callable[[], object] = lambda: None

    def find(self, secret: Secret) -> Token | None:
        raise AssertionError

    def revision(self) -> int:
        self.calls += 1
        self.before()
        return self.value


class Fresh:
    """A freshness with its reader and its clocks."""

    def __init__(self, **settings: float) -> None:
        self.clocks, self.reader = Clocks(), Counter()
        self.freshness = Freshness(self.reader, CacheSettings(**settings), self.clocks.monotonic)  # type: ignore[arg-type]

    def ask(self) -> int:
        return self.freshness.revision(self.clocks.monotonic(), self.clocks.wall())

    def fail(self, error: BaseException | None = None) -> None:
        def before() -> None:
            raise error or BackendUnavailable("down")

        self.reader.before = before


def test_revision_is_asked_once_in_a_poll() -> None:
    """However often it is wanted; then again."""
    fresh = Fresh(poll=0.5)

    for _ in range(100):
        fresh.ask()
    fresh.clocks.advance(0.49)
    fresh.ask()
    calls = fresh.reader.calls
    fresh.clocks.advance(0.01)
    fresh.reader.value = 2

    assert (calls, fresh.ask(), fresh.reader.calls) == (1, 2, 2)


def test_revision_is_asked_at_once_after_a_change_here() -> None:
    """A change in this process does not wait for the poll; it is asked for once."""
    fresh = Fresh()
    fresh.ask()
    fresh.reader.value = 2

    here.announce()

    assert [fresh.ask() for _ in range(3)] == [2, 2, 2]
    assert fresh.reader.calls == 2


def test_change_while_it_is_asked_for_counts() -> None:
    """A change that comes while the question is under way is not taken for one that the answer counts in."""
    fresh = Fresh()
    fresh.reader.before = here.announce

    fresh.ask()
    fresh.reader.before = lambda: None
    fresh.reader.value = 2

    assert fresh.ask() == 2


def test_answer_is_as_old_as_its_question() -> None:
    """A slow answer serves no longer: the bound counts from when the store was asked."""
    fresh = Fresh(poll=0.5)
    fresh.reader.before = lambda: fresh.clocks.advance(0.4)

    fresh.ask()
    fresh.reader.before = lambda: None
    fresh.clocks.advance(0.1)

    fresh.ask()
    assert fresh.reader.calls == 2


def test_reader_without_a_revision_has_always_the_same() -> None:
    """But for changes made here."""
    freshness = Freshness(OnlyFinds(), CacheSettings())
    first = [freshness.revision(mono, 0.0) for mono in (0.0, 1e9)]

    here.announce()

    assert first == [0, 0]
    assert [freshness.revision(0.0, 0.0) for _ in range(2)] == [1, 1]


class OnlyFinds:
    """A reader with the one method that is needed; each look-up gives a token of another id."""

    def __init__(self) -> None:
        self.calls = 0

    def find(self, secret: Secret) -> Token | None:
        self.calls += 1
        return Token(id=str(self.calls), owner="alice")


def test_outage_within_the_bound_is_not_seen() -> None:
    """The last answer serves until it is a second old; then nothing is known."""
    fresh = Fresh()
    fresh.ask()
    fresh.fail()

    fresh.clocks.advance(0.99)
    within = fresh.ask()
    fresh.clocks.advance(0.02)

    assert within == 1
    with pytest.raises(BackendUnavailable, match="down"):
        fresh.ask()


def test_outage_after_a_change_here_is_seen_at_once() -> None:
    """What was revoked here must not be served from before, not for a moment."""
    fresh = Fresh()
    fresh.ask()
    fresh.fail()

    here.announce()

    with pytest.raises(BackendUnavailable):
        fresh.ask()


def test_outage_is_not_remembered() -> None:
    """Once the store is back it is asked, without a wait."""
    fresh = Fresh()
    fresh.fail()
    with pytest.raises(BackendUnavailable):
        fresh.ask()

    fresh.reader.before = lambda: None

    assert fresh.ask() == 1


def test_last_answer_serves_while_it_may_be_stale() -> None:
    """``stale_while_error`` adds to the bound, and ends."""
    fresh = Fresh(stale_while_error=10)
    fresh.ask()
    fresh.fail()

    fresh.clocks.advance(10.9)
    within = fresh.ask()
    fresh.clocks.advance(0.2)

    assert within == 1
    with pytest.raises(BackendUnavailable):
        fresh.ask()


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_step_of_the_wall_clock_does_not_lengthen_the_bound(step: float) -> None:
    """Backwards the monotonic clock ends it; forwards it is asked for again, and may be stale no longer."""
    fresh = Fresh()
    fresh.ask()
    fresh.fail()

    fresh.clocks.wall.advance(step)
    fresh.clocks.advance(1.01)

    with pytest.raises(BackendUnavailable):
        fresh.ask()


@pytest.mark.parametrize("fault", [None, "1", 1.5], ids=repr)
def test_revision_that_is_no_number_is_an_outage(fault: object, caplog: pytest.LogCaptureFixture) -> None:
    """Else a store that says nothing would never show a change."""
    fresh = Fresh()
    fresh.reader.value = fault  # type: ignore[assignment]

    with pytest.raises(BackendUnavailable, match="TypeError"):
        fresh.ask()
    assert "must not raise" in caplog.text


@pytest.mark.parametrize("fault", [OSError("disk"), StopIteration(1), SystemExit(1), GeneratorExit()], ids=repr)
def test_error_of_a_driver_is_an_outage(fault: BaseException) -> None:
    """Whatever ``revision`` raises; the cause is chained."""
    fresh = Fresh()
    fresh.fail(fault)

    with pytest.raises(BackendUnavailable, match=type(fault).__name__) as caught:
        fresh.ask()

    assert caught.value.__cause__ is fault


def test_one_thread_asks() -> None:
    """However many want the revision at the same moment, the store is asked once."""
    fresh = Fresh()
    fresh.reader.before = lambda: time.sleep(0.1)

    assert together(fresh.ask) == [1] * THREADS
    assert fresh.reader.calls == 1


def test_store_that_is_down_is_not_asked_by_all_who_wait() -> None:
    """Who waited while it failed hears so, without asking once more."""
    fresh = Fresh()

    def before() -> None:
        time.sleep(0.2)
        raise BackendUnavailable("down")

    fresh.reader.before = before

    began = time.monotonic()
    answers = together(fresh.ask)

    assert {str(answer) for answer in answers} == {"down"}
    assert fresh.reader.calls <= one_after_the_other(began, 0.2)


def test_others_go_on_while_one_asks() -> None:
    """Within the bound nobody but the one who asks is held up."""
    fresh = Fresh()
    fresh.ask()
    asked, released = threading.Event(), threading.Event()

    def before() -> None:
        asked.set()
        released.wait(60)

    fresh.reader.before = before
    fresh.clocks.advance(0.6)
    asker = threading.Thread(target=fresh.ask)
    asker.start()
    assert asked.wait(60)

    answers = [fresh.ask() for _ in range(100)]

    released.set()
    asker.join(60)
    assert (answers, fresh.reader.calls) == ([1] * 100, 2)


@contextmanager
def hanging(fresh: Fresh) -> Iterator[None]:
    """Let the store give no answer at all."""
    released = threading.Event()
    fresh.reader.before = lambda: released.wait(60)
    try:
        yield
    finally:
        fresh.reader.before = lambda: None
        released.set()


def revision_threads() -> Sequence[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "patmiddleware revision"]


def test_store_that_hangs_holds_nobody_up() -> None:
    """Everyone hears of the outage within seconds, and one thread at the most waits for the store."""
    fresh = Fresh()
    fresh.ask()
    with hanging(fresh):
        fresh.clocks.advance(1.5)
        began = time.monotonic()

        answers = together(fresh.ask, 8)
        answers += together(fresh.ask, 8)

        assert time.monotonic() - began < 10
        assert all(isinstance(answer, BackendUnavailable) for answer in answers)
        assert (len(revision_threads()), fresh.reader.calls) == (1, 2)


def test_store_that_hung_is_asked_again() -> None:
    """Once it is back its answer counts: the new one, not the one that was asked for before."""
    fresh = Fresh()
    fresh.ask()
    with hanging(fresh):
        fresh.clocks.advance(1.5)
        with pytest.raises(BackendUnavailable):
            fresh.ask()
        fresh.reader.value = 2

    assert fresh.ask() == 2
    assert fresh.reader.calls == 3


def test_stale_answer_serves_while_the_store_hangs() -> None:
    """With ``stale_while_error`` only the one who asks is held up, and nobody hears of the outage."""
    fresh = Fresh(stale_while_error=3600)
    fresh.ask()
    with hanging(fresh):
        fresh.clocks.advance(1.5)
        first = together(fresh.ask, 8)
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: fresh.ask(), range(1_000)))

        assert first == [1] * 8
        assert answers == [1] * 1_000
        assert time.monotonic() - began < 60  # not a second for each


# --- Tokens


class Tokens:
    """A cache over a store that is changed without a word to this process, with its clocks."""

    def __init__(self, clocks: Clocks, store: PlainStore | None = None, **settings: float) -> None:
        self.clocks, self.store = clocks, store or SilentStore()
        self.cache = TokenCache(self.store, CacheSettings(**settings), clocks.monotonic)  # type: ignore[arg-type]

    def add(self, id: str = "t1", **fields: object) -> Secret:
        secret = Secret(mint_secret())
        self.store.add(Token(id=id, owner="alice", **fields), secret)  # type: ignore[arg-type]
        return secret

    def find(self, secret: Secret) -> Token | None:
        return self.cache.find(secret.digest, secret, self.clocks.wall()).value

    def revoke(self, id: str = "t1") -> None:
        token = self.store.get(id)
        assert token is not None
        self.store.replace(replace(token, revoked=Revocation(NOON)), token)


@pytest.fixture
def tokens(clocks: Clocks) -> Tokens:
    return Tokens(clocks)


def test_hit_makes_no_look_up(tokens: Tokens) -> None:
    """A token that is known is not looked up again."""
    secret = tokens.add()

    for _ in range(100):
        assert tokens.find(secret)
        tokens.clocks.advance(1)

    assert tokens.store.calls["find"] == 1


def test_known_miss_makes_no_look_up(tokens: Tokens) -> None:
    """Nor is a secret that is known to be nobody's."""
    secret = Secret(mint_secret())

    assert [tokens.find(secret) for _ in range(100)] == [None] * 100
    assert tokens.store.calls["find"] == 1


@pytest.mark.parametrize(("is_known", "lifetime"), [(True, 300.0), (False, 10.0)], ids=["token", "miss"])
def test_entry_ends(tokens: Tokens, is_known: bool, lifetime: float) -> None:
    """After its lifetime a token, or a miss, is looked up again; use does not prolong it."""
    secret = tokens.add() if is_known else Secret(mint_secret())
    tokens.find(secret)
    for _ in range(9):
        tokens.clocks.advance(lifetime / 10)
        tokens.find(secret)
    within = tokens.store.calls["find"]

    tokens.clocks.advance(lifetime / 10)
    tokens.find(secret)

    assert (within, tokens.store.calls["find"]) == (1, 2)


@pytest.mark.parametrize("fields", [{"revoked": Revocation(NOON)}, {"expires": NOON}], ids=["revoked", "expired"])
def test_dead_token_is_kept_as_a_miss(tokens: Tokens, fields: dict[str, object]) -> None:
    """It takes no room from good ones, and is not kept for long."""
    secret = tokens.add(**fields)

    tokens.find(secret)

    assert len(tokens.cache.known) == 0
    tokens.clocks.advance(10)
    assert tokens.find(secret) is not None
    assert tokens.store.calls["find"] == 2


def test_change_elsewhere_is_seen_within_the_poll(tokens: Tokens) -> None:
    """What another process revoked is looked up again once the revision was asked for."""
    secret = tokens.add()
    tokens.find(secret)
    tokens.revoke()

    tokens.clocks.advance(0.5)

    found = tokens.find(secret)
    assert found is not None
    assert found.revoked is not None


def test_token_made_elsewhere_is_seen_within_the_poll(tokens: Tokens) -> None:
    """A miss ends with the revision as well: a new token works soon, though it was tried too early."""
    secret = Secret(mint_secret())
    tokens.find(secret)
    tokens.store.add(Token(id="t1", owner="alice"), secret)

    tokens.clocks.advance(0.5)

    assert tokens.find(secret) is not None


def test_change_during_the_look_up_is_seen(clocks: Clocks) -> None:
    """An entry carries the revision from before its look-up: what is revoked meanwhile is looked up once more."""
    tokens = Tokens(clocks, PlainStore())
    secret = tokens.add()
    old = tokens.store.get("t1")

    class Slow:
        """Finds what was there before somebody revoked it."""

        prefix, peppers, foreign = "pat", (), True
        calls = 0

        def find(self, secret: Secret) -> Token | None:
            self.calls += 1
            if self.calls > 1:
                return tokens.store.find(secret)
            tokens.revoke()
            return old

        def revision(self) -> int:
            return tokens.store.revision()

    tokens.cache = TokenCache(Slow(), CacheSettings(), clocks.monotonic)

    first, second = tokens.find(secret), tokens.find(secret)

    assert first == old
    assert second is not None
    assert second.revoked is not None


def test_reader_without_a_revision_is_cached_for_a_second(clocks: Clocks) -> None:
    """Whatever the settings say, both for a token and for a miss."""
    reader = OnlyFinds()
    cache = TokenCache(reader, CacheSettings(lifetime=300, miss_lifetime=300), clocks.monotonic)
    secret = Secret("x")

    found = []
    for _ in range(20):
        found.append(cache.find(secret.digest, secret, clocks.wall()).value)
        clocks.advance(0.1)

    assert [token.id for token in found if token] == ["1"] * 10 + ["2"] * 10


@given(st.lists(st.tuples(st.floats(0, 400), st.floats(-400, 400)), max_size=30))
def test_no_walk_of_the_clocks_lengthens_an_entry(walk: list[tuple[float, float]]) -> None:
    """Whatever the wall clock does, nothing is served that was looked up a lifetime ago by the monotonic clock."""
    clocks, reader = Clocks(), OnlyFinds()
    cache = TokenCache(reader, CacheSettings(), clocks.monotonic)
    looked_up: dict[str, float] = {}
    secret = Secret("x")

    for passes, steps in walk:
        clocks.advance(passes)
        clocks.wall.advance(steps)
        token = cache.find(secret.digest, secret, clocks.wall()).value
        assert token is not None
        assert clocks.monotonic() - looked_up.setdefault(token.id, clocks.monotonic()) < BOUND


def test_garbage_does_not_push_out_good_tokens(clocks: Clocks) -> None:
    """Any number of unknown secrets leaves the known tokens where they are, and memory bounded."""
    tokens = Tokens(clocks, tokens=10, misses=10)
    good = [tokens.add(f"t{number}") for number in range(10)]
    clocks.advance(1)
    for secret in good:
        tokens.find(secret)

    for number in range(1_000):
        tokens.find(Secret(f"garbage {number}"))

    calls = tokens.store.calls["find"]
    assert all(tokens.find(secret) for secret in good)
    assert tokens.store.calls["find"] == calls
    assert (len(tokens.cache.known), len(tokens.cache._misses)) == (10, 10)


def test_good_tokens_do_not_exceed_their_room(clocks: Clocks) -> None:
    """Nor do more good tokens than there is room for."""
    tokens = Tokens(clocks, tokens=10)
    secrets = [tokens.add(f"t{number}") for number in range(100)]

    for secret in secrets * 3:
        assert tokens.find(secret) is not None

    assert len(tokens.cache.known) == 10


def test_caches_may_be_off(clocks: Clocks) -> None:
    """With room for nothing every request is looked up."""
    tokens = Tokens(clocks, tokens=0, misses=0)
    secret = tokens.add()

    found = [tokens.find(secret), tokens.find(secret), tokens.find(Secret("x")), tokens.find(Secret("x"))]

    assert [token is not None for token in found] == [True, True, False, False]
    assert tokens.store.calls["find"] == 4


@pytest.mark.parametrize("is_known", [True, False], ids=["token", "unknown"])
def test_misses_at_once_make_one_look_up(tokens: Tokens, is_known: bool) -> None:
    """However many ask for one secret at the same moment."""
    secret = tokens.add() if is_known else Secret(mint_secret())
    tokens.store.before = lambda method: time.sleep(0.05) if method == "find" else None

    found = together(lambda: tokens.find(secret) is not None)

    assert (set(found), tokens.store.calls["find"]) == ({is_known}, 1)


def test_misses_at_once_make_few_look_ups_while_the_store_changes(tokens: Tokens) -> None:
    """Who came before a look-up began takes what it found, though the store changes faster than it gives answers."""
    secret = tokens.add()

    def change(method: str) -> None:
        if method == "find":
            time.sleep(0.2)
            id = f"other-{tokens.store.calls['find']}"
            tokens.store.add(Token(id=id, owner="alice"), Secret(mint_secret()))
            here.announce()

    tokens.store.before = change

    began = time.monotonic()
    found = together(lambda: tokens.find(secret) is not None)

    assert set(found) == {True}
    assert tokens.store.calls["find"] <= 1 + one_after_the_other(began, 0.2)


def test_misses_of_different_secrets_do_not_wait_for_each_other(tokens: Tokens) -> None:
    """A slow look-up holds up nobody who asks for another secret."""
    slow, other = tokens.add("t1"), tokens.add("t2")
    entered, released = threading.Event(), threading.Event()

    def before(method: str) -> None:
        if method == "find" and not entered.is_set():
            entered.set()
            released.wait(60)

    tokens.store.before = before
    waiting = threading.Thread(target=lambda: tokens.find(slow))
    waiting.start()
    assert entered.wait(60)

    found = tokens.find(other)

    released.set()
    waiting.join(60)
    assert found is not None


def test_flights_leave_nothing_behind(tokens: Tokens) -> None:
    """What was looked up is not remembered anywhere but in the caches."""
    for number in range(100):
        tokens.find(Secret(str(number)))
    together(lambda: tokens.find(Secret("x")))

    assert tokens.cache._flights._flights == {}


def fail_to_find(method: str) -> None:
    if method == "find":
        time.sleep(0.1)
        raise BackendUnavailable("down")


def test_failure_is_shared_by_all_who_wait(tokens: Tokens) -> None:
    """A store that is down is not asked by everyone for one secret."""
    secret = tokens.add()
    tokens.store.before = fail_to_find

    began = time.monotonic()
    answers = together(lambda: tokens.find(secret))

    assert {str(answer) for answer in answers} == {"down"}
    assert tokens.store.calls["find"] <= one_after_the_other(began, 0.1)


def test_failure_is_not_remembered(tokens: Tokens) -> None:
    """Once the store is back, the next request is answered."""
    secret = tokens.add()
    tokens.store.before = fail_to_find
    with pytest.raises(BackendUnavailable):
        tokens.find(secret)

    tokens.store.before = lambda method: None

    assert tokens.find(secret) is not None


def test_error_of_a_driver_is_an_outage_of_the_store(tokens: Tokens, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever ``find`` raises; the log has it, and the secret stands nowhere."""
    secret = tokens.add()

    def before(method: str) -> None:
        if method == "find":
            raise ZeroDivisionError

    tokens.store.before = before

    with pytest.raises(BackendUnavailable, match="ZeroDivisionError") as caught:
        tokens.find(secret)

    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert secret.reveal() not in caplog.text


def test_token_serves_while_it_may_be_stale(clocks: Clocks) -> None:
    """A token that was known outlives its lifetime by ``stale_while_error``, no more; an unknown one is an outage."""
    tokens = Tokens(clocks, lifetime=60, stale_while_error=100)
    secret = tokens.add()
    tokens.find(secret)
    for _ in range(60):
        clocks.advance(1)
        tokens.cache.freshness.revision(clocks.monotonic(), clocks.wall())
    tokens.store.down = True

    clocks.advance(99)
    within = tokens.find(secret)
    clocks.advance(3)

    assert within is not None
    with pytest.raises(BackendUnavailable):
        tokens.find(secret)


def test_unknown_token_is_not_made_up_in_an_outage(clocks: Clocks) -> None:
    """What was never looked up is not known, however stale one may be."""
    tokens = Tokens(clocks, stale_while_error=3600)
    secret = tokens.add()
    tokens.find(tokens.add("t2"))
    tokens.store.down = True

    with pytest.raises(BackendUnavailable):
        tokens.find(secret)


def test_stale_token_is_shared_by_all_who_wait(clocks: Clocks) -> None:
    """While the store can't be asked, a known token serves for everyone, with one failing look-up."""
    tokens = Tokens(clocks, lifetime=60, stale_while_error=3600)
    secret = tokens.add()
    tokens.find(secret)
    clocks.advance(60)
    tokens.store.before = fail_to_find

    answers = together(lambda: tokens.find(secret) is not None)

    assert set(answers) == {True}
    assert tokens.store.calls["find"] <= 1 + 3


def test_stale_token_is_not_served_after_a_change(clocks: Clocks) -> None:
    """A revision that was raised may mean that very token."""
    tokens = Tokens(clocks, lifetime=60, stale_while_error=3600)
    secret = tokens.add()
    tokens.find(secret)
    tokens.revoke()
    clocks.advance(60)
    tokens.store.before = fail_to_find

    with pytest.raises(BackendUnavailable):
        tokens.find(secret)


class Remembers(SilentStore):
    """A store that can say what it last knew."""

    def find_last_good(self, secret: Secret) -> Token | None:
        self.calls["find_last_good"] += 1
        return self._store.find(secret)


def test_store_that_remembers_is_asked_what_it_last_knew(clocks: Clocks) -> None:
    """For tokens that are not cached here, as long as they may be stale."""
    tokens = Tokens(clocks, Remembers(), stale_while_error=10)
    secret = tokens.add()
    tokens.find(Secret("x"))
    tokens.store.down = True

    clocks.advance(9)
    within = tokens.find(secret)
    clocks.advance(1)

    assert within is not None
    with pytest.raises(BackendUnavailable):
        tokens.find(secret)


def test_store_that_remembers_is_not_asked_by_default(clocks: Clocks) -> None:
    """Without ``stale_while_error`` an outage is one."""
    tokens = Tokens(clocks, Remembers())
    secret = tokens.add()
    tokens.find(Secret("x"))
    tokens.store.down = True

    with pytest.raises(BackendUnavailable):
        tokens.find(secret)
    assert tokens.store.calls["find_last_good"] == 0


def test_store_that_remembers_nothing_is_an_outage(clocks: Clocks) -> None:
    """A secret that it did not know then may be good now: that is not said of it."""
    tokens = Tokens(clocks, Remembers(), stale_while_error=10)
    tokens.find(Secret("x"))
    tokens.store.down = True

    with pytest.raises(BackendUnavailable):
        tokens.find(Secret(mint_secret()))


def test_store_that_fails_to_remember_is_an_outage(clocks: Clocks) -> None:
    """Whatever that raises."""

    class Forgets(SilentStore):
        def find_last_good(self, secret: Secret) -> Token | None:
            raise ZeroDivisionError

    tokens = Tokens(clocks, Forgets(), stale_while_error=10)
    tokens.find(Secret("x"))
    tokens.store.down = True

    with pytest.raises(BackendUnavailable, match="ZeroDivisionError"):
        tokens.find(Secret(mint_secret()))


@pytest.mark.parametrize("kept", [True, {"owner": "alice"}], ids=repr)
def test_what_is_remembered_must_be_a_token(clocks: Clocks, kept: object) -> None:
    """As what is found: anything else is an outage."""

    class GivesRows(SilentStore):
        def find_last_good(self, secret: Secret) -> object:
            return kept

    tokens = Tokens(clocks, GivesRows(), stale_while_error=10)
    tokens.find(Secret("x"))
    tokens.store.down = True

    with pytest.raises(BackendUnavailable, match="TypeError"):
        tokens.find(Secret(mint_secret()))


# --- Owners


class Owners:
    """A cache over a directory, with its clocks."""

    def __init__(self, clocks: Clocks, **settings: float) -> None:
        self.clocks = clocks
        self.directory = FlakyDirectory([Owner(name="alice"), Owner(name="gone", active=False)])
        self.cache = OwnerCache(self.directory, CacheSettings(**settings), clocks.monotonic)  # type: ignore[arg-type]

    def find(self, name: str) -> Owner | None:
        return self.cache.find(name, self.clocks.wall()).value


@pytest.mark.parametrize(
    ("name", "lifetime"), [("alice", 60.0), ("gone", 10.0), ("nobody", 10.0)], ids=["active", "inactive", "unknown"]
)
def test_owner_is_asked_for_once_in_a_lifetime(clocks: Clocks, name: str, lifetime: float) -> None:
    """The active for ``directory_lifetime``; others no longer than a miss, so that a mended account works soon."""
    owners = Owners(clocks)

    for _ in range(10):
        owners.find(name)
        clocks.advance(lifetime / 10 * 0.99)
    within = owners.directory.calls["find"]
    clocks.advance(lifetime * 0.1)
    owners.find(name)

    assert (within, owners.directory.calls["find"]) == (1, 2)


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_step_of_the_wall_clock_does_not_lengthen_an_owner(clocks: Clocks, step: float) -> None:
    """Backwards the monotonic clock ends it, forwards the wall clock."""
    owners = Owners(clocks)
    owners.find("alice")

    clocks.wall.advance(step)
    clocks.monotonic.advance(60 if step < 0 else 0)
    owners.find("alice")

    assert owners.directory.calls["find"] == 2


def test_owners_at_once_make_one_call(clocks: Clocks) -> None:
    """However many tokens of one owner come at the same moment."""
    owners = Owners(clocks)
    owners.directory.before = lambda method: time.sleep(0.05)

    together(lambda: owners.find("alice"))

    assert owners.directory.calls["find"] == 1


def test_owners_do_not_exceed_their_room(clocks: Clocks) -> None:
    """Names are anybody's to choose, who may make tokens."""
    owners = Owners(clocks, tokens=10)

    for number in range(100):
        owners.find(str(number))

    assert len(owners.cache._owners) == 10


def test_owner_serves_while_they_may_be_stale(clocks: Clocks) -> None:
    """An outage of the directory is bridged for everyone, and no longer than asked for."""
    owners = Owners(clocks, stale_while_error=100)
    owners.find("alice")
    owners.directory.before = fail_to_find

    clocks.advance(60 + 99)
    began = time.monotonic()
    within = together(lambda: owners.find("alice"))
    calls = owners.directory.calls["find"]
    most = 1 + one_after_the_other(began, 0.1)
    clocks.advance(1)

    assert within == [Owner(name="alice")] * THREADS
    assert calls <= most
    with pytest.raises(BackendUnavailable):
        owners.find("alice")


def test_outage_of_the_directory_is_not_remembered(clocks: Clocks) -> None:
    """Once it is back, the next request is answered."""
    owners = Owners(clocks)
    owners.directory.down = True
    with pytest.raises(BackendUnavailable):
        owners.find("alice")

    owners.directory.down = False

    assert owners.find("alice") == Owner(name="alice")


# --- Flights


def test_flight_that_takes_too_long_is_left() -> None:
    """Who waits for another one's look-up does not wait for ever."""
    flights: Flights[str] = Flights(patience=0.05)

    with flights.of("a"):
        [answer] = together(lambda: enter(flights), 1)

    assert str(answer) == "another look-up of the same takes too long"


def enter(flights: Flights[str]) -> None:
    with flights.of("a"):
        pass


def test_error_that_is_no_outage_leaves_the_flight() -> None:
    """A fault within goes on as it is, and the next one may enter."""
    flights: Flights[str] = Flights()

    with pytest.raises(KeyError), flights.of("a"):
        raise KeyError

    enter(flights)
