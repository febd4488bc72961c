"""A chat service and panels on respx: where they are asked, and what they may and may not say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.upstream.chat import ChatService
from app.upstream.client import CircuitBreaker, ReplyLimits, Upstream, bearer, open_client
from app.upstream.panel import GenericPanel, PanelService
from app.upstream.pterodactyl import PterodactylPanel, application_key
from tests.fakes.ports import FakeSeconds

CHAT_URL = "https://chat.example.com/internal"
PANEL_URL = "https://panel.example.com"
TOKEN = "secret-of-the-service"
USER_ID = 71395574100676609
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
GUILDS_URL = f"{CHAT_URL}/users/{USER_ID}/guilds"
SERVERS_URL = f"{PANEL_URL}/users/{UUID}/servers"
EXTERNAL_URL = f"{PANEL_URL}/api/application/users/external/{UUID}"
BYTES_MAX = 200_000

GUILD = {"id": "71395574100676610", "name": "Builders", "owner_id": str(USER_ID), "icon": None}
SERVER = {"uuid": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "active": 1}
OTHER = {"uuid": "9b2e4d5a-3c1f-4e6b-8a7d-1f2e3d4c5b6a", "active": False}

GOOD_GUILDS: list[Any] = [
    [],
    [GUILD],
    [{**GUILD, "name": "👩‍👩‍👧 家族"}],
    [{**GUILD, "icon": "https://example.com/icon.png"}],
    [{"id": GUILD["id"], "name": "x" * 100, "owner_id": "1"}],
    [{**GUILD, "members": 3}, GUILD],
]
BAD_GUILDS: list[Any] = [
    None,
    {},
    {"guilds": [GUILD]},
    "[]",
    [None],
    [[GUILD]],
    [{**GUILD, "id": int(GUILD["id"] or 0)}],
    [{**GUILD, "id": ""}],
    [{**GUILD, "id": "007"}],
    [{**GUILD, "id": "-1"}],
    [{**GUILD, "id": UUID}],
    [{**GUILD, "owner_id": None}],
    [{**GUILD, "name": ""}],
    [{**GUILD, "name": "x" * 101}],
    [{**GUILD, "name": 7}],
    [{**GUILD, "icon": "javascript:alert(1)"}],
    [{**GUILD, "icon": ["https://example.com/icon.png"]}],
    [{"id": GUILD["id"], "name": "Builders"}],
    [GUILD] * 1001,
]
GOOD_SERVERS: list[Any] = [
    [],
    [SERVER],
    [OTHER, SERVER],
    [{"uuid": str(SERVER["uuid"]).upper(), "active": True}],
    [{**SERVER, "name": "Survival"}],
]
BAD_SERVERS: list[Any] = [
    None,
    {},
    [SERVER["uuid"]],
    [{"uuid": SERVER["uuid"]}],
    [{**SERVER, "active": 2}],
    [{**SERVER, "active": None}],
    [{**SERVER, "active": "1"}],
    [{**SERVER, "uuid": "7c9e6679"}],
    [{**SERVER, "uuid": 7}],
    [{**SERVER, "uuid": f"../{UUID[3:]}"}],
    [SERVER] * 501,
]


@dataclass(frozen=True)
class Upstreams:
    """A chat service and a panel in two dialects that have a twentieth of a second to answer."""

    chat: ChatService
    panel: PanelService
    pterodactyl: PanelService
    seconds: FakeSeconds


@asynccontextmanager
async def upstreams(at_once: int = 16, seconds: float = 0.05) -> AsyncIterator[Upstreams]:
    """All of them, by a time of the test's own."""
    time, limits = FakeSeconds(), ReplyLimits(seconds, BYTES_MAX)
    async with open_client() as client:

        def upstream(url: str, *, is_pterodactyl: bool = False) -> Upstream:
            headers = (application_key if is_pterodactyl else bearer)(TOKEN)
            breaker = CircuitBreaker(failures=5, pause=10.0, seconds=time)
            return Upstream(client, url, headers, breaker, concurrent=at_once)

        pterodactyl = PterodactylPanel(upstream(PANEL_URL, is_pterodactyl=True), limits, limits)
        yield Upstreams(
            ChatService(upstream(CHAT_URL), limits, time),
            PanelService(GenericPanel(upstream(f"{PANEL_URL}/"), limits, limits), time),
            PanelService(pterodactyl, time),
            time,
        )
