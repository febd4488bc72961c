"""What an access key is limited to: a scope, an end, and the networks it is used from."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from typing import Self

from app.domain.errors import Flaw, Forbidden, InvalidInput

NETWORKS_MAX = 16

_NETWORK = re.compile(r"[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?", re.ASCII)
_MAPPED = IPv6Network("::ffff:0:0/96")


class Scope(StrEnum):
    """How much a key may of what its owner may now.

    `read`: what changes nothing. `self`: what takes no admin. `admin`: all of it. Neither of the
    first two is a part of the other: a `read` key of an admin reads what only admins may.
    """

    READ = "read"
    SELF = "self"
    ADMIN = "admin"

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Read a scope by its name. Raises InvalidInput."""
        if raw not in set(cls):
            raise InvalidInput.of(Flaw("scope", f"must be one of {', '.join(cls)}"))
        return cls(raw)

    @property
    def changes(self) -> bool:
        """Whether anything can be changed with it."""
        return self is not Scope.READ

    @property
    def administers(self) -> bool:
        """Whether an admin is one with it."""
        return self is not Scope.SELF

    def within(self, other: "Scope") -> bool:
        """Whether it allows nothing that `other` does not."""
        return self.changes <= other.changes and self.administers <= other.administers


@dataclass(frozen=True, slots=True)
class Networks:
    """IPv4 and IPv6 networks in their shortest form: none is a part of another, or half of one."""

    blocks: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def parse(cls, raws: Sequence[str]) -> Self:
        """Read networks in CIDR notation (RFC 4632, RFC 4291 section 2.3), or single addresses.

        An IPv4-mapped one (RFC 4291 section 2.5.5.2) is the IPv4 network. Raises InvalidInput.
        """
        if not 1 <= len(raws) <= NETWORKS_MAX:
            raise InvalidInput.of(Flaw("networks", f"must be 1 to {NETWORKS_MAX} networks"))
        found = [_network(raw) for raw in raws]
        four = collapse_addresses(n for n in found if isinstance(n, IPv4Network))
        six = collapse_addresses(n for n in found if isinstance(n, IPv6Network))
        return cls((*four, *six))

    def __str__(self) -> str:
        return " ".join(map(str, self.blocks))

    def holds(self, address: str | None) -> bool:
        """Whether an address is in one of them; one that is not known is in none."""
        found = _address(address)
        return found is not None and any(found in block for block in self.blocks)

    def within(self, other: "Networks") -> bool:
        """Whether every address in these is in `other`."""
        # Since no two blocks of `other` are halves of a larger one, no block spans several.
        return all(any(_is_part(mine, its) for its in other.blocks) for mine in self.blocks)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a key may, until when and from where; None is no limit."""

    scope: Scope = Scope.ADMIN
    expires_at: datetime | None = None
    networks: Networks | None = None

    def narrowed(
        self,
        *,
        scope: Scope | None = None,
        expires_at: datetime | None = None,
        networks: Networks | None = None,
    ) -> "Bounds":
        """The bounds of a key that is made under these: what is not asked for is as it is here.

        Raises Forbidden for what is more.
        """
        asked = Bounds(
            self.scope if scope is None else scope,
            self.expires_at if expires_at is None else expires_at,
            self.networks if networks is None else networks,
        )
        if wider := asked.wider_than(self):
            raise Forbidden(
                f"A key made with a key is never more than that one: {', '.join(wider)}."
            )
        return asked

    def wider_than(self, other: "Bounds") -> list[str]:
        """In what these allow something that `other` does not."""
        wider = []
        if not self.scope.within(other.scope):
            wider.append("scope")
        if other.expires_at is not None and (
            self.expires_at is None or self.expires_at > other.expires_at
        ):
            wider.append("expires_at")
        if other.networks is not None and (
            self.networks is None or not self.networks.within(other.networks)
        ):
            wider.append("networks")
        return wider


UNBOUNDED = Bounds()


def _network(raw: str) -> IPv4Network | IPv6Network:
    with suppress(ValueError):
        if _NETWORK.fullmatch(raw) is not None:
            return _unmapped(ip_network(raw))
    rule = (
        "must be networks such as 192.0.2.0/24 or 2001:db8::/32, with no bit set behind the "
        "prefix, or addresses"
    )
    raise InvalidInput.of(Flaw("networks", rule))


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if isinstance(network, IPv4Network) or not network.subnet_of(_MAPPED):
        return network
    first = network.network_address.ipv4_mapped
    assert first is not None
    return IPv4Network((first, network.prefixlen - _MAPPED.prefixlen))


def _address(raw: str | None) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(raw or "")
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_part(mine: IPv4Network | IPv6Network, its: IPv4Network | IPv6Network) -> bool:
    if isinstance(mine, IPv4Network):
        return isinstance(its, IPv4Network) and mine.subnet_of(its)
    return isinstance(its, IPv6Network) and mine.subnet_of(its)
