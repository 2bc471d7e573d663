"""From a credential to what it entitles to, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from time import monotonic
from typing import TypeAlias

from .annotate import native
from .backends.caching import FOREVER, Entry, OwnerCache, TokenCache, Window
from .credentials import Carried, credential
from .errors import BackendUnavailable, ConfigurationError
from .interfaces import Directory, TokenReader
from .model import CacheSettings, Credential, Denied, Grant, Owner, Reason, Token
from .tokens import DEFAULT_PREFIX, may_exist

Expand: TypeAlias = Callable[[frozenset[str]], frozenset[str]]
UsernameRule: TypeAlias = Callable[[str, Owner], bool]

_IDENTITIES = 8  # kept for one token: a user name of Basic is the client's to choose

USERNAME_RULES: dict[str, UsernameRule] = {
    "match": lambda username, owner: username == owner.name,
    "casefold": lambda username, owner: username.casefold() == owner.name.casefold(),
    "mail": lambda username, owner: username in (owner.name, owner.mail),
    "ignore": lambda username, owner: True,
}
"""What ``basic_username`` takes."""


class Identity(Window):
    """Who a credential was found to be, for as long as nothing about it can have changed.

    Attributes:
        grant: what it entitles to.
        user: the owner's name as a native string, for ``REMOTE_USER``.
        noted: when its last use was handed on, in seconds since the epoch.
    """

    __slots__ = ("grant", "noted", "user")

    def __init__(self, grant: Grant, seconds: float, mono: float, wall: float) -> None:
        super().__init__(seconds, mono, wall)
        self.grant, self.user, self.noted = grant, native(grant.owner), float("-inf")


class Resolver:
    """Finds out who a credential is: the token, its state, its owner.

    Args:
        reader: the backend that keeps tokens.
        directory: the backend that knows owners; None: whoever a token names is taken to exist.
        settings: bounds of the caches.
        basic_username: how the user name of Basic and the owner must agree: ``match``, ``casefold``, ``mail``,
            ``ignore``, or a callable ``(username, owner) -> bool``.
        expand: from scopes to all that they include.
    """

    def __init__(
        self,
        reader: TokenReader,
        directory: Directory | None = None,
        *,
        settings: CacheSettings | None = None,
        basic_username: str | UsernameRule = "match",
        expand: Expand = frozenset,
    ) -> None:
        settings = settings or CacheSettings()
        self._cache = TokenCache(reader, settings)
        self._owners = None if directory is None else OwnerCache(directory, settings)
        self._expand = expand
        self._prefix: str = getattr(reader, "prefix", DEFAULT_PREFIX)
        self._foreign: bool = getattr(reader, "foreign", True)
        self._agrees = _username_rule(basic_username, directory)

    def resolve(self, carried: Carried, wall: float) -> Identity | Denied:
        """Resolve a credential.

        Args:
            carried: as :func:`patmiddleware.credentials.take` gives it.
            wall: now, in seconds since the epoch.
        """
        kind, username, text = carried
        try:
            key = sha256(text.encode()).digest()
            mono = monotonic()
            entry = self._cache.known(key)
            if entry is not None:
                # An identity is only kept for a credential whose grammar was judged, so it need not be judged again.
                identity: Identity | None = entry.notes.get((kind, username))
                if (
                    identity is not None
                    and entry.revision == self._cache.freshness.revision(mono, wall)
                    and mono < identity.mono_until
                    and identity.wall_from <= wall < identity.wall_until
                ):
                    entry.touched = True
                    return identity
            return self._resolve(carried, key, wall)
        except BackendUnavailable as outage:
            return Denied(Reason.UNAVAILABLE, detail=str(outage))
        except UnicodeEncodeError:
            return Denied(Reason.MALFORMED)

    def _resolve(self, carried: Carried, key: bytes, wall: float) -> Identity | Denied:
        found = credential(carried)
        if isinstance(found, Denied):
            return found
        if not may_exist(found.secret.reveal(), self._prefix, self._foreign):
            return Denied(Reason.UNKNOWN)
        entry = self._cache.find(key, found.secret, wall)
        entry.touched = True
        token = entry.value
        if token is None:
            return Denied(Reason.UNKNOWN)
        if dead := _dead(token, wall):
            return Denied(dead)
        person = self._owner(token, wall)
        owner = person.value
        if owner is None or not owner.active:
            return Denied(Reason.OWNER_INACTIVE)
        if found.username is not None and not self._agrees(found.username, owner):
            return Denied(Reason.OWNER_MISMATCH)
        identity = self._identity(token, owner, found)
        _narrow(identity, entry, person, token)
        if len(entry.notes) < _IDENTITIES:
            entry.notes[found.scheme, found.username] = identity
        return identity

    def _owner(self, token: Token, wall: float) -> Entry[Owner | None]:
        if self._owners is not None:
            return self._owners.find(token.owner, wall)
        return Entry(Owner(name=token.owner), 0, FOREVER, 0.0, wall)

    def _identity(self, token: Token, owner: Owner, found: Credential) -> Identity:
        grant = grant_of(token, owner, self._expand, found.scheme, found.username)
        return Identity(grant, FOREVER, 0.0, FOREVER)


def grant_of(
    token: Token, owner: Owner, expand: Expand = frozenset, scheme: str = "Bearer", username: str | None = None
) -> Grant:
    """Give what a token of an active owner entitles to.

    Args:
        token: neither expired nor revoked.
        owner: as the directory has it.
        expand: from scopes to all that they include.
        scheme: that the token came with.
        username: that came with Basic.
    """
    return Grant(
        token_id=token.id,
        token_name=token.name,
        owner=token.owner,
        groups=owner.groups,
        scopes=expand(token.scopes),
        limits=token.limits,
        networks=token.networks,
        expires=token.expires,
        scheme=scheme,
        username=username,
    )


def _dead(token: Token, wall: float) -> Reason | None:
    if token.revoked is not None:
        return Reason.REVOKED
    if token.expires is not None and token.expires.timestamp() <= wall:
        return Reason.EXPIRED
    return None


def _narrow(identity: Identity, entry: Window, person: Window, token: Token) -> None:
    """Let an identity hold no longer than anything that it was made of."""
    expires = FOREVER if token.expires is None else token.expires.timestamp()
    identity.mono_until = min(entry.mono_until, person.mono_until)
    identity.wall_from = max(entry.wall_from, person.wall_from)
    identity.wall_until = min(entry.wall_until, person.wall_until, expires)


def _username_rule(rule: str | UsernameRule, directory: Directory | None) -> UsernameRule:
    if callable(rule):
        return rule
    if rule not in USERNAME_RULES:
        known = ", ".join(USERNAME_RULES)
        raise ConfigurationError(f"{rule!r} is none of {known}", setting="basic_username", hint="or give a callable")
    if rule == "mail" and directory is None:
        raise ConfigurationError("'mail' needs a directory that knows mail addresses", setting="basic_username")
    return USERNAME_RULES[rule]
