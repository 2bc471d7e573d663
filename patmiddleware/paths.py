"""The one path that is judged: what the application will route on, or a refusal.

Servers decode, merge and resolve paths each in their own way, so nothing is repaired here: a path that two programs
could read differently is refused. Only ``PATH_INFO`` counts, for that is what applications route on; where the server
tells the raw target too, the two must agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from .model import Denied, Reason

_AMBIGUOUS = re.compile(
    r"//"  # an empty segment: merged by some
    r"|/\.{1,2}(?:/|\Z)"  # a dot segment: resolved by some
    r"|/\.{0,2};"  # the same, or an empty segment, once parameters are cut off, as servlet containers do
    r"|[\\#?\x00-\x1f\x7f-\x9f]"
    r"|%[0-9A-Fa-f]{2}"  # would decode once more
)
_RAW = re.compile(r"%(?:2f|5c|00)|(?:/|\A)(?:\.|%2e){1,2}(?:[/;]|%3b|\Z)", re.IGNORECASE)
LONGEST = 8_192
"""Bytes of the longest path that is judged: servers bear with 8,000 of a whole address (RFC 9110, section 4.1)."""
_METHOD = re.compile(r"[A-Z0-9!#$%&'*+.^_`|~-]{1,32}")  # none is longer, and memos keep them


def is_method(method: str) -> bool:
    """Whether it is an upper-case token (RFC 9110, section 9.1: methods are case-sensitive)."""
    return _METHOD.fullmatch(method) is not None


def judged_path(path_info: str, script_name: str = "", parameters: bool = False) -> str | Denied:
    """Give the path as text, or refuse it.

    Args:
        path_info: ``PATH_INFO``, a WSGI native string (bytes as Latin-1).
        script_name: ``SCRIPT_NAME``; below one an empty path is ``/``.
        parameters: whether ``;`` may stand in it.
    """
    if not path_info and script_name:
        return "/"
    if len(path_info) > LONGEST:
        return AMBIGUOUS
    try:
        path = path_info.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return AMBIGUOUS
    if not path.startswith("/") or _AMBIGUOUS.search(path) or (not parameters and ";" in path):
        return AMBIGUOUS
    return path


def raw_target_agrees(environ: Mapping[str, object], path_info: str) -> bool:
    """Whether the raw target, where the server gives one, says the same as a sound ``PATH_INFO``.

    It may not hold an encoded slash, backslash, NUL or dot segment, and, decoded and without its query, must be
    ``SCRIPT_NAME + PATH_INFO`` or ``PATH_INFO`` (test clients and ``ProxyFix`` give the latter).
    """
    return all(_agrees(environ.get(key), environ, path_info) for key in ("RAW_URI", "REQUEST_URI"))


def _agrees(raw: object, environ: Mapping[str, object], path_info: str) -> bool:
    if raw is None or raw == path_info:
        return True
    if not isinstance(raw, str):
        return False
    target = raw.partition("?")[0]
    if target == path_info:
        return True
    if _RAW.search(target):
        return False
    try:
        decoded = unquote_to_bytes(target.encode("latin-1")).decode("latin-1")
    except UnicodeError:
        return False
    return decoded == path_info or decoded == f"{environ.get('SCRIPT_NAME') or ''}{path_info}"


AMBIGUOUS = Denied(Reason.AMBIGUOUS_PATH)
