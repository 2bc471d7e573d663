"""``patmiddleware jira import-tokens``: Jira's own tokens go on working here, now with scopes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from ..audit import AuditLog
from ..config import lacks_tables
from ..errors import BackendError, ConfigurationError, RefusedError
from ..interfaces import Directory, Redigesting, TokenStore
from ..issuance import KnownScopes
from ..issuer import tell
from ..lineage import Lineage
from ..model import Owner, Token
from ..moving.jira import Fate, Judged, Terms, judge, write
from ..moving.jirarows import Row, Users, rows_in, users_in
from ..moving.jirascopes import EXAMPLES, ScopeRule, read_rule
from . import terminal
from .endpoints import has_password
from .invocation import Invocation, common, pass_invocation, store_file
from .jiraview import COLUMNS, STYLES, cells, document
from .token import operator

_TOTALS = {"imported": Fate.NEW, "there": Fate.THERE, "expired": Fate.EXPIRED, "refused": Fate.REFUSED}
_VARIABLE = "env:"
_HIDE = "put the address into a variable of the environment and write env:NAME"


def _rule(words: str) -> ScopeRule:
    try:
        return read_rule(words)
    except RefusedError as refusal:
        raise click.BadParameter(str(refusal)) from None


def _zone(words: str) -> tzinfo:
    try:
        return ZoneInfo(words)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter(f"{words!r} is no time zone: write UTC, or Europe/Berlin") from None


@click.command("import-tokens")
@click.argument("source")
@click.option(
    "--scopes",
    "rules",
    required=True,
    multiple=True,
    type=_rule,
    metavar="[WHOSE=]A,B",
    help=f"May be repeated; {EXAMPLES}.",
)
@click.option("--users", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="CSV: user_key,user_name.")
@click.option("--schema", metavar="NAME", help="Of the tables, in a database.")
@click.option("--zone", type=_zone, metavar="ZONE", default="UTC", show_default=True, help="Of times that name none.")
@click.option("--shorten", is_flag=True, help="Let what lives longer than the settings allow end then.")
@click.option("--dry-run", is_flag=True, help="Write nothing, but show what would be.")
@common
@pass_invocation
def import_tokens(
    invocation: Invocation,
    source: str,
    rules: tuple[ScopeRule, ...],
    users: Path | None,
    schema: str | None,
    zone: tzinfo,
    shorten: bool,
    dry_run: bool,
) -> None:
    """Take over the tokens that Jira made: they go on working here, each with the scopes that it gets now.

    SOURCE is a CSV file, an export of the table AO_81F455_PERSONAL_TOKEN; or the address of Jira's database, which is
    only read; or env:NAME, a variable of the environment with that address in it. Whose a token is comes from the
    database's app_user, or from --users.

    Of several --scopes the first that fits holds, and one about all tokens last. A row that is not clear is refused,
    and the others are imported. What is there already, or expired, is passed over: so this may be run again.
    """
    _check_scopes(invocation, rules)
    rows, known_users = _read(source, users, schema)
    store = _store(invocation, dry_run)
    people = _People(invocation.directory)
    now, limits = datetime.now(UTC), invocation.config.issuer
    terms = Terms(known_users, rules, people.groups, now, zone, limits, shorten, _living(store, now))
    judged = list(_judged(rows, terms, (lambda id: None) if store is None else store.get))
    if not dry_run and store is not None:
        _write(invocation, store, judged)
    _answer(invocation, judged, _warnings(people, judged), dry_run)


def _check_scopes(invocation: Invocation, rules: Sequence[ScopeRule]) -> None:
    known = KnownScopes(invocation.policy)
    for rule in rules:
        known.check(rule.scopes)
    if invocation.directory is None and any(rule.kind == "group" for rule in rules):
        raise RefusedError("--scopes group:… needs a directory that knows groups: set one in [directory]")


def _read(source: str, users: Path | None, schema: str | None) -> tuple[Sequence[Row], Users]:
    if source.startswith(_VARIABLE):
        name = source.removeprefix(_VARIABLE)
        if not (address := os.environ.get(name)):
            raise ConfigurationError(f"the variable {name} is not set", setting="SOURCE")
    elif "://" in source:
        address = source
        if has_password(address):
            raise click.BadParameter(f"others can see a password on a command line: {_HIDE}", param_hint="SOURCE")
    elif users is None:
        raise click.UsageError("a CSV file does not say whose tokens they are: name the users with --users FILE")
    else:
        return rows_in(Path(source)), users_in(users)
    from ..moving.jiradatabase import opened  # here, since it needs SQLAlchemy

    with opened(address, schema) as database:
        return database.rows(), users_in(users) if users else database.users()


def _store(invocation: Invocation, dry_run: bool) -> TokenStore | None:
    """Give the store; None where there is none yet, and none is to be made."""
    if dry_run:
        file = store_file(invocation.config)
        if lacks_tables(invocation.config) if file is None else not file.exists():
            return None
    store = invocation.store(create=True)
    if not isinstance(store, Redigesting):
        raise RefusedError("this store can't verify tokens of Jira's: import them into a file or an SQL store")
    if not getattr(store, "foreign", True):
        raise RefusedError("the store takes tokens of our own form only: set foreign = true in [store]")
    return store


def _living(store: TokenStore | None, now: datetime) -> Callable[[str], int]:
    """Give what counts the live tokens of an owner."""
    if store is None:
        return lambda owner: 0
    lineage = Lineage(store, lambda: now)
    return cache(lambda owner: len(lineage.heads(owner)))


def _judged(rows: Sequence[Row], terms: Terms, known: Callable[[str], Token | None]) -> Sequence[Judged]:
    found = []
    with terminal.progress("Judging", len(rows)) as step:
        for one in judge(rows, terms, known):
            found.append(one)
            step()
    return found


def _write(invocation: Invocation, store: TokenStore, judged: Sequence[Judged]) -> None:
    audit, now = invocation.audit(), datetime.now(UTC).timestamp()
    with terminal.progress("Importing", sum(one.fate is Fate.NEW for one in judged)) as step:
        for batch in write(store, judged):
            step(len(batch))
            if audit is not None:
                _tell(audit, now, batch)


def _tell(audit: AuditLog, now: float, batch: Iterable[Token]) -> None:
    for token in batch:
        tell(audit, now, "token.imported", token, by=operator())


class _People:
    """Asks the directory, once for each owner."""

    def __init__(self, directory: Directory | None) -> None:
        self.directory = directory
        self.find = cache(self._find)

    def _find(self, name: str) -> Owner | None:
        return None if self.directory is None else self.directory.find(name)

    def groups(self, name: str) -> frozenset[str]:
        """Give the groups of an owner; of one who is not there none."""
        owner = self.find(name)
        return frozenset() if owner is None else owner.groups


def _warnings(people: _People, judged: Sequence[Judged]) -> list[str]:
    """Say of owners that nobody will let in; whether they are there is asked again at each use."""
    if people.directory is None:
        return []
    counts = Counter(one.token.owner for one in judged if one.fate is Fate.NEW and one.token)
    try:
        return [
            f"{owner} {state}, so {_tokens(count)} of theirs can't be used until that changes"
            for owner, count in sorted(counts.items())
            if (state := _state(people.find(owner)))
        ]
    except BackendError as error:
        return [f"the directory can't be asked now, so nobody knows whether the owners are there: {error}"]


def _state(owner: Owner | None) -> str:
    if owner is None:
        return "is not known to the directory"
    return "" if owner.active else "is not active in the directory"


def _answer(invocation: Invocation, judged: Sequence[Judged], warnings: Sequence[str], dry_run: bool) -> None:
    """Say what became of the rows; where one was refused, end with the code for that."""
    counts = Counter(one.fate for one in judged)
    if invocation.json:
        totals = {name: counts[fate] for name, fate in _TOTALS.items()}
        terminal.write_json(
            {"dry_run": dry_run, **totals, "warnings": warnings, "rows": [document(one) for one in judged]}
        )
    else:
        _show(judged, dry_run)
        for warning in warnings:
            terminal.note(f"Warning: {warning}.")
        verb = "Would import" if dry_run else "Imported"
        rest = f"{counts[Fate.THERE]} there already, {counts[Fate.EXPIRED]} expired, {counts[Fate.REFUSED]} refused"
        terminal.say(f"{verb} {_tokens(counts[Fate.NEW])}; {rest}.")
    if counts[Fate.REFUSED]:
        click.get_current_context().exit(1)


def _show(judged: Sequence[Judged], dry_run: bool) -> None:
    """Show every row, or where it was done those that were refused."""
    shown = [one for one in judged if dry_run or one.fate is Fate.REFUSED]
    if shown:
        terminal.table(COLUMNS, map(cells, shown), STYLES)


def _tokens(count: int) -> str:
    return f"{count} token{'s' * (count != 1)}"
