"""An answer on its way to the client: its headers, its body in pieces, and the connection that is let go of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from math import inf
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import UpstreamError
from ..interfaces import Caller, UpstreamResponse
from .exchange import Exchange
from .headers import downward, value_of
from .links import OF_THE_BYTES, Links, is_gzip, names_json
from .records import Records

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse


SMALL = 65_536
"""Bytes of an answer that is read as a whole before it goes on."""
_ADDRESSES = ("location", "content-location", "link")


class Inbound:
    """Gives the answers of an upstream to clients.

    Args:
        links: rewrites what leads to the upstream; None: nothing is rewritten.
        records: told when an answer is at its end.
    """

    def __init__(self, links: Links | None, records: Records) -> None:
        self._links, self._records = links, records
        self._changed = {} if links is None else {name: _leading(links, name) for name in _ADDRESSES}

    def __call__(
        self, exchange: Exchange, response: UpstreamResponse, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Begin an answer.

        Raises:
            UpstreamError: when the upstream breaks off before its body begins; nothing was said to the client then.
        """
        if response.status < 200:  # such as 101: nobody asked for another protocol
            raise UpstreamError(f"the upstream answers with status {response.status}, which ends nothing")
        rewriter = None
        if self._links is not None and names_json(response.headers):
            if self._links.misses(response.headers):
                raise UpstreamError("the upstream answers in an encoding that was not asked for")
            rewriter = self._links if self._links.applies(response.headers) else None
        pieces = response.stream()
        if rewriter is not None:
            pieces = rewriter.body(pieces, gzip=is_gzip(response.headers))
        is_small = _length(response) <= SMALL
        # What is small is read as a whole, so that one that is cut short is no answer; of the rest the beginning.
        first = b"".join(pieces) if is_small else next(pieces, b"")
        headers = self._headers(response, exchange.caller, rewriter)
        ended = partial(self._records.forwarded, exchange.environ, exchange.caller, response.status, exchange.began)
        if is_small:
            response.close()
            ended(None)
            if rewriter is not None and first:
                headers.append(("Content-Length", str(len(first))))
        start_response(f"{response.status} {_phrase(response)}", headers)
        return [first] if is_small else Relay(chain((first,), pieces) if first else pieces, response, ended)

    def _headers(
        self, response: UpstreamResponse, caller: Caller | None, rewriter: Links | None
    ) -> list[tuple[str, str]]:
        changed = self._changed
        if caller is not None:
            changed = {**changed, "x-ausername": lambda value: _told(caller)}
        return downward(
            response.headers, OF_THE_BYTES if rewriter is not None or response.status == 204 else (), changed
        )


def _length(response: UpstreamResponse) -> float:
    """Give the bytes that a body has, as far as that was said; without end, where it was not."""
    stated = value_of(response.headers, "content-length")
    return int(stated) if stated is not None and stated.isdecimal() else inf


def _leading(links: Links, name: str) -> Callable[[str], str]:
    return lambda value: links.headers(((name, value),))[0][1]


def _told(caller: Caller) -> str:
    """Give the user as Jira does in a header."""
    return quote(caller.grant.owner, safe="@")


def _phrase(response: UpstreamResponse) -> str:
    return response.reason if response.reason.isascii() and response.reason.isprintable() else "Answer"


class Relay:
    """What a WSGI server iterates over and closes.

    Args:
        pieces: of the body; the first one was waited for already, so that an answer that never comes is a 502.
        response: closed in the end, whatever was read.
        ended: called once, with what went wrong, or None.
    """

    def __init__(
        self, pieces: Iterator[bytes], response: UpstreamResponse, ended: Callable[[UpstreamError | None], None]
    ) -> None:
        self._pieces, self._response, self._ended = pieces, response, ended
        self._is_open = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Give the next piece.

        Raises:
            UpstreamError: when the upstream broke off: the server must break off, too, for the rest is missing.
        """
        try:
            return next(self._pieces)
        except UpstreamError as error:
            self._end(error)
            raise

    def close(self) -> None:
        """Let go of the connection."""
        self._end(None)

    def _end(self, error: UpstreamError | None) -> None:
        if self._is_open:
            self._is_open = False
            self._response.close()
            self._ended(error)
