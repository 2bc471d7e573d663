"""Whatever a backend raises is an outage."""

from __future__ import annotations

import logging

from ...errors import BackendUnavailable

logger = logging.getLogger("patmiddleware")


def unavailable(what: str, error: BaseException) -> BackendUnavailable:
    """Make an outage of whatever a backend raised: anything but an answer is "not known", and never "bad token"."""
    if isinstance(error, BackendUnavailable):
        return error
    logger.error("%s failed with an error that a backend must not raise", what, exc_info=error)
    return BackendUnavailable(f"{what} failed: {type(error).__name__}")
