"""One look-up of a thing at a time, however many ask for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Generic

from ...errors import BackendUnavailable
from .windows import K, V

RECENT = 1.0
"""Seconds before a request came in which a look-up may have begun whose result it takes."""
FLIGHT = 30.0
"""Seconds for which a request waits for another one's look-up of the same thing."""


class _Flight:
    """One look-up under way, and those who wait for it."""

    __slots__ = ("failed", "failures", "landed", "lock", "waiting")

    def __init__(self) -> None:
        self.lock, self.waiting, self.failures = threading.Lock(), 0, 0
        self.landed: tuple[float, object] | None = None
        self.failed: BackendUnavailable | None = None


class Turn(Generic[V]):
    """Being the one that looks a thing up.

    Attributes:
        found: what the look-up found that this one waited for, though it may be kept no longer; else None.
        later: whether that look-up began after this one came, and so is as fresh as one of its own.
    """

    def __init__(self, flight: _Flight, joined: float) -> None:
        self._flight, self._began = flight, monotonic()
        # What was asked for long before this one came says nothing about now.
        recent = flight.landed is not None and joined - flight.landed[0] < RECENT
        self.found: V | None = flight.landed[1] if recent and flight.landed else None  # type: ignore[assignment]
        self.later = flight.landed is not None and joined <= flight.landed[0]

    def land(self, found: V) -> V:
        """Hand what was found to those who wait."""
        self._flight.landed = (self._began, found)
        return found


class Flights(Generic[K, V]):
    """Lets one thread at a time look a thing up; the others wait for it, and take what it found.

    Args:
        patience: seconds for which they wait.
    """

    def __init__(self, patience: float = FLIGHT) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._flights: dict[K, _Flight] = {}

    @contextmanager
    def of(self, key: K) -> Iterator[Turn[V]]:
        """Be the only one within for this key.

        Raises:
            BackendUnavailable: when the one within takes too long, or failed while this one waited: a backend that is
                down is not asked once more for everyone who waits.
        """
        joined = monotonic()
        with self._lock:
            flight = self._flights.setdefault(key, _Flight())
            flight.waiting += 1
            failures = flight.failures
        try:
            self._enter(flight, failures)
            try:
                yield Turn(flight, joined)
            except BackendUnavailable as error:
                flight.failed, flight.failures = error, flight.failures + 1
                raise
            finally:
                flight.lock.release()
        finally:
            with self._lock:
                flight.waiting -= 1
                if not flight.waiting:
                    del self._flights[key]

    def _enter(self, flight: _Flight, failures: int) -> None:
        if not flight.lock.acquire(timeout=self._patience):
            raise BackendUnavailable("another look-up of the same takes too long")
        if flight.failures > failures:
            flight.lock.release()
            raise BackendUnavailable(str(flight.failed)) from flight.failed
