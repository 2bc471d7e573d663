"""Tell every cache in this process that a token changed, so that a revocation holds at once where it was made.

A plain counter: stores raise it after each change, caches compare it at each request and ask their store's revision
when it moved. It says only "ask again", so it need not know which store it was.
"""

from __future__ import annotations

from threading import Lock


class Changes:
    """Counts the changes made in this process."""

    __slots__ = ("_counting", "count")

    def __init__(self) -> None:
        self.count, self._counting = 0, Lock()

    def announce(self) -> None:
        """Say that a change was made; call it after the change is in the store, before telling the caller."""
        with self._counting:
            self.count += 1


here = Changes()
"""The one counter of this process."""
