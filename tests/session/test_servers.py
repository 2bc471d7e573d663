"""Session cookies and their endpoint over real servers, which join, fold and decode each in its own way."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from wire import Reply, Server, servers, serving
from wire_app import secret_of

HOST = "Host: sessions.example"
MINE, HIS = (f"JSESSIONID={secret_of(name)}" for name in ("session", "session of bob"))
LOGIN = json.dumps({"username": "alice", "password": secret_of("good")}).encode()


@pytest.fixture(scope="module", params=servers)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each of the servers, started once."""
    with serving(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


def log_in(server: Server, target: str = "/rest/auth/1/session", *headers: str, body: bytes = LOGIN) -> Reply:
    length = f"Content-Length: {len(body)}"
    return server.ask(target, HOST, "Content-Type: application/json", length, *headers, method="POST", body=body)


def test_a_login_opens_what_its_cookie_shows(server: Server) -> None:
    """From the login to the application, as a client does it."""
    reply = log_in(server)
    [header] = reply.all("Set-Cookie")
    sent = header.partition(";")[0]

    shown, asked = (
        server.ask(target, HOST, f"Cookie: a=1; {sent}") for target in ("/rest/auth/1/session", "/things/1")
    )

    assert json.loads(reply.body)["session"]["value"] == sent.partition("=")[2]
    assert json.loads(shown.body)["name"] == "alice"
    assert [(seen["user"], seen["cookies"]) for seen in asked.seen] == [("alice", "a=1")]


def test_a_body_that_is_too_large_is_refused(server: Server) -> None:
    """Before it is read."""
    assert log_in(server, body=b" " * 65_537).status == 413


def test_a_body_without_a_length_is_none(server: Server) -> None:
    """Nobody waits for it."""
    assert server.ask("/rest/auth/1/session", HOST, "Content-Type: application/json", method="POST").status == 400


def test_logging_out_has_no_body(server: Server) -> None:
    """The answer ends with its headers."""
    [header] = log_in(server).all("Set-Cookie")
    headers = (HOST, f"Cookie: {header.partition(';')[0]}", "X-Atlassian-Token: no-check")

    reply = server.ask("/rest/auth/1/session", *headers, method="DELETE")

    assert (reply.status, reply.body) == (204, b"")
    assert server.ask("/things/1", *headers).status == 401


TWO = [
    [f"Cookie: {MINE}; {HIS}"],
    [f"Cookie: {MINE}", f"Cookie: {HIS}"],
    [f"Cookie: {HIS}", f"Cookie: {MINE}"],
    [f"Cookie: {MINE}", f"Cookie: {MINE}"],
    [f"Cookie: a=1; {MINE}", f"Cookie: b=2; {HIS}"],
    [f"Cookie: {MINE},{HIS}"],
]


@pytest.mark.parametrize("headers", TWO)
def test_two_session_cookies_are_refused(server: Server, headers: list[str]) -> None:
    """In one header or in two, however the server joins them."""
    reply = server.ask("/things/1", HOST, *headers)

    assert reply.is_refused, reply.raw


ODD = [
    [f"Cookie: a=1,{MINE}"],
    [f"Cookie: a=1, {MINE}; b=2"],
    [f"Cookie : {MINE}"],
    [f"Cookie:{MINE}"],
    [f"COOKIE: a=1;\t{MINE}"],
    [f"Cookie: a=1;\r\n {MINE}"],
    ["Cookie: a=1", f"Cookie: {MINE}"],
    [f"Cookie: {MINE}", f"Authorization: Bearer {secret_of('bob')}"],
    [f"Cookie: {MINE}; {HIS}", f"Authorization: Bearer {secret_of('bob')}"],
    [f"Cookie: {MINE}", "Authorization: Bearer unknown"],
]


@pytest.mark.parametrize("target", ["/things/1", "/open/1"])
@pytest.mark.parametrize("headers", ODD)
def test_no_cookie_of_ours_reaches_the_application(server: Server, headers: list[str], target: str) -> None:
    """Whatever way it was sent in, on public paths, too; and a header beats it."""
    reply = server.ask(target, HOST, *headers)

    assert all("JSESSIONID" not in (seen["cookies"] or "") for seen in reply.seen), reply.seen
    if any("Authorization" in header for header in headers):
        assert [seen["user"] for seen in reply.seen] in ([], ["bob"])


SPELLINGS = [
    "/rest/auth/1/session",
    "/rest/auth/1/session/",
    "/rest/auth/latest/session.json",
    "/rest/%61uth/1/session",
    "/rest/auth/1/%73ession",
    "/rest/auth%2f1/session",
    "/rest//auth/1/session",
    "//rest/auth/1/session",
    "/rest/./auth/1/session",
    "/x/../rest/auth/1/session",
    "/rest/%2e/auth/1/session",
    "/rest/auth/1/session;x=y",
    "/rest/auth/1/session%00",
    "/rest/auth/1/session%3f",
    "/rest/auth/1/session?os_username=alice",
    "/rest/auth/1/session#x",
    "http://sessions.example/rest/auth/1/session",
    "/REST/auth/1/session",
]


@pytest.mark.parametrize("target", SPELLINGS)
def test_a_login_never_reaches_the_application(server: Server, target: str) -> None:
    """It is answered by us, or refused, however the endpoint is spelled; the token in the body is for nobody else."""
    reply = log_in(server, target, f"Authorization: Bearer {secret_of('good')}")

    assert reply.seen == []
    assert reply.status in (200, 400, 403, 404, 405, None)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("X-Nothing: x", "denied"),
        ("Origin: http://evil.example", "denied"),
        ("X-Atlassian-Token: check", "denied"),
        ("Origin: https://sessions.example", "insufficient_scope"),
        ("X-Atlassian-Token: no-check", "insufficient_scope"),
    ],
)
def test_a_session_that_reads_changes_nothing(server: Server, header: str, reason: str) -> None:
    """Without intent it is not even asked for its scopes; with it, it lacks them."""
    reply = server.ask("/things/1", HOST, f"Cookie: {MINE}", "Content-Length: 0", header, method="POST")

    assert (reply.status, json.loads(reply.body)["reason"], reply.seen) == (403, reason, [])
