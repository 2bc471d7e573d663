"""Ask each upstream whether it is there, takes the credential, and leads clients back to the gate.

Nothing here makes more than one login fail for an account, and what is not a server of Atlassian's is sent no
credential at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from threading import Thread

from ..config.upstreams import UpstreamSettings
from ..config.values import LINKS_ELSEWHERE, UPSTREAM
from ..errors import BackendError, LinkError, Problem, RefusedError, UpstreamError
from ..forwarder import Forwarder, Mounts, target
from ..forwarder.adopting import whose
from ..forwarder.asking import Whole, ask
from ..forwarder.bases import base_of
from ..forwarder.links import Links
from ..forwarder.strategies import strategy
from ..interfaces import Caller, UpstreamRequest
from ..model import Grant

_INFO = "/rest/api/2/serverInfo"  # Jira's, for everybody
_WHO = "/plugins/servlet/applinks/whoami"  # of all of Atlassian's servers; an empty text for nobody
_OAUTH_PROBLEM = re.compile(r'\boauth_problem="?([a-z_]{1,40})\b')
_NOT_TAKEN = "the upstream does not take the credential: look for a typing error in it, or make a new one there"
_SPENT = "is not tried: the upstream refused this account just now, and each failed login counts against it"
_REACH = "see that the address, ca_file and timeout are right, and that this machine may reach it"
PATIENCE = 30.0
"""Seconds for a few short questions, however long the gate itself would wait for an answer."""
_ELSEWHERE = "https://gate.invalid"
_NOBODY = Caller(Grant(token_id=None, owner=""))


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found out about an upstream.

    Args:
        fact: what it does; empty where a problem keeps it from that.
        problems: all that is wrong.
    """

    fact: str
    problems: tuple[Problem, ...]


def judge_upstreams(
    upstreams: tuple[UpstreamSettings, ...], mounts: Mounts, patience: float = PATIENCE
) -> dict[str, Judged]:
    """Ask every upstream, each within its timeouts, and within our patience.

    Args:
        upstreams: as the settings name them.
        mounts: what was opened of them.
        patience: seconds that each is given altogether.

    Returns:
        By the words for each: ``upstream``, and its mount where there are several.
    """
    of_mount = {forwarder.mount: forwarder for forwarder in mounts.forwarders}
    spent: set[tuple[str, str]] = set()
    judged = {}
    for index, settings in enumerate(upstreams):
        forwarder = of_mount[target.mounted(settings.mount)]
        alone = len(upstreams) == 1
        name = "upstream" if alone else f"upstream {forwarder.mount or '/'}"
        place = "app" if alone else f"app.upstreams[{index}]"
        try:
            judged[name] = _in_time(partial(_judged, settings, forwarder, place, spent), patience)
        except TimeoutError:
            message = f"{forwarder.upstream} does not answer in {patience:g} s"
            judged[name] = Judged("", (Problem(UPSTREAM, f"{place}.upstream", message, _REACH),))
    return judged


def _in_time(judge: Callable[[], Judged], patience: float) -> Judged:
    """Give up after a time: a byte now and then may go on for ever, and the transport's timeout begins anew with each.

    Raises:
        TimeoutError: when it takes longer. What goes on then does not keep the program from ending.
    """
    found: Future[Judged] = Future()

    def run() -> None:
        try:
            found.set_result(judge())
        except BaseException as error:
            found.set_exception(error)

    Thread(target=run, name="checking an upstream", daemon=True).start()
    return found.result(patience)


def _judged(settings: UpstreamSettings, forwarder: Forwarder, place: str, spent: set[tuple[str, str]]) -> Judged:
    problems: list[Problem] = []
    try:
        problems += _leading_past(settings, forwarder, _base_url(forwarder), place)
        return Judged(f"{forwarder.upstream}: {_taken(settings, forwarder, spent)}", tuple(problems))
    except (LinkError, RefusedError) as error:
        problems.append(Problem(UPSTREAM, f"{place}.auth", str(error)))
    except BackendError as error:
        problems.append(Problem(UPSTREAM, f"{place}.upstream", str(error), _REACH))
    return Judged("", tuple(problems))


def _base_url(forwarder: Forwarder) -> str:
    """Give the address that the upstream knows itself by; empty where it does not say.

    Raises:
        UpstreamError: when it can't be asked, or is no server of Atlassian's.
    """
    answer = _asked(forwarder, _INFO)
    found = _named(answer)
    # One that wants to know first who asks is one as well.
    if found or answer.status in (401, 403):
        return found
    plain = _asked(forwarder, _WHO)
    if plain.status == 200 and b"<" not in plain.body:
        return ""
    words = f"{forwarder.upstream} answers {answer.status}, and not as Jira, Confluence or Bitbucket does"
    raise UpstreamError(f"{words}: look at the address, and at the context path at its end")


def _asked(forwarder: Forwarder, path: str) -> Whole:
    return ask(forwarder.transport, "GET", target.context(forwarder.upstream) + path, (("Accept", "*/*"),))


def _named(answer: Whole) -> str:
    try:
        found = json.loads(answer.body) if answer.status == 200 else None
        name = found.get("baseUrl") if isinstance(found, dict) else None
        if not isinstance(name, str):
            return ""
        base_of(name, "baseUrl")
    except (ValueError, RecursionError):  # of JSON and of addresses
        return ""
    return name


def _leading_past(settings: UpstreamSettings, forwarder: Forwarder, base: str, place: str) -> Iterator[Problem]:
    """Give what is wrong where links of the upstream are neither rewritten nor lead to the gate anyway."""
    public = target.under(settings.public_url, forwarder.mount)
    known = (forwarder.upstream, *settings.base_urls, public) if settings.rewrite else (public,)
    if not base or Links(known, _ELSEWHERE).url(base) != base:
        return
    message = f"the upstream writes links to {base}, which are not rewritten: clients follow them past the gate"
    if settings.rewrite:
        yield Problem(LINKS_ELSEWHERE, f"{place}.base_urls", message, f"add base_urls = [{json.dumps(base)}]")
    else:
        yield Problem(
            LINKS_ELSEWHERE, f"{place}.rewrite", message, "leave rewrite out, or set its base URL to public_url"
        )


def _taken(settings: UpstreamSettings, forwarder: Forwarder, spent: set[tuple[str, str]]) -> str:
    """Say as whom requests go on.

    Raises:
        RefusedError, LinkError: when the upstream does not take the credential.
        UpstreamError: when it can't be asked.
    """
    kind = settings.auth["kind"]
    if kind in ("pass", "vault"):
        return "answers; each owner's own credential shows only with their requests"
    if settings.auth.get("impersonate"):
        return _signature_taken(settings, forwarder)
    account = (forwarder.upstream, settings.auth.get("username", ""))
    if account in spent:
        raise RefusedError(_SPENT)
    try:
        return f"answers as {whose(forwarder.transport, forwarder.upstream, forwarder.strategy)}"
    except (RefusedError, LinkError) as error:
        if account[1]:
            spent.add(account)
        raise RefusedError(_NOT_TAKEN) if isinstance(error, RefusedError) else error from None


def _signature_taken(settings: UpstreamSettings, forwarder: Forwarder) -> str:
    """Sign for the link itself: whom it may stand for can't be asked without standing for somebody."""
    given = {name: value for name, value in settings.auth.items() if name not in ("kind", "impersonate")}
    link = strategy("oauth1", given, upstream=forwarder.upstream, transport=forwarder.transport)
    signed = link.sign(UpstreamRequest("GET", target.context(forwarder.upstream) + _INFO, ()), _NOBODY)
    answer = ask(forwarder.transport, "GET", signed.target, signed.headers)
    found = _OAUTH_PROBLEM.search(" ".join((*answer.all("WWW-Authenticate"), answer.body.decode("utf-8", "replace"))))
    # That the link may not act for itself is found out once its signature was verified.
    if found[1] != "permission_denied" if found else answer.status != 200:
        raise RefusedError(
            f"the upstream does not take the application link's signature ({found[1] if found else answer.status}): "
            "see that consumer_key and the public key there are right, and app.upstream or base_url is its base URL"
        )
    return "takes the application link's signature; for whom it may stand shows only with requests"
