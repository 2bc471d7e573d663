"""What the tests of the LDAP directory share: one server, a part of its tree for each test, directories over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from services.slapd import SERVICE, SERVICE_PASSWORD, Corner, Slapd

if TYPE_CHECKING:
    from patmiddleware.backends.ldap import LDAPDirectory

Open: TypeAlias = "Callable[..., LDAPDirectory]"


@pytest.fixture(scope="session")
def server() -> Iterator[Slapd]:
    """A running server."""
    with Slapd() as running:
        yield running


@pytest.fixture
def corner(server: Slapd) -> Corner:
    """A part of its tree that this test has for itself."""
    return server.corner()


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open a directory at an address, as the service, to be closed after the test."""
    # Here, and not above: where python-ldap is missing the tests are skipped, rather than not found.
    from patmiddleware.backends.ldap import LDAPDirectory

    with ExitStack() as stack:

        def open_(address: Any, **settings: Any) -> LDAPDirectory:
            who = {"bind_dn": SERVICE, "bind_password": SERVICE_PASSWORD}
            return stack.enter_context(closing(LDAPDirectory(address, **{**who, **settings})))

        yield open_
