"""What the gate costs on the request's path: ``python -m benchmarks.request_path [--quick] [--rounds N] [--json]``.

Every figure is what a case *adds*: the CPU time of all threads for a request, minus that of the same application alone.
Every ratio is the median over rounds in which all cases are timed in turns. Each case first proves that it answers
rightly. Only ratios of one run mean anything: the machine's speed is in all of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeAlias

from . import embedded, others
from .arguments import positive
from .measure import Case, WrongAnswerError, measure, progress, ratio
from .ours import Hot, Rotation, cold
from .served import measure_granian
from .table import Row, as_json, text

ROUNDS, QUICK = 100, 15
SLICE = 0.005  # seconds for which a case is timed in a round
SERVED, SERVED_ROUNDS = 0.7, 20  # the same for a server, and how often at the most

Plan: TypeAlias = Sequence[tuple[Row, Callable[[], Case] | None]]
"""The rows, each with what makes its case; None where another row of the same name has it."""

LIMIT, BEARER = "limit", "ours: Bearer"
PYRAMID, HTTPAUTH, AUTHLIB = "Pyramid, policy by hand", "Flask-HTTPAuth", "Authlib on Flask"
BEFORE_FLASK, FLASK = "ours before Flask, plain WSGI", "ours in Flask, a view demands a scope"
WHO, KEYSTONE = "repoze.who", "keystonemiddleware, cached"
TURNS, TEN_RULES = "limit, 10,000 of 100,000 tokens in turn", "ours: unseen paths, 10 rules"


def plan(folder: Path) -> Plan:
    """Say what is measured in process, and what must be reached.

    Args:
        folder: for an audit log.
    """
    hot, rotation = Hot(), Rotation()
    return [
        (Row(name=LIMIT), hot.limit),
        (Row(name="limit, keyed blake2b"), hot.keyed_limit),
        (Row(name=BEARER, gate=4, goal=2.5), hot.bearer),
        (Row(name="ours: Basic", gate=5, goal=3.2), hot.by_basic),
        (Row(name="ours: everything on, but metrics (not built)", gate=25, goal=12), partial(hot.everything, folder)),
        (Row(name="ours: 401, no credential", gate=40, goal=15), hot.missing),
        (Row(name="ours: 401, unknown token", gate=40, goal=15), hot.unknown_token),
        (Row(name="ours: 403, scope", gate=40, goal=15), hot.scope),
        (Row(name=PYRAMID), partial(others.pyramid, hot)),
        (Row(name=HTTPAUTH), partial(others.flask_httpauth, hot)),
        (Row(name=AUTHLIB), partial(others.authlib, hot)),
        (Row(name=WHO), partial(others.repoze_who, hot)),
        (Row(name=KEYSTONE), partial(others.keystonemiddleware, hot)),
        (Row(name=BEARER, to=PYRAMID, gate=1.2, goal=0.8), None),
        (Row(name=BEARER, to=HTTPAUTH, gate=1 / 4, goal=1 / 7), None),
        (Row(name=BEARER, to=AUTHLIB, gate=1 / 10, goal=1 / 18), None),
        (Row(name=BEARER, to=WHO, gate=1 / 10, goal=1 / 15), None),
        (Row(name=BEARER, to=KEYSTONE, gate=1 / 40, goal=1 / 60), None),
        (Row(name=BEFORE_FLASK), partial(embedded.before_flask, hot)),
        (Row(name=FLASK, to=BEFORE_FLASK, gate=2, goal=1.5), partial(embedded.in_flask, hot)),
        (Row(name=FLASK, to=HTTPAUTH, gate=1.25, goal=0.8), None),
        (Row(name=TURNS), rotation.limit),
        (Row(name="ours, 10,000 of 100,000 tokens in turn", to=TURNS, gate=4, goal=2.5), rotation.ours),
        (Row(name=TEN_RULES), partial(cold, 10)),
        (Row(name="ours: unseen paths, 1,000 rules", to=TEN_RULES, gate=2, goal=1.3), partial(cold, 1_000)),
    ]


def in_process(rounds: int, slice_seconds: float) -> list[Row]:
    """Measure all that needs no server.

    Raises:
        WrongAnswerError: when a case does not answer as it must.
    """
    with tempfile.TemporaryDirectory() as folder:
        planned = plan(Path(folder))
        cases, lacking = _build(planned)
        added = measure(cases, rounds, slice_seconds)
    return [_filled(row, added, lacking) for row, _ in planned]


def _build(planned: Plan) -> tuple[dict[str, Case], dict[str, str]]:
    """Make the cases, and say why some can't be made."""
    cases, lacking = {}, {}
    for at in progress(range(len(planned)), "cases prepared"):
        row, build = planned[at]
        if build is None:
            continue
        try:
            cases[row.name] = build()
        except ModuleNotFoundError as error:
            lacking[row.name] = f"needs the package {error.name}"
    return cases, lacking


def _filled(row: Row, added: Mapping[str, Sequence[float]], lacking: Mapping[str, str]) -> Row:
    reason = lacking.get(row.name) or lacking.get(row.to)
    if reason is not None:
        return replace(row, skipped=reason)
    figures = added[row.name]
    return replace(row, figure=median(figures) * 1e6, ratio=ratio(figures, added[row.to]))


def under_granian(rounds: int, seconds: float) -> Iterable[Row]:
    """Measure what a server keeps of its requests a second.

    Raises:
        WrongAnswerError: when a request is not answered as it must.
    """
    name = "granian, 1 KB"
    alone, guarded = Row(name=name, unit="/s", to=name), Row(name=f"ours under {name}", unit="/s", to=name)
    guarded = replace(guarded, gate=0.75, goal=0.85, at_least=True)
    try:
        figures = measure_granian(rounds, seconds)
    except ModuleNotFoundError as error:
        return [replace(row, skipped=f"needs the package {error.name}") for row in (alone, guarded)]
    kept = ratio(figures["guarded"], figures["alone"])
    return [
        replace(alone, figure=median(figures["alone"]), ratio=1.0),
        replace(guarded, figure=median(figures["guarded"]), ratio=kept),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was found.

    Returns:
        0, or 1 when a case answers wrongly. Speed decides nothing here: machines differ.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the gate costs a request.")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--rounds", type=positive, metavar="N", help="how often each case is timed")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rounds in place of {ROUNDS}")
    given = parser.parse_args(arguments)
    rounds = given.rounds or (QUICK if given.quick else ROUNDS)
    try:
        rows = in_process(rounds, SLICE)
        rows += under_granian(min(rounds, SERVED_ROUNDS), SERVED)
    except WrongAnswerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(as_json(rows, rounds) if given.json else text(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
