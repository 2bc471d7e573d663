"""Run a page of the documentation as a reader would: ``python tests/pagerun.py docs/tutorial.md``.

In an empty folder, block by block: files are written, Python runs in one namespace, and so do the commands behind a
prompt, in one shell, with their output compared. ``8080`` stands for a port that is free. Exits with 77, and the
reason, where a package or a program is missing.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from contextlib import redirect_stdout
from pathlib import Path

from pages import Block, alike, blocks
from services.running import free_port

MISSING = 77
_END = "\x1e"
_PROGRAMS = ("curl", "flask", "gunicorn", "patmiddleware", "pserve", "waitress-serve")
_WORD = re.compile(r"^(?:[A-Z_]+=)?(?:\$\()?([\w.-]+)")


class Shell:
    """One shell, for all commands of a page."""

    def __init__(self, port: int) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environ = os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "200"}
        self._port = port
        self._bash: subprocess.Popen[str] | None = None

    def run(self, command: str) -> tuple[int, str]:
        """Run a command; one that ends in ``&`` is waited for until it listens. Give its exit code, and its output."""
        bash = self._started()
        assert bash.stdin is not None
        assert bash.stdout is not None
        aside = command.endswith("&")
        line = f"{command.removesuffix('&')} </dev/null >/dev/null 2>&1 &" if aside else f"{{ {command}\n}} </dev/null"
        bash.stdin.write(f"{line}\nprintf '{_END}%d\\n' $?\n")
        bash.stdin.flush()
        seen = ""
        while _END not in seen:
            read = bash.stdout.readline()
            if not read:
                raise SystemExit(f"the shell ended in {command}")
            seen += read
        if aside:
            _until_listening(self._port)
        output, _, code = seen.partition(_END)
        return int(code), output

    def close(self) -> None:
        """End it, and what it started."""
        if self._bash is not None:
            os.killpg(self._bash.pid, signal.SIGKILL)
            self._bash.communicate()

    def _started(self) -> subprocess.Popen[str]:
        if self._bash is None:
            self._bash = subprocess.Popen(
                ["bash", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, env=self._environ, start_new_session=True,
            )  # fmt: skip
        return self._bash


def _until_listening(port: int) -> None:
    for _ in range(300):
        with socket.socket() as trying:
            if not trying.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens at port {port} after 30 s")


class Page:
    """What the blocks of one page share: a namespace, a shell, a port, and what was printed last."""

    def __init__(self) -> None:
        module = types.ModuleType("page")
        sys.modules["page"] = module
        self._names = module.__dict__
        self._printed = ""
        self._port = free_port()
        self._shell = Shell(self._port)

    def play(self, found: list[Block]) -> None:
        """Run the blocks, in order."""
        try:
            for block in found:
                if block.excuse is None:
                    self._one(block, block.text.replace("8080", str(self._port)))
        finally:
            self._shell.close()

    def _one(self, block: Block, text: str) -> None:
        if block.name is not None:
            file = Path(block.name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        elif block.language == "python":
            self._python(block, text)
        elif block.language == "console":
            for command, shown in block.commands():
                self._console(block, *(part.replace("8080", str(self._port)) for part in (command, shown)))
        elif block.is_printed and not alike(text, self._printed):
            raise SystemExit(f"{block.id}: it prints\n{self._printed}")

    def _python(self, block: Block, text: str) -> None:
        # Empty lines in front, so that a traceback tells the line of the page.
        code = compile("\n" * (block.line - 1) + text, str(block.page), "exec")
        with redirect_stdout(io.StringIO()) as printed:
            exec(code, self._names)
        self._printed = printed.getvalue()

    def _console(self, block: Block, command: str, shown: str) -> None:
        if (word := _WORD.match(command)) and (lacking := _lacking(word[1])):
            print(f"needs {lacking}")
            raise SystemExit(MISSING)
        code, output = self._shell.run(command)
        if shown.strip() and not alike(shown, output):
            raise SystemExit(f"{block.id}: {command}\nshows (and exits with {code})\n{output}")
        if code and not shown.strip():
            raise SystemExit(f"{block.id}: {command}\nexits with {code}\n{output}")


def _lacking(program: str) -> str:
    """Give what a program lacks; nothing where it is there, or is the shell's own."""
    if program == "patmiddleware" and not importlib.util.find_spec("click"):
        return "the extra cli"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return program if program in _PROGRAMS and not shutil.which(program, path=path) else ""


def main(page: Path) -> None:
    """Run one page, in an empty folder."""
    found = blocks(page)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path[:0] = [folder]
        try:
            Page().play(found)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("patmiddleware"):
                raise
            print(error)
            raise SystemExit(MISSING) from error
        finally:
            os.chdir("/")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
