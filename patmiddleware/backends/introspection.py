"""Tokens that an authorization server answers for, one call for each (RFC 7662)."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from urllib.parse import quote_plus, urlencode

from patmiddleware.claims import Claims, Malformed, check_terms, derived_id, members, seconds
from patmiddleware.errors import BackendUnavailable, ConfigurationError
from patmiddleware.model import Secret, Token
from patmiddleware.tokens import DEFAULT_PREFIX, check_prefix
from patmiddleware.webcall import Answer, WebCaller

# RFC 6749, appendix A.12, without the blank, which no header carries: nothing else is worth a call.
_PRESENTABLE = re.compile(r"[\x21-\x7e]{1,4096}")
_MADE_UP = Secret("patmiddleware-check")


class IntrospectionReader:
    """Asks an authorization server whose a token is.

    There is no ``revision()``: what the server was asked is kept for a second at the most, so that a token which it
    revokes is refused within that. Every token that comes in is shown to the server: in a chain it stands last.

    Args:
        address: ``introspection:https://HOST/PATH`` (``http`` on this machine alone).
        client_id: as whom we ask.
        client_secret: its password.
        issuer: what ``iss`` must be, exactly; one or several. Left out: it is not asked for.
        audience: what must be in ``aud``; one or several. Left out: any token that is active there is good here.
        scopes_claim: where the scopes stand.
        scopes: from their scopes to ours, one or several; others are dropped. Left out: theirs are ours.
        owner_claim: whom the token acts for: ``sub``, or ``username``.
        token_id_claim: its public identifier. Where there is none, one is derived from the token.
        name_claim: what is shown as its name.
        leeway: seconds by which the server's clock may be ahead of ours. It does not lengthen the life of a token.
        maximum_age: seconds after ``iat`` at which a token expires, whatever its ``exp``.
        token_type_hint: what the server is told to look for first; an empty text: nothing.
        ca_file: PEM file of the only authorities that may vouch for the server.
        timeout: seconds for a call.
        pool: connections that are kept; so many calls go on at once.
        prefix: of our own token format.
        clock: seconds since the epoch.

    Raises:
        ConfigurationError: when a setting can't be one, or urllib3 is missing.
    """

    foreign = True

    def __init__(
        self,
        address: str,
        *,
        client_id: str,
        client_secret: str,
        issuer: str | Iterable[str] | None = None,
        audience: str | Iterable[str] | None = None,
        scopes_claim: str = "scope",
        scopes: Mapping[str, str | Iterable[str]] | None = None,
        owner_claim: str = "sub",
        token_id_claim: str = "jti",  # noqa: S107 - the name of a claim
        name_claim: str = "client_id",
        leeway: float = 10.0,
        maximum_age: float | None = None,
        token_type_hint: str = "access_token",  # noqa: S107 - a word of RFC 7009
        ca_file: str | PathLike[str] | None = None,
        timeout: float = 5.0,
        pool: int = 8,
        prefix: str = DEFAULT_PREFIX,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.prefix = check_prefix(prefix)
        self._terms = check_terms(
            issuer=issuer,
            audience=audience,
            required=(),
            scopes_claim=scopes_claim,
            scopes=scopes,
            owner_claim=owner_claim,
            token_id_claim=token_id_claim,
            name_claim=name_claim,
            leeway=leeway,
            maximum_age=maximum_age,
        )
        self._clock, self._headers = clock, _headers(client_id, client_secret)
        self._hint = _hint(token_type_hint)
        self._caller = WebCaller(
            _url(address),
            setting="store",
            extra="introspection",
            ca_file=ca_file,
            timeout=seconds("timeout", timeout, 0.1),
            connections=_check_pool(pool),
        )

    def __repr__(self) -> str:
        return f"<IntrospectionReader at {self._caller.target.origin}>"

    def find(self, secret: Secret) -> Token | None:
        """Give the record that the server's answer makes, or None where the token is not active or not meant for us.

        Raises:
            BackendUnavailable: when there is no answer, or none that makes sense.
        """
        if not _PRESENTABLE.fullmatch(secret.reveal()):
            return None
        claims = self._asked(secret)
        if claims is None:
            return None
        try:
            return self._terms.token(claims, derived_id("introspected", secret.digest), self._clock())
        except Malformed as error:
            # The server vouches for it, so it is the answer that is wrong, and not the token.
            raise self._nonsense(error) from error

    def check(self) -> None:
        """Ask about a token that there can't be.

        Raises:
            BackendUnavailable: when there is no answer that makes sense.
        """
        if self._asked(_MADE_UP) is not None:
            raise BackendUnavailable(f"{self._caller.target.origin} takes any token for an active one")

    def close(self) -> None:
        """Close the connections; the next call makes new ones."""
        self._caller.close()

    def _asked(self, secret: Secret) -> Claims | None:
        body = urlencode({"token": secret.reveal(), **self._hint}).encode("ascii")
        answer = self._caller.call("POST", headers=self._headers, body=body)
        self._judge(answer)
        try:
            claims = members(answer.body)
        except Malformed as error:
            raise self._nonsense(error) from error
        active = claims.get("active")
        if not isinstance(active, bool):
            # RFC 7662, section 2.2: a boolean. The text "false" would be true to many a reader.
            raise self._nonsense("active is no boolean")
        return claims if active else None

    def _judge(self, answer: Answer) -> None:
        where = self._caller.target.origin
        if answer.status in (401, 403):
            hint = "look at store.client_id and store.client_secret"
            raise BackendUnavailable(f"{where} refuses our own credentials with the status {answer.status}: {hint}")
        if answer.status != 200:
            raise BackendUnavailable(f"{where} answers with the status {answer.status} and not with 200")

    def _nonsense(self, why: object) -> BackendUnavailable:
        return BackendUnavailable(f"the answer of {self._caller.target.origin} makes no sense: {why}")


def _headers(client_id: object, client_secret: object) -> Mapping[str, str]:
    for setting, value in (("client_id", client_id), ("client_secret", client_secret)):
        if not isinstance(value, str) or not value:
            raise ConfigurationError("must be set", setting=f"store.{setting}")
    try:
        # RFC 6749, section 2.3.1: each is encoded as in a form first.
        pair = f"{quote_plus(str(client_id))}:{quote_plus(str(client_secret))}"
    except UnicodeEncodeError as error:
        raise ConfigurationError("half a character stands in it", setting="store.client_secret") from error
    return {
        "Authorization": f"Basic {b64encode(pair.encode('ascii')).decode('ascii')}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }


def _hint(words: object) -> Mapping[str, str]:
    if not isinstance(words, str) or not (words.isascii() and words.isprintable()):
        raise ConfigurationError("takes a word, or an empty text", setting="store.token_type_hint")
    return {"token_type_hint": words} if words else {}


def _url(address: str) -> str:
    kind, _, url = address.partition(":")
    if kind.lower() != "introspection":
        message = "it is no address of an introspection server"
        raise ConfigurationError(message, setting="store", hint="write introspection:https://HOST/PATH")
    return url


def _check_pool(pool: object) -> int:
    if isinstance(pool, bool) or not isinstance(pool, int) or pool < 1:
        raise ConfigurationError("takes a number of connections, from 1 on", setting="store.pool")
    return pool
