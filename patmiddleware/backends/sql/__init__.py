"""Tokens in an SQL database, through SQLAlchemy Core: SQLite now, made so that servers fit in beside it."""

from __future__ import annotations

import dataclasses
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from patmiddleware.changes import here
from patmiddleware.errors import BackendUnavailable, ConfigurationError, ConflictError
from patmiddleware.interfaces import Add, Change, Remove, Replace
from patmiddleware.model import Digest, Secret, Token, Use
from patmiddleware.tokens import DEFAULT_PREFIX, check_peppers, check_prefix, digest_to_store, digests

try:
    import sqlalchemy as sa
except ImportError as error:
    raise ConfigurationError(
        "an SQL store needs SQLAlchemy", setting="store", hint="pip install 'patmiddleware[sql]'"
    ) from error

from . import schema, sqlite
from .rows import COLUMNS, Row, Values, digest_values, from_time, to_token, token_values, use_values
from .schema import revision, tokens, uses

PAGE = 1000
"""How many records are read at once where all are asked for."""

_JOINED = tokens.outerjoin(uses, uses.c.token_id == tokens.c.id)
_BY_ID = sa.select(*COLUMNS).select_from(_JOINED).where(tokens.c.id == sa.bindparam("wanted"))
_REPLACE = tokens.update().where(tokens.c.id == sa.bindparam("wanted"))
_RAISE_REVISION = revision.update().values(value=revision.c.value + 1)

_NEWER_USE = (
    uses.update()
    .where(uses.c.token_id == sa.bindparam("used_id"), uses.c.at < sa.bindparam("used_at"))
    .values(at=sa.bindparam("used_at"), address=sa.bindparam("used_address"), agent=sa.bindparam("used_agent"))
)
# Of tokens that are there, and were not used yet.
_FIRST_USE = uses.insert().from_select(
    ["token_id", "at", "address", "agent"],
    sa.select(
        tokens.c.id,
        sa.bindparam("used_at", type_=sa.BigInteger),
        sa.bindparam("used_address", type_=sa.Text),
        sa.bindparam("used_agent", type_=sa.Text),
    ).where(
        tokens.c.id == sa.bindparam("used_id"),
        ~sa.exists().where(uses.c.token_id == sa.bindparam("used_id")),
    ),
)


class SQLStore:
    """A token store in an SQL database.

    A database that is missing or empty is made ready. Other tables in it are left alone.

    Args:
        url: ``sqlite:///RELATIVE`` or ``sqlite:////ABSOLUTE``.
        prefix: of our own token format.
        peppers: keys of at least 16 bytes, newest first.
        foreign: whether strings of other formats are looked up as well.

    Raises:
        ConfigurationError: when the address is wrong, the file is no database, or its schema is not ours or not of this
            version. Nothing was changed.
        BackendUnavailable: when the database can't be asked.
    """

    def __init__(
        self, url: str, *, prefix: str = DEFAULT_PREFIX, peppers: Iterable[str | bytes] = (), foreign: bool = True
    ) -> None:
        self.prefix = check_prefix(prefix)
        self.peppers = check_peppers(peppers)
        self.foreign = foreign
        self._engine = _engine(url)
        self._writer = sqlite.writing(self._engine)
        self._driver_error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        forms: Sequence[sa.BindParameter[bytes]] = [sa.bindparam(f"form{n}") for n in range(len(self.peppers) + 1)]
        self._find = self._compiled(sa.select(*COLUMNS).select_from(_JOINED).where(tokens.c.digest.in_(forms)))
        self._revision = self._compiled(sa.select(revision.c.value))
        _make_ready(self._engine, self._writer)
        _leave_to_parent(self._engine)
        weakref.finalize(self, self._engine.dispose)

    @classmethod
    def migrate(cls, url: str) -> bool:
        """Bring the database at an address to the newest version of the schema, in one transaction.

        Returns:
            Whether there was anything to do.

        Raises:
            ConfigurationError: when the address is wrong, the file is no database, or its schema is not ours or newer.
            BackendUnavailable: when the database can't be asked.
        """
        engine = _engine(url)
        try:
            with _outages(), sqlite.writing(engine).begin() as connection:
                before = schema.version(connection)
                schema.check(before, older=True)
                schema.upgrade(connection)
        finally:
            engine.dispose()
        return before != schema.REVISIONS[-1]

    def close(self) -> None:
        """Close the connections that are idle; the store may still be used after it."""
        self._engine.dispose()

    def check(self) -> None:
        """Have the database look for damage in its pages and indexes.

        Raises:
            BackendUnavailable: when there is some, or the database can't be asked.
        """
        with _outages(), self._engine.connect() as connection:
            found = sqlite.damage(connection)
        if found:
            raise BackendUnavailable(f"the database is damaged ({found}): put a backup in its place")

    def find(self, secret: Secret) -> Token | None:
        """Look a token up by its secret.

        Raises:
            BackendUnavailable: when the database can't be asked, or the row is damaged.
        """
        rows = self._ask(self._find, [digest.value for digest in digests(secret, self.peppers)])
        return to_token(rows[0]) if rows else None

    def revision(self) -> int:
        """Count the changes of tokens.

        Raises:
            BackendUnavailable: when the database can't be asked.
        """
        match self._ask(self._revision):
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
        rows = self._read(_BY_ID, {"wanted": id})
        return to_token(rows[0]) if rows else None

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
        return [to_token(row) for row in self._read(statement)]

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
            BackendUnavailable: when they can't be written.
        """
        with _outages(), self._writer.begin() as connection:
            for change in changes:
                self._make(connection, change)
            connection.execute(_RAISE_REVISION)
        here.announce()

    def record_use(self, uses: Mapping[str, Use]) -> None:
        """Keep the last use of each token id, unless a newer one is kept.

        Raises:
            BackendUnavailable: when they can't be written.
        """
        if not uses:
            return
        with _outages(), self._writer.begin() as connection:
            _record_use(connection, uses)

    def records(self) -> Iterator[tuple[Token, Digest]]:
        """Give every record with its digest, ordered by id; a change meanwhile may or may not be seen.

        Raises:
            BackendUnavailable: when the database can't be asked, or a row is damaged.
        """
        columns = (*COLUMNS, tokens.c.kind, tokens.c.key_id, tokens.c.digest)
        page = sa.select(*columns).select_from(_JOINED).order_by(tokens.c.id).limit(PAGE)
        rows = self._read(page)
        while rows:
            for row in rows:
                yield to_token(row), Digest(row.kind, row.key_id, row.digest)
            rows = self._read(page.where(tokens.c.id > rows[-1].id))

    def _compiled(self, statement: sa.Select[Any]) -> str:
        return str(statement.compile(dialect=self._engine.dialect))

    def _ask(self, statement: str, values: Sequence[object] = ()) -> Sequence[Row]:
        """Run a compiled look-up on a pooled connection of the driver.

        This is the request's path: SQLAlchemy's own results cost more than the look-up itself.
        """
        with _outages(self._driver_error):
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(statement, values)
                return cursor.fetchall()
            except self._driver_error:
                connection.invalidate()
                raise
            finally:
                connection.close()

    def _read(self, statement: sa.Select[Any], values: Values | None = None) -> Sequence[sa.Row[Any]]:
        try:
            with _outages(), self._engine.connect() as connection:
                return connection.execute(statement, values).all()
        except UnicodeEncodeError:
            return []  # A lone surrogate can't be stored, so nothing matches it.

    def _make(self, connection: sa.Connection, change: Change) -> None:
        match change:
            case Add(token, secret_or_digest):
                self._add(connection, token, secret_or_digest)
            case Replace(token, expected):
                _replace(connection, token, expected)
            case Remove(id):
                connection.execute(tokens.delete().where(tokens.c.id == id))
                connection.execute(uses.delete().where(uses.c.token_id == id))

    def _add(self, connection: sa.Connection, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        # Under every pepper, so that one secret never stands for two tokens. The index sees to the newest.
        ends = range(len(self.peppers) + 1)
        newest, *older = (digest_to_store(secret_or_digest, self.peppers[end : end + 1]) for end in ends)
        taken = tokens.c.digest.in_([digest.value for digest in older])
        if older and connection.scalar(sa.select(tokens.c.id).where(taken).limit(1)) is not None:
            raise ConflictError("this secret stands for another token already")
        connection.execute(tokens.insert(), token_values(token) | digest_values(newest))
        if token.last_used is not None:
            _record_use(connection, {token.id: token.last_used})


def _replace(connection: sa.Connection, token: Token, expected: Token) -> None:
    row = connection.execute(_BY_ID.with_for_update(of=tokens), {"wanted": token.id}).first()
    if row is None or _without_use(to_token(row)) != _without_use(expected):
        raise ConflictError(f"the token {token.id!r} was changed meanwhile; read it again")
    connection.execute(_REPLACE, token_values(token) | {"wanted": token.id})


def _without_use(token: Token) -> Token:
    return dataclasses.replace(token, last_used=None)


def _record_use(connection: sa.Connection, last: Mapping[str, Use]) -> None:
    values = use_values(last.items())
    connection.execute(_NEWER_USE, values)
    connection.execute(_FIRST_USE, values)


def _engine(address: str) -> sa.Engine:
    scheme, colon, rest = address.partition(":")
    try:
        url = sa.make_url(f"{scheme.lower()}{colon}{rest}")
    except sa.exc.ArgumentError:
        # Without its cause, which shows the address, and so a password.
        raise ConfigurationError(
            "the address of the store can't be read", setting="store", hint="write sqlite:///tokens.db"
        ) from None
    return sqlite.engine(url)


def _make_ready(engine: sa.Engine, writer: sa.Engine) -> None:
    """Make the tables if none is there; leave no connection open, for the process may fork.

    Raises:
        ConfigurationError: when the tables are not ours, or not of this version.
        BackendUnavailable: when the database can't be asked.
    """
    try:
        with _outages():
            with engine.connect() as connection:
                found = schema.version(connection)
            if found is None:
                _make_tables(writer)
            else:
                schema.check(found)
            sqlite.keep_log(engine)
    finally:
        engine.dispose()


def _make_tables(writer: sa.Engine) -> None:
    with writer.begin() as connection:
        # Another process may have been faster.
        if schema.version(connection) is None:
            schema.upgrade(connection)


def _leave_to_parent(engine: sa.Engine) -> None:
    """Let a forked child open connections of its own; closing those of the parent would take its locks away."""
    seen = weakref.ref(engine)
    inherited: list[object] = []

    def forget() -> None:
        if (engine := seen()) is not None:
            inherited.append(engine.pool)
            engine.dispose(close=False)

    os.register_at_fork(after_in_child=forget)


@contextmanager
def _outages(*raw: type[Exception]) -> Iterator[None]:
    """Say every error in the words of the Protocol; none shows what was asked for.

    Args:
        raw: what the driver raises where SQLAlchemy is not in between.
    """
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise ConflictError("the id or the secret of a token is taken") from error
    except sa.exc.DBAPIError as error:
        raise BackendUnavailable(f"the store can't be asked: {error.orig}") from error
    except sa.exc.SQLAlchemyError as error:
        raise BackendUnavailable(f"the store can't be asked: {type(error).__name__}") from error
    except raw as error:
        raise BackendUnavailable(f"the store can't be asked: {error}") from error
