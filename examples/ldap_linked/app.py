"""What stands behind the gate: it says who came, and what they may do here."""

from patmiddleware import grant_from


def application(environ, start_response):
    grant = grant_from(environ)
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"Hello {grant.owner}, you may {' and '.join(sorted(grant.scopes))}\n".encode()]
