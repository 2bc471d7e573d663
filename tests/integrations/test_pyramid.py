"""The gate before a Pyramid application: where it stands, and what the application sees behind it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gate import basic, call, request
from pyramid_site import INCLUDED, Site, say_grant

from patmiddleware import ConfigurationError, Grant, Owner, Policy
from patmiddleware.backends.memory import StaticDirectory
from patmiddleware.integrations.pyramid import Refused
from patmiddleware.routes import Routed, routed

from pyramid.config import Configurator  # isort: skip  # where it is missing, the line above has skipped these tests
from pyramid.request import Request  # isort: skip
from pyramid.response import Response  # isort: skip
from pyramid.tweens import EXCVIEW  # isort: skip

RULES = {
    "scopes": {"read": {}, "write": {"includes": ["read"]}},
    "rule": [
        {"path": "/things/**", "methods": ["GET"], "scopes": ["read"]},
        {"path": "/things/**", "methods": ["POST"], "scopes": ["write"]},
        {"id": "closed", "effect": "deny", "path": "/closed/**"},
        {"path": "/home/**", "scopes": [], "networks": ["192.0.2.0/24"]},
    ],
}


def test_pages_go_on_working_without_a_token() -> None:
    """By default it annotates: a view that demands nothing is there for everybody, and sees who asks."""
    site = Site()
    site.view("/")

    assert site.ask("/").body == b"nobody"
    assert site.ask("/", site.token()).body == b"alice"
    assert site.ask("/", "Bearer wrong").body == b"nobody"


def test_settings_come_from_an_ini_file(tmp_path: Path) -> None:
    """Each by its name with a prefix, as text, from the ``[app:main]`` of PasteDeploy."""
    loadwsgi = pytest.importorskip("paste.deploy.loadwsgi")
    (tmp_path / "policy.toml").write_text('[scopes.read]\n[[rule]]\npath = "/**"\nscopes = ["read"]\n')
    (tmp_path / "app.ini").write_text(
        f"[app:main]\nuse = call:{__name__.rpartition('.')[2]}:from_ini\n"
        "patmiddleware.store = file:%(here)s/tokens.json\n"
        "patmiddleware.policy = %(here)s/policy.toml\n"
        "patmiddleware.accept = bearer basic\n"
        "patmiddleware.issuer.maximum_per_owner = 1\n"
    )
    sys.modules[__name__.rpartition(".")[2]] = SimpleNamespace(from_ini=from_ini)  # type: ignore[assignment]

    app = loadwsgi.loadapp(f"config:{tmp_path}/app.ini")

    issuer = app.registry["patmiddleware"].issuer()
    secret = issuer.mint(owner="alice", name="one", scopes={"read"}).secret
    assert call(app, request("/", basic("alice", secret))).body == b"alice"
    with pytest.raises(ValueError, match="may have 1 live token"):
        issuer.mint(owner="alice", name="two", scopes={"read"})


def from_ini(global_config: object, **settings: str) -> Any:
    config = Configurator(settings=settings)
    config.include(INCLUDED)
    config.add_route("home", "/")
    config.add_view(say_grant, route_name="home")
    return config.make_wsgi_app()


WRONG: list[tuple[dict[str, object], str]] = [
    ({}, "patmiddleware.store: there is no store to find tokens in"),
    ({"store": "memory:", "polcy": "p.toml"}, "patmiddleware.polcy: there is no such setting .*'policy'"),
    ({"store": "memory:", "policy": "missing.toml"}, "missing.toml: can't be read"),
    ({"store": "memory:", "accept": "beerer"}, "patmiddleware.accept"),
    ({"store": "memory:", "security_policy": "ture"}, "patmiddleware.security_policy: must be true or false"),
    ({"store": "memory:", "security_policy": ""}, "patmiddleware.security_policy: must be true or false"),
]


@pytest.mark.parametrize(("settings", "said"), WRONG)
def test_a_wrong_setting_is_told_when_it_is_included(settings: dict[str, object], said: str) -> None:
    """By the name that stands in the ini file, and before a request could come."""
    config = Configurator(settings={f"patmiddleware.{name}": value for name, value in settings.items()})

    with pytest.raises(ConfigurationError, match=said):
        config.include(INCLUDED)


def test_a_setting_under_a_misspelt_prefix_is_refused() -> None:
    """Its rules would not hold, and nobody would know."""
    config = Configurator(settings={"patmiddleware.store": "memory:", "patmidleware.policy": "policy.toml"})

    with pytest.raises(ConfigurationError, match=r"patmidleware\.policy: nobody reads this setting"):
        config.include(INCLUDED)


def test_two_gates_are_one_too_many() -> None:
    """Pyramid itself leaves a second ``include`` out; what comes round that is an error."""
    from patmiddleware.integrations.pyramid import includeme

    site = Site()
    site.config.include(INCLUDED)

    with pytest.raises(ConfigurationError, match="already"):
        includeme(site.config)


def test_it_says_what_to_install(tmp_path: Path) -> None:
    """Where Pyramid is missing."""
    (tmp_path / "pyramid.py").write_text("raise ImportError")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {INCLUDED}"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert "ConfigurationError: PAT-E001 this needs Pyramid 2 or newer (pip install 'pyramid>=2')" in done.stderr


FORGED = [
    {"patmiddleware.grant": "alice", "patmiddleware.status": "confirmed"},
    {"REMOTE_USER": "alice"},
    {"HTTP_REMOTE_USER": "alice", "HTTP_X_FORWARDED_USER": "alice", "HTTP_X_REMOTE_USER": "alice"},
]


@pytest.mark.parametrize("forged", FORGED)
def test_nothing_that_a_client_sends_is_taken_for_ours(forged: dict[str, str]) -> None:
    """Not even by a request factory, which is the first of the application to read the environ."""
    seen: list[dict[str, Any]] = []

    class Early(Request):  # type: ignore[misc]  # untyped
        def __init__(self, environ: dict[str, Any]) -> None:
            seen.append(dict(environ))
            super().__init__(environ)

    site = Site(request_factory=Early)
    site.view("/", lambda request: Response(f"{request.grant} {request.remote_user} {request.authenticated_userid}"))

    assert site.ask("/", **forged).body == b"None None None"
    assert [key for key in forged if seen[0].get(key) == forged[key]] == []


def test_the_environ_says_what_it_says_behind_any_gate() -> None:
    """``REMOTE_USER`` is the owner, the credential is gone, and the grant is the same however it is asked for."""
    site = Site()

    def view(request: Any) -> Any:
        assert request.grant is request.environ["patmiddleware.grant"]
        assert isinstance(request.grant, Grant)
        return Response(f"{request.remote_user} {request.authorization} {request.authenticated_userid}")

    site.view("/", view)

    assert site.ask("/", site.token()).body == b"alice None alice"


def outermost(handler: Any, registry: Any) -> Any:
    """A tween that counts what it sees."""

    def tween(request: Any) -> Any:
        registry.settings["seen"].append(request.grant)
        return handler(request)

    return tween


@pytest.mark.parametrize("explicit", [True, False])
def test_no_tween_sees_what_the_gate_refuses(explicit: bool) -> None:
    """Wherever a tween stands, and whether or not ``pyramid.tweens`` lists them all: the gate needs no place there."""
    sys.modules.setdefault(outermost.__module__, sys.modules[__name__])
    name = f"{outermost.__module__}.outermost"
    settings: dict[str, object] = {"seen": []} | ({"pyramid.tweens": f"{name}\n{EXCVIEW}"} if explicit else {})
    site = Site({"policy": Policy.from_dict(RULES)}, settings=settings)
    if not explicit:
        site.config.add_tween(name)
    site.view("/things/one")

    assert site.ask("/things/one", site.token("read"), method="POST").status == 403
    assert settings["seen"] == []
    assert site.ask("/things/one", site.token("read")).status == 200
    assert [grant.owner for grant in settings["seen"]] == ["alice"]  # type: ignore[attr-defined]


class Counting:
    """What a transaction manager tells of what it does."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def newTransaction(self, transaction: Any) -> None:
        self.done.append("begin")

    def beforeCompletion(self, transaction: Any) -> None:
        pass

    def afterCompletion(self, transaction: Any) -> None:
        self.done.append("commit" if transaction.status == "Committed" else "abort")


TRANSACTIONS = [
    ("/closed/one", None, []),  # the gate's own refusal
    ("/things/one", "none", []),
    ("/scoped", None, ["begin", "abort"]),  # the view's: it had to be found
    ("/things/one", "read", ["begin", "commit"]),
    ("/scoped", "read", ["begin", "abort"]),
    ("/scoped", "write", ["begin", "commit"]),
]


@pytest.mark.parametrize(("path", "scope", "done"), TRANSACTIONS)
def test_no_transaction_is_begun_for_what_the_gate_refuses(path: str, scope: str | None, done: list[str]) -> None:
    """With pyramid_tm; and what a view's demand refuses is aborted."""
    pytest.importorskip("pyramid_tm", exc_type=ImportError)
    from transaction import TransactionManager

    manager, counting = TransactionManager(explicit=True), Counting()
    manager.registerSynch(counting)
    site = Site({"policy": Policy.from_dict(RULES)}, settings={"tm.manager_hook": lambda request: manager})
    site.config.include("pyramid_tm")
    site.view("/things/one")
    site.view("/scoped", require_scope="write")

    site.ask(path, None if scope is None else site.token(scope))

    assert counting.done == done


def test_an_execution_policy_of_the_application_answers_behind_the_gate() -> None:
    """Whenever it is set, it never sees what is refused."""
    site = Site({"policy": Policy.from_dict(RULES), "missing": "reject"})
    site.config.commit()
    site.config.set_execution_policy(lambda environ, router: Response(environ["REMOTE_USER"]))

    assert site.ask("/things/one").status == 401
    assert site.ask("/things/one", site.token("read")).body == b"alice"


def test_a_streamed_body_stays_streamed() -> None:
    """The gate hands the application's body on as it is: part by part, and closed at the end."""
    told: list[str] = []

    def parts() -> Iterator[bytes]:
        try:
            for part in (b"one", b"two"):
                told.append(part.decode())
                yield part
        finally:
            told.append("closed")

    site = Site()
    site.view("/", lambda request: Response(app_iter=parts()))

    body: Any = site.app(request("/"), lambda status, headers, exc_info=None: None)
    began = list(told)
    first = next(iter(body))
    body.close()

    assert (began, first, told) == ([], b"one", ["one", "closed"])


def test_the_gate_is_found_in_the_application() -> None:
    """By what asks for its routes, through whatever wraps it."""
    site = Site({"policy": Policy.from_dict(RULES)})

    assert isinstance(site.gate, Routed)
    assert routed(SimpleNamespace(app=site.app)) is site.gate
    assert site.gate.policy is not None


def test_an_application_that_is_mounted_is_judged_by_its_own_path() -> None:
    """``SCRIPT_NAME`` is what stands before it."""
    site = Site({"policy": Policy.from_dict(RULES)})
    site.view("/things/one", lambda request: Response(request.route_path("/things/one")))

    answer = site.ask("/things/one", site.token("read"), SCRIPT_NAME="/api")

    assert (answer.status, answer.body) == (200, b"/api/things/one")
    assert site.ask("/things/one", site.token("other"), SCRIPT_NAME="/api").status == 403


def test_one_application_in_another_has_its_own_tokens() -> None:
    """The grant of the outer one is none in the inner one, which has another store."""
    inner, outer = Site(), Site()
    inner.view("/in")

    def mounted(request: Any) -> Any:
        subrequest = request.copy()
        subrequest.path_info = "/in"
        return inner.app.invoke_subrequest(subrequest)

    outer.view("/out", mounted)
    outer.view("/whole", lambda request: Request.blank("/in").get_response(inner.app))

    assert outer.ask("/out", outer.token()).body == b"nobody"
    assert outer.ask("/whole", outer.token()).body == b"nobody"


def asking(path: str, use_tweens: bool, **options: Any) -> Any:
    """A view that answers with what another one says."""

    def view(request: Any) -> Any:
        subrequest = Request.blank(path, **options)
        return request.invoke_subrequest(subrequest, use_tweens=use_tweens)

    return view


INNER = [
    ("/who", {}, None, (200, b"nobody")),
    ("/who", {}, "read", (200, b"alice")),
    ("/who", {"environ": {"patmiddleware.grant": "forged", "REMOTE_USER": "root"}}, None, (200, b"nobody")),
    ("/who", {"headers": {"X-Forwarded-User": "root", "Remote-User": "root"}}, None, (200, b"nobody")),
    ("/scoped", {}, None, (401, None)),
    ("/scoped", {}, "read", (403, None)),
    ("/scoped", {}, "write", (200, b"alice")),
    ("/things/one", {}, None, (200, b"nobody")),  # annotating: a view that wants a token says so
    ("/things/one", {}, "other", (403, None)),
    ("/things/one", {}, "read", (200, b"alice")),
    ("/things/one", {"method": "POST"}, "read", (403, None)),
    ("/closed/one", {}, "write", (403, None)),
    ("/home", {}, "read", (200, b"alice")),  # from the network that the caller is in
]


@pytest.mark.parametrize("use_tweens", [True, False])
@pytest.mark.parametrize(("path", "options", "scope", "expected"), INNER)
def test_a_subrequest_is_its_callers(
    path: str, options: dict[str, Any], scope: str | None, expected: tuple[int, bytes | None], use_tweens: bool
) -> None:
    """With the grant of the request that it is made for, no more and no less, and the rules judge its own path."""
    site = Site({"policy": Policy.from_dict(RULES)})
    for known in ("/who", "/things/one", "/closed/one", "/home"):
        site.view(known)
    site.view("/scoped", require_scope="write")
    site.view("/outer", asking(path, use_tweens, **options))

    answer = site.ask("/outer", None if scope is None else site.token(scope))

    assert answer.status == expected[0]
    assert expected[1] in (None, answer.body)


def test_a_subrequest_shows_no_token_of_its_own() -> None:
    """A credential in it is not read: a batch of requests does not become several callers."""
    site = Site()
    site.view("/who")
    secret = site.token(owner="bob")
    site.view("/outer", asking("/who", True, headers={"Authorization": secret}))

    assert site.ask("/outer").body == b"nobody"
    assert site.ask("/outer", site.token(owner="alice")).body == b"alice"


@pytest.mark.parametrize("use_tweens", [True, False])
def test_a_subrequest_brings_no_header_that_says_who_asks(use_tweens: bool) -> None:
    """A batch may take its headers from a client: what is removed from requests is removed from theirs."""
    site = Site()
    site.view("/headers", lambda request: Response(" ".join(sorted(request.headers))))
    site.view("/outer", asking("/headers", use_tweens, headers={"X-Forwarded-User": "root", "X-Colour": "red"}))

    assert site.ask("/outer").body == b"Host X-Colour"


def test_a_copy_of_a_request_is_judged_by_its_new_path() -> None:
    """Though it has the raw target of the request that it was copied from."""
    site = Site({"policy": Policy.from_dict(RULES)})
    site.view("/things/one")

    def copying(request: Any) -> Any:
        copy = request.copy()
        copy.path_info = "/things/one"
        return request.invoke_subrequest(copy)

    site.view("/outer", copying)

    assert site.ask("/outer", site.token("read"), RAW_URI="/outer").body == b"alice"
    assert site.ask("/outer", site.token("other"), RAW_URI="/outer").status == 403


def test_what_is_made_without_the_gate_is_nobody() -> None:
    """A script's request, which no gate has let through: no grant; and a demand is an error, not a way in."""
    site = Site()
    site.view("/who")
    site.view("/any", require_scope=True)

    assert site.app.invoke_subrequest(Request.blank("/who", authorization=site.token())).body == b"nobody"
    with pytest.raises(ConfigurationError, match="did not come through the gate"):
        site.app.invoke_subrequest(Request.blank("/any"))


def test_groups_and_inactive_owners_come_from_the_directory() -> None:
    """An object of the settings, as any other of the gate."""
    directory = StaticDirectory([Owner("alice", groups=frozenset({"developers"})), Owner("bob", active=False)])
    site = Site({"directory": directory})
    site.view("/", lambda request: Response(str(request.grant and sorted(request.grant.groups))))

    assert site.ask("/", site.token()).body == b"['developers']"
    assert site.ask("/", site.token(owner="bob")).body == b"None"


def test_a_copy_of_the_environ_keeps_the_grant() -> None:
    """An execution policy that tries again may give each try an environ of its own, as some do."""

    def trying(environ: dict[str, Any], router: Any) -> Any:
        with router.request_context(dict(environ)) as request:
            return router.invoke_request(request)

    site = Site({"policy": Policy.from_dict(RULES)})
    site.config.set_execution_policy(trying)
    site.view("/things/one")

    assert site.ask("/things/one", site.token("read"), RAW_URI="/things/one").body == b"alice"
    assert site.ask("/things/one").body == b"nobody"


@pytest.mark.parametrize("where", ["thread", "body"])
def test_a_subrequest_is_judged_wherever_it_is_made(where: str) -> None:
    """In a thread of the application's own, or while the body is made, a rule holds for the path of a copy as well."""
    rules = [{"id": "closed", "path": "/closed", "effect": "deny"}, {"id": "open", "path": "/who", "public": True}]
    site = Site({"policy": Policy.from_dict({"rule": rules})})

    def ask(outer: Any, path: str) -> bytes:
        inner = outer.copy()
        inner.path_info = path
        try:
            body: bytes = outer.invoke_subrequest(inner).body
        except Refused:
            return b"refused"
        return body

    def view(outer: Any) -> Response:
        if where == "body":
            return Response(app_iter=(ask(outer, path) + b" " for path in ("/closed", "/who")))
        with ThreadPoolExecutor() as pool:
            return Response(b" ".join(pool.map(ask, [outer] * 2, ("/closed", "/who"))))

    site.view("/outer", view)
    site.view("/closed")
    site.view("/who")

    assert site.ask("/outer", site.token()).body.split() == [b"refused", b"alice"]
