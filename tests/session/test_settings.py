"""How sessions are kept, and where their endpoint is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from gate import request

from patmiddleware.errors import ConfigurationError
from patmiddleware.model import Allowed, Denied, Request
from patmiddleware.session import SessionSettings

WRONG: list[tuple[str, Any]] = [
    ("lifetime", timedelta(0)),
    ("lifetime", timedelta(seconds=-1)),
    ("lifetime", timedelta(days=30, seconds=1)),
    ("lifetime", timedelta.max),
    ("lifetime", 3600),
    ("lifetime", None),
    ("cookie", ""),
    ("cookie", "a b"),
    ("cookie", "a;b"),
    ("cookie", "a=b"),
    ("cookie", "a\r\nX: y"),
    ("cookie", "s\u00e9ssion"),
    ("cookie", None),
    ("secure", "no"),
    ("secure", 0),
    ("path", ""),
    ("path", "jira"),
    ("path", "/jira/"),
    ("path", "//jira"),
    ("path", "/.."),
    ("path", "/a/../b"),
    ("path", "/{mount}"),
    ("path", "/*"),
    ("path", "/a;b"),
    ("path", "/a b"),
    ("path", "/jir\u00e4"),
    ("path", "/jira\n"),
    ("origin", ""),
    ("origin", "api.example.org"),
    ("origin", "https://api.example.org/"),
    ("origin", "https://API.example.org"),
    ("origin", "https://user@api.example.org"),
    ("origin", "ftp://api.example.org"),
    ("origin", "null"),
]
RIGHT: list[tuple[str, Any]] = [
    ("lifetime", timedelta(seconds=1)),
    ("lifetime", timedelta(days=30)),
    ("cookie", "sid"),
    ("cookie", "__Host-sid"),
    ("secure", False),
    ("path", "/"),
    ("path", "/jira"),
    ("path", "/tools/jira-9.12"),
    ("origin", "https://api.example.org"),
    ("origin", "http://localhost:8080"),
    ("origin", "http://[::1]:8080"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_wrong_settings_are_named(name: str, value: Any) -> None:
    """What can't be is refused when the settings are made, with its name."""
    with pytest.raises(ConfigurationError) as caught:
        SessionSettings(**{name: value})

    assert [problem.setting for problem in caught.value.problems] == [f"session.{name}"]


@pytest.mark.parametrize(("name", "value"), RIGHT)
def test_right_settings_are_taken(name: str, value: Any) -> None:
    """What can be is kept as it is."""
    assert getattr(SessionSettings(**{name: value}), name) == value


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Not only the first."""
    with pytest.raises(ConfigurationError) as caught:
        SessionSettings(cookie="", path="")

    assert [problem.setting for problem in caught.value.problems] == ["session.cookie", "session.path"]


OURS = [
    "/rest/auth/1/session",
    "/rest/auth/1/session/",
    "/rest/auth/1/session.json",
    "/rest/auth/1/session.xml",
    "/rest/auth/1.0/session",
    "/rest/auth/latest/session",
    "/rest/auth/latest/session.json",
]
NOT_OURS = [
    "/",
    "/rest/auth",
    "/rest/auth/1",
    "/rest/auth/2/session",
    "/rest/auth/1/session/x",
    "/rest/auth/1/sessions",
    "/rest/auth/1/session.json.json",
    "/rest/auth/1/websudo",
    "/rest/auth/1/Session",
    "/REST/auth/1/session",
    "/rest/auth/1session",
]


@pytest.mark.parametrize("mount", ["", "/jira"])
def test_endpoint_has_all_spellings(mount: str) -> None:
    """Every spelling that Jira takes is open to all, below the mount, and nothing else is."""
    rules = SessionSettings(path=mount or "/").rules()
    asked = {path: rules.decide(None, Request("GET", path)) for path in (*OURS, *NOT_OURS)}
    mounted = {path: rules.decide(None, Request("GET", mount + path)) for path in (*OURS, *NOT_OURS)}

    assert [path for path, decision in mounted.items() if isinstance(decision, Allowed)] == OURS
    assert mount == "" or all(isinstance(decision, Denied) for decision in asked.values())


SITES: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({}, {}, "https://api.example.org"),
    ({"secure": False}, {}, "http://api.example.org"),
    ({"secure": False}, {"wsgi.url_scheme": "https"}, "https://api.example.org"),
    ({}, {"HTTP_HOST": "api.example.org:8443"}, "https://api.example.org:8443"),
    ({}, {"HTTP_HOST": ""}, "https://localhost"),
    ({"origin": "https://public.example.org"}, {}, "https://public.example.org"),
]


@pytest.mark.parametrize(("given", "keys", "expected"), SITES)
def test_site_is_what_the_browser_shows(given: dict[str, Any], keys: dict[str, str], expected: str) -> None:
    """With a secure cookie TLS is in front, wherever it ends; a setting says the rest where a front end hides it."""
    assert SessionSettings(**given).site(request(**keys)) == expected
