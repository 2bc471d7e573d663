"""Helper: personal access tokens as Jira keeps them, in a CSV export and in its database."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence

COLUMNS = (
    "ID", "NAME", "USER_KEY", "TOKEN_ID", "HASHED_TOKEN", "CREATED_AT", "EXPIRING_AT", "LAST_ACCESSED_AT",
    "NOTIFICATION_STATE",
)  # fmt: skip
NEVER = "9999-12-31 23:59:59.999+00"
USERS = (("JIRAUSER10000", "alice"), ("JIRAUSER10001", "bob"))

_RANDOM = bytes(range(20))


def secret(number: int) -> str:
    """The token with this number."""
    return base64.b64encode(b"%012d:" % number + _RANDOM).decode()


def hashed(number: int) -> str:
    """What Jira keeps of it."""
    from passlib.handlers.pbkdf2 import atlassian_pbkdf2_sha1

    handler = atlassian_pbkdf2_sha1.using(salt=b"%016d" % number)
    text: str = handler.hash(base64.b64encode(_RANDOM))
    return text


def row(number: int, **changes: str | None) -> dict[str, str | None]:
    """Give a row, one that is fine but for the changes."""
    facts: dict[str, str | None] = {
        "ID": str(number),
        "NAME": f"token {number}",
        "USER_KEY": "JIRAUSER10000",
        "TOKEN_ID": f"{number:012}",
        "HASHED_TOKEN": hashed(number),
        "CREATED_AT": "2026-04-15 10:30:00.123+00",
        "EXPIRING_AT": NEVER,
        "LAST_ACCESSED_AT": "2026-05-01 08:00:00+00",
        "NOTIFICATION_STATE": "NOT_SENT",
    }
    return facts | changes


def as_csv(rows: Sequence[dict[str, str | None]], columns: Sequence[str] = COLUMNS) -> str:
    """Give an export of rows, everything in quotes."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows([[each[name] or "" for name in columns] for each in rows])
    return out.getvalue()


def users_csv(users: Sequence[tuple[str, str]] = USERS) -> str:
    """Give a CSV file of users."""
    return "user_key,user_name\n" + "".join(f"{key},{name}\n" for key, name in users)


# As Jira makes them: names in capitals, which only quotes keep so in PostgreSQL; those of app_user are in lower case.
TABLES = {
    "postgresql": (
        'CREATE TABLE "AO_81F455_PERSONAL_TOKEN" ("CREATED_AT" timestamptz NOT NULL, "EXPIRING_AT" timestamptz NOT'
        ' NULL, "HASHED_TOKEN" varchar(255), "ID" bigserial PRIMARY KEY, "LAST_ACCESSED_AT" timestamptz,'
        ' "NAME" varchar(255) NOT NULL, "NOTIFICATION_STATE" varchar(255), "TOKEN_ID" varchar(255),'
        ' "USER_KEY" varchar(255))',
        "CREATE TABLE app_user (id numeric(18) PRIMARY KEY, user_key varchar(255), lower_user_name varchar(255))",
    ),
    "mariadb": (
        "CREATE TABLE `AO_81F455_PERSONAL_TOKEN` (`CREATED_AT` datetime(3) NOT NULL, `EXPIRING_AT` datetime(3) NOT"
        " NULL, `HASHED_TOKEN` varchar(255), `ID` bigint AUTO_INCREMENT PRIMARY KEY, `LAST_ACCESSED_AT` datetime(3),"
        " `NAME` varchar(255) NOT NULL, `NOTIFICATION_STATE` varchar(255), `TOKEN_ID` varchar(255),"
        " `USER_KEY` varchar(255)) CHARACTER SET utf8mb4",
        "CREATE TABLE app_user (ID decimal(18) PRIMARY KEY, user_key varchar(255), lower_user_name varchar(255))",
    ),
}
TABLES["sqlite"] = TABLES["postgresql"]


def statements(kind: str, rows: Sequence[dict[str, str | None]]) -> list[str]:
    """Give what makes the tables of Jira's with these rows, and its users.

    Args:
        kind: ``postgresql``, ``mariadb`` (where times have no zone) or ``sqlite``.
    """
    quote = "`" if kind == "mariadb" else '"'
    names = ", ".join(f"{quote}{name}{quote}" for name in COLUMNS)
    made = list(TABLES[kind])
    for each in rows:
        values = ", ".join(_literal(kind, name, each[name]) for name in COLUMNS)
        made.append(f"INSERT INTO {quote}AO_81F455_PERSONAL_TOKEN{quote} ({names}) VALUES ({values})")
    for number, (key, name) in enumerate(USERS):
        made.append(f"INSERT INTO app_user (id, user_key, lower_user_name) VALUES ({number}, '{key}', '{name}')")
    return made


def _literal(kind: str, name: str, value: str | None) -> str:
    if value is None:
        return "NULL"
    if kind == "mariadb" and name.endswith("_AT"):
        value = value.removesuffix("+00")
    return "'" + value.replace("'", "''") + "'"
