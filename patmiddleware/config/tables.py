"""What a settings file may say: a frozen dataclass for each table, a reader for each setting."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from ..annotate import Scrub
from ..credentials import Carriers
from ..expiry import check_name
from ..issuer import IssuerLimits
from ..model import CacheSettings, Network
from ..passwords import PasswordSettings
from ..reject import quoted
from ..resolver import checked_bounds
from ..session import SessionSettings
from . import backends, upstreams
from .backends import StoreSettings
from .blame import blamed, judged
from .upstreams import UpstreamSettings
from .values import (
    BAD_VALUE,
    REQUIRED,
    UNKNOWN,
    WRONG_TYPE,
    Place,
    Reader,
    address,
    boolean,
    choice,
    gathered,
    lifetime,
    list_of,
    moment,
    names,
    nearest,
    not_yet,
    path,
    seconds,
    secret,
    shown,
    text,
    trusted_proxy,
    whole,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MiddlewareSettings:
    """The options of :class:`~patmiddleware.middleware.PATMiddleware`, by the same names."""

    accept: tuple[str, ...] = ("bearer", "basic")
    basic_username: str = "match"
    realm: str = "api"
    missing: Literal["reject", "annotate"] = "reject"
    errors: str = "problem"
    cache: CacheSettings = field(default_factory=CacheSettings)
    trusted_proxies: tuple[Network | Literal["unix"], ...] = ()
    remote_user: Literal["scrub", "keep"] = "scrub"
    keep_credential: bool = False
    raw_target: Literal["check", "ignore"] = "check"
    scrub: Scrub | None = None
    expiry_header: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """What a token may do: a policy file, or one preset and where it is mounted."""

    file: Path | None = None
    preset: str = ""
    mount: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """Where the audit goes: a file, or the standard output (None)."""

    to: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """Where owners' own credentials for an upstream are kept. The address may be secret; the keys are.

    Args:
        url: the address of the vault.
        keys: that encrypt it, newest first.
    """

    url: str = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where ``patmiddleware serve`` listens, and with how many threads."""

    listen: tuple[str, int] = ("127.0.0.1", 8080)
    threads: int = 8


def table(
    kind: Callable[..., T], readers: Mapping[str, Reader[Any]], *required: str, hints: Mapping[str, str] | None = None
) -> Reader[T]:
    """Make a reader of a table: each setting by its reader, then ``kind`` with all of them as keywords.

    Args:
        kind: what is made of the settings that are given.
        readers: every setting that there is.
        required: the settings that may not be left out.
        hints: what to write where one of these was, by its name.
    """

    def read(value: object, place: Place) -> T:
        if not isinstance(value, dict):
            raise place.problem(WRONG_TYPE, f"must be a table, not {shown(value)}")

        def one(name: str) -> tuple[str, object]:
            if name not in value:
                raise place.at(name).problem(REQUIRED, "is missing", (hints or {}).get(name, ""))
            if name not in readers:
                raise place.at(name).problem(UNKNOWN, "there is no such setting", nearest(name, readers))
            return "import_" if name == "import" else name, readers[name](value[name], place.at(name))

        return kind(**dict(gathered(one, dict.fromkeys((*value, *required)))))

    return read


def listen(value: object, place: Place) -> tuple[str, int]:
    """Read ``HOST:PORT``; an IPv6 address stands in brackets, port 0 is one that the system picks."""
    found = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]+)):([0-9]{1,5})", text(value, place))
    if not found or int(found[3]) > 65_535:
        raise place.problem(BAD_VALUE, f"{shown(value)} is no address to listen at", 'write "127.0.0.1:8080"')
    return found[1] or found[2], int(found[3])


def audit_to(value: object, place: Place) -> Path | None:
    """Read ``"stdout"`` (None) or ``"file:PATH"``."""
    words = text(value, place)
    if words == "stdout":
        return None
    if not words.startswith("file:") or words == "file:":
        raise place.problem(BAD_VALUE, f"can't be {shown(words)}", 'write "stdout" or "file:audit.jsonl"')
    return place.folder / words.removeprefix("file:")


def scrub(**names: tuple[str, ...]) -> Scrub:
    """Make what is removed from every request."""
    with blamed("middleware"):
        return Scrub(**names)


_COUNT = whole(1, 10_000_000)
_CACHE = table(
    CacheSettings,
    {
        "tokens": _COUNT,
        "misses": _COUNT,
        "lifetime": seconds,
        "miss_lifetime": seconds,
        "directory_lifetime": seconds,
        "poll": seconds,
        "stale_while_error": seconds,
    },
)
_UPSTREAM = table(UpstreamSettings, upstreams.UPSTREAM, *upstreams.NEEDED, hints=upstreams.NEEDED)

TABLES: Mapping[str, Reader[Any]] = {
    "middleware": table(
        MiddlewareSettings,
        {
            "accept": list_of(judged(text, lambda carrier: Carriers.of((carrier,)), "middleware"), least=1),
            "basic_username": choice("match", "casefold", "mail", "ignore"),
            "realm": judged(text, quoted, "middleware"),
            "missing": choice("reject", "annotate"),
            "errors": choice("problem", "jira"),
            "cache": judged(_CACHE, checked_bounds, "middleware"),
            "trusted_proxies": list_of(trusted_proxy),
            "remote_user": choice("scrub", "keep"),
            "keep_credential": boolean,
            "raw_target": choice("check", "ignore"),
            "scrub": table(scrub, {"extra": list_of(text), "keep": list_of(text)}),
            "expiry_header": judged(text, check_name, "middleware"),
            "limiter": not_yet("a limiter is"),
        },
    ),
    "store": table(
        StoreSettings,
        {
            **backends.STORE,
            "jwt": table(dict, backends.JWT, "issuer", "audience"),
            "introspection": table(dict, backends.INTROSPECTION, "client_id", "client_secret"),
        },
        "url",
        hints={"url": 'write [store] url = "sqlite:///tokens.db"'},
    ),
    "directory": table(backends.directory, backends.DIRECTORY, "url"),
    "policy": table(PolicySettings, {"file": path, "preset": text, "mount": text}),
    "issuer": table(
        IssuerLimits,
        {
            "default_lifetime": lifetime,
            "maximum_lifetime": lifetime,
            "maximum_per_owner": whole(1, 1_000_000),
            "creators": names,
            "creators_for_others": names,
            "ordinary_scopes": names,
            "tokens_may_mint": boolean,
        },
    ),
    "passwords": table(
        PasswordSettings,
        {
            "paths": list_of(text),
            "owners": names,
            "scopes": names,
            "until": moment,
        },
        *("paths", "owners", "scopes", "until"),
    ),
    "session": table(
        SessionSettings, {"lifetime": lifetime, "cookie": text, "secure": boolean, "path": text, "origin": text}
    ),
    "audit": table(AuditSettings, {"to": audit_to}, "to"),
    "vault": table(VaultSettings, {"url": address, "keys": list_of(secret, least=1)}, "url", "keys"),
    "app": table(
        upstreams.app,
        {
            "import": upstreams.application,
            **upstreams.UPSTREAM,
            "upstreams": list_of(_UPSTREAM, least=1),
        },
    ),
    "server": table(ServerSettings, {"listen": listen, "threads": whole(1, 1024)}),
}
"""Every table of a settings file."""
