"""A folder with settings, and commands run in it: in this process, or as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("click", reason="needs the extra cli")
pytest.importorskip("rich", reason="needs the extra cli")
pytest.importorskip("sqlalchemy", reason="needs the extra sql")

from cli.running import environ
from click.testing import CliRunner, Result

from patmiddleware.cli.root import commands

SETTINGS = """\
[store]
url = "sqlite:///tokens.db"
[directory]
url = "static:owners.toml"
[policy]
file = "policy.toml"
[issuer]
maximum_lifetime = "365d"
[audit]
to = "file:audit.jsonl"
[app]
import = "wsgiref.simple_server:demo_app"
[server]
listen = "127.0.0.1:0"
"""
POLICY = """\
[scopes.read]
[scopes.write]
includes = ["read"]
[[rule]]
id = "read"
methods = ["GET"]
path = "/issue/{project:key}-{n:int}"
scopes = ["read"]
[[rule]]
id = "write"
methods = ["POST"]
path = "/issue/**"
scopes = ["write"]
[[rule]]
id = "status"
path = "/status"
public = true
"""
OWNERS = """\
[owners.alice]
groups = ["developers"]
[owners.bob]
active = false
"""


@dataclass(frozen=True)
class Place:
    """A folder with settings.

    Args:
        folder: where they are.
    """

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "patmiddleware.toml"

    def run(self, *words: str, stdin: str | bytes | None = None) -> Result:
        """Run a command in this process."""
        return CliRunner().invoke(commands, [*words, "--config", str(self.config)], input=stdin)

    def json(self, *words: str, stdin: str | None = None) -> Any:
        """Run a command that must succeed, and give its JSON document."""
        result = self.run(*words, "--json", stdin=stdin)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def token(self, **options: str) -> Any:
        """Make a token and give its document, with the secret."""
        chosen = {"owner": "alice", "name": "ci", "scopes": "read", **options}
        words = [word for name, value in chosen.items() for word in (f"--{name}", value)]
        return self.json("token", "create", *words)

    def process(self, *words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a user does, in the folder."""
        return subprocess.run(
            [sys.executable, "-m", "patmiddleware", *words],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=environ(**more),
            timeout=60,
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a folder with settings; its name has a blank in it."""
    folder = tmp_path / "a place"
    folder.mkdir()
    for name, text in (("patmiddleware", SETTINGS), ("policy", POLICY), ("owners", OWNERS)):
        (folder / f"{name}.toml").write_text(text)
    return Place(folder)
