"""Permissions of a Pyramid application: who a token is to its ACLs, and what is answered where it is not enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyramid_site import Site, say_grant

from patmiddleware import Owner, Policy
from patmiddleware.backends.memory import StaticDirectory
from patmiddleware.integrations.pyramid import TokenSecurityPolicy, forbidden

from pyramid.authorization import Allow, Authenticated, Deny, Everyone  # isort: skip  # behind the line that skips
from pyramid.httpexceptions import HTTPForbidden  # isort: skip
from pyramid.request import Request  # isort: skip
from pyramid.response import Response  # isort: skip
from pyramid.security import remember, forget  # isort: skip

POLICY = Policy.from_dict(
    {
        "scopes": {"read": {}, "write": {"includes": ["read"]}},
        "rule": [{"path": "/{project:key}", "scopes": []}, {"path": "/public", "public": True}],
    }
)
DEVELOPER = Owner("alice", groups=frozenset({"developers", "scope:admin"}))
OWNERS = StaticDirectory([DEVELOPER, Owner("bob"), Owner("group:developers"), Owner("system.Everyone")])


class Document:
    """A resource within a root, with an ACL of its own."""

    def __init__(self, acl: list[Any], parent: Any = None) -> None:
        self.__acl__, self.__parent__, self.__name__ = acl, parent, None

    def __getitem__(self, name: str) -> Document:
        if name != "document":
            raise KeyError(name)
        return Document([], self)


def site_with(*acl: Any, **ours: object) -> Site:
    """Give an application with a route and a tree of resources, both guarded by one list of permissions."""
    site = Site({"policy": POLICY, "directory": OWNERS} | ours, root_factory=lambda request: Document(list(acl)))
    site.view("/route", permission="edit")
    site.config.add_view(say_grant, context=Document, name="edit", permission="edit")
    return site


PRINCIPALS: list[tuple[str, str | None, tuple[str, ...], bool]] = [
    ("scope:write", "alice", ("write",), True),
    ("scope:write", "alice", ("read",), False),
    ("scope:read", "alice", ("write",), True),  # which includes it
    ("scope:admin", "alice", ("write",), False),  # a group of that name gives nothing
    ("group:developers", "alice", ("read",), True),
    ("group:developers", "bob", ("read",), False),
    ("group:developers", "group:developers", ("read",), False),  # nor does an owner's name
    ("user:alice", "alice", (), True),
    ("user:alice", "bob", (), False),
    ("alice", "alice", (), False),
    (Authenticated, "bob", (), True),
    (Authenticated, None, (), False),
    (Authenticated, "system.Everyone", (), True),
    (Everyone, None, (), True),
]


@pytest.mark.parametrize("path", ["/route", "/document/edit"])
@pytest.mark.parametrize(("principal", "owner", "scopes", "permitted"), PRINCIPALS)
def test_acls_name_scopes_groups_and_owners(
    principal: str, owner: str | None, scopes: tuple[str, ...], permitted: bool, path: str
) -> None:
    """On resources, inherited through a tree, and on routes; each kind of name with its prefix."""
    site = site_with((Allow, principal, "edit"))

    answer = site.ask(path, None if owner is None else site.token(*scopes, owner=owner))

    assert answer.status == (200 if permitted else 401 if owner is None else 403)


def test_a_deny_holds() -> None:
    """ACLs are read from above."""
    site = site_with((Deny, "group:developers", "edit"), (Allow, Authenticated, "edit"))

    assert site.ask("/route", site.token()).status == 403
    assert site.ask("/route", site.token(owner="bob")).status == 200


def test_a_permission_is_refused_as_the_gate_refuses(tmp_path: Path) -> None:
    """401 with challenges where no token came, 403 where it is not enough; with a request id, and in the audit."""
    path = tmp_path / "audit.jsonl"
    site = site_with((Allow, "scope:write", "edit"), audit=f"file:{path}")

    missing, invalid, short = (site.ask("/route", header) for header in (None, "Bearer wrong", site.token("read")))

    assert [answer.reason for answer in (missing, invalid, short)] == ["missing", "invalid_token", "denied"]
    assert [answer.status for answer in (missing, invalid, short)] == [401, 401, 403]
    assert [value.split()[0] for value in missing.all("WWW-Authenticate")] == ["Bearer", "Basic"]
    assert short.problem["detail"] == "The application does not permit this with this token."
    assert short.all("Cache-Control") == ["no-store"]
    refused = [line for line in site.audited(path) if line["decision"] == "denied"]
    assert [line["request_id"] for line in refused] == [
        answer.problem["request_id"] for answer in (missing, invalid, short)
    ]


@pytest.mark.parametrize("where", ["before", "after", "included", "default"])
def test_the_applications_forbidden_view_answers_for_permissions(where: str) -> None:
    """Wherever in the configuration it stands; and it may call ours for some of what it gets."""

    def own(error: Any, request: Any) -> Any:
        return forbidden(error, request) if request.path == "/route" else Response("own", status=403)

    options: dict[str, Any] = {"exceptionresponse_view": own} if where == "default" else {}
    site = Site({"policy": POLICY}, **options)
    if where == "included":
        site.config.include(lambda config: config.add_forbidden_view(own))
    elif where != "default":
        site.config.add_forbidden_view(own)
        _ = site.config.commit() if where == "before" else None
    site.view("/route", permission="edit")
    site.view("/other", permission="edit")

    assert site.ask("/route").status == 401
    assert site.ask("/other").body == b"own"


class Own:
    """Somebody's own security policy, which knows everybody and permits nothing."""

    def identity(self, request: Any) -> str:
        return "own"

    def authenticated_userid(self, request: Any) -> str:
        return "own"

    def permits(self, request: Any, context: Any, permission: str) -> bool:
        return False


HOWEVER = ["before", "after", "included", "constructed", "autocommitted", "switched off"]


@pytest.mark.parametrize("how", HOWEVER)
def test_the_applications_own_security_policy_stays(how: str) -> None:
    """However it is set; what it does not permit is answered as Pyramid does, since it knows of no token."""
    options: dict[str, Any] = {"security_policy": Own()} if how == "constructed" else {}
    options |= {"autocommit": True} if how == "autocommitted" else {}
    site = Site({"security_policy": "false"} if how == "switched off" else {}, **options)
    if how == "included":
        site.config.include(lambda config: config.set_security_policy(Own()))
    elif how != "constructed":
        site.config.set_security_policy(Own())
    site.view("/who", lambda request: Response(f"{request.identity} {request.grant and request.grant.owner}"))
    site.view("/edit", permission="edit")

    assert site.ask("/who", site.token()).body == b"own alice"
    assert (site.ask("/edit").status, site.ask("/edit").all("WWW-Authenticate")) == (403, [])


class Nobody(Own):
    """One that knows nobody."""

    def identity(self, request: Any) -> None:  # type: ignore[override]
        return None


def test_who_is_nobody_to_another_policy_is_answered_as_pyramid_does() -> None:
    """Whether a token would help is not ours to say."""
    site = Site()
    site.config.set_security_policy(Nobody())
    site.view("/edit", permission="edit")

    assert (site.ask("/edit").status, site.ask("/edit").all("WWW-Authenticate")) == (403, [])


@pytest.mark.filterwarnings("ignore:Authentication and authorization policies:DeprecationWarning")
def test_policies_of_the_older_kind_stay() -> None:
    """Those of Pyramid 1, which Pyramid 2 still takes."""
    from pyramid.authentication import RemoteUserAuthenticationPolicy
    from pyramid.authorization import ACLAuthorizationPolicy

    site = Site({"remote_user": "keep"})
    site.config.set_authentication_policy(RemoteUserAuthenticationPolicy())
    site.config.set_authorization_policy(ACLAuthorizationPolicy())
    site.view("/who", lambda request: Response(f"{request.authenticated_userid}"))

    assert site.ask("/who", REMOTE_USER="carol").body == b"carol"
    assert site.ask("/who", site.token(), REMOTE_USER="carol").body == b"alice"


def test_no_security_policy_is_set_where_it_is_switched_off() -> None:
    """Then Pyramid permits everything, as it does without one; demands of scopes still hold."""
    site = Site({"security_policy": False})
    site.view("/edit", permission="edit")
    site.view("/scoped", require_scope=True)

    assert site.ask("/edit").status == 200
    assert site.ask("/scoped").status == 401


def test_the_identity_is_the_grant() -> None:
    """What Pyramid's requests say of who asks."""
    site = Site()

    def view(request: Any) -> Any:
        assert request.identity is request.grant
        assert (remember(request, "alice"), forget(request)) == ([], [])
        return Response(f"{request.is_authenticated} {request.authenticated_userid}")

    site.view("/", view)

    assert site.ask("/").body == b"False None"
    assert site.ask("/", site.token()).body == b"True alice"


LIMITED = [("/OPS", 200), ("/WEB", 403), ("/unruled", 403), ("/public", 403)]


@pytest.mark.parametrize(("path", "status"), LIMITED)
def test_a_limited_token_has_no_permission_where_nothing_keeps_its_limits(path: str, status: int) -> None:
    """There it is nobody to Pyramid, and the refusal says why."""
    site = Site({"policy": POLICY}, root_factory=lambda request: Document([(Allow, Authenticated, "edit")]))
    site.view("/unruled", permission="edit")
    site.config.add_route("project", "/{project}")
    site.config.add_view(say_grant, route_name="project", permission="edit")
    token = site.token("read", limits={"project": {"OPS"}})

    answer = site.ask(path, token)

    assert answer.status == status
    assert status == 200 or answer.problem["reason"] == "limit"


def test_a_limited_token_sees_as_nobody_what_is_for_everybody() -> None:
    """Where a rule opens a path to all."""
    site = Site({"policy": POLICY})
    site.view("/public", lambda request: Response(f"{request.is_authenticated}"))

    assert site.ask("/public", site.token("read", limits={"project": {"OPS"}})).body == b"False"


def test_a_default_permission_does_not_stand_before_the_refusal() -> None:
    """What answers exceptions needs no permission of its own."""
    site = Site(root_factory=lambda request: Document([(Allow, "scope:read", "view")]))
    site.config.set_default_permission("view")
    site.view("/")

    assert site.ask("/").status == 401
    assert site.ask("/nowhere").status == 404
    assert site.ask("/", site.token("read")).status == 200


def test_who_is_known_by_other_means_is_not_asked_for_a_token() -> None:
    """A policy that builds on ours may know people by their cookies: what they may not do is a 403."""

    class TokensOrCookies(TokenSecurityPolicy):
        def identity(self, request: Any) -> Any:
            return super().identity(request) or request.cookies.get("user")

        def permits(self, request: Any, context: object, permission: str) -> Any:
            return False

    site = Site()
    site.config.set_security_policy(TokensOrCookies())
    site.view("/edit", permission="edit")

    assert [site.ask("/edit", **keys).status for keys in ({}, {"HTTP_COOKIE": "user=bob"})] == [401, 403]
    assert site.ask("/edit", HTTP_COOKIE="user=bob").all("WWW-Authenticate") == []
    assert site.ask("/edit", site.token()).reason == "denied"


@pytest.mark.parametrize("use_tweens", [True, False])
def test_a_subrequest_has_the_permissions_of_its_caller(use_tweens: bool) -> None:
    """None that the caller lacks, and none fewer."""
    site = site_with((Allow, "scope:write", "edit"))

    def outer(request: Any) -> Any:
        try:
            return request.invoke_subrequest(Request.blank("/route"), use_tweens=use_tweens)
        except HTTPForbidden as error:
            return Response(f"refused: {error}")

    site.view("/outer", outer)

    assert site.ask("/outer", site.token("write")).body == b"alice"
    assert site.ask("/outer", site.token("read")).body != b"alice"
    assert site.ask("/outer").body != b"alice"
