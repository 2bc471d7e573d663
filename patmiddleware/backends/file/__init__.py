"""Tokens in one file of JSON lines: for one machine, any number of processes, and up to some 10,000 tokens.

Beside ``PATH`` stand ``PATH.lock``, ``PATH.uses`` (when each token was last used) and ``PATH.uses.lock``. Don't remove
the locks while anything runs, and keep the file on a local disk: network file systems lock badly.
"""

from __future__ import annotations

from .store import FileStore

__all__ = ["FileStore"]
