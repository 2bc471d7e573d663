"""What tokens come to."""

from __future__ import annotations

import dataclasses
from datetime import timedelta, timezone

import pytest

from patmiddleware.model import Digest, Token, Use
from patmiddleware.moving.totals import Adder, Total
from patmiddleware.testing import NOON, sample_token
from patmiddleware.testing.keeping import ANY_FIELD

DIGEST = Digest("sha256", "", bytes(32))


def total(token: Token, digest: Digest = DIGEST) -> Total:
    adder = Adder()
    adder.add(token, digest)
    return adder.total


CHANGES = {"id": "t2", **ANY_FIELD}


def test_every_field_is_looked_at() -> None:
    """A field that a token gets one day must be added here and there."""
    assert {field.name for field in dataclasses.fields(Token)} == CHANGES.keys() | {"last_used"}


@pytest.mark.parametrize("name", CHANGES)
def test_another_value_makes_another_digest(name: str) -> None:
    """Whichever field it is."""
    assert total(sample_token(**{name: CHANGES[name]})).digest != total(sample_token()).digest


@pytest.mark.parametrize(
    "digest",
    [Digest("sha256", "", bytes([1] * 32)), Digest("blake2b", "", bytes(32)), Digest("sha256", "0a", bytes(32))],
)
def test_what_a_token_stands_under_is_looked_at(digest: Digest) -> None:
    """Kind, key and value."""
    assert total(sample_token(), digest).digest != total(sample_token()).digest


def test_spelling_does_not_matter() -> None:
    """Neither a time's zone, nor the order of what has none, nor a use."""
    token = sample_token()
    other = sample_token(
        created=token.created.astimezone(timezone(timedelta(hours=3))),
        limits=dict(reversed(token.limits.items())),
        attributes=dict(reversed(token.attributes.items())),
        last_used=Use(NOON),
    )

    assert total(other) == total(token)


def test_tokens_add_up() -> None:
    """The number and the order count."""
    adder = Adder()

    before = adder.total
    adder.add(sample_token(), DIGEST)

    assert (before.tokens, adder.total.tokens) == (0, 1)
    assert before.digest != adder.total.digest
