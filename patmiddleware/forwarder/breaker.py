"""Never lock an account out: what the upstream said to a login is noted, and heeded by every process of this host.

Jira asks for a CAPTCHA after three wrong passwords in a row (by default), however long ago they were, and then refuses
the right password as well. So one password is tried twice at the most, with a pause between; a restart, a forked
worker or another thread is no new try. The note is a small file for each account: it goes when a login succeeds.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from hashlib import scrypt, sha256
from hmac import compare_digest
from pathlib import Path

from ..backends.file.disk import locked
from ..backends.file.disk import replace as write_whole
from ..errors import ConfigurationError, LinkError, UpstreamTimeout
from ..model import Secret

TRIES = 2
"""How often one password is tried before it is given up: fewer than Jira takes."""


class Trouble(StrEnum):
    """What was wrong with a login."""

    REFUSED = "refused"
    CHALLENGE = "challenge"
    ODD = "odd"


# Seconds in which no login is tried, and what is said meanwhile. A challenge is answered before the upstream looks at
# the password: to ask again, seldom, makes nothing worse, and finds out that somebody has met it.
_PAUSES = {Trouble.REFUSED: 900.0, Trouble.CHALLENGE: 900.0, Trouble.ODD: 60.0}
_WORDS = {
    Trouble.REFUSED: (
        "the upstream refuses the password of the account: set the right one and restart; "
        "this one is tried once more 15 minutes later, and then no more, lest the account be locked"
    ),
    Trouble.CHALLENGE: (
        "the upstream wants a CAPTCHA of the account, or lets it not log in for now: log in once with a browser, "
        "then wait; it is tried again every 15 minutes"
    ),
    Trouble.ODD: (
        "the upstream does not answer a login as Jira does: see that its address and context path are right and that "
        "no single sign-on stands before /rest/auth/1/session; it is tried again every minute"
    ),
}
_GIVEN_UP = (
    f"the upstream has refused the password of the account {TRIES} times, and it is not tried again, lest the account "
    "be locked: set the right one and restart or, if it is right after all, remove the note of it (login-*.json in "
    "app.auth.state, or in patmiddleware-UID among the temporary files)"
)


@dataclass(frozen=True, slots=True)
class _Note:
    """What is known of an account.

    Args:
        trouble: of the last login.
        at: when that was, in seconds since the epoch.
        refusals: of one password, in a row.
        salt: of the print.
        print: by which that password is known again; a slow hash, in hexadecimal digits as the salt.
    """

    trouble: Trouble
    at: float
    refusals: int = 0
    salt: str = ""
    print: str = ""


class Breaker:
    """Says whether an account may log in, and notes how it went.

    Args:
        upstream: its address.
        username: of the account.
        password: told apart from another one, so that a new one is tried at once; no message has it.
        folder: where notes are kept: one for several hosts, where they share it. Left out: a private one among the
            temporary files.
        clock: seconds since the epoch.
        patience: seconds for which the login of another process is waited for.

    Raises:
        ConfigurationError: when the folder is none.
    """

    def __init__(
        self,
        upstream: str,
        username: str,
        password: Secret,
        *,
        folder: Path | None = None,
        clock: Callable[[], float] = time.time,
        patience: float = 30.0,
    ) -> None:
        if folder is not None and not folder.is_dir():
            raise ConfigurationError(f"{folder} is no folder", setting="app.auth.state", hint="make it first")
        self._name = sha256(f"{upstream}\0{username}".encode()).hexdigest()[:32]
        self._folder, self._password, self._clock = folder, password, clock
        self._patience, self._printed = patience, ("", "")

    @contextmanager
    def login(self) -> Iterator[None]:
        """Be the only one on this host who logs the account in.

        Raises:
            LinkError: when it must not be tried now, or no note of it could be kept.
            UpstreamTimeout: when another process takes too long over it.
        """
        with ExitStack() as held:
            self._judge(self._entered(held)[1])
            yield

    def venture(self) -> bool:
        """Note one try of the password, as if it had been refused, before it is known how it went.

        So each process counts it, and a restart does not forget it; :meth:`reset` is for one that went well.

        Returns:
            Whether there was no note yet. Where there was one it stays, and the password is to be proved by a login.

        Raises:
            LinkError: when no note could be kept.
            UpstreamTimeout: when another process takes too long over a login.
        """
        with ExitStack() as held:
            path, note = self._entered(held)
            if note is not None:
                return False
            try:
                # Long ago, so that it may be tried once more at once.
                _write(path, replace(self._noted(Trouble.REFUSED, None), at=0.0))
            except OSError as error:
                raise _unkept(error) from error
            return True

    def _entered(self, held: ExitStack) -> tuple[Path, _Note | None]:
        try:
            path = self._path()
            held.enter_context(locked(path.with_suffix(".lock"), beside=path, timeout=self._patience))
            return path, self._read(path)
        except TimeoutError as error:
            raise UpstreamTimeout("another process is logging in at the upstream and takes too long") from error
        except OSError as error:
            raise _unkept(error) from error

    def is_noted(self) -> bool:
        """Whether there is a note of this account, of whatever process; also where that can't be said."""
        try:
            return os.path.lexists(self._path())
        except OSError:
            return True

    def trip(self, trouble: Trouble) -> LinkError:
        """Note what is wrong, within :meth:`login`; give the error to raise."""
        try:
            path = self._path()
            note = self._noted(trouble, self._read(path))
            _write(path, note)
        except OSError as error:
            return _unkept(error)
        return LinkError(_said(note))

    def reset(self) -> None:
        """Forget what was noted, since the upstream has: a login succeeded, or an administrator says so."""
        try:
            self._path().unlink(missing_ok=True)
        except OSError as error:
            raise _unkept(error) from error

    def _judge(self, note: _Note | None) -> None:
        if note is None:
            return
        # A clock that was wrong and is set right must not make the pause longer.
        pausing = abs(self._clock() - note.at) < _PAUSES[note.trouble]
        if note.trouble is not Trouble.REFUSED and pausing:
            raise LinkError(_said(note))
        if (pausing or note.refusals >= TRIES) and self._is_same(note):
            raise LinkError(_said(note))

    def _noted(self, trouble: Trouble, before: _Note | None) -> _Note:
        now = self._clock()
        if trouble is not Trouble.REFUSED:
            return replace(before, trouble=trouble, at=now) if before else _Note(trouble, now)
        if before and self._is_same(before):
            return replace(before, trouble=trouble, at=now, refusals=before.refusals + 1)
        salt = self._printed[0] or os.urandom(16).hex()
        return _Note(trouble, now, 1, salt, self._print(salt))

    def _is_same(self, note: _Note) -> bool:
        return bool(note.refusals) and compare_digest(note.print, self._print(note.salt))

    def _print(self, salt: str) -> str:
        # Slow, for a password can be guessed at; so once is enough while requests come in by the hundred.
        if self._printed[0] != salt:
            found = scrypt(self._password.reveal().encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1, dklen=32)
            self._printed = (salt, found.hex())
        return self._printed[1]

    def _read(self, path: Path) -> _Note | None:
        try:
            found = json.loads(path.read_bytes())
            note = _Note(**{**found, "trouble": Trouble(found["trouble"])})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, LookupError) as error:
            # Somebody else's doing: a note is written whole or not at all.
            raise OSError("the note makes no sense") from error
        return note

    def _path(self) -> Path:
        return (self._folder or _private_folder()) / f"login-{self._name}.json"


def _write(path: Path, note: _Note) -> None:
    write_whole(path, [json.dumps(asdict(note)).encode()], beside=None)


def _said(note: _Note) -> str:
    return _GIVEN_UP if note.refusals >= TRIES else _WORDS[note.trouble]


def _unkept(error: OSError) -> LinkError:
    why = error.strerror or str(error)
    return LinkError(
        f"no note of logins can be kept, without which none is tried ({why}): see to the folder of temporary files, "
        "or set app.auth.state to a folder for them"
    )


def _private_folder() -> Path:
    """Give a folder that nobody else can write to, among the temporary files, where anybody can."""
    if sys.platform == "win32":
        folder = Path(tempfile.gettempdir()) / "patmiddleware"  # the user's own already
        folder.mkdir(exist_ok=True)
        return folder
    folder = Path(tempfile.gettempdir()) / f"patmiddleware-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder.name} among the temporary files is not ours alone")
    return folder
