"""Time cases in turns, so that what disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import repeat
from random import Random
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, TypeAlias

from .material import Environ, status

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Run: TypeAlias = Callable[[int], None]
"""Makes so many requests."""

_BAR = 30


class WrongAnswerError(Exception):
    """A case does not answer rightly, so that its speed says nothing."""


@dataclass(frozen=True, slots=True)
class Case:
    """Something to time.

    Args:
        run: through the gate.
        alone: the same without it; what is *added* is the difference.
    """

    run: Run
    alone: Run


def prove(name: str, app: WSGIApplication, answers: Iterable[tuple[Environ, int]]) -> None:
    """See to it that an application answers as it must.

    Raises:
        WrongAnswerError: for the first status that is another.
    """
    for environ, expected in answers:
        given = status(app, environ)
        if given != expected:
            raise WrongAnswerError(f"{name}: the answer was {given} and should have been {expected}")


def requests(app: WSGIApplication, environ: Environ) -> Run:
    """Give what calls an application with a fresh copy of an environ each time."""

    def run(count: int) -> None:
        copy = environ.copy
        for _ in repeat(None, count):
            app(copy(), _start_response)

    return run


def changing(app: WSGIApplication, environ: Environ, keys: tuple[str, ...], values: Iterable[str]) -> Run:
    """Give what calls an application with the next value under all of the keys each time."""
    following = iter(values).__next__

    def run(count: int) -> None:
        copy = environ.copy
        for _ in repeat(None, count):
            fresh = copy()
            value = following()
            for key in keys:
                fresh[key] = value
            app(fresh, _start_response)

    return run


def _start_response(status: str, headers: object, exc_info: object = None, /) -> Callable[[bytes], object]:
    return _write


def _write(data: bytes, /) -> object:
    return None


def measure(cases: Mapping[str, Case], rounds: int, slice_seconds: float) -> dict[str, list[float]]:
    """Give what each case adds to a request: CPU seconds of all threads of this process, one figure for each round.

    Args:
        cases: by name.
        rounds: how often each is timed.
        slice_seconds: for how long, each time.
    """
    counts = {name: _count(case.run, slice_seconds) for name, case in cases.items()}
    added: dict[str, list[float]] = {name: [] for name in cases}
    gc.collect()
    gc.freeze()  # as a server does before it forks: what was loaded is not looked at again and again
    for _ in progress(range(rounds), "rounds"):
        for name, case in cases.items():
            count = counts[name]
            added[name].append((_seconds(case.run, count) - _seconds(case.alone, count)) / count)
    gc.unfreeze()
    return added


def measure_wall(runs: Mapping[str, Run], rounds: int, slice_seconds: float) -> dict[str, list[float]]:
    """Give the seconds by the clock on the wall that each takes for one of what it does, one figure for each round.

    For what waits for another process, whose CPU time can't be seen from here.

    Args:
        runs: by name. Each round has them in another order, so that none always finds what the same one left in caches.
        rounds: how often each is timed.
        slice_seconds: for how long, each time.
    """
    counts = {name: _count(run, slice_seconds, perf_counter) for name, run in runs.items()}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    gc.collect()
    gc.freeze()
    for at in progress(range(rounds), "rounds"):
        for name in Random(at).sample(names, len(names)):
            taken[name].append(_seconds(runs[name], counts[name], perf_counter) / counts[name])
    gc.unfreeze()
    return taken


def ratio(figures: Iterable[float], others: Iterable[float]) -> float:
    """Give the median over the rounds of one thing's figures in terms of another's."""
    return median(figure / other for figure, other in zip(figures, others, strict=True))


def _count(run: Run, seconds: float, clock: Callable[[], float] = process_time) -> int:
    count = 10
    run(count)  # the first one starts threads, opens files and fills caches
    while (taken := _seconds(run, count, clock)) < seconds / 4:
        count *= 2
    return max(10, int(count * seconds / taken))


def _seconds(run: Run, count: int, clock: Callable[[], float] = process_time) -> float:
    began = clock()
    run(count)
    return clock() - began


def progress(items: range, what: str) -> Iterable[int]:
    """Show on a terminal how far it is."""
    for at in items:
        if sys.stderr.isatty():
            done = _BAR * at // len(items)
            print(f"\r{'█' * done}{'·' * (_BAR - done)} {at}/{len(items)} {what} ", end="", file=sys.stderr, flush=True)
        yield at
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
