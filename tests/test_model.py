"""The frozen values."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from ipaddress import ip_network
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.model import (
    Allowed,
    CacheSettings,
    Credential,
    Denied,
    Digest,
    Grant,
    Minted,
    Owner,
    Reason,
    Request,
    Revocation,
    Secret,
    Token,
    Use,
    to_network,
)

NOW = datetime(2026, 4, 15, 12, tzinfo=UTC)
TEXT = "pat_s3cret"

VALUES = [
    Credential("Basic", "alice", Secret(TEXT)),
    Digest("sha256", "", b"\x00" * 32),
    Revocation(NOW),
    Use(NOW),
    Token(id="t", owner="alice"),
    Owner(name="alice"),
    Grant(token_id="t", owner="alice"),
    Request("GET", "/"),
    Denied(Reason.MISSING),
    Allowed(),
    Minted(TEXT, Token(id="t", owner="alice")),
    CacheSettings(),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_frozen(value: object) -> None:
    """No field of a value can be set, and none added."""
    field = dataclasses.fields(value)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field, None)
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_can_be_hashed(value: object) -> None:
    """A value may be a key of a cache."""
    assert hash(value) == hash(copy.copy(value))


@pytest.mark.parametrize("value", [Allowed(), Denied(Reason.MISSING)], ids=["Allowed", "Denied"])
def test_decisions_have_no_truth_value(value: object) -> None:
    """`if decision:` would let a refusal pass, so it raises."""
    with pytest.raises(TypeError, match="no truth value"):
        bool(value)


# --- Secret


def test_secret_is_hidden() -> None:
    """Only reveal() gives the text; no repr or str does, of whatever holds it."""
    secret = Secret(TEXT)

    assert secret.reveal() == TEXT
    for shown in (repr(secret), str(secret), f"{secret}", repr([secret]), repr(VALUES)):
        assert TEXT not in shown


def test_digest_is_hidden() -> None:
    """A digest is not shown either."""
    assert "x00" not in repr(Digest("sha256", "", b"\x00" * 32))


def test_secret_is_not_pickled() -> None:
    """A secret can't be stored by accident."""
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(Secret(TEXT))


@given(st.text(st.characters()))
def test_digest_of_a_secret(text: str) -> None:
    """A digest is the SHA-256 of the UTF-8 bytes; half a character raises nothing."""
    assert Secret(text).digest == sha256(text.encode("utf-8", "surrogatepass")).digest()


def test_secrets_are_equal_by_their_text() -> None:
    """Two secrets with one text are equal, others and strings are not."""
    assert Secret(TEXT) == Secret(TEXT)
    assert len({Secret(TEXT), Secret(TEXT), Secret("other")}) == 2
    assert Secret(TEXT) != TEXT


def test_secret_takes_no_attributes() -> None:
    """Nothing can be hung on a secret, and so nothing be carried around with it."""
    with pytest.raises(AttributeError):
        Secret(TEXT).note = "x"


# --- Token and Grant


def test_token_has_defaults() -> None:
    """A record of an id and an owner is enough."""
    token = Token(id="t", owner="alice")

    assert (token.scopes, token.networks, dict(token.limits), token.expires, token.family) == (
        frozenset(),
        (),
        {},
        None,
        "t",
    )


def test_token_settles_collections() -> None:
    """Lists, CIDR strings and dictionaries are taken and kept as what nobody can change."""
    limits = {"project": ["OPS"]}
    attributes = {"a": "b"}
    token = Token(id="t", owner="alice", scopes=["read"], networks=["10.0.0.0/8"], limits=limits, attributes=attributes)

    limits["project"].append("WEB")
    attributes["a"] = "c"

    assert token.scopes == frozenset({"read"})
    assert token.networks == (ip_network("10.0.0.0/8"),)
    assert token.limits == {"project": frozenset({"OPS"})}
    assert token.attributes == {"a": "b"}


@pytest.mark.parametrize("mapping", ["limits", "attributes"])
def test_mappings_of_a_token_are_read_only(mapping: str) -> None:
    """A record can't be changed through a mapping in it."""
    held: Mapping[str, object] = getattr(Token(id="t", owner="alice"), mapping)

    with pytest.raises(TypeError):
        held["x"] = frozenset()


@pytest.mark.parametrize("given", [{"family": ""}, {}])
def test_family_of_a_first_token_is_its_own_id(given: dict[str, str]) -> None:
    """A token that replaced none begins a family; a given family stays."""
    assert Token(id="t", owner="alice", **given).family == "t"
    assert Token(id="t", owner="alice", family="f").family == "f"


@pytest.mark.parametrize("field", ["created", "expires"])
def test_naive_times_are_refused(field: str) -> None:
    """A time without a zone could mean two moments."""
    with pytest.raises(ValueError, match=f"{field} must be an aware datetime"):
        Token(id="t", owner="alice", **{field: datetime(2026, 4, 15)})


def test_times_of_other_zones_are_the_same_moment() -> None:
    """Records compare by the moment, in whatever zone it is written."""
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))

    assert Token(id="t", owner="alice", created=NOW) == Token(id="t", owner="alice", created=elsewhere)


@pytest.mark.parametrize(
    ("moment", "kept"),
    [
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))), datetime.max.replace(tzinfo=UTC)),
        (datetime.max.replace(tzinfo=ZoneInfo("America/New_York")), datetime.max.replace(tzinfo=UTC)),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), datetime.min.replace(tzinfo=UTC)),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=14))), datetime(9999, 12, 31, 9, 59, 59, 999_999, UTC)),
    ],
    ids=str,
)
def test_times_at_the_ends_of_the_calendar_are_in_it(moment: datetime, kept: datetime) -> None:
    """Every time of a record can be told in UTC: one that lies beyond the calendar there is its last, or its first."""
    token = Token(
        id="t", owner="a", created=moment, expires=moment, revoked=Revocation(moment), last_used=Use(at=moment)
    )

    assert token.revoked is not None
    assert token.last_used is not None
    times = [token.created, token.expires, token.revoked.at, token.last_used.at]
    assert times == [kept] * 4
    assert {time.tzinfo for time in times if time is not None} == {UTC}


@pytest.mark.parametrize(
    "wrong",
    [{"scopes": "read"}, {"networks": "10.0.0.0/8"}, {"limits": {"project": "OPS"}}],
    ids=["scopes", "networks", "limits"],
)
@pytest.mark.parametrize("make", [Token, Grant])
def test_one_string_is_no_collection(make: type, wrong: dict[str, object]) -> None:
    """A string would be taken apart into its letters, so it is refused."""
    with pytest.raises(TypeError, match="the one string"):
        make(**{"id" if make is Token else "token_id": "t", "owner": "alice"}, **wrong)


@pytest.mark.parametrize("make", [Token, Grant])
def test_limits_are_text(make: type) -> None:
    """What a backend has in another type is refused where the record is made, and not where a refusal tells of it."""
    with pytest.raises(TypeError, match="not all of these are text"):
        make(**{"id" if make is Token else "token_id": "t", "owner": "alice"}, limits={"project": [b"OPS"]})


@pytest.mark.parametrize("make", [Owner, Grant])
def test_groups_are_a_set(make: type) -> None:
    """Groups are taken from any collection, but not from one string."""
    needed = {"name": "alice"} if make is Owner else {"owner": "alice", "token_id": "t"}

    assert make(**needed, groups=["a", "b", "a"]).groups == frozenset({"a", "b"})
    with pytest.raises(TypeError, match="the one string"):
        make(**needed, groups="admins")


@pytest.mark.parametrize("wrong", [b"admins", 7, None], ids=repr)
@pytest.mark.parametrize("many", [frozenset, list], ids=["frozenset", "list"])
@pytest.mark.parametrize(
    ("make", "field"),
    [(Owner, "groups"), (Owner, "scopes"), (Token, "scopes"), (Grant, "groups"), (Grant, "scopes")],
)
def test_names_are_text(make: type, field: str, many: Callable[[Iterable[object]], object], wrong: object) -> None:
    """Bytes, say, are refused: a rule that denies ``admins`` would not see that ``b"admins"`` is meant."""
    needed = {Owner: {"name": "alice"}, Token: {"id": "t", "owner": "alice"}, Grant: {"token_id": "t", "owner": "a"}}

    with pytest.raises(TypeError, match=f"{field} takes names, and not all of these are text"):
        make(**needed[make], **{field: many(["others", wrong])})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"id": None}, "the id and the owner of a token must be text, not None and 'alice'"),
        ({"id": 7}, "the id and the owner of a token must be text, not 7 and 'alice'"),
        ({"owner": b"alice"}, "the id and the owner of a token must be text, not 't' and b'alice'"),
        ({"revoked": False}, "the revocation of a token must be a Revocation, not False"),
        ({"revoked": NOW}, "the revocation of a token must be a Revocation, not datetime"),
        ({"last_used": NOW}, "the last use of a token must be a Use, not datetime"),
    ],
    ids=str,
)
def test_a_token_of_other_things_is_refused(wrong: dict[str, object], words: str) -> None:
    """A row given as it is would be a grant without a token, or a good token taken for a revoked one."""
    with pytest.raises(TypeError, match=words):
        Token(**{"id": "t", "owner": "alice"} | wrong)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("network", ["10.0.0.1/8", "nowhere", ""])
def test_malformed_networks_are_refused(network: str) -> None:
    """What is no network, or has host bits set, raises."""
    with pytest.raises(ValueError, match=r"does not appear|has host bits"):
        Token(id="t", owner="alice", networks=[network])


def test_secret_of_what_was_minted_is_hidden() -> None:
    """The repr of a new token shows its record, not its secret."""
    shown = repr(Minted(TEXT, Token(id="t", owner="alice")))

    assert "alice" in shown
    assert TEXT not in shown


def test_reasons_are_their_own_words() -> None:
    """A reason can be written as it is."""
    assert (str(Reason.NO_RULE), f"{Reason.INSUFFICIENT_SCOPE}") == ("no_rule", "insufficient_scope")


def test_cache_settings_are_as_documented() -> None:
    """The defaults are those of the contract, in seconds."""
    assert dataclasses.asdict(CacheSettings()) == {
        "tokens": 10_000,
        "misses": 10_000,
        "lifetime": 300.0,
        "miss_lifetime": 10.0,
        "directory_lifetime": 60.0,
        "poll": 0.5,
        "stale_while_error": 0.0,
    }


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_networks_of_mapped_addresses_are_ipv4(written: str, expected: str) -> None:
    """Clients' addresses are, so a network that stayed IPv6 would never match one."""
    assert str(to_network(written)) == expected
