"""The stores that ``FROM`` and ``TO`` name on a command line, where everyone on the machine can read along.

Each is a settings file, whose ``[store]`` table has the peppers, too; or the address of a store; or ``env:NAME``, a
variable of the environment that holds an address; or ``-``, the store of ``--config``.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import click

from ..config import Config, located, store_of
from ..errors import ConfigurationError, Problem, RefusedError
from ..interfaces import TokenStore
from . import terminal
from .invocation import Invocation, store_file

OWN = "-"
_VARIABLE = "env:"
_NOWHERE = "memory"
_HIDE = "put the address into a variable of the environment and write env:NAME, or name a settings file"


def settings_of(words: str, side: str, invocation: Invocation) -> Config:
    """Give the settings of the store that some words name.

    Args:
        words: as they stand on the command line.
        side: ``FROM`` or ``TO``.
        invocation: of the command.

    Raises:
        ConfigurationError: when the settings are wrong, or the variable is not set.
        click.BadParameter: when a password stands in the words. They are not shown again.
    """
    if words == OWN:
        return invocation.config
    if words.endswith(".toml"):
        config = Config.from_file(words)
    else:
        config = Config.from_dict({"store": {"url": _address(words, side)}}, Path.cwd() / side)
    if not config.read_well("store"):
        raise ConfigurationError(config.problems())
    return config


def _address(words: str, side: str) -> str:
    if words.startswith(_VARIABLE):
        name = words.removeprefix(_VARIABLE)
        if address := os.environ.get(name):
            return address
        raise ConfigurationError(Problem("PAT-E108", side, f"the environment variable {name} is not set"))
    if _has_password(words):
        raise click.BadParameter(f"others can see a password on a command line: {_HIDE}", param_hint=side)
    return words


def _has_password(address: str) -> bool:
    try:
        parts = urlsplit(address)
        named = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    except ValueError:  # then it is no address, and may be anything
        return "@" in address
    return parts.password is not None or not named.isdisjoint({"password", "passwd", "passfile"})


def source_store(config: Config) -> TokenStore:
    """Open the store that tokens come from.

    Raises:
        ConfigurationError: when it can't be opened.
        RefusedError: when there is none, or its tokens can't be listed.
    """
    file = store_file(config)
    if file is not None and not file.exists():
        raise RefusedError(f"there is no store at {file}")
    return _managed(config, "its tokens can't be listed")


def target_store(config: Config) -> TokenStore:
    """Open the store that tokens go to; where there is none, it is made.

    Raises:
        ConfigurationError: when it can't be opened.
        RefusedError: when it can't be written.
    """
    file = store_file(config)
    missing = file is not None and not file.exists()
    store = _managed(config, "its tokens are managed where they come from")
    if missing:
        terminal.note(f"There was no store at {file} yet: made a new one.")
    return store


def _managed(config: Config, why_not: str) -> TokenStore:
    if config.store.url.partition(":")[0].lower() == _NOWHERE:
        raise RefusedError("a store in memory is empty before a command, and gone after it")
    store = store_of(config)
    if not isinstance(store, TokenStore):
        raise RefusedError(f"this store can only be read: {why_not}")
    return store


def refuse_same(source: Config, target: Config) -> None:
    """Refuse to copy a store to itself.

    Raises:
        RefusedError: when both sides are one store.
    """
    if _identity(source) == _identity(target):
        raise RefusedError("FROM and TO are the same store")


def _identity(config: Config) -> str:
    file = store_file(config)
    return located(config.store.url, config.path.parent) if file is None else os.path.realpath(file)
