"""One line for each decision and each act of management, as JSON.

A request hands over a tuple and goes on: a thread of its own formats the lines and writes them. A sink that is full,
slow or gone holds no request up: what does not fit into the queue is dropped and counted, and a line says how many.

A decision::

    {"time":"2026-04-15T10:30:00.123Z","event":"decision","decision":"denied","status":403,"reason":"insufficient_scope",
     "who":"alice","token":"2f…","token_name":"ci","scheme":"Bearer","address":"192.0.2.7","method":"POST",
     "path":"/rest/api/2/issue","rule":"jira","request_id":"…","ms":0.042,"needed":["WRITE"]}

``decision`` is ``allowed``, ``denied``, or ``observed`` (an observing policy let it pass; ``reason`` is why it would
have been refused). ``who`` and ``token`` are also told of a token that is known and was refused: expired, revoked, not
of this owner, or a session whose request a foreign page may have made. ``needed`` is there where some scope would have
been enough, ``"passwords":true`` where a password got in instead of a token. An act of management has ``event``
(``token.created``, ``token.revoked``, ``session.created``, ``session.ended`` …) and what is known of ``by``, ``owner``,
``token`` and the like; ``session.refused`` is a login that failed, and ``why`` its reason. No call takes a secret, so
none can get in.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from ..background import Background
from ..errors import ConfigurationError
from ..model import Allowed, Denied, Grant
from .entries import FIELDS, PATH_LENGTH, Decision, Event, line
from .handlers import LineLost
from .sinks import Destination, open_sink

__all__ = ["FIELDS", "AuditLog", "Decision", "Event", "line"]

BATCH = 1_000
GATHER_SECONDS = 0.02
RETRY_SECONDS = 1.0

logger = logging.getLogger("patmiddleware")


class AuditLog:
    """Keep a line for each decision and each act of management.

    Args:
        sink: a path (``file:PATH`` or plain; made with mode 0600, appended to, opened anew once it was rotated away),
            ``stdout`` or ``-``, a handler of :mod:`logging`, or a text stream.
        capacity: how many lines may wait to be written.
        clock: gives seconds since the epoch, for the line that tells of dropped ones.

    Raises:
        ConfigurationError: when the sink can't be one.

    Attributes:
        dropped: how many lines were lost so far, because too many waited or a handler could not write them.
    """

    def __init__(
        self,
        sink: Destination,
        *,
        capacity: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if capacity < 1:
            raise ConfigurationError(f"an audit log can't keep {capacity} lines waiting", setting="audit.capacity")
        self._sink = open_sink(sink)
        self._capacity = capacity
        self._clock = clock
        self._failing = self._losing = False
        self.dropped = 0
        self._forget()
        self._background = Background(
            "patmiddleware audit",
            self._write,
            forget=self._forget,
            pause=GATHER_SECONDS,
            leave=self._sink.leave,
        )

    def _forget(self) -> None:
        self._queue: deque[Decision | Event] = deque()
        self._lines: list[str] = []
        self._told, self._telling = self.dropped, 0

    def decision(
        self,
        now: float,
        grant: Grant | None,
        decision: Allowed | Denied,
        status: int | None,
        address: str | None,
        method: str,
        path: str,
        request_id: str | None,
        seconds: float,
    ) -> None:
        """Keep what was decided about a request. Formats nothing and never waits.

        Args:
            now: seconds since the epoch.
            grant: whom the request came from; None where no credential was accepted.
            decision: as the policy gave it.
            status: of the refusal; None where the request went on to the application.
            address: the client's.
            method: as sent; cut to 64 characters.
            path: the one that was judged; cut to 2,048 characters.
            request_id: as in the environ and in a refusal's body.
            seconds: how long deciding took.
        """
        # Cut here and not when it is written: what waits must not hold whole paths of a flood.
        path = path if len(path) <= PATH_LENGTH else path[:PATH_LENGTH]
        self.record((now, grant, decision, status, address, method, path, request_id, seconds))

    def event(self, now: float, name: str, **fields: str | float | None) -> None:
        """Keep an act of management; ``fields`` are among :data:`FIELDS`, and None is left out.

        Args:
            now: seconds since the epoch.
            name: such as ``token.created``.

        Raises:
            TypeError: for another field, so that nothing gets in by mistake.
        """
        if not fields.keys() <= FIELDS:
            raise TypeError(f"an audit event has no field {min(fields.keys() - FIELDS)!r}")
        self.record((now, name, fields))

    def record(self, entry: Decision | Event) -> None:
        """Queue an entry, or count it as dropped where too many wait. Never waits, never raises."""
        if len(self._queue) < self._capacity:
            self._queue.append(entry)
        else:
            self.dropped += 1
        if not self._background.awake:
            self._background.wake()

    def flush(self, timeout: float = 5.0) -> bool:
        """Write what waits.

        Args:
            timeout: seconds to take for it.

        Returns:
            Whether all of it was written.
        """
        return self._background.flush(timeout) and self._is_empty()

    def close(self, timeout: float = 5.0) -> bool:
        """Write what waits and let go of the sink; a later entry takes it up again. As :meth:`flush` else."""
        ended = self._background.close(timeout)
        if ended:
            self._sink.close()
        return ended and self._is_empty()

    def _is_empty(self) -> bool:
        return not self._queue and not self._lines and self._told == self.dropped

    def _write(self) -> float | None:
        """Write all that waits; the thread in the background comes by here."""
        # Where lines are lost, the word of it would be lost as well: it waits for a line that gets through.
        if self._is_empty() or (self._losing and not self._queue and not self._lines):
            return None
        # No longer than what waits now: under load a flush would never come to its end.
        for _ in range(len(self._queue) // BATCH + 2):
            if not self._lines:
                self._format()
            if not self._hand_over():
                return RETRY_SECONDS
        return GATHER_SECONDS

    def _format(self) -> None:
        queue = self._queue
        self._lines = [text for _ in range(min(len(queue), BATCH)) if (text := self._line(queue.popleft()))]
        self._telling = 0 if self._losing else self.dropped - self._told
        if self._telling:
            self._lines.append(line((self._clock(), "audit.dropped", {"count": self._telling})))
            self._told += self._telling

    def _line(self, entry: Decision | Event) -> str | None:
        try:
            return line(entry)
        except Exception:  # a policy may be anybody's, and so may who tells an event: one line is lost, not the batch
            logger.exception("an entry of the audit log can't be written down; it is counted as dropped")
            self.dropped += 1
            return None

    def _hand_over(self) -> bool:
        try:
            while self._lines:
                self._write_some()
        except Exception as error:  # a sink may be anybody's: whatever it raises must not end the writing
            self._warn("the audit log can't be written, its lines are kept and tried again: %s", error)
            return False
        return True

    def _write_some(self) -> None:
        try:
            del self._lines[: self._sink.write(self._lines)]
            self._failing = self._losing = False
        except LineLost as error:
            self._warn("the audit log can't be written, its lines are lost and counted: %s", error)
            self._losing = True
            self._lose()

    def _lose(self) -> None:
        """Count the first line as lost; where it is the last one, and tells of lost ones, it is to be told again."""
        del self._lines[:1]
        if self._telling and not self._lines:
            self._told -= self._telling
        else:
            self.dropped += 1

    def _warn(self, message: str, error: Exception) -> None:
        if not self._failing:
            logger.warning(message, error)
        self._failing = True
