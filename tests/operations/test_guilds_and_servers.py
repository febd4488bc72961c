"""Operations of admins on guilds and servers."""

from typing import Any

import pytest

from app.domain.errors import InvalidInput, NotFound, UserNotFound
from app.domain.users import User
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from tests.fakes.services import account, do, sign_up

pytestmark = pytest.mark.anyio

SERVER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
UNKNOWN = "11111111-1111-4111-8111-111111111111"
NOT_ACCOUNTS = [UNKNOWN, "99", "", "alice", "1", "\x00"]


@pytest.fixture
async def owner(services: Services) -> User:
    return await sign_up(services, "owner1")


@pytest.fixture
async def other(services: Services) -> User:
    return await sign_up(services, "other1")


# -------------------------------------------------------------------------------- servers


async def put_server(services: Services, admin: Caller, owner: User, /, **members: Any) -> Any:
    plain = {"uuid": SERVER, "owner": owner.uuid, "name": "Survival"}
    return await do(services, "admin.servers.put", admin, **{**plain, **members})


async def servers(services: Services, admin: Caller) -> Any:
    return await do(services, "admin.servers.list", admin)


async def test_a_new_server_runs_and_is_listed_by_uuid(
    services: Services, admin: Caller, owner: User
) -> None:
    put = await put_server(services, admin, owner)
    view = {"id": 1, "owner": owner.uuid, "name": "Survival", "active": 1}
    assert (put.view, put.created) == (view, True)
    assert await servers(services, admin) == {SERVER: view}


@pytest.mark.parametrize("active", [True, False])
async def test_a_server_is_as_it_was_put(
    services: Services, admin: Caller, owner: User, other: User, active: bool
) -> None:
    await put_server(services, admin, owner)
    put = await put_server(services, admin, other, name=" New ", active=active)
    assert put.view == {"id": 1, "owner": other.uuid, "name": "New", "active": int(active)}
    assert not put.created


@pytest.mark.parametrize("active", [True, False])
async def test_without_active_a_server_stays_as_it_was(
    services: Services, admin: Caller, owner: User, active: bool
) -> None:
    await put_server(services, admin, owner, active=active)
    put = await put_server(services, admin, owner, name="New")
    assert put.view["active"] == int(active)


async def test_an_owner_is_named_by_uuid_in_any_case_or_by_snowflake(
    services: Services, admin: Caller, owner: User
) -> None:
    for name in (owner.uuid, owner.uuid.upper(), str(owner.id)):
        put = await put_server(services, admin, owner, owner=name)
        assert put.view["owner"] == owner.uuid


async def test_a_server_is_named_by_uuid_in_any_case(
    services: Services, admin: Caller, owner: User
) -> None:
    await put_server(services, admin, owner, uuid=SERVER.upper())
    assert list(await servers(services, admin)) == [SERVER]
    await do(services, "admin.servers.delete", admin, uuid=SERVER.upper())
    assert await servers(services, admin) == {}


@pytest.mark.parametrize("name", NOT_ACCOUNTS)
async def test_a_server_of_an_unknown_owner_is_refused(
    services: Services, admin: Caller, owner: User, name: str
) -> None:
    with pytest.raises(UserNotFound):
        await put_server(services, admin, owner, owner=name)
    assert await servers(services, admin) == {}


@pytest.mark.parametrize(
    ("members", "field_error"),
    [({"uuid": "1"}, "uuid"), ({"uuid": ""}, "uuid"), ({"name": ""}, "name")],
)
async def test_a_server_that_is_not_well_formed_is_not_put(
    services: Services, admin: Caller, owner: User, members: dict[str, str], field_error: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await put_server(services, admin, owner, **members)
    assert [field_error.name for field_error in refusal.value.field_errors] == [field_error]
    assert await servers(services, admin) == {}


async def test_a_server_of_a_disabled_owner_runs_once_the_owner_is_enabled(
    services: Services, admin: Caller, owner: User
) -> None:
    await do(services, "admin.users.disable", admin, uuid=owner.uuid)
    put = await put_server(services, admin, owner, active=True)
    assert put.view["active"] == 0
    await do(services, "admin.users.update", admin, uuid=owner.uuid, disabled=False)
    assert (await servers(services, admin))[SERVER]["active"] == 1


async def test_a_server_stopped_while_its_owner_was_disabled_stays_stopped(
    services: Services, admin: Caller, owner: User
) -> None:
    await put_server(services, admin, owner)
    await do(services, "admin.users.disable", admin, uuid=owner.uuid)
    await put_server(services, admin, owner, active=False)
    await do(services, "admin.users.update", admin, uuid=owner.uuid, disabled=False)
    assert (await servers(services, admin))[SERVER]["active"] == 0


async def test_a_server_moved_to_an_active_owner_runs(
    services: Services, admin: Caller, owner: User, other: User
) -> None:
    await put_server(services, admin, owner)
    await do(services, "admin.users.disable", admin, uuid=owner.uuid)
    put = await put_server(services, admin, other)
    assert put.view["active"] == 1


async def test_a_deleted_server_is_gone_and_not_found_again(
    services: Services, admin: Caller, owner: User
) -> None:
    await put_server(services, admin, owner)
    assert await do(services, "admin.servers.delete", admin, uuid=SERVER) is True
    with pytest.raises(NotFound):
        await do(services, "admin.servers.delete", admin, uuid=SERVER)


# --------------------------------------------------------------------------------- guilds


async def put_guild(services: Services, admin: Caller, owner: User, /, **members: Any) -> Any:
    plain = {"id": "50", "name": "Builders", "owner_id": str(owner.id)}
    return await do(services, "admin.guilds.put", admin, **{**plain, **members})


async def guilds(services: Services, admin: Caller) -> Any:
    return await do(services, "admin.guilds.list", admin)


async def join(services: Services, admin: Caller, guild: str, user: str) -> Any:
    return await do(services, "admin.guilds.members.put", admin, id=guild, user=user)


async def leave(services: Services, admin: Caller, guild: str, user: str) -> Any:
    return await do(services, "admin.guilds.members.delete", admin, id=guild, user=user)


@pytest.mark.parametrize("icon", [None, "https://example.com/icon.png"])
async def test_a_guild_is_as_it_was_put(
    services: Services, admin: Caller, owner: User, other: User, icon: str | None
) -> None:
    first = await put_guild(services, admin, owner)
    second = await put_guild(services, admin, other, name=" New ", icon=icon)
    view = {"id": "50", "name": "New", "owner_id": str(other.id), "icon": icon}
    assert (first.created, second.created) == (True, False)
    assert second.view == view
    assert await guilds(services, admin) == [view]


async def test_a_guild_put_again_without_an_icon_has_none(
    services: Services, admin: Caller, owner: User
) -> None:
    await put_guild(services, admin, owner, icon="https://example.com/icon.png")
    assert (await put_guild(services, admin, owner)).view["icon"] is None


async def test_guilds_are_listed_the_oldest_first(
    services: Services, admin: Caller, owner: User
) -> None:
    for guild_id in ("100", "9", "20"):
        await put_guild(services, admin, owner, id=guild_id, owner_id=owner.uuid)
    assert [guild["id"] for guild in await guilds(services, admin)] == ["9", "20", "100"]


@pytest.mark.parametrize("name", NOT_ACCOUNTS)
async def test_a_guild_of_an_unknown_owner_is_refused(
    services: Services, admin: Caller, owner: User, name: str
) -> None:
    with pytest.raises(UserNotFound):
        await put_guild(services, admin, owner, owner_id=name)
    assert await guilds(services, admin) == []


@pytest.mark.parametrize(
    ("members", "field_error"),
    [({"id": "x"}, "id"), ({"id": "0"}, "id"), ({"name": " "}, "name"), ({"icon": "x"}, "icon")],
)
async def test_a_guild_that_is_not_well_formed_is_not_put(
    services: Services, admin: Caller, owner: User, members: dict[str, str], field_error: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await put_guild(services, admin, owner, **members)
    assert [field_error.name for field_error in refusal.value.field_errors] == [field_error]
    assert await guilds(services, admin) == []


async def test_a_deleted_guild_is_gone_and_not_found_again(
    services: Services, admin: Caller, owner: User
) -> None:
    await put_guild(services, admin, owner)
    assert await do(services, "admin.guilds.delete", admin, id="50") is True
    assert await guilds(services, admin) == []
    with pytest.raises(NotFound):
        await do(services, "admin.guilds.delete", admin, id="50")


# -------------------------------------------------------------------------------- members


async def test_a_member_belongs_to_the_guild_until_removed(
    services: Services, admin: Caller, owner: User, alice: Caller
) -> None:
    user = await account(services, "alice")
    await put_guild(services, admin, owner)
    joined = [(await join(services, admin, "50", ref)).created for ref in (user.uuid, str(user.id))]
    assert joined == [True, False]
    assert [guild["id"] for guild in await do(services, "users.guilds", alice)] == ["50"]
    assert await leave(services, admin, "50", user.uuid) is True
    assert await do(services, "users.guilds", alice) == []


async def test_a_non_member_is_not_found(
    services: Services, admin: Caller, owner: User, other: User
) -> None:
    await put_guild(services, admin, owner)
    for user in (owner, other):
        with pytest.raises(NotFound):
            await leave(services, admin, "50", user.uuid)


@pytest.mark.parametrize("change", [join, leave])
async def test_a_membership_takes_a_guild_and_an_account(
    services: Services, admin: Caller, owner: User, change: Any
) -> None:
    await put_guild(services, admin, owner)
    with pytest.raises(NotFound):
        await change(services, admin, "51", owner.uuid)
    with pytest.raises(InvalidInput):
        await change(services, admin, "x", owner.uuid)
    for name in NOT_ACCOUNTS:
        with pytest.raises(UserNotFound):
            await change(services, admin, "50", name)


async def test_memberships_end_with_their_guild(
    services: Services, admin: Caller, owner: User, alice: Caller
) -> None:
    user = await account(services, "alice")
    await put_guild(services, admin, owner)
    await join(services, admin, "50", user.uuid)
    await do(services, "admin.guilds.delete", admin, id="50")
    await put_guild(services, admin, owner)
    assert await do(services, "users.guilds", alice) == []


async def test_members_stay_when_a_guild_is_put_again(
    services: Services, admin: Caller, owner: User, other: User, alice: Caller
) -> None:
    user = await account(services, "alice")
    await put_guild(services, admin, owner)
    await join(services, admin, "50", user.uuid)
    await put_guild(services, admin, other, name="New")
    assert [guild["name"] for guild in await do(services, "users.guilds", alice)] == ["New"]
