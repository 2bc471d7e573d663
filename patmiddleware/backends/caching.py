"""What is known of tokens and owners, kept for a while: fresh, bounded, and looked up once however many ask.

The cache holds *who*, never a verdict. Known tokens and misses live apart, so that garbage can't push out good tokens.
Every entry carries the store's revision that was known before its look-up began; an entry of another revision is looked
up again. The revision is asked for at most every ``poll`` seconds, and at once after a change in this process.

Time is measured twice, by the monotonic clock and by the wall clock: whichever says "over" first counts. So no step of
the wall clock lengthens anything.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import contextmanager
from time import monotonic as _monotonic
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from cachetools import FIFOCache

from ..changes import here
from ..errors import BackendUnavailable
from ..interfaces import Directory, Revisioned, TokenReader
from ..model import CacheSettings, Owner, Secret, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUND = 1.0
"""Seconds within which a change arrives: what a revision may be old, and what an answer about it may take."""
FLIGHT = 30.0
"""Seconds for which a request waits for another one's look-up of the same thing."""
FOREVER = float("inf")

logger = logging.getLogger("patmiddleware")

K = TypeVar("K")
V = TypeVar("V")
Clock = Callable[[], float]


class Touchable(Protocol):
    """What remembers that it was used since it was last looked at for that."""

    touched: bool


T = TypeVar("T", bound=Touchable)


class Window:
    """A span of time by both clocks, in seconds: valid until one of them says that it is over."""

    __slots__ = ("mono_until", "wall_until")

    def __init__(self, mono_until: float, wall_until: float) -> None:
        self.mono_until, self.wall_until = mono_until, wall_until

    def holds(self, mono: float, wall: float) -> bool:
        """Whether it is not over."""
        return mono < self.mono_until and wall < self.wall_until

    def over(self, mono: float, wall: float) -> float:
        """For how many seconds it has been over."""
        return max(mono - self.mono_until, wall - self.wall_until)


ALWAYS = Window(FOREVER, FOREVER)


class Entry(Window, Generic[V]):
    """A value with its window and the revision known before it was looked up.

    ``spellings`` counts in how many ways a client wrote it that are remembered.
    """

    __slots__ = ("revision", "spellings", "touched", "value")

    def __init__(self, value: V, revision: int, seconds: float, mono: float, wall: float) -> None:
        super().__init__(mono + seconds, wall + seconds)
        self.value, self.revision, self.touched, self.spellings = value, revision, False, 0


class SecondChanceCache(FIFOCache[K, T]):
    """Drops the entry that came first, but for those touched since: nearly LRU, and a hit changes nothing but a flag.

    So a hit needs no lock; whoever stores holds one.
    """

    def peek(self, key: K) -> T | None:
        """Give the entry, or None; in one step, while others store."""
        try:
            return self[key]
        except KeyError:
            return None

    def popitem(self) -> tuple[K, T]:
        """Remove and give the first entry that was not touched since it last came to the front."""
        for _ in range(len(self)):
            key, entry = super().popitem()
            if not entry.touched:
                return key, entry
            entry.touched = False
            self[key] = entry  # to the back
        return super().popitem()


class Freshness:
    """Knows the revision of a store, no older than a second, and asks for it as seldom as that allows.

    Args:
        reader: one without ``revision()`` has always the same, but for changes made in this process.
        settings: ``poll`` and ``stale_while_error``.
        monotonic: seconds that never go back.

    Attributes:
        answer: the revision as it was last given.
        due: until when that answer serves.
        seen: the changes of this process that the answer counts in.
    """

    def __init__(self, reader: TokenReader, settings: CacheSettings, monotonic: Clock = _monotonic) -> None:
        self._ask = _Question(reader.revision) if isinstance(reader, Revisioned) else None
        self._settings, self._monotonic = settings, monotonic
        self._asking = threading.Lock()
        self._failures = 0
        self._failed = ""
        self.answer = 0
        self._answered = (float("-inf"), float("-inf"))
        self.due = Window(float("-inf"), 0.0) if self._ask else ALWAYS
        self.seen = here.count

    def revision(self, mono: float, wall: float) -> int:
        """Give the revision that entries must have.

        Args:
            mono: now, by the monotonic clock.
            wall: now, in seconds since the epoch.

        Raises:
            BackendUnavailable: when it is not known, and can't be asked for.
        """
        return self.answer if self.due.holds(mono, wall) and here.count == self.seen else self._refresh(wall)

    def age(self, wall: float) -> float:
        """Give the seconds since the last answer, by the clock that says more."""
        mono_then, wall_then = self._answered
        return max(self._monotonic() - mono_then, wall - wall_then)

    def serves(self, wall: float) -> bool:
        """Whether the last answer may still serve while the store can't be asked."""
        changed = here.count != self.seen
        if self._ask is None:
            return not changed
        return self.age(wall) < self._settings.stale_while_error + (0.0 if changed else BOUND)

    def _refresh(self, wall: float) -> int:
        # One thread asks. The others go on with the old answer, but not past the bound, nor after a change made here;
        # once it failed they go on as long as the last good state may serve, rather than queue for the next failure.
        overdue = self.age(wall) >= BOUND or here.count != self.seen
        must_wait = overdue and not (self._failed and self.serves(wall))
        failures = self._failures
        if not self._asking.acquire(must_wait, BOUND if must_wait else -1):
            if must_wait and not self.serves(wall):
                raise BackendUnavailable("the store's revision is still being asked for")
            return self.answer
        try:
            return self._ask_once(wall, failures)
        except BackendUnavailable:
            if self.serves(wall):
                return self.answer
            raise
        finally:
            self._asking.release()

    def _ask_once(self, wall: float, failures: int) -> int:
        if self.due.holds(self._monotonic(), wall) and here.count == self.seen:
            return self.answer
        if self._failed and self._failures > failures:
            # It failed while this one waited: a store that is down is not asked once more for everyone who waits.
            raise BackendUnavailable(self._failed)
        # Both as they were before: an answer may be as old as the question, and counts in no later change.
        began, announced = self._monotonic(), here.count
        try:
            answer = self.answer + 1 if self._ask is None else self._ask()
        except BackendUnavailable as error:
            self._failed, self._failures = str(error) or "the store is out of reach", self._failures + 1
            raise
        self._failed = ""
        # In this order: whoever sees that it is not due any more must see the answer.
        self.answer, self._answered, self.seen = answer, (began, wall), announced
        self.due = Window(began + self._settings.poll, wall + self._settings.poll) if self._ask else ALWAYS
        return answer


class _Question:
    """Asks on a thread of its own, so that a store that hangs holds nobody up for longer than the bound.

    While it hangs, it is not asked again: it holds one thread, however long that takes.
    """

    def __init__(self, ask: Callable[[], int]) -> None:
        self._ask = ask
        self._thread: threading.Thread | None = None

    def __call__(self) -> int:
        deadline = _monotonic() + BOUND
        if self._thread is not None:
            self._thread.join(BOUND)
            if self._thread.is_alive():
                raise BackendUnavailable("the store still does not give its revision")
        answers: list[int | Exception] = []
        self._thread = self._started(answers)
        self._thread.join(max(0.0, deadline - _monotonic()))
        if not answers:
            raise BackendUnavailable(f"the store did not give its revision within {BOUND:g} s")
        [answer] = answers
        if isinstance(answer, Exception):
            raise unavailable("the store's revision", answer) from answer
        return answer

    def _started(self, answers: list[int | Exception]) -> threading.Thread:
        thread = threading.Thread(
            target=lambda: answers.append(self._answer()), name="patmiddleware revision", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system gives no more threads, or Python is on its way out
            raise BackendUnavailable("there is no thread to ask the store for its revision on") from error
        return thread

    def _answer(self) -> int | Exception:
        try:
            revision = self._ask()
            if not isinstance(revision, int):
                raise TypeError(f"revision() must give an int, not {type(revision).__name__}")
        except Exception as error:
            return error
        return revision


def unavailable(what: str, error: BaseException) -> BackendUnavailable:
    """Make an outage of whatever a backend raised: anything but an answer is "not known", and never "bad token"."""
    if isinstance(error, BackendUnavailable):
        return error
    logger.error("%s failed with an error that a backend must not raise", what, exc_info=error)
    return BackendUnavailable(f"{what} failed: {type(error).__name__}")


class _Flight:
    """One look-up under way, and those who wait for it."""

    __slots__ = ("failed", "failures", "lock", "waiting")

    def __init__(self) -> None:
        self.lock, self.waiting, self.failures = threading.Lock(), 0, 0
        self.failed: BackendUnavailable | None = None


class Flights(Generic[K]):
    """Lets one thread at a time look a thing up; the others wait for it, then look at the cache again.

    Args:
        patience: seconds for which they wait.
    """

    def __init__(self, patience: float = FLIGHT) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._flights: dict[K, _Flight] = {}

    @contextmanager
    def of(self, key: K) -> Iterator[None]:
        """Be the only one within for this key.

        Raises:
            BackendUnavailable: when the one within takes too long, or failed while this one waited: a backend that is
                down is not asked once more for everyone who waits.
        """
        with self._lock:
            flight = self._flights.setdefault(key, _Flight())
            flight.waiting += 1
            failures = flight.failures
        try:
            self._enter(flight, failures)
            try:
                yield
            except BackendUnavailable as error:
                flight.failed, flight.failures = error, flight.failures + 1
                raise
            finally:
                flight.lock.release()
        finally:
            with self._lock:
                flight.waiting -= 1
                if not flight.waiting:
                    del self._flights[key]

    def _enter(self, flight: _Flight, failures: int) -> None:
        if not flight.lock.acquire(timeout=self._patience):
            raise BackendUnavailable("another look-up of the same takes too long")
        if flight.failures > failures:
            flight.lock.release()
            raise BackendUnavailable(str(flight.failed)) from flight.failed


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
        self._find_last_good: Callable[[Secret], Token | None] | None = getattr(reader, "find_last_good", None)
        longest = FOREVER if isinstance(reader, Revisioned) else BOUND
        self._lifetime = min(settings.lifetime, longest)
        self._miss_lifetime = min(settings.miss_lifetime, longest)
        self.known: SecondChanceCache[bytes, Entry[Token | None]] = SecondChanceCache(settings.tokens)
        self._misses: SecondChanceCache[bytes, Entry[Token | None]] = SecondChanceCache(settings.misses)
        self._storing = threading.Lock()
        self._flights: Flights[bytes] = Flights()

    def find(self, key: bytes, secret: Secret, wall: float) -> Entry[Token | None]:
        """Give the entry for a secret, looked up if it is not known freshly.

        Args:
            key: the secret's digest.
            secret: what the backend is asked for.
            wall: seconds since the epoch.

        Raises:
            BackendUnavailable: when nothing can be said.
        """
        entry = self._fresh(key, wall)
        if entry is not None:
            return entry
        try:
            with self._flights.of(key):
                # Whoever was within before may have found it; whoever revoked since has changed the revision.
                entry = self._fresh(key, wall)
                return self._look_up(key, secret, wall) if entry is None else entry
        except BackendUnavailable:
            kept = self._last_good(key, secret, wall)
            if kept is None:
                raise
            return kept

    def _fresh(self, key: bytes, wall: float) -> Entry[Token | None] | None:
        mono = self._monotonic()
        revision = self.freshness.revision(mono, wall)
        for cache in (self.known, self._misses):
            entry = cache.peek(key)
            if entry is not None and entry.revision == revision and entry.holds(mono, wall):
                return entry
        return None

    def _look_up(self, key: bytes, secret: Secret, wall: float) -> Entry[Token | None]:
        revision = self.freshness.revision(self._monotonic(), wall)
        try:
            token = self._reader.find(secret)
            if token is not None and not isinstance(token, Token):
                raise TypeError(f"find() must give a Token or None, not {type(token).__name__}")
        except Exception as error:
            raise unavailable("the token store", error) from error
        alive = token is not None and token.revoked is None and not _has_expired(token, wall)
        seconds = self._lifetime if alive else self._miss_lifetime
        entry = Entry(token, revision, seconds, self._monotonic(), wall)
        self._store(key, entry, alive)
        return entry

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
        try:
            token = self._find_last_good(secret)
        except Exception as error:
            raise unavailable("the token store", error) from error
        return None if token is None else Entry(token, fresh.answer, 0.0, self._monotonic(), wall)

    def _store(self, key: bytes, entry: Entry[Token | None], alive: bool) -> None:
        with self._storing:
            here_, other = (self.known, self._misses) if alive else (self._misses, self.known)
            other.pop(key, None)
            if here_.maxsize >= 1:
                here_[key] = entry


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
        self._flights: Flights[str] = Flights()

    def find(self, name: str, wall: float) -> Entry[Owner | None]:
        """Give the entry of an owner, looked up if it is not known freshly.

        Raises:
            BackendUnavailable: when nothing can be said.
        """
        entry = self._fresh(name, wall)
        if entry is not None:
            return entry
        try:
            with self._flights.of(name):
                entry = self._fresh(name, wall)
                return self._look_up(name, wall) if entry is None else entry
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
        entry = Entry(owner, 0, seconds, self._monotonic(), wall)
        with self._storing:
            if self._owners.maxsize >= 1:
                self._owners[name] = entry
        return entry
