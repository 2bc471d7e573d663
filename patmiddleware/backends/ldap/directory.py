"""Who people are, and whether a password is theirs, by an LDAP server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from os import PathLike

from ...ceiling import ceiling
from ...errors import BackendUnavailable
from ...model import Owner, Secret
from . import checks, settings
from .activity import ATTRIBUTES, is_active
from .address import parse
from .driver import Connection, Entry, LDAPError, escape_filter_chars, explain, ldap
from .groups import Group
from .names import is_name, normal, text
from .pool import Pool

# What servers answer to a wrong password, to one for an entry without any, and to one too many.
_WRONG = (ldap.INVALID_CREDENTIALS, ldap.INAPPROPRIATE_AUTH, ldap.NO_SUCH_OBJECT, ldap.CONSTRAINT_VIOLATION)

# What some answer to those who are locked, and to much else.
_LOCKED = (ldap.UNWILLING_TO_PERFORM, ldap.INSUFFICIENT_ACCESS)


class LDAPDirectory:
    """People and groups in an LDAP directory, such as OpenLDAP, 389 Directory Server or Active Directory.

    Certificates are always verified, referrals never followed. Nothing is connected before the first question.

    Args:
        address: ``ldaps://HOST/BASE`` or ``ldap://HOST/BASE``, where RFC 4516 allows ``?ATTRIBUTE?SCOPE?FILTER`` to
            follow (left out, the scope is ``sub``); several, in a sequence or with blanks between, are tried in order.
        bind_dn: as whom to search; None: as nobody.
        bind_password: theirs.
        user_attribute: that has a person's name, exactly as tokens have it; None: the address's, or ``uid``.
        filter: that people match, besides that of the address.
        active: ``auto``: every attribute counts that a server locks or ends accounts with and that is there (see
            :mod:`~patmiddleware.backends.ldap.activity`), so that whom wrong passwords lock out has no tokens either;
            or the filter that the entry of an active person matches, which is asked for apart.
        lockout_duration: for how many seconds wrong passwords lock an account, where entries only say since when; None:
            until it is lifted.
        groups: ``memberOf``, which the server keeps in people's entries; or ``search``, for groups whose ``member``,
            ``uniqueMember`` or ``memberUid`` they are.
        nested: whether groups of groups count: True; or ``ad``, for Active Directory to follow them itself.
        group_base: only groups below it count; None: below the base.
        group_filter: that groups match, where they are searched for.
        group_attribute: that has a group's plain name, as ``Owner.groups`` has it.
        scopes: from groups (plain or distinguished names) to the scopes that they give: the ceiling of their members'
            tokens; None: there is none.
        start_tls: begin TLS on the plain port.
        ca_file: certificates of the authorities to trust, in PEM form; None: the system's.
        connect_timeout: seconds to connect to a server.
        timeout: seconds for each operation, and to wait for a connection.
        pool: how many connections a process has at the most.
        clock: gives seconds since the epoch.

    Raises:
        ConfigurationError: when python-ldap is missing, a setting is wrong, or a password would go in clear.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        *,
        bind_dn: str | None = None,
        bind_password: str | None = None,
        user_attribute: str | None = None,
        filter: str | None = None,
        active: str = settings.AUTO,
        lockout_duration: float | None = None,
        groups: str = "memberOf",
        nested: bool | str = False,
        group_base: str | None = None,
        group_filter: str | None = None,
        group_attribute: str = "cn",
        scopes: Mapping[str, Iterable[str]] | None = None,
        start_tls: bool = False,
        ca_file: str | PathLike[str] | None = None,
        connect_timeout: float = 5.0,
        timeout: float = 5.0,
        pool: int = 8,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parsed = parse(address)
        self._reach = settings.reach(
            parsed,
            bind_dn,
            bind_password,
            start_tls=start_tls,
            ca_file=ca_file,
            connect_timeout=connect_timeout,
            timeout=timeout,
            pool=pool,
        )
        self._keeps_passwords = settings.keeps_passwords(parsed, start_tls)
        self._people = settings.people(parsed, user_attribute, filter, active, lockout_duration)
        self._grouping = settings.grouping(parsed, groups, nested, group_base, group_filter, group_attribute)
        self._ceilings = settings.ceilings(scopes, self._grouping.base)
        self._clock, self._pool = clock, Pool(self._reach)
        self._key = self._people.attribute.lower()
        self._attributes = [self._people.attribute, "displayName", "cn", "mail"]
        self._attributes += [] if self._people.active else ATTRIBUTES
        self._attributes += ["memberOf"] if self._grouping.reads_member_of else []
        self._filter = (f"(&{self._people.filter}(", "))") if self._people.filter else ("(", ")")

    def find(self, name: str) -> Owner | None:
        """Look an owner up by name.

        Raises:
            BackendUnavailable: when no server answers, a base is missing, or several entries have the name.
        """
        found = self._find(name)
        return None if found is None else found[1]

    def authenticate(self, name: str, password: str) -> Owner | None:
        """Give the owner, active or not, if the server takes the password for theirs.

        Raises:
            BackendUnavailable: when it can't be said, or the password would go in clear.
        """
        # RFC 4513, section 5.1.2: an empty one binds nobody, and some servers call that a success. To C, what begins
        # with a NUL is empty.
        if not password or "\0" in password or not _is_unicode(password):
            return None
        if not self._keeps_passwords:
            raise BackendUnavailable("a password does not go over ldap:// without TLS: use ldaps:// or start_tls")
        found = self._find(name)
        if found is None:
            return None
        dn, owner = found
        return owner if self._binds(dn, Secret(password), owner.active) else None

    def check(self) -> None:
        """Ask every server for all that the settings name.

        Raises:
            BackendUnavailable: with the first thing that is wrong, the server, and the setting.
        """
        for uri in self._reach.servers:
            checks.check(uri, self._reach, self._people, self._grouping)

    def close(self) -> None:
        """Close the connections that are idle; the directory may still be used after it."""
        self._pool.close()

    def _find(self, name: str) -> tuple[str, Owner] | None:
        """Give a person and their DN."""
        if not name or "\0" in name or not _is_unicode(name):
            return None  # No value has a NUL, or half a character.
        try:
            return self._pool.run(partial(self._look_up, name))
        except (LDAPError, ValueError) as error:
            raise self._outage(error) from error

    def _look_up(self, name: str, connection: Connection) -> tuple[str, Owner] | None:
        before, after = self._filter
        filter = f"{before}{self._people.attribute}={escape_filter_chars(name)}{after}"
        try:
            found = connection.search(self._people.base, self._people.scope, filter, self._attributes)
        except ldap.SIZELIMIT_EXCEEDED as error:
            raise _ambiguous() from error
        if not found:
            return None
        if len(found) > 1:
            raise _ambiguous()
        return self._person(connection, name, found[0])

    def _person(self, connection: Connection, name: str, found: Entry) -> tuple[str, Owner] | None:
        dn, entry = found[0], {key.lower(): values for key, values in found[1].items()}
        if not entry.get(self._key):
            raise BackendUnavailable("bind_dn may not read user_attribute, or the server has another name for it")
        # The server does not care for case and blanks. But names that it takes for one are several to rules and locks.
        if name.encode() not in entry[self._key]:
            return None
        groups = self._grouping.of(connection, name, dn, entry)
        return dn, Owner(
            name=name,
            active=self._is_active(connection, dn, entry),
            groups=frozenset([plain for group in groups for plain in group.names]),
            display_name=_first(entry.get("displayname") or entry.get("cn")),
            mail=_first(entry.get("mail")),
            scopes=self._ceiling(groups),
        )

    def _is_active(self, connection: Connection, dn: str, entry: Mapping[str, Sequence[bytes]]) -> bool:
        if self._people.active is None:
            return is_active(entry, self._clock(), self._people.lockout_duration)
        return bool(connection.search(dn, ldap.SCOPE_BASE, self._people.active, ["1.1"]))

    def _ceiling(self, groups: Sequence[Group]) -> frozenset[str] | None:
        if self._ceilings is None:
            return None
        # A plain name that reads as a distinguished one says nothing: whoever may make groups chooses it freely.
        plain = [name for group in groups for name in group.names if not is_name(name)]
        return ceiling([*plain, *(text(normal(group.dn)) for group in groups)], self._ceilings)

    def _binds(self, dn: str, password: Secret, active: bool) -> bool:
        try:
            return self._pool.once((dn, password), partial(_is_bound_as, dn))
        except _WRONG:
            return False
        except (LDAPError, ValueError) as error:
            if isinstance(error, _LOCKED) and not active:
                return False
            raise self._outage(error) from error

    def _outage(self, error: LDAPError | ValueError) -> BackendUnavailable:
        """Say an error in the words of the Protocol: none shows what was asked, or of whom."""
        if isinstance(error, ValueError):  # a name of an entry that is none, or text that is not UTF-8
            return BackendUnavailable("the directory gives what can't be read")
        return BackendUnavailable(f"the directory can't be asked: {explain(error, self._reach.servers[0])}")


def _is_bound_as(dn: str, connection: Connection) -> bool:
    """Whether the server says of a new connection that it is this person's: success alone may be nobody's."""
    identity = connection.who()
    if identity is None or identity.startswith("u:"):
        return identity != "u:"  # a server without RFC 4532, or with names of its own, as Active Directory
    return identity.startswith("dn:") and normal(identity.removeprefix("dn:")) == normal(dn)


def _ambiguous() -> BackendUnavailable:
    # Not None: who it is can't be said, and "bad token" would hide a fault of the directory's.
    return BackendUnavailable("several entries have this name: narrow the base or the filter")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _first(values: Sequence[bytes] | None) -> str | None:
    return values[0].decode(errors="replace") if values else None
