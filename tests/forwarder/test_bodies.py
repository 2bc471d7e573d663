"""How long the body of a request is, and what of it goes on."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest

from patmiddleware.forwarder.answers import Failed
from patmiddleware.forwarder.bodies import SMALL, Body, body

FORM = "application/x-www-form-urlencoded"


class Counted(BytesIO):
    """An input that remembers how much was asked of it."""

    asked = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0
        self.asked += size
        return super().read(size)


def environ(sent: bytes = b"", length: str | None = None, **more: Any) -> dict[str, Any]:
    stated = {} if length is None else {"CONTENT_LENGTH": length}
    return {"wsgi.input": Counted(sent), **stated, **more}


def read(found: Body) -> tuple[bytes | None, int | None]:
    content = found.content
    return content if content is None or isinstance(content, bytes) else b"".join(content), found.length


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (environ(), (None, 0)),
        (environ(b"more", ""), (None, 0)),
        (environ(b"more", "0"), (b"", 0)),
        (environ(b"abcdef", "3"), (b"abc", 3)),
        (environ(b"x" * (SMALL + 1), str(SMALL + 1)), (b"x" * (SMALL + 1), SMALL + 1)),
        (
            environ(b"abc", **{"HTTP_TRANSFER_ENCODING": "Chunked", "wsgi.input_terminated": True}),
            (b"abc", None),
        ),
    ],
)
def test_a_body_has_one_length(given: dict[str, Any], expected: tuple[bytes | None, int | None]) -> None:
    """And not a byte more of the input is read."""
    assert read(body(given)) == expected
    assert expected[1] is None or given["wsgi.input"].asked <= (expected[1] or 0)


@pytest.mark.parametrize("length", ["-1", "+2", "1_0", "0x1", "5, 5", "5,6", " 5", "5 ", "²", "٣", "1" * 19, "a"])
def test_a_length_is_digits(length: str) -> None:
    """Whatever a server lets through."""
    with pytest.raises(Failed) as failed:
        body(environ(b"abcdef", length))

    assert failed.value.status == 400


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"CONTENT_LENGTH": "3", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}, 400),
        ({"CONTENT_LENGTH": "0", "HTTP_TRANSFER_ENCODING": "chunked"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 411),
        ({"HTTP_TRANSFER_ENCODING": "gzip, chunked", "wsgi.input_terminated": True}, 411),
        ({"HTTP_TRANSFER_ENCODING": "identity", "wsgi.input_terminated": True}, 411),
        ({"HTTP_TRANSFER_ENCODING": "\x0bchunked", "wsgi.input_terminated": True}, 411),
    ],
)
def test_a_length_that_two_could_read_differently_is_refused(given: dict[str, Any], status: int) -> None:
    """Nothing of the body is read."""
    with pytest.raises(Failed) as failed:
        body(environ(b"abc", **given))

    assert failed.value.status == status


@pytest.mark.parametrize("protocol", ["HTTP/2", "HTTP/2.0", "HTTP/3"])
def test_a_body_that_no_header_tells_of_is_not_lost(protocol: str) -> None:
    """HTTP/2 needs none to end it: it is asked for with a length, and what has no body goes on without."""
    with pytest.raises(Failed) as failed:
        body(environ(b"abc", SERVER_PROTOCOL=protocol))

    assert failed.value.status == 411
    assert body(environ(b"", SERVER_PROTOCOL=protocol)) == (None, 0)
    assert body(environ(b"abc", "3", SERVER_PROTOCOL=protocol)) == (b"abc", 3)


class Broken:
    def read(self, size: int) -> bytes:
        raise OSError("reset by peer")


@pytest.mark.parametrize(
    ("length", "source"),
    [("3", BytesIO(b"ab")), ("3", Broken()), (str(SMALL * 2), BytesIO(b"a" * SMALL)), (str(SMALL * 2), Broken())],
)
def test_a_client_that_breaks_off_is_told_so(length: str, source: Any) -> None:
    """A body that is not whole is none."""
    with pytest.raises(Failed) as failed:
        read(body({"wsgi.input": source, "CONTENT_LENGTH": length}))

    assert failed.value.status == 400


@pytest.mark.parametrize("kind", [FORM, FORM.upper(), f"{FORM}; charset=utf-8", f"text/plain, {FORM}"])
@pytest.mark.parametrize("length", ["19", None])
def test_a_form_is_looked_through(kind: str, length: str | None) -> None:
    """A login of Jira's is refused, also in chunks."""
    chunked = {} if length else {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}

    with pytest.raises(Failed, match="named os_"):
        body(environ(b"a=1&os_username=bob", length, CONTENT_TYPE=kind, **chunked))


def test_a_form_loses_what_only_we_may_say() -> None:
    """Its length is that of what is left."""
    sent = b"a=%C3%A4&oauth_token=x&user_id=bob&b=2"

    assert read(body(environ(sent, str(len(sent)), CONTENT_TYPE=FORM))) == (b"a=%C3%A4&b=2", 12)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_form_that_is_too_long_is_refused(chunked: bool) -> None:
    """413, and no more of it is read than is needed to know."""
    sent = b"a=" + b"x" * (2 * SMALL)
    more = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True} if chunked else {}
    given = environ(sent, None if chunked else str(len(sent)), CONTENT_TYPE=FORM, **more)

    with pytest.raises(Failed) as failed:
        body(given)

    assert failed.value.status == 413
    assert given["wsgi.input"].asked <= SMALL + 1


@pytest.mark.parametrize(
    "kind",
    [
        f"{FORM}; charset=UTF-16BE", "text/plain;charset=IBM037", 'application/json; charset = "utf-16"',
        "application/json; charset=utf-8; charset=utf-16", "application/json; charset=ISO-2022-JP",
        "text/plain; charset='utf-16'", "text/plain; charset*=utf-8''utf-16", "text/plain; charset=utf-8x",
        "text/plain; charset=utf-8,text/plain; Charset=UTF-32",
    ],
)  # fmt: skip
def test_a_charset_in_which_parameters_have_other_names_is_refused(kind: str) -> None:
    """For the upstream would find a login where we find none: in a form, or in the query beside any body."""
    with pytest.raises(Failed, match="charset") as caught:
        body(environ(b"a=1", "3", CONTENT_TYPE=kind))

    assert caught.value.status == 415


@pytest.mark.parametrize(
    "kind",
    [
        "application/json", f"{FORM};charset=UTF-8", 'text/plain; charset="utf-8"', "text/plain; charset=utf8; a=b",
        "application/json; charset = ISO-8859-15", "text/plain;charset=windows-1252", "text/plain; charset=us-ascii",
    ],
)  # fmt: skip
def test_a_charset_that_holds_ascii_goes_on(kind: str) -> None:
    """As do bodies without one."""
    assert read(body(environ(b"a=1", "3", CONTENT_TYPE=kind))) == (b"a=1", 3)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity, gzip"])
def test_a_form_that_is_compressed_is_refused(coding: str) -> None:
    """It can't be looked through, and some servers undo it before Jira's login filter."""
    with pytest.raises(Failed, match="Content-Encoding") as caught:
        body(environ(b"\x1f\x8b", "2", CONTENT_TYPE=FORM, HTTP_CONTENT_ENCODING=coding))

    assert caught.value.status == 415
