"""A sealed credential as it is kept, and what keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sealed:
    """A credential that nobody can read without its key.

    Args:
        owner: whose it is; compared byte for byte.
        upstream: for which it is; compared byte for byte.
        kind: of the credential.
        key_id: of the key that opens it.
        changed: when it was put there; aware, UTC, to the microsecond.
        data: nonce, ciphertext and tag.

    Raises:
        TypeError: for what somebody else wrote in a place of ours.
    """

    owner: str
    upstream: str
    kind: str
    key_id: str
    changed: datetime
    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        texts: tuple[object, ...] = (self.owner, self.upstream, self.kind, self.key_id)
        data: object = self.data
        if not all(isinstance(text, str) for text in texts) or not isinstance(data, bytes):
            raise TypeError("a sealed credential is made of texts and bytes")


class Rows(Protocol):
    """Keeps sealed credentials, one for each owner and upstream; it neither opens nor judges them.

    Every method raises :class:`~patmiddleware.errors.BackendUnavailable` when it can't be said or done.
    """

    def get(self, owner: str, upstream: str) -> Sealed | None:
        """Give what is kept for an owner and an upstream, or None."""

    def all(self) -> Sequence[Sealed]:
        """Give all that are kept, ordered by owner and upstream."""

    def put(self, row: Sealed) -> None:
        """Keep a row in the place of the one before.

        Raises:
            BackendError: for a name that can't be kept.
        """

    def remove(self, owner: str, upstream: str) -> None:
        """Forget what is kept for an owner and an upstream; where there is nothing it is no error."""

    def replace(self, pairs: Sequence[tuple[Sealed, Sealed]]) -> int:
        """Write the first of each pair over the second, where that is still there as it was; give how many were.

        All are written, or none.
        """

    def close(self) -> None:
        """Let go of what is open; it may still be used after it."""
