"""Upstream credentials, sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from patmiddleware.backends.sql.schema import MYSQL, Exact

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "patmw_vault",
        sa.Column("owner", Exact, primary_key=True),
        sa.Column("upstream", Exact, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        **MYSQL,
        if_not_exists=True,
    )
