"""Sealed credentials in one file: for one machine, any number of processes, and some 10,000 owners.

Beside ``PATH`` stands ``PATH.lock``. Don't remove it while anything runs, and keep the file on a local disk: network
file systems lock badly.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from ..backends.file import disk
from ..errors import BackendUnavailable, ConfigurationError
from ..forks import hold_while_forking
from ..plainfile import at_once
from . import lines
from .lines import Kept
from .rows import Sealed

_LONGEST_HEADER = 1000


class FileRows:
    """Keeps sealed credentials in a file, which is written anew as a whole with each change.

    Args:
        path: of the file. A missing or empty one is made with the first credential. A symbolic link is resolved now.

    Raises:
        ConfigurationError: when it is no sound vault file, others may read or write it, or its folder is missing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path = Path(os.path.realpath(path))
        self._lock_path = path.with_name(f"{path.name}.lock")
        self._writing, self._reading = Lock(), Lock()
        self.locks = (self._writing, self._reading)
        self._header = b""
        self._rows: Kept = {}
        if not path.parent.is_dir():
            hint = f"run: mkdir -p {shlex.quote(str(path.parent))}"
            raise ConfigurationError(f"{path}: its folder does not exist", setting="vault", hint=hint)
        try:
            self._now()
        except BackendUnavailable as error:
            raise ConfigurationError(str(error), setting="vault") from error
        hold_while_forking(self)

    def get(self, owner: str, upstream: str) -> Sealed | None:
        """Give what is kept for an owner and an upstream, or None."""
        return self._now().get((owner, upstream))

    def all(self) -> Sequence[Sealed]:
        """Give all that are kept, ordered by owner and upstream."""
        rows = self._now()
        return [rows[name] for name in sorted(rows)]

    def put(self, row: Sealed) -> None:
        """Keep a row in the place of the one before."""
        self._write(lambda rows: rows | {(row.owner, row.upstream): row})

    def remove(self, owner: str, upstream: str) -> None:
        """Forget what is kept for an owner and an upstream; where there is nothing it is no error."""
        self._write(lambda rows: {name: row for name, row in rows.items() if name != (owner, upstream)})

    def replace(self, pairs: Sequence[tuple[Sealed, Sealed]]) -> int:
        """Write the first of each pair over the second, where that is still there as it was; give how many were."""
        replaced: list[Sealed] = []

        def judge(rows: dict[tuple[str, str], Sealed]) -> Kept:
            replaced[:] = [new for new, old in pairs if rows.get((old.owner, old.upstream)) == old]
            return rows | {(new.owner, new.upstream): new for new in replaced}

        self._write(judge)
        return len(replaced)

    def close(self) -> None:
        """Do nothing: no file is kept open."""

    def _now(self) -> Kept:
        """Give what the file says now.

        Raises:
            BackendUnavailable: when it can't be read, is damaged or gone, or others may read or write it.
        """
        with self._reading, self._told("read"):
            try:
                with open(self.path, "rb", opener=at_once) as stream:
                    return self._read(stream)
            except FileNotFoundError:
                return self._nothing("it is gone")

    def _read(self, stream: BinaryIO) -> Kept:
        found = os.fstat(stream.fileno())
        _check(self.path, found)
        if not found.st_size:
            return self._nothing("it is empty")
        header = stream.readline(_LONGEST_HEADER)
        # The header says more than size and times do: two files may be made within one tick of the clock, and the
        # second where the first one was.
        if header != self._header:
            self._rows, self._header = lines.read(header, stream.read()), header
        return self._rows

    def _nothing(self, why: str) -> Kept:
        # To take it for an empty vault would tell everybody to connect again, and lose the others with the first one.
        if self._header:
            raise ValueError(f"{why}; put a backup in its place")
        return self._rows

    def _write(self, change: Callable[[dict[tuple[str, str], Sealed]], Kept]) -> None:
        """Change what is kept.

        Args:
            change: gives what is to be kept, for what is.

        Raises:
            BackendUnavailable: when it can't be written; the file is as it was.
        """
        with self._told("written"), self._writing, disk.locked(self._lock_path, beside=self.path):
            before = dict(self._now())
            after = change(before)
            if after != before:
                disk.replace(self.path, [lines.written(after.values())], beside=self.path)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise BackendUnavailable(f"the vault {self.path} can't be {what}: {why}") from error


def _check(path: Path, found: os.stat_result) -> None:
    """Refuse what is no plain file, or what others may read or write."""
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no plain file")
    if sys.platform != "win32" and found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise ValueError(f"others may use it (its mode is {mode:o}); run: chmod 600 {shlex.quote(str(path))}")
