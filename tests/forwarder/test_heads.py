"""The heads of answers: read in one way, or not at all."""

from __future__ import annotations

import io
import socket
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPException, HTTPResponse, parse_headers

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


def test_chunks_of_the_version_that_has_none_end_the_connection() -> None:
    """Whoever sends them may mean another end (RFC 9112, section 6.1)."""
    head = b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert read(b"HTTP/1.0 200 OK\r\n" + head).will_close
