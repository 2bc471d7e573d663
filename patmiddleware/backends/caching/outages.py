"""Whatever a backend raises is an outage."""

from __future__ import annotations

import logging
from traceback import format_tb

from ...errors import BackendUnavailable

logger = logging.getLogger("patmiddleware")


def unavailable(what: str, error: BaseException) -> BackendUnavailable:
    """Make an outage of whatever a backend raised: anything but an answer is "not known", and never "bad token"."""
    if isinstance(error, BackendUnavailable):
        return error
    # Not its words, nor its causes': a KeyError of a dictionary of tokens has the token in it.
    where = "".join(format_tb(error.__traceback__))
    logger.error("%s failed with an error that a backend must not raise: %s\n%s", what, type(error).__name__, where)
    return BackendUnavailable(f"{what} failed: {type(error).__name__}")
