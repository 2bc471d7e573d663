"""Each folder of examples works as its README says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def custom_backend(tmp_path: Path) -> Path:
    """A copy of the folder, as a newcomer has it."""
    return Path(shutil.copytree(EXAMPLES / "custom_backend", tmp_path / "custom_backend"))


@pytest.fixture
def said(custom_backend: Path) -> Iterator[str]:
    """What the application says when it has started; it ends with the test."""
    command = [sys.executable, "app.py", "0"]
    with subprocess.Popen(
        command, cwd=custom_backend, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as app:
        assert app.stdout is not None
        try:
            yield app.stdout.readline()
        finally:
            app.kill()


def ask(url: str, authorization: str | None = None) -> tuple[int, str]:
    headers = {} if authorization is None else {"Authorization": authorization}
    try:
        with urlopen(Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def test_the_tests_of_the_custom_backend_pass(custom_backend: Path) -> None:
    """Run as its README says: the whole contract, and nothing is skipped."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(custom_backend)]

    done = subprocess.run(command, cwd=custom_backend, capture_output=True, text=True, timeout=280, check=False)

    assert done.returncode == 0, done.stdout
    assert re.search(r"^(\d\d) passed in", done.stdout, re.MULTILINE), done.stdout


def test_the_application_knows_the_tokens_of_its_database(said: str) -> None:
    """The printed line is answered; another token, or none, is refused."""
    found = re.fullmatch(r"curl -H 'Authorization: (Bearer \S+)' (http://127\.0\.0\.1:\d+/)\n", said)
    assert found is not None
    authorization, url = found.groups()

    assert ask(url, authorization) == (200, "Hello alice\n")
    assert ask(url)[0] == 401
    assert ask(url, authorization + "x")[0] == 401


def test_the_example_is_short(custom_backend: Path) -> None:
    """No more than sixty lines of code beside the tests, without docstrings' and blank ones."""
    lines = [
        line for name in ("backend.py", "app.py") for line in (custom_backend / name).read_text("utf-8").splitlines()
    ]

    assert len([line for line in lines if line.strip() and not line.lstrip().startswith(('"""', "#"))]) <= 60
