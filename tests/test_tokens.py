"""The token string, and how it is digested for storing."""

from __future__ import annotations

import hashlib
import re
import string
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.errors import ConfigurationError
from patmiddleware.model import Digest, Secret
from patmiddleware.tokens import (
    BASE62,
    check_peppers,
    check_prefix,
    checksum,
    digest_to_store,
    digests,
    may_exist,
    mint_secret,
    pattern,
)

OLD, NEW = b"an old pepper, 16+", b"a new pepper, 16+"

prefixes = st.from_regex(r"[a-z0-9]{2,12}", fullmatch=True)


def by_the_rule(text: str) -> str:
    """Give a CRC-32 in base62 with the plainest arithmetic there is."""
    number, found = crc32(text.encode()), ""
    for power in range(5, -1, -1):
        found += (string.digits + string.ascii_uppercase + string.ascii_lowercase)[number // 62**power % 62]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", "000000"), ("a", by_the_rule("a")), ("pat_" + "0" * 32, by_the_rule("pat_" + "0" * 32))],
)
def test_checksum(text: str, expected: str) -> None:
    """A checksum is the CRC-32 in six base62 digits, most significant first, padded with zeros."""
    assert checksum(text) == expected


@given(st.text(st.characters(codec="ascii")))
def test_checksum_of_any_text(text: str) -> None:
    """For every ASCII text the checksum is as the rule says."""
    assert checksum(text) == by_the_rule(text)


@given(prefixes)
def test_minted_secret_may_exist(prefix: str) -> None:
    """What is minted is recognised, has its parts in their places, and is found by secret scanners."""
    secret = mint_secret(prefix)

    assert may_exist(secret, prefix, foreign=False)
    assert re.fullmatch(rf"{prefix}_[0-9A-Za-z]{{32}}[0-9A-Za-z]{{6}}", secret)
    assert re.findall(pattern(prefix), f"token={secret}; other") == [secret]


def test_secret_is_drawn_from_the_whole_alphabet() -> None:
    """Every one of the 32 characters is drawn, each from all 62."""
    drawn: list[str] = []

    def last(alphabet: str) -> str:
        drawn.append(alphabet)
        return alphabet[-1]

    secret = mint_secret("pat", last)

    assert drawn == [BASE62] * 32
    assert secret == "pat_" + "z" * 32 + by_the_rule("pat_" + "z" * 32)


def test_no_two_secrets_are_the_same() -> None:
    """A thousand secrets are a thousand."""
    assert len({mint_secret() for _ in range(1_000)}) == 1_000


def test_format_is_for_ever() -> None:
    """A token made by the rule long ago is recognised."""
    secret = "pat_" + "0" * 32 + by_the_rule("pat_" + "0" * 32)

    assert may_exist(secret, foreign=False)


GOOD = "pat_" + "A" * 32 + by_the_rule("pat_" + "A" * 32)


@pytest.mark.parametrize(
    "text",
    [
        "pat_",
        "pat_A",
        GOOD[:-1],
        GOOD + "0",
        GOOD + "\n",
        GOOD[:-1] + "_",
        GOOD.replace("A", "B", 1),
        GOOD.swapcase().replace("PAT", "pat"),
        GOOD[:-6] + GOOD[-6:][::-1],
        "pat_" + "é" * 38,
        "pat_" + "\u0660" * 38,
        "pat_" + "\udcff" * 38,
        "pat_pat_" + GOOD[8:],
    ],
)
@pytest.mark.parametrize("foreign", [True, False])
def test_mistyped_secret_costs_no_look_up(text: str, foreign: bool) -> None:
    """A string with our prefix that does not pass the checksum is no token, whatever else is kept."""
    assert not may_exist(text, foreign=foreign)


@given(st.integers(4, len(GOOD) - 1), st.sampled_from(BASE62))
def test_one_wrong_character_is_noticed(place: int, character: str) -> None:
    """Changing any one character of a token makes it none."""
    wrong = GOOD[:place] + character + GOOD[place + 1 :]

    assert may_exist(wrong) == (wrong == GOOD)


@pytest.mark.parametrize(
    "text", ["MDM0Njg0Nzk0OTQw", "pat", "PAT_x", "patx_y", "acme_x", " " + GOOD, "eyJhbGciOi.J9.e30"]
)
def test_foreign_secret(text: str) -> None:
    """A string of another format is looked up where such are kept, else not."""
    assert (may_exist(text), may_exist(text, foreign=False)) == (True, False)


@pytest.mark.parametrize("foreign", [True, False])
def test_empty_secret_is_never_looked_up(foreign: bool) -> None:
    """Nothing is no token."""
    assert not may_exist("", foreign=foreign)


@given(st.text(), st.booleans())
def test_recognising_never_raises(text: str, foreign: bool) -> None:
    """Any string may come over the wire, with our prefix or without."""
    assert may_exist(text, foreign=foreign) in (True, False)
    assert may_exist("pat_" + text, foreign=foreign) in (True, False)


@pytest.mark.parametrize("prefix", ["pat", "ab", "a" * 12, "0x"])
def test_prefix(prefix: str) -> None:
    """Two to twelve lower-case letters and digits are a prefix."""
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize("prefix", ["", "a", "a" * 13, "Pat", "p-t", "p_t", "pä", "pat\n", " pat", None, 7])
def test_wrong_prefix_is_an_error(prefix: str) -> None:
    """Anything else is an error of configuration, also where a token would be made with it."""
    for use in (check_prefix, mint_secret, pattern):
        with pytest.raises(ConfigurationError, match="can't be a token prefix"):
            use(prefix)


@pytest.mark.parametrize(
    "text", [GOOD[:-1], "x" + GOOD, GOOD + "x", GOOD.replace("_", "-"), "acme_" + "A" * 38], ids=str
)
def test_pattern_passes_other_strings_over(text: str) -> None:
    """Secret scanners don't find what only looks alike."""
    assert re.search(pattern(), text) is None


def test_digest_without_a_pepper() -> None:
    """Without a pepper a secret is stored as its SHA-256."""
    plain = Digest("sha256", "", hashlib.sha256(GOOD.encode()).digest())

    assert (digests(Secret(GOOD)), digest_to_store(GOOD)) == ((plain,), plain)


def test_digest_with_a_pepper_is_the_keyed_one() -> None:
    """With a pepper a secret is stored as BLAKE2b-256 of its SHA-256, keyed."""
    expected = hashlib.blake2b(hashlib.sha256(GOOD.encode()).digest(), key=NEW, digest_size=32).digest()

    stored = digest_to_store(Secret(GOOD), (NEW, OLD))

    assert (stored.kind, stored.value) == ("blake2b", expected)


def test_every_form_is_looked_up() -> None:
    """Peppers rotate: the newest form first, then the older ones, then the one without."""
    forms = digests(Secret(GOOD), (NEW, OLD))

    assert [form.kind for form in forms] == ["blake2b", "blake2b", "sha256"]
    assert forms == (digest_to_store(GOOD, (NEW,)), digest_to_store(GOOD, (OLD,)), digest_to_store(GOOD))


def test_key_ids_tell_peppers_apart() -> None:
    """A digest says which pepper made it, without giving the pepper away."""
    new, old = (digest_to_store(GOOD, (pepper,)).key_id for pepper in (NEW, OLD))

    assert new != old
    assert re.fullmatch(r"[0-9a-f]{8}", new)


def test_long_peppers_differ_in_every_byte() -> None:
    """A pepper longer than a key may be counts as a whole."""
    first, second = b"x" * 99 + b"1", b"x" * 99 + b"2"

    assert digest_to_store(GOOD, (first,)) != digest_to_store(GOOD, (second,))


def test_plain_digest_is_keyed_on_its_way_into_a_store() -> None:
    """A token moves into a store with a pepper without its secret."""
    assert digest_to_store(digest_to_store(GOOD), (NEW,)) == digest_to_store(GOOD, (NEW,))


@pytest.mark.parametrize(
    "digest", [Digest("blake2b", "00000000", b"x" * 32), Digest("pkcs5s2", "", b"{PKCS5S2}abc")], ids=lambda d: d.kind
)
@pytest.mark.parametrize("peppers", [(), (NEW,)])
def test_other_digests_stay_as_they_are(digest: Digest, peppers: tuple[bytes, ...]) -> None:
    """What can't be keyed without the secret is kept as it is."""
    assert digest_to_store(digest, peppers) is digest


def test_peppers_are_taken_as_text_or_bytes() -> None:
    """Peppers are given as bytes, in their order."""
    assert check_peppers([NEW.decode(), OLD]) == (NEW, OLD)


@pytest.mark.parametrize(
    "peppers", [["too short"], [NEW, b""], [NEW, NEW], [NEW.decode(), NEW], "one string, 16+", NEW]
)
def test_wrong_peppers_are_an_error(peppers: object) -> None:
    """Short and double peppers, and one that stands for a list, are errors that don't show the pepper."""
    with pytest.raises(ConfigurationError) as error:
        check_peppers(peppers)

    assert not any(text in str(error.value) for text in ("too short", NEW.decode(), "one string"))
