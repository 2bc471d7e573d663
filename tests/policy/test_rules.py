"""How a request is judged by the rules that its path matches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.model import Address, Allowed, Denied, Grant, Reason
from patmiddleware.policy.rules import Hit, Matched, Rule, When, judge, selects, unmet, within

OFFICE, HOME = (ip_network("10.0.0.0/8"),), (ip_network("192.168.0.0/16"), ip_network("2001:db8::/32"))
INSIDE, OUTSIDE = ip_address("10.1.2.3"), ip_address("192.0.2.7")
NOBODY: frozenset[str] = frozenset()


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def rule(effect: str = "allow", id: str = "r", **fields: Any) -> Rule:
    return Rule(id=id, effect=effect, patterns=(), **fields)  # type: ignore[arg-type]


def allow(id: str = "a", **fields: Any) -> Rule:
    return rule("allow", id, **fields)


def require(id: str = "q", **fields: Any) -> Rule:
    return rule("require", id, **fields)


def deny(id: str = "d", **fields: Any) -> Rule:
    return rule("deny", id, **fields)


def grant(scopes: str = "", groups: str = "", owner: str = "alice", **fields: Any) -> Grant:
    return Grant(token_id="t", owner=owner, scopes=names(scopes), groups=names(groups), **fields)


def matched(*rules: Rule, captures: Mapping[str, str] | None = None, **fields: Any) -> Matched:
    """Give what a matcher would, where all of these rules are about the path."""
    hits = [Hit(rule, captures or {}) for rule in rules]
    allows = [hit for hit in hits if hit.rule.effect == "allow"]
    return Matched(
        denies=tuple(hit for hit in hits if hit.rule.effect == "deny"),
        requires=tuple(hit for hit in hits if hit.rule.effect == "require"),
        allows=tuple(hit for hit in allows if not hit.rule.public),
        public=tuple(hit for hit in allows if hit.rule.public),
        mentioned=bool(allows),
        **fields,
    )


def decide(
    rules: Iterable[Rule],
    who: Grant | None,
    address: Address | None = INSIDE,
    lenient: bool = False,
    captures: Mapping[str, str] | None = None,
    observe: bool = False,
) -> Allowed | Denied:
    held = NOBODY if who is None else who.scopes
    return judge(matched(*rules, captures=captures, observe=observe), who, held, address, lenient)


def told(decision: Allowed | Denied) -> tuple[str | Reason, str | None]:
    """Give a decision in a form that a table can show."""
    if isinstance(decision, Denied):
        return decision.reason, decision.rule
    return "allowed" if decision.observed is None else "observed", decision.rule


@pytest.mark.parametrize(
    ("address", "networks", "expected"),
    [
        (INSIDE, OFFICE, True),
        (OUTSIDE, OFFICE, False),
        (ip_address("2001:db8::1"), HOME, True),
        (ip_address("2001:db9::1"), HOME, False),
        (INSIDE, (), False),
        (None, OFFICE, False),
        (None, (ip_network("0.0.0.0/0"), ip_network("::/0")), False),
    ],
)
def test_within(address: Address | None, networks: tuple[Any, ...], expected: bool) -> None:
    """An address is in a network of its own version; one that isn't known is in none."""
    assert within(address, networks) == expected


DEVELOPER = grant("read write", "developers staff")


@pytest.mark.parametrize(
    ("when", "who", "address", "expected"),
    [
        (None, None, None, True),
        (None, DEVELOPER, INSIDE, True),
        (When(), DEVELOPER, INSIDE, True),
        (When(groups=names("developers")), DEVELOPER, INSIDE, True),
        (When(groups=names("testers developers")), DEVELOPER, INSIDE, True),
        (When(groups=names("testers")), DEVELOPER, INSIDE, False),
        (When(groups=names("Developers")), DEVELOPER, INSIDE, False),
        (When(groups=names("developers")), None, INSIDE, False),
        (When(owners=names("alice bob")), DEVELOPER, INSIDE, True),
        (When(owners=names("bob")), DEVELOPER, INSIDE, False),
        (When(owners=names("alice")), None, INSIDE, False),
        (When(scopes=names("write admin")), DEVELOPER, INSIDE, True),
        (When(scopes=names("admin")), DEVELOPER, INSIDE, False),
        (When(scopes=names("read")), None, INSIDE, False),
        (When(networks=OFFICE), DEVELOPER, INSIDE, True),
        (When(networks=OFFICE), DEVELOPER, OUTSIDE, False),
        (When(networks=OFFICE), None, INSIDE, True),
        (When(networks=OFFICE), None, OUTSIDE, False),
        (When(networks=HOME + OFFICE), None, INSIDE, True),
        # all kinds that are given
        (When(groups=names("developers"), owners=names("alice")), DEVELOPER, INSIDE, True),
        (When(groups=names("developers"), owners=names("bob")), DEVELOPER, INSIDE, False),
        (When(groups=names("testers"), owners=names("alice")), DEVELOPER, INSIDE, False),
        (When(groups=names("developers"), networks=OFFICE), DEVELOPER, OUTSIDE, False),
        (When(groups=names("developers"), scopes=names("admin")), DEVELOPER, INSIDE, False),
        (When(names("staff"), names("alice"), OFFICE, names("read")), DEVELOPER, INSIDE, True),
    ],
)
@pytest.mark.parametrize("effect", ["allow", "require", "deny"])
def test_when_selects(
    effect: str, when: When | None, who: Grant | None, address: Address | None, expected: bool
) -> None:
    """Any of each kind, all kinds that are given, say whom a rule is about: the same for every effect."""
    held = NOBODY if who is None else who.scopes

    assert selects(rule(effect, when=when), who, held, address) == expected


@pytest.mark.parametrize(("effect", "expected"), [("allow", False), ("require", True), ("deny", True)])
@pytest.mark.parametrize("who", [None, DEVELOPER])
def test_unknown_address_is_the_wrong_one(effect: str, who: Grant | None, expected: bool) -> None:
    """Where the address isn't known, what refuses applies and what allows does not."""
    assert selects(rule(effect, when=When(networks=OFFICE)), who, NOBODY, None) == expected


def test_unknown_address_does_not_widen_the_rest() -> None:
    """The other kinds still have to be right where the address isn't known."""
    assert not selects(deny(when=When(networks=OFFICE, owners=names("bob"))), DEVELOPER, NOBODY, None)


@pytest.mark.parametrize(
    ("demands", "who", "address", "expected"),
    [
        ({}, DEVELOPER, INSIDE, None),
        ({"scopes": names("read")}, DEVELOPER, INSIDE, None),
        ({"scopes": names("read write")}, DEVELOPER, INSIDE, None),
        ({"scopes": names("read admin")}, DEVELOPER, INSIDE, Reason.INSUFFICIENT_SCOPE),
        ({"scopes": names("READ")}, DEVELOPER, INSIDE, Reason.INSUFFICIENT_SCOPE),
        ({"groups": names("testers staff")}, DEVELOPER, INSIDE, None),
        ({"groups": names("testers")}, DEVELOPER, INSIDE, Reason.GROUP),
        ({"networks": OFFICE}, DEVELOPER, INSIDE, None),
        ({"networks": OFFICE}, DEVELOPER, OUTSIDE, Reason.NETWORK),
        ({"networks": OFFICE}, DEVELOPER, None, Reason.NETWORK),
        ({"networks": HOME + OFFICE}, DEVELOPER, INSIDE, None),
        ({"networks": OFFICE, "groups": names("x"), "scopes": names("x")}, DEVELOPER, OUTSIDE, Reason.NETWORK),
        ({"groups": names("x"), "scopes": names("x")}, DEVELOPER, INSIDE, Reason.GROUP),
        ({"scopes": names("read")}, None, INSIDE, Reason.MISSING),
        ({"groups": names("staff")}, None, INSIDE, Reason.MISSING),
        ({"networks": OFFICE}, None, OUTSIDE, Reason.NETWORK),
    ],
)
@pytest.mark.parametrize("effect", ["allow", "require"])
def test_demands(
    effect: str, demands: dict[str, Any], who: Grant | None, address: Address | None, expected: Reason | None
) -> None:
    """All scopes, any group and any network are what allow and require demand."""
    held = NOBODY if who is None else who.scopes

    assert unmet(Hit(rule(effect, **demands), {}), who, held, address) == expected


def test_allow_demands_a_token_at_least() -> None:
    """An allow without scopes lets any valid token in, and nobody without one."""
    assert unmet(Hit(allow(), {}), None, NOBODY, INSIDE) == Reason.MISSING
    assert unmet(Hit(allow(networks=OFFICE), {}), None, NOBODY, INSIDE) == Reason.MISSING


def test_require_demands_no_token_by_itself() -> None:
    """A require of networks alone holds for whoever comes from there."""
    assert unmet(Hit(require(networks=OFFICE), {}), None, NOBODY, INSIDE) is None


@pytest.mark.parametrize(
    ("limits", "captures", "exempt", "expected"),
    [
        ({}, {}, False, None),
        ({"project": ["OPS"]}, {"project": "OPS"}, False, None),
        ({"project": ["OPS", "WEB"]}, {"project": "WEB"}, False, None),
        ({"project": ["OPS"]}, {"project": "OPS", "n": "1"}, False, None),
        ({"project": ["OPS"]}, {"project": "ops"}, False, Reason.LIMIT),
        ({"project": ["OPS"]}, {"project": "XYZ"}, False, Reason.LIMIT),
        ({"project": ["OPS"]}, {}, False, Reason.LIMIT),
        ({"project": ["OPS"]}, {"n": "OPS"}, False, Reason.LIMIT),
        ({"project": ["OPS"], "n": ["1"]}, {"project": "OPS", "n": "1"}, False, None),
        ({"project": ["OPS"], "n": ["1"]}, {"project": "OPS", "n": "2"}, False, Reason.LIMIT),
        ({"project": ["OPS"], "n": ["1"]}, {"project": "OPS"}, False, Reason.LIMIT),
        ({"project": []}, {"project": "OPS"}, False, Reason.LIMIT),
        ({"project": ["OPS"]}, {}, True, None),
        ({"project": ["OPS"]}, {"project": "XYZ"}, True, None),
    ],
)
def test_limits(limits: dict[str, list[str]], captures: dict[str, str], exempt: bool, expected: Reason | None) -> None:
    """A token with limits gets in only where every limit is captured with one of its values, or by an exemption."""
    limited = grant(limits={name: frozenset(values) for name, values in limits.items()})

    assert unmet(Hit(allow(limits_exempt=exempt), captures), limited, NOBODY, INSIDE) == expected


def test_limits_bind_allows_only() -> None:
    """A require does not ask for limits: it is no reason to get in."""
    limited = grant(limits={"project": frozenset({"OPS"})}, groups="staff")

    assert unmet(Hit(require(groups=names("staff")), {}), limited, NOBODY, INSIDE) is None


READER = grant("read", "staff")
LIMITED = grant("read", "staff", limits={"project": frozenset({"OPS"})})
CAN_READ, CAN_WRITE = allow("read", scopes=names("read")), allow("write", scopes=names("write"))
STAFF, TESTERS = require("staff", groups=names("staff")), require("testers", groups=names("testers"))
FROM_OFFICE, WITH_WRITE = require("office", networks=OFFICE), require("needs-write", scopes=names("write"))
PUBLIC, PUBLIC_OFFICE = allow("public", public=True), allow("public-office", public=True, networks=OFFICE)
NO_ALICE = deny("no-alice", when=When(owners=names("alice")))
NO_BOB = deny("no-bob", when=When(owners=names("bob")))

DECISIONS = [
    # the default is to refuse
    ([], READER, INSIDE, (Reason.NO_RULE, None)),
    ([], None, INSIDE, (Reason.MISSING, None)),
    ([STAFF], READER, INSIDE, (Reason.NO_RULE, None)),
    ([NO_BOB], READER, INSIDE, (Reason.NO_RULE, None)),
    # one allow that holds is enough
    ([CAN_READ], READER, INSIDE, ("allowed", "read")),
    ([CAN_WRITE], READER, INSIDE, (Reason.INSUFFICIENT_SCOPE, "write")),
    ([CAN_WRITE, CAN_READ], READER, INSIDE, ("allowed", "read")),
    ([CAN_READ], None, INSIDE, (Reason.MISSING, "read")),
    ([allow("any")], grant(), INSIDE, ("allowed", "any")),
    ([allow("b", when=When(owners=names("bob")))], READER, INSIDE, (Reason.NO_RULE, None)),
    ([allow("o", networks=OFFICE)], READER, OUTSIDE, (Reason.NETWORK, "o")),
    ([allow("t", groups=names("testers"))], READER, INSIDE, (Reason.GROUP, "t")),
    # any deny refuses, whatever else holds
    ([NO_ALICE, CAN_READ], READER, INSIDE, (Reason.DENIED, "no-alice")),
    ([NO_BOB, CAN_READ], READER, INSIDE, ("allowed", "read")),
    ([NO_BOB, NO_ALICE, STAFF, CAN_READ], READER, INSIDE, (Reason.DENIED, "no-alice")),
    ([deny("all"), CAN_READ, PUBLIC], READER, INSIDE, (Reason.DENIED, "all")),
    ([deny("all"), PUBLIC], None, INSIDE, (Reason.MISSING, "all")),
    ([NO_ALICE, PUBLIC], None, INSIDE, ("allowed", "public")),
    # every require must hold
    ([STAFF, CAN_READ], READER, INSIDE, ("allowed", "read")),
    ([STAFF, FROM_OFFICE, CAN_READ], READER, INSIDE, ("allowed", "read")),
    ([STAFF, FROM_OFFICE, CAN_READ], READER, OUTSIDE, (Reason.NETWORK, "office")),
    ([STAFF, TESTERS, CAN_READ], READER, INSIDE, (Reason.GROUP, "testers")),
    ([WITH_WRITE, CAN_READ], READER, INSIDE, (Reason.INSUFFICIENT_SCOPE, "needs-write")),
    ([TESTERS], READER, INSIDE, (Reason.GROUP, "testers")),
    ([STAFF, CAN_READ], None, INSIDE, (Reason.MISSING, "staff")),
    ([FROM_OFFICE, CAN_READ], None, OUTSIDE, (Reason.MISSING, "office")),
    ([require("q", groups=names("x"), when=When(owners=names("bob"))), CAN_READ], READER, INSIDE, ("allowed", "read")),
    # of several requires the one that is farthest from holding is told, whatever their order
    ([WITH_WRITE, TESTERS, FROM_OFFICE, CAN_READ], READER, OUTSIDE, (Reason.NETWORK, "office")),
    ([FROM_OFFICE, TESTERS, WITH_WRITE, CAN_READ], READER, OUTSIDE, (Reason.NETWORK, "office")),
    ([WITH_WRITE, TESTERS, CAN_READ], READER, INSIDE, (Reason.GROUP, "testers")),
    # public: scopes, groups and limits are waived, of requires too; networks and denies are not
    ([PUBLIC], None, INSIDE, ("allowed", "public")),
    ([PUBLIC], READER, None, ("allowed", "public")),
    ([PUBLIC], LIMITED, INSIDE, ("allowed", "public")),
    ([PUBLIC, TESTERS, WITH_WRITE], None, INSIDE, ("allowed", "public")),
    ([PUBLIC, TESTERS, WITH_WRITE], READER, INSIDE, ("allowed", "public")),
    ([PUBLIC, FROM_OFFICE], None, INSIDE, ("allowed", "public")),
    ([PUBLIC, FROM_OFFICE], None, OUTSIDE, (Reason.MISSING, "office")),
    ([PUBLIC, FROM_OFFICE], READER, OUTSIDE, (Reason.NETWORK, "office")),
    ([PUBLIC, FROM_OFFICE], READER, None, (Reason.NETWORK, "office")),
    ([PUBLIC_OFFICE], None, INSIDE, ("allowed", "public-office")),
    ([PUBLIC_OFFICE], None, OUTSIDE, (Reason.MISSING, "public-office")),
    ([PUBLIC_OFFICE], READER, OUTSIDE, (Reason.NETWORK, "public-office")),
    ([PUBLIC_OFFICE, TESTERS], READER, OUTSIDE, (Reason.GROUP, "testers")),
    ([PUBLIC_OFFICE, CAN_READ], READER, OUTSIDE, ("allowed", "read")),
    ([allow("p", public=True, when=When(groups=names("staff")))], None, INSIDE, (Reason.MISSING, None)),
    ([allow("p", public=True, when=When(groups=names("staff")))], READER, INSIDE, ("allowed", "p")),
    # of several allows that fail the one that was nearest to holding is told
    ([allow("g", groups=names("x")), CAN_WRITE], READER, INSIDE, (Reason.INSUFFICIENT_SCOPE, "write")),
    ([allow("n", networks=HOME), allow("g", groups=names("x"))], READER, INSIDE, (Reason.GROUP, "g")),
    ([allow("n", networks=HOME), allow("any")], LIMITED, INSIDE, (Reason.LIMIT, "any")),
    ([allow("n", networks=HOME), PUBLIC_OFFICE], READER, OUTSIDE, (Reason.NETWORK, "n")),
]


@pytest.mark.parametrize(("rules", "who", "address", "expected"), DECISIONS)
def test_order_of_judging(
    rules: list[Rule], who: Grant | None, address: Address | None, expected: tuple[str | Reason, str | None]
) -> None:
    """Any deny refuses; every require must hold; then one allow must hold; else the request is refused."""
    assert told(decide(rules, who, address)) == expected


@pytest.mark.parametrize(("rules", "who", "address", "expected"), DECISIONS)
def test_order_of_rules_means_nothing(
    rules: list[Rule], who: Grant | None, address: Address | None, expected: tuple[str | Reason, str | None]
) -> None:
    """The other way round the same is decided, for the same reason."""
    decision, _ = told(decide(reversed(rules), who, address))

    assert decision == expected[0]


def test_refusal_for_scope_says_what_is_needed_and_held() -> None:
    """What would have been enough is told with what is held."""
    decision = decide([CAN_WRITE], READER)

    assert decision == Denied(Reason.INSUFFICIENT_SCOPE, "write", names("write"), names("read"))


@pytest.mark.parametrize("rules", [[], [NO_ALICE], [TESTERS, CAN_READ], [allow("n", networks=HOME)]])
def test_other_refusals_name_no_scopes(rules: list[Rule]) -> None:
    """Where no scope would have been enough none is named."""
    decision = decide(rules, READER)

    assert isinstance(decision, Denied)
    assert (decision.needed, decision.held) == (NOBODY, names("read"))


@pytest.mark.parametrize(
    ("rules", "address"), [(rules, address) for rules, who, address, _ in DECISIONS if who is None]
)
def test_refusal_without_a_credential_asks_for_one(rules: list[Rule], address: Address | None) -> None:
    """Who shows no credential hears that one is missing, and nothing about scopes."""
    decision = decide(rules, None, address)

    if isinstance(decision, Denied):
        assert replace(decision, rule=None) == Denied(Reason.MISSING)


def test_allowed_tells_rule_and_captures() -> None:
    """What let a request pass is told with what the path captured."""
    assert decide([CAN_READ], READER, captures={"n": "1"}) == Allowed("read", {"n": "1"})


LENIENT = [
    # without a credential what only lacks one passes
    ([CAN_READ], None, INSIDE, ("allowed", None)),
    ([], None, INSIDE, ("allowed", None)),
    ([FROM_OFFICE], None, INSIDE, ("allowed", None)),
    ([FROM_OFFICE, CAN_READ], None, INSIDE, ("allowed", None)),
    ([PUBLIC], None, INSIDE, ("allowed", "public")),
    # denies, networks and failed requires bind
    ([deny("all"), CAN_READ], None, INSIDE, (Reason.MISSING, "all")),
    ([deny("all")], READER, INSIDE, (Reason.DENIED, "all")),
    ([STAFF, CAN_READ], None, INSIDE, (Reason.MISSING, "staff")),
    ([STAFF], None, INSIDE, (Reason.MISSING, "staff")),
    ([WITH_WRITE], None, INSIDE, (Reason.MISSING, "needs-write")),
    ([FROM_OFFICE, CAN_READ], None, OUTSIDE, (Reason.MISSING, "office")),
    ([allow("o", networks=OFFICE)], None, OUTSIDE, (Reason.MISSING, "o")),
    ([allow("o", networks=OFFICE)], None, None, (Reason.MISSING, "o")),
    ([allow("o", networks=OFFICE)], None, INSIDE, ("allowed", None)),
    ([PUBLIC_OFFICE], None, OUTSIDE, (Reason.MISSING, "public-office")),
    ([allow("o", networks=OFFICE), CAN_READ], None, OUTSIDE, ("allowed", None)),
    # a rule about other addresses opens nothing here
    ([allow("o", networks=OFFICE), allow("h", when=When(networks=HOME))], None, OUTSIDE, (Reason.MISSING, "o")),
    ([allow("o", networks=OFFICE, when=When(groups=names("x")))], None, OUTSIDE, (Reason.MISSING, "o")),
    # with one, a path that no rule mentions passes, and is judged as ever else
    ([], READER, INSIDE, ("allowed", None)),
    ([STAFF], READER, INSIDE, ("allowed", None)),
    ([TESTERS], READER, INSIDE, (Reason.GROUP, "testers")),
    ([FROM_OFFICE], READER, OUTSIDE, (Reason.NETWORK, "office")),
    ([CAN_WRITE], READER, INSIDE, (Reason.INSUFFICIENT_SCOPE, "write")),
    ([CAN_READ], READER, INSIDE, ("allowed", "read")),
    ([allow("b", when=When(owners=names("bob")))], READER, INSIDE, (Reason.NO_RULE, None)),
    # nothing could keep a limit where no rule is
    ([], LIMITED, INSIDE, (Reason.LIMIT, None)),
]


@pytest.mark.parametrize(("rules", "who", "address", "expected"), LENIENT)
def test_lenient_judging(
    rules: list[Rule], who: Grant | None, address: Address | None, expected: tuple[str | Reason, str | None]
) -> None:
    """For an application that decides itself, only what lacks a credential or a rule passes."""
    assert told(decide(rules, who, address, lenient=True)) == expected


OBSERVED = [
    ([CAN_WRITE], READER, INSIDE, ("observed", "write")),
    ([], READER, INSIDE, ("observed", None)),
    ([STAFF], READER, INSIDE, ("observed", None)),
    ([CAN_READ], READER, INSIDE, ("allowed", "read")),
    ([WITH_WRITE, CAN_READ], READER, INSIDE, ("observed", "needs-write")),
    ([WITH_WRITE, CAN_WRITE], READER, INSIDE, ("observed", "needs-write")),
    ([WITH_WRITE], READER, INSIDE, ("observed", "needs-write")),
    # nothing else is softened
    ([], None, INSIDE, (Reason.MISSING, None)),
    ([CAN_READ], None, INSIDE, (Reason.MISSING, "read")),
    ([WITH_WRITE, CAN_READ], None, INSIDE, (Reason.MISSING, "needs-write")),
    ([NO_ALICE, CAN_READ], READER, INSIDE, (Reason.DENIED, "no-alice")),
    ([TESTERS, CAN_READ], READER, INSIDE, (Reason.GROUP, "testers")),
    ([FROM_OFFICE, CAN_READ], READER, OUTSIDE, (Reason.NETWORK, "office")),
    ([allow("t", groups=names("testers"))], READER, INSIDE, (Reason.GROUP, "t")),
    ([allow("o", networks=OFFICE)], READER, OUTSIDE, (Reason.NETWORK, "o")),
    ([allow("any")], LIMITED, INSIDE, (Reason.LIMIT, "any")),
    # not even by way of what is
    ([WITH_WRITE, TESTERS, CAN_READ], READER, INSIDE, (Reason.GROUP, "testers")),
    ([WITH_WRITE, FROM_OFFICE, CAN_READ], READER, OUTSIDE, (Reason.NETWORK, "office")),
    ([WITH_WRITE, allow("t", groups=names("testers"))], READER, INSIDE, (Reason.GROUP, "t")),
    ([WITH_WRITE, NO_ALICE, CAN_READ], READER, INSIDE, (Reason.DENIED, "no-alice")),
    ([WITH_WRITE, allow("any")], LIMITED, INSIDE, (Reason.LIMIT, "any")),
    # a token with limits keeps them where no rule is
    ([], LIMITED, INSIDE, (Reason.NO_RULE, None)),
]


@pytest.mark.parametrize(("rules", "who", "address", "expected"), OBSERVED)
def test_observing(
    rules: list[Rule], who: Grant | None, address: Address | None, expected: tuple[str | Reason, str | None]
) -> None:
    """Observing softens only the lack of a scope or of a rule, of a valid token."""
    assert told(decide(rules, who, address, observe=True)) == expected


def test_what_was_observed_is_told() -> None:
    """What would have been refused stands in the decision, for the audit."""
    assert decide([CAN_WRITE], READER, observe=True) == Allowed("write", observed=decide([CAN_WRITE], READER))
    assert decide([WITH_WRITE, CAN_READ], READER, observe=True) == Allowed(
        "needs-write", observed=decide([WITH_WRITE, CAN_READ], READER)
    )


@pytest.mark.parametrize(
    ("one", "other", "observe", "expected"),
    [
        ([CAN_READ], [allow("x")], False, ("allowed", "read")),
        ([CAN_READ], [CAN_WRITE], False, (Reason.INSUFFICIENT_SCOPE, "write")),
        ([CAN_WRITE], [CAN_READ], False, (Reason.INSUFFICIENT_SCOPE, "write")),
        ([CAN_READ], [], False, (Reason.NO_RULE, None)),
        ([], [CAN_READ], False, (Reason.NO_RULE, None)),
        ([CAN_READ], [CAN_READ, NO_ALICE], False, (Reason.DENIED, "no-alice")),
        ([CAN_READ, NO_ALICE], [CAN_READ], False, (Reason.DENIED, "no-alice")),
        ([CAN_READ], [TESTERS, CAN_READ], False, (Reason.GROUP, "testers")),
        ([CAN_READ], [CAN_WRITE], True, ("observed", "write")),
        ([CAN_WRITE], [CAN_READ], True, ("observed", "write")),
        ([CAN_WRITE], [TESTERS], True, (Reason.GROUP, "testers")),
        ([TESTERS], [CAN_WRITE], True, (Reason.GROUP, "testers")),
    ],
)
def test_both_readings_of_a_path_must_be_allowed(
    one: list[Rule], other: list[Rule], observe: bool, expected: tuple[str | Reason, str | None]
) -> None:
    """Where a path has two readings each is judged, and the stricter counts."""
    both = matched(*one, also=matched(*other, observe=observe), observe=observe)

    assert told(judge(both, READER, READER.scopes, INSIDE)) == expected


# The definition, by the letter: three lists, gone through one after the other.


def is_about(rule: Rule, who: Grant | None, address: Address | None) -> bool:
    when = rule.when or When()
    somewhere = address is not None and any(address in network for network in when.networks)
    if when.networks and not somewhere and (address is not None or rule.effect == "allow"):
        return False
    if who is None:
        return not when.groups and not when.owners and not when.scopes
    return (
        (not when.groups or bool(when.groups & who.groups))
        and (not when.owners or who.owner in when.owners)
        and (not when.scopes or bool(when.scopes & who.scopes))
    )


def is_allowed(rules: list[Rule], who: Grant | None, address: Address | None, captures: Mapping[str, str]) -> bool:
    mine = [rule for rule in rules if is_about(rule, who, address)]

    def from_there(rule: Rule) -> bool:
        return not rule.networks or (address is not None and any(address in network for network in rule.networks))

    def grants(rule: Rule) -> bool:
        return who is not None and rule.scopes <= who.scopes and (not rule.groups or bool(rule.groups & who.groups))

    def keeps(rule: Rule) -> bool:
        assert who is not None
        return rule.limits_exempt or all(captures.get(name) in values for name, values in who.limits.items())

    allows = [rule for rule in mine if rule.effect == "allow" and from_there(rule)]
    public = any(rule.public for rule in allows)
    for rule in mine:
        if rule.effect == "deny":
            return False
        asks = bool(rule.scopes or rule.groups)
        if rule.effect == "require" and not (from_there(rule) and (public or not asks or grants(rule))):
            return False
    return public or any(grants(rule) and keeps(rule) for rule in allows)


NAMES = st.frozensets(st.sampled_from(["x", "y"]), max_size=2)
NETWORKS = st.sampled_from([(), OFFICE, HOME])
WHENS = st.none() | st.builds(When, groups=NAMES, owners=NAMES, networks=NETWORKS, scopes=NAMES)
RULES = st.one_of(
    st.builds(deny, when=WHENS),
    st.builds(require, when=WHENS, scopes=NAMES, groups=NAMES, networks=NETWORKS),
    st.builds(allow, when=WHENS, scopes=NAMES, groups=NAMES, networks=NETWORKS, limits_exempt=st.booleans()),
    st.builds(allow, when=WHENS, networks=NETWORKS, public=st.just(True)),
)
GRANTS = st.none() | st.builds(
    Grant,
    token_id=st.just("t"),
    owner=st.sampled_from(["x", "z"]),
    scopes=NAMES,
    groups=NAMES,
    limits=st.dictionaries(st.sampled_from(["p", "q"]), NAMES, max_size=2),
)
ADDRESSES = st.sampled_from([None, INSIDE, OUTSIDE])
CAPTURES = st.dictionaries(st.sampled_from(["p", "q"]), st.sampled_from(["x", "z"]), max_size=2)


@given(st.lists(RULES, max_size=6), GRANTS, ADDRESSES, CAPTURES)
def test_judging_by_definition(
    rules: list[Rule], who: Grant | None, address: Address | None, captures: dict[str, str]
) -> None:
    """What is allowed is what the three sentences say, and nothing else."""
    decision = decide(rules, who, address, captures=captures)

    assert isinstance(decision, Allowed) == is_allowed(rules, who, address, captures)


@given(
    st.lists(RULES, max_size=6).flatmap(lambda rules: st.tuples(st.just(rules), st.permutations(rules))),
    GRANTS,
    ADDRESSES,
)
def test_shuffled_rules_decide_the_same(
    rules: tuple[list[Rule], list[Rule]], who: Grant | None, address: Address
) -> None:
    """In whatever order rules stand, the same is decided, for the same reason, observed or not, strict or lenient."""
    for lenient in (False, True):
        for observe in (False, True):
            one, other = (decide(order, who, address, lenient, observe=observe) for order in rules)
            assert told(one)[0] == told(other)[0]


@given(st.lists(RULES, max_size=6), GRANTS, ADDRESSES)
def test_observing_and_leniency_only_open(rules: list[Rule], who: Grant | None, address: Address | None) -> None:
    """What passes strictly passes also when it is observed or left to the application; a deny refuses always."""
    if isinstance(decide(rules, who, address), Allowed):
        assert isinstance(decide(rules, who, address, observe=True), Allowed)
        assert isinstance(decide(rules, who, address, lenient=True), Allowed)
    everywhere = [*rules, deny("all")]
    assert isinstance(decide(everywhere, who, address, lenient=True, observe=True), Denied)
