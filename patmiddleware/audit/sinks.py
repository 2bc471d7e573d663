"""Where the lines of the audit log go: a file, a stream, a handler of :mod:`logging`."""

from __future__ import annotations

import io
import logging
import os
import re
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeAlias

from ..errors import ConfigurationError
from .handlers import HandlerSink

MIDST_SECONDS = 0.02
"""For which half a line is taken to be another process's, in the midst of writing it."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+")


class TextStream(Protocol):
    """What a stream needs for lines to be written to it."""

    def write(self, text: str, /) -> object:
        """Write a text."""

    def flush(self) -> object:
        """Send on what is held back."""


Destination: TypeAlias = str | os.PathLike[str] | logging.Handler | TextStream


class Sink(Protocol):
    """Where lines go. It is called by one thread at a time."""

    def write(self, lines: list[str]) -> int:
        """Write one line or more of those given, each with its line end, and give how many were written whole.

        Raises:
            LineLost: when the first one is lost for good.
            Exception: of any kind, when none was written; they are given again.
        """

    def close(self) -> None:
        """Let go of what is held open; a later write takes it up again."""

    def leave(self) -> None:
        """Hold nothing that the process needs to end, though a write may hang."""


def open_sink(destination: Destination) -> Sink:
    """Give the sink for a destination; nothing is opened before the first write.

    Args:
        destination: as :class:`~patmiddleware.audit.AuditLog` takes it.

    Raises:
        ConfigurationError: when no lines can go there.
    """
    if isinstance(destination, logging.Handler):
        return HandlerSink(destination)
    if not isinstance(destination, str | os.PathLike):
        return StreamSink(lambda: destination)
    address = os.fspath(destination)
    if address in ("stdout", "-"):
        return StreamSink(lambda: sys.stdout)
    return FileSink(_checked_path(address))


def _checked_path(address: str) -> str:
    scheme, colon, rest = address.partition(":")
    path = address
    if colon and _SCHEME.fullmatch(scheme):
        if scheme != "file":
            raise ConfigurationError(
                f"{address!r} can't be an audit log",
                setting="audit",
                hint="stdout or file:PATH; in Python any logging handler",
            )
        path = rest.removeprefix("//")
    folder = os.path.dirname(path) or "."
    if not path or os.path.isdir(path):
        raise ConfigurationError(f"{path!r} is no file that an audit log could be written to", setting="audit")
    if not os.path.isdir(folder):
        raise ConfigurationError(f"{folder!r} for the audit log is no directory", setting="audit", hint="make it first")
    return path


class StreamSink:
    """A text stream; asked for at each write, since standard output may be another by then."""

    def __init__(self, stream: Callable[[], TextStream]) -> None:
        self._stream = stream
        self._pieces = Pieces()

    def write(self, lines: list[str]) -> int:
        stream = self._stream()
        file = _file_of(stream)
        if file is not None:
            stream.flush()
            return self._pieces.write(file, lines)
        stream.write("".join(lines))
        stream.flush()
        return len(lines)

    def close(self) -> None:
        """Leave it open: it was not opened here."""

    def leave(self) -> None:
        """Hold nothing: neither Python's lock of the stream, where it is a plain one."""


def _file_of(stream: TextStream) -> int | None:
    """Give the file that a plain stream of Python writes to.

    A stream keeps what could not be written, for a later flush: what is handed to it again would come twice, and one
    without a buffer does not tell how much of a text was written.
    """
    if type(stream) is not io.TextIOWrapper:
        return None
    binary: object = stream.buffer
    raw = binary.raw if type(binary) is io.BufferedWriter else binary
    return raw.fileno() if type(raw) is io.FileIO else None


class Pieces:
    """Writes lines to a file that is open, and knows how many of them got through whole."""

    def __init__(self) -> None:
        self._torn = False

    def write(self, file: int, lines: list[str], torn: bool | None = None) -> int:
        """Write lines, and give how many were written whole.

        Args:
            file: its descriptor.
            lines: each with its line end.
            torn: whether the file ends in the middle of a line; None where only what was written here can tell.
        """
        torn = self._torn if torn is None else torn
        data = b"\n" * torn + "".join(lines).encode("ascii")
        # One call, unbuffered: so the lines of several processes don't run into each other.
        done = data[: os.write(file, data)]
        if not done:
            raise OSError("nothing was written")
        self._torn = not done.endswith(b"\n")
        return done.count(b"\n") - torn


class FileSink:
    """A file that is appended to, for its owner alone; opened anew where somebody moved it away."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None
        self._forget()

    def _forget(self) -> None:
        self._pieces, self._own_end = Pieces(), -1

    def write(self, lines: list[str]) -> int:
        file = self._opened()
        count = self._pieces.write(file, lines, self._stands_in_a_line(file))
        with suppress(OSError):  # such as a pipe's, which has no end
            self._own_end = os.lseek(file, 0, os.SEEK_CUR)
        return count

    def _opened(self) -> int:
        if self._file is not None and not self._is_in_place(self._file):
            self.close()
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._file

    def _is_in_place(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _stands_in_a_line(self, file: int) -> bool | None:
        """Whether a process that is gone, or found no room, left half a line at the end of the file; None: unknown."""
        before = self._end(file)
        if before is None or before[1] in b"\n":
            return None if before is None else False
        time.sleep(MIDST_SECONDS)  # another process may be about to write the rest of it
        return self._end(file) == before

    def _end(self, file: int) -> tuple[int, bytes] | None:
        """Give the size of a file and its last byte; None where it can't be read, or nobody else wrote to it."""
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size == self._own_end:
            return None
        if not found.st_size:
            return 0, b""
        try:
            with open(self._path, "rb", buffering=0) as stream:
                stream.seek(found.st_size - 1)
                return found.st_size, stream.read(1)
        except OSError:
            return None

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = None
        self._forget()

    def leave(self) -> None:
        """Hold nothing."""
