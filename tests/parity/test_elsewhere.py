"""Guilds and servers that other services keep: the same at both doors, also where they fail."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import DomainError, Overloaded, UpstreamFailed, UpstreamTimeout
from app.domain.registry import Guild, PanelServer
from app.domain.users import parse_snowflake
from tests.fakes.ports import FakeChat, FakePanel
from tests.gateway import Gateway, open_gateway
from tests.parity.doors import ChatDoor, Door, RestDoor

pytestmark = pytest.mark.anyio

FIRST, SECOND = "1a7ce997-259b-452e-8b4e-cecc464142ca", "8d7b3d2e-6f0c-4c3c-9a53-0c1f6d0d9a11"
GUILD = {"id": "7", "name": "Builders", "owner_id": "9", "icon": None}


@dataclass(frozen=True)
class Operator:
    """A gateway of an operator who has a chat service and a panel, and `alice` in all three."""

    gateway: Gateway
    chat: FakeChat
    panel: FakePanel
    token: str
    uuid: str

    @property
    def cases(self) -> list[tuple[str, str, dict[str, Any]]]:
        """What is asked of each service, and by whom."""
        return [
            ("users.guilds", self.token, {}),
            ("admin.users.get", self.gateway.admin_key, {"uuid": self.uuid}),
        ]


@pytest.fixture
async def house(database: Path) -> AsyncIterator[Operator]:
    chat, panel = FakeChat(), FakePanel()
    async with open_gateway(database, chat=chat, panel=panel) as gateway:
        user = await gateway.sign_up("alice")
        uuid = await gateway.uuid_of("alice")
        chat.guilds[parse_snowflake(user["id"]) or 0] = [Guild(7, "Builders", 9, None)]
        panel.servers[uuid] = [PanelServer(FIRST, True), PanelServer(SECOND, False)]
        yield Operator(gateway, chat, panel, await gateway.log_in("alice"), uuid)


@pytest.fixture(params=[ChatDoor, RestDoor])
def door(request: pytest.FixtureRequest, house: Operator) -> Door:
    opened: Door = request.param(house.gateway)
    return opened


async def test_guilds_are_those_of_the_chat_service(house: Operator, door: Door) -> None:
    assert (await door("users.guilds", house.token)).value == [GUILD]


async def test_servers_are_those_of_the_panel(house: Operator, door: Door) -> None:
    found = await door("admin.users.get", house.gateway.admin_key, uuid=house.uuid)
    assert found.value["servers"] == [FIRST, SECOND]
    assert "servers" not in str((await door("admin.users.list", house.gateway.admin_key)).value)


@pytest.mark.parametrize(
    ("error", "status"),
    [(UpstreamFailed("panel"), 502), (UpstreamTimeout("panel"), 504), (Overloaded(), 503)],
    ids=lambda value: getattr(value, "slug", None),
)
async def test_a_failure_is_the_same_error(
    house: Operator, door: Door, error: DomainError, status: int
) -> None:
    house.chat.error = house.panel.error = error
    for operation, credential, members in house.cases:
        assert (await door(operation, credential, **members)).slug == error.slug
    response = await house.gateway.rest("GET", "/users/@self/guilds", house.token)
    assert (response.status_code, response.json()["detail"]) == (status, error.detail)
    said = (await house.gateway.rpc("users.guilds", auth=house.token))["error"]
    assert (said["code"], said["data"]) == (-32603, error.detail)
    assert (await door("users.self", house.token)).value["username"] == "alice"


async def test_what_another_service_says_is_never_a_ready_answer(
    house: Operator, door: Door
) -> None:
    for _ in range(3):
        await door("users.guilds", house.token)
    house.chat.guilds.clear()
    assert (await door("users.guilds", house.token)).value == []


async def test_who_is_shut_out_while_it_is_asked_gets_nothing(house: Operator, door: Door) -> None:
    async def log_out() -> None:
        assert (await house.gateway.rpc("users.logout", auth=house.token))["result"]

    house.chat.meanwhile = log_out
    assert (await door("users.guilds", house.token)).slug == "unauthenticated"


async def test_who_may_not_ask_has_nobody_asked(house: Operator, door: Door) -> None:
    assert (await door("users.guilds", "nobody")).slug == "unauthenticated"
    assert (await door("admin.users.get", house.token, uuid=house.uuid)).slug == "forbidden"
    assert house.chat.asked == 0


async def test_a_stale_answer_says_so_at_both_doors(house: Operator) -> None:
    house.chat.overdue, house.panel.overdue = 120, 7
    said = 'Gatehouse; hit; ttl=-120; key="users.guilds"; detail=stale-if-error'
    response = await house.gateway.rest("GET", "/users/@self/guilds", house.token)
    assert response.headers["Cache-Status"] == said
    assert response.json() == [GUILD]
    path = f"/users/{house.uuid}"
    response = await house.gateway.rest("GET", path, house.gateway.admin_key)
    assert "ttl=-7;" in response.headers["Cache-Status"]
    calls = [
        {"jsonrpc": "2.0", "method": name, "auth": credential, "params": members, "id": name}
        for name, credential, members in house.cases
    ]
    response = await house.gateway.client.post("/rpc", json=[*calls, *calls])
    assert [said for said in response.json() if "result" not in said] == []
    of_batch = response.headers["Cache-Status"]
    assert of_batch == f"{said}, " + said.replace("120", "7").replace(
        "users.guilds", "admin.users.get"
    )


async def test_a_fresh_answer_says_nothing_of_that(house: Operator) -> None:
    response = await house.gateway.rest("GET", "/users/@self/guilds", house.token)
    assert "Cache-Status" not in response.headers


# ------------------------------------------------------------------------------ the rest


async def test_the_entity_tag_changes_with_the_panels_servers_and_guards_the_account(
    house: Operator,
) -> None:
    gateway, path = house.gateway, f"/users/{house.uuid}"
    key = gateway.admin_key
    tag = (await gateway.rest("GET", path, key)).headers["ETag"]
    again = await gateway.rest("GET", path, key, headers={"If-None-Match": tag})
    assert again.status_code == 304
    house.panel.servers[house.uuid] = [PanelServer(SECOND, True)]
    other = await gateway.rest("GET", path, key, headers={"If-None-Match": tag})
    assert other.status_code == 200
    assert other.headers["ETag"] != tag
    changes = {"json": {"email": "new@example.com"}, "headers": {"If-Match": tag}}
    assert (await gateway.rest("PUT", path, key, **changes)).status_code == 204
    changes = {"json": {"email": "other@example.com"}, "headers": {"If-Match": tag}}
    assert (await gateway.rest("PUT", path, key, **changes)).status_code == 412


REGISTRY: list[tuple[str, dict[str, Any]]] = [
    ("admin.servers.list", {}),
    ("admin.servers.put", {"uuid": FIRST, "owner": FIRST, "name": "Survival"}),
    ("admin.servers.delete", {"uuid": FIRST}),
    ("admin.guilds.list", {}),
    ("admin.guilds.put", {"id": "7", "name": "Builders", "owner_id": "9"}),
    ("admin.guilds.delete", {"id": "7"}),
    ("admin.guilds.members.put", {"id": "7", "user": "9"}),
    ("admin.guilds.members.delete", {"id": "7", "user": "9"}),
]


@pytest.mark.parametrize(("operation", "members"), REGISTRY, ids=[row[0] for row in REGISTRY])
async def test_the_registry_is_closed_where_another_service_keeps_the_list(
    house: Operator, door: Door, operation: str, members: dict[str, Any]
) -> None:
    assert (await door(operation, "nobody", **members)).slug == "unauthenticated"
    assert (await door(operation, house.gateway.admin_key, **members)).slug == "forbidden"


async def test_each_part_of_the_registry_by_itself(database: Path) -> None:
    async with open_gateway(database, panel=FakePanel()) as gateway:
        key = gateway.admin_key
        assert (await gateway.rest("GET", "/guilds", key)).json() == []
        refused = await gateway.rest("GET", "/servers", key)
        assert (refused.status_code, "The panel keeps" in refused.text) == (403, True)
