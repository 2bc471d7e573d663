"""The settings file, read, judged whole, and made into the application."""

from __future__ import annotations

from .application import application_of, forwarders_of
from .backends import StoreSettings
from .build import (
    Parts,
    audit_of,
    build,
    directory_of,
    from_config,
    lacks_tables,
    located,
    managed_store_of,
    migrate_store,
    open_parts,
    policy_of,
    store_of,
)
from .file import Config, is_loopback
from .values import PROBLEMS, parse_duration

__all__ = [
    "PROBLEMS",
    "Config",
    "Parts",
    "StoreSettings",
    "application_of",
    "audit_of",
    "build",
    "directory_of",
    "forwarders_of",
    "from_config",
    "is_loopback",
    "lacks_tables",
    "located",
    "managed_store_of",
    "migrate_store",
    "open_parts",
    "parse_duration",
    "policy_of",
    "store_of",
]
