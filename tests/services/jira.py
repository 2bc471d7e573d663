"""The Jira stand-in as a server of the tests' own, over real HTTP: in this process, or in one of its own.

As a program it serves until it is ended: ``python -m services.jira PORT OPTIONS``, the options as a JSON object.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from services.plain_http import PlainServer
from services.running import Service, folder, free_port, listens

from patmiddleware.demo.standin import ApplicationLink, JiraStandIn, Log, Manners, Seen

PASSWORDS: Mapping[str, str] = {
    "alice": "alice's password",
    "bob": "bob's password",
    "carol": "carol's password",
    "svc-gate": "the gate's password",
    "admin": "the admin's password",
}
"""Of everybody whom the stand-in knows from the start."""
TESTS = Path(__file__).parent.parent


@cache
def key_pair() -> tuple[str, str]:
    """Give the RSA key of application links, the same for the whole run: its private and its public part, as PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def application_link(consumer_key: str = "gate", **options: Any) -> ApplicationLink:
    """Give a link whose requests are signed with the private part of :func:`key_pair`."""
    return ApplicationLink(consumer_key, key_pair()[1], **options)


class JiraServer:
    """A stand-in that serves in this process.

    Attributes:
        url: its address, with the context path and without a slash at the end.
        standin: the application, with all that it knows and keeps.
        server: with the connections.
    """

    def __init__(self, standin: JiraStandIn, server: PlainServer, context: str) -> None:
        self.standin, self.server = standin, server
        self.url = server.url + context

    @property
    def log(self) -> Log:
        """What reached it."""
        return self.standin.log

    def pat(self, user: str, name: str = "made by a test") -> str:
        """Make one of Jira's own tokens for a user."""
        return self.standin.pats.create(self.standin.state.user(user), name)[1]


@contextmanager
def jira(
    *, tls: ssl.SSLContext | None = None, idle: float = 30.0, port: int = 0, **options: Any
) -> Iterator[JiraServer]:
    """Run a stand-in in this process; at the end nothing may have gone wrong in it.

    Args:
        tls: None: plain HTTP.
        idle: seconds after which a connection ends on which nothing comes.
        port: 0: any that is free.
        options: of :class:`JiraStandIn`; everybody has a password, unless they say otherwise.
    """
    standin = JiraStandIn(**{"passwords": PASSWORDS} | options)
    server = PlainServer(standin, port, tls, idle)
    thread = server.serve()
    try:
        yield JiraServer(standin, server, options.get("context", ""))
    finally:
        server.stop([thread])
    assert not server.errors, "\n".join(server.errors)


class JiraProcess(Service):
    """A stand-in that serves in a process of its own.

    Attributes:
        url: its address, with the context path and without a slash at the end.
    """

    url: str

    @property
    def log(self) -> list[Seen]:
        """What reached it, oldest first."""
        return [_seen(entry) for entry in json.loads(self._ask("GET", "log"))]

    def clear(self) -> None:
        """Forget what reached it."""
        self._ask("DELETE", "log")

    def reset(self, user: str) -> None:
        """Take back the CAPTCHA of a user."""
        self._ask("POST", f"reset/{user}")

    def _ask(self, method: str, path: str) -> bytes:
        request = Request(f"{self.url}/plugins/servlet/standin/{path}", method=method)
        # Whatever proxy the environment names is not for the loopback interface.
        with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
            return bytes(answer.read())


def _seen(entry: dict[str, Any]) -> Seen:
    pairs = tuple((name, value) for name, value in entry["headers"])
    return Seen(**entry | {"headers": pairs, "body": b64decode(entry["body"])})


@contextmanager
def jira_process(**options: Any) -> Iterator[JiraProcess]:
    """Run a stand-in in a process of its own, for tests that measure this one.

    Args:
        options: of :class:`JiraStandIn`, as JSON has them: ``links`` and ``manners`` as tables of their fields.
    """
    with folder() as home:
        port = free_port()
        command = [sys.executable, "-m", "services.jira", str(port), json.dumps(options)]
        paths = os.pathsep.join((str(TESTS), str(TESTS.parent)))
        server = JiraProcess(command, home / "log", lambda: listens(port), environment={"PYTHONPATH": paths})
        server.url = f"http://127.0.0.1:{port}{options.get('context', '')}"
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _serve(port: int, options: dict[str, Any]) -> None:
    links = [ApplicationLink(**link) for link in options.pop("links", ())]
    manners = Manners(**options.pop("manners", {}))
    usual: dict[str, Any] = {"passwords": PASSWORDS, "serve_log": True}
    PlainServer(JiraStandIn(**usual | options, links=links, manners=manners), port).serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), json.loads(sys.argv[2]))
