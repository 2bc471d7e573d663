"""Which records name an owner, a parent or a family: so a list of them costs what it gives, not what there is."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from .records import dump

# Finds too much rather than too little: attributes may have such names, too. Whoever asks looks at what is found.
_NAMED = re.compile(rb'"(?:owner|parent|family)":"(?:[^"\\]|\\.)*"')


class Index:
    """Finds ids by what stands in their records.

    Args:
        rows: id to record, as JSON.
    """

    __slots__ = ("_ids",)

    def __init__(self, rows: Mapping[str, bytes]) -> None:
        # One id alone needs no set: most tokens have a family or a parent to themselves, and a set takes 200 bytes.
        self._ids: dict[bytes, str | set[str]] = {}
        for id, row in rows.items():
            self.add(id, row)

    def ids(self, name: str, value: str) -> Collection[str]:
        """Give the ids whose records may have this value, and all that do.

        Args:
            name: ``owner``, ``parent`` or ``family``.
            value: of it. The family of a token whose record names none is its own id, and is not found here.
        """
        found = self._ids.get(dump({name: value})[1:-1], ())
        return (found,) if isinstance(found, str) else found

    def add(self, id: str, row: bytes) -> None:
        """Take a record."""
        for text in _NAMED.findall(row):
            found = self._ids.setdefault(text, id)
            if isinstance(found, set):
                found.add(id)
            elif found != id:
                self._ids[text] = {found, id}

    def discard(self, id: str, row: bytes) -> None:
        """Forget a record."""
        for text in _NAMED.findall(row):
            found = self._ids.get(text)
            if isinstance(found, set):
                found.discard(id)
            if found == id or not found:
                self._ids.pop(text, None)
