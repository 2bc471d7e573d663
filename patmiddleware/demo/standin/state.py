"""What the Jira stand-in knows: users, projects, issues, and how they change. Nothing in here speaks HTTP.

All values are frozen, and a change puts a new one in place of the old, under one lock: what a thread has read stays
whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from threading import RLock

from .model import (
    COMPLETE,
    PRIORITIES,
    RESOLUTIONS,
    STATUSES,
    TRANSITIONS,
    Attachment,
    Comment,
    Issue,
    JiraError,
    Named,
    Project,
    Status,
    User,
    Worklog,
)


def now() -> datetime:
    """Give the time, in UTC."""
    return datetime.now(UTC)


class JiraState:
    """A small Jira in memory, safe to share between threads.

    Args:
        users: known from the start; others are made when they first come.
        projects: with nothing in them yet.
        clock: gives the time, in UTC.
    """

    def __init__(
        self, users: Iterable[User], projects: Iterable[Project], *, clock: Callable[[], datetime] = now
    ) -> None:
        self._lock = RLock()
        self._clock = clock
        self._ids = count(10_000)
        self._users = {user.name: user for user in users}
        self._projects = {project.key: project for project in projects}
        self._numbers = {key: count(1) for key in self._projects}
        self._issues: dict[str, Issue] = {}

    def users(self) -> tuple[User, ...]:
        """Give all users."""
        with self._lock:
            return tuple(self._users.values())

    def user(self, name: str) -> User:
        """Give a user by name or key.

        Raises:
            JiraError: 404, when there is none.
        """
        for user in self.users():
            if name.casefold() in (user.name.casefold(), user.key.casefold()):
                return user
        raise JiraError(404, f"The user named '{name}' does not exist")

    def welcome(self, name: str) -> User:
        """Give the user of that name, who is made if need be: whoever stands before us has vouched for the name."""
        with self._lock:
            known = self._users.get(name)
            if known is None:
                known = self._users[name] = User(name, f"JIRAUSER{next(self._ids)}", name)
            return known

    def projects(self) -> tuple[Project, ...]:
        """Give all projects."""
        return tuple(self._projects.values())

    def project(self, name: str) -> Project:
        """Give a project by key or id.

        Raises:
            JiraError: 404, when there is none.
        """
        for project in self.projects():
            if name.upper() == project.key or name == project.id:
                return project
        raise JiraError(404, f"No project could be found with key '{name}'.")

    def issues(self) -> tuple[Issue, ...]:
        """Give all issues."""
        with self._lock:
            return tuple(self._issues.values())

    def issue(self, name: str) -> Issue:
        """Give an issue by key or id.

        Raises:
            JiraError: 404, when there is none.
        """
        with self._lock:
            known = self._issues.get(name.upper())
        for issue in (known,) if known else self.issues():
            if issue is known or str(issue.id) == name:
                return issue
        raise JiraError(404, "Issue Does Not Exist")

    def create(self, author: User, project: Project, **values: object) -> Issue:
        """Make an issue.

        Args:
            author: who reports it, unless the values name somebody.
            project: where it belongs.
            values: of :class:`Issue`; at least the kind and the summary.
        """
        with self._lock:
            made = self._clock()
            defaults = {"status": STATUSES[0], "priority": PRIORITIES[2], "reporter": author, "created": made}
            defaults |= {"updated": made, "watchers": frozenset({author}), "id": next(self._ids)}
            number = next(self._numbers[project.key])
            issue = Issue(project=project, number=number, **(defaults | values))  # type: ignore[arg-type]
            self._issues[issue.key] = issue
            return issue

    def change(self, name: str, **values: object) -> Issue:
        """Put other values into an issue.

        Raises:
            JiraError: 404, when there is none.
        """
        return self._edit(name, lambda issue: replace(issue, **values))  # type: ignore[arg-type]

    def remove(self, name: str) -> None:
        """Delete an issue; its key is never given again.

        Raises:
            JiraError: 404, when there is none.
        """
        with self._lock:
            del self._issues[self.issue(name).key]

    def _edit(self, name: str, change: Callable[[Issue], Issue]) -> Issue:
        with self._lock:
            changed = replace(change(self.issue(name)), updated=self._clock())
            self._issues[changed.key] = changed
            return changed

    def transitions(self, name: str) -> dict[str, Status]:
        """Give what may be done with an issue: id of the transition to the status that it leads to."""
        issue = self.issue(name)
        return {key: status for key, status in TRANSITIONS.items() if status != issue.status}

    def transition(self, name: str, key: str, resolution: Named | None = None) -> Issue:
        """Take an issue to another status; a done issue has a resolution, any other has none.

        Raises:
            JiraError: 400, when the transition can't be taken from where the issue stands.
        """
        with self._lock:
            status = self.transitions(name).get(key)
            if status is None:
                raise JiraError(400, f"'{key}' is not a transition of this issue, as it stands.")
            if status.category is not COMPLETE:
                return self.change(name, status=status, resolution=None, resolved=None)
            return self.change(name, status=status, resolution=resolution or RESOLUTIONS[0], resolved=self._clock())

    def add_comment(self, name: str, author: User, body: str) -> Comment:
        """Say something about an issue."""
        with self._lock:
            made = self._clock()
            comment = Comment(next(self._ids), author, body, made, made)
            self._edit(name, lambda issue: replace(issue, comments=(*issue.comments, comment)))
            return comment

    def comment(self, name: str, number: int) -> Comment:
        """Give one comment of an issue.

        Raises:
            JiraError: 404, when there is none.
        """
        for comment in self.issue(name).comments:
            if comment.id == number:
                return comment
        raise JiraError(404, f"Can not find a comment for the id: {number}.")

    def edit_comment(self, name: str, number: int, body: str) -> Comment:
        """Say it in other words."""
        with self._lock:
            edited = replace(self.comment(name, number), body=body, updated=self._clock())
            kept = tuple(edited if old.id == number else old for old in self.issue(name).comments)
            self.change(name, comments=kept)
            return edited

    def remove_comment(self, name: str, number: int) -> None:
        """Take back what was said."""
        with self._lock:
            gone = self.comment(name, number)
            self.change(name, comments=tuple(old for old in self.issue(name).comments if old is not gone))

    def add_worklog(self, name: str, author: User, seconds: int, text: str, started: datetime | None) -> Worklog:
        """Log time; ``started`` left out: now."""
        with self._lock:
            worklog = Worklog(next(self._ids), author, seconds, text, started or self._clock())
            self._edit(name, lambda issue: replace(issue, worklogs=(*issue.worklogs, worklog)))
            return worklog

    def attach(self, name: str, author: User, file_name: str, content: bytes) -> Attachment:
        """Add a file to an issue."""
        with self._lock:
            attachment = Attachment(next(self._ids), author, file_name, content, self._clock())
            self._edit(name, lambda issue: replace(issue, attachments=(*issue.attachments, attachment)))
            return attachment

    def attachment(self, number: int) -> Attachment:
        """Give an attachment.

        Raises:
            JiraError: 404, when there is none.
        """
        return self._attached(number)[1]

    def detach(self, number: int) -> None:
        """Delete an attachment.

        Raises:
            JiraError: 404, when there is none.
        """
        with self._lock:
            issue, gone = self._attached(number)
            self.change(issue.key, attachments=tuple(old for old in issue.attachments if old is not gone))

    def _attached(self, number: int) -> tuple[Issue, Attachment]:
        for issue in self.issues():
            for attachment in issue.attachments:
                if attachment.id == number:
                    return issue, attachment
        raise JiraError(404, f"The attachment with id '{number}' does not exist")

    def watch(self, name: str, user: User, on: bool = True) -> None:
        """Let somebody watch an issue, or no more."""
        self._edit(name, lambda issue: replace(issue, watchers=_with(issue.watchers, user, on)))

    def vote(self, name: str, user: User, on: bool = True) -> None:
        """Count somebody's vote for an issue, or no more."""
        self._edit(name, lambda issue: replace(issue, voters=_with(issue.voters, user, on)))


def _with(users: frozenset[User], user: User, on: bool) -> frozenset[User]:
    return users | {user} if on else users - {user}
