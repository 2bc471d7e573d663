"""Open the vault, and sign with what is in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from .backends import located
from .blame import blamed
from .file import Config

if TYPE_CHECKING:
    from ..interfaces import Strategy, Transport
    from ..model import UpstreamCredential
    from ..vault import SealedVault
    from .upstreams import UpstreamSettings


def vault_of(config: Config) -> SealedVault | None:
    """Open the vault, or give None where there is none.

    Raises:
        ConfigurationError: when its settings are wrong.
        BackendError: when it can't be opened now.
    """
    if config.vault is None:
        return None
    with blamed("vault"):
        from ..vault import open_vault  # here, since it imports what encrypts

        return open_vault(located(config.vault.url, config.path.parent), keys=config.vault.keys)


def strategy_of(vault: SealedVault, settings: UpstreamSettings, transport: Transport) -> Strategy:
    """Give what signs for each owner with their own credential.

    Raises:
        ConfigurationError: when its settings are wrong, or a package is missing.
    """
    from ..forwarder.strategies.vault import FromVault  # here, since it needs packages of an extra

    return FromVault(vault, settings.upstream, owners_way(settings, transport))


def owners_way(settings: UpstreamSettings, transport: Transport) -> Callable[[UpstreamCredential], Strategy]:
    """Give what makes the way of one owner, from their own credential.

    Raises:
        ConfigurationError: when the settings that all owners share are wrong, or a package is missing.
    """
    from ..forwarder.signing import load_key  # here, since they need packages of an extra
    from ..forwarder.strategies import from_credential

    shared = {name: settings.auth[name] for name in ("consumer_key", "private_key") if name in settings.auth}
    if "private_key" in shared:
        shared["private_key"] = load_key(shared["private_key"])  # once, and not for each owner
    return partial(from_credential, settings=shared, upstream=settings.upstream, transport=transport)
