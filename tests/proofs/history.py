"""Helper: what was done and what was heard, with the times at which each began and ended.

All times are monotonic, in seconds; the clock is the same for all processes of a machine. What ends at None, or is
``unknown``, was done, or not, or only in part: somebody raised an error.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Literal

UNSURE = 0.02
"""Seconds by which the two clocks of a machine may have been compared badly."""

Outcome = Literal["done", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did to a token, or to an owner.

    Args:
        kind: ``mint``, also of the successor in a rotation; ``rotate`` of the one that is replaced; ``revoke``;
            ``deactivate`` and ``activate``, of an owner.
        token: its id; the owner's name, where it is about one.
        begin: before it was asked for.
        end: after it was answered.
        outcome: what was answered.
        expires: in seconds since the epoch, when the token ends by this act; infinite: never. Of a rotation whose
            outcome is unknown: at the earliest.
        family: all tokens that may die with it.
        owner: of the token.
    """

    kind: Literal["mint", "rotate", "revoke", "activate", "deactivate"]
    token: str
    begin: float
    end: float
    outcome: Outcome = "done"
    expires: float = inf
    family: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request.

    Args:
        token: the id of the token whose secret was sent; None: there is no such token.
        begin: before the first byte was sent.
        end: after the answer.
        status: of the answer.
        seen: as whose token the application was called.
        worker: who answered.
        settled: whether all had been well for long enough.
    """

    token: str | None
    begin: float
    end: float
    status: int
    seen: str = ""
    worker: str = ""
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A record, as a store has it in the end.

    Args:
        token: its id.
        found: the id of the token that its secret finds; None: none.
        revoked: whether it is.
        expires: in seconds since the epoch; infinite: never.
    """

    token: str
    found: str | None
    revoked: bool
    expires: float = inf


@dataclass(frozen=True, slots=True)
class Reading:
    """By how much the wall clock of the servers may have been wrong, from one time to another."""

    begin: float
    end: float
    offset: float


def _epoch() -> float:
    """Compare the clocks; of several tries the one in which least came between."""
    return max(time.time() - time.monotonic() for _ in range(20))


@dataclass(frozen=True, slots=True)
class History:
    """All that was done and heard.

    Args:
        acts: what was done.
        asks: what was heard.
        kept: what the store has in the end; None: nobody looked.
        readings: of the wall clock; none: it went right.
        epoch: what to add to a monotonic time to have the seconds since the epoch.
    """

    acts: Sequence[Act]
    asks: Sequence[Ask]
    kept: Sequence[Kept] | None = None
    readings: Sequence[Reading] = ()
    epoch: float = field(default_factory=_epoch)

    def earliest(self, ask: Ask) -> float:
        """Give the lowest time that the wall clock of a server can have shown while a request was judged."""
        return self.epoch + ask.begin + min(self._offsets(ask), default=0.0) - UNSURE

    def latest(self, ask: Ask) -> float:
        """Give the highest one."""
        return self.epoch + ask.end + max(self._offsets(ask), default=0.0) + UNSURE

    def _offsets(self, ask: Ask) -> list[float]:
        return [one.offset for one in self.readings if one.begin <= ask.end and ask.begin <= one.end]
