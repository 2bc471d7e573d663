"""An answer of the upstream: its head, its body as it comes, and the connection that it comes over."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from http.client import HTTPException, IncompleteRead

from ..errors import UpstreamError, UpstreamTimeout
from ..interfaces import Headers
from .heads import StrictResponse

PIECE = 65_536
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)
_FRAMING = ("content-length", "transfer-encoding")


class PooledResponse:
    """An answer, once its head is there.

    Args:
        raw: what is read from.
        shown: the server, for messages.

    Raises:
        UpstreamError: when the body's end could be looked for in more than one place; the connection is closed then.
    """

    def __init__(self, raw: StrictResponse, shown: str) -> None:
        self._raw, self._shown = raw, shown
        self.status, self.reason = raw.status, raw.reason
        try:
            self.headers: Headers = _framed(raw.getheaders())
        except UpstreamError:
            self.close()
            raise

    def stream(self) -> Iterator[bytes]:
        """Give the body as it comes; the connection is free for another request with the last piece."""
        raw = self._raw
        try:
            while piece := raw.read1(PIECE):
                if raw.length == 0:  # who takes the piece may be slow
                    raw.free(is_done=True)
                yield piece
            if raw.length:
                raise IncompleteRead(b"", raw.length)
        except TimeoutError as error:
            raise UpstreamTimeout(f"{self._shown} stopped in the middle of its answer") from error
        except (HTTPException, OSError) as error:
            raise UpstreamError(f"{self._shown} broke off in the middle of its answer: {in_words(error)}") from error
        raw.free(is_done=True)

    def close(self) -> None:
        """Let go of the connection; it is closed where something of the answer may still come over it."""
        self._raw.free(is_done=False)


def _framed(headers: Headers) -> Headers:
    """Give an answer's headers with one length at the most, which is that of what is read (RFC 9112, section 6.3).

    Raises:
        UpstreamError: when the body's end could be looked for in more than one place.
    """
    framing = [pair for pair in headers if pair[0].lower() in _FRAMING]
    if not framing or (framing[0][0].lower() == "content-length" and _is_length(framing)):
        return headers  # as nearly every answer has it
    codings = [value.lower() for name, value in headers if name.lower() == "transfer-encoding"]
    stated = [value for name, value in headers if name.lower() == "content-length"]
    lengths = {part.strip(" \t") for value in stated for part in value.split(",")}
    if codings not in ([], ["chunked"]) or len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
        raise UpstreamError("the upstream does not say in one way where its answer ends")
    others = [pair for pair in headers if pair[0].lower() != "content-length"] if stated else headers
    return others if codings or not lengths else [*others, ("Content-Length", lengths.pop())]


def _is_length(framing: Headers) -> bool:
    return len(framing) == 1 and _LENGTH.fullmatch(framing[0][1]) is not None


def in_words(error: Exception) -> str:
    """Give the innermost cause in a few words."""
    inner = [item for item in (*error.args, error.__cause__, error.__context__) if isinstance(item, Exception)]
    for cause in (*inner, error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
            return "it does not speak TLS there (write http://, or the port that does)"
        if isinstance(cause, ssl.SSLEOFError):
            return "it hung up in the middle of TLS"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return in_words(inner[0]) if inner and inner[0] is not error else type(error).__name__
