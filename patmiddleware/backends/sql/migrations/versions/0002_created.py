"""Find what was made before a time without looking at every token."""

from __future__ import annotations

from patmiddleware.backends.sql.migrations import indexes

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the index."""
    indexes.add("patmw_token_created", ["created", "id"])
