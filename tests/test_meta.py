"""Lists that are kept by hand agree with the code."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import patmiddleware
from patmiddleware import reject, testing
from patmiddleware.backends import DIRECTORIES, STORES
from patmiddleware.model import Reason

ROOT = Path(__file__).parent.parent


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def settings(name: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.read_string(read(name))
    return parser


EXTRAS = settings("setup.cfg")["options.extras_require"]


def requirements(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def members(extra: str) -> set[str]:
    """The extras that an extra builds on."""
    match = re.search(r"patmiddleware\[(.+)\]", EXTRAS[extra])
    return set(match[1].split(",")) if match else set()


def declared() -> list[str]:
    """Every requirement on somebody else."""
    texts = (settings("setup.cfg")["options"]["install_requires"], *EXTRAS.values())
    return [line for text in texts for line in requirements(text) if not line.startswith("patmiddleware[")]


@pytest.mark.parametrize("requirement", declared())
def test_every_dependency_has_a_lower_bound(requirement: str) -> None:
    """What has no lower bound can't be tried with it."""
    assert re.fullmatch(r"[a-z0-9.-]+(\[[a-z,]+\])?>=[0-9.]+(,<[0-9]+)?", requirement)


def test_all_names_every_extra() -> None:
    """``all`` is every extra that gives something at run time."""
    assert members("all") == set(EXTRAS) - {"all", "demo", "dev"}


def test_development_needs_no_compiler() -> None:
    """``dev`` has wheels for everything."""
    assert "python-ldap" not in EXTRAS["dev"]
    assert "ldap" not in members("dev") | members("demo")


def test_readme_says_how_to_run_the_tests() -> None:
    """CI runs the README's own command: it is one whole line, and makes the environment that CI goes on with."""
    lines = [line for line in read("README.md").splitlines() if ".venv/bin/pytest" in line]

    assert lines == ["python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest"]


def test_ci_runs_every_environment() -> None:
    """No environment of tox stands there that CI doesn't run.

    Python 3.11 has the README's own command, and 3.12 the lowest versions.
    """
    listed = set(settings("tox.ini")["tox"]["env_list"].split(", "))
    run = re.search(r"tox run .*-e (\S+)", read(".ci/run"))

    assert run is not None
    assert set(run[1].split(",")) | {"py311", "py312"} == listed
    assert settings("tox.ini")["testenv:lowest"]["base_python"] == "py312"


def test_every_reason_has_a_row_in_reject() -> None:
    """No refusal is without its status."""
    source = Path(reject.__file__).read_text(encoding="utf-8")
    assert [reason for reason in Reason if f"Reason.{reason.name}" not in source] == []


def test_every_name_of_the_front_door_is_there() -> None:
    """What ``__all__`` promises is there, and stands there once."""
    assert len(set(patmiddleware.__all__)) == len(patmiddleware.__all__)
    assert [name for name in patmiddleware.__all__ if not hasattr(patmiddleware, name)] == []


@pytest.mark.parametrize("package", [patmiddleware, testing], ids=lambda package: package.__name__)
def test_a_name_that_is_loaded_late_is_the_one_that_a_checker_sees(package: ModuleType) -> None:
    """What ``__getattr__`` finds is what the imports say that only a type checker runs; and those are all of them."""
    tree = ast.parse(Path(str(package.__file__)).read_text("utf-8"))
    seen = {
        alias.name: getattr(import_module(f".{node.module}", package.__name__), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }

    assert sorted(seen) == sorted(package.__all__)
    assert {name: getattr(package, name) for name in seen} == seen
    assert not hasattr(package, "no_such_name")


@pytest.mark.parametrize("scheme", sorted({*STORES, *DIRECTORIES}))
def test_every_scheme_is_documented(scheme: str) -> None:
    """Whoever reads of stores and directories reads of all of them; an extra that one needs is there."""
    page = read("docs/backends.md")

    assert scheme == "chain" or re.search(rf"`{scheme}:", page)
    assert [extra for extra in re.findall(r"patmiddleware\[(\w+)\]", page) if extra not in EXTRAS] == []


def test_versions_are_told_in_the_changelog() -> None:
    """The newest heading of the changelog is the version at hand."""
    version = patmiddleware.__version__
    newest = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)

    assert newest is not None
    assert newest[1] == ("Unreleased" if ".dev" in version else version)


def test_pythons_agree() -> None:
    """The classifiers, tox and the tools speak of the same Pythons."""
    classifiers = re.findall(r"Python :: (3\.\d+)", settings("setup.cfg")["metadata"]["classifiers"])
    environments = re.findall(r"py3(\d+)", settings("tox.ini")["tox"]["env_list"])
    tools = tomllib.loads(read("pyproject.toml"))["tool"]

    assert classifiers == [f"3.{minor}" for minor in environments]
    assert settings("setup.cfg")["options"]["python_requires"] == f">={classifiers[0]}"
    assert (tools["mypy"]["python_version"], tools["ruff"]["target-version"]) == (classifiers[0], "py311")


SKIPS = """
import pytest

def test_here():
    pytest.skip("no server")

@pytest.mark.skip(reason="platform: there is no fork")
def test_platform():
    pass

@pytest.mark.xfail(strict=True)
def test_known():
    assert False
"""

OUTCOMES = [
    ("0", {"skipped": 3, "xfailed": 1}),
    ("1", {"failed": 1, "skipped": 1, "xfailed": 1, "error": 1}),
]


@pytest.mark.parametrize(("ci", "expected"), OUTCOMES)
def test_ci_lets_nothing_be_skipped(ci: str, expected: dict[str, int], tmp_path: Path) -> None:
    """In continuous integration a skip is a failure, of a test or of a file, but for one that the platform forces."""
    (tmp_path / "conftest.py").write_text(read("tests/conftest.py"), encoding="utf-8")
    (tmp_path / "test_some.py").write_text(SKIPS, encoding="utf-8")
    (tmp_path / "test_file.py").write_text("import pytest; pytest.importorskip('no_such_module')", encoding="utf-8")
    environment = os.environ | {"PATMIDDLEWARE_CI": ci}

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", tmp_path],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    counted = re.findall(r"(\d+) (failed|skipped|xfailed|error)", done.stdout.splitlines()[-1])
    assert {outcome: int(count) for count, outcome in counted} == expected
