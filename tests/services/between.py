"""What stands between a client and a real server, and may do to the answers whatever a network can."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from services.running import HOST


def _pass(client: socket.socket, answer: bytes) -> None:
    client.sendall(answer)


def _hush(client: socket.socket, answer: bytes) -> None:
    """Keep the answer to itself."""


def _blank(client: socket.socket, answer: bytes) -> None:
    client.sendall(bytes(len(answer)))


def _drip(client: socket.socket, answer: bytes) -> None:
    for number in range(len(answer)):
        client.sendall(answer[number : number + 1])
        time.sleep(0.05)


WAYS: Mapping[str, Callable[[socket.socket, bytes], None]] = {
    "pass": _pass,
    "hush": _hush,
    "blank": _blank,
    "drip": _drip,
}


class Between:
    """Relays each connection to a server.

    Args:
        port: the server's.

    Attributes:
        port: its own.
        way: one of :data:`WAYS`, for answers from now on.
    """

    def __init__(self, port: int) -> None:
        self._server, self._sockets, self.way = port, list[socket.socket](), "pass"
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((HOST, self._server))
                self._sockets += client, server
                for relay in (self._ask, self._answer):
                    threading.Thread(target=relay, args=(client, server), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while question := client.recv(65536):
                server.sendall(question)
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while answer := server.recv(65536):
                WAYS[self.way](client, answer)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Break all connections."""
        for one in (self._listener, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def between(port: int) -> Iterator[Between]:
    """Stand before the server at a port.

    Args:
        port: the server's.
    """
    relay = Between(port)
    try:
        yield relay
    finally:
        relay.close()
