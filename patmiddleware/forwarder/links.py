"""Leads clients back here where an upstream's answer names the upstream itself.

Clients follow the absolute links of an answer (``self``, ``content``, ``avatarUrls``, ``Location``) with their
credentials. Left as they are, these would take our tokens to the upstream, and the client round the policy.

**What is rewritten**: in JSON each string that, as a whole, is an address below a base; names as well as values, and
whatever they are called, for no list of them would be complete. Such a string begins with a base, at the boundary of a
path, and has no blank, control character, quotation mark or backslash in it.

**What is not**: text. A description, a comment or HTML with addresses in it, at its beginning too, is given as its
writer left it, so that reading it and writing it back changes nothing, and people who follow its links get to the pages
of the upstream. (A text that is nothing but one address can't be told from a link: it is rewritten.) Requests are not
rewritten, nor what is not JSON, nor files.

**What is an address below a base**: ``http:``, ``https:`` or neither, before the same host (in any case, with the dot
of the root or without, in either form of a name in IDNA) and port (the default one may be left out), and the path of
the base, or one below it. Never one with a user in it: ``https://jira.internal@elsewhere/`` leads elsewhere.

The ``ETag`` stays, for it is the upstream that compares it; so does what says ``no-transform``: we stand for the
upstream, not for a cache on the way. An answer that is rewritten has another length: see :data:`OF_THE_BYTES`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

from ..errors import ConfigurationError
from ..interfaces import Headers
from .bases import base_of, pattern_of, plainly
from .gzipping import gunzipped, gzipped
from .headers import value_of
from .jsontext import JsonAddresses

OF_THE_BYTES = frozenset({"content-length", "content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"})
"""Headers, in lower case, that are no longer true of an answer whose body is rewritten."""

_JSON = re.compile(r"application/(?:[^\s/;,]+\+)?json(?:\s*;.*)?", re.IGNORECASE | re.DOTALL)
# JSON has no charset (RFC 8259, section 11); what some servers name has ASCII in it, but for these.
_WIDE = re.compile(r";\s*charset\s*=\s*\"?(?:utf-?(?:16|32)|[^;]*ucs)", re.IGNORECASE)
_GZIP = ("gzip", "x-gzip")  # RFC 9110, section 8.4.1.3
_READABLE = ("", "identity", *_GZIP)
_ENDS = ("", "/", "?", "#")
_TARGET = re.compile(r"(?<=<)[^<>]*(?=>)")  # RFC 8288, section 3


class Links:
    """Rewrites links to an upstream into links to us.

    Args:
        bases: addresses of the upstream: first the one that is connected to, then those that it calls itself by.
        public_url: the address that clients know us by.

    Raises:
        ConfigurationError: when one of them is not an absolute address of http or https, or has a user, a query or a
            fragment in it.
    """

    def __init__(self, bases: Iterable[str], public_url: str) -> None:
        settings = chain(("app.upstream",), repeat("app.base_urls"))
        upstreams = [base_of(base, setting) for base, setting in zip(bases, settings, strict=False)]
        if not upstreams:
            raise ConfigurationError("there must be at least one address", setting="app.upstream")
        public = base_of(public_url, "app.public_url")
        self._context, self._mount = upstreams[0].path, public.path
        self._public = public_url.removesuffix("/")
        if any(base.is_above(public) for base in upstreams):
            upstreams.append(public)  # what already leads here is not led below here again
        lowest_first = sorted(dict.fromkeys(upstreams), key=lambda base: len(base.path), reverse=True)
        self._json = JsonAddresses(lowest_first, self._public)
        self._address = re.compile(rf"{pattern_of(lowest_first, plainly)}(?=[/?#]|\Z)")

    def url(self, text: str) -> str:
        """Give an address as clients shall see it: that of a ``Location``.

        A path alone (``/jira/rest``) is one on the upstream's server: its context path becomes ours.
        """
        if found := self._address.match(text):
            return self._public + text[found.end() :]
        rest = text.removeprefix(self._context)
        if text[:1] != "/" or text[:2] == "//" or not text.startswith(self._context) or rest[:1] not in _ENDS:
            return text
        # Without its context "/jira//elsewhere" would be another server, and "/jira?x" no path.
        path = self._mount + rest
        return path if path[:1] == "/" and path[1:2] not in ("/", "\\") else self._public + rest

    def headers(self, headers: Headers) -> Headers:
        """Give an answer's headers with the addresses in them as clients shall see them."""
        return [(name, self._header(name.lower(), value)) for name, value in headers]

    def _header(self, name: str, value: str) -> str:
        if name in ("location", "content-location"):
            return self.url(value)
        return _TARGET.sub(lambda target: self.url(target[0]), value) if name == "link" else value

    def applies(self, headers: Headers) -> bool:
        """Whether an answer's body is rewritten: JSON with ASCII in it, whole, bare or in gzip, and nobody's file."""
        if not names_json(headers) or _value(headers, "content-disposition") or _value(headers, "content-range"):
            return False  # a file, though it be shown in place; or a part
        return _value(headers, "content-encoding") in _READABLE and _is_json(_value(headers, "content-type"))

    def misses(self, headers: Headers) -> bool:
        """Whether the links of an answer would get by: it is JSON, in an encoding that can't be read."""
        return names_json(headers) and _value(headers, "content-encoding") not in _READABLE

    def body(self, pieces: Iterable[bytes], gzip: bool) -> Iterator[bytes]:
        """Give an answer's body with the addresses in it as clients shall see them, as it comes, in constant memory.

        What is not JSON is no error: it passes by, but for what is an address within quotation marks.

        Args:
            pieces: of any size.
            gzip: whether they are in gzip (:func:`is_gzip`), as what is given then is.

        Returns:
            Pieces that are not empty.

        Raises:
            UpstreamError: while it is read, when its gzip is damaged or ends too early; and what ``pieces`` raises.
        """
        if gzip:
            return gzipped(self._json.rewritten(gunzipped(pieces)))
        return filter(None, self._json.rewritten(pieces))


def names_json(headers: Headers) -> bool:
    """Whether an answer may be JSON: what most that are not rewritten differ in, and quickly seen."""
    return "json" in (value_of(headers, "content-type") or "").lower()


def is_gzip(headers: Headers) -> bool:
    """Whether an answer's body is in gzip."""
    return _value(headers, "content-encoding") in _GZIP


def _is_json(content_type: str) -> bool:
    return _JSON.fullmatch(content_type) is not None and _WIDE.search(content_type) is None


def _value(headers: Headers, name: str) -> str:
    """Give what a header says, in lower case; all that it says, where it comes more than once."""
    return ", ".join(value.strip(" \t").lower() for key, value in headers if key.lower() == name)
