"""Have a user allow the application link to act for them: the three legs of OAuth 1.0a (RFC 5849, section 2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from ..errors import LinkError, UpstreamError
from ..interfaces import Transport
from ..model import Secret, UpstreamCredential
from .asking import Whole, ask
from .signing import Client, Consumer, PrivateKey, parameters

SERVLET = "/plugins/servlet/oauth"

_DENIED = "the user did not allow it: begin again, and press Allow"
_PROBLEMS = {
    "token_rejected": "the request was not allowed, has been used, or is too old: begin again, and allow it within "
    "10 minutes",
    "token_expired": "the request is too old: begin again, and allow it within 10 minutes",
    "token_used": "the request has been used: begin again",
    "signature_invalid": "the signature is refused: see that the link has the public half of app.auth.private_key, "
    "and that app.upstream is the base URL of Jira, to the letter",
    "nonce_used": "it takes the request for a repeated one: begin again",
    "timestamp_refused": "the clocks differ: set the clock of this host, and that of Jira",
    "consumer_key_unknown": "no application link knows this consumer key: see that app.auth.consumer_key is the one of "
    "the link's incoming authentication",
    "consumer_key_refused": "the application link does not take this consumer key any more: see to the link",
    "permission_denied": _DENIED,
    "permission_unknown": _DENIED,
    "user_refused": _DENIED,
    "signature_method_rejected": "the link does not take RSA-SHA1: set it up with a public key",
    "verifier_invalid": "the verification code is not right: begin again, and copy it whole",
    "parameter_rejected": "the verification code is not right: begin again, and copy it whole",
}
_PROBLEM = re.compile(r'\boauth_problem="?([a-z_]{1,40})\b')
_LINK = "see that app.upstream is the base URL of Jira, and that its application link allows incoming requests"


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that waits for the user.

    Args:
        authorize_url: where the user allows it, with a browser.
        token: of the request.
        secret: of the token.
    """

    authorize_url: str = field(repr=False)
    token: Secret
    secret: Secret


class Dance:
    """Gets an access token that stands for a user.

    Args:
        base_url: of the upstream, as it sees itself and the user's browser finds it.
        consumer_key: by which the link knows us.
        private_key: whose public half the link has.
        transport: to the upstream.

    Raises:
        ConfigurationError: when one of them can't be one, or a package is missing.
    """

    def __init__(self, base_url: str, consumer_key: str, private_key: PrivateKey, transport: Transport) -> None:
        self._consumer, self._transport = Consumer.of(base_url, consumer_key, private_key), transport

    def begin(self, callback: str = "oob") -> Pending:
        """Ask for a request token.

        Args:
            callback: where the upstream sends the browser with the verifier; ``oob``: it shows a code instead.

        Raises:
            LinkError: when the upstream refuses; the message says what to do.
            UpstreamError: when it can't be asked.
        """
        token, secret = self._ask("request-token", self._consumer.client(callback_uri=callback))
        address = f"{self._consumer.base_url}{SERVLET}/authorize?oauth_token={quote(token, safe='')}"
        return Pending(address, Secret(token), Secret(secret))

    def finish(self, pending: Pending, verifier: str) -> UpstreamCredential:
        """Take the access token, once the user has allowed it.

        Args:
            pending: what :meth:`begin` gave.
            verifier: the code that the user was shown, or what came to the callback as ``oauth_verifier``.

        Raises:
            LinkError: when the user or the upstream refuses; the message says what to do.
            UpstreamError: when it can't be asked.
        """
        code = verifier.strip()
        if not code or code == "denied":
            raise LinkError(_DENIED)
        who = {"resource_owner_key": pending.token.reveal(), "resource_owner_secret": pending.secret.reveal()}
        token, secret = self._ask("access-token", self._consumer.client(**who, verifier=code))
        return UpstreamCredential("oauth1", {"token": token, "token_secret": secret})

    def _ask(self, leg: str, client: Client) -> tuple[str, str]:
        target = f"{urlsplit(self._consumer.base_url).path}{SERVLET}/{leg}"
        headers = (("Authorization", client.authorization("POST", target)), ("Accept", "*/*"))
        answer = ask(self._transport, "POST", target, headers, b"")
        found = dict(parameters(answer.body.decode("utf-8", "replace"))) if answer.status == 200 else {}
        token, secret = found.get("oauth_token"), found.get("oauth_token_secret")
        if not token or not secret:
            raise _refusal(answer)
        return token, secret


def _refusal(answer: Whole) -> LinkError | UpstreamError:
    """Say why there is no token: in our words, for theirs quote what was signed."""
    if answer.status >= 500 or answer.status == 429:
        return UpstreamError(f"the upstream answers {answer.status} where a token was asked for: try again later")
    said = (answer.body.decode("utf-8", "replace"), *answer.all("WWW-Authenticate"))
    problem = next((found[1] for text in said if (found := _PROBLEM.search(text))), "")
    if words := _PROBLEMS.get(problem):
        return LinkError(f"the upstream refuses ({problem}): {words}")
    what = f"refuses ({problem})" if problem else f"answers {answer.status} without a token"
    return LinkError(f"the upstream {what}: {_LINK}")
