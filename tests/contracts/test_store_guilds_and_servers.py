"""Every store: guilds, their members, and servers."""

from dataclasses import replace

import pytest

from app.domain.guilds_and_servers import Guild, Server
from app.domain.ports.store import Store
from app.domain.users import User
from tests.contracts.rows import SERVERS, add_users, save

pytestmark = pytest.mark.anyio


async def put_guilds(store: Store, *guilds: Guild) -> list[bool]:
    return await store.write(lambda tx: [tx.guilds.upsert(guild) for guild in guilds])


async def list_guilds(store: Store, user: User) -> list[int]:
    return [guild.id for guild in await store.read(lambda tx: tx.guilds.list_for_user(user.id))]


async def join(store: Store, user: User, *guild_ids: int) -> None:
    await store.write(lambda tx: [tx.guilds.add_member(at, user.id) for at in guild_ids])


async def put_server(
    store: Store, uuid: str, owner: User, name: str = "Server", enabled: bool = True
) -> bool:
    return await store.write(
        lambda tx: tx.servers.upsert(uuid, owner_id=owner.id, name=name, enabled=enabled)
    )


async def find_server(store: Store, uuid: str) -> Server:
    server = await store.read(lambda tx: tx.servers.find(uuid))
    assert server is not None
    return server


# ---------------------------------------------------------------------------------- guilds


@pytest.mark.parametrize("icon", [None, "https://example.com/icon.png"])
async def test_a_guild_is_found_as_it_was_put(store: Store, icon: str | None) -> None:
    (user,) = await add_users(store, 1)
    guild = Guild(2**63 - 1, "公会 '\"\\", user.id, icon)
    assert await put_guilds(store, guild) == [True]
    assert await store.read(lambda tx: tx.guilds.find(guild.id)) == guild
    assert await store.read(lambda tx: tx.guilds.find(1)) is None


async def test_a_guild_put_again_is_replaced_and_keeps_its_members(store: Store) -> None:
    user, other, member = await add_users(store, 3)
    guild = Guild(1, "Old", user.id, "https://example.com")
    await put_guilds(store, guild)
    await store.write(lambda tx: tx.guilds.add_member(1, member.id))
    changed = Guild(1, "New", other.id, None)
    assert await put_guilds(store, changed, changed) == [False, False]
    assert await store.read(lambda tx: list(tx.guilds.list_all())) == [changed]
    assert await list_guilds(store, member) == [1]
    assert await list_guilds(store, user) == []


async def test_guilds_are_listed_the_oldest_first(store: Store) -> None:
    (user,) = await add_users(store, 1)
    await put_guilds(store, *(Guild(number, "Guild", user.id, None) for number in (30, 4, 200)))
    listed = await store.read(lambda tx: [guild.id for guild in tx.guilds.list_all()])
    assert listed == [4, 30, 200]


async def test_the_guilds_of_an_account_are_those_it_owns_and_those_it_is_in(store: Store) -> None:
    user, other = await add_users(store, 2)
    owners = {5: user, 3: other, 4: other, 2: user}
    await put_guilds(store, *(Guild(n, "Guild", owner.id, None) for n, owner in owners.items()))
    await join(store, user, 3, 5)  # 5 is the user's own, too
    assert await list_guilds(store, user) == [2, 3, 5]
    assert await list_guilds(store, other) == [3, 4]


async def test_a_deleted_guild_is_gone_with_its_memberships(store: Store) -> None:
    user, member = await add_users(store, 2)
    guild = Guild(1, "Guild", user.id, None)
    await put_guilds(store, guild, replace(guild, id=2))
    await join(store, member, 1, 2)
    deleted = [await store.write(lambda tx: tx.guilds.delete(1)) for _ in range(2)]
    assert deleted == [True, False]
    assert await list_guilds(store, member) == [2]
    await put_guilds(store, guild)
    assert await list_guilds(store, member) == [2]


async def test_a_membership_is_new_once(store: Store) -> None:
    user, member = await add_users(store, 2)
    await put_guilds(store, Guild(1, "Guild", user.id, None))
    added = [await store.write(lambda tx: tx.guilds.add_member(1, member.id)) for _ in range(2)]
    assert added == [True, False]
    assert await list_guilds(store, member) == [1]


async def test_a_membership_ends_once_and_no_other_with_it(store: Store) -> None:
    owner, member, other = await add_users(store, 3)
    await put_guilds(store, Guild(1, "Guild", owner.id, None), Guild(2, "Guild", owner.id, None))
    await join(store, member, 1, 2)
    await join(store, other, 1, 2)
    removed = [
        await store.write(lambda tx: tx.guilds.remove_member(1, member.id)) for _ in range(2)
    ]
    assert removed == [True, False]
    assert await list_guilds(store, member) == [2]
    assert await list_guilds(store, other) == [1, 2]


async def test_an_owner_is_no_member_to_remove(store: Store) -> None:
    (owner,) = await add_users(store, 1)
    await put_guilds(store, Guild(1, "Guild", owner.id, None))
    assert not await store.write(lambda tx: tx.guilds.remove_member(1, owner.id))
    assert await list_guilds(store, owner) == [1]


async def test_the_members_are_listed_with_the_owner_the_oldest_account_first(
    store: Store,
) -> None:
    users = await add_users(store, 5)
    guild = Guild(1, "Guild", users[2].id, None)
    await put_guilds(store, guild, Guild(2, "Guild", users[0].id, None))
    for user in (users[4], users[3], users[1]):
        await join(store, user, 1)

    async def list_members(after: int, limit: int) -> list[User]:
        return list(await store.read(lambda tx: tx.guilds.list_members(guild, after, limit)))

    assert await list_members(0, 9) == users[1:]
    assert await list_members(0, 2) == users[1:3]
    assert await list_members(users[1].id, 2) == users[2:4]
    assert await list_members(users[2].id, 9) == users[3:]
    assert await list_members(users[4].id, 9) == []
    await join(store, users[2], 1)
    assert await list_members(0, 9) == users[1:]
    for user in users[2:4]:
        await save(store, user, disabled=True)
    assert await list_members(0, 9) == [users[1], users[4]]
    belong = await store.read(lambda tx: [tx.guilds.belongs_to(guild, it.id) for it in users])
    assert belong == [False, True, True, True, True]


# --------------------------------------------------------------------------------- servers


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_server_is_found_as_it_was_put(store: Store, enabled: bool) -> None:
    _, owner = await add_users(store, 2)
    assert await put_server(store, SERVERS[0], owner, "服务器 '\"\\", enabled)
    found = await find_server(store, SERVERS[0])
    assert found == Server(
        found.number, SERVERS[0], owner.id, owner.uuid, "服务器 '\"\\", enabled, enabled
    )
    assert await store.read(lambda tx: tx.servers.find(SERVERS[1])) is None


async def test_a_server_put_again_is_replaced_and_keeps_its_number(store: Store) -> None:
    owner, other = await add_users(store, 2)
    await put_server(store, SERVERS[0], owner)
    number = (await find_server(store, SERVERS[0])).number
    assert not await put_server(store, SERVERS[0], other, "New", enabled=False)
    assert await find_server(store, SERVERS[0]) == Server(
        number, SERVERS[0], other.id, other.uuid, "New", enabled=False, active=False
    )


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_server_is_active_while_enabled_and_its_owner_is(
    store: Store, enabled: bool
) -> None:
    owner, _ = await add_users(store, 2)
    await put_server(store, SERVERS[0], owner, enabled=enabled)
    await save(store, owner, disabled=True)
    stopped = await find_server(store, SERVERS[0])
    assert (stopped.enabled, stopped.active) == (enabled, False)
    await save(store, owner, disabled=False)
    restored = await find_server(store, SERVERS[0])
    assert (restored.enabled, restored.active) == (enabled, enabled)


async def test_a_server_follows_its_own_owner_alone(store: Store) -> None:
    owner, other = await add_users(store, 2)
    await put_server(store, SERVERS[0], owner)
    await put_server(store, SERVERS[1], other)
    await save(store, other, disabled=True)
    listed = await store.read(lambda tx: [(s.uuid, s.active) for s in tx.servers.list_all()])
    assert listed == [(SERVERS[0], True), (SERVERS[1], False)]


async def test_servers_are_listed_the_oldest_first(store: Store) -> None:
    owner, other = await add_users(store, 2)
    order = [SERVERS[n] for n in (3, 1, 2, 0)]
    for uuid in order:
        await put_server(store, uuid, other if uuid == SERVERS[1] else owner)
    await put_server(store, SERVERS[3], owner, "Renamed")
    assert await store.read(lambda tx: [server.uuid for server in tx.servers.list_all()]) == order
    own = await store.read(lambda tx: list(tx.servers.list_uuids_for_user(owner.id)))
    assert own == [SERVERS[n] for n in (3, 2, 0)]
    assert await store.read(lambda tx: list(tx.servers.list_uuids_for_user(other.id))) == [
        SERVERS[1]
    ]


async def test_a_deleted_server_is_gone(store: Store) -> None:
    (owner,) = await add_users(store, 1)
    await put_server(store, SERVERS[0], owner)
    await put_server(store, SERVERS[1], owner)
    deleted = [await store.write(lambda tx: tx.servers.delete(SERVERS[0])) for _ in range(2)]
    assert deleted == [True, False]
    assert await store.read(lambda tx: list(tx.servers.list_uuids_for_user(owner.id))) == [
        SERVERS[1]
    ]
    assert await store.read(lambda tx: tx.servers.find(SERVERS[0])) is None
