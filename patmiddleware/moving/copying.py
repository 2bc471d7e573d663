"""Copy tokens from one side to the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TypeAlias, runtime_checkable

from ..errors import BackendError, BackendUnavailable, ConflictError, RefusedError
from ..interfaces import Revisioned, TokenStore
from ..issuance import is_live
from ..lineage import ATTEMPTS, Lineage
from ..model import Digest, Revocation, Token
from .exports import NewExport
from .judging import Fingerprints, Judge, Record, Records, side_by_side
from .totals import Adder, Total
from .writing import Writer

STEPS = 100
"""How many tokens go by before the progress is told."""

_NOBODY = (Token("", ""), Digest("", "", b""))


class Step(Protocol):
    """Tells that something is done."""

    def __call__(self, done: int = 1) -> None:
        """Move on by so many tokens."""


Progress: TypeAlias = Callable[[str, int | None], AbstractContextManager[Step]]
"""Takes what is being done, and how many tokens there are, where that is known."""


@runtime_checkable
class Counted(Protocol):
    """A source that knows how many tokens it has, without reading them."""

    def count(self) -> int:
        """Tell how many there are."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of a copy.

    Args:
        copied: tokens that are new in the target.
        skipped: tokens of the source that were there already.
        revoked: tokens of the target that were revoked, since the source had them so, or what they were made with.
        rotated: tokens of the target that end earlier now, or came under the successor of their parent, since they were
            rotated in the source.
        differing: tokens that stand otherwise in the target and were left so; revoked, say.
        behind: tokens that the source got or revoked while it was copied; 1 where it never stood still.
        source: what the source's tokens come to, as they are to stand in the target.
        target: what the same tokens come to, as they were found there at the end.
    """

    copied: int
    skipped: int
    revoked: int
    rotated: int
    differing: int
    behind: int
    source: Total
    target: Total

    @property
    def verified(self) -> bool:
        """Whether all is there that should be; if not, somebody changed it meanwhile."""
        return self.source == self.target and not self.behind


def copy(
    source: Records,
    target: TokenStore | NewExport,
    *,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> Moved:
    """Copy every token to the target, with its digest, its revocation and its last use.

    Nothing is written before all was judged. Nothing that is there already is changed, but that a token ends as the
    source has it: revoked, or rotated and so expiring earlier. So one that was interrupted at any moment can be run
    again.

    Args:
        source: whose records come ordered by id.
        target: a store, or an export to be.
        progress: what shows how far it is.
        clock: seconds since the epoch.

    Raises:
        RefusedError: when the two contradict each other, or the target lacks a pepper. Nothing was written, unless the
            message says so.
        BackendError: when the target can't keep a token; the message says which, and how many came over.
        BackendUnavailable: when a side can't be asked or written any more; the message says how many tokens came over.
    """
    return _Copy(source, target, progress or _silent, clock).run()


class _Copy:
    """One run; what it is made of is what :func:`copy` is given."""

    def __init__(
        self, source: Records, target: TokenStore | NewExport, progress: Progress, clock: Callable[[], float]
    ) -> None:
        self._source, self._target = source, target
        self._progress, self._clock = progress, clock
        self._judge = Judge(getattr(target, "peppers", ()), getattr(source, "peppers", ()))
        self._writer = Writer(target)
        self._count: int | None = source.count() if isinstance(source, Counted) else None

    def run(self) -> Moved:
        try:
            self._count = count = self._judge_all()
        except RefusedError as error:
            raise RefusedError(f"{error}; nothing was written") from error
        with self._telling_what_came_over():
            for _ in range(ATTEMPTS):
                source, differing = self._write()
                target, behind, orphans = self._look_while_quiet()
                if not orphans:
                    break
                self._revoke(orphans)
        done, skipped = self._writer, max(0, count - self._writer.copied)
        behind += len(orphans)
        return Moved(done.copied, skipped, done.revoked, done.rotated, differing, behind, source, target)

    def _judge_all(self) -> int:
        """Judge every token before anything is written, and count them."""
        count, values = 0, Fingerprints()
        with self._progress("Comparing", self._count) as step:
            for here, there in self._pairs(step):
                values.add(self._values(here, there))
                if here is not None:
                    self._judge(here, there)
                    count += 1
        if repeated := values.repeated():
            self._refuse_repeated(repeated)
        return count

    def _values(self, here: Record | None, there: Record | None) -> list[bytes]:
        """Give every value under which a token stands, or could come to stand, in the target."""
        if there is not None:
            return [there[1].value]
        return [form.value for form in self._judge.forms(here[1])] if here is not None else []

    def _refuse_repeated(self, fingerprints: set[int]) -> None:
        """Refuse a secret that would come to stand for two tokens, if it is one."""
        ids: dict[bytes, str] = {}
        with self._progress("Comparing secrets", self._count) as step:
            for here, there in self._pairs(step):
                id = (there or here or _NOBODY)[0].id
                for value in self._values(here, there):
                    if hash(value) in fingerprints and ids.setdefault(value, id) != id:
                        new = id if there is None else ids[value]
                        raise RefusedError(f"the secret of {new} stands for another token in the target")

    def _write(self) -> tuple[Total, int]:
        """Write what is missing; give what the tokens are to come to, and how many are left to differ."""
        meant, differing = Adder(), 0
        with self._progress("Copying", self._count) as step:
            for here, there in self._pairs(step):
                if here is not None:
                    verdict = self._judge(here, there)
                    meant.add(verdict.token, verdict.digest)
                    differing += verdict.differs
                    self._writer.take(verdict)
            self._writer.flush()
            if isinstance(self._target, NewExport):
                self._target.finish()
        return meant.total, differing

    def _look_while_quiet(self) -> tuple[Total, int, list[Token]]:
        """Look again where the source has changed meanwhile: what was looked at already may have been revoked then."""
        for _ in range(ATTEMPTS):
            before = self._revision()
            target, behind, orphans = self._look()
            if behind or orphans or self._revision() == before:
                return target, behind, orphans
        return target, 1, orphans

    def _revision(self) -> int | None:
        """Give the source's revision; None where it has none, or need not stand still, as that of an export."""
        if isinstance(self._target, NewExport) or not isinstance(self._source, Revisioned):
            return None
        return self._source.revision()

    def _look(self) -> tuple[Total, int, list[Token]]:
        """Give what is in the target, how much the source has changed since, and live tokens that must not live."""
        found, behind, orphans = Adder(), 0, []
        with self._progress("Verifying", self._count) as step:
            for here, there in self._pairs(step, again=True):
                if here is not None:
                    behind += there is None or self._judge(here, there).change is not None
                if here is not None and there is not None:
                    found.add(*there)
                if there is not None and self._dead_parent(there[0]) is not None:
                    orphans.append(there[0])
        return found.total, behind, orphans

    def _dead_parent(self, token: Token) -> Revocation | None:
        """Give the revocation of what a live token was made with: it dies with that, in whichever store it was."""
        if token.parent is None or isinstance(self._target, NewExport) or not is_live(token, self._now()):
            return None
        parent = self._target.get(token.parent)
        return None if parent is None else parent.revoked

    def _revoke(self, orphans: Iterable[Token]) -> None:
        if isinstance(self._target, NewExport):
            return
        lineage = Lineage(self._target, self._now)
        for token in orphans:
            if (revocation := self._dead_parent(token)) is not None:
                self._writer.revoked += sum(
                    1 for _ in lineage.revoke(partial(_there, self._target, token.id), revocation)
                )

    def _pairs(self, step: Step, *, again: bool = False) -> Iterator[tuple[Record | None, Record | None]]:
        """Give both sides.

        Args:
            step: is told how far it is.
            again: the second time that they are looked at. An export holds nothing else, and its source may go on.
        """
        if again and isinstance(self._target, NewExport):
            pairs: Iterable[tuple[Record | None, Record | None]] = ((one, one) for one in self._target.records())
        else:
            pairs = side_by_side(self._source, self._target)
        done = 0
        for pair in pairs:
            yield pair
            done += pair[0] is not None
            if done == STEPS:
                step(done)
                done = 0
        step(done)

    @contextmanager
    def _telling_what_came_over(self) -> Iterator[None]:
        try:
            yield
        except ConflictError as error:
            message = f"the target was changed at the same time ({error}); {self._so_far()}, run the same again"
            raise RefusedError(message) from error
        except RefusedError as error:
            raise RefusedError(f"{error}; {self._so_far()}") from error
        except BackendUnavailable as error:
            message = f"{error}; {self._so_far()}: once it is back, run the same again"
            raise BackendUnavailable(message) from error
        except BackendError as error:
            raise BackendError(f"{error}; {self._so_far()}") from error

    def _so_far(self) -> str:
        copied = self._writer.copied
        return f"{copied} token{'s' * (copied != 1)} came over before that"

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _there(store: TokenStore, id: str) -> list[Token]:
    token = store.get(id)
    return [] if token is None else [token]


@contextmanager
def _silent(label: str, total: int | None) -> Iterator[Step]:
    yield lambda done=1: None
