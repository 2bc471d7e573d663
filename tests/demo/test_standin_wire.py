"""How the strict stand-in answers: forged requests, links, compression, chunks, and what reached it."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from services.jira import PASSWORDS, JiraServer, jira, jira_process

from patmiddleware.demo.standin import Log, Manners, Seen

requests = pytest.importorskip("requests")

API = "/rest/api/2"
ALICE = ("alice", PASSWORDS["alice"])
ISSUE = {"fields": {"project": {"key": "DEMO"}, "issuetype": {"name": "Bug"}, "summary": "A buoy is adrift"}}
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)", "X-Atlassian-Token": "no-check"}


@pytest.fixture
def client() -> Iterator[Any]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def raw(server: JiraServer, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """Ask for a path, and give the answer as it came, nothing decoded but chunks."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


# -- forged requests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "status"),
    [("no-check", 200), ("nocheck", 200), ("No-Check", 200), ("", 403), ("check", 403), ("true", 403)],
)
def test_upload_needs_the_header(jira_server: JiraServer, client: Any, token: str, status: int) -> None:
    """A multipart form is refused in HTML without ``X-Atlassian-Token: no-check`` or its old spelling."""
    headers = {"X-Atlassian-Token": token} if token else {}
    address = f"{jira_server.url}{API}/issue/DEMO-1/attachments"

    answer = client.post(address, files={"file": ("a.txt", b"a")}, headers=headers, auth=ALICE)

    assert answer.status_code == status
    if status == 403:
        assert (answer.text, answer.headers["Content-Type"]) == ("XSRF check failed", "text/html;charset=UTF-8")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://gate.example.org"}, 403),
        ({"Referer": "https://gate.example.org/page"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "HERE", "Referer": "https://gate.example.org"}, 201),
        ({"Referer": "HERE/secure/Dashboard.jspa"}, 201),
        ({}, 201),
        ({"Origin": "https://gate.example.org", "User-Agent": "python-requests/2"}, 201),
    ],
)
def test_a_browser_must_come_from_jira(
    jira_server: JiraServer, client: Any, headers: dict[str, str], status: int
) -> None:
    """What looks like a browser and comes from another site may change nothing, with ``no-check`` neither."""
    here = {name: value.replace("HERE", jira_server.url) for name, value in headers.items()}

    answer = client.post(f"{jira_server.url}{API}/issue", json=ISSUE, headers=BROWSER | here, auth=ALICE)

    assert answer.status_code == status


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_other_methods_of_a_browser(jira_server: JiraServer, client: Any, method: str) -> None:
    """Changing and deleting are refused as making is; reading is not."""
    headers = BROWSER | {"Origin": "https://gate.example.org"}
    address = f"{jira_server.url}{API}/issue/DEMO-1"

    assert client.request(method, address, json={}, headers=headers, auth=ALICE).status_code == 403
    assert client.get(address, headers=headers, auth=ALICE).status_code == 200


# -- links -------------------------------------------------------------------------------------------------------------


def test_all_links_lead_to_the_base_url(start_jira: Any, client: Any) -> None:
    """Whatever host was asked: links, what was made and the way to the login page lead to the configured address."""
    base = "https://jira.example.org/jira"
    server = start_jira(base_url=base, context="/jira")
    made = client.post(f"{server.url}{API}/issue", json=ISSUE, auth=ALICE)
    comment = client.post(f"{server.url}{API}/issue/DEMO-6/comment", json={"body": "Ahoy"}, auth=ALICE)
    issue = client.get(f"{server.url}{API}/issue/DEMO-6", auth=ALICE).json()
    client.cookies.clear()
    away = client.get(f"{server.url}/browse/DEMO-1?a=b", allow_redirects=False)

    assert made.headers["Location"] == made.json()["self"]
    assert comment.headers["Location"] == comment.json()["self"]
    assert made.json()["self"].startswith(f"{base}{API}/issue/")
    assert issue["fields"]["attachment"][0]["content"].startswith(f"{base}/secure/attachment/")
    assert issue["fields"]["reporter"]["avatarUrls"]["48x48"].startswith(f"{base}/secure/useravatar")
    query = "permissionViolation=true&os_destination=%2Fjira%2Fbrowse%2FDEMO-1%3Fa%3Db"
    assert (away.status_code, away.headers["Location"]) == (302, f"{base}/login.jsp?{query}")


def test_a_missing_module_is_told_in_html(jira_server: JiraServer, client: Any) -> None:
    """Not every 404 can be parsed."""
    answer = client.get(f"{jira_server.url}/rest/nothing/1.0/like-it", auth=ALICE)

    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html;charset=UTF-8")


# -- how answers travel ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "coding"), [("gzip", "gzip"), ("gzip, deflate", "gzip"), ("", None), ("gzip;q=0", None)]
)
def test_text_is_compressed_for_those_who_ask(jira_server: JiraServer, accepted: str, coding: str | None) -> None:
    """JSON is compressed when the client takes it, and is the same then."""
    answer, body = raw(jira_server, f"{API}/serverInfo", Accept_Encoding=accepted)

    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == (coding, "Accept-Encoding")
    assert json.loads(gzip.decompress(body) if coding else body)["baseUrl"] == jira_server.url


def test_files_are_not_compressed(jira_server: JiraServer, client: Any) -> None:
    """An attachment comes as it was stored."""
    issue = client.get(f"{jira_server.url}{API}/issue/DEMO-6", auth=ALICE).json()

    answer = client.get(issue["fields"]["attachment"][0]["content"], headers={"Accept-Encoding": "gzip"}, auth=ALICE)

    assert "Content-Encoding" not in answer.headers
    assert answer.content.startswith(b"berth,length,depth\n")


def test_slashes_may_be_escaped(start_jira: Any) -> None:
    """JSON may have a backslash before each slash, and says the same."""
    server = start_jira(manners=Manners(escaped=True))

    _, body = raw(server, f"{API}/serverInfo")

    assert rb'"http:\/\/127.0.0.1:' in body
    assert json.loads(body)["baseUrl"] == server.url


def test_short_answers_may_be_chunked(start_jira: Any) -> None:
    """Usually they have a length; with ``chunked`` none has."""
    usual, _ = raw(start_jira(), f"{API}/serverInfo")
    chunked, body = raw(start_jira(manners=Manners(chunked=True)), f"{API}/serverInfo")

    assert (usual.headers["Transfer-Encoding"], usual.headers["Content-Length"] is None) == (None, False)
    assert (chunked.headers["Transfer-Encoding"], chunked.headers["Content-Length"]) == ("chunked", None)
    assert json.loads(body)["versionNumbers"]


def test_long_answers_are_chunked(jira_server: JiraServer, client: Any) -> None:
    """A search with many fields goes out in chunks."""
    for _ in range(60):
        jira_server.standin.state.add_comment("DEMO-1", jira_server.standin.state.user("bob"), "Ahoy! " * 200)

    answer = client.get(f"{jira_server.url}{API}/issue/DEMO-1", headers={"Accept-Encoding": ""}, auth=ALICE)

    assert (answer.headers["Transfer-Encoding"], len(answer.json()["fields"]["comment"]["comments"])) == ("chunked", 62)


# -- how many ----------------------------------------------------------------------------------------------------------


def test_requests_are_limited(start_jira: Any, client: Any) -> None:
    """Each answer tells what is left for the user; one too many hears 429, and the next minute begins anew."""
    now = [datetime(2026, 5, 4, 12, 0, 45, tzinfo=UTC)]
    server = start_jira(rate_limit=2, clock=lambda: now[0])
    answers = [client.get(f"{server.url}{API}/myself", headers={"Authorization": f"Bearer {server.pat('bob')}"})]
    client.headers["Authorization"] = f"Bearer {server.pat('alice')}"
    answers += [client.get(f"{server.url}{API}/myself") for _ in range(3)]
    now[0] += timedelta(seconds=15)
    answers.append(client.get(f"{server.url}{API}/myself"))

    names = ("X-RateLimit-Remaining", "X-RateLimit-Limit", "X-RateLimit-Interval-Seconds", "Retry-After")
    told = [(answer.status_code, *(answer.headers[name] for name in names)) for answer in answers]
    assert told == [
        (200, "1", "2", "60", "0"),
        (200, "1", "2", "60", "0"),
        (200, "0", "2", "60", "0"),
        (429, "0", "2", "60", "15"),
        (200, "1", "2", "60", "0"),
    ]


# -- the log -----------------------------------------------------------------------------------------------------------


def test_the_log_has_all_that_came(jira_server: JiraServer) -> None:
    """Method, raw target, every header with its own spelling, who it was, the status, and how the body began."""
    target, body = "/rest/api/2/search?x=%7e&y=", b'{"jql": ""}' + b" " * 9000
    connection = http.client.HTTPConnection(urlsplit(jira_server.url).netloc, timeout=10)
    connection.request("POST", target, body, {"x-OWN": "1", "Content-Type": "application/json"})
    connection.getresponse().read()
    connection.close()

    seen = jira_server.log[0]

    assert (seen.method, seen.target, seen.path) == ("POST", target, "/rest/api/2/search")
    assert ("x-OWN", "1") in seen.headers
    assert (seen.all("X-Own"), seen.all("host")) == (["1"], [urlsplit(jira_server.url).netloc])
    assert (seen.user, seen.how, seen.status) == (None, "anonymous", 200)
    assert (seen.length, seen.body) == (9011, body[:4096])


def test_the_log_shows_no_secret() -> None:
    """Its entries can be printed."""
    headers = (("Authorization", "Bearer secret"),)
    seen = Seen("GET", "/rest?os_password=secret", headers, "alice", "bearer", 200, 6, b"secret")

    assert repr(seen) == "<Seen GET /rest as alice by bearer: 200>"


def test_a_body_that_nobody_wanted_is_logged(jira_server: JiraServer, client: Any) -> None:
    """What a refused request carried stands in the log, too."""
    client.post(f"{jira_server.url}{API}/serverInfo", data=b"unwanted")

    assert (jira_server.log[0].status, jira_server.log[0].body) == (405, b"unwanted")


def test_the_log_is_bounded() -> None:
    """The oldest entries go."""
    with jira(log=Log(3)) as server:
        for number in range(5):
            requests.get(f"{server.url}/{number}", allow_redirects=False)

        assert [seen.target for seen in server.log] == ["/2", "/3", "/4"]
        server.log.clear()
        assert len(server.log) == 0


def test_the_log_is_not_served_unless_asked_for(jira_server: JiraServer, client: Any) -> None:
    """Usually nobody can read it over HTTP, nor take a CAPTCHA back."""
    for method, path in (("GET", "log"), ("DELETE", "log"), ("POST", "reset/alice")):
        answer = client.request(method, f"{jira_server.url}/plugins/servlet/standin/{path}", auth=ALICE)
        assert answer.status_code == 404


def test_a_process_of_its_own(client: Any) -> None:
    """Out of process the stand-in is the same; its log is read over HTTP, and isn't in it itself."""
    with jira_process(context="/jira", manners={"chunked": True}) as server:
        for _ in range(3):
            client.get(f"{server.url}{API}/myself", auth=("alice", "wrong"))
        refused = client.get(f"{server.url}{API}/myself", auth=ALICE)
        server.reset("alice")
        answer = client.get(f"{server.url}{API}/myself", auth=ALICE)
        log = server.log
        server.clear()

        assert (refused.status_code, answer.status_code) == (403, 200)
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert [(seen.path, seen.user, seen.status) for seen in log[3:]] == [
            ("/jira/rest/api/2/myself", None, 403),
            ("/jira/rest/api/2/myself", "alice", 200),
        ]
        assert server.log == []
