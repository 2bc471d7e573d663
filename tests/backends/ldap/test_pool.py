"""Connections to LDAP servers: few, kept, replaced when lost, and over to the next server."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from services.slapd import SERVICE, SERVICE_PASSWORD, Corner, Slapd

from patmiddleware.backends.ldap import LDAPDirectory, pool
from patmiddleware.backends.ldap.driver import Connection, Reach
from patmiddleware.backends.ldap.pool import Pool
from patmiddleware.errors import BackendUnavailable
from patmiddleware.model import Secret

Open = Callable[..., LDAPDirectory]
ROOT = Path(__file__).parents[3]
TIMEOUT = 0.5
PATIENT = 3.0
"""Seconds of a timeout within which a real server must answer as well."""
SLACK = 20.0
"""Seconds by which a busy machine may be late."""


@pytest.fixture
def own() -> Iterator[Slapd]:
    """A server for one test, to be stopped."""
    with Slapd() as running:
        yield running


@pytest.fixture
def silent() -> Iterator[Callable[[bytes], int]]:
    """Give the port of a server that answers every connection with some bytes, once, and with nothing else."""
    with ExitStack() as stack:

        def listen(answer: bytes) -> int:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve() -> None:
                while True:
                    try:
                        connection, _ = listening.accept()
                    except OSError:
                        return
                    stack.enter_context(connection)
                    if answer and connection.recv(1000):
                        connection.sendall(answer)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(listening.shutdown, socket.SHUT_RDWR)
            return int(listening.getsockname()[1])

        yield listen


def test_nothing_is_connected_at_construction(server: Slapd, corner: Corner, opened: Open) -> None:
    """Servers fork afterwards."""
    before = server.clients()

    opened(corner.address)

    assert server.clients() <= before


def test_one_connection_serves_one_after_the_other(own: Slapd, opened: Open) -> None:
    """It is kept, and closed in the end; the directory may be used after it."""
    corner = own.corner()
    corner.person("alice")
    directory = opened(corner.address)
    seen = []

    for _ in range(10):
        assert directory.find("alice")
        seen.append(own.clients())
    directory.close()
    closed = own.clients()

    assert len(seen[0]) == 1
    assert all(ports == seen[0] for ports in seen)
    assert closed == set()
    assert directory.find("alice")


def test_there_are_never_more_connections_than_allowed(own: Slapd) -> None:
    """However many threads ask, for passwords too."""
    shared, lock, inside = Pool(_reach(own.uri, size=3)), threading.Lock(), Counter[str]()

    def dawdle(connection: Connection) -> bool:
        with lock:
            inside["now"] += 1
            inside["most"] = max(inside["most"], inside["now"])
        time.sleep(0.002)
        with lock:
            inside["now"] -= 1
        return connection.who() is not None

    def ask(number: int) -> bool:
        if number % 3:
            return shared.run(dawdle)
        return shared.once((SERVICE, Secret(SERVICE_PASSWORD)), dawdle)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(120)))
    kept = len(own.clients())
    shared.close()

    assert all(answers)
    assert inside["most"] == 3
    assert 1 <= kept <= 3


def test_many_threads_share_few_connections(own: Slapd, opened: Open) -> None:
    """Each gets its own answers, and none is left out."""
    corner = own.corner()
    for number in range(8):
        corner.person(f"user{number}")
    directory = opened(corner.address, pool=2)

    def ask(number: int) -> bool:
        name = f"user{number}"
        found = [directory.find(name) for _ in range(30)]
        right = directory.authenticate(name, f"{name}'s password")
        return all(owner and owner.name == name for owner in (*found, right))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(8)))
    assert len(own.clients()) <= 2


def test_who_waits_too_long_for_a_connection_hears_so(server: Slapd) -> None:
    """A pool that stays in use is an outage, within the timeout; no place is lost by it."""
    shared = Pool(_reach(server.uri, size=1, timeout=PATIENT))
    began = time.monotonic()

    def ask_again(connection: Connection) -> str | None:
        with pytest.raises(BackendUnavailable, match="in use"):
            shared.run(Connection.who)
        return connection.who()

    assert shared.run(ask_again)
    assert time.monotonic() - began < PATIENT + SLACK
    assert shared.run(Connection.who)
    shared.close()


@pytest.mark.parametrize("secure", [False, True])
def test_a_machine_that_is_gone_is_noticed(corner: Corner, secure: bool) -> None:
    """The system asks after a silent server every few seconds, and ends the connection when nothing comes back."""
    reach = Reach(servers=(), start_tls=secure, ca_file=corner.server.ca_file if secure else None)
    with closing(Connection(corner.server.uri, reach, None)) as connection:
        seen = socket.socket(fileno=connection.socket)
        try:
            assert seen.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            asked = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
            assert [seen.getsockopt(socket.IPPROTO_TCP, option) for option in asked] == [5, 2, 3]
        finally:
            seen.detach()


def test_a_connection_whose_answer_is_half_read_is_not_kept(server: Slapd) -> None:
    """Whatever interrupts an operation costs the connection, and frees its place."""
    shared, used = Pool(_reach(server.uri, size=1)), []

    def interrupt(connection: Connection) -> None:
        used.append(connection)
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            shared.run(interrupt)

    assert len({*used}) == 2
    assert shared.run(Connection.who)
    shared.close()


def test_connections_idle_for_long_are_not_trusted(server: Slapd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall may have forgotten them: they are closed, and new ones opened."""
    shared, used = Pool(_reach(server.uri)), []

    def note(connection: Connection) -> None:
        used.append(connection.socket and connection)

    shared.run(note)
    monkeypatch.setattr(pool, "STALE", -1.0)
    shared.run(note)
    monkeypatch.undo()
    shared.run(note)
    shared.close()

    assert used[0] is not used[1]
    assert used[1] is used[2]


def _reach(uri: str, size: int = 8, timeout: float = 5.0) -> Reach:
    secret = Secret(SERVICE_PASSWORD)
    return Reach(servers=(uri,), bind_dn=SERVICE, bind_password=secret, size=size, timeout=timeout)


# --- Servers that go away


def test_a_restarted_server_is_not_noticed(own: Slapd, opened: Open) -> None:
    """A lost connection is replaced before anybody hears of it."""
    corner = own.corner()
    corner.person("alice")
    directory = opened(corner.address)
    assert directory.find("alice")

    own.stop()
    own.start()

    assert directory.find("alice")
    assert directory.authenticate("alice", "alice's password")


def test_a_server_that_is_down_is_an_outage_until_it_is_back(own: Slapd, opened: Open) -> None:
    """Then it is asked again at once."""
    corner = own.corner()
    corner.person("alice")
    directory = opened(corner.address)
    assert directory.find("alice")

    own.stop()
    for ask in (lambda: directory.find("alice"), lambda: directory.authenticate("alice", "x"), directory.check):
        with pytest.raises(BackendUnavailable, match="can't be reached"):
            ask()
    own.start()

    assert directory.find("alice")


def test_a_server_that_closes_idle_connections_is_not_noticed(opened: Open) -> None:
    """So servers save memory."""
    with Slapd(general="idletimeout 1") as own:
        corner = own.corner()
        corner.person("alice")
        directory = opened(corner.address)
        assert directory.find("alice")
        deadline = time.monotonic() + 60

        while own.clients() and time.monotonic() < deadline:
            time.sleep(0.1)

        assert own.clients() == set()
        assert directory.find("alice")


def test_the_next_server_takes_over(opened: Open) -> None:
    """When the first one stops, the second answers; whoever is found in both is the first's again later."""
    with Slapd() as first, Slapd() as second:
        corners = [first.corner(), second.corner()]
        for corner, name in zip(corners, ("First", "Second"), strict=True):
            corner.person("alice", cn=name)
        directory = opened(f"{corners[0].address} {second.uri}")
        told = [_display_name(directory)]

        first.stop()
        told += [_display_name(directory), _display_name(directory)]
        first.start()
        second.stop()
        told.append(_display_name(directory))
        first.stop()

        with pytest.raises(BackendUnavailable, match="can't be reached"):
            directory.find("alice")
        assert told == ["First", "Second", "Second", "First"]


def test_a_server_that_failed_is_rested(corner: Corner, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for at each question, but asked again after a while."""
    corner.person("alice")
    with socket.create_server(("127.0.0.1", 0)) as slow:
        slow.setblocking(False)
        address = f"ldap://127.0.0.1:{slow.getsockname()[1]}/{corner.base}"
        directory = opened([address, corner.server.uri], timeout=PATIENT)
        asked = []

        for rest in (60.0, 60.0, 0.0, 0.0):
            monkeypatch.setattr(pool, "REST", rest)
            assert directory.find("alice")
            asked.append(_was_asked(slow))
            directory.close()

    assert asked == [True, False, False, False]


def _was_asked(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _display_name(directory: LDAPDirectory) -> str | None:
    owner = directory.find("alice")
    return owner and owner.display_name


def test_a_wrong_password_is_not_tried_again_and_again(
    own: Slapd, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's account would be locked: each refusal is remembered for a while."""
    corner = own.corner()
    corner.person("alice")
    directory = opened(corner.address, bind_password="wrong")

    for _ in range(10):
        with pytest.raises(BackendUnavailable, match="bind_password"):
            directory.find("alice")

    assert opened(corner.address).find("alice")


# The answer of RFC 4511 to an extended request with the message's number 1: success.
TLS_MAY_BEGIN = bytes.fromhex("300c02010178070a010004000400")


@pytest.mark.parametrize(
    ("scheme", "start_tls", "answer"),
    [("ldap", False, b""), ("ldap", True, b""), ("ldap", True, TLS_MAY_BEGIN), ("ldaps", False, b"")],
)
def test_a_silent_server_is_an_outage_in_time(
    opened: Open, silent: Callable[[bytes], int], scheme: str, start_tls: bool, answer: bytes
) -> None:
    """Wherever it falls silent: before TLS, in the middle of it, and at the bind."""
    address = f"{scheme}://127.0.0.1:{silent(answer)}/dc=example,dc=org"
    directory = opened(address, start_tls=start_tls, timeout=TIMEOUT, connect_timeout=TIMEOUT)
    began = time.monotonic()

    with pytest.raises(BackendUnavailable):
        directory.find("alice")

    assert time.monotonic() - began < TIMEOUT * 2 + SLACK


def test_a_server_that_falls_silent_later_is_an_outage_in_time(own: Slapd, opened: Open) -> None:
    """A kept connection that nobody answers on any more is waited for once, and not kept."""
    corner = own.corner()
    corner.person("alice")
    directory = opened(corner.address, timeout=PATIENT, connect_timeout=PATIENT)
    assert directory.find("alice")

    own.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match="in time"):
            directory.find("alice")
        taken = time.monotonic() - began
    finally:
        own.signal(signal.SIGCONT)

    assert taken < PATIENT * 2 + SLACK
    assert directory.find("alice")


FORK = """
import gc, os, sys
from patmiddleware.backends.ldap import LDAPDirectory

address, who, password, ca = sys.argv[1:]
directory = LDAPDirectory(address, bind_dn=who, bind_password=password, ca_file=ca)
assert directory.find("alice")
[kept] = directory._pool._idle
child = os.fork()
if not child:
    good = directory.find("alice") is not None and directory._pool._idle != [kept]
    directory.close()
    del directory, kept
    gc.collect()
    sys.exit(0 if good else 1)  # by the long way, with all that is taken down at an interpreter's end
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert directory.find("alice")
assert directory._pool._idle == [kept], "the child has closed its parent's connection"
"""


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_a_forked_child_opens_connections_of_its_own(corner: Corner, scheme: str) -> None:
    """The parent's goes on: the child neither asks on it nor says goodbye on it."""
    corner.person("alice")
    address = corner.server.address(corner.base, scheme)

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORK), address, SERVICE, SERVICE_PASSWORD, corner.server.ca_file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
