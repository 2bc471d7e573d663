"""A file of htpasswd that changes, or is attacked, while it serves."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread
from time import sleep

import pytest

from patmiddleware.backends.htpasswd import HtpasswdDirectory, reloading
from patmiddleware.errors import BackendUnavailable, ConfigurationError
from patmiddleware.model import Owner

PASSWORD = "secret"
ALICE = "alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="
CHANGED = "alice:{SHA}N8bFe+30MF70EknBeUdgtcuPrRc="


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "htpasswd", ALICE)


class Seconds:
    """A monotonic clock that goes on when it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    path.chmod(0o640)
    return path


def replace(path: Path, *lines: str) -> None:
    os.replace(write(path.with_name("new"), *lines), path)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


# -- changes


def test_a_file_that_is_being_written_makes_nobody_a_stranger(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``htpasswd`` does it: the file is emptied and filled again, and whoever looks then waits for all of it."""
    monkeypatch.setattr(reloading, "QUIET", 2.0)  # a thread of a busy machine may be late for its next line
    directory = HtpasswdDirectory(path, reload=0)

    def rewrite() -> None:
        with path.open("w", encoding="utf-8") as stream:
            begun.set()
            for name in ("bob", "carol", "alice"):
                sleep(0.01)
                print(ALICE.replace("alice", name), file=stream, flush=True)

    for _ in range(2):
        begun = Event()
        writer = Thread(target=rewrite)
        writer.start()
        begun.wait()
        assert directory.find("alice") == Owner(name="alice")
        writer.join()


@pytest.mark.parametrize("number", [0, 1], ids=["passwords", "groups"])
def test_a_file_that_was_emptied_is_an_outage(path: Path, tmp_path: Path, number: int) -> None:
    """A full disk leaves it so: nobody is unknown, or without groups, because of that. A comment says it was meant."""
    files = [path, write(tmp_path / "groups", "dev: alice")]
    directory = HtpasswdDirectory(path, group_file=files[1], reload=0)

    files[number].write_bytes(b"")

    with pytest.raises(BackendUnavailable, match=rf"{files[number]} was emptied; .*write a comment"):
        directory.find("alice")
    write(files[number], "# nobody")
    assert directory.find("alice") == (Owner(name="alice") if number else None)


@pytest.mark.parametrize("change", [write, replace], ids=["in place", "another file"])
def test_a_change_is_seen(change: Callable[..., object], path: Path) -> None:
    """A new owner comes, an old one goes, and a new password counts, without a restart."""
    directory = HtpasswdDirectory(path, reload=0)

    change(path, CHANGED, ALICE.replace("alice", "bob"))

    assert directory.find("bob") == Owner(name="bob")
    assert directory.authenticate("alice", PASSWORD) is None
    assert directory.authenticate("alice", "changed") == Owner(name="alice")
    change(path, ALICE)
    assert directory.find("bob") is None
    assert directory.authenticate("alice", PASSWORD) == Owner(name="alice")


def test_a_change_of_groups_is_seen(path: Path, tmp_path: Path) -> None:
    """Leaving a group takes its scopes away."""
    groups = write(tmp_path / "groups", "dev: alice")
    directory = HtpasswdDirectory(path, group_file=groups, scopes={"dev": ["read"]}, reload=0)
    before = directory.find("alice")

    write(groups, "dev: bob")

    assert before == Owner(name="alice", groups=frozenset({"dev"}), scopes=frozenset({"read"}))
    assert directory.find("alice") == Owner(name="alice", scopes=frozenset())


def test_the_files_are_looked_at_in_intervals(path: Path) -> None:
    """Within one a change does not show, right after it does."""
    clock = Seconds()
    directory = HtpasswdDirectory(path, reload=5, monotonic=clock)
    directory.find("alice")

    write(path, ALICE, ALICE.replace("alice", "bob"))
    clock.now += 4.9
    early = directory.find("bob")
    clock.now += 0.1

    assert (early, directory.find("bob")) == (None, Owner(name="bob"))


def test_two_changes_at_once_are_seen(path: Path) -> None:
    """The second may show neither in the file's time, which moves in steps, nor in its size."""
    clock = Seconds()
    directory = HtpasswdDirectory(path, monotonic=clock)
    clock.now += 60
    write(path, CHANGED)
    directory.find("alice")

    write(path, ALICE)
    clock.now += reloading.SETTLING

    assert directory.authenticate("alice", PASSWORD) == Owner(name="alice")


def test_a_file_that_has_settled_is_not_read_again(path: Path) -> None:
    """A look is a stat then, and no more."""
    clock, reads = Seconds(), []
    files = reloading.Reloading([path], reads.append, every=1, monotonic=clock)
    for _ in range(100):
        clock.now += 1
        files.contents()

    assert len(reads) == 1 + reloading.SETTLING


def test_what_was_not_read_is_read_again(path: Path) -> None:
    """A file that could not be read for a moment has not changed; what it said before does not count for that."""
    clock, answers = Seconds(), iter([1, None, None, 4])

    def read(data: Sequence[bytes]) -> int:
        if answer := next(answers):
            return answer
        raise ConfigurationError("not now")

    files = reloading.Reloading([path], read, every=0, monotonic=clock)
    clock.now += 60

    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="not now"):
            files.contents()
    assert files.contents() == 4


# -- what is bad


BAD: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "half written": lambda path: write(path, ALICE[:-3]),
    "in clear": lambda path: write(path, ALICE, "bob:hunter2"),
    "twice": lambda path: write(path, ALICE, ALICE),
    "writable by a group": lambda path: path.chmod(0o660),
    "writable by all": lambda path: path.chmod(0o646),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path, 0o600)),
    "a link to nothing": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path)),
    "too large": lambda path: write(path, "#" * (reloading.LARGEST + 1)),
    "bytes": lambda path: path.write_bytes(os.urandom(3000).replace(b"\n", b"") + b"\n"),
}


@pytest.mark.parametrize("spoil", BAD.values(), ids=BAD)
def test_a_bad_file_is_an_outage_until_it_is_mended(
    spoil: Callable[[Path], object], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is found by what was there before, nobody is unknown, and the log says so once."""
    directory = HtpasswdDirectory(path, reload=0)
    spoil(path)

    for _ in range(3):
        with pytest.raises(BackendUnavailable, match="htpasswd"):
            directory.find("alice")
        with pytest.raises(BackendUnavailable, match="htpasswd"):
            directory.authenticate("alice", PASSWORD)
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    write(path, ALICE)

    assert directory.authenticate("alice", PASSWORD) == Owner(name="alice")
    assert len(errors(caplog)) == 1
    assert errors(caplog)[0].endswith("until it is mended no owner can be looked up")


@pytest.mark.parametrize("spoil", BAD.values(), ids=BAD)
def test_a_bad_file_leaves_nothing_open(spoil: Callable[[Path], object], path: Path) -> None:
    """It is looked at again and again, for hours perhaps: the process must not run out of files."""
    directory = HtpasswdDirectory(path, reload=0)
    spoil(path)
    free = lowest_free()

    for _ in range(20):
        with pytest.raises(BackendUnavailable):
            directory.find("alice")

    assert lowest_free() - free < 20


def lowest_free() -> int:
    """Give the number that the next open file of this process gets."""
    number = os.dup(0)
    os.close(number)
    return number


@pytest.mark.parametrize("spoil", BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_at_construction(spoil: Callable[[Path], object], path: Path) -> None:
    """Before anything is served."""
    spoil(path)

    with pytest.raises(ConfigurationError, match="htpasswd"):
        HtpasswdDirectory(path)


def test_an_outage_comes_back_into_the_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After it was mended, the next one is told as the first."""
    directory = HtpasswdDirectory(path, reload=0)

    for _ in range(2):
        path.unlink()
        with pytest.raises(BackendUnavailable):
            directory.find("alice")
        write(path, ALICE)
        directory.find("alice")

    assert len(errors(caplog)) == 2


def test_a_bad_file_of_groups_is_an_outage_as_well(path: Path, tmp_path: Path) -> None:
    """Both are taken, or neither: new passwords with old groups are nobody's intention."""
    groups = write(tmp_path / "groups", "dev: alice")
    directory = HtpasswdDirectory(path, group_file=groups, reload=0)
    write(path, CHANGED)
    write(groups, "dev alice")

    with pytest.raises(BackendUnavailable, match="groups, line 1"):
        directory.authenticate("alice", PASSWORD)


def test_no_message_shows_a_line(path: Path) -> None:
    """What stands in clear there by mistake does not get into a log."""
    directory = HtpasswdDirectory(path, reload=0)
    write(path, "alice:hunter2")

    with pytest.raises(BackendUnavailable) as caught:
        directory.find("alice")

    assert "hunter2" not in f"{caught.value} {caught.value.__cause__!r} {caught.value.__cause__.__cause__!r}"


@pytest.mark.parametrize("path", ["", "a\0b", "no/such/folder/htpasswd"])
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(ConfigurationError, match="can't be read"):
        HtpasswdDirectory(path)


def test_a_link_is_followed_anew(tmp_path: Path) -> None:
    """So a whole folder can be swapped at once, as Kubernetes does."""
    for name, line in (("one", ALICE), ("two", CHANGED)):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "htpasswd", line)
    (tmp_path / "now").symlink_to("one")
    directory = HtpasswdDirectory(tmp_path / "now" / "htpasswd", reload=0)
    before = directory.authenticate("alice", PASSWORD)

    (tmp_path / "next").symlink_to("two")
    os.replace(tmp_path / "next", tmp_path / "now")

    assert (before, directory.authenticate("alice", PASSWORD)) == (Owner(name="alice"), None)


# -- threads and forks


def python(script: str, path: Path) -> str:
    command = [sys.executable, "-c", textwrap.dedent(script), str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=True).stdout


def test_readers_see_whole_files_while_they_change(path: Path) -> None:
    """Threads that ask all the time, while the file is replaced, find an owner as the old file or the new has it."""
    script = """
        import os, sys
        from pathlib import Path
        from threading import Thread
        from time import monotonic, sleep
        from patmiddleware.backends.htpasswd import HtpasswdDirectory
        from patmiddleware.errors import BackendUnavailable
        path, names = Path(sys.argv[1]), [f"n{number}" for number in range(50)]
        hashes = ["{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "!"]
        def replace(number):
            new = path.with_name("new")
            new.write_text("".join(f"{name}:{hashes[number % 2]}\\n" for name in names))
            new.chmod(0o600)
            os.replace(new, path)
        replace(0)
        directory, seen, latest, going = HtpasswdDirectory(path, reload=0), set(), None, True
        def ask():
            global latest
            while going:
                try:
                    people = directory._files.contents().owners
                except BackendUnavailable:
                    continue  # it never stood still for as long as a look takes
                latest = tuple(people[name].active for name in names)
                seen.add(latest)
        threads = [Thread(target=ask, daemon=True) for _ in range(4)]
        [thread.start() for thread in threads]
        until = monotonic() + 90
        for number in range(1, 11):
            for before in reversed(range(number)):
                replace(number + before)
            while latest is None or latest[-1] != (number % 2 == 0):
                assert monotonic() < until, (number, latest)
                sleep(0.001)
        going = False
        [thread.join() for thread in threads]
        print(sorted(map(set, seen), key=str))
    """

    assert python(script, path) == "[{False}, {True}]\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: there is no fork here")
def test_a_child_of_a_fork_serves(path: Path) -> None:
    """Even if other threads held every lock, and every turn, when the process forked."""
    script = """
        import os, sys
        from patmiddleware.backends.htpasswd import HtpasswdDirectory
        directory = HtpasswdDirectory(sys.argv[1], at_once=1, patience=0)
        directory._files._lock.acquire()
        directory._turns.acquire()
        child = os.fork()
        if child == 0:
            print(directory.authenticate("alice", "secret").name, flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """

    assert python(script, path) == "alice\n"
