"""From settings, or from an owner's own credential, to a way of being somebody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from linked import CONSUMER, pem, private_key
from upstreams import ALICE, PlainTransport, get

from patmiddleware.errors import ConfigurationError, LinkError
from patmiddleware.forwarder.strategies import (
    KINDS,
    OWN,
    BasicLogin,
    BearerAccount,
    CookieLogin,
    OAuth1,
    PassThrough,
    from_credential,
    strategy,
)
from patmiddleware.interfaces import Strategy
from patmiddleware.model import Secret, UpstreamCredential

URL = "https://jira.example/jira"
WAY_OUT = PlainTransport("http://127.0.0.1:1")

SETTINGS: dict[str, dict[str, Any]] = {
    "pass": {},
    "basic": {"username": "svc", "password": Secret("geheim")},
    "bearer": {"token": "geheim"},
    "cookie": {"username": "svc", "password": "geheim"},
    "oauth1": {"consumer_key": CONSUMER, "private_key": pem(private_key()).decode()},
}
MADE = {"pass": PassThrough, "basic": BasicLogin, "bearer": BearerAccount, "cookie": CookieLogin, "oauth1": OAuth1}


def problems(kind: str, settings: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(ConfigurationError) as caught:
        strategy(kind, settings, upstream=URL, transport=WAY_OUT)
    assert "geheim" not in str(caught.value)
    return [(problem.setting, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_made_of_its_settings(kind: str) -> None:
    """Each is a way of being somebody."""
    made = strategy(kind, SETTINGS[kind], upstream=URL, transport=WAY_OUT)

    assert isinstance(made, Strategy)
    assert type(made) is MADE[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_that_is_missing_is_named(kind: str) -> None:
    """All at once, and an unknown one with them."""
    missing = [(f"app.auth.{name}", "is missing") for name in sorted(SETTINGS[kind])]

    assert problems(kind, {"passwort": "geheim"}) == [
        *missing,
        ("app.auth.passwort", f"{kind} has no such setting"),
    ]


def test_the_nearest_setting_is_named() -> None:
    """A mistyped one is not searched for long."""
    with pytest.raises(ConfigurationError, match="did you mean 'password'"):
        strategy("basic", {"username": "a", "pasword": "b"}, upstream=URL, transport=WAY_OUT)


def test_an_unknown_kind_is_refused() -> None:
    """With the nearest one."""
    assert problems("oauth", {}) == [("app.auth.kind", "there is no way named 'oauth'")]


def test_what_a_way_judges_itself_is_told() -> None:
    """The setting is named as it stands in the file."""
    assert problems("basic", {"username": "a:b", "password": "geheim"})[0][0] == "app.auth.username"


def test_an_upstream_that_sees_itself_elsewhere_is_signed_for(tmp_path: Path) -> None:
    """``base_url`` stands for the upstream's address where that is another one."""
    settings = {**SETTINGS["oauth1"], "base_url": "https://seen.example/jira"}
    made = strategy("oauth1", settings, upstream="http://10.0.0.1:8080/jira", transport=WAY_OUT)

    assert isinstance(made, OAuth1)
    assert made._client.origin == "https://seen.example"


OWNED = {
    "basic": {"username": "alice", "password": "geheim"},
    "bearer": {"token": "geheim"},
    "cookie": {"username": "alice", "password": "geheim"},
    "oauth1": {"token": "geheim", "token_secret": "geheim"},
}
SHARED = {"consumer_key": CONSUMER, "private_key": private_key(), "state": None}


@pytest.mark.parametrize("kind", OWN)
def test_every_kind_is_made_of_an_owners_credential(kind: str) -> None:
    """With what all owners share of it."""
    made = from_credential(UpstreamCredential(kind, OWNED[kind]), SHARED, upstream=URL, transport=WAY_OUT)

    assert type(made) is MADE[kind]
    assert made.is_callers is False


def test_an_owners_token_is_signed_with() -> None:
    """And never left out: without it the request would be the application's own."""
    made = from_credential(UpstreamCredential("oauth1", OWNED["oauth1"]), SHARED, upstream=URL, transport=WAY_OUT)

    assert 'oauth_token="geheim"' in dict(made.sign(get(), ALICE).headers)["Authorization"]


BROKEN: list[tuple[str, dict[str, str]]] = [
    ("oauth1", {}),
    ("oauth1", {"token": "", "token_secret": "geheim"}),
    ("oauth1", {"token_secret": "geheim"}),
    ("oauth1", {"token": "geheim"}),
    ("oauth1", {**OWNED["oauth1"], "impersonate": "yes"}),
    ("oauth1", {**OWNED["oauth1"], "consumer_key": "mine"}),
    ("basic", {"username": "alice"}),
    ("basic", {"username": "a:b", "password": "geheim"}),
    ("bearer", {"token": "geheim geheim"}),
    ("cookie", {"username": "alice", "password": "geheim", "state": "/tmp"}),
    ("pass", {}),
    ("vault", {}),
    ("no", {"geheim": "x"}),
]


@pytest.mark.parametrize(("kind", "values"), BROKEN)
def test_an_owners_credential_that_is_not_whole_breaks_the_link(kind: str, values: dict[str, str]) -> None:
    """The owner hears what to do, and nothing of what is kept."""
    with pytest.raises(LinkError, match="jira connect") as caught:
        from_credential(UpstreamCredential(kind, values), SHARED, upstream=URL, transport=WAY_OUT)

    assert "geheim" not in str(caught.value)
