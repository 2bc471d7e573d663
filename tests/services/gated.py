"""The whole chain over real HTTP: a client's side, the gate, the forwarder, and the stand-in for Jira."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from services.jira import PASSWORDS, JiraServer, application_link, jira, key_pair
from services.plain_http import PlainServer
from services.running import free_port

from patmiddleware import Issuer, PATMiddleware, Policy, open_store
from patmiddleware.forwarder import Forwarder
from patmiddleware.forwarder.strategies import from_credential
from patmiddleware.forwarder.strategies.vault import FromVault
from patmiddleware.forwarder.transport import PooledTransport
from patmiddleware.interfaces import Strategy, TokenStore
from patmiddleware.model import UpstreamCredential
from patmiddleware.vault import Keyring, Rows, Sealed, SealedVault, normalised

SERVICE = "svc-gate"


def _oauth1(server: JiraServer) -> Mapping[str, Any]:
    return {"kind": "oauth1", "consumer_key": "gate", "private_key": key_pair()[0], "impersonate": True}


class _Drawer(Rows):
    """Rows of a vault in memory."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Sealed] = {}

    def get(self, owner: str, upstream: str) -> Sealed | None:
        return self._rows.get((owner, upstream))

    def put(self, row: Sealed) -> None:
        self._rows[row.owner, row.upstream] = row


def _vault(server: JiraServer) -> Strategy:
    """Sign for alice with her password, and for bob with a token of Jira's."""
    vault = SealedVault(_Drawer(), Keyring([os.urandom(32)]))
    upstream = normalised(server.url)
    own = {"username": "alice", "password": PASSWORDS["alice"]}
    vault.put("alice", upstream, UpstreamCredential("basic", own))
    vault.put("bob", upstream, UpstreamCredential("bearer", {"token": server.pat("bob")}))
    transport = PooledTransport(server.url)  # for kinds that log in first: these two don't
    return FromVault(vault, server.url, partial(from_credential, upstream=server.url, transport=transport))


WAYS: Mapping[str, Callable[[JiraServer], Mapping[str, Any] | Strategy]] = {
    "basic": lambda server: {"kind": "basic", "username": SERVICE, "password": PASSWORDS[SERVICE]},
    "bearer": lambda server: {"kind": "bearer", "token": server.pat(SERVICE)},
    "cookie": lambda server: {"kind": "cookie", "username": SERVICE, "password": PASSWORDS[SERVICE]},
    "oauth1": _oauth1,
    "pass": lambda server: {"kind": "pass"},
    "vault": _vault,
}
"""Every way of being somebody at the stand-in."""


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
        return owner if self.way in ("pass", "oauth1", "vault") else SERVICE


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
