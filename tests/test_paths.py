"""The one path that is judged, or a refusal."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from unicodedata import category
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from patmiddleware.model import Denied, Reason
from patmiddleware.paths import is_method, judged_path, raw_target_agrees

REFUSED = None


def native(path: str | bytes) -> str:
    return (path.encode() if isinstance(path, str) else path).decode("latin-1")


def judge(path_info: str, script_name: str = "", parameters: bool = False) -> str | None:
    """Give the path, or None for a refusal."""
    found = judged_path(path_info, script_name, parameters)
    if isinstance(found, Denied):
        assert found.reason == Reason.AMBIGUOUS_PATH
        return REFUSED
    return found


def place(path_info: str, script_name: str = "", **raw: str) -> str | None:
    """Judge a path and the raw target that came with it."""
    environ = {"PATH_INFO": path_info, "SCRIPT_NAME": script_name, **raw}
    path = judge(path_info, script_name)
    return path if path is not REFUSED and raw_target_agrees(environ, path_info) else REFUSED


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/a",
        "/a/",
        "/a/b/c",
        "/a b",
        "/a+b",
        "/a,b=c&d:e@f!g$h'(i)*j",
        '/a"<>^`{|}b',
        "/...",
        "/.a",
        "/a.",
        "/a/..b/c..",
        "/.well-known/x",
        "/%",
        "/a%",
        "/a%2",
        "/a%zz",
        "/100%/x",
        "/café",
        "/\u0430dmin",
        "/\ufffd",
        "/\uff0f\uff0e\uff0e\uff0f",
        "/\u2028",
        "/\U0001f600",
        "/\u00a0",
        "/rest/api/2/issue/ABC-1",
    ],
)
def test_sound_path_is_judged_as_it_is(path: str) -> None:
    """A path that everybody reads alike is judged as its text, to the letter."""
    assert judge(native(path)) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "rest/api",
        "*",
        "443",
        "h.example:443",
        "http://other.example/p/q",
        "http:/a",
        "?x",
        " /a",
        "//",
        "//a",
        "///a",
        "/a//",
        "/a//b",
        "/a///b",
        "//evil.example/rest",
        "/.",
        "/..",
        "/./",
        "/../",
        "/./a",
        "/../a",
        "/a/.",
        "/a/..",
        "/a/./b",
        "/a/../b",
        "/a/../",
        "/a;v=1/b",
        "/a/..;/b",
        "/a/.;/b",
        "/a/..;x=y/b",
        "/a/;/b",
        "/;",
        "/a;",
        "/s/x/_/;/WEB-INF/web.xml",
        "/a\\b",
        "/a\\..\\b",
        "\\a",
        "/a#b",
        "/a?b",
        "/a%2Fb",
        "/a%2fb",
        "/a%5Cb",
        "/a%00b",
        "/%2e%2e/b",
        "/.%2e/b",
        "/a%3Bb",
        "/a%3fb",
        "/a%23b",
        "/a%41b",
        "/a%252Fb",
        "/%c0%af",
        "/a\0b",
        "/a\0",
        "/a\tb",
        "/a\r\nb",
        "/a\nb",
        "/a\n",
        "/a\x1fb",
        "/a\x7fb",
    ],
)
def test_ambiguous_path_is_refused(path: str) -> None:
    """What two programs could read differently is refused, not repaired."""
    assert judge(native(path)) is REFUSED


@pytest.mark.parametrize(
    "path",
    [
        b"/\xff",
        b"/caf\xe9",
        b"/a\xc3",
        b"/\xc0\xaf",  # an overlong slash
        b"/\xc0\xae\xc0\xae/x",  # overlong dots
        b"/\xe0\x80\xaf",
        b"/\xf0\x80\x80\xaf",
        b"/\xed\xa0\x80",  # half a character
        b"/\xf4\x90\x80\x80",  # beyond Unicode
        b"/\x80",
        b"/\xc2\x85",  # a C1 control, properly encoded
        b"/\xc2\x9f",
    ],
)
def test_path_is_utf8(path: bytes) -> None:
    """Invalid, overlong and control characters in UTF-8 are refused."""
    assert judge(native(path)) is REFUSED


def test_path_is_a_native_string() -> None:
    """What can't be bytes at all is refused."""
    assert judge("/\u0430") is REFUSED


CONTROLS = [chr(code) for code in range(0x110000) if category(chr(code)) == "Cc"]


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: f"U+{ord(control):04X}")
def test_no_control_character_stands_in_a_path(control: str) -> None:
    """No character of Unicode's class Cc stands in a path."""
    assert judge(native(f"/a{control}b")) is REFUSED


@pytest.mark.parametrize(
    ("path_info", "script_name", "expected"),
    [
        ("", "", REFUSED),
        ("", "/app", "/"),
        ("/", "/app", "/"),
        ("/x", "/app", "/x"),
        ("x", "/app", REFUSED),
        ("//", "/app", REFUSED),
        ("/../x", "/app", REFUSED),
        ("/x", "/rest/../..//;", "/x"),
    ],
)
def test_script_name_is_not_judged(path_info: str, script_name: str, expected: str | None) -> None:
    """Only PATH_INFO counts, which is empty at the root of an application that is mounted."""
    assert judge(path_info, script_name) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a;v=1/b", "/a;v=1/b"),
        ("/a/b;", "/a/b;"),
        ("/a;/b", "/a;/b"),
        ("/a;..", "/a;.."),
        ("/a;x=../b", "/a;x=../b"),
        ("/..a;x/b", "/..a;x/b"),
        ("/;", REFUSED),
        ("/a/;", REFUSED),
        ("/a/;x/b", REFUSED),
        ("/.;", REFUSED),
        ("/a/..;/b", REFUSED),
        ("/a/..;x=1/b", REFUSED),
        ("/a/.;x/b", REFUSED),
        ("/a;x/../b", REFUSED),
        ("/a;x/..", REFUSED),
        ("/a;x//b", REFUSED),
        ("/a;\\b", REFUSED),
        ("/a;%2e", REFUSED),
    ],
)
def test_parameters_may_be_allowed(path: str, expected: str | None) -> None:
    """Where parameters may stand, what is left without them still has no empty and no dot segment."""
    assert judge(path, parameters=True) == expected


def is_sound(path: str, parameters: bool = False) -> bool:
    """Say by the letter of the definition whether a path may be judged."""
    if not path.startswith("/"):
        return False
    segments = path.split("/")[1:]
    for number, segment in enumerate(segments):
        name, semicolon, _ = segment.partition(";")
        if name in (".", "..") or (semicolon and not (parameters and name)):
            return False
        if not segment and number < len(segments) - 1:
            return False
    hexadecimal = "0123456789abcdefABCDEF"
    for at, character in enumerate(path):
        if character in "\\#?" or category(character) == "Cc":
            return False
        after = path[at + 1 : at + 3]
        if character == "%" and len(after) == 2 and all(digit in hexadecimal for digit in after):
            return False
    return True


NEARLY = st.text(alphabet="//..;%%2eEfF5cC0\\#? ab\0\t\né\x85\u2028", max_size=16).map(lambda text: "/" + text)


@given(NEARLY | st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_what_is_judged_is_what_the_definition_says(path: str, parameters: bool) -> None:
    """A path is judged as it is where the definition lets it, and refused else."""
    assert judge(native(path), parameters=parameters) == (path if is_sound(path, parameters) else REFUSED)


@given(st.binary(max_size=24).map(lambda path: b"/" + path), st.booleans())
def test_any_bytes_are_answered(path: bytes, parameters: bool) -> None:
    """Whatever bytes come, the answer is their text or a refusal, never an error."""
    assert judge(native(path), parameters=parameters) in (REFUSED, path.decode("utf-8", "replace"))


def resolved(path: str) -> str:
    end = "/" if path.endswith("/") and path != "/" else ""
    return posixpath.normpath(path) + end


READINGS: dict[str, Callable[[str], str]] = {
    "decodes once more": unquote,
    "merges slashes": lambda path: re.sub("/+", "/", path),
    "resolves dots": resolved,
    "takes a backslash for a slash": lambda path: path.replace("\\", "/"),
    "cuts parameters off": lambda path: "/".join(segment.partition(";")[0] for segment in path.split("/")),
    "cuts at the first parameter": lambda path: path.partition(";")[0],
    "cuts at NUL": lambda path: path.partition("\0")[0],
    "cuts at a fragment": lambda path: path.partition("#")[0],
    "cuts at a query": lambda path: path.partition("?")[0],
    "cuts at the end of a line": lambda path: path.splitlines()[0] if "\n" in path or "\r" in path else path,
    "drops controls": lambda path: "".join(character for character in path if category(character) != "Cc"),
    "adds a slash": lambda path: path if path.startswith("/") else f"/{path}",
}


@given(NEARLY)
def test_every_reading_of_a_judged_path_is_the_same(path: str) -> None:
    """Whatever a program behind us is known to do to paths, it changes nothing of one that was let through."""
    judged = judge(native(path))

    if judged is not REFUSED:
        assert {name: reading(judged) for name, reading in READINGS.items()} == dict.fromkeys(READINGS, judged)


# What each server tells of a request: the target sent, PATH_INFO, and the raw target where there is one.
LIKE_SENT = "=sent"
SERVERS = [
    # wsgiref, granian, bjoern: no raw target
    ("/a/b?x=1", "/a/b", None, "/a/b"),
    ("/a%2Fb", "/a/b", None, "/a/b"),
    ("/a%252Fb", "/a%2Fb", None, REFUSED),
    ("/a//b", "/a//b", None, REFUSED),
    ("//a/b", "//a/b", None, REFUSED),
    ("/a;v=1/b;x", "/a;v=1/b;x", None, REFUSED),
    ("/a/../b", "/a/../b", None, REFUSED),
    ("/a/%2e%2e/b", "/a/../b", None, REFUSED),
    ("/a\\..\\b", "/a\\..\\b", None, REFUSED),
    ("/a%00b", "/a\0b", None, REFUSED),
    ("/%FF", "/\xff", None, REFUSED),
    ("/a#f?x", "/a#f", None, REFUSED),
    ("/a%3Fb?c%3Fd", "/a?b", None, REFUSED),
    ("http://other.example/p/q?x", "http://other.example/p/q", None, REFUSED),
    ("*", "*", None, REFUSED),
    ("foo/bar", "foo/bar", None, REFUSED),
    # gunicorn, waitress, werkzeug, uWSGI: the raw target is what was sent
    ("/a/b?x=1", "/a/b", LIKE_SENT, "/a/b"),
    ("/caf%C3%A9", "/caf\xc3\xa9", LIKE_SENT, "/café"),
    ("/caf\xc3\xa9", "/caf\xc3\xa9", LIKE_SENT, "/café"),
    ("/a+b?c+d", "/a+b", LIKE_SENT, "/a+b"),
    ("/a%20b", "/a b", LIKE_SENT, "/a b"),
    ("/%61/b", "/a/b", LIKE_SENT, "/a/b"),
    ("/a%zz", "/a%zz", LIKE_SENT, "/a%zz"),
    ("/a%25zz", "/a%zz", LIKE_SENT, "/a%zz"),
    ("/p?a?b&a=%26", "/p", LIKE_SENT, "/p"),
    ("/p?/../%2f%00#\\;//", "/p", LIKE_SENT, "/p"),
    ("/a%2Fb", "/a/b", LIKE_SENT, REFUSED),
    ("/a%2fb", "/a/b", LIKE_SENT, REFUSED),
    ("/a%5cb", "/a\\b", LIKE_SENT, REFUSED),
    ("/a%00b", "/a\0b", LIKE_SENT, REFUSED),
    ("//a/b", "/a/b", LIKE_SENT, REFUSED),  # waitress merges the first two
    ("/a//b", "/a/b", LIKE_SENT, REFUSED),  # mod_wsgi merges all
    ("/a/../b", "/b", LIKE_SENT, REFUSED),  # uWSGI resolves them
    ("/a/./b", "/a/b", LIKE_SENT, REFUSED),
    ("/../x", "/x", LIKE_SENT, REFUSED),
    ("/a/%2e%2e/b", "/b", LIKE_SENT, REFUSED),
    ("/a/.%2E/b", "/b", LIKE_SENT, REFUSED),
    ("/a%zz", "/a\0", LIKE_SENT, REFUSED),  # uWSGI's NUL
    ("/a%", "/a", LIKE_SENT, REFUSED),
    ("/a#f?x", "/a", LIKE_SENT, REFUSED),
    ("/%FF", "/\xef\xbf\xbd", LIKE_SENT, REFUSED),  # werkzeug puts U+FFFD there
    ("http://other.example/p/q?x", "/p/q", LIKE_SENT, REFUSED),
    ("*", "/*", LIKE_SENT, REFUSED),
    ("*", "*", LIKE_SENT, REFUSED),
    ("/a\tb", "/ab", LIKE_SENT, REFUSED),  # waitress deletes the tab
    ("h.example:443", "443", LIKE_SENT, REFUSED),  # CONNECT
    # cheroot and mod_wsgi keep the encoded slash
    ("/a%2Fb", "/a%2Fb", LIKE_SENT, REFUSED),
    # behind nginx with a path in proxy_pass both are cooked alike
    ("/a/../b", "/b", "/b", "/b"),
    # nginx before uWSGI: one is cooked, one raw
    ("/a/%2e%2e/b", "/b", "/a/%2e%2e/b", REFUSED),
]


@pytest.mark.parametrize(("sent", "path_info", "raw", "expected"), SERVERS)
@pytest.mark.parametrize("key", ["RAW_URI", "REQUEST_URI"])
def test_what_servers_make_of_a_target(
    sent: str, path_info: str, raw: str | None, expected: str | None, key: str
) -> None:
    """For each server's way with paths, what is judged is what is routed on, or the request is refused."""
    told = {} if raw is None else {key: sent if raw == LIKE_SENT else raw}

    assert place(path_info, **told) == expected


@pytest.mark.parametrize(
    ("path_info", "script_name", "raw", "agrees"),
    [
        ("/x", "/app", "/app/x", True),
        ("/x", "/app", "/x", True),  # werkzeug's test client, ProxyFix
        ("/x", "/app", "/app/x?y", True),
        ("/x", "/caf\xc3\xa9", "/caf%C3%A9/x", True),
        ("/x", "/a b", "/a%20b/x", True),
        ("", "/app", "/app", True),
        ("", "/app", "", True),
        ("", "/app", "/app?x", True),
        ("/", "/app", "/app/", True),
        ("", "/app", "/app/", False),
        ("/x", "/app", "/other/x", False),
        ("/x", "/app", "/app//x", False),
        ("/x", "/app", "/app/x/", False),
        ("/x", "/app", "/APP/x", False),
        ("/x", "/app", "/app/y/../x", False),
        ("/x", "/app", "/app%2Fx", False),
        ("/x", "/a/..", "/a/../x", False),
        ("/x", "", "/app/x", False),
        ("/x", "", "x", False),
        ("/x", "", "", False),
        ("/x", "", "/X", False),
        ("/x", "", "/x\n", False),
        ("/x", "", "/x\u0430", False),
        ("/a;b", "", "/a;b", True),
        ("/a;b", "", "/a%3Bb", True),
        ("/a", "", "/a/..;/a", False),
        ("/a", "", "/a/%2e%2e%3b/a", False),
        ("/a", "", "%2e/a", False),
    ],
)
def test_raw_target_may_have_the_mount(path_info: str, script_name: str, raw: str, agrees: bool) -> None:
    """The raw target is PATH_INFO with or without SCRIPT_NAME before it, encoded in any harmless way."""
    assert raw_target_agrees({"SCRIPT_NAME": script_name, "REQUEST_URI": raw}, path_info) == agrees


@pytest.mark.parametrize(
    ("raw_uri", "request_uri", "agrees"),
    [
        (None, None, True),
        ("/x", "/x", True),
        ("/x", "/%78", True),
        ("/%78?a", "/x?b", True),
        ("/x", "/y", False),
        ("/y", "/x", False),
        ("/x", "/y/../x", False),
        (b"/x", None, False),
        ("/x", 7, False),
    ],
)
def test_both_raw_targets_count(raw_uri: object, request_uri: object, agrees: bool) -> None:
    """A server may give two raw targets: neither may say anything else."""
    told = {"RAW_URI": raw_uri, "REQUEST_URI": request_uri}

    assert raw_target_agrees({key: value for key, value in told.items() if value is not None}, "/x") == agrees


@given(NEARLY, st.sampled_from(["", "/app", "/caf\xc3\xa9 x"]), st.sampled_from(["", "?", "?a=/../b#%2F"]), st.data())
def test_honest_raw_target_agrees(path: str, script_name: str, query: str, data: st.DataObject) -> None:
    """However a client encodes a sound path, so long as it encodes no separator or dot, the raw target agrees."""
    path_info = native(path)
    if judge(path_info) is REFUSED:
        return
    spared = data.draw(st.text(alphabet="abcdef ~!$&'()*+,=:@", max_size=6))
    raw = quote(script_name + path_info, safe=f"/.{spared}", encoding="latin-1")

    assert raw_target_agrees({"SCRIPT_NAME": script_name, "RAW_URI": raw + query}, path_info)


@given(st.text(alphabet="/.%2eEfF5cC0;\\#?ab\0", max_size=12), st.text(alphabet="/.ab%", max_size=8))
def test_raw_target_that_agrees_decodes_to_the_path(raw: str, path: str) -> None:
    """A raw target that agrees has no encoded separator, and is nothing but the path."""
    path_info = f"/{path}"
    if judge(path_info) is REFUSED or not raw_target_agrees({"RAW_URI": raw}, path_info):
        return

    target = raw.partition("?")[0]
    assert path_info in (target, unquote(target))
    assert not re.search("%(2f|5c|00)", target, re.IGNORECASE)


@pytest.mark.parametrize("path", ["/", "/a", "/a/", "/café x", "/a?b=%2F..", "/a%20b", "/%7Eme", "/a+b"])
@pytest.mark.parametrize("base", ["http://localhost/", "http://localhost/base/"])
def test_test_clients_agree_with_themselves(path: str, base: str) -> None:
    """What werkzeug's test client gives as raw target agrees with its path."""
    environ = EnvironBuilder(path=path, base_url=base).get_environ()

    assert raw_target_agrees(environ, environ["PATH_INFO"])


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PROPFIND", "FOO-BAR", "X!#$%&'*+.^_`|~", "1"])
def test_upper_case_token_is_a_method(method: str) -> None:
    """A method is a token of RFC 9110 without lower-case letters; one that nobody knows is one, too."""
    assert is_method(method)


@pytest.mark.parametrize("method", ["", "get", "Get", "GEt", "GET ", " GET", "GET\n", "GE T", "GÉT", "GET\0", "G,P"])
def test_anything_else_is_no_method(method: str) -> None:
    """Methods are exact: no other case, no blank, nothing after the end."""
    assert not is_method(method)


@pytest.mark.parametrize(("length", "is_judged"), [(8_192, True), (8_193, False), (250_000, False)])
def test_a_path_has_a_bounded_length(length: int, is_judged: bool) -> None:
    """Rules are looked for along it, before anybody is asked who they are."""
    path = "/".ljust(length, "a")

    assert judge(path) == (path if is_judged else REFUSED)


@pytest.mark.parametrize(("length", "expected"), [(32, True), (33, False), (100_000, False)])
def test_a_method_has_a_bounded_length(length: int, expected: bool) -> None:
    """Memos keep methods: a long one would fill the memory."""
    assert is_method("A" * length) is expected
