"""``examples/many_hosts`` works as its README says: two groups of processes over one PostgreSQL, Redis, and nginx."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from following import EXAMPLES, Walk, code_lines
from services.databases import PostgreSQLServer, postgresql
from services.nginx import Front, certificate, nginx
from services.redis import RedisServer, redis
from services.running import Service, folder, free_port, listens, program

from patmiddleware.config import Config

pytest.importorskip("gunicorn", reason="needs gunicorn")
pytest.importorskip("psycopg", reason="needs the extra postgresql")

pytestmark = pytest.mark.slow

HERE = EXAMPLES / "many_hosts"
NAME = "api.example.org"
HOSTS = ("gate1", "gate2")
PATIENCE = 30.0
"""Seconds in which a change must have arrived everywhere; the promise is one."""


@dataclass
class Site:
    """The example, running.

    Attributes:
        walk: the way through its README.
        hosts: the servers by their name.
        database: that has the tokens.
        events: that tells of changes.
    """

    walk: Walk
    hosts: dict[str, Service]
    database: PostgreSQLServer
    events: RedisServer

    def ask(self) -> list[int]:
        """Give what each host answers to the README's ``curl`` lines: by several processes, so ask often."""
        said = [self.walk.run(line) for line in self.walk.lines("curl ") for _ in range(5)]
        return [int(answer.split()[1]) for answer in said]

    def revoke(self) -> None:
        """Run the README's line for it."""
        self.walk.run(self.walk.line("patmiddleware token revoke "))


def until(status: int, ask: Callable[[], list[int]]) -> set[int]:
    """Ask until all answers have a status, or for too long; give the last ones."""
    deadline = time.monotonic() + PATIENCE
    while (found := set(ask())) != {status} and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """All that the README starts, with the token that it makes."""
    program("curl")
    ports = [free_port() for _ in HOSTS]
    with folder() as home, postgresql() as database, redis() as events:
        others = {f"127.0.0.1:{8001 + number}": f"127.0.0.1:{port}" for number, port in enumerate(ports)}
        environment = {"PAT_STORE": database.new_database(), "PAT_EVENTS": events.url}
        walk = Walk.through("many_hosts", home, others, environment)
        walk.run(walk.line("patmiddleware check"))
        walk.run(walk.line("patmiddleware token create "))
        starting = [walk.line(f"HOST_NAME={name} ") for name in HOSTS]
        hosts = [walk.serve(line, lambda port=port: listens(port)) for line, port in zip(starting, ports, strict=True)]
        try:
            for host in hosts:
                host.start()
            yield Site(walk, dict(zip(HOSTS, hosts, strict=True)), database, events)
        finally:
            for host in hosts:
                host.stop()


@pytest.mark.parametrize("away", [False, True], ids=["with Redis", "without Redis"])
def test_what_is_revoked_by_a_command_is_refused_on_both_hosts(site: Site, away: bool) -> None:
    """By every process of each, also while nobody carries the word."""
    if away:
        site.events.stop()
    assert set(site.ask()) == {200}

    site.revoke()

    assert until(401, site.ask) == {401}


def test_nobody_comes_in_while_the_database_is_away(site: Site) -> None:
    """All hosts say so, are healthy all the same, and go on when it is back."""
    assert set(site.ask()) == {200}

    site.database.stop()
    assert until(503, site.ask) == {503}
    [line, _] = site.walk.lines("curl ")
    assert site.walk.run(line.partition(" -H ")[0] + " " + line.split()[-1] + "health").startswith("HTTP/1.1 200")

    site.database.start()
    assert until(200, site.ask) == {200}


@pytest.fixture
def front(site: Site) -> Iterator[Front]:
    """The example's nginx before both hosts."""
    home, port = site.walk.home, free_port()
    made = certificate(home, NAME)
    text = (home / "nginx.conf").read_text("utf-8").replace("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;")
    text = re.sub(r"/etc/ssl/certs/\S+\.pem", str(made[0]), text)
    (home / "api.conf").write_text(re.sub(r"/etc/ssl/private/\S+\.key", str(made[1]), text))
    with nginx(home, port, made[0], home / "api.conf") as running:
        yield running


def test_a_host_that_is_away_is_passed_over(site: Site, front: Front) -> None:
    """Requests go to both, and to the one that is left."""
    line = f"Authorization: Bearer {(site.walk.home / 'token').read_text().strip()}"

    def answered() -> set[str]:
        answers = [front.ask(NAME, "/", line) for _ in range(10)]
        assert {answer.status for answer in answers} == {200}
        return {answer.body.decode().rpartition(" ")[2].strip() for answer in answers}

    assert answered() == set(HOSTS)
    site.hosts["gate1"].stop()
    assert answered() == {"gate2"}


def test_the_settings_are_sound() -> None:
    """Nothing is wrong with them, and nothing unwise."""
    environ = {"PAT_STORE": "postgresql://gate@db/tokens", "PAT_EVENTS": "redis://redis:6379/0"}
    config = Config.from_file(HERE / "patmiddleware.toml", environ)

    assert config.problems() == ()
    assert config.cautions() == ()


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """It knows every line."""
    tool, unit = program("systemd-analyze"), tmp_path / "patmiddleware.service"
    text = (HERE / "patmiddleware.service").read_text("utf-8")
    unit.write_text(text.replace("/opt/patmiddleware/bin/gunicorn", sys.executable))

    done = subprocess.run([tool, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert "Unknown" not in done.stderr


def test_the_example_is_short() -> None:
    """Code, settings and rules are sixty lines."""
    assert code_lines(HERE) + code_lines(HERE, "*.toml") <= 60
