"""Judge what the settings of a forwarder, and of a way, give."""

from __future__ import annotations

from collections.abc import Iterable
from unicodedata import category

from ..errors import ConfigurationError
from ..model import Secret

AUTH = "app.auth"
"""Where the settings stand."""


def text(name: str, value: object) -> str:
    """Give a text that is a setting of ``app.auth``, if it can be sent.

    Args:
        name: of the setting.
        value: text, or a secret one; it is in no message.

    Raises:
        ConfigurationError: when it is none, is empty, or has a control character or half a character in it
            (RFC 7617, section 2).
    """
    found = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(found, str):
        raise ConfigurationError(f"must be text, not {type(found).__name__}", setting=f"{AUTH}.{name}")
    if not found:
        raise ConfigurationError("is empty", setting=f"{AUTH}.{name}", hint="give one")
    if any(category(character) in ("Cc", "Cs") for character in found):
        hint = "a line break at the end of a file, perhaps"
        raise ConfigurationError("has a control character in it", setting=f"{AUTH}.{name}", hint=hint)
    return found


def texts(name: str, values: object) -> tuple[str, ...]:
    """Give a list of texts, which one text is not.

    Raises:
        ConfigurationError: when it is something else.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ConfigurationError(f"takes a list of texts, not {type(values).__name__}", setting=name)
    found = tuple(values)
    if not all(isinstance(value, str) for value in found):
        raise ConfigurationError("takes a list of texts, and not all of these are", setting=name)
    return found
