"""The forwarder behind the gate: what reaches an upstream, and what comes back."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from gate import Answer, call, request
from rawupstream import Upstream, upstream
from upstreams import PlainTransport

from patmiddleware import (
    AuditLog,
    Caller,
    ConfigurationError,
    Issuer,
    LinkError,
    PATMiddleware,
    UpstreamError,
    open_store,
)
from patmiddleware.forwarder import Forwarder, Mounts
from patmiddleware.interfaces import TokenStore, UpstreamRequest, UpstreamResponse

PUBLIC = "https://api.example.org"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nX-AUSERNAME: service\r\n\r\nok"
SERVICE = {"kind": "bearer", "token": "of-the-service"}


class Gate:
    """A forwarder behind the gate, and a token of alice's."""

    def __init__(self, url: str, gate: dict[str, Any] | None = None, **options: Any) -> None:
        self.store = open_store("memory:")
        assert isinstance(self.store, TokenStore)
        self.secret = Issuer(self.store).mint(owner="alice", name="ci").secret
        self.forwarder = Forwarder(url, **{"auth": SERVICE, "public_url": PUBLIC, **options})
        self.app = PATMiddleware(self.forwarder, self.store, **(gate or {}))

    def get(self, path: str = "/x", body: bytes = b"", **keys: Any) -> Answer:
        keys |= {"wsgi.input": BytesIO(body), **({"CONTENT_LENGTH": str(len(body))} if body else {})}
        return call(self.app, request(path, f"Bearer {self.secret}", **keys))


def sent(server: Upstream, number: int = 0) -> tuple[str, dict[str, str], bytes]:
    head, _, body = server.requests[number].partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    return line, {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}, body


def test_a_request_goes_on_as_somebody_else() -> None:
    """With the upstream's credential in the place of the client's, and its answer comes back."""
    with upstream(OK) as server:
        gate = Gate(f"{server.url}/jira")

        answer = gate.get("/rest/api/2/myself", QUERY_STRING="a=b%20c", HTTP_COOKIE="JSESSIONID=1", HTTP_ACCEPT="a/b")

        line, headers, body = sent(server)
        assert (answer.status, answer.body, answer.all("X-AUSERNAME")) == (200, b"ok", ["alice"])
        assert line == "GET /jira/rest/api/2/myself?a=b%20c HTTP/1.1"
        assert headers == {
            "host": server.url.removeprefix("http://"),
            "accept": "a/b",
            "accept-encoding": "identity",
            "authorization": "Bearer of-the-service",
        }
        assert body == b""


class Scripted:
    """A transport that counts what it sent, and so is false before the first request."""

    def __init__(self, url: str) -> None:
        self.wire, self.sent = PlainTransport(url), 0

    def __len__(self) -> int:
        return self.sent

    def send(self, request: UpstreamRequest) -> UpstreamResponse:
        self.sent += 1
        return self.wire.send(request)


def test_a_transport_that_is_false_is_one() -> None:
    """What was given sends, whatever it counts."""
    with upstream(OK) as server:
        transport = Scripted(server.url)

        answer = Gate(server.url, transport=transport).get()

        assert (answer.status, transport.sent) == (200, 1)


def test_without_a_grant_nothing_is_lent() -> None:
    """401, and the upstream hears nothing."""
    with upstream(OK) as server:
        forwarder = Forwarder(server.url, auth=SERVICE, public_url=PUBLIC)

        answer = call(forwarder, request("/x", f"Bearer {'a' * 40}"))

        assert (answer.status, server.connections) == (401, 0)
        assert [value.partition(" ")[0] for value in answer.all("WWW-Authenticate")] == ["Bearer", "Basic"]


def test_a_bad_token_never_reaches_the_upstream() -> None:
    """Nor where the application behind would decide itself, nor where nobody may go on."""
    with upstream(OK) as server:
        for options in ({}, {"anonymous": True}):
            gate = Gate(server.url, {"missing": "annotate"}, **options)
            assert call(gate.app, request("/x", "Bearer nonsense")).status == 401
            assert call(gate.app, request("/x", "Basic YWxpY2U6cGFzc3dvcmQ=")).status == 401

        assert server.connections == 0


def test_nobody_goes_on_where_that_is_asked_for() -> None:
    """Bare: with no credential at all."""
    with upstream(OK) as server:
        gate = Gate(server.url, {"missing": "annotate"}, anonymous=True)

        assert call(gate.app, request("/x")).status == 200
        assert "authorization" not in sent(server)[1]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/rest/pat/latest/tokens", 403),
        ("/rest/auth/1/session", 403),
        ("/REST/AUTH/1/session", 403),
        ("/s/x/_/rest/pat/1.0/tokens", 403),
        ("/a//b", 400),
        ("/a/../b", 400),
        ("/a;b", 400),
        ("/a%2e%2e/b", 400),
    ],
)
def test_what_is_never_forwarded(path: str, status: int) -> None:
    """Without any policy, too."""
    with upstream(OK) as server:
        assert Gate(server.url).get(path).status == status
        assert server.connections == 0


@pytest.mark.parametrize(
    ("context", "mount", "path"),
    [
        ("/rest", "/rest", "/rest/auth/1/session"),
        ("/jira/rest", "/api", "/api/pat/latest/tokens"),
        ("/rest/auth", "", "/1/session"),
    ],
)
def test_what_is_never_forwarded_may_begin_in_the_context(context: str, mount: str, path: str) -> None:
    """It is the path at the upstream that counts."""
    with upstream(OK) as server:
        assert Gate(server.url + context, mount=mount).get(path).status == 403
        assert server.connections == 0


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ({"QUERY_STRING": "os_username=admin&os_password=x"}, 400),
        ({"method": "TRACE"}, 405),
        ({"method": "CONNECT"}, 405),
        ({"method": "PROPFIND"}, 405),
        ({"method": "get"}, 400),
        ({"method": "POST", "CONTENT_LENGTH": "1", "HTTP_TRANSFER_ENCODING": "chunked"}, 400),
        ({"method": "POST", "CONTENT_LENGTH": "+1"}, 400),
        ({"HTTP_ACCEPT": "a\r\nX: y"}, 400),
        ({"RAW_URI": "/x%2fy", "path": "/x/y"}, 400),
    ],
)
def test_what_is_wrong_is_said(keys: dict[str, Any], status: int) -> None:
    """And the upstream hears nothing."""
    with upstream(OK) as server:
        given = {"path": "/x", **keys}

        assert Gate(server.url).get(given.pop("path"), **given).status == status
        assert server.connections == 0


def test_a_mount_is_cut_off_and_others_are_not_there() -> None:
    """Below it the upstream's own context path stands."""
    with upstream(OK) as server:
        gate = Gate(f"{server.url}/tracker", mount="/jira")

        assert [gate.get(path).status for path in ("/jira/rest/x", "/rest/x", "/jirax")] == [200, 404, 404]
        assert sent(server)[0] == "GET /tracker/rest/x HTTP/1.1"


def test_each_mount_has_its_upstream() -> None:
    """The longest that fits."""
    with upstream(OK) as jira, upstream(OK) as wiki:
        mounts = Mounts(
            Forwarder(server.url, auth=SERVICE, public_url=PUBLIC, mount=mount)
            for server, mount in ((jira, "/a"), (wiki, "/a/wiki"))
        )
        gate = Gate(jira.url)
        gate.app = PATMiddleware(mounts, gate.store)

        assert [gate.get(path).status for path in ("/a/x", "/a/wiki/y", "/b")] == [200, 200, 404]
        assert [sent(server)[0] for server in (jira, wiki)] == ["GET /x HTTP/1.1", "GET /y HTTP/1.1"]


def test_two_at_one_mount_are_told() -> None:
    """At the start."""
    with pytest.raises(ConfigurationError, match="two upstreams"):
        Mounts(Forwarder("http://127.0.0.1:1", auth=SERVICE, public_url=PUBLIC) for _ in range(2))


REFUSING = [
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: OAuth\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-AUSERNAME: anonymous\r\n\r\n[]",
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nX-Authentication-Denied-Reason: CAPTCHA_CHALLENGE\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /login.jsp?os_destination=%2F\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /login.action?os_destination=%2F\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /login?next=/x\r\n\r\n",
]


@pytest.mark.parametrize("refusal", REFUSING)
def test_a_broken_link_is_no_fault_of_the_token(refusal: bytes, tmp_path: Path) -> None:
    """502, and a line in the audit that names the owner; also where the upstream says 200 to nobody."""
    with upstream(refusal) as server:
        audit = AuditLog(tmp_path / "audit")
        answer = Gate(server.url, audit=audit, errors="jira").get()
        audit.close()

        assert answer.status == 502
        assert answer.all("WWW-Authenticate") == []
        assert "requests of alice" in json.loads(answer.body)["errorMessages"][0]
        line = json.loads((tmp_path / "audit").read_text())
        assert (line["event"], line["owner"], line["method"]) == ("link.broken", "alice", "GET")


def test_a_broken_link_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """For administrators who keep no audit: of whom, and why."""
    with upstream(REFUSING[0]) as server:
        Gate(server.url).get()

        why = "The upstream does not take the credential that goes with the requests of alice"
        assert caplog.messages == [f"the link to {server.url} is broken for alice: {why}"]


@pytest.mark.parametrize("refusal", REFUSING[:2])
def test_a_token_of_the_clients_own_is_its_own_fault(refusal: bytes) -> None:
    """401: the upstream does not take it any more."""
    with upstream(refusal) as server:
        gate = Gate(server.url, {"keep_credential": True}, auth={"kind": "pass"})
        gate.secret = "MTIzNDU2Nzg5MDEyOgABAgMEBQYHCAkKCwwNDg8QERIT"
        Issuer(gate.store).adopt(gate.secret, owner="alice", name="of Jira's")

        assert gate.get().status == 401
        assert sent(server)[1]["authorization"] == f"Bearer {gate.secret}"


class Renewing:
    """A strategy whose credential is renewed once it was refused."""

    is_callers = False

    def __init__(self) -> None:
        self.number = 0

    def sign(self, request: UpstreamRequest, caller: Caller) -> UpstreamRequest:
        return UpstreamRequest(
            request.method,
            request.target,
            [*request.headers, ("X-Number", str(self.number))],
            request.body,
            request.length,
        )

    def refused(self, caller: Caller) -> bool:
        self.number += 1
        return True


def renewing(refusal: bytes) -> Iterator[Upstream]:
    def script(connection: socket.socket, number: int) -> None:
        while got := server.take(connection):
            connection.sendall(refusal if b"X-Number: 0" in got else OK)

    with upstream(script) as server:
        yield server


@pytest.mark.parametrize(
    ("refusal", "method", "length", "statuses", "count"),
    [
        (REFUSING[0], "POST", 10, [200], 2),
        (REFUSING[1], "GET", 0, [200], 2),
        # Carried out as nobody: not to be done again by itself.
        (REFUSING[1], "POST", 10, [503, 200], 2),
        # Gone with the first sending.
        (REFUSING[0], "PUT", 100_000, [503, 200], 2),
    ],
)
def test_what_was_refused_is_signed_anew_once(
    refusal: bytes, method: str, length: int, statuses: list[int], count: int
) -> None:
    """Where all of it is still in hand, and nothing was done; else the client is asked to send it again."""
    for server in renewing(refusal):
        gate = Gate(server.url, auth=Renewing())

        assert [gate.get(method=method, body=b"x" * length).status for _ in statuses] == statuses
        assert len(server.requests) == count


class Broken:
    is_callers = False

    def sign(self, request: UpstreamRequest, caller: Caller) -> UpstreamRequest:
        raise LinkError("alice has no credential there: run patmiddleware jira connect alice")

    def refused(self, caller: Caller) -> bool:
        raise AssertionError


def test_nobody_to_be() -> None:
    """The client hears what to do, and the upstream nothing."""
    with upstream(OK) as server:
        answer = Gate(server.url, auth=Broken()).get()

        assert (answer.status, answer.problem["detail"]) == (
            502,
            "alice has no credential there: run patmiddleware jira connect alice.",
        )
        assert server.connections == 0


def test_too_many_requests_is_passed_on() -> None:
    """With all that says when to come again."""
    limits = b"Retry-After: 3\r\nX-RateLimit-Limit: 10\r\nX-RateLimit-Remaining: 0\r\n"

    with upstream(b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n" + limits + b"\r\n") as server:
        answer = Gate(server.url).get()

        assert (answer.status, answer.all("Retry-After"), answer.all("X-RateLimit-Limit")) == (429, ["3"], ["10"])


@pytest.mark.parametrize(
    ("came", "status"),
    [
        (b"", 502),
        (b"nonsense\r\n\r\n", 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 502),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", 502),
        (b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 302),
        (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 304),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", 500),
    ],
)
def test_what_the_upstream_answers(came: bytes, status: int) -> None:
    """Comes back as it is; what is no answer is a 502. No redirect is followed."""
    with upstream(came) as server:
        assert Gate(server.url).get().status == status


def test_an_encoding_that_was_not_asked_for_is_no_answer() -> None:
    """Its links would get by."""
    odd = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}"

    with upstream(odd) as server:
        assert Gate(server.url).get().status == 502


def test_parts_are_for_files() -> None:
    """A part of a JSON answer could not be rewritten."""
    with upstream(OK) as server:
        gate = Gate(f"{server.url}/jira")
        for path in ("/rest/api/2/myself", "/secure/attachment/1/a.bin"):
            gate.get(path, HTTP_RANGE="bytes=0-1", HTTP_IF_RANGE="x")

        assert [sent(server, number)[1].get("range") for number in (0, 1)] == [None, "bytes=0-1"]


def test_an_upstream_that_is_not_there() -> None:
    """502, in words that do not name it."""
    answer = Gate("http://127.0.0.1:1").get()

    assert (answer.status, b"127.0.0.1" in answer.body) == (502, False)


def test_an_upstream_that_is_too_slow() -> None:
    """504."""
    with upstream(lambda connection, number: server.take(connection) and connection.recv(1) and None) as server:
        assert Gate(server.url, options={"timeout": 0.2}).get().status == 504


def test_an_answer_that_breaks_off_is_not_whole() -> None:
    """What came is passed on, and then the server is made to break off, too."""
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nabc"

    with upstream(short) as server, pytest.raises(UpstreamError, match="broke off in the middle"):
        Gate(server.url).get()


def test_a_small_answer_is_whole_or_none() -> None:
    """What is cut short is a 502."""
    with upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc") as server:
        assert Gate(server.url).get().status == 502


def test_a_small_answer_whose_links_are_rewritten_has_a_length() -> None:
    """Its own, so that the connection to the client can go on."""
    body = b'{"self":"http://jira.internal/x"}'
    json_ = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    with upstream(json_) as server:
        answer = Gate(server.url, base_urls=["http://jira.internal"]).get()

        assert answer.body == b'{"self":"https://api.example.org/x"}'
        assert answer.all("Content-Length") == [str(len(answer.body))]


def test_a_head_has_the_length_and_no_body() -> None:
    """As the upstream says."""
    with upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") as server:
        answer = Gate(server.url).get(method="HEAD")

        assert (answer.status, answer.body, answer.all("Content-Length")) == (200, b"", ["5"])


def test_each_request_that_goes_on_has_a_line(tmp_path: Path) -> None:
    """With the upstream's status, by the id of its decision."""
    with upstream(OK) as server:
        audit = AuditLog(tmp_path / "audit")
        Gate(server.url, {"audit": audit}, audit=audit).get("/rest")
        audit.close()

        decision, forwarded = map(json.loads, (tmp_path / "audit").read_text().splitlines())
        assert forwarded["request_id"] == decision["request_id"]
        assert {key: forwarded[key] for key in ("event", "owner", "status", "path", "upstream")} == {
            "event": "forwarded", "owner": "alice", "status": 200, "path": "/rest", "upstream": server.url,
        }  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"upstream": "nonsense"},
        {"public_url": "nonsense"},
        {"public_url": "https://x/?a"},
        {"mount": "x"},
        {"auth": {"kind": "none"}},
        {"auth": {}},
        {"headers": ["Cookie"]},
        {"errors": "xml"},
        {"realm": "\n"},
        {"base_urls": ["nonsense"]},
        {"anonymous": "no"},
        {"rewrite": "no"},
        {"raw_target": "chekc"},
        {"upstream": None},
        {"public_url": None},
        {"auth": None},
        {"auth": "bearer"},
        {"auth": {"kind": 3}},
        {"base_urls": PUBLIC},
        {"base_urls": [3]},
        {"base_urls": None},
        {"headers": "X-Trace"},
        {"schemes": "bearer"},
        {"realm": None},
        {"audit": "file:audit.jsonl"},
        {"transport": object()},
        {"options": [60]},
        {"clock": 3},
    ],
)
def test_settings_that_can_not_be(options: dict[str, Any]) -> None:
    """They are told at the start."""
    given = {"upstream": "http://127.0.0.1:1", "auth": SERVICE, "public_url": PUBLIC, **options}

    with pytest.raises(ConfigurationError):
        Forwarder(given.pop("upstream"), **given)
