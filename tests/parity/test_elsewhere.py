"""Guilds and servers that other services keep: the same at both APIs, also where they fail."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import DomainError, Overloaded, UpstreamFailed, UpstreamTimeout
from app.domain.guilds_and_servers import Guild, PanelServer
from app.domain.users import parse_snowflake
from tests.fakes.ports import FakeChat, FakePanel
from tests.gateway import Gateway, open_gateway
from tests.parity.apis import Api, RestApi, RpcApi

pytestmark = pytest.mark.anyio

FIRST, SECOND = "1a7ce997-259b-452e-8b4e-cecc464142ca", "8d7b3d2e-6f0c-4c3c-9a53-0c1f6d0d9a11"
GUILD = {"id": "7", "name": "Builders", "owner_id": "9", "icon": None}


@dataclass(frozen=True)
class Setup:
    """A gateway of an operator who has a chat service and a panel, and `alice` in all three."""

    gateway: Gateway
    chat: FakeChat
    panel: FakePanel
    token: str
    uuid: str

    @property
    def cases(self) -> list[tuple[str, str, dict[str, Any]]]:
        """The requests to each service, by caller."""
        return [
            ("users.guilds", self.token, {}),
            ("admin.users.get", self.gateway.admin_key, {"uuid": self.uuid}),
        ]


@pytest.fixture
async def setup(database: Path) -> AsyncIterator[Setup]:
    chat, panel = FakeChat(), FakePanel()
    async with open_gateway(database, chat=chat, panel=panel) as gateway:
        user = await gateway.sign_up("alice")
        uuid = await gateway.uuid_of("alice")
        chat.guilds[parse_snowflake(user["id"]) or 0] = [Guild(7, "Builders", 9, None)]
        panel.servers[uuid] = [PanelServer(FIRST, True), PanelServer(SECOND, False)]
        yield Setup(gateway, chat, panel, await gateway.log_in("alice"), uuid)


@pytest.fixture(params=[RpcApi, RestApi])
def api(request: pytest.FixtureRequest, setup: Setup) -> Api:
    opened: Api = request.param(setup.gateway)
    return opened


async def test_guilds_are_those_of_the_chat_service(setup: Setup, api: Api) -> None:
    assert (await api("users.guilds", setup.token)).value == [GUILD]


async def test_servers_are_those_of_the_panel(setup: Setup, api: Api) -> None:
    found = await api("admin.users.get", setup.gateway.admin_key, uuid=setup.uuid)
    assert found.value["servers"] == [FIRST, SECOND]
    assert "servers" not in str((await api("admin.users.list", setup.gateway.admin_key)).value)


@pytest.mark.parametrize(
    ("error", "status"),
    [(UpstreamFailed("panel"), 502), (UpstreamTimeout("panel"), 504), (Overloaded(), 503)],
    ids=lambda value: getattr(value, "slug", None),
)
async def test_a_failure_is_the_same_error(
    setup: Setup, api: Api, error: DomainError, status: int
) -> None:
    setup.chat.error = setup.panel.error = error
    for operation, credential, members in setup.cases:
        assert (await api(operation, credential, **members)).slug == error.slug
    response = await setup.gateway.rest("GET", "/users/@self/guilds", setup.token)
    assert (response.status_code, response.json()["detail"]) == (status, error.detail)
    said = (await setup.gateway.rpc("users.guilds", auth=setup.token))["error"]
    assert (said["code"], said["data"]) == (-32603, error.detail)
    assert (await api("users.self", setup.token)).value["username"] == "alice"


async def test_the_panels_servers_may_be_sent_back_unchanged(setup: Setup, api: Api) -> None:
    key, uuid = setup.gateway.admin_key, setup.uuid
    got = (await api("admin.users.get", key, uuid=uuid)).value
    assert (await api("admin.users.update", key, uuid=uuid, **got)).slug is None
    refused = await api("admin.users.update", key, uuid=uuid, servers=[FIRST])
    assert refused.slug == "invalid-input"
    setup.panel.error = UpstreamFailed("panel")
    assert (await api("admin.users.update", key, uuid=uuid, **got)).slug == "upstream-failed"
    del got["servers"]
    assert (await api("admin.users.update", key, uuid=uuid, **got)).slug is None


async def test_upstream_responses_are_never_cached_responses(setup: Setup, api: Api) -> None:
    for _ in range(3):
        await api("users.guilds", setup.token)
    setup.chat.guilds.clear()
    assert (await api("users.guilds", setup.token)).value == []


async def test_a_caller_revoked_during_the_upstream_request_gets_nothing(
    setup: Setup, api: Api
) -> None:
    async def log_out() -> None:
        assert (await setup.gateway.rpc("users.logout", auth=setup.token))["result"]

    setup.chat.meanwhile = log_out
    assert (await api("users.guilds", setup.token)).slug == "unauthenticated"


async def test_a_caller_without_permission_causes_no_upstream_request(
    setup: Setup, api: Api
) -> None:
    assert (await api("users.guilds", "nobody")).slug == "unauthenticated"
    assert (await api("admin.users.get", setup.token, uuid=setup.uuid)).slug == "forbidden"
    assert setup.chat.asked == 0


async def test_a_stale_answer_says_so_at_both_apis(setup: Setup) -> None:
    setup.chat.stale_seconds, setup.panel.stale_seconds = 120, 7
    said = 'Gatehouse; hit; ttl=-120; key="users.guilds"; detail=stale-if-error'
    response = await setup.gateway.rest("GET", "/users/@self/guilds", setup.token)
    assert response.headers["Cache-Status"] == said
    assert response.json() == [GUILD]
    path = f"/users/{setup.uuid}"
    response = await setup.gateway.rest("GET", path, setup.gateway.admin_key)
    assert "ttl=-7;" in response.headers["Cache-Status"]
    calls = [
        {"jsonrpc": "2.0", "method": name, "auth": credential, "params": members, "id": name}
        for name, credential, members in setup.cases
    ]
    response = await setup.gateway.client.post("/rpc", json=[*calls, *calls])
    assert [said for said in response.json() if "result" not in said] == []
    of_batch = response.headers["Cache-Status"]
    assert of_batch == f"{said}, " + said.replace("120", "7").replace(
        "users.guilds", "admin.users.get"
    )


async def test_a_fresh_answer_says_nothing_of_that(setup: Setup) -> None:
    response = await setup.gateway.rest("GET", "/users/@self/guilds", setup.token)
    assert "Cache-Status" not in response.headers


# ------------------------------------------------------------------------------ the rest


async def test_the_entity_tag_changes_with_the_panels_servers_and_guards_the_account(
    setup: Setup,
) -> None:
    gateway, path = setup.gateway, f"/users/{setup.uuid}"
    key = gateway.admin_key
    tag = (await gateway.rest("GET", path, key)).headers["ETag"]
    again = await gateway.rest("GET", path, key, headers={"If-None-Match": tag})
    assert again.status_code == 304
    setup.panel.servers[setup.uuid] = [PanelServer(SECOND, True)]
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
    ("guilds.members", {"id": "7"}),
    ("admin.guilds.list", {}),
    ("admin.guilds.put", {"id": "7", "name": "Builders", "owner_id": "9"}),
    ("admin.guilds.delete", {"id": "7"}),
    ("admin.guilds.members.put", {"id": "7", "user": "9"}),
    ("admin.guilds.members.delete", {"id": "7", "user": "9"}),
]


@pytest.mark.parametrize(("operation", "members"), REGISTRY, ids=[row[0] for row in REGISTRY])
async def test_the_registry_is_closed_where_another_service_keeps_the_list(
    setup: Setup, api: Api, operation: str, members: dict[str, Any]
) -> None:
    assert (await api(operation, "nobody", **members)).slug == "unauthenticated"
    assert (await api(operation, setup.gateway.admin_key, **members)).slug == "forbidden"


async def test_each_part_of_the_registry_by_itself(database: Path) -> None:
    async with open_gateway(database, panel=FakePanel()) as gateway:
        key = gateway.admin_key
        assert (await gateway.rest("GET", "/guilds", key)).json() == []
        refused = await gateway.rest("GET", "/servers", key)
        assert (refused.status_code, "Servers are managed by the panel" in refused.text) == (
            403,
            True,
        )
