"""What a client can make reach the upstream, over raw sockets and each server: only what is meant to.

The application is built from a settings file, as ``gunicorn patmiddleware.wsgi`` builds it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from services.jira import PASSWORDS, JiraServer, jira
from wire import Reply, Server, servers, serving

from patmiddleware import Issuer
from patmiddleware.config import Config, store_of
from patmiddleware.demo.standin import Seen
from patmiddleware.interfaces import TokenStore

pytest.importorskip("urllib3", reason="needs the extra forward")

SETTINGS = """
[store]
url = "file:tokens"
[policy]
preset = "jira"
[middleware]
errors = "jira"
[app]
upstream = "{upstream}"
public_url = "https://api.example.org"
auth = {{kind = "basic", username = "svc-gate", password = {{env = "JIRA_PASSWORD"}}}}
timeout = 3
"""
OURS = {"host", "accept-encoding", "authorization", "user-agent"}
SERVICE = "Basic " + b64encode(f"svc-gate:{PASSWORDS['svc-gate']}".encode()).decode()


@dataclass
class Chain:
    """A gate on some server, the stand-in behind it, and a token that may do anything."""

    server: Server
    jira: JiraServer
    secret: str
    number: int = 0

    def ask(
        self,
        target: str | bytes,
        *headers: str | bytes,
        method: str | bytes = "GET",
        body: bytes = b"",
        patience: float | None = None,
    ) -> Reply:
        """Ask with the token."""
        self.number += 1
        mine = (f"User-Agent: test/{self.number}", f"Authorization: Bearer {self.secret}")
        return self.server.ask(target, *mine, *headers, method=method, body=body, patience=patience)

    @property
    def seen(self) -> list[Seen]:
        """What arrived of the last request; of one before it something may still be on its way."""
        return [seen for seen in self.jira.log if seen.all("User-Agent") == [f"test/{self.number}"]]


@pytest.fixture(scope="module", params=servers)
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp(request.param)
    environ = {"JIRA_PASSWORD": PASSWORDS["svc-gate"], "PATMIDDLEWARE_CONFIG": str(folder / "patmiddleware.toml")}
    with jira(context="/jira") as upstream:
        (folder / "patmiddleware.toml").write_text(SETTINGS.format(upstream=upstream.url))
        store = store_of(Config.from_file(folder / "patmiddleware.toml", environ))
        assert isinstance(store, TokenStore)
        secret = Issuer(store).mint(owner="alice", name="all", scopes={"SYSTEM_ADMIN"}).secret
        with serving(request.param, folder, "patmiddleware.wsgi:application", environ) as server:
            yield Chain(server, upstream, secret)


def test_a_plain_request(chain: Chain) -> None:
    """What is meant to arrive does, with the service's credential, and with nothing of the client's."""
    reply = chain.ask("/rest/api/2/myself?expand=groups", "Accept: application/json")

    [seen] = chain.seen
    assert reply.status == 200
    assert (seen.method, seen.target, seen.user, seen.how) == (
        "GET", "/jira/rest/api/2/myself?expand=groups", "svc-gate", "basic",
    )  # fmt: skip
    assert seen.all("Authorization") == [SERVICE]
    assert {name.lower() for name, _ in seen.headers} == OURS | {"accept"}


SMUGGLED = [
    "Cookie: JSESSIONID=1; seraph.rememberme.cookie=2",
    "X-Forwarded-User: admin", "X_Forwarded_User: admin", "Remote-User: admin", "X-AUSERNAME: admin",
    "X-Seraph-LoginReason: OK", "X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1",
    "X-HTTP-Method-Override: DELETE", "X-Original-URL: /secure/admin", "X-Rewrite-URL: /secure/admin",
    "Proxy-Authorization: Basic YWRtaW46YWRtaW4=", "Proxy-Connection: keep-alive", "Keep-Alive: timeout=5",
    "TE: trailers", "Trailer: Authorization", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "X-Anything: at all", "Max-Forwards: 0", "Via: 1.0 x", "Content-Length2: 5",
]  # fmt: skip


@pytest.mark.parametrize("header", SMUGGLED)
def test_no_other_header_arrives(chain: Chain, header: str) -> None:
    """Whatever it says; the request goes on without it."""
    reply = chain.ask("/rest/api/2/serverInfo", header)

    # Some servers refuse some of these themselves, or take an upgrade for their own.
    assert [{name.lower() for name, _ in seen.headers} - OURS for seen in chain.seen] in ([set()], [])
    assert bool(chain.seen) == (reply.status == 200)


@pytest.mark.parametrize(
    "connection",
    ["close, Authorization", "close, Host", "close, Accept-Encoding, authorization", "Authorization, close"],
)
def test_what_the_connection_names_of_ours_stays(chain: Chain, connection: str) -> None:
    """A client can't take away what we add."""
    chain.ask("/rest/api/2/serverInfo", f"Connection: {connection}")

    for seen in chain.seen:
        assert seen.all("Authorization") == [SERVICE]


TARGETS = [
    "/rest/api/2/../../secure/admin", "/rest/api/2/%2e%2e/%2e%2e/secure/admin", "/rest/api/2/..;/x",
    "//rest/api/2/myself", "/rest//api/2/myself", "/rest/api/2/issue%2fDEMO-1", "/rest/api/2/issue%5cDEMO-1",
    "/rest/api/2/issue/DEMO-1;x=y", "/rest/api/2/issue/DEMO-1%00", "/rest/api/2/issue/DEMO-1%0d%0aX:y",
    "/rest/api/2/issue/%252e%252e", "/rest/api/2/%ff", "/rest/pat/latest/tokens", "/rest/PAT/latest/tokens",
    "/rest/auth/1/session", "/rest/auth/latest/session.json", "/rest/%70at/latest/tokens",
    "/s/x/_/rest/auth/1/session", "/rest/api/2/myself?os_username=admin&os_password=admin",
    "/rest/api/2/myself?%6fs_username=admin", "/rest/api/2/myself?a=1;os_username=admin",
    "/secure/admin/ViewUsers.jspa", "/login.jsp", "/plugins/servlet/oauth/authorize",
    "http://evil.example/rest/api/2/myself", "*", "rest/api/2/myself", "/rest/api/2/myself#x",
    "/jira/rest/pat/latest/tokens",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_what_could_be_read_in_two_ways_or_is_never_forwarded(chain: Chain, target: str) -> None:
    """Nothing of it arrives, but where the server itself has made one plain path of it."""
    reply = chain.ask(target)

    if chain.seen:  # such as an absolute target of which the server gives us the path alone
        [seen] = chain.seen
        assert seen.target in ("/jira/rest/api/2/myself", "/jira/rest/api/2/issue/DEMO-1")
        assert reply.status == 200
    else:
        assert reply.status is None or 400 <= reply.status < 500


@pytest.mark.parametrize(
    "name", ["oauth_token", "oauth_signature", "xoauth_requestor_id", "user_id", "OAUTH_consumer_key"]
)
def test_parameters_that_say_who_it_is_are_taken_out(chain: Chain, name: str) -> None:
    """The rest of the query goes on as it came."""
    chain.ask(f"/rest/api/2/serverInfo?a=%20b&{name}=admin&c")

    assert [seen.target for seen in chain.seen] == ["/jira/rest/api/2/serverInfo?a=%20b&c"]


TWICE: list[tuple[list[str], bytes]] = [
    (["Content-Length: 5", "Transfer-Encoding: chunked"], b"0\r\n\r\nGET /x HTTP/1.1\r\n\r\n"),
    (["Content-Length: 5", "Content-Length: 6"], b"{}   x"),
    (["Content-Length: +2"], b"{}"),
    (["Content-Length: 2_0"], b"{}"),
    (["Content-Length: 0x2"], b"{}"),
    (["Transfer-Encoding: xchunked"], b"2\r\n{}\r\n0\r\n\r\n"),
    (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], b"2\r\n{}\r\n0\r\n\r\n"),
    (["Transfer-Encoding:\x0bchunked"], b"2\r\n{}\r\n0\r\n\r\n"),
]


@pytest.mark.parametrize(("headers", "body"), TWICE)
def test_a_length_in_two_ways_is_one_or_none(chain: Chain, headers: list[str], body: bytes) -> None:
    """There is no second request in the first, and one framing, which is ours."""
    chain.ask("/rest/api/2/issue", *headers, "Content-Type: application/json", method="POST", body=body)

    for seen in chain.seen:  # where the server itself has decided for one of them
        assert (seen.method, seen.target) == ("POST", "/jira/rest/api/2/issue")
        assert len(seen.all("Transfer-Encoding") + seen.all("Content-Length")) == 1
        assert body.startswith(seen.body)


CUT_SHORT: list[tuple[list[str], bytes]] = [
    (["Transfer-Encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n"),
    (["Transfer-Encoding: chunked"], b"2\r\n{}"),
    (["Content-Length: 20"], b"{}"),
    (["Content-Length: 200000"], b"{" + b" " * 100_000),
]


@pytest.mark.parametrize(("headers", "body"), CUT_SHORT)
def test_a_body_that_is_cut_short_is_none(chain: Chain, headers: list[str], body: bytes) -> None:
    """The upstream sees no request, or one that breaks off."""
    kind = "Content-Type: application/json"
    chain.ask("/rest/api/2/issue", *headers, kind, method="POST", body=body, patience=1.0)

    assert {seen.status for seen in chain.seen} <= {0}


def test_a_body_in_chunks_arrives_whole(chain: Chain) -> None:
    """Where the server decodes chunks; else the client is asked for a length."""
    sent = b'5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n'

    reply = chain.ask(
        "/rest/api/2/search", "Transfer-Encoding: chunked", "Content-Type: application/json", method="POST", body=sent
    )

    if chain.seen:
        assert [seen.body for seen in chain.seen] == [b'{"a":1}']
    else:
        assert reply.status in (411, 501)


def test_a_form_is_looked_through(chain: Chain) -> None:
    """Jira's login parameters are refused there, too."""
    form = b"summary=x&os_username=admin&os_password=admin"

    reply = chain.ask(
        "/rest/api/2/search",
        "Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(form)}",
        method="POST", body=form,
    )  # fmt: skip

    assert (reply.status, chain.seen) == (400, [])


@pytest.mark.parametrize("expect", ["100-continue", "nonsense"])
def test_an_expectation_is_the_servers(chain: Chain, expect: str) -> None:
    """It is answered in front, and never passed on."""
    chain.ask(
        "/rest/api/2/search", f"Expect: {expect}", "Content-Length: 2", "Content-Type: application/json",
        method="POST", body=b"{}",
    )  # fmt: skip

    for seen in chain.seen:
        assert (seen.body, seen.all("Expect")) == (b"{}", [])


@pytest.mark.parametrize(
    "credential",
    [
        "Authorization: Basic YWxpY2U6YWxpY2UncyBwYXNzd29yZA==",
        "Authorization: Bearer pat_nonsense",
        "Authorization: Bearer MTIzNDU2Nzg5MDEyOgABAgMEBQYHCAkKCwwNDg8QERIT",
        'Authorization: OAuth oauth_consumer_key="gate"',
        "Cookie: JSESSIONID=1",
        "X-Nothing: 1",
    ],
)
def test_without_a_token_nothing_arrives(chain: Chain, credential: str) -> None:
    """Nor is a failed login counted at the upstream."""
    query = f"nobody={chain.number}"  # what an earlier request left may still be on its way

    assert chain.server.ask(f"/rest/api/2/serverInfo?{query}", credential).status == 401
    assert [seen for seen in chain.jira.log if query in seen.target] == []


def test_a_session_of_the_upstreams_does_not_come_back(chain: Chain) -> None:
    """Nor its challenges; links lead to us, and the user is the token's owner."""
    reply = chain.ask("/rest/api/2/myself")

    assert reply.all("Set-Cookie") == reply.all("WWW-Authenticate") == []
    assert reply.all("X-AUSERNAME") == ["alice"]
    assert b"https://api.example.org/rest/api/2/user?" in reply.body
    assert chain.jira.url.encode() not in reply.body
