"""What forwarding costs: ``python -m benchmarks.forwarding [--quick] [--rounds N] [--json]``.

Requests a second for an answer of 1 KB, over 16 connections: through the gate and the forwarder, and through a proxy of
a few lines over the same pool of urllib3, without any gate. Both stand before the same upstream, on the same kind of
server, and are loaded in turns from a process of its own; the ratio is the median over the rounds. Each case first
proves that it answers rightly.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from importlib.util import find_spec
from statistics import median
from typing import TYPE_CHECKING

import urllib3

from patmiddleware import PATMiddleware
from patmiddleware.forwarder import Forwarder

from .arguments import positive
from .material import Environ, policy, secrets, store
from .measure import WrongAnswerError, progress, ratio
from .served import granian, gthread, load, prove
from .table import Row, as_json, text

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

ROUNDS, QUICK = 20, 5
SECONDS = 1.5
GATE, GOAL = 0.85, 0.95
UPSTREAM = "BENCHMARK_UPSTREAM"
_HOP = frozenset({"connection", "transfer-encoding", "keep-alive"})


def bare() -> WSGIApplication:
    """Make a proxy that only hands on: no gate, no judging, no rewriting."""
    pool = urllib3.HTTPConnectionPool("127.0.0.1", int(os.environ[UPSTREAM]), maxsize=64, block=True)

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        query = environ["QUERY_STRING"]
        headers = {"Accept": environ.get("HTTP_ACCEPT", "*/*"), "User-Agent": "-", "Accept-Encoding": "identity"}
        response = pool.urlopen(
            environ["REQUEST_METHOD"], environ["PATH_INFO"] + (f"?{query}" if query else ""), headers=headers,
            redirect=False, retries=False, preload_content=False, decode_content=False,
        )  # fmt: skip
        told = [(name, value) for name, value in response.headers.iteritems() if name.lower() not in _HOP]
        start_response(f"{response.status} {response.reason}", told)
        return pieces(response)

    def pieces(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        try:
            yield from response.stream(65_536)
        finally:
            response.release_conn()

    return application


def guarded() -> WSGIApplication:
    """Make the gate and the forwarder, with a policy of 100 rules; links in JSON are rewritten, this answer is text."""
    forwarder = Forwarder(
        f"http://127.0.0.1:{os.environ[UPSTREAM]}",
        auth={"kind": "bearer", "token": "of-the-service"},
        public_url="https://api.example.org",
    )
    return PATMiddleware(forwarder, store(secrets(10_000)), policy=policy(100))


SERVERS: dict[str, tuple[str, Callable[..., AbstractContextManager[int]]]] = {
    "granian": ("granian", granian),
    "gunicorn, gthread 2 x 8": ("gunicorn", gthread),
}


def measured(name: str, rounds: int) -> list[Row]:
    """Measure under one kind of server, or say why not.

    Raises:
        WrongAnswerError: when a request is not answered as it must.
    """
    package, serve = SERVERS[name]
    proxy, ours = f"bare proxy, {name}", f"forwarder, {name}"
    row = Row(name=ours, unit="/s", to=proxy, gate=GATE, goal=GOAL, at_least=True)
    if find_spec(package) is None or find_spec("granian") is None:
        return [Row(name=ours, to=proxy, skipped=f"needs the packages granian and {package}")]
    secret, rates = secrets(10_000)[5_000], {proxy: list[float](), ours: list[float]()}
    with ExitStack() as stack:
        upstream = {UPSTREAM: str(stack.enter_context(granian(f"{__package__}.served:alone")))}
        ports = {
            case: stack.enter_context(serve(f"{__package__}.forwarding:{factory}", upstream))
            for case, factory in ((proxy, "bare"), (ours, "guarded"))
        }
        prove(ports[proxy], proxy, None, 200)
        prove(ports[ours], ours, None, 401)
        prove(ports[ours], ours, secret, 200)
        for port in ports.values():
            load(port, secret, SECONDS)  # warms up
        for _ in progress(range(rounds), f"rounds, {name}"):
            for case, port in ports.items():
                rates[case].append(load(port, secret, SECONDS))
    found = ratio(rates[ours], rates[proxy])
    return [
        Row(name=proxy, figure=median(rates[proxy]), unit="/s", ratio=1.0, to=proxy),
        replace(row, figure=median(rates[ours]), ratio=found),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was found.

    Returns:
        0, or 1 when a case answers wrongly. Speed decides nothing here: machines differ.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forwarding", description="What forwarding costs.")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--rounds", type=positive, metavar="N", help="how often each case is loaded")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rounds in place of {ROUNDS}")
    given = parser.parse_args(arguments)
    rounds = given.rounds or (QUICK if given.quick else ROUNDS)
    try:
        rows = [row for name in SERVERS for row in measured(name, rounds)]
    except WrongAnswerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(as_json(rows, rounds) if given.json else text(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
