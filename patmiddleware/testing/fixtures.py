"""The fixtures, which every pytest sees where this package is installed.

So nothing of it is imported before a test asks for a fixture, none is used unasked, and only ours whose names begin
with ``pat_`` are used by another of ours: a project that has a ``mint`` or a ``frozen_clock`` of its own keeps it, and
nothing here changes for that. To have another store, clock or issuer behind all of them, define a fixture
``pat_store``, ``pat_clock`` or ``pat_issuer``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from functools import partial

    from patmiddleware.backends.memory import MemoryStore
    from patmiddleware.interfaces import TokenStore
    from patmiddleware.issuer import Issuer
    from patmiddleware.model import Minted

    from .clients import PatClient
    from .fakes import FakeClock, FlakyStore


@pytest.fixture
def pat_clock() -> FakeClock:
    """A clock that stands still until it is told to go on.

    It begins at the present second, so that a gate which goes by the real clock takes the tokens that are made by this.
    """
    from time import time

    from .fakes import FakeClock

    return FakeClock(float(int(time())))


@pytest.fixture
def frozen_clock(pat_clock: FakeClock) -> FakeClock:
    """The clock that ``mint`` goes by: ``set`` it, or let it ``advance``, and give it to the gate as ``clock``."""
    return pat_clock


@pytest.fixture
def pat_store() -> MemoryStore:
    """A new store in memory."""
    from patmiddleware.backends.memory import MemoryStore

    return MemoryStore()


@pytest.fixture
def pat_flaky_store() -> FlakyStore:
    """A new store in memory that counts its calls and fails on demand."""
    from .fakes import FlakyStore

    return FlakyStore()


@pytest.fixture
def pat_issuer(pat_store: TokenStore, pat_clock: FakeClock) -> Issuer:
    """What makes, rotates and revokes the tokens in ``pat_store``, by ``pat_clock``."""
    from patmiddleware.issuer import Issuer

    return Issuer(pat_store, clock=pat_clock)


@pytest.fixture
def mint(pat_issuer: Issuer) -> partial[Minted]:
    """Make tokens in ``pat_store``: ``mint(scopes={"read"})``; what is not said is ``owner="alice", name="test"``.

    It takes what :meth:`~patmiddleware.issuer.Issuer.mint` takes, and gives the secret and the record.
    """
    from .clients import minting

    return minting(pat_issuer)


@pytest.fixture
def pat_client(request: pytest.FixtureRequest) -> PatClient:
    """Make a WebTest client that sends a token: one that is given, or a new one in ``pat_store``.

    ``pat_client(app, scopes={"read"})``, ``pat_client(app, minted, scheme="basic")``: as in
    :class:`~patmiddleware.testing.clients.PatClient`.
    """
    from .clients import PatClient

    return PatClient(lambda: request.getfixturevalue("pat_issuer"))
