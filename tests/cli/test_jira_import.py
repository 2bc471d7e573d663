"""``patmiddleware jira import-tokens``."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli.running import request, running
from jira_tokens import as_csv, hashed, row, secret, statements, users_csv
from services.databases import postgresql

from patmiddleware.backends import open_store
from patmiddleware.model import Secret

if TYPE_CHECKING:
    from conftest import Place

PAST = "2026-01-01 00:00:00+00"
ENDS = (datetime.now(UTC) + timedelta(days=100)).replace(hour=12, minute=0, second=0, microsecond=0)
SOON = f"{ENDS:%Y-%m-%d} 12:00:00+00"


def command(place: Place, *words: str, rows: Sequence[dict[str, str | None]] | None = None) -> list[str]:
    """Give the words of an import from a CSV file, which is written here."""
    source, users = place.folder / "tokens.csv", place.folder / "users.csv"
    source.write_text(as_csv(SOME if rows is None else rows), encoding="utf-8", newline="")
    users.write_text(users_csv())
    return ["jira", "import-tokens", str(source), "--users", str(users), *words]


SOME = [row(1, EXPIRING_AT=SOON), row(2, EXPIRING_AT=PAST), row(3, USER_KEY="gone", EXPIRING_AT=SOON)]
GOOD = [row(1, EXPIRING_AT=SOON), row(2, EXPIRING_AT=SOON)]


def kept(place: Place) -> list[tuple[str, str, list[str]]]:
    return [(one["id"], one["owner"], one["scopes"]) for one in place.json("token", "list")["tokens"]]


def test_tokens_come_over(place: Place) -> None:
    """With their ids, names, times and the scopes that they get; the rest is counted, and the unclear listed."""
    result = place.run(*command(place, "--scopes", "read"))

    assert result.exit_code == 1
    assert result.stdout.splitlines()[1:] == [
        "line 4  000000000003  gone   token 3  –       –        –          refused  no user has its USER_KEY 'gone'",
        "Imported 1 token; 0 there already, 1 expired, 1 refused.",
    ]
    shown = place.json("token", "show", "jira-000000000001")["token"]
    assert {name: shown[name] for name in ("owner", "name", "scopes", "created", "expires", "attributes")} == {
        "owner": "alice",
        "name": "token 1",
        "scopes": ["read"],
        "created": "2026-04-15T10:30:00Z",
        "expires": f"{ENDS:%Y-%m-%d}T12:00:00Z",
        "attributes": {"jira.user_key": "JIRAUSER10000"},
    }
    assert shown["last_used"]["at"] == "2026-05-01T08:00:00Z"


def test_a_dry_run_shows_every_row_and_writes_nothing(place: Place) -> None:
    """Not even the store."""
    before = sorted(place.folder.iterdir())

    result = place.run(*command(place, "--scopes", "read,write", "--dry-run"))

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "ROW     TOKEN_ID      OWNER          NAME     SCOPES      EXPIRES           LAST USED         WHAT     WHY",
        f"line 2  000000000001  alice          token 1  read,write  {ENDS:%Y-%m-%d} 12:00  "
        "2026-05-01 08:00  new      –",
        "line 3  000000000002  JIRAUSER10000  token 2  –           –                 –                 expired  –",
        "line 4  000000000003  gone           token 3  –           –                 –                 refused  "
        "no user has its USER_KEY 'gone'",
        "Would import 1 token; 0 there already, 1 expired, 1 refused.",
    ]
    assert {path.name for path in place.folder.iterdir()} - {path.name for path in before} == {
        "tokens.csv",
        "users.csv",
    }


def test_a_dry_run_makes_no_tables_on_a_server(place: Place) -> None:
    """Nor is anything else made there."""
    with postgresql() as server:
        address = server.new_database()
        place.config.write_text(place.config.read_text().replace("sqlite:///tokens.db", address))

        result = place.run(*command(place, "--scopes", "read", "--dry-run", rows=GOOD))

        name = address.rpartition("/")[2]
        assert (result.exit_code, server.run("SELECT count(*) FROM pg_tables WHERE tablename ~ 'patmw'", name)) == (
            0,
            [(0,)],
        )


def test_again_nothing_happens(place: Place) -> None:
    """What is there is counted; what was revoked here stays so."""
    words = command(place, "--scopes", "read", rows=GOOD)
    first = place.json(*words)
    place.run("token", "revoke", "jira-000000000002")

    again, dry = place.json(*words), place.json(*words, "--dry-run")

    counts = [{name: one[name] for name in ("imported", "there", "expired", "refused")} for one in (first, again, dry)]
    assert counts == [
        {"imported": 2, "there": 0, "expired": 0, "refused": 0},
        {"imported": 0, "there": 2, "expired": 0, "refused": 0},
        {"imported": 0, "there": 2, "expired": 0, "refused": 0},
    ]
    assert [(one["what"], one["why"]) for one in again["rows"]] == [
        ("already there", ""),
        ("already there", "revoked here"),
    ]
    assert place.json("token", "show", "jira-000000000002")["token"]["state"] == "revoked"


def test_json_says_all(place: Place) -> None:
    """One document, with a row for each; no hash is in it."""
    result = place.run(*command(place, "--scopes", "read"), "--json")
    document = json.loads(result.stdout)

    assert (result.exit_code, document["dry_run"], document["refused"]) == (1, False, 1)
    assert document["rows"][0] == {
        "row": "line 2",
        "token_id": "000000000001",
        "user_key": "JIRAUSER10000",
        "id": "jira-000000000001",
        "owner": "alice",
        "name": "token 1",
        "scopes": ["read"],
        "expires": ENDS.isoformat(),
        "what": "new",
        "why": "",
    }
    assert "PKCS5S2" not in result.output


def test_scopes_are_given_by_rules(place: Place) -> None:
    """By owner, group and name; the directory knows groups."""
    rows = [
        row(1, EXPIRING_AT=SOON),
        row(2, EXPIRING_AT=SOON, USER_KEY="JIRAUSER10001"),
        row(3, EXPIRING_AT=SOON, NAME="x"),
    ]

    place.run(
        *command(
            place, "--scopes", "read", "--scopes", "name:x=read,write", "--scopes", "group:developers=write", rows=rows
        )
    )

    assert kept(place) == [
        ("jira-000000000001", "alice", ["write"]),
        ("jira-000000000002", "bob", ["read"]),
        ("jira-000000000003", "alice", ["read", "write"]),
    ]


def test_owners_that_nobody_lets_in_draw_a_warning(place: Place) -> None:
    """They are imported all the same: the directory is asked at each use."""
    rows = [row(1, EXPIRING_AT=SOON, USER_KEY="JIRAUSER10001"), *GOOD[1:]]
    (place.folder / "owners.toml").write_text("[owners.bob]\nactive = false\n")

    result = place.run(*command(place, "--scopes", "read", rows=rows))

    assert result.stderr.splitlines()[1:] == [
        "Warning: alice is not known to the directory, so 1 token of theirs can't be used until that changes.",
        "Warning: bob is not active in the directory, so 1 token of theirs can't be used until that changes.",
    ]
    assert result.exit_code == 0


def test_the_longest_life_of_the_settings_holds(place: Place) -> None:
    """A token that never expires is refused, or shortened where that is asked for."""
    refused = place.run(*command(place, "--scopes", "read", rows=[row(1)]))
    shortened = place.json(*command(place, "--scopes", "read", "--shorten", rows=[row(1)]))

    assert refused.exit_code == 1
    assert "it lives longer than the 365 days that the settings allow: see --shorten" in refused.stdout
    assert shortened["rows"][0]["why"] == "shortened"
    assert place.json("token", "show", "jira-000000000001")["token"]["expires"] is not None


def test_the_number_of_the_settings_holds(place: Place) -> None:
    """A token beyond what an owner may have is refused, with those that live here counted."""
    settings = place.folder / "patmiddleware.toml"
    settings.write_text(settings.read_text().replace("[issuer]", "[issuer]\nmaximum_per_owner = 2"))
    place.run("token", "create", "--owner", "alice", "--name", "here", "--scopes", "read")

    result = place.run(*command(place, "--scopes", "read", rows=GOOD))

    assert result.exit_code == 1
    assert "'alice' may have 2 live tokens" in result.stdout
    assert "Imported 1 token; 0 there already, 0 expired, 1 refused." in result.stdout


def test_the_audit_hears_of_each(place: Place) -> None:
    """As of any token that is made."""
    place.run(*command(place, "--scopes", "read", rows=GOOD))

    lines = [json.loads(line) for line in (place.folder / "audit.jsonl").read_text().splitlines()]
    assert [(one["event"], one["token"], one["owner"]) for one in lines] == [
        ("token.imported", "jira-000000000001", "alice"),
        ("token.imported", "jira-000000000002", "alice"),
    ]


WRONG: dict[str, tuple[Sequence[str], int, str]] = {
    "unknown scope": (("--scopes", "raed"), 1, "the policy knows no scope 'raed': did you mean 'read'?"),
    "unknown scope of one": (("--scopes", "read", "--scopes", "owner:x=admin"), 1, "knows no scope 'admin'"),
    "no scopes": ((), 2, "Missing option '--scopes'"),
    "no rule": (("--scopes", "user:x=read"), 2, "'user:x=read' does not say which tokens get which scopes"),
    "no zone": (("--scopes", "read", "--zone", "Mars/Olympus"), 2, "is no time zone"),
}


@pytest.mark.parametrize(("words", "code", "why"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_before_anything_is_made(words: Sequence[str], code: int, why: str, place: Place) -> None:
    """No store comes to be."""
    result = place.run(*command(place, *words))

    assert (result.exit_code, why in result.stderr) == (code, True)
    assert not (place.folder / "tokens.db").exists()


def test_a_csv_file_needs_users(place: Place) -> None:
    """It does not say whose a token is."""
    words = command(place, "--scopes", "read")

    result = place.run(*words[:3], *words[5:])

    assert (result.exit_code, "--users FILE" in result.stderr) == (2, True)


def test_groups_need_a_directory(place: Place) -> None:
    """Otherwise no rule about a group would ever fit."""
    place.config.write_text(place.config.read_text().replace('[directory]\nurl = "static:owners.toml"\n', ""))

    result = place.run(*command(place, "--scopes", "group:ci=read", "--scopes", "read"))

    assert (result.exit_code, "needs a directory" in result.stderr) == (1, True)


def test_a_store_of_our_own_tokens_alone_takes_none(place: Place) -> None:
    """The gate would turn Jira's away before it looked."""
    place.config.write_text(place.config.read_text().replace("[store]", "[store]\nforeign = false"))

    result = place.run(*command(place, "--scopes", "read"))

    assert (result.exit_code, "set foreign = true" in result.stderr) == (1, True)


# -- from a database


def jira_database(place: Place, rows: Sequence[dict[str, str | None]] = GOOD) -> str:
    path = place.folder / "jira.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(";\n".join(statements("sqlite", rows)))
    return f"sqlite:///{path}"


def test_a_database_says_whose_they_are(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its address, or by a variable that holds it."""
    address = jira_database(place)
    monkeypatch.setenv("JIRA_DATABASE", address)

    dry = place.json("jira", "import-tokens", address, "--scopes", "read", "--dry-run")
    real = place.json("jira", "import-tokens", "env:JIRA_DATABASE", "--scopes", "read")

    assert (dry["imported"], real["imported"]) == (2, 2)
    assert [one["row"] for one in real["rows"]] == ["row 1", "row 2"]
    assert kept(place)[0] == ("jira-000000000001", "alice", ["read"])


def test_users_of_a_file_come_before_those_of_the_database(place: Place) -> None:
    """Confluence keeps them elsewhere."""
    users = place.folder / "u.csv"
    users.write_text(users_csv([("JIRAUSER10000", "carol")]))

    place.run("jira", "import-tokens", jira_database(place), "--users", str(users), "--scopes", "read")

    assert {owner for _, owner, _ in kept(place)} == {"carol"}


@pytest.mark.parametrize("source", ["postgresql://jira:hidden@localhost/jira", "mysql://h/jira?password=hidden"])
def test_a_password_on_the_command_line_is_refused(source: str, place: Place) -> None:
    """And not shown again."""
    result = place.run("jira", "import-tokens", source, "--scopes", "read")

    assert (result.exit_code, "env:NAME" in result.stderr, "hidden" in result.output) == (2, True, False)


def test_a_variable_that_is_not_set(place: Place) -> None:
    """It is named."""
    result = place.run("jira", "import-tokens", "env:NO_SUCH_THING", "--scopes", "read")

    assert (result.exit_code, "NO_SUCH_THING is not set" in result.stderr) == (2, True)


# -- used


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_imported_tokens_get_in(place: Place) -> None:
    """Over HTTP: as Bearer and as the password of Basic, with their scopes; then each has its fast digest."""
    pytest.importorskip("waitress", reason="needs the extra server")
    place.json(*command(place, "--scopes", "name:token 1=read", "--scopes", "write", rows=GOOD))
    before = kinds(place)
    wrong = base64.b64encode(b"000000000002:" + bytes(20)).decode()

    with running(["serve", "--json"], place.folder) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]

        def status(method: str, authorization: str) -> int:
            return request(method, f"{url}/issue/OPS-1", {"Authorization": authorization}).status

        got = [
            status("GET", f"Bearer {secret(1)}"),
            status("POST", f"Bearer {secret(1)}"),
            status("POST", basic("alice", secret(2))),
            status("GET", basic("bob", secret(2))),
            status("GET", f"Bearer {secret(3)}"),
            status("GET", f"Bearer {wrong}"),
        ]

    assert got == [200, 403, 200, 401, 401, 401]
    assert (before, kinds(place)) == (["pkcs5s2"] * 2, ["sha256"] * 2)


def kinds(place: Place) -> list[str]:
    store: Any = open_store(f"sqlite:///{place.folder}/tokens.db")
    with closing(store):
        return [digest.kind for _, digest in store.records()]


def test_unverified_tokens_are_exported_and_imported(place: Place, tmp_path: Path) -> None:
    """With their hashes, so that the secrets work in the other store."""
    place.run(*command(place, "--scopes", "read", rows=GOOD))

    assert place.run("store", "export", str(tmp_path / "export")).exit_code == 0

    store: Any = open_store(f"file:{tmp_path / 'export'}")
    found = store.find(Secret(secret(1)))
    assert found is not None
    assert found.id == "jira-000000000001"
    assert hashed(2).encode() in [digest.value for _, digest in store.records()]
