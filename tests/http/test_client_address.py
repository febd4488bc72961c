"""The client's address from its peer and from what trusted proxies say of it."""

from time import perf_counter
from typing import Any

import pytest

from app.domain.addresses import parse_network
from app.http.client_address import ClientAddress, is_loopback

PROXY = "10.0.0.1"
NETWORKS = (parse_network("10.0.0.0/8"), parse_network("2001:db8:ffff::/48"))


def scope_of(peer: Any, *fields: tuple[str, str]) -> dict[str, Any]:
    """A request of a peer with these headers."""
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
    return {"client": peer if peer is None else (peer, 4711), "headers": headers}


def x_forwarded_for(*values: str, peer: str = PROXY) -> str | None:
    """Return the client address that these fields give."""
    fields = [("X-Forwarded-For", value) for value in values]
    return ClientAddress(NETWORKS).find(scope_of(peer, *fields))[0]


def forwarded(*values: str, peer: str = PROXY) -> str | None:
    """The same where `Forwarded` is read."""
    fields = [("Forwarded", value) for value in values]
    return ClientAddress(NETWORKS, forwarded=True).find(scope_of(peer, *fields))[0]


# ------------------------------------------------------------------------------- the peer


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        ("testclient", None),
    ],
)
def test_a_peer_that_is_no_proxy_is_the_client(peer: str, address: str | None) -> None:
    fields = ("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7")
    assert ClientAddress(NETWORKS).find(scope_of(peer, *fields)) == (address, False)


def test_a_unix_socket_has_no_address() -> None:
    fields = ("X-Forwarded-For", "192.0.2.7")
    assert ClientAddress(NETWORKS).find(scope_of(None, fields)) == (None, False)


@pytest.mark.parametrize("peer", [PROXY, "::ffff:10.0.0.1", "::ffff:a00:1"])
def test_a_trusted_proxy_is_trusted_in_either_form(peer: str) -> None:
    found = ClientAddress(NETWORKS).find(scope_of(peer, ("X-Forwarded-For", "192.0.2.7")))
    assert found == ("192.0.2.7", True)


def test_a_trusted_proxy_that_names_no_one_asks_for_itself() -> None:
    assert ClientAddress(NETWORKS).find(scope_of(PROXY)) == (PROXY, True)


@pytest.mark.parametrize("is_forwarded", [True, False])
def test_the_header_that_is_not_agreed_on_names_no_one(is_forwarded: bool) -> None:
    fields = ("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=198.51.100.7")
    client = ClientAddress(NETWORKS, forwarded=is_forwarded)
    assert client.find(scope_of(PROXY, fields[not is_forwarded])) == (None, True)
    both = client.find(scope_of(PROXY, *fields))
    assert both == ("198.51.100.7" if is_forwarded else "192.0.2.7", True)


# ------------------------------------------------------------------------ X-Forwarded-For


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9:51234"], "203.0.113.9"),
        (["2001:db8::1"], "2001:db8::1"),
        (["[2001:db8::1]"], "2001:db8::1"),
        (["[2001:DB8:0::1]:4711"], "2001:db8::1"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["[::ffff:203.0.113.9]:80"], "203.0.113.9"),
        (["fe80::1%eth0"], "fe80::1"),
        (["[fe80::1%25eth0]:80"], "fe80::1"),
        (["198.18.0.1, 203.0.113.9:1"], "203.0.113.9"),
        (["203.0.113.9:51234 , \t10.2.3.4:80"], "203.0.113.9"),
        (["192.0.2.7", "203.0.113.9, 10.0.0.2", "10.0.0.3"], "203.0.113.9"),
        (["203.0.113.9, [2001:db8:ffff::2]:443, ::ffff:10.9.9.9"], "203.0.113.9"),
        (["10.0.0.7, 10.0.0.8"], "10.0.0.7"),
    ],
)
def test_the_nearest_hop_that_is_no_trusted_proxy_is_the_client(
    values: list[str], address: str
) -> None:
    assert x_forwarded_for(*values) == address


@pytest.mark.parametrize(
    "hop",
    [
        *("", "unknown", "_hidden", "nonsense", "client.example.com", "203.0.113", "0x7f000001"),
        *(
            "203.0.113.9:",
            "203.0.113.9:port",
            "203.0.113.9:123456",
            "203.0.113.9 80",
            "[203.0.113.9]",
        ),
        *("[2001:db8::1", "2001:db8::1]:80", "[2001:db8::1]80", "[]:80", '"203.0.113.9"'),
        *("for=203.0.113.9", "203.0.113.9;", "010.0.0.1", "10.0.0.1/8", "\xff", "1" * 5000),
    ],
)
def test_a_hop_that_cannot_be_read_is_no_address_and_never_the_proxys(hop: str) -> None:
    assert x_forwarded_for(hop) is None
    assert x_forwarded_for(f"192.0.2.7, {hop}, 10.0.0.2") is None
    assert x_forwarded_for("192.0.2.7", hop) is None
    assert x_forwarded_for(f"{hop}, 192.0.2.7") == "192.0.2.7"


# ------------------------------------------------------------------------------ Forwarded


@pytest.mark.parametrize(
    ("values", "address"),
    [
        (["for=203.0.113.9"], "203.0.113.9"),
        (["For=203.0.113.9;proto=https;by=10.0.0.1"], "203.0.113.9"),
        (["proto=https ; FOR=203.0.113.9"], "203.0.113.9"),
        (['for="203.0.113.9:4711"'], "203.0.113.9"),
        (['for="[2001:db8::1]:4711"'], "2001:db8::1"),
        (['for="[2001:db8::1]"'], "2001:db8::1"),
        (['for="[::ffff:203.0.113.9]:_port"'], "203.0.113.9"),
        ([r'for="203.\0.113.9"'], "203.0.113.9"),
        (["for=198.18.0.1, for=203.0.113.9"], "203.0.113.9"),
        (["for=203.0.113.9,for=10.0.0.2"], "203.0.113.9"),
        (["for=192.0.2.7", "for=203.0.113.9, for=10.0.0.2", "for=10.0.0.3"], "203.0.113.9"),
        (
            ['host="a,b;c=\\"d";for=203.0.113.9', 'for=10.0.0.2;host="x, for=6.6.6.6"'],
            "203.0.113.9",
        ),
        (["for=203.0.113.9;;proto=http;"], "203.0.113.9"),
        # What the client wrote in a field of its own does not spoil the proxy's.
        (['for="broken', "for=203.0.113.9"], "203.0.113.9"),
    ],
)
def test_forwarded_is_read_as_rfc_7239_writes_it(values: list[str], address: str) -> None:
    assert forwarded(*values) == address


@pytest.mark.parametrize(
    "value",
    [
        *("", "unknown", "for", "for=", "=203.0.113.9", "for =203.0.113.9", "for= 203.0.113.9"),
        *("for=unknown", "for=_hidden", 'for="_hidden:80"', "proto=https", "by=203.0.113.9", ","),
        *("for=203.0.113.9,", "for=203.0.113.9, ,", "for=[2001:db8::1]", "for=203.0.113.9:80"),
        *('for="2001:db8::1"', 'for="203.0.113.9', 'for="203.0.113.9"x', "for='203.0.113.9'"),
        *("for=203.0.113.9;for=192.0.2.7", "for=203.0.113.9;FOR=203.0.113.9", "for=203.0.113.9 x"),
        *("203.0.113.9", "for=203.0.113.9;proto", 'for="203.0.113.9\\', "for=\xff"),
        # A quote that the client leaves open takes in what the proxy appends.
        *('for="x, for=203.0.113.9', 'x=", for="[2001:db8::1]:1"', 'x="\\, for="[2001:db8::1]"'),
        *('x=", for=203.0.113.9;by="10.0.0.1"', 'for=6.6.6.6;x=", for=203.0.113.9;host=""'),
    ],
)
def test_an_ambiguous_forwarded_header_gives_no_address(value: str) -> None:
    assert forwarded(value) is None
    assert forwarded("for=192.0.2.7", value, "for=10.0.0.2") is None


@pytest.mark.parametrize("read", [x_forwarded_for, forwarded])
@pytest.mark.parametrize(
    "value",
    [" " * 30_000 + "x", "," * 30_000, ";" * 30_000, "10.0.0.1," * 3000, "for=10.0.0.1," * 3000],
)
def test_a_long_header_is_read_quickly(read: Any, value: str) -> None:
    began = perf_counter()
    read(value)
    assert perf_counter() - began < 3


# ------------------------------------------------------------------------------- loopback


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_program_on_this_machine_is_known_by_its_address(peer: str) -> None:
    scope = scope_of(peer)
    assert is_loopback(scope, ClientAddress().find(scope)[0])


@pytest.mark.parametrize(
    "name",
    [
        *("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Proto"),
        *("X-Forwarded-Host", "X-Forwarded-Server", "CF-Connecting-IP", "True-Client-IP"),
    ],
)
def test_a_client_that_forwards_a_request_is_not_local(name: str) -> None:
    scope = scope_of("::ffff:127.0.0.1", (name, "127.0.0.1"))
    assert not is_loopback(scope, ClientAddress().find(scope)[0])


def test_no_address_is_on_this_machine() -> None:
    assert not is_loopback(scope_of(None), None)
