"""Helper: requests to a WSGI application in this process, and an application that shows what reached it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any

Environ = dict[str, Any]
App = Callable[..., Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client hears."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def problem(self) -> dict[str, Any]:
        """The body, as RFC 9457 has it."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def reason(self) -> str:
        """The word that the client hears of a refusal."""
        return str(self.problem["type"]).removeprefix("urn:patmiddleware:problem:")


class Spy:
    """An application that keeps the environs that it was called with."""

    def __init__(self) -> None:
        self.environs: list[Environ] = []

    def __call__(self, environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
        self.environs.append(environ)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]

    @property
    def environ(self) -> Environ:
        """What it was called with; it must have been called once."""
        [environ] = self.environs
        return environ


def request(path: str = "/", authorization: str | None = None, *, method: str = "GET", **keys: Any) -> Environ:
    """Give the environ of a request, as a careful server makes it."""
    environ: Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_HOST": "api.example.org",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if authorization is not None:
        environ["HTTP_AUTHORIZATION"] = authorization
    return environ | keys


def call(app: App, environ: Environ) -> Answer:
    """Send a request through an application."""
    began: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], object]:
        began.append((status, headers))
        return written.append

    result = app(environ, start_response)
    try:
        body = b"".join(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    status, headers = began[-1]
    return Answer(int(status.split(" ", 1)[0]), headers, b"".join(written) + body)


def bearer(secret: str) -> str:
    """Give the header of a token as Bearer."""
    return f"Bearer {secret}"


def basic(username: str, secret: str) -> str:
    """Give the header of a token in the place of a password."""
    return "Basic " + b64encode(f"{username}:{secret}".encode()).decode()
