"""``patmiddleware check``: judge everything before it serves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from shlex import quote
from typing import TYPE_CHECKING

import click

from ..config import Config, Parts, StoreSettings, VaultSettings, lacks_tables, open_parts, vault_of
from ..config.values import PRESET_ELSEWHERE, VAULT
from ..errors import BackendError, BackendUnavailable, ConfigurationError, Problem
from ..events import open_events
from ..interfaces import Checkable, TokenStore
from ..model import Secret
from . import terminal
from .invocation import Invocation, common, pass_invocation, store_file

if TYPE_CHECKING:
    from ..vault import SealedVault
    from .upstreamcheck import Judged

BAD = "see below"
NOBODY, NOTHING = "patmiddleware-check", Secret("patmiddleware-check")


@click.command()
@common
@pass_invocation
def check(invocation: Invocation) -> None:
    """Judge the settings, the store, the directory, the policy, the application or upstreams, and the server.

    Nothing is changed; a store that is missing is not made. Upstreams are asked with the credential that they are for:
    a wrong password makes one login fail, never more.
    """
    config = Config.from_file(invocation.path)
    if not config.read_well():
        raise ConfigurationError(config.problems())
    missing = _missing_store(config)
    judged = replace(config, store=_without_first(config.store)) if missing else config
    judged = replace(judged, vault=_unmade(config))
    parts = open_parts(judged)
    faults = {part: list(_faults(parts, id, part, ask)) for id, part, ask in _ASKED}
    faults["vault"] = list(_vault_faults(judged))
    faults["store"] += [*(_place_faults(config) if missing else ()), *_event_faults(config)]
    upstreams = _upstreams(config, parts)
    faults |= {name: list(judged.problems) for name, judged in upstreams.items()}
    problems = list(dict.fromkeys((*parts.problems, *chain.from_iterable(faults.values()))))
    facts = dict(_facts(config, parts, missing, upstreams)) | {part: BAD for part, found in faults.items() if found}
    cautions = [str(caution) for caution in (*config.cautions(), *_misplaced(config, parts))]
    if not invocation.json:
        terminal.table(("CHECKED", "RESULT"), facts.items())
        for caution in cautions:
            terminal.note(f"Warning: {caution}")
    if problems:
        raise ConfigurationError(problems)
    if invocation.json:
        terminal.write_json({"checked": facts, "warnings": cautions})


def _unmade(config: Config) -> VaultSettings | None:
    """Give the settings of the vault; where opening it would make one in a database, of one that is made when used."""
    if config.vault is None or config.vault.url.lower().startswith("file:"):
        return config.vault
    its_own = replace(config, store=StoreSettings(url=(config.vault.url,)))
    return replace(config.vault, url="file:vault-to-come.jsonl") if _missing_store(its_own) else config.vault


def _vault_faults(config: Config) -> Iterator[Problem]:
    """Open every credential: with a key that was made anew nobody can be anybody at the upstream."""
    try:
        vault = vault_of(config) if config.read_well("vault") else None
    except (BackendError, ConfigurationError):
        return  # opening it says the same, and is told
    if vault is None:
        return
    try:
        lost = list(_lost(vault))
    except BackendError as error:
        yield Problem(VAULT, "vault.url", str(error))
        return
    finally:
        vault.close()
    if lost:
        more = f", and {len(lost) - 1} more can't be opened" if len(lost) > 1 else ""
        yield Problem(VAULT, "vault.keys", f"{lost[0]}{more}", "add the key that sealed it, or connect the owner anew")


def _lost(vault: SealedVault) -> Iterator[str]:
    """Say of each credential that can't be opened, why."""
    for row in vault.list():
        try:
            vault.keyring.open(row)
        except BackendUnavailable as error:
            yield str(error)


def _missing_store(config: Config) -> bool:
    if not config.read_well("store"):
        return False
    file = store_file(config)
    try:
        return lacks_tables(config) if file is None else not file.exists()
    except (BackendError, ConfigurationError):
        return False  # opening it says the same, and is told


def _place_faults(config: Config) -> Iterator[Problem]:
    """Give what keeps a missing store from being made."""
    file = store_file(config)
    if file is None:
        return
    folder = file.parent
    if not folder.is_dir():
        yield Problem("PAT-E111", "store.url", f"there is no folder {folder}", f"run: mkdir -p {quote(str(folder))}")
    elif not os.access(folder, os.W_OK):
        yield Problem("PAT-E111", "store.url", f"{folder} can't be written to", "let the user who serves write there")


def _event_faults(config: Config) -> Iterator[Problem]:
    """Ask what carries events, also where there is no store yet."""
    if config.store.events is None or not config.read_well("store"):
        return
    try:
        events = open_events(config.store.events)
        if isinstance(events, Checkable):
            events.check()
    except ConfigurationError as error:
        yield from error.problems


def _without_first(store: StoreSettings) -> StoreSettings:
    """Give settings that make no file: a missing store is nothing to judge, but what is behind it in a chain is."""
    if len(store.url) == 1:
        return StoreSettings(url=("memory:",))
    jwt = {name: value for name, value in store.jwt.items() if name != "deny"}
    return replace(store, url=("memory:", *store.url[1:]), events=None, jwt=jwt)


def _faults(parts: Parts, id: str, part: str, ask: Callable[[Parts], None]) -> Iterator[Problem]:
    """Ask the store or the directory something: that it could be opened need not mean that it answers."""
    try:
        ask(parts)
    except BackendError as error:
        yield Problem(id, f"{part}.url", str(error))
    except ConfigurationError as error:
        yield from error.problems


def _ask_store(parts: Parts) -> None:
    if parts.store is None:
        return
    parts.store.find(NOTHING)
    # One that keeps its tokens itself reads them all for its check: that is for 'patmiddleware store check'.
    if not isinstance(parts.store, TokenStore) and isinstance(parts.store, Checkable):
        parts.store.check()


def _ask_directory(parts: Parts) -> None:
    if parts.directory is None:
        return
    if isinstance(parts.directory, Checkable):
        parts.directory.check()
    parts.directory.find(NOBODY)


_ASKED = (("PAT-E111", "store", _ask_store), ("PAT-E112", "directory", _ask_directory))


def _upstreams(config: Config, parts: Parts) -> Mapping[str, Judged]:
    """Ask the upstreams, where they could be opened: what keeps them from that is told already."""
    if not config.app.upstreams or parts.application is None:
        return {}
    from ..forwarder import Mounts  # here, since they need packages of an extra
    from .upstreamcheck import judge_upstreams

    if not isinstance(parts.application, Mounts):
        return {}
    try:
        return judge_upstreams(config.app.upstreams, parts.application)
    finally:
        parts.application.close()


def _misplaced(config: Config, parts: Parts) -> Iterator[Problem]:
    """Warn of presets below whose mount there is no upstream: their rules would be about nothing."""
    if parts.policy is None or not config.app.upstreams or parts.application is None:
        return
    places = {settings.mount.rstrip("/") for settings in config.app.upstreams}
    there = ", ".join(repr(place or "/") for place in sorted(places))
    for mount in dict.fromkeys(parts.policy.mounts):
        if mount not in places:
            message = (
                f"a preset is mounted at {mount or '/'!r}, but upstreams at {there}: its rules match nothing there"
            )
            yield Problem(PRESET_ELSEWHERE, "policy", message, "give the preset the mount of its upstream")


def _facts(config: Config, parts: Parts, missing: bool, upstreams: Mapping[str, Judged]) -> Iterator[tuple[str, str]]:
    kind = ", ".join(address.partition(":")[0] for address in config.store.url)
    host, port = config.server.listen
    yield "settings", str(config.path)
    yield (
        "store",
        f"{kind}: not there yet, made when first used" if missing else BAD if parts.store is None else f"{kind}: open",
    )
    yield "directory", "open" if parts.directory else _absent(config, "directory")
    yield "policy", f"{len(parts.policy.rules)} rules" if parts.policy else _absent(config, "policy")
    if not config.app.upstreams:
        yield "application", BAD if parts.application is None else config.app.import_
    elif parts.application is None:
        yield "upstream", BAD
    else:
        yield from ((name, judged.fact) for name, judged in upstreams.items())
        yield (
            "past the gate",
            "not tested: Basic must be off at the upstream, and API clients reach it only through here",
        )
    yield "audit", "none" if not config.audit else str(config.audit.to or "standard output") if parts.audit else BAD
    yield "server", f"{host}:{port}, {config.server.threads} threads"


def _absent(config: Config, table: str) -> str:
    """Say why a part is not open: it is wrong, also where its table could not be read, or there is none."""
    return "none" if getattr(config, table) is None and config.read_well(table) else BAD
