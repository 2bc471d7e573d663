"""Keep when tokens were last used, behind the requests.

A request leaves a note in memory; a thread of its own hands what was gathered to the store in one call. A token is
written once a minute at the most, at any load. What is still to write is written at exit; what the store can't take now
is kept and tried again.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import inf
from threading import Lock
from typing import TypeAlias
from unicodedata import category

from .background import Background
from .errors import BackendError, BackendUnavailable
from .model import Use

AGENT_LENGTH = 256
GATHER_SECONDS = 5.0
RETRY_SECONDS = 10.0

logger = logging.getLogger("patmiddleware")

_Note: TypeAlias = tuple[float, str | None, str | None]


class LastUse:
    """Gather last uses, and write them behind the requests.

    Args:
        store: anything with ``record_use``, such as a :class:`~patmiddleware.interfaces.TokenStore`. For one without it
            nothing is kept.
        interval: seconds in which a token is written once at the most.
        capacity: how many tokens are remembered; beyond it the oldest note is dropped.

    Attributes:
        dropped: how many notes were lost so far because too many waited.
    """

    def __init__(self, store: object, *, interval: float = 60.0, capacity: int = 100_000) -> None:
        self._record_use: Callable[[Mapping[str, Use]], None] | None = getattr(store, "record_use", None)
        self._interval = interval
        self._capacity = capacity
        self._failing = False
        self.dropped = 0
        self._forget()
        self._background = Background("patmiddleware last use", self._write, forget=self._forget, pause=GATHER_SECONDS)

    def _forget(self) -> None:
        self._lock = Lock()
        self._waiting: dict[str, _Note] = {}
        self._noted: dict[str, float] = {}

    def note(self, token_id: str, moment: float, address: str | None, agent: str | None) -> None:
        """Note that a token was used, unless that was noted less than ``interval`` seconds ago. Never asks the store.

        Args:
            token_id: the token's public identifier.
            moment: seconds since the epoch.
            address: the client's.
            agent: the ``User-Agent`` header; kept up to 256 characters, without control characters.
        """
        if self._record_use is None:
            return
        with self._lock:
            if moment < self._noted.get(token_id, -inf) + self._interval:
                return
            self._noted.pop(token_id, None)  # so that the newest stand last
            self._noted[token_id] = moment
            self._waiting[token_id] = (moment, address, agent and agent[:AGENT_LENGTH])
            self._cut()
        if not self._background.awake:
            self._background.wake()

    def _cut(self) -> None:
        if len(self._noted) > self._capacity:
            del self._noted[next(iter(self._noted))]
        while len(self._waiting) > self._capacity:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1

    def flush(self, timeout: float = 5.0) -> bool:
        """Write what waits.

        Args:
            timeout: seconds to take for it.

        Returns:
            Whether all of it was written.
        """
        return self._background.flush(timeout) and not self._waiting

    def close(self, timeout: float = 5.0) -> bool:
        """Write what waits and end the thread; a later note starts it again. As :meth:`flush` else."""
        return self._background.close(timeout) and not self._waiting

    def _write(self) -> float | None:
        """Write all that waits; the thread in the background comes by here."""
        with self._lock:
            notes, self._waiting = self._waiting, {}
        if not notes or self._record_use is None:
            return None
        try:
            _record({token_id: _use(*note) for token_id, note in notes.items()}, self._record_use)
        # A store may be anybody's: whatever it raises, also to end its thread, which is ours, what was noted is kept.
        except BaseException as error:
            self._keep(notes)
            if not self._failing:
                logger.warning("last uses can't be written, they are kept and tried again: %s", error)
            self._failing = True
            return RETRY_SECONDS
        self._failing = False
        return None

    def _keep(self, notes: dict[str, _Note]) -> None:
        with self._lock:
            self._waiting = notes | self._waiting  # what came meanwhile is newer
            self._cut()


def _record(uses: Mapping[str, Use], record_use: Callable[[Mapping[str, Use]], None]) -> None:
    try:
        record_use(uses)
    except BackendUnavailable:
        raise
    except BackendError:
        # A database may lack a character of an agent, which is a client's own words: nobody else's use waits for that.
        record_use({token_id: dataclasses.replace(use, agent=_ascii(use.agent)) for token_id, use in uses.items()})


def _ascii(text: str | None) -> str | None:
    return text and text.encode("ascii", "backslashreplace").decode()[:AGENT_LENGTH]


def _use(moment: float, address: str | None, agent: str | None) -> Use:
    # Neither may stand in a line of a log, and a lone surrogate in no database.
    clean = agent and "".join(character for character in agent if category(character) not in ("Cc", "Cs"))
    return Use(datetime.fromtimestamp(moment, UTC), address, clean or None)
