"""Tokens that an authorization server answers for, over a real connection."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Asked, Loopback, Reply, authority, serving
from services.running import free_port

from patmiddleware.backends.introspection import IntrospectionReader
from patmiddleware.errors import BackendUnavailable, ConfigurationError
from patmiddleware.interfaces import Checkable, Revisioned
from patmiddleware.model import EPOCH, Secret, Token
from patmiddleware.testing import NOON, FakeClock, OutageContract, TokenReaderContract
from patmiddleware.tokens import mint_secret

NOW = NOON.timestamp()
CLAIMS: Mapping[str, Any] = {
    "active": True,
    "sub": "alice",
    "username": "Alice",
    "client_id": "ci",
    "scope": "read write",
    "iss": "https://issuer.example/",
    "aud": ["https://api.example", "https://other.example"],
    "iat": NOW - 60,
    "exp": NOW + 3600,
    "jti": "t1",
}
PASSWORD = "geheim :%/+\u00e9"


def reader_at(server: Loopback | str, **settings: Any) -> IntrospectionReader:
    url = server if isinstance(server, str) else server.url
    settings = {"client_id": "gate", "client_secret": PASSWORD, "clock": FakeClock(), **settings}
    return IntrospectionReader(f"introspection:{url}", **settings)


def answering(**claims: Any) -> Callable[[Asked], Reply]:
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    return lambda asked: Reply(json.dumps(said).encode())


def token_in(asked: Asked) -> str:
    [token] = parse_qs(asked.body.decode(), keep_blank_values=True)["token"]
    return token


def found(reader: IntrospectionReader, text: str = "x") -> Token | None:
    return reader.find(Secret(text))


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A server to which every token is a good one, until the test says otherwise."""
    with serving(answering()) as running:
        yield running


@pytest.fixture
def asking(server: Loopback) -> Iterator[Callable[..., IntrospectionReader]]:
    """Makes a reader that asks the server."""
    made = list[IntrospectionReader]()

    def make(**settings: Any) -> IntrospectionReader:
        made.append(reader_at(server, **settings))
        return made[-1]

    yield make
    for reader in made:
        reader.close()


class TestIntrospectionReader(TokenReaderContract):
    """The contract; what was revoked is not active, and says no more."""

    fields = ("id", "owner", "name", "scopes", "created", "expires")
    owners = tuple(owner for owner in TokenReaderContract.owners if owner.strip() and len(owner) <= 255)

    @pytest.fixture(autouse=True)
    def _server(self, server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
        self.server, self.asking = server, asking

    def make_reader(self, tokens: Mapping[str, Token]) -> IntrospectionReader:
        def answer(asked: Asked) -> Reply:
            token = tokens.get(token_in(asked))
            claims = {"active": False} if token is None or token.revoked else _claims(token)
            return Reply(json.dumps(claims).encode())

        self.server.answer = answer
        return self.asking()


def _claims(token: Token) -> dict[str, Any]:
    claims = {
        "active": True,
        "jti": token.id,
        "sub": token.owner,
        "client_id": token.name,
        "scope": " ".join(token.scopes),
        "iat": token.created.timestamp(),
        "exp": token.expires and token.expires.timestamp(),
    }
    return {name: value for name, value in claims.items() if value}


class TestUnreachable(OutageContract):
    """A server that is not there is an outage."""

    def make_unreachable(self) -> IntrospectionReader:
        return reader_at(f"http://127.0.0.1:{free_port()}/keys", timeout=0.5)


def test_reader_answers_to_the_protocols(asking: Callable[..., IntrospectionReader]) -> None:
    """It can be looked over, but does not know of changes: so it is cached for a second at the most."""
    reader = asking()

    assert isinstance(reader, Checkable)
    assert not isinstance(reader, Revisioned)
    assert "geheim" not in f"{reader!r} {vars(reader)['_terms']!r}"


def test_token_is_made_of_the_answer(asking: Callable[..., IntrospectionReader]) -> None:
    """Every field that the answer has is there."""
    assert found(asking()) == Token(
        id="t1",
        owner="alice",
        name="ci",
        scopes=frozenset({"read", "write"}),
        created=NOON - timedelta(seconds=60),
        expires=NOON + timedelta(seconds=3600),
        attributes={"iss": "https://issuer.example/"},
    )


def test_little_is_enough(server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
    """An answer may say no more than whose it is; then there is no end, and an id is derived."""
    server.answer = lambda asked: Reply(b'{"active": true, "sub": "alice"}')

    token, other = found(asking(), "x"), found(asking(), "y")

    assert token is not None
    assert other is not None
    assert (token.owner, token.scopes, token.created, token.expires) == ("alice", frozenset(), EPOCH, None)
    assert token.id != other.id


def test_question_is_that_of_the_rfc(server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
    """A form, with our own credentials encoded as in a form before they are encoded as Basic."""
    found(asking(), "a+b/c=&token=d")

    [asked] = server.asked
    assert (asked.method, asked.path) == ("POST", "/keys")
    assert parse_qs(asked.body.decode()) == {"token": ["a+b/c=&token=d"], "token_type_hint": ["access_token"]}
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert asked.headers["Accept"] == "application/json"
    scheme, _, pair = asked.headers["Authorization"].partition(" ")
    name, _, password = b64decode(pair).decode("ascii").partition(":")
    assert (scheme, unquote_plus(name), unquote_plus(password)) == ("Basic", "gate", PASSWORD)


def test_hint_may_be_left_out(server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
    """Some servers refuse what they don't know."""
    found(asking(token_type_hint=""))

    assert parse_qs(server.asked[0].body.decode()) == {"token": ["x"]}


@pytest.mark.parametrize("text", ["", "a b", "a\n", "\u00e9", "\0", "\udcff", "x" * 4097], ids=repr)
def test_what_no_token_looks_like_is_not_asked(
    server: Loopback, asking: Callable[..., IntrospectionReader], text: str
) -> None:
    """It costs no call."""
    assert (found(asking(), text), server.asked) == (None, [])


@pytest.mark.parametrize(
    ("claims", "settings"),
    [
        ({"active": False}, {}),
        ({"aud": "https://mallory.example"}, {"audience": "https://api.example"}),
        ({"aud": ...}, {"audience": "https://api.example"}),
        ({"aud": []}, {"audience": ["https://api.example"]}),
        ({"iss": "https://mallory.example/"}, {"issuer": "https://issuer.example/"}),
        ({"iss": ...}, {"issuer": "https://issuer.example/"}),
        ({"nbf": NOW + 11}, {}),
        ({"iat": NOW + 11}, {}),
    ],
    ids=str,
)
def test_token_that_is_not_for_us_is_none(
    server: Loopback,
    asking: Callable[..., IntrospectionReader],
    claims: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> None:
    """Not active, for somebody else, by somebody else, or not yet."""
    server.answer = answering(**claims)

    assert found(asking(**settings)) is None


def test_expired_token_is_given_as_it_is(server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
    """The caller judges it, though the server should have said that it is not active."""
    server.answer = answering(exp=NOW - 1)

    token = found(asking(leeway=60))

    assert token is not None
    assert token.expires == NOON - timedelta(seconds=1)


NONSENSE = {
    "nothing": b"",
    "a web page": b"<html>",
    "a list": b'[{"active": true}]',
    "true": b"true",
    "no active": b"{}",
    "active as text": b'{"active": "true", "sub": "alice"}',
    "inactive as text": b'{"active": "false", "sub": "alice"}',
    "active as a number": b'{"active": 1, "sub": "alice"}',
    "active as null": b'{"active": null}',
    "active twice": b'{"active": false, "active": true, "sub": "alice"}',
    "no owner": b'{"active": true}',
    "an owner that is a number": b'{"active": true, "sub": 7}',
    "an owner that is empty": b'{"active": true, "sub": ""}',
    "an owner with a line end": b'{"active": true, "sub": "a\\nb"}',
    "exp as text": b'{"active": true, "sub": "alice", "exp": "4102444800"}',
    "exp as true": b'{"active": true, "sub": "alice", "exp": true}',
    "exp as NaN": b'{"active": true, "sub": "alice", "exp": NaN}',
    "exp as infinity": b'{"active": true, "sub": "alice", "exp": 1e999}',
    "nbf as text": b'{"active": true, "sub": "alice", "nbf": "0"}',
    "aud as a number": b'{"active": true, "sub": "alice", "aud": 7}',
    "iss as a list": b'{"active": true, "sub": "alice", "iss": ["a"]}',
    "scope as a number": b'{"active": true, "sub": "alice", "scope": 7}',
    "too much": b'{"active": true, "sub": "alice", "x": "' + b"x" * 70_000 + b'"}',
    "too deep": b"[" * 60_000,
    "no UTF-8": b'{"active": true, "sub": "\xff"}',
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_an_outage(server: Loopback, asking: Callable[..., IntrospectionReader], body: bytes) -> None:
    """It says nothing of the token: neither that it is good nor that it is unknown."""
    server.answer = lambda asked: Reply(body)

    with pytest.raises(BackendUnavailable):
        found(asking(), "a-secret-token")


@pytest.mark.parametrize("status", [201, 204, 302, 307, 400, 404, 429, 500, 503])
def test_other_status_is_an_outage(server: Loopback, asking: Callable[..., IntrospectionReader], status: int) -> None:
    """Whatever the body says; and no redirect is followed, or our credentials would go along."""
    server.answer = lambda asked: Reply(
        b"" if status == 204 else json.dumps(CLAIMS).encode(), status, {"Location": f"{server.url}/there"}
    )

    with pytest.raises(BackendUnavailable, match=str(status)):
        found(asking())

    assert [asked.path for asked in server.asked] == ["/keys"]


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_name_the_settings(
    server: Loopback, asking: Callable[..., IntrospectionReader], status: int
) -> None:
    """In ``find`` and in ``check``, without a word of the secret or the token."""
    server.answer = lambda asked: Reply(b"{}", status)
    reader = asking()

    for act in (lambda: found(reader, "a-secret-token"), reader.check):
        with pytest.raises(BackendUnavailable, match=r"store\.client_id and store\.client_secret") as caught:
            act()
        assert "geheim" not in str(caught.value)
        assert "a-secret-token" not in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
    ids=lambda raw: repr(raw[:45]),
)
def test_broken_answer_is_an_outage(server: Loopback, asking: Callable[..., IntrospectionReader], raw: bytes) -> None:
    """Whatever comes over the wire."""
    server.answer = lambda asked: Reply(raw=raw)

    with pytest.raises(BackendUnavailable):
        found(asking())


FINAL = b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n" + b'{"active": true, "sub": "alice"}'


def test_interim_answers_are_passed_over(server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
    """Any number of any kind may come first: what follows them is the answer, and nobody else's."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\n\r\n"
    server.answer = lambda asked: Reply(raw=interim + FINAL)

    assert found(asking()) is not None


def test_answer_in_another_protocol_is_an_outage(server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
    """What follows is no answer to this question, nor to the next."""
    server.answer = lambda asked: Reply(raw=b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + FINAL)
    reader = asking()

    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="does not answer"):
            found(reader)


def test_check_finds_nothing_wrong_with_a_good_server(
    server: Loopback, asking: Callable[..., IntrospectionReader]
) -> None:
    """It asks about a token that there can't be."""
    server.answer = lambda asked: Reply(b'{"active": false}')

    asking().check()

    assert len(server.asked) == 1


def test_check_finds_a_server_that_takes_anything(asking: Callable[..., IntrospectionReader]) -> None:
    """Everybody would get in."""
    with pytest.raises(BackendUnavailable, match="takes any token"):
        asking().check()


# -- connections


def test_nothing_is_opened_at_the_start(server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
    """Servers fork afterwards."""
    asking()

    assert server.connections == 0


def test_connection_is_kept(server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
    """Ten calls, one connection; each call goes to the server."""
    reader = asking()

    for number in range(10):
        found(reader, f"x{number}")

    assert (len(server.asked), server.connections) == (10, 1)


def test_kept_connection_that_was_closed_is_replaced(
    server: Loopback, asking: Callable[..., IntrospectionReader]
) -> None:
    """A server ends idle connections as it likes: that is no outage."""
    reader = asking()
    server.answer = lambda asked: Reply(json.dumps(CLAIMS).encode(), hang_up=True)

    assert [found(reader) is None for _ in range(5)] == [False] * 5
    assert server.connections == 5


def test_refused_connection_is_told() -> None:
    """Whoever reads it knows that nothing runs there."""
    with pytest.raises(BackendUnavailable, match="refused"):
        found(reader_at(f"http://127.0.0.1:{free_port()}/keys"))


def test_too_many_calls_at_once_are_an_outage(server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
    """What waits for a connection waits no longer than for an answer, and the message says what was lacking."""
    over = threading.Event()
    server.answer = lambda asked: Reply(b"{}" if over.wait(20) else b"")
    reader, said = asking(pool=1, timeout=0.5), list[str]()

    def ask(name: str) -> None:
        with pytest.raises(BackendUnavailable) as caught:
            found(reader, name)
        said.append(str(caught.value))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, "abcdef"))
    over.set()

    assert len(said) == 6
    assert any("none came free" in words for words in said)


def test_call_is_repeated_once(server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
    """A server that hangs up each time is an outage after the second."""
    server.answer = lambda asked: Reply(raw=b"")

    with pytest.raises(BackendUnavailable):
        found(asking())

    assert len(server.asked) == 2


def test_closed_reader_opens_anew(server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
    """``close`` lets go of connections, no more."""
    reader = asking()
    found(reader)
    reader.close()

    assert found(reader) is not None
    assert server.connections == 2


DRIPS = [
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b" ", id="body"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX-Name: ", b"a", id="header"),
    pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="answers to come"),
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0", id="size of a chunk"),
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n", id="trailer"),
]


@pytest.mark.parametrize(("head", "drop"), DRIPS)
def test_drip_is_an_outage(
    server: Loopback, asking: Callable[..., IntrospectionReader], head: bytes, drop: bytes
) -> None:
    """A byte now and then does not hold a request for ever: the timeout is for the whole."""
    server.answer = lambda asked: Reply(raw=head + drop * 1_000, pause=0.05)
    began = time.monotonic()

    with pytest.raises(BackendUnavailable, match=r"not whole within|it took too long"):
        found(asking(timeout=0.4))

    assert time.monotonic() - began < 20


def test_forked_child_has_connections_of_its_own(server: Loopback, asking: Callable[..., IntrospectionReader]) -> None:
    """It never speaks into the parent's."""
    reader = asking()
    found(reader)

    child = multiprocessing.get_context("fork").Process(target=_ask_and_leave, args=(reader,))
    child.start()
    child.join(60)

    assert child.exitcode == 0
    assert found(reader) is not None
    assert server.connections == 2


def _ask_and_leave(reader: IntrospectionReader) -> None:
    os._exit(0 if found(reader) else 1)


def test_certificate_is_checked(tmp_path: Path) -> None:
    """Our credentials go to nobody else."""
    ca_file, context = authority(tmp_path)
    with serving(answering(), context) as server:
        trusting, careful = reader_at(server, ca_file=ca_file), reader_at(server)

        assert found(trusting) is not None
        with pytest.raises(BackendUnavailable, match="its certificate is refused"):
            found(careful)

        assert len(server.asked) == 1
        trusting.close()
        careful.close()


# -- settings


@pytest.mark.parametrize(
    ("address", "settings", "setting"),
    [
        ("http://issuer.example/introspect", {}, "store"),
        ("https://gate:geheim@issuer.example/introspect", {}, "store"),
        ("", {}, "store"),
        ("issuer.example", {}, "store"),
        ("https://issuer.example:0/introspect", {}, "store"),
        ("https://a", {"client_id": ""}, "store.client_id"),
        ("https://a", {"client_secret": None}, "store.client_secret"),
        ("https://a", {"client_secret": "\ud800"}, "store.client_secret"),
        ("https://a", {"pool": 0}, "store.pool"),
        ("https://a", {"token_type_hint": 5}, "store.token_type_hint"),
        ("https://a", {"token_type_hint": "\ud800"}, "store.token_type_hint"),
        ("https://a", {"ca_file": 5}, "store.ca_file"),
        ("https://a", {"timeout": 0}, "store.timeout"),
        ("https://a", {"ca_file": "/there/is/none"}, "store.ca_file"),
        ("https://a", {"owner_claim": ""}, "store.owner_claim"),
        ("https://a", {"audience": [1]}, "store.audience"),
    ],
)
def test_wrong_setting_is_refused(address: str, settings: dict[str, Any], setting: str) -> None:
    """The error names it, and shows no password."""
    pytest.importorskip("urllib3")
    with pytest.raises(ConfigurationError) as caught:
        reader_at(address, **settings)

    assert caught.value.problems[0].setting == setting
    assert "geheim" not in str(caught.value)


def test_other_address_is_refused() -> None:
    """By its kind."""
    with pytest.raises(ConfigurationError, match="no address of an introspection server"):
        IntrospectionReader("jwt:https://a", client_id="a", client_secret="b")


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """What mends it is in the message."""
    monkeypatch.setitem(sys.modules, "urllib3", None)

    with pytest.raises(ConfigurationError, match=r"patmiddleware\[introspection\]"):
        reader_at("https://a")


def test_username_may_be_the_owner(asking: Callable[..., IntrospectionReader]) -> None:
    """Where ``sub`` is but a number of the server's."""
    token = found(asking(owner_claim="username", scopes={"read": "view"}))

    assert token is not None
    assert (token.owner, token.scopes, token.attributes["sub"]) == ("Alice", {"view"}, "alice")


@pytest.fixture(scope="module")
def puppet() -> Iterator[tuple[Loopback, IntrospectionReader]]:
    """One server, and a reader of it, for all examples of a property."""
    with serving() as server:
        reader = reader_at(server)
        yield server, reader
        reader.close()


@given(body=st.binary(max_size=200) | st.from_regex(rb'\{"active": (true|false|1)(, "(sub|exp)": .{0,9})?\}?'))
def test_no_body_raises_anything_else(puppet: tuple[Loopback, IntrospectionReader], body: bytes) -> None:
    """Three outcomes, no fourth."""
    server, reader = puppet
    server.answer = lambda asked: Reply(body)

    try:
        token = found(reader, mint_secret())
    except BackendUnavailable:
        token = None

    assert token is None or token.owner
