"""The routes of a Flask application, as the gate tells of them."""

from __future__ import annotations

import gc
from functools import wraps
from typing import Any
from weakref import ref

import pytest

pytest.importorskip("flask")

from flask import Flask, request
from flask.views import MethodView
from integrations.flasking import flask, gate
from werkzeug.routing import BaseConverter, Rule, UnicodeConverter

from patmiddleware import Policy
from patmiddleware.integrations.flask import require_scope
from patmiddleware.routes import Route, Routed, routed


class Colour(BaseConverter):
    """Three hexadecimal digits."""

    regex = "[0-9a-f]{3}"


class Odd(BaseConverter):
    """What nobody can guess."""

    regex = "x{70}y"


RULES = [
    ("/", "/"),
    ("/notes/<name>", "/notes/any-word"),
    ("/notes/<string(length=2):name>", "/notes/an"),
    ("/notes/<string(minlength=12, maxlength=14):name>.txt", "/notes/any-wordany-.txt"),
    ("/notes/<int:number>", "/notes/1"),
    ("/notes/<int(min=5):number>", "/notes/5"),
    ("/notes/<int(fixed_digits=4):number>", "/notes/0001"),
    ("/notes/<int(signed=True):number>", "/notes/1"),
    ("/notes/<float:number>/x", "/notes/1.0/x"),
    ("/files/<path:path>", "/files/any-word"),
    ("/<any(en, de):language>/", "/de/"),
    ("/<uuid:id>", "/00000000-0000-0000-0000-000000000000"),
    ("/<colour:paint>/<name>", "/000/any-word"),
    ("/straße/<name>", "/straße/any-word"),
]


@pytest.mark.parametrize(("rule", "expected"), RULES)
def test_the_example_is_served_by_the_rule(rule: str, expected: str) -> None:
    """Whatever its converters want."""
    app = flask()
    app.url_map.converters["colour"] = Colour
    app.add_url_rule(rule, "view", lambda **given: "ok")

    [route] = [route for route in gate(app).routes() if route.name == "view"]

    assert (route.path, route.methods, route.scopes) == (rule, ("GET", "HEAD"), None)
    assert route.example == expected
    assert app.test_client().get(route.example).status_code == 200


def test_a_converter_that_wants_something_odd_gets_a_word() -> None:
    """It is told all the same."""
    app = flask()
    app.url_map.converters["odd"] = Odd
    app.add_url_rule("/<odd:odd>", "view", lambda odd: "ok")

    assert "/any-word" in [route.example for route in gate(app).routes()]


class Notes(MethodView):
    """Three methods, of which two demand the same."""

    @require_scope("read")
    def get(self) -> str:
        return "ok"

    @require_scope("write")
    def put(self) -> str:
        return "ok"

    def post(self) -> str:
        return "ok"


def test_methods_that_demand_differently_are_told_apart() -> None:
    """One route for each demand."""
    app = flask()
    app.add_url_rule("/notes", view_func=Notes.as_view("notes"))
    app.add_url_rule("/any", "any", require_scope()(lambda: "ok"), methods=["GET", "OPTIONS"])

    told = [route for route in gate(app).routes() if route.name != "static"]

    assert told == [
        Route(name="notes", path="/notes", example="/notes", methods=("GET", "HEAD"), scopes=frozenset({"read"})),
        Route(name="notes", path="/notes", example="/notes", methods=("POST",)),
        Route(name="notes", path="/notes", example="/notes", methods=("PUT",), scopes=frozenset({"write"})),
        Route(name="any", path="/any", example="/any", methods=("GET", "HEAD", "OPTIONS"), scopes=frozenset()),
    ]


def test_the_gate_is_found_behind_the_application() -> None:
    """As it is for whoever prints what guards each route."""
    app = flask()

    found = routed(app)

    assert found is gate(app)
    assert isinstance(found, Routed)
    assert routed(Flask("bare")) is None


def test_a_rule_without_a_view_is_told() -> None:
    """It demands nothing, for it answers nothing."""
    app = flask()
    app.url_map.add(Rule("/nowhere", endpoint="nowhere", methods=["GET"]))

    assert ("nowhere", None) in [(route.name, route.scopes) for route in gate(app).routes()]


class Unhashable:
    """What can't be found by its hash."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __call__(self) -> str:
        return "ok"


class Slotted:
    """What can't be referred to weakly."""

    __slots__ = ()

    def __call__(self) -> str:
        return "ok"


@pytest.mark.parametrize("kind", [Unhashable, Slotted])
def test_what_is_no_function_can_be_a_view(kind: type) -> None:
    """Guarded where its route has it bare, as a function is; another of its kind is not."""
    app, view = flask(), kind()
    for name, other in {"bare": view, "open": kind()}.items():
        app.add_url_rule(f"/{name}", name, other)
    guarded: Any = require_scope("read")(require_scope()(view))
    app.add_url_rule("/guarded", "guarded", guarded)

    assert [app.test_client().get(path).status_code for path in ("/open", "/guarded", "/bare")] == [200, 401, 401]
    assert {route.name: route.scopes for route in gate(app).routes()}["bare"] == {"read"}


def test_an_application_that_is_gone_is_let_go() -> None:
    """Though its views, as those of a module, stay."""
    app = flask()
    app.add_url_rule("/", "view", require_scope("read")(view_of_a_module))
    require_scope("read")(view_of_a_module)
    gone = ref(gate(app))

    del app
    gc.collect()

    assert gone() is None


def view_of_a_module() -> str:
    return "ok"


OTHERS = [
    ("/<any(en, de):language>/<name>", ["/en/any-word"]),
    ("/files/<path:path>", ["/files/any-word/any-word", "/files/any-word/any-word/any-word"]),
    ("/notes/<int:number>", ["/notes/5", "/notes/1009"]),
    ("/notes/<int(max=7):number>", ["/notes/5"]),
    ("/notes/<int(fixed_digits=3):number>", ["/notes/005"]),
    ("/notes/<string(length=2):name>", ["/notes/00"]),
    ("/notes/<name>", []),
]


@pytest.mark.parametrize(("rule", "expected"), OTHERS)
def test_paths_that_rules_could_tell_apart_are_given(rule: str, expected: list[str]) -> None:
    """Each is served as well: another choice, number or length, and more segments."""
    app = flask()
    app.add_url_rule(rule, "view", lambda **given: "ok")

    [route] = [route for route in gate(app).routes() if route.name == "view"]

    assert list(route.others) == expected
    assert {app.test_client().get(path).status_code for path in (route.example, *route.others)} == {200}


ALLOWS = {
    "scopes": {"read": {}},
    "rule": [
        {"path": "/api/**", "effect": "require", "scopes": ["read"]},
        {"path": ["/api/open/**", "/api/{number:int}", "/broken/{name}"], "public": True},
    ],
}


def test_a_part_of_a_wide_route_that_a_rule_opens_is_given() -> None:
    """To the route that serves it, and to no other; a converter that fails serves nothing."""
    app = flask(policy=Policy.from_dict(ALLOWS))
    app.url_map.converters["broken"] = Broken
    for name, rule in {"wide": "/api/<path:rest>", "number": "/api/<int:of>", "broken": "/broken/<broken:of>"}.items():
        app.add_url_rule(rule, name, lambda **given: "ok")

    found = {route.name: route.others for route in gate(app).routes()}

    assert found["wide"][-2:] == ("/api/open", "/api/open/any-word")
    assert found["number"] == ("/api/5", "/api/1009", "/api/7")
    assert found["broken"] == ()


class Broken(UnicodeConverter):
    """Asks what is not there."""

    def to_python(self, value: str) -> str:
        raise LookupError(value)


@pytest.mark.parametrize(("rule", "other"), [("/notes/", "/notes"), ("/notes/<name>/", "/notes/any-word")])
def test_the_last_slash_may_be_left_out_of_a_lax_rule(rule: str, other: str) -> None:
    """Both paths are given, for a rule of the policy may be about one of them."""
    app = flask()
    app.add_url_rule(rule, "view", lambda **given: "ok", strict_slashes=False)

    [route] = [route for route in gate(app).routes() if route.name == "view"]

    assert route.others == (other,)
    assert app.test_client().get(other).status_code == 200


def test_a_guard_that_is_not_always_called_is_no_demand_of_the_views_behind_it() -> None:
    """What stands before views is told as their demand only where nothing is around it."""
    app = flask()
    app.add_url_rule("/page", "page", lambda: "open")

    @require_scope("read")
    def demand() -> None: ...

    @app.before_request
    @wraps(demand)
    def sometimes() -> None:
        if request.path.startswith("/api/"):
            demand()

    page = {route.scopes for route in gate(app).routes() if route.name == "page"}

    assert app.test_client().get("/page").status_code == 200
    assert page == {None}


def test_a_guard_before_all_views_is_their_demand() -> None:
    """It runs before each, and several guards on one function all do."""
    app = flask()
    app.add_url_rule("/page", "page", lambda: "open")
    app.before_request(require_scope("read")(require_scope("write")(lambda: None)))

    page = {route.scopes for route in gate(app).routes() if route.name == "page"}

    assert app.test_client().get("/page").status_code == 401
    assert page == {frozenset({"read", "write"})}


def test_a_rule_of_any_method_is_told_and_guarded() -> None:
    """Also for methods that nobody has heard of, which leave nothing behind."""
    app = flask()
    app.url_map.add(Rule("/any", endpoint="any"))
    app.endpoint("any")(require_scope("read")(lambda: "ok"))

    [route] = [route for route in gate(app).routes() if route.name == "any"]
    client = app.test_client()
    codes = {client.open("/any", method=f"ODD{number}").status_code for number in range(30)}

    assert (route.scopes, route.methods[:2]) == (frozenset({"read"}), ("DELETE", "GET"))
    assert codes == {401}
    assert len(gate(app)._demands) < 10
