"""Find what was made before a time without looking at every token."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the index."""
    op.create_index("patmw_token_created", "patmw_token", ["created", "id"])
