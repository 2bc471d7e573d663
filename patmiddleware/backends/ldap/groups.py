"""Which groups somebody is in: by ``memberOf``, or by a search for their members; direct ones, or nested ones too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from ...errors import BackendUnavailable
from .driver import Connection, Entry, filter_format, ldap
from .names import DN, leading, normal, within

DEPTH = 20
"""How many groups may stand in a row from a person's own to the last one; more is a mistake."""

MOST = 2000
"""How many groups a person may be in."""

BATCH = 50
"""For how many groups at once the groups are asked for that they are in."""

HOW = ("memberOf", "search")
NESTED = (False, True, "ad")

# Active Directory's matching rule that follows chains of members.
_CHAIN = "(member:1.2.840.113556.1.4.1941:=%s)"
_MEMBER = "(member=%s)(uniqueMember=%s)"
_MEMBER_OF, _IN_PIECES = "memberof", "memberof;"


class Group(NamedTuple):
    """One group.

    Args:
        dn: its name, as the server spells it.
        names: its plain names: one, as a rule; none: they must be read.
    """

    dn: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """How groups are found.

    Args:
        base: only groups below it count, also as steps to other groups: elsewhere anybody may have made one.
        how: ``memberOf`` of the person's entry, or ``search``.
        nested: whether groups of groups count: False, True (they are asked for), or ``ad`` (the server follows them).
        filter: that groups match, where they are searched for.
        attribute: that has their plain name.
    """

    base: str
    how: str = "memberOf"
    nested: bool | str = False
    filter: str | None = None
    attribute: str = "cn"

    @cached_property
    def reads_member_of(self) -> bool:
        """Whether the person's own entry tells of groups."""
        return self.how == "memberOf" and self.nested != "ad"

    @cached_property
    def _root(self) -> DN:
        return normal(self.base)

    def of(self, connection: Connection, name: str, dn: str, entry: Mapping[str, Sequence[bytes]]) -> list[Group]:
        """Give the groups of a person.

        Args:
            connection: to ask on.
            name: of the person, for groups that list plain names.
            dn: of the person.
            entry: their values, by the name of the attribute in lower case.

        Raises:
            BackendUnavailable: when not all of them can be told: a rule that refuses a group must not miss it.
            LDAPError: when the server can't be asked.
        """
        if self.reads_member_of:
            groups = list(self._by_names(connection, _member_of(entry)))
        elif self.nested == "ad":
            groups = self._search(connection, filter_format(_CHAIN, [dn]))
        else:
            groups = self._search(connection, filter_format(f"(|{_MEMBER}(memberUid=%s))", [dn, dn, name]))
        return self._with_nested(connection, groups) if self.nested is True else groups

    def _by_names(self, connection: Connection, values: Sequence[bytes]) -> Iterator[Group]:
        for value in values:
            if (group := _named(value, self._root, self.attribute)) is not None:
                yield group if group.names else self._read(connection, group.dn)

    def _with_nested(self, connection: Connection, groups: Iterable[Group]) -> list[Group]:
        """Add the groups that the groups are in, level by level; each is asked about once, so that cycles end."""
        found: dict[DN, Group] = {}
        level = list(groups)
        for _ in range(DEPTH + 1):
            new = {normal(group.dn): group for group in level}
            new = {key: group for key, group in new.items() if key not in found}
            if not new:
                return list(found.values())
            found |= new
            if len(found) > MOST:
                break
            level = list(self._parents(connection, [group.dn for group in new.values()]))
        raise BackendUnavailable(f"groups are nested more than {DEPTH} deep, or somebody is in more than {MOST}")

    def _parents(self, connection: Connection, members: Sequence[str]) -> Iterator[Group]:
        for start in range(0, len(members), BATCH):
            terms = [filter_format(_MEMBER, [dn, dn]) for dn in members[start : start + BATCH]]
            yield from self._search(connection, f"(|{''.join(terms)})")

    def _search(self, connection: Connection, filter: str) -> list[Group]:
        whole = f"(&{self.filter}{filter})" if self.filter else filter
        try:
            found = connection.search(self.base, ldap.SCOPE_SUBTREE, whole, [self.attribute], limit=MOST + 1)
        except ldap.NO_SUCH_OBJECT as error:
            raise BackendUnavailable("group_base is not there, or bind_dn may not see it") from error
        if len(found) > MOST:
            raise BackendUnavailable(f"somebody is in more than {MOST} groups")
        return [self._group(entry) for entry in found]

    def _read(self, connection: Connection, dn: str) -> Group:
        try:
            found = connection.search(dn, ldap.SCOPE_BASE, "(objectClass=*)", [self.attribute])
        except ldap.NO_SUCH_OBJECT:
            found = []
        return self._group(found[0] if found else (dn, {}))

    def _group(self, entry: Entry) -> Group:
        dn, values = entry
        plain = leading(dn, self.attribute)
        if plain is not None:
            return Group(dn, (plain,))
        names = [value.decode() for key in values if key.lower() == self.attribute.lower() for value in values[key]]
        if not names:
            raise BackendUnavailable("a group has no group_attribute, or bind_dn may not read it")
        return Group(dn, tuple(names))


@lru_cache(maxsize=4096)
def _named(value: bytes, root: DN, attribute: str) -> Group | None:
    """Give a group by its name, which says the plain one as well, unless that is another attribute's.

    Returns:
        None where it is not below the root.
    """
    dn = value.decode()
    plain = leading(dn, attribute)
    return Group(dn, () if plain is None else (plain,)) if within(normal(dn), root) else None


def _member_of(entry: Mapping[str, Sequence[bytes]]) -> Sequence[bytes]:
    # Active Directory gives very many values in pieces, under names such as memberOf;range=0-1499.
    if ";" in "".join(entry) and any(name.startswith(_IN_PIECES) for name in entry):
        raise BackendUnavailable("somebody is in too many groups for memberOf: set groups to search")
    return entry.get(_MEMBER_OF, ())
