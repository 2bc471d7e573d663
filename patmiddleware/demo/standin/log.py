"""What reached the stand-in, kept for those who want to know: tests of what stands before it.

A server may put what it read into the environ, and then the log has exactly that:

==================  ====================================================================================
``standin.target``  the target of the request line, as it came
``standin.headers``  pairs of name and value, as they came: every header, in order, with its own spelling
==================  ====================================================================================

Otherwise both are put together from what WSGI has.
"""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream, WSGIEnvironment

KEPT = 4_096
"""Bytes of a body that are kept."""
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Seen:
    """A request that reached the stand-in.

    Args:
        method: as it came.
        target: of the request line, as it came: path and query.
        headers: pairs of name and value, as they came.
        user: whom the stand-in took the caller for; None for an anonymous one.
        how: what told it: ``gate``, ``session``, ``basic``, ``bearer``, ``oauth``, ``parameters`` or ``anonymous``.
        status: of the answer; 0 where the request broke off before there was one.
        length: bytes of the body that came.
        body: the first of them, at most :data:`KEPT`.
    """

    method: str
    target: str
    headers: Pairs
    user: str | None
    how: str
    status: int
    length: int
    body: bytes

    def __repr__(self) -> str:
        # Secrets may stand in the query, the headers and the body.
        return f"<Seen {self.method} {self.path} as {self.user} by {self.how}: {self.status}>"

    def all(self, name: str) -> list[str]:
        """Give every value of a header, whatever the case of its name."""
        return [value for key, value in self.headers if key.casefold() == name.casefold()]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def as_json(self) -> dict[str, Any]:  # JSON has values of every kind
        """Give it as JSON has it; the body in base64."""
        names = ("method", "target", "headers", "user", "how", "status", "length")
        return {name: getattr(self, name) for name in names} | {"body": b64encode(self.body).decode()}


class Log:
    """What reached the stand-in, oldest first; safe to share between threads.

    Args:
        size: how many requests are kept; older ones are forgotten.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._entries: deque[Seen] = deque(maxlen=size)
        self._lock = Lock()

    def __iter__(self) -> Iterator[Seen]:
        with self._lock:
            return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, at: int) -> Seen:
        with self._lock:
            return self._entries[at]

    def add(self, seen: Seen) -> None:
        """Keep a request."""
        with self._lock:
            self._entries.append(seen)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries.clear()


class Counted:
    """The body of a request, which remembers how much of it was read, and how it begins.

    Args:
        stream: the body.
    """

    def __init__(self, stream: InputStream) -> None:
        self._stream = stream
        # What is there already is given at once: it counts even if nothing more comes.
        self._read = getattr(stream, "read1", stream.read)
        self.length = 0
        self.begin = b""

    def _count(self, data: bytes) -> bytes:
        self.length += len(data)
        if len(self.begin) < KEPT:
            self.begin += data[: KEPT - len(self.begin)]
        return data

    def read(self, size: int = -1, /) -> bytes:
        """Read at most so many bytes, perhaps fewer; all where no size is given."""
        if size >= 0:
            return self._count(self._read(size))
        return b"".join(iter(lambda: self._count(self._read(65_536)), b""))

    def readline(self, size: int = -1, /) -> bytes:
        """Read a line."""
        return self._count(self._stream.readline(size))

    def readlines(self, hint: int = -1, /) -> list[bytes]:
        """Read all lines."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline(65_536):
            yield line


def target_of(environ: WSGIEnvironment) -> str:
    """Give the target of a request line."""
    for name in ("standin.target", "RAW_URI", "REQUEST_URI"):
        if name in environ:
            return str(environ[name])
    path = quote(f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}", safe="/", encoding="latin-1")
    query = environ.get("QUERY_STRING")
    return f"{path}?{query}" if query else path


def headers_of(environ: WSGIEnvironment) -> Pairs:
    """Give the headers of a request."""
    if "standin.headers" in environ:
        return tuple(environ["standin.headers"])
    return tuple(_rebuilt(environ.items()))


def _rebuilt(items: Iterable[tuple[str, object]]) -> Iterator[tuple[str, str]]:
    for key, value in items:
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            yield key.replace("_", "-").title(), str(value)
        elif key.startswith("HTTP_"):
            yield key.removeprefix("HTTP_").replace("_", "-").title(), str(value)
