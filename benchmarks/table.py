"""What was measured beside what must be reached, as a table or as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line.

    Args:
        name: of what was measured.
        figure: the measured value; None where it was skipped.
        unit: of the figure: ``µs`` for a request or a look-up, ``/s``, ``s``, ``MB/s``, or bytes (``B``).
        ratio: of the figure to that of ``to``; the median over the rounds.
        to: what it is compared with: another row, or a figure that is given.
        gate: what the ratio must reach.
        goal: what it should reach; None where there is only the gate.
        at_least: whether more is better.
        skipped: why there is no figure.
    """

    name: str
    figure: float | None = None
    unit: Literal["µs", "/s", "s", "MB/s", "B"] = "µs"
    ratio: float | None = None
    to: str = "limit"
    gate: float | None = None
    goal: float | None = None
    at_least: bool = False
    skipped: str | None = None

    @property
    def met(self) -> Literal["goal", "gate", "no"] | None:
        """Say which of the two is reached; None where there is nothing to reach, or nothing was measured."""
        if self.ratio is None or self.gate is None:
            return None
        sign = -1 if self.at_least else 1
        if self.goal is not None and sign * self.ratio <= sign * self.goal:
            return "goal"
        return "gate" if sign * self.ratio <= sign * self.gate else "no"


_DIGITS = {"µs": 2, "/s": 0, "s": 2, "MB/s": 0, "B": 0}
_HEADS = ("case", "figure", "ratio", "to", "gate", "goal", "met")


def text(rows: Iterable[Row]) -> str:
    """Write the rows as a table in Markdown."""
    cells = [_HEADS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(line, widths) for line in cells]
    return "\n".join([lines[0], _line(["-" * width for width in widths], widths), *lines[1:]])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if at in (0, 3, 6) else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join([first, *others])} |"


def _cells(row: Row) -> tuple[str, ...]:
    if row.skipped is not None:
        return row.name, "–", "–", row.to, _bound(row, row.gate), _bound(row, row.goal), f"skipped: {row.skipped}"
    figure = "–" if row.figure is None else f"{row.figure:,.{_DIGITS[row.unit]}f} {row.unit}"
    ratio = "–" if row.ratio is None else f"{row.ratio:.3f}" if row.ratio < 0.1 else f"{row.ratio:.2f}"
    return row.name, figure, ratio, row.to, _bound(row, row.gate), _bound(row, row.goal), row.met or ""


def _bound(row: Row, bound: float | None) -> str:
    return "" if bound is None else f"{'≥' if row.at_least else '≤'} {bound:.3g}"


def as_json(rows: Iterable[Row], rounds: int) -> str:
    """Write the rows as one JSON object."""
    found = [asdict(row) | {"met": row.met} for row in rows]
    return json.dumps({"python": platform.python_version(), "rounds": rounds, "rows": found}, indent=2)
