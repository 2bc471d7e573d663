"""What is handed to the audit log, and the line of JSON that it becomes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import TypeAlias

from ..model import Allowed, Denied, Grant

PATH_LENGTH = 2_048
METHOD_LENGTH = 64

FIELDS = frozenset(
    (
        *("address", "by", "expires", "kind", "method", "ms", "network", "owner", "parent", "path"),
        *("replaces", "request_id", "scopes", "status", "token", "token_name", "upstream", "why"),
    )
)
"""What an act of management, or a request that was forwarded, may tell."""

Decision: TypeAlias = tuple[float, Grant | None, Allowed | Denied, int | None, str | None, str, str, str | None, float]
"""The arguments of :meth:`~patmiddleware.audit.AuditLog.decision`, in their order."""

Event: TypeAlias = tuple[float, str, Mapping[str, str | float | None]]
"""The arguments of :meth:`~patmiddleware.audit.AuditLog.event`."""


def line(entry: Decision | Event) -> str:
    """Format an entry as one line of JSON, with its line end. It is ASCII: no character of a request can break it."""
    if len(entry) == 3:
        now, name, fields = entry
        told = {"time": _time(now), "event": name} | {key: value for key, value in fields.items() if value is not None}
        return json.dumps(told, separators=(",", ":")) + "\n"
    now, grant, decision, status, address, method, path, request_id, seconds = entry
    refusal = decision if isinstance(decision, Denied) else decision.observed
    verdict = "allowed" if refusal is None else "denied" if refusal is decision else "observed"
    # Put together by hand: the encoder takes three times as long, and this is most of what an audited request costs.
    return (
        f'{{"time":"{_time(now)}","event":"decision","decision":"{verdict}","status":{_json(status)},'
        f'"reason":{_json(None if refusal is None else refusal.reason)},{_who(grant, refusal)},'
        f'"address":{_json(address)},"method":{_json(method[:METHOD_LENGTH])},'
        f'"path":{_json(path[:PATH_LENGTH])},"rule":{_json(decision.rule)},'
        f'"request_id":{_json(request_id)},"ms":{seconds * 1000:.3f}{_needed(refusal)}}}\n'
    )


def _who(grant: Grant | None, refusal: Denied | None) -> str:
    if grant is None:
        token = None if refusal is None else refusal.token
        if token is None:
            return '"who":null,"token":null,"token_name":null,"scheme":null'
        return f'"who":{_json(token.owner)},"token":{_json(token.id)},"token_name":{_json(token.name)},"scheme":null'
    passwords = "" if grant.token_id is not None else ',"passwords":true'
    return (
        f'"who":{_json(grant.owner)},"token":{_json(grant.token_id)},"token_name":{_json(grant.token_name)},'
        f'"scheme":{_json(grant.scheme)}{passwords}'
    )


def _needed(refusal: Denied | None) -> str:
    if refusal is None or not refusal.needed:
        return ""
    return f',"needed":[{",".join(map(_json, sorted(map(str, refusal.needed))))}]'


def _json(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value)
    # str() for a str is the same object; else it is what a policy that isn't ours put into its answer.
    return encode_basestring_ascii(str(value))


def _time(now: float) -> str:
    """Give RFC 3339, UTC, with milliseconds."""
    second, millisecond = divmod(int(now * 1000), 1000)
    return f"{_second(second)}.{millisecond:03d}Z"


@lru_cache(maxsize=8)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
