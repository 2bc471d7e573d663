"""What Alembic runs for a migration: over the connection that it is handed, in the transaction that is open there."""

from __future__ import annotations

from alembic import context

from patmiddleware.backends.sql.schema import VERSION_TABLE, metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # SQLite can't alter a column in place.
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
