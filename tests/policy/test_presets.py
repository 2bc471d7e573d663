"""What holds of every preset: its table, its spellings, and presets beside each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judging import enough, from_scope, judged, operations, preset_file

from patmiddleware.model import Denied, Reason
from patmiddleware.policy import Policy
from patmiddleware.policy.presets import preset_names

PRESETS = ("bitbucket", "confluence", "jira")
MOUNTS = {name: f"/{name}" for name in PRESETS}
KEYS = {"issue": "OPS-12", "project": "OPS", "space": "OPS", "repo": "web", "clone": "web"}
# A captured project or space of each preset's operations, where the name of a parameter shows one.
SHOWING = re.compile(r"\{(project|issue|space|repo|repository)(Key|IdOrKey|KeyOrId|Slug)\}")


@cache
def preset(name: str, mount: str = "") -> Policy:
    return Policy.preset(name, mount=mount)


@cache
def together() -> Policy:
    """Give the three presets in one policy, each below a mount of its own."""
    return Policy.from_dict({"preset": [{"name": name, "mount": mount} for name, mount in MOUNTS.items()]})


def filled(path: str) -> str:
    """Give a path that an operation's template stands for."""
    path = re.sub(r"\{([^}]+)\}", lambda name: KEYS.get(name[1], "10000"), path)
    return path.replace("/**", "/some/file")


def test_presets_are_those() -> None:
    """The presets that ship are those that are tested here."""
    assert preset_names() == PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_every_operation_is_judged_by_its_own_row(name: str) -> None:
    """No row of a table hides behind another: each filled in needs the scope that it is listed under."""
    listed = {(method, path): from_scope(scope) for scope, method, path in operations(name)}

    found = {(method, path): enough(preset(name), method, filled(path)) for method, path in listed}

    assert {row: scopes for row, scopes in found.items() if scopes != listed[row]} == {}


@pytest.mark.parametrize("name", PRESETS)
def test_table_has_each_operation_once(name: str) -> None:
    """No two rows mean the same requests, whatever they call the parameters."""
    shapes = Counter((method, re.sub(r"\{[^}]*\}", "{}", path)) for _, method, path in operations(name))

    assert [shape for shape, count in shapes.items() if count > 1] == []


@pytest.mark.parametrize("name", PRESETS)
def test_exempt_names_known_operations(name: str) -> None:
    """What is open to tokens with limits is an operation of READ, spelled as in the table."""
    reading = {path for scope, method, path in operations(name) if (scope, method) == ("READ", "GET")}

    assert set(preset_file(name)["exempt"]) - reading == set()


@pytest.mark.parametrize("name", PRESETS)
def test_keys_that_a_path_shows_are_captured(name: str) -> None:
    """Wherever a path shows the key of a project, an issue, a space or a repository, limits may bind it."""
    assert [path for _, _, path in operations(name) if SHOWING.search(path)] == []


ROWS = [(name, *row) for name in PRESETS for row in operations(name)]


def spellings(name: str, path: str) -> list[list[str]]:
    """Give what a server takes for the same path: for each segment its spellings."""
    segments = path[1:].split("/")
    choices = [[segment] for segment in segments]
    for module, versions in preset_file(name)["versions"].items():
        at = module.count("/")
        if path.startswith(f"{module}/") and len(segments) > at and segments[at] in versions:
            choices[at] = versions
    folded = {key: [key, key.lower(), key.title(), key.upper()] for key in KEYS.values()}
    choices = [folded.get(words[0], words) if len(words) == 1 else words for words in choices]
    if path.startswith("/scm/"):
        choices[2] = [word + end for word in choices[2] for end in ("", ".git")]
    if path.startswith("/rest/"):
        choices[-1] = [word + end for word in choices[-1] for end in ("", ".json", ".xml", "/")]
    return choices


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, str, str, str, str]:
    """Draw an operation, a path that stands for it, and two spellings of that path."""
    name, scope, method, template = draw(st.sampled_from(ROWS))
    path = filled(template)
    choices: Sequence[Sequence[str]] = spellings(name, path)
    one, other = ("/" + "/".join(draw(st.sampled_from(words)) for words in choices) for _ in range(2))
    return name, scope, method, one, other


@given(asked(), st.sampled_from(["", "/at", "/behind/gate"]))
def test_no_spelling_is_judged_otherwise(drawn: tuple[str, str, str, str, str], mount: str) -> None:
    """Whatever version, ending, case or mount: an operation needs the same scope, and HEAD what GET needs."""
    name, scope, method, path, _ = drawn

    assert enough(preset(name, mount), method, mount + path) == from_scope(scope)
    if method == "GET":
        assert enough(preset(name, mount), "HEAD", mount + path) == from_scope(scope)


@given(asked(), st.sampled_from(["", "/at"]))
def test_own_deny_holds_for_every_spelling(drawn: tuple[str, str, str, str, str], mount: str) -> None:
    """A deny of one's own, in whatever spelling it is written, refuses every other one."""
    name, _, method, written, path = drawn
    rule = {"id": "mine", "path": mount + written, "effect": "deny"}
    rules = Policy.from_dict({"preset": [{"name": name, "mount": mount}], "rule": [rule]})

    decision = judged(rules, method, mount + path, "SYSTEM_ADMIN")

    assert isinstance(decision, Denied)
    assert (decision.reason, decision.rule) == (Reason.DENIED, "mine")


@given(asked())
def test_presets_beside_each_other_keep_their_own(drawn: tuple[str, str, str, str, str]) -> None:
    """Below three mounts each preset judges as it does alone, and spells nothing of another."""
    name, scope, method, path, _ = drawn

    assert enough(together(), method, MOUNTS[name] + path) == from_scope(scope)
    for other in set(PRESETS) - {name}:
        assert together().spell(MOUNTS[other] + path) == preset(other, MOUNTS[other]).spell(MOUNTS[other] + path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/jira/rest/api/latest/issue/abc-1.json", "/jira/rest/api/2/issue/ABC-1"),
        ("/bitbucket/rest/api/latest/projects/ops/repos/Web", "/bitbucket/rest/api/1.0/projects/OPS/repos/web"),
        ("/bitbucket/scm/ops/Web.git/info/refs", "/bitbucket/scm/OPS/web/info/refs"),
        ("/bitbucket/rest/api/latest/projects/~alice", "/bitbucket/rest/api/1.0/projects/~ALICE"),
        ("/confluence/rest/api/space/ops.json", "/confluence/rest/api/space/OPS"),
        # what one of them knows, below the mount of another
        ("/confluence/rest/api/latest/issue/abc-1", "/confluence/rest/api/latest/issue/abc-1"),
        ("/jira/rest/api/space/ops", "/jira/rest/api/space/ops"),
        ("/jira/scm/ops/Web.git/info/refs", "/jira/scm/ops/Web.git/info/refs"),
        ("/rest/api/latest/issue/abc-1.json", "/rest/api/latest/issue/abc-1.json"),
    ],
)
def test_each_mount_has_its_own_spelling(path: str, expected: str) -> None:
    """A path is mapped by the preset whose mount it is below, and by no other."""
    assert together().spell(path) == expected


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_refused_is_refused_below_every_mount(name: str) -> None:
    """Each preset's refusals hold beside the others, and for nobody else's paths."""
    paths = ["/rest/pat/latest/tokens", "/s/x/_/secure/Dashboard.jspa"]

    decisions = [judged(together(), "POST", MOUNTS[name] + path, "SYSTEM_ADMIN") for path in paths]

    assert [isinstance(each, Denied) and each.rule for each in decisions] == [f"{name}: /rest/pat/**", f"{name}: /s/**"]
