"""Where the lines of the audit log go: a file, a stream, a handler of :mod:`logging`."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable
from typing import Protocol, TypeAlias

from ..errors import ConfigurationError

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
        """Write one line or more, each with its line end, and give how many were written whole. May raise anything."""

    def close(self) -> None:
        """Let go of what is held open; a later write takes it up again."""


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

    def write(self, lines: list[str]) -> int:
        stream = self._stream()
        stream.write("".join(lines))
        stream.flush()
        return len(lines)

    def close(self) -> None:
        """Leave it open: it was not opened here."""


class HandlerSink:
    """A handler of the standard library: syslog, rotating files, the journal …"""

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler

    def write(self, lines: list[str]) -> int:
        for text in lines:
            record = logging.makeLogRecord(
                {"name": "patmiddleware.audit", "levelno": logging.INFO, "levelname": "INFO", "msg": text.rstrip("\n")}
            )
            self._handler.handle(record)
        return len(lines)

    def close(self) -> None:
        self._handler.flush()


class FileSink:
    """A file that is appended to, for its owner alone; opened anew where somebody moved it away."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None
        self._torn = False

    def write(self, lines: list[str]) -> int:
        file = self._opened()
        data = b"\n" * self._torn + "".join(lines).encode("ascii")
        # One call, unbuffered: so the lines of several processes don't run into each other.
        done = data[: os.write(file, data)]
        if not done:
            raise OSError("nothing was written")
        whole = done.count(b"\n") - self._torn
        self._torn = not done.endswith(b"\n")
        return whole

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

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = None
        self._torn = False
