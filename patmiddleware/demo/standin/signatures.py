"""Reads and verifies OAuth 1.0a requests with oauthlib's server side: the one file here that imports it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from oauthlib.common import Request
from oauthlib.oauth1 import SIGNATURE_RSA_SHA1, RequestValidator
from oauthlib.oauth1.rfc5849.endpoints import BaseEndpoint
from oauthlib.oauth1.rfc5849.errors import OAuth1Error
from oauthlib.oauth1.rfc5849.signature import base_string_uri, normalize_parameters, signature_base_string

from .links import OAuthProblem, Signed

_NEEDED = ("oauth_consumer_key", "oauth_signature_method", "oauth_signature", "oauth_timestamp", "oauth_nonce")
LIFETIME = 300
"""Seconds by which a timestamp may be off."""


class _Keys(RequestValidator):  # type: ignore[misc]  # oauthlib carries no types
    """Gives oauthlib the public key of a consumer."""

    def __init__(self, keys: Callable[[str], str | None]) -> None:
        super().__init__()
        self._keys = keys

    def get_rsa_key(self, client_key: str, request: Request) -> str | None:
        return self._keys(client_key)


class _Endpoint(BaseEndpoint):  # type: ignore[misc]  # oauthlib carries no types
    """oauthlib's own endpoints say yes or no; Jira says what is wrong. So their steps are taken one by one."""

    def read(self, uri: str, method: str, body: str, headers: Mapping[str, str]) -> Request:
        try:
            return self._create_request(uri, method, body, headers)
        except (OAuth1Error, ValueError):
            raise OAuthProblem("parameter_rejected") from None

    def is_signed(self, request: Request) -> bool:
        try:
            return bool(self._check_signature(request))
        except ValueError:  # a signature that is not base64
            return False


def verify(
    uri: str, method: str, body: str, headers: Mapping[str, str], keys: Callable[[str], str | None], now: float
) -> Signed:
    """Read a signed request, and verify its timestamp and its signature.

    Args:
        uri: the address as Jira sees it, with the raw query.
        method: of the request.
        body: of a form; empty for all else, which is not signed.
        headers: of the request.
        keys: gives the public key of a consumer, as PEM; None for one that is unknown.
        now: the time, in seconds.

    Raises:
        OAuthProblem: when there is something wrong with it.
    """
    endpoint = _Endpoint(_Keys(keys))
    request = endpoint.read(uri, method, body, headers)
    absent = [name for name in _NEEDED if not request.oauth_params.get(name)]
    if absent:
        raise OAuthProblem("parameter_absent", oauth_parameters_absent="&".join(absent))
    if request.oauth_params.get("oauth_version", "1.0") != "1.0":
        raise OAuthProblem("version_rejected", oauth_acceptable_versions="1.0-1.0")
    if request.signature_method != SIGNATURE_RSA_SHA1:
        raise OAuthProblem("signature_method_rejected")
    if keys(request.client_key) is None:
        raise OAuthProblem("consumer_key_unknown")
    _check_time(request.timestamp, now)
    if not endpoint.is_signed(request):
        signature = {"oauth_signature": request.signature, "oauth_signature_base_string": _base_string(request)}
        raise OAuthProblem("signature_invalid", **signature, oauth_signature_method=request.signature_method)
    given = {name: str(value) for name, value in request.params}
    return Signed(request.client_key, request.resource_owner_key or "", request.timestamp, request.nonce, given)


def _check_time(timestamp: str, now: float) -> None:
    given = int(timestamp) if timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12 else 0
    if abs(now - given) > LIFETIME:
        acceptable = f"{int(now) - LIFETIME}-{int(now) + LIFETIME}"
        raise OAuthProblem("timestamp_refused", oauth_acceptable_timestamps=acceptable)


def _base_string(request: Request) -> str:
    uri, parameters = base_string_uri(request.uri), normalize_parameters(request.params)
    return str(signature_base_string(request.http_method, uri, parameters))
