"""Tokens by number, as many as are wanted: the same ones each time, in no order that a store could make use of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from hashlib import sha256
from itertools import cycle, islice
from random import Random
from time import perf_counter
from typing import TypeAlias, TypeVar

from patmiddleware import Secret, Token
from patmiddleware.interfaces import Add, Transactional
from patmiddleware.model import EPOCH, Digest
from patmiddleware.tokens import DEFAULT_PREFIX, SECRET_LENGTH, checksum

from .material import EXPIRES
from .measure import Run, WrongAnswerError, progress

BATCH = 10_000
"""How many tokens a transaction adds."""
SAMPLE = 20_000
"""How many tokens are asked for in turn, of all that there are."""
UNKNOWN = 10**9
"""The number of a token that no store has."""

OURS, LOADING = "ours", "loading them"
WITHIN = 1.15
"""Ours in terms of the same library bare."""
GROWTH = 1.3
"""A look-up among the most tokens in terms of one among the fewest."""
SLICE = 0.01
"""Seconds for which a case is timed in a round."""

Figures: TypeAlias = dict[str, list[float]]
"""What was measured: seconds or bytes by the name of the row, one for each round."""

_SPREAD = 7_919  # seconds between two tokens: a prime, so that the times differ in all their digits
_OWNERS = 5_000

Key = TypeVar("Key")
Found = TypeVar("Found")


def secret(number: int) -> Secret:
    """Give the secret of a token."""
    body = f"{DEFAULT_PREFIX}_{sha256(b'%d' % number).hexdigest()[:SECRET_LENGTH]}"
    return Secret(body + checksum(body))


def digest(number: int) -> bytes:
    """Give the key that a token is found by (32 bytes)."""
    return secret(number).digest


def token(number: int) -> Token:
    """Give the record of a token."""
    return Token(
        id=f"{number:08x}",
        owner=f"user{number % _OWNERS}",
        name="build server",
        scopes=frozenset({"read", "write"}),
        created=EPOCH + timedelta(days=365 * 50, seconds=number * _SPREAD % 10**8),
        expires=EXPIRES,
        created_by="admin",
    )


def load(store: Transactional, count: int) -> float:
    """Put so many tokens into a store, and give the seconds that it took."""
    return seconds(lambda: _load(store, count))


def seconds(act: Callable[[], object]) -> float:
    """Give the time by the clock on the wall that something takes."""
    began = perf_counter()
    act()
    return perf_counter() - began


def _load(store: Transactional, count: int) -> None:
    for batch in progress(range(-(-count // BATCH)), f"× {BATCH:,} tokens loaded"):
        numbers = range(batch * BATCH, min(count, (batch + 1) * BATCH))
        store.commit([Add(token(number), Digest("sha256", "", digest(number))) for number in numbers])


def sample(count: int, seed: int) -> Sequence[int]:
    """Give the numbers of the tokens that are asked for, of so many, in random order."""
    return Random(seed).sample(range(count), min(count, SAMPLE))


def look_ups(
    name: str,
    find: Callable[[Key], Found | None],
    key: Callable[[int], Key],
    is_right: Callable[[int, Found], bool],
    count: int,
) -> Run:
    """Give what finds the next token each time.

    Args:
        name: of the case.
        find: looks one up.
        key: gives what it takes, for the number of a token.
        is_right: judges what it found.
        count: of the tokens that there are.

    Raises:
        WrongAnswerError: when it does not find a token, or finds another one, or one that is not there.
    """
    numbers = sample(count, seed=len(name))  # not the same for all: one would find the other's in a cache
    for number in numbers[:100]:
        found = find(key(number))
        if found is None or not is_right(number, found):
            raise WrongAnswerError(f"{name}: the token {number} was not found as it was kept")
    if find(key(UNKNOWN)) is not None:
        raise WrongAnswerError(f"{name}: it finds a token that is not there")
    # As many keys for few tokens as for many: else what the keys themselves cost in memory would count as growth.
    keys: Iterator[Key] = cycle([key(number) for number in islice(cycle(numbers), SAMPLE)])

    def run(count: int) -> None:
        following = keys.__next__
        for _ in range(count):
            find(following())

    return run


def as_kept(number: int, found: Token) -> bool:
    """Say whether a token that was found is the one with this number, with all that it has."""
    return found == token(number)


def as_row(number: int, found: Sequence[object]) -> bool:
    """Say whether a row that was found begins with id and owner of the token with this number."""
    kept = token(number)
    return [value.decode() if isinstance(value, bytes) else value for value in found[:2]] == [kept.id, kept.owner]
