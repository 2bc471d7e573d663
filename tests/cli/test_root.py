"""What holds for every command: exit codes, one sentence for what goes wrong, and no traceback."""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from cli.running import ROOT, environ
from click.testing import CliRunner, Result

from patmiddleware.cli import terminal
from patmiddleware.cli.root import Commands, commands

if TYPE_CHECKING:
    from conftest import Place


def every_command(group: click.Group = commands, *path: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, *path, name)
        else:
            yield (*path, name)


EVERY = list(every_command())


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_has_config_json_and_help(path: tuple[str, ...]) -> None:
    """The options that every command has, and a sentence that says what it does."""
    result = CliRunner().invoke(commands, [*path, "--help"])

    assert result.exit_code == 0
    assert "--config FILE" in result.stdout
    assert "--json" in result.stdout


ARGUMENTS = {
    ("token", "create"): ["--owner", "a", "--name", "b", "--scopes", "c"],
    ("token", "show"): ["x"],
    ("token", "rotate"): ["x"],
    ("token", "revoke"): ["x"],
    ("policy", "explain"): ["GET", "/"],
    ("store", "export"): ["x"],
    ("token", "adopt"): ["--scopes", "READ"],
    ("jira", "connect"): ["x", "--kind", "basic"],
    ("jira", "disconnect"): ["x"],
    ("store", "import"): [__file__],
    ("store", "copy"): ["-", "memory:"],
    ("jira", "import-tokens"): ["x.csv", "--users", __file__, "--scopes", "READ"],
}
NEED_SETTINGS = [path for path in EVERY if path not in (("demo",), ("completion",), ("token", "pattern"))]


@pytest.mark.parametrize("path", NEED_SETTINGS, ids=" ".join)
def test_wrong_settings_are_told_in_json(tmp_path: Path, path: tuple[str, ...]) -> None:
    """Every command that needs the settings ends with 2 and one JSON document of all that is wrong."""
    (tmp_path / "patmiddleware.toml").write_text("[store]\nurl = 3\n[server]\nthreads = 0\n")
    words = [*path, *ARGUMENTS.get(path, []), "--json", "--config", str(tmp_path / "patmiddleware.toml")]

    result = CliRunner().invoke(commands, words)

    document = json.loads(result.stdout)
    assert result.exit_code == document["code"] == 2
    assert {"PAT-E104", "PAT-E105"} <= {problem["id"] for problem in document["problems"]}


def test_wrong_settings_are_told_in_words(tmp_path: Path) -> None:
    """Each problem stands on a line, with its hint below it."""
    path = tmp_path / "patmiddleware.toml"
    path.write_text('[store]\nurl = "memory:"\n[midleware]\n[server]\nthreads = 0\n')

    result = CliRunner().invoke(commands, ["token", "list", "--config", str(path)])

    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "patmiddleware: there are 2 problems to mend",
        "  PAT-E103  midleware: there is no such table",
        "            → did you mean 'middleware'?",
        "  PAT-E105  server.threads: must be from 1 to 1024, not 0",
    ]


WAY = """\
[app]
upstream = "https://jira.internal"
public_url = "https://api.example.org"
auth = {kind = "bearer", token = {env = "NOT_SET_AT_ALL"}}
[vault]
url = "file:vault.jsonl"
keys = [{file = "not-there"}]
"""
NEED_THE_WAY = (["check"], ["serve"], ["token", "adopt", "--scopes", "x"], ["jira", "connections"])


def test_tokens_are_managed_without_the_secrets_of_the_way_upstream(tmp_path: Path) -> None:
    """Whoever makes tokens needs no credential for Jira; whatever asks Jira or the vault says that it is missing."""
    path = tmp_path / "patmiddleware.toml"
    path.write_text(f'[store]\nurl = "file:tokens.jsonl"\n{WAY}')

    def run(*words: str) -> Result:
        return CliRunner().invoke(commands, [*words, "--config", str(path)], input="x\n")

    made = [run("token", "create", "--owner", "a", "--name", "b", "--scopes", "c"), run("token", "list")]
    others = [run(*words) for words in NEED_THE_WAY]

    assert [result.exit_code for result in made] == [0, 0], made[0].output
    assert [result.exit_code for result in others] == [2] * len(NEED_THE_WAY)
    for result in others:
        assert "PAT-E108  app.auth.token: the environment variable NOT_SET_AT_ALL is not set" in result.stderr
        assert "PAT-E108  vault.keys[0]: " in result.stderr


USAGE = {
    "no such command": (["tokn"], "No such command 'tokn'"),
    "no such option": (["token", "list", "--ownr", "x"], "No such option"),
    "missing option": (["token", "create"], "Missing option"),
    "missing argument": (["token", "show"], "Missing argument"),
    "no such shell": (["completion", "tcsh"], "is not one of"),
    "no port": (["demo", "--port", "70000"], "70000"),
}


@pytest.mark.parametrize(("words", "message"), USAGE.values(), ids=USAGE)
def test_wrong_usage_ends_with_2(words: list[str], message: str) -> None:
    """One sentence, and where to read more; in JSON too."""
    told, in_json = CliRunner().invoke(commands, words), CliRunner().invoke(commands, [*words, "--json"])

    assert (told.exit_code, told.stdout) == (2, "")
    assert message in told.stderr
    assert "--help'" in told.stderr
    assert message in json.loads(in_json.stdout)["error"]


def test_settings_come_from_the_environment_then_from_the_folder(place: Place) -> None:
    """``--config``, then ``PATMIDDLEWARE_CONFIG``, then ``patmiddleware.toml`` where one is."""
    place.token()

    from_folder = place.process("store", "check", "--json")
    from_environ = place.process("store", "check", "--json", PATMIDDLEWARE_CONFIG=str(place.folder / "none.toml"))

    assert json.loads(from_folder.stdout)["tokens"] == 1
    assert "none.toml" in json.loads(from_environ.stdout)["problems"][0]["setting"]


def test_common_options_may_stand_before_the_command(place: Place) -> None:
    """``patmiddleware --json --config FILE token list`` is the same as with the options last."""
    place.token()

    result = CliRunner().invoke(commands, ["--json", "--config", str(place.config), "token", "list"])

    assert len(json.loads(result.stdout)["tokens"]) == 1


def test_version() -> None:
    """The version is told in one line."""
    result = CliRunner().invoke(commands, ["--version"])

    assert (result.exit_code, result.stdout.split(",")[0]) == (0, "patmiddleware")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """The script for each shell asks this program."""
    result = CliRunner().invoke(commands, ["completion", shell])

    assert result.exit_code == 0
    assert f"_PATMIDDLEWARE_COMPLETE={shell}_complete" in result.stdout


def test_completion_answers_the_shell(place: Place) -> None:
    """What the script asks is answered with the commands that begin so."""
    done = place.process(_PATMIDDLEWARE_COMPLETE="bash_complete", COMP_WORDS="patmiddleware tok", COMP_CWORD="1")

    assert done.stdout == "plain,token\n"


def odd(path: str) -> list[list[str]]:
    surrogate = "\udcff"
    return [
        ["token", "show", surrogate],
        ["token", "create", "--owner", surrogate, "--name", "x", "--scopes", "read"],
        ["token", "create", "--owner", "a" * 10_000, "--name", "x", "--scopes", "read"],
        ["token", "create", "--owner", "alice", "--name", "x", "--scopes", "read", "--expires", "999999999w"],
        ["token", "revoke", "--before", "99999-01-01"],
        ["token", "list", "--owner", "' OR 1=1 --"],
        ["token", "list", "--limit", "0"],
        ["policy", "explain", "get", "/"],
        ["policy", "explain", "GET", "issue"],
        ["policy", "explain", "GET", "/%zz%ff/\udcff"],
        ["policy", "explain", "GET", "/", "--address", "::1%eth0"],
        ["policy", "check", path],
        ["store", "import", "/"],
        ["store", "import", "/dev/null"],
        ["store", "export", "/nowhere/at/all"],
        ["store", "export", "/dev/full"],
        ["--config", "/", "check"],
        ["--config", "/dev/null", "check"],
        ["--config", "\udcff.toml", "check"],
        ["serve", "--config", "/nowhere.toml"],
        ["demo", "--dir", path],
        ["demo", "--host", "no such host", "--port", "0"],
        ["demo", "--host", "256.0.0.1", "--port", "0"],
    ]


@pytest.mark.parametrize("number", range(len(odd(""))))
def test_no_traceback_on_odd_input(place: Place, number: int) -> None:
    """Whatever is given, a user hears a sentence, and the exit code is one of three."""
    place.token()

    done = place.process(*odd(str(place.folder))[number])

    assert done.returncode in (0, 1, 2)
    assert "Traceback" not in done.stderr + done.stdout
    assert "fault of the program" not in done.stderr
    assert "patmiddleware: " in done.stderr or done.returncode == 0


def test_a_fault_of_our_own_is_a_sentence_as_well() -> None:
    """Even a bug shows no traceback, but says how to see it."""

    @click.command()
    def broken() -> None:
        raise RuntimeError("a secret in the text of an error")

    result = CliRunner().invoke(Commands("patmiddleware", commands={"broken": broken}), ["broken"])

    assert result.exit_code == 1
    assert "RuntimeError in test_root.py" in result.stderr
    assert "a secret in" not in result.stderr
    assert "PATMIDDLEWARE_TRACEBACK=1" in result.stderr


def test_a_reader_that_goes_away_is_no_error(place: Place) -> None:
    """``patmiddleware token list | head -1`` says nothing on standard error."""
    place.token()
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "patmiddleware", "token", "list", "--config", str(place.config)]

    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, cwd=ROOT, timeout=60)
    os.close(write)

    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_full_disk_is_told(place: Place, words: tuple[str, ...]) -> None:
    """An answer that can't be written is no success."""
    place.token()
    command = [sys.executable, "-m", "patmiddleware", "token", "list", "--config", str(place.config), *words]

    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, timeout=60)

    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_closed_streams_are_no_trouble(place: Place) -> None:
    """Run by a daemon without standard streams, a command works."""
    command = f'"{sys.executable}" -m patmiddleware store init --config "{place.config}" <&- >&- 2>&-'

    done = subprocess.run(["sh", "-c", command], cwd=ROOT, timeout=60)

    assert done.returncode == 0
    assert (place.folder / "tokens.db").exists()


def test_ctrl_c_ends_quietly(place: Place) -> None:
    """Interrupted while it waits for its input, a command ends with 130 and a word."""
    place.token()
    command = [sys.executable, "-m", "patmiddleware", "store", "import", "-", "--config", str(place.config)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=environ())
    assert process.stdin is not None
    process.stdin.write(b"{")
    process.stdin.flush()
    until_read(process.stdin.fileno())

    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)

    assert (process.returncode, told) == (130, b"\nInterrupted.\n")


def until_read(pipe: int, seconds: float = 60.0) -> None:
    """Wait until the other side has taken all that was written."""
    end = time.monotonic() + seconds
    while fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)) != bytes(4):
        assert time.monotonic() < end, "nobody reads"
        time.sleep(0.05)


def test_without_the_extra_it_says_what_to_install(place: Place) -> None:
    """Where click or rich is missing, one line names the command that mends it."""
    for missing in ("click", "rich"):
        run = "runpy.run_module('patmiddleware', run_name='__main__')"
        code = f"import sys, runpy; sys.modules[{missing!r}] = None; {run}"

        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)

        assert done.returncode == 2
        assert done.stderr == (f"patmiddleware: the commands need {missing}: run pip install 'patmiddleware[cli]'\n")


def test_ascii_only_terminals_get_an_answer(place: Place) -> None:
    """Characters that the terminal can't show are spelled out rather than end in an error."""
    place.token(name="naïve…")

    done = place.process("token", "list", PYTHONIOENCODING="ascii")

    assert done.returncode == 0
    assert "na\\xefve\\u2026" in done.stdout


@pytest.mark.parametrize(("no_color", "plain"), [("1", True), ("", False)])
def test_no_color_leaves_the_words_alone(monkeypatch: pytest.MonkeyPatch, no_color: str, plain: bool) -> None:
    """Neither colour nor bold is written to a terminal where ``NO_COLOR`` is set (and is not empty)."""
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)

    terminal.console(screen).print("words", style="bold red")

    assert ("\x1b" not in screen.getvalue()) is plain


def test_a_current_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    """Where the current folder was deleted, no settings can be looked for in it."""
    (tmp_path / "gone").mkdir()
    line = f"cd gone; rmdir ../gone; exec {sys.executable} -m patmiddleware token list"

    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=environ(), capture_output=True, text=True, timeout=60)

    told = "patmiddleware: the current folder is not there any more: change to another one\n"
    assert (done.returncode, done.stderr.splitlines(keepends=True)[-1:]) == (1, [told])
