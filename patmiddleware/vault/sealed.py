"""The vault: credentials go in and come out, sealed in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from ..model import UpstreamCredential
from .rows import Rows, Sealed
from .sealing import Keyring


class SealedVault:
    """Keeps each owner's own credential for an upstream, encrypted.

    Owners and upstreams are compared byte for byte: "Alice" is not "alice". Give upstreams as
    :func:`~patmiddleware.vault.normalised` has them.

    Args:
        rows: where the sealed ones are kept.
        keyring: seals and opens them.
        clock: gives seconds since the epoch.
    """

    def __init__(self, rows: Rows, keyring: Keyring, *, clock: Callable[[], float] = time.time) -> None:
        self.rows, self.keyring, self._clock = rows, keyring, clock

    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        """Give the owner's credential, or None where there is none.

        Raises:
            BackendUnavailable: when it can't be said, or what is kept can't be opened.
        """
        sealed = self.rows.get(owner, upstream)
        return None if sealed is None else self.keyring.open(sealed)

    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        """Keep a credential in the place of the one before.

        Raises:
            BackendError: when it is too long, or a name can't be kept.
            BackendUnavailable: when it can't be written.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        self.rows.put(self.keyring.seal(owner, upstream, credential, now))

    def remove(self, owner: str, upstream: str) -> None:
        """Forget the owner's credential; one that is not there is no error.

        Raises:
            BackendUnavailable: when it can't be written.
        """
        self.rows.remove(owner, upstream)

    def list(self) -> Sequence[Sealed]:
        """Give all that are kept, sealed, ordered by owner and upstream.

        Raises:
            BackendUnavailable: when it can't be said.
        """
        return self.rows.all()

    def close(self) -> None:
        """Let go of what is open; the vault may still be used after it."""
        self.rows.close()
