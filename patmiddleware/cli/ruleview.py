"""Rules as the commands show them: as JSON has them, or in words."""

from __future__ import annotations

from collections.abc import Iterable

from ..policy import Rule


def rule_document(rule: Rule) -> dict[str, object]:
    """Give a rule as JSON has it."""
    when = rule.when
    return {
        "id": rule.id,
        "effect": rule.effect,
        "methods": None if rule.methods is None else sorted(rule.methods),
        "paths": [str(pattern) for pattern in rule.patterns],
        "scopes": sorted(rule.scopes),
        "groups": sorted(rule.groups),
        "networks": [str(network) for network in rule.networks],
        "public": rule.public,
        "ignores_credentials": rule.ignore_credentials,
        "limits_exempt": rule.limits_exempt,
        "when": when
        and {
            "groups": sorted(when.groups),
            "owners": sorted(when.owners),
            "networks": [str(network) for network in when.networks],
            "scopes": sorted(when.scopes),
        },
    }


def demand(rule: Rule, waived: bool = False) -> str:
    """Say what a rule asks for; empty for one that denies.

    Args:
        rule: to be told.
        waived: whether scopes and groups don't count, since the path is public.
    """
    if rule.effect == "deny":
        return ""
    parts = [] if waived else [*all_scopes(rule.scopes), *any_of("group", rule.groups)]
    if rule.effect == "allow" and not parts:
        parts = ["no token"] if rule.public else ["any valid token"]
    return ", ".join((*parts, *any_of("network", map(str, rule.networks))))


def condition(rule: Rule) -> str:
    """Say which callers a rule is about; empty: any."""
    if (when := rule.when) is None:
        return ""
    kinds = {"group": when.groups, "owner": when.owners, "network": map(str, when.networks), "scope": when.scopes}
    return ", ".join(part for kind, names in kinds.items() for part in any_of(kind, names))


def all_scopes(scopes: frozenset[str]) -> list[str]:
    """Say that all of these are asked for, if there are any."""
    return [f"{'scope' if len(scopes) == 1 else 'scopes'} {' + '.join(sorted(scopes))}"] if scopes else []


def any_of(kind: str, names: Iterable[str]) -> list[str]:
    """Say that one of these is asked for, if there are any."""
    found = " or ".join(sorted(names))
    return [f"{kind} {found}"] if found else []
