"""Several readers as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from patmiddleware.backends.caching import TokenCache
from patmiddleware.backends.chain import ChainReader
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.errors import BackendUnavailable, ConfigurationError
from patmiddleware.interfaces import Checkable, Revisioned, TokenReader, TokenStore
from patmiddleware.model import CacheSettings, Revocation, Secret, Token, Use
from patmiddleware.testing import NOON, FakeClock, FlakyStore, OutageContract, TokenReaderContract, sample_token
from patmiddleware.tokens import may_exist, mint_secret


class Plain:
    """A reader and nothing else."""

    def __init__(self, tokens: Mapping[str, Token] | None = None, **shown: object) -> None:
        self.tokens, self.asked, self.closed, self.damage = dict(tokens or {}), list[str](), 0, ""
        vars(self).update(shown)

    def find(self, secret: Secret) -> Token | None:
        self.asked.append(secret.reveal())
        return self.tokens.get(secret.reveal())


class Whole(Plain):
    """A reader with all that a reader may have."""

    down = False

    def find(self, secret: Secret) -> Token | None:
        token = super().find(secret)
        if self.down:
            raise BackendUnavailable("down, as asked")
        return token

    def find_last_good(self, secret: Secret) -> Token | None:
        return self.tokens.get(secret.reveal())

    def check(self) -> None:
        if self.damage:
            raise BackendUnavailable(self.damage)

    def close(self) -> None:
        self.closed += 1


def store_of(tokens: Mapping[str, Token], prefix: str = "pat") -> FlakyStore:
    store = FlakyStore(MemoryStore(prefix=prefix))
    for secret, token in tokens.items():
        store.add(token, secret)
    return store


class TestChainOfStores(TokenReaderContract):
    """The contract, with the tokens spread over three stores."""

    def make_reader(self, tokens: Mapping[str, Token]) -> ChainReader:
        parts: list[dict[str, Token]] = [{}, {}, {}]
        for number, (secret, token) in enumerate(tokens.items()):
            parts[number % 3][secret] = token
        self.stores = [store_of(part) for part in parts]
        return ChainReader(self.stores)

    def change_reader(self, reader: TokenReader, tokens: Mapping[str, Token]) -> None:
        for token in self.stores[0].list():
            self.stores[0].remove(token.id)
        for secret, token in tokens.items():
            self.stores[0].add(token, secret)


class TestChainOfPlainReaders(TokenReaderContract):
    """The contract, where nothing has a revision."""

    def make_reader(self, tokens: Mapping[str, Token]) -> ChainReader:
        return ChainReader([Plain(), Plain(tokens)])


class TestFirstDown(OutageContract):
    """A first reader that is down is an outage of all."""

    def make_unreachable(self) -> ChainReader:
        first, second = FlakyStore(), FlakyStore()
        first.down = True
        return ChainReader([first, second])


class TestLastDown(OutageContract):
    """So is a last one, of what the others don't know."""

    def make_unreachable(self) -> ChainReader:
        first, second = FlakyStore(), FlakyStore()
        second.down = True
        return ChainReader([first, second])


def test_first_that_knows_a_token_speaks_for_it() -> None:
    """Also where it says that the token is revoked; the later ones are not asked."""
    secret = mint_secret()
    revoked = sample_token(revoked=Revocation(NOON))
    first, second = Plain({secret: revoked}), Plain({secret: sample_token()})

    assert ChainReader([first, second]).find(Secret(secret)) == revoked
    assert second.asked == []


def test_what_is_found_before_an_outage_is_served() -> None:
    """A reader further behind has no say."""
    secret = mint_secret()
    second = FlakyStore()
    second.down = True

    assert ChainReader([Plain({secret: sample_token()}), second]).find(Secret(secret)) == sample_token()


def test_later_reader_does_not_speak_for_one_that_is_down() -> None:
    """The earlier might have said that the token is revoked, as when tokens were moved."""
    secret = mint_secret()
    first, second = FlakyStore(), Plain({secret: sample_token()})
    first.down = True

    with pytest.raises(BackendUnavailable):
        ChainReader([first, second]).find(Secret(secret))


def test_reader_is_asked_only_for_what_it_may_know() -> None:
    """What has another form is shown to nobody who has no use for it."""
    ours, theirs = Plain(foreign=False), Plain()
    chain = ChainReader([ours, theirs])
    secret = mint_secret()

    chain.find(Secret("eyJ.a.b"))
    chain.find(Secret(secret))
    chain.find(Secret(secret[:-1]))

    assert (ours.asked, theirs.asked) == ([secret], ["eyJ.a.b", secret])


# -- what it can do


def test_chain_has_a_revision_where_all_have_one() -> None:
    """Whoever looks for it looks for the method."""
    assert isinstance(ChainReader([MemoryStore(), MemoryStore()]), Revisioned)
    assert not isinstance(ChainReader([MemoryStore(), Plain()]), Revisioned)
    assert not hasattr(ChainReader([Plain()]), "revision")


def test_chain_is_a_reader_and_no_store() -> None:
    """Tokens are made in one of its readers."""
    chain = ChainReader([MemoryStore()])

    assert isinstance(chain, TokenReader)
    assert isinstance(chain, Checkable)
    assert not isinstance(chain, TokenStore)


class Counted(Plain):
    """A reader whose revision a test sets."""

    count = 0

    def revision(self) -> int:
        return self.count


def test_revision_changes_with_any_reader_and_never_comes_again() -> None:
    """Not even where one goes up as another goes back, as after a restored backup."""
    first, second = Counted(), Counted()
    chain = ChainReader([first, second])
    assert isinstance(chain, Revisioned)
    numbers = list[int]()

    for first.count, second.count in [(5, 5), (6, 5), (5, 6), (6, 5), (4, 7), (0, 0), (5, 5)]:
        numbers += [chain.revision(), chain.revision()]

    assert numbers[::2] == numbers[1::2]
    assert numbers[::2] == sorted(set(numbers))


def test_change_in_any_reader_arrives_in_a_cache() -> None:
    """A token that was revoked in the second is looked up again."""
    secret, mono, wall = Secret(mint_secret()), FakeClock(0.0), NOON.timestamp()
    second = store_of({secret.reveal(): sample_token()})
    cache = TokenCache(ChainReader([MemoryStore(), second]), CacheSettings(), mono)
    before = cache.find(secret.digest, secret, wall).value

    second.replace(sample_token(revoked=Revocation(NOON)), sample_token())
    after = cache.find(secret.digest, secret, wall).value

    assert before == sample_token()
    assert after is not None
    assert after.revoked is not None


class InAChain:
    """A cache of a chain of three stores with a token each, seconds apart from look to look."""

    def __init__(self, **settings: float) -> None:
        self.secrets = [Secret(mint_secret()) for _ in range(3)]
        self.stores = [store_of({secret.reveal(): sample_token(str(n))}) for n, secret in enumerate(self.secrets)]
        self.clock, self.wall = FakeClock(0.0), NOON.timestamp()
        self.cache = TokenCache(ChainReader(self.stores), CacheSettings(**settings), self.clock)

    def look(self) -> list[str]:
        """Give the ids of the three tokens, ``revoked`` or ``outage``, some seconds after the last look."""
        self.clock.advance(5.0)
        self.wall += 5.0
        return [self._look(secret) for secret in self.secrets]

    def _look(self, secret: Secret) -> str:
        try:
            token = self.cache.find(secret.digest, secret, self.wall).value
        except BackendUnavailable:
            return "outage"
        assert token is not None
        return "revoked" if token.revoked else token.id


@pytest.mark.parametrize(
    ("down", "seen"),
    [(0, ["outage"] * 3), (1, ["0", "outage", "outage"]), (2, ["0", "1", "outage"])],
)
def test_who_is_down_keeps_nobody_out_that_is_known_before(down: int, seen: Sequence[str]) -> None:
    """Whether their tokens were known or not; all are known again after it."""
    fresh, used = InAChain(), InAChain()
    used.look()

    for chain in (fresh, used):
        chain.stores[down].down = True
        assert [chain.look(), chain.look()] == [seen, seen]
        chain.stores[down].down = False
        assert chain.look() == ["0", "1", "2"]


def test_what_is_revoked_while_another_is_down_is_refused() -> None:
    """Nothing is kept meanwhile."""
    chain = InAChain()
    chain.look()
    chain.stores[2].down = True
    before = chain.look()

    # As in another process: nobody here is told.
    chain.stores[1].store.replace(sample_token("1", revoked=Revocation(NOON)), sample_token("1"))

    assert (before, chain.look()) == (["0", "1", "outage"], ["0", "revoked", "outage"])


def test_two_that_are_down_leave_what_was_known_last() -> None:
    """For as long as it may serve, and not longer."""
    chain = InAChain(stale_while_error=7.0)
    chain.look()
    for store in chain.stores[1:]:
        store.down = True

    assert [chain.look(), chain.look()] == [["0", "1", "2"], ["0", "outage", "outage"]]


def test_last_good_state_of_what_is_down_serves() -> None:
    """In the same order: what is up is asked itself."""
    first, second, third = mint_secret(), mint_secret(), mint_secret()
    kept, live = Whole({first: sample_token("1")}), Plain({first: sample_token("x"), second: sample_token("2")})
    kept.down = True
    chain = ChainReader([kept, live])

    found = [chain.find_last_good(Secret(secret)) for secret in (first, second, third)]

    assert found == [sample_token("1"), sample_token("2"), None]


def test_nothing_is_made_up_for_what_is_down_and_says_no_more() -> None:
    """The later reader does not speak for it here either."""
    secret, first = mint_secret(), FlakyStore()
    first.down = True

    assert ChainReader([first, Plain({secret: sample_token()})]).find_last_good(Secret(secret)) is None


def test_last_use_reaches_every_store() -> None:
    """Also where one is down, which is told at the end so that it is tried again."""
    stores = [store_of({mint_secret(): sample_token()}) for _ in range(3)]
    stores[1].down = True
    chain = ChainReader([*stores, Plain()])

    with pytest.raises(BackendUnavailable):
        chain.record_use({"t1": Use(NOON)})

    stores[1].down = False
    assert [store.list()[0].last_used for store in stores] == [Use(NOON), None, Use(NOON)]


def test_a_fault_of_one_reader_keeps_no_use_from_the_next() -> None:
    """Whatever a foreign one raises is raised in the end, when all were told."""

    class Faulty(MemoryStore):
        def record_use(self, uses: Mapping[str, Use]) -> None:
            raise KeyError("t1")

    last = MemoryStore()
    last.add(sample_token("t1"), "a secret")

    with pytest.raises(KeyError):
        ChainReader([Faulty(), last]).record_use({"t1": Use(NOON)})

    assert last.list()[0].last_used == Use(NOON)


def test_check_tells_of_every_damage() -> None:
    """With the place in the chain."""
    first, second, third = Whole(), Plain(), Whole()
    chain = ChainReader([first, second, third])
    chain.check()
    first.damage, third.damage = "a hole", "a crack"

    with pytest.raises(BackendUnavailable, match="reader 1 of the chain: a hole; reader 3 of the chain: a crack"):
        chain.check()


def test_close_closes_every_reader() -> None:
    """Those that can be closed."""
    first, last = Whole(), Whole()

    ChainReader([first, Plain(), last]).close()

    assert (first.closed, last.closed) == (1, 1)


# -- settings


@pytest.mark.parametrize("readers", [[], (), "memory:", None, [None], ["memory:"], [MemoryStore], [MemoryStore(), {}]])
def test_what_is_no_list_of_readers_is_refused(readers: Sequence[TokenReader]) -> None:
    """At the start."""
    with pytest.raises(ConfigurationError, match="reader"):
        ChainReader(readers)


TEXTS = ["", "x", "eyJ.a.b", "aa_", "aa_x", "bb_x", "cc_x", *map(mint_secret, ["aa", "bb", "cc"])]


@pytest.mark.parametrize(
    "shown",
    [
        [("aa", True)],
        [("aa", False)],
        [("aa", True), ("aa", True)],
        [("aa", True), ("aa", False)],
        [("aa", False), ("aa", False)],
        [("aa", False), ("bb", True)],
        [("aa", True), ("bb", False)],
        [("aa", False), ("bb", False)],
        [("aa", False), ("bb", True), ("cc", False)],
    ],
    ids=str,
)
def test_nothing_is_turned_away_that_a_reader_takes(shown: Sequence[tuple[str, bool]]) -> None:
    """Prefix and ``foreign`` of the chain let through what any reader would be asked for."""
    chain = ChainReader([Plain(prefix=prefix, foreign=foreign) for prefix, foreign in shown])

    taken = {text for text in TEXTS if any(may_exist(text, *one) for one in shown)}

    assert taken <= {text for text in TEXTS if may_exist(text, chain.prefix, chain.foreign)}


def test_readers_must_agree_where_no_prefix_would_do() -> None:
    """Each would take what the other's checksum turns away."""
    with pytest.raises(ConfigurationError, match="the same prefix"):
        ChainReader([Plain(prefix="aa"), Plain(prefix="bb")])


def test_chain_shows_every_pepper_once() -> None:
    """For whoever must not show them."""
    old, new = b"an old pepper, 16+", b"a new pepper, 16+"
    chain = ChainReader([MemoryStore(peppers=[new, old]), MemoryStore(peppers=[old]), Plain()])

    assert chain.peppers == (new, old)


def test_chain_may_stand_in_a_chain() -> None:
    """It is a reader like any other."""
    secret = mint_secret()
    inner = ChainReader([MemoryStore(), store_of({secret: sample_token(expires=NOON + timedelta(1))})])

    assert isinstance(ChainReader([MemoryStore(), inner]), Revisioned)
    assert ChainReader([MemoryStore(), inner]).find(Secret(secret)) is not None
    assert repr(inner) == "<RevisionedChainReader of MemoryStore, FlakyStore>"
