"""Be a user by an application link: one who allowed it (three-legged), or anyone whom the link may stand for."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from ...errors import ConfigurationError, LinkError
from ...interfaces import Caller, UpstreamRequest
from ...model import Secret
from ..given import AUTH, text
from ..signing import Consumer, PrivateKey, parameters
from .carrying import carrying

REQUESTOR = "xoauth_requestor_id"
"""The parameter that names whom a two-legged request is for; it stands in the query, and is signed."""

_FORM = "application/x-www-form-urlencoded"
_OTHERS = frozenset({REQUESTOR, "user_id"})


class OAuth1:
    """Signs with RSA-SHA1, over the request as it goes to the upstream: nothing may change it afterwards.

    Args:
        base_url: of the upstream, as it sees itself: its signature covers scheme, host, port and context path.
        consumer_key: by which the link knows us.
        private_key: whose public half the link has.
        token: of the user who allowed it; left out: two-legged, as the link's own user.
        token_secret: of the token.
        impersonate: two-legged, as the owner of the caller's grant.

    Raises:
        ConfigurationError: when one of them can't be one, or a package is missing.
    """

    is_callers = False

    def __init__(
        self,
        base_url: str,
        *,
        consumer_key: str,
        private_key: PrivateKey,
        token: Secret | str = "",
        token_secret: Secret | str = "",
        impersonate: bool = False,
    ) -> None:
        if not isinstance(impersonate, bool):
            raise ConfigurationError("must be true or false", setting=f"{AUTH}.impersonate")
        if token and impersonate:
            hint = "leave one of them out"
            raise ConfigurationError("can't be with a user's own token", setting=f"{AUTH}.impersonate", hint=hint)
        given = {"resource_owner_key": ("token", token), "resource_owner_secret": ("token_secret", token_secret)}
        who = {name: text(*pair) for name, pair in given.items() if pair[1]}
        self._client = Consumer.of(base_url, consumer_key, private_key).client(**who)
        self._impersonate = impersonate

    def __repr__(self) -> str:
        return "<OAuth1>"

    def sign(self, request: UpstreamRequest, caller: Caller) -> UpstreamRequest:
        """Give the request with a signature.

        Raises:
            LinkError: when the request says itself for whom it is, or has a form that is not in hand.
        """
        form = _form(request)
        query = request.target.partition("?")[2]
        if any(_says_who(name) for name, _ in parameters(query) + parameters(form)):
            raise LinkError("a parameter of the request says for whom it is: leave oauth_… and user_id parameters out")
        if self._impersonate:
            request = replace(request, target=_for(caller.grant.owner, request.target))
        authorization = self._client.authorization(request.method, request.target, form)
        return carrying(request, "Authorization", authorization)

    def refused(self, caller: Caller) -> bool:
        """Say no: each signature is new already."""
        return False


def _says_who(name: str) -> bool:
    plain = name.casefold()
    return plain.startswith("oauth_") or plain in _OTHERS


def _for(owner: str, target: str) -> str:
    if not owner:
        raise LinkError("the token has no owner to stand for")
    between = "&" if "?" in target else "?"
    return f"{target}{between}{REQUESTOR}={quote(owner, safe='')}"


def _form(request: UpstreamRequest) -> str:
    """Give the body, if it is a form: its parameters are signed (RFC 5849, section 3.4.1.3.1)."""
    kinds = {
        value.partition(";")[0].strip().lower() for name, value in request.headers if name.lower() == "content-type"
    }
    if _FORM not in kinds or request.body is None:
        return ""
    if not isinstance(request.body, bytes):
        raise LinkError("a form that is sent in pieces can't be signed: send it with its length, up to 64 KiB")
    return request.body.decode("utf-8", "replace")
