"""Set a demo up in a folder: settings, policy, owners, a key, a store with three tokens, and what to try with them."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from ..config import Config, policy_of, store_of
from ..errors import ConfigurationError, RefusedError
from ..interfaces import TokenStore
from ..issuer import Issuer
from ..model import Minted
from .link import CONSUMER, CONTEXT, make_key

OWNER, OTHER = "alice", "bob"
ISSUE, ISSUES = "/rest/api/2/issue/DEMO-1", "/rest/api/2/issue"
FILE, SESSION = "/secure/attachment/10014/berths.csv", "/rest/auth/1/session"
NEW_ISSUE = {"fields": {"project": {"key": "DEMO"}, "issuetype": {"name": "Task"}, "summary": "Made with a token"}}
DAY = 86_400

MARK = "# Made by 'patmiddleware demo'."
SETTINGS = """\
{mark} Change what you like, then: patmiddleware serve --config patmiddleware.toml

[middleware]
accept = ["bearer", "basic", "session"]

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

# A small stand-in for Jira. To run it without the demo's gate: patmiddleware demo --only-jira --dir .
# Requests go there signed with the key, and each for the owner of its token.
[app]
upstream = "http://127.0.0.1:{jira}{context}"
public_url = {url}
auth = {{kind = "oauth1", consumer_key = "{consumer}", private_key = {{file = "gate.pem"}}, impersonate = true}}

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

    @property
    def jira(self) -> str:
        """The address of the stand-in, where the gate sends what it admits."""
        return self.config.app.upstreams[0].upstream

    def served_at(self, url: str) -> Config:
        """Give the settings for a server at an address: links in answers lead there."""
        upstream = replace(self.config.app.upstreams[0], public_url=url)
        return replace(self.config, app=replace(self.config.app, upstreams=(upstream,)))

    def examples(self, url: str) -> tuple[Example, ...]:
        """Give what to try, in order, against the server at an address."""
        read, write, expired = (minted.secret for minted in self.tokens.values())
        issue, issues, jar = url + ISSUE, url + ISSUES, str(self.config.path.with_name("cookies.txt"))
        login = ("-c", jar, *_body({"username": OWNER, "password": read}))
        return (
            Example("Admitted: the read token reads an issue", _curl(*_bearer(read), issue), 200),
            Example("Refused: it may not write, and hears what it takes", _curl(*_bearer(read), *_NEW, issues), 403),
            Example("Admitted: the write token may", _curl(*_bearer(write), *_NEW, issues), 201),
            Example("Basic: the token in place of the password", _curl("-u", f"{OWNER}:{read}", issue), 200),
            Example("Refused: the token is not bob's", _curl("-u", f"{OTHER}:{read}", issue), 401),
            Example("Refused: the token has expired", _curl(*_bearer(expired), issue), 401),
            Example("A file, where the 'content' link of DEMO-6 leads", _curl(*_bearer(read), url + FILE), 200),
            Example("Cookie: log in with the token as the password", _curl(*login, url + SESSION), 200),
            Example("Cookie: the session reads what the token may", _curl("-b", jar, issue), 200),
            Example("Past the gate: Jira knows no such token", _curl(*_bearer(read), self.jira + ISSUE), 401),
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
    path = folder.absolute() / "patmiddleware.toml"
    if path.exists():
        return _with_tokens(found(folder))
    folder.mkdir(0o700, parents=True, exist_ok=True)  # curl keeps a cookie there
    make_key(path.with_name("gate.pem"))
    listen = f"[{host}]:{port or 8080}" if ":" in host else f"{host}:{port or 8080}"
    given = {"listen": json.dumps(listen), "url": json.dumps(f"http://{listen}")}
    text = SETTINGS.format(mark=MARK, jira=_free_port(), context=CONTEXT, consumer=CONSUMER, **given)
    path.with_name("policy.toml").write_text(POLICY, "utf-8")
    path.with_name("owners.toml").write_text(OWNERS, "utf-8")
    path.write_text(text, "utf-8")
    return _with_tokens(found(folder))


def found(folder: Path) -> Config:
    """Give the settings of the demo in a folder.

    Raises:
        RefusedError: when there are none, or they are not a demo's.
        ConfigurationError: with all that is wrong with them.
    """
    path = folder.absolute() / "patmiddleware.toml"
    if not path.exists():
        raise RefusedError(f"there is no demo in {folder}: make one with 'patmiddleware demo --dir {folder}'")
    if MARK not in path.read_text("utf-8", "replace"):
        raise RefusedError(f"{path} is there already, and is not a demo's: choose another folder with --dir")
    config = Config.from_file(path)
    if problems := config.problems():
        raise ConfigurationError(problems)
    return config


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as asked:
        port: int = asked.getsockname()[1]
        return port


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


def _body(value: object) -> Sequence[str]:
    return "-H", "Content-Type: application/json", "-d", json.dumps(value, separators=(",", ":"))


_NEW = _body(NEW_ISSUE)


def _bearer(secret: str) -> tuple[str, str]:
    return "-H", f"Authorization: Bearer {secret}"


def _curl(*words: str) -> str:
    return shlex.join(("curl", "-i", *words))
