"""Make, rotate and revoke tokens: the only place that does.

What may be made is judged in :mod:`patmiddleware.issuance`; how records that belong together change together stands in
:mod:`patmiddleware.lineage`. A secret is handed out only after nothing that ran at the same time can have forbidden it.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from . import fields, issuance
from .audit import AuditLog
from .changes import announce
from .credentials import parse_authorization
from .errors import ConfigurationError, ConflictError, RefusedError, UnknownTokenError
from .interfaces import AccessPolicy, TokenStore
from .issuance import ID_BYTES, KnownScopes, earliest, is_live
from .issuance import IssuerLimits as IssuerLimits
from .lineage import ATTEMPTS, Lineage, too_busy
from .model import NO_LIMITS, NOTHING, Credential, Grant, Minted, Network, Owner, Revocation, Secret, Token
from .options import check_clock
from .tokens import DEFAULT_PREFIX, check_prefix, may_exist, mint_secret

MOST_SESSIONS = 200
"""How many sessions of a token live at once; the oldest gives way to one more."""
DEFAULT_LIMITS = IssuerLimits()
DEFAULT_OVERLAP = timedelta(hours=1)

# Of the whole process: two issuers over one store count the same tokens.
_counting = Lock()


def _count_anew() -> None:
    global _counting
    _counting = Lock()


if hasattr(os, "register_at_fork"):
    # A child of a fork in the middle of a count must be able to count as well. The fork does not wait for the count: it
    # may hold the locks of a store, which whoever counts is waiting for.
    os.register_at_fork(after_in_child=_count_anew)


class Issuer:
    """Makes, rotates and revokes the tokens of a store.

    Args:
        store: where tokens are kept. A ``prefix`` that it shows is that of new tokens.
        limits: what is made, and for whom.
        policy: ours knows the scopes and what they include, so that an unknown one is refused; any other does not.
        clock: gives seconds since the epoch.
        audit: hears of each token that is made, rotated or revoked.

    Raises:
        ConfigurationError: when the store can only be read, a forced scope is unknown to the policy, or something else
            stands in the place of one of these, be it a class or an address.
    """

    def __init__(
        self,
        store: TokenStore,
        *,
        limits: IssuerLimits = DEFAULT_LIMITS,
        policy: AccessPolicy | None = None,
        clock: Callable[[], float] = time.time,
        audit: AuditLog | None = None,
    ) -> None:
        _check_kinds(limits, clock, store=store, policy=policy, audit=audit)
        self.store = _writable(store)
        self.limits = limits
        self._lineage = Lineage(store, self._now)
        self._prefix = check_prefix(getattr(store, "prefix", DEFAULT_PREFIX))
        self._foreign = bool(getattr(store, "foreign", True))
        self._scopes = KnownScopes(policy)
        self._clock = clock
        self._audit = audit
        try:
            self._scopes.check(limits.ordinary_scopes or frozenset())
        except RefusedError as error:
            raise ConfigurationError(str(error), setting="issuer.ordinary_scopes") from None

    def mint(
        self,
        *,
        owner: str,
        name: str,
        scopes: Iterable[str] = (),
        lifetime: timedelta | None = None,
        networks: Iterable[Network | str] = (),
        limits: Mapping[str, Iterable[str]] = NO_LIMITS,
        actor: Grant | Owner | None = None,
        attributes: Mapping[str, str] = NOTHING,
    ) -> Minted:
        """Make a token.

        Args:
            owner: the name of the person or service that it acts for.
            name: what its owner calls it.
            scopes: names of scopes; none opens only what any valid token may do.
            lifetime: None: the default; ``timedelta.max``: it does not expire.
            networks: where it may come from; none: anywhere.
            limits: capture name to the values that it is limited to.
            actor: who asks; None: the operator at the console. With the grant of a token it is made a child of that.
            attributes: free text pairs, kept with the record.

        Returns:
            The secret, this once, and the record.

        Raises:
            RefusedError: when something is wrong with what is asked for, or the limits forbid it; nothing is kept then.
            BackendUnavailable: when the store can't be asked or written.
        """
        draft = self._draft(
            owner=owner,
            name=name,
            scopes=scopes,
            lifetime=lifetime,
            networks=networks,
            limits=limits,
            attributes=attributes,
        )
        if actor is not None:
            draft = issuance.for_actor(draft, actor, self.limits)
        if isinstance(actor, Grant) and actor.token_id is not None:
            parent = self._parent(actor.token_id, actor.owner)
            draft = issuance.as_child(draft, parent, self._scopes, lifetime_asked=lifetime is not None)
        secret = mint_secret(self._prefix)
        self._add(draft, secret)
        self._tell("token.created", draft, by=draft.created_by)
        return Minted(secret, draft)

    def adopt(
        self,
        secret: Secret | str,
        *,
        owner: str,
        name: str,
        scopes: Iterable[str] = (),
        lifetime: timedelta | None = None,
        networks: Iterable[Network | str] = (),
        limits: Mapping[str, Iterable[str]] = NO_LIMITS,
        by: str | None = None,
        attributes: Mapping[str, str] = NOTHING,
    ) -> Token:
        """Take a token over that somebody else issued: from now on its secret is good here, with these scopes.

        Only its digest is kept. The arguments are those of :meth:`mint`, but for ``secret``, which nobody checks here,
        and ``by``: who takes it over.

        Raises:
            RefusedError: when something is wrong with what is asked for, the store takes no tokens of others, the
                secret can't be one, or is known already; nothing is kept then.
            BackendUnavailable: when the store can't be asked or written.
        """
        text = secret.reveal() if isinstance(secret, Secret) else secret
        if not self._foreign:
            raise RefusedError("this store takes no tokens of others: set foreign = true in [store]")
        if self._is_ours(text) or not isinstance(parse_authorization(f"Bearer {text}"), Credential):
            raise RefusedError("what was given can't be a token of somebody else's: look for a typing error")
        draft = replace(
            self._draft(
                owner=owner,
                name=name,
                scopes=scopes,
                lifetime=lifetime,
                networks=networks,
                limits=limits,
                attributes=attributes,
            ),
            created_by=fields.check_note("by", by),
        )
        try:
            self._add(draft, text)
        except ConflictError:
            raise RefusedError("this token is known here already: look in the list of tokens") from None
        self._tell("token.adopted", draft, by=by)
        return draft

    def open_session(self, grant: Grant, lifetime: timedelta, *, request_id: str | None = None) -> Minted:
        """Make a session of a token: a child with all that the token has, which is good as a cookie alone.

        Whoever may use a token may do so, whatever the limits say of making tokens, and sessions are not counted. Those
        of the same token that are over are forgotten.

        Args:
            grant: of the token.
            lifetime: cut to what is left of the token's.
            request_id: for the audit.

        Raises:
            RefusedError: when the grant is not a token's that is valid still, or is a session's.
            BackendUnavailable: when the store can't be asked or written.
        """
        if grant.token_id is None:
            raise RefusedError("a session is opened with a token, not with a password")
        parent, now = self._parent(grant.token_id, grant.owner), self._now()
        self._make_room(parent)
        draft = issuance.session_of(parent, secrets.token_hex(ID_BYTES), now, lifetime)
        secret = mint_secret(self._prefix)
        self._add(draft, secret)
        self._tell("session.created", draft, by=draft.created_by, request_id=request_id)
        return Minted(secret, draft)

    def rotate(
        self,
        secret_or_id: Secret | str,
        overlap: timedelta = DEFAULT_OVERLAP,
        *,
        by: str | None = None,
        lifetime: timedelta | None = None,
    ) -> Minted:
        """Give a token a successor with a new secret and id. The old one lives on for the overlap; children move over.

        Args:
            secret_or_id: a holder shows the secret, an operator names the id.
            overlap: how long the old secret stays good, at the most; zero: not at all.
            by: who asks, if not the holder.
            lifetime: of the successor; None: as long as the old one was given. Cut to the maximum, and to what is left
                of the parent's.

        Raises:
            UnknownTokenError: when there is no such token.
            RefusedError: when the token is a session, expired, revoked, or was rotated before. To show a secret that
                was rotated out, after its overlap, revokes the whole family.
            BackendUnavailable: when the store can't be asked or written.
        """
        if lifetime is not None:
            issuance.check_lifetime(lifetime)
        issuance.check_overlap(overlap)
        by = fields.check_note("by", by)
        for _ in range(ATTEMPTS):
            token, shown = self._look_up(secret_or_id)
            self._judge_rotation(token, shown)
            successor, secret = self._successor(token, lifetime), mint_secret(self._prefix)
            expires = earliest(token.expires, issuance.end(successor.created, overlap))
            try:
                self._lineage.hand_over(token, expires, successor, secret)
            except ConflictError:
                continue
            self._judge_successor(successor)
            self._tell("token.rotated", successor, by=by)
            return Minted(secret, successor)
        raise too_busy()

    def revoke(self, id: str, *, by: str | None = None, why: str = "") -> tuple[str, ...]:
        """Revoke a token, its children, and the one that it replaced, where that lives on for an overlap.

        Args:
            id: of the token. One that is revoked already stays as it is.
            by: who revokes it.
            why: the reason, in words.

        Returns:
            The ids of what was revoked now.

        Raises:
            UnknownTokenError: when there is no such token.
            BackendUnavailable: when the store can't be asked or written; some may be revoked then.
        """
        if self.store.get(id) is None:
            raise UnknownTokenError("no token has this id: look it up in the list of tokens")
        return self._revoke(lambda: filter(None, [self.store.get(id)]), by, why)

    def revoke_owner(self, name: str, *, by: str | None = None, why: str = "") -> tuple[str, ...]:
        """Revoke every live token of an owner, as :meth:`revoke` does.

        Raises:
            RefusedError: when the name is no text; nothing is revoked then.
        """
        owner = fields.check_whose(name)
        return self._told(self._lineage.revoke_all(self._revocation(by, why), owner=owner))

    def revoke_before(self, time: datetime, *, by: str | None = None, why: str = "") -> tuple[str, ...]:
        """Revoke every live token that was made before a time (aware), as :meth:`revoke` does."""
        issuance.check_moment(time)
        return self._told(self._lineage.revoke_all(self._revocation(by, why), created_before=time))

    def revoke_secret(self, secret: Secret | str, *, by: str | None = None, why: str = "") -> tuple[str, ...]:
        """Revoke the token that has this secret, as :meth:`revoke` does: whoever holds it may.

        Raises:
            UnknownTokenError: when no token has it.
        """
        return self.revoke(self._find(secret).id, by=by, why=why)

    def purge(self, before: datetime) -> tuple[str, ...]:
        """Forget tokens that were dead before a time (aware), once all of their family were.

        Until then a token that was rotated out is kept, so that its secret is still known for one when it is shown.
        What says that a token of another issuer is revoked is kept until that one expires.

        Returns:
            The ids of the forgotten tokens.
        """
        issuance.check_moment(before)
        until = min(before, self._now())
        dead = (token for token in self.store.list(created_before=until) if issuance.was_dead(token, until))
        families = [self.store.list(family=family) for family in sorted({token.family for token in dead})]
        gone = [one.id for family in families if all(issuance.was_dead(one, until) for one in family) for one in family]
        if gone:
            self._lineage.forget(gone)
        return tuple(gone)

    def get(self, id: str) -> Token | None:
        """Give the record with this id, with its last use, or None."""
        return self.store.get(id)

    def _draft(
        self,
        *,
        owner: str,
        name: str,
        scopes: Iterable[str],
        lifetime: timedelta | None,
        networks: Iterable[Network | str],
        limits: Mapping[str, Iterable[str]],
        attributes: Mapping[str, str],
    ) -> Token:
        now = self._now()
        draft = Token(
            id=secrets.token_hex(ID_BYTES),
            owner=fields.check_owner(owner),
            name=fields.check_name(name),
            scopes=fields.check_scopes(scopes),
            created=now,
            expires=self.limits.expiry(now, lifetime),
            networks=fields.check_networks(networks),
            limits=fields.check_limits(limits),
            attributes=fields.check_attributes(attributes),
        )
        self._scopes.check(draft.scopes)
        return draft

    def _add(self, token: Token, secret: str) -> None:
        with _counting if self.limits.maximum_per_owner is not None else nullcontext():
            self._judge_number(token, more=1)
            self.store.add(token, secret)
            try:
                # Judged once more now that nobody can overlook it: another process may have added one to the number
                # meanwhile, or revoked the parent and found no child.
                self._judge_number(token)
                self._judge_parent(token)
            except BaseException:  # also what a backend must not raise: nobody hears the secret of this token
                self.store.remove(token.id)
                raise
            finally:
                announce(self.store)

    def _judge_number(self, token: Token, more: int = 0) -> None:
        most, owner = self.limits.maximum_per_owner, token.owner
        if most is not None and not token.is_session and len(self._lineage.heads(owner)) + more > most:
            raise RefusedError(f"{owner!r} may have {most} live tokens: revoke one that is not needed any more")

    def _parent(self, id: str, owner: str | None = None) -> Token:
        parent = self.store.get(id)
        # Behind ours in a chain may be tokens of another issuer, who may give one the id of a token of ours.
        foreign = parent is not None and owner not in (None, parent.owner)
        if parent is None or foreign or not is_live(parent, self._now()):
            raise RefusedError("the token that this one would depend on is not valid any more: log in again")
        if parent.is_session:
            raise RefusedError("a session makes no tokens: use the token that it was opened with")
        return parent

    def _make_room(self, parent: Token) -> None:
        """Forget the sessions of a token that are over, and the oldest ones where too many live."""
        sessions = [token for token in self.store.list(parent=parent.id) if token.is_session]
        live = sorted(self._lineage.live(sessions), key=lambda token: token.created)
        kept = {token.id for token in live[-MOST_SESSIONS + 1 :]}
        if gone := [token.id for token in sessions if token.id not in kept]:
            self._lineage.forget(gone)

    def _judge_parent(self, token: Token) -> None:
        if token.parent is not None and earliest(token.expires, self._parent(token.parent).expires) != token.expires:
            raise RefusedError("the token that asks was rotated at the same time: ask with its successor")

    def _look_up(self, secret_or_id: Secret | str) -> tuple[Token, bool]:
        """Give the token, and whether its secret was shown."""
        if isinstance(secret_or_id, str) and not self._is_ours(secret_or_id):
            token = self.store.get(secret_or_id)
            if token is not None:
                return token, False
        return self._find(secret_or_id), True

    def _is_ours(self, text: str) -> bool:
        return may_exist(text, self._prefix, foreign=False)

    def _find(self, secret: Secret | str) -> Token:
        if isinstance(secret, str):
            secret = Secret(secret)
        token = self.store.find(secret) if may_exist(secret.reveal(), self._prefix, self._foreign) else None
        if token is None:
            # What was given is not shown: it may be a secret that is good elsewhere.
            raise UnknownTokenError("there is no such token: look for a typing error, or in the list of tokens")
        return token

    def _judge_rotation(self, token: Token, shown: bool) -> None:
        """Refuse what can't be rotated; where a thief must be thought of, revoke its family before."""
        if token.is_session:
            raise RefusedError("a session is not rotated: open another one with its token")
        successor = self._lineage.successor(token)
        live = is_live(token, self._now())
        if successor is not None and shown and not live:
            self._revoke_family(token)
            raise RefusedError(
                f"the token {token.id} was rotated out, and its secret is shown again, so it may be in wrong hands: "
                "all its successors are revoked; make a new token"
            )
        if successor is not None:
            raise RefusedError(f"the token {token.id} was rotated already: its successor is {successor.id}")
        if not live:
            state = "expired" if token.revoked is None else "revoked"
            raise RefusedError(f"the token {token.id} is {state} and can't be rotated: make a new one")

    def _successor(self, token: Token, lifetime: timedelta | None) -> Token:
        now = self._now()
        parent = self._parent(token.parent) if token.parent is not None else None
        given = issuance.NEVER if token.expires is None else token.expires - token.created
        expires = issuance.end(now, self.limits.cut(lifetime or given))
        return replace(
            token,
            id=issuance.successor_id(token.id),
            created=now,
            expires=expires if parent is None else earliest(expires, parent.expires),
            replaces=token.id,
            last_used=None,
        )

    def _judge_successor(self, token: Token) -> None:
        # Who revoked it or its parent meanwhile may have looked for children before all of them had moved here.
        records = [self.store.get(id) for id in (token.id, token.parent) if id is not None]
        if any(record is None or record.revoked is not None for record in records):
            self.revoke(token.id, why="revoked while its predecessor was rotated")
            raise RefusedError("the token was revoked while it was rotated: make a new one")

    def _revoke_family(self, token: Token) -> None:
        self._tell("token.reuse", token)
        why = f"the rotated-out secret of {token.id} was shown"
        self._revoke(lambda: self._lineage.live(self.store.list(family=token.family)), "rotation reuse", why)

    def _revoke(self, find: Callable[[], Iterable[Token]], by: str | None, why: str) -> tuple[str, ...]:
        return self._told(self._lineage.revoke(find, self._revocation(by, why)))

    def _revocation(self, by: str | None, why: str) -> Revocation:
        return Revocation(self._now(), fields.check_note("by", by), fields.check_note("why", why) or "")

    def _told(self, revoked: Iterable[Token]) -> tuple[str, ...]:
        ids = []
        for token in revoked:
            revocation = token.revoked or Revocation(self._now())
            self._tell(
                "session.ended" if token.is_session else "token.revoked", token, by=revocation.by, why=revocation.why
            )
            ids.append(token.id)
        return tuple(ids)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _tell(
        self, event: str, token: Token, *, by: str | None = None, why: str = "", request_id: str | None = None
    ) -> None:
        if self._audit is not None:
            tell(self._audit, self._clock(), event, token, by=by, why=why, request_id=request_id)

    def list(
        self,
        *,
        owner: str | None = None,
        family: str | None = None,
        parent: str | None = None,
        revoked: bool | None = None,
        created_before: datetime | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Token]:
        """Give the records that match every filter that is given, as the store's ``list`` does, ordered by id."""
        return self.store.list(
            owner=owner,
            family=family,
            parent=parent,
            revoked=revoked,
            created_before=created_before,
            after=after,
            limit=limit,
        )


def tell(
    audit: AuditLog,
    now: float,
    event: str,
    token: Token,
    *,
    by: str | None = None,
    why: str = "",
    request_id: str | None = None,
) -> None:
    """Hand an act of management to the audit, with what is known of its token."""
    audit.event(
        now,
        event,
        token=token.id,
        token_name=token.name,
        owner=token.owner,
        scopes=" ".join(sorted(token.scopes)),
        expires=None if token.expires is None else token.expires.isoformat(),
        parent=token.parent,
        replaces=token.replaces,
        by=by,
        why=why or None,
        request_id=request_id,
    )


def _writable(store: object) -> TokenStore:
    if not isinstance(store, TokenStore):
        name = type(store).__name__
        raise ConfigurationError(f"{name} can only be read: tokens are made in another store", setting="store")
    return store


def _check_kinds(limits: object, clock: object, **objects: object) -> None:
    for setting, value in objects.items():
        # A class has the methods as well, and an address would be found out by the first token only.
        if isinstance(value, type):
            raise ConfigurationError(f"is the class {value.__name__}: give an object of it", setting=setting)
        if isinstance(value, str | Path):
            raise ConfigurationError("takes an object, not an address or a path: open it first", setting=setting)
    if not isinstance(limits, IssuerLimits):
        given = limits.__name__ if isinstance(limits, type) else type(limits).__name__
        raise ConfigurationError(f"takes IssuerLimits(…), not {given}", setting="limits")
    check_clock(clock)
