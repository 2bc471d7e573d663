"""What a Jira is made of, as far as the stand-in has it: frozen values, the words that issues use, and refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime


class JiraError(Exception):
    """A refusal in Jira's own words.

    Args:
        status: the HTTP status that Jira answers with.
        messages: what is wrong with the whole.
        errors: name of a field to what is wrong with it.
    """

    def __init__(self, status: int, *messages: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(*messages)
        self.status = status
        self.messages = messages
        self.errors = errors or {}


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whom Jira knows."""

    name: str
    key: str
    display_name: str
    mail: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A word of Jira's: a priority, a resolution, a kind of issue, a component."""

    id: str
    name: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Category:
    """What a status amounts to: not begun, under way, done."""

    id: int
    key: str
    name: str
    color: str


@dataclass(frozen=True, slots=True)
class Status(Named):
    """Where an issue stands."""

    category: Category = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Version(Named):
    """A release of a project."""

    released: bool = False
    release_date: date | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody said about an issue."""

    id: int
    author: User
    body: str
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Worklog:
    """Time that somebody spent on an issue."""

    id: int
    author: User
    seconds: int
    text: str
    started: datetime


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file at an issue."""

    id: int
    author: User
    name: str
    content: bytes = field(repr=False)
    created: datetime


@dataclass(frozen=True, slots=True)
class Project:
    """A project, with what its issues may refer to."""

    id: str
    key: str
    name: str
    about: str
    lead: User
    components: tuple[Named, ...] = ()
    versions: tuple[Version, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An issue and all that hangs on it."""

    id: int
    number: int
    project: Project
    kind: Named
    summary: str
    status: Status
    priority: Named
    reporter: User
    created: datetime
    updated: datetime
    assignee: User | None = None
    description: str | None = None
    resolution: Named | None = None
    resolved: datetime | None = None
    due: date | None = None
    labels: tuple[str, ...] = ()
    components: tuple[Named, ...] = ()
    versions: tuple[Version, ...] = ()
    comments: tuple[Comment, ...] = ()
    worklogs: tuple[Worklog, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    watchers: frozenset[User] = frozenset()
    voters: frozenset[User] = frozenset()

    @property
    def key(self) -> str:
        """What people call it."""
        return f"{self.project.key}-{self.number}"


TO_DO = Category(2, "new", "To Do", "blue-gray")
UNDER_WAY = Category(4, "indeterminate", "In Progress", "yellow")
COMPLETE = Category(3, "done", "Done", "green")
CATEGORIES = (TO_DO, UNDER_WAY, COMPLETE)

STATUSES = (
    Status("10000", "To Do", "Nobody has begun yet.", category=TO_DO),
    Status("3", "In Progress", "The assignee is working on it.", category=UNDER_WAY),
    Status("10001", "In Review", "Somebody else is looking at it.", category=UNDER_WAY),
    Status("10002", "Done", "Nothing is left to do.", category=COMPLETE),
)
TRANSITIONS = dict(zip(("11", "21", "31", "41"), STATUSES, strict=True))
PRIORITIES = tuple(Named(str(at), name) for at, name in enumerate(("Highest", "High", "Medium", "Low", "Lowest"), 1))
RESOLUTIONS = (
    Named("10000", "Done", "Work on this is complete."),
    Named("10001", "Won't Do", "This will not be done."),
    Named("10002", "Duplicate", "Another issue says the same."),
    Named("10003", "Cannot Reproduce", "It did not happen again."),
)
KINDS = (
    Named("10001", "Story", "Something that a user wants."),
    Named("10002", "Task", "Something to do."),
    Named("10004", "Bug", "Something that is broken."),
)
LINKS = (
    (Named("10000", "Blocks"), "is blocked by", "blocks"),
    (Named("10002", "Duplicate"), "is duplicated by", "duplicates"),
    (Named("10003", "Relates"), "relates to", "relates to"),
)
