"""The heads of answers: read in one way, or not at all."""

from __future__ import annotations

import io
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPException, HTTPResponse, parse_headers
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("urllib3", reason="needs the extra forward")

from patmiddleware.forwarder.heads import MOST, StrictResponse, fields

OK = b"HTTP/1.1 200 OK\r\n"


def read(sent: bytes, method: str = "GET", kind: type[HTTPResponse] = StrictResponse) -> HTTPResponse:
    """Read an answer as it comes over a socket; the server closes after it."""
    ours, theirs = socket.socketpair()
    with closing(theirs), closing(ours):
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        response = kind(ours, method=method)
        response.begin()
        return response


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", []),
        (b"A: b\r\n", [("A", "b")]),
        (b"A:b\n", [("A", "b")]),
        (b"A: \t b c \t\r\n", [("A", "b c")]),
        (b"A:\r\n", [("A", "")]),
        (b"A: b: c\r\nA: d\r\n", [("A", "b: c"), ("A", "d")]),
        (b"A: b\r\n c\r\n\t d\r\nE: f\r\n", [("A", "b c d"), ("E", "f")]),
        (b"A: b\r\n \r\nE: f\r\n", [("A", "b"), ("E", "f")]),
        (b"A: \xe4\r\n", [("A", "ä")]),
        (b"A: b\rE: f\r\n", [("A", "b\rE: f")]),
        (b"Content-Length: 2\r\r\n", [("Content-Length", "2\r")]),
    ],
)
def test_what_a_head_says(head: bytes, expected: Sequence[tuple[str, str]]) -> None:
    """Fields in their order; a line that goes on is one, and a lone CR ends none."""
    assert read(OK + head + b"\r\n").getheaders() == expected


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 +200 OK\r\n\r\n",
        b"HTTP/1.1 2_00 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 600 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1\t200 OK\r\n\r\n",
        b"HTTP/1.1\xa0200\xa0OK\r\n\r\n",
        b"HTTP/1. 200 OK\r\n\r\n",
        b"HTTP/1.1x 200 OK\r\n\r\n",
        b"HTTP/1.1 200 O\rK\r\n\r\n",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 " + b"O" * 70_000 + b"\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        OK,
        OK + b"A: b",
        OK + b"A: b\r\n",
        OK + b"A: b\r\nno field\r\n\r\n",
        OK + b"Transfer-Encoding : chunked\r\n\r\n",
        OK + b" A: b\r\n\r\n",
        OK + b": b\r\n\r\n",
        OK + b"A\x00: b\r\n\r\n",
        OK + "Ä: b\r\n\r\n".encode(),
        OK + b"A: " + b"b" * 70_000 + b"\r\n\r\n",
        OK + b"A: b\r\n" * MOST + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 11 + OK + b"\r\n",
    ],
)
def test_what_is_no_head(sent: bytes) -> None:
    """What could be read in two ways, is cut short, or has no end, is no answer."""
    with pytest.raises((HTTPException, OSError)):
        read(sent)


@pytest.mark.parametrize(
    ("status", "head", "method", "expected"),
    [
        ("200 OK", b"Content-Length: 3\r\n", "GET", (3, False, False)),
        ("200 OK", b"Content-Length: 3\r\n", "HEAD", (0, False, False)),
        ("204 No Content", b"", "GET", (0, False, False)),
        ("204 No Content", b"Content-Length: 0\r\n", "GET", (0, False, False)),
        ("204 No Content", b"Content-Length: 3\r\n", "GET", (0, False, True)),
        ("204 No Content", b"Transfer-Encoding: chunked\r\n", "GET", (0, False, True)),
        ("304 Not Modified", b"Content-Length: 3\r\n", "GET", (0, False, False)),
        ("304 Not Modified", b"Transfer-Encoding: chunked\r\n", "GET", (0, False, False)),
        ("200 OK", b"Transfer-Encoding: chunked\r\n", "HEAD", (0, False, False)),
        ("200 OK", b"Transfer-Encoding: chunked\r\n", "GET", (None, True, False)),
        ("200 OK", b"Transfer-Encoding: Chunked\r\nContent-Length: 3\r\n", "GET", (None, True, True)),
        ("200 OK", b"Content-Length: 3\r\nConnection: close\r\n", "GET", (3, False, True)),
        ("200 OK", b"Content-Length: 3\r\nConnection: x\r\nConnection: Close\r\n", "GET", (3, False, True)),
        ("101 Switching Protocols", b"Content-Length: 0\r\n", "GET", (0, False, True)),
        ("200 OK", b"", "GET", (None, False, True)),
        ("200 OK", b"Content-Length: +3\r\n", "GET", (None, False, True)),
        ("200 OK", b"Content-Length: " + b"9" * 5_000 + b"\r\n", "GET", (None, False, True)),
    ],
)
def test_where_the_body_ends(status: str, head: bytes, method: str, expected: tuple[int | None, bool, bool]) -> None:
    """Its length, whether it comes in chunks, and whether the connection ends with it."""
    response = read(b"HTTP/1.1 " + status.encode() + b"\r\n" + head + b"\r\n", method)

    assert (response.length, bool(response.chunked), response.will_close) == expected


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_interim_answers_are_passed_over(interim: bytes) -> None:
    """Their headers are not those of the answer."""
    response = read(b"HTTP/1.1 " + interim + b"\r\nA: b\r\n\r\n" + OK + b"C: d\r\n\r\n")

    assert (response.status, response.getheaders()) == (200, [("C", "d")])


def test_another_protocol_is_seen() -> None:
    """101 is an answer of its own, for the forwarder to refuse."""
    assert read(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").status == 101


names = st.text("abcXYZ-_09", min_size=1, max_size=12)
values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f\x85\xa0"), max_size=30)


@given(st.lists(st.tuples(names, values), max_size=20))
def test_it_reads_what_the_standard_library_reads(pairs: list[tuple[str, str]]) -> None:
    """Of a head without any oddity the two say the same."""
    head = "".join(f"{name}: {value}\r\n" for name, value in pairs)

    assert list(fields(head)) == list(parse_headers(io.BytesIO(f"{head}\r\n".encode("latin-1"))).items())


@given(st.text(st.sampled_from("ab: \t\r\n\0"), max_size=40))
def test_no_head_is_read_beyond_its_lines(text: str) -> None:
    """Whatever stands there: fields without a line's end in them, or an error."""
    try:
        found = list(fields(text))
    except HTTPException:
        return

    assert all("\n" not in name + value for name, value in found)


@pytest.mark.parametrize(
    "framed", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"]
)
def test_a_body_follows(framed: bytes) -> None:
    """By its length, or in chunks, as the standard library goes on to read it; what follows it is left."""
    ours, theirs = socket.socketpair()
    with closing(theirs), closing(ours), closing(StrictResponse(ours)) as response:
        theirs.sendall(OK + framed + b"more")
        response.begin()

        assert response.read() == b"abc"


def test_a_connection_that_the_server_closes_is_not_kept() -> None:
    """Also where it names the time for which it keeps others (RFC 9112, section 9.3)."""
    response = read(b"HTTP/1.0 200 OK\r\nConnection: close\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n")

    assert response.will_close


def test_chunks_of_the_version_that_has_none_end_the_connection() -> None:
    """Whoever sends them may mean another end (RFC 9112, section 6.1)."""
    head = b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert read(b"HTTP/1.0 200 OK\r\n" + head).will_close


CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"0003\r\nabc\r\n000\r\n\r\n", b"abc"),
        (b"A\r\nabcdefghij\r\n0\r\n\r\n", b"abcdefghij"),
        (b"a ;x=y\r\nabcdefghij\r\n0;z\r\nTrailer: 1\r\nOther: 2\r\n\r\n", b"abcdefghij"),
    ],
)
def test_what_chunks_say(sent: bytes, body: bytes) -> None:
    """Sizes in hexadecimal, perhaps with extensions; the body ends with the one of nothing, and what follows it."""
    ours, theirs = socket.socketpair()
    with closing(theirs), closing(ours):
        theirs.sendall(CHUNKS + sent)  # and the connection stays open
        ours.settimeout(30)
        response = StrictResponse(ours, method="GET")
        response.begin()

        assert response.read() == body
        assert response.isclosed()
        assert ours.gettimeout() == 30


@pytest.mark.parametrize(
    "sent",
    [
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"-0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"0_3\r\nabc\r\n0\r\n\r\n",
        b" 3\r\nabc\r\n0\r\n\r\n",
        "٣\r\nabc\r\n0\r\n\r\n".encode(),
        b"\r\nabc\r\n0\r\n\r\n",
        b"3\nabc\r\n0\r\n\r\n",
        b"3;x\ry\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3\r\nabc\r\n",
        b"3\r\nab",
        b"3\r\nabc\r\n0\r\n",
        b"1" + b"0" * 16 + b"\r\n",
        b"3;" + b"x" * 70_000 + b"\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\n" + b"T: 1\r\n" * (MOST + 1) + b"\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 65_536])
def test_what_are_no_chunks(sent: bytes, size: int) -> None:
    """A size that could be read in two ways, an end that is missing or elsewhere: the answer is not whole."""
    ours, theirs = socket.socketpair()
    with closing(theirs), closing(ours):
        theirs.sendall(CHUNKS + sent)
        theirs.shutdown(socket.SHUT_WR)
        response = StrictResponse(ours, method="GET")
        response.begin()

        with pytest.raises(HTTPException):
            _read_body(response, size)


@pytest.mark.parametrize("before", [b"", OK, OK + b"A: ", CHUNKS, CHUNKS + b"1\r\nx\r\n0\r\n"])
def test_what_comes_byte_by_byte_has_its_time(before: bytes) -> None:
    """A head, a size, and what follows the last chunk must be there within the timeout, however often a byte comes."""
    ours, theirs = socket.socketpair()
    done = Event()

    def drip() -> None:
        theirs.sendall(before)
        while not done.wait(0.05):
            theirs.sendall(b"1")

    with closing(theirs), closing(ours), ThreadPoolExecutor(1) as pool:
        ours.settimeout(0.3)
        dripping = pool.submit(drip)
        try:
            with pytest.raises(TimeoutError):
                _read_all(StrictResponse(ours, method="GET"))
        finally:
            done.set()
            dripping.result()


def _read_all(response: StrictResponse) -> None:
    response.begin()
    _read_body(response, 1)


def _read_body(response: StrictResponse, size: int) -> None:
    while response.read1(size):
        pass
