"""Work behind the requests: when it begins, what a fork does to it, and that it is finished at exit."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from patmiddleware.background import Background

SECONDS = 10.0
"""Long enough for any machine; nothing waits for it where all is well."""


class Pile:
    """Work to do: takes things away, and counts how often it came by."""

    def __init__(self, pause: float = 0.0) -> None:
        self.things: list[int] = []
        self.done: list[int] = []
        self.comings = 0
        self.background = Background("pile", self.work, forget=self.things.clear, pause=pause)

    def add(self, thing: int) -> None:
        self.things.append(thing)
        if not self.background.awake:
            self.background.wake()

    def work(self) -> float | None:
        self.comings += 1
        if not self.things:
            return None
        while self.things:
            self.done.append(self.things.pop(0))
        return 0.0


@pytest.fixture
def pile() -> Iterator[Pile]:
    pile = Pile()
    yield pile
    assert pile.background.close(SECONDS)


def threads(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


def test_no_thread_starts_at_construction(pile: Pile) -> None:
    """A server may fork after construction, so nothing runs yet."""
    assert threads("pile") == 0


def test_one_thread_does_all(pile: Pile) -> None:
    """However often it is woken, one thread works."""
    for thing in range(100):
        pile.add(thing)

    assert pile.background.flush(SECONDS)
    assert (pile.done, threads("pile")) == (list(range(100)), 1)


def test_no_thing_is_left_behind() -> None:
    """What comes at the very moment when the work runs out is done as well, without a flush."""
    pile, expected = Pile(), 20_000
    seen = threading.Event()
    pile.background = Background("pile", lambda: _tell(pile, expected, seen), forget=list, pause=0.0)

    for thing in range(expected):
        pile.add(thing)

    assert seen.wait(SECONDS)
    assert pile.background.close(SECONDS)


def _tell(pile: Pile, expected: int, seen: threading.Event) -> float | None:
    again = pile.work()
    if len(pile.done) == expected:
        seen.set()
    return again


def test_idle_work_is_left_alone(pile: Pile) -> None:
    """Where nothing is left the thread sleeps until it is woken, rather than look again and again."""
    pile.add(1)
    assert pile.background.flush(SECONDS)
    assert pile.background.flush(SECONDS)
    comings = pile.comings

    threading.Event().wait(0.05)

    assert pile.comings == comings


def test_flush_does_not_wait_for_the_pause() -> None:
    """A flush comes at once, however long the work gathers."""
    pile = Pile(pause=3600.0)
    pile.add(1)

    assert pile.background.flush(SECONDS)

    assert pile.done == [1]
    assert pile.background.close(SECONDS)


def test_flush_of_slow_work_gives_up_in_time() -> None:
    """Work that does not come to its end holds nobody longer than the given time."""
    release = threading.Event()
    background = Background("slow", lambda: release.wait(SECONDS) and None, forget=list, pause=0.0)
    background.wake()

    done = background.flush(0.05)

    release.set()
    assert (done, background.close(SECONDS)) == (False, True)


def test_a_closed_one_starts_again(pile: Pile) -> None:
    """After a close the thread is gone, and the next thing brings a new one."""
    pile.add(1)
    assert pile.background.close(SECONDS)
    gone = threads("pile")

    pile.add(2)
    assert pile.background.flush(SECONDS)

    assert (gone, pile.done) == (0, [1, 2])


def test_a_fault_does_not_end_the_work(caplog: pytest.LogCaptureFixture) -> None:
    """A fault is logged, and the work is tried again."""
    things = ["fault"]

    def work() -> None:
        if things:
            raise LookupError(things.pop())

    background = Background("faulty", work, forget=list, pause=0.0)
    with caplog.at_level(logging.ERROR, "patmiddleware"):
        background.wake()
        assert background.flush(SECONDS)

    assert background.flush(SECONDS)
    assert [record.getMessage() for record in caplog.records] == ["faulty: a fault in the background; trying again"]
    assert background.close(SECONDS)


def run(program: str) -> list[str]:
    """Run a program in a process of its own and give its lines."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()


PROGRAM = """
import os, sys
from patmiddleware.background import Background

things = []

def work():
    if not things:
        return None
    os.write(1, "".join(f"{who} {things.pop(0)}\\n" for _ in list(things)).encode())
    return 0.0

def add(thing):
    things.append(thing)
    background.wake()

who = "parent"
background = Background("work", work, forget=things.clear, pause=3600.0)
"""


def test_exit_finishes_the_work() -> None:
    """At exit all that waits is done, without waiting for the pause."""
    assert run("add('last')") == ["parent last"]


def test_exit_does_not_wait_for_ever() -> None:
    """Work that never ends does not keep a process from ending."""
    program = "import patmiddleware.background as room, time; room.EXIT_SECONDS = 0.1\n"
    never = "never = Background('never', lambda: time.sleep(3600), forget=list, pause=0.0); never.wake()"

    assert run(program + never) == []


def test_a_fork_begins_anew() -> None:
    """A child does its own work on its own thread; what its parent had still to do is done once, by the parent."""
    program = """
add("before the fork")
child = os.fork()
if not child:
    who = "child"
    add("after the fork")
    sys.exit()
os.waitpid(child, 0)
"""

    assert sorted(run(program)) == ["child after the fork", "parent before the fork"]


def test_a_child_of_multiprocessing_finishes_the_work() -> None:
    """A child that multiprocessing forked never comes to what is registered for exit; its work is done all the same."""
    program = """
import multiprocessing

def work_there():
    global who
    who = "child"
    add("in the child")

add("before the fork")
child = multiprocessing.get_context("fork").Process(target=work_there)
child.start()
child.join()
"""

    assert sorted(run(program)) == ["child in the child", "parent before the fork"]


def test_the_first_work_imports_nothing() -> None:
    """A thread that forks at that moment would take the lock of an import along: nobody gives it back in the child."""
    program = """
import builtins, multiprocessing.util

imported = builtins.__import__

def watched(name, *rest):
    os.write(1, f"imports {name}\\n".encode())
    return imported(name, *rest)

builtins.__import__ = watched
add("first")
builtins.__import__ = imported
"""

    assert run(program) == ["parent first"]
