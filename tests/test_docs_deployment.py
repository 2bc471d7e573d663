"""What the page on deployment shows of nginx and gunicorn works as it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from following import EXAMPLES, Walk
from services.jira_site import answers
from services.nginx import Front, certificate, nginx
from services.running import folder, free_port, program

from patmiddleware import Issuer, open_store
from patmiddleware.policy import Policy

pytest.importorskip("gunicorn", reason="needs gunicorn")
pytest.importorskip("sqlalchemy", reason="needs the extra sql")

PAGE = EXAMPLES.parent / "docs" / "deployment.md"
NAME = "api.example.org"
SETTINGS = """
[middleware]
trusted_proxies = ["unix"]
[store]
url = "sqlite:///tokens.db"
[policy]
file = "policy.toml"
[app]
import = "app:application"
"""
POLICY = """
[scopes.read]
[[rule]]
path = "/**"
scopes = ["read"]
[[rule]]
effect = "require"
path = "/inside/**"
networks = ["10.0.0.0/8"]
"""


def placed(home: Path, port: int, made: tuple[Path, Path]) -> Path:
    """Write the page's block for nginx with other places in it, and nothing else changed."""
    [text] = re.findall(r"```nginx\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    for place, other in {
        "/run/patmiddleware/gunicorn.sock": f"{home}/gunicorn.sock",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/certs/api.example.org.pem": str(made[0]),
        "/etc/ssl/private/api.example.org.key": str(made[1]),
    }.items():
        assert place in text
        text = text.replace(place, other)
    (home / "api.conf").write_text(text)
    return home / "api.conf"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Front, str]]:
    """The site, and a token."""
    program("nginx")
    with folder() as home:
        (home / "patmiddleware.toml").write_text(SETTINGS)
        (home / "policy.toml").write_text(POLICY)
        (home / "app.py").write_text((EXAMPLES / "many_hosts" / "app.py").read_text("utf-8"))
        store = open_store(f"sqlite:///{home}/tokens.db")
        issuer = Issuer(store, policy=Policy.from_file(home / "policy.toml"))
        secret = issuer.mint(owner="alice", name="ci", scopes={"read"}).secret
        [line] = re.findall(r"^PATMIDDLEWARE_CONFIG=\S+ gunicorn .*$", PAGE.read_text("utf-8"), re.MULTILINE)
        walk = Walk(home, {"/run/patmiddleware": str(home), "/etc/patmiddleware": str(home)})
        gunicorn = walk.serve(walk.placed(line), lambda: answers(home / "gunicorn.sock"))
        gunicorn.start()
        try:
            port, made = free_port(), certificate(home, NAME)
            with nginx(home, port, made[0], placed(home, port, made)) as front:
                yield front, secret
        finally:
            gunicorn.stop()


@pytest.mark.parametrize(
    ("target", "status"),
    [("/a/b", 200), ("/a%2Fb", 400), ("/a//b", 400), ("/a/../b", 400), ("/a/%2e%2e/b", 400), ("/a;x", 400)],
)
def test_a_path_arrives_as_it_was_sent(running: tuple[Front, str], target: str, status: int) -> None:
    """nginx repairs none, so the gate sees what is odd."""
    front, secret = running

    assert front.ask(NAME, target, f"Authorization: Bearer {secret}").status == status


def test_a_client_does_not_say_where_it_comes_from(running: tuple[Front, str]) -> None:
    """What it sends of forwarded addresses is not handed on."""
    front, secret = running

    for header in ("X-Forwarded-For: 10.0.0.1", "X_Forwarded_For: 10.0.0.1", "Forwarded: for=10.0.0.1"):
        assert front.ask(NAME, "/inside/x", f"Authorization: Bearer {secret}", header).status == 403


def test_no_token_is_refused(running: tuple[Front, str]) -> None:
    """By the gate, with the id that nginx gave the request."""
    front, _ = running

    found = front.ask(NAME, "/a/b", "X-Request-ID: mine")

    assert found.status == 401
    assert re.search(rb'"request_id": "[0-9a-f]{32}"', found.body)
