"""Commands that connect owners to an upstream by credentials of their own."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("cryptography", reason="needs the extra forward")

from patmiddleware.cli.invocation import Invocation
from patmiddleware.cli.root import commands
from patmiddleware.config import Config, vault_of
from patmiddleware.errors import LinkError, UpstreamError
from patmiddleware.model import UpstreamCredential
from patmiddleware.vault import SealedVault

if TYPE_CHECKING:
    from conftest import Place

JIRA, WIKI = "https://jira.example.org", "https://example.org/wiki"
PASSWORD = "Tr0ub4dor&3-\u00fc"
KEYS = [base64.b64encode(bytes(range(start, start + 32))).decode() for start in (0, 100)]


class Jira:
    """An upstream that knows alice, by a password or a token."""

    address = JIRA

    def __init__(self, config: Config, address: str | None) -> None:
        self.down = address == "http://down.example.org"

    def whose(self, credential: UpstreamCredential) -> str:
        if self.down:
            raise UpstreamError("http://down.example.org can't be reached")
        names = {PASSWORD: "alice", "alice-token": "alice", "bob-token": "bob", "granted": "alice"}
        if (name := names.get(list(credential.values.values())[-1])) is None:
            raise LinkError("Jira does not take the credential")
        return name

    def begin(self) -> tuple[str, Callable[[str], UpstreamCredential]]:
        def finish(code: str) -> UpstreamCredential:
            if code != "c0de":
                raise LinkError("the verification code is not right")
            return UpstreamCredential("oauth1", {"token": "t", "token_secret": "granted"})

        return f"{JIRA}/plugins/servlet/oauth/authorize?oauth_token=t", finish


@pytest.fixture
def vaulted(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place with a vault in its store's database, under the first key."""
    monkeypatch.setenv("PAT_VAULT_KEY", KEYS[0])
    monkeypatch.setenv("PAT_VAULT_NEW", KEYS[1])
    with place.config.open("a") as file:
        file.write('[vault]\nurl = "sqlite:///tokens.db"\nkeys = [{env = "PAT_VAULT_KEY"}]\n')
    return place


def run(place: Place, *words: str, stdin: str = "") -> Result:
    """Run a command that can ask Jira."""
    given = [*words, "--config", str(place.config)]
    return CliRunner().invoke(commands, given, input=stdin, obj=Invocation(reach=Jira))


def vault(place: Place) -> SealedVault:
    opened = vault_of(Config.from_file(place.config))
    assert opened is not None
    return opened


def kept(place: Place, owner: str = "alice", upstream: str = JIRA) -> tuple[str, dict[str, str]] | None:
    opened = vault(place)
    credential = opened.get(owner, upstream)
    opened.close()
    return credential and (credential.kind, dict(credential.values))


CONNECTED: dict[str, tuple[list[str], str, dict[str, str]]] = {
    "basic": ([], f"{PASSWORD}\n", {"username": "alice", "password": PASSWORD}),
    "cookie": (["--username", "Al"], f"{PASSWORD}\r\n", {"username": "Al", "password": PASSWORD}),
    "bearer": ([], "alice-token", {"token": "alice-token"}),
    "oauth1": ([], "c0de\n", {"token": "t", "token_secret": "granted"}),
}


@pytest.mark.parametrize("kind", CONNECTED)
def test_connect(vaulted: Place, kind: str) -> None:
    """The secret comes from the standard input, is checked at the upstream, and is kept; it is never shown."""
    options, secret, expected = CONNECTED[kind]

    result = run(vaulted, "jira", "connect", "alice", "--kind", kind, *options, stdin=secret)

    assert result.exit_code == 0, result.output
    assert result.stdout == f"Connected alice to {JIRA} by {kind}.\n"
    assert not [
        value for name, value in expected.items() if name != "username" and len(value) > 1 and value in result.output
    ]
    assert kept(vaulted) == (kind, expected)


def test_connect_says_where_to_allow_it(vaulted: Place) -> None:
    """For OAuth the address comes before the question, apart from the answer."""
    result = run(vaulted, "jira", "connect", "alice", "--kind", "oauth1", "--json", stdin="c0de")

    assert f"{JIRA}/plugins/servlet/oauth/authorize?oauth_token=t" in result.stderr
    assert json.loads(result.stdout) == {
        "connected": {"owner": "alice", "upstream": JIRA, "kind": "oauth1", "checked": True}
    }


REFUSED: dict[str, tuple[list[str], str, int, str]] = {
    "somebody else's": (
        ["--kind", "bearer"],
        "bob-token",
        1,
        "this credential is bob's, not alice's: nothing was kept",
    ),
    "wrong": (["--kind", "basic"], "wrong", 1, "Jira does not take the credential"),
    "a wrong code": (["--kind", "oauth1"], "other", 1, "the verification code is not right"),
    "down": (["--kind", "bearer", "--upstream", "http://down.example.org"], "alice-token", 1, "can't be reached"),
    "nothing": (["--kind", "bearer"], "", 2, "there is no token on the standard input"),
    "an empty password": (["--kind", "basic"], "\n", 2, "there is no password on the standard input"),
    "no code": (["--kind", "oauth1"], "", 2, "there is no verification code on the standard input"),
    "no kind": ([], "x", 2, "Missing option '--kind'. Choose from: basic, bearer, cookie, oauth1; try"),
    "another kind": (["--kind", "pass"], "x", 2, "'pass' is not one of"),
    "a secret as an argument": (["--kind", "bearer", "alice-token"], "", 2, "unexpected extra argument"),
}


@pytest.mark.parametrize(("words", "stdin", "code", "expected"), REFUSED.values(), ids=REFUSED)
def test_connect_keeps_nothing(vaulted: Place, words: list[str], stdin: str, code: int, expected: str) -> None:
    """What is not the owner's own, or can't be checked, is refused in a sentence."""
    result = run(vaulted, "jira", "connect", "alice", *words, stdin=stdin)

    assert (result.exit_code, expected in result.stderr) == (code, True), result.output
    assert kept(vaulted) is None


def test_connect_without_a_check(vaulted: Place) -> None:
    """Where the upstream can't be asked, or calls the owner otherwise, the operator vouches for it."""
    result = run(vaulted, "jira", "connect", "alice", "--kind", "bearer", "--no-check", "--json", stdin="bob-token")

    assert json.loads(result.stdout)["connected"]["checked"] is False
    assert kept(vaulted) == ("bearer", {"token": "bob-token"})


def test_connect_where_no_upstream_can_be_asked(vaulted: Place) -> None:
    """It says what to do; named and unchecked, it is kept under the one name of the upstream."""
    words = ("jira", "connect", "alice", "--kind", "bearer")

    unnamed = vaulted.run(*words, stdin="x")
    unchecked = vaulted.run(*words, "--upstream", JIRA, stdin="x")
    done = vaulted.run(*words, "--upstream", "HTTPS://Jira.Example.org:443/", "--no-check", stdin="x")

    assert (unnamed.exit_code, "say which upstream" in unnamed.stderr) == (2, True)
    assert (unchecked.exit_code, "and add --no-check" in unchecked.stderr) == (1, True)
    assert (done.exit_code, kept(vaulted)) == (0, ("bearer", {"token": "x"}))


def test_a_vault_is_needed(place: Place) -> None:
    """It says what to write."""
    result = place.run("jira", "connections")

    assert result.exit_code == 2
    assert "PAT-E107  vault: is missing" in result.stderr
    assert '[vault] url = "sqlite:///tokens.db"' in result.stderr


def filled(place: Place) -> None:
    opened = vault(place)
    for owner, upstream in (("alice", JIRA), ("alice", WIKI), ("bob", JIRA)):
        opened.put(owner, upstream, UpstreamCredential("bearer", {"token": f"{owner}-s3cret"}))
    opened.close()


def test_connections(vaulted: Place) -> None:
    """Who, for which upstream, of which kind, since when, under which key; never a secret."""
    filled(vaulted)

    told, document = vaulted.run("jira", "connections"), vaulted.json("jira", "connections")

    assert [line.split()[0] for line in told.stdout.splitlines()] == ["OWNER", "alice", "alice", "bob"]
    assert [(each["owner"], each["upstream"], each["kind"]) for each in document["connections"]] == [
        ("alice", WIKI, "bearer"),
        ("alice", JIRA, "bearer"),
        ("bob", JIRA, "bearer"),
    ]
    assert {*document["connections"][0]} == {"owner", "upstream", "kind", "since", "key_id"}
    assert "s3cret" not in told.output + json.dumps(document)


def test_no_connections(vaulted: Place) -> None:
    """It says how to make one."""
    assert "patmiddleware jira connect OWNER" in vaulted.run("jira", "connections").stderr


def test_disconnect_from_everything(vaulted: Place) -> None:
    """All of the owner's, and nobody else's."""
    filled(vaulted)

    assert vaulted.json("jira", "disconnect", "alice") == {"owner": "alice", "disconnected": [WIKI, JIRA]}
    assert [each["owner"] for each in vaulted.json("jira", "connections")["connections"]] == ["bob"]


def test_disconnect_from_one(vaulted: Place) -> None:
    """However its address is written."""
    filled(vaulted)

    result = vaulted.run("jira", "disconnect", "alice", "--upstream", f"{JIRA}:443/")

    assert result.stdout == f"Disconnected alice from {JIRA}. Gates that are running forget it within a minute.\n"
    assert [kept(vaulted), kept(vaulted, upstream=WIKI)] == [None, ("bearer", {"token": "alice-s3cret"})]


@pytest.mark.parametrize("owner", ["carol", "Alice", "alice "])
def test_disconnect_of_nobody(vaulted: Place, owner: str) -> None:
    """Whoever has no credential can't be disconnected: a typing error must not look like success."""
    filled(vaulted)

    result = vaulted.run("jira", "disconnect", owner)

    assert (result.exit_code, f"{owner} has no credential" in result.stderr) == (1, True)
    assert len(vault(vaulted).list()) == 3


def test_disconnect_without_the_key(vaulted: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be opened any more can be forgotten all the same."""
    filled(vaulted)
    monkeypatch.setenv("PAT_VAULT_KEY", KEYS[1])

    assert vaulted.json("jira", "disconnect", "bob") == {"owner": "bob", "disconnected": [JIRA]}


def rekeyed(place: Place, keys: str) -> None:
    text = place.config.read_text()
    place.config.write_text(text.replace('{env = "PAT_VAULT_KEY"}', keys))


def test_rekey(vaulted: Place) -> None:
    """All is under the new key then, and the old one can go; run again there is nothing to do."""
    filled(vaulted)
    rekeyed(vaulted, '{env = "PAT_VAULT_NEW"}, {env = "PAT_VAULT_KEY"}')

    first, again = vaulted.json("jira", "rekey"), vaulted.run("jira", "rekey")
    rekeyed(vaulted, "")
    text = vaulted.config.read_text()
    vaulted.config.write_text(text.replace(', {env = "PAT_VAULT_KEY"}', ""))

    assert first == {"resealed": 3}
    assert again.stdout == "0 credentials sealed anew: older keys can be dropped.\n"
    assert kept(vaulted) == ("bearer", {"token": "alice-s3cret"})


def test_rekey_names_what_it_cannot_open(vaulted: Place) -> None:
    """It ends with 1, so that nobody drops a key that is still needed."""
    filled(vaulted)
    rekeyed(vaulted, '{env = "PAT_VAULT_NEW"}')

    result = vaulted.run("jira", "rekey")

    assert result.exit_code == 1
    assert f"0 credentials sealed anew, but not that of alice for {WIKI}, alice for {JIRA}, bob for" in result.stderr


def test_the_audit_tells_who_connected_whom(vaulted: Place) -> None:
    """Both ways, with upstream and kind, and no secret."""
    run(vaulted, "jira", "connect", "alice", "--kind", "bearer", stdin="alice-token")
    vaulted.run("jira", "disconnect", "alice")

    lines = [json.loads(line) for line in (vaulted.folder / "audit.jsonl").read_text().splitlines()]

    told: list[dict[str, Any]] = [
        {name: line[name] for name in ("event", "owner", "upstream", "kind")} for line in lines
    ]
    assert told == [
        {"event": f"vault.{what}", "owner": "alice", "upstream": JIRA, "kind": "bearer"}
        for what in ("connected", "disconnected")
    ]
    assert all(line["by"] for line in lines)
    assert "alice-token" not in (vaulted.folder / "audit.jsonl").read_text()


def test_nothing_of_it_is_in_the_database(vaulted: Place) -> None:
    """Whoever copies the file has neither the password nor a key."""
    run(vaulted, "jira", "connect", "alice", "--kind", "basic", stdin=PASSWORD)

    content = b"".join(path.read_bytes() for path in vaulted.folder.iterdir() if path.name.startswith("tokens.db"))

    assert b"alice" in content
    assert not [secret for secret in (PASSWORD, *KEYS) if secret.encode() in content]


def test_a_real_process_reads_the_secret_from_a_pipe(vaulted: Place) -> None:
    """As a script does."""
    words = ("jira", "connect", "alice", "--kind", "bearer", "--upstream", JIRA, "--no-check")

    done = vaulted.process(*words, stdin="piped\n", PAT_VAULT_KEY=os.environ["PAT_VAULT_KEY"])

    assert (done.returncode, done.stderr) == (0, "")
    assert kept(vaulted) == ("bearer", {"token": "piped"})


def test_migrate_brings_the_vault_up_to_date(vaulted: Place, tmp_path: Path) -> None:
    """Also one that is not in the store's database."""
    vaulted.run("store", "init")
    text = vaulted.config.read_text()
    vaulted.config.write_text(
        text.replace('[vault]\nurl = "sqlite:///tokens.db"', '[vault]\nurl = "sqlite:///vault.db"')
    )

    assert vaulted.json("store", "migrate") == {"migrated": True}
    assert vaulted.json("store", "migrate") == {"migrated": False}
