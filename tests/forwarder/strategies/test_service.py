"""One account for everybody, by Basic or Bearer."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from upstreams import ALICE, PlainTransport, get, serving
from werkzeug import Request, Response

from patmiddleware.errors import ConfigurationError
from patmiddleware.forwarder.strategies import BasicAccount, BearerAccount
from patmiddleware.interfaces import Strategy
from patmiddleware.model import Secret

WAYS = [BasicAccount("svc", Secret("geheim")), BearerAccount(Secret("geheim"))]


def authorization(way: Strategy, *headers: tuple[str, str]) -> list[str]:
    signed = way.sign(get("/", *headers), ALICE)
    return [value for name, value in signed.headers if name.lower() == "authorization"]


@pytest.mark.parametrize(
    ("username", "password"),
    [("svc", "geheim"), ("Jos\u00e9", "p\u00e4ss:w\u00f6rt \U0001f600"), ("with blank", ":"), ("a\\b@c", '"')],
)
def test_basic_is_in_utf_8(username: str, password: str) -> None:
    """The user name stands before the first colon, and all is UTF-8 (RFC 7617, section 2.1)."""
    [value] = authorization(BasicAccount(username, Secret(password)))

    scheme, _, coded = value.partition(" ")
    assert (scheme, b64decode(coded).decode("utf-8")) == ("Basic", f"{username}:{password}")


def test_an_upstream_takes_basic() -> None:
    """A server reads the user name and the password out of it again."""

    def who(request: Request) -> Response:
        given = request.authorization
        return Response(f"{given.username} {given.password}" if given else "nobody")

    with serving(who) as site:
        response = PlainTransport(site.url).send(BasicAccount("svc", "p\u00e4ss:w\u00f6rt").sign(get(), ALICE))
        body = b"".join(response.stream())
        response.close()

    assert body.decode() == "svc p\u00e4ss:w\u00f6rt"


def test_bearer_is_sent_as_it_is() -> None:
    """The token stands behind the scheme."""
    assert authorization(BearerAccount("MTIz/NDU2+w==")) == ["Bearer MTIz/NDU2+w=="]


@pytest.mark.parametrize("way", WAYS)
def test_what_stood_there_is_replaced(way: Strategy) -> None:
    """No other header of that name is left, however it is spelled."""
    others = ("Authorization", "Bearer of-the-client"), ("AUTHORIZATION", "Basic eDp5")

    assert authorization(way, *others) == authorization(way)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_can_be_renewed(way: Strategy) -> None:
    """A refusal is final, and it is the link's, not the client's."""
    assert (way.refused(ALICE), way.is_callers) == (False, False)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_shows_the_secret(way: Strategy) -> None:
    """Neither the repr nor the attributes have it."""
    shown = repr(way) + repr(vars(way))

    assert "geheim" not in shown
    assert "c3ZjOmdlaGVpbQ" not in shown


REFUSED: list[tuple[Callable[..., Any], str]] = [
    (partial(BasicAccount, "a:b", "x"), "app.auth.username"),
    (partial(BasicAccount, "", "x"), "app.auth.username"),
    (partial(BasicAccount, "a\x7f", "x"), "app.auth.username"),
    (partial(BasicAccount, "a", ""), "app.auth.password"),
    (partial(BasicAccount, "a", "geheim\n"), "app.auth.password"),
    (partial(BasicAccount, "a", "geheim\x85"), "app.auth.password"),
    (partial(BasicAccount, "a", "geheim\udcff"), "app.auth.password"),
    (partial(BasicAccount, "a", 7), "app.auth.password"),
    (partial(BearerAccount, ""), "app.auth.token"),
    (partial(BearerAccount, "geheim x"), "app.auth.token"),
    (partial(BearerAccount, "geheim\r\nX: y"), "app.auth.token"),
    (partial(BearerAccount, "geheim\u00e9"), "app.auth.token"),
    (partial(BearerAccount, Secret("geheim=x")), "app.auth.token"),
]


@pytest.mark.parametrize(("make", "setting"), REFUSED)
def test_what_can_not_be_sent_is_refused(make: Callable[..., Any], setting: str) -> None:
    """The setting is named, and its value is not shown."""
    with pytest.raises(ConfigurationError) as caught:
        make()

    assert [problem.setting for problem in caught.value.problems] == [setting]
    assert "geheim" not in str(caught.value)
