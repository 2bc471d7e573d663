"""Look at both sides record by record, and say what is to become of each."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, TypeAlias

from ..errors import RefusedError
from ..interfaces import Add, Replace
from ..issuance import earliest, successor_id
from ..model import Digest, Token, Use
from ..tokens import digest_to_store

Record: TypeAlias = tuple[Token, Digest]

_ANY = Digest("sha256", "", bytes(32))
_BUCKETS = 256
_ROTATIONS = 100
"""How many rotations of a token are seen through between two copies."""


class Records(Protocol):
    """What has tokens to give."""

    def records(self) -> Iterator[Record]:
        """Give every record with its digest, ordered by id."""


def side_by_side(source: Records, target: Records) -> Iterator[tuple[Record | None, Record | None]]:
    """Give what both sides hold, ordered by id; None stands for what only the other side has.

    Raises:
        RefusedError: when the ids of a side don't come in order, so that nothing could be said.
    """
    coming, kept = _ordered(source, "source"), _ordered(target, "target")
    here, there = next(coming, None), next(kept, None)
    while here is not None or there is not None:
        if there is None or (here is not None and here[0].id < there[0].id):
            yield here, None
            here = next(coming, None)
        elif here is None or there[0].id < here[0].id:
            yield None, there
            there = next(kept, None)
        else:
            yield here, there
            here, there = next(coming, None), next(kept, None)


def _ordered(side: Records, name: str) -> Iterator[Record]:
    last = None
    for record in side.records():
        if last is not None and record[0].id <= last:
            raise RefusedError(f"the ids of the {name} don't come in the order of their characters' numbers")
        last = record[0].id
        yield record


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of one token.

    Args:
        token: the record as it is to stand in the target.
        digest: what it stands under there.
        change: what makes it so; None: it is so already.
        differs: whether it is another record than in the source.
        use: a last use to carry over to a token that is there already.
    """

    token: Token
    digest: Digest
    change: Add | Replace | None = None
    differs: bool = False
    use: Use | None = None


class Judge:
    """Knows what a target may keep.

    Args:
        peppers: the target's, newest first; None: it keeps every digest as it is, and only hands it on.
        known: the source's, to tell that its digest is of the same secret as a plain one in the target.
    """

    def __init__(self, peppers: Sequence[bytes] | None, known: Sequence[bytes] = ()) -> None:
        self._peppers, self._known = peppers or (), known
        self._keys = None if peppers is None else {digest_to_store(_ANY, (pepper,)).key_id for pepper in peppers}

    def forms(self, digest: Digest) -> tuple[Digest, ...]:
        """Give every form under which the target may keep a digest."""
        return _forms(digest, self._peppers)

    def __call__(self, record: Record, there: Record | None) -> Verdict:
        """Judge one token: a new one is added; of one that is there, its end is carried over, and nothing else touched.

        Args:
            record: of the source.
            there: what the target has under the same id.

        Raises:
            RefusedError: when the id stands for another secret there, or nobody could use the token there.
        """
        token, digest = record
        if there is None:
            self._refuse_unusable(token, digest)
            return Verdict(token, digest_to_store(digest, self._peppers), Add(token, digest))
        if not self._may_be_the_same(record, there):
            raise RefusedError(f"the target has another token with the id {token.id}")
        kept, kept_digest = there
        becomes = _ended(kept, token)
        change = None if becomes is kept else Replace(becomes, kept)
        return Verdict(becomes, kept_digest, change, not _alike(becomes, token), _newer(token, kept))

    def _refuse_unusable(self, token: Token, digest: Digest) -> None:
        if digest.kind == "blake2b" and self._keys is not None and digest.key_id not in self._keys:
            raise RefusedError(
                f"the token {token.id} is kept under a pepper (key {digest.key_id}) that the target does not have, so "
                "nobody could use it there: give the target this pepper too, in 'peppers' of its settings file"
            )

    def _may_be_the_same(self, record: Record, there: Record) -> bool:
        (token, digest), (kept, kept_digest) = record, there
        if kept_digest in self.forms(digest) or digest in _forms(kept_digest, self._known):
            return True
        # Jira's slow hash gives way to a fast digest at the first use. Whether both are of one secret can't be told.
        changed = (digest.kind == "pkcs5s2") != (kept_digest.kind == "pkcs5s2")
        return changed and (token.owner, token.created) == (kept.owner, kept.created)


def _ended(kept: Token, token: Token) -> Token:
    """Give a token of the target with the end that the source knows of; nothing comes back to life.

    A rotation revokes nothing: it lets the old token expire earlier, and puts its children under the new one.
    """
    revoked, expires = kept.revoked or token.revoked, earliest(kept.expires, token.expires)
    parent = token.parent if _was_rotated(kept.parent, token.parent) else kept.parent
    if (revoked, expires, parent) == (kept.revoked, kept.expires, kept.parent):
        return kept
    return replace(kept, revoked=revoked, expires=expires, parent=parent)


def _was_rotated(parent: str | None, successor: str | None) -> bool:
    """Say whether the one came from the other; so what was rotated in the target alone is not undone."""
    if parent is None or successor is None or parent == successor:
        return False
    id = parent
    return any((id := successor_id(id)) == successor for _ in range(_ROTATIONS))


def _forms(digest: Digest, peppers: Sequence[bytes]) -> tuple[Digest, ...]:
    return (digest, *(digest_to_store(digest, (pepper,)) for pepper in peppers))


def _alike(one: Token, other: Token) -> bool:
    """Say whether two records are the same but for their last use."""
    return (one if one.last_used == other.last_used else replace(one, last_used=other.last_used)) == other


def _newer(token: Token, kept: Token) -> Use | None:
    use, known = token.last_used, kept.last_used
    return use if use is not None and (known is None or known.at < use.at) else None


class Fingerprints:
    """Finds values that came twice, with eight bytes of memory for each.

    Two values may have one fingerprint, though hardly ever: what is found must be looked at again.
    """

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(_BUCKETS)]

    def add(self, values: Iterable[bytes]) -> None:
        """Take values."""
        for value in values:
            fingerprint = hash(value)
            self._buckets[fingerprint % _BUCKETS].append(fingerprint)

    def repeated(self) -> set[int]:
        """Give the fingerprints that came more than once."""
        found = set()
        for bucket in self._buckets:
            if len(set(bucket)) < len(bucket):
                ordered = sorted(bucket)
                found |= {one for one, next in pairwise(ordered) if one == next}
        return found
