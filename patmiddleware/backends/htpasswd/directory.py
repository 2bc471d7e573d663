"""A directory of the owners in a file of passwords."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from threading import BoundedSemaphore
from time import monotonic as _monotonic
from typing import TypeVar
from weakref import WeakSet

from ...ceiling import ceiling, check_ceilings
from ...errors import BackendUnavailable, ConfigurationError
from ...model import Owner
from .hashes import LONGEST, Hash, Kind, handler
from .lines import LineError, read_groups, read_passwords
from .reloading import Reloading

AT_ONCE = 2
PATIENCE = 2.0
RELOAD = 1.0

_Parsed = TypeVar("_Parsed")

logger = logging.getLogger("patmiddleware")


@dataclass(frozen=True, slots=True)
class _People:
    owners: Mapping[str, Owner]
    hashes: Mapping[str, Hash]
    stand_ins: Sequence[Hash]


class HtpasswdDirectory:
    """Knows the owners in a file that Apache's ``htpasswd`` writes, and checks their passwords.

    A hash after ``!`` or ``*`` locks its owner out: known, but not active. Text passwords are refused. Both files are
    read again when they change. A new file that is bad or missing is an outage until it is mended.

    No more than ``at_once`` passwords are checked at a time, so that nobody can take all of a machine's processors by
    sending wrong ones; others wait, then hear that the directory is unavailable.

    Args:
        path: of the file of passwords.
        group_file: path of a file with lines ``group: name name``, as Apache's ``AuthGroupFile``; None: no groups.
        scopes: from groups to the scopes that they give: the ceiling of their members' tokens; None: there is none.
        reload: seconds between two looks at the files.
        at_once: passwords that are checked at a time, in each process.
        patience: seconds for which another waits.
        monotonic: seconds that never go back.

    Raises:
        ConfigurationError: when a file can't be read, or anything in it is wrong; when others may write to it; when a
            bcrypt hash stands in it and bcrypt is missing or does not work.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        group_file: str | os.PathLike[str] | None = None,
        scopes: Mapping[str, Iterable[str]] | None = None,
        reload: float = RELOAD,
        at_once: int = AT_ONCE,
        patience: float = PATIENCE,
        monotonic: Callable[[], float] = _monotonic,
    ) -> None:
        self._ceilings = check_ceilings(scopes)
        self._at_once = int(_bounded("at_once", at_once, int, 1, 1000))
        self._patience = _bounded("patience", patience, float, 0, 60)
        self._key = secrets.token_bytes(16)
        self._warned: set[str] = set()
        self._paths = [Path(one) for one in (path, group_file) if one is not None]
        self._files = Reloading(
            self._paths, self._read, every=_bounded("reload", reload, float, 0, 60), monotonic=monotonic
        )
        self._begin()
        _watch_the_process()
        _living.add(self)

    def begin_anew(self) -> None:
        """Start over in a forked child: what other threads held there is held for ever."""
        self._files.begin_anew()
        self._begin()

    def _begin(self) -> None:
        self._turns = BoundedSemaphore(self._at_once)

    def find(self, name: str) -> Owner | None:
        """Look an owner up by name.

        Raises:
            BackendUnavailable: when a file is missing, or bad.
        """
        return self._files.contents().owners.get(name)

    def authenticate(self, name: str, password: str) -> Owner | None:
        """Give the owner if they are active and the password is theirs, else None.

        An unknown name takes as long as a known one. bcrypt takes no password of more than 72 bytes.

        Raises:
            BackendUnavailable: when a file is missing or bad, or too many passwords are being checked.
        """
        if (presented := _presentable(password)) is None:
            return None
        people = self._files.contents()
        owner, hash = people.owners.get(name), people.hashes.get(name)
        if hash is None:
            # Somebody has to be asked, or the time taken would tell who is here. It is always the same one for a
            # name, so that the times of unknown names are spread as those of known ones, whatever kinds there are.
            owner, hash = None, self._stand_in(name, people.stand_ins)
        right = hash is not None and self._check(hash, presented)
        return owner if right and owner is not None and owner.active else None

    def _stand_in(self, name: str, hashes: Sequence[Hash]) -> Hash | None:
        digest = blake2b(name.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8).digest()
        return hashes[int.from_bytes(digest) % len(hashes)] if hashes else None

    def _check(self, hash: Hash, password: bytes) -> bool:
        turns = self._turns
        if not turns.acquire(timeout=self._patience):
            raise BackendUnavailable("too many passwords are being checked")
        try:
            return hash.verify(password)
        except Exception as error:  # passlib and what it stands on raise many things; none of them is an answer
            raise BackendUnavailable(f"a password can't be checked: {type(error).__name__}") from error
        finally:
            turns.release()

    def _read(self, contents: Sequence[bytes]) -> _People:
        paths = self._paths
        members = _parsed(paths[1], read_groups, contents[1]) if len(contents) > 1 else {}
        entries = _parsed(paths[0], lambda data: [*read_passwords(data)], contents[0])
        hashes = {entry.name: entry.hash for entry in entries if entry.hash is not None}
        for kind in {hash.kind for hash in hashes.values()}:
            handler(kind)
            self._warn_of(kind)
        owners = {}
        for entry in entries:
            groups = members.get(entry.name, frozenset())
            scopes = ceiling(groups, self._ceilings)
            owners[entry.name] = Owner(name=entry.name, active=entry.active, groups=groups, scopes=scopes)
        return _People(owners, hashes, tuple(hashes.values()))

    def _warn_of(self, kind: Kind) -> None:
        if kind.weakness and kind.name not in self._warned:
            self._warned.add(kind.name)
            logger.warning("%s: %s %s; better: htpasswd -B", self._paths[0], kind.name, kind.weakness)


def _parsed(path: Path, read: Callable[[bytes], _Parsed], data: bytes) -> _Parsed:
    try:
        return read(data)
    except LineError as error:
        raise ConfigurationError(f"{path}, {error}", setting="directory") from error


def _presentable(password: str) -> bytes | None:
    """Give a password as bytes; None where it can't be anybody's.

    Crypt ends a password at a NUL, so with one it could be somebody else's; an empty one is never right.
    """
    try:
        presented = password.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None
    return presented if 0 < len(presented) <= LONGEST and b"\0" not in presented else None


def _bounded(setting: str, value: float, kind: type[int] | type[float], low: int, high: int) -> float:
    number = isinstance(value, int | kind) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        hint = f"a number from {low} to {high}"
        raise ConfigurationError(f"{value!r} can't be one", setting=f"directory.{setting}", hint=hint)
    return value


_living: WeakSet[HtpasswdDirectory] = WeakSet()


@cache
def _watch_the_process() -> None:
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=_begin_anew_in_child)


def _begin_anew_in_child() -> None:
    for directory in list(_living):
        directory.begin_anew()
