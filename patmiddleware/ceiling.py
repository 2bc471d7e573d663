"""What an owner's groups allow their tokens: a ceiling, which never adds to what a token has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .errors import ConfigurationError


def check_ceilings(scopes: Mapping[str, Iterable[str]] | None) -> Mapping[str, frozenset[str]] | None:
    """Give the map from groups to scopes as it is kept; None where groups set no ceiling.

    Raises:
        ConfigurationError: when it is no mapping, or a group has one string in the place of a list.
    """
    if scopes is None:
        return None
    if not isinstance(scopes, Mapping):
        raise ConfigurationError("must map groups to lists of scopes", setting="directory.scopes")
    for group, given in scopes.items():
        if isinstance(given, str) or not isinstance(given, Iterable):
            hint = f'write "{group}" = ["read"]'
            raise ConfigurationError("takes a list of scopes", setting=f"directory.scopes.{group}", hint=hint)
    return {group: frozenset(given) for group, given in scopes.items()}


def ceiling(groups: Iterable[str], scopes: Mapping[str, frozenset[str]] | None) -> frozenset[str] | None:
    """Give all the scopes that some groups allow together; none where no group is mapped, None where nothing is."""
    return None if scopes is None else frozenset().union(*(scopes.get(group, ()) for group in groups))
