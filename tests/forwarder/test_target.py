"""What target goes upstream."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util.url import _encode_target

from patmiddleware.errors import ConfigurationError
from patmiddleware.forwarder import target
from patmiddleware.forwarder.answers import Failed
from patmiddleware.model import Denied, Reason
from patmiddleware.paths import judged_path


@pytest.mark.parametrize(
    ("path", "mount", "expected"),
    [
        ("/rest/api", "", "/rest/api"),
        ("/jira/rest/api", "/jira", "/rest/api"),
        ("/jira", "/jira", "/"),
        ("/jira/", "/jira", "/"),
        ("/jirax/rest", "/jira", None),
        ("/rest/jira", "/jira", None),
        ("/a/b/c", "/a/b", "/c"),
    ],
)
def test_a_mount_is_cut_off(path: str, mount: str, expected: str | None) -> None:
    """At a slash; a path that is elsewhere is not forwarded."""
    assert target.below(path, mount) == expected


@pytest.mark.parametrize("mount", ["jira", "/{x}", "/a/**", "//", "/a b/..", "/*"])
def test_a_mount_is_a_plain_path(mount: str) -> None:
    """Anything else is told at the start."""
    with pytest.raises(ConfigurationError):
        target.mounted(mount)


@pytest.mark.parametrize(
    ("url", "mount", "expected"),
    [
        ("https://api.example.org", "", "https://api.example.org"),
        ("https://api.example.org/", "/jira", "https://api.example.org/jira"),
        ("https://api.example.org/jira", "/jira", "https://api.example.org/jira"),
        ("https://api.example.org/jira/", "/jira", "https://api.example.org/jira"),
    ],
)
def test_the_public_address_has_the_mount_once(url: str, mount: str, expected: str) -> None:
    """Whether it was written with it or without."""
    assert target.under(url, mount) == expected


OWN = [
    "/rest/pat/latest/tokens", "/rest/pat", "/rest/pat/", "/rest/auth/1/session", "/rest/auth/latest/session.json",
    "/REST/Pat/1.0/tokens", "/rest/auth.json", "/s/abc/_/rest/auth/1/session", "/x/rest/pat/1", "/rest::pat::1",
    "/rest/auth /1/session", "/rest / pat /1",
]  # fmt: skip


@pytest.mark.parametrize("path", OWN)
def test_what_hands_out_sessions_and_tokens_is_never_forwarded(path: str) -> None:
    """In no spelling."""
    found = target.is_own(path)

    assert isinstance(found, Denied)
    assert found.reason is Reason.DENIED


@pytest.mark.parametrize("path", ["/rest/api/2/issue", "/rest/patx", "/rest/authconfig/1.0", "/pat", "/auth/rest"])
def test_other_paths_are_forwarded(path: str) -> None:
    """A name that only begins alike is another one."""
    assert target.is_own(path) is None


REFUSED = [
    "os_username=alice", "os_password=x", "a=1&os_authType=basic", "OS_USERNAME=x", "o%73_username=x", "%6fs_cookie=1",
    "a=1;os_username=x", "os_username", "os%5Fpassword=1", " os_username=1", "+os_username=x", "os_username%00=x",
    "a;oauth_token=1", "?os_username=x",
]  # fmt: skip


@pytest.mark.parametrize("query", REFUSED)
def test_a_second_login_is_refused(query: str) -> None:
    """However its name is written, and it is said which parameter that is."""
    with pytest.raises(Failed, match="named os_") as refused:
        target.query(query)

    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("jql=project%20%3D%20DEMO&startAt=0", "jql=project%20%3D%20DEMO&startAt=0"),
        ("a=1&oauth_token=x&b=2", "a=1&b=2"),
        ("xoauth_requestor_id=admin", ""),
        ("XOAUTH_requestor_id=admin&user_id=1&c", "c"),
        ("oauth%5Fsignature=1&x=y", "x=y"),
        ("a=%zz&b=1%", "a=%25zz&b=1%25"),
        ("a=%2f", "a=%2F"),
        ('a=<"|>#', "a=%3C%22%7C%3E%23"),
        ("a=\xc3\xa4", "a=%C3%A4"),
        ("user_id2=1&xos_=2&q=os_username", "user_id2=1&xos_=2&q=os_username"),
        ("a+b=c+d&&e", "a+b=c+d&&e"),
    ],
)
def test_the_query_goes_on_as_it_came(query: str, expected: str) -> None:
    """Without what only a way of being somebody may set, and without what could be read in two ways."""
    assert target.query(query) == expected


native = st.text(st.characters(max_codepoint=255), max_size=40)


@given(native)
def test_no_query_names_a_login(text: str) -> None:
    """Whatever was sent, what is left has no such name; decoded it is what was sent, and urllib3 leaves it alone."""
    try:
        found = target.query(text)
    except Failed:
        return

    names = [name.strip("\x00 \t\r\n").lower() for name, _ in parse_qsl(found, keep_blank_values=True)]
    assert not [name for name in names if name.startswith(("os_", "oauth_", "xoauth_req")) or name == "user_id"]
    assert _encode_target(f"/x?{found}") == f"/x?{found}"
    if not any(word in text.lower() for word in ("oauth", "user", "%")):
        assert unquote_to_bytes(found) == text.encode("latin-1")


@given(native)
def test_the_path_upstream_is_the_one_that_was_judged(text: str) -> None:
    """Decoded it is the same, and urllib3 leaves it alone."""
    path = judged_path("/" + text)

    if isinstance(path, Denied):
        return
    encoded = target.encoded(path)
    assert unquote_to_bytes(encoded).decode() == path
    assert _encode_target(encoded) == encoded
