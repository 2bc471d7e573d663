"""``patmiddleware jira connect`` and its like: each owner's own credential for Jira, in the vault.

A password or a token is never an argument: others can see a command line. It is asked for at the terminal, unseen, or
read from the standard input.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING

import click

from ..errors import RefusedError
from ..model import UpstreamCredential
from . import terminal
from .invocation import Invocation, common, pass_invocation
from .params import asked
from .token import operator
from .tokenview import day
from .upstream import Upstream

if TYPE_CHECKING:
    from ..vault import Sealed

KINDS = ("basic", "bearer", "cookie", "oauth1")

_named = click.option("--upstream", metavar="URL", help="Which upstream. Default: that of the settings.")


@click.command()
@click.argument("owner")
@click.option("--kind", required=True, type=click.Choice(KINDS), help="What the upstream takes from the owner.")
@click.option("--username", metavar="NAME", help="The owner's name there, for basic and cookie. Default: OWNER.")
@_named
@click.option("--no-check", is_flag=True, help="Don't ask the upstream whose the credential is.")
@common
@pass_invocation
def connect(
    invocation: Invocation, owner: str, kind: str, username: str | None, upstream: str | None, no_check: bool
) -> None:
    """Keep OWNER's own credential for the upstream, encrypted.

    A password (basic, cookie) or a token (bearer) is read from a prompt, or from the standard input. For oauth1 the
    owner opens an address, allows it, and gives the verification code.
    """
    vault, there = invocation.vault(), invocation.reach(invocation.config, upstream)
    credential = _asked(kind, username or owner, there)
    if not no_check and (name := there.whose(credential)) != owner:
        hint = f"nothing was kept; if {name} is {owner}'s name there, add --no-check"
        raise RefusedError(f"at {there.address} this credential is {name}'s, not {owner}'s: {hint}")
    vault.put(owner, there.address, credential)
    _tell(invocation, "vault.connected", owner, there.address, kind)
    document = {"owner": owner, "upstream": there.address, "kind": kind, "checked": not no_check}
    invocation.answer({"connected": document}, f"Connected {owner} to {there.address} by {kind}.")


@click.command()
@click.argument("owner")
@click.option("--upstream", metavar="URL", help="Which upstream. Default: every one.")
@common
@pass_invocation
def disconnect(invocation: Invocation, owner: str, upstream: str | None) -> None:
    """Forget OWNER's own credentials. They are not used any more within a minute."""
    vault = invocation.vault()
    address = None if upstream is None else invocation.reach(invocation.config, upstream).address
    found = [row for row in vault.list() if row.owner == owner and address in (None, row.upstream)]
    if not found:
        where = f" for {address}" if address else ""
        raise RefusedError(f"{owner} has no credential{where}: look it up with 'patmiddleware jira connections'")
    for row in found:
        vault.remove(owner, row.upstream)
        _tell(invocation, "vault.disconnected", owner, row.upstream, row.kind)
    upstreams = [row.upstream for row in found]
    said = f"Disconnected {owner} from {', '.join(upstreams)}. Gates that are running forget it within a minute."
    invocation.answer({"owner": owner, "disconnected": upstreams}, said)


@click.command()
@common
@pass_invocation
def connections(invocation: Invocation) -> None:
    """List who has a credential of their own, for which upstream, of which kind, since when."""
    found = invocation.vault().list()
    if invocation.json:
        terminal.write_json({"connections": [_document(row) for row in found]})
    elif found:
        rows = ((row.owner, row.kind, day(row.changed), row.upstream, row.key_id) for row in found)
        terminal.table(("OWNER", "KIND", "SINCE", "UPSTREAM", "KEY"), rows)
    else:
        terminal.note("Nobody is connected. Connect somebody: patmiddleware jira connect OWNER --kind …")


@click.command()
@common
@pass_invocation
def rekey(invocation: Invocation) -> None:
    """Seal every credential anew with the newest key of the settings, so that older keys can be dropped.

    Put a new key behind the old one first, everywhere; then in front of it, everywhere; then run this.
    """
    from ..vault import rotate  # here, since not everybody has what encrypts

    try:
        rotated = rotate(invocation.vault(), terminal.progress)
    except KeyboardInterrupt:
        terminal.note("What is sealed anew stays so: run the same again to go on.")
        raise
    done = f"{rotated.resealed} credential{'s' * (rotated.resealed != 1)} sealed anew"
    if rotated.failed:
        raise RefusedError(f"{done}, but not that of {_names(rotated.failed)}, which can't be opened: connect anew")
    invocation.answer({"resealed": rotated.resealed}, f"{done}: older keys can be dropped.")


def _asked(kind: str, username: str, there: Upstream) -> UpstreamCredential:
    match kind:
        case "oauth1":
            address, finish = there.begin()
            terminal.note(f"Open this address as {username}, and allow it:\n{address}")
            return finish(asked("Verification code", hidden=False))
        case "bearer":
            return UpstreamCredential(kind, {"token": asked("Token")})
    return UpstreamCredential(kind, {"username": username, "password": asked("Password")})


def _tell(invocation: Invocation, event: str, owner: str, upstream: str, kind: str) -> None:
    if (audit := invocation.audit()) is not None:
        audit.event(time.time(), event, owner=owner, upstream=upstream, kind=kind, by=operator())


def _document(row: Sealed) -> dict[str, str]:
    since = row.changed.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"owner": row.owner, "upstream": row.upstream, "kind": row.kind, "since": since, "key_id": row.key_id}


def _names(rows: Sequence[Sealed]) -> str:
    return ", ".join(f"{row.owner} for {row.upstream}" for row in rows)
