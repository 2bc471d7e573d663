"""What the pages about Jira show works as it stands: settings, policies, keys, and lines for curl."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import ROOT
from pages import blocks as blocks_of
from pages import lines as lines_of
from services.jira import key_pair
from services.jira_site import API, JIRA, Site, site
from services.nginx import certificate
from services.running import program

from patmiddleware.config import Config, open_parts
from patmiddleware.policy import Policy

PAGES = [*sorted((ROOT / "docs").glob("jira*.md")), ROOT / "examples" / "jira_forwarder" / "README.md"]
STORE = '[store]\nurl = "sqlite:///tokens.db"\n'


def blocks(language: str) -> list[Any]:
    """Give the code blocks of a language, each as a parameter that is named by its page and its line there."""
    found = [block for page in PAGES for block in blocks_of(page, language)]
    return [pytest.param(block.text, id=f"{block.page.stem}-{block.line}") for block in found]


def lines(beginning: str) -> list[str]:
    """Give the lines of the console blocks that begin with a word."""
    return [line for page in PAGES for line in lines_of(page) if line.startswith(beginning)]


def secret_for(name: str) -> str:
    """Give what stands in a place for a secret."""
    if "VAULT" in name:
        return b64encode(os.urandom(32)).decode()
    return key_pair()[0] if name.endswith((".pem", "key")) else "a-secret"


def written(text: str, folder: Path, vouching: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Give the settings of a block, with what they name beside them in a folder; and the environment."""
    for name in re.findall(r'\{file = "([^"]+)"\}', text):
        file = folder / Path(name).name
        file.touch(0o600)
        file.write_text(secret_for(name))
        text = text.replace(name, file.name)
    (folder / "owners.toml").write_text("[owners.alice]\n")
    (folder / "policy.toml").write_text('[[preset]]\nname = "jira"\n')
    shutil.copy(vouching, folder / "ca.pem")
    given = tomllib.loads(text if "[store]" in text else STORE + text)
    return given, {name: secret_for(name) for name in re.findall(r'\{env = "(\w+)"\}', text)}


@pytest.fixture(scope="module")
def vouching(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate."""
    return certificate(tmp_path_factory.mktemp("vouching"), "jira.internal")[0]


@pytest.mark.parametrize("text", blocks("toml"))
def test_settings_are_sound(text: str, tmp_path: Path, vouching: Path) -> None:
    """Each block is sound, and what it names can be opened; or it is a policy."""
    if "[[rule]]" in text or "[[preset]]" in text:
        assert Policy.from_dict(tomllib.loads(text)).rules
        return
    given, environ = written(text, tmp_path, vouching)

    path = tmp_path / "patmiddleware.toml"
    config = Config.from_dict(given, path, environ)
    assert config.problems() == ()

    if "app" not in given:  # the rest is what is shown
        given["app"] = {"import": "patmiddleware.demo.jira:application"}
    if not str(given.get("directory", "")).count("ldap"):  # which needs a server
        assert open_parts(Config.from_dict(given, path, environ)).problems == ()


def test_keys_are_made_as_shown(tmp_path: Path, vouching: Path) -> None:
    """Each ``openssl`` line does what it says, where those before it left off."""
    shutil.copy(vouching, tmp_path / "jira.crt")
    etc = "/etc/patmiddleware/secrets/"

    for line in [*lines("openssl "), *lines("sudo openssl ")]:
        words = shlex.split(line.removeprefix("sudo ").replace(etc, ""))
        subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=60)

    assert (tmp_path / "jira.pub").read_text().startswith("-----BEGIN PUBLIC KEY-----")
    assert "RSA PRIVATE KEY" in (tmp_path / "jira-key").read_text()


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    """The example, with sessions too."""
    program("nginx")
    accept = 'accept = ["bearer", "basic"]'
    with site("api-host", API, {accept: accept.replace("]", ', "session"]')}) as found:
        yield found


def test_what_is_shown_for_curl_is_answered(running: Site, tmp_path: Path) -> None:
    """Each ``curl`` line to where programs come in, in order: all but one pass."""
    curl, token = program("curl"), running.token("READ")
    ports = "\n".join(f'connect-to = "{host}:443:127.0.0.1:{running.front.port}"' for host in (API, JIRA))
    (tmp_path / ".curlrc").write_text(f'cacert = "{running.home}/certificate.pem"\n{ports}\nfail\nsilent\n')
    shown = [line for line in lines("curl ") if f"https://{API}/" in line]
    assert len(shown) >= 8

    for line in shown:
        words = shlex.split(line.replace("TOKEN", token))[1:]
        done = subprocess.run(
            [curl, *words], cwd=tmp_path, env={"CURL_HOME": str(tmp_path), "HOME": str(tmp_path)},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        expected = "403" if words[-1].endswith("/issue") else "200"
        assert done.stdout.strip() == expected if "%{http_code}\\n" in words else done.returncode == 0, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    """To files that are there, and to headings of theirs."""
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if heading:
            assert heading in anchors(file), target


def anchors(page: Path) -> set[str]:
    """Give the names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
