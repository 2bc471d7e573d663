"""What is particular to a vault in a file: who may read it, damage, and writers at once, also killed ones.

Run as a program, this file is a writer.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import patmiddleware.errors
from patmiddleware.backends.file import disk
from patmiddleware.errors import BackendUnavailable, ConfigurationError
from patmiddleware.model import UpstreamCredential
from patmiddleware.testing import VaultOutageContract
from patmiddleware.vault import SealedVault, lines, open_vault

KEY = bytes(range(32))
JIRA = "https://jira.example.org"
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(patmiddleware.errors.__file__).parents[1])}
KILLS = 12


def bearer(token: str) -> UpstreamCredential:
    return UpstreamCredential("bearer", {"token": token})


def token_of(credential: UpstreamCredential | None) -> str | None:
    return credential and credential.values["token"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the vault is."""
    return tmp_path / "vault.jsonl"


def opened(path: Path) -> SealedVault:
    return open_vault(f"file:{path}", keys=[KEY])


@pytest.fixture
def vault(path: Path) -> SealedVault:
    """A vault with two owners in it."""
    vault = opened(path)
    vault.put("alice", JIRA, bearer("alice's"))
    vault.put("bob", JIRA, bearer("bob's"))
    return vault


class TestDown(VaultOutageContract):
    """A file that others may read is out of reach."""

    @pytest.fixture(autouse=True)
    def _vault(self, vault: SealedVault, path: Path) -> None:
        self.vault = vault
        path.chmod(0o644)

    def make_unreachable(self) -> SealedVault:
        return self.vault


def test_opening_makes_nothing(path: Path) -> None:
    """A vault that is only asked leaves no file behind."""
    assert opened(path).list() == []
    assert list(path.parent.iterdir()) == []


def test_only_its_owner_may_use_it(vault: SealedVault, path: Path) -> None:
    """Whatever the umask is."""
    assert {each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {0o600}


def test_an_empty_file_is_a_new_vault(path: Path) -> None:
    """So it can be made for another user beforehand."""
    path.touch(0o600)
    vault = opened(path)

    vault.put("alice", JIRA, bearer("x"))

    assert token_of(opened(path).get("alice", JIRA)) == "x"


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o666, 0o777])
def test_a_file_that_others_may_use_is_refused(vault: SealedVault, path: Path, mode: int) -> None:
    """When it is opened and whenever it is asked; the message says which command mends it."""
    path.chmod(mode)

    with pytest.raises(BackendUnavailable, match="chmod 600"):
        vault.get("alice", JIRA)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        opened(path)

    path.chmod(0o600)
    assert token_of(vault.get("alice", JIRA)) == "alice's"


def test_what_is_no_plain_file_is_refused(path: Path) -> None:
    """A folder, or a pipe that nobody would ever write to."""
    for make in (os.mkfifo, os.mkdir):
        other = path.with_name(make.__name__)
        make(other, 0o700)
        with pytest.raises(ConfigurationError, match=r"no plain file|Is a directory"):
            opened(other)


def test_a_folder_in_the_place_of_the_file_leaves_nothing_open(vault: SealedVault, path: Path) -> None:
    """It is an outage of each request that needs the vault: the process must not run out of files."""
    path.unlink()
    path.mkdir()
    free = lowest_free()

    for _ in range(20):
        with pytest.raises(BackendUnavailable, match="Is a directory"):
            vault.get("alice", JIRA)

    assert lowest_free() - free < 20


def lowest_free() -> int:
    """Give the number that the next open file of this process gets."""
    number = os.dup(0)
    os.close(number)
    return number


# -- damage


def test_every_byte_counts(vault: SealedVault, path: Path) -> None:
    """A changed bit anywhere in the file is found, by whoever has it open and whoever opens it: it is an outage."""
    sound, unnoticed = path.read_bytes(), []
    for place in range(len(sound)):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << (place % 7)
        path.write_bytes(damaged)
        try:
            unnoticed.append((place, opened(path).list()))
        except ConfigurationError:
            continue
    path.write_bytes(sound)

    assert unnoticed == []
    assert token_of(opened(path).get("alice", JIRA)) == "alice's"


def test_every_length_counts(vault: SealedVault, path: Path) -> None:
    """A file that was cut off, also between two lines, is no vault of fewer owners."""
    sound = path.read_bytes()

    for length in range(1, len(sound)):
        path.write_bytes(sound[:length])
        with pytest.raises(ConfigurationError):
            opened(path)


DAMAGED = {
    "emptied": b"",
    "half a header": b'{"format":"patmiddleware vault","ver',
    "a token file": b'{"format":"patmiddleware tokens","version":1,"revision":7,"records":1,"salt":"x"}\n',
    "another version": b'{"format":"patmiddleware vault","version":2,"salt":"","digest":""}\n',
    "no salt": b'{"format":"patmiddleware vault","version":1,"salt":3,"digest":""}\n',
    "half a character": b'{"format":"patmiddleware vault","version":1,"salt":"\\ud800","digest":""}\n',
    "a list": b"[]\n",
    "deep": b"[" * 900,
    "not UTF-8": b"\xff\xfe",
    "blank": b"\n",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damage_is_an_outage(vault: SealedVault, path: Path, content: bytes) -> None:
    """Neither "no credential", nor a file of which a put makes a sound one with one owner."""
    path.write_bytes(content)

    with pytest.raises(BackendUnavailable, match=re.escape(f"the vault {path} can't be read: ")):
        vault.get("alice", JIRA)
    with pytest.raises(BackendUnavailable):
        vault.put("carol", JIRA, bearer("x"))

    assert path.read_bytes() == content


ROWS = {
    "no fields": {},
    "another type": {"owner": 3},
    "no base64": {"data": "*"},
    "no time": {"changed": "now"},
    "beyond all times": {"changed": 10**30},
    "no kind": {"kind": None},
}


@pytest.mark.parametrize("change", ROWS.values(), ids=ROWS)
def test_a_line_of_another_shape_is_an_outage(vault: SealedVault, path: Path, change: dict[str, object]) -> None:
    """Also where somebody made the digest anew."""
    header, *rows = path.read_bytes().splitlines()
    facts = json.loads(header)
    first = json.loads(rows[0]) | change if change else {}
    body = b"".join(json.dumps(row).encode() + b"\n" for row in (first, json.loads(rows[1])))
    path.write_bytes(json.dumps(facts | {"digest": lines._digest(facts["salt"], body)}).encode() + b"\n" + body)

    with pytest.raises(BackendUnavailable, match="holds no sealed credential"):
        vault.get("alice", JIRA)


def test_a_vault_that_is_gone_is_an_outage(vault: SealedVault, path: Path) -> None:
    """A put must not begin a new one with one owner, and have the others connect again."""
    kept = path.read_bytes()
    path.unlink()

    with pytest.raises(BackendUnavailable, match="it is gone"):
        vault.get("alice", JIRA)
    with pytest.raises(BackendUnavailable, match="it is gone"):
        vault.put("alice", JIRA, bearer("x"))

    path.write_bytes(kept)
    path.chmod(0o600)
    assert token_of(vault.get("bob", JIRA)) == "bob's"


def test_a_restored_backup_is_seen(vault: SealedVault, path: Path) -> None:
    """What stands in the file counts, though size and times be those of the file that was read last."""
    first, times = path.read_bytes(), path.stat()
    vault.put("alice", JIRA, bearer("other's"))
    assert token_of(vault.get("alice", JIRA)) == "other's"

    path.write_bytes(first)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert token_of(vault.get("alice", JIRA)) == "alice's"


def test_a_folder_that_cannot_be_written_is_an_outage(path: Path) -> None:
    """The old file is as it was."""
    vault = opened(path)
    vault.put("alice", JIRA, bearer("first"))
    before = path.read_bytes()
    (path.parent / f"{path.name}.new").mkdir()  # in the way of the new file

    with pytest.raises(BackendUnavailable, match="can't be written"):
        vault.put("alice", JIRA, bearer("second"))

    assert path.read_bytes() == before


def test_a_change_that_changes_nothing_writes_nothing(vault: SealedVault, path: Path) -> None:
    """Removing what is not there leaves the file alone."""
    before = path.stat()

    vault.remove("carol", JIRA)

    assert path.stat().st_ino == before.st_ino


# -- several processes


def write(path: str, writer: str, count: int) -> None:
    """Put a pair of credentials again and again, and say after each that it was kept."""
    vault = opened(Path(path))
    for number in range(count):
        vault.put(writer, JIRA, bearer(f"{writer} {number}"))
        os.write(1, b".")


def started(path: Path, writer: str, count: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, __file__, str(path), writer, str(count)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, env=ENVIRON, bufsize=0)


def test_processes_that_write_at_once_lose_nothing(path: Path) -> None:
    """Each one's last credential is there at the end, and none failed."""
    writers = [started(path, f"w{number}", 40) for number in range(3)]
    for writer in writers:
        writer.communicate(timeout=60)

    assert [writer.returncode for writer in writers] == [0, 0, 0]
    vault = opened(path)
    assert [token_of(vault.get(f"w{number}", JIRA)) for number in range(3)] == ["w0 39", "w1 39", "w2 39"]


def test_a_writer_that_is_killed_leaves_a_sound_file(path: Path) -> None:
    """SIGKILL at any moment: what was acknowledged is there, at most one more, and the next writer goes on."""
    chance = random.Random(4)
    opened(path).put("other", JIRA, bearer("stays"))
    for _ in range(KILLS):
        writer = started(path, "w", 1_000_000)
        assert writer.stdout is not None
        assert writer.stdout.read(1) == b"."
        time.sleep(chance.random() * 0.05)
        writer.send_signal(signal.SIGKILL)
        done = 1 + len(writer.communicate(timeout=60)[0])

        assert token_of(opened(path).get("w", JIRA)) in (f"w {done - 1}", f"w {done}")
    assert token_of(opened(path).get("other", JIRA)) == "stays"


def test_what_a_killed_writer_left_is_not_read(vault: SealedVault, path: Path) -> None:
    """Killed before the new file took the place of the old one: that counts, and the half one goes with a put."""
    half = path.with_name(f"{path.name}.new")
    half.write_bytes(path.read_bytes()[:100])

    assert token_of(vault.get("alice", JIRA)) == "alice's"
    vault.put("alice", JIRA, bearer("new"))

    assert (half.exists(), token_of(opened(path).get("alice", JIRA))) == (False, "new")


def test_a_lock_that_is_held_is_waited_for(vault: SealedVault, path: Path) -> None:
    """Meanwhile credentials are given as they are."""
    with disk.locked(path.with_name(f"{path.name}.lock"), beside=path):
        writer = started(path, "w", 1)
        assert token_of(vault.get("alice", JIRA)) == "alice's"
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(0.5)

    assert writer.communicate(timeout=60) == (b".", None)
    assert token_of(vault.get("w", JIRA)) == "w 0"


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], int(sys.argv[3]))
