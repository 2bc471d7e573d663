"""From a method and a path to the rules that match."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.policy.match import Matcher
from patmiddleware.policy.patterns import parse, split
from patmiddleware.policy.rules import Hit, Rule, When

OFFICE = (ip_network("10.0.0.0/8"),)


def rule(id: str, *paths: str, **fields: Any) -> Rule:
    return Rule(id=id, effect=fields.pop("effect", "allow"), patterns=tuple(map(parse, paths)), **fields)


def found(rules: Sequence[Rule], path: str) -> list[str]:
    """Give which rules mention a path, in order."""
    return [entry.rule.id for entry in Matcher(rules).entries(path)]


RULES = [
    rule("everything", "/**"),
    rule("root", "/"),
    rule("a", "/a"),
    rule("a-below", "/a/**"),
    rule("any", "/{x}"),
    rule("star", "/*"),
    rule("number", "/{x:int}"),
    rule("word", "/{x:a|b}"),
    rule("begins", "/a*"),
    rule("begins-longer", "/abc*"),
    rule("ends", "/*c"),
    rule("deep", "/a/{x}/c"),
    rule("two", "/a", "/b/**"),
]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ["everything", "root"]),
        ("/a", ["everything", "a", "a-below", "any", "star", "word", "begins", "two"]),
        ("/a/", ["everything", "a", "a-below", "any", "star", "word", "begins", "two"]),
        ("/A", ["everything", "any", "star"]),
        ("/b", ["everything", "any", "star", "word", "two"]),
        ("/b/x/y", ["everything", "two"]),
        ("/12", ["everything", "any", "star", "number"]),
        ("/abcc", ["everything", "any", "star", "begins", "begins-longer", "ends"]),
        ("/ab", ["everything", "any", "star", "begins"]),
        ("/a/b/c", ["everything", "a-below", "deep"]),
        ("/a/b/d", ["everything", "a-below"]),
    ],
)
def test_all_rules_about_a_path_are_found(path: str, expected: list[str]) -> None:
    """Every rule whose path matches is found once, in the order of the file."""
    assert found(RULES, path) == expected


def test_rule_with_several_matching_paths_is_there_for_each() -> None:
    """Each path of a rule may capture something of its own."""
    matched = Matcher([rule("r", "/x/{n:int}", "/x/{id}")]).match("GET", "/x/7")

    assert [dict(hit.captures) for hit in matched.allows] == [{"n": "7"}, {"id": "7"}]


SEGMENTS = [
    "a",
    "ab",
    "abc",
    "b",
    "1",
    "12",
    "{x}",
    "{x:int}",
    "{x:a|ab}",
    "*",
    "a*",
    "ab*",
    "abcd*",
    "*b",
    "a{x}",
    "{x}b",
]
PATTERNS = st.builds(
    lambda segments, end: "/" + "/".join(segment.replace("x", f"x{at}") for at, segment in enumerate(segments)) + end,
    st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4),
    st.sampled_from(["", "", "/**"]),
) | st.sampled_from(["/", "/**"])
PATHS = st.lists(st.sampled_from(["a", "ab", "abc", "abcd", "b", "1", "12", "xb"]), max_size=5).map(
    lambda segments: "/" + "/".join(segments)
)
METHODS = st.sampled_from([None, frozenset({"GET"}), frozenset({"POST", "GET"}), frozenset({"HEAD"})])
RULE_LISTS = st.lists(st.tuples(st.lists(PATTERNS, min_size=1, max_size=2, unique=True), METHODS), max_size=12).map(
    lambda drawn: [rule(f"r{at}", *patterns, methods=methods) for at, (patterns, methods) in enumerate(drawn)]
)


@given(RULE_LISTS, PATHS)
def test_tree_finds_what_looking_at_every_rule_finds(rules: list[Rule], path: str) -> None:
    """The tree gives neither more nor less than every pattern asked in turn, and no rule twice for one pattern."""
    one_by_one = [
        (rule.id, str(pattern)) for rule in rules for pattern in rule.patterns if pattern.match(split(path)) is not None
    ]

    given = [(entry.rule.id, str(entry.pattern)) for entry in Matcher(rules).entries(path)]

    assert sorted(given) == sorted(one_by_one)
    assert [id for id, _ in given] == [id for id, _ in one_by_one]


@given(RULE_LISTS, st.sampled_from(["GET", "HEAD", "POST", "PATCH"]), PATHS)
def test_match_gives_hits_of_the_method(rules: list[Rule], method: str, path: str) -> None:
    """What is judged are the rules of that path and method, with what each path captured."""
    expected = [
        Hit(rule, captures)
        for rule in rules
        if rule.methods is None or method in rule.methods
        for pattern in rule.patterns
        if (captures := pattern.match(split(path))) is not None
    ]

    matched = Matcher(rules).match(method, path)

    assert sorted(matched.allows, key=repr) == sorted(expected, key=repr)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("GET", ["get", "any"]), ("HEAD", ["head", "any"]), ("POST", ["any"]), ("get", ["any"]), ("OPTIONS", ["any"])],
)
def test_methods_are_exact(method: str, expected: list[str]) -> None:
    """A rule is about its methods to the letter; GET does not stand for HEAD; none named are all."""
    rules = [
        rule("get", "/a", methods=frozenset({"GET"})),
        rule("head", "/a", methods=frozenset({"HEAD"})),
        rule("any", "/a"),
    ]

    assert [hit.rule.id for hit in Matcher(rules).match(method, "/a").allows] == expected


def test_effects_are_told_apart() -> None:
    """Denies, requires, allows and public allows are kept apart, each in the order of the file."""
    rules = [
        rule("p1", "/**", public=True),
        rule("a1", "/**"),
        rule("d1", "/**", effect="deny"),
        rule("r1", "/**", effect="require"),
        rule("a2", "/x"),
        rule("d2", "/x", effect="deny"),
    ]

    matched = Matcher(rules).match("GET", "/x")

    kinds = (matched.denies, matched.requires, matched.allows, matched.public)
    assert [[hit.rule.id for hit in hits] for hits in kinds] == [["d1", "d2"], ["r1"], ["a1", "a2"], ["p1"]]


@pytest.mark.parametrize(
    ("rules", "method", "path", "expected"),
    [
        ([rule("a", "/a")], "GET", "/a", True),
        ([rule("a", "/a")], "GET", "/b", False),
        ([rule("a", "/a", methods=frozenset({"POST"}))], "GET", "/a", True),
        ([rule("a", "/a", public=True)], "GET", "/a", True),
        ([rule("d", "/a", effect="deny"), rule("r", "/a", effect="require")], "GET", "/a", False),
        ([], "GET", "/a", False),
    ],
)
def test_path_is_mentioned_by_allows(rules: list[Rule], method: str, path: str, expected: bool) -> None:
    """A path is mentioned where an allow is about it, if only for another method."""
    assert Matcher(rules).match(method, path).mentioned == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"networks": OFFICE}, True),
        ({"when": When(networks=OFFICE)}, True),
        ({"when": When(groups=frozenset({"g"}))}, False),
        ({"networks": OFFICE, "methods": frozenset({"POST"})}, False),
    ],
)
def test_address_is_asked_for_where_it_matters(fields: dict[str, Any], expected: bool) -> None:
    """The client's address is found out only where a rule of this path and method looks at it."""
    assert Matcher([rule("r", "/a", **fields)]).match("GET", "/a").asks_address == expected


OPERATIONS = [
    rule("literal", "/rest/issue/picker", table="t"),
    rule("keyed", "/rest/issue/{k:key}-{n:int}", table="t"),
    rule("id", "/rest/issue/{id}", table="t"),
    rule("family", "/rest/issue/**", table="t"),
    rule("family-post", "/rest/issue/**", table="t", methods=frozenset({"POST"})),
    rule("root", "/rest/**", table="t"),
    rule("other-table", "/rest/**", table="u"),
    rule("mine", "/rest/**"),
]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/rest/issue/picker", ["literal", "other-table", "mine"]),
        ("GET", "/rest/issue/ABC-1", ["keyed", "other-table", "mine"]),
        ("GET", "/rest/issue/10000", ["id", "other-table", "mine"]),
        ("GET", "/rest/issue/10000/x", ["family", "other-table", "mine"]),
        ("POST", "/rest/issue/10000/x", ["family", "family-post", "other-table", "mine"]),
        ("GET", "/rest/issue", ["family", "other-table", "mine"]),
        ("GET", "/rest/x", ["root", "other-table", "mine"]),
    ],
)
def test_most_specific_operation_of_a_preset_decides_alone(method: str, path: str, expected: list[str]) -> None:
    """Of a preset's operations the most specific one counts; rules of one's own always do."""
    assert [hit.rule.id for hit in Matcher(OPERATIONS).match(method, path).allows] == expected


def test_less_specific_operation_decides_for_other_methods() -> None:
    """An operation that is not about the method does not hide one that is."""
    rules = [
        rule("get", "/rest/issue/{id}", table="t", methods=frozenset({"GET"})),
        rule("rest", "/rest/**", table="t"),
    ]

    assert [hit.rule.id for hit in Matcher(rules).match("PUT", "/rest/issue/1").allows] == ["rest"]


def calls(act: Callable[[], object]) -> int:
    """Count the calls of functions that something makes."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("shape", ["/rest/thing{}/{{id}}", "/thing{}/**", "/a/thing{}-{{n:int}}", "/{{x:int}}/thing{}"])
def test_cost_does_not_grow_with_the_number_of_rules(shape: str) -> None:
    """Of a thousand rules as many are looked at as of ten."""
    few, many = (Matcher([rule(f"r{n}", shape.format(n)) for n in range(count)]) for count in (10, 1_000))
    path = shape.format(7).replace("{id}", "x").replace("{n:int}", "1").replace("{x:int}", "2")

    assert calls(lambda: many.match("GET", path)) <= calls(lambda: few.match("GET", path)) * 1.2


def test_cost_does_not_explode_with_the_depth() -> None:
    """Rules with wildcards in every place are gone through once each, however many ways lead there."""
    rules = [rule("r", "/" + "/".join(["*"] * 30)), rule("s", "/" + "/".join(["a*"] * 30)), rule("t", "/aaaaaa*/**")]

    found = Matcher(rules).entries("/" + "/".join(["a"] * 30))

    assert [entry.rule.id for entry in found] == ["r", "s"]
