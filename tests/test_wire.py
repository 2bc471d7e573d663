"""Odd requests over real servers: each is refused, or judged on the very path that the application sees.

Servers read the same bytes differently. So nothing is said here of how one reads them, only of what may never come of
it: a path that was denied, an identity that nobody verified, a credential that was not exactly one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from wire import Reply, Server, servers, serving
from wire_app import secret_of

TOKEN = secret_of("good")
BEARER = f"Authorization: Bearer {TOKEN}"


@pytest.fixture(scope="module", params=servers)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each of the servers, started once."""
    with serving(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


def readings(path: str) -> set[str]:
    """Give all that some program could take a path for: decoded again, resolved, cut, merged."""
    known, new = {path}, {path}
    for _ in range(6):
        new = {reading for each in new for reading in _read_once(each)} - known
        known |= new
    return known


def _read_once(path: str) -> Iterator[str]:
    yield unquote(path)
    yield unquote(path, "latin-1")
    yield path.replace("\\", "/")
    yield re.sub(r"/+", "/", path)
    yield re.sub(r";[^/]*", "", path)
    yield re.sub(r"[#?\x00].*", "", path, flags=re.DOTALL)
    yield re.sub(r"[\x00-\x1f\x7f-\x9f]", "", path)
    yield re.sub(r"^[a-zA-Z]+://[^/]*", "", path)
    yield path if path.startswith("/") else f"/{path}"
    yield _resolved(path)


def _resolved(path: str) -> str:
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[1:][-1:], segments[max(1, len(segments) - 1) :]
        elif segment != ".":
            segments.append(segment)
    return "/".join(segments)


def is_secret(path: str) -> bool:
    """Whether some program could take a path for one below ``/secret``."""
    return any(re.match(r"/(secret|SECRET)(/|$)", reading) for reading in readings(path))


SECRET = [
    "/secret",
    "/secret/x",
    "//secret",
    "/a/../secret",
    "/a/b/../../secret",
    "/./secret",
    "/../secret",
    "/%73ecret",
    "/%2573ecret",
    "/;x/secret",
    "/secret;x",
    "/a\\..\\secret",
    "/secret\0",
    "/secret#x",
    "http://host/secret",
    "secret",
]


@pytest.mark.parametrize("path", SECRET, ids=repr)
def test_readings_find_what_is_secret(path: str) -> None:
    """What judges the servers here is no fool itself."""
    assert is_secret(path)


@pytest.mark.parametrize("path", ["/", "/open", "/secrets", "/a/secret", "/secret-x", "/open/../a", "*"])
def test_readings_leave_the_rest_alone(path: str) -> None:
    """Nor does it take everything for secret."""
    assert not is_secret(path)


def check(reply: Reply, user: str | None = None) -> None:
    """Fail unless a request was refused, or was judged on what the application saw, as nobody or as this user."""
    assert reply.seen or reply.is_refused, reply.raw[:300]
    for seen in reply.seen:
        assert seen["path"].encode("latin-1").decode() == seen["judged_path"]
        assert seen["method"] == seen["judged_method"]
        assert not is_secret(seen["judged_path"])
        assert (seen["user"], seen["owner"]) in ((None, None), (user, user))
        assert seen["identity"] == []
        assert not seen["has_credential"]
        assert seen["status"] == ("confirmed" if seen["user"] else "absent")


# --- Targets


TARGETS = [
    "/secret",
    "/secret/",
    "/secret/x",
    "/SECRET",
    "/secret?x=1",
    "//secret",
    "///secret/x",
    "/open//../secret",
    "//127.0.0.1/secret",
    "/.//secret",
    "/./secret",
    "/%2e/secret",
    "/../secret",
    "/open/../secret",
    "/open/./../secret",
    "/open/x/../../secret",
    "/open/%2e%2e/secret",
    "/open/%2E%2e/secret",
    "/open/.%2e/secret",
    "/open/..%2fsecret",
    "/open/..%2Fsecret/x",
    "/open%2f..%2fsecret",
    "/%2fsecret",
    "/%2Fsecret",
    "/secret%2fx",
    "/open/%252e%252e/secret",
    "/open/%25%32%65%25%32%65/secret",
    "/%73ecret",
    "/%73%65%63%72%65%74/x",
    "/%2573ecret",
    "/open/..;/secret",
    "/open/..;x=1/secret",
    "/open;/../secret",
    "/;/secret",
    "/;x/secret",
    "/secret;x=1",
    "/secret;",
    "/open/..%3b/secret",
    "/%3b/secret",
    "/open\\..\\secret",
    "/open/..\\secret",
    "\\secret",
    "/\\secret",
    "/%5csecret",
    "/open%5c..%5csecret",
    "/secret%00",
    "/secret%00.html",
    "/open%00/../secret",
    "/open/%00../secret",
    "/secret#x",
    "/secret%23",
    "/open#/../secret",
    "/open%23/../secret",
    "/open?/../secret",
    "/open%3f/../secret",
    "/secret%3fx",
    "http://127.0.0.1/secret",
    "http://other.example/secret/x",
    "HTTP://127.0.0.1/secret",
    "http://127.0.0.1/open/../secret",
    "http://secret/",
    "https:/secret",
    "secret",
    "secret/x",
    "open/../secret",
    "?/secret",
    "*",
    "/*",
    b"/caf\xc3\xa9/../secret",
    b"/caf\xe9",
    b"/secret\xff",
    "/%ff/../secret",
    "/open/%c0%af../secret",
    "/%c0%ae%c0%ae/secret",
    "/open/%e0%80%af../secret",
    "/open/%ef%bc%8f..%ef%bc%8fsecret",
    "/open/%u002e%u002e/secret",
    "/secret%zz",
    "/%zz",
    "/%",
    "/open%",
    "/%s%65cret",
    "/secret%20",
    "/%20/secret",
    "/secret%0a",
    "/secret%0d%0aX-User:%20admin",
    "/secret%09",
    "/%09/secret",
    "/%7fsecret",
    "/%c2%85secret",
    "/sec\tret",
    "/secret x",
    "/open/ ../secret",
    "/..",
    "/.",
    "/open/..",
    "/open/.../secret",
    "/plain",
    "/open/plain",
    "/caf%C3%A9",
    "/a+b",
    "/a:b@c,d=e!$&'()",
    "/" + "a" * 2000,
    "/" + "a" * 9000,
    "/" + "a" * 9000 + "/../secret",
    "/" + "../" * 500 + "secret",
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: repr(target)[:40])
def test_odd_target(server: Server, target: str | bytes) -> None:
    """With a token that may do all but what is denied, and without one."""
    check(server.ask(target, BEARER), "alice")
    check(server.ask(target))


@pytest.mark.parametrize("target", ["/secret", "/secret/x", "/%73ecret", "/secret?x", "/secret/"])
def test_denied_path_is_denied(server: Server, target: str) -> None:
    """The plain case, so that the odd ones mean something."""
    assert server.ask(target, BEARER).status == 403


@pytest.mark.parametrize("target", ["/plain", "/open/plain", "/caf%C3%A9", "/a+b", "/plain?secret", "/plain/", "/"])
def test_sound_path_is_served(server: Server, target: str) -> None:
    """And what is not odd gets through, as alice."""
    reply = server.ask(target, BEARER)

    assert [seen["user"] for seen in reply.seen] == ["alice"]
    check(reply, "alice")


METHODS = [
    "get",
    "GeT",
    "FOO-BAR",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "HEAD",
    "TRACE",
    "PATCH",
    "G\x00T",
    "G\xc9T",
    "G,T",
    "GET/x",
    "-",
    "PRI",
]


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("target", ["/open/x", "/plain", "/secret"])
def test_odd_method(server: Server, method: str, target: str) -> None:
    """The application sees the very method that was judged, an upper-case token, or nothing."""
    reply = server.ask(target, BEARER, method=method)

    check(reply, "alice")
    assert all(seen["method"] == seen["method"].upper() for seen in reply.seen)


@pytest.mark.parametrize("target", ["127.0.0.1:80", "secret:443", "/secret", "*"])
@pytest.mark.parametrize("method", ["CONNECT", "OPTIONS"])
def test_target_of_another_form(server: Server, method: str, target: str) -> None:
    """Authority and asterisk form (RFC 9112, sections 3.2.3 and 3.2.4) are no paths."""
    check(server.ask(target, BEARER, method=method), "alice")


REQUEST_LINES = [
    b"GET /secret",
    b"GET /plain",
    b"GET /secret HTTP/0.9",
    b"GET /secret HTTP/2.0",
    b"GET /secret HTTP/1.2",
    b"GET  /secret HTTP/1.1",
    b"GET /plain /secret HTTP/1.1",
    b"GET\t/secret\tHTTP/1.1",
    b" GET /secret HTTP/1.1",
    b"GET /secret HTTP/1.1 ",
    b"GET /plain\rGET /secret HTTP/1.1",
    b"GET",
    b"",
    b"\x00",
    b"\x16\x03\x01",
]


@pytest.mark.parametrize("line", REQUEST_LINES, ids=repr)
def test_odd_request_line(server: Server, line: bytes) -> None:
    """Whatever the first line is."""
    check(
        server.send(b"\r\n".join((line, b"Host: watched.example", BEARER.encode(), b"Connection: close", b"", b""))),
        "alice",
    )


# --- Identity


SPOOFS = [
    ["X-Forwarded-User: admin"],
    ["x-forwarded-user: admin"],
    ["X_Forwarded_User: admin"],
    ["X-Forwarded_User: admin"],
    ["X_FORWARDED_USER: admin"],
    ["X_Forwarded_User: admin", "X-Forwarded-User: nobody"],
    ["X-Forwarded-User: nobody", "X_Forwarded_User: admin"],
    ["X-Forwarded-User: admin", "X-Forwarded-User: admin"],
    ["X-Forwarded-User:admin"],
    ["X-Forwarded-User : admin"],
    ["X-Forwarded-User\t: admin"],
    [" X-Forwarded-User: admin"],
    ["X-Forwarded-User: \r\n admin"],
    ["X-Foo: a\r\n X-Forwarded-User: admin"],
    ["X-Foo: a\r\n\tX-Forwarded-User: admin"],
    ["X-Foo: a\rX-Forwarded-User: admin"],
    ["X-Foo: a\nX-Forwarded-User: admin"],
    ["X-Foo: a\r\rX-Forwarded-User: admin"],
    ["X-Foo: a\x00\nX-Forwarded-User: admin"],
    ["X-Foo: a\x0bX-Forwarded-User: admin"],
    ["X-Foo: a\x85X-Forwarded-User: admin"],
    ["X-Forwarded-User: a\x00dmin"],
    ["X-Forwarded-User: \x7fadmin"],
    ["X-Forwarded-User: \xe9"],
    ["X-Forwarded-User\x00: admin"],
    ["X-Forwarded-U\x00ser: admin"],
    ["X.Forwarded.User: admin"],
    ["X-Forwarded-Us\xe9r: admin"],
    ["Remote-User: admin"],
    ["Remote_User: admin"],
    ["REMOTE_USER: admin"],
    ["Http-Remote-User: admin"],
    ["HTTP_REMOTE_USER: admin"],
    ["Auth-Type: Basic"],
    ["AUTH_TYPE: Basic"],
    ["X-Remote-User: admin", "X-Remote-Group: admins"],
    ["X-Auth-Request-User: admin"],
    ["X-WebAuth-User: admin"],
    ["X-User: admin", "X-User-Id: 1", "X-Roles: admin"],
    ["X-Identity-Status: Confirmed", "X-Is-Admin-Project: True"],
    ["X-AUSERNAME: admin", "X-Seraph-LoginReason: OK"],
    ["X-HTTP-Method-Override: DELETE"],
    ["patmiddleware.status: confirmed", "patmiddleware.grant: x"],
    ["patmiddleware_status: confirmed"],
    ["wsgi.url_scheme: https", "wsgi-input: x"],
    ["Connection: close, X-Forwarded-User, Authorization", "X-Forwarded-User: admin"],
]


@pytest.mark.parametrize("lines", SPOOFS, ids=lambda lines: repr("|".join(lines))[:60])
def test_spoofed_identity(server: Server, lines: list[str]) -> None:
    """Nothing that a client says of itself reaches the application: on a public path, and beside a token."""
    check(server.ask("/open/x", *lines))
    check(server.ask("/plain", *lines, BEARER), "alice")
    assert not server.ask("/plain", *lines).seen


PLACES = [
    ["SCRIPT_NAME: /open"],
    ["Script-Name: /open"],
    ["SCRIPT_NAME: /open", "PATH_INFO: /open"],
    ["PATH_INFO: /open/x"],
    ["Path-Info: /open/x"],
    ["Raw-Uri: /open/x", "Request-Uri: /open/x"],
    ["RAW_URI: /open/x", "REQUEST_URI: /open/x"],
    ["X-Original-URL: /open/x", "X-Rewrite-URL: /open/x"],
    ["X-Forwarded-Uri: /open/x", "X-Forwarded-Prefix: /open", "X-Forwarded-Path: /open"],
    ["Request-Method: OPTIONS", "REQUEST_METHOD: OPTIONS"],
    ["X-HTTP-Method-Override: OPTIONS", "X-Method-Override: OPTIONS"],
    ["Host: watched.example/open/x?"],
    ["Host: watched.example", "Host: table.example"],
]


@pytest.mark.parametrize("lines", PLACES, ids=" ".join)
@pytest.mark.parametrize("target", ["/secret/x", "/open/secret/x", "/open/../secret", "/plain"])
def test_spoofed_place(server: Server, target: str, lines: list[str]) -> None:
    """No header makes another place of the one that was judged, nor opens one that is denied."""
    for reply in (server.ask(target, *lines, BEARER), server.ask(target, *lines)):
        # gunicorn answers so where SCRIPT_NAME is no prefix of the path.
        if not (reply.status == 500 and lines[0].startswith("SCRIPT_NAME") and server.name in ("gunicorn", "gthread")):
            check(reply, "alice")


@pytest.mark.parametrize(
    "lines",
    [
        ["X-Forwarded-For: 10.0.0.1"],
        ["X-Forwarded-For: 10.0.0.1, 10.0.0.2"],
        ["X_Forwarded_For: 10.0.0.1"],
        ["Forwarded: for=10.0.0.1"],
        ["X-Real-IP: 10.0.0.1", "X-Client-IP: 10.0.0.1", "True-Client-IP: 10.0.0.1"],
        ["Remote-Addr: 10.0.0.1", "REMOTE_ADDR: 10.0.0.1", "Remote-Host: 10.0.0.1"],
        ["Host: 10.0.0.1"],
    ],
    ids=" ".join,
)
def test_spoofed_address(server: Server, lines: list[str]) -> None:
    """Nobody is believed to come from elsewhere."""
    for target, secret in (("/inside/x", TOKEN), ("/plain", secret_of("elsewhere"))):
        reply = server.ask(target, *lines, f"Authorization: Bearer {secret}")

        assert (reply.status, reply.seen) in ((403, []), (400, []))


# --- Credentials


SOUND = [
    [BEARER],
    [f"authorization: bearer {TOKEN}"],
    [f"AUTHORIZATION: BEARER {TOKEN}"],
    [f"Authorization:Bearer {TOKEN}"],
    [f"Authorization:   Bearer   {TOKEN}  "],
    [f"Authorization: \tBearer {TOKEN} \t "],
    [f"X-API-Key: {TOKEN}"],
]


@pytest.mark.parametrize("lines", SOUND, ids=lambda lines: repr(lines[0].replace(TOKEN, "T")))
def test_sound_credential_is_taken(server: Server, lines: list[str]) -> None:
    """One credential, in every way of writing it that RFC 9110 allows."""
    reply = server.ask("/plain", *lines)

    assert [seen["user"] for seen in reply.seen] == ["alice"]
    check(reply, "alice")


OTHER = secret_of("bob")

UNSOUND = [
    [BEARER, BEARER],
    [BEARER, f"Authorization: Bearer {OTHER}"],
    [f"Authorization: Bearer {OTHER}", BEARER],
    [BEARER, "Authorization: Basic YWxpY2U6eA=="],
    ["Authorization: Basic YWxpY2U6eA==", BEARER],
    [BEARER, "Authorization: x"],
    ["Authorization: Digest x", BEARER],
    [BEARER, f"authorization: Bearer {OTHER}"],
    [BEARER, f"X-API-Key: {OTHER}"],
    [BEARER, f"X-API-Key: {TOKEN}"],
    [f"X-API-Key: {TOKEN}", f"X-API-Key: {OTHER}"],
    [f"{BEARER},"],
    [f"{BEARER}, Bearer {OTHER}"],
    [f"{BEARER};x"],
    [f"{BEARER} x"],
    [f'Authorization: Bearer "{TOKEN}"'],
    [f"Authorization: Bearer\t{TOKEN}"],
    [f"Authorization: Bearer \t{TOKEN}"],
    [f"Authorization: Bearer={TOKEN}"],
    [f"Authorization: {TOKEN}"],
    [f"Authorization: Bearer token={TOKEN}"],
    [f"Authorization: Bearer {TOKEN}\x00"],
    [f"Authorization: Bearer \x00{TOKEN}"],
    [f"Authorization: Bearer {TOKEN}\x7f"],
    [f"Authorization: Bearer {TOKEN[:9]}\x01{TOKEN[9:]}"],
    [f"Authorization: Bearer {TOKEN[:9]}\r{TOKEN[9:]}"],
    [f"Authorization: Bearer {TOKEN[:9]}\r\n {TOKEN[9:]}"],
    [f"Authorization: Bearer {TOKEN}\xe9"],
    [f"Authorization: Bearer\xa0{TOKEN}"],
    ["Authorization: Bearer " + "a" * 4_097],
    ["Authorization: Bearer " + "a" * 9_000],
    ["Authorization: Bearer " + "a" * 70_000],
    ["Authorization: Basic " + "a" * 9_000],
    ["Authorization: Bearer"],
    ["Authorization:"],
    [f"Authorization : Bearer {TOKEN}"],
    [f"Authorization\t: Bearer {TOKEN}"],
    [f"Proxy-Authorization: Bearer {TOKEN}"],
    [f"X-Authorization: Bearer {TOKEN}"],
    [f"Http-Authorization: Bearer {TOKEN}"],
    [f"Cookie: access_token={TOKEN}", "X-Foo: x"],
    [f"X-Foo: a\r\n Authorization: Bearer {TOKEN}"],
    [f"X_API_Key: {OTHER}", BEARER],
]


@pytest.mark.parametrize(
    "lines", UNSOUND, ids=lambda lines: repr("|".join(lines).replace(TOKEN, "T").replace(OTHER, "U"))[:60]
)
def test_unsound_credential_is_refused(server: Server, lines: list[str]) -> None:
    """Whatever is not exactly one credential is nobody's, on every server; one underscore header may be dropped."""
    reply = server.ask("/plain", *lines)

    check(reply, "alice")
    dropped = lines[0].startswith("X_API_Key")
    assert not reply.seen or dropped, reply.seen


AMBIVALENT = [
    [f"Authorization: Bearer\r\n {TOKEN}"],
    [f"Authorization:\r\n Bearer {TOKEN}"],
    [f"Authorization: Bearer {TOKEN}\r"],
    [f"Authorization: Bearer {TOKEN}\x85"],  # trimmed by servers that take str.strip() for it
    [f"Authorization: Bearer {TOKEN}\x1c"],
    [f"Authorization: \x1cBearer {TOKEN}"],
    [f"Authorization: Bearer {TOKEN}\nX-Foo: x"],
    [f"X-Foo: a\nAuthorization: Bearer {TOKEN}"],
    [f"X-Foo: a\rAuthorization: Bearer {TOKEN}"],
    [f"Authorization: Bearer {TOKEN}", "Authorization_: x"],
    [f"Authorization: Bearer {TOKEN}", "Authorization : x"],
    [BEARER, *(f"X-Many-{number}: x" for number in range(150))],
    [BEARER, "X-Long: " + "a" * 9_000],
    [BEARER, "X-Long: " + "a" * 70_000],
]


@pytest.mark.parametrize("lines", AMBIVALENT, ids=lambda lines: repr("|".join(lines).replace(TOKEN, "T"))[:60])
def test_folded_or_split_header(server: Server, lines: list[str]) -> None:
    """What some servers mend and others refuse ends as alice or as nobody."""
    check(server.ask("/plain", *lines), "alice")


@pytest.mark.parametrize("target", [f"/plain?access_token={TOKEN}", f"/plain?{TOKEN}", f"/plain#{TOKEN}"])
def test_token_in_the_target_is_none(server: Server, target: str) -> None:
    """A token in the address is never taken (RFC 9700, section 4.3.2)."""
    assert server.ask(target).status in (400, 401)


def test_token_in_a_form_is_none(server: Server) -> None:
    """Nor one in a form."""
    body = f"access_token={TOKEN}".encode()
    lines = ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]

    assert server.ask("/plain", *lines, method="POST", body=body).status == 401


# --- Bodies: what follows a request is never taken for another one that is let in


SMUGGLED = [
    "GET /secret HTTP/1.1",
    "Host: watched.example",
    "X-Forwarded-User: admin",
    f"Authorization: Bearer {OTHER}",
    "Connection: close",
]

FRAMES = [
    ["Content-Length: 3", "Content-Length: 3"],
    ["Content-Length: 3", "Content-Length: 40"],
    ["Content-Length: +3"],
    ["Content-Length: 0x3"],
    ["Content-Length: -1"],
    ["Content-Length: 3", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked"],
    ["Transfer-Encoding: gzip, chunked"],
    ["Transfer-Encoding: xchunked"],
    ["Transfer_Encoding: chunked", "Content-Length: 0"],
    ["Content_Length: 9", "Content-Length: 0"],
    ["Content-Length: 0"],
    [],
]


@pytest.mark.parametrize("lines", FRAMES, ids=lambda lines: " ".join(lines) or "none")
def test_odd_framing(server: Server, lines: list[str]) -> None:
    """A request that a server finds in the body of another one is judged as any other: no path that is denied."""
    head = ["POST /plain HTTP/1.1", "Host: watched.example", BEARER, *lines]

    reply = server.send("\r\n".join([*head, "", "0", "", *SMUGGLED, "", ""]).encode(), patience=0.3)

    assert {(seen["path"], seen["user"]) for seen in reply.seen} <= {("/plain", "alice")}
    check(reply, "alice")
