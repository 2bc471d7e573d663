"""Which scopes the tokens of Jira's get, which have none there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import RefusedError
from ..fields import check_scopes

EXAMPLES = "write READ, owner:alice=READ,WRITE, group:ci=READ, or name:backup=READ"
_KINDS = ("owner", "group", "name")

GroupsOf: TypeAlias = Callable[[str], frozenset[str]]
"""Gives the groups of an owner."""


@dataclass(frozen=True, slots=True)
class ScopeRule:
    """Which tokens get which scopes.

    Args:
        scopes: what they get.
        kind: ``owner``, ``group`` or ``name``; empty: every token.
        value: the name of the owner, of a group of theirs, or of the token.
    """

    scopes: frozenset[str]
    kind: str = ""
    value: str = ""

    def fits(self, owner: str, name: str, groups_of: GroupsOf) -> bool:
        """Say whether it is about a token."""
        match self.kind:
            case "owner":
                return owner == self.value
            case "name":
                return name == self.value
            case "group":
                return self.value in groups_of(owner)
        return True


def read_rule(words: str) -> ScopeRule:
    """Read a rule: scopes with commas between, and perhaps whose before them.

    Raises:
        RefusedError: when it is none.
    """
    whose, equals, names = words.rpartition("=")
    kind, colon, value = whose.partition(":")
    scopes = check_scopes(filter(None, map(str.strip, names.split(","))))
    if not scopes or (equals and (kind not in _KINDS or not colon or not value)):
        raise RefusedError(f"{words!r} does not say which tokens get which scopes: {EXAMPLES}")
    return ScopeRule(scopes, kind, value)


def scopes_for(rules: Iterable[ScopeRule], owner: str, name: str, groups_of: GroupsOf) -> frozenset[str] | None:
    """Give the scopes of the first rule that fits; those about every token come last. None: none fits."""
    ordered = sorted(rules, key=lambda rule: not rule.kind)
    return next((rule.scopes for rule in ordered if rule.fits(owner, name, groups_of)), None)
