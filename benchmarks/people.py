"""Look-ups of owners in an LDAP directory: ours, and python-ldap bare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from patmiddleware import Owner

from .many import LOADING, OURS, SLICE, WITHIN, Figures, look_ups, seconds
from .measure import Run, measure_wall, progress
from .servers import MissingError, services
from .table import Row

PEOPLE = 10_000
_TITLE = f"LDAP, {PEOPLE:,} people"
_OURS, _BARE, _LOADING = (f"{_TITLE}: {what}" for what in (OURS, "python-ldap, bare", LOADING))


class Directory:
    """A search by uid, over a connection that stays."""

    def rows(self, counts: Sequence[int]) -> list[Row]:
        """Say what is measured, and what must be reached; the number of tokens is nothing to it."""
        loading, bare = Row(name=_LOADING, unit="s", to=""), Row(name=_BARE, to=_BARE)
        return [loading, bare, Row(name=_OURS, to=_BARE, gate=WITHIN)]

    def measure(self, counts: Sequence[int], rounds: int) -> Figures:
        """Fill a server with people, and time both in turns.

        Raises:
            MissingError: when our directory, slapd or python-ldap is missing.
            WrongAnswerError: when somebody is not found.
        """
        if find_spec("patmiddleware.backends.ldap") is None:
            raise MissingError("the LDAP directory is not built yet")
        with services("slapd") as slapd, slapd.Slapd() as server, ExitStack() as stack:
            loading = seconds(lambda: _load(server, slapd.BASE))
            return {_LOADING: [loading]} | measure_wall(dict(_runs(server, slapd, stack)), rounds, SLICE)


DIRECTORY = Directory()


def _uid(number: int) -> str:
    return f"user{number}"


def _load(server: Any, base: str) -> None:  # Any: the tests' own, and python-ldap, which has no types
    with server.admin() as connection:
        for number in progress(range(PEOPLE), "people added"):
            uid = _uid(number).encode()
            entry = [("objectClass", [b"inetOrgPerson"]), ("uid", [uid]), ("cn", [uid]), ("sn", [uid])]
            connection.add_s(f"uid={_uid(number)},{base}", [*entry, ("mail", [uid + b"@example.org"])])


def _runs(server: Any, slapd: Any, stack: ExitStack) -> Iterable[tuple[str, Run]]:  # Any: as above
    directory = import_module("patmiddleware.backends.ldap").LDAPDirectory(
        server.address(), bind_dn=slapd.SERVICE, bind_password=slapd.SERVICE_PASSWORD
    )
    stack.callback(directory.close)
    yield _BARE, look_ups(_BARE, _bare(server, slapd, stack), _uid, _is_entry, PEOPLE)
    yield _OURS, look_ups(_OURS, directory.find, _uid, _is_owner, PEOPLE)


def _bare(server: Any, slapd: Any, stack: ExitStack) -> Callable[[str], Sequence[Any] | None]:  # Any: as above
    """What one writes with python-ldap: a connection that is kept, and a search for what an owner is made of."""
    ldap, escape = import_module("ldap"), import_module("ldap.filter").escape_filter_chars
    activity = import_module("patmiddleware.backends.ldap.activity")
    connection = ldap.initialize(server.uri)
    stack.callback(connection.unbind_s)
    connection.simple_bind_s(slapd.SERVICE, slapd.SERVICE_PASSWORD)
    attributes = ["uid", "displayName", "cn", "mail", "memberOf", *activity.ATTRIBUTES]

    def find(uid: str) -> Sequence[Any] | None:
        found: Sequence[Any] = connection.search_s(slapd.BASE, ldap.SCOPE_SUBTREE, f"(uid={escape(uid)})", attributes)
        return found[0] if found else None

    return find


def _is_entry(number: int, found: Sequence[Any]) -> bool:
    return bool(found[1]["uid"] == [_uid(number).encode()])


def _is_owner(number: int, found: Owner) -> bool:
    uid = _uid(number)
    return found == Owner(uid, display_name=uid, mail=f"{uid}@example.org")
