"""Flat settings made into a gate, and what views ask it."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from gate import Spy, bearer, call, request

from patmiddleware import (
    Allowed,
    AuditLog,
    CacheSettings,
    ConfigurationError,
    Denied,
    Issuer,
    IssuerLimits,
    Owner,
    Policy,
    Reason,
    Scrub,
    SessionSettings,
    open_directory,
)
from patmiddleware.backends.chain import ChainReader
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.integrations.embedding import Embedding
from patmiddleware.integrations.flat import check_prefix
from patmiddleware.testing import FakeClock, FlakyDirectory, FlakyPasswordDirectory

POLICY = """
[scopes.read]
[scopes.write]
includes = ["read"]
[[rule]]
path = "/projects/{project}/**"
scopes = ["read"]
[[rule]]
path = "/open/**"
public = true
[[rule]]
path = "/open/{project}"
methods = ["GET"]
scopes = ["read"]
[[rule]]
path = "/exempt"
scopes = []
limits = "exempt"
"""


def embedding(folder: Path, *, prefix: str = "PATMIDDLEWARE_", **settings: object) -> Embedding:
    return Embedding(Spy(), {"store": MemoryStore(), **settings}, prefix=prefix, folder=folder)


@pytest.fixture
def ruled(tmp_path: Path) -> Embedding:
    """A gate with a policy."""
    (tmp_path / "policy.toml").write_text(POLICY)
    return embedding(tmp_path, policy="policy.toml")


def passed(gate: Embedding, path: str, *scopes: str, **more: Any) -> dict[str, Any]:
    """Give the environ of a request with a new token, behind the gate."""
    secret = gate.issuer().mint(owner="alice", name="ci", scopes=scopes, **more).secret
    spy = Spy()
    gate.middleware.app = spy
    call(gate.middleware, request(path, bearer(secret)))
    return spy.environ


def test_it_annotates_unless_told_otherwise(tmp_path: Path) -> None:
    """An application that is embedded in decides itself."""
    statuses = [
        call(embedding(tmp_path, **settings).middleware, request("/")).status
        for settings in ({}, {"missing": "reject"})
    ]

    assert statuses == [200, 401]


def test_objects_stand_as_they_are(tmp_path: Path) -> None:
    """What can't be said in text is given as it is."""
    clock, written = FakeClock(), io.StringIO()
    gate = embedding(
        tmp_path,
        policy=Policy.from_dict({"rule": [{"path": "/**", "scopes": []}]}),
        directory=open_directory("static:" + _owners(tmp_path)),
        audit=AuditLog(written),
        errors=lambda denied, status, request_id: ("text/plain", b"mine"),
        basic_username=lambda username, owner: True,
        cache=CacheSettings(lifetime=1.0),
        scrub=Scrub(extra=("HTTP_X_MINE",)),
        session=SessionSettings(path="/"),
        accept=("bearer", "session"),
        issuer=IssuerLimits(maximum_lifetime=timedelta(hours=1)),
        clock=clock,
    )

    minted = gate.issuer().mint(owner="alice", name="x", scopes={"any"})
    refused = call(gate.middleware, request("/", "Bearer a b"))
    gate.middleware.close()

    assert minted.token.expires is not None
    assert minted.token.expires.timestamp() == pytest.approx(clock() + 3_600, abs=1)
    assert refused.status == 200
    assert [json.loads(line)["event"] for line in written.getvalue().splitlines()] == ["token.created", "decision"]


class _Empty:
    """Is false, as whatever counts what is in it and has nothing."""

    def __len__(self) -> int:
        return 0


class EmptyApp(_Empty, Spy):
    """An application without a route."""


class EmptyStore(_Empty, MemoryStore):
    """A store without a token."""


class EmptyDirectory(_Empty, FlakyPasswordDirectory):
    """A directory of which nobody counts the people."""


def test_an_object_that_is_false_is_one(tmp_path: Path) -> None:
    """Nothing stands in for an empty application or store, nor is an empty directory passed over."""
    alice = {"alice": Owner(name="alice")}
    store, directory = EmptyStore(), EmptyDirectory(alice, {"alice": "right"})
    passwords = {"paths": ["/**"], "owners": ["alice"], "scopes": ["read"], "until": datetime(2999, 1, 1, tzinfo=UTC)}
    settings = {"store": store, "directory": directory, "passwords": passwords}
    app = EmptyApp()

    gate = Embedding(app, settings, prefix="PATMIDDLEWARE_", folder=tmp_path)
    call(gate.middleware, request("/", "Basic " + b64encode(b"alice:right").decode()))

    assert (gate.middleware.store, gate.middleware.directory) == (store, directory)
    assert app.environ["REMOTE_USER"] == "alice"


@pytest.mark.parametrize("rule", ["mail", "match"])
def test_a_directory_in_hand_is_one(tmp_path: Path, rule: str) -> None:
    """What needs a directory, such as addresses for user names, is content with an object."""
    directory = FlakyDirectory([Owner(name="alice", mail="al@example.org")])
    gate = embedding(tmp_path, directory=directory, basic_username=rule, missing="reject")
    secret = gate.issuer().mint(owner="alice", name="ci").secret

    answer = call(gate.middleware, request("/", "Basic " + b64encode(f"al@example.org:{secret}".encode()).decode()))

    assert answer.status == {"mail": 200, "match": 401}[rule]


def _owners(folder: Path) -> str:
    (folder / "owners.toml").write_text("[owners.alice]\n")
    return str(folder / "owners.toml")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("store", None, "PATMIDDLEWARE_STORE: there is no store"),
        ("store", b"memory:", "PATMIDDLEWARE_STORE"),
        ("store", 5, "PATMIDDLEWARE_STORE"),
        ("store", iter(()), "PATMIDDLEWARE_STORE: tuple_iterator is neither a store nor the address of one"),
        (
            "directory",
            iter(()),
            "PATMIDDLEWARE_DIRECTORY: tuple_iterator is neither a directory nor the address of one",
        ),
        ("policy", iter(()), "has no method decide(grant, request)"),
        ("audit", iter(()), "PATMIDDLEWARE_AUDIT: takes AuditLog or str, not tuple_iterator"),
        ("policy", 5, "PATMIDDLEWARE_POLICY"),
        ("errors", "xml", "PATMIDDLEWARE_ERRORS"),
        ("clock", 5, "PATMIDDLEWARE_CLOCK"),
        ("issuer", {"maximum": "1d"}, "PATMIDDLEWARE_ISSUER.maximum"),
        ("limiter", "x", "PATMIDDLEWARE_LIMITER"),
        ("app", "x:y", "PATMIDDLEWARE_APP: there is no such setting"),
        ("polcy", "x", "policy"),
    ],
)
def test_what_is_wrong_is_named_as_it_was_given(tmp_path: Path, name: str, value: object, words: str) -> None:
    """With the prefix; never as an error of another kind."""
    with pytest.raises(ConfigurationError) as caught:
        embedding(tmp_path, **{name: value})

    assert words in str(caught.value)


def test_settings_of_an_ini_file_are_text(tmp_path: Path) -> None:
    """A value of TOML where it is one, names between commas or blanks where a list is wanted, tables by dots."""
    gate = embedding(
        tmp_path,
        prefix="patmiddleware.",
        **{"accept": "bearer, header:X-API-Key", "keep_credential": "true", "issuer.maximum_lifetime": "2d"},
    )

    assert gate.config.middleware.accept == ("bearer", "header:X-API-Key")
    assert gate.config.middleware.keep_credential is True
    assert gate.config.issuer.maximum_lifetime == timedelta(days=2)


def test_a_settings_file_is_stood_over(tmp_path: Path) -> None:
    """What it says of serving is left out; paths in it start where it is."""
    folder = tmp_path / "below"
    folder.mkdir()
    (folder / "policy.toml").write_text(POLICY)
    text = '[store]\nurl = "file:t.jsonl"\n[policy]\nfile = "policy.toml"\n[middleware]\nrealm = "file"\n'
    (folder / "pat.toml").write_text(text + '[server]\nthreads = 2\n[app]\nimport = "x:y"\n')

    gate = Embedding(Spy(), {"config": "below/pat.toml", "realm": "mine"}, prefix="P_", folder=tmp_path)

    assert (folder / "t.jsonl").exists()
    assert gate.config.middleware.realm == "mine"
    assert isinstance(gate.policy, Policy)


def test_a_settings_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(ConfigurationError, match=r"P_CONFIG: .*/none\.toml can't be read"):
        Embedding(Spy(), {"config": "none.toml"}, prefix="P_", folder=tmp_path)


@pytest.mark.parametrize(
    ("prefix", "name", "told"),
    [
        ("PATMIDDLEWARE_", "PATMIDDLEWARE_POLICY", False),
        ("PATMIDDLEWARE_", "PATMIDLEWARE_POLICY", True),
        ("PATMIDDLEWARE_", "PATMIDDLEWRAE_POLICY", True),
        ("PATMIDDLEWARE_", "PATMIDDLEWARE.POLICY", True),
        ("PATMIDDLEWARE_", "patmiddleware_policy", True),
        ("PATMIDDLEWARE_", "MIDDLEWARE_POLICY", False),
        ("PATMIDDLEWARE_", "SECRET_KEY", False),
        ("PATMIDDLEWARE_", "", False),
        ("patmiddleware.", "patmiddleware.policy", False),
        ("patmiddleware.", "patmiddlewar.policy", True),
        ("patmiddleware.", "patmiddleware_policy", True),
        ("patmiddleware.", "pyramid.includes", False),
    ],
)
def test_a_misspelt_prefix_is_told(prefix: str, name: str, told: bool) -> None:
    """A policy that nobody reads would be one that nobody misses; what is somebody else's is left alone."""
    try:
        check_prefix([name, "OTHER", 5], prefix)
        found = ""
    except ConfigurationError as error:
        found = str(error)

    assert found == (f"PAT-E103 {name}: nobody reads this setting (ours begin with {prefix})" if told else "")


def test_what_is_wrong_is_told_once(tmp_path: Path) -> None:
    """Under the name that stands in the application's settings, with the driver's own error as the cause."""
    with pytest.raises(ConfigurationError) as wrong:
        Embedding(Spy(), {"stoer": "memory:"}, prefix="P_", folder=tmp_path)
    with pytest.raises(ConfigurationError) as missing:
        Embedding(Spy(), {"config": "none.toml"}, prefix="P_", folder=tmp_path)

    assert wrong.value.__cause__ is None
    assert isinstance(missing.value.__cause__, FileNotFoundError)


def test_scopes_that_the_policy_knows_may_be_demanded(ruled: Embedding) -> None:
    """Another is told with the view and the nearest name."""
    ruled.check(frozenset({"read", "write"}), "view 'notes'")

    with pytest.raises(ConfigurationError, match=r"view 'notes': the policy knows no scope 'wriet': .*'write'"):
        ruled.check(frozenset({"read", "wriet"}), "view 'notes'")


LIMITS = {"project": frozenset({"OPS"})}
LACKING: Mapping[str, tuple[str, tuple[str, ...], dict[str, Any], tuple[str, ...], Reason | None]] = {
    "any token": ("/x", (), {}, (), None),
    "a scope": ("/x", ("read",), {}, ("read",), None),
    "an included scope": ("/x", ("write",), {}, ("read",), None),
    "too small a scope": ("/x", ("read",), {}, ("write",), Reason.INSUFFICIENT_SCOPE),
    "limits kept": ("/projects/OPS/x", ("read",), {"limits": LIMITS}, ("read",), None),
    "limits kept, scope too small": (
        "/projects/OPS/x",
        ("read",),
        {"limits": LIMITS},
        ("write",),
        Reason.INSUFFICIENT_SCOPE,
    ),
    "exempt": ("/exempt", ("read",), {"limits": LIMITS}, ("read",), None),
    "limits at a public path": ("/open/x/y", ("read",), {"limits": LIMITS}, ("read",), Reason.LIMIT),
    "limits captured at a public path": ("/open/OPS", ("read",), {"limits": LIMITS}, ("read",), None),
    "other limits captured at a public path": ("/open/HR", ("read",), {"limits": LIMITS}, ("read",), Reason.LIMIT),
    "limits at a public path that is not ASCII": (
        "/open/\xc3\xb6",
        ("read",),
        {"limits": LIMITS},
        (),
        Reason.LIMIT,
    ),
}


@pytest.mark.parametrize("case", LACKING)
def test_what_a_view_demands(ruled: Embedding, case: str) -> None:
    """All its scopes, and limits that a rule has kept."""
    path, held, more, needed, expected = LACKING[case]

    denied = ruled.lacking(passed(ruled, path, *held, **more), needed)

    assert (None if denied is None else denied.reason) == expected


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (None, Reason.MISSING),
        ("Bearer pat_x", Reason.UNKNOWN),
        ("Bearer a b", Reason.MALFORMED),
        ("Digest x", Reason.UNSUPPORTED),
    ],
)
def test_a_credential_that_was_let_through_is_refused_for_what_was_wrong(
    ruled: Embedding, authorization: str | None, expected: Reason
) -> None:
    """As the gate would have."""
    spy = Spy()
    ruled.middleware.app = spy
    call(ruled.middleware, request("/x", authorization))

    denied = ruled.lacking(spy.environ, ())

    assert denied is not None
    assert denied.reason == expected


def test_a_request_that_came_another_way_is_an_error(ruled: Embedding) -> None:
    """Nothing says who it is."""
    with pytest.raises(ConfigurationError, match="did not come through the gate"):
        ruled.lacking(request("/x"), ())


def test_a_refusal_has_the_id_of_its_request(ruled: Embedding) -> None:
    """The one that the audit has."""
    environ = passed(ruled, "/x", "read")

    answer = call(lambda *given: ruled.refuse(Denied(Reason.LIMIT), *given), environ)

    assert (answer.status, answer.reason) == (403, "limit")
    assert answer.problem["request_id"] == environ["patmiddleware.request_id"]


PARAMETERS = """
allow_path_parameters = true
[[rule]]
path = "/open/{project}"
public = true
[[rule]]
path = "/more/**"
public = true
[[rule]]
path = "/more/{project}/a*b"
scopes = []
"""
WHEN = """
[[rule]]
path = "/open"
public = true
[[rule]]
path = "/open"
scopes = []
limits = "exempt"
when = {owners = ["bob"]}
"""


@pytest.mark.parametrize(
    ("policy", "path", "owner", "expected"),
    [
        (PARAMETERS, "/open/OPS", "alice", None),
        (PARAMETERS, "/open/OPS;x=1", "alice", Reason.LIMIT),
        (PARAMETERS, "/more/OPS/a-b", "alice", None),
        (PARAMETERS, "/more/OPS/a;b", "alice", Reason.LIMIT),
        (WHEN, "/open", "bob", None),
        (WHEN, "/open", "alice", Reason.LIMIT),
    ],
)
def test_limits_are_kept_in_every_reading_and_for_whoever_asks(
    tmp_path: Path, policy: str, path: str, owner: str, expected: Reason | None
) -> None:
    """Of a path with parameters both; by a rule that is about the owner alone."""
    (tmp_path / "policy.toml").write_text(policy)
    gate, spy = embedding(tmp_path, policy="policy.toml"), Spy()
    gate.middleware.app = spy
    secret = gate.issuer().mint(owner=owner, name="x", scopes=(), limits=LIMITS).secret
    call(gate.middleware, request(path, bearer(secret)))

    denied = gate.lacking(spy.environ, ())

    assert (None if denied is None else denied.reason) == expected


class Mine:
    """A policy of somebody's own, which knows no rule for what is elsewhere."""

    def decide(self, grant: object, asked: Any) -> Allowed | Denied:
        return Allowed() if asked.path == "/mine" else Denied(Reason.NO_RULE)


@pytest.mark.parametrize(("path", "expected"), [("/mine", 200), ("/elsewhere", 403)])
def test_a_policy_of_ones_own_keeps_limits_where_it_says_yes(tmp_path: Path, path: str, expected: int) -> None:
    """Where it knows of no rule, a token with limits goes no further, as with ours."""
    gate = embedding(tmp_path, policy=Mine())
    secrets = [gate.issuer().mint(owner="a", name="x", scopes=(), limits=limits).secret for limits in (LIMITS, {})]

    answers = [call(gate.middleware, request(path, bearer(secret))) for secret in secrets]

    assert [answer.status for answer in answers] == [expected, 200]
    assert answers[0].status == 200 or answers[0].reason == "limit"


def test_of_several_stores_the_first_makes_tokens(tmp_path: Path) -> None:
    """Those of another are known all the same."""
    first, second = MemoryStore(), MemoryStore()
    gate = embedding(tmp_path, store=ChainReader([first, second]))
    other = Issuer(second).mint(owner="bob", name="x", scopes=()).secret

    minted = gate.issuer().mint(owner="alice", name="x", scopes=())

    assert first.get(minted.token.id) is not None
    assert call(gate.middleware, request("/", bearer(other))).status == 200


def test_a_store_that_only_reads_makes_no_tokens(tmp_path: Path) -> None:
    """It says where they come from."""

    class Reader:
        def find(self, secret: object) -> None:
            return None

    with pytest.raises(ConfigurationError, match="this store can only be read"):
        embedding(tmp_path, store=Reader()).issuer()
