"""Seal a credential so that it opens for its owner, upstream and kind only: AES-256-GCM (NIST SP 800-38D)."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import blake2b

from ..errors import BackendError, BackendUnavailable, ConfigurationError
from ..model import UpstreamCredential
from .rows import Sealed

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as error:
    hint = "pip install 'patmiddleware[forward]'"
    raise ConfigurationError("a vault needs cryptography", setting="vault", hint=hint) from error

FORMAT = "patmiddleware vault 1"
KEY_BYTES = 32
NONCE_BYTES = 12
LONGEST = 32_768
"""Bytes that a credential may have: more than any key or token, and less than any database's column."""

_STEP = 256
_LEAST_VARIED = 16  # different bytes in a key: of random ones, fewer than one in 10**16 has so few
_HEX = re.compile(rf"[0-9A-Fa-f]{{{2 * KEY_BYTES}}}")
_MAKE = "make one: openssl rand -base64 32"


class Keyring:
    """The keys of a vault.

    Args:
        keys: newest first: each 32 bytes, or a text that has them in base64 or hex. The newest seals, all open.

    Attributes:
        newest: the id of the key that seals.

    Raises:
        ConfigurationError: when there is none, or one is short, not random, or stands twice. No key is shown.
    """

    def __init__(self, keys: Iterable[str | bytes]) -> None:
        if isinstance(keys, str | bytes):
            raise ConfigurationError("takes a list of keys, newest first", setting="vault.keys")
        found = [_key(key, f"vault.keys[{number}]") for number, key in enumerate(keys)]
        if not found:
            raise ConfigurationError("a vault needs a key", setting="vault.keys", hint=_MAKE)
        self._ciphers = {_key_id(key): AESGCM(key) for key in found}
        if len(self._ciphers) < len(found):
            raise ConfigurationError("the same key stands twice", setting="vault.keys")
        self.newest = _key_id(found[0])

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._ciphers)})"

    def seal(self, owner: str, upstream: str, credential: UpstreamCredential, changed: datetime) -> Sealed:
        """Seal a credential with the newest key.

        Args:
            owner: whose it is.
            upstream: for which it is.
            credential: of texts only.
            changed: when it was put there; aware.

        Raises:
            BackendError: when it is longer than :data:`LONGEST`, or a text has half a character in it.
        """
        kind, nonce = credential.kind, os.urandom(NONCE_BYTES)
        try:
            packed, bound = _packed(credential.values), _bound(owner, upstream, kind, self.newest)
        except UnicodeEncodeError:
            raise BackendError("a text of the credential can't be kept: it has half a character in it") from None
        data = nonce + self._ciphers[self.newest].encrypt(nonce, packed, bound)
        return Sealed(owner, upstream, kind, self.newest, changed, data)

    def open(self, sealed: Sealed) -> UpstreamCredential:
        """Open a sealed credential, with the one key that it names.

        Raises:
            BackendUnavailable: when that key is not there, or what is sealed, or whose it is, was changed.
        """
        whose = f"the credential of {sealed.owner} for {sealed.upstream}"
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise BackendUnavailable(f"{whose} is sealed with the key {sealed.key_id!r}, which is not in vault.keys")
        nonce, ciphertext = sealed.data[:NONCE_BYTES], sealed.data[NONCE_BYTES:]
        try:
            bound = _bound(sealed.owner, sealed.upstream, sealed.kind, sealed.key_id)
            values = cipher.decrypt(nonce, ciphertext, bound)
        except (InvalidTag, ValueError):  # the latter for what can't have been sealed at all
            raise BackendUnavailable(f"{whose} was damaged or exchanged in the vault: it must be made anew") from None
        return UpstreamCredential(sealed.kind, json.loads(values))


def _packed(values: Mapping[str, str]) -> bytes:
    if not all(isinstance(text, str) for pair in values.items() for text in pair):
        raise TypeError("a credential is made of texts")
    packed = json.dumps(dict(values), ensure_ascii=False).encode()
    if len(packed) > LONGEST:
        raise BackendError(f"a credential of more than {LONGEST} bytes can't be kept")
    # With blanks, which JSON passes over: the length of what is sealed would tell that of a password.
    return packed.ljust(-(-len(packed) // _STEP) * _STEP)


def _bound(*names: str) -> bytes:
    """Give what a credential is bound to. Each part stands behind its length, so that no two lists give the same."""
    parts = [name.encode() for name in (FORMAT, *names)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _key_id(key: bytes) -> str:
    return blake2b(key, digest_size=4, person=b"pat vault key id").hexdigest()


def _key(given: str | bytes, setting: str) -> bytes:
    key = given if isinstance(given, bytes) else _decoded(given.strip())
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"is not {KEY_BYTES} bytes in base64 or hex", setting=setting, hint=_MAKE)
    if len(set(key)) < _LEAST_VARIED:
        raise ConfigurationError("is not random", setting=setting, hint=_MAKE)
    return key


def _decoded(text: str) -> bytes:
    """Give the bytes that a text has in hex or in either alphabet of base64 (RFC 4648); none where it is neither."""
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        return base64.b64decode(text.translate({ord("-"): "+", ord("_"): "/"}) + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""
