"""Servers of a panel, through a dialect; and the generic dialect.

docs/upstreams/panel.openapi.json documents the API of the generic dialect.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.domain.guilds_and_servers import SERVERS_MAX, PanelServer
from app.domain.measurements import Measurement
from app.domain.ports.upstreams import Cached
from app.upstream.client import ReplyLimits, Upstream, UpstreamError, UpstreamResponse
from app.upstream.parsing import (
    parse_json,
    parse_list,
    require_flag,
    require_unknown_user,
    require_uuid,
)
from app.upstream.stale_cache import StaleCache, log_failures, translate_errors

SERVICE = "panel"
LIMITS = ReplyLimits(seconds=3.0, bytes=1024 * 1024)
# A panel responds once the server's machine has started or stopped it.
SWITCH_LIMITS = ReplyLimits(seconds=20.0, bytes=64 * 1024, silence=20.0)


@dataclass(frozen=True, slots=True)
class ListedServer:
    """A server as a dialect lists it; `handle` is the dialect's id of it."""

    server: PanelServer
    handle: str


class PanelDialect(Protocol):
    """The API of a kind of panel. Every method raises UpstreamError."""

    upstream: Upstream

    async def servers(self, owner: str, *, subject: str | None) -> Sequence[ListedServer]:
        """List the servers of the account with this uuid; none if the panel does not know it.

        `subject` is the subject of the circuit breaker (`Upstream.request`).
        """

    async def switch(self, handle: str, *, on: bool) -> None:
        """Start or stop a server permanently; ignore a deleted one."""


class PanelService:
    """`Panel` through a dialect.

    Only requests for display use the circuit breaker. Messages of the outbox, which list, stop
    and start servers, bypass it: the outbox has its own back-off.
    """

    def __init__(
        self, dialect: PanelDialect, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._dialect = dialect
        self._answers = StaleCache(SERVICE, self._servers, seconds)

    def measurements(self) -> Iterator[Measurement]:
        """Count requests by outcome."""
        return self._dialect.upstream.measurements("panel")

    async def list_servers(self, owner: str) -> Cached[Sequence[PanelServer]]:
        """See `Panel`."""
        return await self._answers.get(owner)

    async def fetch_servers(self, owner: str) -> Sequence[PanelServer]:
        """See `Panel`."""
        with translate_errors(SERVICE), log_failures(SERVICE):
            return _shown(await self._dialect.servers(owner, subject=None))

    async def stop_servers(self, owner: str, servers: Sequence[str]) -> None:
        """See `Panel`."""
        await self._switch(owner, servers, on=False)

    async def start_servers(self, owner: str, servers: Sequence[str]) -> None:
        """See `Panel`."""
        await self._switch(owner, servers, on=True)

    async def _servers(self, owner: str) -> Sequence[PanelServer]:
        return _shown(await self._dialect.servers(owner, subject=owner))

    async def _switch(self, owner: str, servers: Sequence[str], *, on: bool) -> None:
        failed: UpstreamError | None = None
        try:
            with translate_errors(SERVICE), log_failures(SERVICE):
                listing = await self._dialect.servers(owner, subject=None)
                by_uuid = {listed.server.uuid: listed for listed in listing}
                for listed in filter(None, map(by_uuid.get, servers)):
                    if listed.server.active is not on:
                        try:
                            await self._dialect.switch(listed.handle, on=on)
                        except UpstreamError as error:
                            # A failing machine must not keep the other servers unchanged.
                            failed = failed or error
                if failed is not None:
                    raise failed
        finally:
            self._answers.invalidate(owner)


class GenericPanel:
    """`PanelDialect` of a panel with our own conventions: accounts and servers by uuid."""

    def __init__(
        self,
        upstream: Upstream,
        limits: ReplyLimits = LIMITS,
        switch_limits: ReplyLimits = SWITCH_LIMITS,
    ) -> None:
        self.upstream = upstream
        self._limits, self._switch_limits = limits, switch_limits

    async def servers(self, owner: str, *, subject: str | None) -> Sequence[ListedServer]:
        """See `PanelDialect`: `GET /users/{uuid}/servers`."""
        path = f"/users/{owner}/servers"
        return await self.upstream.request(
            path, self._limits, _servers, statuses={200, 404}, subject=subject
        )

    async def switch(self, handle: str, *, on: bool) -> None:
        """See `PanelDialect`: `POST /servers/{uuid}/start` and `/stop`."""
        path = f"/servers/{handle}/{'start' if on else 'stop'}"
        await send_switch(self.upstream, path, self._switch_limits)


async def send_switch(upstream: Upstream, path: str, limits: ReplyLimits) -> None:
    """Send a POST that starts or stops a server: 204, or 404 for a deleted one.

    Failures are mostly those of the server's machine, and say nothing about the panel.
    """
    await upstream.request(path, limits, lambda _: None, method="POST", statuses={204, 404})


def _shown(listing: Sequence[ListedServer]) -> Sequence[PanelServer]:
    return [listed.server for listed in listing]


def _servers(reply: UpstreamResponse) -> Sequence[ListedServer]:
    value = parse_json(reply.body)
    if reply.status == 404:
        require_unknown_user(value)
        return ()
    return parse_list(value, SERVERS_MAX, _listed)


def _listed(value: dict[str, Any]) -> ListedServer:
    uuid = require_uuid(value.get("uuid"), "uuid")
    return ListedServer(PanelServer(uuid, require_flag(value.get("active"), "active")), uuid)
