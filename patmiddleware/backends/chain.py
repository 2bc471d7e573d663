"""Several readers as one, asked in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from patmiddleware.changes import Tally
from patmiddleware.errors import BackendUnavailable, ConfigurationError
from patmiddleware.interfaces import Checkable, Events, Revisioned, TokenReader
from patmiddleware.model import Secret, Token, Use
from patmiddleware.tokens import DEFAULT_PREFIX, check_prefix, may_exist


class _Link(NamedTuple):
    reader: TokenReader
    prefix: str
    foreign: bool

    def may_know(self, secret: Secret) -> bool:
        return may_exist(secret.reveal(), self.prefix, self.foreign)


class _AllEvents(NamedTuple):
    """The events of several readers."""

    carriers: tuple[Events, ...]

    def watch(self) -> None:
        for carrier in self.carriers:
            carrier.watch()

    def publish(self) -> None:
        for carrier in self.carriers:
            carrier.publish()

    def close(self) -> None:
        for carrier in self.carriers:
            carrier.close()


class ChainReader:
    """Asks several readers in order; the first that knows a token speaks for it.

    A reader that can't be asked ends the search with an outage, also where a later one knows the token: the earlier
    might have said that it is revoked, as when tokens were moved and the old store still has them. So a token is served
    by one reader only after all before it have said that they don't know it.

    It is no store: new tokens are made in one of the readers. Where each of them has a ``revision()`` the chain has
    one, else tokens are kept for a second at the most, whichever reader they come from. While one of them can't give
    its own, nothing is kept: tokens of those before it are looked up at each request.

    Args:
        readers: first asked first.

    Raises:
        ConfigurationError: when there is none, one is no reader, or they don't agree on a prefix.
    """

    def __new__(cls, readers: Sequence[TokenReader]) -> ChainReader:
        """Choose by what the readers can do: whoever looks for ``revision()`` looks for the method."""
        every = cls is ChainReader and all(isinstance(reader, Revisioned) for reader in _checked(readers))
        return super().__new__(RevisionedChainReader if every else cls)

    def __init__(self, readers: Sequence[TokenReader]) -> None:
        self._links = tuple(
            _Link(
                reader,
                check_prefix(getattr(reader, "prefix", DEFAULT_PREFIX)),
                bool(getattr(reader, "foreign", True)),
            )
            for reader in _checked(readers)
        )
        self.prefix, self.foreign = _agreed(self._links)
        peppers = [pepper for reader in self.readers for pepper in getattr(reader, "peppers", ())]
        self.peppers: tuple[bytes, ...] = tuple(dict.fromkeys(peppers))

    @property
    def events(self) -> Events | None:
        """Give what carries the changes of the readers; None where none of them has anything that does."""
        carriers = tuple(filter(None, (getattr(reader, "events", None) for reader in self.readers)))
        return _AllEvents(carriers) if carriers else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(type(reader).__name__ for reader in self.readers)}>"

    @property
    def readers(self) -> tuple[TokenReader, ...]:
        """Give the readers, first asked first."""
        return tuple(link.reader for link in self._links)

    def find(self, secret: Secret) -> Token | None:
        """Look a token up in one reader after the other. One that can't know it, by its form, is not asked.

        Raises:
            BackendUnavailable: when one can't be asked, before any has found it.
        """
        return _first(self._links, secret)

    def find_last_good(self, secret: Secret) -> Token | None:
        """Look a token up as :meth:`find` does; a reader that can't be asked is asked what it knew last.

        Returns:
            The record; None as well where a reader can neither be asked nor says what it knew.
        """
        for link in filter(lambda link: link.may_know(secret), self._links):
            try:
                token = link.reader.find(secret)
            except BackendUnavailable:
                last_good = getattr(link.reader, "find_last_good", None)
                if last_good is None:
                    return None
                token = last_good(secret)
            if token is not None:
                return token
        return None

    def record_use(self, uses: Mapping[str, Use]) -> None:
        """Hand the last uses to every reader that keeps them; each passes over the ids that it does not know.

        Raises:
            BackendUnavailable: when one can't write them, or whatever else the first such raised. All are told before.
        """
        outages = list[Exception]()
        for record in _methods(self.readers, "record_use"):
            try:
                record(uses)
            except Exception as error:  # a reader may be anybody's: it must not keep the others from being told
                outages.append(error)
        if outages:
            raise outages[0]

    def check(self) -> None:
        """Have every reader look itself over that can.

        Raises:
            BackendUnavailable: with what all of them found.
        """
        found = list[str]()
        for number, reader in enumerate(self.readers, 1):
            try:
                if isinstance(reader, Checkable):
                    reader.check()
            except BackendUnavailable as error:
                found.append(f"reader {number} of the chain: {error}")
        if found:
            raise BackendUnavailable("; ".join(found))

    def close(self) -> None:
        """Close every reader that can be closed."""
        for close in _methods(self.readers, "close"):
            close()


class RevisionedChainReader(ChainReader):
    """A chain of readers that each have a ``revision()``. :class:`ChainReader` chooses it.

    Args:
        readers: first asked first.
    """

    def __init__(self, readers: Sequence[TokenReader]) -> None:
        super().__init__(readers)
        self._revisioned = [reader for reader in self.readers if isinstance(reader, Revisioned)]
        self._tally, self._sound = Tally(), 0

    def revision(self) -> int:
        """Count the times that any reader's revision was another than before. The number means something here alone.

        Raises:
            BackendUnavailable: when one of them can't say.
        """
        states = list[int]()
        try:
            for reader in self._revisioned:
                states.append(reader.revision())
        except Exception:
            self._sound = len(states)
            raise
        self._sound = 0
        return self._tally.number(tuple(states))

    def find_before_outage(self, secret: Secret) -> Token | None:
        """Look a token up in the readers before the first that could not give its revision when it was last asked.

        Returns:
            None as well where each of them gave its own.

        Raises:
            BackendUnavailable: when one of those can't be asked either.
        """
        return _first(self._links[: self._sound], secret)


def _first(links: Sequence[_Link], secret: Secret) -> Token | None:
    for link in links:
        if link.may_know(secret) and (token := link.reader.find(secret)) is not None:
            return token
    return None


def _checked(readers: Sequence[TokenReader]) -> Sequence[TokenReader]:
    given: object = readers
    if not isinstance(given, Sequence) or isinstance(given, str | bytes) or not given:
        raise ConfigurationError("a chain takes a list of readers, one at the least", setting="store")
    for reader in given:
        if isinstance(reader, type | str | bytes) or not isinstance(reader, TokenReader):
            raise ConfigurationError(f"{type(reader).__name__} is no reader of tokens", setting="store")
    return readers


def _agreed(links: Sequence[_Link]) -> tuple[str, bool]:
    """Give a prefix and ``foreign`` that turn away only what every reader would.

    A reader takes no string with its own prefix and a wrong checksum. If it takes other strings, it takes those with
    another's prefix and a wrong checksum. So all that take other strings must have one prefix.
    """
    prefixes = {link.prefix for link in links}
    taking = {link.prefix for link in links if link.foreign}
    if len(taking) > 1:
        hint = f"give all of them the same prefix, or foreign=False; there are {', '.join(sorted(taking))}"
        raise ConfigurationError("readers that look up other strings differ in prefix", setting="prefix", hint=hint)
    if taking:
        return taking.pop(), True
    return links[0].prefix, len(prefixes) > 1


# Any: these methods are no part of the Protocol, and each is known by its name alone.
def _methods(readers: Sequence[TokenReader], name: str) -> list[Callable[..., Any]]:
    return [method for reader in readers if callable(method := getattr(reader, name, None))]
