"""A short id for each request."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from patmiddleware.requestid import RequestIds, believed, ids
from patmiddleware.tokens import checksum

ALLOWED = re.compile(r"[A-Za-z0-9._-]{1,128}")


def test_ids_differ() -> None:
    """No two requests have the same id, in whatever thread."""
    series = RequestIds()

    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: series.new(), range(2_000)))

    assert len(set(given)) == 2_000


def test_processes_differ() -> None:
    """Two series have nothing in common: each begins at random."""
    assert RequestIds().new() != RequestIds().new()


def test_own_ids_would_be_believed() -> None:
    """What we give keeps to what we take, so that gates may stand behind each other."""
    assert believed({"HTTP_X_REQUEST_ID": ids.new()}) is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="platform: there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_child_begins_anew() -> None:
    """A child that was forked gives no id that its parent gives."""
    reading, writing = os.pipe()
    start = ids.new().partition("-")[0]

    child = os.fork()
    if child == 0:
        os.write(writing, ids.new().encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with open(reading, encoding="ascii") as pipe:
        theirs = pipe.read()

    assert ALLOWED.fullmatch(theirs)
    assert theirs.partition("-")[0] != start
    assert ids.new().partition("-")[0] == start


@pytest.mark.parametrize("sent", ["a", "A-1._z", "0" * 128, "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "-", "..."])
def test_safe_id_is_believed(sent: str) -> None:
    """An id that can be written into a log is taken over."""
    assert believed({"HTTP_X_REQUEST_ID": sent}) == sent


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "0" * 129,
        "a b",
        " a",
        "a\n",
        "a\r\nb",
        "a,b",
        "a/b",
        "a=b",
        "{}",
        '"a"',
        "<a>",
        "%0a",
        "é",
        "\u0661",
        "a\0",
        None,
        7,
    ],
)
def test_unsafe_id_is_not_believed(sent: object) -> None:
    """What could forge a line or a field is not taken over."""
    assert believed({"HTTP_X_REQUEST_ID": sent}) is None


TOKEN = "pat_" + "0" * 32
TOKEN += checksum(TOKEN)


@pytest.mark.parametrize("sent", [TOKEN, f"pat_{TOKEN}", f"job-{TOKEN}.7", f"x{TOKEN}x"])
def test_token_is_no_id(sent: str) -> None:
    """An id in which a token of ours stands would bring it into logs and answers."""
    assert believed({"HTTP_X_REQUEST_ID": sent}) is None


@pytest.mark.parametrize("sent", [TOKEN[:-1], "pat_1", TOKEN[:-1] + "0", TOKEN.replace("pat", "tok")])
def test_what_is_no_token_is_an_id(sent: str) -> None:
    """An id that only looks like a token is taken over."""
    assert believed({"HTTP_X_REQUEST_ID": sent}) == sent


def test_prefix_of_tokens() -> None:
    """Tokens are those of the store's prefix."""
    theirs = "own_" + "0" * 32
    theirs += checksum(theirs)

    assert believed({"HTTP_X_REQUEST_ID": theirs}, "own") is None
    assert believed({"HTTP_X_REQUEST_ID": TOKEN}, "own") == TOKEN


def test_absent_id_is_none() -> None:
    """Where none was sent there is none."""
    assert believed({}) is None
