"""From a method and a path to the rules that match, at a cost that does not grow with the number of rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .patterns import Pattern, Segment, split
from .rules import Hit, Matched, Rule


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule under one of its patterns."""

    rule: Rule
    pattern: Pattern
    order: int


@dataclass(slots=True)
class _Node:
    """A place in the tree of segments. Partial patterns are found by the text that they begin with."""

    literal: dict[str, _Node] = field(default_factory=dict)
    partial: dict[str, dict[str, tuple[Segment, _Node]]] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()
    here: list[Entry] = field(default_factory=list)
    below: list[Entry] = field(default_factory=list)

    def child(self, segment: Segment) -> _Node:
        if segment.literal is not None:
            return self.literal.setdefault(segment.literal, _Node())
        siblings = self.partial.setdefault(segment.prefix, {})
        self.lengths = tuple(sorted({len(prefix) for prefix in self.partial}))
        return siblings.setdefault(str(segment), (segment, _Node()))[1]

    def children(self, text: str) -> Iterator[_Node]:
        if text in self.literal:
            yield self.literal[text]
        for length in self.lengths:
            if length > len(text):
                break
            siblings: Mapping[str, tuple[Segment, _Node]] = self.partial.get(text[:length], {})
            yield from (node for segment, node in siblings.values() if segment.match(text) is not None)


class Matcher:
    """The rules, compiled once.

    Args:
        rules: in the order of the file.
        observe: what :class:`Matched` says of it.
        closed: places that no allow opens but one that spells the place out.
    """

    __slots__ = ("_closed", "_observe", "_root")

    def __init__(self, rules: Iterable[Rule], observe: bool = False, closed: Iterable[Pattern] = ()) -> None:
        self._root, self._observe, self._closed = _Node(), observe, tuple(closed)
        for order, rule in enumerate(rules):
            for pattern in rule.patterns:
                self._plant(Entry(rule, pattern, order))

    def _plant(self, entry: Entry) -> None:
        node = self._root
        for segment in entry.pattern.segments:
            node = node.child(segment)
        (node.below if entry.pattern.below else node.here).append(entry)

    def entries(self, path: str) -> list[Entry]:
        """Give all rules whose path matches, whatever the method, in the order of the file."""
        nodes, found = [self._root], list(self._root.below)
        for text in split(path):
            nodes = [child for node in nodes for child in node.children(text)]
            found += [entry for node in nodes for entry in node.below]
        found += [entry for node in nodes for entry in node.here]
        return sorted(found, key=_order)

    def match(self, method: str, path: str) -> Matched:
        """Give what the rules say about a method and a path.

        Args:
            method: upper case.
            path: canonical, decoded, in the spelling that is judged.
        """
        entries, segments = self.entries(path), split(path)
        places = self._places(f"{path}/", segments)
        if not entries and not places:
            return Matched(observe=self._observe)
        about = [entry for entry in entries if entry.rule.methods is None or method in entry.rule.methods]
        hits, shut = (_hits(part, segments) for part in _parted(_most_specific(about), places))
        return Matched(
            denies=tuple(hit for hit in hits if hit.rule.effect == "deny"),
            requires=tuple(hit for hit in hits if hit.rule.effect == "require"),
            allows=tuple(hit for hit in hits if hit.rule.effect == "allow" and not hit.rule.public),
            public=tuple(hit for hit in hits if hit.rule.effect == "allow" and hit.rule.public),
            shut=shut,
            closed=bool(places),
            mentioned=bool(places) or any(entry.rule.effect == "allow" for entry in entries),
            asks_address=any(hit.rule.asks_address for hit in (*hits, *shut)),
            observe=self._observe,
        )

    def _places(self, path: str, segments: Sequence[str]) -> list[Pattern]:
        """Give the closed places that a path is in; what a place spells out tells fast that it is in none."""
        near = (place for place in self._closed if path.startswith(place.spelled))
        return [place for place in near if place.match(segments) is not None]


def _hits(entries: Iterable[Entry], segments: Sequence[str]) -> tuple[Hit, ...]:
    return tuple(Hit(entry.rule, entry.pattern.match(segments) or {}) for entry in entries)


def _parted(entries: Iterable[Entry], places: Sequence[Pattern]) -> tuple[list[Entry], list[Entry]]:
    """Part the entries into those that count at a path, and allows that don't name the closed places that it is in."""
    parted: tuple[list[Entry], list[Entry]] = ([], [])
    for entry in entries:
        spelled = all(entry.pattern.spells_out(place) for place in places)
        parted[entry.rule.effect == "allow" and not spelled].append(entry)
    return parted


def _order(entry: Entry) -> int:
    return entry.order


def _most_specific(entries: Sequence[Entry]) -> list[Entry]:
    """Of the operations of a preset keep the one that the path names best; every other rule stays."""
    best: dict[str, tuple[int, ...]] = {}
    for entry in entries:
        if table := entry.rule.table:
            best[table] = min(best.get(table, entry.pattern.rank), entry.pattern.rank)
    return [entry for entry in entries if not entry.rule.table or entry.pattern.rank == best[entry.rule.table]]
