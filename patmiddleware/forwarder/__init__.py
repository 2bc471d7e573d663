"""A WSGI application that sends requests on to an upstream, such as Jira, as somebody whom the upstream knows."""

from __future__ import annotations

from .application import Forwarder
from .mounts import Mounts
from .transport import PooledTransport

__all__ = ["Forwarder", "Mounts", "PooledTransport"]
