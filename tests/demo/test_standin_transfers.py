"""Large, slow, broken and odd transfers of the strict stand-in, over real HTTP."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import pytest
from services.jira import JiraServer

from patmiddleware.demo.standin.transfers import PIECE, pattern

requests = pytest.importorskip("requests")

HERE = "/plugins/servlet/standin"
MIB = 2**20


@pytest.fixture
def client() -> Iterator[Any]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def connect(server: JiraServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)


@pytest.mark.parametrize("size", [1, 7, 1000, PIECE])
def test_the_pattern_is_the_same_in_any_pieces(size: int) -> None:
    """Whatever the size of its pieces, the whole is the same, and no two stretches of it are alike."""
    count = 3_000 if size == 1 else 300_000

    whole = b"".join(pattern(count, size))

    assert whole == b"".join(pattern(300_000))[:count]
    assert len(whole) == count


@pytest.mark.parametrize("count", [0, 1, PIECE, 3 * MIB + 1])
@pytest.mark.parametrize("chunked", ["", "1"])
def test_bytes_come_with_a_length_or_in_chunks(jira_server: JiraServer, client: Any, count: int, chunked: str) -> None:
    """As many bytes come as were asked for, either way."""
    options = {"count": count, "chunked": chunked, "type": "application/json"}

    answer = client.get(f"{jira_server.url}{HERE}/bytes", params=options)

    assert sha256(answer.content).digest() == sha256(b"".join(pattern(count))).digest()
    assert answer.headers.get("Content-Length") == (None if chunked else str(count))
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_sink_counts_what_comes(jira_server: JiraServer, client: Any, method: str, chunked: bool) -> None:
    """A body beyond the bound of uploads is read as a stream, and its length and digest are told."""
    whole = b"".join(pattern(12 * MIB + 5))

    answer = client.request(method, f"{jira_server.url}{HERE}/sink", data=pattern(len(whole)) if chunked else whole)

    assert answer.json() == {"bytes": len(whole), "sha256": sha256(whole).hexdigest(), "chunked": chunked}
    assert jira_server.log[0].length == len(whole)


def test_a_slow_answer_comes_in_pieces(jira_server: JiraServer) -> None:
    """The first piece is there, though the client would not have the patience for the second."""
    connection = connect(jira_server)
    connection.request("GET", f"{HERE}/bytes?count=2&size=1&pause=60")

    first = connection.getresponse().read(1)

    connection.close()
    assert first == b"".join(pattern(1))


@pytest.mark.parametrize("chunked", ["", "&chunked=1"])
@pytest.mark.parametrize("sent", [1, 10, 100_000])
def test_an_answer_that_breaks_off(jira_server: JiraServer, sent: int, chunked: str) -> None:
    """The connection ends before what was promised is there, with a length as well as in chunks."""
    connection = connect(jira_server)
    connection.request("GET", f"{HERE}/bytes?count=200000&sent={sent}{chunked}")
    answer = connection.getresponse()

    with pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()

    connection.close()
    assert len(caught.value.partial) <= sent


def test_an_answer_that_never_begins(jira_server: JiraServer) -> None:
    """With nothing sent at all the connection ends without a word."""
    connection = connect(jira_server)
    connection.request("GET", f"{HERE}/bytes?count=10&sent=0")

    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()

    connection.close()


def test_an_answer_that_does_not_wait_for_the_body(jira_server: JiraServer) -> None:
    """A refusal comes before the body has been sent, and the connection ends."""
    connection = connect(jira_server)
    connection.putrequest("POST", f"{HERE}/early?status=401")
    connection.putheader("Content-Length", str(1000 * MIB))
    connection.endheaders()

    answer = connection.getresponse()

    connection.close()
    assert (answer.status, jira_server.log[0].length) == (401, 0)


@pytest.mark.parametrize("code", [204, 304])
def test_answers_without_a_body(jira_server: JiraServer, code: int) -> None:
    """They have no body and no length, and the connection goes on."""
    connection = connect(jira_server)
    seen = []
    for _ in range(2):
        connection.request("GET", f"{HERE}/status?code={code}")
        answer = connection.getresponse()
        seen.append((answer.status, answer.read(), answer.headers["Content-Length"]))
    connection.close()

    assert seen == [(code, b"", None)] * 2
    assert jira_server.server.connections == 1


@pytest.mark.parametrize("path", [f"{HERE}/bytes?count=100", "/rest/api/2/serverInfo", f"{HERE}/json?count=3"])
def test_head_is_get_without_the_body(jira_server: JiraServer, path: str) -> None:
    """The length is told, nothing follows, and the connection goes on."""
    connection = connect(jira_server)
    told = []
    for method in ("HEAD", "GET", "HEAD"):
        connection.request(method, path)
        answer = connection.getresponse()
        told.append((answer.status, answer.headers["Content-Length"]))
        answer.read()
    connection.close()

    assert len(set(told)) == 1
    assert told[0][1] is not None
    assert jira_server.server.connections == 1


def test_head_of_what_has_no_length(jira_server: JiraServer) -> None:
    """Not even an empty chunk follows: the next answer begins where it should."""
    connection = connect(jira_server)
    told = []
    for _ in range(2):
        connection.request("HEAD", f"{HERE}/bytes?count=5&chunked=1")
        answer = connection.getresponse()
        told.append((answer.status, answer.read(), answer.headers["Content-Length"]))
    connection.close()

    assert told == [(200, b"", None)] * 2


def test_what_has_not_changed(jira_server: JiraServer, client: Any) -> None:
    """Who shows the tag of an answer hears 304."""
    tag = client.get(f"{jira_server.url}{HERE}/etag").headers["ETag"]

    again = client.get(f"{jira_server.url}{HERE}/etag", headers={"If-None-Match": tag})

    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)


def test_too_many_requests(jira_server: JiraServer, client: Any) -> None:
    """429 tells how long to wait, and what the limit is."""
    answer = client.get(f"{jira_server.url}{HERE}/busy?seconds=7")

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    names = ("Limit", "Remaining", "FillRate", "Interval-Seconds")
    assert [answer.headers[f"X-RateLimit-{name}"] for name in names] == ["10", "0", "2", "1"]


@pytest.mark.parametrize("status", [301, 302, 303, 307])
def test_redirect(jira_server: JiraServer, client: Any, status: int) -> None:
    """It leads where it was told to."""
    options = {"to": "https://elsewhere.example.org/x?y=z", "status": status}

    answer = client.post(f"{jira_server.url}{HERE}/redirect", params=options, allow_redirects=False)

    assert (answer.status_code, answer.headers["Location"]) == (status, options["to"])


def test_links_in_a_stream(start_jira: Any, client: Any) -> None:
    """Many links come in small pieces, of which some end within a character."""
    server = start_jira(base_url="https://jira.example.org")

    answer = client.get(f"{server.url}{HERE}/json?count=1000&chunked=1")

    assert {one["name"] for one in answer.json()} == {"é"}
    assert answer.json()[999]["self"] == "https://jira.example.org/rest/api/2/issue/999"


def test_a_number_that_is_none(jira_server: JiraServer, client: Any) -> None:
    """What can't be meant is refused."""
    assert client.get(f"{jira_server.url}{HERE}/bytes?count=many").status_code == 400
