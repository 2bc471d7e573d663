"""The settings file, read, judged whole, and made into the application."""

from __future__ import annotations

from .application import application_of, forwarders_of, imported
from .backends import StoreSettings, located
from .build import (
    NOTHING_GIVEN,
    Given,
    Parts,
    audit_of,
    build,
    directory_of,
    from_config,
    lacks_tables,
    managed_store_of,
    migrate_store,
    open_parts,
    policy_of,
    store_of,
)
from .cautions import is_loopback
from .file import Config
from .tables import VaultSettings
from .values import PROBLEMS, parse_duration
from .vaults import owners_way, vault_of

__all__ = [
    "NOTHING_GIVEN",
    "PROBLEMS",
    "Config",
    "Given",
    "Parts",
    "StoreSettings",
    "VaultSettings",
    "application_of",
    "audit_of",
    "build",
    "directory_of",
    "forwarders_of",
    "from_config",
    "imported",
    "is_loopback",
    "lacks_tables",
    "located",
    "managed_store_of",
    "migrate_store",
    "open_parts",
    "owners_way",
    "parse_duration",
    "policy_of",
    "store_of",
    "vault_of",
]
