"""A handler of :mod:`logging` as the place where the lines of the audit log go."""

from __future__ import annotations

import logging
from threading import get_ident


class LineLost(Exception):
    """A destination took the first of the lines, and lost it: to write it again would be no help."""


class HandlerSink:
    """A handler of the standard library: syslog, rotating files, the journal …

    What a handler can't write it does not raise but hands to its own ``handleError``, which is where it is noticed.
    """

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler
        self._thread: int | None = None  # which hands a line over just now; others may use the handler, too
        self._lost = False
        self._handle_error = handler.handleError
        handler.handleError = self._notice  # type: ignore[method-assign]

    def _notice(self, record: logging.LogRecord) -> None:
        self._lost = self._lost or self._thread == get_ident()
        self._handle_error(record)

    def write(self, lines: list[str]) -> int:
        # One at a time: what comes before a line that makes the handler raise must not be written again.
        self._thread, self._lost = get_ident(), False
        try:
            self._handler.handle(_record(lines[0]))
        finally:
            self._thread = None
        if self._lost:
            raise LineLost(f"{type(self._handler).__name__} could not write a line")
        return 1

    def close(self) -> None:
        self._handler.flush()

    def leave(self) -> None:
        """Give the handler another lock where it hangs: with this one :mod:`logging` would wait for it at exit."""
        if self._thread is not None:
            self._handler.createLock()


def _record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "patmiddleware.audit", "levelno": logging.INFO, "levelname": "INFO", "msg": text.rstrip("\n")}
    )
