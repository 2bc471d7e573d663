"""One form for judging, where a server takes several spellings of one resource.

A preset knows that ``/rest/api/latest/issue/abc-1.json`` is ``/rest/api/2/issue/ABC-1``. Paths are mapped before any
rule is asked, and the paths of rules are mapped at load in the same way, so that a deny holds for every spelling.
What is served or forwarded is as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TypeAlias

from .patterns import Element, Pattern, Segment, split


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a key looks like, and how its spellings are told to be one.

    Args:
        regex: of any spelling.
        fold: gives the case that is judged.
        ending: may also stand behind the key.
    """

    regex: re.Pattern[str]
    fold: Callable[[str], str]
    ending: str = ""


_NAME = re.compile(r"[^/]+")
SHAPES: Mapping[str, _Shape] = {
    "issue": _Shape(re.compile(r"[A-Za-z][A-Za-z0-9_]*-[0-9]+"), str.upper),
    # Bitbucket's may have hyphens, and there a personal project is ~user.
    "project": _Shape(re.compile(r"[A-Za-z][A-Za-z0-9_-]*|~[^/]+"), str.upper),
    "space": _Shape(_NAME, str.upper),
    "repo": _Shape(_NAME, str.lower),
    "clone": _Shape(_NAME, str.lower, ".git"),
}
"""What may stand in an operation's path under one of these names."""


@dataclass(slots=True)
class _Place:
    """A place in the tree of operations: which words are literal here, and whether a key may stand here."""

    literal: dict[str, _Place] = field(default_factory=dict)
    any: _Place | None = None
    shapes: set[str] = field(default_factory=set)

    def key(self, text: str) -> str:
        """Give a key as it is judged; whatever is a word here, or not a key, as it is."""
        shapes = () if text in self.literal else (SHAPES[name] for name in self.shapes)
        shape = next((shape for shape in shapes if shape.regex.fullmatch(text)), None)
        return text if shape is None else _cut((shape.ending,), shape.fold(text))

    def next(self, literal: str | None) -> Iterator[_Place]:
        """Give the places below that a segment of a pattern may lead to."""
        found = self.any if literal is None else self.literal.get(literal, self.any)
        if found is not None:
            yield found
        if literal is None:
            yield from self.literal.values()


@dataclass(frozen=True, slots=True)
class Spelling:
    """Maps the spellings of one mounted preset to one form.

    Args:
        mount: segments that stand before everything.
        versions: segments of a module to the spellings of its version; the first is the form that is judged.
        endings: segments of a root to the endings that are cut from the last segment below it.
        templates: segments of every operation; keys stand where one of :data:`SHAPES` is named.
        pages: endings of the last segment by which a server finds a page, whatever stands before it, to the segments
            of places: the first one is where it is judged, below the others it is left.
    """

    mount: tuple[str, ...]
    versions: Mapping[tuple[str, ...], tuple[str, ...]]
    endings: Mapping[tuple[str, ...], tuple[str, ...]]
    templates: Iterable[Sequence[str]] = field(repr=False)
    pages: Mapping[str, Sequence[tuple[str, ...]]] = field(default_factory=dict)
    _keys: _Place = field(init=False, repr=False, default_factory=_Place)

    def __post_init__(self) -> None:
        for template in self.templates:
            _plant(self._keys, template)

    def path(self, path: str) -> str:
        """Give the form of a canonical path that is judged."""
        segments = split(path)
        if tuple(segments[: len(self.mount)]) != self.mount:
            return path
        form = self._key(self._version(self._ending(self._page(segments[len(self.mount) :]))))
        return "/" + "/".join([*self.mount, *form])

    def _page(self, segments: list[str]) -> list[str]:
        for ending, places in self.pages.items():
            if segments and segments[-1].endswith(ending):
                stands = any(tuple(segments[: len(place)]) == place for place in places)
                return segments if stands else [*places[0], segments[-1]]
        return segments

    def _ending(self, segments: list[str]) -> list[str]:
        for root, endings in self.endings.items():
            if tuple(segments[: len(root)]) == root and len(segments) > len(root):
                return [*segments[:-1], _cut(endings, segments[-1])]
        return segments

    def _version(self, segments: list[str]) -> list[str]:
        for module, spellings in self.versions.items():
            at = len(module)
            if tuple(segments[:at]) == module and len(segments) > at and segments[at] in spellings:
                return [*segments[:at], spellings[0], *segments[at + 1 :]]
        return segments

    def _key(self, segments: list[str]) -> list[str]:
        place: _Place | None = self._keys
        for at, text in enumerate(segments):
            if place is None:
                break
            segments[at] = place.key(text)
            place = place.literal.get(text, place.any)
        return segments

    def patterns(self, pattern: Pattern, refuses: bool = True) -> tuple[Pattern, ...]:
        """Map the pattern of a rule as paths are mapped; one that stands for several forms gives several.

        Args:
            pattern: as written.
            refuses: as a deny or a require does: whatever path it matches as it came, one of the forms matches what is
                judged. An allow is mapped only where it spells a version or an ending out: ``*on`` is not to allow
                everything for the sake of ``.json``.
        """
        at = len(self.mount)
        if len(pattern.segments) < at or not _may_begin(pattern.segments, self.mount):
            return (pattern,)
        forms = [(pattern.segments[at:], pattern.below)]
        cut = _without if refuses else _cut_word
        forms += [(left, False) for form, _ in forms for left in self._cut_endings(form, cut)]
        forms += [(mapped, below) for form, below in forms for mapped in self._map_version(form, refuses)]
        forms += [(mapped, below) for form, below in forms for mapped in self._map_keys(form, cut)]
        found = (Pattern((*map(_literal, self.mount), *form), below, pattern.spelled) for form, below in forms)
        return tuple({str(form): form for form in (pattern, *found)}.values())

    def _cut_endings(self, form: Form, cut: Cut) -> Iterator[Form]:
        for root, endings in self.endings.items():
            if len(form) > len(root) and _may_begin(form, root):
                last = form[-1].elements
                left = (elements for ending in endings for elements in cut(last, ending))
                whole = (*map(_literal, root), *form[len(root) : -1])
                yield from ((*whole, Segment.of(elements)) for elements in left if elements not in ((), last))

    def _map_version(self, form: Form, refuses: bool) -> Iterator[Form]:
        for module, known in self.versions.items():
            at = len(module)
            if len(form) > at and _may_begin(form, module) and _names_other(form[at], known, refuses):
                yield (*map(_literal, (*module, known[0])), *form[at + 1 :])

    def _map_keys(self, form: Form, cut: Cut) -> Iterator[Form]:
        places, choices = [self._keys], []
        for segment in form:
            keys = (key for place in places for key in _keys(segment, place, cut))
            choices.append(dict.fromkeys((segment, *keys)))
            places = [under for place in places for under in place.next(segment.literal)]
        yield from product(*choices)


Elements: TypeAlias = tuple[Element, ...]
Form: TypeAlias = tuple[Segment, ...]
Cut: TypeAlias = Callable[[Elements, str], Iterator[Elements]]


def _may_begin(form: Form, words: Sequence[str]) -> bool:
    return all(segment.match(word) is not None for segment, word in zip(form, words, strict=False))


def _cut(endings: Iterable[str], word: str) -> str:
    for ending in endings:
        if ending and word.endswith(ending) and len(word) > len(ending):
            return word.removesuffix(ending)
    return word


def _literal(word: str) -> Segment:
    return Segment.of([Element("text", word)])


def _names_other(segment: Segment, spellings: Sequence[str], refuses: bool) -> bool:
    """Whether a segment matches some spelling, but not the one that is judged."""
    if not refuses and not all(element.words for element in segment.elements):
        return False
    judged, *others = (segment.match(word) is not None for word in spellings)
    return any(others) and not judged


def _keys(segment: Segment, place: _Place, cut: Cut) -> Iterator[Segment]:
    """Give the forms of a segment that match keys as they are judged, where keys may stand."""
    if segment.literal is not None:
        yield _literal(place.key(segment.literal))
        return
    for shape in (SHAPES[name] for name in place.shapes):
        elements = tuple(_folded(element, shape.fold) for element in segment.elements)
        left = cut(elements, shape.ending) if shape.ending else ()
        yield from (Segment.of(kept) for kept in (elements, *left) if kept)


def _folded(element: Element, fold: Callable[[str], str]) -> Element:
    options = dict.fromkeys(fold(option) for option in element.options)
    return replace(element, text=fold(element.text), options=tuple(options))


def _cut_word(elements: Elements, ending: str) -> Iterator[Elements]:
    """Give what is left of elements that spell an ending out."""
    last = elements[-1]
    for word in last.words:
        if word.endswith(ending):
            left = word.removesuffix(ending)
            kept = replace(last, text=left) if last.kind == "text" else replace(last, options=(left,))
            yield (*elements[:-1], kept) if left else elements[:-1]


def _without(elements: Elements, ending: str) -> Iterator[Elements]:
    """Give all that matches a word, where the elements match the word with its ending."""
    if not ending or not elements:
        yield from () if ending else (elements,)
        return
    last = elements[-1]
    yield from _cut_word(elements, ending)
    # A wildcard may have matched the ending and more. An ending has a dot, which neither a number nor a key has.
    if last.swallows is None:
        yield elements
    # The last one may also have matched the ending alone, or a part of it, or, as a run, nothing.
    for at in range(0 if last.kind == "any" else 1, len(ending) + 1):
        if Segment.of([last]).match(ending[at:]) is not None:
            yield from _without(elements[:-1], ending[:at])


def _plant(place: _Place, template: Sequence[str]) -> None:
    for text in template:
        if not text.startswith("{") or not text.endswith("}"):
            place = place.literal.setdefault(text, _Place())
            continue
        if text[1:-1] in SHAPES:
            place.shapes.add(text[1:-1])
        place.any = place.any or _Place()
        place = place.any
