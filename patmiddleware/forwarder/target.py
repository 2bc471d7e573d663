"""From the path that was judged, and the query, to the target that goes upstream.

The path is the canonical one, freshly percent-encoded; the raw target of the client is never used. Of the query what
would be a second way of being somebody is refused or taken out; all else goes on as it came.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes, urlsplit

from ..errors import ConfigurationError
from ..model import Denied, Reason
from ..policy.patterns import PatternError, parse
from .answers import Failed

_PATH = "/-._~!$&'()*+,=:@"  # RFC 3986, section 3.3, but for ";", which no path that is judged holds
_QUERY = _PATH + "/?%;"
_STRAY = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
# Jira's login filter (Seraph) takes these for a user, a password, and how to log in.
_REFUSED = "os_"
_STRIPPED = re.compile(r"oauth_.*|xoauth_requestor_id|user_id", re.DOTALL)
# Where Jira hands out sessions, and tokens without scopes; wherever it stands: also behind /s/<any>/_/ and the like.
_OWN = re.compile(r"/rest/(pat|auth)(?=[/.]|\Z)")

_LOGIN = "A parameter named os_… would log in a second time. Leave it out: the token is all that is needed."


def mounted(mount: str) -> str:
    """Read the path that stands before all that is forwarded; empty where there is none.

    Raises:
        ConfigurationError: when it is not a plain path.
    """
    try:
        prefix = parse(mount or "/")
    except PatternError as error:
        raise ConfigurationError(str(error), setting="mount") from None
    if prefix.below or any(segment.literal is None for segment in prefix.segments):
        raise ConfigurationError(f"{mount!r} must be a plain path", setting="mount", hint="such as /jira")
    return "" if not prefix.segments else str(prefix).rstrip("/")


def context(upstream: str) -> str:
    """Give the context path of an upstream, percent-encoded; empty where there is none."""
    return quote(urlsplit(upstream).path.rstrip("/"), safe=_PATH + "%")


def under(public_url: str, mount: str) -> str:
    """Give the address of what is below the mount; ``public_url`` may name the mount or leave it out."""
    address = public_url.rstrip("/")
    return address if address.endswith(mount) else address + mount


def below(path: str, mount: str) -> str | None:
    """Give what stands below the mount, with its leading slash; None for a path that is elsewhere."""
    if not path.startswith(mount):
        return None
    rest = path[len(mount) :]
    return rest or "/" if not rest or rest.startswith("/") else None


def is_own(path: str) -> Denied | None:
    """Refuse what is never forwarded, whatever a policy says: it would hand out a session, or an unscoped token."""
    found = _own(path)
    if found is None:
        return None
    detail = "This is not forwarded: it would hand out a session, or a token without scopes."
    return Denied(Reason.DENIED, rule=f"forwarder: /rest/{found}/**", detail=detail)


def _own(path: str) -> str | None:
    # Some of Atlassian's servers have read "::" as a separator (CVE-2026-21589); routers trim the words of a path.
    found = _OWN.search(path.casefold().replace("::", "/").replace(" ", ""))
    return found and found[1]


def encoded(path: str) -> str:
    """Percent-encode a path that was judged."""
    return quote(path, safe=_PATH)


def query(text: str) -> str:
    """Give the query as it goes upstream, without what only a way of being somebody may set.

    Args:
        text: ``QUERY_STRING``, a WSGI native string.

    Raises:
        Failed: when a parameter would log in.
    """
    kept = parameters(text)
    if not kept:
        return kept
    # As urllib3 would write it, so that what is signed is what is sent.
    stray = _STRAY.sub("%25", quote(kept.encode("latin-1", "replace"), safe=_QUERY))
    return _ESCAPE.sub(lambda escape: escape[0].upper(), stray)


def parameters(text: str) -> str:
    """Take out parameters of a query or of a urlencoded form; both are native strings.

    Raises:
        Failed: when one would log in, or can't be taken out.
    """
    if not text:
        return text
    kept = []
    for part in text.split("&"):
        # Some servers take ";" for a separator, too: what only they would see can't be cut out for all.
        first, *others = (_name(piece) for piece in part.split(";"))
        if first.startswith(_REFUSED) or any(map(_is_sensitive, others)):
            raise Failed(400, _LOGIN)
        if not _STRIPPED.fullmatch(first):
            kept.append(part)
    return "&".join(kept)


def _is_sensitive(name: str) -> bool:
    return name.startswith(_REFUSED) or _STRIPPED.fullmatch(name) is not None


def _name(pair: str) -> str:
    name = pair.partition("=")[0].replace("+", " ")
    decoded = unquote_to_bytes(name.encode("latin-1", "replace")).decode("latin-1")
    return decoded.strip(" \t\r\n\x00?").casefold()  # some cut off each question mark at the beginning of a query
