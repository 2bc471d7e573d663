"""The first use of a token that Jira made, and what wrong secrets cost."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.databases import mariadb, postgresql

from patmiddleware import Issuer, PATMiddleware, open_store
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.errors import BackendUnavailable, RefusedError
from patmiddleware.firstuse import AT_ONCE, FirstUses, id_of, parts, verify
from patmiddleware.interfaces import Redigesting
from patmiddleware.model import Digest, Revocation, Secret, Token, Use
from patmiddleware.moving import Export, NewExport, copy
from patmiddleware.testing import NOON, FakeClock, sample_token
from patmiddleware.testing.redigesting import JIRA_DIGEST, JIRA_ID, JIRA_SECRET
from patmiddleware.testing.samples import hidden, together
from patmiddleware.tokens import digests

OLD, NEW = b"an old pepper, 16+", b"a new pepper, 16+"
RIGHT = Secret(JIRA_SECRET)
FAR = NOON + timedelta(days=36_500)


def raw(number: int = 123456789012, random: bytes = bytes(20)) -> Secret:
    """A token as Jira makes them."""
    return Secret(base64.b64encode(b"%012d:" % number + random).decode())


def wrong(turn: int, number: int = 123456789012) -> Secret:
    """One of many wrong secrets."""
    return raw(number, turn.to_bytes(20))


def jira_token(number: int = 123456789012, **changes: Any) -> Token:
    facts = {"parent": None, "replaces": None, "family": "", "expires": FAR, "limits": {}, "networks": ()}
    return sample_token(id_of(f"{number:012}"), **(facts | changes))


def digest(number: int) -> Digest:
    """What Jira keeps of the token of this number; made up, so no secret is right but by a hash of the test's own."""
    return Digest("pkcs5s2", f"{number:012}", b"%012d" % number)


def filled(store: Any, *, first_uses: FirstUses | None = None, **changes: Any) -> Any:
    """Give a store with Jira's token in it."""
    store.add(jira_token(**changes), JIRA_DIGEST)
    if first_uses is not None:
        store.first_uses = first_uses
    return store


def outcome(store: Redigesting, secret: Secret) -> str:
    try:
        token = store.find(secret)
    except BackendUnavailable:
        return "come again"
    return "none" if token is None else token.id


# -- the string


def test_what_stands_in_a_token() -> None:
    """Its number in clear, and 20 bytes of which Jira hashes the base64."""
    assert parts(RIGHT) == ("123456789012", b"AAECAwQFBgcICQoLDA0ODxAREhM=")
    assert verify(b"AAECAwQFBgcICQoLDA0ODxAREhM=", JIRA_DIGEST)
    assert not verify(b"AAECAwQFBgcICQoLDA0ODxAREhQ=", JIRA_DIGEST)


OTHERS = {
    "empty": "",
    "one of ours": "pat_" + "0" * 38,
    "as long": "x" * 44,
    "no base64": JIRA_SECRET[:-1] + "-",
    "padded": base64.b64encode(b"12345678901:" + bytes(20)).decode(),
    "eleven digits": base64.b64encode(b"12345678901:" + bytes(21)).decode(),
    "no colon": base64.b64encode(b"123456789012;" + bytes(20)).decode(),
    "no digits": base64.b64encode(b"12345678901x:" + bytes(20)).decode(),
    "other digits": base64.b64encode("１２３４".encode() + b":" + bytes(20)).decode(),
    "line break": JIRA_SECRET[:-1] + "\n",
    "not ASCII": JIRA_SECRET[:-1] + "é",
    "half a character": JIRA_SECRET[:-1] + "\udcff",
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_other_strings_are_none_of_jira_s(text: str) -> None:
    """They cost no look-up."""
    assert parts(Secret(text)) is None


@given(st.integers(0, 10**12 - 1), st.binary(min_size=20, max_size=20))
def test_every_token_of_jira_s_is_read(number: int, random: bytes) -> None:
    """Whatever its bytes are: a colon, a line break."""
    assert parts(raw(number, random)) == (f"{number:012}", base64.b64encode(random))


@given(st.text())
def test_no_string_is_too_odd(text: str) -> None:
    """Whatever a client sends is read without an error."""
    parts(Secret(text))


# -- once in its life


def test_its_hash_is_computed_once() -> None:
    """From the first use on it is as fast as any other, also in a process that never saw it before."""
    store = filled(MemoryStore(peppers=[NEW, OLD]))

    found = [store.find(RIGHT) for _ in range(3)]
    store.first_uses = FirstUses()
    found.append(store.find(RIGHT))

    assert found == [jira_token()] * 4
    assert store.first_uses.hashes == 0
    assert [kept for _, kept in store.records()] == [digests(RIGHT, [NEW])[0]]


def test_of_many_first_uses_at_once_one_computes_it() -> None:
    """The others wait, and see that it is done."""
    store = filled(MemoryStore())

    assert together(16, lambda _: store.find(RIGHT) == jira_token()) == [True] * 16
    assert store.first_uses.hashes == 1


def test_many_tokens_move_over_at_once() -> None:
    """Right secrets take nothing of the budget: the first day turns nobody away, though all come together."""
    store, passes = MemoryStore(), {base64.b64encode(number.to_bytes(20)) for number in range(200)}
    store.first_uses = FirstUses(clock=FakeClock(), verify=lambda password, _: password in passes)
    for number in range(200):
        store.add(jira_token(number), digest(number))

    found = together(20, lambda thread: all(store.find(raw(n, n.to_bytes(20))) for n in range(thread, 200, 20)))

    assert found == [True] * 20
    assert store.first_uses.hashes == 200


def test_the_cache_is_not_emptied_by_a_first_use() -> None:
    """Nothing changed that a cache could know, so neither the revision nor any other token is asked for again."""
    store = filled(MemoryStore())
    before = store.revision()

    store.find(RIGHT)

    assert store.revision() == before


def test_two_processes_at_once_are_harmless(caplog: pytest.LogCaptureFixture) -> None:
    """Both have verified the secret before one of them writes: both let it in, it is kept once, and nobody is told."""
    store = filled(MemoryStore())
    other, entered, go = FirstUses(), Event(), Event()

    def held(password: bytes, kept: Digest) -> bool:
        entered.set()
        go.wait(60)
        return verify(password, kept)

    store.first_uses = FirstUses(verify=held)

    def act(number: int) -> bool:
        if number == 0:
            return bool(store.find(RIGHT) == jira_token())
        entered.wait(60)
        found = other.find(store, RIGHT)
        go.set()
        return found == jira_token()

    assert together(2, act) == [True, True]
    assert list(store.records()) == [(jira_token(), digests(RIGHT)[0])]
    assert caplog.text == ""


class ReadOnly(MemoryStore):
    """A store that can't be written, as a replica."""

    def redigest(self, id: str, secret: Secret, expected: Digest) -> None:
        raise BackendUnavailable("read only")


def test_a_store_that_can_t_be_written_lets_in_what_it_verified(caplog: pytest.LogCaptureFixture) -> None:
    """It is slow again the next time; the log says so, and shows no secret."""
    store = filled(ReadOnly())

    assert [store.find(RIGHT), store.find(RIGHT)] == [jira_token()] * 2
    assert store.first_uses.hashes == 2
    assert "jira-123456789012 stays under its slow hash" in caplog.text
    assert not [text for text in hidden(store, JIRA_SECRET) if text in caplog.text]


class AddedMeanwhile(MemoryStore):
    """Somebody adds the secret under another id while it is verified."""

    def redigest(self, id: str, secret: Secret, expected: Digest) -> None:
        self.add(sample_token("adopted"), secret)
        super().redigest(id, secret, expected)


def test_a_secret_that_was_added_meanwhile_is_no_outage() -> None:
    """What was verified is let in; from then on the other record speaks for the secret, and one alone has it."""
    store = filled(AddedMeanwhile())

    assert [store.find(RIGHT), store.find(RIGHT)] == [jira_token(), sample_token("adopted")]


# -- what happened before the first use


@pytest.mark.parametrize(
    "changes", [{"revoked": Revocation(NOON, "bob", "lost")}, {"expires": NOON}], ids=["revoked", "expired"]
)
def test_a_dead_token_is_verified_too(changes: dict[str, Any]) -> None:
    """The right secret gives its record, for the caller to judge; a wrong one gives nothing, after the same work."""
    store = filled(MemoryStore(), first_uses=FirstUses(clock=FakeClock()), **changes)

    found = [store.find(wrong(1)), store.first_uses.hashes]
    store.first_uses.begin_anew()

    assert [*found, store.find(RIGHT)] == [None, 1, jira_token(**changes)]


def test_a_token_rotated_before_its_first_use_lives_on_for_the_overlap() -> None:
    """Its secret leads to the record with the new expiry, and shown again after the overlap it revokes the family."""
    clock = FakeClock()
    store = filled(MemoryStore())
    issuer = Issuer(store, clock=clock)

    minted = issuer.rotate(JIRA_ID, timedelta(hours=1))
    kept = store.find(RIGHT)
    clock.advance(3601)
    with pytest.raises(RefusedError):
        issuer.rotate(RIGHT)

    assert kept == jira_token(expires=NOON + timedelta(hours=1))
    assert store.find(Secret(minted.secret)).revoked is not None


def test_a_wrong_secret_revokes_no_family() -> None:
    """Who knows the number alone can't pose as a holder of a rotated secret."""
    clock = FakeClock()
    store = filled(MemoryStore())
    issuer = Issuer(store, clock=clock)
    minted = issuer.rotate(JIRA_ID, timedelta(hours=1))
    clock.advance(3601)

    with pytest.raises(RefusedError):
        issuer.rotate(wrong(1))

    assert store.find(Secret(minted.secret)).revoked is None


def test_a_holder_may_rotate_and_revoke_it_as_any_other() -> None:
    """Its secret proves who holds it, though it was never used here."""
    rotated, revoked = filled(MemoryStore()), filled(MemoryStore())

    minted = Issuer(rotated, clock=FakeClock()).rotate(RIGHT)
    Issuer(revoked, clock=FakeClock()).revoke_secret(RIGHT)

    assert (minted.token.replaces, minted.token.family) == (JIRA_ID, JIRA_ID)
    assert revoked.find(RIGHT).revoked is not None


def test_a_revocation_between_the_look_and_the_write_holds() -> None:
    """It is found revoked the next time; the first use gave what was so when it began."""
    store = filled(MemoryStore())

    def revoking(password: bytes, kept: Digest) -> bool:
        store.replace(jira_token(revoked=Revocation(NOON)), jira_token())
        return verify(password, kept)

    store.first_uses = FirstUses(verify=revoking)

    assert [store.find(RIGHT), store.find(RIGHT)] == [jira_token(), jira_token(revoked=Revocation(NOON))]


def test_a_token_removed_meanwhile_does_not_come_back() -> None:
    """The first use writes only where the hash still stands."""
    store = filled(MemoryStore())

    def removing(password: bytes, kept: Digest) -> bool:
        store.remove(JIRA_ID)
        return verify(password, kept)

    store.first_uses = FirstUses(verify=removing)
    store.find(RIGHT)

    assert (list(store.records()), store.find(RIGHT)) == ([], None)


# -- what wrong secrets cost


def test_an_unknown_number_costs_no_hash() -> None:
    """Nor does any other string."""
    store = filled(MemoryStore())

    assert [outcome(store, wrong(1, number)) for number in range(100)] == ["none"] * 100
    assert store.first_uses.hashes == 0


def test_a_wrong_secret_costs_nothing_once_the_token_was_used() -> None:
    """It is held against the fast digest."""
    store = filled(MemoryStore())
    store.find(RIGHT)

    assert [outcome(store, wrong(turn)) for turn in range(100)] == ["none"] * 100
    assert store.first_uses.hashes == 1


def test_a_flood_of_wrong_secrets_costs_little(pat_clock: FakeClock) -> None:
    """Of a thousand over many threads one is looked at; the others hear to come again, never that they are wrong."""
    store = filled(MemoryStore(), first_uses=FirstUses(clock=pat_clock))
    outcomes: list[str] = []

    together(20, lambda thread: not outcomes.extend(outcome(store, wrong(50 * thread + n)) for n in range(50)))

    assert sorted(outcomes) == ["come again"] * 999 + ["none"]
    assert store.first_uses.hashes == 1


def test_the_wait_grows_but_not_for_ever(pat_clock: FakeClock) -> None:
    """Somebody who repeats what was turned away gets a hash after 1, 2, 4, and then every 8 seconds."""
    store = filled(MemoryStore(), first_uses=FirstUses(clock=pat_clock))
    tried = []

    for second in range(40):
        seen = store.first_uses.hashes
        for turn in (second, second + 1):
            outcome(store, wrong(turn))
        tried += [second] * (store.first_uses.hashes - seen)
        pat_clock.advance(1)

    assert tried == [0, 1, 3, 7, 15, 23, 31, 39]


def test_who_comes_again_goes_before_a_flood(pat_clock: FakeClock) -> None:
    """New guesses get no try at all while the owner, told to come again, is let in at the first moment."""
    store = filled(MemoryStore(), first_uses=FirstUses(clock=pat_clock))
    guesses = iter(range(1, 10_000))
    flood = [outcome(store, wrong(next(guesses))) for _ in range(1_000)]

    first = outcome(store, RIGHT)
    pat_clock.advance(5)
    flood += [outcome(store, wrong(next(guesses))) for _ in range(1_000)]
    second = outcome(store, RIGHT)

    assert (first, second) == ("come again", JIRA_ID)
    assert (flood.count("none"), store.first_uses.hashes) == (1, 2)


def test_one_wrong_secret_keeps_the_owner_waiting_for_a_second(pat_clock: FakeClock) -> None:
    """Where nobody was turned away, nobody has to come twice."""
    store = filled(MemoryStore(), first_uses=FirstUses(clock=pat_clock))
    outcome(store, wrong(1))

    pat_clock.advance(1)

    assert outcome(store, RIGHT) == JIRA_ID


def test_once_a_flood_is_over_nobody_has_to_come_twice(pat_clock: FakeClock) -> None:
    """What was turned away before the last try does not count any more."""
    store = filled(MemoryStore(), first_uses=FirstUses(clock=pat_clock))
    flood = [outcome(store, wrong(turn)) for turn in range(100)]
    pat_clock.advance(1)
    last = outcome(store, wrong(99))

    pat_clock.advance(2)

    assert (flood.count("come again"), last, outcome(store, RIGHT)) == (99, "none", JIRA_ID)


def test_the_right_secret_ends_all_doubt(pat_clock: FakeClock) -> None:
    """Also where the store can't be written, and the hash has to be computed again at the next look-up."""
    store = filled(ReadOnly(), first_uses=FirstUses(clock=pat_clock))
    outcome(store, wrong(1))
    pat_clock.advance(1)

    assert [outcome(store, RIGHT) for _ in range(3)] == [JIRA_ID] * 3


def test_a_flood_for_one_token_turns_no_other_away(pat_clock: FakeClock) -> None:
    """A token for which no secret was wrong is verified at once, whatever the others cost."""
    store = filled(MemoryStore())
    store.first_uses = FirstUses(clock=pat_clock, verify=lambda _, kept: kept == JIRA_DIGEST)
    for number in range(50):
        store.add(jira_token(number), digest(number))
    for turn in range(500):
        outcome(store, wrong(turn, turn % 50))

    assert outcome(store, RIGHT) == JIRA_ID


def test_all_doubtful_tokens_share_a_few_hashes_a_second(pat_clock: FakeClock) -> None:
    """However many ids somebody knows: each costs one hash, and then all together five a second."""
    store = MemoryStore()
    store.first_uses = FirstUses(clock=pat_clock, verify=lambda *_: False)
    for number in range(100):
        store.add(jira_token(number), digest(number))
    spent = []

    for _ in range(100):
        for number in range(100):
            outcome(store, wrong(0, number))
        spent.append(store.first_uses.hashes)
        pat_clock.advance(0.1)

    assert spent[0] == 100
    assert 0 < spent[-1] - spent[0] <= 5 * 10


def test_no_more_than_two_at_once() -> None:
    """The rest of the processor is for requests."""
    store, at_work, most = MemoryStore(), list[int](), list[int]()
    gathered = Event()

    def counting(password: bytes, kept: Digest) -> bool:
        at_work.append(1)
        most.append(len(at_work))
        gathered.wait(0.01)
        at_work.pop()
        return True

    store.first_uses = FirstUses(verify=counting)
    for number in range(32):
        store.add(jira_token(number), digest(number))

    assert all(together(16, lambda thread: all(store.find(raw(n, bytes(20))) for n in (thread, thread + 16))))
    assert max(most) == AT_ONCE


def test_a_damaged_hash_is_an_outage() -> None:
    """Not "bad token"; the words say what to do, and show neither the hash nor the secret."""
    store = MemoryStore()
    store.add(jira_token(), replace(JIRA_DIGEST, value=b"{PKCS5S2}abc"))

    with pytest.raises(BackendUnavailable, match="jira-123456789012 is damaged") as caught:
        store.find(RIGHT)

    assert caught.value.__cause__ is None
    assert not [text for text in [*hidden(store, JIRA_SECRET), "PKCS5S2"] if text in str(caught.value)]


def test_an_error_gives_the_turn_back() -> None:
    """However a try ends, the next one is not held up."""
    store = MemoryStore()
    for number in range(8):
        store.add(jira_token(number), replace(JIRA_DIGEST, value=b"%d" % number))

    assert [outcome(store, wrong(0, number)) for number in range(8)] == ["come again"] * 8
    assert outcome(filled(store), RIGHT) == JIRA_ID


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: there is no fork")
def test_a_forked_child_waits_for_nobody(tmp_path: Path) -> None:
    """A hash that the parent was at is not waited for in the child."""
    script = f"""
import os, sys, threading
from patmiddleware import Digest, Secret, Token, open_store
from patmiddleware.firstuse import FirstUses, verify
from patmiddleware.testing.redigesting import JIRA_DIGEST, JIRA_ID, JIRA_SECRET
store, entered, go = open_store("memory:"), threading.Event(), threading.Event()
store.add(Token(JIRA_ID, "alice"), JIRA_DIGEST)
def held(password, digest):
    if os.getpid() == {os.getpid()} or threading.current_thread() is not threading.main_thread():
        entered.set(); go.wait(20)
    return verify(password, digest)
store.first_uses = FirstUses(verify=held)
thread = threading.Thread(target=store.find, args=(Secret(JIRA_SECRET),))
thread.start(); entered.wait(20)
child = os.fork()
if child == 0:
    os._exit(0 if store.find(Secret(JIRA_SECRET)).id == JIRA_ID else 3)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
go.set(); thread.join()
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], timeout=60, check=False)

    assert done.returncode == 0


# -- in every kind of store


@pytest.fixture(scope="module", params=["memory", "file", "sqlite", "postgresql", "mariadb"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Give what gives an address of a new store, for each kind."""
    folder, numbers = tmp_path_factory.mktemp("stores"), iter(range(1_000))
    match request.param:
        case "memory":
            yield lambda: "memory:"
        case "file":
            yield lambda: f"file:{folder}/{next(numbers)}.jsonl"
        case "sqlite":
            yield lambda: f"sqlite:///{folder}/{next(numbers)}.db"
        case "postgresql":
            with postgresql() as server:
                yield server.new_database
        case "mariadb":
            with mariadb() as server:
                yield server.new_database


@contextmanager
def opened(address: Callable[[], str] | str, peppers: Sequence[str] = ()) -> Iterator[Any]:
    store = open_store(address if isinstance(address, str) else address(), peppers=peppers)
    try:
        yield store
    finally:
        getattr(store, "close", lambda: None)()


@pytest.mark.parametrize("peppers", [(), (NEW.decode(), OLD.decode())], ids=["plain", "peppers"])
def test_every_store_verifies_once(address: Callable[[], str], peppers: Sequence[str]) -> None:
    """Many threads at once: all are let in, one hash is computed, and the newest pepper is used."""
    with opened(address, peppers) as store:
        filled(store, last_used=Use(NOON))

        assert together(8, lambda _: store.find(RIGHT) == jira_token(last_used=Use(NOON))) == [True] * 8
        assert store.first_uses.hashes == 1
        assert list(store.records()) == [(jira_token(last_used=Use(NOON)), digests(RIGHT, store.peppers)[0])]


def test_unverified_tokens_move_along(address: Callable[[], str], tmp_path: Path) -> None:
    """Through a copy, an export and an import: the number and the hash stay, and the secret works at the end."""
    with opened(address) as source, opened(address, (NEW.decode(),)) as target:
        filled(source)
        with closing(NewExport(tmp_path / "export")) as export:
            copy(source, export)
            export.keep()
        with (tmp_path / "export").open("rb") as stream:
            assert copy(Export(stream, "export"), target).verified

        assert list(target.records()) == [(jira_token(), JIRA_DIGEST)]
        assert target.find(RIGHT) == jira_token()
        assert copy(source, target).skipped == 1
        assert target.find(RIGHT) == jira_token()
        assert target.first_uses.hashes == 1


def test_a_token_revoked_before_its_first_use_stays_revoked(address: Callable[[], str]) -> None:
    """A token that is revoked before its first use is found revoked, and stays so under the fast digest."""
    with opened(address) as store:
        filled(store)
        Issuer(store, clock=FakeClock()).revoke(JIRA_ID, by="bob")

        dead = jira_token(revoked=Revocation(NOON, "bob"))
        assert [store.find(RIGHT), store.find(RIGHT)] == [dead] * 2
        assert store.first_uses.hashes == 1


FIRST_USE = """
import sys
from patmiddleware import Secret, open_store
from patmiddleware.testing.redigesting import JIRA_SECRET
store = open_store(sys.argv[1])
sys.stdin.readline()
print(store.find(Secret(JIRA_SECRET)).id)
"""


def test_processes_use_it_for_the_first_time_at_once(address: Callable[[], str]) -> None:
    """Each lets it in, whoever writes first."""
    place = address()
    if place == "memory:":
        return  # which no other process sees
    with opened(place) as store:
        filled(store)
        command = [sys.executable, "-c", FIRST_USE, place]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        processes = [subprocess.Popen(command, **pipes) for _ in range(4)]
        for process in processes:
            process.stdin.write("\n")  # type: ignore[union-attr]  # it is a pipe
            process.stdin.flush()  # type: ignore[union-attr]
        found = [process.communicate(timeout=60)[0].strip() for process in processes]

        assert found == [JIRA_ID] * 4
        assert [kept for _, kept in store.records()] == [digests(RIGHT)[0]]


# -- behind the gate


def asked(app: Any, secret: str, scheme: str = "Bearer") -> tuple[int, dict[str, str], bytes]:
    """Ask as a WSGI server does."""
    environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SCRIPT_NAME": "", "SERVER_NAME": "x"}
    environ |= {"HTTP_AUTHORIZATION": f"{scheme} {secret}", "wsgi.url_scheme": "http", "SERVER_PORT": "80"}
    seen: list[Any] = []
    body = b"".join(app(environ, lambda status, headers, *_: seen.append((int(status[:3]), dict(headers)))))
    return (*seen[0], body)


def gate(store: Any) -> PATMiddleware:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["REMOTE_USER"].encode()]

    return PATMiddleware(application, store)


def test_a_wrong_secret_is_remembered_as_any_other() -> None:
    """The gate asks the store once for it, so the same mistake again and again costs one hash."""
    store = filled(MemoryStore())
    app = gate(store)

    answers = [asked(app, wrong(1).reveal())[0] for _ in range(20)]

    assert answers == [401] * 20
    assert store.first_uses.hashes == 1


def test_over_budget_a_client_hears_to_come_again() -> None:
    """503 with Retry-After, also for the right secret; once let in, nothing keeps the token away."""
    clock = FakeClock()
    store = filled(MemoryStore(), first_uses=FirstUses(clock=clock))
    app = gate(store)
    told = [asked(app, wrong(turn).reveal())[0] for turn in range(3)]

    status, headers, _ = asked(app, JIRA_SECRET)
    clock.advance(float(headers["Retry-After"]))
    later = asked(app, JIRA_SECRET)

    assert (told, status) == ([401, 503, 503], 503)
    assert (later[0], later[2]) == (200, b"alice")


def test_unknown_and_wrong_look_alike() -> None:
    """Same status, same headers, same body but for the request's id."""
    app = gate(filled(MemoryStore()))

    known, unknown = (asked(app, wrong(1, number).reveal()) for number in (123456789012, 99))

    assert known[:2] == unknown[:2]
    assert {**json.loads(known[2]), "instance": 0, "request_id": 0} == {
        **json.loads(unknown[2]),
        "instance": 0,
        "request_id": 0,
    }


def test_the_gate_takes_it_as_a_basic_password() -> None:
    """So do connectors with a box for the user and one for the password."""
    store = filled(MemoryStore())
    basic = base64.b64encode(f"alice:{JIRA_SECRET}".encode()).decode()

    assert asked(gate(store), basic, "Basic")[0] == 200
