"""Jira's session endpoint, in front of Jira: what it answers, and to whom."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from io import BytesIO, StringIO
from typing import Any

import pytest
from gate import basic, bearer, call, request
from logins import ENDPOINT, NO_CHECK, World, cookie, cookie_of, login, opened, posted

from patmiddleware import AuditLog, Owner, PasswordSettings, Policy, SessionSettings
from patmiddleware.backends.memory import StaticDirectory
from patmiddleware.errors import BackendUnavailable, ConflictError
from patmiddleware.model import EPOCH
from patmiddleware.session.endpoint import MOST_BYTES
from patmiddleware.testing import NOON
from patmiddleware.tokens import mint_secret

HOUR = timedelta(hours=1)
FAILED = {"errorMessages": ["Login failed"], "errors": {}}
ANONYMOUS = {
    "errorMessages": ["You are not authenticated. Authentication required to perform this operation."],
    "errors": {},
}


# --- Logging in


def test_login_answers_as_jira_does(world: World) -> None:
    """The body has the cookie's name and value, and what is known of logins; the cookie is set."""
    answer = call(world.gate(), login("alice", world.mint().secret))

    said, morsel = json.loads(answer.body), cookie_of(answer)
    assert answer.status == 200
    assert answer.all("Content-Type") == ["application/json;charset=UTF-8"]
    assert answer.all("Cache-Control") == ["no-store"]
    assert said["session"] == {"name": "JSESSIONID", "value": morsel.value}
    assert said["loginInfo"] == {
        "failedLoginCount": 0,
        "loginCount": 1,
        "previousLoginTime": f"{NOON:%Y-%m-%dT%H:%M:%S}.{NOON.microsecond // 1000:03d}+0000",
    }
    assert (morsel["path"], morsel["max-age"], morsel["samesite"]) == ("/", "28800", "Strict")
    assert (morsel["secure"], morsel["httponly"], morsel["domain"]) == (True, True, "")


def test_login_is_a_session_of_the_token(world: World) -> None:
    """What is kept is a child of the token, for as long as the settings say."""
    gate, minted = world.gate(session=SessionSettings(lifetime=HOUR)), world.mint()

    opened(gate, minted)

    [session] = world.store.list(parent=minted.token.id)
    assert session.is_session
    assert session.expires == NOON + HOUR


def test_cookie_lives_no_longer_than_the_token(world: World) -> None:
    """A client hears how long its session really is."""
    answer = call(world.gate(), login("alice", world.mint(lifetime=timedelta(minutes=5)).secret))

    assert cookie_of(answer)["max-age"] == "300"


@pytest.mark.parametrize("path", ["/rest/auth/1/session", "/rest/auth/latest/session", "/rest/auth/1/session.json"])
@pytest.mark.parametrize("mount", ["", "/jira"])
def test_endpoint_stands_below_the_mount(world: World, mount: str, path: str) -> None:
    """Every spelling of it is answered there, and the cookie goes there alone."""
    gate = world.gate(session=SessionSettings(path=mount or "/"), policy=Policy.preset("jira", mount=mount))

    answer = call(gate, login("alice", world.mint().secret, mount + path))

    assert cookie_of(answer)["path"] == (mount or "/")
    assert world.spy.environs == []


def inactive(world: World) -> tuple[str, str]:
    return "gone", world.mint("gone").secret


def nobodys(world: World) -> tuple[str, str]:
    return "nobody", world.mint("nobody").secret


def of_another(world: World) -> tuple[str, str]:
    return "bob", world.mint().secret


def unknown(world: World) -> tuple[str, str]:
    return "alice", mint_secret()


def mistyped(world: World) -> tuple[str, str]:
    return "alice", world.mint().secret[:-1] + "?"


def expired(world: World) -> tuple[str, str]:
    secret = world.mint(lifetime=timedelta(seconds=1)).secret
    world.clock.advance(1)
    return "alice", secret


def revoked(world: World) -> tuple[str, str]:
    minted = world.mint()
    world.issuer.revoke(minted.token.id)
    return "alice", minted.secret


def a_session(world: World) -> tuple[str, str]:
    return "alice", opened(world.gates[0], world.mint())


def a_password(world: World) -> tuple[str, str]:
    return "alice", "right"


def nothing(world: World) -> tuple[str, str]:
    return "alice", ""


def odd_characters(world: World) -> tuple[str, str]:
    return "al\x00ice\ud800", "pat_\ud800\u0130"


class People(StaticDirectory):
    """A directory that knows one password."""

    def authenticate(self, name: str, password: str) -> Owner | None:
        return self.find(name) if password == "right" else None


PEOPLE = People([Owner(name="alice"), Owner(name="bob"), Owner(name="gone", active=False)])
PASSWORDS = PasswordSettings(
    paths=("/**",), owners=frozenset({"alice"}), scopes=frozenset({"read"}), until=NOON + timedelta(days=365)
)
BAD = [
    *(inactive, nobodys, of_another, unknown, mistyped, expired),
    *(revoked, a_session, a_password, nothing, odd_characters),
]


@pytest.mark.parametrize("make", BAD)
def test_bad_logins_fail_alike(world: World, make: Any) -> None:
    """Whatever is wrong with a token or its owner, the answer is the same, with a challenge and no cookie."""
    gate = world.gate(directory=PEOPLE, passwords=PASSWORDS, accept=("basic", "session"))
    username, password = make(world)

    answer = call(gate, login(username, password))

    assert (answer.status, json.loads(answer.body)) == (401, FAILED)
    assert answer.all("WWW-Authenticate") == ['Basic realm="api", charset="UTF-8"']
    assert answer.all("Set-Cookie") == []
    assert world.spy.environs == []


@pytest.mark.parametrize(("rule", "username"), [("casefold", "ALICE"), ("mail", "a@example.org"), ("ignore", "x")])
def test_user_name_is_judged_as_that_of_basic(world: World, rule: str, username: str) -> None:
    """One setting says how it and the owner must agree."""
    people = StaticDirectory([Owner(name="alice", mail="a@example.org")])
    secret = world.mint().secret
    gate, strict = world.gate(basic_username=rule, directory=people), world.gate(directory=people)

    assert call(gate, login(username, secret)).status == 200
    assert call(strict, login(username, secret)).status == 401


def test_a_token_that_has_just_died_opens_nothing(world: World) -> None:
    """What is remembered of a token is not enough: the store is asked once more, and the answer is as ever."""
    gate, minted = world.gate(), world.mint()
    world.store.get = lambda id: None  # type: ignore[method-assign]

    answer = call(gate, login("alice", minted.secret))

    assert (answer.status, json.loads(answer.body)) == (401, FAILED)


def test_login_from_a_wrong_network_is_refused(world: World) -> None:
    """A token's networks hold for logins; the refusal is of the gate's own shape."""
    gate, secret = world.gate(errors="jira"), world.mint(networks=["10.0.0.0/8"]).secret

    answer = call(gate, login("alice", secret))

    assert answer.status == 403
    assert "not allowed from your address" in json.loads(answer.body)["errorMessages"][0]
    assert call(gate, login("alice", secret, REMOTE_ADDR="10.1.2.3")).status == 200


def test_login_reads_no_other_credential(world: World) -> None:
    """A client whose session is over logs in with its old cookie in hand; a bad header does as little harm."""
    gate, minted = world.gate(), world.mint()

    for keys in (cookie("stale"), cookie("a; JSESSIONID=b"), {"HTTP_AUTHORIZATION": bearer("bad")}):
        assert call(gate, login("alice", minted.secret, **keys)).status == 200


def test_login_never_takes_the_value_that_a_client_brings(world: World) -> None:
    """A cookie that somebody planted does not become the session."""
    gate, minted = world.gate(), world.mint()
    planted = opened(gate, world.mint("mallory"))

    answer = call(gate, login("alice", minted.secret, **cookie(planted)))

    assert cookie_of(answer).value not in ("", planted, minted.secret)
    assert call(gate, request("/", **cookie(planted))).status == 200
    assert world.spy.environ["REMOTE_USER"] == "mallory"


def test_a_session_opens_no_other_session(world: World) -> None:
    """Its cookie alone is no login, and its secret is no password."""
    gate = world.gate()
    value = opened(gate, world.mint())

    assert call(gate, posted(b"{}", **cookie(value), **NO_CHECK)).status == 400
    assert call(gate, login("alice", value, **cookie(value))).status == 401


BODIES: list[tuple[bytes, int]] = [
    (b"", 400),
    (b"{", 400),
    (b"null", 400),
    (b"[]", 400),
    (b'"text"', 400),
    (b"{}", 400),
    (b'{"username": "alice"}', 400),
    (b'{"password": "x"}', 400),
    (b'{"username": "alice", "password": null}', 400),
    (b'{"username": "alice", "password": 5}', 400),
    (b'{"username": ["alice"], "password": "x"}', 400),
    (b'{"username": "alice", "password": "' + b"x" * 4_097 + b'"}', 400),
    (b"\xff\xfe", 400),
    (b'{"username": "al\xe9", "password": "x"}', 400),
    (b"[" * 60_000, 400),
    (b"9" * 60_000, 400),
    (b"username=alice&password=x", 400),
    (b" " * (MOST_BYTES + 1), 413),
    (b'{"username": "alice", "password": "' + b"x" * 4_096 + b'"}', 401),
    (b'{"username": "alice", "password": "x"}' + b" " * (MOST_BYTES - 38), 401),
]


@pytest.mark.parametrize(("body", "status"), BODIES, ids=lambda value: repr(value)[:40])
def test_malformed_bodies_are_refused(world: World, body: bytes, status: int) -> None:
    """What is no login is said to be none, in Jira's shape."""
    answer = call(world.gate(), posted(body))

    assert answer.status == status
    assert set(json.loads(answer.body)) == {"errorMessages", "errors"}


class Endless:
    """A body without an end, that counts what is read of it."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int) -> bytes:
        given = min(size, 1_000)  # as a socket: less than was asked for
        self.given += given
        return b" " * given


LENGTHS: list[tuple[dict[str, Any], int, int]] = [
    ({"CONTENT_LENGTH": str(MOST_BYTES + 1)}, 413, 0),
    ({"CONTENT_LENGTH": "9" * 5_000}, 413, 0),
    ({"CONTENT_LENGTH": "-1"}, 400, 0),
    ({"CONTENT_LENGTH": "+5"}, 400, 0),
    ({"CONTENT_LENGTH": "1_0"}, 400, 0),
    ({"CONTENT_LENGTH": "\xb2"}, 400, 0),
    ({"CONTENT_LENGTH": ""}, 400, 0),
    ({"CONTENT_LENGTH": "", "wsgi.input_terminated": True}, 413, MOST_BYTES + 1),
    ({"CONTENT_LENGTH": "5000"}, 400, 5_000),
]


@pytest.mark.parametrize(("keys", "status", "given"), LENGTHS)
def test_no_more_is_read_than_a_login_may_have(world: World, keys: Mapping[str, Any], status: int, given: int) -> None:
    """A body is bounded, whatever its length is said to be; without a length there is none."""
    body = Endless()

    answer = call(world.gate(), posted(b"", **{**keys, "wsgi.input": body}))

    assert (answer.status, body.given) == (status, given)


def test_a_body_in_chunks_is_read(world: World) -> None:
    """Where the server says that its input ends, no length is needed."""
    environ = login("alice", world.mint().secret) | {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}

    assert call(world.gate(), environ).status == 200


class Broken(BytesIO):
    """A client that went away."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise ConnectionResetError("gone")


def test_a_client_that_goes_away_is_no_outage(world: World) -> None:
    """It raises nothing, and is not told to the records as the store's fault."""
    assert call(world.gate(), posted(b"{}", **{"wsgi.input": Broken()})).status == 400


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON ;charset=UTF-8", 200),
        ("", 415),
        ("text/plain", 415),
        ("text/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=application/json", 415),
        ("text/plain; application/json", 415),
        ("application/json, text/plain", 415),
    ],
)
def test_login_must_be_json(world: World, kind: str, status: int) -> None:
    """A page of another site can make a browser send the other types, and so log somebody in as somebody else."""
    assert call(world.gate(), login("alice", world.mint().secret, CONTENT_TYPE=kind)).status == status


# --- Looking


def test_session_shows_whose_it_is(world: World) -> None:
    """As Jira does: a link, the name, and what is known of logins."""
    gate = world.gate(session=SessionSettings(path="/jira"))
    value = opened(gate, world.mint("al/ice \u00e9"), "/jira" + ENDPOINT)

    answer = call(gate, request("/jira" + ENDPOINT, **cookie(value)))

    said = json.loads(answer.body)
    assert said.pop("loginInfo")["loginCount"] == 1
    assert said == {
        "self": "https://api.example.org/jira/rest/api/latest/user?username=al%2Fice%20%C3%A9",
        "name": "al/ice \u00e9",
    }


@pytest.mark.parametrize("scheme", [bearer, lambda secret: basic("alice", secret)])
def test_any_credential_is_shown(world: World, scheme: Any) -> None:
    """Who comes with a header is told who they are, too."""
    answer = call(world.gate(), request(ENDPOINT, scheme(world.mint().secret)))

    assert json.loads(answer.body)["name"] == "alice"


def test_a_password_is_shown_without_times(world: World) -> None:
    """Where passwords are taken there is no token to be asked."""
    gate = world.gate(directory=PEOPLE, passwords=PASSWORDS)

    answer = call(gate, request(ENDPOINT, basic("alice", "right")))

    assert json.loads(answer.body)["loginInfo"] == {"failedLoginCount": 0, "loginCount": 1}


def test_head_has_the_length_alone(world: World) -> None:
    """A HEAD is a GET without its body."""
    gate = world.gate()
    value = opened(gate, world.mint())

    shown, head = (call(gate, request(ENDPOINT, method=method, **cookie(value))) for method in ("GET", "HEAD"))

    assert (head.status, head.body, head.headers) == (200, b"", shown.headers)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("missing", ["reject", "annotate"])
def test_nobody_has_no_session(world: World, method: str, missing: str) -> None:
    """Who brings nothing is told so as Jira does, with a challenge without an error."""
    answer = call(world.gate(missing=missing), request(ENDPOINT, method=method))

    assert answer.status == 401
    assert answer.all("WWW-Authenticate") == ['Bearer realm="api"', 'Basic realm="api", charset="UTF-8"']
    assert method == "HEAD" or json.loads(answer.body) == ANONYMOUS


def test_a_stale_session_is_no_session(world: World) -> None:
    """One that is over is refused there as everywhere."""
    gate = world.gate()
    value = opened(gate, world.mint())
    world.clock.advance(8 * 3600)

    assert call(gate, request(ENDPOINT, **cookie(value))).status == 401


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "LOOK"])
def test_other_methods_are_none(world: World, method: str) -> None:
    """They are told which there are, and nothing is passed on."""
    answer = call(world.gate(), request(ENDPOINT, method=method, **NO_CHECK))

    assert (answer.status, answer.all("Allow")) == (405, ["DELETE, GET, HEAD, POST"])
    assert world.spy.environs == []


# --- Logging out


def test_logging_out_ends_the_session(world: World) -> None:
    """The record is revoked, the cookie cleared, and the value good for nothing; the token and other sessions live."""
    gate, minted = world.gate(), world.mint()
    value, other = opened(gate, minted), opened(gate, minted)

    answer = call(gate, request(ENDPOINT, method="DELETE", **cookie(value), **NO_CHECK))

    morsel = cookie_of(answer)
    assert (answer.status, answer.body, answer.all("Content-Type")) == (204, b"", [])
    assert (morsel.value, morsel["max-age"], morsel["path"]) == ("", "0", "/")
    statuses = [call(gate, request("/", **cookie(each))).status for each in (value, other)]
    assert statuses == [401, 200]
    assert call(gate, request("/", bearer(minted.secret))).status == 200


def test_logging_out_with_a_token_ends_no_session(world: World) -> None:
    """Neither the token, which is not what is meant, nor the session of a cookie that is beside it."""
    gate, minted = world.gate(), world.mint()
    value = opened(gate, minted)

    answer = call(gate, request(ENDPOINT, bearer(minted.secret), method="DELETE", **cookie(value)))

    assert (answer.status, answer.all("Set-Cookie")) == (204, [])
    assert call(gate, request("/", bearer(minted.secret))).status == 200
    assert call(gate, request("/", **cookie(value))).status == 200


def test_logging_out_takes_intent(world: World) -> None:
    """A page of another site logs nobody out."""
    gate = world.gate()
    value = opened(gate, world.mint())

    assert call(gate, request(ENDPOINT, method="DELETE", **cookie(value))).status == 403
    assert call(gate, request("/", **cookie(value))).status == 200


def test_a_session_that_is_gone_is_ended(world: World) -> None:
    """Where another request was faster, the client is told what it wanted to hear."""
    gate = world.gate()
    value = opened(gate, world.mint())
    [session] = [token for token in world.store.list() if token.is_session]
    get = world.store.get

    def vanished(id: str) -> Any:
        return None if id == session.id else get(id)

    world.store.get = vanished  # type: ignore[method-assign]

    answer = call(gate, request(ENDPOINT, method="DELETE", **cookie(value), **NO_CHECK))

    assert answer.status == 204


# --- Outages


@pytest.mark.parametrize("errors", ["problem", "jira"])
def test_an_outage_is_no_failed_login(world: World, errors: str) -> None:
    """A store that can't be asked is an outage, at every step, in the gate's shape."""
    gate, minted = world.gate(errors=errors), world.mint()
    value = opened(gate, minted)
    world.store.down = True

    for environ in (
        login("alice", minted.secret),
        request(ENDPOINT, **cookie(value)),
        request(ENDPOINT, method="DELETE", **cookie(value), **NO_CHECK),
    ):
        answer = call(gate, environ)
        assert (answer.status, answer.all("Retry-After")) == (503, ["5"])
        assert ("errorMessages" in json.loads(answer.body)) == (errors == "jira")


@pytest.mark.parametrize("error", [KeyError, RuntimeError, BackendUnavailable, ConflictError])
@pytest.mark.parametrize("method", ["list", "add", "get"])
def test_whatever_a_store_raises_is_an_outage(
    world: World, method: str, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else's store may raise anything; a login is answered, and nothing is let in."""
    gate, minted = world.gate(), world.mint()

    def broken(*args: object, **options: object) -> Any:
        raise error("no words of a store's" if error is BackendUnavailable else minted.secret)

    setattr(world.store, method, broken)

    answer = call(gate, login("alice", minted.secret))

    assert answer.status == 503
    assert minted.secret not in caplog.text


# --- The records


def test_records_tell_of_logins(world: World) -> None:
    """Who logged in, with which token, in which request; what failed, and why; who logged out. No secret is told."""
    stream = StringIO()
    gate, minted = world.gate(audit=AuditLog(stream)), world.mint()
    value = opened(gate, minted)
    call(gate, login("bob", minted.secret))
    call(gate, login("bob", "hunter2"))
    call(gate, request(ENDPOINT, method="DELETE", **cookie(value), **NO_CHECK))
    assert gate.close()

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    [session] = [token for token in world.store.list() if token.is_session]
    requests = [line["request_id"] for line in lines if line["event"] == "decision"]
    events = [line for line in lines if line["event"] != "decision"]
    assert [line["event"] for line in events] == [
        "session.created",
        "session.refused",
        "session.refused",
        "session.ended",
    ]
    created, mismatch, unknown_, ended = events
    assert (created["token"], created["parent"], created["owner"]) == (session.id, minted.token.id, "alice")
    assert [created["request_id"], mismatch["request_id"], unknown_["request_id"]] == requests[:3]
    assert (mismatch["why"], mismatch["token"], mismatch["address"]) == (
        "owner_mismatch",
        minted.token.id,
        "192.0.2.7",
    )
    assert (unknown_["why"], "token" in unknown_) == ("unknown", False)
    assert (ended["token"], ended["by"], ended["why"]) == (session.id, "alice", "logged out")
    assert not re.search("|".join(map(re.escape, (value, minted.secret, "hunter2"))), stream.getvalue())


def test_a_login_is_a_use_of_the_token(world: World) -> None:
    """So that nobody takes a token for unused that is used for sessions alone."""
    gate, minted = world.gate(), world.mint()
    opened(gate, minted)
    assert gate.close()

    token = world.store.get(minted.token.id)

    assert token is not None
    assert token.last_used is not None
    assert (token.last_used.at, token.last_used.address) == (NOON, "192.0.2.7")


def test_times_are_jiras(world: World) -> None:
    """A time has milliseconds and a zone without a colon, for any store's precision."""
    minted = world.mint()
    world.store.replace(replace(minted.token, created=EPOCH), minted.token)

    answer = call(world.gate(), request(ENDPOINT, bearer(minted.secret)))

    assert json.loads(answer.body)["loginInfo"]["previousLoginTime"] == "1970-01-01T00:00:00.000+0000"
