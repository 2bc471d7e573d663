"""What the gate asks of a store and a directory, counted: under load, and whatever becomes of events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from gate import bearer, call, request
from services.databases import PostgreSQLServer

from patmiddleware import Issuer, Owner, PATMiddleware, grant_from, open_store
from patmiddleware.changes import here
from patmiddleware.listening import GATHER, Heard, Listener
from patmiddleware.model import CacheSettings, Secret, Token
from patmiddleware.testing import FlakyDirectory

POLL = CacheSettings().poll
THREADS, LOAD = 8, 4_000


class Counting:
    """A reader over a store that counts what it is asked, and what is under way at a time.

    Attributes:
        asked: the name of each method that was called.
    """

    def __init__(self, store: Any, *, slowly: float = 0.0) -> None:
        self.store, self._slowly = store, slowly
        self.prefix, self.peppers, self.foreign = store.prefix, store.peppers, store.foreign
        self.asked: list[str] = []

    def find(self, secret: Secret) -> Token | None:
        """Look a token up, after a while."""
        self.asked.append("find")
        time.sleep(self._slowly)
        found: Token | None = self.store.find(secret)
        return found

    def revision(self) -> int:
        """Give the store's."""
        self.asked.append("revision")
        return int(self.store.revision())


class World:
    """A gate over a store, with a token.

    Args:
        store: where tokens are.
        slowly: how many seconds a look-up takes longer.
    """

    def __init__(self, store: Any, *, slowly: float = 0.0) -> None:
        self.reader, self.directory = Counting(store, slowly=slowly), FlakyDirectory([Owner(name="alice")])
        self.issuer = Issuer(store)
        self.minted = self.issuer.mint(owner="alice", name="ci")
        self.gate = PATMiddleware(_tell, self.reader, directory=self.directory)

    def ask(self) -> int:
        """Send a request with the token, and give the status."""
        return call(self.gate, request(authorization=bearer(self.minted.secret))).status

    def count(self, method: str) -> int:
        """Give how often the store was asked something."""
        return self.reader.asked.count(method)


def _tell(environ: Any, start_response: Callable[..., object]) -> list[bytes]:
    assert grant_from(environ) is not None
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]


@pytest.fixture(params=["sqlite", "file", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A gate over each kind of store in turn, without events of its own."""
    if request.param == "postgresql":
        server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
        address = server.new_database()
    else:
        address = {"sqlite": f"sqlite:///{tmp_path}/t.db", "file": f"file:{tmp_path}/t.jsonl"}[request.param]
    store: Any = open_store(address)
    store.events = None
    yield World(store, slowly=0.02)
    if hasattr(store, "close"):
        store.close()


def together(threads: int, act: Callable[[], int]) -> list[int]:
    """Let so many threads do something at the same moment."""
    barrier = Barrier(threads)

    def run(_: int) -> int:
        barrier.wait(30)
        return act()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


def test_two_hundred_misses_at_once_make_one_look_up(world: World) -> None:
    """Through the gate, over a real store: one ``find``, one ``revision``, one call of the directory."""
    began = time.monotonic()
    answers = together(200, world.ask)

    assert answers == [200] * 200
    assert world.count("find") == world.directory.calls["find"] == 1
    assert world.count("revision") <= 1 + (time.monotonic() - began) / POLL


def test_a_load_of_hits_makes_no_look_up_and_two_polls_a_second(world: World) -> None:
    """However many requests, of however many threads: neither the store nor the directory hears of any of them."""
    world.ask()
    before, finds, began = world.count("revision"), world.count("find"), time.monotonic()

    with ThreadPoolExecutor(THREADS) as pool:
        answers = set(pool.map(lambda _: world.ask(), range(LOAD)))
        while time.monotonic() < began + 2.2 * POLL:
            answers |= set(pool.map(lambda _: world.ask(), range(100)))

    assert answers == {200}
    assert (finds, world.count("find"), world.directory.calls["find"]) == (1, 1, 1)
    assert 1 <= world.count("revision") - before <= 1 + (time.monotonic() - began) / POLL


# -- events


@contextmanager
def asking(world: World) -> Iterator[list[int]]:
    """Let threads send requests to the end of the block; give what they hear."""
    enough, heard = Event(), list[int]()

    def go_on() -> None:
        while not enough.is_set():
            heard.append(world.ask())

    threads = [Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield heard
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def test_an_event_makes_one_question(world: World) -> None:
    """Nothing is looked up for it where nothing has changed."""
    world.ask()
    before, began = world.count("revision"), time.monotonic()

    here.announce()
    answers = [world.ask() for _ in range(20)]

    assert (set(answers), world.count("find")) == ({200}, 1)
    # One, another where a poll was due, and those that came due since.
    assert 1 <= world.count("revision") - before <= 2 + (time.monotonic() - began) / POLL


def test_events_between_two_requests_make_one_question(world: World) -> None:
    """Of ten thousand, or the same one told as often, the next request asks once."""
    world.ask()
    before = world.count("revision")

    for _ in range(10_000):
        here.announce()
    world.ask()

    assert world.count("revision") - before == 1


def test_a_storm_of_events_makes_no_more_questions_than_are_let_through(world: World) -> None:
    """A listener gathers them for some milliseconds; while it lasts everything is answered, and nothing looked up."""
    world.ask()
    before, began = world.count("revision"), time.monotonic()

    def storm(tell: Heard, ended: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if ended():
                return
            tell()

    listener = Listener("a storm", storm, here.announce)
    with asking(world) as heard:
        listener.begin()
        time.sleep(0.6)
        listener.end()
    passed = time.monotonic() - began

    assert (set(heard), world.count("find")) == ({200}, 1)
    assert world.count("revision") - before <= 2 + passed / GATHER + passed / POLL


def test_a_storm_does_not_hide_a_revocation(world: World) -> None:
    """It is refused at once in its own process, though thousands of events say nothing."""
    enough = Event()

    def storm() -> None:
        while not enough.wait(0.0005):
            here.announce()

    thread = Thread(target=storm)
    thread.start()
    with asking(world):
        time.sleep(0.1)
        world.issuer.revoke(world.minted.token.id)
        answers = [world.ask() for _ in range(20)]
    enough.set()
    thread.join()

    assert answers == [401] * 20


@contextmanager
def _unheard() -> Iterator[None]:
    """Let nobody hear of what happens here, as if another process did it and its event were lost."""
    before = here.count
    yield
    here.count = before


def test_a_lost_event_is_made_up_for_by_the_next_poll(world: World) -> None:
    """With no other event: the question that was due anyway finds it."""
    world.ask()
    with _unheard():
        world.issuer.revoke(world.minted.token.id)
    asked = lost = time.monotonic()
    while world.ask() == 200:
        assert asked < lost + 1.0
        time.sleep(0.01)
        asked = time.monotonic()

    assert world.ask() == 401


def test_what_carries_events_may_fail(tmp_path: Path) -> None:
    """An object that raises whenever it is asked holds up no request, and costs no look-up."""

    class Broken:
        def watch(self) -> None:
            raise OSError

        def publish(self) -> None:
            pass

        def close(self) -> None:
            pass

    with closing(open_store(f"sqlite:///{tmp_path}/t.db")) as store:  # type: ignore[type-var]
        world = World(store)
        world.reader.events = Broken()  # type: ignore[attr-defined]

        answers = [world.ask() for _ in range(20)]

        assert (set(answers), world.count("find")) == ({200}, 1)
