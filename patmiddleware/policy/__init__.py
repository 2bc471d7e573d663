"""Who may do what: rules over methods and paths, judged for a grant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ..errors import Problem
from ..model import Allowed, Denied, Grant, Request
from .caution import warnings
from .explain import Caller, Explanation, explain
from .file import Content, expand, read, read_file
from .match import Matcher
from .rules import NO_SCOPES, Matched, Rule, judge

__all__ = ["Explanation", "Matched", "Policy", "Rule"]

_MEMO = 4_096
_MEMO_PATH = 512


class Policy:
    """Rules, compiled: pure, immutable, and shared by threads.

    Make one with :meth:`from_file`, :meth:`from_dict` or :meth:`preset`. The default is to refuse.

    Attributes:
        scopes: name to all that the scope includes, itself too.
        rules: in the order of the file; those of presets last.
        observe: whether a valid token that lacks a scope or a rule is let through, and only marked in the audit.
        allow_path_parameters: whether a path may have ``;`` in it.
    """

    def __init__(self, content: Content) -> None:
        self.rules = content.rules
        self.observe = content.observe
        self.allow_path_parameters = content.allow_path_parameters
        self.scopes: Mapping[str, frozenset[str]] = MappingProxyType(
            {scope: expand(frozenset({scope}), content.scopes) for scope in content.scopes}
        )
        self._spellings, self._closed = content.spellings, content.closed
        self._matcher = Matcher(content.rules, content.observe, content.closed)
        self._matched: dict[tuple[str, str], Matched] = {}
        self._expanded: dict[frozenset[str], frozenset[str]] = {}

    @classmethod
    def from_file(cls, path: str | Path) -> Policy:
        """Read a policy from a TOML file.

        Raises:
            ConfigurationError: with all that is wrong.
        """
        return cls(read(read_file(path)))

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Policy:
        """Make a policy from a dictionary of the same shape as the file.

        Raises:
            ConfigurationError: with all that is wrong.
        """
        return cls(read(data))

    @classmethod
    def preset(cls, name: str, mount: str = "") -> Policy:
        """Make a policy of one preset alone.

        Args:
            name: such as ``jira``.
            mount: the path that stands before all of its own, such as ``/jira``.

        Raises:
            ConfigurationError: when there is no such preset, or the mount is not a plain path.
        """
        return cls.from_dict({"preset": [{"name": name, "mount": mount}]})

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is lawful, but may not do what it seems to."""
        return tuple(warnings(self.rules, self._closed))

    def decide(self, grant: Grant | None, request: Request) -> Allowed | Denied:
        """Judge a request.

        Args:
            grant: None where no credential came.
            request: with a canonical path.
        """
        return judge(self.match(request.method, request.path), grant, self.held(grant), request.address)

    def explain(self, grant: Grant | None, request: Request) -> Explanation:
        """Give the decision with every rule that was looked at, and why each held or not."""
        held = self.held(grant)
        caller = Caller(grant, held, request.address, request.method)
        matched = self.match(request.method, request.path)
        decision = judge(matched, grant, held, request.address)
        found = explain(decision, self._mentioned(request.path), matched, caller)
        if matched.also is None:
            return found
        other = explain(decision, self._mentioned(_without_parameters(request.path)), matched.also, caller)
        return Explanation(decision, tuple(dict.fromkeys((*found.steps, *other.steps))))

    def spell(self, path: str) -> str:
        """Give the form of a path that rules are asked about."""
        for spelling in self._spellings:
            path = spelling.path(path)
        return path

    def expand(self, scopes: frozenset[str]) -> frozenset[str]:
        """Give the scopes with all that they include; one that the policy does not know stays, and opens nothing."""
        known = self._expanded.get(scopes)
        if known is None:
            known = scopes.union(*(self.scopes.get(scope, NO_SCOPES) for scope in scopes))
            if len(self._expanded) < _MEMO:
                self._expanded[scopes] = known
        return known

    def held(self, grant: Grant | None) -> frozenset[str]:
        """Give the scopes of a grant with all that they include."""
        return NO_SCOPES if grant is None else self.expand(grant.scopes)

    def match(self, method: str, path: str) -> Matched:
        """Give what the rules say about a method and a path, whoever asks; remembered in a bounded memo."""
        matched = self._matched.get((method, path))
        if matched is None:
            matched = self._match(method, path)
            if len(method) + len(path) <= _MEMO_PATH:
                if len(self._matched) >= _MEMO:
                    self._matched.clear()
                self._matched[method, path] = matched
        return matched

    def _match(self, method: str, path: str) -> Matched:
        matched = self._matcher.match(method, self.spell(path))
        if ";" not in path:
            return matched
        # Some servers cut path parameters off before they route, others don't: both readings must be allowed.
        plain = self.spell(_without_parameters(path))
        also = self._matcher.match(method, plain)
        return replace(matched, also=also, asks_address=matched.asks_address or also.asks_address)

    @property
    def mounts(self) -> tuple[str, ...]:
        """The paths that its presets are mounted at, in the order of the file; empty for the root."""
        return tuple("".join(f"/{segment}" for segment in spelling.mount) for spelling in self._spellings)

    @property
    def captures(self) -> frozenset[str]:
        """What its rules take from paths, and limits of tokens may name."""
        return frozenset(name for rule in self.rules for pattern in rule.patterns for name in pattern.names)

    def _mentioned(self, path: str) -> tuple[Rule, ...]:
        rules = {entry.rule.id: entry.rule for entry in self._matcher.entries(self.spell(path))}
        return tuple(rules.values())


def _without_parameters(path: str) -> str:
    return "/".join(segment.partition(";")[0] for segment in path.split("/"))
