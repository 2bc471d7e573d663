"""Exports."""

from __future__ import annotations

import io
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from patmiddleware.backends.file import FileStore
from patmiddleware.backends.file.journal import fresh
from patmiddleware.backends.file.records import dump, encode
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.errors import RefusedError
from patmiddleware.model import Digest, Token
from patmiddleware.moving import Export, NewExport, copy
from patmiddleware.testing import sample_token

IDS = ["-", "10", "9", "A", "_", "a\nb", "ä", "\uff5e", "\U0001f600"]


def filled(*ids: str) -> MemoryStore:
    store = MemoryStore()
    for id in ids:
        store.add(sample_token(id, parent=None), id)
    return store


def exported(path: Path, *ids: str) -> Path:
    with closing(NewExport(path)) as target:
        assert copy(filled(*ids), target).verified
        target.keep()
    return path


@pytest.mark.parametrize("ids", [[], ["one"], IDS])
def test_an_export_has_all_tokens(tmp_path: Path, ids: list[str]) -> None:
    """Whatever their ids are; and it is a token file."""
    path = exported(tmp_path / "x", *ids)

    with path.open("rb") as stream:
        export = Export(stream, "x")
        assert (export.count(), list(export.records())) == (len(ids), list(filled(*ids).records()))
        assert list(export.records()) == list(export.records())
    assert list(FileStore(path).records()) == list(filled(*ids).records())


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are of another kind there")
def test_an_export_is_for_its_maker_alone(tmp_path: Path) -> None:
    """Also where somebody else puts a file at its path while it is written."""
    path = tmp_path / "x"
    with closing(NewExport(path)) as target:
        path.touch()
        path.chmod(0o666)
        assert copy(filled("one"), target).verified
        target.keep()

    assert path.stat().st_mode & 0o777 == 0o600


def test_an_export_is_whole_or_not_there(tmp_path: Path) -> None:
    """Until it is finished there is no file, and nothing beside it."""
    with closing(NewExport(tmp_path / "x")) as target:
        pairs = filled(*IDS).records()

        def breaking(records: object = pairs) -> object:
            yield from pairs
            raise RefusedError("broken")

        class Source:
            records = staticmethod(breaking)

        with pytest.raises(RefusedError, match="broken"):
            copy(Source(), target)  # type: ignore[arg-type]

    assert list(tmp_path.iterdir()) == []


class OnABadDisk(NewExport):
    """An export that is not on the disk as it was written."""

    def finish(self) -> None:
        super().finish()
        [part] = (file for file in self.folder.iterdir() if file.name == "x.part")
        part.write_bytes(self.spoil(part.read_bytes()))

    folder: Path
    spoil: Callable[[bytes], bytes]


@pytest.mark.parametrize("spoil", [lambda text: text[:-30], lambda text: b"".join(fresh())], ids=["cut", "other"])
def test_an_export_that_can_not_be_read_back_is_not_kept(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    """It is looked at as it stands on the disk, before it has its name."""
    with closing(OnABadDisk(tmp_path / "x")) as target:
        target.folder, target.spoil = tmp_path, spoil  # type: ignore[method-assign]
        with suppress(RefusedError):  # that it can't be read says enough
            assert not copy(filled("a", "b"), target).verified

    assert list(tmp_path.iterdir()) == []


def test_an_export_without_a_name(tmp_path: Path) -> None:
    """It is written to any stream, and is the same file."""
    out = io.BytesIO()
    with closing(NewExport()) as target:
        assert copy(filled(*IDS), target).verified
        target.write_to(out)

    (tmp_path / "x").write_bytes(out.getvalue())
    with (tmp_path / "x").open("rb") as stream:
        assert Export(stream, "x").count() == len(IDS)


def test_a_store_that_is_in_use_is_taken_for_an_export(tmp_path: Path) -> None:
    """What is dead in it is not, and its tokens come in order."""
    store = FileStore(tmp_path / "x")
    for id in ("c", "a", "b"):
        store.add(sample_token(id), id)
    store.remove("a")
    store.replace(sample_token("b", name="new"), sample_token("b"))

    with store.path.open("rb") as stream:
        assert list(Export(stream, "x").records()) == list(store.records())


def test_an_export_of_ours_is_not_held_in_memory(tmp_path: Path) -> None:
    """It is read line by line, so its size does not matter."""
    path = exported(tmp_path / "x", *(f"{number:04}" for number in range(500)))

    tracemalloc.start()
    try:
        with path.open("rb") as stream:
            assert sum(1 for _ in Export(stream, "x").records()) == 500
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < path.stat().st_size / 4


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """What was judged is not what would be written."""
    path = exported(tmp_path / "x", "a", "b")

    with path.open("rb") as stream:
        export = Export(stream, "x")
        path.write_bytes(path.read_bytes().replace(b"alice", b"mallo"))

        with pytest.raises(RefusedError, match="x was changed while it was read"):
            list(export.records())


@pytest.mark.parametrize("id", ["one", "zw\u00f6lf"])
def test_a_record_that_is_none_is_named(tmp_path: Path, id: str) -> None:
    """By the file and its id."""
    row = encode(Token(id, "alice", scopes=frozenset({"two words"})), Digest("sha256", "", bytes(32)))
    (tmp_path / "x").write_bytes(b"".join(fresh([row])))

    with (tmp_path / "x").open("rb") as stream, pytest.raises(RefusedError, match=f"x: the record of token {id} is"):
        list(Export(stream, "x").records())


# -- doctored: every seal is right

PLAIN = f"sha256::{'00' * 32}"
DOCTORED: list[dict[str, object]] = [
    {"id": 5},
    {"id": None},
    {"id": ""},
    {"name": ["ci"]},
    {"parent": ["t0"]},
    {"created_by": 5},
    {"family": 5},
    {"limits": {"project": [1]}},
    {"attributes": {"a": None}},
    {"created": "0001-01-01T00:00:00+14:00"},
    {"expires": "9999-12-31T23:59:59-14:00"},
    {"revoked": {"at": "2026-11-01T00:00:00+00:00", "by": 5}},
    {"last_used": {"at": "2026-11-01T00:00:00+00:00", "agent": {}}},
    {"digest": f"md5::{'00' * 32}"},
    {"digest": f"sha256:key:{'00' * 32}"},
]


def refuse_doctored(path: Path, row: bytes) -> None:
    path.write_bytes(b"".join(fresh([row])))
    with path.open("rb") as stream, pytest.raises(RefusedError, match="is not one; nothing was written"):
        copy(Export(stream, "x"), MemoryStore())


@pytest.mark.parametrize("facts", DOCTORED, ids=str)
def test_a_doctored_record_is_refused(tmp_path: Path, facts: dict[str, object]) -> None:
    """What no issuer made is found before it stands in a store, which it could make unreadable."""
    row = dump({"id": "t1", "digest": PLAIN, "owner": "alice"} | facts)

    refuse_doctored(tmp_path / "x", row)


def test_brackets_without_end_are_refused(tmp_path: Path) -> None:
    """They are no record, and no fault of the program's."""
    row = f'{{"id":"t1","digest":"{PLAIN}","owner":"a","attributes":{"[" * 100_000}{"]" * 100_000}}}'.encode()

    refuse_doctored(tmp_path / "x", row)
