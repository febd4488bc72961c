"""Servers and guilds of the embedded registry."""

from typing import Any

import pytest

from tests.gateway import Gateway
from tests.rest.wire import UNKNOWN, create, flaws_of, problem_of

pytestmark = pytest.mark.anyio

SERVER, GUILD = f"/servers/{UNKNOWN}", "/guilds/71395574100676700"


@pytest.fixture
async def demo(gateway: Gateway) -> dict[str, Any]:
    """The created view of an account."""
    return await create(gateway, "demoaccount")


async def ask(gateway: Gateway, verb: str, path: str, body: Any = None) -> Any:
    return await gateway.rest(verb, path, gateway.admin_key, json=body)


@pytest.fixture(params=["uuid", "user_id", "upper"])
async def owner(request: pytest.FixtureRequest, demo: dict[str, Any]) -> str:
    """The account's uuid, its snowflake, and its uuid in upper case."""
    return str(demo["uuid"].upper() if request.param == "upper" else demo[request.param])


# -------------------------------------------------------------------------- servers


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_server_is_created_and_then_replaced(
    gateway: Gateway, demo: dict[str, Any], owner: str, prefix: str
) -> None:
    body = {"owner": owner, "name": "Survival"}
    created = await ask(gateway, "PUT", f"{prefix}{SERVER}", body)
    view = {"id": 1, "owner": demo["uuid"], "name": "Survival", "active": 1}
    assert (created.status_code, created.json()) == (201, view)
    replaced = await ask(gateway, "PUT", f"{prefix}{SERVER}", {**body, "name": "Creative"})
    assert (replaced.status_code, replaced.content) == (204, b"")
    listed = (await ask(gateway, "GET", f"{prefix}/servers")).json()
    assert listed == {UNKNOWN: {**view, "name": "Creative"}}


async def test_servers_are_a_map_by_uuid_in_lower_case(
    gateway: Gateway, demo: dict[str, Any]
) -> None:
    assert (await ask(gateway, "GET", "/servers")).content == b"{}"
    body = {"owner": demo["uuid"], "name": "Survival"}
    await ask(gateway, "PUT", f"/servers/{UNKNOWN.upper()}", body)
    assert list((await ask(gateway, "GET", "/servers")).json()) == [UNKNOWN]
    detail = (await ask(gateway, "GET", f"/users/{demo['uuid']}")).json()
    assert detail["servers"] == [UNKNOWN]


@pytest.mark.parametrize(("flag", "active"), [(0, 0), (1, 1), (False, 0), (True, 1)], ids=repr)
async def test_active_is_read_as_a_flag_and_written_as_a_number(
    gateway: Gateway, demo: dict[str, Any], flag: object, active: int
) -> None:
    body = {"owner": demo["uuid"], "name": "Survival", "active": flag}
    response = await ask(gateway, "PUT", SERVER, body)
    assert f'"active":{active}' in response.text


async def test_active_stays_as_it_was_where_it_is_not_sent(
    gateway: Gateway, demo: dict[str, Any]
) -> None:
    body = {"owner": demo["uuid"], "name": "Survival"}
    await ask(gateway, "PUT", SERVER, {**body, "active": 0})
    await ask(gateway, "PUT", SERVER, body)
    assert (await ask(gateway, "GET", "/servers")).json()[UNKNOWN]["active"] == 0


async def test_disabling_an_account_stops_its_servers_and_enabling_restores_them(
    gateway: Gateway, demo: dict[str, Any]
) -> None:
    other = UNKNOWN.replace("7", "8")
    for uuid, active in ((UNKNOWN, 1), (other, 0)):
        body = {"owner": demo["uuid"], "name": "Survival", "active": active}
        await ask(gateway, "PUT", f"/servers/{uuid}", body)
    shown = []
    for disabled in (1, 0):
        await ask(gateway, "PUT", f"/users/{demo['uuid']}", {"disabled": disabled})
        servers = (await ask(gateway, "GET", "/servers")).json()
        shown.append((servers[UNKNOWN]["active"], servers[other]["active"]))
    assert shown == [(0, 0), (1, 0)]


@pytest.mark.parametrize("body", [{"owner": "x"}, {"name": "x"}, {}])
async def test_owner_and_name_are_required(shared_gateway: Gateway, body: dict[str, str]) -> None:
    missing = [f"#/{name}" for name in ("owner", "name") if name not in body]
    assert flaws_of(await ask(shared_gateway, "PUT", SERVER, body)) == missing


@pytest.mark.parametrize("owner", [UNKNOWN, "1", "nobody", "", "-1", "1.0"])
async def test_a_server_needs_an_owner_who_is_there(shared_gateway: Gateway, owner: str) -> None:
    body = {"owner": owner, "name": "Survival"}
    problem_of(await ask(shared_gateway, "PUT", SERVER, body), 404, "user-not-found")
    assert (await ask(shared_gateway, "GET", "/servers")).json() == {}


@pytest.mark.parametrize("path", ["/servers/1", "/servers/x", f"/servers/{UNKNOWN}0"])
@pytest.mark.parametrize("verb", ["PUT", "DELETE"])
async def test_a_server_goes_by_a_uuid(shared_gateway: Gateway, verb: str, path: str) -> None:
    body = {"owner": UNKNOWN, "name": "Survival"} if verb == "PUT" else None
    problem_of(await ask(shared_gateway, verb, path, body), 400, "invalid-input")


async def test_a_server_is_deleted_once(gateway: Gateway, demo: dict[str, Any]) -> None:
    await ask(gateway, "PUT", SERVER, {"owner": demo["uuid"], "name": "Survival"})
    response = await ask(gateway, "DELETE", SERVER)
    assert (response.status_code, response.content) == (204, b"")
    problem_of(await ask(gateway, "DELETE", SERVER), 404, "not-found")


# --------------------------------------------------------------------------- guilds


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_guild_is_created_and_then_replaced(
    gateway: Gateway, demo: dict[str, Any], owner: str, prefix: str
) -> None:
    body = {"name": "Builders", "owner_id": owner, "icon": "https://example.com/icon.png"}
    created = await ask(gateway, "PUT", f"{prefix}{GUILD}", body)
    view = {**body, "id": "71395574100676700", "owner_id": demo["user_id"]}
    assert (created.status_code, created.json()) == (201, view)
    assert list(created.json()) == ["id", "name", "owner_id", "icon"]
    body = {"name": "Miners", "owner_id": owner}
    replaced = await ask(gateway, "PUT", f"{prefix}{GUILD}", body)
    assert (replaced.status_code, replaced.content) == (204, b"")
    listed = (await ask(gateway, "GET", f"{prefix}/guilds")).json()
    assert listed == [{**view, "name": "Miners", "icon": None}]


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_member_is_added_and_removed(
    gateway: Gateway, demo: dict[str, Any], owner: str, prefix: str
) -> None:
    admin = await gateway.uuid_of("admin")
    await ask(gateway, "PUT", GUILD, {"name": "Builders", "owner_id": admin})
    path = f"{prefix}{GUILD}/members/{owner}"
    statuses = [(await ask(gateway, verb, path)).status_code for verb in ("PUT", "PUT", "DELETE")]
    assert statuses == [201, 204, 204]
    problem_of(await ask(gateway, "DELETE", path), 404, "not-found")


async def test_one_member_has_two_names(gateway: Gateway, demo: dict[str, Any]) -> None:
    admin = await gateway.uuid_of("admin")
    await ask(gateway, "PUT", GUILD, {"name": "Builders", "owner_id": admin})
    by_uuid = await ask(gateway, "PUT", f"{GUILD}/members/{demo['uuid']}")
    by_snowflake = await ask(gateway, "PUT", f"{GUILD}/members/{demo['user_id']}")
    assert (by_uuid.status_code, by_snowflake.status_code) == (201, 204)


@pytest.mark.parametrize("verb", ["PUT", "DELETE"])
async def test_membership_needs_a_guild_and_an_account(gateway: Gateway, verb: str) -> None:
    admin = await gateway.uuid_of("admin")
    problem_of(await ask(gateway, verb, f"{GUILD}/members/{admin}"), 404, "not-found")
    await ask(gateway, "PUT", GUILD, {"name": "Builders", "owner_id": admin})
    problem_of(await ask(gateway, verb, f"{GUILD}/members/{UNKNOWN}"), 404, "user-not-found")


@pytest.mark.parametrize("guild", ["x", "0", "-1", "01", "1.0", "9223372036854775808", "%00"])
async def test_a_guild_goes_by_a_snowflake(shared_gateway: Gateway, guild: str) -> None:
    body = {"name": "Builders", "owner_id": await shared_gateway.uuid_of("admin")}
    response = await ask(shared_gateway, "PUT", f"/guilds/{guild}", body)
    problem_of(response, 400, "invalid-input")


@pytest.mark.parametrize("icon", ["", "icon.png", "javascript:alert(1)", "ftp://example.com/x"])
async def test_an_icon_is_a_web_address(shared_gateway: Gateway, icon: str) -> None:
    body = {"name": "Builders", "owner_id": await shared_gateway.uuid_of("admin"), "icon": icon}
    assert flaws_of(await ask(shared_gateway, "PUT", GUILD, body)) == ["#/icon"]


async def test_a_guild_is_deleted_once_with_its_members(
    gateway: Gateway, demo: dict[str, Any]
) -> None:
    body = {"name": "Builders", "owner_id": await gateway.uuid_of("admin")}
    await ask(gateway, "PUT", GUILD, body)
    await ask(gateway, "PUT", f"{GUILD}/members/{demo['uuid']}")
    response = await ask(gateway, "DELETE", GUILD)
    assert (response.status_code, response.content) == (204, b"")
    problem_of(await ask(gateway, "DELETE", GUILD), 404, "not-found")
    await ask(gateway, "PUT", GUILD, body)
    assert (await ask(gateway, "PUT", f"{GUILD}/members/{demo['uuid']}")).status_code == 201


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_the_members_are_read_page_by_page_until_no_link_is_left(
    gateway: Gateway, prefix: str
) -> None:
    users = [await gateway.sign_up(name) for name in ("alice", "bobby", "carol")]
    await ask(gateway, "PUT", GUILD, {"name": "Guild", "owner_id": users[1]["id"]})
    for user in users[::2]:
        await ask(gateway, "PUT", f"{GUILD}/members/{user['id']}")
    token, path = await gateway.log_in("alice"), f"{prefix}{GUILD}/members?limit=2"
    first = await gateway.rest("GET", path, token)
    assert [user["username"] for user in first.json()] == ["alice", "bobby"]
    assert first.json()[0].keys() == {"id", "username", "display_name"}
    assert first.links["first"]["url"] == path
    second = await gateway.rest("GET", first.links["next"]["url"], token)
    assert [user["username"] for user in second.json()] == ["carol"]
    assert "next" not in second.links
    cursor = first.links["next"]["url"].partition("cursor=")[2]
    other = GUILD.replace("700", "701")
    await ask(gateway, "PUT", other, {"name": "Guild", "owner_id": users[0]["id"]})
    refused = await gateway.rest("GET", f"{other}/members?cursor={cursor}", token)
    assert refused.status_code == 400


@pytest.mark.parametrize("path", ["/servers", "/guilds"])
async def test_the_registry_has_no_pages(shared_gateway: Gateway, path: str) -> None:
    response = await shared_gateway.rest("GET", f"{path}?limit=1", shared_gateway.admin_key)
    assert flaws_of(response, "query") == ["limit"]
