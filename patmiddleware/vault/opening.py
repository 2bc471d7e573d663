"""Open the vault at an address."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ..backends.schemes import choose, path_in, table
from .rows import Rows
from .sealed import SealedVault
from .sealing import Keyring


def open_vault(address: str, *, keys: Iterable[str | bytes]) -> SealedVault:
    """Open the vault at an address; a missing one is made: a table at once, a file with the first credential.

    Args:
        address: ``file:PATH``, ``sqlite:///PATH``, ``postgresql://…`` or ``mysql://…``; it may be the database that
            tokens are in.
        keys: newest first, each 32 random bytes, or a text that has them in base64 or hex. The newest seals, all open.

    Raises:
        ConfigurationError: when there is no such vault, it may not be opened so, or a key is none.
        BackendUnavailable: when it can't be reached.
    """
    keyring = Keyring(keys)
    return SealedVault(choose(address, VAULTS, "vault")(address), keyring)


def _file(address: str) -> Rows:
    from .file import FileRows

    return FileRows(path_in(address, "vault", "write file:vault.jsonl, or file:///var/lib/patmiddleware/vault.jsonl"))


def _sql(address: str) -> Rows:
    from .sql import SQLRows

    return SQLRows(address)


VAULTS: Mapping[str, Callable[[str], Rows]] = table(
    ("file", _file),
    ("sqlite", _sql),
    ("postgresql", _sql),
    ("mysql", _sql),
)
"""Scheme of a vault's address to what opens it."""
