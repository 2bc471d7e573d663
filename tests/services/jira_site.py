"""What ``examples/jira_forwarder`` shows, running: nginx, gunicorn, the gate, and a stand-in for Jira."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gunicorn.config import make_settings
from services.jira import JiraServer, application_link, jira, key_pair
from services.nginx import Front, certificate, nginx
from services.running import Service, folder, free_port

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "jira_forwarder"
CREDENTIALS = "/run/credentials/patmiddleware.service"
API, JIRA = "api.example.org", "jira.example.org"


def settings(home: Path, public: str = API, upstream: str = "") -> Path:
    """Write the settings with their folders below another one; with an upstream, for it and without LDAP."""
    text = (EXAMPLE / "patmiddleware.toml").read_text("utf-8")
    for place in (CREDENTIALS, "/var/lib/patmiddleware", "/var/log/patmiddleware"):
        assert place in text
        (home / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
        text = text.replace(place, f"{home}{place}")
    for name, secret in (("jira-key", key_pair()[0]), ("ldap-password", "a password")):
        file = home / CREDENTIALS.lstrip("/") / name
        file.touch(0o600)
        file.write_text(secret)
    if upstream:
        text = text.replace(f'upstream = "https://{JIRA}"', f'upstream = "{upstream}"\nbase_urls = ["https://{JIRA}"]')
        text = text.replace(f'public_url = "https://{API}"', f'public_url = "https://{public}"')
        text = re.sub(r"\[directory\].*?(?=\n\[)", '[directory]\nurl = "static:owners.toml"\n', text, flags=re.DOTALL)
        (home / "owners.toml").write_text("[owners.alice]\n")
    path = home / "patmiddleware.toml"
    path.write_text(text)
    return path


def started(home: Path) -> list[str]:
    """Give the command of the unit, with its folders below another one."""
    unit = (EXAMPLE / "patmiddleware.service").read_text("utf-8").replace("\\\n", "")
    found = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert found is not None
    words = [word.replace("/run/patmiddleware", str(home)) for word in shlex.split(found[1])]
    if "control_socket_disable" not in make_settings():  # an older gunicorn has none
        words.remove("--no-control-socket")
    return [sys.executable, "-m", "gunicorn", *words[1:]]


@dataclass
class Site:
    """A running site.

    Attributes:
        home: folder of its settings.
        front: nginx.
        jira: the stand-in behind it all.
        host: where programs come in.
    tokens: that were made, by their scope.
    """

    home: Path
    front: Front
    jira: JiraServer
    host: str
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, scope: str) -> str:
        """Give a token of alice's, made as the README says."""
        if scope not in self.tokens:
            command = ["token", "create", "--owner", "alice", "--name", "ci", "--scopes", scope]
            config = ["--config", str(self.home / "patmiddleware.toml")]
            made = subprocess.run(
                [sys.executable, "-m", "patmiddleware", *command, *config],
                capture_output=True, text=True, check=True, timeout=60,
            )  # fmt: skip
            self.tokens[scope] = made.stdout.strip()
        return self.tokens[scope]

    def audited(self, request_id: str) -> dict[str, object]:
        """Wait for the audit to tell of a decision."""
        path = self.home / "var/log/patmiddleware/audit.jsonl"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for line in path.read_text().splitlines() if path.exists() else ():
                told: dict[str, object] = json.loads(line)
                if (told["event"], told.get("request_id")) == ("decision", request_id):
                    return told
            time.sleep(0.02)
        raise AssertionError("the audit says nothing of it")


@contextmanager
def site(placement: str, host: str, changes: Mapping[str, str] | None = None) -> Iterator[Site]:
    """Run a site as the example has it.

    Args:
        placement: which of its files for nginx.
        host: where programs come in.
        changes: what stands in its settings, to what takes the place of that.
    """
    link = application_link("patmiddleware", impersonation=True)
    with folder() as home, jira(base_url=f"https://{JIRA}", links=[link]) as server:
        config = settings(home, host, server.url)
        for before, after in (changes or {}).items():
            assert before in config.read_text()
            config.write_text(config.read_text().replace(before, after))
        gunicorn = Service(
            started(home), home / "gunicorn.log", lambda: answers(home / "gunicorn.sock"),
            environment={"PATMIDDLEWARE_CONFIG": str(config)},
        )  # fmt: skip
        gunicorn.start()
        try:
            port, made = free_port(), certificate(home, API, JIRA)
            includes = placed(placement, home, port, made, server.server.server_address[1])
            with nginx(home, port, made[0], *includes) as front:
                yield Site(home, front, server, host)
        finally:
            gunicorn.stop()


def placed(placement: str, home: Path, port: int, made: tuple[Path, Path], behind: int) -> list[Path]:
    """Write the files for nginx with other places in them, and nothing else changed."""
    others = {
        "/run/patmiddleware/": f"{home}/",
        "127.0.0.1:8080": f"127.0.0.1:{behind}",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "snippets/": f"{home}/",
    }
    written = []
    for name in ("patmiddleware-proxy.conf", "patmiddleware.conf", f"{placement}.conf"):
        text = (EXAMPLE / "nginx" / name).read_text("utf-8")
        for place, other in others.items():
            text = text.replace(place, other)
        text = re.sub(r"/etc/ssl/certs/\S+\.pem", str(made[0]), text)
        text = re.sub(r"/etc/ssl/private/\S+\.key", str(made[1]), text)
        written.append(home / name)
        written[-1].write_text(text)
    return written[1:]


def answers(path: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
