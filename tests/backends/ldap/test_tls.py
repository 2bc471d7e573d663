"""TLS to an LDAP server: verified, always."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from services.slapd import Corner, Slapd

from patmiddleware.backends.ldap import LDAPDirectory
from patmiddleware.errors import BackendUnavailable

Open = Callable[..., LDAPDirectory]

WAYS = [("ldap", True), ("ldaps", False)]
each_way = pytest.mark.parametrize(("scheme", "start_tls"), WAYS, ids=["StartTLS", "ldaps"])


@pytest.fixture(scope="module")
def stranger() -> Iterator[Slapd]:
    """A server whose certificate is for another host."""
    with Slapd(names=["DNS:ldap.example.org"]) as running:
        yield running


@each_way
def test_a_trusted_server_answers(corner: Corner, opened: Open, scheme: str, start_tls: bool) -> None:
    """People are found and passwords checked, by several threads at once."""
    corner.group("dev", [corner.person("alice")])
    address = corner.server.address(corner.base, scheme)
    directory = opened(address, start_tls=start_tls, ca_file=corner.server.ca_file)

    def ask(number: int) -> bool:
        found = [directory.find("alice") for _ in range(20)]
        return all(found) and directory.authenticate("alice", "alice's password") is not None

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(4)))
    directory.check()


@each_way
def test_an_untrusted_server_is_an_outage(corner: Corner, opened: Open, scheme: str, start_tls: bool) -> None:
    """Without its authority nothing is asked; the setting that mends it is named."""
    corner.person("alice")
    directory = opened(corner.server.address(corner.base, scheme), start_tls=start_tls)

    for ask in (lambda: directory.find("alice"), lambda: directory.authenticate("alice", "alice's password")):
        with pytest.raises(BackendUnavailable, match="ca_file"):
            ask()


@each_way
def test_a_certificate_for_another_host_is_an_outage(
    stranger: Slapd, opened: Open, scheme: str, start_tls: bool
) -> None:
    """Also where its authority is trusted."""
    corner = stranger.corner()
    corner.person("alice")
    address = stranger.address(corner.base, scheme)

    with pytest.raises(BackendUnavailable, match="ca_file"):
        opened(address, start_tls=start_tls, ca_file=stranger.ca_file).find("alice")


@each_way
def test_the_environment_cannot_switch_it_off(
    corner: Corner, opened: Open, scheme: str, start_tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What libldap reads from elsewhere does not count."""
    import ldap

    corner.person("alice")
    before = ldap.get_option(ldap.OPT_X_TLS_REQUIRE_CERT)
    ldap.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_NEVER)
    try:
        with pytest.raises(BackendUnavailable, match="ca_file"):
            opened(corner.server.address(corner.base, scheme), start_tls=start_tls).find("alice")
    finally:
        ldap.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, before)


@each_way
def test_certificates_that_went_bad_are_an_outage(
    corner: Corner, opened: Open, scheme: str, start_tls: bool, tmp_path: Path
) -> None:
    """A file that was good at the start, and is written anew, is named; ``check`` says so in a sentence, too."""
    file = tmp_path / "ca.pem"
    shutil.copy(corner.server.ca_file, file)
    directory = opened(corner.server.address(corner.base, scheme), start_tls=start_tls, ca_file=file)
    file.write_text("-----BEGIN CERTIFICATE-----\n")

    for ask in (lambda: directory.find("alice"), directory.check):
        with pytest.raises(BackendUnavailable, match="ca_file"):
            ask()


def test_the_hosts_other_authorities_do_not_count_beside_ours(corner: Corner) -> None:
    """Where ``ca_file`` is set, the folder of ldap.conf or of the application is not trusted as well."""
    import ldap

    from patmiddleware.backends.ldap.driver import Connection, Reach

    ldap.set_option(ldap.OPT_X_TLS_CACERTDIR, "/etc/ssl/certs")
    try:
        connection = Connection(corner.server.uri, Reach(servers=(), ca_file=corner.server.ca_file), None)
        told = connection._raw.get_option(ldap.OPT_X_TLS_CACERTDIR), ldap.get_option(ldap.OPT_X_TLS_CACERTDIR)
        connection.close()
    finally:
        ldap.set_option(ldap.OPT_X_TLS_CACERTDIR, "")

    assert told == (None, "/etc/ssl/certs")


def test_a_server_without_tls_is_not_asked_in_clear(opened: Open) -> None:
    """Where StartTLS is wanted and not given, neither the name nor the password goes out."""
    with Slapd(tls=False) as server, pytest.raises(BackendUnavailable, match="start_tls"):
        opened(server.address(), start_tls=True).find("alice")
