"""Start a program on the loopback interface, with all its state in a folder of its own, and end it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import SystemRandom

import pytest

HOST = "127.0.0.1"
STARTING = 60.0
"""Seconds in which a server must be ready."""
ENDING = 30.0
"""Seconds in which it must have ended when it is asked to."""


def free_port() -> int:
    """Give a port that nobody listens at.

    It is none of those that the system gives to whoever asks for any, nor to clients (from 32,768 on Linux): so between
    this and its use, or while its server is stopped, no other test gets it.
    """
    while True:
        # The system's chance: a seed would give the same ports to tests that run beside each other.
        port = SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port


def program(name: str, *folders: str) -> str:
    """Give the path of a program, or skip the test with the reason that it is missing."""
    found = shutil.which(
        name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *folders))
    )
    if found is None:
        pytest.skip(f"needs the program {name}")
    return found


@contextmanager
def folder(owner: str | None = None) -> Iterator[Path]:
    """Give a folder that other users can enter, owned by one of them where we may, and remove it."""
    path = Path(tempfile.mkdtemp(prefix="pat"))
    try:
        path.chmod(0o755)
        if owner is not None and os.geteuid() == 0:
            shutil.chown(path, owner, owner)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def listens(port: int) -> bool:
    """Whether somebody listens at a port."""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


class Service:
    """A server that can be started, stopped, killed, and started again at the same port.

    Args:
        command: to run it in the foreground.
        log: where its output goes.
        is_ready: whether it answers.
        ending: the signal that ends it in an orderly way.
        environment: more variables for it.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        is_ready: Callable[[], bool],
        *,
        ending: signal.Signals = signal.SIGTERM,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command, self._log, self._is_ready, self._ending = command, log, is_ready, ending
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, cwd="/", env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._is_ready():
                return
            time.sleep(0.02)
        self.stop()
        raise AssertionError(f"{self._command[0]} does not start: {self._log.read_text(errors='replace')[-3_000:]}")

    def stop(self) -> None:
        """End it in an orderly way."""
        self._end(self._ending)

    def kill(self) -> None:
        """End it as a power cut does."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it say nothing any more, though it is there."""
        self._signal(signal.SIGSTOP)
        for pid in (self.pid, *_children(self.pid)):
            stopped(pid)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, what: signal.Signals) -> None:
        for pid in (self.pid, *_children(self.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, what)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        for pid in (process.pid, *_children(process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(ENDING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(ENDING)


def stopped(pid: int) -> None:
    """Wait until a process that was told to stop has: on a busy machine it may go on for a while."""
    deadline = time.monotonic() + ENDING
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                return
        except OSError:
            return  # it is gone
        time.sleep(0.005)


def _children(pid: int) -> list[int]:
    """Give the processes that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # After the name, which may hold blanks: the state, then the parent.
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(status.parent.name))
    return found
