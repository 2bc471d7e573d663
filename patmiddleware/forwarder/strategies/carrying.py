"""Put on a request what makes it somebody's, and tell what became of it."""

from __future__ import annotations

from ...interfaces import Caller, Strategy, UpstreamRequest


def carrying(request: UpstreamRequest, name: str, value: str) -> UpstreamRequest:
    """Give the request with a header in the place of every one of that name: two would let the upstream choose."""
    folded = name.lower()
    others = [pair for pair in request.headers if pair[0].lower() != folded]
    return UpstreamRequest(request.method, request.target, (*others, (name, value)), request.body, request.length)


def tell_taken(strategy: Strategy, caller: Caller, status: int = 200) -> None:
    """Tell a strategy that wants to hear it that the upstream took what it gave.

    Args:
        strategy: that signed the request.
        caller: whose it was.
        status: of the answer, where it was not looked at yet. From 500 on nothing is told: maybe nobody looked at who
            asked.
    """
    taken = getattr(strategy, "taken", None)
    if taken is not None and status < 500:
        taken(caller)
