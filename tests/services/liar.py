"""A server that keeps to nothing: it hangs, breaks off, resets, or lies about lengths, as its script says."""

from __future__ import annotations

import select
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Script = Callable[[socket.socket], None]
"""What is done with a connection, before it is closed."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"


def say(*parts: bytes, pause: float = 0.0) -> Script:
    """Read a request's head, and send these bytes, with a pause in seconds after each part; then close."""

    def script(connection: socket.socket) -> None:
        hear(connection)
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)

    return script


def promise(length: int, *parts: bytes) -> Script:
    """Promise a length, and send something else; then close."""
    return say(HEAD + b"Content-Length: %d\r\n\r\n" % length, *parts)


def reset(*parts: bytes) -> Script:
    """Read a request's head, send these bytes, and end the connection with a reset."""

    def script(connection: socket.socket) -> None:
        say(*parts)(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return script


def stall(*parts: bytes, seconds: float = 60.0) -> Script:
    """Read a request's head, send these bytes, and then nothing, until the client goes away or time is over."""

    def script(connection: socket.socket) -> None:
        say(*parts)(connection)
        connection.settimeout(seconds)
        while connection.recv(65_536):
            pass

    return script


def deaf(seconds: float = 60.0) -> Script:
    """Read nothing and say nothing, until the client is gone or time is over: a large body fills what lies between."""

    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        gone = select.poll()
        gone.register(connection, select.POLLRDHUP)
        gone.poll(seconds * 1000)

    return script


def hear(connection: socket.socket) -> bytes:
    """Read up to the end of a head, and give all that came with it."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        data = connection.recv(65_536)
        if not data:
            break
        heard += data
    return heard


class Liar:
    """A running server.

    Attributes:
        url: its address, without a slash at the end.
        connections: how many were opened so far.
        script: what is done with the next connection; change it at will.
    """

    def __init__(self, script: Script) -> None:
        self.script, self.connections = script, 0
        self._open: set[socket.socket] = set()
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer.connections += 1
                outer._open.add(self.request)
                with suppress(OSError):
                    outer.script(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def shutdown_request(self, request: Any) -> None:
                # Without a word: an orderly end would come before a reset.
                self.close_request(request)
                outer._open.discard(request)

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._open)

    def stop(self) -> None:
        """End all."""
        self._server.shutdown()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._server.server_close()
        self._thread.join(10)


@contextmanager
def liar(script: Script) -> Iterator[Liar]:
    """Run a server for the time of a test."""
    server = Liar(script)
    try:
        yield server
    finally:
        server.stop()
