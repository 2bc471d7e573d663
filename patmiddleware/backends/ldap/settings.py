"""What an LDAP directory may be told, judged before anything is asked."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import NoReturn

from ...ceiling import check_ceilings
from ...errors import ConfigurationError
from ...model import Secret
from .address import Address, checked_attribute, checked_filter
from .driver import Reach, ldap
from .groups import HOW, NESTED, Grouping
from .names import is_name, normal, text, within

AUTO = "auto"
UID = "uid"
_SCOPES = {"one": ldap.SCOPE_ONELEVEL, "sub": ldap.SCOPE_SUBTREE}
_LONGEST = 3600.0  # seconds that an operation may be waited for


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """How people are found.

    Args:
        base: where to begin.
        scope: of :mod:`ldap`'s.
        attribute: that has their names.
        filter: that they match besides; empty: any do.
        active: the filter that an active person's entry matches; None: its attributes tell.
        lockout_duration: for how many seconds a lock for wrong passwords holds; None: until it is lifted.
    """

    base: str
    scope: int
    attribute: str
    filter: str = ""
    active: str | None = None
    lockout_duration: float | None = None


def reach(
    address: Address,
    bind_dn: str | None,
    bind_password: str | None,
    *,
    start_tls: bool,
    ca_file: object,
    connect_timeout: float,
    timeout: float,
    pool: int,
) -> Reach:
    """Give how the servers are reached.

    Raises:
        ConfigurationError: when it can't be done so, or a password would go in clear.
    """
    bind_dn = _one_of_both(bind_dn, address.bind_dn, "bind_dn")
    secret = _credentials(bind_dn, bind_password)
    _judge_wire(address, start_tls, secret)
    size: object = pool
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        _refuse("pool", f"is {size!r}", "must be a whole number of connections, from 1 on")
    return Reach(
        servers=tuple(server.uri for server in address.servers),
        bind_dn=bind_dn,
        bind_password=secret,
        start_tls=start_tls,
        ca_file=_readable(ca_file),
        connect_timeout=_seconds(connect_timeout, "connect_timeout"),
        timeout=_seconds(timeout, "timeout"),
        size=pool,
    )


def keeps_passwords(address: Address, start_tls: bool) -> bool:
    """Whether no one on the way can read what is sent."""
    return start_tls or all(server.scheme == "ldaps" or server.is_local for server in address.servers)


def people(
    address: Address, attribute: str | None, filter: str | None, active: str, lockout_duration: float | None
) -> People:
    """Give how people are found.

    Raises:
        ConfigurationError: when a name or a filter can't be one, or the address contradicts.
    """
    if attribute is not None:
        checked_attribute(attribute, "directory.user_attribute")
    filters = [address.filter, filter and checked_filter(filter, "directory.filter")]
    return People(
        base=address.base,
        scope=_SCOPES[address.scope],
        attribute=_one_of_both(attribute, address.attribute, "user_attribute") or UID,
        filter="".join(each for each in filters if each),
        active=None if active == AUTO else checked_filter(active, "directory.active"),
        lockout_duration=None if lockout_duration is None else _seconds(lockout_duration, "lockout_duration", None),
    )


def grouping(
    address: Address, how: str, nested: bool | str, base: str | None, filter: str | None, attribute: str
) -> Grouping:
    """Give how groups are found.

    Raises:
        ConfigurationError: when it can't be done so.
    """
    if how not in HOW:
        _refuse("groups", f"is {how!r}", f"must be {' or '.join(HOW)}")
    if nested not in NESTED or (isinstance(nested, int) and not isinstance(nested, bool)):
        _refuse("nested", f"is {nested!r}", 'must be true, false or "ad"')
    if base is not None and not is_name(base):
        _refuse("group_base", "is not a distinguished name", "write one such as ou=groups,dc=example,dc=org")
    if filter is not None:
        checked_filter(filter, "directory.group_filter")
        if how == "memberOf" and nested != "ad":
            _refuse("group_filter", "needs groups that are searched for", 'set groups = "search"')
    checked_attribute(attribute, "directory.group_attribute")
    return Grouping(base=base or address.base, how=how, nested=nested, filter=filter, attribute=attribute)


def ceilings(scopes: Mapping[str, Iterable[str]] | None, base: str) -> Mapping[str, frozenset[str]] | None:
    """Give the map from groups to scopes, with distinguished names in their normal form.

    Raises:
        ConfigurationError: when it is none, or names a group that can never count.
    """
    checked, kept = check_ceilings(scopes), dict[str, frozenset[str]]()
    for group, given in ({} if checked is None else checked).items():
        key = group
        if is_name(group):
            if not within(normal(group), normal(base)):
                _refuse(
                    f"scopes.{group}",
                    "is not below group_base, so nobody would be in it",
                    "set another group_base, or leave the group out",
                )
            key = text(normal(group))
        kept[key] = kept.get(key, frozenset()) | given
    return None if checked is None else kept


def _one_of_both(setting: str | None, in_address: str | None, name: str) -> str | None:
    if setting is not None and in_address is not None and setting != in_address:
        _refuse(name, "is not what the address says", "say it in one of the two places")
    return in_address if setting is None else setting


def _credentials(bind_dn: str | None, bind_password: str | None) -> Secret | None:
    if bind_dn is not None and not is_name(bind_dn):
        _refuse("bind_dn", "is not a distinguished name", "write one such as cn=gate,ou=services,dc=example,dc=org")
    if bind_dn is None and bind_password is None:
        return None
    if bind_dn is None:
        _refuse("bind_password", "is of nobody", "set bind_dn to whose it is")
    # RFC 4513, section 5.1.2: with an empty one nobody is bound, and some servers call that a success.
    if not isinstance(bind_password, str) or not bind_password or "\0" in bind_password:
        _refuse("bind_password", "is missing, is empty, or has a NUL", "set the password of bind_dn")
    return Secret(bind_password)


def _judge_wire(address: Address, start_tls: bool, secret: Secret | None) -> None:
    given: object = start_tls
    if not isinstance(given, bool):
        _refuse("start_tls", f"is {given!r}", "must be true or false")
    if start_tls and any(server.scheme == "ldaps" for server in address.servers):
        _refuse("start_tls", "is for ldap:// only: ldaps:// has TLS from the beginning", "use one of the two")
    if secret is not None and not keeps_passwords(address, start_tls):
        _refuse("bind_password", "would go in clear", "write ldaps:// in the address, or set start_tls = true")


def _readable(path: object) -> str | None:
    if path is None:
        return None
    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        _refuse("ca_file", "has no certificate in it", "name a file with certificates in PEM form")
    except (OSError, ValueError) as error:
        raise ConfigurationError("can't be read", setting="directory.ca_file", hint=str(error)) from error
    return str(path)


def _seconds(value: object, name: str, most: float | None = _LONGEST) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value > 0
    if not good or (most is not None and isinstance(value, int | float) and value > most):
        _refuse(name, f"is {value!r}", "must be seconds, more than 0" + (f" and up to {most:g}" if most else ""))
    return float(str(value))


def _refuse(name: str, message: str, hint: str) -> NoReturn:
    raise ConfigurationError(message, setting=f"directory.{name}", hint=hint)
