"""What the README shows works as it stands; its commands are those of every page, in test_docs.py."""

from __future__ import annotations

import sys
import tomllib
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from pages import ROOT
from pages import blocks as blocks_of
from webtest import TestApp

from patmiddleware import Issuer, Policy, open_store

POLICY = """
[scopes.read]
[[rule]]
path = "/**"
scopes = ["read"]
"""


def blocks(language: str) -> list[str]:
    """Give the code blocks of a language."""
    return [block.text for block in blocks_of(ROOT / "README.md", language)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Run a block as a module in the folder of the test."""
    module = types.ModuleType("readme_block")
    module.__file__ = str(tmp_path / "readme_block.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def run(source: str) -> dict[str, Any]:
        exec(compile(source, module.__file__ or "", "exec"), vars(module))
        return vars(module)

    return run


Run: TypeAlias = Callable[[str], dict[str, Any]]


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A token in the store that the README names, in a folder with its policy."""
    pytest.importorskip("sqlalchemy", reason="needs the extra sql")
    monkeypatch.chdir(tmp_path)
    Path("policy.toml").write_text(POLICY)
    return Issuer(open_store("sqlite:///tokens.db")).mint(owner="alice", name="ci", scopes={"read"}).secret


def test_the_flask_application_greets_the_owner(secret: str, run: Run) -> None:
    """The lines for Flask."""
    pytest.importorskip("flask")
    [source] = [block for block in blocks("python") if "Flask" in block]

    client = TestApp(run(source)["app"])

    assert client.get("/reports", headers={"Authorization": f"Bearer {secret}"}).text == "Hello alice"
    assert client.get("/reports", status="*").status_int == 401


def test_the_pyramid_application_greets_the_owner(secret: str, run: Run) -> None:
    """The lines for Pyramid."""
    pytest.importorskip("pyramid", exc_type=ImportError)
    [source] = [block for block in blocks("python") if "Configurator" in block]

    client = TestApp(run(source)["main"]({}))

    assert client.get("/reports", headers={"Authorization": f"Bearer {secret}"}).text == "Hello alice"
    assert client.get("/reports", status="*").status_int == 401


def test_any_application_is_guarded(secret: str, run: Run) -> None:
    """The lines for WSGI."""
    [source] = [block for block in blocks("python") if "def application" in block]

    client = TestApp(run(source)["application"])

    assert client.get("/", headers={"Authorization": f"Bearer {secret}"}).text == "Hello alice"
    assert client.get("/", status="*").status_int == 401


def test_a_token_is_made_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Run
) -> None:
    """The lines that mint one."""
    pytest.importorskip("sqlalchemy", reason="needs the extra sql")
    monkeypatch.chdir(tmp_path)
    [source] = [block for block in blocks("python") if "Issuer" in block]

    run(source)

    assert capsys.readouterr().out.startswith("pat_")


def test_the_policy_page_loads() -> None:
    """The page of the policy language is a policy."""
    [source] = [block for block in blocks("toml") if "[[rule]]" in block]

    policy = Policy.from_dict(tomllib.loads(source))

    assert [rule.id for rule in policy.rules] == [
        "read-issues",
        "health",
        "developers-only",
        "service-accounts-from-inside",
    ]
