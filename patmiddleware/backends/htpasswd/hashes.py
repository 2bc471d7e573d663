"""The kinds of hashes that stand in such a file, and how a password is held against one.

A hash is judged by its form when the file is read, so that checking a password meets no surprise. passlib is imported
here alone and handler by handler: `passlib.apache` breaks beside bcrypt 5 as soon as it is imported.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from typing import Protocol

from ...errors import ConfigurationError

LONGEST = 4096
"""Bytes of a password; passlib takes no more."""

logger = logging.getLogger("patmiddleware")


class HashError(ValueError):
    """This is no hash that is taken; the message says why, and shows nothing of it."""


class Handler(Protocol):
    """What passlib has for one kind."""

    def verify(self, secret: bytes, hash: str) -> bool:
        """Say whether a password is the one."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One way of hashing.

    Args:
        name: for messages.
        handler: its name in ``passlib.hash``.
        form: what the whole hash looks like. A group ``cost`` in it is a number.
        costs: which costs are taken. A check that takes minutes would stop the service.
        longest: bytes of a password.
        weakness: what to tell the administrator; may be empty.
    """

    name: str
    handler: str
    form: re.Pattern[str]
    costs: range = range(1)
    longest: int = LONGEST
    weakness: str = ""


@dataclass(frozen=True, slots=True)
class Hash:
    """A hash of a kind that is taken."""

    kind: Kind
    text: str

    def __repr__(self) -> str:
        return f"Hash({self.kind.name}, …)"

    def verify(self, password: bytes) -> bool:
        """Say whether a password is the one.

        Args:
            password: without NUL. What is longer than its kind takes is wrong: bcrypt would look at 72 bytes only.

        Raises:
            ConfigurationError: when what the kind needs does not work here.
        """
        return len(password) <= self.kind.longest and handler(self.kind).verify(password, self.text)


_COSTS = range(4, 18)  # what htpasswd makes: at 17 a check takes about ten seconds
_ROUNDS = range(1000, 1_000_001)
_SALT = "[./0-9A-Za-z]"
_BASE64 = "[+/0-9A-Za-z]"

KINDS: Sequence[Kind] = (
    # The last character of the salt and that of the digest have bits to spare, which must not be set.
    Kind(
        "bcrypt",
        "bcrypt",
        re.compile(rf"\$2[aby]\$(?P<cost>\d\d)\${_SALT}{{21}}[.Oeu]{_SALT}{{30}}[.CGKOSWaeimquy26]"),
        costs=_COSTS,
        longest=72,
    ),
    Kind("apr1", "apr_md5_crypt", re.compile(rf"\$apr1\${_SALT}{{1,8}}\${_SALT}{{22}}")),
    Kind(
        "SHA-256 crypt",
        "sha256_crypt",
        re.compile(rf"\$5\$(rounds=(?P<cost>[1-9]\d*)\$)?{_SALT}{{1,16}}\${_SALT}{{43}}"),
        costs=_ROUNDS,
    ),
    Kind(
        "SHA-512 crypt",
        "sha512_crypt",
        re.compile(rf"\$6\$(rounds=(?P<cost>[1-9]\d*)\$)?{_SALT}{{1,16}}\${_SALT}{{86}}"),
        costs=_ROUNDS,
    ),
    Kind("MD5 crypt", "md5_crypt", re.compile(rf"\$1\${_SALT}{{1,8}}\${_SALT}{{22}}")),
    # Base64 of 20 bytes and of a salt of 4 to 16.
    Kind(
        "{SSHA}",
        "ldap_salted_sha1",
        re.compile(rf"\{{SSHA\}}({_BASE64}{{4}}){{8,11}}({_BASE64}{{4}}|{_BASE64}{{3}}=|{_BASE64}{{2}}==)?"),
    ),
    Kind("{SHA}", "ldap_sha1", re.compile(rf"\{{SHA\}}{_BASE64}{{27}}="), weakness="has no salt"),
    Kind("DES crypt", "des_crypt", re.compile(rf"{_SALT}{{13}}"), weakness="looks at eight letters only"),
)

# Of the empty password, with the lowest cost.
_BCRYPT_SAMPLE = "$2b$04$......................w74bL5gU7LSJClZClCa.Pkz14aTv/XO"
_REINSTALL = "pip uninstall -y passlib libpass && pip install libpass"


def read_hash(text: str) -> Hash:
    """Judge a hash by its form.

    Raises:
        HashError: when it is of no kind that is taken.
    """
    for kind in KINDS:
        if found := kind.form.fullmatch(text):
            cost = found.groupdict().get("cost")
            # By length first: Python reads no number of thousands of digits.
            if cost and (len(cost) > 9 or int(cost) not in kind.costs):
                low, high = kind.costs[0], kind.costs[-1]
                raise HashError(f"its cost is not from {low} to {high}")
            return Hash(kind, text)
    raise HashError("its password is in clear, or its hash is damaged or of an unknown kind; run: htpasswd -B")


@cache
def handler(kind: Kind) -> Handler:
    """Give passlib's handler for a kind, once it was seen to work.

    Raises:
        ConfigurationError: when it does not; says what to install.
    """
    try:
        found: Handler = getattr(import_module("passlib.hash"), kind.handler)
        if kind.name != "bcrypt":
            return found
        works = found.verify(b"", _BCRYPT_SAMPLE)
    except Exception as error:  # bcrypt's self-test within passlib raises whatever it stumbles over
        raise _unfit(kind, error) from error
    if not works:
        raise _unfit(kind)
    if _version("passlib") and _version("libpass"):
        # They own the same folder: whichever was written last is there, and to remove one breaks the other.
        logger.warning("both passlib and libpass are installed, in one folder; run: %s", _REINSTALL)
    return found


def _unfit(kind: Kind, error: Exception | None = None) -> ConfigurationError:
    # passlib says MissingBackendError, which is a RuntimeError, where it finds no bcrypt.
    if isinstance(error, ImportError | RuntimeError):
        message, hint = f"{kind.name} hashes need a package that is missing", "pip install 'patmiddleware[htpasswd]'"
    else:
        packages = " and ".join(f"{name} {v}" for name in ("passlib", "libpass", "bcrypt") if (v := _version(name)))
        message, hint = f"{kind.name} hashes can't be checked: {packages} don't work together", _REINSTALL
    return ConfigurationError(message, setting="directory", hint=hint)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
