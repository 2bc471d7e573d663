"""Addresses of a server that others write in more than one way: taken apart, and found again in all their spellings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address
from itertools import product
from typing import TypeAlias

from ..errors import ConfigurationError

Spell: TypeAlias = Callable[[str, bool], str]
"""Gives the regular expression of a text; with True the case of its ASCII letters does not matter."""

# RFC 3986, but for user, query and fragment, and for paths with an empty segment or one of dots.
_ADDRESS = re.compile(
    r"https?://(?P<host>[\w-]+(?:\.[\w-]+)*\.?|\[[\da-f:.]+\])(?::(?P<port>\d{1,5}))?"
    r"(?P<path>(?:/(?!\.{0,2}(?:/|\Z))[\w.~!$&'()*+,;=:@%-]+)*)/?",
    re.ASCII | re.IGNORECASE,
)
_SCHEMES = ("https://", "http://", "//")
_DEFAULT_PORTS = (0, 80, 443)  # 0: none is given
_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Base:
    """Where a server, or a part of it, begins.

    Its scheme is not in it: behind a proxy with TLS many a server writes the other one.

    Args:
        hosts: all forms of the host, in lower case; the one of DNS first.
        port: None for the default ones, of either scheme.
        path: without a slash at its end; empty for the root.
    """

    hosts: tuple[str, ...]
    port: int | None
    path: str

    def pattern(self, spell: Spell) -> str:
        """Give the regular expression of all that means this address, from the host on."""
        hosts = "|".join(spell(host, True) for host in self.hosts)
        dot = f"(?:{spell('.', False)})?"  # the root of DNS: the same host
        return f"(?:{hosts}){dot}{self._port(spell)}{spell(self.path, False)}"

    def _port(self, spell: Spell) -> str:
        if self.port is not None:
            return spell(f":{self.port}", False)
        return f"(?:{spell(':', False)}(?:{spell('80', False)}|{spell('443', False)})?)?"

    def spellings(self) -> set[str]:
        """Give all that means this address, in lower case."""
        ports = ("", ":", ":80", ":443") if self.port is None else (f":{self.port}",)
        parts = (_SCHEMES, self.hosts, ("", "."), ports, (self.path.lower(),))
        return {"".join(spelling) for spelling in product(*parts)}

    def is_above(self, other: Base) -> bool:
        """Whether the other one is a part of this one, and not the same."""
        same = self.port == other.port and self.hosts[0] == other.hosts[0]
        return same and other.path.startswith(f"{self.path}/")


def pattern_of(bases: Iterable[Base], spell: Spell) -> str:
    """Give the regular expression of all that means one of the addresses. What follows it is for the caller to judge.

    Args:
        bases: where one is above another, the lower one comes first.
        spell: how their characters may be written.
    """
    scheme = f"(?:{spell('http', True)}(?:{spell('s', True)})?{spell(':', False)})?{spell('//', False)}"
    return f"{scheme}(?:{'|'.join(base.pattern(spell) for base in bases)})"


def exactly(text: str, fold: bool) -> str:
    """Spell a text as it stands (:data:`Spell`)."""
    return re.escape(text)


def plainly(text: str, fold: bool) -> str:
    """Spell a text as a header has it (:data:`Spell`)."""
    return f"(?ai:{re.escape(text)})" if fold else re.escape(text)


def base_of(url: str, setting: str) -> Base:
    """Take an address apart.

    Raises:
        ConfigurationError: when it is none, or has more than a path. It is not shown: there may be a password in it.
    """
    found = _ADDRESS.fullmatch(url)
    port = int(found["port"] or 0) if found else 0
    hosts = _forms(found["host"].lower()) if found else ()
    if found is None or not hosts or port > _LAST_PORT:
        message = "it must be an absolute address of a server, without a user, a query and a fragment"
        hint = "write https://HOST or https://HOST/PATH, and a host of other letters than ASCII as DNS does: xn--…"
        raise ConfigurationError(message, setting=setting, hint=hint)
    return Base(hosts, None if port in _DEFAULT_PORTS else port, found["path"])


def _forms(host: str) -> tuple[str, ...]:
    """Give a host in all the forms that an address may have it in; none where it is no host."""
    if host[0] == "[":
        return _forms_of_ipv6(host[1:-1])
    name = host.removesuffix(".")
    try:
        return tuple(dict.fromkeys((name, name.encode().decode("idna"))))
    except UnicodeError:  # not all that DNS takes is of the IDNA that Python knows
        return (name,)


def _forms_of_ipv6(host: str) -> tuple[str, ...]:
    try:
        address = IPv6Address(host)
    except ValueError:
        return ()
    groups = ":".join(f"{int(group, 16):x}" for group in address.exploded.split(":"))  # all eight, as Java writes them
    return tuple(f"[{form}]" for form in dict.fromkeys((str(address), groups, host)))
