"""What the gate costs in Pyramid: ``python -m benchmarks.in_pyramid [--quick] [--rounds N] [--json]``.

Every figure is what a case *adds* to a request: the CPU time of all threads, minus that of the same Pyramid application
without it. Each case first proves that it answers rightly.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from patmiddleware import PATMiddleware

from . import others
from .arguments import positive
from .material import policy, store
from .measure import Case, WrongAnswerError, measure, prove, ratio, requests
from .ours import Hot
from .table import Row, as_json, text

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

ROUNDS, QUICK = 100, 15
SLICE = 0.005
"""Seconds for which a case is timed in a round."""
_ROUTE = "/rest/api/2/issue/{key}"
HAND, AROUND = "policy by hand", "ours, around Pyramid"
DEMAND, PERMISSION, OPEN = "ours, require_scope", "ours, permission by an ACL", "ours, a view that demands nothing"


def cases(hot: Hot) -> Mapping[str, Callable[[], Case]]:
    """Say what is measured."""
    return {
        AROUND: partial(_around, hot),
        OPEN: partial(_ours, hot, 200),
        DEMAND: partial(_ours, hot, 401, require_scope="read"),
        PERMISSION: partial(_ours, hot, 401, permission="read"),
        HAND: partial(others.pyramid, hot),
    }


def _around(hot: Hot) -> Case:
    """Give the middleware around a Pyramid application, as around any other."""
    alone = _alone()
    gate = PATMiddleware(alone, store(hot.secrets), policy=policy(100))
    prove(AROUND, gate, hot.proof)
    return Case(requests(gate, hot.right), requests(alone, hot.right))


def _ours(hot: Hot, missing: int, **options: str) -> Case:
    """Give an application that includes us, with a view that has options; without a token it answers ``missing``."""
    from pyramid.authorization import Allow

    class Root:
        __acl__ = ((Allow, "scope:read", "read"),)

        def __init__(self, request: object) -> None:
            pass

    settings = {"patmiddleware.store": store(hot.secrets), "patmiddleware.policy": policy(100)}
    config = _configured(settings=settings, root_factory=Root)
    config.include("patmiddleware.integrations.pyramid")
    app = _made(config, **options)
    prove("ours in Pyramid", app, [(hot.right, 200), (hot.none, missing), (hot.unknown, missing)])
    return Case(requests(app, hot.right), requests(_alone(), hot.right))


def _alone() -> WSGIApplication:
    return _made(_configured())


def _configured(**options: object) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it still imports pkg_resources
        from pyramid.config import Configurator
    return Configurator(**options)


def _made(config: Any, **options: str) -> WSGIApplication:
    from pyramid.response import Response

    config.add_route("issue", _ROUTE)
    config.add_view(lambda request: Response(b"ok"), route_name="issue", **options)
    app: WSGIApplication = config.make_wsgi_app()
    return app


def measured(rounds: int) -> list[Row]:
    """Measure all.

    Raises:
        ModuleNotFoundError: when Pyramid is missing.
        WrongAnswerError: when a case does not answer as it must.
    """
    added = measure({name: case() for name, case in cases(Hot()).items()}, rounds, SLICE)
    rows = [Row(name=name, to=HAND) for name in added]
    return [
        replace(row, figure=median(added[row.name]) * 1e6, ratio=ratio(added[row.name], added[HAND])) for row in rows
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was found.

    Returns:
        0, or 1 when a case answers wrongly, or Pyramid is missing.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.in_pyramid", description="What the gate costs in Pyramid."
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--rounds", type=positive, metavar="N", help="how often each case is timed")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rounds in place of {ROUNDS}")
    given = parser.parse_args(arguments)
    rounds = given.rounds or (QUICK if given.quick else ROUNDS)
    try:
        rows = measured(rounds)
    except (ModuleNotFoundError, WrongAnswerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(as_json(rows, rounds) if given.json else text(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
