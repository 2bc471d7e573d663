"""The gate: a WSGI application that lets a request through to the wrapped one, or refuses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Literal, TypeAlias

from .addresses import Addresses
from .annotate import (
    CREDENTIAL,
    GRANT,
    REQUEST_ID,
    SERVER_SET,
    Environ,
    Scrub,
    annotate,
    annotate_none,
    inherit,
    take_away,
)
from .audit import AuditLog
from .backends import open_directory, open_store
from .credentials import Carried, Carriers, credential, secrets_in, take
from .errors import ConfigurationError
from .expiry import announcing, check_name
from .interfaces import AccessPolicy, Directory, TokenReader, TokenStore
from .issuer import Issuer
from .lastuse import LastUse
from .model import Allowed, CacheSettings, Denied, Grant, Network, Reason, Secret
from .options import Kinds, check_choices, check_clock, check_kinds
from .passwords import PasswordGate, PasswordSettings
from .policy import Policy
from .reject import ROWS, ErrorBody, Refusals
from .requestid import believed, ids
from .resolver import Expand, Identity, Resolver, UsernameRule, checked_bounds, username_rule
from .rulebook import Place, Rulebook
from .session import Endpoint, Sessions, SessionSettings
from .tokens import DEFAULT_PREFIX

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

NOTE_SECONDS = 60.0  # a token's last use is noted once a minute at the most

Verdict: TypeAlias = tuple[Identity | None, Allowed | Denied, Denied | None]
"""Who it is; whether the request may pass; and what was wrong with a credential that was let through all the same."""


class PATMiddleware:
    """Guard a WSGI application with personal access tokens.

    Args:
        app: the application behind the gate.
        store: a token reader, or an address such as ``sqlite:///tokens.db``.
        policy: what tokens may do: a :class:`~patmiddleware.policy.Policy`, the path of its TOML file, an object of
            your own with ``decide``, or None: any valid token is enough, but one with limits, which nothing could keep.
        directory: where owners must exist and be active, or its address; None: nobody is asked.
        accept: where a token may stand: ``bearer``, ``basic`` (in place of the password), ``token``,
            ``header:X-API-Key``, ``session`` (a cookie, got for a token: the store must be one that can be written).
        basic_username: what the user name of Basic must be: the owner's ``match`` (exactly), ``casefold``, ``mail``
            (name or mail address), ``ignore``, or a callable ``(username, owner) -> bool``.
        realm: of the challenges.
        missing: ``reject``, or ``annotate``: let pass what is wrong with the credential alone, and paths that no rule
            mentions, for an application that decides itself. Denies, networks, failed requires and outages still bind.
        errors: the body of a refusal: ``problem`` (RFC 9457), ``jira``, or a callable
            ``(denied, status, request_id) -> (content_type, body)``.
        cache: bounds of what is kept in memory.
        limiter: not built yet; must be None.
        audit: where decisions are written: an :class:`~patmiddleware.audit.AuditLog`, or its address.
        passwords: whose passwords are still taken, for the time of a migration.
        trusted_proxies: networks, and ``"unix"``, whose ``X-Forwarded-For`` and ``X-Request-ID`` are believed. Not
            together with werkzeug's ``ProxyFix``.
        remote_user: ``scrub``, or ``keep``: what the server itself says of the user stays where no credential came.
        keep_credential: leave the credential's header in place, and its secret under ``patmiddleware.credential``.
        raw_target: ``check``, or ``ignore`` where a front end rewrites paths.
        clock: seconds since the epoch.
        scrub: more, or fewer, names that are removed from every request.
        expiry_header: name of a response header that says when the token expires (RFC 3339); None: none.
        session: how sessions are kept, where they are accepted.

    Raises:
        ConfigurationError: for whatever is wrong with these; nothing is opened or started then.
    """

    def __init__(
        self,
        app: WSGIApplication,
        store: TokenReader | str,
        *,
        policy: AccessPolicy | str | Path | None = None,
        directory: Directory | str | None = None,
        accept: Iterable[str] = ("bearer", "basic"),
        basic_username: str | UsernameRule = "match",
        realm: str = "api",
        missing: Literal["reject", "annotate"] = "reject",
        errors: str | ErrorBody = "problem",
        cache: CacheSettings | None = None,
        limiter: None = None,
        audit: AuditLog | str | None = None,
        passwords: PasswordSettings | None = None,
        trusted_proxies: Iterable[str | Network] = (),
        remote_user: Literal["scrub", "keep"] = "scrub",
        keep_credential: bool = False,
        raw_target: Literal["check", "ignore"] = "check",
        clock: Callable[[], float] = time.time,
        scrub: Scrub | None = None,
        expiry_header: str | None = None,
        session: SessionSettings | None = None,
    ) -> None:
        _check(app, clock, limiter)
        check_choices(_CHOICES, missing=missing, remote_user=remote_user, raw_target=raw_target)
        check_kinds(_KINDS, realm=realm, audit=audit, passwords=passwords, keep_credential=keep_credential, scrub=scrub)
        check_kinds(_KINDS, session=session, accept=accept, trusted_proxies=trusted_proxies)
        self.policy = Policy.from_file(policy) if isinstance(policy, str | Path) else policy
        expand: Expand = self.policy.expand if isinstance(self.policy, Policy) else frozenset
        self._carriers = Carriers.of(accept)
        proxies = trusted_proxies if isinstance(trusted_proxies, str) else tuple(trusted_proxies)
        self._addresses, self._trusts = Addresses(proxies), bool(proxies)
        self._scrub = _scrub(scrub, remote_user, self._carriers)
        self._keeps_user = remote_user == "keep"
        self._annotates = missing == "annotate"
        self._keep_credential = keep_credential
        settings = _session(session, self._carriers)
        self._taken = ("HTTP_AUTHORIZATION", *self._carriers.keys)
        self._rules = Rulebook(
            self.policy,
            self._addresses,
            checks_raw=raw_target == "check",
            needs_path=passwords is not None,
            lenient=self._annotates,
            own=None if settings is None else settings.rules(),
        )
        self._refuse = Refusals(self._carriers.schemes, realm, errors)
        self._audit = AuditLog(audit) if isinstance(audit, str) else audit
        self._expiry_header = None if expiry_header is None else check_name(expiry_header)
        self._clock, self._ids = clock, ids
        self.directory = None if directory is None else open_directory(directory)
        self._passwords = None if passwords is None else PasswordGate(passwords, self.directory, expand)
        bounds, rule = checked_bounds(cache), username_rule(basic_username, self.directory)
        # Last: a new store is made when it is opened.
        self.store = open_store(store)
        self._prefix: str = getattr(self.store, "prefix", DEFAULT_PREFIX)
        self._resolver = Resolver(self.store, self.directory, settings=bounds, basic_username=rule, expand=expand)
        self._last_use = LastUse(self.store, interval=NOTE_SECONDS)
        self._sessions = None if settings is None else self._before(app, settings)
        self.app = self._sessions or app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request: ``self.app`` untouched, or a refusal."""
        self._scrub.clean(environ)
        began = self._clock()
        request_id = (self._trusts and self._believed_id(environ)) or self._ids.new()
        identity, decision, invalid = self._decide(environ, began)
        grant = None if identity is None else identity.grant
        if identity is not None and began >= identity.noted + NOTE_SECONDS:
            self._note(identity, environ, began)
        if self._audit is not None:
            self._record(self._audit, environ, began, grant, decision, invalid, request_id)
        if not isinstance(decision, Allowed):
            return self._refuse(decision, environ, start_response, request_id)
        environ[REQUEST_ID] = request_id
        if identity is None:
            self._annotate_none(environ, invalid)
            return self.app(environ, start_response)
        if self._keep_credential:
            self._show_credential(environ)
        else:
            take_away(environ, self._taken)
        annotate(environ, identity.grant, identity.user)
        if self._expiry_header is not None:
            start_response = announcing(start_response, self._expiry_header, identity.grant.expires)
        return self.app(environ, start_response)

    def refuse(self, denied: Denied, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a refusal that the application decides, as the gate answers its own, and write it to the audit.

        Args:
            denied: why.
            environ: of a request that the gate let through.
            start_response: as the application got it.
        """
        request_id = environ.get(REQUEST_ID) or self._ids.new()
        if self._audit is not None:
            self._record(self._audit, environ, self._clock(), environ.get(GRANT), denied, None, request_id)
        return self._refuse(denied, environ, start_response, request_id)

    def bounds(self, environ: Environ, grant: Grant) -> bool:
        """Say whether something has kept a grant within its limits, at the path of a request that the gate let through.

        Args:
            environ: of the request.
            grant: that it has.
        """
        return self._rules.bounds(environ, grant)

    def close(self, timeout: float = 5.0) -> bool:
        """Write what waits behind the requests: last uses and the audit. A later request takes both up again.

        Args:
            timeout: seconds to take for each.

        Returns:
            Whether all of it was written.
        """
        written = self._last_use.close(timeout)
        return (self._audit is None or self._audit.close(timeout)) and written

    def within(self, outer: Environ, environ: Environ) -> Denied | None:
        """Judge a request that the application makes of itself to answer another: as the same caller, by its own path.

        A credential in it is not read: whoever calls has shown one already.

        Args:
            outer: the environ of the request that is answered; the gate let it through.
            environ: of the inner request; it gets the grant of the outer one in the place of whatever it has.

        Returns:
            None: it may go on.
        """
        self._scrub.clean(environ)
        inherit(environ, outer)
        place = self._rules.place(environ)
        decision = self._rules.decide(place, environ[GRANT], environ) if isinstance(place, Place) else place
        return decision if isinstance(decision, Denied) else None

    def _decide(self, environ: Environ, wall: float) -> Verdict:
        place = self._rules.place(environ)
        # Asked this way round, here and in __call__: Python is slower to say that something is not of a class.
        if not isinstance(place, Place):
            return None, place, None
        if place.ignores and self._rules.ignores(place, environ):
            return None, self._rules.decide(place, None, environ), None
        # A key in a header of its own is not the Authorization header's to be recalled by.
        header = None if self._carriers.keys else environ.get("HTTP_AUTHORIZATION")
        recalled = None if header is None else self._resolver.recall(header, wall)
        if recalled is not None:
            return recalled, self._rules.decide(place, recalled.grant, environ), None
        found = self._identify(environ, header, place, wall)
        if isinstance(found, Denied):
            return None, *self._without(found, place, environ)
        return found, self._rules.decide(place, None if found is None else found.grant, environ), None

    def _identify(self, environ: Environ, header: str | None, place: Place, wall: float) -> Identity | Denied | None:
        carried = take(environ, self._carriers)
        if carried is None and self._sessions is not None:
            return self._sessions.identify(environ, wall)
        if not isinstance(carried, tuple):
            return carried
        found = self._resolver.resolve(carried, wall, header)
        if isinstance(found, Denied) and self._passwords is not None:
            return self._by_password(self._passwords, found, carried, place, wall)
        return found

    def _without(self, denied: Denied, place: Place, environ: Environ) -> tuple[Allowed | Denied, Denied | None]:
        """Go on without a grant where that is asked for, though the credential is bad; never through what binds."""
        if not self._annotates or denied.reason in _BINDING:
            return denied, None
        decision = self._rules.decide(place, None, environ)
        return (denied, None) if isinstance(decision, Denied) else (decision, denied)

    def _by_password(
        self, gate: PasswordGate, denied: Denied, carried: Carried, place: Place, wall: float
    ) -> Identity | Denied:
        presented = credential(carried)
        if isinstance(presented, Denied) or denied.reason is not Reason.UNKNOWN:
            return denied
        admitted = gate.admit(presented, place.path, wall, self._prefix)
        if admitted is None:
            return denied
        return Identity(admitted) if isinstance(admitted, Grant) else admitted

    def _before(self, app: WSGIApplication, settings: SessionSettings) -> Sessions:
        """Put the sessions before the application."""
        if not isinstance(self.store, TokenStore):
            message = f"sessions are made in the store, and {type(self.store).__name__} can only be read"
            raise ConfigurationError(message, setting="accept", hint="leave 'session' out, or give another store")
        endpoint = Endpoint(
            settings,
            issuer=Issuer(self.store, clock=self._clock, audit=self._audit),
            resolver=self._resolver,
            addresses=self._addresses,
            refuse=self._refuse,
            note=self._note,
            clock=self._clock,
            audit=self._audit,
        )
        return Sessions(app, settings, self._resolver, endpoint)

    def _annotate_none(self, environ: Environ, invalid: Denied | None) -> None:
        if invalid is not None and self._keeps_user:
            for key in SERVER_SET:
                environ.pop(key, None)
        annotate_none(environ, invalid)

    def _show_credential(self, environ: Environ) -> None:
        carried = take(environ, self._carriers)
        if isinstance(carried, tuple):
            environ[CREDENTIAL] = Secret(carried[2])

    def _note(self, identity: Identity, environ: Environ, wall: float) -> None:
        identity.noted = wall
        if identity.grant.token_id is not None:
            address = self._addresses.text(environ)
            self._last_use.note(identity.grant.token_id, wall, address, environ.get("HTTP_USER_AGENT"))

    def _believed_id(self, environ: Environ) -> str | None:
        if not self._addresses.is_trusted(environ):
            return None
        return believed(environ, self._prefix, secrets_in(environ, self._carriers))

    def _record(
        self,
        audit: AuditLog,
        environ: Environ,
        began: float,
        grant: Grant | None,
        decision: Allowed | Denied,
        invalid: Denied | None,
        request_id: str,
    ) -> None:
        status = ROWS[decision.reason].status if isinstance(decision, Denied) else None
        if invalid is not None and isinstance(decision, Allowed):
            decision = Allowed(decision.rule, decision.captures, observed=invalid)
        address, seconds = self._addresses.text(environ), self._clock() - began
        method, path = environ.get("REQUEST_METHOD", ""), _text(environ.get("PATH_INFO", ""))
        audit.decision(began, grant, decision, status, address, method, path, request_id, seconds)


def _check(app: object, clock: object, limiter: object) -> None:
    if not callable(app):
        raise ConfigurationError(f"the wrapped application must be callable, not {app!r}", setting="app")
    check_clock(clock)
    if limiter is not None:
        raise ConfigurationError("rate limits are not built yet", setting="limiter", hint="leave it out")


_BINDING = (Reason.UNAVAILABLE, Reason.DENIED)
"""What is no matter of the credential alone, and so refused however lenient the gate is."""
_CHOICES = {"missing": ("reject", "annotate"), "remote_user": ("scrub", "keep"), "raw_target": ("check", "ignore")}
_KINDS: Kinds = {
    "realm": (str,),
    "audit": (AuditLog, str, NoneType),
    "passwords": (PasswordSettings, NoneType),
    "keep_credential": (bool,),
    "scrub": (Scrub, NoneType),
    "session": (SessionSettings, NoneType),
    "accept": (Iterable,),
    "trusted_proxies": (Iterable,),
}


def _session(session: SessionSettings | None, carriers: Carriers) -> SessionSettings | None:
    if session is not None and not carriers.sessions:
        raise ConfigurationError("sessions are not accepted", setting="session", hint="add 'session' to accept")
    return (session or SessionSettings()) if carriers.sessions else None


def _scrub(scrub: Scrub | None, remote_user: str, carriers: Carriers) -> Scrub:
    """What is removed from requests, but for the headers that carry keys, and what the server may say of the user."""
    kept = (*carriers.keys, *(SERVER_SET if remote_user == "keep" else ()))
    return (scrub or Scrub()).keeping(kept)


def _text(path: str) -> str:
    """Give a path as it is judged, for the records; one that is no UTF-8 as the server gave it."""
    try:
        return path if path.isascii() else path.encode("latin-1").decode()
    except UnicodeError:
        return path
