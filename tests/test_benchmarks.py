"""The benchmarks run, and none of their cases is timed before it has proved that it answers rightly.

How fast anything is, is no business of a test.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def run(*arguments: str, module: str = "benchmarks") -> subprocess.CompletedProcess[str]:
    """Run a program of the benchmarks in a process of its own: what the other libraries import there warns of much."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """What one round gives."""
    done = run("--json", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return found


@pytest.fixture(scope="module")
def look_ups() -> list[dict[str, Any]]:
    """What a few rounds over few tokens give."""
    pytest.importorskip("sqlalchemy")
    small = ("--quick", "--rounds", "2", "--tokens", "200,50")
    done = run("--json", *small, "--only", "memory,file,sqlite", module="benchmarks.stores")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return found


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that measures."""
    monkeypatch.syspath_prepend(ROOT)
    return import_module("benchmarks.measure")


@pytest.fixture
def request_path(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module with the cases."""
    monkeypatch.syspath_prepend(ROOT)
    return import_module("benchmarks.request_path")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that writes tables."""
    monkeypatch.syspath_prepend(ROOT)
    return import_module("benchmarks.table")


def test_each_case_is_measured_or_says_why_not(rows: list[dict[str, Any]]) -> None:
    """A row has a figure and a ratio, or the reason for having none."""
    unexplained = [
        row["name"] for row in rows if (row["figure"] is None or row["ratio"] is None) and not row["skipped"]
    ]

    assert unexplained == []


def test_ours_is_measured_without_another_package(rows: list[dict[str, Any]]) -> None:
    """Only what somebody else wrote, or serves, can be skipped."""
    skipped = [row["name"] for row in rows if row["skipped"] and row["to"] in ("limit", row["name"])]

    assert [name for name in skipped if name.startswith(("ours: ", "limit"))] == []


def test_all_of_ours_has_something_to_reach(rows: list[dict[str, Any]]) -> None:
    """A gate and a goal stand beside every figure of ours, but for one that others are compared with."""
    compared = {row["to"] for row in rows}
    without = [
        row["name"]
        for row in rows
        if row["name"].startswith("ours") and row["name"] not in compared and None in (row["gate"], row["goal"])
    ]

    assert without == []


def test_the_gate_in_pyramid_is_measured() -> None:
    """Beside a policy that is written by hand."""
    pytest.importorskip("pyramid", exc_type=ImportError)

    done = run("--json", "--rounds", "1", module="benchmarks.in_pyramid")

    assert done.returncode == 0, done.stderr
    assert [row["name"] for row in json.loads(done.stdout)["rows"] if row["figure"] is None] == []
    assert json.loads(done.stdout)["rows"][-1]["name"] == "policy by hand"


def test_table_is_markdown(table: ModuleType) -> None:
    """Figures, ratios and bounds stand in columns; what was skipped says why."""
    rows = [
        table.Row(name="a", figure=1.25, ratio=2.0, gate=4, goal=2.5),
        table.Row(name="b", gate=0.75, goal=0.85, at_least=True, figure=12_345, unit="/s", ratio=0.8, to="a"),
        table.Row(name="c", gate=4, goal=2, skipped="needs the package c"),
    ]

    assert table.text(rows).splitlines() == [
        "| case |    figure | ratio | to    |   gate |   goal | met                          |",
        "| ---- | --------- | ----- | ----- | ------ | ------ | ---------------------------- |",
        "| a    |   1.25 µs |  2.00 | limit |    ≤ 4 |  ≤ 2.5 | goal                         |",
        "| b    | 12,345 /s |  0.80 | a     | ≥ 0.75 | ≥ 0.85 | gate                         |",
        "| c    |         – |     – | limit |    ≤ 4 |    ≤ 2 | skipped: needs the package c |",
    ]


@pytest.mark.parametrize(
    ("ratio", "at_least", "expected"),
    [
        (2.5, False, "goal"),
        (2.6, False, "gate"),
        (4.1, False, "no"),
        (4.0, True, "goal"),
        (2.6, True, "gate"),
        (2.4, True, "no"),
        (None, False, None),
    ],
)
def test_what_is_met(table: ModuleType, ratio: float | None, at_least: bool, expected: str | None) -> None:
    """A ratio meets the goal, the gate alone, or neither."""
    gate, goal = (2.5, 4.0) if at_least else (4.0, 2.5)
    row = table.Row(name="a", ratio=ratio, gate=gate, goal=goal, at_least=at_least)

    assert row.met == expected


@pytest.mark.parametrize(("ratio", "expected"), [(1.1, "gate"), (1.2, "no"), (None, None)])
def test_gate_without_a_goal(table: ModuleType, ratio: float | None, expected: str | None) -> None:
    """Where there is only a gate, no more than that is met."""
    assert table.Row(name="a", ratio=ratio, gate=1.15).met == expected


def test_wrong_answer_is_found_before_timing(measure: ModuleType) -> None:
    """A gate that lets everybody in is fast, and is not timed."""
    material = import_module("benchmarks.material")
    no_credential = material.environ(HTTP_AUTHORIZATION=None)

    with pytest.raises(measure.WrongAnswerError, match="open: the answer was 200 and should have been 401"):
        measure.prove("open", material.application, [(no_credential, 401)])


def test_environ_is_realistic(measure: ModuleType) -> None:
    """The request has 26 keys."""
    material = import_module("benchmarks.material")

    assert len(material.environ()) == 26


def test_missing_package_skips_its_case_alone(request_path: ModuleType, table: ModuleType) -> None:
    """The others are measured all the same."""

    def lacking() -> None:
        raise ModuleNotFoundError("No module named 'x'", name="x")

    case = object()
    planned = [(table.Row(name="a"), lambda: case), (table.Row(name="b"), lacking), (table.Row(name="b", to="a"), None)]

    assert request_path._build(planned) == ({"a": case}, {"b": "needs the package x"})


def test_every_round_gives_a_figure(measure: ModuleType) -> None:
    """A case has one for each round, whatever it is."""

    def work(count: int) -> None:
        for _ in range(count):
            sum(range(1_000))

    added = measure.measure({"none": measure.Case(work, work)}, rounds=5, slice_seconds=0.002)

    assert [len(added["none"]), *added] == [5, "none"]


def test_ratio_is_the_median_of_the_rounds(measure: ModuleType) -> None:
    """Each round is compared with itself; one that was disturbed changes nothing."""
    assert measure.ratio([2.0, 90.0, 6.0], [1.0, 3.0, 3.0]) == 2.0


def test_each_look_up_is_measured(look_ups: list[dict[str, Any]]) -> None:
    """Stores that need no server have a figure in every row, which memory has on Linux alone."""
    lacking = [row["name"] for row in look_ups if row["figure"] is None]

    assert [name for name in lacking if "memory for each" not in name or sys.platform == "linux"] == []


def test_look_ups_of_ours_have_a_gate(look_ups: list[dict[str, Any]]) -> None:
    """A look-up is compared with the same library bare, and among many tokens with one among few."""
    compared = {(row["name"], row["to"]) for row in look_ups if row["gate"] is not None}
    few, many = ("SQLite, 50 tokens: ours", "SQLite, 200 tokens: ours")

    assert {(many, few), (many, "SQLite, 200 tokens: SQLAlchemy Core, bare")} <= compared


def test_store_that_finds_another_token_is_not_timed(measure: ModuleType) -> None:
    """A look-up shows that it finds each token with all that it has."""
    many = import_module("benchmarks.many")

    with pytest.raises(measure.WrongAnswerError, match=r"odd: the token \d+ was not found as it was kept"):
        many.look_ups("odd", lambda number: many.token(number + 1), int, many.as_kept, 10)


def test_store_that_finds_what_is_not_there_is_not_timed(measure: ModuleType) -> None:
    """A look-up shows that it does not find an unknown token."""
    many = import_module("benchmarks.many")

    with pytest.raises(measure.WrongAnswerError, match="open: it finds a token that is not there"):
        many.look_ups("open", many.token, int, many.as_kept, 10)


def test_missing_server_is_said(measure: ModuleType) -> None:
    """A program that can't be started is a reason to skip, as it is for the tests."""
    servers = import_module("benchmarks.servers")

    with pytest.raises(servers.MissingError, match="needs the program no-such"), servers.services("running") as running:
        running.program("no-such")


@pytest.mark.parametrize("arguments", [("--only", "oracle"), ("--tokens", "0"), ("--tokens", "1,few")])
def test_bad_choice_of_look_ups_is_refused(arguments: tuple[str, str]) -> None:
    """The message says what is wrong; nothing is measured."""
    done = run(*arguments, module="benchmarks.stores")

    assert done.returncode == 2
    assert arguments[0] in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("rounds", ["0", "-1", "many"])
def test_bad_rounds_are_refused(rounds: str) -> None:
    """The message says what is wrong; nothing is measured."""
    done = run("--rounds", rounds, module="benchmarks.request_path")

    assert done.returncode == 2
    assert "--rounds" in done.stderr
    assert "Traceback" not in done.stderr
