"""The lines of a token file: what stands in them, and what they add up to.

::

    {"format":"patmiddleware tokens","version":1,"revision":7,"records":1,"salt":"…","seal":"…"}
    {"put":{"id":"…","digest":"sha256::…","owner":"alice",…},"seal":"…"}
    {"remove":"…","seal":"…"}
    {"changes":[{"put":{…}},{"remove":"…"}],"seal":"…"}

The header says how many of the lines below it are records that a compaction wrote, and the revision at that time. Each
line after those is one transaction, and raises the revision by one. So all processes that read the file count alike.

A seal is a checksum over the seal of the line before and the line itself. So a line that was cut, changed, moved, added
or left out is found, and a reader that goes on from where it stopped notices when the part before was written anew. A
last line with neither its line break nor a right seal is what a crash leaves of a write: nobody was told that it was
made, so it does not count.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import BinaryIO

from .index import Index
from .records import Json, dump

FORMAT = "patmiddleware tokens"
VERSION = 1

_SEAL_BYTES = 8
TAIL = len(b',"seal":""}') + 2 * _SEAL_BYTES
# Most lines are so. Their seal was checked, so there is no need to look at each with a JSON parser.
_RECORD = rb'\{"id":"([^"\\]+)","digest":"([^"\\]+)",.+\}'
PLAIN_PUT = re.compile(rb'\{"put":(' + _RECORD + rb")")
_PLAIN_RECORD = re.compile(_RECORD)
_PUTS, _NEXT_PUT = b'{"changes":[{"put":', b'},{"put":'
_LONGEST_HEADER = 1000


class LineError(ValueError):
    """A line of the file is not what it should be.

    Attributes:
        number: of the line; the header is line 1.
        reason: what is wrong with it; shows nothing of what stands there.
    """

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")
        self.number = number
        self.reason = reason


class Journal:
    """What a token file says, as far as it was read.

    Attributes:
        rows: id to record, as JSON.
        ids: digest, as text, to id.
        revision: how many transactions were ever made.
        changes: how many single changes the file holds, dead ones included.
        number: of the last line.
        offset: bytes read; what stands behind is unfinished, or new.
        ended: whether the last line has its line break.
        seal: of the last line; empty before the header.
        seen: the file as it was when it was read last.

    Args:
        stream: the file, which is read from its start.

    Raises:
        LineError: when a line is damaged, or it is no file of ours.
    """

    seen: os.stat_result

    __slots__ = (
        "_index",
        "_order",
        "_records",
        "changes",
        "ended",
        "ids",
        "number",
        "offset",
        "revision",
        "rows",
        "seal",
        "seen",
    )

    def __init__(self, stream: BinaryIO) -> None:
        self.rows: dict[str, bytes] = {}
        self.ids: dict[str, str] = {}
        self._index: Index | None = None
        self._order: list[str] | None = None
        self.revision = self.changes = self.number = self.offset = self._records = 0
        self.ended = True
        self.seal = b""
        self.read(stream)

    def naming(self, name: str, value: str) -> Collection[str]:
        """Give the ids whose records may have this owner, parent or family, and all that do.

        Who never asks pays nothing for it; the first time costs a look at every record.
        """
        if self._index is None:
            self._index = Index(self.rows)
        found = self._index.ids(name, value)
        return {*found, value} if name == "family" and value in self.rows else found

    def ids_after(self, id: str | None) -> Sequence[str]:
        """Give the ids greater than this one, or all, in order. They are sorted once, while none comes or goes."""
        if self._order is None:
            self._order = sorted(self.rows)
        return self._order[bisect_right(self._order, id) if id is not None else 0 :]

    def continues_in(self, stream: BinaryIO) -> bool:
        """Say whether this is still the same file, and longer, with the last line read where it stood."""
        found, tail = os.fstat(stream.fileno()), _tail(self.seal) + b"\n" * self.ended
        if not os.path.samestat(found, self.seen) or found.st_size <= self.offset:
            return False
        stream.seek(self.offset - len(tail))
        return stream.read(len(tail)) == tail

    def read(self, stream: BinaryIO) -> None:
        """Read on from where this stopped, to the end that the file has now; what comes later waits for the next time.

        Raises:
            LineError: when a line is damaged. What was read is of no use then.
        """
        self.seen = os.fstat(stream.fileno())
        stream.seek(self.offset)
        while line := stream.readline(max(0, self.seen.st_size - self.offset)):
            text, number = line.removesuffix(b"\n"), self.number + self.ended
            try:
                if text:
                    self._take(text, number)
            except LineError:
                # A whole line and another byte is no unfinished line, but one whose line break was changed.
                if text != line or not self.seal or sealed(self.seal, text[:-1]):
                    raise
                break
            self.ended = text != line
            self.number = number
            self.offset += len(line)
        if self._records or not self.seal:
            raise LineError(self.number + 1, "the file ends too early")

    def line(self, changes: Sequence[bytes]) -> bytes:
        """Give what to append for a transaction, with the line breaks that it needs.

        Args:
            changes: as :func:`put` and :func:`remove` give them; one at least.
        """
        body = changes[0][:-1] if len(changes) == 1 else b'{"changes":[' + b",".join(changes) + b"]"
        return (b"" if self.ended else b"\n") + _line(body, self.seal)[0]

    def _take(self, text: bytes, number: int) -> None:
        header = None if self.seal else read_header(text, number)
        seal = sealed(self.seal, text)
        if not seal:
            raise LineError(number, "it is damaged, or one before it was changed, added or left out (wrong seal)")
        if header:
            self.revision, self._records = header["revision"], header["records"]
        else:
            self._apply(text, number)
        self.seal = seal

    def _apply(self, text: bytes, number: int) -> None:
        try:
            self.changes += self._make(text)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise LineError(number, "it holds no lawful change") from None
        if self._records:
            self._records -= 1
        else:
            self.revision += 1

    def _make(self, text: bytes) -> int:
        """Make the changes of a line, and give how many there are."""
        if plain := PLAIN_PUT.fullmatch(text, 0, len(text) - TAIL):
            self._put(plain[2].decode(), plain[3].decode(), plain[1])
            return 1
        if plain_records := _plain_records(text):
            for record in plain_records:
                self._put(record[1].decode(), record[2].decode(), record[0])
            return len(plain_records)
        facts: Json = json.loads(text)
        changes: list[Json] = facts.get("changes", [facts])
        for change in changes:
            if "put" in change:
                record = change["put"]
                self._put(record["id"], record["digest"], dump(record))
            else:
                row = self.rows.pop(change["remove"])
                self._order = None
                del self.ids[json.loads(row)["digest"]]
                if self._index is not None:
                    self._index.discard(change["remove"], row)
        return len(changes)

    def _put(self, id: str, digest: str, row: bytes) -> None:
        if self.ids.setdefault(digest, id) != id:
            raise ValueError("one digest for two tokens")
        if id in self.rows and json.loads(self.rows[id])["digest"] != digest:
            raise ValueError("two tokens with one id")
        if self._index is not None:
            self._index.discard(id, self.rows.get(id, b""))
            self._index.add(id, row)
        if id not in self.rows:
            self._order = None
        self.rows[id] = row


def _plain_records(text: bytes) -> list[re.Match[bytes]]:
    """Give the records of a line that only writes some, as an import does; none where it must be read as JSON.

    What stands between two of them can't stand within one: in a text of JSON every quote has a backslash before it.
    """
    if not text.startswith(_PUTS) or text[-TAIL - 2 : -TAIL] != b"}]":
        return []
    found = [_PLAIN_RECORD.fullmatch(part) for part in text[len(_PUTS) : -TAIL - 2].split(_NEXT_PUT)]
    return [record for record in found if record] if all(found) else []


def fresh(rows: Collection[bytes] = (), revision: int = 0) -> Iterator[bytes]:
    """Give every line of a new file that holds these records and nothing dead.

    Args:
        rows: the records.
        revision: how many transactions were ever made.
    """
    return lines(rows, len(rows), revision)


def lines(rows: Iterable[bytes], count: int, revision: int = 0) -> Iterator[bytes]:
    """Give the lines as :func:`fresh` does, of records that may be too many to hold them all.

    Args:
        rows: the records.
        count: how many they are.
        revision: how many transactions were ever made.
    """
    header = {"format": FORMAT, "version": VERSION, "revision": revision, "records": count}
    # The salt makes the seals differ from those of any other file.
    line, seal = _line(dump(header | {"salt": secrets.token_hex(8)})[:-1], b"")
    yield line
    for row in rows:
        line, seal = _line(put(row)[:-1], seal)
        yield line


def put(row: bytes) -> bytes:
    """Give the change that writes a record."""
    return b'{"put":' + row + b"}"


def remove(id: str) -> bytes:
    """Give the change that forgets a record."""
    return dump({"remove": id})


def read_header(text: bytes, number: int) -> Json:
    """Give what the first line says.

    Raises:
        LineError: when it is no file of ours, or one of another version.
    """
    try:
        header: Json = json.loads(text[:_LONGEST_HEADER])
        ours = header["format"] == FORMAT
    except (ValueError, TypeError, KeyError, RecursionError):
        ours = False
    if not ours:
        raise LineError(number, "this is no token file of patmiddleware (the header is missing)")
    version = header.get("version")
    if version != VERSION:
        raise LineError(number, f"the file has format version {version!r}, and this program knows only {VERSION}")
    if not all(type(header.get(name)) is int and header[name] >= 0 for name in ("revision", "records")):
        raise LineError(number, "the header lacks its numbers")
    return header


def _seal(before: bytes, body: bytes) -> bytes:
    return blake2b(before + body, digest_size=_SEAL_BYTES).digest()


def sealed(before: bytes, text: bytes) -> bytes:
    """Give the seal of a line, or nothing where it bears a wrong one."""
    seal = _seal(before, text[:-TAIL])
    return seal if text[-TAIL:] == _tail(seal) else b""


def _tail(seal: bytes) -> bytes:
    return b',"seal":"' + seal.hex().encode() + b'"}'


def _line(body: bytes, before: bytes) -> tuple[bytes, bytes]:
    """Give a line and its seal."""
    seal = _seal(before, body)
    return body + _tail(seal) + b"\n", seal
