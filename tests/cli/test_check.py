"""``patmiddleware check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.databases import postgresql

if TYPE_CHECKING:
    from conftest import Place


def test_a_sound_place(place: Place) -> None:
    """Each part is told on a line of its own."""
    place.token()

    told = place.json("check")

    assert told["warnings"] == []
    assert told["checked"] == {
        "settings": str(place.config),
        "store": "sqlite: open",
        "directory": "open",
        "policy": "3 rules",
        "application": "wsgiref.simple_server:demo_app",
        "audit": str(place.folder / "audit.jsonl"),
        "server": "127.0.0.1:0, 8 threads",
    }


def test_checking_changes_nothing(place: Place) -> None:
    """A store that is missing is told, and not made."""
    before = sorted(path.name for path in place.folder.iterdir())

    told = place.json("check")

    assert told["checked"]["store"] == "sqlite: not there yet, made when first used"
    assert sorted(path.name for path in place.folder.iterdir()) == before


def test_all_that_is_wrong_is_told(place: Place) -> None:
    """Problems of the file, the policy, the owners, the store and the application come together."""
    (place.folder / "policy.toml").write_text('[[rule]]\npath = "/a"\n')
    (place.folder / "owners.toml").write_text("[owner.alice]\n")
    (place.folder / "tokens.db").write_text("this is no database, but some text that is long enough to be looked at")
    text = place.config.read_text().replace("demo_app", "demo_ap").replace("365d", "365y")
    place.config.write_text(text)

    result = place.run("check")

    assert result.exit_code == 2
    for words in ("policy.toml: rule[0]", "owners.toml: ", "store.url", "app.import", "issuer.maximum_lifetime"):
        assert words in result.stderr
    assert "policy       see below" in result.stdout


def test_owners_that_are_not_there_yet(place: Place) -> None:
    """The caution about a missing directory names a file: whoever follows it hears what goes into that."""
    (place.folder / "owners.toml").unlink()

    result = place.run("check")

    assert result.exit_code == 2
    assert "owners.toml: can't be read: No such file or directory" in result.stderr
    assert "→ make it, with a table for each owner: [owners.alice]" in result.stderr


def test_cautions_are_told(place: Place) -> None:
    """What is lawful, but unwise, is a warning, and no failure."""
    place.config.write_text('[store]\nurl = "memory:"\n[app]\nimport = "wsgiref.simple_server:demo_app"\n')

    result = place.run("check")

    assert result.exit_code == 0
    assert "Warning: PAT-W102 policy: there is none" in result.stderr
    assert "Warning: PAT-W103 directory: there is none" in result.stderr


def test_what_does_not_answer_is_not_open(place: Place) -> None:
    """An LDAP server is asked only after it was opened: that it was is no good news."""
    pytest.importorskip("ldap", reason="needs the extra ldap")
    text = place.config.read_text().replace("static:owners.toml", "ldap://127.0.0.1:1/dc=example,dc=org")
    place.config.write_text(text)

    result = place.run("check")

    assert result.exit_code == 2
    assert "directory    see below" in result.stdout
    assert "can't be reached" in result.stderr


def test_a_table_that_cannot_be_read_is_not_none(place: Place) -> None:
    """There is a directory, though its settings are wrong; and the hint names every value."""
    place.config.write_text(place.config.read_text().replace("[policy]", 'nested = "yes"\n[policy]'))

    result = place.run("check")

    assert result.exit_code == 2
    assert "directory    see below" in result.stdout
    assert 'write true, false or "ad"' in result.stderr


def test_the_rest_of_a_chain_is_judged_before_its_store_is_made(place: Place) -> None:
    """Keys that are not there are found at once, and the file of the store is still not made."""
    pytest.importorskip("jwt", reason="needs the extra jwt")
    chain = """url = ["sqlite:///tokens.db", "jwt:missing.json"]
[store.jwt]
issuer = "https://login.example.org"
audience = "api"
deny = "sqlite:///tokens.db"
"""
    place.config.write_text(place.config.read_text().replace('url = "sqlite:///tokens.db"', chain, 1))

    result = place.run("check")

    assert result.exit_code == 2
    assert "missing.json can't be read: No such file" in result.stderr
    assert not (place.folder / "tokens.db").exists()


def test_a_folder_that_is_missing_is_told(place: Place) -> None:
    """A store that could not be made is no store to come."""
    place.config.write_text(place.config.read_text().replace("sqlite:///tokens.db", "sqlite:///missing/tokens.db"))

    result = place.run("check")

    assert result.exit_code == 2
    assert "there is no folder" in result.output
    assert "mkdir -p" in result.output


def test_events_are_asked_where_there_is_no_store_yet(place: Place) -> None:
    """What carries events is judged by itself."""
    settings = place.config.read_text().replace("[store]", '[store]\nevents = "redis://127.0.0.1:1/"')
    place.config.write_text(settings)

    result = place.run("check")

    assert result.exit_code == 2
    assert "store.events: Redis can't be asked" in result.output


def test_checking_makes_no_tables(place: Place) -> None:
    """A new database is as it was after it was judged."""
    with postgresql() as server:
        address = server.new_database()
        place.config.write_text(place.config.read_text().replace("sqlite:///tokens.db", address))

        result = place.run("check")

        made = server.run("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'patmw%'", address.rpartition("/")[2])
    assert (result.exit_code, made) == (0, [(0,)]), result.output
    assert "not there yet" in result.output
