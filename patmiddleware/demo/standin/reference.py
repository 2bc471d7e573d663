"""What clients look up: the server, users, projects, and the words that issues are made of.

Each handler answers one operation; the table at the end says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from werkzeug import Response

from .call import Call, Handler, Route, answer
from .fields import FIELD_NAMES, form_fields
from .model import CATEGORIES, KINDS, LINKS, PRIORITIES, RESOLUTIONS, STATUSES, JiraError, Named, Project
from .shapes import Json, moment
from .state import now

Value = TypeVar("Value", bound=Named)

VERSION = (9, 12, 15)
PERMISSIONS = (
    "BROWSE_PROJECTS",
    "CREATE_ISSUES",
    "EDIT_ISSUES",
    "DELETE_ISSUES",
    "ASSIGN_ISSUES",
    "ASSIGNABLE_USER",
    "TRANSITION_ISSUES",
    "ADD_COMMENTS",
    "EDIT_ALL_COMMENTS",
    "DELETE_ALL_COMMENTS",
    "CREATE_ATTACHMENTS",
    "DELETE_ALL_ATTACHMENTS",
    "WORK_ON_ISSUES",
    "ADMINISTER_PROJECTS",
    "ADMINISTER",
    "SYSTEM_ADMIN",
)
_ADMINISTRATORS_HAVE = frozenset({"ADMINISTER_PROJECTS", "ADMINISTER", "SYSTEM_ADMIN"})


def server_info(call: Call) -> Response:
    build = 9_120_015
    return answer(
        {
            "baseUrl": call.write.base,
            "version": ".".join(map(str, VERSION)),
            "versionNumbers": VERSION,
            "deploymentType": "Server",
            "buildNumber": build,
            "buildDate": "2024-11-04T00:00:00.000+0000",
            "databaseBuildNumber": build,
            "serverTime": moment(now()),
            "scmInfo": "none",
            "serverTitle": "Jira (stand-in)",
        }
    )


def configuration(call: Call) -> Response:
    on = ("voting", "watching", "attachments", "timeTracking")
    off = ("unassignedIssuesAllowed", "subTasks", "issueLinking")
    tracking = {"workingHoursPerDay": 8.0, "workingDaysPerWeek": 5.0, "timeFormat": "pretty", "defaultUnit": "minute"}
    switches = {f"{name}Enabled": name in on for name in (*on, *off)}
    return answer(switches | {"timeTrackingConfiguration": tracking})


def myself(call: Call) -> Response:
    if call.user is None:
        # Jira refuses this one in another shape than the rest.
        message = "Client must be authenticated to access this resource."
        return answer({"message": message, "status-code": 401}, 401)
    groups = {"size": 1, "items": [{"name": "jira-software-users"}]}
    return answer(call.write.user(call.user) | {"locale": "en_GB", "groups": groups})


def my_permissions(call: Call) -> Response:
    return answer({"permissions": {name: _permission(call, at, name) for at, name in enumerate(PERMISSIONS, 10)}})


def _permission(call: Call, number: int, name: str) -> Json:
    is_administrator = call.site.accounts.is_administrator(call.user)
    return {
        "id": str(number),
        "key": name,
        "name": name.replace("_", " ").capitalize(),
        "type": "GLOBAL" if name in ("ADMINISTER", "SYSTEM_ADMIN") else "PROJECT",
        "description": "",
        "havePermission": is_administrator or (call.user is not None and name not in _ADMINISTRATORS_HAVE),
    }


def user(call: Call) -> Response:
    call.me()
    name = call.request.args.get("username") or call.request.args.get("key") or ""
    return answer(call.write.user(call.state.user(name)))


def users(call: Call) -> Response:
    call.me()
    part = call.request.args.get("username", "").strip(".").casefold()
    found = [one for one in call.state.users() if part in f"{one.name} {one.display_name} {one.mail}".casefold()]
    return answer(list(map(call.write.user, call.page(found)[1])))


def fields(call: Call) -> Response:
    return answer([_field(name, title) for name, title in FIELD_NAMES.items()])


def _field(name: str, title: str) -> Json:
    return {
        "id": name,
        "name": title,
        "custom": False,
        "orderable": True,
        "navigable": True,
        "searchable": True,
        "clauseNames": [name],
        "schema": {"type": "string", "system": name},
    }


def link_types(call: Call) -> Response:
    return answer({"issueLinkTypes": list(map(call.write.link_type, LINKS))})


def projects(call: Call) -> Response:
    return answer([call.write.project(project) for project in call.state.projects()] if call.user else [])


def _project(call: Call, key: str) -> Project:
    if call.user is None:
        raise JiraError(404, f"No project could be found with key '{key}'.")
    return call.state.project(key)


def project(call: Call, key: str) -> Response:
    write = call.write
    whole = write.project(_project(call, key), whole=True)
    return answer(whole | {"issueTypes": list(map(write.issue_type, KINDS))})


def versions(call: Call, key: str) -> Response:
    return answer(list(map(call.write.version, _project(call, key).versions)))


def components(call: Call, key: str) -> Response:
    return answer([call.write.named("component", component) for component in _project(call, key).components])


def statuses(call: Call, key: str) -> Response:
    _project(call, key)
    known = list(map(call.write.status, STATUSES))
    return answer([call.write.issue_type(kind) | {"statuses": known} for kind in KINDS])


def create_meta(call: Call) -> Response:
    call.me()
    asked = {key.upper() for key in call.names("projectKeys")}
    found = [project for project in call.state.projects() if not asked or project.key in asked]
    return answer({"expand": "projects", "projects": [_create_meta(call, project) for project in found]})


def _create_meta(call: Call, project: Project) -> Json:
    kinds = [call.write.issue_type(kind) | {"fields": form_fields(call.write, project, (kind,))} for kind in KINDS]
    return call.write.project(project) | {"expand": "issuetypes", "issuetypes": kinds}


def create_meta_types(call: Call, key: str) -> Response:
    _project(call, key)
    return _values(call, list(map(call.write.issue_type, KINDS)))


def create_meta_fields(call: Call, key: str, kind: str) -> Response:
    project = _project(call, key)
    chosen = _find(KINDS, kind, "issue type")
    return _values(call, list(form_fields(call.write, project, (chosen,)).values()))


def _values(call: Call, values: list[Json]) -> Response:
    numbers, page = call.page(values)
    last = numbers["startAt"] + len(page) >= numbers["total"]
    return answer(numbers | {"isLast": last, "values": page})


def _find(values: Iterable[Value], word: str, title: str) -> Value:
    for value in values:
        if word.casefold() in (value.id, value.name.casefold()):
            return value
    raise JiraError(404, f"The {title} with id '{word}' does not exist")


def _words(kind: str, title: str, values: tuple[Value, ...], write: Callable[[Call, Value], Json]) -> list[Route]:
    """Give the two routes of a vocabulary: all of it, and one word by id or name."""

    def whole(call: Call) -> Response:
        return answer([write(call, value) for value in values])

    def one(call: Call, word: str) -> Response:
        return answer(write(call, _find(values, word, title)))

    return [("GET", f"/rest/api/2/{kind}", whole), ("GET", f"/rest/api/2/{kind}/<word>", one)]


def categories(call: Call) -> Response:
    return answer(list(map(call.write.category, CATEGORIES)))


def _get(path: str, handler: Handler) -> Route:
    return ("GET", f"/rest/api/2/{path}", handler)


ROUTES: list[Route] = [
    _get("serverInfo", server_info),
    _get("configuration", configuration),
    _get("myself", myself),
    _get("mypermissions", my_permissions),
    _get("user", user),
    _get("user/search", users),
    _get("user/assignable/search", users),
    _get("field", fields),
    _get("issueLinkType", link_types),
    _get("statuscategory", categories),
    _get("project", projects),
    _get("project/<key>", project),
    _get("project/<key>/versions", versions),
    _get("project/<key>/components", components),
    _get("project/<key>/statuses", statuses),
    _get("issue/createmeta", create_meta),
    _get("issue/createmeta/<key>/issuetypes", create_meta_types),
    _get("issue/createmeta/<key>/issuetypes/<kind>", create_meta_fields),
    *_words("priority", "priority", PRIORITIES, lambda call, value: call.write.named("priority", value)),
    *_words("resolution", "resolution", RESOLUTIONS, lambda call, value: call.write.named("resolution", value)),
    *_words("issuetype", "issue type", KINDS, lambda call, value: call.write.issue_type(value)),
    *_words("status", "status", STATUSES, lambda call, value: call.write.status(value)),
]
