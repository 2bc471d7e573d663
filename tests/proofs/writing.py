"""Helper: writers that make, rotate and revoke tokens for a while, and write down what they were told.

As a program it does so in a process of its own, and prints a line for each record.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from math import inf
from random import Random
from typing import Any

from proofs.guarded import opened
from proofs.history import Act, Outcome
from wire import TESTS

from patmiddleware.errors import BackendUnavailable, ConflictError, RefusedError, UnknownTokenError
from patmiddleware.issuer import Issuer
from patmiddleware.model import Minted, Token
from patmiddleware.tokens import mint_secret

OWNERS = ("alice", "bob", "carol")
PAUSE = 0.03
"""Seconds between two acts of a writer."""
RIPE = 0.4
"""Seconds for which a token is left alone at first, so that it is known everywhere when it is revoked."""
LIFETIMES = (timedelta(seconds=2), timedelta(seconds=5), *[timedelta(days=1)] * 6)
OVERLAPS = (timedelta(0), timedelta(seconds=1), timedelta(hours=1))
_RECENT = 24
"""Tokens that the crowd asks with are among so many that were made, or revoked, last."""

Put = Callable[[Act, str], object]


class Book:
    """What the writers did, and the secrets of what they made; any number of threads write into it.

    Attributes:
        acts: all that was done.
        secrets: of the tokens, by id.
    """

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.secrets: dict[str, str] = {}
        self._made: deque[str] = deque(maxlen=_RECENT)
        self._ended: deque[str] = deque(maxlen=_RECENT)

    def put(self, act: Act, secret: str = "") -> None:
        """Write down an act, and the secret of what it made."""
        if secret:
            self.secrets[act.token] = secret
            self._made.append(act.token)
        elif act.kind in ("revoke", "rotate") and act.token in self.secrets:
            self._ended.append(act.token)
        self.acts.append(act)

    def choose(self, random: Random) -> tuple[str | None, str]:
        """Give the id and the secret of a token that is new, or that has ended, or a secret that was never issued."""
        kind = random.random()
        if kind < 0.1 or not self._made:
            return None, mint_secret()
        among = self._ended if kind < 0.5 and self._ended else self._made
        id = among[random.randrange(len(among))]
        return id, self.secrets[id]


class Writer:
    """Acts on tokens of its own, and on those of others that share its list.

    Args:
        store: that it writes to.
        put: takes what it did.
        random: what it does.
        tokens: that it acts on, with the time at which each was made.
    """

    def __init__(self, store: Any, put: Put, random: Random, tokens: deque[tuple[float, Token]]) -> None:
        self._issuer, self._put, self._random, self._tokens = Issuer(store), put, random, tokens
        self._acts = [self._mint] * 4 + [self._rotate] * 2 + [self._revoke] * 3

    def act(self) -> None:
        """Do one thing."""
        self._random.choice(self._acts)()

    def _mint(self) -> None:
        owner, lifetime = self._random.choice(OWNERS), self._random.choice(LIFETIMES)
        begin = time.monotonic()
        _, minted = _tried(lambda: self._issuer.mint(owner=owner, name="a proof", lifetime=lifetime))
        if minted is not None:
            self._made(begin, time.monotonic(), minted)

    def _made(self, begin: float, end: float, minted: Minted) -> None:
        token = minted.token
        act = Act("mint", token.id, begin, end, expires=_seconds(token), family=token.family, owner=token.owner)
        self._put(act, minted.secret)
        self._tokens.append((end, token))

    def _rotate(self) -> None:
        token, overlap = self._ripe(), self._random.choice(OVERLAPS)
        if token is None:
            return
        begin, wall = time.monotonic(), time.time()
        outcome, minted = _tried(lambda: self._issuer.rotate(token.id, overlap))
        end, start = time.monotonic(), minted.token.created.timestamp() if minted else wall
        expires = min(_seconds(token), start + overlap.total_seconds())
        if minted is not None:
            self._made(begin, end, minted)
        self._put(Act("rotate", token.id, begin, end, outcome, expires, token.family, token.owner), "")

    def _revoke(self) -> None:
        token = self._ripe()
        if token is None:
            return
        begin = time.monotonic()
        outcome, ids = _tried(lambda: self._issuer.revoke(token.id))
        end = time.monotonic()
        for id in {token.id, *(ids or ())}:
            self._put(Act("revoke", id, begin, end, outcome, family=token.family), "")

    def _ripe(self) -> Token | None:
        tokens = [token for made, token in list(self._tokens) if made < time.monotonic() - RIPE]
        return self._random.choice(tokens) if tokens else None


def _seconds(token: Token) -> float:
    return inf if token.expires is None else token.expires.timestamp()


def _tried(act: Callable[[], Any]) -> tuple[Outcome, Any]:  # Any: whatever the act gives
    try:
        return "done", act()
    except BackendUnavailable:
        return "unknown", None
    except (RefusedError, UnknownTokenError, ConflictError):
        return "refused", None


def write(store: Any, put: Put, seed: int, tokens: deque[tuple[float, Token]], go_on: Callable[[], bool]) -> None:
    """Act again and again."""
    writer = Writer(store, put, Random(seed), tokens)
    while go_on():
        writer.act()
        time.sleep(PAUSE)


class Process:
    """A writer in a process of its own.

    Args:
        store: its address.
        settings: of it.
        book: where it writes down what it did.
        seed: of what it does.
    """

    def __init__(self, store: str, settings: dict[str, float], book: Book, seed: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "proofs.writing", store, json.dumps(settings), str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
        )  # fmt: skip
        self._book = book
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            act, secret = json.loads(line)
            self._book.put(Act(**act), secret)

    def stop(self) -> int:
        """Let it end, and give its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        code = self._process.wait(60)
        self._reader.join()
        self._process.stdout.close()
        return code


def main(store: str, settings: str, seed: str) -> None:
    """Write until nobody listens any more."""
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()

    def put(act: Act, secret: str) -> None:
        print(json.dumps([asdict(act), secret]), flush=True)

    tokens: deque[tuple[float, Token]] = deque(maxlen=_RECENT)
    while not ended.is_set():
        try:
            found = opened(store, **json.loads(settings))
        except BackendUnavailable:  # what is to be proved may have begun already
            time.sleep(0.1)
            continue
        write(found, put, int(seed), tokens, lambda: not ended.is_set())


if __name__ == "__main__":
    main(*sys.argv[1:])
