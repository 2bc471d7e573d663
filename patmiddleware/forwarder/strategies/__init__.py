"""Ways of being somebody at the upstream: one file for each (:class:`~patmiddleware.interfaces.Strategy`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from ...errors import ConfigurationError, LinkError, Problem
from ...interfaces import Strategy, Transport
from ...model import UpstreamCredential
from ..given import AUTH
from .basic import BasicLogin
from .cookie import CookieLogin
from .oauth1 import OAuth1
from .passing import PassThrough
from .service import BasicAccount, BearerAccount

__all__ = ["KINDS", "OWN", "BasicAccount", "BasicLogin", "BearerAccount", "CookieLogin", "OAuth1"]
__all__ += ["PassThrough", "from_credential", "strategy"]

# Any: each kind has settings of its own, which its constructor judges.
Settings: TypeAlias = Mapping[str, Any]
NO_SETTINGS: Settings = MappingProxyType({})


class Kind(NamedTuple):
    """A way of being somebody.

    Args:
        make: from its settings, the upstream's address and the transport.
        needed: names of settings.
        optional: likewise.
    """

    make: Callable[[Settings, str, Transport], Strategy]
    needed: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


def _oauth1(settings: Settings, upstream: str, transport: Transport) -> Strategy:
    rest = {name: value for name, value in settings.items() if name != "base_url"}
    return OAuth1(settings.get("base_url", upstream), **rest)


KINDS: Mapping[str, Kind] = {
    "pass": Kind(lambda settings, upstream, transport: PassThrough()),
    "basic": Kind(
        lambda settings, upstream, transport: BasicLogin(transport, upstream, **settings),
        frozenset({"username", "password"}),
        frozenset({"state"}),
    ),
    "bearer": Kind(lambda settings, upstream, transport: BearerAccount(**settings), frozenset({"token"})),
    "cookie": Kind(
        lambda settings, upstream, transport: CookieLogin(transport, upstream, **settings),
        frozenset({"username", "password"}),
        frozenset({"state"}),
    ),
    "oauth1": Kind(
        _oauth1,
        frozenset({"consumer_key", "private_key"}),
        frozenset({"impersonate", "token", "token_secret", "base_url"}),
    ),
}
"""What ``app.auth.kind`` may say. ``state`` is a folder (:class:`pathlib.Path`); ``base_url`` the address that the
upstream knows itself by, where that is not ``app.upstream``."""

OWN: Mapping[str, frozenset[str]] = {
    "basic": frozenset({"username", "password"}),
    "bearer": frozenset({"token"}),
    "cookie": frozenset({"username", "password"}),
    "oauth1": frozenset({"token", "token_secret"}),
}
"""Kinds of credentials that an owner may have, and what each holds: all of it, so that nothing that lacks a user's own
token ever stands for the application itself."""


def strategy(kind: object, settings: Settings, *, upstream: str, transport: Transport) -> Strategy:
    """Make the way that the settings say.

    Args:
        kind: one of :data:`KINDS`.
        settings: what else stands in ``app.auth``, with secrets already read.
        upstream: its address, with the context path.
        transport: to it.

    Raises:
        ConfigurationError: with all names that are missing or unknown, or with what is wrong with a value.
    """
    if not isinstance(kind, str) or kind not in KINDS:
        hint = _nearest(str(kind), KINDS)
        raise ConfigurationError(f"there is no way named {kind!r}", setting=f"{AUTH}.kind", hint=hint)
    make, needed, optional = KINDS[kind]
    missing = [Problem("PAT-E001", f"{AUTH}.{name}", "is missing") for name in sorted(needed - settings.keys())]
    known = needed | optional
    unknown = [
        Problem("PAT-E001", f"{AUTH}.{name}", f"{kind} has no such setting", _nearest(name, known))
        for name in sorted(settings.keys() - known)
    ]
    if missing or unknown:
        raise ConfigurationError(missing + unknown)
    return make(settings, upstream, transport)


def from_credential(
    credential: UpstreamCredential, settings: Settings = NO_SETTINGS, *, upstream: str, transport: Transport
) -> Strategy:
    """Make the way of one owner, from their own credential. It is worth keeping: ``cookie`` has its session in it.

    Args:
        credential: of a kind of :data:`OWN`.
        settings: what the kinds need beside it, the same for all owners: ``consumer_key`` and ``private_key`` for
            ``oauth1`` (the key as :func:`~patmiddleware.forwarder.signing.load_key` gives it, so that it is not parsed
            for each owner), perhaps ``base_url``; perhaps ``state`` for ``basic`` and ``cookie``. A kind takes only
            its own.
        upstream: its address, with the context path.
        transport: to it.

    Raises:
        LinkError: when nothing can be made of it.
    """
    kind, values = credential.kind, credential.values
    if frozenset(values) != OWN.get(kind) or not all(values.values()):
        raise LinkError(f"what is kept of the owner for the upstream is not whole: {_ANEW}")
    shared = {name: value for name, value in settings.items() if name in KINDS[kind].needed | KINDS[kind].optional}
    try:
        return strategy(kind, {**shared, **values}, upstream=upstream, transport=transport)
    except ConfigurationError as error:
        why = "; ".join(problem.message for problem in error.problems)
        message = f"what is kept of the owner for the upstream can't be used ({why}): {_ANEW}"
        raise LinkError(message) from error


_ANEW = "connect the owner anew (patmiddleware jira connect)"


def _nearest(name: str, names: Mapping[str, object] | frozenset[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(names)) or 'none'}"
