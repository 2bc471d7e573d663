"""Clients that send a token: WebTest's, werkzeug's and Flask's."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from patmiddleware.annotate import DENIED, GRANT, REQUEST_ID, STATUS, Environ
from patmiddleware.credentials import SCHEMES, Carriers
from patmiddleware.errors import ConfigurationError
from patmiddleware.issuer import Issuer
from patmiddleware.model import Minted, Secret

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication
    from webtest import TestApp  # type: ignore[import-untyped]

Presented: TypeAlias = str | Secret | Minted
"""A token to send: its secret, or what ``mint`` gave."""

# WebTest's, werkzeug's or Flask's; none of them must be installed.
Client = TypeVar("Client", bound=Any)

OWNER = "alice"
"""Whose tokens are, where a test does not care."""

_SHOWN = (STATUS, GRANT, DENIED, REQUEST_ID)
_KEY = "_patmiddleware_key"


def TokenTestApp(app: object, token: Presented, scheme: str = "bearer", *, username: str | None = None) -> TestApp:
    """Give a :class:`webtest.TestApp` that sends a token with every request.

    Args:
        app: the WSGI application, with the middleware around it.
        token: its secret, or what ``mint`` gave.
        scheme: as in :func:`with_token`.
        username: as in :func:`with_token`.

    Raises:
        ConfigurationError: when WebTest is missing, or as :func:`with_token` does.
    """
    try:
        from webtest import TestApp
    except ImportError as error:
        raise ConfigurationError("TokenTestApp needs WebTest", hint="pip install webtest") from error
    return with_token(TestApp(app), token, scheme, username=username)


def with_token(client: Client, token: Presented, scheme: str = "bearer", *, username: str | None = None) -> Client:
    """Let a client send a token with every request from now on, in the place of the one before.

    A request that has the header itself is sent as it is.

    Args:
        client: a :class:`webtest.TestApp`, a :class:`werkzeug.test.Client`, or Flask's ``app.test_client()``.
        token: its secret, or what ``mint`` gave.
        scheme: ``bearer``, ``basic``, ``token`` or ``header:X-API-Key``, as the middleware's ``accept`` has them.
        username: what stands before the token in Basic; left out: the owner, where ``token`` is what ``mint`` gave.

    Returns:
        The same client.

    Raises:
        ConfigurationError: for another client or scheme, or when nothing says which user name Basic is to send.
    """
    key, value = _header(token, scheme, username)
    if hasattr(client, "run_wsgi_app"):
        client.run_wsgi_app = partial(_run, client, key, value)
    elif hasattr(client, "extra_environ"):
        client.extra_environ.pop(getattr(client, _KEY, None), None)
        client.extra_environ[key] = value
        setattr(client, _KEY, key)
    else:
        hint = "give a webtest.TestApp, a werkzeug.test.Client, or app.test_client() of Flask"
        raise ConfigurationError(f"{type(client).__name__} is no client that can send a token", hint=hint)
    return client


def minting(issuer: Issuer) -> partial[Minted]:
    """Give the issuer's ``mint``, with a name for the owner and the token where a test does not care."""
    return partial(issuer.mint, owner=OWNER, name="test")


class PatClient:
    """Makes WebTest clients that send a token.

    Args:
        issuer: gives what makes a token, where none is given.
    """

    def __init__(self, issuer: Callable[[], Issuer]) -> None:
        self._issuer = issuer

    def __call__(
        self,
        app: object,
        token: Presented | None = None,
        *,
        owner: str | None = None,
        scopes: Iterable[str] = (),
        scheme: str = "bearer",
        username: str | None = None,
    ) -> TestApp:
        """Give a :class:`webtest.TestApp` that sends a token with every request.

        Args:
            app: the WSGI application, with the middleware around it.
            token: its secret, or what ``mint`` gave; None: a new one is made.
            owner: of the new token; left out: ``alice``.
            scopes: of the new token.
            scheme: as in :func:`with_token`.
            username: as in :func:`with_token`.

        Raises:
            ConfigurationError: for an owner or scopes of a token that is made already, or as :func:`TokenTestApp` does.
        """
        if token is None:
            token = minting(self._issuer())(owner=owner or OWNER, scopes=scopes)
        elif owner is not None or scopes:
            raise ConfigurationError("a token that is given has its owner and scopes", hint="give them to mint(…)")
        return TokenTestApp(app, token, scheme, username=username)


def _header(token: Presented, scheme: str, username: str | None) -> tuple[str, str]:
    """Give the environ key and the value that carry a token."""
    carriers = Carriers.of((scheme.lower(),))
    secret = token.secret if isinstance(token, Minted) else token.reveal() if isinstance(token, Secret) else token
    if carriers.keys:
        return carriers.keys[0], secret
    if carriers.sessions:
        raise ConfigurationError("a session's cookie is got by logging in", hint="send the login, then go on")
    if "basic" in carriers.schemes:
        name = token.token.owner if username is None and isinstance(token, Minted) else username
        if name is None:
            raise ConfigurationError("Basic needs a user name", hint="give username=, or what mint gave")
        secret = b64encode(f"{name}:{secret}".encode()).decode()
    return "HTTP_AUTHORIZATION", f"{SCHEMES[scheme.lower()]} {secret}"


def _run(client: Any, key: str, value: str, environ: Environ, buffered: bool = False) -> object:
    """Do what the client's own ``run_wsgi_app`` does, with the token, and show in the environ what the gate wrote.

    Werkzeug gives the application a copy, so that a test would never see it.
    """
    environ.setdefault(key, value)
    application: WSGIApplication = client.application

    def watched(inner: Environ, start_response: StartResponse) -> Iterable[bytes]:
        answer = application(inner, start_response)
        environ.update({name: inner[name] for name in _SHOWN if name in inner})
        return answer

    client.application = watched
    try:
        return type(client).run_wsgi_app(client, environ, buffered)
    finally:
        client.application = application
