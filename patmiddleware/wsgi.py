"""The configured application: ``gunicorn patmiddleware.wsgi`` serves what ``PATMIDDLEWARE_CONFIG`` names.

Importing this module builds it: uWSGI and mod_wsgi look into the module's dictionary, where nothing lazy can stand.
"""

from __future__ import annotations

import os
import sys

from .config import from_config
from .errors import ConfigurationError
from .middleware import PATMiddleware

BOOT_FAILED = 3
"""The exit code by which a worker tells gunicorn not to start another one, which would fail like the first, forever."""


def configured() -> PATMiddleware:
    """Build the application that the environment names, or end the process with all that is wrong on standard error."""
    path = os.environ.get("PATMIDDLEWARE_CONFIG") or "patmiddleware.toml"
    try:
        return from_config(path)
    except ConfigurationError as error:
        # The server's own report of an exception would bury the problems under a traceback.
        problems = "".join(f"\n  {problem}" for problem in error.problems)
        print(f"patmiddleware can't start, {path} has to be mended:{problems}", file=sys.stderr)
        sys.exit(BOOT_FAILED)


application = configured()
