"""Our gate and a framework, over that framework alone: as plain WSGI before it, and through our extension for it."""

from __future__ import annotations

from patmiddleware import PATMiddleware

from .material import policy, store
from .measure import Case
from .others import case, flask
from .ours import Hot


def before_flask(hot: Hot) -> Case:
    """The gate before Flask, with a policy of 100 rules."""
    return case("ours before Flask", PATMiddleware(flask(), store(hot.secrets), policy=policy(100)), flask(), hot.proof)


def in_flask(hot: Hot) -> Case:
    """The same through the extension, with a view that demands a scope itself."""
    from patmiddleware.integrations.flask import PersonalAccessTokens, require_scope

    app = flask(require_scope("read"))
    PersonalAccessTokens(app, store=store(hot.secrets), policy=policy(100))
    return case("ours in Flask", app, flask(), hot.proof)
