"""Helper: a gate that takes session cookies, logins to it, and a real server in front of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookies import SimpleCookie
from io import BytesIO
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from gate import Answer, Environ, Spy, call, request

from patmiddleware import Issuer, Minted, PATMiddleware
from patmiddleware.testing import FakeClock, FlakyStore

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

DAY = timedelta(days=1)
ENDPOINT = "/rest/auth/1/session"
NO_CHECK = {"HTTP_X_ATLASSIAN_TOKEN": "no-check"}


@dataclass
class World:
    """A store with tokens, and gates over it that take sessions, too."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: FlakyStore = field(default_factory=FlakyStore)
    spy: Spy = field(default_factory=Spy)
    gates: list[PATMiddleware] = field(default_factory=list)

    @property
    def issuer(self) -> Issuer:
        """What makes tokens in the store."""
        return Issuer(self.store, clock=self.clock)

    def mint(self, owner: str = "alice", **options: Any) -> Minted:
        """Make a token."""
        return self.issuer.mint(owner=owner, **{"name": "ci", "scopes": {"read"}, "lifetime": DAY} | options)

    def gate(self, app: Any = None, **options: Any) -> PATMiddleware:
        """Give a gate with these options."""
        options = {"clock": self.clock, "accept": ("bearer", "basic", "session")} | options
        self.gates.append(PATMiddleware(app or self.spy, self.store, **options))
        return self.gates[-1]

    def close(self) -> None:
        """Have everything written, so that no thread is left."""
        self.store.down = False
        assert all(gate.close() for gate in self.gates)


def posted(body: bytes, path: str = ENDPOINT, **keys: Any) -> Environ:
    """Give the environ of a request that posts JSON."""
    about = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body)}
    return request(path, method="POST", **(about | keys))


def login(username: str, password: str, path: str = ENDPOINT, **keys: Any) -> Environ:
    """Give the environ of a login."""
    return posted(json.dumps({"username": username, "password": password}).encode(), path, **keys)


def opened(gate: Any, minted: Minted, path: str = ENDPOINT) -> str:
    """Log in with a token, and give the value of the cookie."""
    answer = call(gate, login(minted.token.owner, minted.secret, path))
    assert answer.status == 200, answer
    return cookie_of(answer).value


def cookie_of(answer: Answer) -> Any:
    """Give the one cookie that an answer sets, as the standard library reads it."""
    [header] = answer.all("Set-Cookie")
    [morsel] = SimpleCookie(header).values()
    return morsel


def cookie(value: str, *others: str, name: str = "JSESSIONID") -> Mapping[str, str]:
    """Give the header of a session cookie, with others around it."""
    return {"HTTP_COOKIE": "; ".join((*others[:1], f"{name}={value}", *others[1:]))}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(app: WSGIApplication) -> Iterator[str]:
    """Serve an application on a free port of the loopback interface, and give its address."""
    with make_server("127.0.0.1", 0, app, _Server, _Quiet) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def bodies(answers: Iterable[Answer]) -> list[Any]:
    """Give what answers say, as JSON."""
    return [json.loads(answer.body) for answer in answers]
