"""Ask an upstream whom it takes a request for."""

from __future__ import annotations

import json

from ..errors import RefusedError, UpstreamError
from ..interfaces import Caller, Strategy, Transport, UpstreamRequest, UpstreamResponse
from ..model import Grant
from . import target
from .headers import value_of
from .strategies.carrying import tell_taken

# Jira says it in one place, Confluence in another, and all of Atlassian's servers in the last.
_PLACES = (("/rest/api/2/myself", "name"), ("/rest/api/user/current", "username"))
_PLAIN = "/plugins/servlet/applinks/whoami"
_MOST = 65_536
_REFUSED = "the upstream does not take it: look for a typing error, or make a new one there"


def whose(transport: Transport, upstream: str, strategy: Strategy, owner: str = "") -> str:
    """Give the name of the user whom the upstream takes a request for that is signed in this way.

    Args:
        transport: the way to the upstream.
        upstream: its address, with the context path.
        strategy: signs the request.
        owner: for whom, where the strategy tells owners apart.

    Raises:
        RefusedError: when the upstream takes it for nobody's.
        UpstreamError: when it can't be asked, or its answer can't be read.
        LinkError: when the request can't be signed.
    """
    caller = Caller(Grant(token_id=None, owner=owner))
    for path, field in _PLACES:
        status, told = _asked(transport, upstream, path, strategy, caller)
        if status == 200:
            return _named(told, field)
    status, told = _asked(transport, upstream, _PLAIN, strategy, caller)
    if status == 200 and told.strip():
        return told.decode("utf-8", "replace").strip()
    raise UpstreamError(f"the upstream answers {status} where it should say who is asking: look at the address")


def _asked(transport: Transport, upstream: str, path: str, strategy: Strategy, caller: Caller) -> tuple[int, bytes]:
    headers = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", "patmiddleware"))
    request = UpstreamRequest("GET", target.context(upstream) + path, headers)
    response = transport.send(strategy.sign(request, caller))
    try:
        if response.status in (401, 403) or value_of(response.headers, "x-ausername") == "anonymous":
            raise RefusedError(_REFUSED)
        tell_taken(strategy, caller, response.status)
        return response.status, _read(response)
    finally:
        response.close()


def _read(response: UpstreamResponse) -> bytes:
    read = b""
    for piece in response.stream():
        read += piece
        if len(read) > _MOST:
            raise UpstreamError("the upstream says more than who is asking: look at the address")
    return read


def _named(told: bytes, field: str) -> str:
    try:
        found = json.loads(told)
    except (ValueError, RecursionError):
        raise UpstreamError("the upstream does not answer with JSON: look at the address") from None
    name = found.get(field) if isinstance(found, dict) else None
    if not isinstance(name, str) or not name:
        raise RefusedError(_REFUSED)
    return name
