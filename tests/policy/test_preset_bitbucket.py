"""The ``bitbucket`` preset, judged against a table written by hand."""

from __future__ import annotations

from functools import cache

import pytest
from judging import enough, from_scope, judged

from patmiddleware.model import Allowed, Denied, Reason
from patmiddleware.policy import Policy

REPO = "/rest/api/1.0/projects/OPS/repos/web"


@cache
def preset(mount: str = "") -> Policy:
    return Policy.preset("bitbucket", mount=mount)


OPERATIONS = [
    # what everybody who may read sees
    ("READ", "GET", "/rest/api/1.0/application-properties"),
    ("READ", "GET", "/rest/api/1.0/projects"),
    ("READ", "GET", "/rest/api/1.0/projects/OPS"),
    ("READ", "GET", "/rest/api/1.0/projects/~alice/repos"),
    ("READ", "GET", REPO),
    ("READ", "GET", f"{REPO}/archive"),
    ("READ", "GET", f"{REPO}/branches"),
    ("READ", "GET", f"{REPO}/browse"),
    ("READ", "GET", f"{REPO}/browse/src/main/a.json"),
    ("READ", "GET", f"{REPO}/raw/README.md"),
    ("READ", "GET", f"{REPO}/commits/1a2b3c"),
    ("READ", "GET", f"{REPO}/commits/1a2b3c/diff/src/a.py"),
    ("READ", "GET", f"{REPO}/compare/diff/src/a.py"),
    ("READ", "GET", f"{REPO}/pull-requests"),
    ("READ", "GET", f"{REPO}/pull-requests/7/activities"),
    ("READ", "GET", f"{REPO}/pull-requests/7.diff"),
    ("READ", "GET", f"{REPO}/tags/release/1.0"),
    ("READ", "GET", "/rest/api/1.0/admin/groups"),
    ("READ", "GET", "/rest/api/1.0/users/alice"),
    ("READ", "GET", "/rest/build-status/1.0/commits/1a2b3c"),
    ("READ", "GET", "/rest/default-reviewers/1.0/projects/OPS/repos/web/reviewers"),
    ("READ", "GET", "/rest/insights/1.0/projects/OPS/repos/web/commits/1a2b3c/reports/lint"),
    ("READ", "GET", "/rest/ssh/1.0/keys"),
    ("READ", "GET", "/projects/OPS/repos/web/raw/docs/index.rst"),
    ("READ", "GET", "/users/alice/avatar.png"),
    # some POSTs only read
    ("READ", "POST", "/rest/api/1.0/markup/preview"),
    ("READ", "POST", "/rest/build-status/1.0/commits/stats"),
    ("READ", "POST", "/rest/search/1.0/search"),
    # Git over HTTP: the announcement of a push is a read, the push is not
    ("READ", "GET", "/scm/OPS/web.git/info/refs"),
    ("READ", "POST", "/scm/OPS/web.git/git-upload-pack"),
    ("READ", "POST", "/scm/~alice/web/git-upload-pack"),
    ("WRITE", "POST", "/scm/OPS/web.git/git-receive-pack"),
    ("WRITE", "POST", "/scm/OPS/web/git-receive-pack"),
    ("WRITE", "POST", "/scm/OPS/web.git/info/lfs/objects/batch"),
    # what users change
    ("WRITE", "POST", f"{REPO}/pull-requests"),
    ("WRITE", "POST", f"{REPO}/pull-requests/7/merge"),
    ("WRITE", "PUT", f"{REPO}/pull-requests/7/participants/alice"),
    ("WRITE", "POST", f"{REPO}/pull-requests/7/comments"),
    ("WRITE", "PUT", f"{REPO}/browse/src/a.py"),
    ("WRITE", "POST", "/rest/build-status/1.0/commits/1a2b3c"),
    ("WRITE", "PUT", "/rest/insights/1.0/projects/OPS/repos/web/commits/1a2b3c/reports/lint"),
    ("WRITE", "DELETE", "/rest/branch-utils/1.0/projects/OPS/repos/web/branches"),
    ("WRITE", "PUT", "/rest/api/1.0/users"),
    # what a project's or repository's administrators see and change
    ("WRITE", "POST", "/rest/api/1.0/projects/OPS/repos"),
    ("WRITE", "DELETE", REPO),
    ("WRITE", "GET", f"{REPO}/webhooks"),
    ("WRITE", "POST", f"{REPO}/webhooks"),
    ("WRITE", "GET", f"{REPO}/permissions/users"),
    ("WRITE", "PUT", "/rest/api/1.0/projects/OPS/permissions/groups"),
    ("WRITE", "GET", "/rest/keys/1.0/projects/OPS/repos/web/ssh"),
    ("WRITE", "POST", "/rest/branch-permissions/2.0/projects/OPS/repos/web/restrictions"),
    # what outlives the token
    ("ADMIN", "POST", "/rest/ssh/1.0/keys"),
    ("ADMIN", "POST", "/rest/keys/1.0/projects/OPS/repos/web/ssh"),
    # global administrators, for reading too
    ("ADMIN", "GET", "/rest/api/1.0/admin/license"),
    ("ADMIN", "GET", "/rest/api/1.0/admin/permissions/users"),
    ("ADMIN", "POST", "/rest/api/1.0/admin/users"),
    ("ADMIN", "PUT", "/rest/api/1.0/admin/users/credentials"),
    ("ADMIN", "DELETE", "/rest/api/1.0/admin/groups"),
    ("ADMIN", "PUT", "/rest/api/1.0/admin/banner"),
    ("ADMIN", "GET", "/rest/plugins/1.0"),
    ("SYSTEM_ADMIN", "POST", "/rest/api/1.0/admin/license"),
    ("SYSTEM_ADMIN", "GET", "/rest/api/1.0/admin/cluster"),
    ("SYSTEM_ADMIN", "GET", "/rest/api/1.0/admin/mail-server"),
    ("SYSTEM_ADMIN", "GET", "/rest/api/1.0/logs/rootLogger"),
    ("SYSTEM_ADMIN", "POST", "/rest/api/1.0/hook-scripts"),
    ("SYSTEM_ADMIN", "PUT", "/rest/mirroring/1.0/syncSettings"),
    # what the table does not name needs its family's strictest, else ADMIN
    ("WRITE", "GET", f"{REPO}/brand-new"),
    ("READ", "GET", "/rest/insights/1.0/projects/OPS/brand-new"),
    ("SYSTEM_ADMIN", "GET", "/rest/api/1.0/admin/brand-new"),
    ("ADMIN", "PATCH", REPO),
    ("ADMIN", "GET", "/rest/brand-new/1.0/thing"),
]


@pytest.mark.parametrize(("scope", "method", "path"), OPERATIONS)
def test_operation_needs_its_scope(scope: str, method: str, path: str) -> None:
    """Each operation is open to its least scope and to those that include it."""
    assert enough(preset(), method, path) == from_scope(scope)


@pytest.mark.parametrize(("scope", "method", "path"), [row for row in OPERATIONS if row[1] == "GET"])
def test_head_is_judged_as_get(scope: str, method: str, path: str) -> None:
    """HEAD needs what GET needs."""
    assert enough(preset(), "HEAD", path) == from_scope(scope)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/rest/access-tokens/1.0/users/alice",
        "/rest/access-tokens/latest/projects/OPS/repos/web",
        "/rest/access-tokens/latest/users/alice.json",
        "/rest/mirroring/1.0/authenticate",
        "/rest/mirroring/latest/authenticate",
        "/rest/oauth2/latest/token",
        "/rest/pat/latest/tokens",
        "/rest/tsv/1.0/totp/unenroll",
    ],
)
def test_what_hands_out_credentials_is_refused(method: str, path: str) -> None:
    """No token mints another, or passes for a second factor."""
    decision = judged(preset(), method, path, "SYSTEM_ADMIN")

    assert isinstance(decision, Denied)
    assert decision.reason == Reason.DENIED


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/projects/OPS/repos/web/browse"),
        ("GET", "/login"),
        ("POST", "/j_atl_security_check"),
        ("GET", "/admin/users"),
        ("GET", "/plugins/servlet/access-tokens/users/alice/manage"),
        ("POST", "/plugins/servlet/oauth/access-token"),
        ("GET", "/scm/OPS/web.git/HEAD"),
        ("PUT", "/scm/OPS/web.git/info/refs"),
        ("GET", "/scm/OPS/web.git/git-receive-pack"),
        ("POST", "/scm/OPS/web.git/git-receive-pack/x"),
        ("GET", "/scm/OPS/group/web.git/info/refs"),
    ],
)
def test_nothing_else_is_open(method: str, path: str) -> None:
    """Of what is not REST, only Git over HTTP, files and avatars are open."""
    decision = judged(preset(), method, path, "SYSTEM_ADMIN")

    assert isinstance(decision, Denied)
    assert decision.reason == Reason.NO_RULE


@pytest.mark.parametrize(
    ("path", "limits", "opened"),
    [
        (REPO, {"project": "OPS"}, True),
        ("/rest/api/latest/projects/ops/repos/web/commits", {"project": "OPS"}, True),
        (f"{REPO}/browse/src", {"project": "OPS", "repo": "web"}, True),
        ("/rest/api/1.0/projects/OPS/repos/WEB/browse/src", {"project": "OPS", "repo": "web"}, True),
        ("/scm/ops/Web.git/info/refs", {"project": "OPS", "repo": "web"}, True),
        ("/scm/ops/web/info/refs", {"project": "OPS", "repo": "web"}, True),
        ("/rest/api/1.0/projects/~alice/repos/notes", {"project": "~ALICE"}, True),
        ("/rest/build-status/1.0/commits/1a2b3c", {"project": "OPS"}, False),
        ("/rest/api/1.0/application-properties", {"project": "OPS"}, True),
        ("/rest/api/1.0/projects/WEB/repos/web", {"project": "OPS"}, False),
        ("/rest/api/1.0/projects/OPS", {"project": "OPS", "repo": "web"}, False),
        ("/scm/OPS/website.git/info/refs", {"project": "OPS", "repo": "web"}, False),
        ("/scm/OPS/web.git.git/info/refs", {"project": "OPS", "repo": "web"}, False),
        ("/rest/api/1.0/projects/OPS/repos/web.git", {"project": "OPS", "repo": "web"}, False),
        ("/rest/api/1.0/repos", {"project": "OPS"}, False),
    ],
)
def test_limits_bind_project_and_repository(path: str, limits: dict[str, str], opened: bool) -> None:
    """A token limited to a project or a repository reaches these alone, in any spelling, and what tells of none."""
    decision = judged(preset(), "GET", path, "READ", **limits)

    assert isinstance(decision, Allowed) == opened
    assert opened or (isinstance(decision, Denied) and decision.reason == Reason.LIMIT)


CLONES = ["/scm/OPS/secret.git/info/refs", "/scm/ops/Secret/info/refs", "/scm/Ops/SECRET.git/info/refs"]


@pytest.mark.parametrize(
    "written",
    [
        *CLONES,
        "/scm/OPS/secret/**",
        "/scm/ops/Secret.git/**",
        "/scm/OPS/*.git/**",
        "/scm/*/s*.git/**",
        "/scm/OPS/{repo:Secret|public}.git/**",
    ],
)
@pytest.mark.parametrize("asked", CLONES)
def test_deny_of_a_clone_address_holds_for_every_spelling(written: str, asked: str) -> None:
    """With or without .git, in capitals or not: what a rule denies stays denied."""
    rules = Policy.from_dict(
        {"preset": [{"name": "bitbucket"}], "rule": [{"id": "mine", "path": written, "effect": "deny"}]}
    )

    decision = judged(rules, "GET", asked, "SYSTEM_ADMIN")

    assert isinstance(decision, Denied)
    assert (decision.reason, decision.rule) == (Reason.DENIED, "mine")


def test_allow_of_clone_addresses_opens_no_others() -> None:
    """An allow that names repositories whose addresses end in .git opens what it spells out, and no more."""
    rules = Policy.from_dict(
        {"preset": [{"name": "bitbucket"}], "rule": [{"path": "/scm/OPS/pub*.git/**", "scopes": []}]}
    )

    opened = [isinstance(judged(rules, "GET", f"/scm/OPS/{name}/info/x", "READ"), Allowed) for name in ("public", "x")]

    assert opened == [True, False]
