"""The assertions on answers hold for what the gate does, and fail for all that only looks like it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
from guarded import of_flask, of_pyramid, of_wsgi
from webob import Response as WebObResponse
from webtest import TestApp
from werkzeug.test import Client
from werkzeug.wrappers import Response

from patmiddleware import (
    ConfigurationError,
    Denied,
    Issuer,
    Minted,
    Owner,
    PATMiddleware,
    Reason,
)
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.reject import ROWS, Refusals
from patmiddleware.testing import FlakyDirectory, FlakyStore, TokenTestApp, assert_granted, assert_refused, with_token

ACCEPT = {"bearer and basic": {"bearer", "basic"}, "basic": {"basic"}, "key": set[str]()}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def mint(store: MemoryStore) -> Callable[..., Minted]:
    return partial(Issuer(store).mint, owner="alice", name="test")


def refusal(
    reason: Reason, *, accept: set[str] = ACCEPT["bearer and basic"], errors: Any = "problem", **fields: Any
) -> Response:
    """An answer as the gate gives it."""
    refuse, head = Refusals(frozenset(accept), errors=errors), []

    def start_response(status: str, headers: list[tuple[str, str]]) -> Any:
        head[:] = [status, headers]

    body = refuse(Denied(reason, **fields), {"REQUEST_METHOD": "GET"}, start_response, "r-1")
    return Response(b"".join(body), *head)


# -- what is a refusal


@pytest.mark.parametrize("errors", ["problem", "jira"])
@pytest.mark.parametrize("accept", ACCEPT.values(), ids=ACCEPT)
@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_is_taken_for_its_reason(reason: Reason, accept: set[str], errors: str) -> None:
    """In both shapes, and whatever carriers the gate takes."""
    assert_refused(refusal(reason, accept=accept, errors=errors), reason)


@pytest.mark.parametrize("errors", ["problem", "jira"])
@pytest.mark.parametrize("reason", Reason)
def test_no_refusal_is_taken_for_another_reason(reason: Reason, errors: str) -> None:
    """But for those that no client can tell from it."""
    response = refusal(reason, errors=errors)

    taken = {other for other in Reason if passes(response, other)}

    assert taken == {other for other in Reason if ROWS[other] == ROWS[reason]}


def passes(response: object, reason: Reason, **expected: Any) -> bool:
    try:
        assert_refused(response, reason, **expected)
    except AssertionError:
        return False
    return True


FIELDS = {"needed": frozenset({"write", "admin"}), "held": frozenset({"read"}), "rule": "writing"}


@pytest.mark.parametrize("errors", ["problem", "jira"])
@pytest.mark.parametrize(
    ("expected", "holds"),
    [
        ({"needed": {"write", "admin"}}, True),
        ({"needed": ["admin", "write"], "held": ("read",), "rule": "writing"}, True),
        ({"needed": {"write"}}, False),
        ({"needed": {"write", "admin", "read"}}, False),
        ({"needed": set()}, False),
        ({"held": {"write"}}, False),
        ({"held": ()}, False),
        ({"rule": "reading"}, False),
    ],
)
def test_what_was_needed_and_held_and_the_rule_are_compared_exactly(
    expected: dict[str, Any], holds: bool, errors: str
) -> None:
    """Neither more nor less."""
    response = refusal(Reason.INSUFFICIENT_SCOPE, errors=errors, **FIELDS)

    assert passes(response, Reason.INSUFFICIENT_SCOPE, **expected) == holds


def test_nothing_needed_is_told_by_a_401() -> None:
    """Whoever expects to hear it there has made a mistake."""
    assert not passes(refusal(Reason.MISSING), Reason.MISSING, needed={"read"})


def test_a_text_is_no_collection() -> None:
    """Its letters would be."""
    with pytest.raises(ConfigurationError, match="collection"):
        assert_refused(refusal(Reason.INSUFFICIENT_SCOPE), Reason.INSUFFICIENT_SCOPE, needed="write")
    with pytest.raises(ConfigurationError, match="collection"):
        assert_granted(refusal(Reason.MISSING), scopes="write")


def test_a_reason_may_be_its_word() -> None:
    """As the audit writes it; any other is told, with what to write."""
    app = of_wsgi(MemoryStore())
    response = TestApp(app).get("/", status=401)
    word: Any = "missing"
    other: Any = "mising"

    assert assert_refused(response, word) == assert_refused(response, Reason.MISSING)
    with pytest.raises(ConfigurationError, match=r"reason: 'mising' is none \(such as Reason.MISSING\)"):
        assert_refused(response, other)


def test_a_token_of_another_store_is_told_of(mint: Callable[..., Minted]) -> None:
    """The gate under test was not given the store of ``mint``, which is forgotten easily."""
    client = TokenTestApp(of_wsgi(MemoryStore()), mint())

    with pytest.raises(AssertionError, match=r"the token is not valid: has the gate the store .*pat_store"):
        assert_granted(client.get("/", status=401))


def test_what_the_body_says_is_given() -> None:
    """For whatever else a test wants to know."""
    said = assert_refused(refusal(Reason.INSUFFICIENT_SCOPE, **FIELDS), Reason.INSUFFICIENT_SCOPE)

    assert (said["request_id"], said["status"]) == ("r-1", 403)


def test_what_no_challenge_can_say_is_no_reason_to_fail() -> None:
    """A policy of one's own may need what is no scope; the gate leaves it out of the header."""
    assert_refused(refusal(Reason.INSUFFICIENT_SCOPE, needed=frozenset({"a b", "c"})), Reason.INSUFFICIENT_SCOPE)


# -- what only looks like one

Change = Callable[[Response], object]


def without_body(response: Response) -> None:
    response.set_data(b"")


def of_the_application(response: Response) -> None:
    response.data, response.content_type = b"<h1>Forbidden</h1>", "text/html"


def body(**changes: Any) -> Change:
    """The body says something else."""

    def change(response: Response) -> None:
        response.set_data(json.dumps(json.loads(response.get_data()) | changes))

    return change


def lacking(name: str) -> Change:
    def change(response: Response) -> None:
        said = json.loads(response.get_data())
        del said[name]
        response.set_data(json.dumps(said))

    return change


def challenged(*values: str) -> Change:
    def change(response: Response) -> None:
        del response.headers["WWW-Authenticate"]
        for value in values:
            response.headers.add("WWW-Authenticate", value)

    return change


def header(name: str, value: str) -> Change:
    return lambda response: response.headers.set(name, value)


def status(code: int) -> Change:
    return lambda response: setattr(response, "status_code", code)


LOOKALIKES: dict[str, tuple[Reason, Change]] = {
    "another status": (Reason.INSUFFICIENT_SCOPE, status(401)),
    "let pass": (Reason.INSUFFICIENT_SCOPE, status(200)),
    "no body": (Reason.INSUFFICIENT_SCOPE, without_body),
    "the application's page": (Reason.INSUFFICIENT_SCOPE, of_the_application),
    "the application's page, though Bearer is challenged": (Reason.UNKNOWN, of_the_application),
    "a problem of the application's": (Reason.INSUFFICIENT_SCOPE, body(type="about:blank")),
    "another content type": (Reason.INSUFFICIENT_SCOPE, header("Content-Type", "text/html")),
    "plain JSON": (Reason.INSUFFICIENT_SCOPE, header("Content-Type", "application/json")),
    "no id": (Reason.INSUFFICIENT_SCOPE, lacking("request_id")),
    "a list": (Reason.INSUFFICIENT_SCOPE, lambda response: response.set_data("[]")),
    "no JSON": (Reason.INSUFFICIENT_SCOPE, lambda response: response.set_data("{")),
    "another kind": (Reason.INSUFFICIENT_SCOPE, body(type="urn:patmiddleware:problem:limit")),
    "another reason": (Reason.INSUFFICIENT_SCOPE, body(reason="limit")),
    "no reason": (Reason.INSUFFICIENT_SCOPE, lacking("reason")),
    "another status in the body": (Reason.INSUFFICIENT_SCOPE, body(status=401)),
    "no challenge": (Reason.MISSING, challenged()),
    "an error where no token came": (Reason.MISSING, challenged('Bearer realm="api", error="invalid_token"')),
    "no challenge for a bad token": (Reason.EXPIRED, challenged()),
    "no error for a bad token": (Reason.EXPIRED, challenged('Bearer realm="api"')),
    "another error": (Reason.EXPIRED, challenged('Bearer realm="api", error="insufficient_scope"')),
    "no scope in the challenge": (
        Reason.INSUFFICIENT_SCOPE,
        challenged('Bearer realm="api", error="insufficient_scope"'),
    ),
    "another scope in the challenge": (
        Reason.INSUFFICIENT_SCOPE,
        challenged('Bearer realm="api", error="insufficient_scope", scope="read"'),
    ),
    "a challenge where none helps": (Reason.NETWORK, challenged('Bearer realm="api"')),
}


@pytest.mark.parametrize(("reason", "change"), LOOKALIKES.values(), ids=LOOKALIKES)
def test_a_lookalike_is_no_refusal(reason: Reason, change: Change) -> None:
    """Whatever one thing is otherwise than the gate has it."""
    response = refusal(reason, needed=frozenset({"write"}) if ROWS[reason].status == 403 else frozenset())
    assert_refused(response, reason)

    change(response)

    assert not passes(response, reason)


JIRAS = {
    "of Jira's own": {"errorMessages": ["You do not have the permission to see the specified issue."], "errors": {}},
    "of another shape": {"errorMessages": ["The token's scopes do not suffice for this. (request r-1)"]},
    "two messages": {"errorMessages": ["The token's scopes do not suffice for this. (request r-1)", ""], "errors": {}},
    "no list": {"errorMessages": {"0": "The token's scopes do not suffice for this. (request r-1)"}, "errors": {}},
    "other words": {"errorMessages": ["Your project is archived. (request r-1)"], "errors": {}},
}


@pytest.mark.parametrize("said", JIRAS.values(), ids=JIRAS)
def test_a_refusal_of_jira_s_own_is_none_of_ours(said: dict[str, object]) -> None:
    """The gate's has its words, and ends in the request's id."""
    response = refusal(Reason.INSUFFICIENT_SCOPE, errors="jira")

    response.set_data(json.dumps(said))

    assert not passes(response, Reason.INSUFFICIENT_SCOPE)


def test_a_refusal_in_jira_s_shape_is_json() -> None:
    """A page that quotes one is none."""
    response = refusal(Reason.INSUFFICIENT_SCOPE, errors="jira")

    response.content_type = "text/html"

    assert not passes(response, Reason.INSUFFICIENT_SCOPE)


def test_a_refusal_in_jira_s_shape_is_given_the_same_names() -> None:
    """A 401 tells no finer reason there, either; nothing held is told as such."""
    unknown = assert_refused(refusal(Reason.EXPIRED, errors="jira"), Reason.EXPIRED)
    fields = FIELDS | {"held": frozenset()}
    lacking = assert_refused(refusal(Reason.INSUFFICIENT_SCOPE, errors="jira", **fields), Reason.INSUFFICIENT_SCOPE)

    assert (unknown["reason"], unknown["request_id"]) == (None, "r-1")
    assert (lacking["needed"], lacking["held"], lacking["rule"]) == (["admin", "write"], [], "writing")


@pytest.mark.parametrize("response", ["403", None, {"status": 403}])
def test_only_a_response_is_judged(response: object) -> None:
    """A test that hands in something else is told so."""
    with pytest.raises(TypeError, match="no response of WebTest"):
        assert_refused(response, Reason.MISSING)


def test_a_response_without_a_request_is_judged() -> None:
    """As a view that is called by itself gives it."""
    found = refusal(Reason.NETWORK)
    response = WebObResponse(found.get_data(), found.status, content_type="application/problem+json", charset=None)

    assert_refused(response, Reason.NETWORK)


# -- what is told


def test_a_failure_says_what_came_and_what_was_expected() -> None:
    """With each thing that is wrong, and the request's id."""
    response = refusal(Reason.INSUFFICIENT_SCOPE, **FIELDS)

    with pytest.raises(AssertionError) as caught:
        assert_refused(response, Reason.INSUFFICIENT_SCOPE, needed={"write"}, rule="writing")

    assert str(caught.value).splitlines() == [
        "expected: refused with 403 insufficient_scope, needed: write, rule: writing",
        "came:     403 application/problem+json",
        '          WWW-Authenticate: Bearer realm="api", error="insufficient_scope", scope="admin write"',
        f"          {response.get_data(as_text=True)[:300]}…",
        "request:  r-1",
        "wrong:    needed: admin, write, not write",
    ]


def test_a_failure_tells_of_an_answer_of_the_application(store: MemoryStore, mint: Callable[..., Minted]) -> None:
    """Its id is known where the client shows what the gate wrote."""
    response = TokenTestApp(of_wsgi(store), mint(scopes={"read"})).get("/own", status=403)

    with pytest.raises(AssertionError) as caught:
        assert_refused(response, Reason.INSUFFICIENT_SCOPE)

    assert str(caught.value).splitlines() == [
        "expected: refused with 403 insufficient_scope",
        "came:     403 text/plain",
        "          Hello alice",
        f"request:  {response.request.environ['patmiddleware.request_id']}",
        "wrong:    the body is no refusal of the gate's",
    ]


def test_a_failure_at_head_says_what_to_do(store: MemoryStore, mint: Callable[..., Minted]) -> None:
    """There is no body to judge: an application's own 403 would look the same."""
    response = TokenTestApp(of_wsgi(store), mint()).head("/", status=403)

    with pytest.raises(AssertionError, match="HEAD has none: ask with GET"):
        assert_refused(response, Reason.INSUFFICIENT_SCOPE)


def test_a_failure_shows_no_token(store: MemoryStore, mint: Callable[..., Minted]) -> None:
    """Logs of tests are kept and read by many."""
    minted = mint()
    response = TokenTestApp(of_wsgi(store), minted).get("/", status=403)

    with pytest.raises(AssertionError) as caught:
        assert_refused(response, Reason.EXPIRED)

    assert minted.secret not in str(caught.value)


# -- with applications

APPS: dict[str, Callable[..., Any]] = {"wsgi": of_wsgi, "flask": of_flask, "pyramid": of_pyramid}


def asking(app: Any) -> dict[str, Any]:
    """Clients of each kind that fit an application."""
    clients = {"webtest": TestApp(app), "werkzeug": Client(app)}
    return clients | ({"flask": app.test_client()} if hasattr(app, "test_client") else {})


@pytest.fixture(params=APPS)
def app_of(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """What makes an application of one kind."""
    if request.param != "wsgi":
        pytest.importorskip(request.param, exc_type=ImportError)
    return APPS[request.param]


def ask(client: Any, path: str, method: str = "GET") -> Any:
    """Ask, whatever comes."""
    if isinstance(client, TestApp):
        return client.request(path, method=method, expect_errors=True)
    return client.open(path, method=method)


def test_refusals_of_an_application_are_found(
    app_of: Callable[..., Any], store: MemoryStore, mint: Callable[..., Minted]
) -> None:
    """By every client, with the gate around or inside the application."""
    minted = mint(scopes={"read"})
    app = app_of(store, directory=FlakyDirectory([Owner(name="alice")]))
    for client in asking(app).values():
        assert_refused(ask(client, "/reports"), Reason.MISSING)
        assert_refused(ask(with_token(client, "pat_wrong"), "/reports"), Reason.UNKNOWN)
        assert_refused(ask(with_token(client, "pat wrong"), "/reports"), Reason.MALFORMED)
        with_token(client, minted)
        assert_refused(ask(client, "/reports", "POST"), Reason.INSUFFICIENT_SCOPE, needed={"write"}, rule="writing")
        assert_refused(ask(client, "/staff"), Reason.GROUP, rule="staff")
        assert_refused(ask(client, "/closed"), Reason.DENIED, rule="closed")
        assert_refused(ask(client, "/reports", "DELETE"), Reason.NO_RULE)


def test_a_refusal_by_the_application_itself_is_none_of_the_gate_s(
    app_of: Callable[..., Any], store: MemoryStore, mint: Callable[..., Minted]
) -> None:
    """A 403 of Flask's or Pyramid's own passes for no reason at all."""
    minted = mint(scopes={"read"})
    for client in asking(app_of(store)).values():
        response = ask(with_token(client, minted), "/own")

        assert response.status_code == 403
        assert [reason for reason in Reason if passes(response, reason)] == []
        assert assert_granted(response).owner == "alice"


def test_an_outage_is_found(app_of: Callable[..., Any]) -> None:
    """It is 503, and no bad token."""
    store = FlakyStore()
    minted = Issuer(store).mint(owner="alice", name="test", scopes={"read"})
    store.down = True

    for client in asking(app_of(store)).values():
        assert_refused(ask(with_token(client, minted), "/reports"), Reason.UNAVAILABLE)


# -- grants


def test_a_grant_is_found(app_of: Callable[..., Any], store: MemoryStore, mint: Callable[..., Minted]) -> None:
    """As the application saw it."""
    minted = mint(owner="bob", scopes={"read"})
    for client in asking(app_of(store)).values():
        grant = assert_granted(ask(with_token(client, minted), "/reports"), owner="bob", scopes={"read"})

        assert (grant.token_id, grant.token_name, grant.scheme) == (minted.token.id, "test", "Bearer")


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [
        ({"owner": "bob"}, "the owner is alice, not bob"),
        ({"scopes": {"read", "write"}}, "the scopes are read, not read, write"),
        ({"scopes": ()}, "the scopes are read, not none"),
    ],
)
def test_another_grant_fails(
    expected: dict[str, Any], wrong: str, store: MemoryStore, mint: Callable[..., Minted]
) -> None:
    """Owner and scopes are compared exactly."""
    response = TokenTestApp(of_wsgi(store), mint(scopes={"read"})).get("/")

    with pytest.raises(AssertionError, match=f"wrong:    {wrong}$"):
        assert_granted(response, **expected)


def test_without_a_token_there_is_no_grant(app_of: Callable[..., Any], store: MemoryStore) -> None:
    """Neither where the gate refuses, nor where it leaves the decision to the application."""
    for missing in ("reject", "annotate"):
        for client in asking(app_of(store, missing=missing, policy=None)).values():
            with pytest.raises(AssertionError, match="no grant is seen"):
                assert_granted(ask(client, "/reports"))


def test_a_client_that_shows_nothing_is_told_of(store: MemoryStore, mint: Callable[..., Minted]) -> None:
    """Werkzeug's and Flask's hide what the gate wrote, unless they were given a token."""
    response = Client(of_wsgi(store)).get("/", headers={"Authorization": f"Bearer {mint(scopes={'read'}).secret}"})

    with pytest.raises(AssertionError, match="see with_token"):
        assert_granted(response)


def test_what_a_view_refuses_was_not_granted(store: MemoryStore, mint: Callable[..., Minted]) -> None:
    """A view that wants more than the gate does answers as the gate: that is no success."""
    refuse = Refusals(frozenset({"bearer"}))
    denied = Denied(Reason.INSUFFICIENT_SCOPE, needed=frozenset({"write"}))
    app = PATMiddleware(lambda environ, start: refuse(denied, environ, start, "r-1"), store)
    response = TokenTestApp(app, mint()).get("/", status=403)

    with pytest.raises(AssertionError, match="let pass, and then refused"):
        assert_granted(response)
    assert_refused(response, Reason.INSUFFICIENT_SCOPE, needed={"write"})


def test_a_problem_of_the_application_s_own_does_not_take_the_grant_away(
    store: MemoryStore, mint: Callable[..., Minted]
) -> None:
    """It may answer with problems, too, and its requests may have ids."""

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        start_response("409 Conflict", [("Content-Type", "application/problem+json")])
        return [json.dumps({"type": "https://example.org/taken", "request_id": "r-1"}).encode()]

    response = TokenTestApp(PATMiddleware(app, store), mint()).get("/", status=409)

    assert assert_granted(response).owner == "alice"


def test_a_grant_that_a_client_makes_up_is_not_seen(store: MemoryStore, mint: Callable[..., Minted]) -> None:
    """The gate removes what it did not write."""
    grant = assert_granted(TokenTestApp(of_wsgi(store), mint(scopes={"read"})).get("/"))
    forged = {"patmiddleware.grant": grant, "patmiddleware.status": "confirmed"}

    response = TestApp(of_wsgi(store), extra_environ=forged).get("/", status=401)

    with pytest.raises(AssertionError, match="no grant is seen"):
        assert_granted(response)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_refusal_of_a_view_is_no_grant(store: MemoryStore, mint: Callable[..., Minted], method: str) -> None:
    """The gate let the token pass, and a view asked for more; with HEAD there is no body that tells so."""

    def view(environ: Any, start_response: Any) -> Iterable[bytes]:
        return gate.refuse(Denied(Reason.INSUFFICIENT_SCOPE, needed=frozenset({"read"})), environ, start_response)

    gate = PATMiddleware(view, store)
    response = with_token(Client(gate), mint()).open("/", method=method)

    assert response.status_code == 403
    with pytest.raises(AssertionError, match="it was let pass, and then refused"):
        assert_granted(response)
