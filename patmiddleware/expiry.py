"""Tell the client when its token expires, in a response header."""

from __future__ import annotations

from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import StartResponse

    ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


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
