"""``patmiddleware serve``."""

from __future__ import annotations

import logging
import sys

import click

from ..config import build, is_loopback
from . import terminal
from .invocation import Invocation, common, pass_invocation
from .serving import Server


@click.command()
@common
@pass_invocation
def serve(invocation: Invocation) -> None:
    """Run the configured application with waitress, until Ctrl-C or SIGTERM.

    For many processes: gunicorn patmiddleware.wsgi
    """
    # Whoever looks for the cause of an outage needs to know when.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    config = invocation.config
    host, port = config.server.listen
    gate = build(config)
    server = Server(gate, host, port, config.server.threads, place=f"in [server] listen of {config.path}")

    def ready() -> None:
        if not is_loopback(host):
            terminal.note(f"Warning: other machines reach {host}, and tokens travel as they are: put TLS in front.")
        invocation.answer({"url": server.url}, f"Serving at {server.url}. Ctrl-C ends it.")
        sys.stdout.flush()  # the process goes on, and whoever waits for this line may read from a pipe

    try:
        server.run(ready)
    finally:
        gate.close()
