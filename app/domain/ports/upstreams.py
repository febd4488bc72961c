"""The chat service and the panel, which may manage guilds and servers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from app.domain.guilds_and_servers import Guild, PanelServer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cached(Generic[T]):
    """A response of another service, possibly stale (RFC 5861 section 4, stale-if-error).

    `stale_seconds` is None while the value is fresh; otherwise the service could not be reached,
    and it is the time in seconds since the value should have been refreshed.
    """

    value: T
    stale_seconds: int | None = None


class GuildSource(Protocol):
    """The chat service, if it manages the guilds. Never called in a transaction."""

    async def list_guilds(self, user_id: int) -> Cached[Sequence[Guild]]:
        """Return the guilds that the account with this snowflake owns or is a member of, in its
        order.

        An unknown account has none. Raises UpstreamFailed, UpstreamTimeout, Overloaded.
        """


class Panel(Protocol):
    """The panel, if it manages the servers. Never called in a transaction.

    It identifies an account by uuid. Every method raises UpstreamFailed, UpstreamTimeout and
    Overloaded: the call may then have been carried out in part, and can be repeated.
    """

    async def list_servers(self, owner: str) -> Cached[Sequence[PanelServer]]:
        """Return the servers of an account for display: up to a few seconds old, or stale.

        An unknown account has none.
        """

    async def fetch_servers(self, owner: str) -> Sequence[PanelServer]:
        """Return the current servers of an account, at most SERVERS_MAX, without a cache."""

    async def stop_servers(self, owner: str, servers: Sequence[str]) -> None:
        """Stop those of `servers` that belong to the account, in this order; they stay stopped.

        A stopped server stays stopped; one that is deleted or belongs to another account is left
        alone. To restart later only the servers that this call stopped, call `fetch_servers`, store
        which are active, and stop those: servers stopped by others are then never included, however
        often this is retried.
        """

    async def start_servers(self, owner: str, servers: Sequence[str]) -> None:
        """Start those of `servers` that belong to the account, in this order; running ones keep
        running."""
