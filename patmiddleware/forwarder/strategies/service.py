"""Be one account for everybody: Basic, or a token of the upstream's own as Bearer."""

from __future__ import annotations

from base64 import b64encode

from ...credentials import parse_authorization
from ...errors import ConfigurationError
from ...interfaces import Caller, UpstreamRequest
from ...model import Credential, Secret
from ..given import AUTH, text
from .carrying import carrying


class BasicAccount:
    """Signs with a user name and a password (RFC 7617, in UTF-8).

    Args:
        username: without a colon.
        password: of this account at the upstream.

    Raises:
        ConfigurationError: when Basic can't carry one of them.
    """

    is_callers = False

    def __init__(self, username: str, password: Secret | str) -> None:
        name = text("username", username)
        if ":" in name:  # what stands behind it would be the password's
            raise ConfigurationError("has a colon in it, which Basic can't carry", setting=f"{AUTH}.username")
        pair = f"{name}:{text('password', password)}"
        self._authorization = Secret(f"Basic {b64encode(pair.encode()).decode('ascii')}")

    def __repr__(self) -> str:
        return "<BasicAccount>"

    @property
    def header(self) -> tuple[str, str]:
        """What makes a request the account's."""
        return "Authorization", self._authorization.reveal()

    def sign(self, request: UpstreamRequest, caller: Caller) -> UpstreamRequest:
        """Give the request as the account's."""
        return carrying(request, *self.header)

    def refused(self, caller: Caller) -> bool:
        """Say no: the same password again would only count as one more failure."""
        return False


class BearerAccount:
    """Signs with a token of the upstream's own (RFC 6750).

    Args:
        token: of the account at the upstream.

    Raises:
        ConfigurationError: when Bearer can't carry it.
    """

    is_callers = False

    def __init__(self, token: Secret | str) -> None:
        authorization = f"Bearer {text('token', token)}"
        if not isinstance(parse_authorization(authorization, ("bearer",)), Credential):
            message = "has a character in it that no token has, or is too long"
            raise ConfigurationError(message, setting=f"{AUTH}.token", hint="copy it once more")
        self._authorization = Secret(authorization)

    def __repr__(self) -> str:
        return "<BearerAccount>"

    def sign(self, request: UpstreamRequest, caller: Caller) -> UpstreamRequest:
        """Give the request as the account's."""
        return carrying(request, "Authorization", self._authorization.reveal())

    def refused(self, caller: Caller) -> bool:
        """Say no: it is the same token each time."""
        return False
