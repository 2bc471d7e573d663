"""Flat settings, as ini files and the configuration of frameworks have them, read as a settings file is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..config.tables import TABLES, MiddlewareSettings
from ..config.values import CONTRADICTION, UNKNOWN, nearest
from ..errors import ConfigurationError, Problem

_WITHOUT = ("app", "server")
"""Tables that are about an application that we serve ourselves."""
_MAIN = {"store": "url", "directory": "url", "policy": "file", "audit": "to"}
"""Tables that one value may stand for."""
_KNOWN = {"config", "clock", *(field.name for field in fields(MiddlewareSettings)), *TABLES} - {*_WITHOUT, "middleware"}
_LISTS = {
    *("accept", "trusted_proxies", "extra", "keep", "paths", "owners", "scopes"),
    *("creators", "creators_for_others", "ordinary_scopes"),
}
"""Lists of words, which a text may hold with blanks or commas between."""
_WORD = re.compile(r"[A-Za-z0-9]+")
_ALIKE = 0.9
"""A letter or two amiss; middleware alone is another word."""


def is_setting(name: str) -> bool:
    """Say whether a flat setting of this name may be ours."""
    return name in _KNOWN or name.partition(".")[0] in _KNOWN & TABLES.keys()


def check_prefix(names: Iterable[object], prefix: str) -> None:
    """Refuse what is likely meant for us, but under a misspelt prefix: nobody would read it, and no rule would hold.

    Args:
        names: of all settings that the application has.
        prefix: of ours.

    Raises:
        ConfigurationError: with each of them.
    """
    ours = prefix[:-1].casefold()
    found = {name: _WORD.match(name) for name in names if isinstance(name, str) and not name.startswith(prefix)}
    words = {name: match[0].casefold() for name, match in found.items() if match is not None}
    if wrong := [name for name, word in words.items() if get_close_matches(word, [ours], 1, _ALIKE)]:
        hint = f"ours begin with {prefix}"
        raise ConfigurationError(Problem(UNKNOWN, name, "nobody reads this setting", hint) for name in wrong)


def tables_of(settings: Mapping[str, object], folder: Path) -> tuple[dict[str, Any], Path, list[Problem]]:
    """Give the tables that a settings file would have, its path, and what has no place in them."""
    path, tables, problems = folder / "patmiddleware.toml", dict[str, Any](), list[Problem]()
    if "config" in settings:
        path = (folder / str(settings["config"])).absolute()
        tables = _file(path)
    for name in sorted(settings, key=lambda name: name.count(".")):  # a table first, then what is said of its settings
        if name.partition(".")[0] not in _KNOWN:
            problems.append(Problem(UNKNOWN, name, "there is no such setting", nearest(name, _KNOWN)))
        elif name != "config" and not _place(tables, name.split("."), settings[name]):
            above = name.rpartition(".")[0]
            problems.append(Problem(CONTRADICTION, name, f"can't stand beside {above}, which is no table"))
    for table, main in _MAIN.items():
        if {table, f"{table}.{main}"} <= settings.keys():
            problems.append(Problem(CONTRADICTION, f"{table}.{main}", f"says the same as {table}", "leave one out"))
    return tables, path, problems


def _file(path: Path) -> dict[str, Any]:
    """Read a settings file, but for what it says of serving."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(Problem("PAT-E001", "config", f"{path} can't be read: {reason}")) from error
    return {name: table for name, table in tables.items() if name not in _WITHOUT}


def _place(tables: dict[str, Any], names: list[str], value: object) -> bool:
    """Put a setting where a settings file has it; False: what stands there is no table."""
    first = names[0]
    if first not in TABLES:
        names = ["middleware", *names]
    found = _value(names, value)
    if names == [first] and first in _MAIN and isinstance(found, str | list):
        names = [first, _MAIN[first]]
    *inner, last = names
    table: Any = tables
    for name in inner:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            return False
    table[last] = found
    return True


def _value(names: list[str], value: object) -> object:
    """Read what stands as text in an ini file: a value of TOML, or the text itself."""
    if isinstance(value, Path):
        return str(value)
    if not isinstance(value, str):
        return list(value) if isinstance(value, tuple | set | frozenset) else value
    is_list = not _LISTS.isdisjoint(names)
    try:
        found = tomllib.loads(f"value = {value.strip()}")
    except (ValueError, RecursionError):
        found = {}
    if found.keys() != {"value"}:  # several lines may be several settings, which are not meant to be there
        return value.replace(",", " ").split() if is_list else value
    return [found["value"]] if is_list and isinstance(found["value"], str) else found["value"]


def named(problem: Problem, settings: Mapping[str, object], prefix: str) -> Problem:
    """Name a setting as it stands where it comes from; what a settings file says keeps its name."""
    table, _, rest = problem.setting.partition(".")
    short = table if rest == _MAIN.get(table) else rest if table == "middleware" else problem.setting
    short = problem.setting if problem.setting in settings else short
    first, dot, rest = short.partition(".")
    told = {first, problem.setting} & settings.keys()
    if Path(first).is_absolute() or ("config" in settings and not told):
        return problem
    return replace(problem, setting=f"{prefix}{first.upper() if prefix.isupper() else first}{dot}{rest}")
