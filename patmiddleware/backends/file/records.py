"""A token as a JSON object, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import chain
from types import NoneType
from typing import Any, TypeAlias

from ...errors import BackendError
from ...model import Digest, Revocation, Token, Use

# What a JSON object is in Python: its values are checked where they are used.
Json: TypeAlias = dict[str, Any]


def dump(value: object) -> bytes:
    """Give a value as JSON: ASCII only, so that no character can break a line or fail to encode."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def digest_text(digest: Digest) -> str:
    """Give a digest as it stands in a record."""
    return f"{digest.kind}:{digest.key_id}:{digest.value.hex()}"


def encode(token: Token, digest: Digest) -> bytes:
    """Give a record as JSON. What is empty is left out.

    Raises:
        BackendError: when :func:`decode` would not take it. One such record fails every list of tokens.
    """
    try:
        _check_texts(token)
    except TypeError as error:
        raise BackendError(f"the record of a token can't be kept: {error}") from error
    facts = {
        "id": token.id,
        "digest": digest_text(digest),
        "owner": token.owner,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "created": _time(token.created),
        "expires": token.expires and _time(token.expires),
        "networks": [str(network) for network in token.networks],
        "limits": {name: sorted(allowed) for name, allowed in token.limits.items()},
        "created_by": token.created_by,
        "parent": token.parent,
        "family": None if token.family == token.id else token.family,
        "replaces": token.replaces,
        "revoked": token.revoked and _revocation(token.revoked),
        "last_used": token.last_used and use_facts(token.last_used),
        "attributes": dict(token.attributes),
    }
    return dump({name: value for name, value in facts.items() if value is not None and value != [] and value != {}})


def decode(row: bytes) -> tuple[Token, Digest]:
    """Give the token and its digest back from a record.

    Raises:
        ValueError, TypeError, KeyError: when it is no record.
    """
    try:
        facts: Json = json.loads(row)
    except RecursionError:
        raise ValueError("brackets within brackets without end") from None
    kind, key_id, value = facts.pop("digest").split(":")
    for name in facts.keys() & {"created", "expires"}:
        facts[name] = _moment(facts[name])
    if "revoked" in facts:
        facts["revoked"] = Revocation(**_timed(facts["revoked"]))
    if "last_used" in facts:
        facts["last_used"] = use_of(facts["last_used"])
    token = Token(**facts)
    _check_texts(token)
    return token, Digest(kind, key_id, bytes.fromhex(value))


def _check_texts(token: Token) -> None:
    """Refuse what is no text in the place of one, which would be found out only by whoever uses it."""
    needed = [token.id, token.name, token.family, *token.scopes, *token.attributes.values()]
    remarks = [token.created_by, token.parent, token.replaces]
    if token.revoked:
        remarks += (token.revoked.by, token.revoked.why)
    if token.last_used:
        remarks += (token.last_used.address, token.last_used.agent)
    given = set(map(type, remarks)) - {NoneType}
    if not given.union(map(type, chain(needed, *token.limits.values()))) <= {str}:
        raise TypeError("something that is no text stands in the place of one")


def use_facts(use: Use) -> Json:
    """Give a use as JSON has it."""
    return {"at": _time(use.at)} | _given(address=use.address, agent=use.agent)


def use_of(facts: Mapping[str, Any]) -> Use:
    """Give the use back from what :func:`use_facts` gave.

    Raises:
        ValueError, TypeError, KeyError: when it is none.
    """
    return Use(**_timed(facts))


def _revocation(revoked: Revocation) -> Json:
    return {"at": _time(revoked.at)} | _given(by=revoked.by, why=revoked.why or None)


def _given(**facts: str | None) -> Json:
    return {name: value for name, value in facts.items() if value is not None}


def _timed(facts: Mapping[str, Any]) -> Json:
    if not all(isinstance(text, str) for text in facts.values()):
        raise TypeError("something that is no text stands in the place of one")
    return {**facts, "at": _moment(facts["at"])}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError("a time without its zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time that is before or after all times in UTC") from None


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
