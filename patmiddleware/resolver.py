"""From a credential to what it entitles to, or a refusal."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import fields
from hashlib import blake2s
from threading import Lock
from time import monotonic
from typing import TypeAlias
from weakref import WeakSet

from .annotate import native
from .backends.caching import BOUND, FOREVER, Entry, OwnerCache, SecondChanceCache, TokenCache, Window, told
from .changes import here
from .credentials import Carried, credential
from .errors import BackendUnavailable, ConfigurationError, Problem
from .interfaces import Directory, TokenReader
from .model import CacheSettings, Credential, Denied, Grant, Owner, Reason, Token
from .tokens import DEFAULT_PREFIX, check_prefix, may_exist

logger = logging.getLogger("patmiddleware")

Expand: TypeAlias = Callable[[frozenset[str]], frozenset[str]]
UsernameRule: TypeAlias = Callable[[str, Owner], bool]

_SPELLINGS = 8  # of one credential that are remembered: blanks, and the user name of Basic, are the client's to choose

USERNAME_RULES: dict[str, UsernameRule] = {
    "match": lambda username, owner: username == owner.name,
    "casefold": lambda username, owner: username.casefold() == owner.name.casefold(),
    # An address that a directory has as an empty text is none.
    "mail": lambda username, owner: username != "" and username in (owner.name, owner.mail),
    "ignore": lambda username, owner: True,
}
"""What ``basic_username`` takes."""


class Identity(Window):
    """Who a credential was found to be, for as long as nothing about it can have changed.

    Attributes:
        grant: what it entitles to.
        user: the owner's name as a native string, for ``REMOTE_USER``.
        revision: of the store, known before the token was looked up.
        noted: when its last use was handed on, in seconds since the epoch.
        touched: for the cache.
    """

    __slots__ = ("grant", "noted", "revision", "touched", "user")

    def __init__(self, grant: Grant, revision: int = 0, mono_until: float = 0.0, wall_until: float = 0.0) -> None:
        super().__init__(mono_until, wall_until)
        self.grant, self.user, self.revision = grant, native(grant.owner), revision
        self.noted, self.touched = float("-inf"), False


class Resolver:
    """Finds out who a credential is: the token, its state, its owner.

    Args:
        reader: the backend that keeps tokens.
        directory: the backend that knows owners; None: whoever a token names is taken to exist.
        settings: bounds of the caches.
        basic_username: how the user name of Basic and the owner must agree: ``match``, ``casefold``, ``mail``,
            ``ignore``, or a callable ``(username, owner) -> bool``; nothing but True lets in.
        expand: from scopes to all that they include.

    Raises:
        ConfigurationError: for a bound that can't be one, or an unknown rule for user names.
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
        self._reader, self._directory, self._settings = reader, directory, checked_bounds(settings)
        self._expand = expand
        self._prefix: str = check_prefix(getattr(reader, "prefix", DEFAULT_PREFIX))
        self._foreign: bool = getattr(reader, "foreign", True)
        self._agrees = username_rule(basic_username, directory)
        self.begin_anew()
        _living.add(self)

    def begin_anew(self) -> None:
        """Forget everything, as in a forked child: another thread may have held a lock, or been half-way in a cache."""
        self._cache = TokenCache(self._reader, self._settings)
        self._recalled: SecondChanceCache[bytes, Identity] = SecondChanceCache(self._settings.tokens)
        self._storing = Lock()
        self._owners = None if self._directory is None else OwnerCache(self._directory, self._settings)

    def recall(self, header: str, wall: float) -> Identity | None:
        """Give whom these very bytes were resolved to before, while nothing about that can have changed.

        Args:
            header: the whole value of ``Authorization``, scheme and all. Its grammar was judged the first time.
            wall: now, in seconds since the epoch.
        """
        # Of digests without collisions the fastest on a header; what is recalled by is never stored.
        try:
            identity = self._recalled[blake2s(header.encode()).digest()]
        except (KeyError, UnicodeEncodeError):  # the latter for a lone surrogate, which can't come over the wire
            return None
        mono, fresh = monotonic(), self._cache.freshness
        if (
            mono < identity.mono_until
            and wall < identity.wall_until
            and mono < fresh.due.mono_until
            and wall < fresh.due.wall_until
            and here.count == fresh.seen
            # Last: whoever sees that a change was seen must see the answer that counts it in.
            and identity.revision == fresh.answer
        ):
            identity.touched = True
            return identity
        return None

    def resolve(self, carried: Carried, wall: float, header: str | None = None) -> Identity | Denied:
        """Resolve a credential.

        Args:
            carried: as :func:`patmiddleware.credentials.take` gives it.
            wall: now, in seconds since the epoch.
            header: the whole value that it came in, to recall it by.
        """
        found = credential(carried)
        if isinstance(found, Denied):
            return found
        try:
            return self._resolve(found, wall, header)
        except BackendUnavailable as outage:
            told(outage, wall)
            return Denied(Reason.UNAVAILABLE, detail=str(outage))

    def _resolve(self, found: Credential, wall: float, header: str | None) -> Identity | Denied:
        if not may_exist(found.secret.reveal(), self._prefix, self._foreign):
            return Denied(Reason.UNKNOWN)
        key = found.secret.digest
        entry = self._cache.find(key, found.secret, wall)
        entry.touched = True
        token = entry.value
        if token is None:
            return Denied(Reason.UNKNOWN)
        if token.is_session != (found.scheme == "Session"):  # so that a stolen cookie is a cookie and no more
            return Denied(Reason.UNKNOWN, token=token)
        if dead := _dead(token, wall):
            return Denied(dead, token=token)
        person = self._owner(token, wall)
        owner = person.value
        if owner is None or not owner.active or not owner.name:
            return Denied(Reason.OWNER_INACTIVE, token=token)
        if found.username is not None and not self._is_name_of(found.username, owner):
            return Denied(Reason.OWNER_MISMATCH, token=token)
        grant = grant_of(token, owner, self._expand, found.scheme, found.username)
        # It holds no longer than anything that it is made of.
        expires = FOREVER if token.expires is None else token.expires.timestamp()
        wall_until = min(entry.wall_until, person.wall_until, expires)
        identity = Identity(grant, entry.revision, min(entry.mono_until, person.mono_until), wall_until)
        if header is not None:
            self._remember(header, entry, identity)
        return identity

    def _is_name_of(self, username: str, owner: Owner) -> bool:
        try:
            return self._agrees(username, owner) is True
        except Exception:  # the rule may be anybody's: whom it can't judge does not get in
            logger.exception("basic_username raised an error, so the user name was refused")
            return False

    def _remember(self, header: str, entry: Entry[Token | None], identity: Identity) -> None:
        with self._storing:
            if entry.spellings < _SPELLINGS and self._recalled.maxsize >= 1:
                entry.spellings += 1
                self._recalled[blake2s(header.encode()).digest()] = identity

    def _owner(self, token: Token, wall: float) -> Entry[Owner | None]:
        if self._owners is not None:
            return self._owners.find(token.owner, wall)
        return Entry(Owner(name=token.owner), 0, FOREVER, 0.0, wall)


_living: WeakSet[Resolver] = WeakSet()


def _begin_anew_in_child() -> None:
    for resolver in list(_living):
        resolver.begin_anew()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_begin_anew_in_child)


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
        scopes=within_ceiling(expand(token.scopes), owner, expand),
        limits=token.limits,
        networks=token.networks,
        expires=token.expires,
        scheme=scheme,
        username=username,
    )


def within_ceiling(scopes: frozenset[str], owner: Owner, expand: Expand) -> frozenset[str]:
    """Give those of some expanded scopes that the owner's groups allow."""
    return scopes if owner.scopes is None else scopes & expand(owner.scopes)


def _dead(token: Token, wall: float) -> Reason | None:
    if token.revoked is not None:
        return Reason.REVOKED
    if token.expires is not None and token.expires.timestamp() <= wall:
        return Reason.EXPIRED
    return None


def username_rule(rule: str | UsernameRule, directory: Directory | None) -> UsernameRule:
    """Give the rule of a name; a callable is one.

    Raises:
        ConfigurationError: for an unknown name, or one that needs a directory where there is none.
    """
    if callable(rule):
        return rule
    if rule not in tuple(USERNAME_RULES):  # what has no hash is none either
        known = ", ".join(USERNAME_RULES)
        raise ConfigurationError(f"{rule!r} is none of {known}", setting="basic_username", hint="or give a callable")
    if rule == "mail" and directory is None:
        raise ConfigurationError("'mail' needs a directory that knows mail addresses", setting="basic_username")
    return USERNAME_RULES[rule]


def checked_bounds(settings: CacheSettings | None) -> CacheSettings:
    """Give the bounds back, or the default ones for None.

    Raises:
        ConfigurationError: with every one that can't be a bound.
    """
    if settings is None:
        return CacheSettings()
    if not isinstance(settings, CacheSettings):
        raise ConfigurationError(f"takes CacheSettings, not {settings!r}", setting="cache")
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    problems = [
        Problem("PAT-E034", f"cache.{name}", f"is {value!r}", f"must be {_BOUNDS.get(name, 'seconds, from 0 on')}")
        for name, value in values.items()
        if not _may_be(name, value)
    ]
    if problems:
        raise ConfigurationError(problems)
    return settings


_BOUNDS = {
    "tokens": "a whole number, from 0 on",
    "misses": "a whole number, from 0 on",
    "poll": f"seconds, from 0 to {BOUND:g}: what another process changes must be seen by then",
}


def _may_be(name: str, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, float) and name in ("tokens", "misses"):
        return False
    return 0 <= value <= (BOUND if name == "poll" else FOREVER)
