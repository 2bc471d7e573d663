"""Carry the word that something changed to other processes and hosts through Redis, for any store."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from .changes import here
from .errors import ConfigurationError
from .interfaces import Events
from .listening import Heard, Listener

if TYPE_CHECKING:
    from redis import Redis

Message: TypeAlias = Mapping[str, Any] | None  # Any: as the driver gives it

CHANNEL = "patmiddleware"
TIMEOUT = 0.5
"""Seconds that a change may be held up by telling it, and after a failure no other one is for as long again."""

_LISTENING = 1.0  # seconds after which a listener looks whether it is still wanted
_AT_ONCE = 500  # events that are taken for one, if they wait already
_EXAMPLE = "write redis://HOST:6379/0, or rediss:// for TLS"


class RedisEvents:
    """Tells of changes through Redis (``PUBLISH``), and hears of those made elsewhere (``SUBSCRIBE``).

    A message says only "ask again", so nobody who can send one learns or gets anything by it. What is lost, because
    Redis was away or slow, arrives by the polling that goes on all the same.

    Args:
        url: ``redis://[USER:PASSWORD@]HOST[:PORT]/``, ``rediss://…`` for TLS, or ``unix://PATH``.
        channel: all that share it ask again when one of them tells of a change.
        timeout: seconds to wait for Redis when a change is told.

    Raises:
        ConfigurationError: when the address can't be one, or redis-py is missing. Nothing is connected yet.
    """

    def __init__(self, url: str, *, channel: str = CHANNEL, timeout: float = TIMEOUT) -> None:
        self._client = _client(url, timeout)
        self._channel, self._timeout = channel, timeout
        self._name = secrets.token_hex(8)
        self._silent_until = float("-inf")
        self._listener = Listener("patmiddleware events", self._listen, here.announce)

    def watch(self) -> None:
        """Begin to listen, if that has not begun in this process."""
        self._listener.begin()

    def publish(self) -> None:
        """Tell the others. Where Redis does not take it in time, they find out by themselves within the bound."""
        if monotonic() < self._silent_until:
            return
        try:
            self._client.publish(self._channel, self._sent)
        except Exception:  # whatever the driver raises: the change itself is made
            self._silent_until = monotonic() + self._timeout

    @property
    def _sent(self) -> bytes:
        """What this process sends, and does not hear: it knows of its changes. A fork of it is another one."""
        return f"{self._name} {os.getpid()}".encode()

    def close(self) -> None:
        """Stop listening, and close the connections."""
        self._listener.end()
        self._client.close()

    def check(self) -> None:
        """Ask Redis for a sign of life.

        Raises:
            ConfigurationError: when there is none, with the reason.
        """
        try:
            self._client.ping()
        except Exception as error:  # whatever the driver raises
            words = " ".join(str(error).split())[:200]
            hint = "look at the address and whether Redis runs; without it changes arrive within a second"
            raise ConfigurationError(f"Redis can't be asked: {words}", setting="store.events", hint=hint) from error

    def _listen(self, heard: Heard, ended: Callable[[], bool]) -> None:
        with self._client.pubsub() as subscription:  # type: ignore[no-untyped-call]  # it has no annotations
            subscription.subscribe(self._channel)
            while not ended():
                first = subscription.get_message(timeout=_LISTENING)
                # What waits already is taken with it: a storm of events must not keep us busy long after it.
                waiting = islice(iter(subscription.get_message, None), _AT_ONCE)
                if True in [self._is_news(message) for message in (first, *waiting)]:
                    heard()

    def _is_news(self, message: Message) -> bool:
        if message is None or message["data"] == self._sent:
            return False
        # Also where it says that we listen from now on: what came before was missed.
        return message["type"] in ("message", "subscribe")


def _client(url: str, timeout: float) -> Redis:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        hint = "pip install 'patmiddleware[redis]'"
        raise ConfigurationError("events through Redis need redis-py", setting="store.events", hint=hint) from error
    try:
        return redis.Redis.from_url(
            url,
            protocol=2,  # servers before 6 know no other
            socket_connect_timeout=timeout,
            socket_timeout=timeout,
            retry=Retry(NoBackoff(), 0),  # an event is not worth waiting for
            health_check_interval=5,
            **({"ssl_check_hostname": True} if url.startswith("rediss:") else {}),
        )
    except ValueError:  # without its cause, which may show a password
        message = "the address of the events can't be read"
        raise ConfigurationError(message, setting="store.events", hint=_EXAMPLE) from None


def open_events(address: str | Events) -> Events:
    """Open what carries events at an address; one in hand is given back as it is.

    Args:
        address: as :class:`RedisEvents` takes it, or an object that answers to the Protocol.

    Raises:
        ConfigurationError: when it is neither.
    """
    if isinstance(address, str):
        return RedisEvents(address)
    given: object = address
    if not isinstance(given, Events):
        message = f"{type(given).__name__} carries no events"
        raise ConfigurationError(message, setting="store.events", hint=_EXAMPLE)
    return address
