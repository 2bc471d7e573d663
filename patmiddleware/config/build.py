"""Open what a settings file names, and put the application together."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..audit import AuditLog
from ..backends import open_directory, open_store
from ..backends.chain import ChainReader
from ..backends.memory import MemoryStore
from ..errors import BackendError, ConfigurationError, Problem, RefusedError
from ..interfaces import Directory, TokenReader, TokenStore
from ..issuance import KnownScopes
from ..issuer import Issuer
from ..middleware import PATMiddleware
from ..policy import Policy
from .file import Config
from .tables import MiddlewareSettings
from .values import APPLICATION, AUDIT, BAD_VALUE, DIRECTORY, POLICY, REQUIRED, STORE, nearest

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parts:
    """What could be opened of what the settings name, and what is wrong.

    Args:
        store: None: it can't be opened; the same for ``application`` and ``middleware``.
        policy: None: there is none, or it can't be read; the same for ``directory`` and ``audit``.
        middleware: judged over stand-ins where the store or the application is missing; of use without problems.
        problems: all that is wrong, in the file too.
    """

    store: TokenReader | None
    policy: Policy | None
    directory: Directory | None
    audit: AuditLog | None
    application: WSGIApplication | None
    middleware: PATMiddleware | None
    problems: tuple[Problem, ...]


def from_config(path: str | Path) -> PATMiddleware:
    """Build the whole application that a settings file describes.

    Raises:
        ConfigurationError: with all that is wrong: in the file, the policy, the store, the directory, the application.
    """
    return build(Config.from_file(path))


def build(config: Config, *, audit: AuditLog | None = None) -> PATMiddleware:
    """Build the whole application.

    Args:
        config: as read; it need not be sound.
        audit: takes the place of the one that the settings name.

    Raises:
        ConfigurationError: with all that is wrong.
    """
    parts = open_parts(config, audit=audit)
    if parts.problems or parts.middleware is None:
        raise ConfigurationError(parts.problems)
    return parts.middleware


def open_parts(config: Config, *, audit: AuditLog | None = None) -> Parts:
    """Open all that the settings name, as far as they could be read, and gather what is wrong."""
    problems = list(config.problems())

    def attempt(open_part: Callable[[], T], table: str) -> T | None:
        try:
            return open_part() if config.read_well(table) else None
        except ConfigurationError as error:
            problems.extend(error.problems)
        except BackendError as error:
            problems.append(Problem(_IDS.get(table, STORE), f"{table}.url", str(error)))
        return None

    store = attempt(lambda: store_of(config), "store")
    policy = attempt(lambda: policy_of(config), "policy")
    directory = attempt(lambda: directory_of(config), "directory")
    application = attempt(lambda: application_of(config), "app")
    audit = audit or attempt(lambda: audit_of(config), "audit")

    def wrap() -> PATMiddleware:
        options: dict[str, Any] = {
            each.name: getattr(config.middleware, each.name) for each in fields(MiddlewareSettings)
        }
        with blamed("middleware"):
            return PATMiddleware(
                application or _nothing,
                store or MemoryStore(),
                policy=policy,
                directory=directory,
                passwords=config.passwords if directory else None,  # without one, it is told above
                audit=audit,
                **options,
            )

    def judge_issuer() -> None:
        if isinstance(store, TokenStore):
            with blamed("issuer"):
                Issuer(store, limits=config.issuer, policy=policy)

    def judge_ceilings() -> None:
        ceilings: Mapping[str, frozenset[str]] = (config.directory.settings if config.directory else {}).get(
            "scopes", {}
        )
        for group, scopes in ceilings.items():
            try:
                KnownScopes(policy).check(scopes)
            except RefusedError as error:
                raise ConfigurationError(Problem(BAD_VALUE, f"directory.scopes.{group}", str(error))) from None

    middleware = attempt(wrap, "middleware")
    attempt(judge_ceilings, "directory")
    attempt(judge_issuer, "issuer")
    return Parts(store, policy, directory, audit, application, middleware, tuple(dict.fromkeys(problems)))


_IDS = {"store": STORE, "directory": DIRECTORY, "policy": POLICY, "app": APPLICATION, "audit": AUDIT}
_MAIN = {
    "store": "store.url",
    "directory": "directory.url",
    "audit": "audit.to",
    "middleware": "middleware",
    "issuer": "issuer",
}
_GENERIC = "PAT-E001"


def _nothing(environ: object, start_response: object) -> list[bytes]:
    raise NotImplementedError("this stands in for an application that is missing, and never serves")


@contextmanager
def blamed(table: str, within: str = "") -> Iterator[None]:
    """Tell what is refused inside as problems of a table of the settings.

    Args:
        table: ``store`` for ``[store]``.
        within: the file that the problems stand in, where that is another one.
    """
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(_blamed(problem, table, within) for problem in error.problems) from error


def _blamed(problem: Problem, table: str, within: str) -> Problem:
    id = _IDS.get(table, problem.id) if problem.id == _GENERIC else problem.id
    if Path(problem.setting).is_absolute():  # it stands in another file, which is named already
        place = problem.setting
    elif within:
        place = f"{within}: {problem.setting}"
    elif problem.setting.startswith(f"{table}.") or problem.setting == "passwords":
        place = problem.setting
    else:
        place = f"{table}.{problem.setting}" if problem.setting not in ("", table) else _MAIN[table]
    return Problem(id, place, problem.message, problem.hint)


def store_of(config: Config) -> TokenReader:
    """Open the store; a new one is created. Of several addresses it is a chain.

    Raises:
        ConfigurationError: when its settings are wrong.
        BackendError: when it can't be opened now.
    """
    with blamed("store"):
        first, *others = config.store.url
        stores = [_opened(config, first, config.store.events), *(_opened(config, address) for address in others)]
        return ChainReader(stores) if others else stores[0]


def managed_store_of(config: Config) -> TokenReader:
    """Open the store that tokens are made in: of several the first.

    Raises:
        ConfigurationError: when its settings are wrong.
        BackendError: when it can't be opened now.
    """
    with blamed("store"):
        return _opened(config, config.store.first, config.store.events)


def _opened(config: Config, address: str, events: str | None = None) -> TokenReader:
    store, folder = config.store, config.path.parent
    settings = dict(store.of(address))
    if "deny" in settings:
        # The same tokens of ours are there, so under the same peppers.
        settings["deny"] = open_store(
            located(settings["deny"], folder), prefix=store.prefix, peppers=store.peppers, events=events
        )
    return open_store(
        located(address, folder),
        prefix=store.prefix,
        peppers=store.peppers,
        foreign=store.foreign,
        events=events,
        settings=settings,
    )


def lacks_tables(config: Config) -> bool:
    """Say whether the store is a server's database that has no tables of ours yet; nothing is made.

    Raises:
        ConfigurationError: when its settings are wrong.
        BackendError: when it can't be asked now.
    """
    if config.store.first.partition(":")[0].partition("+")[0].lower() not in ("postgresql", "mysql"):
        return False
    with blamed("store"):
        from ..backends.sql import SQLStore  # here, since it imports its driver

        return SQLStore.is_new(config.store.first)


def migrate_store(config: Config) -> bool:
    """Bring the store to the newest version of its format; False where there was nothing to do.

    Raises:
        ConfigurationError: when it can't be, or is newer than this program.
        BackendError: when it can't be opened now.
    """
    address = config.store.first
    if address.partition(":")[0].partition("+")[0].lower() not in ("sqlite", "postgresql", "mysql"):
        managed_store_of(config)  # which refuses what is no store
        return False  # the other kinds have had one format only
    with blamed("store"):
        from ..backends.sql import SQLStore  # here, since it imports its driver

        return SQLStore.migrate(located(address, config.path.parent))


def directory_of(config: Config) -> Directory | None:
    """Open the directory, or give None where there is none."""
    settings = config.directory
    if settings is None:
        return None
    with blamed("directory"):
        # Of LDAP there may be several, and one text may hold them.
        addresses = " ".join(located(address, config.path.parent) for address in settings.url)
        return open_directory(addresses, settings=settings.settings)


def policy_of(config: Config) -> Policy | None:
    """Read the policy, or give None where there is none."""
    settings = config.policy
    if settings is None or (not settings.file and not settings.preset):
        return None
    if settings.file:
        with blamed("policy", within=str(settings.file)):
            return Policy.from_file(settings.file)
    try:
        return Policy.preset(settings.preset, mount=settings.mount)
    except ConfigurationError as error:
        problems = (replace(each, setting=f"policy.{_PRESET.get(each.setting, 'preset')}") for each in error.problems)
        raise ConfigurationError(problems) from error


def audit_of(config: Config) -> AuditLog | None:
    """Open the audit, or give None where there is none."""
    if config.audit is None:
        return None
    with blamed("audit"):
        return AuditLog(config.audit.to or "stdout")


def application_of(config: Config) -> WSGIApplication:
    """Import the application that is to be wrapped. Modules beside the settings file are found.

    Raises:
        ConfigurationError: when there is none, or importing it fails.
    """
    hint = 'write [app] import = "module:name"'
    if not config.app.import_:
        raise ConfigurationError(Problem(REQUIRED, "app.import", "is missing: there is nothing to serve", hint))
    module_name, _, name = config.app.import_.partition(":")
    found = _module(module_name, config.path.parent)
    for part in name.split("."):
        if not hasattr(found, part):
            raise _not_imported(f"{module_name} has no {name!r}", nearest(part, vars(found)))
        found = getattr(found, part)
    if not callable(found):
        raise _not_imported(f"{config.app.import_} is no WSGI application: it can't be called", hint)
    application: WSGIApplication = found
    return application


def _not_imported(message: str, hint: str = "") -> ConfigurationError:
    return ConfigurationError(Problem(APPLICATION, "app.import", message, hint))


def _module(name: str, folder: Path) -> object:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    except Exception as error:  # somebody else's code runs here: whatever it raises is told as a problem
        message = f"importing {name} fails: {type(error).__name__}: {error}"
        raise _not_imported(message, f"try it: python -c 'import {name}'") from error


_PRESET = {"preset[0].name": "preset", "preset[0].mount": "mount"}
_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/)(?!:memory:)(.+)")
_FILE = re.compile(r"((?:file|static|htpasswd):|jwt:(?!https?:))(?!/)(.+)", re.IGNORECASE)


def located(url: str, folder: Path) -> str:
    """Give an address with a relative path in it as one with the whole path, from the settings file's folder."""
    if url.startswith("chain:"):
        return "chain:" + " ".join(located(one, folder) for one in url.removeprefix("chain:").split())
    found = _SQLITE.fullmatch(url) or _FILE.fullmatch(url)
    return f"{found[1]}{folder / found[2]}" if found else url
