"""How sessions are kept, and where their endpoint is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from ..annotate import Environ
from ..errors import ConfigurationError, Problem
from ..policy import Policy

LONGEST = timedelta(days=30)

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 6265, section 4.1.1: a token, as RFC 9110 has it
_PATH = re.compile(r"/|(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How sessions are kept.

    Args:
        lifetime: of a session, cut to what is left of its token's; up to 30 days.
        cookie: its name. Many clients look for this one.
        secure: False: the cookie travels without TLS, too. For trying things out.
        path: the mount, such as ``/jira``, that stands before ``/rest/auth``. The cookie goes to all below it.
        origin: of our own pages, such as ``https://api.example.org``, where what stands in front changes the ``Host``
            header; None: as the request says.

    Raises:
        ConfigurationError: with all that is wrong.
    """

    lifetime: timedelta = timedelta(hours=8)
    cookie: str = "JSESSIONID"
    secure: bool = True
    path: str = "/"
    origin: str | None = None

    def __post_init__(self) -> None:
        problems = [
            Problem("PAT-E035", f"session.{name}", f"can't be {repr(value) if isinstance(value, str) else value}", hint)
            for name, (may_be, hint) in _JUDGED.items()
            if not may_be(value := getattr(self, name))
        ]
        if problems:
            raise ConfigurationError(problems)

    @property
    def mount(self) -> str:
        """What stands before ``/rest``; empty: nothing."""
        return self.path.removesuffix("/")

    @property
    def paths(self) -> tuple[str, ...]:
        """The endpoint, in every spelling that Jira takes."""
        start = f"{self.mount}/rest/auth"
        return tuple(
            f"{start}/{version}/session{end}" for version in ("1", "1.0", "latest") for end in ("", ".json", ".xml")
        )

    def rules(self) -> Policy:
        """Give the rules of the endpoint: it is open to all, and reads no credential where one logs in with another."""
        paths = list(self.paths)
        shown = {"id": "session", "path": paths, "public": True}
        login = {**shown, "id": "session: login", "methods": ["POST"], "credentials": "ignore"}
        return Policy.from_dict({"rule": [shown, login]})

    def site(self, environ: Environ) -> str:
        """Give the origin that our own pages have (RFC 6454, section 6.2)."""
        if self.origin is not None:
            return self.origin
        # A secure cookie comes over TLS alone, wherever that ends.
        scheme = "https" if self.secure else environ["wsgi.url_scheme"]
        return f"{scheme}://{environ.get('HTTP_HOST') or environ['SERVER_NAME']}"


def _matches(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


_JUDGED: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "lifetime": (
        lambda value: isinstance(value, timedelta) and timedelta(0) < value <= LONGEST,
        "a time span above zero, of 30 days at the most",
    ),
    "cookie": (_matches(_NAME), "a name such as JSESSIONID"),
    "secure": (lambda value: isinstance(value, bool), "True or False"),
    "path": (_matches(_PATH), "a plain path such as /jira, or / alone"),
    "origin": (lambda value: value is None or _matches(_ORIGIN)(value), "such as https://api.example.org"),
}
