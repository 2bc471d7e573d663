"""The whole chain over real HTTP: a client's side, the gate, the forwarder, and the stand-in for Jira."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from services.jira import PASSWORDS, JiraServer, application_link, jira, key_pair
from services.plain_http import PlainServer
from services.running import free_port

from patmiddleware import Issuer, PATMiddleware, Policy, open_store
from patmiddleware.forwarder import Forwarder
from patmiddleware.interfaces import TokenStore

SERVICE = "svc-gate"


def _oauth1(server: JiraServer) -> Mapping[str, Any]:
    return {"kind": "oauth1", "consumer_key": "gate", "private_key": key_pair()[0], "impersonate": True}


WAYS: Mapping[str, Callable[[JiraServer], Mapping[str, Any]]] = {
    "basic": lambda server: {"kind": "basic", "username": SERVICE, "password": PASSWORDS[SERVICE]},
    "bearer": lambda server: {"kind": "bearer", "token": server.pat(SERVICE)},
    "cookie": lambda server: {"kind": "cookie", "username": SERVICE, "password": PASSWORDS[SERVICE]},
    "oauth1": _oauth1,
    "pass": lambda server: {"kind": "pass"},
}
"""Every way of being somebody at the stand-in, but for the vault, which holds any of them."""


@dataclass
class Gated:
    """A running chain.

    Attributes:
        url: of the gate, for clients.
        jira: the stand-in behind it.
        way: as whom it is asked.
        store: where the gate's tokens are.
        server: the gate's.
    """

    url: str
    jira: JiraServer
    way: str
    store: TokenStore
    server: PlainServer

    def token(self, *scopes: str, owner: str = "alice", **options: Any) -> str:
        """Give a token with these scopes; where clients' own go on, one of the stand-in's that is adopted."""
        issuer = Issuer(self.store)
        if self.way != "pass":
            return issuer.mint(owner=owner, name="test", scopes=scopes, **options).secret
        secret = self.jira.pat(owner)
        issuer.adopt(secret, owner=owner, name="test", scopes=scopes, **options)
        return secret

    def acts_as(self, owner: str = "alice") -> str:
        """Give the name by which the stand-in knows whoever comes with a token of this owner."""
        return owner if self.way in ("pass", "oauth1") else SERVICE


@contextmanager
def gated(
    way: str = "basic",
    *,
    context: str = "/jira",
    mount: str = "",
    gate: Mapping[str, Any] | None = None,
    standin: Mapping[str, Any] | None = None,
    auth: Mapping[str, Any] | Callable[[JiraServer], Any] | None = None,
    **options: Any,
) -> Iterator[Gated]:
    """Run a chain in this process.

    Args:
        way: one of :data:`WAYS`.
        context: path that the stand-in is below.
        mount: path that clients find it below.
        gate: options of the middleware.
        standin: options of the stand-in.
        auth: instead of a way.
        options: of the forwarder.
    """
    link = application_link(execute_as=SERVICE, impersonation=True)
    with jira(**{"context": context, "links": [link], **(standin or {})}) as server:
        port = free_port()
        url = f"http://127.0.0.1:{port}{mount}"
        made = auth(server) if callable(auth) else auth or WAYS[way](server)
        options = {"auth": made, "public_url": url, "mount": mount, "errors": "jira", **options}
        forwarder = Forwarder(server.url, **options)
        store = open_store("memory:")
        assert isinstance(store, TokenStore)
        app = PATMiddleware(
            forwarder,
            store,
            **{
                "policy": Policy.preset("jira", mount=mount),
                "errors": "jira",
                "keep_credential": way == "pass",
                **(gate or {}),
            },
        )
        front = PlainServer(app, port, None, 30.0)
        thread = front.serve()
        try:
            yield Gated(url, server, way, store, front)
        finally:
            forwarder.close()
            front.stop([thread])
    assert front.errors == []
