"""Owners are connected to a real upstream, and then served as themselves: the whole way, over real HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("cryptography", reason="needs the extra forward")
pytest.importorskip("urllib3", reason="needs the extra forward")
pytest.importorskip("oauthlib", reason="needs the extra forward")

from linked import CONSUMER, LinkedJira, pem, private_key
from upstreams import Site, serving
from webtest import TestApp
from werkzeug import Request, Response

from patmiddleware.config import Config, build

if TYPE_CHECKING:
    from conftest import Place

KEY = base64.b64encode(bytes(range(32))).decode()
PASSWORDS = {"alice": "alice-s3cret", "bob": "bob-s3cret"}
OWNERS = "[owners.alice]\n[owners.bob]\n"


def jira(request: Request) -> Response:
    """Say who is asking, by a password or a token."""
    given = request.authorization
    name = given and (given.username if given.type == "basic" else (given.token or "").removesuffix("-token"))
    right = given and (given.password == PASSWORDS.get(name or "") if given.type == "basic" else name in PASSWORDS)
    if not right:
        return Response("{}", 401)
    return Response(json.dumps({"name": name}), content_type="application/json", headers={"X-AUSERNAME": str(name)})


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(jira) as site:
        yield site


@pytest.fixture
def linked(place: Place, site: Site, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Settings that forward to the upstream, for each owner by their own credential."""
    monkeypatch.setenv("PAT_VAULT_KEY", KEY)
    (place.folder / "link.pem").write_bytes(pem(private_key()))
    (place.folder / "link.pem").chmod(0o600)
    (place.folder / "owners.toml").write_text(OWNERS)
    auth = f'{{kind = "vault", consumer_key = "{CONSUMER}", private_key = {{file = "link.pem"}}}}'
    place.config.write_text(
        '[store]\nurl = "sqlite:///tokens.db"\n[directory]\nurl = "static:owners.toml"\n'
        '[vault]\nurl = "sqlite:///tokens.db"\nkeys = [{env = "PAT_VAULT_KEY"}]\n'
        f'[app]\nupstream = "{site.url}"\npublic_url = "https://api.example.org"\nauth = {auth}\n'
    )
    return place


def asked(place: Place, app: TestApp, owner: str) -> tuple[int, str]:
    token = place.token(owner=owner)["secret"]
    answer = app.get("/rest/api/2/myself", headers={"Authorization": f"Bearer {token}"}, expect_errors=True)
    return answer.status_code, answer.text


def test_each_owner_is_themselves_upstream(linked: Place) -> None:
    """Connected by a password or a token, each is served by their own credential; who is not hears what to do."""
    connected = [
        linked.run("jira", "connect", "alice", "--kind", "basic", stdin="alice-s3cret").exit_code,
        linked.run("jira", "connect", "bob", "--kind", "bearer", stdin="bob-token").exit_code,
    ]
    app = TestApp(build(Config.from_file(linked.config)))
    names = [json.loads(asked(linked, app, owner)[1])["name"] for owner in ("alice", "bob")]

    linked.run("jira", "disconnect", "bob")
    status, told = asked(linked, TestApp(build(Config.from_file(linked.config))), "bob")

    assert (connected, names, status) == ([0, 0], ["alice", "bob"], 502)
    assert "run patmiddleware jira connect bob" in told


NOT_KEPT = {
    "somebody else's": ("bearer", "bob-token", "this credential is bob's, not alice's"),
    "wrong": ("basic", "wrong", "the upstream does not take it"),
    "wrong session": ("cookie", "wrong", ""),
}


@pytest.mark.parametrize(("kind", "secret", "expected"), NOT_KEPT.values(), ids=NOT_KEPT)
def test_what_the_upstream_does_not_take_is_not_kept(linked: Place, kind: str, secret: str, expected: str) -> None:
    """It is asked before anything is kept."""
    result = linked.run("jira", "connect", "alice", "--kind", kind, stdin=secret)

    assert (result.exit_code, expected in result.stderr) == (1, True), result.output
    assert linked.json("jira", "connections") == {"connections": []}


def test_another_upstream_is_not_one(linked: Place, site: Site) -> None:
    """A credential for what nothing is forwarded to would never be used."""
    result = linked.run("jira", "connect", "alice", "--kind", "bearer", "--upstream", "https://wiki.example.org")

    assert result.exit_code == 1
    assert f"the settings forward nothing to https://wiki.example.org, but to {site.url}" in result.stderr


def test_oauth_goes_its_three_legs(linked: Place) -> None:
    """The address to open is told, the code is asked for, and the access token is kept."""
    jira = LinkedJira()
    with serving(jira) as site:
        text = linked.config.read_text()
        start = text.index('upstream = "') + len('upstream = "')
        linked.config.write_text(text[:start] + site.url + text[text.index('"', start) :])

        result = linked.run("jira", "connect", "alice", "--kind", "oauth1", "--no-check", stdin=jira.verifier)

    assert result.exit_code == 0, result.output
    assert f"{site.url}/plugins/servlet/oauth/authorize?oauth_token=" in result.stderr
    [kept] = linked.json("jira", "connections")["connections"]
    assert (kept["owner"], kept["upstream"], kept["kind"]) == ("alice", site.url, "oauth1")


def test_oauth_needs_an_application_link(linked: Place) -> None:
    """Without its consumer key and its private key both are named."""
    text = linked.config.read_text()
    start = text.index("auth = {")
    linked.config.write_text(text[:start] + 'auth = {kind = "vault"}\n')

    result = linked.run("jira", "connect", "alice", "--kind", "oauth1")

    assert result.exit_code == 2
    assert "app.auth.consumer_key: is missing" in result.stderr
    assert "app.auth.private_key: is missing" in result.stderr


def test_check_makes_no_vault(linked: Place) -> None:
    """It judges the settings of one that is still to come; once it is there it is opened."""
    text = linked.config.read_text()
    linked.config.write_text(
        text.replace('[vault]\nurl = "sqlite:///tokens.db"', '[vault]\nurl = "sqlite:///vault.db"')
    )
    before = sorted(path.name for path in linked.folder.iterdir())

    result = linked.run("check")

    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in linked.folder.iterdir()) == before


def test_check_finds_credentials_that_another_key_has_sealed(linked: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was made anew opens nothing of before; with the old one behind it all is well."""
    linked.run("jira", "connect", "alice", "--kind", "bearer", stdin="alice-token")
    linked.run("jira", "connect", "bob", "--kind", "bearer", stdin="bob-token")
    text, other = linked.config.read_text(), bytes(range(9, 41)).hex()
    monkeypatch.setenv("OTHER", other)

    both = linked.config.write_text(text.replace("keys = [", 'keys = [{env = "OTHER"}, ')) and linked.run("check")
    monkeypatch.setenv("PAT_VAULT_KEY", other)
    linked.config.write_text(text)
    lost = linked.run("check")

    assert (both.exit_code, lost.exit_code) == (0, 2), both.output
    assert "PAT-E116  vault.keys: the credential of alice for http" in lost.stderr
    assert "which is not in vault.keys, and 1 more can't be opened" in lost.stderr
    assert "vault          see below" in lost.stdout


def test_check_finds_a_vault_that_cannot_be_opened(linked: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one whose key is none, told once and without the key."""
    monkeypatch.setenv("PAT_VAULT_KEY", "hunter2")

    result = linked.run("check")

    assert result.exit_code == 2
    assert result.stderr.count("PAT-E116  vault.keys[0]: is not 32 bytes in base64 or hex") == 1
    assert "hunter2" not in result.output
