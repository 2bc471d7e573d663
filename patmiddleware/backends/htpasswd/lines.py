"""The lines of both files, read as Apache reads them, but for what it passes over in silence: that is refused here.

::

    # a file of passwords
    alice:$2y$12$…
    bob:!$2y$12$…        (locked: known, but not active)

    # a file of groups
    developers: alice "John Doe"
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .hashes import Hash, HashError, read_hash

LOCKS = ("!", "*")
"""What ``usermod`` and others put before a hash, or in its place, to lock somebody out."""

_BLANKS = " \t"
_BOM = b"\xef\xbb\xbf"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
# One member: in double quotes, in single ones, or without.
_MEMBER = re.compile(r"""[ \t]*(?:"((?:[^"\\]|\\.)+)"|'((?:[^'\\]|\\.)+)'|([^ \t"']+[^ \t]*))(?=[ \t]|$)""")
_ESCAPED = re.compile(r"""\\([\\"'])""")


class LineError(ValueError):
    """A line is not what it should be. The message has its number, and shows nothing of what stands there."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a file of passwords.

    Args:
        number: of the line.
        name: of the owner.
        hash: None where no password can be right.
        active: False where they are locked out.
    """

    number: int
    name: str
    hash: Hash | None
    active: bool


def read_passwords(data: bytes) -> Iterator[Entry]:
    """Give every entry of a file of passwords.

    Raises:
        LineError: for the first line that is wrong, or a name that stands twice.
    """
    numbers: dict[str, int] = {}
    for number, line in _lines(data):
        name, colon, rest = line.partition(":")
        if not name or not colon:
            raise LineError(number, "it is not of the form NAME:HASH")
        if (first := numbers.setdefault(name, number)) != number:
            raise LineError(number, f"this name stands in line {first} as well")
        yield _entry(number, name, rest.partition(":")[0].strip(_BLANKS))


def _entry(number: int, name: str, text: str) -> Entry:
    active = not text.startswith(LOCKS)
    text = text.lstrip("".join(LOCKS))
    if not active and not text:
        return Entry(number, name, None, active)
    try:
        return Entry(number, name, read_hash(text), active)
    except HashError as error:
        raise LineError(number, str(error)) from None


def read_groups(data: bytes) -> Mapping[str, frozenset[str]]:
    """Give the groups of each member that a file of groups names. A group may stand in several lines.

    Raises:
        LineError: for the first line that is wrong.
    """
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for number, line in _lines(data):
        group, colon, members = line.partition(":")
        group = group.rstrip(_BLANKS)
        if not group or not colon:
            raise LineError(number, "it is not of the form GROUP: MEMBER MEMBER")
        for member in _members(number, members):
            groups[member].add(group)
    return {member: frozenset(names) for member, names in groups.items()}


def _members(number: int, text: str) -> Iterator[str]:
    position = 0
    while found := _MEMBER.match(text, position):
        position = found.end()
        double, single, plain = found.groups()
        yield plain or _ESCAPED.sub(r"\1", double or single)
    if text[position:].strip(_BLANKS):
        raise LineError(number, "a quotation mark is missing")


def _lines(data: bytes) -> Iterator[tuple[int, str]]:
    """Give each line that says something, with its number. Only a line feed ends one, or both with a return before."""
    for number, raw in enumerate(data.removeprefix(_BOM).split(b"\n"), 1):
        try:
            line = raw.removesuffix(b"\r").decode("utf-8").strip(_BLANKS)
        except UnicodeDecodeError:
            raise LineError(number, "it is not UTF-8") from None
        if not line or line.startswith("#"):
            continue
        if _CONTROL.search(line):
            raise LineError(number, "a control character stands in it")
        yield number, line
