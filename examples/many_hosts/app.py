"""What stands behind the gate: it says who came, and which host answered."""

import os
import socket

from patmiddleware import grant_from

HOST = os.environ.get("HOST_NAME") or socket.gethostname()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    grant = grant_from(environ)
    return [f"Hello {grant.owner if grant else 'nobody'}, from {HOST}\n".encode()]
