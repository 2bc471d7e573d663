"""Every error of a database in the words of the Protocol; none shows what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import sqlalchemy as sa

from patmiddleware.errors import BackendError, BackendUnavailable, ConfigurationError, ConflictError

Explain: TypeAlias = Callable[[Exception], str]


@contextmanager
def outages(explain: Explain, *raw: type[Exception]) -> Iterator[None]:
    """Translate whatever goes wrong within.

    Args:
        explain: gives the words for an error of the driver, on one line.
        raw: what the driver raises where SQLAlchemy is not in between.

    Raises:
        ConflictError: for what is there already.
        BackendError: for a value that this database can't keep.
        BackendUnavailable: for everything else.
    """
    try:
        yield
    except sa.exc.IntegrityError:
        # Without its cause: a database says which digest it has already.
        raise ConflictError("the id or the secret of a token is taken") from None
    except (sa.exc.StatementError, UnicodeEncodeError) as error:
        if cannot_be_kept(error):
            what = "it is too long, or has a NUL, half a character, or one that the database has not in it"
            raise BackendError(f"a text of the token can't be kept: {what}") from None
        original = error.orig if isinstance(error, sa.exc.DBAPIError) else None
        words = explain(original) if isinstance(original, Exception) else type(error).__name__
        raise BackendUnavailable(f"the store can't be asked: {words}") from error
    except sa.exc.TimeoutError as error:
        raise BackendUnavailable("the store can't be asked: all connections of the pool are busy") from error
    except sa.exc.SQLAlchemyError as error:
        raise BackendUnavailable(f"the store can't be asked: {type(error).__name__}") from error
    except raw as error:
        raise BackendUnavailable(f"the store can't be asked: {explain(error)}") from error


def cannot_be_kept(error: Exception) -> bool:
    """Whether an error says that a text is none that the database knows: so nothing in it matches, either."""
    half = error.orig if isinstance(error, sa.exc.StatementError) else error
    return isinstance(error, sa.exc.DataError) or isinstance(half, UnicodeEncodeError)


@contextmanager
def refusals(find: Callable[[Exception], tuple[str, str] | None]) -> Iterator[None]:
    """Tell what only the settings can mend as such, while a store is opened.

    Args:
        find: gives what is wrong and a hint, for an error of the driver that says so; else None.

    Raises:
        ConfigurationError: for those.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        found = find(error.orig) if isinstance(error.orig, Exception) else None
        if found is None:
            raise
        # Without its cause, whose parameters hold the password.
        raise ConfigurationError(found[0], setting="store.url", hint=found[1]) from None


def one_line(error: Exception) -> str:
    """Give the words of an error on one line, cut to what a log can take."""
    return " ".join(str(error).split())[:300]
