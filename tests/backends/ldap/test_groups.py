"""Groups in an LDAP directory, and what scopes they give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from services.slapd import SERVICE, Corner

from patmiddleware.backends.ldap import LDAPDirectory, groups
from patmiddleware.backends.ldap.groups import Grouping
from patmiddleware.errors import BackendUnavailable, ConfigurationError

Open = Callable[..., LDAPDirectory]

WAYS: list[dict[str, Any]] = [{"groups": "memberOf"}, {"groups": "search"}]
either_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way["groups"])


def groups_of(directory: LDAPDirectory, name: str = "alice") -> set[str]:
    """Give the groups of somebody who is there."""
    owner = directory.find(name)
    assert owner is not None
    return set(owner.groups)


@either_way
def test_only_direct_groups_count(corner: Corner, opened: Open, way: dict[str, Any]) -> None:
    """A group of groups does not, unless it is asked for."""
    developers = corner.group("developers", [corner.person("alice")])
    corner.group("staff", [developers])

    assert groups_of(opened(corner.address, **way)) == {"developers"}


@either_way
def test_nested_groups_count_when_asked_for(corner: Corner, opened: Open, way: dict[str, Any]) -> None:
    """Every group above counts, also where they go round in a circle, or two ways lead to one."""
    alice, bob = corner.person("alice"), corner.person("bob")
    one = corner.group("one", [alice])
    two, side = corner.group("two", [one]), corner.group("side", [one])
    three = corner.group("three", [two, side])
    corner.server.set(one, member=[alice, three])
    corner.group("others", [bob])

    assert groups_of(opened(corner.address, nested=True, **way)) == {"one", "two", "side", "three"}


def test_groups_nested_too_deep_are_an_outage(corner: Corner, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """With some left out, a rule that refuses one of them would not."""
    last = corner.person("alice")
    for number in range(groups.DEPTH + 2):
        last = corner.group(f"g{number}", [last])

    with pytest.raises(BackendUnavailable, match="nested more than"):
        opened(corner.address, nested=True).find("alice")


def test_as_many_levels_as_are_allowed_count(corner: Corner, opened: Open) -> None:
    """The bound itself is within."""
    last = corner.person("alice")
    for number in range(groups.DEPTH):
        last = corner.group(f"g{number}", [last])

    assert len(groups_of(opened(corner.address, nested=True))) == groups.DEPTH


def test_many_groups_are_walked_in_batches(corner: Corner, opened: Open) -> None:
    """More groups on one level than one search asks for all count."""
    alice = corner.person("alice")
    direct = [corner.group(f"g{number}", [alice]) for number in range(groups.BATCH + 3)]
    corner.group("above", [direct[-1]])

    assert "above" in groups_of(opened(corner.address, nested=True))


@either_way
@pytest.mark.parametrize("nested", [False, True])
def test_groups_elsewhere_do_not_count(corner: Corner, opened: Open, way: dict[str, Any], nested: bool) -> None:
    """One of the same plain name, outside of ``group_base``, is somebody else's; it leads nowhere either."""
    alice = corner.person("alice")
    corner.group("developers", [alice])
    elsewhere = corner.group("admins", [alice], under=corner.people)
    corner.group("above", [elsewhere])
    directory = opened(corner.address, group_base=corner.groups.upper(), nested=nested, **way)

    assert groups_of(directory) == {"developers"}


def test_a_base_in_a_value_is_no_base(corner: Corner, opened: Open) -> None:
    """A group whose own name reads like one below the base is not below it."""
    alice = corner.person("alice")
    corner.group(f"admins,{corner.groups}", [alice], under=corner.people)

    assert groups_of(opened(corner.address, group_base=corner.groups)) == set()


@either_way
def test_plain_names_are_what_they_are(corner: Corner, opened: Open, way: dict[str, Any]) -> None:
    """Signs that a DN escapes come back as they are."""
    names = {"a,b", "a+b", 'a"b', "a\\b", " a", "a=b", "#a", "Größe", "a b"}
    alice = corner.person("alice")
    for name in names:
        corner.group(name, [alice])

    assert groups_of(opened(corner.address, **way)) == names


@either_way
def test_another_attribute_may_name_groups(corner: Corner, opened: Open, way: dict[str, Any]) -> None:
    """It is read where the DN does not say it."""
    corner.group("g1", [corner.person("alice")], description="developers")

    assert groups_of(opened(corner.address, group_attribute="description", **way)) == {"developers"}


def test_every_kind_of_member_is_searched_for(corner: Corner, opened: Open) -> None:
    """``member``, ``uniqueMember``, and ``memberUid`` with the plain name."""
    alice, bob = corner.person("alice"), corner.person("bob")
    corner.group("by-dn", [alice])
    add = corner.server.add
    add(f"cn=unique,{corner.groups}", objectClass="groupOfUniqueNames", cn="unique", uniqueMember=[alice, bob])
    add(f"cn=unix,{corner.groups}", objectClass="posixGroup", cn="unix", gidNumber="7", memberUid=["alice", "al*"])
    directory = opened(corner.address, groups="search")

    assert groups_of(directory) == {"by-dn", "unique", "unix"}
    assert groups_of(directory, "bob") == {"unique"}


def test_group_filter_says_which_groups_count(corner: Corner, opened: Open) -> None:
    """Also as steps to others."""
    alice = corner.person("alice")
    corner.group("good", [alice], description="access")
    corner.group("above", [corner.group("list", [alice])], description="access")
    directory = opened(corner.address, groups="search", nested=True, group_filter="(description=access)")

    assert groups_of(directory) == {"good"}


def test_members_are_no_filter(corner: Corner, opened: Open) -> None:
    """A name made of a filter's signs is in its own groups only."""
    corner.group("mine", [corner.person("*")])
    corner.group("other", [corner.person("bob")])

    assert groups_of(opened(corner.address, groups="search"), "*") == {"mine"}


class Asked:
    """A connection that keeps what is searched for, and finds one group."""

    def __init__(self) -> None:
        self.filters: list[str] = []

    def search(self, base: str, scope: int, filter: str, attributes: object, limit: int) -> list[Any]:
        self.filters.append(filter)
        return [("CN=All,OU=Groups,DC=x", {"cn": [b"All"]})]


@pytest.mark.parametrize("how", ["memberOf", "search"])
def test_active_directory_follows_chains_itself(how: str) -> None:
    """One search with its matching rule gives them all, whatever the entry says; OpenLDAP has no such rule to try."""
    asked: Any = Asked()
    grouping = Grouping(base="DC=x", how=how, nested="ad")

    found = grouping.of(asked, "a", "CN=a (b),DC=x", {"memberof": [b"CN=Other,DC=x"]})

    assert asked.filters == ["(member:1.2.840.113556.1.4.1941:=CN=a \\28b\\29,DC=x)"]
    assert [group.names for group in found] == [("All",)]


def test_a_list_of_groups_in_pieces_is_an_outage() -> None:
    """Active Directory cuts a very long ``memberOf``; what is left out might be refused."""
    asked: Any = Asked()

    with pytest.raises(BackendUnavailable, match="too many groups"):
        Grouping(base="DC=x").of(asked, "a", "CN=a,DC=x", {"memberof;range=0-1499": [b"CN=Other,DC=x"]})


# --- Scopes


SCOPES: list[tuple[Mapping[str, Iterable[str]], set[str]]] = [
    ({}, set()),
    ({"developers": ["read", "write"]}, {"read", "write"}),
    ({"developers": ["read"], "staff": ["write"], "others": ["admin"]}, {"read", "write"}),
    ({"Developers": ["read"]}, set()),
    ({"cn=developers,{groups}": ["read"]}, {"read"}),
    ({"CN=Developers , {GROUPS}": ["read"]}, {"read"}),
    ({"cn=developers,{groups}": ["read"], "CN=DEVELOPERS,{groups}": ["write"]}, {"read", "write"}),
    ({"cn=developers,ou=x,{groups}": ["read"]}, set()),
]


@pytest.mark.parametrize(("scopes", "expected"), SCOPES)
def test_groups_give_a_ceiling(
    corner: Corner, opened: Open, scopes: Mapping[str, Iterable[str]], expected: set[str]
) -> None:
    """By their plain names, exactly, or by distinguished ones, as a server compares them."""
    alice = corner.person("alice")
    for name in ("developers", "staff"):
        corner.group(name, [alice])
    named = {
        key.replace("{groups}", corner.groups).replace("{GROUPS}", corner.groups.upper()): given
        for key, given in scopes.items()
    }

    owner = opened(corner.address, scopes=named).find("alice")

    assert owner is not None
    assert owner.scopes == expected


def test_without_a_map_there_is_no_ceiling(corner: Corner, opened: Open) -> None:
    """None is not an empty one."""
    corner.person("alice")

    owner = opened(corner.address).find("alice")

    assert owner is not None
    assert owner.scopes is None


def test_a_group_of_the_same_name_elsewhere_gives_nothing(corner: Corner, opened: Open) -> None:
    """Its members get no scopes by the plain name."""
    corner.group("admins", [corner.person("alice")], under=corner.people)
    directory = opened(corner.address, group_base=corner.groups, scopes={"admins": ["admin"]})

    owner = directory.find("alice")

    assert owner is not None
    assert owner.scopes == frozenset()


@pytest.mark.parametrize("how", ["memberOf", "search"])
def test_a_plain_name_that_reads_as_a_distinguished_one_gives_nothing(corner: Corner, opened: Open, how: str) -> None:
    """Whoever may make a group, and so choose its plain name, does not get what another group gives."""
    admins = corner.group("admins", [corner.person("bob")])
    corner.group(admins, [corner.person("alice")])
    directory = opened(corner.address, groups=how, scopes={admins: ["admin"]})

    alice, bob = directory.find("alice"), directory.find("bob")

    assert alice is not None
    assert bob is not None
    assert (alice.scopes, bob.scopes) == (frozenset(), frozenset({"admin"}))


def test_a_distinguished_name_elsewhere_is_refused(corner: Corner, opened: Open) -> None:
    """Nobody would ever be in it: a slip."""
    with pytest.raises(ConfigurationError, match="not below group_base"):
        opened(corner.address, group_base=corner.groups, scopes={SERVICE: ["read"]})
