"""The token string: make one, recognise one, and digest it for storing.

``<prefix>_<secret><checksum>``: 32 base62 characters from the system's generator (190 bits), then the CRC-32 of all
that stands before in 6 base62 characters, most significant first. So a mistyped token costs no look-up, and secret
scanners can tell one for sure.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from zlib import crc32

from .errors import ConfigurationError
from .model import Digest, Secret

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET_LENGTH = 32
CHECKSUM_LENGTH = 6
DEFAULT_PREFIX = "pat"

_PAIRS = tuple(first + second for first in BASE62 for second in BASE62)
_PREFIX = re.compile(r"[a-z0-9]{2,12}")
_BODY = re.compile(rf"[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}")
_PEPPER_LENGTH = 16


def check_prefix(prefix: object) -> str:
    """Give the prefix back if it may be one.

    Raises:
        ConfigurationError: when it is not 2 to 12 of ``[a-z0-9]``.
    """
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(f"{prefix!r} can't be a token prefix", setting="prefix", hint="2 to 12 of a-z and 0-9")
    return prefix


def checksum(text: str) -> str:
    """Give the CRC-32 of an ASCII text in 6 base62 characters, most significant first, padded with ``0``."""
    rest, last = divmod(crc32(text.encode("ascii")), len(_PAIRS))
    first, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]


def mint_secret(prefix: str = DEFAULT_PREFIX, choice: Callable[[str], str] = secrets.choice) -> str:
    """Make a new token string.

    Raises:
        ConfigurationError: when the prefix may not be one.
    """
    body = f"{check_prefix(prefix)}_" + "".join(choice(BASE62) for _ in range(SECRET_LENGTH))
    return body + checksum(body)


def may_exist(text: str, prefix: str = DEFAULT_PREFIX, foreign: bool = True) -> bool:
    """Say whether a look-up is worth its cost.

    Args:
        text: the token string as presented.
        prefix: of our own format.
        foreign: whether strings of other formats are kept as well.
    """
    if not text:
        return False
    if not text.startswith(prefix + "_"):
        return foreign
    body = text[len(prefix) + 1 :]
    return _BODY.fullmatch(body) is not None and checksum(text[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:]


def holds_token(text: str, prefix: str = DEFAULT_PREFIX) -> bool:
    """Say whether a token of our format stands anywhere in a text."""
    length = len(prefix) + 1 + SECRET_LENGTH + CHECKSUM_LENGTH
    starts = (found.start() for found in re.finditer(re.escape(prefix) + "_", text))
    return any(may_exist(text[start : start + length], prefix) for start in starts)


def pattern(prefix: str = DEFAULT_PREFIX) -> str:
    """Give a regular expression that secret scanners find our tokens with."""
    return rf"\b{check_prefix(prefix)}_[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}\b"


def check_peppers(peppers: Iterable[str | bytes]) -> tuple[bytes, ...]:
    """Give the peppers as bytes, newest first.

    Raises:
        ConfigurationError: when one is shorter than 16 bytes, or stands twice. The pepper itself is not shown.
    """
    if isinstance(peppers, str | bytes):
        raise ConfigurationError("peppers takes a list of keys, newest first", setting="peppers")
    keys = tuple(pepper.encode() if isinstance(pepper, str) else bytes(pepper) for pepper in peppers)
    if any(len(key) < _PEPPER_LENGTH for key in keys):
        raise ConfigurationError(
            f"a pepper has fewer than {_PEPPER_LENGTH} bytes", setting="peppers", hint="make one: openssl rand -hex 32"
        )
    if len(set(keys)) < len(keys):
        raise ConfigurationError("the same pepper stands twice", setting="peppers")
    return keys


def digests(secret: Secret, peppers: Sequence[bytes] = ()) -> tuple[Digest, ...]:
    """Give every form under which a secret may be stored, the one for new tokens first.

    The keyed form digests the SHA-256, so that a token can be moved into a store with a pepper without its secret.

    Args:
        secret: the token.
        peppers: keys as :func:`check_peppers` gives them, newest first.
    """
    plain = Digest("sha256", "", secret.digest)
    return (*(_peppered(plain, pepper) for pepper in peppers), plain)


def digest_to_store(secret_or_digest: Secret | Digest | str, peppers: Sequence[bytes] = ()) -> Digest:
    """Give the form under which a new token is stored; a digest in hand is keyed if it can be, else kept as it is."""
    if isinstance(secret_or_digest, str):
        secret_or_digest = Secret(secret_or_digest)
    if isinstance(secret_or_digest, Secret):
        return digests(secret_or_digest, peppers)[0]
    if secret_or_digest.kind == "sha256" and peppers:
        return _peppered(secret_or_digest, peppers[0])
    return secret_or_digest


def _peppered(plain: Digest, pepper: bytes) -> Digest:
    key = pepper if len(pepper) <= blake2b.MAX_KEY_SIZE else blake2b(pepper).digest()
    key_id = blake2b(key, digest_size=4, person=b"pat key id").hexdigest()
    return Digest("blake2b", key_id, blake2b(plain.value, key=key, digest_size=32).digest())
