"""Helper: what a fleet serves: an application behind the gate that tells as whom it was called, and where."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from patmiddleware import CacheSettings, PATMiddleware, grant_from, open_store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

VARIABLE = "PATMIDDLEWARE_PROOF"
"""Of the environment: holds a :class:`Guard`, as JSON."""
WORKER = "X-Worker"
"""A header of every answer: the number of the process that gave it."""
ANONYMOUS = 299
"""What the application answers when it is called with neither a grant nor a bad credential: that must not happen."""
READING = 32
"""Bytes of a file that holds by how many seconds a clock goes wrong."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What stands before the application.

    Args:
        store: its address.
        events: what carries events in the place of the store's own; ``none``: nothing does.
        directory: its address, or that of a :mod:`~proofs.phonebook`; empty: nobody is asked.
        clock: path of a file that says by how many seconds the wall clock goes wrong; empty: it goes right.
        missing: as the gate takes it.
        cache: bounds that differ from the default ones.
        is_blind: whether the store says that nothing ever changes: a fault, to see whether a proof would find one.
    """

    store: str
    events: str = ""
    directory: str = ""
    clock: str = ""
    missing: Literal["reject", "annotate"] = "reject"
    cache: tuple[tuple[str, float], ...] = (("lifetime", 300.0),)
    is_blind: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """The variables that say it to a process."""
        return {VARIABLE: json.dumps(asdict(self))}


def application() -> WSGIApplication:
    """Give what the environment asks for."""
    facts = json.loads(os.environ[VARIABLE])
    guard = Guard(**facts)
    # Any: each bound has a type of its own.
    bounds: dict[str, Any] = dict(guard.cache)
    store = opened(guard.store, guard.events)
    if guard.is_blind:
        store.revision = lambda: 0
    return _named(
        PATMiddleware(
            _tell,
            store,
            directory=_directory(guard.directory),
            missing=guard.missing,
            clock=stepped_clock(guard.clock) if guard.clock else time.time,
            cache=CacheSettings(**bounds),
        )
    )


def opened(store: str, events: str = "", **settings: object) -> Any:  # Any: a store of whatever kind
    """Open a store with what carries its events, as a :class:`Guard` names it."""
    found: Any = open_store(store, events=events if events not in ("", "none") else None, settings=settings)
    if events == "none":
        found.events = None
    return found


def stepped_clock(path: str) -> Callable[[], float]:
    """Give a wall clock that goes as wrong as a file says, from one call to the next."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return lambda: time.time() + float(os.pread(file, READING, 0))


def _directory(address: str) -> Any:  # Any: a directory, or the address of one
    if address.startswith("http:"):
        from proofs.phonebook import Phonebook

        return Phonebook(address)
    return address or None


def _tell(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    grant = grant_from(environ)
    seen = (grant.token_id or "" if grant else "").encode()
    status = "200 OK" if grant else f"{ANONYMOUS} Anonymous"
    if environ["patmiddleware.status"] == "invalid":
        status = "401 Unauthorized"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(seen)))])
    return [seen]


def _named(app: WSGIApplication) -> WSGIApplication:
    """Let each answer name the process that gives it."""

    def named(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
            return start_response(status, [*headers, (WORKER, str(os.getpid()))], *exc_info)

        return app(environ, start)

    return named
