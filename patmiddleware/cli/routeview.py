"""What guards the routes of an application: what their views demand, and what the rules say of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from ..addresses import Addresses
from ..errors import RefusedError
from ..interfaces import AccessPolicy
from ..issuance import KnownScopes
from ..model import Allowed, Denied, Reason
from ..policy import Policy, Rule
from ..routes import Route, Routed, annotating
from ..rulebook import Rulebook
from .ruleview import all_scopes, any_of, condition, demand, rule_document

_ANY = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""What is asked about where a view takes any method."""
_STRANGER = "192.0.2.1"
"""Where a request comes from that no rule knows (RFC 5737 keeps this network for documentation)."""
HINT = "Let a view demand a token, or write a require with scopes; or a public rule, if that is meant."
"""What helps where nothing guards a route."""
OBSERVES = "the policy only observes: who lacks a scope or a rule is let in, and marked in the audit"


@dataclass(frozen=True, slots=True)
class Guard:
    """What guards a route for methods that are treated alike.

    Args:
        route: with what its view demands.
        methods: of it.
        rules: that are about them, in the order of judging.
        decision: of the rules for whoever brings no token.
        annotates: whether the gate leaves to the application what brings none.
        policy: that decides; None: there is none.
        mentioned: whether an allow is about the path, if only for other methods.
    """

    route: Route
    methods: tuple[str, ...]
    rules: tuple[Rule, ...]
    decision: Allowed | Denied
    annotates: bool
    policy: AccessPolicy | None
    mentioned: bool

    @property
    def is_public(self) -> bool:
        """Whether nobody needs a token, since a rule says so."""
        named = isinstance(self.decision, Allowed) and self.decision.rule is not None
        return not self._demands and (named or self._is_waived()) and self._shut() is None

    @property
    def is_open(self) -> bool:
        """Whether whoever brings no token gets in, though nothing says that this is meant."""
        return not self._demands and isinstance(self.decision, Allowed) and not self.is_public

    @property
    def name(self) -> str:
        """Which route, and which of its methods."""
        return f"{' '.join(self.methods)} {self.route.path} ({self.route.name})"

    def needs(self) -> str:
        """Say what a request needs in the end: what the view demands and what the rules do."""
        if (shut := self._shut()) is not None:
            return f"nothing, but without a token: {shut}" if self.is_open else f"nobody gets in: {shut}"
        told = "; ".join(self._clauses())
        return told if not self.is_open else f"nothing; with a token: {told}" if self.rules else "nothing"

    def warning(self) -> str | None:
        """Say what is likely not meant; None: nothing."""
        if self.is_open:
            ids = ", ".join(rule.id for rule in self._of("allow"))
            asked = f"allows ({ids}) are asked only of those who show a token" if ids else "no rule is about it"
            return f"{self.name}: nothing guards it: its view demands nothing, and {asked}"
        if self.route.scopes is not None and (shut := self._shut()) is not None:
            return f"{self.name}: its view demands a token, but nobody gets in with one: {shut}"
        return None

    def document(self) -> dict[str, object]:
        """Give it as JSON has it."""
        scopes = self.route.scopes
        return {
            "name": self.route.name,
            "path": self.route.path,
            "methods": list(self.methods),
            "view": None if scopes is None else sorted(scopes),
            "permission": self.route.permission,
            "rules": [rule_document(rule) for rule in self.rules],
            "needs": self.needs(),
            "guarded": not self.is_open,
            "public": self.is_public,
        }

    def cells(self) -> tuple[str, ...]:
        """Give it as a row of a table: path, methods, view, rules, needs."""
        scopes = self.route.scopes
        view = [] if scopes is None else all_scopes(scopes) or ["any valid token"]
        rules = ", ".join(rule.id if rule.effect == "allow" else f"{rule.effect} {rule.id}" for rule in self.rules)
        return self.route.path, " ".join(self.methods), ", ".join([*view, *self._permission()]), rules, self.needs()

    @property
    def _demands(self) -> bool:
        """Whether the application itself asks for something."""
        return self.route.scopes is not None or self.route.permission is not None

    def _permission(self) -> list[str]:
        return [] if self.route.permission is None else [f"permission {self.route.permission}"]

    def _of(self, effect: str) -> list[Rule]:
        return [rule for rule in self.rules if rule.effect == effect]

    def _is_waived(self) -> bool:
        """Whether a public rule waives what others ask of scopes and groups, wherever a request comes from."""
        return any(rule.public and not rule.networks and rule.when is None for rule in self._of("allow"))

    def _shut(self) -> str | None:
        """Say why no token at all is enough; None: one may be."""
        if isinstance(self.decision, Denied) and self.decision.reason in _NEVER:
            return "two programs could read this path or method differently"
        for rule in self._of("deny"):
            if rule.when is None:
                return f"{rule.id} denies it"
        lenient = (self.annotates and not self.mentioned) or (isinstance(self.policy, Policy) and self.policy.observe)
        return None if lenient or self._of("allow") or not _is_ours(self.policy) else "no rule allows it"

    def _clauses(self) -> Iterator[str]:
        """Give each thing that is asked for: scopes together, then what else each rule asks."""
        allows, requires = self._of("allow"), self._of("require")
        waived = self._is_waived()
        always = [rule for rule in requires if rule.when is None]
        plain = len(allows) == 1 and not allows[0].public and allows[0].when is None
        alone, others = ([*allows], []) if plain else ([], [] if waived else allows)
        scopes = [rule.scopes for rule in (*alone, *always) if not waived]
        yield from all_scopes(frozenset[str]().union(self.route.scopes or (), *scopes)) or self._least(bool(others))
        yield from self._permission()
        for rule in (*always, *alone):
            yield from [] if waived else any_of("group", rule.groups)
            yield from any_of("network", map(str, rule.networks))
        for rule in requires:
            if rule.when is not None and (told := demand(rule, waived)):
                yield f"{told} if {condition(rule)}"
        if others:
            yield ("either " * (len(others) > 1)) + ", or ".join(map(_alternative, others))
        for rule in self._of("deny"):
            yield f"not {condition(rule)}"
        if self.policy is not None and not _is_ours(self.policy):
            yield "what the policy of its own asks"

    def _least(self, told: bool) -> list[str]:
        """Say what is asked for where no scope is, and neither alternatives nor a permission tell it."""
        if self.is_public:
            return ["no token"]
        told |= isinstance(self.decision, Allowed) and self.route.permission is not None
        return [] if told and self.route.scopes is None else ["any valid token"]


def _alternative(rule: Rule) -> str:
    return f"{demand(rule)} as {told}" if (told := condition(rule)) else demand(rule)


_NEVER = (Reason.AMBIGUOUS_PATH, Reason.METHOD)


def _is_ours(policy: AccessPolicy | None) -> bool:
    """Whether the rules of a policy are all that it decides by."""
    return isinstance(policy, Policy) and type(policy).decide is Policy.decide


def guards(gate: Routed) -> Iterator[Guard]:
    """Ask a gate about every route of its application: what it would say to whoever brings no token."""
    annotates = annotating(gate)
    book = Rulebook(gate.policy, Addresses(), lenient=annotates)
    for route in gate.routes():
        several: dict[object, list[Guard]] = {}
        for path in (route.example, *route.others):
            found = _at(book, replace(route, example=path), annotates, gate.policy)
            several.setdefault(tuple((one.methods, *_told(one)) for one in found), found)
        for one in chain.from_iterable(several.values()):
            # Where the rules tell its paths apart, none of them stands for the route.
            shown = route.path if len(several) == 1 else f"{route.path} as {one.route.example}"
            yield replace(one, route=replace(one.route, path=shown))


def _at(book: Rulebook, route: Route, annotates: bool, policy: AccessPolicy | None) -> list[Guard]:
    """Ask about the methods of a route at the path of its example."""
    alike: dict[object, Guard] = {}
    # What answers OPTIONS beside other methods is the framework.
    for method in [each for each in route.methods if each != "OPTIONS"] or route.methods or _ANY:
        one = _guard(book, route, method, annotates, policy)
        before = alike.get(key := _treated(one))
        alike[key] = one if before is None else replace(one, methods=(*before.methods, method))
    return list(alike.values())


def _treated(guard: Guard) -> tuple[object, ...]:
    return guard.rules, *_told(guard)


def _told(guard: Guard) -> tuple[object, ...]:
    return guard.is_open, guard.is_public, guard.needs()


def _guard(book: Rulebook, route: Route, method: str, annotates: bool, policy: AccessPolicy | None) -> Guard:
    path = route.example.encode("utf-8", "surrogateescape").decode("latin-1")
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "REMOTE_ADDR": _STRANGER}
    place = book.place(environ)
    if isinstance(place, Denied):
        return Guard(route, (method,), (), place, annotates, policy, mentioned=False)
    found = [place.matched, *([place.matched.also] if place.matched.also else [])]
    hits = [hit for each in found for hit in (*each.denies, *each.requires, *each.public, *each.allows)]
    rules = tuple(dict.fromkeys(hit.rule for hit in hits))
    decision = book.decide(place, None, environ)
    return Guard(route, (method,), rules, decision, annotates, policy, place.matched.mentioned)


def warnings(gate: Routed, found: Iterable[Guard]) -> Iterator[str]:
    """Tell what is likely not meant: routes that nothing guards or nobody reaches, scopes that nobody knows."""
    known, told = KnownScopes(gate.policy), set[str]()
    if isinstance(gate.policy, Policy) and gate.policy.observe:
        yield OBSERVES
    for guard in found:
        if (words := guard.warning()) is not None:
            yield words
        if guard.route.name not in told:
            told.add(guard.route.name)
            try:
                known.check(guard.route.scopes or frozenset())
            except RefusedError as error:
                yield f"{guard.route.path} ({guard.route.name}): its view demands what no token can have: {error}"
