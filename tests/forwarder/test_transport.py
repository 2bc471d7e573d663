"""The way out, against upstreams that say what no library would."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from time import sleep
from urllib.parse import urlsplit

import pytest
from loopback import authority, serving
from rawupstream import Upstream, upstream
from services.liar import liar, say
from services.running import free_port

from patmiddleware.errors import ConfigurationError, UpstreamError, UpstreamTimeout
from patmiddleware.forwarder.transport import PooledTransport
from patmiddleware.interfaces import Transport, UpstreamRequest, UpstreamResponse

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(target: str = "/x", method: str = "GET", body: bytes | None = None) -> UpstreamRequest:
    return UpstreamRequest(method, target, [("Accept-Encoding", "identity")], body, None if body is None else len(body))


def read(response: UpstreamResponse) -> bytes:
    try:
        return b"".join(response.stream())
    finally:
        response.close()


def test_it_is_a_transport() -> None:
    """As the Protocol says."""
    assert isinstance(PooledTransport("http://127.0.0.1:1"), Transport)


@pytest.mark.parametrize("target", ["/a%20b?c=%2F&d=~'()*!", "/x?a=1&b", "/" + "x" * 3_000, "/rest/%C3%A4?q=%25"])
def test_the_target_is_sent_as_it_is(target: str) -> None:
    """Nothing is resolved, decoded or written anew."""
    with upstream(OK) as server:
        read(PooledTransport(server.url).send(get(target)))

        assert server.requests[0].split(b" ")[1].decode() == target


def test_only_what_is_given_is_sent() -> None:
    """No header that the library would add of its own."""
    with upstream(OK) as server:
        request = UpstreamRequest("GET", "/x", [("X-One", "1"), ("Accept", "a/b")])
        read(PooledTransport(server.url).send(request))

        assert server.requests == [
            f"GET /x HTTP/1.1\r\nHost: {server.url.removeprefix('http://')}\r\nX-One: 1\r\nAccept: a/b\r\n\r\n".encode()
        ]


@pytest.mark.parametrize(
    ("body", "length", "expected"),
    [
        (None, None, b"Content-Length: 0"),
        (b"abc", 3, b"Content-Length: 3"),
        ([b"ab", b"c"], 3, b"Content-Length: 3"),
        ([b"ab", b"c"], None, b"Transfer-Encoding: chunked"),
    ],
)
def test_a_body_has_one_framing(body: list[bytes] | bytes | None, length: int | None, expected: bytes) -> None:
    """A length where it is known, chunks where it is not, never both."""
    with upstream(OK) as server:
        read(
            PooledTransport(server.url).send(
                UpstreamRequest("POST", "/x", [], body and iter(body) if isinstance(body, list) else body, length)
            )
        )

        framing = [
            line for line in server.requests[0].split(b"\r\n") if line.lower().startswith((b"content-l", b"transf"))
        ]
        assert framing == [expected]


def test_connections_are_kept() -> None:
    """Also after answers without a body, and those whose length is said twice: nobody waits for the end then."""
    twice = b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"
    bodiless = [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"]
    answers = iter([twice, *bodiless, OK])

    def script(connection: socket.socket, number: int) -> None:
        while server.take(connection):
            connection.sendall(next(answers))

    with upstream(script) as server:
        transport = PooledTransport(server.url)
        got = [read(transport.send(get(method=method))) for method in ("GET", "DELETE", "HEAD", "GET")]

        assert (got, server.connections) == ([b"ok", b"", b"", b"ok"], 1)


def test_an_answer_is_read_to_its_end_though_the_transport_was_closed() -> None:
    """And its connection is closed then, and not kept."""
    with upstream(OK) as server:
        transport = PooledTransport(server.url)
        response = transport.send(get())
        transport.close()

        assert read(response) == b"ok"
        read(transport.send(get()))
        assert server.connections == 2


def test_an_answer_that_is_not_read_frees_its_place() -> None:
    """Its connection is not used again, but the pool has one more."""
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000

    with upstream(big) as server:
        transport = PooledTransport(server.url, connections=1, connect_timeout=2)
        for _ in range(3):
            response = transport.send(get())
            next(response.stream())
            response.close()

        assert server.connections == 3


def test_a_connection_is_free_with_the_last_piece() -> None:
    """Whoever takes that piece may be slow, or never ask for another one."""
    with upstream(OK, times=2) as server:
        transport = PooledTransport(server.url, connections=1, connect_timeout=2)
        first = transport.send(get())

        assert next(first.stream()) == b"ok"
        assert read(transport.send(get())) == b"ok"
        first.close()
        assert server.connections == 1


def test_too_many_at_once_wait_and_are_told() -> None:
    """The pool is bounded."""
    with upstream(OK) as server:
        transport = PooledTransport(server.url, connections=1, connect_timeout=0.2)
        held = transport.send(get())

        with pytest.raises(UpstreamTimeout, match="all 1 connections"):
            transport.send(get())
        held.close()


def closing_first(count: int) -> Iterator[Upstream]:
    """Its first connections answer once, then are closed as the next request comes."""

    def script(connection: socket.socket, number: int) -> None:
        while server.take(connection):
            if number < count and len(server.requests) > 1:
                return
            connection.sendall(OK)

    with upstream(script) as server:
        yield server


@pytest.fixture
def stale() -> Iterator[Upstream]:
    yield from closing_first(1)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_a_stale_connection_is_replaced(stale: Upstream, method: str) -> None:
    """Once, where doing it twice does what doing it once does."""
    transport = PooledTransport(stale.url)
    read(transport.send(get()))

    answer = transport.send(get(method=method, body=b"abc"))
    read(answer)

    assert answer.status == 200
    assert len(stale.requests) == 3


@pytest.mark.parametrize(
    "request_", [get(method="POST"), get(method="PATCH", body=b"x"), UpstreamRequest("PUT", "/", [], iter([b"abc"]), 3)]
)
def test_what_may_have_been_done_is_not_done_again(stale: Upstream, request_: UpstreamRequest) -> None:
    """Nor what can't be sent twice."""
    transport = PooledTransport(stale.url)
    read(transport.send(get()))

    with pytest.raises(UpstreamError, match="broke off"):
        transport.send(request_)
    assert len(stale.requests) == 2


@pytest.mark.parametrize("request_", [get(), get(method="PUT", body=b"x"), get(method="DELETE")])
def test_what_a_new_connection_brought_is_not_sent_again(request_: UpstreamRequest) -> None:
    """The server had all of it, and may have done it: a comment would be there twice."""
    with upstream(lambda connection, number: server.take(connection) and None) as server:
        with pytest.raises(UpstreamError, match="broke off"):
            PooledTransport(server.url).send(request_)

        assert len(server.requests) == 1


def test_it_is_tried_twice_and_not_more() -> None:
    """A server that breaks off once more, over the new connection, is not asked for ever."""

    def script(connection: socket.socket, number: int) -> None:
        if number == 0 and server.take(connection):
            connection.sendall(OK)
        server.take(connection)

    with upstream(script) as server:
        transport = PooledTransport(server.url)
        read(transport.send(get()))

        with pytest.raises(UpstreamError, match="broke off"):
            transport.send(get())
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabcd", "in one way where"),
    ],
)
def test_an_answer_that_is_not_whole_is_no_answer(answer: bytes, words: str) -> None:
    """It raises, and its connection is gone."""
    with upstream(answer) as server:
        transport = PooledTransport(server.url)

        with pytest.raises(UpstreamError, match=words):
            read(transport.send(get()))
        assert transport._pool().num_connections == server.connections


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200]
)
def test_an_answer_that_is_none_is_told(answer: bytes) -> None:
    """Never as an error of another kind."""
    with upstream(answer) as server, pytest.raises(UpstreamError):
        read(PooledTransport(server.url).send(get()))


@pytest.mark.parametrize(
    ("framed", "rest"),
    [
        (b"Content-Length: 6\r\n\r\nabc", b"def"),
        (b"Transfer-Encoding: chunked\r\n\r\n6\r\nabc", b"def\r\n0\r\n\r\n"),
    ],
)
def test_pieces_come_as_they_are_sent(framed: bytes, rest: bytes) -> None:
    """Nobody waits until a buffer, or a chunk, is full."""
    go = threading.Event()

    def script(connection: socket.socket, number: int) -> None:
        server.take(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + framed)
        go.wait(10)
        connection.sendall(rest)

    with upstream(script) as server:
        stream = PooledTransport(server.url).send(get()).stream()

        assert next(stream) == b"abc"
        go.set()
        assert list(stream) == [b"def"]


@pytest.mark.parametrize("stage", ["headers", "body", "upload"])
def test_a_server_that_stalls_is_given_up(stage: str) -> None:
    """In the time that it may take, wherever it stands."""

    def script(connection: socket.socket, number: int) -> None:
        if stage != "upload":
            server.take(connection)
        if stage == "body":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        sleep(5)

    with upstream(script) as server:
        transport = PooledTransport(server.url, timeout=0.3, connect_timeout=0.3)
        if stage == "connect":
            transport = PooledTransport("http://10.255.255.1:81", timeout=0.3, connect_timeout=0.3)
        pieces = (b"x" * 65_536 for _ in range(1_000))
        request = UpstreamRequest("POST", "/", [], pieces) if stage == "upload" else get()

        with pytest.raises(UpstreamError):
            read(transport.send(request))


def test_nobody_there() -> None:
    """It is told who."""
    port = free_port()

    with pytest.raises(UpstreamError, match=f"127.0.0.1:{port} can't be reached: Connection refused"):
        PooledTransport(f"http://127.0.0.1:{port}").send(get())


def test_a_server_is_trusted_for_its_authority_or_itself(tmp_path: Path) -> None:
    """A CA file, or the very certificate; else not, and no other certificate."""
    ca, context = authority(tmp_path)
    (tmp_path / "other").mkdir()
    other, _ = authority(tmp_path / "other")
    der = ssl.PEM_cert_to_DER_cert(ca.read_text())
    pin, wrong = hashlib.sha256(der).hexdigest(), hashlib.sha256(b"x").hexdigest()
    with serving(b"{}", context) as server:
        url = server.url

        assert [read(PooledTransport(url, **kind).send(get())) for kind in ({"ca_file": ca}, {"fingerprint": pin})] == [
            b"{}"
        ] * 2  # type: ignore[arg-type]
        for kind in ({}, {"ca_file": other}, {"fingerprint": wrong}, {"ca_file": other, "fingerprint": pin}):
            with pytest.raises(UpstreamError, match="can't be trusted"):
                PooledTransport(url, **kind).send(get())  # type: ignore[arg-type]


def test_a_server_without_tls_is_told_as_such() -> None:
    """In words that an administrator can act upon, and not in OpenSSL's."""
    with serving(b"{}") as server:
        url = server.url.replace("http:", "https:")

        with pytest.raises(UpstreamError, match=r"can't be trusted: it does not speak TLS there \(write http://"):
            PooledTransport(url).send(get())


@pytest.mark.parametrize(
    ("upstream_", "options", "setting"),
    [
        ("ftp://x", {}, "app.upstream"),
        ("https://", {}, "app.upstream"),
        ("https://user:secret@host", {}, "app.upstream"),
        ("https://host/?a", {}, "app.upstream"),
        ("https://host/#a", {}, "app.upstream"),
        ("https://ho st", {}, "app.upstream"),
        ("https://host:99999", {}, "app.upstream"),
        ("https://host", {"ca_file": "/nowhere"}, "app.ca_file"),
        ("https://host", {"fingerprint": "ab"}, "app.fingerprint"),
        ("https://host", {"proxy": "socks5://x"}, "app.proxy"),
    ],
)
def test_settings_that_can_not_be(upstream_: str, options: dict[str, str], setting: str) -> None:
    """They are told at the start, and a password is not shown."""
    with pytest.raises(ConfigurationError) as found:
        PooledTransport(upstream_, **options)  # type: ignore[arg-type]

    assert found.value.problems[0].setting == setting
    assert "secret" not in str(found.value)


def test_a_proxy_is_on_the_way() -> None:
    """A clear-text request names the whole address to it."""
    with upstream(OK) as proxy:
        read(PooledTransport("http://jira.internal:8080/jira", proxy=proxy.url).send(get("/jira/x?y")))

        head = proxy.requests[0].split(b"\r\n")
        assert head[:2] == [b"GET http://jira.internal:8080/jira/x?y HTTP/1.1", b"Host: jira.internal:8080"]


def tunnel(to: str, heads: list[bytes]) -> Callable[[socket.socket], None]:
    """A proxy that connects to one server, whatever is asked for, and hands on what comes from both sides."""

    def script(client: socket.socket) -> None:
        heads.append(client.recv(65_536))
        host, _, port = to.partition(":")
        with socket.create_connection((host, int(port)), 10) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            other = threading.Thread(target=pump, args=(server, client))
            other.start()
            pump(client, server)
            other.join(10)

    return script


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


def test_tls_goes_through_a_proxy_unread(tmp_path: Path) -> None:
    """It hears where to connect to and nothing else; the server is still trusted for its authority only."""
    ca, context = authority(tmp_path)
    heads: list[bytes] = []
    with ExitStack() as stack:
        server = stack.enter_context(serving(b"{}", context))
        host = urlsplit(server.url).netloc
        proxy = stack.enter_context(liar(tunnel(host, heads)))
        trusting = PooledTransport(server.url, ca_file=ca, proxy=proxy.url)
        assert read(trusting.send(get("/secret"))) == b"{}"
        trusting.close()
        with pytest.raises(UpstreamError, match="can't be trusted"):
            PooledTransport(server.url, proxy=proxy.url).send(get("/secret"))

    assert [head.split()[:2] for head in heads] == [[b"CONNECT", host.encode()]] * 2
    assert b"secret" not in b"".join(heads)


def test_a_proxy_that_refuses_is_told() -> None:
    """In words, not as an answer of the upstream."""
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with liar(say(refusal)) as proxy, pytest.raises(UpstreamError, match="proxy"):
        PooledTransport("https://127.0.0.1:9", proxy=proxy.url).send(get())


def test_a_proxy_that_never_ends_its_answer_is_given_up() -> None:
    """However often another byte of it comes."""

    def script(client: socket.socket) -> None:
        client.recv(65_536)
        client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(100):
            client.sendall(b"y")
            sleep(0.05)

    with liar(script) as proxy:
        transport = PooledTransport("https://127.0.0.1:9", proxy=proxy.url, connect_timeout=0.4)

        with pytest.raises(UpstreamTimeout, match="takes too long"):
            transport.send(get())


def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the settings say where requests go."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    with upstream(OK) as server:
        assert read(PooledTransport(server.url).send(get())) == b"ok"


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKS = b"2\r\nhi\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "lengths"),
    [
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n" + CHUNKS, []),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", ["2"]),
        (HEAD + b"Content-Length: 2, 2\r\n\r\nhi", ["2"]),
    ],
)
def test_an_answer_says_once_how_long_it_is(answer: bytes, lengths: list[str]) -> None:
    """Else a client that keeps its connection would take the rest of it for another answer."""
    with liar(say(answer)) as server:
        response = PooledTransport(server.url).send(get())

        assert [value for name, value in response.headers if name.lower() == "content-length"] == lengths
        assert read(response) == b"hi"


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: -2", b"Content-Length: +2", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: x"],
)
def test_an_answer_whose_end_is_in_doubt_is_none(framing: bytes) -> None:
    """And its connection is not used again."""
    with liar(say(HEAD + framing + b"\r\n\r\n" + CHUNKS)) as server:
        transport = PooledTransport(server.url, connections=1)
        for _ in range(2):
            with pytest.raises(UpstreamError):
                transport.send(get())

        assert server.connections == 2


EXCESS = [
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
]


@pytest.mark.parametrize(("method", "answer"), EXCESS)
@pytest.mark.parametrize(("more", "connections"), [(b"", 1), (b"H", 2), (b"HTTP/1.1 200 OK\r\n\r\n", 2)])
def test_a_connection_that_brought_too_much_is_not_used_again(
    method: str, answer: bytes, more: bytes, connections: int
) -> None:
    """What follows an answer is none to the next request, though its rest may come only then."""
    with upstream(answer + more, times=3) as server:
        transport = PooledTransport(server.url, timeout=5)
        got = [read(transport.send(get(method=method))) for _ in range(2)]

        assert got == [b"ok" if b"ok" in answer else b""] * 2
        assert server.connections == connections


def hanging_up(context: ssl.SSLContext, answer: bytes, is_ended: bool) -> Callable[[socket.socket], None]:
    """A server over TLS that answers once, and then closes the connection, with the end of TLS or without."""

    def script(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wire:
            wire.recv(65_536)
            wire.sendall(answer)
            if is_ended:
                with suppress(OSError):
                    wire.unwrap()

    return script


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("framing", "is_ended", "is_whole"),
    [(b"", True, True), (b"", False, False), (b"Content-Length: 2\r\n", False, True)],
)
def test_an_answer_without_a_length_ends_where_tls_ends(
    framing: bytes, is_ended: bool, is_whole: bool, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """Whoever stands between could cut it short otherwise; one that says its length is whole all the same."""
    ca, context = authority(tmp_path)
    context.maximum_version = version
    answer = HEAD + framing + b"\r\nok"

    with liar(hanging_up(context, answer, is_ended)) as server:
        transport = PooledTransport(server.url.replace("http:", "https:"), ca_file=ca, timeout=5)
        with nullcontext() if is_whole else pytest.raises(UpstreamError, match="hung up in the middle of TLS"):
            assert read(transport.send(get())) == b"ok"


@contextmanager
def generous(context: ssl.SSLContext) -> Iterator[Upstream]:
    """An upstream over TLS that sends one answer more on its first connection."""
    excess = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    def answer(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection, server_side=True) as wire:
            while server.take(wire):
                wire.sendall(OK + excess if number == 0 else OK)

    with upstream(answer) as server:
        server.url = server.url.replace("http:", "https:")
        yield server


def test_a_connection_over_tls_that_brought_too_much_is_not_used_again(tmp_path: Path) -> None:
    """Though what TLS has taken in already is not seen at the socket any more."""
    ca, context = authority(tmp_path)

    with generous(context) as server:
        transport = PooledTransport(server.url, ca_file=ca, timeout=5)

        assert [read(transport.send(get())) for _ in range(3)] == [b"ok"] * 3
        assert server.connections == 2


def test_a_connection_within_the_tls_of_a_proxy_that_brought_too_much_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is free all the same, and the one after it is kept."""
    ca, context = authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))  # by which the proxy is trusted

    def tunnelled(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as wire:
            tunnel(urlsplit(server.url).netloc, [])(wire)

    with generous(context) as server, liar(tunnelled) as proxy:
        way = proxy.url.replace("http:", "https:")
        transport = PooledTransport(server.url, ca_file=ca, timeout=5, connections=1, connect_timeout=5, proxy=way)

        assert [read(transport.send(get())) for _ in range(3)] == [b"ok"] * 3
        assert server.connections == 2
