"""Helper: Flask applications behind the gate, with tokens to ask them with."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("flask")

from flask import Flask
from gate import bearer

from patmiddleware import Issuer, Policy
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.integrations.flask import Gate, PersonalAccessTokens

POLICY = Policy.from_dict(
    {
        "scopes": {"read": {}, "write": {"includes": ["read"]}},
        "rule": [
            {"id": "projects", "path": "/projects/{project}/**", "scopes": ["read"]},
            {"id": "open", "path": "/open", "public": True},
            {"id": "closed", "effect": "deny", "path": "/closed"},
        ],
    }
)


def flask(store: object | None = None, **options: Any) -> Flask:
    """Give an application behind a gate, without a view yet."""
    app = Flask("flasking")
    app.config["TESTING"] = True
    PersonalAccessTokens(app, store=MemoryStore() if store is None else store, **options)
    return app


def gate(app: Flask) -> Gate:
    found = app.extensions["patmiddleware"]
    assert isinstance(found, Gate)
    return found


def token(app: Flask, *scopes: str, owner: str = "alice", **more: Any) -> dict[str, str]:
    """Give the header of a new token."""
    store: Any = gate(app).store
    return {"Authorization": bearer(Issuer(store).mint(owner=owner, name="ci", scopes=scopes, **more).secret)}


def statuses(app: Flask, path: str, headers: dict[str, str] | None = None) -> dict[str, int]:
    """Give how a path answers each of some methods."""
    client = app.test_client()
    return {
        method: client.open(path, method=method, headers=headers).status_code
        for method in ("GET", "HEAD", "POST", "OPTIONS")
    }
