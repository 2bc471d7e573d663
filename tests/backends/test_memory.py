"""Tokens and owners in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from patmiddleware.backends.memory import MemoryStore, StaticDirectory
from patmiddleware.changes import here
from patmiddleware.errors import ConfigurationError, ConflictError
from patmiddleware.interfaces import TokenStore
from patmiddleware.model import Digest, Owner, Secret
from patmiddleware.testing import DirectoryContract, TokenStoreContract, sample_token
from patmiddleware.tokens import digests, mint_secret

OLD, NEW = b"an old pepper, 16+", b"a new pepper, 16+"


class TestMemoryStore(TokenStoreContract):
    """The contract, without a pepper."""

    def make_store(self) -> MemoryStore:
        return MemoryStore()

    def make_second(self, store: TokenStore) -> TokenStore:
        return store  # no other process can see into it


class TestMemoryStoreWithPeppers(TestMemoryStore):
    """The contract, with two peppers."""

    def make_store(self) -> MemoryStore:
        return MemoryStore(peppers=(NEW, OLD))


class TestStaticDirectory(DirectoryContract):
    """The contract."""

    def make_directory(self, owners: Sequence[Owner]) -> StaticDirectory:
        return StaticDirectory(owners)


def test_store_shows_its_settings() -> None:
    """Prefix, peppers and foreign are there for the request side to read."""
    store = MemoryStore(prefix="acme", peppers=[NEW.decode()], foreign=False)

    assert (store.prefix, store.peppers, store.foreign) == ("acme", (NEW,), False)


@pytest.mark.parametrize("form", [1, 2], ids=["older pepper", "no pepper"])
def test_a_secret_kept_under_an_older_pepper_is_taken(form: int) -> None:
    """One secret never stands for two tokens, however it is kept."""
    secret, store = mint_secret(), MemoryStore(peppers=[NEW, OLD])
    kept = digests(Secret(secret), (NEW, OLD))[form]
    # Without its kind, or the plain one would be keyed on the way.
    store.add(sample_token("old"), Digest("kept", kept.key_id, kept.value))

    with pytest.raises(ConflictError):
        store.add(sample_token("new"), secret)


def test_a_change_is_announced() -> None:
    """Caches in this process hear of every change, and of no use."""
    store, before = MemoryStore(), here.count

    store.add(sample_token(), mint_secret())

    assert here.count > before


def test_old_pepper_still_finds() -> None:
    """After a new pepper was put first, what was kept under the old one is found."""
    secret, before = mint_secret(), MemoryStore(peppers=[OLD])
    before.add(sample_token(), secret)
    after = MemoryStore(peppers=[NEW, OLD])

    for token, digest in before.records():
        after.add(token, digest)

    assert after.find(Secret(secret)) == sample_token()


@pytest.mark.parametrize(
    "owners",
    [
        pytest.param([Owner(name="alice"), Owner(name="alice")], id="twice"),
        pytest.param({"alice": Owner(name="bob")}, id="key is another name"),
    ],
)
def test_contradictory_owners_are_refused(owners: Sequence[Owner]) -> None:
    """Nobody stands twice, or under another's name."""
    with pytest.raises(ConfigurationError, match="owner"):
        StaticDirectory(owners)


def test_owners_may_be_a_mapping() -> None:
    """A mapping of names to owners is taken as well."""
    assert StaticDirectory({"alice": Owner(name="alice")}).find("alice") == Owner(name="alice")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: there is no fork")
def test_a_process_may_fork_while_its_threads_look_tokens_up() -> None:
    """A child answers, whatever a thread of its parent was at when it was forked."""
    program = """
import os, signal, sys, threading
from patmiddleware import Secret, Token
from patmiddleware.backends.memory import MemoryStore

class Slow(dict):
    def get(self, key):
        inside.set()
        go_on.wait(0.2)
        return super().get(key)

inside, go_on = threading.Event(), threading.Event()
store = MemoryStore()
store.add(Token("t", "alice"), "a secret")
store._secrets = Slow(store._secrets)
threading.Thread(target=store.find, args=[Secret("a secret")]).start()
inside.wait()
pid = os.fork()
if not pid:
    signal.alarm(10)
    go_on.set()
    os._exit(store.find(Secret("a secret")) is None)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""

    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
