"""From a request as it came to the one that goes upstream, or why none does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ..annotate import CREDENTIAL, DENIED, Environ, grant_from
from ..interfaces import Caller, UpstreamRequest
from ..model import Denied, Reason, Secret
from ..paths import AMBIGUOUS, is_method, judged_path, raw_target_agrees
from . import target
from .answers import Failed
from .bodies import body
from .headers import Upward

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request on its way.

    Args:
        environ: as it came.
        request: as it goes, but for what makes it somebody's.
        caller: for whom; None: for nobody.
        began: seconds since the epoch.
    """

    environ: Environ
    request: UpstreamRequest
    caller: Caller | None
    began: float

    @property
    def is_in_hand(self) -> bool:
        """Whether all of it can be sent again."""
        return self.request.body is None or isinstance(self.request.body, bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """Makes requests for one upstream.

    Args:
        mount: cut from the path.
        context: path that stands before all of the upstream's own.
        upward: gives the headers.
        anonymous: whether a request without a credential goes on.
        checks_raw: whether the raw target must agree with the path.
        clock: seconds since the epoch.
    """

    mount: str
    context: str
    upward: Upward
    anonymous: bool = False
    checks_raw: bool = True
    clock: Callable[[], float] = time.time

    def __call__(self, environ: Environ) -> Exchange | Denied:
        """Make the request that goes upstream.

        Raises:
            Failed: for what is wrong with it, but for what is refused like a credential or a path.
        """
        began, method = self.clock(), environ["REQUEST_METHOD"]
        if not is_method(method):
            return Denied(Reason.METHOD)
        caller = self._caller(environ)
        if isinstance(caller, Denied):
            return caller
        wanted = self._target(environ)
        if isinstance(wanted, Denied):
            return wanted
        if method not in METHODS:
            raise Failed(405, f"{method} is not forwarded.", {"Allow": ", ".join(METHODS)})
        headers = self.upward(environ)
        if headers is None:
            raise Failed(400, "A header holds a character that no header may hold.")
        if wanted.startswith(f"{self.context}/rest/") or self.context.endswith("/rest"):
            # A part of an answer can't be rewritten; parts are for files.
            headers = [pair for pair in headers if pair[0] not in ("Range", "If-Range")]
        content = body(environ)
        if content.content is None:
            # Some servers say text/plain where the client said nothing.
            headers = [(name, value) for name, value in headers if name != "Content-Type"]
        return Exchange(environ, UpstreamRequest(method, wanted, headers, *content), caller, began)

    def _caller(self, environ: Environ) -> Caller | Denied | None:
        grant = grant_from(environ)
        if grant is not None:
            credential = environ.get(CREDENTIAL)
            return Caller(grant, credential if isinstance(credential, Secret) else None)
        invalid = environ.get(DENIED)
        if isinstance(invalid, Denied):
            return invalid
        return None if self.anonymous else Denied(Reason.MISSING)

    def _target(self, environ: Environ) -> str | Denied:
        info = environ.get("PATH_INFO", "")
        if self.checks_raw and not raw_target_agrees(environ, info):
            return AMBIGUOUS
        query = environ.get("QUERY_STRING", "")
        # Clients ask for the same things again and again; what is long is rare, and would fill the memory.
        make = _made if len(info) + len(query) <= _REMEMBERED else _made.__wrapped__
        return make(info, query, environ.get("SCRIPT_NAME", ""), self.mount, self.context)


_REMEMBERED = 512


@lru_cache(maxsize=1024)
def _made(info: str, query: str, script: str, mount: str, context: str) -> str | Denied:
    """Make the target for the upstream; the paths and the query are native strings."""
    path = judged_path(info, script)
    if isinstance(path, Denied):
        return path
    below = target.below(path, mount)
    if below is None:
        raise Failed(404, f"Nothing is forwarded from here: all of it is below {mount}.")
    own = target.is_own(context + below)  # the context may be a part of it
    if own is not None:
        return own
    kept = target.query(query)
    return f"{context}{target.encoded(below)}{kept and f'?{kept}'}"
