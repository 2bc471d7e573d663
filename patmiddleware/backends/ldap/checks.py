"""What ``patmiddleware check`` asks a server: whether all is there that the settings name."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

from ...errors import BackendUnavailable
from .driver import Connection, LDAPError, Reach, explain, ldap
from .groups import Grouping
from .settings import People

_ANY = "(objectClass=*)"


def check(uri: str, reach: Reach, people: People, grouping: Grouping) -> None:
    """Ask one server.

    Raises:
        BackendUnavailable: with the first thing that is wrong, in one sentence.
    """
    who = None if reach.bind_dn is None or reach.bind_password is None else (reach.bind_dn, reach.bind_password)
    with _told(uri, reach), closing(Connection(uri, reach, who)) as connection:
        _check_base(connection, people.base, "the base in the address")
        _check_base(connection, grouping.base, "group_base")
        _check_attributes(connection, people, grouping)
        _check_people(connection, people)
        if people.active is not None:
            connection.search(people.base, ldap.SCOPE_BASE, people.active, ["1.1"])
        if grouping.filter is not None:
            connection.search(grouping.base, ldap.SCOPE_BASE, grouping.filter, ["1.1"])


@contextmanager
def _told(uri: str, reach: Reach) -> Iterator[None]:
    try:
        yield
    except LDAPError as error:
        words = _distrust(uri, reach) if isinstance(error, ldap.SERVER_DOWN) else None
        if reach.bind_dn is None and isinstance(error, ldap.INSUFFICIENT_ACCESS):
            words = "it lets nobody search there without a name: set bind_dn and bind_password"
        raise BackendUnavailable(f"{uri} can't be asked: {words or explain(error, uri)}") from error
    except BackendUnavailable as error:
        raise BackendUnavailable(f"{uri}: {error}") from error


def _distrust(uri: str, reach: Reach) -> str | None:
    """Say what is wrong with the certificate of ldaps://; libldap keeps it to itself."""
    parts = urlsplit(uri)
    if parts.scheme != "ldaps" or parts.hostname is None:
        return None
    try:
        context = ssl.create_default_context(cafile=reach.ca_file)
        with socket.create_connection((parts.hostname, parts.port or 636), reach.connect_timeout) as plain:
            context.wrap_socket(plain, server_hostname=parts.hostname).close()
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted ({error.verify_message.rstrip('.')}): look at ca_file"
    except OSError:
        pass
    return None


def _check_base(connection: Connection, base: str, setting: str) -> None:
    try:
        found = connection.search(base, ldap.SCOPE_BASE, _ANY, ["1.1"])
    except ldap.NO_SUCH_OBJECT:
        found = []
    if not found:
        raise BackendUnavailable(f"{setting} is not there, or bind_dn may not see it: {base}")


def _check_attributes(connection: Connection, people: People, grouping: Grouping) -> None:
    knows = connection.schema()
    wanted = {"user_attribute": people.attribute, "group_attribute": grouping.attribute}
    if grouping.reads_member_of:
        wanted['groups = "memberOf"'] = "memberOf"
    for setting, attribute in wanted.items():
        if knows is not None and not knows(attribute):
            raise BackendUnavailable(f"the server knows no attribute {attribute}: look at {setting}")


def _check_people(connection: Connection, people: People) -> None:
    filter = f"(&{people.filter}({people.attribute}=*))"
    try:
        found = connection.search(people.base, people.scope, filter, [people.attribute], limit=1)
    except ldap.SIZELIMIT_EXCEEDED:
        return  # there are people
    names = {name.lower() for _, values in found for name in values}
    if people.attribute.lower() not in names:
        raise BackendUnavailable(f"nobody with a readable {people.attribute} is below {people.base}")
