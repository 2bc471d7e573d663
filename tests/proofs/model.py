"""Helper: judges a history. Pure: neither clocks nor stores, only what is written there.

What it asks for:

* nobody is let in with a secret that was never issued, nor taken for somebody else, nor for nobody;
* no request that begins later than the bound after a revocation was acknowledged is let in; nor one after the end of a
  token, by every clock; nor one whose owner has not been active for longer than that may take;
* a live token is never called a bad one: an outage is an outage;
* what was acknowledged is in the store in the end, and nothing else was done to it;
* once all is well, everything is answered.

A request that is let in too late counts by when it *began*. Whatever holds up the client or the server makes an act
look later and a request look earlier than it was, so that a slow machine hides faults at the worst; it makes none up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from proofs.history import Act, Ask, History, Kept

LAWFUL = {200, 401, 403, 503}
_EQUAL = 0.001  # seconds between two ways of writing one time


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised, in seconds.

    Args:
        bound: after which a change of a token is seen, ``stale_while_error`` counted in.
        owners: the same for a change of an owner.
    """

    bound: float = 1.0
    owners: float = inf


@dataclass(slots=True)
class Life:
    """All that is known of one token.

    Args:
        mint: how it came to be.
        rotations: of it.
        endings: revocations of it, or of what it may die with.
    """

    mint: Act
    rotations: list[Act] = field(default_factory=list)
    endings: list[Act] = field(default_factory=list)

    def revoked_at(self) -> float:
        """Give when a revocation of it was first acknowledged."""
        mine = [act.end for act in self.endings if act.token == self.mint.token and act.outcome == "done"]
        return min(mine, default=inf)

    def may_be_revoked(self, until: float) -> bool:
        """Whether somebody had begun to revoke it before a time."""
        return any(act.begin < until and act.outcome != "refused" for act in self.endings)

    def surely_ends(self, before: float) -> float:
        """Give when it ends by the wall clock, by what was acknowledged before a time."""
        known = [act.expires for act in self.rotations if act.outcome == "done" and act.end < before]
        return min(known, default=self.mint.expires)

    def may_end(self, until: float) -> float:
        """Give when it may end by the wall clock, by what was begun before a time."""
        begun = [act.expires for act in self.rotations if act.outcome != "refused" and act.begin < until]
        return min([*begun, self.mint.expires])


def faults(history: History, promise: Promise) -> list[str]:
    """Give all that is wrong with a history, each in a sentence; none where it is as promised."""
    lives, owners = _lives(history.acts), _owners(history.acts)
    judge = _Judge(history, promise, lives, owners)
    return [
        *(f"{words}: {act}" for act in history.acts for words in _lost(act, lives)),
        *(f"{words}: {ask}" for ask in history.asks for words in judge.faults(ask)),
        *(f"{words}: {id}" for id, words in _missing(history, lives)),
    ]


def _lives(acts: Sequence[Act]) -> dict[str, Life]:
    lives = {act.token: Life(act) for act in acts if act.kind == "mint" and act.outcome == "done"}
    families = defaultdict(list)
    for life in lives.values():
        families[life.mint.family].append(life)
    for act in acts:
        if act.kind == "rotate" and act.token in lives:
            lives[act.token].rotations.append(act)
        elif act.kind == "revoke" and act.token in lives:
            for life in families[lives[act.token].mint.family]:
                life.endings.append(act)
    return lives


def _owners(acts: Sequence[Act]) -> dict[str, list[Act]]:
    owners = defaultdict(list)
    for act in sorted(acts, key=lambda act: act.begin):
        if act.kind in ("activate", "deactivate"):
            owners[act.token].append(act)
    return owners


def _lost(act: Act, lives: dict[str, Life]) -> Iterator[str]:
    """Nobody may be told that a token does not exist whose making was acknowledged."""
    life = lives.get(act.token)
    if act.kind == "revoke" and act.outcome == "refused" and life is not None and life.mint.end < act.begin:
        yield "the store denied an acknowledged token"


class _Judge:
    def __init__(
        self, history: History, promise: Promise, lives: dict[str, Life], owners: dict[str, list[Act]]
    ) -> None:
        self._history, self._promise, self._lives, self._owners = history, promise, lives, owners
        self._rules: dict[int, Callable[[Ask], Iterator[str]]] = {
            200: self._let_in,
            401: self._refused,
            503: self._unavailable,
        }

    def faults(self, ask: Ask) -> Iterator[str]:
        if ask.status not in LAWFUL:
            yield "no lawful answer"
        if ask.status in self._rules:
            yield from self._rules[ask.status](ask)

    def _let_in(self, ask: Ask) -> Iterator[str]:
        if ask.token is None:
            yield "let in with a secret that was never issued"
            return
        if ask.seen != ask.token:
            yield "taken for somebody else"
        life, before = self._lives.get(ask.token), ask.begin - self._promise.bound
        if life is None:
            return
        if life.revoked_at() < before:
            yield "let in after it was revoked"
        if life.surely_ends(before) <= self._history.earliest(ask):
            yield "let in after it expired"
        if self._surely_inactive(life.mint.owner, ask):
            yield "let in after its owner was deactivated"

    def _refused(self, ask: Ask) -> Iterator[str]:
        life = None if ask.token is None else self._lives.get(ask.token)
        if life is None or life.mint.end >= ask.begin:
            return
        dead = life.may_be_revoked(ask.end) or life.may_end(ask.end) <= self._history.latest(ask)
        if not dead and not self._may_be_inactive(life.mint.owner, ask):
            yield "a live token was called a bad one"

    def _unavailable(self, ask: Ask) -> Iterator[str]:
        if ask.settled:
            yield "unavailable though all is well"

    def _surely_inactive(self, owner: str, ask: Ask) -> bool:
        known = [act for act in self._owners.get(owner, ()) if act.begin < ask.end]
        return bool(known) and known[-1].kind == "deactivate" and known[-1].end < ask.begin - self._promise.owners

    def _may_be_inactive(self, owner: str, ask: Ask) -> bool:
        known = [act for act in self._owners.get(owner, ()) if act.begin < ask.end]
        if not known or all(act.kind == "activate" for act in known):
            return False
        return known[-1].kind == "deactivate" or known[-1].end >= ask.begin - self._promise.owners


def _missing(history: History, lives: dict[str, Life]) -> Iterator[tuple[str, str]]:
    """Compare what the store has in the end with what was acknowledged."""
    if history.kept is None:
        return
    kept = {one.token: one for one in history.kept}
    for id, life in lives.items():
        if id not in kept:
            yield id, "an acknowledged token is lost"
        else:
            yield from ((id, words) for words in _changed(life, kept[id]))


def _changed(life: Life, kept: Kept) -> Iterator[str]:
    if kept.found != kept.token:
        yield "its secret finds another token, or none"
    if life.revoked_at() < inf and not kept.revoked:
        yield "an acknowledged revocation is lost"
    if kept.revoked and not life.may_be_revoked(inf):
        yield "nobody revoked it"
    # A rotation in whose midst it was revoked is refused, but has cut its life short.
    unsure = any(act.outcome == "unknown" for act in life.rotations) or life.may_be_revoked(inf)
    ends = life.surely_ends(inf)
    if not unsure and kept.expires != ends and not abs(kept.expires - ends) < _EQUAL:
        yield "it ends at another time than was acknowledged"
