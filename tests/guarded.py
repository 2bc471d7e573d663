"""Small applications of each kind, with the gate around them: a report, and a door that only they close."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from patmiddleware import PATMiddleware, Policy, grant_from
from patmiddleware.backends.memory import MemoryStore

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from flask import Flask

POLICY = Policy.from_dict(
    {
        "rule": [
            {"id": "reading", "path": "/**", "methods": ["GET", "HEAD"], "scopes": ["read"]},
            {"id": "writing", "path": "/reports", "methods": ["POST"], "scopes": ["write"]},
            {"id": "staff", "path": "/staff", "effect": "require", "groups": ["staff"]},
            {"id": "closed", "path": "/closed", "effect": "deny"},
        ],
        "scopes": {"read": {}, "write": {}},
    }
)


def of_wsgi(store: MemoryStore, **options: Any) -> WSGIApplication:
    """One that is written by hand, and answers 403 by itself at ``/own``."""

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        grant = grant_from(environ)
        status = "403 Forbidden" if environ["PATH_INFO"] == "/own" else "200 OK"
        start_response(status, [("Content-Type", "text/plain")])
        return [f"Hello {grant and grant.owner}".encode()]

    return PATMiddleware(app, store, **{"policy": POLICY} | options)


def of_flask(store: MemoryStore, **options: Any) -> Flask:
    """One of Flask, with the gate inside."""
    from flask import Flask, abort, redirect, request

    app = Flask(__name__)

    @app.route("/reports", methods=["GET", "POST"])
    def reports() -> str:
        grant = grant_from(request.environ)
        return f"Hello {grant and grant.owner}"

    @app.get("/own")
    def own() -> None:
        abort(403)

    @app.get("/old")
    def old() -> Any:
        return redirect("/reports")

    app.wsgi_app = PATMiddleware(app.wsgi_app, store, **{"policy": POLICY} | options)  # type: ignore[method-assign]
    return app


def of_pyramid(store: MemoryStore, **options: Any) -> WSGIApplication:
    """One of Pyramid, with the gate around it."""
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPForbidden

    def reports(request: Any) -> dict[str, str]:
        grant = grant_from(request.environ)
        return {"hello": str(grant and grant.owner)}

    def own(request: Any) -> None:
        raise HTTPForbidden

    config = Configurator()
    for name, view in (("reports", reports), ("own", own)):
        config.add_route(name, f"/{name}")
        config.add_view(view, route_name=name, renderer="json")
    return PATMiddleware(config.make_wsgi_app(), store, **{"policy": POLICY} | options)
