"""LDAP servers that misbehave: what they can't say is an outage, in time, and the next server's to answer."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from services.ldap_standin import (
    BIND,
    BOUND,
    DONE,
    EXTENDED,
    EXTENDED_DONE,
    NOTICE,
    REFERENCE,
    SEARCH,
    Answer,
    HangUp,
    LDAPStandIn,
    Values,
    ber,
    entry,
    found,
    message,
    octets,
    result,
)
from services.slapd import make_certificate, program

from patmiddleware.backends.ldap import LDAPDirectory
from patmiddleware.errors import BackendUnavailable

Open = Callable[..., LDAPDirectory]
StandIns: TypeAlias = Callable[..., LDAPStandIn]

TIMEOUT = 0.5
SLACK = 20.0
"""Seconds by which a busy machine may be late."""

BASE = "dc=example,dc=org"
ALICE = f"uid=alice,{BASE}"
NAMES: Values = {"uid": ["alice"], "displayName": ["Alice"]}


@pytest.fixture
def stand_in() -> Iterator[StandIns]:
    """Start stand-ins, with alice in them where their script says nothing else of a search or of who is bound."""
    with ExitStack() as stack:

        def start(answers: dict[int, Answer] | None = None, tls: ssl.SSLContext | None = None) -> LDAPStandIn:
            good: dict[int, Answer] = {SEARCH: _alice, EXTENDED: _who}
            return stack.enter_context(LDAPStandIn({**good, **(answers or {})}, tls))

        yield start


@pytest.fixture
def directory_of() -> Iterator[Open]:
    """Open a directory over stand-ins."""
    with ExitStack() as stack:

        def open_(*servers: LDAPStandIn, **settings: Any) -> LDAPDirectory:
            first, *others = (server.address for server in servers)
            given = {"bind_dn": "cn=gate", "bind_password": "secret", "timeout": TIMEOUT, "connect_timeout": TIMEOUT}
            made = LDAPDirectory([f"{first}/{BASE}", *others], **{**given, **settings})
            return stack.enter_context(closing(made))

        yield open_


def _alice(number: int, request: bytes) -> bytes:
    return found(number, ALICE, NAMES)


def _who(number: int, request: bytes) -> bytes:
    return message(number, result(EXTENDED_DONE, 0, octets(f"dn:{ALICE}", 0x8B)))


def _refuses(tag: int, code: int) -> Answer:
    return lambda number, request: message(number, result(tag, code))


def _finds(values: Values) -> Answer:
    return lambda number, request: found(number, ALICE, values)


def _hangs_up(last: Callable[[int], bytes]) -> Answer:
    def answer(number: int, request: bytes) -> bytes:
        raise HangUp(last(number))

    return answer


def _of_a_person(answer: Answer) -> Answer:
    """Answer so the bind of anybody but the service."""
    return lambda number, request: message(number, result(BOUND)) if b"cn=gate" in request else answer(number, request)


# --- Answers that say nothing about a person


NO_ANSWERS: dict[str, Answer] = {
    "another operation's": lambda number, _: message(number, result(BOUND)),
    "another message's": lambda number, _: found(number + 1, ALICE, NAMES),
    "half of one": lambda number, _: found(number, ALICE, NAMES)[:20],
    "no end": lambda number, _: message(number, entry(ALICE, NAMES)),
    "no protocol": lambda number, _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a length beyond all bounds": lambda number, _: b"\x30\x84\x7f\xff\xff\xff\x02\x01",
    "a notice of disconnection": lambda number, _: NOTICE,
    "nothing, and closed": _hangs_up(lambda number: b""),
    "half, and closed": _hangs_up(lambda number: found(number, ALICE, NAMES)[:20]),
    "a part of the entries": lambda n, _: message(n, entry(ALICE, NAMES)) + message(n, result(DONE, 4)),
    "an end by time": lambda n, _: message(n, entry(ALICE, NAMES)) + message(n, result(DONE, 3)),
    "a referral": _refuses(DONE, 10),
    "busy": _refuses(DONE, 51),
    "unavailable": _refuses(DONE, 52),
    "a code that is not known": _refuses(DONE, 9999),
    "a name that is not shown": _finds({"uid": []}),
    "groups in pieces": _finds({**NAMES, "memberOf": [f"cn=a,{BASE}"], "memberOf;range=0-1": [f"cn=b,{BASE}"]}),
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_no_answer_is_an_outage(stand_in: StandIns, directory_of: Open, answer: Answer) -> None:
    """Nobody is unknown for it, and nobody is found by it; in time."""
    directory, began = directory_of(stand_in({SEARCH: answer})), time.monotonic()

    with pytest.raises(BackendUnavailable):
        directory.find("alice")

    assert time.monotonic() - began < TIMEOUT * 2 + SLACK


def test_active_directory_says_so_where_nobody_is_bound(stand_in: StandIns, directory_of: Open) -> None:
    """It lets anybody connect, and then fails at the search: the setting that mends it is named."""
    directory = directory_of(stand_in({SEARCH: _refuses(DONE, 1)}), bind_dn=None, bind_password=None)

    with pytest.raises(BackendUnavailable, match="look at bind_dn"):
        directory.find("alice")


OTHERS: dict[str, Values] = {
    "case": {"uid": ["Alice"]},
    "a blank": {"uid": ["alice "]},
    "options": {"uid": ["al"], "uid;x-old": ["alice"]},
    "no text": {"uid": [b"\xff\xfe"]},
}


@pytest.mark.parametrize("values", OTHERS.values(), ids=OTHERS)
def test_somebody_else_is_not_who_was_asked_for(stand_in: StandIns, directory_of: Open, values: Values) -> None:
    """Whatever the server takes for the same."""
    assert directory_of(stand_in({SEARCH: _finds(values)})).find("alice") is None


def test_references_lead_nowhere(stand_in: StandIns, directory_of: Open) -> None:
    """Neither is the server asked that they name, nor does an entry beside them get lost."""
    other = stand_in()
    reference = ber(REFERENCE, octets(f"{other.address}/{BASE}"))
    directory = directory_of(stand_in({SEARCH: lambda n, request: message(n, reference) + _alice(n, request)}))

    assert directory.find("alice") is not None
    assert other.asked == []


LOCKS: dict[str, Values] = {
    "upper case": {"NSACCOUNTLOCK": ["TRUE"]},
    "options": {"nsAccountLock;x-foo": ["true"]},
    "both": {"nsAccountLock": ["false"], "nsAccountLock;x-foo": ["true"]},
    "no value": {"nsAccountLock": []},
}


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_a_lock_is_one_however_its_attribute_is_spelt(stand_in: StandIns, directory_of: Open, lock: Values) -> None:
    """With capitals or with options behind it."""
    owner = directory_of(stand_in({SEARCH: _finds({**NAMES, **lock})})).find("alice")

    assert owner is not None
    assert not owner.active


# --- The next server


FAULTS: dict[str, dict[int, Answer]] = {
    "closed after the bind": {BIND: _hangs_up(lambda number: message(number, result(BOUND)))},
    "closed at a search": {SEARCH: _hangs_up(lambda number: b"")},
    "a notice of disconnection": {SEARCH: lambda number, _: NOTICE},
    "silence": {SEARCH: lambda number, _: None},
    "another operation's answer": {SEARCH: _refuses(BOUND, 0)},
    **{f"search {code}": {SEARCH: _refuses(DONE, code)} for code in (1, 3, 10, 32, 51, 52, 53, 80)},
    **{f"bind {code}": {BIND: _refuses(BOUND, code)} for code in (1, 10, 51, 52, 53, 80)},
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_the_next_server_answers_for_one_that_can_not(
    stand_in: StandIns, directory_of: Open, faults: dict[int, Answer]
) -> None:
    """At once, though the first one takes connections; later questions go to the next one without asking the first."""
    ill, well = stand_in(faults), stand_in()
    directory = directory_of(ill, well)

    first, asked = directory.find("alice"), len(ill.asked)
    directory.close()

    assert first is not None
    assert directory.find("alice") == first
    assert len(ill.asked) == asked


def test_the_next_server_checks_passwords_too(stand_in: StandIns, directory_of: Open) -> None:
    """Where the first one breaks off in the middle of it."""
    ill = stand_in({BIND: _of_a_person(_hangs_up(lambda number: message(number, result(BOUND))))})

    assert directory_of(ill, stand_in()).authenticate("alice", "a password") is not None


def test_start_tls_refused_by_one_server_is_the_next_ones_turn(stand_in: StandIns, directory_of: Open) -> None:
    """Nothing goes out in clear meanwhile, and where no server has TLS, that is said."""
    plain = [stand_in({EXTENDED: _refuses(EXTENDED_DONE, 2)}) for _ in range(2)]

    with pytest.raises(BackendUnavailable, match="start_tls"):
        directory_of(*plain, start_tls=True).find("alice")

    assert [server.asked for server in plain] == [[EXTENDED], [EXTENDED]]


def test_a_wrong_password_is_tried_with_one_server_only(stand_in: StandIns, directory_of: Open) -> None:
    """Each try counts towards a lock: of the service's as of a person's account."""
    servers = [stand_in({BIND: _refuses(BOUND, 49)}), stand_in()]
    people = [stand_in({BIND: _of_a_person(_refuses(BOUND, 49))}), stand_in()]

    with pytest.raises(BackendUnavailable, match="bind_password"):
        directory_of(*servers).find("alice")

    assert directory_of(*people).authenticate("alice", "wrong") is None
    assert [servers[1].asked, people[1].asked] == [[], []]


# --- Passwords


@pytest.mark.parametrize("tag", [DONE, EXTENDED_DONE])
def test_a_success_of_something_else_is_no_proof(stand_in: StandIns, directory_of: Open, tag: int) -> None:
    """A bind is answered by a bind's response."""
    directory = directory_of(stand_in({BIND: _of_a_person(_refuses(tag, 0))}))

    with pytest.raises(BackendUnavailable):
        directory.authenticate("alice", "a password")


# --- TLS


@pytest.mark.parametrize("tag", [BIND, SEARCH])
def test_half_a_record_of_tls_is_an_outage_in_time(
    stand_in: StandIns, directory_of: Open, tmp_path: Path, tag: int
) -> None:
    """The rest of it is not waited for without end."""
    make_certificate(tmp_path, ["DNS:localhost", f"DNS:{socket.gethostname()}", "IP:127.0.0.1"], program("openssl"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = stand_in({tag: lambda number, _: server.in_clear(b"\x17\x03\x03\x01\x00half")}, tls=context)
    directory, began = directory_of(server, ca_file=tmp_path / "cert.pem"), time.monotonic()

    with pytest.raises(BackendUnavailable, match="in time"):
        directory.find("alice")

    assert time.monotonic() - began < TIMEOUT * 2 + SLACK
