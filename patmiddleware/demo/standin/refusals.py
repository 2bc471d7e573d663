"""Answers that Jira gives before any of its resources is asked, most of them in HTML."""

from __future__ import annotations

from urllib.parse import quote

from werkzeug import Request, Response
from werkzeug.utils import redirect

from .accounts import Refusal
from .log import target_of

HTML = "text/html;charset=UTF-8"


def page(status: int, text: str) -> Response:
    """Answer with an HTML page of a few words."""
    return Response(
        f"<html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>", status, content_type=HTML
    )


def challenge(base: str) -> str:
    """Give the ``WWW-Authenticate`` of every 401: also a failed Basic login is answered with OAuth's."""
    return f'OAuth realm="{quote(base, safe="")}"'


def failed() -> Response:
    """Answer a wrong password in Basic."""
    return _basic(401, Refusal.FAILED)


def denied(base: str) -> Response:
    """Answer a login, with the right password too, where a CAPTCHA has to be solved first."""
    response = _basic(403, Refusal.DENIED)
    response.headers["X-Authentication-Denied-Reason"] = f"CAPTCHA_CHALLENGE; login-url={base}/login.jsp"
    return response


def _basic(status: int, why: Refusal) -> Response:
    response = page(status, f"Basic Authentication Failure - Reason : {why.value}")
    response.headers["X-Seraph-LoginReason"] = why.value
    return response


def to_login(request: Request, base: str) -> Response:
    """Send somebody who has not logged in to the login page, which leads back."""
    here = quote(target_of(request.environ), safe="")
    return redirect(f"{base}/login.jsp?permissionViolation=true&os_destination={here}")


def problem(fields: str) -> Response:
    """Answer a failed OAuth request; the body is form-encoded, such as ``oauth_problem=token_rejected``."""
    return Response(fields, 401, content_type="application/x-www-form-urlencoded;charset=UTF-8")
