"""Be one account for everybody, by its password with each request, but never so often that the account is locked.

A wrong password that goes with every request would have the upstream ask for a CAPTCHA within three of them. So the
first request of any process goes ahead by itself, noted as if it had failed, and others wait to hear whether it was
taken. Where one was not taken, or the note is another process's, the password is made sure of by a question of our own;
where that fails, too, none goes out until :mod:`patmiddleware.forwarder.breaker` lets it be tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ...errors import LinkError, UpstreamError
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
        is_good = not self._breaker.is_noted() if self._is_proved else self._goes_ahead()  # noted by any process
        if not is_good:
            self._prove()
        return self._account.sign(request, caller)

    def taken(self, caller: Caller) -> None:
        """Hear that the upstream took a request: the password is right."""
        if not self._is_proved:
            self._is_proved, self._is_doubted = True, False
            self._settled.set()
            with suppress(LinkError):  # where the note can't be taken away, the password is proved once more
                self._breaker.reset()

    def refused(self, caller: Caller) -> bool:
        """Doubt the password until it is proved anew; say that it would be the same password again."""
        self._is_doubted, self._is_proved = True, False
        with suppress(LinkError, UpstreamError):  # where nothing can be noted, nothing goes out either
            self._breaker.venture()
        self._settled.set()
        return False

    def _goes_ahead(self) -> bool:
        """Whether a request may be the first with a password that nobody knows of; others wait for what it hears."""
        with self._lock:
            if not (self._has_scout or self._is_doubted or self._is_proved):  # the last while the lock was waited for
                self._has_scout = self._breaker.venture()
                if self._has_scout:
                    return True
                self._is_doubted = True  # one of another process is out, or was not taken
                self._settled.set()
        return self._settled.wait(PATIENCE) and self._is_proved

    def _prove(self) -> None:
        self._settled.set()  # whoever comes next does not wait for a first one that is never heard of
        with self._lock:
            if self._is_proved and not self._breaker.is_noted():
                return
            with self._breaker.login():
                trouble = _trouble(ask(self._transport, "GET", self._who, (self._account.header,)))
                if trouble is not None:
                    raise self._breaker.trip(trouble)
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
