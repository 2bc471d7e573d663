"""Be whoever the client's own token of the upstream belongs to."""

from __future__ import annotations

from ...credentials import parse_authorization
from ...errors import LinkError
from ...interfaces import Caller, UpstreamRequest
from ...model import Credential
from ...tokens import may_exist
from .carrying import carrying


class PassThrough:
    """Sends the client's own token on as Bearer, whatever carried it here: an adopted token of the upstream's."""

    is_callers = True

    def __repr__(self) -> str:
        return "<PassThrough>"

    def sign(self, request: UpstreamRequest, caller: Caller) -> UpstreamRequest:
        """Give the request as the client's.

        Raises:
            LinkError: when what the client sent was not kept, or is no token of the upstream's.
        """
        return carrying(request, "Authorization", f"Bearer {_token(caller)}")

    def refused(self, caller: Caller) -> bool:
        """Say no: the token is the client's, and it has no other."""
        return False


def _token(caller: Caller) -> str:
    if caller.grant.scheme == "Session":
        raise LinkError("a session can't be passed on to the upstream: send the token itself with each request")
    if caller.grant.token_id is None:
        raise LinkError("a password is not passed on to the upstream: send a token of the upstream's that was adopted")
    if caller.credential is None:
        raise LinkError("the credential of the client was not kept to be passed on: switch keep_credential on")
    text = caller.credential.reveal()
    if not isinstance(parse_authorization(f"Bearer {text}", ("bearer",)), Credential):
        raise LinkError("the token can't be passed on: it has a character in it that Bearer can't carry")
    if may_exist(text, text.partition("_")[0], foreign=False):
        # One of ours, under whatever prefix: the upstream does not know it, and must not learn it.
        raise LinkError("this token was made here and is not known to the upstream: send one that was adopted")
    return text
