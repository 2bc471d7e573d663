"""What a consumer writes. Only mypy runs this file: it says whether the public types serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Flask, Response
from flask.views import MethodView
from werkzeug.test import Client

from patmiddleware import (
    AccessPolicy,
    Allowed,
    BackendUnavailable,
    CacheSettings,
    Denied,
    Grant,
    Issuer,
    Minted,
    Owner,
    PATMiddleware,
    Policy,
    Reason,
    Request,
    Secret,
    SessionSettings,
    Token,
    TokenReader,
    grant_from,
    open_directory,
    open_store,
)
from patmiddleware.backends.htpasswd import HtpasswdDirectory
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.integrations.flask import Gate, PersonalAccessTokens, Refused, current_grant, require_scope
from patmiddleware.interfaces import Directory, PasswordDirectory, Revisioned, TokenStore
from patmiddleware.testing import (
    DirectoryContract,
    DirectoryOutageContract,
    FakeClock,
    FlakyDirectory,
    FlakyPasswordDirectory,
    FlakyStore,
    FlakyVault,
    OutageContract,
    PasswordDirectoryContract,
    StoreOutageContract,
    TokenReaderContract,
    TokenStoreContract,
    VaultContract,
    VaultOutageContract,
    assert_granted,
    assert_refused,
    sample_token,
    with_token,
)

if TYPE_CHECKING:
    from functools import partial

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Read the grant, as an application does."""
    grant = grant_from(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [grant.owner.encode() if grant is not None else b"nobody"]


def guarded() -> WSGIApplication:
    """Wrap an application with the shipped pieces."""
    store = open_store("sqlite:///tokens.db")
    minted: Minted = Issuer(store).mint(owner="alice", name="ci", scopes={"read"}, lifetime=timedelta(days=90))
    assert minted.token.id not in minted.secret
    policy = Policy.from_file("policy.toml")
    directory = open_directory("static:owners.toml")
    return PATMiddleware(application, store, policy=policy, directory=directory, cache=CacheSettings(lifetime=60.0))


tokens = PersonalAccessTokens()


@require_scope("read")
class Notes(MethodView):
    """Views in a class, guarded as a whole, and by method."""

    def get(self, number: int) -> str:
        """Show one."""
        return str(number)

    @require_scope("write", "admin")
    def delete(self, number: int) -> str:
        """Remove one."""
        return self.get(number)


def flask_application() -> Flask:
    """Write a Flask application."""
    app = Flask(__name__)
    tokens.init_app(app)
    PersonalAccessTokens(Flask("other"), store=MemoryStore(), policy="policy.toml", issuer={"maximum_lifetime": "90d"})
    app.add_url_rule("/notes/<int:number>", view_func=Notes.as_view("notes"))

    @app.get("/me")
    @require_scope()
    async def me() -> str:
        owner: str = current_grant.owner if current_grant else "nobody"
        return owner

    @app.errorhandler(Refused)
    def refused(error: Refused) -> Response:
        reason: Reason = error.denied.reason
        return Response(f"{reason}: {error.description}", error.code)

    gate = app.extensions["patmiddleware"]
    assert isinstance(gate, Gate)
    minted: Minted = gate.issuer().mint(owner="alice", name="ci", scopes={"read"})
    assert [route.scopes for route in gate.routes()] != [frozenset({minted.secret})]
    return app


def with_cookies(store: TokenStore) -> WSGIApplication:
    """Take session cookies as well."""
    session = SessionSettings(lifetime=timedelta(hours=1), path="/jira")
    return PATMiddleware(application, store, accept=("bearer", "session"), session=session)


class Backend:
    """A backend of somebody's own: one method."""

    def find(self, secret: Secret) -> Token | None:
        """Look a token up."""
        if secret.digest == bytes(32):
            raise BackendUnavailable("the service is down")
        return None


class Rules:
    """A policy of somebody's own."""

    def decide(self, grant: Grant | None, request: Request) -> Allowed | Denied:
        """Let everyone read."""
        return Allowed() if request.method == "GET" else Denied(Reason.DENIED)


def of_ones_own() -> WSGIApplication:
    """Wrap an application with one's own pieces."""
    reader: TokenReader = Backend()
    policy: AccessPolicy = Rules()
    return PATMiddleware(application, reader, policy=policy)


class People:
    """A directory of somebody's own, which checks passwords."""

    def find(self, name: str) -> Owner | None:
        """Know one person."""
        return Owner(name=name, groups=frozenset({"dev"})) if name == "alice" else None

    def authenticate(self, name: str, password: str) -> Owner | None:
        """Take one password."""
        return self.find(name) if password == "right" else None


class Counting(Backend):
    """A backend that counts its changes."""

    def revision(self) -> int:
        """Never change."""
        return 1


def seams() -> tuple[Directory, PasswordDirectory, Revisioned]:
    """Each class is what its Protocol asks for, and so are the shipped ones."""
    shipped: PasswordDirectory = HtpasswdDirectory("htpasswd", group_file="groups", scopes={"dev": ["read"]}, at_once=4)
    fake: PasswordDirectory = FlakyPasswordDirectory([Owner(name="alice")], {"alice": "right"})
    PATMiddleware(application, Counting(), directory=shipped)
    PATMiddleware(application, FlakyStore(), directory=fake, clock=FakeClock())
    return FlakyDirectory(), People(), Counting()


def test_reports(mint: partial[Minted], frozen_clock: FakeClock) -> None:
    """Test a view with a token."""
    client = with_token(Client(guarded()), mint(scopes={"read"}, lifetime=timedelta(hours=1)))
    grant: Grant = assert_granted(client.get("/reports"), owner="alice")
    frozen_clock.advance(timedelta(hours=1))
    said = assert_refused(client.get("/reports"), Reason.EXPIRED)
    assert said["request_id"] != grant.token_id


class TestBackend(TokenReaderContract):
    """What the author of a reader writes."""

    def make_reader(self, tokens: Mapping[str, Token]) -> Backend:
        """Give a narrower type than the contract's."""
        return Backend()


class TestBackendDown(OutageContract):
    """The same, while it can't be asked."""

    def make_unreachable(self) -> Backend:
        """Give one that is down."""
        return Backend()


class TestStore(TokenStoreContract):
    """What the author of a store writes."""

    def make_store(self) -> MemoryStore:
        """Give a new one."""
        return MemoryStore()

    def test_mine(self) -> None:
        """Use the contract's own tools."""
        store: TokenStore = self.store_of(sample_token("t1", owner="bob"))
        token: Token | None = self.find(store, "t1")
        assert token == sample_token("t1", owner="bob")


class TestStoreDown(StoreOutageContract):
    """The same, while it can't be asked."""

    def make_unreachable(self) -> FlakyStore:
        """Give one that is down."""
        store = FlakyStore()
        store.down = True
        return store


class TestPeople(PasswordDirectoryContract):
    """What the author of a directory with passwords writes."""

    def make_directory(self, owners: Sequence[Owner]) -> People:
        """Give one with these owners."""
        return People()

    def password_for(self, name: str) -> str:
        """Give a password that can't be chosen."""
        return "right"


class TestNames(DirectoryContract):
    """What the author of a directory writes."""

    facts = ("active",)

    def make_directory(self, owners: Sequence[Owner]) -> FlakyDirectory:
        """Give one with these owners."""
        return FlakyDirectory(owners)


class TestNamesDown(DirectoryOutageContract):
    """The same, while it can't be asked."""

    def make_unreachable(self) -> People:
        """Give one that is down."""
        return People()


class TestVault(VaultContract):
    """What the author of a vault writes."""

    def make_vault(self) -> FlakyVault:
        """Give a new one."""
        return FlakyVault()


class TestVaultDown(VaultOutageContract):
    """The same, while it can't be asked."""

    def make_unreachable(self) -> FlakyVault:
        """Give one that is down."""
        vault = FlakyVault()
        vault.down = True
        return vault
