"""``examples/pyramid_app`` works as its README says: with pserve, curl, and tokens made by the command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from services.running import Service, free_port, listens, program

pytest.importorskip("pyramid", exc_type=ImportError)
pytest.importorskip("plaster_pastedeploy")
pytest.importorskip("waitress", reason="needs the extra server")
pytest.importorskip("sqlalchemy", reason="needs the extra sql")
pytest.importorskip("click", reason="needs the extra cli")

EXAMPLE = Path(__file__).parent.parent / "examples" / "pyramid_app"
LINES = re.findall(r"^\$ (.+)\n((?:[^$`].*\n)*)", (EXAMPLE / "README.md").read_text("utf-8"), re.MULTILINE)
"""What the README says to type, and what it says that is printed."""


@dataclass(frozen=True)
class Running:
    """The example, served from a copy of its folder."""

    folder: Path
    port: int

    def run(self, line: str, secret: str = "") -> str:
        """Type a line of the README."""
        scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        line = line.replace(":8080", f":{self.port}").replace("pat_…", secret).replace("curl", "curl -sS")
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=os.environ | {"PATH": scripts},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def secret(self, owner: str, scopes: str) -> str:
        """Make a token with the line of the README, for somebody else, or with other scopes."""
        [line] = [line for line, _ in LINES if line.startswith("patmiddleware token create")]
        line = line.replace("alice", owner).replace("write", scopes).replace("patmiddleware", "python -m patmiddleware")
        found = re.search(r"pat_\w{38}", self.run(line))
        assert found is not None
        return found[0]

    def status(self, method: str, secret: str | None) -> str:
        """Give the status of a request to the notes."""
        header = f"-H 'Authorization: Bearer {secret}'" if secret else ""
        return self.run(f"curl -o answer -w '%{{http_code}}' -X {method} {header} http://127.0.0.1:8080/notes")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A copy of the folder, served as the README says; it ends with the test."""
    program("curl")
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "pyramid_app"))
    port, ini = free_port(), folder / "app.ini"
    ini.write_text(ini.read_text("utf-8").replace(":8080", f":{port}"), "utf-8")
    paths = os.pathsep.join((str(folder), *filter(None, [os.environ.get("PYTHONPATH")])))
    service = Service(
        [sys.executable, "-W", "ignore", "-m", "pyramid.scripts.pserve", str(ini)],
        tmp_path / "log",
        lambda: listens(port),
        environment={"PYTHONPATH": paths},
    )
    service.start()
    try:
        yield Running(folder, port)
    finally:
        service.stop()


def test_it_answers_what_the_readme_says(running: Running) -> None:
    """Each line in order, with the token of the line before."""
    secret = running.secret("alice", "write")
    shown = [(line, answer) for line, answer in LINES if line.startswith("curl")]

    assert [running.run(line, secret).rstrip("\n") for line, _ in shown] == [answer.rstrip("\n") for _, answer in shown]
    assert len(shown) == 4


def test_it_refuses_whom_the_readme_says(running: Running) -> None:
    """Without a token, with too few scopes, and who is not an editor."""
    reader, bob = running.secret("alice", "read"), running.secret("bob", "write")

    assert [running.status(method, None) for method in ("GET", "POST", "DELETE")] == ["401", "401", "401"]
    assert [running.status(method, reader) for method in ("GET", "POST", "DELETE")] == ["200", "403", "403"]
    assert [running.status(method, bob) for method in ("GET", "POST", "DELETE")] == ["200", "200", "403"]


def test_it_is_short() -> None:
    """No more than sixty lines of code."""
    lines = (EXAMPLE / "app.py").read_text("utf-8").splitlines()

    assert len([line for line in lines if line.strip() and not line.lstrip().startswith(('"""', "#"))]) <= 60
