"""Helper: a directory that is asked over HTTP, and may go away.

Any other directory that can be changed and stopped takes its place in the proofs as a :class:`DirectoryServer`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from services.running import HOST, free_port

from patmiddleware import BackendUnavailable, Owner

_WORDS = {b"active": True, b"inactive": False}


class DirectoryServer(Protocol):
    """What a proof does to a directory.

    Attributes:
        address: of it, as a guard takes it.
    """

    address: str

    def set(self, name: str, active: bool) -> None:
        """Let an owner be active, or not; at the return every new question is answered so."""

    def start(self) -> None:
        """Answer from now on."""

    def stop(self) -> None:
        """Answer no more, and let nobody connect."""

    def confuse(self, is_confused: bool) -> None:
        """Answer with errors, or make sense again."""


class Phonebook:
    """A directory over HTTP.

    Args:
        address: ``http://HOST:PORT``.
    """

    def __init__(self, address: str) -> None:
        self._place = urlsplit(address).netloc

    def find(self, name: str) -> Owner | None:
        """Ask for an owner.

        Raises:
            BackendUnavailable: when there is no answer that makes sense.
        """
        connection = HTTPConnection(self._place, timeout=0.5)
        try:
            connection.request("GET", f"/{quote(name, safe='')}")
            response = connection.getresponse()
            word = response.read()
        except (OSError, HTTPException) as error:
            raise BackendUnavailable("the phone book does not answer") from error
        finally:
            connection.close()
        if response.status == 404:
            return None
        if response.status != 200 or word not in _WORDS:
            raise BackendUnavailable("the phone book makes no sense")
        return Owner(name=name, active=_WORDS[word])


class PhonebookServer:
    """Answers for a phone book in this process.

    Attributes:
        address: of it.
    """

    def __init__(self) -> None:
        self._active: dict[str, bool] = {}
        self._is_confused = False
        self._port = free_port()
        self.address = f"http://{HOST}:{self._port}"
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def set(self, name: str, active: bool) -> None:
        """Let an owner be active, or not."""
        self._active[name] = active

    def confuse(self, is_confused: bool) -> None:
        """Answer with errors, or make sense again."""
        self._is_confused = is_confused

    def start(self) -> None:
        """Answer from now on."""
        book = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                active = book._active.get(unquote(self.path[1:]))
                status = 500 if book._is_confused else 404 if active is None else 200
                word = b"active" if active else b"inactive"
                self.send_response(status)
                self.send_header("Content-Length", str(len(word)))
                self.end_headers()
                self.wfile.write(word)

            def log_message(self, *arguments: object) -> None:
                pass

        ThreadingHTTPServer.request_queue_size = 64
        self._server = ThreadingHTTPServer((HOST, self._port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        """Answer no more, and let nobody connect."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            self._thread.join()
            server.server_close()


@contextmanager
def phonebook(*names: str) -> Iterator[PhonebookServer]:
    """Run one in which these are active."""
    server = PhonebookServer()
    for name in names:
        server.set(name, True)
    server.start()
    try:
        yield server
    finally:
        server.stop()
