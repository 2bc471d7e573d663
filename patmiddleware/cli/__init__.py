"""The commands: one file a group. They need the extra ``cli``."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that the arguments name, or say what to install where the commands can't run."""
    try:
        import click  # noqa: F401 - only to see whether it is there
        import rich  # noqa: F401 - the same

        from .root import commands
    except ImportError as error:
        if error.name not in ("click", "rich"):
            raise
        print(f"patmiddleware: the commands need {error.name}: run pip install 'patmiddleware[cli]'", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # while all that was read in
        sys.exit(130)
    commands.main()
