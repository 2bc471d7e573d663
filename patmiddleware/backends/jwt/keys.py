"""Public keys that sign tokens elsewhere, each bound to one algorithm; and the check of a signature.

The only file here that knows PyJWT and cryptography.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from json import dumps
from typing import Any, NamedTuple, TypeAlias

from patmiddleware.claims import Malformed, members, texts
from patmiddleware.errors import ConfigurationError

try:
    from jwt import PyJWS
    from jwt.algorithms import get_default_algorithms, has_crypto
    from jwt.exceptions import PyJWTError

    if not has_crypto:
        raise ImportError("PyJWT has no cryptography to work with")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
except ImportError as error:
    raise ConfigurationError(
        "reading JWTs needs PyJWT and cryptography", setting="store", hint="pip install 'patmiddleware[jwt]'"
    ) from error

# Any: what a member of a JWK may be is judged member by member.
JWK: TypeAlias = Mapping[str, Any]

# By kty and crv (RFC 7518, section 3.1; RFC 8037; RFC 8812). A curve has one algorithm, so nothing can be mistaken.
_FITTING: Mapping[tuple[str, str | None], Sequence[str]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("EC", "secp256k1"): ("ES256K",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
    ("oct", None): ("HS256", "HS384", "HS512"),
}
KNOWN = frozenset().union(*_FITTING.values())
DEFAULT = ("RS256", "ES256", "ES384", "ES512", "EdDSA")
"""Algorithms that are taken where the settings say nothing: one for each kind of key."""

_SHORTEST_RSA = 2048  # bits; RFC 7518, section 3.3
_SHORTEST_OCT = {"HS256": 32, "HS384": 48, "HS512": 64}  # bytes; RFC 7518, section 3.2
_IDENTIFYING = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")

_signatures = PyJWS(options={"enforce_minimum_key_length": True})


class Unusable(ValueError):
    """A key that can't be used here, which says nothing against the others beside it."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Args:
        kid: its name; None: it has none.
        algorithm: the only one that it checks.
        material: what PyJWT works with.
        thumbprint: RFC 7638, with SHA-256; None for a secret.
    """

    kid: str | None
    algorithm: str
    # Any: a key object of cryptography, or bytes.
    material: Any = field(repr=False)
    thumbprint: str | None


class Rules(NamedTuple):
    """Which keys are taken, and for which algorithm.

    Args:
        algorithms: that may be used; a key without one of its own gets the only one that fits it.
        by_kid: the algorithm of each key that is taken, by its name; None: of any name.
        pins: thumbprints of the keys that are taken; empty: all.
        secrets: whether a shared secret may stand among them.
    """

    algorithms: frozenset[str]
    by_kid: Mapping[str, str] | None
    pins: frozenset[str]
    secrets: bool


def rules(algorithms: Mapping[str, str] | Iterable[str] | None, pins: Iterable[str], *, secrets: bool) -> Rules:
    """Give the rules that some settings make.

    Raises:
        ConfigurationError: for an unknown algorithm, ``none`` among them, or what can't be a thumbprint.
    """
    given = DEFAULT if algorithms is None else algorithms
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError("takes a list, or a mapping from key ids", setting="store.algorithms")
    by_kid = {str(kid): name for kid, name in given.items()} if isinstance(given, Mapping) else None
    names = list(given) if by_kid is None else list(by_kid.values())
    unknown = [name for name in names if not isinstance(name, str) or name not in KNOWN]
    if unknown or not names:
        message = f"{unknown[0]!r} is no algorithm for tokens" if unknown else "names no algorithm"
        raise ConfigurationError(message, setting="store.algorithms", hint=f"some of {', '.join(sorted(KNOWN))}")
    if not secrets and any(name.startswith("HS") for name in names):
        hint = "HS* needs jwt:FILE with keys of the kind oct"
        raise ConfigurationError("a shared secret can't be fetched", setting="store.algorithms", hint=hint)
    wanted = texts("pins", pins)
    if not all(map(_THUMBPRINT.fullmatch, wanted)):
        hint = "RFC 7638 with SHA-256: 43 characters of base64url"
        raise ConfigurationError("there is something in it that is no thumbprint", setting="store.pins", hint=hint)
    return Rules(frozenset(names), by_kid, wanted, secrets)


def parse_set(text: bytes, rules: Rules) -> tuple[tuple[Key, ...], tuple[str, ...]]:
    """Give the keys of a JWK set that can be used, and what is against the others.

    Raises:
        Malformed: when it is no JWK set.
        ConfigurationError: when the settings leave open which algorithm a key is for, or keys contradict each other.
    """
    listed = members(text).get("keys")
    if not isinstance(listed, list):
        raise Malformed("it is no JWK set: there is no list of keys in it")
    keys, reasons = list[Key](), list[str]()
    for position, jwk in enumerate(listed):
        try:
            keys.append(_key(jwk, rules))
        except Unusable as reason:
            reasons.append(f"key {position}: {reason}")
    if len({(key.kid, key.algorithm) for key in keys}) < len(keys):
        raise ConfigurationError("two keys have the same kid, or none, for one algorithm", setting="store")
    if len({key.thumbprint is None for key in keys}) > 1:
        # What is public here could be used there as a secret: RFC 8725, section 2.1.
        raise ConfigurationError("a secret (kty oct) stands beside public keys", setting="store", hint="part them")
    return tuple(keys), tuple(reasons)


def parse_pem(text: bytes, rules: Rules) -> Key:
    """Give the one public key of a PEM file. It has no name: it checks tokens of any ``kid``.

    Raises:
        ConfigurationError: when there is none, or the settings leave open which algorithm it is for.
    """
    hint = "one block BEGIN PUBLIC KEY; openssl pkey -in KEY -pubout, or openssl x509 -in CERT -noout -pubkey"
    try:
        if text.count(b"-----BEGIN ") != 1 or b"PRIVATE" in text:
            raise ValueError("not one public key")
        loaded = load_pem_public_key(text)
        jwk = _public_jwk(loaded)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError("it is no PEM file with one public key", setting="store", hint=hint) from error
    if rules.by_kid is not None:
        raise ConfigurationError("a PEM file has no key ids: give a list", setting="store.algorithms")
    try:
        return _key(jwk, rules)
    except Unusable as reason:
        raise ConfigurationError(f"the key can't be used: {reason}", setting="store") from reason


def is_signed(text: str, key: Key) -> bool:
    """Whether the signature of a compact JWS is by this key, with the key's own algorithm."""
    try:
        _signatures.decode_complete(text, key.material, algorithms=[key.algorithm])
    except (PyJWTError, ValueError, TypeError):  # the last two for what cryptography itself does not take
        return False
    return True


# Any: what cryptography loads, of which some kinds are refused here.
def _public_jwk(loaded: Any) -> JWK:
    kinds = {
        rsa.RSAPublicKey: "RS256",
        ec.EllipticCurvePublicKey: "ES256",
        ed25519.Ed25519PublicKey: "EdDSA",
        ed448.Ed448PublicKey: "EdDSA",
    }
    for kind, algorithm in kinds.items():
        if isinstance(loaded, kind):
            try:
                return get_default_algorithms()[algorithm].to_jwk(loaded, as_dict=True)
            except PyJWTError as error:  # a curve that it does not know
                raise ValueError("an unknown curve") from error
    raise ValueError("a kind of key that signs no tokens")


def _key(jwk: object, rules: Rules) -> Key:
    if not isinstance(jwk, dict):
        raise Unusable("it is no object")
    kid, kty = jwk.get("kid"), jwk.get("kty")
    if kid is not None and (not isinstance(kid, str) or not kid):
        raise Unusable("its kid is no text")
    if _PRIVATE & jwk.keys():
        raise Unusable("it is a private key, which has no business here: publish the public half")
    if jwk.get("use", "sig") != "sig" or "verify" not in _operations(jwk):
        raise Unusable("it is not for checking signatures")
    if kty == "oct" and not rules.secrets:
        raise Unusable("it is a secret that everybody may read")
    algorithm = _algorithm(jwk, kid, rules)
    material = _material(jwk, algorithm)
    thumbprint = None if kty == "oct" else _thumbprint(algorithm, material)
    if rules.pins and thumbprint not in rules.pins:
        raise Unusable("its thumbprint is not among the pins")
    return Key(kid, algorithm, material, thumbprint)


def _operations(jwk: JWK) -> Sequence[object]:
    operations = jwk.get("key_ops", ["verify"])
    return operations if isinstance(operations, list) else ()


def _algorithm(jwk: JWK, kid: str | None, rules: Rules) -> str:
    kty, curve, own = jwk.get("kty"), jwk.get("crv"), jwk.get("alg")
    fitting = (
        _FITTING.get((kty, curve if kty in ("EC", "OKP") else None), ())
        if isinstance(kty, str) and isinstance(curve, str | None)
        else ()
    )
    if rules.by_kid is None:
        allowed = [name for name in fitting if name in rules.algorithms and own in (None, name)]
    else:
        allowed = [name for name in fitting if name == rules.by_kid.get(kid or "") and own in (None, name)]
    if not allowed:
        raise Unusable("no algorithm of the settings fits it")
    if len(allowed) > 1:
        hint = "name one of them, or give a mapping from key ids to algorithms"
        message = f"{' and '.join(allowed)} both fit a key that does not say which it is for"
        raise ConfigurationError(message, setting="store.algorithms", hint=hint)
    return allowed[0]


# Any: see Key.material.
def _material(jwk: JWK, algorithm: str) -> Any:
    try:
        # Any member that is read must be text; PyJWT does not look.
        if not all(isinstance(jwk.get(name, ""), str) for name in ("n", "e", "x", "y", "k", "crv")):
            raise ValueError("a member is no text")
        material = get_default_algorithms()[algorithm].from_jwk(dict(jwk))
    except (PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm) as error:
        raise Unusable("it is no key of its kind") from error
    if isinstance(material, rsa.RSAPublicKey) and material.key_size < _SHORTEST_RSA:
        raise Unusable(f"it is shorter than {_SHORTEST_RSA} bits")
    if isinstance(material, bytes) and len(material) < _SHORTEST_OCT[algorithm]:
        raise Unusable(f"it is shorter than {_SHORTEST_OCT[algorithm]} bytes, which {algorithm} needs")
    return material


def _thumbprint(algorithm: str, material: object) -> str:
    """Give the thumbprint of RFC 7638: of the key itself, not of how it was written."""
    jwk = get_default_algorithms()[algorithm].to_jwk(material, as_dict=True)
    text = dumps({name: jwk[name] for name in _IDENTIFYING[jwk["kty"]]}, sort_keys=True, separators=(",", ":"))
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()
