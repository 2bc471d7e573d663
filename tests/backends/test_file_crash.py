"""A token file whose writers are killed in the middle of writes: real processes, ``SIGKILL``.

Run as a program, this file is such a writer. What it does follows from its number alone, so a test knows what must
stand in the file once it was told how many of the writer's transactions were acknowledged.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

import patmiddleware.errors
from patmiddleware.backends.file import FileStore
from patmiddleware.errors import BackendUnavailable
from patmiddleware.interfaces import Add, Change, Remove, Replace
from patmiddleware.model import Secret, Token

ROUNDS_SECONDS = 7.0
BUSY_SECONDS = 60
PADDING = "x" * 40_000
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(patmiddleware.errors.__file__).parents[1])}


def transactions(writer: int) -> Iterator[Sequence[Change]]:
    """Give what a writer does, one transaction after the other: single changes, rotations of a pair, long ones."""
    tokens: dict[str, Token] = {}
    for number in range(sys.maxsize):
        changes = list(_transaction(writer, number, tokens))
        apply(tokens, changes)
        yield changes


def _transaction(writer: int, number: int, tokens: Mapping[str, Token]) -> Iterator[Change]:
    left, right = (f"w{writer}-{side}" for side in ("left", "right"))
    if number == 0:
        # Readers must never see one of the pair without the other, or with another name.
        yield Add(Token(id=left, owner="pair", name="0"), left)
        yield Add(Token(id=right, owner="pair", name="0"), right)
    elif number % 40 == 10:
        for part in range(20):
            id = f"w{writer}-long-{part}"
            yield Add(Token(id=id, owner="long", attributes={"padding": PADDING}), id)
    elif number % 40 == 30:
        yield from (Remove(id) for id, token in tokens.items() if token.owner == "long")
    elif number % 2:
        yield from (Replace(replace(tokens[id], name=str(number)), tokens[id]) for id in (left, right))
    else:
        id = f"w{writer}-single-{number}"
        yield Add(Token(id=id, owner="single"), id)
        singles = [token for token in tokens.values() if token.owner == "single"]
        if len(singles) > 20:
            yield Remove(singles[0].id)


def apply(tokens: dict[str, Token], changes: Sequence[Change]) -> None:
    for change in changes:
        if isinstance(change, Remove):
            del tokens[change.id]
        else:
            tokens[change.token.id] = change.token


def write(path: str, writer: int, done: int) -> None:
    """Make transactions until killed, and say after each that it was acknowledged."""
    store = FileStore(path)
    for number, changes in enumerate(transactions(writer)):
        if number >= done:
            store.commit(changes)
            os.write(1, b".")


class Writer:
    """What is known of one writer, over its several lives."""

    def __init__(self, path: Path, number: int) -> None:
        self.path, self.number = path, number
        self.acknowledged = 0
        self.tokens: dict[str, Token] = {}
        self.to_come = transactions(number)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(self.path), str(self.number), str(self.acknowledged)],
            stdout=subprocess.PIPE,
            env=ENVIRON,
        )

    def began(self) -> bool:
        """Wait for the first acknowledgement."""
        assert self.process
        assert self.process.stdout
        return self._acknowledge(self.process.stdout.read(1))

    def kill(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        answers, _ = self.process.communicate()
        self._acknowledge(answers)

    def _acknowledge(self, answers: bytes) -> bool:
        for _ in answers:
            self.acknowledged += 1
            apply(self.tokens, next(self.to_come))
        return bool(answers)

    def check(self, found: Mapping[str, Token]) -> None:
        """Compare what the file holds with what was acknowledged: one more transaction may stand there, whole."""
        mine = {id: token for id, token in found.items() if id.startswith(f"w{self.number}-")}
        if mine != self.tokens:
            self._acknowledge(b".")
        assert mine.keys() == self.tokens.keys()
        assert mine == self.tokens


def few(writers: Sequence[Writer], inodes: set[int]) -> bool:
    """Say whether too little happened to tell anything."""
    return len(inodes) < 2 or any(writer.acknowledged <= 40 for writer in writers)


def look(reader: FileStore, revision: int) -> int:
    """Check that nothing half made is seen, and that the revision never goes back."""
    found = {token.id: token for token, _ in reader.records()}
    pairs = [(found[id].name, found[id.replace("left", "right")].name) for id in found if id.endswith("left")]
    long = [sum(token.id.startswith(f"w{writer}-long") for token in found.values()) for writer in (1, 2)]
    now = reader.revision()
    assert now >= revision
    assert [left for left, right in pairs if left != right] == []
    assert set(long) <= {0, 20}
    return now


def test_no_acknowledged_change_is_lost(tmp_path: Path) -> None:
    """Two writers at a time are killed again and again; a reader that goes on sees only whole transactions."""
    path = tmp_path / "tokens.jsonl"
    reader = FileStore(path)
    writers = [Writer(path, 1), Writer(path, 2)]
    choice, revision, inodes, end = random.Random(), 0, set[int](), monotonic() + ROUNDS_SECONDS

    # A busy machine gets fewer rounds done in that time.
    while monotonic() < end or (monotonic() < end + BUSY_SECONDS and few(writers, inodes)):
        for writer in writers:
            writer.start()
        assert all(writer.began() for writer in writers)
        stop = monotonic() + choice.uniform(0, 0.15)
        while monotonic() < stop:
            revision = look(reader, revision)
        for writer in writers:
            writer.kill()
        revision = look(reader, revision)
        inodes.add(path.stat().st_ino)
        opened = FileStore(path)
        found = {token.id: token for token, _ in opened.records()}
        for writer in writers:
            writer.check(found)
        assert opened.revision() == revision == sum(writer.acknowledged for writer in writers)

    assert all(writer.acknowledged > 40 for writer in writers)
    assert len(inodes) > 1, "the file was never written anew"
    assert reader.find(Secret("w1-left")) == writers[0].tokens["w1-left"]


CUT = """
import resource, signal, sys
from patmiddleware.backends.file import FileStore
from patmiddleware.interfaces import Add
from patmiddleware.model import Token

store = FileStore(sys.argv[1])
if most := int(sys.argv[2]):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
store.commit([Add(Token(id=id, owner="alice"), id) for id in ("b", "c")])
"""


@pytest.mark.parametrize(("cut", "expected"), [(1, "a"), (60, "a"), (-2, "a"), (-1, "abc")])
def test_a_writer_that_dies_within_its_line_has_written_all_or_nothing(tmp_path: Path, cut: int, expected: str) -> None:
    """The system kills it at a byte of its transaction; who runs on or comes after sees none of it, or the whole."""
    path, rehearsal = tmp_path / "tokens.jsonl", tmp_path / "rehearsal.jsonl"
    store = FileStore(path)
    store.add(Token(id="a", owner="alice"), "a")
    start = path.stat().st_size
    rehearsal.write_bytes(path.read_bytes())
    rehearsal.chmod(0o600)
    assert run(CUT, rehearsal, 0).returncode == 0
    most = (start if cut > 0 else rehearsal.stat().st_size) + cut

    died = run(CUT, path, most)

    assert (died.returncode, path.stat().st_size) == (-signal.SIGXFSZ, most)
    assert [token.id for token in store.list()] == list(expected)
    store.add(Token(id="d", owner="alice"), "d")
    assert [token.id for token in FileStore(path).list()] == [*expected, "d"]


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=280,
        env=ENVIRON,
        check=False,
    )


FORK = """
import os, sys, threading
from patmiddleware.backends.file import FileStore
from patmiddleware.model import Secret, Token

store = FileStore(sys.argv[1])
store.add(Token(id="t", owner="alice"), "secret")

def work(name):
    for number in range(150):
        store.add(Token(id=f"{name}-{number}", owner="alice"), f"{name}-{number}")
        assert store.find(Secret("secret"))

threads = [threading.Thread(target=work, args=(f"thread{n}",)) for n in range(3)]
for thread in threads:
    thread.start()
children = []
for child in range(6):
    pid = os.fork()
    if not pid:
        try:
            assert store.find(Secret("secret"))
            store.add(Token(id=f"child-{child}", owner="alice"), f"child-{child}")
            os._exit(0)
        except BaseException:
            os._exit(1)
    children.append(pid)
for thread in threads:
    thread.join()
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
print(codes, len(store.list()), store.revision())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: there is no fork")
def test_a_process_may_fork_while_its_threads_write(tmp_path: Path) -> None:
    """Neither parent nor child is left with a lock that nobody releases, and every change is kept."""
    done = run(FORK, tmp_path / "tokens.jsonl")

    assert (done.stdout, done.stderr) == ("[0, 0, 0, 0, 0, 0] 457 457\n", "")


def test_a_file_that_was_cut_is_no_older_one(tmp_path: Path) -> None:
    """What was read once does not vanish by a cut in the middle of a line; it comes back with what was cut off."""
    path = tmp_path / "tokens.jsonl"
    store = FileStore(path)
    for name in ("a", "b"):
        store.add(Token(id=name, owner="alice"), name)
    whole = path.read_bytes()

    os.truncate(path, len(whole) - 10)
    with pytest.raises(BackendUnavailable, match="line 3: it ends too early"):
        store.find(Secret("b"))
    with pytest.raises(BackendUnavailable):
        store.revision()
    path.write_bytes(whole)

    assert store.find(Secret("b")) is not None


FORK_IN_A_COUNT = """
import os, sys, threading, time
from patmiddleware.issuer import Issuer, IssuerLimits
from patmiddleware.backends.file import FileStore

class SlowStore(FileStore):
    def add(self, token, secret):
        counted.set()
        time.sleep(0.5)  # the fork below begins
        super().add(token, secret)

store, counted = SlowStore(sys.argv[1]), threading.Event()
issuer = Issuer(store, limits=IssuerLimits(maximum_per_owner=9))
thread = threading.Thread(target=issuer.mint, kwargs={"owner": "alice", "name": "parent"}, daemon=True)
thread.start()
counted.wait()
pid = os.fork()
if not pid:
    issuer.mint(owner="alice", name="child")
    os._exit(0)
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), sorted(token.name for token in store.list()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: there is no fork")
def test_a_process_may_fork_while_it_counts_the_tokens_of_an_owner(tmp_path: Path) -> None:
    """Who counts wants the locks that a fork holds, and does not keep the fork from ending; the child counts, too."""
    done = run(FORK_IN_A_COUNT, tmp_path / "tokens.jsonl")

    assert (done.stdout, done.stderr) == ("0 ['child', 'parent']\n", "")


FORKS = """
import os, threading, time
from patmiddleware.forks import hold_while_forking

class SlowLock:
    def __init__(self):
        self.lock = threading.Lock()
        self.acquire = self.lock.acquire

    def release(self):
        self.lock.release()
        time.sleep(0.2)  # the other fork goes on

class Owner:
    locks = (SlowLock(), SlowLock())

def look():
    time.sleep(0.3)
    held.append(all(lock.lock.locked() for lock in Owner.locks))

held, owner = [], Owner()
os.register_at_fork(before=look)  # what is registered first comes last
hold_while_forking(owner)

def fork():
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)

threads = [threading.Thread(target=fork) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(held)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: there is no fork")
def test_threads_may_fork_at_the_same_time() -> None:
    """Each lets go of the locks that it holds itself, and of no other's."""
    done = run(FORKS)

    assert (done.stdout, done.stderr) == ("[True, True, True]\n", "")


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
