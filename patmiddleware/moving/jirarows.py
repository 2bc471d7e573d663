"""Rows of the table in which Jira keeps its personal access tokens, as a CSV export has them, and who its users are."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import RefusedError

TABLE = "AO_81F455_PERSONAL_TOKEN"
NEEDED = ("NAME", "USER_KEY", "TOKEN_ID", "HASHED_TOKEN", "CREATED_AT", "EXPIRING_AT")
WELCOME = ("ID", "LAST_ACCESSED_AT")
USERS = ("user_key", "user_name")


@dataclass(frozen=True, slots=True)
class Row:
    """A row, as it was read: nothing in it is judged.

    Args:
        place: where it stands, for messages: ``line 7`` or ``row 10``.
        created: a text, or what a driver gives for a time; so for the others.
        fault: why it can't be taken, where that showed as it was read.
    """

    place: str
    name: str = ""
    user_key: str = ""
    token_id: str = ""
    hashed: str = field(default="", repr=False)
    created: object = None
    expires: object = None
    last_used: object = None
    fault: str = ""


Users = Mapping[str, frozenset[str]]
"""From user keys to the names that each stands for: one, where nothing is wrong."""


def row_of(place: str, values: Mapping[str, object]) -> Row:
    """Give a row for the values of its columns, by their names."""

    def text(name: str) -> str:
        value = values.get(name)
        return "" if value is None else str(value)

    return Row(
        place=place,
        name=text("NAME"),
        user_key=text("USER_KEY"),
        token_id=text("TOKEN_ID"),
        hashed=text("HASHED_TOKEN"),
        created=values["CREATED_AT"],
        expires=values["EXPIRING_AT"],
        last_used=values.get("LAST_ACCESSED_AT"),
    )


def users_of(pairs: Iterable[tuple[str, str]]) -> Users:
    """Gather pairs of a user key and a name."""
    found: dict[str, frozenset[str]] = {}
    for key, name in pairs:
        found[key] = found.get(key, frozenset()) | {name}
    return found


def rows_in(path: Path) -> list[Row]:
    """Read a CSV export of the table: UTF-8, with a header, its columns in any order.

    Raises:
        RefusedError: when it is no such file.
        OSError: when it can't be read.
    """
    return [
        row_of(f"line {number}", dict(zip(names, cells, strict=True)))
        if len(cells) == len(names)
        else Row(f"line {number}", fault=f"it has {len(cells)} cells under {len(names)} headings")
        for number, names, cells in _lines(path, NEEDED)
    ]


def users_in(path: Path) -> Users:
    """Read a CSV file with the columns ``user_key`` and ``user_name``.

    Raises:
        RefusedError: when it is no such file.
        OSError: when it can't be read.
    """
    pairs = []
    for number, names, cells in _lines(path, tuple(map(str.upper, USERS))):
        if len(cells) != len(names):
            raise RefusedError(f"{path}, line {number}: it has {len(cells)} cells under {len(names)} headings")
        values = dict(zip(names, cells, strict=True))
        pairs.append((values["USER_KEY"], values["USER_NAME"]))
    return users_of(pairs)


def missing(needed: Iterable[str], names: Sequence[str], where: object) -> RefusedError | None:
    """Give the refusal of a table that lacks a column, or None."""
    if lacking := [name for name in needed if name not in names]:
        return RefusedError(f"{where} has no column {', '.join(lacking)}: export the whole table, with its headings")
    return None


def _lines(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, Sequence[str], Sequence[str]]]:
    """Give the number of each line below the header, the headings in capitals, and the cells."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        try:
            names = [name.strip().upper() for name in next(reader, ())]
            if (refusal := missing(needed, names, path)) is not None:
                raise refusal
            if len(set(names)) < len(names):
                raise RefusedError(f"{path} has two columns of one name")
            for cells in reader:
                if cells:  # a blank line is none
                    yield reader.line_num, names, cells
        except UnicodeDecodeError:
            raise RefusedError(f"{path} is not UTF-8 text: export it as such") from None
        except csv.Error as error:
            raise RefusedError(f"{path}, line {reader.line_num}: it is no CSV ({error})") from None
