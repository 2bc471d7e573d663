"""What breaks on either side of the forwarder, over raw sockets and on a server that people use.

A client is never shown a success that was cut short, and nothing is lost of what the next requests need.
"""

from __future__ import annotations

import http.client
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from services.liar import HEAD, Liar, deaf, liar, promise, reset, say, stall
from wire import HOST, Server, is_installed, serving

from patmiddleware import Issuer, open_store
from patmiddleware.interfaces import TokenStore

pytestmark = pytest.mark.skipif(not is_installed("gthread"), reason="needs gunicorn")

CONNECTIONS = 2
SETTINGS = """\
[store]
url = "sqlite:///tokens.db"
[app]
upstream = "{url}"
public_url = "http://127.0.0.1"
auth = {{kind = "bearer", token = {{env = "TOKEN"}}}}
connections = 2
timeout = 1
connect_timeout = 1
"""
WELL = say(HEAD + b"Content-Length: 4\r\n\r\nwell")
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass
class Chain:
    """A gate on a server of its own, and what lies behind it."""

    server: Server
    liar: Liar
    secret: str
    pid: int

    def head(self, method: str, *lines: str) -> bytes:
        own = (f"Host: {HOST}", f"Authorization: Bearer {self.secret}", "Connection: close")
        return "\r\n".join((f"{method} /rest/api/2/myself HTTP/1.1", *own, *lines, "", "")).encode()

    def connect(self, *data: bytes) -> socket.socket:
        connection = socket.create_connection((HOST, self.server.port), timeout=30)
        connection.sendall(b"".join(data))
        return connection

    def ask(self, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
        """Ask as a client of the standard library does, which raises where less comes than was said."""
        client = http.client.HTTPConnection(HOST, self.server.port, timeout=30)
        try:
            client.request(method, "/rest/api/2/myself", body, {"Authorization": f"Bearer {self.secret}"})
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder: Path = tmp_path_factory.mktemp("faults")
    with liar(WELL) as behind:
        (folder / "patmiddleware.toml").write_text(SETTINGS.format(url=behind.url))
        store = open_store(f"sqlite:///{folder}/tokens.db")
        assert isinstance(store, TokenStore)
        secret = Issuer(store).mint(owner="alice", name="test", scopes=()).secret
        environ = {"PATMIDDLEWARE_CONFIG": str(folder / "patmiddleware.toml"), "TOKEN": "of-the-upstreams"}
        with serving("gthread", folder, "pid_app:application", environ) as server:
            yield Chain(server, behind, secret, int(server.ask("/pid").body.split()[1]))  # of one chunk


@pytest.fixture
def chain(running: Chain) -> Iterator[Chain]:
    """A chain that is well before the test, and must be as well after it: each connection, and each descriptor."""
    for _ in range(CONNECTIONS + 1):
        assert running.ask() == (200, b"well")
    wait(lambda: running.liar.open_connections == 0)  # else a request may go over one that is about to end
    before = running.descriptors
    yield running
    running.liar.script = WELL
    assert [running.ask() for _ in range(2 * CONNECTIONS + 1)] == [(200, b"well")] * (2 * CONNECTIONS + 1)
    wait(lambda: running.descriptors <= before)


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)


def reset_by_client(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


REFUSING = {
    "never answers": (stall(), 504),
    "stops in the head": (stall(HEAD), 504),
    "drips its head": (say(HEAD, *[b"x"] * 400, pause=0.05), 504),
    "resets": (reset(), 502),
    "resets in the head": (reset(HEAD), 502),
    "closes": (say(), 502),
    "talks nonsense": (say(b"nonsense\r\n\r\n"), 502),
    "two lengths": (say(HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nwell"), 502),
}


@pytest.mark.parametrize(("script", "status"), REFUSING.values(), ids=REFUSING)
def test_an_upstream_without_an_answer_is_an_outage(chain: Chain, script: Callable[..., None], status: int) -> None:
    """502, or 504 where it takes too long; as often as there are connections, and once more."""
    chain.liar.script = script

    assert [chain.ask()[0] for _ in range(CONNECTIONS + 1)] == [status] * (CONNECTIONS + 1)


CUT = {
    "closes early": promise(100, b"only some"),
    "resets early": reset(HEAD + b"Content-Length: 100\r\n\r\nonly some"),
    "stalls": stall(HEAD + b"Content-Length: 100\r\n\r\nonly some"),
    "closes between chunks": say(CHUNKED + b"4\r\nsome\r\n"),
    "closes in a chunk": say(CHUNKED + b"9\r\nsome"),
    "stalls between chunks": stall(CHUNKED + b"4\r\nsome\r\n"),
    "resets between chunks": reset(CHUNKED + b"4\r\nsome\r\n"),
    "no chunk": say(CHUNKED + b"4\r\nsome\r\nnonsense\r\n"),
}


@pytest.mark.parametrize("script", CUT.values(), ids=CUT)
def test_an_answer_that_is_cut_short_looks_so(chain: Chain, script: Callable[..., None]) -> None:
    """Its client sees that something is missing, or hears of an outage; it never sees a whole answer."""
    chain.liar.script = script

    for _ in range(CONNECTIONS + 1):
        try:
            status, _ = chain.ask()
        except (http.client.IncompleteRead, ConnectionError):
            continue
        assert status in (502, 504)


def test_an_upstream_that_takes_no_upload_is_too_slow(chain: Chain) -> None:
    """What lies between fills up, and each piece has its time. A client that goes on sending may miss the answer."""
    chain.liar.script = deaf()

    for _ in range(CONNECTIONS + 1):
        try:
            status, _ = chain.ask("POST", bytes(16 * 2**20))
        except ConnectionError:
            continue
        assert status == 504


UPLOADS = {
    "a length": ("Content-Length: 1000000", b"x" * 1_000),
    "chunks": ("Transfer-Encoding: chunked", b"3e8\r\n" + b"x" * 1_000 + b"\r\n"),
}


@pytest.mark.parametrize("end", [reset_by_client, socket.socket.close], ids=["reset", "close"])
@pytest.mark.parametrize(("framing", "part"), UPLOADS.values(), ids=UPLOADS)
def test_a_client_that_leaves_in_mid_upload_takes_nothing_along(
    chain: Chain, framing: str, part: bytes, end: Callable[[socket.socket], None]
) -> None:
    """It may have stalled before. The upstream never takes what came for the whole."""
    heard: list[bytes] = []

    def hearing(connection: socket.socket) -> None:
        while piece := connection.recv(65_536):
            heard.append(piece)

    chain.liar.script = hearing
    before = chain.liar.connections
    clients = [chain.connect(chain.head("POST", framing), part) for _ in range(CONNECTIONS)]
    wait(lambda: chain.liar.connections == before + CONNECTIONS)

    for client in clients:
        end(client)

    wait(lambda: chain.liar.open_connections == 0)
    assert b"\r\n0\r\n\r\n" not in b"".join(heard)


def test_a_client_that_leaves_in_mid_download_takes_nothing_along(chain: Chain) -> None:
    """The upstream, which would send without end, is left as well."""

    def endless(connection: socket.socket) -> None:
        say(CHUNKED)(connection)
        while True:
            connection.sendall(b"1000\r\n" + b"x" * 4_096 + b"\r\n")

    chain.liar.script = endless
    for _ in range(CONNECTIONS + 1):
        client = chain.connect(chain.head("GET"))
        assert client.recv(16)
        reset_by_client(client)

    wait(lambda: chain.liar.open_connections == 0)
