"""Rules, and how a request is judged by those that its path matches.

The order is always: any matching deny refuses; every matching require must hold; then one matching allow must hold;
else the request is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from ..model import Address, Allowed, Denied, Grant, Network, Reason
from .patterns import Pattern

Effect: TypeAlias = Literal["allow", "require", "deny"]
NO_SCOPES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class When:
    """Which callers a rule is about: any of each kind, all kinds that are given."""

    groups: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as written.

    Args:
        id: unique name, shown to the caller in a 403.
        effect: ``allow``, ``require`` or ``deny``.
        patterns: the paths that it is about.
        methods: None: any.
        when: None: any caller.
        scopes: demanded, all of them.
        groups: demanded, any of them; empty: no demand.
        networks: demanded, any of them; empty: no demand.
        public: no token is needed.
        ignore_credentials: a credential is neither read nor removed.
        limits_exempt: open to tokens with limits, whatever they are limited to.
        table: name of the preset whose most specific operation alone counts; empty for other rules.
    """

    id: str
    effect: Effect
    patterns: tuple[Pattern, ...]
    methods: frozenset[str] | None = None
    when: When | None = None
    scopes: frozenset[str] = NO_SCOPES
    groups: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    public: bool = False
    ignore_credentials: bool = False
    limits_exempt: bool = False
    table: str = ""

    @property
    def asks_address(self) -> bool:
        """Whether the client's address matters to this rule."""
        return bool(self.networks or (self.when is not None and self.when.networks))


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule whose path and method match, with what the path captured."""

    rule: Rule
    captures: Mapping[str, str]
    allowed: Allowed = field(init=False)

    def __post_init__(self) -> None:
        # Made once here, so that letting a request pass builds nothing.
        object.__setattr__(self, "allowed", Allowed(self.rule.id, self.captures))


@dataclass(frozen=True, slots=True)
class Matched:
    """All that the rules say about a method and a path; it does not depend on who asks.

    Args:
        shut: allows that would match, were the path not in a place that a preset closes and they don't name.
        closed: whether the path is in such a place.
        mentioned: whether an allow rule is about this path, if only for another method, or a preset closes it.
        also: another reading of the same path, which must be allowed as well.
        asks_address: whether any of the rules looks at the client's address.
        observe: let pass a valid token that only lacks a scope or a rule, and mark it.
        guarded: whether anything is asked before the allows.
    """

    denies: tuple[Hit, ...] = ()
    requires: tuple[Hit, ...] = ()
    allows: tuple[Hit, ...] = ()
    public: tuple[Hit, ...] = ()
    shut: tuple[Hit, ...] = ()
    closed: bool = False
    mentioned: bool = False
    also: Matched | None = None
    asks_address: bool = False
    observe: bool = False
    guarded: bool = field(init=False)

    def __post_init__(self) -> None:
        guarded = bool(self.denies or self.requires or self.public) or self.also is not None
        object.__setattr__(self, "guarded", guarded)


def within(address: Address | None, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of the networks; an unknown address is in none."""
    if address is None:
        return False
    return any(address in network for network in networks)


def selects(rule: Rule, grant: Grant | None, held: frozenset[str], address: Address | None) -> bool:
    """Whether a rule is about this caller. Where the address isn't known, only rules that refuse are."""
    when = rule.when
    if when is None:
        return True
    if not _selects_address(rule, when, address):
        return False
    if grant is None:
        return not (when.groups or when.owners or when.scopes)
    return (
        (not when.groups or not when.groups.isdisjoint(grant.groups))
        and (not when.owners or grant.owner in when.owners)
        and (not when.scopes or not when.scopes.isdisjoint(held))
    )


def _selects_address(rule: Rule, when: When, address: Address | None) -> bool:
    if not when.networks or within(address, when.networks):
        return True
    return address is None and rule.effect != "allow"


def unmet(
    hit: Hit, grant: Grant | None, held: frozenset[str], address: Address | None, waived: bool = False
) -> Reason | None:
    """Say which demand of a rule fails, or None where all hold.

    Args:
        hit: the rule and what the path captured.
        grant: who asks; None where no credential came.
        held: the grant's scopes with all that they include.
        address: the client's; None where it isn't known.
        waived: scopes, groups and limits are not asked for, since the path is public.
    """
    rule = hit.rule
    if rule.networks and not within(address, rule.networks):
        return Reason.NETWORK
    if waived:
        return None
    if grant is None:
        return Reason.MISSING if rule.effect == "allow" or rule.scopes or rule.groups else None
    if rule.groups and rule.groups.isdisjoint(grant.groups):
        return Reason.GROUP
    if grant.limits and rule.effect == "allow" and not rule.limits_exempt and not _keeps(hit, grant):
        return Reason.LIMIT
    return None if rule.scopes <= held else Reason.INSUFFICIENT_SCOPE


def bounds(matched: Matched, grant: Grant, address: Address | None) -> bool:
    """Whether a rule keeps a grant within its limits; one that is merely public lets it pass, but keeps nothing."""
    kept = any(
        (hit.rule.limits_exempt or _keeps(hit, grant)) and selects(hit.rule, grant, grant.scopes, address)
        for hit in (*matched.allows, *matched.public)
    )
    return kept and (matched.also is None or bounds(matched.also, grant, address))


def _keeps(hit: Hit, grant: Grant) -> bool:
    return all(hit.captures.get(name) in values for name, values in grant.limits.items())


_NEAREST = (Reason.INSUFFICIENT_SCOPE, Reason.LIMIT, Reason.GROUP, Reason.NETWORK, Reason.MISSING)
"""Of several allows that fail, the one that was nearest to holding is told; of several requires, the farthest."""


def judge(
    matched: Matched, grant: Grant | None, held: frozenset[str], address: Address | None, lenient: bool = False
) -> Allowed | Denied:
    """Decide, given the rules that match.

    Args:
        matched: by method and path.
        grant: who asks; None where no credential came.
        held: the grant's scopes with all that they include.
        address: the client's; None where it isn't known.
        lenient: let pass a request without a grant that only lacks one, and a path that no rule mentions: for an
            application that decides itself. Denies, networks and failed requires still bind.
    """
    if matched.guarded:
        decision = _guard(matched, grant, held, address, lenient)
        if decision is not None:
            return decision
    if lenient and (grant is None or not matched.mentioned):
        return _leave(matched, grant, held, address)
    for hit in matched.allows:
        about = hit.rule.when is None or selects(hit.rule, grant, held, address)
        if about and unmet(hit, grant, held, address) is None:
            return hit.allowed
    denied = _nearest(matched, grant, held, address)
    return Allowed(denied.rule, observed=denied) if _is_soft(denied, matched, grant) else denied


def _guard(
    matched: Matched, grant: Grant | None, held: frozenset[str], address: Address | None, lenient: bool
) -> Allowed | Denied | None:
    """Ask all that comes before the allows; None: it is up to them."""
    if matched.also is not None:
        return _judge_both(matched, matched.also, grant, held, address, lenient)
    for hit in matched.denies:
        if selects(hit.rule, grant, held, address):
            return _refuse(Reason.DENIED, hit, grant, held)
    public = opening(matched, grant, held, address)
    denied = _required(matched, grant, held, address, waived=public is not None)
    if denied is not None:
        return _softened(denied, matched, grant, held, address, lenient)
    return None if public is None else public.allowed


def _judge_both(
    one: Matched, other: Matched, grant: Grant | None, held: frozenset[str], address: Address | None, lenient: bool
) -> Allowed | Denied:
    first = judge(replace(one, also=None), grant, held, address, lenient)
    if isinstance(first, Denied):
        return first
    second = judge(other, grant, held, address, lenient)
    return second if isinstance(second, Denied) or second.observed is not None else first


def _required(
    matched: Matched, grant: Grant | None, held: frozenset[str], address: Address | None, waived: bool
) -> Denied | None:
    failures = [
        (reason, hit)
        for hit in matched.requires
        if selects(hit.rule, grant, held, address) and (reason := unmet(hit, grant, held, address, waived)) is not None
    ]
    if not failures:
        return None
    reason, hit = max(failures, key=_distance)
    return _refuse(reason, hit, grant, held)


def _softened(
    denied: Denied, matched: Matched, grant: Grant | None, held: frozenset[str], address: Address | None, lenient: bool
) -> Allowed | Denied:
    """What becomes of a require that fails: where that is only observed, all the rest must hold."""
    if not _is_soft(denied, matched, grant):
        return denied
    decision = judge(replace(matched, requires=()), grant, held, address, lenient)
    return decision if isinstance(decision, Denied) else Allowed(denied.rule, observed=denied)


def _is_soft(denied: Denied, matched: Matched, grant: Grant | None) -> bool:
    # A token with limits may do only what a rule ties to them, and a closed place is closed, observed or not.
    strict = matched.closed or (grant is not None and bool(grant.limits))
    return matched.observe and denied.reason in _SOFT and not (strict and denied.reason is Reason.NO_RULE)


def opening(matched: Matched, grant: Grant | None, held: frozenset[str], address: Address | None) -> Hit | None:
    """Give the public allow that holds, if one does: it waives what others ask of scopes, groups and limits."""
    for hit in matched.public:
        if selects(hit.rule, grant, held, address) and unmet(hit, grant, held, address, waived=True) is None:
            return hit
    return None


def _nearest(matched: Matched, grant: Grant | None, held: frozenset[str], address: Address | None) -> Denied:
    """Say what the allow lacked that was nearest to holding."""
    hits = [hit for hit in (*matched.allows, *matched.public) if selects(hit.rule, grant, held, address)]
    if not hits:
        return Denied(Reason.MISSING if grant is None else Reason.NO_RULE, held=held)
    # A public rule that did not hold lacks the right network alone.
    failures = [(unmet(hit, grant, held, address, waived=hit.rule.public) or Reason.NETWORK, hit) for hit in hits]
    reason, hit = min(failures, key=_distance)
    return _refuse(reason, hit, grant, held)


def _distance(failure: tuple[Reason, Hit]) -> int:
    return _NEAREST.index(failure[0])


_SOFT = (Reason.INSUFFICIENT_SCOPE, Reason.NO_RULE)
"""What an observing policy lets pass; a request without a grant never gets one of these."""


def _leave(matched: Matched, grant: Grant | None, held: frozenset[str], address: Address | None) -> Allowed | Denied:
    # Who it is can't be said, so only where it comes from says which rules are about it.
    hits = [
        hit
        for hit in (*matched.allows, *matched.public, *matched.shut)
        if hit.rule.when is None or _selects_address(hit.rule, hit.rule.when, address)
    ]
    if hits and all(hit.rule.networks and not within(address, hit.rule.networks) for hit in hits):
        return _refuse(Reason.NETWORK, hits[0], grant, held)
    # A token with limits may do only what a rule ties to them.
    return Denied(Reason.LIMIT, held=held) if grant is not None and grant.limits else Allowed()


def _refuse(reason: Reason, hit: Hit, grant: Grant | None, held: frozenset[str]) -> Denied:
    if grant is None:
        return Denied(Reason.MISSING, hit.rule.id)
    return Denied(reason, hit.rule.id, hit.rule.scopes if reason is Reason.INSUFFICIENT_SCOPE else NO_SCOPES, held)
