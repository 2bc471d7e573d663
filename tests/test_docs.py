"""What stands on the pages of the documentation works as it stands."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pages import DOCS, PAGES, ROOT, Block, blocks, called, check_command, lines

from patmiddleware import Policy, open_directory
from patmiddleware.config import Config
from patmiddleware.config.tables import TABLES

RUN = Path(__file__).parent / "pagerun.py"
EVERY = [block for page in PAGES for block in blocks(page)]


def of(*languages: str) -> list[Any]:
    """Give the blocks of some languages that aren't excused."""
    found = [block for block in EVERY if block.language in languages and block.excuse is None]
    return [pytest.param(block, id=block.id) for block in found]


def run(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, RUN, page], cwd=folder, capture_output=True, text=True, timeout=280)


def played(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a page with this on it."""
    page = folder / "page.md"
    page.write_text(text, "utf-8")
    return run(page, folder)


@pytest.mark.slow
@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_a_page_runs(page: Path, tmp_path: Path) -> None:
    """Its files, its Python and the commands behind a prompt, in order, in an empty folder."""
    done = run(page, tmp_path)

    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_what_is_not_run_says_why() -> None:
    """An excuse has words."""
    assert [block.id for block in EVERY if block.excuse is not None and len(block.excuse.split()) < 2] == []


@pytest.mark.parametrize("block", of("toml"))
def test_settings_and_policies_are_sound(block: Block, tmp_path: Path) -> None:
    """Each is a policy, a file of owners, or a whole settings file in which nothing is wrong."""
    given = tomllib.loads(block.text)
    if given.keys() & TABLES.keys():
        assert judged(given, tmp_path) == ()
    elif "owners" in given:
        (tmp_path / "owners.toml").write_text(block.text)
        assert open_directory(f"static:{tmp_path}/owners.toml").find(next(iter(given["owners"]))) is not None
    else:
        assert Policy.from_dict(given) is not None


def judged(given: dict[str, object], folder: Path) -> tuple[object, ...]:
    """Give what is wrong with settings, in whose place every secret that they name is there."""
    whole = {"store": {"url": "sqlite:///tokens.db"}, **secrets_of(given, folder)}
    return Config.from_dict(whole, folder / "patmiddleware.toml", AnySecret()).problems()


class AnySecret(dict[str, str]):
    """An environment in which every variable is set, each to a key of its own."""

    def __missing__(self, name: str) -> str:
        return sha256(name.encode()).hexdigest()

    def get(self, name: str, default: object = None) -> str:  # type: ignore[override]
        return self[name]


def secrets_of(value: Any, folder: Path) -> Any:
    """Give settings with files in a folder in the place of those that hold secrets."""
    if isinstance(value, dict):
        if value.keys() == {"file"}:
            file = folder / Path(value["file"]).name
            file.touch(0o600)
            file.write_text("a" * 43 + "=")
            return {"file": str(file)}
        return {name: secrets_of(one, folder) for name, one in value.items()}
    return [secrets_of(one, folder) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("block", of("python"))
def test_what_is_imported_is_there(block: Block) -> None:
    """Also on pages that are not run as a whole, such as the README."""
    tree = ast.parse(block.text)
    ours = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and is_ours(node.module or "")]
    for node in ours:
        module = importlib.import_module(str(node.module))
        assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def is_ours(module: str) -> bool:
    return module.partition(".")[0] == "patmiddleware"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_shown_exists(page: Path) -> None:
    """Each ``patmiddleware …`` line names a command, and gives it options and arguments that it takes."""
    pytest.importorskip("click", reason="needs the extra cli")
    for line in lines(page):
        if words := called(line):
            check_command(words)


def test_every_command_of_the_tutorial_is_run() -> None:
    """None is shown without a prompt, but what can't be run."""
    shown = [block for block in blocks(ROOT / "docs" / "tutorial.md", "console") if block.excuse is None]

    assert shown
    assert [block.id for block in shown if not block.text.startswith("$ ")] == []


WRONG = {
    "Python that fails": "```python\nassert 1 == 2\n```",
    "output that differs": "```python\nprint(1)\n```\n\nIt prints:\n\n```text\n2\n```",
    "a command that fails": "```console\n$ false\n```",
    "a command whose output differs": "```console\n$ echo one\ntwo\n```",
    "a file that is not written": "```python\nopen('a.txt')\n```\n\n`a.txt`:\n\n```text\nx\n```",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_page_that_is_wrong_fails(text: str, tmp_path: Path) -> None:
    """Nothing is passed over in silence."""
    assert played(tmp_path, text).returncode not in (0, 77)


def test_a_page_that_is_right_runs(tmp_path: Path) -> None:
    """Files are written, names go on from block to block, a shell remembers, and ``…`` stands for anything."""
    text = """
Write this into `sub/a.toml`:

```toml
a = 1
```

```python
import tomllib
found = tomllib.load(open("sub/a.toml", "rb"))
```

```python
print(found["a"])
```

It prints:

```text
1
```

<!-- not run: would fail -->

```python
raise SystemExit(1)
```

```console
$ NAME=$(basename $PWD/sub)
$ echo $NAME; echo two words
s…b
… words
```
"""
    done = played(tmp_path, text)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_package_is_told_apart(tmp_path: Path) -> None:
    """So that a test can be skipped, with the reason."""
    done = played(tmp_path, "```python\nimport no_such_module\n```")

    assert (done.returncode, done.stdout) == (77, "No module named 'no_such_module'\n")
