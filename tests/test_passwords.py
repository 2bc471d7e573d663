"""Passwords, for the time of a migration: whose, where, until when, and never anybody else's."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from gate import Answer, Spy, basic, bearer, call, request

from patmiddleware import (
    BackendUnavailable,
    ConfigurationError,
    Credential,
    Denied,
    Grant,
    Issuer,
    Owner,
    PATMiddleware,
    Policy,
    Reason,
    Secret,
)
from patmiddleware.audit import AuditLog
from patmiddleware.backends.memory import StaticDirectory
from patmiddleware.passwords import PasswordGate, PasswordSettings
from patmiddleware.testing import NOON, FakeClock, FlakyStore
from patmiddleware.tokens import mint_secret

UNTIL = NOON + timedelta(days=30)
SETTINGS = PasswordSettings(
    paths=("/old/**", "/login"),
    owners=frozenset({"alice", "bob", "gone"}),
    scopes=frozenset({"read"}),
    until=UNTIL,
)
UNKNOWN_TOKEN = mint_secret(choice=random.Random(1).choice)
OWNERS = [
    Owner(name="alice", groups=frozenset({"testers"})),
    Owner(name="carol"),
    Owner(name="gone", active=False),
]


class Passwords(StaticDirectory):
    """A directory in which every password is ``right``; it keeps what it was asked."""

    def __init__(self, answer: object = "owner") -> None:
        super().__init__(OWNERS)
        self.asked: list[tuple[str, str]] = []
        self.answer = answer

    def authenticate(self, name: str, password: str) -> Any:
        self.asked.append((name, password))
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer != "owner":
            return self.answer
        return self.find(name) if password == "right" else None


def admit(
    name: str | None = "alice",
    password: str = "right",
    path: str = "/old/x",
    now: datetime = NOON,
    directory: Passwords | None = None,
) -> Grant | Denied | None:
    """Show a password to a gate."""
    gate = PasswordGate(SETTINGS, directory or Passwords(), frozenset)
    return gate.admit(Credential("Basic", name, Secret(password)), path, now.timestamp())


# --- Settings


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({"paths": ()}, ["passwords.paths"]),
        ({"paths": "/old"}, ["passwords.paths"]),
        ({"owners": frozenset()}, ["passwords.owners"]),
        ({"owners": "alice"}, ["passwords.owners"]),
        ({"scopes": frozenset()}, ["passwords.scopes"]),
        ({"until": datetime(2030, 1, 1)}, ["passwords.until"]),
        ({"until": None}, ["passwords.until"]),
        ({"paths": (), "owners": (), "until": "2030"}, ["passwords.paths", "passwords.owners", "passwords.until"]),
    ],
)
def test_settings_are_judged_whole(changes: dict[str, Any], settings: list[str]) -> None:
    """Nothing may be left open, and all that is wrong is told at once."""
    with pytest.raises(ConfigurationError) as caught:
        replace(SETTINGS, **changes)

    assert [problem.setting for problem in caught.value.problems] == settings


def test_settings_take_lists() -> None:
    """What a settings file gives is as good."""
    settings = PasswordSettings(paths=["/a"], owners=["b"], scopes=["c"], until=UNTIL)  # type: ignore[arg-type]

    assert (settings.paths, settings.owners, settings.scopes) == (("/a",), {"b"}, {"c"})


def test_directory_must_check_passwords() -> None:
    """One that can only look owners up is refused."""
    with pytest.raises(ConfigurationError, match="can check passwords"):
        PasswordGate(SETTINGS, StaticDirectory(), frozenset)


def test_malformed_path_is_refused() -> None:
    """Paths are patterns, as in a policy."""
    with pytest.raises(ConfigurationError) as caught:
        PasswordGate(replace(SETTINGS, paths=("/a/**/b",)), Passwords(), frozenset)

    assert [problem.setting for problem in caught.value.problems] == ["passwords.paths"]


# --- Who gets in


def test_named_owner_gets_in() -> None:
    """With the scopes of the settings, the groups of the directory, and no token."""
    assert admit() == Grant(
        token_id=None,
        owner="alice",
        groups=frozenset({"testers"}),
        scopes=frozenset({"read"}),
        scheme="Basic",
        username="alice",
    )


def test_scopes_are_expanded() -> None:
    """A scope brings along what it includes, as a token's does."""
    gate = PasswordGate(SETTINGS, Passwords(), lambda scopes: scopes | {"included"})

    grant = gate.admit(Credential("Basic", "alice", Secret("right")), "/login", NOON.timestamp())

    assert isinstance(grant, Grant)
    assert grant.scopes == {"read", "included"}


@pytest.mark.parametrize(
    ("name", "password", "path", "now"),
    [
        ("carol", "right", "/old/x", NOON),
        ("Alice", "right", "/old/x", NOON),
        ("alice ", "right", "/old/x", NOON),
        ("", "right", "/old/x", NOON),
        (None, "right", "/old/x", NOON),
        ("alice", "right", "/", NOON),
        ("alice", "right", "/older", NOON),
        ("alice", "right", "/login/x", NOON),
        ("alice", "right", "/OLD/x", NOON),
        ("alice", "right", "/old/x", UNTIL),
        ("alice", "right", "/old/x", UNTIL + timedelta(days=1)),
        ("alice", "", "/old/x", NOON),
        ("alice", "\0", "/old/x", NOON),
        ("alice", "\0\0", "/old/x", NOON),
        ("alice", UNKNOWN_TOKEN, "/old/x", NOON),
        ("alice", UNKNOWN_TOKEN[:-1], "/old/x", NOON),
    ],
)
def test_directory_is_not_asked(name: str | None, password: str, path: str, now: datetime) -> None:
    """Nobody else, nowhere else, not afterwards; never with an empty password (RFC 4513, 5.1.2), nor with any token."""
    directory = Passwords()

    assert admit(name, password, path, now, directory) is None
    assert directory.asked == []


@pytest.mark.parametrize("now", [NOON, UNTIL - timedelta(microseconds=1)])
def test_password_is_taken_until_the_very_end(now: datetime) -> None:
    """``until`` is the first moment at which none is taken."""
    assert isinstance(admit(now=now), Grant)


def test_end_is_a_moment_not_a_local_time() -> None:
    """A time zone counts."""
    here = UNTIL.astimezone(timezone(timedelta(hours=9)))

    gate = PasswordGate(replace(SETTINGS, until=here), Passwords(), frozenset)

    credential = Credential("Basic", "alice", Secret("right"))
    assert gate.admit(credential, "/login", UNTIL.timestamp()) is None
    assert isinstance(gate.admit(credential, "/login", UNTIL.timestamp() - 1), Grant)


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("alice", "wrong", Reason.UNKNOWN),
        ("bob", "right", Reason.UNKNOWN),  # named in the settings, but nobody in the directory
        ("gone", "right", Reason.OWNER_INACTIVE),
    ],
)
def test_wrong_password_is_refused(name: str, password: str, reason: Reason) -> None:
    """What the directory does not know, or knows as inactive, is refused."""
    assert admit(name, password) == Denied(reason)


def test_directory_that_gives_somebody_else_is_not_believed() -> None:
    """One name, byte for byte: a directory may fold case where we don't."""
    assert admit(directory=Passwords(Owner(name="ALICE"))) == Denied(Reason.UNKNOWN)


@pytest.mark.parametrize("fault", [BackendUnavailable("down"), OSError("broken"), True, {"name": "alice"}], ids=repr)
def test_directory_that_gives_no_answer_is_an_outage(fault: object) -> None:
    """What is neither an owner nor None is not known."""
    denied = admit(directory=Passwords(fault))

    assert isinstance(denied, Denied)
    assert denied.reason is Reason.UNAVAILABLE


# --- Through the gate


class World:
    """A gate that takes passwords, with an audit log."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FlakyStore()
        self.directory = Passwords()
        self.spy = Spy()
        self.log = io.StringIO()
        self.audit = AuditLog(self.log)
        self.gates: list[PATMiddleware] = []

    def ask(self, authorization: str, path: str = "/old/x", **options: Any) -> Answer:
        options = {"passwords": SETTINGS, "directory": self.directory, "clock": self.clock} | options
        self.gates.append(PATMiddleware(self.spy, self.store, audit=self.audit, **options))
        return call(self.gates[-1], request(path, authorization))

    def lines(self) -> list[dict[str, Any]]:
        assert self.audit.close()
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def close(self) -> None:
        self.store.down = False
        assert all(gate.close() for gate in self.gates)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


POLICY = Policy.from_dict(
    {
        "scopes": {"read": {}, "write": {"includes": ["read"]}},
        "rule": [
            {"id": "read", "path": "/old/**", "scopes": ["read"]},
            {"id": "write", "path": "/login", "scopes": ["write"]},
        ],
    }
)


def test_off_by_default(world: World) -> None:
    """Without the option no directory is asked for a password."""
    assert world.ask(basic("alice", "right"), passwords=None).status == 401
    assert world.directory.asked == []


def test_password_gets_in(world: World) -> None:
    """The application sees who it is, and no password."""
    answer = world.ask(basic("alice", "right"))

    environ = world.spy.environ
    assert (answer.status, environ["REMOTE_USER"], environ["AUTH_TYPE"]) == (200, "alice", "Basic")
    assert environ["patmiddleware.grant"].token_id is None
    assert "HTTP_AUTHORIZATION" not in environ


def test_directory_is_asked_each_time(world: World) -> None:
    """A password is never remembered: once it is changed, the old one is no good."""
    gate = PATMiddleware(world.spy, world.store, passwords=SETTINGS, directory=world.directory, clock=world.clock)

    for _ in range(3):
        call(gate, request("/old/x", basic("alice", "right")))
    world.directory.answer = None

    assert len(world.directory.asked) == 3
    assert call(gate, request("/old/x", basic("alice", "right"))).status == 401
    assert gate.close()


def test_password_is_judged_by_the_policy(world: World) -> None:
    """It has the scopes of the settings, and no more."""
    answers = [world.ask(basic("alice", "right"), path, policy=POLICY) for path in ("/old/x", "/login", "/elsewhere")]

    assert [answer.status for answer in answers] == [200, 403, 401]


@pytest.mark.parametrize("path", ["/old//x", "/old/../x", "/x/../old/x", "/old/x;y", "/%6fld/x"])
def test_ambiguous_path_is_refused_without_a_policy_too(world: World, path: str) -> None:
    """Where a password may be used depends on the path, so there must be one."""
    answer = world.ask(basic("alice", "right"), path)

    assert (answer.status, world.directory.asked) == (400, [])


def test_password_as_bearer_is_none(world: World) -> None:
    """Only Basic says whose password it is."""
    assert world.ask(bearer("right")).status == 401
    assert world.directory.asked == []


def test_token_is_tried_before_any_password(world: World) -> None:
    """A good token never reaches the directory, nor does a dead or an unknown one of our own."""
    issuer = Issuer(world.store, clock=world.clock)
    good = issuer.mint(owner="alice", name="ci", lifetime=timedelta(days=1))
    dead = issuer.mint(owner="alice", name="old", lifetime=timedelta(days=1))
    issuer.revoke(dead.token.id)

    statuses = [world.ask(basic("alice", secret)).status for secret in (good.secret, dead.secret, mint_secret())]

    assert statuses == [200, 401, 401]
    assert world.directory.asked == []


def test_outage_of_the_store_is_not_got_round(world: World) -> None:
    """A store that is down may know the string as a revoked token."""
    world.store.down = True

    assert world.ask(basic("alice", "right")).status == 503
    assert world.directory.asked == []


@pytest.mark.parametrize("missing", ["reject", "annotate"])
def test_outage_of_the_directory_is_503(world: World, missing: str) -> None:
    """Never an anonymous request."""
    world.directory.answer = BackendUnavailable("down")

    assert world.ask(basic("alice", "right"), missing=missing).status == 503


def test_wrong_password_sounds_like_a_bad_token(world: World) -> None:
    """The client can't tell which it was."""
    answers = [world.ask(basic("alice", "wrong")), world.ask(basic("alice", mint_secret()))]

    assert [(answer.status, answer.reason) for answer in answers] == [(401, "invalid_token")] * 2


def test_use_of_a_password_is_marked_in_the_audit(world: World) -> None:
    """Each one, so that who still needs it can be told; the password itself stands nowhere."""
    world.ask(basic("alice", "right"))
    world.ask(basic("alice", "wrong-password"))

    told = [(line["decision"], line["who"], line["token"], line.get("passwords")) for line in world.lines()]
    assert told == [("allowed", "alice", None, True), ("denied", None, None, None)]
    assert "wrong-password" not in world.log.getvalue()


def test_password_leaves_no_last_use(world: World) -> None:
    """There is no token that was used."""
    world.ask(basic("alice", "right"))

    assert world.gates[0].close()
    assert world.store.calls["record_use"] == 0


def test_time_of_the_gate_counts(world: World) -> None:
    """After the day no password gets in, though the gate was built before."""
    gate = PATMiddleware(world.spy, world.store, passwords=SETTINGS, directory=world.directory, clock=world.clock)
    before = call(gate, request("/old/x", basic("alice", "right"))).status

    world.clock.seconds = UNTIL.timestamp()

    assert (before, call(gate, request("/old/x", basic("alice", "right"))).status) == (200, 401)
    assert gate.close()


def test_until_may_lie_in_the_past() -> None:
    """A migration that is over needs no change of the settings."""
    assert PasswordSettings(
        paths=("/a",), owners=frozenset("b"), scopes=frozenset("c"), until=datetime(2000, 1, 1, tzinfo=UTC)
    )
