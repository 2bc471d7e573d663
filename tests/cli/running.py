"""A command that serves, as a real process, and requests to it over real HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]


def environ(**more: str) -> dict[str, str]:
    """Give the environment to run a command in: our package is found, and no settings but those that are named.

    Python's dev mode is for the tests themselves: in a command it would warn on the very output that they look at. And
    a command must send its output on by itself where somebody waits for it.
    """
    left = ("PATMIDDLEWARE_CONFIG", "PYTHONDEVMODE", "PYTHONUNBUFFERED", "PYTHONWARNINGS")
    own = {name: value for name, value in os.environ.items() if name not in left}
    return {**own, "PYTHONPATH": str(ROOT), **more}


@dataclass
class Answer:
    """What a server said."""

    status: int
    headers: http.client.HTTPMessage
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


def request(method: str, url: str, headers: dict[str, str] | None = None, body: str | None = None) -> Answer:
    """Make one request."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request(method, parts.path, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read().decode())
    finally:
        connection.close()


def as_curl(command: str) -> Answer:
    """Do what a line of curl says, without curl."""
    words = iter(shlex.split(command))
    assert next(words) == "curl"
    headers, body, url, jar = {}, None, "", None
    for word in words:
        match word:
            case "-i":
                pass
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-u":
                headers["Authorization"] = "Basic " + base64.b64encode(next(words).encode()).decode()
            case "-d":
                body = next(words)
            case "-b":
                headers["Cookie"] = Path(next(words)).read_text()
            case "-c":
                jar = Path(next(words))
            case _:
                url = word
    answer = request("POST" if body else "GET", url, headers, body)
    if jar is not None:
        jar.write_text(answer.headers["Set-Cookie"].partition(";")[0])
    return answer


@contextmanager
def running(words: Sequence[str], cwd: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """Run a command until the end of the block; a process that is left then is ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "patmiddleware", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environ(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def started(process: subprocess.Popen[str]) -> Any:
    """Give the document that a command with ``--json`` begins with."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def ended(process: subprocess.Popen[str], by: signal.Signals) -> tuple[int, str, str]:
    """End a process by a signal, and give its exit code and what it said since."""
    process.send_signal(by)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err
