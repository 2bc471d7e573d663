"""``patmiddleware token adopt``: let a token of the upstream's own be good here, with scopes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click

from ..config import forwarders_of
from ..errors import RefusedError
from ..model import Token
from . import terminal
from .invocation import Invocation, common, pass_invocation
from .params import asked, lifetime, names
from .params import limit as limit_pair
from .token import merged, operator
from .tokenview import day, document


@click.command()
@click.option("--scopes", required=True, type=names, help="What it may do here, such as READ.")
@click.option("--name", default="adopted", show_default=True, help="What its owner calls it.")
@click.option("--owner", help="Whose it must be; left out: whoever the upstream says.")
@click.option("--mount", default="", metavar="PATH", help="Of which upstream, where there are several.")
@click.option("--expires", type=lifetime, metavar="90d|never", help="How long it is good here.")
@click.option("--network", "networks", multiple=True, metavar="CIDR", help="Where it may come from; may be repeated.")
@click.option(
    "--limit", "limits", multiple=True, type=limit_pair, metavar="NAME=A,B", help="Its limits; may be repeated."
)
@common
@pass_invocation
def adopt(
    invocation: Invocation,
    scopes: frozenset[str],
    name: str,
    owner: str | None,
    mount: str,
    expires: timedelta | None,
    networks: tuple[str, ...],
    limits: tuple[tuple[str, frozenset[str]], ...],
) -> None:
    """Adopt a token that the upstream issued: it is good here, with these scopes.

    Asks for the token, or reads it from the standard input; asks the upstream whose it is. Only its digest is kept.
    For auth = {kind = "pass"}, with which it goes on as it came.
    """
    ask = _asking(invocation, mount)
    secret = asked("Token").strip()
    whose = ask(secret)
    if owner is not None and whose != owner:
        raise RefusedError(f"the token is {whose}'s, not {owner}'s")
    adopted = invocation.issuer(create=True).adopt(
        secret, owner=whose, name=name, scopes=scopes, lifetime=expires, networks=networks,
        limits=merged(limits), by=operator(),
    )  # fmt: skip
    _tell(invocation, adopted)


def _asking(invocation: Invocation, mount: str) -> Callable[[str], str]:
    """Give what asks the upstream whose a token is."""
    from ..forwarder.adopting import whose  # here, since they need packages of an extra
    from ..forwarder.strategies.service import BearerAccount

    forwarders = {one.mount: one for one in forwarders_of(invocation.whole).forwarders}
    if not forwarders:
        raise RefusedError("there is no upstream to ask whose it is: write [app] upstream")
    chosen = next(iter(forwarders.values())) if len(forwarders) == 1 and not mount else forwarders.get(mount)
    if chosen is None:
        raise RefusedError(f"say of which upstream, with --mount: {', '.join(sorted(forwarders))}")
    return lambda secret: whose(chosen.transport, chosen.upstream, BearerAccount(secret))


def _tell(invocation: Invocation, adopted: Token) -> None:
    if invocation.json:
        terminal.write_json({"token": document(adopted, datetime.now(UTC))})
        return
    scopes, expires = ", ".join(sorted(adopted.scopes)) or "none", day(adopted.expires)
    terminal.say(
        f"Adopted a token of {adopted.owner} as {adopted.id}, named {adopted.name!r}.\n"
        f"Scopes: {scopes}. Here it expires {f'at {expires} UTC' if expires else 'never'}."
    )
