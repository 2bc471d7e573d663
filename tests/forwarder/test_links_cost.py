"""What rewriting links costs can be measured. How much that is, is no business of a test."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from socket import socketpair

import pytest

pytest.importorskip("urllib3", reason="needs the extra forward")

ROOT = Path(__file__).parents[2]


def test_each_way_answers_rightly_and_is_measured() -> None:
    """One round gives a figure and a ratio for each case, after each has proved that it answers rightly."""
    command = [sys.executable, "-m", "benchmarks.links", "--json", "--rounds", "1"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)

    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    ours = [row for row in rows if "ours" in row["name"] and "passed on" not in row["to"]]
    assert [row["name"] for row in rows if not row["figure"] or not row["ratio"]] == []
    assert [row["name"] for row in ours if None in (row["gate"], row["goal"])] == []


def test_wrong_answer_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A way that leaves links as they were is fast, and refused."""
    monkeypatch.syspath_prepend(ROOT)
    links, measure = import_module("benchmarks.links"), import_module("benchmarks.measure")
    monkeypatch.setitem(links.WAYS, "lazy", links.Way(iter))
    sender, receiver = sockets = socketpair()

    with sender, receiver, pytest.raises(measure.WrongAnswerError, match="issue: lazy: the links in it are not"):
        links._passing("issue", "lazy", links.answers.issue(), sockets)
