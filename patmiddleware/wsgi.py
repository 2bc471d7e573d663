"""The configured application: ``gunicorn patmiddleware.wsgi`` serves what ``PATMIDDLEWARE_CONFIG`` names.

``application`` is built when it is first asked for, so that importing this module does nothing.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from .config import from_config
from .errors import ConfigurationError

if TYPE_CHECKING:
    from .middleware import PATMiddleware

    application: PATMiddleware

DEFAULT_FILE = "patmiddleware.toml"


def __getattr__(name: str) -> PATMiddleware:
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    built = globals()["application"] = _built()
    return built


def _built() -> PATMiddleware:
    path = os.environ.get("PATMIDDLEWARE_CONFIG", DEFAULT_FILE)
    try:
        return from_config(path)
    except ConfigurationError as error:
        # The server's own report of an exception would bury the problems under a traceback.
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        print(f"patmiddleware can't start, {path} has to be mended:\n{lines}", file=sys.stderr)
        raise SystemExit(2) from None
