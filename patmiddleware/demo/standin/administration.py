"""A little of what only administrators may do, which is enough to see that nobody else may.

Each handler answers one operation; the table at the end says which.
"""

from __future__ import annotations

from werkzeug import Response

from .call import Call, Route, answer, done
from .model import JiraError
from .shapes import Json

SETTINGS: list[Json] = [{"id": "jira.title", "key": "jira.title", "value": "Jira (stand-in)", "type": "string"}]


def properties(call: Call) -> Response:
    call.administrator()
    return answer(SETTINGS)


def add_user(call: Call) -> Response:
    call.administrator()
    body = call.body()
    name, password = str(body.get("name") or ""), body.get("password")
    if not name:
        raise JiraError(400, errors={"username": "You must specify a username."})
    user = call.state.welcome(name)
    if isinstance(password, str):
        call.site.accounts.set_password(user.name, password)
    return answer(call.write.user(user), 201)


def disable_user(call: Call) -> Response:
    call.administrator()
    call.site.accounts.disable(call.state.user(call.request.args.get("username", "")).name)
    return done()


def basic_config(call: Call) -> Response:
    call.administrator()
    return answer({"block-requests": False, "allowed-paths": [], "allowed-users": []})


def reindex(call: Call) -> Response:
    call.administrator()
    return answer({"progressUrl": f"{call.write.base}/secure/admin/IndexProgress.jspa", "success": True}, 202)


ROUTES: list[Route] = [
    ("GET", "/rest/api/2/application-properties", properties),
    ("POST", "/rest/api/2/user", add_user),
    ("DELETE", "/rest/api/2/user", disable_user),
    ("POST", "/rest/api/2/reindex", reindex),
    ("GET", "/rest/basicauth/1.0/config", basic_config),
]
