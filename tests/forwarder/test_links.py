"""Addresses of the upstream become ours; in headers, and which answers have any in their bodies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.errors import ConfigurationError
from patmiddleware.forwarder.links import Links, is_gzip

BASE = "https://jira.internal/jira"
PUBLIC = "https://api.example.org"


def url(text: str, *bases: str, public: str = PUBLIC) -> str:
    """Give an address as clients see it."""
    return Links(bases or (BASE,), public).url(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://jira.internal/jira", ""),
        ("https://jira.internal/jira/", "/"),
        ("https://jira.internal/jira/rest/api/2/issue/1?a=b#c", "/rest/api/2/issue/1?a=b#c"),
        ("https://jira.internal/jira?a", "?a"),
        ("https://jira.internal/jira#a", "#a"),
        ("http://jira.internal/jira/x", "/x"),
        ("//jira.internal/jira/x", "/x"),
        ("HTTPS://Jira.INTERNAL/jira/X", "/X"),
        ("https://jira.internal:443/jira/x", "/x"),
        ("http://jira.internal:80/jira/x", "/x"),
        ("http://jira.internal:443/jira/x", "/x"),
        ("https://jira.internal:/jira/x", "/x"),
        ("https://jira.internal./jira/x", "/x"),
        ("https://jira.internal.:443/jira/x", "/x"),
        ("https://jira.internal/jira/@elsewhere", "/@elsewhere"),
        ("https://jira.internal/jira//elsewhere/x", "//elsewhere/x"),
        ("https://jira.internal/jira/ü x", "/ü x"),
        ("https://jira.internal/jira/https://jira.internal/jira/x", "/https://jira.internal/jira/x"),
    ],
)
def test_address_below_the_base_leads_here(text: str, expected: str) -> None:
    """What names the same server, port and path, however it is spelled, is below the public address."""
    assert url(text) == PUBLIC + expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "?x",
        "https://jira.internal",
        "https://jira.internal/",
        "https://jira.internal/jirax",
        "https://jira.internal/jira.x",
        "https://jira.internal/jira;x",
        "https://jira.internal/jira%2fx",
        r"https://jira.internal/jira\x",
        "https://jira.internal/JIRA/x",
        "https://jira.internal/x/jira",
        "https://jira.internal//jira/x",
        "https://jira.internal.evil/jira/x",
        "https://jira.internal../jira/x",
        "https://jira.internalx/jira/x",
        "https://xjira.internal/jira/x",
        "https://jiraxinternal/jira/x",
        "https://jira.internal@evil/jira/x",
        "https://jira.internal:443@evil/jira/x",
        "https://jira.internal:@evil/jira/x",
        "https://jira.internal%2f@evil/jira/x",
        "https://user@jira.internal/jira/x",
        "https://user:password@jira.internal/jira/x",
        "https://evil/@jira.internal/jira/x",
        r"https://jira.internal\@evil/jira/x",
        r"https://evil\@jira.internal/jira/x",
        r"https:\\jira.internal\jira\x",
        r"https:\/\/jira.internal\/jira\/x",
        "https:/jira.internal/jira/x",
        "https:///jira.internal/jira/x",
        "https://jira.internal:8443/jira/x",
        "https://jira.internal:4430/jira/x",
        "https://jira.internal:443:80/jira/x",
        "https://[jira.internal]/jira/x",
        "ftp://jira.internal/jira/x",
        "xhttps://jira.internal/jira/x",
        "httpss://jira.internal/jira/x",
        "http\u017f://jira.internal/jira/x",
        "https://j\u0131ra.internal/jira/x",
        " https://jira.internal/jira/x",
        "see https://jira.internal/jira/x",
        "/jirax",
        "/rest",
        "//evil/jira",
        "jira/x",
    ],
)
def test_other_address_stays(text: str) -> None:
    """What leads to another server, or past the path of the base, is none of ours."""
    assert url(text) == text


@pytest.mark.parametrize(
    ("base", "text", "expected"),
    [
        ("http://jira.internal:8080", "http://jira.internal:8080/x", "/x"),
        ("http://jira.internal:8080", "https://jira.internal:8080/x", "/x"),
        ("http://jira.internal:8080", "http://jira.internal/x", None),
        ("http://jira.internal:8080", "http://jira.internal:80800/x", None),
        ("https://jira.internal:443/", "https://jira.internal/x", "/x"),
        ("http://jira.internal:443", "https://jira.internal/x", "/x"),
        ("HTTPS://JIRA.internal./", "https://jira.internal/x", "/x"),
        ("https://192.0.2.1", "https://192.0.2.1/x", "/x"),
        ("https://192.0.2.1", "https://192.0.2.10/x", None),
        ("https://[2001:db8::1]:8443/jira", "https://[2001:DB8::1]:8443/jira/x", "/x"),
        ("https://[2001:db8::1]:8443/jira", "https://[2001:db8:0:0:0:0:0:1]:8443/jira/x", "/x"),
        ("https://[2001:db8:0::0:1]", "https://[2001:db8::1]/x", "/x"),
        ("https://[2001:db8:0::0:1]", "https://[2001:db8:0::0:1]/x", "/x"),
        ("https://[2001:db8::1]", "https://[2001:db8::10]/x", None),
        ("https://[2001:db8::1]", "https://[2001:db8::1].evil/x", None),
        ("https://xn--jir-sla.example", "https://xn--jir-sla.example/x", "/x"),
        ("https://xn--jir-sla.example", "https://jirä.example/x", "/x"),
        ("https://xn--jir-sla.example", "https://jira.example/x", None),
        ("https://xn--strae-oqa.example", "https://xn--strae-oqa.example/x", "/x"),
        ("https://jira.internal/a+b", "https://jira.internal/a+b/x", "/x"),
        ("https://jira.internal/a+b", "https://jira.internal/aab/x", None),
    ],
)
def test_kinds_of_hosts_and_ports(base: str, text: str, expected: str | None) -> None:
    """A port must be the same, or left out where it is the default one; hosts have each several forms."""
    assert url(text, base) == (text if expected is None else PUBLIC + expected)


@pytest.mark.parametrize(
    ("base", "public", "text", "expected"),
    [
        (BASE, PUBLIC, "/jira/rest/x?y", "/rest/x?y"),
        (BASE, PUBLIC, "/jira/", "/"),
        (BASE, PUBLIC, "/jira", PUBLIC),
        (BASE, PUBLIC, "/jira?x", f"{PUBLIC}?x"),
        (BASE, PUBLIC, "/jira//evil/x", f"{PUBLIC}//evil/x"),
        (BASE, PUBLIC, r"/jira/\evil/x", rf"{PUBLIC}/\evil/x"),
        (BASE, f"{PUBLIC}/api", "/jira/rest", "/api/rest"),
        (BASE, f"{PUBLIC}/api/", "/jira?x", "/api?x"),
        (BASE, f"{PUBLIC}/api", "/jira//evil", "/api//evil"),
        (BASE, f"{PUBLIC}/jira", "/jira/rest", "/jira/rest"),
        ("https://jira.internal", f"{PUBLIC}/jira", "/rest", "/jira/rest"),
        ("https://jira.internal", f"{PUBLIC}/jira", "//evil/rest", "//evil/rest"),
        ("https://jira.internal", PUBLIC, "/rest", "/rest"),
    ],
)
def test_path_alone_changes_its_context(base: str, public: str, text: str, expected: str) -> None:
    """A path is one of the upstream's server; without its context it never becomes the name of another server."""
    assert url(text, base, public=public) == expected


@pytest.mark.parametrize("bases", [(BASE, "https://jira.example.org"), ("https://jira.example.org", BASE)])
def test_each_base_leads_here(bases: tuple[str, ...]) -> None:
    """An upstream has an address that is connected to, and one that it calls itself by."""
    assert [url(f"{base}/x", *bases) for base in bases] == [f"{PUBLIC}/x"] * 2


@pytest.mark.parametrize("bases", [("https://a/b", "https://a"), ("https://a", "https://a/b")])
def test_lowest_base_counts(bases: tuple[str, ...]) -> None:
    """Of two bases one of which is above the other, the whole of the lower one is replaced."""
    found = [url(text, *bases) for text in ("https://a/b/x", "https://a/x", "https://a/bx")]

    assert found == [f"{PUBLIC}/x", f"{PUBLIC}/x", f"{PUBLIC}/bx"]


def test_public_address_below_a_base() -> None:
    """What leads here already is not led further below."""
    public = "https://jira.example.org/gate"
    texts = [public, f"{public}/x", "https://jira.example.org/x", f"{public}s/x"]

    found = [url(text, "http://jira.example.org", public=public) for text in texts]

    assert found == [public, f"{public}/x", f"{public}/x", f"{public}/gates/x"]


def test_base_below_the_public_address() -> None:
    """Where we stand above the upstream's path on the same server, that path goes."""
    bases, public = ("https://example.org/jira",), "https://example.org"

    assert url("https://example.org/jira/x", *bases, public=public) == "https://example.org/x"


@given(
    st.text(),
    st.sampled_from(["", "https:", "//", "https://jira.internal", "https://jira.internal:80", BASE, "/jira", "/jira/"]),
)
def test_address_changes_to_ours_alone(rest: str, start: str) -> None:
    """An address stays, becomes a path, or begins with the public one, whose server nothing that follows changes."""
    text = start + rest

    given = url(text)

    ours = given.startswith(PUBLIC) and given[len(PUBLIC) :][:1] in ("", "/", "?", "#")
    path = text.startswith("/jira/") and given == text.removeprefix("/jira") and given[1:2] not in ("/", "\\")
    assert given == text or ours or path


def test_headers_with_addresses() -> None:
    """Location, Content-Location and Link lead here; nothing else is looked into."""
    headers = [
        ("location", f"{BASE}/a"),
        ("Content-Location", "/jira/b"),
        ("Link", f'<{BASE}/c>; rel="next", <https://elsewhere/d>; title="{BASE}", </jira/e>; rel="up"'),
        ("X-Link", f"{BASE}/f"),
        ("ETag", '"g"'),
    ]

    assert Links([BASE], PUBLIC).headers(headers) == [
        ("location", f"{PUBLIC}/a"),
        ("Content-Location", "/b"),
        ("Link", f'<{PUBLIC}/c>; rel="next", <https://elsewhere/d>; title="{BASE}", </e>; rel="up"'),
        ("X-Link", f"{BASE}/f"),
        ("ETag", '"g"'),
    ]


JSON = ("Content-Type", "application/json")


@pytest.mark.parametrize(
    "headers",
    [
        [JSON],
        [("content-type", "Application/JSON;charset=UTF-8")],
        [("Content-Type", 'application/json ; a=b; Charset="utf-8"')],
        [("Content-Type", "application/vnd.atlassian.x+json")],
        [("Content-Type", "application/problem+json;charset=utf8")],
        [("Content-Type", "application/json;charset=ISO-8859-1")],
        [("Content-Type", "application/json; charset=us-ascii")],
        [JSON, ("Content-Encoding", "identity")],
        [JSON, ("Content-Encoding", " GZip ")],
        [JSON, ("Content-Encoding", "x-gzip")],
        [JSON, ("ETag", '"x"'), ("Cache-Control", "no-transform")],
    ],
)
def test_json_is_rewritten(headers: list[tuple[str, str]]) -> None:
    """JSON is, whatever it is called, bare or in gzip."""
    assert Links([BASE], PUBLIC).applies(headers)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Content-Type", "")],
        [("Content-Type", "text/html")],
        [("Content-Type", "application/octet-stream")],
        [("Content-Type", "application/jsonp")],
        [("Content-Type", "application/x-json")],
        [("Content-Type", "application/javascript; x=application/json")],
        [("Content-Type", "text/x+json")],
        [("Content-Type", "application/json;charset=UTF-16")],
        [("Content-Type", 'application/json; Charset = "utf32"')],
        [("Content-Type", "application/json;charset=ISO-10646-UCS-2")],
        [("Content-Type", "text/html, application/json")],
        [JSON, ("Content-Disposition", "attachment; filename=x.json")],
        [JSON, ("content-disposition", "inline; filename*=UTF-8''x.json")],
        [JSON, ("Content-Range", "bytes 0-9/20")],
        [JSON, ("Content-Encoding", "br")],
        [JSON, ("Content-Encoding", "deflate")],
        [JSON, ("Content-Encoding", "gzip, gzip")],
        [JSON, ("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")],
    ],
)
def test_anything_else_is_not_rewritten(headers: list[tuple[str, str]]) -> None:
    """Nor are files, parts, other encodings and other characters."""
    assert not Links([BASE], PUBLIC).applies(headers)


@pytest.mark.parametrize(("encoding", "expected"), [("gzip", True), ("X-GZIP", True), ("identity", False), ("", False)])
def test_whether_it_is_gzip(encoding: str, expected: bool) -> None:
    """The encoding is told from the headers."""
    assert is_gzip([("Content-Encoding", encoding)]) == expected


@pytest.mark.parametrize(
    "address",
    [
        "",
        "jira.internal",
        "//jira.internal",
        "/jira",
        "ftp://jira.internal",
        "https://",
        "https:///jira",
        "https://:443",
        "https://jira.internal:x",
        "https://jira.internal:65536",
        "https://jira..internal",
        "https://.",
        "https://jira.internal?",
        "https://jira.internal?a=b",
        "https://jira.internal#",
        "https://jira.internal/#a",
        "https://me@jira.internal",
        "https://me:hidden@jira.internal",
        "https://@jira.internal",
        "https://jira internal",
        "https://jira.internal/a b",
        "https://jira.internal/a\n",
        'https://jira.internal/"',
        r"https://jira.internal\x",
        "https://jirä.example",
        "https://jira.internal/ä",
        "https://jira.internal//x",
        "https://jira.internal/x//",
        "https://jira.internal/./x",
        "https://jira.internal/x/..",
        "https://[::1",
        "https://[::x]",
        "https://[fe80::1%25eth0]",
        "https://jira%2einternal",
    ],
)
@pytest.mark.parametrize("setting", ["app.upstream", "app.base_urls", "app.public_url"])
def test_address_that_can_be_none_is_refused(address: str, setting: str) -> None:
    """A setting must be an absolute address with nothing but a path; what may be a password in it is not shown."""
    given = {"app.upstream": BASE, "app.base_urls": BASE, "app.public_url": PUBLIC} | {setting: address}

    with pytest.raises(ConfigurationError) as caught:
        Links((given["app.upstream"], given["app.base_urls"]), given["app.public_url"])

    assert [problem.setting for problem in caught.value.problems] == [setting]
    assert "hidden" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_there_must_be_an_upstream() -> None:
    """Without an address there is nothing to rewrite."""
    with pytest.raises(ConfigurationError, match=r"app\.upstream: there must be at least one address"):
        Links([], PUBLIC)


def test_host_of_other_letters_has_a_hint() -> None:
    """Who writes a host as people read it hears how DNS writes it."""
    with pytest.raises(ConfigurationError, match="xn--"):
        Links(["https://jirä.example"], PUBLIC)
