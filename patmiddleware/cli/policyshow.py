"""``patmiddleware policy show``: the rules, or the routes of an application with what guards each."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

from ..config import imported
from ..config.upstreams import application
from ..config.values import Place
from ..errors import RefusedError
from ..middleware import PATMiddleware
from ..routes import Routed, mounted, routed
from . import terminal
from .invocation import Invocation, common, pass_invocation
from .policy import set_policy
from .routeview import HINT, OBSERVES, guards, warnings
from .ruleview import condition, demand, rule_document

UNGUARDED = 1
"""The exit code of ``--strict`` where there are warnings."""
_RULES = ("RULE", "EFFECT", "METHODS", "PATHS", "NEEDS", "WHEN")
_ROUTES = ("PATH", "METHODS", "VIEW DEMANDS", "RULES", "NEEDS IN THE END")
_STYLES = {"EFFECT": {"deny": "red", "public": "yellow"}, "NEEDS IN THE END": {"nothing": "red", "no token": "yellow"}}


@click.command()
@click.option("--app", "words", metavar="MODULE:NAME", help="Show its routes; MODULE:NAME() for what makes one.")
@click.option("--strict", is_flag=True, help="Exit with 1 where there is a warning about a route.")
@common
@pass_invocation
def show(invocation: Invocation, words: str | None, strict: bool) -> None:
    """Show every rule of the policy; or every route of an application, with what guards it.

    \b
    patmiddleware policy show --app myapp:app

    The application is imported, as a server does it: with the store and the policy that it names itself. A route that
    nothing guards draws a warning; public ones are those that a rule calls public.
    """
    if words is None and strict:
        raise click.UsageError("--strict is about the routes of an application: name it with --app MODULE:NAME")
    if words is None:
        _show_rules(invocation)
    elif _show_routes(invocation, *_gate(words, invocation.path.parent)) and strict:
        click.get_current_context().exit(UNGUARDED)


def _show_rules(invocation: Invocation) -> None:
    policy = set_policy(invocation)
    if invocation.json:
        scopes = {name: sorted(included - {name}) for name, included in policy.scopes.items()}
        rules = [rule_document(rule) for rule in policy.rules]
        terminal.write_json({"observe": policy.observe, "scopes": scopes, "rules": rules})
        return
    rows = [
        (
            rule.id,
            "public" if rule.public else rule.effect,
            " ".join(sorted(rule.methods or ())) or "any",
            " ".join(map(str, rule.patterns)),
            demand(rule),
            condition(rule),
        )
        for rule in policy.rules
    ]
    terminal.table(_RULES, rows, _STYLES)
    if policy.observe:
        terminal.note(f"Warning: {OBSERVES}.")


def _gate(words: str, folder: Path) -> tuple[Routed, list[str]]:
    """Import an application, and find the gate that knows its routes; and where others stand beside it.

    Raises:
        ConfigurationError: when importing it fails.
        RefusedError: when there is no such gate.
    """
    application(words, Place("--app", folder, {}, []))  # only to judge the words
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    with redirect_stdout(sys.stderr):  # what it prints is no answer of ours
        app = imported(words, folder, "--app")
        gate = routed(app)
    if gate is not None:
        return gate, mounted(app)
    if isinstance(app, PATMiddleware):
        raise RefusedError(
            f"{words} is a gate around an application that doesn't tell its routes: embed it by the integration for "
            "Flask or Pyramid to see them here, or run 'policy show' without --app to see the rules alone"
        )
    if mounts := mounted(app):
        raise RefusedError(f"{words} has no gate itself: name what it mounts at {' or '.join(mounts)}, if that has one")
    factory = "" if words.endswith("()") else f"; where it makes the application, write {words}()"
    raise RefusedError(f"{words} has no gate that knows its routes: embed one by patmiddleware.integrations{factory}")


def _show_routes(invocation: Invocation, gate: Routed, mounts: list[str]) -> list[str]:
    """Show every route, and give the warnings."""
    found = list(guards(gate))
    told = [f"at {where} stands another application, whose routes are not shown here" for where in mounts]
    told += warnings(gate, found)
    if invocation.json:
        terminal.write_json({"routes": [guard.document() for guard in found], "warnings": told})
        return told
    terminal.table(_ROUTES, [guard.cells() for guard in found], _STYLES)
    for words in told:
        terminal.note(f"Warning: {words}.")
    if any(guard.is_open for guard in found):
        terminal.note(HINT)
    return told
