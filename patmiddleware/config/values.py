"""Read one value of a settings file, or say what is wrong with it.

A *reader* takes the value as TOML gave it and its :class:`Place`, and gives what the program works with. It raises
:class:`~patmiddleware.errors.ConfigurationError` with every problem that it finds, so that a list with three bad items
is reported as three.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from errno import EINVAL
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from ..errors import ConfigurationError, Problem, hint_for
from ..model import Network, in_utc

S = TypeVar("S")
T = TypeVar("T")

UNREADABLE = "PAT-E101"
SYNTAX = "PAT-E102"
UNKNOWN = "PAT-E103"
WRONG_TYPE = "PAT-E104"
BAD_VALUE = "PAT-E105"
CONTRADICTION = "PAT-E106"
REQUIRED = "PAT-E107"
SECRET = "PAT-E108"  # noqa: S105 - the id of a problem
SECRET_EXPOSED = "PAT-E109"  # noqa: S105 - the id of a problem
NOT_YET = "PAT-E110"
STORE = "PAT-E111"
DIRECTORY = "PAT-E112"
POLICY = "PAT-E113"
APPLICATION = "PAT-E114"
AUDIT = "PAT-E115"
VAULT = "PAT-E116"
UPSTREAM = "PAT-E117"
LINKS_ELSEWHERE = "PAT-E118"
SECRET_READABLE = "PAT-W101"  # noqa: S105 - the id of a warning
NO_POLICY = "PAT-W102"
NO_DIRECTORY = "PAT-W103"
BEYOND_LOOPBACK = "PAT-W104"
PASSWORD_SHOWN = "PAT-W105"  # noqa: S105 - the id of a warning
UPSTREAM_IN_CLEAR = "PAT-W106"
PUBLIC_IN_CLEAR = "PAT-W107"
PRESET_ELSEWHERE = "PAT-W108"

PROBLEMS: Mapping[str, str] = {
    UNREADABLE: "the settings file can't be read",
    SYNTAX: "the settings file is not TOML",
    UNKNOWN: "there is no such table or setting",
    WRONG_TYPE: "the value is of the wrong kind",
    BAD_VALUE: "the value is out of range, or not one of those that there are",
    CONTRADICTION: "two settings can't stand together",
    REQUIRED: "a setting that is needed is missing",
    SECRET: "a secret can't be read from where it is said to be",
    SECRET_EXPOSED: "a secret can be changed by others",
    NOT_YET: "this version can't do that",
    STORE: "the store can't be opened",
    DIRECTORY: "the directory can't be opened",
    POLICY: "the policy can't be read",
    APPLICATION: "the wrapped application can't be imported",
    AUDIT: "the audit can't be written where it should go",
    VAULT: "the vault can't be opened",
    UPSTREAM: "the upstream can't be asked, or does not take the credential",
    LINKS_ELSEWHERE: "links of the upstream lead clients past the gate",
    SECRET_READABLE: "a secret can be read by others",
    NO_POLICY: "any valid token is enough for everything",
    NO_DIRECTORY: "nobody asks whether the owner of a token is still active",
    BEYOND_LOOPBACK: "tokens travel unprotected unless TLS ends in front",
    PASSWORD_SHOWN: "a password stands in the settings file",
    UPSTREAM_IN_CLEAR: "what goes to the upstream can be read on the way",
    PUBLIC_IN_CLEAR: "what comes from clients can be read on the way",
    PRESET_ELSEWHERE: "a preset of rules is mounted where no upstream is",
}
"""Every id that this room hands out, with what it is about. An id never changes its meaning; W is a warning."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, and what it takes to read it.

    Args:
        setting: dotted path; empty for the whole file.
        folder: what relative paths are relative to: the settings file's folder.
        environ: where ``{env = "NAME"}`` is looked up.
        warnings: where a reader notes what is lawful, but unwise.
    """

    setting: str
    folder: Path
    environ: Mapping[str, str]
    warnings: list[Problem]

    def at(self, name: str) -> Place:
        """Give the place of a setting in this table."""
        return replace(self, setting=f"{self.setting}.{name}" if self.setting else name)

    def item(self, index: int) -> Place:
        """Give the place of an item of this list, counted from 0."""
        return replace(self, setting=f"{self.setting}[{index}]")

    def problem(self, id: str, message: str, hint: str = "") -> ConfigurationError:
        """Give the exception to raise for one problem at this place."""
        return ConfigurationError(Problem(id, self.setting, message, hint))

    def warn(self, id: str, message: str, hint: str = "") -> None:
        """Note a warning at this place."""
        self.warnings.append(Problem(id, self.setting, message, hint))


Reader: TypeAlias = Callable[[object, Place], T]

_KINDS: Mapping[type, str] = {
    bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list", dict: "a table",
    datetime: "a time", date: "a day", time: "a time of day",
}  # fmt: skip


_INTEGER_BITS = 64  # TOML, "Integer": more need not be taken


def shown(value: object) -> str:
    """Give a value as a message may show it: short, on one line, with the kind of what has no short form."""
    if isinstance(value, int) and value.bit_length() > _INTEGER_BITS:  # Python may refuse to write it out
        return "a number of many digits"
    if isinstance(value, str | int | float | date | time):
        text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
        return text if len(text) <= 60 else f"{text[:57]}…"
    return _KINDS.get(type(value), type(value).__name__)


def nearest(name: str, names: Iterable[str]) -> str:
    """Give a hint with the valid name that is nearest to a mistaken one, or with all of them."""
    names = sorted(names)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"


def _wrong_kind(value: object, place: Place, wanted: str) -> ConfigurationError:
    return place.problem(WRONG_TYPE, f"must be {wanted}, not {shown(value)}")


def text(value: object, place: Place) -> str:
    """Read a text of at least one character, without control characters."""
    if not isinstance(value, str):
        raise _wrong_kind(value, place, "text")
    if not value.strip():
        raise place.problem(BAD_VALUE, "must not be empty", "leave the setting out, or say something")
    if not value.isprintable():
        raise place.problem(BAD_VALUE, f"has a character that can't be printed: {shown(value)}")
    return value


def boolean(value: object, place: Place) -> bool:
    """Read ``true`` or ``false``."""
    if not isinstance(value, bool):
        raise _wrong_kind(value, place, "true or false")
    return value


def whole(low: int, high: int) -> Reader[int]:
    """Make a reader of whole numbers from ``low`` to ``high``, both included."""

    def read(value: object, place: Place) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_kind(value, place, "a whole number")
        if not low <= value <= high:
            raise place.problem(BAD_VALUE, f"must be from {low} to {high}, not {shown(value)}")
        return value

    return read


def choice(*words: str) -> Reader[str]:
    """Make a reader of one of a few words."""

    def read(value: object, place: Place) -> str:
        if not isinstance(value, str):
            raise _wrong_kind(value, place, f"one of {', '.join(words)}")
        if value not in words:
            raise place.problem(BAD_VALUE, f"can't be {shown(value)}", nearest(value, words))
        return value

    return read


def gathered(read: Callable[[S], T], parts: Iterable[S]) -> list[T]:
    """Read each part and give what they gave.

    Raises:
        ConfigurationError: with the problems of all the parts that raised one.
    """
    problems: list[Problem] = []
    values: list[T] = []
    for part in parts:
        try:
            values.append(read(part))
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return values


def list_of(read: Reader[T], *, least: int = 0) -> Reader[tuple[T, ...]]:
    """Make a reader of lists of at least ``least`` items."""

    def read_list(value: object, place: Place) -> tuple[T, ...]:
        if not isinstance(value, list):
            if read is secret and not isinstance(value, dict):
                secret(value, place)  # to refuse it unseen
            hint = f"write [{shown(value)}]" if isinstance(value, str) else ""
            raise place.problem(WRONG_TYPE, f"must be a list, not {shown(value)}", hint)
        if len(value) < least:
            raise place.problem(BAD_VALUE, f"needs at least {least} item{'s' * (least > 1)}")
        return tuple(gathered(lambda index: read(value[index], place.item(index)), range(len(value))))

    return read_list


def names(value: object, place: Place) -> frozenset[str]:
    """Read a list of names."""
    return frozenset(list_of(text)(value, place))


_DURATION = re.compile(r"([0-9]{1,10})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
LONGEST = 100 * 366 * 86_400.0
"""The longest duration that is taken, in seconds: a hundred years."""


def parse_duration(words: str) -> float | None:
    """Give the seconds in ``90s``, ``30m``, ``12h``, ``365d`` or ``2w``; None for anything else, or too long."""
    found = _DURATION.fullmatch(words)
    length = float(found[1]) * _UNITS[found[2]] if found else None
    return length if length is None or length <= LONGEST else None


def seconds(value: object, place: Place) -> float:
    """Read a duration: a number of seconds, or ``"30m"``; from 0 to 100 years."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _wrong_kind(value, place, 'a duration such as "12h"')
    length = parse_duration(value) if isinstance(value, str) else value
    if length is None:
        raise place.problem(BAD_VALUE, f"{shown(value)} is no duration", 'write "90s", "30m", "12h", "365d" or "2w"')
    if not 0 <= length <= LONGEST:  # nor is "not a number"
        raise place.problem(BAD_VALUE, f"must be from 0 to 100 years, not {shown(value)}")
    return float(length)


def lifetime(value: object, place: Place) -> timedelta | None:
    """Read how long a token lives: a duration above 0, or ``"never"`` for a token that does not expire."""
    if value == "never":
        return None
    length = seconds(value, place)
    if not length:
        raise place.problem(BAD_VALUE, "must be longer than 0", 'write "never" for no end')
    return timedelta(seconds=length)


def moment(value: object, place: Place) -> datetime:
    """Read a point in time: a TOML time with its zone, or a day (its beginning in UTC)."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise place.problem(BAD_VALUE, f"{value.isoformat()} has no time zone", "put a Z behind it for UTC")
        return in_utc(value)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise place.problem(WRONG_TYPE, f"must be a day or a time, not {shown(value)}", "write 2027-01-31, without quotes")


def trusted_proxy(value: object, place: Place) -> Network | Literal["unix"]:
    """Read a network in CIDR form, or ``"unix"``."""
    words = text(value, place)
    if words == "unix":
        return "unix"
    try:
        network = ip_network(words)
    except ValueError:
        raise place.problem(BAD_VALUE, f"{shown(words)} is no network", 'write "10.0.0.0/8" or "unix"') from None
    if not network.prefixlen:  # whoever asks could then say where from
        raise place.problem(BAD_VALUE, f"{shown(words)} believes everybody", "name the network of the proxies")
    return network


def path(value: object, place: Place) -> Path:
    """Read the path of a file; a relative one is taken from the settings file's folder."""
    return place.folder / text(value, place)


def secret(value: object, place: Place) -> str:
    """Read a secret from where ``{env = "NAME"}`` or ``{file = "PATH"}`` says. A secret in clear is refused, unseen."""
    source = value if isinstance(value, dict) else {}
    match list(source.items()):
        case [("env", str(name))]:
            return _from_environ(name, place)
        case [("file", str(name))]:
            return _from_file(place.folder / name, place)
    hint = 'write {env = "NAME"} or {file = "PATH"}'
    raise place.problem(WRONG_TYPE, "a secret must come from the environment or from a file", hint)


_HALF = re.compile("[\ud800-\udfff]")  # what Python makes of a byte of the environment that is no UTF-8


def _from_environ(name: str, place: Place) -> str:
    if (found := place.environ.get(name)) and not _HALF.search(found):
        return found
    state = "not UTF-8 text" if found else "empty" if name in place.environ else "not set"
    raise place.problem(SECRET, f"the environment variable {name} is {state}", f"set it: export {name}=…")


def _from_file(file: Path, place: Place) -> str:
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe would be waited for without end, and gives its content once
            raise OSError(EINVAL, "it is no plain file")
        found = file.read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        why = (
            "it is not UTF-8 text"
            if isinstance(error, UnicodeError)
            else getattr(error, "strerror", "no file has this name")
        )
        raise place.problem(SECRET, f"{file} can't be read: {why}", hint_for(error)) from None
    if not found:
        raise place.problem(SECRET, f"{file} is empty")
    if mode & stat.S_IWOTH:
        raise place.problem(SECRET_EXPOSED, f"{file} can be changed by everyone here", f"chmod o-rwx {file}")
    if mode & stat.S_IROTH:  # a warning: containers mount their secrets like this
        place.warn(SECRET_READABLE, f"{file} can be read by everyone here", f"chmod o-r {file}")
    return found


_WITH_PASSWORD = re.compile(r"[^/]*://[^/?#@]*:[^/?#@]+@")


def address(value: object, place: Place) -> str:
    """Read an address, or where it is kept: it may hold a password."""
    if isinstance(value, dict):
        return secret(value, place)
    found = text(value, place)
    if _WITH_PASSWORD.match(found):
        hint = 'write the whole address as {env = "NAME"} or {file = "PATH"}'
        place.warn(PASSWORD_SHOWN, "has a password in it, for all who may read this file", hint)
    return found


def not_yet(what: str) -> Reader[None]:
    """Make a reader of a setting that this version knows of, but can't follow."""

    def read(value: object, place: Place) -> None:
        raise place.problem(NOT_YET, f"{what} not available in this version", "remove the setting")

    return read
