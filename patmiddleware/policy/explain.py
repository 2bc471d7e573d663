"""Why a request is decided as it is, rule by rule."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ..model import Address, Allowed, Denied, Grant, Reason
from .rules import Effect, Hit, Matched, Rule, opening, selects, unmet

_CLOSED = "a preset closes this place to rules whose path does not spell it out"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as rules look at it, and with which method."""

    grant: Grant | None
    held: frozenset[str]
    address: Address | None
    method: str


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one rule whose path matches.

    Args:
        rule: its id.
        effect: ``allow``, ``require`` or ``deny``.
        outcome: ``refuses``, ``holds``, ``fails`` or ``passed over``.
        why: one clause.
    """

    rule: str
    effect: Effect
    outcome: str
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, and every rule that was looked at."""

    decision: Allowed | Denied
    steps: tuple[Step, ...]


def explain(decision: Allowed | Denied, mentioned: Collection[Rule], matched: Matched, caller: Caller) -> Explanation:
    """Say for each rule that mentions the path what became of it.

    Args:
        decision: what was decided.
        mentioned: every rule whose path matches, whatever its method.
        matched: the hits that were judged.
        caller: who asks.
    """
    hits = (*matched.denies, *matched.requires, *matched.allows, *matched.public)
    # Of a rule whose path matches in several ways one way is enough, so the ways that hold come last.
    ways = {hit.rule.id: hit for hit in sorted(hits, key=lambda hit: _unmet(hit, caller, False) is None)}
    waived = opening(matched, caller.grant, caller.held, caller.address) is not None
    shut = {hit.rule.id for hit in matched.shut}
    steps = (_step(rule, ways.get(rule.id), caller, waived, rule.id in shut) for rule in mentioned)
    return Explanation(decision, tuple(steps))


def _step(rule: Rule, hit: Hit | None, caller: Caller, waived: bool, shut: bool) -> Step:
    if rule.methods is not None and caller.method not in rule.methods:
        return Step(rule.id, rule.effect, "passed over", f"it is about {_listed(rule.methods)}")
    if hit is None:
        return Step(rule.id, rule.effect, "passed over", _CLOSED if shut else "a more specific operation decides")
    if not selects(rule, caller.grant, caller.held, caller.address):
        return Step(rule.id, rule.effect, "passed over", "its 'when' is not about this caller")
    if rule.effect == "deny":
        return Step(rule.id, rule.effect, "refuses", "a matching deny refuses, whatever else holds")
    # An allow that isn't public still says what it lacks where a public one holds; a require is waived.
    waived = rule.public or (waived and rule.effect == "require")
    reason = _unmet(hit, caller, waived)
    outcome = "holds" if reason is None else "fails"
    return Step(rule.id, rule.effect, outcome, _why(reason, hit, caller, waived))


def _unmet(hit: Hit, caller: Caller, waived: bool) -> Reason | None:
    return unmet(hit, caller.grant, caller.held, caller.address, waived)


def _why(reason: Reason | None, hit: Hit, caller: Caller, waived: bool) -> str:
    rule = hit.rule
    match reason:
        case None:
            return "the path is public" if waived else f"needs {_demands(rule)}"
        case Reason.INSUFFICIENT_SCOPE:
            return f"needs {_listed(rule.scopes)}, the token has {_listed(caller.held) or 'no scope'}"
        case Reason.GROUP:
            return f"needs one of the groups {_listed(rule.groups)}"
        case Reason.NETWORK:
            networks = _listed(map(str, rule.networks))
            return f"needs an address in {networks}, this one is {caller.address or 'not known'}"
        case Reason.LIMIT:
            captured = ", ".join(f"{name}={value}" for name, value in hit.captures.items()) or "nothing"
            return f"the token is limited, and the path captures {captured}"
        case _:
            return "needs a token"


def _demands(rule: Rule) -> str:
    demands = [_listed(rule.scopes)] if rule.scopes else []
    if rule.groups:
        demands.append(f"one of the groups {_listed(rule.groups)}")
    if rule.networks:
        demands.append(f"an address in {_listed(map(str, rule.networks))}")
    return "; ".join(demands) or "any valid token"


def _listed(names: Collection[str] | map[str]) -> str:
    return ", ".join(sorted(names))
