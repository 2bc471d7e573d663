"""What ``examples/jira_forwarder`` shows works as it stands: nginx, gunicorn, the gate, and a stand-in for Jira."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from services.jira import PASSWORDS
from services.jira_site import API, CREDENTIALS, EXAMPLE, JIRA, Site, settings, site
from services.nginx import answer
from services.running import program

from patmiddleware.config import Config

MYSELF = "/rest/api/2/myself"
PLACEMENTS = [("api-host", API), ("shared-host", JIRA)]


@pytest.fixture(scope="module", params=PLACEMENTS, ids=lambda pair: pair[0])
def running(request: pytest.FixtureRequest) -> Iterator[Site]:
    program("nginx")  # or skip, before anything is started
    with site(*request.param) as found:
        yield found


@pytest.fixture
def here(running: Site) -> Site:
    """The site, with nothing in the log of the stand-in."""
    running.jira.log.clear()
    return running


def bearer(secret: str) -> str:
    return f"Authorization: Bearer {secret}"


def basic(name: str, secret: str) -> str:
    return f"Authorization: Basic {b64encode(f'{name}:{secret}'.encode()).decode()}"


def session(here: Site) -> str:
    """Give the cookie of somebody who has logged in to Jira with a browser."""
    standin = here.jira.standin
    return f"Cookie: JSESSIONID={standin.sessions.begin(standin.state.user('bob')).id}"


def came(here: Site) -> list[tuple[str, str | None, str]]:
    return [(seen.target, seen.user, seen.how) for seen in here.jira.log]


def test_the_settings_are_sound(tmp_path: Path) -> None:
    """Nothing is wrong with them, and nothing unwise."""
    config = Config.from_file(settings(tmp_path))

    assert config.problems() == ()
    assert config.cautions() == ()


def test_every_secret_of_the_settings_is_shown_to_the_unit() -> None:
    """What the settings read below /run/credentials the unit loads."""
    wanted = re.findall(rf"{CREDENTIALS}/([\w-]+)", (EXAMPLE / "patmiddleware.toml").read_text("utf-8"))
    loaded = re.findall(r"^LoadCredential=([\w-]+):", (EXAMPLE / "patmiddleware.service").read_text("utf-8"), re.M)

    assert sorted(wanted) == sorted(loaded)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """It knows every line, and rates the service as well shut off."""
    tool = program("systemd-analyze")
    unit = tmp_path / "patmiddleware.service"
    text = (EXAMPLE / "patmiddleware.service").read_text("utf-8")
    unit.write_text(re.sub(r"/opt/patmiddleware/bin/\w+", sys.executable, text))

    for words in (["verify", "--man=no"], ["security", "--offline=yes", "--threshold=20", "--no-pager"]):
        done = subprocess.run([tool, *words, unit], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout[-500:] + done.stderr
    assert "Unknown" not in done.stderr


@pytest.mark.parametrize("carrier", ["bearer", "basic"])
def test_a_token_is_its_owner_at_jira(here: Site, carrier: str) -> None:
    """As Bearer, and in place of the password; Jira hears of neither."""
    secret = here.token("READ")
    line = bearer(secret) if carrier == "bearer" else basic("alice", secret)

    found = here.front.ask(here.host, MYSELF, line)

    assert (found.status, json.loads(found.body)["name"]) == (200, "alice")
    [seen] = here.jira.log
    assert (seen.user, seen.how) == ("alice", "oauth")
    assert secret not in repr(seen.headers)


def test_a_small_scope_is_refused_in_jiras_shape(here: Site) -> None:
    """A token that may read does not write; Jira is not asked."""
    line = bearer(here.token("READ"))
    kind = "Content-Type: application/json"

    found = here.front.ask(here.host, "/rest/api/2/issue", line, kind, method="POST", body=b"{}")

    assert found.status == 403
    assert "WRITE" in json.loads(found.body)["errorMessages"][0]
    assert came(here) == []


def test_a_client_does_not_say_where_it_comes_from(here: Site) -> None:
    """The audit has the address of the connection, and the id of nginx."""
    line = bearer(here.token("READ"))

    lies = ("X-Forwarded-For: 10.9.9.9", "X-Request-ID: mine", "X-Forwarded-User: root", "Forwarded: for=10.9.9.9")
    found = here.front.ask(here.host, "/rest/api/2/nowhere", line, *lies, method="POST", body=b"")
    shown = re.search(r"[0-9a-f]{32}", found.body.decode())

    assert shown is not None
    assert here.audited(shown[0])["address"] == "127.0.0.1"


@pytest.mark.parametrize("framing", ["", "Transfer-Encoding: chunked"])
def test_a_file_goes_up_and_comes_back(here: Site, framing: str) -> None:
    """It is larger than nginx takes by default; the link in the answer leads to where programs come in."""
    line, content = bearer(here.token("WRITE")), os.urandom(3 * 2**20)
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n' + content + b"\r\n--b--\r\n"
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(part), part) if framing else part
    lines = (line, "Content-Type: multipart/form-data; boundary=b", "X-Atlassian-Token: no-check")
    target = "/rest/api/2/issue/DEMO-1/attachments"

    sent = here.front.ask(here.host, target, *lines, method="POST", body=body, length=framing)
    assert sent.status == 200, sent.body
    link = json.loads(sent.body)[0]["content"]
    host, path = link.removeprefix("https://").split("/", 1)
    back = here.front.ask(host, f"/{path}", line)

    assert host == here.host
    assert back.body == content
    assert {how for _, _, how in came(here)} == {"oauth"}


def test_a_browser_gets_to_jira(here: Site) -> None:
    """With the cookie of its session, for pages and for what pages ask of the REST API."""
    cookie = session(here)
    kind = "Content-Type: application/json"

    for method, target in (("GET", MYSELF), ("GET", "/rest/auth/1/session"), ("POST", "/rest/api/2/search")):
        found = here.front.ask(JIRA, target, cookie, kind, method=method, body=b"{}" if method == "POST" else None)
        assert found.status == 200
        assert found.headers["X-AUSERNAME"] == "bob"

    assert {(user, how) for _, user, how in came(here)} == {("bob", "session")}


def test_an_application_link_gets_to_jira(here: Site) -> None:
    """What is signed is Jira's to verify."""
    found = here.front.ask(JIRA, MYSELF, 'Authorization: OAuth oauth_consumer_key="unknown"')

    assert found.status == 401
    assert [seen.all("Authorization") for seen in here.jira.log] == [['OAuth oauth_consumer_key="unknown"']]


def test_a_path_arrives_as_it_was_sent(here: Site) -> None:
    """Nobody on the way decodes it, joins its slashes or follows its dots."""
    for target in ("/browse//a%2Fb/./%7e;x=1?q=%2f&&a", "/secure/x/../y"):
        here.front.ask(JIRA, target)

        assert came(here)[-1][0] == target


PLAIN = ["/rest/api/2/myself", "/browse/DEMO-1", "/", "/secure/attachment/10000/a.bin", "/%72est/api/2/myself"]
ODD = [
    "//rest/api/2/myself",
    "/rest//api/2/myself",
    "/rest%2Fapi%2F2%2Fmyself",
    "/secure/../rest/api/2/myself",
    "/secure/%2e%2e/rest/api/2/myself",
    "/rest/./api/2/myself",
    "/rest;x=1/api/2/myself",
    "/secure/..;/rest/api/2/myself",
    "/rest\\api/2/myself",
    "/s/x/_/rest/api/2/myself",
    "/REST/api/2/myself",
    "/rest/api/2/myself%00",
    "/rest/api/2/myself#x",
]


@pytest.mark.parametrize("target", [*PLAIN, *ODD, "https://jira.example.org/rest/api/2/myself"])
def test_no_path_leads_a_password_past_the_gate(here: Site, target: str) -> None:
    """Somebody's right password for Jira, and a token of Jira's own, do not reach it, however the path is spelled."""
    pat = here.jira.pat("alice")

    for line in (basic("alice", PASSWORDS["alice"]), bearer(pat)):
        found = here.front.ask(JIRA, target, line)
        assert found.status in (400, 401, 403)

    assert came(here) == []


RIGHT = b64encode(f"alice:{PASSWORDS['alice']}".encode()).decode()
HEADERS = {
    "lower case": (f"authorization: basic {RIGHT}",),
    "upper case": (f"AUTHORIZATION: BASIC {RIGHT}",),
    "tab in front": (f"Authorization:\tBasic {RIGHT}",),
    "tab behind the scheme": (f"Authorization: Basic\t{RIGHT}",),
    "two blanks": (f"Authorization:  Basic  {RIGHT}",),
    "blank before the colon": (f"Authorization : Basic {RIGHT}",),
    "folded": ("Authorization:", f" Basic {RIGHT}"),
    "behind one that is signed": ("Authorization: OAuth x", f"Authorization: Basic {RIGHT}"),
    "before one that is signed": (f"Authorization: Basic {RIGHT}", "Authorization: OAuth x"),
    "behind an empty one": ("Authorization:", f"Authorization: Basic {RIGHT}"),
    "beside a session": (f"Authorization: Basic {RIGHT}", "Cookie: JSESSIONID=x"),
    "a scheme that looks signed": (f"Authorization: OAuth2 {RIGHT}",),
    "another scheme": (f"Authorization: Digest {RIGHT}",),
    "underscore": (f"Authorization_: Basic {RIGHT}", "X_API_Key: x", f"Authorization: Basic {RIGHT}"),
    "a key": ("X-API-Key: pat_x",),
    "a session of the gate": ("Cookie: a=b; PATSESSION=pat_x",),
    "named by Connection": (f"Authorization: Basic {RIGHT}", "Connection: Authorization"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_no_header_leads_a_password_past_the_gate(here: Site, name: str) -> None:
    """However it is written, whatever stands beside it: Jira hears of no credential but signed ones."""
    found = here.front.ask(JIRA, MYSELF, *HEADERS[name])

    assert found.status in (400, 401, 403)
    assert came(here) == []


LOGINS = [
    "/rest/auth/1/session",
    "/rest/auth/latest/session",
    "/rest/auth/1/session/",
    "/rest/auth/1/session.json",
    "//rest/auth/1/session",
    "/rest/%61uth/1/session",
    "/rest/auth;x=1/1/session",
    "/rest/auth;%0a/1/session",
    "/rest/auth;%0d%0ax/1/session;y",
    "/secure/../rest/auth/1/session",
    "/s/x/_/rest/auth/1/session",
]


@pytest.mark.parametrize("target", LOGINS)
def test_no_program_opens_a_session_at_jira(here: Site, target: str) -> None:
    """A login with a password is for the gate, in every spelling."""
    body = json.dumps({"username": "alice", "password": PASSWORDS["alice"]}).encode()

    found = here.front.ask(JIRA, target, "Content-Type: application/json", method="POST", body=body)

    assert found.status in (400, 401, 403)
    assert came(here) == []


@pytest.mark.parametrize(
    "query",
    [
        "os_username=alice&os_password=x",
        "a=1&os_authType=basic",
        "%6Fs_username=a",
        "a;o%73%5Fpassword=x",
        "os%5f%70=x",
    ],
)
def test_no_parameter_logs_in_at_jira(here: Site, query: str) -> None:
    """A name and a password in the query are for the gate, which refuses them."""
    found = here.front.ask(JIRA, f"{MYSELF}?{query}")

    assert found.status in (400, 401, 403)
    assert came(here) == []


def test_where_a_browser_goes_after_its_login_is_no_login(here: Site) -> None:
    """A parameter of Jira's that only begins alike passes."""
    here.front.ask(JIRA, "/login.jsp?os_destination=%2Fbrowse")

    assert [target for target, _, _ in came(here)] == ["/login.jsp?os_destination=%2Fbrowse"]


@pytest.mark.parametrize("target", ODD)
def test_the_gate_reads_no_path_in_two_ways(here: Site, target: str) -> None:
    """Nor does a good token get anywhere by a path that two programs could read differently."""
    found = here.front.ask(here.host, target, bearer(here.token("SYSTEM_ADMIN")))

    assert found.status in (400, 403)
    assert came(here) == []


def test_a_long_search_passes(here: Site) -> None:
    """As long as clients send them in a query."""
    found = here.front.ask(here.host, f"/rest/api/2/search?jql=text~{'x' * 7_500}", bearer(here.token("READ")))

    assert len(came(here)[0][0]) > 7_500, found


def test_an_upload_is_not_held_back(here: Site) -> None:
    """Jira answers before the body is there: nginx does not gather it first."""
    head = (
        f"POST /plugins/servlet/standin/early?status=413 HTTP/1.1\r\nHost: {JIRA}\r\n"
        "Content-Length: 3000000\r\nContent-Type: application/octet-stream\r\n\r\n"
    )

    with closing(here.front.connect(JIRA)) as connection:
        connection.sendall(head.encode() + b"x" * 1000)
        assert answer(connection).status == 413


def test_a_refused_upload_costs_nobody_else_an_answer(here: Site) -> None:
    """Though the gate did not read it: who comes next is not sent over a connection that gunicorn hangs up on."""
    head = f"Host: {here.host}\r\n{bearer(here.token('READ'))}\r\nContent-Type: application/json\r\n"
    upload = f"POST /rest/api/2/issue HTTP/1.1\r\n{head}Content-Length: 100000\r\n\r\n".encode() + bytes(100_000)
    search = f"POST /rest/api/2/search HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{}}".encode()
    statuses = []

    for _ in range(12):
        with closing(here.front.connect(here.host)) as one, closing(here.front.connect(here.host)) as other:
            for connection, request in ((one, upload), (other, search)):
                connection.sendall(request)
                statuses.append(answer(connection).status)

    assert statuses == [403, 200] * 12


def test_a_download_is_not_held_back(here: Site) -> None:
    """Its first piece is there before its last one is sent."""
    target = "/plugins/servlet/standin/bytes?count=2000&size=1000&pause=0.5"
    head = f"GET {target} HTTP/1.1\r\nHost: {JIRA}\r\nConnection: close\r\n\r\n"

    with closing(here.front.connect(JIRA)) as connection:
        connection.sendall(head.encode())
        read = b""
        while b"\r\n\r\n" not in read or len(read.partition(b"\r\n\r\n")[2]) < 1000:
            read += connection.recv(65_536)
        body = read.partition(b"\r\n\r\n")[2]

    assert len(body) == 1000


@pytest.mark.parametrize("running", [PLACEMENTS[0]], indirect=True, ids=["api-host"])
def test_programs_are_told_where_to_go(here: Site) -> None:
    """Where there is a host for them, the other one says so."""
    found = here.front.ask(JIRA, MYSELF, bearer("x"))

    assert (found.status, found.body) == (403, b"Programs come in at https://api.example.org, with a token.\n")
