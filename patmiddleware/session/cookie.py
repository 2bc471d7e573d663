"""The session cookie, in requests and in answers."""

from __future__ import annotations

import re

from ..annotate import Environ
from ..credentials import MALFORMED, MAXIMUM_LENGTH, Carried
from ..model import Denied
from .settings import SessionSettings

_OWS = " \t"


class Cookie:
    """Reads, removes and sets the session cookie.

    Args:
        settings: its name, and where it goes.
    """

    def __init__(self, settings: SessionSettings) -> None:
        self._name = settings.cookie
        # A comma parts what came in headers of one name: servers join these so. And one of them leaves line ends in.
        self._ours = re.compile(rf"(?:\A|[;,])[ \t\r\n]*{re.escape(settings.cookie)}[ \t]*=([^;,]*)")
        self._attributes = f"; Path={settings.path}; HttpOnly; SameSite=Strict{'; Secure' if settings.secure else ''}"

    def read(self, environ: Environ) -> Carried | Denied | None:
        """Take it from a request. Two are malformed: which of them the client means can't be said."""
        values = [value.strip(_OWS) for value in self._ours.findall(environ.get("HTTP_COOKIE", ""))]
        if len(values) > 1 or any(len(value) > MAXIMUM_LENGTH for value in values):
            return MALFORMED
        return ("Session", None, values[0]) if any(values) else None

    def remove(self, environ: Environ) -> None:
        """Remove it from a request that has cookies; others stay."""
        sent = environ["HTTP_COOKIE"]
        if self._name not in sent:
            return
        others = self._ours.sub("", sent).lstrip(";, \t\r\n")
        if others:
            environ["HTTP_COOKIE"] = others
        else:
            del environ["HTTP_COOKIE"]

    def header(self, value: str, seconds: int) -> tuple[str, str]:
        """Give the header that sets it for so many seconds; none: that clears it."""
        return "Set-Cookie", f"{self._name}={value}; Max-Age={seconds}{self._attributes}"
