"""Greenlets that take turns where threads were thought of, also where gevent patches Python late."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, time
if sys.argv[1] == "early":
    from gevent import monkey; monkey.patch_all()
from wsgiref.util import setup_testing_defaults
from patmiddleware import Issuer, PATMiddleware
from patmiddleware.backends.memory import MemoryStore

class SlowStore(MemoryStore):
    def revision(self):
        time.sleep(0.05)
        return super().revision()

def app(environ, start_response):
    start_response("200 OK", [])
    return [b""]

store = SlowStore()
minted = Issuer(store).mint(owner="alice", name="ci")
gate = PATMiddleware(app, store, audit=sys.argv[2])
if sys.argv[1] == "late":  # as gunicorn does it in a worker, after it loaded the application
    from gevent import monkey; monkey.patch_all()
import gevent

def ask():
    environ, statuses = {"HTTP_AUTHORIZATION": f"Bearer {minted.secret}"}, []
    setup_testing_defaults(environ)
    list(gate(environ, lambda status, headers, exc_info=None: statuses.append(status)))
    return statuses[0]

print(ask())
time.sleep(1.1)  # past the bound: all wait for the revision
print(*{job.get() for job in [gevent.spawn(ask) for _ in range(5)]})
print(gate.close(), store.get(minted.token.id).last_used is not None)
"""


@pytest.mark.parametrize("patched", ["early", "late"])
def test_greenlets_get_their_answers(patched: str, tmp_path: Path) -> None:
    """They wait for each other without stopping the process, and what is written behind them is written."""
    pytest.importorskip("gevent")
    audit = tmp_path / "audit.jsonl"

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, patched, str(audit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.stdout, done.stderr) == ("200 OK\n200 OK\nTrue True\n", "")
    assert len(audit.read_text().splitlines()) == 6


CLOSING = """
from gevent import monkey; monkey.patch_all()
import gevent, socket
from contextlib import suppress
from patmiddleware.forwarder.transport import PooledTransport
from patmiddleware.interfaces import UpstreamRequest

def serve():
    for rest in (b"", b"st"):
        connections.append(listener.accept()[0])
        connections[-1].recv(65_536)
        connections[-1].sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nfir" + rest)

connections, listener = [], socket.create_server(("127.0.0.1", 0))
server = gevent.spawn(serve)
url = f"http://127.0.0.1:{listener.getsockname()[1]}"
transport = PooledTransport(url, connections=1, connect_timeout=5, timeout=20)
request = UpstreamRequest("GET", "/", [])
response = transport.send(request)
stream = response.stream()
print(next(stream))
reader = gevent.spawn(next, stream)
gevent.sleep(0.1)
with suppress(RuntimeError):  # the standard library says that it is read
    response.close()
print(b"".join(transport.send(request).stream()))
reader.kill()
"""


def test_an_answer_that_is_closed_while_another_greenlet_reads_it_frees_its_place() -> None:
    """Another request gets its connection."""
    pytest.importorskip("gevent")

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CLOSING], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.stdout, done.stderr) == ("b'fir'\nb'first'\n", "")
