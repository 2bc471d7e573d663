"""Stores that have a table of their own in the settings file, alone and in a chain."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from issuing import AUDIENCE, ISSUER, ed_key, issued, jwk, key_file

from patmiddleware.backends.chain import ChainReader
from patmiddleware.config import Config, managed_store_of, store_of
from patmiddleware.errors import ConfigurationError
from patmiddleware.interfaces import TokenReader, TokenStore
from patmiddleware.model import Secret

JWT = f'[store.jwt]\nissuer = "{ISSUER}"\naudience = "{AUDIENCE}"\n'
INTROSPECTION = '[store.introspection]\nclient_id = "gate"\nclient_secret = {file = "secret"}\n'


def config(folder: Path, text: str) -> Config:
    """Settings of a store, with its keys and its secret beside them."""
    key_file(folder, jwk(ed_key(), kid="k1"))
    (folder / "secret").write_text("geheim\n", "utf-8")
    (folder / "secret").chmod(0o600)
    file = folder / "patmiddleware.toml"
    file.write_text(f'[app]\nimport = "pid_app:application"\n[store]\n{text}', "utf-8")
    return Config.from_file(file)


def opened(folder: Path, text: str) -> TokenReader:
    made = config(folder, text)
    assert not made.problems()
    return store_of(made)


def test_a_token_without_a_type_can_be_taken(tmp_path: Path) -> None:
    """Some issuers say nothing of it, and a settings file has no other word for nothing."""
    now = time.time()
    token = issued(header={"typ": ...}, iat=now, exp=now + 60)

    readers = [opened(tmp_path, f'url = "jwt:keys.json"\n{JWT}{more}') for more in ("", 'typ = ["JWT", ""]')]

    assert [reader.find(Secret(token)) is None for reader in readers] == [True, False]


def test_a_server_can_be_told_nothing_of_the_token(tmp_path: Path) -> None:
    """Some refuse a hint that they don't know."""
    opened(tmp_path, f'url = "introspection:https://a/i"\n{INTROSPECTION}token_type_hint = ""\n')


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ('url = "jwt:keys.json"\n', "store.jwt.issuer"),
        (f'url = ["memory:", "jwt:keys.json"]\n{JWT}algorithms = ["none"]\n', "store.jwt.algorithms"),
        (f'url = "jwt:keys.json"\n{JWT}scopes = {{api = ["a b"]}}\n', "store.jwt.scopes.api"),
        (f'url = "jwt:keys.json"\n{JWT}deny = "file:/there/is/none/denied.jsonl"\n', "store.jwt.deny"),
        (f'url = "jwt:keys.json"\nevents = "redis://127.0.0.1:1/0"\n{JWT}', "store.events"),
        (f'url = "jwt:none.json"\n{JWT}', "store.url"),
        ('url = "introspection:https://a/i"\n', "store.introspection.client_id"),
        (f'url = "introspection:https://a/i"\n{INTROSPECTION}timeout = "0s"\n', "store.introspection.timeout"),
    ],
)
def test_a_wrong_setting_is_named_as_it_stands_in_the_file(tmp_path: Path, text: str, setting: str) -> None:
    """Whoever reads it looks there."""
    made = config(tmp_path, text)

    with pytest.raises(ConfigurationError) as caught:
        store_of(made)

    assert [problem.setting for problem in caught.value.problems] == [setting]


def test_what_is_denied_may_be_told_at_once(tmp_path: Path) -> None:
    """The events are those of the store that keeps it."""
    reader = opened(
        tmp_path, f'url = "jwt:keys.json"\nevents = "redis://127.0.0.1:1/0"\n{JWT}deny = "sqlite:///denied.db"\n'
    )

    assert getattr(reader, "events", None) is not None


@pytest.mark.parametrize(
    "url",
    [
        '["sqlite:///tokens.db", "memory:", "jwt:keys.json"]',
        '"chain:sqlite:///tokens.db memory: jwt:keys.json"',
        '["sqlite:///tokens.db", "Chain:memory: jwt:keys.json"]',
        '"chain:sqlite:///tokens.db chain:memory: chain:jwt:keys.json"',
    ],
)
def test_a_chain_may_be_written_as_one_address(tmp_path: Path, url: str) -> None:
    """It is the same as a list: in the same order, and tokens are made in its first."""
    made = config(tmp_path, f"url = {url}\n{JWT}")

    store = store_of(made)

    assert isinstance(store, ChainReader)
    assert [type(reader).__name__ for reader in store.readers] == ["SQLStore", "MemoryStore", "JWTReader"]
    assert isinstance(managed_store_of(made), TokenStore)


def test_a_chain_of_nothing_is_refused(tmp_path: Path) -> None:
    """There is nothing to ask."""
    with pytest.raises(ConfigurationError, match="one at the least"):
        store_of(config(tmp_path, 'url = "chain:"\n'))
