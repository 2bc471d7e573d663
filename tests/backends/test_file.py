"""Tokens in a file."""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b
from pathlib import Path
from string import printable
from threading import Event, Thread
from time import sleep
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.backends import open_store
from patmiddleware.backends.file import FileStore, disk, tokenfile
from patmiddleware.backends.file.journal import fresh
from patmiddleware.backends.file.records import decode, encode
from patmiddleware.changes import here
from patmiddleware.errors import BackendError, BackendUnavailable, ConfigurationError, ConflictError
from patmiddleware.interfaces import Add, Remove, Replace, TokenStore
from patmiddleware.model import Digest, Revocation, Secret, Token, Use
from patmiddleware.testing import NOON, StoreOutageContract, TokenStoreContract, sample_token
from patmiddleware.tokens import mint_secret

OLD, NEW = b"an old pepper, 16+", b"a new pepper, 16+"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.jsonl"


class TestFileStore(TokenStoreContract):
    """The contract, without a pepper."""

    peppers: tuple[bytes, ...] = ()

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder, self.made = tmp_path, 0

    def make_store(self) -> FileStore:
        self.made += 1
        return FileStore(self.folder / f"{self.made}.jsonl", peppers=self.peppers)

    def make_second(self, store: TokenStore) -> FileStore:
        assert isinstance(store, FileStore)
        return FileStore(store.path, peppers=self.peppers)


class TestFileStoreWithPeppers(TestFileStore):
    """The contract, with two peppers."""

    peppers = (NEW, OLD)


class TestDamagedFile(StoreOutageContract):
    """The contract, while the file is bad."""

    @pytest.fixture(autouse=True)
    def _path(self, path: Path) -> None:
        self.path = path

    def make_unreachable(self) -> FileStore:
        store = filled(self.path)
        damage(self.path, line=2)
        return store


def filled(path: Path, tokens: int = 3) -> FileStore:
    """Give a store with some tokens, ``t0`` and so on; the secret of each is its id."""
    store = FileStore(path)
    for number in range(tokens):
        store.add(sample_token(f"t{number}"), f"t{number}")
    return store


def ids(store: FileStore) -> list[str]:
    return [token.id for token in store.list()]


def damage(path: Path, line: int) -> None:
    """Change one letter in the middle of a line, in place."""
    lines = path.read_bytes().splitlines(keepends=True)
    middle = len(lines[line - 1]) // 2
    lines[line - 1] = lines[line - 1][:middle] + b"\x07" + lines[line - 1][middle + 1 :]
    path.write_bytes(b"".join(lines))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


# -- what stands in the file


def test_every_line_is_json_and_one_change_is_one_line(path: Path) -> None:
    """A header, and a line for each transaction, however many changes are in it."""
    store = filled(path, tokens=1)

    store.commit([Remove("t0"), Add(sample_token("t1"), "t1"), Add(sample_token("t2"), "t2")])

    header, *lines = map(json.loads, path.read_text().splitlines())
    assert (header["format"], header["version"]) == ("patmiddleware tokens", 1)
    assert [line.keys() for line in lines] == [{"put", "seal"}, {"changes", "seal"}]


@pytest.mark.parametrize("peppers", [(), (NEW,)], ids=["plain", "pepper"])
def test_no_secret_and_no_pepper_is_written(path: Path, peppers: tuple[bytes, ...]) -> None:
    """Only digests reach the disk; with a pepper not even the plain one."""
    secret = mint_secret()
    store = FileStore(path, peppers=peppers)

    store.add(sample_token(), secret)
    store.record_use({"t1": Use(NOON)})

    written = b"".join(snapshot(path.parent).values())
    hidden = [secret.encode(), *peppers, *([Secret(secret).digest.hex().encode()] if peppers else [])]
    assert not [text for text in hidden if text in written]


def test_a_change_is_appended(path: Path) -> None:
    """One more token costs one line: the file is neither replaced nor rewritten."""
    store = filled(path, tokens=200)
    before, inode = path.read_bytes(), path.stat().st_ino

    store.add(sample_token("new"), "new")

    assert path.stat().st_ino == inode
    assert path.read_bytes().startswith(before)


texts = st.text(max_size=20) | st.text(printable + "\u2028\udcff", max_size=20)
moments = st.datetimes(
    datetime(1, 1, 3),
    datetime(9999, 12, 29),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)
tokens = st.builds(
    Token,
    id=texts.filter(bool),
    owner=texts,
    name=texts,
    scopes=st.frozensets(texts, max_size=3),
    created=moments,
    expires=st.none() | moments,
    networks=st.sampled_from([(), ("10.0.0.0/8",), ("::/0", "192.0.2.1/32")]),
    limits=st.dictionaries(texts, st.frozensets(texts, max_size=2), max_size=2),
    created_by=st.none() | texts,
    parent=st.none() | texts,
    family=texts,
    replaces=st.none() | texts,
    revoked=st.none() | st.builds(Revocation, moments, st.none() | texts, texts),
    last_used=st.none() | st.builds(Use, moments, st.none() | texts, st.none() | texts),
    attributes=st.dictionaries(texts, texts, max_size=2),
)
digests = st.builds(Digest, st.sampled_from(["sha256", "blake2b", "pkcs5s2"]), st.just("") | st.just("0a"), st.binary())


@given(tokens, digests)
def test_every_record_comes_back(token: Token, digest: Digest) -> None:
    """Whatever stands in a token survives the file, on one line of ASCII."""
    row = encode(token, digest)

    assert decode(row) == (token, digest)
    assert row.isascii()
    assert b"\n" not in row


@given(st.lists(tokens, max_size=6, unique_by=lambda token: token.id), texts, st.none() | texts)
def test_a_filter_finds_what_it_means(
    tmp_path_factory: pytest.TempPathFactory, records: list[Token], owner: str, parent: str | None
) -> None:
    """The quick look for a text in a row never hides a match, nor makes one."""
    store = FileStore(tmp_path_factory.mktemp("filter") / "tokens.jsonl")
    store.commit(Add(token, token.id) for token in records)
    asked = {owner} | {token.owner for token in records}

    found = [store.list(owner=name, parent=parent) for name in sorted(asked)]

    meant = sorted(records, key=lambda token: token.id)
    assert found == [
        [token for token in meant if token.owner == name and (parent is None or token.parent == parent)]
        for name in sorted(asked)
    ]


# -- opening


def test_address_opens_it(path: Path) -> None:
    """``file:PATH`` is this store, with its settings."""
    store = open_store(f"file:{path}", prefix="acme", peppers=[NEW], foreign=False)

    assert isinstance(store, FileStore)
    assert (store.prefix, store.peppers, store.foreign, store.path) == ("acme", (NEW,), False, path)


@pytest.mark.parametrize("there", [False, True], ids=["missing", "empty"])
def test_a_missing_or_empty_file_is_made(path: Path, there: bool) -> None:
    """A new store begins with a header and no token."""
    if there:
        path.touch(0o600)

    store = FileStore(path)

    assert (ids(store), store.revision(), path.read_bytes().count(b"\n")) == ([], 0, 1)


def test_everything_made_is_readable_to_its_maker_only(path: Path) -> None:
    """Mode 0600 for the file, what stands beside it, and what takes its place, whatever the umask is."""
    umask = os.umask(0)
    try:
        store = filled(path)
        store.record_use({"t0": Use(NOON)})
        churn(store)
    finally:
        os.umask(umask)

    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys([path.name, *(path.name + end for end in (".lock", ".uses", ".uses.lock"))], 0o600)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("size", ["empty", "filled"])
def test_a_file_that_others_may_write_is_refused(path: Path, mode: int, size: str) -> None:
    """The message has the command that mends it, and nothing is changed."""
    path.touch()
    if size == "filled":
        path.write_bytes(b"".join(fresh()))
    path.chmod(mode)
    before = snapshot(path.parent)

    with pytest.raises(ConfigurationError, match=rf"mode is {mode:o}\); run: chmod go-w {path}"):
        FileStore(path)

    assert snapshot(path.parent) == before


def test_a_mode_that_others_may_read_is_kept(path: Path) -> None:
    """An administrator may let a group read; compaction keeps it so."""
    store = filled(path)
    path.chmod(0o640)

    churn(store)

    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="platform: only an administrator can give files away")
def test_an_administrator_leaves_the_files_to_their_user(path: Path) -> None:
    """A command run as root does not lock the service out, whatever it makes or replaces."""
    filled(path)
    path.with_name(path.name + ".lock").unlink()
    os.chown(path, 65534, 65534)

    store = churn(FileStore(path))
    store.record_use({"t0": Use(NOON)})

    assert {(file.stat().st_uid, file.stat().st_gid) for file in path.parent.iterdir()} == {(65534, 65534)}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """The message has the command that makes the folder."""
    with pytest.raises(ConfigurationError, match=f"run: mkdir -p {tmp_path}/no/such"):
        FileStore(tmp_path / "no" / "such" / "tokens.jsonl")


@pytest.mark.parametrize("kind", ["folder", "pipe", "NUL in the name"])
def test_what_is_no_plain_file_is_refused(path: Path, kind: str) -> None:
    """Neither is opened: a pipe would wait for ever."""
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path, 0o600)
    else:
        path = path.with_name("to\0kens")

    with pytest.raises(ConfigurationError, match=r"no plain file|can't be the name"):
        FileStore(path)


def test_a_symbolic_link_is_resolved(path: Path) -> None:
    """The file itself is written, locked and replaced; the link stays a link."""
    real = path.with_name("real")
    real.mkdir()
    path.symlink_to(real / "tokens.jsonl")

    churn(FileStore(path))

    assert path.is_symlink()
    assert sorted(file.name for file in real.iterdir()) == ["tokens.jsonl", "tokens.jsonl.lock"]


def header(**facts: object) -> bytes:
    """Give a header with a right seal, whatever stands in it."""
    body = json.dumps({"format": "patmiddleware tokens", "version": 1} | facts, separators=(",", ":")).encode()[:-1]
    return body + b',"seal":"%s"}\n' % blake2b(body, digest_size=8).hexdigest().encode()


FOREIGN = {
    "no numbers": header(),
    "a text for a number": header(revision="7", records=0),
    "a number below zero": header(revision=0, records=-1),
    "csv": b"token,user,uid\nabc,alice,1\n",
    "json array": b'[{"id": "t1"}]\n',
    "json array, no line break": b'[{"id": "t1"}]',
    "json number": b"1\n",
    "other json lines": b'{"id": "t1"}\n{"id": "t2"}\n',
    "other format": b'{"format": "something else", "version": 1}\n',
    "sqlite": b"SQLite format 3\0" + bytes(4096),
    "not utf-8": b"\xff\xfe\n",
    "deep": b"[" * 100_000,
    "blank lines": b"\n\n\n",
    "no header": b"".join(list(fresh([b"{}"]))[1:]),
    "half a header": next(fresh())[:-20],
    "edited header": next(fresh()).replace(b'"revision":0', b'"revision":9'),
    "header of nothing": b'{"format":"patmiddleware tokens"}\n',
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_is_refused(path: Path, content: bytes) -> None:
    """The message names file and line, and nothing is changed."""
    path.write_bytes(content)
    path.chmod(0o600)
    before = snapshot(path.parent)

    with pytest.raises(ConfigurationError, match=rf"{path}, line \d: "):
        FileStore(path)

    assert snapshot(path.parent) == before


def test_a_newer_format_is_refused(path: Path) -> None:
    """What a later version wrote is not guessed at."""
    path.write_bytes(b'{"format":"patmiddleware tokens","version":2,"new":"things"}\n')
    path.chmod(0o600)

    with pytest.raises(ConfigurationError, match="format version 2, and this program knows only 1"):
        FileStore(path)


# -- damage


def remove_line(lines: list[bytes]) -> list[bytes]:
    return lines[:2] + lines[3:]


DAMAGE: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int]] = {
    "line gone": (remove_line, 3),
    "line twice": (lambda lines: [*lines[:3], *lines[2:]], 4),
    "lines swapped": (lambda lines: [lines[0], lines[2], lines[1], lines[3]], 2),
    "line of another file": (lambda lines: [*lines[:2], list(fresh([b'{"id":"x","digest":"y"}']))[1], *lines[2:]], 3),
    "line cut": (lambda lines: [*lines[:2], lines[2][:-9] + b"\n", lines[3]], 3),
    "two lines in one": (lambda lines: [*lines[:2], lines[2][:-1], lines[3]], 3),
    "last line cut, with its line break": (lambda lines: [*lines[:3], lines[3][:-9] + b"\n"], 4),
    "carriage returns": (lambda lines: [line.replace(b"\n", b"\r\n") for line in lines], 1),
    "text behind": (lambda lines: [*lines, b"hello\n"], 5),
}


@pytest.mark.parametrize(("change", "line"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_refused_with_its_line(path: Path, change: Callable[[list[bytes]], list[bytes]], line: int) -> None:
    """The message names the file and the first bad line, and nothing is changed."""
    filled(path)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    before = snapshot(path.parent)

    with pytest.raises(ConfigurationError, match=rf"{path}, line {line}: "):
        FileStore(path)

    assert snapshot(path.parent) == before


def record(id: str, digest: str) -> bytes:
    return json.dumps({"id": id, "digest": digest, "owner": "alice"}, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "rows",
    [
        [record("a", "sha256::00"), record("b", "sha256::00")],
        [record("a", "sha256::00"), record("a", "sha256::01")],
        [record("a", "sha256::00"), b'{"id":"b"}'],
        [record("a", "sha256::00"), b"[]"],
        [record("a", "sha256::00"), b"{"],
    ],
    ids=["one digest twice", "one id twice", "no digest", "no record", "no JSON"],
)
def test_what_no_store_of_ours_would_write_is_refused(path: Path, rows: list[bytes]) -> None:
    """A right seal alone does not make a line lawful."""
    path.write_bytes(b"".join(fresh(rows)))
    path.chmod(0o600)

    with pytest.raises(ConfigurationError, match="line 3: it holds no lawful change"):
        FileStore(path)


@given(st.data())
def test_no_changed_byte_goes_unseen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Another byte anywhere in the file is found, the last line break included."""
    path = tmp_path_factory.mktemp("damage") / "tokens.jsonl"
    filled(path, tokens=2)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)

    with pytest.raises(ConfigurationError):
        FileStore(path)


@pytest.mark.parametrize("last", ["a change", "a transaction"])
def test_an_unfinished_last_line_does_not_count(path: Path, last: str) -> None:
    """Cut anywhere, the file opens with all before that line, and the next change is written behind that."""
    store = filled(path)
    start = path.stat().st_size
    if last == "a change":
        store.add(sample_token("last"), "last")
    else:
        store.commit([Remove("t0"), Replace(sample_token("t1", name="new"), sample_token("t1"))])
    whole, before, after = path.read_bytes(), ["t0", "t1", "t2"], ids(store)

    for cut in range(start, len(whole)):
        path.write_bytes(whole[:cut])
        torn = FileStore(path)
        # The line break alone may be missing: the seal says that the line is whole.
        expected = after if cut == len(whole) - 1 else before
        assert ids(torn) == expected

        torn.add(sample_token("next"), "next")

        assert ids(torn) == ids(FileStore(path)) == sorted([*expected, "next"])
        assert torn.revision() == FileStore(path).revision() == 4 + (expected is after)


def test_what_a_crash_left_is_cut_off_and_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next writer says how many bytes went; nobody was told that they were written."""
    store = filled(path)
    with path.open("ab") as stream:
        stream.write(b'{"put":' + bytes(100))

    store.add(sample_token("next"), "next")

    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: the last write was never finished; its 107 bytes go"
    ]
    assert bytes(100) not in path.read_bytes()


def test_a_write_of_the_same_size_as_an_unfinished_one_is_seen(path: Path) -> None:
    """Neither size, time nor inode tell them apart, and yet a reader sees the new line."""
    store, reader = filled(path), FileStore(path)
    sound = path.stat().st_size
    store.add(sample_token("last"), "last")
    line = path.read_bytes()[sound:]
    os.truncate(path, sound)
    with path.open("ab") as stream:
        stream.write(bytes(len(line)))
    times = path.stat()
    assert reader.find(Secret("last")) is None

    with path.open("r+b") as stream:
        stream.seek(sound)
        stream.write(line)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert reader.find(Secret("last")) == sample_token("last")


# -- while running


def test_what_another_process_did_is_seen_at_once(path: Path) -> None:
    """The next ``find`` and ``revision`` know every change that was acknowledged."""
    writer = FileStore(path)
    reader = FileStore(path)
    seen = []

    for change in (
        lambda: writer.add(sample_token(), "secret"),
        lambda: writer.replace(sample_token(name="new"), sample_token()),
        lambda: writer.remove("t1"),
    ):
        change()
        found = reader.find(Secret("secret"))
        seen.append((found and found.name, reader.revision()))

    assert seen == [("ci", 1), ("new", 2), (None, 3)]


def test_a_stale_process_overwrites_nothing(path: Path) -> None:
    """``expected`` is compared with what is in the file, not with what this process read last."""
    one, other = filled(path), FileStore(path)
    one.replace(sample_token("t0", revoked=Revocation(NOON)), sample_token("t0"))

    with pytest.raises(ConflictError):
        other.replace(sample_token("t0", name="new"), sample_token("t0"))

    assert other.get("t0") == sample_token("t0", revoked=Revocation(NOON))


def test_a_change_is_announced(path: Path) -> None:
    """The caches of this process hear of it."""
    store = filled(path)
    before = here.count

    store.remove("t0")

    assert here.count > before


def test_nothing_to_change_writes_nothing(path: Path) -> None:
    """Removing what is not there neither grows the file nor raises the revision."""
    store = filled(path)
    before = path.read_bytes()

    store.commit([Remove("nobody"), Remove("nothing")])

    assert (path.read_bytes(), store.revision()) == (before, 3)


@pytest.mark.parametrize("how", ["replaced", "in place, shorter", "in place, longer", "in place, same size"])
def test_another_file_in_its_place_is_read_whole(path: Path, how: str) -> None:
    """A restored backup is served, however it came there."""
    count = {"in place, shorter": 2, "in place, longer": 6}.get(how, 3)
    other = path.with_name("other")
    backup = FileStore(other)
    for number in range(count):
        backup.add(sample_token(f"x{number}"), f"x{number}")
    store = filled(path)

    if how == "replaced":
        os.replace(other, path)
    else:
        path.write_bytes(other.read_bytes())

    assert ids(store) == [f"x{number}" for number in range(count)]
    assert store.find(Secret("t0")) is None


def test_ids_stay_in_order_whatever_comes_and_goes(path: Path) -> None:
    """Pages are of what is there now, though ids are sorted once only while none comes or goes."""
    store, other = filled(path), FileStore(path)
    ids(store)

    other.add(sample_token("a"), "a")
    other.remove("t1")
    other.replace(sample_token("t2", name="renamed"), sample_token("t2"))

    assert ids(store) == ["a", "t0", "t2"]
    assert [token.name for token in store.list(after="t0")] == ["renamed"]
    assert [token.id for token in store.list(after="b", limit=1)] == ["t0"]


def test_a_backup_that_is_being_put_back_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first lines alone would bring what a later one revokes back to life."""
    monkeypatch.setattr(tokenfile, "QUIET", 2.0)  # the thread of a busy machine may be late for its last line
    store = filled(path)
    store.replace(sample_token("t1", revoked=Revocation(NOON)), sample_token("t1"))
    lines = path.read_bytes().splitlines(keepends=True)
    begun = Event()

    def put_back() -> None:
        with path.open("wb") as stream:
            for line in lines:
                stream.write(line)
                stream.flush()
                if line is lines[-2]:
                    begun.set()
                    sleep(0.02)

    writer = Thread(target=put_back)
    writer.start()
    begun.wait()
    found = store.find(Secret("t1"))
    writer.join()

    assert found == sample_token("t1", revoked=Revocation(NOON))


@pytest.mark.parametrize("since", [0, 1, 2, 3])
@pytest.mark.parametrize("meanwhile", ["nothing", "bad"])
def test_a_backup_that_is_put_back_repeats_no_revision(path: Path, since: int, meanwhile: str) -> None:
    """However many changes it has seen since: a cache that knew a number would take its tokens for the same."""
    store, backup = filled(path), path.with_name("backup")
    shutil.copy2(path, backup)
    told = [store.revision()]
    for number in range(2):
        store.replace(sample_token(f"t{number}", revoked=Revocation(NOON)), sample_token(f"t{number}"))
        told.append(store.revision())
    other = FileStore(backup)
    for number in range(since):
        other.add(sample_token(f"since {number}"), f"since {number}")
    if meanwhile == "bad":
        path.write_bytes(b"bad")
        with pytest.raises(BackendUnavailable):
            store.revision()

    os.replace(backup, path)
    told.append(store.revision())
    store.remove("t2")
    told.append(store.revision())

    assert told == sorted(set(told))


def test_another_file_in_its_place_is_not_taken_for_an_unfinished_line(path: Path) -> None:
    """Where this process stopped reading, the other file has the middle of a line, and that lacks its line break."""
    store, other = filled(path), path.with_name("other")
    FileStore(other).add(sample_token(attributes={"padding": "x" * 2 * path.stat().st_size}), "secret")

    path.write_bytes(other.read_bytes()[:-1])

    assert ids(store) == ["t1"]


SPOILERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "damaged": (lambda path: damage(path, line=3), "line 3: it is damaged"),
    "foreign": (lambda path: path.write_bytes(b"hello\n"), "line 1: this is no token file"),
    "emptied": (lambda path: path.write_bytes(b""), "line 1: the file ends too early"),
    "cut in a line that a compaction wrote": (lambda path: os.truncate(path, 1000), "line 3: the file ends too early"),
    "gone": (lambda path: path.unlink(), "can't be read: No such file"),
    "open to others": (lambda path: (path.write_bytes(path.read_bytes()), path.chmod(0o666)), "run: chmod go-w"),
}


@pytest.mark.parametrize(("spoil", "message"), SPOILERS.values(), ids=SPOILERS)
def test_a_file_that_turns_bad_is_an_outage(
    path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], object], message: str
) -> None:
    """Nothing is answered from it or written to it, the log names it once, and a mended file serves again."""
    store = churn(filled(path, tokens=10))
    good = path.with_name("good")
    shutil.copy2(path, good)
    calls: list[Callable[[], object]] = [
        lambda: store.find(Secret("t0")),
        lambda: store.find(Secret("unknown")),
        store.revision,
        lambda: store.get("t0"),
        store.list,
        store.records,
        lambda: store.add(sample_token("new"), "new"),
        lambda: store.remove("t0"),
        lambda: store.record_use({"t0": Use(NOON)}),
    ]

    spoil(path)
    spoilt = path.read_bytes() if path.exists() else None
    for call in calls:
        with pytest.raises(BackendUnavailable, match=message):
            call()

    assert [str(path) in record.getMessage() and message in record.getMessage() for record in caplog.records] == [True]
    assert (path.read_bytes() if path.exists() else None) == spoilt

    os.replace(good, path)

    assert store.find(Secret("t0")) == sample_token("t0")


def test_a_reader_may_be_unable_to_write(path: Path) -> None:
    """Reading takes no lock and makes no file."""
    store = filled(path)
    (path.with_name(path.name + ".lock")).unlink()

    assert FileStore(path).find(Secret("t0")) == store.get("t0")
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# -- compaction


def churn(store: FileStore, changes: int = 2 * tokenfile.MANY_DEAD + 50) -> FileStore:
    """Make so many changes that the file is written anew at least once."""
    inode = store.path.stat().st_ino
    compacted = False
    for number in range(changes):
        if number % 2:
            store.remove("churn")
        else:
            store.add(sample_token("churn"), "churn")
        compacted = compacted or store.path.stat().st_ino != inode
    assert compacted
    return store


def test_compaction_keeps_everything(path: Path) -> None:
    """Tokens, digests, last uses and the revision are as before, here and in other processes."""
    store = filled(path, tokens=20)
    store.add(sample_token("used", last_used=Use(NOON)), Digest("pkcs5s2", "", b"{PKCS5S2}abc"))
    store.record_use({"t3": Use(NOON, "192.0.2.1", "curl")})
    other = FileStore(path)
    records = list(store.records())

    churn(store, changes=300)

    assert list(store.records()) == list(other.records()) == list(FileStore(path).records()) == records
    assert store.revision() == other.revision() == FileStore(path).revision() == 321


def test_the_file_stays_in_proportion(path: Path) -> None:
    """However many changes were made, at most about half of the lines are dead."""
    store = filled(path, tokens=10)

    churn(store, changes=1000)

    assert path.read_bytes().count(b"\n") <= 2 * 10 + 2 * tokenfile.MANY_DEAD


def test_few_dead_lines_are_left_alone(path: Path) -> None:
    """A small file is not written anew all the time."""
    store = filled(path, tokens=1)
    inode = path.stat().st_ino

    for number in range(tokenfile.MANY_DEAD - 1):
        store.replace(sample_token("t0", name=f"{number + 1}"), store.get("t0") or sample_token())

    assert path.stat().st_ino == inode


def test_a_failing_compaction_fails_no_change(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The change is made before; the log says what is wrong, not at every change."""
    store = filled(path)
    path.with_name(path.name + ".new").mkdir()

    for number in range(250):
        store.replace(
            sample_token("t0", name=f"{number + 1}"), sample_token("t0", name=f"{number}" if number else "ci")
        )

    assert store.get("t0") == FileStore(path).get("t0") == sample_token("t0", name="250")
    assert 1 <= len(caplog.records) <= 2


def test_what_a_crash_left_of_a_compaction_is_no_hindrance(path: Path) -> None:
    """A half-written new file is thrown away by the next compaction."""
    store = filled(path)
    left = path.with_name(path.name + ".new")
    left.write_bytes(b"half")

    churn(store)

    assert not left.exists()
    assert ids(FileStore(path)) == ["t0", "t1", "t2"]


# -- a file that is put in the place of another


@pytest.mark.parametrize("looks_between", [True, False], ids=["watched", "idle"])
def test_a_new_revision_is_one_that_never_was(path: Path, looks_between: bool) -> None:
    """A backup is put back and changed to the old count: who knew that number is not told that nothing changed."""
    store, backup = filled(path), path.with_name("backup")
    shutil.copyfile(path, backup)
    store.add(sample_token("late"), "late")
    reader = FileStore(path)
    known = reader.revision()
    backup.chmod(0o600)
    os.replace(backup, path)
    if looks_between:
        reader.revision()

    FileStore(path).remove("t1")

    assert (reader.revision() > known, reader.find(Secret("t1"))) == (True, None)


def test_a_copy_of_the_file_changes_nothing(path: Path) -> None:
    """The same tokens in another file, or back after garbage, are no change."""
    store, copy = filled(path), path.with_name("copy")
    before = store.revision()
    shutil.copyfile(path, copy)
    copy.chmod(0o600)

    path.write_bytes(b"garbage")
    with pytest.raises(BackendUnavailable):
        store.revision()
    os.replace(copy, path)

    assert (store.revision(), ids(store)) == (before, ["t0", "t1", "t2"])


# -- errors of the disk


def test_a_full_disk_leaves_nothing_half_written(path: Path) -> None:
    """The change fails as an outage, the file is as before, and the next change is made."""
    store = filled(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
    try:
        with pytest.raises(BackendUnavailable, match="can't be written: File too large"):
            store.add(sample_token("new"), "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert (path.read_bytes(), store.find(Secret("new")), store.revision()) == (before, None, 3)
    store.add(sample_token("new"), "new")
    assert FileStore(path).find(Secret("new")) == sample_token("new")


def test_a_file_that_grew_behind_the_lock_is_not_written_to(path: Path) -> None:
    """What somebody wrote without the lock is not cut off: it is judged first."""
    store = filled(path)
    seen = path.stat()
    store.add(sample_token("new"), "new")
    before = path.read_bytes()

    with pytest.raises(OSError, match="without its lock"):
        disk.append(path, b"line", seen=seen, keep=seen.st_size)

    assert path.read_bytes() == before


def test_a_lock_that_never_comes_is_given_up(path: Path) -> None:
    """A stopped process can't hold up the others for ever."""
    lock = path.with_name("lock")

    with disk.locked(lock, beside=path):  # noqa: SIM117 - the second waits for the first
        with pytest.raises(TimeoutError), disk.locked(lock, beside=path, timeout=0.01):
            pass


def test_a_lock_that_can_not_be_made_is_an_outage(path: Path) -> None:
    """Writing without a lock is not tried."""
    store = filled(path)
    lock = path.with_name(path.name + ".lock")
    lock.unlink()
    lock.symlink_to(path.with_name("elsewhere"))

    with pytest.raises(BackendUnavailable, match="can't be written"):
        store.add(sample_token("new"), "new")

    assert not path.with_name("elsewhere").exists()
    assert ids(store) == ["t0", "t1", "t2"]


@pytest.mark.parametrize(
    "odd",
    [
        {"name": 5},
        {"created_by": 5},
        {"created_by": object()},
        {"attributes": {"a": 5}},
        {"revoked": Revocation(NOON, 5)},  # type: ignore[arg-type]
        {"revoked": Revocation(NOON, None, object())},  # type: ignore[arg-type]
        {"last_used": Use(NOON, 5)},  # type: ignore[arg-type]
    ],
)
def test_what_could_not_be_read_again_is_not_written(odd: dict[str, Any], path: Path) -> None:
    """A record in which something that is no text stands in the place of one is refused: one such fails every list."""
    store = FileStore(path)
    store.add(sample_token(), "secret")
    before = path.read_bytes()

    with pytest.raises(BackendError, match="can't be kept"):
        store.add(sample_token("t2", **odd), "other")

    assert (path.read_bytes(), FileStore(path).list()) == (before, [sample_token()])


def test_a_record_that_makes_no_sense_is_an_outage(path: Path) -> None:
    """One such record can't be taken for an unknown token, and the others are served."""
    row = b'{"id":"odd","digest":"%s","created":"yesterday"}' % f"sha256::{Secret('odd').digest.hex()}".encode()
    path.write_bytes(b"".join(fresh([row])))
    path.chmod(0o600)
    store = FileStore(path)
    store.add(sample_token(), "secret")

    with pytest.raises(BackendUnavailable, match="makes no sense"):
        store.find(Secret("odd"))

    assert store.find(Secret("secret")) == sample_token()


# -- peppers


def test_peppers_rotate(path: Path) -> None:
    """Tokens kept without a pepper or under an older one are found under the new list, and taken."""
    FileStore(path).add(sample_token("plain"), "plain")
    FileStore(path, peppers=[OLD]).add(sample_token("old"), "old")

    store = FileStore(path, peppers=[NEW, OLD])

    assert [store.find(Secret(text)) for text in ("plain", "old")] == [sample_token("plain"), sample_token("old")]
    for text in ("plain", "old"):
        with pytest.raises(ConflictError):
            store.add(sample_token("again"), text)
    assert FileStore(path).find(Secret("old")) is None


# -- last use


def test_last_uses_stand_beside_the_tokens(path: Path) -> None:
    """They outlive the process, other processes see them, and the token file is not touched."""
    store, other = filled(path), FileStore(path)
    before = path.read_bytes()

    store.record_use({"t0": Use(NOON, "192.0.2.1", "curl")})

    used = sample_token("t0", last_used=Use(NOON, "192.0.2.1", "curl"))
    assert other.get("t0") == FileStore(path).find(Secret("t0")) == used
    assert path.read_bytes() == before


def test_uses_of_several_processes_are_merged(path: Path) -> None:
    """The newest of each token wins, whoever wrote it."""
    one, other = filled(path), FileStore(path)
    late = NOON + timedelta(minutes=1)

    one.record_use({"t0": Use(NOON), "t1": Use(late)})
    other.record_use({"t0": Use(late), "t1": Use(NOON), "t2": Use(NOON)})

    assert [token.last_used for token in one.list()] == [Use(late), Use(late), Use(NOON)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"format":"patmiddleware uses","version":2,"uses":{}}',
        b'{"format":"patmiddleware uses","version":1,"uses":{"t0":{"at":"2026-04-15T12:00:00"}}}',
        b'{"format":"patmiddleware uses","version":1,"uses":{"t0":7}}',
        b'{"format":"patmiddleware uses","version":1,"uses":[]}',
    ],
    ids=["empty", "text", "array", "binary", "deep", "newer", "naive time", "no use", "no mapping"],
)
def test_a_bad_file_of_uses_begins_anew(path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    """It is never an outage: the log says so once, and the next use is kept."""
    filled(path)
    beside = path.with_name(path.name + ".uses")
    beside.write_bytes(content)

    store = FileStore(path)
    assert [store.get("t0"), store.get("t0")] == [sample_token("t0")] * 2
    logged = [record.levelno for record in caplog.records if str(beside) in record.getMessage()]
    store.record_use({"t0": Use(NOON)})

    assert logged == [logging.WARNING]
    assert FileStore(path).get("t0") == sample_token("t0", last_used=Use(NOON))


def test_uses_that_can_not_be_written_are_an_outage_of_their_own(path: Path) -> None:
    """Whoever writes them behind tries again; removing a token does not depend on it."""
    store = filled(path)
    store.record_use({"t0": Use(NOON)})
    path.with_name(path.name + ".uses.new").mkdir()

    with pytest.raises(BackendUnavailable):
        store.record_use({"t1": Use(NOON)})
    store.remove("t0")

    assert ids(FileStore(path)) == ["t1", "t2"]


def test_a_newer_use_of_the_record_itself_stands(path: Path) -> None:
    """A token that was moved here with its last use is not given an older one."""
    store = FileStore(path)
    store.add(sample_token(last_used=Use(NOON)), "secret")

    store.record_use({"t1": Use(NOON - timedelta(days=1))})

    assert store.get("t1") == replace(sample_token(), last_used=Use(NOON))


def test_what_a_bad_file_last_said_can_still_be_asked_for(tmp_path: Path) -> None:
    """While the file is bad, ``find`` fails, and ``find_last_good`` still knows a token that was never asked for."""
    store = FileStore(tmp_path / "tokens.jsonl")
    store.add(Token("1", "alice"), Secret("good"))
    assert store.find(Secret("another")) is None

    (tmp_path / "tokens.jsonl").write_bytes(b"no token file\n")

    with pytest.raises(BackendUnavailable):
        store.find(Secret("good"))
    assert store.find_last_good(Secret("good")) == Token("1", "alice")
    assert store.find_last_good(Secret("bad")) is None


LOOKALIKES = [
    '},{"put":',
    '"}},{"put":{"id":"x","digest":"y",',
    '{"changes":[{"put":',
    "}]",
    '"}},{"remove":"t0"',
    "\\",
]
kept_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(LOOKALIKES)


@given(texts=st.lists(kept_texts, min_size=2, max_size=6), removes=st.booleans(), last=st.sampled_from(["z", '"z\\']))
def test_many_changes_in_a_line_are_read_as_they_were_made(texts: list[str], removes: bool, last: str) -> None:
    """A line that only writes records is read without a JSON parser, whatever stands in them."""
    with tempfile.TemporaryDirectory() as folder:
        store = FileStore(f"{folder}/tokens.jsonl")
        added = [Add(Token(id=f"t{n}", owner=text, name=text), f"secret {n}") for n, text in enumerate(texts)]
        store.commit([*added, Add(Token(id=last, owner="alice"), "odd"), *([Remove("t0")] if removes else [])])

        again = FileStore(f"{folder}/tokens.jsonl")

        assert list(again.records()) == list(store.records())
        assert [token.owner for token in again.list() if token.id != last] == texts[removes:]
