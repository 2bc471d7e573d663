"""Read a policy: TOML or a dictionary of the same shape, judged whole. All problems are reported at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from ..errors import ConfigurationError, Problem, hint_for
from ..model import Network, to_network
from ..plainfile import read_text
from .patterns import Pattern, PatternError, parse
from .presets import Preset, load_preset, preset_names
from .rules import Effect, Rule, When
from .spelling import Spelling

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_METHOD = re.compile(r"[A-Z][A-Z0-9!#$%&'*+.^_`|~-]*")
_TOP = ("scopes", "rule", "preset", "observe", "allow_path_parameters")
_RULE = (
    "id",
    "about",
    "effect",
    "methods",
    "path",
    "scopes",
    "public",
    "groups",
    "networks",
    "when",
    "limits",
    "credentials",
)
_WHEN = ("groups", "owners", "networks", "scopes")
_EMPTY: tuple[object, ...] = ([], (), frozenset())

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Content:
    """What a policy file says.

    Args:
        scopes: name to the names that it includes directly.
        rules: those of presets come last.
        spellings: of each preset, in the order of the file.
        closed: places that a preset closes to allows that don't spell them out.
    """

    scopes: Mapping[str, frozenset[str]]
    rules: tuple[Rule, ...]
    spellings: tuple[Spelling, ...] = ()
    closed: tuple[Pattern, ...] = ()
    observe: bool = False
    allow_path_parameters: bool = False


def read_file(path: str | Path) -> Mapping[str, object]:
    """Read a TOML file.

    Raises:
        ConfigurationError: when it can't be read, or is not TOML (with line and column).
    """
    try:
        return tomllib.loads(read_text(path, "utf-8-sig"))  # as editors of Windows write it, too
    except OSError as error:
        hint = hint_for(error, "name a policy file")
        raise ConfigurationError(
            Problem("PAT-E201", str(path), f"can't be read: {error.strerror or error}", hint)
        ) from error
    except ValueError as error:
        raise ConfigurationError(Problem("PAT-E202", str(path), f"is not TOML: {error}")) from error
    except RecursionError:
        raise ConfigurationError(Problem("PAT-E202", str(path), "is nested too deeply to be a policy")) from None


def read(data: Mapping[str, object]) -> Content:
    """Judge a policy and compile its rules.

    Raises:
        ConfigurationError: with all that is wrong.
    """
    if not isinstance(data, Mapping):
        raise ConfigurationError(Problem("PAT-E204", "policy", f"must be a mapping, not {type(data).__name__}"))
    reader = _Reader()
    content = reader.content(data)
    if reader.problems:
        raise ConfigurationError(reader.problems)
    return content


@dataclass(slots=True)
class _Reader:
    """Gathers the problems while it reads."""

    problems: list[Problem] = field(default_factory=list)
    scopes: dict[str, frozenset[str]] = field(default_factory=dict)
    spellings: list[Spelling] = field(default_factory=list)
    free: bool = False

    def wrong(self, id: str, setting: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(id, setting, message, hint))

    def content(self, data: Mapping[str, object]) -> Content:
        self.names(data, _TOP, "")
        presets = [self.preset(table, f"preset[{n}]") for n, table in self.tables(data, "preset")]
        loaded = [preset for preset in presets if preset is not None]
        for preset in loaded:
            self.spellings.append(preset.spelling)
            self.scopes |= preset.scopes
        # What scopes a preset has that is not there can't be said; a policy that declares none may use any name.
        self.free = len(loaded) < len(presets)
        self.read_scopes(data.get("scopes", {}))
        self.free = self.free or not self.scopes
        rules = [self.rule(table, f"rule[{n}]", n) for n, table in self.tables(data, "rule")]
        self.unique(rules, {rule.id for preset in loaded for rule in preset.rules})
        return Content(
            self.scopes,
            (*(rule for rule in rules if rule is not None), *(rule for preset in loaded for rule in preset.rules)),
            tuple(self.spellings),
            tuple(place for preset in loaded for place in preset.closed),
            self.value(data, "observe", "", bool, False),
            self.value(data, "allow_path_parameters", "", bool, False),
        )

    def names(self, table: Mapping[str, object], known: Iterable[str], where: str) -> None:
        known = tuple(known)
        for name in map(str, table):  # a dictionary may come from a format where a number is a name, too
            if name not in known:
                self.wrong("PAT-E203", _join(where, name), "there is no such setting", _nearest(name, known))

    def tables(self, data: Mapping[str, object], name: str) -> Iterable[tuple[int, Mapping[str, object]]]:
        given = data.get(name, [])
        if not isinstance(given, list) or not all(isinstance(table, Mapping) for table in given):
            self.wrong("PAT-E204", name, f"must be an array of tables, written [[{name}]]")
            return ()
        return enumerate(given)

    def value(self, table: Mapping[str, object], name: str, where: str, kind: type[T], default: T) -> T:
        given = table.get(name, default)
        if not isinstance(given, kind):
            expected = {str: "a string", bool: "true or false", dict: "a table"}[kind]
            self.wrong("PAT-E204", _join(where, name), f"must be {expected}, not {given!r}")
            return default
        return given

    def strings(self, table: Mapping[str, object], name: str, where: str) -> tuple[str, ...]:
        given = table.get(name, [])
        if not isinstance(given, list | tuple | set | frozenset) or not all(isinstance(item, str) for item in given):
            self.wrong("PAT-E204", _join(where, name), f"must be a list of strings, not {given!r}")
            return ()
        return tuple(given)

    def preset(self, table: Mapping[str, object], where: str) -> Preset | None:
        self.names(table, ("name", "mount"), where)
        name, mount = self.value(table, "name", where, str, ""), self.value(table, "mount", where, str, "")
        if name not in preset_names():
            if isinstance(table.get("name", ""), str):
                message = f"there is no preset {name!r}" if name else "needs a name"
                self.wrong("PAT-E205", f"{where}.name", message, _nearest(name, preset_names()))
            return None
        try:
            return load_preset(name, mount)
        except PatternError as error:
            self.wrong("PAT-E206", f"{where}.mount", str(error))
            return None

    def read_scopes(self, given: object) -> None:
        if not isinstance(given, Mapping):
            self.wrong("PAT-E204", "scopes", "must be tables, written [scopes.NAME]")
            return
        own: dict[str, frozenset[str]] = {}
        for name, table in given.items():
            where = f"scopes.{name}"
            if not isinstance(table, Mapping):
                self.wrong("PAT-E204", where, f"must be a table, written [{where}]")
                continue
            self.names(table, ("about", "includes"), where)
            self.value(table, "about", where, str, "")
            if not isinstance(name, str) or not _SCOPE.fullmatch(name):
                self.wrong(
                    "PAT-E207", where, "can't be a scope: it needs text without blanks, quotes, \\ and non-ASCII"
                )
            if name in self.scopes:
                self.wrong("PAT-E207", where, "is already defined by a preset", "choose another name, and include it")
            own[str(name)] = frozenset(self.strings(table, "includes", where))
        self.scopes |= own
        for name, includes in own.items():
            for other in () if self.free else sorted(includes - self.scopes.keys()):
                hint = _nearest(other, self.scopes)
                self.wrong("PAT-E208", f"scopes.{name}.includes", f"there is no scope {other!r}", hint)
        self.circles(own)

    def circles(self, own: Mapping[str, frozenset[str]]) -> None:
        for name in own:
            if name in expand(frozenset(own[name]), self.scopes):
                self.wrong("PAT-E209", f"scopes.{name}.includes", f"{name!r} includes itself", "break the circle")

    def known(self, names: tuple[str, ...], where: str) -> frozenset[str]:
        for name in names:
            if not self.free and name not in self.scopes:
                self.wrong("PAT-E208", where, f"there is no scope {name!r}", _nearest(name, self.scopes))
            elif not _SCOPE.fullmatch(name):
                self.wrong("PAT-E207", where, f"{name!r} can't be a scope")
        return frozenset(names)

    def networks(self, table: Mapping[str, object], where: str) -> tuple[Network, ...]:
        found = []
        for text in self.strings(table, "networks", where):
            try:
                found.append(to_network(text))
            except ValueError as error:
                self.wrong("PAT-E210", f"{where}.networks", f"{error}", "write it as 10.0.0.0/8 or 2001:db8::/32")
        return tuple(found)

    def when(self, rule: Mapping[str, object], where: str) -> When | None:
        if "when" not in rule:
            return None
        table, where = self.value(rule, "when", where, dict, {}), f"{where}.when"
        self.names(table, _WHEN, where)
        for name in _WHEN:
            if name in table and not table[name]:
                self.wrong("PAT-E211", f"{where}.{name}", "is empty, so the rule would be about nobody or everybody")
        return When(
            groups=frozenset(self.strings(table, "groups", where)),
            owners=frozenset(self.strings(table, "owners", where)),
            networks=self.networks(table, where),
            scopes=self.known(self.strings(table, "scopes", where), f"{where}.scopes"),
        )

    def patterns(self, rule: Mapping[str, object], where: str) -> tuple[Pattern, ...]:
        where = f"{where}.path"
        given = rule.get("path")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
            message = "is missing" if given is None else f"must be a path or a list of paths, not {given!r}"
            self.wrong("PAT-E212", where, message, 'every path is "/**"')
            return ()
        refuses = rule.get("effect", "allow") != "allow"
        return tuple(pattern for text in texts for pattern in self.pattern(text, where, refuses))

    def pattern(self, text: str, where: str, refuses: bool) -> tuple[Pattern, ...]:
        try:
            found: tuple[Pattern, ...] = (parse(text),)
        except PatternError as error:
            self.wrong("PAT-E213", where, str(error))
            return ()
        for spelling in self.spellings:
            found = tuple(form for pattern in found for form in spelling.patterns(pattern, refuses))
        return found

    def methods(self, rule: Mapping[str, object], where: str) -> frozenset[str] | None:
        if "methods" not in rule:
            return None
        names = self.strings(rule, "methods", where)
        for name in names:
            if not _METHOD.fullmatch(name):
                hint = f"write {name.upper()!r}" if _METHOD.fullmatch(name.upper()) else "such as 'GET'"
                self.wrong("PAT-E214", f"{where}.methods", f"{name!r} is not a method", hint)
        if rule["methods"] in _EMPTY:
            self.wrong("PAT-E214", f"{where}.methods", "is empty: the rule could never match", "leave it out for any")
        return frozenset(names)

    def rule(self, table: Mapping[str, object], where: str, number: int) -> Rule | None:
        before = len(self.problems)
        self.names(table, _RULE, where)
        self.value(table, "about", where, str, "")
        for name in ("groups", "networks"):
            if table.get(name) in _EMPTY:
                self.wrong("PAT-E211", f"{where}.{name}", "is empty: nobody could meet it", "leave it out for anybody")
        rule = Rule(
            id=self.value(table, "id", where, str, "") or f"rule-{number + 1}",
            effect=self.effect(table, where),
            patterns=self.patterns(table, where),
            methods=self.methods(table, where),
            when=self.when(table, where),
            scopes=self.known(self.strings(table, "scopes", where), f"{where}.scopes"),
            groups=frozenset(self.strings(table, "groups", where)),
            networks=self.networks(table, where),
            public=self.value(table, "public", where, bool, False),
            ignore_credentials=self.choice(table, "credentials", where, "ignore"),
            limits_exempt=self.choice(table, "limits", where, "exempt"),
        )
        if len(self.problems) > before:
            return None
        for test, name, message, hint in _CONTRADICTIONS:
            if test(rule, table):
                self.wrong("PAT-E216", _join(where, name), message, hint)
        return rule if len(self.problems) == before else None

    def effect(self, table: Mapping[str, object], where: str) -> Effect:
        match table.get("effect", "allow"):
            case "allow":
                return "allow"
            case "require":
                return "require"
            case "deny":
                return "deny"
            case other:
                hint = _nearest(str(other), ("allow", "require", "deny"))
                self.wrong("PAT-E215", f"{where}.effect", f"{other!r} is none of allow, require and deny", hint)
                return "deny"

    def choice(self, table: Mapping[str, object], name: str, where: str, word: str) -> bool:
        if name in table and table[name] != word:
            self.wrong("PAT-E215", f"{where}.{name}", f"can only be {word!r}, not {table[name]!r}")
        return name in table

    def unique(self, rules: Iterable[Rule | None], presets: Collection[str]) -> None:
        seen: set[str] = set()
        for number, rule in enumerate(rules):
            if rule is not None and (rule.id in seen or rule.id in presets):
                use = "used twice" if rule.id in seen else "the id of a rule of a preset"
                hint = "choose another: ids are shown in refusals"
                self.wrong("PAT-E217", f"rule[{number}].id", f"{rule.id!r} is {use}", hint)
            seen.add(rule.id if rule else "")


def expand(scopes: frozenset[str], includes: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Give the scopes with all that they include."""
    found, todo = set(scopes), list(scopes)
    while todo:
        more = includes.get(todo.pop(), frozenset()) - found
        found |= more
        todo += more
    return frozenset(found)


def _join(where: str, name: str) -> str:
    return ".".join(filter(None, (where, name)))


def _nearest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = get_close_matches(name, known, 1, 0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(known)}" if known else ""


Test = Callable[[Rule, Mapping[str, object]], bool]
_CONTRADICTIONS: tuple[tuple[Test, str, str, str], ...] = (
    (
        lambda rule, table: rule.effect == "deny" and any(name in table for name in ("scopes", "groups", "networks")),
        "",
        "a deny demands nothing: scopes, groups or networks have no meaning in it",
        "put them under when to say whom it is about",
    ),
    (
        lambda rule, table: rule.effect == "require" and not (rule.scopes or rule.groups or rule.networks),
        "",
        "a require demands something: scopes, groups or networks",
        "",
    ),
    (
        lambda rule, table: rule.effect == "allow" and "scopes" not in table and not rule.public,
        "",
        "an allow has either scopes or public",
        "scopes = [] lets any valid token in",
    ),
    (
        lambda rule, table: rule.public and rule.effect != "allow",
        "public",
        "only an allow can be public",
        "",
    ),
    (
        lambda rule, table: rule.public and ("scopes" in table or "groups" in table),
        "public",
        "a public path asks for neither scopes nor groups",
        "leave out public, or scopes and groups",
    ),
    (
        lambda rule, table: rule.ignore_credentials and not rule.public,
        "credentials",
        "can only be ignored where the path is public",
        "add public = true",
    ),
    (
        lambda rule, table: rule.limits_exempt and rule.effect != "allow",
        "limits",
        "only an allow can be exempt from limits",
        "",
    ),
)
