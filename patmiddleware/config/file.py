"""Read a settings file and judge it whole.

:meth:`Config.from_file` does not raise: a table with something wrong in it keeps its defaults, and
:meth:`Config.problems` tells all that is wrong at once.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from ..errors import ConfigurationError, Problem, hint_for
from ..issuer import IssuerLimits
from ..passwords import PasswordSettings
from ..session import SessionSettings
from .backends import KINDS, DirectorySettings, StoreSettings, kind_of, located
from .cautions import unwise
from .tables import TABLES, AuditSettings, MiddlewareSettings, PolicySettings, ServerSettings, VaultSettings
from .upstreams import AppSettings
from .values import (
    CONTRADICTION,
    SYNTAX,
    UNKNOWN,
    UNREADABLE,
    Place,
    Reader,
    nearest,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A settings file, read and judged.

    Args:
        path: of the file, for messages.
        policy: None: no policy is set; the same for ``directory``, ``passwords``, ``session``, ``audit`` and ``vault``.
        misread: what was wrong in reading it. The tables that it names stand at their defaults.
        warnings: what is lawful, but unwise.
    """

    path: Path
    middleware: MiddlewareSettings = field(default_factory=MiddlewareSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    directory: DirectorySettings | None = None
    policy: PolicySettings | None = None
    issuer: IssuerLimits = field(default_factory=IssuerLimits)
    passwords: PasswordSettings | None = None
    session: SessionSettings | None = None
    audit: AuditSettings | None = None
    vault: VaultSettings | None = None
    app: AppSettings = field(default_factory=AppSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    misread: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @classmethod
    def from_file(cls, path: str | Path, environ: Mapping[str, str] = os.environ) -> Self:
        """Read a settings file. What is wrong with it, be it missing, is in :meth:`problems`."""
        path = Path(path).absolute()
        try:
            # Editors of Windows begin a file with a mark, which tomllib can't read.
            return cls.from_dict(tomllib.loads(path.read_text("utf-8-sig")), path, environ)
        except OSError as error:
            hint = "write it, or name another one in PATMIDDLEWARE_CONFIG, or with --config of the commands"
            problem = Problem(UNREADABLE, str(path), f"can't be read: {error.strerror}", hint_for(error, hint))
        except UnicodeDecodeError as error:
            problem = Problem(SYNTAX, str(path), f"is not UTF-8 text: byte {error.start} can't be", "save it as UTF-8")
        except (ValueError, RecursionError) as error:  # the one is also a number of too many digits
            problem = Problem(SYNTAX, str(path), f"is not TOML: {error}")
        return cls(path=path, misread=(problem,))

    @classmethod
    def from_dict(cls, given: Mapping[str, object], path: Path, environ: Mapping[str, str] = os.environ) -> Self:
        """Read settings that are in hand already.

        Args:
            given: what a settings file would say.
            path: of the file; relative paths are taken from its folder.
            environ: where ``{env = "NAME"}`` is looked up.
        """
        place = Place("", path.parent, environ, [])
        misread: list[Problem] = []
        tables: dict[str, Any] = {}  # Any: each table has its own type
        for name, value in {"store": {}, **given}.items():
            try:
                tables[name] = _table(name)(value, place.at(name))
            except ConfigurationError as error:
                misread += error.problems
                if name == "app":
                    tables |= _as_nobody(value, place.at(name))
        return cls(path=path, **tables, misread=tuple(misread), warnings=tuple(place.warnings))

    def problems(self) -> tuple[Problem, ...]:
        """Tell all that is wrong, in reading and in what can't stand together."""
        return (*self.misread, *(problem for problem in _contradictions(self) if self.read_well(problem.setting)))

    def read_well(self, *settings: str) -> bool:
        """Say whether the tables of these settings could be read, so that they stand as written."""
        tables = {name.partition(".")[0] for name in settings}
        return not any(problem.setting.partition(".")[0] in tables or problem.id in _WHOLE for problem in self.misread)

    def file_of(self, address: str) -> Path | None:
        """Give the file that the address of a store or a vault names; None where it names none."""
        scheme, _, rest = located(address, self.path.parent).partition(":")
        return Path("/" + rest.partition("?")[0].lstrip("/")) if scheme in ("file", "sqlite") else None

    def cautions(self) -> tuple[Problem, ...]:
        """Tell all that is lawful, but unwise."""
        return (*self.warnings, *(caution for caution in unwise(self) if self.read_well(caution.setting)))


_WHOLE = (UNREADABLE, SYNTAX)


def _table(name: str) -> Reader[Any]:
    def unknown(value: object, place: Place) -> None:
        kind = "table" if isinstance(value, dict | list) else "setting"
        raise place.problem(UNKNOWN, f"there is no such {kind}", nearest(name, TABLES))

    return TABLES.get(name, unknown)


def _as_nobody(value: object, place: Place) -> dict[str, Any]:
    """Read ``[app]`` as if nothing were wrong with ``auth``, so that its addresses are judged in the same run."""

    def mended(table: object) -> object:
        return {**table, "auth": {"kind": "pass"}} if isinstance(table, dict) and "auth" in table else table

    found = mended(value)
    if isinstance(found, dict) and isinstance(several := found.get("upstreams"), list):
        found = {**found, "upstreams": [*map(mended, several)]}
    try:
        return {"app": _table("app")(found, replace(place, warnings=[]))}
    except ConfigurationError:
        return {}


def _lacks(config: Config, table: str) -> bool:
    """Say whether there is no such table, not even one that can't be read: what is wrong with that is told already."""
    return getattr(config, table) is None and config.read_well(table)


def _contradictions(config: Config) -> Iterator[Problem]:
    policy, middleware, lacks_directory = config.policy, config.middleware, _lacks(config, "directory")
    if policy and bool(policy.file) == bool(policy.preset):
        message = "has both file and preset" if policy.file else "has neither file nor preset"
        yield Problem(CONTRADICTION, "policy", message, "a file can name presets, too: [[preset]]")
    if policy and policy.mount and not policy.preset:
        yield Problem(CONTRADICTION, "policy.mount", "is there without a preset", "in a file it belongs to [[preset]]")
    if middleware.basic_username == "mail" and lacks_directory:
        message = "is 'mail', but there is no directory to know an address"
        yield Problem(CONTRADICTION, "middleware.basic_username", message, "add [directory], or write 'match'")
    if config.app.needs_vault and _lacks(config, "vault"):
        message = "is 'vault', but there is none to keep owners' credentials in"
        yield Problem(CONTRADICTION, "app.auth.kind", message, "add [vault]")
    if config.passwords and lacks_directory:
        message = "passwords can't be checked without a directory"
        yield Problem(CONTRADICTION, "passwords", message, "add [directory]")
    if config.passwords and "basic" not in middleware.accept and config.read_well("middleware"):
        message = "passwords come through Basic, which isn't accepted"
        yield Problem(CONTRADICTION, "passwords", message, "add 'basic' to middleware.accept")
    if config.app.needs_credential and "session" in middleware.accept:
        message = "is 'pass', and a session has no token of the upstream's to pass on"
        yield Problem(CONTRADICTION, "app.auth.kind", message, "take 'session' out of middleware.accept")
    yield from _without_their_store(config.store)
    yield from _written_into(config)
    if config.session and "session" not in middleware.accept and config.read_well("middleware"):
        message = "there are sessions, but they aren't accepted"
        yield Problem(CONTRADICTION, "session", message, "add 'session' to middleware.accept")


def _without_their_store(store: StoreSettings) -> Iterator[Problem]:
    """Give the tables with settings of a kind of store that there is none of."""
    there = set(map(kind_of, store.url))
    for kind in KINDS:
        if getattr(store, kind) and kind not in there:
            message = f"is there, but no address in store.url begins with {kind}:"
            yield Problem(CONTRADICTION, f"store.{kind}", message, "add the address, or remove the table")


def _written_into(config: Config) -> Iterator[Problem]:
    """Give what the audit's lines would spoil: they are put at the end of a file, whatever it holds."""
    if config.audit is None or config.audit.to is None:
        return
    taken = {"store.url": map(config.file_of, config.store.url), "the settings themselves": (config.path,)}
    if config.vault:
        taken["vault.url"] = (config.file_of(config.vault.url),)
    if config.policy:
        taken["policy.file"] = (config.policy.file,)
    for name, files in taken.items():
        if config.audit.to in files:
            yield Problem(CONTRADICTION, "audit.to", f"is the file of {name}", "name a file of its own")
