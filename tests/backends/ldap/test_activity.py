"""Whether an entry is an active person's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.backends.ldap.activity import ATTRIBUTES, is_active

NOW = 1_776_254_400.0  # 2026-04-15T12:00:00Z, day 20558
FILETIME = 116_444_736_000_000_000


def ticks(seconds: float) -> bytes:
    """Give a time as Active Directory has it."""
    return b"%d" % (FILETIME + int(seconds * 10_000_000))


ACTIVE = [
    ("userAccountControl", b"512"),
    ("userAccountControl", b"66048"),
    ("userAccountControl", b"0"),
    ("userAccountControl", b"-2147483136"),
    ("msDS-User-Account-Control-Computed", b"0"),
    ("msDS-User-Account-Control-Computed", b"8388608"),  # only the password has expired
    ("lockoutTime", b"0"),
    ("nsAccountLock", b"false"),
    ("nsAccountLock", b"FALSE"),
    ("shadowExpire", b"-1"),
    ("shadowExpire", b"20559"),
    ("accountExpires", b"0"),
    ("accountExpires", b"9223372036854775807"),
    ("accountExpires", ticks(NOW + 1)),
]

INACTIVE = [
    ("userAccountControl", b"514"),
    ("userAccountControl", b"2"),
    ("msDS-User-Account-Control-Computed", b"16"),
    ("lockoutTime", ticks(NOW - 1)),
    ("lockoutTime", ticks(NOW - 10**9)),
    ("pwdAccountLockedTime", b"000001010000Z"),
    ("pwdAccountLockedTime", b"20260415115959Z"),
    ("pwdAccountLockedTime", b"20000101000000Z"),
    ("nsAccountLock", b"TRUE"),
    ("nsAccountLock", b"true"),
    ("shadowExpire", b"0"),
    ("shadowExpire", b"20558"),
    ("shadowExpire", b"1"),
    ("accountExpires", ticks(NOW)),
    ("accountExpires", b"1"),
]

MALFORMED = [
    *((name, value) for name in ATTRIBUTES for value in (b"", b" ", b"x", b"\xff", b"1e3", b"9" * 400)),
    ("userAccountControl", b"0x200"),
    ("userAccountControl", b" 512"),
    ("userAccountControl", b"512\n"),
    ("userAccountControl", b"5_12"),
    ("userAccountControl", "５１２".encode()),
    ("lockoutTime", b"-1"),
    ("shadowExpire", b"-2"),
    ("accountExpires", b"-1"),
    ("pwdAccountLockedTime", b"20261332250000Z"),
    ("nsAccountLock", b"no"),
]


@pytest.mark.parametrize(("name", "value"), ACTIVE)
def test_active(name: str, value: bytes) -> None:
    """An account in good order."""
    assert is_active({name.lower(): [value]}, NOW)


@pytest.mark.parametrize(("name", "value"), INACTIVE)
def test_inactive(name: str, value: bytes) -> None:
    """An account that is locked, ended or switched off."""
    assert not is_active({name.lower(): [value]}, NOW)


@pytest.mark.parametrize(("name", "value"), MALFORMED)
def test_what_cannot_be_read_counts_as_locked(name: str, value: bytes) -> None:
    """Whoever may be locked does not get in."""
    assert not is_active({name.lower(): [value]}, NOW, 60.0)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_two_values_count_as_locked(name: str) -> None:
    """None of these has two."""
    good = dict(ACTIVE).get(name, b"0")

    assert not is_active({name.lower(): [good, good]}, NOW)


def test_an_entry_without_any_of_them_is_active() -> None:
    """A server that locks nobody has none."""
    assert is_active({"uid": [b"alice"]}, NOW)


def test_one_lock_is_enough() -> None:
    """All of them must be in order."""
    assert not is_active({"useraccountcontrol": [b"512"], "nsaccountlock": [b"true"]}, NOW)


LOCKED_AT = [
    ("lockoutTime", ticks(NOW - 600)),
    ("pwdAccountLockedTime", b"20260415115000Z"),
    ("pwdAccountLockedTime", b"20260415115000.000Z"),
    ("pwdAccountLockedTime", b"20260415115000,0Z"),
    ("pwdAccountLockedTime", b"20260415135000+0200"),
    ("pwdAccountLockedTime", b"20260415102000-0130"),
]


@pytest.mark.parametrize(("name", "value"), LOCKED_AT)
@pytest.mark.parametrize(("duration", "active"), [(None, False), (601, False), (600, True), (1, True)])
def test_a_lock_ends_when_it_is_known_how_long_it_holds(
    name: str, value: bytes, duration: float | None, active: bool
) -> None:
    """Ten minutes after wrong passwords; the attribute stays there until the next good one."""
    assert is_active({name.lower(): [value]}, NOW, duration) is active


def test_a_lock_for_ever_does_not_end() -> None:
    """An administrator's lock has no time."""
    assert not is_active({"pwdaccountlockedtime": [b"000001010000Z"]}, NOW, 1.0)


def test_the_servers_own_reckoning_counts_before_ours() -> None:
    """Active Directory knows whether a lock is over."""
    entry = {"lockouttime": [ticks(NOW - 600)], "msds-user-account-control-computed": [b"0"]}

    assert is_active(entry, NOW)


@given(st.sampled_from(ATTRIBUTES), st.lists(st.binary(max_size=30), max_size=3), st.floats(0, 4e9))
def test_never_raises(name: str, values: list[bytes], now: float) -> None:
    """Whatever stands there, the answer is yes or no."""
    assert is_active({name.lower(): values}, now, 60.0) in (True, False)
