"""A token that is revoked is refused within a second by every process of every host, at any cache lifetime.

Real processes: two servers with four workers each share a store, and a crowd of clients asks them without a pause while
this process revokes one token after the other. The caches would keep a token for five minutes.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest
from proofs.fleet import Host, crowd, fleet
from proofs.guarded import Guard, opened
from proofs.history import Ask
from services.databases import DatabaseServer, PostgreSQLServer
from services.redis import RedisServer

from patmiddleware.issuer import Issuer

pytestmark = pytest.mark.slow

BOUND = 1.0
"""Seconds after a revocation in which it has arrived everywhere."""
SECONDS = 6.0
"""How long tokens are revoked."""
EVERY = 0.2
"""Seconds between two revocations."""
LIVE = 4
"""Tokens that are in use at a time; so each has been for some time before it is revoked."""
WATCHED = 1.6
"""Seconds for which a revoked token is still tried."""
HOSTS, WORKERS = 2, 4

BETWEEN = 0.1, 0.4
"""Seconds after a revocation: by the first one an event has come, by the second most polls have not."""
FEW = 0.1
"""Share of the requests between that are let in all the same, on a machine that is busy with this very proof."""

log = logging.getLogger("proofs")
Record = Callable[[str, object], None]


@dataclass(slots=True)
class Run:
    """What came of it.

    Attributes:
        revoked: token ids, and when each ``revoke`` had returned.
        asks: every request of the crowd.
    """

    revoked: dict[str, float] = field(default_factory=dict)
    asks: list[Ask] = field(default_factory=list)

    def late(self) -> list[Ask]:
        """The requests that were let in though they began after the bound."""
        return [
            ask
            for ask in self.asks
            if ask.status == 200 and ask.token in self.revoked and ask.begin > self.revoked[ask.token] + BOUND
        ]

    def delays(self, status: int, pick: Callable[[list[float]], float]) -> list[float]:
        """For each token and worker the seconds from the revocation to the last 200, or to the first 401."""
        times: dict[tuple[str, str], list[float]] = defaultdict(list)
        for ask in self.asks:
            if ask.token in self.revoked and ask.status == status:
                times[ask.token, ask.worker].append(max(0.0, ask.begin - self.revoked[ask.token]))
        return [pick(found) for found in times.values()]

    def share_let_in(self) -> float:
        """Give which part was let in of the requests that began after an event had come, and before most polls."""
        begin, end = BETWEEN
        statuses = [ask.status for ask in self.asks if begin < ask.begin - self.revoked.get(ask.token or "", inf) < end]
        return statuses.count(200) / max(1, len(statuses))

    def judge(self, record: Record) -> float:
        """Fail where the bound is not kept, or where nothing was proven; tell the figures.

        Returns:
            The share that was let in where an event would have come.
        """
        lasts, firsts = self.delays(200, max), self.delays(401, min)
        figures = {
            "requests": len(self.asks),
            "revocations": len(self.revoked),
            "last accepted after (median)": round(median(lasts), 4),
            "last accepted after (most)": round(max(lasts), 4),
            "first refused after (median)": round(median(firsts), 4),
            "first refused after (most)": round(max(firsts), 4),
            "let in between (share)": round(self.share_let_in(), 4),
            "unavailable": sum(ask.status == 503 for ask in self.asks),
        }
        log.info("%s", figures)
        for name, value in figures.items():
            record(name, value)
        assert self.late()[:3] == []
        assert {ask.status for ask in self.asks} <= {200, 401, 503}
        # Else it would have been no proof: each worker knew some of the tokens, and was asked again after the bound.
        assert figures["revocations"] >= SECONDS / EVERY / 10
        knew = {ask.worker for ask in self.asks if ask.status == 200 and ask.token in self.revoked}
        asked = {ask.worker for ask in self.asks if ask.begin > self.revoked.get(ask.token or "", inf) + BOUND}
        assert len(knew) == len(asked) == HOSTS * WORKERS
        assert figures["unavailable"] <= figures["requests"] / 20
        return self.share_let_in()


def revoke_under_load(hosts: list[Host], store: Any, meanwhile: Callable[[float], object]) -> Run:
    """Revoke tokens while they are used; at each turn something else may be done."""
    issuer, run = Issuer(store), Run()
    live: list[tuple[str, str]] = []
    in_use: list[tuple[str, str]] = []

    def choose(random: Random) -> tuple[str, str]:
        return random.choice(in_use)

    def make() -> None:
        minted = issuer.mint(owner="alice", name="a proof", lifetime=timedelta(days=1))
        live.append((minted.token.id, minted.secret))
        in_use.append(live[-1])

    for _ in range(LIVE):
        make()
    with crowd(hosts, choose) as clients:
        began = time.monotonic()
        time.sleep(LIVE * EVERY)
        while (passed := time.monotonic() - began) < SECONDS:
            meanwhile(passed)
            token = live.pop(0)
            issuer.revoke(token[0])
            run.revoked[token[0]] = time.monotonic()
            make()
            in_use[:] = [one for one in in_use if run.revoked.get(one[0], inf) > time.monotonic() - WATCHED]
            time.sleep(EVERY)
        time.sleep(BOUND + 0.3)
        run.asks = clients.stop()
    return run


@pytest.fixture(params=["sqlite", "file", "postgresql", "mysql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new store of each kind in turn."""
    return new_store(request, request.param, tmp_path)


def new_store(request: pytest.FixtureRequest, kind: str, folder: Path) -> str:
    if kind in ("sqlite", "file"):
        return f"sqlite:///{folder}/tokens.db" if kind == "sqlite" else f"file:{folder}/tokens.jsonl"
    server: DatabaseServer = request.getfixturevalue({"mysql": "mariadb_server"}.get(kind, f"{kind}_server"))
    return server.new_database()


def close(store: Any) -> None:
    with suppress(AttributeError):  # the file store has nothing to close
        store.close()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    """Run the proof over a store."""

    def run(
        address: str,
        events: str = "",
        *,
        preload: bool = False,
        is_blind: bool = False,
        prepare: Callable[[Any], object] = lambda store: None,
        meanwhile: Callable[[float], object] = lambda passed: None,
    ) -> Run:
        store, guard = opened(address, events), Guard(address, events, is_blind=is_blind)
        prepare(store)
        with fleet(guard, tmp_path, hosts=HOSTS, workers=WORKERS, preload=preload) as hosts:
            found = revoke_under_load(hosts, store, meanwhile)
        close(store)
        return found

    return run


def test_polling_alone_keeps_the_bound(address: str, run: Callable[..., Run], record_property: Record) -> None:
    """Without any events, for every kind of store."""
    run(address, "none").judge(record_property)


def test_workers_forked_from_one_process_keep_the_bound(
    request: pytest.FixtureRequest, tmp_path: Path, run: Callable[..., Run], record_property: Record
) -> None:
    """Their store was opened before the fork: what it holds open must not tie them together."""
    run(new_store(request, "mysql", tmp_path), "none", preload=True).judge(record_property)


def test_the_proof_finds_a_fault(request: pytest.FixtureRequest, tmp_path: Path, run: Callable[..., Run]) -> None:
    """Where the store never says that something changed, revoked tokens are let in, and that is seen."""
    found = run(new_store(request, "sqlite", tmp_path), "none", is_blind=True)

    assert len(found.late()) > 10


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_notices_are_faster_than_polling(
    request: pytest.FixtureRequest, tmp_path: Path, run: Callable[..., Run], record_property: Record, preload: bool
) -> None:
    """PostgreSQL tells every worker."""
    found = run(new_store(request, "postgresql", tmp_path), preload=preload)

    assert found.judge(record_property) < FEW


@pytest.mark.parametrize("kind", ["sqlite", "mysql"])
def test_redis_is_faster_than_polling(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    run: Callable[..., Run],
    record_property: Record,
    redis_server: RedisServer,
    kind: str,
) -> None:
    """Redis tells every worker, whatever the store."""
    found = run(new_store(request, kind, tmp_path), redis_server.url, preload=kind == "sqlite")

    assert found.judge(record_property) < FEW


class Once:
    """Does something once, after so many seconds."""

    def __init__(self, after: float, act: Callable[[], object]) -> None:
        self._after, self._act, self.done = after, act, False

    def __call__(self, passed: float) -> None:
        if passed > self._after and not self.done:
            self._act()
            self.done = True


@pytest.mark.parametrize("end", ["kill", "freeze"])
def test_the_bound_holds_when_redis_goes(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    run: Callable[..., Run],
    record_property: Record,
    redis_server: RedisServer,
    end: str,
) -> None:
    """Killed, or hanging without a word, half-way through: polling goes on."""
    gone = Once(SECONDS / 2, getattr(redis_server, end))

    found = run(new_store(request, "sqlite", tmp_path), redis_server.url, meanwhile=gone)

    found.judge(record_property)
    assert gone.done


def test_the_bound_holds_when_notices_are_lost(
    request: pytest.FixtureRequest, tmp_path: Path, run: Callable[..., Run], record_property: Record
) -> None:
    """All listen, but nobody is told: the bound owes nothing to events."""

    def suppress_notices(store: Any) -> None:
        store._notice = None

    run(new_store(request, "postgresql", tmp_path), prepare=suppress_notices).judge(record_property)


LISTENERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = '{}' AND (query = '' OR query LIKE 'LISTEN %') AND application_name = 'patmiddleware'
"""


def test_the_bound_holds_while_listeners_are_cut_off(
    postgresql_server: PostgreSQLServer, run: Callable[..., Run], record_property: Record
) -> None:
    """The server ends their connections again and again; each comes back, and misses what was told meanwhile."""
    address, cut = postgresql_server.new_database(), []
    statement = LISTENERS.format(address.rpartition("/")[2])

    found = run(address, meanwhile=lambda passed: cut.extend(postgresql_server.run(statement)[0]))

    found.judge(record_property)
    assert sum(cut) > HOSTS * WORKERS
