"""``flask token``: the commands, on what an application has in hand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rich", reason="needs the extra cli")

from click.testing import Result
from integrations.flasking import POLICY, flask, gate

from patmiddleware import AuditLog, Owner
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.integrations.flask import require_scope
from patmiddleware.testing import FlakyDirectory

ROOT = Path(__file__).parents[2]
CREATE = ("create", "--owner", "alice", "--name", "ci", "--scopes", "read")


def run(app: Any, *words: str) -> Result:
    return app.test_cli_runner().invoke(args=["token", *words])  # type: ignore[no-any-return]


def document(app: Any, *words: str) -> Any:
    result = run(app, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_token_is_made_listed_rotated_and_revoked() -> None:
    """In the store that the application was given, be it in memory."""
    app = flask(policy=POLICY)
    app.add_url_rule("/projects/x/y", view_func=require_scope("read")(lambda: "ok"))

    secret = run(app, *CREATE).stdout.strip()
    [listed] = document(app, "list")["tokens"]
    rotated = document(app, "rotate", listed["id"])
    shown = document(app, "show", rotated["token"]["id"])["token"]
    headers = {"Authorization": f"Bearer {rotated['secret']}"}
    before = app.test_client().get("/projects/x/y", headers=headers).status_code
    revoked = document(app, "revoke", "--owner", "alice", "--yes")["revoked"]

    assert re.fullmatch(r"pat_[0-9A-Za-z]{38}", secret)
    assert shown["replaces"] == listed["id"]
    assert sorted(revoked) == sorted([listed["id"], shown["id"]])
    assert [before, app.test_client().get("/projects/x/y", headers=headers).status_code] == [200, 401]


def test_the_applications_limits_hold(tmp_path: Path) -> None:
    """Its policy knows the scopes, its settings the lifetimes; its directory the people; its audit hears of it."""
    app = flask(
        MemoryStore(),
        policy=POLICY,
        issuer={"maximum_lifetime": "1d"},
        directory=FlakyDirectory([Owner(name="bob")]),
        audit=AuditLog(f"file:{tmp_path}/audit.jsonl"),
    )

    unknown = run(app, *CREATE[:-1], "raed")
    long = run(app, *CREATE, "--expires", "2d")
    made = run(app, *CREATE)

    assert (unknown.exit_code, long.exit_code, made.exit_code) == (1, 1, 0)
    assert "did you mean 'read'?" in unknown.stderr
    assert "too long" in long.stderr
    assert "alice is not known to the directory" in made.stderr
    assert json.loads((tmp_path / "audit.jsonl").read_text())["event"] == "token.created"


def test_the_policy_that_the_application_has_counts() -> None:
    """It says whether a limit is known, though no settings name it."""
    app = flask(policy=POLICY)

    made = [run(app, *CREATE, "--limit", f"{name}=OPS") for name in ("project", "projct")]

    assert [result.exit_code for result in made] == [0, 0]
    assert ["no rule captures 'projct'" in result.stderr for result in made] == [False, True]


def test_an_audit_on_the_standard_output_stays_out_of_the_answer(capfd: pytest.CaptureFixture[str]) -> None:
    """The secret alone stands there."""
    app = flask(audit="stdout")

    result = run(app, *CREATE)
    gate(app).embedding.middleware.close()

    assert re.fullmatch(r"pat_[0-9A-Za-z]{38}\n", result.stdout)
    assert "token.created" not in capfd.readouterr().out


def test_errors_are_json_where_that_is_asked_for() -> None:
    """One document, with the exit code of our own commands."""
    result = run(flask(), "show", "nobody", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"].startswith("no token has this id: look it up with 'flasking token list'")


def test_no_settings_file_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that lies around has nothing to say, and none can be named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "patmiddleware.toml").write_text("not TOML")
    app = flask("memory:")

    assert run(app, "pattern").stdout.startswith(r"\bpat_")
    assert run(app, "list", "--config", "x").exit_code == 2
    assert "--config" not in run(app, "list", "--help").output
    assert "adopt" not in run(app, "--help").output


def test_a_store_that_only_reads_says_so() -> None:
    """Its tokens are made elsewhere."""

    class Reader:
        def find(self, secret: object) -> None:
            return None

    result = run(flask(Reader()), *CREATE)

    assert result.exit_code == 1
    assert "can only be read" in result.stderr


def test_a_command_of_the_applications_own_stays() -> None:
    """Ours takes no name away."""
    from flask import Flask

    from patmiddleware.integrations.flask import PersonalAccessTokens

    app = Flask("here")
    app.cli.command("token")(lambda: print("mine"))
    PersonalAccessTokens(app, store=MemoryStore())

    assert app.test_cli_runner().invoke(args=["token"]).output == "mine\n"


APP = """
from flask import Flask
from patmiddleware.integrations.flask import PersonalAccessTokens
app = Flask(__name__)
PersonalAccessTokens(app, store="file:tokens.jsonl")
"""


def process(folder: Path, *words: str, hidden: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "app.py").write_text(APP)
    start = f"import sys; sys.modules.update(dict.fromkeys({hidden.split()!r})); from flask.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", start, "token", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_runs_as_a_user_runs_it(tmp_path: Path) -> None:
    """From the application's folder; the secret alone goes to the standard output."""
    made = process(tmp_path, *CREATE)
    listed = process(tmp_path, "list")

    assert re.fullmatch(r"pat_[0-9A-Za-z]{38}\n", made.stdout), made.stderr
    assert "alice" in listed.stdout
    assert gate(flask(f"file:{tmp_path}/tokens.jsonl")).store.find is not None


def test_a_missing_package_is_told_on_use(tmp_path: Path) -> None:
    """The application itself runs without it."""
    assert find_spec("rich") is not None

    done = process(tmp_path, "list", hidden="rich")

    assert done.returncode == 1
    assert done.stderr.splitlines() == ["Error: the commands need rich: run pip install 'patmiddleware[cli]'"]
