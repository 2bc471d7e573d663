"""What options take, beyond plain text: each function gives the value for the words of the command line."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import click

from ..config import parse_duration
from ..issuance import NEVER
from ..model import Address


def duration(words: str) -> timedelta:
    """Read ``90d``, ``12h``, ``30m`` or ``90s``."""
    length = parse_duration(words)
    if length is None:
        raise click.BadParameter(f"{words!r} is no duration up to 100 years: write 90s, 30m, 12h, 90d or 2w")
    return timedelta(seconds=length)


def lifetime(words: str) -> timedelta:
    """Read a duration, or ``never`` for a token that does not expire."""
    return NEVER if words == "never" else duration(words)


def moment(words: str) -> datetime:
    """Read a day or a time in ISO 8601; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(words)
    except ValueError:
        raise click.BadParameter(f"{words!r} is no time: write 2027-01-31 or 2027-01-31T12:00:00+01:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def names(words: str) -> frozenset[str]:
    """Read names with commas between."""
    return frozenset(filter(None, map(str.strip, words.split(","))))


def limit(words: str) -> tuple[str, frozenset[str]]:
    """Read ``NAME=VALUE,VALUE``: what a token is limited to."""
    name, _, values = words.partition("=")
    if not name or not names(values):
        raise click.BadParameter(f"{words!r} is no limit: write project=OPS,WEB")
    return name, names(values)


def address(words: str) -> Address:
    """Read an IP address."""
    try:
        return ip_address(words)
    except ValueError:
        raise click.BadParameter(f"{words!r} is no IP address") from None


def secret_on_stdin(words: str) -> str:
    """Read a secret from the standard input where ``-`` stands; what else stood there is not shown again."""
    if words != "-":
        raise click.BadParameter("write '-' and give the secret on the standard input: others can see a command line")
    return asked("Secret")


def asked(what: str, *, hidden: bool = True) -> str:
    """Ask for a line at the terminal, or read it from the standard input where that is none.

    Args:
        what: is asked for.
        hidden: whether it is not to be seen while it is typed.
    """
    if sys.stdin.isatty():
        words: str = click.prompt(what, hide_input=hidden, err=True)
        return words
    if not (words := sys.stdin.readline().rstrip("\r\n")):
        raise click.BadParameter(f"there is no {what.lower()} on the standard input")
    return words
