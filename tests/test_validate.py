"""PEP 3333 around and behind the gate: every kind of application between two validators, run by a real handler."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from gate import Environ, bearer, request

from patmiddleware import Issuer, PATMiddleware, Policy
from patmiddleware.backends.memory import MemoryStore

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

STORE = MemoryStore()
SECRET = Issuer(STORE).mint(owner="alice", name="ci", scopes={"read"}).secret
POLICY = Policy.from_dict(
    {
        "scopes": {"read": {}, "write": {}},
        "rule": [
            {"id": "open", "path": "/open/**", "public": True},
            {"id": "read", "path": "/things/**", "scopes": ["read"]},
            {"id": "write", "path": "/written/**", "scopes": ["write"]},
        ],
    }
)
GATES: dict[str, dict[str, Any]] = {
    "plain": {},
    "with a policy": {"policy": POLICY},
    "with an expiry header": {"expiry_header": "X-Token-Expires"},
    "annotating": {"missing": "annotate", "policy": POLICY},
    "with sessions": {"accept": ("bearer", "session"), "policy": POLICY},
}
gates = pytest.mark.parametrize("options", GATES.values(), ids=GATES)


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """Every gate is closed."""
    _gates.clear()
    yield
    assert all(gate.close() for gate in _gates)


_gates: list[PATMiddleware] = []


def between(app: WSGIApplication, **options: Any) -> WSGIApplication:
    """Put a gate between two validators, before an application."""
    gate = PATMiddleware(validator(app), STORE, **options)
    _gates.append(gate)
    return validator(gate)


@dataclass
class Handled:
    """What a client and the server's log got."""

    output: io.BytesIO = field(default_factory=io.BytesIO)
    log: io.StringIO = field(default_factory=io.StringIO)

    @property
    def status(self) -> bytes:
        return self.output.getvalue().partition(b"\r\n")[0].removeprefix(b"HTTP/1.0 ")

    @property
    def body(self) -> bytes:
        return self.output.getvalue().partition(b"\r\n\r\n")[2]

    @property
    def head(self) -> bytes:
        return self.output.getvalue().partition(b"\r\n\r\n")[0]


def handle(app: WSGIApplication, method: str = "GET", path: str = "/things/1", secret: str | None = SECRET) -> Handled:
    """Serve one request with the standard library's handler."""
    handled = Handled()
    environ = request(path, secret and bearer(secret), method=method)
    handler = SimpleHandler(environ.pop("wsgi.input"), handled.output, handled.log, environ, multithread=False)
    handler.os_environ = {}  # type: ignore[misc]  # of this process nothing is to be told
    handler.run(app)
    return handled


class Body:
    """An iterable that counts how often it is closed, and may fail on the way."""

    def __init__(self, chunks: Iterable[bytes], error: Exception | None = None) -> None:
        self.chunks, self.error, self.closed = list(chunks), error, 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed += 1


TEXT = [("Content-Type", "text/plain")]


def answering(body: Iterable[bytes], status: str = "200 OK", headers: list[tuple[str, str]] = TEXT) -> WSGIApplication:
    """Give an application that answers so."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, list(headers))
        return body

    return app


def generating(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Start the answer only when the first chunk is asked for."""
    start_response("200 OK", list(TEXT))
    yield b"one "
    yield b""
    yield b"two"


def writing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Write a part, and give the rest."""
    write = start_response("200 OK", list(TEXT))
    write(b"one ")
    return [b"two"]


def wrapping_a_file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Use the server's wrapper for files."""
    start_response("200 OK", list(TEXT))
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"one two"), 3)
    return wrapped


def changing_its_mind(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Start a good answer, then another one with ``exc_info``."""
    start_response("500 Oops", list(TEXT))
    try:
        raise LookupError("mine")
    except LookupError:
        start_response("200 OK", list(TEXT), sys.exc_info())
    return [b"one two"]


def reading(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the body of the request."""
    assert environ["wsgi.input"].read(10) == b""
    start_response("200 OK", list(TEXT))
    return [b"one two"]


APPLICATIONS: dict[str, Callable[[], WSGIApplication]] = {
    "list": lambda: answering([b"one two"]),
    "several chunks": lambda: answering([b"one", b" ", b"", b"two"]),
    "tuple": lambda: answering((b"one ", b"two")),
    "iterator": lambda: answering(iter([b"one two"])),
    "object": lambda: answering(Body([b"one two"])),
    "generator": lambda: generating,
    "write": lambda: writing,
    "file": lambda: wrapping_a_file,
    "exc_info": lambda: changing_its_mind,
    "input": lambda: reading,
    "length": lambda: answering([b"one two"], headers=[*TEXT, ("Content-Length", "7")]),
}
applications = pytest.mark.parametrize("make", APPLICATIONS.values(), ids=APPLICATIONS)


@gates
@applications
def test_application_is_served(make: Callable[[], WSGIApplication], options: dict[str, Any]) -> None:
    """Neither validator complains, and the client gets what the application gave."""
    handled = handle(between(make(), **options))

    assert (handled.status, handled.body, handled.log.getvalue()) == (b"200 OK", b"one two", "")


@gates
@pytest.mark.parametrize("body", [[], (), [b""], [b"", b""]], ids=repr)
def test_empty_answer_is_served(options: dict[str, Any], body: Iterable[bytes]) -> None:
    """An answer without a body is one."""
    handled = handle(between(answering(body), **options))

    assert (handled.status, handled.body, handled.log.getvalue()) == (b"200 OK", b"", "")


@gates
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answer_that_has_no_body_is_served(options: dict[str, Any], status: str) -> None:
    """Without a content type, and the gate adds none."""
    handled = handle(between(answering([], status, [("ETag", '"x"')]), **options))

    assert (handled.status, handled.body, handled.log.getvalue()) == (status.encode(), b"", "")
    assert b"Content-Type" not in handled.head


@gates
def test_head_is_served(options: dict[str, Any]) -> None:
    """The length of what GET would give, without it."""
    app = answering([], headers=[*TEXT, ("Content-Length", "7")])

    handled = handle(between(app, **options), "HEAD")

    assert (handled.status, handled.body, handled.log.getvalue()) == (b"200 OK", b"", "")
    assert b"Content-Length: 7" in handled.head


@gates
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_served(options: dict[str, Any], method: str) -> None:
    """Whatever a policy lets through."""
    handled = handle(between(answering([b"one two"]), **options), method)

    assert (handled.status, handled.body, handled.log.getvalue()) == (b"200 OK", b"one two", "")


REFUSALS = [
    ("missing", {}, "GET", "/things/1", None, b"401"),
    ("missing", {}, "HEAD", "/things/1", None, b"401"),
    ("malformed", {}, "GET", "/things/1", "a,b", b"400"),
    ("unknown", {}, "POST", "/things/1", "nobody", b"401"),
    ("scope", {"policy": POLICY}, "GET", "/written/1", SECRET, b"403"),
    ("no rule", {"policy": POLICY}, "HEAD", "/nothing", SECRET, b"403"),
    ("ambiguous", {"policy": POLICY}, "GET", "/things/../1", SECRET, b"400"),
    ("jira", {"errors": "jira"}, "GET", "/things/1", None, b"401"),
    ("own body", {"errors": lambda denied, status, id: ("text/plain", b"no")}, "GET", "/things/1", None, b"401"),
    ("expiry header", {"expiry_header": "X-E", "policy": POLICY}, "GET", "/nothing", SECRET, b"403"),
]


@pytest.mark.parametrize(
    ("options", "method", "path", "secret", "status"),
    [case[1:] for case in REFUSALS],
    ids=[case[0] for case in REFUSALS],
)
def test_refusal_is_sound(options: dict[str, Any], method: str, path: str, secret: str | None, status: bytes) -> None:
    """What the gate answers itself holds to the rules as well; HEAD has no body."""
    handled = handle(between(answering([b"never"]), **options), method, path, secret)

    assert (handled.status[:3], handled.log.getvalue()) == (status, "")
    assert (handled.body == b"") is (method == "HEAD")
    assert b"Content-Length: " in handled.head


@gates
def test_request_without_a_token_is_sound(options: dict[str, Any]) -> None:
    """The environ that the application gets without a grant is one, too."""
    handled = handle(between(answering([b"one two"]), **options), path="/open/x", secret=None)

    assert handled.log.getvalue() == ""
    assert handled.status in (b"200 OK", b"401 Unauthorized")


def test_owner_that_is_not_ascii_is_sound() -> None:
    """A native string in the environ, as the validator demands."""
    secret = Issuer(STORE).mint(owner="Zo\u00eb \U0001f600", name="ci", scopes={"read"}).secret

    handled = handle(between(answering([b"one two"])), secret=secret)

    assert (handled.status, handled.log.getvalue()) == (b"200 OK", "")


# --- The end of the iterable


@gates
def test_iterable_is_closed_once(options: dict[str, Any]) -> None:
    """By the server, when it is done."""
    body = Body([b"one ", b"two"])

    handle(between(answering(body), **options))

    assert body.closed == 1


@gates
@pytest.mark.parametrize("chunks", [[], [b"one "], [b"", b"one ", b"two"]], ids=repr)
def test_error_on_the_way_goes_on(options: dict[str, Any], chunks: list[bytes]) -> None:
    """An application that fails after it began is closed once, and the server hears what it was."""
    body = Body(chunks, LookupError("mine"))

    handled = handle(between(answering(body), **options))

    assert body.closed == 1
    assert "LookupError: mine" in handled.log.getvalue()


@gates
def test_error_before_the_answer_goes_on(options: dict[str, Any]) -> None:
    """An application that fails at once is the server's to report."""

    def broken(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise LookupError("mine")

    handled = handle(between(broken, **options))

    assert handled.status == b"500 Internal Server Error"
    assert "LookupError: mine" in handled.log.getvalue()


@gates
def test_error_after_the_head_is_raised_again(options: dict[str, Any]) -> None:
    """``start_response`` with ``exc_info`` raises where the head has been sent; the gate is not in the way."""

    def late(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", list(TEXT))
        yield b"one"
        try:
            raise LookupError("mine")
        except LookupError:
            start_response("500 Oops", list(TEXT), sys.exc_info())
        yield b"never"

    handled = handle(between(late, **options))

    assert (handled.status, handled.body) == (b"200 OK", b"one")
    assert "LookupError: mine" in handled.log.getvalue()


@gates
def test_iterable_of_who_gave_up_is_closed_once(options: dict[str, Any]) -> None:
    """A client that goes away ends the application, without the rest being read."""
    body = Body([b"one", b"two", b"three"])
    gate = PATMiddleware(answering(body), STORE, **options)
    _gates.append(gate)

    result = gate(request("/things/1", bearer(SECRET)), lambda status, headers, exc_info=None: print)
    first = next(iter(result))
    result.close()  # type: ignore[attr-defined]

    assert (first, body.closed) == (b"one", 1)


# --- One chunk out for each chunk in


@gates
def test_nothing_is_read_ahead(options: dict[str, Any]) -> None:
    """Each chunk is there for the client before the next one is made."""
    made: list[int] = []

    def slowly(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", list(TEXT))
        for number in range(3):
            made.append(number)
            yield b"%d" % number

    gate = PATMiddleware(slowly, STORE, **options)
    _gates.append(gate)
    result = iter(gate(request("/things/1", bearer(SECRET)), lambda status, headers, exc_info=None: print))

    seen = [(next(result), len(made)) for _ in range(3)]

    assert seen == [(b"0", 1), (b"1", 2), (b"2", 3)]


@gates
def test_wrapper_for_files_is_handed_through(options: dict[str, Any]) -> None:
    """A server that sends files itself gets its own wrapper back, not a copy."""
    environ = request("/things/1", bearer(SECRET), **{"wsgi.file_wrapper": FileWrapper})
    gate = PATMiddleware(wrapping_a_file, STORE, **options)
    _gates.append(gate)

    given = gate(environ, lambda status, headers, exc_info=None: print)

    assert type(given) is FileWrapper


def test_environ_stays_a_plain_dictionary() -> None:
    """As PEP 3333 demands: the very one that the server made."""
    kinds: list[type] = []

    def looking(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        kinds.append(type(environ))
        return answering([b""])(environ, start_response)

    handle(between(looking))

    assert kinds == [dict]
