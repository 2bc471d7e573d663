"""``patmiddleware token``: make, list, show, rotate and revoke tokens."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click

from ..config.values import nearest
from ..errors import BackendError, ConfigurationError, RefusedError, UnknownTokenError
from ..interfaces import TokenStore
from ..issuance import is_live
from ..issuer import Issuer, tell
from ..model import Minted, Secret, Token
from ..policy import Policy
from ..tokens import pattern
from . import terminal
from .invocation import Invocation, common, pass_invocation, program
from .params import duration, lifetime, moment, names, secret_on_stdin
from .params import limit as limit_pair
from .tokenview import STYLES, day, document, row, words

PAGE = 1_000


@click.group()
def token() -> None:
    """Make, list, show, rotate and revoke tokens."""


@token.command()
@click.option("--owner", required=True, help="Whom the token acts for.")
@click.option("--name", required=True, help="What the owner calls it.")
@click.option("--scopes", required=True, type=names, help="What it may do, such as read,write.")
@click.option("--expires", type=lifetime, metavar="90d|never", help="How long it lives.")
@click.option("--network", "networks", multiple=True, metavar="CIDR", help="Where it may come from; may be repeated.")
@click.option(
    "--limit", "limits", multiple=True, type=limit_pair, metavar="NAME=A,B", help="Its limits; may be repeated."
)
@common
@pass_invocation
def create(
    invocation: Invocation,
    owner: str,
    name: str,
    scopes: frozenset[str],
    expires: timedelta | None,
    networks: tuple[str, ...],
    limits: tuple[tuple[str, frozenset[str]], ...],
) -> None:
    """Make a token and print its secret, this once.

    The secret alone goes to the standard output: TOKEN=$(patmiddleware token create …)
    """
    issuer = invocation.issuer(create=True)
    minted = issuer.mint(
        owner=owner, name=name, scopes=scopes, lifetime=expires, networks=networks, limits=merged(limits)
    )
    _note_unknown_owner(invocation, owner)
    _note_unknown_upstream(invocation)
    _note_unknown_limits(invocation, minted.token)
    _show_secret(invocation, minted, "Made")


@token.command("list")
@click.option("--owner", help="Only tokens of this owner.")
@click.option("--revoked/--live", default=None, help="Only revoked ones, or only those that are good now.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@common
@pass_invocation
def list_(invocation: Invocation, owner: str | None, revoked: bool | None, limit: int | None) -> None:
    """List tokens. A secret is never shown again."""
    now = datetime.now(UTC)
    found = list(_found(invocation.store(), now, owner, revoked, limit))
    if invocation.json:
        terminal.write_json({"tokens": [document(token, now) for token in found]})
    elif found:
        found.sort(key=lambda token: (token.owner, token.created))
        columns = ("ID", "OWNER", "NAME", "SCOPES", "EXPIRES", "LAST USED", "STATE")
        terminal.table(columns, (row(token, now) for token in found), STYLES)
    else:
        words = "token create --owner … --name … --scopes …"
        terminal.note(f"There are no such tokens. Make one: {program()} {words}")


@token.command()
@click.argument("id")
@common
@pass_invocation
def show(invocation: Invocation, id: str) -> None:
    """Show all that is kept about a token; its secret is not."""
    now, token = datetime.now(UTC), known(invocation.store(), id)
    if invocation.json:
        terminal.write_json({"token": document(token, now)})
        return
    told = {name: words(value) for name, value in document(token, now).items() if value not in (None, "", [], {})}
    facts = {name: terminal.one_line(value) for name, value in told.items()}
    width = max(map(len, facts))
    terminal.say("\n".join(f"{name.replace('_', ' '):<{width}}  {value}" for name, value in facts.items()))


@token.command()
@click.argument("id", required=False)
@click.option("--secret", type=secret_on_stdin, metavar="-", help="Show the secret, on the standard input.")
@click.option("--overlap", type=duration, default="1h", show_default=True, help="How long the old secret stays good.")
@click.option("--expires", type=lifetime, metavar="90d|never", help="How long the new one lives.")
@common
@pass_invocation
def rotate(
    invocation: Invocation, id: str | None, secret: str | None, overlap: timedelta, expires: timedelta | None
) -> None:
    """Give a token a successor with a new secret, and print that, this once."""
    if (id is None) == (secret is None):
        raise click.UsageError("name a token by its ID, or show its secret with --secret -")
    issuer = invocation.issuer()
    if id is not None:
        known(issuer.store, id)
    which = id if id is not None else Secret(secret or "")
    minted = issuer.rotate(which, overlap, by=operator() if id is not None else None, lifetime=expires)
    _show_secret(invocation, minted, f"Rotated {minted.token.replaces}:")


@token.command()
@click.argument("ids", nargs=-1, metavar="ID…")
@click.option("--owner", help="All tokens of this owner.")
@click.option("--before", type=moment, metavar="TIME", help="All tokens made before this time.")
@click.option("--secret", type=secret_on_stdin, metavar="-", help="The token with this secret, on the standard input.")
@click.option("--why", default="", help="The reason, for the record.")
@click.option("--yes", is_flag=True, help="Don't ask before revoking many.")
@common
@pass_invocation
def revoke(
    invocation: Invocation,
    ids: tuple[str, ...],
    owner: str | None,
    before: datetime | None,
    secret: str | None,
    why: str,
    yes: bool,
) -> None:
    """Revoke tokens, and what was made with them. It holds within a second, everywhere."""
    if sum((bool(ids), owner is not None, before is not None, secret is not None)) != 1:
        raise click.UsageError("say which: IDs, or one of --owner, --before and --secret")
    if secret is not None and (denied := _denied(invocation, Secret(secret), why)) is not None:
        invocation.answer(
            {"revoked": [denied.id]}, f"Revoked the token {denied.id} of {denied.owner}, issued elsewhere."
        )
        return
    issuer = invocation.issuer()
    if owner is not None or before is not None:
        _confirm(issuer.store, owner, before, yes)
    revoked = _revoked(issuer, ids, owner, before, secret, why)
    told = f"Revoked {len(revoked)} token{'s' * (len(revoked) != 1)}" + (f": {', '.join(revoked)}" if revoked else "")
    more = " What was made with a token, such as a session, ends with it." if len(revoked) > len(ids) > 0 else ""
    invocation.answer({"revoked": list(revoked)}, f"{told}.{more}" if revoked else f"{told} (nothing there was live).")


@token.command("pattern")
@common
@pass_invocation
def pattern_(invocation: Invocation) -> None:
    """Print the regular expression that secret scanners find our tokens with."""
    prefix = invocation.prefix
    invocation.answer({"prefix": prefix, "pattern": pattern(prefix)}, pattern(prefix))


def known(store: TokenStore, id: str) -> Token:
    """Give the token with this id.

    Raises:
        UnknownTokenError: when there is none.
    """
    if (found := store.get(id)) is not None:
        return found
    # The id is not shown: somebody may have given a secret in its place.
    raise UnknownTokenError(f"no token has this id: look it up with '{program()} token list'")


def operator() -> str:
    """Give the name of the user who runs the command, for the record."""
    try:
        # In the encoding of another time a name has half characters, which no record takes: that stops no revocation.
        return getpass.getuser().encode("utf-8", "replace").decode()
    except (OSError, KeyError):  # a user without a name, as in a container
        return "operator"


def _found(
    store: TokenStore, now: datetime, owner: str | None, revoked: bool | None, limit: int | None
) -> Iterator[Token]:
    left, after = limit, None
    while page := store.list(owner=owner, revoked=revoked, after=after, limit=PAGE):
        for token in page:
            if revoked is not False or is_live(token, now):
                yield token
                left = None if left is None else left - 1
                if left == 0:
                    return
        after = page[-1].id


def merged(limits: tuple[tuple[str, frozenset[str]], ...]) -> Mapping[str, frozenset[str]]:
    """Give limits that were given one by one as one table."""
    merged: dict[str, frozenset[str]] = {}
    for name, values in limits:
        merged[name] = merged.get(name, frozenset()) | values
    return merged


def _note_unknown_owner(invocation: Invocation, owner: str) -> None:
    if invocation.directory is None:
        return
    try:
        found = invocation.directory.find(owner)
    except BackendError:
        # The token is made; whether the owner exists is asked again at each use.
        terminal.note(f"Note: the directory can't be asked now, so nobody knows whether there is a {owner}.")
        return
    if found is None or not found.active:
        state = "is not known to the directory" if found is None else "is not active in the directory"
        terminal.note(f"Note: {owner} {state}, so the token is refused until that changes.")


def _note_unknown_upstream(invocation: Invocation) -> None:
    config = invocation.config
    upstreams = config.app.upstreams if config.read_well("app") else ()  # as whom is not known, where that is misread
    if upstreams and all(one.auth["kind"] == "pass" for one in upstreams):
        hint = "adopt one of its own, with 'patmiddleware token adopt'"
        terminal.note(f'Note: with auth = {{kind = "pass"}} the upstream gets this token, and knows it not: {hint}.')


def _note_unknown_limits(invocation: Invocation, token: Token) -> None:
    if not isinstance(invocation.policy, Policy):
        return
    captures = invocation.policy.captures
    for name in sorted(token.limits.keys() - captures):
        hint = nearest(name, captures) if captures else "none of them captures anything"
        terminal.note(f"Note: no rule captures {name!r}, so that limit has the token refused nearly always; {hint}.")


def _show_secret(invocation: Invocation, minted: Minted, verb: str) -> None:
    token = minted.token
    try:
        if invocation.json:
            terminal.write_json({"secret": minted.secret, "token": document(token, datetime.now(UTC))})
        else:
            _say_secret(minted, verb)
        sys.stdout.flush()
    except OSError as error:  # the token is there, and what it replaces ends: whoever asked must hear of both
        way = f"'{program()} token rotate {token.id}' gives it another"
        raise RefusedError(f"the secret of token {token.id} can't be written: {error.strerror}; {way}") from error


def _say_secret(minted: Minted, verb: str) -> None:
    token = minted.token
    scopes, expires = ", ".join(sorted(token.scopes)) or "none", day(token.expires)
    terminal.note(f"{verb} token {token.id} for {token.owner}, named {token.name!r}.")
    terminal.note(f"Scopes: {scopes}. It expires {f'at {expires} UTC' if expires else 'never'}.")
    terminal.note("Keep the secret now: it is not shown again.")
    terminal.say(minted.secret)


def _confirm(store: TokenStore, owner: str | None, before: datetime | None, yes: bool) -> None:
    if yes or not sys.stdin.isatty():
        return
    now = datetime.now(UTC)
    count = sum(is_live(token, now) for token in store.list(owner=owner, created_before=before, revoked=False))
    if count:
        click.confirm(f"Revoke {count} live token{'s' * (count != 1)}?", abort=True, err=True)


def _denied(invocation: Invocation, secret: Secret, why: str) -> Token | None:
    """Refuse a token that somebody else issued; None where it is none of those."""
    for reader in invocation.denying():
        try:
            denied = reader.revoke(secret, by=operator(), why=why)
        except UnknownTokenError:
            continue
        except ConfigurationError as error:  # of JWTs alone some can be refused: their settings are in a table
            problems = (replace(one, setting=one.setting.replace("store.", "store.jwt.", 1)) for one in error.problems)
            raise ConfigurationError(problems) from error
        if (audit := invocation.audit()) is not None:
            tell(audit, time.time(), "token.revoked", denied, by=operator(), why=why)
        return denied
    return None


def _revoked(
    issuer: Issuer,
    ids: tuple[str, ...],
    owner: str | None,
    before: datetime | None,
    secret: str | None,
    why: str,
) -> tuple[str, ...]:
    by = operator()
    if owner is not None:
        return issuer.revoke_owner(owner, by=by, why=why)
    if before is not None:
        return issuer.revoke_before(before, by=by, why=why)
    if secret is not None:
        return issuer.revoke_secret(secret, by=by, why=why)
    for id in ids:  # all are looked up before one is revoked, so that a typing error changes nothing
        known(issuer.store, id)
    return tuple(one for id in ids for one in issuer.revoke(id, by=by, why=why))
