"""Sealed credentials in an SQL database: that of the tokens, or another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from ..backends.sql.access import Access
from ..backends.sql.rows import Row, from_time, to_time
from ..backends.sql.schema import LENGTH, vault
from ..errors import BackendError, BackendUnavailable, ConfigurationError, Problem
from .rows import Sealed

_ROW = (vault.c.owner, vault.c.upstream, vault.c.kind, vault.c.key_id, vault.c.changed, vault.c.sealed)
_ALL = sa.select(*_ROW).order_by(vault.c.owner, vault.c.upstream)
_ITS = (vault.c.owner == sa.bindparam("its_owner"), vault.c.upstream == sa.bindparam("its_upstream"))
_ONE = sa.select(*_ROW).where(*_ITS)
_THERE = sa.select(vault.c.owner).where(*_ITS)
_REMOVE = vault.delete().where(*_ITS)
_REPLACE = vault.update().where(*_ITS, vault.c.sealed == sa.bindparam("its_data", type_=sa.LargeBinary))

_WORDS = {"the store": "the vault", "store.url": "vault.url", "the token": "the credential"}


class SQLRows:
    """Keeps sealed credentials in a table of their own.

    Args:
        url: as a store in SQL takes it. Where there are no tables of ours yet, all of them are made.

    Raises:
        ConfigurationError: when the address is wrong, the server refuses it, or the schema is not ours or not of this
            version.
        BackendUnavailable: when the database can't be asked.
    """

    def __init__(self, url: str) -> None:
        with _of_the_vault():
            self._access = Access(url)
        self._put = self._access.database.put(vault)

    def get(self, owner: str, upstream: str) -> Sealed | None:
        """Give what is kept for an owner and an upstream, or None."""
        rows = self._read(_ONE, its_owner=owner, its_upstream=upstream)
        return rows[0] if rows else None

    def all(self) -> Sequence[Sealed]:
        """Give all that are kept, ordered by owner and upstream."""
        return self._read(_ALL)

    def put(self, row: Sealed) -> None:
        """Keep a row in the place of the one before."""
        for name, text in (("owner", row.owner), ("upstream", row.upstream)):
            # Said here: one database refuses it, another cuts it.
            if len(text) > LENGTH:
                raise BackendError(f"the {name} has more than {LENGTH} characters, which no vault in SQL keeps")
        with _of_the_vault():
            self._access.write(lambda connection: _execute(connection, self._put, _values(row)))

    def remove(self, owner: str, upstream: str) -> None:
        """Forget what is kept for an owner and an upstream; where there is nothing it is no error."""
        its = {"its_owner": owner, "its_upstream": upstream}
        with _of_the_vault():
            if not self._access.asker.read(_THERE, its):  # nor is a name an error that can't be kept at all
                return
            self._access.write(lambda connection: _execute(connection, _REMOVE, its))

    def replace(self, pairs: Sequence[tuple[Sealed, Sealed]]) -> int:
        """Write the first of each pair over the second, where that is still there as it was; give how many were."""
        replaced: list[int] = []

        def act(connection: sa.Connection) -> None:
            replaced[:] = [
                connection.execute(_REPLACE, _values(new) | _its(old)).rowcount
                for new, old in sorted(pairs, key=lambda pair: (pair[1].owner, pair[1].upstream))
            ]

        with _of_the_vault():
            self._access.write(act)
        return sum(replaced)

    def close(self) -> None:
        """Close the connections that are idle; it may still be used after it."""
        self._access.close()

    def _read(self, statement: sa.Select[Any], **values: str) -> Sequence[Sealed]:  # Any: judged when they are sealed
        with _of_the_vault():
            rows = self._access.asker.read(statement, values)
        return list(map(_sealed, rows))


def _sealed(row: Row) -> Sealed:
    owner, upstream, kind, key_id, changed, data = row
    try:
        return Sealed(owner, upstream, kind, key_id, to_time(changed), bytes(data))
    except (TypeError, OverflowError) as error:
        raise BackendUnavailable(f"the row of {owner!r} for {upstream!r} in the vault is damaged") from error


def _execute(connection: sa.Connection, statement: sa.Executable, values: dict[str, Any]) -> None:
    connection.execute(statement, values)


def _values(row: Sealed) -> dict[str, Any]:
    return {
        "owner": row.owner,
        "upstream": row.upstream,
        "kind": row.kind,
        "key_id": row.key_id,
        "sealed": row.data,
        "changed": from_time(row.changed),
    }


def _its(row: Sealed) -> dict[str, Any]:
    return {"its_owner": row.owner, "its_upstream": row.upstream, "its_data": row.data}


@contextmanager
def _of_the_vault() -> Iterator[None]:
    """Say of the vault what is said of a store: both are opened and asked in one way."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(map(_blamed, error.problems)) from error
    except BackendError as error:
        raise type(error)(_reworded(str(error))) from error


def _blamed(problem: Problem) -> Problem:
    setting = problem.setting.replace("store", "vault", 1)
    return replace(problem, setting=setting, message=_reworded(problem.message), hint=_reworded(problem.hint))


def _reworded(text: str) -> str:
    for word, ours in _WORDS.items():
        text = text.replace(word, ours)
    return text
