"""How the head of an answer is read: strictly, and in a third of the time that :mod:`http.client` takes, or less."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import (
    BadStatusLine,
    HTTPException,
    HTTPMessage,
    HTTPResponse,
    LineTooLong,
    RemoteDisconnected,
    UnknownProtocol,
)
from typing import Any, BinaryIO

LINE = 65_536
"""Bytes of the longest line."""
MOST = 200
"""Lines, at the most."""
_INTERIM = 10
_STATUS = re.compile(rb"(HTTP/[0-9]\.[0-9]) ([1-9][0-9][0-9])(?: ([^\r\n]*))?\r?\n")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\n]*)\n")
_FOLD = re.compile(r"[ \t\r]*\n[ \t]+")
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
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

    def __init__(self, sock: socket.socket, *rest: Any, **more: Any) -> None:  # Any: as http.client has them
        super().__init__(sock, *rest, **more)
        self._wire = sock

    def begin(self) -> None:
        """Read the head.

        Raises:
            HTTPException: for one that is none, or too long.
        """
        for _ in range(_INTERIM):
            version, status, reason = _status(self.fp)
            message = _message(self.fp)
            if not 100 <= status < 200 or status == _SWITCHED:
                break
        else:
            raise HeadError("too many interim answers")
        self.code, self.status, self.reason = status, status, reason.strip()
        self.version = _version(version)
        self.headers = self.msg = message
        self._frame()

    def _frame(self) -> None:
        """Say where the body ends. Whether it is said in one way only, the transport judges."""
        coding, stated = self.headers.get("transfer-encoding"), self.headers.get("content-length", "")
        self.chunked = coding is not None and coding.lower() == "chunked"
        self.chunk_left = self.length = None
        # Both, or chunks of HTTP/1.0, may be meant to end in another place (RFC 9112, sections 6.1 and 6.3).
        doubtful = coding is not None and (stated != "" or self.version < _KEPT or self.status == _EMPTY)
        doubtful = doubtful or (self.status == _EMPTY and stated not in ("", "0"))  # RFC 9110, section 8.6
        self.will_close = doubtful or self._check_close()  # type: ignore[attr-defined]
        if self.status in BODILESS or self._method == "HEAD":  # type: ignore[attr-defined]
            self.chunked, self.length = False, 0
        elif not self.chunked and _LENGTH.fullmatch(stated):
            self.length = int(stated)
        elif not self.chunked:
            self.will_close = True

    def _close_conn(self) -> None:
        """Let go of the socket; where more than the answer came, nobody gets to read from it any more."""
        if not self.will_close and self._has_more():
            with suppress(OSError):
                self._wire.shutdown(socket.SHUT_RDWR)  # urllib3 looks for that before it sends on it
        super()._close_conn()  # type: ignore[misc]

    def _has_more(self) -> bool:
        """Say whether bytes were read too many; what the system still holds urllib3 sees before it sends again."""
        if getattr(self._wire, "pending", _none)():  # what TLS holds is seen by nobody else
            return True
        self.fp.raw.readinto = _nothing  # type: ignore[method-assign]  # the buffer alone is asked: no system call
        return bool(self.fp.peek(1))


def _nothing(buffer: object) -> None:
    """Read nothing, as where there is nothing yet."""


def _none() -> int:
    return 0


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
