"""The real servers that the tests start, started for a benchmark: on the loopback interface, and gone after it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

_TESTS = Path(__file__).parent.parent / "tests"


class MissingError(Exception):
    """What a case needs is not there; the message says what."""


@contextmanager
def services(name: str) -> Iterator[ModuleType]:
    """Give a module of ``tests/services``; it tells what is missing as the tests are told it, by skipping.

    Raises:
        MissingError: when a program or a package is missing.
    """
    if str(_TESTS) not in sys.path:
        sys.path.insert(0, str(_TESTS))
    try:
        import pytest

        module = import_module(f"services.{name}")
    except ModuleNotFoundError as error:
        of_tests = (error.name or "").startswith("services")
        what = f"tests/services/{name}.py" if of_tests else f"the package {error.name}"
        raise MissingError(f"needs {what}") from error
    try:
        yield module
    except pytest.skip.Exception as skipped:
        raise MissingError(str(skipped)) from skipped
