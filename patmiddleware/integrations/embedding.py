"""What every framework's glue stands on: flat settings made into a gate, and the demands of a view."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..annotate import DENIED, STATUS, Environ, grant_from
from ..audit import AuditLog
from ..config import Config, Given, Parts, open_parts
from ..config.tables import TABLES, MiddlewareSettings
from ..config.values import UNKNOWN, nearest
from ..errors import ConfigurationError, Problem, RefusedError
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
_LISTS = ("accept", "trusted_proxies")
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

    Attributes:
        config: the settings, judged.
        middleware: the gate; it annotates unless ``missing`` says otherwise.
        policy: None where there is none; the same for ``directory`` and ``audit``.

    Raises:
        ConfigurationError: with all that is wrong, named as it stands in the settings.
    """

    def __init__(self, app: WSGIApplication, settings: Mapping[str, object], *, prefix: str, folder: Path) -> None:
        settings = {name: value for name, value in settings.items() if value is not None}
        clock: Any = settings.get("clock", time.time)  # Any: the middleware judges it
        try:
            self.config, parts = _opened(app, settings, folder)
            if parts.problems or parts.middleware is None:
                raise ConfigurationError(parts.problems)
        except ConfigurationError as error:
            raise ConfigurationError(_named(problem, settings, prefix) for problem in error.problems) from error
        self.middleware: PATMiddleware = parts.middleware
        self.policy: AccessPolicy | None = self.middleware.policy
        self.directory, self.audit, self._clock = self.middleware.directory, parts.audit, clock
        self._known = KnownScopes(self.policy)

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
            ConfigurationError: when the policy does not know one; with the nearest that it knows.
        """
        try:
            self._known.check(scopes)
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


_STORE = "an address, such as sqlite:///tokens.db"


def _opened(app: WSGIApplication, settings: Mapping[str, object], folder: Path) -> tuple[Config, Parts]:
    objects: dict[str, Any] = {name: value for name, value in settings.items() if not isinstance(value, _PLAIN)}
    given = {name: objects[name] for name, kind in _KINDS.items() if isinstance(objects.get(name), kind)}
    options = {name: objects[name] for name in _OBJECTS if name in objects}
    tables, path = _tables({name: settings[name] for name in settings if name not in {*given, *options}}, folder)
    if "store" in given:
        tables["store"] = {"url": "memory:"}  # never opened: the one in hand takes its place
    if not tables.get("store"):
        raise ConfigurationError("there is no store to find tokens in", setting="store", hint=_STORE)
    limits = tables.get("issuer")
    if isinstance(limits, IssuerLimits):
        del tables["issuer"]
    config = Config.from_dict(tables, path)
    if isinstance(limits, IssuerLimits):
        config = replace(config, issuer=limits)
    return config, open_parts(config, given=Given(application=app, options=options, **given))


def _tables(settings: Mapping[str, object], folder: Path) -> tuple[dict[str, Any], Path]:
    """Give the tables that a settings file would have, and its path."""
    path = folder / "patmiddleware.toml"
    tables: dict[str, Any] = {}
    if "config" in settings:
        path = (folder / str(settings["config"])).absolute()
        tables = _file(path)
    for name, value in settings.items():
        if name.partition(".")[0] not in _KNOWN:
            raise ConfigurationError(Problem(UNKNOWN, name, "there is no such setting", nearest(name, _KNOWN)))
        if name != "config":
            _place(tables, name.split("."), value)
    tables.setdefault("middleware", {}).setdefault("missing", "annotate")
    return tables, path


def _file(path: Path) -> dict[str, Any]:
    """Read a settings file, but for what it says of serving."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(Problem("PAT-E001", "config", f"{path} can't be read: {reason}")) from error
    return {name: table for name, table in tables.items() if name not in _WITHOUT}


def _place(tables: dict[str, Any], names: list[str], value: object) -> None:
    """Put a setting where a settings file has it."""
    first, *rest = names
    if first not in TABLES:
        first, rest = "middleware", names
    if rest:
        *inner, last = rest
        table = tables.setdefault(first, {})
        for name in inner:
            table = table.setdefault(name, {})
        table[last] = _value(last, value)
    elif first in _MAIN and isinstance(value, str | Path):
        tables.setdefault(first, {})[_MAIN[first]] = str(value)
    else:
        tables[first] = value


def _value(name: str, value: object) -> object:
    """Read what stands as text in an ini file: a value of TOML, or the text itself."""
    if not isinstance(value, str):
        return list(value) if isinstance(value, tuple | set | frozenset) else value
    try:
        found = tomllib.loads(f"value = {value.strip()}")["value"]
    except ValueError:
        return value.replace(",", " ").split() if name in _LISTS else value
    return found


def _named(problem: Problem, settings: Mapping[str, object], prefix: str) -> Problem:
    """Name a setting as it stands where it comes from; what a settings file says keeps its name."""
    table, _, rest = problem.setting.partition(".")
    short = table if rest == _MAIN.get(table) else rest if table == "middleware" else problem.setting
    first, dot, rest = short.partition(".")
    if Path(first).is_absolute() or ("config" in settings and first not in settings):
        return problem
    return replace(problem, setting=f"{prefix}{first.upper() if prefix.isupper() else first}{dot}{rest}")
