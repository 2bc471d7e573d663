"""The token file on the disk: read on when it grew, append to it, and write it anew when half of it is dead."""

from __future__ import annotations

import logging
import os
import shlex
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from time import sleep
from typing import BinaryIO

from ...errors import BackendUnavailable, ConfigurationError
from ...forks import hold_while_forking
from . import disk
from .journal import Journal, LineError, fresh

MANY_DEAD = 100
"""Fewer dead changes than this are not worth a new file."""

QUIET = 0.05
"""Seconds for which a file must stand still that was written over: a revocation may be the last line of it."""

TRIES = 6

logger = logging.getLogger("patmiddleware")


class TokenFile:
    """One token file, kept in memory and in step with every process that writes to it.

    Args:
        path: of the file; a missing or empty one is made. A symbolic link is resolved now.

    Raises:
        ConfigurationError: when it is no sound token file, or can't be read or made. Nothing was changed then.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path = _resolved(path)
        self._lock_path = path.with_name(f"{path.name}.lock")
        self._writing, self._reading = Lock(), Lock()
        self.locks = (self._writing, self._reading)
        self._journal: Journal | None = None
        self._last_good: Journal | None = None
        self._bad: tuple[os.stat_result, LineError] | None = None
        self._complaint: str | None = None
        self._told = self._raised = 0
        self._many_dead = MANY_DEAD
        self._open()
        hold_while_forking(self)

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """Give what the file says now; it stays so to the end of the block.

        Raises:
            BackendUnavailable: when it can't be read, or is bad. The log says so once.
        """
        with self._reading:
            try:
                journal = self._catch_up()
            except LineError as error:
                raise self._unavailable(f"{self.path}, {error}") from error
            except OSError as error:
                raise self._unavailable(f"{self.path} can't be read: {_reason(error)}") from error
            self._complaint = None
            yield journal

    def revision(self) -> int:
        """Count the transactions.

        Never gives one number for two contents: where an older file took the place of a newer one, as when a backup is
        put back under a running server, this process counts on from what it said last.

        Raises:
            BackendUnavailable: as :meth:`journal` does.
        """
        with self.journal() as journal:
            self._told = journal.revision + self._raised
            return self._told

    @contextmanager
    def last_good(self) -> Iterator[Journal | None]:
        """Give what the file said when it was last sound, without looking at it."""
        with self._reading:
            yield self._journal or self._last_good

    def commit(self, judge: Callable[[Journal], Sequence[bytes]]) -> None:
        """Append a transaction.

        Args:
            judge: gives the changes, or raises where they may not be made. No changes, no transaction.

        Raises:
            BackendUnavailable: when it can't be written; then nothing was.
        """
        try:
            with self._writing, disk.locked(self._lock_path, beside=self.path):
                if self._append(judge):
                    self._compact()
        except OSError as error:
            raise BackendUnavailable(f"{self.path} can't be written: {_reason(error)}") from error

    def _append(self, judge: Callable[[Journal], Sequence[bytes]]) -> bool:
        with self.journal() as journal:
            changes = judge(journal)
            if not changes:
                return False
            line, seen, sound = journal.line(changes), journal.seen, journal.offset
        if sound < seen.st_size:
            logger.warning("%s: the last write was never finished; its %d bytes go", self.path, seen.st_size - sound)
        # Readers of this process need not wait for the disk.
        disk.append(self.path, line, seen=seen, keep=sound)
        return True

    def _compact(self) -> None:
        """Write the file anew where it pays. The change before it is made, whatever happens here."""
        try:
            with self.journal() as journal:
                dead = journal.changes - len(journal.rows)
                if dead < self._many_dead or dead * 2 < journal.changes:
                    return
                rows, revision = list(journal.rows.values()), journal.revision
            self._many_dead = dead + MANY_DEAD  # where it fails: not again at each change
            disk.replace(self.path, fresh(rows, revision), beside=self.path)
            self._many_dead = MANY_DEAD
        except (OSError, BackendUnavailable) as error:
            logger.warning("%s can't be written anew without what is dead: %s", self.path, error)

    def _open(self) -> None:
        path = self.path
        try:
            if not path.parent.is_dir():
                hint = f"run: mkdir -p {shlex.quote(str(path.parent))}"
                raise ConfigurationError(f"{path}: its folder does not exist", setting="store", hint=hint)
            if self._is_empty():
                with disk.locked(self._lock_path, beside=path):
                    if self._is_empty():
                        disk.replace(path, fresh(), beside=path)
            self._catch_up()
        except LineError as error:
            hint = "nothing was changed; put a backup in its place, or name another file"
            raise ConfigurationError(f"{path}, {error}", setting="store", hint=hint) from error
        except OSError as error:
            hint = "let this user write to the file and to its folder" if isinstance(error, PermissionError) else ""
            raise ConfigurationError(f"{path} can't be opened: {_reason(error)}", setting="store", hint=hint) from error

    def _is_empty(self) -> bool:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return True
        _check(self.path, found)
        return found.st_size == 0

    def _catch_up(self) -> Journal:
        found = os.stat(self.path)
        journal = self._journal
        # A file with an unfinished end is read again and again: its size and time may come back with another content.
        if journal and _same(found, journal.seen) and journal.offset == found.st_size:
            return journal
        if self._bad and _same(found, self._bad[0]):
            raise LineError(self._bad[1].number, self._bad[1].reason)
        _check(self.path, found)
        before = journal or self._last_good
        self._journal, self._last_good = None, before
        now = self._read_whole(journal)
        if before and before is not now and not _alike(before, now):
            now = self._judged(before, now)
        self._journal, self._bad, self._last_good = now, None, None
        return now

    def _judged(self, before: Journal, now: Journal) -> Journal:
        """Give what another file than before holds, or the same one written anew, once it is known to be whole.

        Raises:
            LineError: when it ends within a line that stood there whole.
        """
        if os.path.samestat(before.seen, now.seen):
            now = self._standing_still(now)
            if now.revision < before.revision and now.offset < now.seen.st_size:
                # No crash of a writer leaves this: it would be a revocation that is lost, or a token, in silence.
                error = LineError(now.number + 1, "it ends too early, and was whole before")
                self._bad = (now.seen, error)
                raise error
        if now.revision + self._raised <= self._told:
            self._raised = self._told + 1 - now.revision
        return now

    def _standing_still(self, now: Journal) -> Journal:
        """Wait for somebody who copies a backup into the file, but not for long.

        It may be our own writers as well, where a second compaction got the number of the first one's file.
        """
        for _ in range(TRIES):
            sleep(QUIET)
            if _same(os.stat(self.path), now.seen):
                break
            now = self._read_whole(now)
        return now

    def _read_whole(self, journal: Journal | None) -> Journal:
        with open(self.path, "rb") as stream:
            return self._read(stream, journal)

    def _read(self, stream: BinaryIO, journal: Journal | None) -> Journal:
        try:
            if not journal or not journal.continues_in(stream):
                return Journal(stream)
            journal.read(stream)
            return journal
        except LineError:
            pass  # perhaps a writer cut an unfinished end off meanwhile; if not, it is found again below
        found = os.fstat(stream.fileno())
        try:
            return Journal(stream)
        except LineError as error:
            self._bad = (found, error)
            raise

    def _unavailable(self, message: str) -> BackendUnavailable:
        if message != self._complaint:
            logger.error("%s; until it is mended no token can be looked up", message)
            self._complaint = message
        return BackendUnavailable(message)


def _resolved(path: str | os.PathLike[str]) -> Path:
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:
        raise ConfigurationError(f"{os.fspath(path)!r} can't be the name of a file", setting="store") from error


def _alike(one: Journal, other: Journal) -> bool:
    """Say whether two files hold the same, as before a compaction and after it: a cache need not ask again then."""
    return one.revision == other.revision and one.rows == other.rows


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return os.path.samestat(one, other) and (one.st_mtime_ns, one.st_size) == (other.st_mtime_ns, other.st_size)


def _check(path: Path, found: os.stat_result) -> None:
    """Refuse what is no plain file, or what others may write to: whoever can write to it lets themselves in."""
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is no plain file")
    if sys.platform != "win32" and found.st_mode & 0o022:
        mode = stat.S_IMODE(found.st_mode)
        raise OSError(f"others may write to it (its mode is {mode:o}); run: chmod go-w {shlex.quote(str(path))}")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
