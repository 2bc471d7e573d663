"""What is lawful in a policy, but may not do what it seems to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import Problem
from .rules import Rule


def warnings(rules: Iterable[Rule]) -> Iterator[Problem]:
    """Find the rules that an author should look at again."""
    for rule in rules:
        names = sorted({name for pattern in rule.patterns for name in pattern.names})
        if rule.effect != "allow" and names:
            yield Problem(
                "PAT-W201",
                rule.id,
                f"this {rule.effect} depends on what the path captures ({', '.join(names)})",
                "the same thing often has another name, such as an id beside a key, which it does not catch",
            )
