"""Every exception that leaves this package.

Two roots by blame: :class:`ConfigurationError` is yours to mend before starting, :class:`BackendError` is the fault of
something behind us. :class:`RefusedError` answers a request for a token that the limits forbid. A refused *HTTP
request* is never an exception, but a :class:`~patmiddleware.model.Denied`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class PATMiddlewareError(Exception):
    """Root of every exception raised on purpose by this package."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration.

    Args:
        id: stable identifier, such as ``PAT-E001``.
        setting: where it stands, as a dotted path, such as ``rule[2].methods``.
        message: what is wrong, in one sentence, with the value that was given.
        hint: what to do; may be empty.
    """

    id: str
    setting: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.setting}: " if self.setting else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.id} {where}{self.message}{hint}"


class ConfigurationError(PATMiddlewareError, ValueError):
    """Something must be mended before the program can start.

    Attributes:
        problems: all that is wrong, not only the first; never empty.
    """

    def __init__(self, problems: str | Problem | Iterable[Problem], *, setting: str = "", hint: str = "") -> None:
        if isinstance(problems, str):
            problems = (Problem("PAT-E001", setting, problems, hint),)
        elif isinstance(problems, Problem):
            problems = (problems,)
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def hint_for(error: Exception, otherwise: str = "") -> str:
    """Say what to do about a file that can't be read: another hint than otherwise where it is there, but not for us."""
    kept = isinstance(error, PermissionError)
    return "let the user that this runs as read it, and enter its folders" if kept else otherwise


class BackendError(PATMiddlewareError):
    """A store or a directory failed; the cause is chained."""


class BackendUnavailable(BackendError):
    """A store or a directory can't be asked now. Nothing is known about the token or the owner: answer 503."""


class UpstreamError(BackendUnavailable):
    """The server behind the forwarder can't be reached, or broke off, or answered what can't be passed on."""


class UpstreamTimeout(UpstreamError):
    """The server behind the forwarder took longer than it may."""


class LinkError(BackendError):
    """The way of being somebody at the upstream is broken: no credential, or one that is not taken there any more.

    The message is for the client and the audit: what is wrong, and what to do; never a credential.
    """


class ConflictError(BackendError):
    """A record is not what the caller expected it to be, or an id or a digest is already taken. Nothing was written."""


class RefusedError(PATMiddlewareError, ValueError):
    """The issuer does not do what was asked: a limit forbids it, or the token's state does."""


class UnknownTokenError(RefusedError, LookupError):
    """There is no such token."""
