"""Write files so that neither a crash nor another process spoils them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_SECONDS = 10.0
"""How long to wait for a lock that another process holds."""

_PRIVATE = 0o600
_RETRY_SECONDS = 0.002
# Windows knows neither of the first two; elsewhere there is no text mode to switch off.
_SAFELY = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def locked(path: Path, *, beside: Path, timeout: float = LOCK_SECONDS) -> Iterator[None]:
    """Keep every other process and thread out.

    Args:
        path: of the lock file, which stays for ever: to lock what gets replaced would lock nothing.
        beside: the file that it guards; it is made to belong to the same user.
        timeout: seconds to wait.

    Raises:
        OSError: when there can be no lock, or another process held it all the time.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | _SAFELY, _PRIVATE)
    try:
        with suppress(PermissionError):  # only an administrator can, and needs to
            _give(handle, beside)
        deadline = monotonic() + timeout
        while not _lock(handle):
            if monotonic() > deadline:
                raise TimeoutError(f"another process has held the lock for {timeout:g} seconds")
            sleep(_RETRY_SECONDS)
        try:
            yield
        finally:
            # Said explicitly: a child that was forked by other means may have a copy of the handle.
            _unlock(handle)
    finally:
        os.close(handle)


def append(path: Path, data: bytes, *, seen: os.stat_result, keep: int) -> None:
    """Write behind the end of a file and see it onto the disk; on any error the file is as it was.

    Args:
        path: of the file; call it with its lock held.
        data: what to write.
        seen: the file as it was read; another one is not written to.
        keep: bytes of it that are sound. What stands behind them is cut off.

    Raises:
        OSError: when it can't be written.
    """
    handle = os.open(path, os.O_RDWR | os.O_APPEND | _SAFELY)
    try:
        now = os.fstat(handle)
        if (now.st_dev, now.st_ino, now.st_size) != (seen.st_dev, seen.st_ino, seen.st_size):
            raise OSError("somebody writes to the file without its lock")
        try:
            if keep < now.st_size:
                os.ftruncate(handle, keep)
            _write(handle, [data])
        except BaseException:  # whatever it was, an interrupt too, half a line must not stay
            with suppress(OSError):
                os.ftruncate(handle, keep)
                os.fsync(handle)
            raise
    finally:
        os.close(handle)


def replace(path: Path, chunks: Iterable[bytes], *, beside: Path | None) -> None:
    """Put a new file in the place of an old one, or of none: a reader sees the one or the other, whole.

    Args:
        path: of the file; call it with its lock held.
        chunks: what shall stand in it.
        beside: the file whose user and permissions it gets; None, or where there is none: it is readable to its maker
            only.

    Raises:
        OSError: when it can't be written; the old file is as it was.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)  # what a crash left
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, _PRIVATE)
    try:
        try:
            if beside is not None:
                _give(handle, beside, mode=True)
            _write(handle, chunks)
        finally:
            os.close(handle)
        os.replace(new, path)
    except BaseException:  # whatever it was, an interrupt too
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _write(handle: int, chunks: Iterable[bytes]) -> None:
    with open(handle, "wb", closefd=False) as stream:
        stream.writelines(chunks)
    os.fsync(handle)


def _give(handle: int, beside: Path, *, mode: bool = False) -> None:
    """Give a file to the user of the one beside it: an administrator's command must not lock the service out."""
    if sys.platform == "win32":
        return
    with suppress(FileNotFoundError):
        like, own = os.stat(beside), os.fstat(handle)
        if (like.st_uid, like.st_gid) != (own.st_uid, own.st_gid):
            os.fchown(handle, like.st_uid, like.st_gid)
        if mode:
            os.fchmod(handle, like.st_mode & 0o777)


def sync_folder(folder: Path) -> None:
    """See the names in a folder onto the disk."""
    if sys.platform == "win32":
        return  # a folder can't be opened there
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Try to lock; False where somebody else has it."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _unlock(handle: int) -> None:
    if sys.platform == "win32":
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_UN)
