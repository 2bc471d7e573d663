"""``patmiddleware demo``, as somebody new runs it."""

from __future__ import annotations

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

from cli.running import ROOT, as_curl, ended, environ, request, running

from patmiddleware.demo.run import own_command, set_up
from patmiddleware.errors import RefusedError


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give the start document of a demo that runs, in a folder with a blank in its name."""
    folder = tmp_path_factory.mktemp("demo") / "my demo"
    with running(["demo", "--port", "0", "--dir", str(folder), "--json"]) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())


def bearer(demo: Any, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {demo['tokens'][name]['secret']}"}


@pytest.mark.parametrize("number", range(6))
def test_every_line_does_what_it_says(demo: Any, number: int) -> None:
    """Each line that is printed is answered with the status that stands beside it."""
    tried = demo["try"][number]

    assert as_curl(tried["command"]).status == tried["status"]


def test_there_are_six_lines(demo: Any) -> None:
    """None of the lines went untried."""
    assert [tried["status"] for tried in demo["try"]] == [200, 403, 201, 200, 401, 401]


def test_a_refusal_says_why(demo: Any) -> None:
    """The scope that is needed, and the rule that asks for it."""
    told = as_curl(demo["try"][1]["command"]).json()

    assert (told["reason"], told["needed"], told["held"]) == ("insufficient_scope", ["WRITE"], ["READ"])
    assert "POST /rest/api/2/issue" in told["rule"]


def test_a_bad_token_hears_nothing_finer(demo: Any) -> None:
    """Somebody else's, expired and unknown tokens are answered alike, but for the request's id."""
    wrong_owner, expired = (as_curl(demo["try"][number]["command"]).json() for number in (4, 5))

    assert wrong_owner | {"request_id": ""} == expired | {"request_id": ""}


def test_the_application_knows_whose_token_it_is(demo: Any) -> None:
    """Behind the gate the owner of the token is at work."""
    answer = request("GET", demo["url"] + "/rest/api/2/myself", bearer(demo, "write"))

    assert (answer.status, answer.json()["name"]) == (200, "alice")


def test_a_token_is_revoked_live(tmp_path: Path) -> None:
    """The printed command revokes the read token, which is refused within a second; the other one goes on."""
    with running(["demo", "--port", "0", "--dir", str(tmp_path), "--json"]) as process:
        assert process.stdout is not None
        demo = json.loads(process.stdout.readline())
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
    """Its settings can be judged and served like any others."""
    command = [sys.executable, "-m", "patmiddleware", "check", "--config", demo["config"], "--json"]

    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ(), timeout=60)

    assert json.loads(done.stdout)["warnings"] == []


def test_what_is_in_the_folder_is_private(demo: Any) -> None:
    """The store and the audit are for their owner's eyes only."""
    folder = Path(demo["config"]).parent

    assert {(folder / name).stat().st_mode & 0o777 for name in ("tokens.db", "audit.jsonl")} == {0o600}


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_and_takes_its_folder_along(by: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end it with 0; a temporary folder is gone."""
    with running(["demo", "--port", "0", "--json"]) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        as_curl(started["try"][0]["command"])

        code, out, err = ended(process, by)

    assert (code, out, err) == (0, "", "")
    assert not Path(started["config"]).parent.exists()


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

    assert statuses == [200, 403, 201, 200, 401, 401]
    assert shlex.split(revoke)[-1] == str(tmp_path / "it's" / "patmiddleware.toml")
    decisions = [line for line in live.splitlines() if "/rest/api/2/issue" in line]
    assert len(decisions) == 6
    assert "denied 403  alice  POST /rest/api/2/issue  insufficient_scope: needs WRITE" in decisions[1]
    assert "owner_mismatch" in decisions[4]
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
        f"patmiddleware: can't listen at 127.0.0.1:{port}: Address already in use; choose another port\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_used_again(tmp_path: Path) -> None:
    """What was changed in the folder stays; new tokens are made, and the old ones stay good."""
    first = set_up(tmp_path, "127.0.0.1", 8080)
    (tmp_path / "owners.toml").write_text("[owners.alice]\n")

    second = set_up(tmp_path, "127.0.0.1", 8080)

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
