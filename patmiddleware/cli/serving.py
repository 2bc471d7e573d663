"""The server behind ``serve`` and ``demo``: waitress, ended cleanly by Ctrl-C and SIGTERM, or by whoever began it."""

from __future__ import annotations

import errno
import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, Problem, RefusedError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

GRACE = 10.0
"""How long requests in flight may take to be answered once the server is to end, in seconds."""

_PORT = "server.listen"
_WAYS: Mapping[int, str] = {
    errno.EADDRNOTAVAIL: "this machine has no such address: choose one that it has, or 0.0.0.0 for all of them,",
    errno.EACCES: "this user may not: choose a port from 1024 on",
}
"""What to do, by what the system says; what follows is where."""


class Server:
    """A waitress server that is bound, but does not serve yet.

    Args:
        application: what it serves.
        host: name or address to listen at.
        port: 0: one that the system picks.
        threads: how many requests are worked on at once.
        place: where the port stands, in words: for whoever has to choose another one.

    Raises:
        ConfigurationError: when waitress is not installed, or the address is not one.
        RefusedError: when the port is in use or may not be had.
    """

    def __init__(self, application: WSGIApplication, host: str, port: int, threads: int = 8, *, place: str) -> None:
        try:
            import waitress.server
        except ImportError as error:
            problem = Problem("PAT-E001", "server", "serving needs waitress", "pip install 'patmiddleware[server]'")
            raise ConfigurationError(problem) from error
        self._sockets: dict[int, Any] = {}  # Any: waitress carries no types
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self._server = waitress.server.create_server(
                application,
                map=self._sockets,
                listen=where,
                threads=threads,
                ident=None,
                clear_untrusted_proxy_headers=False,
            )
        except OSError as error:
            why, ways = error.strerror or error, _WAYS.get(error.errno or 0, "choose another port")
            raise RefusedError(f"can't listen at {where}: {why}; {ways} {place}") from error
        except ValueError as error:
            raise ConfigurationError(Problem("PAT-E105", _PORT, f"{where} is no address to listen at")) from error
        self._stopping = self._hurried = False

    @property
    def url(self) -> str:
        """Where it listens."""
        found = getattr(self._server, "effective_listen", None) or [
            (self._server.effective_host, self._server.effective_port)
        ]
        host, port = found[0]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGINT, SIGTERM or SIGHUP comes, then answer what is in flight; a second signal ends that, too.

        Args:
            ready: called once the signals are taken care of.
        """
        # That requests wait for a thread is no news for whoever reads standard error.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        before = {number: signal.signal(number, self._told) for number in _endings()}
        try:
            ready()
            self._serve()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Serve on a thread of its own, which takes no signals, until the end of the block."""
        thread = Thread(target=self._serve, name=f"serving {self.url}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop()
            thread.join()

    def _serve(self) -> None:
        while not self._stopping:
            self._turn(1.0)
        self._finish()

    def _told(self, number: int, frame: FrameType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        # Only a flag: an exception raised here could end a request in the middle of its answer.
        self._hurried, self._stopping = self._stopping, True
        for each in self._listening():
            each.pull_trigger()  # so that the loop looks at the flag now

    def _listening(self) -> list[Any]:  # Any: as above
        return [each for each in self._sockets.values() if each.accepting]

    def _turn(self, seconds: float) -> None:
        self._server.asyncore.loop(timeout=seconds, map=self._sockets, count=1, use_poll=True)

    def _finish(self) -> None:
        for each in self._listening():
            each.del_channel()
            each.socket.close()
        deadline = time.monotonic() + GRACE
        while any(map(_is_busy, list(self._sockets.values()))) and not self._hurried and time.monotonic() < deadline:
            self._turn(0.1)
        self._server.task_dispatcher.shutdown(timeout=1)


def _endings() -> Iterator[signal.Signals]:
    """Give the signals that end it: that of a terminal that is closed too, but where nohup has it ignored."""
    yield from (signal.SIGINT, signal.SIGTERM)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # Windows has none
        yield signal.SIGHUP


def _is_busy(channel: Any) -> bool:  # Any: as above
    """Say whether a connection has a request that is being read, worked on or answered."""
    return bool(getattr(channel, "requests", None) or getattr(channel, "request", None) or _unsent(channel))


def _unsent(channel: Any) -> int:
    unsent: int = getattr(channel, "total_outbufs_len", 0)
    return unsent
