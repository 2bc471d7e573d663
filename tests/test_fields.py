"""What may stand in a token's fields."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

import pytest

from patmiddleware import fields
from patmiddleware.errors import RefusedError

BAD_TEXTS = {
    "empty": "",
    "blank": " \t",
    "256 characters": "x" * 256,
    "newline": "a\nb",
    "NUL": "a\0b",
    "delete": "a\x7fb",
    "C1 control": "a\x85b",
    "lone surrogate": "a\udcffb",
    "bytes": b"alice",
    "None": None,
    "number": 7,
}

bad_texts = pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS)


@pytest.mark.parametrize("owner", ["a", "alice@example.org", "José", "svc build", "\U0001f600", "x" * 255])
def test_owner_is_taken_as_it_is(owner: str) -> None:
    """A name of up to 255 characters of any script is an owner."""
    assert fields.check_owner(owner) == owner


@bad_texts
def test_owner_is_refused(text: object) -> None:
    """An owner that is empty, too long, or can't be stored or logged, is refused."""
    with pytest.raises(RefusedError, match=r"^the owner "):
        fields.check_owner(text)


@pytest.mark.parametrize("owner", [" alice", "alice ", "\u00a0alice", "alice\u2003"])
def test_owner_with_blanks_around_is_refused(owner: str) -> None:
    """A name that looks like another one is refused."""
    with pytest.raises(RefusedError, match="blanks around"):
        fields.check_owner(owner)


def test_name_is_free_text() -> None:
    """A token's name may have blanks and signs of any kind."""
    assert fields.check_name(" CI: build & test → prod") == " CI: build & test → prod"


@bad_texts
def test_name_is_refused(text: object) -> None:
    """A token's name that is empty, too long, or can't be stored or logged, is refused."""
    with pytest.raises(RefusedError, match=r"^the name of the token "):
        fields.check_name(text)


def test_scopes_become_a_set() -> None:
    """Scopes are taken from any collection, each once."""
    expected = frozenset({"read", "repo:write", "!#[]~"})

    assert fields.check_scopes(["read", "repo:write", "!#[]~", "read"]) == expected


@pytest.mark.parametrize("scope", ["", "a b", 'a"b', "a\\b", "a\tb", "é", "a\n", "x" * 256, None, 7, ["read"]])
def test_scope_is_refused(scope: object) -> None:
    """A scope that is no scope-token of RFC 6749 is refused."""
    with pytest.raises(RefusedError, match="can't be a scope"):
        fields.check_scopes([scope])


@pytest.mark.parametrize("check", [fields.check_scopes, fields.check_networks])
@pytest.mark.parametrize("values", ["read", b"read", None, 7])
def test_one_string_is_no_collection(check: Callable[[object], object], values: object) -> None:
    """A string would be taken apart into its letters, so it is refused."""
    with pytest.raises(RefusedError, match="must be a collection"):
        check(values)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        (ip_network("10.0.0.0/8"), "10.0.0.0/8"),
        (ip_network("::/0"), "::/0"),
    ],
)
def test_network_is_read(given: object, expected: str) -> None:
    """Networks and addresses of both versions are taken, as text or as objects."""
    assert fields.check_networks([given]) == (ip_network(expected),)


def test_network_stands_once() -> None:
    """The same network given twice, in whatever form, stands once; the order is kept."""
    given = ["10.0.0.0/8", "::1", ip_network("10.0.0.0/8"), "::1/128"]

    assert fields.check_networks(given) == (ip_network("10.0.0.0/8"), ip_network("::1"))


@pytest.mark.parametrize("network", ["", "all", "10.0.0.0/33", "10.0.0", "fe80::1%eth0", "fe80::%1/64", 7, b"::1"])
def test_network_is_refused(network: object) -> None:
    """What is no network is refused, and the sentence shows how one is written."""
    with pytest.raises(RefusedError, match=r"is not a network: write it as"):
        fields.check_networks([network])


@pytest.mark.parametrize(("network", "meant"), [("10.1.2.3/8", "10.0.0.0/8"), ("2001:db8::1/32", "2001:db8::/32")])
def test_network_with_host_bits_is_refused(network: str, meant: str) -> None:
    """Host bits are a sign of a typing error; the sentence names what may be meant."""
    with pytest.raises(RefusedError, match=f"did you mean {meant}"):
        fields.check_networks([network])


def test_limits_become_sets() -> None:
    """Limits are names with collections of values."""
    assert fields.check_limits({"project": ["OPS", "WEB", "OPS"]}) == {"project": frozenset({"OPS", "WEB"})}


@pytest.mark.parametrize(
    "limits",
    [
        None,
        ["project"],
        {"": ["OPS"]},
        {"a\nb": ["OPS"]},
        {7: ["OPS"]},
        {"project": []},
        {"project": "OPS"},
        {"project": [""]},
        {"project": ["OPS\n"]},
        {"project": [None]},
    ],
)
def test_limits_are_refused(limits: object) -> None:
    """A limit without a name or a value is refused, and so is what can't be stored or logged."""
    with pytest.raises(RefusedError):
        fields.check_limits(limits)


def test_attributes_are_free_text() -> None:
    """Attributes are pairs of text; a value may be empty or have several lines."""
    assert fields.check_attributes({"note": "one\ntwo", "empty": ""}) == {"note": "one\ntwo", "empty": ""}


@pytest.mark.parametrize("attributes", [None, "note", {"": "x"}, {7: "x"}, {"a": 7}, {"a": "\0"}, {"a": "\udcff"}])
def test_attributes_are_refused(attributes: object) -> None:
    """What some store could not keep is refused."""
    with pytest.raises(RefusedError):
        fields.check_attributes(attributes)


def test_a_refusal_is_short() -> None:
    """However long a wrong value is, the sentence stays readable."""
    with pytest.raises(RefusedError) as refused:
        fields.check_scopes(["é" * 10_000])

    assert len(str(refused.value)) < 300
