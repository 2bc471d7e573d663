"""From request headers to a credential, or a refusal, or nothing. Malformed is not absent.

Servers join repeated headers with commas, fold lines, keep or trim blanks, each in its own way. So the grammar is
strict and a scheme is never searched for inside a value: whatever is not exactly one credential is refused.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from .errors import ConfigurationError
from .model import Credential, Denied, Reason, Secret

MAXIMUM_LENGTH = 4_096
"""Characters that a credential may have after its scheme."""

Carried: TypeAlias = tuple[str, str | None, str]
"""What ``AUTH_TYPE`` will say, the user name of Basic, and the token, whose grammar is still to be judged."""

SESSION = "session"
"""What ``accept`` says of session cookies."""

SCHEMES: Mapping[str, str] = {"bearer": "Bearer", "basic": "Basic", "token": "Token"}
"""What ``accept`` says to what ``AUTH_TYPE`` says."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750, section 2.1
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # Unicode's class Cc
_OWS = " \t"  # RFC 9110, section 5.6.3; str.strip() alone would eat other characters too
_TAKEN = frozenset(
    {
        "HTTP_AUTHORIZATION",
        "HTTP_COOKIE",
        "HTTP_HOST",
        "HTTP_PROXY_AUTHORIZATION",
        # WSGI has no such keys: the header would never be seen.
        "HTTP_CONTENT_TYPE",
        "HTTP_CONTENT_LENGTH",
        # What these say is kept in records and logs.
        "HTTP_USER_AGENT",
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_REQUEST_ID",
    }
)


@dataclass(frozen=True, slots=True)
class Carriers:
    """Where a credential may stand.

    Args:
        schemes: of the ``Authorization`` header, in lower case.
        keys: environ keys of API key headers.
        sessions: whether session cookies are taken, where none of the others stands.
    """

    schemes: frozenset[str]
    keys: tuple[str, ...] = ()
    sessions: bool = False

    @classmethod
    def of(cls, accept: Iterable[str]) -> Carriers:
        """Read the ``accept`` setting: ``bearer``, ``basic``, ``token``, ``header:X-API-Key``, ``session``.

        Raises:
            ConfigurationError: when one is not known, or none is given.
        """
        if isinstance(accept, str):
            raise ConfigurationError(f"takes a list of carriers, not {accept!r}", setting="accept")
        return _carriers(tuple(accept))


@lru_cache(64)
def _carriers(accept: tuple[str, ...]) -> Carriers:
    known = ", ".join((*SCHEMES, SESSION))
    if not accept:
        raise ConfigurationError("is empty: no request could ever pass", setting="accept", hint=f"there are {known}")
    schemes, keys = set(), []
    for carrier in accept:
        kind, colon, name = str(carrier).partition(":")
        if carrier in SCHEMES:
            schemes.add(carrier)
        elif kind == "header" and colon:
            keys.append(_environ_key(name))
        elif carrier != SESSION:
            raise ConfigurationError(
                f"{carrier!r} is no carrier", setting="accept", hint=f"there are {known} and header:NAME"
            )
    return Carriers(frozenset(schemes), tuple(dict.fromkeys(keys)), SESSION in accept)


def _environ_key(name: str) -> str:
    key = "HTTP_" + name.upper().replace("-", "_")
    if not _TOKEN.fullmatch(name) or key in _TAKEN:
        message = f"{name!r} can't be the header of an API key"
        raise ConfigurationError(message, setting="accept", hint="header:X-API-Key")
    return key


def parse_authorization(value: str | None, accept: Iterable[str] = ("bearer", "basic")) -> Credential | Denied | None:
    """Read the value of an ``Authorization`` header.

    Args:
        value: as the server gives it, or None where there is no such header.
        accept: the schemes to take, as in the middleware's option.

    Returns:
        The credential; None for an absent, empty or blank value; a refusal whose reason is ``unsupported`` for a scheme
        that is not accepted, or ``malformed``.

    Raises:
        ConfigurationError: when ``accept`` is wrong.

    Source: RFC 6750, section 2.1; RFC 7617, section 2; RFC 9110, section 11.4.
    """
    return parse(value, Carriers.of(accept).schemes)


def parse(value: str | None, schemes: frozenset[str]) -> Credential | Denied | None:
    """Read the value of an ``Authorization`` header, with the schemes prepared."""
    carried = _split(value, schemes) if value else None
    return credential(carried) if isinstance(carried, tuple) else carried


def take(environ: Mapping[str, Any], carriers: Carriers) -> Carried | Denied | None:
    """Take what a request carries: the work that every request needs, but for :func:`credential`.

    Two credentials are malformed (RFC 6750, section 2: not more than one method).
    """
    header = environ.get("HTTP_AUTHORIZATION")
    carried = _split(header, carriers.schemes) if header else None
    return _with_keys(environ, carriers.keys, carried) if carriers.keys else carried


def secrets_in(environ: Mapping[str, Any], carriers: Carriers) -> Iterator[str]:
    """Give every text that a request shows as a secret, whether its scheme is accepted or not."""
    header = environ.get("HTTP_AUTHORIZATION", "").strip(_OWS)
    carried = _split(header, frozenset(SCHEMES))
    password = carried[2] if isinstance(carried, tuple) else ""
    keys = (environ.get(key, "").strip(_OWS) for key in carriers.keys)
    yield from filter(None, (header.rpartition(" ")[2], password, *keys))


def credential(carried: Carried) -> Credential | Denied:
    """Judge the grammar of what was carried."""
    kind, username, text = carried
    if kind != "Basic" and not _B64TOKEN.fullmatch(text):
        return MALFORMED
    return Credential(kind, username, Secret(text))


def _split(value: str, schemes: frozenset[str]) -> Carried | Denied | None:
    scheme, _, text = value.strip(_OWS).partition(" ")
    kind = scheme.lower()
    # Not all that is "token" in lower case is ASCII: there is a sign for Kelvin.
    if kind not in schemes or not scheme.isascii():
        if not scheme:
            return None
        return UNSUPPORTED if _TOKEN.fullmatch(scheme) else MALFORMED
    text = text.lstrip(" ")
    if not text or len(text) > MAXIMUM_LENGTH:
        return MALFORMED
    return _basic(text) if kind == "basic" else (SCHEMES[kind], None, text)


def _basic(text: str) -> Carried | Denied:
    try:
        decoded = a2b_base64(text)
        pair = decoded.decode()
    except ValueError:
        return MALFORMED
    username, colon, password = pair.partition(":")
    # Decoders differ in what they overlook (blanks, padding, stray bits), so only the one exact spelling counts.
    if not colon or _CONTROL.search(pair) or b2a_base64(decoded, newline=False).decode() != text:
        return MALFORMED
    return "Basic", username, password


def _with_keys(
    environ: Mapping[str, Any], keys: tuple[str, ...], carried: Carried | Denied | None
) -> Carried | Denied | None:
    for key in keys:
        text = environ.get(key, "").strip(_OWS)
        if not text:
            continue
        if carried is not None or len(text) > MAXIMUM_LENGTH:
            return MALFORMED
        carried = ("ApiKey", None, text)
    return carried


MALFORMED = Denied(Reason.MALFORMED)
UNSUPPORTED = Denied(Reason.UNSUPPORTED)
