"""Helper: a store with exactly the methods of the Protocol, so without transactions. It can be held up at each call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from patmiddleware.backends.memory import MemoryStore
from patmiddleware.changes import here
from patmiddleware.model import Digest, Secret, Token, Use
from patmiddleware.testing import Gate


class PlainStore(Gate):
    """A store without ``commit`` over the tokens of a memory store."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        super().__init__()
        self._store = store or MemoryStore()

    def find(self, secret: Secret) -> Token | None:
        self.enter("find")
        return self._store.find(secret)

    def revision(self) -> int:
        self.enter("revision")
        return self._store.revision()

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        self.enter("add")
        self._store.add(token, secret_or_digest)

    def get(self, id: str) -> Token | None:
        self.enter("get")
        return self._store.get(id)

    def list(
        self,
        *,
        owner: str | None = None,
        family: str | None = None,
        parent: str | None = None,
        revoked: bool | None = None,
        created_before: datetime | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Token]:
        self.enter("list")
        return self._store.list(
            owner=owner,
            family=family,
            parent=parent,
            revoked=revoked,
            created_before=created_before,
            after=after,
            limit=limit,
        )

    def replace(self, token: Token, expected: Token) -> None:
        self.enter("replace")
        self._store.replace(token, expected)

    def remove(self, id: str) -> None:
        self.enter("remove")
        self._store.remove(id)

    def record_use(self, uses: Mapping[str, Use]) -> None:
        self.enter("record_use")
        self._store.record_use(uses)

    def records(self) -> Iterator[tuple[Token, Digest]]:
        self.enter("records")
        return self._store.records()


class SilentStore(PlainStore):
    """Tells no cache of its changes, as a third party's store does not."""

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        with _silence():
            super().add(token, secret_or_digest)

    def replace(self, token: Token, expected: Token) -> None:
        with _silence():
            super().replace(token, expected)

    def remove(self, id: str) -> None:
        with _silence():
            super().remove(id)


@contextmanager
def _silence() -> Iterator[None]:
    before = here.count
    yield
    here.count = before
