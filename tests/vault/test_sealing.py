"""What is sealed opens for its owner, upstream and kind, with its key; and for nobody else."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.errors import BackendError, BackendUnavailable, ConfigurationError
from patmiddleware.model import UpstreamCredential
from patmiddleware.testing import NOON
from patmiddleware.vault import Keyring, Sealed
from patmiddleware.vault.sealing import LONGEST

OLD, NEW = bytes(range(32)), bytes(range(100, 132))
JIRA = "https://jira.example.org"
BASIC = UpstreamCredential("basic", {"username": "alice", "password": "Tr0ub4dor&3"})


@pytest.fixture
def keyring() -> Keyring:
    """Two keys."""
    return Keyring([NEW, OLD])


@pytest.fixture
def sealed(keyring: Keyring) -> Sealed:
    """Alice's password for Jira."""
    return keyring.seal("alice", JIRA, BASIC, NOON)


@given(st.text(), st.text(), st.text(), st.dictionaries(st.text(), st.text(), max_size=4))
def test_what_is_sealed_can_be_opened(owner: str, upstream: str, kind: str, values: dict[str, str]) -> None:
    """Whatever the names and the values are."""
    keyring = Keyring([NEW])

    opened = keyring.open(keyring.seal(owner, upstream, UpstreamCredential(kind, values), NOON))

    assert opened == UpstreamCredential(kind, values)


def test_nothing_of_it_can_be_read(sealed: Sealed) -> None:
    """Neither a value nor its name stands in what is kept, nor does a repr show what does."""
    assert not [word for word in (b"alice", b"password", b"Tr0ub4dor") if word in sealed.data]
    assert str(sealed.data) not in repr(sealed)


def test_the_length_of_a_password_does_not_show(keyring: Keyring) -> None:
    """A short and a long one are sealed alike."""
    short, long = (UpstreamCredential("basic", {"username": "alice", "password": "x" * n}) for n in (1, 100))

    assert len(keyring.seal("alice", JIRA, short, NOON).data) == len(keyring.seal("alice", JIRA, long, NOON).data)


def test_nothing_is_sealed_twice_alike(keyring: Keyring) -> None:
    """Each time has a nonce of its own."""
    nonces = {keyring.seal("alice", JIRA, BASIC, NOON).data[:12] for _ in range(100)}

    assert len(nonces) == 100


def test_every_byte_counts(keyring: Keyring, sealed: Sealed) -> None:
    """A single changed bit in any byte of the nonce, the ciphertext or the tag is found."""
    opened = []
    for place in range(len(sealed.data)):
        data = bytearray(sealed.data)
        data[place] ^= 1 << (place % 8)
        try:
            opened.append(keyring.open(replace(sealed, data=bytes(data))))
        except BackendUnavailable:
            continue

    assert opened == []


def test_every_length_counts(keyring: Keyring, sealed: Sealed) -> None:
    """What was cut off, down to nothing, or made longer, is found."""
    cut = [sealed.data[:length] for length in range(len(sealed.data))]

    for data in (*cut, sealed.data + b"\0", sealed.data + b" " * 256):
        with pytest.raises(BackendUnavailable, match="damaged or exchanged"):
            keyring.open(replace(sealed, data=data))


MOVED: dict[str, dict[str, str]] = {
    "owner": {"owner": "bob"},
    "owner's case": {"owner": "Alice"},
    "owner with a blank": {"owner": "alice "},
    "upstream": {"upstream": "https://wiki.example.org"},
    "upstream with a slash": {"upstream": f"{JIRA}/"},
    "kind": {"kind": "cookie"},
    "across a boundary": {"owner": f"alice{JIRA}", "upstream": ""},
    "one letter across": {"owner": "aliceh", "upstream": JIRA[1:]},
    "upstream and kind": {"upstream": f"{JIRA}b", "kind": "asic"},
    "owner and upstream exchanged": {"owner": JIRA, "upstream": "alice"},
}


@pytest.mark.parametrize("change", MOVED.values(), ids=MOVED)
def test_it_opens_in_its_place_only(keyring: Keyring, sealed: Sealed, change: dict[str, str]) -> None:
    """What was moved to another owner, upstream or kind does not open."""
    with pytest.raises(BackendUnavailable, match="damaged or exchanged"):
        keyring.open(replace(sealed, **change))


def test_it_opens_with_the_key_that_it_names(keyring: Keyring, sealed: Sealed) -> None:
    """No other key is tried, though one of them would do: the id is sealed, too."""
    old = Keyring([OLD]).newest

    with pytest.raises(BackendUnavailable, match="damaged or exchanged"):
        keyring.open(replace(sealed, key_id=old))


def test_an_old_key_still_opens(keyring: Keyring) -> None:
    """What was sealed before a key was put in front of it opens; what is sealed now is under the new one."""
    before = Keyring([OLD]).seal("alice", JIRA, BASIC, NOON)

    assert keyring.open(before) == BASIC
    assert keyring.seal("alice", JIRA, BASIC, NOON).key_id == Keyring([NEW]).newest != before.key_id


def test_a_missing_key_is_named(sealed: Sealed) -> None:
    """It is an outage that says whose credential it is, and which key is missing; never None."""
    with pytest.raises(BackendUnavailable) as caught:
        Keyring([OLD]).open(sealed)

    assert str(caught.value) == (
        f"the credential of alice for {JIRA} is sealed with the key {sealed.key_id!r}, which is not in vault.keys"
    )


def test_no_more_than_what_a_database_takes(keyring: Keyring) -> None:
    """A credential that is too long is refused, without a word of it."""
    with pytest.raises(BackendError, match=f"more than {LONGEST} bytes") as caught:
        keyring.seal("alice", JIRA, UpstreamCredential("bearer", {"token": "x" * LONGEST}), NOON)

    assert "xxx" not in str(caught.value)


PLACES = ("owner", "upstream", "kind", "name", "value")


@pytest.mark.parametrize("place", PLACES)
def test_half_a_character_is_refused(keyring: Keyring, place: str) -> None:
    """Two halves behind each other would come back as one whole, and so as another name."""
    owner, upstream, kind, name, value = ("\ud83d\ude00" if each == place else "x" for each in PLACES)

    with pytest.raises(BackendError, match="half a character"):
        keyring.seal(owner, upstream, UpstreamCredential(kind, {name: value}), NOON)


def test_only_texts_are_sealed(keyring: Keyring) -> None:
    """What could not be opened again is not sealed."""
    with pytest.raises(TypeError, match="made of texts"):
        keyring.seal("alice", JIRA, UpstreamCredential("bearer", {"token": 1}), NOON)  # type: ignore[dict-item]


SPELLINGS: list[Callable[[bytes], str | bytes]] = [
    bytes,
    bytes.hex,
    lambda key: key.hex().upper(),
    lambda key: base64.b64encode(key).decode(),
    lambda key: base64.b64encode(key).decode().rstrip("="),
    lambda key: base64.urlsafe_b64encode(key).decode(),
    lambda key: f" {base64.b64encode(key).decode()}\n",
]


@pytest.mark.parametrize("spelt", SPELLINGS)
@pytest.mark.parametrize("key", [OLD, NEW, bytes(range(224, 256))])
def test_spellings_of_a_key(spelt: Callable[[bytes], str | bytes], key: bytes) -> None:
    """The bytes themselves, hex, and both alphabets of base64, with or without its padding."""
    assert Keyring([spelt(key)]).newest == Keyring([key]).newest


NO_KEYS: dict[str, tuple[list[str | bytes], str]] = {
    "none": ([], "PAT-E001 vault.keys: a vault needs a key"),
    "empty": ([""], "vault.keys[0]: is not 32 bytes in base64 or hex"),
    "a passphrase": (["correct horse battery staple"], "vault.keys[0]: is not 32 bytes in base64 or hex"),
    "a passphrase of 32 characters": (["correct-horse-battery-staple-etc"], "is not 32 bytes in base64 or hex"),
    "31 bytes": ([OLD[1:]], "is not 32 bytes"),
    "33 bytes": ([OLD + b"x"], "is not 32 bytes"),
    "16 bytes in hex": ([OLD[:16].hex()], "is not 32 bytes"),
    "64 bytes in hex": ([(OLD + NEW).hex()], "is not 32 bytes"),
    "hex with a wrong letter": (["g" + OLD.hex()[1:]], "is not 32 bytes"),
    "base64 with a wrong letter": (["*" + base64.b64encode(OLD).decode()[1:]], "is not 32 bytes"),
    "not ASCII": (["\u00e9" * 44], "is not 32 bytes"),
    "zeros": ([bytes(32)], "vault.keys[0]: is not random"),
    "a short one again and again": ([b"secret" * 5 + b"xx"], "vault.keys[0]: is not random"),
    "zeros in hex": (["00" * 32], "is not random"),
    "the second": ([OLD, "x"], "vault.keys[1]: is not 32 bytes in base64 or hex"),
    "twice": ([OLD, OLD.hex()], "vault.keys: the same key stands twice"),
}


@pytest.mark.parametrize(("keys", "expected"), NO_KEYS.values(), ids=NO_KEYS)
def test_what_is_no_key_is_refused(keys: list[str | bytes], expected: str) -> None:
    """In a sentence that says which, what is wrong and how to make one; without the key."""
    with pytest.raises(ConfigurationError) as caught:
        Keyring(keys)

    assert expected in str(caught.value)
    assert not [key for key in keys if len(key) > 1 and str(key) in str(caught.value)]


@pytest.mark.parametrize("keys", [OLD, OLD.hex()])
def test_one_key_is_no_list(keys: bytes | str) -> None:
    """A text is a list of letters, too: it must not be taken for many keys."""
    with pytest.raises(ConfigurationError, match="takes a list of keys"):
        Keyring(keys)  # type: ignore[arg-type]


def test_a_repr_shows_no_key(keyring: Keyring) -> None:
    """Only the ids, which say nothing of the keys."""
    assert repr(keyring) == f"Keyring({Keyring([NEW]).newest}, {Keyring([OLD]).newest})"
