"""The parts of the reader of JWTs: each check holds alone, without those before and behind it."""

from __future__ import annotations

import pytest
from issuing import ec_key, ed_key, issued, jwk, key_set, rsa_key

from patmiddleware.backends.jwt.headers import Header, decoded
from patmiddleware.backends.jwt.keys import Key, is_signed, parse_set, rules
from patmiddleware.backends.jwt.sources import chosen
from patmiddleware.claims import Malformed


def keys_of(*jwks: dict[str, object]) -> tuple[Key, ...]:
    return parse_set(key_set(*jwks), rules(None, (), secrets=False))[0]


@pytest.mark.parametrize(("part", "expected"), [("", b""), ("AA", b"\0"), ("_-8", b"\xff\xef"), ("AAAA", bytes(3))])
def test_base64_is_decoded(part: str, expected: bytes) -> None:
    """Of the alphabet for addresses, without padding."""
    assert decoded(part) == expected


@pytest.mark.parametrize("part", ["A", "AB", "AAB", "AAAAA", "AA==", "A A", "AA\n", "+/8", "AA.A", "\u00e9"])
def test_each_bytes_have_one_spelling(part: str) -> None:
    """Neither idle bits, nor padding, nor anything that a lenient decoder skips."""
    with pytest.raises(Malformed):
        decoded(part)


@pytest.mark.parametrize("algorithm", ["RS384", "PS256"])
def test_signature_of_another_algorithm_is_none(algorithm: str) -> None:
    """Also where it was made with the very key."""
    [key] = keys_of(jwk(rsa_key(), "RS256", kid="k1"))

    assert is_signed(issued(rsa_key(), "RS256"), key)
    assert not is_signed(issued(rsa_key(), algorithm), key)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (Header("EdDSA", "k1"), "k1"),
        (Header("ES256", "k2"), "k2"),
        (Header("ES256", "k1"), None),
        (Header("none", "k1"), None),
        (Header("EdDSA", "k3"), None),
        (Header("EdDSA", None), None),
    ],
)
def test_key_is_chosen_by_name_and_algorithm(header: Header, expected: str | None) -> None:
    """Both must be the key's own."""
    keys = keys_of(jwk(ed_key(), kid="k1"), jwk(ec_key(), "ES256", kid="k2"))

    key = chosen(keys, header)

    assert (key and key.kid) == expected


@pytest.mark.parametrize(
    ("kid", "header", "taken"),
    [
        ("k1", Header("EdDSA", None), True),
        (None, Header("EdDSA", None), True),
        (None, Header("EdDSA", "any"), True),
        ("k1", Header("EdDSA", "any"), False),
        ("k1", Header("ES256", None), False),
        (None, Header("ES256", "any"), False),
    ],
)
def test_only_key_is_chosen_where_a_name_is_missing(kid: str | None, header: Header, taken: bool) -> None:
    """On either side; never for another algorithm."""
    [key] = keys_of(jwk(ed_key(), kid=kid))

    assert chosen([key], header) == (key if taken else None)
