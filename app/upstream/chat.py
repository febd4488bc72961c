"""Guilds of a chat service; docs/upstreams/chat.openapi.json documents its API."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from app.domain.guilds_and_servers import Guild
from app.domain.measurements import Measurement
from app.domain.ports.upstreams import Cached
from app.upstream.client import ReplyLimits, Upstream, UpstreamResponse
from app.upstream.parsing import (
    parse_json,
    parse_list,
    require_icon,
    require_label,
    require_snowflake,
    require_unknown_user,
)
from app.upstream.stale_cache import StaleCache

SERVICE = "chat service"
GUILDS_MAX = 1000
LIMITS = ReplyLimits(seconds=3.0, bytes=512 * 1024)


class ChatService:
    """`GuildSource` by a chat service: `GET /users/{user_id}/guilds`, by snowflake."""

    def __init__(
        self,
        upstream: Upstream,
        limits: ReplyLimits = LIMITS,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstream = upstream
        self._limits = limits
        self._answers = StaleCache(SERVICE, self._ask, seconds)

    def measurements(self) -> Iterator[Measurement]:
        """Count requests by outcome."""
        return self._upstream.measurements("chat")

    async def list_guilds(self, user_id: int) -> Cached[Sequence[Guild]]:
        """See `GuildSource`."""
        return await self._answers.get(str(user_id))

    async def _ask(self, user_id: str) -> Sequence[Guild]:
        path = f"/users/{user_id}/guilds"
        return await self._upstream.request(
            path, self._limits, _guilds, statuses={200, 404}, subject=user_id
        )


def _guilds(reply: UpstreamResponse) -> Sequence[Guild]:
    value = parse_json(reply.body)
    if reply.status == 404:
        require_unknown_user(value)
        return ()
    return parse_list(value, GUILDS_MAX, _guild)


def _guild(value: dict[str, Any]) -> Guild:
    return Guild(
        id=require_snowflake(value.get("id"), "id"),
        name=require_label(value.get("name"), "name"),
        owner_id=require_snowflake(value.get("owner_id"), "owner_id"),
        icon=require_icon(value.get("icon"), "icon"),
    )
