"""What a consumer writes. Only mypy runs this file: it says whether the public types serve."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from patmiddleware import (
    AccessPolicy,
    Allowed,
    BackendUnavailable,
    CacheSettings,
    Denied,
    Grant,
    Issuer,
    Minted,
    PATMiddleware,
    Policy,
    Reason,
    Request,
    Secret,
    Token,
    TokenReader,
    grant_from,
    open_directory,
    open_store,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Read the grant, as an application does."""
    grant = grant_from(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [grant.owner.encode() if grant is not None else b"nobody"]


def guarded() -> WSGIApplication:
    """Wrap an application with the shipped pieces."""
    store = open_store("sqlite:///tokens.db")
    minted: Minted = Issuer(store).mint(owner="alice", name="ci", scopes={"read"}, lifetime=timedelta(days=90))
    assert minted.token.id not in minted.secret
    policy = Policy.from_file("policy.toml")
    directory = open_directory("static:owners.toml")
    return PATMiddleware(application, store, policy=policy, directory=directory, cache=CacheSettings(lifetime=60.0))


class Backend:
    """A backend of somebody's own: one method."""

    def find(self, secret: Secret) -> Token | None:
        """Look a token up."""
        if secret.digest == bytes(32):
            raise BackendUnavailable("the service is down")
        return None


class Rules:
    """A policy of somebody's own."""

    def decide(self, grant: Grant | None, request: Request) -> Allowed | Denied:
        """Let everyone read."""
        return Allowed() if request.method == "GET" else Denied(Reason.DENIED)


def of_ones_own() -> WSGIApplication:
    """Wrap an application with one's own pieces."""
    reader: TokenReader = Backend()
    policy: AccessPolicy = Rules()
    return PATMiddleware(application, reader, policy=policy)
