"""The policy as the gate asks it: where a request goes, and whether a grant may go there."""

from __future__ import annotations

import logging
from collections.abc import Collection
from time import time

from .addresses import Addresses
from .annotate import Environ
from .backends.caching import told
from .errors import BackendUnavailable, ConfigurationError
from .interfaces import AccessPolicy
from .model import Allowed, Denied, Grant, Reason, Request
from .paths import AMBIGUOUS, is_method, judged_path, raw_target_agrees
from .policy import Matched, Policy
from .policy.rules import NO_SCOPES, bounds, judge, selects, unmet, within
from .reject import ROWS

_MEMO = 4_096
_MEMO_PATH = 512
_METHOD = Denied(Reason.METHOD)
_ALLOWED = Allowed()

logger = logging.getLogger("patmiddleware")


class Place:
    """Where a request goes: what does not depend on who asks.

    Attributes:
        method: an upper-case token.
        path: the one that is judged.
        matched: what the rules say about it, where they are ours.
        judges: whether they are.
        ignores: whether a rule may say that the credential is not ours to read.
    """

    __slots__ = ("asks_address", "ignores", "judges", "matched", "method", "path")

    def __init__(self, method: str, path: str, matched: Matched, judges: bool) -> None:
        self.method, self.path, self.matched, self.judges = method, path, matched, judges
        self.asks_address = matched.asks_address
        self.ignores = any(hit.rule.ignore_credentials for hit in matched.public)


_NOTHING = Matched()
_ANYWHERE = Place("", "", _NOTHING, judges=False)


class Rulebook:
    """Asks a policy, ours or anybody's, or none at all.

    Args:
        policy: None: any valid token is enough.
        addresses: finds the client's, where it matters.
        checks_raw: whether the raw target must agree with the path.
        needs_path: whether somebody else asks for the path, though there is no policy.
        lenient: let pass what only lacks a credential or a rule, for an application that decides itself.
        own: public rules of the gate itself: where one matches, the policy is not asked.
    """

    def __init__(
        self,
        policy: AccessPolicy | None,
        addresses: Addresses,
        *,
        checks_raw: bool = True,
        needs_path: bool = False,
        lenient: bool = False,
        own: Policy | None = None,
    ) -> None:
        if policy is not None and (isinstance(policy, type) or not callable(getattr(policy, "decide", None))):
            raise ConfigurationError(f"{policy!r} has no method decide(grant, request)", setting="policy")
        # A subclass may decide otherwise: then it is asked as anybody's policy is.
        self._ours = policy if isinstance(policy, Policy) and type(policy).decide is Policy.decide else None
        self._policy, self._addresses, self._own = policy, addresses, own
        self._checks_raw, self._lenient = checks_raw, lenient
        self._needs_path = needs_path or policy is not None or own is not None
        self._parameters = self._ours is not None and self._ours.allow_path_parameters
        self._places: dict[tuple[str, str], Place] = {}

    def place(self, environ: Environ) -> Place | Denied:
        """Find out where a request goes, or refuse one that two programs could read differently."""
        if not self._needs_path:
            return _ANYWHERE
        path_info = environ.get("PATH_INFO") or ""
        place = self._places.get((environ["REQUEST_METHOD"], path_info))
        if place is None:
            found = self._find(environ, path_info)
            if isinstance(found, Denied):
                return found
            place = found
        # The raw target, where the server tells it, is mostly the very path; what differs is looked at closely.
        same = environ.get("RAW_URI", path_info) == path_info == environ.get("REQUEST_URI", path_info)
        return place if same or not self._checks_raw or raw_target_agrees(environ, path_info) else AMBIGUOUS

    def _find(self, environ: Environ, path_info: str) -> Place | Denied:
        method = environ["REQUEST_METHOD"]
        if not is_method(method):
            return _METHOD
        path = judged_path(path_info, environ.get("SCRIPT_NAME") or "", self._parameters)
        if isinstance(path, Denied):
            return path
        place = self._place(method, path)
        if isinstance(place, Denied):
            return place
        if path_info and len(path_info) <= _MEMO_PATH:
            if len(self._places) >= _MEMO:
                self._places.clear()
            self._places[method, path_info] = place
        return place

    def _place(self, method: str, path: str) -> Place | Denied:
        own = _NOTHING if self._own is None else self._own.match(method, path)
        if own.also is not None and own.also.public:  # with path parameters it is ours for some readers, not for others
            return AMBIGUOUS
        if own.public:
            return Place(method, path, own, judges=True)
        if self._ours is None:
            return Place(method, path, _NOTHING, judges=False)
        return Place(method, path, self._ours.match(method, path), judges=True)

    def ignores(self, place: Place, environ: Environ) -> bool:
        """Whether the credential is neither read nor removed at a place that ``ignores``: a public rule holds."""
        address = self._addresses.client(environ)
        return any(
            hit.rule.ignore_credentials
            and selects(hit.rule, None, NO_SCOPES, address)
            and unmet(hit, None, NO_SCOPES, address, waived=True) is None
            for hit in place.matched.public
        )

    def decide(self, place: Place, grant: Grant | None, environ: Environ) -> Allowed | Denied:
        """Judge a grant, or a request without one, at a place."""
        address = None
        if grant is not None and grant.networks:
            address = self._addresses.client(environ)
            if not within(address, grant.networks):
                return Denied(Reason.NETWORK, held=grant.scopes)
        if place.judges:
            if place.asks_address:
                address = self._addresses.client(environ)
            # A grant's scopes are expanded already.
            return judge(place.matched, grant, NO_SCOPES if grant is None else grant.scopes, address, self._lenient)
        if self._policy is not None:
            return self._foreign(self._policy, grant, self._request(place, environ))
        if grant is None:
            return _ALLOWED if self._lenient else Denied(Reason.MISSING)
        return Denied(Reason.LIMIT, held=grant.scopes) if grant.limits else _ALLOWED

    def bounds(self, environ: Environ, grant: Grant) -> bool:
        """Whether something has kept a grant within its limits: a rule of ours, or a policy of the user's own."""
        place = self.place(environ)
        if isinstance(place, Denied):
            return False
        if place.judges:
            return bounds(place.matched, grant, self._addresses.client(environ))
        return self._policy is not None

    def _request(self, place: Place, environ: Environ) -> Request:
        return Request(place.method, place.path, self._addresses.client(environ), environ.get("HTTP_HOST", ""))

    def _foreign(self, policy: AccessPolicy, grant: Grant | None, request: Request) -> Allowed | Denied:
        try:
            decision: object = policy.decide(grant, request)
        except BackendUnavailable as outage:
            told(outage, time())
            return Denied(Reason.UNAVAILABLE)
        except Exception:  # whatever a policy of the user's raises, what can't be judged is refused
            logger.exception("the policy raised an error, so the request was refused")
            return Denied(Reason.MISSING if grant is None else Reason.DENIED)
        if isinstance(decision, Allowed) and (decision.observed is None or _is_sound(decision.observed)):
            return decision
        if not isinstance(decision, Denied) or not _is_sound(decision):
            logger.error(
                "the policy gave neither Allowed nor Denied with a Reason and sets of names, so the request was refused"
            )
            return Denied(Reason.MISSING if grant is None else Reason.DENIED)
        missing = grant is None and decision.reason is Reason.MISSING
        if self._lenient and (missing or decision.reason is Reason.NO_RULE):
            # A token with limits may do only what the policy ties to them.
            return Denied(Reason.LIMIT, held=grant.scopes) if grant is not None and grant.limits else _ALLOWED
        # Who shows no credential is asked for one, whatever it was that did not hold (RFC 9110, section 15.5.2).
        forbidden = grant is None and ROWS[decision.reason].status == 403
        return Denied(Reason.MISSING, decision.rule) if forbidden else decision


def _is_sound(denied: object) -> bool:
    """Whether a refusal that is not ours can be answered, and written to the audit."""
    if not isinstance(denied, Denied):
        return False
    reason: object = denied.reason
    rule: object = denied.rule
    return (
        isinstance(reason, Reason)
        and isinstance(rule, str | None)
        and _are_names(denied.needed)
        and _are_names(denied.held)
    )


def _are_names(names: object) -> bool:
    # One string is a collection too, of its letters: each would be told to the client as a scope.
    return isinstance(names, Collection) and not isinstance(names, str) and all(isinstance(name, str) for name in names)
