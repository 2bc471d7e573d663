"""Tell the client when its token expires, in a response header."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import StartResponse

    ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.1


def check_name(name: object) -> str:
    """Give the header's name back, if it may be one.

    Raises:
        ConfigurationError: when it may not.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        hint = "such as X-Token-Expires"
        raise ConfigurationError(f"{name!r} can't be the name of a header", setting="expiry_header", hint=hint)
    return name


def announcing(start_response: StartResponse, name: str, expires: datetime | None) -> StartResponse:
    """Give a ``start_response`` that adds the header; the same one where the token never expires."""
    if expires is None:
        return start_response
    value = expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def announce(
        status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        return start_response(status, [*headers, (name, value)], exc_info)

    return announce
