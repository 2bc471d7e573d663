"""What tokens come to: how many there are, and one digest over all that a store keeps of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from ..model import Digest, Token

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Total:
    """How many tokens there are, and a digest over them in hexadecimal digits. Last uses are not in it."""

    tokens: int
    digest: str


class Adder:
    """Adds tokens up. They must come ordered by id."""

    def __init__(self) -> None:
        self._count, self._hash = 0, blake2b(digest_size=_DIGEST_BYTES)

    def add(self, token: Token, digest: Digest) -> None:
        """Take one more."""
        self._count += 1
        self._hash.update(_canonical(token, digest))

    @property
    def total(self) -> Total:
        """What the tokens so far come to."""
        return Total(self._count, self._hash.hexdigest())


def _canonical(token: Token, digest: Digest) -> bytes:
    """Give the one spelling of a record that does not depend on the store that it stands in."""
    revoked = token.revoked
    facts = (
        token.id,
        (digest.kind, digest.key_id, digest.value.hex()),
        token.owner,
        token.name,
        sorted(token.scopes),
        _time(token.created),
        _time(token.expires),
        [str(network) for network in token.networks],
        {name: sorted(allowed) for name, allowed in token.limits.items()},
        token.created_by,
        token.parent,
        token.family,
        token.replaces,
        revoked and (_time(revoked.at), revoked.by, revoked.why),
        dict(token.attributes),
    )
    return json.dumps(facts, sort_keys=True).encode("ascii") + b"\n"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
