"""Helper: several hosts, each with a server of several processes, and a crowd of clients that keep asking them."""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest
from proofs.guarded import WORKER, Guard
from proofs.history import Ask
from services.running import HOST, Service, free_port
from wire import TESTS

THREADS = 4
"""Of each worker."""
PATIENCE = 30.0
"""Seconds in which every request must be answered."""
_SPREAD = 30  # requests on one connection: a new one may come to another worker


class Host(Service):
    """A gunicorn with several workers.

    Attributes:
        port: that it listens at.
        workers: how many there are.
    """

    port: int
    workers: int


@contextmanager
def fleet(
    guard: Guard, folder: Path, *, hosts: int = 2, workers: int = 4, preload: bool = False
) -> Iterator[list[Host]]:
    """Run hosts that share a store, and end them.

    Args:
        guard: what stands before their application.
        folder: for what they write.
        hosts: how many; each has processes and a port of its own.
        workers: processes of each.
        preload: whether the workers are forked from a process that opened the store already.
    """
    pytest.importorskip("gunicorn")
    made = [_host(guard, folder / f"host{number}.log", workers, preload) for number in range(hosts)]
    with ExitStack() as stack:
        for host in made:
            stack.callback(host.stop)
        with ThreadPoolExecutor(hosts) as pool:
            list(pool.map(Host.start, made))
        yield made


def _host(guard: Guard, log: Path, workers: int, preload: bool) -> Host:
    port = free_port()
    command = [
        sys.executable, "-m", "gunicorn", "--bind", f"{HOST}:{port}", "--workers", str(workers),
        "--worker-class", "gthread", "--threads", str(THREADS), "--keep-alive", "60", "--graceful-timeout", "1",
        *(["--preload"] if preload else []), "proofs.guarded:application()",
    ]  # fmt: skip
    environment = {
        "PYTHONPATH": f"{TESTS}:{TESTS.parent}", "PYTHONDEVMODE": "", "PYTHONWARNINGS": "ignore",
        "HOME": str(log.parent), **guard.environment,
    }  # fmt: skip
    host = Host(command, log, lambda: _all_answer(port, workers), environment=environment)
    host.port, host.workers = port, workers
    return host


def _all_answer(port: int, workers: int) -> bool:
    """Whether every worker has begun to answer."""
    found = set()
    for _ in range(50 * workers):
        client = Client(0, port)
        try:
            found.add(client.ask(None, "").worker)
        except OSError:
            return False
        finally:
            client.close()
        if len(found) == workers:
            return True
    return False


_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_WORKER = re.compile(rb"%s: *(\d+)" % WORKER.encode(), re.IGNORECASE)


class Client:
    """Asks one host, on a connection that is kept for a while. It is plain, for a crowd of them shares one process.

    Args:
        host: its number.
        port: of it.
    """

    def __init__(self, host: int, port: int) -> None:
        self._host, self._port, self._asked = host, port, 0
        self._socket: socket.socket | None = None

    def ask(self, token: str | None, secret: str) -> Ask:
        """Send a request, once more where the connection was closed before it came to anything.

        Args:
            token: the id, for the record; None: there is none with this secret.
            secret: to send; empty: no credential.
        """
        if self._asked >= _SPREAD:
            self.close()
        try:
            return self._ask(token, secret)
        except ConnectionError:
            self.close()
            return self._ask(token, secret)

    def _ask(self, token: str | None, secret: str) -> Ask:
        line = f"Authorization: Bearer {secret}\r\n" if secret else ""
        request = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{line}\r\n".encode()
        if self._socket is None:
            self._socket = socket.create_connection((HOST, self._port), timeout=PATIENCE)
        self._asked += 1
        begin = time.monotonic()
        self._socket.sendall(request)
        head, body = self._answer(self._socket)
        end = time.monotonic()
        worker = _WORKER.search(head)
        status, name = int(head[9:12]), f"{self._host}:{worker[1].decode() if worker else ''}"
        return Ask(token, begin, end, status, body.decode() if status == 200 else "", name)

    def _answer(self, connection: socket.socket) -> tuple[bytes, bytes]:
        """Read an answer to its end, and give its head and its body."""
        data, length = b"", None
        while length is None or len(data) < length:
            chunk = connection.recv(65_536)
            if not chunk:
                raise ConnectionError("cut off")
            data += chunk
            end = data.find(b"\r\n\r\n")
            if length is None and end >= 0:
                found = _LENGTH.search(data, 0, end)
                length = end + 4 + (int(found[1]) if found else 0)
        return data[:end], data[end + 4 :]

    def close(self) -> None:
        """End the connection; the next request makes another."""
        connection, self._socket, self._asked = self._socket, None, 0
        if connection is not None:
            connection.close()


Choose = Callable[[Random], tuple[str | None, str]]


class Crowd:
    """Clients that ask without a pause.

    Args:
        hosts: whom they ask.
        choose: gives the id and the secret of the token to ask with.
        each: how many clients each host has.
        pause: seconds between two requests of a client.
    """

    def __init__(self, hosts: Sequence[Host], choose: Choose, *, each: int = 4, pause: float = 0.0) -> None:
        self._choose, self._pause = choose, pause
        self._enough = threading.Event()
        self._pool = ThreadPoolExecutor(each * len(hosts))
        places = [(number, host.port) for number, host in enumerate(hosts)] * each
        self._clients: list[Future[list[Ask]]] = [
            self._pool.submit(self._go_on, *place, Random(seed)) for seed, place in enumerate(places)
        ]

    def _go_on(self, number: int, port: int, random: Random) -> list[Ask]:
        client, heard = Client(number, port), []
        try:
            while not self._enough.wait(self._pause) if self._pause else not self._enough.is_set():
                heard.append(client.ask(*self._choose(random)))
        finally:
            client.close()
        return heard

    def stop(self) -> list[Ask]:
        """Let them end, and give all that they heard, in the order of time."""
        self._enough.set()
        self._pool.shutdown()
        return sorted((ask for client in self._clients for ask in client.result()), key=lambda ask: ask.begin)


@contextmanager
def crowd(hosts: Sequence[Host], choose: Choose, *, each: int = 4, pause: float = 0.0) -> Iterator[Crowd]:
    """Let clients ask, to the end of the block at the latest."""
    clients = Crowd(hosts, choose, each=each, pause=pause)
    try:
        yield clients
    finally:
        clients._enough.set()
        clients._pool.shutdown()
