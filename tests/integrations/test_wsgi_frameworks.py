"""The gate before applications of frameworks that it has no integration for: Bottle, Falcon, Django, and plain WSGI."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

pytest.importorskip("webtest", reason="needs WebTest")

from integrations.pasteapps import whoami
from webtest import TestApp

from patmiddleware import Issuer, PATMiddleware, Policy, TokenStore, grant_from, open_store

RULES = {
    "scopes": {"read": {}, "write": {"includes": ["read"]}},
    "rule": [
        {"id": "see", "methods": ["GET", "HEAD"], "path": "/reports/**", "scopes": ["read"]},
        {"id": "write", "methods": ["POST"], "path": "/reports/**", "scopes": ["write"]},
    ],
}
made: list[int] = []
"""The parts of a streamed answer that were made so far."""


def parts() -> Iterator[bytes]:
    """Give an answer in three parts, and note each as it is made."""
    for number in range(3):
        made.append(number)
        yield f"{number}\n".encode()


def plain() -> tuple[Any, list[int]]:
    """Give a plain WSGI application, and the parts that it made."""
    hello = whoami(None)

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/reports/stream":
            return hello(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return parts()

    return app, made


def bottle() -> tuple[Any, list[int]]:
    """Give an application of Bottle's, and the parts that it made."""
    bottle = pytest.importorskip("bottle", reason="needs Bottle")
    app = bottle.Bottle()
    app.get("/reports/", callback=lambda: f"Hello {grant_from(bottle.request.environ).owner}")
    app.get("/reports/who", callback=lambda: repr(bottle.request.auth))
    app.get("/reports/stream", callback=parts)
    return app, made


def falcon() -> tuple[Any, list[int]]:
    """Give an application of Falcon's, and the parts that it made."""
    falcon = pytest.importorskip("falcon", reason="needs Falcon")

    class Reports:
        def on_get(self, req: Any, resp: Any) -> None:
            resp.text = f"Hello {grant_from(req.env).owner}"

        def on_get_who(self, req: Any, resp: Any) -> None:
            resp.text = f"{req.auth} {req.env['REMOTE_USER']}"

        def on_get_stream(self, req: Any, resp: Any) -> None:
            resp.stream = parts()

    app = falcon.App()
    app.add_route("/reports/", Reports())
    app.add_route("/reports/who", Reports(), suffix="who")
    app.add_route("/reports/stream", Reports(), suffix="stream")
    return app, made


@cache
def site() -> Any:
    """Give the Django site; a process has one."""
    django = pytest.importorskip("django", reason="needs Django")
    from django.conf import settings
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    settings.configure(
        SECRET_KEY="made for tests",
        ALLOWED_HOSTS=["localhost"],
        ROOT_URLCONF="integrations.intranet",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        AUTHENTICATION_BACKENDS=["integrations.intranet.TokenOwnerBackend"],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.auth.middleware.RemoteUserMiddleware",
        ],
    )
    django.setup()
    call_command("migrate", verbosity=0)
    return get_wsgi_application()


def django() -> tuple[Any, list[int]]:
    """Give an application of Django's, and the parts that it made."""
    app = site()
    from integrations.intranet import made

    return app, made


FRAMEWORKS = {"plain WSGI": plain, "Bottle": bottle, "Falcon": falcon, "Django": django}


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    """Give a store of tokens in a file."""
    store = open_store(f"file:{tmp_path}/tokens.jsonl")
    assert isinstance(store, TokenStore)
    return store


def secret(store: TokenStore, owner: str = "alice") -> str:
    """Make a token that may read."""
    return Issuer(store).mint(owner=owner, name="ci", scopes={"read"}, lifetime=timedelta(days=1)).secret


def client(app: Any, store: TokenStore, owner: str = "alice", **options: Any) -> TestApp:
    """Put the gate before an application, and give a client with a token."""
    gate = PATMiddleware(app, store, policy=Policy.from_dict(RULES), **options)
    client = TestApp(gate, extra_environ={"HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1"})
    client.authorization = ("Bearer", secret(store, owner))
    return client


@pytest.mark.parametrize("framework", FRAMEWORKS.values(), ids=FRAMEWORKS)
def test_a_token_opens_what_the_rules_say(framework: Callable[[], tuple[Any, list[int]]], store: TokenStore) -> None:
    """200 where its scopes are enough, 403 where they are not, 401 without one."""
    app = client(framework()[0], store)

    assert "alice" in app.get("/reports/").text
    assert app.post("/reports/", status=403).json["needed"] == ["write"]
    app.authorization = None
    assert app.get("/reports/", status=401).json["status"] == 401


@pytest.mark.parametrize("framework", FRAMEWORKS.values(), ids=FRAMEWORKS)
def test_an_answer_streams_through_the_gate(framework: Callable[[], tuple[Any, list[int]]], store: TokenStore) -> None:
    """The first part is there before the last is made."""
    app, made = framework()
    made.clear()
    gate = PATMiddleware(app, store, policy=Policy.from_dict(RULES))
    environ: dict[str, Any] = {"PATH_INFO": "/reports/stream", "HTTP_AUTHORIZATION": f"Bearer {secret(store)}"}
    setup_testing_defaults(environ)
    environ["HTTP_HOST"] = "localhost"

    answer = gate(environ, lambda *_: lambda _: None)
    found = iter(answer)
    first, so_far = next(found), [*made]
    rest = [*found]
    getattr(answer, "close", lambda: None)()

    assert (first, so_far) == (b"0\n", [0])
    assert rest == [b"1\n", b"2\n"]


def test_what_bottle_and_falcon_say_of_the_credential(store: TokenStore) -> None:
    """The owner is there, the header is gone."""
    assert client(bottle()[0], store).get("/reports/who").text == "('alice', None)"
    assert client(falcon()[0], store).get("/reports/who").text == "None alice"


def test_django_makes_a_user_of_the_owner(store: TokenStore) -> None:
    """By ``REMOTE_USER`` and Django's own middleware; ``AUTH_TYPE`` says how the token came."""
    assert client(django()[0], store).get("/reports/").text == "alice Bearer alice None"


def test_django_knows_an_owner_beyond_ascii(store: TokenStore) -> None:
    """A backend reads the native string that WSGI has for the name."""
    assert client(django()[0], store, owner="jörg").get("/reports/").text.startswith("jörg Bearer")


def test_django_sees_no_user_that_a_client_made_up(store: TokenStore) -> None:
    """``HTTP_REMOTE_USER`` is removed, on allowed requests too."""
    app = client(django()[0], store)

    assert app.get("/reports/", headers={"Remote-User": "root"}).text == "alice Bearer alice None"


def test_the_session_that_django_makes_is_worth_nothing_without_a_token(store: TokenStore) -> None:
    """Django sets a cookie; with it alone the gate refuses, or, where it annotates, Django logs the user out."""
    app = client(django()[0], store)

    cookie = app.get("/reports/").headers["Set-Cookie"].partition(";")[0].strip()
    app.authorization = None
    lenient = client(django()[0], store, missing="annotate")
    lenient.authorization = None

    assert cookie.startswith("sessionid=")
    assert app.get("/reports/", headers={"Cookie": cookie}, status=401)
    assert lenient.get("/reports/", headers={"Cookie": cookie}).text == " None None None"
