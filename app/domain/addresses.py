"""IP addresses and networks, parsed in the same way wherever they come from.

An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) is the IPv4 address: a socket that listens on
`::` shows IPv4 clients in that form. Zone identifiers (RFC 4007 section 11) have no meaning on
another host and are dropped. Other forms that embed IPv4 (NAT64, 6to4, Teredo) are left alone: they
identify the translator, not the IPv4 host.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)
from socket import AF_INET, inet_pton

from app.domain.text import ASCII, Pattern

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The longest IPv6 address has 45 characters, an interface name 15.
ADDRESS_MAX = 64
_ZONE = Pattern(r"(?:%[A-Za-z0-9._~-]+)?\Z", ADDRESS_MAX, ASCII)
_MAPPED = IPv6Network("::ffff:0:0/96")


def parse_address(text: str | None) -> Address | None:
    """Parse an address; return None for anything else, whatever its length."""
    if text is None or len(text) > ADDRESS_MAX:
        return None
    return _parse_ipv6(text) if ":" in text else _parse_ipv4(text)


def _parse_ipv4(text: str) -> IPv4Address | None:
    try:
        # Of a text, IPv4Address would take four times as long.
        return IPv4Address(inet_pton(AF_INET, text))
    except (OSError, ValueError):
        return None


# Parsing an address takes ten times as long as the cache lookup.
@lru_cache(maxsize=4096)
def _parse_ipv6(text: str) -> Address | None:
    plain, percent, zone = text.partition("%")
    if not _ZONE.match(percent + zone):
        return None
    try:
        address = IPv6Address(plain)
    except ValueError:
        return None
    return address.ipv4_mapped or address


def parse_network(text: str, *, strict: bool = True) -> Network:
    """Parse a network in CIDR notation, or a single address. Raises ValueError.

    With `strict`, no bit may be set behind the prefix.
    """
    network = ip_network(text, strict=strict)
    if isinstance(network, IPv4Network) or not network.subnet_of(_MAPPED):
        return network
    first = network.network_address.ipv4_mapped
    assert first is not None
    return IPv4Network((first, network.prefixlen - _MAPPED.prefixlen))


def is_in_any(address: str | None, networks: Sequence[Network]) -> bool:
    """Return whether an address is in one of the networks; an unknown address is in none."""
    if not networks:
        return False
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in networks)
