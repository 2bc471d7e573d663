"""Judge the options that constructors take, so that ``"no"`` is not taken for yes, nor a misspelt word for another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType

from .errors import ConfigurationError

Kinds = Mapping[str, tuple[type, ...]]
"""What each option may be, by its name."""


def check_kinds(kinds: Kinds, table: str = "", /, **options: object) -> None:
    """Hold options to their kinds.

    Args:
        kinds: of all options.
        table: what stands before their names in messages, such as ``"issuer."``.
        options: what is given; no value is in a message.

    Raises:
        ConfigurationError: for the first that is of another kind.
    """
    for name, value in options.items():
        if not isinstance(value, kinds[name]):
            known = " or ".join(kind.__name__ for kind in kinds[name] if kind is not NoneType)
            raise ConfigurationError(f"takes {known}, not {type(value).__name__}", setting=f"{table}{name}")


def check_choices(choices: Mapping[str, Sequence[str]], **options: object) -> None:
    """Hold options to the words that each may be.

    Raises:
        ConfigurationError: for the first that is none of its own.
    """
    for name, value in options.items():
        if value not in choices[name]:
            known = " and ".join(map(repr, choices[name]))
            raise ConfigurationError(f"{value!r} is none of {known}", setting=name)


def check_clock(clock: object) -> None:
    """Hold a clock to what can be asked for the time.

    Raises:
        ConfigurationError: when it can't be called.
    """
    if not callable(clock):
        raise ConfigurationError(f"{clock!r} is not callable", setting="clock", hint="give time.time, or one like it")
