"""Events carry the word that something changed; what is lost arrives all the same."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from services.databases import PostgreSQLServer, postgresql
from services.redis import RedisServer, redis

from patmiddleware.backends import open_store
from patmiddleware.backends.caching import TokenCache
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.changes import here
from patmiddleware.errors import ConfigurationError
from patmiddleware.interfaces import Events
from patmiddleware.issuer import Issuer
from patmiddleware.listening import FIRST_PAUSE, GATHER, Heard, Listener
from patmiddleware.model import CacheSettings, Secret
from patmiddleware.testing import sample_token
from patmiddleware.tokens import mint_secret

SOON = 60.0
"""Seconds for which what is to come is waited for, on a busy machine."""


def comes(what: Callable[[], bool]) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + SOON
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server."""
    with redis() as server:
        yield server


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL server that may be stopped."""
    with postgresql() as server:
        yield server


@pytest.fixture
def listening_to_redis(redis_server: RedisServer) -> Iterator[Events]:
    """Events of another process, as it were, that are listened to."""
    events = redis_events(redis_server)
    before = here.count
    events.watch()
    assert comes(lambda: here.count > before)
    yield events
    events.close()


def redis_events(server: RedisServer) -> Events:
    events = pytest.importorskip("patmiddleware.events").RedisEvents(server.url)
    assert isinstance(events, Events)
    return events


# -- listening


def test_a_listener_hears_each_event_of_its_own_thread() -> None:
    """What it hears is told, until it ends."""
    heard: list[int] = []

    def listen(tell: Heard, ended: Callable[[], bool]) -> None:
        while not ended():
            tell()

    listener = Listener("a test", listen, lambda: heard.append(1))
    listener.begin()
    assert comes(lambda: len(heard) > 3)
    listener.end()
    count = len(heard)
    time.sleep(0.05)

    assert len(heard) == count


def test_a_listener_begins_again_after_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    """A fault is logged once, without its words; then it tries again, and says when it hears again."""
    attempts: list[float] = []

    def listen(tell: Heard, ended: Callable[[], bool]) -> None:
        attempts.append(time.monotonic())
        if len(attempts) < 3:
            raise OSError("redis://:a-password@host")
        tell()
        while not ended():
            time.sleep(0.01)

    with caplog.at_level(logging.WARNING, "patmiddleware"):
        listener = Listener("a test", listen, lambda: None)
        listener.begin()
        assert comes(lambda: "events come again" in caplog.text)
        listener.end()

    assert len([line for line in caplog.messages if "no events for now" in line]) == 1
    assert "a-password" not in caplog.text
    assert attempts[1] - attempts[0] >= FIRST_PAUSE


def test_constructing_starts_no_thread(redis_server: RedisServer) -> None:
    """A server may fork after it."""
    events = redis_events(redis_server)

    assert not events._listener.is_listening  # type: ignore[attr-defined]


# -- Redis


def test_redis_tells_others_of_a_change(redis_server: RedisServer, listening_to_redis: Events) -> None:
    """A change in one process is announced in another, for a store of any kind."""
    store = MemoryStore()
    store.events = redis_events(redis_server)
    before = here.count

    store.add(sample_token(), mint_secret())

    # Once by the store itself, and once by what came back over Redis.
    assert comes(lambda: here.count >= before + 2)


def test_redis_does_not_tell_the_sender(redis_server: RedisServer) -> None:
    """Who made a change knows of it, and is not made to ask again."""
    events, before = redis_events(redis_server), here.count
    events.watch()
    assert comes(lambda: here.count > before)
    count = here.count

    events.publish()
    time.sleep(0.2)
    events.close()

    assert here.count == count


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_redis_tells_the_forks_of_the_sender(redis_server: RedisServer) -> None:
    """Workers that a server forked from one process are others to each other."""
    events, before = redis_events(redis_server), here.count
    events.watch()
    assert comes(lambda: here.count > before)
    time.sleep(0.05)
    count = here.count

    child = os.fork()
    if child == 0:
        events.publish()
        os._exit(0)
    os.waitpid(child, 0)

    assert comes(lambda: here.count > count)
    events.close()


STORM = 10_000


def announced_in(storm: Callable[[], object]) -> tuple[int, float]:
    """Give how often a storm was announced here, and seconds from its end to the last time."""
    before, began = here.count, time.monotonic()
    storm()
    ended = time.monotonic()
    assert comes(lambda: here.count > before)
    count, last = here.count, time.monotonic()
    while time.monotonic() < last + 0.5:
        if here.count != count:
            count, last = here.count, time.monotonic()
        time.sleep(0.001)
    assert count - before <= (last - began) / GATHER + 2
    return count - before, last - ended


def test_a_storm_over_redis_is_soon_over(redis_server: RedisServer, listening_to_redis: Events) -> None:
    """Thousands of events are few, and none waits in a queue behind the others."""
    sender = pytest.importorskip("redis").Redis.from_url(redis_server.url)

    def storm() -> None:
        with sender.pipeline(transaction=False) as pipeline:
            for number in range(STORM):
                pipeline.publish("patmiddleware", str(number))
            pipeline.execute()

    count, seconds = announced_in(storm)
    sender.close()

    assert 1 <= count < STORM / 20
    assert seconds < 10


def test_the_issuer_tells_for_a_store_that_does_not(redis_server: RedisServer, listening_to_redis: Events) -> None:
    """A store of somebody's own only shows its events; whoever changes it through the issuer is heard."""
    from plain_store import PlainStore

    store = PlainStore()
    store.events = redis_events(redis_server)  # type: ignore[attr-defined]  # as anybody's store may have it
    issuer = Issuer(store)
    minted = issuer.mint(owner="alice", name="ci")
    time.sleep(0.1)
    before = here.count

    issuer.revoke(minted.token.id)

    # Twice by the issuer and the store below it; what comes back is one more.
    assert comes(lambda: here.count >= before + 3)


def test_events_come_again_after_redis_was_away(caplog: pytest.LogCaptureFixture) -> None:
    """While it is away changes are made all the same, and quickly; when it is back, its return counts as an event."""
    with redis() as server, caplog.at_level(logging.WARNING, "patmiddleware"):
        events = redis_events(server)
        before = here.count
        events.watch()
        assert comes(lambda: here.count > before)
        server.kill()
        began = time.monotonic()
        for _ in range(1_000):
            events.publish()
        taken = time.monotonic() - began
        count = here.count
        server.start()

        assert comes(lambda: here.count > count)
        events.close()

    assert taken < 30.0  # not a moment for each
    assert "events come again" in caplog.text


def test_a_redis_that_hangs_holds_a_change_up_for_a_moment_only() -> None:
    """One change waits for the timeout, the next ones for nothing."""
    with redis() as server:
        events = redis_events(server)
        server.freeze()
        began = time.monotonic()
        for _ in range(100):
            events.publish()
        taken = time.monotonic() - began

    assert taken < 30.0  # not a timeout for each


@pytest.mark.parametrize(
    "address", ["http://localhost", "redis://localhost:port", "localhost:6379", "redis://:secret@h:x/0"]
)
def test_other_addresses_are_refused(address: str) -> None:
    """The error says how to write it, and shows no password."""
    pytest.importorskip("redis")
    with pytest.raises(ConfigurationError, match="write redis://") as caught:
        open_store("memory:", events=address)

    assert "secret" not in str(caught.value)


def test_a_redis_that_is_not_there_is_told_by_a_check() -> None:
    """In one sentence, which says that it is no reason to stand still."""
    events = pytest.importorskip("patmiddleware.events").RedisEvents("redis://127.0.0.1:1/")

    with pytest.raises(ConfigurationError, match="without it changes arrive within a second"):
        events.check()


# -- PostgreSQL


def test_postgresql_tells_others_of_a_change(database: PostgreSQLServer) -> None:
    """A store that is listened to hears of a change by another one."""
    address = database.new_database()
    with closing(open_store(address)) as store, closing(open_store(address)) as other:  # type: ignore[type-var]
        before = here.count
        store.events.watch()  # type: ignore[attr-defined]
        assert comes(lambda: here.count > before)
        time.sleep(0.05)
        count = here.count

        other.add(sample_token(), mint_secret())

        assert comes(lambda: here.count >= count + 2)


def test_a_storm_over_postgresql_is_soon_over(database: PostgreSQLServer) -> None:
    """Thousands of notices are few, and none waits in a queue behind the others."""
    address = database.new_database()
    with closing(open_store(address)) as store:  # type: ignore[type-var]
        before = here.count
        store.events.watch()  # type: ignore[attr-defined]
        assert comes(lambda: here.count > before)
        time.sleep(0.05)
        notices = f"SELECT pg_notify('patmw_changes', n::text) FROM generate_series(1, {STORM}) AS n"

        count, seconds = announced_in(lambda: database.run(notices, address.rpartition("/")[2]))

        assert 1 <= count < STORM / 20
        assert seconds < 10


def test_postgresql_is_listened_to_when_tokens_are_looked_up(database: PostgreSQLServer) -> None:
    """The first look-up of a cache starts it, in the process that serves."""
    with closing(open_store(database.new_database())) as store:  # type: ignore[type-var]
        cache = TokenCache(store, CacheSettings())
        listener = store.events._listener  # type: ignore[attr-defined]
        assert not listener.is_listening

        cache.find(b"key", Secret("nobody's"), time.time())

        assert listener.is_listening


def test_notices_come_again_after_a_restart(database: PostgreSQLServer) -> None:
    """The server ends every connection; the listener makes a new one, which counts as an event."""
    with closing(open_store(database.new_database())) as store:  # type: ignore[type-var]
        before = here.count
        store.events.watch()  # type: ignore[attr-defined]
        assert comes(lambda: here.count > before)
        database.stop()
        count = here.count
        database.start()

        assert comes(lambda: here.count > count)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_listens_by_itself(database: PostgreSQLServer) -> None:
    """The thread does not come along; the child's first look-up starts another."""
    with closing(open_store(database.new_database())) as store:  # type: ignore[type-var]
        before = here.count
        store.events.watch()  # type: ignore[attr-defined]
        assert comes(lambda: here.count > before)
        child = os.fork()
        if child == 0:
            was = store.events._listener.is_listening  # type: ignore[attr-defined]
            count = here.count
            store.events.watch()  # type: ignore[attr-defined]
            os._exit(0 if not was and comes(lambda: here.count > count) else 1)

        assert os.waitpid(child, 0)[1] == 0


class Broken:
    """Events of somebody's who has not read what they promise."""

    def watch(self) -> None:
        raise OSError("no route")

    def publish(self) -> None:
        raise OSError("no route")

    def close(self) -> None:
        raise OSError("no route")


def test_events_that_fail_lose_no_secret_and_no_revocation(caplog: pytest.LogCaptureFixture) -> None:
    """A change that was made is told to whoever made it, though nobody else hears of it at once."""
    store = MemoryStore()
    store.events = Broken()
    issuer = Issuer(store)

    minted = issuer.mint(owner="alice", name="ci")
    revoked = issuer.revoke_owner("alice")

    assert store.find(Secret(minted.secret)) == store.get(minted.token.id)
    assert revoked == (minted.token.id,)
    assert "can't be told to other processes" in caplog.text
