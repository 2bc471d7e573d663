"""Requests signed for an application link: what is signed is what is sent."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from linked import CONSUMER, LinkedJira, is_signed, pem, private_key, public_pem
from upstreams import ALICE, PlainTransport, Site, get, serving

from patmiddleware.errors import ConfigurationError, LinkError
from patmiddleware.forwarder.signing import load_key
from patmiddleware.forwarder.strategies import OAuth1
from patmiddleware.interfaces import Caller, UpstreamRequest
from patmiddleware.model import Grant, Secret

ROOT = Path(__file__).parent.parent.parent.parent
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def jira() -> LinkedJira:
    return LinkedJira()


@pytest.fixture
def site(jira: LinkedJira) -> Iterator[Site]:
    with serving(jira) as site:
        yield site


def way_to(url: str, **settings: Any) -> OAuth1:
    return OAuth1(url, **{"consumer_key": CONSUMER, "private_key": private_key(), **settings})


def send(site: Site, request: UpstreamRequest) -> str:
    response = PlainTransport(site.url).send(request)
    body = b"".join(response.stream()).decode()
    response.close()
    assert response.status == 200, body
    return body


def authorization(request: UpstreamRequest) -> str:
    [value] = [value for name, value in request.headers if name.lower() == "authorization"]
    return value


def form(body: bytes | Iterator[bytes], kind: str = FORM, method: str = "POST") -> UpstreamRequest:
    return UpstreamRequest(method, "/jira/x?a=1", (("content-type", kind),), body)


@pytest.mark.parametrize(
    ("settings", "who"),
    [
        ({"token": "alices", "token_secret": Secret("s")}, "alice"),
        ({}, "the link itself"),
        ({"impersonate": True}, "José & Söhne+x"),
        ({"private_key": "PEM"}, "the link itself"),
    ],
)
def test_the_upstream_knows_who_it_is(site: Site, settings: dict[str, Any], who: str) -> None:
    """A user's token is that user's; two-legged it is the link itself, or the owner of our token."""
    if "private_key" in settings:
        settings = {"private_key": pem(private_key()).decode()}
    caller = Caller(Grant(token_id="t1", owner="José & Söhne+x"))

    assert send(site, way_to(site.url, **settings).sign(get("/jira/rest/api/2/myself"), caller)) == who


TARGETS = [
    "/jira/rest/api/2/search",
    "/jira/rest/api/2/search?",
    "/jira/rest/api/2/search?jql=project%20%3D%20OPS&maxResults=50",
    "/jira/rest/api/2/search?jql=project+%3D+OPS",
    "/jira/x?b=2&a=2&b=1&a=1",
    "/jira/x?a=&b&=c&&d==e",
    "/jira/x?q=%C3%A9%F0%9F%98%80&%C3%BC=1",
    "/jira/x?q=%c3%a9",
    "/jira/x?a=~-._!*'()@:/?$,;=",
    "/jira/x?a=1;b=2",
    "/jira/x?a=%26%3D%2B%25%3B%23",
    "/jira/x?a=%2526",
    "/jira/a%20b/%C3%A9%2Fx/~-._!*'(),:@$&=+",
    "/jira/a;v=1/b;w=2",
    "/x",
]
LOOSE = ['/jira/x?fields[]=a&f={"a":"b|c"}', "/jira/x?a=^`\\", "/jira/x?a=%", "/jira/x?a=%zz&b=%1", "/jira/x?q=%E9%ff"]
"""What oauthlib's server does not take, though other servers do."""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("impersonate", [False, True])
def test_what_is_signed_is_what_is_sent(site: Site, jira: LinkedJira, target: str, impersonate: bool) -> None:
    """A server that computes the signature from the raw target agrees, whatever stands in it."""
    signed = way_to(site.url, impersonate=impersonate).sign(get(target), ALICE)

    send(site, signed)
    [asked] = site.asked
    assert asked.environ["RAW_URI"] == signed.target
    assert signed.target.startswith(target)


@pytest.mark.parametrize("target", TARGETS + LOOSE)
@pytest.mark.parametrize(
    ("base", "origin"),
    [
        ("https://jira.example/jira", "https://jira.example"),
        ("https://JIRA.example:443/jira/", "https://jira.example"),
        ("http://jira.example:80", "http://jira.example"),
        ("https://jira.example:8443", "https://jira.example:8443"),
        ("http://[2001:db8::1]:8080/jira", "http://[2001:db8::1]:8080"),
    ],
)
def test_the_signature_holds_by_the_rfc(target: str, base: str, origin: str) -> None:
    """Computed anew from scheme, host, port and raw target, the default port left out (section 3.4.1.2)."""
    signed = way_to(base).sign(get(target), ALICE)

    assert is_signed(authorization(signed), "GET", f"{origin}{target}")
    assert not is_signed(authorization(signed), "GET", f"{origin}{target}&more=1")
    assert not is_signed(authorization(signed), "POST", f"{origin}{target}")


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
# One character that no parameter of the protocol has, for those are refused.
CODED = st.builds(lambda text, code: "." + code(text, safe=""), TEXT, st.sampled_from([quote, quote_plus]))


@settings(max_examples=50)
@given(st.lists(st.tuples(CODED, CODED)), st.lists(st.tuples(CODED, CODED)))
def test_any_parameters_are_signed(query: list[tuple[str, str]], body: list[tuple[str, str]]) -> None:
    """In the query and in a form, in any spelling, in any order, any number of times."""
    target, text = (("&".join(f"{name}={value}" for name, value in pairs)) for pairs in (query, body))
    request = replace(form(text.encode()), target=f"/x?{target}")

    signed = way_to("https://jira.example").sign(request, ALICE)

    assert is_signed(authorization(signed), "POST", f"https://jira.example/x?{target}", text.encode())
    assert (signed.target, signed.body) == (request.target, request.body)


@pytest.mark.parametrize("kind", [FORM, f"{FORM};charset=UTF-8", f"{FORM.upper()} ; charset=utf-8"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
def test_a_form_is_signed(method: str, kind: str) -> None:
    """Its parameters are part of the signature (section 3.4.1.3.1)."""
    signed = way_to("https://jira.example").sign(form(b"a=2&b=%20+", kind, method), ALICE)

    assert is_signed(authorization(signed), method, "https://jira.example/jira/x?a=1", b"a=2&b=%20+")
    assert not is_signed(authorization(signed), method, "https://jira.example/jira/x?a=1")


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
def test_other_bodies_are_not_signed(kind: str) -> None:
    """They may be streams, and stay so."""
    body = iter([b"a=2"])
    signed = way_to("https://jira.example").sign(form(body, kind), ALICE)

    assert is_signed(authorization(signed), "POST", "https://jira.example/jira/x?a=1")
    assert signed.body is body


def test_an_upstream_takes_a_form(site: Site) -> None:
    """A real server agrees on a form, with the length that it is sent with."""
    request = form(b"a=1&comment=%C3%A9+x")
    request = replace(request, length=len(request.body))  # type: ignore[arg-type]

    assert send(site, way_to(site.url, impersonate=True).sign(request, ALICE)) == "alice"


def test_each_signing_is_new(site: Site) -> None:
    """The same request signed twice is no repeated one: its nonce differs."""
    way = way_to(site.url)
    signed = [way.sign(get(), ALICE) for _ in range(3)]

    assert [send(site, request) for request in signed] == ["the link itself"] * 3
    assert len({authorization(request) for request in signed}) == 3


def test_all_stands_in_the_header(site: Site) -> None:
    """Neither the query nor the body gets a parameter of the protocol, and what the client sent is replaced."""
    signed = way_to(site.url).sign(get("/jira/x?a=1", ("AUTHORIZATION", "Bearer x")), ALICE)

    assert signed.target == "/jira/x?a=1"
    assert re.findall(r"(\w+)=", authorization(signed)) == [
        "oauth_nonce",
        "oauth_timestamp",
        "oauth_version",
        "oauth_signature_method",
        "oauth_consumer_key",
        "oauth_token",
        "oauth_signature",
    ]
    assert 'oauth_token=""' in authorization(signed)  # by which Jira knows that it has two legs


STILL_THERE = [
    "oauth_token=x",
    "oauth_consumer_key",
    "a=1&%6Fauth_token=x",
    "oauth%5Ftoken=x",
    "OAuth_Token=x",
    "xoauth_requestor_id=root",
    "xoauth%5frequestor_id=root",
    "XOAUTH_REQUESTOR_ID=root",
    "user_id=root",
    "oauth_",
]


@pytest.mark.parametrize("parameter", STILL_THERE)
@pytest.mark.parametrize("impersonate", [False, True])
def test_a_request_does_not_say_itself_for_whom_it_is(parameter: str, impersonate: bool) -> None:
    """Neither in the query nor in a form is anything signed that a client could be somebody by."""
    way = way_to("https://jira.example", impersonate=impersonate)

    for request in (get(f"/x?{parameter}"), form(parameter.encode())):
        with pytest.raises(LinkError, match="for whom it is"):
            way.sign(request, ALICE)


def test_a_form_in_pieces_is_not_signed() -> None:
    """It can't be read without being used up."""
    with pytest.raises(LinkError, match="in pieces"):
        way_to("https://jira.example").sign(form(iter([b"a=1"])), ALICE)


def test_a_path_that_oauthlib_would_change_is_not_signed() -> None:
    """Rather than be signed for another path."""
    with pytest.raises(LinkError, match="semicolon"):
        way_to("https://jira.example").sign(get("/a;?b=1"), ALICE)


def test_nobody_is_not_impersonated() -> None:
    """An owner without a name would be the link itself."""
    with pytest.raises(LinkError, match="no owner"):
        way_to("https://jira.example", impersonate=True).sign(get(), Caller(Grant(token_id="t1", owner="")))


def test_a_refusal_is_final() -> None:
    """Each signature is new already, and the link is ours."""
    way = way_to("https://jira.example")

    assert (way.refused(ALICE), way.is_callers) == (False, False)


def test_nothing_shows_the_key() -> None:
    """Neither the repr nor the attributes have it, nor the token's secret."""
    way = way_to("https://jira.example", private_key=pem(private_key()), token="tok", token_secret="geheim")

    assert "geheim" not in repr(way) + repr(vars(way))
    assert "PRIVATE KEY" not in repr(way) + repr(vars(way))


@pytest.mark.parametrize("given", [bytes, bytes.decode, load_key], ids=["bytes", "text", "object"])
def test_the_key_is_parsed_once(given: Any) -> None:
    """What signs has a key object in hand: a PEM text would be parsed and proved at each signature."""
    way = way_to("https://jira.example", private_key=given(pem(private_key())))

    assert not isinstance(way._client.signing.rsa_key, str | bytes)
    assert is_signed(authorization(way.sign(get("/x"), ALICE)), "GET", "https://jira.example/x")


KEYS: dict[str, tuple[Any, str]] = {
    "public": (lambda: public_pem(private_key()), "public half"),
    "encrypted": (lambda: pem(private_key(), b"geheim"), "encrypted"),
    "not RSA": (lambda: pem(ec.generate_private_key(ec.SECP256R1())), "no RSA key"),
    "nothing": (lambda: b"", "no private key"),
    "a path": (lambda: "jira.pem", "no private key"),
    "cut off": (lambda: pem(private_key())[:-200], "no private key"),
    "not ASCII": (lambda: "\u00e9", "no private key"),
}


@pytest.mark.parametrize(("make", "words"), KEYS.values(), ids=KEYS)
def test_what_is_no_private_key_is_refused(make: Any, words: str) -> None:
    """The setting is named, and no part of the key is shown."""
    key = make()
    with pytest.raises(ConfigurationError, match=words) as caught:
        way_to("https://jira.example", private_key=key)

    text = key.decode() if isinstance(key, bytes) else key
    assert caught.value.problems[0].setting == "app.auth.private_key"
    assert not any(line in str(caught.value) for line in text.splitlines() if len(line) > 30)


def test_an_old_key_is_taken() -> None:
    """Atlassian's manuals had 1024 bits for long, and such links are there."""
    assert load_key(pem(private_key(1024))).key_size == 1024


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"consumer_key": ""}, "app.auth.consumer_key"),
    ({"consumer_key": "a\nb"}, "app.auth.consumer_key"),
    ({"impersonate": "yes"}, "app.auth.impersonate"),
    ({"impersonate": True, "token": "x"}, "app.auth.impersonate"),
    ({"token": "a\r\n"}, "app.auth.token"),
]


@pytest.mark.parametrize(("settings", "setting"), REFUSED)
def test_settings_that_can_not_be_are_refused(settings: dict[str, Any], setting: str) -> None:
    """The setting is named."""
    with pytest.raises(ConfigurationError) as caught:
        way_to("https://jira.example", **settings)

    assert [problem.setting for problem in caught.value.problems] == [setting]


@pytest.mark.parametrize(
    "url",
    ["", "jira.example", "ftp://jira.example", "https://u:geheim@h/", "https://h/?a", "https://h/#a", "https:///x"],
)
def test_an_address_that_can_not_be_signed_is_refused(url: str) -> None:
    """It must have a scheme and a host, and neither a user, a query nor a fragment."""
    with pytest.raises(ConfigurationError) as caught:
        way_to(url)

    assert caught.value.problems[0].setting == "app.upstream"
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("package", ["oauthlib", "cryptography"])
def test_a_missing_package_is_named(package: str) -> None:
    """The message says which extra mends it."""
    program = f"""
import sys
sys.modules[{package!r}] = None
from patmiddleware.errors import ConfigurationError
from patmiddleware.forwarder.strategies import OAuth1
try:
    OAuth1("https://h", consumer_key="k", private_key="x")
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "pip install 'patmiddleware[forward]'" in done.stdout
