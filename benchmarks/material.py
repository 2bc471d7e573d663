"""What is measured with: a request, an application behind the gate, tokens, and a policy."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from itertools import repeat
from random import Random
from typing import TYPE_CHECKING, Any

from patmiddleware import Policy, Token, TokenStore, open_store
from patmiddleware.interfaces import Add, Transactional
from patmiddleware.model import EPOCH
from patmiddleware.tokens import mint_secret

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

Environ = dict[str, Any]  # its values are of any type, as PEP 3333 has it

PATH = "/rest/api/2/issue/ABC-1"
OWNER = "alice"
EXPIRES = EPOCH + timedelta(days=365 * 200)


def environ(**changes: str | None) -> Environ:
    """Give the environ of a request as gunicorn makes it: 26 keys with ``HTTP_AUTHORIZATION``; None takes one away."""
    made: Environ = {
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": repeat,
        "wsgi.input_terminated": True,
        "SERVER_SOFTWARE": "gunicorn/27.0.1",
        "wsgi.input": io.BytesIO(),
        "gunicorn.socket": None,
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": "",
        "RAW_URI": PATH,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "api.example.org",
        "HTTP_USER_AGENT": "python-requests/2.34.2",
        "HTTP_ACCEPT": "application/json",
        "HTTP_ACCEPT_ENCODING": "gzip, deflate",
        "HTTP_AUTHORIZATION": "Bearer to-be-replaced",
        "wsgi.url_scheme": "http",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "51234",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "PATH_INFO": PATH,
        "SCRIPT_NAME": "",
    } | changes
    return {key: value for key, value in made.items() if key not in changes or value is not None}


def bearer(secret: str) -> str:
    """Write the header of a token."""
    return f"Bearer {secret}"


def basic(secret: str, username: str = OWNER) -> str:
    """Write the header of a token in place of a password."""
    return "Basic " + b64encode(f"{username}:{secret}".encode()).decode()


def secrets(count: int, seed: int = 1) -> list[str]:
    """Make token strings, the same ones each time."""
    choice = Random(seed).choice
    return [mint_secret(choice=choice) for _ in range(count)]


def store(secrets: Sequence[str], scopes: Iterable[str] = ("read",)) -> TokenStore:
    """Give a store in memory that holds a token for each secret."""
    made = open_store("memory:")
    assert isinstance(made, TokenStore)
    assert isinstance(made, Transactional)
    made.commit(
        Add(Token(id=f"t{n}", owner=OWNER, name="ci", scopes=frozenset(scopes), expires=EXPIRES), secret)
        for n, secret in enumerate(secrets)
    )
    return made


def policy(rules: int) -> Policy:
    """Give a policy of so many rules; one of them is about :data:`PATH`."""
    own = {"id": "issues", "methods": ["GET", "HEAD"], "path": "/rest/api/2/issue/{project:key}-{n:int}/**"}
    return Policy.from_dict(
        {
            "scopes": {"read": {}, "write": {"includes": ["read"]}},
            "rule": [own | {"scopes": ["read"]}, *(_rule(n) for n in range(1, rules))],
        }
    )


def _rule(n: int) -> dict[str, object]:
    scope, methods = ("read", ["GET", "HEAD"]) if n % 2 else ("write", ["POST", "PUT", "DELETE"])
    shapes = ("/rest/api/2/part{n}", "/rest/api/2/part{n}/{{id:int}}/**", "/rest/part{n}/1/{{name}}", "/part{n}/**")
    path = shapes[n % len(shapes)].format(n=n)
    return {"id": f"rule-{n}", "methods": methods, "path": path, "scopes": [scope]}


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer ``ok``: what stands behind every gate."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def status(app: WSGIApplication, environ: Environ) -> int:
    """Give the status of an answer."""
    said: list[str] = []

    def start_response(status: str, headers: object, exc_info: object = None, /) -> Callable[[bytes], object]:
        said.append(status)
        return said.append  # type: ignore[return-value]  # nobody writes here

    body = b"".join(app(environ.copy(), start_response))
    assert body or said[0][:1] != "2", "an answer without a body"
    return int(said[-1][:3])
