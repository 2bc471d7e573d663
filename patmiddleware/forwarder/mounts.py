"""Several upstreams behind one gate, each below a path of its own: ``/jira``, ``/confluence``, ``/bitbucket``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..annotate import Environ
from ..errors import ConfigurationError
from . import target
from .application import Forwarder

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse


class Mounts:
    """Hands each request to the forwarder with the longest mount that its path is below.

    Args:
        forwarders: at least one, each with another mount.

    Raises:
        ConfigurationError: when two have the same mount.
    """

    def __init__(self, forwarders: Iterable[Forwarder]) -> None:
        found = sorted(forwarders, key=lambda forwarder: len(forwarder.mount), reverse=True)
        mounts = [forwarder.mount for forwarder in found]
        for mount in mounts:
            if mounts.count(mount) > 1:
                hint = 'give each a mount of its own, such as "/jira"'
                raise ConfigurationError(f"two upstreams are mounted at {mount or '/'!r}", setting="app", hint=hint)
        self.forwarders = tuple(found)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request; one that is below no mount is answered as any of them would."""
        path = environ.get("PATH_INFO", "")
        for forwarder in self.forwarders:
            # As native strings: a mount and a path are the same bytes, or not.
            if target.below(path, forwarder.native_mount) is not None:
                return forwarder(environ, start_response)
        return self.forwarders[-1](environ, start_response)

    def close(self) -> None:
        """Close the connections to all upstreams."""
        for forwarder in self.forwarders:
            forwarder.close()
