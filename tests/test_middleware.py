"""The gate: its options, what it does to an environ, what it lets through, and what it tells the records."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from gate import Answer, Environ, Spy, basic, bearer, call, request

from patmiddleware import (
    Allowed,
    BackendUnavailable,
    CacheSettings,
    ConfigurationError,
    Denied,
    Grant,
    Issuer,
    Owner,
    PATMiddleware,
    Policy,
    Reason,
    Secret,
    SessionSettings,
    Token,
    grant_from,
)
from patmiddleware.annotate import Scrub
from patmiddleware.audit import AuditLog
from patmiddleware.backends.memory import MemoryStore, StaticDirectory
from patmiddleware.model import Request
from patmiddleware.passwords import PasswordSettings
from patmiddleware.testing import FakeClock, FlakyDirectory, FlakyStore
from patmiddleware.tokens import mint_secret

DAY = timedelta(days=1)
RULES: Mapping[str, Any] = {
    "scopes": {"read": {}, "write": {"includes": ["read"]}},
    "rule": [
        {"id": "open", "path": "/open/**", "public": True},
        {"id": "hook", "path": "/hook/**", "public": True, "credentials": "ignore"},
        {"id": "read", "path": "/things/**", "methods": ["GET"], "scopes": ["read"]},
        {"id": "write", "path": "/things/**", "methods": ["POST"], "scopes": ["write"]},
        {"id": "project", "path": "/project/{project:key}/**", "scopes": ["read"]},
        {"id": "any", "path": "/any/**", "scopes": []},
        {"id": "inside", "path": "/inside/**", "scopes": [], "networks": ["10.0.0.0/8"]},
        {"id": "forbidden", "effect": "deny", "path": "/any/forbidden/**"},
        {"id": "developers", "effect": "require", "path": "/any/developers/**", "groups": ["developers"]},
        {"id": "at-home", "effect": "require", "path": "/any/home/**", "networks": ["10.0.0.0/8"]},
    ],
}
POLICY = Policy.from_dict(RULES)
ALICE = Owner(name="alice", groups=frozenset({"testers"}), mail="alice@example.org")


@dataclass
class World:
    """A store with tokens, and the gates over it."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: FlakyStore = field(default_factory=FlakyStore)
    spy: Spy = field(default_factory=Spy)
    gates: list[PATMiddleware] = field(default_factory=list)

    def mint(self, owner: str = "alice", **options: Any) -> str:
        """Give the secret of a new token."""
        options = {"name": "ci", "scopes": {"read"}, "lifetime": DAY} | options
        return Issuer(self.store, clock=self.clock).mint(owner=owner, **options).secret

    def dead(self) -> Mapping[Reason, str]:
        """Give a secret for each way in which a token can be dead; an hour passes."""
        issuer = Issuer(self.store, clock=self.clock)
        expired = issuer.mint(owner="alice", name="old", lifetime=timedelta(minutes=1))
        revoked = issuer.mint(owner="alice", name="lost", lifetime=DAY)
        issuer.revoke(revoked.token.id)
        self.clock.advance(3600)
        return {Reason.UNKNOWN: mint_secret(), Reason.EXPIRED: expired.secret, Reason.REVOKED: revoked.secret}

    def gate(self, app: Any = None, **options: Any) -> PATMiddleware:
        """Give a gate with these options."""
        self.gates.append(PATMiddleware(app or self.spy, self.store, **({"clock": self.clock} | options)))
        return self.gates[-1]

    def close(self) -> None:
        """Have everything written, so that no thread is left."""
        self.store.down = False
        assert all(gate.close() for gate in self.gates)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


# --- Options


def app(environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
    """An application that is never called."""
    raise AssertionError("nothing is to be served here")


class PasswordOwners(StaticDirectory):
    """A directory that knows one password."""

    def authenticate(self, name: str, password: str) -> Owner | None:
        return self.find(name) if password == "right" else None


PASSWORDS = PasswordSettings(
    paths=("/any/**",), owners=frozenset({"alice"}), scopes=frozenset({"read"}), until=datetime(2030, 1, 1, tzinfo=UTC)
)

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"store": 5}, "store", "int"),
    ({"store": MemoryStore}, "store", "MemoryStore"),
    ({"store": "nonsense"}, "store", "kind"),
    ({"store": "memry:"}, "store", "memry"),
    ({"policy": object()}, "policy", "decide"),
    ({"policy": Policy}, "policy", "decide"),
    ({"policy": 5}, "policy", "decide"),
    ({"directory": 5}, "directory", "int"),
    ({"directory": StaticDirectory}, "directory", "StaticDirectory"),
    ({"directory": "statik:x"}, "directory", "statik"),
    ({"accept": "bearer"}, "accept", "list"),
    ({"accept": ()}, "accept", "empty"),
    ({"accept": None}, "accept", "NoneType"),
    ({"accept": ("cookie",)}, "accept", "cookie"),
    ({"accept": ("Bearer",)}, "accept", "Bearer"),
    ({"session": SessionSettings()}, "session", "not accepted"),
    ({"session": {"secure": False}}, "session", "SessionSettings"),
    ({"accept": ("header:",)}, "accept", "API key"),
    ({"accept": ("header:X Key",)}, "accept", "API key"),
    ({"accept": ("header:Authorization",)}, "accept", "API key"),
    ({"accept": ("header:Cookie",)}, "accept", "API key"),
    ({"basic_username": "exact"}, "basic_username", "exact"),
    ({"basic_username": None}, "basic_username", "None"),
    ({"basic_username": ["match"]}, "basic_username", "match"),
    ({"basic_username": "mail"}, "basic_username", "directory"),
    ({"realm": "a\r\nSet-Cookie: x"}, "realm", "ASCII"),
    ({"realm": "caf\u00e9"}, "realm", "ASCII"),
    ({"realm": None}, "realm", "str"),
    ({"missing": "maybe"}, "missing", "annotate"),
    ({"missing": None}, "missing", "annotate"),
    ({"errors": "xml"}, "errors", "xml"),
    ({"errors": {"jira": True}}, "errors", "jira"),
    ({"cache": {"tokens": 5}}, "cache", "CacheSettings"),
    ({"cache": CacheSettings(poll=1.5)}, "cache.poll", "1.5"),
    ({"cache": CacheSettings(poll=-1)}, "cache.poll", "-1"),
    ({"cache": CacheSettings(tokens=-1)}, "cache.tokens", "-1"),
    ({"cache": CacheSettings(misses=1.5)}, "cache.misses", "1.5"),  # type: ignore[arg-type]
    ({"cache": CacheSettings(lifetime=float("nan"))}, "cache.lifetime", "nan"),
    ({"cache": CacheSettings(miss_lifetime=-0.1)}, "cache.miss_lifetime", "-0.1"),
    ({"cache": CacheSettings(directory_lifetime="60")}, "cache.directory_lifetime", "60"),  # type: ignore[arg-type]
    ({"cache": CacheSettings(stale_while_error=True)}, "cache.stale_while_error", "True"),
    ({"limiter": object()}, "limiter", "not built yet"),
    ({"audit": 5}, "audit", "AuditLog"),
    ({"audit": "ftp:log"}, "audit", "ftp:log"),
    ({"passwords": {"paths": ["/**"]}}, "passwords", "PasswordSettings"),
    ({"passwords": PASSWORDS}, "passwords", "directory"),
    ({"passwords": PASSWORDS, "directory": StaticDirectory()}, "passwords", "directory"),
    (
        {"passwords": replace(PASSWORDS, paths=("no-slash",)), "directory": PasswordOwners()},
        "passwords.paths",
        "no-slash",
    ),
    ({"trusted_proxies": "10.0.0.0/8"}, "trusted_proxies", "list"),
    ({"trusted_proxies": None}, "trusted_proxies", "NoneType"),
    ({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies", "host bits"),
    ({"trusted_proxies": ["proxy.example.org"]}, "trusted_proxies", "proxy.example.org"),
    ({"remote_user": "yes"}, "remote_user", "keep"),
    ({"keep_credential": "no"}, "keep_credential", "bool"),
    ({"raw_target": "never"}, "raw_target", "ignore"),
    ({"clock": 5}, "clock", "callable"),
    ({"scrub": ["X-Employee"]}, "scrub", "Scrub"),
    ({"expiry_header": ""}, "expiry_header", "header"),
    ({"expiry_header": "X Expires"}, "expiry_header", "header"),
    ({"expiry_header": "X-Expires\r\n"}, "expiry_header", "header"),
    ({"expiry_header": 5}, "expiry_header", "header"),
    ({"app": None}, "app", "callable"),
]


@pytest.mark.parametrize(("options", "setting", "words"), WRONG, ids=[f"{case[1]}-{case[2]}" for case in WRONG])
def test_wrong_option_is_named(options: dict[str, Any], setting: str, words: str) -> None:
    """Each wrong value is refused when the gate is built, with the setting and what is wrong with it."""
    options = {"app": app, "store": "memory:"} | options

    with pytest.raises(ConfigurationError) as caught:
        PATMiddleware(options.pop("app"), options.pop("store"), **options)

    assert [problem.setting for problem in caught.value.problems] == [setting]
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "options", [options for options, setting, _ in WRONG if setting not in ("store", "app")], ids=" ".join
)
def test_wrong_option_opens_no_store(options: dict[str, Any], tmp_path: Path) -> None:
    """Nothing is made where something is wrong."""
    with pytest.raises(ConfigurationError):
        PATMiddleware(app, f"file:{tmp_path / 'tokens.jsonl'}", **options)

    assert list(tmp_path.iterdir()) == []


def test_all_wrong_bounds_are_named_at_once() -> None:
    """Every bound of the cache is judged, not only the first."""
    with pytest.raises(ConfigurationError) as caught:
        PATMiddleware(app, "memory:", cache=CacheSettings(tokens=-1, poll=2, lifetime=-1))

    assert [problem.setting for problem in caught.value.problems] == ["cache.tokens", "cache.lifetime", "cache.poll"]


def test_every_bad_trusted_proxy_is_named() -> None:
    """Two bad networks are two problems."""
    with pytest.raises(ConfigurationError) as caught:
        PATMiddleware(app, "memory:", trusted_proxies=["a", "10.0.0.0/8", "b"])

    assert len(caught.value.problems) == 2


def own_rule(username: str, owner: Owner) -> bool:
    return True


RIGHT: list[dict[str, Any]] = [
    {},
    {"store": MemoryStore()},
    {"policy": None},
    {"policy": POLICY},
    {"directory": StaticDirectory([ALICE])},
    {"accept": ["bearer"]},
    {"accept": iter(("basic", "token"))},
    {"accept": ("header:X-API-Key", "header:X-Other")},
    {"accept": ("session",)},
    {"accept": ("bearer", "session"), "session": SessionSettings(path="/jira")},
    {"basic_username": "casefold"},
    {"basic_username": "ignore"},
    {"basic_username": own_rule},
    {"basic_username": "mail", "directory": StaticDirectory([ALICE])},
    {"realm": 'a "quoted" \\ realm'},
    {"realm": ""},
    {"missing": "annotate"},
    {"errors": "jira"},
    {"errors": lambda denied, status, request_id: ("text/plain", b"no")},
    {"cache": CacheSettings(tokens=0, misses=0, lifetime=0, miss_lifetime=0, directory_lifetime=0, poll=0)},
    {"cache": CacheSettings(lifetime=float("inf"), poll=1, stale_while_error=3600)},
    {"limiter": None},
    {"audit": "stdout"},
    {"audit": AuditLog(io.StringIO())},
    {"passwords": PASSWORDS, "directory": PasswordOwners([ALICE])},
    {"trusted_proxies": ["10.0.0.0/8", "2001:db8::/32", "unix"]},
    {"remote_user": "keep"},
    {"keep_credential": True},
    {"raw_target": "ignore"},
    {"clock": FakeClock()},
    {"scrub": Scrub(["X-Employee"])},
    {"expiry_header": "X-Token-Expires"},
]


@pytest.mark.parametrize("options", RIGHT, ids=" ".join)
def test_right_option_is_taken(options: dict[str, Any]) -> None:
    """Each value that DESIGN names builds a gate, which asks for a credential."""
    options = {"store": "memory:"} | options

    gate = PATMiddleware(Spy(), options.pop("store"), **options)

    assert call(gate, request("/things/1")).status == (200 if options.get("missing") == "annotate" else 401)


def test_options_are_keyword_only() -> None:
    """Nothing but the application and the store is taken by its place."""
    with pytest.raises(TypeError):
        PATMiddleware(app, "memory:", POLICY)  # type: ignore[misc]


def test_building_starts_nothing(tmp_path: Path) -> None:
    """No thread and no file is there before the first request."""
    before = threading.enumerate()

    PATMiddleware(app, "memory:", audit=str(tmp_path / "audit.log"), policy=POLICY)

    assert threading.enumerate() == before
    assert list(tmp_path.iterdir()) == []


def test_policy_is_read_from_a_path(world: World, tmp_path: Path) -> None:
    """A path, as text or as a Path, is a policy's file."""
    file = tmp_path / "policy.toml"
    file.write_text('[scopes.read]\n[[rule]]\nid = "r"\npath = "/things/**"\nscopes = ["read"]\n')
    secret = world.mint()

    for path in (file, str(file)):
        answers = [call(world.gate(policy=path), request(to, bearer(secret))).status for to in ("/things/1", "/other")]
        assert answers == [200, 403]


def test_bad_policy_file_is_refused_when_built(tmp_path: Path) -> None:
    """A policy that can't be read, or makes no sense, stops the start."""
    bad = tmp_path / "policy.toml"
    bad.write_text('[[rule]]\nid = "r"\npaht = "/"\n')

    for path in (bad, tmp_path / "none.toml"):
        with pytest.raises(ConfigurationError):
            PATMiddleware(app, "memory:", policy=path)


# --- What the application sees


@pytest.mark.parametrize(
    ("accept", "auth_type"),
    [("bearer", "Bearer"), ("basic", "Basic"), ("token", "Token"), ("header:X-API-Key", "ApiKey")],
)
def test_confirmed_request_is_annotated(world: World, accept: str, auth_type: str) -> None:
    """Whatever carried the token, the application sees who it is, and no credential any more."""
    secret = world.mint()
    keys = {
        "bearer": {"HTTP_AUTHORIZATION": bearer(secret)},
        "basic": {"HTTP_AUTHORIZATION": basic("alice", secret)},
        "token": {"HTTP_AUTHORIZATION": f"Token {secret}"},
        "header:X-API-Key": {"HTTP_X_API_KEY": secret},
    }[accept]

    call(world.gate(accept=[accept]), request("/", **keys))

    environ = world.spy.environ
    assert environ["REMOTE_USER"] == "alice"
    assert environ["AUTH_TYPE"] == auth_type
    assert environ["patmiddleware.status"] == "confirmed"
    assert environ["patmiddleware.grant"].scheme == auth_type
    assert environ["patmiddleware.grant"].username == ("alice" if accept == "basic" else None)
    assert not environ.keys() & {"HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "patmiddleware.denied"}


def test_grant_says_all_that_the_token_entitles_to(world: World) -> None:
    """Scopes come expanded, groups from the directory, the rest from the record."""
    secret = world.mint(scopes={"write"}, networks=["192.0.2.0/24"], limits={"project": ["OPS"]}, name="deploy")
    gate = world.gate(policy=POLICY, directory=StaticDirectory([ALICE]))

    call(gate, request("/project/OPS/1", bearer(secret)))

    grant = grant_from(world.spy.environ)
    assert grant is not None
    assert grant.scopes == {"read", "write"}
    assert grant.groups == {"testers"}
    assert grant.limits == {"project": {"OPS"}}
    assert [str(network) for network in grant.networks] == ["192.0.2.0/24"]
    assert grant.expires == world.clock.now + DAY
    assert (grant.owner, grant.token_name) == ("alice", "deploy")


@pytest.mark.parametrize("owner", ["Zo\u00eb", "\u65e7\u53cb", "\U0001f600"])
def test_owner_is_a_native_string(world: World, owner: str) -> None:
    """A name that is not ASCII is given as PEP 3333 has it: its UTF-8 bytes, each as one character."""
    call(world.gate(), request("/", basic(owner, world.mint(owner))))

    assert world.spy.environ["REMOTE_USER"].encode("latin-1").decode() == owner
    assert grant_from(world.spy.environ).owner == owner  # type: ignore[union-attr]


def test_public_request_is_annotated_as_absent(world: World) -> None:
    """Where no token is needed and none came, the application is told so."""
    call(world.gate(policy=POLICY), request("/open/x"))

    environ = world.spy.environ
    assert (environ["patmiddleware.status"], environ["patmiddleware.grant"]) == ("absent", None)
    assert not environ.keys() & {"REMOTE_USER", "AUTH_TYPE", "patmiddleware.denied", "patmiddleware.credential"}


def test_public_request_with_a_token_is_confirmed(world: World) -> None:
    """A good token is told of where none was needed."""
    call(world.gate(policy=POLICY), request("/open/x", bearer(world.mint())))

    assert world.spy.environ["patmiddleware.status"] == "confirmed"


def test_public_request_with_a_bad_token_is_refused(world: World) -> None:
    """A bad credential is refused where none was needed, as everywhere."""
    answer = call(world.gate(policy=POLICY), request("/open/x", bearer(mint_secret())))

    assert (answer.status, world.spy.environs) == (401, [])


def test_ignored_credential_goes_on(world: World) -> None:
    """Where a public rule says so, a credential is neither read nor removed, good or bad."""
    for header in ("Signature abc", bearer(world.mint()), "nonsense,"):
        world.spy.environs.clear()

        call(world.gate(policy=POLICY), request("/hook/x", header))

        assert world.spy.environ["HTTP_AUTHORIZATION"] == header
        assert world.spy.environ["patmiddleware.status"] == "absent"
    assert world.store.calls["find"] == 0


def test_kept_credential(world: World) -> None:
    """With ``keep_credential`` the header stays, and the secret stands beside it, hidden in its repr."""
    secret = world.mint()

    call(world.gate(keep_credential=True), request("/", basic("alice", secret)))

    environ = world.spy.environ
    assert environ["patmiddleware.credential"] == Secret(secret)
    assert environ["HTTP_AUTHORIZATION"] == basic("alice", secret)
    assert secret not in repr(environ["patmiddleware.credential"])


def test_credential_of_a_key_header_is_kept(world: World) -> None:
    """The secret of an API key stands there as well."""
    secret = world.mint()

    call(world.gate(keep_credential=True, accept=["header:X-API-Key"]), request("/", HTTP_X_API_KEY=secret))

    assert world.spy.environ["patmiddleware.credential"] == Secret(secret)
    assert world.spy.environ["HTTP_X_API_KEY"] == secret


def test_header_stays_until_it_is_accepted(world: World) -> None:
    """What was let through as invalid is left for the application to look at."""
    header = bearer(mint_secret())

    call(world.gate(missing="annotate"), request("/", header))

    assert world.spy.environ["HTTP_AUTHORIZATION"] == header


# --- Request ids


ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@pytest.mark.parametrize(
    ("peer", "sent", "is_believed"),
    [
        ("10.1.2.3", "abc-1", True),
        ("10.1.2.3", "a" * 128, True),
        ("unix:", "abc-1", True),
        ("", "abc-1", True),
        ("192.0.2.7", "abc-1", False),
        ("10.1.2.3", "", False),
        ("10.1.2.3", "a" * 129, False),
        ("10.1.2.3", "a b", False),
        ("10.1.2.3", "a\n", False),
        ("10.1.2.3", "one,two", False),
        ("10.1.2.3", "\u00e9", False),
    ],
)
def test_request_id_is_believed_of_trusted_proxies(world: World, peer: str, sent: str, is_believed: bool) -> None:
    """``X-Request-ID`` counts only from a trusted peer, and only where it is safe to log; else there is a new one."""
    # A list that can be gone through once only is as good as any.
    gate = world.gate(trusted_proxies=iter(["10.0.0.0/8", "unix"]))

    call(gate, request("/", bearer(world.mint()), REMOTE_ADDR=peer, HTTP_X_REQUEST_ID=sent))

    found = world.spy.environ["patmiddleware.request_id"]
    assert (found == sent) is is_believed
    assert ID.fullmatch(found)


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ({"HTTP_AUTHORIZATION": bearer("jira-pat")}, "jira-pat"),
        ({"HTTP_AUTHORIZATION": f" {bearer('jira-pat')} "}, "job.jira-pat.7"),
        ({"HTTP_AUTHORIZATION": basic("alice", "jira-pat")}, "jira-pat"),
        ({"HTTP_AUTHORIZATION": basic("alice", "jira-pats")}, basic("alice", "jira-pats").partition(" ")[2]),
        ({"HTTP_AUTHORIZATION": "Token jira-pat"}, "jira-pat"),
        ({"HTTP_AUTHORIZATION": "jira-pat"}, "jira-pat"),
        ({"HTTP_X_API_KEY": "jira-pat"}, "jira-pat"),
        ({"HTTP_X_API_KEY": "one", "HTTP_AUTHORIZATION": bearer("jira-pat")}, "jira-pat"),
        ({}, mint_secret("own", lambda _: "0")),
    ],
)
def test_request_id_is_no_secret(keys: dict[str, str], sent: str) -> None:
    """A trusted proxy's id in which a credential of the request stands, or a token of ours, gives way to a new one."""
    store, audit = MemoryStore(prefix="own"), io.StringIO()
    log = AuditLog(audit)
    gate = PATMiddleware(app, store, accept=("bearer", "header:X-API-Key"), trusted_proxies=["10.0.0.0/8"], audit=log)

    answer = call(gate, request("/", REMOTE_ADDR="10.1.2.3", HTTP_X_REQUEST_ID=sent, **keys))

    assert gate.close()
    assert ID.fullmatch(answer.problem["request_id"])
    assert sent not in answer.body.decode() + audit.getvalue()


def test_nobody_is_trusted_by_default(world: World) -> None:
    """Without ``trusted_proxies`` no request id is taken from outside."""
    answer = call(world.gate(), request("/", REMOTE_ADDR="127.0.0.1", HTTP_X_REQUEST_ID="abc"))

    assert answer.problem["request_id"] != "abc"


def test_request_ids_differ(world: World) -> None:
    """No two requests have the same id."""
    gate = world.gate(policy=POLICY)

    for _ in range(100):
        call(gate, request("/open/x"))

    assert len({environ["patmiddleware.request_id"] for environ in world.spy.environs}) == 100


# --- Scrubbing


FORGED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "patmiddleware.grant",
            "patmiddleware.status",
            "patmiddleware.denied",
            "patmiddleware.request_id",
            "patmiddleware.credential",
            "patmiddleware.of_the_future",
            "REMOTE_USER",
            "AUTH_TYPE",
            "REMOTE_IDENT",
            "HTTP_REMOTE_USER",
            "HTTP_X_FORWARDED_USER",
            "HTTP_X_FORWARDED_EMAIL",
            "HTTP_X_FORWARDED_GROUPS",
            "HTTP_X_FORWARDED_PREFERRED_USERNAME",
            "HTTP_X_FORWARDED_ACCESS_TOKEN",
            "HTTP_X_REMOTE_USER",
            "HTTP_X_REMOTE_GROUP",
            "HTTP_X_WEBAUTH_USER",
            "HTTP_X_AUTH_REQUEST_USER",
            "HTTP_X_AUTHENTICATED_USER",
            "HTTP_X_IDENTITY_STATUS",
            "HTTP_X_USER",
            "HTTP_X_USER_ID",
            "HTTP_X_ROLES",
            "HTTP_X_IS_ADMIN_PROJECT",
            "HTTP_X_SERAPH_LOGINREASON",
            "HTTP_X_AUSERNAME",
            "HTTP_X_HTTP_METHOD_OVERRIDE",
            # What a server makes of odd names.
            "HTTP_X-FORWARDED-USER",
            "HTTP_x_forwarded_user",
            "HTTP_AUTHORIZATION ",
        ),
        "forged",
    ),
}

SCENES: list[tuple[str, dict[str, Any], dict[str, Any], int]] = [
    ("public", {"policy": POLICY}, {"path": "/open/x"}, 200),
    ("ignored", {"policy": POLICY}, {"path": "/hook/x", "authorization": "Bearer x,y"}, 200),
    ("anonymous", {"missing": "annotate"}, {}, 200),
    ("invalid, let through", {"missing": "annotate"}, {"authorization": "Bearer nonsense"}, 200),
    ("preflight", {"policy": POLICY}, {"path": "/things/1", "method": "OPTIONS"}, 401),
    ("missing", {}, {}, 401),
    ("malformed", {}, {"authorization": "Bearer a,b"}, 400),
    ("unsupported", {}, {"authorization": "Digest x"}, 401),
    ("ambiguous", {"policy": POLICY}, {"path": "/open/../x"}, 400),
    ("method", {"policy": POLICY}, {"path": "/open/x", "method": "get"}, 400),
    ("confirmed", {}, {"authorization": "right"}, 200),
    ("forbidden", {"policy": POLICY}, {"path": "/any/forbidden", "authorization": "right"}, 403),
    ("kept", {"remote_user": "keep", "policy": POLICY}, {"path": "/open/x"}, 200),
]


@pytest.mark.parametrize(("options", "asked", "status"), [scene[1:] for scene in SCENES], ids=[s[0] for s in SCENES])
def test_nothing_forged_is_left_on_any_path(
    world: World, options: dict[str, Any], asked: dict[str, Any], status: int
) -> None:
    """Whatever the answer, what a downstream could take for identity is gone, but for what we say ourselves."""
    asked = {"path": "/", **asked}
    if asked.get("authorization") == "right":
        asked["authorization"] = bearer(world.mint())
    ours_to_keep = ("REMOTE_USER", "AUTH_TYPE") if options.get("remote_user") == "keep" else ()
    environ = request(**asked) | {key: value for key, value in FORGED.items() if key not in ours_to_keep}

    answer = call(world.gate(**options), environ)

    assert answer.status == status
    assert [key for key in FORGED if environ.get(key) == "forged"] == []


def test_scrub_list_is_extended_and_cut(world: World) -> None:
    """A deployment's own names are removed too, and those that it needs stay."""
    gate = world.gate(scrub=Scrub(["X-Employee", "X-Corp-*"], keep=["X-Forwarded-Email"]), policy=POLICY)
    keys = {"HTTP_X_EMPLOYEE": "a", "HTTP_X_CORP_ID": "b", "HTTP_X_FORWARDED_EMAIL": "c", "HTTP_X_FORWARDED_USER": "d"}

    call(gate, request("/open/x", **keys))

    assert world.spy.environ.keys() & keys.keys() == {"HTTP_X_FORWARDED_EMAIL"}


def test_header_of_a_key_is_not_scrubbed(world: World) -> None:
    """A key may stand in a header whose name looks like identity, where that is asked for."""
    answer = call(world.gate(accept=["header:X-User-Token"]), request("/", HTTP_X_USER_TOKEN=world.mint()))

    assert answer.status == 200


# --- remote_user


SINGLE_SIGN_ON = {"REMOTE_USER": "bob", "AUTH_TYPE": "Negotiate"}


def test_user_of_the_server_is_scrubbed_by_default(world: World) -> None:
    """What stands in ``REMOTE_USER`` is not believed unless that is asked for."""
    call(world.gate(missing="annotate"), request("/", **SINGLE_SIGN_ON))

    assert not world.spy.environ.keys() & SINGLE_SIGN_ON.keys()


def test_user_of_the_server_is_kept_where_no_credential_came(world: World) -> None:
    """With ``keep`` single sign-on goes on beside the gate, but never by a header."""
    call(world.gate(missing="annotate", remote_user="keep"), request("/", HTTP_REMOTE_USER="eve", **SINGLE_SIGN_ON))

    environ = world.spy.environ
    assert {key: environ.get(key) for key in SINGLE_SIGN_ON} == SINGLE_SIGN_ON
    assert environ["patmiddleware.status"] == "absent"
    assert "HTTP_REMOTE_USER" not in environ


def test_user_of_the_server_yields_to_the_token(world: World) -> None:
    """Where a token came, its owner is who it is."""
    call(world.gate(remote_user="keep"), request("/", bearer(world.mint()), **SINGLE_SIGN_ON))

    assert (world.spy.environ["REMOTE_USER"], world.spy.environ["AUTH_TYPE"]) == ("alice", "Bearer")


def test_user_of_the_server_goes_with_a_bad_credential(world: World) -> None:
    """A bad credential that is let through does not become somebody by single sign-on."""
    gate = world.gate(missing="annotate", remote_user="keep")

    call(gate, request("/", bearer(mint_secret()), **SINGLE_SIGN_ON))

    assert not world.spy.environ.keys() & SINGLE_SIGN_ON.keys()
    assert world.spy.environ["patmiddleware.status"] == "invalid"


# --- Annotate


def test_annotate_lets_a_missing_credential_through(world: World) -> None:
    """Nothing came: the application decides."""
    call(world.gate(missing="annotate", policy=POLICY), request("/things/1"))

    assert world.spy.environ["patmiddleware.status"] == "absent"


@pytest.mark.parametrize("reason", [Reason.UNKNOWN, Reason.EXPIRED, Reason.REVOKED])
def test_annotate_lets_a_dead_token_through(world: World, reason: Reason) -> None:
    """A dead token is shown as invalid, with what is wrong with it, and never as somebody."""
    secret = world.dead()[reason]

    call(world.gate(missing="annotate", policy=POLICY), request("/things/1", bearer(secret)))

    environ = world.spy.environ
    assert environ["patmiddleware.denied"].reason is reason
    assert (environ["patmiddleware.status"], environ["patmiddleware.grant"]) == ("invalid", None)
    assert "REMOTE_USER" not in environ


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Bearer a,b", Reason.MALFORMED),
        ("Bearer", Reason.MALFORMED),
        ("Basic !", Reason.MALFORMED),
        ("Bearer " + "a" * 4097, Reason.MALFORMED),
        ("Digest x", Reason.UNSUPPORTED),
        (basic("mallory", "%s"), Reason.OWNER_MISMATCH),
        (bearer("pat_mistyped"), Reason.UNKNOWN),
    ],
    ids=lambda value: str(value)[:20],
)
def test_annotate_lets_a_bad_credential_through(world: World, header: str, reason: Reason) -> None:
    """What is malformed, unsupported or somebody else's is shown as invalid as well."""
    if reason is Reason.OWNER_MISMATCH:
        header = basic("mallory", world.mint())

    call(world.gate(missing="annotate", policy=POLICY), request("/things/1", header))

    assert world.spy.environ["patmiddleware.status"] == "invalid"
    assert world.spy.environ["patmiddleware.denied"].reason is reason


def test_annotate_lets_an_inactive_owner_through_as_invalid(world: World) -> None:
    """An owner who is not active is nobody."""
    gate = world.gate(missing="annotate", directory=StaticDirectory([replace(ALICE, active=False)]))

    call(gate, request("/", bearer(world.mint())))

    assert world.spy.environ["patmiddleware.denied"].reason is Reason.OWNER_INACTIVE


def test_annotate_lets_unmentioned_paths_through(world: World) -> None:
    """Where no rule says anything, the application decides, with a grant and without."""
    gate, secret = world.gate(missing="annotate", policy=POLICY), world.mint()

    statuses = [call(gate, request("/other", header)).status for header in (None, bearer(secret), "Bearer a,b")]

    assert statuses == [200, 200, 200]
    assert [environ["patmiddleware.status"] for environ in world.spy.environs] == ["absent", "confirmed", "invalid"]


@pytest.mark.parametrize(
    ("path", "method", "credential", "status"),
    [
        ("/any/forbidden/x", "GET", "none", 401),
        ("/any/forbidden/x", "GET", "bad", 401),
        ("/any/forbidden/x", "GET", "good", 403),
        ("/any/developers/x", "GET", "none", 401),
        ("/any/developers/x", "GET", "bad", 401),
        ("/any/developers/x", "GET", "good", 403),
        ("/any/home/x", "GET", "none", 401),
        ("/any/home/x", "GET", "good", 403),
        ("/inside/x", "GET", "none", 401),
        ("/inside/x", "GET", "good", 403),
        ("/things/1", "POST", "good", 403),  # too small a scope is nothing wrong with the credential
        ("/things/1", "DELETE", "good", 403),  # the path is mentioned
        ("/things/1", "GET", "elsewhere", 403),  # a token's own networks
        ("/other", "GET", "elsewhere", 403),
        ("/other", "GET", "limited", 403),
        ("/a//b", "GET", "none", 400),
        ("/things/1", "get", "none", 400),
    ],
)
def test_annotate_still_refuses(world: World, path: str, method: str, credential: str, status: int) -> None:
    """Denies, networks, failed requires, limits, scopes and odd paths bind."""
    header = {
        "none": None,
        "bad": bearer(mint_secret()),
        "good": bearer(world.mint()),
        "elsewhere": bearer(world.mint(networks=["10.0.0.0/8"])),
        "limited": bearer(world.mint(limits={"project": ["OPS"]})),
    }[credential]

    answer = call(world.gate(missing="annotate", policy=POLICY), request(path, header, method=method))

    assert (answer.status, world.spy.environs) == (status, [])


def test_annotate_is_no_way_round_an_outage(world: World) -> None:
    """A store that is down is 503, and never an anonymous request."""
    gate, secret = world.gate(missing="annotate"), world.mint()
    world.store.down = True

    answer = call(gate, request("/", bearer(secret)))

    assert (answer.status, answer.reason, world.spy.environs) == (503, "unavailable", [])


def test_annotate_is_no_way_round_a_directory_that_is_down(world: World) -> None:
    """The same holds for the directory."""
    directory = FlakyDirectory([ALICE])
    directory.down = True

    answer = call(world.gate(missing="annotate", directory=directory), request("/", bearer(world.mint())))

    assert (answer.status, world.spy.environs) == (503, [])


# --- Without a policy


def test_any_valid_token_is_enough_without_a_policy(world: World) -> None:
    """Whatever the method and the path, however odd."""
    gate, secret = world.gate(), world.mint(scopes=())

    statuses = [
        call(gate, request(path, bearer(secret), method=m)).status
        for path in ("/", "/a/../b", "")
        for m in ("GET", "get")
    ]

    assert statuses == [200] * 6


def test_limits_without_a_policy_are_refused(world: World) -> None:
    """Nothing could keep the limits."""
    answer = call(world.gate(), request("/", bearer(world.mint(limits={"project": ["OPS"]}))))

    assert (answer.status, answer.reason) == (403, "limit")


@pytest.mark.parametrize("policy", [None, POLICY], ids=["none", "ours"])
def test_networks_of_a_token_are_asked_before_any_policy(world: World, policy: Policy | None) -> None:
    """A token from the wrong network is refused for that, with the right challenge: none."""
    gate, secret = world.gate(policy=policy), world.mint(networks=["10.0.0.0/8"])

    outside = call(gate, request("/any/forbidden", bearer(secret)))
    inside = call(gate, request("/any/x", bearer(secret), REMOTE_ADDR="10.0.0.1"))

    assert (outside.status, outside.reason, outside.all("WWW-Authenticate")) == (403, "network", [])
    assert inside.status == 200


def test_address_counts_from_trusted_proxies_only(world: World) -> None:
    """``X-Forwarded-For`` of anybody else changes nothing."""
    secret = world.mint(networks=["10.0.0.0/8"])
    keys = {"HTTP_X_FORWARDED_FOR": "10.0.0.1", "REMOTE_ADDR": "192.0.2.1"}

    statuses = [
        call(world.gate(trusted_proxies=trusted), request("/", bearer(secret), **keys)).status
        for trusted in ((), ["192.0.2.0/24"])
    ]

    assert statuses == [403, 200]


# --- A policy of the user's own


class OwnPolicy:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[tuple[Grant | None, Request]] = []

    def decide(self, grant: Grant | None, request: Request) -> Any:
        self.asked.append((grant, request))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_own_policy_is_asked(world: World) -> None:
    """It hears who asks, the method, the judged path, the address and the host."""
    policy = OwnPolicy(Allowed("mine"))

    answer = call(world.gate(policy=policy), request("/caf\u00c3\u00a9", bearer(world.mint()), method="PATCH"))

    [(grant, asked)] = policy.asked
    assert answer.status == 200
    assert grant is not None
    assert grant.scopes == {"read"}
    assert (asked.method, asked.path, str(asked.address), asked.host) == (
        "PATCH",
        "/caf\u00e9",
        "192.0.2.7",
        "api.example.org",
    )


@pytest.mark.parametrize("path", ["/a//b", "/a/../b", "/a;b", "no-slash", "/%2e%2e"])
def test_own_policy_never_hears_of_an_ambiguous_path(world: World, path: str) -> None:
    """What two programs could read differently is refused before."""
    policy = OwnPolicy(Allowed())

    answer = call(world.gate(policy=policy), request(path, bearer(world.mint())))

    assert (answer.status, answer.reason, policy.asked) == (400, "ambiguous_path", [])


@pytest.mark.parametrize(
    "answer",
    [
        ValueError("broken"),
        None,
        True,
        "allowed",
        Allowed,
        Denied,
        Denied("denied"),  # type: ignore[arg-type]
        Denied(Reason.INSUFFICIENT_SCOPE, needed="read"),  # type: ignore[arg-type]
        Denied(Reason.INSUFFICIENT_SCOPE, needed=None),  # type: ignore[arg-type]
        Denied(Reason.INSUFFICIENT_SCOPE, needed={"read", 7}),  # type: ignore[arg-type]
        Denied(Reason.NO_RULE, held={7}),  # type: ignore[arg-type]
        Denied(Reason.NO_RULE, rule=b"mine"),  # type: ignore[arg-type]
        Allowed(observed="nothing"),  # type: ignore[arg-type]
    ],
)
@pytest.mark.parametrize("errors", ["problem", "jira"])
def test_own_policy_that_gives_no_decision_refuses(
    world: World, caplog: pytest.LogCaptureFixture, errors: str, answer: object
) -> None:
    """Whatever is neither Allowed nor Denied, or could not be told to a client, is a refusal, and the log says so."""
    gate = world.gate(policy=OwnPolicy(answer), errors=errors)

    statuses = [call(gate, request("/", header)).status for header in (bearer(world.mint()), None)]

    assert (statuses, world.spy.environs) == ([403, 401], [])
    assert "so the request was refused" in caplog.text


@pytest.mark.parametrize("missing", ["reject", "annotate"])
def test_own_policy_that_can_not_be_asked_is_an_outage(
    world: World, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whose policy asks somebody else may say that nothing can be said now: 503, with a token or none, logged once."""
    gate = world.gate(policy=OwnPolicy(BackendUnavailable(f"the policy sleeps ({missing})")), missing=missing)

    statuses = [call(gate, request("/", header)).status for header in (bearer(world.mint()), None)]

    assert (statuses, world.spy.environs) == ([503, 503], [])
    assert caplog.messages == [f"requests are answered with 503: the policy sleeps ({missing})"]


def test_own_policy_that_gives_no_decision_refuses_in_annotate(world: World) -> None:
    """A broken policy lets nobody through to an application that decides itself."""
    gate = world.gate(policy=OwnPolicy(None), missing="annotate")

    statuses = [call(gate, request("/", header)).status for header in (bearer(world.mint()), None)]

    assert statuses == [403, 401]


@pytest.mark.parametrize(
    ("reason", "with_token", "without"),
    [
        (Reason.MISSING, 401, 401),
        (Reason.NO_RULE, 403, 401),
        (Reason.DENIED, 403, 401),
        (Reason.INSUFFICIENT_SCOPE, 403, 401),
        (Reason.NETWORK, 403, 401),
        (Reason.GROUP, 403, 401),
        (Reason.LIMIT, 403, 401),
        (Reason.UNAVAILABLE, 503, 503),
    ],
)
def test_refusals_of_an_own_policy(world: World, reason: Reason, with_token: int, without: int) -> None:
    """Who shows no credential is asked for one, whatever it was that did not hold."""
    gate = world.gate(policy=OwnPolicy(Denied(reason, "mine")))

    answers = [call(gate, request("/", header)) for header in (bearer(world.mint()), None)]

    assert [answer.status for answer in answers] == [with_token, without]
    assert (answers[1].reason == "missing") is (without == 401)


@pytest.mark.parametrize(
    ("reason", "with_token", "without"),
    [(Reason.MISSING, 401, 200), (Reason.NO_RULE, 200, 200), (Reason.DENIED, 403, 401), (Reason.NETWORK, 403, 401)],
)
def test_refusals_of_an_own_policy_in_annotate(world: World, reason: Reason, with_token: int, without: int) -> None:
    """What only lacks a credential or a rule is let through, a deny is not."""
    gate = world.gate(policy=OwnPolicy(Denied(reason)), missing="annotate")

    statuses = [call(gate, request("/", header)).status for header in (bearer(world.mint()), None)]

    assert statuses == [with_token, without]


@pytest.mark.parametrize("limits", [{}, {"project": ["OPS"]}])
def test_annotate_keeps_limits_where_a_policy_of_the_users_has_no_rule(
    world: World, limits: Mapping[str, list[str]]
) -> None:
    """Nobody has tied such a request to what the token is limited to."""
    gate = world.gate(missing="annotate", policy=OwnPolicy(Denied(Reason.NO_RULE)))

    answer = call(gate, request("/x", bearer(world.mint(limits=limits))))

    assert answer.status == (403 if limits else 200)


# --- Directories


@pytest.mark.parametrize(
    ("owners", "reason"),
    [
        ([], Reason.OWNER_INACTIVE),
        ([replace(ALICE, active=False)], Reason.OWNER_INACTIVE),
        ([replace(ALICE, name="Alice")], Reason.OWNER_INACTIVE),
    ],
    ids=["unknown", "inactive", "other case"],
)
def test_owner_must_be_known_and_active(world: World, owners: list[Owner], reason: Reason) -> None:
    """A token of somebody who left is no good; the client hears no more than of any other bad token."""
    log = io.StringIO()
    audit = AuditLog(log)

    answer = call(world.gate(directory=StaticDirectory(owners), audit=audit), request("/", bearer(world.mint())))

    audit.close()
    assert (answer.status, answer.reason) == (401, "invalid_token")
    assert json.loads(log.getvalue())["reason"] == reason


class OddDirectory:
    """A directory that does what it must not."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def find(self, name: str) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("fault", [BackendUnavailable("down"), ValueError("broken"), True, {"name": "alice"}], ids=repr)
def test_directory_that_gives_no_answer_is_an_outage(world: World, fault: object) -> None:
    """What is neither an owner nor None is not known."""
    answer = call(world.gate(directory=OddDirectory(fault)), request("/", bearer(world.mint())))

    assert (answer.status, answer.reason) == (503, "unavailable")


def test_directory_that_gives_somebody_else_is_not_believed(world: World) -> None:
    """One name, byte for byte."""
    gate = world.gate(directory=OddDirectory(replace(ALICE, name="ALICE")))

    assert call(gate, request("/", bearer(world.mint()))).status == 401


class OddStore:
    """A store that does what it must not."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def find(self, secret: Secret) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("fault", [BackendUnavailable("down"), KeyError("x"), True, {"id": "1"}], ids=repr)
@pytest.mark.parametrize("missing", ["reject", "annotate"])
def test_store_that_gives_no_answer_is_an_outage(missing: Any, fault: object) -> None:
    """What is neither a token nor None is not known, and says nothing against the token."""
    answer = call(PATMiddleware(app, OddStore(fault), missing=missing), request("/", bearer(mint_secret())))

    assert (answer.status, answer.all("Retry-After")) == (503, ["5"])


# --- basic_username


@pytest.mark.parametrize(
    ("rule", "username", "passes"),
    [
        ("match", "alice", True),
        ("match", "Alice", False),
        ("match", "", False),
        ("match", "alice ", False),
        ("match", "alice@example.org", False),
        ("casefold", "ALICE", True),
        ("casefold", "\u017fbob", False),
        ("casefold", "bob", False),
        ("mail", "alice", True),
        ("mail", "alice@example.org", True),
        ("mail", "ALICE@example.org", False),
        ("mail", "", False),
        ("ignore", "anybody", True),
        ("ignore", "", True),
        (lambda username, owner: username == f"svc-{owner.name}", "svc-alice", True),
        (lambda username, owner: username == f"svc-{owner.name}", "alice", False),
        (lambda username, owner: "alice" in owner.groups, "alice", False),
        (lambda username, owner: username, "alice", False),  # truthy is not True
        (lambda username, owner: 1 / 0, "alice", False),
    ],
)
def test_user_name_of_basic(world: World, rule: Any, username: str, passes: bool) -> None:
    """The user name must be the owner's, as the option has it; whatever can't be judged is no match."""
    gate = world.gate(basic_username=rule, directory=StaticDirectory([ALICE]))

    answer = call(gate, request("/", basic(username, world.mint())))

    assert answer.status == (200 if passes else 401)


def test_an_empty_mail_address_is_nobodys(world: World) -> None:
    """A directory may have it as an empty text, and a client may send no name."""
    gate = world.gate(basic_username="mail", directory=StaticDirectory([replace(ALICE, mail="")]))

    answer = call(gate, request("/", basic("", world.mint())))

    assert answer.status == 401


def test_user_name_rule_is_not_asked_for_bearer(world: World) -> None:
    """Only Basic has a user name."""
    answer = call(world.gate(basic_username=lambda username, owner: False), request("/", bearer(world.mint())))

    assert answer.status == 200


def test_colon_belongs_to_the_password(world: World) -> None:
    """The first colon parts, as RFC 7617 has it, so a token is never found behind a second one."""
    answer = call(world.gate(basic_username="ignore"), request("/", basic("alice:x", world.mint())))

    assert answer.status == 401


# --- Two credentials


@pytest.mark.parametrize(
    "keys",
    [
        {"HTTP_AUTHORIZATION": "Bearer %s", "HTTP_X_API_KEY": "%s"},
        {"HTTP_AUTHORIZATION": "Bearer %s,Bearer %s"},
        {"HTTP_AUTHORIZATION": "Bearer %s, Basic eDp5"},
        {"HTTP_X_API_KEY": "%s", "HTTP_X_OTHER": "%s"},
        {"HTTP_X_API_KEY": "%s,%s"},
        {"HTTP_X_API_KEY": "%s", "HTTP_AUTHORIZATION": "Digest x"},
    ],
)
def test_two_credentials_are_malformed(world: World, keys: dict[str, str]) -> None:
    """At most one credential may come, however good both are."""
    secret = world.mint()
    gate = world.gate(accept=["bearer", "basic", "header:X-API-Key", "header:X-Other"])

    answer = call(gate, request("/", **{key: value.replace("%s", secret) for key, value in keys.items()}))

    assert (answer.status, answer.reason) == (400, "malformed")


def test_query_and_form_carry_no_credential(world: World) -> None:
    """A token in the address is none (RFC 9700, section 4.3.2)."""
    secret = world.mint()

    answer = call(world.gate(), request("/", QUERY_STRING=f"access_token={secret}", HTTP_COOKIE=f"token={secret}"))

    assert (answer.status, answer.reason) == (401, "missing")


# --- Two gates, one behind the other


def test_inner_gate_believes_no_outer_one(world: World) -> None:
    """What the outer gate said is scrubbed, and its credential is gone: the inner gate sees nobody."""
    secret = world.mint()

    refused = call(world.gate(world.gate()), request("/", bearer(secret)))
    call(world.gate(world.gate(missing="annotate")), request("/", bearer(secret)))

    assert (refused.status, refused.reason) == (401, "missing")
    assert world.spy.environ["patmiddleware.status"] == "absent"
    assert "REMOTE_USER" not in world.spy.environ


def test_inner_gate_judges_a_kept_credential_itself(world: World) -> None:
    """With ``keep_credential`` outside, both judge the same token, each by its own policy."""
    secret = world.mint()
    gate = world.gate(world.gate(policy=POLICY), keep_credential=True)

    statuses = [call(gate, request(path, bearer(secret))).status for path in ("/things/1", "/other")]

    assert statuses == [200, 403]
    assert "patmiddleware.credential" not in world.spy.environ


# --- When the token expires


def test_expiry_header(world: World) -> None:
    """The client hears when the token in use expires, as RFC 3339 has it."""
    gate = world.gate(expiry_header="X-Token-Expires")

    answer = call(gate, request("/", bearer(world.mint())))

    assert answer.all("X-Token-Expires") == ["2026-04-16T12:00:00Z"]
    assert answer.all("Content-Type") == ["text/plain"]


def test_expiry_header_at_the_end_of_the_calendar(world: World) -> None:
    """A token that expires in another zone's last second is good, and the header says the last second of UTC."""
    never = datetime.max.replace(tzinfo=timezone(-timedelta(hours=12)))
    world.store.add(Token(id="t", owner="alice", expires=never), Secret("far"))

    answer = call(world.gate(expiry_header="X-Token-Expires"), request("/", bearer("far")))

    assert answer.all("X-Token-Expires") == ["9999-12-31T23:59:59Z"]


def test_no_expiry_header(world: World) -> None:
    """There is none for a token that never expires, for nobody, on a refusal, and by default."""
    gate = world.gate(expiry_header="X-Token-Expires", policy=POLICY)
    forever, mortal = world.mint(lifetime=timedelta.max), world.mint()

    answers = [
        call(gate, request("/any/x", bearer(forever))),
        call(gate, request("/open/x")),
        call(gate, request("/other", bearer(mortal))),
        call(world.gate(), request("/", bearer(mortal))),
    ]

    assert [answer.status for answer in answers] == [200, 200, 403, 200]
    assert [answer.all("X-Token-Expires") for answer in answers] == [[]] * 4


def test_expiry_header_leaves_the_rest_of_the_answer_alone(world: World) -> None:
    """``write()`` and a second ``start_response`` with ``exc_info`` work as without it."""

    def odd_app(environ: Environ, start_response: Callable[..., Callable[[bytes], object]]) -> Iterable[bytes]:
        start_response("200 OK", [("X-A", "1")])
        try:
            raise ValueError
        except ValueError as error:
            write = start_response("500 Oops", [("X-B", "2")], (type(error), error, error.__traceback__))
        write(b"written ")
        return [b"given"]

    answer = call(world.gate(odd_app, expiry_header="X-E"), request("/", bearer(world.mint())))

    assert (answer.status, answer.body) == (500, b"written given")
    assert answer.headers == [("X-B", "2"), ("X-E", "2026-04-16T12:00:00Z")]


# --- Audit


class Lines:
    """An audit log in memory."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.log = AuditLog(self._stream)

    def read(self) -> list[dict[str, Any]]:
        assert self.log.close()
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def text(self) -> str:
        return self._stream.getvalue()


@pytest.fixture
def lines() -> Iterator[Lines]:
    lines = Lines()
    yield lines
    lines.log.close()


def test_audit_of_an_admitted_request(world: World, lines: Lines) -> None:
    """The line says who, with what, from where, what for, and by which rule."""
    gate = world.gate(policy=POLICY, audit=lines.log)

    call(gate, request("/things/1", basic("alice", world.mint())))

    [line] = lines.read()
    token = world.spy.environ["patmiddleware.grant"].token_id
    told = {key: line[key] for key in ("decision", "status", "reason", "who", "token", "token_name", "scheme")}
    assert told == {
        "decision": "allowed",
        "status": None,
        "reason": None,
        "who": "alice",
        "token": token,
        "token_name": "ci",
        "scheme": "Basic",
    }
    assert [line[key] for key in ("address", "method", "path", "rule")] == ["192.0.2.7", "GET", "/things/1", "read"]
    assert line["time"] == "2026-04-15T12:00:00.123Z"
    assert line["request_id"] == world.spy.environ["patmiddleware.request_id"]
    assert line["ms"] >= 0


def test_audit_of_refusals(world: World, lines: Lines) -> None:
    """Each refusal has its fine reason, and the id that the client heard."""
    dead = world.dead()
    good, limited = world.mint(), world.mint(limits={"project": ["OPS"]})
    gate = world.gate(policy=POLICY, audit=lines.log)
    asked = [
        ("missing", request("/things/1")),
        ("missing", request("/any/forbidden")),
        ("malformed", request("/things/1", "Bearer a,b")),
        ("unsupported", request("/things/1", "Digest x")),
        *((str(reason), request("/things/1", bearer(secret))) for reason, secret in dead.items()),
        ("owner_mismatch", request("/things/1", basic("bob", good))),
        ("ambiguous_path", request("/things//1", bearer(good))),
        ("method", request("/things/1", bearer(good), method="get")),
        ("insufficient_scope", request("/things/1", bearer(good), method="POST")),
        ("no_rule", request("/nothing", bearer(good))),
        ("denied", request("/any/forbidden", bearer(good))),
        ("group", request("/any/developers", bearer(good))),
        ("network", request("/inside/x", bearer(good))),
        ("limit", request("/project/WEB/1", bearer(limited))),
    ]

    answers = [call(gate, environ) for _, environ in asked]

    found = lines.read()
    assert [line["reason"] for line in found] == [reason for reason, _ in asked]
    assert [line["status"] for line in found] == [answer.status for answer in answers]
    assert [line["request_id"] for line in found] == [answer.problem["request_id"] for answer in answers]
    assert {line["decision"] for line in found} == {"denied"}


def test_audit_of_an_outage(world: World, lines: Lines) -> None:
    """An outage is told as one."""
    world.store.down = True

    call(world.gate(audit=lines.log), request("/", bearer(mint_secret())))

    [line] = lines.read()
    assert (line["reason"], line["status"], line["who"]) == ("unavailable", 503, None)


def test_audit_of_what_was_let_through(world: World, lines: Lines) -> None:
    """A bad credential that annotate let through is told with its reason, as observed."""
    call(world.gate(audit=lines.log, missing="annotate"), request("/", bearer(world.dead()[Reason.EXPIRED])))

    [line] = lines.read()
    assert (line["decision"], line["reason"], line["status"]) == ("observed", "expired", None)


def test_audit_of_an_observing_policy(world: World, lines: Lines) -> None:
    """What would have been refused is let through, and told with the scope that it lacked."""
    gate = world.gate(policy=Policy.from_dict({**RULES, "observe": True}), audit=lines.log)

    answer = call(gate, request("/things/1", bearer(world.mint()), method="POST"))

    [line] = lines.read()
    assert answer.status == 200
    assert (line["decision"], line["reason"], line["needed"]) == ("observed", "insufficient_scope", ["write"])


@pytest.mark.parametrize(("path_info", "told"), [("/caf\u00c3\u00a9", "/caf\u00e9"), ("/\u00ff", "/\u00ff"), ("", "")])
def test_audit_tells_the_path_that_was_judged(world: World, lines: Lines, path_info: str, told: str) -> None:
    """A path is told as text; one that is no UTF-8 as the server gave it."""
    call(world.gate(policy=POLICY, audit=lines.log), request(path_info, bearer(world.mint())))

    [line] = lines.read()
    assert line["path"] == told


def test_audit_by_address(world: World, tmp_path: Path) -> None:
    """An address in place of an AuditLog is opened by the gate, and closed with it."""
    file = tmp_path / "audit.log"
    gate = world.gate(audit=f"file:{file}")

    call(gate, request("/"))

    assert gate.close()
    assert json.loads(file.read_text())["reason"] == "missing"


def test_no_secret_gets_anywhere(world: World, lines: Lines, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a token, good or bad, nor its digest stands in an audit line, a log, an answer or the environ."""
    caplog.set_level(logging.DEBUG)
    gate = world.gate(policy=POLICY, audit=lines.log, directory=PasswordOwners([ALICE]), passwords=PASSWORDS)
    good, bad, foreign = world.mint(), mint_secret(), "foreign-token-0123456789"
    environs, answers = [], []
    for secret in (good, bad, foreign, good[:-1] + "!"):
        for header in (bearer(secret), basic("alice", secret), f"Bearer {secret},{secret}", f"Digest {secret}", secret):
            for path in ("/things/1", "/any/forbidden", "/open/x", "/a//b"):
                environ = request(path, header)
                answers.append(call(gate, environ))
                environs.append({key: value for key, value in environ.items() if key != "HTTP_AUTHORIZATION"})

    world.store.down = True
    answers.append(call(world.gate(audit=lines.log), request("/", bearer(bad))))

    lines.read()
    shown = f"{lines.text} {caplog.text} {answers} {environs} {gate!r}"
    for secret in (good, bad, foreign):
        digest = sha256(secret.encode()).digest()
        assert [text for text in (secret, secret[:12], digest.hex(), repr(digest)) if text in shown] == []


# --- The application is called untouched


def test_environ_and_start_response_are_the_same_objects(world: World) -> None:
    """The gate hands on what it was called with, and gives back what it was given."""
    seen: list[object] = []
    result: list[bytes] = [b"ok"]

    def watching(environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
        seen.extend((environ, start_response))
        return result

    environ = request("/", bearer(world.mint()))

    def start_response(status: str, headers: object, exc_info: object = None) -> Any:
        raise AssertionError

    given = world.gate(watching)(environ, start_response)

    assert given is result
    assert seen[0] is environ
    assert seen[1] is start_response


def test_input_is_left_unread(world: World) -> None:
    """The body is the application's, also where the request is refused."""
    body = io.BytesIO(b"access_token=x")
    gate = world.gate(policy=POLICY)

    for header in (bearer(world.mint(scopes={"write"})), None):
        call(gate, request("/things/1", header, method="POST", **{"wsgi.input": body, "CONTENT_LENGTH": "14"}))

    assert (body.tell(), body.closed) == (0, False)


def test_exceptions_of_the_application_go_on(world: World) -> None:
    """What it raises is not the gate's to handle."""

    def broken(environ: Environ, start_response: object) -> Iterable[bytes]:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        call(world.gate(broken), request("/", bearer(world.mint())))


def test_close_is_left_to_the_server(world: World) -> None:
    """The iterable's ``close`` is not called by the gate, nor is anything read ahead."""

    class Body:
        def __init__(self) -> None:
            self.calls: list[str] = []

        def __iter__(self) -> Iterator[bytes]:
            self.calls.append("iter")
            return iter([b"ok"])

        def close(self) -> None:
            self.calls.append("close")

    body = Body()

    world.gate(lambda environ, start_response: body)(request("/", bearer(world.mint())), lambda *args: print)

    assert body.calls == []


def test_refused_request_never_reaches_the_application(world: World) -> None:
    """A refusal is answered by the gate alone."""
    for header in (None, "Bearer a,b", "Digest x", bearer(mint_secret())):
        call(world.gate(), request("/", header))

    assert world.spy.environs == []


def test_head_of_a_refusal_has_the_length_and_no_body(world: World) -> None:
    """HEAD is answered as GET, but without the body."""
    body = call(world.gate(), request("/")).body

    answer = call(world.gate(), request("/", method="HEAD"))

    assert answer.body == b""
    assert 0 <= int(answer.all("Content-Length")[0]) - len(body) < 8  # request ids are not all of one length


def test_client_hears_the_same_of_every_bad_token(world: World) -> None:
    """Unknown, expired, revoked, inactive and another's: the same bytes, but for the request id."""
    good, dead = world.mint(), world.dead()
    directory = StaticDirectory([ALICE, Owner(name="gone", active=False)])
    gate = world.gate(directory=directory)
    headers = [
        *map(bearer, dead.values()),
        basic("bob", good),
        bearer(world.mint("gone")),
        bearer(world.mint("nobody")),
    ]

    answers = {heard(call(gate, request("/", header))) for header in headers}

    assert len(answers) == 1


def heard(answer: Answer) -> str:
    problem = {key: value for key, value in answer.problem.items() if key != "request_id"}
    headers = [(key, value) for key, value in answer.headers if key != "Content-Length"]
    return repr((answer.status, headers, problem))


@pytest.mark.parametrize("errors", ["problem", "jira"])
def test_body_of_a_refusal_says_the_request_id(world: World, lines: Lines, errors: str) -> None:
    """In every shape, so that it can be found in the audit log."""
    answer = call(world.gate(errors=errors, audit=lines.log), request("/"))

    assert lines.read()[0]["request_id"] in answer.body.decode()


def test_own_body_of_a_refusal(world: World) -> None:
    """A callable gives type and bytes; status and challenge stay ours."""
    gate = world.gate(errors=lambda denied, status, request_id: ("text/x-own", f"{denied.reason} {status}".encode()))

    answer = call(gate, request("/"))

    assert (answer.status, answer.body, answer.all("Content-Type")) == (401, b"missing 401", ["text/x-own"])
    assert len(answer.all("WWW-Authenticate")) == 2


# --- Behind the requests


def test_last_use_is_written_when_the_gate_closes(world: World) -> None:
    """When, from where and by what a token was last used, without a control character."""
    secret = world.mint()
    gate = world.gate()

    call(gate, request("/", bearer(secret), HTTP_USER_AGENT="curl/8\r\n"))

    assert gate.close()
    [token] = world.store.list()
    assert token.last_used is not None
    assert (token.last_used.at, token.last_used.address, token.last_used.agent) == (
        world.clock.now,
        "192.0.2.7",
        "curl/8",
    )


def test_last_use_is_written_once_a_minute(world: World) -> None:
    """However many requests come, in however many spellings."""
    secret = world.mint()
    gate = world.gate()

    for _ in range(3):
        for header in (bearer(secret), basic("alice", secret), f"bearer  {secret} "):
            for _ in range(20):
                call(gate, request("/", header))
        gate.close()
        world.clock.advance(15)

    assert world.store.calls["record_use"] == 1


def test_last_use_is_written_again_after_a_minute(world: World) -> None:
    """A later use is another one."""
    secret, gate = world.mint(), world.gate()

    for _ in range(2):
        call(gate, request("/", bearer(secret)))
        gate.close()
        world.clock.advance(60)

    assert world.store.calls["record_use"] == 2


def test_bad_tokens_are_not_noted(world: World) -> None:
    """Only who was accepted leaves a last use."""
    dead, gate = world.dead(), world.gate()

    for secret in dead.values():
        call(gate, request("/", bearer(secret)))

    assert gate.close()
    assert world.store.calls["record_use"] == 0


def test_a_token_that_is_shown_in_vain_is_in_use(world: World) -> None:
    """Whoever looks for tokens that nobody has any more must not find one that somebody tries."""
    gate = world.gate(policy=Policy.from_dict({"rule": [{"id": "open", "path": "/open", "scopes": []}]}))

    refused = call(gate, request("/closed", bearer(world.mint()), REMOTE_ADDR="203.0.113.9")).status

    assert (refused, gate.close()) == (403, True)
    [token] = world.store.list()
    assert token.last_used is not None
    assert token.last_used.address == "203.0.113.9"


def test_reader_that_keeps_no_last_use_serves(world: World) -> None:
    """All that a custom backend needs is ``find``."""
    token = Token(id="1", owner="alice", expires=world.clock.now + DAY)
    gate = PATMiddleware(world.spy, OddStore(token), clock=world.clock)

    assert call(gate, request("/", bearer(mint_secret()))).status == 200
    assert gate.close()


def test_a_policy_that_decides_otherwise_is_asked() -> None:
    """A subclass of ours with a ``decide`` of its own is anybody's policy: its word counts."""

    class NoDeletes(Policy):
        def decide(self, grant: Grant | None, request: Request) -> Allowed | Denied:
            return Denied(Reason.DENIED) if request.method == "DELETE" else super().decide(grant, request)

    world = World()
    gate = world.gate(policy=NoDeletes.from_dict({"rule": [{"path": "/**", "scopes": []}]}))
    header = bearer(world.mint())

    assert call(gate, request("/x", header)).status == 200
    assert call(gate, request("/x", header, REQUEST_METHOD="DELETE")).status == 403
