"""What another server says of a token; and one number for several states."""

from __future__ import annotations

import json
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.changes import Tally
from patmiddleware.claims import Malformed, Terms, derived_id, members, moment, names_of, text_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(value=st.dictionaries(st.text(), VALUES))
def test_object_is_read_as_it_was_written(value: dict[str, Any]) -> None:
    """Whatever is in it."""
    assert members(json.dumps(value).encode()) == value


@given(text=st.binary())
def test_no_bytes_raise_anything_else(text: bytes) -> None:
    """What is no object is malformed."""
    try:
        found: object = members(text)
    except Malformed:
        found = {}

    assert isinstance(found, dict)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b'"{}"',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} x',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"x": [{"b": {"a": 1, "a": 2}}]}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\x00"}',
    ],
    ids=lambda text: repr(text[:30]),
)
def test_what_is_no_plain_object_is_malformed(text: bytes) -> None:
    """Two readers of it must not come to different ends."""
    with pytest.raises(Malformed):
        members(text)


@pytest.mark.parametrize("value", ["alice", "a", "a" * 255, "J\u00f6rg b", "\U0001f600", "0"])
def test_name_is_given(value: str) -> None:
    """As it is."""
    assert text_of({"sub": value}, "sub") == value


@pytest.mark.parametrize(
    "value",
    [None, "", " ", "a ", "\ta", "a\x7f", "a\u0085b", "a\u2028b", "a\u00a0", "\ud800", "a" * 256, 1, True, [], {}],
)
def test_what_is_no_name_is_malformed(value: object) -> None:
    """Nothing that a log, a store or an eye could take for something else."""
    with pytest.raises(Malformed):
        text_of({"sub": value}, "sub")


@pytest.mark.parametrize(("value", "expected"), [(0, 0.0), (1.5, 1.5), (253_402_300_799, 253_402_300_799.0)])
def test_time_is_given(value: float, expected: float) -> None:
    """In seconds; parts of one are lawful (RFC 7519, section 2)."""
    assert moment({"exp": value}, "exp") == expected


@pytest.mark.parametrize("value", [None, True, "1", -1, -0.5, float("inf"), float("nan"), 10**400, 253_402_300_800, []])
def test_what_is_no_time_is_malformed(value: object) -> None:
    """Nor is it taken for no time at all."""
    with pytest.raises(Malformed):
        moment({"exp": value}, "exp")


def test_what_is_not_there_is_not_there() -> None:
    """Where a claim may be left out."""
    assert (text_of({}, "sub"), moment({}, "exp"), names_of({}, "aud")) == (None, None, frozenset())


def test_owner_is_always_needed() -> None:
    """Whatever else is."""
    with pytest.raises(Malformed, match="sub: not there"):
        Terms().token({}, "id", 0.0)


def test_derived_ids_are_apart() -> None:
    """By kind and by what they are made of."""
    assert len({derived_id("a", b"x"), derived_id("b", b"x"), derived_id("a", b"y")}) == 3


def test_tally_gives_each_state_a_number_of_its_own() -> None:
    """The same as long as nothing changes, and never one that was given for another."""
    tally = Tally()

    numbers = [tally.number(state) for state in [(1, 1), (1, 1), (2, 0), (1, 1), (1, 1), (0, 2)]]

    assert numbers == [1, 1, 2, 3, 3, 4]


def test_tally_keeps_states_apart_under_threads() -> None:
    """No number stands for two states, however many threads ask at once."""
    tally, given_for = Tally(), dict[int, set[int]]()

    def ask(state: int) -> None:
        for _ in range(2000):
            given_for.setdefault(tally.number(state), set()).add(state)

    threads = [Thread(target=ask, args=(state,)) for state in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert {len(states) for states in given_for.values()} == {1}
