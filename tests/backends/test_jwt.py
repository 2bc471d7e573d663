"""Tokens that are signed elsewhere: the contract, and what must not get in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from issuing import (
    AUDIENCE,
    CLAIMS,
    ISSUER,
    NOW,
    ec_key,
    ed_key,
    issued,
    jwk,
    key_file,
    pem,
    rsa_key,
    secret_jwk,
    signed,
    text,
)

from patmiddleware import PATMiddleware
from patmiddleware.backends.jwt import JWTReader
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.errors import BackendUnavailable, ConfigurationError, RefusedError, UnknownTokenError
from patmiddleware.interfaces import Checkable, Revisioned, TokenReader
from patmiddleware.issuer import Issuer
from patmiddleware.model import Revocation, Secret, Token
from patmiddleware.testing import (
    NOON,
    FakeClock,
    FlakyStore,
    OutageContract,
    TokenReaderContract,
    TokenTestApp,
    sample_token,
)

Making = Callable[..., JWTReader]
HEADER = {"alg": "EdDSA", "typ": "at+jwt", "kid": "k1"}


def reader_of(file: Path, **settings: Any) -> JWTReader:
    settings = {"issuer": ISSUER, "audience": AUDIENCE, "clock": FakeClock(), **settings}
    return JWTReader(f"jwt:{file}", **settings)


@pytest.fixture
def reading(tmp_path: Path) -> Making:
    """Makes a reader with the one key ``k1``, or with those that are given."""

    def make(*keys: Mapping[str, Any], **settings: Any) -> JWTReader:
        return reader_of(key_file(tmp_path, *(keys or [jwk(ed_key(), kid="k1")])), **settings)

    return make


def found(reader: JWTReader, token: str) -> Token | None:
    return reader.find(Secret(token))


class TestJWTReader(TokenReaderContract):
    """The contract. Each token is signed with a key of its own, so that a reader knows exactly those it was given."""

    fields = ("id", "owner", "name", "scopes", "created", "expires", "revoked")
    owners = tuple(owner for owner in TokenReaderContract.owners if owner.strip() and len(owner) <= 255)

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def bare_token(self) -> Token:
        return Token(id="bare", owner="alice", created=NOON, expires=NOON + timedelta(hours=1))

    def secret_for(self, token: Token) -> str:
        assert token.expires is not None
        return issued(
            ed_key(token.id),
            header={"kid": token.id},
            jti=token.id,
            sub=token.owner,
            client_id=token.name or ...,
            scope=" ".join(sorted(token.scopes)) or ...,
            iat=token.created.timestamp(),
            exp=token.expires.timestamp(),
        )

    def publish(self, tokens: Mapping[str, Token]) -> Path:
        """Write a file with the key of each token, and of one that is never used: there is always one."""
        ids = ["spare", *(token.id for token in tokens.values())]
        return key_file(self.folder, *(jwk(ed_key(id), kid=id) for id in ids))

    def change_reader(self, reader: TokenReader, tokens: Mapping[str, Token]) -> None:
        self.publish(tokens)

    def make_reader(self, tokens: Mapping[str, Token]) -> JWTReader:
        clock = FakeClock()
        reader = reader_of(self.publish(tokens), deny=MemoryStore(), clock=clock)
        for secret, token in tokens.items():
            if token.revoked:
                clock.seconds = token.revoked.at.timestamp()
                reader.revoke(Secret(secret), by=token.revoked.by, why=token.revoked.why)
        return reader


class TestLostFile(OutageContract):
    """A file of keys that is gone is an outage of every token that could be one."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_unreachable(self) -> Any:
        file = key_file(self.folder, jwk(ed_key(), kid="k1"))
        reader = reader_of(file)
        file.unlink()
        return OfOneToken(reader)


class OfOneToken:
    """Takes every secret for one good token: the contract's own secrets are no JWTs, which need no key."""

    def __init__(self, reader: JWTReader) -> None:
        self.find = lambda secret: reader.find(Secret(issued()))
        self.revision = reader.revision


def test_token_is_made_of_the_claims(reading: Making) -> None:
    """Every field that a JWT has is there; nothing else is made up."""
    token = found(reading(), issued(networks=["10.0.0.0/8"], limits={"project": ["OPS"]}))

    assert token == Token(
        id="t1",
        owner="alice",
        name="ci",
        scopes=frozenset({"read", "write"}),
        created=NOON - timedelta(seconds=60),
        expires=NOON + timedelta(seconds=3600),
        attributes={"iss": ISSUER},
    )


def test_reader_answers_to_the_protocols(reading: Making) -> None:
    """It has a revision, can be looked over, and holds no token of our own format."""
    reader = reading()

    assert isinstance(reader, Revisioned)
    assert isinstance(reader, Checkable)
    assert (reader.prefix, reader.foreign, repr(reader)) == ("pat", True, f"<JWTReader of {ISSUER}>")


# -- algorithms and keys


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa_key(), "RS256"),
        (rsa_key(), "RS384"),
        (rsa_key(), "RS512"),
        (rsa_key(), "PS256"),
        (rsa_key(), "PS384"),
        (rsa_key(), "PS512"),
        (ec_key(), "ES256"),
        (ec_key(ec.SECP384R1), "ES384"),
        (ec_key(ec.SECP521R1), "ES512"),
        (ec_key(ec.SECP256K1), "ES256K"),
        (ed_key(), "EdDSA"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_algorithm_is_taken_from_a_key_that_is_for_it(reading: Making, key: Any, algorithm: str) -> None:
    """And from no key that is for another one."""
    reader = reading(jwk(key, algorithm, kid="k1", alg=algorithm), algorithms=[algorithm])

    assert found(reader, issued(key, algorithm)) is not None
    assert found(reader, issued(ed_key("other"), "EdDSA")) is None


@pytest.mark.parametrize("size", [32, 64])
def test_shared_secret_is_taken_from_a_file(reading: Making, size: int) -> None:
    """HS256 works with a key of the kind oct, where the settings name it."""
    reader = reading(secret_jwk(b"s" * size, kid="k1"), algorithms=["HS256"])

    assert found(reader, issued(b"s" * size, "HS256")) is not None
    assert found(reader, issued(b"t" * size, "HS256")) is None


def _other_s(token: str) -> str:
    """The other signature that ECDSA has for the same message: anybody can make it of the first."""
    message, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    return f"{message}.{text(r.to_bytes(32, 'big') + (order - s).to_bytes(32, 'big'))}"


def _spelled_otherwise(token: str) -> str:
    """The same bytes with other idle bits at the end."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


FORGED: Mapping[str, Callable[[], str]] = {
    "no algorithm": lambda: signed({"typ": "at+jwt", "kid": "k1"}, CLAIMS, ed_key(), "EdDSA"),
    "none": lambda: f"{text(json.dumps({**HEADER, 'alg': 'none'}).encode())}.{text(json.dumps(CLAIMS).encode())}.",
    "none with a signature": lambda: signed({**HEADER, "alg": "none"}, CLAIMS, ed_key(), "EdDSA"),
    "nOnE": lambda: signed({**HEADER, "alg": "nOnE"}, CLAIMS, ed_key(), "EdDSA"),
    "HS256 with the public key as PEM": lambda: _confused(pem(rsa_key())),
    "HS256 with the public key as JWK": lambda: _confused(json.dumps(jwk(rsa_key(), "RS256", kid="rsa")).encode()),
    "HS256 with an empty secret": lambda: _confused(b""),
    "RS384 of a key for RS256": lambda: issued(rsa_key(), "RS384", {"kid": "rsa"}),
    "PS256 of a key for RS256": lambda: issued(rsa_key(), "PS256", {"kid": "rsa"}),
    "the key of another kid": lambda: issued(ed_key(), "EdDSA", {"kid": "k2"}),
    "a kid that is not there": lambda: issued(header={"kid": "../../dev/null"}),
    "no kid, though there are several keys": lambda: issued(header={"kid": ...}),
    "a kid that is null": lambda: issued(header={"kid": None}),
    "a kid that is a number": lambda: issued(header={"kid": 1}),
    "a kid that is empty": lambda: issued(header={"kid": ""}),
    "a kid that is too long": lambda: issued(header={"kid": "k" * 256}),
    "an alg that is a list": lambda: signed({**HEADER, "alg": ["EdDSA"]}, CLAIMS, ed_key(), "EdDSA"),
    "a foreign key": lambda: issued(ed_key("mallory")),
    "a foreign key that it brings along": lambda: issued(ed_key("mallory"), header={"jwk": jwk(ed_key("mallory"))}),
    "jwk": lambda: issued(header={"jwk": jwk(ed_key())}),
    "jku": lambda: issued(header={"jku": "https://mallory.example/keys"}),
    "x5u": lambda: issued(header={"x5u": "https://mallory.example/chain"}),
    "crit": lambda: issued(header={"crit": ["exp"], "exp": NOW + 60}),
    "an empty crit": lambda: issued(header={"crit": []}),
    "b64": lambda: issued(header={"b64": True}),
    "b64 that is not true": lambda: issued(header={"b64": False, "crit": ["b64"]}),
    "zip": lambda: issued(header={"zip": "DEF"}),
    "enc": lambda: issued(header={"enc": "A256GCM"}),
    "an ID token": lambda: issued(header={"typ": "id+jwt"}),
    "a logout token": lambda: issued(header={"typ": "logout+jwt"}),
    "no typ": lambda: issued(header={"typ": ...}),
    "a typ that is null": lambda: issued(header={"typ": None}),
    "a typ that is a list": lambda: issued(header={"typ": ["JWT"]}),
    "a typ of another family": lambda: issued(header={"typ": "text/at+jwt"}),
    "an empty signature": lambda: issued().rpartition(".")[0] + ".",
    "a signature of zeros": lambda: f"{issued(ec_key(), 'ES256', {'kid': 'ec'}).rpartition('.')[0]}.{text(bytes(64))}",
    "a signature in DER": lambda: _der(),
    "a signature that is longer": lambda: issued() + "AA",
    "other idle bits": lambda: _spelled_otherwise(issued()),
    "padding": lambda: issued() + "==",
    "other claims": lambda: _swapped(sub="mallory"),
    "four parts": lambda: issued() + ".AAAA",
    "two parts": lambda: issued().rpartition(".")[0],
    "five parts": lambda: "eyJhbGciOiJkaXIifQ..AAAA.AAAA.AAAA",
    "a blank within": lambda: issued().replace(".", ". ", 1),
    "a line end": lambda: issued() + "\n",
    "the other base64": lambda: "+/+/." + issued().partition(".")[2],
    "JSON serialization": lambda: json.dumps({"payload": "e30", "signatures": []}),
    "alg twice": lambda: signed(b'{"alg":"none","alg":"EdDSA","kid":"k1","typ":"JWT"}', CLAIMS, ed_key(), "EdDSA"),
    "kid twice": lambda: signed(b'{"alg":"EdDSA","kid":"k2","kid":"k1","typ":"JWT"}', CLAIMS, ed_key(), "EdDSA"),
    "a header that is a list": lambda: signed(b"[]", CLAIMS, ed_key(), "EdDSA"),
    "a header that is text": lambda: signed(b'"alg"', CLAIMS, ed_key(), "EdDSA"),
    "a header in UTF-16": lambda: signed(json.dumps(HEADER).encode("utf-16"), CLAIMS, ed_key(), "EdDSA"),
    "a header with a byte order mark": lambda: signed(
        b"\xef\xbb\xbf" + json.dumps(HEADER).encode(), CLAIMS, ed_key(), "EdDSA"
    ),
    "a header that is no UTF-8": lambda: signed(b'{"alg":"EdDSA","kid":"\xff"}', CLAIMS, ed_key(), "EdDSA"),
    "a header that is deep": lambda: signed(b"[" * 1400, b"{}", ed_key(), "EdDSA"),
    "claims that are deep": lambda: signed(HEADER, b'{"a":' * 500 + b"1" + b"}" * 500, ed_key(), "EdDSA"),
    "claims that are very deep": lambda: signed(HEADER, b"[" * 2500, ed_key(), "EdDSA"),
    "claims that are a list": lambda: signed(HEADER, b"[]", ed_key(), "EdDSA"),
    "claims that are nothing": lambda: signed(HEADER, b"null", ed_key(), "EdDSA"),
    "claims that are no JSON": lambda: signed(HEADER, b"sub=alice", ed_key(), "EdDSA"),
    "claims with something behind": lambda: signed(HEADER, json.dumps(CLAIMS).encode() + b"{}", ed_key(), "EdDSA"),
    "sub twice": lambda: signed(HEADER, json.dumps(CLAIMS).encode()[:-1] + b', "sub": "mallory"}', ed_key(), "EdDSA"),
    "a name twice within": lambda: signed(
        HEADER, json.dumps(CLAIMS).encode()[:-1] + b', "x": {"a": 1, "a": 2}}', ed_key(), "EdDSA"
    ),
    "a token within a token": lambda: signed({**HEADER, "cty": "JWT"}, issued().encode(), ed_key(), "EdDSA"),
}


def _confused(secret: bytes) -> str:
    """A token that takes a public key for a shared secret. Signed by hand: PyJWT refuses to."""
    message = issued(ed_key(), "EdDSA", {"alg": "HS256", "kid": "rsa"}).rpartition(".")[0]
    return f"{message}.{text(hmac.new(secret, message.encode(), hashlib.sha256).digest())}"


def _der() -> str:
    message = issued(ec_key(), "ES256", {"kid": "ec"}).rpartition(".")[0]
    return f"{message}.{text(ec_key().sign(message.encode(), ec.ECDSA(SHA256())))}"


def _swapped(**claims: Any) -> str:
    head, _, signature = issued().split(".")
    return f"{head}.{text(json.dumps({**CLAIMS, **claims}).encode())}.{signature}"


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_forged_token_is_none(reading: Making, forged: Callable[[], str]) -> None:
    """Whatever is wrong with a header, a signature or the form, the token is unknown."""
    reader = reading(
        jwk(ed_key(), kid="k1"),
        jwk(ed_key("k2"), kid="k2"),
        jwk(rsa_key(), "RS256", kid="rsa"),
        jwk(ec_key(), "ES256", kid="ec"),
    )

    assert found(reader, issued()) is not None
    assert found(reader, forged()) is None


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt", "Application/JWT"])
def test_type_is_compared_as_a_media_type(reading: Making, typ: str) -> None:
    """In any case, with or without ``application/``."""
    assert found(reading(), issued(header={"typ": typ})) is not None


@pytest.mark.parametrize("nothing", ["", None])
def test_token_without_a_type_is_taken_where_that_is_said(reading: Making, nothing: str | None) -> None:
    """An empty text, or None, among the types stands for it."""
    reader = reading(typ=["at+jwt", nothing])

    assert found(reader, issued(header={"typ": ...})) is not None
    assert found(reader, issued(header={"typ": "JWT"})) is None


@pytest.mark.parametrize("header", [{"x5c": ["MIIB"]}, {"x5t": "AAAA"}, {"nonce": "1"}], ids=str)
def test_other_headers_say_nothing(reading: Making, header: dict[str, Any]) -> None:
    """What is not used is not looked at."""
    assert found(reading(), issued(header=header)) is not None


# -- claims

WRONG: Mapping[str, Mapping[str, Any]] = {
    "no iss": {"iss": ...},
    "iss of another": {"iss": "https://mallory.example/"},
    "iss that begins alike": {"iss": ISSUER + "x"},
    "iss that is a part": {"iss": ISSUER[:-1]},
    "iss that is empty": {"iss": ""},
    "iss in a list": {"iss": [ISSUER]},
    "no aud": {"aud": ...},
    "aud of another": {"aud": "https://other.example"},
    "aud that is a part": {"aud": AUDIENCE[:-1]},
    "aud in an empty list": {"aud": []},
    "aud in a list with a number": {"aud": [AUDIENCE, 1]},
    "aud in a list in a list": {"aud": [[AUDIENCE]]},
    "aud in an object": {"aud": {AUDIENCE: 1}},
    "aud that is null": {"aud": None},
    "no sub": {"sub": ...},
    "sub that is empty": {"sub": ""},
    "sub that is a number": {"sub": 1},
    "sub that is null": {"sub": None},
    "sub that is a list": {"sub": ["alice"]},
    "sub with a line end": {"sub": "alice\n"},
    "sub with a NUL": {"sub": "alice\0"},
    "sub with a blank around": {"sub": " alice"},
    "sub with half a character": {"sub": "\ud800"},
    "sub that is turned around": {"sub": "\u202ealice"},
    "sub that is too long": {"sub": "a" * 256},
    "no exp": {"exp": ...},
    "exp that is text": {"exp": str(NOW + 60)},
    "exp that is true": {"exp": True},
    "exp that is null": {"exp": None},
    "exp that is NaN": {"exp": float("nan")},
    "exp that is infinite": {"exp": float("inf")},
    "exp that is beyond all numbers": {"exp": 10**400},
    "exp beyond the year 9999": {"exp": 253_402_300_800},
    "exp below zero": {"exp": -1},
    "exp at iat": {"exp": NOW - 60},
    "exp before iat": {"exp": NOW - 61},
    "no iat": {"iat": ...},
    "iat that is text": {"iat": str(NOW)},
    "iat that is false": {"iat": False},
    "iat in the future": {"iat": NOW + 11},
    "nbf in the future": {"nbf": NOW + 11},
    "nbf that is text": {"nbf": str(NOW)},
    "jti that is a number": {"jti": 7},
    "jti that is empty": {"jti": ""},
    "jti with a line end": {"jti": "t1\nt2"},
    "scope that is a number": {"scope": 7},
    "scope in an object": {"scope": {"read": True}},
    "scope with a quote": {"scope": 'read"'},
    "scope with a tab": {"scope": "read\twrite"},
    "scope in a list with a blank": {"scope": ["read write"]},
    "scope in a list with a number": {"scope": ["read", 1]},
    "client_id that is a list": {"client_id": ["ci"]},
}


@pytest.mark.parametrize("claims", WRONG.values(), ids=WRONG)
def test_wrong_claim_is_none(reading: Making, claims: Mapping[str, Any]) -> None:
    """However good the signature, the token is unknown."""
    assert found(reading(), issued(**claims)) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["https://other.example", AUDIENCE]},
        {"iat": NOW + 10},
        {"nbf": NOW + 10},
        {"nbf": NOW - 1},
        {"iat": int(NOW), "exp": int(NOW) + 1},
        {"scope": ...},
        {"scope": ""},
        {"scope": ["read", "write"]},
        {"client_id": ...},
        {"sub": "Jos\u00e9 \U0001f600"},
        {"extra": {"anything": [1, None, {"a": "\ud800"}]}},
    ],
    ids=str,
)
def test_right_claims_are_taken(reading: Making, claims: Mapping[str, Any]) -> None:
    """What may be otherwise may be otherwise."""
    assert found(reading(), issued(**claims)) is not None


def test_expired_token_is_given_with_its_end(reading: Making) -> None:
    """The caller judges it; the leeway does not lengthen its life."""
    token = found(reading(leeway=3600), issued(exp=NOW - 1))

    assert token is not None
    assert token.expires == NOON - timedelta(seconds=1)


def test_maximum_age_ends_a_token_early(reading: Making) -> None:
    """The earlier end counts."""
    reader = reading(maximum_age=100)

    ends = [token and token.expires for token in (found(reader, issued()), found(reader, issued(exp=NOW + 5)))]

    assert ends == [NOON + timedelta(seconds=40), NOON + timedelta(seconds=5)]


def test_scopes_are_mapped(reading: Making) -> None:
    """One of theirs may be several of ours, and what is not mapped is dropped."""
    reader = reading(scopes={"api": ["read", "write"], "ops": "admin"}, scopes_claim="scp")

    token = found(reader, issued(scp=["api", "ops", "root"]))

    assert token is not None
    assert token.scopes == {"read", "write", "admin"}


def test_other_claims_may_name_things(reading: Making) -> None:
    """The owner, the id and the name can stand elsewhere; who the token is about is kept."""
    reader = reading(owner_claim="preferred_username", token_id_claim="sid", name_claim="azp")

    token = found(reader, issued(preferred_username="bob", sid="s1", azp="web"))

    assert token is not None
    assert (token.owner, token.id, token.name) == ("bob", "s1", "web")
    assert token.attributes == {"iss": ISSUER, "sub": "alice"}


def test_one_of_several_issuers_and_audiences_is_enough(reading: Making) -> None:
    """Both may be lists."""
    reader = reading(issuer=["https://a.example", "https://b.example"], audience=["x", "y"])

    assert found(reader, issued(iss="https://b.example", aud=["y", "z"])) is not None
    assert found(reader, issued(iss="https://b.example", aud="z")) is None


def test_token_without_an_id_gets_one(reading: Making) -> None:
    """It is the same each time, another one for another token, and says nothing of the secret's digest."""
    secret = issued(jti=...)
    reader = reading()

    first, again, other = (found(reader, text) for text in (secret, secret, issued(jti=..., sub="bob")))

    assert first is not None
    assert other is not None
    assert first == again
    assert first.id != other.id
    assert Secret(secret).digest.hex()[:8] not in first.id


def test_long_token_is_not_looked_at(reading: Making) -> None:
    """The bound is on characters, before anything is decoded."""
    reader = reading(maximum_length=600)

    assert found(reader, issued()) is not None
    assert found(reader, issued(padding="x" * 600)) is None


# -- revoking


@pytest.fixture
def denying(reading: Making) -> tuple[JWTReader, FlakyStore]:
    store = FlakyStore()
    return reading(deny=store), store


def test_revoked_token_is_given_as_revoked(denying: tuple[JWTReader, FlakyStore]) -> None:
    """From the moment that it was, by whom and why; other tokens go on."""
    reader, _ = denying
    before = reader.revision()

    revoked = reader.revoke(Secret(issued()), by="bob", why="lost")

    assert found(reader, issued()) == revoked
    assert revoked.revoked == Revocation(NOON, "bob", "lost")
    assert (revoked.id, revoked.owner) == ("t1", "alice")
    assert found(reader, issued(jti="t2")).revoked is None  # type: ignore[union-attr]
    assert reader.revision() > before


def test_store_keeps_no_secret_and_no_id_of_the_issuer(denying: tuple[JWTReader, FlakyStore]) -> None:
    """An issuer can't name a record of ours; the record ends with the token."""
    reader, store = denying

    reader.revoke(Secret(issued()))

    [record] = store.list()
    assert record.id.startswith("denied-")
    assert record.attributes == {"iss": ISSUER, "token_id": "t1"}
    assert (record.owner, record.expires) == ("alice", NOON + timedelta(seconds=3600))


def test_what_is_revoked_here_stays_so_when_dead_tokens_are_forgotten(denying: tuple[JWTReader, FlakyStore]) -> None:
    """A record that says so is kept until the token expires, or for ever where nobody knows when that is."""
    reader, store = denying
    reader.revoke(Secret(issued()))
    unending = reader.revoke_id("t2", owner="alice")
    issuer = Issuer(store, clock=lambda: (NOON + timedelta(seconds=3599)).timestamp())

    assert issuer.purge(NOON + timedelta(seconds=3599)) == ()
    assert found(reader, issued()).revoked is not None  # type: ignore[union-attr]

    later = Issuer(store, clock=lambda: (NOON + timedelta(days=1)).timestamp())
    assert len(later.purge(NOON + timedelta(days=1))) == 1
    assert unending.revoked is not None
    assert found(reader, issued(jti="t2")).revoked == unending.revoked  # type: ignore[union-attr]


def test_another_signature_of_a_revoked_token_is_revoked(reading: Making) -> None:
    """Of each ECDSA signature anybody can make a second one: another secret, but the same token."""
    reader = reading(jwk(ec_key(), "ES256", kid="k1"), deny=MemoryStore())
    for secret in (issued(ec_key(), "ES256"), issued(ec_key(), "ES256", jti=...)):
        other = _other_s(secret)
        assert other != secret
        assert found(reader, other).revoked is None  # type: ignore[union-attr]

        reader.revoke(Secret(secret))

        assert found(reader, other).revoked is not None  # type: ignore[union-attr]


def test_revoking_twice_keeps_the_first(denying: tuple[JWTReader, FlakyStore]) -> None:
    """Nobody overwrites who it was."""
    reader, store = denying
    reader.revoke(Secret(issued()), by="bob")

    again = reader.revoke(Secret(issued()), by="carol")

    assert again.revoked == Revocation(NOON, "bob")
    assert len(store.list()) == 1


def test_record_that_is_not_revoked_revokes_nothing(denying: tuple[JWTReader, FlakyStore]) -> None:
    """The store may hold the secret for other reasons, until the token is revoked."""
    reader, store = denying
    store.add(sample_token("same"), issued())

    before = found(reader, issued())
    reader.revoke(Secret(issued()))

    assert before is not None
    assert before.revoked is None
    assert found(reader, issued()).revoked is not None  # type: ignore[union-attr]
    assert store.get("same").revoked is not None  # type: ignore[union-attr]


def test_token_is_revoked_by_its_id(denying: tuple[JWTReader, FlakyStore]) -> None:
    """Whoever has the audit log has no secret."""
    reader, _ = denying

    reader.revoke_id("t1", owner="alice", by="bob", why="leaked")

    assert found(reader, issued()).revoked == Revocation(NOON, "bob", "leaked")  # type: ignore[union-attr]
    assert found(reader, issued(jti="t2")).revoked is None  # type: ignore[union-attr]


def test_id_alone_does_not_say_which_of_several_issuers(reading: Making) -> None:
    """Two may give the same id."""
    reader = reading(issuer=[ISSUER, "https://b.example"], deny=MemoryStore())
    with pytest.raises(RefusedError, match=r"b\.example"):
        reader.revoke_id("t1", owner="alice")

    reader.revoke_id("t1", owner="alice", issuer="https://b.example")

    assert found(reader, issued()).revoked is None  # type: ignore[union-attr]
    assert found(reader, issued(iss="https://b.example")).revoked is not None  # type: ignore[union-attr]


def test_what_would_not_get_in_is_not_revoked(denying: tuple[JWTReader, FlakyStore]) -> None:
    """So that nobody fills the store with anything."""
    reader, store = denying

    with pytest.raises(UnknownTokenError):
        reader.revoke(Secret(issued(ed_key("mallory"))))

    assert store.list() == []


def test_without_a_store_nothing_is_revoked(reading: Making) -> None:
    """The error says which setting."""
    with pytest.raises(ConfigurationError, match=r"store\.deny"):
        reading().revoke(Secret(issued()))


def test_store_that_is_down_is_an_outage(denying: tuple[JWTReader, FlakyStore]) -> None:
    """A token that may be revoked does not get in; one that is none anyway is still unknown."""
    reader, store = denying
    store.down = True

    with pytest.raises(BackendUnavailable):
        found(reader, issued())
    with pytest.raises(BackendUnavailable):
        reader.revision()
    with pytest.raises(BackendUnavailable):
        reader.check()
    assert found(reader, issued(ed_key("mallory"))) is None


# -- settings and safety


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"issuer": ""}, "issuer"),
        ({"issuer": []}, "issuer"),
        ({"issuer": 7}, "issuer"),
        ({"audience": None}, "audience"),
        ({"audience": ["a", ""]}, "audience"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": "RS256"}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"algorithms": [["RS256"]]}, "algorithms"),
        ({"algorithms": {"k1": ["RS256"]}}, "algorithms"),
        ({"algorithms": {"k1": "rs256"}}, "algorithms"),
        ({"typ": []}, "typ"),
        ({"typ": [1]}, "typ"),
        ({"typ": 1}, "typ"),
        ({"leeway": -1}, "leeway"),
        ({"leeway": "10"}, "leeway"),
        ({"leeway": float("nan")}, "leeway"),
        ({"maximum_length": 0}, "maximum_length"),
        ({"maximum_age": 0}, "maximum_age"),
        ({"scopes": ["read"]}, "scopes"),
        ({"scopes": {"api": [7]}}, "scopes.api"),
        ({"scopes": {"api": "a b"}}, "scopes.api"),
        ({"scopes_claim": ""}, "scopes_claim"),
        ({"deny": "memory:"}, "deny"),
        ({"pins": ["abc"]}, "pins"),
        ({"ca_file": "ca.pem"}, "ca_file"),
        ({"lifetime": 0}, "lifetime"),
        ({"stale": -1}, "stale"),
        ({"timeout": True}, "timeout"),
        ({"prefix": "A"}, "prefix"),
    ],
    ids=str,
)
def test_wrong_setting_is_refused(reading: Making, settings: dict[str, Any], setting: str) -> None:
    """The error names it."""
    with pytest.raises(ConfigurationError) as caught:
        reading(**settings)

    assert caught.value.problems[0].setting.removeprefix("store.") == setting


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> JWTReader:
    """One reader for all examples of a property."""
    file = key_file(tmp_path_factory.mktemp("shared"), jwk(ed_key(), kid="k1"), jwk(ed_key("k2"), kid="k2"))
    return reader_of(file)


@given(text=st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}", fullmatch=True))
def test_no_text_raises(shared: JWTReader, text: str) -> None:
    """Whatever comes in, it is unknown."""
    assert found(shared, text) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jku", "x"]), JSON))
def test_no_header_raises(shared: JWTReader, header: dict[str, Any]) -> None:
    """Whatever a header says, it is a token or it is none."""
    token = found(shared, signed({**HEADER, **header}, CLAIMS, ed_key(), "EdDSA"))

    assert token in (None, found(shared, issued()))


@given(claims=st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "x"]), JSON))
def test_no_claims_raise(shared: JWTReader, claims: dict[str, Any]) -> None:
    """Whatever is claimed, what comes of it is a whole record or none."""
    token = found(shared, signed(HEADER, {**CLAIMS, **claims}, ed_key(), "EdDSA"))

    if token is not None:
        assert 0 < len(token.owner) <= 255
        assert token.expires is not None
        assert token.expires > token.created


@given(data=st.data())
def test_no_change_of_a_character_is_taken(shared: JWTReader, data: st.DataObject) -> None:
    """One token has one spelling."""
    secret = issued()
    position = data.draw(st.integers(0, len(secret) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda one: one != secret[position]))

    assert found(shared, secret[:position] + other + secret[position + 1 :]) is None


def test_nothing_of_a_token_is_logged(reading: Making, caplog: pytest.LogCaptureFixture) -> None:
    """Neither when it is taken nor when it is refused."""
    secrets = [issued(), issued(exp="soon"), issued(ed_key("mallory"))]
    with caplog.at_level("DEBUG"):
        for secret in secrets:
            found(reading(), secret)

    assert not [part for secret in secrets for part in secret.split(".")[1:] if part in caplog.text]


def test_middleware_takes_it_like_any_other_token(reading: Making) -> None:
    """A JWT gets in as its owner; a revoked or an expired one does not, though it was cached."""
    clock = FakeClock()
    reader = reading(deny=MemoryStore(), clock=clock)

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [environ["REMOTE_USER"].encode()]

    gate = PATMiddleware(application, reader, clock=clock)
    first, second = TokenTestApp(gate, issued()), TokenTestApp(gate, issued(jti="t2"))

    assert [app.get("/").text for app in (first, second)] == ["alice", "alice"]
    reader.revoke(Secret(issued()))
    first.get("/", status=401)
    second.get("/", status=200)
    clock.advance(3601)
    second.get("/", status=401)


@pytest.mark.parametrize("package", ["jwt", "cryptography"])
def test_missing_package_names_the_extra(package: str) -> None:
    """What mends it is in the message."""
    program = f"import sys; sys.modules[{package!r}] = None; import patmiddleware.backends.jwt"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert "pip install 'patmiddleware[jwt]'" in done.stderr
