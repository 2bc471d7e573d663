"""Session cookies at the gate: what they open, what they don't, and what an attacker may try."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from gate import basic, bearer, call, request
from logins import ENDPOINT, World, cookie, login, opened

from patmiddleware import (
    Allowed,
    AuditLog,
    ConfigurationError,
    Denied,
    Grant,
    Owner,
    PATMiddleware,
    Policy,
    Reason,
    Secret,
    SessionSettings,
    Token,
    grant_from,
)
from patmiddleware.backends.memory import StaticDirectory
from patmiddleware.model import Request
from patmiddleware.testing import FlakyDirectory
from patmiddleware.tokens import mint_secret

RULES: Mapping[str, Any] = {
    "scopes": {"read": {}, "write": {"includes": ["read"]}},
    "rule": [
        {"id": "open", "path": "/open/**", "public": True},
        {"id": "hook", "path": "/hook/**", "public": True, "credentials": "ignore"},
        {"id": "read", "path": "/things/**", "scopes": ["read"]},
        {"id": "write", "path": "/written/**", "scopes": ["write"]},
        {"id": "project", "path": "/project/{project:key}", "scopes": ["read"]},
        {"id": "no sessions", "effect": "deny", "path": "/rest/auth/**"},
        {"id": "developers", "effect": "require", "path": "/things/developers/**", "groups": ["developers"]},
    ],
}
POLICY = Policy.from_dict(RULES)


class Nobody:
    """A policy of somebody's own that refuses everything."""

    def decide(self, grant: Grant | None, request: Request) -> Allowed | Denied:
        return Denied(Reason.MISSING if grant is None else Reason.DENIED)


POLICIES: dict[str, Any] = {"none": None, "ours": POLICY, "the preset": Policy.preset("jira"), "another's": Nobody()}
policies = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)


# --- What is built


class Reader:
    """A store that can only be read."""

    def find(self, secret: Secret) -> Token | None:
        return None


def test_a_store_that_is_only_read_keeps_no_sessions(world: World) -> None:
    """It is said at the start, of the setting that asks for them."""
    with pytest.raises(ConfigurationError, match="Reader can only be read") as caught:
        PATMiddleware(world.spy, Reader(), accept=["bearer", "session"])

    assert [problem.setting for problem in caught.value.problems] == ["accept"]


def test_without_sessions_nothing_is_different(world: World) -> None:
    """A cookie is the application's, and so is the endpoint, where sessions are not accepted."""
    gate, secret = world.gate(accept=("bearer",)), world.mint().secret

    assert call(gate, request("/", **cookie(secret))).status == 401
    assert call(gate, login("alice", secret)).status == 401
    assert call(gate, request(ENDPOINT, bearer(secret), **cookie("mine"))).status == 200
    assert world.spy.environ["HTTP_COOKIE"] == "JSESSIONID=mine"


# --- What a session opens


@policies
def test_endpoint_is_ours_whatever_a_policy_says(world: World, policy: Any) -> None:
    """A policy neither opens nor closes it; the application behind never hears of it."""
    gate, minted = world.gate(policy=policy), world.mint()

    value = opened(gate, minted)

    assert call(gate, request(ENDPOINT, **cookie(value))).status == 200
    assert call(gate, request(ENDPOINT)).status == 401
    assert world.spy.environs == []


@pytest.mark.parametrize("name", ["JSESSIONID", "sid"])
def test_application_sees_who_it_is_and_no_cookie(world: World, name: str) -> None:
    """As with any other credential; the other cookies stay."""
    gate, minted = world.gate(session=SessionSettings(cookie=name)), world.mint()
    value = opened(gate, minted)

    call(gate, request("/things", **cookie(value, "a=1", "b=2", name=name)))

    environ = world.spy.environ
    grant = grant_from(environ)
    assert (environ["REMOTE_USER"], environ["AUTH_TYPE"]) == ("alice", "Session")
    assert (environ["HTTP_COOKIE"], environ["patmiddleware.status"]) == ("a=1; b=2", "confirmed")
    assert grant is not None
    assert (grant.scopes, grant.token_name, grant.scheme) == ({"read"}, "ci (session)", "Session")
    assert not [key for key, text in environ.items() if value in str(text)]


def test_kept_credentials_are_those_of_headers(world: World) -> None:
    """``keep_credential`` shows no session: its secret is of use to nobody but us."""
    gate, minted = world.gate(keep_credential=True), world.mint()
    value = opened(gate, minted)

    call(gate, request("/", **cookie(value)))

    assert "HTTP_COOKIE" not in world.spy.environ
    assert "patmiddleware.credential" not in world.spy.environ


TOKENS: dict[str, tuple[dict[str, Any], str, str]] = {
    "scopes": ({}, "/things/1", "/written/1"),
    "more scopes": ({"scopes": ["write"]}, "/written/1", "/nowhere"),
    "limits": ({"limits": {"project": ["OPS"]}}, "/project/OPS", "/project/WEB"),
    "groups": ({}, "/things/1", "/things/developers/1"),
}


@pytest.mark.parametrize(("token", "right", "wrong"), TOKENS.values(), ids=TOKENS)
def test_session_is_judged_as_its_token(world: World, token: dict[str, Any], right: str, wrong: str) -> None:
    """It may do what the token may, and nothing more."""
    gate, minted = world.gate(policy=POLICY), world.mint(**token)
    value = opened(gate, minted)

    answers = {
        path: [
            call(gate, request(path, **keys)) for keys in (cookie(value), {"HTTP_AUTHORIZATION": bearer(minted.secret)})
        ]
        for path in (right, wrong)
    }

    assert [answer.status for answer in answers[right]] == [200, 200]
    by_session, by_token = (answer.problem for answer in answers[wrong])
    assert by_session["status"] == 403
    assert by_session | {"request_id": ""} == by_token | {"request_id": ""}


def test_session_keeps_to_the_networks_of_its_token(world: World) -> None:
    """A cookie that is taken elsewhere is worth nothing there, the endpoint included."""
    gate, minted = world.gate(policy=POLICY), world.mint(networks=["192.0.2.0/24"])
    value = opened(gate, minted)

    for path in ("/things/1", ENDPOINT):
        assert call(gate, request(path, **cookie(value))).status == 200
        assert call(gate, request(path, **cookie(value), REMOTE_ADDR="203.0.113.9")).reason == "network"


def test_session_ends_with_its_owner(world: World) -> None:
    """Who is not active any more has no session, once the directory is asked again."""
    people = FlakyDirectory([Owner(name="alice")])
    gate, minted = world.gate(directory=people), world.mint()
    value = opened(gate, minted)
    people.directory = StaticDirectory([Owner(name="alice", active=False)])
    world.clock.advance(61)

    assert call(gate, request("/", **cookie(value))).status == 401


def test_session_ends_with_its_token(world: World) -> None:
    """By revocation at once, and by expiry."""
    gate, minted, short = world.gate(), world.mint(), world.mint(lifetime=timedelta(minutes=5))
    value, other = opened(gate, minted), opened(gate, short)
    assert [call(gate, request("/", **cookie(each))).status for each in (value, other)] == [200, 200]

    world.issuer.revoke(minted.token.id)
    assert call(gate, request("/", **cookie(value))).status == 401
    world.clock.advance(300)
    assert call(gate, request("/", **cookie(other))).status == 401


def test_session_ends_by_itself(world: World) -> None:
    """After its own lifetime, used or not; the token lives on."""
    gate, minted = world.gate(session=SessionSettings(lifetime=timedelta(hours=1))), world.mint()
    value = opened(gate, minted)

    world.clock.advance(3599)
    assert call(gate, request("/", **cookie(value))).status == 200
    world.clock.advance(1)
    assert call(gate, request("/", **cookie(value))).status == 401
    assert call(gate, request("/", bearer(minted.secret))).status == 200


def test_last_use_of_a_session_is_kept(world: World) -> None:
    """A session is a token like any other there."""
    gate, minted = world.gate(), world.mint()
    call(gate, request("/", **cookie(opened(gate, minted)), HTTP_USER_AGENT="jira/3"))
    assert gate.close()

    [session] = world.store.list(parent=minted.token.id)
    assert session.last_used is not None
    assert session.last_used.agent == "jira/3"


def test_public_paths_stay_public(world: World) -> None:
    """With a session or without; our cookie reaches nobody there."""
    gate = world.gate(policy=POLICY)
    value = opened(gate, world.mint())

    statuses = [call(gate, request("/open/1", **keys)).status for keys in ({}, cookie(value), cookie("", "a=1"))]

    assert statuses == [200, 200, 200]
    assert [environ.get("HTTP_COOKIE") for environ in world.spy.environs] == [None, None, "a=1"]


def test_where_credentials_are_ignored_the_cookie_is_not_read(world: World) -> None:
    """A hook is nobody's session; the application still does not see the cookie."""
    gate = world.gate(policy=POLICY)
    value = opened(gate, world.mint())

    for sent in (value, "stale", "a; JSESSIONID=b"):
        assert call(gate, request("/hook/1", bearer("its own"), method="POST", **cookie(sent))).status == 200

    assert all("HTTP_COOKIE" not in environ for environ in world.spy.environs)
    assert all(environ["HTTP_AUTHORIZATION"] == "Bearer its own" for environ in world.spy.environs)
    assert all(environ["patmiddleware.grant"] is None for environ in world.spy.environs)


# --- What it does not open


def test_a_token_is_no_cookie(world: World) -> None:
    """Whoever gets hold of a token can't make a browser its bearer, nor the other way round."""
    gate, minted = world.gate(), world.mint()

    assert call(gate, request("/", **cookie(minted.secret))).reason == "invalid_token"


@pytest.mark.parametrize(
    "keys",
    [
        lambda value: {"HTTP_AUTHORIZATION": bearer(value)},
        lambda value: {"HTTP_AUTHORIZATION": basic("alice", value)},
        lambda value: {"HTTP_AUTHORIZATION": f"Token {value}"},
        lambda value: {"HTTP_X_API_KEY": value},
    ],
    ids=["Bearer", "Basic", "Token", "key"],
)
def test_a_cookie_is_no_token(world: World, keys: Any) -> None:
    """What is stolen with a cookie is good as a cookie alone, also after it was used as one."""
    gate = world.gate(accept=("bearer", "basic", "token", "header:X-API-Key", "session"))
    value = opened(gate, world.mint())

    for _ in range(2):
        assert call(gate, request("/", **keys(value))).reason == "invalid_token"
        assert call(gate, request("/", **cookie(value))).status == 200


def test_a_made_up_scheme_recalls_no_session(world: World) -> None:
    """What is remembered of headers is not to be had with a cookie's value in one."""
    gate = world.gate()
    value = opened(gate, world.mint())
    call(gate, request("/", **cookie(value)))

    for header in (f"Session {value}", f"session {value}", value, f"JSESSIONID={value}"):
        assert call(gate, request("/", header)).status in (400, 401)


COOKIES: list[tuple[str, int, str]] = [
    ("JSESSIONID={0}", 200, ""),
    ("JSESSIONID={0}; JSESSIONID={0}", 400, "malformed"),
    ("JSESSIONID={0}; JSESSIONID={1}", 400, "malformed"),
    ("JSESSIONID={1}; a=1; JSESSIONID={0}", 400, "malformed"),
    ("JSESSIONID={0},JSESSIONID={1}", 400, "malformed"),
    ("JSESSIONID=; JSESSIONID={0}", 400, "malformed"),
    ('JSESSIONID="{0}"', 400, "malformed"),
    ("JSESSIONID={0} x", 400, "malformed"),
    ("JSESSIONID={0}\x00", 400, "malformed"),
    ("JSESSIONID={0}\xe9", 400, "malformed"),
    ("JSESSIONID=%70at", 400, "malformed"),
    ("JSESSIONID=" + "x" * 5_000, 400, "malformed"),
    ("JSESSIONID={0}x", 401, "invalid_token"),
    ("JSESSIONID=8F5E0D1B3D0A4F5F9B7B2C1D0E9F8A7B", 401, "invalid_token"),
    ("jsessionid={0}", 401, "missing"),
    ("JSESSIONID=", 401, "missing"),
    ("XJSESSIONID={0}", 401, "missing"),
    ("sid={0}", 401, "missing"),
    ("", 401, "missing"),
]


@pytest.mark.parametrize(("form", "status", "reason"), COOKIES)
def test_cookies_that_are_sent(world: World, form: str, status: int, reason: str) -> None:
    """One cookie of ours opens; two, or what is none, are refused, and no other name counts."""
    gate = world.gate()
    value, other = opened(gate, world.mint()), opened(gate, world.mint("mallory"))

    answer = call(gate, request("/", HTTP_COOKIE=form.format(value, other)))

    assert (answer.status, "" if answer.status == 200 else answer.reason) == (status, reason)


HEADERS: list[tuple[str, int, str | None]] = [
    ("Bearer {good}", 200, "bob"),
    ("Bearer {bad}", 401, None),
    ("Bearer", 400, None),
    ("Bearer {good},Bearer {good}", 400, None),
    ("Digest x", 401, None),
    ("", 200, "alice"),
    ("  ", 200, "alice"),
]


@pytest.mark.parametrize("sent", ["{session}", "stale", "a; JSESSIONID={session}"])
@pytest.mark.parametrize(("header", "status", "user"), HEADERS)
def test_a_header_beats_the_cookie(world: World, header: str, status: int, user: str | None, sent: str) -> None:
    """A cookie is sent unasked, a header is not: the header counts alone, good or bad, and the cookie is removed."""
    gate = world.gate()
    values = {"session": opened(gate, world.mint()), "good": world.mint("bob").secret, "bad": mint_secret()}

    for _ in range(2):  # the second time the header is recalled
        answer = call(gate, request("/", header.format(**values), **cookie(sent.format(**values))))
        if user == "alice" and sent != "{session}":
            assert answer.status in (400, 401)
            return
        assert answer.status == status

    seen = {(environ["REMOTE_USER"], environ.get("HTTP_COOKIE")) for environ in world.spy.environs}
    assert seen == ({(user, None)} if user else set())


def test_a_key_beats_the_cookie(world: World) -> None:
    """So does the header of an API key."""
    gate = world.gate(accept=("header:X-API-Key", "session"))
    value = opened(gate, world.mint())

    call(gate, request("/", HTTP_X_API_KEY=world.mint("bob").secret, **cookie(value)))

    assert (world.spy.environ["REMOTE_USER"], world.spy.environ.get("HTTP_COOKIE")) == ("bob", None)


# --- Requests that somebody else makes a browser send

OWN = "https://api.example.org"
INTENT: list[tuple[str, dict[str, str], int]] = [
    *((method, {}, 200) for method in ("GET", "HEAD", "OPTIONS")),
    ("GET", {"HTTP_ORIGIN": "https://evil.example"}, 200),
    *((method, {}, 403) for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "MERGE")),
    ("POST", {"HTTP_ORIGIN": OWN}, 200),
    ("POST", {"HTTP_ORIGIN": "null"}, 403),
    ("POST", {"HTTP_ORIGIN": ""}, 403),
    ("POST", {"HTTP_ORIGIN": "https://evil.example"}, 403),
    ("POST", {"HTTP_ORIGIN": "https://api.example.org.evil.example"}, 403),
    ("POST", {"HTTP_ORIGIN": "https://www.example.org"}, 403),
    ("POST", {"HTTP_ORIGIN": "https://api.example.org:8443"}, 403),
    ("POST", {"HTTP_ORIGIN": "http://api.example.org"}, 403),
    ("POST", {"HTTP_ORIGIN": f"{OWN}, {OWN}"}, 403),
    ("POST", {"HTTP_ORIGIN": f"{OWN}/"}, 403),
    ("POST", {"HTTP_REFERER": f"{OWN}/page"}, 403),
    ("POST", {"HTTP_X_FORWARDED_HOST": "evil.example", "HTTP_ORIGIN": "https://evil.example"}, 403),
    ("POST", {"HTTP_X_ATLASSIAN_TOKEN": "no-check"}, 200),
    ("POST", {"HTTP_X_ATLASSIAN_TOKEN": "nocheck"}, 200),
    ("POST", {"HTTP_X_ATLASSIAN_TOKEN": " No-Check "}, 200),
    ("POST", {"HTTP_X_ATLASSIAN_TOKEN": "check"}, 403),
    ("POST", {"HTTP_X_ATLASSIAN_TOKEN": ""}, 403),
    ("POST", {"HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}, 403),
    ("POST", {"HTTP_X_HTTP_METHOD_OVERRIDE": "GET"}, 403),
    ("POST", {"CONTENT_TYPE": "application/json"}, 403),
]


@pytest.mark.parametrize("policy", [None, POLICY], ids=["no policy", "policy"])
@pytest.mark.parametrize(("method", "keys", "status"), INTENT)
def test_what_changes_something_takes_intent(
    world: World, method: str, keys: dict[str, str], status: int, policy: Any
) -> None:
    """A page of our own, or a header that no foreign page can send: else a cookie changes nothing."""
    gate = world.gate(policy=policy)
    value = opened(gate, world.mint())

    assert call(gate, request("/things/1", method=method, **cookie(value), **keys)).status == status


def test_audit_says_in_whose_name_a_foreign_page_asked(world: World) -> None:
    """What was refused for want of intent has the owner and the session; the client hears nothing of either."""
    stream = StringIO()
    gate = world.gate(audit=AuditLog(stream))
    value = opened(gate, world.mint())

    answer = call(gate, request("/things/1", method="POST", **cookie(value), HTTP_ORIGIN="https://evil.example"))

    assert gate.close()
    [session] = [token for token in world.store.list() if token.is_session]
    line = json.loads(stream.getvalue().splitlines()[-1])
    assert (answer.status, line["reason"], line["who"], line["token"]) == (403, "denied", "alice", session.id)
    assert b"alice" not in answer.body


@pytest.mark.parametrize("path", ["/things/1", "/open/1", "/nowhere"])
@pytest.mark.parametrize("missing", ["reject", "annotate"])
@pytest.mark.parametrize("errors", ["problem", "jira"])
def test_without_intent_the_refusal_says_what_to_do(world: World, path: str, missing: str, errors: str) -> None:
    """On every path, and for an application that decides itself, too; in the gate's shape."""
    gate = world.gate(policy=POLICY, missing=missing, errors=errors)
    value = opened(gate, world.mint())

    answer = call(gate, request(path, method="POST", **cookie(value)))

    said = json.loads(answer.body)
    assert answer.status == 403
    assert "'X-Atlassian-Token: no-check'" in (said["detail"] if errors == "problem" else said["errorMessages"][0])
    assert world.spy.environs == []


def test_without_a_session_no_intent_is_asked_for(world: World) -> None:
    """A token in a header is never sent unasked; and a bad cookie is a bad credential before all."""
    gate, secret = world.gate(), world.mint().secret

    assert call(gate, request("/", bearer(secret), method="POST")).status == 200
    assert call(gate, request("/", method="POST", **cookie("stale"))).status == 401


def test_a_public_origin_can_be_told(world: World) -> None:
    """Where a front end changes the Host header, the setting says what browsers show, and alone counts."""
    gate = world.gate(session=SessionSettings(origin="https://public.example.org"))
    value = opened(gate, world.mint())

    statuses = [
        call(gate, request("/", method="POST", HTTP_ORIGIN=origin, **cookie(value))).status
        for origin in ("https://public.example.org", OWN)
    ]

    assert statuses == [200, 403]


# --- An application that decides itself


def test_annotating_lets_a_bad_cookie_pass_as_invalid(world: World) -> None:
    """As it does with any other credential; of the cookie nothing is left."""
    gate = world.gate(missing="annotate", policy=POLICY)

    for sent in ("stale", "a; JSESSIONID=b"):
        assert call(gate, request("/things/1", **cookie(sent))).status == 200

    assert {environ["patmiddleware.status"] for environ in world.spy.environs} == {"invalid"}
    assert all("HTTP_COOKIE" not in environ for environ in world.spy.environs)


# --- Spellings of the endpoint

AMBIGUOUS = [
    "/rest//auth/1/session",
    "/rest/./auth/1/session",
    "/rest/x/../auth/1/session",
    "/rest/auth/1/session;jsessionid=x",
    "/rest;a/auth/1/session",
    "/rest/auth/1/session%2f",
    "/rest/%61uth/1/session",
    "/rest\\auth/1/session",
    "/rest/auth/1/session?x",
    "/rest/auth/1/session\x00",
    "/rest/auth/1/session//",
]
"""As ``PATH_INFO``, so decoded once already."""


@policies
@pytest.mark.parametrize("path", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused(world: World, path: str, policy: Any) -> None:
    """Neither we nor the application take a password there, also where there is no policy."""
    gate, minted = world.gate(policy=policy), world.mint()

    assert call(gate, login("alice", minted.secret, path)).reason == "ambiguous_path"
    assert call(gate, request(path, bearer(minted.secret))).reason == "ambiguous_path"


@pytest.mark.parametrize(
    "path", ["/rest/auth/1/session;x", "/rest;x/auth/1/session", "/rest/auth;x/latest/session.json"]
)
@pytest.mark.parametrize("missing", ["reject", "annotate"])
def test_path_parameters_hide_no_endpoint(world: World, path: str, missing: str) -> None:
    """Where a policy allows them elsewhere, some readers would still take this for the endpoint."""
    rules = {"rule": [{"id": "all", "path": "/**", "scopes": []}], "allow_path_parameters": True}
    gate, minted = world.gate(policy=Policy.from_dict(rules), missing=missing), world.mint()

    assert call(gate, login("alice", minted.secret, path, HTTP_AUTHORIZATION=bearer(minted.secret))).status == 400
    assert call(gate, request("/things;x/1", bearer(minted.secret))).status == 200


@pytest.mark.parametrize("raw", ["/rest/%61uth/1/session", "/rest/auth/1/%73ession"])
def test_an_encoded_spelling_is_the_endpoint(world: World, raw: str) -> None:
    """What the server has decoded is the same path, whatever the raw target was."""
    gate, minted = world.gate(), world.mint()

    assert call(gate, login("alice", minted.secret, RAW_URI=raw)).status == 200
    assert world.spy.environs == []


@pytest.mark.parametrize("raw", ["/rest/auth%2f1/session", "/rest/auth/1/session%00", "/things/1"])
def test_a_raw_target_that_says_otherwise_is_refused(world: World, raw: str) -> None:
    """The endpoint's path is checked as any other."""
    gate, minted = world.gate(), world.mint()

    assert call(gate, login("alice", minted.secret, RAW_URI=raw)).reason == "ambiguous_path"


@pytest.mark.parametrize("method", ["post", "Post", "PO ST"])
def test_a_method_is_in_capitals(world: World, method: str) -> None:
    """There as elsewhere."""
    environ = login("alice", world.mint().secret) | {"REQUEST_METHOD": method}

    assert call(world.gate(), environ).reason == "method"


def test_what_is_below_the_endpoint_is_the_policys(world: World) -> None:
    """Only the endpoint itself is ours."""
    gate, minted = world.gate(policy=POLICY), world.mint()

    for path in ("/rest/auth/1/session/x", "/rest/auth/1/websudo", "/rest/auth/2/session"):
        assert call(gate, request(path, bearer(minted.secret))).reason == "denied"
