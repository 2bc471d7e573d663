"""Where tokens are kept and who people are, by address.

An instance is always accepted; an address is a convenience on top. The tables below are written by hand: installing a
package never changes who gets in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from inspect import signature
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypeVar, overload

from patmiddleware.errors import ConfigurationError
from patmiddleware.events import open_events
from patmiddleware.interfaces import Directory, Events, TokenReader, TokenStore
from patmiddleware.tokens import DEFAULT_PREFIX

from .schemes import choose, path_in, rest, table

# Any: each backend has settings of its own, which its constructor judges.
Settings: TypeAlias = Mapping[str, Any]
NO_SETTINGS: Settings = MappingProxyType({})


class Tokens(NamedTuple):
    """What every store is told of the tokens in it."""

    prefix: str
    peppers: Iterable[str | bytes]
    foreign: bool


StoreLoader: TypeAlias = Callable[[str, Tokens, Settings], TokenReader]
DirectoryLoader: TypeAlias = Callable[[str, Settings], Directory]
_Reader = TypeVar("_Reader", bound=TokenReader)
_Directory = TypeVar("_Directory", bound=Directory)


@overload
def open_store(
    address: str,
    *,
    prefix: str = ...,
    peppers: Iterable[str | bytes] = ...,
    foreign: bool = ...,
    events: Events | str | None = ...,
    settings: Settings = ...,
) -> TokenStore: ...
@overload
def open_store(
    address: _Reader,
    *,
    prefix: str = ...,
    peppers: Iterable[str | bytes] = ...,
    foreign: bool = ...,
    events: Events | str | None = ...,
    settings: Settings = ...,
) -> _Reader: ...
def open_store(
    address: str | TokenReader,
    *,
    prefix: str = DEFAULT_PREFIX,
    peppers: Iterable[str | bytes] = (),
    foreign: bool = True,
    events: Events | str | None = None,
    settings: Settings = NO_SETTINGS,
) -> TokenReader:
    """Open the store at an address; a store in hand is given back as it is.

    Args:
        address: ``memory:``, ``file:PATH``, ``sqlite:///PATH``, ``postgresql://…``, ``mysql://…``, ``jwt:…``,
            ``introspection:https://…``, ``chain:`` with several of them, or a store. What only reads (the last three)
            is a :class:`~patmiddleware.interfaces.TokenReader`, whatever a type checker is told here.
        prefix: of our own token format.
        peppers: keys of at least 16 bytes, newest first.
        foreign: whether strings of other formats are looked up as well.
        events: what carries changes to other processes and hosts at once: ``redis://HOST:6379/0``, or an object; in the
            place of what the store has itself. A store in hand shows its own.
        settings: what else this kind of store takes, by the names of its constructor.

    Raises:
        ConfigurationError: when there is no such store, or it may not be opened so.
        BackendUnavailable: when it can't be reached.
    """
    if not isinstance(address, str):
        _refuse_others(address, TokenReader, "store")
        return address
    carrier = None if events is None else open_events(events)
    store = choose(address, STORES, "store")(address, Tokens(prefix, peppers, foreign), settings)
    if carrier is not None:
        _let_carry(store, carrier)
    return store


def _let_carry(store: TokenReader, events: Events) -> None:
    for reader in getattr(store, "readers", (store,)):  # of a chain: the first that is a store
        if isinstance(reader, TokenStore) and hasattr(reader, "events"):
            reader.events = events
            return
    kind = type(store).__name__
    raise ConfigurationError(f"{kind} has no changes of its own to tell", setting="store.events", hint="leave it out")


@overload
def open_directory(address: str, *, settings: Settings = ...) -> Directory: ...
@overload
def open_directory(address: _Directory, *, settings: Settings = ...) -> _Directory: ...
def open_directory(address: str | Directory, *, settings: Settings = NO_SETTINGS) -> Directory:
    """Open the directory at an address; a directory in hand is given back as it is.

    Args:
        address: ``static:PATH``, a TOML file of owners; ``htpasswd:PATH``; ``ldap://HOST/BASE`` or ``ldaps://HOST/BASE``;
            or a directory.
        settings: what else this kind of directory takes, by the names of its constructor: for all of them ``scopes``,
            from groups to the scopes that they give.

    Raises:
        ConfigurationError: when there is no such directory, or it may not be opened so.
        BackendUnavailable: when it can't be reached.
    """
    if isinstance(address, str):
        return choose(address, DIRECTORIES, "directory")(address, settings)
    _refuse_others(address, Directory, "directory")
    return address


def _refuse_others(given: object, protocol: type, what: str) -> None:
    # A class, bytes and many other things have a method `find`, too.
    if isinstance(given, type | bytes | bytearray) or not isinstance(given, protocol):
        kind = given.__name__ if isinstance(given, type) else type(given).__name__
        raise ConfigurationError(f"{kind} is neither a {what} nor the address of one", setting=what)


def _known(settings: Settings, what: str, kind: Callable[..., object], *apart: str) -> Settings:
    """Give the settings back, if the constructor takes them, and none that it needs is missing.

    Args:
        settings: by name.
        what: ``store`` or ``directory``, for messages.
        kind: whose keywords they are.
        apart: keywords of it that are no settings.

    Raises:
        ConfigurationError: for the first that is missing, or that it does not take, with the nearest one.
    """
    if not isinstance(settings, Mapping):
        raise ConfigurationError("takes settings by their names", setting=what)
    parameters = tuple(signature(kind).parameters.values())
    names = {one.name for one in parameters if one.kind is one.KEYWORD_ONLY} - {*apart}
    missing = [one.name for one in parameters if one.name in names and one.default is one.empty]
    for name in missing:
        if name not in settings:
            raise ConfigurationError("is missing", setting=f"{what}.{name}", hint="this kind can't do without it")
    for name in settings.keys() - names:
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(sorted(names)) or 'none'}"
        raise ConfigurationError("this kind has no such setting", setting=f"{what}.{name}", hint=hint)
    return settings


def _memory_store(address: str, tokens: Tokens, settings: Settings) -> TokenStore:
    from .memory import MemoryStore

    if rest(address):
        raise ConfigurationError("memory: takes nothing after the colon", setting="store")
    return MemoryStore(**tokens._asdict(), **_known(settings, "store", MemoryStore, *Tokens._fields))


def _file_store(address: str, tokens: Tokens, settings: Settings) -> TokenStore:
    from .file import FileStore

    path = path_in(address, "store", "write file:tokens.jsonl, or file:///var/lib/patmiddleware/tokens.jsonl")
    return FileStore(path, **tokens._asdict(), **_known(settings, "store", FileStore, *Tokens._fields))


def _sql_store(address: str, tokens: Tokens, settings: Settings) -> TokenStore:
    from .sql import SQLStore

    return SQLStore(address, **tokens._asdict(), **_known(settings, "store", SQLStore, *Tokens._fields))


def _jwt_reader(address: str, tokens: Tokens, settings: Settings) -> TokenReader:
    from .jwt import JWTReader

    given = dict(_known(settings, "store", JWTReader, "prefix", "clock"))
    if isinstance(given.get("deny"), str):
        # The same tokens of ours may be there, so under the same peppers.
        given["deny"] = open_store(given["deny"], prefix=tokens.prefix, peppers=tokens.peppers)
    return JWTReader(address, prefix=tokens.prefix, **given)


def _introspection_reader(address: str, tokens: Tokens, settings: Settings) -> TokenReader:
    from .introspection import IntrospectionReader

    given = _known(settings, "store", IntrospectionReader, "prefix", "clock")
    return IntrospectionReader(address, prefix=tokens.prefix, **given)


def _chain(address: str, tokens: Tokens, settings: Settings) -> TokenReader:
    """Open what stands behind ``chain:``, with blanks between.

    Args:
        address: of the chain.
        tokens: for each of its stores.
        settings: by the kind of store that they are for, as in ``{"jwt": {…}}``.
    """
    from .chain import ChainReader

    addresses = rest(address).split()
    kinds = {one.partition(":")[0].partition("+")[0].lower() for one in addresses}
    if unknown := settings.keys() - kinds:
        message = "no store of this kind is in the chain"
        raise ConfigurationError(message, setting=f"store.{min(unknown)}", hint=f"there are {', '.join(sorted(kinds))}")
    opened = []
    for one in addresses:
        kind = one.partition(":")[0].partition("+")[0].lower()
        opened.append(open_store(one, **tokens._asdict(), settings=settings.get(kind, NO_SETTINGS)))
    return ChainReader(opened)


def _static_directory(address: str, settings: Settings) -> Directory:
    from .memory import StaticDirectory

    path = path_in(address, "directory", "write static:owners.toml")
    return StaticDirectory.from_file(path, **_known(settings, "directory", StaticDirectory.from_file))


def _htpasswd_directory(address: str, settings: Settings) -> Directory:
    from .htpasswd import HtpasswdDirectory

    path = path_in(address, "directory", "write htpasswd:/etc/apache2/htpasswd")
    return HtpasswdDirectory(path, **_known(settings, "directory", HtpasswdDirectory, "monotonic"))


def _ldap_directory(address: str, settings: Settings) -> Directory:
    from .ldap import LDAPDirectory

    return LDAPDirectory(address, **_known(settings, "directory", LDAPDirectory, "clock"))


STORES: Mapping[str, StoreLoader] = table(
    ("memory", _memory_store),
    ("file", _file_store),
    ("sqlite", _sql_store),
    ("postgresql", _sql_store),
    ("mysql", _sql_store),
    ("jwt", _jwt_reader),
    ("introspection", _introspection_reader),
    ("chain", _chain),
)
"""Scheme of a store's address to what opens it."""

DIRECTORIES: Mapping[str, DirectoryLoader] = table(
    ("static", _static_directory),
    ("ldap", _ldap_directory),
    ("ldaps", _ldap_directory),
    ("htpasswd", _htpasswd_directory),
)
"""Scheme of a directory's address to what opens it."""
