"""Places that a preset closes: an allow opens them only where its path spells them out."""

from __future__ import annotations

from typing import Any

import pytest
from judging import holder, judged

from patmiddleware.model import Allowed, Denied, Reason, Request
from patmiddleware.policy import Policy
from patmiddleware.policy.rules import judge

PLACES = [
    "/secure",
    "/secure/Dashboard.jspa",
    "/secure/admin/user/UserBrowser.jspa",
    "/login.jsp",
    "/login",
    "/login.jsp/x",
    "/plugins/servlet/oauth/access-token",
]
WIDE = ["/**", "/*/**", "/{a}/**", "/{a:secure|login.jsp|plugins}/**", "/s*/**", "/l*/**", "/plugins/**"]


def policy(*paths: str, mount: str = "", **more: Any) -> Policy:
    """Give the preset with one allow beside it; what is said of the allow, and of the policy, may differ."""
    top = {name: more.pop(name) for name in ("observe",) if name in more}
    rule = {"id": "mine", "path": list(paths), **({} if "public" in more else {"scopes": []}), **more}
    return Policy.from_dict({"preset": [{"name": "jira", "mount": mount}], "rule": [rule], **top})


def opened(rules: Policy, path: str, method: str = "GET") -> bool:
    return isinstance(judged(rules, method, path, "SYSTEM_ADMIN"), Allowed)


@pytest.mark.parametrize("mount", ["", "/jira"])
@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("written", WIDE)
def test_wide_allow_opens_no_closed_place(written: str, path: str, mount: str) -> None:
    """However wide an allow is, it opens no place that it doesn't name, under a mount either."""
    assert not opened(policy(mount + written, mount=mount), mount + path)
    assert not opened(policy(written, mount=mount), mount + path)


@pytest.mark.parametrize("path", PLACES)
def test_wide_public_allow_opens_no_closed_place(path: str) -> None:
    """A public path is no exception, with a token or without."""
    rules = policy("/**", public=True)

    decisions = [rules.decide(grant, Request("GET", path)) for grant in (None, holder("READ"))]

    assert [isinstance(decision, Denied) and decision.reason for decision in decisions] == [
        Reason.MISSING,
        Reason.NO_RULE,
    ]


@pytest.mark.parametrize("mount", ["", "/jira"])
@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/secure/**", "/secure/Dashboard.jspa"),
        ("/secure/Dashboard.jspa", "/secure/Dashboard.jspa"),
        ("/secure/{page}", "/secure/Dashboard.jspa"),
        ("/secure", "/secure/"),
        ("/login*", "/login.jsp"),
        ("/login.jsp", "/login.jsp"),
        ("/login.{form}", "/login.jsp"),
        ("/plugins/servlet/oauth/**", "/plugins/servlet/oauth/access-token"),
    ],
)
def test_allow_that_spells_the_place_out_opens_it(written: str, path: str, mount: str) -> None:
    """Who names the place means it."""
    assert opened(policy(mount + written, mount=mount), mount + path)


@pytest.mark.parametrize("written", ["/*/secure/**", "/{at}/secure/Dashboard.jspa", "/{at:jira|wiki}/secure/**"])
def test_wildcard_for_the_mount_names_nothing_below_it(written: str) -> None:
    """What is spelled out is the path from its beginning: a wildcard before it could stand for anything."""
    assert not opened(policy(written, mount="/jira"), "/jira/secure/Dashboard.jspa")


def test_each_path_of_a_rule_speaks_for_itself() -> None:
    """A path that names one page does not lend its name to a wide path in the same rule."""
    rules = policy("/**", "/secure/Dashboard.jspa")

    assert [opened(rules, path) for path in ("/secure/Dashboard.jspa", "/secure/admin/x")] == [True, False]


@pytest.mark.parametrize(
    "path", ["/", "/browse/ABC-1", "/secured", "/plugins/servlet/other", "/x/login", "/wiki/secure/x"]
)
def test_wide_allow_opens_all_else(path: str) -> None:
    """What merely looks like a closed place is as open as the rule says."""
    assert opened(policy("/**"), path)


def test_another_mount_is_not_closed() -> None:
    """A preset closes places below its own mount alone."""
    rules = policy("/**", mount="/jira")

    assert [opened(rules, path) for path in ("/secure/x", "/jira/secure/x", "/wiki/login")] == [True, False, True]


def test_closed_place_is_closed_though_observed() -> None:
    """A policy that only observes lets a token pass where no rule is, but not into a closed place."""
    rules = policy("/nothing", observe=True)

    assert [opened(rules, path) for path in ("/browse/ABC-1", "/secure/Dashboard.jspa")] == [True, False]


@pytest.mark.parametrize("rules", [policy("/**", networks=["10.0.0.0/8"]), policy("/nothing")], ids=["wide", "none"])
def test_closed_place_is_not_left_to_the_application(rules: Policy) -> None:
    """Where paths that no rule mentions are left to the application, a closed place counts as mentioned."""
    matched = rules.match("GET", "/secure/Dashboard.jspa")

    assert matched.mentioned
    assert isinstance(judge(matched, holder("READ"), frozenset({"READ"}), None, lenient=True), Denied)


def test_network_of_a_shut_allow_still_binds() -> None:
    """A request without a token that an allow's network kept out is kept out of a closed place as well."""
    rules = policy("/**", networks=["10.0.0.0/8"])

    decisions = [judge(rules.match("GET", path), None, frozenset(), None, lenient=True) for path in ("/x", "/secure/x")]

    assert [isinstance(decision, Denied) for decision in decisions] == [True, True]


def test_deny_and_require_reach_into_closed_places() -> None:
    """Only allows have to name a closed place: what refuses covers it by being wide."""
    rules = Policy.from_dict(
        {
            "preset": [{"name": "jira"}],
            "rule": [
                {"id": "opened", "path": "/secure/**", "scopes": []},
                {"id": "not-admin", "path": "/*/admin/**", "effect": "deny"},
                {"id": "staff", "path": "/**", "effect": "require", "groups": ["staff"]},
            ],
        }
    )

    decisions = [judged(rules, "GET", path, "READ") for path in ("/secure/admin/x", "/secure/x")]

    assert [isinstance(each, Denied) and each.reason for each in decisions] == [Reason.DENIED, Reason.GROUP]


def test_path_parameters_open_no_closed_place() -> None:
    """Where path parameters are let through, the path without them must be open too."""
    rules = Policy.from_dict(
        {
            "preset": [{"name": "jira"}],
            "allow_path_parameters": True,
            "rule": [{"path": "/**", "scopes": []}],
        }
    )

    assert [opened(rules, path) for path in ("/browse;x", "/secure;x/Dashboard.jspa", "/login;x")] == [
        True,
        False,
        False,
    ]


def test_explanation_tells_of_the_closed_place() -> None:
    """Explained, the wide allow was passed over, and why is said."""
    steps = policy("/**").explain(holder("READ"), Request("GET", "/secure/Dashboard.jspa")).steps

    assert [(step.rule, step.outcome, step.why) for step in steps] == [
        ("mine", "passed over", "a preset closes this place to rules whose path does not spell it out")
    ]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/**"], "/login*/**, /logout*/**, /plugins/servlet/oauth*/**, /secure/**"),
        (["/plugins/**"], "/plugins/servlet/oauth*/**"),
        (["/{page}"], "/login*/**, /logout*/**, /secure/**"),
        (["/secure/**"], None),
        (["/rest/api/2/myself"], None),
        (["/browse/*", "/si*/**"], None),
    ],
)
def test_allow_without_effect_there_is_warned_of(paths: list[str], expected: str | None) -> None:
    """An allow that covers closed places draws one warning, which names them."""
    messages = [warning.message for warning in policy(*paths).warnings if warning.setting == "mine"]

    assert messages == ([f"this allow does not open {expected}, which a preset closes"] if expected else [])


@pytest.mark.parametrize("name", ["jira", "confluence", "bitbucket"])
def test_preset_by_itself_draws_no_warning(name: str) -> None:
    """No allow of a preset covers what the preset closes."""
    assert Policy.preset(name, "/at").warnings == ()
