"""What an address begins with: the tables from schemes to what opens them are written by hand, and read here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import TypeVar

from patmiddleware.errors import ConfigurationError

_Loader = TypeVar("_Loader")

# RFC 3986, section 3.1; what does not look so is not shown: it may hold a password.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
# What is spoken of by another name than it is written by.
_OTHER_NAMES = {"mariadb": "mysql"}


def choose(address: str, loaders: Mapping[str, _Loader], what: str) -> _Loader:
    """Give what opens an address.

    Args:
        address: what is to be opened.
        loaders: by scheme, in lower case.
        what: a word for it, for messages.

    Raises:
        ConfigurationError: when it has no scheme, or one that is not there.
    """
    scheme, colon, _ = address.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        known = ", ".join(f"{name}:" for name in loaders)
        raise ConfigurationError(f"the address of a {what} begins with its kind", setting=what, hint=f"one of {known}")
    # SQLAlchemy's addresses may name a driver, as in mysql+pymysql:
    kind = scheme.lower().partition("+")[0]
    if kind not in loaders:
        [near] = get_close_matches(_OTHER_NAMES.get(kind, kind), loaders, n=1, cutoff=0.0)
        raise ConfigurationError(f"there is no kind of {what} named {scheme!r}", setting=what, hint=f"try {near}:")
    return loaders[kind]


def table(*rows: tuple[str, _Loader]) -> Mapping[str, _Loader]:
    """Give the rows as a mapping that refuses a second row of the same name, rather than let it win unseen."""
    loaders = dict(rows)
    if len(loaders) < len(rows):
        raise ValueError("a scheme stands twice")
    return MappingProxyType(loaders)


def rest(address: str) -> str:
    """Give what stands behind the scheme."""
    return address.partition(":")[2]


def path_in(address: str, setting: str, example: str) -> str:
    """Give the path of ``kind:PATH`` or ``kind:///PATH``.

    Raises:
        ConfigurationError: when there is none, or a host stands before it.
    """
    path = rest(address)
    if path.startswith("//"):
        path = path.removeprefix("//")
        if not path.startswith("/"):
            raise ConfigurationError("the address names a host where a path should be", setting=setting, hint=example)
    if not path:
        raise ConfigurationError("the address has no path", setting=setting, hint=example)
    return path
