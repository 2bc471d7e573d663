"""``patmiddleware store``: make, migrate and check a store, and move tokens between stores.

An export is a file in the format of ``file:`` stores, which seals every line: what is damaged is found and named, and
the file can be opened as a store as it is. It holds digests, no secrets.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import click

from ..backends.file.disk import replace as write_whole
from ..backends.file.journal import Journal, LineError, fresh
from ..backends.file.records import decode, encode
from ..config import migrate_store
from ..errors import RefusedError
from ..fields import check_owner, check_scopes
from ..interfaces import Add, Checkable, TokenStore, Transactional
from ..model import Digest, Revocation, Token
from ..tokens import digest_to_store
from . import terminal
from .invocation import Invocation, common, pass_invocation, store_file
from .tokenview import state

BATCH = 500
STDIO = Path("-")
DIGESTS = {"sha256": 32, "blake2b": 32}  # bytes


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
    words = "The store is ready" if made else f"The store was there already, with {_tokens(count)}"
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
    """Write all tokens to FILE, or to the standard output where FILE is '-'. It has digests in it, but no secrets."""
    if file == STDIO and invocation.json:
        raise click.UsageError("'-' and --json can't both go to the standard output: name a file")
    if file != STDIO and file.exists():
        raise RefusedError(f"{file} is there already: choose another name, or remove it")
    with terminal.progress("Reading") as step:
        rows = []
        for token, digest in invocation.store().records():
            rows.append(encode(token, digest))
            step()
    if file == STDIO:
        sys.stdout.buffer.writelines(fresh(rows))
        terminal.note(f"Exported {_tokens(len(rows))}.")
        return
    write_whole(file, fresh(rows), beside=file)
    with file.open("rb") as stream:
        written = len(_read(stream, str(file)).rows)
    if written != len(rows):
        raise RefusedError(f"{file} holds {_tokens(written)} of {len(rows)}: the disk failed; export again elsewhere")
    invocation.answer({"exported": written, "file": str(file)}, f"Exported {_tokens(written)} to {file}.")


@store.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@common
@pass_invocation
def import_(invocation: Invocation, file: Path) -> None:
    """Add the tokens of FILE, an export, to the store; '-' is the standard input.

    Nothing is written before every line was judged. What is there already is passed over, so that an import that was
    interrupted is run again; but what is revoked in FILE is revoked in the store too.
    """
    name, _ = "the standard input" if file == STDIO else str(file), invocation.config  # wrong settings are told first
    with _spooled_stdin() if file == STDIO else file.open("rb") as stream:
        rows = [_decoded(row, id, name) for id, row in _read(stream, name).rows.items()]
    store = invocation.store(create=True)
    new, revoked, differing = _judged(store, rows)
    with terminal.progress("Importing", len(new)) as step:
        for batch in _batches(new):
            _add(store, batch)
            step(len(batch))
    missing = sum(store.get(token.id) is None for token, _ in new)
    if missing:
        raise RefusedError(f"{_tokens(missing)} didn't arrive: somebody removed them meanwhile; import again")
    for there, revocation in revoked:
        store.replace(replace(there, revoked=revocation), there)
    counts = {"imported": len(new), "skipped": len(rows) - len(new), "revoked": len(revoked), "differing": differing}
    skipped = f" {_tokens(counts['skipped'])} there already." if counts["skipped"] else ""
    dead = f" {_tokens(len(revoked))} of those revoked, as in the file." if revoked else ""
    invocation.answer(counts, f"Imported {_tokens(len(new))}.{skipped}{dead}")


def _read(stream: BinaryIO, name: str) -> Journal:
    try:
        journal = Journal(stream)
    except LineError as error:
        raise RefusedError(f"{name}, {error}; nothing was imported") from None
    if journal.offset < journal.seen.st_size:
        raise RefusedError(f"{name}, line {journal.number + 1}: it is cut off; nothing was imported")
    return journal


def _spooled_stdin() -> BinaryIO:
    """Give the standard input as a file, since it is read from its start."""
    spooled = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    shutil.copyfileobj(sys.stdin.buffer, spooled)
    spooled.flush()
    return spooled


def _decoded(row: bytes, id: str, name: str) -> tuple[Token, Digest]:
    try:
        token, digest = decode(row)
        check_owner(token.owner)
        check_scopes(token.scopes)
        if digest.kind in DIGESTS and len(digest.value) != DIGESTS[digest.kind]:
            raise ValueError("a digest of this kind has another length")
        return token, digest
    except (ValueError, TypeError, KeyError, AttributeError):
        raise RefusedError(f"{name}: the record of token {id} is not one; nothing was imported") from None


def _judged(
    store: TokenStore, rows: Sequence[tuple[Token, Digest]]
) -> tuple[list[tuple[Token, Digest]], list[tuple[Token, Revocation]], int]:
    """Give the tokens that are not in the store yet, those that only the file has as revoked, and how many else differ.

    Raises:
        RefusedError: when an id or a digest stands for another token there.
    """
    kept: dict[str, tuple[Token, Digest]] = {}
    with terminal.progress("Comparing") as step:
        for token, digest in store.records():
            kept[token.id] = token, digest
            step()
    ids: Mapping[bytes, str] = {digest.value: id for id, (_, digest) in kept.items()}
    new, revoked, differing = [], [], 0
    for token, digest in rows:
        forms = _forms(digest, getattr(store, "peppers", ()))
        there = kept.get(token.id)
        if any(ids.get(form.value, token.id) != token.id for form in forms):
            raise RefusedError(f"the secret of {token.id} stands for another token in the store; nothing was imported")
        if there is None:
            new.append((token, digest))
        elif there[1] not in forms:
            raise RefusedError(f"the store has another token with the id {token.id}; nothing was imported")
        elif token.revoked is not None and there[0].revoked is None:
            revoked.append((there[0], token.revoked))
        else:
            differing += replace(token, last_used=None) != replace(there[0], last_used=None)
    if differing:
        terminal.note(f"Note: {_tokens(differing)} differ from the file (revoked, say); the store keeps what it has.")
    return new, revoked, differing


def _forms(digest: Digest, peppers: Sequence[bytes]) -> tuple[Digest, ...]:
    """Give every form under which a store with these peppers may keep a digest."""
    return (digest, *(digest_to_store(digest, (pepper,)) for pepper in peppers))


def _batches(rows: Sequence[tuple[Token, Digest]]) -> Iterator[list[tuple[Token, Digest]]]:
    rest = iter(rows)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _add(store: TokenStore, batch: Sequence[tuple[Token, Digest]]) -> None:
    if isinstance(store, Transactional):
        store.commit([Add(token, digest) for token, digest in batch])
    else:
        for token, digest in batch:
            store.add(token, digest)


def _count(store: TokenStore) -> int:
    return sum(1 for _ in store.records())


def _tokens(count: int) -> str:
    return f"{count} token{'s' * (count != 1)}"
