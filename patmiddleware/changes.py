"""Tell every cache that a token changed: in this process at once, in others by whatever carries events.

A plain counter: stores raise it after each change, caches compare it at each request and ask their store's revision
when it moved. It says only "ask again", so it needs neither a lock, which a fork could leave taken, nor to know which
store it was. Events from elsewhere raise it, too.
"""

from __future__ import annotations

import logging
from itertools import count

logger = logging.getLogger("patmiddleware")


class Changes:
    """Counts the changes made in this process, and those that it was told of."""

    __slots__ = ("_next", "count")

    def __init__(self) -> None:
        self.count, self._next = 0, count(1).__next__

    def announce(self) -> None:
        """Say that a change was made; call it after the change is in the store, before telling the caller."""
        # Two at once may write their numbers in either order: what counts is that it is another one than before.
        self.count = self._next()


here = Changes()
"""The one counter of this process."""


def announce(store: object) -> None:
    """Say here, and to whoever listens to the store's ``events``, that a change was made in it. Never raises."""
    here.announce()
    events = getattr(store, "events", None)
    if events is None:
        return
    try:
        events.publish()
    except Exception:  # they may be anybody's: the change was made, and other processes ask for it by themselves
        logger.exception("a change can't be told to other processes; they find it by asking")


class Tally:
    """Makes one revision of several: another number whenever the states differ from those seen last.

    A sum, or a digest, could come out the same for two states. These numbers never repeat, also where a store that was
    put back from a backup counts anew; but they mean nothing to another process.
    """

    __slots__ = ("_last", "_next")

    def __init__(self) -> None:
        self._last: tuple[object, int] = (None, 0)
        self._next = count(1).__next__

    def number(self, states: object) -> int:
        """Give the number of these states, which was never given for others."""
        # Without a lock, as above: of two at once each gets a number of its own, and one too many does no harm.
        seen, number = self._last
        if seen != states:
            number = self._next()
            self._last = (states, number)
        return number
