"""Indexes of the tokens, which a migration that was stopped may have made already."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

_TABLE = "patmw_token"


def add(name: str, columns: Sequence[str], *, unique: bool = False) -> None:
    """Make an index, unless there is one of the name: not every database takes IF NOT EXISTS here."""
    if name not in {found["name"] for found in sa.inspect(op.get_bind()).get_indexes(_TABLE)}:
        op.create_index(name, _TABLE, list(columns), unique=unique)
