"""What a look-up costs when no cache has the answer: ``python -m benchmarks.stores [--quick] [--rounds N] [--json]``.

Every figure is the time by the clock on the wall, for the work is done in another process in part. Every ratio is the
median over rounds in which all cases of a store are timed in turns, over tokens in random order. Each case first proves
that it answers rightly. Only ratios of one run mean anything: the machine's speed is in all of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from statistics import median
from typing import Protocol

from .arguments import choices, numbers, positive
from .many import Figures
from .measure import WrongAnswerError, ratio
from .servers import MissingError
from .table import Row, as_json, text

ROUNDS, QUICK = 200, 30
TOKENS = (1_000, 1_000_000)

_SCALES = {"µs": 1e6, "s": 1.0, "B": 1.0, "/s": 1.0}


class Part(Protocol):
    """What is measured together."""

    def rows(self, counts: Sequence[int]) -> list[Row]:
        """Say what is measured with so many tokens, fewest first, and what must be reached."""

    def measure(self, counts: Sequence[int], rounds: int) -> Figures:
        """Measure it: seconds or bytes by the names of the rows, and of what they are compared with.

        Raises:
            MissingError: for lack of something.
            WrongAnswerError: when a case does not answer as it must.
        """


# Named, for each imports what only it needs.
PARTS = {
    "memory": ("local", "MEMORY"),
    "file": ("local", "FILE"),
    "sqlite": ("databases", "SQLITE"),
    "postgresql": ("databases", "POSTGRESQL"),
    "mysql": ("databases", "MARIADB"),
    "ldap": ("people", "DIRECTORY"),
}


def measured(name: str, counts: Sequence[int], rounds: int) -> list[Row]:
    """Measure a part, or say why it can't be.

    Raises:
        WrongAnswerError: when a case does not answer as it must.
    """
    module, attribute = PARTS[name]
    try:
        part: Part = getattr(import_module(f".{module}", __package__), attribute)
    except ModuleNotFoundError as error:
        return [Row(name=name, to="", skipped=f"needs the package {error.name}")]
    rows = part.rows(counts)
    try:
        figures = part.measure(counts, rounds)
    except MissingError as error:
        return [replace(row, skipped=str(error)) for row in rows]
    return [_filled(row, figures) for row in rows]


def _filled(row: Row, figures: Mapping[str, Sequence[float]]) -> Row:
    if row.name not in figures:
        return replace(row, skipped="can't be measured on this system")
    own, other = figures[row.name], figures.get(row.to)
    figure = median(own) * _SCALES[row.unit]
    return replace(row, figure=figure, ratio=None if other is None else ratio(own, other))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was found.

    Returns:
        0, or 1 when a case answers wrongly. Speed decides nothing here: machines differ.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description="What a look-up costs.")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--rounds", type=positive, metavar="N", help="how often each case is timed")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rounds in place of {ROUNDS}")
    parser.add_argument(
        "--tokens", type=numbers, default=TOKENS, metavar="N,…", help="how many there are to look among"
    )
    parser.add_argument("--only", type=choices(PARTS), default=list(PARTS), metavar="NAME,…", help=", ".join(PARTS))
    given = parser.parse_args(arguments)
    rounds = given.rounds or (QUICK if given.quick else ROUNDS)
    try:
        rows = [row for name in given.only for row in measured(name, given.tokens, rounds)]
    except WrongAnswerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(as_json(rows, rounds) if given.json else text(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
