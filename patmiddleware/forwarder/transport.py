"""The way out: to one upstream, over connections of urllib3 that are kept alive."""

from __future__ import annotations

import os
import re
import ssl
import threading
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError, UpstreamError, UpstreamTimeout
from ..interfaces import UpstreamRequest, UpstreamResponse
from .heads import StrictResponse
from .response import PooledResponse, in_words

try:
    import urllib3
    from urllib3.exceptions import (
        ConnectTimeoutError,
        EmptyPoolError,
        HTTPError,
        NewConnectionError,
        ProtocolError,
        ProxyError,
        ReadTimeoutError,
        SSLError,
    )
    from urllib3.util import SKIP_HEADER
except ImportError as error:
    raise ConfigurationError(
        "forwarding needs urllib3", setting="app.upstream", hint="pip install 'patmiddleware[forward]'"
    ) from error

if TYPE_CHECKING:
    from urllib3 import HTTPConnectionPool

_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))  # RFC 9110, section 9.2.2
_ADDED = ("User-Agent", "Accept-Encoding")  # by urllib3, where they are missing
_NEVER = urllib3.Retry(False, redirect=False)
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_FINGERPRINT = re.compile(r"(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}", re.IGNORECASE)


class PooledTransport:
    """Sends to one server. Connections are made when first needed, and never shared with a forked child.

    Args:
        upstream: http or https address; its path is not looked at.
        connections: kept at most, in one process; a request waits for one to come free, up to ``connect_timeout``.
        connect_timeout: seconds for reaching the server.
        timeout: seconds for each wait: for the whole head of the answer, for the next piece of its body, for a piece to
            be taken.
        ca_file: PEM file of the only authorities that may vouch for the server; None: those of the system.
        fingerprint: SHA-256 of the server's certificate, in hex: with it no other is taken, and no authority asked
            unless ``ca_file`` is given.
        proxy: address of an HTTP proxy on the way; none is taken from the environment.

    Raises:
        ConfigurationError: when one of them can't be used.
    """

    def __init__(
        self,
        upstream: str,
        *,
        connections: int = 64,
        connect_timeout: float = 5.0,
        timeout: float = 60.0,
        ca_file: str | os.PathLike[str] | None = None,
        fingerprint: str | None = None,
        proxy: str | None = None,
    ) -> None:
        self._scheme, self._host, self._port = server(upstream, "app.upstream")
        self._shown = f"{self._host}:{self._port}"
        self._options: dict[str, Any] = {
            "maxsize": connections,
            "block": True,
            "timeout": urllib3.Timeout(connect=connect_timeout, read=timeout),
            **(_trust(ca_file, fingerprint) if self._scheme == "https" else {}),
        }
        self._waiting, self._reading = connect_timeout, timeout
        self._proxy = proxy
        if proxy is not None:
            server(proxy, "app.proxy")
        # Through a proxy a clear-text target is the whole address.
        in_clear = self._proxy is not None and self._scheme == "http"
        self._prefix = f"http://{_netloc(self._host, self._port)}" if in_clear else ""
        self._pools: dict[int, HTTPConnectionPool] = {}
        self._here = threading.local()

    def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send a request, and give the answer once its headers are there.

        A kept connection that the server closed meanwhile is found out only in sending: then once more, where that can
        do no harm (the method is idempotent, and the body can be sent again).

        Raises:
            UpstreamError: when the server can't be reached, can't be trusted, or breaks off.
            UpstreamTimeout: when it takes too long.
        """
        again = request.method in _IDEMPOTENT and (request.body is None or isinstance(request.body, bytes))
        while True:
            self._here.connected = False
            try:
                return PooledResponse(self._sent(request), self._shown)
            except ProtocolError as error:
                # Over a connection that was just made the server had the request, and may have done what it says.
                if not again or self._here.connected or _timed_out(error):
                    raise self._told(error) from error
                again = False
            except HTTPError as error:
                raise self._told(error) from error

    def close(self) -> None:
        """Close the connections that are kept; the next request makes new ones."""
        for pool in [self._pools.pop(pid) for pid in list(self._pools)]:
            pool.close()

    def _sent(self, request: UpstreamRequest) -> StrictResponse:
        headers = dict(request.headers)
        for name in _ADDED:
            if name not in headers:
                headers[name] = SKIP_HEADER
        if request.length is not None and request.body is not None and not isinstance(request.body, bytes):
            headers["Content-Length"] = str(request.length)
        answer: Any = self._pool().urlopen(
            request.method,
            self._prefix + request.target,
            body=request.body,
            headers=headers,
            redirect=False,
            retries=_NEVER,
            preload_content=False,
            decode_content=False,
            assert_same_host=False,
            pool_timeout=self._waiting,  # type: ignore[arg-type]  # parts of a second are good as well
        )
        return answer  # type: ignore[no-any-return]  # what Patient.getresponse gives

    def _pool(self) -> HTTPConnectionPool:
        pid = os.getpid()
        if pid not in self._pools:
            # The parent's are left to it. Of two threads that come at once one pool stays; the other is empty.
            self._pools = {pid: self._made()}
        return self._pools[pid]

    def _made(self) -> HTTPConnectionPool:
        if self._proxy is not None:
            manager = urllib3.ProxyManager(self._proxy, **self._options)
            pool: HTTPConnectionPool = manager.connection_from_host(self._host, self._port, self._scheme)
        elif self._scheme == "https":
            pool = urllib3.HTTPSConnectionPool(self._host, self._port, **self._options)
        else:
            pool = urllib3.HTTPConnectionPool(self._host, self._port, **self._options)
        pool.ConnectionCls = _patient(pool.ConnectionCls, self._reading, self._here)
        return pool

    def _told(self, error: HTTPError) -> UpstreamError:
        """Give what went wrong in words; for the log and the audit, for they name the server."""
        if isinstance(error, EmptyPoolError):
            return UpstreamTimeout(f"all {self._options['maxsize']} connections to {self._shown} are taken")
        if _timed_out(error):
            return UpstreamTimeout(f"{self._shown} takes too long")
        if isinstance(error, SSLError):
            return UpstreamError(f"{self._shown} can't be trusted: {in_words(error)}")
        if isinstance(error, ProxyError):
            return UpstreamError(f"the proxy to {self._shown} does not let us through: {in_words(error)}")
        if isinstance(error, NewConnectionError):
            return UpstreamError(f"{self._shown} can't be reached: {in_words(error)}")
        return UpstreamError(f"{self._shown} broke off: {in_words(error)}")


def _timed_out(error: HTTPError) -> bool:
    """Whether something took too long; while sending, older versions of urllib3 tell it as a broken connection."""
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError) and not isinstance(error, NewConnectionError):
        return True
    return isinstance(error, ProtocolError) and any(isinstance(item, TimeoutError) for item in error.args)


def _patient(kind: Any, seconds: float, here: threading.local) -> Any:  # Any: of urllib3
    """Give a kind of connections on which sending may take as long as reading may, once they stand.

    Args:
        kind: of which they are otherwise.
        seconds: to wait.
        here: gets ``connected`` where this thread made one.
    """

    class Patient(kind):  # type: ignore[misc]
        response_class = StrictResponse

        def connect(self) -> None:
            here.connected = True
            super().connect()
            # Else it would stay what connecting may take, for whatever is sent first.
            self.sock.settimeout(seconds)

        def getresponse(self) -> HTTPResponse:
            # Not urllib3's: it wraps the answer once more, which takes as long as reading all of a small one.
            self.sock.settimeout(self.timeout)
            return HTTPConnection.getresponse(self)

    return Patient


def server(url: str, setting: str) -> tuple[str, str, int]:
    """Give scheme, host and port of an address.

    Raises:
        ConfigurationError: when it is none, or a password, a query or a fragment stands in it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _no_address(setting) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise _no_address(setting)
    if parts.username is not None or parts.query or parts.fragment or url.endswith(("?", "#")):
        message = "neither a user, a query nor a fragment may stand in the address"  # not shown: it may be a password
        raise ConfigurationError(message, setting=setting)
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)


def _no_address(setting: str) -> ConfigurationError:
    return ConfigurationError("it is no address of a server", setting=setting, hint="write https://HOST/PATH")


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _trust(ca_file: str | os.PathLike[str] | None, fingerprint: str | None) -> dict[str, Any]:
    """Give what urllib3 must be told, so that only the right server is taken for it."""
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else os.fspath(ca_file))
    except (OSError, ssl.SSLError) as error:
        message = "the file of authorities can't be read, or holds none"
        raise ConfigurationError(message, setting="app.ca_file") from error
    if fingerprint is None:
        return {"ssl_context": context}
    if not _FINGERPRINT.fullmatch(fingerprint):
        hint = "openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE"
        raise ConfigurationError("it is no SHA-256 of a certificate", setting="app.fingerprint", hint=hint)
    if ca_file is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the very certificate is known
    return {"ssl_context": context, "assert_fingerprint": fingerprint}
