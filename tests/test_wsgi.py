"""The configured application, as servers import it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = '[store]\nurl = "memory:"\n[app]\nimport = "wsgiref.simple_server:demo_app"\n'
BAD = "[store]\nurl = 3\n[server]\nthreads = 0\n"


def run(code: str, config: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PATMIDDLEWARE_CONFIG": config}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, timeout=60)


def test_the_application_stands_in_the_module(tmp_path: Path) -> None:
    """uWSGI and mod_wsgi look into the module's dictionary: the application is there once it is imported."""
    (tmp_path / "patmiddleware.toml").write_text(GOOD)

    done = run(
        "import patmiddleware.wsgi as m; print(type(vars(m)['application']).__name__)", f"{tmp_path}/patmiddleware.toml"
    )

    assert (done.stdout, done.stderr) == ("PATMiddleware\n", "")


def test_a_wrong_configuration_is_told_without_a_traceback(tmp_path: Path) -> None:
    """All problems, one a line, and the exit code that keeps gunicorn from starting workers forever."""
    path = tmp_path / "patmiddleware.toml"
    path.write_text(BAD)

    done = run("import patmiddleware.wsgi", str(path))

    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"patmiddleware can't start, {path} has to be mended:",
        "  PAT-E104 store.url: must be text, not 3",
        "  PAT-E105 server.threads: must be from 1 to 1024, not 0",
        '  PAT-E107 app.import: is missing: there is nothing to serve (write [app] import = "module:name",'
        ' or upstream = "https://jira.example.org" to forward to it)',
    ]


def test_gunicorn_gives_up_on_a_wrong_configuration(tmp_path: Path) -> None:
    """A worker that can't start ends the master as well, rather than be started again forever."""
    pytest.importorskip("gunicorn", reason="needs gunicorn")
    (tmp_path / "patmiddleware.toml").write_text(BAD)
    environ = {**os.environ, "PATMIDDLEWARE_CONFIG": str(tmp_path / "patmiddleware.toml")}
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "patmiddleware.wsgi",
        "--bind",
        f"unix:{tmp_path}/s",
    ]

    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60)

    assert done.returncode != 0
    assert done.stderr.count("has to be mended") == 1
    assert "Traceback" not in done.stderr
