"""Files that are read again when they change: all of them or none, and never what others may have written."""

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
from typing import Generic, TypeAlias, TypeVar

from ...errors import BackendUnavailable, ConfigurationError, hint_for
from ...plainfile import at_once

LARGEST = 16 * 2**20
"""Bytes of a file."""

SETTLING = 2.0
"""Seconds for which a changed file is read again at each look: a second change within one tick of the file system's
clock, or the rest of one that is being written, may not show in its time and size."""

QUIET = 0.05
"""Seconds for which a file must stand still that has changed: ``htpasswd`` itself empties it and writes it anew."""

TRIES = 10

_Contents = TypeVar("_Contents")
_Signature: TypeAlias = tuple[int, ...]

logger = logging.getLogger("patmiddleware")


class Reloading(Generic[_Contents]):
    """What some files say now.

    Args:
        paths: of the files. A symbolic link is followed anew at each look.
        read: makes something of the bytes of each; raises ``ConfigurationError`` for what is wrong.
        every: seconds between two looks at the files.
        monotonic: seconds that never go back.

    Raises:
        ConfigurationError: when a file is missing, or bad.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        read: Callable[[Sequence[bytes]], _Contents],
        *,
        every: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._paths, self._read, self._every, self._monotonic = paths, read, every, monotonic
        self._fault: ConfigurationError | None = None
        self._seen = self._signatures()
        self._seen_at, self._settled = monotonic(), False
        data = [_bytes(path) for path in paths]
        self._contents, self._filled = self._read(data), [bool(one) for one in data]
        self.begin_anew()

    def begin_anew(self) -> None:
        """Start over in a forked child: another thread may have held the lock, half-way in a look."""
        self._lock, self._due = Lock(), float("-inf")

    def contents(self) -> _Contents:
        """Give what the files say.

        Raises:
            BackendUnavailable: when one is missing, or bad. The log says so once.
        """
        with self._lock:
            if (now := self._monotonic()) >= self._due:
                self._due = now + self._every
                try:
                    self._look(now)
                except ConfigurationError as error:
                    self._fail(error)
                else:
                    self._fault = None
            if self._fault is not None:
                raise BackendUnavailable(_message(self._fault)) from self._fault
            return self._contents

    def _look(self, now: float) -> None:
        changed = self._signatures() != self._seen
        if changed:
            self._seen_at, self._settled = now, False
        if not self._settled:
            self._settled = now - self._seen_at >= SETTLING
            self._seen = []  # where reading fails, the next look reads again
            found, data = self._steady(wait=changed)
            self._refuse_emptied(data)
            self._contents, self._filled = self._read(data), [bool(one) for one in data]
            self._seen = found

    def _steady(self, *, wait: bool) -> tuple[list[_Signature], list[bytes]]:
        """Give what stands in the files while nobody writes to them.

        The first lines of one alone would make strangers of all who stand below them.
        """
        for _ in range(TRIES):
            found = self._signatures()
            sleep(QUIET if wait else 0)
            if self._signatures() == found:
                data = [_bytes(path) for path in self._paths]
                if self._signatures() == found:
                    return found, data
            wait = True
        names = " or ".join(map(str, self._paths))
        raise ConfigurationError(f"{names} is being written", setting="directory")

    def _signatures(self) -> list[_Signature]:
        return [_signature(path) for path in self._paths]

    def _refuse_emptied(self, data: Sequence[bytes]) -> None:
        """Refuse a file that said something before: a full disk leaves it so, or a writer that was stopped."""
        for path, now, filled in zip(self._paths, data, self._filled, strict=True):
            if filled and not now:
                message = f"{path} was emptied; if nobody is to stand in it, write a comment there"
                raise ConfigurationError(message, setting="directory")

    def _fail(self, error: ConfigurationError) -> None:
        if self._fault is None or _message(self._fault) != _message(error):
            logger.error("%s; until it is mended no owner can be looked up", _message(error))
        # Its frames hold the files' contents.
        self._fault = error.with_traceback(None)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # the latter for a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{path} can't be read: {reason}"
        raise ConfigurationError(message, setting="directory", hint=hint_for(error)) from error


def _signature(path: Path) -> _Signature:
    with _reading(path):
        found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _bytes(path: Path) -> bytes:
    with _reading(path), open(path, "rb", opener=at_once) as stream:
        # Of the file that is open: the one at the path may be another by now.
        _check(path, os.fstat(stream.fileno()))
        data = stream.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise OSError(f"it has more than {LARGEST} bytes")
        return data


def _check(path: Path, found: os.stat_result) -> None:
    """Refuse what is no plain file, or what others may write to: whoever can write to it lets themselves in."""
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is no plain file")
    if sys.platform != "win32" and found.st_mode & 0o022:
        mode = stat.S_IMODE(found.st_mode)
        raise OSError(f"others may write to it (its mode is {mode:o}); run: chmod go-w {shlex.quote(str(path))}")


def _message(error: ConfigurationError) -> str:
    return "; ".join(problem.message for problem in error.problems)
