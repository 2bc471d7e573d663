"""The body of a request: how long it is, by one framing that both sides read alike, and in pieces.

What a server hands on differs: some decode chunks and say so (``wsgi.input_terminated``), some hand them on raw. A
request whose length could be read in two ways is refused (RFC 9112, section 6.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..annotate import Environ
from . import target
from .answers import Failed

PIECE = 65_536
SMALL = 65_536
"""Bytes of a body that is read before anything is sent: so it can be sent again, and holds up no connection."""

_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
# Servers that end the input in the same way where chunks break off as where they are at their end.
_LOSSY = ("Granian",)
_FRAMED = ("HTTP/2", "HTTP/3")
_FORM = "x-www-form-urlencoded"
# Parameters are read as the charset says, by some servers (Tomcat's useBodyEncodingForURI) those of the query as well:
# in UTF-16 or EBCDIC, or between the escapes of ISO 2022, another name stands in the same bytes.
_CHARSET = re.compile(
    r"charset(?:\s*=\s*\"?(?:utf-?8|us-ascii|iso-8859-1?\d|windows-125\d)(?=[\";,\s]|\Z))?+", re.ASCII
)
_CODED = "A form is looked through, and can't be in this Content-Encoding. Send it plain."
_FOREIGN = "The charset of the Content-Type is not taken. Send UTF-8."
_GONE = "The body ended before it was whole. Send it again."
_UNKNOWN = "The length of the body is not known here. Send it with a Content-Length."
_LONG = f"A form may have {SMALL} bytes, for it is looked through. Send JSON, or a smaller one."


class Body(NamedTuple):
    """A body as it goes upstream.

    Args:
        content: bytes where it was read already, pieces to be read once, or None where there is none.
        length: bytes of it; None: not known beforehand.
    """

    content: bytes | Iterator[bytes] | None
    length: int | None


def body(environ: Environ) -> Body:
    """Give the body of a request.

    Raises:
        Failed: when its length is not certain, it is a form that names a login of Jira's, that can't be looked through
            or is in a charset in which that would be in vain, or the client broke off; pieces that are read later raise
            it as well.
    """
    length = _length(environ)
    source, kind = environ["wsgi.input"], environ.get("CONTENT_TYPE", "").lower()
    if any("=" not in charset for charset in _CHARSET.findall(kind)):
        raise Failed(415, _FOREIGN)
    if length == 0:
        return Body(None if environ.get("CONTENT_LENGTH") in (None, "") else b"", 0)
    if _FORM in kind:
        if environ.get("HTTP_CONTENT_ENCODING", "").strip(" \t").lower() not in ("", "identity"):
            raise Failed(415, _CODED)
        return _form(source, length)
    if length is not None and length <= SMALL:
        return Body(b"".join(_pieces(source, length)), length)
    return Body(_pieces(source, length), length)


def _length(environ: Environ) -> int | None:
    """Give the number of bytes, or None where the body ends with the input."""
    stated, coding = environ.get("CONTENT_LENGTH", ""), environ.get("HTTP_TRANSFER_ENCODING", "")
    if not coding:
        if stated and not _LENGTH.fullmatch(stated):
            raise Failed(400, "The Content-Length is no number. Send one, in digits.")
        # HTTP/2 and 3 need neither (RFC 9113, section 8.1.1): there only reading tells whether a body has come.
        if not stated and environ.get("SERVER_PROTOCOL", "").startswith(_FRAMED) and _read(environ["wsgi.input"], 1):
            raise Failed(411, _UNKNOWN)
        return int(stated or 0)
    if stated:
        raise Failed(400, "The body has a Content-Length and a Transfer-Encoding. Send one of them.")
    whole = environ.get("wsgi.input_terminated") and environ.get("SERVER_SOFTWARE") not in _LOSSY
    if coding.strip(" \t").lower() != "chunked" or not whole:
        raise Failed(411, _UNKNOWN)
    return None


def _form(source: Any, length: int | None) -> Body:
    if length is not None and length > SMALL:
        raise Failed(413, _LONG)
    sent = b"".join(_pieces(source, length, SMALL + 1))  # one byte more than may come
    if len(sent) > SMALL:
        raise Failed(413, _LONG)
    content = target.parameters(sent.decode("latin-1")).encode("latin-1")
    return Body(content, len(content))


def _pieces(source: Any, length: int | None, most: int | None = None) -> Iterator[bytes]:
    """Read a body to its end, or to ``most`` bytes. Any: WSGI's input is whatever the server has."""
    left = most if length is None else length
    while left is None or left:
        piece = _read(source, PIECE if left is None else min(PIECE, left))
        if not piece:
            if length is not None:
                raise Failed(400, _GONE)
            return
        if left is not None:
            left -= len(piece)
        yield piece


def _read(source: Any, size: int) -> bytes:
    try:
        piece: bytes = source.read(size)
    except Exception as error:  # servers raise what they like where a client breaks off or dawdles
        raise Failed(400, _GONE) from error
    return piece
