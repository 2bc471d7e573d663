"""The model that judges histories: what is as promised passes, and each way of breaking a promise is caught."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from proofs.history import Act, Ask, History, Kept, Reading
from proofs.model import Promise, faults

EPOCH = 1_000.0
PROMISE = Promise(bound=1.0, owners=2.0)

MINT = Act("mint", "t", 0.0, 1.0, family="t", owner="alice")
ENDS = replace(MINT, expires=EPOCH + 20.0)
REVOKE = Act("revoke", "t", 10.0, 11.0)
ROTATE = Act("rotate", "t", 10.0, 11.0, expires=EPOCH + 15.0)
SUCCESSOR = Act("mint", "s", 10.0, 11.0, family="t", owner="alice")
DEACTIVATE = Act("deactivate", "alice", 10.0, 11.0)
ACTIVATE = Act("activate", "alice", 20.0, 21.0)
KEPT = Kept("t", "t", revoked=False)
UNKNOWN = {"outcome": "unknown"}


def asked(status: int, begin: float, end: float | None = None, token: str | None = "t") -> Ask:
    """Give a request; one that was let in was taken for the token that it came with."""
    seen = (token or "") if status == 200 else ""
    return Ask(token, begin, begin + 0.1 if end is None else end, status, seen)


def history(*events: Act | Ask | Kept | Reading) -> History:
    """Sort what happened."""
    kept = [one for one in events if isinstance(one, Kept)]
    return History(
        acts=[one for one in events if isinstance(one, Act)],
        asks=[one for one in events if isinstance(one, Ask)],
        kept=kept or None,
        readings=[one for one in events if isinstance(one, Reading)],
        epoch=EPOCH,
    )


LAWFUL = {
    "nothing": history(),
    "a token in use": history(MINT, asked(200, 2.0), asked(200, 99.0), KEPT),
    "never issued": history(MINT, asked(401, 2.0, token=None), asked(503, 2.0, token=None)),
    "tried while it is made": history(MINT, asked(401, 0.5), asked(401, 0.9, 5.0)),
    "an outage": history(MINT, asked(503, 2.0), asked(200, 3.0)),
    "not allowed": history(MINT, asked(403, 2.0)),
    "within the bound": history(MINT, REVOKE, asked(200, 11.9), asked(401, 11.9), replace(KEPT, revoked=True)),
    "slow, but begun within": history(MINT, REVOKE, asked(200, 11.9, 30.0)),
    "refused before it is told": history(MINT, REVOKE, asked(401, 10.5)),
    "refused while it begins": history(MINT, REVOKE, asked(401, 9.0, 10.1)),
    "perhaps revoked": history(
        MINT, replace(REVOKE, **UNKNOWN), asked(200, 50.0), asked(401, 12.0), replace(KEPT, revoked=True)
    ),
    "perhaps not revoked": history(MINT, replace(REVOKE, **UNKNOWN), asked(200, 50.0), KEPT),
    "revoking an unknown one": history(MINT, Act("revoke", "x", 5.0, 6.0, "refused"), asked(200, 50.0)),
    "revoked twice": history(MINT, REVOKE, replace(REVOKE, begin=5.0, end=30.0), asked(401, 13.0)),
    "expires": history(ENDS, asked(200, 19.8), asked(401, 19.95, 20.1), asked(401, 30.0)),
    "expires while asked": history(ENDS, asked(200, 19.9, 25.0)),
    "rotated": history(
        MINT, ROTATE, SUCCESSOR, asked(200, 14.9), asked(401, 15.0), asked(200, 12.0, token="s"),
        replace(KEPT, expires=EPOCH + 15.0), Kept("s", "s", False),
    ),
    "rotated at once, within the bound": history(MINT, replace(ROTATE, expires=EPOCH + 10.0), asked(200, 11.9)),
    "perhaps rotated": history(MINT, replace(ROTATE, **UNKNOWN), asked(200, 50.0), asked(401, 16.0), KEPT),
    "rotation refused": history(MINT, replace(ROTATE, outcome="refused"), asked(200, 50.0), KEPT),
    "rotation refused by a revocation": history(
        MINT, REVOKE, replace(ROTATE, outcome="refused"), Kept("t", "t", True, EPOCH + 15.0)
    ),
    "dies with its successor": history(MINT, ROTATE, SUCCESSOR, Act("revoke", "s", 12.0, 13.0), asked(401, 12.5)),
    "owner goes": history(MINT, DEACTIVATE, asked(200, 12.9), asked(401, 10.5), asked(401, 50.0)),
    "owner comes back": history(MINT, DEACTIVATE, ACTIVATE, asked(401, 22.9), asked(200, 20.5), asked(200, 50.0)),
    "owner may be coming back": history(MINT, DEACTIVATE, replace(ACTIVATE, end=90.0), asked(200, 50.0)),
    "clock ahead": history(ENDS, Reading(5.0, 9.0, 100.0), asked(401, 6.0), asked(401, 8.9, 9.5), asked(200, 9.5)),
    "clock behind": history(ENDS, Reading(0.0, inf, -100.0), asked(200, 60.0)),
    "clock being set": history(ENDS, Reading(0, 30.0, 0.0), Reading(29.0, inf, -100.0), asked(200, 29.5)),
}  # fmt: skip

UNLAWFUL = {
    "never issued, let in": (history(asked(200, 2.0, token=None)), "never issued"),
    "anonymous": (history(MINT, replace(asked(200, 2.0), seen="")), "somebody else"),
    "another's": (history(MINT, replace(asked(200, 2.0), seen="s")), "somebody else"),
    "application called without a grant": (history(MINT, asked(299, 2.0)), "no lawful answer"),
    "an error": (history(MINT, asked(500, 2.0)), "no lawful answer"),
    "too late": (history(MINT, REVOKE, asked(401, 11.5), asked(200, 12.1)), "after it was revoked"),
    "much too late": (history(MINT, REVOKE, asked(401, 12.1), asked(200, 300.0)), "after it was revoked"),
    "told twice, late after the first": (
        history(MINT, REVOKE, replace(REVOKE, begin=5.0, end=30.0), asked(200, 13.0)),
        "after it was revoked",
    ),
    "late though a later one is unsure": (
        history(MINT, REVOKE, replace(REVOKE, begin=12.0, end=30.0, outcome="unknown"), asked(200, 13.0)),
        "after it was revoked",
    ),
    "predecessor lives on": (
        history(MINT, ROTATE, SUCCESSOR, Act("revoke", "s", 12.0, 13.0), Act("revoke", "t", 12.0, 13.0),
                asked(200, 14.5)),
        "after it was revoked",
    ),
    "expired, let in": (history(ENDS, asked(200, 20.1)), "after it expired"),
    "expired by every clock": (
        history(ENDS, Reading(0, 30.0, 100.0), Reading(29.0, inf, 50.0), asked(200, 29.5)),
        "after it expired",
    ),
    "rotated out, let in": (history(MINT, ROTATE, SUCCESSOR, asked(200, 15.1)), "after it expired"),
    "rotated at once, let in": (
        history(MINT, replace(ROTATE, expires=EPOCH + 10.0), asked(200, 12.1)),
        "after it expired",
    ),
    "live, called bad": (history(MINT, asked(401, 2.0)), "called a bad one"),
    "called bad before it is revoked": (history(MINT, REVOKE, asked(401, 9.0)), "called a bad one"),
    "called bad before it expires": (history(ENDS, asked(401, 10.0)), "called a bad one"),
    "called bad before it is rotated out": (history(MINT, ROTATE, asked(401, 12.0)), "called a bad one"),
    "called bad though not rotated": (
        history(MINT, replace(ROTATE, outcome="refused"), asked(401, 50.0)),
        "called a bad one",
    ),
    "successor called bad": (history(MINT, ROTATE, SUCCESSOR, asked(401, 12.0, token="s")), "called a bad one"),
    "another's revocation": (
        history(MINT, replace(MINT, token="u", family="u"), REVOKE, asked(401, 12.0, token="u")),
        "called a bad one",
    ),
    "called bad by a clock that went right again": (
        history(ENDS, Reading(5.0, 9.0, 100.0), asked(401, 9.5)),
        "called a bad one",
    ),
    "owner gone, let in": (history(MINT, DEACTIVATE, asked(200, 13.1)), "owner was deactivated"),
    "owner back, called bad": (history(MINT, DEACTIVATE, ACTIVATE, asked(401, 23.1)), "called a bad one"),
    "unavailable for ever": (history(MINT, replace(asked(503, 90.0), settled=True)), "though all is well"),
    "token lost": (history(MINT, Kept("u", "u", False)), "token is lost"),
    "token denied": (history(MINT, replace(REVOKE, outcome="refused")), "denied an acknowledged token"),
    "revocation lost": (history(MINT, REVOKE, KEPT), "revocation is lost"),
    "rotation lost": (history(MINT, ROTATE, SUCCESSOR, KEPT, Kept("s", "s", False)), "another time"),
    "successor lost": (history(MINT, ROTATE, SUCCESSOR, replace(KEPT, expires=EPOCH + 15.0)), "token is lost"),
    "secret lost": (history(MINT, replace(KEPT, found=None)), "secret finds another"),
    "secrets mixed up": (history(MINT, replace(KEPT, found="s")), "secret finds another"),
    "revoked by nobody": (history(MINT, replace(KEPT, revoked=True)), "nobody revoked it"),
    "one of two lost": (
        history(MINT, replace(MINT, token="u", family="u"), REVOKE, Kept("t", "t", True)),
        "token is lost",
    ),
    "ended by nobody": (history(MINT, replace(KEPT, expires=EPOCH + 50.0)), "another time"),
    "made endless by nobody": (history(ENDS, KEPT), "another time"),
}  # fmt: skip


@pytest.mark.parametrize("given", LAWFUL.values(), ids=LAWFUL)
def test_what_is_as_promised_passes(given: History) -> None:
    """Nothing is made up."""
    assert faults(given, PROMISE) == []


@pytest.mark.parametrize(("given", "words"), UNLAWFUL.values(), ids=UNLAWFUL)
def test_what_is_not_is_caught(given: History, words: str) -> None:
    """Once, and for what it is."""
    [fault] = faults(given, PROMISE)

    assert words in fault


def test_a_longer_bound_allows_more() -> None:
    """What may be stale for a while is allowed for that while and no longer."""
    given = history(MINT, REVOKE, asked(200, 12.9), asked(200, 13.1))

    assert len(faults(given, replace(PROMISE, bound=2.0))) == 1
