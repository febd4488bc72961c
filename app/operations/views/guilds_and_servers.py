"""Views of guilds, their members, and servers."""

from typing_extensions import TypeAliasType, TypedDict

from app.domain.guilds_and_servers import Guild, Server
from app.operations.formats import (
    Bit,
    Cursor,
    IconUrl,
    Label,
    Number,
    Snowflake,
    Uuid,
    bit,
)
from app.operations.views.accounts import Profiles


class GuildView(TypedDict):
    """A guild of the chat."""

    id: Snowflake
    name: Label
    owner_id: Snowflake
    icon: IconUrl | None


Guilds = TypeAliasType("Guilds", list[GuildView])


class MemberPage(TypedDict):
    """A page of a guild's members; `next` is the cursor of the next page, null on the last."""

    members: Profiles
    next: Cursor | None


class ServerView(TypedDict):
    """A game server of the panel; `active` is 0 while its owner is disabled."""

    id: Number
    owner: Uuid
    name: Label
    active: Bit


Servers = TypeAliasType("Servers", dict[str, ServerView])


def guild_view(guild: Guild) -> GuildView:
    """Return the view of `guild`."""
    return {
        "id": str(guild.id),
        "name": guild.name,
        "owner_id": str(guild.owner_id),
        "icon": guild.icon,
    }


def server_view(server: Server) -> ServerView:
    """Return the view of `server`."""
    return {
        "id": server.number,
        "owner": server.owner_uuid,
        "name": server.name,
        "active": bit(server.active),
    }
