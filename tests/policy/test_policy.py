"""The policy language as a whole: each of its promises, and the attacks that it must stand."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.errors import ConfigurationError
from patmiddleware.interfaces import AccessPolicy
from patmiddleware.model import Address, Allowed, Denied, Grant, Reason, Request
from patmiddleware.paths import judged_path, raw_target_agrees
from patmiddleware.policy import Policy

INSIDE, OUTSIDE = ip_address("10.1.2.3"), ip_address("192.0.2.7")

EXAMPLE = """
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
id = "write-issues"
methods = ["PUT"]
path = "/rest/api/2/issue/{project:key}-{n:int}"
scopes = ["write"]

[[rule]]
id = "health"
path = "/health"
public = true

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
networks = ["10.0.0.0/8"]
"""


def policy(*rules: Mapping[str, Any], **fields: Any) -> Policy:
    named = [{"id": f"r{number}", **rule} for number, rule in enumerate(rules)]
    return Policy.from_dict({"scopes": {"read": {}, "write": {"includes": ["read"]}}, "rule": named, **fields})


def grant(scopes: str = "", groups: str = "", owner: str = "alice", **fields: Any) -> Grant:
    scopes_, groups_ = frozenset(scopes.split()), frozenset(groups.split())
    return Grant(token_id="t", owner=owner, scopes=scopes_, groups=groups_, **fields)


def limited(scopes: str = "read", **limits: str) -> Grant:
    return grant(scopes, limits={name: frozenset(values.split()) for name, values in limits.items()})


def told(decision: Allowed | Denied) -> tuple[str | Reason, str | None]:
    if isinstance(decision, Denied):
        return decision.reason, decision.rule
    return "allowed" if decision.observed is None else "observed", decision.rule


def decide(
    rules: Policy, who: Grant | None, path: str, method: str = "GET", address: Address | None = INSIDE
) -> tuple[str | Reason, str | None]:
    return told(rules.decide(who, Request(method, path, address)))


ISSUE = "/rest/api/2/issue/OPS-7"
DEVELOPER = grant("read", "developers")
ROBOT = grant("write", "service-accounts", "robot")


@pytest.mark.parametrize(
    ("who", "method", "path", "address", "expected"),
    [
        (DEVELOPER, "GET", ISSUE, OUTSIDE, ("allowed", "read-issues")),
        (DEVELOPER, "HEAD", ISSUE + "/comment/3/", OUTSIDE, ("allowed", "read-issues")),
        (DEVELOPER, "PUT", ISSUE, OUTSIDE, (Reason.INSUFFICIENT_SCOPE, "write-issues")),
        (DEVELOPER, "POST", ISSUE, OUTSIDE, (Reason.NO_RULE, None)),
        (DEVELOPER, "GET", "/rest/api/2/issue/ops-7", OUTSIDE, (Reason.NO_RULE, None)),
        (DEVELOPER, "GET", "/rest/api/2/issue", OUTSIDE, (Reason.NO_RULE, None)),
        (DEVELOPER, "GET", "/", OUTSIDE, (Reason.NO_RULE, None)),
        (grant("read"), "GET", ISSUE, OUTSIDE, (Reason.GROUP, "developers-only")),
        (grant("read", "Developers"), "GET", ISSUE, OUTSIDE, (Reason.GROUP, "developers-only")),
        (ROBOT, "GET", ISSUE, INSIDE, ("allowed", "read-issues")),
        (ROBOT, "PUT", ISSUE, INSIDE, ("allowed", "write-issues")),
        (ROBOT, "PUT", ISSUE, OUTSIDE, (Reason.NETWORK, "service-accounts-from-inside")),
        (ROBOT, "PUT", ISSUE, None, (Reason.NETWORK, "service-accounts-from-inside")),
        (ROBOT, "GET", "/health", OUTSIDE, (Reason.NETWORK, "service-accounts-from-inside")),
        (None, "GET", "/health", OUTSIDE, ("allowed", "health")),
        (None, "POST", "/health/", None, ("allowed", "health")),
        (None, "GET", "/health/x", OUTSIDE, (Reason.MISSING, None)),
        (None, "GET", ISSUE, INSIDE, (Reason.MISSING, "developers-only")),
    ],
)
def test_example_is_judged_as_it_reads(
    who: Grant | None,
    method: str,
    path: str,
    address: Address | None,
    expected: tuple[str | Reason, str | None],
    tmp_path: Path,
) -> None:
    """The example of the manual decides what its words say."""
    file = tmp_path / "policy.toml"
    file.write_text(EXAMPLE, encoding="utf-8")

    assert decide(Policy.from_file(file), who, path, method, address) == expected


def test_policy_is_an_access_policy() -> None:
    """Our own policy is one of those that the middleware takes."""
    assert isinstance(policy(), AccessPolicy)


def test_wrong_file_is_refused(tmp_path: Path) -> None:
    """A policy that can't be read or has mistakes is none."""
    file = tmp_path / "policy.toml"
    file.write_text("[[rule]]\npath = '/a'\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match="either scopes or public"):
        Policy.from_file(str(file))
    with pytest.raises(ConfigurationError, match="can't be read"):
        Policy.from_file(tmp_path / "none.toml")


@pytest.mark.parametrize("who", [None, grant(), grant("read write", "staff")])
@pytest.mark.parametrize("path", ["/", "/a", "/a/b"])
def test_default_is_to_refuse(who: Grant | None, path: str) -> None:
    """A policy without rules lets nobody in."""
    assert isinstance(Policy.from_dict({}).decide(who, Request("GET", path)), Denied)


# Selecting and demanding.

EFFECTS: dict[str, dict[str, Any]] = {
    "allow": {"effect": "allow", "scopes": []},
    "require": {"effect": "require", "groups": ["nobody"]},
    "deny": {"effect": "deny"},
}
APPLIES: dict[str, tuple[str | Reason, str]] = {
    "allow": ("allowed", "rule"),
    "require": (Reason.GROUP, "rule"),
    "deny": (Reason.DENIED, "rule"),
}
PASSES: dict[str, tuple[str | Reason, str | None]] = {
    "allow": (Reason.NO_RULE, None),
    "require": ("allowed", "else"),
    "deny": ("allowed", "else"),
}


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize(
    ("selecting", "method", "path", "applies"),
    [
        ({}, "GET", "/a", True),
        ({}, "DELETE", "/a/", True),
        ({}, "GET", "/b", False),
        ({"path": ["/b", "/a"]}, "GET", "/a", True),
        ({"path": ["/b", "/c"]}, "GET", "/a", False),
        ({"methods": ["GET"]}, "GET", "/a", True),
        ({"methods": ["GET"]}, "HEAD", "/a", False),
        ({"methods": ["GET", "HEAD"]}, "HEAD", "/a", True),
        ({"methods": ["POST"]}, "GET", "/a", False),
        ({"when": {"groups": ["staff", "x"]}}, "GET", "/a", True),
        ({"when": {"groups": ["x"]}}, "GET", "/a", False),
        ({"when": {"owners": ["alice"]}}, "GET", "/a", True),
        ({"when": {"owners": ["Alice"]}}, "GET", "/a", False),
        ({"when": {"scopes": ["read"]}}, "GET", "/a", True),
        ({"when": {"networks": ["10.0.0.0/8"]}}, "GET", "/a", True),
        ({"when": {"networks": ["192.168.0.0/16"]}}, "GET", "/a", False),
        ({"when": {"groups": ["staff"], "owners": ["bob"]}}, "GET", "/a", False),
        ({"when": {"groups": ["staff"], "networks": ["10.0.0.0/8"]}, "methods": ["GET"]}, "GET", "/a", True),
    ],
)
def test_path_methods_and_when_select(
    effect: str, selecting: dict[str, Any], method: str, path: str, applies: bool
) -> None:
    """Path, methods and when say which requests a rule is about, in the same way for every effect."""
    rules = [{"id": "rule", "path": "/a", **EFFECTS[effect], **selecting}]
    if effect != "allow":
        rules.append({"id": "else", "path": "/**", "scopes": []})

    decision = decide(policy(*rules), grant("write", "staff"), path, method)

    assert decision == (APPLIES[effect] if applies else PASSES[effect])


def test_included_scopes_count() -> None:
    """A scope opens what the scopes open that it includes, for demands and for when."""
    rules = policy(
        {"path": "/read", "scopes": ["read"]},
        {"path": "/both", "scopes": ["read", "write"]},
        {"path": "/when", "scopes": [], "when": {"scopes": ["read"]}},
    )

    assert [decide(rules, grant("write"), path)[0] for path in ("/read", "/both", "/when")] == ["allowed"] * 3
    assert [decide(rules, grant("read"), path)[0] for path in ("/read", "/both", "/when")] == [
        "allowed",
        Reason.INSUFFICIENT_SCOPE,
        "allowed",
    ]


def test_unknown_scope_of_a_token_opens_nothing() -> None:
    """A scope that the policy doesn't know stays what it is."""
    rules = policy({"path": "/a", "scopes": ["read"]}, {"path": "/b", "scopes": []})

    assert rules.expand(frozenset({"root", "write"})) == {"root", "write", "read"}
    assert decide(rules, grant("root"), "/a") == (Reason.INSUFFICIENT_SCOPE, "r0")
    assert decide(rules, grant("root"), "/b") == ("allowed", "r1")


def test_scopes_are_shown_expanded() -> None:
    """What each scope stands for can be looked up."""
    scopes = {"a": {}, "b": {"includes": ["a"]}, "c": {"includes": ["b"]}}

    assert Policy.from_dict({"scopes": scopes}).scopes == {"a": {"a"}, "b": {"a", "b"}, "c": {"a", "b", "c"}}


# Public.

WEBHOOK = {"path": "/hook", "public": True, "credentials": "ignore"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"path": "/hook", "public": True}, False),
        (WEBHOOK, True),
        ({**WEBHOOK, "methods": ["POST"]}, False),
        ({**WEBHOOK, "path": "/other"}, False),
    ],
)
def test_credentials_are_ignored_where_a_rule_says_so(fields: dict[str, Any], expected: bool) -> None:
    """A public rule may say that a credential is not for us to read; the gate sees that before it reads one."""
    matched = policy(fields).match("GET", "/hook")

    assert any(hit.rule.ignore_credentials for hit in matched.public) == expected


# Limits.

PROJECTS = [
    {"id": "issue", "path": "/issue/{project:key}-{n:int}/**", "scopes": ["read"]},
    {"id": "search", "path": "/search", "scopes": ["read"]},
    {"id": "info", "path": "/info", "scopes": [], "limits": "exempt"},
    {"id": "move", "path": "/issue/{project:key}-{n:int}/move", "methods": ["POST"], "scopes": ["write"]},
]


@pytest.mark.parametrize(
    ("who", "method", "path", "expected"),
    [
        (limited(project="OPS"), "GET", "/issue/OPS-1", ("allowed", "issue")),
        (limited(project="OPS WEB"), "GET", "/issue/WEB-1/x", ("allowed", "issue")),
        (limited(project="OPS"), "GET", "/issue/WEB-1", (Reason.LIMIT, "issue")),
        (limited(project="OPS"), "GET", "/issue/OPSX-1", (Reason.LIMIT, "issue")),
        (limited(project="OPS"), "GET", "/search", (Reason.LIMIT, "search")),
        (limited(project="OPS"), "GET", "/info", ("allowed", "info")),
        (limited(project="OPS"), "GET", "/none", (Reason.NO_RULE, None)),
        (limited(project="OPS", n="1"), "GET", "/issue/OPS-1", ("allowed", "issue")),
        (limited(project="OPS", n="1"), "GET", "/issue/OPS-2", (Reason.LIMIT, "issue")),
        (limited(customer="X"), "GET", "/issue/OPS-1", (Reason.LIMIT, "issue")),
        (limited(customer="X"), "GET", "/info", ("allowed", "info")),
        (limited("write", project="OPS"), "POST", "/issue/WEB-1/move", (Reason.LIMIT, "issue")),
        (limited("", project="OPS"), "GET", "/issue/OPS-1", (Reason.INSUFFICIENT_SCOPE, "issue")),
    ],
)
def test_limited_token_keeps_its_limits(
    who: Grant, method: str, path: str, expected: tuple[str | Reason, str | None]
) -> None:
    """A token with limits gets in by rules that capture them with its values, or that are exempt."""
    assert decide(policy(*PROJECTS), who, path, method) == expected


def test_refusal_for_a_limit_names_no_scope() -> None:
    """No scope would have been enough, so none is named."""
    decision = policy(*PROJECTS).decide(limited(project="OPS"), Request("GET", "/issue/WEB-1"))

    assert decision == Denied(Reason.LIMIT, "issue", held=frozenset({"read"}))


def test_captures_are_told() -> None:
    """What the path says comes with the decision."""
    decision = policy(*PROJECTS).decide(grant("read"), Request("GET", "/issue/OPS-12/x"))

    assert decision == Allowed("issue", {"project": "OPS", "n": "12"})


# Observing.


def test_observing_softens_scope_and_rule_alone() -> None:
    """An observing policy lets a valid token pass that lacks a scope or a rule, and says what it would have refused."""
    rules = [
        {"path": "/write", "scopes": ["write"]},
        {"path": "/staff", "scopes": [], "groups": ["staff"]},
        {"path": "/no", "effect": "deny"},
    ]
    strict, observing = policy(*rules), policy(*rules, observe=True)

    softened = {path: decide(observing, grant("read"), path)[0] for path in ("/write", "/none", "/staff", "/no")}

    assert softened == {"/write": "observed", "/none": "observed", "/staff": Reason.GROUP, "/no": Reason.DENIED}
    assert observing.decide(grant("read"), Request("GET", "/write")) == Allowed(
        "r0",
        observed=strict.decide(grant("read"), Request("GET", "/write")),  # type: ignore[arg-type]
    )
    assert decide(observing, None, "/write") == (Reason.MISSING, "r0")


# Parameters in paths.

PARAMETERS = [
    {"id": "files", "path": "/files/*", "scopes": []},
    {"id": "versioned", "path": "/files/{name}v={v}", "scopes": []},
    {"id": "secret", "path": "/files/secret", "effect": "deny"},
    {"id": "raw", "path": "/raw*", "scopes": []},
    {"id": "inside", "path": "/files/inside", "effect": "require", "networks": ["10.0.0.0/8"]},
]


@pytest.mark.parametrize(
    ("path", "address", "expected"),
    [
        ("/files/a", OUTSIDE, ("allowed", "files")),
        ("/files/a;v=1", OUTSIDE, ("allowed", "files")),
        ("/files/secret", OUTSIDE, (Reason.DENIED, "secret")),
        ("/files/secret;v=1", OUTSIDE, (Reason.DENIED, "secret")),
        ("/files/secret;", OUTSIDE, (Reason.DENIED, "secret")),
        ("/files;x/secret", OUTSIDE, (Reason.NO_RULE, None)),
        ("/files;x/a", OUTSIDE, (Reason.NO_RULE, None)),
        ("/raw;x", OUTSIDE, ("allowed", "raw")),
        ("/ra;w", OUTSIDE, (Reason.NO_RULE, None)),
        ("/files/inside;x", OUTSIDE, (Reason.NETWORK, "inside")),
        ("/files/inside;x", INSIDE, ("allowed", "files")),
    ],
)
def test_both_readings_of_parameters_must_be_allowed(
    path: str, address: Address, expected: tuple[str | Reason, str | None]
) -> None:
    """Some servers cut parameters off before they route, others don't: what either serves must be allowed."""
    assert decide(policy(*PARAMETERS, allow_path_parameters=True), grant(), path, address=address) == expected


def test_address_is_asked_for_where_either_reading_needs_it() -> None:
    """The address matters if it matters to one of the readings."""
    rules = policy(*PARAMETERS, allow_path_parameters=True)

    assert rules.match("GET", "/files/inside;x").asks_address
    assert not rules.match("GET", "/files/a;x").asks_address


# Presets.

JIRA = {"preset": [{"name": "jira", "mount": "/jira"}]}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/jira/rest/api/2/issue/ABC-1", ("allowed", "jira: GET /rest/api/2/issue/{issue}")),
        ("GET", "/jira/rest/api/latest/issue/abc-1.json", ("allowed", "jira: GET /rest/api/2/issue/{issue}")),
        (
            "DELETE",
            "/jira/rest/api/2/issue/ABC-1",
            (Reason.INSUFFICIENT_SCOPE, "jira: DELETE /rest/api/2/issue/{issue}"),
        ),
        ("GET", "/jira/rest/auth/1/session", (Reason.DENIED, "jira: /rest/auth/**")),
        ("GET", "/rest/api/2/issue/ABC-1", (Reason.NO_RULE, None)),
        ("GET", "/jira/jira/rest/api/2/issue/ABC-1", (Reason.NO_RULE, None)),
        ("GET", "/Jira/rest/api/2/issue/ABC-1", (Reason.NO_RULE, None)),
        ("GET", "/jira", (Reason.NO_RULE, None)),
    ],
)
def test_preset_is_mounted(method: str, path: str, expected: tuple[str | Reason, str | None]) -> None:
    """A preset is about what is below its mount, and nothing else."""
    rules = Policy.from_dict(JIRA)

    assert decide(rules, grant("READ"), path, method) == expected
    assert decide(Policy.preset("jira", "/jira"), grant("READ"), path, method) == expected


def test_unknown_preset_is_refused() -> None:
    """A preset that isn't there is told with those that are."""
    with pytest.raises(ConfigurationError, match=r"there is no preset 'jirra' \(did you mean 'jira'"):
        Policy.preset("jirra")


ALIASES = [
    "/rest/api/2/project/ABC",
    "/rest/api/latest/project/ABC",
    "/rest/api/2.0.alpha1/project/abc",
    "/rest/api/2/project/abc.json",
    "/rest/api/latest/project/Abc.xml/",
]


@pytest.mark.parametrize("written", [*ALIASES, "/rest/api/l*/project/abc", "/rest/*/latest/project/a*", "/rest/**"])
@pytest.mark.parametrize("asked", ALIASES)
def test_own_deny_holds_for_every_spelling(written: str, asked: str) -> None:
    """In whatever spelling a deny of one's own is written, no other spelling gets past it."""
    rules = Policy.from_dict(
        {"preset": [{"name": "jira"}], "rule": [{"id": "mine", "path": written, "effect": "deny"}]}
    )

    assert decide(rules, grant("SYSTEM_ADMIN"), asked) == (Reason.DENIED, "mine")


@pytest.mark.parametrize("written", ALIASES)
@pytest.mark.parametrize("asked", ALIASES)
def test_own_allow_holds_for_every_spelling(written: str, asked: str) -> None:
    """An allow of one's own is about the resource, in whatever spelling it is written or asked for."""
    rules = Policy.from_dict({"preset": [{"name": "jira"}], "rule": [{"id": "mine", "path": written, "scopes": []}]})

    assert decide(rules, grant(), asked) == ("allowed", "mine")


@pytest.mark.parametrize(
    "written", ["/rest/api/l*/project/ABC", "/rest/api/2/project/*on", "/rest/api/2/project/{x}.{y}"]
)
def test_own_allow_opens_nothing_for_the_sake_of_a_spelling(written: str) -> None:
    """A wildcard that happens to match an ending or a version does not open what has it only in another spelling."""
    rules = Policy.from_dict({"preset": [{"name": "jira"}], "rule": [{"id": "mine", "path": written, "scopes": []}]})

    assert decide(rules, grant(), "/rest/api/2/project/ABC")[0] == Reason.INSUFFICIENT_SCOPE


def test_rules_of_ones_own_stand_beside_a_preset() -> None:
    """What a preset says of an operation hides no rule of one's own."""
    rules = Policy.from_dict(
        {
            "preset": [{"name": "jira"}],
            "scopes": {"mine": {"includes": ["READ"]}},
            "rule": [{"id": "all", "path": "/rest/api/2/serverInfo", "scopes": ["mine"], "groups": ["staff"]}],
        }
    )

    assert decide(rules, grant("mine"), "/rest/api/2/myself") == ("allowed", "jira: GET /rest/api/2/myself")
    assert decide(rules, grant("mine", "staff"), "/rest/api/latest/serverInfo") == ("allowed", "all")


# What is lawful, but may not do what it seems to.


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"path": "/issue/{project:key}-{n:int}", "scopes": []}, []),
        ({"path": "/issue/*/**", "effect": "deny"}, []),
        ({"path": "/issue/ABC-1", "effect": "deny"}, []),
        (
            {"path": "/issue/{project:key}-*", "effect": "deny"},
            ["this deny depends on what the path captures (project)"],
        ),
        (
            {"path": ["/a", "/issue/{project:OPS|WEB}-{n}"], "effect": "require", "groups": ["staff"]},
            ["this require depends on what the path captures (n, project)"],
        ),
    ],
)
def test_refusing_by_a_capture_is_warned_of(rule: dict[str, Any], expected: list[str]) -> None:
    """A deny or a require that depends on a capture draws a warning: the same thing often has another name."""
    warnings = policy({"id": "mine", **rule}).warnings

    assert [warning.message for warning in warnings] == expected
    assert {warning.setting for warning in warnings} <= {"mine"}


# What does not depend on who asks is remembered, within bounds.


def test_memos_are_bounded() -> None:
    """However many paths and scopes are asked about, few are remembered, and no long path."""
    rules = policy({"path": "/**", "scopes": []})

    for number in range(5_000):
        rules.match("GET", f"/{number}")
        rules.match("GET", f"/{'x' * 600}/{number}")
        rules.expand(frozenset({str(number)}))

    assert len(rules._matched) <= 4_096
    assert len(rules._expanded) <= 4_096
    assert max(len(path) for _, path in rules._matched) <= 512


def test_what_is_remembered_is_what_was_found() -> None:
    """Asked again, a policy gives the same, for each method and path by itself."""
    rules = policy({"path": "/a", "methods": ["GET"], "scopes": []})

    first = [decide(rules, grant(), path, method) for path in ("/a", "/b") for method in ("GET", "PUT")]
    again = [decide(rules, grant(), path, method) for path in ("/a", "/b") for method in ("GET", "PUT")]

    assert first == again == [("allowed", "r0"), (Reason.NO_RULE, None), (Reason.NO_RULE, None), (Reason.NO_RULE, None)]


# The order of the file.

RULES = st.sampled_from(
    [
        {"path": "/**", "scopes": ["read"]},
        {"path": "/a/**", "scopes": ["write"], "networks": ["10.0.0.0/8"]},
        {"path": "/a/{x}", "scopes": [], "limits": "exempt"},
        {"path": "/{x}/b", "scopes": [], "when": {"groups": ["staff"]}},
        {"path": "/a", "public": True},
        {"path": "/a/*", "public": True, "networks": ["10.0.0.0/8"]},
        {"path": "/**", "effect": "require", "groups": ["staff"]},
        {"path": "/a/**", "effect": "require", "scopes": ["write"]},
        {"path": "/**", "effect": "require", "networks": ["10.0.0.0/8"], "when": {"scopes": ["write"]}},
        {"path": "/a/b", "effect": "deny", "methods": ["DELETE"]},
        {"path": "/{x}/**", "effect": "deny", "when": {"owners": ["bob"]}},
        {"path": "/**", "effect": "deny", "when": {"networks": ["192.0.2.0/24"]}},
    ]
)
SHUFFLED = st.lists(RULES, max_size=8).flatmap(lambda rules: st.tuples(st.just(rules), st.permutations(rules)))
GRANTS = st.sampled_from(
    [
        None,
        grant(),
        grant("read", owner="bob"),
        grant("read", "staff"),
        grant("write", "staff"),
        limited("write", x="b"),
    ]
)
PATHS = st.sampled_from(["/", "/a", "/a/b", "/c/b", "/a/b/c", "/d"])


@given(
    SHUFFLED, GRANTS, st.sampled_from(["GET", "DELETE"]), PATHS, st.sampled_from([None, INSIDE, OUTSIDE]), st.booleans()
)
def test_order_in_the_file_means_nothing(
    rules: tuple[list[dict[str, Any]], list[dict[str, Any]]],
    who: Grant | None,
    method: str,
    path: str,
    address: Address | None,
    observe: bool,
) -> None:
    """In whatever order the rules of a file stand, the same is decided, for the same reason."""
    one, other = (policy(*order, observe=observe) for order in rules)

    assert decide(one, who, path, method, address)[0] == decide(other, who, path, method, address)[0]


@given(PATHS.filter(lambda path: path != "/"), st.lists(RULES, max_size=6), GRANTS)
def test_trailing_slash_means_nothing(path: str, rules: list[dict[str, Any]], who: Grant | None) -> None:
    """One trailing slash never changes what is decided."""
    assert decide(policy(*rules), who, path) == decide(policy(*rules), who, path + "/")


# Attacks: every way that is known to make a gate and what stands behind it see two paths. The application behind may
# read PATH_INFO in any of these ways; whatever it then serves must be what was allowed.

SECRET = "/admin/users"
READINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda path: path,
    "decodes once more": unquote,
    "decodes twice more": lambda path: unquote(unquote(path)),
    "merges slashes": lambda path: re.sub("/+", "/", path),
    "merges slashes, then resolves dots": lambda path: posixpath.normpath(re.sub("/+", "/", path)),
    "decodes, then resolves dots": lambda path: posixpath.normpath(re.sub("/+", "/", unquote(path))),
    "decodes twice more, then resolves dots": lambda path: posixpath.normpath(unquote(unquote(path))),
    "cuts parameters, then resolves dots": lambda path: posixpath.normpath(
        re.sub("/+", "/", re.sub(";[^/]*", "", path))
    ),
    "takes a backslash for a slash": lambda path: posixpath.normpath(path.replace("\\", "/")),
    "cuts at a fragment": lambda path: path.partition("#")[0],
    "cuts at a query": lambda path: path.partition("?")[0],
    "cuts at NUL": lambda path: path.partition("\0")[0],
    "drops controls": lambda path: re.sub(r"[\x00-\x1f\x7f]", "", path),
    "takes the path of a URL": lambda path: re.sub("^https?://[^/]*", "", path),
    "adds a slash": lambda path: "/" + path.lstrip("/"),
    "drops a format": lambda path: path.removesuffix(".json"),
}

# What PATH_INFO says, and the raw target where the server gives one, on which some applications route.
ATTACKS: list[tuple[str, str | None]] = [
    ("//admin/users", None),
    ("/./admin/users", None),
    ("/;/admin/users", None),
    ("/public//../admin/users", None),
    ("/public/../admin/users", "/public/../admin/users"),
    ("/public/../admin/users", "/public/%2e%2e/admin/users"),
    ("/public/./../admin/users", None),
    ("/public/x/../../admin/users", None),
    ("/public/%2e%2e/admin/users", None),
    ("/public/.%2E/admin/users", None),
    ("/public/%252e%252e/admin/users", None),
    ("/public/..%2Fadmin%2Fusers", None),
    ("/public/..;/admin/users", None),
    ("/public/..;x=1/admin/users", None),
    ("/public/.;/../admin/users", None),
    ("/public/x/..;/../admin/users", None),
    ("/public/..\\admin\\users", None),
    ("/public\\..\\admin\\users", None),
    ("/admin;x/users", None),
    ("/admin%2Fusers", None),
    ("/admin%2fusers", "/admin%252fusers"),
    ("/%61dmin/users", None),
    ("/%2561dmin/users", None),
    ("/ad\tmin/users", None),
    ("/ad\x7fmin/users", None),
    ("/\0admin/users", None),
    ("http://public/admin/users", None),
    ("admin/users", None),
    ("/public/x", "/admin/users"),
    ("/public/x", "/admin/users/../../public/x"),
    ("/public/x", "/admin/users/%2e%2e/%2e%2e/public/x"),
    ("/public/x", "/admin%2fusers"),
    ("/public/x", "//admin/users"),
    ("/public/x", "/admin/users#/../../public/x"),
    ("/public/x", "http://h.example/admin/users"),
]


def gate(path_info: str, raw: str | None) -> str | None:
    """Give the path that our gate lets through, if it does."""
    rules = policy({"path": "/**", "scopes": []}, {"path": "/admin/**", "effect": "deny"})
    path = judged_path(path_info)
    if isinstance(path, Denied) or not raw_target_agrees({} if raw is None else {"RAW_URI": raw}, path_info):
        return None
    return path if isinstance(rules.decide(grant(), Request("GET", path)), Allowed) else None


def naive_gate(path_info: str, raw: str | None) -> str | None:
    """Give what a gate lets through that compares the beginnings of strings."""
    return None if path_info.startswith("/admin/") else path_info


def is_served(path_info: str, raw: str | None) -> bool:
    """Say whether some application would serve the secret."""
    return any(reading(path).startswith(SECRET) for path in (path_info, raw) if path for reading in READINGS.values())


def breaches(let_through: Callable[[str, str | None], str | None]) -> list[tuple[str, str | None]]:
    """Give the attacks after which some application would serve what was denied."""
    return [attack for attack in ATTACKS if let_through(*attack) is not None and is_served(*attack)]


def test_no_attack_reaches_what_is_denied() -> None:
    """However the application behind us reads paths, none of these reaches what a deny guards."""
    assert breaches(gate) == []


def test_attacks_are_attacks() -> None:
    """A gate that compares the beginnings of strings falls to each of them: the table is no list of empty threats."""
    assert breaches(naive_gate) == ATTACKS


def test_honest_requests_pass() -> None:
    """The gate that stands all of that still lets ordinary requests through."""
    paths = ["/", "/public", "/public/a.b/c-d_e~f", "/public/caf\xc3\xa9", "/administrators", "/public/admin/users"]

    assert [path for path in paths if gate(path, path) is None] == []


PREFIXES = ["/admin", "/admin/"]
LOOKALIKES = ["/ADMIN/users", "/Admin", "/admin2", "/admins/x", "/adminx", "/xadmin", "/\u0430dmin/users"]


@pytest.mark.parametrize("path", LOOKALIKES)
def test_what_only_looks_alike_is_another_path(path: str) -> None:
    """Segments are compared whole and to the letter."""
    assert decide(policy({"path": "/admin/**", "scopes": []}), grant(), path) == (Reason.NO_RULE, None)


@pytest.mark.parametrize("path", [*PREFIXES, "/admin/x", "/admin/x/y/"])
def test_deny_holds_for_the_path_and_all_below(path: str) -> None:
    """A deny of everything below a path is one of the path, too."""
    rules = policy({"path": "/**", "scopes": []}, {"path": "/admin/**", "effect": "deny"})

    assert decide(rules, grant(), path) == (Reason.DENIED, "r1")
