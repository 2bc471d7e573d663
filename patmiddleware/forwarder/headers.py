"""Which headers go which way.

Upstream by allow list, so that nothing a client makes up arrives there; back by a list of what is dropped, for an
application may answer with anything. Hop-by-hop headers, and those that ``Connection`` names, end here both ways
(RFC 9110, section 7.6.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import urlsplit

from ..annotate import Environ, fold
from ..errors import ConfigurationError
from ..interfaces import Headers

_HOP = frozenset(
    (
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-authentication-info",
        "proxy-connection", "te", "trailer", "trailers", "transfer-encoding", "upgrade", "http2-settings",
    )
)  # fmt: skip

ALLOWED = (
    "Accept", "Accept-Language", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language",
    "Content-MD5", "Content-Type", "Git-Protocol", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
    "If-Unmodified-Since", "Origin", "Pragma", "Range", "Referer", "User-Agent", "X-Atlassian-Token",
    "X-ExperimentalApi", "X-Force-Accept-Language", "X-Requested-With",
)  # fmt: skip
"""What goes on to the upstream of what a client sends."""

# Ours to set, or a way of being somebody.
_NEVER = _HOP | {
    "accept-encoding", "authorization", "content-length", "cookie", "cookie2", "expect", "host", "x-ausername",
    "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
}  # fmt: skip
# A session of the upstream's is not the client's; its challenges are for us; what it says of its own host is not ours.
_DROPPED = _HOP | {
    "alt-svc", "authentication-info", "set-cookie", "set-cookie2", "strict-transport-security", "www-authenticate",
    "x-asessionid", "x-authentication-denied-reason",
}  # fmt: skip
_PLACES = ("Origin", "Referer")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Upward:
    """Gives the headers of a request as they go upstream.

    Args:
        extra: more names that go on.
        public_url: where clients reach us: ``Origin`` and ``Referer`` of ours would be foreign to the upstream.
        encodings: what the upstream may compress with; None: what the client takes.

    Raises:
        ConfigurationError: for a name that can't be one, or that must never go on.
    """

    def __init__(self, extra: Iterable[str], public_url: str, encodings: frozenset[str] | None) -> None:
        names = (*ALLOWED, *map(_checked, extra))
        self._names = {_key(name): name for name in names}
        self._keys = self._names.keys()
        self._origin = _origin(public_url)
        self._encodings = encodings

    def __call__(self, environ: Environ) -> list[tuple[str, str]] | None:
        """Give the headers, or None where one of them holds what no header may."""
        # One set operation: a loop over all names that may go on takes several times as long.
        found = [(self._names[key], environ[key]) for key in sorted(self._keys & environ.keys()) if environ[key]]
        connection = environ.get("HTTP_CONNECTION")
        if connection:
            named = {fold(name) for name in _listed(connection)}
            found = [pair for pair in found if fold(pair[0]) not in named]
        found = [pair for pair in found if pair[0] not in _PLACES or _origin(pair[1]) != self._origin]
        found.append(("Accept-Encoding", self._accepted(environ.get("HTTP_ACCEPT_ENCODING", ""))))
        return None if any(not pair[1].isprintable() and _BAD_VALUE.search(pair[1]) for pair in found) else found

    def _accepted(self, value: str) -> str:
        if self._encodings is None:
            return value or "identity"
        return _common(value, self._encodings)


@lru_cache(maxsize=64)
def _common(value: str, encodings: frozenset[str]) -> str:
    return ", ".join(coding for coding in _codings(value) if coding in encodings) or "identity"


def downward(
    headers: Headers,
    dropped: Collection[str] = (),
    changed: Mapping[str, Callable[[str], str]] = MappingProxyType({}),
) -> list[tuple[str, str]]:
    """Give the headers of an answer as the client gets them.

    Args:
        headers: as they came.
        dropped: more names to leave out; names in lower case here and below.
        changed: name to what gives its new value.
    """
    left_out = _DROPPED.union(dropped) if dropped else _DROPPED
    kept, named = [], set[str]()
    for name, value in headers:
        folded = name.lower()
        if folded in left_out or not _NAME.fullmatch(name):
            if folded == "connection":
                named.update(_listed(value))
            continue
        if folded in changed:
            value = changed[folded](value)
        # Such as a line that goes on on the next.
        kept.append((name, value if value.isprintable() else _BAD_VALUE.sub(" ", value)))
    return [pair for pair in kept if pair[0].lower() not in named] if named else kept


def value_of(headers: Headers, name: str) -> str | None:
    """Give the first value of a header; its name in lower case."""
    for key, value in headers:
        if key.lower() == name:
            return value
    return None


def _key(name: str) -> str:
    return "CONTENT_TYPE" if name == "Content-Type" else fold(f"HTTP_{name}")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name.lower() in _NEVER:
        raise ConfigurationError(f"{name!r} can't go on to the upstream", setting="headers")
    return name


def _listed(value: str) -> list[str]:
    return [name for part in value.lower().split(",") if (name := part.strip(" \t"))]


def _codings(value: str) -> Iterator[str]:
    """Give the codings that a client accepts at all (RFC 9110, section 12.5.3)."""
    for part in _listed(value):
        coding, _, weight = part.partition(";")
        if not re.fullmatch(r"\s*q\s*=\s*0(?:\.0*)?\s*", weight):
            yield coding.strip(" \t")


def _origin(url: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
