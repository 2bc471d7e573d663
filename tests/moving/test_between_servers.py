"""Tokens move between database servers as they do between files."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise
from pathlib import Path

from services.databases import mariadb, postgresql

from patmiddleware.backends.file import FileStore
from patmiddleware.backends.sql import SQLStore
from patmiddleware.interfaces import Add
from patmiddleware.model import Digest, Revocation, Token, Use
from patmiddleware.moving import copy
from patmiddleware.testing import NOON, ODD_TEXTS, sample_token

IDS = [text for text in ODD_TEXTS.values() if len(text) < 200 and "\0" not in text and text.isprintable()]


def test_tokens_go_round_through_every_kind_of_store(tmp_path: Path) -> None:
    """From a file to PostgreSQL, to MariaDB, to SQLite and back: nothing is lost, changed or doubled on the way."""
    first, last = FileStore(f"{tmp_path}/first.jsonl"), FileStore(f"{tmp_path}/last.jsonl")
    tokens = [*(Token(id=f"{n:04}", owner="alice") for n in range(1_200)), *(sample_token(id, owner=id) for id in IDS)]
    first.commit([Add(token, Digest("sha256", "", n.to_bytes(32))) for n, token in enumerate(tokens)])
    first.add(sample_token("gone", revoked=Revocation(NOON, "bob", "lost"), last_used=Use(NOON, "::1", "curl")), "x")

    with (
        postgresql() as one,
        mariadb() as other,
        closing(SQLStore(one.new_database())) as second,
        closing(SQLStore(other.new_database())) as third,
        closing(SQLStore(f"sqlite:///{tmp_path}/fourth.db")) as fourth,
    ):
        chain = (first, second, third, fourth, last)
        moved = [copy(source, target) for source, target in pairwise(chain)]

    assert [one.copied for one in moved] == [len(tokens) + 1] * 4
    assert all(one.verified for one in moved)
    assert list(last.records()) == list(first.records())
