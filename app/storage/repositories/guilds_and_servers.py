"""Repositories of the embedded directory's guilds and servers."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)

from app.domain.guilds_and_servers import Guild, Server
from app.domain.users import User
from app.storage.compiled import CompiledStatement, row_limit
from app.storage.inserts import insert_new, row_of
from app.storage.repositories.users import USER_COLUMNS, user_of
from app.storage.tables import (
    GuildMemberRow,
    GuildRow,
    ServerRow,
    StoppedServerRow,
    UserRow,
    metadata,
)

_USERS = metadata.tables[UserRow.__tablename__]
_GUILDS = metadata.tables[GuildRow.__tablename__]
_MEMBERS = metadata.tables[GuildMemberRow.__tablename__]
_SERVERS = metadata.tables[ServerRow.__tablename__]
_STOPPED = metadata.tables[StoppedServerRow.__tablename__]

_BELONGING = select(*USER_COLUMNS).where(
    _USERS.c.id > bindparam("after"), _USERS.c.disabled.is_(False)
)
_OWNER = CompiledStatement(_BELONGING.where(_USERS.c.id == bindparam("owner")))
_LIST_MEMBERS = CompiledStatement(
    _BELONGING.join(_MEMBERS, _MEMBERS.c.user_id == _USERS.c.id)
    .where(_MEMBERS.c.guild_id == bindparam("guild"), _MEMBERS.c.user_id > bindparam("after"))
    .order_by(_MEMBERS.c.user_id)
    .limit(row_limit("limit"))
)
_FIND_MEMBER = CompiledStatement(
    select(_MEMBERS.c.user_id).where(
        _MEMBERS.c.guild_id == bindparam("guild"), _MEMBERS.c.user_id == bindparam("user")
    )
)


class GuildRepository:
    """Guilds on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, guild_id: int) -> Guild | None:
        return next(iter(self._where(_GUILDS.c.id == guild_id)), None)

    def upsert(self, guild: Guild) -> bool:
        values = row_of(_GUILDS, guild, without={"id"})
        changed = self._connection.execute(
            update(_GUILDS).where(_GUILDS.c.id == guild.id).values(values)
        ).rowcount
        if not changed:
            self._connection.execute(insert(_GUILDS).values(id=guild.id, **values))
        return not changed

    def delete(self, guild_id: int) -> bool:
        query = delete(_GUILDS).where(_GUILDS.c.id == guild_id)
        return bool(self._connection.execute(query).rowcount)

    def list_all(self) -> Sequence[Guild]:
        return self._where()

    def list_for_user(self, user_id: int) -> Sequence[Guild]:
        joined = select(_MEMBERS.c.guild_id).where(_MEMBERS.c.user_id == user_id)
        return self._where(or_(_GUILDS.c.owner_id == user_id, _GUILDS.c.id.in_(joined)))

    def add_member(self, guild_id: int, user_id: int) -> bool:
        return insert_new(self._connection, _MEMBERS, {"guild_id": guild_id, "user_id": user_id})

    def remove_member(self, guild_id: int, user_id: int) -> bool:
        query = delete(_MEMBERS).where(
            _MEMBERS.c.guild_id == guild_id, _MEMBERS.c.user_id == user_id
        )
        return bool(self._connection.execute(query).rowcount)

    def belongs_to(self, guild: Guild, user_id: int) -> bool:
        member = {"guild": guild.id, "user": user_id}
        return user_id == guild.owner_id or _FIND_MEMBER.first(self._connection, member) is not None

    def list_members(self, guild: Guild, after: int, limit: int) -> Sequence[User]:
        page = {"guild": guild.id, "after": after, "limit": limit}
        rows = [
            *_LIST_MEMBERS.all(self._connection, page),
            *_OWNER.all(self._connection, {"owner": guild.owner_id, "after": after}),
        ]
        # An owner may be a member, too.
        users = {user.id: user for user in map(user_of, rows)}
        return [users[user_id] for user_id in sorted(users)][:limit]

    def _where(self, *conditions: ColumnElement[bool]) -> list[Guild]:
        rows = self._connection.execute(
            select(*_GUILDS.c).where(*conditions).order_by(_GUILDS.c.id)
        )
        return [Guild(*row) for row in rows]


class ServerRepository:
    """Servers on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, uuid: str) -> Server | None:
        return next(iter(self._where(_SERVERS.c.uuid == uuid)), None)

    def upsert(self, uuid: str, *, owner_id: int, name: str, enabled: bool) -> bool:
        values: dict[str, Any] = {"owner_id": owner_id, "name": name, "enabled": enabled}
        changed = self._connection.execute(
            update(_SERVERS).where(_SERVERS.c.uuid == uuid).values(values)
        ).rowcount
        if not changed:
            self._connection.execute(insert(_SERVERS).values(uuid=uuid, **values))
        return not changed

    def delete(self, uuid: str) -> bool:
        query = delete(_SERVERS).where(_SERVERS.c.uuid == uuid)
        return bool(self._connection.execute(query).rowcount)

    def list_all(self) -> Sequence[Server]:
        return self._where()

    def list_uuids_for_user(self, user_id: int) -> Sequence[str]:
        query = select(_SERVERS.c.uuid).where(_SERVERS.c.owner_id == user_id)
        return list(self._connection.scalars(query.order_by(_SERVERS.c.number)))

    def _where(self, *conditions: ColumnElement[bool]) -> list[Server]:
        active = and_(_SERVERS.c.enabled, _USERS.c.disabled.is_(False)).label("active")
        columns = (
            _SERVERS.c.number,
            _SERVERS.c.uuid,
            _SERVERS.c.owner_id,
            _USERS.c.uuid.label("owner_uuid"),
            _SERVERS.c.name,
            _SERVERS.c.enabled,
            active,
        )
        rows = self._connection.execute(
            select(*columns)
            .join(_USERS, _USERS.c.id == _SERVERS.c.owner_id)
            .where(*conditions)
            .order_by(_SERVERS.c.number)
        )
        return [Server(*row) for row in rows]


class StoppedServerRepository:
    """The panel's servers that were stopped, on SQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list_for_user(self, user_id: int) -> Sequence[str]:
        query = select(_STOPPED.c.server).where(_STOPPED.c.user_id == user_id)
        return list(self._connection.scalars(query.order_by(_STOPPED.c.server)))

    def replace_for_user(self, user_id: int, servers: Collection[str]) -> None:
        is_other = _STOPPED.c.server.not_in(servers)
        self._connection.execute(delete(_STOPPED).where(_STOPPED.c.user_id == user_id, is_other))
        for server in servers:
            insert_new(self._connection, _STOPPED, {"user_id": user_id, "server": server})
