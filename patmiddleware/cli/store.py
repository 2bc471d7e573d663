"""``patmiddleware store``: make, migrate and check a store, and move tokens between stores.

An export is a file in the format of ``file:`` stores, which seals every line: what is damaged is found and named, and
the file can be opened as a store as it is. It holds digests, no secrets.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click

from .. import moving
from ..config import migrate_store
from ..errors import RefusedError
from ..interfaces import Checkable, TokenStore
from . import terminal
from .endpoints import refuse_same, settings_of, source_store, target_store
from .invocation import Invocation, common, pass_invocation, store_file
from .tokenview import state

STDIO = Path("-")


@click.group()
def store() -> None:
    """Make, migrate and check a store, and move tokens between stores."""


@store.command()
@common
@pass_invocation
def init(invocation: Invocation) -> None:
    """Make the store, if there is none yet."""
    file = store_file(invocation.config)
    made = file is not None and not file.exists()
    count = _count(invocation.store(create=True))
    # Of a server it is not known whether its tables were made just now.
    there = "is ready" if file is None else "was there already"
    words = "The store is ready" if made else f"The store {there}, with {_tokens(count)}"
    hint = "next: patmiddleware token create --owner NAME --name TEXT --scopes read"
    invocation.answer({"made": made, "file": file and str(file), "tokens": count}, f"{words}; {hint}")


@store.command()
@common
@pass_invocation
def migrate(invocation: Invocation) -> None:
    """Bring a store of an older version up to date. Have a backup first."""
    config, file = invocation.config, store_file(invocation.config)
    if file and not file.exists():
        raise RefusedError(f"there is no store at {file} yet: run 'patmiddleware store init'")
    changed = migrate_store(config)
    invocation.answer({"migrated": changed}, "Migrated." if changed else "The store is up to date: nothing to do.")


@store.command()
@common
@pass_invocation
def check(invocation: Invocation) -> None:
    """Read every token of the store, and count them."""
    now = datetime.now(UTC)
    opened = invocation.store()
    if isinstance(opened, Checkable):
        opened.check()
    with terminal.progress("Reading") as step:
        states: Counter[str] = Counter()
        for token, _ in opened.records():
            states[state(token, now)] += 1
            step()
    counted = {name: states[name] for name in ("live", "expired", "revoked")}
    words = ", ".join(f"{count} {name}" for name, count in counted.items())
    invocation.answer({"tokens": states.total()} | counted, f"The store is sound: {_tokens(states.total())} ({words}).")


@store.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@common
@pass_invocation
def export(invocation: Invocation, file: Path) -> None:
    """Write all tokens to FILE, or to the standard output where FILE is '-'. It has digests in it, but no secrets.

    FILE comes to be when all of it was written and read back.
    """
    if file == STDIO and invocation.json:
        raise click.UsageError("'-' and --json can't both go to the standard output: name a file")
    if file == STDIO and sys.__stdout__ is None:
        raise RefusedError("the standard output is closed: name a file")
    if file != STDIO and file.exists():
        raise RefusedError(f"{file} is there already: choose another name, or remove it")
    source = invocation.store()
    with _writing(file), closing(moving.NewExport(None if file == STDIO else file)) as target:
        moved = moving.copy(source, target, progress=terminal.progress)
        if not moved.verified:
            raise RefusedError("what was written can't be read back: the disk failed; export again elsewhere")
        if file == STDIO:
            target.write_to(sys.stdout.buffer)
            terminal.note(f"Exported {_tokens(moved.copied)}.")
            return
        target.keep()
    document = {"exported": moved.copied, "file": str(file), "digest": moved.target.digest}
    invocation.answer(document, f"Exported {_tokens(moved.copied)} to {file}.", f"Digest: {moved.target.digest}")


@store.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@common
@pass_invocation
def import_(invocation: Invocation, file: Path) -> None:
    """Add the tokens of FILE, an export, to the store; '-' is the standard input.

    Nothing is written before every line was judged. What is there already is passed over, so that an import that was
    interrupted is run again; but what is revoked or was rotated in FILE ends in the store too.
    """
    name, _ = "the standard input" if file == STDIO else str(file), invocation.config  # wrong settings are told first
    with _opened(file) as stream:
        source = moving.Export(stream, name)
        _carry(invocation, source, invocation.store(create=True), "Imported", "the file")


@store.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@common
@pass_invocation
def copy(invocation: Invocation, source: str, target: str) -> None:
    """Copy the tokens of a store into another one, which is made where there is none.

    FROM and TO are each a settings file (*.toml), whose [store] is meant, with its peppers; or the address of a store;
    or env:NAME, a variable of the environment with an address in it; or '-', the store of --config.

    Nothing is written before every token was judged. What is there already is passed over, so that a copy that was
    interrupted is run again; but what is revoked or was rotated in FROM ends in TO too.
    """
    here, there = settings_of(source, "FROM", invocation), settings_of(target, "TO", invocation)
    refuse_same(here, there)
    _carry(invocation, source_store(here), target_store(there), "Copied", "the source")


def _carry(invocation: Invocation, source: moving.Records, target: TokenStore, done: str, origin: str) -> None:
    """Copy tokens into a store, and say what came of it.

    Args:
        done: what was done, in a word.
        origin: what to call the source.
    """
    try:
        moved = moving.copy(source, target, progress=terminal.progress)
    except KeyboardInterrupt:
        terminal.note("What came over stays: run the same again to go on.")
        raise
    if moved.differing:
        they = f"{_tokens(moved.differing)} differ from {origin} (revoked, say)"
        terminal.note(f"Note: {they}; the store keeps what it has.")
    if not moved.verified:
        raise RefusedError(_mismatch(moved, done.lower(), origin))
    words = f"{done} {_tokens(moved.copied)}."
    if moved.skipped:
        words += f" {_tokens(moved.skipped)} there already."
    if moved.revoked:
        words += f" {_tokens(moved.revoked)} of those revoked, as in {origin}."
    if moved.rotated:
        words += f" {_tokens(moved.rotated)} of those brought to what a rotation made of them in {origin}."
    counts = {name: getattr(moved, name) for name in ("skipped", "revoked", "rotated", "differing")}
    document = {done.lower(): moved.copied} | counts | {"tokens": moved.target.tokens, "digest": moved.target.digest}
    invocation.answer(document, words, f"Verified: {_tokens(moved.target.tokens)}, digest {moved.target.digest}")


def _mismatch(moved: moving.Moved, done: str, origin: str) -> str:
    here, there = moved.source, moved.target
    found = f"{_tokens(here.tokens)} with digest {here.digest}, and {there.tokens} with digest {there.digest} arrived"
    message = f"{origin} had {found}" if here != there else f"{origin} has changed {_tokens(moved.behind)} since"
    return f"{_tokens(moved.copied)} {done}, but {message}: somebody changes them at the same time; run the same again"


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Name the file where it can't be written; it is another one that is written at first."""
    try:
        yield
    except OSError as error:
        if file == STDIO:
            raise
        raise RefusedError(f"{file} can't be written: {error.strerror}; no export was made") from error


def _opened(file: Path) -> BinaryIO:
    """Give what is to be read several times as a file; of the standard input, or of another pipe, a copy."""
    stream = sys.stdin.buffer if file == STDIO else file.open("rb")
    if file != STDIO and stream.seekable():
        return stream
    spooled = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with nullcontext() if file == STDIO else stream:
        shutil.copyfileobj(stream, spooled)
    spooled.flush()
    return spooled


def _count(store: TokenStore) -> int:
    return sum(1 for _ in store.records())


def _tokens(count: int) -> str:
    return f"{count} token{'s' * (count != 1)}"
