"""Helper: an upstream with an application link, which judges signatures twice: by oauthlib, and by its own reading."""

from __future__ import annotations

import time
from base64 import b64decode
from functools import cache
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes, urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from oauthlib.oauth1 import RequestValidator, SignatureOnlyEndpoint
from upstreams import target
from werkzeug import Request, Response

CONSUMER = "gate key/ä"


@cache
def private_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def pem(key: Any, password: bytes | None = None) -> bytes:
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    data: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
    return data


def public_pem(key: Any) -> bytes:
    data: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return data


class _Link(RequestValidator):  # type: ignore[misc]  # oauthlib has no types
    """What oauthlib asks of a link."""

    enforce_ssl = False
    allowed_signature_methods = ("RSA-SHA1",)
    dummy_client = "nobody"

    def __init__(self) -> None:
        super().__init__()
        self.nonces: set[tuple[str, str]] = set()

    def check_client_key(self, client_key: str) -> bool:
        return True

    def check_nonce(self, nonce: str) -> bool:
        return True

    def validate_client_key(self, client_key: str, request: Any) -> bool:
        return client_key == CONSUMER

    def get_rsa_key(self, client_key: str, request: Any) -> str:
        return public_pem(private_key()).decode()

    def validate_timestamp_and_nonce(
        self, client_key: str, timestamp: str, nonce: str, *rest: Any, **more: Any
    ) -> bool:
        new = (timestamp, nonce) not in self.nonces
        self.nonces.add((timestamp, nonce))
        return new and abs(time.time() - int(timestamp)) < 300


class LinkedJira:
    """Takes signed requests, and dances.

    Attributes:
        seen: what oauthlib made of each request that was rightly signed.
        tokens: of users, to their names.
        pending: request tokens, to the callbacks.
        problem: answered in the place of a token.
        verifier: that the user is shown.
    """

    def __init__(self) -> None:
        self.link = _Link()
        self.seen: list[Any] = []
        self.tokens = {"alices": "alice"}
        self.pending: dict[str, str] = {}
        self.problem: Response | None = None
        self.verifier = "v3r1f"

    def __call__(self, request: Request) -> Response:
        uri = f"http://{request.host}{target(request)}"
        body = request.get_data().decode("utf-8", "replace")
        headers = dict(request.headers)
        good, seen = SignatureOnlyEndpoint(self.link).validate_request(uri, request.method, body, headers)
        if not good:
            return Response("oauth_problem=signature_invalid&oauth_signature_base_string=geheim", 401)
        self.seen.append(seen)
        leg = request.path.rpartition("/")[2]
        if leg in ("request-token", "access-token"):
            return self.problem or (self._request_token(seen) if leg == "request-token" else self._access_token(seen))
        return Response(self._who(request, seen))

    def _who(self, request: Request, seen: Any) -> str:
        if seen.resource_owner_key:
            return self.tokens.get(seen.resource_owner_key, "nobody")
        return request.args.get("xoauth_requestor_id", "the link itself")

    def _request_token(self, seen: Any) -> Response:
        token = f"request/{len(self.pending)}"
        self.pending[token] = seen.redirect_uri
        return _form(oauth_token=token, oauth_token_secret="s1+", oauth_callback_confirmed="true")

    def _access_token(self, seen: Any) -> Response:
        if self.pending.pop(seen.resource_owner_key, None) is None:
            return Response("oauth_problem=token_rejected", 401)
        if seen.verifier != self.verifier:
            return Response("oauth_problem=token_rejected", 401)
        self.tokens["access/1"] = "bob"
        return _form(oauth_token="access/1", oauth_token_secret="s2+", oauth_expires_in="157680000")


def _form(**pairs: str) -> Response:
    return Response(urlencode(pairs), content_type="application/x-www-form-urlencoded")


def is_signed(authorization: str, method: str, url: str, form: bytes = b"") -> bool:
    """Whether RFC 5849, section 3.4, holds, read anew from what stands on the wire and by none of oauthlib's code."""
    scheme, _, fields = authorization.partition(" ")
    assert scheme == "OAuth"
    pairs = [field.strip().split("=", 1) for field in fields.split(",")]
    given = {unquote(name): unquote(value.strip('"')) for name, value in pairs}
    signature = b64decode(given.pop("oauth_signature"))
    base, _, query = url.partition("?")
    collected = [*given.items(), *_pairs(query.encode()), *_pairs(form)]
    coded = sorted((_escape(name), _escape(value)) for name, value in collected)
    normal = "&".join(f"{name}={value}" for name, value in coded)
    signed = "&".join(map(_escape, (method, base, normal)))
    try:
        private_key().public_key().verify(signature, signed.encode(), padding.PKCS1v15(), SHA1())
    except InvalidSignature:
        return False
    return True


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    parts = [part.replace(b"+", b" ").partition(b"=") for part in encoded.split(b"&") if part]
    return [(_text(name), _text(value)) for name, _, value in parts]


def _text(data: bytes) -> str:
    return unquote_to_bytes(data).decode("utf-8", "replace")


def _escape(text: str) -> str:
    return quote(text, safe="~")
