"""Which tokens hang together, and how their records change together.

A token's *children* were made with it and die with it. Its *predecessor* it replaced in a rotation; all that follow one
another so are a *family*. Every record is written only if it is still as it was read, so that two processes at work on
one token can't undo each other. A store that can make several changes as one does
(:class:`~patmiddleware.interfaces.Transactional`); with any other they come in an order that is safe to be broken off:
at the worst a child dies that could have lived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from .changes import announce
from .errors import BackendUnavailable, ConflictError
from .interfaces import Add, Remove, Replace, TokenStore, Transactional
from .issuance import earliest, is_live
from .model import Revocation, Token

PAGE = 1000
"""How many tokens are revoked in one transaction, where a rule says which."""

ATTEMPTS = 100
"""How often a change is tried anew when others change the same records. Each failure is a success of somebody else."""


class Lineage:
    """Reads and writes the records of a store that belong together.

    Args:
        store: where tokens are kept.
        now: gives the time, as an aware datetime.
    """

    def __init__(self, store: TokenStore, now: Callable[[], datetime]) -> None:
        self._store = store
        self._transaction = store if isinstance(store, Transactional) else None
        self._now = now

    def live(self, tokens: Iterable[Token]) -> list[Token]:
        """Give the tokens that are neither revoked nor expired."""
        now = self._now()
        return [token for token in tokens if is_live(token, now)]

    def heads(self, owner: str) -> list[Token]:
        """Give the live tokens of an owner, without sessions, and without those that live on beside their successor."""
        unrevoked = self._store.list(owner=owner, revoked=False)
        replaced = {token.replaces for token in unrevoked}
        return [token for token in self.live(unrevoked) if token.id not in replaced and not token.is_session]

    def successor(self, token: Token) -> Token | None:
        """Give the token that replaced this one, if one did."""
        return next((one for one in self._store.list(family=token.family) if one.replaces == token.id), None)

    def revoke(self, find: Callable[[], Iterable[Token]], revocation: Revocation) -> Iterator[Token]:
        """Revoke tokens and the live ones that die with them: children, and predecessors in their overlap.

        Args:
            find: gives the tokens; asked again until nothing is left to revoke.
            revocation: what to write; a record that is revoked already keeps its own.

        Yields:
            Each record once it is revoked.
        """
        done: dict[str, Token] = {}
        for _ in range(ATTEMPTS):
            # Also below what is revoked already: a child may have come between our reading and our writing.
            found = self._with_dependents([*find(), *done.values()])
            changes = [Replace(replace(token, revoked=revocation), token) for token in found if token.revoked is None]
            if not changes:
                return
            revoked = self._replace(changes)
            done |= {token.id: token for token in revoked}
            yield from revoked
        raise too_busy()

    def revoke_all(self, revocation: Revocation, **filters: Any) -> Iterator[Token]:  # Any: as ``list`` takes them
        """Revoke every live token that matches, as :meth:`revoke` does: page by page, for there may be millions.

        Yields:
            Each record once it is revoked. It ends when a look at all of them found none left.
        """
        found = True
        while found:
            found = False
            for window in self._windows(**filters):
                for token in self.revoke(partial(self._within, *window, **filters), revocation):
                    found = True
                    yield token

    def _windows(self, **filters: Any) -> Iterator[tuple[str | None, str]]:  # Any: as above
        """Give the ends of the pages of unrevoked tokens: the last id before each, and the last in it."""
        start: str | None = None
        while page := self._store.list(**filters, revoked=False, after=start, limit=PAGE):
            end = page[-1].id
            if start is not None and end <= start:  # it would go on for ever
                raise BackendUnavailable("the store's list() gives the same page again: it passes over 'after'")
            yield start, end
            start = end

    def _within(self, start: str | None, end: str, **filters: Any) -> list[Token]:  # Any: as above
        page = self._store.list(**filters, revoked=False, after=start, limit=PAGE)
        return self.live(token for token in page if token.id <= end)

    def hand_over(self, token: Token, expires: datetime | None, successor: Token, secret: str) -> None:
        """Put a successor beside a token, let that expire, and move its children to the successor.

        Raises:
            ConflictError: when the token has changed, or has a successor already. Nothing was written.
        """
        ending = Replace(replace(token, expires=expires), token)
        try:
            if self._transaction is not None:
                self._transaction.commit([Add(successor, secret), ending, *self._moves(token.id, successor)])
            else:
                self._hand_over_in_steps(ending, successor, secret)
        finally:
            announce(self._store)
        self._move_children(token.id, successor)

    def forget(self, ids: Sequence[str]) -> None:
        """Remove records."""
        try:
            if self._transaction is not None:
                self._transaction.commit([Remove(id) for id in ids])
            else:
                for id in ids:
                    self._store.remove(id)
        finally:
            announce(self._store)

    def _hand_over_in_steps(self, ending: Replace, successor: Token, secret: str) -> None:
        self._store.add(successor, secret)
        try:
            self._store.replace(ending.token, ending.expected)
        except BaseException:  # also what a backend must not raise: nobody hears the secret of this successor
            self._store.remove(successor.id)
            raise

    def _move_children(self, id: str, successor: Token) -> None:
        for _ in range(ATTEMPTS):
            moves = self._moves(id, successor)
            if not moves:
                return
            self._replace(moves)
        raise too_busy()

    def _moves(self, id: str, successor: Token) -> list[Replace]:
        """Give what puts the children of a token under its successor. Nothing outlives what is above it."""
        moves = []
        above = deque([(id, successor), (successor.id, successor)])
        while above:
            id, parent = above.popleft()
            for child in self.live(self._store.list(parent=id, revoked=False)):
                moved = replace(child, parent=parent.id, expires=earliest(child.expires, parent.expires))
                above.append((child.id, moved))
                if moved != child:
                    moves.append(Replace(moved, child))
        return moves

    def _with_dependents(self, tokens: Iterable[Token]) -> list[Token]:
        found: dict[str, Token] = {}
        waiting = deque(tokens)
        while waiting:
            token = waiting.popleft()
            if token.id not in found:
                found[token.id] = token
                children = self._store.list(parent=token.id, revoked=False)
                waiting += self.live([*children, *self._predecessors(token)])
        return list(found.values())

    def _predecessors(self, token: Token) -> list[Token]:
        if token.replaces is None:
            return []
        # Taken out as they are met, so that a circle, which only a store gone wrong can hold, ends.
        family: dict[str | None, Token] = {one.id: one for one in self._store.list(family=token.family)}
        chain = []
        while (older := family.pop(token.replaces, None)) is not None:
            chain.append(older)
            token = older
        return chain

    def _replace(self, changes: Sequence[Replace]) -> list[Token]:
        """Write the changes up to the first one whose record is not as it was read, and give what was written.

        A store with transactions writes all or nothing. What follows a conflict must be thought over in either case.
        """
        done: list[Token] = []
        try:
            if self._transaction is not None:
                self._transaction.commit(changes)
                return [change.token for change in changes]
            for change in changes:
                self._store.replace(change.token, change.expected)
                done.append(change.token)
        except ConflictError:
            pass
        finally:
            announce(self._store)
        return done


def too_busy() -> BackendUnavailable:
    """Give the error for records that never stood still."""
    return BackendUnavailable("the tokens kept changing while they were written: try again")
