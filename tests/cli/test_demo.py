"""``patmiddleware demo``, as somebody new runs it."""

from __future__ import annotations

import base64
import json
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("waitress", reason="needs the extra server")
pytest.importorskip("cryptography", reason="needs the extra forward")
pytest.importorskip("oauthlib", reason="needs the extra forward")
pytest.importorskip("urllib3", reason="needs the extra forward")

from cli.running import ROOT, as_curl, ended, environ, request, running, started

from patmiddleware.demo.link import linked
from patmiddleware.demo.run import found, own_command, set_up
from patmiddleware.errors import RefusedError

STATUSES = [200, 403, 201, 200, 401, 401, 200, 200, 200, 401]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give the start document of a demo that runs, in a folder with a blank in its name."""
    folder = tmp_path_factory.mktemp("demo") / "my demo"
    with running(["demo", "--port", "0", "--dir", str(folder), "--json"]) as process:
        yield started(process)


def secret(demo: Any, name: str) -> str:
    return str(demo["tokens"][name]["secret"])


def bearer(demo: Any, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret(demo, name)}"}


def test_every_line_does_what_it_says(demo: Any) -> None:
    """Each line that is printed is answered, in turn, with the status that stands beside it."""
    statuses = [as_curl(tried["command"]).status for tried in demo["try"]]

    assert statuses == [tried["status"] for tried in demo["try"]] == STATUSES


def test_links_lead_through_the_gate(demo: Any) -> None:
    """The link of an attachment, as Jira's answer has it, is the one that is printed: nothing leads past the gate."""
    answer = request("GET", demo["url"] + "/rest/api/2/issue/DEMO-6", bearer(demo, "read"))

    [file] = answer.json()["fields"]["attachment"]
    assert file["content"] == demo["try"][6]["command"].split()[-1]
    assert demo["jira"] not in answer.body
    assert len(request("GET", file["content"], bearer(demo, "read")).body) == file["size"]


def test_only_the_gate_gets_into_jira(demo: Any) -> None:
    """The stand-in listens on the loopback interface alone, and knows neither tokens of the gate nor passwords."""
    basic = {"Authorization": "Basic " + base64.b64encode(b"alice:" + secret(demo, "read").encode()).decode()}

    statuses = [
        request("GET", demo["jira"] + "/rest/api/2/issue/DEMO-1", headers).status
        for headers in ({}, bearer(demo, "read"), basic, {"Remote-User": "alice", "X-Forwarded-User": "alice"})
    ]

    assert demo["jira"].startswith("http://127.0.0.1:")
    assert statuses == [401] * 4


def test_a_refusal_says_why(demo: Any) -> None:
    """The scope that is needed, and the rule that asks for it."""
    told = as_curl(demo["try"][1]["command"]).json()

    assert (told["reason"], told["needed"], told["held"]) == ("insufficient_scope", ["WRITE"], ["READ"])
    assert "POST /rest/api/2/issue" in told["rule"]


def test_a_bad_token_hears_nothing_finer(demo: Any) -> None:
    """Somebody else's, expired and unknown tokens are answered alike, but for the request's id."""
    wrong_owner, expired = (as_curl(demo["try"][number]["command"]).json() for number in (4, 5))

    assert wrong_owner | {"request_id": ""} == expired | {"request_id": ""}


def test_jira_knows_whose_token_it_is(demo: Any) -> None:
    """For the stand-in, which gets no token, the owner of the token is at work."""
    answer = request("GET", demo["url"] + "/rest/api/2/myself", bearer(demo, "write"))

    assert (answer.status, answer.json()["name"], answer.headers["X-AUSERNAME"]) == (200, "alice", "alice")


def test_a_token_is_revoked_live(tmp_path: Path) -> None:
    """The printed command revokes the read token, which is refused within a second; the other one goes on."""
    with running(["demo", "--port", "0", "--dir", str(tmp_path), "--json"]) as process:
        demo = started(process)
        first = demo["try"][0]["command"]
        assert as_curl(first).status == 200

        done = subprocess.run(
            demo["revoke"]["command"], shell=True, capture_output=True, text=True, env=environ(), timeout=60
        )
        time.sleep(1)

        assert done.returncode == 0, done.stderr
        assert as_curl(first).status == 401
        assert request("GET", demo["url"] + "/rest/api/2/issue/DEMO-1", bearer(demo, "write")).status == 200


def test_the_demo_is_a_sound_installation(demo: Any) -> None:
    """Its settings can be judged like any others."""
    command = [sys.executable, "-m", "patmiddleware", "check", "--config", demo["config"], "--json"]

    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ(), timeout=60)

    assert json.loads(done.stdout)["warnings"] == []


def test_its_settings_are_served_while_its_jira_runs(tmp_path: Path) -> None:
    """``serve`` leads to the demo's Jira, then says 502 where none is, and finds the one that runs alone."""
    issue, statuses = "/rest/api/2/issue/DEMO-1", []
    with running(["demo", "--port", "0", "--dir", str(tmp_path), "--json"]) as process:
        demo = started(process)
        config = Path(demo["config"])
        config.write_text(config.read_text().replace('listen = "127.0.0.1:8080"', 'listen = "127.0.0.1:0"'))
        with running(["serve", "--config", str(config), "--json"]) as serving:
            url = started(serving)["url"] + issue
            statuses.append(request("GET", url, bearer(demo, "read")).status)
            ended(process, signal.SIGINT)
            gone = request("GET", url, bearer(demo, "read"))
            with running(["demo", "--only-jira", "--dir", str(tmp_path), "--json"]) as jira:
                assert started(jira) == {"url": demo["jira"]}
                statuses.append(request("GET", url, bearer(demo, "read")).status)
                assert ended(jira, signal.SIGINT) == (0, "", "")

    assert statuses == [200, 200]
    assert (gone.status, gone.json()["title"]) == (502, "Bad Gateway")


def test_jira_alone_needs_a_demo(tmp_path: Path) -> None:
    """A folder must be named, and there must be a demo in it: one sentence says how it gets there."""
    told = []
    for more in ([], ["--dir", str(tmp_path / "none")]):
        command = [sys.executable, "-m", "patmiddleware", "demo", "--only-jira", *more]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ(), timeout=60)
        told.append((done.returncode, done.stderr.splitlines()[-1]))

    where = tmp_path / "none"
    assert told[0][0] == 2
    assert "add --dir" in told[0][1]
    said = f"patmiddleware: there is no demo in {where}: make one with 'patmiddleware demo --dir {where}'"
    assert told[1] == (1, said)


def test_what_is_in_the_folder_is_private(demo: Any) -> None:
    """The store, the audit, the key, and the folder with whatever curl keeps there, are for their owner's eyes only."""
    folder = Path(demo["config"]).parent

    private = {(folder / name).stat().st_mode & 0o777 for name in ("tokens.db", "audit.jsonl", "gate.pem")}
    assert (private, folder.stat().st_mode & 0o777) == ({0o600}, 0o700)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_and_takes_its_folder_along(by: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end it with 0; a temporary folder is gone."""
    with running(["demo", "--port", "0", "--json"]) as process:
        demo = started(process)
        as_curl(demo["try"][0]["command"])

        code, out, err = ended(process, by)

    assert (code, out, err) == (0, "", "")
    assert not Path(demo["config"]).parent.exists()


def test_a_person_sees_it_all(tmp_path: Path) -> None:
    """The screen shows where it runs, the tokens, lines to copy, and then each request on a line."""
    with running(["demo", "--port", "0", "--dir", str(tmp_path / "it's")]) as process:
        assert process.stdout is not None
        shown = []
        while not shown or "Ctrl-C" not in shown[-1]:
            shown.append(process.stdout.readline())
        lines = [line.strip() for line in shown if line.strip().startswith("curl")]
        statuses = [as_curl(line).status for line in lines]
        code, live, err = ended(process, signal.SIGINT)
    revoke = next(line for line in shown if "token revoke" in line)

    assert statuses == STATUSES
    assert shlex.split(revoke)[-1] == str(tmp_path / "it's" / "patmiddleware.toml")
    told = [line for line in live.splitlines() if "/rest/api/2/issue" in line]
    decisions = [line for line in told if "Jira" not in line]
    assert len(decisions) == 7
    assert "denied 403  alice  POST /rest/api/2/issue  insufficient_scope: needs WRITE" in decisions[1]
    assert "owner_mismatch" in decisions[4]
    assert [line.split()[2:4] for line in told if "Jira" in line] == [
        [s, "alice"] for s in ("200", "201", "200", "200")
    ]
    assert (code, live.splitlines()[-1], err) == (0, "The demo has ended.", "")


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """One sentence, exit code 1, and nothing left behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "patmiddleware", "demo", "--port", port]
        own = environ(TMPDIR=str(tmp_path))
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=own, timeout=60)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"patmiddleware: can't listen at 127.0.0.1:{port}: Address already in use; choose another port with --port\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_port_of_jira_that_is_taken_is_told(tmp_path: Path) -> None:
    """The sentence says where the port stands."""
    set_up(tmp_path, "127.0.0.1", 8080)
    _, host, jira_port = linked(found(tmp_path))
    with socket.create_server((host, jira_port)):
        command = [sys.executable, "-m", "patmiddleware", "demo", "--port", "0", "--dir", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ(), timeout=60)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"patmiddleware: can't listen at 127.0.0.1:{jira_port}: Address already in use; choose another port"
        f" for the stand-in, in [app] upstream of {tmp_path}/patmiddleware.toml\n"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("http://127.0.0.1:", "http://192.0.2.1:"),
        ("http://127.0.0.1:", "https://127.0.0.1:"),
        ('kind = "oauth1", consumer_key = "patmiddleware", private_key', 'kind = "bearer", token'),
        ("upstream = ", 'import = "wsgiref.simple_server:demo_app"\n# '),
    ],
)
def test_settings_that_lead_elsewhere_are_not_the_demos(tmp_path: Path, old: str, new: str) -> None:
    """Where somebody has made the settings lead to another Jira, no stand-in is put in its place."""
    set_up(tmp_path, "127.0.0.1", 8080)
    settings = tmp_path / "patmiddleware.toml"
    before, app, after = settings.read_text().partition("[app]\n")
    after = after.replace(old, new)
    if "bearer" in new:
        after = after.replace(", impersonate = true", "")
    if "import" in new:
        after = after.replace("public_url", "# ").replace("auth", "# ")
    settings.write_text(before + app + after)

    with pytest.raises(RefusedError, match="does not lead to the demo's own Jira"):
        linked(found(tmp_path))


def test_a_folder_is_used_again(tmp_path: Path) -> None:
    """What was changed in the folder stays; new tokens are made, and the old ones stay good."""
    first = set_up(tmp_path, "127.0.0.1", 8080)
    (tmp_path / "owners.toml").write_text("[owners.alice]\n")

    second = set_up(tmp_path, "127.0.0.1", 8080)

    assert second.config == first.config
    assert (tmp_path / "owners.toml").read_text() == "[owners.alice]\n"
    assert second.read.token.id != first.read.token.id


def test_somebody_elses_settings_are_left_alone(tmp_path: Path) -> None:
    """A folder with settings that are not a demo's is refused: tokens would be made in a real store."""
    (tmp_path / "patmiddleware.toml").write_text('[store]\nurl = "sqlite:///real.db"\n')

    with pytest.raises(RefusedError, match="not a demo's"):
        set_up(tmp_path, "127.0.0.1", 8080)

    assert [path.name for path in tmp_path.iterdir()] == ["patmiddleware.toml"]


def test_the_revoke_command_runs_this_installation() -> None:
    """From any folder, whatever is on the PATH."""
    command = [*own_command(), "--version"]

    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ(), timeout=60)

    assert done.stdout.startswith("patmiddleware, version")
