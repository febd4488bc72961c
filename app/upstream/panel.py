"""Servers of a panel, in whichever dialect it speaks; and the generic one.

What a panel of the generic dialect is asked is in docs/upstreams/panel.openapi.json.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.domain.ports import Told
from app.domain.readings import Reading
from app.domain.registry import SERVERS_MAX, PanelServer
from app.upstream.answers import Answers, noting, refusing
from app.upstream.client import Bounds, Reply, Upstream, UpstreamError
from app.upstream.reading import flag_of, json_of, list_of, require_unknown_user, uuid_of

WHO = "panel"
BOUNDS = Bounds(seconds=3.0, bytes=1024 * 1024)
# A panel answers when the machine of the server has done what it was told.
SWITCH_BOUNDS = Bounds(seconds=20.0, bytes=64 * 1024, silence=20.0)


@dataclass(frozen=True, slots=True)
class Listed:
    """A server as a dialect lists it; `handle` is what that names it by."""

    server: PanelServer
    handle: str


class Dialect(Protocol):
    """How a panel is asked. Everything raises UpstreamError."""

    upstream: Upstream

    async def servers(self, owner: str) -> Sequence[Listed]:
        """Those of the account with this uuid; none where the panel does not know it."""

    async def switch(self, handle: str, *, on: bool) -> None:
        """Start or stop a server, for good; nothing where it is gone."""


class PanelService:
    """`Panel` by a dialect."""

    def __init__(self, dialect: Dialect, seconds: Callable[[], float] = time.monotonic) -> None:
        self._dialect = dialect
        self._answers = Answers(WHO, self._servers, seconds)

    def readings(self) -> Iterator[Reading]:
        """What became of the questions."""
        return self._dialect.upstream.readings("panel")

    async def servers_of(self, owner: str) -> Told[Sequence[PanelServer]]:
        """See `Panel`."""
        return await self._answers.of(owner)

    async def look_up_servers(self, owner: str) -> Sequence[PanelServer]:
        """See `Panel`."""
        with refusing(WHO), noting(WHO):
            return await self._servers(owner)

    async def stop_servers(self, owner: str, servers: Sequence[str]) -> None:
        """See `Panel`."""
        await self._switch(owner, servers, on=False)

    async def start_servers(self, owner: str, servers: Sequence[str]) -> None:
        """See `Panel`."""
        await self._switch(owner, servers, on=True)

    async def _servers(self, owner: str) -> Sequence[PanelServer]:
        return [listed.server for listed in await self._dialect.servers(owner)]

    async def _switch(self, owner: str, servers: Sequence[str], *, on: bool) -> None:
        failed: UpstreamError | None = None
        try:
            with refusing(WHO), noting(WHO):
                there = {
                    listed.server.uuid: listed for listed in await self._dialect.servers(owner)
                }
                for listed in filter(None, map(there.get, servers)):
                    if listed.server.active is not on:
                        try:
                            await self._dialect.switch(listed.handle, on=on)
                        except UpstreamError as error:
                            # One whose machine is down, say, keeps no other as it was.
                            failed = failed or error
                if failed is not None:
                    raise failed
        finally:
            self._answers.forget(owner)


class GenericPanel:
    """`Dialect` of a panel that speaks as we would: accounts and servers by uuid."""

    def __init__(
        self, upstream: Upstream, bounds: Bounds = BOUNDS, switch_bounds: Bounds = SWITCH_BOUNDS
    ) -> None:
        self.upstream = upstream
        self._bounds, self._switch_bounds = bounds, switch_bounds

    async def servers(self, owner: str) -> Sequence[Listed]:
        """See `Dialect`: `GET /users/{uuid}/servers`."""
        path = f"/users/{owner}/servers"
        return await self.upstream.ask(path, self._bounds, _servers, statuses={200, 404})

    async def switch(self, handle: str, *, on: bool) -> None:
        """See `Dialect`: `POST /servers/{uuid}/start` and `/stop`."""
        path = f"/servers/{handle}/{'start' if on else 'stop'}"
        await switch(self.upstream, path, self._switch_bounds)


async def switch(upstream: Upstream, path: str, bounds: Bounds) -> None:
    """POST to what starts or stops a server: 204, or 404 where it is gone.

    What fails there is mostly the server's machine; whether the panel is there, the list of servers
    has told just before.
    """
    await upstream.ask(
        path, bounds, lambda _: None, method="POST", statuses={204, 404}, counts=False
    )


def _servers(reply: Reply) -> Sequence[Listed]:
    value = json_of(reply.body)
    if reply.status == 404:
        require_unknown_user(value)
        return ()
    return list_of(value, SERVERS_MAX, _listed)


def _listed(value: dict[str, Any]) -> Listed:
    uuid = uuid_of(value.get("uuid"), "uuid")
    return Listed(PanelServer(uuid, flag_of(value.get("active"), "active")), uuid)
