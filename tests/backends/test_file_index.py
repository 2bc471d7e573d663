"""Lists from a file store look only at what they give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.backends.file import FileStore
from patmiddleware.backends.file.index import Index
from patmiddleware.backends.file.journal import Journal
from patmiddleware.backends.file.records import encode
from patmiddleware.interfaces import Add, Remove, Replace
from patmiddleware.issuer import Issuer
from patmiddleware.model import Digest, Token
from patmiddleware.testing import sample_token

DIGEST = Digest("sha256", "", bytes(32))


class Counting(FileStore):
    """A store that counts the records of which it makes tokens."""

    decoded = 0

    def _record(self, row: bytes) -> tuple[Token, Digest]:
        self.decoded += 1
        return super()._record(row)


def filled(path: Path, *tokens: Token) -> Counting:
    store = Counting(path)
    store.commit([Add(token, token.id) for token in tokens])
    return store


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"owner": "owner 3"}, 10),
        ({"parent": "t007"}, 1),
        ({"parent": "nobody"}, 0),
        ({"family": "t007"}, 2),
        ({"owner": "owner 3", "parent": "t002"}, 1),
        ({"owner": "nobody", "family": "t007"}, 0),
    ],
    ids=str,
)
def test_a_list_makes_tokens_of_what_may_match(tmp_path: Path, filters: dict[str, Any], expected: int) -> None:
    """However many others there are."""
    store = filled(
        tmp_path / "x",
        *(
            Token(
                f"t{number:03}",
                f"owner {number % 10}",
                parent=f"t{number - 1:03}" if number else None,
                family="t007" if number == 8 else "",
            )
            for number in range(100)
        ),
    )

    found = store.list(**filters)

    assert (len(found), store.decoded) == (expected, expected)


def test_revoking_all_of_an_owner_grows_with_their_tokens(tmp_path: Path) -> None:
    """Twice the tokens make twice the work: for each, only its children are looked at."""
    work = []
    for count in (20, 40):
        store = filled(tmp_path / str(count), *(Token(f"t{number}", "alice") for number in range(count)))
        assert len(list(Issuer(store).revoke_owner("alice"))) == count
        work.append(store.decoded)

    assert work[1] == 2 * work[0]


owners = st.sampled_from(["alice", 'quo"ted', "back\\slash", "ü\U0001f600", '"owner":"alice"', "\n", ""])
steps = st.lists(st.tuples(st.sampled_from(["put", "remove"]), st.sampled_from("abc"), owners, st.none() | owners))


@given(steps)
def test_an_index_keeps_in_step(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    """Whatever was changed after it was made, it finds what it would find if it were made now."""
    store = FileStore(tmp_path_factory.mktemp("index") / "x")
    assert store.list(owner="alice") == []
    there: dict[str, Token] = {}

    for what, id, owner, other in steps:
        token = Token(id, owner, parent=other, family=other or "", attributes={"owner": "alice", 'x"family': "b"})
        if what == "remove":
            store.commit([Remove(there.pop(id).id)] if id in there else [])
            continue
        store.commit([Replace(token, there[id]) if id in there else Add(token, id)])
        there[id] = token

    for name in ("owner", "parent", "family"):
        for value in ("alice", 'quo"ted', "back\\slash", "ü\U0001f600", '"owner":"alice"', "\n", "", "a", "b"):
            assert store.list(**{name: value}) == [
                there[id] for id in sorted(there) if getattr(there[id], name) == value
            ]


def test_nothing_is_left_of_what_is_gone() -> None:
    """An index does not grow with what comes and goes."""
    rows = {id: encode(sample_token(id), DIGEST) for id in "abc"}
    index = Index(rows)

    for id, row in rows.items():
        index.discard(id, row)

    assert [index.ids(name, value) for name, value in (("owner", "alice"), ("parent", "p1"), ("family", "f1"))] == [
        (), (), ()
    ]  # fmt: skip
    assert index._ids == {}


def test_who_never_lists_has_no_index(tmp_path: Path) -> None:
    """A server that only looks tokens up pays no memory for it."""
    filled(tmp_path / "x", sample_token())

    with (tmp_path / "x").open("rb") as stream:
        journal = Journal(stream)

    assert journal._index is None
    assert list(journal.naming("owner", "alice")) == ["t1"]
