"""What a part of the package refuses, told as problems of the table of settings that it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TypeVar

from ..errors import ConfigurationError, Problem
from .values import APPLICATION, AUDIT, DIRECTORY, POLICY, STORE, VAULT, Place, Reader

T = TypeVar("T")

IDS = {"store": STORE, "directory": DIRECTORY, "policy": POLICY, "app": APPLICATION, "audit": AUDIT, "vault": VAULT}
_MAIN = {
    "store": "store.url",
    "directory": "directory.url",
    "audit": "audit.to",
    "vault": "vault.url",
    "middleware": "middleware",
    "issuer": "issuer",
    "app": "app",
}
_GENERIC = "PAT-E001"


@contextmanager
def blamed(table: str, within: str = "") -> Iterator[None]:
    """Tell what is refused inside as problems of a table of the settings.

    Args:
        table: ``store`` for ``[store]``.
        within: the file that the problems stand in, where that is another one.
    """
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(_blamed(problem, table, within) for problem in error.problems) from error


@contextmanager
def renamed(name: Callable[[str], str]) -> Iterator[None]:
    """Tell what is refused inside as problems of other settings: those that stand in the file."""
    try:
        yield
    except ConfigurationError as error:
        problems = (replace(problem, setting=name(problem.setting)) for problem in error.problems)
        raise ConfigurationError(problems) from error


def judged(read: Reader[T], check: Callable[[T], object], table: str) -> Reader[T]:
    """Make a reader of a setting that another part of the package judges: now, so that all are judged at once.

    Args:
        read: gives the value.
        check: raises :class:`~patmiddleware.errors.ConfigurationError` for one that can't be.
        table: that the setting is in.
    """

    @wraps(read)
    def read_and_judge(value: object, place: Place) -> T:
        found = read(value, place)
        with blamed(table):
            check(found)
        return found

    return read_and_judge


def _blamed(problem: Problem, table: str, within: str) -> Problem:
    id = IDS.get(table, problem.id) if problem.id == _GENERIC else problem.id
    if Path(problem.setting).is_absolute():  # it stands in another file, which is named already
        place = problem.setting
    elif within:
        place = f"{within}: {problem.setting}"
    elif problem.setting.startswith(f"{table}.") or problem.setting == "passwords":
        place = problem.setting
    else:
        place = f"{table}.{problem.setting}" if problem.setting not in ("", table) else _MAIN[table]
    return Problem(id, place, problem.message, problem.hint)
