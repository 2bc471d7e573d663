"""Notes of a team: pages for everybody, an API for tokens. ``PYTHONPATH=. pserve app.ini`` serves it."""

from pyramid.authorization import Allow
from pyramid.config import Configurator
from pyramid.view import view_config, view_defaults

NOTES = ["Water the plants"]


class Team:
    """What is permitted to whom, whatever the scopes of their tokens."""

    __acl__ = [(Allow, "group:editors", "clear")]  # noqa: RUF012 - Pyramid's own manner

    def __init__(self, request):
        pass


@view_config(route_name="home", renderer="string")
def home(request):
    return f"Hello {request.authenticated_userid or 'stranger'}, there are {len(NOTES)} notes.\n"


@view_defaults(route_name="notes", renderer="json", require_scope="write")
class Notes:
    def __init__(self, request):
        self.request = request

    @view_config(request_method="GET", require_scope="read")
    def show(self):
        return NOTES

    @view_config(request_method="POST")
    def add(self):
        NOTES.append(f"{self.request.grant.owner}: {self.request.text}")
        return NOTES

    @view_config(request_method="DELETE", permission="clear")
    def clear(self):
        NOTES.clear()
        return NOTES


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include("patmiddleware.integrations.pyramid")
        config.add_route("home", "/")
        config.add_route("notes", "/notes", factory=Team)
        config.scan()
        return config.make_wsgi_app()
