"""What every framework's glue stands on: flat settings made into a gate, and the demands of a view."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..annotate import DENIED, STATUS, Environ, grant_from
from ..audit import AuditLog
from ..config import Config, Given, Parts, open_parts
from ..config.tables import TABLES, MiddlewareSettings
from ..config.values import CONTRADICTION, UNKNOWN, nearest
from ..errors import ConfigurationError, Problem, RefusedError
from ..fields import check_scopes
from ..interfaces import AccessPolicy, Directory, TokenReader, TokenStore
from ..issuance import KnownScopes
from ..issuer import Issuer, IssuerLimits
from ..middleware import PATMiddleware
from ..model import Denied, Reason

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

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
_KINDS: Mapping[str, type] = {
    "store": TokenReader,
    "policy": AccessPolicy,
    "directory": Directory,
    "audit": AuditLog,
}
"""What may be given as it is, in the place of a setting."""
_PLAIN = (str, Path, bool, int, float, list, tuple, set, frozenset, dict, date)
_OBJECTS = ("basic_username", "cache", "clock", "errors", "passwords", "scrub", "session")
"""Options of the middleware that may be objects."""


class Embedding:
    """A gate before an application of somebody's framework, with what its views ask it.

    Args:
        app: the application behind it.
        settings: by their flat names in lower case: an option of :class:`~patmiddleware.PATMiddleware`; ``store``,
            ``policy``, ``directory``, ``audit`` as an address, a table, or an object; a setting of any other table of a
            settings file as ``table.setting`` or the table whole; ``config``: a settings file, which these stand over.
            None: it is left out.
        prefix: that stands before each of them where they come from, for messages: ``PATMIDDLEWARE_``.
        folder: that relative paths start at.
        missing: of the gate, where neither the settings nor their file say.

    Attributes:
        config: the settings, judged.
        middleware: the gate.
        policy: None where there is none; the same for ``directory`` and ``audit``.

    Raises:
        ConfigurationError: with all that is wrong, named as it stands in the settings.
    """

    def __init__(
        self,
        app: WSGIApplication,
        settings: Mapping[str, object],
        *,
        prefix: str,
        folder: Path,
        missing: Literal["annotate", "reject"] = "annotate",
    ) -> None:
        settings = {name: value for name, value in settings.items() if value is not None}
        clock: Any = settings.get("clock", time.time)  # Any: the middleware judges it
        try:
            self.config, parts = _opened(app, settings, folder, missing)
            if parts.problems or parts.middleware is None:
                raise ConfigurationError(parts.problems)
        except ConfigurationError as error:
            # The same once more, by other names: one traceback is enough, and the cause is the cause of both.
            raise ConfigurationError(_named(each, settings, prefix) for each in error.problems) from error.__cause__
        self.middleware: PATMiddleware = parts.middleware
        self.policy: AccessPolicy | None = self.middleware.policy
        self.directory, self.audit, self._clock = self.middleware.directory, parts.audit, clock
        self._known = KnownScopes(self.policy)

    @property
    def annotates(self) -> bool:
        """Whether what brings no token comes through, for views to decide."""
        return self.config.middleware.missing == "annotate"

    @property
    def store(self) -> TokenReader:
        """Where tokens are found."""
        return self.middleware.store

    def issuer(self) -> Issuer:
        """Give what makes tokens within the limits of the settings.

        Raises:
            ConfigurationError: when the store can only be read.
        """
        store = next(iter(getattr(self.store, "readers", (self.store,))))  # of several the first
        if not isinstance(store, TokenStore):
            raise ConfigurationError("this store can only be read: its tokens are managed where they come from")
        limits = self.config.issuer
        return Issuer(store, limits=limits, policy=self.policy, clock=self._clock, audit=self.audit)

    def check(self, scopes: frozenset[str], where: str) -> None:
        """Judge the scopes that a view demands.

        Args:
            scopes: of the demand.
            where: the view, for the message.

        Raises:
            ConfigurationError: when one can't be a scope, so that no token has it, or the policy does not know it; with
                the nearest that it knows.
        """
        try:
            self._known.check(check_scopes(scopes))
        except RefusedError as error:
            raise ConfigurationError(str(error), setting=where) from None

    def lacking(self, environ: Environ, scopes: Iterable[str]) -> Denied | None:
        """Judge a request by what a view demands; None: it may go on.

        Args:
            environ: of the request, behind the gate.
            scopes: all of them; none: any valid token is enough.

        Raises:
            ConfigurationError: when the request did not come through the gate.
        """
        if STATUS not in environ:
            message = "a view demands a token, but the request did not come through the gate"
            raise ConfigurationError(message, hint="serve the application whole, and test it with its test client")
        grant, needed = grant_from(environ), frozenset(scopes)
        if grant is None:
            denied = environ.get(DENIED)
            return denied if isinstance(denied, Denied) else Denied(Reason.MISSING)
        if grant.limits and not self.middleware.bounds(environ, grant):
            return Denied(Reason.LIMIT, held=grant.scopes)
        if needed <= grant.scopes:
            return None
        return Denied(Reason.INSUFFICIENT_SCOPE, needed=needed, held=grant.scopes)

    def refuse(self, denied: Denied, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a refusal as the gate answers its own, and tell the audit."""
        return self.middleware.refuse(denied, environ, start_response)


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


_WORD = re.compile(r"[A-Za-z0-9]+")
_ALIKE = 0.9
"""A letter or two amiss; middleware alone is another word."""
_STORE = "an address, such as sqlite:///tokens.db"


def _opened(app: WSGIApplication, settings: Mapping[str, object], folder: Path, missing: str) -> tuple[Config, Parts]:
    objects: dict[str, Any] = {name: value for name, value in settings.items() if not isinstance(value, _PLAIN)}
    given = {name: objects[name] for name, kind in _KINDS.items() if isinstance(objects.get(name), kind)}
    options = {name: objects[name] for name in _OBJECTS if name in objects}
    left = {name: settings[name] for name in settings if name not in {*given, *options}}
    tables, path, problems = _tables(left, folder)
    middleware = tables.setdefault("middleware", {})
    if isinstance(middleware, dict):
        middleware.setdefault("missing", missing)
    if "store" not in given and not tables.get("store"):
        problems.append(Problem("PAT-E001", "store", "there is no store to find tokens in", _STORE))
    if "store" in given or not tables.get("store"):
        tables["store"] = {"url": "memory:"}  # takes the place of what is not there, or is in hand already
    limits = tables.pop("issuer") if isinstance(tables.get("issuer"), IssuerLimits) else None
    config = Config.from_dict(tables, path)
    config = config if limits is None else replace(config, issuer=limits)
    parts = open_parts(config, given=Given(application=app, options=options, **given))
    return config, replace(parts, problems=(*problems, *parts.problems))


def _tables(settings: Mapping[str, object], folder: Path) -> tuple[dict[str, Any], Path, list[Problem]]:
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


def _named(problem: Problem, settings: Mapping[str, object], prefix: str) -> Problem:
    """Name a setting as it stands where it comes from; what a settings file says keeps its name."""
    table, _, rest = problem.setting.partition(".")
    short = table if rest == _MAIN.get(table) else rest if table == "middleware" else problem.setting
    short = problem.setting if problem.setting in settings else short
    first, dot, rest = short.partition(".")
    told = {first, problem.setting} & settings.keys()
    if Path(first).is_absolute() or ("config" in settings and not told):
        return problem
    return replace(problem, setting=f"{prefix}{first.upper() if prefix.isupper() else first}{dot}{rest}")
