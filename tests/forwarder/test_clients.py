"""Clients that people use, through the gate and the forwarder, with each way of being somebody at Jira."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jira import JIRA, JIRAError
from services.gated import WAYS, Gated, gated

from patmiddleware import SessionSettings

FIELDS = {"project": {"key": "DEMO"}, "summary": "A buoy is adrift", "issuetype": {"name": "Bug"}}
PHOTO = bytes(range(256)) * 300


@pytest.fixture(params=sorted(WAYS), scope="module")
def chain(request: pytest.FixtureRequest) -> Iterator[Gated]:
    with gated(request.param) as found:
        yield found


def client(chain: Gated, carrier: str, secret: str) -> JIRA:
    how: dict[str, Any] = {"token_auth": secret} if carrier == "bearer" else {"basic_auth": ("alice", secret)}
    return JIRA(chain.url, **how, max_retries=0, options={"check_update": False})


@pytest.fixture(params=["bearer", "basic"])
def carrier(request: pytest.FixtureRequest) -> str:
    """Where the token stands."""
    found: str = request.param
    return found


def test_pypi_jira_does_its_work(chain: Gated, carrier: str) -> None:
    """Connect, look, search in pages, make, comment, move, upload and download."""
    jira = client(chain, carrier, chain.token("WRITE"))

    assert jira.server_info()["deploymentType"] == "Server"
    assert jira.myself()["name"] == chain.acts_as()
    made = jira.create_issue(project="DEMO", issuetype="Task", summary="Through the gate")
    assert made.self.startswith(f"{chain.url}/rest/api/2/issue/")
    jira.add_comment(made, "A comment, mit Umlauten: äöü ✓")
    assert [comment.body for comment in jira.comments(made)] == ["A comment, mit Umlauten: äöü ✓"]
    jira.transition_issue(made, jira.transitions(made)[0]["id"])
    found = jira.search_issues("project = DEMO", maxResults=2)
    assert (len(found), found.total > 2) == (2, True)
    content = bytes(range(256)) * 1_000
    attachment = jira.add_attachment(made, io.BytesIO(content), "all bytes.bin")
    assert attachment.content.startswith(f"{chain.url}/secure/attachment/")
    assert attachment.get() == content
    assert jira.issue(made.key).fields.summary == "Through the gate"


def test_a_read_token_is_refused_where_something_changes(chain: Gated, carrier: str) -> None:
    """By us, in Jira's shape; the stand-in hears nothing of it."""
    jira = client(chain, carrier, chain.token("READ"))
    issue = jira.issue("DEMO-1")
    before = len(chain.jira.log)

    for act in (
        lambda: jira.create_issue(project="DEMO", issuetype="Task", summary="no"),
        lambda: jira.add_comment(issue, "no"),
        lambda: jira.transition_issue(issue, "11"),
        lambda: jira.add_attachment(issue, io.BytesIO(b"no"), "no.txt"),
        issue.delete,
    ):
        with pytest.raises(JIRAError) as refused:
            act()
        assert (refused.value.status_code, "WRITE" in refused.value.text) == (403, True)

    assert [seen.method for seen in list(chain.jira.log)[before:] if seen.method != "GET"] == []


def test_a_bad_token_never_causes_a_request_upstream(chain: Gated, carrier: str) -> None:
    """Nor a failed login there."""
    before = len(chain.jira.log)

    for secret in ("pat_nonsense", "x" * 40, "alice's password"):
        with pytest.raises(JIRAError) as refused:
            client(chain, carrier, secret).myself()
        assert refused.value.status_code in (400, 401)

    assert len(chain.jira.log) == before


def test_each_owner_is_somebody_by_a_credential_of_their_own() -> None:
    """Out of the vault, of whatever kind; one who has none there is told what to do, and is nobody upstream."""
    with gated("vault") as chain:
        names = {owner: client(chain, "bearer", chain.token("READ", owner=owner)) for owner in ("alice", "bob")}
        assert {owner: jira.myself()["name"] for owner, jira in names.items()} == {"alice": "alice", "bob": "bob"}
        assert {seen.how for seen in chain.jira.log if seen.user} == {"basic", "bearer"}
        before = len(chain.jira.log)

        with pytest.raises(JIRAError, match="carol has no credential") as refused:
            client(chain, "bearer", chain.token("READ", owner="carol")).myself()

        assert (refused.value.status_code, len(chain.jira.log)) == (502, before)


def atlassian(chain: Gated, carrier: str, secret: str) -> Any:
    package = pytest.importorskip("atlassian")
    how = {"token": secret} if carrier == "bearer" else {"username": "alice", "password": secret}
    return package.Jira(url=chain.url, **how)


def test_atlassian_python_api_does_its_work(chain: Gated, carrier: str, tmp_path: Path) -> None:
    """Look, search, make, comment, move, upload, and download by the link that Jira gave."""
    remote = atlassian(chain, carrier, chain.token("WRITE"))
    (tmp_path / "buoy.jpg").write_bytes(PHOTO)

    assert remote.get_server_info()["deploymentType"] == "Server"
    assert remote.myself()["name"] == chain.acts_as()
    pages = [remote.jql("project = DEMO ORDER BY key", start=start, limit=2)["issues"] for start in (0, 2)]
    assert len({issue["key"] for page in pages for issue in page}) == 4
    key = remote.create_issue(fields=FIELDS)["key"]
    remote.issue_add_comment(key, "Ahoy")
    remote.set_issue_status(key, "In Progress")
    [attached] = remote.add_attachment(key, str(tmp_path / "buoy.jpg"))
    assert attached["content"].startswith(f"{chain.url}/")
    assert remote.get(attached["content"], absolute=True, not_json_response=True) == PHOTO
    assert remote.get_issue_status(key) == "In Progress"
    remote.session.close()


def test_atlassian_python_api_is_refused_with_a_read_token(chain: Gated, carrier: str) -> None:
    """It reads, and nothing that it would change reaches the upstream."""
    requests = pytest.importorskip("requests")
    remote = atlassian(chain, carrier, chain.token("READ"))
    assert remote.issue("DEMO-1")["key"] == "DEMO-1"
    before = len(chain.jira.log)

    for act in (
        lambda: remote.create_issue(fields=FIELDS),
        lambda: remote.issue_add_comment("DEMO-1", "no"),
        lambda: remote.delete_issue("DEMO-1"),
    ):
        with pytest.raises(requests.HTTPError) as refused:
            act()
        assert refused.value.response.status_code == 403
    remote.session.close()

    assert len(chain.jira.log) == before


def curl(carrier: str, secret: str, *words: str) -> tuple[int, bytes]:
    """Run the program, and give status and body."""
    program = shutil.which("curl") or pytest.skip("needs curl")
    how = ("-H", f"Authorization: Bearer {secret}") if carrier == "bearer" else ("-u", f"alice:{secret}")
    command = [program, "-sS", "--noproxy", "*", "-w", "%{http_code}", *how, *words]
    said = subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
    return int(said[-3:]), said[:-3]


def test_curl_does_its_work(chain: Gated, carrier: str, tmp_path: Path) -> None:
    """Look, search in pages, make, comment, move, upload a form, and download by the link in the answer."""
    secret, api = chain.token("WRITE"), f"{chain.url}/rest/api/2"
    (tmp_path / "buoy.jpg").write_bytes(PHOTO)

    def ask(path: str, *words: str, document: object = None) -> Any:
        posted = () if document is None else ("-H", "Content-Type: application/json", "-d", json.dumps(document))
        status, body = curl(carrier, secret, "--compressed", *words, *posted, api + path)
        assert status < 300, body
        return json.loads(body) if body else None

    assert ask("/serverInfo")["deploymentType"] == "Server"
    assert ask("/myself")["name"] == chain.acts_as()
    assert len(ask("/search?jql=project%3DDEMO&startAt=2&maxResults=3")["issues"]) == 3
    made = ask("/issue", document={"fields": FIELDS})
    issue = f"/issue/{made['key']}"
    assert ask(f"{issue}/comment", document={"body": "Ahoy ✓"})["body"] == "Ahoy ✓"
    [first, *_] = ask(f"{issue}/transitions")["transitions"]
    ask(f"{issue}/transitions", document={"transition": {"id": first["id"]}})
    check = ("-H", "X-Atlassian-Token: no-check")
    [attached] = ask(f"{issue}/attachments", *check, "-F", f"file=@{tmp_path / 'buoy.jpg'}")
    assert attached["content"].startswith(f"{chain.url}/")
    assert curl(carrier, secret, attached["content"]) == (200, PHOTO)


def test_curl_is_refused_with_a_read_token(chain: Gated, carrier: str, tmp_path: Path) -> None:
    """Reading and downloading go on; a form with a file in it does not reach the upstream."""
    secret, issue = chain.token("READ"), f"{chain.url}/rest/api/2/issue/DEMO-1"
    (tmp_path / "buoy.jpg").write_bytes(PHOTO)
    assert curl(carrier, secret, issue)[0] == 200
    before = len(chain.jira.log)

    upload = ("-H", "X-Atlassian-Token: no-check", "-F", f"file=@{tmp_path / 'buoy.jpg'}", f"{issue}/attachments")
    statuses = [curl(carrier, secret, *words)[0] for words in (upload, ("-X", "DELETE", issue))]

    assert (statuses, len(chain.jira.log)) == ([403, 403], before)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the client drops an answer unread
@pytest.mark.parametrize("way", sorted(set(WAYS) - {"pass"}))
def test_pypi_jira_does_its_work_with_a_session(way: str) -> None:
    """In its cookie mode: it logs in with the token, which the gate answers, and the upstream never hears of."""
    gate = {"accept": ("bearer", "session"), "session": SessionSettings(secure=False, path="/")}
    with gated(way, gate=gate) as chain:
        secret = chain.token("WRITE")
        with pytest.warns(DeprecationWarning, match="instead of Cookie based"):
            jira = JIRA(chain.url, auth=("alice", secret), max_retries=0, options={"check_update": False})

        assert jira.myself()["name"] == chain.acts_as()
        made = jira.create_issue(project="DEMO", issuetype="Task", summary="In a session")
        assert jira.add_attachment(made, io.BytesIO(PHOTO), "buoy.jpg").get() == PHOTO
        assert len(jira.search_issues("project = DEMO", maxResults=2)) == 2
        jira.close()

        sent = [value for seen in chain.jira.log for _, value in seen.headers]
        assert [value for value in sent if secret in value] == []


SCRIPT = """
const Client = require("jira-client"), fs = require("fs"), {PORT, SECRET, WAY, PHOTO} = process.env;
const how = WAY === "bearer" ? {bearer: SECRET} : {username: "alice", password: SECRET};
const jira = new Client({protocol: "http", host: "127.0.0.1", port: PORT, apiVersion: "2", ...how});
// A server may hang up on what it has refused already, while it is still being sent.
const refused = (error) => error.message.includes("WRITE") || /EPIPE|ECONNRESET/.test(error.message);
const done = (act) => act.then(() => "done", (error) => refused(error) ? "refused" : error.message);
(async () => {
  const fields = {project: {key: "DEMO"}, summary: "A buoy is adrift", issuetype: {name: "Bug"}}, told = {};
  told.me = (await jira.getCurrentUser()).name;
  told.server = (await jira.getServerInfo()).deploymentType;
  told.pages = (await jira.searchJira("project = DEMO", {startAt: 2, maxResults: 3})).issues.length;
  told.made = await done(jira.addNewIssue({fields}));
  const key = told.made === "done" ? (await jira.addNewIssue({fields})).key : "DEMO-1";
  told.commented = await done(jira.addComment(key, "Ahoy"));
  const [first] = (await jira.listTransitions(key)).transitions;
  told.moved = await done(jira.transitionIssue(key, {transition: {id: first.id}}));
  told.attached = await done(jira.addAttachmentOnIssue(key, fs.createReadStream(PHOTO)));
  const {attachment} = (await jira.findIssue(key)).fields;
  if (told.attached === "done")
    told.content = Buffer.from(await jira.downloadAttachment(attachment.at(-1))).toString();
  console.log(JSON.stringify(told));
})().catch((error) => { console.error(String(error.message)); process.exit(1); });
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with npm's ``jira-client``."""
    npm = shutil.which("npm") or pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("node")
    (folder / "work.js").write_text(SCRIPT)
    (folder / "buoy.txt").write_text("seen from the pier")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "jira-client@8"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=280)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["READ", "WRITE"])
def test_npm_jira_client_does_its_work(chain: Gated, carrier: str, node: Path, scope: str) -> None:
    """With a token to write it does all of it; with one to read, whatever changes something is refused."""
    given = {"PORT": chain.url.rpartition(":")[2], "SECRET": chain.token(scope), "WAY": carrier, "PHOTO": "buoy.txt"}
    environment = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1", **given}

    said = subprocess.run(["node", "work.js"], cwd=node, env=environment, capture_output=True, text=True, timeout=60)

    status = "done" if scope == "WRITE" else "refused"
    changes = dict.fromkeys(("made", "commented", "moved", "attached"), status)
    content = {"content": "seen from the pier"} if scope == "WRITE" else {}
    expected = {"me": chain.acts_as(), "server": "Server", "pages": 3, **changes, **content}
    assert json.loads(said.stdout or "{}") == expected, said.stderr
