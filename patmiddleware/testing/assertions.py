"""What a test says of an answer: the gate refused, and why; or the gate let it pass, and whom."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from patmiddleware.annotate import STATUS, grant_from
from patmiddleware.errors import ConfigurationError
from patmiddleware.model import Grant, Reason
from patmiddleware.reject import ROWS

from .answers import Answer, Refusal

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def assert_refused(
    response: object,
    reason: Reason,
    *,
    needed: Collection[str] | None = None,
    held: Collection[str] | None = None,
    rule: str | None = None,
) -> Refusal:
    """Assert that the gate refused a request for a reason: by the status, the challenge and the body.

    An answer with the same status that the application gave is none of the gate's, and fails. A client can't tell
    unknown, expired and revoked tokens and owners who are gone from each other, and no more can this: each passes for
    the others. The body must be a problem, or in Jira's shape; where it is made by a callable of yours, look at that.

    Args:
        response: of WebTest, werkzeug or Flask.
        reason: why.
        needed: scopes that would have been enough, exactly; None: any.
        held: scopes that the caller had, exactly; None: any.
        rule: the id of the rule that decided; None: any.

    Returns:
        What the body says.

    Raises:
        AssertionError: with what came, what was expected and the request's id.
        ConfigurationError: when one text stands for a collection, or the reason is none.

    Source: RFC 6750, section 3.
    """
    __tracebackhide__ = True
    if reason not in ROWS:
        raise ConfigurationError(f"{reason!r} is none", setting="reason", hint="such as Reason.MISSING")
    reason = Reason(reason)  # its word is taken for it
    expected: dict[str, object] = {}
    for name, names in (("needed", needed), ("held", held)):
        if isinstance(names, str):
            raise ConfigurationError(f"takes a collection of names, not {names!r}", setting=name)
        if names is not None:
            expected[name] = sorted(names)
    if rule is not None:
        expected["rule"] = rule
    answer, row = Answer.of(response), ROWS[reason]
    if wrong := [*_wrong_answer(answer, reason, expected)]:
        words = "".join(f", {name}: {_shown(value)}" for name, value in expected.items())
        raise AssertionError(_message(f"refused with {row.status} {reason.value}{words}", answer, wrong))
    refusal = answer.refusal
    assert refusal is not None
    return refusal


def assert_granted(response: object, *, owner: str | None = None, scopes: Collection[str] | None = None) -> Grant:
    """Assert that the gate let a request pass for a token, whatever the application answered then.

    Args:
        response: of WebTest, or of a client of werkzeug's or Flask's that :func:`~patmiddleware.testing.with_token` was
            given: others don't show what the application saw.
        owner: whose token; None: anybody's.
        scopes: that the grant has, exactly; None: any.

    Returns:
        The grant that the application saw.

    Raises:
        AssertionError: with what came, what was expected and the request's id.
        ConfigurationError: when one text stands for a collection.
    """
    __tracebackhide__ = True
    if isinstance(scopes, str):
        raise ConfigurationError(f"takes a collection of names, not {scopes!r}", setting="scopes")
    answer = Answer.of(response)
    grant = grant_from(answer.environ)
    if grant is None or answer.environ.get(STATUS) != "confirmed":
        seen = "no grant is seen: the gate let no token pass, or the client shows none (see with_token)"
        wrong = [seen, *_unknown(answer)]
    else:
        wrong = [*_wrong_grant(answer, grant, owner, scopes)]
    if wrong or grant is None:
        raise AssertionError(_message(f"granted{'' if owner is None else f' to {owner}'}", answer, wrong))
    return grant


def _unknown(answer: Answer) -> Iterator[str]:
    """Say what is most often amiss where a token is not valid: the gate under test has another store or clock."""
    bearer = answer.bearer()
    if bearer is not None and bearer.get("error") == "invalid_token":
        yield "the token is not valid: has the gate the store that it was made in (pat_store), and the same clock?"


def _wrong_answer(answer: Answer, reason: Reason, expected: dict[str, object]) -> Iterator[str]:
    row, refusal = ROWS[reason], answer.refusal
    if answer.status != row.status:
        yield f"the status is {answer.status}, not {row.status}"
    if refusal is None:
        yield "the body is no refusal of the gate's" + ("" if answer.body else "; HEAD has none: ask with GET")
    else:
        yield from _wrong_refusal(answer, refusal, reason, expected)
    yield from _wrong_challenges(answer, reason, _scopes(refusal))


def _wrong_refusal(answer: Answer, refusal: Refusal, reason: Reason, expected: dict[str, object]) -> Iterator[str]:
    row = ROWS[reason]
    if not answer.says(row, refusal):
        yield f"the refusal is another: {refusal.get('type') or refusal['words']}"
    if refusal.get("status", row.status) != row.status:
        yield f"the body tells of the status {refusal['status']}"
    told = {"reason": reason.value, **expected} if row.status == 403 else expected
    for name, value in told.items():
        came = refusal.get(name)
        if (sorted(came) if isinstance(came, list) else came) != value:
            yield f"{name}: {_shown(came)}, not {_shown(value)}"


def _wrong_challenges(answer: Answer, reason: Reason, needed: list[str]) -> Iterator[str]:
    """Judge ``WWW-Authenticate``. A gate that takes no Bearer challenges for what it takes, without an error."""
    challenge, bearer = ROWS[reason].challenge, answer.bearer()
    if challenge == "none" and answer.challenges:
        yield "there is a challenge, and no credential would help"
    if challenge in ("plain", "invalid_token") and not answer.challenges:
        yield "there is no challenge (WWW-Authenticate)"
    if challenge == "none" or bearer is None:
        return
    error = None if challenge == "plain" else challenge
    if bearer.get("error") != error:
        yield f"the challenge of Bearer has the error {bearer.get('error')}, not {error}"
    scopes = sorted((bearer.get("scope") or "").split())
    if challenge == "insufficient_scope" and scopes != needed:
        yield f"scope in the challenge of Bearer: {_shown(scopes)}, not {_shown(needed)}, as the body has it"


def _scopes(refusal: Refusal | None) -> list[str]:
    """Give what the body needs and the challenge can say (RFC 6749, section 3.3)."""
    needed = [] if refusal is None else refusal.get("needed")
    return sorted(name for name in needed if _SCOPE.fullmatch(str(name))) if isinstance(needed, list) else []


def _wrong_grant(answer: Answer, grant: Grant, owner: str | None, scopes: Iterable[str] | None) -> Iterator[str]:
    # A view that asks for more than the gate does refuses what the gate let pass. To HEAD only the challenge tells it.
    bearer = answer.bearer()
    if answer.refusal is not None or (bearer is not None and bearer.get("error") is not None):
        yield "it was let pass, and then refused"
    if owner is not None and grant.owner != owner:
        yield f"the owner is {grant.owner}, not {owner}"
    if scopes is not None and grant.scopes != frozenset(scopes):
        yield f"the scopes are {_shown(sorted(grant.scopes))}, not {_shown(sorted(scopes))}"


def _message(expected: str, answer: Answer, wrong: Iterable[str]) -> str:
    return "\n".join([f"expected: {expected}", str(answer), *(f"wrong:    {one}" for one in wrong)])


def _shown(value: object) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
