"""What becomes of a row of Jira's, as the command shows it: as JSON has it, or in words."""

from __future__ import annotations

from ..firstuse import is_number
from ..moving.jira import Fate, Judged
from ..moving.jirarows import Row
from .tokenview import day

COLUMNS = ("ROW", "TOKEN_ID", "OWNER", "NAME", "SCOPES", "EXPIRES", "LAST USED", "WHAT", "WHY")
STYLES = {"WHAT": {str(Fate.NEW): "green", str(Fate.EXPIRED): "yellow", str(Fate.REFUSED): "red"}}


def cells(one: Judged) -> tuple[object, ...]:
    """Give the row of a table."""
    row, token = one.row, one.token
    place = (row.place, _number(row))
    if token is None:
        return (*place, f"{row.user_key:.40}", f"{row.name:.40}", None, None, None, one.fate, one.why)
    used = day(token.last_used.at) if token.last_used else None
    scopes, expires = ",".join(sorted(token.scopes)), day(token.expires) or "never"
    return (*place, token.owner, token.name, scopes, expires, used, one.fate, one.why)


def document(one: Judged) -> dict[str, object]:
    """Give what became of a row as JSON has it."""
    row, token = one.row, one.token
    return {
        "row": row.place,
        "token_id": _number(row),
        "user_key": row.user_key,
        "id": token and token.id,
        "owner": token and token.owner,
        "name": token.name if token else row.name,
        "scopes": sorted(token.scopes) if token else [],
        "expires": token.expires.isoformat() if token and token.expires else None,
        "what": one.fate,
        "why": one.why,
    }


def _number(row: Row) -> str | None:
    """Give the TOKEN_ID if it is one: where columns were mixed up, it may be a hash."""
    return row.token_id if is_number(row.token_id) else None
