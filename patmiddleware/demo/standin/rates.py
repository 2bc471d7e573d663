"""How many requests a user may make, and how Jira Data Center tells it with each answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from threading import Lock

from werkzeug import Response

from .call import answer
from .model import User

INTERVAL = 60
"""Seconds after which all requests may be made anew."""


class Rates:
    """Counts requests; safe to share between threads.

    Args:
        limit: requests of a user in each interval; None: any number.
        clock: gives the time, in UTC.
    """

    def __init__(self, limit: int | None, clock: Callable[[], datetime]) -> None:
        self._limit, self._clock = limit, clock
        self._made: Counter[str] = Counter()
        self._interval, self._lock = 0, Lock()

    def take(self, user: User | None) -> tuple[dict[str, str], Response | None]:
        """Count a request, and give the headers that go with its answer, and the refusal of one too many."""
        if self._limit is None or user is None:
            return {}, None
        with self._lock:
            interval, since = divmod(int(self._clock().timestamp()), INTERVAL)
            if interval != self._interval:
                self._interval = interval
                self._made.clear()
            self._made[user.name] += 1
            left = self._limit - self._made[user.name]
        headers = _headers(self._limit, max(left, 0), INTERVAL - since if left < 0 else 0)
        return headers, None if left >= 0 else answer({"message": "Rate limit exceeded."}, 429)


def _headers(limit: int, left: int, wait: int) -> dict[str, str]:
    told = {"Limit": limit, "Remaining": left, "FillRate": limit, "Interval-Seconds": INTERVAL}
    return {f"X-RateLimit-{name}": str(value) for name, value in told.items()} | {"Retry-After": str(wait)}
