"""Whose address a request comes from: the peer's, or what a trusted proxy says of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from .errors import ConfigurationError, Problem
from .model import Address, Network, to_network

_MEMO = 4_096
_LONGEST = 64  # characters; an address with a zone and a port has fewer
_WITH_PORT = re.compile(r"\[(?P<six>[^\]]*)\](?::[0-9]{1,5})?|(?P<four>[0-9.]+):[0-9]{1,5}")
_OWS = " \t"
_SOCKETS = ("", "localhost", "<local>")  # what gunicorn, waitress and werkzeug say of a peer at a Unix socket


class Addresses:
    """Finds the client's address.

    Args:
        trusted: networks of proxies whose ``X-Forwarded-For`` is believed, and ``"unix"`` for a peer without an
            address. Empty: nobody is believed. Not together with werkzeug's ``ProxyFix``.

    Raises:
        ConfigurationError: for what is not a network.
    """

    def __init__(self, trusted: Iterable[str | Network] = ()) -> None:
        if isinstance(trusted, str):
            raise ConfigurationError(f"takes a list of networks, not {trusted!r}", setting="trusted_proxies")
        items = [str(item) for item in trusted]
        self._unix = "unix" in items
        self._trusted = _networks(item for item in items if item != "unix")
        self._memo: dict[str, Address | None] = {}

    def peer(self, environ: Mapping[str, object]) -> Address | None:
        """Give the address that the connection comes from; None for a socket without one."""
        return self._parse(str(environ.get("REMOTE_ADDR") or ""))

    def is_trusted(self, environ: Mapping[str, object]) -> bool:
        """Whether the peer is a proxy that is believed."""
        if not self._trusted and not self._unix:
            return False
        return self._believed(self.peer(environ), str(environ.get("REMOTE_ADDR") or ""))

    def client(self, environ: Mapping[str, object]) -> Address | None:
        """Give the client's address: behind trusted proxies the right-most hop that is not one of them.

        None where it can't be known: what needs a network then refuses.
        """
        forwarded = environ.get("HTTP_X_FORWARDED_FOR")
        if forwarded is None or not self.is_trusted(environ):
            return self.peer(environ)
        address = None
        for hop in reversed(str(forwarded).split(",")):
            address = self._parse(_bare(hop.strip(_OWS)))
            if address is None or not self._believed(address, "-"):
                break
        return address

    def text(self, environ: Mapping[str, object]) -> str | None:
        """Give the client's address as text, for the records."""
        if not self._trusted and not self._unix:
            peer = environ.get("REMOTE_ADDR")
            return str(peer) if peer else None
        address = self.client(environ)
        return None if address is None else str(address)

    def _believed(self, address: Address | None, text: str) -> bool:
        if address is None:
            return self._unix and (text in _SOCKETS or text.startswith("unix:"))
        return any(address in network for network in self._trusted)

    def _parse(self, text: str) -> Address | None:
        if text in self._memo:
            return self._memo[text]
        address = _address(text)
        if len(text) <= _LONGEST:
            if len(self._memo) >= _MEMO:
                self._memo.clear()
            self._memo[text] = address
        return address


def _networks(texts: Iterable[str]) -> tuple[Network, ...]:
    networks, problems = [], []
    for text in texts:
        try:
            networks.append(to_network(text))
        except ValueError as error:
            hint = 'a network such as 10.0.0.0/8, or "unix"'
            problems.append(Problem("PAT-E020", "trusted_proxies", str(error), hint))
    if problems:
        raise ConfigurationError(problems)
    return tuple(networks)


def _bare(hop: str) -> str:
    found = _WITH_PORT.fullmatch(hop)
    return hop if found is None else found["six"] or found["four"] or ""


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    # A dual-stack socket shows 10.0.0.1 as ::ffff:10.0.0.1, and rules are written for the former. A zone says nothing.
    return address.ipv4_mapped or IPv6Address(int(address))
