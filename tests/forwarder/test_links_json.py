"""Addresses in JSON as it streams by."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.forwarder.links import Links

BASES = ("http://127.0.0.1:8080/jira", "https://jira.example.org/jira", "https://jira.example.org/jira/sub")
PUBLIC = "https://api.example.org/v"
LINKS = Links(BASES, PUBLIC)

_PATHS = {"127.0.0.1:8080": ("/jira",), "127.0.0.1.:8080": ("/jira",)} | {
    f"jira.example.org{dot}{port}": ("/jira/sub", "/jira") for dot in ("", ".") for port in ("", ":", ":80", ":443")
}


def expected(text: str) -> str:
    """Say by hand what becomes of a string."""
    scheme, slashes, rest = text.partition("//")
    if re.search(r'[\x00-\x20"\\]', text) or not slashes or lower(scheme) not in ("https:", "http:", ""):
        return text
    authority = re.split("[/?#]", rest)[0]
    below = rest[len(authority) :]
    for path in _PATHS.get(lower(authority), ()):
        if below.startswith(path) and below[len(path) :][:1] in ("", "/", "?", "#"):
            return PUBLIC + below[len(path) :]
    return text


def lower(text: str) -> str:
    """Give a text with its ASCII letters in lower case."""
    return re.sub("[A-Z]", lambda found: found[0].lower(), text)


def mapped(value: Any) -> Any:
    """Give a value of JSON, objects as pairs, with what becomes of all its strings."""
    if isinstance(value, str):
        return expected(value)
    return type(value)(map(mapped, value)) if isinstance(value, list | tuple) else value


def loaded(text: bytes | str) -> Any:
    """Read JSON, objects as tuples of pairs: two names may become one."""
    return json.loads(text, object_pairs_hook=lambda pairs: tuple(tuple(pair) for pair in pairs))


def rewritten(*pieces: bytes, links: Links = LINKS) -> bytes:
    """Give what becomes of a body."""
    return b"".join(links.body(pieces, gzip=False))


def cut(body: bytes, at: Iterable[int]) -> Sequence[bytes]:
    """Cut a body into pieces."""
    places = sorted({0, len(body), *(place % (len(body) + 1) for place in at)})
    return [body[first:last] for first, last in pairwise(places)]


def spelled(value: str, escapes: Random) -> str:
    """Write a string as JSON, with some of its characters escaped."""
    written = json.dumps(value, ensure_ascii=escapes.random() < 0.5)[1:-1]
    often = escapes.choice([0, 0, 0.1, 0.9])

    def escape(found: re.Match[str]) -> str:
        if escapes.random() >= often or len(found[0]) > 1:
            return found[0]
        units = re.findall("....", found[0].encode("utf-16-be", "surrogatepass").hex())
        number = "".join(rf"\u{escapes.choice([str.upper, str.lower])(unit)}" for unit in units)
        return r"\/" if found[0] == "/" and escapes.random() < 0.5 else number

    return '"' + re.sub(r"\\u....|\\.|.", escape, written, flags=re.DOTALL) + '"'


def written(value: Any, escapes: Random) -> str:
    """Write a value as JSON, with blanks and escapes at random."""
    blank = escapes.choice(["", "", " ", "\n\t"])
    if isinstance(value, str):
        return spelled(value, escapes) + blank
    if isinstance(value, list):
        return f"{blank}[{blank}{','.join(written(item, escapes) for item in value)}]"
    if isinstance(value, dict):
        pairs = (f"{written(name, escapes)}:{blank}{written(item, escapes)}" for name, item in value.items())
        return f"{{{blank}{','.join(pairs)}{blank}}}"
    return json.dumps(value)


_PARTS = (
    ["", "https:", "http:", "HTTPS:", "Http:", "ftp:", "h", "see https:"],
    ["//", "//", "//", "/", r"\\", "//me@"],
    ["127.0.0.1:8080", "jira.example.org", "JIRA.example.Org", "jira.example.com", "127.0.0.1", "[::1]", "jirä", ""],
    ["", "", "", ":", ".", ":80", ".:443", ":8080", "@", ".evil"],
    ["/jira", "/jira", "/jira/sub", "/jira/sub", "/Jira", "/jirax", ""],
    ["", "/", "?x", "#x", "/rest/api/2/issue/1?a=b&c", '/"x', "/\\x", "/x y", "/\x1f", "/ä\u2028𝄞", "@evil", "//evil"],
)
addresses = st.tuples(*map(st.sampled_from, _PARTS)).map("".join)
texts = st.text(st.characters(exclude_categories=["Cs"])) | addresses
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


@given(values, st.randoms(use_true_random=False), st.lists(st.integers(0, 1_000)))
def test_each_string_is_rewritten_as_by_hand(value: Any, escapes: Random, at: list[int]) -> None:
    """Whatever the JSON, however it is spelled and cut: its strings become what they should, all else stays."""
    body = written(value, escapes).encode()

    given = rewritten(*cut(body, at))

    assert loaded(given) == mapped(loaded(body))


@given(st.lists(st.sampled_from(['"', "\\", " ", "/jira", "x", "\\u002f", "https:", "//jira.example.org"])), st.data())
def test_cuts_change_nothing(parts: list[str], data: st.DataObject) -> None:
    """What is not JSON gives the same as well, wherever it is cut."""
    body = "".join(parts).encode()
    at = data.draw(st.lists(st.integers(0, len(body))))

    assert rewritten(*cut(body, at)) == rewritten(body)


@given(st.lists(st.binary()))
def test_other_bytes_pass(pieces: list[bytes]) -> None:
    """What has no address in it is given as it came, be it no JSON and no text."""
    assert rewritten(*pieces) == b"".join(pieces)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_small_pieces(size: int) -> None:
    """A base, an escape or a letter of several bytes may be cut anywhere."""
    body = r'{"self":"https:\/\/jira.example.org\u002Fjira\/rest","n":"ä","x":["\"//127.0.0.1:8080/jira?ü"]}'.encode()

    given = rewritten(*(body[at : at + size] for at in range(0, len(body), size)))

    assert given == rewritten(body) == body.replace(rb"https:\/\/jira.example.org\u002Fjira", PUBLIC.encode())


@pytest.mark.parametrize(
    ("base", "string"),
    [
        ("https://jira.example.org/jira", "https://jira.example.org:443/jira/x"),
        ("https://jira.example.org/jira", "http://jira.example.org:/jira/x"),
        ("https://jira.example.org/jira", "http://jira.example.org:80/jira"),
        ("https://jira.example.org/jira", "//jira.example.org/jira/x"),
        ("https://jira.example.org/jira", "HTTPS://JIRA.Example.ORG./jira/x"),
        ("https://jira.example.org/jira", r"https:\/\/jira.example.org\/jira"),
        ("https://jira.example.org/jira", r"https:\u002f\u002Fjira.example.org\u002fjira\u003fx"),
        ("https://jira.example.org/jira", r"\u0048ttps://jira.example.org/jira\u0023x"),
        ("https://jira.example.org/jira", r"\/\/jira\u002eexample.org/jira\u002Fx\u003Fy"),
        ("https://jira.example.org:8443/Jira", "https://jira.example.org:8443/Jira/x"),
        ("https://[2001:db8::1]/jira", "https://[2001:DB8:0:0:0:0:0:1]/jira/x"),
        ("https://xn--jir-sla.example/jira", "https://jirä.example/jira/x"),
        ("https://xn--jir-sla.example/jira", r"https://jir\u00e4.example/jira/x"),
    ],
)
def test_every_cut(base: str, string: str) -> None:
    """However an address is written, two pieces give what one does, wherever the cut is."""
    links, body = Links([base], PUBLIC), f'["{string}","é"]'.encode()
    rest = re.split("jira", json.loads(f'"{string}"'), flags=re.IGNORECASE)[-1]

    given = {rewritten(body[:at], body[at:], links=links) for at in range(len(body) + 1)}

    assert {json.dumps(json.loads(each)) for each in given} == {json.dumps([PUBLIC + rest, "é"])}


@pytest.mark.parametrize(
    "text",
    [
        "https://jira.example.org/jira/browse/ABC-1 is broken",
        "https://jira.example.org/jira/browse/ABC-1\nis broken",
        "https://jira.example.org/jira/browse/ABC-1\r\n",
        'https://jira.example.org/jira/"x"',
        "see https://jira.example.org/jira/browse/ABC-1",
        '<a href="https://jira.example.org/jira/browse/ABC-1">it</a>',
        '"https://jira.example.org/jira/browse/ABC-1"',
        '\\"https://jira.example.org/jira/browse/ABC-1',
        "[it|https://jira.example.org/jira/browse/ABC-1]",
        " https://jira.example.org/jira/browse/ABC-1",
        '{"self":"https://jira.example.org/jira/rest"}',
    ],
)
@pytest.mark.parametrize("ascii", [True, False])
def test_what_people_wrote_stays(text: str, ascii: bool) -> None:
    """A text with an address in it is given to the last byte as it was, wherever it is cut."""
    body = json.dumps({"description": text}, ensure_ascii=ascii).encode()

    assert {rewritten(body[:at], body[at:]) for at in range(len(body) + 1)} == {body}


@pytest.mark.parametrize("blank", [r"\u0020", r"\u000A", r"\t", r"\b", r"\u0022", r"\"", r"\u005c", r"\\", r"\u0000"])
def test_escaped_blank_makes_a_text(blank: str) -> None:
    """An address ends at a blank or a quotation mark that is escaped, too."""
    body = rf'["https://jira.example.org/jira/x{blank}y"]'.encode()

    assert rewritten(body) == body


def test_names_are_strings() -> None:
    """The name of a value is rewritten like any other string."""
    assert rewritten(b'{"https://jira.example.org/jira/x" : 1}') == f'{{"{PUBLIC}/x" : 1}}'.encode()


@pytest.mark.parametrize(
    ("body", "given"),
    [
        ('["https://jira.example.org/jira/x', f'["{PUBLIC}/x'),
        ('["https://jira.example.org/jira', f'["{PUBLIC}'),
        ('["https://jira.example.org/jir', None),
        ('["https://jira.example.org/jira/x\\', None),
        ('["https://jira.example.org/jira/x\\u00', None),
        ('["', None),
        ("\\", None),
        ('"\\', None),
        ("<a href='https://jira.example.org/jira/x'>", None),
        ('""https://jira.example.org/jira""', f'""{PUBLIC}""'),
    ],
)
def test_broken_json_passes(body: str, given: str | None) -> None:
    """It is never an error, and nothing of it gets lost."""
    assert rewritten(body.encode()) == (given or body).encode()


class Feed:
    """Gives pieces one by one, and keeps count of them."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces, self.given = pieces, 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.given += 1
            yield piece


def test_no_piece_waits_for_the_next_one() -> None:
    """What is decided is given at once."""
    events = [b'{"self":"https://jira.example.org/jira/1"}\n', b'{"note":"a \\"h\\" b"}\n', b'"a","ht', b'm"', b"\n"]
    feed = Feed(*events)

    seen = [(piece, feed.given) for piece in LINKS.body(feed, gzip=False)]

    first = f'{{"self":"{PUBLIC}/1"}}\n'.encode()
    assert seen == [(first, 1), (events[1], 2), (b'"a",', 3), (b'"htm', 4), (b'"\n', 5)]


@pytest.mark.parametrize("begun", ["https://jira.example.org/jira x", "https://jira.example.com", "//x", "h\\n", "X"])
def test_text_does_not_wait_for_its_end(begun: str) -> None:
    """A string that can't become an address is given as soon as that is seen."""
    piece = f'["{begun}'.encode()

    assert next(LINKS.body([piece, b"later"], gzip=False)) == piece


def test_no_piece_is_empty() -> None:
    """An empty one could be taken for the end."""
    assert list(LINKS.body([b"", b'"', b"", b"h", b""], gzip=False)) == [b'"h']


@pytest.mark.parametrize("unit", ["x", "https://jira.example.org/jira/", '"https://jira.example.org/jira/x",'])
def test_memory_is_bounded(unit: str) -> None:
    """A string without an end, an address without one, or many of them: little is kept."""
    piece = (unit * (16_384 // len(unit))).encode()
    pieces = (piece for _ in range(200))
    tracemalloc.start()
    try:
        length = sum(len(given) for given in LINKS.body((b'["', *pieces), gzip=False))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert length > 200 * 16_384 // 2
    assert peak < 2**20


def test_address_that_is_too_long_is_rewritten() -> None:
    """An address longer than is kept leads here as well, without its end being seen."""
    pieces = [b'["https://jira.example.org/jira/', *[b"x" * 5_000] * 9, b' y"]']

    assert rewritten(*pieces).startswith(f'["{PUBLIC}/xxx'.encode())
