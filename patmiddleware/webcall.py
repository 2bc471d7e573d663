"""Calls one web server that the settings name: bounded in time and size, and led nowhere else.

No redirect is followed, no proxy is taken from the environment, no credential from a ``.netrc``; nothing is decoded
that could grow. Connections are kept alive, made when first needed, and never shared with a forked child.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from functools import partial
from http.client import HTTPException, HTTPResponse
from io import BufferedReader, RawIOBase
from ipaddress import ip_address
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from .errors import BackendUnavailable, ConfigurationError

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

_PIECE = 16_384
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class Answer(NamedTuple):
    """What a server answered: its status, and its body."""

    status: int
    body: bytes


class Target(NamedTuple):
    """An address, taken apart."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """The server, for messages."""
        return f"{self.host}:{self.port}"


def target(url: str, setting: str) -> Target:
    """Take the address of a server apart.

    Raises:
        ConfigurationError: when it is none, holds a password or a fragment, or is neither https nor on this machine.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigurationError("it is no address of a server", setting=setting) from error
    unlike = not _PRINTABLE.fullmatch(url) or "\\" in url or port == 0
    if parts.scheme not in ("https", "http") or not host or unlike:
        raise ConfigurationError("it is no address of a server", setting=setting, hint="write https://HOST/PATH")
    if parts.username is not None or parts.fragment or "#" in url:
        # Its words are not shown: there may be a password in it.
        raise ConfigurationError("neither a user nor a fragment may stand in the address", setting=setting)
    secure = parts.scheme == "https"
    if not secure and not is_loopback(host):
        raise ConfigurationError("http:// is for this machine alone", setting=setting, hint="write https://")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(secure, host, port or (443 if secure else 80), path)


def is_loopback(host: str) -> bool:
    """Whether a host of an address is this machine for certain."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class WebCaller:
    """Calls one address.

    Args:
        url: https, or http on this machine.
        setting: where the address stands, for messages.
        extra: of this package, that brings urllib3 along.
        ca_file: PEM file of the only authorities that may vouch for the server; None: those of the system.
        timeout: seconds for the whole of an answer, and for each wait on the way to it.
        connections: kept at most; a call waits for one to come free, up to the timeout.
        largest: bytes that an answer may have.

    Raises:
        ConfigurationError: when urllib3 is missing, or a setting can't be one.
    """

    def __init__(
        self,
        url: str,
        *,
        setting: str,
        extra: str,
        ca_file: str | os.PathLike[str] | None = None,
        timeout: float = 5.0,
        connections: int = 4,
        largest: int = 65_536,
    ) -> None:
        try:
            import urllib3
        except ImportError as error:
            hint = f"pip install 'patmiddleware[{extra}]'"
            raise ConfigurationError("calling a server needs urllib3", setting=setting, hint=hint) from error
        self.target = target(url, setting)
        self._urllib3, self._timeout, self._connections, self._largest = urllib3, timeout, connections, largest
        self._context = _context(ca_file) if self.target.secure else None
        self._pools: dict[int, HTTPConnectionPool] = {}

    def __repr__(self) -> str:
        return f"<WebCaller of {self.target.origin}>"

    def call(self, method: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Ask once; a kept connection that has died meanwhile is replaced, once.

        Raises:
            BackendUnavailable: when there is no whole answer in time. Neither the body nor a header is in its message.
        """
        try:
            try:
                return self._ask(method, headers, body)
            except self._urllib3.exceptions.ProtocolError:
                # The server may have closed a kept connection at the very moment. What we ask changes nothing there.
                return self._ask(method, headers, body)
        except (self._urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # Not the words of the error: some quote what was sent.
            raise BackendUnavailable(f"{self.target.origin} does not answer ({_why(error)})") from error

    def close(self) -> None:
        """Close the connections that are kept; the next call makes new ones."""
        for pool in [self._pools.pop(pid) for pid in list(self._pools)]:
            pool.close()

    def _ask(self, method: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        deadline = monotonic() + self._timeout
        plain = {"User-Agent": "patmiddleware", "Accept-Encoding": "identity", **headers}
        response = self._pool().urlopen(
            method,
            self.target.path,
            body=body,
            headers=plain,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            pool_timeout=self._timeout,  # type: ignore[arg-type]  # parts of a second are good as well
        )
        try:
            read = self._read(response, deadline)
        except BaseException:  # whatever it was: half an answer must not stay in a connection that is used again
            response.close()
            raise
        finally:
            response.release_conn()
        return Answer(response.status, read)

    def _read(self, response: BaseHTTPResponse, deadline: float) -> bytes:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise ValueError("an encoding that was not asked for")
        read = bytearray()
        while piece := response.read1(_PIECE):
            read += piece
            if len(read) > self._largest:
                raise ValueError(f"more than {self._largest} bytes")
            if monotonic() > deadline:
                raise TimeoutError(f"not whole within {self._timeout:g} s")
        return bytes(read)

    def _pool(self) -> HTTPConnectionPool:
        pid = os.getpid()
        if pid not in self._pools:
            # The parent's are left to it. Of two threads that come at once one pool stays; the other is empty.
            self._pools = {pid: self._made()}
        return self._pools[pid]

    def _made(self) -> HTTPConnectionPool:
        secure, host, port, _ = self.target
        wait = self._urllib3.Timeout(connect=self._timeout, read=self._timeout)
        options: dict[str, Any] = {"timeout": wait, "maxsize": self._connections, "block": True}
        pool: HTTPConnectionPool
        if secure:
            pool = self._urllib3.HTTPSConnectionPool(host, port, **options, ssl_context=self._context)
        else:
            pool = self._urllib3.HTTPConnectionPool(host, port, **options)
        pool.ConnectionCls = partial(_connection, pool.ConnectionCls)  # type: ignore[assignment]  # it is only called
        return pool


# Any: as the pool calls it.
def _connection(kind: Any, **options: Any) -> Any:
    made = kind(**options)
    made.response_class = _InTime
    return made


class _InTime(HTTPResponse):
    """An answer that is here in time, or not at all: a socket's own timeout begins anew with each byte.

    Args:
        sock: with the time that the whole answer has, its headers too.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # Any: as a connection calls it
        super().__init__(sock, *args, **kwargs)
        time: float = sock.gettimeout() or 0.0
        self.fp = BufferedReader(_Bounded(self.fp.detach(), sock, monotonic() + time))

    def begin(self) -> None:
        """Read the head of the answer itself: interim ones are passed over (RFC 9110, section 15.2).

        ``http.client`` knows 100 alone, and would leave what comes behind another to whoever asks next.

        Raises:
            HTTPException: when the server goes over to something else than HTTP.
        """
        super().begin()
        while self.status < 200:
            if self.status == 101:
                raise HTTPException("no other protocol was asked for")
            self.headers = self.msg = None  # type: ignore[assignment]  # or else it has begun already
            super().begin()


class _Bounded(RawIOBase):
    """What a socket gives until a deadline."""

    def __init__(self, raw: RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _context(ca_file: str | os.PathLike[str] | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else os.fspath(ca_file))
    except (OSError, ssl.SSLError, TypeError) as error:  # the last for what is no path
        message = "the file of authorities can't be read, or holds none"
        raise ConfigurationError(message, setting="store.ca_file") from error


def _why(error: Exception) -> str:
    """Say in our own words what went wrong."""
    if type(error) in (ValueError, TimeoutError):
        return str(error)  # these are ours
    inner = [item for item in (*error.args, error.__cause__, error.__context__) if isinstance(item, Exception)]
    for cause in (error, *inner):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {cause.verify_message}"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        if "Timeout" in type(cause).__name__:
            return "it took too long"
        if type(cause).__name__ == "EmptyPoolError":
            return "so many calls to it go on that none came free in time"
    return type(error).__name__
