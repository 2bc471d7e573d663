"""What others do for the same request.

Each looks the token's digest up in a dictionary, and is timed over its framework alone.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from hashlib import sha256
from time import time
from typing import TYPE_CHECKING, Any

from .material import EXPIRES, OWNER, PATH, Environ, application, basic, environ
from .measure import Case, prove, requests
from .ours import Hot, Known, known

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication
    from flask import Flask


def _owner(tokens: Known, secret: str) -> str | None:
    found = tokens.get(sha256(secret.encode()).digest())
    return None if found is None or found[1] <= time() else found[0]


def pyramid(hot: Hot) -> Case:
    """Pyramid with a bearer security policy written by hand, over Pyramid alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it still imports pkg_resources
        from pyramid.config import Configurator
        from pyramid.httpexceptions import HTTPUnauthorized
        from pyramid.response import Response
        from pyramid.security import Allowed, Denied

    tokens = known(hot.secrets)

    class BearerPolicy:  # as Pyramid's own documentation writes one
        def identity(self, request: Any) -> str | None:
            header = request.headers.get("Authorization", "")
            return _owner(tokens, header[7:]) if header.startswith("Bearer ") else None

        def permits(self, request: Any, context: object, permission: str) -> object:
            owner = self.identity(request)
            return Denied("no token") if owner is None else Allowed("the token of %s", owner)

    def issue(request: object) -> object:
        return Response(b"ok")

    def build(guarded: bool) -> WSGIApplication:
        config = Configurator()
        config.add_route("issue", "/rest/api/2/issue/{key}")
        if guarded:
            config.set_security_policy(BearerPolicy())
            config.add_forbidden_view(lambda request: HTTPUnauthorized())
        config.add_view(issue, route_name="issue", permission="read" if guarded else None)
        app: WSGIApplication = config.make_wsgi_app()
        return app

    return case("Pyramid", build(True), build(False), hot.proof)


def flask_httpauth(hot: Hot) -> Case:
    """Flask with Flask-HTTPAuth, over Flask alone."""
    from flask_httpauth import HTTPTokenAuth

    tokens, auth = known(hot.secrets), HTTPTokenAuth()
    auth.verify_token(lambda secret: _owner(tokens, secret))
    return case("Flask-HTTPAuth", flask(auth.login_required), flask(), hot.proof)


def authlib(hot: Hot) -> Case:
    """Flask with Authlib's ResourceProtector, over Flask alone."""
    from authlib.integrations.flask_oauth2 import ResourceProtector
    from authlib.oauth2.rfc6750 import BearerTokenValidator

    class Record:
        def __init__(self, expires: float) -> None:
            self.expires = expires

        def is_expired(self) -> bool:
            return self.expires <= time()

        def is_revoked(self) -> bool:
            return False

        def get_scope(self) -> str:
            return "read"

    records = {digest: Record(expires) for digest, (_, expires) in known(hot.secrets).items()}

    class Validator(BearerTokenValidator):  # type: ignore[misc]  # untyped
        def authenticate_token(self, token_string: str) -> Record | None:
            return records.get(sha256(token_string.encode()).digest())

    protect = ResourceProtector()
    protect.register_token_validator(Validator())
    return case("Authlib", flask(protect("read")), flask(), hot.proof)


def flask(guard: Any = None) -> Flask:
    """Give a Flask application with one view, guarded or not."""
    from flask import Flask

    def issue(key: str) -> str:
        return "ok"

    app = Flask("benchmark")
    app.add_url_rule("/rest/api/2/issue/<key>", view_func=guard(issue) if guard else issue, endpoint="issue")
    return app


def repoze_who(hot: Hot) -> Case:
    """repoze.who, which identifies by Basic; an application behind it demands a user."""
    from repoze.who.classifiers import default_challenge_decider, default_request_classifier
    from repoze.who.interfaces import IAuthenticator
    from repoze.who.middleware import PluggableAuthenticationMiddleware
    from repoze.who.plugins.basicauth import BasicAuthPlugin
    from zope.interface import implementer

    tokens = known(hot.secrets)

    @implementer(IAuthenticator)
    class Tokens:
        def authenticate(self, environ: Environ, identity: dict[str, str]) -> str | None:
            return _owner(tokens, identity["password"]) if "password" in identity else None

    def demanding(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if "REMOTE_USER" in environ:
            return application(environ, start_response)
        start_response("401 Unauthorized", [])
        return [b"no"]

    plugin = BasicAuthPlugin("api")
    app = PluggableAuthenticationMiddleware(
        demanding,
        [("basic", plugin)],
        [("tokens", Tokens())],
        [("basic", plugin)],
        [],
        default_request_classifier,
        default_challenge_decider,
    )
    wrong = environ(HTTP_AUTHORIZATION=basic("wrong"))
    return case("repoze.who", app, application, [(hot.basic, 200), (hot.none, 401), (wrong, 401)])


def keystonemiddleware(hot: Hot) -> Case:
    """keystonemiddleware's auth_token with the token in its cache in the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("keystonemiddleware").setLevel(logging.CRITICAL)  # it warns of the cache that is wanted here
        from keystonemiddleware.auth_token import AuthProtocol
        from keystonemiddleware.auth_token._exceptions import InvalidToken

    class Identity:
        asked = 0

        def verify_token(self, secret: str, allow_expired: bool = False) -> dict[str, object]:
            self.asked += 1
            if secret != hot.secret:
                raise InvalidToken
            return {"token": _keystone_token()}

    class Protocol(AuthProtocol):  # type: ignore[misc]  # untyped
        def _create_identity_server(self) -> Identity:
            return Identity()

    app = Protocol(application, {"www_authenticate_uri": "http://127.0.0.1:5000"})
    right, wrong = (environ(HTTP_AUTHORIZATION=None, HTTP_X_AUTH_TOKEN=token) for token in (hot.secret, "wrong"))
    cached = case("keystonemiddleware", app, application, [(right, 200), (right, 200), (hot.none, 401), (wrong, 401)])
    assert app._identity_server.asked == 2, "the token is not in the cache"
    return cached


def _keystone_token() -> dict[str, object]:
    """Give what an identity server says of a token scoped to a project (version 3 of its API)."""
    domain = {"id": "default", "name": "Default"}
    return {
        "methods": ["password"],
        "user": {"id": "u1", "name": OWNER, "domain": domain},
        "project": {"id": "p1", "name": "project", "domain": domain},
        "roles": [{"id": "r1", "name": "reader"}],
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "expires_at": EXPIRES.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "audit_ids": ["a1"],
    }


def case(name: str, app: WSGIApplication, alone: WSGIApplication, answers: list[tuple[Environ, int]]) -> Case:
    """Prove that an application answers rightly, and give it to be timed over another with its first request."""
    prove(name, app, answers)
    request = answers[0][0]
    assert request["PATH_INFO"] == PATH
    return Case(requests(app, request), requests(alone, request))
