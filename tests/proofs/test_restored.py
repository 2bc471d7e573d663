"""A backup is put in the place of a store that is in use: what is revoked after that is refused, everywhere.

The backup may be put back while nobody asks, and be changed until it counts as many changes as the file before it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from proofs.fleet import Host, crowd, fleet
from proofs.guarded import Guard, opened

from patmiddleware.issuer import Issuer
from patmiddleware.model import Minted

pytestmark = pytest.mark.slow

BOUND = 1.0
SECONDS = 1.5
"""For which the crowd asks at a time: until every worker has been asked for each token."""


def back_up_file(path: Path, backup: Path) -> None:
    shutil.copy2(path, backup)


def back_up_sqlite(path: Path, backup: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(backup),))
    backup.chmod(0o600)


def put_back(path: Path, backup: Path) -> None:
    """Put a backup in the place of a store, and take away what belongs to the old one."""
    for ending in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(f"{path}{ending}")
    os.replace(backup, path)


def heard(hosts: list[Host], tokens: dict[str, Minted]) -> dict[str, set[int]]:
    """Let a crowd ask for a while, and give which statuses there were for each token, of all workers."""
    names = {minted.token.id: name for name, minted in tokens.items()}

    def choose(random: Random) -> tuple[str, str]:
        minted = random.choice(list(tokens.values()))
        return minted.token.id, minted.secret

    with crowd(hosts, choose) as clients:
        time.sleep(SECONDS)
        asks = clients.stop()
    assert len({ask.worker for ask in asks}) == sum(host.workers for host in hosts)
    return {name: {ask.status for ask in asks if names[ask.token or ""] == name} for name in tokens}


def closed(store: Any) -> None:
    if hasattr(store, "close"):
        store.close()


@pytest.fixture
def hosts(address: str, tmp_path: Path) -> Iterator[list[Host]]:
    """Two servers over the store."""
    closed(opened(address))
    with fleet(Guard(address), tmp_path, workers=2) as found:
        yield found


STORES = {"file": ("file:{}", back_up_file), "sqlite": ("sqlite:///{}", back_up_sqlite)}


@pytest.fixture(params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of store that is a file."""
    return str(request.param)


@pytest.fixture
def address(kind: str, tmp_path: Path) -> str:
    """Its address."""
    return STORES[kind][0].format(tmp_path / "store")


@pytest.mark.parametrize("asked_between", [True, False], ids=["asked", "idle"])
def test_a_revocation_after_a_backup_was_put_back(
    kind: str, address: str, hosts: list[Host], tmp_path: Path, asked_between: bool
) -> None:
    """Who was revoked in it, and who was made after it, is refused; who is in it gets in."""
    back_up: Callable[[Path, Path], None] = STORES[kind][1]
    path, backup = tmp_path / "store", tmp_path / "backup"
    store = opened(address)
    tokens = {name: Issuer(store).mint(owner="alice", name=name) for name in ("kept", "revoked")}
    back_up(path, backup)
    tokens["late"] = Issuer(store).mint(owner="alice", name="late")
    closed(store)
    before = heard(hosts, tokens)

    put_back(path, backup)
    if asked_between:
        heard(hosts, tokens)
    store = opened(address)
    Issuer(store).revoke(tokens["revoked"].token.id)
    closed(store)
    time.sleep(BOUND)

    assert before == {"kept": {200}, "revoked": {200}, "late": {200}}
    assert heard(hosts, tokens) == {"kept": {200}, "revoked": {401}, "late": {401}}
