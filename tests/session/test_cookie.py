"""The session cookie, in requests and in answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.credentials import MALFORMED
from patmiddleware.session.cookie import Cookie
from patmiddleware.session.settings import SessionSettings

COOKIE = Cookie(SessionSettings())

READ: list[tuple[str, str | None]] = [
    ("", None),
    ("a=1", None),
    ("JSESSIONID=x", "x"),
    ("JSESSIONID=x; a=1", "x"),
    ("a=1; JSESSIONID=x", "x"),
    ("a=1;JSESSIONID=x;b=2", "x"),
    ("a=1 ;\t JSESSIONID = x ; b=2", "x"),
    ("a=1;\r\n JSESSIONID=x", "x"),
    ("JSESSIONID=x,a=1", "x"),
    ("a=1,JSESSIONID=x", "x"),
    ("JSESSIONID=", None),
    ("JSESSIONID", None),
    ("jsessionid=x", None),
    ("XJSESSIONID=x", None),
    ("JSESSIONIDX=x", None),
    ("a=JSESSIONID=x", None),
    ("JSESSIONID=x=y", "x=y"),
    ('JSESSIONID="x"', '"x"'),
    ("JSESSIONID=" + "x" * 4_096, "x" * 4_096),
]
MALFORMED_COOKIES = [
    "JSESSIONID=x; JSESSIONID=y",
    "JSESSIONID=x; JSESSIONID=x",
    "JSESSIONID=x; a=1; JSESSIONID=y",
    "JSESSIONID=x,JSESSIONID=y",
    "JSESSIONID=; JSESSIONID=y",
    "JSESSIONID=x; JSESSIONID=",
    "JSESSIONID=" + "x" * 4_097,
]
LEFT: list[tuple[str, str | None]] = [
    ("JSESSIONID=x", None),
    ("JSESSIONID=x; a=1", "a=1"),
    ("a=1; JSESSIONID=x", "a=1"),
    ("a=1; JSESSIONID=x; b=2", "a=1; b=2"),
    ("a=1;JSESSIONID=x;b=2", "a=1;b=2"),
    ("JSESSIONID=x; JSESSIONID=y; a=1", "a=1"),
    ("a=1,JSESSIONID=x", "a=1"),
    ("JSESSIONID=", None),
    ("a=JSESSIONID=x; jsessionid=y", "a=JSESSIONID=x; jsessionid=y"),
    ("a=1; b", "a=1; b"),
]


@pytest.mark.parametrize(("header", "expected"), READ)
def test_cookie_is_read(header: str, expected: str | None) -> None:
    """It is found among others, and by its exact name; empty is absent."""
    found = COOKIE.read({"HTTP_COOKIE": header})

    assert found == (None if expected is None else ("Session", None, expected))


@pytest.mark.parametrize("header", MALFORMED_COOKIES)
def test_two_or_one_too_long_are_malformed(header: str) -> None:
    """Which of two is the client's, and which was planted, can't be said."""
    assert COOKIE.read({"HTTP_COOKIE": header}) is MALFORMED


@pytest.mark.parametrize(("header", "expected"), LEFT)
def test_others_stay(header: str, expected: str | None) -> None:
    """It is removed, be it there twice, and the others stay as they are."""
    environ: dict[str, Any] = {"HTTP_COOKIE": header}

    COOKIE.remove(environ)

    assert environ.get("HTTP_COOKIE") == expected


@given(st.text(st.sampled_from('JSESIONDa=;, \t"\\\xff\x00'), max_size=60) | st.text(max_size=60))
def test_what_is_removed_is_what_was_read(header: str) -> None:
    """Whatever a header looks like, nothing is left of the cookie that would be read."""
    environ: dict[str, Any] = {"HTTP_COOKIE": header}

    COOKIE.remove(environ)

    assert COOKIE.read(environ) is None


HEADERS: list[tuple[dict[str, Any], str]] = [
    ({}, "JSESSIONID=x; Max-Age=60; Path=/; HttpOnly; SameSite=Strict; Secure"),
    ({"secure": False}, "JSESSIONID=x; Max-Age=60; Path=/; HttpOnly; SameSite=Strict"),
    ({"path": "/jira", "cookie": "sid"}, "sid=x; Max-Age=60; Path=/jira; HttpOnly; SameSite=Strict; Secure"),
]


@pytest.mark.parametrize(("settings", "expected"), HEADERS)
def test_cookie_is_for_us_alone(settings: dict[str, Any], expected: str) -> None:
    """No script reads it, no other site sends it, and without TLS it does not travel, unless that is asked for."""
    assert Cookie(SessionSettings(**settings)).header("x", 60) == ("Set-Cookie", expected)
