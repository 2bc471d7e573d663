"""A stand-in for an LDAP server, which answers each request as its script says: late, never, by half, or wrongly.

Messages are written in BER by hand (RFC 4511): no library would write the wrong ones.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, TypeAlias

BIND, UNBIND, SEARCH, EXTENDED = 0x60, 0x42, 0x63, 0x77
BOUND, ENTRY, DONE, REFERENCE, EXTENDED_DONE = 0x61, 0x64, 0x65, 0x73, 0x78

Answer: TypeAlias = Callable[[int, bytes], "bytes | None"]
"""From a message's number and the whole request to what is sent; None: nothing."""

Values: TypeAlias = Mapping[str, Iterable[str | bytes]]


class HangUp(Exception):
    """Raised by an answer: the connection is closed, after these bytes."""

    def __init__(self, last: bytes = b"") -> None:
        self.last = last


def ber(tag: int, content: bytes) -> bytes:
    """Give an element."""
    size = len(content)
    lengths = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([size]) if size < 128 else bytes([0x80 | len(lengths)]) + lengths) + content


def octets(value: str | bytes, tag: int = 0x04) -> bytes:
    """Give a string."""
    return ber(tag, value.encode() if isinstance(value, str) else value)


def message(number: int, operation: bytes) -> bytes:
    """Give a whole message."""
    return ber(0x30, ber(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big")) + operation)


def result(tag: int, code: int = 0, more: bytes = b"") -> bytes:
    """Give a result of an operation, with a code of RFC 4511."""
    return ber(tag, ber(0x0A, code.to_bytes(2, "big")) + octets("") + octets("") + more)


def entry(dn: str, values: Values) -> bytes:
    """Give an entry that was found."""
    lists = (octets(name) + ber(0x31, b"".join(map(octets, each))) for name, each in values.items())
    return ber(ENTRY, octets(dn) + ber(0x30, b"".join(ber(0x30, each) for each in lists)))


def found(number: int, dn: str, values: Values) -> bytes:
    """Give the whole answer to a search that finds one entry."""
    return message(number, entry(dn, values)) + message(number, result(DONE))


NOTICE = message(0, result(EXTENDED_DONE, 52, octets("1.3.6.1.4.1.1466.20036", 0x8A)))
"""The notice of disconnection."""


class LDAPStandIn:
    """A server on loopback, from ``__enter__`` to ``__exit__``; without a script for it, a bind succeeds.

    Args:
        answers: by the tag of the request.
        tls: begin with it.

    Attributes:
        asked: tags of the requests, in their order.
    """

    def __init__(self, answers: Mapping[int, Answer], tls: ssl.SSLContext | None = None) -> None:
        self._answers = {BIND: lambda number, _: message(number, result(BOUND)), **answers}
        self._tls, self.asked = tls, list[int]()
        self._sockets, self._threads = list[socket.socket](), list[threading.Thread]()

    def __enter__(self) -> LDAPStandIn:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"ldap{'s' if self._tls else ''}://127.0.0.1:{self._listening.getsockname()[1]}"
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._listening, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listening.close()

    def in_clear(self, record: bytes) -> None:
        """Send bytes on the last connection beneath its TLS."""
        os.write(self._last, record)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                plain, _ = self._listening.accept()
                self._sockets.append(plain)
                self._start(self._serve, plain)

    def _serve(self, plain: socket.socket) -> None:
        with plain, suppress(OSError):
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            self._last = connection.fileno()
            with connection, connection.makefile("rb") as requests:
                try:
                    while (request := _read(requests)) and request[1] != UNBIND:
                        number, tag, body = request
                        self.asked.append(tag)
                        connection.sendall(self._answers[tag](number, body) or b"")
                except HangUp as last:
                    connection.sendall(last.last)


def _read(requests: BinaryIO) -> tuple[int, int, bytes] | None:
    """Give a request's number, tag, and all of it behind the number."""
    head = requests.read(2)
    if len(head) < 2:
        return None
    size = int.from_bytes(requests.read(head[1] & 0x7F), "big") if head[1] & 0x80 else head[1]
    body = requests.read(size)
    rest = body[2 + body[1] :]
    return int.from_bytes(body[2 : 2 + body[1]], "big"), rest[0], rest
