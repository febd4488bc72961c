"""What an admin does with guilds and servers, where Gatehouse keeps their list itself."""

from dataclasses import dataclass, replace
from typing import Annotated

from app.domain.audit import Change, Changes, Ref, RefKind
from app.domain.errors import NotFound
from app.domain.policy import Principal
from app.domain.ports import Transaction
from app.domain.registry import Guild, Server, guild_id, icon_url, label, server_uuid
from app.domain.users import User
from app.usecases.accounts import Nothing, find_user
from app.usecases.call import Call
from app.usecases.operation import UNSET, Param, Unset
from app.usecases.trail import Done
from app.usecases.views import GuildView, Put, Servers, ServerView, guild_view, server_view

ServerUuid = Annotated[str, Param("The server's uuid.", "7c9e6679-7425-40de-944b-e07fc1f90ae7")]
GuildId = Annotated[str, Param("The guild's snowflake.", "71395574100676610")]
AccountParam = Annotated[
    str, Param("An account, by uuid or snowflake.", "0f8fad5b-d9cb-469f-a165-70867728950e")
]


async def list_servers(call: Call, command: Nothing) -> Servers:
    """Returns all servers, keyed by uuid.

    Admins may.
    """
    servers = await call.scan(lambda tx, _: tx.servers.all())
    return {server.uuid: server_view(server) for server in servers}


@dataclass(frozen=True, slots=True)
class PutServer:
    """A server as it shall be."""

    uuid: ServerUuid
    owner: AccountParam
    name: Annotated[str, Param("The server's name: 1 to 100 characters.", "Survival")]
    active: (
        Annotated[bool, Param("Whether it shall run; at first 1, later as it was.", 1)] | Unset
    ) = UNSET


async def put_server(call: Call, command: PutServer) -> Put[ServerView]:
    """Creates or replaces a server.

    Admins may. A server whose owner is disabled is not active, whatever is asked for, until the
    owner is enabled.
    """

    def put(tx: Transaction, _: Principal) -> Done[Put[ServerView]]:
        uuid, name = server_uuid(command.uuid), label(command.name)
        owner = find_user(tx, command.owner)
        before = tx.servers.find(uuid)
        enabled = before is None or before.enabled
        if command.active is not UNSET:
            enabled = command.active
        created = tx.servers.put(uuid, owner_id=owner.id, name=name, enabled=enabled)
        after = tx.servers.find(uuid)
        assert after is not None
        changes = _server_changes(before, after)
        if changes:
            _mark_changed(tx, owner)
        if before is not None and before.owner_id != owner.id:
            _mark_changed(tx, find_user(tx, before.owner_uuid))
        return Done(Put(server_view(after), created=created), _server(uuid), changes)

    return await call.write(put)


def _server(uuid: str) -> Ref:
    return Ref(RefKind.SERVER, uuid)


def _server_changes(before: Server | None, after: Server) -> Changes:
    """What a PUT changed; of the name only that it did, since any text may stand there."""
    if before is None:
        return {"owner": (None, after.owner_uuid), "name": None, "active": (None, after.enabled)}
    changes: dict[str, Change] = {}
    if before.owner_id != after.owner_id:
        changes["owner"] = (before.owner_uuid, after.owner_uuid)
    if before.name != after.name:
        changes["name"] = None
    if before.enabled != after.enabled:
        changes["active"] = (before.enabled, after.enabled)
    return changes


@dataclass(frozen=True, slots=True)
class ServerByUuid:
    """Which server."""

    uuid: ServerUuid


async def delete_server(call: Call, command: ServerByUuid) -> bool:
    """Deletes a server from the registry.

    Admins may.
    """

    def delete(tx: Transaction, _: Principal) -> Done[None]:
        server = _find_server(tx, command.uuid)
        tx.servers.delete(server.uuid)
        _mark_changed(tx, find_user(tx, server.owner_uuid))
        return Done(None, _server(server.uuid), {"owner": (server.owner_uuid, None)})

    await call.write(delete)
    return True


def _find_server(tx: Transaction, raw: str) -> Server:
    server = tx.servers.find(server_uuid(raw))
    if server is None:
        raise NotFound("There is no such server.")
    return server


def _mark_changed(tx: Transaction, owner: User) -> None:
    """An account's entity tag covers its servers."""
    tx.users.save(replace(owner, version=owner.version + 1))


async def list_all_guilds(call: Call, command: Nothing) -> list[GuildView]:
    """Returns all guilds, the oldest first.

    Admins may.
    """
    return [guild_view(guild) for guild in await call.scan(lambda tx, _: tx.guilds.all())]


@dataclass(frozen=True, slots=True)
class PutGuild:
    """A guild as it shall be."""

    id: GuildId
    name: Annotated[str, Param("The guild's name: 1 to 100 characters.", "Builders")]
    owner_id: AccountParam
    icon: Annotated[
        str | None, Param("An http or https URL, or null.", "https://example.com/icon.png")
    ] = None


async def put_guild(call: Call, command: PutGuild) -> Put[GuildView]:
    """Creates or replaces a guild; its members stay.

    Admins may. The owner belongs to it without a membership of his own.
    """

    def put(tx: Transaction, _: Principal) -> Done[Put[GuildView]]:
        snowflake, name, icon = guild_id(command.id), label(command.name), icon_url(command.icon)
        guild = Guild(snowflake, name, find_user(tx, command.owner_id).id, icon)
        changes = _guild_changes(tx.guilds.find(snowflake), guild)
        view = Put(guild_view(guild), created=tx.guilds.put(guild))
        return Done(view, _guild(guild), changes)

    return await call.write(put)


def _guild(guild: Guild) -> Ref:
    return Ref(RefKind.GUILD, str(guild.id))


def _guild_changes(before: Guild | None, after: Guild) -> Changes:
    if before is None:
        return {"owner_id": (None, str(after.owner_id)), "name": None}
    changes: dict[str, Change] = {}
    if before.owner_id != after.owner_id:
        changes["owner_id"] = (str(before.owner_id), str(after.owner_id))
    for name in ("name", "icon"):
        if getattr(before, name) != getattr(after, name):
            changes[name] = None
    return changes


@dataclass(frozen=True, slots=True)
class GuildById:
    """Which guild."""

    id: GuildId


async def delete_guild(call: Call, command: GuildById) -> bool:
    """Deletes a guild from the registry, and its memberships.

    Admins may.
    """

    def delete(tx: Transaction, _: Principal) -> Done[None]:
        guild = _find_guild(tx, command.id)
        tx.guilds.delete(guild.id)
        return Done(None, _guild(guild), {"owner_id": (str(guild.owner_id), None)})

    await call.write(delete)
    return True


@dataclass(frozen=True, slots=True)
class Membership:
    """An account's belonging to a guild."""

    id: GuildId
    user: AccountParam


async def put_member(call: Call, command: Membership) -> Put[bool]:
    """Makes an account a member of a guild.

    Admins may. Doing it again changes nothing.
    """

    def put(tx: Transaction, _: Principal) -> Done[Put[bool]]:
        guild, user = _find_guild(tx, command.id), find_user(tx, command.user)
        is_new = tx.guilds.add_member(guild.id, user.id)
        changes: Changes = {"member": (None, user.uuid)} if is_new else {}
        return Done(Put(True, created=is_new), _guild(guild), changes)

    return await call.write(put)


async def delete_member(call: Call, command: Membership) -> bool:
    """Ends an account's membership of a guild.

    Admins may.
    """

    def delete(tx: Transaction, _: Principal) -> Done[None]:
        guild, user = _find_guild(tx, command.id), find_user(tx, command.user)
        if not tx.guilds.remove_member(guild.id, user.id):
            raise NotFound("The user is not a member of this guild.")
        return Done(None, _guild(guild), {"member": (user.uuid, None)})

    await call.write(delete)
    return True


def _find_guild(tx: Transaction, raw: str) -> Guild:
    guild = tx.guilds.find(guild_id(raw))
    if guild is None:
        raise NotFound("There is no such guild.")
    return guild
