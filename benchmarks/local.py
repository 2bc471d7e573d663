"""Stores within the process: in memory, and in a file that is read when it is opened."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Protocol

from patmiddleware import Secret, Token
from patmiddleware.backends.file import FileStore
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.interfaces import Add, Replace, TokenReader, Transactional
from patmiddleware.model import Digest

from .many import (
    BATCH,
    GROWTH,
    LOADING,
    OURS,
    SLICE,
    UNKNOWN,
    Figures,
    as_kept,
    digest,
    load,
    look_ups,
    secret,
    token,
)
from .measure import Run, WrongAnswerError, measure_wall, progress
from .table import Row

LOADED = 100_000
OPENINGS, ADDINGS = 5, 20
"""How often a file is opened, and in how many rounds tokens are added, at the most."""

_SECONDS, _BYTES = 1.5, 1_024
_TO_OPEN, _TO_KEEP = f"{_SECONDS} s", f"{_BYTES:,} B"
_LINE = 1_024  # bytes by which a file may grow for a token
_ROOT = Path(__file__).parent.parent


class _Store(TokenReader, Transactional, Protocol):
    """What tokens are put into and looked up in."""


class Memory:
    """Look-ups in a store in memory.

    Beside few tokens and many, which differ in how much of them the processor's caches hold as well, the many in one
    store are compared with as many in stores of few.
    """

    def rows(self, counts: Sequence[int]) -> list[Row]:
        """Say what is measured with so many tokens, and what must be reached."""
        few, many = counts[0], counts[-1]
        rows = _look_up_rows("memory", counts)
        if few == many:
            return rows
        apart = _shared(many, many // few)
        return [*rows, Row(name=apart, to=apart), Row(name=_shared(many, 1), to=apart, gate=GROWTH)]

    def measure(self, counts: Sequence[int], rounds: int) -> Figures:
        """Fill stores with each number of tokens, and time look-ups in turns."""
        few, many = counts[0], counts[-1]
        stores = {tokens: MemoryStore() for tokens in counts}
        figures, runs = _look_ups("memory", stores)
        figures |= measure_wall(runs, rounds, SLICE)
        if few == many:
            return figures
        runs.clear()
        for these in ([stores[many]], _spread(many, many // few)):
            name = _shared(many, len(these))
            runs[name] = look_ups(name, partial(_find_in, these), partial(_place, len(these)), as_kept, many)
        return figures | measure_wall(runs, rounds, SLICE)


class File:
    """Look-ups in a token file; how long it takes to open, what it takes of memory, and one token more."""

    def rows(self, counts: Sequence[int]) -> list[Row]:
        """Say what is measured with so many tokens, and what must be reached."""
        few, many = counts[0], _loaded(counts)
        rows = _look_up_rows("file", counts)
        for how in ("written anew", "imported"):
            rows.append(Row(name=_opening(many, how), unit="s", to=_TO_OPEN, gate=1))
        rows.append(Row(name=_memory(many), unit="B", to=_TO_KEEP, gate=1))
        rows.append(Row(name=_adding(few), to=_adding(few)))
        return [*rows, Row(name=_adding(many), to=_adding(few), gate=GROWTH)] if few != many else rows

    def measure(self, counts: Sequence[int], rounds: int) -> Figures:
        """Fill a file with each number of tokens, and time each thing in turns.

        Raises:
            WrongAnswerError: when a token is not found, or adding one does more than to append a line.
        """
        with tempfile.TemporaryDirectory() as folder:
            paths = (Path(folder) / f"{number}.tokens" for number in count())
            figures, runs = _look_ups("file", {tokens: FileStore(next(paths)) for tokens in counts})
            figures |= measure_wall(runs, rounds, SLICE)
            runs.clear()  # and with them the memory
            few, many = counts[0], _loaded(counts)
            figures |= _opened(next(paths), many, min(rounds, OPENINGS))
            adding = {_adding(tokens): _additions(next(paths), tokens) for tokens in dict.fromkeys((few, many))}
            return figures | measure_wall(adding, min(rounds, ADDINGS), SLICE)


MEMORY, FILE = Memory(), File()


def _shared(tokens: int, stores: int) -> str:
    return f"memory, {tokens:,} tokens in {f'{stores:,} stores' if stores > 1 else 'one store'}: {OURS}"


def _spread(tokens: int, stores: int) -> list[MemoryStore]:
    """Put so many tokens into so many stores."""
    spread = [MemoryStore() for _ in range(stores)]
    for at, store in enumerate(spread):
        store.commit([Add(token(number), Digest("sha256", "", digest(number))) for number in range(at, tokens, stores)])
    return spread


def _place(stores: int, number: int) -> tuple[int, Secret]:
    """Say in which of so many stores the token with this number is, and by what it is found."""
    return number % stores, secret(number)


def _find_in(stores: Sequence[MemoryStore], place: tuple[int, Secret]) -> Token | None:
    at, key = place
    return stores[at].find(key)


def _loaded(counts: Sequence[int]) -> int:
    return min(LOADED, counts[-1])


def _opening(tokens: int, how: str) -> str:
    return f"file, {tokens:,} tokens: opening it, {how}"


def _memory(tokens: int) -> str:
    return f"file, {tokens:,} tokens: memory for each"


def _adding(tokens: int) -> str:
    return f"file, {tokens:,} tokens: one more, seen by another reader"


def _look_up_rows(title: str, counts: Sequence[int]) -> list[Row]:
    least = f"{title}, {counts[0]:,} tokens: {OURS}"
    rows = []
    for tokens in counts:
        name = f"{title}, {tokens:,} tokens: {OURS}"
        rows.append(Row(name=f"{title}, {tokens:,} tokens: {LOADING}", unit="s", to=""))
        rows.append(Row(name=name, to=least, gate=None if name == least else GROWTH))
    return rows


def _look_ups(title: str, stores: dict[int, _Store]) -> tuple[Figures, dict[str, Run]]:
    figures, runs = Figures(), dict[str, Run]()
    for tokens, store in stores.items():
        name = f"{title}, {tokens:,} tokens: {OURS}"
        figures[f"{title}, {tokens:,} tokens: {LOADING}"] = [load(store, tokens)]
        runs[name] = look_ups(name, store.find, secret, as_kept, tokens)
    return figures, runs


def _opened(path: Path, tokens: int, rounds: int) -> Figures:
    """Open a file with so many tokens in new processes, as it was imported, and written anew without what is dead."""
    store = FileStore(path)
    load(store, tokens)
    figures: Figures = {_TO_OPEN: [_SECONDS] * rounds, _TO_KEEP: [float(_BYTES)] * rounds}
    figures[_opening(tokens, "imported")], _ = _open_anew(path, tokens, rounds)
    for at in range(0, tokens, BATCH):  # as many dead ones as living ones: that brings it about
        numbers = range(at, min(tokens, at + BATCH))
        store.commit([Replace(replace(token(number), name="renamed"), token(number)) for number in numbers])
    figures[_opening(tokens, "written anew")], size = _open_anew(path, tokens, rounds)
    return figures | ({_memory(tokens): size} if size else {})


def _open_anew(path: Path, tokens: int, rounds: int) -> tuple[list[float], list[float]]:
    """Give the seconds that it takes and, where it can be said, the bytes that the process grows by for each token."""
    command = [sys.executable, "-m", f"{__package__}.opening", str(path), str(tokens)]
    seconds, size = [], []
    for _ in progress(range(rounds), "times opened"):
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=100.0, check=False)
        if done.returncode:
            raise WrongAnswerError(f"file: {done.stderr.strip()}")
        found = json.loads(done.stdout)
        seconds.append(found["seconds"])
        size += [] if found["bytes"] is None else [found["bytes"] / tokens]
    return seconds, size


def _additions(path: Path, tokens: int) -> Run:
    """Give what adds a token to a file with so many, and has another reader find it, as another process would."""
    store = FileStore(path)
    load(store, tokens)
    other = FileStore(path)
    numbers = count(UNKNOWN)

    def run(count: int) -> None:
        for _ in range(count):
            number = next(numbers)
            store.add(token(number), secret(number))
            if other.find(secret(number)) is None:
                raise WrongAnswerError("file: a token that was added is not found")

    before = path.stat()
    run(10)
    after = path.stat()
    if before.st_ino != after.st_ino or not 0 < after.st_size - before.st_size < 10 * _LINE:
        raise WrongAnswerError("file: to add a token did more than to append a line")
    return run
