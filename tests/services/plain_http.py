"""A WSGI server for tests: HTTP/1.1 that is strict, keeps connections, and tells the application what came as it came.

The environ has ``standin.target`` and ``standin.headers`` (pairs of name and value), decoded as Latin-1 and otherwise
untouched. Headers whose names have an underscore are only there. What is malformed, or could be framed in two ways, is
answered with 400 and never reaches the application: see :attr:`PlainServer.malformed`.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from email.utils import formatdate
from io import BufferedReader
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from services.http_reading import LIMIT, Body, Head, Malformed, read_head

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_REST = 2 * 2**20
"""Bytes that are still read of a body which the application has left; beyond that the connection ends."""


class _Handler(socketserver.StreamRequestHandler):
    server: PlainServer
    rbufsize = LIMIT
    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.timeout = self.server.idle
        super().setup()

    def handle(self) -> None:
        with suppress(ConnectionError, TimeoutError, ssl.SSLError):
            while self._answer_one():
                pass

    def _answer_one(self) -> bool:
        """Answer one request, and say whether there may be another on this connection."""
        try:
            head = read_head(self.rfile)
            if head is None:
                return False
            body = Body(self.rfile, head.length, lambda: self._proceed(head))
            return Answer(self.server, head, body, self.wfile.write).run(self._environ(head, body))
        except Malformed as error:
            self.server.malformed.append(str(error))
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False

    def _proceed(self, head: Head) -> None:
        if head.waits:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _environ(self, head: Head, body: Body) -> dict[str, Any]:
        path, _, query = head.target.partition("?")
        host, port = self.server.server_address[:2]
        environ: dict[str, Any] = {
            "REQUEST_METHOD": head.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": f"HTTP/1.{head.minor}",
            "REMOTE_ADDR": self.client_address[0],
            "standin.target": head.target,
            "standin.headers": head.headers,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self.server.scheme,
            "wsgi.input": BufferedReader(body, LIMIT),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in head.headers:
            if "_" not in name:
                key = name.upper().replace("-", "_")
                key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
                joint = "; " if key == "HTTP_COOKIE" else ","
                environ[key] = f"{environ[key]}{joint}{value}" if key in environ else value
        return environ


class Answer:
    """Lets the application answer a request, and writes what it says."""

    def __init__(self, server: PlainServer, head: Head, body: Body, write: Callable[[bytes], object]) -> None:
        self._server, self._head, self._body, self._write = server, head, body, write
        self._status, self._headers = "", list[tuple[str, str]]()
        self._begun = self._chunked = self._silent = False
        self._last = head.is_last

    def run(self, environ: dict[str, Any]) -> bool:
        """Answer, and say whether the connection can go on."""
        try:
            pieces = self._server.application(environ, self._start)
            try:
                for piece in pieces:
                    self._send(piece)
                self._send(b"", end=True)
            finally:
                if hasattr(pieces, "close"):
                    pieces.close()
        except (Malformed, ConnectionError, TimeoutError, ssl.SSLError):
            raise
        except Exception:  # whatever goes wrong in an application: the test is to hear of it, the server goes on
            self._server.errors.append(traceback.format_exc())
            return False
        return not self._last and self._skip(environ["wsgi.input"])

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], object]:
        self._status, self._headers = status, headers
        return self._send

    def _send(self, piece: bytes, end: bool = False) -> None:
        if not self._begun and (piece or end):
            self._begun = True
            self._write(self._beginning())
        if self._silent:
            return
        if not self._chunked:
            self._write(piece)
        elif piece or end:
            self._write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _beginning(self) -> bytes:
        code, names = int(self._status[:3]), {name.lower() for name, _ in self._headers}
        self._silent = self._head.method == "HEAD" or code in (204, 304)
        headers = [*self._headers, ("Date", formatdate(usegmt=True))]
        if not self._silent and "content-length" not in names:
            self._chunked = self._head.minor == 1
            self._last = self._last or not self._chunked
            headers += [("Transfer-Encoding", "chunked")] if self._chunked else []
        # A client that waits may send the body or not: nobody could tell it from the next request.
        waiting = self._head.waits and not self._body.ended
        self._last = self._last or waiting or ("connection", "close") in {(n.lower(), v) for n, v in self._headers}
        if self._last:
            headers.append(("Connection", "close"))
        lines = [f"HTTP/1.1 {self._status}", *(f"{name}: {value}" for name, value in headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def _skip(self, stream: BufferedReader) -> bool:
        while self._body.taken < _REST and not self._body.ended:
            stream.read(LIMIT)
        return self._body.ended


class PlainServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves an application on the loopback interface, a thread for each connection.

    Args:
        application: what answers.
        port: 0: any that is free.
        context: for TLS; None: plain HTTP.
        idle: seconds after which a connection ends on which nothing comes.

    Attributes:
        connections: how many were opened so far.
        malformed: what was wrong with each request that never reached the application.
        errors: what went wrong in the application, with where.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(
        self, application: WSGIApplication, port: int = 0, context: ssl.SSLContext | None = None, idle: float = 30.0
    ) -> None:
        self.application, self.idle, self._context = application, idle, context
        self.scheme = "https" if context else "http"
        self.connections, self.malformed, self.errors = 0, list[str](), list[str]()
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._open)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        self._watch(None, request)
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._context is None:
            return super().finish_request(request, client_address)
        # The handshake is the connection's own business: it must not keep others waiting.
        request.settimeout(self.idle)
        with suppress(OSError), self._context.wrap_socket(request, server_side=True) as wrapped:
            self._watch(request, wrapped)
            try:
                super().finish_request(wrapped, client_address)
            finally:
                self._watch(wrapped)
        return None

    def _watch(self, gone: socket.socket | None, come: socket.socket | None = None) -> None:
        with self._guard:
            self._open -= {gone}
            self._open |= {come} - {None}

    def shutdown_request(self, request: Any) -> None:
        self._watch(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every connection that there is now, as a server does with those that it finds idle for too long."""
        with self._guard:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        self.errors.append(traceback.format_exc())

    def serve(self) -> threading.Thread:
        """Serve in a thread from now on."""
        thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        return thread

    def stop(self, threads: Iterable[threading.Thread] = ()) -> None:
        """End all."""
        self.shutdown()
        self.hang_up()
        self.server_close()
        for thread in threads:
            thread.join(10)
