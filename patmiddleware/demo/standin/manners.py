"""How answers travel: with slashes escaped, compressed, in chunks."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

from werkzeug import Response

from .call import JiraRequest

LARGE = 65_536
"""Bytes from which on an answer has no length of its own, but goes out in chunks."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How answers are sent; none of it changes what they say.

    Args:
        escaped: whether JSON has ``\\\\/`` for each slash.
        gzip: whether text is compressed for those who take it so.
        chunked: whether text goes out in chunks, however short; a long one always does.
    """

    escaped: bool = False
    gzip: bool = True
    chunked: bool = False

    def apply(self, response: Response, request: JiraRequest) -> None:
        """Change an answer of text, in place; files and streams stay as they are."""
        if response.is_streamed or response.mimetype not in ("application/json", "text/html") or not response.data:
            return
        if self.escaped and response.mimetype == "application/json":
            # A slash stands within strings alone.
            response.data = response.data.replace(b"/", b"\\/")
        if self.gzip:
            response.headers.add("Vary", "Accept-Encoding")
            if request.accept_encodings["gzip"] > 0:
                response.data = gzip.compress(response.data, 1, mtime=0)
                response.headers["Content-Encoding"] = "gzip"
        if self.chunked or len(response.data) > LARGE:
            response.automatically_set_content_length = False
            response.headers.pop("Content-Length", None)
