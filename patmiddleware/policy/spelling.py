"""One form for judging, where a server takes several spellings of one resource.

A preset knows that ``/rest/api/latest/issue/abc-1.json`` is ``/rest/api/2/issue/ABC-1``. Paths are mapped before any
rule is asked, and the paths of rules are mapped at load in the same way, so that a deny holds for every spelling. What is
served or forwarded is as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from .patterns import Element, Pattern, Segment, split

_ISSUE = re.compile(r"[A-Za-z][A-Za-z0-9_]*-[0-9]+")
_PROJECT = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
SHAPES: Mapping[str, re.Pattern[str]] = {"issue": _ISSUE, "project": _PROJECT}


@dataclass(slots=True)
class _Place:
    """A place in the tree of operations: which words are literal here, and whether a key may stand here."""

    literal: dict[str, _Place] = field(default_factory=dict)
    any: _Place | None = None
    shapes: set[str] = field(default_factory=set)

    def upper(self, text: str) -> str:
        """Give a key in capitals; whatever is a word here, or not a key, as it is."""
        is_key = text not in self.literal and any(SHAPES[shape].fullmatch(text) for shape in self.shapes)
        return text.upper() if is_key else text

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
        templates: segments of every operation; ``{issue}`` and ``{project}`` are where keys stand.
    """

    mount: tuple[str, ...]
    versions: Mapping[tuple[str, ...], tuple[str, ...]]
    endings: Mapping[tuple[str, ...], tuple[str, ...]]
    templates: Iterable[Sequence[str]] = field(repr=False)
    _keys: _Place = field(init=False, repr=False, default_factory=_Place)

    def __post_init__(self) -> None:
        for template in self.templates:
            _plant(self._keys, template)

    def path(self, path: str) -> str:
        """Give the form of a canonical path that is judged."""
        segments = split(path)
        if tuple(segments[: len(self.mount)]) != self.mount:
            return path
        return "/" + "/".join([*self.mount, *self._key(self._version(self._ending(segments[len(self.mount) :])))])

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
            segments[at] = place.upper(text)
            place = place.literal.get(text, place.any)
        return segments

    def patterns(self, pattern: Pattern) -> tuple[Pattern, ...]:
        """Map the pattern of a rule as paths are mapped; a pattern that stands for several forms gives several."""
        at = len(self.mount)
        if tuple(segment.literal for segment in pattern.segments[:at]) != self.mount:
            return (pattern,)
        forms = self._cut_endings(pattern.segments[at:], pattern.below)
        forms = [mapped for form in forms for mapped in self._map_versions(form)]
        forms = [mapped for form in forms for mapped in self._map_keys(form)]
        found = [Pattern((*pattern.segments[:at], *form), pattern.below) for form in forms]
        return tuple({str(form): form for form in found}.values())

    def _cut_endings(self, form: Form, below: bool) -> list[Form]:
        cut = [
            (*form[:-1], _map_words(form[-1], partial(_cut, endings)))
            for root, endings in self.endings.items()
            if not below and len(form) > len(root) and _may_begin(form, root)
        ]
        return [form, *cut]

    def _map_versions(self, form: Form) -> list[Form]:
        mapped = [
            (
                *form[: len(module)],
                _map_words(form[len(module)], partial(_first, known)),
                *form[len(module) + 1 :],
            )
            for module, known in self.versions.items()
            if len(form) > len(module) and _may_begin(form, module)
        ]
        return [form, *mapped]

    def _map_keys(self, form: Form) -> list[Form]:
        places, keyed = [self._keys], []
        for segment in form:
            mapped = segment
            for place in places:
                mapped = _map_words(mapped, place.upper if segment.literal else str.upper) if place.shapes else mapped
            keyed.append(mapped)
            places = [below for place in places for below in place.next(segment.literal)]
        return [form, tuple(keyed)]


Form: TypeAlias = tuple[Segment, ...]


def _may_begin(form: Form, words: Sequence[str]) -> bool:
    return all(segment.match(word) is not None for segment, word in zip(form, words, strict=False))


def _first(known: Sequence[str], word: str) -> str:
    return known[0] if word in known else word


def _cut(endings: Iterable[str], word: str) -> str:
    for ending in endings:
        if word.endswith(ending) and len(word) > len(ending):
            return word.removesuffix(ending)
    return word


def _map_words(segment: Segment, change: Callable[[str], str]) -> Segment:
    return Segment.of([_map_element(element, change) for element in segment.elements])


def _map_element(element: Element, change: Callable[[str], str]) -> Element:
    options = dict.fromkeys(change(option) for option in element.options)
    return replace(element, text=change(element.text), options=tuple(options))


def _plant(place: _Place, template: Sequence[str]) -> None:
    for text in template:
        if not text.startswith("{") or not text.endswith("}"):
            place = place.literal.setdefault(text, _Place())
            continue
        if text[1:-1] in SHAPES:
            place.shapes.add(text[1:-1])
        place.any = place.any or _Place()
        place = place.any
