"""``patmiddleware token``."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from patmiddleware import Grant, Issuer, open_store
from patmiddleware.interfaces import TokenStore
from patmiddleware.model import Revocation, Token, Use

if TYPE_CHECKING:
    from conftest import Place


def test_create_prints_the_secret_alone(place: Place) -> None:
    """The secret can be caught in a shell variable: all other words go to standard error."""
    result = place.run("token", "create", "--owner", "alice", "--name", "ci", "--scopes", "read, write")

    assert result.exit_code == 0
    assert re.fullmatch(r"pat_[0-9A-Za-z]{38}\n", result.stdout)
    assert "for alice, named 'ci'" in result.stderr
    assert "Scopes: read, write." in result.stderr


def test_create_makes_a_missing_store_and_says_so(place: Place) -> None:
    """The first token makes the store."""
    first = place.run("token", "create", "--owner", "alice", "--name", "a", "--scopes", "read")
    second = place.run("token", "create", "--owner", "alice", "--name", "b", "--scopes", "read")

    assert f"There was no store at {place.folder / 'tokens.db'} yet: made a new one." in first.stderr
    assert "made a new one" not in second.stderr


def test_create_takes_every_option(place: Place) -> None:
    """Expiry, networks and limits reach the record; a repeated limit adds to it."""
    networks = ["--network", "10.0.0.0/8", "--network", "2001:db8::/32"]
    words = ["--expires", "12h", *networks, "--limit", "project=OPS,WEB", "--limit", "project=HR"]
    made = place.json("token", "create", "--owner", "alice", "--name", "x", "--scopes", "read", *words)["token"]

    assert made["networks"] == ["10.0.0.0/8", "2001:db8::/32"]
    assert made["limits"] == {"project": ["HR", "OPS", "WEB"]}
    assert made["expires"] > made["created"]


def test_create_notes_an_owner_whose_tokens_are_refused(place: Place) -> None:
    """A token for somebody who is not active, or not known, is made, and the operator told."""
    inactive = place.run("token", "create", "--owner", "bob", "--name", "x", "--scopes", "read")
    unknown = place.run("token", "create", "--owner", "zoe", "--name", "x", "--scopes", "read")

    assert "bob is not active in the directory" in inactive.stderr
    assert "zoe is not known to the directory" in unknown.stderr


def test_create_notes_a_limit_that_no_rule_knows(place: Place) -> None:
    """A misspelt one has the token refused nearly everywhere."""
    made = [
        place.run("token", "create", "--owner", "alice", "--name", "x", "--scopes", "read", "--limit", f"{name}=OPS")
        for name in ("project", "projct")
    ]

    assert "captures" not in made[0].stderr
    assert "no rule captures 'projct', so that limit has the token refused" in made[1].stderr
    assert "did you mean 'project'?" in made[1].stderr


REFUSED = {
    "unknown scope": (["--scopes", "reed"], 1, "did you mean 'read'?"),
    "too long a life": (["--scopes", "read", "--expires", "400d"], 1, "is too long"),
    "no end": (["--scopes", "read", "--expires", "never"], 1, "no expiry is too long"),
    "no duration": (["--scopes", "read", "--expires", "soon"], 2, "'soon' is no duration"),
    "no network": (["--scopes", "read", "--network", "here"], 1, "'here' is not a network"),
    "no limit": (["--scopes", "read", "--limit", "project"], 2, "'project' is no limit"),
    "empty limit": (["--scopes", "read", "--limit", "project=,"], 2, "'project=,' is no limit"),
    "control character": (["--scopes", "read", "--name", "a\x1b[31mb"], 1, "control character"),
    "half a character": (["--scopes", "read", "--name", "a\udcffb"], 1, "half a character"),
}


@pytest.mark.parametrize(("words", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_create_refuses(place: Place, words: list[str], code: int, message: str) -> None:
    """What can't be made is told in one sentence, and nothing is made."""
    result = place.run("token", "create", "--owner", "alice", "--name", "x", *words)

    assert result.exit_code == code
    assert message in result.stderr
    assert place.run("token", "list", "--json").stdout.count('"id"') == 0


def test_list_shows_each_token_on_a_line(place: Place) -> None:
    """A pipe gets one line a token, in full width, without a secret."""
    first, second = place.token(name="one"), place.token(name="two", scopes="read,write")
    place.run("token", "revoke", second["token"]["id"])

    lines = place.run("token", "list").stdout.splitlines()

    assert lines[0].split() == ["ID", "OWNER", "NAME", "SCOPES", "EXPIRES", "LAST", "USED", "STATE"]
    assert lines[1].split()[:4] == [first["token"]["id"], "alice", "one", "read"]
    assert lines[2].split()[-1] == "revoked"
    assert first["secret"] not in "".join(lines)


def test_list_filters(place: Place) -> None:
    """By owner, by state, and by number."""
    live, revoked = place.token()["token"]["id"], place.token()["token"]["id"]
    place.token(owner="bob")
    place.run("token", "revoke", revoked)

    def ids(*words: str) -> set[str]:
        return {each["id"] for each in place.json("token", "list", *words)["tokens"]}

    assert ids("--owner", "alice") == {live, revoked}
    assert ids("--owner", "alice", "--live") == {live}
    assert ids("--revoked") == {revoked}
    assert len(ids("--limit", "2")) == 2
    assert ids("--owner", "nobody") == set()


def test_a_name_can_not_write_to_the_terminal(place: Place) -> None:
    """What is in the store is shown with its control characters spelled out, wherever it came from."""
    from patmiddleware.backends import open_store
    from patmiddleware.model import Token

    place.run("store", "init")
    store = open_store(f"sqlite:///{place.folder / 'tokens.db'}")
    store.add(Token(id="evil", owner="alice", name="\x1b]0;title\x07"), "secret-of-evil")

    shown = place.run("token", "list").stdout + place.run("token", "show", "evil").stdout

    assert "\x1b" not in shown
    assert shown.count(r"\x1b]0;title\x07") == 2


def test_show_tells_all_but_the_secret(place: Place) -> None:
    """All that is kept is shown, and no digest."""
    made = place.token(name="shown")

    told = place.json("token", "show", made["token"]["id"])["token"]
    words = place.run("token", "show", made["token"]["id"]).stdout

    assert told == made["token"]
    assert "shown" in words
    assert made["secret"] not in words + json.dumps(told)
    assert "digest" not in words


def test_show_of_an_unknown_id_is_refused(place: Place) -> None:
    """An id that is not there is not found: exit code 1; what was given is not shown, for it may be a secret."""
    place.run("store", "init")

    result = place.run("token", "show", "pat_not_an_id")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "pat_not_an_id" not in result.stderr
    assert "patmiddleware token list" in result.stderr


def test_rotate_by_id(place: Place) -> None:
    """The operator names the token; the successor has a new secret, and the old one is told."""
    old = place.token()

    new = place.json("token", "rotate", old["token"]["id"], "--overlap", "0s")

    assert new["secret"] != old["secret"]
    assert new["token"]["replaces"] == old["token"]["id"]
    assert place.json("token", "show", old["token"]["id"])["token"]["state"] == "expired"


def test_rotate_by_secret(place: Place) -> None:
    """The holder shows the secret on the standard input."""
    old = place.token()

    new = place.json("token", "rotate", "--secret", "-", stdin=old["secret"] + "\n")

    assert new["token"]["replaces"] == old["token"]["id"]


ROTATE_WRONG = {
    "nothing": ([], "", "name a token by its ID"),
    "both": (["x", "--secret", "-"], "pat_x", "name a token by its ID"),
    "secret on the command line": (["--secret", "pat_hunter2"], "", "others can see a command line"),
    "no secret": (["--secret", "-"], "\n", "there is no secret on the standard input"),
}


@pytest.mark.parametrize(("words", "stdin", "message"), ROTATE_WRONG.values(), ids=ROTATE_WRONG)
def test_rotate_is_told_how(place: Place, words: list[str], stdin: str, message: str) -> None:
    """Wrong usage is exit code 2; a secret from the command line is not shown again."""
    result = place.run("token", "rotate", *words, stdin=stdin)

    assert result.exit_code == 2
    assert message in result.stderr
    assert "hunter2" not in result.output


def test_revoke_by_ids(place: Place) -> None:
    """Several at once, with the reason and who did it on record."""
    ids = [place.token()["token"]["id"], place.token()["token"]["id"]]

    told = place.json("token", "revoke", *ids, "--why", "left")

    assert sorted(told["revoked"]) == sorted(ids)
    assert place.json("token", "show", ids[0])["token"]["revoked"]["why"] == "left"


def test_revoke_by_a_user_of_any_name(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is no UTF-8 is written as far as it can be."""
    monkeypatch.setenv("LOGNAME", os.fsdecode(b"j\xf6rg"))
    id = place.token()["token"]["id"]

    told = place.json("token", "revoke", id)

    assert told["revoked"] == [id]
    assert place.json("token", "show", id)["token"]["revoked"]["by"] == "j?rg"


def test_revoke_with_a_wrong_id_changes_nothing(place: Place) -> None:
    """A typing error among the ids is found before one of them is revoked."""
    id = place.token()["token"]["id"]

    result = place.run("token", "revoke", id, "nope")

    assert result.exit_code == 1
    assert place.json("token", "show", id)["token"]["state"] == "live"


def test_revoke_by_owner_by_time_and_by_secret(place: Place) -> None:
    """All of an owner, all from before a time, or the one whose secret is at hand."""
    alice, bob, found = place.token(), place.token(owner="bob"), place.token(owner="carol")

    assert place.json("token", "revoke", "--owner", "alice")["revoked"] == [alice["token"]["id"]]
    assert place.json("token", "revoke", "--secret", "-", stdin=found["secret"])["revoked"] == [found["token"]["id"]]
    assert place.json("token", "revoke", "--before", "2000-01-01")["revoked"] == []
    assert place.json("token", "revoke", "--before", "2999-01-01")["revoked"] == [bob["token"]["id"]]


def test_revoke_again_says_that_nothing_was_live(place: Place) -> None:
    """Revoking twice is no error."""
    id = place.token()["token"]["id"]
    place.run("token", "revoke", id)

    result = place.run("token", "revoke", id)

    assert (result.exit_code, result.stdout) == (0, "Revoked 0 tokens (nothing there was live).\n")


def test_revoke_says_why_there_are_more_than_were_named(place: Place) -> None:
    """A session ends with the token that it was made with."""
    id = place.token()["token"]["id"]
    store = open_store(f"sqlite:///{place.folder / 'tokens.db'}")
    assert isinstance(store, TokenStore)
    session = Issuer(store).open_session(Grant(token_id=id, owner="alice"), timedelta(hours=1)).token.id

    result = place.run("token", "revoke", id)

    ended = "What was made with a token, such as a session, ends with it."
    assert result.stdout == f"Revoked 2 tokens: {id}, {session}. {ended}\n"


REVOKE_WRONG = [
    [],
    ["x", "--owner", "alice"],
    ["--owner", "alice", "--before", "2020-01-01"],
    ["--before", "yesterday"],
]


@pytest.mark.parametrize("words", REVOKE_WRONG)
def test_revoke_is_told_which(place: Place, words: list[str]) -> None:
    """Exactly one way of saying which."""
    assert place.run("token", "revoke", *words).exit_code == 2


def test_acts_are_in_the_audit(place: Place) -> None:
    """What the commands do is written to the audit file, without a secret."""
    made = place.token()
    place.run("token", "revoke", made["token"]["id"], "--why", "test")

    text = (place.folder / "audit.jsonl").read_text()

    assert [json.loads(line)["event"] for line in text.splitlines()] == ["token.created", "token.revoked"]
    assert made["secret"] not in text


def test_commands_on_a_missing_store_say_how_to_make_one(place: Place) -> None:
    """Looking into a store that is not there doesn't make one."""
    result = place.run("token", "list")

    assert result.exit_code == 1
    assert "run 'patmiddleware store init'" in result.stderr
    assert not (place.folder / "tokens.db").exists()


def test_pattern_finds_our_tokens(place: Place) -> None:
    """The pattern matches a secret inside of text, and the store's own prefix is used."""
    secret = place.token()["secret"]

    pattern = place.run("token", "pattern").stdout.strip()

    assert re.findall(pattern, f'token="{secret}"') == [secret]


def test_what_a_record_says_can_not_write_to_the_terminal(place: Place) -> None:
    """Text from elsewhere adds no line and moves no cursor; JSON has it as it is."""
    nasty = "x\x1b[2J\r\nid  forged\u2028\u202e"
    store = open_store(f"sqlite:///{place.folder / 'tokens.db'}")
    assert isinstance(store, TokenStore)
    when = datetime(2026, 4, 15, tzinfo=UTC)
    store.add(Token("t1", nasty, nasty, revoked=Revocation(when, nasty, nasty)), "s" * 40)
    store.record_use({"t1": Use(when, None, nasty)})

    texts = [place.run("token", *words).stdout for words in (["show", "t1"], ["list"])]

    assert all(character.isprintable() for text in texts for line in text.split("\n") for character in line)
    assert not [line for text in texts for line in text.split("\n") if line.startswith("id  forged")]
    assert place.json("token", "show", "t1")["token"]["revoked"]["why"] == nasty
