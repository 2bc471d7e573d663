"""The client's own token of the upstream, passed on."""

from __future__ import annotations

import pytest
from upstreams import get

from patmiddleware.errors import LinkError
from patmiddleware.forwarder.strategies import PassThrough
from patmiddleware.interfaces import Caller
from patmiddleware.model import Grant, Secret
from patmiddleware.tokens import mint_secret

ADOPTED = "MTIzNDU2Nzg5MDEyOgABAgMEBQYHCAkKCwwNDg8QERIT"


def caller(secret: str | None = ADOPTED, scheme: str = "Bearer", token_id: str | None = "t1") -> Caller:
    grant = Grant(token_id=token_id, owner="alice", scheme=scheme)
    return Caller(grant, None if secret is None else Secret(secret))


@pytest.mark.parametrize("scheme", ["Bearer", "Basic", "Token", "ApiKey"])
def test_goes_on_as_bearer(scheme: str) -> None:
    """Whatever carried the token here, the upstream gets it as Bearer, and nothing else of that name."""
    signed = PassThrough().sign(get("/", ("Authorization", "Basic eDp5")), caller(scheme=scheme))

    assert signed.headers == (("Accept", "*/*"), ("Authorization", f"Bearer {ADOPTED}"))


def test_is_the_callers() -> None:
    """The client hears of a refusal, for it is its own token, and it has no other."""
    assert (PassThrough().is_callers, PassThrough().refused(caller())) == (True, False)


REFUSED = {
    "not kept": (caller(None), "switch keep_credential on"),
    "a session": (caller(scheme="Session"), "session"),
    "a password": (caller("geheim", "Basic", None), "password"),
    "one of ours": (caller(mint_secret()), "made here"),
    "one of ours, of another prefix": (caller(mint_secret("acme")), "made here"),
    "a header of its own": (caller("geheim\r\nX-Y: z", "Basic"), "Bearer can't carry"),
    "a blank": (caller("geheim heim", "Basic"), "Bearer can't carry"),
    "an empty one": (caller("", "Basic"), "Bearer can't carry"),
}


@pytest.mark.parametrize(("who", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_token_of_the_upstream_is_not_passed_on(who: Caller, words: str) -> None:
    """The message says why, without the secret."""
    with pytest.raises(LinkError, match=words) as caught:
        PassThrough().sign(get(), who)

    assert who.credential is None or not who.credential.reveal() or who.credential.reveal() not in str(caught.value)
