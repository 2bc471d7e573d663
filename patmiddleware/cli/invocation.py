"""What every command has: ``--config``, ``--json``, and what the settings file names, opened when it is needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from ..audit import AuditLog
from ..config import (
    NOTHING_GIVEN,
    Config,
    Given,
    audit_of,
    directory_of,
    located,
    managed_store_of,
    policy_of,
    store_of,
    vault_of,
)
from ..config.values import SECRET
from ..errors import ConfigurationError, Problem, RefusedError
from ..interfaces import AccessPolicy, Denying, Directory, TokenReader, TokenStore
from ..issuer import Issuer
from ..tokens import DEFAULT_PREFIX
from . import terminal
from .upstream import Reach, reached

if TYPE_CHECKING:
    from ..vault import SealedVault

_MANAGED = {"memory", "file", "sqlite", "postgresql", "mysql"}

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_FILE = "patmiddleware.toml"
ENVIRONMENT = "PATMIDDLEWARE_CONFIG"


@dataclass
class Invocation:
    """One run of a command.

    Args:
        json: whether to answer in JSON.
        file: the settings file that was named; None: where it usually is.
        reach: how an upstream is asked.
        given: what an application has in hand, in the place of what its settings name.
        settings: of that application; None: those of the file.
    """

    json: bool = False
    file: Path | None = None
    reach: Reach = reached
    given: Given = NOTHING_GIVEN
    settings: Config | None = None

    @property
    def path(self) -> Path:
        """The settings file: of ``--config``, else of the environment, else in the current folder."""
        return (self.file or Path(os.environ.get(ENVIRONMENT) or DEFAULT_FILE)).absolute()

    @cached_property
    def config(self) -> Config:
        """The settings, for what is about tokens: the secrets of the way upstream may be out of reach here.

        Raises:
            ConfigurationError: with all that is wrong in the file, but for these.
        """
        config = Config.from_file(self.path) if self.settings is None else self.settings
        if problems := [problem for problem in config.problems() if not _is_of_the_way(problem)]:
            raise ConfigurationError(problems)
        return config

    @property
    def whole(self) -> Config:
        """The settings, for what asks an upstream or the vault.

        Raises:
            ConfigurationError: with all that is wrong in the file.
        """
        if problems := self.config.problems():
            raise ConfigurationError(problems)
        return self.config

    @cached_property
    def policy(self) -> AccessPolicy | None:
        """The policy, if there is one."""
        if self.settings is not None:
            return self.given.policy
        return policy_of(self.config)

    @cached_property
    def directory(self) -> Directory | None:
        """The directory, if there is one."""
        if self.settings is not None:
            return self.given.directory
        return directory_of(self.config)

    @property
    def prefix(self) -> str:
        """What our tokens begin with; without settings, as they are made by default.

        Raises:
            ConfigurationError: when settings that are there, or were named, do not tell: a guess would find nothing.
        """
        if self.given.store is not None:
            return getattr(self.given.store, "prefix", DEFAULT_PREFIX)
        if not (self.file or os.environ.get(ENVIRONMENT) or self.path.exists()):
            return DEFAULT_PREFIX
        if not (config := Config.from_file(self.path)).read_well("store"):
            raise ConfigurationError(config.misread)
        return config.store.prefix

    def store(self, *, create: bool = False) -> TokenStore:
        """Open the store for managing it.

        Args:
            create: whether to make one where there is none.

        Raises:
            ConfigurationError: when it can't be opened.
            RefusedError: when it is missing, or can only be read.
        """
        file = store_file(self.config) if self.given.store is None else None
        missing = file is not None and not file.exists()
        if missing and not create:
            raise RefusedError(f"there is no store at {file} yet: run 'patmiddleware store init', or create a token")
        store = managed_store_of(self.config) if self.given.store is None else _managed(self.given.store)
        if not isinstance(store, TokenStore):
            raise RefusedError("this store can only be read: its tokens are managed where they come from")
        if missing:
            terminal.note(f"There was no store at {file} yet: made a new one.")
        return store

    def vault(self) -> SealedVault:
        """Open the vault.

        Raises:
            ConfigurationError: when there is none, or it can't be opened.
        """
        if (vault := vault_of(self.whole)) is None:
            hint = 'write [vault] url = "sqlite:///tokens.db" and keys = [{env = "PAT_VAULT_KEY"}]'
            message = "is missing: there is nowhere to keep credentials"
            raise ConfigurationError(Problem("PAT-E107", "vault", message, hint))
        click.get_current_context().call_on_close(vault.close)
        return vault

    def denying(self) -> Iterator[Denying]:
        """Give the readers of tokens that others issue, and that can be refused here before their time."""
        opened = self.given.store
        if opened is None:
            if {address.partition(":")[0] for address in self.config.store.url} <= _MANAGED:
                return  # without opening them twice
            opened = store_of(self.config)
        yield from (one for one in getattr(opened, "readers", (opened,)) if isinstance(one, Denying))

    def issuer(self, *, create: bool = False) -> Issuer:
        """Give what makes and revokes tokens within the limits of the settings; ``create`` as for the store."""
        # First, so that no store is made where the policy is wrong.
        policy = self.policy
        store = self.store(create=create)
        return Issuer(store, limits=self.config.issuer, policy=policy, audit=self.audit())

    def audit(self) -> AuditLog | None:
        """Give the audit, if it goes to a file: the standard output is the answer's."""
        named = self.config.audit
        if named is not None and named.to is None:
            return None
        audit = self.given.audit if self.settings is not None else audit_of(self.config)
        if audit is not None:
            click.get_current_context().call_on_close(audit.close)
        return audit

    def answer(self, document: object, *lines: str) -> None:
        """Answer with a JSON document, or with lines of words, as was asked for."""
        if self.json:
            terminal.write_json(document)
        else:
            terminal.say("\n".join(lines))


def _is_of_the_way(problem: Problem) -> bool:
    """Say whether it is but a secret that whoever serves has: whoever makes tokens needs none of them."""
    return problem.id == SECRET and problem.setting.partition(".")[0] in ("app", "vault")


def program() -> str:
    """Give the name that the commands are run by."""
    return click.get_current_context().find_root().info_name or "patmiddleware"


def _managed(store: TokenReader) -> TokenReader:
    """Give the store that tokens are made in: of several the first."""
    first: TokenReader = next(iter(getattr(store, "readers", (store,))))
    return first


def store_file(config: Config) -> Path | None:
    """Give the file that the store is in; None where it is not in one, or where the address names a host."""
    scheme, _, rest = located(config.store.first, config.path.parent).partition(":")
    if rest.startswith("//") and not rest.startswith("///"):
        return None  # opening it is refused; what stands there may be a password, so it must not become a path
    match scheme.partition("+")[0]:
        case "sqlite":
            path = rest.partition("?")[0].removeprefix("//").removeprefix("/")
            return Path(path) if path and not path.startswith(":memory:") else None
        case "file":
            return Path("/" + rest.lstrip("/"))
    return None


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:  # Any: as click gives it
        if value:
            setattr(context.ensure_object(Invocation), name, value)

    return keep


def common(function: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options that every command has."""
    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=_keep("file"),
        help=f"The settings file. Default: ${ENVIRONMENT}, then {DEFAULT_FILE}.",
    )
    as_json = click.option(
        "--json", is_flag=True, expose_value=False, callback=_keep("json"), help="Answer with one JSON document."
    )
    return config(as_json(function))


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
