"""People in an LDAP directory: one of them, exactly, or nobody, or it can't be said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from services.slapd import BASE, PASSWORD, SERVICE, SERVICE_PASSWORD, Corner, Slapd, escaped

from patmiddleware.backends.ldap import LDAPDirectory
from patmiddleware.backends.ldap.directory import _is_bound_as
from patmiddleware.errors import BackendUnavailable
from patmiddleware.interfaces import Checkable, PasswordDirectory
from patmiddleware.model import Owner
from patmiddleware.testing import DirectoryContract

Open = Callable[..., LDAPDirectory]


class TestByMemberOf(DirectoryContract):
    """The contract, with groups as people's entries tell them."""

    settings: dict[str, object] = {}  # noqa: RUF012  # never changed

    @pytest.fixture(autouse=True)
    def _begin(self, server: Slapd, opened: Open) -> None:
        self.server, self.opened = server, opened

    def make_directory(self, owners: Sequence[Owner]) -> LDAPDirectory:
        corner = self.server.corner()
        for owner in owners:
            facts = {"displayName": owner.display_name, "mail": owner.mail}
            given = {name: value for name, value in facts.items() if value}
            locked = {} if owner.active else {"nsAccountLock": "TRUE"}
            dn = self.server.add(
                f"uid={escaped(owner.name)},{corner.people}",
                objectClass=["account", "extensibleObject"],
                uid=owner.name,
                **given,
                **locked,
            )
            for group in owner.groups:
                corner.group(group, [dn])
        return self.opened(corner.address, **self.settings)


class TestBySearch(TestByMemberOf):
    """The contract, with groups that are searched for."""

    settings = {"groups": "search"}  # noqa: RUF012


def test_answers_to_the_protocols(server: Slapd, opened: Open) -> None:
    """It can check passwords, and look itself over."""
    directory = opened(server.address())

    assert isinstance(directory, PasswordDirectory)
    assert isinstance(directory, Checkable)


def test_address_may_say_more(corner: Corner, opened: Open) -> None:
    """Attribute, scope, filter and name of the address count, as RFC 4516 has them."""
    corner.person("alice", mail="al@example.org", title="boss")
    corner.person("bob", mail="bob@example.org")
    bind = SERVICE.replace(",", "%2C")
    people = corner.address.replace(corner.base, corner.people)
    address = f"{people}?mail?one?(title=boss)?bindname={bind}"

    directory = opened(address, bind_dn=None)

    found = [directory.find(name) for name in ("al@example.org", "bob@example.org", "alice")]
    assert [owner and owner.name for owner in found] == ["al@example.org", None, None]


def test_filters_of_address_and_settings_both_count(corner: Corner, opened: Open) -> None:
    """Somebody must match both."""
    for name, title in (("alice", "boss"), ("bob", "clerk")):
        corner.person(name, title=title, employeeType="staff")
    directory = opened(f"{corner.address}???(title=boss)", filter="(employeeType=staff)")

    assert [bool(directory.find(name)) for name in ("alice", "bob")] == [True, False]


def test_scope_one_does_not_look_deeper(corner: Corner, opened: Open) -> None:
    """People further below are not found."""
    corner.person("alice")

    assert opened(f"{corner.address}??one").find("alice") is None


def test_common_name_stands_in_for_the_display_name(corner: Corner, opened: Open) -> None:
    """An entry without ``displayName`` has ``cn``."""
    corner.person("alice", cn="Alice A.")

    owner = opened(corner.address).find("alice")

    assert owner is not None
    assert owner.display_name == "Alice A."


@pytest.mark.parametrize("second", ["alice", "ALICE"])
def test_two_entries_are_an_outage(corner: Corner, opened: Open, second: str) -> None:
    """Who it is can't be said where the server takes two people for one name."""
    corner.person("alice")
    corner.person(second, under=corner.base)

    with pytest.raises(BackendUnavailable, match="several entries"):
        opened(corner.address).find("alice")


def test_more_than_two_entries_are_an_outage(corner: Corner, opened: Open) -> None:
    """The same holds where the server gives a part of them only."""
    for under in (corner.people, corner.base, corner.groups):
        corner.person("alice", under=under)

    with pytest.raises(BackendUnavailable, match="several entries"):
        opened(corner.address).find("alice")


INJECTIONS = [
    "*",
    "a*",
    "alice)(uid=*",
    "*)(|(uid=*",
    "alice)(|(objectClass=*)",
    "alice\\",
    "\\61lice",
    "a\\2a",
    "&",
    "!",
]


@pytest.mark.parametrize("name", INJECTIONS)
def test_no_name_is_a_filter(corner: Corner, opened: Open, name: str) -> None:
    """What filters are made of finds nobody else."""
    corner.person("alice")

    assert opened(corner.address).find(name) is None


@pytest.mark.parametrize("name", ["", "\0", "alice\0", "\udcff", "alice\udcff"])
def test_impossible_names_are_not_asked_for(opened: Open, name: str) -> None:
    """No server has them, so none needs to be there."""
    assert opened("ldap://127.0.0.1:1/dc=example,dc=org").find(name) is None


def test_a_second_value_is_a_name_too(corner: Corner, opened: Open) -> None:
    """Where an entry has several names, each leads to it, as it is asked for."""
    corner.person("alice", uid=["alice", "al"])
    directory = opened(corner.address)

    found = [directory.find(name) for name in ("alice", "al")]

    assert [owner and owner.name for owner in found] == ["alice", "al"]


def test_references_to_other_servers_are_passed_over(corner: Corner, opened: Open) -> None:
    """A part of the tree that is elsewhere is not asked."""
    corner.person("alice")
    corner.server.add(
        f"ou=elsewhere,{corner.base}",
        objectClass=["referral", "extensibleObject"],
        ou="elsewhere",
        ref="ldap://127.0.0.1:1/dc=elsewhere",
    )
    directory = opened(corner.address)

    assert directory.find("alice") is not None
    assert directory.find("bob") is None


def test_a_base_that_is_elsewhere_is_an_outage(corner: Corner, opened: Open) -> None:
    """A referral is not followed with our name and password."""
    dn = f"ou=elsewhere,{corner.base}"
    kinds = ["referral", "extensibleObject"]
    corner.server.add(dn, objectClass=kinds, ou="elsewhere", ref="ldap://127.0.0.1:1/dc=elsewhere")

    with pytest.raises(BackendUnavailable, match="refers to another server"):
        opened(corner.server.address(dn)).find("alice")


def test_an_alias_does_not_lead_out_of_the_base(corner: Corner, opened: Open) -> None:
    """Whatever ldap.conf and the application say of following aliases; what they say stays as it was."""
    import ldap

    outside = corner.server.corner().person("carl")
    kinds = ["alias", "extensibleObject"]
    corner.server.add(f"uid=dora,{corner.people}", objectClass=kinds, uid="dora", aliasedObjectName=outside)
    before = ldap.get_option(ldap.OPT_DEREF)
    ldap.set_option(ldap.OPT_DEREF, ldap.DEREF_ALWAYS)
    try:
        found, after = opened(corner.address).find("carl"), ldap.get_option(ldap.OPT_DEREF)
    finally:
        ldap.set_option(ldap.OPT_DEREF, before)

    assert (found, after) == (None, ldap.DEREF_ALWAYS)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong password": ({"bind_password": "wrong"}, "bind_dn or bind_password"),
    "nobody": ({"bind_dn": None, "bind_password": None}, "bind_dn search"),
    "group_base": ({"group_base": f"ou=nowhere,{BASE}", "groups": "search"}, "group_base is not there"),
    "group_attribute": ({"group_attribute": "labeledURI"}, "group_attribute"),
    "filter": ({"filter": "(uid=(a))"}, "filter in the settings"),
}


@pytest.mark.parametrize(("settings", "words"), FAULTS.values(), ids=FAULTS)
def test_a_wrong_setting_is_an_outage(corner: Corner, opened: Open, settings: dict[str, Any], words: str) -> None:
    """Nobody hears "bad token" of it; the setting is named."""
    corner.group("dev", [corner.person("alice")])

    with pytest.raises(BackendUnavailable, match=words):
        opened(corner.address, **settings).find("alice")


def test_a_missing_base_is_an_outage(server: Slapd, opened: Open) -> None:
    """A base with a slip of the pen does not make everybody unknown."""
    with pytest.raises(BackendUnavailable, match="base in the address"):
        opened(server.address(f"ou=peopel,{BASE}")).find("alice")


def test_names_that_may_not_be_read_are_an_outage(opened: Open) -> None:
    """A server that lets names be searched but not read says nothing about anybody."""
    access = "access to attrs=uid by users search by anonymous auth\naccess to * by users read by anonymous auth"
    with Slapd(access=access) as server:
        corner = server.corner()
        corner.person("alice")

        with pytest.raises(BackendUnavailable, match="may not read user_attribute"):
            opened(corner.address).find("alice")


def test_an_outage_shows_no_secret(corner: Corner, opened: Open) -> None:
    """Neither the directory nor its errors show the password, the host or the base: clients may hear them."""
    directory = opened(corner.address, bind_password="hidden-secret")

    with pytest.raises(BackendUnavailable) as caught:
        directory.find("alice")

    shown = f"{caught.value}{directory!r}{vars(directory)}"
    assert "hidden-secret" not in shown + repr(caught.value.__cause__)
    assert [word for word in ("127.0.0.1", "dc=example") if word in str(caught.value)] == []


# --- Who is active


LOCKS = [
    ("nsAccountLock", "TRUE", False),
    ("nsAccountLock", "false", True),
    ("userAccountControl", "514", False),
    ("userAccountControl", "512", True),
    ("shadowExpire", "1", False),
    ("shadowExpire", "-1", True),
    ("accountExpires", "1", False),
    ("accountExpires", "0", True),
    ("lockoutTime", "133000000000000000", False),
    ("lockoutTime", "0", True),
]


@pytest.mark.parametrize(("attribute", "value", "active"), LOCKS)
def test_what_locks_an_account_counts(corner: Corner, opened: Open, attribute: str, value: str, active: bool) -> None:
    """Every attribute that is there is looked at, as the server gives it."""
    corner.person("alice", **{attribute: value})

    owner = opened(corner.address).find("alice")

    assert owner is not None
    assert owner.active is active


def test_a_locked_password_makes_inactive_until_it_is_unlocked(corner: Corner, opened: Open) -> None:
    """An administrator's lock (ppolicy) counts, and its end."""
    dn, directory = corner.person("alice"), opened(corner.address)
    seen = []

    for times in (["000001010000Z"], []):
        corner.server.set(dn, pwdAccountLockedTime=times)
        owner = directory.find("alice")
        seen.append(owner and owner.active)

    assert seen == [False, True]


def test_a_filter_may_say_who_is_active(corner: Corner, opened: Open) -> None:
    """It takes the place of the attributes that servers lock with."""
    for name, kind in (("alice", "staff"), ("bob", "guest")):
        corner.person(name, employeeType=kind, nsAccountLock="TRUE")
    directory = opened(corner.address, active="(employeeType=staff)")

    found = [directory.find(name) for name in ("alice", "bob")]

    assert [owner and owner.active for owner in found] == [True, False]


# --- Passwords


@pytest.mark.parametrize(
    ("name", "password", "right"),
    [
        ("alice", "alice's password", True),
        ("alice", "Alice's password", False),
        ("alice", "alice's password ", False),
        ("alice", "bob's password", False),
        ("ALICE", "alice's password", False),
        ("nobody", "alice's password", False),
        ("*", "alice's password", False),
        ("alice", SERVICE_PASSWORD, False),
        ("alice", PASSWORD, False),
        ("nameless", "x", False),
        ("alice", " ", False),
    ],
)
def test_password(corner: Corner, opened: Open, name: str, password: str, right: bool) -> None:
    """Only a person's own password gives the person."""
    corner.group("dev", [corner.person("alice")])
    corner.person("bob")
    corner.server.add(f"uid=nameless,{corner.people}", objectClass=["account"], uid="nameless")

    owner = opened(corner.address).authenticate(name, password)

    assert owner == (Owner("alice", groups=frozenset({"dev"}), display_name="alice") if right else None)


@pytest.mark.parametrize("password", ["", "\0", "\0\0", "\0alice's password", "alice's password\0", "a\0b", "\udcff"])
def test_impossible_passwords_are_not_tried(opened: Open, password: str) -> None:
    """An empty one, or what is empty to C, would bind nobody and be called a success: no server is asked."""
    assert opened("ldap://127.0.0.1:1/dc=example,dc=org").authenticate("alice", password) is None


def test_an_unauthenticated_bind_is_no_proof(opened: Open) -> None:
    """A server that takes a bind without a password for a success gets none to take."""
    with Slapd(general="allow bind_anon_dn bind_anon_cred") as server:
        corner = server.corner()
        corner.person("alice")
        directory = opened(corner.address)

        assert directory.authenticate("alice", "") is None
        assert directory.authenticate("alice", "\0") is None


ALICE = "uid=alice,dc=example"


@pytest.mark.parametrize(
    ("identity", "proven"),
    [
        (f"dn:{ALICE}", True),
        ("dn:UID=Alice, DC=example", True),
        ("dn:uid=bob,dc=example", False),
        ("dn:", False),
        ("", False),
        ("u:", False),
        ("u:EXAMPLE\\alice", True),  # Active Directory
        (None, True),  # a server that can't say; with a password it can't have been the bind of nobody
    ],
)
def test_success_alone_is_no_proof(identity: str | None, proven: bool) -> None:
    """After a bind the server must say that it takes us for this person."""
    bound: Any = SimpleNamespace(who=lambda: identity)

    assert _is_bound_as(ALICE, bound) is proven


def test_a_locked_account_has_no_password(corner: Corner, opened: Open) -> None:
    """Three wrong ones, and the right one is refused; the person is inactive for tokens as well."""
    corner.person("alice")
    directory = opened(corner.address)

    tried = [directory.authenticate("alice", password) for password in ("a", "b", "c", "alice's password")]
    owner = directory.find("alice")

    assert tried == [None] * 4
    assert owner is not None
    assert not owner.active


def test_inactive_owner_with_the_right_password_is_given_as_inactive(corner: Corner, opened: Open) -> None:
    """The password is theirs; what that is worth is the caller's to judge."""
    corner.person("alice", nsAccountLock="TRUE")

    owner = opened(corner.address).authenticate("alice", "alice's password")

    assert owner is not None
    assert not owner.active


def test_a_password_does_not_go_in_clear(opened: Open) -> None:
    """Over the network it needs TLS; nothing is connected."""
    directory = opened("ldap://ldap.example.org/dc=example,dc=org", bind_dn=None, bind_password=None)

    with pytest.raises(BackendUnavailable, match="without TLS"):
        directory.authenticate("alice", "a password")
