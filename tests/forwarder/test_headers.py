"""Which headers go which way."""

from __future__ import annotations

import pytest

from patmiddleware.errors import ConfigurationError
from patmiddleware.forwarder.headers import Upward, downward

PUBLIC = "https://api.example.org/jira"


def up(extra: tuple[str, ...] = (), /, encodings: frozenset[str] | None = frozenset({"gzip"}), **sent: str) -> object:
    found = Upward(extra, PUBLIC, encodings)(
        {f"HTTP_{key}" if key != "CONTENT_TYPE" else key: sent[key] for key in sent}
    )
    return found and dict(found)


@pytest.mark.parametrize(
    "name",
    [
        "AUTHORIZATION", "COOKIE", "HOST", "X_FORWARDED_FOR", "X_FORWARDED_USER", "FORWARDED", "TE", "CONNECTION",
        "KEEP_ALIVE", "UPGRADE", "PROXY_AUTHORIZATION", "PROXY_CONNECTION", "EXPECT", "CONTENT_LENGTH", "CONTENT_TYPE_",
        "X_AUSERNAME", "TRANSFER_ENCODING", "X_ANYTHING_ELSE", "X_HTTP_METHOD_OVERRIDE", "X_ORIGINAL_URL", "TRAILER",
    ],
)  # fmt: skip
def test_what_is_not_on_the_list_stays(name: str) -> None:
    """Whatever it says."""
    assert up(**{name: "x"}) == {"Accept-Encoding": "identity"}


def test_what_is_on_the_list_goes_on() -> None:
    """As it came."""
    assert up(ACCEPT="text/html", CONTENT_TYPE="a/b;c=d", X_ATLASSIAN_TOKEN="no-check", USER_AGENT="curl/8") == {
        "Accept": "text/html",
        "Content-Type": "a/b;c=d",
        "X-Atlassian-Token": "no-check",
        "User-Agent": "curl/8",
        "Accept-Encoding": "identity",
    }


def test_more_can_be_let_through() -> None:
    """By name."""
    assert up(("X-Mine",), X_MINE="1") == {"X-Mine": "1", "Accept-Encoding": "identity"}


@pytest.mark.parametrize(
    "name", ["Authorization", "cookie", "Transfer-Encoding", "X Y", "", "X\r\nY", "Host", "Expect"]
)
def test_what_is_ours_to_set_can_not_be_let_through(name: str) -> None:
    """It is told at the start."""
    with pytest.raises(ConfigurationError):
        Upward((name,), PUBLIC, None)


def test_what_the_connection_names_stays() -> None:
    """Its headers are for the next hop alone."""
    assert up(
        CONNECTION="close, X-Atlassian-Token ,content-type", X_ATLASSIAN_TOKEN="a", CONTENT_TYPE="b", ACCEPT="c"
    ) == {
        "Accept": "c",
        "Accept-Encoding": "identity",
    }


@pytest.mark.parametrize(
    ("value", "goes_on"),
    [
        ("https://api.example.org", False),
        ("https://api.example.org:443/jira/x?y", False),
        ("https://evil.example", True),
        ("http://api.example.org", True),
        ("null", True),
        ("https://[", True),
    ],
)
def test_a_foreign_origin_goes_on(value: str, goes_on: bool) -> None:
    """So that the upstream can refuse it; ours would be foreign there."""
    sent = up(ORIGIN=value, REFERER=value)

    assert isinstance(sent, dict)
    assert [name in sent for name in ("Origin", "Referer")] == [goes_on, goes_on]


@pytest.mark.parametrize("value", ["a\r\nAuthorization: x", "a\nb", "\x00", "a\x7f"])
def test_a_value_that_no_header_may_have_is_refused(value: str) -> None:
    """Nothing is repaired."""
    assert up(ACCEPT=value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("gzip, deflate, br", "gzip"),
        ("br", "identity"),
        ("", "identity"),
        ("gzip;q=0, identity", "identity"),
        ("deflate, GZIP;q=0.5", "gzip"),
        ("gzip; q=0.000", "identity"),
    ],
)
def test_only_codings_that_can_be_rewritten_are_asked_for(value: str, expected: str) -> None:
    """And that the client takes."""
    assert up(ACCEPT_ENCODING=value) == {"Accept-Encoding": expected}


def test_without_rewriting_the_client_decides() -> None:
    """Nothing is decoded then."""
    assert up(encodings=None, ACCEPT_ENCODING="br, zstd") == {"Accept-Encoding": "br, zstd"}


def test_what_comes_back() -> None:
    """No session of the upstream's, nothing of the connection's, and no name or value that is none."""
    came = [
        ("Content-Type", "a/b"), ("Set-Cookie", "JSESSIONID=1"), ("set-cookie", "b=2"), ("Connection", "close, X-Hop"),
        ("X-Hop", "1"), ("Transfer-Encoding", "chunked"), ("WWW-Authenticate", "OAuth"), ("Retry-After", "0"),
        ("X-RateLimit-Limit", "5"), ("Content-Length", "3"), ("Vary", "a"), ("Vary", "b"), ("bad name", "x"),
        ("Folded", "a\r\n b"), ("Strict-Transport-Security", "max-age=1"), ("X-ASESSIONID", "1"),
    ]  # fmt: skip

    assert downward(came) == [
        ("Content-Type", "a/b"), ("Retry-After", "0"), ("X-RateLimit-Limit", "5"), ("Content-Length", "3"),
        ("Vary", "a"), ("Vary", "b"), ("Folded", "a   b"),
    ]  # fmt: skip
