"""How an answer's head and chunks are read: strictly, and a head in a third of :mod:`http.client`'s time, or less."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from http.client import (
    BadStatusLine,
    HTTPException,
    HTTPMessage,
    HTTPResponse,
    LineTooLong,
    RemoteDisconnected,
    UnknownProtocol,
)
from io import BytesIO
from typing import Any, BinaryIO

from .intime import InTime

LINE = 65_536
"""Bytes of the longest line."""
MOST = 200
"""Lines, at the most."""
_INTERIM = 10
_STATUS = re.compile(rb"(HTTP/[0-9]\.[0-9]) ([1-5][0-9][0-9])(?: ([^\r\n]*))?\r?\n")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\n]*)\n")
_FOLD = re.compile(r"[ \t\r]*\n[ \t]+")
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
BODILESS = frozenset((204, 304))
"""What ends with its head, whatever that says (RFC 9112, section 6.3)."""
_EMPTY = 204
_SWITCHED = 101
_KEPT = 11
"""The version that keeps connections, as :mod:`http.client` has it."""
_SHOWN = 80  # characters of a line that is none, in a message


class HeadError(HTTPException):
    """A head that can't be read in one way only."""


class StrictResponse(HTTPResponse):
    """A response of :mod:`http.client` that takes no head that two programs could read differently.

    A line that is no field, or that has a blank before its colon, ends it (RFC 9112, section 5.1); one that goes on on
    on the next is made one (section 5.2). Interim answers are passed over (RFC 9110, section 15.2).

    A connection that brings more than the answer, or whose server contradicts itself, carries no other one.
    """

    # What urllib3's pool sets, and logs, of an answer.
    _pool: Any = None  # Any: its methods for connections are not public
    _connection: Any = None
    version_string, length_remaining = "HTTP/1.1", None
    _brings_more = False

    def __init__(self, sock: socket.socket, *rest: Any, **more: Any) -> None:  # Any: as http.client has them
        super().__init__(sock, *rest, **more)
        self._wire = sock

    def begin(self) -> None:
        """Read the head.

        Raises:
            HTTPException: for one that is none, or too long.
            TimeoutError: when the whole of it is not there within the socket's timeout.
        """
        version, status, reason, message = self._head()
        self.code, self.status, self.reason = status, status, reason.strip()
        self.version = _version(version)
        self.headers = self.msg = message
        self._frame()

    def _head(self) -> tuple[str, int, str, HTTPMessage]:
        for _ in range(_INTERIM):
            with InTime(self._wire, self.fp.raw):
                version, status, reason = _status(self.fp)
                message = _message(self.fp)
            if not 100 <= status < 200 or status == _SWITCHED:
                return version, status, reason, message
        raise HeadError("too many interim answers")

    def _read_status(self) -> tuple[str, int, str]:
        """Read what a proxy says to CONNECT, for the rest of which http.client has no bound."""
        version, status, reason, _ = self._head()
        self.fp.close()
        self.fp = BytesIO(b"\r\n")  # type: ignore[assignment]  # all that is left of it
        return version, status, reason

    def free(self, *, is_done: bool) -> None:
        """Give the connection back to its pool, closed where something of the answer may still come over it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        place = None
        try:
            self.close()  # raises while another greenlet reads
            if self._brings_more or not is_done:
                connection.close()
            place = connection
        finally:
            self._pool._put_conn(place)

    def _get_chunk_left(self) -> int | None:
        """Give the bytes that are left of a chunk, of the next one after its end; None: that was the last.

        Raises:
            HTTPException: where there is no end, or no size (RFC 9112, section 7.1).
            TimeoutError: when the size is not there within the socket's timeout.
        """
        if self.chunk_left:
            return self.chunk_left
        with InTime(self._wire, self.fp.raw):
            self.chunk_left = self._next_size() or None
        if self.chunk_left is None:
            self._close_conn()
        return self.chunk_left

    def _next_size(self) -> int:
        """Read up to the first byte of the next chunk, or the end: what follows the last one is not passed on."""
        if self.chunk_left is not None and self.fp.read(2) != b"\r\n":
            raise HeadError("a chunk does not end where its size says")
        found = _SIZE.fullmatch(self.fp.readline(LINE + 1))
        if found is None:
            raise HeadError("a chunk has no size")
        size = int(found[1], 16)
        if size == 0:
            _block(self.fp)
        return size

    def _frame(self) -> None:
        """Say where the body ends. Whether it is said in one way only, the transport judges."""
        coding, stated = self.headers.get("transfer-encoding"), self.headers.get("content-length", "")
        self.chunked = coding is not None and coding.lower() == "chunked"
        self.chunk_left = self.length = None
        # Both, or chunks of HTTP/1.0, may be meant to end in another place (RFC 9112, sections 6.1 and 6.3).
        doubtful = coding is not None and (stated != "" or self.version < _KEPT or self.status == _EMPTY)
        doubtful = doubtful or (self.status == _EMPTY and stated not in ("", "0"))  # RFC 9110, section 8.6
        # It may stand on several lines, of which http.client reads one, or beside what keeps connections of HTTP/1.0.
        is_last = self.status == _SWITCHED or "close" in ",".join(self.headers.get_all("connection", ())).lower()
        self.will_close = doubtful or is_last or self._check_close()  # type: ignore[attr-defined]
        if self.status in BODILESS or self._method == "HEAD":  # type: ignore[attr-defined]
            self.chunked, self.length = False, 0
        elif not self.chunked and _LENGTH.fullmatch(first := stated.partition(",")[0].strip(" \t")):
            self.length = int(first)
        elif not self.chunked:
            self.will_close = True
            if hasattr(self._wire, "suppress_ragged_eofs"):  # the end of TLS alone says that it is whole (section 9.8)
                self._wire.suppress_ragged_eofs = False

    def _close_conn(self) -> None:
        """Let go of what is read from, and remember whether more than the answer came."""
        self._brings_more = not self.will_close and self._has_more()
        super()._close_conn()  # type: ignore[misc]

    def _has_more(self) -> bool:
        """Say whether bytes were read too many; what the system still holds urllib3 sees before it sends again."""
        if _held(self._wire):
            return True
        self.fp.raw.readinto = _nothing  # type: ignore[method-assign]  # the buffer alone is asked: no system call
        return bool(self.fp.peek(1))


def _nothing(buffer: object) -> None:
    """Read nothing, as where there is nothing yet."""


def _held(wire: Any) -> int:  # Any: a socket, or what urllib3 has for TLS within that of a proxy
    """Give the bytes that TLS has taken in, which nobody else sees."""
    if hasattr(wire, "incoming"):
        return int(wire.incoming.pending + wire.sslobj.pending() + wire.socket.pending())
    return int(wire.pending()) if hasattr(wire, "pending") else 0


def _status(file: BinaryIO) -> tuple[str, int, str]:
    """Read the first line (RFC 9112, section 4)."""
    line = file.readline(LINE + 1)
    if not line:
        raise RemoteDisconnected("the server closed the connection without an answer")
    if len(line) > LINE:
        raise LineTooLong("status line")
    found = _STATUS.fullmatch(line)
    if found is None:
        raise BadStatusLine(line[:_SHOWN].decode("latin-1"))
    return found[1].decode(), int(found[2]), (found[3] or b"").decode("latin-1")


def _version(version: str) -> int:
    """Give the version as :mod:`http.client` has it."""
    if not version.startswith("HTTP/1."):
        raise UnknownProtocol(version)
    return 10 if version == "HTTP/1.0" else _KEPT


def _message(file: BinaryIO) -> HTTPMessage:
    message = HTTPMessage()
    for name, value in fields(_block(file)):
        message.set_raw(name, value)
    return message


def fields(block: str) -> Iterator[tuple[str, str]]:
    """Give the fields of a head, whose lines each end as a line does.

    Raises:
        HeadError: for a line that is none.
    """
    if "\n " in block or "\n\t" in block:
        block = _FOLD.sub(" ", block)
    end = 0
    for found in _FIELD.finditer(block):
        if found.start() != end:
            break
        end = found.end()
        yield found[1], found[2].removesuffix("\r").strip(" \t")
    if end != len(block):
        raise HeadError("a line of the head is no header")


def _block(file: BinaryIO) -> str:
    """Read the lines up to the empty one."""
    lines: list[bytes] = []
    while len(lines) < MOST:
        line = file.readline(LINE + 1)
        if line in (b"\r\n", b"\n"):
            return b"".join(lines).decode("latin-1")
        if len(line) > LINE:
            raise LineTooLong("header")
        if not line.endswith(b"\n"):
            raise HeadError("the head is cut short")
        lines.append(line)
    raise HeadError(f"the head has more than {MOST} lines")
