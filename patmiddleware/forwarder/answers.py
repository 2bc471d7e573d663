"""What the forwarder answers itself, in the shape that is asked for.

Refusals go the way of all refusals (:mod:`patmiddleware.reject`); here is what else can go wrong behind the gate.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from ..annotate import REQUEST_ID, Environ
from ..errors import PATMiddlewareError
from ..model import Denied
from ..reject import ErrorBody, Refusals

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

RETRY_AFTER = "5"  # seconds


class Failed(PATMiddlewareError):
    """A request ends here.

    Args:
        status: of the answer.
        words: what is wrong and what to do, for the client.
        extra: headers of the answer.
    """

    def __init__(self, status: int, words: str, extra: Mapping[str, str] | None = None) -> None:
        super().__init__(words)
        self.status, self.words, self.extra = status, words, extra or {}


class Answers:
    """Answers in one shape.

    Args:
        errors: as ``PATMiddleware`` takes it; a callable of your own is asked for refusals only.
        schemes: for the challenges of a 401, in lower case.
        realm: of the challenges.

    Raises:
        ConfigurationError: for an unknown shape, or a realm that can't stand in a header.
    """

    def __init__(self, errors: str | ErrorBody, schemes: frozenset[str], realm: str) -> None:
        self._refuse = Refusals(schemes, realm, errors)
        self._jira = errors == "jira"

    def refuse(self, denied: Denied, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a refusal."""
        return self._refuse(denied, environ, start_response, request_id(environ))

    def fail(self, failed: Failed, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer an error."""
        status, words = failed.status, failed.words
        phrase = HTTPStatus(status).phrase
        if self._jira:
            kind = "application/json;charset=UTF-8"
            told: object = {"errorMessages": [f"{words} (request {request_id(environ)})"], "errors": {}}
        else:
            kind = "application/problem+json"
            told = {
                "type": f"urn:patmiddleware:problem:{phrase.lower().replace(' ', '_')}",
                "title": phrase,
                "status": status,
                "detail": words,
                "request_id": request_id(environ),
            }
        body = json.dumps(told).encode()
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store", **failed.extra}
        start_response(f"{status} {phrase}", list(headers.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def request_id(environ: Environ) -> str:
    """Give the id of a request that came through the gate; a dash for one that did not."""
    return str(environ.get(REQUEST_ID, "-"))
