"""What it costs to rewrite the links of an answer: ``python -m benchmarks.links [--quick] [--rounds N] [--json]``.

Every figure is the time by the clock on the wall for one answer. Every ratio is the median over rounds in which all
cases are timed in turns. Each case first proves that it answers rightly. Only ratios of one run mean anything: the
machine's speed is in all of them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from socket import MSG_WAITALL, socket, socketpair
from statistics import median
from typing import TypeAlias

from patmiddleware.forwarder.gzipping import gunzipped, gzipped
from patmiddleware.forwarder.links import Links

from . import answers
from .arguments import positive
from .measure import Run, WrongAnswerError, measure_wall, ratio
from .table import Row, as_json, text

ROUNDS, QUICK = 100, 15
SLICE = 0.01
"""Seconds for which a case is timed in a round."""
PIECE = 16_384
"""Bytes that are read at once."""
FAST = 200.0
"""Megabytes a second."""

_PUBLIC = "https://api.example.org"
_LINKS = Links(["http://127.0.0.1:8080/jira", answers.BASE], _PUBLIC)  # what is connected to, and what it calls itself
_GOAL = f"{FAST:g} MB/s"

Rewrite: TypeAlias = Callable[[Iterable[bytes]], Iterable[bytes]]
Sockets: TypeAlias = tuple[socket, socket]
"""What is sent by the first comes from the second."""


@dataclass(frozen=True, slots=True)
class Way:
    """One of doing it.

    Args:
        rewrite: pieces of an answer.
        gzip: whether that is in gzip.
        changes: whether links become ours.
    """

    rewrite: Rewrite
    gzip: bool = False
    changes: bool = True


def _parsed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Rewrite links as one does by hand: all is read, parsed, walked through and written anew."""
    value = _mapped(json.loads(b"".join(pieces)))
    yield json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _mapped(value: answers.Json) -> answers.Json:
    if isinstance(value, str):
        return _PUBLIC + value.removeprefix(answers.BASE) if value.startswith(f"{answers.BASE}/") else value
    if isinstance(value, list):
        return [_mapped(item) for item in value]
    return {name: _mapped(item) for name, item in value.items()} if isinstance(value, dict) else value


_PASSED, _HAND, _OURS = "passed on", "json by hand", "ours"
_REPACKED, _OURS_PACKED = "gzip, unpacked and packed", "ours, gzip"
WAYS = {
    _PASSED: Way(iter, changes=False),
    _HAND: Way(_parsed),
    _OURS: Way(partial(_LINKS.body, gzip=False)),
    _REPACKED: Way(lambda pieces: gzipped(gunzipped(pieces)), gzip=True, changes=False),
    _OURS_PACKED: Way(partial(_LINKS.body, gzip=True), gzip=True),
}
ANSWERS = {"issue, 1 KB": answers.issue, "texts, 300 KB": answers.texts, "search, 300 KB": answers.search}


def rows() -> list[Row]:
    """Say what is measured, and what must be reached."""
    planned = []
    for name in ANSWERS:
        passed, hand, ours, repacked, ours_packed = (f"{name}: {way}" for way in WAYS)
        planned += [
            Row(name=passed, to=passed),
            Row(name=hand, to=passed),
            Row(name=ours, to=passed),
            Row(name=ours, to=hand, gate=0.5, goal=0.33),
            Row(name=repacked, to=repacked),
            Row(name=ours_packed, to=repacked, gate=2.5, goal=2),
        ]
    few, many = (f"{name}: ours, by itself" for name in list(ANSWERS)[1:])
    return [
        *planned,
        Row(name=few, unit="MB/s", to=_GOAL, at_least=True, gate=1, goal=2),
        Row(name=many, unit="MB/s", to=_GOAL, at_least=True, gate=0.5, goal=1),
    ]


def measured(rounds: int) -> list[Row]:
    """Measure all of it.

    Raises:
        WrongAnswerError: when an answer is not rewritten as it must be.
    """
    bodies = {name: make() for name, make in ANSWERS.items()}
    alone = {f"{name}: ours, by itself": body for name, body in bodies.items()}
    sender, receiver = sockets = socketpair()
    with sender, receiver:
        runs = {f"{name}: {way}": _passing(name, way, body, sockets) for name, body in bodies.items() for way in WAYS}
        runs |= {name: partial(_rewriting, _pieces(body)) for name, body in alone.items()}
        figures: dict[str, Sequence[float]] = {**measure_wall(runs, rounds, SLICE), _GOAL: [FAST] * rounds}
    for name, body in alone.items():
        figures[name] = [len(body) / 1e6 / seconds for seconds in figures[name]]
    return [_filled(row, figures) for row in rows()]


def _filled(row: Row, figures: Mapping[str, Sequence[float]]) -> Row:
    own = figures[row.name]
    return replace(row, figure=median(own) * (1e6 if row.unit == "µs" else 1), ratio=ratio(own, figures[row.to]))


def _pieces(body: bytes) -> Sequence[bytes]:
    return [body[at : at + PIECE] for at in range(0, len(body), PIECE)]


def _rewriting(pieces: Sequence[bytes], count: int) -> None:
    for _ in range(count):
        for _ in _LINKS.body(pieces, gzip=False):
            pass


def _passing(name: str, way: str, body: bytes, sockets: Sockets) -> Run:
    """Give what reads an answer from a socket, and writes what becomes of it to one.

    Raises:
        WrongAnswerError: when what comes out is not what it should be.
    """
    chosen = WAYS[way]
    pieces = _pieces(gzip.compress(body) if chosen.gzip else body)

    def relayed() -> Iterator[bytes]:
        for piece in chosen.rewrite(_through(sockets, piece) for piece in pieces):
            yield from (_through(sockets, part) for part in _pieces(piece))  # more might not fit into a socket

    def run(count: int) -> None:
        for _ in range(count):
            for _ in relayed():
                pass

    given, value = b"".join(relayed()), json.loads(body)
    if json.loads(gzip.decompress(given) if chosen.gzip else given) != (_mapped(value) if chosen.changes else value):
        raise WrongAnswerError(f"{name}: {way}: the links in it are not what they should be")
    return run


def _through(sockets: Sockets, data: bytes) -> bytes:
    sockets[0].sendall(data)
    return sockets[1].recv(len(data), MSG_WAITALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was found.

    Returns:
        0, or 1 when a case answers wrongly. Speed decides nothing here: machines differ.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.links", description="What it costs to rewrite links.")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--rounds", type=positive, metavar="N", help="how often each case is timed")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rounds in place of {ROUNDS}")
    given = parser.parse_args(arguments)
    rounds = given.rounds or (QUICK if given.quick else ROUNDS)
    try:
        found = measured(rounds)
    except WrongAnswerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(as_json(found, rounds) if given.json else text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
