"""Tokens that are signed elsewhere, in a chain with our own, and refused from the command line."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from issuing import AUDIENCE, ISSUER, ed_key, issued, jwk

from patmiddleware.config import Config, store_of
from patmiddleware.model import Secret, Token

if TYPE_CHECKING:
    from conftest import Place

SETTINGS = f"""
[store]
url = ["sqlite:///tokens.db", "jwt:keys.json"]
[store.jwt]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
deny = "sqlite:///tokens.db"
"""


@pytest.fixture
def chained(place: Place) -> Place:
    """Settings with a chain, and the keys that it names."""
    place.config.write_text(SETTINGS)
    keys = {"keys": [jwk(ed_key(), kid="k1")]}
    (place.config.parent / "keys.json").write_text(json.dumps(keys))
    return place


def known(place: Place, secret: str) -> Token | None:
    """Look a token up as the gate does."""
    return store_of(Config.from_file(place.config)).find(Secret(secret))


def fresh() -> str:
    """A token that is good now."""
    now = int(time.time())
    return issued(ed_key(), iat=now - 60, exp=now + 3600)


def test_a_token_of_another_issuer_is_revoked_by_its_secret(chained: Place) -> None:
    """It is known before, and known as revoked afterwards; what is told is its id, not the secret."""
    secret = fresh()
    before = known(chained, secret)

    result = chained.run("token", "revoke", "--secret", "-", "--why", "lost", stdin=secret)

    after = known(chained, secret)
    assert before is not None
    assert after is not None
    assert (before.revoked, after.revoked and after.revoked.why) == (None, "lost")
    assert (result.exit_code, secret in result.output) == (0, False)


def test_our_own_tokens_are_managed_in_the_first_store(chained: Place) -> None:
    """They are made, listed and revoked there as without a chain."""
    made = chained.json("token", "create", "--owner", "alice", "--name", "ci", "--scopes", "read")

    answer = chained.json("token", "revoke", "--secret", "-", stdin=made["secret"])

    assert answer == {"revoked": [made["token"]["id"]]}


def test_a_secret_that_nobody_knows_is_told(chained: Place) -> None:
    """Neither our store nor a reader knows it."""
    chained.run("store", "init")

    result = chained.run("token", "revoke", "--secret", "-", stdin="nobody.knows.this")

    assert result.exit_code == 1
    assert "there is no such token" in result.output


def test_the_audit_hears_of_it(chained: Place) -> None:
    """As it hears of a token of our own that is revoked."""
    chained.config.write_text(SETTINGS + '[audit]\nto = "file:audit.jsonl"\n')

    answer = chained.json("token", "revoke", "--secret", "-", "--why", "lost", stdin=fresh())

    (line,) = (chained.folder / "audit.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert [told["event"], told["token"], told["why"]] == ["token.revoked", *answer["revoked"], "lost"]


def test_a_missing_store_of_revocations_is_told_by_its_setting(chained: Place) -> None:
    """As it is written: in the table of the kind."""
    chained.config.write_text(SETTINGS.replace('deny = "sqlite:///tokens.db"', ""))

    result = chained.run("token", "revoke", "--secret", "-", stdin=fresh())

    assert result.exit_code == 2
    assert "store.jwt.deny: there is no store" in result.stderr


def test_our_own_token_needs_no_store_of_revocations(chained: Place) -> None:
    """It is revoked by its secret also where those of others can't be."""
    chained.config.write_text(SETTINGS.replace('deny = "sqlite:///tokens.db"', ""))
    made = chained.json("token", "create", "--owner", "alice", "--name", "ci", "--scopes", "read")

    answer = chained.json("token", "revoke", "--secret", "-", stdin=made["secret"])

    assert answer == {"revoked": [made["token"]["id"]]}
