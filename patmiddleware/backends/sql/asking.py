"""Look-ups on pooled connections; once more where one was found broken, for a server may have been restarted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeVar

import sqlalchemy as sa

from patmiddleware.errors import BackendUnavailable

from .outages import Explain, cannot_be_kept, outages
from .rows import Row, Values

_T = TypeVar("_T")


class _LostError(Exception):
    """A connection was broken.

    Attributes:
        error: of the driver or of SQLAlchemy.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Asker:
    """Reads from a database.

    Args:
        engine: whose statements each stand by themselves.
        explain: gives the words for an error of the driver.
        timeout: seconds that a statement may take. What took long is not tried again.
    """

    def __init__(self, engine: sa.Engine, explain: Explain, timeout: float) -> None:
        self._engine, self._explain, self._timeout = engine, explain, timeout
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error

    def ask(self, statement: str, values: Sequence[object] = ()) -> Sequence[Row]:
        """Run a compiled look-up on a connection of the driver.

        This is the request's path: SQLAlchemy's own results cost more than the look-up itself.

        Raises:
            BackendUnavailable: when the database can't be asked.
        """
        with self._outages():
            return self._surely(lambda: self._look_up(statement, values))

    def read(self, statement: sa.Select[Any], values: Values | None = None) -> Sequence[sa.Row[Any]]:
        """Run a statement; nothing matches a text that the database can't keep.

        Raises:
            BackendUnavailable: when the database can't be asked.
        """
        with self._outages():
            try:
                return self._surely(lambda: self._run(statement, values))
            except (UnicodeEncodeError, sa.exc.StatementError) as error:
                if cannot_be_kept(error):
                    return []
                raise

    def _look_up(self, statement: str, values: Sequence[object]) -> Sequence[Row]:
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(statement, values)
            rows: Sequence[Row] = cursor.fetchall()
            return rows
        except self._driver_error as error:
            broken = self._engine.dialect.is_disconnect(error, connection, None)  # type: ignore[arg-type]  # it asks .closed
            connection.invalidate()
            if broken:
                raise _LostError(error) from error
            raise
        finally:
            connection.close()

    def _run(self, statement: sa.Select[Any], values: Values | None) -> Sequence[sa.Row[Any]]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(statement, values).all()
        except sa.exc.DBAPIError as error:
            if error.connection_invalidated:
                raise _LostError(error) from error
            raise

    def _surely(self, act: Callable[[], _T]) -> _T:
        began = monotonic()
        try:
            return act()
        except _LostError as lost:
            if monotonic() - began > self._timeout / 2:
                raise lost.error from None
        self._engine.dispose()  # the others are no better
        try:
            return act()
        except _LostError as lost:
            raise lost.error from None

    @contextmanager
    def _outages(self) -> Iterator[None]:
        try:
            with outages(self._explain, self._driver_error):
                yield
        except ValueError as error:  # the driver can't make a number or a text of it
            raise BackendUnavailable("the store can't be asked: its answer is no such value as it keeps") from error
