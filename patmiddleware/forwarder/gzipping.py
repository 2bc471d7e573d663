"""Takes gzip (RFC 1952) apart and makes it again while it streams: no piece waits for the next one, none can grow."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..errors import UpstreamError

if TYPE_CHECKING:
    from zlib import _Decompress

LARGEST = 65_536
"""Bytes of a piece of text, however small what it is made of."""

_GZIP = 16 + zlib.MAX_WBITS  # nothing but gzip: neither zlib nor bare deflate
_LEVEL = 3


def gunzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give the text of all members as it comes; some pieces may be empty.

    Raises:
        UpstreamError: when it is damaged, or ends too early. Nothing at all is no error, nor any piece.
    """
    member: _Decompress | None = None
    for piece in pieces:
        while piece:
            member = member or zlib.decompressobj(_GZIP)
            yield from _inflated(member, piece)
            piece = member.unused_data
            member = None if member.eof else member
    if member is not None:
        raise UpstreamError("the upstream's answer ends within its gzip encoding")


def _inflated(member: _Decompress, piece: bytes) -> Iterator[bytes]:
    text = None
    # Where a piece of text is full there may be more of it in there, though all that came was taken.
    while not member.eof and (text is None or piece or len(text) == LARGEST):
        try:
            text = member.decompress(piece, LARGEST)
        except zlib.error as error:
            raise UpstreamError("the upstream's answer is damaged in its gzip encoding") from error
        piece = member.unconsumed_tail
        yield text


def gzipped(texts: Iterable[bytes]) -> Iterator[bytes]:
    """Give text as one member, each piece of it as soon as it comes. Where no piece comes, there is none."""
    packer = None
    for text in texts:
        packer = packer or zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        if text:
            yield packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)
    if packer is not None:
        yield packer.flush()
