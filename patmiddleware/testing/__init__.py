"""For those who test with tokens, or write a backend: fixtures, clients, assertions, fakes and contracts.

A view is tested in two lines::

    def test_reports(app, pat_client):
        assert pat_client(app, scopes={"read"}).get("/reports").text == "Hello alice"

A contract is a pytest class. Subclass it, fill in its one method, and every promise of the Protocol is tested::

    class TestMyStore(TokenStoreContract):
        def make_store(self):
            return MyStore(...)

The fixtures are there wherever this package is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from patmiddleware.errors import ConfigurationError
from patmiddleware.frontdoor import on_demand

try:
    import pytest
except ImportError as error:
    raise ConfigurationError("patmiddleware.testing needs pytest", hint="pip install pytest") from error
else:
    # So that a broken promise shows what was expected and what came.
    for _module in ("directories", "keeping", "outages", "passwords", "races", "readers", "redigesting", "sharing"):
        pytest.register_assert_rewrite(f"{__name__}.{_module}")
    pytest.register_assert_rewrite(f"{__name__}.stores", f"{__name__}.vaults")

from .fixtures import frozen_clock, mint, pat_client, pat_clock, pat_flaky_store, pat_issuer, pat_store

if TYPE_CHECKING:
    from .assertions import assert_granted, assert_refused
    from .clients import TokenTestApp, with_token
    from .directories import DirectoryContract
    from .fakes import FakeClock, FlakyDirectory, FlakyPasswordDirectory, FlakyStore, FlakyVault, Gate
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
    "assert_granted",
    "assert_refused",
    "frozen_clock",
    "mint",
    "pat_client",
    "pat_clock",
    "pat_flaky_store",
    "pat_issuer",
    "pat_store",
    "sample_token",
    "with_token",
]

# What a name of the list above is looked for in, when it is asked for. pytest imports this module for its fixtures, in
# projects that never test with tokens as well: nothing else may be loaded for that.
_MODULES = (
    "samples",
    "fakes",
    "clients",
    "assertions",
    "directories",
    "passwords",
    "readers",
    "outages",
    "stores",
    "vaults",
)

# There is no __dir__ beside it: pytest looks at every name of a plugin that this would give.
if not TYPE_CHECKING:  # a checker would take any name for one that is there
    __getattr__ = on_demand(__name__, __all__, _MODULES)
