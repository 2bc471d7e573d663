"""Tokens in a table of an application's own SQLite database."""

import json
import sqlite3
from contextlib import closing
from datetime import datetime

from patmiddleware import BackendUnavailable, Revocation, Secret, Token


class Keys:
    def __init__(self, path):
        self.path = path

    def find(self, secret):
        """All that the middleware asks for. What was found is kept for a second, so a connection each time will do."""
        try:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as db:
                row = db.execute("SELECT facts FROM api_keys WHERE digest = ?", [secret.digest]).fetchone()
            return None if row is None else _token(json.loads(row[0]))
        except (sqlite3.Error, ValueError, TypeError) as error:  # never None: that would say "a bad token"
            raise BackendUnavailable("the application's database can't be read") from error

    def keep(self, tokens):
        """What the application does when somebody makes a key; the middleware never calls it."""
        rows = [(Secret(secret).digest, json.dumps(_facts(token), default=_plain)) for secret, token in tokens.items()]
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute("CREATE TABLE IF NOT EXISTS api_keys (digest BLOB PRIMARY KEY, facts TEXT NOT NULL)")
            db.executemany("INSERT INTO api_keys VALUES (?, ?)", rows)


def _facts(token):
    revoked = token.revoked and [token.revoked.at, token.revoked.by, token.revoked.why]
    return {name: getattr(token, name) for name in Token.__slots__} | {"revoked": revoked}


def _plain(value):
    plain = {datetime: datetime.isoformat, frozenset: sorted}.get(type(value))
    return plain(value) if plain else dict(value) if hasattr(value, "items") else str(value)


def _token(facts):
    times = {name: facts[name] and datetime.fromisoformat(facts[name]) for name in ("created", "expires")}
    at, *rest = facts["revoked"] or [None]
    return Token(**facts | times | {"revoked": at and Revocation(datetime.fromisoformat(at), *rest)})
