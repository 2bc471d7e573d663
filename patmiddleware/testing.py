"""Contracts and fakes for those who write a backend, and an application that sends a token.

A contract is a pytest class. Subclass it, fill in its one method, and every promise of the Protocol is tested::

    class TestMyStore(TokenStoreContract):
        def make_store(self):
            return MyStore(...)

Import the fixtures that you want by name: ``from patmiddleware.testing import pat_clock``.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

from .backends.memory import MemoryStore, StaticDirectory
from .errors import BackendUnavailable, ConfigurationError, ConflictError
from .interfaces import Add, Change, Directory, Remove, Replace, Revisioned, TokenReader, TokenStore, Transactional
from .model import Digest, Owner, Revocation, Secret, Token, Use
from .tokens import digest_to_store, mint_secret

if TYPE_CHECKING:
    from webtest import TestApp  # type: ignore[import-untyped]

try:
    import pytest
except ImportError as error:
    raise ConfigurationError("patmiddleware.testing needs pytest", hint="pip install pytest") from error

NOON = datetime(2026, 4, 15, 12, 0, 0, 123456, tzinfo=UTC)
"""The time at which the contracts' tokens are made; with microseconds, which a store must not lose."""

ODD_TEXTS = {
    "blank": " ",
    "like-percent": "%",
    "like-underscore": "pat_" + "_" * 38,
    "sql-quote": "' OR '1'='1",
    "ldap-star": "*",
    "ldap-filter": "*)(uid=*))(|(uid=*",
    "dn": "alice,dc=example",
    "path": "../../etc/passwd",
    "backslash": "alice\\2a",
    "newline": "alice\nbob",
    "nul": "alice\0",
    "json": '"alice"',
    "glob": "[a-z]*",
    "long": "x" * 4096,
    "latin-1": "Jos\u00e9",
    "decomposed": "Jose\u0301",
    "full-width": "\uff41lice",
    "astral": "\U0001f600",
    "surrogate": "\udcff",
}
"""What a careless backend takes for a pattern, a path or an end of text."""

_odd_texts = pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)


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

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass; fewer than none step the clock back."""
        self.seconds += seconds


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
        self.store = store or MemoryStore()
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


def TokenTestApp(app: object, secret: str, scheme: str = "Bearer") -> TestApp:
    """Give a :class:`webtest.TestApp` that sends a token with every request.

    Args:
        app: the WSGI application, with the middleware around it.
        secret: the token's secret, as ``mint`` gave it.
        scheme: what stands before it in the ``Authorization`` header.

    Raises:
        ConfigurationError: when WebTest is missing.
    """
    try:
        from webtest import TestApp
    except ImportError as error:
        raise ConfigurationError("TokenTestApp needs WebTest", hint="pip install webtest") from error
    return TestApp(app, extra_environ={"HTTP_AUTHORIZATION": f"{scheme} {secret}"})


@pytest.fixture
def pat_clock() -> FakeClock:
    """A clock that stands still until it is told to go on."""
    return FakeClock()


@pytest.fixture
def pat_store() -> MemoryStore:
    """A new store in memory."""
    return MemoryStore()


@pytest.fixture
def pat_flaky_store() -> FlakyStore:
    """A new store in memory that counts its calls and fails on demand."""
    return FlakyStore()


def sample_token(id: str = "t1", **changes: Any) -> Token:
    """Give a token with every field set; name those that shall differ, of whatever type each is."""
    full = Token(
        id=id,
        owner="alice",
        name="ci",
        scopes=frozenset({"read", "write"}),
        created=NOON,
        expires=NOON + timedelta(days=90, microseconds=1),
        networks=("10.0.0.0/8", "2001:db8::/32"),  # type: ignore[arg-type]  # the model makes networks of text
        limits={"project": frozenset({"OPS", "WEB"}), "space": frozenset()},
        created_by="root",
        parent="p1",
        family="f1",
        replaces="r1",
        attributes={"jira.id": "7", "Gr\u00fc\u00dfe": "\U0001f600"},
    )
    return dataclasses.replace(full, **changes)


def _together(threads: int, act: Callable[[int], bool]) -> list[bool]:
    """Let so many threads act at the same moment, and give what each of them returned."""
    barrier = Barrier(threads)

    def run(number: int) -> bool:
        barrier.wait(10)
        return act(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


class TokenReaderContract:
    """What every ``TokenReader`` promises. Fill in :meth:`make_reader`."""

    def make_reader(self, tokens: Mapping[str, Token]) -> TokenReader:
        """Give a reader that knows exactly these tokens.

        Args:
            tokens: secrets to records.
        """
        raise NotImplementedError

    def secret_for(self, token: Token) -> str:
        """Give the secret that shall stand for a token.

        Override it where secrets can't be chosen, as with JWTs. It must give the same text for the same id.
        """
        return mint_secret(choice=random.Random(token.id).choice)  # noqa: S311 - it must come out the same again

    def reader_of(self, *tokens: Token) -> TokenReader:
        """Give a reader that knows exactly these tokens, by the secrets of :meth:`secret_for`."""
        return self.make_reader({self.secret_for(token): token for token in tokens})

    def test_is_a_reader(self) -> None:
        """The object answers to the Protocol."""
        assert isinstance(self.reader_of(), TokenReader)

    def test_finds_each_token_by_its_secret(self) -> None:
        """Every secret leads to its own record, whole."""
        tokens = [sample_token(f"t{number}", owner=f"owner{number}") for number in range(20)]

        reader = self.reader_of(*tokens)

        assert [reader.find(Secret(self.secret_for(token))) for token in tokens] == tokens

    def test_unknown_secret_is_none(self) -> None:
        """A secret that stands for no token gives None."""
        reader = self.reader_of(sample_token())

        assert reader.find(Secret(self.secret_for(sample_token("other")))) is None

    def test_empty_reader_finds_nothing(self) -> None:
        """Where there are no tokens there is no outage, only None."""
        assert self.reader_of().find(Secret(self.secret_for(sample_token()))) is None

    def test_near_misses_are_none(self) -> None:
        """A secret that is cut, longer, blank-padded or in another case is another secret."""
        secret = self.secret_for(sample_token())
        near = [secret[:-1], secret + "0", " " + secret, secret + " ", secret + "\n", secret + "\0", secret.swapcase()]

        reader = self.reader_of(sample_token())

        assert [reader.find(Secret(text)) for text in near] == [None] * len(near)

    @_odd_texts
    def test_odd_secrets_are_none(self, text: str) -> None:
        """No secret is taken for a pattern, a path or a query, nor does any raise."""
        assert self.reader_of(sample_token()).find(Secret(text)) is None

    def test_empty_secret_is_none(self) -> None:
        """The empty secret is nobody's."""
        assert self.reader_of(sample_token()).find(Secret("")) is None

    def test_expired_token_is_given_as_it_is(self) -> None:
        """The caller judges expiry, not the reader."""
        token = sample_token(expires=NOON + timedelta(seconds=1))

        assert self.reader_of(token).find(Secret(self.secret_for(token))) == token

    def test_revoked_token_is_given_as_it_is(self) -> None:
        """The caller judges a revocation, which comes with its time, its author and its reason."""
        token = sample_token(revoked=Revocation(NOON + timedelta(days=1), "bob", "lost \u2014 \u65e7"))

        assert self.reader_of(token).find(Secret(self.secret_for(token))) == token

    def test_bare_token_is_given_as_it_is(self) -> None:
        """What is left out stays left out."""
        token = Token(id="bare", owner="alice", created=NOON)

        assert self.reader_of(token).find(Secret(self.secret_for(token))) == token

    def test_owner_names_are_kept_exactly(self) -> None:
        """An owner's name comes back as it was, whatever script or form it is in."""
        owners = [text for text in ODD_TEXTS.values() if text.isprintable()]
        tokens = [sample_token(f"t{number}", owner=owner) for number, owner in enumerate(owners)]

        reader = self.reader_of(*tokens)

        assert [reader.find(Secret(self.secret_for(token))) for token in tokens] == tokens

    def test_threads_may_read_at_once(self) -> None:
        """Several threads at once each get their own answer."""
        tokens = [sample_token(f"t{number}") for number in range(4)]
        reader = self.reader_of(*tokens)

        def find_mine(number: int) -> bool:
            secret = Secret(self.secret_for(tokens[number]))
            return all(reader.find(secret) == tokens[number] for _ in range(25))

        assert all(_together(4, find_mine))

    def test_no_secret_shows(self) -> None:
        """Neither the reader nor the record shows a secret or a pepper."""
        token = sample_token()
        secret = self.secret_for(token)
        reader = self.reader_of(token)

        shown = f"{reader!r} {reader} {reader.find(Secret(secret))!r}"

        assert not [text for text in _hidden(reader, secret) if text in shown]


def _hidden(reader: TokenReader, secret: str) -> list[str]:
    """Give every text that may not show."""
    peppers: Iterable[bytes] = getattr(reader, "peppers", ())
    digest = Secret(secret).digest
    return [secret, digest.hex(), repr(digest), *map(repr, peppers), *(pepper.hex() for pepper in peppers)]


class OutageContract:
    """What every ``TokenReader`` promises while it can't be asked. Fill in :meth:`make_unreachable`."""

    def make_unreachable(self) -> TokenReader:
        """Give a reader whose tokens are out of reach."""
        raise NotImplementedError

    def test_an_outage_is_not_an_unknown_token(self) -> None:
        """``find`` raises ``BackendUnavailable`` rather than give None."""
        reader = self.make_unreachable()

        with pytest.raises(BackendUnavailable):
            reader.find(Secret(mint_secret()))

    def test_an_outage_says_nothing_of_the_secret(self) -> None:
        """The message shows neither the secret nor its digest."""
        secret = mint_secret()
        reader = self.make_unreachable()

        with pytest.raises(BackendUnavailable) as caught:
            reader.find(Secret(secret))

        assert not [text for text in _hidden(reader, secret) if text in str(caught.value)]

    def test_a_revision_is_not_made_up(self) -> None:
        """``revision`` raises ``BackendUnavailable``."""
        reader = self.make_unreachable()
        if not isinstance(reader, Revisioned):
            return

        with pytest.raises(BackendUnavailable):
            reader.revision()


class TokenStoreContract(TokenReaderContract):
    """What every ``TokenStore`` promises. Fill in :meth:`make_store`."""

    def make_store(self) -> TokenStore:
        """Give a new, empty store; another one at each call."""
        raise NotImplementedError

    def make_reader(self, tokens: Mapping[str, Token]) -> TokenReader:
        """Give a new store with these tokens."""
        store = self.make_store()
        for secret, token in tokens.items():
            store.add(token, secret)
        return store

    def store_of(self, *tokens: Token) -> TokenStore:
        """Give a new store with these tokens, by the secrets of :meth:`secret_for`."""
        store = self.make_store()
        for token in tokens:
            store.add(token, self.secret_for(token))
        return store

    def test_is_a_store(self) -> None:
        """The object answers to the Protocol."""
        assert isinstance(self.make_store(), TokenStore)

    # -- adding and getting

    def test_get_gives_the_record(self) -> None:
        """``get`` gives the whole record by its id."""
        assert self.store_of(sample_token()).get("t1") == sample_token()

    @_odd_texts
    def test_get_of_an_unknown_id_is_none(self, text: str) -> None:
        """An id that is not there gives None, however odd it is."""
        assert self.store_of(sample_token()).get(text) is None

    def test_a_secret_may_be_a_text_or_a_secret(self) -> None:
        """``add`` takes both, and both are found."""
        store = self.make_store()

        store.add(sample_token("text"), self.secret_for(sample_token("text")))
        store.add(sample_token("object"), Secret(self.secret_for(sample_token("object"))))

        assert [self.find(store, id) for id in ("text", "object")] == [sample_token("text"), sample_token("object")]

    def test_a_digest_may_stand_for_a_secret(self) -> None:
        """``add`` takes a digest where no secret is in hand, and the secret is found."""
        store = self.make_store()

        store.add(sample_token(), Digest("sha256", "", Secret(self.secret_for(sample_token())).digest))

        assert self.find(store, "t1") == sample_token()

    def test_long_and_foreign_secrets_are_found(self) -> None:
        """A secret of any length and script can be kept."""
        store = self.make_store()
        secrets = ["y" * 4096, "%", "NjQ4_Mzk+/==", "Jos\u00e9\U0001f600"]

        for number, secret in enumerate(secrets):
            store.add(sample_token(f"t{number}"), secret)

        assert [token and token.id for token in map(store.find, map(Secret, secrets))] == ["t0", "t1", "t2", "t3"]

    def test_a_taken_id_is_a_conflict(self) -> None:
        """A second token with the same id is refused, and the first stays."""
        store = self.store_of(sample_token())

        with pytest.raises(ConflictError):
            store.add(sample_token(owner="mallory"), self.secret_for(sample_token("other")))

        assert store.get("t1") == sample_token()

    def test_a_taken_secret_is_a_conflict(self) -> None:
        """A second token with the same secret is refused, and the first stays."""
        store = self.store_of(sample_token())

        with pytest.raises(ConflictError):
            store.add(sample_token("t2", owner="mallory"), self.secret_for(sample_token()))

        assert (self.find(store, "t1"), store.get("t2")) == (sample_token(), None)

    def test_a_conflict_says_nothing_of_the_secret(self) -> None:
        """The message shows neither the secret nor its digest."""
        store, secret = self.store_of(sample_token()), self.secret_for(sample_token())

        with pytest.raises(ConflictError) as caught:
            store.add(sample_token("t2"), secret)

        assert not [text for text in _hidden(store, secret) if text in str(caught.value)]

    # -- replacing and removing

    def test_replace_writes_the_whole_record(self) -> None:
        """Every field is written, and the secret still leads to the record."""
        store = self.store_of(sample_token())
        changed = Token(id="t1", owner="bob", created=NOON, revoked=Revocation(NOON, None, ""))

        store.replace(changed, sample_token())

        assert (store.get("t1"), self.find(store, "t1")) == (changed, changed)

    def test_replace_of_a_changed_record_is_a_conflict(self) -> None:
        """Whoever read an old record overwrites nothing, so that no revocation is lost."""
        store = self.store_of(sample_token())
        revoked = sample_token(revoked=Revocation(NOON, "bob", "lost"))
        store.replace(revoked, sample_token())

        with pytest.raises(ConflictError):
            store.replace(sample_token(name="renamed"), sample_token())

        assert store.get("t1") == revoked

    def test_replace_of_a_missing_record_is_a_conflict(self) -> None:
        """``replace`` never adds."""
        store = self.make_store()

        with pytest.raises(ConflictError):
            store.replace(sample_token(), sample_token())

        assert store.get("t1") is None

    def test_replace_by_another_id_is_a_conflict(self) -> None:
        """A record is replaced under its own id only."""
        store = self.store_of(sample_token())

        with pytest.raises(ConflictError):
            store.replace(sample_token("t2"), sample_token())

        assert (store.get("t1"), store.get("t2")) == (sample_token(), None)

    @pytest.mark.parametrize(
        "field",
        [
            {"owner": "bob"},
            {"name": "renamed"},
            {"scopes": frozenset({"read"})},
            {"created": NOON + timedelta(microseconds=1)},
            {"expires": None},
            {"networks": ()},
            {"limits": {}},
            {"created_by": None},
            {"parent": None},
            {"family": "f2"},
            {"replaces": None},
            {"revoked": Revocation(NOON)},
            {"attributes": {}},
        ],
        ids=lambda field: next(iter(field)),
    )
    def test_replace_compares_every_field(self, field: dict[str, Any]) -> None:
        """A difference in any one field is a conflict."""
        store = self.store_of(sample_token())

        with pytest.raises(ConflictError):
            store.replace(sample_token(name="new"), sample_token(**field))

        assert store.get("t1") == sample_token()

    def test_replace_neither_compares_nor_writes_last_use(self) -> None:
        """A use meanwhile is no conflict, and is kept."""
        store = self.store_of(sample_token())
        store.record_use({"t1": Use(NOON)})

        store.replace(sample_token(name="new", last_used=Use(NOON + timedelta(1))), sample_token())

        assert store.get("t1") == sample_token(name="new", last_used=Use(NOON))

    def test_of_racing_replacements_one_wins(self) -> None:
        """Of several threads that replace the same record, one is told that it did."""
        store = self.store_of(sample_token())

        def rename(number: int) -> bool:
            try:
                store.replace(sample_token(name=f"by {number}"), sample_token())
            except ConflictError:
                return False
            return True

        won = _together(8, rename)

        assert won.count(True) == 1
        assert store.get("t1") == sample_token(name=f"by {won.index(True)}")

    def test_removed_token_is_gone(self) -> None:
        """Neither its id nor its secret leads to it any more."""
        store = self.store_of(sample_token())

        store.remove("t1")

        assert (store.get("t1"), self.find(store, "t1")) == (None, None)

    def test_removing_what_is_not_there_is_no_error(self) -> None:
        """``remove`` may be called twice."""
        store = self.store_of(sample_token())

        store.remove("t2")

        assert store.get("t1") == sample_token()

    def test_removed_token_leaves_nothing_behind(self) -> None:
        """Its id and its secret may be used again, and the new token was never used."""
        store = self.store_of(sample_token())
        store.record_use({"t1": Use(NOON)})
        store.remove("t1")

        store.add(sample_token(), self.secret_for(sample_token()))

        assert self.find(store, "t1") == sample_token()

    # -- last use

    def test_last_use_shows_everywhere(self) -> None:
        """``get``, ``list``, ``find`` and ``records`` give the record with its last use."""
        store = self.store_of(sample_token())
        used = sample_token(last_used=Use(NOON, "192.0.2.1", "curl/8 \u2603"))

        store.record_use({"t1": Use(NOON, "192.0.2.1", "curl/8 \u2603")})

        assert [store.get("t1"), *store.list(), self.find(store, "t1")] == [used] * 3
        assert [token for token, _ in store.records()] == [used]

    def test_newest_use_wins(self) -> None:
        """An older use that arrives late is passed over."""
        store = self.store_of(sample_token())

        for seconds in (0, 60, 30):
            store.record_use({"t1": Use(NOON + timedelta(seconds=seconds))})

        assert store.get("t1") == sample_token(last_used=Use(NOON + timedelta(seconds=60)))

    def test_use_of_an_unknown_id_is_passed_over(self) -> None:
        """A token that was removed meanwhile does not come back, and the others are kept."""
        store = self.store_of(sample_token())

        store.record_use({"gone": Use(NOON), "t1": Use(NOON)})

        assert store.list() == [sample_token(last_used=Use(NOON))]

    def test_a_token_brings_its_last_use_along(self) -> None:
        """A token that comes from another store keeps its last use."""
        used = sample_token(last_used=Use(NOON, "192.0.2.1", None))

        assert self.store_of(used).get("t1") == used

    # -- revision

    def test_every_change_raises_the_revision(self) -> None:
        """Adding, replacing and removing each raise it."""
        store = self.make_store()
        revisions = [store.revision()]

        store.add(sample_token(), self.secret_for(sample_token()))
        revisions.append(store.revision())
        store.replace(sample_token(name="new"), sample_token())
        revisions.append(store.revision())
        store.remove("t1")
        revisions.append(store.revision())

        assert revisions == sorted(set(revisions))

    def test_a_use_does_not_raise_the_revision(self) -> None:
        """Otherwise every cache would be emptied all the time."""
        store = self.store_of(sample_token())
        before = store.revision()

        store.record_use({"t1": Use(NOON)})

        assert store.revision() == before

    def test_what_was_refused_does_not_raise_the_revision(self) -> None:
        """A conflict changes nothing."""
        store = self.store_of(sample_token())
        before = store.revision()

        with pytest.raises(ConflictError):
            store.add(sample_token(), self.secret_for(sample_token("other")))

        assert store.revision() == before

    # -- lists and records

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, ["t0", "t1", "t2", "t3", "t4"]),
            ({"owner": "alice"}, ["t0", "t2", "t4"]),
            ({"owner": "ALICE"}, []),
            ({"owner": "%"}, []),
            ({"family": "f1"}, ["t0", "t1", "t2"]),
            ({"parent": "t0"}, ["t1"]),
            ({"revoked": True}, ["t2", "t3"]),
            ({"revoked": False}, ["t0", "t1", "t4"]),
            ({"created_before": NOON + timedelta(days=2)}, ["t0", "t1"]),
            ({"created_before": NOON + timedelta(days=2, microseconds=1)}, ["t0", "t1", "t2"]),
            ({"owner": "alice", "revoked": False}, ["t0", "t4"]),
            ({"owner": "alice", "family": "f2", "revoked": False}, ["t4"]),
            ({"after": "t1"}, ["t2", "t3", "t4"]),
            ({"after": "t10"}, ["t2", "t3", "t4"]),
            ({"limit": 2}, ["t0", "t1"]),
            ({"limit": 0}, []),
            ({"owner": "alice", "after": "t0", "limit": 1}, ["t2"]),
        ],
        ids=str,
    )
    def test_list_gives_what_matches_every_filter(self, filters: dict[str, Any], expected: Sequence[str]) -> None:
        """Filters are exact and joined by and; the answer is ordered by id."""
        store = self.store_of(
            *(
                sample_token(
                    f"t{number}",
                    owner=("alice", "bob")[number % 2],
                    family="f1" if number < 3 else "f2",
                    parent="t0" if number == 1 else None,
                    revoked=Revocation(NOON) if number in (2, 3) else None,
                    created=NOON + timedelta(days=number),
                )
                for number in (3, 0, 4, 1, 2)
            )
        )

        assert [token.id for token in store.list(**filters)] == expected

    def test_ids_are_ordered_by_code_point(self) -> None:
        """No locale has a say, so that pages fit together everywhere."""
        ids = ["-", "10", "9", "A", "B", "Z", "_", "a", "b", "\u00e4", "\uff5e", "\U0001f600"]

        store = self.store_of(*map(sample_token, reversed(ids)))

        assert [token.id for token in store.list()] == ids

    def test_pages_give_every_token_once(self) -> None:
        """Going on after the last id of a page leaves nothing out, even when tokens go meanwhile."""
        store = self.store_of(*(sample_token(f"t{number:02}") for number in range(25)))
        seen: list[str] = []

        while page := store.list(after=seen[-1] if seen else None, limit=10):
            seen += [token.id for token in page]
            store.remove(seen[-1])

        assert seen == [f"t{number:02}" for number in range(25)]

    def test_records_can_be_moved_to_another_store(self) -> None:
        """Tokens, digests of every kind and secrets survive the move."""
        source, target = self.make_store(), self.make_store()
        source.add(sample_token("a"), self.secret_for(sample_token("a")))
        keyed = Digest("blake2b", "0badcafe", bytes(range(32)))
        slow = Digest("pkcs5s2", "", b"{PKCS5S2}" + b"x" * 64)
        source.add(sample_token("b"), keyed)
        source.add(sample_token("c"), slow)

        for token, digest in source.records():
            target.add(token, digest)

        assert list(target.records())[1:] == [(sample_token("b"), keyed), (sample_token("c"), slow)]
        assert self.find(target, "a") == sample_token("a")

    def test_records_hold_no_secret(self) -> None:
        """What is given out is a digest."""
        store, secret = self.store_of(sample_token()), self.secret_for(sample_token())

        [(_, digest)] = store.records()

        assert secret.encode() not in digest.value
        assert digest == digest_to_store(secret, getattr(store, "peppers", ()))

    # -- several changes as one

    def test_changes_are_made_together(self) -> None:
        """A rotation is one transaction, and may use an id that it frees."""
        store = self.store_of(sample_token("old"), sample_token("gone"))
        if not isinstance(store, Transactional):
            return
        before = store.revision()

        store.commit(
            [
                Replace(sample_token("old", name="was replaced"), sample_token("old")),
                Add(sample_token("new"), self.secret_for(sample_token("new"))),
                Remove("gone"),
                Add(sample_token("gone", name="again"), self.secret_for(sample_token("gone"))),
            ]
        )

        assert [token.name for token in store.list()] == ["again", "ci", "was replaced"]
        assert store.revision() > before

    @pytest.mark.parametrize("last", ["taken id", "taken secret", "changed record"])
    def test_a_conflict_undoes_the_changes_before_it(self, last: str) -> None:
        """All or none, whichever change is refused; the revision stays."""
        tokens = [sample_token("a"), sample_token("b")]
        store = self.store_of(*tokens)
        if not isinstance(store, Transactional):
            return
        refused: dict[str, Change] = {
            "taken id": Add(sample_token("b"), self.secret_for(sample_token("d"))),
            "taken secret": Add(sample_token("d"), self.secret_for(sample_token("b"))),
            "changed record": Replace(sample_token("b"), sample_token("b", name="seen before")),
        }
        before = store.revision()

        with pytest.raises(ConflictError):
            store.commit(
                [
                    Replace(sample_token("b", name="new"), sample_token("b")),
                    Remove("a"),
                    Add(sample_token("c"), self.secret_for(sample_token("c"))),
                    Replace(sample_token("b"), sample_token("b", name="new")),
                    refused[last],
                ]
            )

        assert (store.list(), store.revision()) == (tokens, before)
        assert [self.find(store, id) for id in ("a", "b", "c")] == [*tokens, None]

    def test_changes_of_one_record_follow_each_other(self) -> None:
        """Each change of a commit sees those before it."""
        store = self.store_of(sample_token())
        if not isinstance(store, Transactional):
            return

        store.commit(
            [
                Replace(sample_token(name="first"), sample_token()),
                Replace(sample_token(name="second"), sample_token(name="first")),
            ]
        )

        assert store.get("t1") == sample_token(name="second")

    def find(self, store: TokenStore, id: str) -> Token | None:
        """Look a token up by the secret that :meth:`secret_for` gives for its id."""
        return store.find(Secret(self.secret_for(sample_token(id))))


class DirectoryContract:
    """What every ``Directory`` promises. Fill in :meth:`make_directory`.

    Attributes:
        facts: which fields of an owner this directory knows, besides the name.
    """

    facts: Sequence[str] = ("active", "groups", "display_name", "mail")

    def make_directory(self, owners: Sequence[Owner]) -> Directory:
        """Give a directory that knows exactly these owners."""
        raise NotImplementedError

    def test_is_a_directory(self) -> None:
        """The object answers to the Protocol."""
        assert isinstance(self.make_directory([]), Directory)

    def test_finds_each_owner(self) -> None:
        """Every name leads to its own owner, with all that the directory knows."""
        alice = Owner(name="alice", groups=frozenset({"dev", "caf\u00e9"}), display_name="Al", mail="al@example.org")
        bob = Owner(name="bob", active=False)

        directory = self.make_directory([alice, bob])

        assert self._known(directory.find("alice")) == self._known(alice)
        assert self._known(directory.find("bob")) == self._known(bob)

    def test_unknown_name_is_none(self) -> None:
        """A name that is nobody's gives None."""
        assert self.make_directory([Owner(name="alice")]).find("bob") is None

    @_odd_texts
    def test_odd_names_are_none(self, text: str) -> None:
        """No name is taken for a pattern, a path or a query, nor does any raise."""
        assert self.make_directory([Owner(name="alice")]).find(text) is None

    @pytest.mark.parametrize("name", ["", "alic", "alicee", " alice", "alice ", "alice\0"])
    def test_near_misses_are_none(self, name: str) -> None:
        """A part of a name, a longer name and a blank-padded one are other names."""
        assert self.make_directory([Owner(name="alice")]).find(name) is None

    def test_name_is_spelled_as_asked(self) -> None:
        """A directory that does not care for case gives the name as it was asked for, or None."""
        owner = self.make_directory([Owner(name="alice")]).find("ALICE")

        assert owner is None or owner.name == "ALICE"

    def test_names_of_every_script_are_found(self) -> None:
        """Letters beyond ASCII, and signs that queries are made of, are only letters."""
        names = ["Jos\u00e9", "\u5f20\u4f1f", "o'brien", "a*b", "a(b)", "svc-ci_1", "x%y"]
        directory = self.make_directory([Owner(name=name) for name in names])

        found = [directory.find(name) for name in names]

        assert [owner and owner.name for owner in found] == names

    def test_threads_may_ask_at_once(self) -> None:
        """Several threads at once each get their own answer."""
        names = ["alice", "bob", "carol", "dave"]
        directory = self.make_directory([Owner(name=name) for name in names])

        def find_mine(number: int) -> bool:
            found = [directory.find(names[number]) for _ in range(25)]
            return all(owner and owner.name == names[number] for owner in found)

        assert all(_together(4, find_mine))

    def _known(self, owner: Owner | None) -> Mapping[str, object] | None:
        return None if owner is None else {field: getattr(owner, field) for field in ("name", *self.facts)}
