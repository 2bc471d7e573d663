"""A time within which all of something is read, however its bytes come."""

from __future__ import annotations

import socket
from time import monotonic
from typing import Any

_NO_TIME = 1e-6  # seconds; none at all would mean "do not wait", which is no timeout


class InTime:
    """Has all reads within take no longer than the socket's timeout together: bytes may come one by one.

    Args:
        wire: the socket.
        raw: that reads from it.
    """

    __slots__ = ("_is_late", "_raw", "_read", "_seconds", "_until", "_wire")

    def __init__(self, wire: socket.socket, raw: Any) -> None:  # Any: no type of Python's lets a method be put in
        self._wire, self._raw, self._seconds = wire, raw, wire.gettimeout()

    def __enter__(self) -> None:
        if self._seconds is not None:
            self._until, self._is_late, self._read = monotonic() + self._seconds, False, self._raw.readinto
            self._raw.readinto = self._first

    def _first(self, buffer: memoryview) -> int | None:
        # Nearly always the only one: it has the socket's own timeout, which costs nothing.
        self._raw.readinto = self._further
        count: int | None = self._read(buffer)
        return count

    def _further(self, buffer: memoryview) -> int | None:
        self._is_late = True
        self._wire.settimeout(max(self._until - monotonic(), _NO_TIME))
        count: int | None = self._read(buffer)
        return count

    def __exit__(self, kind: object, *rest: object) -> None:
        if self._seconds is None or kind is not None:  # what went wrong ends the connection
            return
        del self._raw.readinto
        if self._is_late:
            self._wire.settimeout(self._seconds)
