"""Who the caller is to the strict stand-in: over real HTTP, as Jira tells it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from services.jira import PASSWORDS, JiraServer, jira

requests = pytest.importorskip("requests")

API = "/rest/api/2"
ALICE = ("alice", PASSWORDS["alice"])
WRONG = ("alice", "wrong")
SESSION = "/rest/auth/1/session"


@pytest.fixture
def client() -> Iterator[Any]:
    """A client that keeps connections and cookies, and takes nothing from the environment."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def login(client: Any, server: JiraServer, name: str, password: str) -> Any:
    return client.post(server.url + SESSION, json={"username": name, "password": password})


# -- nobody ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/serverInfo", 200),
        ("/search", 200),
        ("/myself", 401),
        ("/issue/DEMO-1", 401),
        ("/user?username=alice", 401),
        ("/application-properties", 401),
    ],
)
@pytest.mark.parametrize("headers", [{}, bearer("unknown"), {"Authorization": "Strange x"}, {"Cookie": "JSESSIONID=x"}])
def test_nobody(jira_server: JiraServer, client: Any, path: str, status: int, headers: dict[str, str]) -> None:
    """Without a credential, and with a token or a session that is unknown, the caller is anonymous: no more is said."""
    answer = client.get(jira_server.url + API + path, headers=headers)

    assert answer.status_code == status
    assert answer.headers["X-AUSERNAME"] == "anonymous"
    assert "X-Seraph-LoginReason" not in answer.headers
    assert [(seen.user, seen.how) for seen in jira_server.log] == [(None, "anonymous")]


def test_an_unknown_token_finds_nothing(jira_server: JiraServer, client: Any) -> None:
    """A search with a rejected token is answered with 200 and nothing: the failure doesn't show."""
    answer = client.get(f"{jira_server.url}{API}/search?jql=project=DEMO", headers=bearer("unknown"))

    assert (answer.status_code, answer.json()["total"]) == (200, 0)


def test_myself_refuses_in_its_own_shape(jira_server: JiraServer, client: Any) -> None:
    """``/myself`` has another shape of error than the rest."""
    expected = {"message": "Client must be authenticated to access this resource.", "status-code": 401}

    answer = client.get(f"{jira_server.url}{API}/myself")

    assert answer.json() == expected
    assert answer.headers["WWW-Authenticate"] == f'OAuth realm="{requests.utils.quote(jira_server.url, safe="")}"'


def test_remote_user_is_nobody(start_jira: Any, client: Any) -> None:
    """Unless it is told to, the stand-in believes no server and no header."""
    server = start_jira()
    answer = client.get(f"{server.url}{API}/myself", headers={"Remote-User": "alice", "X-Forwarded-User": "alice"})

    assert answer.status_code == 401


def test_every_answer_has_jiras_headers(jira_server: JiraServer, client: Any) -> None:
    """Each answer says which request it was, on which node, and that it is not to be kept."""
    headers = client.get(f"{jira_server.url}{API}/serverInfo").headers

    assert re.fullmatch(r"\d{1,4}x\d+x\d+", headers["X-AREQUESTID"])
    assert headers["X-ANODEID"] == "node1"
    assert headers["Cache-Control"] == "no-cache, no-store, no-transform"
    assert headers["Content-Security-Policy"] == "sandbox"


# -- passwords in Basic ------------------------------------------------------------------------------------------------


def test_basic(jira_server: JiraServer, client: Any) -> None:
    """The right password is good, and begins a session with two cookies."""
    answer = client.get(f"{jira_server.url}{API}/myself", auth=ALICE)

    assert answer.json()["name"] == "alice"
    assert (answer.headers["X-AUSERNAME"], answer.headers["X-Seraph-LoginReason"]) == ("alice", "OK")
    assert answer.headers["X-ASESSIONID"]
    assert set(client.cookies.keys()) == {"JSESSIONID", "atlassian.xsrf.token"}
    assert [(seen.user, seen.how, seen.status) for seen in jira_server.log] == [("alice", "basic", 200)]


@pytest.mark.parametrize(
    "header", ["Basic YWxpY2U6d3Jvbmc=", "Basic bm9ib2R5Ong=", "Basic !", "Basic", "basic YWxpY2U6"]
)
def test_wrong_basic(jira_server: JiraServer, client: Any, header: str) -> None:
    """A wrong password is answered with 401, in HTML, with OAuth's challenge."""
    answer = client.get(f"{jira_server.url}{API}/serverInfo", headers={"Authorization": header})

    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "text/html;charset=UTF-8")
    assert answer.headers["X-Seraph-LoginReason"] == "AUTHENTICATED_FAILED"
    assert answer.headers["WWW-Authenticate"].startswith('OAuth realm="http%3A%2F%2F127.0.0.1')


def test_a_token_is_no_password(jira_server: JiraServer, client: Any) -> None:
    """Jira doesn't take its own tokens in place of the password, and counts the attempt."""
    token = jira_server.pat("alice")

    answer = client.get(f"{jira_server.url}{API}/myself", auth=("alice", token))

    assert answer.status_code == 401
    assert jira_server.standin.accounts.failures("alice") == 1


def test_nobody_logs_in_by_key(jira_server: JiraServer, client: Any) -> None:
    """A user's key finds them, but only the name opens the door, in any case."""
    statuses = [
        client.get(f"{jira_server.url}{API}/myself", auth=(name, ALICE[1])).status_code
        for name in ("JIRAUSER10100", "Alice")
    ]

    assert statuses == [401, 200]


def _captcha(server: JiraServer, client: Any) -> None:
    for _ in range(3):
        assert client.get(f"{server.url}{API}/myself", auth=WRONG).status_code == 401


def test_captcha_after_three_failures(jira_server: JiraServer, client: Any) -> None:
    """Then the right password is refused too, in HTML, until an administrator takes the CAPTCHA back."""
    _captcha(jira_server, client)

    answer = client.get(f"{jira_server.url}{API}/myself", auth=ALICE)
    other = client.get(f"{jira_server.url}{API}/myself", auth=("bob", PASSWORDS["bob"]))
    jira_server.standin.accounts.reset("alice")
    client.cookies.clear()
    again = client.get(f"{jira_server.url}{API}/myself", auth=ALICE)

    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/html;charset=UTF-8")
    assert "Basic Authentication Failure - Reason : AUTHENTICATION_DENIED" in answer.text
    reason = f"CAPTCHA_CHALLENGE; login-url={jira_server.url}/login.jsp"
    assert answer.headers["X-Authentication-Denied-Reason"] == reason
    assert answer.headers["X-Seraph-LoginReason"] == "AUTHENTICATION_DENIED"
    assert (other.status_code, again.status_code) == (200, 200)


def test_captcha_is_for_passwords_alone(jira_server: JiraServer, client: Any) -> None:
    """A token still lets its user in; a login at the session's address doesn't."""
    _captcha(jira_server, client)

    by_token = client.get(f"{jira_server.url}{API}/myself", headers=bearer(jira_server.pat("alice")))
    by_session = login(client, jira_server, *ALICE)

    assert by_token.status_code == 200
    assert (by_session.status_code, by_session.headers["X-Seraph-LoginReason"]) == (403, "AUTHENTICATION_DENIED")
    assert by_session.headers["X-Authentication-Denied-Reason"].startswith("CAPTCHA_CHALLENGE")


def test_failures_of_both_ways_are_counted_together(jira_server: JiraServer, client: Any) -> None:
    """Two by session and one by Basic make three; one that goes well in between would begin anew."""
    statuses = [login(client, jira_server, *WRONG).status_code for _ in range(2)]
    statuses.append(client.get(f"{jira_server.url}{API}/myself", auth=WRONG).status_code)

    assert statuses == [401, 401, 401]
    assert login(client, jira_server, *ALICE).status_code == 403


def test_a_good_login_begins_anew(jira_server: JiraServer, client: Any) -> None:
    """Only failures in a row count."""
    for password in ("wrong", "wrong", ALICE[1], "wrong", "wrong"):
        login(client, jira_server, "alice", password)
        client.cookies.clear()

    assert login(client, jira_server, *ALICE).status_code == 200


# -- sessions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1", "latest"])
def test_a_session_lives_from_login_to_logout(jira_server: JiraServer, client: Any, version: str) -> None:
    """It begins with a password, shows who it is, and ends for good."""
    address = f"{jira_server.url}/rest/auth/{version}/session"
    before = client.get(address)
    begun = client.post(address, json={"username": "alice", "password": ALICE[1]})
    cookies = client.cookies.copy()
    shown = client.get(address)
    ended = client.delete(address)
    client.cookies = cookies
    after = client.get(address)

    assert [answer.status_code for answer in (before, begun, shown, ended, after)] == [401, 200, 200, 204, 401]
    assert begun.json()["session"] == {"name": "JSESSIONID", "value": begun.cookies["JSESSIONID"]}
    assert begun.json()["loginInfo"] == {"failedLoginCount": 0, "loginCount": 1}
    assert shown.json()["self"] == f"{jira_server.url}/rest/api/latest/user?username=alice"
    assert (shown.json()["name"], shown.headers["X-AUSERNAME"]) == ("alice", "alice")
    assert ended.headers["X-Seraph-LoginReason"] == "OUT"
    message = "You are not authenticated. Authentication required to perform this operation."
    assert after.json() == {"errorMessages": [message], "errors": {}}


def test_two_cookies_of_a_session(start_jira: Any, client: Any) -> None:
    """They come in two headers, for the context path; behind HTTPS they are for that alone."""
    server = start_jira(base_url="https://jira.example.org/jira", context="/jira")

    answer = login(client, server, *ALICE)

    first, second = answer.raw.headers.getlist("Set-Cookie")
    assert re.fullmatch(r"JSESSIONID=[0-9A-F]{32}; Path=/jira; HttpOnly; Secure", first)
    assert re.fullmatch(
        r"atlassian\.xsrf\.token=(?:[0-9A-F]{4}-){3}[0-9A-F]{4}_[0-9a-f]{40}_lin; Path=/jira; Secure", second
    )


def test_wrong_login(jira_server: JiraServer, client: Any) -> None:
    """A wrong password is told in JSON, and in the history of the next login."""
    wrong = login(client, jira_server, *WRONG)
    right = login(client, jira_server, *ALICE)

    assert (wrong.status_code, wrong.json()) == (401, {"errorMessages": ["Login failed"], "errors": {}})
    history = right.json()["loginInfo"]
    assert history["failedLoginCount"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", history["lastFailedLoginTime"])


def test_logout_of_nobody(jira_server: JiraServer, client: Any) -> None:
    """There is nothing to end."""
    assert client.delete(jira_server.url + SESSION).status_code == 401


def test_wrong_basic_beside_a_session(jira_server: JiraServer, client: Any) -> None:
    """The session stands, and only a header tells that something was wrong."""
    login(client, jira_server, *ALICE)

    answer = client.get(f"{jira_server.url}{API}/myself", auth=WRONG)

    assert (answer.status_code, answer.json()["name"]) == (200, "alice")
    assert answer.headers["X-Seraph-LoginReason"] == "AUTHENTICATION_DENIED"


def test_right_basic_beside_a_session_that_has_ended(jira_server: JiraServer, client: Any) -> None:
    """The answer tells of both."""
    answer = client.get(f"{jira_server.url}{API}/myself", auth=ALICE, cookies={"JSESSIONID": "gone"})

    assert answer.headers["X-Seraph-LoginReason"] == "OUT, OK"


@pytest.mark.parametrize("way", ["query", "form"])
def test_parameters_log_in(jira_server: JiraServer, client: Any, way: str) -> None:
    """``os_username`` and ``os_password`` are good anywhere, in a query or a form."""
    fields = {"os_username": "alice", "os_password": ALICE[1]}
    target = jira_server.url + API + "/myself"

    answer = client.get(target, params=fields) if way == "query" else client.post(target, data=fields)

    assert (jira_server.log[0].user, jira_server.log[0].how) == ("alice", "parameters")
    assert (answer.headers["X-AUSERNAME"], "JSESSIONID" in client.cookies) == ("alice", True)


def test_wrong_parameters_count(jira_server: JiraServer, client: Any) -> None:
    """They are a failed login like any other, though the caller goes on as nobody."""
    answer = client.get(f"{jira_server.url}{API}/serverInfo?os_username=alice&os_password=wrong")

    assert (answer.status_code, answer.headers["X-AUSERNAME"]) == (200, "anonymous")
    assert answer.headers["X-Seraph-LoginReason"] == "AUTHENTICATED_FAILED"
    assert jira_server.standin.accounts.failures("alice") == 1


# -- personal access tokens --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["latest", "1.0"])
def test_a_token_lives_from_post_to_delete(jira_server: JiraServer, client: Any, version: str) -> None:
    """It is made by whoever has logged in, shown once, listed without itself, and then it is gone."""
    address = f"{jira_server.url}/rest/pat/{version}/tokens"
    made = client.post(address, json={"name": "ci", "expirationDuration": 90}, auth=ALICE)
    secret = made.json()["rawToken"]
    client.cookies.clear()
    used = client.get(f"{jira_server.url}{API}/myself", headers=bearer(secret))
    client.cookies.clear()
    listed = client.get(address, headers=bearer(secret))
    client.cookies.clear()
    gone = client.delete(f"{address}/{made.json()['id']}", headers=bearer(secret))
    client.cookies.clear()
    after = client.get(f"{jira_server.url}{API}/myself", headers=bearer(secret))

    statuses = [answer.status_code for answer in (made, used, listed, gone, after)]
    assert statuses == [201, 200, 200, 204, 401]
    assert set(made.json()) == {"id", "name", "createdAt", "expiringAt", "rawToken"}
    assert len(secret) == 44
    assert "=" not in secret
    assert [set(token) for token in listed.json()] == [{"id", "name", "createdAt", "lastAccessedAt", "expiringAt"}]
    assert [seen.how for seen in jira_server.log] == ["basic", "bearer", "bearer", "bearer", "anonymous"]


def test_tokens_are_their_users_alone(jira_server: JiraServer, client: Any) -> None:
    """Nobody sees or ends somebody else's, and nobody makes one without having logged in."""
    address = f"{jira_server.url}/rest/pat/latest/tokens"
    made = client.post(address, json={"name": "ci"}, auth=ALICE).json()
    client.cookies.clear()
    bob = bearer(jira_server.pat("bob"))

    assert [token["name"] for token in client.get(address, headers=bob).json()] == ["made by a test"]
    assert client.delete(f"{address}/{made['id']}", headers=bob).status_code == 404
    client.cookies.clear()
    assert client.post(address, json={"name": "ci"}).status_code == 401


@pytest.mark.parametrize("body", [{}, {"name": " "}, {"name": "ci", "expirationDuration": "90"}])
def test_token_that_can_not_be_made(jira_server: JiraServer, client: Any, body: dict[str, object]) -> None:
    """A token has a name, and a life in days."""
    assert client.post(f"{jira_server.url}/rest/pat/latest/tokens", json=body, auth=ALICE).status_code == 400


def test_an_expired_token_is_nobody(start_jira: Any, client: Any) -> None:
    """After its days a token is as good as none."""
    now = [datetime(2026, 5, 4, tzinfo=UTC)]
    server = start_jira(clock=lambda: now[0])
    pats, alice = server.standin.pats, server.standin.state.user("alice")
    _, secret = pats.create(alice, "ci", days=1)

    first = client.get(f"{server.url}{API}/myself", headers=bearer(secret))
    now[0] += timedelta(days=1)
    second = client.get(f"{server.url}{API}/myself", headers=bearer(secret))

    assert (first.status_code, second.status_code) == (200, 401)


def test_a_token_ends_the_session_beside_it(jira_server: JiraServer, client: Any) -> None:
    """The token counts, and the session is over afterwards."""
    login(client, jira_server, "bob", PASSWORDS["bob"])

    answer = client.get(f"{jira_server.url}{API}/myself", headers=bearer(jira_server.pat("alice")))

    assert answer.json()["name"] == "alice"
    assert len(jira_server.standin.sessions) == 0


def test_a_disabled_user_is_nobody(jira_server: JiraServer, client: Any) -> None:
    """Neither token nor session nor password is good any more."""
    token = jira_server.pat("alice")
    login(client, jira_server, *ALICE)
    jira_server.standin.accounts.disable("alice")
    myself = f"{jira_server.url}{API}/myself"

    assert client.get(myself).status_code == 401
    assert client.get(myself, headers=bearer(token)).status_code == 401
    assert client.get(myself, auth=ALICE).status_code == 401


# -- administrators ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/rest/api/2/application-properties"),
        ("POST", "/rest/api/2/user"),
        ("DELETE", "/rest/api/2/user?username=bob"),
        ("POST", "/rest/api/2/reindex"),
        ("GET", "/rest/basicauth/1.0/config"),
    ],
)
def test_administration_is_for_administrators(jira_server: JiraServer, client: Any, method: str, path: str) -> None:
    """Nobody hears 401, anybody 403, and an administrator is served."""
    body = {"name": "dave"} if method == "POST" else None
    statuses = []
    for headers in ({}, bearer(jira_server.pat("alice")), bearer(jira_server.pat("admin"))):
        statuses.append(client.request(method, jira_server.url + path, json=body, headers=headers).status_code // 100)

    assert statuses == [4, 4, 2]
    assert [seen.status for seen in jira_server.log][:2] == [401, 403]


def test_an_administrator_has_the_permission(jira_server: JiraServer, client: Any) -> None:
    """``mypermissions`` tells who may administer."""
    held = []
    for name in ("alice", "admin"):
        answer = client.get(f"{jira_server.url}{API}/mypermissions", headers=bearer(jira_server.pat(name)))
        held.append(answer.json()["permissions"]["ADMINISTER"]["havePermission"])

    assert held == [False, True]


def test_the_demo_believes_its_gate() -> None:
    """Only with ``gate`` is ``REMOTE_USER`` good, and then nothing else is."""
    with jira(gate=True) as server:
        assert requests.get(f"{server.url}{API}/myself", auth=ALICE).status_code == 401
