"""Passwords, for the time of a migration only: named owners get in through Basic, on named paths, until a day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from .backends.caching import unavailable
from .errors import ConfigurationError, Problem
from .interfaces import Directory, PasswordDirectory
from .model import Credential, Denied, Grant, Owner, Reason
from .policy.patterns import Pattern, PatternError, parse, split
from .resolver import Expand, within_ceiling
from .tokens import DEFAULT_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordSettings:
    """Whose passwords are taken, where, and for how long.

    Args:
        paths: patterns as in a policy's rules.
        owners: names, exactly as in the directory.
        scopes: what a password entitles to.
        until: from when on no password is taken any more; an aware datetime.

    Raises:
        ConfigurationError: when one of them is empty or malformed: this is never on by accident.
    """

    paths: tuple[str, ...]
    owners: frozenset[str]
    scopes: frozenset[str]
    until: datetime

    def __post_init__(self) -> None:
        problems = [
            Problem("PAT-E030", f"passwords.{name}", "is empty or no list", "name each one")
            for name in ("paths", "owners", "scopes")
            if not getattr(self, name) or isinstance(getattr(self, name), str)
        ]
        until: object = self.until
        if not isinstance(until, datetime) or until.utcoffset() is None:
            problems.append(Problem("PAT-E031", "passwords.until", "must be a time with a time zone"))
        if problems:
            raise ConfigurationError(problems)
        object.__setattr__(self, "paths", tuple(self.paths))
        object.__setattr__(self, "owners", frozenset(self.owners))
        object.__setattr__(self, "scopes", frozenset(self.scopes))


class PasswordGate:
    """Lets a directory password in where it may still be used.

    Args:
        settings: whose, where, how long.
        directory: must be able to check passwords.
        expand: from scopes to all that they include.

    Raises:
        ConfigurationError: for a directory that can't, or a malformed path.
    """

    def __init__(self, settings: PasswordSettings, directory: Directory | None, expand: Expand) -> None:
        if not isinstance(directory, PasswordDirectory):
            raise ConfigurationError("needs a directory that can check passwords", setting="passwords")
        self._directory, self._settings, self._expand = directory, settings, expand
        self._scopes, self._patterns = expand(settings.scopes), tuple(_patterns(settings.paths))

    def admit(
        self, credential: Credential, path: str, wall: float, prefix: str = DEFAULT_PREFIX
    ) -> Grant | Denied | None:
        """Check a password, if this is a case for one.

        A directory is asked each time: whether a password is right is never kept.

        Args:
            credential: as it was presented; no token is known by it.
            path: the one that is judged.
            wall: now, in seconds since the epoch.
            prefix: of our own tokens, which are no passwords.

        Returns:
            A grant without a token; a refusal; None where no password may be used.
        """
        name, password, settings = credential.username, credential.secret.reveal(), self._settings
        # RFC 4513, section 5.1.2: an empty password binds as nobody, and some servers report success.
        if name not in settings.owners or wall >= settings.until.timestamp() or not password.strip("\0"):
            return None
        # A token that nobody knows any more, or that was mistyped, would count there as a wrong password, and lock its
        # owner out.
        if password.startswith(f"{prefix}_"):
            return None
        segments = split(path)
        if all(pattern.match(segments) is None for pattern in self._patterns):
            return None
        try:
            owner = self._directory.authenticate(name, password)
            if owner is not None and not isinstance(owner, Owner):
                raise TypeError(f"authenticate() must give an Owner or None, not {type(owner).__name__}")
        except Exception as error:
            return Denied(Reason.UNAVAILABLE, detail=str(unavailable("the directory", error)))
        if owner is None or owner.name != name:
            return Denied(Reason.UNKNOWN)
        if not owner.active:
            return Denied(Reason.OWNER_INACTIVE)
        scopes = within_ceiling(self._scopes, owner, self._expand)
        return Grant(token_id=None, owner=name, groups=owner.groups, scopes=scopes, scheme="Basic", username=name)


def _patterns(paths: Iterable[str]) -> Iterable[Pattern]:
    for path in paths:
        try:
            yield parse(path)
        except PatternError as error:
            raise ConfigurationError(Problem("PAT-E032", "passwords.paths", str(error))) from error
