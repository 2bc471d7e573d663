"""What the tests of presets share: which scopes are enough for a request, and how a preset's table reads."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from patmiddleware.model import Allowed, Denied, Grant, Request
from patmiddleware.policy import Policy

SCOPES = ("READ", "WRITE", "ADMIN", "SYSTEM_ADMIN")
MISSING_SCOPE = "(none)"


def holder(scope: str, **limits: str) -> Grant:
    """Give a token of one scope, limited to one value for each name."""
    allowed = {name: frozenset({value}) for name, value in limits.items()}
    return Grant(token_id="1", owner="alice", scopes=frozenset({scope}) - {MISSING_SCOPE}, limits=allowed)


def judged(policy: Policy, method: str, path: str, scope: str, **limits: str) -> Allowed | Denied:
    """Decide on a request of such a token."""
    return policy.decide(holder(scope, **limits), Request(method, path))


def enough(policy: Policy, method: str, path: str) -> list[str]:
    """Give the scopes that are enough."""
    return [scope for scope in SCOPES if isinstance(judged(policy, method, path, scope), Allowed)]


def from_scope(scope: str) -> list[str]:
    """Give a scope and those that include it; none for ``-``."""
    return list(SCOPES[SCOPES.index(scope) :]) if scope != "-" else []


@cache
def preset_file(name: str) -> dict[str, Any]:
    """Read a preset as it ships."""
    return tomllib.loads(files("patmiddleware.policy").joinpath("presets", f"{name}.toml").read_text("utf-8"))


def operations(name: str) -> list[tuple[str, str, str]]:
    """List all that a preset knows: scope, method and path."""
    table = preset_file(name)["operations"].items()
    return [(scope, method, path) for scope, rows in table for method, paths in rows.items() for path in paths]
