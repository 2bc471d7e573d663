"""The forwarder: a WSGI application that answers with what an upstream answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any

from ..annotate import Environ, native
from ..audit import AuditLog
from ..errors import BackendUnavailable, LinkError, UpstreamError, UpstreamTimeout
from ..interfaces import Strategy, Transport, UpstreamResponse
from ..model import Denied, Reason
from ..options import Kinds, check_choices, check_clock, check_kinds
from ..reject import ErrorBody
from . import target
from .answers import RETRY_AFTER, Answers, Failed
from .exchange import Exchange, Outbound
from .given import texts
from .headers import Upward, value_of
from .links import Links
from .records import Records
from .relay import Inbound
from .strategies import strategy
from .strategies.carrying import tell_taken
from .transport import PooledTransport, server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

_CHOICES = {"raw_target": ("check", "ignore")}
_KINDS: Kinds = {
    "upstream": (str,),
    "auth": (Strategy, Mapping),
    "public_url": (str,),
    "rewrite": (bool,),
    "anonymous": (bool,),
    "realm": (str,),
    "audit": (AuditLog, NoneType),
    "transport": (Transport, NoneType),
    "options": (Mapping, NoneType),
}
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_GZIP = frozenset(("gzip",))
# Where Jira, Confluence and Bitbucket send those whom they don't know.
_LOGIN = re.compile(r"/login(?:\.jsp|\.action|\?next=)")


class Forwarder:
    """Send requests on to an upstream, such as Jira, and its answers back. Wrap it in ``PATMiddleware``.

    What goes upstream is made anew: the target from the path that was judged, headers by allow list, one framing of the
    body. Without a confirmed grant nothing is lent to a request: it is answered 401.

    Args:
        upstream: address of the server, with its context path, such as ``https://jira.internal/jira``.
        auth: as whom the upstream sees requests: a :class:`~patmiddleware.interfaces.Strategy`, or a table of settings
            such as ``{"kind": "bearer", "token": …}``.
        public_url: where clients reach what is below the mount: links in answers lead there.
        mount: path that is cut from ``PATH_INFO``, such as ``/jira``; ``SCRIPT_NAME`` is not read.
        base_urls: more addresses that the upstream's links begin with, such as Jira's base URL where that is another.
        rewrite: whether links are rewritten; switch it off where the upstream's base URL is ``public_url`` already.
        anonymous: whether requests without a credential go on, as nobody.
        headers: more request headers that go on.
        errors: shape of what is answered here, as ``PATMiddleware`` takes it.
        schemes: of the challenges in a 401.
        realm: of the challenges.
        raw_target: ``check``, or ``ignore`` where a front end rewrites paths.
        audit: where a line is written for each request that went on.
        transport: the way out; None: urllib3, with ``options``.
        options: of :class:`~patmiddleware.forwarder.transport.PooledTransport`.
        clock: seconds since the epoch.

    Raises:
        ConfigurationError: for whatever is wrong with these; nothing is opened or sent then.
    """

    def __init__(
        self,
        upstream: str,
        *,
        auth: Strategy | Mapping[str, Any],
        public_url: str,
        mount: str = "",
        base_urls: Iterable[str] = (),
        rewrite: bool = True,
        anonymous: bool = False,
        headers: Iterable[str] = (),
        errors: str | ErrorBody = "problem",
        schemes: Iterable[str] = ("bearer", "basic"),
        realm: str = "api",
        raw_target: str = "check",
        audit: AuditLog | None = None,
        transport: Transport | None = None,
        options: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_kinds(_KINDS, upstream=upstream, auth=auth, public_url=public_url, rewrite=rewrite, anonymous=anonymous)
        check_kinds(_KINDS, realm=realm, audit=audit, transport=transport, options=options)
        check_choices(_CHOICES, raw_target=raw_target)
        check_clock(clock)
        self.upstream = upstream.rstrip("/")
        server(self.upstream, "app.upstream")
        self.mount = target.mounted(mount)
        self.native_mount = native(self.mount)
        public = target.under(public_url, self.mount)
        links = Links((self.upstream, *texts("base_urls", base_urls)), public) if rewrite else None
        self._outbound = Outbound(
            mount=self.mount,
            context=target.context(self.upstream),
            upward=Upward(texts("headers", headers), public, _GZIP if rewrite else None),
            anonymous=anonymous,
            checks_raw=raw_target == "check",
            clock=clock,
        )
        self._answers = Answers(errors, frozenset(texts("schemes", schemes)), realm)
        self.transport = PooledTransport(upstream, **(options or {})) if transport is None else transport
        self.strategy = auth if isinstance(auth, Strategy) else self._strategy(auth)
        self._records = Records(audit, self.upstream, clock)
        self._inbound = Inbound(links, self._records)

    def _strategy(self, auth: Mapping[str, Any]) -> Strategy:
        settings = dict(auth)
        return strategy(settings.pop("kind", ""), settings, upstream=self.upstream, transport=self.transport)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request with what the upstream answers, or say why not."""
        try:
            exchange = self._outbound(environ)
            found = exchange if isinstance(exchange, Denied) else self._forwarded(exchange, start_response)
            return self._answers.refuse(found, environ, start_response) if isinstance(found, Denied) else found
        except Failed as failed:
            return self._answers.fail(failed, environ, start_response)

    def close(self) -> None:
        """Close the connections to the upstream; a later request makes new ones."""
        close = getattr(self.transport, "close", None)
        if close is not None:
            close()

    def _forwarded(self, exchange: Exchange, start_response: StartResponse) -> Iterable[bytes] | Denied:
        try:
            response = self._sent(exchange)
            if isinstance(response, Denied):
                return response
            try:
                return self._inbound(exchange, response, start_response)
            except BaseException:  # whatever it was: the connection must not be lost to the pool
                response.close()
                raise
        except LinkError as error:
            self._records.broken(exchange.environ, exchange.caller, str(error))
            raise Failed(502, f"{str(error).rstrip('.')}.") from error
        except BackendUnavailable as error:
            self._records.failed(exchange.environ, exchange.caller, str(error))
            raise _outage(error) from error

    def _sent(self, exchange: Exchange) -> UpstreamResponse | Denied:
        """Send a request, and once more where the upstream does not take what it was signed with and signing helps."""
        caller = exchange.caller
        if caller is None:
            return self.transport.send(exchange.request)
        for is_first in (True, False):
            response = self.transport.send(self.strategy.sign(exchange.request, caller))
            if not _is_refused(response):
                tell_taken(self.strategy, caller, response.status)
                return response
            response.close()
            if not (is_first and self.strategy.refused(caller)):
                break
            # What was answered as anonymous was carried out all the same.
            if not exchange.is_in_hand or not (response.status == 401 or exchange.request.method in _SAFE):
                raise Failed(503, "The session at the upstream had ended. Send this again.", {"Retry-After": "1"})
        if self.strategy.is_callers:
            self._records.broken(exchange.environ, caller, "the upstream does not take the client's own token")
            return Denied(Reason.UNKNOWN)
        raise LinkError(
            f"The upstream does not take the credential that goes with the requests of {caller.grant.owner}"
        )


def _is_refused(response: UpstreamResponse) -> bool:
    """Whether an answer says that the credential was not taken; Jira goes on as anonymous, and says 200."""
    return (
        response.status == 401
        or value_of(response.headers, "x-ausername") == "anonymous"
        or (response.status == 403 and value_of(response.headers, "x-authentication-denied-reason") is not None)
        or (300 <= response.status < 400 and _LOGIN.search(value_of(response.headers, "location") or "") is not None)
    )


def _outage(error: BackendUnavailable) -> Failed:
    if isinstance(error, UpstreamTimeout):
        return Failed(504, "The upstream takes too long. Try again later.")
    if isinstance(error, UpstreamError):
        return Failed(502, "The upstream can't be reached, or broke off. Try again later.")
    words = "What the upstream needs to know you by can't be read at the moment. Try again soon."
    return Failed(503, words, {"Retry-After": RETRY_AFTER})
