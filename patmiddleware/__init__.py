"""Personal access tokens for any WSGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patmiddleware.frontdoor import on_demand

if TYPE_CHECKING:
    from .annotate import Scrub, grant_from
    from .audit import AuditLog
    from .backends import open_directory, open_store
    from .config import from_config
    from .credentials import parse_authorization
    from .errors import (
        BackendError,
        BackendUnavailable,
        ConfigurationError,
        ConflictError,
        LinkError,
        PATMiddlewareError,
        Problem,
        RefusedError,
        UnknownTokenError,
        UpstreamError,
        UpstreamTimeout,
    )
    from .interfaces import (
        AccessPolicy,
        Caller,
        Directory,
        PasswordDirectory,
        Revisioned,
        Strategy,
        TokenReader,
        TokenStore,
        Transactional,
        Transport,
        UpstreamRequest,
        UpstreamResponse,
        Vault,
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
        UpstreamCredential,
        Use,
    )
    from .passwords import PasswordSettings
    from .policy import Policy
    from .session import SessionSettings

__version__ = "0.1.0.dev0"

__all__ = [
    "AccessPolicy",
    "Allowed",
    "AuditLog",
    "BackendError",
    "BackendUnavailable",
    "CacheSettings",
    "Caller",
    "ConfigurationError",
    "ConflictError",
    "Credential",
    "Denied",
    "Digest",
    "Directory",
    "Grant",
    "Issuer",
    "IssuerLimits",
    "LinkError",
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
    "SessionSettings",
    "Strategy",
    "Token",
    "TokenReader",
    "TokenStore",
    "Transactional",
    "Transport",
    "UnknownTokenError",
    "UpstreamCredential",
    "UpstreamError",
    "UpstreamRequest",
    "UpstreamResponse",
    "UpstreamTimeout",
    "Use",
    "Vault",
    "from_config",
    "grant_from",
    "open_directory",
    "open_store",
    "parse_authorization",
]

# Lowest floor first. A name is loaded when it is asked for: the fixtures are imported by every pytest, wherever this
# package is installed, and must cost those nothing who test something else.
_MODULES = (
    "errors",
    "model",
    "interfaces",
    "annotate",
    "audit",
    "backends",
    "credentials",
    "policy",
    "passwords",
    "issuer",
    "session",
    "middleware",
    "config",
)

if not TYPE_CHECKING:  # a checker would take any name for one that is there
    __getattr__ = on_demand(__name__, __all__, _MODULES)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
