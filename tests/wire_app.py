"""Helper: what the real servers serve: an application that tells what it sees, behind gates for several hosts."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from wire import MARK

from patmiddleware import (
    Allowed,
    BackendUnavailable,
    Denied,
    Grant,
    Owner,
    PATMiddleware,
    Policy,
    Revocation,
    Secret,
    Token,
)
from patmiddleware.backends.memory import MemoryStore, StaticDirectory
from patmiddleware.model import SESSION, Request
from patmiddleware.tokens import mint_secret

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DAY = timedelta(days=1)


def secret_of(name: str) -> str:
    """Give the secret of a token; the same in the server and in its client."""
    return mint_secret(choice=random.Random(name).choice)


IDENTITY = re.compile(r"patmiddleware|(?<!HTTP_REMOTE_)USER(?!_AGENT)|GROUP|EMAIL|ROLE|IDENTITY|SERAPH|METHOD_OVERRIDE")
"""What stands in the names of keys that a downstream could take for identity."""
OURS = ("REMOTE_USER", "patmiddleware.status", "patmiddleware.grant", "patmiddleware.request_id")

_watch = threading.local()


class Watching:
    """A policy that keeps the path that it judged, for the application to compare."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def decide(self, grant: Grant | None, request: Request) -> Allowed | Denied:
        """Judge a request as the policy does."""
        _watch.request = request
        return self._policy.decide(grant, request)


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Tell what the application sees, and what the policy saw."""
    judged: Request | None = getattr(_watch, "request", None)
    grant = environ["patmiddleware.grant"]
    seen: Mapping[str, Any] = {
        "method": environ["REQUEST_METHOD"],
        "path": environ.get("PATH_INFO", ""),
        "judged_method": judged.method if judged else None,
        "judged_path": judged.path if judged else None,
        "status": environ["patmiddleware.status"],
        "user": environ.get("REMOTE_USER"),
        "owner": grant.owner if grant else None,
        "has_credential": "HTTP_AUTHORIZATION" in environ,
        "cookies": environ.get("HTTP_COOKIE"),
        "identity": sorted(key for key in environ if key not in OURS and IDENTITY.search(key)),
    }
    text = f"{MARK}{json.dumps(seen)}"
    is_head = environ["REQUEST_METHOD"] == "HEAD"
    length = [("X-Seen", text)] if is_head else [("Content-Length", str(len(text) + 1))]
    start_response("200 OK", [("Content-Type", "text/plain"), *length])
    return [] if is_head else [f"{text}\n".encode()]


class Store(MemoryStore):
    """A store with tokens in every state, that is out of reach for one of them."""

    def __init__(self) -> None:
        super().__init__()
        now = datetime.now(UTC)
        good = Token(id="good", owner="alice", scopes=frozenset({"read"}), created=now, expires=now + DAY)
        for token in (
            good,
            replace(good, id="bob", owner="bob"),
            replace(good, id="session", attributes=SESSION),
            replace(good, id="session of bob", owner="bob", attributes=SESSION),
            replace(good, id="writer", scopes=frozenset({"write"})),
            replace(good, id="expired", expires=now - timedelta(seconds=1)),
            replace(good, id="revoked", revoked=Revocation(now)),
            replace(good, id="gone", owner="gone"),
            replace(good, id="nobody", owner="nobody"),
            replace(good, id="limited", limits={"project": frozenset({"OPS"})}),
            replace(good, id="elsewhere", networks=("10.0.0.0/8",)),  # type: ignore[arg-type]
        ):
            self.add(replace(token, family=token.id), secret_of(token.id))

    def find(self, secret: Secret) -> Token | None:
        """Look a token up, but for the one that can't be."""
        if secret == Secret(secret_of("down")):
            raise BackendUnavailable("this one is out of reach")
        return super().find(secret)


OPEN = [
    {"id": "open", "path": "/open/**", "public": True},
    {"id": "secret", "effect": "deny", "path": ["/secret/**", "/SECRET/**"]},
]
WATCHED = Policy.from_dict(
    {
        "scopes": {"read": {}},
        "rule": [
            *OPEN,
            {"id": "all", "path": "/**", "scopes": ["read"]},
            {"id": "inside", "effect": "require", "path": "/inside/**", "networks": ["10.0.0.0/8"]},
        ],
    }
)
TABLE = Policy.from_dict(
    {
        "scopes": {"read": {}, "write": {"includes": ["read"]}},
        "rule": [
            *OPEN,
            {"id": "things", "path": "/things/**", "methods": ["GET", "HEAD"], "scopes": ["read"]},
            {"id": "change", "path": "/things/**", "methods": ["POST"], "scopes": ["write"]},
            {"id": "projects", "path": "/project/{project:key}/**", "scopes": ["read"]},
            {"id": "inside", "path": "/inside/**", "scopes": ["read"], "networks": ["10.0.0.0/8"]},
            {"id": "developers", "path": "/developers/**", "scopes": ["read"], "groups": ["developers"]},
            {"id": "preflight", "path": "/preflight/**", "methods": ["OPTIONS"], "public": True},
        ],
    }
)
OWNERS = StaticDirectory([Owner(name="alice"), Owner(name="bob"), Owner(name="gone", active=False)])


def _gate(**options: Any) -> PATMiddleware:
    options = {"policy": TABLE, "directory": OWNERS, "accept": ["bearer", "basic", "header:X-API-Key"]} | options
    return PATMiddleware(echo, Store(), **options)


_gates: Mapping[str, WSGIApplication] = {
    "table.example": _gate(),
    "keys.example": _gate(accept=["header:X-API-Key"]),
    "jira.example": _gate(errors="jira"),
    "sessions.example": _gate(accept=["bearer", "basic", "session"]),
    "annotate.example": _gate(missing="annotate"),
}
_watched = _gate(policy=Watching(WATCHED))


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve each host with its own gate; all others with one that is watched."""
    _watch.request = None
    return _gates.get(environ.get("HTTP_HOST", ""), _watched)(environ, start_response)
