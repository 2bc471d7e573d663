"""Helper: real servers on the loopback interface, and a client that sends bytes as they are.

As a program it serves with a server that has no command of its own: ``python wire.py wsgiref PORT module:name``.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from services.running import free_port

TESTS = Path(__file__).parent
HOST = "127.0.0.1"
STARTING = 60.0
"""Seconds in which a server must answer for the first time."""
PATIENCE = 30.0
"""Seconds for which the client waits for an answer that must come: for a busy machine, too."""
MORE = 2.0
"""Seconds for which it waits for more of one that has begun: some servers keep the connection."""
MARK = "seen-by-the-application:"
"""What stands before the line in which the application tells what it was called with."""

_APPLICATION = "wire_app:application"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


def _module(name: str, *arguments: str) -> Sequence[str]:
    return (sys.executable, "-m", name, *arguments)


SERVERS: Mapping[str, Sequence[str]] = {
    "gunicorn": _module(
        "gunicorn", "--bind", f"{HOST}:PORT", "--worker-class", "sync", "--graceful-timeout", "1", _APPLICATION
    ),
    "gthread": _module(
        "gunicorn",
        "--bind",
        f"{HOST}:PORT",
        "--worker-class",
        "gthread",
        "--threads",
        "4",
        "--graceful-timeout",
        "1",
        _APPLICATION,
    ),
    "waitress": _module("waitress", "--listen", f"{HOST}:PORT", _APPLICATION),
    "granian": _module("granian", "--interface", "wsgi", "--host", HOST, "--port", "PORT", _APPLICATION),
    "werkzeug": (sys.executable, __file__, "werkzeug", "PORT", _APPLICATION),
    "wsgiref": (sys.executable, __file__, "wsgiref", "PORT", _APPLICATION),
}
"""Name to the command that serves."""
_PACKAGES = {"gthread": "gunicorn"}


@dataclass(frozen=True, slots=True)
class Reply:
    """All that came back, up to the end of the connection."""

    raw: bytes

    @property
    def status(self) -> int | None:
        """Of the first answer; None where there was none with a status line."""
        found = _STATUS.match(self.raw)
        return int(found[1]) if found else None

    @property
    def statuses(self) -> list[int]:
        """Of every answer."""
        return [int(status) for status in _STATUS.findall(self.raw)]

    @property
    def seen(self) -> list[dict[str, Any]]:
        """What the application was called with, each time."""
        marked = re.findall(MARK.encode() + rb"(.*?)\r?\n", self.raw)
        return [json.loads(line) for line in marked]

    @property
    def body(self) -> bytes:
        """Of the first answer."""
        return self.raw.partition(b"\r\n\r\n")[2]

    def all(self, name: str) -> list[str]:
        """Every value of a header of the first answer."""
        lines = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        pairs = [line.partition(":") for line in lines]
        return [value.strip() for key, _, value in pairs if key.lower() == name.lower()]

    @property
    def is_refused(self) -> bool:
        """Whether the request ended without the application: refused, cut off, or never finished."""
        refused = all(400 <= status < 500 or status in (100, 501, 505) for status in self.statuses)
        return refused and not self.seen


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs; where it is to answer whatever is sent, it may be given more patience."""

    name: str
    port: int
    patience: float = PATIENCE

    def send(self, data: bytes, patience: float = PATIENCE) -> Reply:
        """Send bytes as they are, and read until the server closes, or says nothing.

        Args:
            data: the request.
            patience: seconds in which the answer must begin; more of it must come within :data:`MORE`.
        """
        received = bytearray()
        with socket.create_connection((HOST, self.port), timeout=PATIENCE) as connection:
            # It hangs, or was cut off before all was sent: what came back is what counts.
            with suppress(TimeoutError, ConnectionError):
                connection.sendall(data)
            connection.settimeout(patience)
            with suppress(TimeoutError, ConnectionError):
                while chunk := connection.recv(65_536):
                    received += chunk
                    connection.settimeout(MORE)
        return Reply(bytes(received))

    def ask(
        self,
        target: str | bytes = "/",
        *headers: str | bytes,
        method: str | bytes = "GET",
        body: bytes = b"",
        patience: float | None = None,
    ) -> Reply:
        """Send a request with these header lines, as they are; the connection is to end after it."""
        lines = [b" ".join((_bytes(method), _bytes(target), b"HTTP/1.1")), *map(_bytes, headers)]
        if not any(line.lower().startswith(b"host:") for line in lines):
            lines.insert(1, b"Host: watched.example")
        if not any(line.lower().startswith(b"connection:") for line in lines):
            lines.append(b"Connection: close")
        return self.send(b"\r\n".join((*lines, b"", body)), self.patience if patience is None else patience)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def is_installed(name: str) -> bool:
    """Whether a server's package is there."""
    return find_spec(_PACKAGES.get(name, name)) is not None


servers = [
    pytest.param(name, marks=pytest.mark.skipif(not is_installed(name), reason=f"needs {_PACKAGES.get(name, name)}"))
    for name in SERVERS
]
"""A parameter for each server; one that is not installed is skipped."""


@contextmanager
def serving(
    name: str, folder: Path, application: str = _APPLICATION, environ: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Server]:
    """Run a server, and end it.

    Args:
        name: of :data:`SERVERS`.
        folder: for what it writes.
        application: as ``module:name``.
        environ: more environment variables of its own.
    """
    for _ in range(3):  # between finding a port and using it somebody else may take it
        port = free_port()
        log = folder / f"{name}.log"
        process = _start(name, port, folder, log, application, environ)
        try:
            if _answers(process, port):
                yield Server(name, port)
                return
        finally:
            _end(process)
    raise AssertionError(f"{name} does not serve: {log.read_text(errors='replace')[-2_000:]}")


def _start(
    name: str, port: int, folder: Path, log: Path, application: str, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    filled = {_APPLICATION: application}
    command = [filled.get(argument, argument).replace("PORT", str(port)) for argument in SERVERS[name]]
    paths = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    # Two of the servers put their own environment into every request's: no name of it may look like a person.
    needed = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "SYSTEMROOT") if name in os.environ}
    environment = {**needed, "PYTHONPATH": paths, "HOME": str(folder), "PYTHONWARNINGS": "ignore", **environ}
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + STARTING
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if Server("", port).ask("/open/ready").status:
                return True
        except OSError:
            time.sleep(0.05)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def _serve(name: str, port: int, where: str) -> None:
    module, _, found = where.partition(":")
    application = getattr(import_module(module), found)

    if name == "werkzeug":
        from werkzeug.serving import run_simple

        run_simple(HOST, port, application, threaded=True)
    else:
        from wsgiref.simple_server import make_server

        make_server(HOST, port, application).serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
