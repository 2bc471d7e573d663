"""Sign requests as an application that the upstream is linked with: OAuth 1.0a, RSA-SHA1 (RFC 5849)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl, urlencode

from ..errors import ConfigurationError, LinkError
from .given import text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

PrivateKey: TypeAlias = "RSAPrivateKey | bytes | str"
"""A key that :func:`load_key` gave, or its PEM text."""

KEY = "app.auth.private_key"
LEAST_BITS = 1024
"""Of a key. 2048 are right; many an older link was made after a manual that has 1024."""

_BASE = re.compile(r"https?://[^\s/?#@\\]+(/[^\s?#\\]*)?", re.ASCII)
_MAKE = "make one: openssl genrsa -traditional -out jira.pem 2048"


@dataclass(frozen=True, slots=True)
class Consumer:
    """The application as the upstream knows it, with the key that its link holds the public half of.

    Args:
        base_url: of the upstream, as it sees itself: scheme, host, port and context path.
        name: the consumer key.
        private_key: as :func:`load_key` gives it.
    """

    base_url: str
    name: str
    private_key: RSAPrivateKey = field(repr=False)

    @classmethod
    def of(cls, base_url: str, consumer_key: str, private_key: PrivateKey) -> Consumer:
        """Judge what the settings say.

        Raises:
            ConfigurationError: when one of them can't be one, or a package is missing.
        """
        if not _BASE.fullmatch(base_url):
            raise ConfigurationError("is no address of an upstream", setting="app.upstream", hint="https://HOST/PATH")
        return cls(base_url.rstrip("/"), text("consumer_key", consumer_key), load_key(private_key))

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return "/".join(self.base_url.split("/", 3)[:3])

    def client(self, **who: str) -> Client:
        """Give what signs.

        Args:
            who: for whom, by the names that oauthlib has for it: ``resource_owner_key``, ``verifier`` …; for nobody:
                for the application itself, with two legs.
        """
        from oauthlib.oauth1 import Client as Signing

        class TwoLegged(Signing):  # type: ignore[misc]  # oauthlib has no types
            def get_oauth_params(self, request: object) -> list[tuple[str, str]]:
                # Atlassian's servers know a two-legged request by an empty token, and take one without any for
                # anonymous (OAuth Consumer Request 1.0, draft 2, section 4.1).
                return [*super().get_oauth_params(request), ("oauth_token", "")]

        kind = Signing if who else TwoLegged
        # The key object, for a PEM text would be parsed and proved at each signature: 75 times the cost of signing.
        return Client(self.origin, kind(self.name, rsa_key=self.private_key, signature_method="RSA-SHA1", **who))


@dataclass(frozen=True, slots=True)
class Client:
    """Signs for one user, or for the application itself; :meth:`Consumer.client` makes it."""

    origin: str
    # Any: oauthlib has no types.
    signing: Any = field(repr=False)

    def authorization(self, method: str, target: str, form: str = "") -> str:
        """Give the ``Authorization`` header of a request, with a new nonce and the present time.

        Args:
            method: an upper-case token.
            target: path and query as they stand on the wire.
            form: the body of an ``application/x-www-form-urlencoded`` request, which is signed as the query is
                (RFC 5849, section 3.4.1.3.1).

        Raises:
            LinkError: when the target can't be signed.
        """
        path, _, query = target.partition("?")
        if path.endswith(";"):  # oauthlib drops it from what it signs
            raise LinkError("a path that ends in a semicolon can't be signed")
        # Query and form are sorted together, so it makes no difference in which of them a parameter stands. Written
        # anew, since oauthlib refuses characters that servers take, such as brackets.
        plain = urlencode(parameters(query) + parameters(form))
        _, headers, _ = self.signing.sign(f"{self.origin}{path}?{plain}", method)
        authorization: str = headers["Authorization"]
        return authorization


def parameters(encoded: str) -> list[tuple[str, str]]:
    """Give the parameters of a query or a form as a server reads them: ``+`` is a blank, ``;`` is nothing special."""
    return parse_qsl(encoded, keep_blank_values=True)


def load_key(private_key: PrivateKey) -> RSAPrivateKey:
    """Give a private key, parsed; one that is already is given back.

    Raises:
        ConfigurationError: when it is none, or none that can sign so. No part of it is shown.
    """
    try:
        import oauthlib.oauth1  # noqa: F401 - here, so that its lack is noticed at the start
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        hint = "pip install 'patmiddleware[forward]'"
        message = "signing needs oauthlib and cryptography"
        raise ConfigurationError(message, setting="app.auth.kind", hint=hint) from error
    if isinstance(private_key, rsa.RSAPrivateKey):
        return private_key
    pem = private_key.encode() if isinstance(private_key, str) else bytes(private_key)
    if b"PUBLIC KEY" in pem or b"CERTIFICATE" in pem:
        raise ConfigurationError("is the public half, which Jira needs: the private one is needed here", setting=KEY)
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        hint = "openssl rsa -in KEY -out jira.pem"
        raise ConfigurationError("is encrypted: give one without a password", setting=KEY, hint=hint) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError("is no private key in PEM form", setting=KEY, hint=_MAKE) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigurationError("is no RSA key, which application links need", setting=KEY, hint=_MAKE)
    if key.key_size < LEAST_BITS:
        raise ConfigurationError(f"has {key.key_size} bits: {LEAST_BITS} are the fewest", setting=KEY, hint=_MAKE)
    return key
