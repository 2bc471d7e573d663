"""Exports: files in the format of ``file:`` stores, which seals every line. They hold digests, no secrets.

What is damaged is found and named, and an export can be opened as a store as it is. One that was written here is read
line by line, however long it is; any other token file is taken as well, and held in memory.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from ..backends.file.disk import replace as write_whole
from ..backends.file.disk import sync_folder
from ..backends.file.journal import PLAIN_PUT, TAIL, Journal, LineError, lines, read_header, sealed
from ..backends.file.records import decode, encode
from ..errors import RefusedError
from ..fields import check_owner, check_scopes
from ..interfaces import Add, Change
from ..model import Digest, Token
from ..tokens import digest_to_store

DIGESTS: Mapping[str, Callable[[Digest], bool]] = {
    "sha256": lambda digest: len(digest.value) == 32 and not digest.key_id,
    "blake2b": lambda digest: len(digest.value) == 32,
    "pkcs5s2": lambda digest: digest.value.isascii(),
}
"""By kind: whether a digest is one, or could never be found."""


class Export:
    """The tokens of an export.

    Args:
        stream: the file, which is read from its start, several times.
        name: of the file, for messages.

    Raises:
        RefusedError: when a line of it is damaged, left out or cut off, or it is no export.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream, self._name = stream, name
        self._held: list[bytes] | None = None
        try:
            self._count = sum(1 for _ in _plain_rows(stream))
        except ValueError:
            # Not as we write one: then it is taken apart with more care, which also tells what is wrong with it.
            self._held = self._careful_rows()
            self._count = len(self._held)

    def count(self) -> int:
        """Tell how many tokens there are."""
        return self._count

    def records(self) -> Iterator[tuple[Token, Digest]]:
        """Give every record with its digest, ordered by id.

        Raises:
            RefusedError: when a record is not one that an issuer would have made, or the file was changed meanwhile.
        """
        try:
            for row in _plain_rows(self._stream) if self._held is None else self._held:
                yield self._decoded(row)
        except LineError as error:
            raise RefusedError(f"{self._name} was changed while it was read") from error

    def _careful_rows(self) -> list[bytes]:
        try:
            journal = Journal(self._stream)
        except LineError as error:
            raise RefusedError(f"{self._name}, {error}") from None
        if journal.offset < journal.seen.st_size:
            raise RefusedError(f"{self._name}, line {journal.number + 1}: it is cut off")
        return [row for _, row in sorted(journal.rows.items())]

    def _decoded(self, row: bytes) -> tuple[Token, Digest]:
        try:
            token, digest = decode(row)
            check_owner(token.owner)
            check_scopes(token.scopes)
            if not token.id or not DIGESTS[digest.kind](digest):
                raise ValueError("no id, or a digest that no secret has")
            return token, digest
        except (ValueError, TypeError, KeyError, AttributeError):
            raise RefusedError(f"{self._name}: the record of token {_id(row)} is not one") from None


class NewExport:
    """An export to be. It takes tokens as a store does, ordered by id, and is written once, when it is finished.

    Args:
        path: where :meth:`keep` puts the file; None: it has no name, and is for :meth:`write_to`.

    Attributes:
        peppers: None: each digest is kept as it is.
    """

    peppers = None

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._part = path and path.with_name(f"{path.name}.part")
        # How many there are must stand before them.
        self._rows = TemporaryFile(dir=path and path.parent)  # noqa: SIM115 - until `close`
        self._count = 0
        self._stream: BinaryIO | None = None

    def close(self) -> None:
        """Let go of the files. One that was not kept is gone."""
        self._rows.close()
        if self._stream is not None:
            self._stream.close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)

    def commit(self, changes: Iterable[Change]) -> None:
        """Take tokens. There is nothing yet that could be changed in another way."""
        adds = [change for change in changes if isinstance(change, Add)]
        # All or, where one can't be kept, none.
        rows = [encode(add.token, digest_to_store(add.secret_or_digest)) + b"\n" for add in adds]
        self._rows.writelines(rows)
        self._count += len(adds)

    def finish(self) -> None:
        """Write the file, which is then looked at, and kept if it is as it should be.

        Raises:
            OSError: when it can't be written; then there is none.
        """
        self._rows.seek(0)
        whole = lines((row.removesuffix(b"\n") for row in self._rows), self._count)
        if self._path is None or self._part is None:
            self._stream = TemporaryFile()  # noqa: SIM115 - until `close`
            self._stream.writelines(whole)
            self._stream.flush()
        else:
            # For our eyes only, whatever somebody put at the path meanwhile.
            write_whole(self._part, whole, beside=None)
            self._stream = self._part.open("rb")

    def keep(self) -> None:
        """Let the finished file have its name.

        Raises:
            OSError: when it can't have it.
        """
        if self._path is not None and self._part is not None:
            os.replace(self._part, self._path)
            sync_folder(self._path.parent)

    def write_to(self, out: BinaryIO) -> None:
        """Write the finished file to another one."""
        if self._stream is not None:
            self._stream.seek(0)
            shutil.copyfileobj(self._stream, out)

    def records(self) -> Iterator[tuple[Token, Digest]]:
        """Give what stands in the finished file; before that, nothing."""
        return iter(()) if self._stream is None else Export(self._stream, str(self._part or "the export")).records()


def _plain_rows(stream: BinaryIO) -> Iterator[bytes]:
    """Give the rows of a file with records only, ordered by id, as they are met.

    Raises:
        LineError: when it is another one.
    """
    stream.seek(0)
    text = stream.readline().removesuffix(b"\n")
    records, seal, last, number = read_header(text, 1).get("records"), sealed(b"", text), "", 1
    for number, line in enumerate(stream, 2):
        text = line.removesuffix(b"\n")
        seal = seal and sealed(seal, text)
        plain = PLAIN_PUT.fullmatch(text, 0, len(text) - TAIL)
        row, id = (plain[1], plain[2].decode()) if plain else (text[len(b'{"put":') : -TAIL], "")
        id = id or _id(row)
        if not seal or id <= last:
            raise LineError(number, "it is not the next record")
        last = id
        yield row
    if not seal or number - 1 != records:
        raise LineError(number, "the file ends too early, or too late")


def _id(row: bytes) -> str:
    try:
        return str(json.loads(row)["id"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
