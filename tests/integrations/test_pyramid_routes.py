"""The routes of a Pyramid application, as they are shown beside the rules."""

from __future__ import annotations

from typing import Any

import pytest
from gate import call, request
from pyramid_site import Site, say_grant

from patmiddleware import Policy
from patmiddleware.errors import ConfigurationError
from patmiddleware.integrations.pyramid_routes import UNLIKELY, examples
from patmiddleware.routes import Route

from pyramid.config import Configurator, not_  # isort: skip  # behind the line that skips
from pyramid.security import NO_PERMISSION_REQUIRED  # isort: skip  # behind the line that skips

PATTERNS = [
    ("/", "/"),
    ("things", "/things"),
    ("/things/{id}", f"/things/{UNLIKELY}"),
    (r"/things/{id:\d+}", "/things/7"),
    (r"/things/{id:\d{4}-\d\d-\d\d}.json", "/things/2026-01-31.json"),
    ("/things/{key:[A-Z]+-[0-9]+}/{name}", f"/things/AB-7/{UNLIKELY}"),
    ("/{a}-{b}", f"/{UNLIKELY}-{UNLIKELY}"),
    ("/old/:style/end", f"/old/{UNLIKELY}/end"),
    ("/files/*rest", f"/files/{UNLIKELY}/{UNLIKELY}"),
    ("/tree*traverse", "/tree"),
    ("/{choice:new|old}/*rest", f"/new/{UNLIKELY}/{UNLIKELY}"),
]


@pytest.mark.parametrize(("pattern", "expected"), PATTERNS)
def test_an_example_is_made_of_a_pattern(pattern: str, expected: str) -> None:
    """An unlikely word stands for what may be any, and something that fits for what may not."""
    assert examples(pattern)[0] == expected


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in [*PATTERNS, ("/{rest:.*}", "")]])
def test_every_example_is_served_by_its_route(pattern: str) -> None:
    """Pyramid itself routes it there."""
    site = Site()
    site.config.add_route("one", pattern, factory=lambda request: Tree())
    site.config.add_view(say_grant, route_name="one")

    assert {call(site.app, request(path)).body for path in examples(pattern)} == {b"nobody"}


OTHERS = [
    ("/things/{id}", []),
    (r"/things/{id:\d+}", []),
    ("/{a:x|y}/{b:new|old}", ["/y/new", "/x/old"]),
    ("/{rest:.+}", [f"/{UNLIKELY}/{UNLIKELY}", f"/{UNLIKELY}/{UNLIKELY}/{UNLIKELY}"]),
    ("/files/*rest", ["/files/", f"/files/{UNLIKELY}", f"/files/{UNLIKELY}/{UNLIKELY}/{UNLIKELY}"]),
    ("/tree*traverse", [f"/tree/{UNLIKELY}", f"/tree/{UNLIKELY}/{UNLIKELY}"]),
]


@pytest.mark.parametrize(("pattern", "expected"), OTHERS)
def test_paths_that_rules_could_tell_apart_are_given(pattern: str, expected: list[str]) -> None:
    """Another choice, and more or fewer segments."""
    assert list(examples(pattern)[1:]) == expected


@pytest.mark.parametrize("pattern", ["*traverse", "/tree/*traverse"])
def test_a_view_of_a_tree_is_found_in_several_ways(pattern: str) -> None:
    """By its name below anything, marked as a view, and with more behind it: a rule may be about one of them only."""
    site = Site()
    site.config.set_root_factory(lambda request: Tree())
    site.config.add_route("tree", pattern, use_global_views=True)
    site.config.add_view(say_grant, name="edit")

    found = examples(pattern, "edit")

    assert len(found) == 4
    assert {call(site.app, request(path)).body for path in found} == {b"nobody"}


class Tree:
    """Whose every name is another."""

    def __getitem__(self, name: str) -> Tree:
        if name == UNLIKELY:
            return self
        raise KeyError(name)


def test_views_without_a_route_are_shown_for_the_routes_that_let_them_answer() -> None:
    """Beside what traversal finds where no route matches."""
    site = Site()
    site.config.add_route("tree", "/tree/*traverse", use_global_views=True)
    site.config.add_route("own", "/own/*traverse")
    site.config.add_view(say_grant, name="edit", require_scope="write")

    assert [(one.path, one.example) for one in routes(site)] == [
        ("/tree/*traverse/edit", "/tree/edit"),
        ("*traverse/edit", "/edit"),
    ]


METHODS: list[tuple[Any, Any, list[tuple[str, ...]]]] = [
    (None, not_("POST"), [("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT")]),
    (None, not_("GET"), [("DELETE", "OPTIONS", "PATCH", "POST", "PUT")]),
    (("GET", "POST"), not_("GET"), [("POST",)]),
    ("GET", "HEAD", [("HEAD",)]),
    ("GET", "POST", []),
]


@pytest.mark.parametrize(("route", "view", "expected"), METHODS)
def test_the_methods_that_route_and_view_take_are_shown(route: Any, view: Any, expected: list[tuple[str, ...]]) -> None:
    """Also where all but some are; a view that no method gets to is no way in."""
    site = Site()
    site.config.add_route("own", "/own", request_method=route)
    site.config.add_view(say_grant, route_name="own", request_method=view)

    assert [one.methods for one in routes(site)] == expected


def test_a_view_that_another_one_has_replaced_is_not_shown() -> None:
    """Pyramid lets a later part of the configuration override what was committed before."""
    site = Site()
    site.view("/own", require_scope="write")
    site.config.commit()
    site.config.add_view(say_grant, route_name="/own")

    assert call(site.app, request("/own")).status == 200
    assert [one.scopes for one in routes(site)] == [None]


def test_a_part_of_a_wide_route_that_a_rule_opens_is_given() -> None:
    """To each route that may serve it: those behind one that always does are left out."""
    open_ = {"path": ["/api/open/**", "/api/{number:int}"], "public": True}
    site = Site({"policy": Policy.from_dict({"rule": [open_]})})
    wide = (("some", "/api/{name}", "GET"), ("all", "/api/*rest", None), ("more", "/*rest", None))
    for name, pattern, method in wide:
        site.config.add_route(name, pattern, request_method=method)
        site.config.add_view(say_grant, route_name=name)

    found = {one.name: {*one.others} & {"/api/open", "/api/open/any-word", "/api/7"} for one in routes(site)}

    assert found == {
        "some": {"/api/open", "/api/7"},
        "all": {"/api/open", "/api/open/any-word", "/api/7"},
        "more": set(),
    }


def test_a_permission_that_nobody_asks_about_is_not_shown() -> None:
    """Without a security policy Pyramid lets everybody into every view."""
    site = Site({"security_policy": "false"})
    site.view("/own", permission="edit")

    assert call(site.app, request("/own")).status == 200
    assert [one.permission for one in routes(site)] == [None]


def test_an_application_that_does_not_keep_its_views_tells_so() -> None:
    """No list is given that would look as if there were nothing to guard."""
    config = Configurator(settings={"patmiddleware.store": "memory:"}, introspection=False)
    config.include("patmiddleware.integrations.pyramid")
    config.add_route("one", "/one")
    config.make_wsgi_app()

    with pytest.raises(ConfigurationError, match="introspection=False"):
        list(config.registry["patmiddleware"].routes())


def routes(site: Site) -> list[Route]:
    site.config.commit()
    return list(site.gate.routes())


def test_routes_stand_in_the_order_that_they_match_with_their_demands() -> None:
    """Every view of every route, with the methods that both take."""
    site = Site()
    site.config.route_prefix = "api"
    site.config.add_route("thing", r"/things/{id:\d+}", request_method=("GET", "PUT"))
    site.config.route_prefix = None
    site.config.add_view(say_grant, route_name="thing", request_method="GET", require_scope="read")
    site.config.add_view(say_grant, route_name="thing", request_method=("PUT", "POST"), require_scope=["write", "read"])
    site.view("/any", require_scope=True)
    site.view("/open")

    assert routes(site) == [
        route("thing", r"/api/things/{id:\d+}", "/api/things/7", ("GET", "HEAD"), frozenset({"read"})),
        route("thing", r"/api/things/{id:\d+}", "/api/things/7", ("PUT",), frozenset({"read", "write"})),
        route("/any", "/any", "/any", (), frozenset()),
        route("/open", "/open", "/open"),
    ]


def route(name: str, path: str, example: str, methods: tuple[str, ...] = (), scopes: Any = None, **more: Any) -> Route:
    return Route(name=name, path=path, example=example, methods=methods, scopes=scopes, **more)


def test_permissions_are_shown() -> None:
    """A view's own, or the application's default, unless the view says that it needs none."""
    site = Site()
    site.config.set_default_permission("view")
    site.view("/own", permission="edit")
    site.view("/default")
    site.view("/none", permission=NO_PERMISSION_REQUIRED)

    assert [(one.path, one.permission) for one in routes(site)] == [
        ("/own", "edit"),
        ("/default", "view"),
        ("/none", None),
    ]


class Document:
    """A resource."""


def test_views_that_traversal_finds_are_shown() -> None:
    """By their name, below whatever the tree is; but none that answers exceptions, and no static file elsewhere."""
    site = Site()
    site.config.add_view(say_grant, name="edit", context=Document, require_scope="write")
    site.config.add_view(say_grant, context=Document)
    site.config.add_notfound_view(say_grant)
    site.config.add_forbidden_view(say_grant)
    site.config.add_exception_view(say_grant, context=LookupError)
    site.config.add_view(say_grant, context=ValueError)
    site.config.add_route("elsewhere", "https://static.example.org/{file}")

    edit, default = routes(site)

    assert edit == route("edit", "*traverse/edit", "/edit", (), frozenset({"write"}))
    assert (default.path, default.example) == ("*traverse/", "/")


def test_static_files_are_shown() -> None:
    """They are a route like any other: nothing guards them but the rules."""
    site = Site()
    site.config.add_static_view("static", "tests:services")

    [files] = routes(site)

    assert (files.path, files.scopes) == ("/static/*subpath", None)
