"""Limits of an access key: scope, expiry and networks."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Self

from app.domain.addresses import Network, parse_address, parse_network
from app.domain.errors import FieldError, Forbidden, InvalidInput
from app.domain.text import ASCII, Pattern

NETWORKS_MAX = 16

NETWORK, NETWORK_MAX = r"[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?", 49
_NETWORK = Pattern(NETWORK, NETWORK_MAX, ASCII)


class Scope(StrEnum):
    """The part of its owner's current permissions that a key has.

    `read`: operations that change nothing. `self`: operations that need no admin privileges.
    `admin`: all. Neither of the first two includes the other: a `read` key of an admin can read
    what only admins may.
    """

    READ = "read"
    SELF = "self"
    ADMIN = "admin"

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Parse a scope. Raises InvalidInput."""
        if raw not in set(cls):
            raise InvalidInput.for_fields(FieldError("scope", f"must be one of {', '.join(cls)}"))
        return cls(raw)

    @property
    def can_write(self) -> bool:
        """True if the scope permits changes."""
        return self is not Scope.READ

    @property
    def can_administer(self) -> bool:
        """True if the scope carries admin privileges."""
        return self is not Scope.SELF

    def is_within(self, other: "Scope") -> bool:
        """Return True if the scope permits nothing that `other` does not."""
        return self.can_write <= other.can_write and self.can_administer <= other.can_administer


@dataclass(frozen=True, slots=True)
class Networks:
    """IPv4 and IPv6 networks in their shortest form: no two overlap or can be joined."""

    blocks: tuple[Network, ...]

    @classmethod
    def parse(cls, raws: Sequence[str]) -> Self:
        """Parse networks in CIDR notation (RFC 4632, RFC 4291 section 2.3), or single addresses.

        An IPv4-mapped network (RFC 4291 section 2.5.5.2) is the IPv4 network. Raises InvalidInput.
        """
        if not 1 <= len(raws) <= NETWORKS_MAX:
            raise InvalidInput.for_fields(
                FieldError("networks", f"must be 1 to {NETWORKS_MAX} networks")
            )
        found = [_network(raw) for raw in raws]
        four = collapse_addresses(n for n in found if isinstance(n, IPv4Network))
        six = collapse_addresses(n for n in found if isinstance(n, IPv6Network))
        return cls((*four, *six))

    def __str__(self) -> str:
        return " ".join(map(str, self.blocks))

    def contains(self, address: str | None) -> bool:
        """Return True if a network contains the address; an unknown address is in none."""
        found = parse_address(address)
        return found is not None and any(found in block for block in self.blocks)

    def is_within(self, other: "Networks") -> bool:
        """Return True if `other` contains every address of these networks."""
        # No two blocks of `other` can be joined, so no block spans several of them.
        return all(any(_is_subnet(block, outer) for outer in other.blocks) for block in self.blocks)


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The permitted scope, expiry and networks of a key; None is no limit."""

    scope: Scope = Scope.ADMIN
    expires_at: datetime | None = None
    networks: Networks | None = None

    def restrict(
        self,
        *,
        scope: Scope | None = None,
        expires_at: datetime | None = None,
        networks: Networks | None = None,
    ) -> "KeyLimits":
        """Return the limits of a key that is created with this one; unset limits are inherited.

        Raises Forbidden for limits that are wider.
        """
        requested = KeyLimits(
            self.scope if scope is None else scope,
            self.expires_at if expires_at is None else expires_at,
            self.networks if networks is None else networks,
        )
        if wider := requested.find_wider_fields(self):
            raise Forbidden(
                "An access key cannot create a key with wider limits than its own: "
                f"{', '.join(wider)}."
            )
        return requested

    def find_wider_fields(self, other: "KeyLimits") -> list[str]:
        """Return the names of the limits that are wider than those of `other`."""
        wider = []
        if not self.scope.is_within(other.scope):
            wider.append("scope")
        if other.expires_at is not None and (
            self.expires_at is None or self.expires_at > other.expires_at
        ):
            wider.append("expires_at")
        if other.networks is not None and (
            self.networks is None or not self.networks.is_within(other.networks)
        ):
            wider.append("networks")
        return wider


UNLIMITED = KeyLimits()


def _network(raw: str) -> Network:
    with suppress(ValueError):
        if _NETWORK.fullmatch(raw) is not None:
            return parse_network(raw)
    rule = (
        "must be networks such as 192.0.2.0/24 or 2001:db8::/32, with no bit set after the "
        "prefix, or addresses"
    )
    raise InvalidInput.for_fields(FieldError("networks", rule))


def _is_subnet(network: Network, other: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)
