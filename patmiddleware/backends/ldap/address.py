"""The address of an LDAP directory: RFC 4516, with several servers if need be. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NoReturn
from urllib.parse import unquote

from ...errors import ConfigurationError
from .names import is_name

EXAMPLE = "write ldaps://ldap.example.org/dc=example,dc=org"
SCOPES = ("one", "sub")
"""``base`` would find the base alone, which is nobody."""

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_SERVER = re.compile(
    r"(?P<scheme>ldaps?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?", re.IGNORECASE
)
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PORTS = {"ldap": 389, "ldaps": 636}
_PARTS = ("base", "attribute", "scope", "filter", "extensions")


@dataclass(frozen=True, slots=True)
class Server:
    """One server.

    Args:
        scheme: ``ldap`` or ``ldaps``.
        host: a name, or an address (IPv6 in brackets).
        port: a number.
    """

    scheme: str
    host: str
    port: int

    @property
    def uri(self) -> str:
        """What libldap takes."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether what is sent to it stays on this machine."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Address:
    """What an address says.

    Args:
        servers: in the order that they are tried in.
        base: below which people are.
        attribute: that has their names; None: it is not said.
        scope: ``one`` (right below the base) or ``sub`` (anywhere below it).
        filter: that people match; None: any.
        bind_dn: as whom to search; None: it is not said.
    """

    servers: tuple[Server, ...]
    base: str
    attribute: str | None = None
    scope: str = "sub"
    filter: str | None = None
    bind_dn: str | None = None


def parse(address: str | Sequence[str]) -> Address:
    """Read an address, or several with the same parts behind the host; those after the first may leave the parts out.

    Args:
        address: ``ldap://HOST:PORT/BASE?ATTRIBUTE?SCOPE?FILTER?bindname=DN``, what follows the base being optional;
            several in a sequence, or in one text with blanks between.

    Raises:
        ConfigurationError: when it can't be read. No word of the address is shown: it may hold a password.
    """
    texts = address.split() if isinstance(address, str) else list(address)
    if not texts or not all(isinstance(each, str) for each in texts):
        _refuse("the address is empty, or no text")
    servers, tails = zip(*map(_split, texts), strict=True)
    if any(tail not in ("", "/", tails[0]) for tail in tails):
        _refuse("the addresses of the servers differ behind the host", "give the base once, with the first one")
    if len({*servers}) < len(servers):
        _refuse("a server stands twice in the address")
    parts = dict(zip(_PARTS, tails[0].removeprefix("/").split("?"), strict=False))
    if tails[0].count("?") >= len(_PARTS):
        _refuse("the address has more parts than RFC 4516 knows")
    return Address(servers, **{name: value for name, value in _read(parts) if value is not None})


def _split(text: str) -> tuple[Server, str]:
    """Give the server, and all that stands behind it."""
    found = _SERVER.match(text)
    if found is None or text[found.end() : found.end() + 1] not in ("", "/"):
        hint = "bind_dn and bind_password are settings of their own" if "@" in text else EXAMPLE
        _refuse("an address begins with ldap://HOST or ldaps://HOST, and a port if need be", hint)
    scheme = found["scheme"].lower()
    port = int(found["port"] or _PORTS[scheme])
    if not 0 < port < 65536:
        _refuse(f"there is no port {port}", "leave it out, or take one from 1 to 65535")
    return Server(scheme, found["host"], port), text[found.end() :]


def _read(parts: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    base = _decoded(parts["base"])
    if not is_name(base):
        _refuse("the address names no base that people are below", EXAMPLE)
    yield "base", base
    attribute = _decoded(parts.get("attribute", "")) or None
    yield "attribute", attribute and checked_attribute(attribute, "directory")
    scope = _decoded(parts.get("scope", "")).lower() or "sub"
    if scope not in SCOPES:
        _refuse("the scope in the address is none that finds people", "write one or sub, or leave it out for sub")
    yield "scope", scope
    filter = _decoded(parts.get("filter", "")) or None
    yield "filter", filter and checked_filter(filter, "directory")
    yield "bind_dn", _bind_name(parts.get("extensions", ""))


def _bind_name(extensions: str) -> str | None:
    """Give the DN of ``bindname=DN``, in which commas are escaped."""
    if not extensions:
        return None
    name, equals, value = extensions.removeprefix("!").partition("=")
    if "," in extensions or name.lower() != "bindname" or not equals:
        _refuse("bindname is the one extension that an address may have", "write its commas as %2C")
    return _decoded(value)


def _decoded(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        decoded = "\0"
    if _ESCAPE.search(text) or "\0" in decoded or "#" in text:
        _refuse("the address has a sign or an escape that may not stand there", "write # as %23, % as %25, ? as %3F")
    return decoded


def checked_attribute(name: object, setting: str) -> str:
    """Give the name of an attribute back.

    Raises:
        ConfigurationError: when it can't be one.
    """
    if not isinstance(name, str) or not _ATTRIBUTE.fullmatch(name):
        raise ConfigurationError("takes the name of one attribute", setting=setting, hint="such as uid, mail or cn")
    return name


def checked_filter(filter: object, setting: str) -> str:
    """Give an LDAP filter back, if its parentheses make one of it: the rest is the server's to judge.

    Raises:
        ConfigurationError: when it is no filter, or more than one.
    """
    depth, good = 0, isinstance(filter, str) and filter.startswith("(") and "\0" not in filter
    for position, sign in enumerate(str(filter)):
        depth += (sign == "(") - (sign == ")")
        good = good and (depth > 0 or position == len(str(filter)) - 1)
    if not good or depth:
        raise ConfigurationError("takes one LDAP filter", setting=setting, hint="such as (objectClass=person)")
    return str(filter)


def _refuse(message: str, hint: str = EXAMPLE) -> NoReturn:
    raise ConfigurationError(message, setting="directory", hint=hint)
