"""What commands ask an upstream."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import click

from ..config import Config, owners_way
from ..errors import ConfigurationError, Problem, RefusedError
from ..model import UpstreamCredential

if TYPE_CHECKING:
    from ..config.upstreams import UpstreamSettings


class Upstream(Protocol):
    """An upstream, as a command asks it."""

    @property
    def address(self) -> str:
        """Its address, as credentials for it are kept under."""

    def whose(self, credential: UpstreamCredential) -> str:
        """Give the name that it knows the holder of a credential by.

        Raises:
            LinkError: when it does not take the credential.
            UpstreamError: when it can't be asked.
        """

    def begin(self) -> tuple[str, Callable[[str], UpstreamCredential]]:
        """Give the address at which a user lets us act for them, and what takes the verification code shown there.

        Raises:
            LinkError: when the application link does not work.
            UpstreamError: when it can't be asked.
        """


Reach: TypeAlias = Callable[[Config, str | None], Upstream]
"""Gives the upstream at an address; where none is given, the one that the settings name."""


def reached(config: Config, address: str | None) -> Upstream:
    """Give an upstream of the settings; where they have none, one that can only be named.

    Raises:
        click.UsageError: when it must be said which.
        RefusedError: when the settings know another one only.
        ConfigurationError: when the address is none.
    """
    from ..vault import normalised  # here, since not everybody has what encrypts

    known = {normalised(one.upstream): one for one in config.app.upstreams}
    if address is None and len(known) != 1:
        which = ", ".join(sorted(known)) or "https://jira.example.org"
        raise click.UsageError(f"say which upstream: --upstream {which}")
    name = next(iter(known)) if address is None else normalised(address)
    if not known:
        return _Named(name)
    if name not in known:
        raise RefusedError(f"the settings forward nothing to {name}, but to {', '.join(sorted(known))}")
    return _Reached(name, known[name])


class _Reached:
    def __init__(self, address: str, settings: UpstreamSettings) -> None:
        from ..forwarder.transport import PooledTransport  # here, since it needs packages of an extra

        self.address, self._settings = address, settings
        self._transport = PooledTransport(settings.upstream, **settings.transport)

    def whose(self, credential: UpstreamCredential) -> str:
        """Ask as its holder who that is."""
        from ..forwarder.adopting import whose

        make = owners_way(self._settings, self._transport)
        return whose(self._transport, self._settings.upstream, make(credential))

    def begin(self) -> tuple[str, Callable[[str], UpstreamCredential]]:
        """Ask for a request token."""
        from ..forwarder.dance import Dance

        missing = [name for name in ("consumer_key", "private_key") if name not in self._settings.auth]
        if missing:
            raise ConfigurationError(Problem("PAT-E107", f"app.auth.{name}", "is missing") for name in missing)
        key, private = (self._settings.auth[name] for name in ("consumer_key", "private_key"))
        dance = Dance(self._settings.upstream, key, private, self._transport)
        pending = dance.begin()
        return pending.authorize_url, lambda code: dance.finish(pending, code)


class _Named:
    def __init__(self, address: str) -> None:
        self.address = address

    def whose(self, credential: UpstreamCredential) -> str:
        """Refuse."""
        raise RefusedError("the settings have no [app] upstream to ask whose it is: look yourself, and add --no-check")

    def begin(self) -> tuple[str, Callable[[str], UpstreamCredential]]:
        """Refuse."""
        raise RefusedError("the settings have no [app] upstream to ask for a token of OAuth")
