"""The ``confluence`` preset, judged against a table written by hand."""

from __future__ import annotations

from functools import cache

import pytest
from judging import enough, from_scope, judged

from patmiddleware.model import Allowed, Denied, Reason
from patmiddleware.policy import Policy


@cache
def preset(mount: str = "") -> Policy:
    return Policy.preset("confluence", mount=mount)


OPERATIONS = [
    # what everybody who may view sees
    ("READ", "GET", "/rest/api/content"),
    ("READ", "GET", "/rest/api/content/123"),
    ("READ", "GET", "/rest/api/content/123/child/attachment"),
    ("READ", "GET", "/rest/api/content/123/descendant/page"),
    ("READ", "GET", "/rest/api/content/123/label"),
    ("READ", "GET", "/rest/api/content/123/property/status"),
    ("READ", "GET", "/rest/api/content/123/restriction/byOperation/read"),
    ("READ", "GET", "/rest/api/content/search"),
    ("READ", "GET", "/rest/api/search"),
    ("READ", "GET", "/rest/api/space"),
    ("READ", "GET", "/rest/api/space/OPS"),
    ("READ", "GET", "/rest/api/space/~alice/content/page"),
    ("READ", "GET", "/rest/api/user"),
    ("READ", "GET", "/rest/api/user/current"),
    ("READ", "GET", "/rest/api/user/memberof"),
    ("READ", "GET", "/rest/api/group"),
    ("READ", "GET", "/rest/api/group/staff/member"),
    ("READ", "GET", "/rest/api/longtask/42"),
    ("READ", "GET", "/rest/mobile/1.0/profile/alice"),
    ("READ", "GET", "/rest/prototype/1/content/123"),
    ("READ", "GET", "/download/attachments/123/report.pdf"),
    ("READ", "GET", "/download/thumbnails/123/picture.png"),
    ("READ", "GET", "/exportword"),
    # some POSTs only read
    ("READ", "POST", "/rest/api/contentbody/convert/view"),
    ("READ", "POST", "/rest/tinymce/1/macro/preview"),
    # what users change
    ("WRITE", "POST", "/rest/api/content"),
    ("WRITE", "PUT", "/rest/api/content/123"),
    ("WRITE", "DELETE", "/rest/api/content/123"),
    ("WRITE", "POST", "/rest/api/content/123/child/attachment"),
    ("WRITE", "POST", "/rest/api/content/123/child/attachment/att9/data"),
    ("WRITE", "POST", "/rest/api/content/123/label"),
    ("WRITE", "PUT", "/rest/api/content/123/restriction"),
    ("WRITE", "POST", "/rest/api/user/watch/content/123"),
    ("WRITE", "PUT", "/rest/api/user/current"),
    ("WRITE", "POST", "/rest/likes/1.0/content/123/likes"),
    # what a space's administrators see and change
    ("WRITE", "POST", "/rest/api/space"),
    ("WRITE", "PUT", "/rest/api/space/OPS"),
    ("WRITE", "DELETE", "/rest/api/space/OPS"),
    ("WRITE", "GET", "/rest/api/space/OPS/permissions"),
    ("WRITE", "PUT", "/rest/api/space/OPS/permissions/user/alice/grant"),
    ("WRITE", "GET", "/rest/api/space/OPS/trash"),
    ("WRITE", "GET", "/rest/api/content/123/watchers"),
    ("WRITE", "POST", "/rest/api/backup-restore/backup/space"),
    # global administrators, for reading too
    ("ADMIN", "POST", "/rest/api/admin/user"),
    ("ADMIN", "POST", "/rest/api/admin/group"),
    ("ADMIN", "DELETE", "/rest/api/admin/user/alice"),
    ("ADMIN", "PUT", "/rest/api/user/alice/group/staff"),
    ("ADMIN", "GET", "/rest/api/audit"),
    ("ADMIN", "GET", "/rest/api/webhooks"),
    ("ADMIN", "POST", "/rest/api/webhooks"),
    ("ADMIN", "GET", "/rest/api/permissions"),
    ("ADMIN", "PUT", "/rest/api/permissions/group/staff/grant"),
    ("ADMIN", "PUT", "/rest/api/color-scheme"),
    ("ADMIN", "GET", "/rest/plugins/1.0"),
    ("SYSTEM_ADMIN", "POST", "/rest/api/admin/user/alice/password"),
    ("SYSTEM_ADMIN", "POST", "/rest/api/backup-restore/backup/site"),
    ("SYSTEM_ADMIN", "POST", "/rest/api/backup-restore/restore/space"),
    ("SYSTEM_ADMIN", "GET", "/rest/api/cluster/nodes"),
    ("SYSTEM_ADMIN", "DELETE", "/rest/plugins/1.0/com.example.app-key"),
    # what the table does not name needs its family's strictest, else ADMIN
    ("WRITE", "GET", "/rest/api/content/123/brand-new"),
    ("WRITE", "POST", "/rest/api/content/123/brand-new"),
    ("SYSTEM_ADMIN", "POST", "/rest/api/admin/brand-new"),
    ("ADMIN", "GET", "/rest/api/brand-new"),
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
        "/rest/auth/1/session",
        "/rest/oauth2/latest/token",
        "/rest/pat/latest/tokens",
        "/rest/pat/1.0/tokens/17.json",
        "/rpc/xmlrpc",
        "/rpc/json-rpc/confluenceservice-v2/getPage",
        "/rpc/soap-axis/confluenceservice-v2",
        "/s/x/_/rest/api/content",
    ],
)
def test_what_goes_round_the_rules_is_refused(method: str, path: str) -> None:
    """No token logs in, mints another, or calls the APIs whose operation stands in the body."""
    decision = judged(preset(), method, path, "SYSTEM_ADMIN")

    assert isinstance(decision, Denied)
    assert decision.reason == Reason.DENIED


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/display/OPS/Home"),
        ("GET", "/login.action"),
        ("POST", "/dologin.action"),
        ("GET", "/admin/users/browseusers.action"),
        ("POST", "/pages/docreatepage.action"),
        ("POST", "/plugins/servlet/oauth/access-token"),
        ("GET", "/plugins/personalaccesstokens/usertokens.action"),
        ("POST", "/download/attachments/123/report.pdf"),
        ("GET", "/download"),
    ],
)
def test_nothing_else_is_open(method: str, path: str) -> None:
    """Of what is not REST, only attachments, thumbnails and exports are open, and only to read."""
    decision = judged(preset(), method, path, "SYSTEM_ADMIN")

    assert isinstance(decision, Denied)
    assert decision.reason == Reason.NO_RULE


@pytest.mark.parametrize(
    ("path", "opened"),
    [
        ("/rest/api/space/OPS", True),
        ("/rest/api/space/ops/content/page", True),
        ("/rest/api/space/Ops.json", True),
        ("/rest/api/user/current", True),
        ("/rest/api/space/WEB", False),
        ("/rest/api/space", False),
        ("/rest/api/content/123", False),
        ("/rest/api/search", False),
        ("/download/attachments/123/report.pdf", False),
    ],
)
def test_limits_bind_the_space(path: str, opened: bool) -> None:
    """A token limited to a space reaches this one alone, in any spelling, and what tells of none."""
    decision = judged(preset(), "GET", path, "READ", space="OPS")

    assert isinstance(decision, Allowed) == opened
    assert opened or (isinstance(decision, Denied) and decision.reason == Reason.LIMIT)
