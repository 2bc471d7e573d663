"""From request headers to a credential, a refusal, or nothing."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.credentials import MAXIMUM_LENGTH, Carriers, credential, parse_authorization, take
from patmiddleware.errors import ConfigurationError
from patmiddleware.model import Credential, Denied, Reason, Secret

EVERY_SCHEME = ("bearer", "basic", "token")
B64TOKEN = "ABCXYZabcxyz0189-._~+/"


def basic(pair: str | bytes, encode: Callable[[bytes], bytes] = b64encode) -> str:
    return "Basic " + encode(pair if isinstance(pair, bytes) else pair.encode()).decode()


def told(result: Credential | Denied | None) -> tuple[str, str | None, str] | Reason | None:
    """Give a result in a form that a table can show."""
    if isinstance(result, Credential):
        return result.scheme, result.username, result.secret.reveal()
    return None if result is None else result.reason


def read(value: str | None, *accept: str) -> tuple[str, str | None, str] | Reason | None:
    return told(parse_authorization(value, accept or EVERY_SCHEME))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Bearer abc", ("Bearer", None, "abc")),
        ("bearer abc", ("Bearer", None, "abc")),
        ("bEARER abc", ("Bearer", None, "abc")),
        ("Bearer    abc", ("Bearer", None, "abc")),
        ("Bearer abc  ", ("Bearer", None, "abc")),
        (" \t Bearer abc\t ", ("Bearer", None, "abc")),
        ("Bearer " + B64TOKEN, ("Bearer", None, B64TOKEN)),
        ("Bearer abc==", ("Bearer", None, "abc==")),
        ("Bearer a.b.c", ("Bearer", None, "a.b.c")),
        ("Bearer bearer", ("Bearer", None, "bearer")),
        ("Bearer Bearer", ("Bearer", None, "Bearer")),
        ("Bearer ../../etc/passwd", ("Bearer", None, "../../etc/passwd")),
        ("Token abc", ("Token", None, "abc")),
        ("TOKEN abc", ("Token", None, "abc")),
        (basic("alice:abc"), ("Basic", "alice", "abc")),
        (basic("alice:abc").replace("Basic", "bAsIc"), ("Basic", "alice", "abc")),
        (basic("alice:abc").replace(" ", "   "), ("Basic", "alice", "abc")),
        (basic("alice:a:b:c"), ("Basic", "alice", "a:b:c")),
        (basic("alice:"), ("Basic", "alice", "")),
        (basic(":abc"), ("Basic", "", "abc")),
        (basic(":"), ("Basic", "", "")),
        (basic("alice: a b "), ("Basic", "alice", " a b ")),
        (basic("josé@example.org:abc"), ("Basic", "josé@example.org", "abc")),
        (basic("\U0001f600:\u2028\u00a0\u00ad"), ("Basic", "\U0001f600", "\u2028\u00a0\u00ad")),
    ],
)
def test_well_formed_credential_is_read(value: str, expected: tuple[str, str | None, str]) -> None:
    """A scheme in any case, one run of spaces and a token that keeps to the grammar are a credential."""
    assert read(value) == expected


@pytest.mark.parametrize("value", [None, "", " ", "\t", " \t \t "])
def test_absent_is_not_malformed(value: str | None) -> None:
    """No header, an empty one and a blank one are all absent."""
    assert read(value) is None


SCHEME_ONLY = ["Bearer", "Bearer ", " Bearer\t", "bearer   ", "Basic", "Basic ", "Token"]

# What each server makes of two headers, of a folded one, of blanks, and of what it should have refused.
AS_SERVERS_GIVE_IT = [
    "Bearer ONE,Basic VFdP",
    "Bearer ONE, Basic VFdP",
    "Bearer ONEBasic VFdP",
    "Bearer ONE,Bearer TWO",
    "Bearer ONE, Bearer TWO",
    "Bearer ONE,TWO",
    "Bearer ONE,",
    ",Bearer ONE",
    ", Bearer ONE",
    "Bearer ONE;Bearer TWO",
    "Basic YTpi,Basic YTpi",
    "Basic YTpi, Basic YTpi",
    "Basic YTpiBasic YTpi",
    "Basic YTpi,Bearer ONE",
    "Bearer\r\n FOLD",
    "Bearer \r\n FOLD",
    "Bearer ONE\r\n TWO",
    "BearerFOLD,x",
    "Bearer ONE\r\nX-Admin: yes",
    "Bearer ONE\rX",
    "Bearer ONE\n",
    "Bearer ONE\r\n",
    "\nBearer ONE",
    "Bearer ONE\0",
    "Bearer O\0NE",
    "Bearer O\x01NE",
    "Bearer ONE\x7f",
]

SEPARATORS = ["\t", " \t", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0", "\u2003", "\u3000", "\0"]

NOT_B64TOKEN = ["a b", "a=b", "=", "==a", "a%20b", 'a"b', '"a"', "a:b", "a@b", "a\\b", "(a)", "ä", "a\u0661", "a\u212a"]


@pytest.mark.parametrize(
    "value",
    [
        *SCHEME_ONLY,
        *AS_SERVERS_GIVE_IT,
        *(f"Bearer{separator}abc" for separator in SEPARATORS),
        *(f"Bearer a{separator}b" for separator in SEPARATORS),
        *(f"Bearer abc{separator}" for separator in SEPARATORS if separator.strip(" \t")),
        *(f"{separator}Bearer abc" for separator in SEPARATORS if separator.strip(" \t")),
        *(f"Bearer {token}" for token in NOT_B64TOKEN),
        *(f"Token {token}" for token in NOT_B64TOKEN),
    ],
)
def test_malformed_is_refused(value: str) -> None:
    """Whatever is not exactly one credential of an accepted scheme is malformed."""
    assert read(value) == Reason.MALFORMED


@pytest.mark.parametrize(
    "scheme",
    ["To\u212aen", "Ba\u017fic", "B\u00e4rer", "\u0412earer", "Bea,rer", "Bearer,Basic", "Bearer:", '"Bearer"'],
)
def test_scheme_that_is_none_is_malformed(scheme: str) -> None:
    """A scheme is a token of ASCII: what only looks like one, such as with the sign for Kelvin, is malformed."""
    assert read(f"{scheme} abc") == Reason.MALFORMED


@pytest.mark.parametrize("value", ["Digest username=x, realm=y", "Negotiate abc", "Digest", "bearer2 a", "Bea rer a"])
def test_other_schemes_are_unsupported(value: str) -> None:
    """A scheme that isn't accepted is told apart from a credential that is malformed."""
    assert read(value) == Reason.UNSUPPORTED


@pytest.mark.parametrize("value", ["Digest a, Bearer ONE", "Negotiate x,Bearer ONE", "Foo Bearer ONE"])
def test_scheme_is_not_searched_for(value: str) -> None:
    """An accepted scheme that stands further on in the value is not found."""
    assert read(value) == Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("accept", "value", "expected"),
    [
        (("bearer",), basic("alice:abc"), Reason.UNSUPPORTED),
        (("bearer",), "Token abc", Reason.UNSUPPORTED),
        (("basic",), "Bearer abc", Reason.UNSUPPORTED),
        (("basic",), "Bearer a,b", Reason.UNSUPPORTED),
        (("token",), "Token abc", ("Token", None, "abc")),
        (("token",), "Bearer abc", Reason.UNSUPPORTED),
        (("header:X-API-Key",), "Bearer abc", Reason.UNSUPPORTED),
        (("basic", "header:X-API-Key"), basic("alice:abc"), ("Basic", "alice", "abc")),
    ],
)
def test_only_what_is_accepted_is_taken(
    accept: tuple[str, ...], value: str, expected: tuple[str, str | None, str] | Reason
) -> None:
    """The schemes that are accepted, and no others, are read."""
    assert read(value, *accept) == expected


def test_default_is_bearer_and_basic() -> None:
    """Left to itself the parser takes Bearer and Basic."""
    assert isinstance(parse_authorization("Bearer abc"), Credential)
    assert isinstance(parse_authorization(basic("alice:abc")), Credential)
    assert told(parse_authorization("Token abc")) == Reason.UNSUPPORTED


LONGEST_PASSWORD = "x" * (MAXIMUM_LENGTH // 4 * 3 - len("a:"))


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("Bearer " + "a" * 4_096, True),
        ("Bearer " + "a" * 4_097, False),
        ("Token " + "a" * 4_096, True),
        ("Token " + "a" * 4_097, False),
        (basic(f"a:{LONGEST_PASSWORD}"), True),
        (basic(f"a:{LONGEST_PASSWORD}x"), False),
        ("Bearer " + "a" * 1_000_000, False),
        ("Basic " + "a" * 1_000_000, False),
    ],
    ids=lambda value: f"{len(value)} characters" if isinstance(value, str) else "",
)
def test_length_is_bounded(value: str, fits: bool) -> None:
    """4,096 characters after the scheme are the most."""
    assert (read(value) != Reason.MALFORMED) == fits


@pytest.mark.parametrize(
    "text",
    [
        "YTpiYw",  # no padding
        "YTpiYw=",  # too little
        "YTpiYw===",  # too much
        "YTpi=",  # none was due
        "YTpi====",
        "YTpiYx==",  # stray bits: decodes to the same as YTpiYw==
        "YTpiYw==YTpi",  # goes on after the end
        "YTpiYw==A",
        "=YTpi",
        "Y=Tpi",
        "YTpiY",
        "Y",
        "=",
        "====",
        "YT pi",
        "YTpi\n",
        "YT\tpi",
        "YTpi\r\n",
        "YTpi\0",
        "YTpi*",
        "YTpi,",
        "ÿTpi",
        "YTp\u0456",
        "\udcff",
    ],
)
def test_base64_has_one_spelling(text: str) -> None:
    """Blanks, wrong padding, stray bits and strange characters are overlooked by some decoders, and refused here."""
    assert read(f"Basic {text}") == Reason.MALFORMED


def test_base64_of_urls_is_another_alphabet() -> None:
    """The URL-safe alphabet is not that of Basic."""
    pair = "a:\u07ff\u07ff~~~???"

    assert read(basic(pair)) == ("Basic", "a", "\u07ff\u07ff~~~???")
    assert set(basic(pair)[6:]) & {"+", "/"}
    assert read(basic(pair, urlsafe_b64encode)) == Reason.MALFORMED


@pytest.mark.parametrize(
    "pair",
    [
        b"alice",  # no colon
        b"\xff",
        b"al\xe9:abc",  # Latin-1
        b"alice:\xc3",  # cut short
        b"alice:\xc0\xaf",  # overlong
        b"alice:\xed\xa0\x80",  # half a character
        b"alice:\xf4\x90\x80\x80",  # beyond Unicode
        b"alice:abc\n",
        b"alice\0:abc",
        b"alice:\0",
        b"ali\tce:abc",
        b"alice:ab\x7fc",
        b"\r\n:abc",
    ],
)
def test_pair_is_utf8_without_controls(pair: bytes) -> None:
    """What Basic carries is UTF-8 with a colon, and has no control character."""
    assert read(basic(pair)) == Reason.MALFORMED


CONTROLS = [chr(code) for code in range(0x110000) if category(chr(code)) == "Cc"]


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: f"U+{ord(control):04X}")
@pytest.mark.parametrize("pair", ["al{}ice:abc", "alice:a{}bc", "{}alice:abc", "alice:abc{}"])
def test_no_control_character_stands_in_a_pair(pair: str, control: str) -> None:
    """No character of Unicode's class Cc, C1 included, stands in a user name or a password."""
    assert read(basic(pair.format(control))) == Reason.MALFORMED


@given(st.text())
def test_any_text_is_answered(value: str) -> None:
    """Whatever the header says, the answer is a credential, a refusal or nothing: never an error."""
    result = parse_authorization(value, EVERY_SCHEME)

    assert result is None or isinstance(result, Credential | Denied)


NEARLY = st.text(alphabet="BbEeAaRrSsIiCcTtOoKkNn \t,=:+/-_~\0\r\n\x85\xa0\u212a0Zz", max_size=24)


@given(st.sampled_from(["", "Bearer", "Basic", "Token", "bearer ", "BASIC  ", " Token "]), NEARLY)
def test_whatever_is_accepted_can_be_written_again(scheme: str, rest: str) -> None:
    """A credential that was accepted, written in the plain form, reads as the same credential."""
    result = parse_authorization(scheme + rest, EVERY_SCHEME)

    if isinstance(result, Credential):
        secret = result.secret.reveal()
        plain = basic(f"{result.username}:{secret}") if result.scheme == "Basic" else f"{result.scheme} {secret}"
        assert parse_authorization(plain, EVERY_SCHEME) == result


SECRETS = st.from_regex(r"[A-Za-z0-9\-._~+/]{1,40}={0,2}", fullmatch=True)
PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40)


@given(st.sampled_from(["Bearer", "Token"]), SECRETS, st.sampled_from([" ", "   "]), st.sampled_from(["", "\t "]))
def test_every_b64token_is_read(scheme: str, secret: str, gap: str, outside: str) -> None:
    """Every token of the grammar comes out as it went in."""
    assert read(f"{outside}{scheme}{gap}{secret}{outside}") == (scheme, None, secret)


@given(PLAIN_TEXT.filter(lambda name: ":" not in name), PLAIN_TEXT)
def test_every_pair_is_read(username: str, password: str) -> None:
    """Every user name without a colon, and every password, come out as they went in."""
    assert read(basic(f"{username}:{password}")) == ("Basic", username, password)


def test_the_secret_does_not_show() -> None:
    """The repr of a credential hides the token."""
    found = parse_authorization("Bearer hunter2")

    assert found == Credential("Bearer", None, Secret("hunter2"))
    assert "hunter2" not in repr(found)


KEYED = Carriers.of(("bearer", "basic", "header:X-API-Key", "header:X-Other"))
KEYS_ALONE = Carriers.of(["header:X-API-Key"])
BEARER = "Bearer ONE"


def taken(carriers: Carriers, **environ: str) -> tuple[str, str | None, str] | Reason | None:
    carried = take(environ, carriers)
    return told(credential(carried) if isinstance(carried, tuple) else carried)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTP_X_API_KEY": ""}, None),
        ({"HTTP_X_API_KEY": " \t "}, None),
        ({"HTTP_AUTHORIZATION": "", "HTTP_X_API_KEY": "", "HTTP_X_OTHER": ""}, None),
        ({"HTTP_X_API_KEY": "KEY"}, ("ApiKey", None, "KEY")),
        ({"HTTP_X_API_KEY": "\tKEY "}, ("ApiKey", None, "KEY")),
        ({"HTTP_X_OTHER": "KEY"}, ("ApiKey", None, "KEY")),
        ({"HTTP_X_API_KEY": "KEY", "HTTP_X_OTHER": " "}, ("ApiKey", None, "KEY")),
        ({"HTTP_AUTHORIZATION": " ", "HTTP_X_API_KEY": "KEY"}, ("ApiKey", None, "KEY")),
        ({"HTTP_AUTHORIZATION": BEARER, "HTTP_X_API_KEY": ""}, ("Bearer", None, "ONE")),
        ({"HTTP_AUTHORIZATION": BEARER, "HTTP_X_UNKNOWN": "KEY"}, ("Bearer", None, "ONE")),
        ({"HTTP_AUTHORIZATION": BEARER, "HTTP_X_API_KEY": "KEY"}, Reason.MALFORMED),
        ({"HTTP_AUTHORIZATION": BEARER, "HTTP_X_API_KEY": "ONE"}, Reason.MALFORMED),
        ({"HTTP_AUTHORIZATION": "Negotiate x", "HTTP_X_API_KEY": "KEY"}, Reason.MALFORMED),
        ({"HTTP_AUTHORIZATION": "Bearer a b", "HTTP_X_API_KEY": "KEY"}, Reason.MALFORMED),
        ({"HTTP_AUTHORIZATION": BEARER, "HTTP_X_API_KEY": ","}, Reason.MALFORMED),
        ({"HTTP_X_API_KEY": "KEY", "HTTP_X_OTHER": "KEY"}, Reason.MALFORMED),
        ({"HTTP_X_API_KEY": "ONE,TWO"}, Reason.MALFORMED),
        ({"HTTP_X_API_KEY": "ONE, TWO"}, Reason.MALFORMED),
        ({"HTTP_X_API_KEY": "ONE,"}, Reason.MALFORMED),
        ({"HTTP_X_API_KEY": "ONE TWO"}, Reason.MALFORMED),
        ({"HTTP_X_API_KEY": "Bearer ONE"}, Reason.MALFORMED),
        ({"HTTP_X_API_KEY": "KEY\n"}, Reason.MALFORMED),
        ({"HTTP_X_API_KEY": "KEY\x85"}, Reason.MALFORMED),
        ({"HTTP_X_API_KEY": "\xa0KEY"}, Reason.MALFORMED),
        ({"HTTP_X_API_KEY": "k\xe9y"}, Reason.MALFORMED),
        ({"HTTP_X_API_KEY": "a" * 4_096}, ("ApiKey", None, "a" * 4_096)),
        ({"HTTP_X_API_KEY": "a" * 4_097}, Reason.MALFORMED),
        ({"QUERY_STRING": "access_token=ONE&X-API-Key=KEY", "HTTP_COOKIE": "X-API-Key=KEY"}, None),
    ],
)
def test_one_carrier_is_taken(environ: dict[str, str], expected: tuple[str, str | None, str] | Reason | None) -> None:
    """A header of its own may carry a key of the same grammar; two carriers in one request are malformed."""
    assert taken(KEYED, **environ) == expected


def test_keys_may_be_all_that_is_accepted() -> None:
    """Where only keys are accepted, every scheme of the Authorization header is unsupported."""
    assert taken(KEYS_ALONE, HTTP_X_API_KEY="KEY") == ("ApiKey", None, "KEY")
    assert taken(KEYS_ALONE, HTTP_AUTHORIZATION=BEARER) == Reason.UNSUPPORTED


def test_keys_are_off_by_default() -> None:
    """A key's header is not looked at unless it is accepted."""
    assert taken(Carriers.of(["bearer"]), HTTP_X_API_KEY="KEY") is None


@pytest.mark.parametrize(
    ("accept", "schemes", "keys"),
    [
        (("bearer",), {"bearer"}, ()),
        (["basic", "token", "basic"], {"basic", "token"}, ()),
        (("header:X-API-Key",), set(), ("HTTP_X_API_KEY",)),
        (("header:x-api-key", "header:X-API-KEY", "header:X_Api_Key"), set(), ("HTTP_X_API_KEY",)),
        (("header:Private-Token", "bearer", "header:A"), {"bearer"}, ("HTTP_PRIVATE_TOKEN", "HTTP_A")),
    ],
)
def test_carriers_are_read(accept: tuple[str, ...], schemes: set[str], keys: tuple[str, ...]) -> None:
    """The setting gives schemes, and the environ keys of headers, each once and in order."""
    assert Carriers.of(accept) == Carriers(frozenset(schemes), keys)


@pytest.mark.parametrize(
    ("accept", "message"),
    [
        ((), "is empty"),
        ("bearer", "takes a list of carriers"),
        (("Bearer",), "'Bearer' is no carrier"),
        (("digest",), "'digest' is no carrier"),
        (("",), "'' is no carrier"),
        ((7,), "7 is no carrier"),
        (("header",), "'header' is no carrier"),
        (("query:token",), "'query:token' is no carrier"),
        (("form:token",), "'form:token' is no carrier"),
        (("Session",), "'Session' is no carrier"),
        (("header:",), "can't be the header"),
        (("header:X Key",), "can't be the header"),
        (("header:X-Key\r\n",), "can't be the header"),
        (("header:X-K\u00e9y",), "can't be the header"),
        (("header:X-Key:Y",), "can't be the header"),
        (("header:Authorization",), "can't be the header"),
        (("header:authorization",), "can't be the header"),
        (("header:Cookie",), "can't be the header"),
        (("header:Host",), "can't be the header"),
        (("header:Proxy-Authorization",), "can't be the header"),
        (("header:Content-Length",), "can't be the header"),
        (("header:User-Agent",), "can't be the header"),
        (("header:x-request-id",), "can't be the header"),
        (("header:X_Forwarded_For",), "can't be the header"),
    ],
)
def test_wrong_carriers_are_refused(accept: tuple[str, ...], message: str) -> None:
    """What can't carry a credential is refused at the start, and the setting is named."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        Carriers.of(accept)

    assert [problem.setting for problem in caught.value.problems] == ["accept"]


def test_parser_refuses_wrong_carriers() -> None:
    """The public function judges its carriers too."""
    with pytest.raises(ConfigurationError, match="no carrier"):
        parse_authorization("Bearer abc", ["beer"])
