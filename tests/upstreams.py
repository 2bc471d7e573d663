"""Helper: an upstream on the loopback interface that is a function, and a plain way to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from werkzeug import Request, Response
from werkzeug.serving import WSGIRequestHandler, make_server

from patmiddleware.errors import UpstreamError
from patmiddleware.interfaces import Caller, Headers, UpstreamRequest
from patmiddleware.model import Grant, Secret

Answering = Callable[[Request], Response]

ALICE = Caller(Grant(token_id="t1", owner="alice"), Secret("abc"))


class Site:
    """A running upstream.

    Attributes:
        url: its address, with a context path.
        asked: every request so far.
    """

    def __init__(self, answer: Answering, context_path: str) -> None:
        self.asked: list[Request] = []

        @Request.application
        def application(request: Request) -> Response:
            request.get_data()
            self.asked.append(request)
            return answer(request)

        class Quiet(WSGIRequestHandler):
            def log(self, *arguments: object) -> None:
                pass

        self._server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.port}{context_path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@contextmanager
def serving(answer: Answering, context_path: str = "/jira") -> Iterator[Site]:
    """An upstream for the time of a test."""
    site = Site(answer, context_path)
    try:
        yield site
    finally:
        site.stop()


def target(request: Request) -> str:
    """What stood in the request line."""
    raw: str = request.environ["RAW_URI"]
    return raw


class PlainResponse:
    """An answer, read from its connection."""

    def __init__(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        self._connection, self._response = connection, response
        self.status, self.reason = response.status, response.reason
        self.headers: Headers = response.getheaders()

    def stream(self) -> Iterator[bytes]:
        try:
            while piece := self._response.read1(65_536):
                yield piece
        except (OSError, HTTPException) as error:
            raise UpstreamError("the upstream broke off") from error

    def close(self) -> None:
        self._response.close()
        self._connection.close()


class PlainTransport:
    """Sends as it is told, over a connection for each request.

    Args:
        url: of the upstream; a host and a port are what counts.
        timeout: seconds for each wait.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._timeout = parts.hostname or "", parts.port, timeout

    def send(self, request: UpstreamRequest) -> PlainResponse:
        connection = HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.putrequest(request.method, request.target, skip_accept_encoding=True)
            for name, value in request.headers:
                connection.putheader(name, value)
            if request.length is not None:
                connection.putheader("Content-Length", str(request.length))
            body: Any = request.body
            connection.endheaders(body)
            return PlainResponse(connection, connection.getresponse())
        except (OSError, HTTPException) as error:
            connection.close()
            raise UpstreamError("the upstream can't be reached") from error


def get(path: str = "/jira/rest/api/2/myself", *headers: tuple[str, str]) -> UpstreamRequest:
    """A request as the forwarder makes it, before it is somebody's."""
    return UpstreamRequest("GET", path, (("Accept", "*/*"), *headers))
