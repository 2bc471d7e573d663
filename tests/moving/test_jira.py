"""Rows of Jira's, judged and written."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from jira_tokens import COLUMNS, NEVER, as_csv, hashed, row, secret, users_csv
from plain_store import PlainStore

from patmiddleware.backends.memory import MemoryStore
from patmiddleware.errors import BackendUnavailable, RefusedError
from patmiddleware.interfaces import Change, Transactional
from patmiddleware.issuance import IssuerLimits
from patmiddleware.issuer import Issuer
from patmiddleware.lineage import Lineage
from patmiddleware.model import Digest, Secret, Token, Use
from patmiddleware.moving.jira import BATCH, Fate, Judged, Terms, judge, write
from patmiddleware.moving.jirarows import Row, row_of, rows_in, users_in, users_of
from patmiddleware.moving.jirascopes import ScopeRule, read_rule, scopes_for

NOW = datetime(2026, 11, 27, tzinfo=UTC)
CREATED = datetime(2026, 4, 15, 10, 30, 0, 123_000, tzinfo=UTC)
EVERYBODY = (ScopeRule(frozenset({"READ"})),)
USERS = users_of([("JIRAUSER10000", "alice"), ("JIRAUSER10001", "bob")])
TERMS = Terms(USERS, EVERYBODY, lambda _: frozenset(), NOW)


def a_row(number: int = 1, **changes: str | None) -> Row:
    return row_of(f"row {number}", row(number, **changes))


def judged(*rows: Row, store: Any = None, **terms: Any) -> list[Judged]:
    known = (lambda id: None) if store is None else store.get
    return list(judge(rows, dataclasses.replace(TERMS, **terms), known))


def fates(*rows: Row, store: Any = None, **terms: Any) -> list[Fate]:
    return [one.fate for one in judged(*rows, store=store, **terms)]


def moved(store: Any, *rows: Row, **terms: Any) -> list[Token]:
    return [token for batch in write(store, judged(*rows, store=store, **terms)) for token in batch]


# -- one row


def test_everything_about_a_token_is_kept() -> None:
    """Its number becomes its id; name, times and last use are as they were, and the hash is kept as it is."""
    [one] = judged(a_row(7, EXPIRING_AT="2027-04-15 10:30:00+00"))

    assert one.token == Token(
        id="jira-000000000007",
        owner="alice",
        name="token 7",
        scopes=frozenset({"READ"}),
        created=CREATED,
        expires=datetime(2027, 4, 15, 10, 30, tzinfo=UTC),
        last_used=Use(datetime(2026, 5, 1, 8, tzinfo=UTC)),
        attributes={"jira.user_key": "JIRAUSER10000"},
    )
    assert (one.fate, one.digest) == (Fate.NEW, Digest("pkcs5s2", "000000000007", hashed(7).encode()))


@pytest.mark.parametrize(
    "text",
    [
        NEVER,
        "9999-12-31",
        "9999-12-31T23:59:59.000+0000",
        "10000-01-01 04:59:59.999+05",
        "infinity",
    ],
)
def test_the_last_day_of_all_is_never(text: str) -> None:
    """In every spelling, and wherever the server stands."""
    [one] = judged(a_row(EXPIRING_AT=text))

    assert one.token is not None
    assert one.token.expires is None


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-04-15 10:30:00.123+00", "UTC", CREATED),
        ("2026-04-15T10:30:00.123+0000", "UTC", CREATED),
        ("2026-04-15T10:30:00.123Z", "Europe/Berlin", CREATED),
        ("2026-04-15 16:00:00.123+05:30", "UTC", CREATED),
        ("2026-04-15 10:30:00.123", "UTC", CREATED),
        ("2026-04-15 12:30:00.123", "Europe/Berlin", CREATED),
        ("2026-01-15 12:30:00", "Europe/Berlin", datetime(2026, 1, 15, 11, 30, tzinfo=UTC)),
        ("2026-04-15", "UTC", datetime(2026, 4, 15, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_databases_write_them(text: str, zone: str, expected: datetime) -> None:
    """A time without a zone is one of the zone that is named."""
    [one] = judged(a_row(CREATED_AT=text), zone=ZoneInfo(zone))

    assert one.token is not None
    assert one.token.created == expected


def test_a_token_that_was_never_used_has_no_last_use() -> None:
    """NULL in a database, nothing in a CSV file."""
    found = [
        one.token and one.token.last_used
        for one in judged(a_row(1, LAST_ACCESSED_AT=None), a_row(2, LAST_ACCESSED_AT=""))
    ]

    assert found == [None, None]


REFUSED = {
    "no number": ({"TOKEN_ID": None}, "TOKEN_ID is not twelve digits"),
    "short number": ({"TOKEN_ID": "12345678901"}, "TOKEN_ID is not twelve digits"),
    "number with a line break": ({"TOKEN_ID": "123456789012\n"}, "TOKEN_ID is not twelve digits"),
    "other digits": ({"TOKEN_ID": "１２３４５６７８９０１２"}, "TOKEN_ID is not twelve digits"),
    "no hash": ({"HASHED_TOKEN": None}, "HASHED_TOKEN is none"),
    "other hash": ({"HASHED_TOKEN": "$2y$05$" + "x" * 53}, "HASHED_TOKEN is none"),
    "no base64": ({"HASHED_TOKEN": "{PKCS5S2}" + "!" * 64}, "HASHED_TOKEN is none"),
    "cut hash": ({"HASHED_TOKEN": "{PKCS5S2}" + "A" * 60}, "HASHED_TOKEN is none"),
    "no time": ({"CREATED_AT": None}, "CREATED_AT is no time"),
    "odd time": ({"CREATED_AT": "15.04.2026"}, "CREATED_AT is no time: '15.04.2026'"),
    "late time": ({"CREATED_AT": "9999-12-31 23:59:59-05"}, "CREATED_AT is no time"),
    "no expiry": ({"EXPIRING_AT": ""}, "EXPIRING_AT is no time"),
    "odd expiry": ({"EXPIRING_AT": "never"}, "EXPIRING_AT is no time"),
    "odd last use": ({"LAST_ACCESSED_AT": "yesterday"}, "LAST_ACCESSED_AT is no time"),
    "no user": ({"USER_KEY": None}, "no user has its USER_KEY ''"),
    "unknown user": ({"USER_KEY": "JIRAUSER99999"}, "no user has its USER_KEY 'JIRAUSER99999'"),
    "another case": ({"USER_KEY": "jirauser10000"}, "no user has its USER_KEY"),
    "no name": ({"NAME": ""}, "name of the token is empty"),
    "huge name": ({"NAME": "x" * 256}, "name of the token has 256 characters"),
    "NUL": ({"NAME": "ci\0"}, "control character"),
    "half a character": ({"NAME": "ci\udcff"}, "half a character"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_clear_is_refused(changes: dict[str, str | None], why: str) -> None:
    """With one reason that says which column it is; the other rows are taken all the same."""
    bad, good = judged(a_row(1, **changes), a_row(2))

    assert (bad.fate, bad.token, good.fate) == (Fate.REFUSED, None, Fate.NEW)
    assert why in bad.why
    assert "PKCS5S2}A" not in bad.why


@pytest.mark.parametrize("shared", ["TOKEN_ID", "HASHED_TOKEN"])
def test_of_two_rows_with_one_number_or_hash_none_is_taken(shared: str) -> None:
    """Which of them is right would be a guess."""
    value = row(1)[shared]

    assert fates(a_row(1), a_row(2, **{shared: value}), a_row(3)) == [Fate.REFUSED, Fate.REFUSED, Fate.NEW]


def test_a_key_of_two_users_is_refused() -> None:
    """The same pair twice is none of that."""
    pairs = [
        ("JIRAUSER10000", "alice"),
        ("JIRAUSER10000", "mallory"),
        ("JIRAUSER10001", "bob"),
        ("JIRAUSER10001", "bob"),
    ]

    assert fates(a_row(1), a_row(2, USER_KEY="JIRAUSER10001"), users=users_of(pairs)) == [Fate.REFUSED, Fate.NEW]


@pytest.mark.parametrize("name", ["", " alice", "al\0ice", "x" * 256])
def test_a_user_name_that_no_owner_may_have_is_refused(name: str) -> None:
    """As when a token is made."""
    assert fates(a_row(), users=users_of([("JIRAUSER10000", name)])) == [Fate.REFUSED]


def test_the_expired_are_left_out() -> None:
    """Also those whose user is gone: nobody has to mend what is over."""
    past = "2026-11-26 23:59:59+00"

    assert fates(a_row(1, EXPIRING_AT=past), a_row(2, EXPIRING_AT=past, USER_KEY="gone")) == [Fate.EXPIRED] * 2
    assert fates(a_row(EXPIRING_AT="2026-11-27 00:00:00+00"), a_row(2, EXPIRING_AT="2026-11-27 00:00:01+00")) == [
        Fate.EXPIRED,
        Fate.NEW,
    ]


# -- how long they live

LONGER = "it lives longer than the 365 days that the settings allow: see --shorten"
YEAR = IssuerLimits(maximum_lifetime=timedelta(days=365))


@pytest.mark.parametrize(
    ("expiry", "expected"),
    [
        ("2027-11-27 00:00:00+00", (Fate.NEW, "")),
        ("2027-11-27 00:00:01+00", (Fate.REFUSED, LONGER)),
        (NEVER, (Fate.REFUSED, LONGER)),
    ],
)  # fmt: skip
def test_no_token_lives_longer_than_the_settings_allow(expiry: str, expected: tuple[Fate, str]) -> None:
    """A limit of the issuer holds for what comes from elsewhere, too."""
    [one] = judged(a_row(EXPIRING_AT=expiry), limits=YEAR)

    assert (one.fate, one.why) == expected


def test_where_it_is_asked_for_they_are_shortened() -> None:
    """To the longest life that there is from now on."""
    one, other = judged(a_row(1), a_row(2, EXPIRING_AT="2026-12-01 00:00:00+00"), limits=YEAR, shorten=True)

    assert (one.fate, one.why, one.token and one.token.expires) == (Fate.NEW, "shortened", NOW + timedelta(days=365))
    assert (other.why, other.token and other.token.expires) == ("", datetime(2026, 12, 1, tzinfo=UTC))


def test_no_owner_gets_more_tokens_than_the_settings_allow() -> None:
    """Those that live in the store count, those that are expired or refused don't; run again it stays so."""
    store, three = MemoryStore(), IssuerLimits(maximum_per_owner=3)
    Issuer(store, clock=NOW.timestamp).mint(owner="alice", name="here")
    rows = [a_row(1, EXPIRING_AT="2026-01-01 00:00:00+00"), a_row(2, NAME=""), *map(a_row, range(3, 7))]
    rows.append(a_row(7, USER_KEY="JIRAUSER10001"))
    lineage = Lineage(store, lambda: NOW)
    terms = {"limits": three, "living": lambda owner: len(lineage.heads(owner))}

    moved(store, *rows, **terms)

    again = judged(*rows, store=store, **terms)
    there, refused = [Fate.THERE], [Fate.REFUSED]
    assert [one.fate for one in again] == [Fate.EXPIRED, *refused, *2 * there, *2 * refused, *there]
    assert again[4].why == "'alice' may have 3 live tokens: revoke some in Jira or here, or allow for more"


# -- scopes


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("READ", ScopeRule(frozenset({"READ"}))),
        ("READ, WRITE,", ScopeRule(frozenset({"READ", "WRITE"}))),
        ("owner:alice=READ", ScopeRule(frozenset({"READ"}), "owner", "alice")),
        ("group:ci people=READ,WRITE", ScopeRule(frozenset({"READ", "WRITE"}), "group", "ci people")),
        ("name:a=b:c=READ", ScopeRule(frozenset({"READ"}), "name", "a=b:c")),
        ("owner:owner:x=READ", ScopeRule(frozenset({"READ"}), "owner", "owner:x")),
    ],
)
def test_rules_are_read(words: str, expected: ScopeRule) -> None:
    """Scopes, and perhaps whose before them."""
    assert read_rule(words) == expected


@pytest.mark.parametrize(
    "words", ["", ",", "owner:alice=", "owner:=READ", "owner=READ", "=READ", "user:alice=READ", "READ ME", 'RE"AD']
)
def test_what_is_no_rule_is_refused(words: str) -> None:
    """A rule that was meant otherwise must not come to be one about all tokens."""
    with pytest.raises(RefusedError):
        read_rule(words)


def test_the_first_rule_that_fits_holds() -> None:
    """In the order that they are given in, but what is about every token comes last."""
    rules = [read_rule(words) for words in ("A", "name:backup=B", "group:ci=C", "owner:alice=D")]
    groups = {"alice": frozenset({"ci"}), "bob": frozenset({"x"}), "carol": frozenset({"ci", "x"})}

    found = [
        scopes_for(rules, owner, name, lambda one: groups[one])
        for owner, name in [("alice", "backup"), ("alice", "x"), ("bob", "x"), ("carol", "x"), ("bob", "backup")]
    ]

    assert found == [frozenset({scope}) for scope in "BCACB"]


def test_a_token_that_no_rule_is_about_is_refused() -> None:
    """It would otherwise come to have none, or too many."""
    [one, other] = judged(a_row(1), a_row(2, USER_KEY="JIRAUSER10001"), rules=(read_rule("owner:bob=READ"),))

    assert (one.fate, one.why, other.fate) == (Fate.REFUSED, "no --scopes is about it", Fate.NEW)


def test_groups_are_asked_for_only_where_a_rule_needs_them() -> None:
    """A directory that is down does not matter to who does not ask it; to who does it is an outage, not "no group"."""

    def down(_: str) -> frozenset[str]:
        raise BackendUnavailable("down")

    assert fates(a_row(), groups_of=down, rules=[read_rule("owner:alice=A"), read_rule("group:ci=B")]) == [Fate.NEW]
    with pytest.raises(BackendUnavailable):
        judged(a_row(), groups_of=down, rules=[read_rule("group:ci=B"), read_rule("A")])


# -- into a store


@pytest.mark.parametrize("make", [MemoryStore, PlainStore])
def test_what_was_written_works(make: Any) -> None:
    """With transactions and without; the hash of each is verified at its first use."""
    kept = MemoryStore()
    store = kept if make is MemoryStore else PlainStore(kept)

    written = moved(store, a_row(1), a_row(2, USER_KEY="JIRAUSER10001"), a_row(3, USER_KEY="gone"))

    assert [token.id for token in written] == ["jira-000000000001", "jira-000000000002"]
    assert [token and token.owner for token in (store.find(Secret(secret(n))) for n in (1, 2, 3))] == [
        "alice",
        "bob",
        None,
    ]


def test_again_it_changes_nothing() -> None:
    """Neither what was used, nor what was renamed since, nor what was revoked or rotated here."""
    store = MemoryStore()
    rows = [a_row(number) for number in range(4)]
    moved(store, *rows)
    store.find(Secret(secret(0)))
    issuer = Issuer(store, clock=NOW.timestamp)
    issuer.revoke("jira-000000000001")
    issuer.rotate("jira-000000000002")
    before = list(store.records())

    again = judged(*rows, a_row(9), store=store)
    written = [token.id for batch in write(store, again) for token in batch]

    assert [one.fate for one in again] == [Fate.THERE] * 4 + [Fate.NEW]
    assert [one.why for one in again] == ["", "revoked here", "", "", ""]
    assert written == ["jira-000000000009"]
    assert [pair for pair in store.records() if pair[0].id != "jira-000000000009"] == before


def test_a_revoked_token_does_not_come_back() -> None:
    """Its secret leads to the revoked record, also after another import."""
    store = MemoryStore()
    moved(store, a_row())
    Issuer(store).revoke("jira-000000000001")

    moved(store, a_row())

    found = store.find(Secret(secret(1)))
    assert found is not None
    assert found.revoked is not None


def test_another_token_with_the_same_number_is_refused() -> None:
    """Of another Jira, say: it would never be found."""
    store = MemoryStore()
    moved(store, a_row())

    [one] = judged(a_row(CREATED_AT="2025-01-01 00:00:00+00"), store=store)

    assert one.fate is Fate.REFUSED
    assert one.why == "the store has another token as jira-000000000001, made at 2026-04-15 10:30:00 UTC"


def test_an_export_that_cuts_times_is_the_same_token() -> None:
    """Databases and their tools keep more or fewer digits of a second."""
    store = MemoryStore()
    moved(store, a_row())

    assert fates(a_row(CREATED_AT="2026-04-15 10:30:00+00"), store=store) == [Fate.THERE]


class Failing(MemoryStore):
    """A store that takes so many transactions, and then none."""

    left = 1

    def commit(self, changes: Any) -> None:
        if not self.left:
            raise BackendUnavailable("the disk is full")
        self.left -= 1
        super().commit(changes)


def test_nothing_is_half_written() -> None:
    """A batch is there whole or not at all, and the same import goes on where it stopped."""
    store = Failing()
    rows = [
        Row(f"row {n}", f"t{n}", "JIRAUSER10000", f"{n:012}", "{PKCS5S2}" + f"{n:064}", "2026-04-15", NEVER)
        for n in range(BATCH + 5)
    ]

    with pytest.raises(
        BackendUnavailable, match=f"the disk is full; {BATCH} tokens or more came over before that: run the same again"
    ):
        moved(store, *rows)
    store.left = 1
    kept = store.count()
    rest = moved(store, *rows)

    assert (kept, len(rest), store.count()) == (BATCH, 5, BATCH + 5)
    assert isinstance(store, Transactional)


class Overtaken(MemoryStore):
    """A store that somebody else writes one of the tokens to, between the look and the write."""

    def commit(self, changes: Any) -> None:
        made: list[Change] = list(changes)
        if not self.count():
            super().commit(made[1:2])
        super().commit(made)


def test_a_token_that_came_meanwhile_stops_the_batch() -> None:
    """Nothing of it is written, and the words say what to do."""
    store = Overtaken()

    with pytest.raises(RefusedError, match=r"changed at the same time.*run the same again"):
        moved(store, a_row(1), a_row(2))

    assert [token.id for token in store.list()] == ["jira-000000000002"]
    assert fates(a_row(1), a_row(2), store=store) == [Fate.NEW, Fate.THERE]


# -- CSV files


def written_to(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
    return path


def test_columns_may_come_in_any_order_and_case(tmp_path: Path) -> None:
    """Others are passed over, a byte order mark and blank lines too, and what is quoted may hold anything."""
    odd = row(1, NAME='a "name", with\r\na line break and Ünïcode')
    lower = [name.lower() for name in reversed(COLUMNS)]
    text = as_csv([{**{name.lower(): value for name, value in odd.items()}}], lower).replace('"id"', '" ID "')
    path = written_to(tmp_path / "x.csv", "\ufeff" + text + "\r\n\r\n")

    [found] = rows_in(path)

    assert dataclasses.replace(found, place="") == dataclasses.replace(row_of("", odd), place="")


@pytest.mark.parametrize("column", ["NAME", "USER_KEY", "TOKEN_ID", "HASHED_TOKEN", "CREATED_AT", "EXPIRING_AT"])
def test_a_missing_column_is_named(column: str, tmp_path: Path) -> None:
    """Nothing is made up for it."""
    path = written_to(tmp_path / "x.csv", as_csv([row(1)], [name for name in COLUMNS if name != column]))

    with pytest.raises(RefusedError, match=f"x.csv has no column {column}: export the whole table"):
        rows_in(path)


@pytest.mark.parametrize("column", ["ID", "LAST_ACCESSED_AT", "NOTIFICATION_STATE"])
def test_some_columns_may_be_missing(column: str, tmp_path: Path) -> None:
    """They say nothing that is needed."""
    path = written_to(tmp_path / "x.csv", as_csv([row(1)], [name for name in COLUMNS if name != column]))

    assert fates(*rows_in(path)) == [Fate.NEW]


BROKEN = {
    "empty": (b"", "has no column"),
    "Latin-1": (as_csv([row(1, NAME="xyz")]).encode().replace(b"xyz", b"\xfc"), "is not UTF-8"),
    "UTF-16": (as_csv([row(1)]).encode("utf-16"), "is not UTF-8"),
    "open quote": (as_csv([row(1)]).encode()[:-3], "it is no CSV"),
    "huge cell": (as_csv([row(1, NAME="x" * 200_000)]).encode(), "line 2: it is no CSV"),
    "twice": (as_csv([row(1)], [*COLUMNS, "ID"]).encode(), "two columns of one name"),
}


@pytest.mark.parametrize(("content", "why"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_export_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    """As a whole, and with its name."""
    with pytest.raises(RefusedError, match=why) as caught:
        rows_in(written_to(tmp_path / "x.csv", content))

    assert "x.csv" in str(caught.value)


def test_a_line_with_too_many_or_too_few_cells_is_refused(tmp_path: Path) -> None:
    """Which of them is which would be a guess; the other lines are taken."""
    lines = as_csv([row(number) for number in range(3)]).splitlines()
    path = written_to(
        tmp_path / "x.csv", "\n".join([lines[0], lines[1], lines[2] + ',"more"', lines[3].rpartition(",")[0]])
    )

    assert [(one.fate, one.why) for one in judged(*rows_in(path))] == [
        (Fate.NEW, ""),
        (Fate.REFUSED, "it has 10 cells under 9 headings"),
        (Fate.REFUSED, "it has 8 cells under 9 headings"),
    ]


def test_nul_in_a_cell_is_refused_with_its_row(tmp_path: Path) -> None:
    """It is no end of a text."""
    path = written_to(tmp_path / "x.csv", as_csv([row(1, NAME="ci\0 x"), row(2)]))

    assert fates(*rows_in(path)) == [Fate.REFUSED, Fate.NEW]


def test_users_are_read(tmp_path: Path) -> None:
    """One line for each key."""
    assert users_in(written_to(tmp_path / "u.csv", users_csv())) == USERS


@pytest.mark.parametrize("content", ["", "user_key\nx\n", "user_key,user_name\nx\n", "user_key,user_name\nx,y,z\n"])
def test_what_is_no_list_of_users_is_refused(content: str, tmp_path: Path) -> None:
    """As a whole: who is missing can't be seen."""
    with pytest.raises(RefusedError, match=r"u\.csv"):
        users_in(written_to(tmp_path / "u.csv", content))


def test_no_hash_shows() -> None:
    """Neither in a row nor in what became of it."""
    [one] = judged(found := a_row())

    assert hashed(1)[9:] not in repr(found) + repr(one)
