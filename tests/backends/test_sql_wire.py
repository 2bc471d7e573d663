"""SQL stores over a network that does to the server's answers what networks do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import TypeAlias

import pytest
from services.between import Between, between
from services.databases import DatabaseServer

from patmiddleware.backends.sql import SQLStore
from patmiddleware.errors import BackendUnavailable
from patmiddleware.model import Secret
from patmiddleware.testing import sample_token
from patmiddleware.tokens import mint_secret

Ask: TypeAlias = Callable[[SQLStore], object]

SECRET = mint_secret()
ASKING: Mapping[str, Ask] = {
    "find": lambda store: store.find(Secret(SECRET)),
    "get": lambda store: store.get("t1"),
    "remove": lambda store: store.remove("t2"),
}


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    """Each kind of server in turn."""
    found: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def relay(server: DatabaseServer) -> Iterator[Between]:
    """What stands before the server."""
    with between(server.port) as made:
        yield made


@pytest.fixture
def store(server: DatabaseServer, relay: Between) -> Iterator[SQLStore]:
    """A store with a token, whose connections are open."""
    address = server.new_database().replace(f":{server.port}/", f":{relay.port}/")
    with closing(SQLStore(address, timeout=1.0)) as opened:
        opened.add(sample_token("t1"), SECRET)
        opened.find(Secret(SECRET))
        yield opened


@pytest.mark.parametrize("way", ["hush", "blank", "drip"])
@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
def test_what_is_no_answer_is_an_outage_that_ends(store: SQLStore, relay: Between, way: str, ask: Ask) -> None:
    """It is neither waited for without end nor raised as what the driver makes of it, and leaves nothing behind."""
    relay.way = way
    began = time.monotonic()

    with pytest.raises(BackendUnavailable):
        ask(store)

    assert time.monotonic() - began < 15
    relay.way = "pass"
    assert (store.get("t1"), store.find(Secret(SECRET)), len(store.list())) == (sample_token("t1"),) * 2 + (1,)
    store.remove("t2")


@pytest.mark.parametrize("way", ["hush", "blank"])
@pytest.mark.parametrize("opener", [SQLStore, SQLStore.migrate], ids=["open", "migrate"])
def test_a_server_that_gives_no_answer_is_named(
    server: DatabaseServer, relay: Between, way: str, opener: Callable[[str], object]
) -> None:
    """Whoever opens a store hears in time where it should be, and never a word of the password."""
    relay.way = way
    began = time.monotonic()

    with pytest.raises(BackendUnavailable, match=str(relay.port)) as caught:
        opener(f"{server.address.partition(':')[0]}://gate:hunter2@127.0.0.1:{relay.port}/tokens")

    assert time.monotonic() - began < 30
    assert "hunter2" not in str(caught.value)
