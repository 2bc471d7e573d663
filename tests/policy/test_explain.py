"""Why a request is decided as it is, rule by rule."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.model import Allowed, Denied, Grant, Reason, Request
from patmiddleware.policy import Policy

INSIDE, OUTSIDE = ip_address("10.1.2.3"), ip_address("192.0.2.7")
OFFICE = ["10.0.0.0/8"]


def rule(id: str, effect: str = "allow", path: str | list[str] = "/**", **fields: Any) -> dict[str, Any]:
    return {"id": id, "effect": effect, "path": path, **fields}


def policy(*rules: Mapping[str, Any], **fields: Any) -> Policy:
    return Policy.from_dict({"scopes": {"read": {}, "write": {"includes": ["read"]}}, "rule": list(rules), **fields})


def grant(scopes: str = "", groups: str = "", **fields: Any) -> Grant:
    return Grant(
        token_id="t", owner="alice", scopes=frozenset(scopes.split()), groups=frozenset(groups.split()), **fields
    )


WRITER = grant("write", "staff")
LIMITED = grant("read", limits={"project": frozenset({"OPS"})})
HERE = Request("GET", "/issue/OPS-1", INSIDE)


def steps(rules: Policy, who: Grant | None = WRITER, request: Request = HERE) -> list[tuple[str, str, str]]:
    """Give what became of each rule."""
    return [(step.rule, step.outcome, step.why) for step in rules.explain(who, request).steps]


@pytest.mark.parametrize(
    ("fields", "who", "request_", "outcome", "why"),
    [
        ({"scopes": ["read"]}, WRITER, HERE, "holds", "needs read"),
        ({"scopes": ["read", "write"]}, WRITER, HERE, "holds", "needs read, write"),
        ({"scopes": []}, WRITER, HERE, "holds", "needs any valid token"),
        ({"scopes": ["write"]}, grant("read"), HERE, "fails", "needs write, the token has read"),
        ({"scopes": ["write"]}, grant(), HERE, "fails", "needs write, the token has no scope"),
        ({"scopes": ["read"]}, None, HERE, "fails", "needs a token"),
        ({"scopes": [], "groups": ["qa", "ops"]}, WRITER, HERE, "fails", "needs one of the groups ops, qa"),
        ({"scopes": ["read"], "groups": ["staff"]}, WRITER, HERE, "holds", "needs read; one of the groups staff"),
        (
            {"scopes": [], "networks": OFFICE},
            WRITER,
            Request("GET", "/", OUTSIDE),
            "fails",
            "needs an address in 10.0.0.0/8, this one is 192.0.2.7",
        ),
        (
            {"scopes": [], "networks": OFFICE},
            WRITER,
            Request("GET", "/"),
            "fails",
            "needs an address in 10.0.0.0/8, this one is not known",
        ),
        ({"scopes": [], "networks": OFFICE}, WRITER, HERE, "holds", "needs an address in 10.0.0.0/8"),
        ({"scopes": []}, LIMITED, HERE, "fails", "the token is limited, and the path captures nothing"),
        (
            {"scopes": [], "path": "/issue/{project:key}-{n:int}"},
            LIMITED,
            Request("GET", "/issue/WEB-1"),
            "fails",
            "the token is limited, and the path captures project=WEB, n=1",
        ),
        ({"scopes": [], "path": "/issue/{project:key}-{n:int}"}, LIMITED, HERE, "holds", "needs any valid token"),
        ({"public": True}, None, HERE, "holds", "the path is public"),
        ({"public": True}, WRITER, HERE, "holds", "the path is public"),
        ({"scopes": [], "methods": ["PUT", "POST"]}, WRITER, HERE, "passed over", "it is about POST, PUT"),
        (
            {"scopes": [], "when": {"owners": ["bob"]}},
            WRITER,
            HERE,
            "passed over",
            "its 'when' is not about this caller",
        ),
        ({"effect": "deny"}, WRITER, HERE, "refuses", "a matching deny refuses, whatever else holds"),
        ({"effect": "deny", "methods": ["PUT"]}, WRITER, HERE, "passed over", "it is about PUT"),
        (
            {"effect": "deny", "when": {"owners": ["bob"]}},
            WRITER,
            HERE,
            "passed over",
            "its 'when' is not about this caller",
        ),
        ({"effect": "require", "groups": ["staff"]}, WRITER, HERE, "holds", "needs one of the groups staff"),
        ({"effect": "require", "groups": ["qa"]}, WRITER, HERE, "fails", "needs one of the groups qa"),
        ({"effect": "require", "networks": OFFICE}, None, HERE, "holds", "needs an address in 10.0.0.0/8"),
    ],
)
def test_each_rule_says_what_became_of_it(
    fields: dict[str, Any], who: Grant | None, request_: Request, outcome: str, why: str
) -> None:
    """A rule whose path matches holds, fails, refuses or is passed over, and says why."""
    assert steps(policy(rule("r", **fields)), who, request_) == [("r", outcome, why)]


def test_rules_about_other_paths_are_not_told() -> None:
    """Only rules that mention the path are told, each once, in the order of the file, whatever the method."""
    rules = policy(
        rule("other", path="/other", scopes=[]),
        rule("twice", path=["/issue/**", "/issue/{x}"], scopes=[]),
        rule("put", path="/issue/{x}", scopes=[], methods=["PUT"]),
        rule("no", "deny", when={"owners": ["bob"]}),
    )

    assert [name for name, _, _ in steps(rules)] == ["twice", "put", "no"]


def test_no_rule_no_steps() -> None:
    """Where no rule mentions the path there is nothing to tell but the decision."""
    explained = policy(rule("a", path="/a", scopes=[])).explain(WRITER, HERE)

    assert explained.steps == ()
    assert explained.decision == Denied(Reason.NO_RULE, held=frozenset({"read", "write"}))


@pytest.mark.parametrize(
    "paths", [["/issue/{project:key}-{n:int}", "/issue/**"], ["/issue/**", "/issue/{project:key}-*"]]
)
def test_one_of_several_paths_is_enough(paths: list[str]) -> None:
    """A rule that holds by one of its paths is told as holding, as it was judged."""
    explained = policy(rule("r", path=paths, scopes=[])).explain(LIMITED, HERE)

    assert isinstance(explained.decision, Allowed)
    assert [step.outcome for step in explained.steps] == ["holds"]


def test_what_is_waived_is_told() -> None:
    """A require whose groups are waived, for the path is public, does not seem to fail; its networks still may."""
    rules = policy(
        rule("open", public=True),
        rule("qa", "require", groups=["qa"]),
        rule("office", "require", networks=OFFICE),
        rule("write", scopes=["write"]),
    )

    inside, outside = (rules.explain(None, Request("GET", "/x", address)) for address in (INSIDE, OUTSIDE))

    assert inside.decision == Allowed("open")
    assert [step.outcome for step in inside.steps] == ["holds", "holds", "holds", "fails"]
    assert outside.decision == Denied(Reason.MISSING, "office")
    assert [step.outcome for step in outside.steps] == ["holds", "holds", "fails", "fails"]


def test_less_specific_operation_is_passed_over() -> None:
    """Of a preset the rules that mention the path are told, with the reason why all but one are passed over."""
    rules = Policy.preset("jira")

    told = {name: (outcome, why) for name, outcome, why in steps(rules, WRITER, Request("GET", "/rest/api/2/myself"))}

    assert told["jira: GET /rest/api/2/myself"] == ("fails", "needs READ, the token has write")
    assert told["jira: PUT /rest/api/2/myself"] == ("passed over", "it is about PUT")
    assert told["jira: /rest/**"] == ("passed over", "a more specific operation decides")


def test_other_spellings_are_told_of_the_same_rules() -> None:
    """What is told of one spelling is told of the other."""
    rules = Policy.preset("jira")
    holder = grant("READ")

    plain, other = (
        rules.explain(holder, Request("GET", path))
        for path in ("/rest/api/2/issue/ABC-1", "/rest/api/latest/issue/abc-1.json")
    )

    assert plain == other
    assert isinstance(plain.decision, Allowed)


def test_both_readings_are_told() -> None:
    """Of a path with parameters the rules for either reading are told, each step once."""
    rules = policy(
        rule("raw", path="/*v=*", scopes=[]),
        rule("plain", "deny", path="/admin"),
        rule("all", scopes=[]),
        allow_path_parameters=True,
    )

    explained = rules.explain(WRITER, Request("GET", "/admin;v=1"))

    assert explained.decision == Denied(Reason.DENIED, "plain", held=frozenset({"read", "write"}))
    assert sorted(step.rule for step in explained.steps) == ["all", "plain", "raw"]


EFFECTS = st.sampled_from(
    [
        {"effect": "allow", "scopes": ["read"]},
        {"effect": "allow", "scopes": ["write"], "networks": OFFICE},
        {"effect": "allow", "scopes": [], "when": {"groups": ["staff"]}},
        {"effect": "allow", "public": True, "networks": OFFICE},
        {"effect": "require", "groups": ["staff"]},
        {"effect": "require", "networks": OFFICE, "when": {"owners": ["alice"]}},
        {"effect": "deny", "when": {"networks": ["192.0.2.0/24"]}},
        {"effect": "deny", "methods": ["PUT"]},
    ]
)
GRANTS = st.sampled_from([None, grant(), grant("read"), grant("write", "staff"), LIMITED])


@given(st.lists(EFFECTS, max_size=5), GRANTS, st.sampled_from(["GET", "PUT"]), st.sampled_from([None, INSIDE, OUTSIDE]))
def test_explanation_agrees_with_the_decision(
    fields: list[dict[str, Any]], who: Grant | None, method: str, address: Any
) -> None:
    """What is explained is what is decided, and the steps are its reasons."""
    rules = policy(*(rule(f"r{at}", **each) for at, each in enumerate(fields)))
    request = Request(method, "/x", address)

    explained = rules.explain(who, request)

    outcomes = [(step.effect, step.outcome) for step in explained.steps]
    passes = (
        ("deny", "refuses") not in outcomes and ("require", "fails") not in outcomes and ("allow", "holds") in outcomes
    )
    assert explained.decision == rules.decide(who, request)
    assert isinstance(explained.decision, Allowed) == passes
