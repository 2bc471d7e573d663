"""Helper: a process that logs in to an upstream with a password, and says what it hears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from upstreams import ALICE, PlainTransport, get

from patmiddleware.errors import LinkError
from patmiddleware.forwarder.strategies import CookieLogin
from patmiddleware.testing import FakeClock


def log_in(url: str, password: str, state: str, gate: Any, said: Any) -> None:
    """Wait at the gate, log in, and put what was heard into a queue. Any: of multiprocessing."""
    way = CookieLogin(PlainTransport(url), url, "svc", password, state=Path(state), clock=FakeClock())
    gate.wait(30)
    try:
        way.sign(get(), ALICE)
        said.put("in")
    except LinkError as error:
        said.put(str(error))
