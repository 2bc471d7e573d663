"""Tell every cache in this process that a token changed, so that a revocation holds at once where it was made.

A plain counter: stores raise it after each change, caches compare it at each request and ask their store's revision
when it moved. It says only "ask again", so it needs neither a lock, which a fork could leave taken, nor to know which
store it was.
"""

from __future__ import annotations

from itertools import count


class Changes:
    """Counts the changes made in this process."""

    __slots__ = ("_next", "count")

    def __init__(self) -> None:
        self.count, self._next = 0, count(1).__next__

    def announce(self) -> None:
        """Say that a change was made; call it after the change is in the store, before telling the caller."""
        # Two at once may write their numbers in either order: what counts is that it is another one than before.
        self.count = self._next()


here = Changes()
"""The one counter of this process."""
