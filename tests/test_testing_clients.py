"""A test client sends a token as it is told, whichever client it is."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
from guarded import of_flask, of_pyramid, of_wsgi
from webtest import TestApp
from werkzeug.test import Client

from patmiddleware import ConfigurationError, Grant, Issuer, Minted, Reason, Secret, grant_from
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.testing import TokenTestApp, assert_granted, assert_refused, with_token
from patmiddleware.testing.clients import Presented


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def mint(store: MemoryStore) -> Callable[..., Minted]:
    return partial(Issuer(store).mint, owner="alice", name="test")


def echo(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Say which credentials came."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    keys = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY")
    return [" ".join(f"{key}={environ[key]}" for key in keys if key in environ).encode()]


def flask_client(app: Any) -> Any:
    """A client of Flask for an application that is plain WSGI inside."""
    flask = pytest.importorskip("flask")
    inside = flask.Flask("inside")
    inside.wsgi_app = app
    return inside.test_client()


CLIENTS = {"webtest": TestApp, "werkzeug": Client, "flask": flask_client}
clients = pytest.mark.parametrize("client_of", CLIENTS.values(), ids=CLIENTS)

FORMS: dict[str, Callable[[Minted], Presented]] = {
    "minted": lambda minted: minted,
    "secret": lambda minted: Secret(minted.secret),
    "text": lambda minted: minted.secret,
}


def said(client: Any, **options: Any) -> str:
    """What the application said."""
    response = client.get("/", **options)
    text: str = response.text
    return text


@clients
@pytest.mark.parametrize("present", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("bearer", "HTTP_AUTHORIZATION=Bearer {}"),
        ("Bearer", "HTTP_AUTHORIZATION=Bearer {}"),
        ("token", "HTTP_AUTHORIZATION=Token {}"),
        ("header:X-API-Key", "HTTP_X_API_KEY={}"),
    ],
)
def test_the_token_is_sent(
    client_of: Callable[..., Any],
    present: Callable[[Minted], Presented],
    scheme: str,
    expected: str,
    mint: Callable[..., Minted],
) -> None:
    """As a text, a secret or what ``mint`` gave, and in each way that ``accept`` knows."""
    minted = mint()

    client = with_token(client_of(echo), present(minted), scheme)

    assert [said(client), said(client)] == [expected.format(minted.secret)] * 2


@clients
def test_basic_sends_the_owner_and_the_token(client_of: Callable[..., Any], mint: Callable[..., Minted]) -> None:
    """The owner is that of the token that was made; a name that is given goes before it."""
    minted = mint(owner="Zoë")

    sent = [
        said(with_token(client_of(echo), minted, "basic")),
        said(with_token(client_of(echo), minted, "basic", username="bob")),
        said(with_token(client_of(echo), "pat_x", "basic", username="bob")),
    ]

    decoded = [b64decode(text.removeprefix("HTTP_AUTHORIZATION=Basic ")).decode() for text in sent]
    assert decoded == [f"Zoë:{minted.secret}", f"bob:{minted.secret}", "bob:pat_x"]


@clients
@pytest.mark.parametrize("first", ["bearer", "header:X-API-Key"])
@pytest.mark.parametrize("second", ["bearer", "header:X-API-Key"])
def test_another_token_takes_the_place_of_the_first(client_of: Callable[..., Any], first: str, second: str) -> None:
    """In whatever header each is: two would be refused."""
    client = with_token(with_token(client_of(echo), "pat_x", first), "pat_y", second)

    assert said(client) in ("HTTP_AUTHORIZATION=Bearer pat_y", "HTTP_X_API_KEY=pat_y")


@clients
def test_a_request_with_a_header_of_its_own_is_sent_as_it_is(client_of: Callable[..., Any]) -> None:
    """So that one request of a test can try another token, or none."""
    client = with_token(client_of(echo), "pat_x")

    assert said(client, headers={"Authorization": "Bearer pat_y"}) == "HTTP_AUTHORIZATION=Bearer pat_y"
    assert said(client, headers={"Authorization": ""}) == "HTTP_AUTHORIZATION="


@clients
def test_one_client_is_another_than_the_next(client_of: Callable[..., Any]) -> None:
    """A client that was given no token sends none."""
    with_token(client_of(echo), "pat_x")

    assert said(client_of(echo)) == ""


def test_webtest_s_client_is_made_with_a_token() -> None:
    """In one word, for an application."""
    assert said(TokenTestApp(echo, "pat_x", "Token")) == "HTTP_AUTHORIZATION=Token pat_x"


@pytest.mark.parametrize(
    ("client", "scheme", "expected"),
    [
        (Client(echo), "session", "logging in"),
        (Client(echo), "digest", "no carrier"),
        (Client(echo), "header:Authorization", "can't be the header"),
        (Client(echo), "basic", "user name"),
        (object(), "bearer", "object is no client"),
    ],
)
def test_what_can_t_be_sent_is_told(client: object, scheme: str, expected: str) -> None:
    """With what to do, and without the token."""
    with pytest.raises(ConfigurationError, match=expected) as caught:
        with_token(client, "pat_x", scheme)

    assert "pat_x" not in str(caught.value)


# -- with the gate


@clients
@pytest.mark.parametrize("scheme", ["bearer", "basic", "token", "header:X-API-Key"])
def test_the_gate_takes_what_is_sent(
    client_of: Callable[..., Any], scheme: str, store: MemoryStore, mint: Callable[..., Minted]
) -> None:
    """The application knows whose token it is."""
    app = of_wsgi(store, accept=[scheme])

    client = with_token(client_of(app), mint(scopes={"read"}), scheme)

    assert said(client) == "Hello alice"


def test_a_view_of_flask_is_tested(store: MemoryStore, mint: Callable[..., Minted]) -> None:
    """With Flask's own client: cookies, contexts and redirects go on working, and the token goes with each request."""
    flask = pytest.importorskip("flask")
    app = of_flask(store)
    app.secret_key = "x"
    client = with_token(app.test_client(), mint(scopes={"read"}))

    with client, client.session_transaction() as session:
        session["seen"] = True
    with client:
        response = client.get("/old", follow_redirects=True)
        seen = (flask.session.get("seen"), grant_from(flask.request.environ))

    assert (response.text, response.history[0].status_code) == ("Hello alice", 302)
    assert seen == (True, assert_granted(response, owner="alice", scopes={"read"}))
    assert_refused(client.post("/reports"), Reason.INSUFFICIENT_SCOPE, needed={"write"})


def test_a_client_class_of_the_application_s_own_is_kept(store: MemoryStore, mint: Callable[..., Minted]) -> None:
    """What it does before and after a request is still done."""
    pytest.importorskip("flask")
    from flask.testing import FlaskClient

    class Mine(FlaskClient):
        ran = 0

        def run_wsgi_app(self, environ: Any, buffered: bool = False) -> Any:
            self.ran += 1
            return super().run_wsgi_app(environ, buffered)

    app = of_flask(store)
    app.test_client_class = Mine
    client = with_token(app.test_client(), mint(scopes={"read"}))

    assert (client.get("/reports").text, client.ran, client.application) == ("Hello alice", 1, app)


def test_a_view_of_pyramid_is_tested(store: MemoryStore, mint: Callable[..., Minted]) -> None:
    """With WebTest, as functional tests of Pyramid are."""
    pytest.importorskip("pyramid", exc_type=ImportError)
    client = TokenTestApp(of_pyramid(store), mint(scopes={"read"}))

    response = client.get("/reports")

    assert response.json == {"hello": "alice"}
    assert isinstance(assert_granted(response, owner="alice"), Grant)
    assert_refused(client.post("/reports", status=403), Reason.INSUFFICIENT_SCOPE, needed={"write"}, held={"read"})


def test_an_error_in_the_application_leaves_the_client_as_it_was(store: MemoryStore) -> None:
    """It is raised, and the next request goes to the application."""

    def broken(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/broken":
            raise RuntimeError("broken")
        return echo(environ, start_response)

    client = with_token(Client(broken), "pat_x")
    with pytest.raises(RuntimeError, match="broken"):
        client.get("/broken")

    assert (client.application, said(client)) == (broken, "HTTP_AUTHORIZATION=Bearer pat_x")
