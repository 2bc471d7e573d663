"""python-ldap, the only place that it is imported in, and one connection made with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ...errors import ConfigurationError
from ...model import Secret

try:
    import ldap
    from ldap import LDAPError
    from ldap.dn import escape_dn_chars, is_dn, str2dn
    from ldap.filter import escape_filter_chars, filter_format
    from ldap.schema import SubSchema
    from ldap.schema.models import AttributeType
except ImportError as error:
    raise ConfigurationError(
        "an LDAP directory needs python-ldap", setting="directory", hint="pip install 'patmiddleware[ldap]'"
    ) from error

__all__ = [
    "FAULTS",
    "LOST",
    "Connection",
    "Entry",
    "LDAPError",
    "Reach",
    "escape_dn_chars",
    "escape_filter_chars",
    "explain",
    "filter_format",
    "is_dn",
    "ldap",
    "str2dn",
]

# Any: python-ldap has no types.
Entry: TypeAlias = tuple[str, Mapping[str, Sequence[bytes]]]

ONE_ONLY = 2
"""How many entries are asked for where one is expected: the second says that there is more than one."""

LOST = (
    ldap.SERVER_DOWN,
    ldap.CONNECT_ERROR,
    ldap.TIMEOUT,
    ldap.UNAVAILABLE,
    ldap.BUSY,
    ldap.DECODING_ERROR,
    ldap.LOCAL_ERROR,
    # Active Directory's word for a connection that is no longer bound.
    ldap.OPERATIONS_ERROR,
)
"""What says that a connection or a server is of no more use; another one may be."""

FAULTS = (
    *LOST,
    # A server that is being filled, that has lost its data or its TLS, or that has too much to do.
    ldap.NO_SUCH_OBJECT,
    ldap.OTHER,
    ldap.PROTOCOL_ERROR,
    ldap.REFERRAL,
    ldap.TIMELIMIT_EXCEEDED,
    ldap.UNWILLING_TO_PERFORM,
)
"""What says so where the service asks; of a person's bind some of it says something about the person."""

# A server whose machine is gone is given up in eleven seconds, also within a handshake, for which libldap has no bound.
_KEEPALIVE = (
    (ldap.OPT_X_KEEPALIVE_IDLE, 5),
    (ldap.OPT_X_KEEPALIVE_INTERVAL, 2),
    (ldap.OPT_X_KEEPALIVE_PROBES, 3),
)

_TRUST = "look at ca_file, whether its certificate is for the name in the address, and whether it has expired"
_WORDS = {
    ldap.SERVER_DOWN: "it can't be reached",
    ldap.TIMEOUT: "it does not answer in time",
    ldap.NO_SUCH_OBJECT: "the base in the address is not there, or bind_dn may not see it",
    ldap.INSUFFICIENT_ACCESS: "it does not let bind_dn search there",
    ldap.INVALID_CREDENTIALS: "it refuses bind_dn or bind_password",
    ldap.INVALID_DN_SYNTAX: "it can't read a DN in the settings",
    ldap.FILTER_ERROR: "a filter in the settings can't be read",
    ldap.REFERRAL: "it refers to another server, which is not followed: name that server, or another base",
    ldap.SIZELIMIT_EXCEEDED: "it gives a part of the entries only",
    ldap.CONFIDENTIALITY_REQUIRED: "it wants TLS: use ldaps:// or start_tls",
    ldap.STRONG_AUTH_REQUIRED: "it wants TLS, or a bind_dn: use ldaps:// or start_tls",
    ldap.INAPPROPRIATE_AUTH: "it wants a bind_dn",
    ldap.OPERATIONS_ERROR: "it fails, as Active Directory does where nobody is bound: look at bind_dn",
    ldap.PROTOCOL_ERROR: "it does not know what it is asked for, such as start_tls",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How a server is reached.

    Args:
        servers: their URIs, with neither base nor anything else behind the port; the first one is preferred.
        bind_dn: as whom is searched; None: as nobody.
        bind_password: theirs.
        start_tls: whether TLS is begun on the plain port.
        ca_file: certificates of authorities; None: those of the system.
        connect_timeout: seconds to connect.
        timeout: seconds for each operation.
        size: how many connections there are at the most.
    """

    servers: tuple[str, ...]
    bind_dn: str | None = None
    bind_password: Secret | None = field(default=None, repr=False)
    start_tls: bool = False
    ca_file: str | None = None
    connect_timeout: float = 5.0
    timeout: float = 5.0
    size: int = 8


def explain(error: LDAPError, uri: str = "") -> str:
    """Say what is wrong in a few words that show no host, name or secret: clients may hear them.

    Args:
        error: of python-ldap.
        uri: of the server, if it is known.
    """
    # libldap does not say what is wrong with a certificate; of ldaps:// not even that something is.
    if isinstance(error, ldap.CONNECT_ERROR):
        return f"TLS can't be begun with it: {_TRUST}"
    if isinstance(error, ldap.SERVER_DOWN) and uri.startswith("ldaps:"):
        return f"it can't be reached, or TLS can't be begun with it: {_TRUST}"
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    return f"it answers {type(error).__name__}"


class Connection:
    """One connection to one server, for one thread at a time.

    Args:
        uri: of the server.
        reach: how.
        who: as whom to bind, with which password; None: as nobody.

    Attributes:
        used: when it was last given back, by the monotonic clock.
        socket: number of its file descriptor.

    Raises:
        LDAPError: when it can't be opened, or the bind is refused.
    """

    def __init__(self, uri: str, reach: Reach, who: tuple[str, Secret] | None) -> None:
        self.uri, self.used, self.socket, self._timeout = uri, 0.0, -1, reach.timeout
        self._raw: Any = ldap.initialize(uri)
        # What python-ldap's own object calls, with the same arguments, under a lock and with traces. One thread at a
        # time needs neither, and they cost a search a fifteenth; a libldap that is not safe for threads does.
        self._direct: Any = getattr(self._raw, "_l", self._raw) if ldap.LIBLDAP_R else self._raw
        try:
            _prepare(self._raw, reach, reach.start_tls or uri.startswith("ldaps:"))
            if reach.start_tls:
                self._raw.start_tls_s()
            name, secret = who or ("", Secret(""))
            message = self._raw.simple_bind(name, secret.reveal())
            self.socket = int(self._raw.fileno())
            # libldap waits with a time for the first byte only; for the rest of a TLS record it would wait for ever.
            os.set_blocking(self.socket, False)
            _expect(ldap.RES_BIND, self._raw.result4(message, 1, reach.timeout)[0])
        except BaseException:
            self.close()
            raise

    def search(
        self, base: str, scope: int, filter: str, attributes: Sequence[str], limit: int = ONE_ONLY
    ) -> list[Entry]:
        """Give the entries that match; references to other servers are passed over.

        Args:
            base: where to begin.
            scope: of :mod:`ldap`'s.
            filter: RFC 4515.
            attributes: which ones to read.
            limit: of entries; 0: none but the server's.

        Raises:
            LDAPError: when the server can't answer, or has more entries than the limit.
        """
        direct, timeout = self._direct, self._timeout
        message = direct.search_ext(base, scope, filter, attributes, 0, None, None, timeout, limit)
        answer = direct.result4(message, 1, timeout, 0, 0, 0)
        _expect(ldap.RES_SEARCH_RESULT, answer[0])
        return [(dn, values) for dn, values in answer[1] if dn is not None]

    def who(self) -> str | None:
        """Give the identity that the server takes us for (RFC 4532), as ``dn:…`` or ``u:…``; empty: nobody.

        Returns:
            None where the server can't say.
        """
        try:
            return str(self._raw.whoami_s() or "")
        except ldap.PROTOCOL_ERROR:  # RFC 4511, section 4.12: an extended operation that is not known
            return None

    def schema(self) -> Callable[[str], bool] | None:
        """Give what says whether the server knows an attribute; None: it does not show its schema."""
        try:
            found = self._raw.read_subschemasubentry_s(self._raw.search_subschemasubentry_s(), ["attributeTypes"])
        except ldap.NO_SUCH_OBJECT:
            return None
        if not found or not any(found.values()):
            return None
        known = SubSchema(found)
        return lambda name: known.get_obj(AttributeType, name) is not None

    def close(self) -> None:
        """Unbind, and close the socket."""
        with suppress(LDAPError, AttributeError):  # it was lost, or is closed already
            self._raw.unbind_s()


def _expect(expected: int, kind: int) -> None:
    """Let no success of another operation pass for that of ours.

    Raises:
        LDAPError: when the answer is of another kind.
    """
    if kind != expected:
        raise ldap.DECODING_ERROR


def _prepare(raw: Any, reach: Reach, tls: bool) -> None:
    options = [
        (ldap.OPT_PROTOCOL_VERSION, ldap.VERSION3),
        # A referral would be followed with our own name and password.
        (ldap.OPT_REFERRALS, ldap.OPT_OFF),
        # Whatever ldap.conf and the application say. An alias would lead out of the base.
        (ldap.OPT_DEREF, ldap.DEREF_NEVER),
        (ldap.OPT_NETWORK_TIMEOUT, reach.connect_timeout),
        (ldap.OPT_TIMEOUT, reach.timeout),
        (ldap.OPT_RESTART, ldap.OPT_ON),
        *_KEEPALIVE,
        # Over GnuTLS, which Debian's libldap has, only so is a handshake that never ends given up. Without TLS it would
        # take the bound from the connecting itself.
        (ldap.OPT_CONNECT_ASYNC, ldap.OPT_ON if tls else ldap.OPT_OFF),
        (ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND),
        (ldap.OPT_X_TLS_PROTOCOL_MIN, ldap.OPT_X_TLS_PROTOCOL_TLS1_2),
    ]
    if reach.ca_file is not None:
        options += [(ldap.OPT_X_TLS_CACERTFILE, reach.ca_file), (ldap.OPT_X_TLS_CACERTDIR, "")]
    for option, value in options:
        raw.set_option(option, value)
    raw.timeout = reach.timeout
    try:
        raw.set_option(ldap.OPT_X_TLS_NEWCTX, 0)  # Last: it makes the options before it count.
    except ValueError as error:  # ca_file was good at the start
        raise ldap.CONNECT_ERROR from error
