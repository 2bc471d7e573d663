"""Where words go that can't be written, and tables on terminals of any width."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from cli.conftest import Place
from cli.running import ROOT, environ

from patmiddleware.cli import terminal


def to_full(place: Place, stream: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command with one of its streams on a full disk."""
    command = [sys.executable, "-m", "patmiddleware", *words, "--config", str(place.config)]
    with open("/dev/full", "wb") as full:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {stream: full}
        return subprocess.run(command, cwd=ROOT, env=environ(), timeout=60, **streams)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_secret_that_could_not_be_shown_can_be_had_anew(place: Place, words: tuple[str, ...]) -> None:
    """The token that was made is named, with the command that gives it another secret."""
    done = to_full(place, "stdout", "token", "create", "--owner", "zoe", "--name", "x", "--scopes", "read", *words)

    (made,) = place.json("token", "list", "--owner", "zoe")["tokens"]
    told = done.stderr.decode()
    assert done.returncode == 1
    assert f"the secret of token {made['id']} can't be written: No space left on device" in told
    assert f"'patmiddleware token rotate {made['id']}'" in told
    assert place.json("token", "rotate", made["id"])["token"]["replaces"] == made["id"]


def test_a_secret_is_shown_where_notes_can_not_be_written(place: Place) -> None:
    """A log that is full keeps no answer back."""
    done = to_full(place, "stderr", "token", "create", "--owner", "zoe", "--name", "x", "--scopes", "read")

    assert done.returncode == 0
    assert done.stdout.startswith(b"pat_")


def test_an_error_that_can_not_be_written_keeps_its_exit_code(place: Place) -> None:
    """Wrong usage is 2, be it told or not."""
    assert to_full(place, "stderr", "token", "rotate").returncode == 2


@pytest.mark.parametrize(
    ("columns", "lines"),
    [(80, 2), (24, 4), (23, 2)],
    ids=["wide", "just wide enough", "too narrow"],
)
def test_no_terminal_is_so_narrow_that_columns_can_not_be_read(
    monkeypatch: pytest.MonkeyPatch, columns: int, lines: int
) -> None:
    """Cells are broken as long as the headings fit; then the terminal breaks whole lines."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", screen)

    terminal.table(("ID", "OWNER", "NAME"), [("0123456789a", "a" * 12, "b" * 12)])

    assert len(screen.getvalue().splitlines()) == lines
    assert "OWNER" in screen.getvalue()


def test_a_store_on_a_full_disk_says_what_to_look_for(place: Place) -> None:
    """SQLite calls it an error of the disk, whoever reads that at night thinks of another one."""
    place.process("store", "init")
    command = f'ulimit -f 0; exec "{sys.executable}" -m patmiddleware token list --config "{place.config}"'

    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environ(), capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "disk I/O error; is the disk full?" in done.stderr


MISTAKES = {
    "no such file": (None, "PAT-E101"),
    "no TOML": ('[store]\nprefix = "acme\n', "PAT-E102"),
    "a misspelt setting": ('[store]\nurl = "memory:"\nprefx = "acme"\n', "PAT-E103"),
}


@pytest.mark.parametrize(("text", "problem"), MISTAKES.values(), ids=MISTAKES)
def test_no_pattern_is_guessed_where_settings_do_not_tell(place: Place, text: str | None, problem: str) -> None:
    """A scanner with the pattern of another prefix would find nothing, and nobody would notice."""
    place.config.unlink() if text is None else place.config.write_text(text)

    result = place.run("token", "pattern", "--json")

    assert result.exit_code == 2
    assert [each["id"] for each in json.loads(result.stdout)["problems"]] == [problem]
