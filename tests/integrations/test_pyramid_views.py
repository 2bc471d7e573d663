"""``require_scope`` of Pyramid's views: what is demanded, who is refused, how, and what applications may make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from gate import Answer, call, request
from pyramid_site import Site, say_grant

from patmiddleware import Denied, PATMiddleware, Policy, Reason

from pyramid.config import Configurator  # isort: skip  # where it is missing, the line above has skipped these tests
from pyramid.exceptions import ConfigurationError  # isort: skip
from pyramid.httpexceptions import HTTPForbidden, HTTPNotFound  # isort: skip
from pyramid.response import Response  # isort: skip
from pyramid.static import static_view  # isort: skip
from pyramid.view import render_view_to_response, view_defaults  # isort: skip

POLICY = Policy.from_dict(
    {
        "scopes": {"read": {}, "write": {"includes": ["read"]}, "admin": {}},
        "rule": [{"path": "/{project:key}/**", "scopes": []}, {"path": "/public/**", "public": True}],
    }
)

DEMANDS: list[tuple[object, str | None, int]] = [
    ("write", None, 401),
    ("write", "read", 403),
    ("write", "write", 200),
    ("read", "write", 200),
    (["write", "admin"], "write", 403),
    (("read", "write"), "write", 200),
    ({"read"}, "read", 200),
    (frozenset({"read"}), "admin", 403),
    ((), None, 401),
    ([], "read", 200),
    (True, None, 401),
    (True, "read", 200),
    (None, None, 200),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("demand", "scope", "status"), DEMANDS)
def test_a_view_is_called_for_a_token_with_every_scope(
    demand: object, scope: str | None, status: int, method: str
) -> None:
    """One, several, or any valid token; with what its scopes include; and never before."""
    called: list[object] = []
    site = Site({"policy": POLICY})

    def view(request: Any) -> Any:
        called.append(request)
        return Response("done")

    site.view("/view", view, require_scope=demand)

    assert site.ask("/view", None if scope is None else site.token(scope), method=method).status == status
    assert len(called) == (status == 200)


REFUSED: list[tuple[str | None, dict[str, object]]] = [
    (None, {}),
    ("Bearer wrong", {}),
    ("Bearer a,b", {}),
    ("Digest x", {}),
    ("read", {}),
    (None, {"errors": "jira", "realm": "here"}),
    ("Bearer wrong", {"errors": "jira"}),
    (None, {"accept": ["header:X-API-Key"]}),
    (None, {"errors": lambda denied, status, request_id: ("text/plain", b"")}),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("authorization", "settings"), REFUSED)
def test_a_view_refuses_as_the_gate_does(authorization: str | None, settings: dict[str, Any], method: str) -> None:
    """The same status, challenges, body and headers, but for the request id and the rule."""
    site = Site({"policy": POLICY} | settings)
    site.view("/view", require_scope="write")
    demanding = Policy.from_dict({"scopes": {"read": {}, "write": {}}, "rule": [{"path": "/**", "scopes": ["write"]}]})
    gate = PATMiddleware(lambda environ, start_response: [], site.store, policy=demanding, **settings)
    header = site.token("read") if authorization == "read" else authorization

    ours, its = site.ask("/view", header, method=method), call(gate, request("/view", header, method=method))

    assert told(ours) == told(its)
    assert ours.status in (400, 401, 403)
    assert ours.all("Cache-Control") == ["no-store"]


def told(answer: Answer) -> tuple[object, ...]:
    """Give all that is told, but for the request id, the rule, and the length of both."""
    headers = [header for header in answer.headers if header[0] != "Content-Length"]
    body = answer.problem if answer.all("Content-Type") == ["application/problem+json"] and answer.body else {}
    return answer.status, headers, {**body, "request_id": "", "rule": "", "detail": ""}, bool(answer.body)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("scope", [None, "read", "write"])
def test_every_answer_keeps_to_the_rules_of_wsgi(scope: str | None, method: str) -> None:
    """Whoever gives it: the application, a view's demand, or the gate."""
    site = Site({"policy": POLICY})
    site.view("/view", require_scope="write")
    strict = validator(site.app)

    for path in ("/view", "/nowhere", "//"):
        environ = request(path, None if scope is None else site.token(scope), method=method)
        assert call(strict, environ).status in (200, 400, 401, 403, 404)


def test_a_refusal_of_a_view_is_in_the_audit(tmp_path: Path) -> None:
    """With the request id that the client hears, and once, beside the line of what the gate decided."""
    path = tmp_path / "audit.jsonl"
    site = Site({"policy": POLICY, "audit": f"file:{path}"})
    site.view("/view", require_scope="write")

    problem = site.ask("/view", site.token("read")).problem

    let_through, refused = site.audited(path)
    assert (let_through["decision"], refused["decision"]) == ("allowed", "denied")
    assert (refused["reason"], refused["who"], refused["status"]) == ("insufficient_scope", "alice", 403)
    assert let_through["request_id"] == refused["request_id"] == problem["request_id"]


@view_defaults(route_name="/class", require_scope="read")
class Views:
    """A class whose views demand a scope, unless they say otherwise."""

    def __init__(self, request: Any) -> None:
        self.request = request

    def view(self) -> Any:
        return say_grant(self.request)


@pytest.mark.parametrize(
    ("method", "scope", "status"),
    [
        ("GET", None, 401),
        ("GET", "read", 200),
        ("PUT", None, 401),
        ("PUT", "read", 403),
        ("PUT", "write", 200),
        ("DELETE", None, 200),
        ("PATCH", "write", 404),  # no predicate holds
        ("PATCH", None, 404),
    ],
)
def test_classes_and_views_by_predicates_each_have_their_demand(method: str, scope: str | None, status: int) -> None:
    """What decides is the view that the predicates choose; defaults of a class hold until a method says otherwise."""
    site = Site({"policy": POLICY})
    site.config.add_route("/class", "/class")
    site.config.add_view(Views, attr="view", request_method="GET")
    site.config.add_view(Views, attr="view", request_method="PUT", require_scope="write")
    site.config.add_view(Views, attr="view", request_method="DELETE", require_scope=None)

    assert site.ask("/class", None if scope is None else site.token(scope), method=method).status == status


def test_a_demand_stands_before_the_check_of_forms_and_after_the_predicates() -> None:
    """Who has no token hears so, whatever else would be wrong with the request."""
    site = Site({"policy": POLICY})
    site.view("/form", require_scope="write", require_csrf=True, request_method="POST")

    assert site.ask("/form", method="POST").status == 401
    assert site.ask("/form").status == 404


def test_a_view_that_is_rendered_past_permissions_still_demands() -> None:
    """``secure=False`` is about permissions; it must not leave the token out."""
    site = Site({"policy": POLICY})
    site.config.add_view(say_grant, name="inner", permission="never", require_scope="write")
    site.view("/outer", lambda context, request: render_view_to_response(context, request, "inner", secure=False))

    assert site.ask("/outer").status == 401
    assert site.ask("/outer", site.token("read")).status == 403
    assert site.ask("/outer", site.token("write")).body == b"alice"


def test_static_files_not_found_and_exception_views_can_demand(tmp_path: Path) -> None:
    """Whatever is added as a view."""
    (tmp_path / "file.txt").write_text("secret")

    def broken(request: Any) -> Any:
        raise LookupError

    site = Site({"policy": POLICY})
    site.config.add_route("files", "/files/*subpath")
    site.config.add_view(
        static_view(str(tmp_path), cache_max_age=None, use_subpath=True), route_name="files", require_scope="read"
    )
    site.config.add_notfound_view(lambda request: Response("no such page", status=404), require_scope="read")
    site.view("/broken", broken)
    site.config.add_exception_view(lambda request: Response("details"), context=LookupError, require_scope="admin")

    assert site.ask("/files/file.txt").status == 401
    assert site.ask("/files/file.txt", site.token("read")).body == b"secret"
    assert site.ask("/nowhere", site.token("read")).body == b"no such page"
    assert (site.ask("/nowhere").status, site.ask("/broken").status) == (401, 401)
    assert site.ask("/broken", site.token("read")).status == 403
    assert site.ask("/broken", site.token("admin")).body == b"details"


def test_a_forbidden_view_that_demands_answers_as_the_gate_does() -> None:
    """Nothing stands behind it: what it refuses is answered, not raised once more."""
    site = Site({"policy": POLICY})
    site.config.add_forbidden_view(lambda request: Response("denied", status=403), require_scope="read")
    site.view("/view", require_scope="admin")

    got = [site.ask("/view", authorization) for authorization in (None, site.token(), site.token("read"))]

    assert [answer.status for answer in got] == [401, 403, 403]
    assert got[-1].body == b"denied"


def test_an_exception_view_sees_who_asked() -> None:
    """The grant is there whatever went wrong."""

    def broken(request: Any) -> Any:
        raise LookupError

    site = Site()
    site.view("/broken", broken, require_scope=True)
    site.config.add_exception_view(lambda error, request: say_grant(request), context=LookupError)

    assert site.ask("/broken", site.token()).body == b"alice"


def test_the_applications_forbidden_view_may_answer() -> None:
    """Refusals come to it as exceptions, which say why; wherever in the configuration it stands."""
    seen: list[Denied] = []

    def login(error: Any, request: Any) -> Any:
        seen.append(error.denied)
        return Response("please log in", status=error.status)

    site = Site({"policy": POLICY})
    site.config.include(lambda config: config.add_forbidden_view(login))
    site.view("/view", require_scope="write")

    missing, short = site.ask("/view"), site.ask("/view", site.token("read"))

    assert (missing.status, missing.body, short.status, short.body) == (401, b"please log in", 403, b"please log in")
    assert [denied.reason for denied in seen] == [Reason.MISSING, Reason.INSUFFICIENT_SCOPE]
    assert seen[1].needed == {"write"}


def test_a_view_for_refused_alone_leaves_other_exceptions_be() -> None:
    """``Refused`` is an exception like any other, and more to the point than ``HTTPForbidden``."""
    from patmiddleware.integrations.pyramid import Refused

    def denied(request: Any) -> Any:
        raise HTTPForbidden("for another reason")

    site = Site({"policy": POLICY})
    site.config.add_exception_view(lambda error, request: Response(str(error)), context=Refused)
    site.view("/view", require_scope="write")
    site.view("/other", denied)

    assert site.ask("/view").body.startswith(b"This needs a personal access token.")
    assert site.ask("/other").status == 403


def test_what_the_application_raises_itself_is_left_as_it_is() -> None:
    """Only permissions and demands are answered by the gate; a view's own exceptions are not about tokens."""

    def denied(request: Any) -> Any:
        raise HTTPForbidden("not on Sundays")

    def missing(request: Any) -> Any:
        raise HTTPNotFound("no such thing")

    site = Site()
    site.view("/denied", denied)
    site.view("/missing", missing)

    answers = [site.ask("/denied"), site.ask("/missing")]

    assert [(answer.status, answer.all("WWW-Authenticate")) for answer in answers] == [(403, []), (404, [])]
    assert b"not on Sundays" in answers[0].body


LIMITED = [("/OPS/view", 200), ("/WEB/view", 403), ("/view", 403), ("/any", 403), ("/public/view", 403)]


@pytest.mark.parametrize(("path", "status"), LIMITED)
def test_a_limited_token_is_refused_where_nothing_keeps_its_limits(path: str, status: int) -> None:
    """A view's demand says nothing of projects: where no rule does, or one lets everybody in, the token is no good."""
    site = Site({"policy": POLICY})
    site.view("/view", require_scope="read")
    site.view("/any", require_scope=True)
    site.config.add_route("project", "/{project}/view")
    site.config.add_view(say_grant, route_name="project", require_scope="read")

    assert site.ask(path, site.token("read", limits={"project": {"OPS"}})).status == status


def lister(request: Any) -> Any:
    return Response()


BAD: list[tuple[object, str]] = [
    ("wirte", r"require_scope of .*lister \(route '/view'\): the policy knows no scope 'wirte': did you mean 'write'"),
    (["read", "amdin"], "did you mean 'admin'"),
    (False, "False is no demand .*True for any valid token"),
    (7, "7 is no demand"),
    ([7], "is no demand"),
    ({"read": 1}, "is no demand"),
]


@pytest.mark.parametrize(("demand", "said"), BAD)
def test_a_bad_demand_is_told_at_the_start(demand: object, said: str) -> None:
    """By the name of the view, with the nearest scope; Pyramid adds the line where it was configured."""
    site = Site({"policy": POLICY})
    site.view("/view", lister, require_scope=demand)

    with pytest.raises(ConfigurationError, match=f"(?s){said}.*{Path(__file__).name}|{said}"):
        _ = site.app


def test_a_demand_without_the_gate_is_told_at_the_start() -> None:
    """An application that does not include us has no view that only looks guarded."""
    config = Configurator()
    config.add_route("view", "/view")
    config.add_view(lister, route_name="view", require_scope="write")

    with pytest.raises(ConfigurationError, match="require_scope"):
        config.make_wsgi_app()


def test_a_scope_is_free_where_no_policy_knows_any() -> None:
    """Then a view may demand what it likes."""
    site = Site()
    site.view("/view", require_scope="whatever")

    assert site.ask("/view", site.token("whatever")).status == 200
    assert site.ask("/view", site.token("other")).status == 403
