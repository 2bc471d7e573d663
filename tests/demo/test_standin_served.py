"""The server that tests put the stand-in on: raw bytes in, strict HTTP/1.1, and connections that are kept."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from services.jira import JiraServer, jira
from services.liar import Script, deaf, liar, promise, reset, say, stall

INFO = b"/rest/api/2/serverInfo"
SINK = b"POST /plugins/servlet/standin/sink HTTP/1.1\r\nHost: x\r\n"


def send(server: JiraServer, data: bytes, more: bytes = b"") -> bytes:
    """Send bytes as they are, and more once something came back; give all that came up to the end."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as connection:
        connection.sendall(data)
        received = connection.recv(65_536)
        if more:
            connection.sendall(more)
        while received and (piece := connection.recv(65_536)):
            received += piece
    return received


def statuses(received: bytes) -> list[int]:
    """Give the status of each answer."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


# -- what came, as it came ---------------------------------------------------------------------------------------------


def test_target_and_headers_are_logged_as_they_came(jira_server: JiraServer) -> None:
    """No escape is read, no case changed, no header joined, hidden or dropped."""
    target = b"/rest/api/2/../2//serverInfo;x=1/%2e%2E%2f?a=%zz&a=|&%C3%A9=\xc3\xa9"
    lines = [
        b"HOST: x",
        b"x-a:1",
        b"X-A:  2 ",
        b"x_a: 3",
        b"Cookie: a=b",
        b"Cookie: c=d",
        b"X-B: \xe9",
        b"Connection: close",
    ]

    send(jira_server, b"GET " + target + b" HTTP/1.1\r\n" + b"\r\n".join(lines) + b"\r\n\r\n")

    (seen,) = jira_server.log
    assert seen.target == target.decode("latin-1")
    assert seen.headers == (
        *(("HOST", "x"), ("x-a", "1"), ("X-A", "2"), ("x_a", "3"), ("Cookie", "a=b"), ("Cookie", "c=d")),
        *(("X-B", "\xe9"), ("Connection", "close")),
    )
    assert seen.all("x-a") == ["1", "2"]


def test_underscores_name_no_header(jira_server: JiraServer) -> None:
    """A header that only looks like another in the environ isn't taken for it."""
    token, form = jira_server.pat("alice").encode(), b"Content-Type: multipart/form-data; boundary=b\r\n"
    head = b"POST /rest/api/2/issue/DEMO-1/attachments HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + form

    received = send(jira_server, head + b"X_Atlassian_Token: no-check\r\nAuthorization: Bearer " + token + b"\r\n\r\n")

    assert statuses(received) == [403]
    assert ("X_Atlassian_Token", "no-check") in jira_server.log[0].headers


# -- connections -------------------------------------------------------------------------------------------------------


def test_connections_are_kept(jira_server: JiraServer) -> None:
    """Many requests go over one connection, with bodies read or not."""
    connection = http.client.HTTPConnection(urlsplit(jira_server.url).netloc, timeout=60)
    told = []
    for path in ("/rest/api/2/serverInfo", "/plugins/servlet/standin/sink", "/rest/api/2/nothing"):
        connection.request("POST", path, b"x" * 100_000)
        answer = connection.getresponse()
        told.append(answer.status)
        answer.read()
    connection.close()

    assert told == [405, 200, 404]
    assert jira_server.server.connections == 1


@pytest.mark.parametrize(
    ("version", "header", "kept"),
    [
        ("1.1", "X: y", True),
        ("1.1", "Connection: close", False),
        ("1.1", "Connection: x, Close", False),
        ("1.0", "X: y", False),
    ],
)
def test_the_client_may_end_a_connection(jira_server: JiraServer, version: str, header: str, kept: bool) -> None:
    """It goes on unless one of the two wants it to end."""
    request = f"GET {INFO.decode()} HTTP/{version}\r\nHost: x\r\n{header}\r\n\r\n".encode()
    last = b"GET " + INFO + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    received = send(jira_server, request + last)

    assert statuses(received) == ([200, 200] if kept else [200])


def test_the_server_may_hang_up() -> None:
    """An idle connection ends after a while, or at once when the test says so, and none is left at the end."""
    with jira(idle=0.2) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        connection.request("GET", INFO.decode())
        connection.getresponse().read()
        assert server.server.open_connections == 1
        assert connection.sock.recv(1) == b""
        connection.close()
    with jira() as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        connection.request("GET", INFO.decode())
        connection.getresponse().read()
        server.server.hang_up()
        assert connection.sock.recv(1) == b""
        connection.close()
        _until(lambda: server.server.open_connections == 0)


def _until(holds: Any) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_the_body_is_asked_for_when_it_is_wanted(jira_server: JiraServer) -> None:
    """``Expect: 100-continue`` is answered before the body is read."""
    head = SINK + b"Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"

    received = send(jira_server, head, b"abc")

    assert statuses(received) == [100, 200]
    assert json.loads(received.rpartition(b"\r\n\r\n")[2])["bytes"] == 3


def test_a_refused_body_is_not_asked_for(jira_server: JiraServer) -> None:
    """Who waits, and is refused, hears the refusal at once, and the connection ends."""
    head = b"POST /rest/api/2/issue HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"

    assert statuses(send(jira_server, head)) == [401]
    assert [(seen.status, seen.length) for seen in jira_server.log] == [(401, 0)]


def test_chunks_are_put_together(jira_server: JiraServer) -> None:
    """A body in chunks is one body, and the next request begins after it."""
    body = b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"
    last = b"GET " + INFO + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    received = send(jira_server, SINK + b"Transfer-Encoding: chunked\r\n\r\n" + body + last)

    assert statuses(received) == [200, 200]
    assert [seen.body for seen in jira_server.log] == [b"abc0123456789", b""]


def test_a_body_that_ends_too_early_is_no_request(jira_server: JiraServer) -> None:
    """It is logged without a status, and never answered as if it were whole."""
    for data in (b"Content-Length: 9\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc"):
        address = urlsplit(jira_server.url)
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as connection:
            connection.sendall(SINK + data)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(65_536) == b""

    assert [(seen.status, seen.length) for seen in jira_server.log] == [(0, 3), (0, 3)]


# -- what is refused ---------------------------------------------------------------------------------------------------

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
MALFORMED = [
    SINK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    SINK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    SINK + b"Content-Length: 3, 3\r\n\r\nabc",
    SINK + b"Content-Length: +3\r\n\r\nabc",
    SINK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    SINK + b"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
    SINK + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
    SINK + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    SINK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    SINK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n",
    GET + b"X : y\r\n\r\n",
    GET + b"X: y\r\n z\r\n\r\n",
    GET + b"X: y\n\r\n",
    GET + b"Host: y\r\n\r\n",
    GET + b"no colon\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / x HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    b"GET /\r\n\r\n",
]


@pytest.mark.parametrize("data", MALFORMED)
def test_what_could_be_read_in_two_ways_is_refused(jira_server: JiraServer, data: bytes) -> None:
    """Such a request is answered with 400, the connection ends, and the test can see that it came."""
    received = send(jira_server, data)

    assert statuses(received) == [400]
    assert len(jira_server.server.malformed) == 1
    assert all(seen.status == 0 for seen in jira_server.log)


def test_an_accident_in_the_application_fails_the_test() -> None:
    """What goes wrong in the stand-in isn't lost with the connection."""
    with pytest.raises(AssertionError, match="AttributeError"), jira(clock=lambda: None) as server:
        assert send(server, b"GET " + INFO + b" HTTP/1.1\r\nHost: x\r\n\r\n") == b""


def test_tls(tmp_path: Path) -> None:
    """The server may speak TLS, with a certificate of the test's own."""
    pytest.importorskip("cryptography")
    from loopback import authority

    public, context = authority(tmp_path)
    with jira(tls=context) as server:
        trusting = ssl.create_default_context(cafile=str(public))
        connection = http.client.HTTPSConnection(urlsplit(server.url).netloc, timeout=60, context=trusting)
        connection.request("GET", INFO.decode())
        info = json.loads(connection.getresponse().read())
        connection.close()

        assert server.url.startswith("https://127.0.0.1:")
        assert info["baseUrl"] == server.url


# -- the liar ----------------------------------------------------------------------------------------------------------

LIES: list[tuple[Script, type[Exception]]] = [
    (promise(10, b"abc"), http.client.IncompleteRead),
    (say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"), http.client.IncompleteRead),
    (say(b"not HTTP\r\n\r\n"), http.client.BadStatusLine),
    (say(), http.client.RemoteDisconnected),
    (reset(), ConnectionResetError),
    (reset(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), ConnectionResetError),
    (stall(), TimeoutError),
    (stall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), TimeoutError),
    (deaf(), TimeoutError),
]


@pytest.mark.parametrize(("script", "error"), LIES)
def test_a_liar_lies(script: Script, error: type[Exception]) -> None:
    """Each of its tricks is seen by a client as what it is, and its connections are gone at the end."""
    with liar(script) as server:
        patience = 0.5 if error is TimeoutError else 60
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=patience)
        connection.request("GET", "/")

        with pytest.raises(error):
            connection.getresponse().read()

        connection.close()
    _until(lambda: server.open_connections == 0)
    assert server.connections == 1
