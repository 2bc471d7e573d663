"""Tokens that somebody else signs, as personal access tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from os import PathLike

from patmiddleware.changes import Tally
from patmiddleware.claims import Malformed, Terms, check_terms, derived_id
from patmiddleware.errors import ConfigurationError, RefusedError, UnknownTokenError
from patmiddleware.interfaces import Events, TokenStore
from patmiddleware.model import Revocation, Secret, Token
from patmiddleware.tokens import DEFAULT_PREFIX, check_prefix

from . import headers
from .denials import deny, judged, stub
from .keys import is_signed
from .opening import open_keys

REQUIRED = ("iss", "sub", "aud", "exp", "iat")
"""Claims without which no token is taken."""


class JWTReader:
    """Reads tokens that an issuer elsewhere signs; whoever it says they act for, they act for here.

    It has a ``revision()``: what is revoked with ``deny`` arrives within a second, a key that is taken out of a file
    likewise, and one that a server does not publish any more within ``lifetime`` seconds.

    Args:
        address: ``jwt:https://HOST/PATH``, a JWK set that is fetched (``http`` on this machine alone); ``jwt:PATH``, a
            file with a JWK set or with one public key in PEM form. All the keys may speak for every issuer that is
            named: keys of another publisher belong into a reader of their own, in a chain.
        issuer: what ``iss`` must be, exactly; one or several.
        audience: what must be in ``aud``; one or several.
        algorithms: that keys are for: a list, or a mapping from key ids. It is bound to the key: its own ``alg``, else
            the one of these that fits it. Left out: RS256, ES256, ES384, ES512 and EdDSA. HS* only with a file of
            keys of the kind ``oct``.
        typ: types that are taken; an empty text or None among them: a token without one. Some issuers set none.
        leeway: seconds by which the issuer's clock may be ahead of ours. It does not lengthen the life of a token.
        maximum_length: characters that a token may have; the gate takes 4096 at the most.
        maximum_age: seconds after ``iat`` at which a token expires, whatever its ``exp``.
        scopes_claim: where the scopes stand, as text with blanks between them or as a list.
        scopes: from their scopes to ours, one or several; others are dropped. Left out: theirs are ours.
        owner_claim: whom the token acts for.
        token_id_claim: its public identifier. Where there is none, one is derived from what was signed.
        name_claim: what is shown as its name.
        deny: a store in which tokens can be revoked here; see :meth:`revoke`.
        pins: RFC 7638 thumbprints, with SHA-256, of the only keys that are taken.
        ca_file: PEM file of the only authorities that may vouch for the server.
        lifetime: seconds for which fetched keys are kept.
        stale: seconds beyond it for which they serve while they can't be fetched.
        cooldown: seconds between two fetches at the least.
        timeout: seconds for a fetch.
        prefix: of our own token format, which no JWT has.
        clock: seconds since the epoch.

    Raises:
        ConfigurationError: when a setting can't be one, a key file can't be used, or a package is missing.
    """

    foreign = True

    def __init__(
        self,
        address: str,
        *,
        issuer: str | Iterable[str],
        audience: str | Iterable[str],
        algorithms: Mapping[str, str] | Iterable[str] | None = None,
        typ: str | Iterable[str | None] | None = ("at+jwt", "JWT"),
        leeway: float = 10.0,
        maximum_length: int = 4096,
        maximum_age: float | None = None,
        scopes_claim: str = "scope",
        scopes: Mapping[str, str | Iterable[str]] | None = None,
        owner_claim: str = "sub",
        token_id_claim: str = "jti",  # noqa: S107 - the name of a claim
        name_claim: str = "client_id",
        deny: TokenStore | None = None,
        pins: Iterable[str] = (),
        ca_file: str | PathLike[str] | None = None,
        lifetime: float = 300.0,
        stale: float = 600.0,
        cooldown: float = 10.0,
        timeout: float = 5.0,
        prefix: str = DEFAULT_PREFIX,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.prefix = check_prefix(prefix)
        self._terms = check_terms(
            issuer=issuer,
            audience=audience,
            required=REQUIRED,
            scopes_claim=scopes_claim,
            scopes=scopes,
            owner_claim=owner_claim,
            token_id_claim=token_id_claim,
            name_claim=name_claim,
            leeway=leeway,
            maximum_age=maximum_age,
        )
        _check_named(self._terms)
        self._types = headers.check_types(typ)
        self._longest = _check_length(maximum_length)
        self._deny = _check_deny(deny)
        self._clock, self._tally = clock, Tally()
        self._keys = open_keys(
            address,
            algorithms=algorithms,
            pins=pins,
            ca_file=ca_file,
            lifetime=lifetime,
            stale=stale,
            cooldown=cooldown,
            timeout=timeout,
        )

    def __repr__(self) -> str:
        return f"<JWTReader of {', '.join(sorted(self._terms.issuers))}>"

    @property
    def events(self) -> Events | None:
        """Give what carries the changes of the deny store; None where nothing does."""
        events: Events | None = getattr(self._deny, "events", None)
        return events

    def find(self, secret: Secret) -> Token | None:
        """Give the record that a token makes, if its signature and its claims are right; an expired one as well.

        Raises:
            BackendUnavailable: when the keys, or what was revoked here, can't be known.
        """
        token = self._read(secret.reveal())
        return token if token is None or self._deny is None else judged(token, secret, self._deny)

    def revision(self) -> int:
        """Count what changes the answers: revocations here, and the keys. The number means something in this process.

        Raises:
            BackendUnavailable: when it can't be said.
        """
        return self._tally.number((self._keys.generation(), None if self._deny is None else self._deny.revision()))

    def revoke(self, secret: Secret, *, by: str | None = None, why: str = "") -> Token:
        """Refuse a token from now on, though its issuer does not know of it.

        Args:
            secret: the token.
            by: who revokes it; None: an operator.
            why: for the records.

        Returns:
            The token, revoked.

        Raises:
            UnknownTokenError: when it would not get in anyway.
            ConfigurationError: when no ``deny`` is set.
            BackendUnavailable: when it can't be written.
        """
        token = self._read(secret.reveal())
        if token is None:
            raise UnknownTokenError("there is no such token: it is not one that would be taken")
        return deny(token, secret, self._denying(), Revocation(self._now(), by, why))

    def revoke_id(
        self,
        id: str,
        *,
        owner: str,
        issuer: str | None = None,
        expires: datetime | None = None,
        by: str | None = None,
        why: str = "",
    ) -> Token:
        """Refuse a token from now on of which only the id is known, as it stands in the audit log.

        Args:
            id: as shown.
            owner: whom it acts for, for the records.
            issuer: who issued it; may be left out where only one is set.
            expires: until when it matters; None: for ever.
            by: who revokes it; None: an operator.
            why: for the records.

        Raises:
            RefusedError: when the issuer is none of those that are set.
            ConfigurationError: when no ``deny`` is set.
            BackendUnavailable: when it can't be written.
        """
        store, issuers = self._denying(), self._terms.issuers
        if issuer is None and len(issuers) == 1:
            [issuer] = issuers
        if issuer is None or issuer not in issuers:
            raise RefusedError(f"say which issuer's token it is: {', '.join(sorted(issuers))}")
        now = self._now()
        return deny(stub(id, owner, issuer, now, expires), None, store, Revocation(now, by, why))

    def check(self) -> None:
        """Look for keys, and for the store of what was revoked.

        Raises:
            BackendUnavailable: when there are none, or it does not answer.
        """
        self._keys.check()
        self.revision()

    def close(self) -> None:
        """Let go of connections; the next call makes new ones. The store of what was revoked stays open."""
        self._keys.close()

    def _read(self, text: str) -> Token | None:
        if not headers.is_compact(text, self._longest):
            return None
        try:
            header = headers.header(text, self._types)
            if not headers.is_canonical(text):
                return None
            key = self._keys.select(header)
            if key is None or not is_signed(text, key):
                return None
            claims = headers.claims(text)
            default_id = derived_id("jwt", headers.signing_input(text))
            return self._terms.token(claims, default_id, self._clock())
        except Malformed:
            return None

    def _denying(self) -> TokenStore:
        if self._deny is None:
            hint = 'set it, for instance to "sqlite:///denied.db"'
            raise ConfigurationError("there is no store to keep revocations in", setting="store.deny", hint=hint)
        return self._deny

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _check_named(terms: Terms) -> None:
    """See to it that it is said whose tokens are taken, and which: without, any of an issuer's would be."""
    for setting, given in (("issuer", terms.issuers), ("audience", terms.audiences)):
        if not given:
            raise ConfigurationError("must be set", setting=f"store.{setting}")


def _check_length(length: object) -> int:
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ConfigurationError("takes a number of characters", setting="store.maximum_length")
    return length


def _check_deny(store: object) -> TokenStore | None:
    if store is None or isinstance(store, TokenStore):
        return store
    raise ConfigurationError("takes a store that can be written to", setting="store.deny")
