"""Helper: an upstream that says, byte by byte, what a test has it say."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Script = Callable[[socket.socket, int], None]
"""What happens on a connection, and the how manieth it is, from 0."""


class Upstream:
    """A running one.

    Attributes:
        url: its address.
        connections: how many came so far.
        requests: what came on each connection so far.
    """

    def __init__(self, script: Script) -> None:
        self._script, self._listener = script, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections, self.requests = 0, list[bytes]()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                number, self.connections = self.connections, self.connections + 1
                threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.settimeout(20)
        with connection, suppress(OSError):
            self._script(connection, number)

    def take(self, connection: socket.socket) -> bytes:
        """Read one request: its head, and as much of a body as its length says; empty where the client is gone."""
        got = b""
        while b"\r\n\r\n" not in got:
            piece = connection.recv(65_536)
            if not piece:
                return b""
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        stated = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        while stated and len(body) < int(stated[1]):
            piece = connection.recv(65_536)
            if not piece:
                break
            body += piece
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def stop(self) -> None:
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def upstream(script: Script | bytes, times: int = 1) -> Iterator[Upstream]:
    """One for the time of a test; bytes are its answer to each request, after ``times`` of which it hangs up."""

    def answering(connection: socket.socket, number: int) -> None:
        assert isinstance(script, bytes)
        for _ in range(times):
            if not found.take(connection):
                return
            connection.sendall(script)

    found = Upstream(answering if isinstance(script, bytes) else script)
    try:
        yield found
    finally:
        found.stop()
