"""Ask the upstream something of our own, beside what clients ask, and take the whole answer."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import UpstreamError
from ..interfaces import Headers, Transport, UpstreamRequest

LARGEST = 65_536
"""Bytes that such an answer may have."""

_OURS = (("User-Agent", "patmiddleware"), ("Accept-Encoding", "identity"))


class Whole(NamedTuple):
    """An answer with all of its body."""

    status: int
    headers: Headers
    body: bytes

    def all(self, name: str) -> list[str]:
        """Give every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


def ask(transport: Transport, method: str, target: str, headers: Headers, body: bytes | None = None) -> Whole:
    """Send a request and read its answer to the end.

    Args:
        transport: to the upstream.
        method: an upper-case token.
        target: path, with the upstream's context path, and query; percent-encoded.
        headers: beside those that all our questions have.
        body: of the request, if it has one.

    Raises:
        UpstreamError: when there is no whole answer, or it is longer than :data:`LARGEST`.
        UpstreamTimeout: when it takes too long.
    """
    length = None if body is None else len(body)
    response = transport.send(UpstreamRequest(method, target, (*_OURS, *headers), body, length))
    try:
        read = bytearray()
        for piece in response.stream():
            read += piece
            if len(read) > LARGEST:
                raise UpstreamError(f"the upstream answers with more than {LARGEST} bytes where a few were asked for")
        return Whole(response.status, response.headers, bytes(read))
    finally:
        response.close()
