"""Tokens and owners in memory: for tests, for trying things out, and for owners that a settings file lists."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from itertools import islice
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from patmiddleware.ceiling import ceiling, check_ceilings
from patmiddleware.changes import announce
from patmiddleware.errors import ConfigurationError, ConflictError, Problem, hint_for
from patmiddleware.firstuse import FirstUses
from patmiddleware.forks import hold_while_forking
from patmiddleware.interfaces import Add, Change, Events, Remove, Replace
from patmiddleware.model import Digest, Owner, Secret, Token, Use
from patmiddleware.plainfile import read_text
from patmiddleware.tokens import DEFAULT_PREFIX, check_peppers, check_prefix, digest_to_store, digests


class _Row(NamedTuple):
    token: Token
    digest: Digest


class MemoryStore:
    """A token store that forgets everything when the process ends.

    Args:
        prefix: of our own token format.
        peppers: keys of at least 16 bytes, newest first.
        foreign: whether strings of other formats are looked up as well.

    Attributes:
        events: None, or what is set here to carry changes to other processes.
        first_uses: what verifies tokens that Jira made.

    Raises:
        ConfigurationError: when the prefix or a pepper may not be one.
    """

    def __init__(
        self, *, prefix: str = DEFAULT_PREFIX, peppers: Iterable[str | bytes] = (), foreign: bool = True
    ) -> None:
        self.prefix = check_prefix(prefix)
        self.peppers = check_peppers(peppers)
        self.foreign = foreign
        self._lock = Lock()
        self.events: Events | None = None
        self.first_uses = FirstUses()
        self._rows: dict[str, _Row] = {}
        self._secrets: dict[bytes, Token] = {}
        self._revision = 0
        hold_while_forking(self)

    @property
    def locks(self) -> tuple[Lock]:
        """Give what a fork waits for."""
        return (self._lock,)

    def find(self, secret: Secret) -> Token | None:
        """Look a token up by its secret."""
        with self._lock:
            for digest in digests(secret, self.peppers):
                if (token := self._secrets.get(digest.value)) is not None:
                    return token
        return self.first_uses.find(self, secret)

    def revision(self) -> int:
        """Count the changes of tokens."""
        return self._revision

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        """Keep a new token, with the last use that it brings along.

        Raises:
            ConflictError: when the id or the digest is taken.
        """
        self.commit([Add(token, secret_or_digest)])

    def get(self, id: str) -> Token | None:
        """Give the record with this id, or None."""
        row = self.record(id)
        return row[0] if row else None

    def record(self, id: str) -> tuple[Token, Digest] | None:
        """Give the record with this id, with its digest, or None."""
        with self._lock:
            return self._rows.get(id)

    def list(
        self,
        *,
        owner: str | None = None,
        family: str | None = None,
        parent: str | None = None,
        revoked: bool | None = None,
        created_before: datetime | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Token]:
        """Give the records that match every filter that is given, ordered by id."""
        with self._lock:  # and sorted without it, for look-ups wait for it
            tokens = [row.token for row in self._rows.values()]
        matching = (
            token
            for token in sorted(tokens, key=attrgetter("id"))
            if (owner is None or token.owner == owner)
            and (family is None or token.family == family)
            and (parent is None or token.parent == parent)
            and (revoked is None or (token.revoked is not None) == revoked)
            and (created_before is None or token.created < created_before)
            and (after is None or token.id > after)
        )
        return list(islice(matching, limit))

    def replace(self, token: Token, expected: Token) -> None:
        """Write ``token`` over the record with its id, if that is still ``expected``.

        Raises:
            ConflictError: when the record has changed or is gone.
        """
        self.commit([Replace(token, expected)])

    def remove(self, id: str) -> None:
        """Forget a record; one that is not there is no error."""
        self.commit([Remove(id)])

    def commit(self, changes: Iterable[Change]) -> None:
        """Make all the changes or, on any error, none.

        Raises:
            ConflictError: when an id or a digest is taken, or a record is not the expected one.
        """
        undo: list[tuple[str, _Row | None]] = []
        with self._lock:
            try:
                for id, row in map(self._judge, changes):
                    undo.append((id, self._put(id, row)))
            except BaseException:  # whatever it was, none of the changes may stay
                for id, row in reversed(undo):
                    self._put(id, row)
                raise
            self._revision += bool(undo)
        announce(self)

    def redigest(self, id: str, secret: Secret, expected: Digest) -> None:
        """Keep a token under the digest of its secret from now on, if it is still kept under ``expected``.

        Raises:
            ConflictError: when it is kept under another digest, is gone, or the secret stands for another token.
        """
        forms = digests(secret, self.peppers)
        with self._lock:
            row = self._rows.get(id)
            if row is None or row.digest != expected:
                raise ConflictError(f"the token {id!r} is kept under another digest by now, or is gone")
            if any(form.value in self._secrets for form in forms):
                raise ConflictError("this secret stands for another token already")
            self._put(id, _Row(row.token, forms[0]))

    def record_use(self, uses: Mapping[str, Use]) -> None:
        """Keep the last use of each token id, unless a newer one is kept."""
        with self._lock:
            for id, use in uses.items():
                row = self._rows.get(id)
                if row and (row.token.last_used is None or row.token.last_used.at < use.at):
                    self._put(id, _Row(dataclasses.replace(row.token, last_used=use), row.digest))

    def count(self) -> int:
        """Count the tokens."""
        return len(self._rows)

    def records(self) -> Iterator[tuple[Token, Digest]]:
        """Give every record with its digest, as they are at the call, ordered by id."""
        with self._lock:
            rows = list(self._rows.values())
        rows.sort(key=lambda row: row.token.id)
        return ((row.token, row.digest) for row in rows)

    def _judge(self, change: Change) -> tuple[str, _Row | None]:
        """Give the id that a change is about, and what is to stand there.

        Runs after the changes before it were made, so that one commit may remove an id and add it again.
        """
        match change:
            case Add(token, secret_or_digest):
                return token.id, self._new(token, secret_or_digest)
            case Replace(token, expected):
                return token.id, self._replaced(token, expected)
            case Remove(id):
                return id, None

    def _new(self, token: Token, secret_or_digest: Secret | Digest | str) -> _Row:
        if token.id in self._rows:
            raise ConflictError(f"the id {token.id!r} is taken")
        # Under every pepper, so that one secret never stands for two tokens.
        ends = range(len(self.peppers) + 1)
        forms = [digest_to_store(secret_or_digest, self.peppers[end : end + 1]) for end in ends]
        if any(form.value in self._secrets for form in forms):
            raise ConflictError("this secret stands for another token already")
        return _Row(token, forms[0])

    def _replaced(self, token: Token, expected: Token) -> _Row:
        row = self._rows.get(token.id)
        if row is None or row.token != dataclasses.replace(expected, last_used=row.token.last_used):
            raise ConflictError(f"the token {token.id!r} was changed meanwhile; read it again")
        return _Row(dataclasses.replace(token, last_used=row.token.last_used), row.digest)

    def _put(self, id: str, row: _Row | None) -> _Row | None:
        before = self._rows.pop(id, None)
        if before:
            del self._secrets[before.digest.value]
        if row:
            self._rows[id] = row
            self._secrets[row.digest.value] = row.token
        return before


class StaticDirectory:
    """Knows the owners that it is given.

    Args:
        owners: the owners, or a mapping of their names to them.
        scopes: from groups to the scopes that they give: the ceiling of their members' tokens; None: there is none.

    Raises:
        ConfigurationError: when a name stands twice, or a key is not the name of its owner.
    """

    def __init__(
        self,
        owners: Mapping[str, Owner] | Iterable[Owner] = (),
        *,
        scopes: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        pairs = owners.items() if isinstance(owners, Mapping) else ((owner.name, owner) for owner in owners)
        self._owners: dict[str, Owner] = {}
        for name, owner in pairs:
            if name != owner.name:
                raise ConfigurationError(f"the owner under {name!r} is named {owner.name!r}", setting="owners")
            if name in self._owners:
                raise ConfigurationError(f"the owner {name!r} stands twice", setting="owners")
            self._owners[name] = owner
        if (ceilings := check_ceilings(scopes)) is not None:
            for name, owner in self._owners.items():
                self._owners[name] = dataclasses.replace(owner, scopes=ceiling(owner.groups, ceilings))

    @classmethod
    def from_file(cls, path: str | Path, *, scopes: Mapping[str, Iterable[str]] | None = None) -> StaticDirectory:
        """Read the owners from a TOML file with a table ``[owners.NAME]`` for each.

        Args:
            path: of the file. A table may have ``active``, ``groups``, ``display_name`` and ``mail``.
            scopes: as the class takes them.

        Raises:
            ConfigurationError: when the file can't be read, or anything in it is wrong; names all that is.
        """
        try:
            settings = tomllib.loads(read_text(path, "utf-8"))
        except OSError as error:
            hint = (
                "make it, with a table for each owner: [owners.alice]"
                if isinstance(error, FileNotFoundError)
                else hint_for(error)
            )
            raise ConfigurationError(
                Problem("PAT-E301", str(path), f"can't be read: {error.strerror}", hint)
            ) from error
        except ValueError as error:  # not UTF-8, or not TOML
            raise ConfigurationError(Problem("PAT-E302", str(path), f"is not TOML: {error}")) from error
        if problems := list(_problems(settings)):
            raise ConfigurationError(
                dataclasses.replace(problem, setting=f"{path}: {problem.setting}") for problem in problems
            )
        return cls((Owner(name=name, **facts) for name, facts in settings.get("owners", {}).items()), scopes=scopes)

    def find(self, name: str) -> Owner | None:
        """Look an owner up by name."""
        return self._owners.get(name)


def _problems(settings: Mapping[str, object]) -> Iterator[Problem]:
    """Give all that is wrong with a file of owners."""
    for name in settings.keys() - {"owners"}:
        yield Problem("PAT-E303", name, "is not known here", "owners stand under [owners.NAME]")
    owners = settings.get("owners", {})
    if not isinstance(owners, dict):
        yield Problem("PAT-E304", "owners", "is not a table", "write [owners.NAME] for each")
        return
    for name, facts in owners.items():
        if not isinstance(facts, dict):
            yield Problem("PAT-E304", f"owners.{name}", f"is not a table, but {facts!r}", f"write [owners.{name}]")
            continue
        for key, value in facts.items():
            yield from _fact_problems(f"owners.{name}.{key}", key, value)


def _fact_problems(setting: str, key: str, value: object) -> Iterator[Problem]:
    """Give what is wrong with one setting of one owner."""
    if key not in _FACTS:
        [near] = get_close_matches(key, _FACTS, n=1, cutoff=0.0)
        yield Problem("PAT-E303", setting, "is not known here", f"did you mean {near}")
    elif key == "groups":
        if not (isinstance(value, list) and all(isinstance(group, str) for group in value)):
            yield Problem("PAT-E304", setting, f"is {value!r}", 'must be a list of names, such as ["developers"]')
    elif not isinstance(value, _FACTS[key]):
        yield Problem("PAT-E304", setting, f"is {value!r}", f"must be {_FACT_NAMES[_FACTS[key]]}")


_FACTS: Mapping[str, type] = {"active": bool, "groups": list, "display_name": str, "mail": str}
_FACT_NAMES: Mapping[type, str] = {bool: "true or false", str: "a text"}
