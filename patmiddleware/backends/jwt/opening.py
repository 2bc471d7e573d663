"""From the address and its settings to a source of keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path

from patmiddleware.claims import seconds
from patmiddleware.errors import ConfigurationError
from patmiddleware.webcall import WebCaller

from .keys import Rules, rules
from .sources import LARGEST, FileKeys, Keys, WebKeys

_EXAMPLE = "write jwt:https://issuer.example/jwks.json or jwt:keys.json"
_HEADERS = {"Accept": "application/jwk-set+json, application/json"}


class FetchedKeys(WebKeys):
    """Keys that a server publishes, with the connections to it.

    Args:
        caller: of that server.
        rules: which keys are taken.
        lifetime: seconds until they are fetched again.
        stale: seconds beyond it for which they serve while they can't be fetched.
        cooldown: seconds between two fetches at the least.
    """

    def __init__(self, caller: WebCaller, rules: Rules, *, lifetime: float, stale: float, cooldown: float) -> None:
        super().__init__(
            lambda: caller.call("GET", headers=_HEADERS), rules, lifetime=lifetime, stale=stale, cooldown=cooldown
        )
        self._caller = caller

    def close(self) -> None:
        """Close the connections; the next fetch makes new ones."""
        self._caller.close()


def open_keys(
    address: str,
    *,
    algorithms: Mapping[str, str] | Iterable[str] | None,
    pins: Iterable[str],
    ca_file: str | PathLike[str] | None,
    lifetime: float,
    stale: float,
    cooldown: float,
    timeout: float,
) -> Keys:
    """Open the keys at an address; what is fetched is fetched when first needed.

    Raises:
        ConfigurationError: when it is none, a setting can't be one, or a file can't be used.
    """
    kind, colon, place = address.partition(":")
    if kind.lower() != "jwt" or not colon or not place:
        raise ConfigurationError("it is no address of keys", setting="store", hint=_EXAMPLE)
    times = {"lifetime": lifetime, "stale": stale, "cooldown": cooldown, "timeout": timeout}
    least = {"lifetime": 1.0, "stale": 0.0, "cooldown": 0.1, "timeout": 0.1}
    life, late, pause, wait = (seconds(name, value, least[name]) for name, value in times.items())
    if place.lower().startswith(("https:", "http:")):
        caller = WebCaller(place, setting="store", extra="jwt", ca_file=ca_file, timeout=wait, largest=LARGEST)
        allowed = rules(algorithms, pins, secrets=False)
        return FetchedKeys(caller, allowed, lifetime=life, stale=late, cooldown=pause)
    if ca_file is not None:
        raise ConfigurationError("is for keys that are fetched", setting="store.ca_file")
    return FileKeys(_path(place), rules(algorithms, pins, secrets=True))


def _path(place: str) -> Path:
    path = place.removeprefix("//") if place.startswith("///") else place
    if path.startswith("//"):
        raise ConfigurationError("the address names a host where a path should be", setting="store", hint=_EXAMPLE)
    return Path(path)
