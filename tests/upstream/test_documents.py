"""What we ask of others is written down, and what is written down is what we read."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import respx
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from app.domain.errors import UpstreamFailed
from app.domain.registry import SERVERS_MAX
from app.upstream.chat import BOUNDS as CHAT_BOUNDS
from app.upstream.chat import GUILDS_MAX
from app.upstream.panel import BOUNDS as PANEL_BOUNDS
from app.upstream.panel import SWITCH_BOUNDS
from tests.upstream import services as s

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parents[2] / "docs" / "upstreams"


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.openapi.json").read_text("utf-8"))
    return found


def answer_schema(found: dict[str, Any], path: str) -> dict[str, Any]:
    answer = found["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    return {**answer["schema"], "components": found["components"]}


GUILDS = answer_schema(document("chat"), "/users/{user_id}/guilds")
SERVERS = answer_schema(document("panel"), "/users/{uuid}/servers")


@pytest.fixture
async def houses() -> AsyncIterator[s.Houses]:
    async with s.houses() as opened:
        yield opened


@pytest.mark.parametrize("name", ["chat", "panel"])
def test_it_is_an_openapi_document(name: str) -> None:
    validate(document(name))


def test_its_bounds_are_ours() -> None:
    assert GUILDS["maxItems"] == GUILDS_MAX
    assert SERVERS["maxItems"] == SERVERS_MAX
    for name, bounds, size in (
        ("chat", CHAT_BOUNDS, f"{CHAT_BOUNDS.bytes // 1024} KiB"),
        ("panel", PANEL_BOUNDS, f"{PANEL_BOUNDS.bytes // 1024**2} MiB"),
    ):
        text = document(name)["info"]["description"]
        assert f"at most {size}, and whole within {bounds.seconds:.0f} seconds" in text
        assert f"{bounds.connect:.0f} to connect, at most {bounds.silence:.0f} without" in text
    stop = document("panel")["paths"]["/servers/{uuid}/stop"]["post"]
    assert f"{SWITCH_BOUNDS.seconds:.0f} seconds" in stop["description"]


@pytest.mark.parametrize("guilds", s.GOOD_GUILDS, ids=str)
async def test_what_the_chat_document_allows_is_read(houses: s.Houses, guilds: Any) -> None:
    OAS31Validator(GUILDS).validate(guilds)
    with respx.mock:
        respx.get(s.GUILDS_URL).respond(json=guilds)
        told = await houses.chat.guilds_of(s.USER_ID)
    assert [str(guild.id) for guild in told.value] == [guild["id"] for guild in guilds]


@pytest.mark.parametrize("guilds", s.BAD_GUILDS, ids=str)
async def test_what_it_does_not_allow_is_a_failure(houses: s.Houses, guilds: Any) -> None:
    assert not OAS31Validator(GUILDS).is_valid(guilds)
    with respx.mock:
        respx.get(s.GUILDS_URL).respond(json=guilds)
        with pytest.raises(UpstreamFailed):
            await houses.chat.guilds_of(s.USER_ID)


@pytest.mark.parametrize("servers", s.GOOD_SERVERS, ids=str)
async def test_what_the_panel_document_allows_is_read(houses: s.Houses, servers: Any) -> None:
    OAS31Validator(SERVERS).validate(servers)
    with respx.mock:
        respx.get(s.SERVERS_URL).respond(json=servers)
        told = await houses.panel.servers_of(s.UUID)
    expected = [(server["uuid"].lower(), bool(server["active"])) for server in servers]
    assert [(server.uuid, server.active) for server in told.value] == expected


@pytest.mark.parametrize("servers", s.BAD_SERVERS, ids=str)
async def test_nor_is_any_other_list_of_servers(houses: s.Houses, servers: Any) -> None:
    assert not OAS31Validator(SERVERS).is_valid(servers)
    with respx.mock:
        respx.get(s.SERVERS_URL).respond(json=servers)
        with pytest.raises(UpstreamFailed):
            await houses.panel.servers_of(s.UUID)
