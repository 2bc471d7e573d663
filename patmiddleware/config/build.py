"""Open what a settings file names, and put the application together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..audit import AuditLog
from ..backends import open_directory, open_store
from ..backends.chain import ChainReader
from ..backends.memory import MemoryStore
from ..errors import BackendError, ConfigurationError, Problem, RefusedError
from ..interfaces import AccessPolicy, Directory, TokenReader, TokenStore
from ..issuance import KnownScopes
from ..issuer import Issuer
from ..middleware import PATMiddleware
from ..policy import Policy
from .application import application_of, forwarders_of, session_of
from .backends import KINDS, kind_of, located
from .blame import IDS, blamed, renamed
from .file import Config
from .groupnames import check_groups
from .tables import MiddlewareSettings
from .values import BAD_VALUE, STORE
from .vaults import vault_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Given:
    """What is in hand already, and takes the place of what the settings name; None: what they name is opened.

    Args:
        options: of :class:`~patmiddleware.PATMiddleware`, by their names, which stand over the settings.
    """

    store: TokenReader | None = None
    policy: AccessPolicy | None = None
    directory: Directory | None = None
    audit: AuditLog | None = None
    application: WSGIApplication | None = None
    options: Mapping[str, object] = field(default_factory=dict)


NOTHING_GIVEN = Given()


@dataclass(frozen=True, slots=True)
class Parts:
    """What could be opened of what the settings name, and what is wrong.

    Args:
        store: None: it can't be opened; the same for ``application`` and ``middleware``.
        policy: None: there is none, it can't be read, or it is not ours; the same for ``directory`` and ``audit``.
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
    parts = open_parts(config, given=Given(audit=audit))
    if parts.problems or parts.middleware is None:
        raise ConfigurationError(parts.problems)
    return parts.middleware


def open_parts(config: Config, *, given: Given = NOTHING_GIVEN) -> Parts:
    """Open all that the settings name, as far as they could be read, and gather what is wrong."""
    problems = list(config.problems())

    def attempt(open_part: Callable[[], T], table: str) -> T | None:
        try:
            return open_part() if config.read_well(table) else None
        except ConfigurationError as error:
            problems.extend(error.problems)
        except BackendError as error:
            problems.append(Problem(IDS.get(table, STORE), f"{table}.url", str(error)))
        return None

    def part(given: T | None, open_part: Callable[[], T | None], table: str) -> T | None:
        return attempt(open_part, table) if given is None else given

    store = part(given.store, lambda: store_of(config), "store")
    policy: AccessPolicy | None = part(given.policy, lambda: policy_of(config), "policy")
    directory = part(given.directory, lambda: directory_of(config), "directory")
    audit = part(given.audit, lambda: audit_of(config), "audit")
    vault = attempt(lambda: vault_of(config), "vault")
    lost = vault is None and config.app.needs_vault  # which is told already
    application = None
    if not lost:
        application = part(given.application, lambda: application_of(config, audit, vault), "app")
    if config.app.upstreams and not config.read_well("app"):
        try:
            forwarders_of(config)  # for its addresses alone
        except ConfigurationError as error:
            problems.extend(error.problems)

    def wrap() -> PATMiddleware:
        options: dict[str, Any] = {
            each.name: getattr(config.middleware, each.name) for each in fields(MiddlewareSettings)
        }
        options["keep_credential"] |= config.app.needs_credential
        options |= {"passwords": None if directory is None else config.passwords}  # without one, it is told above
        options |= {"session": session_of(config), **given.options}
        with blamed("middleware"):
            return PATMiddleware(
                _nothing if application is None else application,
                MemoryStore() if store is None else store,
                policy=policy,
                directory=directory,
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
    ours = policy if isinstance(policy, Policy) else None
    if ours and config.directory:
        addresses = config.directory.url
        attempt(lambda: check_groups(ours.rules, addresses), "policy")
    return Parts(store, ours, directory, audit, application, middleware, tuple(dict.fromkeys(problems)))


def _nothing(environ: object, start_response: object) -> list[bytes]:
    raise NotImplementedError("this stands in for an application that is missing, and never serves")


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
        with renamed(lambda setting: "store.jwt.deny"):
            # The same tokens of ours are there, so under the same peppers.
            settings["deny"] = open_store(
                located(settings["deny"], folder), prefix=store.prefix, peppers=store.peppers, events=events
            )
        events = None  # the changes that there are to tell are those
    with renamed(lambda setting: _in_its_table(setting, kind_of(address))):
        return open_store(
            located(address, folder),
            prefix=store.prefix,
            peppers=store.peppers,
            foreign=store.foreign,
            events=events,
            settings=settings,
        )


def _in_its_table(setting: str, kind: str) -> str:
    """Give the name of a store's setting as it stands in the file: some kinds have a table of their own."""
    table, _, name = setting.partition(".")
    return f"{table}.{kind}.{name}" if name.partition(".")[0] in KINDS.get(kind, ()) else setting


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
    """Bring the store, and the vault, to the newest version of its format; False where there was nothing to do.

    Raises:
        ConfigurationError: when it can't be, or is newer than this program.
        BackendError: when it can't be opened now.
    """
    if not _is_sql(config.store.first):
        managed_store_of(config)  # which refuses what is no store; the other kinds have had one format only
    addresses = {"store": config.store.first, "vault": config.vault.url if config.vault else ""}
    migrated = [_migrated(address, table, config) for table, address in addresses.items() if _is_sql(address)]
    return any(migrated)


def _is_sql(address: str) -> bool:
    return address.partition(":")[0].partition("+")[0].lower() in ("sqlite", "postgresql", "mysql")


def _migrated(address: str, table: str, config: Config) -> bool:
    with blamed(table):
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


_PRESET = {"preset[0].name": "preset", "preset[0].mount": "mount"}
