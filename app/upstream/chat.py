"""Guilds of a chat service; what it is asked is in docs/upstreams/chat.openapi.json."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from app.domain.ports import Told
from app.domain.readings import Reading
from app.domain.registry import Guild
from app.upstream.answers import Answers
from app.upstream.client import Bounds, Reply, Upstream
from app.upstream.reading import (
    icon_of,
    json_of,
    label_of,
    list_of,
    require_unknown_user,
    snowflake_of,
)

WHO = "chat service"
GUILDS_MAX = 1000
BOUNDS = Bounds(seconds=3.0, bytes=512 * 1024)


class ChatService:
    """`GuildSource` by an upstream: `GET /users/{user_id}/guilds`, by snowflake."""

    def __init__(
        self,
        upstream: Upstream,
        bounds: Bounds = BOUNDS,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstream = upstream
        self._bounds = bounds
        self._answers = Answers(WHO, self._ask, seconds)

    def readings(self) -> Iterator[Reading]:
        """What became of the questions."""
        return self._upstream.readings("chat")

    async def guilds_of(self, user_id: int) -> Told[Sequence[Guild]]:
        """See `GuildSource`."""
        return await self._answers.of(str(user_id))

    async def _ask(self, user_id: str) -> Sequence[Guild]:
        path = f"/users/{user_id}/guilds"
        return await self._upstream.ask(path, self._bounds, _guilds, statuses={200, 404})


def _guilds(reply: Reply) -> Sequence[Guild]:
    value = json_of(reply.body)
    if reply.status == 404:
        require_unknown_user(value)
        return ()
    return list_of(value, GUILDS_MAX, _guild)


def _guild(value: dict[str, Any]) -> Guild:
    return Guild(
        id=snowflake_of(value.get("id"), "id"),
        name=label_of(value.get("name"), "name"),
        owner_id=snowflake_of(value.get("owner_id"), "owner_id"),
        icon=icon_of(value.get("icon"), "icon"),
    )
