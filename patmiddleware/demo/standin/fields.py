"""Issues as clients send them: from the JSON of a form to the values of an issue, and what the form looks like."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import TypeVar

from .model import KINDS, PRIORITIES, JiraError, Named, Project, Version
from .shapes import JiraJson, Json
from .state import JiraState

Value = TypeVar("Value", bound=Named)

_SPENT = re.compile(r"([0-9]{1,6})\s*([dhm])")
_SECONDS = {"d": 8 * 3600, "h": 3600, "m": 60}
_REQUIRED = {"summary": "You must specify a summary of the issue.", "issuetype": "Specify an issue type"}
_FORM = (
    "summary",
    "issuetype",
    "description",
    "priority",
    "assignee",
    "labels",
    "components",
    "fixVersions",
    "duedate",
)


class FieldError(ValueError):
    """What is wrong with one field."""


def read_fields(state: JiraState, project: Project, form: Mapping[str, object], new: bool = False) -> dict[str, object]:
    """Give the values of an issue that a form stands for.

    Args:
        state: where users are looked up.
        project: where components and versions are looked up.
        form: the ``fields`` of a request.
        new: the issue is yet to be made: what it can't do without must be there.

    Raises:
        JiraError: 400, with all that is wrong, by field.
    """
    values: dict[str, object] = {}
    errors = {name: text for name, text in _REQUIRED.items() if new and not form.get(name)}
    for name, value in form.items():
        reader = _READERS.get(name)
        if reader is None:
            errors[name] = f"Field '{name}' cannot be set. It is not on the appropriate screen, or unknown."
            continue
        try:
            values |= reader(state, project, value)
        except FieldError as error:
            errors.setdefault(name, str(error))
    if errors:
        raise JiraError(400, errors=errors)
    return values


def read_update(update: Mapping[str, object], labels: Iterable[str]) -> Json:
    """Give the form that the ``update`` of a request stands for: set all, or add and remove labels.

    Raises:
        JiraError: 400, where an operation is not known here.
    """
    form: Json = {}
    for name, operations in update.items():
        for operation in operations if isinstance(operations, list) else [operations]:
            verb, value = next(iter(operation.items()), ("", None)) if isinstance(operation, dict) else ("", None)
            if verb == "set":
                form[name] = value
            elif name == "labels" and verb in ("add", "remove"):
                kept = [label for label in form.get(name, labels) if label != value]
                form[name] = [*kept, value] if verb == "add" else kept
            else:
                raise JiraError(400, errors={name: f"Field '{name}' does not support operation '{verb}' here."})
    return form


def read_time(body: Mapping[str, object]) -> int:
    """Give the seconds that a worklog entry is about.

    Raises:
        JiraError: 400, where there are none.
    """
    seconds = body.get("timeSpentSeconds")
    if isinstance(seconds, int) and not isinstance(seconds, bool) and 0 < seconds < 10**9:
        return seconds
    parts = str(body.get("timeSpent", "")).split()
    found = [_SPENT.fullmatch(part) for part in parts]
    if not found or not all(found):
        raise JiraError(400, errors={"timeLogged": "You must indicate the time spent working."})
    return sum(int(part[1]) * _SECONDS[part[2]] for part in found if part)


def read_moment(text: object) -> datetime | None:
    """Give the time that a client wrote as Jira does; None where it wrote none.

    Raises:
        JiraError: 400, where it is written in another way.
    """
    if text is None:
        return None
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError:
        problem = f"'{text}' is not a time such as 2026-03-02T09:30:00.000+0000."
        raise JiraError(400, errors={"started": problem}) from None


def form_fields(write: JiraJson, project: Project, kinds: Iterable[Named] = KINDS) -> Json:
    """Write what the form of an issue has: name of a field to what may stand in it."""
    choices: dict[str, tuple[str, list[Json]]] = {
        "issuetype": ("issuetype", [write.issue_type(kind) for kind in kinds]),
        "priority": ("priority", [write.named("priority", priority) for priority in PRIORITIES]),
        "components": ("array", [write.named("component", component) for component in project.components]),
        "fixVersions": ("array", [write.version(version) for version in project.versions]),
    }
    plain = {"assignee": "user", "duedate": "date", "labels": "array"}
    form: Json = {}
    for name in _FORM:
        kind, allowed = choices.get(name, (plain.get(name, "string"), None))
        form[name] = {
            "required": name in _REQUIRED,
            "schema": {"type": kind, "system": name},
            "name": FIELD_NAMES[name],
            "fieldId": name,
            "hasDefaultValue": name == "priority",
            "operations": ["add", "set", "remove"] if kind == "array" else ["set"],
        } | ({"allowedValues": allowed} if allowed is not None else {})
    return form


FIELD_NAMES = {
    "summary": "Summary",
    "description": "Description",
    "issuetype": "Issue Type",
    "project": "Project",
    "status": "Status",
    "priority": "Priority",
    "resolution": "Resolution",
    "resolutiondate": "Resolved",
    "assignee": "Assignee",
    "reporter": "Reporter",
    "creator": "Creator",
    "created": "Created",
    "updated": "Updated",
    "duedate": "Due Date",
    "labels": "Labels",
    "components": "Component/s",
    "fixVersions": "Fix Version/s",
    "issuelinks": "Linked Issues",
    "subtasks": "Sub-Tasks",
    "votes": "Votes",
    "watches": "Watchers",
    "timetracking": "Time Tracking",
    "attachment": "Attachment",
    "comment": "Comment",
    "worklog": "Log Work",
}


def choose(values: Iterable[Value], reference: object) -> Value:
    """Give the value that a reference such as ``{"name": "High"}`` or ``{"id": "2"}`` means.

    Raises:
        FieldError: when there is none.
    """
    wanted = reference if isinstance(reference, dict) else {"name": reference}
    for value in values:
        if str(wanted.get("id")) == value.id or str(wanted.get("name")).casefold() == value.name.casefold():
            return value
    raise FieldError(f"'{wanted.get('name', wanted.get('id'))}' is not a value that exists.")


def _summary(state: JiraState, project: Project, value: object) -> dict[str, object]:
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise FieldError(_REQUIRED["summary"])
    if "\n" in text or "\r" in text:
        raise FieldError("The summary is invalid because it contains newline characters.")
    if len(text) >= 255:
        raise FieldError("Summary must be less than 255 characters.")
    return {"summary": text}


def _description(state: JiraState, project: Project, value: object) -> dict[str, object]:
    if value is not None and not isinstance(value, str):
        raise FieldError("Operation value must be a string")
    return {"description": value}


def _kind(state: JiraState, project: Project, value: object) -> dict[str, object]:
    return {"kind": choose(KINDS, value)}


def _priority(state: JiraState, project: Project, value: object) -> dict[str, object]:
    return {"priority": choose(PRIORITIES, value)}


def _user(name: str) -> Callable[[JiraState, Project, object], dict[str, object]]:
    def read(state: JiraState, project: Project, value: object) -> dict[str, object]:
        wanted = value.get("name") if isinstance(value, dict) else value
        if wanted in (None, ""):
            return {name: None} if name == "assignee" else {}
        try:
            return {name: state.user(str(wanted))}
        except JiraError:
            raise FieldError(f"User '{wanted}' does not exist.") from None

    return read


def _labels(state: JiraState, project: Project, value: object) -> dict[str, object]:
    labels = value if isinstance(value, list) else [value]
    for label in labels:
        if not isinstance(label, str) or not label or re.search(r"\s", label):
            raise FieldError(f"The label '{label}' contains spaces which is invalid.")
    return {"labels": tuple(dict.fromkeys(labels))}


def _components(state: JiraState, project: Project, value: object) -> dict[str, object]:
    references = value if isinstance(value, list) else [value]
    return {"components": tuple(choose(project.components, reference) for reference in references)}


def _versions(state: JiraState, project: Project, value: object) -> dict[str, object]:
    references = value if isinstance(value, list) else [value]
    chosen: tuple[Version, ...] = tuple(choose(project.versions, reference) for reference in references)
    return {"versions": chosen}


def _due(state: JiraState, project: Project, value: object) -> dict[str, object]:
    if value is None:
        return {"due": None}
    try:
        return {"due": date.fromisoformat(str(value))}
    except ValueError:
        raise FieldError("Error parsing date string: " + str(value)) from None


def _nothing(state: JiraState, project: Project, value: object) -> dict[str, object]:
    return {}


_READERS: Mapping[str, Callable[[JiraState, Project, object], dict[str, object]]] = {
    "summary": _summary,
    "description": _description,
    "issuetype": _kind,
    "priority": _priority,
    "assignee": _user("assignee"),
    "reporter": _user("reporter"),
    "labels": _labels,
    "components": _components,
    "fixVersions": _versions,
    "duedate": _due,
    # Where an issue belongs is settled before its other fields are read, and can't be changed.
    "project": _nothing,
}
