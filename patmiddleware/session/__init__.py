"""A cookie for a token: for clients that know only Jira's way of cookie sessions.

``POST /rest/auth/1/session`` with ``{"username": …, "password": TOKEN}`` is answered here, whatever a policy says, and
never passed on. The cookie is the secret of a *session*: a child of the token, with all that the token has, which dies
with it and is good as this cookie alone; nor is any other token good as one. ``GET`` shows whose a session is,
``DELETE`` ends it.

Browsers send cookies unasked. So with a cookie, what changes something must come from a page of our own origin, or have
a header that no foreign page can send without having asked (``X-Atlassian-Token: no-check``); and a credential in a
header of its own counts alone. The application never sees the cookie.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..annotate import REQUEST_ID, Environ
from ..model import Denied, Grant, Reason, Token
from ..resolver import Identity, Resolver
from .cookie import Cookie
from .endpoint import Endpoint
from .settings import SessionSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

__all__ = ["Endpoint", "SessionSettings", "Sessions"]

_SAFE = ("GET", "HEAD", "OPTIONS")  # RFC 9110, section 9.2.1
_MEANT = ("no-check", "nocheck")
_UNASKED = Denied(
    Reason.DENIED,
    detail="With a session cookie, what changes something must come from a page of this site, or have the header "
    "'X-Atlassian-Token: no-check'.",
)


class Sessions:
    """Takes session cookies, and stands before the application, which sees neither them nor their endpoint.

    Args:
        app: the application.
        settings: how sessions are kept.
        resolver: finds out who a session is.
        endpoint: opens and ends them.
    """

    def __init__(self, app: WSGIApplication, settings: SessionSettings, resolver: Resolver, endpoint: Endpoint) -> None:
        self._app, self._settings, self._resolver, self._endpoint = app, settings, resolver, endpoint
        self._cookie = Cookie(settings)
        self._paths = frozenset(path + slash for path in settings.paths for slash in ("", "/"))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request that may pass: the endpoint, or the application."""
        if environ.get("PATH_INFO") in self._paths:
            return self._endpoint(environ, start_response, environ[REQUEST_ID])
        if "HTTP_COOKIE" in environ:
            self._cookie.remove(environ)
        return self._app(environ, start_response)

    def identify(self, environ: Environ, wall: float) -> Identity | Denied | None:
        """Say whose session a request carries; None: it carries none.

        Args:
            environ: of a request without any other credential.
            wall: now, in seconds since the epoch.
        """
        carried = self._cookie.read(environ)
        if not isinstance(carried, tuple):
            return carried
        found = self._resolver.resolve(carried, wall)
        return found if isinstance(found, Denied) or self._is_meant(environ) else _unasked(found.grant)

    def _is_meant(self, environ: Environ) -> bool:
        """Whether a page of somebody else can't have made a browser send this, or it could do no harm."""
        return (
            environ["REQUEST_METHOD"] in _SAFE
            or environ.get("HTTP_X_ATLASSIAN_TOKEN", "").strip(" \t").lower() in _MEANT
            or environ.get("HTTP_ORIGIN") == self._settings.site(environ)
        )


def _unasked(grant: Grant) -> Denied:
    """Refuse what a foreign page may have sent, and say for the audit alone in whose name."""
    session = Token(grant.token_id or "", grant.owner, grant.token_name or "")
    return dataclasses.replace(_UNASKED, token=session)
