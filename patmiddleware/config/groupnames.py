"""Whether rules name groups as the directory's owners have them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import ConfigurationError, Problem
from ..policy.rules import Rule
from .values import BAD_VALUE

_DISTINGUISHED = re.compile(r"\s*[A-Za-z][\w.-]*\s*=.+,.+=.*", re.DOTALL)


def check_groups(rules: Iterable[Rule], directory: Iterable[str]) -> None:
    """Let no rule name a group of an LDAP directory by its distinguished name: a deny would refuse nobody.

    Args:
        rules: of the policy.
        directory: addresses of it.

    Raises:
        ConfigurationError: with every group that is named so.
    """
    if not any(address.lower().startswith(("ldap:", "ldaps:")) for address in directory):
        return
    problems = [
        Problem(
            BAD_VALUE,
            "policy",
            f"rule {rule.id!r} has the distinguished name {group!r}, and owners have groups by their plain names",
            "write the value of group_attribute, such as 'developers'",
        )
        for rule in rules
        for group in sorted(rule.groups | (rule.when.groups if rule.when else frozenset()))
        if _DISTINGUISHED.fullmatch(group)
    ]
    if problems:
        raise ConfigurationError(problems)
