"""Each owner is somebody upstream by a credential of their own, out of the vault."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from cachetools import LRUCache

from ...errors import LinkError
from ...interfaces import Caller, Strategy, UpstreamRequest, Vault
from ...model import UpstreamCredential
from ...vault.upstreams import normalised
from .carrying import tell_taken

LIFETIME = 60.0
"""Seconds for which a credential is used without asking the vault again."""
OWNERS = 10_000
"""For how many owners one is kept in memory."""


@dataclass(frozen=True, slots=True)
class _Kept:
    credential: UpstreamCredential
    strategy: Strategy
    until: float


class FromVault:
    """Signs with the credential that the caller's owner has in the vault, in the way that it is of.

    One that was removed or changed is used for at most ``lifetime`` more. One that is still the same keeps its
    strategy, with all that this has learnt: a session, or that the upstream does not take it.

    Args:
        vault: where the credentials are.
        upstream: the address of the upstream that they are for.
        make: gives the strategy for a credential, and raises ``LinkError`` where it is of no use.
        clock: seconds that never go back.
        lifetime: seconds for which the vault is not asked again.
        owners: for how many owners a credential is kept in memory.

    Raises:
        ConfigurationError: when the upstream is none.
    """

    is_callers = False

    def __init__(
        self,
        vault: Vault,
        upstream: str,
        make: Callable[[UpstreamCredential], Strategy],
        clock: Callable[[], float] = time.monotonic,
        *,
        lifetime: float = LIFETIME,
        owners: int = OWNERS,
    ) -> None:
        self._vault, self._upstream, self._make = vault, normalised(upstream), make
        self._clock, self._lifetime = clock, lifetime
        self._kept: LRUCache[str, _Kept] = LRUCache(owners)
        self._lock = Lock()

    def sign(self, request: UpstreamRequest, caller: Caller) -> UpstreamRequest:
        """Give the request, signed as the owner.

        Raises:
            LinkError: when the owner has no credential, or one that is of no use or known not to be taken.
            BackendUnavailable: when the vault can't be asked, or what is in it can't be opened.
        """
        return self._strategy(caller.grant.owner).sign(request, caller)

    def taken(self, caller: Caller) -> None:
        """Hear that the credential was taken."""
        with self._lock:
            kept = self._kept.get(caller.grant.owner)
        if kept is not None:
            tell_taken(kept.strategy, caller)

    def refused(self, caller: Caller) -> bool:
        """Hear that the credential was not taken: the vault is asked again before it is used once more."""
        with self._lock:
            kept = self._kept.get(caller.grant.owner)
            if kept is None:
                return False
            self._kept[caller.grant.owner] = _Kept(kept.credential, kept.strategy, until=self._clock())
        return kept.strategy.refused(caller)

    def _strategy(self, owner: str) -> Strategy:
        now = self._clock()
        with self._lock:
            kept = self._kept.get(owner)
        if kept is not None and now < kept.until:
            return kept.strategy
        credential = self._vault.get(owner, self._upstream)
        if credential is None:
            with self._lock:
                self._kept.pop(owner, None)
            hint = f"run patmiddleware jira connect {shlex.quote(owner)} --kind …"
            raise LinkError(f"{owner} has no credential for the upstream: {hint}")
        # From before the vault was asked, so that what it said is never used for longer.
        return self._keep(owner, credential, now + self._lifetime)

    def _keep(self, owner: str, credential: UpstreamCredential, until: float) -> Strategy:
        # Made with the lock held: of two for one account, each would log in and count its failures by itself.
        with self._lock:
            kept = self._kept.get(owner)
            same = kept is not None and kept.credential == credential
            strategy = kept.strategy if kept is not None and same else self._make(credential)
            self._kept[owner] = _Kept(credential, strategy, until)
            return strategy
