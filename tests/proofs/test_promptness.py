"""With events a revocation arrives long before a process would have asked by itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from proofs.fleet import Client, fleet
from proofs.guarded import Guard, opened
from services.databases import postgresql
from services.redis import redis

from patmiddleware.issuer import Issuer

pytestmark = pytest.mark.slow

TOKENS = 60
MEDIAN = 0.1
"""Seconds in which half of the revocations must have arrived; by polling it would be a quarter of a second."""


@pytest.fixture(params=["postgresql", "redis"])
def guard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Guard]:
    """A store with each kind of events."""
    if request.param == "postgresql":
        with postgresql() as server:
            yield Guard(server.new_database())
    else:
        with redis() as carrier:
            yield Guard(f"sqlite:///{tmp_path}/tokens.db", events=carrier.url)


def test_half_of_the_revocations_arrive_at_once(guard: Guard, tmp_path: Path, record_property: object) -> None:
    """One client asks again and again, as fast as it can, from the moment that ``revoke`` returned."""
    issuer = Issuer(opened(guard.store, guard.events))
    minted = [issuer.mint(owner="alice", name=f"number {number}") for number in range(TOKENS)]
    delays, admitted = [], [0.0]  # the latter: how many seconds after it they were asked

    with fleet(guard, tmp_path, hosts=1, workers=1) as [host]:
        client = Client(0, host.port)
        for one in minted:
            assert client.ask(one.token.id, one.secret).status == 200
            issuer.revoke(one.token.id)
            returned = time.monotonic()
            while (ask := client.ask(one.token.id, one.secret)).status == 200:
                admitted.append(ask.begin - returned)
            assert ask.status == 401
            delays.append(time.monotonic() - returned)
        client.close()
    issuer.store.close()  # type: ignore[attr-defined]

    record_property("median", statistics.median(delays))  # type: ignore[operator]
    print(f"median {statistics.median(delays) * 1000:.1f} ms, most {max(delays) * 1000:.1f} ms")
    assert statistics.median(delays) < MEDIAN
    assert max(admitted) < 1.0
