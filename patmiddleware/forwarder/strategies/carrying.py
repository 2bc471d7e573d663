"""Put on a request what makes it somebody's."""

from __future__ import annotations

from ...interfaces import UpstreamRequest


def carrying(request: UpstreamRequest, name: str, value: str) -> UpstreamRequest:
    """Give the request with a header in the place of every one of that name: two would let the upstream choose."""
    folded = name.lower()
    others = [pair for pair in request.headers if pair[0].lower() != folded]
    return UpstreamRequest(request.method, request.target, (*others, (name, value)), request.body, request.length)
