"""What a settings file may say of stores and directories: each kind has settings of its own beside what all have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from ..backends import STORES
from ..backends.schemes import choose
from ..tokens import check_peppers, check_prefix
from .blame import judged
from .values import (
    BAD_VALUE,
    WRONG_TYPE,
    Place,
    Reader,
    address,
    boolean,
    choice,
    gathered,
    list_of,
    names,
    path,
    seconds,
    secret,
    shown,
    text,
    whole,
)

T = TypeVar("T")

# Any: each kind of backend has settings of its own, which its constructor judges.
Settings: TypeAlias = Mapping[str, Any]
NONE: Settings = MappingProxyType({})
_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/)(?!:memory:)(.+)")
_FILE = re.compile(r"((?:file|static|htpasswd):|jwt:(?!https?:))(?!/)(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where tokens are kept. Addresses and peppers may be secret, so a repr hides them.

    Args:
        url: one address or, for a chain, several; tokens are managed in the first.
        events: what carries changes to other processes at once.
        timeout: seconds that an SQL server is waited for.
        pool: connections of a process to it.
        jwt: what a ``jwt:`` store takes, by the names of its constructor; likewise ``introspection``.
    """

    url: tuple[str, ...] = field(default=(), repr=False)
    prefix: str = "pat"
    peppers: tuple[str, ...] = field(default=(), repr=False)
    foreign: bool = True
    events: str | None = field(default=None, repr=False)
    timeout: float | None = None
    pool: int | None = None
    jwt: Settings = field(default_factory=lambda: NONE, repr=False)
    introspection: Settings = field(default_factory=lambda: NONE, repr=False)

    @property
    def first(self) -> str:
        """The address that tokens are managed at; empty where there is none."""
        return self.url[0] if self.url else ""

    def of(self, address: str) -> Settings:
        """Give the settings for the store at one of the addresses."""
        kind = kind_of(address)
        if kind in KINDS:
            alone: Settings = getattr(self, kind)
            return alone
        return {name: getattr(self, name) for name in ("timeout", "pool") if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectorySettings:
    """Who people are. The address may be secret.

    Args:
        url: one address, or those of several LDAP servers.
        settings: what else this kind of directory takes, by the names of its constructor.
    """

    url: tuple[str, ...] = field(default=(), repr=False)
    settings: Settings = field(default_factory=lambda: NONE, repr=False)


def one_or_more(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """Make a reader of one value, or of a list of at least one."""

    def read_them(value: object, place: Place) -> tuple[T, ...]:
        return list_of(read, least=1)(value, place) if isinstance(value, list) else (read(value, place),)

    return read_them


_STORE_ADDRESS = judged(address, lambda url: choose(url, STORES, "store"), "store")


def addresses(value: object, place: Place) -> tuple[str, ...]:
    """Read an address or a list of at least one; in the place of a ``chain:`` stand those that it is of."""
    given = one_or_more(_STORE_ADDRESS)(value, place)
    return tuple(each for one in given for each in _links(one, place) or [one])


def _links(given: str, place: Place) -> list[str]:
    """Give the addresses that a ``chain:`` is of, also of one within it; none for any other address."""
    words = given.split() if kind_of(given) == "chain" else []
    links = [word.partition(":")[2] if kind_of(word) == "chain" else word for word in words]
    return [_STORE_ADDRESS(link, place) for link in links if link]


def kind_of(address: str) -> str:
    """Give what an address begins with, in lower case."""
    return address.partition(":")[0].lower()


def by_name(read: Reader[T]) -> Reader[Mapping[str, T]]:
    """Make a reader of a table whose keys are anybody's."""

    def read_table(value: object, place: Place) -> Mapping[str, T]:
        if not isinstance(value, dict):
            raise place.problem(WRONG_TYPE, f"must be a table, not {shown(value)}")
        return dict(gathered(lambda name: (name, read(value[name], place.at(name))), value))

    return read_table


def either(read: Reader[Any], other: Reader[Any], kind: type) -> Reader[Any]:  # Any: as the readers give it
    """Make a reader that reads values of one kind by ``other``, and all else by ``read``."""
    return lambda value, place: (other if isinstance(value, kind) else read)(value, place)


def nested(value: object, place: Place) -> bool | str:
    """Read whether groups of groups count, and who follows them."""
    if isinstance(value, bool) or value == "ad":
        return value
    raise place.problem(BAD_VALUE, f"can't be {shown(value)}", 'write true, false or "ad"')


def text_or_nothing(value: object, place: Place) -> str:
    """Read a text that may be empty, which says something as well."""
    return "" if value == "" else text(value, place)


SCOPES = by_name(names)

JWT: Mapping[str, Reader[Any]] = {
    "issuer": one_or_more(text),
    "audience": one_or_more(text),
    "algorithms": either(list_of(text), by_name(text), dict),
    "typ": list_of(text_or_nothing),
    "leeway": seconds,
    "maximum_length": whole(64, 65_536),
    "maximum_age": seconds,
    "scopes_claim": text,
    "scopes": SCOPES,
    "owner_claim": text,
    "token_id_claim": text,
    "name_claim": text,
    "deny": address,
    "pins": list_of(text),
    "ca_file": path,
    "lifetime": seconds,
    "stale": seconds,
    "cooldown": seconds,
    "timeout": seconds,
}

INTROSPECTION: Mapping[str, Reader[Any]] = {
    "client_id": text,
    "client_secret": secret,
    "issuer": one_or_more(text),
    "audience": one_or_more(text),
    "scopes_claim": text,
    "scopes": SCOPES,
    "owner_claim": text,
    "token_id_claim": text,
    "name_claim": text,
    "leeway": seconds,
    "maximum_age": seconds,
    "token_type_hint": text_or_nothing,
    "ca_file": path,
    "timeout": seconds,
    "pool": whole(1, 1_000),
}

KINDS: Mapping[str, Mapping[str, Reader[Any]]] = {"jwt": JWT, "introspection": INTROSPECTION}
"""Kinds of stores whose settings stand in a table of their own, since a chain may have several kinds."""

STORE: Mapping[str, Reader[Any]] = {
    "url": addresses,
    "prefix": judged(text, check_prefix, "store"),
    "peppers": judged(list_of(secret), check_peppers, "store"),
    "foreign": boolean,
    "events": address,
    "timeout": seconds,
    "pool": whole(1, 1_000),
}

DIRECTORY: Mapping[str, Reader[Any]] = {
    "url": one_or_more(address),
    "scopes": SCOPES,
    # htpasswd:
    "group_file": path,
    "reload": seconds,
    "at_once": whole(1, 1_000),
    "patience": seconds,
    # ldap: and ldaps:
    "bind_dn": text,
    "bind_password": secret,
    "user_attribute": text,
    "filter": text,
    "active": text,
    "lockout_duration": seconds,
    "groups": choice("memberOf", "search"),
    "nested": nested,
    "group_base": text,
    "group_filter": text,
    "group_attribute": text,
    "start_tls": boolean,
    "ca_file": path,
    "connect_timeout": seconds,
    "timeout": seconds,
    "pool": whole(1, 1_000),
}


def directory(url: tuple[str, ...], **settings: Any) -> DirectorySettings:  # Any: as the readers gave them
    """Make the settings of a directory: all but the address are its constructor's."""
    return DirectorySettings(url=url, settings=settings)


def located(url: str, folder: Path) -> str:
    """Give an address with a relative path in it as one with the whole path, from the settings file's folder."""
    found = _SQLITE.fullmatch(url) or _FILE.fullmatch(url)
    return f"{found[1]}{folder / found[2]}" if found else url
