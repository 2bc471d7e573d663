"""``examples/ldap_linked`` works as its README says: tokens in SQLite, whose owners are people of a real slapd."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from following import EXAMPLES, Walk, code_lines
from services.running import Service, folder, free_port, listens, program

from patmiddleware.config import Config

pytest.importorskip("ldap", reason="needs the extra ldap")
pytest.importorskip("sqlalchemy", reason="needs the extra sql")
pytest.importorskip("waitress", reason="needs the extra server")

PATIENCE = 30.0
"""Seconds in which a change of the directory must have arrived; it is 5 by the settings."""
PEOPLE = ("alice", "bob", "carol")


class Site:
    """The example, running.

    Attributes:
        walk: the way through its README.
        slapd: the LDAP server.
    """

    def __init__(self, walk: Walk, slapd: Service) -> None:
        self.walk, self.slapd = walk, slapd

    def ask(self, name: str, method: str = "GET") -> str:
        """Give what the README's ``curl`` line says to somebody: a greeting, or the reason of the refusal."""
        post = method == "POST"
        [line] = [each for each in self.walk.lines("curl ") if f"$(cat {name})" in each and ("-X POST" in each) == post]
        said = self.walk.run(line)
        return said.strip() if said.startswith("Hello") else kind(json.loads(said))

    def change(self, file: str) -> None:
        """Run the line by which an administrator changes the directory."""
        [line] = [each for each in self.walk.lines("ldapmodify ") if each.endswith(f" {file}")]
        self.walk.run(line)


def kind(problem: dict[str, object]) -> str:
    return str(problem.get("reason") or str(problem["type"]).rpartition(":")[2])


def until(expected: str, ask: Callable[[], str]) -> str:
    """Ask until the answer is the expected one, or for too long; give the last."""
    deadline = time.monotonic() + PATIENCE
    while (said := ask()) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    return said


@pytest.fixture
def site() -> Iterator[Site]:
    """All that the README starts, with the tokens that it makes."""
    for name in ("slapd", "slapadd", "ldapmodify", "curl"):
        program(name)
    ldap, http = free_port(), free_port()
    others = {"127.0.0.1:3890": f"127.0.0.1:{ldap}", "127.0.0.1:8080": f"127.0.0.1:{http}"}
    with folder() as home:
        walk = Walk.through("ldap_linked", home, others, {"LDAP_PASSWORD": password()})
        walk.run(walk.line("mkdir "))
        walk.run(walk.line("/usr/sbin/slapadd "))
        slapd = walk.serve(walk.line("/usr/sbin/slapd "), lambda: listens(ldap))
        slapd.start()
        try:
            walk.run(walk.line("patmiddleware check"))
            for line in walk.lines("patmiddleware token create "):
                walk.run(line)
            gate = walk.serve(walk.line("patmiddleware serve"), lambda: listens(http))
            gate.start()
            try:
                yield Site(walk, slapd)
            finally:
                gate.stop()
        finally:
            slapd.stop()


def password() -> str:
    """Give what the README exports."""
    return Walk(EXAMPLES / "ldap_linked", {}).line("export LDAP_PASSWORD=").partition("=")[2]


def test_groups_are_the_ceiling_and_let_in(site: Site) -> None:
    """The same scope is more for who leads than for who develops, and nothing for who does neither."""
    assert site.ask("alice", "POST") == "Hello alice, you may read and write"
    assert site.ask("bob", "POST") == "insufficient_scope"
    assert site.ask("bob") == "Hello bob, you may read"
    assert site.ask("carol") == "group"


def test_the_directory_takes_power_away(site: Site) -> None:
    """Whose account is locked, or who has left the group, is refused soon after; nobody is let in when it is away."""
    assert site.ask("alice", "POST").startswith("Hello alice")
    assert site.ask("bob").startswith("Hello bob")

    site.change("lock-alice.ldif")
    site.change("remove-bob.ldif")

    assert until("invalid_token", lambda: site.ask("alice", "POST")) == "invalid_token"
    assert until("group", lambda: site.ask("bob")) == "group"

    site.slapd.stop()
    assert until("unavailable", lambda: site.ask("bob")) == "unavailable"


def test_the_settings_are_sound() -> None:
    """Nothing is wrong with them, and nothing unwise."""
    config = Config.from_file(EXAMPLES / "ldap_linked" / "patmiddleware.toml", {"LDAP_PASSWORD": "x"})

    assert config.problems() == ()
    assert config.cautions() == ()


def test_the_example_is_short() -> None:
    """Code, settings and rules are sixty lines."""
    here = EXAMPLES / "ldap_linked"

    assert code_lines(here) + code_lines(here, "*.toml") <= 60


def test_everybody_of_the_readme_is_in_the_directory() -> None:
    """Whom it makes tokens for is in the LDIF."""
    text = (EXAMPLES / "ldap_linked" / "people.ldif").read_text("utf-8")

    assert [name for name in PEOPLE if f"\nuid: {name}\n" not in text] == []
