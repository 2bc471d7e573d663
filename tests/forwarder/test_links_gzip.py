"""Addresses in answers that come in gzip, and leave in gzip."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.errors import UpstreamError, UpstreamTimeout
from patmiddleware.forwarder.gzipping import LARGEST, gunzipped
from patmiddleware.forwarder.links import Links

BASE, PUBLIC = "https://jira.internal/jira", "https://api.example.org"
LINKS = Links([BASE], PUBLIC)
BODY = f'{{"self":"{BASE}/1","n":"ä","content":"{BASE}/secure/attachment/1/a.txt"}}'.encode()
GIVEN = BODY.replace(BASE.encode(), PUBLIC.encode())
PACKED = gzip.compress(BODY)


def rewritten(*pieces: bytes) -> bytes:
    """Give what becomes of a body, unpacked again."""
    return gzip.decompress(b"".join(LINKS.body(pieces, gzip=True)))


def cut(body: bytes, at: Iterable[int]) -> list[bytes]:
    """Cut a body into pieces."""
    places = sorted({0, len(body), *(place % (len(body) + 1) for place in at)})
    return [body[first:last] for first, last in pairwise(places)]


@given(
    st.lists(st.sampled_from([BASE, f"{BASE}/1", f"{BASE}x", "x", "ä"])),
    st.lists(st.integers(0, 500)),
    st.lists(st.integers(0, 500)),
    st.integers(0, 9),
)
def test_json_in_gzip(strings: list[str], members: list[int], at: list[int], level: int) -> None:
    """However many members there are, and wherever they and the text are cut: all strings are rewritten."""
    body = json.dumps(strings, ensure_ascii=False).encode()
    packed = b"".join(gzip.compress(part, level) for part in cut(body, members)) or gzip.compress(b"")

    given = rewritten(*cut(packed, at))

    mapping = {BASE: PUBLIC, f"{BASE}/1": f"{PUBLIC}/1"}
    assert json.loads(given) == [mapping.get(each, each) for each in strings]


def test_every_cut() -> None:
    """Two pieces give what one does, wherever the cut is; so does a piece for each byte."""
    cuts = [(PACKED[:at], PACKED[at:]) for at in range(len(PACKED))]

    assert {rewritten(*pieces) for pieces in [*cuts, [bytes([byte]) for byte in PACKED]]} == {GIVEN}


def test_all_of_the_header_is_understood() -> None:
    """A member may have a name, a comment, something extra and a checksum of these (RFC 1952, section 2.3)."""
    flags = b"\x1f\x8b\x08\x1e" + bytes(6) + b"\x02\x00ab" + b"name\0" + b"comment\0"
    checked = flags + (zlib.crc32(flags) & 0xFFFF).to_bytes(2, "little") + PACKED[10:]

    assert rewritten(checked) == GIVEN


@pytest.mark.parametrize("pieces", [[], [b""], [b"", b""]])
def test_nothing_stays_nothing(pieces: list[bytes]) -> None:
    """An answer to HEAD has the header but no body."""
    assert list(LINKS.body(pieces, gzip=True)) == []


def test_empty_text_stays_gzip() -> None:
    """What unpacks to nothing does so again."""
    assert rewritten(gzip.compress(b"")) == b""


@pytest.mark.parametrize("end", range(1, len(PACKED)))
def test_truncated(end: int) -> None:
    """What ends too early is no answer, wherever it ends."""
    with pytest.raises(UpstreamError, match="ends within"):
        list(LINKS.body([PACKED[:end]], gzip=True))


@pytest.mark.parametrize(
    "pieces",
    [
        [BODY],
        [b"\x1f\x8b\x09", PACKED[3:]],
        [PACKED[:-8], bytes([PACKED[-8] ^ 1]), PACKED[-7:]],
        [PACKED[:-1], b"\x01"],
        [PACKED[:20], b"\xff" * 20, PACKED[40:]],
        [PACKED, b"x"],
        [PACKED + b"x"],
        [PACKED, BODY],
        [PACKED, b"\0" * 8],
        [zlib.compress(BODY)],
        [zlib.compress(BODY)[2:-4]],
    ],
)
def test_damaged(pieces: list[bytes]) -> None:
    """What can't be unpacked, or has another checksum or length, is no answer; nor what stands behind one."""
    with pytest.raises(UpstreamError, match=r"damaged|ends within"):
        list(LINKS.body(pieces, gzip=True))


def test_truncated_answer_is_not_ended() -> None:
    """A client sees that it has not all of it: what it got is truncated as well."""
    given: list[bytes] = []

    with pytest.raises(UpstreamError):
        given.extend(LINKS.body([PACKED[:-9]], gzip=True))

    unpacker = zlib.decompressobj(31)
    assert unpacker.decompress(b"".join(given))
    assert not unpacker.eof


def test_what_the_upstream_raises_comes_through() -> None:
    """That the upstream breaks off is told as it was."""

    def broken() -> Iterator[bytes]:
        yield PACKED[:20]
        raise UpstreamTimeout("too slow")

    with pytest.raises(UpstreamTimeout, match="too slow"):
        list(LINKS.body(broken(), gzip=True))


def test_no_piece_waits_for_the_next_one() -> None:
    """Each can be unpacked as soon as it has come, as the upstream meant it to be."""
    events = [f'{{"n":{n},"self":"{BASE}/{n}"}}\n'.encode() for n in range(5)]
    packer, unpacker, given = zlib.compressobj(wbits=31), zlib.decompressobj(31), []

    def feed() -> Iterator[bytes]:
        for number, event in enumerate(events):
            yield packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)
            assert len(given) == number + 1
        yield packer.flush()

    for piece in LINKS.body(feed(), gzip=True):
        if text := unpacker.decompress(piece):
            given.append(text)

    assert given == [event.replace(BASE.encode(), PUBLIC.encode()) for event in events]


@pytest.mark.parametrize("text", [b"\0", b" ", b'"https://jira.internal/jira/",'])
def test_little_that_holds_much_takes_little_memory(text: bytes) -> None:
    """What was packed a thousandfold is unpacked piece by piece."""
    packer = zlib.compressobj(wbits=31)
    times = 10_000_000 // len(text) // 100
    packed = b"".join(packer.compress(text * times) for _ in range(100)) + packer.flush()
    tracemalloc.start()
    try:
        given = sum(len(piece) for piece in LINKS.body([packed], gzip=True))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert given
    assert peak < 2**21


@pytest.mark.parametrize("size", [1, 258, LARGEST - 1, LARGEST, LARGEST + 1, 3 * LARGEST, 10**6])
def test_pieces_are_bounded(size: int) -> None:
    """No piece is larger than said, and none of the text stays behind."""
    found = list(gunzipped([gzip.compress(b"a" * size)]))

    assert max(map(len, found)) <= LARGEST
    assert sum(map(len, found)) == size


def test_text_is_whole_with_each_piece() -> None:
    """All that a piece holds is given before the next one is asked for, though much more than fits into one of text."""
    packed = gzip.compress(b"a" * 10 * LARGEST)

    given = {at: sum(map(len, _readable(packed[:at]))) for at in range(len(packed))}

    assert given == {at: len(zlib.decompressobj(31).decompress(packed[:at])) for at in given}


def _readable(packed: bytes) -> Iterator[bytes]:
    """Give what comes before the end is found to be missing."""
    with suppress(UpstreamError):
        yield from gunzipped([packed])
