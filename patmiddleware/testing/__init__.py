"""Contracts and fakes for those who write a backend, and an application that sends a token.

A contract is a pytest class. Subclass it, fill in its one method, and every promise of the Protocol is tested::

    class TestMyStore(TokenStoreContract):
        def make_store(self):
            return MyStore(...)

The fixtures, whose names begin with ``pat_``, are there wherever this package is installed.
"""

from __future__ import annotations

from patmiddleware.errors import ConfigurationError

try:
    import pytest
except ImportError as error:
    raise ConfigurationError("patmiddleware.testing needs pytest", hint="pip install pytest") from error
else:
    # So that a broken promise shows what was expected and what came.
    for _module in ("directories", "outages", "passwords", "races", "readers", "redigesting", "stores", "vaults"):
        pytest.register_assert_rewrite(f"{__name__}.{_module}")

from .directories import DirectoryContract
from .fakes import (
    FakeClock,
    FlakyDirectory,
    FlakyPasswordDirectory,
    FlakyStore,
    FlakyVault,
    Gate,
    TokenTestApp,
    pat_clock,
    pat_flaky_store,
    pat_store,
)
from .outages import DirectoryOutageContract, StoreOutageContract
from .passwords import PasswordDirectoryContract
from .readers import OutageContract, TokenReaderContract
from .samples import NOON, ODD_TEXTS, sample_token
from .stores import TokenStoreContract
from .vaults import VaultContract, VaultOutageContract

__all__ = [
    "NOON",
    "ODD_TEXTS",
    "DirectoryContract",
    "DirectoryOutageContract",
    "FakeClock",
    "FlakyDirectory",
    "FlakyPasswordDirectory",
    "FlakyStore",
    "FlakyVault",
    "Gate",
    "OutageContract",
    "PasswordDirectoryContract",
    "StoreOutageContract",
    "TokenReaderContract",
    "TokenStoreContract",
    "TokenTestApp",
    "VaultContract",
    "VaultOutageContract",
    "pat_clock",
    "pat_flaky_store",
    "pat_store",
    "sample_token",
]
