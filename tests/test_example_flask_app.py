"""``examples/flask_app`` works as its README says."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.running import ROOT, as_curl, environ
from services.running import free_port

pytest.importorskip("flask")
pytest.importorskip("rich", reason="needs the extra cli")
pytest.importorskip("sqlalchemy", reason="needs the extra sql")

EXAMPLE = ROOT / "examples" / "flask_app"
FLASK = [sys.executable, "-m", "flask"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the folder, as a newcomer has it."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "flask_app", ignore=shutil.ignore_patterns("*.db*", "__pycache__")))


def flask(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FLASK, *words], cwd=folder, env=environ(), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    """Where ``flask run`` serves the copy; it ends with the test."""
    port = free_port()
    with subprocess.Popen(
        [*FLASK, "run", "--port", str(port)],
        cwd=folder,
        env=environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            while running.poll() is None and not _listens(port):
                time.sleep(0.05)
            yield port
        finally:
            running.kill()


def _listens(port: int) -> bool:
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


def test_the_lines_of_the_readme_do_what_they_show(folder: Path, port: int) -> None:
    """From the first token to the first refusal, in order."""
    [console] = re.findall(r"```console\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    create, *curls = re.findall(r"^\$ (?:TOKEN=\$\((.*)\)|(curl .*))\n((?:[^$].*\n)*)", console, re.MULTILINE)
    made = flask(folder, *create[0].split()[1:])
    assert made.returncode == 0, made.stderr

    assert len(curls) == 3
    for _, line, shown in curls:
        command = line.replace("$TOKEN", made.stdout.strip()).replace(":5000", f":{port}")
        assert as_curl(command).body == shown


def test_another_scope_adds_a_note(folder: Path, port: int) -> None:
    """It is kept with the name of its owner, and is there for who may read; a revoked token is not let in."""
    secrets = [
        flask(folder, "token", "create", "--owner", "bob", "--name", scope, "--scopes", scope).stdout.strip()
        for scope in ("write", "read")
    ]
    writing, reading = (f"-H 'Authorization: Bearer {secret}' http://127.0.0.1:{port}/notes" for secret in secrets)

    added = as_curl(f"curl -d Milk {writing}")
    read = as_curl(f"curl {reading}")
    revoked = flask(folder, "token", "revoke", "--owner", "bob", "--yes")
    time.sleep(1)

    assert (added.status, added.json()) == (201, {"by": "bob", "text": "Milk"})
    assert read.json() == [added.json()]
    assert "Revoked 2 tokens" in revoked.stdout
    assert as_curl(f"curl {reading}").status == 401


def test_a_mistyped_scope_keeps_it_from_starting(folder: Path) -> None:
    """With the view, and what was meant."""
    app = folder / "app.py"
    app.write_text(app.read_text("utf-8").replace('@require_scope("write")', '@require_scope("wirte")'))

    done = flask(folder, "routes")

    assert done.returncode != 0
    assert "view 'add_note': the policy knows no scope 'wirte': did you mean 'write'?" in done.stderr


def test_the_example_is_short() -> None:
    """No more than sixty lines of code, without docstrings' and blank ones."""
    lines = (EXAMPLE / "app.py").read_text("utf-8").splitlines() + (EXAMPLE / "policy.toml").read_text().splitlines()

    assert len([line for line in lines if line.strip() and not line.lstrip().startswith(('"""', "#"))]) <= 60
