"""From a refusal to a WSGI answer."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import WWWAuthenticate

from patmiddleware.errors import ConfigurationError
from patmiddleware.model import Denied, Reason
from patmiddleware.reject import ROWS, SHAPES, Refusals, explanation, quoted

EVERY_SCHEME = frozenset({"bearer", "basic", "token"})
BEARER, BASIC = frozenset({"bearer"}), frozenset({"basic"})
NO_SCHEME: frozenset[str] = frozenset()

TELLING = {
    "rule": "secret-rule",
    "needed": frozenset({"write"}),
    "held": frozenset({"read"}),
    "detail": "Fine detail.",
}
"""All that a refusal may know."""

INVALID = [Reason.UNKNOWN, Reason.EXPIRED, Reason.REVOKED, Reason.OWNER_INACTIVE, Reason.OWNER_MISMATCH]


class Answer(NamedTuple):
    status: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def code(self) -> int:
        return int(self.status[:3])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def challenges(self) -> list[str]:
        return self.all("WWW-Authenticate")

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]


def answer(refusals: Refusals, denied: Denied, method: str = "GET", request_id: str = "id-1") -> Answer:
    heard: list[Any] = []
    body = b"".join(refusals(denied, {"REQUEST_METHOD": method}, lambda *told: heard.extend(told), request_id))  # type: ignore[arg-type]
    return Answer(heard[0], heard[1], body)


def refuse(reason: Reason, schemes: frozenset[str] = EVERY_SCHEME, **told: Any) -> Answer:
    return answer(Refusals(schemes), Denied(reason, **told))


PLAIN = ['Bearer realm="api"', 'Basic realm="api", charset="UTF-8"', 'Token realm="api"']


def bearer(error: str, *others: str) -> list[str]:
    return [f'Bearer realm="api", error="{error}"', *others]


@pytest.mark.parametrize(
    ("reason", "status", "challenges"),
    [
        (Reason.MISSING, "401 Unauthorized", PLAIN),
        (Reason.UNSUPPORTED, "401 Unauthorized", PLAIN),
        (Reason.MALFORMED, "400 Bad Request", bearer("invalid_request")),
        (Reason.UNKNOWN, "401 Unauthorized", bearer("invalid_token", *PLAIN[1:])),
        (Reason.EXPIRED, "401 Unauthorized", bearer("invalid_token", *PLAIN[1:])),
        (Reason.REVOKED, "401 Unauthorized", bearer("invalid_token", *PLAIN[1:])),
        (Reason.OWNER_INACTIVE, "401 Unauthorized", bearer("invalid_token", *PLAIN[1:])),
        (Reason.OWNER_MISMATCH, "401 Unauthorized", bearer("invalid_token", *PLAIN[1:])),
        (Reason.AMBIGUOUS_PATH, "400 Bad Request", []),
        (Reason.METHOD, "400 Bad Request", []),
        (Reason.INSUFFICIENT_SCOPE, "403 Forbidden", bearer("insufficient_scope")),
        (Reason.NO_RULE, "403 Forbidden", bearer("insufficient_scope")),
        (Reason.LIMIT, "403 Forbidden", bearer("insufficient_scope")),
        (Reason.DENIED, "403 Forbidden", bearer("insufficient_scope")),
        (Reason.NETWORK, "403 Forbidden", []),
        (Reason.GROUP, "403 Forbidden", []),
        (Reason.RATE_LIMITED, "429 Too Many Requests", []),
        (Reason.UNAVAILABLE, "503 Service Unavailable", []),
    ],
)
def test_each_reason_has_its_status_and_challenges(reason: Reason, status: str, challenges: list[str]) -> None:
    """Every row of the table of refusals is answered as it says."""
    found = refuse(reason)

    assert (found.status, found.challenges) == (status, challenges)


def test_every_reason_has_a_row() -> None:
    """No reason is without its answer."""
    assert set(ROWS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_answers_are_not_cached_and_have_a_length(reason: Reason) -> None:
    """Every refusal says that it is not to be kept, what it is, and how long."""
    found = refuse(reason)

    assert found.all("Cache-Control") == ["no-store"]
    assert found.all("Content-Length") == [str(len(found.body))]
    assert found.all("Content-Type") == ["application/problem+json"]


@pytest.mark.parametrize("reason", Reason)
def test_only_what_passes_by_itself_says_when_to_come_again(reason: Reason) -> None:
    """429 and 503 have a Retry-After in seconds."""
    passes = reason in (Reason.RATE_LIMITED, Reason.UNAVAILABLE)

    assert refuse(reason).all("Retry-After") == (["5"] if passes else [])


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("errors", SHAPES)
def test_head_gets_the_length_and_no_body(reason: Reason, errors: str) -> None:
    """HEAD is answered with the headers of GET alone."""
    refusals = Refusals(EVERY_SCHEME, errors=errors)
    whole, head = (answer(refusals, Denied(reason), method) for method in ("GET", "HEAD"))

    assert head == Answer(whole.status, whole.headers, b"")
    assert whole.body


@pytest.mark.parametrize(
    ("schemes", "expected"),
    [
        (EVERY_SCHEME, PLAIN),
        (BEARER, PLAIN[:1]),
        (BASIC, PLAIN[1:2]),
        (frozenset({"token"}), PLAIN[2:]),
        (BEARER | BASIC, PLAIN[:2]),
        (NO_SCHEME, ['ApiKey realm="api"']),
    ],
)
def test_one_challenge_for_each_scheme(schemes: frozenset[str], expected: list[str]) -> None:
    """Where a credential is missing each accepted scheme is offered, and a key where nothing else is accepted."""
    assert refuse(Reason.MISSING, schemes).challenges == expected


@pytest.mark.parametrize("reason", [reason for reason in Reason if ROWS[reason].status == 401])
@pytest.mark.parametrize("schemes", [EVERY_SCHEME, BASIC, NO_SCHEME])
def test_401_always_has_a_challenge(reason: Reason, schemes: frozenset[str]) -> None:
    """A 401 carries at least one challenge, whatever is accepted (RFC 9110, section 15.5.2)."""
    assert refuse(reason, schemes).challenges != []


@pytest.mark.parametrize("reason", [Reason.MALFORMED, Reason.INSUFFICIENT_SCOPE, Reason.DENIED])
def test_errors_are_told_to_bearer_alone(reason: Reason) -> None:
    """Without Bearer there is nobody to tell its errors to."""
    assert refuse(reason, BASIC).challenges == []


@pytest.mark.parametrize("reason", Reason)
def test_challenges_can_be_parsed(reason: Reason) -> None:
    """Each challenge reads as one, with a realm and nothing but strings."""
    refusals = Refusals(EVERY_SCHEME, realm='say "hi" \\ o/, Basic realm=x')

    for challenge in answer(refusals, Denied(reason, **TELLING)).challenges:
        parsed = WWWAuthenticate.from_header(challenge)
        assert parsed is not None
        assert parsed.type in EVERY_SCHEME
        assert parsed.parameters["realm"] == 'say "hi" \\ o/, Basic realm=x'
        assert set(parsed.parameters) <= {"realm", "charset", "error", "scope"}


def test_403_says_what_would_have_been_enough() -> None:
    """The scopes that are needed stand in the challenge, in order."""
    found = refuse(Reason.INSUFFICIENT_SCOPE, BEARER, needed=frozenset({"write", "read:issue"}))

    assert found.challenges == ['Bearer realm="api", error="insufficient_scope", scope="read:issue write"']


@pytest.mark.parametrize("reason", [reason for reason in Reason if ROWS[reason].status != 403])
def test_nothing_but_403_tells_what_a_rule_says(reason: Reason) -> None:
    """Who is not known to be somebody hears neither rule nor scopes nor detail."""
    for errors in SHAPES:
        told = answer(Refusals(EVERY_SCHEME, errors=errors), Denied(reason, **TELLING))
        silent = answer(Refusals(EVERY_SCHEME, errors=errors), Denied(reason))
        assert told == silent


@pytest.mark.parametrize("errors", SHAPES)
@pytest.mark.parametrize("schemes", [EVERY_SCHEME, BASIC, NO_SCHEME])
def test_invalid_credentials_look_alike(errors: str, schemes: frozenset[str]) -> None:
    """Unknown, expired and revoked tokens, and wrong owners, give the same bytes, but for the request id."""
    refusals = Refusals(schemes, errors=errors)

    answers = {
        (found.status, tuple(found.headers), found.body.replace(request_id.encode(), b"ID"))
        for reason, request_id in zip(INVALID, ("id-1", "id-2", "id-3", "id-4", "id-5"), strict=True)
        for found in [answer(refusals, Denied(reason, **TELLING), request_id=request_id)]
    }

    assert len(answers) == 1


def test_invalid_is_told_from_missing() -> None:
    """No error is named where no credential came (RFC 6750, section 3.1)."""
    assert not any("error" in challenge for challenge in refuse(Reason.MISSING).challenges)
    assert not any("error" in challenge for challenge in refuse(Reason.UNSUPPORTED).challenges)


def test_problem_of_a_401() -> None:
    """The body of a 401 is a problem of RFC 9457 that says what to do."""
    assert refuse(Reason.EXPIRED).json == {
        "type": "urn:patmiddleware:problem:invalid_token",
        "title": "Unauthorized",
        "status": 401,
        "detail": "The token is not valid. Use another one, or make a new one.",
        "request_id": "id-1",
    }


def test_problem_of_a_403() -> None:
    """The body of a 403 says as well what was needed and held, and which rule decided."""
    found = refuse(
        Reason.INSUFFICIENT_SCOPE,
        rule="write-issues",
        needed=frozenset({"write"}),
        held=frozenset({"read", "me"}),
    )

    assert found.json == {
        "type": "urn:patmiddleware:problem:insufficient_scope",
        "title": "Forbidden",
        "status": 403,
        "detail": "The token's scopes do not suffice for this. Needed: write; held: me, read. Rule: write-issues.",
        "request_id": "id-1",
        "reason": "insufficient_scope",
        "rule": "write-issues",
        "needed": ["write"],
        "held": ["me", "read"],
    }


@pytest.mark.parametrize("reason", Reason)
def test_problem_is_a_problem(reason: Reason) -> None:
    """In every problem the status is that of the status line, and type and title are stable."""
    found = refuse(reason)

    assert found.json["status"] == found.code
    assert found.status == f"{found.code} {found.json['title']}"
    assert found.json["type"] == f"urn:patmiddleware:problem:{ROWS[reason].kind}"


@pytest.mark.parametrize("reason", Reason)
def test_jira_has_its_own_shape(reason: Reason) -> None:
    """Clients that are made for Jira get what Jira gives: messages, and an empty table of errors."""
    found = answer(Refusals(EVERY_SCHEME, errors="jira"), Denied(reason, **TELLING), request_id="id-7")

    assert found.json == {"errorMessages": [f"{explanation(Denied(reason, **TELLING))} (request id-7)"], "errors": {}}
    assert found.all("Content-Type") == ["application/json;charset=UTF-8"]
    assert (found.status, found.challenges) == (refuse(reason, **TELLING).status, refuse(reason, **TELLING).challenges)


def test_body_may_be_ones_own() -> None:
    """A callable gets the refusal, the status and the request id, and gives type and bytes."""

    def body(denied: Denied, status: int, request_id: str) -> tuple[str, bytes]:
        return "text/plain;charset=UTF-8", f"{denied.reason} {status} {request_id} é".encode()

    found = answer(Refusals(BEARER, errors=body), Denied(Reason.GROUP), request_id="id-9")

    assert found.body == "group 403 id-9 é".encode()
    assert found.all("Content-Type") == ["text/plain;charset=UTF-8"]
    assert found.all("Content-Length") == ["17"]


def _broken(*_: object) -> tuple[str, bytes]:
    raise LookupError("no template")


@pytest.mark.parametrize(
    "body",
    [
        _broken,
        lambda *_: None,
        lambda *_: ("text/plain", "é"),
        lambda *_: ("text/plain", bytearray(b"no")),
        lambda *_: (None, b"no"),
        lambda *_: ("text/plain\r\nX-Other: no", b"no"),
        lambda *_: ("text/plain", b"no", 401),
    ],
)
def test_a_body_that_fails_leaves_the_refusal_as_it_is(body: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a callable raises or gives, the client gets the status and the usual body, and the log says why."""
    found = answer(Refusals(BEARER, errors=body), Denied(Reason.EXPIRED), request_id="id-9")

    assert found == answer(Refusals(BEARER), Denied(Reason.EXPIRED), request_id="id-9")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "errors gave no body, so the refusal has the usual one")
    ]


@pytest.mark.parametrize(
    ("denied", "expected"),
    [
        (Denied(Reason.NO_RULE), "No rule allows this for any token."),
        (Denied(Reason.DENIED, "no-admin"), "A rule denies this. Rule: no-admin."),
        (Denied(Reason.NETWORK, detail="Only from 10.0.0.0/8."), "Only from 10.0.0.0/8."),
        (
            Denied(Reason.INSUFFICIENT_SCOPE, "w", frozenset({"write"})),
            "The token's scopes do not suffice for this. Needed: write; held: none. Rule: w.",
        ),
        (Denied(Reason.UNAVAILABLE, detail="db1.internal: timed out"), ROWS[Reason.UNAVAILABLE].text),
    ],
)
def test_explanation(denied: Denied, expected: str) -> None:
    """A sentence or two say what is wrong; what broke behind us is nobody's business."""
    assert explanation(denied) == expected


def test_every_text_says_something_of_its_own() -> None:
    """Each row has a sentence; only the rows that must look alike share theirs."""
    assert len({row.text for row in ROWS.values()}) == len(Reason) - len(INVALID) + 1
    assert all(row.text.endswith(".") for row in ROWS.values())


FORGED = [
    'write", error="none',
    "write\r\nSet-Cookie: a=b",
    "a b",
    "a\\",
    "é",
    "",
    "\x7f",
    "\0",
]


@pytest.mark.parametrize("scope", FORGED)
def test_scope_can_not_split_the_header(scope: str) -> None:
    """What a policy of the user's own names as needed is shown only where it is a scope."""
    found = refuse(Reason.INSUFFICIENT_SCOPE, BEARER, needed=frozenset({scope, "read"}))
    alone = refuse(Reason.INSUFFICIENT_SCOPE, BEARER, needed=frozenset({scope}))

    assert found.challenges == ['Bearer realm="api", error="insufficient_scope", scope="read"']
    assert alone.challenges == ['Bearer realm="api", error="insufficient_scope"']


@given(st.sampled_from(list(Reason)), st.frozensets(st.text(max_size=8), max_size=4), st.text(), st.text())
def test_no_refusal_breaks_the_answer(reason: Reason, names: frozenset[str], rule: str, detail: str) -> None:
    """Whatever a refusal says, headers are printable ASCII and the body is JSON."""
    denied = Denied(reason, rule, names, names, detail)

    for errors in SHAPES:
        found = answer(Refusals(EVERY_SCHEME, errors=errors), denied)
        assert all(value.isascii() and value.isprintable() for _, value in found.headers)
        assert isinstance(found.json, dict)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api", '"api"'),
        ("", '""'),
        ("my realm", '"my realm"'),
        ('a"b', '"a\\"b"'),
        ("a\\b", '"a\\\\b"'),
        ('\\"', '"\\\\\\""'),
    ],
)
def test_quoted_string(text: str, expected: str) -> None:
    """Quotes and backslashes are escaped (RFC 9110, section 5.6.4)."""
    assert quoted(text) == expected


@pytest.mark.parametrize(
    "realm", ["a\r\nSet-Cookie: x=y", "a\nb", "a\0", "a\tb", "a\x7f", "caf\u00e9", "\u2028", "a\n"]
)
def test_realm_can_not_split_the_header(realm: str) -> None:
    """A realm that can't stand in a header is refused at the start."""
    with pytest.raises(ConfigurationError, match="can't stand in a header") as caught:
        Refusals(BEARER, realm=realm)

    assert [problem.setting for problem in caught.value.problems] == ["realm"]


def test_other_words_change_the_body_alone() -> None:
    """Status and challenges stay, and the one that they are taken from stays as it is."""
    refusals, denied = Refusals(EVERY_SCHEME), Denied(Reason.UNKNOWN)
    other = refusals.saying(lambda denied, status, request_id: ("text/plain", f"{status} {denied.reason}".encode()))

    before, changed, after = (answer(each, denied) for each in (refusals, other, refusals))

    assert (changed.status, changed.body, changed.all("WWW-Authenticate")) == (
        before.status,
        b"401 unknown",
        before.all("WWW-Authenticate"),
    )
    assert after.body == before.body


def test_unknown_shape_is_refused() -> None:
    """A shape that is not there is refused at the start, and those that are there are named."""
    with pytest.raises(ConfigurationError, match=r"'jra' is no shape of an error .*problem, jira") as caught:
        Refusals(BEARER, errors="jra")

    assert [problem.setting for problem in caught.value.problems] == ["errors"]


@pytest.mark.parametrize(
    ("errors", "reason", "expected"),
    [
        ("jira", Reason.UNKNOWN, ["anonymous", "AUTHENTICATED_FAILED"]),
        ("jira", Reason.EXPIRED, ["anonymous", "AUTHENTICATED_FAILED"]),
        ("jira", Reason.MISSING, ["anonymous"]),
        ("jira", Reason.DENIED, []),
        ("problem", Reason.UNKNOWN, []),
    ],
)
def test_jiras_clients_hear_of_a_failed_login_as_jira_says_it(errors: str, reason: Reason, expected: list[str]) -> None:
    """In its headers, and the same for every token that is not good."""
    told: list[tuple[str, str]] = []

    Refusals(frozenset({"basic"}), errors=errors)(
        Denied(reason), {}, lambda status, headers: told.extend(headers), "id"
    )

    assert [value for name, value in told if name in ("X-AUSERNAME", "X-Seraph-LoginReason")] == expected
