"""The gate before a Pyramid application, and what refuses a request behind it."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pyramid.httpexceptions import HTTPForbidden

from ..annotate import Environ, grant_from
from ..interfaces import AccessPolicy, TokenReader
from ..issuer import Issuer
from ..model import Denied, Grant
from ..reject import explanation
from ..routes import KEY, Route
from .embedding import Embedding
from .pyramid_routes import routes_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

# Pyramid has no types: its requests, registries and routers are of any.
Untyped: TypeAlias = Any

PREFIX = f"{KEY}."
"""What stands before the settings."""
_GATE = f"{PREFIX}pyramid"
"""Where an environ says whose gate let it through: one application may hand its requests to another one."""
_answered: ContextVar[tuple[Gate, Environ] | None] = ContextVar("patmiddleware_answered", default=None)
"""The request that is being answered in this thread, and whose gate let it through."""


class Refused(HTTPForbidden):  # type: ignore[misc]  # untyped
    """A refusal of a view's demand, worded as the gate words its own: 401, 403.

    A view of the application for it, or for ``HTTPForbidden``, may answer in its place.

    Attributes:
        denied: why.
    """

    empty_body = True  # HEAD has none: nothing is to be put in its place

    def __init__(self, denied: Denied, status: str, headers: list[tuple[str, str]], body: Iterable[bytes]) -> None:
        super().__init__(explanation(denied))
        self.denied = denied
        self.status, self.app_iter = status, body
        self.code, self.title = self.status_int, status.partition(" ")[2]
        self.headerlist = headers


class Gate:
    """What ``registry["patmiddleware"]`` is: the gate before a Pyramid application.

    Args:
        registry: the application's.
        settings: without their prefix.

    Attributes:
        embedding: what it stands on, with the gate itself as ``embedding.middleware``.

    Raises:
        ConfigurationError: with all that is wrong with the settings.
    """

    def __init__(self, registry: Untyped, settings: dict[str, object]) -> None:
        self._registry = registry
        self.embedding = Embedding(self._behind, settings, prefix=PREFIX, folder=Path.cwd())
        self._router: Untyped = None
        self._execution_policy: Untyped = None

    @property
    def policy(self) -> AccessPolicy | None:
        """What tokens may do; None: any valid one is enough."""
        return self.embedding.policy

    @property
    def store(self) -> TokenReader:
        """Where tokens are found."""
        return self.embedding.store

    def issuer(self) -> Issuer:
        """Give what makes tokens within the limits of the settings.

        Raises:
            ConfigurationError: when the store can only be read.
        """
        return self.embedding.issuer()

    def routes(self) -> Iterable[Route]:
        """Give every route with a view, in the order that they match, then the views that traversal finds."""
        return routes_of(self._registry, self.embedding.allowed_paths)

    def guard(self, router: Untyped) -> None:
        """Stand before a router.

        The execution policy is the first that a router asks, with nothing but the environ: no request is made yet, no
        tween has run, no transaction begun, and pyramid_retry has read no body. What it gives is called as a WSGI
        application: so the gate itself can stand here, as before any other application, and needs no place among the
        tweens, which an explicit ``pyramid.tweens`` might leave out. It is put here when the router is there, since
        settings may name another execution policy at any time before: that one answers what the gate lets through.
        """
        self._router, self._execution_policy = router, router.execution_policy
        router.execution_policy = lambda environ, router: self.embedding.middleware

    def _behind(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ[_GATE] = self
        outside = _answered.set((self, environ))
        try:
            response: WSGIApplication = self._execution_policy(environ, self._router)
        finally:
            _answered.reset(outside)
        return response(environ, start_response)

    def within(self, environ: Environ) -> Denied | None:
        """Judge a request by the one that it is made for; None: it is the one, or there is none, or it may go on."""
        gate, outer = _answered.get() or (None, environ)
        if gate is not self:
            # In a thread of the application's, or while a body is made: what came through may be a copy by now, to
            # another path. Judging the very request once more says the same.
            outer = dict(environ) if environ.get(_GATE) is self else environ
        if outer is environ:
            return None
        denied = self.embedding.middleware.within(outer, environ)
        environ[_GATE] = self
        return denied

    def grant(self, request: Untyped) -> Grant | None:
        """Give the grant of a request; that of a subrequest is the grant of the request that it is made for."""
        self.within(request.environ)  # whether it may go on is asked when the router has it
        return grant_from(self._own(request.environ))

    def identity(self, request: Untyped) -> Grant | None:
        """Give the grant that a request's permissions come from: None where nothing keeps its token's limits."""
        grant: Grant | None = request.grant
        return None if grant is None or self.lacking(request, frozenset()) is not None else grant

    def lacking(self, request: Untyped, scopes: frozenset[str]) -> Denied | None:
        """Judge a request by the scopes that a view demands; None: it may go on."""
        return self.embedding.lacking(self._own(request.environ), scopes)

    def _own(self, environ: Environ) -> Environ:
        """Give an environ that came through this gate; of any other, nothing."""
        return environ if environ.get(_GATE) is self else {}

    def refused(self, denied: Denied, request: Untyped) -> Refused:
        """Tell the audit of a refusal, and give it as what can be raised, or returned."""
        status, headers, body = request.call_application(
            lambda environ, start_response: self.embedding.refuse(denied, environ, start_response)
        )
        return Refused(denied, status, headers, body)


class Granted:
    """Gives each request its grant when it is made.

    Pyramid binds a method to a request as any other descriptor, and keeps what it gets. For a property it would make a
    class for every single request, which takes longer than the gate itself.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __get__(self, request: Untyped, kind: type | None = None) -> Grant | None:
        return self._gate.grant(request)
