"""Who a request of a Pyramid application comes from, and what its token permits."""

from __future__ import annotations

from typing import Any, TypeAlias

from pyramid.authorization import ACLHelper, Authenticated, Everyone
from pyramid.httpexceptions import HTTPForbidden
from pyramid.interfaces import ISecurityPolicy

from ..model import Denied, Grant, Reason
from ..routes import KEY

# Pyramid has no types: its requests and registries are of any.
Untyped: TypeAlias = Any

_DENIED = "The application does not permit this with this token."


class TokenSecurityPolicy:
    """Who a request comes from, and what its token permits.

    Principals, for ACLs: ``scope:write`` for each scope that the token has in effect, ``group:developers`` for each
    group of its owner, ``user:alice``, ``system.Authenticated`` and ``system.Everyone``. No name of a scope, a group or
    an owner can look like a principal of another kind.
    """

    def __init__(self) -> None:
        self._acl = ACLHelper()

    def identity(self, request: Untyped) -> Grant | None:
        """Give the grant; None: nobody."""
        grant: Grant | None = request.registry[KEY].identity(request)
        return grant

    def authenticated_userid(self, request: Untyped) -> str | None:
        """Give the name of the token's owner; None: nobody."""
        grant = self.identity(request)
        return None if grant is None else grant.owner

    def principals(self, request: Untyped) -> list[str]:
        """Give what ACLs may name."""
        grant = self.identity(request)
        if grant is None:
            return [Everyone]
        scopes, groups = (f"scope:{name}" for name in grant.scopes), (f"group:{name}" for name in grant.groups)
        return [Everyone, Authenticated, f"user:{grant.owner}", *scopes, *groups]

    def permits(self, request: Untyped, context: object, permission: str) -> Untyped:
        """Ask the ACLs of a context and of what it stands in."""
        return self._acl.permits(context, self.principals(request), permission)

    def remember(self, request: Untyped, userid: str, **options: object) -> list[tuple[str, str]]:
        """Give no header: a token comes with each request."""
        return []

    def forget(self, request: Untyped, **options: object) -> list[tuple[str, str]]:
        """Give no header."""
        return []


def forbidden(error: Untyped, request: Untyped) -> Untyped:
    """Answer an HTTP exception: a permission that a token does not have as the gate refuses; anything else as it is.

    The view of exceptions that the application has no view for; a forbidden view of its own may call it.
    """
    policy = request.registry.queryUtility(ISecurityPolicy)
    unpermitted = (
        isinstance(error, HTTPForbidden) and error.result is not None
    )  # else a view has raised it, for reasons
    if not unpermitted or not isinstance(policy, TokenSecurityPolicy):
        return error
    if not isinstance(request.identity, Grant | None):  # a policy that builds on ours knows somebody by other means
        return error
    gate = request.registry[KEY]
    denied = gate.lacking(request, frozenset())
    if denied is None:
        denied = Denied(Reason.DENIED, held=request.grant.scopes, detail=_DENIED)
    return gate.refused(denied, request)
