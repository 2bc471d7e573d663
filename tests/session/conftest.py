"""What the tests of sessions share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from logins import World


@pytest.fixture
def world() -> Iterator[World]:
    """A store, a clock, and gates that are closed at the end."""
    world = World()
    yield world
    world.close()
