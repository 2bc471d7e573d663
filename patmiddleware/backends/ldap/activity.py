"""Whether an entry is an active person's, by the attributes that servers lock and end accounts with. Pure.

What can't be understood counts as locked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

Values: TypeAlias = Sequence[bytes]
Rule: TypeAlias = Callable[[bytes, float, float | None], bool]

_DAY = 86400.0
_NUMBER = re.compile(rb"-?[0-9]{1,20}")
_TIME = re.compile(r"(?P<time>[0-9]{14})(?:[.,](?P<fraction>[0-9]{1,9}))?(?:Z|(?P<sign>[+-])(?P<zone>[0-9]{4}))")
_FILETIME_EPOCH = 11_644_473_600  # seconds from 1601 to 1970
_TICKS = 10_000_000  # of 100 ns in a second
_NEVER = (0, 2**63 - 1)  # of accountExpires
_DISABLED, _LOCKED_OUT = 0x2, 0x10  # bits of userAccountControl, and of the one that is computed


def is_active(entry: Mapping[str, Values], now: float, lockout_duration: float | None = None) -> bool:
    """Judge an entry by every attribute in :data:`ATTRIBUTES` that it has.

    Args:
        entry: values by the name of their attribute, in lower case.
        now: seconds since the epoch.
        lockout_duration: for how many seconds a lock for wrong passwords holds; None: until it is lifted.

    Returns:
        False also where one of them has several values, or one that can't be read.
    """
    # RFC 4512, section 2.5: a name may have options behind it, and says the same with them. Few have any: once joined,
    # all are looked through in one go.
    there = {name.partition(";")[0] for name in entry} if ";" in "".join(entry) else entry.keys()
    return all(_holds(name, entry, now, lockout_duration) for name in _RULES.keys() & there)


def _holds(name: str, entry: Mapping[str, Values], now: float, duration: float | None) -> bool:
    if name == "lockouttime" and entry.get(_COMPUTED):
        return True  # The server's own reckoning, which knows the duration, is judged in its place.
    try:
        [value] = [value for key, values in entry.items() if key.partition(";")[0] == name for value in values]
        return _RULES[name](value, now, duration)
    except (ValueError, OverflowError):
        return False


def _number(value: bytes) -> int:
    if not _NUMBER.fullmatch(value):
        raise ValueError("not a whole number")
    return int(value)


def _enabled(value: bytes, now: float, duration: float | None) -> bool:
    """``userAccountControl``: the bit ACCOUNTDISABLE."""
    return not _number(value) & _DISABLED


def _not_locked_out(value: bytes, now: float, duration: float | None) -> bool:
    """``msDS-User-Account-Control-Computed``: the bit LOCKOUT, which goes off by itself when the lock is over."""
    return not _number(value) & _LOCKED_OUT


def _not_locked_since(value: bytes, now: float, duration: float | None) -> bool:
    """``lockoutTime``: when it was locked; it stays there until the next good password."""
    ticks = _number(value)
    return ticks == 0 or (ticks > 0 and _is_over(ticks / _TICKS - _FILETIME_EPOCH, now, duration))


def _not_locked_for_passwords(value: bytes, now: float, duration: float | None) -> bool:
    """``pwdAccountLockedTime``: when it was locked, or the year 0 for ever; it stays there as well."""
    return not value.startswith(b"0000") and _is_over(_generalized(value), now, duration)


def _not_set(value: bytes, now: float, duration: float | None) -> bool:
    """``nsAccountLock``."""
    return value.lower() == b"false"


def _before_day(value: bytes, now: float, duration: float | None) -> bool:
    """``shadowExpire``: the first day on which it is over, counted from 1970; -1: never."""
    day = _number(value)
    return day == -1 or now < day * _DAY


def _before_tick(value: bytes, now: float, duration: float | None) -> bool:
    """``accountExpires``: when it is over."""
    ticks = _number(value)
    return ticks in _NEVER or now < ticks / _TICKS - _FILETIME_EPOCH


def _is_over(since: float, now: float, duration: float | None) -> bool:
    return bool(duration) and duration is not None and since + duration <= now


def _generalized(value: bytes) -> float:
    """Read a GeneralizedTime (RFC 4517, section 3.3.13), with seconds; give seconds since the epoch."""
    found = _TIME.fullmatch(value.decode("ascii"))
    if found is None:
        raise ValueError("not a time")
    seconds = datetime.strptime(found["time"], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    zone = found["zone"] or "0000"
    shift = (int(zone[:2]) * 60 + int(zone[2:])) * 60.0
    return seconds + float(f"0.{found['fraction'] or 0}") - (-shift if found["sign"] == "-" else shift)


_COMPUTED = "msds-user-account-control-computed"
_RULES: Mapping[str, Rule] = {
    "useraccountcontrol": _enabled,
    _COMPUTED: _not_locked_out,
    "lockouttime": _not_locked_since,
    "pwdaccountlockedtime": _not_locked_for_passwords,
    "nsaccountlock": _not_set,
    "shadowexpire": _before_day,
    "accountexpires": _before_tick,
}

ATTRIBUTES = (
    "userAccountControl",
    "msDS-User-Account-Control-Computed",
    "lockoutTime",
    "pwdAccountLockedTime",
    "nsAccountLock",
    "shadowExpire",
    "accountExpires",
)
"""What is looked at, as a search asks for it."""
