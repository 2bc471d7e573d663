"""Be one account for everybody, by its password with each request, but never so often that the account is locked.

A wrong password that goes with every request would have the upstream ask for a CAPTCHA within three of them. So the
first request goes ahead by itself, and others wait to hear whether it was taken. Once one was not taken, the password
is made sure of by a question of our own; where that fails, too, none goes out until
:mod:`patmiddleware.forwarder.breaker` lets it be tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from ...errors import UpstreamError
from ...interfaces import Caller, Transport, UpstreamRequest
from ...model import Secret
from .. import target
from ..asking import Whole, ask
from ..breaker import Breaker, Trouble
from .service import BasicAccount

WHO = "/rest/api/2/myself"
"""Below the context path. Atlassian's servers judge a password before they look at the path, so each will do."""


PATIENCE = 5.0
"""Seconds that requests wait for the first one; then they ask by themselves."""


class BasicLogin:
    """Signs as :class:`~.service.BasicAccount` does, once the password is known to be taken.

    Args:
        transport: to the upstream.
        upstream: its address, with the context path.
        username: without a colon.
        password: of this account at the upstream.
        state: folder for notes of failed logins; left out: a private one among the temporary files.
        clock: seconds since the epoch.

    Raises:
        ConfigurationError: when Basic can't carry one of them, or the folder is none.
    """

    is_callers = False

    def __init__(
        self,
        transport: Transport,
        upstream: str,
        username: str,
        password: Secret | str,
        *,
        state: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._account = BasicAccount(username, password)
        secret = password if isinstance(password, Secret) else Secret(password)
        self._breaker = Breaker(upstream, username, secret, folder=state, clock=clock)
        self._transport, self._who = transport, target.context(upstream) + WHO
        self._lock = threading.Lock()
        self._is_proved = self._is_doubted = self._has_scout = False
        self._settled = threading.Event()

    def __repr__(self) -> str:
        return "<BasicLogin>"

    def sign(self, request: UpstreamRequest, caller: Caller) -> UpstreamRequest:
        """Give the request as the account's.

        Raises:
            LinkError: when the upstream does not take the password, or must not be asked again yet.
            UpstreamError: when it had to be asked and can't be.
        """
        if self._breaker.is_noted() or not (self._is_proved or self._goes_ahead()):  # noted by any process
            self._prove()
        return self._account.sign(request, caller)

    def taken(self, caller: Caller) -> None:
        """Hear that the upstream took a request: the password is right."""
        if not self._is_proved:
            self._is_proved, self._is_doubted = True, False
            self._settled.set()

    def refused(self, caller: Caller) -> bool:
        """Doubt the password until it is proved anew; say that it would be the same password again."""
        self._is_doubted, self._is_proved = True, False
        self._settled.set()
        return False

    def _goes_ahead(self) -> bool:
        """Whether a request may be the first with a password that nobody knows of; others wait for what it hears."""
        with self._lock:
            is_first = not self._has_scout and not self._is_doubted
            self._has_scout = True
        return is_first or (self._settled.wait(PATIENCE) and self._is_proved)

    def _prove(self) -> None:
        with self._lock:
            if self._is_proved and not self._breaker.is_noted():
                return
            with self._breaker.login():
                trouble = _trouble(ask(self._transport, "GET", self._who, (self._account.header,)))
                if trouble is not None:
                    raise self._breaker.trip(trouble, failures=2 if self._is_doubted else 1)
                self._breaker.reset()
            self._is_proved, self._is_doubted = True, False


def _trouble(answer: Whole) -> Trouble | None:
    """Say what is wrong with the password, if anything is.

    Raises:
        UpstreamError: when the account has nothing to do with it.
    """
    if answer.status == 403 and answer.all("X-Authentication-Denied-Reason"):
        return Trouble.CHALLENGE
    if answer.status == 401:
        return Trouble.REFUSED
    if answer.status == 429 or answer.status >= 500:
        raise UpstreamError(f"the upstream answers a login with {answer.status}: try again later")
    return None
