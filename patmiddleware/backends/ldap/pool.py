"""Connections that are kept open: few, the last used one first, over to the next server when one fails."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterable
from threading import Condition
from time import monotonic
from typing import TypeAlias, TypeVar

from ...errors import BackendUnavailable
from ...model import Secret
from .driver import FAULTS, LOST, Connection, LDAPError, Reach, explain, ldap

logger = logging.getLogger("patmiddleware")

Who: TypeAlias = tuple[str, Secret]
Faults: TypeAlias = tuple[type[LDAPError], ...]
Result = TypeVar("Result")

REST = 10.0
"""For how many seconds a server that failed is asked last, and refused credentials are not tried again."""

STALE = 240.0
"""After how many idle seconds a connection is given up: firewalls forget silent ones without a word."""


class Pool:
    """At most so many connections, bound as the service; one is opened when it is needed, and given to one thread.

    A connection that turns out to be lost is replaced once, by a new one, before anybody hears of it; and a server that
    can't be asked by the next one.

    Args:
        reach: which servers, and how.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        secret = reach.bind_password
        self._service: Who | None = None if reach.bind_dn is None or secret is None else (reach.bind_dn, secret)
        self._begin()
        _leave_to_parent(self)

    def run(self, operation: Callable[[Connection], Result]) -> Result:
        """Give what an operation makes of a connection that is bound as the service.

        Args:
            operation: may be called several times. Whatever it raises costs the connection.

        Raises:
            LDAPError: when the operation fails with every server, or with one for a reason that another can't mend.
            BackendUnavailable: when every connection stays in use.
        """
        connection = self._take()
        try:
            if connection is None:
                connection, result = self._ask_as_service(operation)
            else:
                try:
                    result = operation(connection)
                except FAULTS as error:
                    self._lose(connection, error)
                    connection = None
                    if isinstance(error, ldap.TIMEOUT) and not self._has_another():
                        raise
                    connection, result = self._ask_as_service(operation)
        except BaseException:  # an interrupt, too: an answer may be half-way
            self._close(connection)
            raise
        self._give(connection)
        return result

    def once(self, who: Who, operation: Callable[[Connection], Result]) -> Result:
        """Give what an operation makes of a new connection, bound as somebody else, that is closed after it.

        Raises:
            LDAPError: when no server can be reached, the bind is refused, or the operation fails.
            BackendUnavailable: when every connection stays in use.
        """
        self._take_place()
        connection = None
        try:
            connection, result = self._ask(who, operation, LOST)
            return result
        finally:
            self._close(connection)

    def close(self) -> None:
        """Close what is idle; the pool may still be used after it."""
        while (connection := self._pop()) is not None:
            self._close(connection)

    def _begin(self) -> None:
        self._changed = Condition()
        self._idle: list[Connection] = []
        self._open_ones: set[Connection] = set()
        self._count = 0  # of connections, and of places for those that are about to be opened
        self._waiting = 0  # threads
        self._rests: dict[str, float] = {}
        self._refused_until = 0.0

    def _take(self) -> Connection | None:
        """Give an idle connection, or None and the place for a new one."""
        connection = self._pop()
        if connection is None:
            return self._wait()
        if connection.used + STALE > monotonic():
            return connection
        # The one used last is too old; so are the others.
        self._close_kept(connection)
        self.close()
        return None

    def _take_place(self) -> None:
        """Take the place for a new connection, that of an idle one if need be."""
        self._close_kept(self._wait())

    def _pop(self) -> Connection | None:
        # Without a lock: a list gives each of its items to one thread only.
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _wait(self) -> Connection | None:
        """Wait for the place for a new connection, or for an idle one."""
        deadline = monotonic() + self._reach.timeout
        with self._changed:
            # Counted before looking: whoever gives one back looks for us after that.
            self._waiting += 1
            try:
                while self._count >= self._reach.size:
                    if (connection := self._pop()) is not None:
                        return connection
                    if not self._changed.wait(deadline - monotonic()):
                        raise BackendUnavailable("too much at once: every connection to the directory is in use")
                self._count += 1
                return None
            finally:
                self._waiting -= 1

    def _give(self, connection: Connection) -> None:
        connection.used = monotonic()
        self._idle.append(connection)
        if self._waiting:
            with self._changed:
                self._changed.notify()

    def _close(self, connection: Connection | None) -> None:
        """Close a connection that was taken, if it could be opened, and free its place."""
        self._close_kept(connection)
        with self._changed:
            self._count -= 1
            self._changed.notify()

    def _close_kept(self, connection: Connection | None) -> None:
        """Close a connection, but keep its place."""
        if connection is not None:
            self._open_ones.discard(connection)
            connection.close()

    def _lose(self, connection: Connection, error: LDAPError) -> None:
        """Close a lost connection, but keep its place; and the idle ones, which are no younger."""
        self._close_kept(connection)
        self.close()
        if isinstance(error, ldap.TIMEOUT):
            self._rest(connection.uri, error)

    def _ask_as_service(self, operation: Callable[[Connection], Result]) -> tuple[Connection, Result]:
        # A wrong password tried at each request would lock the service's account.
        if monotonic() < self._refused_until:
            raise ldap.INVALID_CREDENTIALS
        try:
            return self._ask(self._service, operation, FAULTS)
        except ldap.INVALID_CREDENTIALS:
            self._refused_until = monotonic() + REST
            raise

    def _ask(
        self, who: Who | None, operation: Callable[[Connection], Result], faults: Faults
    ) -> tuple[Connection, Result]:
        """Give a new connection, and what an operation makes of it, to the first server that can do both.

        Args:
            who: as whom to bind.
            operation: is called once for each server.
            faults: what speaks against a server, so that the next one is asked.
        """
        failure: LDAPError | None = None
        for uri in self._by_preference():
            connection = None
            try:
                connection = Connection(uri, self._reach, who)
                self._open_ones.add(connection)
                result = operation(connection)
            except BaseException as error:
                self._close_kept(connection)
                if not isinstance(error, faults):
                    raise
                self._rest(uri, error)
                failure = error
            else:
                self._rests.pop(uri, None)
                return connection, result
        raise failure or ldap.SERVER_DOWN()

    def _by_preference(self) -> Iterable[str]:
        """Give the servers in their order, those that rest last; with one alone there is nothing better to try."""
        now = monotonic()
        return sorted(self._reach.servers, key=lambda uri: self._rests.get(uri, 0.0) > now)

    def _has_another(self) -> bool:
        now = monotonic()
        return any(self._rests.get(uri, 0.0) <= now for uri in self._reach.servers)

    def _rest(self, uri: str, error: LDAPError) -> None:
        if self._rests.get(uri, 0.0) <= monotonic():
            logger.warning("the LDAP server %s failed: %s", uri, explain(error, uri))
        self._rests[uri] = monotonic() + REST


_inherited: list[object] = []


def _leave_to_parent(pool: Pool) -> None:
    """Let a forked child open connections of its own.

    To unbind those of the parent, or merely to forget them, would say goodbye on the socket that both share. So what
    leads there is led nowhere; and they are kept, for another thread may have been inside one of them.
    """
    seen = weakref.ref(pool)

    def forget() -> None:
        if (pool := seen()) is None:
            return
        if shared := list(pool._open_ones):
            nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            for connection in shared:
                if connection.socket >= 0:
                    os.dup2(nowhere, connection.socket, inheritable=False)
            os.close(nowhere)
            _inherited.extend(shared)
        pool._begin()

    os.register_at_fork(after_in_child=forget)
