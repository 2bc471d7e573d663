"""The link between the demo's gate and its stand-in for Jira: the gate signs requests, each for a token's owner."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from ..config import Config, is_loopback
from ..errors import ConfigurationError, Problem, RefusedError
from .standin import ApplicationLink, JiraStandIn

CONSUMER, CONTEXT = "patmiddleware", "/jira"


def make_key(file: Path) -> None:
    """Make a key for the gate, for its owner's eyes only; one that is there is kept.

    Raises:
        ConfigurationError: when a package is missing.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    except ImportError as error:
        problem = Problem("PAT-E001", "demo", "the demo needs cryptography", "pip install 'patmiddleware[demo]'")
        raise ConfigurationError(problem) from error
    if file.exists():
        return
    key = generate_private_key(public_exponent=65_537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with open(file, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as opened:
        opened.write(pem)


def linked(config: Config) -> tuple[JiraStandIn, str, int]:
    """Give the stand-in that the settings lead to, and the host and the port that it is to listen at.

    It lets the gate in by its signature alone: nobody there has a password or a token.

    Raises:
        RefusedError: when they lead elsewhere.
        ConfigurationError: when the key is none, or a package is missing.
    """
    upstream = config.app.upstreams[0] if len(config.app.upstreams) == 1 else None
    parts = urlsplit(upstream.upstream if upstream else "")
    host, auth = parts.hostname or "", upstream.auth if upstream else {}
    if parts.scheme != "http" or not parts.port or not is_loopback(host) or auth["kind"] != "oauth1":
        why = f"[app] in {config.path} does not lead to the demo's own Jira, by oauth1 on the loopback interface"
        raise RefusedError(f"{why}: run 'patmiddleware serve' with these settings, or choose another folder with --dir")
    link = ApplicationLink(auth["consumer_key"], _public(auth["private_key"]), impersonation=True)
    base = f"http://{parts.netloc}{parts.path}".rstrip("/")
    return JiraStandIn(base, parts.path, links=[link]), host, parts.port


def _public(private: str) -> str:
    from ..forwarder.signing import load_key  # here, since it needs packages of an extra

    key = load_key(private).public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
