"""The small Jira that the demo puts behind the gate."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

import pytest
from webtest import TestApp

from patmiddleware.demo.standin import JiraStandIn, seeded

API = "/rest/api/2"
NO_CHECK = {"X-Atlassian-Token": "no-check"}
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def client(user: str = "alice", **options: str) -> TestApp:
    app = JiraStandIn(state=seeded(lambda: NOW), gate=True, **options)
    return TestApp(app, extra_environ={"REMOTE_USER": user} if user else {}, lint=True)


@pytest.fixture
def alice() -> TestApp:
    return client()


@pytest.fixture
def anonymous() -> TestApp:
    return client("")


def keys(app: TestApp, jql: str) -> list[str]:
    found = app.get(f"{API}/search", {"jql": jql, "fields": "summary"}).json
    return [issue["key"] for issue in found["issues"]]


# -- the server and what clients ask first -----------------------------------------------------------------------------


def test_server_info_is_what_clients_start_with(anonymous: TestApp) -> None:
    """Anybody may ask for the version, which clients need as a list of numbers."""
    info = anonymous.get(f"{API}/serverInfo").json

    assert info["versionNumbers"][:2] == [9, 12]
    assert info["deploymentType"] == "Server"
    assert info["baseUrl"] == "http://localhost"


def test_myself_is_who_the_server_says(alice: TestApp) -> None:
    """The caller is whom REMOTE_USER names, and the answer says so in a header."""
    response = alice.get(f"{API}/myself")

    assert response.json["displayName"] == "Alice Moreau"
    assert response.headers["X-AUSERNAME"] == "alice"
    assert response.headers["X-AREQUESTID"]


def test_unknown_user_is_welcome() -> None:
    """A name that Jira has not seen becomes a user, also one that is not ASCII."""
    name = "zoë"

    response = client(name.encode().decode("latin-1")).get(f"{API}/myself")

    assert response.json["name"] == name
    assert response.headers["X-AUSERNAME"] == "zo%C3%AB"


def test_header_is_not_a_user(anonymous: TestApp) -> None:
    """Only the server's own key counts, never a header."""
    response = anonymous.get(f"{API}/myself", headers={"Remote-User": "alice"}, status=401)

    assert response.headers["X-AUSERNAME"] == "anonymous"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/myself", 401),
        ("GET", "/issue/DEMO-1", 401),
        ("PUT", "/issue/DEMO-1", 401),
        ("DELETE", "/issue/DEMO-1", 401),
        ("POST", "/issue", 401),
        ("GET", "/issue/DEMO-1/comment", 401),
        ("POST", "/issue/DEMO-1/comment", 401),
        ("POST", "/issue/DEMO-1/attachments", 401),
        ("GET", "/attachment/10001", 401),
        ("GET", "/user?username=alice", 401),
        ("GET", "/project/DEMO", 404),
        ("GET", "/serverInfo", 200),
        ("GET", "/project", 200),
        ("GET", "/search", 200),
        ("GET", "/field", 200),
    ],
)
def test_anonymous_callers_are_kept_out(anonymous: TestApp, method: str, path: str, status: int) -> None:
    """Without a user nothing of a project is shown, and nothing changes."""
    assert anonymous.request(API + path, method=method, expect_errors=True).status_int == status


def test_anonymous_search_finds_nothing(anonymous: TestApp) -> None:
    """As in Jira, an anonymous search does not fail: it is empty."""
    assert anonymous.get(f"{API}/search?jql=project=DEMO").json["total"] == 0


def test_anonymous_download_leads_to_the_login_page(anonymous: TestApp) -> None:
    """What is not REST redirects to the login page."""
    response = anonymous.get("/secure/attachment/10008/c14-saturday.log", status=302)

    assert response.headers["Location"].startswith("http://localhost/login.jsp?")


@pytest.mark.parametrize(
    "path", ["/rest/api/2/issue/DEMO-3", "/rest/api/latest/issue/demo-3", "/rest/api/2.0.alpha1/issue/DEMO-3.json"]
)
def test_spellings_of_an_address(alice: TestApp, path: str) -> None:
    """All spellings of a version, a key and a format lead to the same issue."""
    assert alice.get(path).json["key"] == "DEMO-3"


@pytest.mark.parametrize(
    "path",
    [
        *("/configuration", "/mypermissions", "/field", "/priority", "/priority/1", "/status", "/status/Done"),
        *("/statuscategory", "/issuetype", "/issuetype/10004", "/resolution", "/resolution/10000", "/issueLinkType"),
        *("/project", "/project/DEMO", "/project/demo", "/project/10000", "/project/DEMO/versions"),
        *("/project/DEMO/components", "/project/DEMO/statuses", "/user?username=bob", "/user?key=JIRAUSER10101"),
        *("/user/search?username=.", "/user/assignable/search?project=DEMO", "/issue/createmeta?projectKeys=DEMO"),
        *("/issue/createmeta/DEMO/issuetypes", "/issue/createmeta/DEMO/issuetypes/10004", "/issue/DEMO-1/editmeta"),
        *("/issue/DEMO-1/transitions", "/issue/DEMO-1/worklog", "/issue/DEMO-1/watchers", "/issue/DEMO-1/votes"),
        *("/issue/DEMO-1/comment", "/attachment/meta"),
    ],
)
def test_look_ups_answer(alice: TestApp, path: str) -> None:
    """Everything that clients look up is there, for GET and for HEAD, and is not empty."""
    assert alice.get(API + path).json
    assert alice.head(API + path).body == b""


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/rest/api/2/issue/DEMO-999", 404),
        ("/rest/api/2/issue/NOPE", 404),
        ("/rest/api/2/project/NOPE", 404),
        ("/rest/api/2/user?username=nobody", 404),
        ("/rest/api/2/priority/99", 404),
        ("/rest/api/2/attachment/1", 404),
        ("/rest/api/2/issue/DEMO-1/comment/1", 404),
        ("/rest/api/2/nothing/like/it", 404),
        ("/rest/other/1.0/thing", 404),
        ("/browse/DEMO-1", 404),
        ("/rest/api/2/search?maxResults=many", 400),
        ("/rest/api/2/search?startAt=-1", 400),
    ],
)
def test_what_is_not_there(alice: TestApp, path: str, status: int) -> None:
    """What does not exist, or can't be meant, is refused and not an accident."""
    assert alice.get(path, status=status).status_int == status


def test_wrong_method_names_the_right_ones(alice: TestApp) -> None:
    """A method that a resource does not have is refused with those that it has."""
    response = alice.delete(f"{API}/search", status=405)

    assert response.headers["Allow"] == "GET, HEAD, POST"


def test_errors_have_jiras_shape(alice: TestApp) -> None:
    """An error is a list of messages and a table by field."""
    expected = {"errorMessages": ["Issue Does Not Exist"], "errors": {}}

    assert alice.get(f"{API}/issue/DEMO-999", status=404).json == expected


# -- searching ---------------------------------------------------------------------------------------------------------


def test_search_pages(alice: TestApp) -> None:
    """Pages follow each other without a gap, and each tells the total."""
    pages = [alice.get(f"{API}/search?jql=ORDER BY key&startAt={at}&maxResults=5").json for at in (0, 5, 10, 15)]

    assert [len(page["issues"]) for page in pages] == [5, 5, 2, 0]
    assert {page["total"] for page in pages} == {12}
    assert [issue["key"] for page in pages for issue in page["issues"]] == [f"DEMO-{at}" for at in range(1, 13)]


def test_search_by_post(alice: TestApp) -> None:
    """A search may be posted."""
    asked = {"jql": "key = DEMO-3", "fields": ["summary", "status"], "maxResults": 1}

    found = alice.post_json(f"{API}/search", asked).json

    assert [sorted(issue["fields"]) for issue in found["issues"]] == [["status", "summary"]]


@pytest.mark.parametrize(
    ("asked", "there", "missing"),
    [
        ("summary", {"summary"}, {"status", "comment"}),
        ("*all", {"summary", "comment", "attachment"}, set()),
        ("*navigable", {"summary", "status"}, {"comment", "attachment"}),
        ("*all,-comment", {"summary", "attachment"}, {"comment"}),
        ("-summary", {"status"}, {"summary"}),
        ("", {"summary", "comment"}, set()),
    ],
)
def test_fields_are_chosen(alice: TestApp, asked: str, there: set[str], missing: set[str]) -> None:
    """A client gets the fields that it asked for."""
    fields = set(alice.get(f"{API}/issue/DEMO-3", {"fields": asked} if asked else {}).json["fields"])

    assert there <= fields
    assert not missing & fields


@pytest.mark.parametrize(
    ("jql", "expected"),
    [
        ("key = DEMO-3", ["DEMO-3"]),
        ("issuekey in (DEMO-3, demo-4) ORDER BY key", ["DEMO-3", "DEMO-4"]),
        ("project = demo AND type = Bug AND resolution = Unresolved ORDER BY key", ["DEMO-3", "DEMO-5", "DEMO-11"]),
        ('status = "In Progress" order by key desc', ["DEMO-8", "DEMO-3"]),
        ("status not in (Done, 'To Do', \"In Review\") ORDER BY key", ["DEMO-3", "DEMO-8"]),
        ("statusCategory = Done and assignee = currentUser() ORDER BY key", ["DEMO-1", "DEMO-7"]),
        ("assignee is EMPTY order by key", ["DEMO-4", "DEMO-9"]),
        ("assignee is not empty AND assignee != bob AND assignee != alice", ["DEMO-12"]),
        ('text ~ "waiting list" ORDER BY key', ["DEMO-3", "DEMO-8"]),
        ('summary ~ "berth*" AND summary !~ second AND status = Done ORDER BY key', ["DEMO-1", "DEMO-2"]),
        ("labels = payment ORDER BY priority DESC, key DESC", ["DEMO-5", "DEMO-2"]),
        ("component = Payment and fixVersion = 1.1 and resolution is empty order by key", ["DEMO-5", "DEMO-9"]),
        ("priority = Highest", ["DEMO-3"]),
    ],
)
def test_query_finds(alice: TestApp, jql: str, expected: list[str]) -> None:
    """The stand-in understands what simple queries are made of."""
    assert keys(alice, jql) == expected


@pytest.mark.parametrize(
    "jql",
    [
        "colour = red",
        "project = NOPE",
        "key = DEMO-999",
        "project = DEMO OR project = DEMO",
        "project = DEMO AND",
        "project",
        "project =",
        "project = DEMO status = Done",
        "project > DEMO",
        "project ~ DEMO",
        "summary = x",
        "status in ()",
        "status in (Done",
        "status not Done",
        "status is Done",
        'summary ~ "half',
        "ORDER",
        "ORDER BY colour",
        "ORDER BY key,",
        "assignee = currentUser(",
        "((((",
    ],
)
def test_query_that_is_not_understood(alice: TestApp, jql: str) -> None:
    """Any other query is refused with a sentence, never answered by chance."""
    response = alice.get(f"{API}/search", {"jql": jql}, status=400)

    assert len(response.json["errorMessages"]) == 1


# -- making and changing issues ----------------------------------------------------------------------------------------


def form(**fields: object) -> dict[str, Any]:
    usual = {"project": {"key": "DEMO"}, "summary": "A buoy is adrift", "issuetype": {"name": "Bug"}}
    return {"fields": usual | fields}


def test_create_an_issue(alice: TestApp) -> None:
    """A new issue has the next key, and what its form said."""
    sent = form(priority={"id": "2"}, assignee={"name": "bob"}, labels=["buoy"], components=[{"name": "Booking"}])

    made = alice.post_json(f"{API}/issue", sent).json

    assert made["key"] == "DEMO-13"
    fields = alice.get(made["self"]).json["fields"]
    assert [fields[name]["name"] for name in ("priority", "assignee", "reporter")] == ["High", "bob", "alice"]
    assert fields["labels"] == ["buoy"]
    assert fields["created"] == "2026-05-04T12:00:00.000+0000"


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"summary": ""}, {"summary"}),
        ({"summary": "two\nlines"}, {"summary"}),
        ({"summary": "x" * 255}, {"summary"}),
        ({"summary": None, "issuetype": None}, {"summary", "issuetype"}),
        ({"issuetype": {"name": "Poem"}}, {"issuetype"}),
        ({"project": {"key": "NOPE"}}, {"project"}),
        ({"project": {}}, {"project"}),
        ({"assignee": {"name": "nobody"}}, {"assignee"}),
        ({"labels": ["two words"]}, {"labels"}),
        ({"components": [{"name": "Nope"}]}, {"components"}),
        ({"duedate": "tomorrow"}, {"duedate"}),
        ({"description": 7}, {"description"}),
        ({"colour": "red"}, {"colour"}),
    ],
)
def test_create_says_what_is_wrong(alice: TestApp, fields: dict[str, object], wrong: set[str]) -> None:
    """A form that can't be taken is refused, with each field that is wrong, and nothing is made."""
    response = alice.post_json(f"{API}/issue", form(**fields), status=400)

    assert set(response.json["errors"]) == wrong
    assert alice.get(f"{API}/search").json["total"] == 12


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b'{"fields": []}', b"\xff", b"[" * 100_000])
def test_body_that_is_not_a_form(alice: TestApp, body: bytes) -> None:
    """A body that is no JSON object is refused with a sentence."""
    response = alice.post(f"{API}/issue", body, content_type="application/json", status=400)

    assert response.json["errorMessages"]


def test_edit_an_issue(alice: TestApp) -> None:
    """Fields are set, labels added and removed, and a comment comes along."""
    update = {"labels": [{"add": "urgent"}, {"remove": "race"}], "comment": [{"add": {"body": "See above."}}]}

    alice.put_json(f"{API}/issue/DEMO-3", {"fields": {"summary": "Changed"}, "update": update}, status=204)

    fields = alice.get(f"{API}/issue/DEMO-3").json["fields"]
    assert (fields["summary"], fields["labels"]) == ("Changed", ["data", "urgent"])
    assert fields["comment"]["comments"][-1]["body"] == "See above."


@pytest.mark.parametrize("update", [{"labels": [{"twist": "x"}]}, {"comment": [{"add": {}}]}, {"summary": ["x"]}])
def test_update_that_is_not_known(alice: TestApp, update: dict[str, object]) -> None:
    """An operation that is not known is refused, and nothing is changed."""
    alice.put_json(f"{API}/issue/DEMO-3", {"fields": {"summary": "Changed"}, "update": update}, status=400)

    assert alice.get(f"{API}/issue/DEMO-3").json["fields"]["summary"].startswith("Two skippers")


def test_delete_an_issue(alice: TestApp) -> None:
    """A deleted issue is gone, and its key is not given again."""
    alice.delete(f"{API}/issue/DEMO-12", status=204)

    alice.get(f"{API}/issue/DEMO-12", status=404)
    assert alice.post_json(f"{API}/issue", form()).json["key"] == "DEMO-13"


@pytest.mark.parametrize(("name", "expected"), [("bob", "bob"), (None, None), ("", None)])
def test_assign(alice: TestApp, name: str | None, expected: str | None) -> None:
    """An issue is given to somebody, or to nobody."""
    alice.put_json(f"{API}/issue/DEMO-1/assignee", {"name": name}, status=204)

    assignee = alice.get(f"{API}/issue/DEMO-1").json["fields"]["assignee"]
    assert (assignee and assignee["name"]) == expected


def test_transition_to_done_and_back(alice: TestApp) -> None:
    """A done issue has a resolution and a date; taken up again it has neither."""
    path = f"{API}/issue/DEMO-3/transitions"
    by_name = {step["name"]: step["id"] for step in alice.get(path).json["transitions"]}
    finish = {"transition": {"id": by_name["Done"]}, "fields": {"resolution": {"name": "Duplicate"}}}

    alice.post_json(path, finish, status=204)
    done = alice.get(f"{API}/issue/DEMO-3").json["fields"]
    alice.post_json(path, {"transition": {"id": by_name["To Do"]}}, status=204)
    again = alice.get(f"{API}/issue/DEMO-3").json["fields"]

    assert "In Progress" not in by_name
    assert (done["status"]["name"], done["resolution"]["name"]) == ("Done", "Duplicate")
    assert done["resolutiondate"] == "2026-05-04T12:00:00.000+0000"
    assert (again["status"]["name"], again["resolution"], again["resolutiondate"]) == ("To Do", None, None)


@pytest.mark.parametrize("body", [{}, {"transition": {"id": "99"}}, {"transition": {"id": "21"}}, {"transition": "31"}])
def test_transition_that_is_not_possible(alice: TestApp, body: dict[str, object]) -> None:
    """Only a transition that the issue offers can be taken."""
    alice.post_json(f"{API}/issue/DEMO-3/transitions", body, status=400)


# -- what hangs on an issue --------------------------------------------------------------------------------------------


def test_comment_is_added_changed_and_removed(alice: TestApp) -> None:
    """A comment lives from POST to DELETE, at the address that it names itself."""
    made = alice.post_json(f"{API}/issue/DEMO-1/comment", {"body": "Ahoy"}, status=201).json
    changed = alice.put_json(made["self"], {"body": "Ahoy!"}).json
    listed = alice.get(f"{API}/issue/DEMO-1/comment").json
    alice.delete(made["self"], status=204)

    assert (made["author"]["name"], changed["body"]) == ("alice", "Ahoy!")
    assert (listed["total"], listed["comments"][-1]["body"]) == (3, "Ahoy!")
    alice.get(made["self"], status=404)


def test_empty_comment_is_refused(alice: TestApp) -> None:
    """A comment has to say something."""
    assert "comment" in alice.post_json(f"{API}/issue/DEMO-1/comment", {"body": " "}, status=400).json["errors"]


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [({"timeSpentSeconds": 5400}, 5400), ({"timeSpent": "1h 30m"}, 5400), ({"timeSpent": "2d"}, 57600)],
)
def test_work_is_logged(alice: TestApp, sent: dict[str, object], seconds: int) -> None:
    """Time is told in seconds or in words."""
    made = alice.post_json(f"{API}/issue/DEMO-1/worklog", sent | {"started": "2026-05-03T09:30:00.000+0200"}).json

    assert (made["timeSpentSeconds"], made["started"]) == (seconds, "2026-05-03T07:30:00.000+0000")
    assert alice.get(f"{API}/issue/DEMO-1/worklog").json["total"] == 1


@pytest.mark.parametrize(
    "sent", [{}, {"timeSpent": "long"}, {"timeSpentSeconds": -1}, {"timeSpent": "1h", "started": "today"}]
)
def test_work_that_can_not_be_logged(alice: TestApp, sent: dict[str, object]) -> None:
    """A worklog needs a time that can be read."""
    alice.post_json(f"{API}/issue/DEMO-1/worklog", sent, status=400)


def test_watching_and_voting(alice: TestApp) -> None:
    """One watches and votes for oneself, lets others watch, and stops."""
    issue = f"{API}/issue/DEMO-1"
    alice.post_json(f"{issue}/watchers", "bob", status=204)
    alice.post(f"{issue}/watchers", status=204)
    alice.delete(f"{issue}/watchers?username=carol", status=204)
    alice.post(f"{issue}/votes", status=204)

    watching, voting = alice.get(f"{issue}/watchers").json, alice.get(f"{issue}/votes").json

    assert [user["name"] for user in watching["watchers"]] == ["alice", "bob"]
    assert (voting["votes"], voting["hasVoted"]) == (1, True)
    alice.delete(f"{issue}/votes", status=204)
    assert alice.get(f"{issue}/votes").json["votes"] == 0


def test_nobody_votes_for_their_own(alice: TestApp) -> None:
    """As in Jira, the reporter has no vote."""
    alice.post(f"{API}/issue/DEMO-4/votes", status=404)


def test_attachment_goes_in_and_comes_out(alice: TestApp) -> None:
    """What is uploaded is downloaded, byte for byte, at the absolute address that its description gives."""
    content = bytes(range(256))
    files = [("file", "night watch é.bin", content)]

    made = alice.post(f"{API}/issue/DEMO-1/attachments", upload_files=files, headers=NO_CHECK).json[0]
    response = alice.get(made["content"])

    assert made["content"].startswith("http://localhost/secure/attachment/")
    assert response.body == content
    assert response.headers["Content-Disposition"].startswith("attachment;")
    alice.delete(made["self"], status=204)
    alice.get(made["content"], status=404)


def test_upload_needs_the_header_against_forged_forms(alice: TestApp) -> None:
    """Without X-Atlassian-Token an upload is refused in Jira's words."""
    response = alice.post(f"{API}/issue/DEMO-1/attachments", upload_files=[("file", "a.txt", b"a")], status=403)

    assert response.text == "XSRF check failed"


def test_upload_needs_a_file(alice: TestApp) -> None:
    """A form without a part named file is refused."""
    alice.post(f"{API}/issue/DEMO-1/attachments", upload_files=[("other", "a", b"")], headers=NO_CHECK, status=400)


@pytest.mark.parametrize(("name", "kept"), [("../../etc/passwd", "passwd"), ("..", "unnamed"), ("a/", "unnamed")])
def test_file_name_is_only_a_name(alice: TestApp, name: str, kept: str) -> None:
    """Nothing of a path stays in the name of a file."""
    files = [("file", name, b"x")]

    made = alice.post(f"{API}/issue/DEMO-1/attachments", upload_files=files, headers=NO_CHECK).json[0]

    assert made["filename"] == kept


def test_too_large_a_body_is_refused(alice: TestApp) -> None:
    """What is uploaded stays in memory, so it is bounded."""
    files = [("file", "big.bin", bytes(11 * 2**20))]

    response = alice.post(f"{API}/issue/DEMO-1/attachments", upload_files=files, headers=NO_CHECK, status=413)

    assert response.json["errorMessages"]


# -- addresses ---------------------------------------------------------------------------------------------------------


def test_links_follow_the_address_that_was_asked(alice: TestApp) -> None:
    """Absolute links lead to the host that the client used."""
    issue = alice.get(f"{API}/issue/DEMO-6", headers={"Host": "jira.example.org"}).json

    assert issue["self"] == "http://jira.example.org/rest/api/2/issue/" + issue["id"]
    assert issue["fields"]["attachment"][0]["content"].startswith("http://jira.example.org/secure/attachment/")


def test_links_follow_the_base_url() -> None:
    """With a base URL links lead there, whatever host was asked."""
    app = client(base_url="https://jira.example.org/jira/", context="/jira")

    assert app.get("/jira/rest/api/2/issue/DEMO-1").json["self"].startswith("https://jira.example.org/jira/rest/api/2/")


def test_context_stands_before_everything() -> None:
    """Under a context path all is there, with links that have it, and nothing is beside it."""
    app = client(context="/jira")

    assert app.get("/jira/rest/api/2/myself").json["self"].startswith("http://localhost/jira/rest/api/2/user")
    app.get("/rest/api/2/myself", status=404)
    app.get("/jirarest/api/2/myself", status=404)


# -- whole -------------------------------------------------------------------------------------------------------------


def test_threads_lose_nothing() -> None:
    """What several threads write at once is all there."""
    app = client()

    def comment(number: int) -> None:
        app.post_json(f"{API}/issue/DEMO-1/comment", {"body": str(number)})
        app.post_json(f"{API}/issue", form(summary=f"Buoy {number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(comment, range(40)))

    bodies = [comment["body"] for comment in app.get(f"{API}/issue/DEMO-1/comment?maxResults=100").json["comments"]]
    assert sorted(map(int, bodies[2:])) == list(range(40))
    assert app.get(f"{API}/search").json["total"] == 52


class Quiet(WSGIRequestHandler):
    """Says nothing about requests."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve(user: str) -> Iterator[str]:
    """Serve the stand-in for a user on a free port of the loopback interface, and give its address."""
    app = validator(JiraStandIn(gate=True))
    with make_server("127.0.0.1", 0, lambda environ, start: app(environ | {"REMOTE_USER": user}, start)) as server:
        server.RequestHandlerClass = Quiet
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_jira_client_works() -> None:
    """PyPI's ``jira`` connects, lists, searches in pages, and changes issues."""
    jira = pytest.importorskip("jira")
    with serve("bob") as address:
        remote = jira.JIRA(address, token_auth="anything", max_retries=0)

        assert [project.key for project in remote.projects()] == ["DEMO"]
        assert remote.myself()["name"] == "bob"
        assert len(remote.search_issues("project = DEMO ORDER BY key", maxResults=False)) == 12
        assert len(remote.search_issues("project = DEMO", startAt=10, maxResults=5)) == 2

        issue = remote.create_issue(project="DEMO", summary="A buoy is adrift", issuetype={"name": "Bug"})
        remote.add_comment(issue, "Seen from the pier")
        remote.transition_issue(issue, "Done", fields={"resolution": {"name": "Done"}})
        remote.assign_issue(issue, "carol")
        issue.update(fields={"summary": "A buoy was adrift", "labels": ["buoy"]})
        attached = remote.add_attachment(issue, io.BytesIO(b"photo"), filename="buoy.jpg")

        again = remote.issue(issue.key)
        assert again.fields.summary == "A buoy was adrift"
        assert (again.fields.status.name, again.fields.assignee.name) == ("Done", "carol")
        assert [comment.body for comment in remote.comments(issue)] == ["Seen from the pier"]
        assert remote.attachment(attached.id).get() == b"photo"
        assert [kind.name for kind in remote.project_issue_types("DEMO")] == ["Story", "Task", "Bug"]
        again.delete()


def test_atlassian_python_api_works() -> None:
    """PyPI's ``atlassian-python-api`` reads, searches and comments."""
    atlassian = pytest.importorskip("atlassian")
    with serve("bob") as address:
        remote = atlassian.Jira(url=address, token="anything")

        assert [project["key"] for project in remote.projects()] == ["DEMO"]
        assert remote.jql("status = Done")["total"] == 3
        assert remote.issue_add_comment("DEMO-1", "Ahoy")["author"]["name"] == "bob"
        remote.set_issue_status("DEMO-4", "In Progress")
        assert remote.get_issue_status("DEMO-4") == "In Progress"


def test_answers_are_json_that_any_client_reads(alice: TestApp) -> None:
    """Everything of an issue can be written as JSON again."""
    body = alice.get(f"{API}/issue/DEMO-3?expand=transitions").body

    assert json.loads(body)["transitions"]
