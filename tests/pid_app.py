"""Helper: the application that the settings file describes, which also says which process it runs in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from patmiddleware.wsgi import application as configured


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer ``/pid`` with the process's id, and hand on all else."""
    if environ["PATH_INFO"] != "/pid":
        return configured(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
