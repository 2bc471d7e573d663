"""Seal everything anew under the newest key, so that old keys can be dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ..errors import BackendUnavailable
from .rows import Sealed
from .sealed import SealedVault
from .sealing import Keyring

BATCH = 100
"""Credentials that are written at once."""


class Step(Protocol):
    """Tells that something is done."""

    def __call__(self, done: int = 1) -> None:
        """Move on by so many credentials."""


Progress: TypeAlias = Callable[[str, int | None], AbstractContextManager[Step]]
"""Takes what is being done, and how many credentials there are."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What came of a rotation.

    Args:
        resealed: how many are under the newest key now, and were not before.
        failed: what can't be opened: the key is missing, or it was damaged. They were left as they are.
    """

    resealed: int
    failed: tuple[Sealed, ...] = ()


def rotate(vault: SealedVault, progress: Progress | None = None) -> Rotated:
    """Seal everything anew under the newest key.

    What is put or removed meanwhile stays so. Interrupted, it goes on from there when it is run again.

    First every process must have the new key, behind the old one; then in front of it. Then rotate, and once nothing
    failed drop the old key.

    Args:
        vault: to be gone through.
        progress: what shows how far it is.

    Raises:
        BackendUnavailable: when it can't be read or written.
    """
    resealed, failed = 0, set[Sealed]()

    def left() -> list[Sealed]:
        return [row for row in vault.list() if row.key_id != vault.keyring.newest and row not in failed]

    # Again, for a process that has the old key in front may put one in meanwhile.
    while old := left():
        with (progress or _silent)("Sealing anew", len(old)) as step:
            for batch in _batches(old):
                pairs = [(new, row) for row in batch if (new := _resealed(vault.keyring, row, failed))]
                resealed += vault.rows.replace(pairs)
                step(len(batch))
    return Rotated(resealed, tuple(row for row in vault.list() if row in failed))


def _resealed(keyring: Keyring, row: Sealed, failed: set[Sealed]) -> Sealed | None:
    try:
        credential = keyring.open(row)
    except BackendUnavailable:
        failed.add(row)
        return None
    return keyring.seal(row.owner, row.upstream, credential, row.changed)


def _batches(rows: Sequence[Sealed]) -> Iterator[Sequence[Sealed]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _silent(label: str, total: int | None) -> AbstractContextManager[Step]:
    return nullcontext(lambda done=1: None)
