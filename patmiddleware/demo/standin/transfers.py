"""What tests of a forwarder need and Jira has not: large, slow and broken transfers, odd answers, and the log.

All of it is below ``/plugins/servlet/standin/``, and open to anonymous callers. Parameters stand in the query.

=============================  ===================================================================================
``GET bytes``                  ``count`` bytes of :func:`pattern`; ``chunked=1``: without a length;
                               ``type``: of the content; ``pause``: seconds after each piece of ``size`` bytes;
                               ``sent``: breaks off after so many bytes, whatever was promised; 0: before the head
``POST sink``, ``PUT sink``    reads the body and answers ``{"bytes": …, "sha256": …, "chunked": …}``
``POST early``                 answers ``status`` at once, and leaves the body where it is
``ANY status``                 answers ``code``; ``204`` and ``304`` without a body
``GET etag``                   answers with an ``ETag``, or 304 to a request that shows it
``ANY busy``                   429, with ``Retry-After: seconds`` and what Jira says of its rate limit
``ANY redirect``               ``status`` (302) to ``to``
``GET json``                   ``count`` objects with links, in small pieces; ``chunked=1``: without a length
``GET log``, ``DELETE log``    what reached the stand-in, as JSON; forgets it (only where the log is served)
``POST reset/NAME``            takes back the CAPTCHA of a user (only where the log is served)
=============================  ===================================================================================
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO

from werkzeug import Response

from .call import JSON, Call, Route, answer, done
from .model import JiraError

HERE = "/plugins/servlet/standin/"
UNSEEN = (f"{HERE}log", f"{HERE}reset/")
"""Beginnings of paths that are not logged."""
PIECE = 65_536
# Its length is prime: a piece that is lost, doubled or out of order changes what comes after it.
_BLOCK = bytes((at * at + at // 251) % 251 for at in range(65_521))


class BrokenOff(ConnectionError):
    """An answer ends here, on purpose, though more was promised: a server closes the connection."""


def pattern(count: int, size: int = PIECE) -> Iterator[bytes]:
    """Give the same bytes each time, in pieces.

    Args:
        count: bytes in all.
        size: bytes of a piece, at most :data:`PIECE`.
    """
    twice = memoryview(_BLOCK * 3)
    for start in range(0, count, size):
        offset = start % len(_BLOCK)
        yield bytes(twice[offset : offset + min(size, count - start)])


def send(call: Call) -> Response:
    count, size = _number(call, "count", 0), min(_number(call, "size", PIECE), PIECE) or PIECE
    pause, sent = _seconds(call, "pause"), _number(call, "sent", count)
    pieces = _broken(pattern(count, size), sent) if sent < count else pattern(count, size)
    response = Response(_slow(pieces, pause) if pause else pieces)
    response.content_type = call.request.args.get("type", "application/octet-stream")
    if not call.request.args.get("chunked"):
        response.content_length = count
    return response


def _broken(pieces: Iterator[bytes], sent: int) -> Iterator[bytes]:
    for piece in pieces:
        if len(piece) >= sent:
            yield piece[:sent]
            raise BrokenOff
        sent -= len(piece)
        yield piece


def _slow(pieces: Iterator[bytes], pause: float) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        time.sleep(pause)


def many(call: Call) -> Response:
    objects = (
        {"id": at, "self": f"{call.write.api}/issue/{at}", "name": "é"} for at in range(_number(call, "count", 1))
    )
    lines = [json.dumps(value, ensure_ascii=False).encode() for value in objects]
    whole = b"[%b]" % b",".join(lines)
    response = Response(iter([whole[at : at + 1000] for at in range(0, len(whole), 1000)]), content_type=JSON)
    if not call.request.args.get("chunked"):
        response.content_length = len(whole)
    return response


def sink(call: Call) -> Response:
    # A form was read already: it might have had a password in it, or a signature.
    body = BytesIO(call.request.get_data()) if call.request.small_form else call.request.environ["wsgi.input"]
    digest, length = sha256(), 0
    left = call.request.content_length
    while left is None or length < left:
        data = body.read(PIECE if left is None else min(PIECE, left - length))
        if not data:
            break
        digest.update(data)
        length += len(data)
        time.sleep(_seconds(call, "pause"))
    return answer({"bytes": length, "sha256": digest.hexdigest(), "chunked": left is None})


def early(call: Call) -> Response:
    call.request.environ["standin.early"] = True
    return answer({"errorMessages": ["Enough."], "errors": {}}, _number(call, "status", 413))


def status(call: Call) -> Response:
    code = _number(call, "code", 200)
    if code in (204, 304):
        response = done()
        response.status_code = code
        return response
    return answer({"status": code}, code)


def etag(call: Call) -> Response:
    response = answer({"self": f"{call.write.base}{HERE}etag"})
    response.set_etag("it-stays-the-same")
    return response.make_conditional(call.request.environ)


def busy(call: Call) -> Response:
    response = answer({"message": "Rate limit exceeded.", "status-code": 429}, 429)
    response.headers["Retry-After"] = str(_number(call, "seconds", 1))
    limits = {"Limit": 10, "Remaining": 0, "FillRate": 2, "Interval-Seconds": 1}
    response.headers.extend({f"X-RateLimit-{name}": str(value) for name, value in limits.items()})
    return response


def redirected(call: Call) -> Response:
    to = call.request.args.get("to", f"{call.write.base}/login.jsp")
    return Response(status=_number(call, "status", 302), headers={"Location": to})


def seen(call: Call) -> Response:
    return answer([entry.as_json() for entry in call.site.log])


def forget(call: Call) -> Response:
    call.site.log.clear()
    return done()


def reset(call: Call, name: str) -> Response:
    call.site.accounts.reset(name)
    return done()


def _number(call: Call, name: str, usual: int) -> int:
    text = call.request.args.get(name, str(usual))
    if not (text.isascii() and text.isdigit()):
        raise JiraError(400, f"'{name}' must be a number, not '{text}'.")
    return int(text)


def _seconds(call: Call, name: str) -> float:
    return call.request.args.get(name, 0.0, float)


_ALL = ("GET", "POST", "PUT", "DELETE")

ROUTES: list[Route] = [
    ("GET", f"{HERE}bytes", send),
    ("GET", f"{HERE}json", many),
    ("POST", f"{HERE}sink", sink),
    ("PUT", f"{HERE}sink", sink),
    ("POST", f"{HERE}early", early),
    ("GET", f"{HERE}etag", etag),
    *((method, f"{HERE}status", status) for method in _ALL),
    *((method, f"{HERE}busy", busy) for method in _ALL),
    *((method, f"{HERE}redirect", redirected) for method in _ALL),
]
WATCHING: list[Route] = [
    ("GET", f"{HERE}log", seen),
    ("DELETE", f"{HERE}log", forget),
    ("POST", f"{HERE}reset/<name>", reset),
]
