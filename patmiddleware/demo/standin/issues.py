"""Issues over HTTP: searching, reading, making, changing, and moving them along.

Each handler answers one operation; the table at the end says which.
"""

from __future__ import annotations

from werkzeug import Response

from .call import Call, Route, answer, done
from .fields import FieldError, choose, form_fields, read_fields, read_update
from .jql import parse
from .model import RESOLUTIONS, Issue, JiraError, Named, Project
from .shapes import Json


def search(call: Call) -> Response:
    if call.request.method == "POST":
        asked = call.body()
        fields = asked.get("fields") or []
    else:
        asked = call.request.args.to_dict()
        fields = call.names("fields")
    if not isinstance(fields, list) or not all(isinstance(name, str) for name in fields):
        raise JiraError(400, "'fields' must be a list of names.")
    numbers, page = call.page(_found(call, str(asked.get("jql") or "")), asked)
    issues = [call.write.issue(issue, call.user, fields) for issue in page]
    return answer({"expand": "schema,names"} | numbers | {"issues": issues})


def _found(call: Call, jql: str) -> list[Issue]:
    issues, projects = call.state.issues(), call.state.projects()
    known = {
        "project": {word.casefold() for one in projects for word in (one.key, one.id, one.name)},
        "key": {word.casefold() for issue in issues for word in (issue.key, str(issue.id))},
    }
    query = parse(jql, call.user.name if call.user else "", known)
    # An anonymous caller sees nothing, and isn't told so: that is how Jira has it.
    return query.run(issues if call.user else ())


def read(call: Call, key: str) -> Response:
    issue = call.issue(key)
    whole = call.write.issue(issue, call.user, call.names("fields") or ["*all"])
    if "transitions" in call.names("expand"):
        whole["transitions"] = _transitions(call, issue)
    return answer(whole)


def create(call: Call) -> Response:
    me, fields = call.me(), call.table(call.body(), "fields")
    project = _project(call, fields)
    issue = call.state.create(me, project, **read_fields(call.state, project, fields, new=True))
    return answer({name: call.write.issue(issue, me, ())[name] for name in ("id", "key", "self")}, 201)


def _project(call: Call, fields: Json) -> Project:
    reference = call.table(fields, "project")
    try:
        return call.state.project(str(reference.get("key") or reference.get("id") or ""))
    except JiraError:
        raise JiraError(400, errors={"project": "project is required"}) from None


def edit(call: Call, key: str) -> Response:
    call.me()
    _change(call, call.issue(key), call.body())
    return done()


def _change(call: Call, issue: Issue, body: Json) -> None:
    """Put the ``fields`` and the ``update`` of a body into an issue; comments are added once all else was right."""
    update = call.table(body, "update")
    comments = [_comment(operation) for operation in update.get("comment") or ()]
    others = {name: operations for name, operations in update.items() if name != "comment"}
    form = call.table(body, "fields") | read_update(others, issue.labels)
    if values := read_fields(call.state, issue.project, form):
        call.state.change(issue.key, **values)
    for comment in comments:
        call.state.add_comment(issue.key, call.me(), comment)


def _comment(operation: object) -> str:
    added = operation.get("add") if isinstance(operation, dict) else None
    body = added.get("body") if isinstance(added, dict) else None
    if not isinstance(body, str) or not body.strip():
        raise JiraError(400, errors={"comment": "Comment body can not be empty!"})
    return body


def delete(call: Call, key: str) -> Response:
    call.me()
    call.state.remove(call.issue(key).key)
    return done()


def assign(call: Call, key: str) -> Response:
    call.me()
    issue = call.issue(key)
    call.state.change(issue.key, **read_fields(call.state, issue.project, {"assignee": call.body()}))
    return done()


def edit_meta(call: Call, key: str) -> Response:
    return answer({"fields": form_fields(call.write, call.issue(key).project)})


def transitions(call: Call, key: str) -> Response:
    return answer({"expand": "transitions", "transitions": _transitions(call, call.issue(key))})


def _transitions(call: Call, issue: Issue) -> list[Json]:
    possible = call.state.transitions(issue.key)
    return [{"id": key, "name": to.name, "to": call.write.status(to)} for key, to in possible.items()]


def transition(call: Call, key: str) -> Response:
    call.me()
    issue, body = call.issue(key), call.body()
    wanted = str(call.table(body, "transition").get("id") or "")
    if not wanted:
        raise JiraError(400, "Missing 'transition' identifier")
    fields = dict(call.table(body, "fields"))
    resolution = _resolution(fields.pop("resolution", None))
    if wanted not in call.state.transitions(issue.key):
        raise JiraError(400, f"'{wanted}' is not a transition of this issue, as it stands.")
    _change(call, issue, {**body, "fields": fields})
    call.state.transition(issue.key, wanted, resolution)
    return done()


def _resolution(reference: object) -> Named | None:
    try:
        return None if reference is None else choose(RESOLUTIONS, reference)
    except FieldError as error:
        raise JiraError(400, errors={"resolution": str(error)}) from None


_ISSUE = "/rest/api/2/issue"

ROUTES: list[Route] = [
    ("GET", "/rest/api/2/search", search),
    ("POST", "/rest/api/2/search", search),
    ("POST", _ISSUE, create),
    ("GET", f"{_ISSUE}/<key>", read),
    ("PUT", f"{_ISSUE}/<key>", edit),
    ("DELETE", f"{_ISSUE}/<key>", delete),
    ("PUT", f"{_ISSUE}/<key>/assignee", assign),
    ("GET", f"{_ISSUE}/<key>/editmeta", edit_meta),
    ("GET", f"{_ISSUE}/<key>/transitions", transitions),
    ("POST", f"{_ISSUE}/<key>/transitions", transition),
]
