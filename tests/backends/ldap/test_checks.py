"""What ``check`` says of a wrong setting: one sentence, with the server and the setting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from services.slapd import BASE, Corner, Slapd

from patmiddleware.backends.ldap import LDAPDirectory
from patmiddleware.errors import BackendUnavailable

Open = Callable[..., LDAPDirectory]

GOOD: list[dict[str, Any]] = [
    {},
    {"groups": "search", "group_filter": "(objectClass=*)"},
    {"active": "(!(employeeType=gone))"},
    {"user_attribute": "MAIL"},
]

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "password": ({"bind_password": "wrong"}, "refuses bind_dn or bind_password"),
    "bind_dn": ({"bind_dn": f"cn=nobody,{BASE}"}, "refuses bind_dn or bind_password"),
    "nobody": ({"bind_dn": None, "bind_password": None}, "without a name: set bind_dn and bind_password"),
    "user_attribute": ({"user_attribute": "sAMAccountName"}, "no attribute sAMAccountName: look at user_attribute"),
    "unused attribute": ({"user_attribute": "employeeNumber"}, "nobody with a readable employeeNumber"),
    "group_attribute": ({"group_attribute": "displayTitle"}, "no attribute displayTitle: look at group_attribute"),
    "group_base": ({"group_base": f"ou=nowhere,{BASE}"}, f"group_base is not there.*: ou=nowhere,{BASE}"),
    "filter": ({"filter": "(uid=(x))"}, "filter in the settings can't be read"),
    "filter of nobody": ({"filter": "(employeeType=boss)"}, "nobody with a readable uid"),
    "active": ({"active": "(uid=(x))"}, "filter in the settings can't be read"),
    "group_filter": ({"group_filter": "(cn=(x))", "groups": "search"}, "filter in the settings can't be read"),
}


@pytest.mark.parametrize("settings", GOOD, ids=str)
def test_good_settings_pass(corner: Corner, opened: Open, settings: dict[str, Any]) -> None:
    """Nothing is said of them, with one person or with many."""
    directory = opened(corner.address, **settings)
    for name in ("alice", "bob"):
        corner.person(name, mail=f"{name}@example.org")

        directory.check()


@pytest.mark.parametrize(("settings", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_told(corner: Corner, opened: Open, settings: dict[str, Any], words: str) -> None:
    """With the server."""
    corner.person("alice")

    with pytest.raises(BackendUnavailable, match=words) as caught:
        opened(corner.address, **settings).check()

    assert str(caught.value).startswith(corner.server.uri)
    assert "\n" not in str(caught.value)


def test_a_missing_base_is_told(server: Slapd, opened: Open) -> None:
    """As it was given."""
    with pytest.raises(BackendUnavailable, match=f"base in the address is not there.*: ou=peopel,{BASE}"):
        opened(server.address(f"ou=peopel,{BASE}")).check()


def test_every_server_is_asked(corner: Corner, opened: Open) -> None:
    """The one that would only be needed later, too."""
    corner.person("alice")

    with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1:1 can't be asked: it can't be reached"):
        opened(f"{corner.address} ldap://127.0.0.1:1").check()


def test_an_untrusted_certificate_is_told(corner: Corner, opened: Open) -> None:
    """Also where libldap only says that it can't reach the server."""
    secure = opened(corner.server.address(corner.base, "ldaps"))
    started = opened(corner.address, start_tls=True)

    with pytest.raises(BackendUnavailable, match=r"certificate is not trusted .*: look at ca_file"):
        secure.check()
    with pytest.raises(BackendUnavailable, match="TLS can't be begun with it: look at ca_file"):
        started.check()


def test_a_server_without_member_of_is_told(opened: Open) -> None:
    """Nobody would be in any group."""
    with Slapd(memberof=False) as server:
        corner = server.corner()
        corner.person("alice")

        with pytest.raises(BackendUnavailable, match='memberOf: look at groups = "memberOf"'):
            opened(corner.address).check()
        opened(corner.address, groups="search").check()
