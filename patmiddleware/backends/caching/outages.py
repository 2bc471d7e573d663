"""Whatever a backend raises is an outage."""

from __future__ import annotations

import logging
from traceback import format_tb

from ...errors import BackendUnavailable

QUIET = 10.0
"""Seconds for which the same outage is not logged again, however many requests meet it."""

logger = logging.getLogger("patmiddleware")
_told: dict[str, float] = {}


def unavailable(what: str, error: BaseException) -> BackendUnavailable:
    """Make an outage of whatever a backend raised: anything but an answer is "not known", and never "bad token"."""
    if isinstance(error, BackendUnavailable):
        return error
    # Not its words, nor its causes': a KeyError of a dictionary of tokens has the token in it.
    where = "".join(format_tb(error.__traceback__))
    logger.error("%s failed with an error that a backend must not raise: %s\n%s", what, type(error).__name__, where)
    return BackendUnavailable(f"{what} failed: {type(error).__name__}")


def told(outage: BackendUnavailable, wall: float) -> None:
    """Log an outage that a request met: the client hears only that it should come again.

    Args:
        outage: whose words are fit for a log; they hold no secret.
        wall: now, in seconds since the epoch.
    """
    words = str(outage)
    if abs(wall - _told.get(words, float("-inf"))) < QUIET:
        return
    if len(_told) > 100:  # words may hold a number
        _told.clear()
    _told[words] = wall
    logger.error("requests are answered with 503: %s", words)
