"""A short id for each request, the same in the audit line, in a refusal's body, and in the environ."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Mapping
from itertools import product, repeat
from typing import Any

from .tokens import DEFAULT_PREFIX, holds_token

_PAIRS = tuple(map("".join, product("0123456789abcdef", repeat=2)))
_ALLOWED = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestIds:
    """Gives ids that no other process gives: a random start for each, and a counter."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew; a forked child must."""
        # Put together of ready pieces: to write a number out takes longer, and every request needs an id.
        self._ids = map("".join, product((secrets.token_hex(6) + "-",), *repeat(_PAIRS, 6)))

    def new(self) -> str:
        """Give the next id."""
        return next(self._ids)


ids = RequestIds()
"""The one series of this process."""
os.register_at_fork(after_in_child=ids.restart) if hasattr(os, "register_at_fork") else None


def believed(environ: Mapping[str, Any], prefix: str = DEFAULT_PREFIX, secrets: Iterable[str] = ()) -> str | None:
    """Give the ``X-Request-ID`` that a trusted proxy sent, if it is safe to write into a log.

    A proxy may pass on what a client chose, and a client may choose its token.

    Args:
        environ: of the request.
        prefix: of the tokens of ours, none of which may stand in it.
        secrets: what else may not.
    """
    sent = environ.get("HTTP_X_REQUEST_ID")
    if not isinstance(sent, str) or not _ALLOWED.fullmatch(sent) or holds_token(sent, prefix):
        return None
    return None if any(secret in sent for secret in secrets) else sent
