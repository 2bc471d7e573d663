"""How the head of an answer is read: strictly, and in a third of the time that :mod:`http.client` takes, or less."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import HTTPException, HTTPMessage, HTTPResponse, LineTooLong, UnknownProtocol
from typing import BinaryIO

LINE = 65_536
"""Bytes of the longest line."""
MOST = 200
"""Lines, at the most."""
_INTERIM = 10
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\n]*)\n")
_FOLD = re.compile(r"[ \t\r]*\n[ \t]+")
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
_BODILESS = frozenset((204, 304))  # RFC 9112, section 6.3
_SWITCHED = 101


class HeadError(HTTPException):
    """A head that can't be read in one way only."""


class StrictResponse(HTTPResponse):
    """A response of :mod:`http.client` that takes no head that two programs could read differently.

    A line that is no field, or that has a blank before its colon, ends it (RFC 9112, section 5.1); one that goes on on
    the next is made one (section 5.2). Interim answers are passed over (RFC 9110, section 15.2).
    """

    def begin(self) -> None:
        """Read the head.

        Raises:
            HTTPException: for one that is none, or too long.
        """
        for _ in range(_INTERIM):
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
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
        self.chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = self.length = None
        self.will_close = self._check_close()  # type: ignore[attr-defined]
        stated = self.headers.get("content-length", "")
        if self.status in _BODILESS or self._method == "HEAD":  # type: ignore[attr-defined]
            self.length = 0
        elif not self.chunked and _LENGTH.fullmatch(stated):
            self.length = int(stated)
        elif not self.chunked:
            self.will_close = True


def _version(version: str) -> int:
    """Give the version as :mod:`http.client` has it."""
    if not version.startswith("HTTP/1."):
        raise UnknownProtocol(version)
    return 10 if version == "HTTP/1.0" else 11


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
        yield found[1], found[2].strip(" \t\r")
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
