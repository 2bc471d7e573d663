"""Helper: owners in a real LDAP server, which a proof locks, stops and confuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.slapd import Corner, Slapd

_ANYBODY = "access to * by * read"  # the gate is told an address and nothing else
_LOCKED = "000001010000Z"  # for good: draft-behera-ldap-password-policy, section 5.3.3


class LDAPBook:
    """People in a corner of a server.

    Args:
        corner: that is theirs.
        names: of the people, active at first.

    Attributes:
        address: as a guard takes it.
    """

    def __init__(self, corner: Corner, *names: str) -> None:
        self.address = corner.address
        self._corner, self._names = corner, {name: corner.person(name) for name in names}
        self._doubles: list[str] = []
        self._is_up, self._waiting = True, dict[str, bool]()

    def set(self, name: str, active: bool) -> None:
        """Lock an account, or lift the lock; while the server is down, as soon as it is up."""
        if not self._is_up:
            self._waiting[name] = active
            return
        self._corner.server.set(self._names[name], pwdAccountLockedTime=[] if active else [_LOCKED])

    def start(self) -> None:
        """Run the server, with all that it had."""
        self._corner.server.start()
        self._is_up = True
        while self._waiting:
            self.set(*self._waiting.popitem())

    def stop(self) -> None:
        """End the server."""
        self._is_up = False
        self._corner.server.stop()

    def confuse(self, is_confused: bool) -> None:
        """Let there be two of each person, so that nobody can say who is meant."""
        if is_confused:
            self._doubles = [self._corner.person(name, under=self._corner.groups) for name in self._names]
            return
        for dn in self._doubles:
            self._corner.server.remove(dn)


@contextmanager
def ldapbook(*names: str) -> Iterator[LDAPBook]:
    """Run a server in which these are active."""
    with Slapd(access=_ANYBODY) as server:
        yield LDAPBook(server.corner(), *names)
