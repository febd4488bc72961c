"""The documents of the upstream services match the requests we send and the responses we read."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import respx
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from app.domain.errors import UpstreamFailed
from app.domain.guilds_and_servers import SERVERS_MAX
from app.upstream.chat import GUILDS_MAX
from app.upstream.chat import LIMITS as CHAT_BOUNDS
from app.upstream.panel import LIMITS as PANEL_BOUNDS
from app.upstream.panel import SWITCH_LIMITS
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
async def upstreams() -> AsyncIterator[s.Upstreams]:
    async with s.upstreams() as opened:
        yield opened


@pytest.mark.parametrize("name", ["chat", "panel"])
def test_it_is_an_openapi_document(name: str) -> None:
    validate(document(name))


def test_its_bounds_are_ours() -> None:
    assert GUILDS["maxItems"] == GUILDS_MAX
    assert SERVERS["maxItems"] == SERVERS_MAX
    for name, limits, size in (
        ("chat", CHAT_BOUNDS, f"{CHAT_BOUNDS.bytes // 1024} KiB"),
        ("panel", PANEL_BOUNDS, f"{PANEL_BOUNDS.bytes // 1024**2} MiB"),
    ):
        text = document(name)["info"]["description"]
        assert f"at most {size}, and complete within {limits.seconds:.0f} seconds" in text
        assert f"{limits.connect:.0f} to connect, at most {limits.silence:.0f} without" in text
    stop = document("panel")["paths"]["/servers/{uuid}/stop"]["post"]
    assert f"{SWITCH_LIMITS.seconds:.0f} seconds" in stop["description"]


@pytest.mark.parametrize("guilds", s.GOOD_GUILDS, ids=str)
async def test_responses_of_the_chat_document_are_read(upstreams: s.Upstreams, guilds: Any) -> None:
    OAS31Validator(GUILDS).validate(guilds)
    with respx.mock:
        respx.get(s.GUILDS_URL).respond(json=guilds)
        told = await upstreams.chat.list_guilds(s.USER_ID)
    assert [str(guild.id) for guild in told.value] == [guild["id"] for guild in guilds]


@pytest.mark.parametrize("guilds", s.BAD_GUILDS, ids=str)
async def test_responses_outside_the_document_are_failures(
    upstreams: s.Upstreams, guilds: Any
) -> None:
    assert not OAS31Validator(GUILDS).is_valid(guilds)
    with respx.mock:
        respx.get(s.GUILDS_URL).respond(json=guilds)
        with pytest.raises(UpstreamFailed):
            await upstreams.chat.list_guilds(s.USER_ID)


@pytest.mark.parametrize("servers", s.GOOD_SERVERS, ids=str)
async def test_responses_of_the_panel_document_are_read(
    upstreams: s.Upstreams, servers: Any
) -> None:
    OAS31Validator(SERVERS).validate(servers)
    with respx.mock:
        respx.get(s.SERVERS_URL).respond(json=servers)
        told = await upstreams.panel.list_servers(s.UUID)
    expected = [(server["uuid"].lower(), bool(server["active"])) for server in servers]
    assert [(server.uuid, server.active) for server in told.value] == expected


@pytest.mark.parametrize("servers", s.BAD_SERVERS, ids=str)
async def test_nor_is_any_other_list_of_servers(upstreams: s.Upstreams, servers: Any) -> None:
    assert not OAS31Validator(SERVERS).is_valid(servers)
    with respx.mock:
        respx.get(s.SERVERS_URL).respond(json=servers)
        with pytest.raises(UpstreamFailed):
            await upstreams.panel.list_servers(s.UUID)
