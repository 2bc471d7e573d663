"""``patmiddleware store``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from cli.running import environ

from patmiddleware.backends import open_store
from patmiddleware.backends.file.journal import fresh
from patmiddleware.backends.file.records import encode
from patmiddleware.model import Digest, Secret, Token

if TYPE_CHECKING:
    from conftest import Place


@pytest.fixture
def other(place: Place, tmp_path: Path) -> Place:
    """Give a second place, with an empty file store that has a pepper."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "patmiddleware.toml").write_text('[store]\nurl = "file:tokens.jsonl"\npeppers = [{file = "pepper"}]\n')
    (folder / "pepper").write_text("0123456789abcdef0123456789abcdef\n")
    (folder / "pepper").chmod(0o600)
    return type(place)(folder)


def counts(document: dict[str, Any]) -> dict[str, Any]:
    """Give a document without its digest, which must be there."""
    assert len(document["digest"]) == 32
    return {name: value for name, value in document.items() if name != "digest"}


def test_init_makes_the_store_once(place: Place) -> None:
    """The second time it is there already."""
    assert place.json("store", "init") == {"made": True, "file": str(place.folder / "tokens.db"), "tokens": 0}
    assert place.json("store", "init") == {"made": False, "file": str(place.folder / "tokens.db"), "tokens": 0}


def test_what_is_no_file_is_not_said_to_have_been_there(place: Place) -> None:
    """Opening a database made its tables, so whether they were there is not known."""
    place.config.write_text('[store]\nurl = "memory:"\n')

    result = place.run("store", "init")

    assert "The store is ready, with 0 tokens" in result.stdout


def test_check_counts(place: Place) -> None:
    """Every record is read and counted by its state."""
    place.token()
    place.run("token", "revoke", place.token()["token"]["id"])

    assert place.json("store", "check") == {"tokens": 2, "live": 1, "expired": 0, "revoked": 1}


def test_migrate_of_a_store_that_is_up_to_date(place: Place) -> None:
    """There is nothing to do."""
    place.token()

    assert place.json("store", "migrate") == {"migrated": False}


def test_a_damaged_store_is_told_in_a_sentence(place: Place) -> None:
    """A file that is no database is refused with its name, and is left as it is."""
    (place.folder / "tokens.db").write_text("this is no database, but some text that is long enough to be looked at")

    result = place.run("store", "check")

    assert result.exit_code == 2
    assert str(place.folder / "tokens.db") in result.stderr
    assert (place.folder / "tokens.db").read_text().startswith("this is no database")


def test_export_and_import_move_every_token(place: Place, other: Place, tmp_path: Path) -> None:
    """What goes out comes in, into a store of another kind: same records, and the secrets still work."""
    secret = place.token(name="moved", limit="project=OPS", network="10.0.0.0/8")["secret"]
    place.run("token", "revoke", place.token()["token"]["id"], "--why", "left")
    file = str(tmp_path / "tokens.export")

    exported = place.json("store", "export", file)
    imported = other.json("store", "import", file)

    assert counts(exported) == {"exported": 2, "file": file}
    assert counts(imported) == {"imported": 2, "skipped": 0, "revoked": 0, "rotated": 0, "differing": 0, "tokens": 2}
    assert other.json("token", "list") == place.json("token", "list")
    pepper = (other.folder / "pepper").read_text().strip()
    found = open_store(f"file:{other.folder / 'tokens.jsonl'}", peppers=[pepper]).find(Secret(secret))
    assert found is not None
    assert found.name == "moved"


def test_an_export_is_private_and_has_no_secret(place: Place, tmp_path: Path) -> None:
    """Digests are for nobody else's eyes, and a secret is not in it."""
    secret = place.token()["secret"]
    file = tmp_path / "tokens.export"

    place.run("store", "export", str(file))

    assert file.stat().st_mode & 0o777 == 0o600
    assert secret not in file.read_text()


def test_an_export_does_not_write_over_a_file(place: Place, tmp_path: Path) -> None:
    """What is there stays."""
    place.token()
    (tmp_path / "precious").write_text("precious")

    result = place.run("store", "export", str(tmp_path / "precious"))

    assert result.exit_code == 1
    assert (tmp_path / "precious").read_text() == "precious"


def test_through_a_pipe(place: Place, other: Place) -> None:
    """``-`` is the standard output and the standard input; the words go to standard error."""
    place.token()

    exported = place.run("store", "export", "-")
    imported = other.run("store", "import", "-", stdin=exported.stdout_bytes)

    assert exported.stderr == "Exported 1 token.\n"
    assert imported.stdout.startswith("Imported 1 token.\nVerified: 1 token, digest ")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes of this kind")
def test_from_a_named_pipe(place: Place, other: Place, tmp_path: Path) -> None:
    """As a shell makes one for ``<(…)``: it can be read only once, an import needs to look several times."""
    place.token()
    exported = place.run("store", "export", "-").stdout_bytes
    os.mkfifo(tmp_path / "pipe")
    writer = Thread(target=(tmp_path / "pipe").write_bytes, args=[exported])
    writer.start()

    imported = other.run("store", "import", str(tmp_path / "pipe"))

    writer.join()
    assert imported.stdout.startswith("Imported 1 token.\nVerified: 1 token, digest ")


def test_an_export_to_a_closed_output_is_refused(place: Place) -> None:
    """What nobody can have got is not said to be exported."""
    place.token()

    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m patmiddleware store export - --config "{place.config}" >&-'],
        capture_output=True,
        cwd=place.folder,
        env=environ(),
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (1, b"patmiddleware: the standard output is closed: name a file\n")


def test_an_export_that_can_not_be_written_is_named(place: Place) -> None:
    """Not the file that it is gathered in before."""
    place.token()

    result = place.run("store", "export", "nowhere/x.jsonl")

    message = "patmiddleware: nowhere/x.jsonl can't be written: No such file or directory; no export was made\n"
    assert (result.exit_code, result.stderr) == (1, message)


def test_export_to_stdout_is_not_mixed_with_json(place: Place) -> None:
    """Two documents on one stream would be none."""
    place.token()

    assert place.run("store", "export", "-", "--json").exit_code == 2


def test_an_import_can_be_run_again(place: Place, other: Place, tmp_path: Path) -> None:
    """What is there is passed over, so that an import that was interrupted goes on."""
    place.token()
    place.run("store", "export", str(tmp_path / "first"))
    other.run("store", "import", str(tmp_path / "first"))
    place.token()
    place.run("store", "export", str(tmp_path / "second"))

    nothing_else = {"revoked": 0, "rotated": 0, "differing": 0, "tokens": 2}
    once, twice = (other.json("store", "import", str(tmp_path / "second")) for _ in range(2))
    assert counts(once) == {"imported": 1, "skipped": 1} | nothing_else
    assert counts(twice) == {"imported": 0, "skipped": 2} | nothing_else
    assert once["digest"] == twice["digest"]


def test_an_import_notes_what_stands_otherwise(place: Place, other: Place, tmp_path: Path) -> None:
    """A token that was revoked here since stays so, and the operator is told."""
    id = place.token()["token"]["id"]
    place.run("store", "export", str(tmp_path / "x"))
    other.run("store", "import", str(tmp_path / "x"))
    other.run("token", "revoke", id)

    result = other.run("store", "import", str(tmp_path / "x"))

    assert "1 token differ from the file" in result.stderr
    assert other.json("token", "show", id)["token"]["state"] == "revoked"


def test_an_import_carries_revocations_over(place: Place, other: Place, tmp_path: Path) -> None:
    """What was revoked there since is revoked here too."""
    id = place.token()["token"]["id"]
    place.run("store", "export", str(tmp_path / "before"))
    other.run("store", "import", str(tmp_path / "before"))
    place.run("token", "revoke", id)
    place.run("store", "export", str(tmp_path / "after"))

    imported = other.json("store", "import", str(tmp_path / "after"))

    assert counts(imported) == {"imported": 0, "skipped": 1, "revoked": 1, "rotated": 0, "differing": 0, "tokens": 1}
    assert other.json("token", "show", id)["token"]["state"] == "revoked"


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


DAMAGED = {
    "changed": (lambda text: [text[0], text[1].replace("alice", "mallo"), *text[2:]], "line 2"),
    "cut": (lambda text: [*text[:2], text[2][:-40]], "line 3"),
    "line left out": (lambda text: [text[0], *text[2:]], "line 2"),
    "last line left out": (lambda text: text[:-1], "line 4"),
    "lines swapped": (lambda text: [text[0], text[2], text[1], text[3]], "line 2"),
    "not ours": (lambda text: ["hello\n"], "line 1"),
    "empty": (lambda text: [], "line 1"),
}


@pytest.mark.parametrize(("damage", "where"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_export_is_refused_with_its_line(place: Place, other: Place, tmp_path: Path, damage, where) -> None:  # type: ignore[no-untyped-def]
    """Nothing is written before all is judged; the line is named."""
    for _ in range(3):
        place.token()
    place.run("store", "export", str(tmp_path / "whole"))
    (tmp_path / "damaged").write_text("".join(damage(lines(tmp_path / "whole"))))
    other.run("store", "init")

    result = other.run("store", "import", str(tmp_path / "damaged"))

    assert result.exit_code == 1
    assert where in result.stderr
    assert other.json("store", "check")["tokens"] == 0


CONFLICTS = {
    "same id, other secret": (Token(id="one", owner="alice"), "other", "has another token with the id one"),
    "same secret, other id": (Token(id="two", owner="alice"), "secret", "the secret of one stands for another token"),
}


@pytest.mark.parametrize(("there", "secret", "message"), CONFLICTS.values(), ids=CONFLICTS)
def test_an_import_that_contradicts_the_store_is_refused(
    place: Place, other: Place, tmp_path: Path, there: Token, secret: str, message: str
) -> None:
    """Neither an id nor a secret comes to stand for two tokens; nothing is written."""
    place.run("store", "init")
    store = open_store(f"sqlite:///{place.folder / 'tokens.db'}")
    store.add(Token(id="one", owner="alice"), "secret")
    store.add(Token(id="free", owner="alice"), "free")
    place.run("store", "export", str(tmp_path / "x"))
    pepper = (other.folder / "pepper").read_text().strip()
    open_store(f"file:{other.folder / 'tokens.jsonl'}", peppers=[pepper]).add(there, secret)

    result = other.run("store", "import", str(tmp_path / "x"))

    assert result.exit_code == 1
    assert message in result.stderr
    assert other.json("store", "check")["tokens"] == 1


def test_many_tokens_come_over_whole(place: Place, other: Place, tmp_path: Path) -> None:
    """More than fit into one batch."""
    place.run("store", "init")
    store = open_store(f"sqlite:///{place.folder / 'tokens.db'}")
    from patmiddleware.interfaces import Add, Transactional

    assert isinstance(store, Transactional)
    store.commit([Add(Token(id=f"{number:05}", owner="alice"), f"secret-{number}") for number in range(1_234)])

    exported = place.json("store", "export", str(tmp_path / "x"))
    imported = other.json("store", "import", str(tmp_path / "x"))

    nothing_else = {"skipped": 0, "revoked": 0, "rotated": 0, "differing": 0}
    assert exported["exported"] == 1_234
    assert counts(imported) == {"imported": 1_234, "tokens": 1_234} | nothing_else


def test_an_export_can_be_opened_as_a_store(place: Place, tmp_path: Path) -> None:
    """The export has the format of a file store."""
    made = place.token()
    place.run("store", "export", str(tmp_path / "x.jsonl"))

    found = open_store(f"file:{tmp_path / 'x.jsonl'}").find(Secret(made["secret"]))

    assert found is not None
    assert json.dumps(made["token"]["id"]) == json.dumps(found.id)


@pytest.mark.parametrize(
    ("token", "digest"),
    [
        (Token("t1", "alice\nbob"), Digest("sha256", "", bytes(32))),
        (Token("t1", "alice", scopes=frozenset({"two words"})), Digest("sha256", "", bytes(32))),
        (Token("t1", "alice"), Digest("sha256", "", b"short")),
    ],
)
def test_a_doctored_export_is_refused(other: Place, tmp_path: Path, token: Token, digest: Digest) -> None:
    """A record that no issuer would make is named, and nothing is imported."""
    (tmp_path / "x").write_bytes(b"".join(fresh([encode(token, digest)])))

    result = other.run("store", "import", str(tmp_path / "x"))

    assert (result.exit_code, "the record of token t1 is not one" in result.stderr) == (1, True)
