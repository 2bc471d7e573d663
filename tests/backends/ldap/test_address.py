"""The address and the settings of an LDAP directory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.slapd import make_certificate, program

from patmiddleware.backends.ldap import LDAPDirectory
from patmiddleware.backends.ldap.address import Address, Server, parse
from patmiddleware.backends.ldap.names import is_name, leading, normal, within
from patmiddleware.errors import ConfigurationError

BASE = "dc=example,dc=org"
LOCAL = f"ldap://127.0.0.1/{BASE}"
ONE = (Server("ldap", "h", 389),)

GOOD: list[tuple[str | Sequence[str], Address]] = [
    (f"ldap://h/{BASE}", Address(ONE, BASE)),
    (f"LDAP://h:389/{BASE}????", Address(ONE, BASE)),
    (f"ldaps://h/{BASE}", Address((Server("ldaps", "h", 636),), BASE)),
    (f"ldap://[::1]:1389/{BASE}", Address((Server("ldap", "[::1]", 1389),), BASE)),
    (f"ldap://h/{BASE}?mail", Address(ONE, BASE, "mail")),
    (f"ldap://h/{BASE}??one", Address(ONE, BASE, None, "one")),
    (f"ldap://h/{BASE}??SUB?(a=b%3Fc%23)", Address(ONE, BASE, None, "sub", "(a=b?c#)")),
    (f"ldap://h/{BASE}????bindname=cn=a%2Cdc=b", Address(ONE, BASE, bind_dn="cn=a,dc=b")),
    (f"ldap://h/{BASE}????!bindname=cn=a%2cdc=b", Address(ONE, BASE, bind_dn="cn=a,dc=b")),
    ("ldap://h/o=Caf%C3%A9%20Org", Address(ONE, "o=Café Org")),
    (f"ldap://h/{BASE} ldap://i", Address((*ONE, Server("ldap", "i", 389)), BASE)),
    ([f"ldap://h/{BASE}", f"ldap://i/{BASE}"], Address((*ONE, Server("ldap", "i", 389)), BASE)),
]

BAD = [
    "",
    " ",
    "ldap:",
    "ldap://",
    "ldap:///dc=example",
    "ldap://h",
    "ldap://h/",
    "ldap://h/example",
    "ldap://h/dc=a,,dc=b",
    "ldapi://%2Frun%2Fslapd",
    "http://h/dc=x",
    "ldap://user:password@h/dc=x",
    "ldap://h:0/dc=x",
    "ldap://h:65536/dc=x",
    "ldap://h:x/dc=x",
    "ldap://h:/dc=x",
    "ldap://::1/dc=x",
    "ldap://h/dc=x?uid,mail",
    "ldap://h/dc=x?*",
    "ldap://h/dc=x??base",
    "ldap://h/dc=x??all",
    "ldap://h/dc=x???uid=a",
    "ldap://h/dc=x???(uid=a",
    "ldap://h/dc=x???(uid=a))",
    "ldap://h/dc=x???(uid=a)(uid=b)",
    "ldap://h/dc=x????x-bindpw=password",
    "ldap://h/dc=x????bindname",
    "ldap://h/dc=x????bindname=cn=a,dc=b",
    "ldap://h/dc=x?????",
    "ldap://h/dc=x%",
    "ldap://h/dc=x%zz",
    "ldap://h/dc=x%00",
    "ldap://h/dc=x%FF",
    "ldap://h/dc=x#y",
    "ldap://h/dc=x ldap://i/dc=y",
    "ldap://h/dc=x ldap://h",
    [],
    [1],
]


@pytest.mark.parametrize(("address", "expected"), GOOD)
def test_an_address_is_read(address: str | Sequence[str], expected: Address) -> None:
    """RFC 4516, but that everything below the base is looked at unless it says otherwise."""
    assert parse(address) == expected


@pytest.mark.parametrize("address", BAD, ids=str)
def test_any_other_is_refused(address: Any) -> None:
    """In one sentence that does not show the address: it may hold a password."""
    with pytest.raises(ConfigurationError) as caught:
        parse(address)

    [problem] = caught.value.problems
    assert problem.setting == "directory"
    assert "password" not in problem.message


@given(st.text(max_size=60))
def test_reading_raises_nothing_else(text: str) -> None:
    """Whatever it is given."""
    with suppress(ConfigurationError):
        parse(f"ldap://h/{text}")


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_what_stays_on_this_machine(host: str, local: bool) -> None:
    """Only that needs no TLS for passwords."""
    assert parse(f"ldap://{host}/{BASE}").servers[0].is_local is local


SECRET = {"bind_dn": "cn=a,dc=b", "bind_password": "hidden-secret"}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (f"ldap://h/{BASE}", SECRET, "directory.bind_password"),
    (f"{LOCAL} ldap://h", SECRET, "directory.bind_password"),
    (LOCAL, {"bind_dn": "cn=a,dc=b"}, "directory.bind_password"),
    (LOCAL, SECRET | {"bind_password": ""}, "directory.bind_password"),
    (LOCAL, SECRET | {"bind_password": "\0"}, "directory.bind_password"),
    (LOCAL, SECRET | {"bind_password": 7}, "directory.bind_password"),
    (LOCAL, {"bind_password": "hidden-secret"}, "directory.bind_password"),
    (LOCAL, SECRET | {"bind_dn": "gate"}, "directory.bind_dn"),
    (f"{LOCAL}????bindname=cn=b", SECRET, "directory.bind_dn"),
    (f"ldaps://h/{BASE}", {"start_tls": True}, "directory.start_tls"),
    (LOCAL, {"start_tls": "yes"}, "directory.start_tls"),
    (LOCAL, {"ca_file": "/nowhere.pem"}, "directory.ca_file"),
    (LOCAL, {"ca_file": __file__.replace("test_address", "conftest")}, "directory.ca_file"),
    (LOCAL, {"user_attribute": "uid)(x"}, "directory.user_attribute"),
    (f"{LOCAL}?mail", {"user_attribute": "uid"}, "directory.user_attribute"),
    (LOCAL, {"filter": "uid=a"}, "directory.filter"),
    (LOCAL, {"active": "automatic"}, "directory.active"),
    (LOCAL, {"active": ""}, "directory.active"),
    (LOCAL, {"lockout_duration": 0}, "directory.lockout_duration"),
    (LOCAL, {"groups": "memberof"}, "directory.groups"),
    (LOCAL, {"groups": ["memberOf"]}, "directory.groups"),
    (LOCAL, {"nested": "AD"}, "directory.nested"),
    (LOCAL, {"nested": 1}, "directory.nested"),
    (LOCAL, {"group_base": "groups"}, "directory.group_base"),
    (LOCAL, {"group_base": ""}, "directory.group_base"),
    (LOCAL, {"group_filter": "(a=b)"}, "directory.group_filter"),
    (LOCAL, {"group_filter": "a=b", "groups": "search"}, "directory.group_filter"),
    (LOCAL, {"group_attribute": ""}, "directory.group_attribute"),
    (LOCAL, {"scopes": {"developers": "read"}}, "directory.scopes.developers"),
    (LOCAL, {"scopes": ["developers"]}, "directory.scopes"),
    *(
        (LOCAL, {name: value}, f"directory.{name}")
        for name in ("timeout", "connect_timeout")
        for value in (0, -1, float("nan"), float("inf"), True, "5", None, 3601)
    ),
    *((LOCAL, {"pool": value}, "directory.pool") for value in (0, -1, 1.5, True, "5")),
]


@pytest.mark.parametrize(("address", "settings", "setting"), REFUSED)
def test_a_wrong_setting_is_refused(address: str, settings: dict[str, Any], setting: str) -> None:
    """At construction, by its name, and without the password."""
    with pytest.raises(ConfigurationError) as caught:
        LDAPDirectory(address, **settings)

    assert [problem.setting for problem in caught.value.problems] == [setting]
    assert "hidden-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "settings"),
    [
        (f"ldaps://h/{BASE}", SECRET),
        (f"ldap://h/{BASE}", SECRET | {"start_tls": True}),
        (f"{LOCAL} ldap://[::1] ldaps://h", SECRET),
        (f"ldap://h/{BASE}", {}),
        (f"{LOCAL}?mail", {"user_attribute": "mail"}),
        (LOCAL, {"nested": "ad", "group_filter": "(objectClass=group)"}),
    ],
)
def test_a_directory_is_made_without_a_server(address: str, settings: dict[str, Any]) -> None:
    """Nothing is connected, for servers fork afterwards."""
    LDAPDirectory(address, **settings)


def test_certificates_may_be_named_by_a_path(tmp_path: Path) -> None:
    """Of any kind."""
    make_certificate(tmp_path, ["DNS:localhost"], program("openssl"))

    LDAPDirectory(LOCAL, ca_file=tmp_path / "cert.pem")


@pytest.mark.parametrize("pem", ["-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n", "key.pem"])
def test_what_is_no_certificate_is_refused(tmp_path: Path, pem: str) -> None:
    """A broken one, or a key in its place, whatever the first line promises."""
    make_certificate(tmp_path, ["DNS:localhost"], program("openssl"))
    file = tmp_path / pem if pem.endswith(".pem") else tmp_path / "ca.pem"
    if not file.exists():
        file.write_text(pem)

    with pytest.raises(ConfigurationError, match="has no certificate in it"):
        LDAPDirectory(LOCAL, ca_file=file)


SAME = [
    ("cn=a,dc=b", "CN=A , DC=B"),
    ("cn=a  b,dc=c", "cn=A b,dc=c"),
    ("cn=a\\2cb,dc=c", "cn=a\\,b,dc=c"),
    ("cn=a+ou=b,dc=c", "ou=b+cn=a,dc=c"),
    ("cn=caf\\C3\\A9", "cn=Café"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_names_are_compared_as_a_server_does(one: str, other: str) -> None:
    """Case, blanks, escapes and the order within a part do not count."""
    assert normal(one) == normal(other)


@pytest.mark.parametrize(
    ("dn", "inside"),
    [
        ("ou=g,dc=b", True),
        ("cn=a,ou=g,dc=b", True),
        ("cn=a,OU=G,DC=B", True),
        ("dc=b", False),
        ("cn=a,ou=gg,dc=b", False),
        ("cn=a\\,ou=g\\,dc=b", False),
        ("cn=a,ou=g,dc=b,dc=c", False),
    ],
)
def test_what_is_below_a_base(dn: str, inside: bool) -> None:
    """By whole parts, never by how the text ends."""
    assert within(normal(dn), normal("ou=g,dc=b")) is inside


@pytest.mark.parametrize(
    ("dn", "value"),
    [
        ("cn=a\\,b,ou=g", "a,b"),
        ("CN=Caf\\C3\\A9,ou=g", "Café"),
        ("ou=x+cn=a,ou=g", "a"),
        ("ou=x,cn=a", None),
        ("cn=#04024869,ou=g", None),
        ("", None),
    ],
)
def test_the_leading_value_of_a_name(dn: str, value: str | None) -> None:
    """As it is written, of the attribute that is asked for."""
    assert leading(dn, "cn") == value


@pytest.mark.parametrize(
    ("text", "expected"), [("cn=a,dc=b", True), ("developers", False), ("a=b=", True), ("=", False)]
)
def test_what_is_a_name(text: str, expected: bool) -> None:
    """A plain name has no equals sign."""
    assert is_name(text) is expected
