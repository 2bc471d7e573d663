"""Helper: an issuer of JWTs that signs whatever a test asks for, right or wrong."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from patmiddleware.testing import NOON

ISSUER, AUDIENCE = "https://issuer.example/", "https://api.example"
NOW = NOON.timestamp()

CLAIMS: Mapping[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "alice",
    "iat": NOW - 60,
    "exp": NOW + 3600,
    "jti": "t1",
    "scope": "read write",
    "client_id": "ci",
}
"""Claims with which a token is taken."""


@cache
def rsa_key(bits: int = 2048, number: int = 0) -> Any:
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> Any:
    return ec.generate_private_key(curve())


@cache
def ed_key(name: str = "ed") -> Any:
    """The same key for the same name."""
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


def text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(key: Any, algorithm: str = "EdDSA", **members: Any) -> dict[str, Any]:
    """The public half of a key, with more members, or without those that are None."""
    public = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in {**public, **members}.items() if value is not None}


def secret_jwk(secret: bytes, **members: Any) -> dict[str, Any]:
    return {"kty": "oct", "k": text(secret), **members}


def pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def signed(header: Mapping[str, Any] | bytes, claims: Mapping[str, Any] | bytes, key: Any, algorithm: str) -> str:
    """A token of any header and claims, also of bytes that are no JSON."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    message = ".".join(map(text, parts))
    return f"{message}.{text(get_default_algorithms()[algorithm].sign(message.encode(), key))}"


def issued(key: Any = None, algorithm: str = "EdDSA", header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """A token like any other but for some claims; those that are ``...`` are left out."""
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    first = {"alg": algorithm, "typ": "at+jwt", "kid": "k1", **(header or {})}
    head = {name: value for name, value in first.items() if value is not ...}
    return signed(head, said, key or ed_key(), algorithm)


def key_set(*keys: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def key_file(folder: Path, *keys: Mapping[str, Any], name: str = "keys.json") -> Path:
    """A file with a JWK set, which others may not write to; an old one of that name is replaced."""
    return written(folder / name, key_set(*keys))


def written(file: Path, data: bytes) -> Path:
    new = file.with_suffix(".new")
    new.write_bytes(data)
    new.chmod(0o600)
    new.replace(file)
    return file
