"""The settings file is read, judged whole and made into the application."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webtest import TestApp

from patmiddleware.audit import AuditLog
from patmiddleware.backends.file import FileStore
from patmiddleware.backends.htpasswd import HtpasswdDirectory
from patmiddleware.backends.memory import StaticDirectory
from patmiddleware.config import (
    PROBLEMS,
    Config,
    build,
    from_config,
    is_loopback,
    located,
    open_parts,
    store_of,
    vault_of,
)
from patmiddleware.config.backends import DIRECTORY, INTROSPECTION, JWT, StoreSettings
from patmiddleware.config.tables import (
    TABLES,
    AuditSettings,
    MiddlewareSettings,
    PolicySettings,
    ServerSettings,
    VaultSettings,
)
from patmiddleware.config.upstreams import AUTH, NEEDED, UPSTREAM, AppSettings, UpstreamSettings
from patmiddleware.config.values import parse_duration
from patmiddleware.errors import ConfigurationError
from patmiddleware.interfaces import TokenStore
from patmiddleware.issuer import Issuer, IssuerLimits
from patmiddleware.middleware import PATMiddleware
from patmiddleware.model import CacheSettings, UpstreamCredential
from patmiddleware.passwords import PasswordSettings
from patmiddleware.policy import Policy
from patmiddleware.session import SessionSettings

EXAMPLES = Path(__file__).parent.parent / "examples"
STORE = '[store]\nurl = "memory:"\n'
PEPPER = "0123456789abcdef0123456789abcdef"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give what writes a settings file."""

    def write(text: str, name: str = "patmiddleware.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


def read(text: str, **environ: str) -> Config:
    return Config.from_dict(tomllib.loads(text), Path("/nowhere/patmiddleware.toml"), environ)


def told(config: Config) -> list[tuple[str, str, str, str]]:
    return [(each.id, each.setting, each.message, each.hint) for each in config.problems()]


WRONG: dict[str, tuple[str, list[tuple[str, str, str, str]]]] = {
    "no store": ("", [("PAT-E107", "store.url", "is missing", 'write [store] url = "sqlite:///tokens.db"')]),
    "unknown table": (
        STORE + "[midleware]\n",
        [("PAT-E103", "midleware", "there is no such table", "did you mean 'middleware'?")],
    ),
    "unknown array of tables": (
        STORE + "[[stores]]\n",
        [("PAT-E103", "stores", "there is no such table", "did you mean 'store'?")],
    ),
    "setting outside of a table": (
        'relm = "x"\n' + STORE,
        [
            (
                "PAT-E103",
                "relm",
                "there is no such setting",
                "there are: app, audit, directory, issuer, middleware, "
                "passwords, policy, server, session, store, vault",
            )
        ],
    ),
    "unknown setting": (
        STORE + "[middleware]\nrelm = 'x'",
        [("PAT-E103", "middleware.relm", "there is no such setting", "did you mean 'realm'?")],
    ),
    "unknown setting deep down": (
        STORE + "[middleware.cache]\ntoken = 3",
        [("PAT-E103", "middleware.cache.token", "there is no such setting", "did you mean 'tokens'?")],
    ),
    "table that is none": ("store = 3", [("PAT-E104", "store", "must be a table, not 3", "")]),
    "text for a number": (
        STORE + "[server]\nthreads = '8'",
        [("PAT-E104", "server.threads", "must be a whole number, not '8'", "")],
    ),
    "truth for a number": (
        STORE + "[server]\nthreads = true",
        [("PAT-E104", "server.threads", "must be a whole number, not true", "")],
    ),
    "number for truth": (
        STORE + "[middleware]\nkeep_credential = 1",
        [("PAT-E104", "middleware.keep_credential", "must be true or false, not 1", "")],
    ),
    "text for a list": (
        STORE + "[middleware]\naccept = 'bearer'",
        [("PAT-E104", "middleware.accept", "must be a list, not 'bearer'", "write ['bearer']")],
    ),
    "empty list": (
        STORE + "[middleware]\naccept = []",
        [("PAT-E105", "middleware.accept", "needs at least 1 item", "")],
    ),
    "two bad items of a list": (
        STORE + "[middleware]\naccept = ['bearer', 3, '']",
        [
            ("PAT-E104", "middleware.accept[1]", "must be text, not 3", ""),
            (
                "PAT-E105",
                "middleware.accept[2]",
                "must not be empty",
                "leave the setting out, or say something",
            ),
        ],
    ),
    "control character": (
        STORE + '[middleware]\nrealm = "a\\u001bb"',
        [("PAT-E105", "middleware.realm", "has a character that can't be printed: 'a\\x1bb'", "")],
    ),
    "no such choice": (
        STORE + "[middleware]\nmissing = 'annotat'",
        [("PAT-E105", "middleware.missing", "can't be 'annotat'", "did you mean 'annotate'?")],
    ),
    "choice of another kind": (
        STORE + "[middleware]\nmissing = 3",
        [("PAT-E104", "middleware.missing", "must be one of reject, annotate, not 3", "")],
    ),
    "out of range": (
        STORE + "[server]\nthreads = 0",
        [("PAT-E105", "server.threads", "must be from 1 to 1024, not 0", "")],
    ),
    "no duration": (
        STORE + "[middleware.cache]\nlifetime = '5 years'",
        [
            (
                "PAT-E105",
                "middleware.cache.lifetime",
                "'5 years' is no duration",
                'write "90s", "30m", "12h", "365d" or "2w"',
            )
        ],
    ),
    "negative duration": (
        STORE + "[middleware.cache]\npoll = -1",
        [("PAT-E105", "middleware.cache.poll", "must be from 0 to 100 years, not -1", "")],
    ),
    "duration that is no number": (
        STORE + "[middleware.cache]\npoll = nan",
        [("PAT-E105", "middleware.cache.poll", "must be from 0 to 100 years, not nan", "")],
    ),
    "lifetime of nothing": (
        STORE + "[issuer]\nmaximum_lifetime = '0d'",
        [("PAT-E105", "issuer.maximum_lifetime", "must be longer than 0", 'write "never" for no end')],
    ),
    "no network": (
        STORE + "[middleware]\ntrusted_proxies = ['10.0.0.1/8', 'unix', 'all']",
        [
            (
                "PAT-E105",
                "middleware.trusted_proxies[0]",
                "'10.0.0.1/8' is no network",
                'write "10.0.0.0/8" or "unix"',
            ),
            ("PAT-E105", "middleware.trusted_proxies[2]", "'all' is no network", 'write "10.0.0.0/8" or "unix"'),
        ],
    ),
    "everybody a trusted proxy": (
        STORE + "[middleware]\ntrusted_proxies = ['0.0.0.0/0']",
        [
            (
                "PAT-E105",
                "middleware.trusted_proxies[0]",
                "'0.0.0.0/0' believes everybody",
                "name the network of the proxies",
            )
        ],
    ),
    "no listening address": (
        STORE + "[server]\nlisten = '8080'",
        [("PAT-E105", "server.listen", "'8080' is no address to listen at", 'write "127.0.0.1:8080"')],
    ),
    "port out of range": (
        STORE + "[server]\nlisten = 'localhost:65536'",
        [("PAT-E105", "server.listen", "'localhost:65536' is no address to listen at", 'write "127.0.0.1:8080"')],
    ),
    "no audit": (
        STORE + "[audit]\nto = 'syslog'",
        [("PAT-E105", "audit.to", "can't be 'syslog'", 'write "stdout" or "file:audit.jsonl"')],
    ),
    "no application": (
        STORE + "[app]\nimport = 'myapp'",
        [("PAT-E105", "app.import", "'myapp' names no application", 'write "package.module:application"')],
    ),
    "all that only the middleware knows to be wrong": (
        STORE + "[middleware]\naccept = ['digest', 'query']\nrealm = 'é'\nexpiry_header = 'X Y'\n"
        "cache = {poll = 2}\nscrub = {keep = ['*']}",
        [
            *(
                (
                    "PAT-E001",
                    "middleware.accept",
                    f"'{carrier}' is no carrier",
                    "there are bearer, basic, token, session and header:NAME",
                )
                for carrier in ("digest", "query")
            ),
            ("PAT-E001", "middleware.realm", "'é' can't stand in a header: printable ASCII only", ""),
            (
                "PAT-E001",
                "middleware.expiry_header",
                "'X Y' can't be the name of a header",
                "such as X-Token-Expires",
            ),
            (
                "PAT-E034",
                "middleware.cache.poll",
                "is 2.0",
                "must be seconds, from 0 to 1: what another process changes must be seen by then",
            ),
            (
                "PAT-E001",
                "middleware.scrub.keep",
                "'*' is neither a name nor a prefix",
                "X-Employee, or X-Corp-* for all that begin so",
            ),
        ],
    ),
    "all that only the store knows to be wrong": (
        "[store]\nurl = ['redis://h', 'tokens.db']\nprefix = 'P'\npeppers = [{env='SHORT'}]",
        [
            ("PAT-E111", "store.url", "there is no kind of store named 'redis'", "try postgresql:"),
            (
                "PAT-E111",
                "store.url",
                "the address of a store begins with its kind",
                "one of memory:, file:, sqlite:, postgresql:, mysql:, jwt:, introspection:, chain:",
            ),
            ("PAT-E111", "store.prefix", "'P' can't be a token prefix", "2 to 12 of a-z and 0-9"),
            ("PAT-E111", "store.peppers", "a pepper has fewer than 16 bytes", "make one: openssl rand -hex 32"),
        ],
    ),
    "a secret in the place of a table": (
        STORE + "[app]\nupstream='https://j'\npublic_url='https://a'\nauth='hunter2'",
        [("PAT-E104", "app.auth", "must be a table", NEEDED["auth"])],
    ),
    "a secret in clear": (
        STORE + "peppers = ['hunter2hunter2hunter2']",
        [
            (
                "PAT-E104",
                "store.peppers[0]",
                "a secret must come from the environment or from a file",
                'write {env = "NAME"} or {file = "PATH"}',
            )
        ],
    ),
    "a secret from nowhere": (
        STORE
        + "peppers = [{env = 'UNSET'}, {env = 'EMPTY'}, {file = 'missing'}, {env = 'A', file = 'B'},"
        "{env = 'LATIN'}, {file = '/'}, {file = '\\u0000'}]".replace("'\\u0000'", '"\\u0000"'),
        [
            ("PAT-E108", "store.peppers[0]", "the environment variable UNSET is not set", "set it: export UNSET=…"),
            ("PAT-E108", "store.peppers[1]", "the environment variable EMPTY is empty", "set it: export EMPTY=…"),
            ("PAT-E108", "store.peppers[2]", "/nowhere/missing can't be read: No such file or directory", ""),
            (
                "PAT-E104",
                "store.peppers[3]",
                "a secret must come from the environment or from a file",
                'write {env = "NAME"} or {file = "PATH"}',
            ),
            (
                "PAT-E108",
                "store.peppers[4]",
                "the environment variable LATIN is not UTF-8 text",
                "set it: export LATIN=…",
            ),
            ("PAT-E108", "store.peppers[5]", "/ can't be read: it is no plain file", ""),
            ("PAT-E108", "store.peppers[6]", "/nowhere/\0 can't be read: no file has this name", ""),
        ],
    ),
    "a time without its zone": (
        STORE + "[directory]\nurl='static:o.toml'\n"
        "[passwords]\npaths=['/**']\nowners=['a']\nscopes=['r']\nuntil=2027-01-31T10:00:00",
        [("PAT-E105", "passwords.until", "2027-01-31T10:00:00 has no time zone", "put a Z behind it for UTC")],
    ),
    "numbers of many digits": (
        STORE
        + f"timeout = 1{'0' * 400}\n[issuer]\nmaximum_per_owner = 0x{'f' * 5000}\ndefault_lifetime = 1{'0' * 400}",
        [
            ("PAT-E105", "store.timeout", "must be from 0 to 100 years, not a number of many digits", ""),
            ("PAT-E105", "issuer.maximum_per_owner", "must be from 1 to 1000000, not a number of many digits", ""),
            ("PAT-E105", "issuer.default_lifetime", "must be from 0 to 100 years, not a number of many digits", ""),
        ],
    ),
    "a time in quotes": (
        STORE + "[directory]\nurl='static:o.toml'\n"
        "[passwords]\npaths=['/**']\nowners=['a']\nscopes=['r']\nuntil='2027-01-31'",
        [
            (
                "PAT-E104",
                "passwords.until",
                "must be a day or a time, not '2027-01-31'",
                "write 2027-01-31, without quotes",
            )
        ],
    ),
    "passwords half said": (
        STORE + "[directory]\nurl='static:o.toml'\n[passwords]\npaths=['/**']",
        [("PAT-E107", f"passwords.{name}", "is missing", "") for name in ("owners", "scopes", "until")],
    ),
    "forwarding as nobody": (
        STORE + "[app]\nupstream = 'https://jira.internal'\npublic_url = 'https://api.example.org'",
        [("PAT-E107", "app.auth", "is missing", NEEDED["auth"])],
    ),
    "forwarding without saying where clients are": (
        STORE + "[app]\nupstream = 'https://jira.internal'\nauth = {kind = 'pass'}",
        [
            (
                "PAT-E107",
                "app.public_url",
                "is missing",
                'write public_url = "https://api.example.org": where clients reach the gate, and links lead',
            )
        ],
    ),
    "forwarding as whom": (
        STORE + "[app]\nupstream='https://j'\npublic_url='https://a'\nauth = {kind = 'beerer'}",
        [("PAT-E105", "app.auth.kind", "can't be 'beerer'", "did you mean 'bearer'?")],
    ),
    "forwarding half said": (
        STORE + "[app]\nupstream='https://j'\npublic_url='https://a'\nauth = {kind = 'basic', user = 'a'}",
        [
            ("PAT-E103", "app.auth.user", "basic has no such setting", "did you mean 'username'?"),
            ("PAT-E107", "app.auth.username", "is missing, and basic needs it", ""),
            ("PAT-E107", "app.auth.password", "is missing, and basic needs it", ""),
        ],
    ),
    "forwarding with a secret in clear": (
        STORE + "[app]\nupstream='https://j'\npublic_url='https://a'\nauth = {kind = 'bearer', token = 'x'}",
        [
            (
                "PAT-E104",
                "app.auth.token",
                "a secret must come from the environment or from a file",
                'write {env = "NAME"} or {file = "PATH"}',
            )
        ],
    ),
    "a way out of a vault that is not there": (
        STORE + "[app]\nupstream='https://j'\npublic_url='https://a'\nauth = {kind = 'vault'}",
        [("PAT-E106", "app.auth.kind", "is 'vault', but there is none to keep owners' credentials in", "add [vault]")],
    ),
    "a way out of a vault that can't be read": (
        STORE + "[vault]\nurl = 'file:vault.jsonl'\nkeys = [{env='UNSET'}]\n"
        "[app]\nupstream='https://j'\npublic_url='https://a'\nauth = {kind = 'vault'}",
        [("PAT-E108", "vault.keys[0]", "the environment variable UNSET is not set", "set it: export UNSET=…")],
    ),
    "what needs a directory and carriers that can't be read": (
        STORE + "[directory]\nurl = 3\n[middleware]\naccept = 'basic'\n[session]\n"
        "[passwords]\npaths=['/**']\nowners=['a']\nscopes=['r']\nuntil=2027-01-31",
        [
            ("PAT-E104", "directory.url", "must be text, not 3", ""),
            ("PAT-E104", "middleware.accept", "must be a list, not 'basic'", "write ['basic']"),
        ],
    ),
    "a vault without its keys": (
        STORE + "[vault]\nurl = 'file:vault.jsonl'",
        [("PAT-E107", "vault.keys", "is missing", "")],
    ),
    "a vault with no key": (
        STORE + "[vault]\nurl = 'file:vault.jsonl'\nkeys = []",
        [("PAT-E105", "vault.keys", "needs at least 1 item", "")],
    ),
    "the key of a vault in clear, and no list": (
        STORE + "[vault]\nurl = 'file:vault.jsonl'\nkeys = 'hunter2'",
        [
            (
                "PAT-E104",
                "vault.keys",
                "a secret must come from the environment or from a file",
                'write {env = "NAME"} or {file = "PATH"}',
            ),
        ],
    ),
    "the key of a vault in clear": (
        STORE + "[vault]\nurl = 'file:vault.jsonl'\nkeys = ['hunter2', {env='EMPTY'}]",
        [
            (
                "PAT-E104",
                "vault.keys[0]",
                "a secret must come from the environment or from a file",
                'write {env = "NAME"} or {file = "PATH"}',
            ),
            ("PAT-E108", "vault.keys[1]", "the environment variable EMPTY is empty", "set it: export EMPTY=…"),
        ],
    ),
    "forwarding and importing": (
        STORE + "[app]\nimport='a:b'\nupstream='https://j'\npublic_url='https://a'\nauth = {kind = 'pass'}",
        [
            (
                "PAT-E105",
                "app",
                "can't have import and upstream together: one thing stands behind the gate",
                "several upstreams go into [[app.upstreams]]",
            )
        ],
    ),
    "several upstreams": (
        STORE + "[[app.upstreams]]\nupstream='https://j'\nmount='/jira'",
        [("PAT-E107", f"app.upstreams[0].{name}", "is missing", NEEDED[name]) for name in ("public_url", "auth")],
    ),
    "groups to scopes": (
        STORE + "[directory]\nurl='static:o.toml'\n[directory.scopes]\ndevelopers = 'READ'",
        [("PAT-E104", "directory.scopes.developers", "must be a list, not 'READ'", "write ['READ']")],
    ),
    "audit into the store": (
        "[store]\nurl = 'sqlite:///tokens.db?x=y'\n[audit]\nto = 'file:tokens.db'",
        [("PAT-E106", "audit.to", "is the file of store.url", "name a file of its own")],
    ),
    "audit into the second store": (
        "[store]\nurl = ['memory:', 'file:./tokens.jsonl']\n[audit]\nto = 'file:tokens.jsonl'",
        [("PAT-E106", "audit.to", "is the file of store.url", "name a file of its own")],
    ),
    "audit into the vault": (
        STORE + "[audit]\nto = 'file:v.jsonl'\n[vault]\nurl = 'file:v.jsonl'\nkeys = [{env = 'SHORT'}]",
        [("PAT-E106", "audit.to", "is the file of vault.url", "name a file of its own")],
    ),
    "audit into the policy": (
        STORE + "[policy]\nfile = 'policy.toml'\n[audit]\nto = 'file:policy.toml'",
        [("PAT-E106", "audit.to", "is the file of policy.file", "name a file of its own")],
    ),
    "policy twice": (
        STORE + "[policy]\nfile = 'p.toml'\npreset = 'jira'",
        [("PAT-E106", "policy", "has both file and preset", "a file can name presets, too: [[preset]]")],
    ),
    "policy of nothing": (
        STORE + "[policy]\n",
        [("PAT-E106", "policy", "has neither file nor preset", "a file can name presets, too: [[preset]]")],
    ),
    "mount without preset": (
        STORE + "[policy]\nfile = 'p.toml'\nmount = '/jira'",
        [("PAT-E106", "policy.mount", "is there without a preset", "in a file it belongs to [[preset]]")],
    ),
    "mail without directory": (
        STORE + "[middleware]\nbasic_username = 'mail'",
        [
            (
                "PAT-E106",
                "middleware.basic_username",
                "is 'mail', but there is no directory to know an address",
                "add [directory], or write 'match'",
            )
        ],
    ),
    "passwords without directory and Basic": (
        STORE + "[middleware]\naccept=['bearer']\n"
        "[passwords]\npaths=['/**']\nowners=['a']\nscopes=['r']\nuntil=2027-01-31",
        [
            ("PAT-E106", "passwords", "passwords can't be checked without a directory", "add [directory]"),
            (
                "PAT-E106",
                "passwords",
                "passwords come through Basic, which isn't accepted",
                "add 'basic' to middleware.accept",
            ),
        ],
    ),
    "settings of a kind of store that is not there": (
        STORE + "jwt = {issuer = 'i', audience = 'a'}",
        [
            (
                "PAT-E106",
                "store.jwt",
                "is there, but no address in store.url begins with jwt:",
                "add the address, or remove the table",
            )
        ],
    ),
    "sessions that are not accepted": (
        STORE + "[session]\n",
        [
            (
                "PAT-E106",
                "session",
                "there are sessions, but they aren't accepted",
                "add 'session' to middleware.accept",
            )
        ],
    ),
    "sessions that never end, on a path that is none": (
        STORE + "[middleware]\naccept = ['session']\n[session]\nlifetime = 'never'\npath = 'jira'\n",
        [
            (
                "PAT-E035",
                "session.lifetime",
                "can't be None",
                "a time span above zero, of 30 days at the most",
            ),
            ("PAT-E035", "session.path", "can't be 'jira'", "a plain path such as /jira, or / alone"),
        ],
    ),
    "wrong in three tables": (
        "[store]\nurl = 3\n[server]\nthreads = 0\n[middleware]\nrealm = 1",
        [
            ("PAT-E104", "store.url", "must be text, not 3", ""),
            ("PAT-E105", "server.threads", "must be from 1 to 1024, not 0", ""),
            ("PAT-E104", "middleware.realm", "must be text, not 1", ""),
        ],
    ),
}


@pytest.mark.parametrize(("text", "problems"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_with_place_value_and_hint(text: str, problems: list[tuple[str, str, str, str]]) -> None:
    """Each problem has its id, the setting, what is wrong with the value, and a hint; all come at once."""
    config = read(text, EMPTY="", SHORT="hunter2", LATIN="hunter2-hunter2-hunter2-\udcfc")

    assert told(config) == problems


def test_every_setting_is_read() -> None:
    """Every setting reaches the place that it is for, as what the program works with."""
    config = read(
        """
        [middleware]
        accept = ["bearer", "basic", "header:X-API-Key", "session"]
        trusted_proxies = ["10.0.0.0/8", "unix"]
        [middleware.cache]
        lifetime = "5m"
        poll = 0.25
        [store]
        url = {env = "STORE"}
        peppers = [{env = "PEPPER"}]
        [directory]
        url = "static:owners.toml"
        [policy]
        file = "policy.toml"
        [issuer]
        default_lifetime = "30d"
        maximum_lifetime = "never"
        creators = ["developers"]
        [passwords]
        paths = ["/rest/**"]
        owners = ["old"]
        scopes = ["READ"]
        until = 2027-01-31
        [session]
        lifetime = "1h"
        cookie = "sid"
        secure = false
        path = "/jira"
        origin = "https://api.example.org"
        [audit]
        to = "file:audit.jsonl"
        [app]
        import = "myapp.wsgi:application"
        [server]
        listen = "[::1]:0"
        """,
        STORE="memory:",
        PEPPER=PEPPER,
    )

    assert config.problems() == ()
    assert config.middleware.accept == ("bearer", "basic", "header:X-API-Key", "session")
    assert config.session == SessionSettings(
        lifetime=timedelta(hours=1), cookie="sid", secure=False, path="/jira", origin="https://api.example.org"
    )
    assert config.middleware.trusted_proxies == (ip_network("10.0.0.0/8"), "unix")
    assert (config.middleware.cache.lifetime, config.middleware.cache.poll) == (300.0, 0.25)
    assert (config.store.url, config.store.peppers) == (("memory:",), (PEPPER,))
    assert config.policy is not None
    assert config.policy.file == Path("/nowhere/policy.toml")
    assert (config.issuer.default_lifetime, config.issuer.maximum_lifetime) == (timedelta(days=30), None)
    assert config.issuer.creators == {"developers"}
    assert config.passwords is not None
    assert config.passwords.until == datetime(2027, 1, 31, tzinfo=UTC)
    assert config.audit is not None
    assert config.audit.to == Path("/nowhere/audit.jsonl")
    assert config.app.import_ == "myapp.wsgi:application"
    assert config.server.listen == ("::1", 0)


@contextmanager
def forbidden(path: Path) -> Iterator[Path]:
    """Give a file that may not be read: by another user, where this one may read everything."""
    path.write_text("")
    path.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65_534)
    try:
        yield path
    finally:
        if is_root:
            os.seteuid(0)


READ_IT = "let the user that this runs as read it, and enter its folders"


@pytest.mark.parametrize(
    ("opened", "hint"),
    [
        (Policy.from_file, READ_IT),
        (StaticDirectory.from_file, READ_IT),
        (HtpasswdDirectory, READ_IT),
        (FileStore, "let this user write to the file and to its folder"),
        (Config.from_file, READ_IT),
        (lambda path: read("[store]\nurl = {file = '" + str(path) + "'}"), READ_IT),
    ],
    ids=["policy", "static", "htpasswd", "store", "settings", "secret"],
)
def test_what_may_not_be_read_is_told(opened: Callable[[Path], object], hint: str, tmp_path: Path) -> None:
    """Of a file that is there but not for this user it is said whom to let read it."""
    with forbidden(tmp_path / "file") as path:
        try:
            found = opened(path)
            problems = found.misread if isinstance(found, Config) else ()
        except ConfigurationError as error:
            problems = error.problems

    assert [(each.hint, "Permission denied" in each.message) for each in problems] == [(hint, True)]


def test_moment_at_the_end_of_the_calendar() -> None:
    """The calendar's last second, told in a zone where UTC has none left, is the last in UTC."""
    config = read(
        STORE + "[app]\nimport='a:b'\n[directory]\nurl='static:owners.toml'\n"
        "[passwords]\npaths=['/**']\nowners=['a']\nscopes=['r']\nuntil=9999-12-31T23:59:59-12:00"
    )

    assert config.passwords is not None
    assert config.passwords.until == datetime.max.replace(tzinfo=UTC)


def test_a_syntax_error_names_line_and_column(write: Write) -> None:
    """What is not TOML is told with line and column."""
    path = write("[store]\nurl = \n")

    [problem] = Config.from_file(path).problems()

    assert problem.id == "PAT-E102"
    assert problem.setting == str(path)
    assert "line 2, column 7" in problem.message


def test_a_byte_order_mark_is_no_part_of_the_settings(write: Write) -> None:
    """Editors of Windows begin a file with one."""
    path = write("\ufeff[store]\nurl = 'memory:'\n")

    config = Config.from_file(path)

    assert (config.problems(), config.store.url) == ((), ("memory:",))


def test_a_file_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    """A settings file that can't be read is told as one problem, with a way out."""
    [problem] = Config.from_file(tmp_path / "none.toml").problems()

    assert (problem.id, problem.message) == ("PAT-E101", "can't be read: No such file or directory")
    assert "--config" in problem.hint


ODD_FILES = {
    "binary": b"\xff\xfe\x00",
    "deeply nested": b"a = " + b"[" * 5000,
    "a number too long to be one": b"a = " + b"9" * 5000,
    "a key twice": b"[store]\nurl='a'\nurl='b'",
}


@pytest.mark.parametrize("content", ODD_FILES.values(), ids=ODD_FILES)
def test_odd_files_are_problems(tmp_path: Path, content: bytes) -> None:
    """Whatever a file holds, reading it gives problems rather than an exception."""
    path = tmp_path / "odd.toml"
    path.write_bytes(content)

    [problem] = Config.from_file(path).problems()

    assert problem.id == "PAT-E102"


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.datetimes() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*TABLES, "other"]), JSON_LIKE))
def test_reading_never_raises(given: dict[str, object]) -> None:
    """Whatever the values are, they are read or told as problems."""
    config = Config.from_dict(given, Path("/nowhere/patmiddleware.toml"), {})

    assert all(problem.id in PROBLEMS or problem.id < "PAT-E1" for problem in config.problems())


@given(st.sampled_from(sorted(TABLES)), st.data())
def test_no_value_of_a_known_setting_makes_reading_raise(table: str, data: st.DataObject) -> None:
    """A known setting with a value of any kind is read or told as a problem."""
    names = {
        "middleware": ["accept", "realm", "trusted_proxies", "cache", "scrub", "missing"],
        "store": ["url", "peppers", "prefix"],
        "issuer": ["default_lifetime", "creators", "maximum_per_owner"],
        "passwords": ["paths", "owners", "scopes", "until"],
        "session": ["lifetime", "cookie", "secure", "path", "origin"],
    }.get(table, ["url", "file", "to", "import", "listen", "threads", "mount"])
    settings = data.draw(st.dictionaries(st.sampled_from(names), JSON_LIKE, min_size=1))

    Config.from_dict({table: settings}, Path("/nowhere/patmiddleware.toml"), {}).problems()


DURATIONS = [("90s", 90.0), ("30m", 1800.0), ("12h", 43_200.0), ("365d", 31_536_000.0), ("2w", 1_209_600.0)]
NO_DURATIONS = ["", "90", "s", "1.5h", "-1d", "1 year", "9999999999d", "1d ", "١d", "1D"]


@pytest.mark.parametrize(("words", "length"), DURATIONS)
def test_durations(words: str, length: float) -> None:
    """A duration is a whole number and its unit."""
    assert parse_duration(words) == length


@pytest.mark.parametrize("words", NO_DURATIONS)
def test_no_durations(words: str) -> None:
    """What is not a whole number and a unit is no duration."""
    assert parse_duration(words) is None


def test_a_secret_file_loses_its_last_line_break(tmp_path: Path) -> None:
    """Editors end a file with a line break that is not part of the secret."""
    (tmp_path / "pepper").write_text(PEPPER + "\n")
    (tmp_path / "pepper").chmod(0o600)
    given = {"store": {"url": "memory:", "peppers": [{"file": "pepper"}]}}

    config = Config.from_dict(given, tmp_path / "patmiddleware.toml")

    assert (config.problems(), config.warnings, config.store.peppers) == ((), (), (PEPPER,))


def test_a_secret_is_not_waited_for_at_a_pipe(tmp_path: Path) -> None:
    """A pipe that nobody writes to is told as a problem, rather than waited for without end."""
    os.mkfifo(tmp_path / "pepper")
    given = {"store": {"url": "memory:", "peppers": [{"file": "pepper"}]}}

    [problem] = Config.from_dict(given, tmp_path / "patmiddleware.toml").problems()

    assert (problem.id, problem.message) == ("PAT-E108", f"{tmp_path / 'pepper'} can't be read: it is no plain file")


def test_a_secret_file_that_all_may_read_draws_a_warning(tmp_path: Path) -> None:
    """Containers mount secrets so that all may read them: that is told, and works."""
    (tmp_path / "pepper").write_text(PEPPER)
    (tmp_path / "pepper").chmod(0o644)
    given = {"store": {"url": "memory:", "peppers": [{"file": "pepper"}]}}

    config = Config.from_dict(given, tmp_path / "patmiddleware.toml")

    assert config.problems() == ()
    assert [warning.id for warning in config.warnings] == ["PAT-W101"]


def test_a_secret_file_that_all_may_change_is_a_problem(tmp_path: Path) -> None:
    """A pepper that anybody may replace is none."""
    (tmp_path / "pepper").write_text(PEPPER)
    (tmp_path / "pepper").chmod(0o666)
    given = {"store": {"url": "memory:", "peppers": [{"file": "pepper"}]}}

    config = Config.from_dict(given, tmp_path / "patmiddleware.toml")

    assert [problem.id for problem in config.problems()] == ["PAT-E109"]


def test_secrets_are_never_shown() -> None:
    """Neither a repr nor a problem shows a secret: of a good setting, of one in clear, of one in the wrong place."""
    secret = "hunter2-hunter2-hunter2"
    good = read("[store]\nurl = {env = 'U'}\npeppers = [{env = 'P'}]", U=f"postgresql://u:{secret}@h/d", P=secret)
    clear = read(f"[store]\nurl = 'memory:'\npeppers = ['{secret}']\npassword = '{secret}'")
    unopened = open_parts(read("[store]\nurl = {env = 'U'}", U=f"nosuch://u:{secret}@h/d"))

    assert secret not in repr(good)
    assert secret not in repr(clear) + str(clear.problems())
    assert secret not in str(unopened.problems)


def test_the_cautions_tell_what_is_unwise() -> None:
    """No policy, no directory and an open port are lawful, and told."""
    config = read(STORE + "[server]\nlisten = '0.0.0.0:80'")

    assert [(each.id, each.setting) for each in config.cautions()] == [
        ("PAT-W102", "policy"),
        ("PAT-W103", "directory"),
        ("PAT-W104", "server.listen"),
    ]


IN_CLEAR = [
    ("http://jira.internal", "https://api.example.org", "bearer", ["PAT-W106"]),
    ("http://jira.internal", "http://api.example.org", "bearer", ["PAT-W106", "PAT-W107"]),
    ("http://jira.internal", "https://api.example.org", "pass", ["PAT-W106"]),
    ("https://jira.internal", "https://api.example.org", "bearer", []),
    ("http://127.0.0.1:8080", "http://localhost:8000", "bearer", []),
    ("http://[::1]:8080", "HTTP://API.example.org", "bearer", ["PAT-W107"]),
    ("http://[", "no address", "bearer", []),
]


@pytest.mark.parametrize(("upstream", "public_url", "kind", "expected"), IN_CLEAR)
def test_what_goes_in_clear_to_other_machines_is_unwise(
    upstream: str, public_url: str, kind: str, expected: list[str]
) -> None:
    """To the upstream as well as from clients; on this machine nobody listens in."""
    auth = "{kind = 'bearer', token = {env = 'T'}}" if kind == "bearer" else "{kind = 'pass'}"
    app = f"[app]\nupstream = '{upstream}'\npublic_url = '{public_url}'\nauth = {auth}"

    config = read(STORE + app, T="of the upstream's")

    assert [each.id for each in config.cautions() if each.setting.startswith("app.")] == expected


def test_no_caution_about_what_could_not_be_read() -> None:
    """A policy that is written wrongly is a problem, and not none."""
    config = read(STORE + "[policy]\nfile = 3\n[directory]\nurl = 'static:o.toml'")

    assert config.cautions() == ()


LOOPBACK = {"127.0.0.1": True, "127.8.8.8": True, "::1": True, "localhost": True, "0.0.0.0": False, "::": False}


@pytest.mark.parametrize(("host", "expected"), LOOPBACK.items())
def test_loopback(host: str, expected: bool) -> None:
    """Only this machine reaches a loopback address."""
    assert is_loopback(host) is expected


LOCATED = [
    ("sqlite:///tokens.db", "sqlite:////etc/pat/tokens.db"),
    ("sqlite:///../tokens.db", "sqlite:////etc/pat/../tokens.db"),
    ("sqlite:////var/tokens.db", "sqlite:////var/tokens.db"),
    ("sqlite+pysqlite:///tokens.db", "sqlite+pysqlite:////etc/pat/tokens.db"),
    ("sqlite:///:memory:", "sqlite:///:memory:"),
    ("file:tokens.jsonl", "file:/etc/pat/tokens.jsonl"),
    ("file:/var/tokens.jsonl", "file:/var/tokens.jsonl"),
    ("file:///var/tokens.jsonl", "file:///var/tokens.jsonl"),
    ("static:owners.toml", "static:/etc/pat/owners.toml"),
    ("memory:", "memory:"),
    ("ldaps://ldap.example.org/dc=example", "ldaps://ldap.example.org/dc=example"),
]


@pytest.mark.parametrize(("address", "expected"), LOCATED)
def test_relative_paths_are_taken_from_the_folder_of_the_settings(address: str, expected: str) -> None:
    """Where a command is run from makes no difference."""
    assert located(address, Path("/etc/pat")) == expected


APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REMOTE_USER"].encode()]

broken = 3
"""
OPENED: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "store": ("[store]\nurl = 'sqlit:///t.db'\n[app]\nimport = 'own_app:application'", [("PAT-E111", "store.url")]),
    "prefix": (
        STORE + "prefix = 'UPPER'\n[app]\nimport = 'own_app:application'",
        [("PAT-E111", "store.prefix")],
    ),
    "settings of JWTs that are not there": (
        "[store]\nurl = 'jwt:https://login.example/keys'\n[app]\nimport = 'own_app:application'",
        [("PAT-E111", "store.jwt.issuer")],
    ),
    "settings of JWTs that can't be": (
        "[store]\nurl = 'jwt:https://login.example/keys'\n"
        "jwt = {issuer='i', audience='a', algorithms=['none']}\n[app]\nimport = 'own_app:application'",
        [("PAT-E111", "store.jwt.algorithms")],
    ),
    "directory": (
        STORE + "[directory]\nurl = 'ldap://h'\n[app]\nimport = 'own_app:application'",
        [("PAT-E112", "directory.url")],
    ),
    "preset": (
        STORE + "[policy]\npreset = 'jra'\n[app]\nimport = 'own_app:application'",
        [("PAT-E205", "policy.preset")],
    ),
    "mount": (
        STORE + "[policy]\npreset = 'jira'\nmount = 'x'\n[app]\nimport = 'own_app:application'",
        [("PAT-E206", "policy.mount")],
    ),
    "carrier": (
        STORE + "[middleware]\naccept = ['bearer', 'query']\n[app]\nimport = 'own_app:application'",
        [("PAT-E001", "middleware.accept")],
    ),
    "carrier, before upstreams": (
        STORE + "[middleware]\naccept = ['bearer', 'query']\n"
        "[app]\nupstream='http://127.0.0.1:1'\npublic_url='http://127.0.0.1'\nauth={kind='pass'}",
        [("PAT-E001", "middleware.accept")],
    ),
    "scopes of the issuer": (
        STORE + "[policy]\npreset = 'jira'\n[issuer]\nordinary_scopes = ['REED']\n[app]\nimport='own_app:application'",
        [("PAT-E001", "issuer.ordinary_scopes")],
    ),
    "no application": (STORE, [("PAT-E107", "app.import")]),
    "no module": (STORE + "[app]\nimport = 'no_such_module_at_all:application'", [("PAT-E114", "app.import")]),
    "no attribute": (STORE + "[app]\nimport = 'own_app:aplication'", [("PAT-E114", "app.import")]),
    "not callable": (STORE + "[app]\nimport = 'own_app:broken'", [("PAT-E114", "app.import")]),
    "all of them": (
        "[store]\nurl = 'sqlit:///t.db'\n[directory]\nurl = 'ldap://h'\n[policy]\npreset = 'jra'\n"
        "[middleware]\naccept = ['query']\n[server]\nthreads = 0\n[app]\nimport = 'own_app:broken'",
        [
            ("PAT-E111", "store.url"),
            ("PAT-E001", "middleware.accept"),
            ("PAT-E105", "server.threads"),
            ("PAT-E205", "policy.preset"),
            ("PAT-E112", "directory.url"),
            ("PAT-E114", "app.import"),
        ],
    ),
    "all addresses of an upstream": (
        STORE + "[app]\nupstream='ftp://j'\npublic_url='a'\nmount='z'\nbase_urls=['b']\nauth={kind='pass'}",
        [("PAT-E114", f"app.{name}") for name in ("upstream", "public_url", "base_urls", "mount")],
    ),
    "addresses of an upstream, and as whom": (
        STORE + "[app]\nupstream='ftp://j'\npublic_url='a'\nauth={kind='bearr'}",
        [("PAT-E105", "app.auth.kind"), ("PAT-E114", "app.upstream"), ("PAT-E114", "app.public_url")],
    ),
    "an address of one upstream, and a secret of another": (
        STORE + "[[app.upstreams]]\nupstream='https://j'\npublic_url='https://a'\nmount='/j'\n"
        "auth={kind='bearer', token={env='NOT_SET_ANYWHERE'}}\n"
        "[[app.upstreams]]\nupstream='j'\npublic_url='https://a'\nmount='/k'\nauth={kind='pass'}",
        [("PAT-E108", "app.upstreams[0].auth.token"), ("PAT-E114", "app.upstreams[1].upstream")],
    ),
    "of several upstreams, the one that is wrong": (
        STORE + "[[app.upstreams]]\nupstream='https://j'\npublic_url='https://a'\nmount='/j'\nauth={kind='pass'}\n"
        "[[app.upstreams]]\nupstream='j'\npublic_url='https://a'\nmount='/k'\nauth={kind='pass'}",
        [("PAT-E114", "app.upstreams[1].upstream")],
    ),
    "two upstreams at one place": (
        STORE + "[[app.upstreams]]\nupstream='https://j'\npublic_url='https://a'\nmount='/j'\nauth={kind='pass'}\n"
        "[[app.upstreams]]\nupstream='https://k'\npublic_url='https://a'\nmount='/j/'\nauth={kind='pass'}",
        [("PAT-E114", "app")],
    ),
}


GROUP_NAMES = [
    ("ldaps://h/dc=x", "cn=contractors,dc=x", True),
    ("LDAP://h/dc=x", "CN = Contractors , OU=Groups,DC=x", True),
    ("ldaps://h/dc=x", "contractors", False),
    ("ldaps://h/dc=x", "a=b", False),
    ("ldaps://h/dc=x", "b,a=b", False),
    ("static:owners.toml", "cn=contractors,dc=x", False),
]


@pytest.mark.parametrize(("directory", "group", "told"), GROUP_NAMES)
@pytest.mark.parametrize(
    "rule", ["effect='deny'\nwhen={groups=['GROUP']}", "effect='require'\ngroups=['GROUP']"], ids=["when", "demand"]
)
def test_a_group_that_nobody_has_by_this_name_is_told(
    write: Write, directory: str, group: str, told: bool, rule: str
) -> None:
    """Of LDAP owners have plain names of groups, so a deny of a distinguished one would refuse nobody."""
    write(f"[[rule]]\nid='d'\npath='/**'\n{rule.replace('GROUP', group)}", "p.toml")
    write("", "owners.toml")
    path = write(f"{STORE}[directory]\nurl='{directory}'\n[policy]\nfile='p.toml'\n[app]\nimport='own_app:application'")

    found = open_parts(Config.from_file(path, {})).problems

    assert [each.id for each in found if each.setting == "policy" and group in each.message] == ["PAT-E105"] * told


NEEDED = {
    "settings of JWTs that are not there": "jwt",
    "settings of JWTs that can't be": "jwt",
    "carrier, before upstreams": "forward",
    "all addresses of an upstream": "forward",
    "of several upstreams, the one that is wrong": "forward",
    "addresses of an upstream, and as whom": "forward",
    "an address of one upstream, and a secret of another": "forward",
    "two upstreams at one place": "forward",
}


@pytest.mark.parametrize("case", OPENED)
def test_what_can_not_be_opened_is_told_at_once(write: Write, case: str) -> None:
    """Store, directory, policy, application and options are judged together with the file."""
    if case in NEEDED:
        pytest.importorskip("urllib3", reason=f"needs the extra {NEEDED[case]}")
    text, problems = OPENED[case]
    write(APP, "own_app.py")

    with pytest.raises(ConfigurationError) as caught:
        from_config(write(text))

    assert [(each.id, each.setting) for each in caught.value.problems] == problems


def test_problems_of_a_policy_file_name_the_file(write: Write) -> None:
    """A problem in the policy is told with the policy's file and the place in it."""
    policy = write("[[rule]]\nid = 'x'\npaths = '/a'\nscopes = []", "policy.toml")

    with pytest.raises(ConfigurationError) as caught:
        from_config(write(STORE + "[policy]\nfile = 'policy.toml'\n[app]\nimport = 'wsgiref.simple_server:demo_app'"))

    assert f"{policy}: rule[0].paths" in [each.setting for each in caught.value.problems]


def test_an_application_that_fails_to_import_is_told_without_a_traceback(write: Write) -> None:
    """What somebody else's module raises is a problem with its text."""
    write("raise ValueError('no database')", "failing_app.py")

    parts = open_parts(Config.from_file(write(STORE + "[app]\nimport = 'failing_app:application'")))

    assert [each.message for each in parts.problems] == ["importing failing_app fails: ValueError: no database"]


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (
            "import sys; sys.exit('no database')",
            "left_app:application",
            "importing left_app fails: SystemExit: no database",
        ),
        (
            "def make(): raise OSError('no database')",
            "made_app:make()",
            "calling made_app:make() fails: OSError: no database",
        ),
        ("def make(): pass", "none_app:make()", "none_app:make() is no WSGI application: it can't be called"),
    ],
)
def test_an_application_that_ends_or_is_not_made_is_told(write: Write, text: str, words: str, message: str) -> None:
    """Neither an exit at import nor what a factory raises ends the program."""
    write(text, f"{words.partition(':')[0]}.py")

    parts = open_parts(Config.from_file(write(STORE + f"[app]\nimport = '{words}'")))

    assert [each.message for each in parts.problems] == [message]


def test_an_application_that_a_factory_makes(write: Write) -> None:
    """Two brackets call it."""
    write("def make():\n    return print", "making_app.py")

    assert open_parts(Config.from_file(write(STORE + "[app]\nimport = 'making_app:make()'"))).application is print


def test_the_application_is_built(write: Write) -> None:
    """From a settings file comes a gate that lets a token of the store in, and nothing else."""
    write(APP, "own_app.py")
    config = Config.from_file(write("[store]\nurl = 'sqlite:///t.db'\n[app]\nimport = 'own_app:application'"))
    store = store_of(config)
    assert isinstance(store, TokenStore)
    minted = Issuer(store).mint(owner="alice", name="ci")

    app = TestApp(build(config))

    assert app.get("/", headers={"Authorization": f"Bearer {minted.secret}"}).text == "alice"
    assert app.get("/", status=401).json["status"] == 401


def test_an_audit_in_hand_takes_the_place_of_the_one_that_is_set(write: Write, tmp_path: Path) -> None:
    """Whoever builds the application may look at the audit himself."""
    text = STORE + "[audit]\nto = 'file:set.jsonl'\n[app]\nimport = 'wsgiref.simple_server:demo_app'"
    audit = AuditLog(f"file:{tmp_path / 'own.jsonl'}")

    app = build(Config.from_file(write(text)), audit=audit)
    TestApp(app).get("/", status=401)
    app.close()

    assert (tmp_path / "own.jsonl").read_text().count('"reason":"missing"') == 1
    assert not (tmp_path / "set.jsonl").exists()


def test_the_example_is_sound() -> None:
    """The example file can be built as it stands, but for where it keeps tokens and the audit."""
    path = EXAMPLES / "patmiddleware.toml"
    given = tomllib.loads(path.read_text("utf-8"))

    config = Config.from_dict({**given, "store": {"url": "memory:"}, "audit": {"to": "stdout"}}, path)

    assert isinstance(build(config), PATMiddleware)


def test_the_example_has_the_defaults() -> None:
    """What the example file says of the cache, the issuer and the server is what holds without it."""
    config = Config.from_file(EXAMPLES / "patmiddleware.toml")

    assert (config.middleware.cache, config.issuer, config.server) == (
        CacheSettings(),
        IssuerLimits(),
        ServerSettings(),
    )


KINDS = (
    MiddlewareSettings,
    CacheSettings,
    PolicySettings,
    IssuerLimits,
    PasswordSettings,
    SessionSettings,
    AuditSettings,
    AppSettings,
    ServerSettings,
    VaultSettings,
)


NAMES = {
    "upstream": [*UPSTREAM],
    **{kind.__name__: [each.name.rstrip("_") for each in fields(kind)] for kind in (*KINDS, StoreSettings)},
    "directory": ["url", *DIRECTORY],
    "jwt": [*JWT],
    "introspection": [*INTROSPECTION],
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_the_example_has_every_setting(names: list[str]) -> None:
    """No setting is missing from the example file, be it behind a ``#``."""
    text = (EXAMPLES / "patmiddleware.toml").read_text("utf-8")

    missing = [
        name
        for name in names
        if not re.search(rf"^(?:# )?(?:{name} = |\[\[\w+\.{name}\]\]|\[\w+\.{name}\])", text, re.MULTILINE)
    ]

    assert missing == []


def test_the_example_has_every_way_upstream() -> None:
    """Each kind of ``auth`` stands there."""
    text = (EXAMPLES / "patmiddleware.toml").read_text("utf-8")

    assert sorted(set(re.findall(r'auth = \{kind = "(\w+)"', text))) == sorted(AUTH)


def test_an_upstream_may_say_all_that_there_is() -> None:
    """Its settings are those of the table, by the same names."""
    assert {each.name for each in fields(UpstreamSettings)} == set(UPSTREAM)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://gate:hunter2@db/tokens", ["PAT-W105 store.url: has a password in it"]),
        ("postgresql://gate@db:5432/tokens", []),
        ("sqlite:///tokens.db", []),
    ],
)
def test_a_password_in_the_file_is_warned_of(url: str, expected: list[str]) -> None:
    """It is lawful, but somebody else may read the file; the warning does not show it."""
    warnings = [str(warning) for warning in read(f"[store]\nurl = '{url}'").warnings]

    assert [warning.partition(",")[0] for warning in warnings] == expected
    assert "hunter2" not in "".join(warnings)


VAULT_KEY = bytes(range(32)).hex()
UNOPENED_VAULTS = {
    "no such kind": ("ldap://h", VAULT_KEY, "PAT-E116 vault.url: there is no kind of vault named 'ldap'"),
    "no folder": ("sqlite:///nowhere/v.db", VAULT_KEY, "PAT-E116 vault.url: "),
    "a weak key": ("file:vault.jsonl", "00" * 32, "PAT-E116 vault.keys[0]: is not random"),
    "a passphrase": ("file:vault.jsonl", "open sesame", "PAT-E116 vault.keys[0]: is not 32 bytes in base64 or hex"),
}


@pytest.mark.parametrize(("url", "key", "expected"), UNOPENED_VAULTS.values(), ids=UNOPENED_VAULTS)
def test_a_vault_that_cannot_be_opened(tmp_path: Path, url: str, key: str, expected: str) -> None:
    """It is told as a problem of its setting, without the key."""
    pytest.importorskip("cryptography", reason="needs the extra forward")
    given = {"store": {"url": "memory:"}, "vault": {"url": url, "keys": [{"env": "KEY"}]}}
    config = Config.from_dict(given, tmp_path / "patmiddleware.toml", {"KEY": key})

    with pytest.raises(ConfigurationError) as caught:
        vault_of(config)

    assert str(caught.value).startswith(expected)
    assert key not in str(caught.value) + repr(config)


def test_a_vault_beside_the_settings(tmp_path: Path) -> None:
    """A relative path is taken from the settings' folder, and a key from a file there; without one there is none."""
    pytest.importorskip("cryptography", reason="needs the extra forward")
    (tmp_path / "key").write_text(f"{VAULT_KEY}\n")
    (tmp_path / "key").chmod(0o600)
    given = {"store": {"url": "memory:"}, "vault": {"url": "file:vault.jsonl", "keys": [{"file": "key"}]}}
    path = tmp_path / "patmiddleware.toml"

    vault = vault_of(Config.from_dict(given, path))
    assert vault is not None
    vault.put("alice", "https://jira.example.org", UpstreamCredential("bearer", {"token": "x"}))

    assert (tmp_path / "vault.jsonl").is_file()
    assert vault_of(Config.from_dict({"store": {"url": "memory:"}}, path)) is None


def test_the_table_of_problems_has_every_id_once() -> None:
    """An id never means two things."""
    assert len(PROBLEMS) == len(set(PROBLEMS.values()))
    assert all(id.startswith(("PAT-E1", "PAT-W1")) for id in PROBLEMS)
