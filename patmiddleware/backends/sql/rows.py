"""A token as a row, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_network
from types import MappingProxyType, NoneType
from typing import Any, TypeAlias

import sqlalchemy as sa

from patmiddleware.errors import BackendError, BackendUnavailable
from patmiddleware.model import EPOCH, Digest, Network, Revocation, Token, Use

from .schema import LENGTH, tokens, uses

# What a driver gives and takes.
Row: TypeAlias = Sequence[Any]
Values: TypeAlias = dict[str, Any]

_MICROSECOND = timedelta(microseconds=1)
_TEXT_OR_NONE = {str, NoneType}

COLUMNS: tuple[sa.ColumnElement[Any], ...] = (
    tokens.c.id,
    tokens.c.owner,
    tokens.c.name,
    tokens.c.scopes,
    tokens.c.created,
    tokens.c.expires,
    tokens.c.networks,
    tokens.c.limits,
    tokens.c.created_by,
    tokens.c.parent,
    tokens.c.family,
    tokens.c.replaces,
    tokens.c.revoked,
    tokens.c.revoked_at,
    tokens.c.revoked_by,
    tokens.c.revoked_why,
    tokens.c.attributes,
    uses.c.at.label("used_at"),
    uses.c.address,
    uses.c.agent,
)
"""What :func:`to_token` takes, in this order."""


def to_token(row: Row) -> Token:
    """Make a token of a row of :data:`COLUMNS`; what follows them is passed over.

    Raises:
        BackendUnavailable: when the row is damaged.
    """
    try:
        return _to_token(row)
    except (ValueError, TypeError, OverflowError, AttributeError, RecursionError) as error:
        raise BackendUnavailable(f"the row of the token {row[0]!r} is damaged") from error


def _to_token(row: Row) -> Token:
    id, owner, name, scopes, created, expires, networks, limits, created_by, parent, family, replaces = row[:12]
    revoked, revoked_at, revoked_by, revoked_why, attributes, used_at, address, agent = row[12:20]
    if not {type(text) for text in (id, owner, name, created_by, parent, family, replaces)} <= _TEXT_OR_NONE:
        raise TypeError("a text is expected")
    if bool(revoked) != (revoked_at is not None):
        raise ValueError("whether it is revoked is said in two ways")  # somebody revoked it by hand, perhaps
    return Token(
        id=id,
        owner=owner,
        name=name,
        scopes=_names(scopes),
        created=to_time(created),
        expires=None if expires is None else to_time(expires),
        networks=_networks(networks),
        limits=_limits(limits),
        created_by=created_by,
        parent=parent,
        family=family,
        replaces=replaces,
        revoked=None if revoked_at is None else Revocation(to_time(revoked_at), revoked_by, revoked_why or ""),
        last_used=None if used_at is None else Use(to_time(used_at), address, agent),
        attributes=_attributes(attributes),
    )


def token_values(token: Token) -> Values:
    """Give the columns of a token, but for its digest and its last use.

    Raises:
        BackendError: when a name is too long to be kept.
    """
    revoked = token.revoked
    for name in ("id", "owner", "parent", "family", "replaces"):
        # Said here: one database refuses it, another cuts it.
        if len(getattr(token, name) or "") > LENGTH:
            raise BackendError(f"the {name} of a token has more than {LENGTH} characters, which no SQL store keeps")
    return {
        "id": token.id,
        "owner": token.owner,
        "name": token.name,
        "scopes": json.dumps(sorted(token.scopes)),
        "created": from_time(token.created),
        "expires": None if token.expires is None else from_time(token.expires),
        "networks": json.dumps([str(network) for network in token.networks]),
        "limits": json.dumps({name: sorted(values) for name, values in token.limits.items()}),
        "created_by": token.created_by,
        "parent": token.parent,
        "family": token.family,
        "replaces": token.replaces,
        "revoked": revoked is not None,
        "revoked_at": None if revoked is None else from_time(revoked.at),
        "revoked_by": None if revoked is None else revoked.by,
        "revoked_why": None if revoked is None else revoked.why,
        "attributes": json.dumps(dict(token.attributes)),
    }


def digest_values(digest: Digest) -> Values:
    """Give the columns of a digest."""
    return {"kind": digest.kind, "key_id": digest.key_id, "digest": digest.value}


def use_values(uses: Iterable[tuple[str, Use]]) -> list[Values]:
    """Give the columns of the last uses of tokens, named so that none is also a column's name in a statement."""
    return [
        {"used_id": id, "used_at": from_time(use.at), "used_address": use.address, "used_agent": use.agent}
        for id, use in uses
    ]


def from_time(moment: datetime) -> int:
    """Give whole microseconds since the epoch: a float would lose some."""
    return (moment - EPOCH) // _MICROSECOND


def to_time(microseconds: int) -> datetime:
    """Give the aware UTC datetime."""
    return EPOCH + timedelta(microseconds=microseconds)


# The same few sets of scopes stand in most rows: read once, and shared by all the tokens in memory.


@lru_cache(1024)
def _names(text: str) -> frozenset[str]:
    return frozenset(_texts(json.loads(text)))


@lru_cache(1024)
def _networks(text: str) -> tuple[Network, ...]:
    return tuple(map(ip_network, _texts(json.loads(text))))


@lru_cache(1024)
def _limits(text: str) -> Mapping[str, frozenset[str]]:
    limits = json.loads(text)
    return MappingProxyType({name: frozenset(_texts(values)) for name, values in limits.items()})


@lru_cache(1024)
def _attributes(text: str) -> Mapping[str, str]:
    attributes = json.loads(text)
    _texts(list(attributes.values()))
    return MappingProxyType(attributes)


def _texts(values: object) -> list[str]:
    # A text is a collection of texts, too: a bad row must not become one-letter scopes.
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        return values
    raise TypeError("a list of texts is expected")
