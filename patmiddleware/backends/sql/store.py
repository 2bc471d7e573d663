"""The store over an SQL database of any kind."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

import sqlalchemy as sa

from patmiddleware.changes import announce
from patmiddleware.errors import BackendUnavailable, ConflictError
from patmiddleware.firstuse import FirstUses
from patmiddleware.interfaces import Add, Change, Events, Remove, Replace
from patmiddleware.model import Digest, Secret, Token, Use
from patmiddleware.tokens import DEFAULT_PREFIX, check_peppers, check_prefix, digest_to_store, digests

from . import opening
from .access import Access
from .outages import outages
from .rows import COLUMNS, digest_values, from_time, to_token, token_values, use_values
from .schema import revision, tokens, uses

PAGE = 1000
"""How many records are read at once where all are asked for, and written at once."""

_Row = TypeVar("_Row")

_JOINED = tokens.outerjoin(uses, uses.c.token_id == tokens.c.id)
_BY_ID = sa.select(*COLUMNS).select_from(_JOINED).where(tokens.c.id == sa.bindparam("wanted"))
_RECORDS = sa.select(*COLUMNS, tokens.c.kind, tokens.c.key_id, tokens.c.digest).select_from(_JOINED)
_RECORD_BY_ID = _RECORDS.where(tokens.c.id == sa.bindparam("wanted"))
_REPLACE = tokens.update().where(tokens.c.id == sa.bindparam("wanted"))
_NOW = sa.bindparam("now", type_=sa.BigInteger)
_RAISE_REVISION = revision.update().values(value=sa.case((revision.c.value < _NOW, _NOW), else_=revision.c.value + 1))


class SQLStore:
    """A token store in an SQL database.

    A database that is missing or empty is made ready. Other tables in it are left alone.

    Args:
        url: ``sqlite:///RELATIVE`` or ``sqlite:////ABSOLUTE``, ``postgresql://USER:PASSWORD@HOST/DATABASE``, or
            ``mysql://USER:PASSWORD@HOST/DATABASE``, which is MariaDB's, too.
        prefix: of our own token format.
        peppers: keys of at least 16 bytes, newest first.
        foreign: whether strings of other formats are looked up as well.
        timeout: seconds for connecting, for a statement, for another transaction's lock, and for waiting on a
            connection of the pool; each by itself.
        pool: how many connections a process keeps for look-ups.

    Attributes:
        events: what carries changes to other processes at once; PostgreSQL's notices, or what is set here instead.
        first_uses: what verifies tokens that Jira made.

    Raises:
        ConfigurationError: when the address is wrong, the server refuses it, the file is no database, or its schema is
            not ours or not of this version. Nothing was changed.
        BackendUnavailable: when the database can't be asked.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = DEFAULT_PREFIX,
        peppers: Iterable[str | bytes] = (),
        foreign: bool = True,
        timeout: float = opening.TIMEOUT,
        pool: int = opening.POOL,
    ) -> None:
        self.prefix = check_prefix(prefix)
        self.peppers = check_peppers(peppers)
        self.foreign = foreign
        self._access = Access(url, timeout, pool)
        self._database, self._engine, self._asker = self._access.database, self._access.engine, self._access.asker
        self.events: Events | None = self._database.events()
        self.first_uses = FirstUses()
        forms: Sequence[sa.BindParameter[bytes]] = [sa.bindparam(f"form{n}") for n in range(len(self.peppers) + 1)]
        self._find = self._compiled(sa.select(*COLUMNS).select_from(_JOINED).where(tokens.c.digest.in_(forms)))
        self._revision = self._compiled(sa.select(revision.c.value))
        self._newest_use, self._notice = self._database.newest_use(), self._database.notice()

    @classmethod
    def migrate(cls, url: str) -> bool:
        """Bring the database at an address to the newest version of the schema.

        Returns:
            Whether there was anything to do.

        Raises:
            ConfigurationError: when the address is wrong, the server refuses it, the file is no database, or its
                schema is not ours or newer.
            BackendUnavailable: when the database can't be asked.
        """
        return opening.migrate(url)

    @classmethod
    def is_new(cls, url: str) -> bool:
        """Say whether the database of a server has no store in it yet; nothing is made.

        Raises:
            ConfigurationError: when the address is wrong, or the server refuses it.
            BackendUnavailable: when the database can't be asked.
        """
        return opening.is_new(url)

    def close(self) -> None:
        """Stop listening, and close the connections that are idle; the store may still be used after it."""
        if self.events is not None:
            self.events.close()
        self._access.close()

    def check(self) -> None:
        """Have the database look for damage in its pages and indexes, where it can.

        Raises:
            BackendUnavailable: when there is some, or the database can't be asked.
        """
        with outages(self._database.explain), self._engine.connect() as connection:
            found = self._database.damage(connection)
        if found:
            raise BackendUnavailable(f"the database is damaged ({found}): put a backup in its place")

    def find(self, secret: Secret) -> Token | None:
        """Look a token up by its secret.

        Raises:
            BackendUnavailable: when the database can't be asked, or the row is damaged.
        """
        rows = self._asker.ask(self._find, [digest.value for digest in digests(secret, self.peppers)])
        return to_token(self._database.row(rows[0])) if rows else self.first_uses.find(self, secret)

    def revision(self) -> int:
        """Count the changes of tokens.

        Raises:
            BackendUnavailable: when the database can't be asked.
        """
        match self._asker.ask(self._revision):
            case [(int(value),)]:
                return value
        raise BackendUnavailable("the store has lost its revision")

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        """Keep a new token, with the last use that it brings along.

        Raises:
            ConflictError: when the id or the digest is taken.
            BackendUnavailable: when it can't be written.
        """
        self.commit([Add(token, secret_or_digest)])

    def get(self, id: str) -> Token | None:
        """Give the record with this id, or None.

        Raises:
            BackendUnavailable: when the database can't be asked, or the row is damaged.
        """
        rows = self._asker.read(_BY_ID, {"wanted": id})
        return to_token(rows[0]) if rows else None

    def record(self, id: str) -> tuple[Token, Digest] | None:
        """Give the record with this id, with its digest, or None.

        Raises:
            BackendUnavailable: when the database can't be asked, or the row is damaged.
        """
        rows = self._asker.read(_RECORD_BY_ID, {"wanted": id})
        return _to_record(rows[0]) if rows else None

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
        """Give the records that match every filter that is given, ordered by id.

        Raises:
            BackendUnavailable: when the database can't be asked, or a row is damaged.
        """
        filters = {"owner": owner, "family": family, "parent": parent}
        wanted = [tokens.c[name] == value for name, value in filters.items() if value is not None]
        if revoked is not None:
            # Half of all tokens may be revoked: with another filter this must not be what the planner goes by.
            wanted.append((tokens.c.revoked_at.is_not(None) if wanted else tokens.c.revoked) == revoked)
        if created_before is not None:
            wanted.append(tokens.c.created < from_time(created_before))
        if after is not None:
            wanted.append(tokens.c.id > after)
        statement = sa.select(*COLUMNS).select_from(_JOINED).where(*wanted).order_by(tokens.c.id).limit(limit)
        return [to_token(row) for row in self._asker.read(statement)]

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
            BackendError: for a text that can't be kept.
            BackendUnavailable: when they can't be written. If the connection broke at the very end they may be.
        """
        changes = tuple(changes)
        if changes:
            self._access.write(lambda connection: self._make_all(connection, changes))
            announce(self)

    def redigest(self, id: str, secret: Secret, expected: Digest) -> None:
        """Keep a token under the digest of its secret from now on, if it is still kept under ``expected``.

        The revision stays, and no cache is told: the secret leads to the same record as before.

        Raises:
            ConflictError: when it is kept under another digest, is gone, or the secret stands for another token.
            BackendUnavailable: when it can't be written.
        """
        newest, *older = digests(secret, self.peppers)
        was = [tokens.c[name] == value for name, value in digest_values(expected).items()]
        become = tokens.update().where(tokens.c.id == id, *was).values(digest_values(newest))

        def act(connection: sa.Connection) -> None:
            _refuse_taken(connection, older)
            if not connection.execute(become).rowcount:
                raise ConflictError(f"the token {id!r} is kept under another digest by now, or is gone")

        self._access.write(act)

    def record_use(self, uses: Mapping[str, Use]) -> None:
        """Keep the last use of each token id, unless a newer one is kept.

        Raises:
            BackendUnavailable: when they can't be written.
        """
        # In order, so that two processes which write the same never wait for each other in a circle.
        for part in _parts(sorted(uses.items(), key=itemgetter(0))):
            self._access.write(partial(self._record, last=part))

    def count(self) -> int:
        """Count the tokens, which takes a while where there are millions.

        Raises:
            BackendUnavailable: when the database can't be asked.
        """
        [(counted,)] = self._asker.read(sa.select(sa.func.count()).select_from(tokens))
        return int(counted)

    def records(self) -> Iterator[tuple[Token, Digest]]:
        """Give every record with its digest, ordered by id; a change meanwhile may or may not be seen.

        Raises:
            BackendUnavailable: when the database can't be asked, or a row is damaged.
        """
        page = _RECORDS.order_by(tokens.c.id).limit(PAGE)
        rows = self._asker.read(page)
        while rows:
            for row in rows:
                yield _to_record(row)
            rows = self._asker.read(page.where(tokens.c.id > rows[-1].id))

    def _compiled(self, statement: sa.Select[Any]) -> str:  # Any: rows are judged when they are made tokens
        return str(statement.compile(dialect=self._engine.dialect))

    def _make_all(self, connection: sa.Connection, changes: Sequence[Change]) -> None:
        # First, so that all changes wait for each other here and never in a circle. A number that was never there
        # before, though an old backup be put back: so it goes by the clock.
        connection.execute(_RAISE_REVISION, {"now": time.time_ns() // 1000})
        for kind, group in groupby(changes, type):
            if kind is Add:
                for part in _parts([change for change in group if isinstance(change, Add)]):
                    self._add(connection, part)
                continue
            for change in group:
                if isinstance(change, Replace):
                    _replace(connection, change.token, change.expected)
                elif isinstance(change, Remove):
                    connection.execute(tokens.delete().where(tokens.c.id == change.id))
                    connection.execute(uses.delete().where(uses.c.token_id == change.id))
        if self._notice is not None:
            connection.execute(self._notice)

    def _add(self, connection: sa.Connection, additions: Sequence[Add]) -> None:
        # Under every pepper, so that one secret never stands for two tokens. The index sees to the newest.
        ends = range(len(self.peppers) + 1)
        forms = [
            [digest_to_store(one.secret_or_digest, self.peppers[end : end + 1]) for end in ends] for one in additions
        ]
        _refuse_taken(connection, [digest for newest, *rest in forms for digest in rest])
        rows = [
            token_values(one.token) | digest_values(newest) for one, (newest, *_) in zip(additions, forms, strict=True)
        ]
        connection.execute(tokens.insert(), rows)
        used = [(one.token.id, one.token.last_used) for one in additions if one.token.last_used is not None]
        if used:
            self._record(connection, sorted(used, key=itemgetter(0)))

    def _record(self, connection: sa.Connection, last: Sequence[tuple[str, Use]]) -> None:
        connection.execute(self._newest_use, use_values(last))


def _parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    """Give rows in parts that a statement takes, and is done with before its timeout."""
    return (rows[start : start + PAGE] for start in range(0, len(rows), PAGE))


def _refuse_taken(connection: sa.Connection, forms: Sequence[Digest]) -> None:
    taken = sa.select(tokens.c.id).where(tokens.c.digest.in_([form.value for form in forms])).limit(1)
    if forms and connection.scalar(taken) is not None:
        raise ConflictError("this secret stands for another token already")


def _to_record(row: sa.Row[Any]) -> tuple[Token, Digest]:  # Any: as above
    return to_token(row), Digest(row.kind, row.key_id, row.digest)


def _replace(connection: sa.Connection, token: Token, expected: Token) -> None:
    row = connection.execute(_BY_ID.with_for_update(of=tokens), {"wanted": token.id}).first()
    if row is None or _without_use(to_token(row)) != _without_use(expected):
        raise ConflictError(f"the token {token.id!r} was changed meanwhile; read it again")
    connection.execute(_REPLACE, token_values(token) | {"wanted": token.id})


def _without_use(token: Token) -> Token:
    return dataclasses.replace(token, last_used=None)
