"""What ini files of Paste name in the tests: an application, and one that has several below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from patmiddleware import grant_from

App = Callable[[dict[str, Any], Callable[..., object]], Iterable[bytes]]


def whoami(global_conf: object) -> App:
    """Make an application that says whose token came."""

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        grant = grant_from(environ)
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"Hello {grant.owner if grant else 'nobody'}".encode()]

    return app


def by_prefix(loader: Any, global_conf: dict[str, str], **apps: str) -> App:
    """Make an application that gives each request to the one that its first segment names."""
    found = {f"/{name}": loader.get_app(app, global_conf=global_conf) for name, app in apps.items()}

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        prefix, slash, rest = environ["PATH_INFO"].removeprefix("/").partition("/")
        environ["SCRIPT_NAME"] += f"/{prefix}"
        environ["PATH_INFO"] = slash + rest
        answer: Iterable[bytes] = found[f"/{prefix}"](environ, start_response)
        return answer

    return app
