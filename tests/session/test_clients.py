"""Clients that know only Jira's cookie way, over real HTTP: client, gate, and a small Jira behind it."""

from __future__ import annotations

import gc
import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from cli.running import Answer, request, running
from logins import ENDPOINT, World, served
from services.gated import gated

from patmiddleware import Issuer, Minted, Policy, SessionSettings, open_store
from patmiddleware.demo.standin import JiraStandIn
from patmiddleware.model import Token

# PyPI's jira drops the answer that told it to log in again, unread.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

BOUND = 1.0
"""Seconds within which a revocation arrives in every process."""


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """What a client has dropped is gone before the next test begins."""
    yield
    gc.collect()


@contextmanager
def jira_behind(world: World, mount: str = "") -> Iterator[str]:
    """Serve a Jira behind a gate, with a validator on either side of it, and give its address."""
    settings = SessionSettings(secure=False, path=mount or "/")
    policy = Policy.preset("jira", mount=mount)
    gate = world.gate(
        validator(JiraStandIn(context=mount, gate=True)),
        policy=policy,
        errors="jira",
        session=settings,
        clock=time.time,
    )
    with served(validator(gate)) as address:
        yield address + mount


@contextmanager
def connected(address: str, minted: Minted) -> Iterator[Any]:
    """Connect PyPI's ``jira`` in its cookie mode."""
    jira = pytest.importorskip("jira")
    with pytest.warns(DeprecationWarning, match="instead of Cookie based"):
        remote = jira.JIRA(address, auth=(minted.token.owner, minted.secret), max_retries=0)
    try:
        yield remote
    finally:
        remote.close()


def mint(world: World, *scopes: str) -> Minted:
    return Issuer(world.store).mint(owner="bob", name="script", scopes=scopes)


def sessions(world: World) -> list[Token]:
    return [token for token in world.store.list(revoked=False) if token.is_session]


@pytest.mark.parametrize("mount", ["", "/jira"])
def test_jira_client_works_with_cookies(world: World, mount: str) -> None:
    """PyPI's ``jira`` logs in with a token, and reads, writes and uploads by its cookie alone."""
    with jira_behind(world, mount) as address, connected(address, mint(world, "WRITE")) as remote:
        assert remote.session().name == "bob"
        assert remote.myself()["name"] == "bob"
        assert len(remote.search_issues("project = DEMO ORDER BY key", maxResults=False)) == 12
        issue = remote.create_issue(project="DEMO", summary="A buoy is adrift", issuetype={"name": "Bug"})
        remote.add_comment(issue, "Seen from the pier")
        remote.transition_issue(issue, "Done", fields={"resolution": {"name": "Done"}})
        attached = remote.add_attachment(issue, io.BytesIO(b"photo"), filename="buoy.jpg")
        assert remote.attachment(attached.id).get() == b"photo"
        assert len(sessions(world)) == 1

        assert remote.kill_session().status_code == 204
        assert sessions(world) == []


def test_jira_client_is_refused_what_its_token_is(world: World) -> None:
    """A session of a token that reads does not write; the client says why."""
    jira = pytest.importorskip("jira")
    with (
        jira_behind(world) as address,
        connected(address, mint(world, "READ")) as remote,
        pytest.raises(jira.JIRAError) as caught,
    ):
        remote.add_comment("DEMO-1", "Ahoy")

    assert caught.value.status_code == 403
    assert "Needed: WRITE" in caught.value.text


def test_jira_client_logs_in_again(world: World) -> None:
    """When its session is over, it gets another one by itself; when its token is, it gets none."""
    jira = pytest.importorskip("jira")
    minted = mint(world, "READ")
    with jira_behind(world) as address, connected(address, minted) as remote:
        [first] = sessions(world)
        world.issuer.revoke(first.id)

        assert remote.myself()["name"] == "bob"
        [second] = sessions(world)
        assert second.id != first.id

        world.issuer.revoke(minted.token.id)
        with pytest.raises(jira.JIRAError) as caught:
            remote.myself()
        assert (caught.value.status_code, caught.value.text) == (401, "Login failed")


def test_jira_client_is_refused_with_a_bad_token(world: World) -> None:
    """It hears Jira's own words."""
    jira = pytest.importorskip("jira")
    good = mint(world, "READ")
    with (
        jira_behind(world) as address,
        pytest.raises(jira.JIRAError) as caught,
        connected(address, Minted(good.secret[:-1], good.token)),
    ):
        pass

    assert (caught.value.status_code, caught.value.text) == (401, "Login failed")


def test_atlassian_python_api_works_with_a_session(world: World) -> None:
    """PyPI's ``atlassian-python-api`` takes a session that was logged in before; to write, it must say ``no-check``."""
    atlassian, requests = pytest.importorskip("atlassian"), pytest.importorskip("requests")
    minted = mint(world, "WRITE")
    with jira_behind(world) as address, requests.Session() as session:
        login = {"username": "bob", "password": minted.secret}
        assert session.post(f"{address}{ENDPOINT}", json=login).json()["session"]["name"] == "JSESSIONID"
        remote = atlassian.Jira(url=address, session=session)

        assert remote.jql("status = Done")["total"] == 3
        with pytest.raises(requests.HTTPError, match="X-Atlassian-Token: no-check"):
            remote.issue_add_comment("DEMO-1", "Ahoy")
        session.headers["X-Atlassian-Token"] = "no-check"
        assert remote.issue_add_comment("DEMO-1", "Ahoy")["author"]["name"] == "bob"
        remote.close()


@pytest.mark.parametrize("way", ["basic", "bearer", "oauth1"])
@pytest.mark.parametrize("mount", ["", "/jira"])
def test_nothing_of_a_session_goes_upstream(way: str, mount: str) -> None:
    """Behind the gate a forwarder asks a strict Jira: it hears of no login, no cookie and no token."""
    accepted = {"accept": ["session"], "session": SessionSettings(secure=False, path=mount or "/")}
    with gated(way, mount=mount, gate=accepted) as chain:
        minted = Issuer(chain.store).mint(owner="alice", name="script", scopes=["WRITE"])
        with connected(chain.url, minted) as remote:
            assert remote.session().name == "alice"
            assert remote.myself()["name"] == chain.acts_as()
            made = remote.create_issue(project="DEMO", issuetype="Task", summary="By cookie")
            attached = remote.add_attachment(made, io.BytesIO(b"photo"), filename="buoy.jpg")
            assert attached.get() == b"photo"
            assert remote.kill_session().status_code == 204
        seen = list(chain.jira.log)

    assert len(seen) >= 4
    assert [each.target for each in seen if "/rest/auth" in each.target] == []
    told = str([(each.target, each.headers, each.body) for each in seen])
    assert "authorization" in told.lower()
    assert "JSESSIONID" not in told
    assert "pat_" not in told


SETTINGS = """
[middleware]
accept = ["bearer", "session"]
errors = "jira"
[store]
url = "sqlite:///tokens.db"
[policy]
preset = "jira"
[session]
secure = false
lifetime = "1h"
[app]
import = "patmiddleware.demo.jira:application"
[server]
listen = "127.0.0.1:0"
"""


@contextmanager
def process(folder: Path) -> Iterator[str]:
    """Serve the settings of a folder in a process of its own, and give its address."""
    with running(["serve", "--json"], folder) as serving:
        assert serving.stdout is not None
        yield json.loads(serving.stdout.readline())["url"]


def log_in(address: str, secret: str) -> dict[str, str]:
    """Give the header of a session."""
    body = json.dumps({"username": "bob", "password": secret})
    answer = request("POST", f"{address}{ENDPOINT}", {"Content-Type": "application/json"}, body)
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


def myself(address: str, headers: dict[str, str]) -> Answer:
    return request("GET", f"{address}/rest/api/2/myself", headers)


def test_a_session_is_good_in_every_process_and_ends_in_all(tmp_path: Path) -> None:
    """Opened in one it serves in another; within the bound it has ended, wherever it or its token was."""
    pytest.importorskip("waitress", reason="needs the extra server")
    (tmp_path / "patmiddleware.toml").write_text(SETTINGS)
    issuer = Issuer(open_store(f"sqlite:///{tmp_path}/tokens.db"))
    one, other = (issuer.mint(owner="bob", name=name, scopes=["READ"]) for name in ("one", "other"))

    with process(tmp_path) as here, process(tmp_path) as there:
        by_one, by_other = log_in(here, one.secret), log_in(here, other.secret)
        before = [myself(address, headers).status for address in (here, there) for headers in (by_one, by_other)]

        issuer.revoke(one.token.id)
        leaving = by_other | {"X-Atlassian-Token": "no-check"}
        ended = request("DELETE", f"{here}{ENDPOINT}", leaving).status
        at_once = myself(here, by_other).status
        time.sleep(BOUND)
        after = [myself(address, headers).status for address in (here, there) for headers in (by_one, by_other)]
    issuer.store.close()  # type: ignore[attr-defined]

    assert (before, ended, at_once, after) == ([200] * 4, 204, 401, [401] * 4)
