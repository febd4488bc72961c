"""Addresses and networks: one canonical form, wherever they are read."""

from ipaddress import IPv4Address, ip_address, ip_network
from itertools import product

import pytest

from app.domain.addresses import parse_address, parse_network


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:7f00:1", "127.0.0.1"),
        ("0:0:0:0:0:FFFF:cb00:7109", "203.0.113.9"),
        ("::ffff:203.0.113.9%eth0", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1", "fe80::1"),
        # NAT64, 6to4 and IPv4-compatible addresses are not mapped ones.
        ("64:ff9b::203.0.113.9", "64:ff9b::cb00:7109"),
        ("2002:cb00:7109::1", "2002:cb00:7109::1"),
        ("::203.0.113.9", "::cb00:7109"),
        ("::1", "::1"),
    ],
)
def test_an_address_has_one_form(text: str, address: str) -> None:
    assert parse_address(text) == ip_address(address)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "unknown", "203.0.113.9:80", "[::1]", "203.0.113", "203.0.113.256", "03.0.0.1"),
        *("203.0.113.9%eth0", "fe80::1%", "fe80::1%a b", "fe80::1%\n", "fe80::1%" + "x" * 99),
        *("203.0.113.9/32", "::ffff:203.0.113", "\u0661.1.1.1", "1" * 100_000, None),
    ],
)
def test_an_invalid_address_is_none(text: str | None) -> None:
    assert parse_address(text) is None


def test_ipv4_is_read_as_the_standard_library_does() -> None:
    octets = "", "0", "00", "07", "10", "255", "256", "+1", "1\0"
    for count in (1, 3, 4):
        for parts in product(octets, repeat=count):
            text = ".".join(parts)
            assert parse_address(text) == _ipv4(text), text
    assert parse_address("1.2.3.4.5") is None


def _ipv4(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.5/8", "10.0.0.0/8"),
        ("10.0.0.5", "10.0.0.5/32"),
        ("::ffff:127.0.0.1", "127.0.0.1/32"),
        ("::ffff:10.0.0.5/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("64:ff9b::/96", "64:ff9b::/96"),
    ],
)
def test_a_network_of_mapped_addresses_is_the_ipv4_network(text: str, network: str) -> None:
    assert parse_network(text, strict=False) == ip_network(network)
