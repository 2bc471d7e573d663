"""One name for each upstream, however its address is written."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..errors import ConfigurationError

_PORTS = {"http": 80, "https": 443}
_EXAMPLE = "write https://jira.example.org, or https://example.org/jira"


def normalised(upstream: str) -> str:
    """Give the address of an upstream as credentials for it are kept under.

    Scheme and host are in lower case; the scheme's own port and slashes at the end are left out (RFC 3986, 6.2).

    Raises:
        ConfigurationError: when it is none; nothing of it is shown, for it may hold a password.
    """
    try:
        parts = urlsplit(upstream)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in _PORTS or "@" in parts.netloc or not upstream.isprintable():
        raise ConfigurationError("is not the address of an upstream", setting="upstream", hint=_EXAMPLE)
    if "?" in upstream or "#" in upstream:
        message = "the address of an upstream ends with its path"
        raise ConfigurationError(message, setting="upstream", hint=_EXAMPLE)
    name = f"[{host}]" if ":" in host else host
    place = name if port in (None, _PORTS[parts.scheme]) else f"{name}:{port}"
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"
