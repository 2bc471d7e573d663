"""``patmiddleware policy show``: the rules, and the routes of real applications with what guards them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from patmiddleware import Policy
from patmiddleware.cli.routeview import guards, warnings
from patmiddleware.interfaces import AccessPolicy
from patmiddleware.model import Allowed, Denied, Reason
from patmiddleware.routes import Route, routed

if TYPE_CHECKING:
    from conftest import Place

RULES = """\
[scopes.read]
[scopes.write]
includes = ["read"]
[scopes.admin]
[[rule]]
id = "issues"
methods = ["GET", "HEAD"]
path = "/issues/**"
scopes = ["read"]
[[rule]]
id = "write-issues"
methods = ["POST", "DELETE"]
path = "/issues/**"
scopes = ["write"]
[[rule]]
id = "developers"
effect = "require"
path = "/issues/**"
groups = ["developers", "robots"]
[[rule]]
id = "health"
path = "/health"
public = true
[[rule]]
id = "robots-from-inside"
effect = "require"
path = "/**"
when = {groups = ["robots"]}
networks = ["10.0.0.0/8"]
[[rule]]
id = "no-secrets"
effect = "deny"
path = "/secrets"
"""
GATE = """\
class Gate:
    annotates = True

    def __init__(self, policy, routes):
        self.policy, self.routes = policy, lambda: routes
"""
FLASK = (
    """\
from flask import Flask
from patmiddleware import Policy
from patmiddleware.routes import Route

"""
    + GATE
    + """

app = Flask("shop")


def demand(*scopes):
    def mark(view):
        view.scopes = frozenset(scopes)
        return view

    return mark


@app.get("/issues/<int:number>")
@demand("read")
def issue(number):
    return "one"


@app.route("/issues/", methods=["GET", "POST"])
def issues():
    return "all"


@app.get("/health")
def health():
    return "ok"


@app.get("/profile")
@demand()
def profile():
    return "you"


@app.get("/about")
def about():
    return "us"


def routes():
    for rule in app.url_map.iter_rules():
        path = str(rule).replace("<int:number>", "1")
        scopes = getattr(app.view_functions[rule.endpoint], "scopes", None)
        if rule.endpoint != "static":
            methods = tuple(sorted(rule.methods))
            yield Route(name=rule.endpoint, path=str(rule), example=path, methods=methods, scopes=scopes)


app.extensions["patmiddleware"] = Gate(Policy.from_file(__file__.replace("shop.py", "rules.toml")), list(routes()))
wrapped = app.wsgi_app


def create_app():
    return app
"""
)
PYRAMID = (
    """\
from patmiddleware import PATMiddleware, Policy
from patmiddleware.routes import Route
from pyramid.config import Configurator
from pyramid.response import Response

"""
    + GATE
    + """

with Configurator() as config:
    config.add_route("issue", "/issues/{number}")
    config.add_route("secrets", "/secrets")
    config.add_view(lambda request: Response("one"), route_name="issue", request_method="DELETE")
    config.add_view(lambda request: Response("no"), route_name="secrets")
    routes = [
        Route(name="issue", path="/issues/{number}", example="/issues/1", methods=("DELETE",), scopes=frozenset(["x"])),
        Route(name="secrets", path="/secrets", example="/secrets", scopes=frozenset()),
    ]
    policy = Policy.from_file(__file__.replace("desk.py", "rules.toml"))
    config.registry["patmiddleware"] = Gate(policy, routes)
    inner = config.make_wsgi_app()
app = PATMiddleware(inner, "memory:", policy=policy)
"""
)


@pytest.fixture
def shop(place: Place) -> Iterator[Place]:
    """Give a folder with a Flask and a Pyramid application in it; what is imported from there is forgotten again."""
    before, path = set(sys.modules), [*sys.path]
    for name, text in (("rules.toml", RULES), ("shop.py", FLASK), ("desk.py", PYRAMID)):
        (place.folder / name).write_text(text)
    yield place
    sys.path[:] = path
    for name in {"shop", "desk", "odd"} - before:
        sys.modules.pop(name, None)


def odd(place: Place, text: str) -> None:
    """Write an application of another kind."""
    (place.folder / "odd.py").write_text(text)


@dataclass
class Gate:
    """A gate of routes that are made up."""

    policy: AccessPolicy | None
    route: Route
    annotates: bool = True
    asked: list[object] = field(default_factory=list)

    def routes(self) -> list[Route]:
        return [self.route]


def needs(rules: str, *, scopes: list[str] | None = None, annotates: bool = True, method: str = "GET") -> list[str]:
    """Give what a route needs in the end, under these rules; and whether it is warned of."""
    route = Route(
        name="r", path="/a", example="/a", methods=(method,), scopes=None if scopes is None else frozenset(scopes)
    )
    gate = Gate(Policy.from_dict(rules_of(rules)), route, annotates)
    found = list(guards(gate))
    return [guard.needs() for guard in found] + ["warned"] * bool(list(warnings(gate, found)))


def rules_of(rules: str) -> dict[str, Any]:
    """Read rules of one line each: ``allow read``, ``require group:dev``, ``deny if group:dev`` …"""
    written: list[dict[str, Any]] = []
    for number, line in enumerate(filter(None, map(str.strip, rules.split(";")))):
        head, _, condition = line.partition(" if ")
        effect, *words = head.split()
        rule: dict[str, Any] = {"id": f"r{number}", "path": "/a", "effect": effect}
        demands: dict[str, list[str]] = {}
        for word in words:
            kind, _, name = word.rpartition(":")
            if word == "public":
                rule["public"] = True
            elif kind == "method":
                rule["methods"] = [name]
            else:
                demands.setdefault(f"{kind or 'scope'}s", []).append(name)
        if effect == "allow" and "public" not in rule:
            rule.setdefault("scopes", [])
        rule |= demands
        if condition:
            kind, _, name = condition.partition(":")
            rule["when"] = {f"{kind}s": [name]}
        written.append(rule)
    return {"scopes": {"read": {}, "write": {}, "admin": {}}, "rule": written}


REJECTED = {
    "any token": ("allow", None, ["any valid token"]),
    "a scope of the rule": ("allow read", None, ["scope read"]),
    "no rule": ("", None, ["nobody gets in: no rule allows it"]),
    "no rule, but a demand": ("", ["read"], ["nobody gets in: no rule allows it", "warned"]),
    "public": ("allow public", None, ["no token"]),
    "public, but the view asks": ("allow public", ["read"], ["scope read"]),
    "denied": ("allow read; deny", None, ["nobody gets in: r1 denies it"]),
    "one of two": ("allow read; allow write group:dev", None, ["either scope read, or scope write, group dev"]),
}
ANNOTATED = {
    "no rule and no demand": ("", None, ["nothing", "warned"]),
    "a demand alone": ("", ["read"], ["scope read"]),
    "any token": ("", [], ["any valid token"]),
    "both": ("allow read", ["write"], ["scopes read + write"]),
    "both the same": ("allow read", ["read"], ["scope read"]),
    "an allow alone": ("allow read", None, ["nothing; with a token: scope read", "warned"]),
    "a require": ("require read", None, ["scope read"]),
    "a require and an allow": ("require write; allow read", None, ["scopes read + write"]),
    "a require of a group": ("require group:dev group:ops", None, ["any valid token; group dev or ops"]),
    "a require of a network": ("require network:10.0.0.0/8", None, ["any valid token; network 10.0.0.0/8"]),
    "a require for some": (
        "require network:10.0.0.0/8 if group:dev",
        None,
        ["nothing; with a token: any valid token; network 10.0.0.0/8 if group dev", "warned"],
    ),
    "a deny for some": ("deny if group:dev", ["read"], ["scope read; not group dev"]),
    "a deny for some networks": (
        "deny if network:10.0.0.0/8",
        None,
        ["nothing; with a token: any valid token; not network 10.0.0.0/8", "warned"],
    ),
    "public": ("allow public", None, ["no token"]),
    "public beside a require": ("allow public; require write", None, ["no token"]),
    "public beside a require of a network": (
        "allow public; require network:10.0.0.0/8",
        None,
        ["no token; network 10.0.0.0/8"],
    ),
    "public in a network": (
        "allow public network:10.0.0.0/8",
        None,
        ["no token, network 10.0.0.0/8"],
    ),
    "a rule for another method": (
        "allow read method:POST",
        None,
        ["nothing, but without a token: no rule allows it", "warned"],
    ),
    "a rule for another method, and a demand": (
        "allow read method:POST",
        ["read"],
        ["nobody gets in: no rule allows it", "warned"],
    ),
    "a scope that nobody knows": ("allow read", ["raed"], ["scopes raed + read", "warned"]),
}


@pytest.mark.parametrize(("rules", "scopes", "expected"), REJECTED.values(), ids=REJECTED)
def test_what_a_route_needs_behind_a_gate_that_rejects(
    rules: str, scopes: list[str] | None, expected: list[str]
) -> None:
    """View and rules together; such a gate leaves no route unguarded."""
    assert needs(rules, scopes=scopes, annotates=False) == expected


@pytest.mark.parametrize(("rules", "scopes", "expected"), ANNOTATED.values(), ids=ANNOTATED)
def test_what_a_route_needs_behind_a_gate_that_annotates(
    rules: str, scopes: list[str] | None, expected: list[str]
) -> None:
    """View and rules together; an allow asks only those who show a token, so it guards nothing by itself."""
    assert needs(rules, scopes=scopes) == expected


def test_the_rules(shop: Place) -> None:
    """Every rule of the set policy is a row: what it is about, and what it asks."""
    (shop.folder / "policy.toml").write_text(RULES)

    rows = [line.split("  ") for line in shop.run("policy", "show").stdout.splitlines()]
    table = {row[0]: [cell.strip() for cell in row[1:] if cell.strip()] for row in rows}

    assert list(table) == [
        *("RULE", "issues", "write-issues", "developers", "health", "robots-from-inside", "no-secrets"),
    ]
    assert table["write-issues"] == ["allow", "DELETE POST", "/issues/**", "scope write", "–"]
    assert table["developers"] == ["require", "any", "/issues/**", "group developers or robots", "–"]
    assert table["health"] == ["public", "any", "/health", "no token", "–"]
    assert table["robots-from-inside"] == ["require", "any", "/**", "network 10.0.0.0/8", "group robots"]
    assert table["no-secrets"] == ["deny", "any", "/secrets", "–", "–"]


def test_the_rules_for_scripts(shop: Place) -> None:
    """As one document, with what scopes include."""
    (shop.folder / "policy.toml").write_text(RULES)

    document = shop.json("policy", "show")

    assert document["observe"] is False
    assert document["scopes"] == {"read": [], "write": ["read"], "admin": []}
    assert document["rules"][0] == {
        "id": "issues",
        "effect": "allow",
        "methods": ["GET", "HEAD"],
        "paths": ["/issues/**"],
        "scopes": ["read"],
        "groups": [],
        "networks": [],
        "public": False,
        "ignores_credentials": False,
        "limits_exempt": False,
        "when": None,
    }
    assert document["rules"][4]["when"] == {"groups": ["robots"], "owners": [], "networks": [], "scopes": []}


def test_the_rules_of_a_preset(place: Place) -> None:
    """A preset has hundreds, and they are shown."""
    place.config.write_text('[store]\nurl = "memory:"\n[policy]\npreset = "jira"\n')

    assert len(place.json("policy", "show")["rules"]) == len(Policy.preset("jira").rules)
    assert place.run("policy", "show").exit_code == 0


@pytest.mark.parametrize("words", [(), ("--strict",)])
def test_no_policy_to_show(place: Place, words: tuple[str, ...]) -> None:
    """Where none is set, it says what to write; strictness is about routes."""
    place.config.write_text('[store]\nurl = "memory:"\n')

    result = place.run("policy", "show", *words)

    assert result.exit_code == (2 if words else 1)
    assert ("--app" if words else "[policy]") in result.stderr


@pytest.mark.parametrize("words", ["shop:app", "shop:wrapped", "shop:create_app()"])
def test_the_routes_of_a_flask_application(shop: Place, words: str) -> None:
    """Each with what its view demands, which rules are about it, and what a request needs in the end."""
    pytest.importorskip("flask", reason="needs Flask")

    document = shop.json("policy", "show", "--app", words)

    shown = {(route["name"], *route["methods"]): route for route in document["routes"]}
    assert {key: (route["view"], route["needs"], route["guarded"]) for key, route in shown.items()} == {
        ("issue", "GET", "HEAD"): (
            ["read"],
            "scope read; group developers or robots; network 10.0.0.0/8 if group robots",
            True,
        ),
        ("issues", "GET", "HEAD"): (
            None,
            "scope read; group developers or robots; network 10.0.0.0/8 if group robots",
            True,
        ),
        ("issues", "POST"): (
            None,
            "scope write; group developers or robots; network 10.0.0.0/8 if group robots",
            True,
        ),
        ("health", "GET", "HEAD"): (None, "no token; network 10.0.0.0/8 if group robots", True),
        ("profile", "GET", "HEAD"): ([], "any valid token; network 10.0.0.0/8 if group robots", True),
        ("about", "GET", "HEAD"): (
            None,
            "nothing; with a token: any valid token; network 10.0.0.0/8 if group robots",
            False,
        ),
    }
    assert [rule["id"] for rule in shown["issue", "GET", "HEAD"]["rules"]] == [
        *("developers", "robots-from-inside", "issues"),
    ]
    assert [route["name"] for route in document["routes"] if route["public"]] == ["health"]
    [warning] = document["warnings"]
    assert warning.startswith("GET HEAD /about (about): nothing guards it")


def test_the_routes_as_a_table(shop: Place) -> None:
    """Words for people; warnings beside the answer."""
    pytest.importorskip("flask", reason="needs Flask")

    result = shop.run("policy", "show", "--app", "shop:app")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split("  ")[0] == "PATH"
    assert "/issues/<int:number>  GET HEAD" in result.stdout
    warning, hint = result.stderr.splitlines()
    assert warning.startswith("Warning: GET HEAD /about (about): nothing guards it")
    assert "public rule" in hint


def test_the_routes_of_a_pyramid_application(shop: Place) -> None:
    """Found behind the gate around it; a denied route, a scope that nobody can have, and any method."""
    pytest.importorskip("pyramid", reason="needs Pyramid")

    document = shop.json("policy", "show", "--app", "desk:app")

    issue, secrets = document["routes"]
    assert secrets["methods"] == ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    assert secrets["needs"] == "nobody gets in: no-secrets denies it"
    assert issue["needs"].startswith("scopes write + x; group developers or robots")
    assert len(document["warnings"]) == 2
    assert any("x" in words and "no token can have" in words for words in document["warnings"])
    assert any("no-secrets denies it" in words for words in document["warnings"])


def test_strict_fails_where_a_route_is_unguarded(shop: Place) -> None:
    """With 1, after the whole answer; with 0 where a rule calls it public."""
    pytest.importorskip("flask", reason="needs Flask")

    result = shop.run("policy", "show", "--app", "shop:app", "--strict", "--json")
    process = shop.process("policy", "show", "--app", "shop:app", "--strict")
    rules = shop.folder / "rules.toml"
    rules.write_text(f'{RULES}[[rule]]\nid = "about"\npath = "/about"\npublic = true\n')
    mended = shop.process("policy", "show", "--app", "shop:app", "--strict")

    assert (result.exit_code, process.returncode, mended.returncode) == (1, 1, 0), mended.stderr
    assert len(json.loads(result.stdout)["warnings"]) == 1
    assert "/about" in process.stderr


def test_an_application_is_found_in_the_current_folder(shop: Place) -> None:
    """As servers find it, without any settings file: the application names its policy itself."""
    pytest.importorskip("flask", reason="needs Flask")
    shop.config.unlink()

    assert shop.process("policy", "show", "--app", "shop:app").returncode == 0


BROKEN = {
    "no words at all": ("", "", 2, "must not be empty"),
    "a file": ("", "odd.py", 2, "names no application"),
    "arguments": ("", "odd:app(1)", 2, "names no application"),
    "no module": ("", "there_is_none:app", 2, "importing there_is_none fails: ModuleNotFoundError"),
    "no such name": ("application = print", "odd:aplication", 2, "did you mean 'application'?"),
    "a name in what has none": ("app = 5", "odd:app.wsgi.app", 2, "odd has no 'app.wsgi.app'"),
    "what can't be called": ("app = 5", "odd:app", 2, "can't be called"),
    "an error at import": ("raise KeyError('DATABASE')", "odd:app", 2, "importing odd fails: KeyError: 'DATABASE'"),
    "an error of several lines": ("raise ValueError('a\\nb')", "odd:app", 2, "ValueError: a b"),
    "a syntax error": ("def", "odd:app", 2, "importing odd fails: SyntaxError"),
    "an exit at import": ("import sys; sys.exit(0)", "odd:app", 2, "importing odd fails: SystemExit: 0"),
    "an error in a factory": (
        "def make(): raise OSError('x')",
        "odd:make()",
        2,
        "calling odd:make() fails: OSError: x",
    ),
    "a factory with arguments": ("def make(settings): pass", "odd:make()", 2, "it is called without arguments"),
    "a factory that makes nothing": ("def make(): pass", "odd:make()", 2, "can't be called"),
    "a factory without its parentheses": ("def make(): pass", "odd:make", 1, "odd:make()"),
    "no gate": ("def make(): return print", "odd:make()", 1, "has no gate that knows its routes"),
    "what wraps itself": ("class App:\n def __call__(self): 0\napp = App()\napp.app = app", "odd:app", 1, "no gate"),
    "wrappers without end": ("from unittest.mock import MagicMock\napp = MagicMock()", "odd:app", 1, "no gate"),
    "a gate around plain WSGI": (
        "from patmiddleware import PATMiddleware\napp = PATMiddleware(print, 'memory:')",
        *("odd:app", 1, "doesn't tell its routes"),
    ),
    "a gate in what is mounted": (
        "from werkzeug.middleware.dispatcher import DispatcherMiddleware\n"
        "app = DispatcherMiddleware(print, {'/api': print, '/old': print})",
        *("odd:app", 1, "odd:app has no gate itself: name what it mounts at /api or /old"),
    ),
    "a gate that is set up wrongly": (
        "from patmiddleware import PATMiddleware\napp = PATMiddleware(print, 'nothing:')",
        *("odd:app", 2, "importing odd fails: ConfigurationError"),
    ),
}


@pytest.mark.parametrize(("text", "words", "code", "told"), BROKEN.values(), ids=BROKEN)
def test_an_application_that_can_not_be_shown(shop: Place, text: str, words: str, code: int, told: str) -> None:
    """One sentence that says why, and no traceback."""
    odd(shop, text)

    result = shop.run("policy", "show", "--app", words)

    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert "fault of the program" not in result.stderr
    assert len(result.stderr.splitlines()) <= 3


def test_what_an_application_prints_is_no_answer(shop: Place) -> None:
    """The JSON document stands alone on the standard output."""
    pytest.importorskip("flask", reason="needs Flask")
    odd(shop, "print('starting …')\nfrom shop import app")

    assert shop.json("policy", "show", "--app", "odd:app")["routes"]


def test_names_of_routes_can_not_write_to_the_terminal(shop: Place) -> None:
    """Control characters in a path are spelled out."""
    odd(
        shop,
        "from patmiddleware.routes import Route\n"
        "class Gate:\n policy = None\n"
        " def routes(self): return [Route(name='a\\x1b[2J', path='/\\x1b[2J\\n', example='/a')]\n"
        "class App:\n extensions = {'patmiddleware': Gate()}\n def __call__(self): 0\napp = App()\n",
    )

    result = shop.run("policy", "show", "--app", "odd:app")

    assert result.exit_code == 0
    assert "\x1b" not in result.output


class Asked:
    """A policy of somebody's own, that calls one path public."""

    def decide(self, grant: object, request: Any) -> Allowed | Denied:
        if request.path == "/open":
            return Allowed("mine")
        return Denied(Reason.MISSING if request.path == "/asks" else Reason.DENIED)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/open", ("no token; what the policy of its own asks", False)),
        ("/asks", ("nothing", True)),
        ("/shut", ("any valid token; what the policy of its own asks", False)),
        ("/a//b", ("nobody gets in: two programs could read this path or method differently", False)),
    ],
)
def test_a_policy_of_ones_own(path: str, expected: tuple[str, bool]) -> None:
    """It is asked as the gate asks it; its rules can't be shown."""
    gate = Gate(Asked(), Route(name="r", path=path, example=path, methods=("GET",)))

    [guard] = guards(gate)

    assert (guard.needs(), guard.is_open, guard.rules) == (*expected, ())


def test_a_gate_without_a_policy() -> None:
    """One that annotates leaves all to the views; one that rejects asks for any valid token."""
    route = Route(name="r", path="/größe", example="/größe", methods=("GET", "OPTIONS"))

    [open_] = guards(Gate(None, route))
    [guarded] = guards(Gate(None, route, annotates=False))

    assert (open_.is_open, open_.needs(), open_.methods) == (True, "nothing", ("GET",))
    assert (guarded.is_open, guarded.needs()) == (False, "any valid token")


@pytest.mark.parametrize(
    ("scopes", "rules", "expected"),
    [
        (None, "", "permission edit"),
        (["read"], "", "scope read; permission edit"),
        (None, "allow public", "permission edit"),
        (None, "require write", "scope write; permission edit"),
    ],
)
def test_a_permission_of_the_application(scopes: list[str] | None, rules: str, expected: str) -> None:
    """It guards a route, in the application's own words."""
    demanded = None if scopes is None else frozenset(scopes)
    route = Route(name="r", path="/a", example="/a", methods=("GET",), scopes=demanded, permission="edit")

    [guard] = guards(Gate(Policy.from_dict(rules_of(rules)), route))

    assert (guard.needs(), guard.is_open, guard.is_public, guard.warning()) == (expected, False, False, None)


def test_a_gate_says_whether_it_annotates() -> None:
    """By itself, or by the embedding that it has; one that doesn't say is taken to."""
    route = Route(name="r", path="/a", example="/a", methods=("GET",))

    class Silent:
        policy = None

        def routes(self) -> list[Route]:
            return [route]

    class Embedded(Silent):
        embedding = Gate(None, route, annotates=False)

    assert [guard.is_open for gate in (Silent(), Embedded()) for guard in guards(gate)] == [True, False]


def test_a_policy_that_observes_draws_a_warning() -> None:
    """What it asks for does not bind."""
    policy = Policy.from_dict({"observe": True, **rules_of("allow read")})
    gate = Gate(policy, Route(name="r", path="/a", example="/a", methods=("GET",), scopes=frozenset()))

    assert any("observes" in words for words in warnings(gate, guards(gate)))


def test_a_gate_is_found_behind_wrappers_alone() -> None:
    """Nothing else that has an attribute of the name counts."""

    class App:
        extensions = {"patmiddleware": object()}  # noqa: RUF012
        registry = 5

    assert routed(App()) is None
    assert routed(None) is None


def test_a_route_whose_paths_the_rules_tell_apart_is_told_for_each() -> None:
    """A rule that guards one path of a route doesn't make the route look guarded."""
    rules = [{"id": "german", "path": "/de/**", "effect": "require", "scopes": ["read"]}]
    policy = Policy.from_dict({"scopes": {"read": {}}, "rule": rules})
    route = Route(name="page", path="/{language}/x", example="/de/x", others=("/en/x", "/fr/x"), methods=("GET",))
    gate = Gate(policy, route)

    found = list(guards(gate))

    assert [(guard.route.path, guard.is_open) for guard in found] == [
        ("/{language}/x as /de/x", False),
        ("/{language}/x as /en/x", True),
    ]
    assert [words.partition(":")[0] for words in warnings(gate, found)] == ["GET /{language}/x as /en/x (page)"]


def test_a_route_whose_paths_need_the_same_is_told_once() -> None:
    """Whichever rules ask for it: of a preset there are hundreds."""
    rules = [{"id": name, "path": f"/{name}/**", "scopes": ["read"]} for name in ("de", "en")]
    policy = Policy.from_dict({"scopes": {"read": {}}, "rule": rules})
    route = Route(name="page", path="/{language}/x", example="/de/x", others=("/en/x",), methods=("GET",))

    found = list(guards(Gate(policy, route, annotates=False)))

    assert [(guard.route.path, guard.needs()) for guard in found] == [("/{language}/x", "scope read")]


MOUNTING = """\
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from shop import app as shop

def admin(environ, start_response): ...
"""


@pytest.mark.parametrize(
    "mounting",
    [
        "app = DispatcherMiddleware(shop, {'/admin': admin})",
        "app = DispatcherMiddleware(shop.wsgi_app, {'/admin': admin})",
        "app = shop\napp.wsgi_app = DispatcherMiddleware(app.wsgi_app, {'/admin': admin})",
    ],
)
def test_what_is_mounted_beside_an_application_draws_a_warning(shop: Place, mounting: str) -> None:
    """Its routes are known to nobody, and the gate may not stand before it."""
    pytest.importorskip("flask", reason="needs Flask")
    odd(shop, f"{MOUNTING}{mounting}\n")

    result = shop.run("policy", "show", "--app", "odd:app", "--strict")

    assert result.exit_code == 1
    assert "at /admin stands another application, whose routes are not shown here" in result.stderr
