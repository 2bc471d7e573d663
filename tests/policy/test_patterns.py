"""Path patterns: how they are read, and what they match by definition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.policy.patterns import Element, Kind, Pattern, PatternError, Segment, parse, split


def match(pattern: str, path: str) -> dict[str, str] | None:
    """Give what a pattern captures from a path, or None where it does not match."""
    found = parse(pattern).match(split(path))
    return None if found is None else dict(found)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        # literals, to the letter
        ("/", "/", {}),
        ("/", "/a", None),
        ("/a", "/a", {}),
        ("/a", "/A", None),
        ("/a", "/", None),
        ("/a", "/ab", None),
        ("/a", "/a/b", None),
        ("/a/b", "/a", None),
        ("/a.b", "/axb", None),
        ("/a+b(c)[d]^$|", "/a+b(c)[d]^$|", {}),
        ("/café", "/café", {}),
        ("/café", "/cafe\u0301", None),
        ("/100%", "/100%", {}),
        # one trailing slash makes no difference
        ("/a", "/a/", {}),
        ("/a/", "/a", {}),
        ("/a/", "/a/", {}),
        ("/a/{n:int}", "/a/1/", {"n": "1"}),
        # one segment
        ("/{x}", "/a", {"x": "a"}),
        ("/{x}", "/", None),
        ("/{x}", "/a/b", None),
        ("/{x}", "/a\u2028b", {"x": "a\u2028b"}),
        ("/{x}/{y}", "/a/b", {"x": "a", "y": "b"}),
        # part of one
        ("/{x}.json", "/a.json", {"x": "a"}),
        ("/{x}.json", "/a.b.json", {"x": "a.b"}),
        ("/{x}.json", "/.json", None),
        ("/{x}.json", "/a.json.bak", None),
        ("/v{x}", "/v", None),
        ("/v{x}", "/v2", {"x": "2"}),
        ("/{x}-{y}", "/1-2-3", {"x": "1-2", "y": "3"}),
        ("/{x}-{y}", "/-", None),
        ("/{x}-{y}", "/--", None),
        ("/{x}-{y}", "/---", {"x": "-", "y": "-"}),
        ("/{x}{y}", "/abc", {"x": "ab", "y": "c"}),
        ("/{x}{y}", "/a", None),
        # ASCII digits
        ("/{n:int}", "/0", {"n": "0"}),
        ("/{n:int}", "/007", {"n": "007"}),
        ("/{n:int}", "/1x", None),
        ("/{n:int}", "/-1", None),
        ("/{n:int}", "/+1", None),
        ("/{n:int}", "/1_0", None),
        ("/{n:int}", "/1.0", None),
        ("/{n:int}", "/\u0661", None),
        ("/{n:int}", "/\u00b2", None),
        ("/{n:int}", "/1\n", None),
        # keys
        ("/{k:key}", "/A", {"k": "A"}),
        ("/{k:key}", "/AB_9", {"k": "AB_9"}),
        ("/{k:key}", "/9A", None),
        ("/{k:key}", "/_A", None),
        ("/{k:key}", "/Ab", None),
        ("/{k:key}", "/a", None),
        ("/{k:key}", "/\u00c4", None),
        ("/{k:key}", "/A-1", None),
        ("/{k:key}-{n:int}", "/ABC-1", {"k": "ABC", "n": "1"}),
        ("/{k:key}-{n:int}", "/ABC-", None),
        ("/{k:key}-{n:int}", "/-1", None),
        ("/{k:key}-{n:int}", "/ABC-1-2", None),
        ("/{k:key}-{n:int}", "/ABC-1x", None),
        ("/{k:key}-{n:int}", "/abc-1", None),
        ("/{k:key}{n:int}", "/AB12", {"k": "AB1", "n": "2"}),
        ("/{n:int}{k:key}", "/12AB", {"n": "12", "k": "AB"}),
        # words
        ("/{x:a|b}", "/a", {"x": "a"}),
        ("/{x:a|b}", "/c", None),
        ("/{x:a|b}", "/A", None),
        ("/{x:a|b}", "/a|b", None),
        ("/{x:a|ab}", "/ab", {"x": "ab"}),
        ("/{x:a|ab}c", "/abc", {"x": "ab"}),
        ("/{x:a|ab}{y:bc|c}", "/abc", {"x": "ab", "y": "c"}),
        ("/{x:.|..}a", "/..a", {"x": ".."}),
        ("/{x:*|a}", "/*", {"x": "*"}),
        ("/{x:int|key}", "/int", {"x": "int"}),
        # a run, also an empty one
        ("/*", "/a", {}),
        ("/*", "/", None),
        ("/*", "/a/b", None),
        ("/a*", "/a", {}),
        ("/a*", "/abc", {}),
        ("/a*", "/ba", None),
        ("/*a", "/a", {}),
        ("/a*b", "/ab", {}),
        ("/a*b", "/a/b", None),
        ("/a*b*c", "/a1b2c", {}),
        ("/a*b*c", "/acb", None),
        ("/*{x}", "/a", {"x": "a"}),
        ("/*{x}", "/abc", {"x": "c"}),
        ("/{x}*", "/abc", {"x": "abc"}),
        # the path and everything below it
        ("/**", "/", {}),
        ("/**", "/a", {}),
        ("/**", "/a/b/c/", {}),
        ("/a/**", "/a", {}),
        ("/a/**", "/a/", {}),
        ("/a/**", "/a/b/c", {}),
        ("/a/**", "/", None),
        ("/a/**", "/ab", None),
        ("/a/**", "/b/a", None),
        ("/{x}/**", "/a/b", {"x": "a"}),
        ("/{x}/**", "/", None),
        ("/*/**", "/a", {}),
        (
            "/rest/api/2/issue/{project:key}-{n:int}/**",
            "/rest/api/2/issue/OPS-12/comment/3",
            {"project": "OPS", "n": "12"},
        ),
    ],
)
def test_what_a_pattern_matches(pattern: str, path: str, expected: dict[str, str] | None) -> None:
    """Each piece of a pattern matches what it is said to, and captures it."""
    assert match(pattern, path) == expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "must begin with a slash"),
        ("a", "must begin with a slash"),
        ("**", "must begin with a slash"),
        ("http://h/a", "must begin with a slash"),
        (None, "must begin with a slash"),
        (7, "must begin with a slash"),
        ("//", "an empty or a dot segment is refused"),
        ("//a", "an empty or a dot segment is refused"),
        ("/a//b", "an empty or a dot segment is refused"),
        ("/a//", "an empty or a dot segment is refused"),
        ("/./a", "an empty or a dot segment is refused"),
        ("/a/..", "an empty or a dot segment is refused"),
        ("/a;b", "';' is refused"),
        ("/a?b", "'?' is refused"),
        ("/a#b", "'#' is refused"),
        ("/a\\b", "is refused"),
        ("/a%2Fb", "'%2F' is refused"),
        ("/a%41", "'%41' is refused"),
        ("/a\nb", "is refused"),
        ("/a\x85b", "is refused"),
        ("/**/a", "** may only be the whole last segment"),
        ("/a**", "** may only be the whole last segment"),
        ("/**a", "** may only be the whole last segment"),
        ("/***", "** may only be the whole last segment"),
        ("/**/**", "** may only be the whole last segment"),
        ("/{a", "a brace without its partner"),
        ("/a}", "a brace without its partner"),
        ("/{a}}", "a brace without its partner"),
        ("/{{a}}", "a brace without its partner"),
        ("/{a/b}", "a brace without its partner"),
        ("/{a:x/y|z}", "a brace without its partner"),
        ("/{}", "needs a name of letters, digits and underscores"),
        ("/{:int}", "needs a name of letters, digits and underscores"),
        ("/{1a}", "needs a name of letters, digits and underscores"),
        ("/{a-b}", "needs a name of letters, digits and underscores"),
        ("/{a b}", "needs a name of letters, digits and underscores"),
        ("/{\u00e4}", "needs a name of letters, digits and underscores"),
        ("/{*}", "needs a name of letters, digits and underscores"),
        ("/{a:}", "is of no kind that exists (int, key, or words: a|b)"),
        ("/{a:ints}", "did you mean int?"),
        ("/{a:keys}", "did you mean key?"),
        ("/{a:path}", "is of no kind that exists (int, key, or words: a|b)"),
        ("/{a:x}", "is of no kind that exists (int, key, or words: a|b)"),
        ("/{a:x|}", "is of no kind that exists (int, key, or words: a|b)"),
        ("/{a:|}", "is of no kind that exists (int, key, or words: a|b)"),
        ("/{a:[0-9]+}", "is of no kind that exists (int, key, or words: a|b)"),
        ("/{a}/{a}", "captures a twice"),
        ("/{a}{b}/{b:int}/{a}", "captures a, b twice"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, message: str) -> None:
    """A pattern that can't be read, or could never match, is refused with the reason."""
    with pytest.raises(PatternError, match=re.escape(message)):
        parse(pattern)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/", []), ("/a", ["a"]), ("/a/", ["a"]), ("/a/b", ["a", "b"]), ("/a/b/", ["a", "b"])],
)
def test_path_is_split(path: str, expected: list[str]) -> None:
    """A path is its segments; one trailing slash makes no difference."""
    assert split(path) == expected


MOST_SPECIFIC_FIRST = [
    "/a/b/c",
    "/a/b/x{n}",
    "/a/b/{p:key}-{n:int}",
    "/a/b/{n:int}",
    "/a/b/{n}",
    "/a/b/**",
    "/a/{n:int}/c",
    "/a/{n}/c",
    "/a/{n}/{m}",
    "/a/{n}",
    "/a/**",
    "/{n}/b/c",
    "/**",
]


def test_more_specific_patterns_come_first() -> None:
    """Segment by segment a literal is more specific than a part, a kind, any segment, and everything below."""
    ranks = [parse(pattern).rank for pattern in MOST_SPECIFIC_FIRST if pattern != "/a/{n}"]

    assert ranks == sorted(ranks)
    assert parse("/a").rank < parse("/a/**").rank


def test_names_are_those_of_the_captures() -> None:
    """A pattern tells what it captures."""
    assert parse("/a/{x}-{y:int}/{z:a|b}/*/**").names == {"x", "y", "z"}
    assert parse("/a/*/**").names == frozenset()


def test_captures_can_not_be_changed() -> None:
    """What was captured is shared by all who ask, so it is frozen."""
    found = parse("/{x}").match(["a"])

    with pytest.raises(TypeError):
        found["x"] = "b"  # type: ignore[index]


# The definition: a segment matches a text that can be cut into pieces of which each fits its element. Of several ways
# to cut it, the one counts whose first piece is longest, then the second, and so on.


def fits(element: Element, piece: str) -> bool:
    match element.kind:
        case "text":
            return piece == element.text
        case "run":
            return True
        case "any":
            return piece != ""
        case "int":
            return piece != "" and set(piece) <= set("0123456789")
        case "key":
            return re.fullmatch("[A-Z][A-Z0-9_]*", piece) is not None
        case "choice":
            return piece in element.options


def cuts(elements: Sequence[Element], text: str) -> Iterator[dict[str, str]]:
    if not elements:
        yield from [{}] if not text else []
        return
    for end in range(len(text), -1, -1):
        if fits(elements[0], text[:end]):
            for captures in cuts(elements[1:], text[end:]):
                yield {elements[0].name: text[:end], **captures} if elements[0].name else captures


def by_definition(elements: Sequence[Element], text: str) -> dict[str, str] | None:
    return next(cuts(elements, text), None)


WORDS = st.sampled_from(["a", "ab", "b", "ba", "A", "A1", "1", "11", "-", ".", "_", "a-", "-1"])
KINDS: tuple[Kind, ...] = ("run", "any", "int", "key")
ELEMENTS = (
    WORDS.map(lambda word: Element("text", word))
    | st.sampled_from(KINDS).map(Element)
    | st.lists(WORDS, min_size=2, max_size=4, unique=True).map(lambda words: Element("choice", options=tuple(words)))
)


def named(elements: Sequence[Element]) -> tuple[Element, ...]:
    return tuple(
        element if element.kind in ("text", "run") else Element(element.kind, name=f"n{at}", options=element.options)
        for at, element in enumerate(elements)
    )


SEGMENTS = st.lists(ELEMENTS, min_size=1, max_size=6).map(named)
PIECES = {"run": st.text("aA1-.", max_size=3), "any": st.text("aA1-.", min_size=1, max_size=3)}


@st.composite
def segments_and_texts(draw: st.DrawFn) -> tuple[tuple[Element, ...], str]:
    """Give a segment, and a text that has a good chance to match it."""
    elements = draw(SEGMENTS)
    pieces = [draw(_piece(element)) for element in elements]
    return elements, "".join(pieces) + draw(st.sampled_from(["", "", "", "a", "1"]))


def _piece(element: Element) -> st.SearchStrategy[str]:
    match element.kind:
        case "text":
            return st.just(element.text)
        case "choice":
            return st.sampled_from(element.options)
        case "int":
            return st.text("01", min_size=1, max_size=3)
        case "key":
            return st.from_regex(r"[AB][AB01_]{0,2}", fullmatch=True)
        case kind:
            return PIECES[kind]


@given(segments_and_texts() | st.tuples(SEGMENTS, st.text("abA1-._", max_size=8)))
def test_compiled_segment_matches_by_definition(drawn: tuple[tuple[Element, ...], str]) -> None:
    """Whichever way a segment is compiled, it matches and captures what the definition says."""
    elements, text = drawn

    assert Segment.of(elements).match(text) == by_definition(elements, text)


@given(segments_and_texts() | st.tuples(SEGMENTS, st.text("abA1-._", max_size=8)))
def test_stepwise_matcher_matches_by_definition(drawn: tuple[tuple[Element, ...], str]) -> None:
    """The stepwise matcher alone matches and captures what the definition says."""
    elements, text = drawn

    assert Segment(elements, None).match(text) == by_definition(elements, text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("/{x:a|ab}{y:bcc|c}{z}{w}", "abccQQ", {"x": "ab", "y": "c", "z": "cQ", "w": "Q"}),
        ("/{x}{y:b|ab}*{z}", "aababz", {"x": "aaba", "y": "b", "z": "z"}),
        ("/{p:key}{n:int}-{m}{o}", "AB12-xy", {"p": "AB1", "n": "2", "m": "x", "o": "y"}),
        ("/*{a:1|11}*{b}", "1111", {"a": "1", "b": "1"}),
    ],
)
def test_first_parts_are_longest(pattern: str, text: str, expected: Mapping[str, str]) -> None:
    """Of several ways to cut a segment the one with the longest first parts counts, however it is compiled."""
    segment = parse(pattern).segments[0]

    assert segment.match(text) == expected == by_definition(segment.elements, text)


SEGMENT_TEXTS = SEGMENTS.map(lambda elements: re.sub(r"\*+", "*", "".join(map(str, elements))))


@st.composite
def pattern_texts(draw: st.DrawFn) -> str:
    parts = draw(st.lists(SEGMENT_TEXTS, max_size=4))
    renamed = [part.replace("{n", f"{{s{at}n") for at, part in enumerate(parts)]
    return (
        "".join(f"/{part}" for part in renamed if part not in (".", "..")) + draw(st.sampled_from(["", "/**"])) or "/"
    )


@given(pattern_texts())
def test_patterns_can_be_written_again(text: str) -> None:
    """What was read is written in the same words, and reads as the same."""
    pattern = parse(text)

    assert str(pattern) == text
    assert parse(str(pattern)) == pattern


@given(pattern_texts())
def test_a_pattern_matches_its_examples(text: str) -> None:
    """The path itself, and where everything below it matches, one below."""
    pattern = parse(text)

    assert len(pattern.examples) == 1 + pattern.below
    assert None not in [pattern.match(split(path)) for path in pattern.examples]


@given(st.text(alphabet="/{}*:|.;%2Fab1A_ \n-é", max_size=16).map(lambda text: "/" + text) | st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text breaks the reader; what it takes, it writes so that it reads as the same."""
    try:
        pattern = parse(text)
    except PatternError:
        return

    assert parse(str(pattern)) == pattern


@given(pattern_texts(), st.lists(st.text("abA1-._", min_size=1, max_size=6), max_size=5))
def test_pattern_matches_segment_by_segment(text: str, segments: list[str]) -> None:
    """A pattern matches a path if each segment matches its own, and none or, with /**, any are left."""
    pattern = parse(text)
    here, left = segments[: len(pattern.segments)], segments[len(pattern.segments) :]

    found = [by_definition(segment.elements, part) for segment, part in zip(pattern.segments, here, strict=False)]
    matches = len(here) == len(pattern.segments) and None not in found and (pattern.below or not left)

    expected = {name: value for captures in found if captures for name, value in captures.items()} if matches else None
    assert pattern.match(segments) == expected


LONG = 8_000  # characters: as long as a path gets through any server

EVIL = [
    ("/" + "{a}*{b}*{c}*{d}x", "a" * LONG),
    ("/*a*a*a*a*a*a*a*a*b", "a" * LONG),
    ("/{a}-{b}-{c}-{d}-{e}!", "-" * LONG),
    ("/{a:key}{b:key}{c:int}{d:int}x", "A" + "1" * LONG),
    ("/{a:int}{b:int}{c:int}{d:int}{e:int}x", "1" * LONG),
    ("/" + "".join(f"{{c{n}:x|xx}}" for n in range(40)) + "y", "x" * 80),
    ("/" + "".join(f"{{c{n}:x|xx|xxx}}*" for n in range(20)) + "y", "x" * LONG),
    ("/{a:aa|a}*{b:a|aa}*{c:aaa|a}!", "a" * LONG),
]


@pytest.mark.parametrize(("pattern", "text"), EVIL, ids=[pattern[:24] for pattern, _ in EVIL])
def test_no_text_makes_matching_slow(pattern: str, text: str) -> None:
    """What sends backtracking matchers into years is answered at once (else this test would time out)."""
    segment = parse(pattern).segments[0]

    assert segment.match(text) is None
    assert segment.match("") is None


def test_pattern_is_a_value() -> None:
    """Two patterns of the same text are equal; another text is another pattern."""
    assert parse("/a/{x}") == parse("/a/{x}/")
    assert parse("/a/{x}") != parse("/a/{y}")
    assert hash(parse("/a/{x}")) == hash(parse("/a/{x}"))
    assert isinstance(parse("/a"), Pattern)
