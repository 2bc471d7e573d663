"""What may be made: the limits of an issuer, and the judging of what is asked for.

Pure: whoever calls brings the time and the records. A refusal is a :class:`~patmiddleware.errors.RefusedError` with one
sentence that says what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from hashlib import blake2b
from ipaddress import IPv4Network, collapse_addresses
from types import NoneType
from typing import cast

from .errors import ConfigurationError, RefusedError
from .interfaces import AccessPolicy
from .model import SESSION, Grant, Network, Owner, Token
from .options import Kinds, check_kinds

ID_BYTES = 8
NEVER = timedelta.max
"""The lifetime of a token that does not expire."""

_KINDS: Kinds = {
    "default_lifetime": (timedelta, NoneType),
    "maximum_lifetime": (timedelta, NoneType),
    "maximum_per_owner": (int, NoneType),
    "tokens_may_mint": (bool,),
}
_NAMED = 240  # characters of a token's name that its sessions are named by: a name has 255 at the most


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerLimits:
    """What an issuer makes, and for whom. An operator at the console is bound by lifetimes and numbers only.

    Args:
        default_lifetime: of a token for which none is asked, cut to the maximum; None: it does not expire.
        maximum_lifetime: the longest that is made; None: any, and tokens that never expire.
        maximum_per_owner: how many live tokens an owner may have; one in the overlap of its rotation is not counted
            beside its successor. None: any number.
        creators: groups whose members may make tokens; None: everybody.
        creators_for_others: groups whose members may make tokens, for other owners as well; None: nobody.
        ordinary_scopes: what every token has that is made by somebody who may not make them for others, whatever was
            asked for; None: as asked.
        tokens_may_mint: whether a token may make tokens, which then have no more than it has, and die with it.

    Raises:
        ConfigurationError: when one is of another kind, a lifetime or the number is not above zero, or a string stands
            for a collection.
    """

    default_lifetime: timedelta | None = timedelta(days=90)
    maximum_lifetime: timedelta | None = None
    maximum_per_owner: int | None = None
    creators: frozenset[str] | None = None
    creators_for_others: frozenset[str] | None = None
    ordinary_scopes: frozenset[str] | None = None
    tokens_may_mint: bool = False

    def __post_init__(self) -> None:
        check_kinds(_KINDS, "issuer.", **{name: getattr(self, name) for name in _KINDS})
        for name in ("default_lifetime", "maximum_lifetime"):
            lifetime = getattr(self, name)
            if lifetime is not None and lifetime <= timedelta(0):
                raise ConfigurationError(f"{lifetime} is no lifetime: it must be above zero", setting=f"issuer.{name}")
        if self.maximum_per_owner is not None and self.maximum_per_owner < 1:
            raise ConfigurationError("must be 1 or more", setting="issuer.maximum_per_owner")
        for name in ("creators", "creators_for_others", "ordinary_scopes"):
            values = getattr(self, name)
            if isinstance(values, str):
                raise ConfigurationError("takes a collection of names, not one string", setting=f"issuer.{name}")
            object.__setattr__(self, name, None if values is None else frozenset(values))

    def expiry(self, now: datetime, lifetime: timedelta | None) -> datetime | None:
        """Give when a token made now expires; None: never.

        Args:
            now: aware.
            lifetime: what is asked for; None: nothing; :data:`NEVER`: no expiry.

        Raises:
            RefusedError: when the lifetime is not above zero, or longer than the maximum.
        """
        if lifetime is None:
            return end(now, self.cut(self.default_lifetime or NEVER))
        check_lifetime(lifetime)
        if self.cut(lifetime) < lifetime:
            asked = "no expiry" if lifetime == NEVER else f"a lifetime of {_days(lifetime)}"
            raise RefusedError(f"{asked} is too long: ask for {_days(self.cut(lifetime))} at the most")
        return end(now, lifetime)

    def cut(self, lifetime: timedelta) -> timedelta:
        """Give the lifetime, but no more than the maximum."""
        return lifetime if self.maximum_lifetime is None else min(lifetime, self.maximum_lifetime)

    def may_create_for_others(self, groups: frozenset[str]) -> bool:
        """Say whether a member of these groups may make tokens for other owners."""
        return not groups.isdisjoint(self.creators_for_others or ())

    def may_create(self, groups: frozenset[str]) -> bool:
        """Say whether a member of these groups may make tokens at all."""
        return self.creators is None or not groups.isdisjoint(self.creators) or self.may_create_for_others(groups)


class KnownScopes:
    """The scopes that a policy knows, if it tells.

    Args:
        policy: ours shows ``scopes`` (a mapping) and ``expand``. Any other, one that declares no scope, and None leave
            scopes free.
    """

    def __init__(self, policy: AccessPolicy | None) -> None:
        scopes, expand = getattr(policy, "scopes", None), getattr(policy, "expand", None)
        self._names: frozenset[str] = frozenset()
        self._expand: Callable[[frozenset[str]], frozenset[str]] | None = None
        if isinstance(scopes, Mapping) and callable(expand):
            self._names, self._expand = frozenset(scopes), expand

    def expand(self, scopes: frozenset[str]) -> frozenset[str]:
        """Give the scopes with all that they include."""
        return scopes if self._expand is None else self._expand(scopes)

    def check(self, scopes: frozenset[str]) -> None:
        """Refuse a scope that the policy does not know.

        Raises:
            RefusedError: with the nearest name, or all of them.
        """
        unknown = sorted(scopes - self._names)
        if not self._names or not unknown:
            return
        names = {name.casefold(): name for name in sorted(self._names)}
        nearest = get_close_matches(unknown[0].casefold(), names, 1)
        hint = f"did you mean {names[nearest[0]]!r}?" if nearest else f"use one of {_listed(self._names)}"
        raise RefusedError(f"the policy knows no scope {unknown[0]!r}: {hint}")


def successor_id(id: str) -> str:
    """Give the id of the token that replaces this one in a rotation.

    One token has one possible successor: since a store takes an id once only, of two rotations at once one wins,
    whether the store has transactions or not. An id is public, so it may be guessed.
    """
    return blake2b(id.encode("utf-8", "surrogatepass"), digest_size=ID_BYTES, person=b"pat successor").hexdigest()


def is_live(token: Token, now: datetime) -> bool:
    """Say whether a token is neither revoked nor expired."""
    return token.revoked is None and (token.expires is None or now < token.expires)


def was_dead(token: Token, moment: datetime) -> bool:
    """Say whether a token was revoked or expired before a time; what denies another issuer's, whether it expired."""
    revoked = None if token.revoked is None or token.is_denial else token.revoked.at
    ended = earliest(token.expires, revoked)
    return ended is not None and ended < moment


def earliest(*moments: datetime | None) -> datetime | None:
    """Give the first of some expiries; None is never."""
    return min((moment for moment in moments if moment is not None), default=None)


def end(now: datetime, lifetime: timedelta) -> datetime | None:
    """Give when a lifetime that begins now is over; None for :data:`NEVER`.

    Raises:
        RefusedError: when the calendar ends before.
    """
    if lifetime == NEVER:
        return None
    try:
        return now + lifetime
    except OverflowError:
        raise RefusedError(f"{_days(lifetime)} from now is after the year 9999: ask for less, or no expiry") from None


def check_lifetime(lifetime: object) -> None:
    """Refuse what is no lifetime.

    Raises:
        RefusedError: when it is not a time span above zero.
    """
    if not isinstance(lifetime, timedelta) or lifetime <= timedelta(0):
        shown = _days(lifetime) if isinstance(lifetime, timedelta) else repr(lifetime)
        raise RefusedError(f"{shown} is no lifetime: give a time span above zero")


def check_overlap(overlap: object) -> None:
    """Refuse what is no overlap of a rotation.

    Raises:
        RefusedError: when it is not a time span of zero or more, or has no end.
    """
    if not isinstance(overlap, timedelta) or not timedelta(0) <= overlap < NEVER:
        raise RefusedError(f"{overlap!r} is no overlap: give a time span of zero or more that ends")


def check_moment(moment: object) -> None:
    """Refuse what is no point in time.

    Raises:
        RefusedError: when it is not an aware datetime.
    """
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise RefusedError(f"{moment!r} is no point in time: give a datetime with a time zone")


def for_actor(draft: Token, actor: Grant | Owner, limits: IssuerLimits) -> Token:
    """Give a token as its creator may have it made.

    Raises:
        RefusedError: when the creator is not active, may not make tokens, or not for this owner, or not with a token.
    """
    creator = actor.name if isinstance(actor, Owner) else actor.owner
    if isinstance(actor, Owner) and not actor.active:
        raise RefusedError(f"{creator!r} is not active any more: have the account opened again first")
    if isinstance(actor, Grant) and actor.token_id is not None and not limits.tokens_may_mint:
        raise RefusedError("a token may not make tokens here: log in without one, or ask an administrator")
    if not limits.may_create(actor.groups):
        groups = _listed({*(limits.creators or ()), *(limits.creators_for_others or ())})
        raise RefusedError(f"{creator!r} may not make tokens: that needs one of the groups {groups}")
    privileged = limits.may_create_for_others(actor.groups)
    if draft.owner != creator and not privileged:
        raise RefusedError(f"{creator!r} may not make tokens for others: leave {draft.owner!r} to an administrator")
    forced = None if privileged else limits.ordinary_scopes
    if isinstance(actor, Grant) and actor.token_id is None and forced is None:
        draft = _within_grant(draft, actor)
    return replace(draft, created_by=creator, scopes=draft.scopes if forced is None else forced)


def _within_grant(draft: Token, grant: Grant) -> Token:
    """Give a token that has no more than the password that it is made with: a grant's scopes are expanded already."""
    if beyond := draft.scopes - grant.scopes:
        raise RefusedError(f"the scopes {_listed(beyond)} are beyond what a password may do here: ask for less")
    return replace(draft, limits=draft.limits or grant.limits, networks=draft.networks or grant.networks)


def as_child(draft: Token, parent: Token, scopes: KnownScopes, *, lifetime_asked: bool) -> Token:
    """Give a token that is made with another one, so that it has no more than that one.

    Args:
        draft: without networks or with a limit left out it has those of its parent.
        parent: must be live.
        scopes: tells which ones a scope includes.
        lifetime_asked: whether a longer life is refused; else it is cut.

    Raises:
        RefusedError: when more scope, life, networks or limits are asked for than the parent has.
    """
    excess = scopes.expand(draft.scopes) - scopes.expand(parent.scopes)
    if excess:
        raise RefusedError(f"the token that asks has no scope {min(excess)!r}: ask for no more than it has")
    expires = earliest(draft.expires, parent.expires)
    if lifetime_asked and expires != draft.expires:
        raise RefusedError("the token that asks expires sooner: ask for a shorter lifetime, or for none")
    return replace(
        draft,
        parent=parent.id,
        expires=expires,
        networks=_narrowed_networks(draft.networks, parent.networks),
        limits=_narrowed_limits(draft.limits, parent.limits),
    )


def session_of(parent: Token, id: str, now: datetime, lifetime: timedelta) -> Token:
    """Give a session of a token: a child that has all that the token has, for a while.

    Args:
        parent: must be live.
        id: of the session.
        now: aware.
        lifetime: cut to what is left of the token's.

    Raises:
        RefusedError: when the calendar ends before.
    """
    return replace(
        parent,
        id=id,
        name=f"{parent.name[:_NAMED]} (session)",
        created=now,
        expires=earliest(end(now, lifetime), parent.expires),
        created_by=parent.owner,
        parent=parent.id,
        family="",
        replaces=None,
        last_used=None,
        attributes=SESSION,
    )


def _narrowed_networks(asked: tuple[Network, ...], given: tuple[Network, ...]) -> tuple[Network, ...]:
    if not asked or not given:
        return asked or given
    for network in asked:
        if not _is_inside(network, given):
            raise RefusedError(f"{network} is not inside the networks of the token that asks: {_listed(given)}")
    return asked


def _is_inside(network: Network, others: tuple[Network, ...]) -> bool:
    # Inside is also what two neighbours cover together: then the network adds nothing to them. All are of one version,
    # be it 4 or 6; a mixture can't be collapsed.
    kind = cast("list[IPv4Network]", [other for other in (*others, network) if other.version == network.version])
    return set(collapse_addresses(kind)) == set(collapse_addresses(kind[:-1]))


def _narrowed_limits(
    asked: Mapping[str, frozenset[str]], given: Mapping[str, frozenset[str]]
) -> Mapping[str, frozenset[str]]:
    for name, values in given.items():
        excess = asked.get(name, values) - values
        if excess:
            raise RefusedError(f"the token that asks is limited: {min(excess)!r} is not in its limit {name!r}")
    return {**given, **asked}


def _listed(values: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, values)))


def _days(span: timedelta) -> str:
    whole = span == timedelta(span.days)
    return f"{span.days} day{'s' if span.days != 1 else ''}" if whole else f"{span}"
