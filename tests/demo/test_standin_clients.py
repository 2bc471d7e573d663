"""The clients that people use, at the strict stand-in: a day's work by each way in."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from services.jira import PASSWORDS, JiraServer

API = "/rest/api/2"


def by_token(server: JiraServer) -> dict[str, Any]:
    return {"token_auth": server.pat("bob")}


def by_password(server: JiraServer) -> dict[str, Any]:
    return {"basic_auth": ("bob", PASSWORDS["bob"])}


def by_cookie(server: JiraServer) -> dict[str, Any]:
    return {"auth": ("bob", PASSWORDS["bob"])}


@pytest.mark.parametrize(("way", "how"), [(by_token, "bearer"), (by_password, "basic"), (by_cookie, "session")])
def test_jira(jira_server: JiraServer, way: Callable[[JiraServer], dict[str, Any]], how: str) -> None:
    """PyPI's ``jira``: connect, search in pages, make, comment, move along, attach, download, delete."""
    jira = pytest.importorskip("jira")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of cookies
        remote = jira.JIRA(jira_server.url, max_retries=0, **way(jira_server))

    assert (remote.server_info()["deploymentType"], remote.myself()["name"]) == ("Server", "bob")
    assert len(remote.search_issues("project = DEMO ORDER BY key", maxResults=5)) == 5
    issue = remote.create_issue(project="DEMO", summary="A buoy is adrift", issuetype={"name": "Bug"})
    remote.add_comment(issue, "Seen from the pier")
    remote.transition_issue(issue, "Done")
    attached = remote.add_attachment(issue, io.BytesIO(b"photo"), filename="buoy.jpg")
    again = remote.issue(issue.key)

    assert (again.fields.status.name, again.fields.reporter.name) == ("Done", "bob")
    assert remote.attachment(attached.id).get() == b"photo"
    again.delete()
    remote.close()
    assert jira_server.log[-1].how == how
    assert {seen.how for seen in jira_server.log} <= {how, "session", "anonymous"}


def test_jira_hears_of_the_captcha(jira_server: JiraServer) -> None:
    """With a wrong password the client fails, and after three times it hears why the right one does."""
    jira = pytest.importorskip("jira")
    for _ in range(3):
        with pytest.raises(jira.JIRAError, match="AUTHENTICATED_FAILED"):
            jira.JIRA(jira_server.url, basic_auth=("bob", "wrong"), max_retries=0)

    with pytest.raises(jira.JIRAError, match="CAPTCHA"):
        jira.JIRA(jira_server.url, basic_auth=("bob", PASSWORDS["bob"]), max_retries=0)


@pytest.mark.parametrize("way", ["token", "basic"])
def test_atlassian_python_api(jira_server: JiraServer, tmp_path: Path, way: str) -> None:
    """PyPI's ``atlassian-python-api``: search, make, comment, move along, attach, download, delete."""
    atlassian = pytest.importorskip("atlassian")
    token = {"token": jira_server.pat("bob")}
    remote = atlassian.Jira(
        url=jira_server.url, **(token if way == "token" else {"username": "bob", "password": PASSWORDS["bob"]})
    )
    photo = tmp_path / "buoy.jpg"
    photo.write_bytes(b"photo")

    assert remote.myself()["name"] == "bob"
    assert remote.jql("project = DEMO", limit=5)["total"] == 12
    fields = {"project": {"key": "DEMO"}, "summary": "A buoy is adrift", "issuetype": {"name": "Bug"}}
    key = remote.create_issue(fields=fields)["key"]
    remote.issue_add_comment(key, "Ahoy")
    remote.set_issue_status(key, "In Progress")
    attached = remote.add_attachment(key, str(photo))[0]
    content = remote.get(attached["content"], absolute=True, not_json_response=True)

    assert content == b"photo"
    assert remote.get_issue_status(key) == "In Progress"
    remote.delete_issue(key)
    remote.session.close()
    assert jira_server.log[-1].user == "bob"


def test_curl(jira_server: JiraServer, tmp_path: Path) -> None:
    """curl: make an issue, attach a file, and download it."""
    curl = shutil.which("curl") or pytest.skip("needs curl")
    photo = tmp_path / "buoy.jpg"
    photo.write_bytes(b"photo")

    def run(*words: str) -> bytes:
        command = [curl, "-sSf", "--noproxy", "*", "-H", f"Authorization: Bearer {jira_server.pat('bob')}", *words]
        return subprocess.run(command, capture_output=True, check=True, timeout=30).stdout

    form = {"fields": {"project": {"key": "DEMO"}, "summary": "Adrift", "issuetype": {"name": "Bug"}}}
    posted = ("-H", "Content-Type: application/json", "-d", json.dumps(form), f"{jira_server.url}{API}/issue")
    made = json.loads(run("--compressed", *posted))
    upload = ("-H", "X-Atlassian-Token: no-check", "-F", f"file=@{photo}", f"{made['self']}/attachments")
    attached = json.loads(run(*upload))[0]

    assert run(attached["content"]) == b"photo"
    assert run("-X", "DELETE", made["self"]) == b""
