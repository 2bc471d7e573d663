"""Personal access tokens for any WSGI application."""

from __future__ import annotations

from .annotate import Scrub, grant_from
from .audit import AuditLog
from .backends import open_directory, open_store
from .credentials import parse_authorization
from .errors import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    ConflictError,
    PATMiddlewareError,
    Problem,
    RefusedError,
    UnknownTokenError,
)
from .interfaces import (
    AccessPolicy,
    Directory,
    PasswordDirectory,
    Revisioned,
    TokenReader,
    TokenStore,
    Transactional,
)
from .issuer import Issuer, IssuerLimits
from .middleware import PATMiddleware
from .model import (
    Allowed,
    CacheSettings,
    Credential,
    Denied,
    Digest,
    Grant,
    Minted,
    Owner,
    Reason,
    Request,
    Revocation,
    Secret,
    Token,
    Use,
)
from .passwords import PasswordSettings
from .policy import Policy

__version__ = "0.1.0.dev0"

__all__ = [
    "AccessPolicy",
    "Allowed",
    "AuditLog",
    "BackendError",
    "BackendUnavailable",
    "CacheSettings",
    "ConfigurationError",
    "ConflictError",
    "Credential",
    "Denied",
    "Digest",
    "Directory",
    "Grant",
    "Issuer",
    "IssuerLimits",
    "Minted",
    "Owner",
    "PATMiddleware",
    "PATMiddlewareError",
    "PasswordDirectory",
    "PasswordSettings",
    "Policy",
    "Problem",
    "Reason",
    "RefusedError",
    "Request",
    "Revisioned",
    "Revocation",
    "Scrub",
    "Secret",
    "Token",
    "TokenReader",
    "TokenStore",
    "Transactional",
    "UnknownTokenError",
    "Use",
    "grant_from",
    "open_directory",
    "open_store",
    "parse_authorization",
]
