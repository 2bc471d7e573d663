"""``patmiddleware token adopt``: a token that Jira made is good here, with scopes, and goes on as it came."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from gate import call, request
from services.jira import JiraServer

from patmiddleware.cli.root import commands
from patmiddleware.config import from_config

SETTINGS = """\
[store]
url = "sqlite:///tokens.db"
[policy]
preset = "jira"
[app]
upstream = "{url}"
public_url = "https://api.example.org"
auth = {{kind = "pass"}}
"""


@pytest.fixture
def settings(jira_server: JiraServer, tmp_path: Path) -> Path:
    path = tmp_path / "patmiddleware.toml"
    path.write_text(SETTINGS.format(url=jira_server.url))
    return path


def adopt(settings: Path, secret: str, *words: str) -> Result:
    arguments = ["token", "adopt", "--config", str(settings), *(words or ("--scopes", "READ"))]
    return CliRunner().invoke(commands, arguments, input=f"{secret}\n")


def test_a_token_is_adopted_as_whose_it_is(jira_server: JiraServer, settings: Path) -> None:
    """Jira is asked; from then on it gets in with these scopes, and Jira sees its owner."""
    secret = jira_server.pat("alice")

    told = adopt(settings, secret, "--scopes", "READ", "--name", "of Jira's", "--json")

    assert told.exit_code == 0, told.stderr
    token = json.loads(told.stdout)["token"]
    assert (token["owner"], token["scopes"], token["name"]) == ("alice", ["READ"], "of Jira's")
    assert secret not in told.stdout + told.stderr
    app = from_config(settings)
    mine = call(app, request("/rest/api/2/myself", f"Bearer {secret}"))
    assert (mine.status, json.loads(mine.body)["name"]) == (200, "alice")
    assert call(app, request("/rest/api/2/issue", f"Bearer {secret}", method="POST")).status == 403


def test_no_token_is_asked_for_without_an_upstream(settings: Path) -> None:
    """Whoever has no upstream hears so before showing a token."""
    settings.write_text('[store]\nurl = "memory:"\n')

    told = CliRunner().invoke(commands, ["token", "adopt", "--scopes", "READ", "--config", str(settings)], input="")

    assert (told.exit_code, told.stdout) == (1, "")
    assert "there is no upstream to ask whose it is" in told.stderr


def test_nothing_is_noted_of_an_upstream_whose_secret_is_not_here(settings: Path) -> None:
    """Whoever makes tokens need not have the secret of the way upstream, and hears nothing of another way."""
    settings.write_text(settings.read_text().replace('"pass"', '"bearer", token = {env = "NOT_SET_ANYWHERE"}'))
    words = ["token", "create", "--owner", "alice", "--name", "ci", "--scopes", "READ", "--config", str(settings)]

    told = CliRunner().invoke(commands, words)

    assert (told.exit_code, "Note: with auth" in told.stderr) == (0, False)


def test_a_token_of_ours_is_noted_to_be_of_no_use(settings: Path) -> None:
    """It is made, for there may be another upstream tomorrow; whoever makes it hears what to do instead."""
    words = ["token", "create", "--owner", "alice", "--name", "ci", "--scopes", "READ", "--config", str(settings)]

    told = CliRunner().invoke(commands, words)

    assert (told.exit_code, told.stdout[:4]) == (0, "pat_")
    assert "knows it not: adopt one of its own, with 'patmiddleware token adopt'" in told.stderr


@pytest.mark.parametrize("secret", ["MTIzNDU2Nzg5MDEyOgABAgMEBQYHCAkKCwwNDg8QERIT", "nonsense!", "x" * 5_000])
def test_what_jira_does_not_know_is_refused(settings: Path, secret: str) -> None:
    """In one sentence, which does not show it; nothing is kept."""
    told = adopt(settings, secret)

    assert told.exit_code in (1, 2)
    assert told.stdout == ""
    assert secret not in told.stderr
    assert "Traceback" not in told.stderr


def test_another_ones_token_is_refused(jira_server: JiraServer, settings: Path) -> None:
    """Where it was said whose it must be."""
    told = adopt(settings, jira_server.pat("bob"), "--scopes", "READ", "--owner", "alice")

    assert (told.exit_code, told.stderr) == (1, "patmiddleware: the token is bob's, not alice's\n")


def test_one_that_is_known_is_refused(jira_server: JiraServer, settings: Path) -> None:
    """It is adopted once."""
    secret = jira_server.pat("alice")
    adopt(settings, secret)

    told = adopt(settings, secret)

    assert told.exit_code == 1
    assert "known here already" in told.stderr


def test_a_jira_that_is_away_is_told(settings: Path) -> None:
    """Nothing is adopted unseen."""
    settings.write_text(SETTINGS.format(url="http://127.0.0.1:1"))

    told = adopt(settings, "MTIzNDU2Nzg5MDEyOgABAgMEBQYHCAkKCwwNDg8QERIT")

    assert told.exit_code == 1
    assert "can't be reached" in told.stderr


def test_a_revoked_one_is_the_clients_own_fault(jira_server: JiraServer, settings: Path) -> None:
    """Revoked in Jira, it is answered with 401 here, though it is still known."""
    secret = jira_server.pat("alice")
    adopt(settings, secret)
    app = from_config(settings)
    pats = jira_server.standin.pats
    [pat] = pats.of(jira_server.standin.state.user("alice"))
    pats.revoke(jira_server.standin.state.user("alice"), pat.id)

    assert call(app, request("/rest/api/2/myself", f"Bearer {secret}")).status == 401
