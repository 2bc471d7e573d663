"""Where keys come from: a file, or a server that publishes them."""

from __future__ import annotations

import logging
import os
import shlex
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import NamedTuple, Protocol
from weakref import WeakSet

from patmiddleware.changes import Tally
from patmiddleware.claims import Malformed
from patmiddleware.errors import BackendUnavailable, ConfigurationError
from patmiddleware.plainfile import at_once
from patmiddleware.webcall import Answer

from .headers import Header
from .keys import Key, Rules, parse_pem, parse_set

logger = logging.getLogger("patmiddleware")

LARGEST = 262_144
"""Bytes that a file or a document of keys may have."""


class Keys(Protocol):
    """What keys are good now."""

    def select(self, header: Header) -> Key | None:
        """Give the one key that a token may be signed with, or None.

        Raises:
            BackendUnavailable: when that is not known.
        """

    def generation(self) -> int:
        """Count the times that what was checked before may no longer hold. Asks no server.

        Raises:
            BackendUnavailable: when that is not known.
        """

    def check(self) -> None:
        """Look for keys.

        Raises:
            BackendUnavailable: when there are none.
        """

    def close(self) -> None:
        """Let go of connections."""


def chosen(keys: Sequence[Key], header: Header) -> Key | None:
    """Give the one key that a header leads to, or None. The header's algorithm must be the key's own."""
    for key in keys:
        if header.kid is not None and (key.kid, key.algorithm) == header[::-1]:
            return key
    # A key without a name checks tokens of any; a token that names no key is checked by the only one there is.
    if len(keys) == 1 and None in (keys[0].kid, header.kid) and keys[0].algorithm == header.algorithm:
        return keys[0]
    return None


class _Read(NamedTuple):
    stamp: tuple[int, ...]
    keys: tuple[Key, ...]


class FileKeys:
    """Keys in a file: a JWK set, or one public key in PEM form. It is read again when it changes.

    Args:
        path: of the file.
        rules: which keys are taken.

    Raises:
        ConfigurationError: when it can't be used, or none of the keys in it can.
    """

    def __init__(self, path: Path, rules: Rules) -> None:
        self._path, self._rules, self._tally = path, rules, Tally()
        try:
            self._read = self._load()
        except (OSError, Malformed) as error:
            raise ConfigurationError(f"the keys in {path} can't be read: {_said(error)}", setting="store") from error

    def select(self, header: Header) -> Key | None:
        """Give the one key that a token may be signed with, or None."""
        return chosen(self._current(), header)

    def generation(self) -> int:
        """Count the times that the keys changed."""
        return self._tally.number(self._current())

    def check(self) -> None:
        """Look for keys."""
        if not self._current():
            raise BackendUnavailable(f"there is no key in {self._path}")

    def close(self) -> None:
        """Do nothing: the file is not kept open."""

    def _current(self) -> tuple[Key, ...]:
        try:
            if _stamp(os.stat(self._path)) != self._read.stamp:
                self._read = self._load()
        except (OSError, Malformed, ConfigurationError) as error:
            # Nor does the last good state serve: a key may be gone from the file because it was stolen.
            raise BackendUnavailable(f"the keys can't be read: {_said(error)}") from error
        return self._read.keys

    def _load(self) -> _Read:
        with open(self._path, "rb", opener=at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise OSError("it is no file")
            if sys.platform != "win32" and found.st_mode & 0o022:
                raise OSError(f"others may write to it; run: chmod go-w {shlex.quote(str(self._path))}")
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise OSError(f"it has more than {LARGEST} bytes")
        if text.lstrip().startswith(b"-----BEGIN "):
            return _Read(_stamp(found), (parse_pem(text, self._rules),))
        keys, reasons = parse_set(text, self._rules)
        if reasons and not keys:
            raise ConfigurationError(f"none of the keys can be used: {reasons[0]}", setting="store")
        for reason in reasons:
            logger.warning("a key in %s is passed over: %s", self._path, reason)
        return _Read(_stamp(found), keys)


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _said(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


class _Held(NamedTuple):
    """What is known of a server's keys. Replaced as a whole, so that no lock is needed to read it.

    ``turns`` counts the changes of the keys, and the times that they were due, up to the last fetch.
    """

    keys: tuple[Key, ...] = ()
    due: float = float("-inf")
    until: float = float("-inf")
    tried: float = float("-inf")
    turns: int = 0
    failure: str = ""


class WebKeys:
    """Keys that a server publishes, fetched when first needed, kept for a while, and fetched by one thread at a time.

    Args:
        fetch: asks the server.
        rules: which keys are taken.
        lifetime: seconds until they are fetched again.
        stale: seconds beyond it for which they serve while they can't be fetched.
        cooldown: seconds between two fetches at the least.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        fetch: Callable[[], Answer],
        rules: Rules,
        *,
        lifetime: float,
        stale: float,
        cooldown: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._fetch, self._rules, self._clock = fetch, rules, clock
        # Or else keys that are due would have to wait.
        self._lifetime, self._stale, self._cooldown = lifetime, stale, min(cooldown, lifetime)
        self._held = _Held()
        self.begin_anew()
        _living.add(self)

    def begin_anew(self) -> None:
        """Take a new lock, as in a forked child: nobody is there to release the old one."""
        self._fetching = Lock()

    def select(self, header: Header) -> Key | None:
        """Give the one key that a token may be signed with, or None.

        A name that is not known is looked for anew, unless that was done less than ``cooldown`` seconds ago.
        """
        held = self._current()
        key = chosen(held.keys, header)
        if key is not None or header.kid is None or any(header.kid == one.kid for one in held.keys):
            return key
        held = self._fetched(held, wait=True)
        if held.failure:
            # It may be the name of a new key: unavailable is not unknown.
            raise BackendUnavailable(held.failure)
        return chosen(held.keys, header)

    def generation(self) -> int:
        """Count the times that the keys changed, or were due to be fetched again."""
        held = self._held
        return held.turns + (self._clock() >= held.due)

    def check(self) -> None:
        """Fetch the keys now."""
        held = self._fetched(self._held, wait=True)
        if held.failure or not held.keys:
            raise BackendUnavailable(held.failure or "the server publishes no key that can be used here")

    def close(self) -> None:
        """Do nothing: what it fetches with is the caller's."""

    def _current(self) -> _Held:
        held, now = self._held, self._clock()
        if now >= held.due:
            # While the last good keys may serve, one thread asks and the others go on with those.
            held = self._fetched(held, wait=now >= held.until)
        if held.failure and self._clock() >= held.until:
            raise BackendUnavailable(held.failure)
        return held

    def _fetched(self, before: _Held, *, wait: bool) -> _Held:
        """Give what is known once somebody has fetched, if it is time for that."""
        if not self._fetching.acquire(wait):
            return before
        try:
            # Whoever was within before may have done it; it counts if it began after this one came.
            if self._held is before and self._clock() >= before.tried + self._cooldown:
                self._held = self._asked(before)
            return self._held
        finally:
            self._fetching.release()

    def _asked(self, before: _Held) -> _Held:
        began = self._clock()
        try:
            keys, failure = self._parsed(self._fetch())
            until = began  # what was published before serves no longer, whatever can be made of this
        except (BackendUnavailable, Malformed, ConfigurationError) as error:
            keys, failure, until = before.keys, f"the keys of the issuer can't be fetched: {error}", before.until
        now = self._clock()
        # Other keys are two turns: until this is held, others may count the one of keys that are due.
        turns = before.turns + (2 if keys != before.keys else now >= before.due)
        if failure:
            logger.warning("%s", failure)
            # At the latest when the last good ones may serve no longer: what they checked is asked for anew then.
            due = now + self._cooldown if now >= until else min(now + self._cooldown, until)
            return _Held(keys, due, until, now, turns, failure)
        due = began + self._lifetime
        return _Held(keys, due, due + self._stale, began, turns)

    def _parsed(self, answer: Answer) -> tuple[tuple[Key, ...], str]:
        """Give the keys, and what is wrong where there are some but none that can be used."""
        if answer.status != 200:
            raise BackendUnavailable(f"the server answers with the status {answer.status}")
        keys, reasons = parse_set(answer.body, self._rules)
        for reason in reasons:
            logger.info("a published key is passed over: %s", reason)
        return keys, f"none of the issuer's keys can be used: {reasons[0]}" if reasons and not keys else ""


_living: WeakSet[WebKeys] = WeakSet()


def _begin_anew_in_child() -> None:
    for keys in list(_living):
        keys.begin_anew()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_begin_anew_in_child)
