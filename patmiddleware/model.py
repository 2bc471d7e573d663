"""The frozen values that the whole package speaks in.

Times are aware UTC :class:`~datetime.datetime` here; the request side counts in seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from types import MappingProxyType
from typing import NoReturn, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOTHING: Mapping[str, str] = MappingProxyType({})
NO_LIMITS: Mapping[str, frozenset[str]] = MappingProxyType({})

RESERVED = "patmiddleware."
"""What the names of attributes begin with that only this package sets."""
SESSION: Mapping[str, str] = MappingProxyType({f"{RESERVED}kind": "session"})
"""The attribute that makes a token a session."""
DENIAL = "denied"
"""The kind, at the front of its id, of a record that says that a token which was issued elsewhere is revoked here."""


class Secret:
    """A token string in hand. Its repr and str hide it; it is never stored, logged or left in the environ.

    Args:
        text: the token as the client sent it.
    """

    __slots__ = ("_text",)

    _text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret can't be changed")

    @property
    def digest(self) -> bytes:
        """SHA-256 of the secret's UTF-8 bytes (32 bytes).

        A lone surrogate, which can't come over the wire, is digested as it stands rather than raise.
        """
        return sha256(self._text.encode("utf-8", "surrogatepass")).digest()

    def reveal(self) -> str:
        """Give the secret itself; the only way to get at it."""
        return self._text

    def __eq__(self, other: object) -> bool:
        # By digest, so that the time taken says nothing about a common prefix.
        return isinstance(other, Secret) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret can't be pickled: it would be stored in clear")


@dataclass(frozen=True, slots=True)
class Credential:
    """What a client presented; nothing about it is verified yet.

    Args:
        scheme: ``Bearer``, ``Basic``, ``Token``, ``ApiKey`` or ``Session``.
        username: the user name of Basic, else None.
        secret: the token.
    """

    scheme: str
    username: str | None
    secret: Secret


@dataclass(frozen=True, slots=True)
class UpstreamCredential:
    """What makes an owner somebody at an upstream.

    Args:
        kind: a way of being somebody there: ``basic``, ``bearer``, ``cookie`` or ``oauth1``.
        values: what that way needs, by the names of its settings.
    """

    kind: str
    values: Mapping[str, str] = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a credential can't be pickled: it would be stored in clear")


@dataclass(frozen=True, slots=True)
class Digest:
    """A stored form of a secret.

    Args:
        kind: ``sha256``, ``blake2b`` (keyed with a pepper), or ``pkcs5s2`` (Jira's own).
        key_id: which pepper, for ``blake2b``; else empty.
        value: the bytes; for ``pkcs5s2`` the ASCII text of the hash.
    """

    kind: str
    key_id: str
    value: bytes = field(repr=False)


def in_utc(moment: datetime) -> datetime:
    """Give an aware time in UTC; where that would be before the year 1 or after 9999, the first or last time that is.

    A naive one is given back as it is.
    """
    if moment.utcoffset() is None:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # "never", written as the last second of the calendar in some zone
        return (datetime.min if moment.year == 1 else datetime.max).replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Revocation:
    """When a token was revoked, by whom, and why."""

    at: datetime
    by: str | None = None
    why: str = ""

    def __post_init__(self) -> None:
        if self.at.utcoffset():
            object.__setattr__(self, "at", in_utc(self.at))


@dataclass(frozen=True, slots=True)
class Use:
    """When a token was last used, from which address, and by which user agent."""

    at: datetime
    address: str | None = None
    agent: str | None = None

    def __post_init__(self) -> None:
        if self.at.utcoffset():
            object.__setattr__(self, "at", in_utc(self.at))


def _settle_time(token: Token, name: str, moment: datetime) -> None:
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError(f"{name} must be an aware datetime (with a time zone), got {moment!r}")
    if offset:  # most are in UTC as they come: records are read by the thousand
        object.__setattr__(token, name, in_utc(moment))


def _names(name: str, values: Iterable[str]) -> frozenset[str]:
    if isinstance(values, str):
        raise TypeError(f"{name} takes a collection of names, got the one string {values!r}")
    names = frozenset(values)
    _all_text(name, names)
    return names


def _all_text(name: str, names: frozenset[str]) -> None:
    try:
        "".join(names)  # the fastest look at each of them
    except TypeError:
        # Bytes, as drivers give them, are no names: a rule that denies a group would not see that it is there.
        raise TypeError(f"{name} takes names, and not all of these are text: {sorted(map(repr, names))}") from None


def _must_be(kind: type, name: str, value: object) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"the {name} of a token must be a {kind.__name__}, not {value!r}")


_MAPPED_LENGTH = 96  # bits that stand before an IPv4 address within IPv6: RFC 4291, section 2.5.5.2


def to_network(value: Network | str) -> Network:
    """Read a network in CIDR form. IPv4 within IPv6 (``::ffff:10.0.0.0/104``) is IPv4, as clients' addresses are.

    Raises:
        ValueError: when it is none, or has host bits set.
    """
    # What is one already is most that is made: records are read by the thousand.
    network = value if isinstance(value, IPv4Network | IPv6Network) else ip_network(value)
    if isinstance(network, IPv4Network):
        return network
    mapped, length = network.network_address.ipv4_mapped, network.prefixlen - _MAPPED_LENGTH
    return network if mapped is None or length < 0 else IPv4Network((mapped, length))


def _networks(values: Iterable[Network | str]) -> tuple[Network, ...]:
    if isinstance(values, str):
        raise TypeError(f"networks takes a collection, got the one string {values!r}")
    return tuple(map(to_network, values))


def _limits(values: Mapping[str, Iterable[str]]) -> Mapping[str, frozenset[str]]:
    return MappingProxyType({name: _names(f"limits[{name!r}]", allowed) for name, allowed in values.items()})


@dataclass(frozen=True, slots=True)
class Token:
    """The stored record of a token. The secret is not in it.

    Args:
        id: public identifier, safe to log.
        owner: name of the person or service that it acts for.
        name: what its owner calls it.
        scopes: names of scopes, not expanded.
        created: when it was made.
        expires: from when on it is refused; None: never.
        networks: where it may come from; empty: anywhere. CIDR strings are taken too.
        limits: capture name to the values that it is limited to; empty: no limit.
        created_by: who made it, if not the owner; None: an operator.
        parent: id of the token that it was made with, and dies with.
        family: id of the first token of a chain of rotations; left out: its own id.
        replaces: id of the token that it succeeded in a rotation.
        revoked: set once it is revoked.
        last_used: kept beside the record; not part of what ``replace`` compares or writes.
        attributes: free text pairs.

    Raises:
        ValueError: for a naive datetime or a malformed network.
        TypeError: where a string stands for a collection, something else than text for a name, or anything but a
            ``Revocation`` for ``revoked`` or a ``Use`` for ``last_used``.
    """

    id: str
    owner: str
    name: str = ""
    scopes: frozenset[str] = frozenset()
    created: datetime = EPOCH
    expires: datetime | None = None
    networks: tuple[Network, ...] = ()
    limits: Mapping[str, frozenset[str]] = field(default_factory=lambda: NO_LIMITS, hash=False)
    created_by: str | None = None
    parent: str | None = None
    family: str = ""
    replaces: str | None = None
    revoked: Revocation | None = None
    last_used: Use | None = None
    attributes: Mapping[str, str] = field(default_factory=lambda: NOTHING, hash=False)

    def __post_init__(self) -> None:
        id: object = self.id
        owner: object = self.owner
        if not (isinstance(id, str) and isinstance(owner, str)):  # an id None says of a grant that a password got in
            raise TypeError(f"the id and the owner of a token must be text, not {id!r} and {owner!r}")
        if self.revoked is not None:  # False, say, would not be taken for one that is not revoked
            _must_be(Revocation, "revocation", self.revoked)
        if self.last_used is not None:
            _must_be(Use, "last use", self.last_used)
        settle = object.__setattr__
        settle(self, "scopes", _names("scopes", self.scopes))
        settle(self, "networks", _networks(self.networks))
        # Most have neither, and share what says so: four objects less in each of a million records.
        settle(self, "limits", NO_LIMITS if self.limits == NO_LIMITS else _limits(self.limits))
        settle(self, "attributes", NOTHING if self.attributes == NOTHING else MappingProxyType(dict(self.attributes)))
        settle(self, "family", self.family or self.id)
        _settle_time(self, "created", self.created)
        if self.expires is not None:
            _settle_time(self, "expires", self.expires)

    @property
    def is_session(self) -> bool:
        """Whether it is a session: good as a cookie alone, as which nothing else is good."""
        return SESSION.items() <= self.attributes.items()

    @property
    def is_denial(self) -> bool:
        """Whether it is no token, but says that one which was issued elsewhere is revoked: without it, that is good."""
        return self.id.startswith(f"{DENIAL}-")


@dataclass(frozen=True, slots=True)
class Owner:
    """The person or service that a token acts for, as a directory knows it.

    Args:
        name: as it was asked for.
        active: False: no token of theirs is good any more.
        groups: names of the groups that they are in.
        display_name: what people call them.
        mail: their address.
        attributes: free text pairs.
        scopes: the ceiling of their tokens, not expanded; None: there is none. It never adds to what a token has.
    """

    name: str
    active: bool = True
    groups: frozenset[str] = frozenset()
    display_name: str | None = None
    mail: str | None = None
    attributes: Mapping[str, str] = field(default_factory=lambda: NOTHING, hash=False)
    scopes: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.active, bool):
            raise TypeError(f"whether an owner is active must be True or False, not {self.active!r}")
        # One is made at every look-up, and as a rule all that it is given is frozen already.
        if type(self.groups) is frozenset:
            _all_text("groups", self.groups)
        else:
            object.__setattr__(self, "groups", _names("groups", self.groups))
        if self.attributes is not NOTHING:
            object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))
        if self.scopes is not None:
            object.__setattr__(self, "scopes", _names("scopes", self.scopes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a verified credential entitles to.

    Args:
        token_id: None where a password got in (for the time of a migration only).
        token_name: what the owner calls the token.
        owner: the owner's name.
        groups: the owner's groups, from the directory.
        scopes: effective scopes, with all that they include.
        limits: capture name to the values that it is limited to.
        networks: where it may come from; empty: anywhere.
        expires: from when on it is refused; None: never.
        scheme: ``Bearer``, ``Basic``, ``Token``, ``ApiKey`` or ``Session``.
        username: the user name of Basic, as sent.
    """

    token_id: str | None
    owner: str
    token_name: str = ""
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    limits: Mapping[str, frozenset[str]] = field(default_factory=lambda: NO_LIMITS, hash=False)
    networks: tuple[Network, ...] = ()
    expires: datetime | None = None
    scheme: str = "Bearer"
    username: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", _names("groups", self.groups))
        object.__setattr__(self, "scopes", _names("scopes", self.scopes))
        object.__setattr__(self, "networks", _networks(self.networks))
        object.__setattr__(self, "limits", _limits(self.limits))


@dataclass(frozen=True, slots=True)
class Request:
    """All that a policy may look at: neither the query, nor the user agent, nor a forwarded header.

    Args:
        method: as sent; an upper-case token.
        path: the one path that is judged, decoded.
        address: the client's; None where it isn't known.
        host: the ``Host`` header as sent, or an empty string; no shipped rule looks at it.
    """

    method: str
    path: str
    address: Address | None = None
    host: str = ""


class Reason(StrEnum):
    """Why a request was refused: the fine word, for the audit. :mod:`patmiddleware.reject` has what clients hear."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"
    OWNER_INACTIVE = "owner_inactive"
    OWNER_MISMATCH = "owner_mismatch"
    AMBIGUOUS_PATH = "ambiguous_path"
    METHOD = "method"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    NO_RULE = "no_rule"
    LIMIT = "limit"
    DENIED = "denied"
    NETWORK = "network"
    GROUP = "group"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Denied:
    """A refusal, as a value.

    Args:
        reason: why.
        rule: id of the rule that decided, if one did.
        needed: scopes that would have been enough, when something would.
        held: effective scopes of the caller.
        detail: one sentence for the caller, where the reason alone does not say what to do.
        token: a token that is there but was not let in, for the audit; no client hears of it.
    """

    reason: Reason
    rule: str | None = None
    needed: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    detail: str = ""
    token: Token | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> NoReturn:
        raise TypeError("Denied has no truth value: use isinstance")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The request may pass.

    Args:
        rule: id of the rule that let it pass; None where no policy is set.
        captures: what the rule's path captured.
        observed: the refusal that an observing policy let through.
    """

    rule: str | None = None
    captures: Mapping[str, str] = field(default_factory=lambda: NOTHING, hash=False)
    observed: Denied | None = None

    def __bool__(self) -> NoReturn:
        raise TypeError("Allowed has no truth value: use isinstance")


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token: its secret, shown this once, and its record."""

    secret: str = field(repr=False)
    token: Token


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Bounds of the caches on the request's path; all times in seconds.

    Args:
        tokens: how many known tokens are kept.
        misses: how many unknown or dead secrets are kept, apart from the known ones.
        lifetime: how long a token is kept without being looked up again.
        miss_lifetime: how long an unknown secret is answered without a look-up.
        directory_lifetime: how long what the directory said of an owner is kept.
        poll: how often a store's revision is asked for, at the most; up to 1.
        stale_while_error: how long the last good state serves while a store or a directory can't be asked. It adds to
            the bound within which a revocation arrives.
    """

    tokens: int = 10_000
    misses: int = 10_000
    lifetime: float = 300.0
    miss_lifetime: float = 10.0
    directory_lifetime: float = 60.0
    poll: float = 0.5
    stale_while_error: float = 0.0
