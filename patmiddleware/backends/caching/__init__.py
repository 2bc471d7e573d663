"""What is known of tokens and owners, kept for a while: fresh, bounded, and looked up once however many ask.

The cache holds *who*, never a verdict. Known tokens and misses live apart, so that garbage can't push out good tokens.
Every entry carries the store's revision that was known before its look-up began; an entry of another revision is looked
up again. The revision is asked for at most every ``poll`` seconds, and at once after a change in this process.

Time is measured twice, by the monotonic clock and by the wall clock: whichever says "over" first counts. So no step of
the wall clock lengthens anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic as _monotonic
from typing import TypeAlias

from ...errors import BackendUnavailable
from ...interfaces import Directory, Revisioned, TokenReader
from ...model import CacheSettings, Owner, Secret, Token
from .flights import FLIGHT, Flights
from .freshness import BOUND, Freshness, watch
from .outages import told, unavailable
from .windows import ALWAYS, FOREVER, Clock, Entry, SecondChanceCache, Window

__all__ = [
    "ALWAYS",
    "BOUND",
    "FLIGHT",
    "FOREVER",
    "Clock",
    "Entry",
    "Flights",
    "Freshness",
    "OwnerCache",
    "SecondChanceCache",
    "TokenCache",
    "Window",
    "told",
    "unavailable",
]

_Find: TypeAlias = Callable[[Secret], Token | None]


class TokenCache:
    """Tokens by the digest of their secrets: the known ones, and the misses.

    Args:
        reader: the backend.
        settings: bounds.
        monotonic: seconds that never go back.

    Attributes:
        known: live tokens, fresh or not; whoever reads one looks at its window and its revision.
        freshness: the revision that entries must have.
    """

    def __init__(self, reader: TokenReader, settings: CacheSettings, monotonic: Clock = _monotonic) -> None:
        self.freshness = Freshness(reader, settings, monotonic)
        self._reader, self._settings, self._monotonic = reader, settings, monotonic
        # A store that keeps its tokens in memory can say what it last knew, also of tokens that are not cached here.
        self._find_last_good: _Find | None = getattr(reader, "find_last_good", None)
        # A chain knows which of its readers don't wait for the one that is down.
        self._find_before_outage: _Find | None = getattr(reader, "find_before_outage", None)
        longest = FOREVER if isinstance(reader, Revisioned) else BOUND
        self._lifetime = min(settings.lifetime, longest)
        self._miss_lifetime = min(settings.miss_lifetime, longest)
        self.known: SecondChanceCache[bytes, Entry[Token | None]] = SecondChanceCache(settings.tokens)
        self._misses: SecondChanceCache[bytes, Entry[Token | None]] = SecondChanceCache(settings.misses)
        self._storing = threading.Lock()
        self._flights: Flights[bytes, Entry[Token | None]] = Flights()

    def find(self, key: bytes, secret: Secret, wall: float) -> Entry[Token | None]:
        """Give the entry for a secret, looked up if it is not known freshly.

        Args:
            key: the secret's digest.
            secret: what the backend is asked for.
            wall: seconds since the epoch.

        Raises:
            BackendUnavailable: when nothing can be said.
        """
        try:
            return self._fresh(key, wall) or self._found(key, secret, wall)
        except BackendUnavailable:
            found = self._before_outage(secret, wall) or self._last_good(key, secret, wall)
            if found is None:
                raise
            return found

    def _found(self, key: bytes, secret: Secret, wall: float) -> Entry[Token | None]:
        with self._flights.of(key) as turn:
            # Whoever was within before may have found it; whoever revoked since has changed the revision.
            entry = self._fresh(key, wall) or turn.found
            if entry is None or not (turn.later or self._is_fresh(entry, wall)):
                entry = turn.land(self._look_up(key, secret, wall))
            return entry

    def _fresh(self, key: bytes, wall: float) -> Entry[Token | None] | None:
        mono = self._monotonic()
        revision = self.freshness.revision(mono, wall)
        for cache in (self.known, self._misses):
            entry = cache.peek(key)
            if entry is not None and entry.revision == revision and entry.holds(mono, wall):
                return entry
        return None

    def _is_fresh(self, entry: Entry[Token | None], wall: float) -> bool:
        return entry.revision == self.freshness.revision(self._monotonic(), wall)

    def _look_up(self, key: bytes, secret: Secret, wall: float) -> Entry[Token | None]:
        watch(self._reader)
        began = self._monotonic()
        revision = self.freshness.revision(began, wall)
        try:
            token = _token("find", self._reader.find(secret))
        except Exception as error:
            raise unavailable("the token store", error) from error
        alive = token is not None and token.revoked is None and not _has_expired(token, wall)
        seconds = self._lifetime if alive else self._miss_lifetime
        entry = Entry(token, revision, seconds, began, wall)
        self._store(key, entry, alive)
        return entry

    def _before_outage(self, secret: Secret, wall: float) -> Entry[Token | None] | None:
        """Give what readers say that don't wait for one that is down: fresh, and not to be kept."""
        if self._find_before_outage is None:
            return None
        try:
            return self._asked(self._find_before_outage, secret, wall)
        except BackendUnavailable:
            return None

    def _last_good(self, key: bytes, secret: Secret, wall: float) -> Entry[Token | None] | None:
        """Give what was known before the outage, if it may still serve and nothing has changed since."""
        stale, fresh = self._settings.stale_while_error, self.freshness
        if not fresh.serves(wall):
            return None
        entry = self.known.peek(key)
        if entry is not None and entry.revision == fresh.answer and entry.over(self._monotonic(), wall) < stale:
            return entry
        if self._find_last_good is None or fresh.age(wall) >= stale:
            return None
        return self._asked(self._find_last_good, secret, wall)

    def _asked(self, find: _Find, secret: Secret, wall: float) -> Entry[Token | None] | None:
        """Give an entry that serves once."""
        try:
            token = _token(find.__name__, find(secret))
        except Exception as error:
            raise unavailable("the token store", error) from error
        return None if token is None else Entry(token, self.freshness.answer, 0.0, self._monotonic(), wall)

    def _store(self, key: bytes, entry: Entry[Token | None], alive: bool) -> None:
        with self._storing:
            here_, other = (self.known, self._misses) if alive else (self._misses, self.known)
            other.pop(key, None)
            if here_.maxsize >= 1:
                here_[key] = entry


def _token(method: str, found: object) -> Token | None:
    if found is not None and not isinstance(found, Token):
        raise TypeError(f"{method}() must give a Token or None, not {type(found).__name__}")
    return found


def _has_expired(token: Token, wall: float) -> bool:
    return token.expires is not None and token.expires.timestamp() <= wall


class OwnerCache:
    """Owners by name, kept for ``directory_lifetime`` seconds; who is unknown or inactive no longer than a miss.

    Args:
        directory: the backend.
        settings: bounds.
        monotonic: seconds that never go back.
    """

    def __init__(self, directory: Directory, settings: CacheSettings, monotonic: Clock = _monotonic) -> None:
        self._directory, self._settings, self._monotonic = directory, settings, monotonic
        self._owners: SecondChanceCache[str, Entry[Owner | None]] = SecondChanceCache(settings.tokens)
        self._storing = threading.Lock()
        self._flights: Flights[str, Entry[Owner | None]] = Flights()

    def find(self, name: str, wall: float) -> Entry[Owner | None]:
        """Give the entry of an owner, looked up if it is not known freshly.

        Raises:
            BackendUnavailable: when nothing can be said.
        """
        entry = self._fresh(name, wall)
        if entry is not None:
            return entry
        try:
            with self._flights.of(name) as turn:
                entry = self._fresh(name, wall) or turn.found
                return turn.land(self._look_up(name, wall)) if entry is None else entry
        except BackendUnavailable:
            kept = self._owners.peek(name)
            if kept is None or kept.over(self._monotonic(), wall) >= self._settings.stale_while_error:
                raise
            return kept

    def _fresh(self, name: str, wall: float) -> Entry[Owner | None] | None:
        entry = self._owners.peek(name)
        if entry is None or not entry.holds(self._monotonic(), wall):
            return None
        entry.touched = True
        return entry

    def _look_up(self, name: str, wall: float) -> Entry[Owner | None]:
        began = self._monotonic()
        try:
            owner = self._directory.find(name)
            if owner is not None and not isinstance(owner, Owner):
                raise TypeError(f"find() must give an Owner or None, not {type(owner).__name__}")
        except Exception as error:
            raise unavailable("the directory", error) from error
        if owner is not None and owner.name != name:
            # Names that differ in case or in form would share groups and locks: one name, byte for byte.
            owner = None
        settings = self._settings
        active = owner is not None and owner.active
        seconds = settings.directory_lifetime if active else min(settings.miss_lifetime, settings.directory_lifetime)
        entry = Entry(owner, 0, seconds, began, wall)
        with self._storing:
            if self._owners.maxsize >= 1:
                self._owners[name] = entry
        return entry
