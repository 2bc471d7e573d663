"""Presets: the rules for a whole REST surface, by operation, that ship with the package.

The most specific operation that a path names decides alone. An operation that is not in the table needs the strictest
scope that any known one of its family needs (the same method, module, version if it has one, and first word), and the
preset's ``unknown`` scope where the family is not known either.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TypedDict, cast

from ..patterns import Pattern, PatternError, parse, split
from ..rules import Rule
from ..spelling import Spelling

_MODULE = 2  # segments: /rest/<module>
_VERSION = re.compile(r"[0-9][0-9a-z.]*|latest")


class _File(TypedDict, total=False):
    """The shape of a preset's TOML file."""

    about: str
    root: str
    unknown: str
    scopes: dict[str, dict[str, object]]
    versions: dict[str, list[str]]
    endings: dict[str, list[str]]
    pages: dict[str, list[str]]
    captures: dict[str, str]
    operations: dict[str, dict[str, list[str]]]
    exempt: list[str]
    refused: list[str]
    closed: list[str]


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset, ready for a policy.

    Args:
        scopes: name to the names that it includes directly.
        rules: an allow for every operation and every family, and a deny for all that is refused.
        spelling: how its paths are mapped to the form that is judged.
        closed: places that no allow opens, of whatever policy, but one that spells the place out.
    """

    scopes: Mapping[str, frozenset[str]]
    rules: tuple[Rule, ...]
    spelling: Spelling
    closed: tuple[Pattern, ...]


@cache
def preset_names() -> tuple[str, ...]:
    """Give the names of the presets that ship with the package."""
    names = (entry.name for entry in files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def load_preset(name: str, mount: str = "") -> Preset:
    """Compile a preset under a path that stands before all of its own.

    Args:
        name: one of :func:`preset_names`.
        mount: such as ``/jira``; empty: none.

    Raises:
        PatternError: when the mount is not a plain path.
    """
    prefix = parse(mount or "/")
    if prefix.below or any(segment.literal is None for segment in prefix.segments):
        raise PatternError(f"{mount!r} must be a plain path, such as '/jira'")
    data = cast(_File, tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text("utf-8")))
    mount = "" if mount in ("", "/") else str(prefix)
    templates = [path for methods in data["operations"].values() for paths in methods.values() for path in paths]
    spelling = Spelling(
        mount=tuple(split(mount)) if mount else (),
        versions={tuple(split(path)): tuple(known) for path, known in data.get("versions", {}).items()},
        endings={tuple(split(path)): tuple(cut) for path, cut in data.get("endings", {}).items()},
        templates=[split(path) for path in templates],
        pages={ending: [tuple(split(place)) for place in places] for ending, places in data.get("pages", {}).items()},
    )
    scopes = {scope: frozenset(cast(list[str], table.get("includes", []))) for scope, table in data["scopes"].items()}
    closed = tuple(parse(mount + path) for path in data.get("closed", ()))
    return Preset(scopes, tuple(_rules(name, mount, data)), spelling, closed)


def _rules(name: str, mount: str, data: _File) -> Iterator[Rule]:
    exempt, captures = frozenset(data.get("exempt", ())), data.get("captures", {})
    for path in data.get("refused", ()):
        yield Rule(id=f"{name}: {path}", effect="deny", patterns=(parse(mount + path),))
    for scope, methods in data["operations"].items():
        for method, paths in methods.items():
            for path in paths:
                yield Rule(
                    id=f"{name}: {method} {path}",
                    effect="allow",
                    patterns=tuple(parse(mount + form) for form in _forms(path, captures)),
                    methods=_covered(method),
                    scopes=frozenset({scope}),
                    limits_exempt=method == "GET" and path in exempt,
                    table=name,
                )
    yield from _fallbacks(name, mount, data)


def _forms(path: str, captures: Mapping[str, str]) -> Iterator[str]:
    """A path with ``{issue}`` is two: one where an issue key stands, whose project is captured, and one with any id."""
    keyed = path
    for capture, form in captures.items():
        keyed = keyed.replace(f"{{{capture}}}", form)
    yield path
    if keyed != path:
        yield keyed


def _covered(method: str) -> frozenset[str]:
    return frozenset({"GET", "HEAD"} if method == "GET" else {method})


def _fallbacks(name: str, mount: str, data: _File) -> Iterator[Rule]:
    strength = _order(data["scopes"])
    strictest: dict[tuple[str, str], str] = {}
    for scope, methods in data["operations"].items():
        for method, paths in methods.items():
            for family in filter(None, (_family(path, data.get("root", "")) for path in paths)):
                known = strictest.setdefault((method, family), scope)
                strictest[method, family] = max(known, scope, key=strength.index)
    for (method, family), scope in strictest.items():
        yield Rule(
            id=f"{name}: {method} {family}/**",
            effect="allow",
            patterns=(parse(f"{mount}{family}/**"),),
            methods=_covered(method),
            scopes=frozenset({scope}),
            table=name,
        )
    if "root" in data:
        yield Rule(
            id=f"{name}: {data['root']}/**",
            effect="allow",
            patterns=(parse(f"{mount}{data['root']}/**"),),
            scopes=frozenset({data["unknown"]}),
            table=name,
        )


def _order(scopes: Iterable[str]) -> list[str]:
    """The scopes as the file has them: each includes the one before."""
    return list(scopes)


def _family(path: str, root: str) -> str | None:
    segments = split(path)
    if len(segments) <= _MODULE or not path.startswith(f"{root}/"):
        return None
    family = segments[: _MODULE + (2 if _VERSION.fullmatch(segments[_MODULE]) else 1)]
    return None if any("{" in segment for segment in family) else "/" + "/".join(family)
