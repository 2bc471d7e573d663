"""What is lawful in a policy, but may not do what it seems to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..errors import Problem
from .patterns import Pattern, Segment
from .rules import Rule


def warnings(rules: Iterable[Rule], closed: Sequence[Pattern] = ()) -> Iterator[Problem]:
    """Find the rules that an author should look at again.

    Args:
        rules: of a policy.
        closed: places that its presets close to allows that don't spell them out.
    """
    for rule in rules:
        names = sorted({name for pattern in rule.patterns for name in pattern.names})
        if rule.effect != "allow" and names:
            yield Problem(
                "PAT-W201",
                rule.id,
                f"this {rule.effect} depends on what the path captures ({', '.join(names)})",
                "the same thing often has another name, such as an id beside a key, which it does not catch",
            )
        places = [str(place) for place in closed if rule.effect == "allow" and _stops_at(rule, place)]
        if places:
            yield Problem(
                "PAT-W202",
                rule.id,
                f"this allow does not open {', '.join(places)}, which a preset closes",
                "write a rule whose path begins with the place, if that is to be open",
            )


def _stops_at(rule: Rule, place: Pattern) -> bool:
    """Whether an allow covers a place that it doesn't name, with any of its paths; those of presets never do."""
    covered = [pattern for pattern in rule.patterns if _meet(pattern, place)]
    return bool(covered) and not any(pattern.spells_out(place) for pattern in covered)


def _meet(pattern: Pattern, place: Pattern) -> bool:
    """Whether there may be a path that both match, where the place is all that is below a path."""
    if len(pattern.segments) < len(place.segments) and not pattern.below:
        return False
    return all(map(_overlap, pattern.segments, place.segments))


def _overlap(one: Segment, other: Segment) -> bool:
    if other.literal is not None:
        return one.match(other.literal) is not None
    if one.literal is not None:
        return other.match(one.literal) is not None
    return one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)
