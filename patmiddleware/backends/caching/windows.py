"""Values that are kept for a while, in bounded caches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeAlias, TypeVar

from cachetools import FIFOCache

FOREVER = float("inf")

K = TypeVar("K")
V = TypeVar("V")
Clock: TypeAlias = Callable[[], float]


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
