"""The documentation is built without a warning, and its reference says what the code says."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pages import DOCS, ROOT

import patmiddleware
from patmiddleware.config.tables import TABLES
from patmiddleware.model import Reason

REGIONS = re.compile(r"<!-- generated: (\w+) -->")


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text("utf-8")


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """What writes the reference."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_documentation_is_built_without_a_warning(tmp_path: Path) -> None:
    """Every page, with every link between them, and nothing is fetched."""
    for name in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(name, reason=f"needs {name}, of the extra dev")
    # Sphinx's own warnings count; those of Python, such as that a part of Sphinx is old, are not about the pages.
    command = [
        "-W",
        "ignore",
        "-m",
        "sphinx",
        "-nW",
        "--keep-going",
        "-q",
        "-d",
        tmp_path / "trees",
        ROOT / "docs",
        tmp_path / "html",
    ]

    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=280)

    assert (done.returncode, done.stderr) == (0, "")
    # Sphinx takes a block that names no language for Python, and colours the words of drawings.
    assert not [page for page in (tmp_path / "html").glob("*.html") if "highlight-default" in page.read_text("utf-8")]
    assert {file.stem for file in (tmp_path / "html").glob("*.html")} >= {file.stem for file in DOCS}
    assert not re.search(r'<script[^>]*src="https?:', (tmp_path / "html" / "architecture.html").read_text("utf-8"))


@pytest.mark.parametrize("file", DOCS, ids=lambda file: file.stem)
def test_what_is_generated_is_up_to_date(file: Path, reference: ModuleType) -> None:
    """Run ``python docs/reference.py`` where this fails."""
    text = file.read_text("utf-8")
    if "commands" in REGIONS.findall(text):
        pytest.importorskip("click", reason="needs the extra cli")

    assert reference.filled(text) == text


def test_everything_that_can_be_generated_is_on_a_page(reference: ModuleType) -> None:
    """No part of the reference is written for nothing."""
    assert {name for file in DOCS for name in REGIONS.findall(file.read_text("utf-8"))} == set(reference.REGIONS)


def names(reader: Any, table: str) -> list[str]:
    """Give every setting of a table, as it says itself where it is given another."""
    from patmiddleware.config.values import Place
    from patmiddleware.errors import ConfigurationError

    with pytest.raises(ConfigurationError) as caught:
        reader({"no such setting": 1}, Place(table, Path(), {}, []))
    [hint] = [problem.hint for problem in caught.value.problems if "no such setting" in problem.setting]
    return hint.removeprefix("there are: ").split(", ")


def test_every_setting_is_in_the_reference() -> None:
    """Whatever the settings file takes."""
    text = page("configuration")
    sections = dict(re.findall(r"^### `\[([\w.]+)\]`\n(.*?)(?=^### |<!-- end)", text, re.DOTALL | re.MULTILINE))

    there = {(top, name) for top, reader in TABLES.items() for name in names(reader, top)}
    told = {(top, name) for top, section in sections.items() for name in re.findall(r"^\| `(\w+)` \|", section, re.M)}
    told |= {(top, name) for top, _, name in (section.partition(".") for section in sections) if name}
    assert there - told == {("app", "upstreams")}  # which are told of in a sentence


def test_every_reason_is_in_the_reference() -> None:
    """With its status."""
    assert re.findall(r"^\| `(\w+)` \| \d{3} \|", page("http"), re.MULTILINE) == [str(reason) for reason in Reason]


def test_every_command_is_in_the_reference() -> None:
    """Each with its own heading."""
    click = pytest.importorskip("click", reason="needs the extra cli")
    from patmiddleware.cli.root import commands

    def paths(name: str, command: Any) -> Iterator[str]:
        if not isinstance(command, click.Group):
            yield name
            return
        for word, below in command.commands.items():
            yield from paths(f"{name} {word}", below)

    text = page("commands")
    assert [path for path in paths("patmiddleware", commands) if not re.search(rf"^### `{path}\b", text, re.M)] == []


def test_every_name_of_the_front_door_is_documented() -> None:
    """What ``__all__`` promises is on the page of the API, once."""
    found = re.findall(r"^\.\. auto\w+:: (\w+)$", page("api"), re.MULTILINE)

    assert sorted(found) == sorted(patmiddleware.__all__)
