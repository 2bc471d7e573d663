"""The lines of a vault file: a header, then a line of JSON for each sealed credential.

::

    {"format":"patmiddleware vault","version":1,"salt":"…","digest":"…"}
    {"owner":"alice","upstream":"https://jira.example.org","kind":"bearer","key_id":"…","changed":…,"data":"…"}

The digest is over all that stands below, with the salt before it: a file that was cut or changed is found as a whole,
and one header never stands over two contents.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import timedelta
from hashlib import blake2b
from typing import TypeAlias

from ..model import EPOCH
from .rows import Sealed

FORMAT, VERSION = "patmiddleware vault", 1
_MICROSECOND = timedelta(microseconds=1)

Kept: TypeAlias = Mapping[tuple[str, str], Sealed]
"""Sealed credentials by owner and upstream."""


def written(rows: Iterable[Sealed]) -> bytes:
    """Give a whole file with these in it."""
    body, salt = b"".join(map(_line, rows)), secrets.token_hex(16)
    header = {"format": FORMAT, "version": VERSION, "salt": salt, "digest": _digest(salt, body)}
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + body


def read(header: bytes, body: bytes) -> Kept:
    """Give what stands in a file.

    Args:
        header: its first line.
        body: all that stands below.

    Raises:
        ValueError: with what is wrong, where it is no vault file, or damaged. It shows nothing of what stands there.
    """
    try:
        facts = json.loads(header)
        ours, version, told = facts["format"] == FORMAT, facts["version"], facts["digest"]
        digest = _digest(facts["salt"], body)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        ours = False
    if not ours:
        raise ValueError("it is no vault file of patmiddleware, or its first line is damaged")
    if version != VERSION:
        raise ValueError(f"it has format version {version!r}, and this program knows only {VERSION}")
    if told != digest:
        raise ValueError("it was cut off or changed (wrong digest)")
    try:
        rows = list(map(_sealed, body.splitlines()))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise ValueError("a line of it holds no sealed credential") from None
    return {(row.owner, row.upstream): row for row in rows}


def _digest(salt: str, body: bytes) -> str:
    return blake2b(salt.encode() + body, digest_size=16).hexdigest()


def _line(row: Sealed) -> bytes:
    facts = {
        "owner": row.owner,
        "upstream": row.upstream,
        "kind": row.kind,
        "key_id": row.key_id,
        "changed": (row.changed - EPOCH) // _MICROSECOND,
        "data": base64.b64encode(row.data).decode(),
    }
    return json.dumps(facts, separators=(",", ":")).encode() + b"\n"


def _sealed(line: bytes) -> Sealed:
    facts = json.loads(line)
    owner, upstream, kind, key_id = (facts[name] for name in ("owner", "upstream", "kind", "key_id"))
    changed = EPOCH + facts["changed"] * _MICROSECOND
    return Sealed(owner, upstream, kind, key_id, changed, base64.b64decode(facts["data"], validate=True))
