"""Who the caller is: what the stand-in itself makes of cookies, headers and parameters."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs

from werkzeug import Response

from .accounts import Refusal
from .call import JiraRequest
from .links import OAuthProblem
from .model import User
from .oauth import DANCE, is_signed, verified
from .refusals import denied, failed, problem
from .sessions import COOKIE, Session
from .site import Site

REASON = "X-Seraph-LoginReason"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Args:
        user: None for an anonymous caller.
        how: what told it, as the log has it.
        headers: that go with the answer.
        refusal: the answer, where there is none for such a caller.
    """

    user: User | None = None
    how: str = "anonymous"
    headers: tuple[tuple[str, str], ...] = ()
    refusal: Response | None = None


def believed(request: JiraRequest, site: Site) -> Caller:
    """Take the caller for whom ``REMOTE_USER`` names: something that stands before the stand-in vouches for it."""
    # A native string of PEP 3333: UTF-8 bytes in the guise of Latin-1.
    name = str(request.environ.get("REMOTE_USER") or "").encode("latin-1", "replace").decode("utf-8", "replace")
    return Caller(site.state.welcome(name), "gate") if name else Caller()


def found(request: JiraRequest, site: Site, path: str, base: str) -> Caller:
    """Find out who the caller is, as Jira does; whoever shows nothing that counts is anonymous.

    Args:
        request: as it came.
        site: knows passwords, sessions and tokens.
        path: below the context path.
        base: the address of Jira.
    """
    if is_signed(request) and not path.startswith(DANCE):
        return _signed(request, site)
    session = site.sessions.of(request)
    if session is not None and site.accounts.active(session.user.name) is None:
        session = None
    scheme, _, rest = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.casefold() == "bearer" and (user := _bearer(site, rest.strip())) is not None:
        # Jira ends the session that a token's request came with.
        site.sessions.end(session)
        return Caller(user, "bearer", ((REASON, "OK"), *site.sessions.cookies(None)))
    pair = _parameters(request)
    if pair is not None:
        return _entered(request, site, session, pair, "parameters", base)
    if scheme.casefold() == "basic":
        return _entered(request, site, session, _basic(rest.strip()), "basic", base)
    if session is not None:
        return Caller(session.user, "session", ((REASON, "OK"), ("X-ASESSIONID", session.label)))
    # An unknown token is no token: nothing in the answer tells the two apart.
    return Caller(headers=tuple(site.sessions.cookies(None)))


def _bearer(site: Site, token: str) -> User | None:
    user = site.pats.owner(token)
    return user and site.accounts.active(user.name)


def _signed(request: JiraRequest, site: Site) -> Caller:
    try:
        signed = verified(request, site.links, site.clock)
        if "oauth_token" not in signed.given:  # Jira knows a two-legged request by an empty one, and else passes it by
            return Caller(headers=tuple(site.sessions.cookies(None)))
        name = site.links.user(signed)
    except OAuthProblem as error:
        return Caller(refusal=problem(error.fields))
    user = site.accounts.active(name)
    if user is None:
        return Caller(refusal=problem(OAuthProblem("permission_denied").fields))
    return Caller(user, "oauth", ((REASON, "OK"), *site.sessions.cookies(None)))


def _entered(
    request: JiraRequest, site: Site, session: Session | None, pair: tuple[str, str], how: str, base: str
) -> Caller:
    entered = site.accounts.login(*pair)
    if isinstance(entered, User):
        fresh = site.sessions.begin(entered)
        stale = session is None and COOKIE in request.cookies
        told = ((REASON, "OUT, OK" if stale else "OK"), ("X-ASESSIONID", fresh.label))
        return Caller(entered, how, (*told, *site.sessions.cookies(fresh)))
    if session is not None:
        # The session stands, and the answer tells what was wrong beside it.
        return Caller(session.user, "session", ((REASON, Refusal.DENIED.value), ("X-ASESSIONID", session.label)))
    if entered is Refusal.DENIED:
        return Caller(refusal=denied(base))
    if how == "basic":
        return Caller(refusal=failed())
    return Caller(headers=((REASON, entered.value), *site.sessions.cookies(None)))


def _basic(text: str) -> tuple[str, str]:
    try:
        name, _, password = b64decode(text, validate=True).decode("utf-8", "replace").partition(":")
    except ValueError:
        return "", ""
    return name, password


def _parameters(request: JiraRequest) -> tuple[str, str] | None:
    """Give the name and the password that parameters show, in the query or in a form."""
    form = parse_qs(request.small_form, keep_blank_values=True)
    names = [request.args.get(name, _first(form.get(name, ()))) for name in ("os_username", "os_password")]
    return (names[0] or "", names[1] or "") if names[0] is not None else None


def _first(values: Iterable[str]) -> str | None:
    return next(iter(values), None)
