"""Open what stands behind the gate: an application that is imported, or the way to upstreams."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..audit import AuditLog
from ..credentials import Carriers
from ..errors import ConfigurationError, Problem
from ..session import SessionSettings
from .blame import blamed
from .file import Config
from .values import APPLICATION, REQUIRED, gathered, nearest
from .vaults import strategy_of, vault_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from ..forwarder import Forwarder, Mounts
    from ..vault import SealedVault
    from .upstreams import UpstreamSettings


def application_of(config: Config, audit: AuditLog | None = None, vault: SealedVault | None = None) -> WSGIApplication:
    """Open what is to be wrapped: the way to the upstreams, or an application. Modules beside the settings are found.

    Args:
        config: as read.
        audit: where the forwarder writes a line for each request that goes on.
        vault: of the settings, where it is open already.

    Raises:
        ConfigurationError: when there is none, or importing it fails.
    """
    if config.app.upstreams:
        return forwarders_of(config, audit, vault)
    if not config.app.import_:
        either = f'{_HINT}, or upstream = "https://jira.example.org" to forward to it'
        raise ConfigurationError(Problem(REQUIRED, "app.import", "is missing: there is nothing to serve", either))
    return imported(config.app.import_, config.path.parent)


_HINT = 'write [app] import = "module:name"'
_ARGUMENTS = (
    "it is called without arguments; if it wants some, name an application that a module makes with them, such as "
    'application = pyramid.paster.get_app("app.ini")'
)


def imported(words: str, folder: Path, setting: str = "app.import") -> WSGIApplication:
    """Import an application: somebody else's code runs, and whatever goes wrong in it is told as a problem.

    Args:
        words: ``module:name``, or ``module:name()`` for what makes one.
        folder: whose modules are found.
        setting: where the words stand, for messages.

    Raises:
        ConfigurationError: when there is no such application, or making it fails.
    """

    def problem(message: str, hint: str = "") -> ConfigurationError:
        return ConfigurationError(Problem(APPLICATION, setting, message, hint))

    module, _, path = words.removesuffix("()").partition(":")
    try:
        found = _module(module, folder)
    except (Exception, SystemExit) as error:
        raise problem(f"importing {module} fails: {_told(error)}", f"try it: python -c 'import {module}'") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise problem(f"{module} has no {path!r}", nearest(name, (each for each in dir(found) if each[0] != "_")))
        found = getattr(found, name)
    if callable(found) and words.endswith("()"):
        try:
            found = found()
        except (Exception, SystemExit) as error:
            hint = _ARGUMENTS if isinstance(error, TypeError) else ""
            raise problem(f"calling {words} fails: {_told(error)}", hint) from error
    if not callable(found):
        raise problem(f"{words} is no WSGI application: it can't be called", _HINT)
    application: WSGIApplication = found
    return application


def _told(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def forwarders_of(config: Config, audit: AuditLog | None = None, vault: SealedVault | None = None) -> Mounts:
    """Open the way to each upstream; nothing is sent.

    Raises:
        ConfigurationError: when its settings are wrong, or a package is missing.
    """
    with blamed("app"):
        from ..forwarder import Mounts  # here, since it needs packages of an extra

        if vault is None and config.app.needs_vault:
            vault = vault_of(config)

        def one(index: int) -> Forwarder:
            try:
                return _forwarder(config, config.app.upstreams[index], audit, vault)
            except ConfigurationError as error:
                raise ConfigurationError(_of_upstream(each, index, config) for each in error.problems) from error

        return Mounts(gathered(one, range(len(config.app.upstreams))))


def _of_upstream(problem: Problem, index: int, config: Config) -> Problem:
    """Tell a problem as one of the upstream that it is about, where there are several."""
    if len(config.app.upstreams) == 1 or Path(problem.setting).is_absolute():
        return problem
    return replace(problem, setting=f"app.upstreams[{index}].{problem.setting.removeprefix('app.')}")


def _addresses_of(settings: UpstreamSettings) -> tuple[Callable[[], object], ...]:
    """Give what judges each address alone: a forwarder stops at the first that is wrong."""
    from ..forwarder.bases import base_of
    from ..forwarder.target import mounted
    from ..forwarder.transport import PooledTransport

    return (
        lambda: PooledTransport(settings.upstream, **settings.transport),
        lambda: base_of(settings.public_url, "app.public_url"),
        lambda: [base_of(url, "app.base_urls") for url in settings.base_urls],
        lambda: mounted(settings.mount),
    )


def _forwarder(
    config: Config,
    settings: UpstreamSettings,
    audit: AuditLog | None,
    vault: SealedVault | None,
) -> Forwarder:
    from ..forwarder import Forwarder
    from ..forwarder.transport import PooledTransport

    gathered(lambda judge: judge(), _addresses_of(settings))
    gate, transport = config.middleware, PooledTransport(settings.upstream, **settings.transport)
    schemes = Carriers.of(gate.accept).schemes
    owners = settings.auth["kind"] == "vault"
    return Forwarder(
        settings.upstream,
        auth=strategy_of(vault, settings, transport) if owners and vault is not None else settings.auth,
        public_url=settings.public_url,
        mount=settings.mount,
        base_urls=settings.base_urls,
        rewrite=settings.rewrite,
        anonymous=settings.anonymous,
        headers=settings.headers,
        errors=gate.errors,
        schemes=schemes,
        realm=gate.realm,
        raw_target=gate.raw_target,
        audit=audit,
        transport=transport,
    )


def session_of(config: Config) -> SessionSettings | None:
    """Give how sessions are kept; left out, they are of the one upstream, where it is. None: there are none."""
    if "session" not in config.middleware.accept:
        return None
    if config.session is not None or len(config.app.upstreams) != 1:
        return config.session
    [upstream] = config.app.upstreams
    public = urlsplit(upstream.public_url)
    origin = f"{public.scheme}://{public.netloc}"
    with blamed("app"):
        return SessionSettings(path=upstream.mount or "/", origin=origin, secure=public.scheme == "https")


def _module(name: str, folder: Path) -> object:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(name)
