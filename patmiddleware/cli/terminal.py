"""What a command says: one JSON document for scripts, or words and tables for people.

Answers go to the standard output, notes and errors to standard error. Text that came from elsewhere is shown with its
control characters spelled out, so that a token's name can't write to the terminal on its own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Literal, Protocol, TextIO, TypeAlias

if TYPE_CHECKING:
    from rich.console import Console

UNBOUNDED = 100_000
GAP = "  "
WHILE = 0.5
"""Seconds of work before a progress bar shows up."""


def plain(text: object) -> str:
    """Give a text with what can't be printed spelled out; line ends stay."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in str(text)
    )


def one_line(text: object) -> str:
    """Give a text with what can't be printed spelled out, line ends too: nobody can add a line of their own."""
    return plain(text).replace("\n", "\\n")


def write_json(document: object) -> None:
    """Write one JSON document, in ASCII, to the standard output."""
    print(json.dumps(document, default=str))


def say(text: str) -> None:
    """Write words to the standard output."""
    print(plain(text))


def note(text: str) -> None:
    """Write words to standard error, beside the answer; where they can't be written, the answer goes on."""
    with suppress(OSError):
        print(plain(text), file=sys.stderr, flush=True)


Styles: TypeAlias = Mapping[str, Mapping[str, str]]
"""Heading of a column to the rich styles of the words in it, such as ``{"STATE": {"revoked": "red"}}``."""

NO_STYLES: Styles = {}


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], styles: Styles = NO_STYLES) -> None:
    """Write a table: on a terminal fitted to it and with colour, else aligned, and one line a row.

    A terminal too narrow for the headings breaks such lines by itself: better than columns of single letters.

    Args:
        columns: the headings; the first column is never broken.
        rows: the cells; what is empty or None is shown as a dash.
        styles: for terminals.
    """
    texts = [["–" if cell is None or cell == "" else one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(columns, *texts, strict=True)]
    least = widths[0] + sum(len(GAP) + len(heading) for heading in columns[1:])
    if sys.stdout.isatty() and console(sys.stdout).width >= least:
        _draw(columns, texts, styles)
        return
    for row in (columns, *texts):
        print(GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _draw(columns: Sequence[str], texts: Sequence[Sequence[str]], styles: Styles) -> None:
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, len(GAP), 0, 0))
    for number, heading in enumerate(columns):
        drawn.add_column(heading, no_wrap=number == 0, min_width=len(heading), overflow="fold")
    for row in texts:
        cells = zip(columns, row, strict=True)
        drawn.add_row(*(Text(text, styles.get(heading, {}).get(text, "")) for heading, text in cells))
    console(sys.stdout).print(drawn)


def console(stream: TextIO) -> Console:
    """Give a rich console over a stream; beside a terminal it has no colour and breaks no line."""
    from rich.console import Console

    # Without colour rich would still write in bold; whoever sets NO_COLOR wants the words alone.
    system: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    width = None if stream.isatty() else UNBOUNDED
    return Console(file=stream, highlight=False, markup=False, color_system=system, width=width)


class Step(Protocol):
    """Tells a progress bar that something is done."""

    def __call__(self, done: int = 1) -> None:
        """Move on by so many pieces."""


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Step]:
    """Show a progress bar on standard error while work goes on: only on a terminal, and where it takes a while.

    It shows how much is done, how fast, and what time is left.

    Args:
        label: what is being done.
        total: how many pieces there are, where that is known.
    """
    if not sys.stderr.isatty():
        yield lambda done=1: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    texts = (TextColumn("{task.description}"), TextColumn("{task.fields[rate]}"))
    columns = (texts[0], BarColumn(), MofNCompleteColumn(), texts[1], TimeRemainingColumn())
    bar = Progress(*columns, console=console(sys.stderr), transient=True)
    task, began = bar.add_task(label, total=total, rate=""), monotonic()

    def step(done: int = 1) -> None:
        bar.advance(task, done)
        if (elapsed := monotonic() - began) > WHILE:
            bar.update(task, rate=f"{bar.tasks[0].completed / elapsed:,.0f}/s")
            bar.start()

    try:
        yield step
    finally:
        bar.stop()
