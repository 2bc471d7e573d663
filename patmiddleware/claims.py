"""What another server says of a token, read with suspicion and made a record of.

For readers of tokens that are issued elsewhere: JWTs, and answers of an introspection server. Pure: the time is an
argument.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import NoReturn, TypeAlias

from .errors import ConfigurationError
from .model import EPOCH, Token

Claims: TypeAlias = Mapping[str, object]

TEXT_LENGTH = 255
"""Characters that a name may have: so many fit into any store."""

_LATEST = 253_402_300_799.0  # the last second of the year 9999, beyond which there is no datetime

# RFC 6749, section 3.3: scope-token.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")


class Malformed(ValueError):
    """A claim, or the whole text, is not of the form that it must have. The message shows no value."""


def members(text: bytes) -> dict[str, object]:
    """Read a JSON object, in which no name stands twice: two readers would take it for two different things.

    Raises:
        Malformed: for anything else, however deep, long or odd.
    """
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # the former also for UTF-8 and for numbers of too many digits
        raise Malformed("it is not JSON, or a name stands twice in it") from error
    if not isinstance(value, dict):
        raise Malformed("it is not a JSON object")
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed("a name stands twice")
    return found


def _no_number(constant: str) -> NoReturn:
    raise Malformed("NaN and Infinity are no JSON")


def text_of(claims: Claims, name: str) -> str | None:
    """Give a claim that is a name: printable, without blanks around it, of 1 to 255 characters; None: it is not there.

    Raises:
        Malformed: when it is anything else.
    """
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if not isinstance(value, str) or not _is_name(value):
        raise Malformed(f"{name} is no printable text of 1 to {TEXT_LENGTH} characters")
    return value


def _is_name(text: str) -> bool:
    return 0 < len(text) <= TEXT_LENGTH and text.isprintable() and text == text.strip()


def moment(claims: Claims, name: str) -> float | None:
    """Give a claim that is a time, in seconds since the epoch; None: it is not there.

    Raises:
        Malformed: when it is no finite number, or beyond the year 9999. True is no number here.
    """
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    # The comparison holds for neither NaN nor Infinity, and takes a whole number of any length.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise Malformed(f"{name} is no time")
    return float(value)


def names_of(claims: Claims, name: str) -> frozenset[str]:
    """Give a claim that is one text or a list of them; empty: it is not there.

    Raises:
        Malformed: when it is anything else.
    """
    value = claims.get(name, ())
    listed: object = (value,) if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(item, str) and item for item in listed):
        raise Malformed(f"{name} is neither text nor a list of texts")
    return frozenset(listed)


def derived_id(kind: str, material: bytes) -> str:
    """Give an id for what has none of its own: safe to log, for it is no digest by which anything is kept."""
    return f"{kind}-{sha256(b'patmiddleware id ' + material).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the claims of a token must say here, and what is made of them.

    Args:
        issuers: who may have issued it, compared exactly; empty: ``iss`` is not asked for.
        audiences: one of them must be among those that it is for; empty: ``aud`` is not asked for.
        required: claims that must be there.
        scopes_claim: the scopes, as text with blanks between them or as a list.
        scopes: from their scopes to ours; what is not in it is dropped. None: theirs are ours.
        owner_claim: whom it acts for.
        token_id_claim: its public identifier.
        name_claim: what stands for the name of the token.
        leeway: seconds by which the other clock may be ahead of ours.
        maximum_age: seconds after which it expires, whatever it says itself.
    """

    issuers: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    scopes_claim: str = "scope"
    scopes: Mapping[str, frozenset[str]] | None = field(default=None, hash=False)
    owner_claim: str = "sub"
    token_id_claim: str = "jti"  # noqa: S105 - the name of a claim
    name_claim: str = "client_id"
    leeway: float = 0.0
    maximum_age: float | None = None

    def token(self, claims: Claims, default_id: str, now: float) -> Token | None:
        """Give the record that some claims make, or None where they are not meant for us, or not yet.

        A token that has expired is given as it is.

        Args:
            claims: from a source that is trusted to make them.
            default_id: for a token that brings none along.
            now: seconds since the epoch.

        Raises:
            Malformed: when a claim is not of its type, or one that is required is not there.
        """
        owner, issuer = text_of(claims, self.owner_claim), text_of(claims, "iss")
        audiences, subject = names_of(claims, "aud"), text_of(claims, "sub")
        issued, expires, begins = (moment(claims, name) for name in ("iat", "exp", "nbf"))
        lacking = sorted(name for name in {*self.required, self.owner_claim} if name not in claims)
        if lacking or owner is None:
            raise Malformed(f"{', '.join(lacking)}: not there")
        if issued is not None and expires is not None and expires <= issued:
            raise Malformed("exp is not after iat")
        if (self.issuers and issuer not in self.issuers) or (self.audiences and not audiences & self.audiences):
            return None
        if max(issued or 0.0, begins or 0.0) > now + self.leeway:
            return None
        kept = {"iss": issuer, "sub": subject if subject != owner else None}
        return Token(
            id=text_of(claims, self.token_id_claim) or default_id,
            owner=owner,
            name=text_of(claims, self.name_claim) or "",
            scopes=self._scopes(claims),
            created=EPOCH if issued is None else datetime.fromtimestamp(issued, UTC),
            expires=self._end(issued, expires),
            attributes={name: value for name, value in kept.items() if value is not None},
        )

    def _end(self, issued: float | None, expires: float | None) -> datetime | None:
        ends = [] if expires is None else [expires]
        if self.maximum_age is not None:
            # One that does not say when it was issued is too old for whoever wants to know.
            ends.append(min((issued or 0.0) + self.maximum_age, _LATEST))
        return datetime.fromtimestamp(min(ends), UTC) if ends else None

    def _scopes(self, claims: Claims) -> frozenset[str]:
        value = claims.get(self.scopes_claim, ())
        listed: object = [part for part in value.split(" ") if part] if isinstance(value, str) else value
        if not isinstance(listed, list | tuple):
            raise Malformed(f"{self.scopes_claim} is neither text nor a list")
        theirs = frozenset(item if isinstance(item, str) and _SCOPE.fullmatch(item) else "" for item in listed)
        if "" in theirs:
            raise Malformed(f"{self.scopes_claim} names what can't be a scope")
        return theirs if self.scopes is None else frozenset().union(*(self.scopes.get(one, ()) for one in theirs))


def check_terms(
    *,
    issuer: str | Iterable[str] | None,
    audience: str | Iterable[str] | None,
    required: Iterable[str],
    scopes_claim: str,
    scopes: Mapping[str, str | Iterable[str]] | None,
    owner_claim: str,
    token_id_claim: str,
    name_claim: str,
    leeway: float,
    maximum_age: float | None,
) -> Terms:
    """Give the terms that some settings make.

    Raises:
        ConfigurationError: for the first that can't be one.
    """
    named: Mapping[str, object] = {
        "scopes_claim": scopes_claim,
        "owner_claim": owner_claim,
        "token_id_claim": token_id_claim,
        "name_claim": name_claim,
    }
    for setting, claim in named.items():
        if not isinstance(claim, str) or not claim:
            raise ConfigurationError("takes the name of a claim", setting=f"store.{setting}")
    return Terms(
        issuers=texts("issuer", issuer),
        audiences=texts("audience", audience),
        required=frozenset(required),
        scopes_claim=scopes_claim,
        scopes=_mapped(scopes),
        owner_claim=owner_claim,
        token_id_claim=token_id_claim,
        name_claim=name_claim,
        leeway=seconds("leeway", leeway, 0.0),
        maximum_age=None if maximum_age is None else seconds("maximum_age", maximum_age, 1.0),
    )


def texts(setting: str, value: str | Iterable[str] | None) -> frozenset[str]:
    """Give a setting that is one text or several; None: no text.

    Raises:
        ConfigurationError: when it is neither, or one is empty.
    """
    listed: object = () if value is None else (value,) if isinstance(value, str) else value
    if not isinstance(listed, list | tuple | set | frozenset):
        raise ConfigurationError("takes one text, or a list of them", setting=f"store.{setting}")
    if not all(isinstance(item, str) and item for item in listed):
        raise ConfigurationError("there is something in it that is no text", setting=f"store.{setting}")
    return frozenset(listed)


def seconds(setting: str, value: object, least: float) -> float:
    """Give a setting that is a number of seconds.

    Raises:
        ConfigurationError: when it is none, or fewer than the least.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= _LATEST:
        raise ConfigurationError(f"takes seconds, from {least:g} on, not {value!r}", setting=f"store.{setting}")
    return float(value)


def _mapped(scopes: Mapping[str, str | Iterable[str]] | None) -> Mapping[str, frozenset[str]] | None:
    if scopes is None:
        return None
    if not isinstance(scopes, Mapping):
        raise ConfigurationError("must map their scopes to ours", setting="store.scopes")
    mapped = {theirs: texts(f"scopes.{theirs}", ours) for theirs, ours in scopes.items()}
    for theirs, ours in mapped.items():
        if not all(map(_SCOPE.fullmatch, ours)):
            raise ConfigurationError("names what can't be a scope", setting=f"store.scopes.{theirs}")
    return MappingProxyType(mapped)
