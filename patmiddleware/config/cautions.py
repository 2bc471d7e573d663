"""What is lawful in a settings file, but unwise."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import Problem
from .values import BEYOND_LOOPBACK, NO_DIRECTORY, NO_POLICY, PUBLIC_IN_CLEAR, UPSTREAM_IN_CLEAR

if TYPE_CHECKING:
    from .file import Config
    from .upstreams import UpstreamSettings


def unwise(config: Config) -> Iterator[Problem]:
    """Give a warning for each thing that is, table by table."""
    if not config.policy:
        message = "there is none, so any valid token is enough for everything"
        yield Problem(NO_POLICY, "policy", message, 'write [policy] file = "policy.toml"')
    if not config.directory:
        message = "there is none, so a token goes on working when its owner has left"
        yield Problem(NO_DIRECTORY, "directory", message, 'write [directory] url = "static:owners.toml"')
    if not is_loopback(config.server.listen[0]):
        message = f"{config.server.listen[0]} is open to other machines, and tokens travel as they are"
        yield Problem(BEYOND_LOOPBACK, "server.listen", message, "put a server with TLS in front, or use 127.0.0.1")
    for settings in config.app.upstreams:
        yield from _in_clear(settings)


def _in_clear(settings: UpstreamSettings) -> Iterator[Problem]:
    """Warn of what anybody on the way can read; only the host is shown, for an address may hold a password."""
    if host := _open_host(settings.upstream):
        # A signature is of no use to whoever reads it; all that is answered is.
        what = "all that is answered" if settings.auth.get("kind") == "oauth1" else "the credential that it is sent"
        message = f"{host} is asked over http, so {what} can be read on the way"
        yield Problem(
            UPSTREAM_IN_CLEAR, "app.upstream", message, "write https://, and ca_file for an authority of your own"
        )
    if host := _open_host(settings.public_url):
        message = f"clients are led to http://{host}, so their tokens can be read on the way"
        yield Problem(PUBLIC_IN_CLEAR, "app.public_url", message, "put a server with TLS in front, and write https://")


def _open_host(url: str) -> str:
    """Give the host of an address that is http and on another machine; else nothing, also for what is no address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    return host if parts.scheme == "http" and not is_loopback(host) else ""


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches a host name or address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
