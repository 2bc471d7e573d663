"""What the audit hears of the way to the upstream: one line for each request that went on, and for each that could not.

What somebody has to mend stands in the log as well, for those who have no audit.

``forwarded`` has the upstream's status and the milliseconds to the end of the answer; ``forward.failed`` and
``link.broken`` say ``why``. The line of the decision has the same ``request_id``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..annotate import Environ
from ..audit import AuditLog
from ..errors import UpstreamError
from ..interfaces import Caller
from .answers import request_id

logger = logging.getLogger("patmiddleware")


class Records:
    """Writes the audit lines of one forwarder.

    Args:
        audit: None: nothing is written.
        upstream: its address.
        clock: seconds since the epoch.
    """

    def __init__(self, audit: AuditLog | None, upstream: str, clock: Callable[[], float]) -> None:
        self._audit, self._upstream, self._clock = audit, upstream, clock

    def forwarded(
        self, environ: Environ, caller: Caller | None, status: int, began: float, error: UpstreamError | None
    ) -> None:
        """Tell of an answer that is at its end, or broke off."""
        if error is not None:
            logger.warning("an answer broke off: %s", error)
        if self._audit is None:
            return
        took = round((self._clock() - began) * 1000, 3)
        self._write("forwarded", environ, caller, status=status, ms=took, why=None if error is None else str(error))

    def failed(self, environ: Environ, caller: Caller | None, why: str) -> None:
        """Tell of a request that could not be sent, or was not answered."""
        logger.warning("a request could not be forwarded: %s", why)
        self._write("forward.failed", environ, caller, why=why)

    def broken(self, environ: Environ, caller: Caller | None, why: str) -> None:
        """Tell that an owner can't be anybody at the upstream, until somebody mends it."""
        owner = "nobody" if caller is None else caller.grant.owner
        logger.warning("the link to %s is broken for %s: %s", self._upstream, owner, why)
        self._write("link.broken", environ, caller, why=why)

    def _write(self, name: str, environ: Environ, caller: Caller | None, **more: str | float | None) -> None:
        if self._audit is None:
            return
        grant = None if caller is None else caller.grant
        self._audit.event(
            self._clock(),
            name,
            owner=None if grant is None else grant.owner,
            token=None if grant is None else grant.token_id,
            method=environ["REQUEST_METHOD"],
            path=environ.get("PATH_INFO", ""),
            request_id=request_id(environ),
            upstream=self._upstream,
            **more,
        )
