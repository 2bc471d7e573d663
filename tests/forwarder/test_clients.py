"""Clients that people use, through the gate and the forwarder, with each way of being somebody at Jira."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from jira import JIRA, JIRAError
from services.gated import WAYS, Gated, gated


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
