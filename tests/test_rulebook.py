"""Where a request goes: remembered within bounds, and never believed without a look at the raw target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from gate import Spy, bearer, call, request

from patmiddleware import Allowed, ConfigurationError, Denied, Issuer, PATMiddleware, Policy, Reason
from patmiddleware.addresses import Addresses
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.rulebook import Place, Rulebook

POLICY = Policy.from_dict({"rule": [{"id": "all", "path": "/**", "scopes": []}]})


class AllowEverything:
    """A policy of somebody's own."""

    def decide(self, grant: object, request: object) -> Allowed:
        return Allowed()


OWN = Policy.from_dict({"rule": [{"id": "own", "path": "/own", "public": True}]})
CLOSED = Policy.from_dict({"rule": [{"id": "no", "effect": "deny", "path": "/**"}]})


def rulebook(policy: Any = POLICY, **options: Any) -> Rulebook:
    return Rulebook(policy, Addresses(), **options)


@pytest.mark.parametrize("policy", [POLICY, AllowEverything()], ids=["ours", "own"])
def test_memory_of_places_is_bounded(policy: object) -> None:
    """However many paths are asked for; and long ones are not kept at all."""
    rules = rulebook(policy)

    for number in range(5_000):
        assert isinstance(rules.place(request(f"/things/{number}")), Place)
    kept = len(rules._places)
    for number in range(100):
        assert isinstance(rules.place(request(f"/{'a' * 600}{number}")), Place)

    assert 0 < kept <= 4_096
    assert len(rules._places) == kept


def test_refused_places_are_not_kept() -> None:
    """What is refused takes no room."""
    rules = rulebook()

    for number in range(100):
        assert isinstance(rules.place(request(f"/a//{number}")), Denied)
        assert isinstance(rules.place(request("/a", method=f"m{number}")), Denied)

    assert len(rules._places) == 0


RAW: list[tuple[str, Mapping[str, str], bool]] = [
    ("/a/b", {}, True),
    ("/a/b", {"RAW_URI": "/a/b"}, True),
    ("/a/b", {"RAW_URI": "/a/b?x=/../"}, True),
    ("/a/b", {"REQUEST_URI": "/a/%62"}, True),
    ("/a/b", {"RAW_URI": "/a/b", "REQUEST_URI": "/a/b"}, True),
    ("/a/b", {"SCRIPT_NAME": "/m", "REQUEST_URI": "/m/a/b"}, True),
    ("/a/b", {"SCRIPT_NAME": "/m", "REQUEST_URI": "/a/b"}, True),
    ("/a/b", {"RAW_URI": "/a%2Fb"}, False),
    ("/a/b", {"RAW_URI": "/a%2fb"}, False),
    ("/b", {"RAW_URI": "/a/../b"}, False),
    ("/b", {"RAW_URI": "/a/%2e%2e/b"}, False),
    ("/b", {"REQUEST_URI": "/a/..;/b"}, False),
    ("/a/b", {"RAW_URI": "//a/b"}, False),
    ("/a/b", {"RAW_URI": "http://host/a/b"}, False),
    ("/a/b", {"RAW_URI": "/a/b", "REQUEST_URI": "/a/c"}, False),
    ("/a/b", {"RAW_URI": "/a/c"}, False),
    ("/a/b", {"RAW_URI": ""}, False),
    ("/a/b", {"SCRIPT_NAME": "/m", "RAW_URI": "/n/a/b"}, False),
]


@pytest.mark.parametrize(("path", "keys", "agrees"), RAW)
def test_raw_target_must_agree(path: str, keys: Mapping[str, str], agrees: bool) -> None:
    """What the client wrote and what the application routes on must be the same, also where the place is remembered."""
    rules = rulebook()
    assert isinstance(rules.place(request(path)), Place)

    for _ in range(2):
        assert isinstance(rules.place(request(path, **keys)), Place) is agrees


@pytest.mark.parametrize("keys", [keys for _, keys, agrees in RAW if not agrees])
def test_raw_target_is_ignored_where_that_is_asked_for(keys: Mapping[str, str]) -> None:
    """Behind a front end that rewrites, only the path counts."""
    assert isinstance(rulebook(checks_raw=False).place(request("/a/b", **keys)), Place)


@pytest.mark.parametrize(("raw_target", "status"), [("check", 400), ("ignore", 200)])
def test_option_of_the_gate(raw_target: Any, status: int) -> None:
    """``raw_target`` says which."""
    store = MemoryStore()
    secret = Issuer(store).mint(owner="alice", name="ci").secret
    gate = PATMiddleware(Spy(), store, policy=POLICY, raw_target=raw_target)

    assert call(gate, request("/a/b", bearer(secret), RAW_URI="/a%2Fb")).status == status
    assert gate.close()


def test_path_is_not_judged_without_a_policy() -> None:
    """Where any valid token is enough, every path is as good; unless somebody else asks for it."""
    odd = request("/a//b", method="get")

    assert isinstance(rulebook(None).place(odd), Place)
    assert isinstance(rulebook(None, needs_path=True).place(odd), Denied)


@pytest.mark.parametrize(
    "policy", [None, POLICY, CLOSED, AllowEverything()], ids=["none", "open", "closed", "another's"]
)
@pytest.mark.parametrize("lenient", [False, True])
def test_rules_of_the_gate_itself_come_first(policy: object, lenient: bool) -> None:
    """Where one of them matches the policy is not asked, whoever's it is; everywhere else they change nothing."""
    rules, without = (rulebook(policy, lenient=lenient, own=own, needs_path=True) for own in (OWN, None))
    own, other = (rules.place(request(path)) for path in ("/own", "/other"))
    before = without.place(request("/other"))
    assert isinstance(own, Place)
    assert isinstance(other, Place)
    assert isinstance(before, Place)

    assert rules.decide(own, None, request("/own")) == Allowed("own")
    assert rules.decide(other, None, request("/other")) == without.decide(before, None, request("/other"))


def test_rules_of_the_gate_itself_need_the_path() -> None:
    """Then a path is judged, also where there is no policy."""
    assert rulebook(None, own=OWN).place(request("//own")) == Denied(Reason.AMBIGUOUS_PATH)


def test_empty_path_below_a_mount_is_the_root() -> None:
    """An application that is mounted sees an empty path for its own root; nowhere else is it one."""
    mounted, bare = (rulebook().place(request("", SCRIPT_NAME=name)) for name in ("/m", ""))

    assert isinstance(mounted, Place)
    assert mounted.path == "/"
    assert bare == Denied(Reason.AMBIGUOUS_PATH)


def test_missing_path_is_an_empty_one() -> None:
    """Some servers leave it out."""
    environ = request()
    del environ["PATH_INFO"]

    assert rulebook().place(environ) == Denied(Reason.AMBIGUOUS_PATH)


def test_policy_must_be_able_to_decide() -> None:
    """An object without ``decide``, and a class in the place of an object, are refused."""
    for policy in (object(), AllowEverything):
        with pytest.raises(ConfigurationError, match="decide"):
            rulebook(policy)
