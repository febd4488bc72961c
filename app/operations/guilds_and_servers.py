"""Guilds and servers of the embedded registry, for admins; the members of a guild, for members."""

from dataclasses import dataclass, replace
from typing import Annotated

from app.domain.audit import Changes, Ref, RefKind
from app.domain.errors import NotFound
from app.domain.guilds_and_servers import (
    Guild,
    Server,
    parse_guild_id,
    parse_icon_url,
    parse_label,
    parse_server_uuid,
)
from app.domain.policy import Principal, can_list_members
from app.domain.ports.store import Transaction
from app.domain.users import Position, User
from app.operations.accounts import NoInput, find_user
from app.operations.formats import (
    AccountId,
    Bit,
    Cursor,
    IconUrl,
    Label,
    PageLimit,
    Snowflake,
    Uuid,
)
from app.operations.framework import audit_log
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.context import OperationContext
from app.operations.framework.operation import UNSET, Param, Unset
from app.operations.framework.pagination import (
    LIMIT_DEFAULT,
    make_cursor,
    parse_cursor,
    require_limit,
)
from app.operations.views.accounts import profile
from app.operations.views.guilds_and_servers import (
    Guilds,
    GuildView,
    MemberPage,
    Servers,
    ServerView,
    guild_view,
    server_view,
)
from app.operations.views.results import Put

ServerUuid = Annotated[Uuid, Param("The server's uuid.", "7c9e6679-7425-40de-944b-e07fc1f90ae7")]
GuildId = Annotated[Snowflake, Param("The guild's snowflake.", "71395574100676610")]
AccountParam = Annotated[
    AccountId, Param("An account, by uuid or snowflake.", "0f8fad5b-d9cb-469f-a165-70867728950e")
]


async def list_servers(context: OperationContext, command: NoInput) -> Servers:
    """Returns all servers, keyed by uuid.

    Admins may.
    """
    servers = await context.scan(lambda tx, _: tx.servers.list_all())
    return {server.uuid: server_view(server) for server in servers}


@dataclass(frozen=True, slots=True)
class PutServer:
    """The new state of a server."""

    uuid: ServerUuid
    owner: AccountParam
    name: Annotated[Label, Param("The server's name: 1 to 100 characters.", "Survival")]
    active: (
        Annotated[
            bool,
            Param(
                "1 runs the server, 0 stops it; by default 1 for a new server, else unchanged.",
                1,
                shown=Bit,
            ),
        ]
        | Unset
    ) = UNSET


async def put_server(context: OperationContext, command: PutServer) -> Put[ServerView]:
    """Creates or replaces a server.

    Admins may. A server whose owner is disabled is inactive, whatever is requested, until the owner
    is enabled.
    """

    def put(tx: Transaction, _: Principal) -> WriteResult[Put[ServerView]]:
        uuid, name = parse_server_uuid(command.uuid), parse_label(command.name)
        owner = find_user(tx, command.owner)
        before = tx.servers.find(uuid)
        enabled = before is None or before.enabled
        if command.active is not UNSET:
            enabled = command.active
        created = tx.servers.upsert(uuid, owner_id=owner.id, name=name, enabled=enabled)
        after = tx.servers.find(uuid)
        assert after is not None
        changes = audit_log.diff_entities(before, after)
        if changes:
            _mark_changed(tx, owner)
        if before is not None and before.owner_id != owner.id:
            _mark_changed(tx, find_user(tx, before.owner_uuid))
        return WriteResult(Put(server_view(after), created=created), _server(uuid), changes)

    return await context.write(put)


def _server(uuid: str) -> Ref:
    return Ref(RefKind.SERVER, uuid)


@dataclass(frozen=True, slots=True)
class ServerByUuid:
    """The server."""

    uuid: ServerUuid


async def delete_server(context: OperationContext, command: ServerByUuid) -> bool:
    """Deletes a server from the registry.

    Admins may.
    """

    def delete(tx: Transaction, _: Principal) -> WriteResult[None]:
        server = _find_server(tx, command.uuid)
        tx.servers.delete(server.uuid)
        _mark_changed(tx, find_user(tx, server.owner_uuid))
        return WriteResult(None, _server(server.uuid), audit_log.diff_entities(server, None))

    await context.write(delete)
    return True


def _find_server(tx: Transaction, raw: str) -> Server:
    server = tx.servers.find(parse_server_uuid(raw))
    if server is None:
        raise NotFound("There is no such server. The list of servers has all.")
    return server


def _mark_changed(tx: Transaction, owner: User) -> None:
    """Increment the version of the owner, whose entity tag covers the servers."""
    tx.users.save(replace(owner, version=owner.version + 1))


async def list_all_guilds(context: OperationContext, command: NoInput) -> Guilds:
    """Returns all guilds, the oldest first.

    Admins may.
    """
    return [guild_view(guild) for guild in await context.scan(lambda tx, _: tx.guilds.list_all())]


@dataclass(frozen=True, slots=True)
class PutGuild:
    """The new state of a guild."""

    id: GuildId
    name: Annotated[Label, Param("The guild's name: 1 to 100 characters.", "Builders")]
    owner_id: AccountParam
    icon: Annotated[
        IconUrl | None, Param("An http or https URL, or null.", "https://example.com/icon.png")
    ] = None


async def put_guild(context: OperationContext, command: PutGuild) -> Put[GuildView]:
    """Creates or replaces a guild; its members are kept.

    Admins may. The owner belongs to the guild without a membership.
    """

    def put(tx: Transaction, _: Principal) -> WriteResult[Put[GuildView]]:
        snowflake, name, icon = (
            parse_guild_id(command.id),
            parse_label(command.name),
            parse_icon_url(command.icon),
        )
        guild = Guild(snowflake, name, find_user(tx, command.owner_id).id, icon)
        changes = audit_log.diff_entities(tx.guilds.find(snowflake), guild)
        view = Put(guild_view(guild), created=tx.guilds.upsert(guild))
        return WriteResult(view, _guild(guild), changes)

    return await context.write(put)


def _guild(guild: Guild) -> Ref:
    return Ref(RefKind.GUILD, str(guild.id))


@dataclass(frozen=True, slots=True)
class GuildById:
    """The guild."""

    id: GuildId


async def delete_guild(context: OperationContext, command: GuildById) -> bool:
    """Deletes a guild from the registry, and its memberships.

    Admins may.
    """

    def delete(tx: Transaction, _: Principal) -> WriteResult[None]:
        guild = _find_guild(tx, command.id)
        tx.guilds.delete(guild.id)
        return WriteResult(None, _guild(guild), audit_log.diff_entities(guild, None))

    await context.write(delete)
    return True


@dataclass(frozen=True, slots=True)
class ListMembers:
    """The guild, and the page of its members to return."""

    id: GuildId
    limit: Annotated[PageLimit, Param("The number of members on a page.", LIMIT_DEFAULT)] = (
        LIMIT_DEFAULT
    )
    cursor: Annotated[Cursor | None, Param("The `next` of the previous page.")] = None


async def list_members(context: OperationContext, command: ListMembers) -> MemberPage:
    """Returns the profiles of a guild's members, the oldest account first, page by page.

    The holder of any valid credential may who belongs to the guild, and admins; for others, there
    is no such guild. The owner is one of the members. Disabled accounts are left out until they are
    enabled.
    """

    def read(tx: Transaction, actor: Principal) -> MemberPage:
        require_limit(command.limit)
        guild = tx.guilds.find(parse_guild_id(command.id))
        if guild is None or not can_list_members(
            actor, belongs=lambda: tx.guilds.belongs_to(guild, actor.user.id)
        ):
            raise NotFound(
                "There is no such guild, or you do not belong to it. users.guilds lists yours."
            )
        listing = "guilds.members", guild.id
        after = 0
        if command.cursor is not None:
            after = parse_cursor(command.cursor, listing, int).number
        users = tx.guilds.list_members(guild, after, command.limit + 1)
        page, more = users[: command.limit], len(users) > command.limit
        last = page[-1].id if more else 0
        return {
            "members": [profile(user) for user in page],
            "next": make_cursor(Position(last, last), listing) if more else None,
        }

    is_short = command.limit <= LIMIT_DEFAULT
    return await (context.read(read) if is_short else context.scan(read))


@dataclass(frozen=True, slots=True)
class Membership:
    """An account's membership of a guild."""

    id: GuildId
    user: AccountParam


async def put_member(context: OperationContext, command: Membership) -> Put[bool]:
    """Makes an account a member of a guild.

    Admins may. Repeating it changes nothing.
    """

    def put(tx: Transaction, _: Principal) -> WriteResult[Put[bool]]:
        guild, user = _find_guild(tx, command.id), find_user(tx, command.user)
        is_new = tx.guilds.add_member(guild.id, user.id)
        changes: Changes = {"member": (None, user.uuid)} if is_new else {}
        return WriteResult(Put(True, created=is_new), _guild(guild), changes)

    return await context.write(put)


async def delete_member(context: OperationContext, command: Membership) -> bool:
    """Ends an account's membership of a guild.

    Admins may.
    """

    def delete(tx: Transaction, _: Principal) -> WriteResult[None]:
        guild, user = _find_guild(tx, command.id), find_user(tx, command.user)
        if not tx.guilds.remove_member(guild.id, user.id):
            raise NotFound("The user is not a member of this guild; guilds.members lists them.")
        return WriteResult(None, _guild(guild), {"member": (user.uuid, None)})

    await context.write(delete)
    return True


def _find_guild(tx: Transaction, raw: str) -> Guild:
    guild = tx.guilds.find(parse_guild_id(raw))
    if guild is None:
        raise NotFound("There is no such guild. The list of guilds has all.")
    return guild
