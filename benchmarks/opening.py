"""Open a token file, and say how long it takes and by how much the process grows.

``python -m benchmarks.opening PATH TOKENS``
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from time import perf_counter

from patmiddleware.backends.file import FileStore

from .many import secret, token


def main(path: str, tokens: int) -> None:
    """Open it, and print what was found as JSON.

    Raises:
        SystemExit: when the last token is not in it.
    """
    before = _resident()
    began = perf_counter()
    store = FileStore(path)
    seconds = perf_counter() - began
    after = _resident()
    found = store.find(secret(tokens - 1))
    if found is None or found.owner != token(tokens - 1).owner:
        sys.exit("the last token is not in the file")
    print(json.dumps({"seconds": seconds, "bytes": None if before is None or after is None else after - before}))


def _resident() -> int | None:
    """Give the bytes of memory that the process has, or None: only Linux says so."""
    if sys.platform != "linux":
        return None
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
