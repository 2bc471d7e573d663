"""Application links: who may sign requests with OAuth 1.0a, and the tokens that users have given them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from secrets import token_urlsafe
from threading import Lock
from urllib.parse import quote, urlencode


class OAuthProblem(Exception):
    """What is wrong with a signed request.

    Args:
        problem: in the words of OAuth Problem Reporting, such as ``token_rejected``.
        more: further fields of the answer.
    """

    def __init__(self, problem: str, **more: str) -> None:
        super().__init__(problem)
        self.problem, self.more = problem, more

    @property
    def fields(self) -> str:
        """The body of the answer, form-encoded."""
        return urlencode({"oauth_problem": self.problem, **self.more}, quote_via=quote)


@dataclass(frozen=True, slots=True)
class ApplicationLink:
    """An application that may sign requests.

    Args:
        consumer_key: its name.
        public_key: PEM of the RSA key that it signs with.
        execute_as: the user whom two-legged requests run as; None: there are none, without impersonation.
        impersonation: whether two-legged requests may name their user.
    """

    consumer_key: str
    public_key: str = field(repr=False)
    execute_as: str | None = None
    impersonation: bool = False


@dataclass(frozen=True, slots=True)
class Signed:
    """What a request says whose signature was right.

    Args:
        consumer: who signed it.
        token: that it shows; empty for a two-legged one.
        timestamp: in seconds.
        nonce: that no other request of that consumer, token and time may have.
        given: all parameters that were signed, with those of the query.
    """

    consumer: str
    token: str
    timestamp: str
    nonce: str
    given: Mapping[str, str] = field(repr=False)


class Step(Enum):
    """How far a token has come."""

    ASKED = "asked"
    APPROVED = "approved"
    DENIED = "denied"
    ACCESS = "access"


@dataclass(frozen=True, slots=True)
class Token:
    """A request token, or an access token.

    Args:
        consumer: for whom.
        step: how far it has come.
        callback: address, or ``oob``.
        user: who approved it.
        verifier: that the user hands over.
    """

    consumer: str
    step: Step
    callback: str = "oob"
    user: str = ""
    verifier: str = field(default="", repr=False)


class Links:
    """Application links of a stand-in, and their tokens; safe to share between threads.

    Args:
        links: known from the start.
        most: nonces and tokens that are kept; the oldest are forgotten.
    """

    def __init__(self, links: Iterable[ApplicationLink] = (), *, most: int = 100_000) -> None:
        self._links = {link.consumer_key: link for link in links}
        self._tokens: OrderedDict[str, Token] = OrderedDict()
        self._nonces: OrderedDict[tuple[str, str, str, str], None] = OrderedDict()
        self._most, self._lock = most, Lock()

    def add(self, link: ApplicationLink) -> None:
        """Know a link from now on; one of the same consumer gives way."""
        with self._lock:
            self._links[link.consumer_key] = link

    def remove(self, consumer_key: str) -> None:
        """Know a link no more."""
        with self._lock:
            self._links.pop(consumer_key, None)

    def link(self, consumer_key: str) -> ApplicationLink | None:
        """Give the link of a consumer."""
        return self._links.get(consumer_key)

    def public_key(self, consumer_key: str) -> str | None:
        """Give the public key of a consumer."""
        link = self.link(consumer_key)
        return link.public_key if link else None

    def use(self, signed: Signed) -> None:
        """Use up the nonce of a request.

        Raises:
            OAuthProblem: ``nonce_used``, when another request had it.
        """
        key = (signed.consumer, signed.token, signed.timestamp, signed.nonce)
        with self._lock:
            if key in self._nonces:
                raise OAuthProblem("nonce_used")
            self._nonces[key] = None
            if len(self._nonces) > self._most:
                self._nonces.popitem(last=False)

    def user(self, signed: Signed) -> str:
        """Give the name of the user whom a signed request runs as.

        Raises:
            OAuthProblem: when there is none.
        """
        if signed.token:
            return self.token(signed, Step.ACCESS).user
        link = self._links[signed.consumer]
        wanted = signed.given.get("xoauth_requestor_id")
        if wanted and link.impersonation:
            return wanted
        if wanted or link.execute_as is None:
            raise OAuthProblem("permission_denied")
        return link.execute_as

    def token(self, signed: Signed, *steps: Step) -> Token:
        """Give the token that a signed request shows, if it has come as far as it must.

        Raises:
            OAuthProblem: ``token_rejected``, when it has not, is unknown, or somebody else's.
        """
        token = self._tokens.get(signed.token)
        if token is None or token.consumer != signed.consumer or token.step not in steps:
            raise OAuthProblem("token_rejected")
        return token

    def ask(self, consumer: str, callback: str = "oob") -> str:
        """Make a request token."""
        return self._new(Token(consumer, Step.ASKED, callback))

    def asked(self, name: str) -> Token | None:
        """Give a request token that no user has decided on yet."""
        token = self._tokens.get(name)
        return token if token is not None and token.step is Step.ASKED else None

    def approve(self, name: str, user: str) -> str:
        """Let a user approve a request token, and give the verifier."""
        verifier = token_urlsafe(4)
        self._decide(name, step=Step.APPROVED, user=user, verifier=verifier)
        return verifier

    def deny(self, name: str) -> str:
        """Let a user deny a request token, and give the verifier that says so."""
        self._decide(name, step=Step.DENIED)
        return "denied"

    def _decide(self, name: str, **values: object) -> None:
        with self._lock:
            token = self._tokens.get(name)
            if token is None or token.step is not Step.ASKED:
                raise OAuthProblem("token_rejected")
            self._tokens[name] = replace(token, **values)  # type: ignore[arg-type]

    def exchange(self, signed: Signed) -> str:
        """Give an access token for the approved request token that a signed request shows.

        Raises:
            OAuthProblem: when the token is not approved, or the verifier is wrong.
        """
        token = self.token(signed, Step.ASKED, Step.APPROVED, Step.DENIED)
        if token.step is not Step.APPROVED:
            raise OAuthProblem("permission_denied" if token.step is Step.DENIED else "permission_unknown")
        if signed.given.get("oauth_verifier") != token.verifier:
            raise OAuthProblem("token_rejected")
        self.revoke(signed.token)
        return self.grant(signed.consumer, token.user)

    def grant(self, consumer: str, user: str) -> str:
        """Make an access token of a user, as if the whole dance had been danced."""
        return self._new(Token(consumer, Step.ACCESS, user=user))

    def revoke(self, name: str) -> None:
        """End a token, whatever kind it is."""
        with self._lock:
            self._tokens.pop(name, None)

    def _new(self, token: Token) -> str:
        name = token_urlsafe(24)
        with self._lock:
            self._tokens[name] = token
            if len(self._tokens) > self._most:
                self._tokens.popitem(last=False)
        return name
