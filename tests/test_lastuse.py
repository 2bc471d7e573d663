"""Last uses are gathered, written seldom, and neither lost at exit nor while a store is down."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest

from patmiddleware.errors import BackendError, BackendUnavailable
from patmiddleware.lastuse import LastUse
from patmiddleware.model import Use

NOON = datetime(2026, 4, 15, 12, tzinfo=UTC)
T = NOON.timestamp()


class CountingStore:
    """Keeps every call, and fails while it is told to."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Use]] = []
        self.tries = 0
        self.down = False

    def record_use(self, uses: Mapping[str, Use]) -> None:
        self.tries += 1
        if self.down:
            raise BackendUnavailable("the store is down")
        self.calls.append(dict(uses))


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def last_use(store: CountingStore) -> Iterator[LastUse]:
    last_use = LastUse(store, capacity=100)
    yield last_use
    last_use.close()


def test_a_use_is_written_as_it_was(store: CountingStore, last_use: LastUse) -> None:
    """When, from where, and by which agent."""
    last_use.note("t1", T, "192.0.2.7", "curl/8")

    assert last_use.flush()

    assert store.calls == [{"t1": Use(NOON, "192.0.2.7", "curl/8")}]


def test_tokens_are_written_together(store: CountingStore, last_use: LastUse) -> None:
    """What was gathered goes to the store in one call."""
    for number in range(50):
        last_use.note(f"t{number}", T, None, None)

    assert last_use.flush()

    assert [len(call) for call in store.calls] == [50]


def test_a_token_is_written_once_a_minute_at_any_load(store: CountingStore, last_use: LastUse) -> None:
    """Ten minutes of 100 uses a second from four threads are ten writes."""

    def use() -> None:
        for step in range(15_000):
            last_use.note("t1", T + step * 0.04, None, None)
            if step % 1_000 == 0:
                last_use.flush()

    threads = [Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last_use.flush()

    moments = sorted(call["t1"].at.timestamp() for call in store.calls)
    assert len(moments) <= 10
    assert all(later - earlier >= 60 for earlier, later in pairwise(moments))


def test_a_later_minute_is_written_again(store: CountingStore, last_use: LastUse) -> None:
    """The interval is for each token, counted from the use that was noted."""
    for moment in (T, T + 59.9, T + 60):
        last_use.note("t1", moment, None, None)
        last_use.flush()

    assert [call["t1"].at.timestamp() for call in store.calls] == [T, T + 60]


def test_an_outage_loses_nothing(store: CountingStore, last_use: LastUse, caplog: pytest.LogCaptureFixture) -> None:
    """What a store can't take is kept and tried again, newest use of each token; the log says so once."""
    store.down = True
    with caplog.at_level(logging.WARNING, "patmiddleware"):
        last_use.note("t1", T, None, None)
        last_use.note("t2", T, None, None)
        first = last_use.flush()
        last_use.note("t1", T + 60, None, None)
        last_use.flush()
    store.down = False

    second = last_use.flush()

    assert (first, second) == (False, True)
    assert store.calls == [{"t1": Use(datetime.fromtimestamp(T + 60, UTC)), "t2": Use(NOON)}]
    assert [record.getMessage() for record in caplog.records] == [
        "last uses can't be written, they are kept and tried again: the store is down"
    ]


@pytest.mark.parametrize("fault", [KeyError("t1"), StopIteration(), SystemExit(1), GeneratorExit()], ids=repr)
def test_whatever_a_store_raises_loses_nothing(fault: BaseException) -> None:
    """Also what would end the thread that writes: the next flush is written."""

    class Fails(CountingStore):
        def record_use(self, uses: Mapping[str, Use]) -> None:
            if not self.tries:
                self.tries += 1
                raise fault
            super().record_use(uses)

    store = Fails()
    last_use = LastUse(store)
    last_use.note("t1", T, None, None)

    written = [last_use.flush(), last_use.flush()]

    assert (written, store.calls) == ([False, True], [{"t1": Use(NOON)}])
    last_use.close()


def test_an_agent_that_a_store_can_not_keep_is_spelled_out() -> None:
    """One client's words, which a database may have no characters for, hold nobody else's last use up."""

    class Latin2(CountingStore):
        def record_use(self, uses: Mapping[str, Use]) -> None:
            if not all((use.agent or "").isascii() for use in uses.values()):
                raise BackendError("a text of the token can't be kept")
            super().record_use(uses)

    store = Latin2()
    last_use = LastUse(store)

    last_use.note("1", T, None, "b\u00f8t/1")
    last_use.note("2", T, None, "curl/8")

    assert last_use.close()
    assert store.calls == [{"1": Use(NOON, None, r"b\xf8t/1"), "2": Use(NOON, None, "curl/8")}]


def test_what_waits_is_bounded(store: CountingStore, last_use: LastUse) -> None:
    """Through a long outage the oldest notes are dropped and counted."""
    store.down = True
    for number in range(250):
        last_use.note(f"t{number}", T + number, None, None)
        if number % 60 == 0:
            last_use.flush()
    store.down = False

    last_use.flush()

    assert last_use.dropped == 150
    assert set(store.calls[0]) == {f"t{number}" for number in range(150, 250)}


def test_a_store_that_keeps_no_use_is_left_alone() -> None:
    """A reader without record_use costs nothing and starts nothing."""
    last_use = LastUse(object())

    last_use.note("t1", T, None, None)

    assert last_use.flush()


AGENTS = [
    ("curl/8", "curl/8"),
    ("a" * 300, "a" * 256),
    ("one\r\ntwo\x00\x7f\x9bthree", "onetwothree"),
    ("half \ud800 a pair", "half  a pair"),
    ("\x00", None),
    ("", None),
    (None, None),
]


@pytest.mark.parametrize(("agent", "expected"), AGENTS)
def test_agent_is_cut_and_cleaned(
    agent: str | None, expected: str | None, store: CountingStore, last_use: LastUse
) -> None:
    """An agent is a client's own words: 256 characters of it, none of which may break a line."""
    last_use.note("t1", T, None, agent)
    last_use.flush()

    assert store.calls[0]["t1"].agent == expected


PROGRAM = """
import os, sys
from patmiddleware.lastuse import LastUse

class Store:
    def record_use(self, uses):
        with open(sys.argv[1], "a") as file:
            file.writelines(f"{who} {token_id}\\n" for token_id in uses)

who = "parent"
last_use = LastUse(Store())
"""


def run(program: str, path: Path) -> list[str]:
    """Run a program in a process of its own and give the lines that its store wrote."""
    subprocess.run([sys.executable, "-c", PROGRAM + program, str(path)], timeout=60, check=True)
    return path.read_text().splitlines()


def test_exit_writes_what_waits(tmp_path: Path) -> None:
    """A process that ends loses no use."""
    program = "for n in range(3): last_use.note(f't{n}', 0.0, None, None)"

    assert run(program, tmp_path / "uses") == ["parent t0", "parent t1", "parent t2"]


def test_a_forked_process_writes_its_own(tmp_path: Path) -> None:
    """After a fork each process writes what it noted itself, once."""
    program = """
last_use.note("before", 0.0, None, None)
child = os.fork()
who = who if child else "child"
last_use.note("after", 0.0, None, None)
if not child:
    sys.exit()
os.waitpid(child, 0)
"""

    lines = run(program, tmp_path / "uses")

    assert sorted(lines) == ["child after", "parent after", "parent before"]
