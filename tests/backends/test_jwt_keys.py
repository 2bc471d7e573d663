"""Keys of JWTs: from files, from a server, and which of them are taken."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from issuing import AUDIENCE, ISSUER, ec_key, ed_key, issued, jwk, key_file, key_set, pem, rsa_key, secret_jwk, written
from loopback import Reply, authority, serving
from services.running import free_port

from patmiddleware.backends.caching import TokenCache
from patmiddleware.backends.jwt import JWTReader
from patmiddleware.backends.jwt.headers import Header
from patmiddleware.backends.jwt.keys import parse_set, rules
from patmiddleware.backends.jwt.sources import WebKeys
from patmiddleware.errors import BackendUnavailable, ConfigurationError
from patmiddleware.interfaces import Revisioned
from patmiddleware.model import CacheSettings, Secret, Token
from patmiddleware.testing import FakeClock, OutageContract
from patmiddleware.webcall import Answer

ONE = jwk(ed_key(), kid="k1")
OTHER = jwk(ed_key("k2"), kid="k2")
SECOND = {"kid": "k2"}


def reader_at(address: object, **settings: Any) -> JWTReader:
    return JWTReader(f"jwt:{address}", issuer=ISSUER, audience=AUDIENCE, **{"clock": FakeClock(), **settings})


def found(reader: JWTReader, token: str) -> Token | None:
    return reader.find(Secret(token))


# -- files


@pytest.mark.parametrize("key", [rsa_key(), ec_key(), ed_key()], ids=["RSA", "EC", "Ed25519"])
def test_one_public_key_checks_tokens_of_any_kid(tmp_path: Path, key: Any) -> None:
    """A PEM file has no names; the key has the one algorithm that fits it."""
    file = written(tmp_path / "key.pem", pem(key))
    algorithm = {2048: "RS256", 256: "ES256"}.get(getattr(key, "key_size", 0), "EdDSA")

    reader = reader_at(file)

    assert found(reader, issued(key, algorithm)) is not None
    assert found(reader, issued(key, algorithm, {"kid": ...})) is not None
    assert found(reader, issued(ed_key("mallory"))) is None


@pytest.mark.parametrize("form", ["{}", "//{}"])
def test_path_may_be_written_as_an_address(tmp_path: Path, form: str) -> None:
    """``jwt:/path`` and ``jwt:///path`` are the same file."""
    assert found(reader_at(form.format(key_file(tmp_path, ONE))), issued()) is not None


def test_only_key_checks_tokens_that_name_none(tmp_path: Path) -> None:
    """Where there are several, a token has to say which."""
    alone, several = key_file(tmp_path, ONE), key_file(tmp_path, ONE, OTHER, name="several.json")

    assert found(reader_at(alone), issued(header={"kid": ...})) is not None
    assert found(reader_at(several), issued(header={"kid": ...})) is None


def test_key_with_a_name_checks_no_token_of_another(tmp_path: Path) -> None:
    """Also where it is the only one."""
    assert found(reader_at(key_file(tmp_path, ONE)), issued(header=SECOND)) is None


def test_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A key that is gone checks nothing any more, a new one does, and the revision says so."""
    file = key_file(tmp_path, ONE)
    reader = reader_at(file)
    before = (found(reader, issued()), reader.revision())

    key_file(tmp_path, OTHER)

    assert before[0] is not None
    assert found(reader, issued()) is None
    assert found(reader, issued(ed_key("k2"), header=SECOND)) is not None
    assert reader.revision() != before[1]


def test_taken_key_is_gone_from_a_cache(tmp_path: Path) -> None:
    """What was cached for minutes is looked up again once the key is gone."""
    reader = reader_at(key_file(tmp_path, ONE))
    mono = FakeClock(0.0)
    cache, secret = TokenCache(reader, CacheSettings(), mono), Secret(issued())
    wall = FakeClock().seconds
    assert cache.find(secret.digest, secret, wall).value is not None

    key_file(tmp_path, OTHER)
    mono.advance(0.6)

    assert cache.find(secret.digest, secret, wall + 0.6).value is None


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"keys": {}}', b'{"keys": [], "keys": []}', b"\xff", b"-----BEGIN PUBLIC KEY-----\n"]
)
def test_file_that_goes_bad_is_an_outage_until_it_is_mended(tmp_path: Path, text: bytes) -> None:
    """The last good keys don't serve: one of them may be gone for a reason."""
    file = key_file(tmp_path, ONE)
    reader = reader_at(file)

    written(file, text)
    with pytest.raises(BackendUnavailable):
        found(reader, issued())
    with pytest.raises(BackendUnavailable):
        reader.revision()
    key_file(tmp_path, ONE)

    assert found(reader, issued()) is not None


def _private_jwk() -> dict[str, Any]:
    return {**ONE, "d": urlsafe_b64encode(bytes(32)).rstrip(b"=").decode()}


def _private_pem() -> bytes:
    return bytes(ed_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


UNUSABLE = [
    (b"", "not JSON"),
    (b"[]", "not a JSON object"),
    (b"{}", "no JWK set"),
    (json.dumps(ONE).encode(), "no JWK set"),
    (b"x" * 300_000, "more than 262144 bytes"),
    (_private_pem(), "one public key"),
    (pem(ed_key()) * 2, "one public key"),
    (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "one public key"),
    (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "one public key"),
    (pem(rsa_key(1024)), "shorter than 2048 bits"),
    (key_set(_private_jwk()), "private key"),
    (key_set(jwk(rsa_key(1024), "RS256")), "shorter than 2048 bits"),
    (key_set({**ONE, "use": "enc"}), "not for checking signatures"),
    (key_set({**ONE, "key_ops": ["sign"]}), "not for checking signatures"),
    (key_set({**ONE, "key_ops": "verify"}), "not for checking signatures"),
    (key_set({**ONE, "kid": 7}), "kid is no text"),
    (key_set({**ONE, "alg": "ES256"}), "no algorithm of the settings fits"),
    (key_set({**ONE, "alg": "none"}), "no algorithm of the settings fits"),
    (key_set({**ONE, "alg": ["EdDSA"]}), "no algorithm of the settings fits"),
    (key_set({**ONE, "crv": "X25519"}), "no algorithm of the settings fits"),
    (key_set({**ONE, "crv": ["Ed25519"]}), "no algorithm of the settings fits"),
    (key_set({**ONE, "kty": "AKP"}), "no algorithm of the settings fits"),
    (key_set({**ONE, "kty": ["OKP"]}), "no algorithm of the settings fits"),
    (key_set({**ONE, "x": "AAAA"}), "no key of its kind"),
    (key_set({**ONE, "x": 7}), "no key of its kind"),
    (key_set({"kty": "OKP", "crv": "Ed25519"}), "no key of its kind"),
    (key_set({**jwk(ec_key(), "ES256"), "x": "A" * 43}), "no key of its kind"),
    (key_set({"kty": "RSA", "n": "", "e": ""}), "no key of its kind"),
    (key_set(secret_jwk(b"s" * 64)), "no algorithm of the settings fits"),
    (json.dumps({"keys": ["x"]}).encode(), "no object"),
    (key_set(ONE, ONE), "two keys have the same kid"),
    (key_set({**ONE, "kid": None}, {**OTHER, "kid": None}), "two keys have the same kid"),
]


def test_pipe_in_the_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    """It is an outage where it comes later, and refused at the start: nothing may hang on it."""
    file = key_file(tmp_path, ONE)
    reader = reader_at(file)
    file.unlink()
    os.mkfifo(file, 0o600)

    with pytest.raises(BackendUnavailable, match="it is no file"):
        found(reader, issued())
    with pytest.raises(ConfigurationError, match="it is no file"):
        reader_at(file)


# Numbers for names: some of the keys are made anew for each process.
@pytest.mark.parametrize(("text", "message"), UNUSABLE, ids=range(len(UNUSABLE)))
def test_file_that_can_not_be_used_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    """At the start, with what is wrong with it."""
    file = written(tmp_path / "keys", text)

    with pytest.raises(ConfigurationError, match=message):
        reader_at(file)


def test_file_that_is_not_there_or_that_others_write_is_refused(tmp_path: Path) -> None:
    """Whoever may write to it could let themselves in."""
    file = key_file(tmp_path, ONE)
    file.chmod(0o666)

    with pytest.raises(ConfigurationError, match="chmod go-w"):
        reader_at(file)
    with pytest.raises(ConfigurationError, match="No such file"):
        reader_at(tmp_path / "other")
    with pytest.raises(ConfigurationError, match="can't be read"):
        reader_at(tmp_path)


def test_unusable_key_does_not_spoil_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is passed over, and the log says so (RFC 7517, section 5)."""
    reader = reader_at(key_file(tmp_path, {"kty": "new"}, ONE))

    assert found(reader, issued()) is not None
    assert "key 0: no algorithm of the settings fits it" in caplog.text


def test_empty_set_knows_nothing(tmp_path: Path) -> None:
    """An issuer that takes back all its keys is understood; a check says so."""
    reader = reader_at(key_file(tmp_path))

    assert found(reader, issued()) is None
    with pytest.raises(BackendUnavailable, match="there is no key"):
        reader.check()


# -- which algorithm


def test_key_that_does_not_say_needs_one_algorithm_that_fits(tmp_path: Path) -> None:
    """Two that fit are a fault of the settings; the key's own word, or a mapping, mends it."""
    file = key_file(tmp_path, jwk(rsa_key(), "RS256", kid="k1"))
    both = ["RS256", "PS256"]
    with pytest.raises(ConfigurationError, match=r"store\.algorithms: RS256 and PS256 both fit"):
        reader_at(file, algorithms=both)

    by_kid = reader_at(file, algorithms={"k1": "PS256"})
    other = key_file(tmp_path, jwk(rsa_key(), "RS256", kid="k1", alg="RS256"), name="said.json")
    said = reader_at(other, algorithms=both)

    assert found(by_kid, issued(rsa_key(), "PS256")) is not None
    assert found(by_kid, issued(rsa_key(), "RS256")) is None
    assert found(said, issued(rsa_key(), "RS256")) is not None
    assert found(said, issued(rsa_key(), "PS256")) is None


def test_mapping_takes_no_other_key(tmp_path: Path) -> None:
    """Nor one that says that it is for something else."""
    reader = reader_at(key_file(tmp_path, ONE, OTHER), algorithms={"k2": "EdDSA", "k3": "RS256"})

    assert found(reader, issued(ed_key("k2"), header=SECOND)) is not None
    assert found(reader, issued()) is None
    with pytest.raises(ConfigurationError, match="no algorithm of the settings fits"):
        reader_at(key_file(tmp_path, ONE), algorithms={"k1": "RS256"})
    with pytest.raises(ConfigurationError, match="no key ids"):
        reader_at(written(tmp_path / "key.pem", pem(ed_key())), algorithms={"k1": "EdDSA"})


def test_curve_has_one_algorithm(tmp_path: Path) -> None:
    """A key on P-384 is never for ES256."""
    with pytest.raises(ConfigurationError, match="no algorithm of the settings fits"):
        reader_at(key_file(tmp_path, jwk(ec_key(SECP384R1), "ES384", kid="k1")), algorithms=["ES256"])


def test_secret_stands_alone_and_is_long_enough(tmp_path: Path) -> None:
    """Beside public keys one could be taken for the other."""
    short, long = secret_jwk(b"s" * 31, kid="k1"), secret_jwk(b"s" * 32, kid="k1")

    with pytest.raises(ConfigurationError, match="shorter than 32 bytes"):
        reader_at(key_file(tmp_path, short), algorithms=["HS256"])
    with pytest.raises(ConfigurationError, match="beside public keys"):
        reader_at(key_file(tmp_path, long, OTHER), algorithms=["HS256", "EdDSA"])
    with pytest.raises(ConfigurationError, match="shorter than 64 bytes"):
        reader_at(key_file(tmp_path, long), algorithms=["HS512"])


def test_pinned_keys_alone_are_taken(tmp_path: Path) -> None:
    """By the thumbprint of RFC 7638, however the key is written."""
    [key], _ = parse_set(key_set(ONE), rules(None, (), secrets=False))
    assert key.thumbprint is not None
    reader = reader_at(key_file(tmp_path, ONE, OTHER), pins=[key.thumbprint])

    assert found(reader, issued()) is not None
    assert found(reader, issued(ed_key("k2"), header=SECOND)) is None


def test_thumbprint_is_that_of_the_rfc() -> None:
    """The example of RFC 8037, appendix A.3."""
    example = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

    [key], _ = parse_set(key_set(example), rules(None, (), secrets=False))

    assert key.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


# -- keys of a server


class TestUnreachable(OutageContract):
    """A server that is not there is an outage of every token that could be one."""

    def make_unreachable(self) -> Any:
        reader = reader_at(f"http://127.0.0.1:{free_port()}/keys", timeout=0.5)

        class OfOneToken:
            def find(self, secret: Secret) -> Token | None:
                return found(reader, issued())

        return OfOneToken()


def test_keys_are_fetched_once_and_when_needed() -> None:
    """Neither at the start, nor for what is no JWT, nor again for each token."""
    with serving(key_set(ONE)) as server:
        reader = reader_at(server.url)
        assert found(reader, "pat_x") is None
        asked = len(server.asked)

        tokens = [found(reader, issued(jti=f"t{number}")) for number in range(5)]

        assert (asked, len(server.asked)) == (0, 1)
        assert all(tokens)
        assert server.asked[0].headers.keys().isdisjoint({"Authorization", "Cookie"})
        reader.close()


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is put in between unseen."""
    for name in ("http_proxy", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(key_set(ONE)) as server:
        reader = reader_at(server.url)

        assert found(reader, issued()) is not None
        reader.close()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=302, headers={"Location": "/other"}),
        Reply(status=500),
        Reply(status=404),
        Reply(b""),
        Reply(b"<html>"),
        Reply(b"[]"),
        Reply(b'{"keys": 7}'),
        Reply(b'{"keys": [], "keys": []}'),
        Reply(b" " * 300_000),
        Reply(key_set(ONE), headers={"Content-Encoding": "gzip"}),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"),
        Reply(raw=b"SSH-2.0-hello\r\n"),
        Reply(raw=b""),
        Reply(key_set(ONE, ONE)),
    ],
    ids=lambda reply: f"{reply.status} {(reply.raw or reply.body)[:20]!r} {len(reply.body)}",
)
def test_what_is_no_key_set_is_an_outage(reply: Reply) -> None:
    """And no redirect is followed."""
    with serving(lambda asked: reply) as server:
        reader = reader_at(server.url)

        with pytest.raises(BackendUnavailable):
            found(reader, issued())
        with pytest.raises(BackendUnavailable):
            reader.check()

        assert {asked.path for asked in server.asked} == {"/keys"}
        reader.close()


def test_slow_server_is_an_outage() -> None:
    """The timeout is for the whole of the answer."""

    def late(asked: object) -> Reply:
        time.sleep(1.0)
        return Reply(key_set(ONE))

    with serving(late) as server:
        reader = reader_at(server.url, timeout=0.2)

        with pytest.raises(BackendUnavailable, match="too long"):
            found(reader, issued())
        reader.close()


def test_certificate_is_checked(tmp_path: Path) -> None:
    """An authority that is not named vouches for nobody."""
    ca_file, context = authority(tmp_path)
    with serving(key_set(ONE), context) as server:
        trusting, careful = reader_at(server.url, ca_file=ca_file), reader_at(server.url)

        assert found(trusting, issued()) is not None
        with pytest.raises(BackendUnavailable, match="its certificate is refused"):
            found(careful, issued())
        trusting.close()
        careful.close()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://issuer.example/keys", "for this machine alone"),
        ("http://127.0.0.1.nip.example/keys", "for this machine alone"),
        ("http://2130706433/keys", "for this machine alone"),
        ("https://user:geheim@issuer.example/keys", "neither a user"),
        ("https://issuer.example/keys#a", "fragment"),
        ("https:///keys", "no address of a server"),
        ("https://", "no address of a server"),
        ("https://issuer.example:port/keys", "no address of a server"),
        ("https://issuer.example/a b", "no address of a server"),
        ("https://issuer.example\\@127.0.0.1/keys", "no address of a server"),
        ("", "no address of keys"),
        ("//host/keys.json", "names a host"),
    ],
)
def test_wrong_address_is_refused(address: str, message: str) -> None:
    """Without a word of the password that may be in it."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        reader_at(address)

    assert "geheim" not in str(caught.value)


def test_secrets_are_not_fetched() -> None:
    """A secret that is published is none; the setting is refused, and such a key is passed over."""
    with pytest.raises(ConfigurationError, match=r"store\.algorithms"):
        reader_at("https://issuer.example/keys", algorithms=["HS256"])

    with serving(key_set(secret_jwk(b"s" * 32, kid="k1", alg="HS256"), OTHER)) as server:
        reader = reader_at(server.url)

        assert found(reader, issued(b"s" * 32, "HS256")) is None
        reader.close()


def test_forked_child_fetches_over_connections_of_its_own() -> None:
    """It neither shares a socket with its parent nor waits for a lock that nobody releases."""
    with serving(key_set(ONE)) as server:
        reader = reader_at(server.url, lifetime=1, stale=0)
        assert found(reader, issued()) is not None
        # As another thread would hold it, at the moment of the fork.
        reader._keys._fetching.acquire()  # type: ignore[attr-defined]
        context = multiprocessing.get_context("fork")
        child = context.Process(target=_in_child, args=(reader,))
        child.start()
        child.join(60)

        assert child.exitcode == 0
        assert server.connections == 2
        reader.close()


def _in_child(reader: JWTReader) -> None:
    time.sleep(1.1)
    os._exit(0 if found(reader, issued()) else 1)


# -- rotation, with a clock that stands still


class Publisher:
    """A server of keys without a network; ``failing`` while it is down."""

    def __init__(self, *keys: Mapping[str, Any]) -> None:
        self.keys, self.failing, self.calls = keys, False, 0
        self.clock = FakeClock(0.0)
        self.during: Callable[[], object] = lambda: None

    def fetch(self) -> Answer:
        self.calls += 1
        self.during()
        if self.failing:
            raise BackendUnavailable("down, as asked")
        return Answer(200, key_set(*self.keys))


def web_keys(publisher: Publisher) -> WebKeys:
    allowed = rules(None, (), secrets=False)
    return WebKeys(publisher.fetch, allowed, lifetime=300, stale=600, cooldown=10, clock=publisher.clock)


def kid(keys: WebKeys, name: str) -> str | None:
    key = keys.select(Header("EdDSA", name))
    return None if key is None else key.kid


def test_new_key_is_found_at_once() -> None:
    """A name that is not known is looked for, once in each cooldown."""
    publisher = Publisher(ONE)
    keys = web_keys(publisher)
    assert kid(keys, "k1") == "k1"
    publisher.clock.advance(10)
    publisher.keys = (ONE, OTHER)

    assert kid(keys, "k2") == "k2"
    assert [kid(keys, f"made up {number}") for number in range(100)] == [None] * 100
    assert publisher.calls == 2


def test_key_that_is_taken_back_is_gone_after_the_lifetime() -> None:
    """And the generation has changed by then, so that no cache goes on with it."""
    publisher = Publisher(ONE, OTHER)
    keys = web_keys(publisher)
    kid(keys, "k2")
    before = keys.generation()
    publisher.keys = (ONE,)

    publisher.clock.advance(299)
    early = (kid(keys, "k2"), keys.generation())
    publisher.clock.advance(1)
    due = keys.generation()

    assert early == ("k2", before)
    assert due > before
    assert kid(keys, "k2") is None
    assert keys.generation() > due


def test_same_keys_again_change_nothing_more() -> None:
    """What was looked up since they were due holds."""
    publisher = Publisher(ONE)
    keys = web_keys(publisher)
    kid(keys, "k1")
    publisher.clock.advance(300)
    due = keys.generation()

    kid(keys, "k1")

    assert (keys.generation(), publisher.calls) == (due, 2)


def test_old_keys_serve_while_they_can_not_be_fetched() -> None:
    """For a while, with a try in each cooldown; a name that they don't have is an outage, and so is all afterwards."""
    publisher = Publisher(ONE)
    keys = web_keys(publisher)
    kid(keys, "k1")
    publisher.failing = True
    publisher.clock.advance(300)

    assert [kid(keys, "k1") for _ in range(5)] == ["k1"] * 5
    assert publisher.calls == 2
    with pytest.raises(BackendUnavailable, match="down, as asked"):
        kid(keys, "k2")
    tried = keys.generation()
    publisher.clock.advance(10)
    assert keys.generation() > tried
    assert (kid(keys, "k1"), publisher.calls) == ("k1", 3)
    publisher.clock.advance(590)
    with pytest.raises(BackendUnavailable, match="down, as asked"):
        kid(keys, "k1")


def test_what_old_keys_checked_ends_with_them() -> None:
    """However long the cooldown is: no cache goes on with it once they may not serve any more."""
    publisher = Publisher(ONE)
    keys = WebKeys(
        publisher.fetch, rules(None, (), secrets=False), lifetime=300, stale=5, cooldown=100, clock=publisher.clock
    )
    kid(keys, "k1")
    publisher.failing = True
    publisher.clock.advance(301)
    assert kid(keys, "k1") == "k1"
    before = keys.generation()

    publisher.clock.advance(4)

    assert keys.generation() > before
    with pytest.raises(BackendUnavailable, match="down, as asked"):
        kid(keys, "k1")


def test_keys_that_are_due_are_no_new_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the old ones checked while the new ones were on their way counts as theirs."""
    publisher = Publisher(ONE)
    keys = web_keys(publisher)
    kid(keys, "k1")
    publisher.keys = (OTHER,)
    publisher.clock.advance(299)
    seen = list[int]()
    parsed = keys._asked

    def slowly(before: Any) -> Any:
        fetched = parsed(before)
        publisher.clock.advance(1)
        seen.append(keys.generation())
        return fetched

    monkeypatch.setattr(keys, "_asked", slowly)

    assert kid(keys, "k2") == "k2"
    assert keys.generation() not in seen


def test_server_that_comes_back_is_seen() -> None:
    """After the cooldown, whether keys were there before or not."""
    publisher = Publisher(ONE)
    publisher.failing = True
    keys = web_keys(publisher)
    for _ in range(3):
        with pytest.raises(BackendUnavailable):
            kid(keys, "k1")
    assert publisher.calls == 1

    publisher.failing = False
    publisher.clock.advance(10)

    assert kid(keys, "k1") == "k1"


def test_one_thread_fetches() -> None:
    """However many come at once."""
    publisher = Publisher(ONE)
    publisher.during = lambda: time.sleep(0.2)
    keys = web_keys(publisher)
    names = list[str | None]()

    threads = [threading.Thread(target=lambda: names.append(kid(keys, "k1"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (names, publisher.calls) == (["k1"] * 8, 1)


def test_others_go_on_while_one_fetches_again() -> None:
    """With the keys as they were."""
    publisher = Publisher(ONE)
    keys = web_keys(publisher)
    kid(keys, "k1")
    publisher.clock.advance(300)
    meanwhile = list[str | None]()
    publisher.during = lambda: meanwhile.append(_of_thread(lambda: kid(keys, "k1")))

    kid(keys, "k1")

    assert (meanwhile, publisher.calls) == (["k1"], 2)


def _of_thread(act: Callable[[], str | None]) -> str | None:
    results = list[str | None]()
    thread = threading.Thread(target=lambda: results.append(act()))
    thread.start()
    thread.join(60)
    return results[0]


def test_ambiguous_published_key_is_an_outage_that_names_the_setting() -> None:
    """It can't be known at the start."""
    publisher = Publisher(jwk(rsa_key(), "RS256", kid="k1"))
    allowed = rules(["RS256", "RS512"], (), secrets=False)
    keys = WebKeys(publisher.fetch, allowed, lifetime=300, stale=600, cooldown=10, clock=publisher.clock)

    with pytest.raises(BackendUnavailable, match=r"store\.algorithms"):
        keys.check()


def test_published_keys_of_which_none_can_be_used_are_an_outage() -> None:
    """They say nothing against a token; those that were published before don't serve, and later ones do."""
    publisher = Publisher(ONE)
    keys = web_keys(publisher)
    kid(keys, "k1")
    publisher.keys = (jwk(rsa_key(), "RS256", kid="k1", alg="PS256"),)
    publisher.clock.advance(300)

    for _ in range(2):
        with pytest.raises(BackendUnavailable, match=r"none .* can be used: key 0: no algorithm of the settings"):
            kid(keys, "k1")
    publisher.keys = (OTHER,)
    publisher.clock.advance(10)

    assert (kid(keys, "k1"), kid(keys, "k2"), publisher.calls) == (None, "k2", 3)


def test_revision_asks_no_server() -> None:
    """It is asked for all the time, with a bound of a second."""
    with serving(key_set(ONE)) as server:
        reader = reader_at(server.url)
        assert isinstance(reader, Revisioned)

        reader.revision()

        assert server.asked == []
