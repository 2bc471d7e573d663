"""Keep locks whole while the process forks: a child must not inherit one that nobody is left to release."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from threading import Lock
from typing import Protocol
from weakref import WeakSet


class Guarded(Protocol):
    """Something with locks."""

    @property
    def locks(self) -> Iterable[Lock]:
        """Give them in the order in which they are taken."""


_guarded: WeakSet[Guarded] = WeakSet()
_held: list[Lock] = []
_forking = Lock()  # by one thread at a time: another one's locks must not be let go


def hold_while_forking(owner: Guarded) -> None:
    """Let every fork wait until nobody holds a lock of this owner. A lock file is then never shared with a child."""
    _guarded.add(owner)
    _watch_the_process()


@cache
def _watch_the_process() -> None:
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)


def _hold() -> None:
    _forking.acquire()
    for owner in list(_guarded):
        for lock in owner.locks:
            lock.acquire()
            _held.append(lock)


def _let_go() -> None:
    while _held:
        _held.pop().release()
    _forking.release()
