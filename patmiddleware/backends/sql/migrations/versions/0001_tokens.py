"""Tokens, their last use, and the revision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from patmiddleware.backends.sql.migrations import indexes
from patmiddleware.backends.sql.schema import BYTES, MYSQL, Exact

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "patmw_token",
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
        sa.Column("revoked", sa.Boolean, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("revoked_by", sa.Text),
        sa.Column("revoked_why", sa.Text),
        sa.Column("attributes", sa.Text, nullable=False),
        **MYSQL,
        if_not_exists=True,
    )
    indexes.add("patmw_token_digest", ["digest"], unique=True)
    for column in ("owner", "family", "parent", "revoked"):
        indexes.add(f"patmw_token_{column}", [column, "id"])
    op.create_table(
        "patmw_use",
        sa.Column("token_id", Exact, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("agent", sa.Text),
        **MYSQL,
        if_not_exists=True,
    )
    revision = op.create_table(
        "patmw_revision",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        **MYSQL,
        if_not_exists=True,
    )
    op.bulk_insert(revision, [{"id": 1, "value": 0}])
