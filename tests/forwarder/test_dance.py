"""Three legs: a request token, the user's word, and an access token that stands for the user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from linked import CONSUMER, LinkedJira, pem, private_key
from upstreams import ALICE, PlainTransport, Site, get, serving
from werkzeug import Response

from patmiddleware.errors import ConfigurationError, LinkError, UpstreamError
from patmiddleware.forwarder.dance import Dance
from patmiddleware.forwarder.strategies import from_credential


@pytest.fixture
def jira() -> LinkedJira:
    return LinkedJira()


@pytest.fixture
def site(jira: LinkedJira) -> Iterator[Site]:
    with serving(jira) as site:
        yield site


@pytest.fixture
def dance(site: Site) -> Dance:
    return dance_with(site)


def dance_with(site: Site, consumer: str = CONSUMER, key: Any = None) -> Dance:
    return Dance(site.url, consumer, key or pem(private_key()), PlainTransport(site.url))


def test_gets_a_token_that_stands_for_the_user(jira: LinkedJira, site: Site, dance: Dance) -> None:
    """What comes out is a credential with which a request is the user's."""
    pending = dance.begin()
    credential = dance.finish(pending, jira.verifier + "\n")

    assert (credential.kind, dict(credential.values)) == ("oauth1", {"token": "access/1", "token_secret": "s2+"})
    shared = {"consumer_key": CONSUMER, "private_key": private_key()}
    transport = PlainTransport(site.url)
    way = from_credential(credential, shared, upstream=site.url, transport=transport)
    response = transport.send(way.sign(get(), ALICE))
    assert b"".join(response.stream()) == b"bob"
    response.close()


def test_the_user_is_sent_to_the_upstream(site: Site, dance: Dance) -> None:
    """The address has the request token, and is that of the upstream as the browser finds it."""
    pending = dance.begin()

    assert pending.authorize_url == f"{site.url}/plugins/servlet/oauth/authorize?oauth_token=request%2F0"


@pytest.mark.parametrize("callback", ["oob", "https://api.example.org/link?a=b&c=\u00e9"])
def test_the_callback_is_signed(jira: LinkedJira, dance: Dance, callback: str) -> None:
    """The upstream hears it as it is."""
    dance.begin(callback)

    assert jira.pending == {"request/0": callback}


@pytest.mark.parametrize("end", ["", "/"])
def test_both_legs_are_where_jira_has_them(jira: LinkedJira, site: Site, end: str) -> None:
    """They are posted, below the context path, whether or not a slash stands behind that."""
    dance = Dance(site.url + end, CONSUMER, pem(private_key()), PlainTransport(site.url))
    dance.finish(dance.begin(), jira.verifier)

    assert [(request.method, request.path) for request in site.asked] == [
        ("POST", "/jira/plugins/servlet/oauth/request-token"),
        ("POST", "/jira/plugins/servlet/oauth/access-token"),
    ]


@pytest.mark.parametrize("verifier", ["denied", "", " "])
def test_a_user_who_says_no_is_heard(site: Site, dance: Dance, verifier: str) -> None:
    """The upstream is not asked for a token then."""
    pending = dance.begin()

    with pytest.raises(LinkError, match="did not allow it"):
        dance.finish(pending, verifier)
    assert len(site.asked) == 1


def test_a_wrong_code_is_refused(dance: Dance) -> None:
    """The message says what to do."""
    with pytest.raises(LinkError, match=r"token_rejected.*begin again"):
        dance.finish(dance.begin(), "wrong")


def test_a_wrong_key_is_refused_without_what_was_signed(site: Site) -> None:
    """Jira quotes the signed text; we don't."""
    with pytest.raises(LinkError, match=r"signature_invalid.*public half") as caught:
        dance_with(site, key=private_key(1024)).begin()

    assert "geheim" not in str(caught.value)
    assert "base_string" not in str(caught.value)


PROBLEMS = [
    ("nonce_used", "begin again"),
    ("timestamp_refused", "set the clock"),
    ("consumer_key_unknown", "app.auth.consumer_key"),
    ("permission_denied", "did not allow it"),
    ("token_rejected", "within 10 minutes"),
    ("some_new_problem", "application link"),
]


@pytest.mark.parametrize(("problem", "words"), PROBLEMS)
@pytest.mark.parametrize("in_header", [False, True])
def test_problems_are_told_in_our_words(
    jira: LinkedJira, dance: Dance, problem: str, words: str, in_header: bool
) -> None:
    """Wherever the upstream says it: in a form, or in its challenge."""
    header = {"WWW-Authenticate": f'OAuth realm="http%3A%2F%2Fjira", oauth_problem="{problem}"'} if in_header else {}
    body = "<html>" if in_header else f"oauth_problem={problem}&oauth_signature_base_string=geheim"
    jira.problem = Response(body, 401, headers=header)

    with pytest.raises(LinkError, match=f"{problem}.*{words}") as caught:
        dance.begin()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Response("oauth_token=x&oauth_token_secret=geheim", 302, headers={"Location": "/login.jsp"}),
        lambda: Response("<html>geheim", 404),
        lambda: Response("<html>geheim"),
        lambda: Response("oauth_token=geheim"),
        lambda: Response("oauth_token=&oauth_token_secret=geheim"),
    ],
)
def test_what_is_no_token_breaks_the_link(jira: LinkedJira, dance: Dance, answer: Any) -> None:
    """No part of the answer is shown."""
    jira.problem = answer()

    with pytest.raises(LinkError, match=r"app\.upstream") as caught:
        dance.begin()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_outage_is_no_refusal(jira: LinkedJira, dance: Dance, status: int) -> None:
    """It is to be tried again."""
    jira.problem = Response("oauth_problem=token_rejected", status)

    with pytest.raises(UpstreamError, match="try again later"):
        dance.begin()


def test_nothing_shows_the_tokens(jira: LinkedJira, dance: Dance) -> None:
    """Neither what waits nor what comes out has them in its repr."""
    pending = dance.begin()
    credential = dance.finish(pending, jira.verifier)

    assert not any(text in repr(pending) + repr(credential) for text in ("request/0", "s1+", "access/1", "s2+"))


def test_settings_are_judged_at_once(site: Site) -> None:
    """A key that is none is missed before the upstream is asked."""
    with pytest.raises(ConfigurationError, match="private key"):
        dance_with(site, key="no key")
