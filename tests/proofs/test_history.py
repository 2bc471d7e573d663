"""Tokens are made, rotated and revoked by several writers while everything breaks; the history is judged by a model.

Real processes: two servers with two workers each, two writers here and one in a process of its own, and a crowd of
clients with live, ended and made-up secrets. Meanwhile a database is killed, a file is locked, replaced or spoiled, a
clock is set, or a directory goes away. What is promised through all that stands in :mod:`proofs.model`.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
from proofs.fleet import Client, Host, crowd, fleet
from proofs.guarded import READING, Guard, opened
from proofs.history import Act, Ask, History, Kept, Reading
from proofs.ldapbook import ldapbook
from proofs.model import Promise, faults
from proofs.phonebook import DirectoryServer, phonebook
from proofs.writing import OWNERS, Book, Process, write
from services.databases import postgresql

from patmiddleware.backends.caching.flights import RECENT
from patmiddleware.backends.file import disk
from patmiddleware.model import Secret, Token

pytestmark = pytest.mark.slow

SECONDS = 12.0
"""How long it goes on."""
WRITERS = 2
TIMEOUT = 1.0
"""Seconds that a writer waits for a database."""
SETTLING = 30.0
"""Seconds in which all must be well again after the last fault."""
PAUSE = 0.01

log = logging.getLogger("proofs")
Record = Callable[[str, object], None]


class Scene:
    """Where a history takes place.

    Args:
        guard: what the servers run.
        folder: for what they write.
        settings: of the writers' stores.
    """

    def __init__(self, guard: Guard, folder: Path, **settings: float) -> None:
        self.guard, self.folder, self.settings = guard, folder, settings
        self.book, self.readings, self._over = Book(), list[Reading](), False

    def play(self, disturb: Callable[[], object]) -> History:
        """Let everybody act while something is disturbed, then look what there is in the end.

        Args:
            disturb: called again and again, for as long as the history lasts.
        """
        stores = [opened(self.guard.store, **self.settings) for _ in range(WRITERS)]
        tokens: deque[tuple[float, Token]] = deque(maxlen=20)
        with fleet(self.guard, self.folder, workers=2) as hosts, ThreadPoolExecutor(WRITERS) as pool:
            other = Process(self.guard.store, self.settings, self.book, seed=WRITERS)
            go_on = lambda: not self._over  # noqa: E731
            writers = [
                pool.submit(write, store, self.book.put, seed, tokens, go_on) for seed, store in enumerate(stores)
            ]
            try:
                with crowd(hosts, self.book.choose, pause=PAUSE) as clients:
                    deadline = time.monotonic() + SECONDS
                    while time.monotonic() < deadline:
                        disturb()
                    asks = clients.stop()
            finally:
                self._over = True
                code = other.stop()
            assert code == 0
            for writer in writers:
                writer.result()
            asks += self._settle(hosts)
        kept = [_kept(stores[0], id, secret) for id, secret in self.book.secrets.items()]
        for store in stores:
            with suppress(AttributeError):  # the file store has nothing to close
                store.close()
        return History(self.book.acts, asks, [one for one in kept if one], self.readings)

    def _settle(self, hosts: Sequence[Host]) -> list[Ask]:
        """Wait until all is well and a second has passed; then ask each host for every token that was made."""
        clients = [Client(number, host.port) for number, host in enumerate(hosts)]
        deadline = time.monotonic() + SETTLING
        asks = []
        for client in clients:
            while client.ask(None, next(iter(self.book.secrets.values()))).status == 503:
                assert time.monotonic() < deadline, "it stays unavailable"
                time.sleep(0.1)
        time.sleep(1.0)
        for id, secret in self.book.secrets.items():
            asks += [replace(client.ask(id, secret), settled=True) for client in clients]
        for client in clients:
            client.close()
        return asks


def _kept(store: Any, id: str, secret: str) -> Kept | None:
    token, found = store.get(id), store.find(Secret(secret))
    if token is None:
        return None
    expires = inf if token.expires is None else token.expires.timestamp()
    return Kept(id, found and found.id, token.revoked is not None, expires)


def judge(history: History, promise: Promise, record: Record) -> Counter[int]:
    """Fail where the history is not as promised, or too little happened; tell what did.

    Returns:
        How often each status was heard.
    """
    statuses = Counter(ask.status for ask in history.asks)
    acts = Counter((act.kind, act.outcome) for act in history.acts)
    figures = {"requests": dict(statuses), "acts": {" ".join(kind): count for kind, count in acts.items()}}
    log.info("%s", figures)
    for name, value in figures.items():
        record(name, value)
    assert faults(history, promise)[:5] == []
    assert min(acts["mint", "done"], acts["revoke", "done"], acts["rotate", "done"]) >= 10
    assert min(statuses[200], statuses[401]) >= 100
    return statuses


def rest(seconds: float = 1.5) -> None:
    """Let all be well for a while."""
    time.sleep(seconds)


# -- stores that break


def test_history_over_a_database_that_is_killed(tmp_path: Path, record_property: Record) -> None:
    """PostgreSQL dies as in a power cut, again and again: requests hear 503, and what was acknowledged is there."""
    with postgresql() as server:
        scene = Scene(Guard(server.new_database()), tmp_path, timeout=TIMEOUT)

        def kill() -> None:
            rest()
            server.kill()
            rest(1.5)
            server.start()

        statuses = judge(scene.play(kill), Promise(), record_property)

    assert statuses[503] > 0


def test_history_over_a_locked_database(tmp_path: Path, record_property: Record) -> None:
    """Somebody holds the lock of an SQLite file: writers wait or give up, and readers go on."""
    path = tmp_path / "tokens.db"
    scene = Scene(Guard(f"sqlite:///{path}"), tmp_path, timeout=TIMEOUT)

    def lock() -> None:
        rest()
        locker = sqlite3.connect(path, isolation_level=None)
        with closing(locker), suppress(sqlite3.OperationalError):  # busy: then not this time
            locker.execute("BEGIN EXCLUSIVE")
            rest(1.5)
            locker.execute("ROLLBACK")

    judge(scene.play(lock), Promise(), record_property)


@contextmanager
def writing_stopped(path: Path) -> Iterator[None]:
    """Keep every writer of a token file out."""
    with disk.locked(path.with_name(f"{path.name}.lock"), beside=path):
        yield


def test_history_over_a_file_that_is_replaced(tmp_path: Path, record_property: Record) -> None:
    """A copy takes the place of the token file, in one step, many times: nothing is seen of it."""
    path = tmp_path / "tokens.jsonl"
    scene = Scene(Guard(f"file:{path}"), tmp_path)

    def copy() -> None:
        rest(0.2)
        with writing_stopped(path):
            new = shutil.copy2(path, path.with_name("copy"))
            os.replace(new, path)

    statuses = judge(scene.play(copy), Promise(), record_property)

    assert statuses[503] <= statuses[200] / 100  # not none: the machine may stand still for a second


@pytest.mark.parametrize("stale", [0.0, 1.0], ids=["", "stale_while_error"])
def test_history_over_a_file_that_goes_bad(tmp_path: Path, record_property: Record, stale: float) -> None:
    """Garbage stands in its place for a while: that is an outage, which may be bridged for as long as is set."""
    path = tmp_path / "tokens.jsonl"
    cache = (("lifetime", 300.0), ("stale_while_error", stale))
    scene = Scene(Guard(f"file:{path}", cache=cache), tmp_path)

    def spoil() -> None:
        rest()
        bad, good = path.with_name("bad"), path.with_name("good")
        bad.touch(mode=0o600)
        bad.write_bytes(b"garbage\n")
        with writing_stopped(path):
            os.link(path, good)
            os.replace(bad, path)
        rest(1.5 + stale)
        with writing_stopped(path):
            os.replace(good, path)

    statuses = judge(scene.play(spoil), Promise(bound=1.0 + stale), record_property)

    assert statuses[503] > 0


# -- what else a request is judged by


def test_history_by_a_clock_that_is_set(tmp_path: Path, record_property: Record) -> None:
    """The servers' wall clock is set forth and back: nothing lives longer by it than the clock itself says."""
    path = tmp_path / "clock"
    path.write_bytes(_as_reading(0.0))
    scene = Scene(Guard(f"sqlite:///{tmp_path}/tokens.db", clock=str(path)), tmp_path, timeout=TIMEOUT)
    offsets = iter([3.0, -3.0, 3600.0, 0.0, -3600.0, 0.0] * 100)
    scene.readings.append(Reading(0.0, inf, 0.0))

    def step() -> None:
        rest(1.0)
        offset = next(offsets)
        before, begin = scene.readings[-1], time.monotonic()
        with path.open("r+b", buffering=0) as file:
            file.write(_as_reading(offset))
        scene.readings[-1] = replace(before, end=time.monotonic())
        scene.readings.append(Reading(begin, inf, offset))

    judge(scene.play(step), Promise(), record_property)


def _as_reading(offset: float) -> bytes:
    return f"{offset:{READING}.3f}".encode()


OWNERS_KEPT = 0.5
"""Seconds for which the servers keep what the directory said."""


DIRECTORIES: Mapping[str, Callable[..., AbstractContextManager[DirectoryServer]]] = {
    "phonebook": phonebook,
    "ldap": ldapbook,
}
"""What runs a directory with some active owners."""


@pytest.mark.parametrize("missing", ["reject", "annotate"])
@pytest.mark.parametrize("kind", DIRECTORIES)
def test_history_with_a_directory_that_goes(tmp_path: Path, record_property: Record, kind: str, missing: Any) -> None:
    """Owners are deactivated and come back, and nobody answers for a while: that is no word about anybody.

    Also where the application decides what to do without a grant: an outage does not make anybody anonymous.
    """
    cache = (("lifetime", 300.0), ("directory_lifetime", OWNERS_KEPT), ("miss_lifetime", OWNERS_KEPT))
    with DIRECTORIES[kind](*OWNERS) as directory:
        guard = Guard(f"sqlite:///{tmp_path}/tokens.db", directory=directory.address, missing=missing, cache=cache)
        scene = Scene(guard, tmp_path, timeout=TIMEOUT)

        def set_active(name: str, active: bool) -> None:
            begin = time.monotonic()
            directory.set(name, active)
            act = Act("activate" if active else "deactivate", name, begin, time.monotonic())
            scene.book.put(act)

        def go() -> None:
            set_active("alice", False)
            rest(1.5)
            directory.stop()
            rest(1.2)
            set_active("alice", True)
            directory.start()
            rest(1.5)
            directory.confuse(True)
            rest(0.8)
            directory.confuse(False)

        # Who waited for another one's question takes its answer, if that was asked within the last second.
        statuses = judge(scene.play(go), Promise(owners=max(OWNERS_KEPT, RECENT)), record_property)

    assert statuses[503] > 0
