"""Follow what a README shows, as a newcomer would: its lines are run by a shell, in a copy of its folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.running import Service

EXAMPLES = Path(__file__).parent.parent / "examples"
_COMMAND = f"{sys.executable} -m patmiddleware"


@dataclass(frozen=True)
class Walk:
    """An example, copied.

    Args:
        home: the copy.
        others: places that its files name, to those that take their place here.
        environment: of each program.
    """

    home: Path
    others: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def through(
        cls, name: str, home: Path, others: Mapping[str, str], environment: Mapping[str, str] | None = None
    ) -> Walk:
        """Copy an example into a folder, with other places in its files."""
        shutil.copytree(EXAMPLES / name, home, dirs_exist_ok=True)
        walk = cls(home, others, environment or {})
        for path in home.rglob("*"):
            if path.is_file():
                path.write_text(walk.placed(path.read_text("utf-8")), "utf-8")
        return walk

    def placed(self, text: str) -> str:
        """Put in the places that are taken here."""
        for place, other in self.others.items():
            text = text.replace(place, other)
        return text

    def lines(self, beginning: str) -> list[str]:
        """Give the lines of the README's console blocks that begin so, in order."""
        readme = (self.home / "README.md").read_text("utf-8")
        blocks = re.findall(r"```console\n(.*?)```", readme, re.DOTALL)
        shown = re.sub(r"\\\n\s*", "", "".join(blocks)).splitlines()
        return [line for line in shown if line.startswith(beginning)]

    def line(self, beginning: str) -> str:
        """Give the one line that begins so."""
        [found] = self.lines(beginning)
        return found

    def run(self, line: str) -> str:
        """Run a line, which must do what it says, and give what it prints."""
        done = subprocess.run(
            ["bash", "-c", self._ours(line)], cwd=self.home, env=self._environment(),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    def serve(self, line: str, is_ready: Callable[[], bool]) -> Service:
        """Give the server that a line starts."""
        command = ["bash", "-c", f"cd {self.home} && exec env {self._ours(line)}"]
        name = re.sub(r"\W+", "-", line)[:40]
        return Service(command, self.home / f"{name}.log", is_ready, environment=self._environment())

    def _ours(self, line: str) -> str:
        """Have the package as it is here, and not as it was once installed."""
        return re.sub(r"^(\w+=\S+ )*patmiddleware(?= )", lambda found: f"{found[1] or ''}{_COMMAND}", line)

    def _environment(self) -> dict[str, str]:
        paths = [str(EXAMPLES.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        folder = str(Path(sys.executable).parent)
        found = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **self.environment}
        return {**found, "PATH": os.pathsep.join((folder, os.environ.get("PATH", os.defpath)))}


def code_lines(folder: Path, pattern: str = "*.py") -> int:
    """Count the lines of code of an example, without docstrings, comments and blank ones."""
    lines = [line.strip() for path in folder.glob(pattern) for line in path.read_text("utf-8").splitlines()]
    return len([line for line in lines if line and not line.startswith(('"""', "#"))])
