"""The extension for Flask: what it takes, what its decorator demands, and how it refuses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial, wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask")

from flask import Blueprint, Flask, Response, jsonify, request, stream_with_context
from flask.views import MethodView, View
from gate import bearer, call
from gate import request as environ
from integrations.flasking import POLICY, flask, gate, statuses, token
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from patmiddleware import (
    Allowed,
    AuditLog,
    ConfigurationError,
    Denied,
    Issuer,
    PATMiddleware,
    Policy,
    Reason,
    open_store,
)
from patmiddleware.backends.memory import MemoryStore
from patmiddleware.integrations.flask import PersonalAccessTokens, Refused, current_grant, require_scope

Decorator = Callable[[Any], Any]


def owner() -> str:
    return str(current_grant.owner if current_grant else "nobody")


def showing() -> Callable[[], str]:
    """Give a new view that tells who asks: one that was guarded once is guarded in every application."""

    def view() -> str:
        return owner()

    return view


# --- settings ---------------------------------------------------------------------------------------------------


def test_settings_are_the_applications(tmp_path: Path) -> None:
    """Each PATMIDDLEWARE_ key is one; relative paths start where the application has its own settings files."""
    (tmp_path / "policy.toml").write_text('[scopes.read]\n[[rule]]\npath = "/**"\nscopes = ["read"]\n')
    app = Flask("here", root_path=str(tmp_path))
    app.config.from_mapping(
        PATMIDDLEWARE_STORE="file:tokens.jsonl",
        PATMIDDLEWARE_POLICY="policy.toml",
        PATMIDDLEWARE_REALM="here",
        PATMIDDLEWARE_ISSUER={"maximum_lifetime": "1d"},
        PATMIDDLEWARE_DIRECTORY=None,
    )
    PersonalAccessTokens(app)
    app.add_url_rule("/", view_func=require_scope("read")(showing()))

    answer = app.test_client().get("/")

    assert 'realm="here"' in answer.headers["WWW-Authenticate"]
    assert (tmp_path / "tokens.jsonl").exists()
    assert isinstance(gate(app).policy, Policy)
    token = gate(app).issuer().mint(owner="alice", name="x", scopes={"read"}).token
    assert token.expires is not None
    assert (token.expires - token.created).days == 1


def test_relative_paths_start_in_the_instance_where_settings_do(tmp_path: Path) -> None:
    """As ``app.config.from_file`` has it with ``instance_relative_config``."""
    app = Flask("here", instance_path=str(tmp_path), instance_relative_config=True)
    PersonalAccessTokens(app, store="file:tokens.jsonl")

    assert (tmp_path / "tokens.jsonl").exists()


def test_options_stand_over_the_applications_settings() -> None:
    """What is given in Python is what holds."""
    app = Flask("here")
    app.config["PATMIDDLEWARE_REALM"] = "one"
    PersonalAccessTokens(app, store=MemoryStore(), realm="two")
    app.add_url_rule("/", view_func=require_scope()(showing()))

    assert 'realm="two"' in app.test_client().get("/").headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, ["PATMIDDLEWARE_STORE: there is no store", "sqlite:///tokens.db"]),
        ({"STORE": None}, ["PATMIDDLEWARE_STORE: there is no store"]),
        ({"STORE": "memory:", "RELM": "x"}, ["PATMIDDLEWARE_RELM: there is no such setting", "realm"]),
        ({"STORE": "memory:", "MISSING": "let"}, ["PATMIDDLEWARE_MISSING"]),
        ({"STORE": "nowhere:x"}, ["PATMIDDLEWARE_STORE"]),
        ({"STORE": "memory:", "POLICY": "no-such.toml"}, ["no-such.toml"]),
    ],
)
def test_wrong_settings_are_told_at_start(settings: dict[str, object], words: list[str]) -> None:
    """By the name that the application has for them; nothing is put before it."""
    app = Flask("here")
    app.config.from_mapping({f"PATMIDDLEWARE_{name}": value for name, value in settings.items()})

    with pytest.raises(ConfigurationError) as caught:
        PersonalAccessTokens(app)

    assert [word for word in words if word not in str(caught.value)] == []
    assert "patmiddleware" not in app.extensions


def test_a_second_gate_is_refused() -> None:
    """It would take away what the first one said."""
    app = flask()

    with pytest.raises(ConfigurationError, match="a gate before 'flasking' already"):
        PersonalAccessTokens(app, store="memory:")


def test_a_setting_under_a_misspelt_prefix_is_refused() -> None:
    """Its rules would not hold, and nobody would know."""
    app = Flask("misspelt")
    app.config["PATMIDDLWARE_POLICY"] = "policy.toml"

    with pytest.raises(ConfigurationError, match="PATMIDDLWARE_POLICY: nobody reads this setting"):
        PersonalAccessTokens(app, store="memory:")


def test_what_is_no_application_is_refused() -> None:
    """The store in its place is told, without what may be a password in its address."""
    address: Any = "postgresql://pat:hunter2@db/tokens"

    with pytest.raises(ConfigurationError, match=r"a str is no Flask application .*Tokens\(app\)") as told:
        PersonalAccessTokens(address)
    assert "hunter2" not in str(told.value)


def test_what_can_be_no_scope_is_told_at_start() -> None:
    """Two names in one text: no token could ever have that, whether there is a policy or not."""
    app = flask()

    with pytest.raises(ConfigurationError, match=r"view 'notes': 'read write' can't be a scope: no blanks"):
        app.add_url_rule("/", "notes", require_scope("read write")(showing()))


def test_one_extension_serves_several_applications() -> None:
    """Each has its own gate, with its own settings."""
    tokens, apps = PersonalAccessTokens(), []
    for realm in ("one", "two"):
        app = Flask(realm)
        app.config.from_mapping(PATMIDDLEWARE_STORE=MemoryStore(), PATMIDDLEWARE_REALM=realm)
        tokens.init_app(app)
        app.add_url_rule("/", "root", require_scope()(showing()))
        apps.append(app)

    challenges = [app.test_client().get("/").headers["WWW-Authenticate"] for app in apps]
    assert ['realm="one"' in challenges[0], 'realm="two"' in challenges[1]] == [True, True]
    assert apps[1].test_client().get("/", headers=token(apps[0])).status_code == 401


def test_missing_flask_is_told() -> None:
    """With what to install."""
    code = "import sys; sys.modules['flask'] = None; import patmiddleware.integrations.flask"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "pip install 'flask>=3'" in done.stderr


# --- who it is --------------------------------------------------------------------------------------------------


def test_pages_without_tokens_go_on_working() -> None:
    """A view that demands nothing is for everybody, and knows who asks."""
    app = flask()
    app.add_url_rule("/", view_func=showing())

    client = app.test_client()

    assert client.get("/").text == "nobody"
    assert client.get("/", headers={"Authorization": "Bearer wrong"}).text == "nobody"
    assert client.get("/", headers=token(app)).text == "alice"


def test_there_is_no_grant_outside_of_a_request() -> None:
    """Flask's own words say so."""
    with pytest.raises(RuntimeError, match="outside of request context"):
        _ = current_grant.owner


def test_what_the_policy_denies_is_refused_before_the_application() -> None:
    """Rules bind, whatever views demand."""
    app = flask(policy=POLICY)
    app.add_url_rule("/closed", view_func=showing())

    assert app.test_client().get("/closed", headers=token(app, "write")).status_code == 403


# --- what is demanded -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("demanded", "held", "expected"),
    [
        ((), None, 401),
        ((), (), 200),
        (("read",), (), 403),
        (("read",), ("read",), 200),
        (("read",), ("write",), 200),
        (("read", "write"), ("read",), 403),
        (("read", "write"), ("write",), 200),
    ],
)
def test_all_scopes_are_demanded(demanded: tuple[str, ...], held: tuple[str, ...] | None, expected: int) -> None:
    """Of several each; of none any valid token. What a scope includes counts."""
    app = flask(policy=POLICY)
    app.add_url_rule("/", view_func=require_scope(*demanded)(showing()))

    answer = app.test_client().get("/", headers=None if held is None else token(app, *held))

    assert answer.status_code == expected


def noting(view: Any) -> Any:
    """Put something around a view, as most decorators do."""
    if iscoroutinefunction(view):

        @wraps(view)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return await view(*args, **kwargs)

        return awaited

    @wraps(view)
    def noted(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return noted


def orders(route: Decorator) -> dict[str, list[Decorator]]:
    read = require_scope("read")
    return {
        "below the route": [route, read],
        "above the route": [read, route],
        "below another": [route, noting, read],
        "above another": [route, read, noting],
        "above both": [read, noting, route],
        "twice below": [route, require_scope("write"), noting, read],
        "around the route": [require_scope("write"), route, read],
        "twice above": [require_scope("write"), read, route],
    }


@pytest.mark.parametrize("order", orders(noting))
@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_order_of_decorators_does_not_matter(order: str, kind: str) -> None:
    """Above or below a route and others; two of them add up."""
    if kind == "coroutine":
        pytest.importorskip("asgiref")
    app, ran = flask(policy=POLICY), []

    def function() -> str:
        ran.append(1)
        return "ok"

    async def coroutine() -> str:
        ran.append(1)
        return "ok"

    view: Any = function if kind == "function" else coroutine
    for decorate in reversed(orders(app.route("/"))[order]):
        view = decorate(view)
    both = "twice" in order or "around" in order
    got = [app.test_client().get("/", headers=token(app, *held)).status_code for held in ((), ("read",), ("write",))]
    assert app.test_client().get("/").status_code == 401
    assert got == [403, 403 if both else 200, 200]
    assert len(ran) == got.count(200)
    [route] = [route for route in gate(app).routes() if route.name != "static"]
    assert route.scopes == ({"read", "write"} if both else {"read"})


def test_a_decorator_of_coroutines_may_stand_around() -> None:
    """What is put around a coroutine is one."""
    pytest.importorskip("asgiref")
    app = flask()

    def timed(view: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
        @wraps(view)
        async def around(*args: Any) -> str:
            return f"<{await view(*args)}>"

        return around

    @app.get("/")
    @timed
    @require_scope("read")
    async def view() -> str:
        return owner()

    assert app.test_client().get("/", headers=token(app, "read")).text == "<alice>"
    assert app.test_client().get("/").status_code == 401


def test_a_decorator_that_wraps_without_saying_so_is_no_way_around() -> None:
    """The scope is asked for where the view runs, though no route tells of it."""
    app = flask()

    def hiding(view: Any) -> Any:
        def hidden() -> Any:
            return view()

        return hidden

    app.add_url_rule("/", "root", hiding(require_scope("read")(showing())))

    assert [route.scopes for route in gate(app).routes() if route.name == "root"] == [None]
    assert app.test_client().get("/").status_code == 401


def test_a_coroutine_that_is_hidden_is_guarded_itself() -> None:
    """Where only its own guard is left to ask."""
    pytest.importorskip("asgiref")
    app = flask()

    async def view() -> str:
        return owner()

    guarded = require_scope("read")(view)

    async def hidden() -> str:
        return await guarded()

    app.add_url_rule("/", "root", hidden)

    assert app.test_client().get("/").status_code == 401
    assert app.test_client().get("/", headers=token(app, "read")).text == "alice"


def test_a_cache_around_gives_nothing_away() -> None:
    """What stands above the decorator and answers by itself is reached with a token only."""
    app, kept = flask(), []

    def cached(view: Any) -> Any:
        @wraps(view)
        def around() -> Any:
            if not kept:
                kept.append(view())
            return kept[0]

        return around

    app.add_url_rule("/", view_func=cached(require_scope("read")(showing())))

    assert app.test_client().get("/", headers=token(app, "read")).text == "alice"
    assert kept == ["alice"]
    assert app.test_client().get("/").status_code == 401


def test_a_view_may_take_a_token_or_something_else() -> None:
    """A decorator of somebody's own asks for a token where it wants to."""
    app = flask()

    def either(view: Any) -> Any:
        guarded = require_scope("read")(view)

        @wraps(view)
        def choose() -> Any:
            return view() if request.headers.get("Cookie") == "me" else guarded()

        return choose

    app.add_url_rule("/", view_func=either(lambda: "here"))

    assert app.test_client(use_cookies=False).get("/", headers={"Cookie": "me"}).text == "here"
    assert app.test_client().get("/").status_code == 401


class Reader(View):
    """Guarded where it says so itself."""

    methods: Any = ("GET", "POST")
    decorators: Any = (require_scope("read"),)

    def dispatch_request(self) -> str:
        return owner()


class Notes(MethodView):
    """Guarded by method."""

    @require_scope("read")
    def get(self) -> str:
        return owner()

    @require_scope("write")
    def post(self) -> str:
        return owner()


@require_scope("read")
class Whole(MethodView):
    """Guarded as a whole."""

    def get(self) -> str:
        return owner()

    @require_scope("write")
    def post(self) -> str:
        return owner()


class Inherited(Whole):
    """Guarded by what it inherits from, though it has decorators of its own."""

    decorators: Any = (noting,)

    def get(self) -> str:
        return "inherited"


class Dispatching(View):
    """Guarded where a request arrives."""

    methods: Any = ("GET", "POST")

    @require_scope("read")
    def dispatch_request(self) -> str:
        return owner()


CLASSES = [
    (Reader, {"GET": {"read"}, "HEAD": {"read"}, "POST": {"read"}}),
    (Notes, {"GET": {"read"}, "HEAD": {"read"}, "POST": {"write"}}),
    (Whole, {"GET": {"read"}, "HEAD": {"read"}, "POST": {"read", "write"}}),
    (Inherited, {"GET": {"read"}, "HEAD": {"read"}, "POST": {"read", "write"}}),
    (Dispatching, {"GET": {"read"}, "HEAD": {"read"}, "POST": {"read"}}),
]


@pytest.mark.parametrize(("cls", "demands"), CLASSES, ids=[cls.__name__ for cls, _ in CLASSES])
def test_classes_are_guarded(cls: type[View], demands: dict[str, set[str]]) -> None:
    """As a whole, by their decorators, and by method; HEAD as GET; Flask answers OPTIONS itself, to everybody."""
    app = flask(policy=POLICY)
    app.add_url_rule("/", view_func=cls.as_view("view"))

    wanted = {method: 403 if "write" in demands[method] else 200 for method in demands}
    assert statuses(app, "/") == dict.fromkeys(demands, 401) | {"OPTIONS": 200}
    assert statuses(app, "/", token(app)) == dict.fromkeys(demands, 403) | {"OPTIONS": 200}
    assert statuses(app, "/", token(app, "read")) == wanted | {"OPTIONS": 200}
    assert statuses(app, "/", token(app, "write")) == dict.fromkeys(demands, 200) | {"OPTIONS": 200}
    told = {method: route.scopes for route in gate(app).routes() if route.name == "view" for method in route.methods}
    assert told == demands


def registered_at_once(app: Flask) -> Decorator:
    """Give a decorator that routes a class, as extensions have them."""

    def decorate(cls: Any) -> Any:
        app.add_url_rule("/", view_func=cls.as_view("notes"))
        return cls

    return decorate


@pytest.mark.parametrize("inherited", [False, True])
def test_a_class_is_guarded_above_its_route(inherited: bool) -> None:
    """The route has made its view of the class by then, or of one that inherits from it."""
    app = flask()

    class Bare(MethodView):
        def get(self) -> str:
            return owner()

    registered_at_once(app)(type("Below", (Bare,), {}) if inherited else Bare)
    require_scope("read")(Bare)

    got = [app.test_client().get("/", headers=headers).status_code for headers in (None, token(app, "read"))]
    assert got == [401, 200]
    assert [route.scopes for route in gate(app).routes() if route.name == "notes"] == [{"read"}]


def test_a_class_that_inherits_from_two_demands_what_both_do() -> None:
    """Though only the first of them makes its view."""
    app = flask(policy=POLICY)

    @require_scope("read")
    class First(MethodView):
        def get(self) -> str:
            return owner()

    @require_scope("write")
    class Second(MethodView): ...

    app.add_url_rule("/", view_func=type("Both", (First, Second), {}).as_view("view"))

    got = [app.test_client().get("/", headers=token(app, scope)).status_code for scope in ("read", "write")]
    assert got == [403, 200]


def test_a_view_that_answers_options_itself_is_guarded() -> None:
    """Only what Flask answers by itself is open."""
    app = flask()
    app.add_url_rule("/", view_func=require_scope()(owner), methods=["GET", "OPTIONS"])

    assert app.test_client().options("/").status_code == 401


def test_blueprints_are_guarded() -> None:
    """Nested ones too, with views registered before and after the gate."""
    outer, inner = Blueprint("outer", __name__, url_prefix="/outer"), Blueprint("inner", __name__, url_prefix="/inner")
    require_scope("read")(inner.get("/above")(lambda: "ok"))
    inner.add_url_rule("/below", "below", require_scope("read")(lambda: "ok"))
    outer.register_blueprint(inner)
    before = Flask("before")
    before.register_blueprint(outer)
    PersonalAccessTokens(before, store=MemoryStore(), policy=POLICY)
    after = flask(policy=POLICY)
    after.register_blueprint(outer)

    for app in (before, after):
        for path in ("/outer/inner/below", "/outer/inner/above"):
            got = [app.test_client().get(path, headers=headers).status_code for headers in (None, token(app, "read"))]
            assert got == [401, 200]


def test_a_whole_blueprint_is_guarded_by_what_runs_before_it() -> None:
    """The decorator serves on ``before_request``, and routes tell of it."""
    app, api = flask(policy=POLICY), Blueprint("api", __name__)

    @api.before_request
    @require_scope("read")
    def guard() -> None:
        pass

    api.add_url_rule("/notes", "notes", showing())
    app.register_blueprint(api)
    app.add_url_rule("/page", "page", showing())

    assert [app.test_client().get(path).status_code for path in ("/notes", "/page")] == [401, 200]
    told = {route.name: route.scopes for route in gate(app).routes()}
    assert (told["api.notes"], told["page"]) == ({"read"}, None)


@pytest.mark.parametrize("whole", [False, True])
def test_what_runs_before_views_is_guarded_above_as_well(whole: bool) -> None:
    """Flask has the bare function then, for a blueprint or for the whole application."""
    app, api = flask(policy=POLICY), Blueprint("api", __name__)
    require_scope("read")((app if whole else api).before_request(lambda: None))
    api.add_url_rule("/notes", "notes", showing())
    app.register_blueprint(api)

    got = [app.test_client().get("/notes", headers=headers).status_code for headers in (None, token(app, "read"))]
    assert got == [401, 200]
    assert [route.scopes for route in gate(app).routes() if route.name == "api.notes"] == [{"read"}]


def test_methods_of_objects_and_partials_are_guarded() -> None:
    """Anything that Flask can call."""
    app = flask()

    class Pages:
        @require_scope("read")
        def page(self) -> str:
            return owner()

    app.add_url_rule("/method", "method", Pages().page)
    app.add_url_rule("/partial", "partial", partial(require_scope("read")(lambda word: word), "ok"))
    app.add_url_rule("/around", "around", require_scope("read")(partial(lambda word: word, "ok")))

    for path in ("/method", "/partial", "/around"):
        got = [app.test_client().get(path, headers=headers).status_code for headers in (None, token(app, "read"))]
        assert got == [401, 200]
    assert {route.scopes for route in gate(app).routes() if route.name != "static"} == {frozenset({"read"})}


@pytest.mark.parametrize("scopes", [(owner,), (["read"],), ("",), (None,)])
def test_what_is_no_scope_is_refused(scopes: tuple[Any, ...]) -> None:
    """The brackets forgotten, or a list given: told where the decorator stands."""
    with pytest.raises(ConfigurationError, match=r"write @require_scope\(\"read\", \"write\"\)"):
        require_scope(*scopes)


def test_a_class_that_is_no_view_is_refused() -> None:
    """Nothing of it would be guarded."""
    with pytest.raises(ConfigurationError, match="no class of views"):
        require_scope("read")(int)


# --- unknown scopes ---------------------------------------------------------------------------------------------

UNKNOWN = r"view 'notes': the policy knows no scope 'wirte': did you mean 'write'\?"


def below(app: Flask) -> None:
    app.add_url_rule("/", "notes", require_scope("wirte")(lambda: "ok"))


def above(app: Flask) -> None:
    require_scope("wirte")(app.route("/", endpoint="notes")(lambda: "ok"))


def by_method(app: Flask) -> None:
    class View(MethodView):
        def get(self) -> str:
            return "ok"

        @require_scope("wirte")
        def post(self) -> str:
            return "ok"

    app.add_url_rule("/", view_func=View.as_view("notes"))


def above_a_class(app: Flask) -> None:
    require_scope("wirte")(registered_at_once(app)(type("Notes", (MethodView,), {})))


def by_endpoint(app: Flask) -> None:
    app.endpoint("notes")(require_scope("wirte")(lambda: "ok"))


UNKNOWNS = [below, above, by_method, above_a_class, by_endpoint]


@pytest.mark.parametrize("register", UNKNOWNS)
def test_an_unknown_scope_is_told_when_a_view_is_registered(register: Callable[[Flask], None]) -> None:
    """With the view and the nearest scope, whichever way it gets there."""
    app = flask(policy=POLICY)

    with pytest.raises(ConfigurationError, match=UNKNOWN):
        register(app)


@pytest.mark.parametrize("register", UNKNOWNS)
def test_an_unknown_scope_is_told_when_the_gate_is_put(register: Callable[[Flask], None]) -> None:
    """Of views that were there before."""
    app = Flask("here")
    register(app)
    app.add_url_rule("/more", "more", require_scope("raed")(lambda: "ok"))

    with pytest.raises(ConfigurationError, match=UNKNOWN) as caught:
        PersonalAccessTokens(app, store=MemoryStore(), policy=POLICY)

    assert len(caught.value.problems) == 2


def test_an_unknown_scope_of_a_blueprint_is_told() -> None:
    """Of its views, and of what runs before them, when it is registered."""
    app, api = flask(policy=POLICY), Blueprint("api", __name__)
    api.before_request(require_scope("raed")(lambda: None))
    api.add_url_rule("/", "notes", showing())

    with pytest.raises(ConfigurationError, match=r"view 'api\.notes': the policy knows no scope 'raed'"):
        app.register_blueprint(api)


# --- refusals ---------------------------------------------------------------------------------------------------


def plain(app: Flask) -> PATMiddleware:
    """Give the same gate, which demands the scope "write" by a rule."""
    rules = Policy.from_dict({"scopes": {"read": {}, "write": {}}, "rule": [{"path": "/", "scopes": ["write"]}]})
    return PATMiddleware(lambda environ, start: iter(()), gate(app).store, policy=rules)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("which", ["none", "unknown", "small", "malformed", "unsupported"])
def test_a_refusal_is_the_gates_own(which: str, method: str) -> None:
    """Status, headers and body are what the gate answers by itself, but for the request id and the rule."""
    app = flask(policy=Policy.from_dict({"scopes": {"read": {}, "write": {}}, "rule": [{"path": "/x", "scopes": []}]}))
    app.add_url_rule("/", view_func=require_scope("write")(showing()))
    sent = {
        "none": None,
        "unknown": "Bearer pat_unknown",
        "small": token(app, "read")["Authorization"],
        "malformed": "Bearer a b",
        "unsupported": "Digest x",
    }[which]

    ours, theirs = (call(one, environ("/", sent, method=method)) for one in (app, plain(app)))

    assert ours.status == theirs.status
    lengths = {"Content-Length"} if which == "small" else set()  # there is no rule to be named
    assert [header for header in ours.headers if header[0] not in lengths] == [
        header for header in theirs.headers if header[0] not in lengths
    ]
    assert bool(ours.body) == (method == "GET")
    if method == "GET":
        left = ("request_id", "rule", "detail")
        assert [{key: value for key, value in one.problem.items() if key not in left} for one in (ours, theirs)] == [
            {key: value for key, value in theirs.problem.items() if key not in left}
        ] * 2


def test_a_refusal_is_audited_once_whoever_answers_it() -> None:
    """With the request's own id, though the application answers something else."""
    written = io.StringIO()
    app = flask(audit=AuditLog(written))
    app.add_url_rule("/", view_func=require_scope("write")(showing()))
    app.errorhandler(403)(lambda error: ("no", 418))

    answer = app.test_client().get("/", headers=token(app, "read"))
    gate(app).embedding.middleware.close()

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert (answer.status_code, answer.text) == (418, "no")
    assert [(line["decision"], line.get("reason")) for line in lines] == [
        ("allowed", None),
        ("denied", "insufficient_scope"),
    ]
    assert (lines[1]["who"], lines[1]["status"], lines[1]["path"]) == ("alice", 403, "/")
    assert lines[0]["request_id"] == lines[1]["request_id"]


HANDLERS: list[type[Exception] | int] = [Refused, 401, HTTPException]


@pytest.mark.parametrize("handled", HANDLERS, ids=str)
@pytest.mark.parametrize("where", ["application", "blueprint"])
def test_the_application_may_answer_itself(handled: Any, where: str) -> None:
    """By the class, the status, or for all errors, on a blueprint too."""
    app, api = flask(), Blueprint("api", __name__)
    api.add_url_rule("/", "notes", require_scope("write")(showing()))

    def handler(error: HTTPException) -> tuple[Response, int]:
        denied = error.denied if isinstance(error, Refused) else None
        assert denied is not None
        return jsonify(reason=denied.reason, code=error.code), 499

    (app if where == "application" else api).register_error_handler(handled, handler)
    app.register_blueprint(api)

    answer = app.test_client().get("/")

    assert (answer.status_code, answer.json) == (499, {"reason": "missing", "code": 401})


def test_a_handler_may_start_from_the_gates_answer() -> None:
    """As Flask's own documentation writes one for all errors: the challenge stays."""
    app = flask()
    app.add_url_rule("/", view_func=require_scope()(showing()))

    @app.errorhandler(HTTPException)
    def handler(error: HTTPException) -> Any:
        response: Any = error.get_response()
        response.data = json.dumps({"name": error.name, "description": error.description})
        response.content_type = "application/json"
        return response

    answer = app.test_client().get("/")

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert answer.json is not None
    assert answer.json["name"] == "Unauthorized"
    assert "personal access token" in answer.json["description"]


# --- closed -----------------------------------------------------------------------------------------------------


def registered_below(app: Flask, view: Any) -> None:
    app.add_url_rule("/", view_func=require_scope()(view))


def registered_above(app: Flask, view: Any) -> None:
    require_scope()(app.get("/")(view))


def registered_in_a_blueprint(app: Flask, view: Any) -> None:
    pages = Blueprint("pages", __name__)
    require_scope()(pages.get("/")(view))
    app.register_blueprint(pages)


def registered_as_a_method(app: Flask, view: Any) -> None:
    get = staticmethod(require_scope()(view))
    app.add_url_rule("/", view_func=type("Page", (MethodView,), {"get": get}).as_view("page"))


def registered_behind_a_hook(app: Flask, view: Any) -> None:
    require_scope()(app.before_request(lambda: None))
    app.add_url_rule("/", view_func=view)


WAYS = [
    *(registered_below, registered_above, registered_in_a_blueprint, registered_as_a_method),
    registered_behind_a_hook,
]


@pytest.mark.parametrize("register", WAYS)
def test_without_a_gate_a_view_is_closed(register: Callable[[Flask, Any], None]) -> None:
    """Where nobody initialised the extension, it says what to do, also where the route has the bare function."""
    app, ran = Flask("bare"), []
    app.config["TESTING"] = True
    register(app, lambda: ran.append(1) or "ok")

    with pytest.raises(ConfigurationError, match=r"no gate before the application .*PersonalAccessTokens\(app\)"):
        app.test_client().get("/")
    assert ran == []


def test_without_a_gate_what_demands_nothing_is_open() -> None:
    """An application beside, in the same process, is none of ours; nor is what is not found."""
    app = Flask("beside")
    app.add_url_rule("/", view_func=showing())

    assert [app.test_client().get(path).status_code for path in ("/nowhere", "/static/none")] == [404, 404]
    app.view_functions["view"] = lambda: "ok"
    assert app.test_client().get("/").text == "ok"


def test_a_request_that_goes_around_the_gate_is_refused() -> None:
    """As does one of ``test_request_context``, and one of an application that is served in part."""
    app = flask()
    app.config["TESTING"] = False
    view = require_scope()(owner)
    app.add_url_rule("/", view_func=view)

    with app.test_request_context("/"), pytest.raises(ConfigurationError, match="did not come through the gate"):
        view()
    assert call(lambda *given: Flask.wsgi_app(app, *given), environ("/")).status == 500


def test_a_client_cannot_say_that_it_came_through_the_gate() -> None:
    """What looks like our own is taken away."""
    app = flask()
    app.add_url_rule("/", view_func=require_scope()(showing()))
    forged = {"patmiddleware.status": "confirmed", "patmiddleware.grant": "x", "REMOTE_USER": "root"}

    assert app.test_client().get("/", environ_overrides=forged).status_code == 401


def test_a_function_that_was_guarded_once_is_guarded_wherever_it_is() -> None:
    """What stands below a route, and what was registered with it bare, can't be told apart."""
    app, view = flask(), showing()
    app.add_url_rule("/bare", "bare", view)
    app.add_url_rule("/guarded", "guarded", require_scope()(view))

    assert [app.test_client().get(path).status_code for path in ("/bare", "/guarded")] == [401, 401]


def test_a_view_that_takes_the_place_of_another_is_judged_by_what_it_demands() -> None:
    """Nothing is remembered of the one before."""
    app = flask()
    app.add_url_rule("/", "view", showing())
    client = app.test_client()
    assert client.get("/").status_code == 200

    app.view_functions["view"] = require_scope()(showing())
    assert client.get("/").status_code == 401
    app.view_functions = {"view": showing()}
    assert client.get("/").status_code == 200


def test_what_is_not_found_is_the_same_to_everybody() -> None:
    """A path without a view, or a method that it has not."""
    app = flask()
    app.add_url_rule("/notes/<int:number>", view_func=require_scope("read")(lambda number: "ok"))
    client, headers = app.test_client(), token(app, "read")

    for method, path, status in (("GET", "/notes/x", 404), ("DELETE", "/notes/1", 405)):
        answers = [client.open(path, method=method, headers=given) for given in (None, headers)]
        assert [answer.status_code for answer in answers] == [status, status]
        assert answers[0].data == answers[1].data


def test_nothing_of_the_application_runs_before_the_demand_holds() -> None:
    """Not even what it was told before the gate was put there."""
    app, ran = Flask("here"), []
    app.before_request(lambda: ran.append(1))
    app.url_value_preprocessor(lambda endpoint, values: ran.append(2))
    app.add_url_rule("/", view_func=require_scope()(showing()))
    PersonalAccessTokens(app, store=MemoryStore())
    app.before_request(lambda: ran.append(3))
    app.url_value_preprocessor(lambda endpoint, values: ran.append(4))

    assert app.test_client().get("/").status_code == 401
    assert ran == []


LIMITS = {"project": frozenset({"OPS"})}


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/projects/OPS/x", 200), ("/projects/HR/x", 403), ("/elsewhere", 403), ("/open", 403), ("/öffnen", 403)],
)
@pytest.mark.parametrize("policy", ["ours", "of somebody", "none"])
def test_a_token_with_limits_needs_a_rule_that_keeps_them(policy: str, path: str, expected: int) -> None:
    """A view that is guarded by its decorator alone is closed to it, where a public rule is about the path too."""

    class Own:
        def decide(self, grant: object, asked: Any) -> Allowed | Denied:
            return Allowed() if asked.path == "/projects/OPS/x" else Denied(Reason.NO_RULE)

    app = flask(policy={"ours": POLICY, "of somebody": Own(), "none": None}[policy])
    app.add_url_rule("/<path:any>", view_func=require_scope("read")(lambda any: "ok"))

    answer = app.test_client().get(path, headers=token(app, "read", limits=LIMITS))

    assert answer.status_code == (403 if policy == "none" else expected)
    if answer.status_code == 403:
        assert answer.json is not None
        assert answer.json["reason"] == "limit"


def test_a_public_page_is_open_to_a_token_with_limits() -> None:
    """Where its view demands nothing."""
    app = flask(policy=POLICY)
    app.add_url_rule("/open", view_func=showing())

    assert app.test_client().get("/open", headers=token(app, "read", limits=LIMITS)).text == "alice"


def test_requests_within_requests_keep_their_own_grants() -> None:
    """A view that asks its own application is not taken for its caller."""
    app = flask()
    mine, other = token(app, "read"), token(app, "read", owner="bob")

    @app.get("/inner")
    def inner() -> str:
        return owner()

    @app.get("/outer")
    @require_scope("read")
    def outer() -> str:
        asked = [app.test_client().get("/inner", headers=headers).text for headers in (None, other)]
        return " ".join((*asked, owner()))

    assert app.test_client().get("/outer", headers=mine).text == "nobody bob alice"


# --- beside others ----------------------------------------------------------------------------------------------


def test_mounted_applications_judge_their_own_paths() -> None:
    """Each below its prefix, with its own gate."""
    rules = Policy.from_dict({"scopes": {"read": {}}, "rule": [{"effect": "deny", "path": "/closed"}]})
    app = flask(policy=rules)
    for path in ("/", "/closed"):
        app.add_url_rule(path, path.strip("/") or "root", require_scope("read")(lambda: request.script_root))
    whole = DispatcherMiddleware(flask(), {"/api": app})

    got = [call(whole, environ(path, token(app, "read")["Authorization"])) for path in ("/api/", "/api/closed")]

    assert [answer.status for answer in got] == [200, 403]
    assert got[0].body == b"/api"


def test_behind_a_proxy_the_clients_address_counts() -> None:
    """ProxyFix around the gate tells it who asks."""
    rule = {"path": "/", "scopes": [], "networks": ["198.51.100.0/24"]}
    app = flask(policy=Policy.from_dict({"rule": [rule]}))
    app.add_url_rule("/", view_func=require_scope()(showing()))
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    headers = token(app)

    got = [
        app.test_client().get("/", headers=headers | {"X-Forwarded-For": address}).status_code
        for address in ("198.51.100.7", "203.0.113.1")
    ]

    assert got == [200, 403]


def test_streams_are_guarded_before_they_begin() -> None:
    """A view that yields is refused as a whole, and knows its caller while it streams."""
    app = flask()

    @app.get("/")
    @require_scope("read")
    def stream() -> Iterator[str]:
        def parts() -> Iterator[str]:
            yield "for "
            yield owner()

        return stream_with_context(parts())

    @app.get("/yielding")
    @require_scope("read")
    def yielding() -> Iterator[str]:
        yield "ok"

    assert app.test_client().get("/").status_code == 401
    assert app.test_client().get("/yielding").status_code == 401
    assert app.test_client().get("/", headers=token(app, "read")).text == "for alice"


def test_flask_login_takes_a_token() -> None:
    """As a request loader: the owner is the user."""
    login = pytest.importorskip("flask_login")
    app = flask()
    manager = login.LoginManager(app)

    class User(login.UserMixin):  # type: ignore[misc,name-defined]
        def __init__(self, name: str) -> None:
            self.id = name

    @manager.request_loader  # type: ignore[untyped-decorator]
    def load(request: object) -> User | None:
        return User(current_grant.owner) if current_grant else None

    app.add_url_rule("/", "me", login.login_required(lambda: login.current_user.id))

    assert app.test_client().get("/").status_code == 401
    assert app.test_client().get("/", headers=token(app)).text == "alice"


def test_a_store_at_an_address_serves(tmp_path: Path) -> None:
    """A token made by another program is known."""
    pytest.importorskip("sqlalchemy", reason="needs the extra sql")
    address = f"sqlite:///{tmp_path}/tokens.db"
    secret = Issuer(open_store(address)).mint(owner="bob", name="x", scopes={"read"}).secret
    app = flask(address)
    app.add_url_rule("/", view_func=require_scope("read")(showing()))

    assert app.test_client().get("/", headers={"Authorization": bearer(secret)}).text == "bob"
