"""Tokens that were signed elsewhere and revoked here: kept in a store of ours, by what was signed and by their id."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime

from patmiddleware.claims import derived_id
from patmiddleware.errors import BackendUnavailable, ConflictError
from patmiddleware.interfaces import TokenStore
from patmiddleware.model import DENIAL, Digest, Revocation, Secret, Token

_TRIES = 4


def denial_id(issuer: str, token_id: str) -> str:
    """Give the id under which the revocation of a token is kept.

    Of the issuer and the id together: two issuers may give the same one, and neither may name a record of ours.
    """
    return derived_id(DENIAL, f"{issuer}\0{token_id}".encode("utf-8", "surrogatepass"))


def judged(token: Token, secret: Secret, store: TokenStore) -> Token:
    """Give a token as it is, or revoked, if it was revoked here.

    Raises:
        BackendUnavailable: when that can't be said.
    """
    # By its id first: of one ECDSA signature another can be made, and so another secret for the same token.
    for record in (store.get(denial_id(token.attributes["iss"], token.id)), store.find(secret)):
        if record is not None and record.revoked is not None:
            return replace(token, revoked=record.revoked)
    return token


def deny(token: Token, secret: Secret | None, store: TokenStore, revocation: Revocation) -> Token:
    """Keep that a token is revoked. One that is revoked already stays as it is.

    Args:
        token: as the issuer made it.
        secret: if it is in hand.
        store: where revocations are kept.
        revocation: when, by whom, and why.

    Returns:
        The token, revoked.

    Raises:
        BackendUnavailable: when it can't be written.
    """
    for _ in range(_TRIES):
        try:
            return replace(token, revoked=_denied(token, secret, store, revocation))
        except ConflictError:  # somebody was quicker: look again
            continue
    raise BackendUnavailable("the revocation can't be written: its record changes all the time")


def _denied(token: Token, secret: Secret | None, store: TokenStore, revocation: Revocation) -> Revocation:
    id = denial_id(token.attributes["iss"], token.id)
    record = store.get(id) or (None if secret is None else store.find(secret))
    if record is None:
        # Where no secret is in hand the record needs a digest nevertheless: one that no secret leads to.
        by = Digest("sha256", "", os.urandom(32)) if secret is None else secret
        attributes = {**token.attributes, "token_id": token.id}
        store.add(replace(token, id=id, family="", revoked=revocation, attributes=attributes), by)
        return revocation
    if record.revoked is None:
        store.replace(replace(record, revoked=revocation), record)
        return revocation
    return record.revoked


def stub(token_id: str, owner: str, issuer: str, now: datetime, expires: datetime | None) -> Token:
    """Give what stands for a token of which only the id is in hand."""
    return Token(id=token_id, owner=owner, created=now, expires=expires, attributes={"iss": issuer})
