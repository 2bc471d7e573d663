"""What the application sees of a grant, and what it never sees."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware import annotate as room
from patmiddleware.annotate import Scrub, annotate, annotate_none, fold, grant_from, native, take_away
from patmiddleware.errors import ConfigurationError
from patmiddleware.model import Denied, Grant, Reason

GRANT = Grant(token_id="t1", owner="alice", scheme="Basic")


def scrubbed(*names: str, scrub: Scrub | None = None) -> set[str]:
    """Give what is left of these keys."""
    environ: dict[str, Any] = dict.fromkeys(names, "forged")
    (scrub or Scrub()).clean(environ)
    return set(environ)


OURS = ["status", "grant", "denied", "request_id", "credential", "anything", ""]

FORGED_HEADERS = [
    "Remote-User",
    "Remote-Groups",
    "Remote-Name",
    "Remote-Email",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Remote-User",
    "X-Remote-Group",
    "X-Remote-Extra-Scopes",
    "X-WebAuth-User",
    "X-WebAuth-Email",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Access-Token",
    "X-Authenticated-User",
    "X-Authenticated-Groups",
    "X-Authentik-Username",
    "X-Goog-Authenticated-User-Email",
    "X-Identity-Status",
    "X-User",
    "X-User-Id",
    "X-User-Name",
    "X-User-Domain-Id",
    "X-Username",
    "X-Role",
    "X-Roles",
    "X-Groups",
    "X-Is-Admin-Project",
    "X-Seraph-User",
    "X-AUSERNAME",
    "X-MS-Client-Principal",
    "X-MS-Client-Principal-Name",
    "X-Amzn-Oidc-Identity",
    "X-Pomerium-Claim-Email",
    "X-Vouch-User",
    "Tailscale-User-Login",
    "Cf-Access-Authenticated-User-Email",
    "X-Service-Identity-Status",
    "X-Service-Roles",
    "X-Service-User-Id",
    "X-Service-Project-Domain-Name",
    "X-Service-Catalog",
    "X-Project-Domain-Id",
    "X-Domain-Id",
    "OpenStack-System-Scope",
    "X-Auth-Username",
    "X-Auth-Roles",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "Client-Cert",
    "X-SSL-Cert",
    "X-SSL-Client-S-DN",
    "SSL-Client-Verify",
    "X-Client-Cert-Leaf",
    "X-Amzn-Mtls-Clientcert-Subject",
    "X-ARR-ClientCert",
    "l5d-client-id",
    "X-Consumer-Username",
    "X-Consumer-Groups",
    "X-Credential-Identifier",
    "X-Anonymous-Consumer",
    "X-Userinfo",
    "OIDC_access_token",
    "OIDC_CLAIM_email",
    "Shib-Identity-Provider",
    "Affiliation",
    "Entitlement",
    "Mellon-Name-Id",
    "CAS-User",
    "SM_USER",
    "SM_UNIVERSALID",
    "SMUSER",
    "iv-user",
    "iv-groups",
    "OAM_REMOTE_USER",
    "X-MS-Token-AAD-Id-Token",
    "Tailscale-App-Capabilities",
    "Cf-Access-Jwt-Assertion",
    "X-Goog-IAP-JWT-Assertion",
    "X-AppEngine-User-Email",
    "X-Endpoint-API-UserInfo",
    "Teleport-Jwt-Assertion",
    "X-JWT-Assertion",
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Original-URL",
    "X-Rewrite-URL",
]


@pytest.mark.parametrize("name", FORGED_HEADERS)
def test_identity_headers_are_removed(name: str) -> None:
    """No header that a downstream could take for identity, method or path gets through."""
    assert scrubbed("HTTP_" + name.upper().replace("-", "_")) == set()


@pytest.mark.parametrize(
    "name", ["REMOTE_USER", "AUTH_TYPE", "REMOTE_IDENT", *(f"patmiddleware.{name}" for name in OURS)]
)
def test_own_and_server_keys_are_removed(name: str) -> None:
    """What we or the server say is removed before we say it."""
    assert scrubbed(name) == set()


def spellings(name: str) -> list[str]:
    """Give the environ keys that servers have been seen to make of one header, and worse."""
    parts = name.upper().split("-")
    found = ["HTTP_" + parts[0]]
    for part in parts[1:]:
        found = [f"{begin}{sign}{part}" for begin in found for sign in "_-. ~"]
    found += [f"http_{name.lower()}", f"Http_{name}", f"HTTP_{name}"]
    return [spelling + blank for spelling in found for blank in ("", " ", "\t", "\x0b", "\xa0", "\x1c")]


@pytest.mark.parametrize("name", ["X-User", "X-Forwarded-User", "Remote-User", "X-AUSERNAME", "X-Is-Admin-Project"])
def test_every_spelling_of_a_name_is_removed(name: str) -> None:
    """Dashes, underscores, dots, blanks around and another case change nothing: names are compared folded."""
    assert scrubbed(*spellings(name)) == set()


@pytest.mark.parametrize(
    "name", ["PatMiddleware.Grant", "PATMIDDLEWARE.GRANT", "patmiddleware_grant", " patmiddleware.grant"]
)
def test_every_spelling_of_our_keys_is_removed(name: str) -> None:
    """Our own keys are compared folded as well."""
    assert scrubbed(name) == set()


@pytest.mark.parametrize(
    "name", ["HTTP_AUTHORIZATION ", "HTTP-AUTHORIZATION", "http_authorization", "HTTP_AUTHORIZATION\t"]
)
def test_shadow_of_the_credential_is_removed(name: str) -> None:
    """A second spelling of Authorization, as three servers make of a blank before the colon, is not passed on."""
    assert scrubbed(name, "HTTP_AUTHORIZATION") == {"HTTP_AUTHORIZATION"}


HARMLESS = [
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "CONTENT_TYPE",
    "CONTENT_LENGTH",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "REMOTE_HOST",
    "RAW_URI",
    "REQUEST_URI",
    "HTTP_HOST",
    "HTTP_ACCEPT",
    "HTTP_USER_AGENT",
    "HTTP_COOKIE",
    "HTTP_AUTHORIZATION",
    "HTTP_X_API_KEY",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REQUEST_ID",
    "HTTP_X_REQUESTED_WITH",
    "HTTP_X_ATLASSIAN_TOKEN",
    "HTTP_X_AUTH_TOKEN",
    "HTTP_X_AUTH_KEY",
    "HTTP_X_ACCESS_TOKEN",
    "HTTP_X_TENANT_ID",
    "HTTP_X_PROJECT_ID",
    "HTTP_X_SERVICE_NAME",
    "HTTP_X_CONSUMER_KEY",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_REAL_IP",
    "HTTP_X_JWT_TOKEN",
    "HTTP_X_AMZN_TRACE_ID",
    "HTTP_CF_ACCESS_CLIENT_ID",
    "HTTP_CF_CONNECTING_IP",
    "HTTP_X_GOOG_API_KEY",
    "HTTP_X_MS_VERSION",
    "HTTP_X_CLIENT_ID",
    "HTTP_X_USERS",
    "HTTP_X_GROUP",
    "HTTP_USER",
    "wsgi.version",
    "wsgi.input",
    "wsgi.url_scheme",
    "werkzeug.request",
    "gunicorn.socket",
    "uwsgi.version",
]


def test_everything_else_stays() -> None:
    """What an application needs, and whatever is not known to say who somebody is, stays."""
    assert scrubbed(*HARMLESS) == set(HARMLESS)


def test_values_stay_as_they_are() -> None:
    """Scrubbing removes keys; it changes no value, and works in place."""
    environ: dict[str, Any] = {"HTTP_HOST": "h", "wsgi.input": object(), "HTTP_X_USER": "eve"}
    kept = {key: value for key, value in environ.items() if key != "HTTP_X_USER"}

    Scrub().clean(environ)

    assert environ == kept


def test_scrubbing_twice_is_scrubbing_once() -> None:
    """A name that was judged harmless once is so again, a bad one is bad again."""
    scrub = Scrub()

    assert [scrubbed("HTTP_HOST", "HTTP_X_USER", scrub=scrub) for _ in range(3)] == [{"HTTP_HOST"}] * 3


@pytest.mark.parametrize(
    ("extra", "gone", "stays"),
    [
        (["X-Employee"], ["HTTP_X_EMPLOYEE", "HTTP_X-EMPLOYEE", "http_x_employee "], ["HTTP_X_EMPLOYEES"]),
        (["x_employee"], ["HTTP_X_EMPLOYEE"], []),
        (["X-Corp-*"], ["HTTP_X_CORP_USER", "HTTP_X_CORP_", "HTTP_X-CORP-ID"], ["HTTP_X_CORP", "HTTP_X_CORPS"]),
        (["HTTP_X_EMPLOYEE"], ["HTTP_X_EMPLOYEE"], ["HTTP_HTTP_X_EMPLOYEE"]),
        (["HTTP_X_CORP_*"], ["HTTP_X_CORP_ID"], ["HTTP_X_CORP"]),
        (["A", "B-*"], ["HTTP_A", "HTTP_B_1", "HTTP_X_USER"], ["HTTP_B"]),
    ],
)
def test_list_can_be_extended(extra: list[str], gone: list[str], stays: list[str]) -> None:
    """A deployment can name more headers, or prefixes, that are removed."""
    assert scrubbed(*gone, *stays, scrub=Scrub(extra=extra)) == set(stays)


@pytest.mark.parametrize(
    ("keep", "gone", "stays"),
    [
        (["X-User"], ["HTTP_X_USER_ID", "HTTP_X_USERNAME"], ["HTTP_X_USER"]),
        (["X-User-*"], ["HTTP_X_USER"], ["HTTP_X_USER_ID"]),
        (["X-Original-URL"], ["HTTP_X_REWRITE_URL"], ["HTTP_X_ORIGINAL_URL"]),
        (["REMOTE_USER"], ["HTTP_REMOTE_USER", "AUTH_TYPE"], ["REMOTE_USER"]),
        (["Remote-User"], ["REMOTE_USER", "AUTH_TYPE"], ["HTTP_REMOTE_USER"]),
        (["HTTP_REMOTE_USER"], ["REMOTE_USER"], ["HTTP_REMOTE_USER"]),
        (["AUTH_TYPE", "REMOTE_USER"], ["REMOTE_IDENT", "HTTP_REMOTE_USER"], ["REMOTE_USER", "AUTH_TYPE"]),
        (["Authorization"], ["HTTP_AUTHORIZATION "], ["HTTP_AUTHORIZATION"]),
    ],
)
def test_list_can_be_cut(keep: list[str], gone: list[str], stays: list[str]) -> None:
    """A deployment can name headers to leave alone; what the server sets is told apart from a header of its name."""
    assert scrubbed(*gone, *stays, scrub=Scrub(keep=keep)) == set(stays)


def test_more_can_be_kept_later() -> None:
    """The middleware keeps what carries keys, on top of what was asked for."""
    scrub = Scrub(extra=["X-Employee"], keep=["X-User"]).keeping(["HTTP_X_USERNAME"])

    assert scrubbed("HTTP_X_EMPLOYEE", "HTTP_X_USER", "HTTP_X_USERNAME", "HTTP_X_ROLES", scrub=scrub) == {
        "HTTP_X_USER",
        "HTTP_X_USERNAME",
    }


@pytest.mark.parametrize(
    "name", ["patmiddleware.grant", "patmiddleware.status", "patmiddleware.*", "patmiddleware*", "PATMIDDLEWARE.x"]
)
def test_own_keys_are_never_kept(name: str) -> None:
    """No setting makes our own keys forgeable."""
    with pytest.raises(ConfigurationError, match="can't be kept"):
        Scrub(keep=[name])


@pytest.mark.parametrize(
    "names", [[""], ["*"], ["X-*-User"], ["X User"], ["X-User\n"], ["X-User **"], ["X-\u00dcser"], "X-User"]
)
@pytest.mark.parametrize("option", ["extra", "keep"])
def test_what_is_no_name_is_refused(option: str, names: object) -> None:
    """A setting that would silently protect nothing, or everything, is refused."""
    with pytest.raises(ConfigurationError) as caught:
        Scrub(**{option: names})  # type: ignore[arg-type]

    assert [problem.setting for problem in caught.value.problems] == [f"scrub.{option}"]


def test_memo_is_bounded() -> None:
    """However many names a client makes up, few are remembered, and no long one."""
    scrub = Scrub()

    for number in range(5_000):
        scrubbed(f"HTTP_X_{number}", "HTTP_Y" * 1_000, scrub=scrub)

    assert len(scrub._harmless) <= 1_024
    assert max(map(len, scrub._harmless)) <= 256
    assert scrubbed("HTTP_X_USER", "HTTP_HOST", scrub=scrub) == {"HTTP_HOST"}


def is_forgeable(name: str) -> bool:
    """Say by the letter of the list whether a key is removed."""
    folded = re.sub("[^A-Z0-9]", "_", name.strip().upper())
    for listed in room.FORGEABLE:
        plain = re.sub("[^A-Z0-9]", "_", listed.rstrip("*").upper())
        if folded == plain or (listed.endswith("*") and folded.startswith(plain)):
            return True
    return folded == "HTTP_AUTHORIZATION" and name != folded


LISTED = st.sampled_from(room.FORGEABLE).map(lambda name: name.rstrip("*"))
NAMES = st.builds(
    lambda name, end, sign, case: case((name + end).replace("_", sign)),
    LISTED | st.sampled_from(HARMLESS),
    st.text(alphabet="_-. AXS*\t", max_size=3),
    st.sampled_from("_-. "),
    st.sampled_from([str, str.lower, str.title]),
)


@given(st.lists(NAMES | st.text(max_size=30), max_size=12))
def test_what_goes_is_what_the_list_says(names: list[str]) -> None:
    """Exactly the names of the list go, in whatever spelling."""
    assert scrubbed(*names) == {name for name in names if not is_forgeable(name)}


@given(st.text(max_size=20))
def test_folding_twice_is_folding_once(name: str) -> None:
    """The folded form is its own folded form."""
    assert fold(fold(name)) == fold(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alice", "alice"),
        ("josé", "jos\xc3\xa9"),
        ("\U0001f600", "\xf0\x9f\x98\x80"),
        ("\udcff", "\xed\xb3\xbf"),
        ("", ""),
    ],
)
def test_native_string_is_utf8_as_latin1(text: str, expected: str) -> None:
    """A name reaches the environ as PEP 3333 has it; one that can't be UTF-8 raises nothing."""
    assert native(text) == expected


def test_grant_is_written() -> None:
    """A confirmed grant shows as user, kind, status and grant."""
    environ: dict[str, Any] = {"PATH_INFO": "/"}

    annotate(environ, GRANT, "alice")

    assert environ == {
        "PATH_INFO": "/",
        "REMOTE_USER": "alice",
        "AUTH_TYPE": "Basic",
        "patmiddleware.status": "confirmed",
        "patmiddleware.grant": GRANT,
    }


def test_absence_is_written() -> None:
    """Without a credential there is a status and no grant, no user and no kind."""
    environ: dict[str, Any] = {}

    annotate_none(environ, None)

    assert environ == {"patmiddleware.status": "absent", "patmiddleware.grant": None}


def test_invalid_credential_is_written() -> None:
    """A credential that was let through though it is bad shows with its refusal."""
    environ: dict[str, Any] = {}
    denied = Denied(Reason.EXPIRED)

    annotate_none(environ, denied)

    assert environ == {"patmiddleware.status": "invalid", "patmiddleware.grant": None, "patmiddleware.denied": denied}


def test_accepted_credential_is_taken_away() -> None:
    """The headers of a credential go, whether they are there or not."""
    environ: dict[str, Any] = {"HTTP_AUTHORIZATION": "Bearer x", "HTTP_HOST": "h"}

    take_away(environ, ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY"))

    assert environ == {"HTTP_HOST": "h"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"patmiddleware.grant": None}, None),
        ({"patmiddleware.grant": GRANT}, GRANT),
        ({"patmiddleware.grant": "alice"}, None),
        ({"REMOTE_USER": "alice"}, None),
    ],
)
def test_grant_is_read(environ: dict[str, Any], expected: Grant | None) -> None:
    """The application gets the grant, or None; nothing else passes for one."""
    assert grant_from(environ) == expected


def test_every_key_is_documented() -> None:
    """The module's docstring names every key that is written."""
    keys = [value for name, value in vars(room).items() if name.isupper() and str(value).startswith("patmiddleware.")]

    assert len(keys) == 5
    assert [key for key in (*keys, "REMOTE_USER", "AUTH_TYPE") if f"``{key}``" not in (room.__doc__ or "")] == []
