"""``patmiddleware.integrations.paste``: the gate from real ini files, loaded by PasteDeploy."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("paste.deploy", reason="needs PasteDeploy")

from integrations.pasteapps import whoami
from paste.deploy import loadapp, loadfilter
from webtest import TestApp

from patmiddleware import Issuer, open_store
from patmiddleware.errors import ConfigurationError
from patmiddleware.integrations.embedding import Embedding
from patmiddleware.integrations.paste import filter_app_factory, filter_factory
from patmiddleware.middleware import PATMiddleware

POLICY = """\
[scopes.read]
[scopes.write]
[[rule]]
id = "read"
methods = ["GET"]
path = "/**"
scopes = ["read"]
[[rule]]
id = "write"
methods = ["POST"]
path = "/**"
scopes = ["write"]
"""
APP = """
[app:whoami]
paste.app_factory = integrations.pasteapps:whoami
"""
GATE = """
[filter:pat]
use = egg:patmiddleware
store = file:%(here)s/tokens.jsonl
policy = %(here)s/policy.toml
"""
SETTINGS = "store = file:tokens.jsonl\npolicy = policy.toml\n"
PIPELINE = "[pipeline:main]\npipeline = pat whoami\n"
WAYS = {
    "pipeline": PIPELINE + GATE + APP,
    "filter-with": GATE + APP.replace("[app:whoami]", "[app:main]\nfilter-with = pat"),
    "filter-app": GATE.replace("[filter:pat]", "[filter-app:main]\nnext = whoami") + APP,
    "the name of the entry point": PIPELINE + GATE.replace("egg:patmiddleware", "egg:patmiddleware#main") + APP,
    "filter_app_factory by name": PIPELINE
    + GATE.replace(
        "use = egg:patmiddleware",
        "paste.filter_app_factory = patmiddleware.integrations.paste:filter_app_factory",
    )
    + APP,
    "filter_factory by name": PIPELINE
    + GATE.replace("use = egg:patmiddleware", "paste.filter_factory = patmiddleware.integrations.paste:filter_factory")
    + APP,
    "a pipeline below a composite": "[composite:main]\n"
    "paste.composite_factory = integrations.pasteapps:by_prefix\napi = gated\n"
    "[pipeline:gated]\npipeline = pat whoami\n" + GATE + APP,
    "before a composite": "[pipeline:main]\npipeline = pat all\n[composite:all]\n"
    "paste.composite_factory = integrations.pasteapps:by_prefix\napi = whoami\n" + GATE + APP,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a policy; its name has blanks and a letter of no ASCII in it."""
    folder = tmp_path / "größer als eins"
    folder.mkdir()
    (folder / "policy.toml").write_text(POLICY)
    return folder


def loaded(folder: Path, ini: str) -> Any:
    """Write an ini file and load the application of it."""
    file = folder / "production.ini"
    file.write_text(ini, "utf-8")
    return loadapp(f"config:{file.name}", relative_to=str(folder))


def gated(folder: Path, *settings: str, default: str = "") -> PATMiddleware:
    """Load a pipeline whose gate has these settings."""
    ini = f"{default}{PIPELINE}[filter:pat]\nuse = egg:patmiddleware\n" + "\n".join(settings) + APP
    found = loaded(folder, ini)
    assert isinstance(found, PATMiddleware)
    return found


def wrong(folder: Path, *settings: str, default: str = "") -> dict[str, str]:
    """Load a pipeline whose gate has wrong settings, and give what is told of each."""
    with pytest.raises(ConfigurationError) as caught:
        gated(folder, *settings, default=default)
    return {problem.setting: f"{problem.message} {problem.hint}" for problem in caught.value.problems}


def secret(folder: Path, *scopes: str) -> str:
    """Make a token of alice's in the store of a folder."""
    issuer = Issuer(open_store(f"file:{folder}/tokens.jsonl"))
    return issuer.mint(owner="alice", name="ci", scopes=set(scopes), lifetime=timedelta(days=1)).secret


@pytest.mark.parametrize("ini", WAYS.values(), ids=WAYS)
def test_the_gate_stands_before_the_application(folder: Path, ini: str) -> None:
    """Whichever way the ini file puts it there: no token 401, one that may 200, one that may not 403."""
    app = TestApp(loaded(folder, ini), extra_environ={"REMOTE_ADDR": "127.0.0.1"})
    app.authorization = ("Bearer", secret(folder, "read"))

    assert app.get("/api/").text == "Hello alice"
    assert app.post("/api/", status=403).json["rule"] == "write"
    app.authorization = None
    assert "Basic" in app.get("/api/", status=401).headers["WWW-Authenticate"]


def test_relative_paths_start_at_the_ini_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the folder that the process runs in."""
    monkeypatch.chdir("/")

    app = TestApp(gated(folder, "store = file:tokens.jsonl", "policy = policy.toml"))

    app.authorization = ("Bearer", secret(folder, "read"))
    assert app.get("/").text == "Hello alice"


def test_the_gate_rejects_unless_told_otherwise(folder: Path) -> None:
    """By itself 401; ``missing = annotate`` lets the application decide, here as in a settings file."""
    (folder / "patmiddleware.toml").write_text('[store]\nurl = "memory:"\n[middleware]\nmissing = "annotate"\n')

    assert TestApp(gated(folder, "store = memory:")).get("/", status="*").status_int == 401
    assert TestApp(gated(folder, "store = memory:", "missing = annotate")).get("/").text == "Hello nobody"
    assert TestApp(gated(folder, "config = patmiddleware.toml")).get("/").text == "Hello nobody"
    assert TestApp(gated(folder, "config = patmiddleware.toml", "missing = reject")).get("/", status=401)


def test_a_settings_file_serves_the_commands_and_the_pipeline(folder: Path) -> None:
    """Its tables count, but for those about serving; what the section says stands over them."""
    (folder / "patmiddleware.toml").write_text(
        '[store]\nurl = "file:tokens.jsonl"\n[policy]\nfile = "policy.toml"\n[middleware]\nrealm = "ours"\n'
        'accept = ["bearer"]\n[app]\nimport = "wsgiref.simple_server:demo_app"\n[server]\nlisten = "127.0.0.1:1"\n'
    )

    app = TestApp(gated(folder, "config = patmiddleware.toml", "realm = theirs"))

    assert app.get("/", status=401).headers["WWW-Authenticate"] == 'Bearer realm="theirs"'
    assert app.get("/", headers={"Authorization": f"Bearer {secret(folder, 'read')}"}).text == "Hello alice"


def test_loadfilter_gives_what_wraps_any_application(folder: Path) -> None:
    """PasteDeploy hands out the filter alone, too."""
    (folder / "production.ini").write_text("[DEFAULT]\n" + GATE, "utf-8")

    gate = loadfilter(f"config:{folder}/production.ini", name="pat")

    assert TestApp(gate(whoami(None))).get("/", status=401)


SOUND = {
    "accept = bearer basic": ("accept", ("bearer", "basic")),
    "accept = bearer, token": ("accept", ("bearer", "token")),
    "accept =\n  bearer\n  header:X-API-Key": ("accept", ("bearer", "header:X-API-Key")),
    'accept = ["bearer"]': ("accept", ("bearer",)),
    'accept = "bearer"': ("accept", ("bearer",)),
    'accept = ["bearer",\n  "basic"]': ("accept", ("bearer", "basic")),
    "realm = 100%% = api": ("realm", "100% = api"),
    'realm = "2027"': ("realm", "2027"),
    "keep_credential = true": ("keep_credential", True),
    "raw_target = ignore": ("raw_target", "ignore"),
    "expiry_header = X-Token-Expires": ("expiry_header", "X-Token-Expires"),
}


@pytest.mark.parametrize(("line", "expected"), SOUND.items(), ids=SOUND)
def test_values_as_an_ini_file_has_them(folder: Path, line: str, expected: tuple[str, object]) -> None:
    """Text without quotes, lists with blanks or commas or over lines, and whatever TOML can say."""
    name, _, value = line.partition(" =")
    settings = {"store": "memory:", name: value.strip().replace("%%", "%")}

    gated(folder, "store = memory:", line)  # PasteDeploy gives the same
    config = Embedding(whoami(None), settings, prefix="", folder=folder).config

    assert getattr(config.middleware, expected[0]) == expected[1]


def test_the_tables_of_a_settings_file_by_their_dotted_names(folder: Path) -> None:
    """Durations, numbers and lists: each where a settings file has it."""
    settings = {
        "store.url": "memory:",
        "store.prefix": "ours",
        "issuer.maximum_per_owner": "5",
        "issuer.maximum_lifetime": "90d",
        "issuer.creators": "developers, admins",
        "cache.poll": "0.25",
        "scrub.extra": "X-Employee X-Badge",
        "directory": "static:owners.toml",
        "directory.scopes.developers": "read write",
    }
    (folder / "owners.toml").write_text("[owners.alice]\n")

    config = Embedding(whoami(None), settings, prefix="", folder=folder).config

    assert gated(folder, *(f"{name} = {value}" for name, value in settings.items()))
    assert (config.store.prefix, config.issuer.maximum_per_owner) == ("ours", 5)
    assert (config.issuer.maximum_lifetime, config.issuer.creators) == (timedelta(days=90), {"developers", "admins"})
    assert config.middleware.cache.poll == 0.25
    assert config.directory is not None
    assert config.directory.settings["scopes"] == {"developers": {"read", "write"}}


WRONG = {
    "a misspelt name": (["acept = bearer"], "acept", "did you mean 'accept'?"),
    "a table that is about serving": (["server.listen = 127.0.0.1:1"], "server.listen", "no such setting"),
    "an application of its own": (["app.import = a:b"], "app.import", "no such setting"),
    "a misspelt name in a table": (["issuer.maximum_per_ower = 5"], "issuer.maximum_per_ower", "maximum_per_owner"),
    "a number that is none": (["issuer.maximum_per_owner = five"], "issuer.maximum_per_owner", "whole number"),
    "a second setting in the lines of one": (["realm = 5\n  other = 7"], "realm", "can't be printed"),
    "a value below a value": (["issuer = 5", "issuer.creators = a"], "issuer.creators", "no table"),
    "a value below a list": (["accept = bearer", "accept.x = 1"], "accept.x", "no table"),
    "a policy said twice": (["policy = policy.toml", "policy.file = other.toml"], "policy.file", "the same as policy"),
    "an empty list": (["accept ="], "accept", "at least 1"),
    "a file that is no text": (["directory = static:binary.toml"], "{folder}/binary.toml", "is not TOML"),
    "a settings file that is no text": (["config = binary.toml"], "config", "can't be read"),
    "an empty value": (["realm ="], "realm", "must not be empty"),
    "a name that ends in a dot": (["issuer. = 5"], "issuer.", "no such setting"),
    "a name of a dot": ([". = 5"], ".", "no such setting"),
    "brackets without end": (["keep_credential = " + "[" * 20_000], "keep_credential", "must be true or false"),
    "a policy that is not there": (["policy = other.toml"], "{folder}/other.toml", "No such file"),
    "a policy that is a folder": (["policy = ."], "{folder}", "directory"),
    "a settings file that is not there": (["config = other.toml"], "config", "other.toml can't be read: No such file"),
    "a store of no kind": (["store = sqlit:///tokens.db"], "store", "sqlit"),
    "a carrier that is none": (["accept = bearer cookie"], "accept", "cookie"),
    "a directory that is not there": (["directory = static:owners.toml"], "{folder}/owners.toml", "No such file"),
}


@pytest.mark.parametrize(("lines", "name", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_as_in_the_ini_file(folder: Path, lines: list[str], name: str, words: str) -> None:
    """The setting, and what is wrong with it."""
    (folder / "binary.toml").write_bytes(b"\xff\xfe")
    store = [] if lines[0].startswith(("store", "config")) else ["store = memory:"]

    told = wrong(folder, *store, *lines)

    assert words in told[name.replace("{folder}", str(folder))]


def test_all_that_is_wrong_is_told_at_once(folder: Path) -> None:
    """Before anything is served, and nothing but that."""
    (folder / "policy.toml").write_text('[[rule]]\npath = "/a"\nscops = []\n')

    told = wrong(folder, "policy = policy.toml", "acept = bearer", "missing = maybe", "cache.tokens = 0", "realms = x")

    assert set(told) == {
        *("store", "acept", "realms", "missing", "cache.tokens"),
        *(name for name in told if name.startswith(f"{folder}/policy.toml: rule[0]")),
    }
    assert len(told) > 5


def test_a_settings_file_with_problems_of_its_own(folder: Path) -> None:
    """What stands in it keeps its name there; a value where a table should be is told as well."""
    (folder / "patmiddleware.toml").write_text('middleware = 5\n[store]\nurl = "memory:"\n[issuer]\ncreator = []\n')

    told = wrong(folder, "config = patmiddleware.toml", "realm = x")

    assert {"issuer.creator", "realm", "middleware"} == told.keys()


@pytest.mark.parametrize("name", ["policy", "directory.url", "missing"])
def test_a_setting_that_pastedeploy_hides(folder: Path, name: str) -> None:
    """A name of [DEFAULT] is left out of every section without a word: no policy gets lost like that."""
    told = wrong(folder, "store = memory:", f"{name} = policy.toml", default=f"[DEFAULT]\n{name} = reject\n")

    assert "[DEFAULT]" in told[name]


def test_a_setting_of_default_on_purpose(folder: Path) -> None:
    """``get policy = policy`` takes it from there; names that are not ours don't matter."""
    default = "[DEFAULT]\npolicy = policy.toml\ndebug = true\ncache.dir = /tmp\n"

    app = TestApp(gated(folder, "store = file:tokens.jsonl", "get policy = policy", default=default))

    app.authorization = ("Bearer", secret(folder, "read"))
    assert app.post("/", status=403)


def test_no_secret_of_an_address_is_told(folder: Path) -> None:
    """A password in an address stays out of what is said of it."""
    told = wrong(folder, "store = postgresql://gate:hunter2@localhost/x?nonsense=1", "acept = bearer")

    assert "hunter2" not in repr(told)


def test_another_entry_point_is_none(folder: Path) -> None:
    """PasteDeploy says that there is no such one."""
    with pytest.raises(LookupError, match="'other' not found in egg 'patmiddleware'"):
        loaded(folder, PIPELINE + GATE.replace("egg:patmiddleware", "egg:patmiddleware#other") + APP)


def test_the_factories_without_an_ini_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called by hand, paths start at the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY)

    one = filter_app_factory(whoami(None), {}, store="memory:", policy="policy.toml")
    other = filter_factory(None, store="memory:", policy="policy.toml")(whoami(None))

    assert one.policy is not None
    assert other.policy is not None
