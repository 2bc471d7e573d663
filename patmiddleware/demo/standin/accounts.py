"""Who may log in with a password, and who has failed to too often."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from hmac import compare_digest
from threading import Lock

from .model import JiraError, User
from .shapes import Json, moment
from .state import JiraState, now

MOST_FAILURES = 3
"""Failures in a row after which Jira asks for a CAPTCHA, which no script can solve."""


class Refusal(Enum):
    """Why a login was refused, in the words of ``X-Seraph-LoginReason``."""

    FAILED = "AUTHENTICATED_FAILED"
    DENIED = "AUTHENTICATION_DENIED"


@dataclass(frozen=True, slots=True)
class History:
    """What came of somebody's logins; ``streak`` counts the failures since the last one that went well."""

    logins: int = 0
    failures: int = 0
    streak: int = 0
    failed: datetime | None = None
    entered: datetime | None = None
    previous: datetime | None = None


class Accounts:
    """Passwords, failed logins and administrators of a stand-in; safe to share between threads.

    Args:
        state: knows the users.
        passwords: name of a user to the password; who is not in it has none.
        administrators: names of those who may administer.
        clock: gives the time, in UTC.
    """

    def __init__(
        self,
        state: JiraState,
        passwords: Mapping[str, str],
        administrators: Collection[str],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._state, self._clock = state, clock
        self._passwords = dict(passwords)
        self._administrators = frozenset(administrators)
        self._disabled: set[str] = set()
        self._histories: dict[str, History] = {}
        self._lock = Lock()

    def login(self, name: str, password: str) -> User | Refusal:
        """Let somebody in by password, or say why not; after three failures nobody gets in, with the right one neither.

        Args:
            name: of the user, in any case.
            password: never a personal access token: Jira takes none in its place.
        """
        user = self.active(name)
        if user is None:
            return Refusal.FAILED
        with self._lock:
            known = self._passwords.get(user.name)
            right = known is not None and compare_digest(known.encode(), password.encode())
            old, at = self._histories.get(user.name, History()), self._clock()
            if not right or old.streak >= MOST_FAILURES:
                self._histories[user.name] = replace(old, failures=old.failures + 1, streak=old.streak + 1, failed=at)
                return Refusal.DENIED if old.streak >= MOST_FAILURES else Refusal.FAILED
            entered = replace(old, logins=old.logins + 1, streak=0, entered=at, previous=old.entered)
            self._histories[user.name] = entered
            return user

    def active(self, name: str) -> User | None:
        """Give the user of that name, if there is one who is not disabled."""
        try:
            user = self._state.user(name)
        except JiraError:
            return None
        # A user is also found by key, but nobody logs in by that.
        return user if user.name.casefold() == name.casefold() and user.name not in self._disabled else None

    def is_administrator(self, user: User | None) -> bool:
        """Whether somebody may administer."""
        return user is not None and user.name in self._administrators

    def failures(self, name: str) -> int:
        """Give how many logins have failed since the last one that went well: with three, the CAPTCHA is on."""
        return self._histories.get(name, History()).streak

    def reset(self, name: str) -> None:
        """Take back the CAPTCHA, as an administrator does."""
        with self._lock:
            self._histories[name] = replace(self._histories.get(name, History()), streak=0)

    def set_password(self, name: str, password: str) -> None:
        """Give somebody another password."""
        with self._lock:
            self._passwords[name] = password

    def disable(self, name: str) -> None:
        """Let somebody in no more, by whatever means."""
        self._disabled.add(name)

    def enable(self, name: str) -> None:
        """Let somebody in again."""
        self._disabled.discard(name)

    def info(self, user: User) -> Json:
        """Write what came of somebody's logins, as Jira tells it at a login."""
        known = self._histories.get(user.name, History())
        times = {"lastFailedLoginTime": known.failed, "previousLoginTime": known.previous}
        counts = {"failedLoginCount": known.failures, "loginCount": known.logins}
        return counts | {name: moment(at) for name, at in times.items() if at is not None}
