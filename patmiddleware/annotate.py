"""What the application sees of a grant, and what it never sees.

Environ keys that are written, after everything below that a client could have sent was removed:

``REMOTE_USER``
    the owner's name, as a WSGI native string (UTF-8 bytes as Latin-1).
``AUTH_TYPE``
    ``Bearer``, ``Basic``, ``Token``, ``ApiKey`` or ``Session``.
``patmiddleware.status``
    ``confirmed``, ``absent`` or ``invalid``.
``patmiddleware.grant``
    the :class:`~patmiddleware.model.Grant`, or None.
``patmiddleware.denied``
    the :class:`~patmiddleware.model.Denied` of a credential that was let through as invalid (``missing="annotate"``).
``patmiddleware.request_id``
    the same that stands in the audit line and in a refusal's body.
``patmiddleware.credential``
    the :class:`~patmiddleware.model.Secret`, with ``keep_credential`` only.
``patmiddleware.pyramid``
    the :class:`~patmiddleware.integrations.pyramid.Gate` that let it through, in a Pyramid application.

Environ keys that are read: ``HTTP_AUTHORIZATION`` and the headers of API keys (removed once a credential was accepted),
with sessions ``HTTP_COOKIE`` (their cookie is removed, others stay), ``HTTP_ORIGIN``, ``HTTP_X_ATLASSIAN_TOKEN``,
``wsgi.url_scheme``, ``SERVER_NAME``, and, of a login, ``CONTENT_TYPE``, ``CONTENT_LENGTH`` and ``wsgi.input``; always
``REQUEST_METHOD``, ``PATH_INFO``, ``SCRIPT_NAME``, ``RAW_URI``, ``REQUEST_URI``, ``REMOTE_ADDR``, ``HTTP_HOST``,
``HTTP_USER_AGENT``, and, from a trusted proxy, ``HTTP_X_FORWARDED_FOR`` and ``HTTP_X_REQUEST_ID``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import ConfigurationError
from .model import Denied, Grant

STATUS = "patmiddleware.status"
GRANT = "patmiddleware.grant"
DENIED = "patmiddleware.denied"
REQUEST_ID = "patmiddleware.request_id"
CREDENTIAL = "patmiddleware.credential"

# The environ's values are of any type, as PEP 3333 has it.
Environ = dict[str, Any]

SERVER_SET = ("REMOTE_USER", "AUTH_TYPE")
"""What a server with single sign-on sets itself; never a header."""

FORGEABLE = (
    "patmiddleware.*", *SERVER_SET, "REMOTE_IDENT",
    # What single sign-on proxies send to say who it is.
    "HTTP_REMOTE_USER", "HTTP_REMOTE_IDENT", "HTTP_REMOTE_GROUP", "HTTP_REMOTE_GROUPS", "HTTP_REMOTE_NAME",
    "HTTP_REMOTE_EMAIL", "HTTP_AUTH_TYPE", "HTTP_X_FORWARDED_USER", "HTTP_X_FORWARDED_EMAIL",
    "HTTP_X_FORWARDED_GROUPS", "HTTP_X_FORWARDED_PREFERRED_USERNAME", "HTTP_X_FORWARDED_ACCESS_TOKEN",
    "HTTP_X_REMOTE_*", "HTTP_X_WEBAUTH_*", "HTTP_X_AUTH_REQUEST_*", "HTTP_X_AUTHENTICATED_*", "HTTP_X_AUTHENTIK_*",
    "HTTP_X_GOOG_AUTHENTICATED_USER_*", "HTTP_X_IDENTITY_*", "HTTP_OIDC_*", "HTTP_X_SHIB_*", "HTTP_SHIB_*",
    "HTTP_EPPN", "HTTP_AFFILIATION", "HTTP_UNSCOPED_AFFILIATION", "HTTP_ENTITLEMENT", "HTTP_PERSISTENT_ID",
    "HTTP_TARGETED_ID", "HTTP_SUBJECT_ID", "HTTP_PAIRWISE_ID", "HTTP_MELLON_*", "HTTP_CAS_*", "HTTP_SM_*",
    "HTTP_SMUSER", "HTTP_IV_*", "HTTP_OAM_*", "HTTP_X_MS_CLIENT_PRINCIPAL*", "HTTP_X_MS_TOKEN_*",
    "HTTP_X_AMZN_OIDC_*", "HTTP_X_POMERIUM_*", "HTTP_X_VOUCH_*", "HTTP_TAILSCALE_USER_*",
    "HTTP_TAILSCALE_APP_CAPABILITIES", "HTTP_CF_ACCESS_AUTHENTICATED_USER_*", "HTTP_CF_ACCESS_JWT_ASSERTION",
    "HTTP_X_GOOG_IAP_JWT_ASSERTION", "HTTP_X_APPENGINE_USER_*", "HTTP_X_ENDPOINT_API_USERINFO",
    "HTTP_X_APIGATEWAY_API_USERINFO", "HTTP_TELEPORT_JWT_ASSERTION", "HTTP_X_JWT_ASSERTION", "HTTP_X_JWT_PAYLOAD",
    "HTTP_X_CONSUMER_ID", "HTTP_X_CONSUMER_CUSTOM_ID", "HTTP_X_CONSUMER_USERNAME", "HTTP_X_CONSUMER_GROUPS",
    "HTTP_X_CREDENTIAL_IDENTIFIER", "HTTP_X_CREDENTIAL_USERNAME", "HTTP_X_ANONYMOUS_CONSUMER", "HTTP_X_USERINFO",
    # Not X-Auth-Token: that is what clients themselves show.
    "HTTP_X_AUTH_USER", "HTTP_X_AUTH_USERNAME", "HTTP_X_AUTH_USERID", "HTTP_X_AUTH_SUBJECT", "HTTP_X_AUTH_EMAIL",
    "HTTP_X_AUTH_GROUPS", "HTTP_X_AUTH_ROLES",
    # The certificate that a client showed where TLS ended (RFC 9440, and before that).
    "HTTP_CLIENT_CERT", "HTTP_CLIENT_CERT_CHAIN", "HTTP_X_CLIENT_CERT*", "HTTP_X_SSL_CLIENT_*", "HTTP_X_SSL_CERT",
    "HTTP_SSL_CLIENT_*", "HTTP_X_FORWARDED_CLIENT_CERT*", "HTTP_X_FORWARDED_TLS_CLIENT_CERT*",
    "HTTP_X_AMZN_MTLS_CLIENTCERT*", "HTTP_X_ARR_CLIENTCERT", "HTTP_L5D_CLIENT_ID",
    # What many an application calls it.
    "HTTP_X_USER", "HTTP_X_USER_*", "HTTP_X_USERID", "HTTP_X_USERNAME", "HTTP_X_LOGIN", "HTTP_X_PROXY_USER",
    "HTTP_X_ROLE", "HTTP_X_ROLES", "HTTP_X_GROUPS",
    # OpenStack's; but not X-Project-Id and X-Tenant-Id: many clients choose one, and it says nothing without a user.
    "HTTP_X_IS_ADMIN_PROJECT", "HTTP_X_DOMAIN_ID", "HTTP_X_DOMAIN_NAME", "HTTP_X_PROJECT_DOMAIN_*",
    "HTTP_X_SERVICE_IDENTITY_STATUS", "HTTP_X_SERVICE_USER_*", "HTTP_X_SERVICE_ROLES", "HTTP_X_SERVICE_PROJECT_*",
    "HTTP_X_SERVICE_DOMAIN_*", "HTTP_X_SERVICE_CATALOG", "HTTP_OPENSTACK_SYSTEM_SCOPE",
    # Jira's.
    "HTTP_X_SERAPH_*", "HTTP_X_AUSERNAME",
    # Would make another method or path of the one that was judged.
    "HTTP_X_HTTP_METHOD", "HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_METHOD_OVERRIDE", "HTTP_X_ORIGINAL_URL",
    "HTTP_X_REWRITE_URL",
)  # fmt: skip
"""Folded environ names, or prefixes ending in ``*``, that a downstream could take for identity."""

_MEMO = 1_024
_NAME_LENGTH = 256
_NAME = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]+\*?")
_SEPARATOR = re.compile(r"[^A-Z0-9]")
_OURS = "PATMIDDLEWARE_"


def fold(name: str) -> str:
    """Give the one form of an environ key that its spellings share: servers and frameworks fold differently."""
    return _SEPARATOR.sub("_", name.strip().upper())


class Scrub:
    """Removes from an environ every key that a downstream could take for something that we or the server say.

    Args:
        extra: more names or prefixes (``X-Employee``, ``X-Corp-*``): header names, or environ names as they are
            (``REMOTE_USER``, where ``Remote-User`` is the header).
        keep: names or prefixes to leave alone, of the same form.

    Raises:
        ConfigurationError: when one of our own keys is to be left alone, or for what is neither a name nor a prefix.
    """

    def __init__(self, extra: Iterable[str] = (), keep: Iterable[str] = ()) -> None:
        self._extra, self._keep = _checked(extra, "scrub.extra"), _checked(keep, "scrub.keep")
        self._bad = _Names((*FORGEABLE, *self._extra))
        self._kept = _Names(self._keep)
        if any(fold(name).startswith(_OURS) for name in self._keep):
            raise ConfigurationError("the keys of patmiddleware itself can't be kept", setting="scrub.keep")
        self._harmless: set[str] = set()

    def keeping(self, names: Iterable[str]) -> Scrub:
        """Give one that leaves more names alone."""
        return Scrub(self._extra, (*self._keep, *names))

    def clean(self, environ: Environ) -> None:
        """Scrub an environ in place."""
        # One set operation for the names that every request has; a loop over prefixes costs ten times as much.
        if self._harmless.issuperset(environ):
            return
        for name in [name for name in environ if name not in self._harmless]:
            if self._is_bad(name):
                del environ[name]

    def _is_bad(self, name: str) -> bool:
        folded = fold(name)
        if (self._bad.has(folded) and not self._kept.has(folded)) or _is_shadow(name, folded):
            return True
        if len(name) <= _NAME_LENGTH:
            if len(self._harmless) >= _MEMO:
                self._harmless.clear()
            self._harmless.add(name)
        return False


class _Names:
    """Names and prefixes, folded."""

    def __init__(self, names: Iterable[str]) -> None:
        names = tuple(map(_environ_name, names))
        self._exact = frozenset(name for name in names if not name.endswith("*"))
        self._prefixes = tuple(name.removesuffix("*") for name in names if name.endswith("*"))

    def has(self, folded: str) -> bool:
        return folded in self._exact or folded.startswith(self._prefixes)


def _checked(names: Iterable[str], setting: str) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ConfigurationError(f"takes a list of names, not {names!r}", setting=setting)
    names = tuple(names)
    for name in names:
        if not _NAME.fullmatch(name):
            hint = "X-Employee, or X-Corp-* for all that begin so"
            raise ConfigurationError(f"{name!r} is neither a name nor a prefix", setting=setting, hint=hint)
    return names


def _environ_name(name: str) -> str:
    star = "*" if name.endswith("*") else ""
    is_environ = name.startswith(("HTTP_", "patmiddleware.")) or name in (*SERVER_SET, "REMOTE_IDENT")
    return f"{'' if is_environ else 'HTTP_'}{fold(name.removesuffix('*'))}{star}"


def _is_shadow(name: str, folded: str) -> bool:
    """A second spelling of the credential's header, such as one server's ``"HTTP_AUTHORIZATION "``."""
    return folded == "HTTP_AUTHORIZATION" and name != folded


def native(text: str) -> str:
    """Give a WSGI native string: UTF-8 bytes as Latin-1 (PEP 3333)."""
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("latin-1")


def annotate(environ: Environ, grant: Grant, user: str) -> None:
    """Write a confirmed grant into the environ.

    Args:
        environ: already scrubbed.
        grant: what the credential entitles to.
        user: the owner's name as a native string.
    """
    environ["REMOTE_USER"] = user
    environ["AUTH_TYPE"] = grant.scheme
    environ[STATUS] = "confirmed"
    environ[GRANT] = grant


def annotate_none(environ: Environ, denied: Denied | None) -> None:
    """Write into the environ that there is no grant: the credential is absent, or invalid and let through."""
    environ[STATUS] = "absent" if denied is None else "invalid"
    environ[GRANT] = None
    if denied is not None:
        environ[DENIED] = denied


_CALLER = (STATUS, GRANT, DENIED, REQUEST_ID, CREDENTIAL, *SERVER_SET, "REMOTE_ADDR", "HTTP_X_FORWARDED_FOR")
_RAW = ("RAW_URI", "REQUEST_URI")


def inherit(environ: Environ, outer: Environ) -> None:
    """Make the caller of one request that of another, and forget the raw target, which is the other's where it is set.

    Args:
        environ: already scrubbed.
        outer: annotated.
    """
    take_away(environ, (*_CALLER, *_RAW))
    environ.update((key, outer[key]) for key in _CALLER if key in outer)


def take_away(environ: Environ, keys: Iterable[str]) -> None:
    """Remove the headers of an accepted credential."""
    for key in keys:
        environ.pop(key, None)


def grant_from(environ: Mapping[str, Any]) -> Grant | None:
    """Give the grant of a request, in the application; None where there is none.

    Args:
        environ: the WSGI environ that the application was called with.
    """
    grant = environ.get(GRANT)
    return grant if isinstance(grant, Grant) else None
