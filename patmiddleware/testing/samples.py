"""What the contracts ask with: tokens, odd texts, and threads that act at once."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from patmiddleware.interfaces import TokenReader
from patmiddleware.model import Secret, Token

NOON = datetime(2026, 4, 15, 12, 0, 0, 123456, tzinfo=UTC)
"""The time at which the contracts' tokens are made; with microseconds, which a store must not lose."""

ODD_TEXTS = {
    "blank": " ",
    "like-percent": "%",
    "like-underscore": "pat_" + "_" * 38,
    "sql-quote": "' OR '1'='1",
    "ldap-star": "*",
    "ldap-filter": "*)(uid=*))(|(uid=*",
    "dn": "alice,dc=example",
    "path": "../../etc/passwd",
    "backslash": "alice\\2a",
    "newline": "alice\nbob",
    "nul": "alice\0",
    "json": '"alice"',
    "glob": "[a-z]*",
    "long": "x" * 4096,
    "latin-1": "Jos\u00e9",
    "decomposed": "Jose\u0301",
    "full-width": "\uff41lice",
    "astral": "\U0001f600",
    "surrogate": "\udcff",
}
"""What a careless backend takes for a pattern, a path or an end of text."""

odd_texts = pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
"""Runs a test once with each of them, as ``text``."""


def sample_token(id: str = "t1", **changes: Any) -> Token:
    """Give a token with every field set; name those that shall differ, of whatever type each is."""
    full = Token(
        id=id,
        owner="alice",
        name="ci",
        scopes=frozenset({"read", "write"}),
        created=NOON,
        expires=NOON + timedelta(days=90, microseconds=1),
        networks=("10.0.0.0/8", "2001:db8::/32"),  # type: ignore[arg-type]  # the model makes networks of text
        limits={"project": frozenset({"OPS", "WEB"}), "space": frozenset()},
        created_by="root",
        parent="p1",
        family="f1",
        replaces="r1",
        attributes={"jira.id": "7", "Gr\u00fc\u00dfe": "\U0001f600"},
    )
    return dataclasses.replace(full, **changes)


def together(threads: int, act: Callable[[int], bool]) -> list[bool]:
    """Let so many threads act at the same moment, and give what each of them returned."""
    barrier = Barrier(threads)
    # Otherwise each would be done before the next has its turn, and no race would ever show.
    interval = sys.getswitchinterval()

    def run(number: int) -> bool:
        barrier.wait(60)
        return act(number)

    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(run, range(threads)))
    finally:
        sys.setswitchinterval(interval)


def hidden(reader: TokenReader, secret: str) -> list[str]:
    """Give every text that may not show."""
    peppers: Iterable[bytes] = getattr(reader, "peppers", ())
    digest = Secret(secret).digest
    return [secret, digest.hex(), repr(digest), *map(repr, peppers), *(pepper.hex() for pepper in peppers)]


def causes(error: BaseException) -> str:
    """Give the words of all that led to an error and are shown with it; ``from None`` hides them."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "" if cause is None else f"{cause!r} {cause} {causes(cause)}"
