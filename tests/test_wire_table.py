"""Every row of the table of answers, over real HTTP: status, challenge, reason, and the headers that go with it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from wire import Reply, Server, servers, serving
from wire_app import secret_of

REALM = 'realm="api"'
PLAIN = [f"Bearer {REALM}", f'Basic {REALM}, charset="UTF-8"']
INVALID = [f'Bearer {REALM}, error="invalid_token"', PLAIN[1]]
REQUEST = [f'Bearer {REALM}, error="invalid_request"']
SCOPE = f'Bearer {REALM}, error="insufficient_scope"'
DEAD = ("unknown", "expired", "revoked", "gone", "nobody")


@pytest.fixture(scope="module", params=servers)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each of the servers, started once."""
    with serving(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


def ask(server: Server, target: str, *headers: str, method: str = "GET", host: str = "table.example") -> Reply:
    return server.ask(target, f"Host: {host}", *headers, method=method)


def bearer(name: str) -> str:
    return f"Authorization: Bearer {secret_of(name)}"


def basic(username: str, name: str) -> str:
    pair = f"{username}:{secret_of(name)}".encode()
    return f"Authorization: Basic {b64encode(pair).decode()}"


def challenges(reply: Reply) -> list[str]:
    """Give the challenges; a server may join several headers, as RFC 9110 lets it."""
    return [
        part.strip()
        for value in reply.all("WWW-Authenticate")
        for part in value.replace(", Basic", "\nBasic").split("\n")
    ]


def problem(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reply.body)
    return found


ROWS: list[tuple[str, str, str, list[str], int, list[str], str]] = [
    # case, method, target, headers, status, challenges, reason
    ("missing", "GET", "/things/1", [], 401, PLAIN, "missing"),
    ("missing, HEAD", "HEAD", "/things/1", [], 401, PLAIN, "missing"),
    ("blank", "GET", "/things/1", ["Authorization: "], 401, PLAIN, "missing"),
    ("malformed: comma", "GET", "/things/1", [f"{bearer('good')},x"], 400, REQUEST, "malformed"),
    ("malformed: blank", "GET", "/things/1", ["Authorization: Bearer a b"], 400, REQUEST, "malformed"),
    ("malformed: no b64token", "GET", "/things/1", ["Authorization: Bearer a!b"], 400, REQUEST, "malformed"),
    ("malformed: nothing", "GET", "/things/1", ["Authorization: Bearer"], 400, REQUEST, "malformed"),
    ("malformed: base64", "GET", "/things/1", ["Authorization: Basic !"], 400, REQUEST, "malformed"),
    ("malformed: too long", "GET", "/things/1", ["Authorization: Bearer " + "a" * 4_097], 400, REQUEST, "malformed"),
    ("long enough", "GET", "/things/1", ["Authorization: Bearer " + "a" * 4_096], 401, INVALID, "invalid_token"),
    ("two headers", "GET", "/things/1", [bearer("good"), bearer("good")], 400, REQUEST, "malformed"),
    (
        "header and key",
        "GET",
        "/things/1",
        [bearer("good"), f"X-API-Key: {secret_of('good')}"],
        400,
        REQUEST,
        "malformed",
    ),
    ("unsupported", "GET", "/things/1", ["Authorization: Digest x"], 401, PLAIN, "unsupported"),
    *((each, "GET", "/things/1", [bearer(each)], 401, INVALID, "invalid_token") for each in DEAD),
    ("mismatch", "GET", "/things/1", [basic("bob", "good")], 401, INVALID, "invalid_token"),
    ("ambiguous", "GET", "/things/%2e%2e/1", [bearer("good")], 400, [], "ambiguous_path"),
    ("ambiguous, nobody", "GET", "/things;x", [], 400, [], "ambiguous_path"),
    ("no rule, nobody", "GET", "/nothing", [], 401, PLAIN, "missing"),
    ("deny, nobody", "GET", "/secret", [], 401, PLAIN, "missing"),
    ("require, nobody", "GET", "/developers/x", [], 401, PLAIN, "missing"),
    ("network, nobody", "GET", "/inside/x", [], 401, PLAIN, "missing"),
    ("scope", "POST", "/things/1", [bearer("good")], 403, [f'{SCOPE}, scope="write"'], "insufficient_scope"),
    ("no rule", "GET", "/nothing", [bearer("good")], 403, [SCOPE], "no_rule"),
    ("no rule for the method", "DELETE", "/things/1", [bearer("good")], 403, [SCOPE], "no_rule"),
    ("limit", "GET", "/project/WEB/1", [bearer("limited")], 403, [SCOPE], "limit"),
    ("limit, no capture", "GET", "/things/1", [bearer("limited")], 403, [SCOPE], "limit"),
    ("denied", "GET", "/secret/x", [bearer("good")], 403, [SCOPE], "denied"),
    ("network", "GET", "/inside/x", [bearer("good")], 403, [], "network"),
    ("network of the token", "GET", "/things/1", [bearer("elsewhere")], 403, [], "network"),
    ("group", "GET", "/developers/x", [bearer("good")], 403, [], "group"),
    ("outage", "GET", "/things/1", [bearer("down")], 503, [], "unavailable"),
    ("outage, public", "GET", "/open/x", [bearer("down")], 503, [], "unavailable"),
    ("public, bad token", "GET", "/open/x", [bearer("revoked")], 401, INVALID, "invalid_token"),
    ("preflight without a rule", "OPTIONS", "/things/1", ["Origin: https://x.example"], 401, PLAIN, "missing"),
]


@pytest.mark.parametrize(
    ("method", "target", "headers", "status", "offered", "reason"),
    [row[1:] for row in ROWS],
    ids=[row[0] for row in ROWS],
)
def test_row(
    server: Server, method: str, target: str, headers: list[str], status: int, offered: list[str], reason: str
) -> None:
    """Status, challenges, reason and caching of each refusal; the application is not reached."""
    reply = ask(server, target, *headers, method=method)

    assert (reply.status, challenges(reply), reply.all("Cache-Control")) == (status, offered, ["no-store"])
    assert reply.all("Content-Type") == ["application/problem+json"]
    assert reply.all("Retry-After") == (["5"] if status == 503 else [])
    assert reply.seen == []
    if method == "HEAD":
        assert reply.body == b""
        assert int(reply.all("Content-Length")[0]) > 100
    else:
        assert len(reply.body) == int(reply.all("Content-Length")[0])
        assert problem(reply)["type"] == f"urn:patmiddleware:problem:{reason}"
        assert problem(reply)["status"] == status


ADMITTED = [
    ("Bearer", "GET", "/things/1", [bearer("good")]),
    ("Basic", "GET", "/things/1", [basic("alice", "good")]),
    ("key", "GET", "/things/1", [f"X-API-Key: {secret_of('good')}"]),
    ("wider scope", "GET", "/things/1", [bearer("writer")]),
    ("scope for the method", "POST", "/things/1", [bearer("writer")]),
    ("within the limit", "GET", "/project/OPS/1", [bearer("limited")]),
    ("public", "GET", "/open/x", []),
    ("public, with a token", "GET", "/open/x", [bearer("good")]),
    ("preflight with a rule", "OPTIONS", "/preflight/x", ["Origin: https://x.example"]),
    ("HEAD", "HEAD", "/things/1", [bearer("good")]),
]


@pytest.mark.parametrize(
    ("method", "target", "headers"), [row[1:] for row in ADMITTED], ids=[row[0] for row in ADMITTED]
)
def test_admitted(server: Server, method: str, target: str, headers: list[str]) -> None:
    """What may pass reaches the application, with who it is and without its credential."""
    [seen] = ask(server, target, *headers, method=method).seen

    is_known = any(secret_of(name) in header for name in ("good", "writer", "limited") for header in headers) or any(
        "Basic" in header for header in headers
    )
    assert (seen["user"], seen["owner"]) == (("alice", "alice") if is_known else (None, None))
    assert not seen["has_credential"]


def test_lower_case_method(server: Server) -> None:
    """By the server itself or by the gate: 400, without a challenge."""
    reply = ask(server, "/things/1", bearer("good"), method="get")

    assert (reply.status, challenges(reply), reply.seen) == (400, [], [])


def test_refusal_of_who_is_known_tells_what_was_needed(server: Server) -> None:
    """A 403 names the rule, the scope that would do, and what the token has."""
    told = problem(ask(server, "/things/1", bearer("good"), method="POST"))

    assert (told["rule"], told["needed"], told["held"]) == ("change", ["write"], ["read"])


def test_bad_tokens_sound_alike(server: Server) -> None:
    """The same bytes for all of them, but for the request id and what the server adds."""
    headers = [*map(bearer, DEAD), basic("bob", "good")]

    told = []
    for header in headers:
        reply = ask(server, "/things/1", header)
        body = {key: value for key, value in problem(reply).items() if key != "request_id"}
        told.append((reply.status, challenges(reply), reply.all("Content-Type"), sorted(body.items())))

    assert told == [told[0]] * len(headers)


def test_request_ids_differ_and_are_not_taken_from_outside(server: Server) -> None:
    """Each refusal has its own, whatever the client sends."""
    ids = [problem(ask(server, "/things/1", "X-Request-ID: mine"))["request_id"] for _ in range(5)]

    assert len({*ids, "mine"}) == 6


def test_head_has_the_length_of_get(server: Server) -> None:
    """The same headers without the body; the request id may be a digit longer."""
    replies = [ask(server, "/things/1", bearer("revoked"), method=method) for method in ("GET", "HEAD")]

    got, head = (int(reply.all("Content-Length")[0]) for reply in replies)
    assert abs(got - head) <= 2
    assert [len(reply.body) for reply in replies] == [got, 0]


@pytest.mark.parametrize(
    ("headers", "status", "offered"),
    [
        ([], 401, ["ApiKey " + REALM]),
        ([f"X-API-Key: {secret_of('good')}"], 200, []),
        ([f"X-API-Key: {secret_of('revoked')}"], 401, ["ApiKey " + REALM]),
        (["X-API-Key: a,b"], 400, []),
        ([bearer("good")], 401, ["ApiKey " + REALM]),
    ],
    ids=["missing", "good", "revoked", "malformed", "unsupported"],
)
def test_where_only_a_key_is_accepted(server: Server, headers: list[str], status: int, offered: list[str]) -> None:
    """There is a challenge for it, and none for what is not accepted."""
    reply = ask(server, "/things/1", *headers, host="keys.example")

    assert (reply.status, challenges(reply)) == (status, offered)


def test_refusals_in_jiras_shape(server: Server) -> None:
    """As clients of Jira expect it, with the same status and challenges."""
    reply = ask(server, "/things/1", bearer("good"), method="POST", host="jira.example")

    assert (reply.status, challenges(reply)) == (403, [f'{SCOPE}, scope="write"'])
    assert sorted(problem(reply)) == ["errorMessages", "errors"]


@pytest.mark.parametrize(
    ("target", "header", "status"),
    [
        ("/things/1", None, 200),
        ("/nothing", None, 200),
        ("/nothing", bearer("good"), 200),
        ("/things/1", bearer("revoked"), 200),
        ("/things/1", "Authorization: Bearer a,b", 200),
        ("/secret/x", None, 401),
        ("/secret/x", bearer("revoked"), 401),
        ("/secret/x", bearer("good"), 403),
        ("/inside/x", None, 401),
        ("/things/1", bearer("down"), 503),
        ("/things/1", bearer("elsewhere"), 403),
    ],
)
def test_annotate(server: Server, target: str, header: str | None, status: int) -> None:
    """What is wrong with the credential alone is let through as nobody; the rest binds."""
    reply = ask(server, target, *([header] if header else []), host="annotate.example")

    assert reply.status == status
    assert [seen["user"] for seen in reply.seen] == (
        [] if status != 200 else ["alice"] if header == bearer("good") else [None]
    )
