"""A handler of :mod:`logging` as the place where the lines of the audit log go."""

from __future__ import annotations

import logging


class LineLost(Exception):
    """A destination took the first of the lines, and lost it: to write it again would be no help."""


class HandlerSink:
    """A handler of the standard library: syslog, rotating files, the journal …

    What a handler can't write it does not raise but hands to its own ``handleError``, which is where it is noticed.
    """

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler
        self._record: logging.LogRecord | None = None
        self._lost = False
        self._handle_error = handler.handleError
        handler.handleError = self._notice  # type: ignore[method-assign]

    def _notice(self, record: logging.LogRecord) -> None:
        self._lost = self._lost or record is self._record
        self._handle_error(record)

    def write(self, lines: list[str]) -> int:
        # One at a time: what comes before a line that makes the handler raise must not be written again.
        self._record, self._lost = _record(lines[0]), False
        self._handler.handle(self._record)
        self._record = None
        if self._lost:
            raise LineLost(f"{type(self._handler).__name__} could not write a line")
        return 1

    def close(self) -> None:
        self._handler.flush()

    def leave(self) -> None:
        """Give the handler another lock where it hangs: with this one :mod:`logging` would wait for it at exit."""
        if self._record is not None:
            self._handler.createLock()


def _record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "patmiddleware.audit", "levelno": logging.INFO, "levelname": "INFO", "msg": text.rstrip("\n")}
    )
