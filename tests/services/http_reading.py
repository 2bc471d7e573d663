"""Reads HTTP/1.1 strictly: the head of a request, and a body that ends where the request does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BufferedReader, RawIOBase
from typing import Any

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
LIMIT = 65_536
"""Bytes of the longest head, and of a piece of a body."""


class Malformed(Exception):
    """What came is not HTTP, or could be read in two ways."""


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body.

    Args:
        method: as it came.
        target: as it came.
        minor: of the version, 0 or 1.
        headers: pairs of name and value, as they came.
    """

    method: str
    target: str
    minor: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    def all(self, name: str) -> list[str]:
        """Give every value of a header."""
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def length(self) -> int | None:
        """Bytes of the body; None: it comes in chunks."""
        lengths, codings = self.all("content-length"), self.all("transfer-encoding")
        if codings:
            if lengths or codings != ["chunked"] or not self.minor:
                raise Malformed("framed in two ways, or in an unknown one")
            return None
        if len(lengths) > 1 or not all(text.isascii() and text.isdigit() for text in lengths):
            raise Malformed("no single length")
        return int(lengths[0]) if lengths else 0

    @property
    def waits(self) -> bool:
        """Whether the client waits for a word before it sends the body."""
        return [value.lower() for value in self.all("expect")] == ["100-continue"]

    @property
    def is_last(self) -> bool:
        """Whether the connection is to end after the answer."""
        options = {option.strip().lower() for value in self.all("connection") for option in value.split(",")}
        return "close" in options or (not self.minor and "keep-alive" not in options)


def read_head(stream: BufferedReader) -> Head | None:
    """Read up to the empty line; None where nothing comes any more.

    Raises:
        Malformed: when it is not HTTP.
    """
    first = stream.readline(LIMIT)
    if not first:
        return None
    lines = [first]
    while lines[-1] != b"\r\n":
        if not lines[-1].endswith(b"\r\n") or sum(map(len, lines)) > LIMIT:
            raise Malformed("a line that does not end, or too many")
        lines.append(stream.readline(LIMIT))
    line = _LINE.fullmatch(first[:-2])
    pairs = [_HEADER.fullmatch(text[:-2]) for text in lines[1:-1]]
    if line is None or not all(pairs):
        raise Malformed("not HTTP")
    headers = tuple((pair[1].decode("latin-1"), pair[2].decode("latin-1")) for pair in pairs if pair)
    head = Head(line[1].decode(), line[2].decode("latin-1"), int(line[3]), headers)
    if head.minor and len(head.all("host")) != 1:
        raise Malformed("no single Host")
    return head


class Body(RawIOBase):
    """The body of a request; ends where the request does.

    Args:
        stream: of the connection.
        length: in bytes; None: it comes in chunks.
        proceed: called before the first byte is read.
    """

    def __init__(self, stream: BufferedReader, length: int | None, proceed: Callable[[], None]) -> None:
        self._stream, self._proceed = stream, proceed
        self._chunked, self._left = length is None, length or 0
        self._begun = self.ended = length == 0
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.ended:
            return 0
        if not self._begun:
            self._begun = True
            self._proceed()
        if self._chunked and not self._left:
            self._left = self._next_chunk()
        if not self._left:
            self.ended = True
            return 0
        data = self._stream.read1(min(len(buffer), self._left))
        if not data:
            raise ConnectionError("the body ends too early")
        buffer[: len(data)] = data
        self._left -= len(data)
        self.taken += len(data)
        if not self._left:
            self._finish()
        return len(data)

    def _next_chunk(self) -> int:
        line = self._stream.readline(LIMIT)
        if not line:
            raise ConnectionError("the body ends too early")
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}\r\n", line):
            raise Malformed("not the size of a chunk")
        size = int(line, 16)
        if not size and self._stream.readline(LIMIT) != b"\r\n":
            raise Malformed("something after the last chunk")
        return size

    def _finish(self) -> None:
        if not self._chunked:
            self.ended = True
        elif self._stream.read(2) != b"\r\n":
            raise Malformed("a chunk that is longer than it says")
