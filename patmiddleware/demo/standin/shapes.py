"""What the stand-in knows, in the JSON shapes of Jira's REST API."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from mimetypes import guess_type
from typing import Any, TypeAlias
from urllib.parse import quote

from .model import (
    CATEGORIES,
    Attachment,
    Category,
    Comment,
    Issue,
    JiraError,
    Named,
    Project,
    Status,
    User,
    Version,
    Worklog,
)

# JSON objects have values of every kind, and nobody but a client reads them.
Json: TypeAlias = dict[str, Any]

_HEAVY = frozenset({"comment", "attachment", "worklog", "timetracking"})


def moment(value: datetime | None) -> str | None:
    """Give a time as Jira writes it."""
    return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def media_type(attachment: Attachment) -> str:
    """Give the kind of an attachment, by its name: what the uploader called it is not to be believed."""
    return guess_type(attachment.name)[0] or "application/octet-stream"


def problem(error: JiraError) -> Json:
    """Give an error in the usual shape."""
    return {"errorMessages": list(error.messages), "errors": error.errors}


class JiraJson:
    """Writes the values of the stand-in as JSON, with absolute links.

    Args:
        base: the address of Jira, with its context path and without a slash at the end.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self.api = f"{base}/rest/api/2"

    def user(self, user: User) -> Json:
        """Write a user."""
        picture = f"{self.base}/secure/useravatar?avatarId=10122"
        return {
            "self": f"{self.api}/user?username={quote(user.name)}",
            "name": user.name,
            "key": user.key,
            "emailAddress": user.mail,
            "avatarUrls": {f"{size}x{size}": picture for size in (16, 24, 32, 48)},
            "displayName": user.display_name,
            "active": True,
            "timeZone": "Etc/UTC",
        }

    def named(self, kind: str, value: Named) -> Json:
        """Write a priority, a resolution or a component, which differ in their address alone."""
        return {
            "self": f"{self.api}/{kind}/{value.id}",
            "id": value.id,
            "name": value.name,
            "description": value.about,
        }

    def issue_type(self, value: Named) -> Json:
        """Write a kind of issue."""
        return {**self.named("issuetype", value), "iconUrl": f"{self.base}/secure/viewavatar", "subtask": False}

    def link_type(self, value: tuple[Named, str, str]) -> Json:
        """Write a kind of link."""
        named, inward, outward = value
        return {
            "id": named.id,
            "name": named.name,
            "inward": inward,
            "outward": outward,
            "self": f"{self.api}/issueLinkType/{named.id}",
        }

    def category(self, value: Category) -> Json:
        """Write a category of statuses."""
        return {
            "self": f"{self.api}/statuscategory/{value.id}",
            "id": value.id,
            "key": value.key,
            "colorName": value.color,
            "name": value.name,
        }

    def categories(self) -> list[Json]:
        """Write all categories of statuses."""
        return [self.category(value) for value in CATEGORIES]

    def status(self, value: Status) -> Json:
        """Write a status."""
        return {**self.named("status", value), "statusCategory": self.category(value.category)}

    def version(self, value: Version) -> Json:
        """Write a release of a project."""
        released = {"releaseDate": value.release_date.isoformat()} if value.release_date else {}
        return {**self.named("version", value), "archived": False, "released": value.released, **released}

    def project(self, project: Project, whole: bool = False) -> Json:
        """Write a project; as a whole with what its issues may refer to."""
        short = {
            "self": f"{self.api}/project/{project.id}",
            "id": project.id,
            "key": project.key,
            "name": project.name,
            "projectTypeKey": "software",
        }
        if not whole:
            return short
        return {
            **short,
            "description": project.about,
            "lead": self.user(project.lead),
            "components": [self.named("component", component) for component in project.components],
            "versions": [self.version(version) for version in project.versions],
        }

    def comment(self, issue: Issue, comment: Comment) -> Json:
        """Write a comment."""
        return {
            "self": f"{self.api}/issue/{issue.id}/comment/{comment.id}",
            "id": str(comment.id),
            "author": self.user(comment.author),
            "updateAuthor": self.user(comment.author),
            "body": comment.body,
            "created": moment(comment.created),
            "updated": moment(comment.updated),
        }

    def worklog(self, issue: Issue, worklog: Worklog) -> Json:
        """Write a worklog entry."""
        return {
            "self": f"{self.api}/issue/{issue.id}/worklog/{worklog.id}",
            "id": str(worklog.id),
            "issueId": str(issue.id),
            "author": self.user(worklog.author),
            "comment": worklog.text,
            "started": moment(worklog.started),
            "timeSpentSeconds": worklog.seconds,
            "timeSpent": spent(worklog.seconds),
        }

    def attachment(self, attachment: Attachment) -> Json:
        """Write an attachment, with the address of its content."""
        return {
            "self": f"{self.api}/attachment/{attachment.id}",
            "id": str(attachment.id),
            "filename": attachment.name,
            "author": self.user(attachment.author),
            "created": moment(attachment.created),
            "size": len(attachment.content),
            "mimeType": media_type(attachment),
            "content": f"{self.base}/secure/attachment/{attachment.id}/{quote(attachment.name, safe='')}",
        }

    def votes(self, issue: Issue, me: User | None) -> Json:
        """Write who voted, in short."""
        address = f"{self.api}/issue/{issue.key}/votes"
        return {"self": address, "votes": len(issue.voters), "hasVoted": me in issue.voters}

    def watches(self, issue: Issue, me: User | None) -> Json:
        """Write who watches, in short."""
        address = f"{self.api}/issue/{issue.key}/watchers"
        return {"self": address, "watchCount": len(issue.watchers), "isWatching": me in issue.watchers}

    def issue(self, issue: Issue, me: User | None, wanted: Collection[str]) -> Json:
        """Write an issue.

        Args:
            issue: what to write.
            me: who asks.
            wanted: names of fields, ``*all``, ``*navigable``, or ``-name`` for all but that one.
        """
        return {
            "expand": "renderedFields,names,schema,operations,editmeta,changelog,versionedRepresentations",
            "id": str(issue.id),
            "self": f"{self.api}/issue/{issue.id}",
            "key": issue.key,
            "fields": {name: write() for name, write in self._fields(issue, me).items() if is_wanted(name, wanted)},
        }

    def _fields(self, issue: Issue, me: User | None) -> Mapping[str, Callable[[], object]]:
        def user(value: User | None) -> Json | None:
            return self.user(value) if value else None

        return {
            "summary": lambda: issue.summary,
            "description": lambda: issue.description,
            "issuetype": lambda: self.issue_type(issue.kind),
            "project": lambda: self.project(issue.project),
            "status": lambda: self.status(issue.status),
            "priority": lambda: self.named("priority", issue.priority),
            "resolution": lambda: issue.resolution and self.named("resolution", issue.resolution),
            "resolutiondate": lambda: moment(issue.resolved),
            "assignee": lambda: user(issue.assignee),
            "reporter": lambda: user(issue.reporter),
            "creator": lambda: user(issue.reporter),
            "created": lambda: moment(issue.created),
            "updated": lambda: moment(issue.updated),
            "duedate": lambda: issue.due and issue.due.isoformat(),
            "labels": lambda: list(issue.labels),
            "components": lambda: [self.named("component", value) for value in issue.components],
            "fixVersions": lambda: [self.version(value) for value in issue.versions],
            "issuelinks": lambda: [],
            "subtasks": lambda: [],
            "votes": lambda: self.votes(issue, me),
            "watches": lambda: self.watches(issue, me),
            "timetracking": lambda: {"timeSpentSeconds": sum(entry.seconds for entry in issue.worklogs)},
            "attachment": lambda: [self.attachment(attachment) for attachment in issue.attachments],
            "comment": lambda: listing("comments", [self.comment(issue, comment) for comment in issue.comments]),
            "worklog": lambda: listing("worklogs", [self.worklog(issue, entry) for entry in issue.worklogs]),
        }


def listing(name: str, values: Iterable[Json]) -> Json:
    """Write all values as the one page that there is."""
    page = list(values)
    return {"startAt": 0, "maxResults": len(page), "total": len(page), name: page}


def is_wanted(name: str, wanted: Collection[str]) -> bool:
    """Whether a field is to be written."""
    if f"-{name}" in wanted:
        return False
    if name in wanted or "*all" in wanted:
        return True
    return ("*navigable" in wanted or all(word.startswith("-") for word in wanted)) and name not in _HEAVY


def spent(seconds: int) -> str:
    """Write a time as people do, such as ``1d 2h 30m``; a day has eight hours."""
    minutes, parts = seconds // 60, []
    for unit, length in (("d", 480), ("h", 60), ("m", 1)):
        amount, minutes = divmod(minutes, length)
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts) or "0m"
