"""Tokens in an SQL database, through SQLAlchemy Core: SQLite, PostgreSQL, MySQL and MariaDB."""

from __future__ import annotations

from patmiddleware.errors import ConfigurationError

try:
    import sqlalchemy
except ImportError as error:
    raise ConfigurationError(
        "an SQL store needs SQLAlchemy", setting="store", hint="pip install 'patmiddleware[sql]'"
    ) from error
else:
    del sqlalchemy

from .store import PAGE, SQLStore

__all__ = ["PAGE", "SQLStore"]
