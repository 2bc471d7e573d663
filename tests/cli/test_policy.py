"""``patmiddleware policy``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Place


def test_check_of_a_sound_policy(place: Place) -> None:
    """What is set is judged, and counted."""
    assert place.json("policy", "check") == {"rules": 3, "scopes": ["read", "write"], "warnings": []}


def test_check_of_a_file_tells_all_problems(place: Place) -> None:
    """Every problem of the file at once, and exit code 2."""
    (place.folder / "bad.toml").write_text('[[rule]]\npath = "/a"\nscops = []\n[[rule]]\neffect = "alow"\npath = "a"\n')

    result = place.run("policy", "check", str(place.folder / "bad.toml"))

    assert result.exit_code == 2
    for words in ("rule[0].scops", "did you mean 'scopes'?", "rule[1].effect", "rule[1].path"):
        assert words in result.stderr


def test_check_without_a_policy(place: Place) -> None:
    """Where none is set, it says what to write."""
    place.config.write_text('[store]\nurl = "memory:"\n')

    result = place.run("policy", "check")

    assert result.exit_code == 1
    assert "[policy]" in result.stderr


def test_explain_of_an_allowed_request(place: Place) -> None:
    """The rule that lets it pass, and what it asks for."""
    id = place.token()["token"]["id"]

    told = place.json("policy", "explain", "GET", "/issue/OPS-1", "--token", id)

    assert (told["decision"], told["rule"]) == ("allowed", "read")
    assert [(step["rule"], step["outcome"]) for step in told["steps"]] == [("read", "holds"), ("write", "passed over")]


def test_explain_of_a_refused_request(place: Place) -> None:
    """Why, by which rule, and which scope would have been enough."""
    id = place.token()["token"]["id"]

    told = place.json("policy", "explain", "POST", "/issue/OPS-1", "--token", id)
    words = place.run("policy", "explain", "POST", "/issue/OPS-1", "--token", id).stdout

    assert (told["decision"], told["reason"], told["rule"]) == ("denied", "insufficient_scope", "write")
    assert (told["needed"], told["held"]) == (["write"], ["read"])
    assert words.startswith(f"Refused: POST /issue/OPS-1 with token {id} of alice: insufficient_scope")


def test_explain_without_a_token(place: Place) -> None:
    """A request that brings none: allowed where it is public, else missing."""
    assert place.json("policy", "explain", "GET", "/status")["decision"] == "allowed"
    assert place.json("policy", "explain", "GET", "/issue/OPS-1")["reason"] == "missing"


def test_explain_of_tokens_that_are_no_longer_good(place: Place) -> None:
    """What the resolver would refuse is told as such, and no rule is asked."""
    revoked, inactive = place.token()["token"]["id"], place.token(owner="bob")["token"]["id"]
    expired = place.token()["token"]["id"]
    place.run("token", "rotate", expired, "--overlap", "0s")
    place.run("token", "revoke", revoked)

    def reason(id: str) -> tuple[str, int]:
        told = place.json("policy", "explain", "GET", "/issue/OPS-1", "--token", id)
        return told["reason"], len(told["steps"])

    assert reason(revoked) == ("revoked", 0)
    assert reason(inactive) == ("owner_inactive", 0)
    assert reason(expired) == ("expired", 0)


def test_explain_looks_at_the_networks_of_the_token_first(place: Place) -> None:
    """A token's own networks come before every rule."""
    id = place.token(network="10.0.0.0/8")["token"]["id"]

    def explain(*words: str) -> str:
        told = place.json("policy", "explain", "GET", "/issue/OPS-1", "--token", id, *words)
        return str(told.get("reason", told["decision"]))

    assert explain() == "network"
    assert explain("--address", "192.0.2.1") == "network"
    assert explain("--address", "10.1.2.3") == "allowed"


def test_explain_looks_at_limits(place: Place) -> None:
    """A token that is limited to a project opens no other one."""
    id = place.token(limit="project=OPS")["token"]["id"]

    assert place.json("policy", "explain", "GET", "/issue/OPS-1", "--token", id)["decision"] == "allowed"
    assert place.json("policy", "explain", "GET", "/issue/WEB-1", "--token", id)["reason"] == "limit"


def test_explain_takes_the_path_as_it_goes_over_the_wire(place: Place) -> None:
    """Percent-encoded, and without the query, which no rule sees."""
    result = place.run("policy", "explain", "GET", "/%73tatus?full=1")

    assert result.stdout.startswith("Allowed: GET /status")
    assert "never see the query" in result.stderr


@pytest.mark.parametrize("path", ["status", "//status", "/a/../status", "/a%2e%2e/..", "/a;b", "/a\\b", "/%2561"])
def test_explain_of_an_ambiguous_path(place: Place, path: str) -> None:
    """What the middleware would not judge is told as wrong usage."""
    result = place.run("policy", "explain", "GET", path)

    assert result.exit_code == 2
    assert "ambiguous" in result.stderr


def test_explain_of_an_unknown_token(place: Place) -> None:
    """A token that is not there: exit code 1."""
    place.token()

    assert place.run("policy", "explain", "GET", "/status", "--token", "nope").exit_code == 1
