"""nginx with server blocks of somebody else's, and all that it writes in one folder; and what asks it over TLS."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import NamedTuple

from services.running import HOST, Service, listens, program

_MAIN = """
{user}
pid {home}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    {includes}
}}
"""
# Tests run as root in many a container; then the socket of the server behind is root's.
_USER = "user root;" if os.geteuid() == 0 else ""


class Answer(NamedTuple):
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Front:
    """A running nginx.

    Attributes:
        port: where it listens.
        service: the program.
    """

    def __init__(self, port: int, certificate: Path, service: Service) -> None:
        self.port, self.service = port, service
        self._context = ssl.create_default_context(cafile=str(certificate))

    def connect(self, host: str) -> ssl.SSLSocket:
        """Open a connection to one of its hosts, whatever its name means elsewhere."""
        plain = socket.create_connection((HOST, self.port), timeout=30)
        return self._context.wrap_socket(plain, server_hostname=host)

    def ask(
        self, host: str, target: str, *lines: str, method: str = "GET", body: bytes | None = None, length: str = ""
    ) -> Answer:
        """Send a request, byte for byte as it is given, and take the answer.

        Args:
            host: one of the names in the certificate.
            target: of the request line.
            lines: of its head.
            method: of the request.
            body: of the request.
            length: the line that says how long it is; left out: its Content-Length.
        """
        framed = () if body is None else (length or f"Content-Length: {len(body)}",)
        head = (f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, *framed, "Connection: close", "", "")
        with closing(self.connect(host)) as connection:
            connection.sendall("\r\n".join(head).encode("latin-1") + (body or b""))
            return answer(connection, method)


def answer(connection: socket.socket, method: str = "GET") -> Answer:
    """Take an answer to its end."""
    response = HTTPResponse(connection, method=method)
    try:
        response.begin()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        response.close()


def certificate(home: Path, *hosts: str) -> tuple[Path, Path]:
    """Make a certificate that vouches for itself, and its key."""
    names = ",".join(f"DNS:{host}" for host in hosts)
    made = home / "certificate.pem", home / "certificate.key"
    command = [
        program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "2", "-subj", "/CN=a test", "-addext", f"subjectAltName={names}", "-keyout", str(made[1]),
        "-out", str(made[0]),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return made


@contextmanager
def nginx(home: Path, port: int, certificate: Path, *includes: Path) -> Iterator[Front]:
    """Run nginx.

    Args:
        home: folder for all that it writes.
        port: that a server block listens at.
        certificate: that the server blocks show.
        includes: files with what stands in ``http``, in this order.
    """
    settings = home / "nginx.conf"
    lines = "\n    ".join(f"include {path};" for path in includes)
    settings.write_text(_MAIN.format(home=home, user=_USER, includes=lines))
    command = [program("nginx"), "-p", str(home), "-e", "stderr", "-c", str(settings), "-g", "daemon off;"]
    service = Service(command, home / "nginx.log", lambda: listens(port))
    service.start()
    try:
        yield Front(port, certificate, service)
    finally:
        service.stop()
