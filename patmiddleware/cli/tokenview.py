"""A token as the commands show it: as JSON has it, or in words."""

from __future__ import annotations

from datetime import UTC, datetime

from ..issuance import is_live
from ..model import Token

STYLES = {"STATE": {"live": "green", "expired": "yellow", "revoked": "red"}}


def document(token: Token, now: datetime) -> dict[str, object]:
    """Give what is kept about a token as JSON has it."""
    revoked, used = token.revoked, token.last_used
    return {
        "id": token.id,
        "owner": token.owner,
        "name": token.name,
        "state": state(token, now),
        "scopes": sorted(token.scopes),
        "created": _iso(token.created),
        "expires": _iso(token.expires),
        "networks": [str(network) for network in token.networks],
        "limits": {name: sorted(values) for name, values in token.limits.items()},
        "created_by": token.created_by,
        "parent": token.parent,
        "family": token.family,
        "replaces": token.replaces,
        "revoked": revoked and {"at": _iso(revoked.at), "by": revoked.by, "why": revoked.why},
        "last_used": used and {"at": _iso(used.at), "address": used.address, "agent": used.agent},
        "attributes": dict(token.attributes),
    }


def state(token: Token, now: datetime) -> str:
    """Say ``live``, ``expired`` or ``revoked``."""
    return "revoked" if token.revoked else "live" if is_live(token, now) else "expired"


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None


def day(moment: datetime | None) -> str | None:
    """Give a time in UTC to the minute."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if moment else None


def words(value: object) -> str:
    """Give a value of a document in words."""
    if isinstance(value, dict):
        return "; ".join(f"{name} {words(each)}" for name, each in value.items() if each)
    return ", ".join(value) if isinstance(value, list) else str(value)


def row(token: Token, now: datetime) -> tuple[str | None, ...]:
    """Give the row of a table: id, owner, name, scopes, expiry, last use, state."""
    used = day(token.last_used.at) if token.last_used else None
    expires = day(token.expires) or "never"
    return token.id, token.owner, token.name, ",".join(sorted(token.scopes)), expires, used, state(token, now)
