"""The tables that tokens and upstream credentials are kept in, and which version of them a database has.

All names begin with ``patmw_``, also that of the table in which Alembic keeps its version: the tables may stand beside
an application's own, in its database. Times are whole microseconds since the epoch; collections are JSON. Names are
compared and ordered by code point, in every database: "Alice" is not "alice", nor is "alice ".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from threading import Lock
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from patmiddleware.errors import ConfigurationError

REVISIONS = ("0001", "0002", "0003")
"""Every version of the schema, oldest first."""

VERSION_TABLE = "patmw_alembic_version"

LENGTH = 255
"""Characters that a name may have, so that it can be indexed in every database."""

MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
"""What MySQL must be told of a table. Any: as SQLAlchemy takes it."""


class Exact(sa.types.TypeDecorator[str]):
    """A text that is compared and ordered as its UTF-8 bytes are."""

    impl = sa.String
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Give the type that keeps it so."""
        if dialect.name in ("mysql", "mariadb"):
            # Its binary collations still take "alice " for "alice".
            return dialect.type_descriptor(mysql.VARBINARY(4 * LENGTH))
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(sa.String(LENGTH, collation=collation))

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> Any:
        """Give a value as the driver takes it."""
        return value.encode() if value is not None and dialect.name in ("mysql", "mariadb") else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        """Give a value as it was."""
        return as_text(value) if dialect.name in ("mysql", "mariadb") else value


def as_text(value: Any) -> Any:
    """Give a text that is kept as bytes; what is none stays so, and is found when it is made a token."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


BYTES = sa.LargeBinary(LENGTH).with_variant(mysql.VARBINARY(LENGTH), "mysql", "mariadb")

metadata = sa.MetaData()

tokens = sa.Table(
    "patmw_token",
    metadata,
    sa.Column("id", Exact, primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("key_id", sa.String(16), nullable=False),
    sa.Column("digest", BYTES, nullable=False),
    sa.Column("owner", Exact, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger),
    sa.Column("networks", sa.Text, nullable=False),
    sa.Column("limits", sa.Text, nullable=False),
    sa.Column("created_by", sa.Text),
    sa.Column("parent", Exact),
    sa.Column("family", Exact, nullable=False),
    sa.Column("replaces", Exact),
    # Says no more than revoked_at, but can be put before the id in an index, so that pages come out in order.
    sa.Column("revoked", sa.Boolean, nullable=False),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Column("revoked_by", sa.Text),
    sa.Column("revoked_why", sa.Text),
    sa.Column("attributes", sa.Text, nullable=False),
    sa.Index("patmw_token_digest", "digest", unique=True),
    sa.Index("patmw_token_owner", "owner", "id"),
    sa.Index("patmw_token_family", "family", "id"),
    sa.Index("patmw_token_parent", "parent", "id"),
    sa.Index("patmw_token_revoked", "revoked", "id"),
    sa.Index("patmw_token_created", "created", "id"),
    **MYSQL,
)

# Apart from the tokens, so that a use neither touches a token's row nor waits for whoever changes it.
uses = sa.Table(
    "patmw_use",
    metadata,
    sa.Column("token_id", Exact, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("address", sa.Text),
    sa.Column("agent", sa.Text),
    **MYSQL,
)

# One row, raised first in the transaction of every change: so changes wait for each other here, and only here.
revision = sa.Table(
    "patmw_revision",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.BigInteger, nullable=False),
    **MYSQL,
)

# What owners are somebody at an upstream with, sealed: see patmiddleware.vault.
vault = sa.Table(
    "patmw_vault",
    metadata,
    sa.Column("owner", Exact, primary_key=True),
    sa.Column("upstream", Exact, primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("key_id", sa.String(16), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    **MYSQL,
)

# Alembic keeps what it is at in a global.
_one_at_a_time = Lock()
_VERSIONS = sa.select(sa.column("version_num", sa.Text)).select_from(sa.table(VERSION_TABLE))


def version(connection: sa.Connection) -> str | None:
    """Give the version of the schema that a database has, or None where there is no store in it yet.

    Where a DDL statement commits, as on MySQL, somebody may have been stopped amid making the tables: the revision gets
    its row, and the database its version, when all of the first one are there. So nothing was kept in them before.

    Raises:
        ConfigurationError: when some of our tables are there, but not as we make them.
    """
    names = {name for name in sa.inspect(connection).get_table_names() if name.startswith("patmw_")}
    if not names:
        return None
    found = connection.scalars(_VERSIONS).all() if VERSION_TABLE in names else []
    if len(found) == 1 and (found[0] != REVISIONS[-1] or names >= metadata.tables.keys()):
        return found[0]
    if VERSION_TABLE in names and not found and not _has_revision(connection, names):
        return None
    missing = sorted(metadata.tables.keys() - names) if found else [VERSION_TABLE]
    lacks = f" ({', '.join(missing)} is missing)" if missing else ""
    raise ConfigurationError(
        f"the database has tables named patmw_…, but not as this program makes them{lacks}",
        setting="store",
        hint="restore it from a backup, or name another database",
    )


def _has_revision(connection: sa.Connection, names: Collection[str]) -> bool:
    return revision.name in names and connection.scalar(sa.select(revision.c.value)) is not None


def check(found: str | None, *, older: bool = False, known: Sequence[str] = REVISIONS) -> None:
    """Accept the newest version of the schema only.

    Args:
        found: what a database has.
        older: whether to accept those before it, too.
        known: every version, oldest first.

    Raises:
        ConfigurationError: when it is another one.
    """
    if found == known[-1] or (older and (found is None or found in known)):
        return
    if found in known:
        raise ConfigurationError(
            f"the store has version {found} of the schema, this program needs {known[-1]}",
            setting="store",
            hint="run patmiddleware store migrate",
        )
    raise ConfigurationError(
        f"the store has version {found} of the schema, which this program is too old for",
        setting="store",
        hint="update patmiddleware",
    )


def upgrade(connection: sa.Connection) -> None:
    """Bring a database to the newest version of the schema, within the transaction of this connection.

    Raises:
        ConfigurationError: when Alembic is missing.
    """
    try:
        # Here and not above: it takes longer to import than all the rest, and is needed once in a store's life.
        from alembic import command
        from alembic.config import Config
    except ImportError as error:
        hint = "pip install 'patmiddleware[sql]'"
        raise ConfigurationError("making a SQL store needs Alembic", setting="store", hint=hint) from error
    config = Config()
    config.set_main_option("script_location", "patmiddleware.backends.sql:migrations")
    config.attributes["connection"] = connection
    with _one_at_a_time:
        command.upgrade(config, "head")
