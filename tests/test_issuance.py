"""What may be made: limits, and children within their parents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.errors import ConfigurationError, RefusedError
from patmiddleware.issuance import (
    NEVER,
    IssuerLimits,
    KnownScopes,
    as_child,
    check_moment,
    check_overlap,
    earliest,
    end,
    is_live,
    was_dead,
)
from patmiddleware.model import Network, Revocation, Token

NOW = datetime(2026, 4, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FREE = KnownScopes(None)


class Nested:
    """A policy that tells: write includes read."""

    scopes: Mapping[str, frozenset[str]] = {"READ": frozenset({"READ"}), "WRITE": frozenset({"READ", "WRITE"})}

    def expand(self, scopes: frozenset[str]) -> frozenset[str]:
        return scopes.union(*(self.scopes.get(scope, frozenset()) for scope in scopes))


def token(**given: object) -> Token:
    return Token(**{"id": "t", "owner": "alice", "created": NOW, **given})


@pytest.mark.parametrize(
    ("default", "maximum", "asked", "expected"),
    [
        (90 * DAY, None, None, NOW + 90 * DAY),
        (90 * DAY, None, 5 * DAY, NOW + 5 * DAY),
        (90 * DAY, None, 1_000 * DAY, NOW + 1_000 * DAY),
        (90 * DAY, None, NEVER, None),
        (None, None, None, None),
        (None, 30 * DAY, None, NOW + 30 * DAY),
        (90 * DAY, 30 * DAY, None, NOW + 30 * DAY),
        (90 * DAY, 30 * DAY, 30 * DAY, NOW + 30 * DAY),
        (90 * DAY, 365 * DAY, None, NOW + 90 * DAY),
    ],
)
def test_expiry(
    default: timedelta | None, maximum: timedelta | None, asked: timedelta | None, expected: datetime | None
) -> None:
    """A lifetime is the one asked for, else the default, cut to the maximum."""
    limits = IssuerLimits(default_lifetime=default, maximum_lifetime=maximum)

    assert limits.expiry(NOW, asked) == expected


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (31 * DAY, "a lifetime of 31 days is too long: ask for 30 days at the most"),
        (30 * DAY + timedelta(seconds=1), "a lifetime of 30 days, 0:00:01 is too long: ask for 30 days at the most"),
        (NEVER, "no expiry is too long: ask for 30 days at the most"),
        (timedelta(0), "is no lifetime"),
        (-DAY, "is no lifetime"),
        (30, "30 is no lifetime"),
    ],
)
def test_lifetime_is_refused(asked: timedelta, sentence: str) -> None:
    """Longer than the maximum is refused, with the maximum named; so is what is no span above zero."""
    with pytest.raises(RefusedError, match=sentence):
        IssuerLimits(maximum_lifetime=30 * DAY).expiry(NOW, asked)


def test_lifetime_beyond_the_calendar_is_refused() -> None:
    """A span that no date can hold is refused, not a traceback."""
    with pytest.raises(RefusedError, match="after the year 9999"):
        end(NOW, NEVER - DAY)


@pytest.mark.parametrize(
    ("wrong", "setting"),
    [
        ({"default_lifetime": timedelta(0)}, "issuer.default_lifetime"),
        ({"maximum_lifetime": -DAY}, "issuer.maximum_lifetime"),
        ({"maximum_per_owner": 0}, "issuer.maximum_per_owner"),
        ({"creators": "admins"}, "issuer.creators"),
        ({"creators_for_others": "admins"}, "issuer.creators_for_others"),
        ({"ordinary_scopes": "read"}, "issuer.ordinary_scopes"),
        ({"default_lifetime": 90}, "issuer.default_lifetime"),
        ({"maximum_lifetime": "365d"}, "issuer.maximum_lifetime"),
        ({"maximum_per_owner": "5"}, "issuer.maximum_per_owner"),
        ({"tokens_may_mint": "no"}, "issuer.tokens_may_mint"),
    ],
)
def test_wrong_limits_are_named(wrong: dict[str, object], setting: str) -> None:
    """Limits that make no sense are an error of configuration that names the setting."""
    with pytest.raises(ConfigurationError) as error:
        IssuerLimits(**wrong)

    assert [problem.setting for problem in error.value.problems] == [setting]


@pytest.mark.parametrize(
    ("limits", "groups", "create", "for_others"),
    [
        ({}, (), True, False),
        ({"creators": ["dev"]}, ("dev",), True, False),
        ({"creators": ["dev"]}, ("ops",), False, False),
        ({"creators": ["dev"]}, (), False, False),
        ({"creators": []}, ("dev",), False, False),
        ({"creators": ["dev", "ops"]}, ("ops",), True, False),
        ({"creators": ["dev"], "creators_for_others": ["admins"]}, ("admins",), True, True),
        ({"creators_for_others": ["admins"]}, ("dev",), True, False),
        ({"creators_for_others": ["admins"]}, ("Admins",), True, False),
    ],
)
def test_who_may_create(limits: dict[str, list[str]], groups: tuple[str, ...], create: bool, for_others: bool) -> None:
    """Groups say who may make tokens, and who for others; who may for others may at all."""
    judged = IssuerLimits(**limits)

    assert (judged.may_create(frozenset(groups)), judged.may_create_for_others(frozenset(groups))) == (
        create,
        for_others,
    )


@pytest.mark.parametrize(
    ("scope", "hint"),
    [
        ("read", "did you mean 'READ'?"),
        ("WRIET", "did you mean 'WRITE'?"),
        ("zzz", "use one of READ, WRITE"),
    ],
)
def test_unknown_scope_is_refused(scope: str, hint: str) -> None:
    """A scope that the policy does not know is refused with the nearest name, or all."""
    with pytest.raises(RefusedError) as refused:
        KnownScopes(Nested()).check(frozenset({"READ", scope}))

    assert str(refused.value) == f"the policy knows no scope {scope!r}: {hint}"


@pytest.mark.parametrize("policy", [None, object(), type("Declares", (Nested,), {"scopes": {}})()])
def test_scopes_are_free(policy: object) -> None:
    """Without a policy, with one of the user's own, or with one that declares no scope, any name is a scope."""
    scopes = frozenset({"anything"})
    known = KnownScopes(policy)

    known.check(scopes)

    assert known.expand(scopes) == scopes


@pytest.mark.parametrize(
    ("expires", "revoked", "live"),
    [
        (None, None, True),
        (NOW + timedelta(microseconds=1), None, True),
        (NOW, None, False),
        (NOW - DAY, None, False),
        (None, Revocation(NOW), False),
        (NOW + DAY, Revocation(NOW), False),
    ],
)
def test_is_live(expires: datetime | None, revoked: Revocation | None, live: bool) -> None:
    """A token lives until it is revoked, or the moment of its expiry has come."""
    assert is_live(token(expires=expires, revoked=revoked), NOW) is live


@pytest.mark.parametrize(
    ("expires", "revoked", "dead"),
    [
        (None, None, False),
        (NOW, None, False),
        (NOW - DAY, None, True),
        (None, Revocation(NOW - DAY), True),
        (NOW - DAY, Revocation(NOW), True),
        (NOW, Revocation(NOW), False),
    ],
)
def test_was_dead(expires: datetime | None, revoked: Revocation | None, dead: bool) -> None:
    """A token was dead before a time when it expired or was revoked before."""
    assert was_dead(token(expires=expires, revoked=revoked), NOW) is dead


def test_earliest() -> None:
    """Of several expiries the first counts, and never comes last."""
    assert (earliest(None, NOW + DAY, NOW), earliest(None, None)) == (NOW, None)


@pytest.mark.parametrize("overlap", [-timedelta(microseconds=1), NEVER, 60, None])
def test_overlap_is_refused(overlap: object) -> None:
    """An overlap is a span of zero or more, and ends."""
    with pytest.raises(RefusedError, match="is no overlap"):
        check_overlap(overlap)


@pytest.mark.parametrize("moment", [datetime(2026, 4, 15), "2026-04-15", 0, None])
def test_moment_is_refused(moment: object) -> None:
    """A point in time has a time zone."""
    with pytest.raises(RefusedError, match="is no point in time"):
        check_moment(moment)


def child(parent: dict[str, object], asked: dict[str, object], lifetime_asked: bool = True) -> Token:
    return as_child(
        token(id="c", **asked), token(id="p", **parent), KnownScopes(Nested()), lifetime_asked=lifetime_asked
    )


@pytest.mark.parametrize(
    ("parent", "asked", "expected"),
    [
        ({"scopes": {"WRITE"}}, {"scopes": {"WRITE"}}, {"scopes": {"WRITE"}}),
        ({"scopes": {"WRITE"}}, {"scopes": {"READ"}}, {"scopes": {"READ"}}),
        ({"scopes": {"WRITE"}}, {}, {"scopes": set()}),
        ({"networks": ["10.0.0.0/8"]}, {}, {"networks": ["10.0.0.0/8"]}),
        ({"networks": ["10.0.0.0/8"]}, {"networks": ["10.0.0.0/8"]}, {"networks": ["10.0.0.0/8"]}),
        ({"networks": ["::/0", "10.0.0.0/8"]}, {"networks": ["10.1.0.0/16"]}, {"networks": ["10.1.0.0/16"]}),
        ({"networks": ["10.0.0.0/9", "10.128.0.0/9"]}, {"networks": ["10.0.0.0/8"]}, {"networks": ["10.0.0.0/8"]}),
        ({}, {"networks": ["10.0.0.0/8", "::1"]}, {"networks": ["10.0.0.0/8", "::1"]}),
        ({"limits": {"p": ["A", "B"]}}, {}, {"limits": {"p": ["A", "B"]}}),
        ({"limits": {"p": ["A", "B"]}}, {"limits": {"p": ["A"]}}, {"limits": {"p": ["A"]}}),
        ({"limits": {"p": ["A"]}}, {"limits": {"q": ["X"]}}, {"limits": {"p": ["A"], "q": ["X"]}}),
        ({"expires": NOW + DAY}, {"expires": NOW + DAY}, {"expires": NOW + DAY}),
        ({"expires": None}, {"expires": NOW + DAY}, {"expires": NOW + DAY}),
        ({"expires": None}, {"expires": None}, {"expires": None}),
    ],
)
def test_child_is_within_its_parent(
    parent: dict[str, object], asked: dict[str, object], expected: dict[str, object]
) -> None:
    """A child has what it asks for within its parent, and its parent's networks and limits where it asks for none."""
    assert child(parent, asked) == token(id="c", parent="p", **expected)


@pytest.mark.parametrize(
    ("parent", "asked", "sentence"),
    [
        ({"scopes": {"READ"}}, {"scopes": {"WRITE"}}, "has no scope 'WRITE'"),
        ({}, {"scopes": {"READ"}}, "has no scope 'READ'"),
        ({"networks": ["10.0.0.0/8"]}, {"networks": ["0.0.0.0/0"]}, "0.0.0.0/0 is not inside .*: 10.0.0.0/8"),
        ({"networks": ["10.0.0.0/8"]}, {"networks": ["10.0.0.0/9", "11.0.0.0/9"]}, "11.0.0.0/9 is not inside"),
        ({"networks": ["10.0.0.0/8"]}, {"networks": ["::/0"]}, "::/0 is not inside"),
        ({"networks": ["::/0"]}, {"networks": ["10.0.0.0/8"]}, "10.0.0.0/8 is not inside"),
        ({"limits": {"p": ["A"]}}, {"limits": {"p": ["A", "B"]}}, "'B' is not in its limit 'p'"),
        ({"limits": {"p": ["A"]}}, {"limits": {"p": ["B"], "q": ["X"]}}, "'B' is not in its limit 'p'"),
        ({"expires": NOW + DAY}, {"expires": NOW + 2 * DAY}, "expires sooner"),
        ({"expires": NOW + DAY}, {"expires": None}, "expires sooner"),
    ],
)
def test_child_beyond_its_parent_is_refused(parent: dict[str, object], asked: dict[str, object], sentence: str) -> None:
    """More scope, life, networks or limits than the parent has are refused."""
    with pytest.raises(RefusedError, match=sentence):
        child(parent, asked)


def test_life_of_a_child_is_cut() -> None:
    """Where no lifetime was asked for, a child lives no longer than its parent."""
    made = child({"expires": NOW + DAY}, {"expires": NOW + 90 * DAY}, lifetime_asked=False)

    assert made.expires == NOW + DAY


def covered(networks: tuple[Network, ...], address: int) -> bool:
    return any(ip_address(address) in network for network in networks)


small = st.builds(
    lambda bits, length: ip_network((bits << (32 - length) & 0xFF, length)), st.integers(0, 255), st.integers(24, 32)
)


@given(asked=st.lists(small, min_size=1, max_size=3), given_=st.lists(small, min_size=1, max_size=5))
def test_networks_are_inside_when_every_address_is(asked: list[Network], given_: list[Network]) -> None:
    """Networks are taken exactly when no address of theirs is outside of the parent's."""
    inside = all(covered(tuple(given_), address) for address in range(256) if covered(tuple(asked), address))

    try:
        child({"networks": given_}, {"networks": asked})
    except RefusedError:
        taken = False
    else:
        taken = True

    assert taken == inside
