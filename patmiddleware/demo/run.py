"""Set a demo up in a folder: settings, policy, owners, a store with three tokens, and what to try with them."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ..config import Config, policy_of, store_of
from ..errors import RefusedError
from ..interfaces import TokenStore
from ..issuer import Issuer
from ..model import Minted

OWNER, OTHER = "alice", "bob"
ISSUE, ISSUES = "/rest/api/2/issue/DEMO-1", "/rest/api/2/issue"
NEW_ISSUE = {"fields": {"project": {"key": "DEMO"}, "issuetype": {"name": "Task"}, "summary": "Made with a token"}}
DAY = 86_400

MARK = "# Made by 'patmiddleware demo'."
SETTINGS = """\
{mark} Change what you like, then: patmiddleware serve --config patmiddleware.toml

[store]
url = "sqlite:///tokens.db"

[directory]
url = "static:owners.toml"

[policy]
file = "policy.toml"

[issuer]
default_lifetime = "90d"
maximum_lifetime = "365d"

[audit]
to = "file:audit.jsonl"

[app]
import = "patmiddleware.demo.jira:application"

[server]
listen = {listen}
"""
POLICY = """\
# Who may do what. The preset knows every operation of Jira's REST API: READ < WRITE < ADMIN < SYSTEM_ADMIN.
# Rules of your own go above it; see 'patmiddleware policy explain --help'.

[[preset]]
name = "jira"
"""
OWNERS = """\
[owners.alice]
display_name = "Alice Example"
mail = "alice@example.org"
groups = ["developers"]

[owners.bob]
display_name = "Bob Example"
mail = "bob@example.org"
groups = ["developers"]
"""


@dataclass(frozen=True, slots=True)
class Example:
    """A request to try.

    Args:
        about: what it shows.
        command: the line to copy.
        status: what it is answered with.
    """

    about: str
    command: str
    status: int


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that is set up.

    Args:
        config: its settings.
        read: a token that may read.
        write: a token that may read and write.
        expired: a token whose time is over.
    """

    config: Config
    read: Minted
    write: Minted
    expired: Minted

    @property
    def tokens(self) -> dict[str, Minted]:
        """The three tokens, by what they are there for."""
        return {"read": self.read, "write": self.write, "expired": self.expired}

    def examples(self, url: str) -> tuple[Example, ...]:
        """Give what to try, in order, against the server at an address."""
        read, write, expired = (minted.secret for minted in self.tokens.values())
        issue, issues = url + ISSUE, url + ISSUES
        return (
            Example("Admitted: the read token reads an issue", _curl(*_bearer(read), issue), 200),
            Example("Refused: it may not write, and hears what it takes", _curl(*_bearer(read), *_BODY, issues), 403),
            Example("Admitted: the write token may", _curl(*_bearer(write), *_BODY, issues), 201),
            Example("Basic: the token in place of the password", _curl("-u", f"{OWNER}:{read}", issue), 200),
            Example("Refused: the token is not bob's", _curl("-u", f"{OTHER}:{read}", issue), 401),
            Example("Refused: the token has expired", _curl(*_bearer(expired), issue), 401),
        )

    def revoke(self) -> tuple[str, ...]:
        """Give the command that revokes the read token, as words."""
        return (*own_command(), "token", "revoke", self.read.token.id, "--config", str(self.config.path))


def set_up(folder: Path, host: str, port: int) -> Demo:
    """Make a demo in a folder; one that is there already is kept, and gets new tokens.

    Args:
        folder: made if it is missing.
        host: what ``patmiddleware serve`` shall listen at, with these settings.
        port: as ``host``; 0 is taken for 8080.

    Raises:
        RefusedError: when the folder has a settings file that is not a demo's.
        ConfigurationError: when what is there can't be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.absolute() / "patmiddleware.toml"
    if path.exists():
        if MARK not in path.read_text("utf-8", "replace"):
            raise RefusedError(f"{path} is there already, and is not a demo's: choose another folder with --dir")
    else:
        listen = json.dumps(f"[{host}]:{port or 8080}" if ":" in host else f"{host}:{port or 8080}")
        path.write_text(SETTINGS.format(mark=MARK, listen=listen), "utf-8")
        path.with_name("policy.toml").write_text(POLICY, "utf-8")
        path.with_name("owners.toml").write_text(OWNERS, "utf-8")
    return _with_tokens(Config.from_file(path))


def _with_tokens(config: Config) -> Demo:
    store, policy = store_of(config), policy_of(config)
    if not isinstance(store, TokenStore):
        raise RefusedError(f"the store of {config.path} can only be read: choose another folder with --dir")
    now = Issuer(store, limits=config.issuer, policy=policy)
    yesterday = Issuer(store, policy=policy, clock=lambda: time.time() - 2 * DAY)
    return Demo(
        config,
        read=now.mint(owner=OWNER, name="read only", scopes={"READ"}),
        write=now.mint(owner=OWNER, name="read and write", scopes={"WRITE"}),
        expired=yesterday.mint(owner=OWNER, name="expired", scopes={"READ"}, lifetime=timedelta(days=1)),
    )


def own_command() -> tuple[str, ...]:
    """Give the words that run this very installation's ``patmiddleware`` from any folder."""
    beside = Path(sys.executable).with_name("patmiddleware")
    on_path = shutil.which("patmiddleware")
    if on_path and Path(on_path) == beside:
        return ("patmiddleware",)
    return (str(beside),) if beside.exists() else (sys.executable, "-m", "patmiddleware")


_BODY: Sequence[str] = ("-H", "Content-Type: application/json", "-d", json.dumps(NEW_ISSUE, separators=(",", ":")))


def _bearer(secret: str) -> tuple[str, str]:
    return "-H", f"Authorization: Bearer {secret}"


def _curl(*words: str) -> str:
    return shlex.join(("curl", "-i", *words))
