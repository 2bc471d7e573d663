"""Making, rotating and revoking tokens, over stores with and without transactions."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from plain_store import PlainStore, SilentStore

from patmiddleware.audit import AuditLog
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.changes import here
from patmiddleware.errors import BackendUnavailable, ConfigurationError, RefusedError, UnknownTokenError
from patmiddleware.issuer import Issuer, IssuerLimits
from patmiddleware.model import EPOCH, Grant, Minted, Owner, Revocation, Secret, Token, Use
from patmiddleware.testing import FakeClock, FlakyStore
from patmiddleware.tokens import may_exist, mint_secret

NEVER_MADE = mint_secret(choice=random.Random(1).choice)  # the same in every process that collects the tests

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NEVER = timedelta.max


class Nested:
    """A policy that tells: WRITE includes READ."""

    scopes: Mapping[str, frozenset[str]] = {"READ": frozenset({"READ"}), "WRITE": frozenset({"READ", "WRITE"})}

    def expand(self, scopes: frozenset[str]) -> frozenset[str]:
        return scopes.union(*(self.scopes.get(scope, frozenset()) for scope in scopes))


class Listener:
    """Keeps what an audit log would write."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, str]]] = []

    def event(self, now: float, name: str, **fields: str | None) -> None:
        self.events.append((name, {key: value for key, value in fields.items() if value is not None}))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=[MemoryStore, PlainStore])
def store(request: pytest.FixtureRequest) -> MemoryStore | PlainStore:
    """A store with transactions, and one with the Protocol's methods alone."""
    return request.param()


@pytest.fixture
def issuer(store: MemoryStore, clock: FakeClock) -> Issuer:
    """An issuer whose tokens may make tokens."""
    return Issuer(store, limits=IssuerLimits(tokens_may_mint=True), clock=clock)


def mint(issuer: Issuer, **given: object) -> Minted:
    return issuer.mint(**{"owner": "alice", "name": "ci", **given})


def grant(token: Token, **given: object) -> Grant:
    return Grant(**{"token_id": token.id, "owner": token.owner, **given})


def child(issuer: Issuer, parent: Token, **given: object) -> Minted:
    return mint(issuer, actor=grant(parent), **given)


def live(issuer: Issuer, clock: FakeClock) -> set[str]:
    """The ids of the tokens that are good now."""
    tokens = issuer.list(revoked=False)
    return {token.id for token in tokens if token.expires is None or clock.now < token.expires}


# --- Making


def test_minted_token_is_kept_under_its_secret(issuer: Issuer, store: MemoryStore) -> None:
    """The store finds the record by the secret that was given."""
    minted = mint(issuer)

    assert store.find(Secret(minted.secret)) == minted.token


def test_record_says_what_was_asked(issuer: Issuer, clock: FakeClock) -> None:
    """Every field of the record is as asked for; family and creation are set."""
    minted = mint(
        issuer,
        scopes=["read", "write"],
        lifetime=DAY,
        networks=["10.0.0.0/8"],
        limits={"project": ["OPS"]},
        attributes={"note": "for the build"},
    )

    assert minted.token == Token(
        id=minted.token.id,
        owner="alice",
        name="ci",
        scopes=frozenset({"read", "write"}),
        created=clock.now,
        expires=clock.now + DAY,
        networks=("10.0.0.0/8",),
        limits={"project": ["OPS"]},
        family=minted.token.id,
        attributes={"note": "for the build"},
    )


def test_id_is_sixteen_hexadecimal_digits(issuer: Issuer) -> None:
    """An id is short, safe to log, and each token has its own."""
    ids = [mint(issuer).token.id for _ in range(20)]

    assert len(set(ids)) == 20
    assert all(re.fullmatch(r"[0-9a-f]{16}", id) for id in ids)


def test_secret_has_the_prefix_of_the_store(clock: FakeClock) -> None:
    """A secret is of our format, with the prefix that the store shows."""
    minted = mint(Issuer(MemoryStore(prefix="acme"), clock=clock))

    assert minted.secret.startswith("acme_")
    assert may_exist(minted.secret, "acme", foreign=False)


def test_store_without_settings_has_the_default_prefix() -> None:
    """A store that shows no prefix gets tokens that begin with pat_."""
    assert mint(Issuer(PlainStore())).secret.startswith("pat_")


def test_secret_does_not_show(issuer: Issuer) -> None:
    """Neither the repr of what was minted nor the record has the secret in it."""
    minted = mint(issuer)

    assert minted.secret not in repr(minted)
    assert minted.secret not in repr(minted.token)


@pytest.mark.parametrize(
    "wrong",
    [
        {"owner": ""},
        {"owner": " alice"},
        {"owner": "a\nb"},
        {"owner": "x" * 256},
        {"owner": "\udcff"},
        {"name": ""},
        {"name": "a\0b"},
        {"name": "x" * 256},
        {"scopes": ["a b"]},
        {"scopes": "read"},
        {"scopes": [""]},
        {"networks": ["nowhere"]},
        {"networks": ["10.0.0.1/8"]},
        {"limits": {"project": []}},
        {"limits": {"": ["OPS"]}},
        {"attributes": {"a": 7}},
        {"lifetime": timedelta(0)},
        {"lifetime": -DAY},
        {"lifetime": NEVER - DAY},
    ],
)
def test_wrong_input_is_refused_and_nothing_kept(wrong: dict[str, object], store: MemoryStore, issuer: Issuer) -> None:
    """What is wrong with the input is said before anything is written."""
    with pytest.raises(RefusedError):
        mint(issuer, **wrong)

    assert (list(store.records()), store.revision()) == ([], 0)


def test_unknown_scope_is_refused() -> None:
    """With a policy that tells its scopes, others are refused, with the nearest name; for the operator too."""
    with pytest.raises(RefusedError, match="no scope 'read': did you mean 'READ'"):
        mint(Issuer(MemoryStore(), policy=Nested()), scopes=["read"])


def test_forced_scope_must_be_known() -> None:
    """Forced scopes that the policy does not know are an error at start."""
    with pytest.raises(ConfigurationError, match=r"issuer.ordinary_scopes.*no scope 'REED'"):
        Issuer(MemoryStore(), policy=Nested(), limits=IssuerLimits(ordinary_scopes={"REED"}))


def test_store_must_be_writable() -> None:
    """What only reads tokens is an error at start."""

    class Reader:
        def find(self, secret: Secret) -> None:
            return None

    with pytest.raises(ConfigurationError, match="Reader can only be read"):
        Issuer(Reader())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"store": MemoryStore}, "store: is the class MemoryStore: give an object of it"),
        ({"store": "postgresql://u:hunter2@db/t"}, "store: takes an object, not an address or a path: open it first"),
        ({"policy": Nested}, "policy: is the class Nested: give an object of it"),
        ({"policy": "policy.toml"}, "policy: takes an object, not an address or a path: open it first"),
        ({"policy": Path("policy.toml")}, "policy: takes an object, not an address or a path: open it first"),
        ({"audit": AuditLog}, "audit: is the class AuditLog: give an object of it"),
        ({"audit": "file:audit.jsonl"}, "audit: takes an object, not an address or a path: open it first"),
        ({"limits": IssuerLimits}, "limits: takes IssuerLimits(…), not IssuerLimits"),
        ({"limits": {"maximum_per_owner": 3}}, "limits: takes IssuerLimits(…), not dict"),
        ({"limits": None}, "limits: takes IssuerLimits(…), not NoneType"),
        ({"clock": 5}, "clock: 5 is not callable"),
    ],
)
def test_other_things_are_refused_at_start(options: dict[str, Any], sentence: str) -> None:
    """A class, an address or another thing in the place of an object is an error at start, without what it says."""
    with pytest.raises(ConfigurationError, match=re.escape(sentence)) as caught:
        Issuer(**({"store": MemoryStore()} | options))

    assert "hunter2" not in str(caught.value)


# --- Who makes

ADMINS, STAFF = frozenset({"admins"}), frozenset({"staff"})
STRICT = IssuerLimits(creators=STAFF, creators_for_others=ADMINS, ordinary_scopes={"READ"}, maximum_lifetime=30 * DAY)


@pytest.mark.parametrize(
    ("actor", "owner", "sentence"),
    [
        (Owner(name="alice"), "alice", "'alice' may not make tokens: that needs one of the groups admins, staff"),
        (Owner(name="alice", groups=STAFF, active=False), "alice", "'alice' is not active"),
        (Owner(name="root", groups=ADMINS, active=False), "alice", "'root' is not active"),
        (Owner(name="alice", groups=STAFF), "bob", "'alice' may not make tokens for others"),
        (Owner(name="alice", groups=STAFF), "Alice", "'alice' may not make tokens for others"),
        (Grant(token_id=None, owner="alice"), "alice", "'alice' may not make tokens"),
        (Grant(token_id=None, owner="alice", groups=STAFF), "bob", "'alice' may not make tokens for others"),
        (Grant(token_id="t", owner="alice", groups=STAFF), "alice", "a token may not make tokens"),
        (Grant(token_id="t", owner="root", groups=ADMINS), "alice", "a token may not make tokens"),
    ],
)
def test_actor_is_refused(actor: Grant | Owner, owner: str, sentence: str) -> None:
    """Who is outside of the groups, not active, or asks for somebody else without the right to, gets no token."""
    store = MemoryStore()

    with pytest.raises(RefusedError, match=re.escape(sentence)):
        mint(Issuer(store, limits=STRICT), actor=actor, owner=owner)

    assert list(store.records()) == []


@pytest.mark.parametrize(
    ("actor", "owner", "created_by", "scopes"),
    [
        (None, "alice", None, {"WRITE"}),
        (Owner(name="alice", groups=STAFF), "alice", "alice", {"READ"}),
        (Grant(token_id=None, owner="alice", groups=STAFF), "alice", "alice", {"READ"}),
        (Owner(name="root", groups=ADMINS), "alice", "root", {"WRITE"}),
        (Owner(name="root", groups=ADMINS), "root", "root", {"WRITE"}),
    ],
)
def test_actor_makes(actor: Grant | Owner | None, owner: str, created_by: str | None, scopes: set[str]) -> None:
    """The record says who made it; ordinary creators get the forced scopes, others and the operator what they ask."""
    minted = mint(Issuer(MemoryStore(), limits=STRICT, policy=Nested()), actor=actor, owner=owner, scopes=["WRITE"])

    assert (minted.token.owner, minted.token.created_by, minted.token.scopes) == (owner, created_by, scopes)


@pytest.mark.parametrize("actor", [None, Owner(name="root", groups=ADMINS), Owner(name="alice", groups=STAFF)])
def test_nobody_goes_beyond_the_maximum_lifetime(actor: Owner | None) -> None:
    """The maximum lifetime binds the operator as well."""
    with pytest.raises(RefusedError, match="ask for 30 days at the most"):
        mint(Issuer(MemoryStore(), limits=STRICT), actor=actor, lifetime=31 * DAY)


# --- How many


def test_number_for_each_owner_is_bounded(store: MemoryStore) -> None:
    """One token more than the maximum is refused, and not kept; other owners have their own number."""
    issuer = Issuer(store, limits=IssuerLimits(maximum_per_owner=2))
    mint(issuer)
    mint(issuer)

    with pytest.raises(RefusedError, match="'alice' may have 2 live tokens: revoke one"):
        mint(issuer)

    assert len(store.list(owner="alice")) == 2
    assert mint(issuer, owner="bob").token.owner == "bob"


@pytest.mark.parametrize("ends", ["revoked", "expired"])
def test_dead_tokens_do_not_count(ends: str, store: MemoryStore, clock: FakeClock) -> None:
    """A revoked or an expired token makes room for another one."""
    issuer = Issuer(store, limits=IssuerLimits(maximum_per_owner=1), clock=clock)
    first = mint(issuer, lifetime=DAY)

    if ends == "revoked":
        issuer.revoke(first.token.id)
    else:
        clock.advance(DAY.total_seconds())

    assert mint(issuer).token.owner == "alice"


def test_overlap_counts_once(store: MemoryStore, clock: FakeClock) -> None:
    """Rotating does not hit the bound, and the rotated-out token does not count beside its successor."""
    issuer = Issuer(store, limits=IssuerLimits(maximum_per_owner=2), clock=clock)
    issuer.rotate(mint(issuer).token.id)

    mint(issuer)

    with pytest.raises(RefusedError, match="may have 2 live tokens"):
        mint(issuer)


# --- Children


def test_child_is_of_its_parent(issuer: Issuer) -> None:
    """A token made with a token is its child, for the same owner, of a family of its own."""
    parent = mint(issuer, scopes=["read"], networks=["10.0.0.0/8"], limits={"project": ["OPS"]}).token

    made = child(issuer, parent, scopes=["read"]).token

    assert made == replace(parent, id=made.id, parent=parent.id, family=made.id, created_by="alice")


def test_policy_says_what_a_parent_has(clock: FakeClock) -> None:
    """A scope that the parent's scopes include may be given on."""
    issuer = Issuer(MemoryStore(), limits=IssuerLimits(tokens_may_mint=True), policy=Nested(), clock=clock)
    parent = mint(issuer, scopes=["WRITE"]).token

    assert child(issuer, parent, scopes=["READ"]).token.scopes == {"READ"}


@pytest.mark.parametrize(
    "more",
    [{"scopes": ["write"]}, {"lifetime": 91 * DAY}, {"networks": ["11.0.0.0/8"]}, {"limits": {"project": ["WEB"]}}],
)
def test_child_beyond_its_parent_is_refused(more: dict[str, object], issuer: Issuer, store: MemoryStore) -> None:
    """What goes beyond the parent is refused, and nothing is kept."""
    parent = mint(issuer, scopes=["read"], networks=["10.0.0.0/8"], limits={"project": ["OPS"]}).token

    with pytest.raises(RefusedError, match="the token that asks"):
        child(issuer, parent, **more)

    assert store.list() == [parent]


def test_record_counts_and_not_the_grant(issuer: Issuer) -> None:
    """What the parent has is read from the store: a grant made up with more does not help."""
    parent = mint(issuer, scopes=["read"]).token
    actor = grant(parent, scopes={"read", "write"})

    with pytest.raises(RefusedError, match="no scope 'write'"):
        mint(issuer, actor=actor, scopes=["write"])


@pytest.mark.parametrize("ends", ["revoked", "expired", "removed"])
def test_dead_parent_makes_nothing(ends: str, issuer: Issuer, store: MemoryStore, clock: FakeClock) -> None:
    """A grant may be old: the parent must be live in the store."""
    parent = mint(issuer, lifetime=DAY).token
    match ends:
        case "revoked":
            issuer.revoke(parent.id)
        case "expired":
            clock.advance(DAY.total_seconds())
        case "removed":
            store.remove(parent.id)

    with pytest.raises(RefusedError, match="not valid any more"):
        child(issuer, parent)


@pytest.mark.parametrize(("groups", "allowed"), [(ADMINS, True), (STAFF, False), ((), False)])
def test_child_for_another_owner(groups: frozenset[str], allowed: bool, store: MemoryStore) -> None:
    """Only those who may make tokens for others may do so with a token; it is a child all the same."""
    issuer = Issuer(store, limits=IssuerLimits(tokens_may_mint=True, creators_for_others=ADMINS))
    parent = mint(issuer).token
    actor = grant(parent, groups=groups)

    if not allowed:
        with pytest.raises(RefusedError, match="may not make tokens for others"):
            mint(issuer, owner="bob", actor=actor)
        return

    assert mint(issuer, owner="bob", actor=actor).token.parent == parent.id


# --- Rotating


def test_successor_is_as_its_predecessor(issuer: Issuer, store: MemoryStore, clock: FakeClock) -> None:
    """A successor has a new secret and id, the same rights and family, and lives as long as the old one was given."""
    old = mint(issuer, scopes=["read"], lifetime=10 * DAY, networks=["::1"], limits={"p": ["A"]}, attributes={"a": "b"})
    clock.advance(DAY.total_seconds())

    new = issuer.rotate(Secret(old.secret))

    assert new.secret != old.secret
    assert new.token == store.find(Secret(new.secret))
    assert new.token == replace(
        old.token,
        id=new.token.id,
        created=clock.now,
        expires=clock.now + 10 * DAY,
        family=old.token.id,
        replaces=old.token.id,
    )


def test_successor_was_never_used(issuer: Issuer, store: MemoryStore, clock: FakeClock) -> None:
    """The last use of the old token is not that of the new one."""
    old = mint(issuer).token
    store.record_use({old.id: Use(clock.now, "192.0.2.7")})

    new = issuer.rotate(old.id).token

    assert (issuer.get(new.id).last_used, issuer.get(old.id).last_used) == (None, Use(clock.now, "192.0.2.7"))


@pytest.mark.parametrize(
    ("lifetime", "overlap", "expected"),
    [
        (10 * DAY, HOUR, HOUR),
        (10 * DAY, timedelta(0), timedelta(0)),
        (timedelta(minutes=5), HOUR, timedelta(minutes=5)),
        (NEVER, HOUR, HOUR),
    ],
)
def test_old_secret_lives_for_the_overlap(
    lifetime: timedelta, overlap: timedelta, expected: timedelta, issuer: Issuer, clock: FakeClock
) -> None:
    """The rotated-out token expires with the overlap, and never later than it would have."""
    old = mint(issuer, lifetime=lifetime)

    issuer.rotate(old.token.id, overlap)

    assert issuer.get(old.token.id) == replace(old.token, expires=clock.now + expected)


@pytest.mark.parametrize("shown", ["secret", "text", "id"])
def test_ways_to_name_what_is_rotated(shown: str, issuer: Issuer) -> None:
    """A holder shows the secret, as an object or as text; an operator names the id."""
    old = mint(issuer)
    given = {"secret": Secret(old.secret), "text": old.secret, "id": old.token.id}[shown]

    assert issuer.rotate(given).token.replaces == old.token.id


def test_foreign_secret_is_rotated_into_one_of_ours(issuer: Issuer, store: MemoryStore) -> None:
    """A token that was adopted with a secret of another format gets a secret of ours."""
    store.add(Token(id="jira-7", owner="alice", name="adopted"), "MDM0Njg0Nzk0OTQwOhVB")

    minted = issuer.rotate("MDM0Njg0Nzk0OTQwOhVB")

    assert (minted.token.replaces, minted.secret[:4]) == ("jira-7", "pat_")


@pytest.mark.parametrize(
    ("given", "maximum", "asked", "expected"),
    [
        (10 * DAY, None, None, 10 * DAY),
        (10 * DAY, None, 20 * DAY, 20 * DAY),
        (10 * DAY, None, NEVER, None),
        (NEVER, None, None, None),
        (NEVER, None, DAY, DAY),
        (NEVER, 30 * DAY, None, 30 * DAY),
        (40 * DAY, 30 * DAY, None, 30 * DAY),
        (10 * DAY, 30 * DAY, NEVER, 30 * DAY),
    ],
)
def test_lifetime_of_a_successor(
    given: timedelta,
    maximum: timedelta | None,
    asked: timedelta | None,
    expected: timedelta | None,
    issuer: Issuer,
    clock: FakeClock,
) -> None:
    """A successor gets the span that its predecessor was given, or the one asked for, cut to the maximum of today."""
    old = mint(issuer, lifetime=given)
    later = Issuer(issuer.store, limits=IssuerLimits(maximum_lifetime=maximum), clock=clock)

    new = later.rotate(old.token.id, lifetime=asked).token

    assert new.expires == (None if expected is None else clock.now + expected)


def test_rotated_child_dies_with_its_parent(issuer: Issuer, clock: FakeClock) -> None:
    """A child's successor is a child of the same parent, and lives no longer."""
    parent = mint(issuer, lifetime=10 * DAY).token
    made = child(issuer, parent)
    clock.advance(DAY.total_seconds())

    successor = issuer.rotate(Secret(made.secret), lifetime=NEVER).token

    assert (successor.parent, successor.expires) == (parent.id, parent.expires)


def test_children_move_to_the_successor(issuer: Issuer) -> None:
    """Children of a rotated token hang on its successor, so that they outlive the overlap and die with it."""
    parent = mint(issuer).token
    made = child(issuer, parent).token

    successor = issuer.rotate(parent.id).token

    assert issuer.get(made.id) == replace(made, parent=successor.id)


def test_moved_children_live_no_longer_than_the_successor(issuer: Issuer, clock: FakeClock) -> None:
    """A shorter successor shortens its children, and theirs."""
    parent = mint(issuer, lifetime=NEVER).token
    middle = child(issuer, parent, lifetime=NEVER).token
    last = child(issuer, middle, lifetime=5 * DAY).token

    issuer.rotate(parent.id, lifetime=DAY)

    assert [issuer.get(made.id).expires for made in (middle, last)] == [clock.now + DAY] * 2


def test_dead_children_stay_where_they_are(issuer: Issuer) -> None:
    """What is revoked is not touched by a rotation."""
    parent = mint(issuer).token
    made = child(issuer, parent).token
    issuer.revoke(made.id)

    issuer.rotate(parent.id)

    assert issuer.get(made.id).parent == parent.id


@pytest.mark.parametrize("by_id", [True, False])
def test_no_second_rotation_during_the_overlap(by_id: bool, issuer: Issuer, clock: FakeClock) -> None:
    """While the overlap lasts, a rotated-out token is refused, and nothing is revoked."""
    old = mint(issuer)
    new = issuer.rotate(old.token.id)

    with pytest.raises(RefusedError, match=f"{old.token.id} was rotated already: its successor is {new.token.id}"):
        issuer.rotate(old.token.id if by_id else Secret(old.secret))

    assert live(issuer, clock) == {old.token.id, new.token.id}


def test_a_rotated_secret_shown_after_the_overlap_revokes_the_family(issuer: Issuer, clock: FakeClock) -> None:
    """Two hold the same secret, so one of them is a thief: every successor dies, with its children."""
    first = mint(issuer)
    second = issuer.rotate(Secret(first.secret))
    clock.advance(2 * HOUR.total_seconds())
    third = issuer.rotate(Secret(second.secret))
    made = child(issuer, third.token)
    bystander = mint(issuer)

    with pytest.raises(RefusedError, match="all its successors are revoked"):
        issuer.rotate(Secret(first.secret))

    assert live(issuer, clock) == {bystander.token.id}
    assert issuer.get(made.token.id).revoked == issuer.get(third.token.id).revoked
    assert issuer.get(third.token.id).revoked == Revocation(
        clock.now, "rotation reuse", f"the rotated-out secret of {first.token.id} was shown"
    )


def test_a_rotated_id_named_after_the_overlap_is_only_refused(issuer: Issuer, clock: FakeClock) -> None:
    """An id is no secret: naming an old one revokes nothing."""
    old = mint(issuer)
    new = issuer.rotate(old.token.id)
    clock.advance(2 * HOUR.total_seconds())

    with pytest.raises(RefusedError, match="was rotated already"):
        issuer.rotate(old.token.id)

    assert live(issuer, clock) == {new.token.id}


@pytest.mark.parametrize("ends", ["revoked", "expired"])
def test_dead_token_is_not_rotated(ends: str, issuer: Issuer, clock: FakeClock) -> None:
    """What is dead does not come back by a rotation."""
    old = mint(issuer, lifetime=DAY)
    if ends == "revoked":
        issuer.revoke(old.token.id)
    else:
        clock.advance(DAY.total_seconds())

    with pytest.raises(RefusedError, match=f"{old.token.id} is {ends} and can't be rotated"):
        issuer.rotate(Secret(old.secret))

    assert live(issuer, clock) == set()


@pytest.mark.parametrize(
    "given", ["", "deadbeefdeadbeef", "pat_mistyped", NEVER_MADE, "a\0b", Secret(NEVER_MADE), Secret("")]
)
def test_unknown_token_is_not_rotated(given: Secret | str, issuer: Issuer) -> None:
    """What is no token is said to be unknown, without showing what was given."""
    with pytest.raises(UnknownTokenError) as unknown:
        issuer.rotate(given)

    text = given.reveal() if isinstance(given, Secret) else given
    assert not text or text not in str(unknown.value)


@pytest.mark.parametrize(
    "wrong",
    [{"overlap": -HOUR}, {"overlap": NEVER}, {"overlap": 3600}, {"lifetime": timedelta(0)}, {"lifetime": 90}],
)
def test_wrong_spans_are_refused(wrong: dict[str, object], issuer: Issuer) -> None:
    """A rotation with an overlap or a lifetime that makes no sense changes nothing."""
    token = mint(issuer).token

    with pytest.raises(RefusedError):
        issuer.rotate(token.id, **wrong)

    assert issuer.list() == [token]


def test_rotation_is_one_transaction(clock: FakeClock) -> None:
    """Where the store has transactions, successor, predecessor and children are written as one."""
    store = FlakyStore()
    issuer = Issuer(store, limits=IssuerLimits(tokens_may_mint=True), clock=clock)
    parent = mint(issuer).token
    child(issuer, parent)
    before, store.calls = store.revision(), type(store.calls)()

    issuer.rotate(parent.id)

    assert store.revision() == before + 1
    assert {"add": 0, "replace": 0, "remove": 0, "commit": 1}.items() <= {
        name: store.calls[name] for name in ("add", "replace", "remove", "commit")
    }.items()


# --- Revoking


def test_revoked_token_says_when_who_and_why(issuer: Issuer, clock: FakeClock) -> None:
    """The record keeps the revocation."""
    token = mint(issuer).token

    revoked = issuer.revoke(token.id, by="root", why="left the company")

    assert revoked == (token.id,)
    assert issuer.get(token.id) == replace(token, revoked=Revocation(clock.now, "root", "left the company"))


@pytest.mark.parametrize("odd", [5, b"bob", "a\0b", "\udcff"], ids=repr)
@pytest.mark.parametrize("name", ["by", "why"])
@pytest.mark.parametrize("act", ["revoke", "revoke_owner", "revoke_before", "revoke_secret"])
def test_who_and_why_must_be_text(act: str, name: str, odd: object, issuer: Issuer, clock: FakeClock) -> None:
    """The number of a user, say, is refused, and nothing is revoked: a store might be unable to read it again."""
    minted = mint(issuer)
    which = {
        "revoke": minted.token.id,
        "revoke_owner": "alice",
        "revoke_before": clock.now + DAY,
        "revoke_secret": minted.secret,
    }

    with pytest.raises(RefusedError, match=f"{name} must be text"):
        getattr(issuer, act)(which[act], **{name: odd})

    assert issuer.get(minted.token.id) == minted.token


def test_who_rotates_or_adopts_must_be_text(issuer: Issuer, store: MemoryStore) -> None:
    """As above, and nothing is kept."""
    minted = mint(issuer)

    with pytest.raises(RefusedError, match="by must be text"):
        issuer.rotate(minted.secret, by=5)  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match="by must be text"):
        issuer.adopt("somebody-elses", owner="alice", name="ci", by=5)  # type: ignore[arg-type]

    assert store.list() == [minted.token]


def test_first_revocation_stays(issuer: Issuer, clock: FakeClock) -> None:
    """Revoking again changes nothing and gives no id."""
    token = mint(issuer).token
    issuer.revoke(token.id, by="root", why="first")
    first = issuer.get(token.id)
    clock.advance(60)

    assert issuer.revoke(token.id, by="eve", why="second") == ()
    assert issuer.get(token.id) == first


def test_expired_token_can_be_revoked(issuer: Issuer, clock: FakeClock) -> None:
    """What is named is marked, though it is dead already."""
    token = mint(issuer, lifetime=DAY).token
    clock.advance(DAY.total_seconds())

    assert issuer.revoke(token.id) == (token.id,)


def test_children_die_with_their_parent(issuer: Issuer, clock: FakeClock) -> None:
    """Revoking goes down through every generation, for whomever the children were made, and no further."""
    parent = mint(issuer).token
    middle = child(issuer, parent).token
    last = child(issuer, middle).token
    bystander = mint(issuer).token

    revoked = issuer.revoke(parent.id)

    assert set(revoked) == {parent.id, middle.id, last.id}
    assert live(issuer, clock) == {bystander.id}


def test_parent_outlives_its_child(issuer: Issuer, clock: FakeClock) -> None:
    """Revoking a child leaves its parent and its siblings."""
    parent = mint(issuer).token
    first, second = child(issuer, parent).token, child(issuer, parent).token

    assert issuer.revoke(first.id) == (first.id,)
    assert live(issuer, clock) == {parent.id, second.id}


def test_overlapping_predecessors_die_with_the_successor(issuer: Issuer, clock: FakeClock) -> None:
    """Every older secret of the family that is still good dies too, with the children made with it."""
    first = mint(issuer)
    second = issuer.rotate(first.token.id, timedelta(minutes=1))
    made = child(issuer, second.token)
    third = issuer.rotate(second.token.id, DAY)
    late = child(issuer, second.token)
    clock.advance(120)

    revoked = issuer.revoke(third.token.id)

    assert set(revoked) == {second.token.id, third.token.id, made.token.id, late.token.id}
    assert issuer.get(first.token.id).revoked is None


def test_successor_outlives_its_predecessor(issuer: Issuer, clock: FakeClock) -> None:
    """Revoking a rotated-out token ends its overlap and leaves the successor and the children that moved to it."""
    old = mint(issuer).token
    made = child(issuer, old).token
    new = issuer.rotate(old.id).token

    assert issuer.revoke(old.id) == (old.id,)
    assert live(issuer, clock) == {new.id, made.id}


def test_revoking_an_owner(issuer: Issuer, clock: FakeClock) -> None:
    """All live tokens of an owner die, with their children for whomever; dead ones and other owners' stay."""
    gone = mint(issuer, lifetime=HOUR).token
    first, second = mint(issuer).token, mint(issuer).token
    clock.advance(HOUR.total_seconds())
    helper = Issuer(
        issuer.store, limits=IssuerLimits(tokens_may_mint=True, creators_for_others={"admins"}), clock=clock
    )
    lent = mint(helper, owner="bob", actor=grant(first, groups={"admins"})).token
    other = mint(issuer, owner="bob").token

    revoked = issuer.revoke_owner("alice", by="root", why="left")

    assert set(revoked) == {first.id, second.id, lent.id}
    assert issuer.get(gone.id).revoked is None
    assert live(issuer, clock) == {other.id}


@pytest.mark.parametrize("name", [None, 7, ["alice"]])
def test_revoking_nobody_in_particular_revokes_nothing(name: object, issuer: Issuer) -> None:
    """None, such as of a form without its field, is refused: it is not everybody."""
    minted = mint(issuer)

    with pytest.raises(RefusedError, match="the owner must be text"):
        issuer.revoke_owner(name)  # type: ignore[arg-type]

    assert issuer.get(minted.token.id) == minted.token


def test_revoking_an_owner_without_tokens(issuer: Issuer) -> None:
    """An owner without tokens is no error."""
    assert issuer.revoke_owner("nobody") == ()


def test_revoking_what_is_old(issuer: Issuer, clock: FakeClock) -> None:
    """All live tokens that were made before a time die; one made at that moment stays."""
    old = mint(issuer).token
    clock.advance(60)
    new = mint(issuer).token

    assert issuer.revoke_before(new.created) == (old.id,)
    assert live(issuer, clock) == {new.id}


def test_revoking_before_needs_a_time_zone(issuer: Issuer) -> None:
    """A time without a zone could mean two moments."""
    with pytest.raises(RefusedError, match="time zone"):
        issuer.revoke_before(datetime(2026, 4, 15))


@pytest.mark.parametrize("kind", [Secret, str])
def test_revoking_by_secret(kind: type, issuer: Issuer, clock: FakeClock) -> None:
    """Whoever holds a secret may end it."""
    minted = mint(issuer)

    assert issuer.revoke_secret(kind(minted.secret), why="found on the web") == (minted.token.id,)
    assert live(issuer, clock) == set()


@pytest.mark.parametrize("secret", ["", "pat_mistyped", NEVER_MADE, "foreign", "deadbeefdeadbeef"])
def test_unknown_secret_is_not_revoked(secret: str, issuer: Issuer) -> None:
    """A secret of no token is said to be unknown, and not shown."""
    with pytest.raises(UnknownTokenError) as unknown:
        issuer.revoke_secret(secret)

    assert not secret or secret not in str(unknown.value)


def test_id_is_not_taken_for_a_secret(issuer: Issuer) -> None:
    """Knowing an id is not holding the secret."""
    token = mint(issuer).token

    with pytest.raises(UnknownTokenError):
        issuer.revoke_secret(token.id)


@pytest.mark.parametrize("id", ["", "deadbeefdeadbeef", NEVER_MADE, "a\0b"])
def test_unknown_id_is_not_revoked(id: str, issuer: Issuer) -> None:
    """An id of no token is said to be unknown; a secret pasted in its place is not shown."""
    with pytest.raises(UnknownTokenError) as unknown:
        issuer.revoke(id)

    assert not id or id not in str(unknown.value)


def test_mistyped_secret_costs_no_look_up(clock: FakeClock) -> None:
    """The checksum tells a typing error without asking the store."""
    store = FlakyStore()

    with pytest.raises(UnknownTokenError):
        Issuer(store, clock=clock).revoke_secret(mint_secret()[:-1] + "-")

    assert store.calls["find"] == 0


# --- Looking and forgetting


def test_list_passes_every_filter_on(issuer: Issuer, clock: FakeClock) -> None:
    """Records are given as the store gives them."""
    first = mint(issuer).token
    made = child(issuer, first).token
    clock.advance(1)
    other = mint(issuer, owner="bob").token
    issuer.revoke(other.id)

    assert issuer.list(owner="alice") == sorted([first, made], key=lambda token: token.id)
    assert issuer.list(parent=first.id) == [made]
    assert issuer.list(family=first.id) == [first]
    assert [token.id for token in issuer.list(revoked=True)] == [other.id]
    assert issuer.list(created_before=other.created, limit=1) == issuer.list(owner="alice")[:1]
    assert len(issuer.list(after=min(first.id, made.id, other.id))) == 2


def test_purge_forgets_what_is_long_dead(issuer: Issuer, clock: FakeClock) -> None:
    """Records that were revoked or expired before a time go; what died later and what lives stays."""
    expired, revoked = mint(issuer, lifetime=DAY).token, mint(issuer).token
    issuer.revoke(revoked.id)
    living = mint(issuer, lifetime=NEVER).token
    clock.advance(10 * DAY.total_seconds())
    late = mint(issuer).token
    issuer.revoke(late.id)

    assert set(issuer.purge(clock.now - 5 * DAY)) == {expired.id, revoked.id}
    assert {token.id for token in issuer.list()} == {living.id, late.id}


def test_purge_keeps_what_was_rotated_out_while_its_family_lives(issuer: Issuer, clock: FakeClock) -> None:
    """However old it is, a rotated-out secret still gives a thief away; the family goes as a whole."""
    first = mint(issuer, lifetime=30 * DAY)
    second = issuer.rotate(first.token.id)
    clock.advance(20 * DAY.total_seconds())

    assert issuer.purge(clock.now) == ()

    with pytest.raises(RefusedError, match="all its successors are revoked"):
        issuer.rotate(Secret(first.secret))
    clock.advance(1)
    assert set(issuer.purge(clock.now)) == {first.token.id, second.token.id}


def test_purge_does_not_reach_into_the_future(issuer: Issuer, clock: FakeClock) -> None:
    """A token that will be dead then, but lives now, is kept."""
    token = mint(issuer, lifetime=DAY).token

    assert issuer.purge(clock.now + 10 * DAY) == ()
    assert issuer.list() == [token]


# --- Telling others


def test_every_change_is_announced(clock: FakeClock) -> None:
    """The caches of this process hear of each change, whatever the store does."""
    issuer = Issuer(SilentStore(), clock=clock)
    counts = [here.count]

    minted = mint(issuer)
    counts.append(here.count)
    issuer.rotate(minted.token.id)
    counts.append(here.count)
    issuer.revoke_owner("alice")
    counts.append(here.count)
    clock.advance(1)
    issuer.purge(clock.now)
    counts.append(here.count)

    assert counts == sorted(set(counts))


def test_audit_hears_of_every_act(store: MemoryStore, clock: FakeClock) -> None:
    """Making, rotating, showing an old secret and revoking leave a line each, without a secret."""
    listener = Listener()
    issuer = Issuer(store, clock=clock, audit=listener)
    first = mint(issuer, actor=Owner(name="alice"), scopes=["write", "read"])
    second = issuer.rotate(first.token.id, timedelta(0), by="root")

    with pytest.raises(RefusedError):
        issuer.rotate(Secret(first.secret))

    common = {"owner": "alice", "token_name": "ci", "scopes": "read write"}
    then = (clock.now + 90 * DAY).isoformat()
    reuse = {"by": "rotation reuse", "why": f"the rotated-out secret of {first.token.id} was shown"}
    assert listener.events == [
        ("token.created", {**common, "token": first.token.id, "expires": then, "by": "alice"}),
        (
            "token.rotated",
            {**common, "token": second.token.id, "expires": then, "by": "root", "replaces": first.token.id},
        ),
        ("token.reuse", {**common, "token": first.token.id, "expires": clock.now.isoformat()}),
        ("token.revoked", {**common, "token": second.token.id, "expires": then, "replaces": first.token.id, **reuse}),
    ]


def test_audit_takes_the_fields_that_an_issuer_sends() -> None:
    """The real audit log knows every field of an event."""
    stream = StringIO()
    audit = AuditLog(stream)
    issuer = Issuer(MemoryStore(), audit=audit)
    minted = issuer.mint(owner="alice", name="ci", actor=Owner(name="alice"))
    issuer.revoke(issuer.rotate(minted.token.id).token.id, by="root", why="lost")

    audit.close()

    lines = stream.getvalue().splitlines()
    assert [line.count('"event":"token.') for line in lines] == [1] * 4
    assert minted.secret not in stream.getvalue()


@pytest.mark.parametrize("make", [FlakyStore, PlainStore])
def test_outage_is_not_a_refusal(make: type[FlakyStore] | type[PlainStore]) -> None:
    """A store that can't be asked is an outage, for every act."""
    store = make()
    issuer = Issuer(store)
    token = mint(issuer).token
    store.down = True

    for act in (
        lambda: mint(issuer),
        lambda: issuer.rotate(token.id),
        lambda: issuer.revoke(token.id),
        lambda: issuer.revoke_owner("alice"),
        lambda: issuer.purge(datetime.now(UTC)),
    ):
        with pytest.raises(BackendUnavailable):
            act()


def test_a_password_makes_no_more_than_it_may() -> None:
    """A grant without a token bounds what is made with it: by its scopes, limits and networks."""
    issuer = Issuer(MemoryStore())
    grant = Grant(token_id=None, owner="alice", scopes={"READ"}, limits={"project": {"OPS"}}, networks=("10.0.0.0/8",))

    made = issuer.mint(owner="alice", name="x", scopes={"READ"}, actor=grant).token

    assert (made.limits, made.networks) == (grant.limits, grant.networks)
    with pytest.raises(RefusedError, match="WRITE are beyond"):
        issuer.mint(owner="alice", name="x", scopes={"WRITE"}, actor=grant)


class PassesOverAfter(MemoryStore):
    """Gives the first page again and again."""

    def list(self, *, after: str | None = None, **filters: Any) -> Sequence[Token]:
        return super().list(**filters)


def test_a_store_that_gives_the_same_page_again_ends_a_revocation() -> None:
    """What could be revoked is, and whoever asked hears what is wrong, rather than wait for ever."""
    store = PassesOverAfter()
    store.add(Token(id="1", owner="alice", expires=EPOCH), "expired")
    store.add(Token(id="2", owner="alice"), "live")

    with pytest.raises(BackendUnavailable, match="passes over 'after'"):
        Issuer(store).revoke_owner("alice")

    assert [token.id for token in store.list(revoked=True)] == ["2"]


class Stumbles(PlainStore):
    """Raises once what no backend may, or what a user who breaks off causes, as soon as a token was added."""

    fault: BaseException | None = None

    def enter(self, method: str) -> None:
        super().enter(method)
        if self.fault is not None and self.calls["add"] and method != "add":
            fault, self.fault = self.fault, None
            raise fault


@pytest.mark.parametrize("fault", [OSError("pipe"), StopIteration(), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_what_breaks_off_leaves_no_token_whose_secret_nobody_has(fault: BaseException) -> None:
    """Neither a new one, which would count, nor a successor, after which the old token can be rotated no more."""
    store = Stumbles()
    store.add(Token(id="old", owner="alice"), "x")
    issuer = Issuer(store, limits=IssuerLimits(maximum_per_owner=2))

    for act in (lambda: issuer.mint(owner="alice", name="ci"), lambda: issuer.rotate("old")):
        store.calls.clear()
        store.fault = fault
        with pytest.raises(type(fault)):
            act()

    assert [token.id for token in store.list()] == ["old"]
    assert issuer.rotate("old").token.replaces == "old"
