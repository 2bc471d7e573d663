"""A token store in one file."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from ...changes import announce
from ...errors import BackendUnavailable, ConflictError
from ...firstuse import FirstUses
from ...interfaces import Add, Change, Events, Remove, Replace
from ...model import Digest, Secret, Token, Use
from ...tokens import DEFAULT_PREFIX, check_peppers, check_prefix, digest_to_store, digests
from .journal import Journal, put, remove
from .records import decode, digest_text, encode
from .tokenfile import TokenFile
from .uses import UsesFile, newest

logger = logging.getLogger("patmiddleware")


class FileStore:
    """Tokens in a file of JSON lines, digests only, that any number of threads and processes share.

    A change is one line appended and seen onto the disk. What another process wrote is seen at the next call, by the
    file's time, size and inode. ``find`` gives the last use as this process last heard of it.

    Args:
        path: of the file. A missing or empty one is made, readable to its maker only; a symbolic link is resolved now.
        prefix: of our own token format.
        peppers: keys of at least 16 bytes, newest first.
        foreign: whether strings of other formats are looked up as well.

    Attributes:
        events: None, or what is set here to carry changes to other processes.
        first_uses: what verifies tokens that Jira made.

    Raises:
        ConfigurationError: when the prefix or a pepper may not be one, or when the file is no sound token file, can't
            be read or made, or may be written by others. Nothing was changed then.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        prefix: str = DEFAULT_PREFIX,
        peppers: Iterable[str | bytes] = (),
        foreign: bool = True,
    ) -> None:
        self.prefix = check_prefix(prefix)
        self.peppers = check_peppers(peppers)
        self.foreign = foreign
        self.events: Events | None = None
        self.first_uses = FirstUses()
        self._file = TokenFile(path)
        self.path = self._file.path
        self._uses = UsesFile(self.path.with_name(f"{self.path.name}.uses"), self.path)
        self._uses.refresh()

    def find(self, secret: Secret) -> Token | None:
        """Look a token up by its secret."""
        with self._file.journal() as journal:
            row = self._row(journal, secret)
        return self._record(row)[0] if row else self.first_uses.find(self, secret)

    def find_last_good(self, secret: Secret) -> Token | None:
        """Look a token up as :meth:`find` does, but in what the file said when it was last sound."""
        with self._file.last_good() as journal:
            row = self._row(journal, secret) if journal else None
        return self._record(row)[0] if row else None

    def _row(self, journal: Journal, secret: Secret) -> bytes | None:
        for digest in digests(secret, self.peppers):
            if (id := journal.ids.get(digest_text(digest))) is not None:
                return journal.rows[id]
        return None

    def revision(self) -> int:
        """Count the transactions. A backup that takes the file's place never brings a number back.

        Raises:
            BackendUnavailable: when it can't be said.
        """
        return self._file.revision()

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        """Keep a new token, with the last use that it brings along.

        Raises:
            ConflictError: when the id or the digest is taken.
            BackendUnavailable: when it can't be written.
        """
        self.commit([Add(token, secret_or_digest)])

    def get(self, id: str) -> Token | None:
        """Give the record with this id, or None."""
        found = self.record(id)
        return found[0] if found else None

    def record(self, id: str) -> tuple[Token, Digest] | None:
        """Give the record with this id, with its digest, or None."""
        self._uses.refresh()
        with self._file.journal() as journal:
            row = journal.rows.get(id)
        return self._record(row) if row else None

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
        given = {"owner": owner, "family": family, "parent": parent}
        named = [(name, value) for name, value in given.items() if value is not None]
        rows = self._rows(named, after)
        matching = (
            token
            for token, _ in map(self._record, rows)
            if (owner is None or token.owner == owner)
            and (family is None or token.family == family)
            and (parent is None or token.parent == parent)
            and (revoked is None or (token.revoked is not None) == revoked)
            and (created_before is None or token.created < created_before)
        )
        return list(islice(matching, limit))

    def replace(self, token: Token, expected: Token) -> None:
        """Write ``token`` over the record with its id, if that is still ``expected``.

        Raises:
            ConflictError: when the record has changed or is gone.
            BackendUnavailable: when it can't be written.
        """
        self.commit([Replace(token, expected)])

    def remove(self, id: str) -> None:
        """Forget a record; one that is not there is no error.

        Raises:
            BackendUnavailable: when it can't be written.
        """
        self.commit([Remove(id)])

    def commit(self, changes: Iterable[Change]) -> None:
        """Make all the changes or, on any error, none.

        Raises:
            ConflictError: when an id or a digest is taken, or a record is not the expected one.
            BackendUnavailable: when it can't be written.
        """
        changes = tuple(changes)
        self._file.commit(lambda journal: _Draft(journal, self.peppers).judge(changes))
        announce(self)
        self._forget_uses({change.id for change in changes if isinstance(change, Remove)})

    def redigest(self, id: str, secret: Secret, expected: Digest) -> None:
        """Keep a token under the digest of its secret from now on, if it is still kept under ``expected``.

        A line of the file, so the revision is raised: to look the other tokens up again costs no more than memory.

        Raises:
            ConflictError: when it is kept under another digest, is gone, or the secret stands for another token.
            BackendUnavailable: when it can't be written.
        """
        self._file.commit(lambda journal: _Draft(journal, self.peppers).redigest(id, secret, expected))

    def record_use(self, uses: Mapping[str, Use]) -> None:
        """Keep the last use of each token id, unless a newer one is kept.

        Raises:
            BackendUnavailable: when it can't be written.
        """
        with self._file.journal() as journal:
            known = journal.rows
        try:
            self._uses.record(uses, known)
        except OSError as error:
            raise BackendUnavailable(f"{self._uses.path} can't be written: {error}") from error

    def records(self) -> Iterator[tuple[Token, Digest]]:
        """Give every record with its digest, as they are at the call, ordered by id."""
        return map(self._record, self._rows())

    def count(self) -> int:
        """Tell how many tokens there are.

        Raises:
            BackendUnavailable: when it can't be said.
        """
        with self._file.journal() as journal:
            return len(journal.rows)

    def _rows(self, named: Sequence[tuple[str, str]] = (), after: str | None = None) -> Sequence[bytes]:
        """Give rows, ordered by id.

        Args:
            named: what they must have: of these names and values the rarest is looked at.
            after: only of ids greater than this one.
        """
        self._uses.refresh()
        with self._file.journal() as journal:
            if named:
                ids = min((journal.naming(name, value) for name, value in named), key=len)
                found: Sequence[str] = sorted(id for id in ids if after is None or id > after)
            else:
                found = journal.ids_after(after)
            return [journal.rows[id] for id in found]

    def _record(self, row: bytes) -> tuple[Token, Digest]:
        try:
            token, digest = decode(row)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BackendUnavailable(f"{self.path}: a record in it makes no sense") from error
        use = newest(token.last_used, self._uses.known(token.id))
        return token if use is token.last_used else dataclasses.replace(token, last_used=use), digest

    def _forget_uses(self, ids: set[str]) -> None:
        try:
            self._uses.forget(ids)
        except OSError as error:  # the change itself is made
            logger.warning("%s can't be written: %s", self._uses.path, error)


class _Draft:
    """The journal as a transaction would make it: each change is judged after those before it.

    Args:
        journal: what the file says.
        peppers: keys, newest first.
    """

    def __init__(self, journal: Journal, peppers: Sequence[bytes]) -> None:
        self._journal = journal
        self._peppers = peppers
        self._rows: dict[str, bytes | None] = {}
        self._ids: dict[str, str | None] = {}

    def judge(self, changes: Iterable[Change]) -> Sequence[bytes]:
        """Give what to write for these changes.

        Raises:
            ConflictError: when one of them may not be made.
        """
        return [line for line in map(self._line, changes) if line]

    def redigest(self, id: str, secret: Secret, expected: Digest) -> Sequence[bytes]:
        """Give what to write so that a token is kept under the digest of its secret.

        Raises:
            ConflictError: when it may not be.
        """
        row = self._row(id)
        token, digest = decode(row) if row else (None, None)
        if token is None or digest != expected:
            raise ConflictError(f"the token {id!r} is kept under another digest by now, or is gone")
        # A record keeps its digest for life, so that two can't be taken for one: it goes, and comes again.
        return self.judge((Remove(id), Add(token, secret)))

    def _line(self, change: Change) -> bytes | None:
        match change:
            case Add(token, secret_or_digest):
                return self._put(token, self._new(token, secret_or_digest))
            case Replace(token, expected):
                return self._put(*self._replaced(token, expected))
            case Remove(id):
                return self._remove(id)

    def _new(self, token: Token, secret_or_digest: Secret | Digest | str) -> Digest:
        if self._row(token.id) is not None:
            raise ConflictError(f"the id {token.id!r} is taken")
        # Under every pepper, so that one secret never stands for two tokens.
        ends = range(len(self._peppers) + 1)
        forms = [digest_to_store(secret_or_digest, self._peppers[end : end + 1]) for end in ends]
        if any(self._holder(digest_text(form)) is not None for form in forms):
            raise ConflictError("this secret stands for another token already")
        return forms[0]

    def _replaced(self, token: Token, expected: Token) -> tuple[Token, Digest]:
        row = self._row(token.id)
        current, digest = decode(row) if row else (None, None)
        if not current or not digest or current != dataclasses.replace(expected, last_used=current.last_used):
            raise ConflictError(f"the token {token.id!r} was changed meanwhile; read it again")
        return dataclasses.replace(token, last_used=current.last_used), digest

    def _put(self, token: Token, digest: Digest) -> bytes:
        row = encode(token, digest)
        self._rows[token.id] = row
        self._ids[digest_text(digest)] = token.id
        return put(row)

    def _remove(self, id: str) -> bytes | None:
        row = self._row(id)
        if row is None:
            return None
        self._rows[id] = None
        self._ids[digest_text(decode(row)[1])] = None
        return remove(id)

    def _row(self, id: str) -> bytes | None:
        return self._rows[id] if id in self._rows else self._journal.rows.get(id)

    def _holder(self, digest: str) -> str | None:
        return self._ids[digest] if digest in self._ids else self._journal.ids.get(digest)
