"""The whole gate over an LDAP directory: power ends where the directory says so, and an outage is an outage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from gate import Answer, Spy, basic, bearer, call, request
from services.slapd import Corner, Slapd

from patmiddleware import CacheSettings, Issuer, PasswordSettings, PATMiddleware, Policy
from patmiddleware.backends.ldap import LDAPDirectory
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.testing import FakeClock

Open = Callable[..., LDAPDirectory]
LIFETIME = 60.0

RULES = {
    "scopes": {"read": {}, "write": {}},
    "rule": [
        {"id": "read", "path": "/read", "scopes": ["read"]},
        {"id": "write", "path": "/write", "scopes": ["write"]},
        {"id": "group", "path": "/dev", "scopes": ["read"], "groups": ["developers"]},
    ],
}


class Gate:
    """Asks with alice's token, at a time that it is told."""

    def __init__(self, directory: LDAPDirectory, clock: FakeClock, stale: float = 0.0) -> None:
        store = MemoryStore()
        minted = Issuer(store, clock=clock).mint(
            owner="alice", name="ci", scopes={"read", "write"}, lifetime=timedelta(days=90)
        )
        self._header, self.clock = bearer(minted.secret), clock
        self.app = PATMiddleware(
            Spy(),
            store,
            directory=directory,
            policy=Policy.from_dict(RULES),
            cache=CacheSettings(directory_lifetime=LIFETIME, stale_while_error=stale),
            passwords=PasswordSettings(
                paths=("/read",),
                owners=frozenset({"alice"}),
                scopes=frozenset({"read"}),
                until=clock.now + timedelta(days=1),
            ),
            clock=clock,
        )

    def ask(self, path: str = "/read") -> Answer:
        """Give the answer."""
        return call(self.app, request(path, self._header))


@contextmanager
def gate(directory: LDAPDirectory, clock: FakeClock, stale: float = 0.0) -> Iterator[Gate]:
    """Give a gate, and leave no thread of it behind."""
    made = Gate(directory, clock, stale)
    try:
        yield made
    finally:
        assert made.app.close()


def test_a_locked_person_loses_power_in_time(corner: Corner, opened: Open, pat_clock: FakeClock) -> None:
    """Once what is known of them is too old, they are refused."""
    alice = corner.person("alice")

    with gate(opened(corner.address), pat_clock) as app:
        before = app.ask().status
        corner.server.set(alice, pwdAccountLockedTime="000001010000Z")
        app.clock.advance(LIFETIME + 0.1)
        after = app.ask().status

    assert (before, after) == (200, 401)


def test_a_removed_person_loses_power_in_time(corner: Corner, opened: Open, pat_clock: FakeClock) -> None:
    """The same for one whose entry is gone."""
    alice = corner.person("alice")

    with gate(opened(corner.address), pat_clock) as app:
        before = app.ask().status
        corner.server.remove(alice)
        app.clock.advance(LIFETIME + 0.1)
        after = app.ask().status

    assert (before, after) == (200, 401)


def test_who_leaves_a_group_loses_its_power_in_time(corner: Corner, opened: Open, pat_clock: FakeClock) -> None:
    """What the group gave is gone: the path that demands it, and the scopes under its ceiling."""
    alice, bob = corner.person("alice"), corner.person("bob")
    corner.group("everybody", [alice])
    developers = corner.group("developers", [alice, bob])
    directory = opened(corner.address, scopes={"everybody": ["read"], developers: ["write"]})

    with gate(directory, pat_clock) as app:
        before = [app.ask(path).status for path in ("/read", "/write", "/dev")]
        corner.server.set(developers, member=bob)
        app.clock.advance(LIFETIME + 0.1)
        after = [app.ask(path).status for path in ("/read", "/write", "/dev")]

    assert (before, after) == ([200, 200, 200], [200, 403, 403])


def test_an_outage_is_told_as_one(opened: Open, pat_clock: FakeClock) -> None:
    """503 while the server is down, though the token is good; 200 once it is back. No host or base is shown."""
    with Slapd() as server:
        corner = server.corner()
        corner.person("alice")
        with gate(opened(corner.address), pat_clock) as app:
            server.stop()
            down = app.ask()
            server.start()
            back = app.ask()

    assert (down.status, back.status) == (503, 200)
    assert [word for word in (b"127.0.0.1", b"dc=example") if word in down.body] == []


@pytest.mark.parametrize(("stale", "expected"), [(0.0, [503, 503]), (30.0, [200, 503])])
def test_the_last_answer_may_serve_meanwhile(
    opened: Open, pat_clock: FakeClock, stale: float, expected: list[int]
) -> None:
    """For ``stale_while_error`` seconds, and no longer."""
    with Slapd() as server:
        corner = server.corner()
        corner.person("alice")
        with gate(opened(corner.address), pat_clock, stale) as app:
            assert app.ask().status == 200
            server.stop()
            statuses = []
            for seconds in (LIFETIME + 1.0, 30.0):
                app.clock.advance(seconds)
                statuses.append(app.ask().status)

    assert statuses == expected


def test_passwords_are_checked_for_a_migration(corner: Corner, opened: Open, pat_clock: FakeClock) -> None:
    """The right one gets in where it may, a wrong one does not, a locked person's neither."""
    alice = corner.person("alice")

    with gate(opened(corner.address), pat_clock) as app:

        def ask(password: str, path: str = "/read") -> int:
            return call(app.app, request(path, basic("alice", password))).status

        open_ = [ask("alice's password"), ask("wrong"), ask("alice's password", "/write")]
        corner.server.set(alice, nsAccountLock="TRUE")
        locked = ask("alice's password")

    assert (open_, locked) == ([200, 401, 401], 401)
