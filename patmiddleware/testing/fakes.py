"""A clock, a store, a directory and a vault that do as a test tells them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from patmiddleware.backends.memory import MemoryStore, StaticDirectory
from patmiddleware.errors import BackendUnavailable, ConfigurationError
from patmiddleware.interfaces import Change
from patmiddleware.model import Digest, Owner, Secret, Token, UpstreamCredential, Use

from .samples import NOON


class FakeClock:
    """A clock that stands still until it is told to go on.

    Args:
        start: seconds since the epoch.
    """

    def __init__(self, start: float = NOON.timestamp()) -> None:
        self.seconds = start

    def __call__(self) -> float:
        """Give the time, in seconds since the epoch."""
        return self.seconds

    @property
    def now(self) -> datetime:
        """The time, as an aware UTC datetime."""
        return datetime.fromtimestamp(self.seconds, UTC)

    def advance(self, by: float | timedelta) -> None:
        """Let some time pass, given in seconds or as a span; less than none steps the clock back."""
        self.seconds += by.total_seconds() if isinstance(by, timedelta) else by

    def set(self, moment: datetime) -> None:
        """Set the clock.

        Raises:
            ConfigurationError: for a time without a zone, which would be another one on another machine.
        """
        if moment.tzinfo is None:
            raise ConfigurationError(f"{moment} has no time zone", hint="datetime(…, tzinfo=UTC)")
        self.seconds = moment.timestamp()


class Gate:
    """Counts calls and fails on demand.

    Attributes:
        calls: how often each method was called.
        down: while True every call raises ``BackendUnavailable``.
        before: called with the method's name before each call, for instance to hold it up.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.down = False
        self.before: Callable[[str], object] = lambda method: None

    def enter(self, method: str) -> None:
        """Count one call of a method, and let it pass or fail."""
        self.calls[method] += 1
        self.before(method)
        if self.down:
            raise BackendUnavailable("this fake is down, as asked")


class FlakyStore(Gate):
    """A store that counts its calls and fails on demand.

    Args:
        store: where the tokens really are; left out: a new :class:`~patmiddleware.backends.memory.MemoryStore`.
    """

    def __init__(self, store: MemoryStore | None = None) -> None:
        super().__init__()
        self.store = MemoryStore() if store is None else store
        self.prefix, self.peppers, self.foreign = self.store.prefix, self.store.peppers, self.store.foreign

    def find(self, secret: Secret) -> Token | None:
        self.enter("find")
        return self.store.find(secret)

    def revision(self) -> int:
        self.enter("revision")
        return self.store.revision()

    def add(self, token: Token, secret_or_digest: Secret | Digest | str) -> None:
        self.enter("add")
        self.store.add(token, secret_or_digest)

    def get(self, id: str) -> Token | None:
        self.enter("get")
        return self.store.get(id)

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
        return self.store.list(
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
        self.store.replace(token, expected)

    def remove(self, id: str) -> None:
        self.enter("remove")
        self.store.remove(id)

    def commit(self, changes: Iterable[Change]) -> None:
        self.enter("commit")
        self.store.commit(changes)

    def record_use(self, uses: Mapping[str, Use]) -> None:
        self.enter("record_use")
        self.store.record_use(uses)

    def records(self) -> Iterator[tuple[Token, Digest]]:
        self.enter("records")
        return self.store.records()


class FlakyDirectory(Gate):
    """A directory that counts its calls and fails on demand.

    Args:
        owners: whom it knows.
    """

    def __init__(self, owners: Mapping[str, Owner] | Iterable[Owner] = ()) -> None:
        super().__init__()
        self.directory = StaticDirectory(owners)

    def find(self, name: str) -> Owner | None:
        self.enter("find")
        return self.directory.find(name)


class FlakyPasswordDirectory(FlakyDirectory):
    """A directory that checks passwords, counts its calls and fails on demand.

    Args:
        owners: whom it knows.
        passwords: by the owner's name; whoever has none can't get in by one.
    """

    def __init__(
        self, owners: Mapping[str, Owner] | Iterable[Owner] = (), passwords: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(owners)
        self._passwords = dict(passwords or {})

    def authenticate(self, name: str, password: str) -> Owner | None:
        self.enter("authenticate")
        owner = self.directory.find(name)
        # In clear and compared as it comes: this is for tests.
        right = password != "" and self._passwords.get(name) == password
        return owner if right and owner is not None and owner.active else None


class FlakyVault(Gate):
    """A vault in memory, which encrypts nothing, counts its calls and fails on demand."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[tuple[str, str], UpstreamCredential] = {}

    def get(self, owner: str, upstream: str) -> UpstreamCredential | None:
        self.enter("get")
        return self._kept.get((owner, upstream))

    def put(self, owner: str, upstream: str, credential: UpstreamCredential) -> None:
        self.enter("put")
        values = MappingProxyType(dict(credential.values))
        self._kept[owner, upstream] = UpstreamCredential(credential.kind, values)

    def remove(self, owner: str, upstream: str) -> None:
        self.enter("remove")
        self._kept.pop((owner, upstream), None)
