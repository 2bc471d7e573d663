"""OAuth 1.0a at the strict stand-in: signed by oauthlib's client side, verified by its server side, over real HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import pytest
from services.jira import PASSWORDS, JiraServer, application_link, key_pair

pytest.importorskip("jwt")
pytest.importorskip("cryptography")
oauth1 = pytest.importorskip("oauthlib.oauth1")
requests = pytest.importorskip("requests")

MYSELF = "/rest/api/2/myself"
DANCE = "/plugins/servlet/oauth"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def server(start_jira: Any) -> JiraServer:
    """A stand-in with two links: one that may impersonate, and one that may do no two-legged request."""
    both = [application_link("gate", execute_as="svc-gate", impersonation=True), application_link("bare")]
    running: JiraServer = start_jira(links=both)
    return running


@pytest.fixture
def client() -> Iterator[Any]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


class TwoLegged(oauth1.Client):  # type: ignore[misc]  # it is imported where it is there
    """Signs without a token, and says so."""

    def get_oauth_params(self, request: Any) -> list[tuple[str, str]]:
        return [*super().get_oauth_params(request), ("oauth_token", "")]


def signed(
    uri: str,
    method: str = "GET",
    body: str = "",
    key: str = "gate",
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> tuple[str, dict[str, str]]:
    """Give the address and the headers of a signed request."""
    options = {"signature_method": oauth1.SIGNATURE_RSA, "rsa_key": key_pair()[0]} | more
    given = dict(headers or {}) | ({"Content-Type": FORM} if body else {})
    has_two_legs = "resource_owner_key" not in options and DANCE not in uri
    kind = TwoLegged if has_two_legs else oauth1.Client
    address, sent, _ = kind(key, **options).sign(uri, method, body or None, given)
    return address, sent


def problem(answer: Any) -> str:
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("OAuth realm=")
    return dict(parse_qsl(answer.text))["oauth_problem"]


# -- two legs ----------------------------------------------------------------------------------------------------------


def test_two_legs_run_as_the_links_user(server: JiraServer, client: Any) -> None:
    """Without a token a request runs as the user whom the link names."""
    uri, headers = signed(server.url + MYSELF)

    answer = client.get(uri, headers=headers)

    assert (answer.json()["name"], answer.headers["X-AUSERNAME"]) == ("svc-gate", "svc-gate")
    assert [(seen.user, seen.how) for seen in server.log] == [("svc-gate", "oauth")]


def test_two_legs_are_known_by_an_empty_token(server: JiraServer, client: Any) -> None:
    """Without one Jira passes a signature by: the caller is anonymous."""
    plain = oauth1.Client("gate", signature_method=oauth1.SIGNATURE_RSA, rsa_key=key_pair()[0])
    address, headers, _ = plain.sign(server.url + MYSELF)

    answer = client.get(address, headers=headers)

    assert (answer.status_code, answer.headers["X-AUSERNAME"]) == (401, "anonymous")
    assert "oauth_problem" not in answer.text


def test_two_legs_with_impersonation(server: JiraServer, client: Any) -> None:
    """The user who stands in the signed query is the one whom a request runs as."""
    uri, headers = signed(f"{server.url}{MYSELF}?xoauth_requestor_id=alice")

    assert client.get(uri, headers=headers).json()["name"] == "alice"


def test_the_impersonated_user_is_signed(server: JiraServer, client: Any) -> None:
    """A user who is put into the query after signing makes the signature wrong."""
    uri, headers = signed(f"{server.url}{MYSELF}?xoauth_requestor_id=alice")

    assert problem(client.get(uri.replace("alice", "admin"), headers=headers)) == "signature_invalid"
    uri, headers = signed(server.url + MYSELF)
    assert problem(client.get(f"{uri}?xoauth_requestor_id=admin", headers=headers)) == "signature_invalid"


@pytest.mark.parametrize(
    ("key", "query"), [("bare", ""), ("bare", "?xoauth_requestor_id=alice"), ("gate", "?xoauth_requestor_id=nobody")]
)
def test_two_legs_that_are_not_allowed(server: JiraServer, client: Any, key: str, query: str) -> None:
    """A link that was not told to may neither do without a token nor name a user; and the user must exist."""
    uri, headers = signed(server.url + MYSELF + query, key=key)

    assert problem(client.get(uri, headers=headers)) == "permission_denied"


@pytest.mark.parametrize("query", ["?a=1&a=2", "?jql=project%20%3D%20DEMO&x=%C3%A9", "?empty=&b", "?a=b%2Bc+d"])
def test_the_raw_query_is_signed(server: JiraServer, client: Any, query: str) -> None:
    """Whatever the query has: it counts as it stands in the request line."""
    uri, headers = signed(f"{server.url}/rest/api/2/serverInfo{query}")

    assert client.get(uri, headers=headers).status_code == 200


def test_a_form_is_signed_and_other_bodies_are_not(server: JiraServer, client: Any) -> None:
    """The fields of a form belong to the signature; JSON may be anything."""
    uri, headers = signed(server.url + "/plugins/servlet/standin/sink", "POST", "a=1&b=2")
    right = client.post(uri, data="a=1&b=2", headers=headers)
    uri, headers = signed(server.url + "/plugins/servlet/standin/sink", "POST", "a=1&b=2")
    wrong = client.post(uri, data="a=1&b=3", headers=headers)
    uri, headers = signed(server.url + "/plugins/servlet/standin/sink", "POST")
    other = client.post(uri, json={"a": 1}, headers=headers)

    assert (right.status_code, right.json()["bytes"], other.status_code) == (200, 7, 200)
    assert problem(wrong) == "signature_invalid"


def test_parameters_may_stand_in_the_query(server: JiraServer, client: Any) -> None:
    """A request may be signed in its query, too."""
    uri, headers = signed(server.url + MYSELF, signature_type=oauth1.SIGNATURE_TYPE_QUERY)

    assert "oauth_signature=" in uri
    assert client.get(uri, headers=headers).json()["name"] == "svc-gate"


# -- what is refused ---------------------------------------------------------------------------------------------------


def _other_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


REFUSED = [
    ({"key": "unknown"}, "consumer_key_unknown"),
    ({"signature_method": oauth1.SIGNATURE_HMAC_SHA1, "client_secret": "x"}, "signature_method_rejected"),
    ({"signature_method": "RSA-SHA512"}, "signature_method_rejected"),
    ({"resource_owner_key": "unknown"}, "token_rejected"),
    ({"timestamp": "1000000000"}, "timestamp_refused"),
    ({"timestamp": str(int(time.time()) + 86_400)}, "timestamp_refused"),
]


@pytest.mark.parametrize(("options", "expected"), REFUSED)
def test_what_is_wrong_is_told(server: JiraServer, client: Any, options: dict[str, Any], expected: str) -> None:
    """Each mistake has its own word, in a form-encoded body with status 401."""
    uri, headers = signed(server.url + MYSELF, **options)

    answer = client.get(uri, headers=headers)

    assert problem(answer) == expected
    assert answer.headers["Content-Type"].startswith(FORM)
    assert [(seen.user, seen.status) for seen in server.log] == [(None, 401)]


def test_another_key_is_told_with_the_base_string(server: JiraServer, client: Any) -> None:
    """A wrong signature is answered with what should have been signed."""
    uri, headers = signed(server.url + MYSELF, rsa_key=_other_key())

    fields = parse_qs(client.get(uri, headers=headers).text)

    assert fields["oauth_problem"] == ["signature_invalid"]
    assert fields["oauth_signature_method"] == ["RSA-SHA1"]
    assert fields["oauth_signature_base_string"][0].startswith(f"GET&{quote(server.url + MYSELF, safe='')}&")


@pytest.mark.parametrize("change", [("GET", "PUT"), ("127.0.0.1", "localhost"), ("/myself", "/myself.json")])
def test_all_of_the_address_is_signed(server: JiraServer, client: Any, change: tuple[str, str]) -> None:
    """Another method, host or path than the signed one makes the signature wrong."""
    uri, headers = signed(server.url + MYSELF)
    method, uri = ("GET".replace(*change), uri.replace(*change))

    assert problem(client.request(method, uri, headers=headers)) == "signature_invalid"


def test_a_nonce_is_good_once(server: JiraServer, client: Any) -> None:
    """The same request once more is refused, whoever sends it."""
    uri, headers = signed(server.url + MYSELF)

    first, second = (client.get(uri, headers=headers) for _ in range(2))

    assert first.status_code == 200
    assert problem(second) == "nonce_used"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("OAuth", "parameter_rejected"),
        ('OAuth oauth_consumer_key="gate"', "parameter_absent"),
    ],
)
def test_half_a_request(server: JiraServer, client: Any, header: str, expected: str) -> None:
    """What means to be signed and isn't is refused, not taken for anonymous."""
    answer = client.get(f"{server.url}/rest/api/2/serverInfo", headers={"Authorization": header})

    assert problem(answer) == expected


def test_parameters_stand_in_one_place(server: JiraServer, client: Any) -> None:
    """Parameters of OAuth in the query, beside a header that is signed, are refused."""
    uri, headers = signed(server.url + MYSELF)

    assert problem(client.get(f"{uri}?oauth_token=x", headers=headers)) == "parameter_rejected"


# -- three legs --------------------------------------------------------------------------------------------------------


def asked(server: JiraServer, client: Any, callback: str = "oob") -> dict[str, str]:
    uri, headers = signed(f"{server.url}{DANCE}/request-token", "POST", callback_uri=callback)
    answer = client.post(uri, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(parse_qsl(answer.text))


def access(server: JiraServer, client: Any, token: str, verifier: str, key: str = "gate") -> Any:
    options = {"resource_owner_key": token, "verifier": verifier}
    uri, headers = signed(f"{server.url}{DANCE}/access-token", "POST", key=key, **options)
    return client.post(uri, headers=headers)


def test_the_whole_dance(server: JiraServer, client: Any) -> None:
    """A request token, the user's word on a page, an access token: requests with it run as that user."""
    token = asked(server, client, "http://127.0.0.1:9/back?x=1")["oauth_token"]
    address = f"{server.url}{DANCE}/authorize?oauth_token={token}"
    before = client.get(address, allow_redirects=False)
    client.post(f"{server.url}/rest/auth/1/session", json={"username": "bob", "password": PASSWORDS["bob"]})
    page = client.get(address)
    fields = {"oauth_token": token, "approve": "Allow"}
    back = client.post(f"{server.url}{DANCE}/authorize", data=fields, allow_redirects=False)
    client.cookies.clear()
    returned = dict(parse_qsl(urlsplit(back.headers["Location"]).query))
    granted = dict(parse_qsl(access(server, client, token, returned["oauth_verifier"]).text))
    uri, headers = signed(server.url + MYSELF, resource_owner_key=granted["oauth_token"])

    assert (before.status_code, "/login.jsp?" in before.headers["Location"]) == (302, True)
    assert 'name="approve"' in page.text
    assert (returned["x"], returned["oauth_token"]) == ("1", token)
    assert {"oauth_token", "oauth_token_secret", "oauth_session_handle", "oauth_expires_in"} <= set(granted)
    assert client.get(uri, headers=headers).json()["name"] == "bob"


def test_without_an_address_the_page_shows_the_verifier(server: JiraServer, client: Any) -> None:
    """With ``oob`` the user copies it."""
    token = asked(server, client)["oauth_token"]
    client.post(f"{server.url}/rest/auth/1/session", json={"username": "bob", "password": PASSWORDS["bob"]})

    page = client.post(f"{server.url}{DANCE}/authorize", data={"oauth_token": token, "approve": "Allow"}).text

    verifier = page.partition("Your verification code is '")[2].partition("'")[0]
    assert access(server, client, token, verifier).status_code == 200


def test_denial(server: JiraServer, client: Any) -> None:
    """Who denies sends the application back with a verifier that says so, and no token comes of it."""
    token = asked(server, client)["oauth_token"]

    verifier = server.standin.links.deny(token)

    assert verifier == "denied"
    assert problem(access(server, client, token, verifier)) == "permission_denied"


def test_no_access_before_the_users_word(server: JiraServer, client: Any) -> None:
    """A request token that nobody approved is not exchanged."""
    token = asked(server, client)["oauth_token"]

    assert problem(access(server, client, token, "guess")) == "permission_unknown"


def test_a_request_token_is_exchanged_once_by_its_own_application(server: JiraServer, client: Any) -> None:
    """A wrong verifier, another application and a second time are refused."""
    token = asked(server, client)["oauth_token"]
    verifier = server.standin.links.approve(token, "alice")

    assert problem(access(server, client, token, "wrong")) == "token_rejected"
    assert problem(access(server, client, token, verifier, key="bare")) == "token_rejected"
    assert access(server, client, token, verifier).status_code == 200
    assert problem(access(server, client, token, verifier)) == "token_rejected"


def test_a_revoked_token_is_rejected(server: JiraServer, client: Any) -> None:
    """A token is good until its user takes it back."""
    token = server.standin.links.grant("gate", "alice")
    uri, headers = signed(server.url + MYSELF, resource_owner_key=token)
    first = client.get(uri, headers=headers)
    server.standin.links.revoke(token)
    uri, headers = signed(server.url + MYSELF, resource_owner_key=token)

    assert first.json()["name"] == "alice"
    assert problem(client.get(uri, headers=headers)) == "token_rejected"


def test_a_request_token_is_no_access_token(server: JiraServer, client: Any) -> None:
    """Not even an approved one."""
    token = asked(server, client)["oauth_token"]
    server.standin.links.approve(token, "alice")
    uri, headers = signed(server.url + MYSELF, resource_owner_key=token)

    assert problem(client.get(uri, headers=headers)) == "token_rejected"


def test_jira_client(server: JiraServer) -> None:
    """PyPI's ``jira`` tries HMAC-SHA1 first, which is refused, and then RSA-SHA1, which is not."""
    jira = pytest.importorskip("jira")
    pytest.importorskip("requests_oauthlib")
    token = server.standin.links.grant("gate", "carol")
    oauth = {"access_token": token, "access_token_secret": "", "consumer_key": "gate", "key_cert": key_pair()[0]}

    remote = jira.JIRA(server.url, oauth=oauth, max_retries=0)

    assert remote.myself()["name"] == "carol"
    assert len(remote.search_issues("project = DEMO")) == 12
    assert (server.log[0].status, server.log[1].status) == (401, 200)
    remote.close()
