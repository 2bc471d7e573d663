"""A project to play with: a marina that takes bookings for its berths."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from .model import KINDS, PRIORITIES, STATUSES, TRANSITIONS, Named, Project, Status, User, Version
from .state import JiraState, now

ALICE = User("alice", "JIRAUSER10100", "Alice Moreau", "alice@example.com")
BOB = User("bob", "JIRAUSER10101", "Bob Lindqvist", "bob@example.com")
CAROL = User("carol", "JIRAUSER10102", "Carol Okafor", "carol@example.com")
SERVICE = User("svc-gate", "JIRAUSER10103", "Gate (service account)", "gate@example.com")
ADMIN = User("admin", "JIRAUSER10104", "Ada Admin", "admin@example.com")

BOOKING = Named("10200", "Booking", "Finding and reserving a berth")
PAYMENT = Named("10201", "Payment", "Prices, invoices and refunds")
HARBOUR = Named("10202", "Harbour office", "What the harbour master sees")

SPRING = Version("10300", "1.0", "What the season opens with", released=True, release_date=date(2026, 4, 1))
SUMMER = Version("10301", "1.1", "What the first weeks taught us")

STORY, TASK, BUG = KINDS
TO_DO, IN_PROGRESS, IN_REVIEW, DONE = STATUSES
HIGHEST, HIGH, MEDIUM, LOW, _ = PRIORITIES

START = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)


class _Story(NamedTuple):
    """An issue, as it is told."""

    kind: Named
    status: Status
    priority: Named
    reporter: User
    assignee: User | None
    component: Named
    version: Version
    summary: str
    description: str
    labels: tuple[str, ...] = ()
    comments: tuple[tuple[User, str], ...] = ()
    file: tuple[str, bytes] | None = None


_STORIES = (
    _Story(
        STORY, DONE, HIGH, CAROL, ALICE, BOOKING, SPRING,
        "Show free berths for the dates that a skipper picks",
        "As a skipper I want to see which berths are free for my dates and the length of my boat.",
        ("search",),
        ((ALICE, "Berths that are closed for repair count as taken."), (CAROL, "Agreed, it looks right on the phone.")),
    ),
    _Story(
        STORY, DONE, HIGH, CAROL, BOB, PAYMENT, SPRING,
        "Take a deposit of 20 % when a berth is booked",
        "The rest is paid at the harbour office. The deposit is given back until three days before arrival.",
        ("payment",),
        ((BOB, "The bank's test account answers, I can go on."),),
    ),
    _Story(
        BUG, IN_PROGRESS, HIGHEST, CAROL, ALICE, BOOKING, SUMMER,
        "Two skippers can book the same berth within the same second",
        "Seen on Saturday at 10:00, when the bookings for July opened. Both got a confirmation for berth C14.",
        ("race", "data"),
        (
            (ALICE, "The check and the insert are two transactions. A constraint on berth and dates will do."),
            (BOB, "Please look at the waiting list as well, it goes the same way."),
            (CAROL, "I called both. One takes C15 and gets the night for free."),
        ),
        ("c14-saturday.log", b"10:00:00.412 hold C14 2026-07-04/2026-07-11 boat=Selene\n"
                             b"10:00:00.431 hold C14 2026-07-04/2026-07-11 boat=Marlin\n"
                             b"10:00:00.688 book C14 ok boat=Selene\n10:00:00.702 book C14 ok boat=Marlin\n"),
    ),
    _Story(
        TASK, TO_DO, MEDIUM, ALICE, None, HARBOUR, SUMMER,
        "Print the list of arrivals for the day",
        "One page, sorted by berth, with the boat's length and the hour of arrival.",
    ),
    _Story(
        BUG, IN_REVIEW, HIGH, BOB, BOB, PAYMENT, SUMMER,
        "Refunds are one cent short when the deposit is split",
        "A deposit of 33.33 in three parts comes back as 33.32. The rounding has to be done on the sum.",
        ("payment", "rounding"),
        ((BOB, "Fixed with decimals all the way, the review is open."),),
    ),
    _Story(
        STORY, TO_DO, MEDIUM, CAROL, BOB, HARBOUR, SUMMER,
        "Import the berths from the harbour's spreadsheet",
        "The spreadsheet is attached. Length and depth are in metres.",
        ("import",),
        file=("berths.csv", b"berth,length,depth\nA01,8.5,1.9\nA02,8.5,1.9\nB07,11,2.4\nC14,14,3.1\n"),
    ),
    _Story(
        BUG, DONE, LOW, ALICE, ALICE, BOOKING, SPRING,
        "Arrival at midnight is shown as the day before",
        "Only for skippers whose phone is set to a zone west of the harbour's.",
        ("time-zones",),
        ((ALICE, "The dates of a stay are dates of the harbour; times were shown in the zone of the phone."),),
    ),
    _Story(
        STORY, IN_PROGRESS, MEDIUM, CAROL, BOB, BOOKING, SUMMER,
        "Put skippers on a waiting list when the harbour is full",
        "The first on the list has two hours to answer, then the next one is asked.",
        ("waiting-list",),
        ((CAROL, "By text message, please. Nobody reads mail at sea."), (BOB, "Both, then.")),
    ),
    _Story(
        TASK, TO_DO, LOW, BOB, None, PAYMENT, SUMMER,
        "Move the invoices' numbers to one sequence for each year",
        "The accountant asks for it before the end of June.",
    ),
    _Story(
        STORY, IN_REVIEW, MEDIUM, CAROL, ALICE, HARBOUR, SUMMER,
        "Mark a berth as closed for repair",
        "From one day to another, with a reason that skippers can read.",
        ("harbour-master",),
    ),
    _Story(
        BUG, TO_DO, HIGH, CAROL, ALICE, HARBOUR, SUMMER,
        "The map of the berths is empty on older tablets",
        "The tablet in the harbour office shows a white page since the last update.",
        ("map",),
        ((ALICE, "Which browser is on it?"), (CAROL, "It says version 79.")),
    ),
    _Story(
        TASK, TO_DO, MEDIUM, ALICE, CAROL, BOOKING, SUMMER,
        "Write the answers to the ten questions that skippers ask most",
        "In plain words, in French and in English.",
        ("help",),
    ),
)  # fmt: skip


def seeded(clock: Callable[[], datetime] = now) -> JiraState:
    """Give a state with five users and a project of twelve issues, whose past goes back to March 2026.

    Args:
        clock: gives the time of all that happens from now on, in UTC.
    """
    past = [START]
    project = Project(
        "10000",
        "DEMO",
        "Berth booking",
        "Bookings for the marina",
        CAROL,
        (BOOKING, PAYMENT, HARBOUR),
        (SPRING, SUMMER),
    )
    state = JiraState((ALICE, BOB, CAROL, SERVICE, ADMIN), (project,), clock=lambda: past[0] if past else clock())
    for story in _STORIES:
        _tell(state, project, story, past)
    past.clear()
    return state


def _tell(state: JiraState, project: Project, story: _Story, past: list[datetime]) -> None:
    issue = state.create(
        story.reporter,
        project,
        kind=story.kind,
        summary=story.summary,
        description=story.description,
        priority=story.priority,
        assignee=story.assignee,
        components=(story.component,),
        versions=(story.version,),
        labels=story.labels,
    )
    if story.file:
        state.attach(issue.key, story.reporter, *story.file)
    for author, text in story.comments:
        past[0] += timedelta(hours=3, minutes=20)
        state.add_comment(issue.key, author, text)
    if story.status is not TO_DO:
        past[0] += timedelta(hours=2, minutes=5)
        state.transition(issue.key, next(key for key, status in TRANSITIONS.items() if status is story.status))
    past[0] += timedelta(days=1, hours=1, minutes=10)
