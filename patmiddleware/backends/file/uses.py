"""Last uses, in a file beside the tokens: they change all the time, and nothing is lost with them but a date."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from threading import Lock

from ...forks import hold_while_forking
from ...model import Use
from .disk import locked, replace
from .records import dump, use_facts, use_of

FORMAT = "patmiddleware uses"
VERSION = 1

logger = logging.getLogger("patmiddleware")


class UsesFile:
    """When each token was last used. A file that is damaged is begun anew, and the log says so.

    Args:
        path: of the file; where there is none, no token was ever used.
        tokens: the token file that it stands beside.
    """

    def __init__(self, path: Path, tokens: Path) -> None:
        self.path = path
        self._lock = Lock()
        self.locks = (self._lock,)
        self._lock_path = path.with_name(f"{path.name}.lock")
        self._tokens = tokens
        self._uses: dict[str, Use] = {}
        self._seen: tuple[int, ...] | None = None
        self._complaint: str | None = None
        hold_while_forking(self)

    def known(self, id: str) -> Use | None:
        """Give the last use of a token as this process knows it, without asking the disk."""
        return self._uses.get(id)

    def refresh(self) -> None:
        """Read what other processes wrote. Never raises."""
        with self._lock:
            self._catch_up()

    def record(self, uses: Mapping[str, Use], known: Collection[str]) -> None:
        """Keep these uses but for those that are older than what is kept.

        Args:
            uses: token id to use.
            known: every id that there is; all else is dropped.

        Raises:
            OSError: when they can't be written.
        """
        with self._lock, locked(self._lock_path, beside=self._tokens):
            self._catch_up()
            kept = {id: use for id, use in self._uses.items() if id in known}
            for id, use in uses.items():
                if id in known and newest(kept.get(id), use) is use:
                    kept[id] = use
            if kept != self._uses:
                self._write(kept)

    def forget(self, ids: Collection[str]) -> None:
        """Drop the uses of tokens that are gone.

        Raises:
            OSError: when it can't be written.
        """
        self.refresh()
        if self._uses.keys().isdisjoint(ids):
            return
        with self._lock, locked(self._lock_path, beside=self._tokens):
            self._catch_up()
            self._write({id: use for id, use in self._uses.items() if id not in ids})

    def _write(self, uses: dict[str, Use]) -> None:
        facts = {"format": FORMAT, "version": VERSION, "uses": {id: use_facts(use) for id, use in uses.items()}}
        replace(self.path, [dump(facts), b"\n"], beside=self._tokens)
        self._uses, self._seen = uses, _signature(os.stat(self.path))

    def _catch_up(self) -> None:
        try:
            with open(self.path, "rb") as stream:
                seen = _signature(os.fstat(stream.fileno()))
                if seen != self._seen:
                    self._uses, self._seen = {}, seen
                    self._uses = _uses_of(stream.read())
        except FileNotFoundError:
            self._uses, self._seen = {}, None
        except OSError as error:
            self._complain(error.strerror)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self._complain("it is damaged, or no file of this kind; the last uses begin anew")
        else:
            self._complaint = None

    def _complain(self, reason: str | None) -> None:
        """Log what is wrong with the file, once."""
        if reason != self._complaint:
            logger.warning("%s can't be read: %s", self.path, reason)
            self._complaint = reason


def newest(*uses: Use | None) -> Use | None:
    """Give the newest of some uses; of two at the same time the first."""
    return max((use for use in uses if use), key=lambda use: use.at, default=None)


def _uses_of(text: bytes) -> dict[str, Use]:
    facts = json.loads(text)
    if (facts["format"], facts["version"]) != (FORMAT, VERSION):
        raise ValueError("another format")
    return {id: use_of(use) for id, use in facts["uses"].items()}


def _signature(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
