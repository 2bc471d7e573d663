"""The revision of a store, no older than a second."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic as _monotonic

from ...changes import here
from ...errors import BackendUnavailable
from ...interfaces import Revisioned, TokenReader
from ...model import CacheSettings
from .outages import unavailable
from .windows import ALWAYS, Clock, Window

logger = logging.getLogger("patmiddleware")

BOUND = 1.0
"""Seconds within which a change arrives: what a revision may be old, and what an answer about it may take."""


class Freshness:
    """Knows the revision of a store, no older than a second, and asks for it as seldom as that allows.

    Args:
        reader: one without ``revision()`` has always the same, but for changes made in this process.
        settings: ``poll`` and ``stale_while_error``.
        monotonic: seconds that never go back.

    Attributes:
        answer: the revision as it was last given.
        due: until when that answer serves.
        seen: the changes of this process that the answer counts in.
    """

    def __init__(self, reader: TokenReader, settings: CacheSettings, monotonic: Clock = _monotonic) -> None:
        self._ask = _Question(reader.revision) if isinstance(reader, Revisioned) else None
        self._settings, self._monotonic = settings, monotonic
        self._failures = 0
        self._failed = ""
        self.answer = 0
        self._answered = (float("-inf"), float("-inf"))
        self.due = Window(float("-inf"), 0.0) if self._ask else ALWAYS
        self.seen = here.count

    def revision(self, mono: float, wall: float) -> int:
        """Give the revision that entries must have.

        Args:
            mono: now, by the monotonic clock.
            wall: now, in seconds since the epoch.

        Raises:
            BackendUnavailable: when it is not known, and can't be asked for.
        """
        return self.answer if self.due.holds(mono, wall) and here.count == self.seen else self._refresh(wall)

    @property
    def _asking(self) -> threading.Lock:
        # Made when it is first needed: who asks waits, and gevent patches Python only in the worker that was forked.
        lock: threading.Lock = self.__dict__.setdefault("_lock", threading.Lock())
        return lock

    def age(self, wall: float) -> float:
        """Give the seconds since the last answer, by the clock that says more."""
        mono_then, wall_then = self._answered
        return max(self._monotonic() - mono_then, wall - wall_then)

    def serves(self, wall: float) -> bool:
        """Whether the last answer may still serve while the store can't be asked."""
        changed = here.count != self.seen
        if self._ask is None:
            return not changed
        return self.age(wall) < self._settings.stale_while_error + (0.0 if changed else BOUND)

    def _refresh(self, wall: float) -> int:
        # One thread asks. The others go on with the old answer, but not past the bound, nor after a change made here;
        # once it failed they go on as long as the last good state may serve, rather than queue for the next failure.
        overdue = self.age(wall) >= BOUND or here.count != self.seen
        must_wait = overdue and not (self._failed and self.serves(wall))
        failures = self._failures
        asking = self._asking
        # Whoever asks is done within the bound, but on a busy machine not to the moment.
        if not asking.acquire(must_wait, 2 * BOUND if must_wait else -1):
            if must_wait and not self.serves(wall):
                raise BackendUnavailable("the store's revision is still being asked for")
            return self.answer
        try:
            return self._ask_once(wall, failures)
        except BackendUnavailable:
            if self.serves(wall):
                return self.answer
            raise
        finally:
            asking.release()

    def _ask_once(self, wall: float, failures: int) -> int:
        if self.due.holds(self._monotonic(), wall) and here.count == self.seen:
            return self.answer
        if self._failed and self._failures > failures:
            # It failed while this one waited: a store that is down is not asked once more for everyone who waits.
            raise BackendUnavailable(self._failed)
        # Both as they were before: an answer may be as old as the question, and counts in no later change.
        began, announced = self._monotonic(), here.count
        try:
            answer = self.answer + 1 if self._ask is None else self._ask()
        except BackendUnavailable as error:
            self._failed, self._failures = str(error) or "the store is out of reach", self._failures + 1
            raise
        self._failed = ""
        # In this order: whoever sees that it is not due any more must see the answer.
        self.answer, self._answered, self.seen = answer, (began, wall), announced
        # The wall clock here is that of a request which may have waited: it only catches steps, so it has more time.
        self.due = Window(began + self._settings.poll, wall + BOUND) if self._ask else ALWAYS
        return answer


def watch(reader: TokenReader) -> None:
    """Have the events of a store listened to, if it has any. They only shorten what polling does."""
    events = getattr(reader, "events", None)
    if events is None:
        return
    try:
        events.watch()
    except Exception:  # it may be anybody's: the request goes on without it
        logger.exception("the store's events can't be listened to; changes are still asked for")


class _Question:
    """Asks on a thread of its own, so that a store that hangs holds nobody up for longer than the bound.

    While it hangs, it is not asked again: it holds one thread, however long that takes.
    """

    def __init__(self, ask: Callable[[], int]) -> None:
        self._ask = ask
        self._thread: threading.Thread | None = None

    def __call__(self) -> int:
        deadline = _monotonic() + BOUND
        if self._thread is not None:
            self._thread.join(BOUND)
            if self._thread.is_alive():
                raise BackendUnavailable("the store still does not give its revision")
        answers: list[int | BaseException] = []
        self._thread = self._started(answers)
        self._thread.join(max(0.0, deadline - _monotonic()))
        if not answers:
            raise BackendUnavailable(f"the store did not give its revision within {BOUND:g} s")
        [answer] = answers
        if isinstance(answer, BaseException):
            raise unavailable("the store's revision", answer) from answer
        return answer

    def _started(self, answers: list[int | BaseException]) -> threading.Thread:
        thread = threading.Thread(
            target=lambda: answers.append(self._answer()), name="patmiddleware revision", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system gives no more threads, or Python is on its way out
            raise BackendUnavailable("there is no thread to ask the store for its revision on") from error
        return thread

    def _answer(self) -> int | BaseException:
        try:
            revision = self._ask()
            if not isinstance(revision, int):
                raise TypeError(f"revision() must give an int, not {type(revision).__name__}")
        except BaseException as error:  # on this thread nobody else would hear of it
            return error
        return revision
