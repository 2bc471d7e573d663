"""What a settings file may say of the upstreams that requests are forwarded to, and as whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from ..errors import ConfigurationError, Problem
from .values import (
    BAD_VALUE,
    REQUIRED,
    UNKNOWN,
    WRONG_TYPE,
    Place,
    Reader,
    address,
    boolean,
    gathered,
    list_of,
    nearest,
    path,
    seconds,
    secret,
    shown,
    text,
    whole,
)

# Any: each way of being somebody has settings of its own, which its constructor judges.
Auth: TypeAlias = Mapping[str, Any]
NOBODY: Auth = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """One upstream, by the names of :class:`~patmiddleware.forwarder.Forwarder` and of its transport.

    Args:
        auth: as whom requests go on: ``kind``, and what that kind takes; secret.
        proxy: may hold a password.
    """

    upstream: str = ""
    public_url: str = ""
    mount: str = ""
    auth: Auth = field(default_factory=lambda: NOBODY, repr=False)
    base_urls: tuple[str, ...] = ()
    rewrite: bool = True
    anonymous: bool = False
    headers: tuple[str, ...] = ()
    connections: int | None = None
    connect_timeout: float | None = None
    timeout: float | None = None
    ca_file: Path | None = None
    fingerprint: str | None = None
    proxy: str | None = field(default=None, repr=False)

    @property
    def transport(self) -> dict[str, Any]:
        """What the transport takes of it."""
        found = {name: getattr(self, name) for name in _TRANSPORT}
        return {name: value for name, value in found.items() if value is not None}


_TRANSPORT = ("connections", "connect_timeout", "timeout", "ca_file", "fingerprint", "proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """What stands behind: a WSGI application, as ``module:name``, or upstreams, by the paths they are mounted at."""

    import_: str = ""
    upstreams: tuple[UpstreamSettings, ...] = ()

    @property
    def needs_credential(self) -> bool:
        """Whether clients' own credentials go on to some upstream."""
        return any(one.auth.get("kind") == "pass" for one in self.upstreams)

    @property
    def needs_vault(self) -> bool:
        """Whether owners' own credentials are used for some upstream."""
        return any(one.auth.get("kind") == "vault" for one in self.upstreams)


def auth(value: object, place: Place) -> Auth:
    """Read a table with ``kind`` and the settings of that kind."""
    if not isinstance(value, dict):
        raise place.problem(WRONG_TYPE, "must be a table", _AUTH_HINT)  # what stands there may be the secret
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in AUTH:
        message = "is missing" if kind is None else f"can't be {shown(kind)}"
        raise place.at("kind").problem(REQUIRED if kind is None else BAD_VALUE, message, nearest(str(kind), AUTH))
    readers, required = AUTH[kind]

    def one(name: str) -> tuple[str, object]:
        if name not in value:
            raise place.at(name).problem(REQUIRED, f"is missing, and {kind} needs it")
        if name not in readers:
            raise place.at(name).problem(UNKNOWN, f"{kind} has no such setting", nearest(name, readers))
        return name, readers[name](value[name], place.at(name))

    given = dict.fromkeys((*(name for name in value if name != "kind"), *required))
    return {"kind": kind, **dict(gathered(one, given))}


AUTH: Mapping[str, tuple[Mapping[str, Reader[Any]], tuple[str, ...]]] = {
    "pass": ({}, ()),
    "basic": ({"username": text, "password": secret, "state": path}, ("username", "password")),
    "bearer": ({"token": secret}, ("token",)),
    "cookie": ({"username": text, "password": secret, "state": path}, ("username", "password")),
    "oauth1": (
        {
            "consumer_key": text,
            "private_key": secret,
            "impersonate": boolean,
            "base_url": text,
            "token": secret,
            "token_secret": secret,
        },
        ("consumer_key", "private_key"),
    ),
    "vault": ({"consumer_key": text, "private_key": secret}, ()),
}
"""Every way of being somebody upstream: its settings, and those that may not be left out."""


def application(value: object, place: Place) -> str:
    """Read ``module:name``, or ``module:name()``."""
    words = text(value, place)
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*(\(\))?", words):
        raise place.problem(BAD_VALUE, f"{shown(words)} names no application", 'write "package.module:application"')
    return words


UPSTREAM: Mapping[str, Reader[Any]] = {
    "upstream": text,
    "public_url": text,
    "mount": text,
    "auth": auth,
    "base_urls": list_of(text),
    "rewrite": boolean,
    "anonymous": boolean,
    "headers": list_of(text),
    "connections": whole(1, 10_000),
    "connect_timeout": seconds,
    "timeout": seconds,
    "ca_file": path,
    "fingerprint": text,
    "proxy": address,
}
"""What may be said of one upstream."""

_AUTH_HINT = 'write auth = {kind = "bearer", token = {env = "NAME"}}'
NEEDED: Mapping[str, str] = {
    "upstream": 'write upstream = "https://jira.internal/jira": where requests go on to',
    "public_url": 'write public_url = "https://api.example.org": where clients reach the gate, and links lead',
    "auth": _AUTH_HINT,
}
"""What must be said of an upstream, and how."""


def app(*, import_: str = "", upstreams: tuple[UpstreamSettings, ...] = (), **alone: Any) -> AppSettings:
    """Make the settings of what stands behind: one application, several upstreams, or ``alone`` one of them.

    Raises:
        ConfigurationError: when it is more than one of these, or something of the one upstream is missing.
    """
    given = [name for name, found in (("import", import_), ("upstreams", upstreams), ("upstream", alone)) if found]
    if len(given) > 1:
        message = f"can't have {' and '.join(given)} together: one thing stands behind the gate"
        raise ConfigurationError(Problem(BAD_VALUE, "app", message, "several upstreams go into [[app.upstreams]]"))
    if not alone:
        return AppSettings(import_=import_, upstreams=upstreams)
    missing = {name: hint for name, hint in NEEDED.items() if name not in alone}
    if missing:
        raise ConfigurationError(Problem(REQUIRED, f"app.{name}", "is missing", hint) for name, hint in missing.items())
    return AppSettings(upstreams=(UpstreamSettings(**alone),))
