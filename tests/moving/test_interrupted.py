"""Copies that are killed at any moment: real processes, ``SIGKILL``.

Run as a program, this file is such a copy; it says when it begins to write.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import sleep

import pytest

import patmiddleware.errors
from patmiddleware.backends import open_store
from patmiddleware.interfaces import Add, Replace, TokenStore, Transactional
from patmiddleware.model import Revocation, Token, Use
from patmiddleware.moving import Step, copy
from patmiddleware.testing import NOON

TOKENS = 1_000
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(patmiddleware.errors.__file__).parents[1])}


@contextmanager
def telling(label: str, total: int | None) -> Iterator[Step]:
    print(label, flush=True)
    yield lambda done=1: None


def make(address: str) -> TokenStore:
    """Make a source: every third token is dead, and every fifth was used."""
    store = open_store(address)
    assert isinstance(store, Transactional)
    tokens = [
        Token(
            id=f"t{number:05}",
            owner=f"owner {number % 7}",
            revoked=Revocation(NOON) if number % 3 == 0 else None,
            last_used=Use(NOON) if number % 5 == 0 else None,
            attributes={"number": str(number)},
        )
        for number in range(TOKENS)
    ]
    store.commit([Add(token, token.id) for token in tokens])
    return store


def begin(address: str, target: TokenStore) -> None:
    """Let a target have some tokens that the source has as dead since."""
    assert isinstance(target, Transactional)
    dead = open_store(address).list(revoked=True)[::10]
    target.commit([Add(replace(token, revoked=None), token.id) for token in dead])


def killed(source: str, target: str, choice: random.Random) -> None:
    """Copy, and be killed while writing, or a little later."""
    process = subprocess.Popen([sys.executable, __file__, source, target], stdout=subprocess.PIPE, env=ENVIRON)
    assert process.stdout
    with process:
        for line in process.stdout:
            if line == b"Copying\n":
                sleep(choice.uniform(0, 0.25))
                process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [("file:{}", "sqlite:///{}"), ("sqlite:///{}", "file:{}")], ids=["to sql", "to file"])
def test_whenever_it_is_killed_nothing_is_lost_or_doubled(tmp_path: Path, kinds: tuple[str, str]) -> None:
    """Each time some tokens have come over, whole; run once more, the target is as the source."""
    if "sqlite:///{}" in kinds:
        pytest.importorskip("sqlalchemy", reason="needs the extra sql")
    source = kinds[0].format(tmp_path / "source")
    records = {token.id: (token, digest) for token, digest in make(source).records()}
    choice, cut_short = random.Random(), 0

    for number in range(4):
        target = kinds[1].format(tmp_path / f"target{number}")
        begin(source, open_store(target))
        for _ in range(2):
            killed(source, target, choice)
            arrived = {token.id: digest for token, digest in open_store(target).records()}
            assert arrived.items() <= {id: digest for id, (_, digest) in records.items()}.items()
            cut_short += len(arrived) < TOKENS
        moved = copy(open_store(source), open_store(target))
        assert moved.verified
        assert moved.copied + moved.skipped == TOKENS
        assert list(open_store(target).records()) == list(records.values())

    assert cut_short, "it was never killed while it wrote"


def test_a_revocation_is_a_change_like_any_other(tmp_path: Path) -> None:
    """What the source revokes between two runs is revoked by the second."""
    source, target = make(f"file:{tmp_path / 'source'}"), open_store(f"file:{tmp_path / 'target'}")
    copy(source, target)
    [first, *_] = source.list(revoked=False, limit=1)
    assert isinstance(source, Transactional)
    source.commit([Replace(replace(first, revoked=Revocation(NOON)), first)])

    moved = copy(source, target)

    assert (moved.copied, moved.revoked, moved.verified) == (0, 1, True)


if __name__ == "__main__":
    copy(open_store(sys.argv[1]), open_store(sys.argv[2]), progress=telling)
