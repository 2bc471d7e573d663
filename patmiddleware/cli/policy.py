"""``patmiddleware policy``: judge a policy, and say why a request is decided as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote_to_bytes

import click

from ..errors import RefusedError
from ..interfaces import Directory
from ..model import Address, Allowed, Denied, Grant, Reason, Request, Token
from ..paths import is_method, judged_path
from ..policy import Policy
from . import terminal
from .invocation import Invocation, common, pass_invocation
from .params import address as ip_address
from .token import known

STYLES = {"OUTCOME": {"refuses": "red", "fails": "red", "holds": "green"}}


@click.group()
def policy() -> None:
    """Judge a policy, and say why a request is decided as it is."""


@policy.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@common
@pass_invocation
def check(invocation: Invocation, file: Path | None) -> None:
    """Judge the policy in FILE, or the one that is set: all problems at once."""
    found = Policy.from_file(file) if file else set_policy(invocation)
    warnings = [str(warning) for warning in getattr(found, "warnings", ())]
    document = {"rules": len(found.rules), "scopes": sorted(found.scopes), "warnings": warnings}
    words = f"The policy is sound: {len(found.rules)} rules; scopes {', '.join(sorted(found.scopes)) or 'none'}."
    invocation.answer(document, words, *(f"Warning: {warning}" for warning in warnings))


@policy.command()
@click.argument("method")
@click.argument("path")
@click.option("--token", "id", metavar="ID", help="Whose request it is; left out: one without a token.")
@click.option("--address", type=ip_address, metavar="IP", help="Where it comes from.")
@common
@pass_invocation
def explain(invocation: Invocation, method: str, path: str, id: str | None, address: Address | None) -> None:
    """Say how a request is decided, and which rules were looked at.

    \b
    patmiddleware policy explain POST /rest/api/2/issue --token ID
    """
    rules = set_policy(invocation)
    token = known(invocation.store(), id) if id is not None else None
    told = _explained(rules, token, invocation.directory, _request(rules, method, path, address))
    if invocation.json:
        terminal.write_json(told.document())
        return
    terminal.say(told.sentence())
    if told.steps:
        terminal.say("")
        terminal.table(("RULE", "EFFECT", "OUTCOME", "WHY"), told.steps, STYLES)


@dataclass(frozen=True, slots=True)
class Told:
    """How a request is decided.

    Args:
        decision: as the middleware would take it.
        steps: rule, effect, outcome and reason of each rule that was looked at; none where it didn't come to that.
        request: what was judged.
        token: whose request it is; None: nobody's.
    """

    decision: Allowed | Denied
    steps: Sequence[tuple[str, str, str, str]]
    request: Request
    token: Token | None

    def document(self) -> dict[str, object]:
        """Give it as JSON has it."""
        decision, request = self.decision, self.request
        told: dict[str, object] = {
            "method": request.method,
            "path": request.path,
            "address": request.address and str(request.address),
            "token": self.token and self.token.id,
            "decision": "allowed" if isinstance(decision, Allowed) else "denied",
            "rule": decision.rule,
        }
        if isinstance(decision, Denied):
            needed, held = sorted(decision.needed), sorted(decision.held)
            told |= {"reason": str(decision.reason), "needed": needed, "held": held, "detail": decision.detail}
        names = ("rule", "effect", "outcome", "why")
        return told | {"steps": [dict(zip(names, step, strict=True)) for step in self.steps]}

    def sentence(self) -> str:
        """Give the decision in words."""
        decision, request = self.decision, self.request
        who = f"token {self.token.id} of {self.token.owner}" if self.token else "no token"
        asked = f"{request.method} {request.path} with {who}"
        if isinstance(decision, Allowed):
            return f"Allowed: {asked}, by the rule {decision.rule}."
        rule = f", by the rule {decision.rule}" if decision.rule else ""
        needed = f"; it needs {', '.join(sorted(decision.needed))}" if decision.needed else ""
        detail = f" ({decision.detail})" if decision.detail else ""
        return f"Refused: {asked}: {decision.reason}{rule}{needed}{detail}."


def set_policy(invocation: Invocation) -> Policy:
    """Give the policy that the settings name.

    Raises:
        RefusedError: when there is none.
    """
    rules = invocation.policy
    if not isinstance(rules, Policy):
        raise RefusedError("no policy is set: write [policy] into the settings file, or name a policy file")
    return rules


def _request(rules: Policy, method: str, target: str, address: Address | None) -> Request:
    """Read a request as it goes over the wire.

    Raises:
        click.UsageError: when the middleware would not judge it at all.
    """
    raw, query, _ = target.partition("?")
    if query:
        terminal.note("Note: rules never see the query, so it was left out.")
    native = unquote_to_bytes(raw.encode("utf-8", "surrogateescape")).decode("latin-1")
    path = judged_path(native, parameters=rules.allow_path_parameters)
    if isinstance(path, Denied):
        raise click.UsageError(f"{raw!r} is ambiguous, so it is refused (400) before any rule is asked")
    if not is_method(method):
        raise click.UsageError(f"{method!r} is no method: methods are upper case")
    return Request(method, path, address)


def _explained(rules: Policy, token: Token | None, directory: Directory | None, request: Request) -> Told:
    """Go the way of the resolver and the middleware, but from the record instead of the secret."""
    if token is None:
        grant = None
    else:
        found = _grant(rules, token, directory)
        if isinstance(found, Denied):
            return Told(found, (), request, token)
        grant = found
        if grant.networks and not any(request.address in network for network in grant.networks if request.address):
            where = ", ".join(map(str, grant.networks))
            return Told(Denied(Reason.NETWORK, detail=f"the token may come from {where} only"), (), request, token)
    explained = rules.explain(grant, request)
    steps = [(step.rule, step.effect, step.outcome, step.why) for step in explained.steps]
    return Told(explained.decision, steps, request, token)


def _grant(rules: Policy, token: Token, directory: Directory | None) -> Grant | Denied:
    if token.revoked is not None:
        return Denied(Reason.REVOKED, detail=f"at {token.revoked.at:%Y-%m-%d %H:%M} UTC")
    if token.expires is not None and token.expires <= datetime.now(UTC):
        return Denied(Reason.EXPIRED, detail=f"at {token.expires:%Y-%m-%d %H:%M} UTC")
    owner = None if directory is None else directory.find(token.owner)
    if directory is not None and (owner is None or not owner.active):
        return Denied(Reason.OWNER_INACTIVE, detail=f"{token.owner} is {'not active' if owner else 'not known'}")
    return Grant(
        token_id=token.id,
        owner=token.owner,
        token_name=token.name,
        groups=owner.groups if owner else frozenset(),
        scopes=rules.expand(token.scopes),
        limits=token.limits,
        networks=token.networks,
        expires=token.expires,
    )
