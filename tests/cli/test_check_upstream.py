"""``patmiddleware check`` of what requests are forwarded to, against the stand-in over real HTTP."""

from __future__ import annotations

import socket
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rawupstream
from click.testing import Result
from loopback import Reply, authority, serving
from services.jira import PASSWORDS, JiraServer, application_link, key_pair

from patmiddleware.cli.upstreamcheck import judge_upstreams
from patmiddleware.config import Config, forwarders_of

if TYPE_CHECKING:
    from conftest import Place

Start = Callable[..., JiraServer]
PUBLIC = "https://api.example.org"
SECRETS = {"PASSWORD": PASSWORDS["svc-gate"], "WRONG": "mistyped-0815", "KEY": key_pair()[0]}
BASIC = 'auth = {kind = "basic", username = "svc-gate", password = {env = "PASSWORD"}}'
WRONG = BASIC.replace("PASSWORD", "WRONG")
PASS = 'auth = {kind = "pass"}'
OAUTH1 = 'kind = "oauth1", consumer_key = "gate", private_key = {env = "KEY"}'
HEAD = """\
[store]
url = "memory:"
[directory]
url = "static:owners.toml"
"""


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def upstream(url: str, auth: str, *more: str, table: str = "[app]") -> str:
    public = "" if any(line.startswith("public_url") for line in more) else f'public_url = "{PUBLIC}"'
    return "\n".join((table, f'upstream = "{url}"', public, auth, *more, ""))


def write(place: Place, *tables: str, policy: str = '[policy]\npreset = "jira"\n') -> None:
    place.config.write_text(HEAD + policy + "".join(tables))


def checked(place: Place, *tables: str) -> Any:
    """Check what must be sound, and give the document."""
    write(place, *tables)
    return place.json("check")


def refused(place: Place, *tables: str) -> Result:
    """Check what must not be sound; whatever is said, it is no secret."""
    write(place, *tables)
    result = place.run("check")
    assert result.exit_code == 2, result.output
    assert not [secret for secret in (*SECRETS.values(), *PASSWORDS.values()) if secret in result.output]
    return result


def bearer(server: JiraServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TOKEN", server.pat("svc-gate"))
    return 'auth = {kind = "bearer", token = {env = "TOKEN"}}'


WAYS: Mapping[str, tuple[str, str]] = {
    "basic": (BASIC, "answers as svc-gate"),
    "cookie": (
        'auth = {kind = "cookie", username = "svc-gate", password = {env = "PASSWORD"}, state = "."}',
        "answers as svc-gate",
    ),
    "oauth1": (f"auth = {{{OAUTH1}}}", "answers as svc-gate"),
    "impersonating": (
        f"auth = {{{OAUTH1}, impersonate = true}}",
        "takes the application link's signature; for whom it may stand shows only with requests",
    ),
    "pass": (PASS, "answers; each owner's own credential shows only with their requests"),
}


@pytest.mark.parametrize(("auth", "fact"), WAYS.values(), ids=WAYS)
def test_what_works_is_told(place: Place, start_jira: Start, auth: str, fact: str) -> None:
    """As whom the upstream takes us, without a failed login; and what can't be seen from here."""
    server = start_jira(context="/jira", links=[application_link(execute_as="svc-gate", impersonation=True)])

    told = checked(place, upstream(server.url, auth))

    assert told["warnings"] == []
    assert told["checked"]["upstream"] == f"{server.url}: {fact}"
    assert "not tested" in told["checked"]["past the gate"]
    assert server.standin.accounts.failures("svc-gate") == 0


def test_a_bearer_works(place: Place, jira_server: JiraServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of the upstream's own is somebody's."""
    told = checked(place, upstream(jira_server.url, bearer(jira_server, monkeypatch)))

    assert told["checked"]["upstream"].endswith(": answers as svc-gate")


def test_vault_needs_only_an_upstream_that_answers(
    place: Place, jira_server: JiraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No owner's credential is tried, and none is needed."""
    monkeypatch.setenv("SEALS", bytes(range(7, 39)).hex())
    vault = '[vault]\nurl = "file:vault.jsonl"\nkeys = [{env = "SEALS"}]\n'

    told = checked(place, vault, upstream(jira_server.url, 'auth = {kind = "vault"}'))

    assert "each owner's own credential" in told["checked"]["upstream"]
    assert {seen.how for seen in jira_server.log} == {"anonymous"}


@pytest.mark.parametrize("kind", ["basic", "cookie"])
def test_a_wrong_password_fails_once(place: Place, jira_server: JiraServer, kind: str) -> None:
    """However many upstreams have the account: Jira asks for a CAPTCHA after three."""
    auth = WRONG if kind == "basic" else WRONG.replace('"basic"', '"cookie"').replace("}}", '}, state = "."}')
    tables = [
        upstream(jira_server.url, auth, f'mount = "/{name}"', table="[[app.upstreams]]") for name in ("a", "b", "c")
    ]

    result = refused(place, *tables)

    assert jira_server.standin.accounts.failures("svc-gate") == 1
    assert "PAT-E117  app.upstreams[0].auth: the upstream " in result.stderr
    assert result.stderr.count("is not tried") == 2
    assert "upstream /a    see below" in result.stdout


def test_a_check_leaves_no_doubt_of_a_password(place: Place, jira_server: JiraServer, tmp_path: Path) -> None:
    """What was taken is not noted as tried: whoever runs next need not prove it first."""
    auth = BASIC.replace("}}", f'}}, state = "{tmp_path}"}}')
    write(place, upstream(jira_server.url, auth))

    place.json("check")

    assert list(tmp_path.glob("login-*.json")) == []


def test_the_breaker_is_heeded(place: Place, jira_server: JiraServer) -> None:
    """A password that was refused a moment ago is not tried again by the next check."""
    auth = WRONG.replace('"basic"', '"cookie"').replace("}}", '}, state = "."}')

    for _ in range(3):
        refused(place, upstream(jira_server.url, auth))

    assert jira_server.standin.accounts.failures("svc-gate") == 1


def test_a_token_that_is_nobodys_is_refused(
    place: Place, jira_server: JiraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jira answers it as anonymous, with 200 in places: that is no success."""
    monkeypatch.setenv("TOKEN", "MDAwMDAwMDAwMDAwOgABAgMEBQYHCAkKCwwNDg8QERIT")

    result = refused(place, upstream(jira_server.url, 'auth = {kind = "bearer", token = {env = "TOKEN"}}'))

    assert "app.auth: the upstream does not take the credential" in result.stderr


LINKS = {
    "consumer_key_unknown": application_link("another", execute_as="svc-gate"),
    "signature_invalid": application_link(execute_as="svc-gate"),
}


@pytest.mark.parametrize(("problem", "link"), LINKS.items(), ids=LINKS)
def test_a_signature_that_is_not_taken_is_told(place: Place, start_jira: Start, problem: str, link: Any) -> None:
    """With what the upstream calls it. The base URL that is signed for is what is most often wrong."""
    server = start_jira(links=[link])
    other = ', base_url = "https://elsewhere.example"' if problem == "signature_invalid" else ""

    result = refused(place, upstream(server.url, f"auth = {{{OAUTH1}, impersonate = true{other}}}"))

    assert f"does not take the application link's signature ({problem})" in result.stderr


def test_a_link_that_only_impersonates_works(place: Place, start_jira: Start) -> None:
    """It may do nothing for itself, which is told after its signature was verified."""
    server = start_jira(links=[application_link(impersonation=True)])

    told = checked(place, upstream(server.url, f"auth = {{{OAUTH1}, impersonate = true}}"))

    assert "takes the application link's signature" in told["checked"]["upstream"]


def test_a_certificate_that_nobody_vouches_for_is_told(place: Place, start_jira: Start) -> None:
    """With what is wrong with it; the right authority makes it good."""
    trusted, tls = authority(place.folder)
    server = start_jira(tls=tls)
    other = place.folder / "other"
    other.mkdir()
    wrong, _ = authority(other)

    result = refused(place, upstream(server.url, BASIC, f'ca_file = "{wrong}"'))
    told = checked(place, upstream(server.url, BASIC, f'ca_file = "{trusted}"'))

    assert "app.upstream: 127.0.0.1:" in result.stderr
    assert "can't be trusted: " in result.stderr
    assert told["checked"]["upstream"].endswith("answers as svc-gate")


@pytest.mark.parametrize("auth", [BASIC, PASS])
def test_nothing_there_is_told(place: Place, auth: str) -> None:
    """Whatever the way."""
    result = refused(place, upstream("http://127.0.0.1:1", auth))

    assert "PAT-E117  app.upstream: 127.0.0.1:1 can't be reached: Connection refused" in result.stderr
    assert "upstream       see below" in result.stdout


@pytest.mark.parametrize("auth", [BASIC, PASS])
def test_what_takes_too_long_is_told(place: Place, auth: str) -> None:
    """After the time that the settings give it."""
    with serving(lambda asked: Reply(raw=b"HTTP/1.1 200 OK\r\n", pause=0.2)) as silent:
        result = refused(place, upstream(silent.url, auth, "timeout = 0.1"))

    assert "takes too long" in result.stderr


NOT_JIRA = {
    "missing": Reply(b"<html>no such page", 404, {"Content-Type": "text/html"}),
    "everything": Reply(b"<html>welcome", 200, {"Content-Type": "text/html"}),
    "elsewhere": Reply(b"", 302, {"Location": "https://login.example.org/"}),
}


@pytest.mark.parametrize("reply", NOT_JIRA.values(), ids=NOT_JIRA)
@pytest.mark.parametrize("auth", [BASIC, PASS], ids=["basic", "pass"])
def test_what_is_no_jira_is_told_and_sent_no_credential(place: Place, auth: str, reply: Reply) -> None:
    """Such as a web server with no Jira below that path."""
    with serving(lambda asked: reply) as other:
        result = refused(place, upstream(other.url, auth))

    assert "not as Jira, Confluence or Bitbucket does: look at the address" in result.stderr
    assert [asked.path for asked in other.asked if "Authorization" in asked.headers] == []


def test_another_of_atlassians_servers_is_taken(place: Place) -> None:
    """One that knows no serverInfo, but answers who is asking."""

    def confluence(asked: Any) -> Reply:
        if asked.path.endswith("/whoami"):
            return Reply(b"", 200, {"Content-Type": "text/plain"})
        if asked.path.endswith("/rest/api/user/current") and "Authorization" in asked.headers:
            return Reply(b'{"username": "svc-gate"}')
        return Reply(b"{}", 404)

    with serving(confluence) as server:
        told = checked(place, upstream(server.url, BASIC))

    assert told["checked"]["upstream"].endswith("answers as svc-gate")


LED = [
    ("https://jira.example.org/jira", 'base_urls = ["https://jira.example.org/jira"]'),
    ("http://JIRA.example.org/jira", 'base_urls = ["https://jira.example.org"]'),
    (PUBLIC, "rewrite = false"),
    (f"{PUBLIC}/tracker", 'mount = "/tracker"'),
]


@pytest.mark.parametrize(("base", "more"), LED)
def test_links_that_lead_back_are_sound(place: Place, start_jira: Start, base: str, more: str) -> None:
    """They are rewritten, in whatever scheme and case they are written, or lead to the gate already."""
    told = checked(place, upstream(start_jira(base_url=base).url, BASIC, more))

    assert told["checked"]["upstream"].endswith("answers as svc-gate")


PAST = [
    ("https://jira.example.org/jira", 'base_urls = ["https://jira.example.org/jir"]'),
    ("https://jira.example.org", 'base_urls = ["https://other.example.org"]'),
    (f"{PUBLIC}.evil.example", 'headers = ["X-Mine"]'),
]


@pytest.mark.parametrize(("base", "more"), PAST)
def test_links_that_lead_past_the_gate_are_told(place: Place, start_jira: Start, base: str, more: str) -> None:
    """With the line that mends it; what else is wrong is told beside it."""
    result = refused(place, upstream(start_jira(base_url=base).url, WRONG, more))

    assert f'add base_urls = ["{base}"]' in result.stderr
    assert "PAT-E118  app.base_urls" in result.stderr
    assert "PAT-E117  app.auth" in result.stderr


def test_links_that_are_left_as_they_are_must_lead_to_the_gate(place: Place, jira_server: JiraServer) -> None:
    """Without rewriting, the upstream's own address is one past the gate."""
    result = refused(place, upstream(jira_server.url, BASIC, "rewrite = false"))

    assert "PAT-E118  app.rewrite: the upstream writes links to" in result.stderr


def test_each_of_several_is_told(place: Place, start_jira: Start) -> None:
    """By its mount, and a problem by its place in the file."""
    first, second = start_jira(context="/jira"), start_jira()
    policy = '[policy]\npreset = "jira"\nmount = "/jira"\n'
    tables = (
        upstream(second.url, PASS, 'mount = "/jira/old"', table="[[app.upstreams]]"),
        upstream(first.url, BASIC, 'mount = "/jira"', table="[[app.upstreams]]"),
    )
    write(place, *tables, policy=policy)
    sound = place.json("check")
    write(place, tables[0], tables[1].replace("PASSWORD", "WRONG"), policy=policy)
    result = place.run("check")

    assert sound["checked"]["upstream /jira"] == f"{first.url}: answers as svc-gate"
    assert sound["checked"]["upstream /jira/old"].startswith(f"{second.url}: answers;")
    assert sound["warnings"] == []
    assert (result.exit_code, "app.upstreams[1].auth: the upstream does not" in result.stderr) == (2, True)


def test_an_upstream_that_never_ends_its_answer_is_given_up(tmp_path: Path) -> None:
    """A byte now and then keeps every wait short, and the answer from ever being whole."""

    def dripping(connection: socket.socket, number: int) -> None:
        while True:
            connection.sendall(b"H")
            time.sleep(0.05)

    with rawupstream.upstream(dripping) as there:
        text = HEAD + upstream(there.url, PASS)
        config = Config.from_dict(tomllib.loads(text), tmp_path / "patmiddleware.toml", SECRETS)
        [judged] = judge_upstreams(config.app.upstreams, forwarders_of(config), patience=0.5).values()

    [problem] = judged.problems
    assert (problem.id, problem.setting) == ("PAT-E117", "app.upstream")
    assert problem.message == f"{there.url} does not answer in 0.5 s"


def test_a_preset_that_matches_nothing_is_unwise(place: Place, jira_server: JiraServer) -> None:
    """Its rules are about paths below its own mount, also where they come from a policy file."""
    (place.folder / "policy.toml").write_text('[[preset]]\nname = "jira"\nmount = "/tracker"\n')
    write(place, upstream(jira_server.url, BASIC, 'mount = "/jira"'), policy='[policy]\nfile = "policy.toml"\n')

    [warning] = place.json("check")["warnings"]

    assert warning.startswith("PAT-W108 policy: a preset is mounted at '/tracker', but upstreams at '/jira'")
