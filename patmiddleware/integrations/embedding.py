"""What every framework's glue stands on: flat settings made into a gate, and the demands of a view."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..annotate import DENIED, STATUS, Environ, grant_from
from ..config import Config, Given, Parts, open_parts
from ..errors import ConfigurationError, Problem, RefusedError
from ..fields import check_scopes
from ..interfaces import AccessPolicy, TokenReader, TokenStore
from ..issuance import KnownScopes
from ..issuer import Issuer, IssuerLimits
from ..middleware import PATMiddleware
from ..model import Denied, Reason
from ..policy import Policy
from .flat import named, tables_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

_KINDS = ("store", "policy", "directory", "audit")
"""What may be given as it is, in the place of a setting: the gate judges whether it is one."""
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
            raise ConfigurationError(named(each, settings, prefix) for each in error.problems) from error.__cause__
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

    @property
    def allowed_paths(self) -> tuple[str, ...]:
        """Paths that allow rules are about, an example of each: such a rule may open a part of a wide route."""
        rules = self.policy.rules if isinstance(self.policy, Policy) else ()
        patterns = chain.from_iterable(rule.patterns for rule in rules if rule.effect == "allow")
        return tuple(dict.fromkeys(path for pattern in patterns for path in pattern.examples))

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


_STORE = "an address, such as sqlite:///tokens.db"


def _opened(app: WSGIApplication, settings: Mapping[str, object], folder: Path, missing: str) -> tuple[Config, Parts]:
    objects: dict[str, Any] = {name: value for name, value in settings.items() if not isinstance(value, _PLAIN)}
    given = {name: objects[name] for name in _KINDS if name in objects}
    options = {name: objects[name] for name in _OBJECTS if name in objects}
    left = {name: settings[name] for name in settings if name not in {*given, *options}}
    tables, path, problems = tables_of(left, folder)
    middleware = tables.setdefault("middleware", {})
    if isinstance(middleware, dict):
        middleware.setdefault("missing", missing)
    if "store" not in given and not tables.get("store"):
        problems.append(Problem("PAT-E001", "store", "there is no store to find tokens in", _STORE))
    if "store" in given or not tables.get("store"):
        tables["store"] = {"url": "memory:"}  # takes the place of what is not there, or is in hand already
    if "directory" in given:
        tables.setdefault("directory", {"url": "static:in-hand"})  # so that what needs one has one; it is not opened
    limits = tables.pop("issuer") if isinstance(tables.get("issuer"), IssuerLimits) else None
    config = Config.from_dict(tables, path)
    config = config if limits is None else replace(config, issuer=limits)
    parts = open_parts(config, given=Given(application=app, options=options, **given))
    return config, replace(parts, problems=(*problems, *parts.problems))
