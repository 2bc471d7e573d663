"""A policy file is judged whole, and all that is wrong with it is told at once."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.errors import ConfigurationError, Problem
from patmiddleware.policy.file import Content, expand, read, read_file
from patmiddleware.policy.rules import Rule, When

WHOLE = """
[scopes.read]
about = "Read what you may see"
[scopes.write]
includes = ["read"]

[[rule]]
id = "read-issues"
effect = "allow"
methods = ["GET", "HEAD"]
path = "/rest/api/2/issue/{project:key}-{n:int}/**"
scopes = ["read"]

[[rule]]
id = "health"
path = "/health"
public = true

[[rule]]
id = "hooks"
about = "They sign for themselves"
path = ["/hook", "/hooks/**"]
methods = ["POST"]
public = true
credentials = "ignore"

[[rule]]
id = "developers-only"
effect = "require"
path = "/rest/**"
groups = ["developers", "service-accounts"]

[[rule]]
id = "service-accounts-from-inside"
effect = "require"
path = "/**"
when = {groups = ["service-accounts"]}
networks = ["10.0.0.0/8", "2001:db8::/32"]

[[rule]]
path = "/info"
scopes = []
limits = "exempt"

[[rule]]
id = "not-them"
effect = "deny"
path = "/**"
when = {owners = ["eve"], networks = ["192.0.2.0/24"], scopes = ["write"]}
"""


def load(text: str, folder: Path) -> Content:
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return read(read_file(path))


def problems(data: Mapping[str, Any]) -> list[Problem]:
    """Give all that is wrong with a policy."""
    try:
        read(data)
    except ConfigurationError as error:
        return list(error.problems)
    return []


def test_every_setting_is_read(tmp_path: Path) -> None:
    """Each setting of each kind of rule arrives in the rule."""
    content = load(WHOLE, tmp_path)

    described = [
        (rule.id, rule.effect, [str(pattern) for pattern in rule.patterns], rule.methods) for rule in content.rules
    ]
    assert content.scopes == {"read": frozenset(), "write": frozenset({"read"})}
    assert described == [
        ("read-issues", "allow", ["/rest/api/2/issue/{project:key}-{n:int}/**"], frozenset({"GET", "HEAD"})),
        ("health", "allow", ["/health"], None),
        ("hooks", "allow", ["/hook", "/hooks/**"], frozenset({"POST"})),
        ("developers-only", "require", ["/rest/**"], None),
        ("service-accounts-from-inside", "require", ["/**"], None),
        ("rule-6", "allow", ["/info"], None),
        ("not-them", "deny", ["/**"], None),
    ]


@pytest.mark.parametrize(
    ("number", "field", "expected"),
    [
        (0, "scopes", frozenset({"read"})),
        (0, "public", False),
        (0, "when", None),
        (0, "limits_exempt", False),
        (0, "ignore_credentials", False),
        (0, "table", ""),
        (1, "public", True),
        (1, "ignore_credentials", False),
        (2, "public", True),
        (2, "ignore_credentials", True),
        (3, "groups", frozenset({"developers", "service-accounts"})),
        (4, "when", When(groups=frozenset({"service-accounts"}))),
        (4, "networks", (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))),
        (5, "scopes", frozenset()),
        (5, "limits_exempt", True),
        (
            6,
            "when",
            When(owners=frozenset({"eve"}), networks=(ip_network("192.0.2.0/24"),), scopes=frozenset({"write"})),
        ),
    ],
)
def test_every_field_is_read(number: int, field: str, expected: object, tmp_path: Path) -> None:
    """What a setting says stands in the rule, and what it leaves out has its default."""
    assert getattr(load(WHOLE, tmp_path).rules[number], field) == expected


@pytest.mark.parametrize("text", ["", "observe = false", "[scopes]", "rule = []"])
def test_empty_policy_is_a_policy(text: str, tmp_path: Path) -> None:
    """Nothing at all is a policy: it refuses everything."""
    assert load(text, tmp_path) == Content({}, ())


@pytest.mark.parametrize("setting", ["observe", "allow_path_parameters"])
def test_switches_are_read(setting: str) -> None:
    """The two switches are off, and can be turned on."""
    assert getattr(read({setting: True}), setting) is True
    assert getattr(read({}), setting) is False


GOOD: Mapping[str, Any] = {"path": "/a", "scopes": []}


def one(**changes: Any) -> Mapping[str, Any]:
    """Give a policy of two scopes and one rule, with these settings of it changed."""
    rule = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return {"scopes": {"read": {}, "write": {"includes": ["read"]}}, "rule": [rule]}


def demands(effect: str, **changes: Any) -> Mapping[str, Any]:
    return one(effect=effect, scopes=None, **changes)


OFFICE = ["10.0.0.0/8"]

WRONG: list[tuple[Mapping[str, Any], str, str, str, str]] = [
    # unknown settings, with the nearest valid one
    ({"rules": []}, "PAT-E203", "rules", "no such setting", "did you mean 'rule'?"),
    ({"scope": {}}, "PAT-E203", "scope", "no such setting", "did you mean 'scopes'?"),
    ({"Observe": True}, "PAT-E203", "Observe", "no such setting", "did you mean 'observe'?"),
    (
        {"zzz": 1},
        "PAT-E203",
        "zzz",
        "no such setting",
        "there are allow_path_parameters, observe, preset, rule, scopes",
    ),
    (one(method=["GET"]), "PAT-E203", "rule[0].method", "no such setting", "did you mean 'methods'?"),
    (one(paths="/a"), "PAT-E203", "rule[0].paths", "no such setting", "did you mean 'path'?"),
    (one(network=OFFICE), "PAT-E203", "rule[0].network", "no such setting", "did you mean 'networks'?"),
    (one(table="jira"), "PAT-E203", "rule[0].table", "no such setting", ""),
    (one(when={"group": ["a"]}), "PAT-E203", "rule[0].when.group", "no such setting", "did you mean 'groups'?"),
    (one(when={"methods": ["GET"]}), "PAT-E203", "rule[0].when.methods", "no such setting", ""),
    ({"scopes": {"a": {"include": []}}}, "PAT-E203", "scopes.a.include", "no such setting", "did you mean 'includes'?"),
    ({"preset": [{"name": "jira", "path": "/"}]}, "PAT-E203", "preset[0].path", "no such setting", ""),
    # kinds
    ({"rule": {}}, "PAT-E204", "rule", "must be an array of tables, written [[rule]]", ""),
    ({"rule": ["a"]}, "PAT-E204", "rule", "must be an array of tables, written [[rule]]", ""),
    ({"preset": {"name": "jira"}}, "PAT-E204", "preset", "must be an array of tables, written [[preset]]", ""),
    ({"preset": "jira"}, "PAT-E204", "preset", "must be an array of tables, written [[preset]]", ""),
    ({"scopes": ["read"]}, "PAT-E204", "scopes", "must be tables, written [scopes.NAME]", ""),
    ({"scopes": {"read": "x"}}, "PAT-E204", "scopes.read", "must be a table, written [scopes.read]", ""),
    ({"scopes": {"read": {"about": 1}}}, "PAT-E204", "scopes.read.about", "must be a string, not 1", ""),
    ({"scopes": {"a": {"includes": "b"}}}, "PAT-E204", "scopes.a.includes", "must be a list of strings, not 'b'", ""),
    ({"observe": 1}, "PAT-E204", "observe", "must be true or false, not 1", ""),
    ({"observe": "true"}, "PAT-E204", "observe", "must be true or false, not 'true'", ""),
    ({"allow_path_parameters": []}, "PAT-E204", "allow_path_parameters", "must be true or false, not []", ""),
    (one(id=7), "PAT-E204", "rule[0].id", "must be a string, not 7", ""),
    (one(about=True), "PAT-E204", "rule[0].about", "must be a string, not True", ""),
    (one(scopes="read"), "PAT-E204", "rule[0].scopes", "must be a list of strings, not 'read'", ""),
    (one(scopes=[1]), "PAT-E204", "rule[0].scopes", "must be a list of strings, not [1]", ""),
    (one(groups="staff"), "PAT-E204", "rule[0].groups", "must be a list of strings, not 'staff'", ""),
    (one(networks="10.0.0.0/8"), "PAT-E204", "rule[0].networks", "must be a list of strings", ""),
    (one(methods="GET"), "PAT-E204", "rule[0].methods", "must be a list of strings, not 'GET'", ""),
    (one(public="yes"), "PAT-E204", "rule[0].public", "must be true or false, not 'yes'", ""),
    (one(when=["staff"]), "PAT-E204", "rule[0].when", "must be a table, not ['staff']", ""),
    (one(when={"groups": "staff"}), "PAT-E204", "rule[0].when.groups", "must be a list of strings, not 'staff'", ""),
    ({"preset": [{"name": 1}]}, "PAT-E204", "preset[0].name", "must be a string, not 1", ""),
    # presets
    ({"preset": [{"name": "jirra"}]}, "PAT-E205", "preset[0].name", "no preset 'jirra'", "did you mean 'jira'?"),
    ({"preset": [{}]}, "PAT-E205", "preset[0].name", "needs a name", "jira"),
    ({"preset": [{"name": "jira", "mount": "jira"}]}, "PAT-E206", "preset[0].mount", "must begin with a slash", ""),
    ({"preset": [{"name": "jira", "mount": "/{x}"}]}, "PAT-E206", "preset[0].mount", "must be a plain path", ""),
    ({"preset": [{"name": "jira", "mount": "/a/**"}]}, "PAT-E206", "preset[0].mount", "must be a plain path", ""),
    ({"preset": [{"name": "jira", "mount": "/a*"}]}, "PAT-E206", "preset[0].mount", "must be a plain path", ""),
    ({"preset": [{"name": "jira", "mount": "//a"}]}, "PAT-E206", "preset[0].mount", "can never match", ""),
    # scopes
    ({"scopes": {"a b": {}}}, "PAT-E207", "scopes.a b", "can't be a scope", ""),
    ({"scopes": {'a"': {}}}, "PAT-E207", 'scopes.a"', "can't be a scope", ""),
    ({"scopes": {"é": {}}}, "PAT-E207", "scopes.é", "can't be a scope", ""),
    ({"scopes": {"": {}}}, "PAT-E207", "scopes.", "can't be a scope", ""),
    ({"scopes": {7: {}, "read": {}}}, "PAT-E207", "scopes.7", "can't be a scope", ""),
    ({7: {}}, "PAT-E203", "7", "there is no such setting", ""),
    (one(when={("a",): ["b"]}), "PAT-E203", "rule[0].when.('a',)", "there is no such setting", ""),
    ({"preset": [{"name": "jira"}], "scopes": {"READ": {}}}, "PAT-E207", "scopes.READ", "defined by a preset", ""),
    ({"rule": [{"path": "/a", "scopes": ["a b"]}]}, "PAT-E207", "rule[0].scopes", "'a b' can't be a scope", ""),
    (one(scopes=["reed"]), "PAT-E208", "rule[0].scopes", "there is no scope 'reed'", "did you mean 'read'?"),
    (one(scopes=["READ"]), "PAT-E208", "rule[0].scopes", "there is no scope 'READ'", "there are read, write"),
    (one(when={"scopes": ["wirte"]}), "PAT-E208", "rule[0].when.scopes", "no scope 'wirte'", "did you mean 'write'?"),
    ({"scopes": {"a": {"includes": ["b"]}}}, "PAT-E208", "scopes.a.includes", "there is no scope 'b'", "there are a"),
    (
        {"scopes": {"a": {"includes": ["a"]}}},
        "PAT-E209",
        "scopes.a.includes",
        "'a' includes itself",
        "break the circle",
    ),
    # networks
    (one(networks=["10.0.0.1/8"]), "PAT-E210", "rule[0].networks", "has host bits set", "10.0.0.0/8"),
    (one(networks=["office"]), "PAT-E210", "rule[0].networks", "'office'", "10.0.0.0/8"),
    (one(networks=["10.0.0.0/33"]), "PAT-E210", "rule[0].networks", "'10.0.0.0/33'", "10.0.0.0/8"),
    (one(when={"networks": [""]}), "PAT-E210", "rule[0].when.networks", "''", "10.0.0.0/8"),
    # what would be about nobody, or everybody
    (one(when={"groups": []}), "PAT-E211", "rule[0].when.groups", "is empty", ""),
    (one(when={"owners": []}), "PAT-E211", "rule[0].when.owners", "is empty", ""),
    (one(when={"networks": []}), "PAT-E211", "rule[0].when.networks", "is empty", ""),
    (one(when={"scopes": []}), "PAT-E211", "rule[0].when.scopes", "is empty", ""),
    (one(groups=[]), "PAT-E211", "rule[0].groups", "is empty: nobody could meet it", "leave it out for anybody"),
    (one(networks=[]), "PAT-E211", "rule[0].networks", "is empty: nobody could meet it", "leave it out for anybody"),
    # paths
    (one(path=None), "PAT-E212", "rule[0].path", "is missing", 'every path is "/**"'),
    (one(path=[]), "PAT-E212", "rule[0].path", "must be a path or a list of paths, not []", ""),
    (one(path=7), "PAT-E212", "rule[0].path", "must be a path or a list of paths, not 7", ""),
    (one(path=["/a", 7]), "PAT-E212", "rule[0].path", "must be a path or a list of paths", ""),
    (one(path="a"), "PAT-E213", "rule[0].path", "'a' must begin with a slash", ""),
    (one(path=["/a", "/a//b"]), "PAT-E213", "rule[0].path", "'/a//b' can never match", ""),
    (one(path="/{n:ints}"), "PAT-E213", "rule[0].path", "did you mean int?", ""),
    # methods
    (one(methods=["get"]), "PAT-E214", "rule[0].methods", "'get' is not a method", "write 'GET'"),
    (one(methods=["GET", "G T"]), "PAT-E214", "rule[0].methods", "'G T' is not a method", "such as 'GET'"),
    (one(methods=["GET,POST"]), "PAT-E214", "rule[0].methods", "'GET,POST' is not a method", "such as 'GET'"),
    (one(methods=[""]), "PAT-E214", "rule[0].methods", "'' is not a method", "such as 'GET'"),
    (one(methods=["*"]), "PAT-E214", "rule[0].methods", "'*' is not a method", "such as 'GET'"),
    (one(methods=[]), "PAT-E214", "rule[0].methods", "is empty", "leave it out for any"),
    # words
    (one(effect="alow"), "PAT-E215", "rule[0].effect", "'alow' is none of", "did you mean 'allow'?"),
    (one(effect="ALLOW"), "PAT-E215", "rule[0].effect", "'ALLOW' is none of allow, require and deny", ""),
    (one(effect=7), "PAT-E215", "rule[0].effect", "7 is none of allow, require and deny", ""),
    (one(limits="none"), "PAT-E215", "rule[0].limits", "can only be 'exempt', not 'none'", ""),
    (one(limits=True), "PAT-E215", "rule[0].limits", "can only be 'exempt', not True", ""),
    (one(scopes=None, public=True, credentials="read"), "PAT-E215", "rule[0].credentials", "only be 'ignore'", ""),
    # contradictions
    (demands("deny", groups=["a"]), "PAT-E216", "rule[0]", "a deny demands nothing", "under when"),
    (demands("deny", networks=OFFICE), "PAT-E216", "rule[0]", "a deny demands nothing", "under when"),
    (one(effect="deny", scopes=[]), "PAT-E216", "rule[0]", "a deny demands nothing", "under when"),
    (one(effect="deny", scopes=["read"]), "PAT-E216", "rule[0]", "a deny demands nothing", "under when"),
    (demands("require"), "PAT-E216", "rule[0]", "a require demands something", ""),
    (one(effect="require"), "PAT-E216", "rule[0]", "a require demands something", ""),
    (demands("require", when={"groups": ["a"]}), "PAT-E216", "rule[0]", "a require demands something", ""),
    (demands("allow"), "PAT-E216", "rule[0]", "an allow has either scopes or public", "scopes = []"),
    (demands("allow", groups=["a"]), "PAT-E216", "rule[0]", "an allow has either scopes or public", "scopes = []"),
    (demands("allow", public=False), "PAT-E216", "rule[0]", "an allow has either scopes or public", "scopes = []"),
    (one(public=True), "PAT-E216", "rule[0].public", "asks for neither scopes nor groups", ""),
    (one(public=True, scopes=["read"]), "PAT-E216", "rule[0].public", "asks for neither scopes nor groups", ""),
    (demands("allow", public=True, groups=["a"]), "PAT-E216", "rule[0].public", "neither scopes nor groups", ""),
    (demands("deny", public=True), "PAT-E216", "rule[0].public", "only an allow can be public", ""),
    (demands("require", networks=OFFICE, public=True), "PAT-E216", "rule[0].public", "only an allow can be public", ""),
    (
        one(credentials="ignore"),
        "PAT-E216",
        "rule[0].credentials",
        "only be ignored where the path is public",
        "public",
    ),
    (demands("deny", limits="exempt"), "PAT-E216", "rule[0].limits", "only an allow can be exempt", ""),
    (demands("require", groups=["a"], limits="exempt"), "PAT-E216", "rule[0].limits", "only an allow can be", ""),
]


@pytest.mark.parametrize(("data", "id", "setting", "message", "hint"), WRONG)
def test_what_is_wrong_is_told(data: Mapping[str, Any], id: str, setting: str, message: str, hint: str) -> None:
    """Each mistake is told with its setting, what is wrong, and what to do; and nothing else is."""
    found = problems(data)

    assert [(problem.id, problem.setting) for problem in found] == [(id, setting)]
    assert message in found[0].message
    assert hint in found[0].hint


@pytest.mark.parametrize(
    "data",
    [
        one(),
        one(effect="allow"),
        one(scopes=["read", "write"], groups=["a"], networks=OFFICE, limits="exempt"),
        one(scopes=None, public=True),
        one(scopes=None, public=True, networks=OFFICE, credentials="ignore"),
        one(scopes=None, public=True, when={"networks": OFFICE}),
        one(effect="require", scopes=["read"]),
        demands("require", groups=["a"]),
        demands("require", networks=OFFICE),
        demands("require", networks=OFFICE, when={"owners": ["a"]}),
        demands("deny"),
        demands("deny", methods=["DELETE"], when={"scopes": ["read"]}),
        one(methods=["PROPFIND", "M-SEARCH"]),
        one(path=["/", "/**"]),
        {"rule": [{"path": "/a", "scopes": ["any:name", "!#[]~"]}]},
        {"preset": [{"name": "jira"}], "rule": [{"path": "/a", "scopes": ["WRITE"]}]},
        {"preset": [{"name": "jira", "mount": "/"}]},
        {"preset": [{"name": "jira", "mount": "/a/b/"}], "scopes": {"mine": {"includes": ["READ"]}}},
    ],
)
def test_what_is_right_is_taken(data: Mapping[str, Any]) -> None:
    """Every sound combination loads."""
    assert problems(data) == []


def test_all_problems_are_told_at_once() -> None:
    """A policy with many mistakes tells all of them, in the order of the file."""
    data = {
        "observ": True,
        "scopes": {"read": {}, "bad scope": {}},
        "rule": [
            {"path": "/a", "scopes": ["reed"], "methods": ["get"]},
            {"path": "/b", "scopes": ["read"]},
            {"path": "b", "efect": "deny", "networks": ["x"]},
            {"path": "/c", "effect": "deny", "public": True, "limits": "exempt", "credentials": "ignore"},
        ],
    }

    assert [(problem.id, problem.setting) for problem in problems(data)] == [
        ("PAT-E203", "observ"),
        ("PAT-E207", "scopes.bad scope"),
        ("PAT-E214", "rule[0].methods"),
        ("PAT-E208", "rule[0].scopes"),
        ("PAT-E203", "rule[2].efect"),
        ("PAT-E213", "rule[2].path"),
        ("PAT-E210", "rule[2].networks"),
        ("PAT-E216", "rule[3].public"),
        ("PAT-E216", "rule[3].limits"),
    ]


def test_one_mistake_makes_no_others() -> None:
    """What follows from a mistake alone is not told: of a preset that isn't there, the scopes aren't known."""
    data = {
        "preset": [{"name": "jirra"}],
        "scopes": {"mine": {"includes": ["READ"]}},
        "rule": [{"path": "/a", "scopes": ["READ"]}, {"path": "/b", "scopes": ["mine"], "effects": "deny"}],
    }
    unknown_setting = {"x": 1, "rule": [{"path": "/a", "scopes": ["anything"]}]}

    assert [problem.setting for problem in problems(data)] == ["preset[0].name", "rule[1].effects"]
    assert [problem.setting for problem in problems(unknown_setting)] == ["x"]


def test_message_has_everything() -> None:
    """The error's text has a line for each problem, with id, setting, what is wrong, and what to do."""
    with pytest.raises(ConfigurationError) as caught:
        read(one(scopes=["reed"], methods=["get"]))

    assert str(caught.value).splitlines() == [
        "PAT-E214 rule[0].methods: 'get' is not a method (write 'GET')",
        "PAT-E208 rule[0].scopes: there is no scope 'reed' (did you mean 'read'?)",
    ]


@pytest.mark.parametrize(
    ("includes", "circular"),
    [
        ({"a": []}, []),
        ({"a": ["b"], "b": ["c"], "c": []}, []),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, []),
        ({"a": ["a"]}, ["a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b"]),
        ({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}, ["a", "b", "c"]),
    ],
)
def test_circles_are_refused(includes: dict[str, list[str]], circular: list[str]) -> None:
    """A scope that includes itself, by whatever way, is refused; one that is included twice is not."""
    data = {"scopes": {name: {"includes": others} for name, others in includes.items()}}

    assert [problem.setting for problem in problems(data)] == [f"scopes.{name}.includes" for name in circular]


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ("", ""),
        ("read", "read"),
        ("write", "read write"),
        ("admin", "admin read write"),
        ("other", "other"),
        ("admin other", "admin other read write"),
    ],
)
def test_scopes_are_expanded(scopes: str, expected: str) -> None:
    """A scope is itself and all that it includes, however deep; one that isn't known is itself."""
    includes = {"read": frozenset[str](), "write": frozenset({"read"}), "admin": frozenset({"write"})}

    assert expand(frozenset(scopes.split()), includes) == set(expected.split())


def test_ids_are_unique() -> None:
    """Two rules of one name could not be told apart in a refusal; the names that are given count as well."""
    data = {
        "rule": [
            {"id": "a", "path": "/a", "scopes": []},
            {"id": "a", "path": "/b", "scopes": []},
            {"path": "/c", "scopes": []},
            {"id": "rule-3", "path": "/d", "scopes": []},
        ]
    }

    assert [(problem.id, problem.setting) for problem in problems(data)] == [
        ("PAT-E217", "rule[1].id"),
        ("PAT-E217", "rule[3].id"),
    ]


def test_ids_are_none_of_a_preset() -> None:
    """A rule of the name of a rule of a preset could not be told from it; without the preset the name is free."""
    rules = [
        {"id": "jira: GET /rest/api/2/field", "path": "/a", "scopes": []},
        {"id": "jira: GET /rest/api/2/fields", "path": "/b", "scopes": []},
    ]

    [problem] = problems({"preset": [{"name": "jira"}], "rule": rules})

    assert (problem.id, problem.setting) == ("PAT-E217", "rule[0].id")
    assert problem.message == "'jira: GET /rest/api/2/field' is the id of a rule of a preset"
    assert len(read({"rule": rules}).rules) == 2


def test_rules_of_presets_come_last() -> None:
    """Rules of one's own stand before those of a preset, which name it."""
    content = read({"preset": [{"name": "jira"}], "rule": [{"id": "mine", "path": "/a", "scopes": []}]})

    assert [rule.id for rule in content.rules if not rule.id.startswith("jira: ")] == ["mine"]
    assert content.rules[0].id == "mine"


def test_data_may_be_of_python() -> None:
    """A dictionary may have tuples and sets where a file has lists."""
    content = read({"rule": [{"path": ("/a", "/b"), "methods": {"GET"}, "scopes": frozenset(), "groups": ("g",)}]})

    assert [rule.methods for rule in content.rules] == [frozenset({"GET"})]
    assert [problem.setting for problem in problems({"rule": [{"path": "/a", "scopes": (), "methods": set()}]})] == [
        "rule[0].methods"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[scopes", "is not TOML"),
        (b"a = 1\nb = @\n", "line 2, column 5"),
        (b"rule = [", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b'path = "\x00"', "is not TOML"),
    ],
)
def test_what_is_no_toml_is_refused(text: bytes, message: str, tmp_path: Path) -> None:
    """A file that can't be read as TOML is refused with its name, and with the place where that is known."""
    path = tmp_path / "policy.toml"
    path.write_bytes(text)

    with pytest.raises(ConfigurationError, match=re.escape(message)) as caught:
        read_file(path)

    assert [(problem.id, problem.setting) for problem in caught.value.problems] == [("PAT-E202", str(path))]


@pytest.mark.parametrize("data", [None, [], "", b"x", 5, [{"rule": []}]])
def test_what_is_no_mapping_is_no_policy(data: Any) -> None:
    """What a caller of Python gives may be anything."""
    with pytest.raises(ConfigurationError, match="must be a mapping"):
        read(data)


def test_a_byte_order_mark_is_no_part_of_the_policy(tmp_path: Path) -> None:
    """Editors of Windows begin a file with one, and end its lines in their own way."""
    path = tmp_path / "policy.toml"
    path.write_bytes(b"\xef\xbb\xbfobserve = true\r\n")

    assert read_file(path) == {"observe": True}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="platform: there are no named pipes of this kind")
def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """A pipe that nobody writes to is refused, rather than waited for without end."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ConfigurationError, match=r"pipe: can't be read: it is no plain file"):
        read_file(tmp_path / "pipe")


def test_absent_file_is_refused(tmp_path: Path) -> None:
    """A file that isn't there, or is a folder, is refused with its name."""
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigurationError, match="can't be read") as caught:
            read_file(str(path))

        assert [(problem.id, problem.setting) for problem in caught.value.problems] == [("PAT-E201", str(path))]


SCRAPS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["/a", "GET", "allow", "jira"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
SETTINGS = ["id", "about", "effect", "methods", "path", "scopes", "public", "groups", "networks", "when", "limits", "x"]
RULES = st.dictionaries(st.sampled_from(SETTINGS), SCRAPS, max_size=4)
POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "rule": st.lists(RULES | SCRAPS, max_size=3) | SCRAPS,
        "scopes": st.dictionaries(st.text(max_size=3), SCRAPS, max_size=3) | SCRAPS,
        "preset": st.lists(st.dictionaries(st.sampled_from(["name", "mount"]), SCRAPS), max_size=2) | SCRAPS,
        "observe": SCRAPS,
        "other": SCRAPS,
    },
)


@given(POLICIES)
def test_whatever_it_says_it_is_judged(data: dict[str, Any]) -> None:
    """Nothing that a file can say raises anything but the list of what is wrong; and what was given is not changed."""
    before = copy.deepcopy(data)

    found = problems(data)

    assert all(problem.id.startswith("PAT-E2") and problem.message for problem in found)
    assert data == before


def test_rule_is_a_value() -> None:
    """The same text gives equal rules."""
    assert read(one()).rules == read(one()).rules
    assert isinstance(read(one()).rules[0], Rule)
