"""What the programs take on their command lines."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Collection


def positive(text: str) -> int:
    """Read a number from 1 on."""
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("must be at least 1")
    return number


def numbers(text: str) -> list[int]:
    """Read several of them, and give them in order."""
    return sorted({positive(each) for each in text.replace("_", "").split(",")})


def choices(names: Collection[str]) -> Callable[[str], list[str]]:
    """Give what reads several of these names."""

    def read(text: str) -> list[str]:
        given = text.split(",")
        for name in given:
            if name not in names:
                raise ArgumentTypeError(f"there is no {name!r}, only {', '.join(names)}")
        return given

    return read
