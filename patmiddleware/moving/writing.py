"""Write to the target in batches, and count what was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..errors import BackendError, BackendUnavailable, ConflictError
from ..interfaces import Add, Replace, TokenStore, Transactional
from ..model import Use
from .exports import NewExport
from .judging import Verdict

BATCH = 500
"""How many changes make one transaction."""


class Writer:
    """Makes the changes that verdicts ask for.

    Args:
        target: a store with transactions, any other store (then it is a change at a time), or an export to be.

    Attributes:
        copied: tokens that were added.
        revoked: tokens that were revoked.
        rotated: tokens that end earlier, or came under another parent, without being revoked.
    """

    def __init__(self, target: TokenStore | NewExport) -> None:
        self._target = target
        self._changes: list[Add | Replace] = []
        self._uses: dict[str, Use] = {}
        self.copied = self.revoked = self.rotated = 0

    def take(self, verdict: Verdict) -> None:
        """Do what a verdict asks for, at the latest when :meth:`flush` is called.

        Raises:
            ConflictError: when the target has changed meanwhile.
            BackendError: when it can't keep a token; says which.
            BackendUnavailable: when it can't be written.
        """
        if verdict.change is not None:
            self._changes.append(verdict.change)
        if verdict.use is not None:
            self._uses[verdict.token.id] = verdict.use
        if len(self._changes) + len(self._uses) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Do what is left to do; raises as :meth:`take` does."""
        changes, self._changes = self._changes, []
        uses, self._uses = self._uses, {}
        if isinstance(self._target, NewExport | Transactional):
            if changes:
                self._commit(self._target, changes)
        else:
            for change in changes:
                with _naming(change):
                    self._make(self._target, change)
                self._tally(change)
        if uses and not isinstance(self._target, NewExport):
            self._target.record_use(uses)

    def _commit(self, target: Transactional | NewExport, changes: Sequence[Add | Replace]) -> None:
        try:
            with _naming(*changes):
                target.commit(changes)
        except (BackendUnavailable, ConflictError):
            raise
        except BackendError:
            if len(changes) == 1:
                raise
            for change in changes:  # one by one, to find out which it is
                self._commit(target, [change])
        else:
            self._tally(*changes)

    def _make(self, store: TokenStore, change: Add | Replace) -> None:
        if isinstance(change, Add):
            store.add(change.token, change.secret_or_digest)
        else:
            store.replace(change.token, change.expected)

    def _tally(self, *changes: Add | Replace) -> None:
        for change in changes:
            if isinstance(change, Add):
                self.copied += 1
            elif change.token.revoked != change.expected.revoked:
                self.revoked += 1
            else:
                self.rotated += 1


@contextmanager
def _naming(*changes: Add | Replace) -> Iterator[None]:
    """Say which token it is that can't be kept."""
    try:
        yield
    except (BackendUnavailable, ConflictError):
        raise
    except BackendError as error:
        raise BackendError(f"the token {changes[0].token.id!r} can't be written: {error}") from error
