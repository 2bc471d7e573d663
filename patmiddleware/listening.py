"""Listen for events on a thread of its own, for as long as somebody wants to hear of them.

No thread starts at import or construction: a server may fork after both. A forked child starts one of its own. A
connection that breaks is made again, and each time it is made, whatever came meanwhile counts as heard.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import TypeAlias
from weakref import WeakSet

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds before a broken connection is made again: the pause doubles with each failure."""
GATHER = 0.005
"""Seconds in which events count as one: a revocation of thousands must not make thousands ask."""

Heard: TypeAlias = Callable[[], None]

logger = logging.getLogger("patmiddleware")


class Listener:
    """Runs a function that listens, again and again.

    Args:
        name: of the thread, and in the log.
        listen: connects, calls its first argument once it hears and at each event, and returns soon after the second
            one gives True. Whatever it raises is logged once, and it is called again after a pause.
        heard: called for events, but no oftener than every few milliseconds.
    """

    __slots__ = ("__weakref__", "_ended", "_failing", "_heard", "_listen", "_lock", "_name", "_pause", "_thread")

    def __init__(self, name: str, listen: Callable[[Heard, Callable[[], bool]], None], heard: Heard) -> None:
        self._name, self._listen, self._heard = name, listen, heard
        self.begin_anew()
        _watch_the_process()
        _living.add(self)

    def begin_anew(self) -> None:
        """Start over in a forked child: the thread did not come along."""
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._failing, self._pause = False, FIRST_PAUSE

    @property
    def is_listening(self) -> bool:
        """Whether there is a thread that listens, or tries to."""
        return self._thread is not None

    def begin(self) -> None:
        """Start to listen, if that has not begun in this process. Never raises, and waits for nothing."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, args=(self._ended,), name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the system gives no more threads; the next call tries again
                    return
                self._thread = thread

    def end(self, timeout: float = 5.0) -> None:
        """Stop listening; a later ``begin`` starts again.

        Args:
            timeout: seconds to wait for the thread.
        """
        with self._lock:
            thread, self._thread = self._thread, None
            self._ended.set()
            self._ended = threading.Event()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self, ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                self._listen(lambda: self._hear(ended), ended.is_set)
            except Exception as error:  # events only shorten what polling does: whatever breaks them, go on
                if not self._failing and not ended.is_set():
                    # Not its words: they may name an address with a password.
                    logger.warning("%s: no events for now (%s); changes are still asked for", self._name, _kind(error))
                self._failing = True
            ended.wait(self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _hear(self, ended: threading.Event) -> None:
        if self._failing:
            logger.warning("%s: events come again", self._name)
        self._failing, self._pause = False, FIRST_PAUSE
        if not ended.is_set():
            self._heard()
            ended.wait(GATHER)


def _kind(error: BaseException) -> str:
    return type(error).__name__


_living: WeakSet[Listener] = WeakSet()


@cache
def _watch_the_process() -> None:
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=_begin_anew_in_child)


def _begin_anew_in_child() -> None:
    for listener in list(_living):
        listener.begin_anew()
