"""Take over the personal access tokens that Jira made: each row judged, then written.

Jira keeps no secrets, but slow hashes. They come along, and each is verified at its token's first use
(:mod:`patmiddleware.firstuse`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from ..errors import BackendUnavailable, ConflictError, RefusedError
from ..fields import check_attributes, check_name, check_owner
from ..firstuse import KIND, id_of, is_number
from ..interfaces import Add, TokenStore, Transactional
from ..issuance import IssuerLimits
from ..model import Digest, Token, Use
from .jirarows import Row, Users
from .jirascopes import GroupsOf, ScopeRule, scopes_for

BATCH = 500
"""How many tokens are written in one transaction."""

_HASH = re.compile(r"\{PKCS5S2\}[+/0-9A-Za-z]{64}")
# Jira's "never" is the last day of 9999, which is in the next year already east of where it was written.
_NEVER = re.compile(r"(9999|[1-9]\d{4})-.*|infinity", re.DOTALL)
_SAME = timedelta(seconds=1)
"""What times of one token may differ by: exports cut them in several ways."""


class Fate(StrEnum):
    """What becomes of a row."""

    NEW = "new"
    THERE = "already there"
    EXPIRED = "expired"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Judged:
    """A row, and what becomes of it.

    Args:
        token: the record that it makes, or that is there already; None where it makes none.
        digest: what Jira keeps of its secret.
        why: it is refused, or what else is to be said of it.
    """

    row: Row
    fate: Fate
    token: Token | None = None
    digest: Digest | None = field(default=None, repr=False)
    why: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms tokens are taken over.

    Args:
        users: who has which user key.
        rules: which tokens get which scopes.
        groups_of: gives the groups of an owner, where a rule asks.
        now: aware; what expired before is left out.
        zone: of times that name none.
        limits: how long a token may live, and how many an owner may have.
        shorten: whether a token that lives longer gets the longest life instead; else it is refused.
        living: gives how many live tokens an owner has in the store, where the limits ask.
    """

    users: Users
    rules: Sequence[ScopeRule]
    groups_of: GroupsOf
    now: datetime
    zone: tzinfo = UTC
    limits: IssuerLimits = field(default_factory=IssuerLimits)
    shorten: bool = False
    living: Callable[[str], int] = lambda owner: 0


def judge(rows: Sequence[Row], terms: Terms, known: Callable[[str], Token | None]) -> Iterator[Judged]:
    """Say what becomes of each row. Nothing is guessed: a row that is not clear is refused.

    Args:
        rows: all there are.
        known: gives what the store has under an id.

    Raises:
        BackendUnavailable: when the store, or who people are, can't be asked.
    """
    numbers = Counter(row.token_id for row in rows)
    hashes = Counter(row.hashed for row in rows)
    new: Counter[str] = Counter()
    for row in rows:
        try:
            _check_form(row)
            if numbers[row.token_id] > 1 or hashes[row.hashed] > 1:
                raise RefusedError("its TOKEN_ID or its HASHED_TOKEN stands in another row, too")
            one = _judged(row, terms, known)
            if one.fate is Fate.NEW and one.token is not None:
                _check_number(one.token.owner, new, terms)
            yield one
        except RefusedError as refusal:
            yield Judged(row, Fate.REFUSED, why=str(refusal))


def _check_form(row: Row) -> None:
    if row.fault:
        raise RefusedError(row.fault)
    if not is_number(row.token_id):
        raise RefusedError("its TOKEN_ID is not twelve digits")
    if not _HASH.fullmatch(row.hashed):
        raise RefusedError("its HASHED_TOKEN is none: {PKCS5S2} and 64 characters of base64")


def _check_number(owner: str, new: Counter[str], terms: Terms) -> None:
    """Count one more new token of an owner, if there may be one more."""
    most = terms.limits.maximum_per_owner
    if most is not None and terms.living(owner) + new[owner] >= most:
        raise RefusedError(f"{owner!r} may have {most} live tokens: revoke some in Jira or here, or allow for more")
    new[owner] += 1


def _judged(row: Row, terms: Terms, known: Callable[[str], Token | None]) -> Judged:
    created, expires = _time("CREATED_AT", row.created, terms.zone), _expiry(row.expires, terms.zone)
    if (there := known(id_of(row.token_id))) is not None:
        return _there(row, there, created)
    if expires is not None and expires <= terms.now:
        return Judged(row, Fate.EXPIRED)
    token = Token(
        id=id_of(row.token_id),
        owner=_owner(row, terms.users),
        name=check_name(row.name),
        created=created,
        expires=expires,
        last_used=_last_use(row.last_used, terms.zone),
        attributes=check_attributes({"jira.user_key": row.user_key}),
    )
    token, why = _within(token, terms)
    return Judged(row, Fate.NEW, _scoped(token, terms), Digest(KIND, row.token_id, row.hashed.encode()), why)


def _there(row: Row, there: Token, created: datetime) -> Judged:
    """Leave what is there as it is: it may have been used, rotated or revoked since."""
    if abs(there.created - created) > _SAME:
        raise RefusedError(f"the store has another token as {there.id}, made at {there.created:%Y-%m-%d %H:%M:%S} UTC")
    return Judged(row, Fate.THERE, there, why="revoked here" if there.revoked is not None else "")


def _owner(row: Row, users: Users) -> str:
    names = users.get(row.user_key, frozenset())
    if len(names) > 1:
        raise RefusedError(f"its USER_KEY {row.user_key!r:.80} stands for several users")
    if not names:
        raise RefusedError(f"no user has its USER_KEY {row.user_key!r:.80}")
    return check_owner(next(iter(names)))


def _scoped(token: Token, terms: Terms) -> Token:
    scopes = scopes_for(terms.rules, token.owner, token.name, terms.groups_of)
    if scopes is None:
        raise RefusedError("no --scopes is about it")
    return replace(token, scopes=scopes)


def _within(token: Token, terms: Terms) -> tuple[Token, str]:
    """Give a token that lives no longer than the limits allow, and what was done for that."""
    longest = terms.limits.maximum_lifetime
    if longest is None or (token.expires is not None and token.expires - terms.now <= longest):
        return token, ""
    if not terms.shorten:
        raise RefusedError(f"it lives longer than the {longest.days} days that the settings allow: see --shorten")
    return replace(token, expires=terms.limits.expiry(terms.now, longest)), "shortened"


def _time(column: str, value: object, zone: tzinfo) -> datetime:
    """Read a time: what a driver gives, or ISO 8601 as databases write it.

    Raises:
        RefusedError: when it is none.
    """
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return (found if found.utcoffset() is not None else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RefusedError(f"its {column} is no time: {value!r:.80}") from None


def _expiry(value: object, zone: tzinfo) -> datetime | None:
    return None if _NEVER.fullmatch(str(value)) else _time("EXPIRING_AT", value, zone)


def _last_use(value: object, zone: tzinfo) -> Use | None:
    return None if value in (None, "") else Use(_time("LAST_ACCESSED_AT", value, zone))


def write(store: TokenStore, judged: Iterable[Judged]) -> Iterator[Sequence[Token]]:
    """Write the tokens that are to be imported, and give them batch by batch as they are written.

    Each batch is one transaction, where the store has any.

    Raises:
        RefusedError: when the store got one of them meanwhile, or has its hash under another id.
        BackendUnavailable: when it can't be written; what was given before is.
    """
    adds = [Add(one.token, one.digest) for one in judged if one.fate is Fate.NEW and one.token and one.digest]
    for start in range(0, len(adds), BATCH):
        batch = adds[start : start + BATCH]
        try:
            _add(store, batch)
        except ConflictError as error:
            message = f"the store was changed at the same time ({error}); {start} tokens or more came over before that"
            raise RefusedError(f"{message}, run the same again") from error
        except BackendUnavailable as error:
            raise BackendUnavailable(
                f"{error}; {start} tokens or more came over before that: run the same again"
            ) from error
        yield [add.token for add in batch]


def _add(store: TokenStore, batch: Sequence[Add]) -> None:
    if isinstance(store, Transactional):
        store.commit(batch)
        return
    for add in batch:
        store.add(add.token, add.secret_or_digest)
