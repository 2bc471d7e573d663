"""The first use of a token that Jira made: its slow hash is verified, and gives way to a fast digest.

Jira keeps ``{PKCS5S2}`` hashes, PBKDF2 with 10,000 rounds: some ten milliseconds of a processor each time. So each is
computed once in a token's life. The token string is base64 of ``TOKEN_ID:`` and 20 random bytes; which record it is
about stands in it, in clear.

What a stranger can do with that:

* A ``TOKEN_ID`` that nobody has costs no hash, so how long the answer takes tells whether there is one. It is the
  public half of the token, twelve digits, and opens nothing. Were it hidden by hashing all the same, whoever makes
  numbers up could burn as much of the processor as they like.
* Dead tokens are verified as live ones are, so that neither the time nor the answer tells them apart; and nobody is
  told that they hold a token whose secret they do not have, for which a rotated one would be revoked.
* Wrong secrets for a known ``TOKEN_ID`` are what :class:`FirstUses` bounds.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hmac import compare_digest
from threading import Condition
from time import monotonic
from weakref import WeakSet

from cachetools import LRUCache

from .errors import BackendError, BackendUnavailable, ConflictError
from .interfaces import Redigesting
from .model import Digest, Secret, Token
from .tokens import digests

KIND = "pkcs5s2"
"""The kind of digest that Jira's hash is."""

AT_ONCE = 2
"""Slow hashes that a process computes at the same time."""
PATIENCE = 5.0
"""Seconds for which a request waits for its turn among them."""
LONGEST_WAIT = 8.0
"""Seconds between two hashes for a token for which many secrets were wrong; after the first one it is one."""
DOUBTFUL_EACH_SECOND = 5
"""Slow hashes a second for all tokens together for which a secret was wrong before."""
REMEMBERED = 10_000
"""How many secrets that were told to come again are remembered."""

_NUMBER = re.compile(r"[0-9]{12}")
_RAW = re.compile(rb"([0-9]{12}):(.{20})", re.DOTALL)
_RAW_LENGTH = 44

logger = logging.getLogger("patmiddleware")


def is_number(text: str) -> bool:
    """Say whether a text may be a ``TOKEN_ID`` of Jira."""
    return _NUMBER.fullmatch(text) is not None


def id_of(number: str) -> str:
    """Give the id under which the token with this ``TOKEN_ID`` is kept: none that we make ourselves looks like it."""
    return f"jira-{number}"


def parts(secret: Secret) -> tuple[str, bytes] | None:
    """Give the ``TOKEN_ID`` that stands in a token string of Jira, and what was hashed; None for any other string."""
    text = secret.reveal()
    if len(text) != _RAW_LENGTH:
        return None
    try:
        found = _RAW.fullmatch(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):  # the latter for what is not ASCII
        return None
    return (found[1].decode(), base64.b64encode(found[2])) if found else None


def verify(password: bytes, digest: Digest) -> bool:
    """Say whether a hash of Jira is of this password. Takes some ten milliseconds.

    Raises:
        ValueError: when it is no such hash.
    """
    from passlib.handlers.pbkdf2 import atlassian_pbkdf2_sha1  # here, for hardly any process ever needs it

    return bool(atlassian_pbkdf2_sha1.verify(password, digest.value.decode("ascii")))


class _Doubt:
    """What is remembered of a token for which a secret was wrong.

    Attributes:
        wait: seconds after the next wrong one.
        due: when the next secret may be tried.
        crowded: whether somebody was turned away since the last try.
    """

    __slots__ = ("crowded", "due", "wait")

    def __init__(self) -> None:
        self.wait, self.due, self.crowded = 1.0, 0.0, False


class FirstUses:
    """Verifies tokens that Jira made, within a budget of slow hashes: what a wrong secret costs is bounded.

    A right secret costs nothing of the budget, for that happens once in a token's life: the day on which all clients
    move over turns nobody away, though they may wait for each other. What counts is that a secret was wrong:

    * A token for which none was wrong yet is verified at once, whatever goes on with others. So nobody who floods the
      ids that they know keeps anybody else from a first use.
    * After a wrong one the token waits, longer each time, and all such tokens share a few hashes a second. Meanwhile
      the answer is an outage, to come again: nothing was looked at, so "bad token" would be a lie that a client acts
      on.
    * That would let whoever knows an id, and floods it, keep its owner's first use away by chance alone. So once
      somebody was turned away, only those are tried who come again: a client with the right secret repeats it, while
      whoever guesses has no reason to. Who repeats guesses has to win against the owner by luck, and only until the
      token was used once: from then on no secret for it is slow.

    Args:
        clock: seconds that never go back.
        verify: as :func:`verify`.

    Attributes:
        hashes: how many slow hashes were computed.
    """

    def __init__(
        self, *, clock: Callable[[], float] = monotonic, verify: Callable[[bytes, Digest], bool] = verify
    ) -> None:
        self._clock, self._verify = clock, verify
        self.hashes = 0
        self.begin_anew()
        _living.add(self)

    def begin_anew(self) -> None:
        """Forget everything, as in a forked child: another thread may have held the lock, or been at a hash."""
        self._change = Condition()
        self._busy: set[str] = set()
        self._doubts: dict[str, _Doubt] = {}
        self._told: LRUCache[bytes, None] = LRUCache(REMEMBERED)
        self._due = 0.0

    def find(self, store: Redigesting, secret: Secret) -> Token | None:
        """Look up a token of Jira's that was not used here before; from now on it is kept under its fast digest.

        Args:
            store: where no token is kept under a fast digest of the secret.
            secret: of any form.

        Returns:
            The record, dead or alive; None where it is no token of Jira's, or the secret is not its.

        Raises:
            BackendUnavailable: when the store can't be asked, or the budget does not allow to verify it now.
        """
        if (found := parts(secret)) is None:
            return None
        id = id_of(found[0])
        kept = store.record(id)
        if kept is None or kept[1].kind != KIND:
            return _fast(store, kept, secret)
        with self._turn(id, secret.digest):
            kept = store.record(id)  # again: whoever had the turn before may have been of the same secret
            if kept is None or kept[1].kind != KIND:
                return _fast(store, kept, secret)
            token, digest = kept
            if not self._judge(id, found[1], digest):
                return None
            _redigest(store, id, secret, digest)
            return token

    @contextmanager
    def _turn(self, id: str, key: bytes) -> Iterator[None]:
        """Be the only one at work on a token, and one of the few at work at all.

        Raises:
            BackendUnavailable: when that takes too long, or it may not be tried yet.
        """
        with self._change:
            if not self._change.wait_for(lambda: id not in self._busy and len(self._busy) < AT_ONCE, PATIENCE):
                raise BackendUnavailable("too many tokens of Jira's are used for the first time at once")
            if (doubt := self._doubts.get(id)) is not None:
                self._admit(id, doubt, key)
            self._busy.add(id)
        try:
            yield
        finally:
            with self._change:
                self._busy.discard(id)
                self._change.notify_all()

    def _admit(self, id: str, doubt: _Doubt, key: bytes) -> None:
        now = self._clock()
        if now < max(doubt.due, self._due) or (doubt.crowded and key not in self._told):
            doubt.crowded, self._told[key] = True, None
            raise BackendUnavailable(f"wrong secrets are shown for the token {id}, so its first use has to wait")
        doubt.crowded = False
        self._told.pop(key, None)
        self._due = now + 1 / DOUBTFUL_EACH_SECOND

    def _judge(self, id: str, password: bytes, digest: Digest) -> bool:
        with self._change:
            self.hashes += 1
        try:
            is_right = self._verify(password, digest)
        except ValueError:  # without its cause, which may show the hash
            raise BackendUnavailable(f"the hash of the token {id} is damaged: restore it from a backup") from None
        with self._change:
            if is_right:
                self._doubts.pop(id, None)
            else:
                doubt = self._doubts.setdefault(id, _Doubt())
                doubt.due, doubt.wait = self._clock() + doubt.wait, min(2 * doubt.wait, LONGEST_WAIT)
        return is_right


def _fast(store: Redigesting, kept: tuple[Token, Digest] | None, secret: Secret) -> Token | None:
    """Give a token that another thread or process has just put under its fast digest, if the secret is its."""
    if kept is None:
        return None
    forms = digests(secret, getattr(store, "peppers", ()))
    return kept[0] if any(compare_digest(form.value, kept[1].value) for form in forms) else None


def _redigest(store: Redigesting, id: str, secret: Secret, expected: Digest) -> None:
    """Put the fast digest in the place of the hash. The token was verified, whatever becomes of this."""
    try:
        store.redigest(id, secret, expected)
    except ConflictError:
        pass  # another process was as fast; or it was removed or added anew, which the revision tells
    except BackendError as error:  # a replica, say, or a full disk: slow, but no reason to refuse
        logger.warning("the token %s stays under its slow hash, to be verified again: %s", id, error)


_living: WeakSet[FirstUses] = WeakSet()


def _begin_anew_in_child() -> None:
    for uses in list(_living):
        uses.begin_anew()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_begin_anew_in_child)
