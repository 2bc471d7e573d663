"""Who a credential is: looked up once, believed for as long as nothing can have changed, and never when in doubt.

What is counted here are calls to the store and to the directory, through the whole gate.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from gate import Spy, basic, bearer, call, request
from plain_store import PlainStore, SilentStore

from patmiddleware import (
    BackendUnavailable,
    CacheSettings,
    Denied,
    Issuer,
    Minted,
    Owner,
    PATMiddleware,
    Reason,
    Revocation,
    Secret,
    Token,
    open_store,
)
from patmiddleware.backends.caching import BOUND
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.interfaces import TokenStore
from patmiddleware.resolver import Identity, Resolver
from patmiddleware.testing import FakeClock, FlakyDirectory, FlakyStore
from patmiddleware.tokens import mint_secret

ROOT = Path(__file__).parent.parent
DAY = timedelta(days=1)
SOON = 60.0
"""Seconds for which what must come is waited for, on a busy machine."""


def mint(store: TokenStore, clock: Callable[[], float] = time.time, **options: Any) -> Minted:
    """Make a token of alice's."""
    return Issuer(store, clock=clock).mint(**{"owner": "alice", "name": "ci", "lifetime": DAY, **options})


class Gate:
    """A gate whose application answers 200 to whoever gets through."""

    def __init__(self, store: Any, **options: Any) -> None:
        self.app = PATMiddleware(Spy(), store, **options)

    def ask(self, authorization: str | None) -> int:
        """Give the status of the answer."""
        return call(self.app, request("/", authorization)).status

    def ask_together(self, authorization: str, threads: int) -> list[int]:
        """Let so many threads ask at the same moment."""
        barrier = threading.Barrier(threads)

        def run(_: int) -> int:
            barrier.wait(30)
            return self.ask(authorization)

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(run, range(threads)))


@contextmanager
def opened(store: Any, **options: Any) -> Iterator[Gate]:
    """Give a gate, and leave no thread of it behind."""
    gate = Gate(store, **options)
    try:
        yield gate
    finally:
        store.down = False
        assert gate.app.close()


def at_most(began: float, seconds: float) -> float:
    """Give how many questions there can have been, one at a time and none too soon; a thread that is late asks, too.

    Args:
        began: by the monotonic clock.
        seconds: from one to the next.
    """
    return 1 + (time.monotonic() - began) / seconds


# --- Calls that are not made


def test_hit_calls_nobody() -> None:
    """Once a token is known neither the store nor the directory is asked for it, whatever carries it."""
    store, directory = FlakyStore(), FlakyDirectory([Owner(name="alice")])
    secret = mint(store).secret
    headers = [bearer(secret), basic("alice", secret), f"bearer  {secret}", f"Token {secret}"]

    with opened(store, directory=directory, accept=["bearer", "basic", "token"]) as gate:
        statuses = [gate.ask(header) for header in headers * 100]

    assert statuses == [200] * 400
    assert (store.calls["find"], directory.calls["find"]) == (1, 1)


def test_hit_by_key_calls_nobody() -> None:
    """The same holds for a key in a header of its own."""
    store = FlakyStore()
    secret = mint(store).secret
    gate = PATMiddleware(Spy(), store, accept=["header:X-API-Key"])

    statuses = [call(gate, request("/", HTTP_X_API_KEY=secret)).status for _ in range(100)]

    assert (set(statuses), store.calls["find"]) == ({200}, 1)
    assert gate.close()


MISTYPED = mint_secret(choice=random.Random(1).choice)[:-1]

WORTHLESS = [
    "",
    " ",
    "Bearer",
    "Bearer ",
    "Bearer a,b",
    "Bearer a b",
    "Bearer \u00e9",
    "Bearer a\x00b",
    "Bearer " + "a" * 4097,
    "Basic",
    "Basic !!!",
    "Basic " + "YWxpY2U=",  # no colon
    "Basic " + "YWxpY2U6YQ==" + "\n",
    basic("alice", ""),
    basic("alice", "a\x00"),
    "Digest x",
    "nonsense",
    ",",
    bearer("pat_"),
    bearer("pat_x"),
    bearer(MISTYPED),
    bearer(MISTYPED + "!"),
    bearer(MISTYPED + "00"),
    bearer(MISTYPED[:-1] + ("a" if MISTYPED[-1] != "a" else "b") + "0"),
    basic("alice", MISTYPED),
]


@pytest.mark.parametrize("header", WORTHLESS, ids=repr)
def test_worthless_credential_costs_no_call(header: str) -> None:
    """What is malformed, unsupported, or fails the checksum never reaches the store."""
    store = FlakyStore()

    with opened(store) as gate:
        status = gate.ask(header)

    assert status in (400, 401)
    assert store.calls.total() == 0


def test_foreign_string_costs_no_call_where_there_are_none() -> None:
    """A store that says it holds only ours is not asked for others."""
    store = FlakyStore(MemoryStore(foreign=False))

    with opened(store) as gate:
        statuses = [gate.ask(bearer("another-kind-of-token")), gate.ask(basic("alice", "password"))]

    assert (statuses, store.calls.total()) == ([401, 401], 0)


def test_foreign_string_is_looked_up_by_default() -> None:
    """Adopted tokens and those of custom backends look as they like."""
    store = FlakyStore()
    store.add(Token(id="t1", owner="alice"), "another-kind-of-token")

    with opened(store) as gate:
        assert gate.ask(bearer("another-kind-of-token")) == 200


def test_own_prefix_counts() -> None:
    """The checksum is asked of what has the store's prefix."""
    store = FlakyStore(MemoryStore(prefix="corp"))
    secret = mint(store).secret

    with opened(store) as gate:
        statuses = [gate.ask(bearer(text)) for text in (secret, secret[:-1] + "!", "corp_x", mint_secret())]

    assert secret.startswith("corp_")
    assert (statuses, store.calls["find"]) == ([200, 400, 401, 401], 2)


# --- One look-up for all


@pytest.mark.parametrize("is_known", [True, False], ids=["token", "unknown"])
def test_two_hundred_misses_at_once_make_one_look_up(is_known: bool) -> None:
    """Both of a token and of a secret that is nobody's; the owner is asked for once, too."""
    store, directory = FlakyStore(), FlakyDirectory([Owner(name="alice")])
    secret = mint(store).secret if is_known else mint_secret()
    store.before = lambda method: time.sleep(0.05) if method == "find" else None

    began = time.monotonic()
    with opened(store, directory=directory) as gate:
        statuses = gate.ask_together(bearer(secret), 200)

    assert set(statuses) == {200 if is_known else 401}
    assert (store.calls["find"], directory.calls["find"]) == (1, int(is_known))
    assert store.calls["revision"] <= at_most(began, CacheSettings().poll)


@pytest.mark.parametrize("method", ["find", "revision"])
@pytest.mark.parametrize("missing", ["reject", "annotate"])
def test_store_that_is_down_is_not_asked_by_everyone(method: str, missing: str) -> None:
    """Two hundred requests at once in an outage are two hundred times 503, and a call or a few."""
    store = FlakyStore()
    secret = mint(store).secret

    def before(called: str) -> None:
        if called == method:
            time.sleep(0.3)
            raise BackendUnavailable("down")

    store.before = before

    began = time.monotonic()
    with opened(store, missing=missing) as gate:
        statuses = gate.ask_together(bearer(secret), 200)

    assert statuses == [503] * 200
    assert store.calls[method] <= at_most(began, 0.3)


def test_directory_that_is_down_is_not_asked_by_everyone() -> None:
    """The same for the directory."""
    store, directory = FlakyStore(), FlakyDirectory([Owner(name="alice")])
    secret = mint(store).secret

    def before(method: str) -> None:
        time.sleep(0.3)
        raise BackendUnavailable("down")

    directory.before = before

    began = time.monotonic()
    with opened(store, directory=directory) as gate:
        statuses = gate.ask_together(bearer(secret), 200)

    assert statuses == [503] * 200
    assert directory.calls["find"] <= at_most(began, 0.3)


def test_many_tokens_at_once_are_each_looked_up_once() -> None:
    """Whatever comes with what."""
    store = FlakyStore()
    headers = [bearer(mint(store).secret) for _ in range(20)]

    with opened(store) as gate, ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(gate.ask, headers * 20))

    assert (set(statuses), store.calls["find"]) == ({200}, 20)


# --- Bounds


def test_garbage_leaves_good_tokens_where_they_are() -> None:
    """Thousands of unknown secrets, in every carrier, cost a good token nothing."""
    store = FlakyStore()
    good = bearer(mint(store).secret)

    with opened(store, cache=CacheSettings(tokens=10, misses=10)) as gate:
        gate.ask(good)
        for number in range(2_000):
            gate.ask(bearer(f"garbage-{number}") if number % 2 else basic("alice", f"garbage-{number}"))
        before = store.calls["find"]
        status = gate.ask(good)

    assert (status, before, store.calls["find"]) == (200, 2_001, 2_001)


def sizes(resolver: Resolver) -> list[int]:
    """How much a resolver keeps: credentials that it recalls, tokens, misses."""
    return [len(resolver._recalled), len(resolver._cache.known), len(resolver._cache._misses)]


def resolve(resolver: Resolver, scheme: str, username: str | None, secret: str, header: str) -> Identity | Denied:
    return resolver.resolve((scheme, username, secret), time.time(), header)


def test_nothing_exceeds_its_size() -> None:
    """Neither good nor bad secrets, nor spellings of one secret, take more room than they were given."""
    store = FlakyStore()
    resolver = Resolver(store, settings=CacheSettings(tokens=10, misses=10), basic_username="ignore")
    secrets = [mint(store).secret for _ in range(50)]

    for secret in secrets:
        for number in range(50):
            resolve(resolver, "Basic", f"user{number}", secret, basic(f"user{number}", secret))
            resolve(resolver, "Bearer", None, f"garbage{number}", f"Bearer garbage{number}")

    assert sizes(resolver) == [10, 10, 10]


def test_spellings_of_one_secret_take_bounded_room() -> None:
    """Who has one token can't fill the memory with ways of writing it, and all of them work without a look-up."""
    store = FlakyStore()
    resolver = Resolver(store, basic_username="ignore")
    secret = mint(store).secret

    found = [
        resolve(resolver, "Basic", f"user{number}", secret, basic(f"user{number}", secret)) for number in range(1_000)
    ]

    assert all(isinstance(each, Identity) for each in found)
    assert (sizes(resolver)[0], store.calls["find"]) == (8, 1)


def test_caches_may_be_off() -> None:
    """With room for nothing every request is looked up, and answered."""
    store = FlakyStore()
    secret = mint(store).secret

    with opened(store, cache=CacheSettings(tokens=0, misses=0)) as gate:
        statuses = [gate.ask(bearer(text)) for text in (secret, secret, mint_secret())]

    assert (statuses, store.calls["find"]) == ([200, 200, 401], 3)


# --- Outages


@pytest.mark.parametrize("missing", ["reject", "annotate"])
def test_outage_is_never_remembered(missing: str) -> None:
    """503 while the store is down, and the right answer at once when it is back, for good and bad tokens."""
    store = FlakyStore()
    headers = [bearer(mint(store).secret), bearer(mint_secret())]

    with opened(store, missing=missing) as gate:
        store.down = True
        during = [gate.ask(header) for header in headers]
        store.down = False
        after = [gate.ask(header) for header in headers]

    assert during == [503, 503]
    assert after == [200, 401 if missing == "reject" else 200]


def test_known_token_outlives_a_short_outage() -> None:
    """Within the bound nobody notices; after it nothing is known any more."""
    clock, store = FakeClock(), FlakyStore()
    header = bearer(mint(store, clock).secret)

    with opened(store, clock=clock) as gate:
        gate.ask(header)
        store.down = True
        clock.advance(0.9)
        within = gate.ask(header)
        clock.advance(0.2)
        after = gate.ask(header)

    assert (within, after) == (200, 503)


def test_known_token_serves_while_it_may_be_stale() -> None:
    """With ``stale_while_error`` the last good state serves, then 503; an unknown token is 503 from the start."""
    clock, store = FakeClock(), FlakyStore()
    header, other = bearer(mint(store, clock).secret), bearer(mint(store, clock).secret)

    with opened(store, clock=clock, cache=CacheSettings(stale_while_error=60)) as gate:
        gate.ask(header)
        store.down = True
        clock.advance(60)
        within = (gate.ask(header), gate.ask(other))
        clock.advance(2)
        after = gate.ask(header)

    assert (within, after) == ((200, 503), 503)


def test_stale_token_still_expires() -> None:
    """What serves in an outage is who it is, not for how long."""
    clock, store = FakeClock(), FlakyStore()
    header = bearer(mint(store, clock, lifetime=timedelta(seconds=30)).secret)

    with opened(store, clock=clock, cache=CacheSettings(stale_while_error=600)) as gate:
        gate.ask(header)
        store.down = True
        clock.advance(30)

        assert gate.ask(header) == 401


def test_known_owner_serves_while_they_may_be_stale() -> None:
    """The same for the directory."""
    clock, store, directory = FakeClock(), FlakyStore(), FlakyDirectory([Owner(name="alice")])
    header = bearer(mint(store, clock).secret)

    with opened(store, clock=clock, directory=directory, cache=CacheSettings(stale_while_error=60)) as gate:
        gate.ask(header)
        directory.down = True
        clock.advance(60 + 59)
        within = gate.ask(header)
        clock.advance(2)
        after = gate.ask(header)

    assert (within, after) == (200, 503)


def test_damaged_file_serves_its_last_good_state(tmp_path: Path) -> None:
    """A token file that has gone bad serves what it said, also of tokens that were not asked for yet; or nothing."""
    path = tmp_path / "tokens.jsonl"
    store = open_store(f"file:{path}")
    asked, other = bearer(mint(store).secret), bearer(mint(store).secret)

    with opened(store, cache=CacheSettings(stale_while_error=600)) as gate, opened(store) as strict:
        before, good = (gate.ask(asked), strict.ask(asked)), path.read_bytes()
        path.write_text("nonsense\n")
        during = (gate.ask(asked), gate.ask(other))
        deadline = time.monotonic() + SOON
        while strict.ask(asked) == 200 and time.monotonic() < deadline:
            time.sleep(0.02)

        strictly = strict.ask(asked)
        path.write_bytes(good)

        assert (before, during, strictly, strict.ask(asked)) == ((200, 200), (200, 200), 503, 200)


# --- Expiry and clocks


def test_token_expires_to_the_second_while_it_is_cached() -> None:
    """The moment in the record is the first at which it is no good; no look-up is needed for that."""
    clock, store = FakeClock(), FlakyStore()
    minted = mint(store, clock, lifetime=timedelta(seconds=60))
    assert minted.token.expires is not None
    end = minted.token.expires.timestamp()

    with opened(store, clock=clock) as gate:
        statuses = []
        for clock.seconds in (end - 60, end - 0.001, end, end + 0.001, end + 3600):
            statuses += [gate.ask(bearer(minted.secret)), gate.ask(basic("alice", minted.secret))]

    assert statuses == [200] * 4 + [401] * 6
    assert store.calls["find"] <= 2  # dead ones are looked up again, as misses are


@pytest.mark.parametrize("step", [-3600.0, -1.0, 3600.0])
def test_step_of_the_wall_clock_does_not_lengthen_a_cached_token(step: float) -> None:
    """After its lifetime it is looked up again, whatever the wall clock says."""
    clock, store = FakeClock(), FlakyStore()
    header = bearer(mint(store, clock).secret)

    with opened(store, clock=clock, cache=CacheSettings(lifetime=0.2)) as gate:
        gate.ask(header)
        clock.advance(step)
        time.sleep(0.25)
        gate.ask(header)

    assert store.calls["find"] == 2


@pytest.mark.parametrize("step", [-3600.0, -1.0, 3600.0])
def test_step_of_the_wall_clock_does_not_hide_a_change(step: float) -> None:
    """What was revoked elsewhere is seen within the bound, whatever the wall clock says."""
    clock, store = FakeClock(), SilentStore()
    minted = mint(store, clock)

    with opened(store, clock=clock) as gate:
        before = gate.ask(bearer(minted.secret))
        store.replace(replace(minted.token, revoked=Revocation(clock.now)), minted.token)
        clock.advance(step)
        time.sleep(0.6)

        assert (before, gate.ask(bearer(minted.secret))) == (200, 401)


def test_walk_of_the_wall_clock_does_not_lengthen_an_owner() -> None:
    """Who was disabled is out after ``directory_lifetime``, though the clock goes back and forth."""
    clock, store, directory = FakeClock(), FlakyStore(), FlakyDirectory([Owner(name="alice")])
    header = bearer(mint(store, clock).secret)

    with opened(store, clock=clock, directory=directory, cache=CacheSettings(directory_lifetime=0.3)) as gate:
        before = gate.ask(header)
        directory.directory = FlakyDirectory([Owner(name="alice", active=False)]).directory
        deadline = time.monotonic() + 0.3
        for step in cycle([-100.0, 99.0]):
            clock.advance(step)
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)

        assert (before, gate.ask(header)) == (200, 401)


# --- Owners


def test_disabled_owner_is_out_within_the_lifetime() -> None:
    """A token is as good as its owner, and that is asked for again in time."""
    clock, store, directory = FakeClock(), FlakyStore(), FlakyDirectory([Owner(name="alice")])
    headers = [bearer(secret := mint(store, clock).secret), basic("alice", secret)]

    with opened(store, clock=clock, directory=directory) as gate:
        before = [gate.ask(header) for header in headers]
        directory.directory = FlakyDirectory().directory
        clock.advance(59.9)
        within = [gate.ask(header) for header in headers]
        clock.advance(0.1)
        after = [gate.ask(header) for header in headers]

    assert (before, within, after) == ([200, 200], [200, 200], [401, 401])


def test_enabled_owner_is_in_soon() -> None:
    """Who was inactive is asked for again after the lifetime of a miss."""
    clock, store, directory = FakeClock(), FlakyStore(), FlakyDirectory()
    header = bearer(mint(store, clock).secret)

    with opened(store, clock=clock, directory=directory) as gate:
        before = gate.ask(header)
        directory.directory = FlakyDirectory([Owner(name="alice")]).directory
        clock.advance(10)

        assert (before, gate.ask(header)) == (401, 200)


def test_groups_follow_the_directory() -> None:
    """Who left a group is out of it within the lifetime."""
    clock, store, spy = FakeClock(), FlakyStore(), Spy()
    directory = FlakyDirectory([Owner(name="alice", groups=frozenset({"admins"}))])
    gate = PATMiddleware(spy, store, directory=directory, clock=clock)
    header = bearer(mint(store, clock).secret)

    for _ in range(2):
        call(gate, request("/", header))
        directory.directory = FlakyDirectory([Owner(name="alice")]).directory
        clock.advance(60)

    assert [environ["patmiddleware.grant"].groups for environ in spy.environs] == [{"admins"}, set()]
    assert gate.close()


# --- Revocation


@pytest.fixture(params=["memory", "file", "sqlite"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of each kind."""
    return {
        "memory": "memory:",
        "file": f"file:{tmp_path / 'tokens.jsonl'}",
        "sqlite": f"sqlite:///{tmp_path / 'tokens.db'}",
    }[request.param]


def test_revocation_here_holds_at_once(address: str) -> None:
    """In the process that revoked there is no wait at all, whatever the caches hold."""
    store = open_store(address)

    with opened(store, cache=CacheSettings(poll=1)) as gate:
        for _ in range(10):
            minted = mint(store)
            headers = [bearer(minted.secret), basic("alice", minted.secret)]
            before = [gate.ask(header) for header in headers]
            Issuer(store).revoke(minted.token.id)
            assert (before, [gate.ask(header) for header in headers]) == ([200, 200], [401, 401])


def test_revocation_through_another_store_object_holds_at_once(address: str) -> None:
    """The caches over a file or a database hear of changes made by another object over the same."""
    if address == "memory:":
        return
    store, other = open_store(address), open_store(address)

    with opened(store, cache=CacheSettings(poll=1)) as gate:
        for _ in range(10):
            minted = mint(store)
            before = gate.ask(bearer(minted.secret))
            Issuer(other).revoke(minted.token.id)
            assert (before, gate.ask(bearer(minted.secret))) == (200, 401)


def test_new_token_works_at_once(address: str) -> None:
    """Though its secret was refused a moment ago."""
    store, secret = open_store(address), mint_secret()

    with opened(store) as gate:
        before = gate.ask(bearer(secret))
        store.add(Token(id="t1", owner="alice"), secret)

        assert (before, gate.ask(bearer(secret))) == (401, 200)


def test_rotation_and_its_end(address: str) -> None:
    """Both secrets are good for the overlap, then the new one alone."""
    clock, store = FakeClock(), open_store(address)
    old = mint(store, clock)

    with opened(store, clock=clock) as gate:
        gate.ask(bearer(old.secret))
        new = Issuer(store, clock=clock).rotate(old.secret, overlap=timedelta(minutes=5))
        during = [gate.ask(bearer(each.secret)) for each in (old, new)]
        clock.advance(300)
        after = [gate.ask(bearer(each.secret)) for each in (old, new)]

    assert (during, after) == ([200, 200], [401, 200])


REVOKE = """
import sys
from patmiddleware import Issuer, open_store
issuer = Issuer(open_store(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    issuer.revoke(line.strip())
    print("revoked", flush=True)
"""


@contextmanager
def process(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script in another process; it ends when its input does."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        with child:
            yield child
            if child.stdin is not None and not child.stdin.closed:
                child.stdin.close()
            child.wait(30)
    finally:
        child.kill()


def test_revocation_by_another_process_holds_within_the_bound(address: str) -> None:
    """A second after another process has revoked a token it is refused here, though it is asked for all the time."""
    if address == "memory:":
        return
    store = open_store(address)
    admitted = []  # how many seconds after the revocation it was asked

    with opened(store) as gate, process(REVOKE, address) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for _ in range(3):
            minted = mint(store)
            assert gate.ask(bearer(minted.secret)) == 200
            child.stdin.write(f"{minted.token.id}\n")
            child.stdin.flush()
            assert child.stdout.readline() == "revoked\n"
            began = time.monotonic()
            while (asked := time.monotonic()) < began + SOON and gate.ask(bearer(minted.secret)) == 200:
                admitted.append(asked - began)
                time.sleep(0.01)

    assert max(admitted, default=0.0) < BOUND


def test_reader_without_a_revision_is_believed_for_a_second() -> None:
    """A custom backend with one method: what it revoked is refused soon, whatever the cache's lifetime."""

    class OnlyFinds:
        def __init__(self) -> None:
            self.token: Token | None = Token(id="t1", owner="alice")
            self.calls = 0

        def find(self, secret: Secret) -> Token | None:
            self.calls += 1
            return self.token

    reader, header = OnlyFinds(), bearer(mint_secret())

    with opened(reader) as gate:
        began = time.monotonic()
        before = [gate.ask(header) for _ in range(50)]
        most = at_most(began, 1.0)
        calls = reader.calls
        reader.token = None
        time.sleep(1.01)

        assert (set(before), gate.ask(header)) == ({200}, 401)
        assert calls <= most


@pytest.mark.parametrize("make", [FlakyStore, PlainStore, SilentStore], ids=lambda make: make.__name__)
def test_no_request_that_begins_after_a_revocation_gets_in(make: Callable[[], Any]) -> None:
    """Threads ask all the time while tokens are revoked: once ``revoke`` has returned, nobody new gets in."""
    store = make()
    issuer = Issuer(store)
    current: list[tuple[str, threading.Event, threading.Event]] = [("", threading.Event(), threading.Event())]
    late: list[str] = []
    raced: list[bool] = []
    ended = threading.Event()

    def ask(gate: Gate) -> None:
        while not ended.is_set():
            secret, admitted, revoked = current[0]
            was_revoked = revoked.is_set()
            if gate.ask(bearer(secret)) == 200:
                admitted.set()
                late.extend([secret] * was_revoked)

    with opened(store) as gate:
        threads = [threading.Thread(target=ask, args=(gate,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(30):
            minted, admitted, revoked = mint(store), threading.Event(), threading.Event()
            current[0] = (minted.secret, admitted, revoked)
            raced.append(admitted.wait(SOON))
            issuer.revoke(minted.token.id)
            revoked.set()
            time.sleep(0.002)
        ended.set()
        for thread in threads:
            thread.join(SOON)

    assert (late, set(raced)) == ([], {True})


# --- The revision


def test_revision_is_asked_at_most_twice_a_second() -> None:
    """Eight threads that ask without a pause for two seconds cost a handful of questions."""
    store = FlakyStore()
    header = bearer(mint(store).secret)
    deadline = time.monotonic() + 2

    with opened(store) as gate:

        def ask(_: int) -> int:
            asked = 0
            while time.monotonic() < deadline:
                assert gate.ask(header) == 200
                asked += 1
            return asked

        with ThreadPoolExecutor(8) as pool:
            asked = sum(pool.map(ask, range(8)))
        seconds = time.monotonic() - deadline + 2

    assert asked > 100
    assert store.calls["revision"] <= 2 * seconds + 1
    assert store.calls["find"] == 1


def test_store_whose_revision_hangs() -> None:
    """Others go on for the second, then hear 503, each within seconds; afterwards all is well again."""
    store = FlakyStore()
    header = bearer(mint(store).secret)
    released = threading.Event()
    seen: list[tuple[float, float, int]] = []  # when it was asked, when it was answered, and with what

    def ask(gate: Gate, until: float) -> None:
        began = 0.0
        while began < until:
            began = time.monotonic()
            status = gate.ask(header)
            seen.append((began, time.monotonic(), status))

    with opened(store) as gate:
        first = time.monotonic()
        gate.ask(header)
        last = time.monotonic()
        store.before = lambda method: released.wait(60) if method == "revision" else None
        threads = [threading.Thread(target=ask, args=(gate, last + 2.5)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        waiting = [each for each in threading.enumerate() if each.name == "patmiddleware revision"]
        store.before = lambda method: None
        released.set()

        assert gate.ask(header) == 200

    assert {status for _, ended, status in seen if ended < first + BOUND} <= {200}
    assert {status for began, _, status in seen if began > last + BOUND} == {503}
    assert (max(ended - began for began, ended, _ in seen) < 20, len(waiting)) == (True, 1)


def test_revocation_here_is_not_hidden_by_a_store_that_hangs() -> None:
    """A change made here and a store that says nothing afterwards: 503, not the old answer."""
    store = FlakyStore()
    minted, released = mint(store), threading.Event()

    with opened(store) as gate:
        gate.ask(bearer(minted.secret))
        Issuer(store.store).revoke(minted.token.id)
        store.before = lambda method: released.wait(60) if method == "revision" else None
        status = gate.ask(bearer(minted.secret))
        store.before = lambda method: None
        released.set()

        assert (status, gate.ask(bearer(minted.secret))) == (503, 401)


# --- Reasons


def test_order_of_reasons() -> None:
    """A dead token is told before its owner, and the owner before the user name: no look-up that is not needed."""
    store, directory = FlakyStore(), FlakyDirectory([Owner(name="alice"), Owner(name="gone", active=False)])
    resolver = Resolver(store, directory)
    dead, gone = mint(store, owner="gone"), mint(store, owner="gone")
    Issuer(store).revoke(dead.token.id)

    reasons = [
        found.reason if isinstance(found := resolve(resolver, "Basic", "bob", secret, ""), Denied) else None
        for secret in (mint_secret(), dead.secret, gone.secret, mint(store).secret)
    ]

    assert reasons == [Reason.UNKNOWN, Reason.REVOKED, Reason.OWNER_INACTIVE, Reason.OWNER_MISMATCH]
    assert directory.calls["find"] == 2


def test_bad_credentials_are_not_recalled() -> None:
    """Only who was accepted is known by the bytes of the header."""
    store = FlakyStore()
    resolver = Resolver(store)
    secret = mint(store).secret

    resolve(resolver, "Basic", "bob", secret, basic("bob", secret))
    resolve(resolver, "Bearer", None, mint_secret(), "Bearer x")

    assert sizes(resolver)[0] == 0
    assert resolver.recall(basic("bob", secret), time.time()) is None


def test_user_name_that_fits_one_owner_is_not_recalled_for_another() -> None:
    """What is recalled is the whole header: another user name is judged anew."""
    store = FlakyStore()
    secret = mint(store).secret

    with opened(store) as gate:
        statuses = [gate.ask(basic(name, secret)) for name in ("alice", "bob", "alice", "Alice")]

    assert statuses == [200, 401, 200, 401]


# --- Forks


FORK = """
import os, sys, threading
sys.path.insert(0, sys.argv[1])
from gate import Spy, bearer, call, request
from patmiddleware import Issuer, Owner, PATMiddleware
from patmiddleware.audit import AuditLog
from patmiddleware.testing import FlakyDirectory, FlakyStore

store, directory, spy = FlakyStore(), FlakyDirectory([Owner(name="alice")]), Spy()
app = PATMiddleware(spy, store, directory=directory, audit=AuditLog(open(os.devnull, "w")))
known, other = (Issuer(store).mint(owner="alice", name="ci").secret for _ in range(2))
assert call(app, request("/", bearer(known))).status == 200
parent = spy.environ["patmiddleware.request_id"]

# One thread is in a look-up, and one asks for the revision, when the process forks.
entered, released, here = threading.Semaphore(0), threading.Event(), os.getpid()
def before(method):
    if method in ("find", "revision") and os.getpid() == here:
        entered.release()
        released.wait(60)
store.before = directory.before = before
app._resolver._cache.freshness.due.mono_until = float("-inf")
threads = [threading.Thread(target=call, args=(app, request("/", bearer(other)))) for _ in range(3)]
for thread in threads:
    thread.start()
entered.acquire()

child = os.fork()
if child == 0:
    spy.environs.clear()
    statuses = [call(app, request("/", bearer(secret))).status for secret in (known, other, known)]
    ids = [environ["patmiddleware.request_id"] for environ in spy.environs]
    fine = statuses == [200] * 3 and parent.rpartition("-")[0] not in {id.rpartition("-")[0] for id in ids}
    os._exit(0 if fine and app.close() else 1)
_, status = os.waitpid(child, 0)
released.set()
for thread in threads:
    thread.join()
assert call(app, request("/", bearer(other))).status == 200
print("child", os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: there is no fork here")
def test_child_of_a_fork_serves() -> None:
    """With caches and locks of its own, though its parent was in a look-up; its request ids are others."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        check=False,
    )

    assert (done.stdout, done.returncode) == ("child 0\n", 0), done.stderr
