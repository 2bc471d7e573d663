"""Requests a second that a server keeps with the gate in front of its application, over real HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from types import MappingProxyType
from typing import TYPE_CHECKING

from patmiddleware import PATMiddleware

from .material import PATH, Environ, bearer, policy, secrets, store
from .measure import WrongAnswerError, progress

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

CONNECTIONS = 16
START_SECONDS = 20.0
BODY = b"x" * 1_024
_ROOT = Path(__file__).parent.parent


def alone() -> WSGIApplication:
    """Make an application that answers 1 KB."""

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
        return [BODY]

    return application


def guarded() -> WSGIApplication:
    """Make the same behind the gate."""
    return PATMiddleware(alone(), store(secrets(10_000)), policy=policy(100))


def measure_granian(rounds: int, seconds: float) -> dict[str, list[float]]:
    """Give requests a second of both, one figure for each round; they are loaded in turns.

    Args:
        rounds: how often each is loaded.
        seconds: for how long, each time.

    Raises:
        ModuleNotFoundError: without granian.
        WrongAnswerError: when a request is not answered as it must.
    """
    if find_spec("granian") is None:
        raise ModuleNotFoundError("No module named 'granian'", name="granian")
    secret = secrets(10_000)[5_000]
    figures: dict[str, list[float]] = {"alone": [], "guarded": []}
    with ExitStack() as stack:
        ports = {name: stack.enter_context(granian(f"{__package__}.served:{name}")) for name in figures}
        prove(ports["alone"], "alone, under granian", None, 200)
        prove(ports["guarded"], "guarded, under granian", None, 401)
        prove(ports["guarded"], "guarded, under granian", secret, 200)
        for name in ports:
            load(ports[name], secret, seconds)  # warms up
        for _ in progress(range(rounds), "rounds under granian"):
            for name, rates in figures.items():
                rates.append(load(ports[name], secret, seconds))
    return figures


@contextmanager
def granian(target: str, environ: Mapping[str, str] = MappingProxyType({})) -> Iterator[int]:
    """Run a factory of an application under granian, with one worker and one thread, and give its port.

    Args:
        target: ``module:factory``.
        environ: more variables of its environment.
    """
    port = _free_port()
    options = f"--interface wsgi --host 127.0.0.1 --port {port} --workers 1 --blocking-threads 1 --no-log --factory"
    with running([sys.executable, "-m", "granian", *options.split(), target], port, environ):
        yield port


@contextmanager
def gthread(target: str, environ: Mapping[str, str] = MappingProxyType({})) -> Iterator[int]:
    """Run the same under gunicorn, with two workers of eight threads each."""
    port = _free_port()
    options = f"--bind 127.0.0.1:{port} --worker-class gthread --workers 2 --threads 8 --log-level error"
    with running([sys.executable, "-m", "gunicorn", *options.split(), f"{target}()"], port, environ):
        yield port


@contextmanager
def running(command: Sequence[str], port: int, environ: Mapping[str, str]) -> Iterator[None]:
    """Run a server until it is not needed any more."""
    server = subprocess.Popen(command, cwd=_ROOT, env={**os.environ, **environ})
    try:
        _await(port, server)
        yield
    finally:
        server.terminate()
        server.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            sleep(0.05)
        else:
            return
    raise WrongAnswerError("a server did not start")


def prove(port: int, name: str, secret: str | None, expected: int) -> None:
    """Ask once, with a token or without.

    Raises:
        WrongAnswerError: when it is not answered as it must.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=10.0)
    connection.request("GET", PATH, headers={} if secret is None else {"Authorization": bearer(secret)})
    answer = connection.getresponse()
    given, body = answer.status, answer.read()
    connection.close()
    if given != expected or (given == 200 and body != BODY):
        raise WrongAnswerError(f"{name}: the answer was {given} and should have been {expected}")


def load(port: int, secret: str, seconds: float) -> float:
    """Load a server from a process of its own, and give the requests a second."""
    command = [sys.executable, "-m", f"{__package__}.load", str(port), bearer(secret), str(CONNECTIONS), str(seconds)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=seconds + 60.0, check=False)
    if done.returncode:
        raise WrongAnswerError(f"under load: {done.stderr.strip()}")
    rate: float = json.loads(done.stdout)["rate"]
    return rate
