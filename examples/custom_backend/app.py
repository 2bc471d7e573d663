"""An application that is reached with the tokens of its own database: ``python app.py [PORT]``."""

import sys
import tempfile
from wsgiref.simple_server import make_server

from backend import Keys

from patmiddleware import PATMiddleware, Token, grant_from
from patmiddleware.tokens import mint_secret


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"Hello {grant_from(environ).owner}\n".encode()]


if __name__ == "__main__":
    keys, secret = Keys(f"{tempfile.mkdtemp()}/app.db"), mint_secret()
    keys.keep({secret: Token(id="k1", owner="alice", name="a first key")})
    with make_server("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8000, PATMiddleware(hello, keys)) as server:
        print(f"curl -H 'Authorization: Bearer {secret}' http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
