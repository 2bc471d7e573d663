"""What may stand in a token's fields.

Each function gives what was given back, in the form that a record keeps, or refuses it with one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_interface
from unicodedata import category

from .errors import RefusedError
from .model import RESERVED, Network

TEXT_LENGTH = 255

# RFC 6749, section 3.3: scope-token.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def check_owner(owner: object) -> str:
    """Give the owner's name back, if it may be one.

    Raises:
        RefusedError: when it is empty, too long, or has blanks around it or a control character in it.
    """
    name = _text("the owner", owner)
    if name != name.strip():
        raise RefusedError("the owner has blanks around the name: leave them out")
    return name


def check_whose(name: object) -> str:
    """Give the name of an owner whose tokens are there already: any text, for stores take more than we would make.

    Raises:
        RefusedError: when it is no text. To a store no name means all owners.
    """
    if not isinstance(name, str):
        raise RefusedError(f"the owner must be text, not {type(name).__name__}: name whose tokens are meant")
    return name


def check_name(name: object) -> str:
    """Give the token's name back, if it may be one.

    Raises:
        RefusedError: when it is empty, too long, or has a control character in it.
    """
    return _text("the name of the token", name)


def check_scopes(scopes: object) -> frozenset[str]:
    """Give the scopes, if each may be one (RFC 6749, section 3.3).

    Raises:
        RefusedError: when one is empty, or has a blank, a quote, a backslash or a non-ASCII character in it.
    """
    return frozenset(map(_scope, _collection("scopes", scopes)))


def check_networks(networks: object) -> tuple[Network, ...]:
    """Give the networks, each once.

    Raises:
        RefusedError: when one is none, or has host bits set.
    """
    return tuple(dict.fromkeys(map(_network, _collection("networks", networks))))


def check_limits(limits: object) -> Mapping[str, frozenset[str]]:
    """Give the limits, if every one has a name and values.

    Raises:
        RefusedError: when a name or a value is empty or has a control character in it, or there is no value.
    """
    if not isinstance(limits, Mapping):
        raise RefusedError("limits must map names to values, such as project to OPS and WEB")
    return {_text("the name of a limit", name): _values(name, values) for name, values in limits.items()}


def check_attributes(attributes: object) -> Mapping[str, str]:
    """Give the attributes, if they are pairs of text that any store can keep.

    Raises:
        RefusedError: when one is not, or has a name that is kept for this package.
    """
    if not isinstance(attributes, Mapping):
        raise RefusedError("attributes must map names to text")
    return {_attribute(name): _storable(f"the attribute {name!r}", text) for name, text in attributes.items()}


def check_note(what: str, text: object) -> str | None:
    """Give a remark back, such as who revoked a token, if it is None or text that any store can keep.

    Args:
        what: names it in the refusal.
        text: of any length.

    Raises:
        RefusedError: when it is something else, or has a NUL or half a character in it.
    """
    return None if text is None else _storable(what, text)


def _scope(name: object) -> str:
    if not isinstance(name, str) or not _SCOPE.fullmatch(name) or len(name) > TEXT_LENGTH:
        raise RefusedError(
            f"{name!r:.80} can't be a scope: no blanks, quotes, backslashes or non-ASCII characters, "
            f"and {TEXT_LENGTH} characters at the most"
        )
    return name


def _text(what: str, text: object) -> str:
    if not isinstance(text, str):
        raise RefusedError(f"{what} must be text, not {type(text).__name__}")
    if not text.strip():
        raise RefusedError(f"{what} is empty: give one")
    if len(text) > TEXT_LENGTH:
        raise RefusedError(f"{what} has {len(text)} characters: {TEXT_LENGTH} are the most")
    if any(category(character) in ("Cc", "Cs") for character in text):
        raise RefusedError(f"{what} has a control character or half a character in it: leave that out")
    return text


def _attribute(name: object) -> str:
    name = _text("the name of an attribute", name)
    if name.startswith(RESERVED):
        raise RefusedError(f"the attribute {name!r} can't be set: choose a name that does not begin with {RESERVED!r}")
    return name


def _storable(what: str, text: object) -> str:
    if not isinstance(text, str) or any(character == "\0" or category(character) == "Cs" for character in text):
        raise RefusedError(f"{what} must be text, without NUL and half characters")
    return text


def _values(name: object, values: object) -> frozenset[str]:
    what = f"a value of the limit {name!r}"
    found = frozenset(_text(what, value) for value in _collection(f"limits[{name!r}]", values))
    if not found:
        raise RefusedError(f"the limit {name!r} has no values, and would allow nothing: give one, or leave it out")
    return found


def _network(value: object) -> Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        interface = ip_interface(value) if isinstance(value, str) and "%" not in value else None
    except ValueError:
        interface = None
    if interface is None:
        raise RefusedError(f"{value!r:.80} is not a network: write it as 10.0.0.0/8 or 2001:db8::/32")
    if interface.ip != interface.network.network_address:
        raise RefusedError(f"the network {value!r} has host bits set: did you mean {interface.network}?")
    return interface.network


def _collection(what: str, values: object) -> tuple[object, ...]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise RefusedError(f'{what} must be a collection, such as {{"one", "another"}}, not {type(values).__name__}')
    return tuple(values)
