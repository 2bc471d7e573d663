"""All that one stand-in has, in one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from .accounts import Accounts
from .links import Links
from .log import Log
from .pats import Pats
from .sessions import Sessions
from .state import JiraState


@dataclass(frozen=True, slots=True)
class Site:
    """What a stand-in knows and keeps."""

    state: JiraState
    accounts: Accounts
    sessions: Sessions
    pats: Pats
    links: Links
    log: Log
    clock: Callable[[], datetime]
