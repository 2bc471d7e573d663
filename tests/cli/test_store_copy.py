"""``patmiddleware store copy``."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest
from cli.running import environ
from click.testing import CliRunner, Result

from patmiddleware.backends import open_store
from patmiddleware.cli.root import commands
from patmiddleware.interfaces import Add, Transactional
from patmiddleware.model import Secret, Token

if TYPE_CHECKING:
    from conftest import Place

PASSWORD = "correct-horse"


def copy(*words: str, **environ: str) -> Result:
    return CliRunner(env=environ).invoke(commands, ["store", "copy", *words])


@pytest.fixture
def peppered(tmp_path: Path) -> Path:
    """Give a settings file whose store has a pepper; other tables of it can't be read here."""
    (tmp_path / "pepper").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "pepper").chmod(0o600)
    file = tmp_path / "other.toml"
    file.write_text(
        '[store]\nurl = "file:tokens.jsonl"\npeppers = [{file = "pepper"}]\n'
        '[directory]\nurl = {env = "SET_ON_ANOTHER_MACHINE"}\n'
    )
    return file


def test_a_settings_file_stands_for_its_store(place: Place, peppered: Path) -> None:
    """``-`` is the store of ``--config``; peppers are those of each side, and relative paths are from its folder."""
    made = place.token()
    place.run("token", "revoke", place.token()["token"]["id"])

    copied = place.json("store", "copy", "-", str(peppered))

    assert {**copied, "digest": ""} == {
        "copied": 2, "skipped": 0, "revoked": 0, "rotated": 0, "differing": 0, "tokens": 2, "digest": ""
    }  # fmt: skip
    pepper = (peppered.parent / "pepper").read_text().strip()
    found = open_store(f"file:{peppered.parent / 'tokens.jsonl'}", peppers=[pepper]).find(Secret(made["secret"]))
    assert found is not None
    assert found.id == made["token"]["id"]


def test_an_address_stands_for_a_store(place: Place, tmp_path: Path) -> None:
    """No settings file is needed; the words say what was done, and what it comes to."""
    place.token()
    place.token()

    first, second = (copy(f"sqlite:///{place.folder / 'tokens.db'}", f"file:{tmp_path / 'x'}") for _ in range(2))

    assert first.stdout.startswith("Copied 2 tokens.\nVerified: 2 tokens, digest ")
    assert first.stderr == f"There was no store at {tmp_path / 'x'} yet: made a new one.\n"
    assert second.stdout.startswith("Copied 0 tokens. 2 tokens there already.\nVerified: 2 tokens, digest ")


def test_a_variable_holds_an_address(place: Place, tmp_path: Path) -> None:
    """So nobody reads it on the command line."""
    place.token()

    result = copy("env:FROM_HERE", f"file:{tmp_path / 'x'}", FROM_HERE=f"sqlite:///{place.folder / 'tokens.db'}")

    assert result.exit_code == 0


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://pat:{PASSWORD}@db.example.org/tokens",
        f"postgresql+psycopg://pat:{PASSWORD}@[::1]/tokens",
        f"mysql://db.example.org/tokens?user=pat&password={PASSWORD}",
        f"mysql://pat:{PASSWORD}@[db/tokens",
        f"mysql://db.example.org/tokens?ssl_key_password={PASSWORD}",
        f"postgresql://db.example.org/tokens?sslpassword={PASSWORD}",
        f"chain:sqlite:///x.db postgresql://pat:{PASSWORD}@db.example.org/tokens",
    ],
)
@pytest.mark.parametrize("side", ["FROM", "TO"])
def test_a_password_on_the_command_line_is_refused(tmp_path: Path, address: str, side: str) -> None:
    """It is not shown again; the message says where to put it, and nothing is made."""
    other = f"file:{tmp_path / 'x'}"

    result = copy(*((address, other) if side == "FROM" else (other, address)))

    assert result.exit_code == 2
    assert "write env:NAME" in result.stderr
    assert PASSWORD not in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://pat:{PASSWORD}@127.0.0.1:1/tokens",
        f"pat:{PASSWORD}@db",
        f"nonsense://pat:{PASSWORD}@db",
        f"sqlite://pat:{PASSWORD}@db/x",
        f"file://pat:{PASSWORD}@db/x",
        f"postgresql://pat:{PASSWORD}\n@[db",
    ],
)
def test_no_message_shows_a_password(tmp_path: Path, address: str) -> None:
    """Whatever is wrong with an address that came from the environment, and whichever side it is."""
    for words in (("env:SECRET_PLACE", f"file:{tmp_path / 'x'}"), (f"file:{tmp_path / 'x'}", "env:SECRET_PLACE")):
        open_store(f"file:{tmp_path / 'x'}")
        result = copy(*words, SECRET_PLACE=address)

        assert result.exit_code in (1, 2)
        assert result.stderr.strip()
        assert PASSWORD not in result.output
        assert "fault of the program" not in result.output


def test_problems_name_the_side(tmp_path: Path) -> None:
    """Both sides have a store."""
    open_store(f"file:{tmp_path / 'x'}")

    result = copy(f"file:{tmp_path / 'x'}", "env:NOT_SET_AT_ALL")

    assert result.exit_code == 2
    assert "TO: store.url: the environment variable NOT_SET_AT_ALL is not set" in result.stderr


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("file:{0}/missing", "file:{0}/x", "there is no store at {0}/missing"),
        ("sqlite:///{0}/missing", "file:{0}/x", "there is no store at {0}/missing"),
        ("file:{0}/there", "file:{0}/../{1}/there", "FROM and TO are the same store"),
        ("file:{0}/there", "memory:", "TO: a store in memory is empty before a command, and gone after it"),
    ],
)
def test_refusals(tmp_path: Path, source: str, target: str, message: str) -> None:
    """Nothing is made."""
    open_store(f"file:{tmp_path / 'there'}")

    result = copy(*(words.format(tmp_path, tmp_path.name) for words in (source, target)))

    assert (result.exit_code, result.stderr) == (1, f"patmiddleware: {message.format(tmp_path)}\n")
    assert [file.name for file in tmp_path.iterdir()] == ["there", "there.lock"]


def test_a_missing_pepper_is_told_in_a_sentence(place: Place, peppered: Path, tmp_path: Path) -> None:
    """It names the setting."""
    place.token()
    place.run("store", "copy", "-", str(peppered))

    result = copy(str(peppered), f"file:{tmp_path / 'x'}")

    assert result.exit_code == 1
    assert "give the target this pepper too, in 'peppers' of its settings file; nothing was written" in result.stderr


def many(path: Path, count: int) -> str:
    store = open_store(f"file:{path}")
    assert isinstance(store, Transactional)
    store.commit([Add(Token(f"{number:05}", "alice"), f"secret {number}") for number in range(count)])
    return f"file:{path}"


def test_an_interrupt_says_what_to_do(tmp_path: Path) -> None:
    """What came over stays, and the rest comes the next time."""
    source, target = many(tmp_path / "a", 16_000), tmp_path / "b"
    words = ["store", "copy", source, f"file:{target}", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "patmiddleware", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ(),
    )  # fmt: skip
    with process:
        until, whole = monotonic() + 60, (tmp_path / "a").stat().st_size
        # What is being written when the interrupt comes is taken back, so the first part must be past that.
        while not (target.exists() and target.stat().st_size > whole / 8) and monotonic() < until:
            sleep(0.005)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (130, "")
    assert "What came over stays: run the same again to go on.\n" in err
    again = json.loads(copy(source, f"file:{target}", "--json").stdout)
    assert again["copied"] + again["skipped"] == again["tokens"] == 16_000
    assert 0 < again["skipped"] < 16_000


SLOW_WORK = """
import time
from patmiddleware.cli import terminal

with terminal.progress("Copying", 4_000_000) as step:
    for _ in range(8):
        time.sleep(0.1)
        step(500_000)
    time.sleep(0.2)
"""


def test_a_bar_shows_on_a_terminal() -> None:
    """What is done, how far it is and how fast; where standard error is no terminal, there is none."""
    pty = pytest.importorskip("pty", reason="platform: there are no terminals of this kind")
    ours, theirs = pty.openpty()

    process = subprocess.Popen([sys.executable, "-c", SLOW_WORK], stderr=theirs, env=environ(TERM="xterm"))
    os.close(theirs)
    shown = b""
    with process, suppress(OSError):  # which is how the end shows
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    quiet = subprocess.run([sys.executable, "-c", SLOW_WORK], capture_output=True, env=environ(), timeout=60)

    assert process.returncode == 0
    assert re.search(rb"Copying.*4000000/4000000.* [0-9,]+,[0-9]{3}/s", shown)
    assert quiet.stderr == b""
