"""Somebody upstream by a credential out of the vault."""

from __future__ import annotations

import dataclasses
from threading import Barrier, Thread

import pytest

pytest.importorskip("cryptography", reason="needs the extra forward")

from patmiddleware.errors import BackendUnavailable, ConfigurationError, LinkError
from patmiddleware.forwarder.strategies.vault import LIFETIME, FromVault
from patmiddleware.interfaces import Caller, Strategy, UpstreamRequest
from patmiddleware.model import Grant, UpstreamCredential
from patmiddleware.testing import FakeClock, FlakyVault

JIRA = "https://jira.example.org"
REQUEST = UpstreamRequest("GET", "/rest/api/2/myself", ())


def bearer(token: str) -> UpstreamCredential:
    return UpstreamCredential("bearer", {"token": token})


def caller(owner: str = "alice") -> Caller:
    return Caller(Grant(token_id="t1", owner=owner))


class Bearing:
    """A strategy that counts, and can be told that it is of no use any more."""

    is_callers = True

    def __init__(self, credential: UpstreamCredential) -> None:
        self.token, self.signed, self.refusals = credential.values["token"], 0, 0
        self.helps = False

    def sign(self, request: UpstreamRequest, caller: Caller) -> UpstreamRequest:
        self.signed += 1
        if self.refusals > 1:
            raise LinkError("the upstream does not take it")
        return dataclasses.replace(request, headers=(("Authorization", f"Bearer {self.token}"),))

    def refused(self, caller: Caller) -> bool:
        self.refusals += 1
        return self.helps


class Scene:
    """A vault with alice and bob in it, and the strategy over it."""

    def __init__(self, owners: int = 10) -> None:
        self.clock, self.vault, self.made = FakeClock(0.0), FlakyVault(), list[Bearing]()
        for owner in ("alice", "bob"):
            self.vault.put(owner, JIRA, bearer(f"{owner}'s"))
        self.strategy = FromVault(self.vault, f"{JIRA}:443/", self.make, self.clock, owners=owners)

    def make(self, credential: UpstreamCredential) -> Bearing:
        self.made.append(Bearing(credential))
        return self.made[-1]

    def sent(self, owner: str = "alice") -> str:
        [(_, value)] = self.strategy.sign(REQUEST, caller(owner)).headers
        return value.removeprefix("Bearer ")


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_is_a_strategy(scene: Scene) -> None:
    """The credential is not the client's own: where it is not taken, the link is broken."""
    assert isinstance(scene.strategy, Strategy)
    assert scene.strategy.is_callers is False


def test_each_owner_has_their_own(scene: Scene) -> None:
    """Nobody is ever signed for with somebody else's."""
    assert [scene.sent(owner) for owner in ("alice", "bob", "alice")] == ["alice's", "bob's", "alice's"]


def test_the_vault_is_not_asked_each_time(scene: Scene) -> None:
    """Once in its lifetime for each owner."""
    for seconds in (0.0, LIFETIME / 2, LIFETIME / 2 - 1):
        scene.clock.advance(seconds)
        scene.sent()

    assert (scene.vault.calls["get"], len(scene.made)) == (1, 1)


@pytest.mark.parametrize("owner", ["carol", "Alice", "alice "])
def test_no_credential(scene: Scene, owner: str) -> None:
    """The link is broken, and the message says what to do; names are compared byte for byte."""
    with pytest.raises(LinkError) as caught:
        scene.sent(owner)

    quoted = "'alice '" if owner == "alice " else owner
    hint = f"run patmiddleware jira connect {quoted} --kind …"
    assert str(caught.value) == f"{owner} has no credential for the upstream: {hint}"


def test_who_connects_is_connected_at_once(scene: Scene) -> None:
    """That there is none is not remembered."""
    with pytest.raises(LinkError):
        scene.sent("carol")

    scene.vault.put("carol", JIRA, bearer("carol's"))

    assert scene.sent("carol") == "carol's"


def test_a_removed_one_is_not_used_for_long(scene: Scene) -> None:
    """Up to its lifetime, and not a moment more, however often it is used."""
    scene.sent()
    scene.vault.remove("alice", JIRA)
    scene.clock.advance(LIFETIME - 0.001)
    assert scene.sent() == "alice's"

    scene.clock.advance(0.001)

    with pytest.raises(LinkError, match="alice has no credential"):
        scene.sent()


def test_a_changed_one_is_used_within_its_lifetime(scene: Scene) -> None:
    """The strategy of the old one is dropped, with its session."""
    scene.sent()
    scene.vault.put("alice", JIRA, bearer("changed"))

    scene.clock.advance(LIFETIME)

    assert (scene.sent(), len(scene.made)) == ("changed", 2)


def test_the_same_one_keeps_its_strategy(scene: Scene) -> None:
    """What it knows outlives the lifetime: else a wrong password would be tried anew, up to a lock-out."""
    for _ in range(5):
        scene.sent()
        scene.clock.advance(LIFETIME)

    assert (scene.vault.calls["get"], len(scene.made), scene.made[0].signed) == (5, 1, 5)


@pytest.mark.parametrize("helps", [False, True])
def test_a_refusal_is_passed_on(scene: Scene, helps: bool) -> None:
    """Whether signing anew may help, the owner's strategy knows; no other one hears of it."""
    scene.sent("alice")
    scene.sent("bob")
    scene.made[0].helps = helps

    assert scene.strategy.refused(caller()) is helps
    assert [made.refusals for made in scene.made] == [1, 0]


def test_a_refused_one_is_looked_up_again(scene: Scene) -> None:
    """Who has connected anew is not kept waiting; nobody else's is looked up."""
    scene.sent("alice")
    scene.sent("bob")
    scene.vault.put("alice", JIRA, bearer("changed"))

    scene.strategy.refused(caller())

    assert (scene.sent("alice"), scene.sent("bob"), scene.vault.calls["get"]) == ("changed", "bob's", 3)


def test_a_refused_one_that_is_the_same_stays_refused(scene: Scene) -> None:
    """Its strategy is asked again, and knows."""
    for _ in range(2):
        scene.sent()
        scene.strategy.refused(caller())

    with pytest.raises(LinkError, match="does not take it"):
        scene.sent()
    assert len(scene.made) == 1


def test_a_refusal_of_nobody(scene: Scene) -> None:
    """Whose credential went meanwhile can't be helped by signing anew."""
    assert scene.strategy.refused(caller("carol")) is False


def test_an_outage_is_one(scene: Scene) -> None:
    """It is not "no credential"; what is in memory serves to the end of its lifetime, and not beyond."""
    scene.sent()
    scene.vault.down = True

    assert scene.sent() == "alice's"
    with pytest.raises(BackendUnavailable):
        scene.sent("bob")
    scene.clock.advance(LIFETIME)
    with pytest.raises(BackendUnavailable):
        scene.sent()


def test_memory_is_bounded() -> None:
    """Of many owners those of late are kept."""
    scene = Scene(owners=1)

    assert [scene.sent(owner) for owner in ("alice", "bob", "bob", "alice")] == ["alice's", "bob's", "bob's", "alice's"]
    assert scene.vault.calls["get"] == 3


def test_threads_share_one(scene: Scene) -> None:
    """Requests of one owner at the same moment make one strategy: two would each log in."""
    barrier, sent = Barrier(4), list[str]()
    scene.vault.before = lambda method: barrier.wait(60)
    threads = [Thread(target=lambda: sent.append(scene.sent())) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (sent, len(scene.made)) == (["alice's"] * 4, 1)


def test_a_slow_answer_does_not_live_longer(scene: Scene) -> None:
    """The lifetime begins before the vault is asked: what it said is as old as the question."""
    scene.vault.before = lambda method: scene.clock.advance(LIFETIME)
    scene.sent()

    scene.sent()

    assert scene.vault.calls["get"] == 2


def test_what_is_of_no_use_is_a_broken_link(scene: Scene) -> None:
    """What the maker says of it is said, and nothing is kept."""

    def make(credential: UpstreamCredential) -> Strategy:
        raise LinkError("it is of no use")

    strategy = FromVault(scene.vault, JIRA, make)

    for _ in range(2):
        with pytest.raises(LinkError, match="of no use"):
            strategy.sign(REQUEST, caller())


def test_the_upstream_must_be_one(scene: Scene) -> None:
    """Found when it is made, not at the first request."""
    with pytest.raises(ConfigurationError, match="is not the address of an upstream"):
        FromVault(scene.vault, "jira.example.org", scene.make)


def test_a_repr_shows_nothing(scene: Scene) -> None:
    """Neither the strategy nor what it keeps."""
    scene.sent()

    assert "alice's" not in f"{scene.strategy!r} {vars(scene.strategy)!r}"
