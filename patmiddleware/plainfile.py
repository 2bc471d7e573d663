"""Open and read files without waiting for anybody."""

from __future__ import annotations

import os
import stat
from errno import EINVAL
from pathlib import Path


def read_text(path: str | Path, encoding: str) -> str:
    """Give the text of a plain file.

    Raises:
        OSError: when it can't be read, or is no plain file: a pipe would be waited for without end, and gives its
            content once.
        UnicodeDecodeError: when it is not in this encoding.
    """
    with open(path, encoding=encoding, opener=at_once) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(EINVAL, "it is no plain file")
        return stream.read()


def at_once(path: str, flags: int) -> int:
    """Open a file (an ``opener``) without waiting for anybody: a pipe in its place must not hold a request up."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
