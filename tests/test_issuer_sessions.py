"""Sessions: children of a token that are good as a cookie alone, over stores with and without transactions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from plain_store import PlainStore

from patmiddleware import open_store
from patmiddleware.audit import AuditLog
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.errors import RefusedError
from patmiddleware.issuer import MOST_SESSIONS, Issuer, IssuerLimits
from patmiddleware.model import SESSION, Grant, Minted, Secret, Token
from patmiddleware.testing import FakeClock

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=[MemoryStore, PlainStore])
def store(request: pytest.FixtureRequest) -> MemoryStore | PlainStore:
    """A store with transactions, and one with the Protocol's methods alone."""
    return request.param()


@pytest.fixture
def issuer(store: MemoryStore, clock: FakeClock) -> Issuer:
    return Issuer(store, clock=clock)


def mint(issuer: Issuer, **given: Any) -> Token:
    return issuer.mint(**{"owner": "alice", "name": "ci", "scopes": ["read"], "lifetime": DAY, **given}).token


def opened(issuer: Issuer, token: Token, lifetime: timedelta = HOUR) -> Minted:
    return issuer.open_session(Grant(token_id=token.id, owner=token.owner), lifetime)


def test_a_session_has_all_that_its_token_has(issuer: Issuer, store: MemoryStore, clock: FakeClock) -> None:
    """It may do what the token may, from where the token may, and is marked."""
    token = mint(issuer, networks=["10.0.0.0/8"], limits={"project": ["OPS"]}, attributes={"note": "x"})
    clock.advance(60)

    minted = opened(issuer, token)

    session = minted.token
    assert store.find(Secret(minted.secret)) == session
    assert session == replace(
        token,
        id=session.id,
        name="ci (session)",
        created=clock.now,
        expires=clock.now + HOUR,
        created_by="alice",
        parent=token.id,
        family=session.id,
        attributes=SESSION,
    )
    assert (session.is_session, token.is_session) == (True, False)


def test_a_session_does_not_outlive_its_token(issuer: Issuer) -> None:
    """Its life is cut to what is left of the token's."""
    token = mint(issuer, lifetime=HOUR)

    assert opened(issuer, token, DAY).token.expires == token.expires


def test_a_session_of_a_token_that_never_expires_does(issuer: Issuer, clock: FakeClock) -> None:
    """A session is for a while, whatever its token is for."""
    token = mint(issuer, lifetime=timedelta.max)

    assert opened(issuer, token).token.expires == clock.now + HOUR


def test_the_longest_name_leaves_room_for_a_session(issuer: Issuer) -> None:
    """A session's name is no longer than a name may be."""
    assert len(opened(issuer, mint(issuer, name="n" * 255)).token.name) <= 255


def test_sessions_are_not_counted(store: MemoryStore, clock: FakeClock) -> None:
    """The maximum for each owner is about tokens: a session needs no room, and takes none."""
    issuer = Issuer(store, clock=clock, limits=IssuerLimits(maximum_per_owner=2))
    token = mint(issuer)
    for _ in range(3):
        opened(issuer, token)
    mint(issuer)

    assert opened(issuer, token).token.is_session
    with pytest.raises(RefusedError, match="may have 2 live tokens"):
        mint(issuer)


def dead(issuer: Issuer, clock: FakeClock) -> Grant:
    token = mint(issuer)
    issuer.revoke(token.id)
    return Grant(token_id=token.id, owner="alice")


def expired(issuer: Issuer, clock: FakeClock) -> Grant:
    token = mint(issuer, lifetime=HOUR)
    clock.advance(3600)
    return Grant(token_id=token.id, owner="alice")


def of_a_session(issuer: Issuer, clock: FakeClock) -> Grant:
    return Grant(token_id=opened(issuer, mint(issuer)).token.id, owner="alice")


def of_a_password(issuer: Issuer, clock: FakeClock) -> Grant:
    return Grant(token_id=None, owner="alice")


def of_nothing(issuer: Issuer, clock: FakeClock) -> Grant:
    return Grant(token_id="no-such-id", owner="alice")


def of_another_issuer(issuer: Issuer, clock: FakeClock) -> Grant:
    """Of a JWT, whose id is its issuer's choice."""
    return Grant(token_id=mint(issuer).id, owner="mallory")


@pytest.mark.parametrize("make", [dead, expired, of_a_session, of_a_password, of_nothing, of_another_issuer])
def test_what_opens_no_session(make: Any, issuer: Issuer, store: MemoryStore, clock: FakeClock) -> None:
    """Only a token that is valid does: no session, no password, and nothing that is not there any more."""
    grant = make(issuer, clock)
    before = store.list()

    with pytest.raises(RefusedError):
        issuer.open_session(grant, HOUR)

    assert store.list() == before


def test_a_session_makes_no_tokens(store: MemoryStore, clock: FakeClock) -> None:
    """Even where tokens may: what is got with a stolen cookie would outlast it."""
    issuer = Issuer(store, clock=clock, limits=IssuerLimits(tokens_may_mint=True))
    session = opened(issuer, mint(issuer)).token

    with pytest.raises(RefusedError, match="makes no tokens"):
        mint(issuer, actor=Grant(token_id=session.id, owner="alice"))


def test_a_token_of_another_issuer_makes_no_child_of_one_with_its_id(store: MemoryStore, clock: FakeClock) -> None:
    """It would have what the token has, whoever the other one is of."""
    issuer = Issuer(store, clock=clock, limits=IssuerLimits(tokens_may_mint=True))
    token = mint(issuer)

    with pytest.raises(RefusedError, match="not valid any more"):
        mint(issuer, owner="mallory", actor=Grant(token_id=token.id, owner="mallory"))


def test_a_session_is_not_rotated(issuer: Issuer) -> None:
    """Neither its holder nor an operator makes it live longer."""
    minted = opened(issuer, mint(issuer))

    for given in (Secret(minted.secret), minted.token.id):
        with pytest.raises(RefusedError, match="not rotated"):
            issuer.rotate(given)


def test_nobody_marks_a_token_as_a_session(issuer: Issuer) -> None:
    """The mark is not to be had by asking, which would make a token that is not counted."""
    with pytest.raises(RefusedError, match=r"'patmiddleware\.kind' can't be set"):
        mint(issuer, attributes=SESSION)


def test_a_session_dies_with_its_token(issuer: Issuer, store: MemoryStore) -> None:
    """Revoking a token revokes its sessions; those of another one live on."""
    token, other = mint(issuer), mint(issuer)
    session, kept = opened(issuer, token).token, opened(issuer, other).token

    assert set(issuer.revoke(token.id)) == {token.id, session.id}
    assert [one.id for one in store.list(revoked=False)] == sorted([other.id, kept.id])


def test_a_session_moves_to_the_successor(issuer: Issuer, store: MemoryStore) -> None:
    """A rotation logs nobody out."""
    token = mint(issuer)
    session = opened(issuer, token).token

    successor = issuer.rotate(token.id, timedelta(0)).token

    assert store.get(session.id) == replace(session, parent=successor.id)


def test_dead_sessions_are_forgotten_with_the_next(issuer: Issuer, store: MemoryStore, clock: FakeClock) -> None:
    """What is over goes; live sessions, sessions of others and other children stay."""
    token, other = mint(issuer), mint(issuer)
    ended, over = opened(issuer, token).token, opened(issuer, token).token
    foreign = opened(issuer, other).token
    child = replace(token, id="child", parent=token.id, family="child", expires=clock.now + HOUR)
    store.add(child, "a secret")
    live = opened(issuer, token, 2 * HOUR).token
    issuer.revoke(ended.id)
    clock.advance(3600)

    new = opened(issuer, token).token

    kept = {one.id for one in store.list()}
    assert kept == {token.id, other.id, foreign.id, child.id, live.id, new.id}
    assert over.id not in kept


def test_the_oldest_session_gives_way(store: MemoryStore, clock: FakeClock) -> None:
    """A client that logs in for each request, and never out, has a bounded number of records, and is not refused."""
    issuer = Issuer(store, clock=clock)
    token = mint(issuer)
    first = opened(issuer, token, DAY).token
    clock.advance(1)
    second = opened(issuer, token, DAY).token
    for number in range(MOST_SESSIONS - 2):
        clock.advance(1)
        session = replace(second, id=f"s{number}", family=f"s{number}", created=clock.now)
        store.add(session, f"secret {number}")

    opened(issuer, token, DAY)

    assert len(store.list(parent=token.id)) == MOST_SESSIONS
    assert (store.get(first.id), store.get(second.id)) == (None, second)


@pytest.mark.parametrize("address", ["memory:", "sqlite:///{}/tokens.db", "file:{}/tokens.jsonl"])
def test_logins_at_once_all_succeed(address: str, tmp_path: Path) -> None:
    """Several that forget the same dead sessions get in each other's way no more than others do."""
    store = open_store(address.format(tmp_path))
    issuer = Issuer(store)  # type: ignore[arg-type]  # each of these can be written
    token = mint(issuer)

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: opened(issuer, token, timedelta(microseconds=1)).token.id, range(40)))

    assert len(set(made)) == 40
    assert len(issuer.list(parent=token.id)) < 40
    getattr(store, "close", lambda: None)()


def test_audit_hears_of_sessions() -> None:
    """They are told apart from tokens, with the token that each is of and the request that opened it."""
    stream = StringIO()
    audit = AuditLog(stream)
    issuer = Issuer(MemoryStore(), audit=audit)
    token = mint(issuer)
    minted = issuer.open_session(Grant(token_id=token.id, owner="alice"), HOUR, request_id="r1")
    issuer.revoke(token.id, by="root", why="lost")

    audit.close()

    lines = stream.getvalue().splitlines()[1:]
    assert [line.partition('"event":"')[2].partition('"')[0] for line in lines] == [
        "session.created",
        "token.revoked",
        "session.ended",
    ]
    assert f'"parent":"{token.id}","by":"alice","request_id":"r1"' in lines[0]
    assert minted.secret not in stream.getvalue()
