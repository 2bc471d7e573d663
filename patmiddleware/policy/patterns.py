"""Path patterns: what a rule may say about a path, and how one segment is matched.

``{name}`` is one segment or a part of one, ``{name:int}`` ASCII digits, ``{name:key}`` a project key, ``{name:a|b}``
one of several words, ``*`` a run of characters within a segment (also an empty one), a final ``/**`` the path and all
below it. There are no regular expressions for users, and matching is linear in the path by construction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, TypeAlias

from ..model import NOTHING

Kind: TypeAlias = Literal["text", "run", "any", "int", "key", "choice"]

_DIGITS = frozenset("0123456789")
_CAPITALS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CHARACTERS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "int": (_DIGITS, _DIGITS),
    "key": (_CAPITALS, _CAPITALS | _DIGITS | {"_"}),
}
"""What a kind begins with, and what it goes on with."""

_EXAMPLES: Mapping[str, str] = {"any": "any-word", "run": "any-word", "int": "7", "key": "AB"}
"""What a kind matches, but texts and choices, which say it themselves."""

_ITEM = re.compile(r"\{([^{}]*)\}|(\*+)|([^{}*]+)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NEVER = re.compile(r"[;\\#?\x00-\x1f\x7f-\x9f]|%[0-9A-Fa-f]{2}")


class PatternError(ValueError):
    """A pattern that can't be read, or that could never match."""


@dataclass(frozen=True, slots=True)
class Element:
    """A piece of a segment.

    Args:
        kind: ``text`` (literal), ``run`` (``*``), ``any`` (``{name}``), ``int``, ``key`` or ``choice``.
        text: the literal.
        name: of the capture.
        options: the words of a choice.
    """

    kind: Kind
    text: str = ""
    name: str = ""
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.kind:
            case "text":
                return self.text
            case "run":
                return "*"
            case "any":
                return f"{{{self.name}}}"
            case "choice":
                return f"{{{self.name}:{'|'.join(self.options)}}}"
            case kind:
                return f"{{{self.name}:{kind}}}"

    @property
    def words(self) -> tuple[str, ...]:
        """What this element is one of; empty where it may be any number of texts."""
        return self.options or ((self.text,) if self.text else ())

    @property
    def first(self) -> frozenset[str] | None:
        """The characters that this element may begin with; None: any."""
        if self.words:
            return frozenset(word[:1] for word in self.words)
        return _CHARACTERS[self.kind][0] if self.kind in _CHARACTERS else None

    @property
    def swallows(self) -> frozenset[str] | None:
        """The characters that this element may run over without a bound; None: any; empty: it is bounded."""
        if self.words:
            return frozenset()
        return _CHARACTERS[self.kind][1] if self.kind in _CHARACTERS else None

    @property
    def varies(self) -> bool:
        """Whether it may end at more than one place of a text."""
        if not self.words:
            return True
        return any(word != other and word.startswith(other) for word in self.words for other in self.words)


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a pattern, ready to match."""

    elements: tuple[Element, ...]
    regex: re.Pattern[str] | None

    @staticmethod
    def of(elements: Sequence[Element]) -> Segment:
        """Compile a segment: to a regular expression where that can't backtrack, else for the stepwise matcher."""
        return _compiled(tuple(elements))

    @property
    def literal(self) -> str | None:
        """The text, if the segment is nothing but text."""
        return str(self) if all(element.kind == "text" for element in self.elements) else None

    @property
    def prefix(self) -> str:
        """The text that every match begins with; may be empty."""
        return self.elements[0].text if self.elements[0].kind == "text" else ""

    @property
    def rank(self) -> int:
        """How specific it is: 0 literal, 1 partly, 2 a parameter of a kind, 3 any segment."""
        if self.literal is not None:
            return 0
        if len(self.elements) > 1:
            return 1
        return 3 if self.elements[0].kind in ("any", "run") else 2

    @property
    def example(self) -> str:
        """A text that matches, with an unlikely word where it may be any."""
        return "".join((element.words or (_EXAMPLES[element.kind],))[0] for element in self.elements)

    def match(self, text: str) -> Mapping[str, str] | None:
        """Give the captures, or None for no match. Of several splits, the one whose first parts are longest."""
        if self.regex is None:
            return _step(self.elements, text)
        found = self.regex.fullmatch(text)
        return None if found is None else found.groupdict()

    def __str__(self) -> str:
        return "".join(map(str, self.elements))


@dataclass(frozen=True, slots=True)
class Pattern:
    """A whole path pattern.

    Args:
        segments: what stands between the slashes.
        below: whether everything below the path matches as well (``/**``).
        spelled: how far whoever wrote the pattern spelled it out: its text up to the first wildcard or capture.
    """

    segments: tuple[Segment, ...]
    below: bool
    spelled: str = "/"

    @property
    def rank(self) -> tuple[int, ...]:
        """Sorts the more specific pattern first: segment by segment, a literal before a parameter before ``/**``."""
        return (*(segment.rank for segment in self.segments), 4 if self.below else -1)

    @property
    def names(self) -> frozenset[str]:
        """Names of the captures."""
        return frozenset(element.name for segment in self.segments for element in segment.elements if element.name)

    @property
    def examples(self) -> tuple[str, ...]:
        """Paths that match, with an unlikely word where it may be any."""
        path = "".join(f"/{segment.example}" for segment in self.segments)
        return (path or "/", f"{path}/{_EXAMPLES['any']}") if self.below else (path or "/",)

    def spells_out(self, place: Pattern) -> bool:
        """Whether whoever wrote this pattern spelled out the place: ``/secure/**``, where ``/**`` only covers it."""
        return self.spelled.startswith(place.spelled)

    def match(self, segments: Sequence[str]) -> Mapping[str, str] | None:
        """Give the captures, or None where the path does not match."""
        if len(segments) < len(self.segments) or (len(segments) > len(self.segments) and not self.below):
            return None
        captures: dict[str, str] = {}
        for segment, text in zip(self.segments, segments, strict=False):
            found = segment.match(text)
            if found is None:
                return None
            captures.update(found)
        return MappingProxyType(captures) if captures else NOTHING

    def __str__(self) -> str:
        return "".join(f"/{segment}" for segment in self.segments) + ("/**" if self.below else "") or "/"


def split(path: str) -> list[str]:
    """Give the segments of a path that is known to be sound; one trailing slash makes no difference."""
    parts = path[1:].split("/")
    if not parts[-1]:
        parts.pop()
    return parts


def parse(text: object) -> Pattern:
    """Read a pattern.

    Raises:
        PatternError: where it can't be read, or could never match a path that is let through.
    """
    if not isinstance(text, str) or not text.startswith("/"):
        raise PatternError(f"{text!r} must begin with a slash")
    if found := _NEVER.search(text):
        raise PatternError(f"{text!r} can never match: a path with {found.group()!r} is refused")
    parts = split(text)
    below = bool(parts) and parts[-1] == "**"
    segments = [_elements(part, text) for part in (parts[:-1] if below else parts)]
    names = [element.name for elements in segments for element in elements if element.name]
    if twice := {name for name in names if names.count(name) > 1}:
        raise PatternError(f"{text!r} captures {', '.join(sorted(twice))} twice")
    whole = tuple(map(Segment.of, segments))
    return Pattern(whole, below, _spelled(whole))


def _spelled(segments: Iterable[Segment]) -> str:
    text = "/"
    for segment in segments:
        if segment.literal is None:
            return text + segment.prefix
        text += segment.literal + "/"
    return text


def _elements(part: str, whole: str) -> list[Element]:
    if part in ("", ".", ".."):
        raise PatternError(f"{whole!r} can never match: a path with an empty or a dot segment is refused")
    elements, end = [], 0
    for item in _ITEM.finditer(part):
        if item.start() != end:
            break
        end = item.end()
        braced, stars, literal = item.groups()
        if literal:
            elements.append(Element("text", literal))
        else:
            elements.append(_star(stars, whole) if stars else _capture(braced, whole))
    if end != len(part):
        raise PatternError(f"{whole!r} has a brace without its partner")
    return elements


def _star(stars: str, whole: str) -> Element:
    if len(stars) > 1:
        raise PatternError(f"{whole!r}: ** may only be the whole last segment")
    return Element("run")


def _capture(text: str, whole: str) -> Element:
    name, colon, kind = text.partition(":")
    if not _NAME.fullmatch(name):
        raise PatternError(f"{whole!r}: {{{text}}} needs a name of letters, digits and underscores")
    if not colon:
        return Element("any", name=name)
    if kind == "int":
        return Element("int", name=name)
    if kind == "key":
        return Element("key", name=name)
    options = tuple(kind.split("|"))
    if len(options) < 2 or not all(options):
        near = get_close_matches(kind, ("int", "key"), 1, 0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise PatternError(f"{whole!r}: {{{text}}} is of no kind that exists (int, key, or words: a|b){hint}")
    return Element("choice", name=name, options=options)


@lru_cache(maxsize=8_192)  # a preset has thousands of segments, but only hundreds that differ
def _compiled(elements: tuple[Element, ...]) -> Segment:
    return Segment(elements, _regex(elements) if _is_linear(elements) else None)


def _is_linear(elements: Sequence[Element]) -> bool:
    varying = [element for element in elements if element.varies]
    return len(varying) <= 1 or all(map(_stops, elements, (*elements[1:], None)))


def _stops(element: Element, follower: Element | None) -> bool:
    """Whether it is certain where an element ends: the next one can't begin with what this one runs over."""
    if follower is None or not element.varies:
        return True
    if not element.swallows or follower.first is None:
        return False
    return element.swallows.isdisjoint(follower.first)


def _regex(elements: Sequence[Element]) -> re.Pattern[str]:
    return re.compile("".join(_expression(element) for element in elements), re.DOTALL)


def _expression(element: Element) -> str:
    body = {
        "text": re.escape(element.text),
        "run": ".*",
        "any": ".+",
        "int": "[0-9]+",
        "key": "[A-Z][A-Z0-9_]*",
        # The longest word first, as the stepwise matcher has it.
        "choice": "|".join(map(re.escape, sorted(element.options, key=len, reverse=True))),
    }[element.kind]
    return f"(?P<{element.name}>{body})" if element.name else body


def _step(elements: Sequence[Element], text: str) -> Mapping[str, str] | None:
    """Match by stepping back with the set of all places from which the rest matches: linear, whatever is sent."""
    rests = [frozenset({len(text)})]
    for element in reversed(elements):
        rests.append(_openings(element, rests[-1], text))
        if not rests[-1]:
            return None
    if 0 not in rests.pop():
        return None
    captures, begin = {}, 0
    for element in elements:
        end = _longest(element, begin, rests.pop(), text)
        if element.name:
            captures[element.name] = text[begin:end]
        begin = end
    return captures


def _openings(element: Element, ends: frozenset[int], text: str) -> frozenset[int]:
    """Where an element may begin that ends at one of these places."""
    match element.kind:
        case "text" | "choice":
            return frozenset(end - len(word) for word in element.words for end in ends if text.endswith(word, 0, end))
        case "run":
            return frozenset(range(max(ends) + 1))
        case "any":
            return frozenset(range(max(ends)))
        case kind:
            return _sweep(ends, text, *_CHARACTERS[kind])


def _longest(element: Element, begin: int, ends: frozenset[int], text: str) -> int:
    """Where an element ends that begins here, so that it is longest; one of the places is sure to fit."""
    match element.kind:
        case "text" | "choice":
            fitting = (begin + len(word) for word in element.words if text.startswith(word, begin))
            return max(end for end in fitting if end in ends)
        case "run" | "any":
            return max(ends)
        case kind:
            _, inner = _CHARACTERS[kind]
            last = next((at for at in range(begin, len(text)) if text[at] not in inner), len(text))
            return max(end for end in ends if begin < end <= last)


def _sweep(ends: frozenset[int], text: str, opening: frozenset[str], inner: frozenset[str]) -> frozenset[int]:
    begins, inside = set(), False
    for at in range(max(ends) - 1, -1, -1):
        inside = (inside or at + 1 in ends) and text[at] in inner
        if inside and text[at] in opening:
            begins.add(at)
    return frozenset(begins)
