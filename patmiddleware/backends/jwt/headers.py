"""The parts of a JWT, and what its header may say, judged before any key is looked at. Pure."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from typing import NamedTuple

from patmiddleware.claims import Claims, Malformed, members
from patmiddleware.errors import ConfigurationError

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

# A key, or where to get one, is never taken from a token (RFC 8725, section 3.10); what is critical is unknown here
# (RFC 7515, section 4.1.11); the rest changes what was signed, or how it is to be read.
_FORBIDDEN = frozenset({"jku", "jwk", "x5u", "crit", "b64", "zip", "enc"})
_NAME_LENGTH = 255


class Header(NamedTuple):
    """What a header says that is of use, none of it verified: its algorithm, and the name of the key."""

    algorithm: str
    kid: str | None


def is_compact(text: str, longest: int) -> bool:
    """Whether a string has the form of a signed JWT. Costs next to nothing."""
    return len(text) <= longest and _COMPACT.fullmatch(text) is not None


def header(text: str, types: frozenset[str | None]) -> Header:
    """Read the header of a string that :func:`is_compact`.

    Args:
        text: the token.
        types: as :func:`check_types` gives them.

    Raises:
        Malformed: when it may not be one.
    """
    said = members(decoded(text.partition(".")[0]))
    if _FORBIDDEN & said.keys():
        raise Malformed("its header has what none may have")
    algorithm, kid, typ = (_text(said, name) for name in ("alg", "kid", "typ"))
    if algorithm is None:
        raise Malformed("its header names no algorithm")
    if (None if typ is None else media_type(typ)) not in types:
        raise Malformed("it is of another type")
    return Header(algorithm, kid)


def _text(said: Claims, name: str) -> str | None:
    if name not in said:
        return None
    value = said[name]
    if not isinstance(value, str) or not 0 < len(value) <= _NAME_LENGTH:
        raise Malformed(f"{name} is no text, or too long")
    return value


def claims(text: str) -> Claims:
    """Read the claims of a string that :func:`is_compact`; call it once the signature was found to be right.

    Raises:
        Malformed: when they are no JSON object, or a name stands twice.
    """
    return members(decoded(text.split(".")[1]))


def signing_input(text: str) -> bytes:
    """Give what was signed: the same for every signature that can be made of one (ECDSA has two for each)."""
    return text.rpartition(".")[0].encode("ascii")


def is_canonical(text: str) -> bool:
    """Whether each part is spelled as the bytes in it are: another spelling would be another secret for one token."""
    try:
        return all(decoded(part) for part in text.split("."))
    except Malformed:
        return False


def decoded(part: str) -> bytes:
    """Decode base64url without padding, in its one spelling (RFC 7515, section 2; RFC 4648, section 3.5).

    Raises:
        Malformed: when there is another one for the same bytes.
    """
    try:
        value = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError as error:
        raise Malformed("it is no base64url") from error
    if urlsafe_b64encode(value).rstrip(b"=") != part.encode("ascii"):
        raise Malformed("its base64url is spelled in another way")
    return value


def media_type(typ: str) -> str:
    """Give a ``typ`` in its long form: ``application/`` may be left out, and case says nothing (RFC 7515, 4.1.9)."""
    folded = typ.lower()
    return folded if "/" in folded else f"application/{folded}"


def check_types(types: str | Iterable[str | None] | None) -> frozenset[str | None]:
    """Give the types that are taken; None, or an empty text, among them: a token without one.

    Raises:
        ConfigurationError: when there is none, or something that is no text.
    """
    given: object = types
    listed = [given] if isinstance(given, str | None) else list(given) if isinstance(given, Iterable) else []
    if not listed or not all(isinstance(item, str | None) for item in listed):
        hint = 'such as "at+jwt"; an empty text, or None, is a token without a type'
        raise ConfigurationError("takes a list of types", setting="store.typ", hint=hint)
    return frozenset(media_type(item) if item else None for item in listed)
