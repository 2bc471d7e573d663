"""The stores that ``FROM`` and ``TO`` name on a command line, where everyone on the machine can read along.

Each is a settings file, whose ``[store]`` table has the peppers, too; or the address of a store; or ``env:NAME``, a
variable of the environment that holds an address; or ``-``, the store of ``--config``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import click

from ..config import Config, located, managed_store_of
from ..errors import ConfigurationError, Problem, RefusedError
from ..interfaces import TokenStore
from . import terminal
from .invocation import Invocation, store_file

OWN = "-"
_VARIABLE = "env:"
_NOWHERE = "memory"
_SEVERAL = "chain:"
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
    config = Config.from_file(words) if words.endswith(".toml") else _config_of(words, side)
    if not config.read_well("store"):
        raise _about(side, config.problems())
    return config


def _config_of(address: str, side: str) -> Config:
    if address.startswith(_VARIABLE):
        url: object = {"env": address.removeprefix(_VARIABLE)}
    elif has_password(address):
        raise click.BadParameter(f"others can see a password on a command line: {_HIDE}", param_hint=side)
    else:
        url = address
    return Config.from_dict({"store": {"url": url}}, Path.cwd() / side)


def _about(side: str, problems: Iterable[Problem]) -> ConfigurationError:
    return ConfigurationError(replace(problem, setting=f"{side}: {problem.setting}") for problem in problems)


def has_password(address: str) -> bool:
    """Say whether a password may stand in an address."""
    if address.lower().startswith(_SEVERAL):
        return any(map(has_password, address[len(_SEVERAL) :].split()))
    try:
        parts = urlsplit(address)
        named = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    except ValueError:  # then it is no address, and may be anything
        return "@" in address
    # Of libpq there is sslpassword as well, of PyMySQL ssl_key_password.
    return parts.password is not None or any("pass" in name for name in named)


def source_store(config: Config) -> TokenStore:
    """Open the store that tokens come from, ``FROM``.

    Raises:
        ConfigurationError: when it can't be opened.
        RefusedError: when there is none, or its tokens can't be listed.
    """
    file = store_file(config)
    if file is not None and not file.exists():
        raise RefusedError(f"there is no store at {file}")
    return _opened(config, "FROM", "its tokens can't be listed")


def target_store(config: Config) -> TokenStore:
    """Open the store that tokens go to, ``TO``; where there is none, it is made.

    Raises:
        ConfigurationError: when it can't be opened.
        RefusedError: when it can't be written.
    """
    file = store_file(config)
    missing = file is not None and not file.exists()
    store = _opened(config, "TO", "its tokens are managed where they come from")
    if missing:
        terminal.note(f"There was no store at {file} yet: made a new one.")
    return store


def _opened(config: Config, side: str, why_not: str) -> TokenStore:
    if config.store.first.partition(":")[0].lower() == _NOWHERE:
        raise RefusedError(f"{side}: a store in memory is empty before a command, and gone after it")
    try:
        store = managed_store_of(config)
    except ConfigurationError as error:
        raise _about(side, error.problems) from error
    if not isinstance(store, TokenStore):
        raise RefusedError(f"{side}: this store can only be read: {why_not}")
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
    return located(config.store.first, config.path.parent) if file is None else os.path.realpath(file)
