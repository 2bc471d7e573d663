"""Distinguished names, compared as a server compares them. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from .driver import LDAPError, escape_dn_chars, is_dn, str2dn

DN: TypeAlias = tuple[str, ...]
"""A name in its normal form: its parts in one spelling, the nearest to the root last."""


@lru_cache(maxsize=4096)
def normal(dn: str) -> DN:
    """Give the normal form: case and blanks do not count, nor does the order within a part.

    Raises:
        ValueError: when it is not a distinguished name.
    """
    return tuple("+".join(sorted(f"{kind.lower()}={_folded(value)}" for kind, value, _ in part)) for part in _parts(dn))


@lru_cache(maxsize=4096)
def leading(dn: str, attribute: str) -> str | None:
    """Give the value of an attribute in the first part of a name; None: it does not stand there, or is not text.

    Raises:
        ValueError: when it is not a distinguished name.
    """
    for kind, value, _ in next(iter(_parts(dn)), ()):
        if kind.lower() == attribute.lower() and value and not dn.partition("=")[2].lstrip().startswith("#"):
            return str(value)
    return None


def within(dn: DN, base: DN) -> bool:
    """Whether a name is that of the base, or of something below it."""
    return dn[len(dn) - len(base) :] == base if len(dn) >= len(base) else False


def text(dn: DN) -> str:
    """Give a normal form as one text: no other form, and no plain name that :func:`is_name` refuses, reads the same."""
    return ",".join(dn)


def is_name(value: str) -> bool:
    """Whether this is a distinguished name, and not a plain one."""
    return "=" in value and bool(is_dn(value))


def _parts(dn: str) -> list[list[tuple[str, str | None, int]]]:
    try:
        parts: list[list[tuple[str, str | None, int]]] = str2dn(dn)
    except (LDAPError, UnicodeError) as error:
        raise ValueError("not a distinguished name") from error
    return parts


def _folded(value: str | None) -> str:
    return str(escape_dn_chars(" ".join((value or "").casefold().split())))
