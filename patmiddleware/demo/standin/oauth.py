"""The OAuth 1.0a dance over HTTP: a request token, the user's word, an access token; and signed requests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from html import escape
from secrets import token_urlsafe
from urllib.parse import urlencode

from werkzeug import Response
from werkzeug.utils import redirect

from .call import FORM, Call, JiraRequest, Route
from .links import Links, OAuthProblem, Signed
from .log import target_of
from .refusals import HTML, page, problem, to_login

DANCE = "/plugins/servlet/oauth/"
YEARS_5 = 5 * 365 * 86_400
_ATTEMPT = ("oauth_consumer_key", "oauth_signature_method", "oauth_signature")


def is_signed(request: JiraRequest) -> bool:
    """Whether a request means to be signed, in its header, its query or its form."""
    if request.headers.get("Authorization", "").strip().partition(" ")[0].casefold() == "oauth":
        return True
    form = request.small_form
    return all(name in request.args or f"{name}=" in form for name in _ATTEMPT)


def verified(request: JiraRequest, links: Links, clock: Callable[[], datetime]) -> Signed:
    """Verify a signed request, and use up its nonce.

    Raises:
        OAuthProblem: when there is something wrong with it.
    """
    from .signatures import verify

    # As Jira sees the address: what the request line and Host say, byte for byte, not what links are written with.
    uri = f"{request.scheme}://{request.host}{target_of(request.environ)}"
    headers = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
    signed = verify(uri, request.method, request.small_form, headers, links.public_key, clock().timestamp())
    links.use(signed)
    return signed


def request_token(call: Call) -> Response:
    signed = verified(call.request, call.site.links, call.site.clock)
    callback = signed.given.get("oauth_callback")
    if not callback:
        raise OAuthProblem("parameter_absent", oauth_parameters_absent="oauth_callback")
    token = call.site.links.ask(signed.consumer, callback)
    return _form(oauth_token=token, oauth_token_secret=token_urlsafe(24), oauth_callback_confirmed="true")


def access_token(call: Call) -> Response:
    signed = verified(call.request, call.site.links, call.site.clock)
    token = call.site.links.exchange(signed)
    life = {"oauth_expires_in": str(YEARS_5), "oauth_authorization_expires_in": str(YEARS_5)}
    secrets = {"oauth_token_secret": token_urlsafe(24), "oauth_session_handle": token_urlsafe(24)}
    return _form(oauth_token=token, **secrets, **life)


def _form(**fields: str) -> Response:
    return Response(urlencode(fields), content_type=f"{FORM};charset=UTF-8")


_PAGE = """<html><head><title>Allow access</title></head><body><form method="post" action="{action}">
<p>{consumer} would like to have read and write access to your data.</p>
<input type="hidden" name="oauth_token" value="{token}">
<input type="submit" name="approve" value="Allow"> <input type="submit" name="deny" value="Deny">
</form></body></html>"""


def authorize(call: Call) -> Response:
    if call.user is None:
        return to_login(call.request, call.write.base)
    name = call.request.values.get("oauth_token", "")
    token = call.site.links.asked(name)
    if token is None:
        return problem("oauth_problem=token_rejected")
    if call.request.method != "POST":
        action = f"{call.write.base}{DANCE}authorize"
        shown = _PAGE.format(action=escape(action), consumer=escape(token.consumer), token=escape(name))
        return Response(shown, content_type=HTML)
    links, is_approved = call.site.links, "approve" in call.request.form
    verifier = links.approve(name, call.user.name) if is_approved else links.deny(name)
    if token.callback == "oob":
        return page(200, f"Access {'Approved' if is_approved else 'Denied'}. Your verification code is '{verifier}'.")
    joint = "&" if "?" in token.callback else "?"
    return redirect(f"{token.callback}{joint}{urlencode({'oauth_token': name, 'oauth_verifier': verifier})}")


ROUTES: list[Route] = [
    ("POST", f"{DANCE}request-token", request_token),
    ("GET", f"{DANCE}request-token", request_token),
    ("GET", f"{DANCE}authorize", authorize),
    ("POST", f"{DANCE}authorize", authorize),
    ("POST", f"{DANCE}access-token", access_token),
    ("GET", f"{DANCE}access-token", access_token),
]
