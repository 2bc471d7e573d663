"""Whose address a request comes from."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patmiddleware.addresses import Addresses
from patmiddleware.errors import ConfigurationError

PROXIES = ["10.0.0.0/8", "2001:db8:1::/48"]
PROXY = "10.0.0.1"


def client(peer: str | None, *forwarded: str, trusted: list[str] | None = None) -> str | None:
    """Give the client's address, as text."""
    environ = {"REMOTE_ADDR": peer} if peer is not None else {}
    for value in forwarded:
        environ["HTTP_X_FORWARDED_FOR"] = value
    address = Addresses(PROXIES if trusted is None else trusted).client(environ)
    return None if address is None else str(address)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.7%1", "192.0.2.7"),
        ("", None),
        (None, None),
        ("unix:", None),
        ("localhost", None),
        ("192.0.2.7:443", None),
        ("192.0.2.007", None),
        ("192.0.2", None),
        ("3221225991", None),
        (" 192.0.2.7", None),
        ("192.0.2.7%eth0", None),
        ("\u0661.2.3.4", None),
    ],
)
def test_peer_is_the_client(peer: str | None, expected: str | None) -> None:
    """Without a proxy the address is that of the connection, in one form for each."""
    assert client(peer) == expected


@pytest.mark.parametrize("forwarded", ["192.0.2.7", "10.9.9.9", "127.0.0.1", "unknown", ""])
@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("198.51.100.1", PROXIES),
        ("198.51.100.1", ["unix"]),
        ("198.51.100.1", []),
        ("127.0.0.1", []),
        ("11.0.0.1", PROXIES),
        ("2001:db8:2::1", PROXIES),
    ],
)
def test_nobody_else_is_believed(peer: str, trusted: list[str], forwarded: str) -> None:
    """What a peer says that is not trusted is as if it had said nothing; loopback is trusted by nobody's leave."""
    assert client(peer, forwarded, trusted=trusted) == peer


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7 ", "192.0.2.7"),
        ("\t192.0.2.7\t", "192.0.2.7"),
        # the right-most that is not ours: what stands before it anybody may have written
        ("1.1.1.1, 192.0.2.7", "192.0.2.7"),
        ("1.1.1.1,192.0.2.7", "192.0.2.7"),
        ("10.0.0.5, 192.0.2.7", "192.0.2.7"),
        ("127.0.0.1, 10.1.1.1, 192.0.2.7, 10.0.0.9", "192.0.2.7"),
        ("192.0.2.7, 10.0.0.9, 10.0.0.8", "192.0.2.7"),
        ("192.0.2.7, 2001:db8:1::9, 10.0.0.8", "192.0.2.7"),
        ("garbage, 192.0.2.7", "192.0.2.7"),
        (", 192.0.2.7", "192.0.2.7"),
        # all of them ours: the first
        ("10.0.0.5", "10.0.0.5"),
        ("10.0.0.5, 10.0.0.6", "10.0.0.5"),
        # ports, brackets, zones, mapped addresses
        ("192.0.2.7:51234", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("[fe80::1%eth0]:443", "fe80::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
        ("192.0.2.7, ::ffff:10.0.0.9", "192.0.2.7"),
        # what can't be read: not known, rather than what stands before it
        ("", None),
        (" ", None),
        (",", None),
        ("192.0.2.7,", None),
        ("192.0.2.7, unknown", None),
        ("192.0.2.7, _hidden", None),
        ("192.0.2.7, garbage, 10.0.0.9", None),
        ("1.1.1.12.2.2.2", None),  # one server glues two headers together
        ("192.0.2.7 10.0.0.1", None),
        ("192.0.2.7;10.0.0.1", None),
        ('"192.0.2.7"', None),
        ("for=192.0.2.7", None),
        ("192.0.2.7:", None),
        ("192.0.2.7:999999", None),
        ("192.0.2.7:x", None),
        ("192.0.2.256", None),
        ("0xC0.0.2.7", None),
        ("192.0.2.7/32", None),
        ("[192.0.2.7", None),
        ("[]", None),
        ("[2001:db8::7]443", None),
        ("2001:db8::7:::443", None),
        ("192.0.2.7\x0b", None),
        ("\xa0192.0.2.7", None),
        ("192.0.2.7\r\n", None),
        ("unix:", None),
        ("1" * 5_000, None),
    ],
)
def test_trusted_proxy_is_believed(forwarded: str, expected: str | None) -> None:
    """Behind a trusted proxy the client is the right-most hop that is not one; what can't be read is not known."""
    assert client(PROXY, forwarded) == expected


def test_proxy_that_says_nothing_is_the_client() -> None:
    """Without the header the connection's own address counts, even a proxy's."""
    assert client(PROXY) == PROXY


@pytest.mark.parametrize(
    ("peer", "trusted", "expected"),
    [
        ("", ["unix"], "192.0.2.7"),
        (None, ["unix"], "192.0.2.7"),
        ("unix:", ["unix"], "192.0.2.7"),
        ("unix:/run/app.sock", ["unix"], "192.0.2.7"),
        ("localhost", ["unix"], "192.0.2.7"),
        ("<local>", ["unix"], "192.0.2.7"),
        ("localhost", PROXIES, None),
        ("", [*PROXIES, "unix"], "192.0.2.7"),
        (PROXY, [*PROXIES, "unix"], "192.0.2.7"),
        ("", PROXIES, None),
        ("unix:", PROXIES, None),
        ("garbage", ["unix"], None),
        ("127.0.0.1", ["unix"], "127.0.0.1"),
    ],
)
def test_socket_without_an_address_can_be_trusted(peer: str | None, trusted: list[str], expected: str | None) -> None:
    """A proxy on a Unix socket has no address: it is trusted by the word unix, and by nothing else."""
    assert client(peer, "1.1.1.1, 192.0.2.7", trusted=trusted) == expected


def test_hop_without_an_address_is_no_socket() -> None:
    """An unreadable hop is not taken for a trusted Unix socket."""
    assert client("", "192.0.2.7, unix:", trusted=["unix"]) is None
    assert client("", "192.0.2.7, ", trusted=["unix"]) is None


@pytest.mark.parametrize(
    ("peer", "trusted", "expected"),
    [
        (PROXY, PROXIES, True),
        ("2001:db8:1::1", PROXIES, True),
        ("::ffff:10.0.0.1", PROXIES, True),
        ("11.0.0.1", PROXIES, False),
        ("", PROXIES, False),
        ("", ["unix"], True),
        (PROXY, ["unix"], False),
        (PROXY, [], False),
        ("", [], False),
        ("garbage", PROXIES, False),
    ],
)
def test_who_is_trusted(peer: str, trusted: list[str], expected: bool) -> None:
    """A peer is trusted if it is in one of the networks, of either version."""
    assert Addresses(trusted).is_trusted({"REMOTE_ADDR": peer}) == expected


@pytest.mark.parametrize(
    ("environ", "trusted", "expected"),
    [
        ({"REMOTE_ADDR": "192.0.2.7"}, [], "192.0.2.7"),
        ({"REMOTE_ADDR": "192.0.2.7", "HTTP_X_FORWARDED_FOR": "1.1.1.1"}, [], "192.0.2.7"),
        ({"REMOTE_ADDR": ""}, [], None),
        ({}, [], None),
        ({"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": "192.0.2.7:80"}, PROXIES, "192.0.2.7"),
        ({"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": "x\ny"}, PROXIES, None),
    ],
)
def test_text_for_the_records(environ: dict[str, str], trusted: list[str], expected: str | None) -> None:
    """Records show the client's address, and nothing that a client made up."""
    assert Addresses(trusted).text(environ) == expected


def test_networks_may_be_objects() -> None:
    """Networks are taken as text and as objects; a single address is a network."""
    addresses = Addresses([ip_network("10.0.0.0/8"), "192.0.2.1"])

    assert [addresses.is_trusted({"REMOTE_ADDR": peer}) for peer in ("10.1.1.1", "192.0.2.1", "192.0.2.2")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/33", "localhost", "", "*", "Unix", "unix:", "all"])
def test_what_is_no_network_is_refused(network: str) -> None:
    """A mistake in what is trusted is refused at the start, with what would be right."""
    with pytest.raises(ConfigurationError) as caught:
        Addresses(["10.0.0.0/8", network])

    assert [(problem.setting, problem.id) for problem in caught.value.problems] == [("trusted_proxies", "PAT-E020")]
    assert "10.0.0.0/8" in caught.value.problems[0].hint


def test_all_wrong_networks_are_told() -> None:
    """All that is wrong is told at once."""
    with pytest.raises(ConfigurationError) as caught:
        Addresses(["a", "10.0.0.0/8", "b"])

    assert len(caught.value.problems) == 2


def test_one_string_is_no_list() -> None:
    """A string would be taken apart into its letters, so it is refused."""
    with pytest.raises(ConfigurationError, match="takes a list"):
        Addresses("10.0.0.0/8")


def test_memo_is_bounded() -> None:
    """However many addresses are made up, few are remembered, and no long text."""
    addresses = Addresses(["unix"])

    for number in range(10_000):
        addresses.client({"REMOTE_ADDR": "", "HTTP_X_FORWARDED_FOR": f"{'x' * (number % 100)}{number}"})

    assert len(addresses._memo) <= 4_096
    assert max(map(len, addresses._memo)) <= 64


ADDRESSES = st.ip_addresses().map(str)
HOPS = st.lists(ADDRESSES | st.text(alphabet="0123456789abcdef.:[]%, x", max_size=12), max_size=4).map(", ".join)


@given(ADDRESSES, HOPS)
def test_spoofing_changes_nothing(real: str, forged: str) -> None:
    """Whatever a client sends along, the address that the trusted proxy saw is the one that counts."""
    assert client(PROXY, f"{forged}, {real}", trusted=[PROXY]) == client(PROXY, real, trusted=[PROXY])


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_answered(peer: str, forwarded: str) -> None:
    """No header and no peer raises an error."""
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    addresses = Addresses(["0.0.0.0/0", "::/0", "unix"])

    assert addresses.text(environ) is None or addresses.client(environ) is not None
