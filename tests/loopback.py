"""Helper: a small web server on the loopback interface that answers as a test tells it and counts what it is asked."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Asked:
    """One request, as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """What is answered; ``raw`` is sent as it is, instead of all else, with a pause in seconds after each byte."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    raw: bytes | None = None
    pause: float = 0.0
    hang_up: bool = False


Answering = Callable[[Asked], Reply]


class Loopback:
    """A running server.

    Attributes:
        url: its address.
        asked: every request so far.
        connections: how many were opened so far.
        answer: gives the reply to a request; change it at will.
    """

    def __init__(self, answer: Answering, context: ssl.SSLContext | None = None) -> None:
        self.answer, self.asked, self.connections = answer, list[Asked](), 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                asked = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
                outer.asked.append(asked)
                self._reply(outer.answer(asked))

            do_POST = do_GET

            def _reply(self, reply: Reply) -> None:
                if reply.raw is not None:
                    step = len(reply.raw) if not reply.pause else 1
                    for start in range(0, len(reply.raw), step or 1):
                        self.wfile.write(reply.raw[start : start + step])
                        time.sleep(reply.pause)
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)
                # Without a word: the client takes the connection for a good one.
                self.close_connection = self.close_connection or reply.hang_up

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            # Not waited for at the end: a client may still keep its connection.
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                """Say nothing: a client that goes away in the middle is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@contextmanager
def serving(answer: Answering | bytes = b"{}", context: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """A server for the time of a test; bytes are its answer to everything."""
    server = Loopback(answer if callable(answer) else lambda asked: Reply(answer), context)
    try:
        yield server
    finally:
        server.stop()


def authority(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate that vouches for itself, for 127.0.0.1: the file for clients, and what a server needs."""
    import datetime as dt
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, both = folder / "authority.pem", folder / "server.pem"
    text = certificate.public_bytes(serialization.Encoding.PEM)
    public.write_bytes(text)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write_bytes(text + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return public, context
